'use strict';
// A plugin's HTTP routes: real Node requests and responses on a Unix socket, to which the gateway hands on what matches.
// Which routes those are the gateway says in a header of its own, so that a path means the same on both sides.
const fs = require('node:fs');
const http = require('node:http');

const ROUTES = 'x-openclaw-routes', PEER = 'x-openclaw-peer';
// Tells the gateway that nobody wanted the request.
const UNHANDLED = 'x-openclaw-unhandled';

class HttpSide {
	constructor(registry, complain) {
		this.registry = registry;
		this.complain = complain;
		this.server = http.createServer({ maxHeaderSize: 256 * 1024, requestTimeout: 0, headersTimeout: 0, keepAliveTimeout: 1 },
			(req, res) => void this.#serve(req, res));
		this.server.on('upgrade', (req, socket, head) => void this.#upgrade(req, socket, head));
		this.sockets = new Set();
		this.server.on('connection', (socket) => {
			this.sockets.add(socket);
			socket.on('close', () => this.sockets.delete(socket));
			socket.on('error', () => {});
		});
	}

	// Once, whoever asks.
	listen(path) {
		this.listening ??= new Promise((resolve, reject) => {
			fs.rmSync(path, { force: true });
			this.server.once('error', reject);
			this.server.listen({ path }, resolve);
		});
		return this.listening;
	}

	close() {
		if (!this.listening)
			return Promise.resolve();
		return new Promise((resolve) => {
			this.server.close(() => resolve());
			setTimeout(() => {
				for (const socket of this.sockets)
					socket.destroy();
				resolve();
			}, 1000).unref();
		});
	}

	// The functions that may answer, in order.
	#chosen(routes, upgrade) {
		const out = [];
		for (const one of String(routes ?? '').split(','))
			if (one === 'h')
				out.push(...this.registry.functions.httpHandler.map((handler) => async (req, res) => (await handler(req, res)) === true));
			else if (this.registry.functions.httpRoute[Number(one)])
				out.push(run(this.registry.functions.httpRoute[Number(one)], upgrade));
		return out;
	}

	async #serve(req, res, upgrade) {
		try {
			for (const handle of this.#chosen(unwrap(req), upgrade))
				if (await handle(req, res))
					return;
			if (!res.headersSent)
				res.writeHead(404, { [UNHANDLED]: '1' });
			res.end();
		} catch (error) {
			this.complain(`${req.method} ${req.url}: ${error?.stack ?? error}`);
			if (!res.headersSent)
				res.writeHead(500, { 'content-type': 'text/plain; charset=utf-8' });
			res.end(res.writableEnded ? undefined : 'Internal Server Error');
		}
	}

	async #upgrade(req, socket, head) {
		const res = new http.ServerResponse(req);
		res.shouldKeepAlive = false;
		res.assignSocket(socket);
		res.on('finish', () => {
			res.detachSocket(socket);
			socket.end();
		});
		req.head = head;
		await this.#serve(req, res, { socket, head });
	}
}

// A route's function; false: it is nothing for it.
function run(route, upgrade) {
	if (upgrade && typeof route.handleUpgrade === 'function')
		return async (req) => (await route.handleUpgrade(req, upgrade.socket, upgrade.head)) !== false;
	return async (req, res) => (await route.handler(req, res)) !== false;
}

// Takes the gateway's headers out and makes the connection look like the client's own.  Returns the routes.
function unwrap(req) {
	const routes = req.headers[ROUTES], [address, port, tls] = String(req.headers[PEER] ?? '').split(' ');
	delete req.headers[ROUTES];
	delete req.headers[PEER];
	const raw = req.rawHeaders;
	for (let i = raw.length - 2; i >= 0; i -= 2)
		if ([ROUTES, PEER].includes(raw[i].toLowerCase()))
			raw.splice(i, 2);
	for (const [name, value] of [['remoteAddress', address || '127.0.0.1'], ['remotePort', Number(port) || 0],
		['remoteFamily', address?.includes(':') ? 'IPv6' : 'IPv4'], ['encrypted', tls === '1']])
		Object.defineProperty(req.socket, name, { value, configurable: true, writable: true });
	return routes;
}

module.exports = { HttpSide };
