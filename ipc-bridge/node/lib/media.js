'use strict';
// Files that plugins fetch, look at and keep.  What needs an image or sound library is not here: it fails by name.
const crypto = require('node:crypto');
const dns = require('node:dns/promises');
const fs = require('node:fs/promises');
const net = require('node:net');
const os = require('node:os');
const path = require('node:path');

const TYPES = { jpg: 'image/jpeg', jpeg: 'image/jpeg', png: 'image/png', gif: 'image/gif', webp: 'image/webp', heic: 'image/heic',
	heif: 'image/heif', bmp: 'image/bmp', svg: 'image/svg+xml', avif: 'image/avif', mp3: 'audio/mpeg', m4a: 'audio/mp4', ogg: 'audio/ogg',
	oga: 'audio/ogg', opus: 'audio/ogg', wav: 'audio/wav', flac: 'audio/flac', aac: 'audio/aac', mp4: 'video/mp4', mov: 'video/quicktime',
	webm: 'video/webm', mkv: 'video/x-matroska', pdf: 'application/pdf', zip: 'application/zip', gz: 'application/gzip', tar: 'application/x-tar',
	json: 'application/json', txt: 'text/plain', md: 'text/markdown', csv: 'text/csv', html: 'text/html', htm: 'text/html', xml: 'text/xml',
	doc: 'application/msword', docx: 'application/vnd.openxmlformats-officedocument.wordprocessingml.document', xls: 'application/vnd.ms-excel',
	xlsx: 'application/vnd.openxmlformats-officedocument.spreadsheetml.sheet', ppt: 'application/vnd.ms-powerpoint',
	pptx: 'application/vnd.openxmlformats-officedocument.presentationml.presentation' };
const SUFFIXES = { ...Object.fromEntries(Object.entries(TYPES).map(([suffix, type]) => [type, suffix]).reverse()), 'image/jpeg': 'jpg',
	'audio/ogg': 'ogg', 'text/html': 'html', 'audio/x-wav': 'wav', 'audio/mp3': 'mp3', 'audio/x-m4a': 'm4a' };

const plainType = (type) => String(type ?? '').split(';')[0].trim().toLowerCase() || undefined;
const typeOfName = (name) => TYPES[path.extname(String(name ?? '').split(/[?#]/)[0]).slice(1).toLowerCase()];
const suffixOf = (type) => (SUFFIXES[plainType(type)] ? `.${SUFFIXES[plainType(type)]}` : '');

// By the bytes themselves.
function sniff(buffer) {
	if (!buffer || buffer.length < 4)
		return undefined;
	const head = Buffer.from(buffer.buffer ?? buffer, buffer.byteOffset ?? 0, Math.min(buffer.length, 64));
	const text = head.toString('latin1');
	if (head[0] === 0xff && head[1] === 0xd8 && head[2] === 0xff)
		return 'image/jpeg';
	if (text.startsWith('\x89PNG'))
		return 'image/png';
	if (text.startsWith('GIF8'))
		return 'image/gif';
	if (text.startsWith('RIFF'))
		return text.slice(8, 12) === 'WEBP' ? 'image/webp' : text.slice(8, 12) === 'WAVE' ? 'audio/wav' : undefined;
	if (text.startsWith('OggS'))
		return 'audio/ogg';
	if (text.startsWith('ID3') || (head[0] === 0xff && (head[1] & 0xe6) === 0xe2))
		return 'audio/mpeg';
	if (text.startsWith('fLaC'))
		return 'audio/flac';
	if (text.slice(4, 8) === 'ftyp')
		return /^M4A/.test(text.slice(8)) ? 'audio/mp4' : /^qt/.test(text.slice(8)) ? 'video/quicktime' : /^(heic|heix|mif1)/.test(text.slice(8)) ? 'image/heic'
			: /^avif/.test(text.slice(8)) ? 'image/avif' : 'video/mp4';
	if (text.startsWith('\x1aE\xdf\xa3'))
		return 'video/webm';
	if (text.startsWith('%PDF'))
		return 'application/pdf';
	if (text.startsWith('PK\x03\x04'))
		return 'application/zip';
	return text.startsWith('\x1f\x8b') ? 'application/gzip' : undefined;
}

async function detectMime({ buffer, headerMime, filePath } = {}) {
	const seen = sniff(buffer), named = typeOfName(filePath), told = plainType(headerMime);
	const vague = (type) => !type || type === 'application/octet-stream' || type === 'application/zip';
	if (!vague(seen))
		return seen;
	return named ?? (vague(told) ? seen ?? told : told);
}

function mediaKindFromMime(type) {
	const mime = plainType(type);
	if (!mime)
		return undefined;
	for (const kind of ['image', 'audio', 'video'])
		if (mime.startsWith(`${kind}/`))
			return kind;
	return mime.startsWith('text/') || mime.startsWith('application/') ? 'document' : undefined;
}

const isVoiceCompatibleAudio = ({ contentType, fileName } = {}) => (contentType
	? /^audio\/(ogg|opus|mpeg|mp3|mp4|x-m4a|m4a)$/.test(plainType(contentType)) : /\.(oga|ogg|opus|mp3|m4a)$/i.test(String(fileName ?? '')));

// Width and height from the file's head; null when it is of no known kind.
async function getImageMetadata(input) {
	const b = Buffer.from(input);
	const type = sniff(b);
	if (type === 'image/png' && b.length >= 24)
		return { width: b.readUInt32BE(16), height: b.readUInt32BE(20) };
	if (type === 'image/gif' && b.length >= 10)
		return { width: b.readUInt16LE(6), height: b.readUInt16LE(8) };
	if (type === 'image/webp' && b.length >= 30) {
		const kind = b.toString('latin1', 12, 16);
		if (kind === 'VP8X')
			return { width: b.readUIntLE(24, 3) + 1, height: b.readUIntLE(27, 3) + 1 };
		if (kind === 'VP8L')
			return { width: (b.readUInt32LE(21) & 0x3fff) + 1, height: ((b.readUInt32LE(21) >> 14) & 0x3fff) + 1 };
		return { width: b.readUInt16LE(26) & 0x3fff, height: b.readUInt16LE(28) & 0x3fff };
	}
	for (let at = 2; type === 'image/jpeg' && at + 9 < b.length && b[at] === 0xff;) {
		const mark = b[at + 1];
		if (mark >= 0xc0 && mark <= 0xcf && ![0xc4, 0xc8, 0xcc].includes(mark))
			return { width: b.readUInt16BE(at + 7), height: b.readUInt16BE(at + 5) };
		at += 2 + (mark === 0xff ? -1 : b.readUInt16BE(at + 2));
	}
	return null;
}

// ---- Fetching ----

class MediaFetchError extends Error {
	constructor(code, message) {
		super(message);
		this.name = 'MediaFetchError';
		this.code = code;
	}
}

function isPrivate(address) {
	if (net.isIPv6(address)) {
		const text = address.toLowerCase();
		const mapped = /^::ffff:(\d+\.\d+\.\d+\.\d+)$/.exec(text);
		return mapped ? isPrivate(mapped[1]) : text === '::1' || text === '::' || /^(f[cd]|fe[89ab]|ff)/.test(text);
	}
	const [a, b] = address.split('.').map(Number);
	return a === 0 || a === 10 || a === 127 || a >= 224 || (a === 100 && b >= 64 && b < 128) || (a === 169 && b === 254) ||
		(a === 172 && b >= 16 && b < 32) || (a === 192 && b === 168);
}

// Refuses what leads into the own machine or network, unless the policy lets it.
async function guardUrl(url, policy) {
	const target = new URL(url), host = target.hostname.replace(/^\[|\]$/g, '').toLowerCase();
	if (target.protocol !== 'http:' && target.protocol !== 'https:')
		throw new MediaFetchError('fetch_failed', `${url}: only http and https can be fetched`);
	if (policy?.allowPrivateNetwork || policy?.dangerouslyAllowPrivateNetwork ||
		[...(policy?.allowedHostnames ?? []), ...(policy?.hostnameAllowlist ?? [])].some((name) => String(name).toLowerCase() === host))
		return;
	const found = net.isIP(host) ? [{ address: host }] : await dns.lookup(host, { all: true });
	if (found.some(({ address }) => isPrivate(address)))
		throw new MediaFetchError('fetch_failed', `${host} leads into this machine or its network: not fetched`);
}

async function readBounded(response, maxBytes, url) {
	const parts = [];
	let size = 0;
	for await (const part of response.body ?? []) {
		size += part.length;
		if (maxBytes && size > maxBytes)
			throw new MediaFetchError('max_bytes', `${url} has more than ${maxBytes} bytes`);
		parts.push(Buffer.from(part));
	}
	return Buffer.concat(parts);
}

function nameFrom(response, url, hint) {
	const header = response.headers?.get?.('content-disposition') ?? '';
	const star = /filename\*\s*=\s*[^']*''([^;]+)/i.exec(header), plain = /filename\s*=\s*("([^"]*)"|[^;]+)/i.exec(header);
	const said = star ? decodeURIComponent(star[1]) : plain ? plain[2] ?? plain[1] : undefined;
	return path.basename((said ?? hint ?? new URL(url).pathname).trim()) || undefined;
}

async function fetchRemoteMedia({ url, fetchImpl = fetch, requestInit, filePathHint, maxBytes, maxRedirects = 5, ssrfPolicy }) {
	let target = url, response;
	for (let i = 0; ; i++) {
		if (fetchImpl === fetch)
			await guardUrl(target, ssrfPolicy);
		try {
			response = await fetchImpl(target, { ...requestInit, redirect: 'manual' });
		} catch (error) {
			throw new MediaFetchError('fetch_failed', `${url} cannot be fetched: ${error?.cause?.message ?? error?.message ?? error}`);
		}
		const next = response.status >= 300 && response.status < 400 ? response.headers.get('location') : null;
		if (!next)
			break;
		if (i >= maxRedirects)
			throw new MediaFetchError('fetch_failed', `${url}: more than ${maxRedirects} redirects`);
		const from = new URL(target);
		target = new URL(next, target).href;
		if (new URL(target).origin !== from.origin && requestInit?.headers)
			requestInit = { ...requestInit, headers: undefined }; // credentials stay where they belong
	}
	if (!response.ok)
		throw new MediaFetchError('http_error', `${url}: HTTP ${response.status}`);
	const length = Number(response.headers?.get?.('content-length'));
	if (maxBytes && length > maxBytes)
		throw new MediaFetchError('max_bytes', `${url} has ${length} bytes; at most ${maxBytes} are taken`);
	const buffer = await readBounded(response, maxBytes, url);
	let fileName = nameFrom(response, target, filePathHint);
	const contentType = await detectMime({ buffer, headerMime: response.headers?.get?.('content-type'), filePath: fileName });
	if (fileName && !path.extname(fileName))
		fileName += suffixOf(contentType);
	return { buffer, contentType, fileName };
}

// A URL, or a file of the plugin's own folders (the sandbox decides which it can read).
async function loadWebMedia(source, given, more) {
	const options = typeof given === 'number' ? { maxBytes: given, ...more } : given ?? {};
	let from = String(source).replace(/^\s*MEDIA\s*:\s*/i, '');
	if (from.startsWith('file://'))
		from = require('node:url').fileURLToPath(from);
	if (/^https?:\/\//i.test(from)) {
		const got = await fetchRemoteMedia({ url: from, maxBytes: options.maxBytes ?? 100 << 20, ssrfPolicy: options.ssrfPolicy });
		return { ...got, kind: mediaKindFromMime(got.contentType) };
	}
	if (from.startsWith('~'))
		from = path.join(os.homedir(), from.slice(1));
	const { size } = await fs.stat(from);
	if (options.maxBytes && size > options.maxBytes)
		throw new Error(`${from} has ${size} bytes; at most ${options.maxBytes} are taken`);
	const buffer = await fs.readFile(from);
	const contentType = await detectMime({ buffer, filePath: from });
	return { buffer, contentType, kind: mediaKindFromMime(contentType), fileName: path.basename(from) };
}

const safeName = (name) => path.basename(String(name ?? '')).replace(/[^\p{L}\p{N}._-]+/gu, '_').replace(/^[._]+/, '').slice(0, 60);

// Keeps a file in the plugin's own folder: {id, path, size, contentType}.
function createMediaStore(stateDir) {
	return async function saveMediaBuffer(buffer, contentType, subdir = 'inbound', maxBytes = 5 << 20, originalFilename) {
		const data = Buffer.from(buffer);
		if (data.length > maxBytes)
			throw new Error(`media of ${data.length} bytes; at most ${maxBytes} are kept`);
		const type = await detectMime({ buffer: data, headerMime: contentType, filePath: originalFilename });
		const base = safeName(originalFilename ? path.parse(originalFilename).name : ''), suffix = suffixOf(type) || path.extname(safeName(originalFilename));
		const id = `${base ? `${base}---` : ''}${crypto.randomUUID()}${suffix}`;
		const at = path.join(stateDir, 'media', ...String(subdir).split(/[\\/]/).filter((part) => part && part !== '..'), id);
		await fs.mkdir(path.dirname(at), { recursive: true, mode: 0o700 });
		await fs.writeFile(at, data, { mode: 0o600 });
		return { id, contentType: type, size: data.length, path: at };
	};
}

module.exports = { MediaFetchError, createMediaStore, detectMime, fetchRemoteMedia, getImageMetadata, guardUrl, isPrivate,
	isVoiceCompatibleAudio, loadWebMedia, mediaKindFromMime, suffixOf };
