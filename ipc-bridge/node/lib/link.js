'use strict';
// A plugin and its connection: what main.js and cli.js have in common.
const { Pair } = require('./sp.js');
const { Peer } = require('./peer.js');
const { Plugin } = require('./plugin.js');

// Three lines for each plugin of the process: its socket, its secret and its id.  No code of theirs finds them.
function lines() {
	const all = (process.env.OPENCLAW_BRIDGE ?? '').split('\n'), out = [];
	delete process.env.OPENCLAW_BRIDGE;
	for (let i = 0; i + 2 < all.length; i += 3)
		out.push(all.slice(i, i + 3));
	return out;
}

// how: {methods(plugin), notes(plugin), told?: {name(value)}: what is not told to the other side, closed(error)}.
function connect([socket, secret, id], how) {
	const pair = new Pair(socket);
	let peer;
	const plugin = new Plugin({
		call: (path, args, options) => peer.call('runtime', { path, args }, options),
		notify: (name, value) => (how.told?.[name] ? how.told[name](value) : peer.notify(name, value)),
	});
	peer = new Peer(pair, how.methods(plugin), how.notes(plugin));
	pair.on('open', () => peer.sayHello({ protocol: 1, secret, id, pid: process.pid, runtime: `node ${process.versions.node}` }));
	pair.on('close', how.closed);
}

module.exports = { connect, lines };
