'use strict';
// Turns one source file of a plugin (TypeScript, or JavaScript with import and export) into CommonJS, once: the result is
// kept in the cache under the hash of the source.  Lines stay where they are, so that stack traces need no map.
const crypto = require('node:crypto');
const fs = require('node:fs');
const path = require('node:path');

// Goes into the hash: raise it when the output changes.
const FORMAT = 'oc6';
const SOURCE_MAX = 32 * 1024 * 1024;
const KEPT_MAX = 64 * 1024 * 1024; // bytes of a plugin's cache; what was not used longest goes first

let sucrase;

// What has no place in CommonJS is renamed: import.meta and import() become names that the loader hands in, and a module's
// own `require` or `exports` makes room for the ones that the output uses.
function rename(source, typescript, jsx) {
	const owns = /\b(?:const|let|var|function)\s+(require|exports)\b/.test(source);
	if (!owns && !/\bimport\s*(?:\.|\(|\/)/.test(source))
		return source;
	const { parse, tokens: tt } = sucrase;
	const { tokens } = parse(source, jsx, typescript, false);
	let out = '', at = 0;
	const replace = (token, last, text) => {
		out += source.slice(at, token.start) + text;
		at = last.end;
	};
	for (let i = 0; i + 1 < tokens.length; i++) {
		const token = tokens[i], next = tokens[i + 1];
		if (token.isType)
			continue;
		const text = source.slice(token.start, token.end);
		const member = tokens[i - 1]?.type === tt.dot || tokens[i - 1]?.type === tt.questionDot;
		if (text === 'import' && !member && next.type === tt.parenL)
			replace(token, token, '__ocImport');
		else if (text === 'import' && !member && next.type === tt.dot && tokens[i + 2] && source.slice(tokens[i + 2].start, tokens[i + 2].end) === 'meta')
			replace(token, tokens[i + 2], '__ocMeta');
		else if (owns && token.type === tt.name && (text === 'require' || text === 'exports') && !member &&
			!(next.type === tt.colon && /[{,]$/.test(source.slice(0, token.start).trimEnd())))
			replace(token, token, `__own_${text}`);
	}
	return out + source.slice(at);
}

// ---- What the transpiler below does not know ----

const DECLARES = /\bexport\s+(?:const|let|var)\b/;
const SPACE = /\b(?:namespace|module)\s+[A-Za-z_$][\w$.]*\s*\{/;

// `export const a = 1, b = 2`: the list of declarations loses its `export`, and its names are exported at the end.
function splitExports(source, typescript, jsx) {
	if (!DECLARES.test(source))
		return source;
	const { parse, tokens: tt, roles } = sucrase, { tokens } = parse(source, jsx, typescript, false);
	const opens = new Set([tt.parenL, tt.bracketL, tt.braceL, tt.dollarBraceL]), closes = new Set([tt.parenR, tt.bracketR, tt.braceR]);
	const begins = new Set([tt._const, tt._let, tt._var, tt._export]);
	const names = [];
	let out = '', at = 0;
	for (let i = 0; i + 1 < tokens.length; i++) {
		if (tokens[i].type !== tt._export || tokens[i].isType || ![tt._const, tt._let, tt._var].includes(tokens[i + 1].type) || tokens[i + 2]?.type === tt._enum)
			continue;
		const found = [];
		let depth = 0, several = false;
		for (let j = i + 2; j < tokens.length; j++) {
			const { type, isType, identifierRole, start, end } = tokens[j];
			if (isType)
				continue;
			if (opens.has(type))
				depth++;
			else if (closes.has(type))
				depth--;
			else if (depth === 0 && (type === tt.semi || begins.has(type) || (type === tt._import && tokens[j + 1]?.type !== tt.parenL && tokens[j + 1]?.type !== tt.dot)))
				break;
			else if (depth === 0 && type === tt.comma)
				several = true;
			if (identifierRole === roles.TopLevelDeclaration || identifierRole === roles.ObjectShorthandTopLevelDeclaration)
				found.push(source.slice(start, end));
		}
		if (!several)
			continue;
		names.push(...found);
		out += source.slice(at, tokens[i].start);
		at = tokens[i].end;
	}
	return names.length > 0 ? `${out}${source.slice(at)}\n;export { ${names.join(', ')} };` : source;
}

// A namespace with values is a module within a module: its body is compiled as one, with the namespace for its `exports`.
function foldNamespaces(source, filename, jsx) {
	if (!SPACE.test(source))
		return source;
	const { parse, tokens: tt } = sucrase, { tokens } = parse(source, jsx, true, false);
	const text = (token) => source.slice(token.start, token.end);
	let out = '', at = 0, depth = 0;
	const declared = new Set();
	for (let i = 0; i + 2 < tokens.length; i++) {
		const token = tokens[i];
		if (token.type === tt.braceL || token.type === tt.dollarBraceL)
			depth++;
		else if (token.type === tt.braceR)
			depth--;
		if (depth === 0 && /^(?:class|function|enum|const|let|var)$/.test(text(token)) && tokens[i + 1].type === tt.name)
			declared.add(text(tokens[i + 1]));
		const before = tokens[i - 1], exported = before?.type === tt._export;
		if (depth !== 0 || !/^(?:namespace|module)$/.test(text(token)) || tokens[i + 1].type !== tt.name || (before && text(before) === 'declare') ||
			(exported && tokens[i - 2] && text(tokens[i - 2]) === 'declare'))
			continue;
		const path = [text(tokens[i + 1])];
		let j = i + 2;
		for (; tokens[j]?.type === tt.dot && tokens[j + 1]; j += 2)
			path.push(text(tokens[j + 1]));
		if (tokens[j]?.type !== tt.braceL)
			continue;
		let level = 1, k = j + 1;
		for (; k < tokens.length && level > 0; k++)
			level += tokens[k].type === tt.braceL || tokens[k].type === tt.dollarBraceL ? 1 : tokens[k].type === tt.braceR ? -1 : 0;
		const body = source.slice(tokens[j].end, tokens[k - 1].start), [name, ...rest] = path;
		const inner = rest.length > 0 ? `export namespace ${rest.join('.')} {${body}}` : body;
		const made = compile(inner, filename, true, jsx).replace(/^"use strict";/, '');
		i = k - 1;
		if (made.trim() === '')
			continue; // types only: they go by themselves
		const begin = exported ? before.start : token.start;
		out += `${source.slice(at, begin)}${declared.has(name) ? '' : `${exported ? 'export ' : ''}var ${name}; `}(function (exports) {${made}})(${name} || (${name} = {}));`;
		declared.add(name);
		at = tokens[k - 1].end;
	}
	return at > 0 ? out + source.slice(at) : source;
}

function refuseDecorators(source, typescript, jsx) {
	if (!source.includes('@'))
		return;
	const { tokens } = sucrase.parse(source, jsx, typescript, false);
	if (tokens.some((token) => token.type === sucrase.tokens.at && !token.isType))
		throw new SyntaxError('decorators are not compiled here: compile the plugin to JavaScript before');
}

function compile(source, filename, typescript, jsx) {
	refuseDecorators(source, typescript, jsx);
	const whole = splitExports(typescript ? foldNamespaces(source, filename, jsx) : source, typescript, jsx);
	const { code } = sucrase.transform(rename(whole, typescript, jsx), {
		transforms: ['imports', ...(typescript ? ['typescript'] : []), ...(jsx ? ['jsx'] : [])],
		filePath: filename,
		production: true,
		preserveDynamicImport: true,
		disableESTransforms: true,
		enableLegacyTypeScriptModuleInterop: false,
	});
	// Two helpers that it puts in front are not what Node does: the default of CommonJS that has none is all of it, and what a
	// module exports itself goes before what it passes on with a star.
	return code
		.replace('return obj && obj.__esModule ? obj : { default: obj };', "return obj && obj.__esModule && 'default' in obj ? obj : { default: obj };")
		.replace('get: () => obj[key]}', 'get: () => obj[key], set: (value) => Object.defineProperty(exports, key, { enumerable: true, configurable: true, writable: true, value })}');
}

function transform(source, filename) {
	sucrase ??= require('../vendor/sucrase.js');
	const extension = path.extname(filename).toLowerCase();
	const typescript = /^\.[mc]?tsx?$/.test(extension);
	const jsx = extension.endsWith('x') || extension === '.js' || extension === '.mjs';
	const attempt = (withJsx) => compile(source, filename, typescript, withJsx);
	// JSX in plain .js is rare, and its syntax takes '<T>x' away: only where the file does not parse without.
	try {
		return attempt(extension.endsWith('x'));
	} catch (error) {
		if (!jsx || extension.endsWith('x'))
			throw error;
		return attempt(true);
	}
}

class Transpiler {
	constructor(cacheDir) {
		this.cacheDir = cacheDir; // NULL: nothing is kept
		this.made = 0;
		this.used = new Set();
	}

	// The CommonJS text of the file.
	read(filename) {
		const source = fs.readFileSync(filename, 'utf8').replace(/^\uFEFF/, '').replace(/^#!.*/, '');
		if (source.length > SOURCE_MAX)
			throw new RangeError(`${filename}: more than ${SOURCE_MAX} characters`);
		if (!this.cacheDir)
			return this.#make(source, filename);
		const hash = crypto.createHash('sha256').update(FORMAT).update(path.extname(filename)).update('\0').update(source)
			.digest('hex');
		const kept = path.join(this.cacheDir, hash.slice(0, 2), `${hash.slice(2)}.js`);
		this.used.add(kept);
		try {
			return fs.readFileSync(kept, 'utf8');
		} catch (error) {
			if (error.code !== 'ENOENT')
				this.cacheDir = null; // a cache that cannot be read is no reason to fail
		}
		const code = this.#make(source, filename);
		if (this.cacheDir)
			this.#keep(kept, code);
		return code;
	}

	// After a plugin was loaded: what other versions of it left behind goes when there is too much.
	tidy(most = KEPT_MAX) {
		if (!this.cacheDir || this.made === 0)
			return;
		try {
			const files = fs.readdirSync(this.cacheDir, { recursive: true }).map((name) => path.join(this.cacheDir, name))
				.map((file) => ({ file, stat: fs.statSync(file) })).filter(({ stat }) => stat.isFile());
			let bytes = files.reduce((sum, { stat }) => sum + stat.size, 0);
			for (const { file, stat } of files.sort((a, b) => a.stat.mtimeMs - b.stat.mtimeMs)) {
				if (bytes <= most)
					break;
				if (this.used.has(file))
					continue;
				fs.rmSync(file, { force: true });
				bytes -= stat.size;
			}
		} catch {} // another process of the plugin may tidy, too
	}

	#make(source, filename) {
		this.made++;
		try {
			return transform(source, filename);
		} catch (error) {
			throw new SyntaxError(`${filename}: ${error.message.replace(/^Error transforming [^:]*: /, '')}`);
		}
	}

	// Written beside and renamed: two processes may do it at once.
	#keep(kept, code) {
		const beside = `${kept}.${process.pid}`;
		try {
			fs.mkdirSync(path.dirname(kept), { recursive: true, mode: 0o700 });
			fs.writeFileSync(beside, code, { mode: 0o600 });
			fs.renameSync(beside, kept);
		} catch {
			this.cacheDir = null;
			fs.rmSync(beside, { force: true });
		}
	}
}

module.exports = { Transpiler };
