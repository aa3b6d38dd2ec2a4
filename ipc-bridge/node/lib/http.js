'use strict';
// A plugin's HTTP routes: real Node requests and responses on a Unix socket, to which the gateway hands on what matches.
const fs = require('node:fs');
const http = require('node:http');

class HttpSide {
	constructor(registry, complain) {
		this.registry = registry;
		this.complain = complain;
		this.server = http.createServer((req, res) => void this.#serve(req, res));
		this.server.on('upgrade', (req, socket, head) => void this.#upgrade(req, socket, head));
		this.server.requestTimeout = 0; // the gateway keeps the time
		this.server.headersTimeout = 0;
	}

	listen(path) {
		fs.rmSync(path, { force: true });
		return new Promise((resolve, reject) => {
			this.server.once('error', reject);
			this.server.listen({ path, readableAll: false, writableAll: false }, resolve);
		});
	}

	close() {
		return new Promise((resolve) => {
			this.server.close(() => resolve());
			this.server.closeIdleConnections();
			setTimeout(() => this.server.closeAllConnections(), 1000).unref();
		});
	}

	#routesFor(url) {
		const path = decodedPath(url);
		const hit = (route) => (route.match === 'prefix' ? path === route.path || path.startsWith(route.path.endsWith('/') ? route.path : `${route.path}/`)
			: path === route.path || path === `${route.path}/`);
		return this.registry.functions.httpRoute.filter(hit)
			.sort((a, b) => (a.match === 'prefix') - (b.match === 'prefix') || b.path.length - a.path.length);
	}

	// false: nobody wanted it.
	async #serve(req, res) {
		try {
			for (const route of this.#routesFor(req.url))
				if ((await route.handler(req, res)) !== false)
					return;
			for (const handler of this.registry.functions.httpHandler)
				if (await handler(req, res))
					return;
			// The header tells the gateway to answer by itself.
			res.writeHead(404, { 'x-openclaw-unhandled': '1' });
			res.end();
		} catch (error) {
			this.complain(`${req.method} ${req.url}: ${error?.stack ?? error}`);
			if (!res.headersSent)
				res.writeHead(500, { 'content-type': 'text/plain; charset=utf-8' });
			res.end('Internal Server Error');
		}
	}

	// Handlers that know upgrades take the socket from the request.
	async #upgrade(req, socket, head) {
		const res = new http.ServerResponse(req);
		res.assignSocket(socket);
		req.head = head;
		await this.#serve(req, res);
	}
}

function decodedPath(url) {
	const path = url.split(/[?#]/, 1)[0];
	try {
		return decodeURIComponent(path);
	} catch {
		return path;
	}
}

module.exports = { HttpSide };
