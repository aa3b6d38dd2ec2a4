'use strict';
// The zod that schemas of the SDK are made with: the plugin's own where it has one, so that one copy is in memory.
const made = new WeakMap();

function z(plugin) {
	if (!made.has(plugin)) {
		let own;
		try {
			own = plugin.lend?.('zod');
		} catch {
			own = undefined; // a broken copy of the plugin's is its own affair
		}
		own = own?.z ?? own;
		made.set(plugin, own?.toJSONSchema && own?.object ? own : require('../vendor/zod.js').root);
	}
	return made.get(plugin);
}

module.exports = { z };
