'use strict';
// What a plugin changed in a configuration that it got and hands back: single values by their paths, so that the gateway can
// check and write each, and everything else (comments, secrets that the plugin never saw) stays.

const isTree = (value) => value !== null && typeof value === 'object' && !Array.isArray(value);

function step(path, name) {
	if (!/^[A-Za-z_][A-Za-z0-9_-]*$/.test(name))
		return `${path}[${JSON.stringify(name)}]`;
	return path === '' ? name : `${path}.${name}`;
}

function same(a, b) {
	if (a === b)
		return true;
	return JSON.stringify(a) === JSON.stringify(b);
}

// [{path, value}]; without a value: removed.
function configChanges(before, after, path = '', out = []) {
	for (const name of new Set([...Object.keys(before ?? {}), ...Object.keys(after ?? {})])) {
		const at = step(path, name), was = before?.[name], is = after?.[name];
		if (is === undefined && was !== undefined)
			out.push({ path: at });
		else if (isTree(was) && isTree(is))
			configChanges(was, is, at, out);
		else if (!same(was, is))
			out.push({ path: at, value: JSON.parse(JSON.stringify(is)) });
	}
	return out;
}

module.exports = { configChanges };
