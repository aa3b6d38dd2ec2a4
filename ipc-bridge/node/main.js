#!/usr/bin/env node
'use strict';
// The process of one plugin, or of a group that shares it.  Started by the gateway with OPENCLAW_BRIDGE: three lines for each
// plugin, its socket, its secret and its id; everything else comes over the sockets.
const os = require('node:os');
const { Pair } = require('./lib/sp.js');
const { Peer } = require('./lib/peer.js');
const { Plugin } = require('./lib/plugin.js');

const NICE = 5;

// {stop}: one plugin, on its own connection.
function connect(socket, secret, id, over) {
	const pair = new Pair(socket);
	let peer;
	const plugin = new Plugin({
		call: (path, args, options) => peer.call('runtime', { path, args }, options),
		notify: (name, value) => peer.notify(name, value),
	});
	const methods = plugin.methods(), stop = methods.shutdown;
	methods.shutdown = async () => {
		await stop();
		over();
		return null;
	};
	peer = new Peer(pair, methods, plugin.notes());
	pair.on('open', () => peer.sayHello({ protocol: 1, secret, id, pid: process.pid, runtime: `node ${process.versions.node}` }));
	pair.on('close', (error) => {
		if (error)
			console.error(`bridge: ${error.message}`);
		process.exit(error ? 69 : 0);
	});
	return { stop };
}

function main() {
	const lines = (process.env.OPENCLAW_BRIDGE ?? '').split('\n'), plugins = [];
	delete process.env.OPENCLAW_BRIDGE;
	if (lines.length < 3) {
		console.error('this program is started by the gateway, one process a plugin (openclaw plugins list)');
		process.exit(64);
	}
	// A plugin that computes all day leaves the processor to the gateway and to those that wait for it.
	try {
		os.setPriority(NICE);
	} catch {} // then as before
	let left = 0;
	const over = () => {
		if (--left === 0)
			setTimeout(() => process.exit(0), 50);
	};
	for (let i = 0; i + 2 < lines.length; i += 3, left++)
		plugins.push(connect(lines[i], lines[i + 1], lines[i + 2], over));
	// A plugin's stray rejection is a line in its log, not its end.
	process.on('unhandledRejection', (reason) => console.error(`unhandled rejection: ${reason?.stack ?? reason}`));
	process.on('SIGTERM', () => void Promise.allSettled(plugins.map(({ stop }) => stop())).then(() => setTimeout(() => process.exit(0), 50)));
}

main();
