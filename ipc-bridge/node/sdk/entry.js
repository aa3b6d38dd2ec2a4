'use strict';
// The forms of a plugin's entry that came with later releases, and the schemas that say "no configuration".
const path = require('node:path');
const { fileURLToPath } = require('node:url');
const { asFile } = require('../lib/resolve.js');

// Nothing, or an object with nothing in it.
function wrongWithEmpty(value) {
	if (value !== undefined && (typeof value !== 'object' || value === null || Array.isArray(value)))
		return 'the configuration is not an object';
	return Object.keys(value ?? {}).length > 0 ? 'this plugin has nothing to configure' : '';
}

const emptyPluginConfigSchema = () => ({
	jsonSchema: { type: 'object', properties: {}, additionalProperties: false },
	safeParse(data) {
		const message = wrongWithEmpty(data);
		return message === '' ? { success: true, data } : { success: false, error: { issues: [{ message, path: [] }] } };
	},
});

function definePluginEntry(entry) {
	const { configSchema = emptyPluginConfigSchema, ...rest } = entry;
	return Object.defineProperty(rest, 'configSchema', { enumerable: true, get: () => (typeof configSchema === 'function' ? configSchema() : configSchema) });
}

function defineToolPlugin({ tools, ...rest }) {
	const definition = (tool) => tool;
	return {
		...rest,
		register(api) {
			const list = typeof tools === 'function' ? tools(definition) : tools;
			for (const tool of list ?? [])
				api.registerTool({
					...tool,
					async execute(toolCallId, params, signal, onUpdate) {
						const value = await tool.execute(params, api.pluginConfig ?? {}, { api, toolCallId, signal, onUpdate });
						if (value !== null && typeof value === 'object' && Array.isArray(value.content))
							return value;
						return { content: [{ type: 'text', text: typeof value === 'string' ? value : JSON.stringify(value, null, 2) ?? '' }], details: value };
					},
				}, { optional: tool.optional === true });
		},
	};
}

function defineChannelPluginEntry({ plugin, setRuntime, registerFull, configSchema = emptyPluginConfigSchema, ...rest }) {
	return {
		...rest,
		configSchema: typeof configSchema === 'function' ? configSchema() : configSchema,
		channelPlugin: plugin,
		register(api) {
			setRuntime?.(api.runtime);
			api.registerChannel({ plugin });
			registerFull?.(api);
		},
	};
}

const defineSetupPluginEntry = (plugin) => ({ plugin });

function defineSingleProviderPluginEntry({ provider, register, configSchema, ...rest }) {
	return definePluginEntry({
		...rest,
		configSchema,
		register(api) {
			if (provider)
				api.registerProvider({ id: rest.id, ...provider });
			register?.(api);
		},
	});
}

module.exports = (plugin) => {
	// What a file beside the entry exports under that name; without a name all of it.
	function loadBundledEntryExportSync(importMetaUrl, { specifier, exportName }) {
		const file = asFile(path.resolve(path.dirname(fileURLToPath(importMetaUrl)), specifier.startsWith('file:') ? fileURLToPath(specifier) : specifier));
		if (!file)
			throw Object.assign(new Error(`Cannot find module '${specifier}'\nimported from ${importMetaUrl}`), { code: 'MODULE_NOT_FOUND' });
		const value = plugin.loader.load(file);
		if (exportName === undefined)
			return value;
		if (!(exportName in value))
			throw new Error(`${specifier} does not export ${exportName}`);
		return value[exportName];
	}

	// Later releases name the parts of a channel by file and export.
	function defineBundledChannelEntry({ importMetaUrl, plugin: channel, runtime, secrets, accountInspect: _inspect, registerCliMetadata, registerFull, ...rest }) {
		const part = (reference) => (reference ? loadBundledEntryExportSync(importMetaUrl, reference) : undefined);
		const load = () => {
			const found = part(channel);
			return secrets && found && !found.secrets ? { ...found, secrets: part(secrets) } : found;
		};
		return definePluginEntry({
			...rest,
			loadChannelPlugin: load,
			register(api) {
				part(runtime)?.(api.runtime);
				api.registerChannel({ plugin: load() });
				registerCliMetadata?.(api);
				registerFull?.(api);
			},
		});
	}

	const defineBundledChannelSetupEntry = ({ importMetaUrl, plugin: channel }) => ({ loadSetupPlugin: () => loadBundledEntryExportSync(importMetaUrl, channel) });

	return { defineBundledChannelEntry, defineBundledChannelSetupEntry, emptyPluginConfigSchema, definePluginEntry, defineToolPlugin,
		defineChannelPluginEntry, defineSetupPluginEntry, defineSingleProviderPluginEntry, loadBundledEntryExportSync };
};
