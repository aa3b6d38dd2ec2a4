// Models over the network: the real binary, the real modules, two servers.
//   aimock (npm): OpenAI's chat completions and responses, and Anthropic's messages; streaming, tools, faults
//   odd:          a server of ours that says what compatible servers say besides the standard, byte by byte
import { spawn } from 'node:child_process';
import fs from 'node:fs';
import http from 'node:http';
import path from 'node:path';
import { load } from '../npm/load.mjs';
import { Gateway, bin, cleanup, done, equal, match, ok, sleep, spawnCli, state, test, until, writeConfig } from './lib.mjs';

const KEY = 'zz-0123456789abcdef';
const npm = await load('@copilotkit/aimock');
let mock = null;
if (npm) {
	mock = await npm.LLMock.create({ port: 0, journalMaxEntries: 0 });
	cleanup(() => mock.stop());
}

// ---- The odd server: one handler for each path; it keeps what it was asked ----

const handlers = new Map();
const asked = [];
const odd = http.createServer(async (req, res) => {
	let text = '';
	for await (const piece of req)
		text += piece;
	const entry = { url: req.url, headers: req.headers, body: text ? JSON.parse(text) : null, closed: false };
	asked.push(entry);
	res.on('close', () => (entry.closed = true));
	const name = req.url.split('/')[1];
	const handler = handlers.get(name);
	if (!handler) {
		res.writeHead(404, { 'content-type': 'application/json' });
		res.end(JSON.stringify({ error: { message: `nothing at ${req.url}` } }));
		return;
	}
	await handler(req, res, entry);
});
await new Promise((resolve) => odd.listen(0, '127.0.0.1', resolve));
cleanup(() => odd.closeAllConnections());
const oddUrl = `http://127.0.0.1:${odd.address().port}`;

// Answers with these lines of a stream, as they are.
function stream(name, lines, { end = true } = {}) {
	handlers.set(name, (req, res) => {
		res.writeHead(200, { 'content-type': 'text/event-stream' });
		for (const line of lines)
			res.write(line + '\n');
		if (end)
			res.end();
		else
			setTimeout(() => res.destroy(), 50);
	});
}
const data = (value) => `data: ${typeof value === 'string' ? value : JSON.stringify(value)}\n`;
const delta = (delta, finish = null) => data({ model: 'odd', choices: [{ index: 0, delta, finish_reason: finish }] });

// ---- Configuration ----

const provider = (name, api = 'openai-completions') => ({ api, baseUrl: `${oddUrl}/${name}/v1`, apiKey: KEY, models: [{ id: 'm', reasoning: true }] });
const providers = {};
for (const name of ['quirks', 'nodone', 'calls', 'think', 'midway', 'teach', 'whole', 'page', 'hang', 'halves', 'refuse', 'key', 'busy'])
	providers[name] = provider(name);
providers.down = { ...provider('down'), baseUrl: 'http://127.0.0.1:9/v1' };
providers.nokey = { api: 'openai-completions', baseUrl: 'https://llm.example.invalid/v1', models: [{ id: 'm' }] };
if (mock) {
	for (const api of ['openai-completions', 'openai-responses', 'anthropic-messages'])
		providers[`mock-${api}`] = { api, apiKey: KEY, baseUrl: api === 'anthropic-messages' ? mock.url : `${mock.url}/v1`,
			models: [{ id: api === 'anthropic-messages' ? 'claude-sonnet-4-5' : 'gpt-4.1', contextWindow: 100000, maxTokens: 4000, cost: { input: 1, output: 2 } }] };
}
const mocks = mock ? [['openai-completions', 'gpt-4.1'], ['openai-responses', 'gpt-4.1'], ['anthropic-messages', 'claude-sonnet-4-5']] : [];
writeConfig({ models: { providers }, logging: { level: 'debug' },
	agents: { list: [{ id: 'main', default: true }, { id: 'backed', model: { primary: 'quirks/m' } },
		...mocks.map(([api, id]) => ({ id: `backed-${api}`, model: { primary: `mock-${api}/${id}`, fallbacks: ['quirks/m'] } }))] } });

let turn = 0;
// One turn in a session of its own. {code, out, err, json}. model null: the agent's, with its fallbacks.
async function ask(model, message, { session = `s${++turn}`, args = [], timeout } = {}) {
	const r = await spawnCli(['agent', '--json', '-s', session, ...(model ? ['--model', model] : []), ...args, '-m', message], { timeout });
	try {
		r.json = JSON.parse(r.out);
	} catch {
		r.json = null;
	}
	ok(!(r.out + r.err).includes(KEY), 'the key is never shown');
	return r;
}

async function answers(model, message, options) {
	const r = await ask(model, message, options);
	equal(r.code, 0, `${r.out}\n${r.err}`);
	return r.json;
}

async function fails(model, message, pattern, options) {
	const r = await ask(model, message, options);
	equal(r.code, 1, `${r.out}\n${r.err}`);
	match(r.out + r.err, pattern);
	return r;
}

// ---- aimock: the three protocols ----

for (const [api, id] of mocks) {
	const model = `mock-${api}/${id}`;
	const requests = () => mock.getRequests().map((e) => e.body);

	test(`${api}: an answer, its usage and its cost`, async () => {
		mock.reset();
		mock.onMessage('hello', { content: 'Hello from the mock, in several pieces.', usage: api === 'openai-completions'
			? { prompt_tokens: 12, completion_tokens: 5 } : { input_tokens: 12, output_tokens: 5 } }, { chunkSize: 5 });
		const r = await answers(model, 'hello there');
		equal(r.text, 'Hello from the mock, in several pieces.');
		equal(r.stopReason, 'stop');
		equal(r.model, model);
		equal([r.usage.input, r.usage.output], [12, 5]);
		ok(Math.abs(r.usage.cost - 22e-6) < 1e-9, `${r.usage.cost}`);
		const headers = mock.getLastRequest().headers;
		ok(headers[api === 'anthropic-messages' ? 'x-api-key' : 'authorization'], 'authenticated');
		equal(headers['anthropic-version'], api === 'anthropic-messages' ? '2023-06-01' : undefined);
	});

	test(`${api}: a tool is called and its result goes back`, async () => {
		mock.reset();
		fs.mkdirSync(path.join(state, 'workspace'), { recursive: true });
		fs.writeFileSync(path.join(state, 'workspace', 'note.txt'), 'the word is marzipan\n');
		mock.on({ userMessage: 'what is the word', hasToolResult: false }, { toolCalls: [{ name: 'read', arguments: { path: 'note.txt' } }] });
		mock.on({ hasToolResult: true, toolResultContains: 'marzipan' }, { content: 'It is marzipan.' });
		const r = await answers(model, 'what is the word');
		equal(r.text, 'It is marzipan.');
		equal(r.usage.calls, 2);
	});

	test(`${api}: several tools at once`, async () => {
		mock.reset();
		fs.writeFileSync(path.join(state, 'workspace', 'a.txt'), 'alpha\n');
		fs.writeFileSync(path.join(state, 'workspace', 'b.txt'), 'beta\n');
		mock.on({ userMessage: 'read both', hasToolResult: false },
			{ content: 'I read.', toolCalls: [{ name: 'read', arguments: { path: 'a.txt' } }, { name: 'read', arguments: { path: 'b.txt' } }] });
		mock.on({ hasToolResult: true }, { content: 'alpha and beta' });
		const r = await answers(model, 'read both');
		match(r.text, /alpha and beta/);
		const second = JSON.stringify(requests().at(-1));
		ok(second.includes('alpha\\n') && second.includes('beta\\n'), 'both results went back');
	});

	test(`${api}: the conversation is told again`, async () => {
		mock.reset();
		mock.onMessage('first', { content: 'one' });
		mock.onMessage('second', { content: 'two' });
		const session = `again-${api}`;
		await answers(model, 'first', { session });
		equal((await answers(model, 'second', { session })).text, 'two');
		const last = JSON.stringify(requests().at(-1));
		ok(last.includes('first') && last.includes('one') && last.includes('second'), last.slice(0, 500));
	});

	test(`${api}: errors say what, where and what to do`, async () => {
		const cases = [
			[401, { message: 'invalid key', type: 'authentication_error' }, /the API key was not accepted \(HTTP 401\)/],
			[404, { message: 'model: nothing of that name', type: 'not_found_error' }, /no such model/],
			[400, { message: 'messages: something is wrong', type: 'invalid_request_error' }, /the request was refused \(HTTP 400\): messages: something is wrong/],
		];
		for (const [status, error, pattern] of cases) {
			mock.reset();
			mock.onMessage('go', { error, status });
			const r = await fails(model, 'go', pattern);
			ok((r.out + r.err).includes(`mock-${api} (127.0.0.1:${mock.port}), model ${id}`), r.out + r.err);
			equal(requests().length, 1, 'asked once');
		}
	});

	test(`${api}: too many requests: waits as long as told, then goes on`, async () => {
		mock.reset();
		mock.on({ userMessage: 'go', sequenceIndex: 0 }, { error: { message: 'slow down', type: 'rate_limit_error' }, status: 429, retryAfter: 1 });
		mock.on({ userMessage: 'go', sequenceIndex: 1 }, { content: 'now' });
		const begin = Date.now();
		equal((await answers(model, 'go')).text, 'now');
		ok(Date.now() - begin >= 1000, 'not before');
	});

	test(`${api}: a stream that is cut is taken up where it stopped`, async () => {
		mock.reset();
		mock.on({ userMessage: 'a long story', sequenceIndex: 0 }, { content: 'Once upon a time there was a mock.' }, { chunkSize: 4, truncateAfterChunks: 6, latency: 20 });
		mock.on({ userMessage: /cut off/ }, { content: ' And it lived happily.' });
		const r = await answers(model, 'a long story');
		match(r.text, /^Once.* And it lived happily\.$/);
	});

	test(`${api}: overloaded: the fallback model answers`, async () => {
		mock.reset();
		mock.on({ userMessage: 'go', model: id }, { error: { message: 'Overloaded', type: 'overloaded_error' }, status: 529 });
		stream('quirks', [delta({ content: 'from the other one' }, 'stop'), 'data: [DONE]', '']);
		const r = await answers(null, 'go', { args: ['-a', `backed-${api}`], timeout: 60000 });
		equal(r.text, 'from the other one');
		equal(r.model, 'quirks/m');
	});
}

if (mock) {
	test('anthropic-messages: signed thinking goes back with the calls it led to', async () => {
		mock.reset();
		mock.on({ userMessage: 'think', hasToolResult: false }, { reasoning: 'I shall look.', reasoningSignature: 'c2lnbmF0dXJl', toolCalls: [{ name: 'read', arguments: { path: 'a.txt' } }] });
		mock.on({ hasToolResult: true }, { content: 'done', reasoning: 'I looked.' });
		const r = await answers('mock-anthropic-messages/claude-sonnet-4-5', 'think', { args: ['--thinking', 'low'] });
		equal(r.text, 'done');
		const raw = await (await fetch(`${mock.url}/__aimock/journal`)).json();
		const entries = Array.isArray(raw) ? raw : raw.entries ?? raw.requests;
		const bodies = JSON.stringify(entries);
		ok(bodies.includes('c2lnbmF0dXJl'), 'the signature went back');
	});
}

// ---- The odd server: what compatible servers do ----

test('comments, blank lines, keep-alives, usage in a chunk of its own', async () => {
	stream('quirks', [': OPENROUTER PROCESSING', '', delta({ role: 'assistant', content: '' }), ': ping', delta({ content: 'well ' }), delta({ content: 'done' }),
		delta({}, 'stop'), data({ choices: [], usage: { prompt_tokens: 50, completion_tokens: 7, prompt_tokens_details: { cached_tokens: 20 } } }), 'data: [DONE]', '']);
	const r = await answers('quirks/m', 'hi');
	equal(r.text, 'well done');
	equal([r.usage.input, r.usage.output, r.usage.cacheRead], [30, 7, 20]);
	const last = asked.at(-1);
	equal(last.headers.authorization, `Bearer ${KEY}`);
	equal(last.body.stream, true);
	ok(last.body.messages[0].role === 'system' && last.body.tools.length > 3);
});

test('no [DONE], and carriage returns', async () => {
	handlers.set('nodone', (req, res) => {
		res.writeHead(200, { 'content-type': 'text/event-stream; charset=utf-8' });
		res.end([delta({ content: 'ok' }), delta({}, 'stop'), ''].join('\n').replace(/\n/g, '\r\n'));
	});
	equal((await answers('nodone/m', 'hi')).text, 'ok');
});

test('calls without index or id, arguments as an object; results find their calls', async () => {
	handlers.set('calls', (req, res, entry) => {
		const told = entry.body.messages.filter((m) => m.role === 'tool');
		res.writeHead(200, { 'content-type': 'text/event-stream' });
		if (told.length === 0)
			res.end([delta({ tool_calls: [{ function: { name: 'read', arguments: { path: 'a.txt' } } }, { function: { name: 'read', arguments: '{"path":"b.txt"}' } }] }), delta({}, 'tool_calls'), 'data: [DONE]\n\n'].join('\n'));
		else
			res.end([delta({ content: told.map((m) => m.content.trim()).join('+') }, 'stop'), 'data: [DONE]\n\n'].join('\n'));
	});
	fs.mkdirSync(path.join(state, 'workspace'), { recursive: true });
	fs.writeFileSync(path.join(state, 'workspace', 'a.txt'), 'alpha\n');
	fs.writeFileSync(path.join(state, 'workspace', 'b.txt'), 'beta\n');
	const r = await answers('calls/m', 'read');
	match(r.text, /alpha[^]*\+[^]*beta/);
	const history = asked.at(-1).body.messages;
	const calls = history.find((m) => m.tool_calls).tool_calls;
	equal(history.filter((m) => m.role === 'tool').map((m) => m.tool_call_id), calls.map((c) => c.id));
	ok(new Set(calls.map((c) => c.id)).size === 2 && calls.every((c) => typeof c.function.arguments === 'string'));
});

test('reasoning is shown with --verbose and is no part of the answer', async () => {
	stream('think', [delta({ content: '<think>\nlet me see' }), delta({ content: '</think>\n\n' }), delta({ content: 'four' }, 'stop'), 'data: [DONE]', '']);
	equal((await answers('think/m', 'two and two')).text, 'four');
	const r = await spawnCli(['agent', '-v', '-s', 'v', '--model', 'think/m', '-m', 'two and two']);
	match(r.out + r.err, /let me see/);
	stream('think', [delta({ reasoning_content: 'hmm' }), delta({ content: 'five' }, 'stop'), 'data: [DONE]', '']);
	equal((await answers('think/m', 'two and three')).text, 'five');
});

test('an error object in the middle of a stream', async () => {
	stream('midway', [delta({ content: 'so far ' }), data({ error: { code: 400, message: 'the input was flagged' } }), '']);
	await fails('midway/m', 'hi', /midway \(127\.0\.0\.1:\d+\), model m: .*the input was flagged/);
	stream('midway', [data({ error: { message: 'maximum context length is 10 tokens', code: 'context_length_exceeded' } }), '']);
	await fails('midway/m', 'hi', /too long for the model|too large|context/);
});

test('what a model refuses is left out of the next request', async () => {
	let refused = 0;
	handlers.set('teach', (req, res, entry) => {
		const refuse = (message, param) => {
			refused++;
			res.writeHead(400, { 'content-type': 'application/json' });
			res.end(JSON.stringify({ error: { message, type: 'invalid_request_error', param, code: 'unsupported_parameter' } }));
		};
		if ('reasoning_effort' in entry.body)
			return refuse("Unsupported parameter: 'reasoning_effort' is not supported with this model.", 'reasoning_effort');
		if ('stream_options' in entry.body)
			return refuse('stream_options: Extra inputs are not permitted', 'stream_options');
		res.writeHead(200, { 'content-type': 'text/event-stream' });
		res.end([delta({ content: 'taken' }, 'stop'), 'data: [DONE]\n\n'].join('\n'));
	});
	equal((await answers('teach/m', 'hi', { args: ['--thinking', 'high'] })).text, 'taken');
	equal(refused, 2);
});

test('a whole answer where a stream was asked for', async () => {
	handlers.set('whole', (req, res) => {
		res.writeHead(200, { 'content-type': 'application/json' });
		res.end(JSON.stringify({ model: 'odd', choices: [{ index: 0, message: { role: 'assistant', content: 'all at once' }, finish_reason: 'stop' }], usage: { prompt_tokens: 1, completion_tokens: 3 } }));
	});
	equal((await answers('whole/m', 'hi')).text, 'all at once');
});

test('a web page instead of an API', async () => {
	handlers.set('page', (req, res) => {
		res.writeHead(404, { 'content-type': 'text/html' });
		res.end('<html><body>Welcome to nginx</body></html>');
	});
	await fails('page/m', 'hi', /a web page instead of JSON; is baseUrl right\?/);
});

test('a server that is not there', async () => {
	const r = await fails('down/m', 'hi', /down \(127\.0\.0\.1:9\), model m: it cannot be reached: .*nobody answers there/, { timeout: 60000 });
	match(r.out + r.err, /models\.providers\.down\.baseUrl is right/);
});

test('a key that the provider repeats is blotted out', async () => {
	handlers.set('key', (req, res) => {
		res.writeHead(401, { 'content-type': 'application/json' });
		res.end(JSON.stringify({ error: { message: `Incorrect API key provided: ${KEY}.` } }));
	});
	const r = await fails('key/m', 'hi', /Incorrect API key provided: \*+/);
	match(r.out + r.err, /models\.providers\.key\.apiKey/);
	for (const name of fs.existsSync(path.join(state, 'logs')) ? fs.readdirSync(path.join(state, 'logs')) : [])
		ok(!fs.readFileSync(path.join(state, 'logs', name), 'utf8').includes(KEY), name);
});

test('without a key nothing is sent to the Internet', async () => {
	await fails('nokey/m', 'hi', /no API key is set|has no API key|the name cannot be resolved/);
});

test('the connection breaks: the answer is continued', async () => {
	handlers.set('halves', (req, res, entry) => {
		const again = JSON.stringify(entry.body.messages).includes('cut off');
		res.writeHead(200, { 'content-type': 'text/event-stream' });
		if (again) {
			res.end([delta({ content: 'two' }, 'stop'), 'data: [DONE]\n\n'].join('\n'));
		} else {
			res.write(delta({ content: 'one ' }) + '\n');
			setTimeout(() => res.destroy(), 50);
		}
	});
	equal((await answers('halves/m', 'count')).text, 'one two');
});

// ---- Cancelling ----

function hang() {
	handlers.set('hang', (req, res) => {
		res.writeHead(200, { 'content-type': 'text/event-stream' });
		let n = 0;
		const timer = setInterval(() => res.write(delta({ content: `tick${++n} ` }) + '\n'), 50);
		res.on('close', () => clearInterval(timer));
	});
}

test('Ctrl-C ends a slow stream at once, on the wire too', async () => {
	hang();
	asked.length = 0;
	const child = spawn(bin, ['agent', '-s', 'cancel', '--model', 'hang/m', '-m', 'go'], { stdio: ['ignore', 'pipe', 'pipe'] });
	let out = '';
	child.stdout.on('data', (d) => (out += d));
	const ended = new Promise((resolve) => child.on('exit', (code, signal) => resolve({ code, signal })));
	await until('the stream to run', () => out.includes('tick3'));
	const begin = Date.now();
	child.kill('SIGINT');
	const end = await ended;
	ok(end.code !== 0, JSON.stringify(end));
	ok(Date.now() - begin < 30000, 'the stream has no end of its own');
	await until('the request to be closed', () => asked.at(-1).closed);
});

test('through the gateway: many streams at once, one is cancelled, the others go on', async () => {
	hang();
	stream('quirks', [delta({ content: 'fine' }, 'stop'), 'data: [DONE]', '']);
	const gw = await new Gateway().start();
	asked.length = 0;
	await gw.rpc('session.message', { session: 'slow', text: 'go', model: 'hang/m', wait: false });
	await until('the slow one to run', () => asked.some((a) => a.url.startsWith('/hang')));
	const quick = await Promise.all([...Array(8).keys()].map((i) => gw.fetch('/v1/chat/completions', { method: 'POST',
		body: JSON.stringify({ model: 'openclaw:backed', user: `u${i}`, messages: [{ role: 'user', content: 'hi' }] }) }).then((r) => r.json())));
	ok(quick.every((r) => r.choices?.[0].message.content === 'fine'), JSON.stringify(quick));
	ok(!asked.find((a) => a.url.startsWith('/hang')).closed, 'the slow one still runs');
	await gw.rpc('session.cancel', { session: 'slow' });
	await until('the request to be closed', () => asked.find((a) => a.url.startsWith('/hang')).closed);
	await gw.stop();
});

if (!mock)
	test('aimock # SKIP needs npm packages (make npm-deps)', () => {});

await done();
