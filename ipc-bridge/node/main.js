#!/usr/bin/env node
'use strict';
// The process of one plugin.  Started by the gateway with OPENCLAW_BRIDGE_SOCKET, OPENCLAW_BRIDGE_SECRET and
// OPENCLAW_BRIDGE_ID; everything else comes over the socket.
const { Pair } = require('./lib/sp.js');
const { Peer } = require('./lib/peer.js');
const { Plugin } = require('./lib/plugin.js');

function take(name) {
	const value = process.env[name];
	delete process.env[name];
	return value;
}

function main() {
	const socket = take('OPENCLAW_BRIDGE_SOCKET'), secret = take('OPENCLAW_BRIDGE_SECRET'), id = take('OPENCLAW_BRIDGE_ID');
	if (!socket || !secret || !id) {
		console.error('this program is started by the gateway, one process a plugin (openclaw plugins list)');
		process.exit(64);
	}
	const pair = new Pair(socket);
	let peer;
	const plugin = new Plugin({
		call: (path, args, options) => peer.call('runtime', { path, args }, options),
		notify: (name, value) => peer.notify(name, value),
	});
	const methods = plugin.methods();
	const stop = methods.shutdown;
	methods.shutdown = async () => {
		await stop();
		setTimeout(() => process.exit(0), 50);
		return null;
	};
	peer = new Peer(pair, methods, plugin.notes());
	pair.on('open', () => peer.sayHello({ protocol: 1, secret, id, pid: process.pid, runtime: `node ${process.versions.node}` }));
	pair.on('close', (error) => {
		if (error)
			console.error(`bridge: ${error.message}`);
		process.exit(error ? 69 : 0);
	});
	// A plugin's stray rejection is a line in its log, not its end.
	process.on('unhandledRejection', (reason) => console.error(`unhandled rejection: ${reason?.stack ?? reason}`));
	process.on('SIGTERM', () => void methods.shutdown());
}

main();
