import { load } from '../npm/load.mjs';
import { Gateway, cli, done, equal, match, ok, skipAll, spawnCli, test, until } from './lib.mjs';

const npm = await load('ws');
if (!npm)
	skipAll('needs npm packages (make npm-deps)');
const WebSocket = npm.default;
const gw = await new Gateway().start();

class Client {
	constructor(headers = gw.headers) {
		this.messages = [];
		this.next = 0;
		this.ws = new WebSocket(`${gw.url.replace('http', 'ws')}/ws`, { headers });
		this.ws.on('message', (data) => this.messages.push(JSON.parse(String(data))));
		this.closed = new Promise((resolve) => this.ws.on('close', (code, reason) => resolve({ code, reason: String(reason) })));
		this.opened = new Promise((resolve, reject) => {
			this.ws.on('open', () => resolve(this));
			this.ws.on('error', reject);
		});
	}

	async call(method, params) {
		const id = ++this.next;
		this.ws.send(JSON.stringify({ jsonrpc: '2.0', id, method, params }));
		return until(`the answer to ${method}`, () => this.messages.find((m) => m.id === id));
	}

	get events() {
		return this.messages.filter((m) => m.method === 'event').map((m) => m.params);
	}
}

test('with the token: calls are answered', async () => {
	const c = await new Client().opened;
	equal((await c.call('system.version', {})).result.name, 'openclaw');
	c.ws.close();
	equal((await c.closed).code, 1005);
});

test('a wrong token is refused at the handshake', async () => {
	const error = await new Client({ authorization: 'Bearer wrong' }).opened.catch((e) => e);
	match(error.message, /401/);
});

test('without a token only auth.login works, and then everything', async () => {
	const c = await new Client({}).opened;
	equal((await c.call('session.list', {})).error.code, -32001);
	equal((await c.call('auth.login', { token: 'wrong' })).error.code, -32001);
	ok((await c.call('auth.login', { token: gw.token })).result.ok);
	ok(Array.isArray((await c.call('session.list', {})).result.sessions));
	c.ws.close();
});

test('session.message with stream sends the run\'s events before the answer', async () => {
	const c = await new Client().opened;
	const answer = await c.call('session.message', { text: '/echo streamed words here', session: 'ws1', stream: true });
	equal(answer.result.status, 'ok');
	const types = c.events.map((e) => e.type);
	ok(types.indexOf('start') < types.indexOf('text'));
	equal(types.at(-1), 'done');
	match(c.events.filter((e) => e.type === 'text').map((e) => e.text).join(''), /streamed words here/);
	const seqs = c.events.map((e) => e.seq);
	equal(seqs, [...seqs].sort((a, b) => a - b));
	equal(new Set(seqs).size, seqs.length);
	equal(c.messages.at(-1).id, 1);
	c.ws.close();
});

test('events.subscribe sees other clients\' runs, one session or all', async () => {
	const all = await new Client().opened;
	const one = await new Client().opened;
	ok((await all.call('events.subscribe', {})).result.subscription);
	const { subscription } = (await one.call('events.subscribe', { session: 'ws2', types: ['reply'] })).result;
	await gw.rpc('session.message', { text: '/echo for two', session: 'ws2' });
	await gw.rpc('session.message', { text: '/echo elsewhere', session: 'ws3' });
	await until('events', () => all.events.filter((e) => e.type === 'reply').length === 2 && one.events.length === 1);
	equal(one.events[0].session, 'agent:main:ws2');
	equal(one.events[0].subscription, subscription);
	ok((await one.call('events.unsubscribe', { subscription })).result);
	equal((await one.call('events.unsubscribe', { subscription })).error.code, -32003);
	await gw.rpc('session.message', { text: '/echo unheard', session: 'ws2' });
	equal(one.events.length, 1);
	all.ws.close();
	one.ws.close();
});

test('tool calls are events too', async () => {
	const c = await new Client().opened;
	const answer = await c.call('session.message', { text: '/tool ls {"path":"."}', session: 'ws4', stream: true });
	equal(answer.result?.status, 'ok', JSON.stringify(answer));
	const start = c.events.find((e) => e.type === 'tool_start');
	equal(start.data.name, 'ls');
	equal(c.events.find((e) => e.type === 'tool_end').data.id, start.data.id);
	c.ws.close();
});

test('session.cancel ends a run that another connection waits for', async () => {
	const a = await new Client().opened;
	const b = await new Client().opened;
	const waiting = a.call('session.message', { text: '/slow 400 50ms', session: 'ws5', stream: true });
	await until('text', () => a.events.some((e) => e.type === 'text'));
	equal((await b.call('session.cancel', { session: 'ws5' })).result.canceled, 1);
	const answer = await waiting;
	equal(answer.error?.code ?? answer.result.status, answer.error ? -32008 : 'canceled');
	a.ws.close();
	b.ws.close();
});

test('a client that goes away in the middle leaves its turn running', async () => {
	const c = await new Client().opened;
	c.ws.send(JSON.stringify({ jsonrpc: '2.0', id: 1, method: 'session.message', params: { text: '/slow 10 20ms', session: 'ws6' } }));
	await until('it runs', async () => (await gw.rpc('agent.status', {})).runs.length > 0);
	c.ws.terminate();
	await until('it ends', async () => (await gw.rpc('agent.status', {})).runs.length === 0);
	const h = await gw.rpc('session.history', { session: 'ws6' });
	equal(h.messages.map((m) => m.role), ['user', 'assistant']);
});

test('binary, too large and not JSON', async () => {
	const binary = await new Client().opened;
	binary.ws.send(Buffer.from([1, 2, 3]));
	equal((await binary.closed).code, 1003);
	const large = await new Client().opened;
	large.ws.send('x'.repeat(20 << 20)); // it is still sending when it is refused
	equal((await large.closed).code, 1009);
	const broken = await new Client().opened;
	broken.ws.send('{oops');
	const answer = await until('an answer', () => broken.messages[0]);
	equal(answer.error.code, -32700);
	equal((await broken.call('system.version', {})).result.name, 'openclaw');
	broken.ws.close();
});

test('who came in with a token that is replaced has to go, and what it began by HTTP ends', async () => {
	const withHeader = await new Client().opened;
	const withLogin = await new Client({}).opened;
	ok((await withLogin.call('auth.login', { token: gw.token })).result.ok);
	const own = spawnCli(['agent', '-m', '/slow 30 50ms', '--session', 'ws-own']); // the operator's, over the Unix socket
	const stream = await gw.fetch('/v1/chat/completions', { method: 'POST', body: JSON.stringify({
		model: 'openclaw', stream: true, messages: [{ role: 'user', content: '/slow 400 50ms' }] }) });
	await until('both to run', async () => (await gw.rpc('agent.status', {})).runs.length === 2);
	equal(cli(['config', 'set', 'gateway.auth.token', 'another-token-of-the-gateway']).code, 0);
	for (const c of [withHeader, withLogin]) {
		const { code, reason } = await c.closed;
		equal(code, 1008);
		match(reason, /token was changed: connect with the new one/);
	}
	ok(await stream.text().then(() => false, () => true), 'a stream that is cut is no whole answer');
	equal((await gw.fetch('/v1/models')).status, 401);
	gw.token = 'another-token-of-the-gateway';
	equal((await gw.fetch('/v1/models')).status, 200);
	await until('its turn to be cancelled', async () => (await gw.rpc('agent.status', {})).runs.every((r) => r.session.endsWith('ws-own')));
	const c = await new Client().opened;
	equal(cli(['config', 'set', 'gateway.auth.rateLimit.maxAttempts', '20']).code, 0); // the same token: nobody has to go
	await until('the reload', () => (gw.log.match(/reloaded: 1 change/g) ?? []).length === 2);
	equal((await c.call('system.version', {})).result.name, 'openclaw');
	c.ws.close();
	equal((await own).code, 0);
});

test('the gateway\'s stop closes connections with a reason', async () => {
	const c = await new Client().opened;
	await gw.stop();
	equal((await c.closed).code, 1001);
});

await done();
