'use strict';
// The guest of t_bridge_peer: a real Node process on the JavaScript side's own code.
const path = require('node:path');
const lib = path.join(process.env.OC_TOP_SRCDIR, 'ipc-bridge', 'node', 'lib');
const { Pair } = require(path.join(lib, 'sp.js'));
const { Peer } = require(path.join(lib, 'peer.js'));

const pair = new Pair(process.env.BRIDGE_SOCKET);
let cancelled = 0;
const peer = new Peer(pair, {
	echo: (params) => params,
	count: ({ to }, call) => {
		for (let i = 1; i <= to; i++)
			call.event({ i });
		return { counted: to };
	},
	fail: () => {
		throw Object.assign(new Error('it is broken'), { code: 'NOT_FOUND' });
	},
	wait: (_params, call) => new Promise((resolve) => call.signal.addEventListener('abort', () => {
		cancelled++;
		resolve({ cancelled });
	})),
	cancelled: () => ({ cancelled }),
	ask: async ({ question }) => peer.call('runtime', { question }),
	exit: () => process.exit(3),
}, {});
pair.on('open', () => {
	if (process.env.BRIDGE_GARBAGE)
		pair.send([Buffer.from('no frame at all')]);
	else
		peer.sayHello({ protocol: 1, secret: process.env.BRIDGE_SECRET, id: 'test', pid: process.pid, runtime: 'node' });
});
pair.on('close', () => process.exit(0));
setTimeout(() => process.exit(9), 20000).unref();
