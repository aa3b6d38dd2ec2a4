'use strict';
// Webhooks of channels: which target a request is for, limits on rate and size, and reading its body.

const { STATUS_CODES } = require('node:http');

const BODY = { PAYLOAD_TOO_LARGE: { status: 413, text: STATUS_CODES[413], message: 'PayloadTooLarge' },
	REQUEST_BODY_TIMEOUT: { status: 408, text: STATUS_CODES[408], message: 'RequestBodyTimeout' },
	CONNECTION_CLOSED: { status: 400, text: 'the connection was closed', message: 'RequestBodyConnectionClosed' } };
const READ_LIMITS = { 'pre-auth': { maxBytes: 64 * 1024, timeoutMs: 5000 }, 'post-auth': { maxBytes: 1024 * 1024, timeoutMs: 30000 } };
const DEFAULT_WEBHOOK_MAX_BODY_BYTES = 1024 * 1024;
const DEFAULT_WEBHOOK_BODY_TIMEOUT_MS = 30000;
const maxTrackedKeys = 4096;
const WEBHOOK_IN_FLIGHT_DEFAULTS = Object.freeze({ maxTrackedKeys, maxInFlightPerKey: 8 });
const WEBHOOK_RATE_LIMIT_DEFAULTS = Object.freeze({ maxTrackedKeys, maxRequests: 120, windowMs: 60000 });
const WEBHOOK_ANOMALY_COUNTER_DEFAULTS = Object.freeze({ maxTrackedKeys, logEvery: 25, ttlMs: 6 * 3600000 });
const ANOMALIES = [400, 401, 408, 413, 415, 429];

const atLeast = (least, value) => Math.max(least, Math.floor(value));

// Does it the first time only.
function once(fn) {
	let todo = fn;
	return () => {
		const now = todo;
		todo = undefined;
		now?.();
	};
}

// A Map of bounded size whose first entries are the ones touched longest ago.
class Recent extends Map {
	constructor(max) {
		super();
		this.max = max;
	}

	touch(key, value) {
		this.delete(key);
		this.set(key, value);
		for (const oldest of this.keys()) {
			if (this.size <= this.max)
				break;
			this.delete(oldest);
		}
	}

	dropOlder(than, timeOf) {
		for (const [key, value] of this)
			if (timeOf(value) <= than)
				this.delete(key);
	}
}

// ---- Limits ----

function createFixedWindowRateLimiter({ windowMs: window, maxRequests: most, maxTrackedKeys, pruneIntervalMs }) {
	const windowMs = atLeast(1, window), maxRequests = atLeast(1, most), every = atLeast(1, pruneIntervalMs ?? windowMs);
	const seen = new Recent(atLeast(1, maxTrackedKeys));
	let pruned = 0;
	return {
		isRateLimited(key, now = Date.now()) {
			if (!key)
				return false;
			if (now - pruned >= every) {
				seen.dropOlder(now - windowMs, (entry) => entry.from);
				pruned = now;
			}
			const entry = seen.get(key);
			const next = entry && now - entry.from < windowMs ? { from: entry.from, count: entry.count + 1 } : { from: now, count: 1 };
			seen.touch(key, next);
			return next.count > maxRequests;
		},
		size: () => seen.size,
		clear: () => seen.clear(),
	};
}

function createBoundedCounter({ maxTrackedKeys, ttlMs: ttl = 0, pruneIntervalMs }) {
	const ttlMs = atLeast(0, ttl), every = atLeast(1, pruneIntervalMs ?? (ttlMs || 60000));
	const seen = new Recent(atLeast(1, maxTrackedKeys));
	let pruned = 0;
	return {
		increment(key, now = Date.now()) {
			if (!key)
				return 0;
			if (ttlMs > 0 && now - pruned >= every) {
				seen.dropOlder(now - ttlMs, (entry) => entry.at);
				pruned = now;
			}
			const entry = seen.get(key);
			const count = (entry && !(ttlMs > 0 && now - entry.at >= ttlMs) ? entry.count : 0) + 1;
			seen.touch(key, { count, at: now });
			return count;
		},
		size: () => seen.size,
		clear: () => seen.clear(),
	};
}

function createWebhookAnomalyTracker(options = {}) {
	const { maxTrackedKeys, ttlMs, logEvery, trackedStatusCodes = ANOMALIES } = { ...WEBHOOK_ANOMALY_COUNTER_DEFAULTS, ...options };
	const { increment, size, clear } = createBoundedCounter({ maxTrackedKeys, ttlMs }), every = atLeast(1, logEvery);
	function record({ key, statusCode, message, log, nowMs }) {
		const count = trackedStatusCodes.includes(statusCode) ? increment(key, nowMs) : 0;
		if (count === 1 || (count > 0 && count % every === 0))
			log?.(message(count));
		return count;
	}
	return { record, size, clear };
}

function createWebhookInFlightLimiter(options = {}) {
	const { maxInFlightPerKey, maxTrackedKeys } = { ...WEBHOOK_IN_FLIGHT_DEFAULTS, ...options };
	const active = new Recent(atLeast(1, maxTrackedKeys));
	return {
		tryAcquire(key) {
			const others = active.get(key) ?? 0, may = !key || others < atLeast(1, maxInFlightPerKey);
			if (key && may)
				active.touch(key, others + 1);
			return may;
		},
		release(key) {
			const others = (active.get(key) ?? 0) - 1;
			if (others > 0)
				active.set(key, others);
			else
				active.delete(key);
		},
		clear: () => active.clear(),
		size: () => active.size,
	};
}

// Remembers keys for a while: check() says whether a key was there, and takes it in.
function createDedupeCache({ ttlMs: ttl, maxSize }) {
	const ttlMs = Math.max(0, ttl), max = atLeast(0, maxSize);
	const seen = new Recent(max);
	const fresh = (key, now) => {
		const at = seen.get(key);
		if (at !== undefined && ttlMs > 0 && now - at >= ttlMs)
			seen.delete(key);
		return seen.has(key);
	};
	return {
		check(key, now = Date.now()) {
			if (!key)
				return false;
			const known = fresh(key, now);
			seen.touch(key, now);
			if (!known && ttlMs > 0)
				seen.dropOlder(now - ttlMs - 1, (at) => at);
			return known;
		},
		peek: (key, now = Date.now()) => Boolean(key) && fresh(key, now),
		delete: (key) => void seen.delete(key),
		clear: () => seen.clear(),
		size: () => seen.size,
	};
}

// ---- Bodies ----

class RequestBodyLimitError extends Error {
	constructor({ code, message }) {
		super(message ?? BODY[code].message);
		this.name = 'RequestBodyLimitError';
		this.code = code;
		this.statusCode = BODY[code].status;
	}
}

const isRequestBodyLimitError = (error, code) => error instanceof RequestBodyLimitError && (!code || error.code === code);
const requestBodyErrorToText = (code) => BODY[code]?.text;
const declared = (req) => {
	const length = Number(req.headers?.['content-length']);
	return Number.isFinite(length) && length >= 0 ? length : 0;
};
const limitsOf = ({ maxBytes, timeoutMs }) => ({
	maxBytes: Number.isFinite(maxBytes) ? atLeast(1, maxBytes) : DEFAULT_WEBHOOK_MAX_BODY_BYTES,
	timeoutMs: Number.isFinite(timeoutMs) && timeoutMs > 0 ? atLeast(1, timeoutMs) : DEFAULT_WEBHOOK_BODY_TIMEOUT_MS,
});

function readRequestBodyWithLimit(req, options) {
	const { maxBytes, timeoutMs } = limitsOf(options);
	return new Promise((resolve, reject) => {
		const chunks = [];
		let bytes = 0, timer;
		const listeners = {
			data(chunk) {
				const piece = Buffer.isBuffer(chunk) ? chunk : Buffer.from(chunk);
				bytes += piece.length;
				if (bytes > maxBytes)
					fail('PAYLOAD_TOO_LARGE');
				else
					chunks.push(piece);
			},
			end: () => settle(resolve, Buffer.concat(chunks).toString(options.encoding ?? 'utf8')),
			error: (error) => settle(reject, error),
			close: () => settle(reject, new RequestBodyLimitError({ code: 'CONNECTION_CLOSED' })),
		};
		const settle = (how, value) => {
			clearTimeout(timer);
			for (const [event, fn] of Object.entries(listeners))
				req.removeListener(event, fn);
			how(value);
		};
		const fail = (code) => {
			settle(reject, new RequestBodyLimitError({ code }));
			if (!req.destroyed)
				req.destroy();
		};
		if (declared(req) > maxBytes)
			return fail('PAYLOAD_TOO_LARGE');
		timer = setTimeout(() => fail('REQUEST_BODY_TIMEOUT'), timeoutMs);
		for (const [event, fn] of Object.entries(listeners))
			req.on(event, fn);
	});
}

async function readJsonBodyWithLimit(req, options) {
	const wrong = (code, error) => ({ code, error, ok: false });
	try {
		const text = (await readRequestBodyWithLimit(req, options)).trim();
		if (text === '' && options.emptyObjectOnEmpty === false)
			return wrong('INVALID_JSON', 'the body is empty');
		return { value: JSON.parse(text || '{}'), ok: true };
	} catch (error) {
		return isRequestBodyLimitError(error) ? wrong(error.code, requestBodyErrorToText(error.code)) : wrong('INVALID_JSON', error?.message ?? String(error));
	}
}

// For handlers that read the body themselves: answers and ends the request when it is too much.
function installRequestBodyLimitGuard(req, res, options) {
	const { maxBytes, timeoutMs } = limitsOf(options);
	let bytes = 0, reason = null, timer;
	const dispose = () => {
		clearTimeout(timer);
		for (const [event, fn] of Object.entries(listeners))
			req.removeListener(event, fn);
	};
	const trip = (code) => {
		if (reason)
			return;
		reason = code;
		dispose();
		const text = options.responseText?.[code] ?? requestBodyErrorToText(code), plain = options.responseFormat === 'text';
		if (!res.headersSent) {
			res.statusCode = BODY[code].status;
			res.setHeader('Content-Type', plain ? 'text/plain; charset=utf-8' : 'application/json; charset=utf-8');
			res.end(plain ? text : JSON.stringify({ error: text }));
		}
		if (!req.destroyed)
			req.destroy();
	};
	const listeners = {
		data(chunk) {
			bytes += Buffer.byteLength(chunk);
			if (bytes > maxBytes)
				trip('PAYLOAD_TOO_LARGE');
		},
		end: dispose, close: dispose, error: dispose,
	};
	timer = setTimeout(() => trip('REQUEST_BODY_TIMEOUT'), timeoutMs);
	for (const [event, fn] of Object.entries(listeners))
		req.on(event, fn);
	if (declared(req) > maxBytes)
		trip('PAYLOAD_TOO_LARGE');
	return { dispose, isTripped: () => reason !== null, code: () => reason };
}

function answer(res, status, text = STATUS_CODES[status]) {
	res.statusCode = status;
	res.end(text);
}

const readLimits = ({ maxBytes, timeoutMs, profile }) => {
	const usual = READ_LIMITS[profile === 'pre-auth' ? profile : 'post-auth'];
	const own = (value, otherwise) => (Number.isFinite(value) && value > 0 ? Math.floor(value) : otherwise);
	return { maxBytes: own(maxBytes, usual.maxBytes), timeoutMs: own(timeoutMs, usual.timeoutMs) };
};

function refuseBody(res, code, otherwise) {
	answer(res, BODY[code]?.status ?? 400, BODY[code]?.text ?? otherwise);
	return { ok: false };
}

async function readWebhookBodyOrReject({ req, res, invalidBodyMessage, ...limits }) {
	try {
		return { ok: true, value: await readRequestBodyWithLimit(req, readLimits(limits)) };
	} catch (error) {
		return refuseBody(res, error?.code, invalidBodyMessage ?? error?.message);
	}
}

async function readJsonWebhookBodyOrReject({ req, res, invalidJsonMessage, emptyObjectOnEmpty, ...limits }) {
	const body = await readJsonBodyWithLimit(req, { ...readLimits(limits), emptyObjectOnEmpty });
	return body.ok ? { ok: true, value: body.value } : refuseBody(res, body.code, invalidJsonMessage);
}

// ---- Guards before a handler ----

const isJsonContentType = (value) => {
	const type = (Array.isArray(value) ? value[0] : value)?.split(';', 1)[0].trim().toLowerCase();
	return type === 'application/json' || Boolean(type?.startsWith('application/') && type.endsWith('+json'));
};

function applyBasicWebhookRequestGuards({ req, res, allowMethods = [], rateLimiter, rateLimitKey, nowMs, requireJsonContentType }) {
	if (allowMethods.length > 0 && !allowMethods.includes(req.method ?? '')) {
		res.setHeader('Allow', allowMethods.join(', '));
		answer(res, 405);
	} else if (rateLimiter && rateLimitKey && rateLimiter.isRateLimited(rateLimitKey, nowMs ?? Date.now())) {
		answer(res, 429);
	} else if (requireJsonContentType && req.method === 'POST' && !isJsonContentType(req.headers['content-type'])) {
		answer(res, 415);
	} else {
		return true;
	}
	return false;
}

function beginWebhookRequestPipelineOrReject(p) {
	if (!applyBasicWebhookRequestGuards(p))
		return { ok: false };
	const limited = p.inFlightLimiter && p.inFlightKey;
	if (limited && !p.inFlightLimiter.tryAcquire(p.inFlightKey)) {
		answer(p.res, p.inFlightLimitStatusCode ?? 429, p.inFlightLimitMessage);
		return { ok: false };
	}
	return { release: once(() => limited && p.inFlightLimiter.release(p.inFlightKey)), ok: true };
}

// ---- Targets by path ----

function normalizeWebhookPath(raw) {
	const text = raw.trim();
	const slashed = text.startsWith('/') ? text : `/${text}`;
	return slashed.length > 1 && slashed.endsWith('/') ? slashed.slice(0, -1) : slashed;
}

function resolveWebhookPath({ webhookPath, webhookUrl, defaultPath }) {
	if (webhookPath?.trim())
		return normalizeWebhookPath(webhookPath);
	if (!webhookUrl?.trim())
		return defaultPath ?? null;
	try {
		return normalizeWebhookPath(new URL(webhookUrl).pathname || '/');
	} catch {
		return null;
	}
}

const teardowns = new WeakMap();

function registerWebhookTarget(targetsByPath, given, { onFirstPathTarget, onLastPathTargetRemoved } = {}) {
	const path = normalizeWebhookPath(given.path), target = { ...given, path };
	if (!teardowns.has(targetsByPath))
		teardowns.set(targetsByPath, new Map());
	const ends = teardowns.get(targetsByPath), before = targetsByPath.get(path) ?? [];
	if (before.length === 0) {
		const end = onFirstPathTarget?.({ path, target });
		if (typeof end === 'function')
			ends.set(path, end);
	}
	targetsByPath.set(path, [...before, target]);
	const pathIsFree = () => {
		const end = ends.get(path);
		targetsByPath.delete(path);
		ends.delete(path);
		end?.();
		onLastPathTargetRemoved?.({ path });
	};
	return { target, unregister: once(() => {
		const others = targetsByPath.get(path)?.filter((one) => one !== target) ?? [];
		if (others.length === 0)
			pathIsFree();
		else
			targetsByPath.set(path, others);
	}) };
}

function resolveWebhookTargets(req, targetsByPath) {
	const { pathname } = new URL(req.url || '/', 'http://localhost'), path = normalizeWebhookPath(pathname);
	const targets = targetsByPath.get(path) ?? [];
	return targets.length === 0 ? null : { targets, path };
}

async function withResolvedWebhookRequestPipeline(p) {
	const { req } = p, found = resolveWebhookTargets(req, p.targetsByPath);
	if (found) {
		const key = typeof p.inFlightKey === 'function' ? p.inFlightKey({ ...found, req }) : p.inFlightKey;
		const begun = beginWebhookRequestPipelineOrReject({ ...p, inFlightKey: key ?? `${found.path}:${req.socket?.remoteAddress ?? 'unknown'}` });
		if (begun.ok)
			await (async () => p.handle(found))().finally(begun.release);
	}
	return found !== null;
}

const pickTarget = (hits) => (hits.length === 1 ? { kind: 'single', target: hits[0] } : { kind: hits.length === 0 ? 'none' : 'ambiguous' });
const resolveSingleWebhookTarget = (targets, isMatch) => pickTarget(targets.filter((target) => isMatch(target)));
async function resolveSingleWebhookTargetAsync(targets, isMatch) {
	const hits = [];
	for (const target of targets)
		if (await isMatch(target))
			hits.push(target);
	return pickTarget(hits);
}

// The target, or null when the request was refused: it is for none of them, or for more than one.
function targetOrReject(p, { kind, target = null }) {
	if (kind === 'none')
		answer(p.res, p.unauthorizedStatusCode ?? 401, p.unauthorizedMessage);
	if (kind === 'ambiguous')
		answer(p.res, p.ambiguousStatusCode ?? 401, p.ambiguousMessage ?? 'several targets take this request');
	return target;
}
const resolveWebhookTargetWithAuthOrRejectSync = (p) => targetOrReject(p, resolveSingleWebhookTarget(p.targets, p.isMatch));
const resolveWebhookTargetWithAuthOrReject = async (p) => targetOrReject(p, await resolveSingleWebhookTargetAsync(p.targets, p.isMatch));

function rejectNonPostWebhookRequest(req, res) {
	return !applyBasicWebhookRequestGuards({ req, res, allowMethods: ['POST'] });
}

module.exports = (plugin, sdk) => {
	// A route made while the plugin runs; returns what takes it away.
	function registerPluginHttpRoute({ path, fallbackPath, handler, auth, match, replaceExisting, accountId, log }) {
		const at = [path, fallbackPath].map((one) => one?.trim()).find(Boolean);
		if (!at) {
			log?.(`webhook${accountId ? ` of account "${accountId}"` : ''}: no path is given`);
			return () => {};
		}
		return plugin.addRoute({ path: at, handler, auth, match, replaceExisting }, log);
	}

	const registerWebhookTargetWithPluginRoute = ({ targetsByPath, target, route, onLastPathTargetRemoved }) => registerWebhookTarget(targetsByPath, target, {
		onFirstPathTarget: ({ path }) => sdk.registerPluginHttpRoute({ ...route, path, replaceExisting: route.replaceExisting ?? true }),
		onLastPathTargetRemoved });

	return { DEFAULT_WEBHOOK_BODY_TIMEOUT_MS, DEFAULT_WEBHOOK_MAX_BODY_BYTES, RequestBodyLimitError, WEBHOOK_ANOMALY_COUNTER_DEFAULTS,
		WEBHOOK_IN_FLIGHT_DEFAULTS, WEBHOOK_RATE_LIMIT_DEFAULTS, applyBasicWebhookRequestGuards, beginWebhookRequestPipelineOrReject,
		createBoundedCounter, createDedupeCache, createFixedWindowRateLimiter, createWebhookAnomalyTracker, createWebhookInFlightLimiter,
		installRequestBodyLimitGuard, isJsonContentType, isRequestBodyLimitError, normalizeWebhookPath, readJsonBodyWithLimit,
		readJsonWebhookBodyOrReject, readRequestBodyWithLimit, readWebhookBodyOrReject, registerPluginHttpRoute, registerWebhookTarget,
		registerWebhookTargetWithPluginRoute, rejectNonPostWebhookRequest, requestBodyErrorToText, resolveSingleWebhookTarget,
		resolveSingleWebhookTargetAsync, resolveWebhookPath, resolveWebhookTargetWithAuthOrReject, resolveWebhookTargetWithAuthOrRejectSync,
		resolveWebhookTargets, withResolvedWebhookRequestPipeline };
};
