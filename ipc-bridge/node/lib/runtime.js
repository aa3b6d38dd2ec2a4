'use strict';
// api.runtime: what is synchronous in the original is answered here, from what the gateway sent; the rest is a call to it.
const { spawn } = require('node:child_process');

const COMPATIBLE_VERSION = '2026.6.11';

function createRuntime(plugin, params) {
	const call = (name, options) => (...args) => plugin.link.call(name, args, options);
	const runtime = {
		version: COMPATIBLE_VERSION,
		config: {
			loadConfig: () => plugin.config,
			current: () => plugin.config,
			writeConfigFile: call('config.writeConfigFile'),
			mutateConfigFile: call('config.mutateConfigFile'),
			replaceConfigFile: call('config.replaceConfigFile'),
		},
		state: { resolveStateDir: () => params.stateDir },
		system: {
			enqueueSystemEvent: (text, options) => void plugin.link.call('system.event', [text, options]).catch(() => {}),
			requestHeartbeatNow: (options) => void plugin.link.call('system.requestHeartbeatNow', [options]).catch(() => {}),
			runCommandWithTimeout,
			formatNativeDependencyHint: ({ packageName, manager = 'pnpm' }) => `Install it by hand: ${manager} add ${packageName}`,
		},
		logging: {
			shouldLogVerbose: () => params.verbose === true,
			getChildLogger: (bindings) => plugin.logger(bindings?.module ?? bindings?.subsystem ?? ''),
		},
		events: {
			onAgentEvent: (listener) => plugin.listen('agent', listener),
			onSessionTranscriptUpdate: (listener) => plugin.listen('transcript', listener),
		},
		subagent: {
			run: call('subagent.run'),
			waitForRun: call('subagent.waitForRun'),
			getSessionMessages: call('subagent.getSessionMessages'),
			getSession: call('subagent.getSession'),
			deleteSession: call('subagent.deleteSession'),
		},
	};
	return named(runtime, '', plugin);
}

// A part that is not there fails by name when it is called, and is told to `plugins doctor`.
function named(value, at, plugin) {
	return new Proxy(value, {
		get(target, key) {
			if (typeof key === 'symbol' || key in target) {
				const found = target[key];
				return found !== null && typeof found === 'object' && Object.getPrototypeOf(found) === Object.prototype && typeof key === 'string'
					? named(found, at ? `${at}.${key}` : key, plugin) : found;
			}
			if (key === 'then' || key === 'toJSON')
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

// {stdout, stderr, code, signal, killed}.
function runCommandWithTimeout(argv, options = {}) {
	const { timeoutMs, cwd, input, env } = typeof options === 'number' ? { timeoutMs: options } : options;
	return new Promise((resolve, reject) => {
		const child = spawn(argv[0], argv.slice(1), { cwd, env: { ...process.env, ...env }, stdio: [input === undefined ? 'inherit' : 'pipe', 'pipe', 'pipe'] });
		let stdout = '', stderr = '';
		const timer = timeoutMs > 0 ? setTimeout(() => child.kill('SIGKILL'), timeoutMs) : undefined;
		child.stdout.setEncoding('utf8').on('data', (text) => (stdout += text));
		child.stderr.setEncoding('utf8').on('data', (text) => (stderr += text));
		child.on('error', (error) => {
			clearTimeout(timer);
			reject(error);
		});
		child.on('close', (code, signal) => {
			clearTimeout(timer);
			resolve({ stdout, stderr, code, signal, killed: child.killed });
		});
		if (input !== undefined)
			child.stdin.end(input);
	});
}

module.exports = { createRuntime, COMPATIBLE_VERSION };
