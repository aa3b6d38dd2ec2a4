'use strict';
// Small pure helpers that most plugins share: ids, parameters of tools, results, pairing texts.

const DEFAULT_ACCOUNT_ID = 'default';

// Lower case, letters, digits, - and _, at most 64; none for nothing, and for what an object has by itself.
function normalizeOptionalAccountId(value) {
	const given = String(value ?? '').trim().toLowerCase();
	const text = /^[a-z0-9][a-z0-9_-]{0,63}$/.test(given) ? given : given.replace(/[^a-z0-9_-]+/g, '-').replace(/^-+|-+$/g, '').slice(0, 64);
	return text === '' || text in Object.prototype ? undefined : text;
}

const normalizeAccountId = (value) => normalizeOptionalAccountId(value) ?? DEFAULT_ACCOUNT_ID;
const normalizeAgentId = (value) => normalizeOptionalAccountId(value) ?? 'main';

class ToolInputError extends Error {
	constructor(message) {
		super(message);
		this.name = 'ToolInputError';
		this.status = 400;
	}
}

const snake = (key) => key.replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`);

const BOOLEANS = new Map([['true', true], ['false', false]]);

// A parameter, by its name or by that in snake case, as `read` understands it; without one undefined, or an error when it is required.
function parameter(params, key, { label = key, required }, read) {
	const given = params[key] ?? params[snake(key)] ?? undefined, value = given === undefined ? undefined : read(given);
	if (value === undefined && required)
		throw new ToolInputError(`${label} required`);
	return value;
}

const readStringParam = (params, key, options = {}) => parameter(params, key, options, (given) => {
	const text = typeof given === 'string' && options.trim !== false ? given.trim() : given;
	return typeof text === 'string' && (options.allowEmpty || text !== '') ? text : undefined;
});

const readNumberParam = (params, key, options = {}) => parameter(params, key, options, (given) => {
	const number = typeof given === 'string' && /\S/.test(given) ? Number(given) : given;
	return Number.isFinite(number) ? (options.integer ? Math.trunc(number) : number) : undefined;
});

const readStringArrayParam = (params, key, options = {}) => parameter(params, key, options, (given) => {
	const texts = [given].flat().flatMap((one) => (typeof one === 'string' && /\S/.test(one) ? [one.trim()] : []));
	return texts.length > 0 ? texts : undefined;
});

const readBooleanParam = (params, key) => parameter(params, key, {}, (given) =>
	(typeof given === 'string' ? BOOLEANS.get(given.trim().toLowerCase()) : given === true || given === false ? given : undefined));

const textResult = (text, details) => ({ content: [{ type: 'text', text }], details });
const jsonResult = (payload) => textResult(JSON.stringify(payload, null, 2), payload);

// A schema for one of several texts, in the form every provider takes; with the marks by which TypeBox knows its own.
function stringEnum(values, options = {}) {
	return { ...options, type: 'string', enum: [...values], [Symbol.for('TypeBox.Kind')]: 'Unsafe' };
}

function optionalStringEnum(values, options = {}) {
	const schema = { ...stringEnum(values, options), [Symbol.for('TypeBox.Optional')]: 'Optional' };
	return Object.defineProperty(schema, '~optional', { value: true });
}

function readReactionParams(params, { emojiKey = 'emoji', removeKey = 'remove', removeErrorMessage }) {
	const emoji = readStringParam(params, emojiKey, { required: true, allowEmpty: true }), remove = params[removeKey] === true;
	if (remove && emoji === '')
		throw new ToolInputError(removeErrorMessage);
	return { emoji, remove, isEmpty: emoji === '' };
}

// What a channel's `actions` section says about one of them.
const createActionGate = (actions) => (key, usual = true) => (actions?.[key] === undefined ? usual : actions[key] !== false);

// {to, accountId, threadId} of a call that sends, null for another.
function extractToolSend(args, expectedAction = 'sendMessage') {
	const text = (value) => (typeof value === 'string' ? value.trim() : typeof value === 'number' ? String(value) : '');
	if (text(args.action) !== expectedAction || typeof args.to !== 'string' || args.to === '')
		return null;
	return { to: args.to, accountId: typeof args.accountId === 'string' ? args.accountId.trim() : undefined, threadId: text(args.threadId) || undefined };
}

function missingTargetError(provider, hint) {
	return new Error(`Delivering to ${provider} requires target${hint?.trim() ? ` ${hint.trim()}` : ''}`);
}

function parseFiniteNumber(value) {
	const number = typeof value === 'string' ? Number.parseFloat(value) : value;
	return typeof number === 'number' && Number.isFinite(number) ? number : undefined;
}

function parseStrictPositiveInteger(value) {
	const number = typeof value === 'string' && /^\s*\d+\s*$/.test(value) ? Number(value) : value;
	return Number.isSafeInteger(number) && number > 0 ? number : undefined;
}

function normalizeE164(number) {
	const digits = (number.replace(/^whatsapp:/, '').match(/[\d+]+/g) ?? []).join('');
	return digits.replace(/^\+?/, '+');
}

// With the slash at its beginning; null without a path and a fallback.
function normalizePluginHttpPath(path, fallback) {
	const text = path?.trim() || fallback?.trim();
	return text ? text.replace(/^(?!\/)/, '/') : null;
}

const resolveOptionalConfigString = (value) => (value == null ? undefined : String(value).trim() || undefined);
const clamp = (value, least, most) => Math.max(least, Math.min(most, value));
const escapeRegExp = (text) => text.replace(/[\\^$.*+?()[\]{}|]/g, '\\$&');
const isTruthyEnvValue = (value) => ['1', 'true', 'yes', 'on'].includes(String(value ?? '').trim().toLowerCase());

function safeParseJson(text) {
	try {
		return JSON.parse(text);
	} catch {
		return null;
	}
}

function requireApiKey(auth, provider) {
	const key = typeof auth.apiKey === 'string' ? auth.apiKey.trim() : '';
	if (key === '')
		throw new Error(`No API key resolved for provider "${provider}" (auth mode: ${auth.mode}).`);
	return key;
}

// A place for what setRuntime() hands over, for the functions of a channel that are called later.
function createPluginRuntimeStore(errorMessage) {
	let runtime = null;
	return {
		setRuntime: (next) => void (runtime = next),
		clearRuntime: () => void (runtime = null),
		tryGetRuntime: () => runtime,
		getRuntime() {
			if (runtime)
				return runtime;
			throw new Error(errorMessage);
		},
	};
}

module.exports = () => ({ DEFAULT_ACCOUNT_ID, ToolInputError, clamp, createActionGate, createPluginRuntimeStore, escapeRegExp, extractToolSend,
	isTruthyEnvValue, jsonResult, missingTargetError, normalizeAccountId, normalizeAgentId, normalizeE164, normalizeOptionalAccountId,
	normalizePluginHttpPath, optionalStringEnum, parseFiniteNumber, parseStrictPositiveInteger, readBooleanParam, readNumberParam, readReactionParams,
	readStringArrayParam, readStringParam, requireApiKey, resolveOptionalConfigString, safeParseJson, stringEnum, textResult });
