// Many streaming turns at once through the HTTP API, from a model that does not go on before all have begun: whatever
// limits the number of turns, connections or descriptors, or lets one turn wait for another, hangs here.
import http from 'node:http';
import { Gateway, cleanup, done, equal, match, ok, test, until, writeConfig } from './lib.mjs';

const N = 300;
const PIECES = 5;

// ---- The model: OpenAI's chat completions; every piece waits until all turns have had the one before ----

const open = new Map();
const model = http.createServer(async (req, res) => {
	let text = '';
	for await (const piece of req)
		text += piece;
	const ask = JSON.parse(text).messages.at(-1).content;
	const name = /turn-\d+/.exec(typeof ask === 'string' ? ask : ask.map((part) => part.text).join(''))[0];
	res.writeHead(200, { 'content-type': 'text/event-stream' });
	open.set(name, res);
	res.on('close', () => open.delete(name));
});
model.listen(0, '127.0.0.1', 4096);
await new Promise((resolve) => model.on('listening', resolve));
cleanup(() => model.closeAllConnections());

const say = (res, delta, finish = null) =>
	res.write(`data: ${JSON.stringify({ id: 'c', object: 'chat.completion.chunk', created: 1, model: 'm', choices: [{ index: 0, delta, finish_reason: finish }] })}\n\n`);

function sayAll(round) {
	for (const [name, res] of open)
		say(res, { content: `${name}:${round} ` });
}

function endAll() {
	for (const res of open.values()) {
		say(res, {}, 'stop');
		res.end('data: [DONE]\n\n');
	}
}

// ---- The clients ----

writeConfig({
	agents: { defaults: { maxConcurrent: 1000 } },
	models: { providers: { slow: { api: 'openai-completions', baseUrl: `http://127.0.0.1:${model.address().port}/v1`, apiKey: 'sk-none', models: [{ id: 'm' }] } } },
});
const gw = await new Gateway().start();

class Turn {
	constructor(i) {
		this.name = `turn-${i}`;
		this.text = '';
		const body = JSON.stringify({ model: 'slow/m', stream: true, messages: [{ role: 'user', content: this.name }] });
		this.over = new Promise((resolve) => {
			this.req = http.request(`${gw.url}/v1/chat/completions`, { method: 'POST', agent: false, headers: gw.headers }, (res) => {
				this.status = res.statusCode;
				res.setEncoding('utf8');
				res.on('data', (d) => (this.raw = (this.raw ?? '') + d));
				res.on('close', resolve);
			});
			this.req.on('error', (error) => {
				this.error = error;
				resolve();
			});
			this.req.end(body);
		});
	}

	get events() {
		return (this.raw ?? '').split('\n').filter((line) => line.startsWith('data: ') && !line.includes('[DONE]')).map((line) => JSON.parse(line.slice(6)));
	}

	get content() {
		return (this.raw ?? '').includes('\n\n') ? this.events.map((e) => e.choices?.[0]?.delta?.content ?? '').join('') : '';
	}
}

const expected = (name, rounds) => Array.from({ length: rounds }, (_, i) => `${name}:${i + 1} `).join('');
let turns;

test(`${N} turns are at the model at the same time`, async () => {
	turns = Array.from({ length: N }, (_, i) => new Turn(i));
	await until('all turns to reach the model', () => open.size === N || turns.some((t) => t.error), 60000);
	equal(turns.filter((t) => t.error).map((t) => `${t.name}: ${t.error}`), []);
	equal(open.size, N);
	const status = await gw.rpc('system.status', {});
	equal(status.turns.running, N);
	equal(status.turns.waiting, 0);
});

test('every one of them advances with every piece, and health is answered meanwhile', async () => {
	for (let round = 1; round <= PIECES; round++) {
		sayAll(round);
		const health = gw.fetch('/health');
		await until(`piece ${round} at every client`, () => turns.every((t) => t.error || (t.raw ?? '').includes(`${t.name}:${round} `)), 30000);
		equal((await health).status, 200);
	}
	equal(turns.filter((t) => t.content !== expected(t.name, PIECES)).map((t) => `${t.name}: ${t.raw}`), []);
});

test('clients that leave cancel their own turn and no other', async () => {
	for (const t of turns.slice(0, 20))
		t.req.destroy();
	await until('their requests to be given up', () => open.size === N - 20);
	for (const t of turns.slice(0, 20))
		ok(!open.has(t.name));
});

test('all others end well, each with its own text, and nothing is left behind', async () => {
	endAll();
	const rest = turns.slice(20);
	await Promise.all(rest.map((t) => t.over));
	for (const t of rest) {
		equal(t.status, 200);
		equal(t.error, undefined);
		match(t.raw, /"finish_reason":"stop"[^\n]*\n\ndata: \[DONE\]\n\n$/);
		equal(t.content, expected(t.name, PIECES));
	}
	await until('no turn to be left', async () => (await gw.rpc('system.status', {})).turns.running === 0);
	const metrics = await (await gw.fetch('/metrics')).text();
	match(metrics, new RegExp(`openclaw_turns_total\\{result="ok"\\} ${N - 20}\n`));
	match(metrics, new RegExp(`openclaw_turns_total\\{result="canceled"\\} 20\n`));
	await until('the connections to be closed', async () => {
		const m = /openclaw_http_connections (\d+)/.exec(await (await gw.fetch('/metrics')).text());
		return Number(m[1]) <= 3;
	});
});

test('a client that does not read is cut off, and its turn with it', async () => {
	const t = new Turn(9999);
	await until('its request', () => open.has(t.name));
	const res = open.get(t.name);
	await until('its head', () => t.status === 200 || (say(res, { content: '.' }), false));
	t.req.socket.pause();
	// Each piece is some 170 bytes for the client. The model is asked no more as soon as nobody listens.
	for (let n = 0; n < 80000 && open.has(t.name); n++) {
		say(res, { content: '.' });
		if (n % 500 === 0)
			await new Promise((resolve) => setImmediate(resolve));
	}
	await until('the model\'s answer to be given up', () => !open.has(t.name));
	await until('the turn to be over', async () => (await gw.rpc('system.status', {})).turns.running === 0);
	match(await (await gw.fetch('/metrics')).text(), /openclaw_turns_total\{result="canceled"\} 21\n/);
	t.req.destroy();
	await t.over;
});

await done();
