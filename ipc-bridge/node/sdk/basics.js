'use strict';
// Small pure helpers that most plugins share: ids, parameters of tools, results, pairing texts.

const DEFAULT_ACCOUNT_ID = 'default';

// Lower case, letters, digits, - and _, at most 64; "default" for nothing.
function normalizeAccountId(value) {
	const text = String(value ?? '').trim().toLowerCase().replace(/[^a-z0-9_-]+/g, '-').replace(/^-+|-+$/g, '').slice(0, 64);
	return text === '' ? DEFAULT_ACCOUNT_ID : text;
}

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

// A schema for one of several texts, in the form every provider takes.
function stringEnum(values, options = {}) {
	return { ...options, type: 'string', enum: [...values] };
}

const optionalStringEnum = (values, options = {}) => ({ ...stringEnum(values, options), '~optional': true });

module.exports = () => ({ DEFAULT_ACCOUNT_ID, normalizeAccountId, ToolInputError, readStringParam, readNumberParam,
	readStringArrayParam, readBooleanParam, jsonResult, stringEnum, optionalStringEnum });
