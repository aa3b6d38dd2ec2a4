#!/usr/bin/env node
'use strict';
// The process of one plugin, or of a group that shares it.  Started by the gateway with OPENCLAW_BRIDGE (lib/link.js);
// everything else comes over the sockets.
const os = require('node:os');
const { connect, lines } = require('./lib/link.js');

const NICE = 5;

function closed(error) {
	if (error)
		console.error(`bridge: ${error.message}`);
	process.exit(error ? 69 : 0);
}

function main() {
	const all = lines(), stops = [];
	if (all.length === 0) {
		console.error('this program is started by the gateway, one process a plugin (openclaw plugins list)');
		process.exit(64);
	}
	// A plugin that computes all day leaves the processor to the gateway and to those that wait for it.
	try {
		os.setPriority(NICE);
	} catch {} // then as before
	let left = all.length;
	const methods = (plugin) => {
		const own = plugin.methods(), stop = own.shutdown;
		stops.push(stop);
		own.shutdown = async () => {
			await stop();
			if (--left === 0)
				setTimeout(() => process.exit(0), 50);
			return null;
		};
		return own;
	};
	for (const line of all)
		connect(line, { methods, notes: (plugin) => plugin.notes(), closed });
	// A plugin's stray rejection is a line in its log, not its end.
	process.on('unhandledRejection', (reason) => console.error(`unhandled rejection: ${reason?.stack ?? reason}`));
	process.on('SIGTERM', () => void Promise.allSettled(stops.map((stop) => stop())).then(() => setTimeout(() => process.exit(0), 50)));
}

main();
