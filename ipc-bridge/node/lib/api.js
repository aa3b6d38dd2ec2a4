'use strict';
// The `api` object that a plugin's register() gets: the union of all releases' members.  What registers something that this
// runtime has is kept; the rest is accepted, listed under "other" and said once in a diagnostic.
const os = require('node:os');
const path = require('node:path');
const { outline, plainData } = require('./registry.js');

const HOOKS = new Set([
	// the gateway, sessions
	'gateway_start', 'gateway_stop', 'session_start', 'session_end', 'before_reset', 'before_compaction', 'after_compaction',
	// messages
	'message_received', 'inbound_claim', 'before_dispatch', 'message_sending', 'message_sent', 'before_message_write',
	'channel_pairing_requested',
	// runs and tools
	'before_agent_start', 'agent_end', 'before_model_resolve', 'before_prompt_build', 'llm_input', 'llm_output',
	'before_tool_call', 'after_tool_call', 'tool_result_persist',
	// subagents
	'subagent_spawning', 'subagent_spawned', 'subagent_delivery_target', 'subagent_progress', 'subagent_ended',
]);
// Those of later releases that this gateway does not call.
const UNCALLED = new Set([
	'deactivate', 'before_install', 'cron_changed', 'cron_reconciled', 'reply_dispatch', 'reply_payload_sending',
	'heartbeat_prompt_contribution', 'before_agent_run', 'before_agent_reply', 'before_agent_finalize', 'agent_turn_prepare',
	'model_call_started', 'model_call_ended', 'resolve_exec_env', 'skill_changed', 'skill_proposal_evaluate', 'skill_proposal_changed',
]);
// Handlers of these answer at once in the original; a promise they return is not waited for.
const SYNCHRONOUS = new Set(['tool_result_persist', 'before_message_write']);
const RESERVED_COMMANDS = new Set(('help commands status whoami context stop restart reset new compact config debug allowlist ' +
	'activation skill subagents kill steer tell model models queue send bash exec think verbose reasoning elevated usage').split(' '));
// Registered in later releases; kept by name only.
const ACCEPTED = ['registerCliBackend', 'registerSpeechProvider', 'registerMediaUnderstandingProvider',
	'registerImageGenerationProvider', 'registerVideoGenerationProvider', 'registerMusicGenerationProvider',
	'registerWebSearchProvider', 'registerWebFetchProvider', 'registerInteractiveHandler', 'onConversationBindingResolved',
	'registerMemoryPromptSection', 'registerMemoryFlushPlan', 'registerMemoryRuntime', 'registerMemoryEmbeddingProvider',
	'registerMemoryCapability', 'registerMemoryPromptSupplement', 'registerMemoryCorpusSupplement',
	'registerMemoryPromptPreparation', 'registerHostedMediaResolver', 'registerNodeCliFeature', 'registerReload',
	'registerNodeHostCommand', 'registerNodeInvokePolicy', 'registerSecurityAuditCollector', 'registerGatewayDiscoveryService',
	'registerTextTransforms', 'registerConfigMigration', 'registerMigrationProvider', 'registerAutoEnableProbe',
	'registerModelCatalogProvider', 'registerEmbeddingProvider', 'registerRealtimeTranscriptionProvider',
	'registerRealtimeVoiceProvider', 'registerTranscriptSourceProvider', 'registerCompactionProvider', 'registerAgentHarness',
	'registerCodexAppServerExtensionFactory', 'registerAgentToolResultMiddleware', 'registerSessionExtension',
	'enqueueNextTurnInjection', 'registerTrustedToolPolicy', 'registerToolMetadata', 'registerControlUiDescriptor',
	'registerRuntimeLifecycle', 'registerAgentEventSubscription', 'emitAgentEvent', 'setRunContext', 'getRunContext',
	'clearRunContext', 'registerSessionSchedulerJob', 'registerSessionAction', 'sendSessionAttachment', 'scheduleSessionTurn',
	'unscheduleSessionTurnsByTag', 'registerDetachedTaskRuntime', 'registerWidgetPresenter',
	'registerMcpServerConnectionResolver', 'registerGatewayAccessPolicy', 'registerBoardWidgetContentKind',
	'registerSessionCatalog', 'registerWorkerProvider', 'registerDecisionProvider'];

function resolveUserPath(input) {
	const text = String(input ?? '').trim();
	if (text === '')
		return text;
	if (text === '~' || text.startsWith('~/') || text.startsWith('~\\'))
		return path.resolve(os.homedir(), text.slice(2));
	return path.resolve(text);
}

// host: {plugin: {id, name, version, description, source, root}, config, pluginConfig, runtime, logger, registry}.
function createApi(host) {
	const { plugin, registry, logger } = host;
	const warn = (message) => registry.diagnostic('warn', message);
	const refuse = (message) => registry.diagnostic('error', message);
	const api = {
		id: plugin.id,
		name: plugin.name,
		version: plugin.version,
		description: plugin.description,
		source: plugin.source,
		rootDir: plugin.root,
		registrationMode: 'full',
		config: host.config,
		pluginConfig: host.pluginConfig,
		runtime: host.runtime,
		logger,
		resolvePath: resolveUserPath,

		registerTool(tool, options = {}) {
			const names = [...(options.names ?? []), ...(options.name ? [options.name] : [])];
			const isFactory = typeof tool === 'function';
			if (!isFactory && typeof tool?.name === 'string' && !names.includes(tool.name))
				names.push(tool.name);
			const optional = options.optional === true;
			registry.keep('factory', { make: isFactory ? tool : () => tool, optional }, 'tools',
				{ names: names.map((name) => name.trim()).filter(Boolean), optional, fixed: !isFactory });
		},

		on(name, handler, options = {}) {
			if (typeof handler !== 'function')
				return refuse(`on("${name}"): the handler is no function`);
			if (UNCALLED.has(name))
				host.missing('api', `on("${name}")`);
			else if (!HOOKS.has(name))
				warn(`hook "${name}" is not one that OpenClaw fires; its handler is kept and never called`);
			registry.keep('handler', { name, handler, synchronous: SYNCHRONOUS.has(name) }, 'hooks', {
				name,
				priority: Number.isFinite(options?.priority) ? options.priority : 0,
				timeoutMs: Number.isFinite(options?.timeoutMs) && options.timeoutMs > 0 ? options.timeoutMs : undefined,
			});
		},

		registerHook(events, handler, options = {}) {
			const name = options?.entry?.hook?.name ?? options?.name;
			if (!name || typeof name !== 'string' || name.trim() === '')
				return warn('registerHook: a hook needs a name');
			const list = [events].flat().map((event) => String(event).trim()).filter((event) => event !== '');
			registry.keep('handler', { name, handler }, 'internalHooks', { events: list, name: name.trim(),
				description: options?.entry?.hook?.description ?? options?.description, active: options?.register !== false });
		},

		registerHttpRoute(route) {
			addHttpRoute(route, { registry, warn, refuse });
		},

		registerHttpHandler(handler) {
			registry.httpHandler(handler);
		},

		registerGatewayMethod(method, handler, options = {}) {
			const name = typeof method === 'string' ? method.trim() : '';
			if (name === '' || typeof handler !== 'function')
				return refuse('registerGatewayMethod: a method needs a name and a function');
			if (registry.methods.has(name))
				return refuse(`gateway method ${name}: this plugin has registered it before`);
			registry.name('methods', 'gatewayMethods', name, handler, { method: name, scope: options?.scope });
		},

		registerCli(registrar, options = {}) {
			const commands = [...(options.commands ?? []), ...(options.descriptors ?? []).map((one) => one?.name)]
				.map((name) => String(name ?? '').trim()).filter(Boolean);
			registry.keep('cli', registrar, 'cli', { commands: [...new Set(commands)], descriptors: plainData(options.descriptors) });
		},

		registerService(service) {
			const id = String(service?.id ?? '').trim();
			if (id === '')
				return;
			registry.keep('service', service, 'services', { id });
		},

		registerCommand(command) {
			const name = typeof command?.name === 'string' ? command.name.trim().toLowerCase() : '';
			const wrong = wrongCommand(name, command, registry.out.commands);
			if (wrong)
				return refuse(`command "${name}": ${wrong}`);
			registry.keep('command', command, 'commands', { name, description: command.description.trim(),
				acceptsArgs: command.acceptsArgs === true, requireAuth: command.requireAuth !== false,
				nativeNames: plainData(command.nativeNames) });
		},

		registerChannel(registration) {
			const channel = registration?.plugin ?? registration;
			const id = String(channel?.id ?? '').trim();
			if (id === '')
				return refuse('registerChannel: a channel needs an id');
			registry.name('channels', 'channels', id, channel, require('./channel.js').describeChannel(channel, host.config));
		},

		registerProvider(provider) {
			const id = String(provider?.id ?? '').trim();
			if (id === '')
				return refuse('registerProvider: a provider needs an id');
			const { data, functions } = outline({ ...provider });
			registry.name('providers', 'providers', id, provider, { ...data, id, auth: data.auth ?? [], functions });
		},

		registerContextEngine(id, factory) {
			if (typeof id !== 'string' || id.trim() === '' || typeof factory !== 'function')
				return refuse('registerContextEngine: an engine needs an id and a function that makes it');
			registry.keep('engine', factory, 'contextEngines', { id: String(id) }, 'engine');
		},
	};
	for (const member of ACCEPTED)
		api[member] = (...args) => {
			const id = args.map((arg) => (typeof arg === 'string' ? arg : arg?.id)).find((value) => typeof value === 'string');
			registry.note('other', { member, id });
			host.missing('api', member);
			return undefined;
		};
	for (const name of ['session', 'agent', 'runContext', 'lifecycle'])
		api[name] = host.runtime[name] ?? {};
	return api;
}

// Why a command cannot be taken; undefined: it can.
function wrongCommand(name, command, others) {
	if (name === '')
		return 'it needs a name';
	if (!/^[a-z][a-z0-9_-]*$/.test(name))
		return 'a name begins with a letter and goes on with letters, digits, - and _';
	if (typeof command.handler !== 'function')
		return 'its handler is no function';
	if (typeof command.description !== 'string' || command.description.trim() === '')
		return 'it needs a description';
	if (RESERVED_COMMANDS.has(name))
		return 'OpenClaw has a command of this name';
	return others.some((other) => other.name === name) ? 'this plugin has one of this name already' : undefined;
}

const within = (path, prefix) => path === prefix || path.startsWith(prefix.endsWith('/') ? prefix : `${prefix}/`);

function overlaps(a, b) {
	return a.path === b.path || (a.match === 'prefix' && within(b.path, a.path)) || (b.match === 'prefix' && within(a.path, b.path));
}

// Returns what takes it back; undefined: it was refused.  Releases before March 2026 know no auth: the plugin's own.
function addHttpRoute(route, { registry, warn, refuse }) {
	const at = slashed(route?.path);
	if (!at)
		return warn('http route: it needs a path');
	const { auth = 'plugin', match = 'exact', handler, handleUpgrade, replaceExisting } = route;
	if (auth !== 'gateway' && auth !== 'plugin')
		return refuse(`http route ${at}: auth is "gateway" or "plugin"`);
	if (typeof handler !== 'function')
		return refuse(`http route ${at}: the handler is no function`);
	const own = { path: at, match: match === 'prefix' ? 'prefix' : 'exact' };
	const other = registry.out.httpRoutes.find((row) => overlaps(row, own) && row.auth !== auth);
	if (other)
		return refuse(`http route ${at} (${own.match}, ${auth}): ${other.path} (${other.match}, ${other.auth}) is for the same paths with another auth`);
	const there = registry.route(own.path, own.match);
	if (there && !replaceExisting)
		return refuse(`http route ${at} (${own.match}): it is there already; replaceExisting puts another in its place`);
	const entry = { ...own, handler, handleUpgrade };
	let number = there?.number;
	if (there)
		registry.functions.httpRoute[number] = entry;
	else
		number = registry.keep('httpRoute', entry, 'httpRoutes', { ...own, auth }, 'route');
	return () => {
		if (registry.functions.httpRoute[number] === entry)
			registry.dropRoute(number);
	};
}

// "/web" for "web"; nothing for nothing.
const slashed = (value) => String(value ?? '').trim().replace(/^(?=[^/])/, '/');

module.exports = { addHttpRoute, createApi, resolveUserPath };
