'use strict';
// One plugin in this process: loads it, and answers what the gateway asks of it.  See ipc-bridge/PROTOCOL.md.
const path = require('node:path');
require('./older.js');
const { addHttpRoute, createApi } = require('./api.js');
const { entryOf } = require('./entry.js');
const { Loader } = require('./load.js');
const { Registry, plainData } = require('./registry.js');
const { packageOf } = require('./resolve.js');
const { Tools } = require('./tools.js');
const { Transpiler } = require('./transpile.js');
const { createRuntime } = require('./runtime.js');
const { createSdk } = require('../sdk/index.js');
const { hide, hookArguments } = require('./events.js');
const { watch } = require('./watch.js');

const REGISTER_MAX_MS = 20000;
// What is not the same for every run, of what a tool's factory is told.
const OF_A_RUN = new Set(['agentId', 'sessionKey', 'sessionId', 'messageChannel', 'agentAccountId', 'requesterSenderId', 'senderIsOwner']);

// Replaces what an object holds without replacing the object: plugins keep references to api.config.
function become(target, source) {
	const gone = Object.keys(target).filter((key) => !(key in source));
	gone.forEach((key) => delete target[key]);
	Object.assign(target, source);
}

// The fields of the original, there also when they have no value.
function commandContext(ctx, config) {
	const { senderId, channel, channelId, isAuthorizedSender, args, commandBody, from, to, accountId, messageThreadId, sessionKey } = ctx;
	const nothing = async () => null;
	return { senderId, channel, channelId, isAuthorizedSender, args, commandBody, config, from, to, accountId, messageThreadId, sessionKey,
		requestConversationBinding: async () => ({ status: 'error', message: 'This gateway does not bind conversations to plugins.' }),
		detachConversationBinding: async () => ({ removed: false }), getCurrentConversationBinding: nothing };
}

// The parts that few plugins need are loaded by those who do: a process starts a tenth of a second sooner on a busy machine.
const PARTS = {
	channels: { make: (plugin) => new (require('./channel.js').Channels)(plugin), methods: 'start stop send action probe status pure'.split(' ').map((name) => `channel.${name}`) },
	engines: { make: (plugin) => new (require('./engine.js').Engines)(plugin),
		methods: 'assemble afterTurn compact prepareSubagentSpawn rollbackSubagentSpawn onSubagentEnded'.split(' ').map((name) => `engine.${name}`) },
	dispatches: { make: (plugin) => new (require('./inbound.js').Dispatches)(plugin), methods: [] },
};

class Plugin {
	#parts = {};

	// link: {call(path, args, options), notify(name, value)}: the way to the gateway.
	constructor(link) {
		this.link = link;
		this.registry = new Registry();
		this.tools = new Tools(this.registry);
		this.started = [];
	}

	#part(name) {
		return (this.#parts[name] ??= PARTS[name].make(this));
	}

	get channels() {
		return this.#part('channels');
	}

	get engines() {
		return this.#part('engines');
	}

	get dispatches() {
		return this.#part('dispatches');
	}

	missing(kind, name) {
		this.link.notify('missing', { kind, name });
	}

	lend(name) {
		return this.loader?.lend(name);
	}

	// A route made at any time; what is returned takes it away again.
	addRoute(route, log = () => {}) {
		const told = (message) => void log(`plugin: ${message}`);
		return addHttpRoute(route, { plugin: this.info, registry: this.registry, warn: told, refuse: told }) ?? (() => {});
	}

	// Told of this plugin's own lines; returns what ends it.
	listenToLog(transport) {
		this.transports ??= new Set();
		this.transports.add(transport);
		return () => void this.transports.delete(transport);
	}

	logger(prefix) {
		const at = (level) => (...parts) => {
			const message = (prefix ? `[${prefix}] ` : '') +
				parts.map((part) => (typeof part === 'string' ? part : part instanceof Error ? part.stack : JSON.stringify(plainData(part)))).join(' ');
			this.link.notify('log', { level, message });
			for (const transport of this.transports ?? [])
				transport({ 0: message, _meta: { logLevelName: level.toUpperCase(), date: new Date(), name: prefix || this.info?.id } });
		};
		return { trace: at('trace'), debug: at('debug'), info: at('info'), warn: at('warn'), error: at('error'), fatal: at('error'),
			child: (bindings) => this.logger(typeof bindings === 'string' ? bindings : prefix) };
	}

	// The registration snapshot.
	async init(params) {
		watch({ tell: (kind, name) => this.missing(kind, name), network: params.network !== false, own: [params.cacheDir, params.stateDir, params.root].filter(Boolean) });
		this.params = params;
		this.config = params.config ?? {};
		this.pluginConfig = params.pluginConfig;
		const manifest = params.manifest ?? {};
		const info = { id: params.id, name: manifest.name ?? params.id, version: manifest.version ?? packageOf(params.entry)?.value.version, description: manifest.description,
			source: params.entry, root: params.root };
		this.info = info;
		this.runtime = createRuntime(this, params);
		const transpiler = new Transpiler(params.cacheDir ? path.join(params.cacheDir, 'transpiled') : null);
		const loader = new Loader({
			root: params.root,
			transpiler,
			sdk: createSdk(this),
		});
		this.loader = loader;
		this.entry = entryOf(loader.load(params.entry));
		const { definition } = this.entry;
		info.name = definition.name ?? info.name;
		info.description = definition.description ?? info.description;
		info.version = info.version ?? definition.version;
		this.api = createApi({ plugin: info, config: this.config, pluginConfig: this.pluginConfig, runtime: this.runtime,
			logger: this.logger(''), registry: this.registry, missing: (kind, name) => this.missing(kind, name) });
		await this.#register();
		transpiler.tidy();
		if (this.registry.out.httpRoutes.length > 0 || this.registry.out.httpHandlers > 0)
			await this.#listen();
		const snapshot = { plugin: { id: info.id, name: info.name, description: info.description, version: info.version,
			kind: definition.kind ?? manifest.kind }, ...structuredClone(plainData(this.registry.out)) };
		for (const tool of snapshot.tools)
			tool.resolved = this.#usualTools(tool);
		snapshot.diagnostics = plainData(this.registry.out.diagnostics);
		this.snapshotTools = snapshot.tools;
		this.registry.later = (more) => void this.#registeredLate(plainData(more));
		this.registry.dropped = (gone) => this.link.notify('unregister', gone);
		return snapshot;
	}

	async #listen() {
		if (this.params.mode === 'inspect' || !this.params.http)
			return;
		this.http ??= new (require('./http.js').HttpSide)(this.registry, (message) => this.logger('http').error(message));
		await this.http.listen(this.params.http);
	}

	async #registeredLate(more) {
		if (more.httpRoutes || more.httpHandlers)
			await this.#listen().catch((error) => this.logger('http').error(`cannot listen: ${error.message}`));
		this.link.notify('register', more);
	}

	// For helpers of the SDK that register routes while a channel runs; returns what takes it back.
	addHttpRoute(route) {
		return addHttpRoute(route, { plugin: this.info, registry: this.registry,
			warn: (message) => this.logger('http').warn(message), refuse: (message) => this.logger('http').error(message) });
	}

	// The original ignores a promise that register() returns; waiting a while for it is friendlier.
	async #register() {
		const returned = this.entry.register(this.api);
		if (returned === null || typeof returned?.then !== 'function')
			return;
		this.registry.diagnostic('warn', 'plugin register returned a promise; what it registers after the first 20 s comes late');
		let timer;
		const late = new Promise((resolve) => {
			timer = setTimeout(resolve, REGISTER_MAX_MS);
		});
		await Promise.race([returned, late]);
		clearTimeout(timer);
	}

	// What a factory gives in the usual case, so that the gateway can list its tools; their numbers are not kept.
	#usualTools(row) {
		const ctx = row.fixed ? {} : { config: this.config, workspaceDir: this.params.workspaceDir, agentId: 'main',
			sessionKey: 'agent:main:main', sandboxed: false };
		try {
			let looked = false;
			const watch = (target) => new Proxy(target, { get: (from, key) => {
				looked ||= OF_A_RUN.has(key);
				return from[key];
			}, ownKeys: (from) => {
				looked = true;
				return Reflect.ownKeys(from);
			} });
			const ask = (more, diagnostic) => {
				const made = this.tools.resolve(row.factory, row.fixed ? ctx : watch({ ...ctx, ...more }), diagnostic);
				this.tools.release(made.map((one) => one.tool));
				return made.map(({ tool, ...description }) => description);
			};
			const made = ask({}, (level, message) => this.registry.diagnostic(level, message));
			row.varies = made.some((one) => one.ownerOnly) || undefined;
			if (row.fixed)
				return made;
			// Many offer less in a sandbox; who looks at the conversation is asked for each run.
			let inside = new Set();
			try {
				inside = new Set(ask({ sandboxed: true }, () => {}).map((one) => one.name));
			} catch {
				// nothing, there
			}
			row.varies ||= looked || undefined;
			return made.map((one) => (inside.has(one.name) ? one : { ...one, sandboxed: false }));
		} catch (error) {
			this.registry.diagnostic('error', `${this.info.id}: a tool cannot be made: ${error?.message ?? error}`);
			return [];
		}
	}

	configChanged({ config, pluginConfig }) {
		if (config)
			become(this.config, config);
		if (pluginConfig && this.pluginConfig)
			become(this.pluginConfig, pluginConfig);
		else if (pluginConfig)
			this.api.pluginConfig = this.pluginConfig = pluginConfig;
		this.#parts.channels?.configChanged();
	}

	async hook({ handler: number, payload }, call) {
		const { name, handler, synchronous } = this.registry.fn('handler', number);
		const { event, ctx: context } = hookArguments(name, payload ?? {});
		if (name.startsWith('gateway_'))
			hide(context, 'config', this.config);
		Object.defineProperty(context, 'abortSignal', { get: () => call.signal, enumerable: false, configurable: true });
		const returned = handler(event, context);
		if (synchronous && typeof returned?.then === 'function') {
			Promise.resolve(returned).catch(() => {});
			this.logger('hooks').warn(`${name}: a handler of ${this.info.id} gave a promise, and this hook is answered at once: it counts for nothing`);
			return null;
		}
		return plainData((await returned) ?? null);
	}

	// What the handler pushed or changed in place counts, not what it returns.
	async internalHook({ handler: number, type, action, payload }) {
		const { handler } = this.registry.fn('handler', number);
		const event = require('./internal.js').internalEvent(type, action, payload ?? {}, { config: this.config, workspaceDir: this.params.workspaceDir });
		await handler(event);
		const out = {};
		if (Array.isArray(event.messages) && event.messages.length > 0)
			out.messages = event.messages.filter((one) => typeof one === 'string');
		if (type === 'agent' && Array.isArray(event.context?.bootstrapFiles))
			out.bootstrapFiles = plainData(event.context.bootstrapFiles);
		return out;
	}

	// By commands.ownerAllowFrom; clients of the gateway are its operators.
	#isOwner({ sender, channel }) {
		const id = sender?.id ?? sender, names = ['*', id, `${channel}:${id}`];
		return sender === undefined || [this.config.commands?.ownerAllowFrom ?? []].flat().some((one) => names.includes(String(one).trim()));
	}

	// What a factory is told of a run.
	#toolContext(context) {
		return { config: this.config, workspaceDir: context.workspace ?? this.params.workspaceDir, agentId: context.agent,
			sessionKey: context.session, sessionId: context.sessionId, messageChannel: context.channel || 'webchat',
			agentAccountId: context.account, requesterSenderId: context.sender?.id ?? context.sender ?? 'gateway-client',
			senderIsOwner: this.#isOwner(context), sandboxed: context.sandboxed === true,
			agentDir: path.join(this.params.stateDir, 'agents', context.agent ?? 'main', 'agent') };
	}

	// The names of the tools that there are in a run.
	toolsOffered({ payload }) {
		const names = [], ctx = this.#toolContext(payload ?? {});
		for (const { factory, fixed, resolved } of this.snapshotTools)
			try {
				const made = fixed ? [] : this.tools.resolve(factory, ctx, () => {});
				this.tools.release(made.map((one) => one.tool));
				names.push(...(fixed ? resolved : made).filter((one) => !one.ownerOnly || ctx.senderIsOwner).map((one) => one.name));
			} catch (error) {
				this.logger('tools').error(`${this.info.id}: a tool cannot be made: ${error?.message ?? error}`);
			}
		return { tools: { [this.info.id]: names } };
	}

	// One call of a tool: made by its factory for this context, executed, forgotten.
	async runTool({ factory, name, params, context }, call) {
		const ctx = this.#toolContext(context);
		const made = this.tools.make(factory, ctx, (level, message) => this.registry.diagnostic(level, message));
		const tool = made.find((one) => String(one.name) === name);
		if (!tool || (tool.ownerOnly === true && !ctx.senderIsOwner))
			throw Object.assign(new Error(`${this.info.id} does not offer ${name} here`), { code: 'UNAVAILABLE' });
		return this.tools.run(tool, context.callId ?? '', params, call);
	}

	async command({ command: number, ctx }) {
		const command = this.registry.fn('command', number);
		try {
			return plainData((await command.handler(commandContext(ctx, this.config))) ?? null);
		} catch (error) {
			this.logger('commands').error(`/${command.name} failed: ${error?.stack ?? error}`);
			throw error;
		}
	}

	method({ method, params, client, isWebchatConnect, request }) {
		const handler = this.registry.methods.get(method);
		if (!handler)
			throw Object.assign(new Error(`this plugin has no gateway method ${method}`), { code: 'NOT_FOUND' });
		return new Promise((resolve, reject) => {
			const respond = (ok, payload, error, meta) => resolve({ ok: ok === true, payload: plainData(payload),
				error: error instanceof Error ? { code: 'UNAVAILABLE', message: error.message } : plainData(error), meta: plainData(meta) });
			const context = { broadcast: (event, payload) => void this.link.notify('broadcast', { event, payload: plainData(payload) }),
				logGateway: this.logger('gateway') };
			const req = request ?? { type: 'req', method, params };
			Promise.resolve(handler({ req, params: params ?? {}, client: client ?? null, isWebchatConnect: () => isWebchatConnect === true, respond, context }))
				.catch(reject);
		});
	}

	#serviceContext() {
		return { config: this.config, workspaceDir: this.params.workspaceDir, stateDir: this.params.stateDir, logger: this.logger('') };
	}

	async serviceStart({ service: number }) {
		const service = this.registry.fn('service', number);
		await service.start?.(this.#serviceContext());
		this.started.push(number);
		return null;
	}

	async serviceStop({ service: number }) {
		const service = this.registry.fn('service', number);
		this.started = this.started.filter((one) => one !== number);
		await service.stop?.(this.#serviceContext());
		return null;
	}

	// In reverse order; one that fails does not keep the others.
	async servicesStop() {
		for (const number of [...this.started].reverse())
			try {
				await this.serviceStop({ service: number });
			} catch (error) {
				this.logger('').error(`service ${this.registry.fn('service', number).id}: stop failed: ${error?.message ?? error}`);
			}
		return null;
	}

	async shutdown() {
		await this.#parts.channels?.stopAll();
		await this.#parts.engines?.dispose();
		await this.servicesStop();
		await this.http?.close();
		return null;
	}

	// Tells listener of the gateway's events of a kind; returns what ends it.
	listen(kind, listener) {
		this.listeners ??= new Map();
		if (!this.listeners.has(kind)) {
			this.listeners.set(kind, new Set());
			this.link.notify('listen', { kind });
		}
		this.listeners.get(kind).add(listener);
		return () => void this.listeners.get(kind).delete(listener);
	}

	tell({ kind, payload }) {
		for (const listener of this.listeners?.get(kind) ?? [])
			try {
				listener(payload);
			} catch (error) {
				this.logger('events').error(`a listener for ${kind} events failed: ${error?.stack ?? error}`);
			}
	}

	methods() {
		return {
			init: (params) => this.init(params),
			hook: (params, call) => this.hook(params, call),
			internalHook: (params) => this.internalHook(params),
			'tool.resolve': ({ factory, ctx }) => this.tools.resolve(factory, { ...ctx, config: this.config },
				(level, message) => this.registry.diagnostic(level, message)),
			'tools.offered': (params) => this.toolsOffered(params),
			'tool.run': (params, call) => this.runTool(params, call),
			'tool.execute': (params, call) => this.tools.execute(params, call),
			'tool.release': ({ tools }) => this.tools.release(tools),
			command: (params) => this.command(params),
			method: (params) => this.method(params),
			'provider.renew': ({ credential }) => require('./auth.js').renew(this, credential),
			'service.start': (params) => this.serviceStart(params),
			'service.stop': (params) => this.serviceStop(params),
			'service.stopAll': () => this.servicesStop(),
			shutdown: () => this.shutdown(),
			...Object.fromEntries(Object.entries(PARTS).flatMap(([part, { methods }]) => methods.map((name) => [name, (params, call) => this.#part(part).methods()[name](params, call)]))),
		};
	}

	notes() {
		return { config: (value) => this.configChanged(value), event: (value) => this.tell(value) };
	}
}

module.exports = { Plugin };
