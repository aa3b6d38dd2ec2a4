'use strict';
// What one plugin registered: the functions stay here under numbers, what describes them goes to the gateway.  The numbers
// follow the order of registration, so the same code with the same configuration gets the same ones.

// A value as it can cross: functions left out, class instances by their own fields, zod and TypeBox schemas as JSON Schema.
function plainData(value, depth = 0) {
	if (value === null || ['string', 'number', 'boolean'].includes(typeof value))
		return value;
	if (typeof value === 'bigint')
		return String(value);
	if (typeof value !== 'object' || depth > 24)
		return undefined;
	if (Array.isArray(value))
		return value.map((item) => plainData(item, depth + 1) ?? null);
	if (value instanceof Date)
		return value.toISOString();
	if (value instanceof Set)
		return [...value].map((item) => plainData(item, depth + 1) ?? null);
	const out = {};
	for (const [key, item] of Object.entries(value)) {
		const plain = plainData(item, depth + 1);
		if (plain !== undefined)
			out[key] = plain;
	}
	return out;
}

// What of a plain object can cross, and where it has functions: {data, functions: ['gateway.startAccount', …]}.  Instances of
// classes and what leads back to itself are left out.
function outline(value) {
	const functions = [], above = [];
	const walk = (item, at) => {
		if (typeof item === 'function')
			return void functions.push(at);
		if (item === null || typeof item !== 'object' || item instanceof Date || item instanceof Set || item._zod || item._def)
			return plainData(item);
		const isList = Array.isArray(item), proto = Object.getPrototypeOf(item);
		if (above.length > 16 || above.includes(item) || !(isList || proto === Object.prototype || proto === null))
			return undefined;
		above.push(item);
		const out = isList ? item.map((one, i) => walk(one, `${at}.${i}`) ?? null) : {};
		if (!isList)
			for (const [key, one] of Object.entries(item)) {
				const data = walk(one, at ? `${at}.${key}` : key);
				if (data !== undefined)
					out[key] = data;
			}
		above.pop();
		return out;
	};
	const data = walk(value, '');
	return { data, functions: functions.sort() };
}

// The JSON Schema of a tool's parameters, whatever they were written with.
function schemaOf(value) {
	if (value === null || typeof value !== 'object')
		return { type: 'object', properties: {} };
	if (value._zod || value._def)
		try {
			const zod = require('../vendor/zod.js').root;
			return plainData(zod.toJSONSchema(value, { unrepresentable: 'any' }));
		} catch {
			return { type: 'object', properties: {} };
		}
	return plainData(value);
}

class Registry {
	constructor() {
		this.functions = { handler: [], factory: [], command: [], service: [], engine: [], cli: [], httpRoute: [], httpHandler: [] };
		this.methods = new Map();
		this.channels = new Map();
		this.providers = new Map();
		this.out = { tools: [], hooks: [], internalHooks: [], commands: [], services: [], httpRoutes: [], httpHandlers: 0,
			gatewayMethods: [], cli: [], channels: [], providers: [], contextEngines: [], other: [], diagnostics: [] };
		this.dropped = null; // told of what was taken back after that
		this.later = null; // told of each registration after the snapshot was taken
	}

	diagnostic(level, message) {
		this.#add('diagnostics', { level, message });
	}

	// Keeps fn under its number in the list and describes it.
	keep(list, fn, kind, description, numberName = list) {
		const number = this.functions[list].push(fn) - 1;
		this.#add(kind, { [numberName]: number, ...description });
		return number;
	}

	name(map, kind, id, value, description) {
		this[map].set(id, value);
		this.#add(kind, description);
	}

	note(kind, description) {
		this.#add(kind, description);
	}

	// The route that is there already at this place, {row, number}.
	route(path, match) {
		const row = this.out.httpRoutes.find((one) => one.path === path && one.match === match);
		return row ? { row, number: row.route } : null;
	}

	dropRoute(number) {
		this.functions.httpRoute[number] = null;
		this.out.httpRoutes = this.out.httpRoutes.filter((row) => row.route !== number);
		this.dropped?.({ httpRoutes: [number] });
	}

	httpHandler(fn) {
		this.functions.httpHandler.push(fn);
		this.out.httpHandlers++;
		this.later?.({ httpHandlers: this.out.httpHandlers });
	}

	fn(list, number) {
		const found = this.functions[list][number];
		if (!found)
			throw Object.assign(new Error(`this plugin registered no ${list} ${number}`), { code: 'NOT_FOUND' });
		return found;
	}

	#add(kind, description) {
		this.out[kind].push(description);
		this.later?.({ [kind]: [description] });
	}
}

module.exports = { Registry, outline, plainData, schemaOf };
