'use strict';
// What `openclaw/plugin-sdk` and its subpaths give: one set of helpers behind every subpath of every release, loaded a file at
// a time when a name is first asked for, and a name that fails when it is called for what is not among them.
//
// Each file here exports (plugin, sdk) => helpers; `sdk` gives the helpers of the other files by name.

// Which file has which names (tests/integration/bridge-sdk.mjs compares).
const NAMES = require('./names.js');
const SETUP = /\/plugin-sdk\/(?:[\w-]+-)?(?:setup|doctor)[\w-]*#/;

function createSdk(plugin) {
	const files = new Map();
	const where = new Map();
	for (const [file, names] of Object.entries(NAMES))
		for (const name of names.split(/\s+/))
			where.set(name, file);
	const get = (name) => {
		const file = where.get(name);
		if (!file)
			return undefined;
		if (!files.has(file))
			files.set(file, require(`./${file}.js`)(plugin, sdk));
		return files.get(file)[name];
	};
	// hostRuntime: what the plugin has as api.runtime.
	const sdk = new Proxy({}, { get: (_target, name) => (name === 'hostRuntime' ? plugin.runtime : typeof name === 'string' ? get(name) : undefined) });
	const cache = new Map();
	return (spec) => {
		if (!cache.has(spec))
			cache.set(spec, namespace(spec, where, get, plugin));
		return cache.get(spec);
	};
}

function namespace(spec, where, get, plugin) {
	const absent = new Map();
	const lack = (key) => {
		if (!absent.has(key))
			absent.set(key, missing(`${spec}#${key}`, plugin));
		return absent.get(key);
	};
	// Names are listed without loading what they stand for: `export * from` asks for them all.
	const describe = (key) => ({ get: () => get(key), enumerable: true, configurable: true });
	return new Proxy({}, {
		get(_target, key) {
			if (key === '__esModule')
				return true;
			if (typeof key === 'symbol' || key === 'then')
				return undefined;
			if (where.has(key))
				return get(key);
			return key === 'default' ? undefined : lack(key);
		},
		has: (_target, key) => typeof key === 'string',
		ownKeys: () => [...where.keys()],
		getOwnPropertyDescriptor: (_target, key) => (where.has(key) ? describe(key) : undefined),
	});
}

// A helper that is not here.  A schema lets everything pass; anything else fails, by its name, when it is used.
function missing(name, plugin) {
	if (/Schema$/.test(name)) {
		plugin.missing('sdk', name);
		return require('./zod.js').z(plugin).any();
	}
	const fail = () => {
		plugin.missing('sdk', name);
		// Parts of a set-up that nobody asks for here: describing it is no reason not to load.
		if (SETUP.test(name))
			return missing(`${name}()`, plugin);
		throw Object.assign(new Error(`${name} is not there in this gateway (openclaw plugins doctor)`), { code: 'UNSUPPORTED' });
	};
	return new Proxy(function () {}, {
		apply: fail,
		construct: fail,
		get(target, key) {
			if (key === Symbol.iterator)
				return fail;
			return typeof key === 'symbol' || key === 'then' || key in target ? target[key] : missing(`${name}.${key}`, plugin);
		},
	});
}

module.exports = { createSdk, NAMES };
