'use strict';
// JSON Schemas written short, for the tables in channel-schemas.js:
//   's' 'b' 'n' 'i'   string, boolean, number, integer (as zod writes it); 'i0' 'i+' 'n+' 'i0..60' with bounds; 'any'
//   'a|b|c'           one of these texts; '=x' exactly this text
//   [x]               a list; [x, y, …]: any of these; {'*': x}: x under any name; {name: x, 'name!': y}: an object with these only
//   '@name'           another entry of the same table; '@self': the object it stands in, without "accounts" and "defaultAccount"
//   {'?': value, of: x} x with this default; {json: {…}}: as it is
const SAFE = Number.MAX_SAFE_INTEGER;
const PLAIN = { s: { type: 'string' }, b: { type: 'boolean' }, n: { type: 'number' }, any: {},
	i: { type: 'integer', minimum: -SAFE, maximum: SAFE }, i0: { type: 'integer', minimum: 0, maximum: SAFE },
	'i+': { type: 'integer', exclusiveMinimum: 0, maximum: SAFE }, 'n+': { type: 'number', exclusiveMinimum: 0 },
	sn: { type: ['string', 'number'] } };

function word(text, table, self) {
	if (PLAIN[text])
		return structuredClone(PLAIN[text]);
	if (text === '@self')
		return self();
	if (text.startsWith('@'))
		return expand(table[text.slice(1)], table, self);
	if (text.startsWith('='))
		return { type: 'string', const: text.slice(1) };
	const [, minimum, maximum] = /^i(-?\d+)\.\.(\d+)$/.exec(text) ?? [];
	if (maximum !== undefined)
		return { type: 'integer', minimum: Number(minimum), maximum: Number(maximum) };
	return { type: 'string', enum: text.split('|') };
}

function object(value, table, self) {
	const properties = {}, required = [];
	const own = () => {
		const { accounts: _accounts, defaultAccount: _default, ...rest } = value;
		return object(rest, table, self);
	};
	for (const [key, inner] of Object.entries(value)) {
		const name = key.replace(/!$/, '');
		properties[name] = expand(inner, table, own);
		if (name !== key || properties[name].default !== undefined)
			required.push(name);
	}
	return { type: 'object', properties, ...(required.length > 0 ? { required } : {}), additionalProperties: false };
}

function expand(value, table, self) {
	if (typeof value === 'string')
		return word(value, table, self);
	if (Array.isArray(value))
		return value.length === 1 ? { type: 'array', items: expand(value[0], table, self) } : { anyOf: value.map((one) => expand(one, table, self)) };
	if (value.json)
		return structuredClone(value.json);
	if ('?' in value)
		return { default: value['?'], ...expand(value.of, table, self) };
	if (value['*'])
		return { type: 'object', propertyNames: { type: 'string' }, additionalProperties: expand(value['*'], table, self) };
	return object(value, table, self);
}

module.exports = { expand: (value, table) => ({ $schema: 'http://json-schema.org/draft-07/schema#', ...expand(value, table) }) };
