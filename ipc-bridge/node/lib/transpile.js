'use strict';
// Turns one source file of a plugin (TypeScript, or JavaScript with import and export) into CommonJS, once: the result is
// kept in the cache under the hash of the source.  Lines stay where they are, so that stack traces need no map.
const crypto = require('node:crypto');
const fs = require('node:fs');
const path = require('node:path');

// Goes into the hash: raise it when the output changes.
const FORMAT = 'oc4';
const SOURCE_MAX = 32 * 1024 * 1024;

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

function transform(source, filename) {
	sucrase ??= require('../vendor/sucrase.js');
	const extension = path.extname(filename).toLowerCase();
	const typescript = /^\.[mc]?tsx?$/.test(extension);
	const jsx = extension.endsWith('x') || extension === '.js' || extension === '.mjs';
	const attempt = (withJsx) => {
		const transforms = ['imports'];
		if (typescript)
			transforms.push('typescript');
		if (withJsx)
			transforms.push('jsx');
		const prepared = rename(source, typescript, withJsx);
		return sucrase.transform(prepared, {
			transforms,
			filePath: filename,
			production: true,
			preserveDynamicImport: true,
			disableESTransforms: true,
			enableLegacyTypeScriptModuleInterop: false,
		}).code;
	};
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
