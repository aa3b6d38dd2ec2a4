'use strict';
// Secrets in the configuration: a text, or a reference to where it is.
const fs = require('node:fs');
const os = require('node:os');
const path = require('node:path');

const SOURCES = new Set(['env', 'file', 'exec']);
const SECRET_MAX = 16 * 1024;
const isObject = (value) => value !== null && typeof value === 'object' && !Array.isArray(value);
const filled = (value) => typeof value === 'string' && value.trim() !== '';

const isSecretRef = (value) => isObject(value) && Object.keys(value).length === 3 && SOURCES.has(value.source) && filled(value.provider) && filled(value.id);

// Also the older form without a provider, and "${NAME}".
function coerceSecretRef(value, defaults) {
	const named = (source, id) => ({ source, provider: defaults?.[source] ?? 'default', id });
	if (isObject(value)) {
		const isOld = value.provider === undefined && filled(value.id) && SOURCES.has(value.source);
		return isSecretRef(value) ? value : isOld ? named(value.source, value.id) : null;
	}
	const [, id] = (typeof value === 'string' && /^\$\{([A-Z][A-Z0-9_]{0,127})\}$/.exec(value.trim())) || [];
	return id ? named('env', id) : null;
}

const normalizeSecretInputString = (value) => (filled(value) ? value.trim() : undefined);
const hasConfiguredSecretInput = (value, defaults) => filled(value) || coerceSecretRef(value, defaults) !== null;

// The text of a secret that was resolved before; a reference that was not is an error with its path.
function normalizeResolvedSecretInputString({ value, refValue, defaults, path: where }) {
	const text = normalizeSecretInputString(value);
	const ref = coerceSecretRef(refValue, defaults) ?? coerceSecretRef(value, defaults);
	if (text && !(ref && text.startsWith('${')))
		return text;
	if (ref)
		throw new Error(`${where}: the secret ${ref.source}:${ref.provider}:${ref.id} is not resolved here`);
	return undefined;
}

// {ok, secret | message, resolvedPath}: the trimmed text of a small regular file.
function loadSecretFileSync(filePath, label, { maxBytes = SECRET_MAX, rejectSymlink = false } = {}) {
	const given = filePath.trim();
	if (given === '')
		return { ok: false, message: `${label}: no path to a file` };
	const resolvedPath = path.resolve(given.replace(/^~(?=$|\/)/, os.homedir()));
	let fd;
	try {
		const flags = fs.constants.O_RDONLY | fs.constants.O_NONBLOCK | (rejectSymlink ? fs.constants.O_NOFOLLOW : 0);
		fd = fs.openSync(resolvedPath, flags);
		const stat = fs.fstatSync(fd);
		if (!stat.isFile())
			return { ok: false, resolvedPath, message: `${label}: ${resolvedPath} is no regular file` };
		if (stat.size > maxBytes)
			return { ok: false, resolvedPath, message: `${label}: ${resolvedPath} has more than ${maxBytes} bytes` };
		const secret = fs.readFileSync(fd, 'utf8').trim();
		return secret === '' ? { ok: false, resolvedPath, message: `${label}: ${resolvedPath} is empty` } : { ok: true, secret, resolvedPath };
	} catch (error) {
		const message = error.code === 'ELOOP' ? `${label}: ${resolvedPath} is a symbolic link` : `${label}: ${resolvedPath}: ${error.message}`;
		return { ok: false, resolvedPath, error, message };
	} finally {
		if (fd !== undefined)
			fs.closeSync(fd);
	}
}

function readSecretFileSync(filePath, label, options) {
	const read = loadSecretFileSync(filePath, label, options);
	if (!read.ok)
		throw new Error(read.message);
	return read.secret;
}

function tryReadSecretFileSync(filePath, label, options) {
	const read = filePath?.trim() ? loadSecretFileSync(filePath, label, options) : { ok: false };
	return read.ok ? read.secret : undefined;
}

module.exports = () => ({ coerceSecretRef, hasConfiguredSecretInput, isSecretRef, loadSecretFileSync, normalizeResolvedSecretInputString,
	normalizeSecretInputString, readSecretFileSync, tryReadSecretFileSync });
