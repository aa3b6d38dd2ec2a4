'use strict';
// Loads a plugin's code as the original's loader did: synchronously, TypeScript and modern modules alike.  The plugin's own
// files are compiled here, as CommonJS; its dependencies are loaded by Node, and here only when Node cannot (modules
// without a CommonJS form on a Node that cannot require them, TypeScript in node_modules, a dependency that itself imports
// the SDK).
const fs = require('node:fs');
const Module = require('node:module');
const path = require('node:path');
const vm = require('node:vm');
const { fileURLToPath, pathToFileURL } = require('node:url');
const { resolve, packageOf, split } = require('./resolve.js');

const SDK = /^(?:openclaw|clawdbot|moltbot)(?:\/|$)/;
// What plugins expect from their host without saying so; only when they do not bring it.
const CUSTOMARY = new Set(['@sinclair/typebox', 'typebox', 'zod', 'commander']);
const NATIVE_MISSES = new Set(['ERR_REQUIRE_ESM', 'ERR_REQUIRE_ASYNC_MODULE', 'ERR_PACKAGE_PATH_NOT_EXPORTED',
	'ERR_UNKNOWN_FILE_EXTENSION', 'ERR_UNSUPPORTED_DIR_IMPORT', 'ERR_UNSUPPORTED_NODE_MODULES_TYPE_STRIPPING',
	'ERR_MODULE_NOT_FOUND', 'ERR_IMPORT_ATTRIBUTE_MISSING']);

const loaders = []; // one a plugin of this process

class Loader {
	// options: {root, transpiler, sdk(spec) -> exports, onMissing(name)}
	constructor(options) {
		this.root = fs.realpathSync(options.root);
		this.transpiler = options.transpiler;
		this.sdk = options.sdk;
		this.modules = new Map();
		this.compiledDependencies = new Set();
		this.#answerForSdk();
	}

	// The exports of a file of the plugin.
	load(file) {
		return this.#compile(fs.realpathSync(file)).exports;
	}

	// Dependencies that Node loads may ask for the SDK too.
	#answerForSdk() {
		if (loaders.push(this) > 1)
			return;
		const original = Module._load;
		Module._load = (request, parent, isMain) => {
			const own = () => loaders.find((one) => parent?.filename?.startsWith(`${one.root}/`)) ?? this;
			if (SDK.test(request))
				return own().sdk(request);
			try {
				return original(request, parent, isMain);
			} catch (error) {
				if (error.code === 'MODULE_NOT_FOUND' && CUSTOMARY.has(split(request).name) && error.message.includes(`'${request}'`))
					return this.#customary(request);
				throw error;
			}
		};
	}

	// What the plugin itself gets for a package's name, or undefined when it has none.
	lend(name) {
		try {
			return this.#require(name, `${this.root}/package.json`);
		} catch (error) {
			if (error.code === 'MODULE_NOT_FOUND')
				return undefined;
			throw error;
		}
	}

	#customary(spec) {
		const { name, sub } = split(spec);
		const all = require(`../vendor/${name.replace('@', '').replace('/', '-')}.js`);
		if (sub === '')
			return all.root;
		if (all.subs?.[sub])
			return all.subs[sub];
		throw Object.assign(new Error(`Cannot find module '${spec}' (the bridge lends ${name}, but not this part of it)`),
			{ code: 'MODULE_NOT_FOUND' });
	}

	#isOwn(file) {
		const inside = path.relative(this.root, file);
		return !inside.startsWith('..') && !path.isAbsolute(inside) && !inside.split(path.sep).includes('node_modules');
	}

	// Extensions of the original sometimes reach into the package they came in (../../../dist/extensionAPI.js).
	#isOfTheOriginal(spec, from) {
		if (!/^(?:\.\.\/)+(?:src|dist)\//.test(spec))
			return false;
		return path.relative(this.root, path.resolve(path.dirname(from), spec)).startsWith('..');
	}

	// What `spec` gives in the file `from`.
	#require(spec, from) {
		if (SDK.test(spec))
			return this.sdk(spec);
		if (Module.isBuiltin(spec))
			return require(spec);
		let file;
		try {
			file = resolve(spec, from);
		} catch (error) {
			if (error.code === 'MODULE_NOT_FOUND' && CUSTOMARY.has(split(spec).name))
				return this.#customary(spec);
			if (error.code === 'MODULE_NOT_FOUND' && this.#isOfTheOriginal(spec, from))
				return this.sdk('openclaw/extension-api');
			throw error;
		}
		if (this.modules.has(file))
			return this.modules.get(file).exports;
		const extension = path.extname(file);
		if (extension === '.node' || extension === '.json')
			return extension === '.json' ? this.#json(file) : require(file);
		if (this.#isOwn(file) || this.compiledDependencies.has(packageOf(file)?.folder) || /^\.[mc]?tsx?$/.test(extension))
			return this.#compile(file).exports;
		return this.#dependency(spec, file);
	}

	#dependency(spec, file) {
		try {
			return require(file);
		} catch (error) {
			if (!NATIVE_MISSES.has(error.code) && !(error instanceof SyntaxError && /import|export|meta/.test(error.message)))
				throw error;
			if (error.code === 'ERR_REQUIRE_ASYNC_MODULE')
				throw Object.assign(new Error(`${spec} waits at its top level (await) and cannot be loaded synchronously; ` +
					'import it with import()'), { code: error.code });
			this.compiledDependencies.add(packageOf(file)?.folder);
			return this.#compile(file).exports;
		}
	}

	#json(file) {
		const module = { exports: JSON.parse(fs.readFileSync(file, 'utf8')) };
		this.modules.set(file, module);
		return module.exports;
	}

	async #import(spec, from) {
		let wanted = String(spec);
		if (wanted.startsWith('file:'))
			wanted = fileURLToPath(wanted);
		try {
			return namespace(this.#require(wanted, from));
		} catch (error) {
			if (error.code !== 'ERR_REQUIRE_ASYNC_MODULE' && !/await is only valid/.test(error.message))
				throw error;
			return import(pathToFileURL(resolve(wanted, from)).href);
		}
	}

	#compile(file) {
		const known = this.modules.get(file);
		if (known)
			return known;
		const module = { exports: {}, id: file, filename: file, path: path.dirname(file), loaded: false, children: [], paths: [] };
		this.modules.set(file, module);
		try {
			const code = plain(file) ? fs.readFileSync(file, 'utf8').replace(/^\uFEFF/, '').replace(/^#!.*/, '')
				: this.transpiler.read(file);
			// A function of its own, so that a module may declare __dirname and the like.
			const fn = vm.compileFunction(`return (function () {${code}\n}).call(this);`, ['exports', 'require', 'module', '__filename', '__dirname', '__ocMeta', '__ocImport'],
				{ filename: file });
			const load = this.#requireOf(file);
			const meta = { url: pathToFileURL(file).href, filename: file, dirname: path.dirname(file), main: false,
				resolve: (spec) => (SDK.test(spec) || Module.isBuiltin(spec) ? spec : pathToFileURL(resolve(spec, file)).href) };
			fn.call(module.exports, module.exports, load, module, file, path.dirname(file), meta, (spec) => this.#import(spec, file));
			module.loaded = true;
		} catch (error) {
			this.modules.delete(file);
			throw error;
		}
		return module;
	}

	#requireOf(file) {
		const load = (spec) => this.#require(String(spec), file);
		load.resolve = (spec) => (SDK.test(spec) || Module.isBuiltin(spec) ? spec : resolve(String(spec), file));
		load.resolve.paths = (spec) => Module._nodeModulePaths(path.dirname(file)).filter(() => !Module.isBuiltin(spec));
		load.cache = require.cache;
		load.extensions = require.extensions;
		load.main = undefined;
		return load;
	}
}

// A file that needs no transpiling: CommonJS by its name, or by what it holds.
function plain(file) {
	const extension = path.extname(file);
	if (extension === '.cjs')
		return true;
	if (extension !== '.js' || packageOf(file)?.value.type === 'module')
		return false;
	const source = fs.readFileSync(file, 'utf8');
	return !/^\s*(?:import[\s{*'"]|export[\s{*])/m.test(source) && !/\bimport\s*(?:\.\s*meta|\()/.test(source);
}

// What import() gives for a module's exports.
function namespace(exports) {
	if (exports !== null && (typeof exports === 'object' || typeof exports === 'function')) {
		if (exports.__esModule || exports[Symbol.toStringTag] === 'Module')
			return exports;
		return Object.assign(Object.create(null), typeof exports === 'object' ? exports : {}, { default: exports });
	}
	return { default: exports };
}

module.exports = { Loader };
