// Every way a model call fails: what is tried again, what falls back, what ends; in words for who asked; and that a model
// that failed is left alone for a while.
import http from 'node:http';
import { Gateway, cleanup, done, equal, match, ok, spawnCli, test, until, writeConfig } from './lib.mjs';

const KEY = 'zz-0123456789abcdef';
const counts = new Map(); // calls by class
const times = new Map();
const json = (res, status, body, headers = {}) => {
	res.writeHead(status, { 'content-type': 'application/json', ...headers });
	res.end(JSON.stringify(body));
};
const fault = (status, message, extra = {}, headers) => (res) => json(res, status, { error: { message, ...extra } }, headers);
const chunk = (delta, finish = null) => `data: ${JSON.stringify({ model: 'm', choices: [{ index: 0, delta, finish_reason: finish }] })}\n\n`;
const stream = (res, ...lines) => {
	res.writeHead(200, { 'content-type': 'text/event-stream' });
	for (const line of lines)
		res.write(line);
};
const good = (text) => (res) => {
	stream(res, chunk({ content: text }), chunk({}, 'stop'), 'data: [DONE]\n\n');
	res.end();
};

// calls: how often it is asked before it is given up. words: what people read. rests: it is not asked first again.
const classes = {
	auth: { serve: fault(401, 'Incorrect API key provided'), calls: 1, words: /key was not accepted.*Incorrect API key/s, remedy: /apiKey/, rests: true },
	forbidden: { serve: fault(403, 'Country not supported'), calls: 1, words: /403.*Country not supported/s, rests: true },
	payment: { serve: fault(402, 'Insufficient balance'), calls: 1, words: /credit or quota is used up.*Insufficient balance/s, remedy: /credit/, rests: true },
	quota: { serve: fault(429, 'You exceeded your current quota', { code: 'insufficient_quota' }), calls: 1, words: /quota/, remedy: /credit/, rests: true },
	missing: { serve: fault(404, 'The model `m` does not exist', { code: 'model_not_found' }), calls: 1, words: /no such model/, remedy: /name/, rests: true },
	timeout408: { serve: fault(408, 'Request timeout'), calls: 3, words: /not available.*408/s, remedy: /again|fallback/, rests: true },
	context: { serve: fault(413, 'Request too large'), calls: 1, words: /too long/, remedy: /window|shorten/, rests: false },
	invalid: { serve: fault(400, 'A conversation needs a message'), calls: 1, words: /refused.*needs a message/s, rests: false },
	rate: { serve: fault(429, 'Rate limit reached'), calls: 3, words: /too many requests/i, remedy: /wait|fallback/, rests: true },
	ratelong: { serve: fault(429, 'Rate limit reached', {}, { 'retry-after': '120' }), calls: 1, words: /too many requests/i, remedy: /again in 120 s/, rests: true },
	e500: { serve: fault(500, 'Internal server error'), calls: 3, words: /not available.*500/s, remedy: /again|fallback/, rests: true },
	e502: { serve: (res) => { res.writeHead(502, { 'content-type': 'text/html' }); res.end('<html>Bad Gateway</html>'); }, calls: 3, words: /502.*web page/s, rests: true },
	e503: { serve: fault(503, 'Service Unavailable'), calls: 3, words: /not available.*503/s, rests: true },
	overloaded: { serve: fault(529, 'Overloaded', { type: 'overloaded_error' }), calls: 3, words: /not available.*529.*Overloaded/s, rests: true },
	instream: { serve: (res) => { stream(res, `data: ${JSON.stringify({ error: { message: 'upstream overloaded', type: 'overloaded_error' } })}\n\n`); res.end(); }, calls: 3, words: /overloaded/, rests: true },
	malformed: { serve: (res) => { stream(res, 'data: {"choices":[{"index":0,"delta":{"content":\n\n'); res.end(); }, calls: 3, words: /understood|stream|JSON|cut off/i, rests: true },
	// On a connection that was used before, the HTTP client itself asks again.
	reset: { serve: (res) => res.destroy(), calls: [3, 99], words: /127\.0\.0\.1/, rests: true },
	stalled: { serve: (res) => res.flushHeaders(), calls: 2, words: /no answer in time.*silent for 1 second/s, remedy: /again|fallback/, rests: true },
	refusal: { serve: (res) => { stream(res, chunk({}, 'content_filter'), 'data: [DONE]\n\n'); res.end(); }, calls: 1, words: /declined/, remedy: /another/, rests: false, final: true },
	empty: { serve: good(' '), calls: 2, words: /empty answer/, remedy: /another/, rests: false, final: true },
};

const server = http.createServer(async (req, res) => {
	for await (const piece of req)
		void piece;
	const name = req.url.split('/')[1];
	counts.set(name, (counts.get(name) ?? 0) + 1);
	times.set(name, [...(times.get(name) ?? []), Date.now()]);
	const own = serving.get(name) ?? classes[name]?.serve;
	own(res);
});
const serving = new Map([['good', good('from the fallback')], ['one', fault(401, 'the key of one')], ['two', fault(404, 'nothing of that name')]]);
await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve));
cleanup(() => server.closeAllConnections());

const names = [...Object.keys(classes), 'one', 'two', 'good', 'later', 'cut', 'twice', 'flaky', 'mute', 'stuck'];
const impatient = new Set(['stalled', 'mute', 'stuck']);
const providers = Object.fromEntries(names.map((n) => [n, { api: 'openai-completions', apiKey: KEY,
	baseUrl: `http://127.0.0.1:${server.address().port}/${n}/v1`, models: [{ id: 'm', contextWindow: 100000 }],
	...(impatient.has(n) ? { timeoutSeconds: 1 } : {}) }]));
writeConfig({ models: { providers }, logging: { level: 'debug' },
	agents: { defaults: { skipBootstrap: true, maxConcurrent: 32 },
		list: [{ id: 'main', default: true }, { id: 'none', model: { primary: 'one/m', fallbacks: ['two/m', 'nowhere/m'] } }, ...names.map((n) => ({ id: `b-${n.toLowerCase()}`, model: { primary: `${n}/m`, fallbacks: ['good/m'] } }))] } });
const gw = await new Gateway().start();

const ask = async (model, extra = {}) => {
	const r = await gw.fetch('/v1/chat/completions', { method: 'POST',
		body: JSON.stringify({ model, messages: [{ role: 'user', content: 'hello' }], ...extra }) });
	return { status: r.status, body: await r.json() };
};

// All at once; the first failure is thrown when all are over.
async function each(list, fn) {
	const results = await Promise.allSettled(list.map(fn));
	const failed = results.find((r) => r.status === 'rejected');
	if (failed)
		throw failed.reason;
}

test('each kind of failure: asked as often as makes sense, then told in words with a remedy (HTTP)', async () => {
	await each(Object.entries(classes), async ([name, c]) => {
		const r = await ask(`${name}/m`);
		const text = JSON.stringify(r.body);
		ok(r.status >= 400, `${name}: ${r.status} ${text}`);
		match(r.body.error.message, c.words, `${name}: ${text}`);
		if (c.remedy)
			match(text, c.remedy, `${name}: ${text}`);
		const [least, most] = [c.calls].flat().concat(c.calls).flat();
		ok(counts.get(name) >= least && counts.get(name) <= most, `${name}: ${counts.get(name)} calls`);
		ok(!text.includes(KEY), 'the key is never shown');
	});
});

test('when none of several models answers, each is named with its reason', async () => {
	const first = (await ask('openclaw:none')).body.error.message;
	match(first, /no model answered: .*one\/m.*the key of one.*; .*two\/m.*nothing of that name.*; .*nowhere\/m/);
	match((await ask('openclaw:none')).body.error.message, /no model answered: .*one\/m.*two\/m|no model answered: .*two\/m.*one\/m/); // also those that rest
});

test('between tries it waits, a little differently each time', () => {
	const gaps = ['e500', 'e502', 'e503', 'overloaded', 'timeout408'].map((n) => times.get(n)[1] - times.get(n)[0]);
	for (const gap of gaps)
		ok(gap >= 370 && gap < 5000, `${gaps}`);
	ok(new Set(gaps).size > 1, `${gaps}`);
});

test('with a fallback, each kind that a model can be blamed for is answered by the next', async () => {
	counts.clear();
	await each(Object.entries(classes).filter(([, c]) => !c.final), async ([name, c]) => {
		const r = await ask(`openclaw:b-${name}`);
		equal(r.status, 200, `${name}: ${JSON.stringify(r.body)}`);
		equal(r.body.choices[0].message.content, 'from the fallback', name);
		equal(counts.get(name) ?? 0, c.rests ? 0 : c.calls, `${name}: one that failed before is left alone`);
	});
});

test('a new configuration gives those another chance that it concerns, or that were only out of reach', async () => {
	const asked = async (name) => {
		await ask(`openclaw:b-${name}`);
		return (counts.get(name) ?? 0) > 0;
	};
	counts.clear();
	await spawnCli(['config', 'set', 'agents.defaults.timeoutSeconds', '77']);
	await until('another chance', () => asked('e503'));
	equal(await asked('auth'), false, 'its key is the same');
	await spawnCli(['config', 'set', 'models.providers.auth.apiKey', `${KEY}-2`]);
	await until('the corrected key to be tried', () => asked('auth'));
});

test('Retry-After is kept to when it is short', async () => {
	let n = 0;
	serving.set('later', (res) => (++n === 1 ? json(res, 429, { error: { message: 'slow down' } }, { 'retry-after': '1' }) : good('patience pays')(res)));
	const r = await ask('later/m');
	equal(r.body.choices?.[0].message.content, 'patience pays', JSON.stringify(r.body));
	const gap = times.get('later')[1] - times.get('later')[0];
	ok(gap >= 990, `${gap}`);
});

test('an answer cut in the middle is completed, and nothing is said twice', async () => {
	let n = 0;
	serving.set('cut', (res) => {
		if (++n > 1)
			return good('and the rest.')(res);
		stream(res, chunk({ content: 'The first half ' }));
		setTimeout(() => res.destroy(), 30);
	});
	const r = await ask('cut/m');
	equal(r.body.choices?.[0].message.content, 'The first half and the rest.', JSON.stringify(r.body));
});

test('an answer that stands still is given up after timeoutSeconds: at once another model, or it is gone on with', async () => {
	let n = 0;
	serving.set('mute', classes.stalled.serve);
	serving.set('stuck', (res) => (++n > 1 ? good('and the rest.')(res) : stream(res, chunk({ content: 'The first half ' }))));
	const [mute, stuck] = await Promise.all([ask('openclaw:b-mute'), ask('stuck/m')]);
	equal(mute.body.choices?.[0].message.content, 'from the fallback', JSON.stringify(mute.body));
	equal(counts.get('mute'), 1);
	equal(stuck.body.choices?.[0].message.content, 'The first half and the rest.', JSON.stringify(stuck.body));
});

test('an empty answer is asked for once more', async () => {
	let n = 0;
	serving.set('twice', (res) => good(++n === 1 ? '' : 'there it is')(res));
	const r = await ask('twice/m');
	equal(r.body.choices?.[0].message.content, 'there it is', JSON.stringify(r.body));
});

test('a model that works again is asked first again', async () => {
	let broken = true;
	serving.set('flaky', (res) => (broken ? classes.auth.serve(res) : good('I am back')(res)));
	equal((await ask('openclaw:b-flaky')).body.choices[0].message.content, 'from the fallback');
	broken = false;
	equal((await ask('openclaw:b-flaky')).body.choices[0].message.content, 'from the fallback', 'it rests');
	equal((await ask('flaky/m')).body.choices[0].message.content, 'I am back', 'named outright, it is asked');
	equal((await ask('openclaw:b-flaky')).body.choices[0].message.content, 'I am back', 'and rests no longer');
});

test('the command line tells it too, with exit code 1, and the fallback as a notice', async () => {
	const r = await spawnCli(['agent', '-s', 'cli1', '--model', 'payment/m', '-m', 'hi']);
	equal(r.code, 1);
	match(r.err, /credit or quota is used up/);
	match(r.err, /add credit/);
	const f = await spawnCli(['agent', '--agent', 'b-overloaded', '-s', 'cli2', '-m', 'hi']);
	equal(f.code, 0, f.err);
	match(f.out, /from the fallback/);
});

await done();
