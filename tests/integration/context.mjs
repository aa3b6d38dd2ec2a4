// What a model is sent when a conversation gets long: compaction, memory flush, pruning, what happens when these fail.
// The model is a server of ours that knows by the request which of these it is asked for.
import fs from 'node:fs';
import http from 'node:http';
import path from 'node:path';
import { Gateway, cleanup, done, equal, match, ok, state, test, writeConfig } from './lib.mjs';

// ---- The model ----

const asked = []; // {kind: 'talk'|'summary'|'flush', text: the last user message, body}
let answer = () => undefined; // may answer instead: {status, body} | {text} | {call: {name, args}}
let overflowAbove = Infinity; // bytes of a request that the model refuses

const textOf = (m) => (typeof m?.content === 'string' ? m.content : (m?.content ?? []).map((p) => p.text ?? '').join(''));

function say(res, { text, call }) {
	res.writeHead(200, { 'content-type': 'text/event-stream' });
	const chunk = (delta, finish = null) => res.write(`data: ${JSON.stringify({ model: 'm', choices: [{ index: 0, delta, finish_reason: finish }] })}\n\n`);
	if (text !== undefined)
		chunk({ role: 'assistant', content: text });
	if (call)
		chunk({ tool_calls: [{ index: 0, id: `c${asked.length}`, type: 'function', function: { name: call.name, arguments: JSON.stringify(call.args) } }] });
	chunk({}, call ? 'tool_calls' : 'stop');
	res.end('data: [DONE]\n\n');
}

const server = http.createServer(async (req, res) => {
	let raw = '';
	for await (const piece of req)
		raw += piece;
	const body = JSON.parse(raw);
	const system = textOf(body.messages.find((m) => m.role === 'system'));
	const last = body.messages.at(-1);
	const user = textOf(body.messages.filter((m) => m.role === 'user').at(-1));
	const kind = /^You sum up conversations/.test(system) ? 'summary' : /will soon be shortened/.test(user) ? 'flush' : 'talk';
	const entry = { kind, text: user, body, raw };
	asked.push(entry);
	const own = answer(entry);
	if (own?.status) {
		res.writeHead(own.status, { 'content-type': 'application/json', ...own.headers });
		res.end(JSON.stringify(own.body ?? {}));
	} else if (own) {
		say(res, own);
	} else if (raw.length > overflowAbove) {
		res.writeHead(400, { 'content-type': 'application/json' });
		res.end(JSON.stringify({ error: { code: 'context_length_exceeded', message: "This model's maximum context length is exceeded" } }));
	} else if (kind === 'summary') {
		say(res, { text: `## Goal\nsummary number ${asked.filter((a) => a.kind === 'summary').length}` });
	} else if (kind === 'flush') {
		say(res, last.role === 'tool' ? { text: 'NO_REPLY' }
			: { call: { name: 'write', args: { path: 'memory/today.md', content: '- the owner likes green tea\n' } } });
	} else {
		say(res, { text: `fine (${asked.length})` });
	}
});
await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve));
cleanup(() => server.closeAllConnections());

const workspace = path.join(state, 'workspace');
const model = (id, contextWindow) => ({ id, contextWindow, maxTokens: 1000 });
const config = (defaults = {}) => ({
	models: { providers: { fake: { api: 'openai-completions', baseUrl: `http://127.0.0.1:${server.address().port}/v1`, apiKey: 'k-123456',
		models: [model('small', 16000), model('tiny', 8000), model('big', 400000)] } } },
	tools: { allow: ['read', 'write'] },
	agents: { defaults: { model: 'fake/small', skipBootstrap: true, ...defaults } },
});
const pad = (word, bytes) => `${word} `.repeat(Math.ceil(bytes / (word.length + 1))).slice(0, bytes);

let gw;
async function restart(defaults) {
	await gw?.stop();
	writeConfig(config(defaults));
	gw = await new Gateway().start();
	asked.length = 0;
	answer = () => undefined;
	overflowAbove = Infinity;
}
const send = (session, text) => gw.rpc('session.message', { session, text });
const use = (session, model) => gw.rpc('session.create', { session, model });
const kinds = () => asked.map((a) => a.kind).join(' ');
const events = async (session) => (await gw.rpc('session.events', { session, limit: 1000 })).events;

// ---- Compaction ----

test('a long conversation is summed up, the memory written down first; the store keeps all', async () => {
	await restart();
	let n = 0;
	while (!asked.some((a) => a.kind === 'summary')) {
		ok(++n < 12, 'it comes to a compaction');
		const r = await send('long', `message-${n} ${pad('word', 6000)}`);
		equal(r.status, 'ok');
		match(r.text, /^fine \(\d+\)$/, 'what is said aside is in no reply');
	}
	ok(n >= 3, `not before it is needed (${n})`);
	match(kinds(), /flush flush (talk )?summary talk$/, 'memory, summary, then the answer');
	equal(fs.readFileSync(path.join(workspace, 'memory/today.md'), 'utf8'), '- the owner likes green tea\n');
	const summary = asked.find((a) => a.kind === 'summary');
	match(summary.text, /<conversation>\n\[User\]: message-1 /);
	match(summary.text, /\[Assistant\]: fine/);
	equal(summary.body.tools, undefined, 'a summary needs no tools');
	const after = asked.at(-1);
	match(after.raw, /summary number 1/);
	ok(!after.raw.includes('message-1 '), 'what was summed up is gone from requests');
	ok(after.raw.includes(`message-${n} `), 'the message itself is there');
	ok(!after.raw.includes('will soon be shortened'), 'and the aside is not');
	const history = await gw.rpc('session.history', { session: 'long', limit: 1000 });
	ok(history.messages.some((m) => JSON.stringify(m.content).includes('message-1 ')), 'the store keeps it');
	equal(history.messages.filter((m) => m.role === 'user').length, n, 'no message of the aside is in the history');
	const kind = (await events('long')).filter((e) => e.kind === 'compaction');
	equal(kind.length, 1);
	match(kind[0].data.text, /summary number 1/);
});

test('the summary holds from then on, after a restart too, and is brought up to date by the next', async () => {
	const last = asked.length;
	await gw.stop();
	gw = await new Gateway().start();
	await send('long', 'and now?');
	equal(asked.length, last + 1);
	match(asked.at(-1).raw, /summary number 1/);
	ok(!asked.at(-1).raw.includes('message-1 '));
	let n = 0;
	while (asked.filter((a) => a.kind === 'summary').length < 2 && ++n < 12)
		await send('long', `later-${n} ${pad('word', 6000)}`);
	const second = asked.filter((a) => a.kind === 'summary')[1];
	match(second.text, /summed up already[^]*summary number 1/);
	ok(!second.text.includes('message-1 '), 'only what is new is read again');
	match(asked.at(-1).raw, /summary number 2/);
	ok(!asked.at(-1).raw.includes('summary number 1'));
});

test('a history larger than the window is summed up in pieces', async () => {
	await restart({ compaction: { memoryFlush: { enabled: false } } });
	await use('pieces', 'fake/big');
	for (let i = 1; i <= 12; i++)
		await send('pieces', `old-${i} ${pad('tale', 9000)}`);
	equal(kinds(), 'talk '.repeat(12).trim());
	asked.length = 0;
	await use('pieces', 'fake/small');
	const r = await send('pieces', 'go on');
	equal(r.status, 'ok');
	const pieces = asked.filter((a) => a.kind === 'summary');
	ok(pieces.length >= 2, `${pieces.length} pieces`);
	for (const [i, piece] of pieces.entries()) {
		ok(piece.raw.length < 16000 * 4, 'each fits into the window');
		if (i > 0)
			ok(piece.text.includes(`summary number ${i}`), 'each goes on from the one before');
	}
	const seen = pieces.map((p) => p.text).join('');
	const summed = [];
	for (let i = 1; i <= 12; i++)
		if (seen.includes(`old-${i} `))
			summed.push(i);
	const left = [];
	for (let i = 1; i <= 12; i++)
		if (asked.at(-1).raw.includes(`old-${i} `))
			left.push(i);
	equal([...summed, ...left], [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12], 'each message is summed up or still there, none is both');
	ok(!kinds().includes('flush'));
});

test('the provider says that the context is full: summed up, asked again once, answered', async () => {
	await restart();
	await use('full', 'fake/big');
	for (let i = 1; i <= 30; i++)
		await send('full', `before-${i} ${pad('x', 4000)}`);
	asked.length = 0;
	overflowAbove = 110000;
	const r = await send('full', 'hello');
	equal(r.status, 'ok', JSON.stringify(r));
	equal(kinds(), 'talk summary talk');
	match(asked.at(-1).raw, /summary number 1/);
	equal((await events('full')).filter((e) => e.kind === 'compaction').length, 1);
});

test('a window much smaller than configured: older messages are left out until it fits', async () => {
	asked.length = 0;
	overflowAbove = 45000;
	const r = await send('full', 'hello once more');
	equal(r.status, 'ok', JSON.stringify(r));
	const sizes = asked.filter((a) => a.kind === 'talk').map((a) => a.raw.length);
	ok(sizes.length >= 2 && sizes.at(-1) <= overflowAbove && sizes.at(-1) > 15000, `${sizes}`);
	match(asked.at(-1).text, /hello once more/);
	overflowAbove = 110000;
});

test('the context is full and stays so: an end in words', async () => {
	answer = (a) => (a.kind === 'talk' ? { status: 413, body: { error: { message: 'too large' } } } : undefined);
	const error = await send('full', 'hello again').catch((e) => e);
	match(error.message, /too long/);
	match(JSON.stringify(error.data), /context/);
	match(JSON.stringify(error.data), /window|shorten|reset/);
});

test('when summing up fails, what does not fit is left out, and that is said', async () => {
	await restart({ compaction: { memoryFlush: { enabled: false } } });
	answer = (a) => (a.kind === 'summary' ? { status: 400, body: { error: { message: 'no summaries today' } } } : undefined);
	let r;
	for (let i = 1; i <= 8; i++) {
		r = await send('nosum', `m-${i} ${pad('word', 7000)}`);
		equal(r.status, 'ok', JSON.stringify(r));
	}
	ok(asked.some((a) => a.kind === 'summary'));
	ok(asked.at(-1).raw.length < 16000 * 4);
	ok(!asked.at(-1).raw.includes('m-1 '));
	equal((await events('nosum')).filter((e) => e.kind === 'compaction').length, 0);
});

test('a memory flush that fails does not keep anybody from the answer', async () => {
	await restart();
	answer = (a) => (a.kind === 'flush' ? { status: 400, body: { error: { message: 'not now' } } } : undefined);
	for (let i = 1; i <= 6; i++)
		equal((await send('noflush', `m-${i} ${pad('word', 7000)}`)).status, 'ok');
	match(kinds(), /flush (talk )?summary talk/);
});

test('own words for the flush, and compaction switched off', async () => {
	await restart({ compaction: { memoryFlush: { prompt: 'REMEMBER NOW, it will soon be shortened', systemPrompt: 'Be brief.' } } });
	for (let i = 1; i <= 6; i++)
		await send('words', `m-${i} ${pad('word', 7000)}`);
	match(asked.find((a) => a.kind === 'flush').text, /^Be brief\.\n\nREMEMBER NOW/);
	await restart({ compaction: { mode: 'off' } });
	for (let i = 1; i <= 6; i++)
		equal((await send('off', `m-${i} ${pad('word', 9000)}`)).status, 'ok');
	ok(!/summary|flush/.test(kinds()));
	ok(!asked.at(-1).raw.includes('m-1 '), 'cut instead');
});

// ---- Tool results ----

test('old tool results are made short in requests once the cache is cold, and stay so; the store has them whole', async () => {
	await restart({ model: 'fake/big', contextTokens: 60000, compaction: { mode: 'off' },
		contextPruning: { mode: 'cache-ttl', ttl: '1ms', keepLastAssistants: 2, softTrimRatio: 0.05, hardClearRatio: 0.9, minPrunableToolChars: 1000 } });
	fs.mkdirSync(workspace, { recursive: true });
	fs.writeFileSync(path.join(workspace, 'big.txt'), `START ${'line of text\n'.repeat(2000)} END`);
	answer = (a) => (/read it/.test(a.text) && a.body.messages.at(-1).role === 'user' ? { call: { name: 'read', args: { path: 'big.txt' } } } : undefined);
	await send('prune', 'read it');
	ok(asked.at(-1).raw.length > 20000, 'the result is there when it is asked for');
	await send('prune', 'one');
	await send('prune', 'two');
	await send('prune', 'three');
	const cut = asked.at(-1).raw;
	ok(cut.length < 20000, `${cut.length}`);
	match(cut, /Tool result trimmed: kept the first 1\d{3} and the last 1\d{3} of \d+ bytes/);
	match(cut, /START/);
	const history = await gw.rpc('session.history', { session: 'prune', limit: 100 });
	const whole = history.messages.find((m) => m.role === 'tool');
	ok(JSON.stringify(whole.content).length > 20000, 'the store has all of it');
	await gw.stop();
});

test('beyond the second ratio, results are cleared, oldest first; denied tools never', async () => {
	const pruning = { mode: 'cache-ttl', ttl: '1ms', keepLastAssistants: 1, softTrimRatio: 0.01, hardClearRatio: 0.02,
		minPrunableToolChars: 1000, hardClear: { placeholder: '[gone]' } };
	for (const [tools, expected] of [[{}, true], [{ deny: ['re*'] }, false], [{ allow: ['group:web'] }, false]]) {
		await restart({ model: 'fake/big', contextTokens: 60000, compaction: { mode: 'off' }, contextPruning: { ...pruning, tools } });
		answer = (a) => (/read it/.test(a.text) && a.body.messages.at(-1).role === 'user' ? { call: { name: 'read', args: { path: 'big.txt' } } } : undefined);
		const session = `clear${JSON.stringify(tools).length}`;
		for (let i = 0; i < 2; i++)
			await send(session, 'read it');
		await send(session, 'and');
		await send(session, 'now');
		equal(asked.at(-1).raw.includes('[gone]'), expected, JSON.stringify(tools));
	}
	await gw.stop();
});

// ---- Estimates ----

test('a provider that counts more than our estimate is believed', async () => {
	await restart({ compaction: { memoryFlush: { enabled: false } } });
	// It reports three times what we think: the history is compacted that much earlier.
	let early = 0;
	const counted = http.createServer(async (req, res) => {
		let raw = '';
		for await (const piece of req)
			raw += piece;
		const summary = raw.includes('You sum up conversations');
		early += summary;
		res.writeHead(200, { 'content-type': 'text/event-stream' });
		res.write(`data: ${JSON.stringify({ choices: [{ index: 0, delta: { content: 'ok' }, finish_reason: 'stop' }] })}\n\n`);
		res.write(`data: ${JSON.stringify({ choices: [], usage: { prompt_tokens: Math.ceil(raw.length / 4 * 3), completion_tokens: 1 } })}\n\n`);
		res.end('data: [DONE]\n\n');
	});
	await new Promise((resolve) => counted.listen(0, '127.0.0.1', resolve));
	cleanup(() => counted.closeAllConnections());
	await gw.stop();
	const c = config({ model: 'other/m', compaction: { memoryFlush: { enabled: false } } });
	c.models.providers.other = { api: 'openai-completions', apiKey: 'k-123456', baseUrl: `http://127.0.0.1:${counted.address().port}/v1`,
		models: [model('m', 40000)] };
	writeConfig(c);
	gw = await new Gateway().start();
	for (let i = 1; i <= 6; i++)
		equal((await send('count', `m-${i} ${pad('word', 5000)}`)).status, 'ok');
	ok(early > 0, 'by our own estimate there would be room for three times as much');
});

await done();
