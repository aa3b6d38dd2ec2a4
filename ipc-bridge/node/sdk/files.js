'use strict';
// Files of plugins: JSON kept whole, locks, temporary folders, media and their types.
const crypto = require('node:crypto');
const fs = require('node:fs');
const os = require('node:os');
const path = require('node:path');
const { fileURLToPath } = require('node:url');

const MIME = { '.heic': 'image/heic', '.heif': 'image/heif', '.jpg': 'image/jpeg', '.png': 'image/png', '.webp': 'image/webp', '.gif': 'image/gif',
	'.ogg': 'audio/ogg', '.mp3': 'audio/mpeg', '.wav': 'audio/wav', '.flac': 'audio/flac', '.aac': 'audio/aac', '.opus': 'audio/opus',
	'.m4a': 'audio/mp4', '.mp4': 'video/mp4', '.mov': 'video/quicktime', '.pdf': 'application/pdf', '.json': 'application/json',
	'.zip': 'application/zip', '.gz': 'application/gzip', '.tar': 'application/x-tar', '.7z': 'application/x-7z-compressed',
	'.rar': 'application/vnd.rar', '.doc': 'application/msword', '.xls': 'application/vnd.ms-excel', '.ppt': 'application/vnd.ms-powerpoint',
	'.docx': 'application/vnd.openxmlformats-officedocument.wordprocessingml.document',
	'.xlsx': 'application/vnd.openxmlformats-officedocument.spreadsheetml.sheet',
	'.pptx': 'application/vnd.openxmlformats-officedocument.presentationml.presentation',
	'.csv': 'text/csv', '.txt': 'text/plain', '.md': 'text/markdown' };
const BY_MIME = { 'audio/x-m4a': '.m4a' };
for (const [extension, mime] of Object.entries(MIME))
	BY_MIME[mime] = extension;
const BY_EXTENSION = { ...MIME, '.jpeg': 'image/jpeg', '.js': 'text/javascript', '.htm': 'text/html', '.html': 'text/html', '.svg': 'image/svg+xml' };
// offset, bytes (latin1), type
const MAGIC = [[0, '\x89PNG\r\n\x1a\n', 'image/png'], [0, '\xff\xd8\xff', 'image/jpeg'], [0, 'GIF8', 'image/gif'], [8, 'WEBP', 'image/webp'],
	[4, 'ftypheic', 'image/heic'], [4, 'ftypheix', 'image/heic'], [4, 'ftypmif1', 'image/heif'], [4, 'ftypqt', 'video/quicktime'],
	[4, 'ftypM4A', 'audio/mp4'], [4, 'ftyp', 'video/mp4'], [0, 'OggS', 'audio/ogg'], [0, 'ID3', 'audio/mpeg'], [0, '\xff\xfb', 'audio/mpeg'],
	[8, 'WAVE', 'audio/wav'], [0, 'fLaC', 'audio/flac'], [0, '%PDF-', 'application/pdf'], [0, 'PK\x03\x04', 'application/zip'],
	[0, '\x1f\x8b', 'application/gzip'], [0, "7z\xbc\xaf'\x1c", 'application/x-7z-compressed'], [0, 'Rar!\x1a\x07', 'application/vnd.rar']];
const MEDIA_MAX = { image: 6, audio: 16, video: 16, document: 100 };

// ---- Media ----

const plainMime = (mime) => mime?.split(';', 1)[0].trim().toLowerCase() || undefined;
const extensionForMime = (mime) => BY_MIME[plainMime(mime)];
const isRemote = (text) => /^https?:\/\//i.test(text ?? '');

function getFileExtension(filePath) {
	if (!filePath)
		return undefined;
	const own = isRemote(filePath) && URL.canParse?.(filePath) !== false ? new URL(filePath).pathname : filePath;
	return path.extname(own).toLowerCase() || undefined;
}

function sniff(buffer) {
	const head = buffer?.subarray(0, 64).toString('latin1') ?? '';
	return MAGIC.find(([at, bytes]) => head.startsWith(bytes, at))?.[2];
}

// What the bytes say, unless that is only a wrapping (zip) of what the name says; then the name, then the header.
async function detectMime({ buffer, headerMime, filePath } = {}) {
	const seen = sniff(buffer), named = BY_EXTENSION[getFileExtension(filePath)], told = plainMime(headerMime);
	const vague = (mime) => !mime || mime === 'application/octet-stream' || mime === 'application/zip';
	return [seen, named, told].find((mime) => !vague(mime)) ?? seen ?? named ?? told;
}

// The name a kept file had: NAME---uuid.ext.
function extractOriginalFilename(filePath) {
	const base = path.basename(filePath), extension = path.extname(base);
	const [, name] = /^(.+)---[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}$/i.exec(path.basename(base, extension)) ?? [];
	return name ? name + extension : base || 'file.bin';
}

const kindOf = (mime) => ['image', 'audio', 'video'].find((kind) => mime?.startsWith(`${kind}/`)) ?? 'document';
const mediaKindFromMime = (mime) => (mime ? kindOf(mime) : 'unknown');

// ---- Temporary folders ----

const mine = (stat) => stat.isDirectory() && (typeof process.getuid !== 'function' || stat.uid === process.getuid()) && (stat.mode & 0o022) === 0;

// /tmp/openclaw, or one for this user beside it; always a folder that only this user can write to.
function resolvePreferredOpenClawTmpDir(options = {}) {
	const uid = options.getuid ? options.getuid() : process.getuid?.();
	const base = (options.tmpdir ?? os.tmpdir)();
	for (const folder of ['/tmp/openclaw', path.join(base, uid === undefined ? 'openclaw' : `openclaw-${uid}`)])
		try {
			fs.mkdirSync(folder, { recursive: true, mode: 0o700 });
			const stat = fs.lstatSync(folder);
			if (!mine(stat) && stat.isDirectory() && stat.uid === uid)
				fs.chmodSync(folder, 0o700);
			fs.accessSync(folder, fs.constants.W_OK | fs.constants.X_OK);
			if (mine(fs.lstatSync(folder)))
				return folder;
		} catch {
			// the next one
		}
	throw new Error(`no safe temporary folder in ${base}: openclaw there belongs to somebody else`);
}

const safeName = (name, otherwise) => path.basename(String(name ?? '')).replace(/[^\w.-]+/g, '-').replace(/^[-.]+/, '').slice(0, 120) || otherwise;

async function withTempDownloadPath({ prefix, fileName, tmpDir }, fn) {
	const folder = await fs.promises.mkdtemp(path.join(tmpDir ?? resolvePreferredOpenClawTmpDir(), `${safeName(prefix, 'tmp')}-`));
	try {
		return await fn(path.join(folder, safeName(fileName, 'download.bin')));
	} finally {
		await fs.promises.rm(folder, { recursive: true, force: true });
	}
}

const buildRandomTempFilePath = ({ prefix, extension, tmpDir, now = Date.now(), uuid = crypto.randomUUID() }) => {
	const ending = extension ? `.${String(extension).replace(/^\.+/, '').replace(/[^\w]/g, '')}` : '';
	return path.join(tmpDir ?? resolvePreferredOpenClawTmpDir(), `${safeName(prefix, 'tmp')}-${now}-${uuid}${ending}`);
};

// ---- JSON files ----

async function readJsonFileWithFallback(filePath, fallback) {
	const text = await fs.promises.readFile(filePath, 'utf8').catch(() => undefined);
	let value;
	try {
		value = text ? JSON.parse(text) : undefined;
	} catch {
		// as if nothing were in it
	}
	return { value: value ?? fallback, exists: text !== undefined };
}

const makeFolderOf = (file, mode) => fs.promises.mkdir(path.dirname(file), { mode, recursive: true });

async function writeJsonFileAtomically(filePath, value) {
	const beside = `${filePath}.${process.pid}.${crypto.randomUUID()}.tmp`;
	const text = JSON.stringify(value, null, 2);
	await makeFolderOf(filePath, 0o700);
	try {
		await fs.promises.writeFile(beside, `${text}\n`, { mode: 0o600 });
		await fs.promises.rename(beside, filePath);
	} finally {
		await fs.promises.rm(beside, { force: true });
	}
}

const held = new Map();

// FILE.lock, made by whoever has the lock; one left behind by a dead process, or older than `stale`, is taken over.
async function acquireFileLock(filePath, { retries = {}, stale = 30000 } = {}) {
	const lock = `${path.resolve(filePath)}.lock`;
	const { retries: most = 10, minTimeout = 50, maxTimeout = 10000, factor = 2 } = retries;
	const known = held.get(lock);
	if (known) {
		known.count++;
		return { lockPath: lock, release: () => letGo(lock) };
	}
	await makeFolderOf(lock);
	for (let attempt = 0; ; attempt++) {
		try {
			const mark = JSON.stringify({ createdAt: new Date().toISOString(), pid: process.pid });
			await fs.promises.writeFile(lock, mark, { mode: 0o600, flag: 'wx' });
			held.set(lock, { count: 1 });
			return { lockPath: lock, release: () => letGo(lock) };
		} catch (error) {
			if (error.code !== 'EEXIST')
				throw error;
		}
		if (await abandoned(lock, stale))
			await fs.promises.rm(lock, { force: true });
		else if (attempt >= most)
			throw Object.assign(new Error(`${filePath}: somebody else holds its lock ${lock}`), { code: 'file_lock_timeout', lockPath: lock });
		else
			await new Promise((resolve) => setTimeout(resolve, Math.min(maxTimeout, minTimeout * factor ** attempt)));
	}
}

async function abandoned(lock, stale) {
	const { mtimeMs = -Infinity } = await fs.promises.stat(lock).catch(() => ({}));
	return mtimeMs < Date.now() - stale;
}

async function letGo(lock) {
	const entry = held.get(lock);
	if (entry && --entry.count === 0) {
		held.delete(lock);
		await fs.promises.rm(lock, { force: true });
	}
}

const queues = new Map();
async function withFileLock(filePath, options, fn) {
	const key = path.resolve(filePath), before = queues.get(key) ?? Promise.resolve();
	const locked = (lock) => (async () => fn())().finally(() => lock.release());
	const own = before.then(() => acquireFileLock(filePath, options)).then(locked);
	const settled = own.catch(() => {});
	queues.set(key, settled);
	void settled.then(() => queues.get(key) === settled && queues.delete(key));
	return own;
}

module.exports = (_plugin, sdk) => {
	// Keys that were seen, in memory and in a file, over restarts and processes.
	function createPersistentDedupe({ ttlMs: ttl, memoryMaxSize, fileMaxEntries, resolveFilePath, lockOptions, onDiskError: usual }) {
		const ttlMs = Math.max(0, Math.floor(ttl)), most = Math.max(1, Math.floor(fileMaxEntries));
		const memory = sdk.createDedupeCache({ ttlMs, maxSize: memoryMaxSize }), running = new Map();
		const fresh = (at, now) => Number.isFinite(at) && (ttlMs <= 0 || now - at < ttlMs);
		const read = async (file, now) => Object.entries((await readJsonFileWithFallback(file, {})).value ?? {}).filter(([, at]) => fresh(at, now));
		const record = async (key, scoped, namespace, now, complain) => {
			if (memory.check(scoped, now))
				return false;
			const file = resolveFilePath(namespace);
			try {
				return await withFileLock(file, lockOptions, async () => {
					const kept = await read(file, now);
					if (kept.some(([other]) => other === key))
						return false;
					const all = [...kept, [key, now]].sort((a, b) => a[1] - b[1]).slice(-most);
					await writeJsonFileAtomically(file, Object.fromEntries(all));
					return true;
				});
			} catch (error) {
				complain?.(error);
				return true;
			}
		};
		return {
			// true: new, and remembered from now on.
			async checkAndRecord(given, { namespace: space, now = Date.now(), onDiskError = usual } = {}) {
				const key = given.trim(), namespace = space?.trim() || 'global', scoped = `${namespace}:${key}`;
				if (key === '')
					return true;
				if (running.has(scoped))
					return false;
				const work = record(key, scoped, namespace, now, onDiskError).finally(() => running.delete(scoped));
				running.set(scoped, work);
				return work;
			},
			async warmup(namespace = 'global', onError) {
				try {
					const kept = await read(resolveFilePath(namespace), Date.now());
					kept.forEach(([key, at]) => memory.check(`${namespace}:${key}`, at));
					return kept.length;
				} catch (error) {
					onError?.(error);
					return 0;
				}
			},
			memorySize: memory.size, clearMemory: memory.clear,
		};
	}

	const within = (file, roots) => roots.some((root) => file === root || file.startsWith(root.endsWith(path.sep) ? root : root + path.sep));
	const tooMuch = (what, size, most) => new Error(`${what} has ${size} bytes; at most ${most} are taken`);

	async function loadLocal(mediaUrl, { maxBytes, localRoots }) {
		const file = path.resolve((mediaUrl.startsWith('file:') ? fileURLToPath(mediaUrl) : mediaUrl).replace(/^~(?=\/)/, os.homedir()));
		const real = await fs.promises.realpath(file);
		if (Array.isArray(localRoots)) {
			const roots = await Promise.all(localRoots.map((root) => fs.promises.realpath(root).catch(() => path.resolve(root))));
			if (!within(real, roots))
				throw new Error(`${mediaUrl} is outside the folders media may come from`);
		}
		const stat = await fs.promises.stat(real);
		if (!stat.isFile())
			throw new Error(`${mediaUrl} is no regular file`);
		if (maxBytes && stat.size > maxBytes)
			throw tooMuch(mediaUrl, stat.size, maxBytes);
		return { buffer: await fs.promises.readFile(real), fileName: path.basename(file), filePath: file };
	}

	async function loadRemote(url, { maxBytes, fetchImpl, ssrfPolicy }) {
		const { response, finalUrl, release } = await sdk.fetchWithSsrFGuard({ url, fetchImpl, policy: ssrfPolicy, timeoutMs: 60000 });
		try {
			if (!response.ok)
				throw new Error(`${url}: HTTP ${response.status}`);
			const chunks = [];
			let size = 0;
			for await (const chunk of response.body ?? []) {
				size += chunk.length;
				if (maxBytes && size > maxBytes)
					throw tooMuch(url, `${size} and more`, maxBytes);
				chunks.push(chunk);
			}
			const [, quoted] = /filename\*?=(?:UTF-8'')?"?([^";]+)/i.exec(response.headers.get('content-disposition') ?? '') ?? [];
			const fileName = quoted ? path.basename(decodeURIComponent(quoted)) : path.posix.basename(new URL(finalUrl).pathname) || undefined;
			return { buffer: Buffer.concat(chunks), fileName, filePath: fileName, headerMime: response.headers.get('content-type') };
		} finally {
			await release();
		}
	}

	// {buffer, contentType, kind, fileName}
	async function loadWebMedia(mediaUrl, maxBytesOrOptions, more) {
		const options = { ...(typeof maxBytesOrOptions === 'number' ? { maxBytes: maxBytesOrOptions } : maxBytesOrOptions), ...more };
		const wanted = mediaUrl.trim().replace(/^MEDIA:\s*/i, '');
		const loaded = isRemote(wanted) ? await loadRemote(wanted, options) : await loadLocal(wanted, options);
		const contentType = await detectMime({ buffer: loaded.buffer, headerMime: loaded.headerMime, filePath: loaded.filePath });
		const kind = kindOf(contentType), most = options.maxBytes ?? MEDIA_MAX[kind] * 1048576;
		if (loaded.buffer.length > most)
			throw tooMuch(wanted, loaded.buffer.length, most);
		const fileName = loaded.fileName && !path.extname(loaded.fileName) && extensionForMime(contentType)
			? loaded.fileName + extensionForMime(contentType) : loaded.fileName;
		return { buffer: loaded.buffer, contentType, kind, fileName };
	}

	const loadOutboundMediaFromUrl = (mediaUrl, { maxBytes, mediaLocalRoots } = {}) => loadWebMedia(mediaUrl, { maxBytes, localRoots: mediaLocalRoots });

	// Folders an agent's media may come from.
	function getAgentScopedMediaLocalRoots(cfg, agentId) {
		const agent = cfg?.agents?.list?.find((one) => one?.id === agentId);
		const workspace = agent?.workspace ?? cfg?.agents?.defaults?.workspace;
		const state = sdk.hostRuntime?.state?.resolveStateDir?.();
		return [resolvePreferredOpenClawTmpDir(), ...(state ? [path.join(state, 'media')] : []), ...(workspace ? [workspace.replace(/^~(?=\/)/, os.homedir())] : [])];
	}

	return { acquireFileLock, buildRandomTempFilePath, createPersistentDedupe, detectMime, extensionForMime, extractOriginalFilename,
		getAgentScopedMediaLocalRoots, getFileExtension, loadOutboundMediaFromUrl, loadWebMedia, mediaKindFromMime, readJsonFileWithFallback,
		resolvePreferredOpenClawTmpDir, withFileLock, withTempDownloadPath, writeJsonFileAtomically };
};
