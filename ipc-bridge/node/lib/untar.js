'use strict';
// Unpacks npm's tarballs: plain files and folders and nothing else.  Whatever could reach out of the folder, or is larger
// than a plugin can be, ends it before anything of it is used.
const fs = require('node:fs');
const path = require('node:path');
const zlib = require('node:zlib');

const BLOCK = 512;
const LIMITS = { packed: 256 << 20, unpacked: 256 << 20, files: 50000, depth: 40, name: 1024 };

class Refused extends Error {}

function text(block, from, length) {
	const end = block.indexOf(0, from);
	return block.toString('utf8', from, end >= 0 && end < from + length ? end : from + length);
}

function number(block, from, length) {
	if (block[from] & 0x80) { // base 256
		let value = block[from] & 0x7f;
		for (let i = 1; i < length; i++)
			value = value * 256 + block[from + i];
		return value;
	}
	const digits = text(block, from, length).trim();
	if (!/^[0-7]*$/.test(digits))
		throw new Refused('its header has a field that is no number');
	return digits === '' ? 0 : parseInt(digits, 8);
}

function checked(block) {
	let sum = 0;
	for (let i = 0; i < BLOCK; i++)
		sum += i >= 148 && i < 156 ? 32 : block[i];
	if (sum !== number(block, 148, 8))
		throw new Refused('a header is damaged (its sum is wrong)');
}

// The name inside the package, without npm's first folder; null for that folder itself.
function inner(name, limits = LIMITS) {
	if (name.length > limits.name || name.includes('\0'))
		throw new Refused('it has a file whose name is too long or no name');
	if (name.includes('\\'))
		throw new Refused(`it has a file with a backslash in its name: ${name}`);
	if (name.startsWith('/'))
		throw new Refused(`it has a file with an absolute name: ${name}`);
	const parts = name.split('/').filter((part) => part !== '' && part !== '.');
	if (parts.includes('..'))
		throw new Refused(`it has a file that leads out of it: ${name}`);
	if (parts.length > limits.depth)
		throw new Refused('its folders are nested too deep');
	return parts.length > 1 ? parts.slice(1).join('/') : null;
}

function pax(data) {
	const out = {};
	for (let at = 0; at < data.length;) {
		const space = data.indexOf(32, at), length = Number(data.toString('latin1', at, space));
		if (space < 0 || !(length > 0) || at + length > data.length)
			throw new Refused('an extended header is damaged');
		const line = data.toString('utf8', space + 1, at + length - 1), equals = line.indexOf('=');
		out[line.slice(0, equals)] = line.slice(equals + 1);
		at += length;
	}
	return out;
}

const KINDS = { 1: 'a hard link', 2: 'a symbolic link', 3: 'a device', 4: 'a device', 6: 'a pipe' };

// Unpacks the file `archive` into the folder `target`, which must be new. {files, bytes}
function untar(archive, target, limits = LIMITS) {
	if (fs.statSync(archive).size > limits.packed)
		throw new Refused(`it is larger than ${limits.packed >> 20} MiB`);
	let tar = fs.readFileSync(archive);
	if (tar[0] === 0x1f && tar[1] === 0x8b)
		try {
			tar = zlib.gunzipSync(tar, { maxOutputLength: limits.unpacked + (limits.files + 2) * 2 * BLOCK });
		} catch (error) {
			throw new Refused(error.code === 'ERR_BUFFER_TOO_LARGE' ? `it unpacks to more than ${limits.unpacked >> 20} MiB` : 'it is no gzip file');
		}
	const seen = new Set();
	let files = 0, bytes = 0, entries = 0, extended = {}, longName = null, ended = false;
	for (let at = 0; at + BLOCK <= tar.length;) {
		const head = tar.subarray(at, at + BLOCK);
		at += BLOCK;
		if (head.every((byte) => byte === 0)) {
			ended = true;
			break;
		}
		checked(head);
		const size = extended.size !== undefined ? Number(extended.size) : number(head, 124, 12), type = String.fromCharCode(head[156] || 48);
		if (!Number.isSafeInteger(size) || size < 0 || at + size > tar.length)
			throw new Refused('it ends in the middle of a file');
		const data = tar.subarray(at, at + size);
		at += Math.ceil(size / BLOCK) * BLOCK;
		if (type === 'x') {
			extended = pax(data);
			continue;
		}
		if (type === 'L') {
			longName = text(data, 0, data.length);
			continue;
		}
		const prefix = text(head, 257, 5) === 'ustar' ? text(head, 345, 155) : '';
		const name = extended.path ?? longName ?? (prefix ? `${prefix}/${text(head, 0, 100)}` : text(head, 0, 100));
		extended = {};
		longName = null;
		if (type === 'g')
			continue;
		if (++entries > limits.files)
			throw new Refused(`it has more than ${limits.files} files`);
		const to = inner(name, limits);
		if (type === '5') {
			if (to !== null)
				fs.mkdirSync(path.join(target, to), { recursive: true, mode: 0o755 });
			continue;
		}
		if (type !== '0' && type !== '7')
			throw new Refused(`it has ${KINDS[type] ?? `an entry of kind "${type}"`}: ${name}`);
		if (to === null)
			throw new Refused(`it has a file outside its folder: ${name}`);
		if (seen.has(to.toLowerCase()))
			throw new Refused(`it has two files of one name: ${name}`);
		seen.add(to.toLowerCase());
		bytes += size;
		if (bytes > limits.unpacked)
			throw new Refused(`it unpacks to more than ${limits.unpacked >> 20} MiB`);
		files++;
		fs.mkdirSync(path.join(target, path.dirname(to)), { recursive: true, mode: 0o755 });
		// Never through a link and never over a file: the folder is ours and new.
		fs.writeFileSync(path.join(target, to), data, { mode: number(head, 100, 8) & 0o111 ? 0o755 : 0o644, flag: 'wx' });
	}
	if (files === 0 || !ended)
		throw new Refused(files === 0 ? 'it is empty' : 'it is cut off');
	return { files, bytes };
}

module.exports = { untar, Refused, LIMITS };
