'use strict';
// From a loaded module to its register function, whichever way the plugin was written.

// Interop may nest the default export twice.
function unwrap(module) {
	let value = module;
	for (let i = 0; i < 3 && value !== null && typeof value === 'object' && 'default' in value && typeof value.register !== 'function' &&
		typeof value.activate !== 'function'; i++)
		value = value.default;
	return value;
}

// {definition, register(api)}; throws with what is wrong.
function entryOf(module) {
	const value = unwrap(module);
	if (typeof value === 'function')
		return { definition: {}, register: value };
	if (value === null || typeof value !== 'object')
		throw new TypeError('the entry exports neither a function nor an object with register()');
	const register = value.register ?? value.activate;
	if (typeof register !== 'function')
		throw new TypeError('the entry exports an object without register() or activate()');
	return { definition: value, register: (api) => register.call(value, api) };
}

module.exports = { entryOf };
