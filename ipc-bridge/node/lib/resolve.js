'use strict';
// Finds the file an import means: what Node would find, and what TypeScript plugins count on besides (./x.js for ./x.ts,
// no extension, folders), for import and require alike.
const fs = require('node:fs');
const path = require('node:path');
const { fileURLToPath } = require('node:url');

const EXTENSIONS = ['.ts', '.tsx', '.mts', '.cts', '.js', '.mjs', '.cjs', '.json'];
const INSTEAD = { '.js': ['.ts', '.tsx', '.jsx'], '.mjs': ['.mts'], '.cjs': ['.cts'], '.jsx': ['.tsx'] };
const CONDITIONS = new Set(['node', 'import', 'module-sync', 'require', 'default']);

function statOf(file) {
	try {
		return fs.statSync(file, { throwIfNoEntry: false });
	} catch {
		return undefined; // not for us to see
	}
}

const isFile = (file) => statOf(file)?.isFile() === true;
const isFolder = (file) => statOf(file)?.isDirectory() === true;

const manifests = new Map();
function readPackage(folder) {
	if (!manifests.has(folder)) {
		let value = null;
		try {
			value = JSON.parse(fs.readFileSync(path.join(folder, 'package.json'), 'utf8'));
		} catch (error) {
			if (error instanceof SyntaxError)
				throw new SyntaxError(`${folder}/package.json: ${error.message}`);
		}
		manifests.set(folder, value);
	}
	return manifests.get(folder);
}

// The nearest folder with a package.json, upwards.
function packageOf(file) {
	for (let folder = path.dirname(file); ; folder = path.dirname(folder)) {
		const value = path.basename(folder) === 'node_modules' ? null : readPackage(folder);
		if (value)
			return { folder, value };
		if (folder === path.dirname(folder))
			return null;
	}
}

// A file for a path that may lack its extension, name another one, or be a folder.  null: none.
function asFile(target) {
	if (isFile(target))
		return target;
	const extension = path.extname(target);
	for (const other of INSTEAD[extension] || []) {
		const candidate = target.slice(0, -extension.length) + other;
		if (isFile(candidate))
			return candidate;
	}
	for (const added of EXTENSIONS)
		if (isFile(target + added))
			return target + added;
	if (isFolder(target)) {
		const main = readPackage(target)?.main;
		if (typeof main === 'string') {
			const found = asFile(path.join(target, main));
			if (found)
				return found;
		}
		for (const added of EXTENSIONS)
			if (isFile(path.join(target, `index${added}`)))
				return path.join(target, `index${added}`);
	}
	return null;
}

// The target of a package's "exports" or "imports" value for these conditions: a string, null (forbidden) or undefined.
function pick(value, star) {
	if (typeof value === 'string')
		return star === null ? value : value.replaceAll('*', star);
	if (value === null)
		return null;
	if (Array.isArray(value)) {
		for (const item of value) {
			const found = pick(item, star);
			if (found !== undefined && found !== null)
				return found;
		}
		return undefined;
	}
	if (typeof value === 'object')
		for (const [condition, inner] of Object.entries(value))
			if (CONDITIONS.has(condition)) {
				const found = pick(inner, star);
				if (found !== undefined)
					return found;
			}
	return undefined;
}

// key: "./sub", "." or "#name"; map: the object of such keys.
function match(map, key) {
	if (Object.hasOwn(map, key) && !key.includes('*'))
		return pick(map[key], null);
	let best = null;
	for (const pattern of Object.keys(map)) {
		const at = pattern.indexOf('*');
		if (at < 0)
			continue;
		const before = pattern.slice(0, at), after = pattern.slice(at + 1);
		if (key.length >= pattern.length && key.startsWith(before) && key.endsWith(after) && (!best || before.length > best.before.length))
			best = { pattern, before, after };
	}
	if (!best)
		return undefined;
	return pick(map[best.pattern], key.slice(best.before.length, key.length - best.after.length));
}

function notFound(spec, from, why) {
	const reason = why || (spec.startsWith('node:') && `Node.js ${process.versions.node} does not have it: plugins.node names a newer one`);
	const error = new Error(`Cannot find module '${spec}'${reason ? ` (${reason})` : ''}\nimported from ${from}`);
	error.code = 'MODULE_NOT_FOUND';
	error.spec = spec;
	return error;
}

function inPackage(folder, sub, spec, from) {
	const manifest = readPackage(folder);
	const exported = manifest?.exports;
	if (exported !== undefined && exported !== null) {
		const isMap = typeof exported === 'object' && !Array.isArray(exported) && Object.keys(exported).some((key) => key.startsWith('.'));
		const target = isMap ? match(exported, sub === '' ? '.' : `./${sub}`) : sub === '' ? pick(exported, null) : undefined;
		if (typeof target !== 'string')
			throw notFound(spec, from, `${manifest.name || folder} does not export ${sub === '' ? 'anything' : `./${sub}`}`);
		const found = asFile(path.join(folder, target));
		if (!found)
			throw notFound(spec, from, `${manifest.name || folder} names a file that is not there: ${target}`);
		return found;
	}
	if (sub !== '')
		return asFile(path.join(folder, sub));
	return asFile(folder);
}

function split(spec) {
	const parts = spec.split('/');
	const name = spec.startsWith('@') ? parts.slice(0, 2).join('/') : parts[0];
	return { name, sub: spec.slice(name.length + 1) };
}

// The absolute, real path of the file that `spec` means in the file `from`.  Throws MODULE_NOT_FOUND.
function resolve(spec, from) {
	let found;
	if (spec.startsWith('file:'))
		found = asFile(fileURLToPath(spec));
	else if (spec.startsWith('./') || spec.startsWith('../') || spec === '.' || spec === '..' || path.isAbsolute(spec))
		found = asFile(path.resolve(path.dirname(from), spec.replace(/[?#].*$/, '')));
	else if (spec.startsWith('#')) {
		const own = packageOf(from);
		const target = own?.value.imports ? match(own.value.imports, spec) : undefined;
		if (typeof target !== 'string')
			throw notFound(spec, from, 'no such entry in "imports" of its package.json');
		return target.startsWith('.') ? resolve(path.join(own.folder, target), from) : resolve(target, from);
	} else {
		const { name, sub } = split(spec);
		const own = packageOf(from);
		if (own?.value.name === name && own.value.exports !== undefined)
			found = inPackage(own.folder, sub, spec, from);
		for (let folder = path.dirname(from); !found; folder = path.dirname(folder)) {
			if (path.basename(folder) !== 'node_modules') {
				const candidate = path.join(folder, 'node_modules', name);
				if (isFolder(candidate))
					found = inPackage(candidate, sub, spec, from);
			}
			if (folder === path.dirname(folder))
				break;
		}
	}
	if (!found)
		throw notFound(spec, from);
	return fs.realpathSync(found);
}

module.exports = { resolve, asFile, packageOf, readPackage, split };
