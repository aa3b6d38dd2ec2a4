'use strict';
// Work that goes on: commands with a time limit, queues by key, lives that end with a signal, logs.
const { format } = require('node:util');
const fs = require('node:fs');
const { setTimeout: delay } = require('node:timers/promises');

const sleep = (ms) => delay(Number(ms));

async function waitForAbortSignal(signal) {
	if (signal && !signal.aborted)
		await new Promise((resolve) => signal.addEventListener('abort', resolve, { once: true }));
}

// An account that only waits for requests: started, kept until the signal, stopped.
async function runPassiveAccountLifecycle({ start, stop, onStop, abortSignal }) {
	const handle = await start();
	try {
		if (abortSignal)
			await waitForAbortSignal(abortSignal);
		else
			await new Promise(() => {});
	} finally {
		await stop?.(handle);
		await onStop?.();
	}
}

// Ends when the server is closed; what the signal started is waited for.
async function keepHttpServerTaskAlive({ server, abortSignal, onAbort }) {
	let aborting;
	const abort = () => (aborting ??= Promise.resolve(onAbort?.()));
	const closed = new Promise((resolve) => server.once('close', resolve));
	if (abortSignal?.aborted)
		abort();
	abortSignal?.addEventListener('abort', abort, { once: true });
	await closed;
	abortSignal?.removeEventListener('abort', abort);
	await aborting;
}

// One after the other for each key, side by side for different ones; a failure does not stop those behind it.
function enqueueKeyedTask({ tails, key, task, hooks }) {
	hooks?.onEnqueue?.();
	const run = (tails.get(key) ?? Promise.resolve()).then(task).finally(() => hooks?.onSettle?.());
	const tail = run.then(() => {}, () => {});
	tails.set(key, tail);
	void tail.then(() => tails.get(key) === tail && tails.delete(key));
	return run;
}

class KeyedAsyncQueue {
	#tails = new Map();
	getTailMapForTesting = () => this.#tails;
	enqueue = (key, task, hooks) => enqueueKeyedTask({ hooks, key, tails: this.#tails, task });
}

// ---- Programs to start ----

const resolveWindowsSpawnProgramCandidate = ({ command }) => ({ command, leadingArgv: [], resolution: 'direct' });
const applyWindowsSpawnProgramPolicy = ({ candidate: { command, leadingArgv, resolution, windowsHide } }) => ({ command, leadingArgv, resolution, windowsHide });
const materializeWindowsSpawnProgram = ({ leadingArgv, ...program }, argv) => ({ ...program, argv: leadingArgv.concat(argv) });
const resolveWindowsSpawnProgram = (params) => applyWindowsSpawnProgramPolicy({ candidate: resolveWindowsSpawnProgramCandidate(params) });

function omitEnvKeysCaseInsensitive(env, keys) {
	const names = new Set([...keys].map((key) => key.trim().toUpperCase()));
	return Object.fromEntries(Object.entries(env).filter(([name]) => !names.has(name.toUpperCase())));
}

function isWSL2Sync() {
	try {
		return /wsl2|microsoft-standard/i.test(fs.readFileSync('/proc/version', 'utf8'));
	} catch {
		return false;
	}
}

// ---- Logs ----

const createLoggerBackedRuntime = ({ logger, exitError }) => ({
	log: (...args) => logger.info(format(...args)),
	error: (...args) => logger.error(format(...args)),
	exit: (code) => {
		throw exitError?.(code) ?? new Error(`exit ${code}`);
	},
});
const resolveRuntimeEnv = (params) => params.runtime ?? createLoggerBackedRuntime(params);

const SECRETS = [
	/\b([A-Z0-9_]*(?:KEY|TOKEN|SECRET|PASSWORD|PASSWD)\b\s*[=:]\s*["']?)([^\s"',;]{6,})/g,
	/("(?:apiKey|token|secret|password|passwd|accessToken|refreshToken)"\s*:\s*")([^"]+)/gi,
	/(--(?:api-?key|token|secret|password)[= ]["']?)([^\s"']+)/gi,
	/(authorization\s*[:=]\s*(?:bearer|basic)\s+)([\w.~+/=-]+)/gi,
	/(\bbearer\s+)([\w.~+/=-]{16,})/gi,
	/()\b((?:sk|rk|pk)-[\w-]{8,}|gh[pousr]_\w{16,}|github_pat_\w{20,}|xox[abprs]-[\w-]{10,}|xapp-[\w-]{10,}|gsk_[\w-]{10,}|AIza[\w-]{20,}|pplx-[\w-]{10,}|npm_\w{10,}|\d{6,}:[\w-]{20,})/g,
	/()(-----BEGIN [A-Z ]*PRIVATE KEY-----[\s\S]+?-----END [A-Z ]*PRIVATE KEY-----)/g,
];
const hidden = (secret) => (secret.length < 18 || secret.includes('\n') ? '***' : `${secret.slice(0, 6)}…${secret.slice(-4)}`);

// A text without what looks like a secret in it.
function redactSensitiveText(text, options) {
	if (!text || options?.mode === 'off')
		return text;
	const own = (options?.patterns ?? []).map((pattern) => (pattern instanceof RegExp ? pattern : new RegExp(pattern, 'gi')));
	const seen = own.reduce((out, pattern) => out.replace(pattern, hidden), text);
	return SECRETS.reduce((out, pattern) => out.replace(pattern, (_all, before, secret) => before + hidden(secret)), seen);
}

// What went wrong, in words that may be shown.
function formatErrorMessage(error) {
	const plain = error === null || typeof error !== 'object' ? String(error) : error instanceof Error ? error.message || error.name : undefined;
	try {
		return redactSensitiveText(plain ?? JSON.stringify(error));
	} catch {
		return Object.prototype.toString.call(error);
	}
}

// Ends when the signal is aborted and onAbort is done; without a signal never.
async function waitUntilAbort(signal, onAbort) {
	await (signal ? waitForAbortSignal(signal) : new Promise(() => {}));
	await onAbort?.();
}

module.exports = (plugin) => {
	// {code, stdout, stderr}; never throws.
	async function runPluginCommandWithTimeout({ argv, timeoutMs, cwd, env }) {
		const failed = (stderr) => ({ code: 1, stdout: '', stderr });
		if (!argv[0])
			return failed('there is no command to run');
		try {
			const ended = await plugin.runtime.system.runCommandWithTimeout(argv, { cwd, env, timeoutMs }), { stdout, stderr } = ended;
			return { stdout, code: ended.code ?? 1, stderr: stderr || (ended.killed ? `${argv[0]}: not done after ${timeoutMs} ms` : '') };
		} catch (error) {
			return failed(error?.message ?? String(error));
		}
	}

	let seq = 0;
	const listeners = new Set(); // of what the plugin itself emits, too
	const onDiagnosticEvent = (listener) => {
		const one = (event) => listener({ ...event, seq: ++seq, ts: Date.now() }), end = plugin.listen('diagnostic', one);
		listeners.add(one);
		return () => {
			listeners.delete(one);
			end?.();
		};
	};
	const emitDiagnosticEvent = (event) => {
		for (const listener of listeners)
			try {
				listener(event);
			} catch (error) {
				plugin.logger('diagnostics').error(`a listener of ${event.type} failed: ${formatErrorMessage(error)}`);
			}
	};
	// A plugin gets its own lines, not the whole gateway's.
	const registerLogTransport = (transport) => plugin.listenToLog(transport);
	const createSubsystemLogger = (name) => {
		const logger = plugin.logger(name);
		return { ...logger, subsystem: name, raw: logger.info, isEnabled: () => true, child: (part) => createSubsystemLogger(`${name}/${part}`) };
	};
	const getChildLogger = (bindings) => plugin.logger(bindings?.module ?? bindings?.subsystem ?? '');

	return { KeyedAsyncQueue, applyWindowsSpawnProgramPolicy, createLoggerBackedRuntime, createSubsystemLogger, emitDiagnosticEvent, enqueueKeyedTask, formatErrorMessage, getChildLogger,
		isWSL2Sync, keepHttpServerTaskAlive, materializeWindowsSpawnProgram, omitEnvKeysCaseInsensitive, onDiagnosticEvent,
		redactSensitiveText, registerLogTransport, resolveRuntimeEnv, resolveWindowsSpawnProgram, resolveWindowsSpawnProgramCandidate,
		runPassiveAccountLifecycle, runPluginCommandWithTimeout, sleep, waitForAbortSignal, waitUntilAbort };
};
