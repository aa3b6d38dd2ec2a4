import fs from 'node:fs';
import http from 'node:http';
import net from 'node:net';
import path from 'node:path';
import { Gateway, cleanup, cli, done, equal, match, ok, spawnCli, state, test, writeConfig } from './lib.mjs';

const provider = (baseUrl, extra = {}) => ({
	agents: { defaults: { model: { primary: 'test/m1' }, skipBootstrap: true } },
	models: { providers: { test: { baseUrl, api: 'openai-completions', apiKey: 'sk-test-0123456789', models: [{ id: 'm1', name: 'm1' }] } } },
	...extra,
});

// A server on loopback whose answer a function writes; ends with the test.
async function serve(handler) {
	const server = http.createServer(handler);
	await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve));
	cleanup(() => server.closeAllConnections() ?? server.close());
	return `http://127.0.0.1:${server.address().port}/v1`;
}

const agent = (...args) => spawnCli(['agent', ...args]);

test('a file that does not parse: no start, line and column are named', () => {
	writeConfig('{\n  gateway: {\n    port: 18789,,\n  }\n}\n');
	const r = cli(['gateway', 'run', '--any-port']);
	equal(r.code, 1);
	match(r.err, /openclaw\.json/);
	match(r.err, /line 3|:3:/);
	const v = cli(['config', 'validate']);
	equal(v.code, 1);
	match(v.out + v.err, /line 3|:3:/);
});

test('once there was a good file, a broken one starts with the last good, and says so', async () => {
	writeConfig({ gateway: { port: 18999 }, session: { mainKey: 'main' } });
	await (await new Gateway().start()).stop();
	writeConfig('{ broken');
	const gw = await new Gateway().start();
	match(gw.log, /last good/);
	const r = cli(['status']);
	equal(r.code, 0);
	match(r.out, /last good/);
	await gw.stop();
});

test('an unknown key warns with the nearest name and changes nothing', async () => {
	writeConfig({ gatway: { port: 1 }, gateway: { prot: 5 } });
	const gw = await new Gateway().start();
	match(gw.log, /gatway.*gateway/);
	match(gw.log, /gateway\.prot.*port/);
	await gw.stop();
});

test('a wrong value disables that section only', async () => {
	writeConfig({ gateway: { port: 'eighty' }, agents: { defaults: { timeoutSeconds: 99 } } });
	const gw = await new Gateway().start();
	match(gw.log, /gateway\.port/);
	equal((await gw.rpc('session.message', { text: '/echo still here' })).status, 'ok');
	await gw.stop();
});

test('no key for the chosen model: the variable is named, and what to do', async () => {
	writeConfig({ agents: { defaults: { model: { primary: 'anthropic/claude-sonnet-4-5' } } } });
	const r = await agent('-m', 'hello');
	equal(r.code, 1);
	match(r.err, /ANTHROPIC_API_KEY/);
	match(r.err, /onboard|\.env/);
	const d = cli(['doctor']);
	equal(d.code, 1);
	match(d.out, /ANTHROPIC_API_KEY/);
});

test('a model of a provider that nobody knows', async () => {
	writeConfig({ agents: { defaults: { model: { primary: 'nosuch/model' } } } });
	const r = await agent('-m', 'hello');
	equal(r.code, 1);
	match(r.err, /nosuch/);
});

test('a provider that is down: host and remedy, after retries', async () => {
	const port = await new Promise((resolve) => {
		const s = net.createServer().listen(0, '127.0.0.1', () => {
			const p = s.address().port;
			s.close(() => resolve(p));
		});
	});
	writeConfig(provider(`http://127.0.0.1:${port}/v1`));
	const r = await agent('-m', 'hello');
	equal(r.code, 1);
	match(r.err, new RegExp(`127\\.0\\.0\\.1:${port}: nobody answers there\n {2}-> see whether its server runs and models\\.providers\\.test\\.baseUrl is right`));
	ok(!r.err.includes('sk-test-0123456789'));
});

test('a provider that refuses the key', async () => {
	const url = await serve((req, res) => {
		req.resume();
		res.writeHead(401, { 'content-type': 'application/json' });
		res.end('{"error":{"message":"Incorrect API key provided","type":"invalid_request_error","code":"invalid_api_key"}}');
	});
	writeConfig(provider(url));
	const r = await agent('-m', 'hello');
	equal(r.code, 1);
	match(r.err, /key/i);
	ok(!r.err.includes('sk-test-0123456789'));
});

test('a provider that cuts the stream: an error or a stated restart, never half an answer as if whole', async () => {
	const url = await serve((req, res) => {
		req.resume();
		res.writeHead(200, { 'content-type': 'text/event-stream' });
		res.write('data: {"choices":[{"index":0,"delta":{"role":"assistant","content":"Half an ans"}}]}\n\n');
		setTimeout(() => res.destroy(), 50);
	});
	writeConfig(provider(url));
	const r = await agent('-m', 'hello', '--json');
	equal(r.code, 1, r.out);
	match(JSON.parse(r.out).error.message, /stream|cut|ended|closed|connection/i);
	const gw = await new Gateway().start();
	const answer = await gw.fetch('/v1/chat/completions', { method: 'POST',
		body: JSON.stringify({ model: 'openclaw', stream: true, messages: [{ role: 'user', content: 'hello' }] }) });
	const text = await answer.text();
	match(text, /Half an ans/);
	match(text, /"error":\{"message"/);
	ok(!text.includes('[DONE]'));
	await gw.stop();
});

test('a provider that answers nonsense, and one that never ends', async () => {
	const nonsense = await serve((req, res) => {
		req.resume();
		res.writeHead(200, { 'content-type': 'text/html' });
		res.end('<html>login</html>');
	});
	writeConfig(provider(nonsense));
	const r = await agent('-m', 'hello');
	equal(r.code, 1);
	const endless = await serve((req, res) => {
		req.resume();
		res.writeHead(200, { 'content-type': 'text/event-stream' });
		res.flushHeaders();
	});
	writeConfig(provider(endless));
	const t = await agent('-m', 'hello', '--timeout', '2');
	equal(t.code, 1);
	match(t.err, /timed out|timeout|2 s|deadline/i);
});

test('wrong usage: exit code 2, the nearest name', () => {
	const r = cli(['gatway']);
	equal(r.code, 2);
	match(r.err, /did you mean "gateway"/);
	equal(cli(['gateway', 'run', '--prot', '1']).code, 2);
	match(cli(['gateway', 'run', '--prot', '1']).err, /--port/);
	equal(cli(['gateway', 'run', '--port', '99999']).code, 2);
	equal(cli(['agent', '-m', '']).code, 2);
});

test('a wrong token from the command line', async () => {
	writeConfig({});
	const gw = await new Gateway().start();
	const r = cli(['status'], { env: { OPENCLAW_GATEWAY_URL: gw.url, OPENCLAW_GATEWAY_TOKEN: 'wrong-token' } });
	equal(r.code, 1);
	match(r.err, /token/);
	const good = cli(['status'], { env: { OPENCLAW_GATEWAY_URL: gw.url, OPENCLAW_GATEWAY_TOKEN: gw.token } });
	equal(good.code, 0, good.err);
	await gw.stop();
});

test('a state folder that cannot be used', () => {
	const file = path.join(path.dirname(state), 'a-file');
	fs.writeFileSync(file, '');
	const r = cli(['gateway', 'run', '--any-port'], { env: { OPENCLAW_STATE_DIR: path.join(file, 'x') } });
	equal(r.code, 1);
	match(r.err, /a-file/);
});

test('listening beyond loopback without authentication is refused', () => {
	writeConfig({ gateway: { bind: 'lan', auth: { mode: 'none' } } });
	const r = cli(['gateway', 'run', '--any-port']);
	equal(r.code, 1);
	match(r.err, /without authentication/);
	fs.rmSync(path.join(state, 'openclaw.json'));
});

await done();
