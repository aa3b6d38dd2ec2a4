'use strict';
// What `openclaw/plugin-sdk` and its subpaths give: one set of helpers behind every subpath of every release, and a name
// that fails when it is called for what is not among them.
const FILES = ['./entry.js', './basics.js'];

function createSdk(plugin) {
	let helpers;
	const cache = new Map();
	const all = () => {
		if (!helpers) {
			helpers = {};
			for (const file of FILES)
				Object.assign(helpers, require(file)(plugin));
		}
		return helpers;
	};
	return (spec) => {
		if (!cache.has(spec))
			cache.set(spec, namespace(spec, all, plugin));
		return cache.get(spec);
	};
}

function namespace(spec, all, plugin) {
	const absent = new Map();
	const target = { __esModule: true };
	return new Proxy(target, {
		get(_target, key) {
			if (key === '__esModule')
				return true;
			if (typeof key === 'symbol' || key === 'then')
				return undefined;
			const helpers = all();
			if (Object.hasOwn(helpers, key))
				return helpers[key];
			if (key === 'default')
				return undefined;
			if (!absent.has(key))
				absent.set(key, missing(spec, key, plugin));
			return absent.get(key);
		},
		has: (_target, key) => typeof key === 'string',
		ownKeys: () => [...new Set(['__esModule', ...Object.keys(all())])],
		getOwnPropertyDescriptor: (_target, key) => (key === '__esModule' || Object.hasOwn(all(), key)
			? { value: key === '__esModule' ? true : all()[key], enumerable: true, configurable: key !== '__esModule', writable: true } : undefined),
	});
}

function missing(spec, key, plugin) {
	return function () {
		plugin.missing('sdk', `${spec}#${key}`);
		throw Object.assign(new Error(`${spec} has no ${key} in this gateway (openclaw plugins doctor)`), { code: 'UNSUPPORTED' });
	};
}

module.exports = { createSdk };
