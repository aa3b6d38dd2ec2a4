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

function raw(params, key) {
	return params[key] ?? params[snake(key)];
}

function readStringParam(params, key, options = {}) {
	const { required = false, trim = true, label = key, allowEmpty = false } = options;
	const value = raw(params, key);
	const text = typeof value === 'string' ? (trim ? value.trim() : value) : undefined;
	if (text === undefined || (text === '' && !allowEmpty)) {
		if (required)
			throw new ToolInputError(`${label} required`);
		return undefined;
	}
	return text;
}

function readNumberParam(params, key, options = {}) {
	const { required = false, label = key, integer = false } = options;
	const value = raw(params, key);
	let number;
	if (typeof value === 'number' && Number.isFinite(value))
		number = value;
	else if (typeof value === 'string' && value.trim() !== '' && Number.isFinite(Number(value)))
		number = Number(value);
	if (number === undefined) {
		if (required)
			throw new ToolInputError(`${label} required`);
		return undefined;
	}
	return integer ? Math.trunc(number) : number;
}

function readStringArrayParam(params, key, options = {}) {
	const { required = false, label = key } = options;
	const value = raw(params, key);
	const list = (Array.isArray(value) ? value : typeof value === 'string' ? [value] : [])
		.filter((item) => typeof item === 'string').map((item) => item.trim()).filter(Boolean);
	if (list.length === 0) {
		if (required)
			throw new ToolInputError(`${label} required`);
		return undefined;
	}
	return list;
}

function readBooleanParam(params, key) {
	const value = raw(params, key);
	if (typeof value === 'boolean')
		return value;
	if (typeof value === 'string' && /^(true|false)$/i.test(value.trim()))
		return value.trim().toLowerCase() === 'true';
	return undefined;
}

function jsonResult(payload) {
	return { content: [{ type: 'text', text: JSON.stringify(payload, null, 2) }], details: payload };
}

const textResult = (text, details) => ({ content: [{ type: 'text', text }], details });

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
	const digits = number.replace(/^whatsapp:/, '').replace(/[^\d+]/g, '');
	return digits.startsWith('+') ? digits : `+${digits}`;
}

// A place for what setRuntime() hands over, for the functions of a channel that are called later.
function createPluginRuntimeStore(errorMessage) {
	let runtime = null;
	return {
		setRuntime: (next) => void (runtime = next),
		clearRuntime: () => void (runtime = null),
		tryGetRuntime: () => runtime,
		getRuntime() {
			if (!runtime)
				throw new Error(errorMessage);
			return runtime;
		},
	};
}

module.exports = () => ({ DEFAULT_ACCOUNT_ID, ToolInputError, createActionGate, createPluginRuntimeStore, extractToolSend,
	jsonResult, missingTargetError, normalizeAccountId, normalizeAgentId, normalizeE164, normalizeOptionalAccountId, optionalStringEnum,
	parseFiniteNumber, parseStrictPositiveInteger, readBooleanParam, readNumberParam, readReactionParams, readStringArrayParam,
	readStringParam, stringEnum, textResult });
