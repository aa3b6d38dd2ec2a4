'use strict';
// api.runtime: what is synchronous in the original is answered here, from what the gateway sent; the rest is a call to it.
const path = require('node:path');
const { configChanges } = require('./config_diff.js');
const policy = () => require('./policy.js'); // by those who ask for agents

const COMPATIBLE_VERSION = '2026.6.11';
const OUTPUT_MAX = 16 << 20;

function createRuntime(plugin, params) {
	const ask = (name) => (...args) => plugin.link.call(name, args);
	const tell = (name) => (...args) => {
		plugin.link.call(name, args).catch((error) => plugin.logger('runtime').warn(`${name}: ${error.message}`));
		return true;
	};
	let channel;
	const runtime = {
		version: COMPATIBLE_VERSION,
		config: createConfig(plugin),
		state: { resolveStateDir: () => params.stateDir },
		system: {
			enqueueSystemEvent: tell('system.event'),
			requestHeartbeatNow: (options) => void tell('system.heartbeat')(options ?? {}),
			runCommandWithTimeout,
			formatNativeDependencyHint: ({ packageName, manager = 'pnpm', approveBuildsCommand, rebuildCommand, downloadCommand }) => {
				const steps = [approveBuildsCommand ?? (manager === 'pnpm' ? 'pnpm approve-builds' : undefined),
					rebuildCommand ?? `${manager} rebuild ${packageName}`, downloadCommand];
				return `The native part of ${packageName} is made with: ${steps.filter(Boolean).join('; ')}`;
			},
		},
		// Loaded by those who use it.
		get media() {
			const { loadWebMedia, detectMime, mediaKindFromMime, isVoiceCompatibleAudio, getImageMetadata } = require('./media.js');
			return { loadWebMedia, detectMime, mediaKindFromMime, isVoiceCompatibleAudio, getImageMetadata };
		},
		tools: createMemoryTools(plugin),
		logging: {
			shouldLogVerbose: () => params.verbose === true,
			getChildLogger: (bindings) => plugin.logger(bindings?.module ?? bindings?.subsystem ?? bindings?.channel ?? bindings?.plugin ?? ''),
		},
		events: {
			onAgentEvent: (listener) => plugin.listen('agent', withText(listener)),
			onSessionTranscriptUpdate: (listener) => plugin.listen('transcript', listener),
		},
		subagent: {
			run: ask('subagent.run'),
			waitForRun: ask('subagent.waitForRun'),
			getSessionMessages: ask('subagent.getSessionMessages'),
			getSession: ask('subagent.getSessionMessages'),
			deleteSession: ask('subagent.deleteSession'),
		},
		agent: createAgent(plugin, params),
		modelAuth: createModelAuth(plugin),
		get channel() {
			return (channel ??= require('./channel_runtime.js').createChannelRuntime(plugin, params));
		},
	};
	return named(runtime, '', plugin);
}

// ---- Configuration ----

function createConfig(plugin) {
	// The gateway checks each value that differs, and writes those; what is true of the file is true here at once.
	const write = async (next) => {
		const changes = configChanges(plugin.config, next);
		if (changes.length > 0)
			await plugin.link.call('config.write', [changes]);
		plugin.configChanged({ config: structuredClone(next) });
		return { changed: changes.map((change) => change.path) };
	};
	return {
		loadConfig: () => plugin.config,
		current: () => plugin.config,
		writeConfigFile: async (next) => void (await write(next)),
		replaceConfigFile: async ({ nextConfig }) => write(nextConfig),
		mutateConfigFile: async ({ mutate }) => {
			const draft = structuredClone(plugin.config), result = await mutate(draft, { snapshot: plugin.config });
			await write(draft);
			return { result, nextConfig: plugin.config };
		},
	};
}

// ---- Events: pieces of the answer come with all that was said before them ----

function withText(listener) {
	const said = new Map();
	return (event) => {
		if (event.stream === 'assistant') {
			const text = (said.get(event.runId) ?? '') + (event.data.delta ?? '');
			said.set(event.runId, text);
			listener({ ...event, data: { ...event.data, text } });
			return;
		}
		if (event.stream === 'lifecycle' && event.data.phase !== 'start')
			said.delete(event.runId);
		listener(event);
	};
}

// ---- The gateway's memory tools, for plugins that hand them on ----

function createMemoryTools(plugin) {
	const tool = (name, label, description, parameters) => ({ agentSessionKey, config: _config } = {}) => ({
		name, label, description, parameters,
		execute: async (_id, args) => {
			const result = await plugin.link.call('memory.tool', [name, args ?? {}, { sessionKey: agentSessionKey }]);
			return { content: result.content ?? [], details: result.details };
		},
	});
	return {
		createMemorySearchTool: tool('memory_search', 'Memory Search', 'Searches what was written down in MEMORY.md and memory/*.md.',
			{ type: 'object', properties: { query: { type: 'string' }, maxResults: { type: 'number' }, minScore: { type: 'number' } }, required: ['query'] }),
		createMemoryGetTool: tool('memory_get', 'Memory Get', 'Reads a part of MEMORY.md or memory/*.md.',
			{ type: 'object', properties: { path: { type: 'string' }, from: { type: 'number' }, lines: { type: 'number' } }, required: ['path'] }),
		// `openclaw memory` is a command of the gateway's own: the program has it already.
		registerMemoryCli: () => {},
	};
}

// ---- Keys: those the plugin may see ----

function createModelAuth(plugin) {
	const resolve = async ({ provider }) => {
		const key = plugin.config.models?.providers?.[provider]?.apiKey;
		if (typeof key === 'string' && key !== '' && key !== '***')
			return { apiKey: key, source: `models.providers.${provider}.apiKey`, mode: 'api-key' };
		const name = `${String(provider).toUpperCase().replace(/[^A-Z0-9]+/g, '_')}_API_KEY`;
		if (process.env[name])
			return { apiKey: process.env[name], source: `env: ${name}`, mode: 'api-key' };
		plugin.missing('env', name);
		throw Object.assign(new Error(`${provider}: no API key that this plugin may see; plugins.entries.${plugin.info?.id ?? plugin.params.id}.env: ["${name}"] ` +
			'grants the variable, fullConfig: true the configuration'), { code: 'DENIED' });
	};
	return { resolveApiKeyForProvider: resolve, getApiKeyForModel: ({ model }) => resolve({ provider: model?.provider }) };
}

// ---- Agents ----

function createAgent(plugin, params) {
	const workspace = (cfg, id) => {
		const given = policy().agentEntry(cfg, id)?.workspace;
		return given ? path.resolve(given.replace(/^~(?=\/|$)/, require('node:os').homedir())) : params.workspaceDir;
	};
	const run = async (given) => {
		const { prompt, provider, model, timeoutMs, disableTools, sessionKey, extraSystemPrompt, thinkLevel, streamParams } = given;
		const began = Date.now();
		const done = await plugin.link.call('agent.run', [{ prompt, sessionKey, extraSystem: extraSystemPrompt, timeoutMs, noTools: disableTools === true,
			model: model && provider && !String(model).startsWith(`${provider}/`) ? `${provider}/${model}` : model ?? undefined, thinking: thinkLevel,
			maxTokens: streamParams?.maxTokens, temperature: streamParams?.temperature }]);
		if (done.status !== 'ok')
			throw new Error(done.error?.message ?? `the run ended: ${done.status}`);
		const used = String(done.model ?? '');
		return { payloads: done.text ? [{ text: done.text }] : [], meta: { durationMs: Date.now() - began, stopReason: done.stopReason,
			agentMeta: { sessionId: given.sessionId ?? '', provider: used.split('/')[0], model: used.split('/').slice(1).join('/'), usage: done.usage } } };
	};
	return {
		defaults: { model: undefined, provider: undefined },
		resolveAgentDir: (_cfg, id) => path.join(params.stateDir, 'agents', policy().agentId(id), 'agent'),
		resolveAgentWorkspaceDir: (cfg, id) => workspace(cfg, id),
		resolveAgentIdentity: (cfg, id) => policy().agentEntry(cfg, id)?.identity,
		resolveThinkingDefault: ({ cfg } = {}) => cfg?.agents?.defaults?.thinkingDefault ?? 'off',
		resolveAgentTimeoutMs: ({ cfg, overrideSeconds } = {}) => 1000 * (overrideSeconds ?? cfg?.agents?.defaults?.timeoutSeconds ?? 600),
		ensureAgentWorkspace: async (options) => ({ dir: options?.dir ?? params.workspaceDir }),
		runEmbeddedPiAgent: run,
		runEmbeddedAgent: run,
	};
}

// ---- Programs: in the plugin's own sandbox ----

// {pid, stdout, stderr, code, signal, killed, termination, noOutputTimedOut}.
function runCommandWithTimeout(argv, options = {}) {
	const { timeoutMs, cwd, input, env, noOutputTimeoutMs } = typeof options === 'number' ? { timeoutMs: options } : options;
	return new Promise((resolve, reject) => {
		const child = require('node:child_process').spawn(argv[0], argv.slice(1), { cwd, env: { ...process.env, ...env }, detached: true,
			stdio: [input === undefined ? 'ignore' : 'pipe', 'pipe', 'pipe'] });
		const out = { stdout: '', stderr: '' };
		let why = 'exit', quiet;
		const end = (reason) => {
			why = reason;
			try {
				process.kill(-child.pid, 'SIGKILL'); // what it started, too
			} catch {
				child.kill('SIGKILL');
			}
		};
		const timer = timeoutMs > 0 ? setTimeout(() => end('timeout'), timeoutMs) : undefined;
		const awake = () => {
			clearTimeout(quiet);
			if (noOutputTimeoutMs > 0)
				quiet = setTimeout(() => end('no-output-timeout'), noOutputTimeoutMs);
		};
		awake();
		for (const name of ['stdout', 'stderr'])
			child[name].setEncoding('utf8').on('data', (piece) => {
				awake();
				if (out[name].length < OUTPUT_MAX)
					out[name] += piece;
			});
		const over = () => {
			clearTimeout(timer);
			clearTimeout(quiet);
		};
		child.on('error', (error) => {
			over();
			reject(error);
		});
		child.on('close', (code, signal) => {
			over();
			resolve({ pid: child.pid, ...out, code, signal, killed: child.killed || why !== 'exit', termination: why !== 'exit' ? why : signal ? 'signal' : 'exit',
				noOutputTimedOut: why === 'no-output-timeout' });
		});
		if (input !== undefined) {
			child.stdin.on('error', () => {});
			child.stdin.end(input);
		}
	});
}

// ---- What is not there ----

// Whatever the original has in these parts is here: plugins that look for something else there find that it is not.
const WHOLE = new Set(['config', 'state', 'system', 'logging', 'events']);

// A part that is not there fails by name when it is called, and is told to `plugins doctor`.
function named(value, at, plugin) {
	return new Proxy(value, {
		get(target, key) {
			if (typeof key === 'symbol' || key in target) {
				const found = target[key];
				return found !== null && typeof found === 'object' && Object.getPrototypeOf(found) === Object.prototype && typeof key === 'string'
					? named(found, at ? `${at}.${key}` : key, plugin) : found;
			}
			if (key === 'then' || key === 'toJSON' || WHOLE.has(at))
				return undefined;
			return absent(at ? `${at}.${String(key)}` : String(key), plugin);
		},
	});
}

function absent(name, plugin) {
	const fail = function () {
		plugin.missing('runtime', name);
		throw Object.assign(new Error(`api.runtime.${name} is not there in this gateway`), { code: 'UNSUPPORTED' });
	};
	return new Proxy(fail, { get: (target, key) => (typeof key === 'symbol' || key in target || key === 'then' ? target[key] : absent(`${name}.${String(key)}`, plugin)) });
}

module.exports = { createRuntime, runCommandWithTimeout, COMPATIBLE_VERSION };
