// Several keys of one provider: which one is used, what makes it rest, who takes its place, and what people see of it.
import fs from 'node:fs';
import http from 'node:http';
import path from 'node:path';
import { Gateway, cleanup, done, equal, match, ok, spawnCli, state, test, until, writeConfig } from './lib.mjs';

const chunk = (delta, finish = null) => `data: ${JSON.stringify({ model: 'm', choices: [{ index: 0, delta, finish_reason: finish }] })}\n\n`;
const asked = []; // {provider, key, model}
const refusals = new Map(); // by key (or "key model"): [status, message, headers?, extra?]

const server = http.createServer(async (req, res) => {
	let body = '';
	for await (const piece of req)
		body += piece;
	const provider = req.url.split('/')[1];
	const key = (req.headers.authorization ?? '').replace('Bearer ', '');
	const model = body === '' ? '' : JSON.parse(body).model;
	asked.push({ provider, key, model });
	const refusal = refusals.get(key) ?? refusals.get(`${key} ${model}`);
	if (refusal) {
		const [status, message, headers = {}, extra = {}] = refusal;
		res.writeHead(status, { 'content-type': 'application/json', ...headers });
		res.end(JSON.stringify({ error: { message, ...extra } }));
		return;
	}
	res.writeHead(200, { 'content-type': 'text/event-stream' });
	res.end(chunk({ content: `by ${key}` }) + chunk({}, 'stop') + 'data: [DONE]\n\n');
});
await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve));
cleanup(() => server.closeAllConnections());

const provider = (name, more = {}) => ({ api: 'openai-completions', baseUrl: `http://127.0.0.1:${server.address().port}/${name}/v1`,
	models: [{ id: 'm', contextWindow: 100000 }, { id: 'n', contextWindow: 100000 }], ...more });
const config = {
	models: { providers: { lined: provider('lined'), spread: provider('spread'), filed: provider('filed'), spare: provider('spare', { apiKey: 'key-spare' }) } },
	auth: {
		profiles: {
			'lined:one': { provider: 'lined', mode: 'api_key', apiKey: 'key-one' },
			'lined:two@example.org': { provider: 'lined', mode: 'api_key', apiKey: '${SECOND_KEY}' },
			'lined:unused': { provider: 'lined', mode: 'api_key', apiKey: 'key-unused' },
			'lined:empty': { provider: 'lined', mode: 'oauth', email: 'nobody@example.org' },
			...Object.fromEntries([1, 2, 3, 4].map((n) => [`spread:${n}`, { provider: 'spread', mode: 'api_key', apiKey: `key-spread-${n}` }])),
		},
		order: { lined: ['lined:empty', 'lined:one', 'lined:two@example.org'] },
	},
	agents: { defaults: { skipBootstrap: true, model: { primary: 'lined/m', fallbacks: ['spare/m'] } } },
	logging: { level: 'debug' },
};
writeConfig(config);
let gw = await new Gateway({ env: { SECOND_KEY: 'key-two' } }).start();

const turn = (text, session = 'main', more = {}) => gw.rpc('session.message', { session, text, wait: true, ...more })
	.catch((error) => ({ error: error.message }));
const keys = async () => Object.fromEntries((await gw.rpc('models.list')).keys.map((k) => [k.profile, k]));
async function fresh() {
	refusals.clear();
	await gw.rpc('models.retry');
	asked.length = 0;
}

test('the first of the order that has a key is used, and none that it leaves out', async () => {
	equal((await turn('hello')).text, 'by key-one');
	equal((await turn('hello', 'another')).text, 'by key-one');
	const k = await keys();
	ok(!('lined:unused' in k) && !('lined:empty' in k), JSON.stringify(k));
	equal(k['lined:one'].used, 2);
	equal(k['lined:one'].source, 'auth.profiles');
});

test('one that may ask no more for now makes room for the next at once, and rests as long as it was told', async () => {
	refusals.set('key-one', [429, 'slow down', { 'retry-after': '40' }]);
	const began = Date.now();
	const r = await turn('hello');
	equal(r.text, 'by key-two', JSON.stringify(r));
	ok(Date.now() - began < 30000, 'not after the rest of 40 s');
	asked.length = 0;
	equal((await turn('again')).text, 'by key-two');
	equal(asked.map((a) => a.key), ['key-two'], 'it is not asked while it rests');
	const k = (await keys())['lined:one'];
	equal(k.state, 'resting');
	ok(k.restMs > 30000 && k.restMs <= 40000, JSON.stringify(k));
});

test('too many requests for one model say nothing of the others', async () => {
	await fresh();
	refusals.set('key-one m', [429, 'slow down', { 'retry-after': '40' }]);
	equal((await turn('hello', 'm-only')).text, 'by key-two');
	equal((await turn('hello', 'n-only', { model: 'lined/n' })).text, 'by key-one');
});

test('a key that is refused is told to the operator: list, status --deep, metrics, log; never its value', async () => {
	await fresh();
	refusals.set('key-one', [401, 'no such key']);
	equal((await turn('hello')).text, 'by key-two');
	const status = await spawnCli(['models', 'status']);
	equal(status.code, 0, status.err);
	match(status.out, /lined:one +auth\.profiles +\d+ +\d+ +resting for \d+ s: /);
	match(status.out, /lined:two@example\.org .* ok/);
	match((await spawnCli(['status', '--deep'])).out, /the key lined:one rests for \d+ s/);
	const metrics = await (await gw.fetch('/metrics')).text();
	match(metrics, /openclaw_provider_key_up\{provider="lined",key="lined:one",agent=""\} 0/);
	match(metrics, /openclaw_provider_key_up\{provider="lined",key="lined:two@example.org",agent=""\} 1/);
	match(metrics, /openclaw_model_key_changes_total [1-9]/);
	match(gw.log, /lined:one rests for/);
	for (const text of [status.out, metrics, gw.log, JSON.stringify(await keys())])
		ok(!/key-(one|two|spare)/.test(text), 'no key is shown');
});

test('without credit it is left alone for hours', async () => {
	await fresh();
	refusals.set('key-one', [402, 'credit balance too low']);
	equal((await turn('hello')).text, 'by key-two');
	const k = (await keys())['lined:one'];
	equal(k.state, 'disabled');
	ok(k.restMs > 4.9 * 3600000 && k.restMs <= 5 * 3600000, JSON.stringify(k));
});

test('turns that fail side by side count as one failure', async () => {
	await fresh();
	refusals.set('key-one', [401, 'no such key']);
	await Promise.all([1, 2, 3, 4].map((n) => turn('hello', `beside-${n}`)));
	const k = (await keys())['lined:one'];
	ok(k.restMs > 0 && k.restMs <= 60000, JSON.stringify(k));
});

test('when all keys are refused the fallback answers, and later turns go there without asking', async () => {
	await fresh();
	for (const key of ['key-one', 'key-two'])
		refusals.set(key, [401, 'no such key']);
	equal((await turn('hello')).text, 'by key-spare');
	equal(asked.map((a) => a.key), ['key-one', 'key-two', 'key-spare']);
	asked.length = 0;
	equal((await turn('again')).text, 'by key-spare');
	equal(asked.map((a) => a.key), ['key-spare']);
});

test('without an order a session keeps its key, and many sessions spread over all', async () => {
	await fresh();
	const own = new Map();
	for (let i = 0; i < 24; i++)
		own.set(i, (await turn('hello', `s-${i}`, { model: 'spread/m' })).text);
	ok(new Set(own.values()).size === 4, [...own.values()].join());
	for (let i = 0; i < 24; i++)
		equal((await turn('again', `s-${i}`, { model: 'spread/m' })).text, own.get(i));
	const gone = own.get(0);
	refusals.set(gone.slice(3), [429, 'slow down', { 'retry-after': '60' }]);
	const instead = (await turn('hello', 's-0', { model: 'spread/m' })).text;
	ok(instead !== gone && instead.startsWith('by key-spread-'), instead);
	equal((await turn('hello', 's-0', { model: 'spread/m' })).text, instead, 'and the same one again');
});

test('a key that somebody names is used, and no other in its place', async () => {
	await fresh();
	equal((await turn('hello', 'named', { model: 'lined/m@lined:two@example.org' })).text, 'by key-two');
	refusals.set('key-two', [401, 'no such key']);
	const r = await turn('hello', 'named', { model: 'lined/m@lined:two@example.org' });
	ok(r.text !== 'by key-one', JSON.stringify(r));
	ok(!asked.some((a) => a.key === 'key-one'));
	asked.length = 0;
	match((await turn('/model lined/m@lined:one', 'chosen')).text, /Model set to lined\/m@lined:one/);
	refusals.clear();
	equal((await turn('hello', 'chosen')).text, 'by key-one');
});

test('the profiles that a TypeScript installation left are used, and followed when they change', async () => {
	await fresh();
	const file = path.join(state, 'agents/main/agent/auth-profiles.json');
	const write = (profiles, more = {}, mode = 0o600) => {
		fs.mkdirSync(path.dirname(file), { recursive: true });
		fs.writeFileSync(`${file}.new`, JSON.stringify({ version: 1, profiles, ...more }), { mode });
		fs.chmodSync(`${file}.new`, mode);
		fs.renameSync(`${file}.new`, file);
	};
	const saying = (text) => until(text, async () => (await turn('hello', 'filed', { model: 'filed/m' })).text === text);
	write({ 'filed:a': { type: 'api_key', provider: 'filed', key: 'key-filed-a' },
		'filed:old': { type: 'oauth', provider: 'filed', access: 'key-filed-old', refresh: 'r', expires: 1000 } });
	await saying('by key-filed-a');
	write({ 'filed:a': { type: 'api_key', provider: 'filed', key: 'key-filed-a' }, 'filed:b': { type: 'token', provider: 'filed', token: 'key-filed-b' },
		'filed:e': { type: 'api_key', provider: 'filed', keyRef: { source: 'env', provider: 'default', id: 'SECOND_KEY' } } },
	{ order: { filed: ['filed:b', 'filed:e', 'filed:a'] } });
	await saying('by key-filed-b');
	refusals.set('key-filed-b', [401, 'no such key']);
	await saying('by key-two');
	equal((await keys())['filed:b'].source, 'auth-profiles.json');
	write({ 'filed:c': { type: 'api_key', provider: 'filed', key: 'key-filed-c' } }, {}, 0o644);
	await until('the warning', () => turn('hello', 'filed', { model: 'filed/m' }).then(() => /auth-profiles\.json is not used.*chmod 600/.test(gw.log)));
	ok(!asked.some((a) => a.key === 'key-filed-c'));
});

test('what rests goes on resting over a changed configuration, a restart and kill -9; a changed key or a word from its owner ends it', async () => {
	await fresh();
	refusals.set('key-one', [429, 'you spent it all', {}, { code: 'insufficient_quota' }]);
	await turn('hello');
	const rests = async () => (await keys())['lined:one'].restMs;
	const now = await rests();
	ok(now > 4.9 * 3600000);
	equal((await spawnCli(['config', 'set', 'agents.defaults.timeoutSeconds', '77'])).code, 0);
	await until('the new configuration', () => /reloaded: 1 change/.test(gw.log));
	ok(await rests() > 4.9 * 3600000, 'a setting that has nothing to do with it');
	for (const way of ['stop', 'kill']) {
		await gw[way]();
		gw = await new Gateway({ env: { SECOND_KEY: 'key-two' } }).start();
		ok(await rests() > 4.9 * 3600000 && await rests() <= now, `after ${way}`);
		asked.length = 0;
		equal((await turn(`hello after ${way}`)).text, 'by key-two');
		equal(asked.map((a) => a.key), ['key-two']);
	}
	const r = await spawnCli(['models', 'retry']);
	equal(r.code, 0, r.err);
	equal(await rests(), undefined);
	await turn('hello');
	ok(await rests() > 4.9 * 3600000, 'asked again, and refused again');
	equal((await spawnCli(['config', 'set', 'auth.profiles.lined:one.apiKey', 'key-new'])).code, 0);
	await until('the new key', async () => await rests() === undefined);
	equal((await turn('hello')).text, 'by key-new');
	await gw.stop();
	gw = await new Gateway({ env: { SECOND_KEY: 'key-two' } }).start();
	equal(await rests(), undefined, 'it stays ended');
	writeConfig(config);
});

test('a list of keys in the environment is one key after the other', async () => {
	await gw.stop();
	fs.rmSync(path.join(state, 'agents/main/agent/auth-profiles.json'));
	writeConfig({ ...config, auth: { order: { openai: ['openai:list-2', 'openai:list-1', 'openai:apiKey', 'openai:key-3'] } },
		models: { providers: { openai: { models: [{ id: 'm', contextWindow: 100000 }] } } },
		agents: { defaults: { skipBootstrap: true, model: 'openai/m' } } });
	const r = await spawnCli(['models', 'status', '--json'], { env: { OPENAI_API_KEY: 'key-x', OPENAI_API_KEYS: 'key-y, key-z', OPENAI_API_KEY_3: 'key-w' } });
	equal(r.code, 0, r.err);
	equal(JSON.parse(r.out).keys.filter((k) => k.provider === 'openai').map((k) => k.profile).sort(),
		['openai:apiKey', 'openai:key-3', 'openai:list-1', 'openai:list-2']);
	const list = await spawnCli(['models', 'list']);
	equal(list.code, 0, list.err);
	match(list.out, /more have no key/);
});

await done();
