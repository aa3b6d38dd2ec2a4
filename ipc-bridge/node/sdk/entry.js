'use strict';
// The forms of a plugin's entry that came with later releases, and the schemas that say "no configuration".

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

module.exports = () => ({ emptyPluginConfigSchema, definePluginEntry, defineToolPlugin, defineChannelPluginEntry,
	defineSetupPluginEntry, defineSingleProviderPluginEntry });
