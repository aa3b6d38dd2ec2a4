'use strict';
// The forms of a plugin's entry that came with later releases, and the schemas that say "no configuration".

function emptyPluginConfigSchema() {
	const problems = (value) => {
		if (value === undefined)
			return null;
		if (value === null || typeof value !== 'object' || Array.isArray(value))
			return 'expected config object';
		return Object.keys(value).length > 0 ? 'config must be empty' : null;
	};
	return {
		safeParse(value) {
			const problem = problems(value);
			return problem ? { success: false, error: { issues: [{ path: [], message: problem }] } } : { success: true, data: value };
		},
		jsonSchema: { type: 'object', additionalProperties: false, properties: {} },
	};
}

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
