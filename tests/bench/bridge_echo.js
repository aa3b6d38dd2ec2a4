'use strict';
// The bare other side: the bridge's own client of nng's protocol, and nothing above it. usage: node bridge_echo.js SOCKET
const path = require('node:path');
const { Pair } = require(path.join(__dirname, '../../ipc-bridge/node/lib/sp.js'));
const pair = new Pair(process.argv[2]);
pair.on('message', (message) => pair.send([message]));
pair.on('close', () => process.exit(0));
