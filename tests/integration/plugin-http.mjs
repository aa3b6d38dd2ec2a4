// HTTP routes and gateway methods of plugins, through the gateway's port.
import crypto from 'node:crypto';
import fs from 'node:fs';
import net from 'node:net';
import path from 'node:path';
import { test, done, Gateway, equal, ok, match, openSocket, raw, until, state, skipAll, unixRequest, writeConfig } from './lib.mjs';

if (!fs.existsSync(path.join(path.dirname(process.env.OC_BIN), 'bridge/vendor')))
	skipAll('built without plugins');

function write(id, files, manifest = {}) {
	files = { 'openclaw.plugin.json': { id, configSchema: { type: 'object' }, ...manifest }, ...files };
	for (const [name, content] of Object.entries(files)) {
		const file = path.join(state, 'extensions', id, name);
		fs.mkdirSync(path.dirname(file), { recursive: true });
		fs.writeFileSync(file, typeof content === 'string' ? content : JSON.stringify(content));
	}
}

write('web', { 'index.ts': `
import type { OpenClawPluginApi } from "openclaw/plugin-sdk";
import type { IncomingMessage, ServerResponse } from "node:http";
import crypto from "node:crypto";

async function read(req: IncomingMessage): Promise<Buffer> {
	const parts: Buffer[] = [];
	for await (const part of req) parts.push(part as Buffer);
	return Buffer.concat(parts);
}

export default { id: "web", register(api: OpenClawPluginApi) {
	let ticks = 0, aborted = 0;
	api.registerHttpRoute({ path: "/web/echo", auth: "plugin", handler: async (req: IncomingMessage, res: ServerResponse) => {
		const body = await read(req);
		res.statusCode = 201;
		res.setHeader("content-type", "application/json; charset=utf-8");
		res.setHeader("set-cookie", ["a=1", "b=2; Path=/"]);
		res.setHeader("x-own", "yes");
		res.end(JSON.stringify({ method: req.method, url: req.url, headers: req.headers, raw: req.rawHeaders.length,
			from: req.socket.remoteAddress, bytes: body.length, sha: crypto.createHash("sha256").update(body).digest("hex") }));
	} });
	api.registerHttpRoute({ path: "/web/stream", auth: "plugin", handler: (req, res) => {
		res.writeHead(200, { "content-type": "text/event-stream" });
		const timer = setInterval(() => res.write("data: " + ++ticks + "\\n\\n"), 20);
		res.on("close", () => { clearInterval(timer); aborted++; });
	} });
	api.registerHttpRoute({ path: "/web/big", auth: "plugin", handler: (req, res) => {
		res.writeHead(200, { "content-length": String(40 << 20) });
		const piece = Buffer.alloc(1 << 20, "x");
		let left = 40;
		const more = () => { while (left-- > 0) if (!res.write(piece)) return void res.once("drain", more); res.end(); };
		more();
	} });
	api.registerHttpRoute({ path: "/web/state", auth: "plugin", handler: (req, res) => res.end(JSON.stringify({ ticks, aborted })) });
	api.registerHttpRoute({ path: "/web/private", auth: "gateway", match: "prefix", handler: (req, res) =>
		res.end(req.url + " " + String(req.headers.authorization)) });
	api.registerHttpRoute({ path: "/web/tree", auth: "plugin", match: "prefix", handler: (req, res) => {
		if (req.url!.includes("no")) return false;
		res.end("tree " + req.url);
	} });
	api.registerHttpRoute({ path: "/web/tree/leaf", auth: "plugin", handler: (req, res) => void res.end("leaf") });
	api.registerHttpRoute({ path: "/web/tree/leaf", auth: "plugin", handler: (req, res) => void res.end("refused") });
	api.registerHttpRoute({ path: "/web/tree/private", auth: "gateway", handler: (req, res) => void res.end("refused") });
	api.registerHttpRoute({ path: "/web/replaced", auth: "plugin", handler: (req, res) => void res.end("old") });
	api.registerHttpRoute({ path: "/web/replaced", auth: "plugin", replaceExisting: true, handler: (req, res) => void res.end("new") });
	api.registerHttpRoute({ path: "/web/throw", auth: "plugin", handler: () => { throw new Error("private words"); } });
	api.registerHttpRoute({ path: "/web/half", auth: "plugin", handler: (req, res) => {
		res.writeHead(200, { "content-length": "1000" });
		res.write("half", () => res.destroy());
	} });
	api.registerHttpRoute({ path: "/web/die", auth: "plugin", handler: () => process.exit(5) });
	api.registerHttpRoute({ path: "/web/nonsense", auth: "plugin", handler: (req) => {
		req.socket.write("HTTP/1.1 200 OK\\r\\nContent-Length: 5\\r\\nTransfer-Encoding: chunked\\r\\n\\r\\n0\\r\\n\\r\\nHTTP/1.1 200 OK\\r\\n\\r\\n");
		req.socket.end();
	} });
	api.registerHttpRoute({ path: "/web/late", auth: "plugin", handler: (req, res) => {
		api.registerHttpRoute({ path: "/web/more", auth: "plugin", handler: (_req, res) => void res.end("more") });
		res.end("registered");
	} });
	api.registerHttpRoute({ path: "/web/ws", auth: "plugin", handler: (req: IncomingMessage, res: ServerResponse) => {
		if (req.headers.upgrade !== "websocket") { res.statusCode = 426; return void res.end("upgrade"); }
		const key = crypto.createHash("sha1").update(req.headers["sec-websocket-key"] + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11").digest("base64");
		req.socket.write("HTTP/1.1 101 Switching Protocols\\r\\nUpgrade: websocket\\r\\nConnection: Upgrade\\r\\nSec-WebSocket-Accept: " + key + "\\r\\n\\r\\n");
		req.socket.on("data", (data) => {
			const n = data[1] & 127, mask = data.subarray(2, 6), text = Buffer.from(data.subarray(6, 6 + n).map((b, i) => b ^ mask[i & 3]));
			req.socket.write(Buffer.concat([Buffer.from([0x81, n + 5]), Buffer.from("echo " + text)]));
		});
	} });

	api.registerGatewayMethod("web.add", ({ params, respond, client, req, isWebchatConnect }) =>
		respond(true, { sum: (params.a as number) + (params.b as number), scopes: client?.connect?.scopes, method: req.method, chat: isWebchatConnect(client) }));
	api.registerGatewayMethod("web.fail", ({ respond }) => respond(false, undefined, { code: "INVALID_REQUEST", message: "a is missing", retryable: true } as any));
	api.registerGatewayMethod("web.refuse", ({ respond }) => respond(false, { error: "not now" }));
	api.registerGatewayMethod("web.throw", () => { throw new Error("thrown in the plugin"); });
	api.registerGatewayMethod("web.die", () => process.exit(6));
	api.registerGatewayMethod("web.nothing", ({ respond }) => respond(true));
	api.registerGatewayMethod("web.tell", async ({ respond, context, params }) => {
		context.broadcast("web.told", { words: params.words });
		setTimeout(() => respond(true, { told: true }), 10);
	});
	api.registerGatewayMethod("web.open", ({ respond }) => respond(true, "read"), { scope: "operator.read" } as any);
	api.registerGatewayMethod("web.add", ({ respond }) => respond(true, "the wrong one"));
	api.registerGatewayMethod("system.health", ({ respond }) => respond(true, "the wrong one"));
} };
` });
// The way of January 2026.
write('old', { 'index.js': `module.exports = { register(api) {
	api.registerHttpHandler(async (req, res) => {
		if (!req.url.startsWith('/old/')) return false;
		let n = 0;
		for await (const part of req) n += part.length;
		res.end('old ' + n);
		return true;
	});
	api.registerHttpRoute({ path: 'bare', handler: (req, res) => res.end('bare') });
} };` });
write('old2', { 'index.js': `module.exports = { register(api) {
	api.registerHttpHandler(async (req, res) => {
		if (req.url === '/guarded') { res.statusCode = 401; res.end('no'); return true; }
		if (req.url !== '/second') return false;
		let text = '';
		for await (const part of req) text += part;
		res.end('second ' + text);
		return true;
	});
} };` });
writeConfig({ agents: { defaults: { model: { primary: 'offline/echo' } } } });

let gw;
const plugin = async (id) => (await gw.rpc('plugins.list', {})).plugins.find((one) => one.id === id);
// Without the gateway's token.
const get = (target, init) => fetch(gw.url + target, init);
const sha = (data) => crypto.createHash('sha256').update(data).digest('hex');

test('a request reaches its route as it was, and the answer comes back', async () => {
	gw = await new Gateway().start();
	for (const id of ['web', 'old', 'old2'])
		await until(id, async () => (await plugin(id)).status === 'loaded');
	const body = crypto.randomBytes(300000);
	const r = await get('/web/echo?x=1&y=%2F', { method: 'PUT', body, headers: { 'x-test': 'a', authorization: 'Bearer for-the-plugin',
		'x-openclaw-routes': '5', 'x-openclaw-peer': '1.2.3.4 5 1' } });
	equal(r.status, 201);
	equal([r.headers.get('x-own'), r.headers.get('content-type'), r.headers.get('set-cookie')], ['yes', 'application/json; charset=utf-8', 'a=1, b=2; Path=/']);
	const told = await r.json();
	equal([told.method, told.url, told.bytes, told.sha, told.from], ['PUT', '/web/echo?x=1&y=%2F', body.length, sha(body), '127.0.0.1']);
	equal([told.headers['x-test'], told.headers.authorization, told.headers.host], ['a', 'Bearer for-the-plugin', `127.0.0.1:${gw.port}`]);
	ok(!Object.keys(told.headers).some((name) => name.startsWith('x-openclaw')), Object.keys(told.headers).join());
});

test('bodies without a length, HEAD, and the gateway\'s own token', async () => {
	async function* parts() {
		for (let i = 0; i < 20; i++)
			yield Buffer.alloc(50000, i);
	}
	const sent = Buffer.concat(Array.from({ length: 20 }, (_, i) => Buffer.alloc(50000, i)));
	const told = await (await get('/web/echo', { method: 'POST', body: parts(), duplex: 'half' })).json();
	equal([told.bytes, told.sha], [sent.length, sha(sent)]);
	const head = await get('/web/echo', { method: 'HEAD' });
	equal([head.status, await head.text()], [201, '']);
	const own = await (await gw.fetch('/web/echo', { headers: { 'x-api-key': gw.token } })).json();
	equal([own.headers.authorization, own.headers['x-api-key']], [undefined, '-'.repeat(gw.token.length)]);
	const key = await (await get('/web/echo', { headers: { 'x-api-key': 'for-the-plugin' } })).json();
	equal(key.headers['x-api-key'], 'for-the-plugin');
	// It may set a cookie for its own path, which browsers send first: that must not uncover the session behind it.
	const name = `openclaw_${gw.port}`;
	const told2 = await (await get('/web/echo', { headers: { cookie: `${name}=mine; theme=dark; ${name}=ocs_secret` } })).json();
	equal(told2.headers.cookie, `${name}=----; theme=dark; ${name}=----------`);
});

test('answers stream, slow readers are waited for, and a client that goes is told', async () => {
	const controller = new AbortController();
	const r = await get('/web/stream', { signal: controller.signal });
	const reader = r.body.getReader();
	let text = '';
	while (!text.includes('data: 3'))
		text += Buffer.from((await reader.read()).value).toString();
	controller.abort();
	await reader.read().catch(() => {});
	await until('the end of it', async () => (await (await get('/web/state')).json()).aborted === 1);
	const big = await get('/web/big');
	let n = 0;
	for await (const part of big.body)
		n += part.length;
	equal(n, 40 << 20);
	// One that reads nothing: neither side may keep it all in memory.
	const lazy = net.connect(gw.port, '127.0.0.1', () => lazy.write('GET /web/big HTTP/1.1\r\nHost: x\r\n\r\n'));
	lazy.pause();
	await (await get('/web/state')).json();
	const rss = () => Number(/VmRSS:\s+(\d+)/.exec(fs.readFileSync(`/proc/${gw.pid}/status`, 'utf8'))[1]);
	ok(rss() < 300000, String(rss()));
	lazy.destroy();
});

test('routes: exact before prefix, what is refused, what nobody wants', async () => {
	const text = async (target, init) => (await get(target, init)).text();
	equal(await text('/web/tree/leaf'), 'leaf');
	equal(await text('/web/tree/x'), 'tree /web/tree/x');
	equal(await text('/WEB/tree/'), 'tree /WEB/tree/');
	equal(await text('/web/replaced'), 'new');
	equal(await text('/bare'), 'bare');
	for (const nobody of ['/web/tree/no', '/web/treetop', '/web', '/nothing']) {
		const r = await get(nobody);
		equal([r.status, (await r.json()).error.code], [404, 'not_found'], nobody);
	}
	const said = (await gw.rpc('plugins.info', { id: 'web' })).registered.diagnostics.map((one) => one.message).filter((one) => one.startsWith('http'));
	equal(said.length, 2);
	match(said[0], /http route \/web\/tree\/leaf \(exact\): it is there already/);
	match(said[1], /http route \/web\/tree\/private \(exact, gateway\): \/web\/tree \(prefix, plugin\) is for the same paths/);
	equal((await get('/health')).status, 200);
});

test('routes of the gateway\'s clients want its token, however the path is written', async () => {
	for (const target of ['/web/private', '/web/private/a', '/WEB/PRIVATE/a', '/web/%70rivate', '/web/x/../private/a', '//web/private'])
		ok([401, 404].includes((await raw(gw.port, `GET ${target} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n`)).match(/^HTTP\/1.1 (\d+)/)?.[1] | 0), target);
	equal((await get('/web/private/a')).status, 401);
	equal(await (await gw.fetch('/web/private/a')).text(), '/web/private/a undefined');
	equal((await unixRequest('/web/private/a')).status, 200);
});

test('the old handlers see what nobody else answers, one after the other', async () => {
	equal(await (await get('/old/x', { method: 'POST', body: 'x'.repeat(100000) })).text(), 'old 100000');
	equal(await (await get('/second', { method: 'POST', body: 'words' })).text(), 'second words');
	equal((await get('/third', { method: 'POST', body: 'words' })).status, 404);
});

test('a route that comes later answers, too', async () => {
	equal((await get('/web/more')).status, 404);
	equal(await (await get('/web/late')).text(), 'registered');
	await until('the route', async () => (await get('/web/more')).status === 200);
});

test('WebSockets and other upgrades go through as they are', async () => {
	const socket = net.connect(gw.port, '127.0.0.1');
	let got = Buffer.alloc(0);
	let closed = false;
	socket.on('data', (data) => (got = Buffer.concat([got, data])));
	socket.on('close', () => (closed = true));
	socket.write(`GET /web/ws HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n` +
		`Sec-WebSocket-Key: ${crypto.randomBytes(16).toString('base64')}\r\n\r\n`);
	await until('the handshake', () => /^HTTP\/1\.1 101[^]*Sec-WebSocket-Accept: [^]*\r\n\r\n/i.test(got.toString()));
	const frame = (text) => Buffer.concat([Buffer.from([0x81, 0x80 | text.length, 0, 0, 0, 0]), Buffer.from(text)]);
	socket.write(frame('one'));
	await until('an echo', () => got.toString().includes('echo one'));
	socket.write(frame('two'));
	await until('another', () => got.toString().includes('echo two'));
	socket.end();
	await until('the end', () => closed);
	equal((await get('/web/ws')).status, 426);
});

test('what goes wrong in a plugin costs that request', async () => {
	const thrown = await get('/web/throw');
	equal(thrown.status, 500);
	ok(!(await thrown.text()).includes('private words'));
	await get('/web/half').then((r) => r.text()).then(() => ok(false, 'half an answer was taken for a whole'), () => {});
	equal((await get('/web/nonsense')).status, 502);
	const dead = await get('/web/die');
	equal(dead.status, 503);
	ok(Number(dead.headers.get('retry-after')) >= 1);
	equal((await dead.json()).error.code, 'unavailable');
	await until('it to be there again', async () => (await (await get('/web/replaced')).text()) === 'new');
});

test('nothing can be smuggled through', async () => {
	const two = 'GET /web/private HTTP/1.1\r\nHost: x\r\n\r\n';
	for (const head of [`Content-Length: ${two.length}\r\nTransfer-Encoding: chunked`, 'Content-Length: 5\r\nContent-Length: 6',
		'Transfer-Encoding: chunked, identity', 'Transfer-Encoding: xchunked', 'Content-Length: +5']) {
		const answer = await raw(gw.port, `POST /web/echo HTTP/1.1\r\nHost: x\r\n${head}\r\n\r\n${two}`);
		match(answer, /^HTTP\/1\.1 (400|501)/, head);
		equal(answer.match(/HTTP\/1\.1/g).length, 1, head);
	}
	// What a Connection header names stays on this side.
	const told = JSON.parse((await raw(gw.port, 'GET /web/echo HTTP/1.1\r\nHost: x\r\nConnection: close, x-secret\r\nX-Secret: 1\r\nTE: trailers\r\n\r\n')).split('\r\n\r\n')[1]
		.replace(/^[0-9a-f]+\r\n/, ''));
	equal([told.headers['x-secret'], told.headers.te], [undefined, undefined]);
});

test('gateway methods: parameters, the client, answers and refusals', async () => {
	equal(await gw.rpc('web.add', { a: 2, b: 3 }), { sum: 5, scopes: ['operator.read', 'operator.write', 'operator.admin', 'operator.approvals', 'operator.pairing'], method: 'web.add', chat: false });
	equal(await gw.rpc('web.nothing', {}), null);
	const failed = (await gw.rpcRaw('web.fail', {})).error;
	equal([failed.code, failed.message, failed.data.code, failed.data.details], [-32602, 'a is missing', 'invalid', { code: 'INVALID_REQUEST', message: 'a is missing', retryable: true }]);
	const refused = (await gw.rpcRaw('web.refuse', {})).error;
	equal([refused.message, refused.data.details], ['not now', { error: 'not now' }]);
	match((await gw.rpcRaw('web.throw', {})).error.message, /thrown in the plugin/);
	const dead = (await gw.rpcRaw('web.die', {})).error;
	match(dead.message, /process|retried|ended/);
	equal(dead.data.code, 'retry');
	ok((await gw.rpc('system.health', {})) !== 'the wrong one');
	const listed = (await gw.rpc('system.methods', {})).methods.filter((one) => one.plugin === 'web').map((one) => `${one.name} ${one.scope}`);
	ok(listed.includes('web.add admin') && listed.includes('web.open read') && listed.filter((one) => one.startsWith('web.add')).length === 1, listed.join());
	const stranger = await get('/rpc', { method: 'POST', body: JSON.stringify({ jsonrpc: '2.0', id: 1, method: 'web.add', params: {} }) });
	equal(stranger.status, 401);
	equal((await gw.rpcRaw('web.unknown', {})).error.code, -32601);
});

test('what a plugin broadcasts reaches who subscribed', async () => {
	const events = [], answers = [];
	const socket = await openSocket(gw.port, (message) => (message.method === 'event' ? events : answers).push(message));
	const call = async (id, method, params) => {
		socket.send(JSON.stringify({ jsonrpc: '2.0', id, method, params }));
		return until(method, () => answers.find((one) => one.id === id));
	};
	equal((await call(1, 'web.add', {})).error.data.code, 'auth');
	await call(2, 'auth.login', { token: gw.token });
	await call(3, 'events.subscribe', { types: ['plugin'] });
	equal((await call(4, 'web.tell', { words: 'hello all' })).result, { told: true });
	const event = await until('the event', () => events[0]);
	equal([event.params.type, event.params.data], ['plugin', { plugin: 'web', event: 'web.told', payload: { words: 'hello all' } }]);
	socket.close();
});

test('an idle plugin is started by a request, and its routes end with it', async () => {
	equal((await gw.stop()).code, 0);
	gw = await new Gateway().start();
	equal((await plugin('web')).process, 'idle');
	equal(await (await get('/web/replaced')).text(), 'new');
	equal((await gw.stop()).code, 0);
	writeConfig({ gateway: { auth: { rateLimit: { maxAttempts: 2, exemptLoopback: false } } }, agents: { defaults: { model: { primary: 'offline/echo' } } },
		plugins: { entries: { web: { enabled: false } } } });
	gw = await new Gateway().start();
	equal((await get('/web/replaced')).status, 404);
	equal((await gw.rpcRaw('web.add', {})).error.code, -32601);
	// A plugin's own door is none to guess the gateway's token at.
	const guess = async (headers) => (await get('/guarded', { headers })).status;
	equal([await guess({}), await guess({}), await guess({ authorization: 'Bearer a' }), await guess({ authorization: 'Bearer b' })], [401, 401, 401, 401]);
	equal([await guess({ authorization: 'Bearer c' }), await guess({ authorization: `Bearer ${gw.token}` }), await guess({})], [429, 429, 401]);
	equal((await gw.stop()).code, 0);
});

await done();
