import fs from 'node:fs';
import net from 'node:net';
import path from 'node:path';
import { Gateway, bin, cli, done, equal, match, ok, raw, state, test, unixRequest, until, writeConfig } from './lib.mjs';

const gw = new Gateway();

test('status without a gateway says so, with exit code 3', () => {
	const r = cli(['status']);
	equal(r.code, 3);
	match(r.out, /not running/);
	const j = cli(['status', '--json']);
	equal(j.code, 3);
	equal(JSON.parse(j.out).running, false);
});

test('starts without a configuration, makes a token for the owner alone', async () => {
	await gw.start();
	const st = fs.statSync(path.join(state, 'credentials/gateway-token'));
	equal(st.mode & 0o777, 0o600);
	ok(gw.token.length >= 32);
});

test('health and readiness need no token, everything else does', async () => {
	for (const p of ['/health', '/healthz', '/ready', '/readyz']) {
		const r = await fetch(gw.url + p);
		equal(r.status, 200, p);
		await r.json();
	}
	for (const [p, method] of [['/rpc', 'POST'], ['/metrics', 'GET'], ['/v1/chat/completions', 'POST'], ['/v1/models', 'GET']]) {
		const r = await fetch(gw.url + p, { method });
		equal(r.status, 401, p);
		equal(r.headers.get('www-authenticate'), 'Bearer realm="openclaw"');
		match((await r.json()).error.message, /Bearer TOKEN/);
		const wrong = await fetch(gw.url + p, { method, headers: { authorization: 'Bearer wrong' } });
		equal(wrong.status, 401);
		match((await wrong.json()).error.message, /wrong token/);
	}
});

test('unknown paths and methods are told apart', async () => {
	equal((await gw.fetch('/nothing')).status, 404);
	const r = await gw.fetch('/rpc');
	equal(r.status, 405);
	equal(r.headers.get('allow'), 'POST');
});

test('JSON-RPC: string and number ids, null id, notifications, batches', async () => {
	equal((await gw.rpcRaw('system.version', {}, 'abc')).id, 'abc');
	equal((await gw.rpcRaw('system.version', {}, 7)).id, 7);
	equal((await gw.rpcRaw('system.version', {}, null)).id, null);
	const note = await gw.fetch('/rpc', { method: 'POST', body: '{"jsonrpc":"2.0","method":"system.version"}' });
	equal(note.status, 204);
	const batch = await (await gw.fetch('/rpc', { method: 'POST', body: JSON.stringify([
		{ jsonrpc: '2.0', id: 1, method: 'system.version' }, { jsonrpc: '2.0', method: 'system.health' },
		{ jsonrpc: '2.0', id: 'x', method: 'no.such' }, 5]) })).json();
	equal(batch.length, 3);
	equal(batch.find((a) => a.id === 1).result.name, 'openclaw');
	equal(batch.find((a) => a.id === 'x').error.code, -32601);
	equal(batch.find((a) => a.id === null).error.code, -32600);
});

test('JSON-RPC: errors have numbers, words and a remedy', async () => {
	const post = async (body) => (await gw.fetch('/rpc', { method: 'POST', body })).json();
	equal((await post('{not json')).error.code, -32700);
	equal((await post('[]')).error.code, -32600);
	equal((await post('{"id":1,"method":"system.version"}')).error.code, -32600);
	equal((await gw.rpcRaw('session.message', {})).error.code, -32602);
	const wrong = (await gw.rpcRaw('session.message', { text: 5 })).error;
	equal(wrong.code, -32602);
	match(wrong.message, /text/);
	const near = (await gw.rpcRaw('sesion.list', {})).error;
	equal(near.code, -32601);
	match(near.message, /session\.list/);
	const deep = '['.repeat(2000) + ']'.repeat(2000);
	equal((await post(`{"jsonrpc":"2.0","id":1,"method":"system.health","params":{"x":${deep}}}`)).error.code, -32700);
	const twice = await post('{"jsonrpc":"2.0","id":1,"method":"system.health","method":"system.version"}');
	equal(twice.error.code, -32700);
});

// Sends all of it whatever comes back, as simple clients do; then reads.
function stubborn(head, bytes) {
	return new Promise((resolve, reject) => {
		const socket = net.connect({ port: gw.port, host: '127.0.0.1', allowHalfOpen: true });
		let text = '';
		socket.on('error', reject);
		socket.on('close', () => resolve(text));
		socket.write(head);
		socket.end('x'.repeat(bytes), () => socket.on('data', (d) => (text += d)));
	});
}

test('a refused body does not cost the client the answer', async () => {
	const post = (path, more) => `POST ${path} HTTP/1.1\r\nHost: x\r\n${more}\r\n\r\n`;
	const length = 30 << 20;
	const declared = await stubborn(post('/rpc', `Authorization: Bearer ${gw.token}\r\nContent-Length: ${length}`), length);
	match(declared, /^HTTP\/1\.1 413 /);
	match(declared, /"payload_too_large"/);
	const chunk = `Transfer-Encoding: chunked\r\n\r\n${length.toString(16)}`;
	match(await stubborn(post('/rpc', `Authorization: Bearer ${gw.token}\r\n${chunk}`).slice(0, -2), length), /^HTTP\/1\.1 413 /);
	match(await stubborn(post('/rpc', `Content-Length: ${length}`), length), /^HTTP\/1\.1 401 /);
	match(await stubborn(`GET / HTTP/1.1\r\nHost: x\r\nX: `, length), /^HTTP\/1\.1 431 /);
});

test('malformed requests get 400 and a close; ambiguity is refused', async () => {
	match(await raw(gw.port, 'NONSENSE\r\n\r\n'), /^HTTP\/1\.1 400 /);
	match(await raw(gw.port, 'POST /rpc HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n'),
		/^HTTP\/1\.1 400 /);
	match(await raw(gw.port, `GET / HTTP/1.1\r\nHost: x\r\nX: ${'a'.repeat(100000)}\r\n\r\n`), /^HTTP\/1\.1 431 /);
});

test('the owner needs no token on the Unix socket', async () => {
	const r = await unixRequest('/rpc', { method: 'POST', body: '{"jsonrpc":"2.0","id":1,"method":"system.status"}' });
	equal(r.status, 200);
	const status = JSON.parse(r.text).result;
	equal(status.ok, true);
	equal(status.pid, gw.pid);
	equal(status.listen.port, gw.port);
});

test('status, with and without --json, names address, model and modules', () => {
	const r = cli(['status']);
	equal(r.code, 0, r.err);
	match(r.out, new RegExp(`http://127\\.0\\.0\\.1:${gw.port}`));
	match(r.out, /offline/);
	const j = JSON.parse(cli(['status', '--json']).out);
	ok(j.modules.some((m) => m.name === 'offline' && m.running));
});

test('the offline provider answers, and says what it is', async () => {
	const r = await gw.rpc('session.message', { text: 'hello there' });
	equal(r.status, 'ok');
	match(r.text, /offline/i);
	const h = await gw.rpc('session.history', { session: r.session });
	equal(h.messages.at(-1).role, 'assistant');
	equal(h.messages.at(-2).role, 'user');
});

test('the same idempotency key is the same run', async () => {
	const a = await gw.rpc('session.message', { text: '/echo once', idempotencyKey: 'k1', session: 'idem' });
	const b = await gw.rpc('session.message', { text: '/echo once', idempotencyKey: 'k1', session: 'idem' });
	equal(a.runId, b.runId);
	const h = await gw.rpc('session.history', { session: 'idem' });
	equal(h.messages.filter((m) => m.role === 'user').length, 1);
});

test('sessions are listed, searched, reset and deleted', async () => {
	await gw.rpc('session.message', { text: '/echo pomegranate', session: 'fruit' });
	const list = await gw.rpc('session.list', {});
	ok(list.sessions.some((s) => s.key === 'agent:main:fruit'));
	const found = await gw.rpc('session.search', { query: 'pomegranate' });
	ok(found.matches.length >= 1);
	await gw.rpc('session.reset', { session: 'fruit' });
	equal((await gw.rpc('session.history', { session: 'fruit' })).messages.length, 0);
	await gw.rpc('session.delete', { session: 'fruit' });
	const gone = (await gw.rpcRaw('session.get', { session: 'fruit' })).error;
	equal(gone.code, -32003);
});

test('openclaw agent goes through the running gateway and streams', async () => {
	const r = cli(['agent', '-m', '/echo through the gateway', '-s', 'cli1']);
	equal(r.code, 0, r.err);
	match(r.out, /through the gateway/);
	const h = await gw.rpc('session.history', { session: 'cli1' });
	equal(h.messages.length, 2);
});

test('/metrics is what Prometheus reads', async () => {
	const text = await (await gw.fetch('/metrics')).text();
	for (const line of text.trim().split('\n'))
		match(line, /^(# (HELP|TYPE) (openclaw|process)_\w+ .+|(openclaw|process)_\w+(\{[^}]*\})? -?[0-9.e+-]+)$/);
	match(text, /openclaw_turns_total\{result="ok"\} [1-9]/);
});

test('a second gateway on the same state is refused with the reason', () => {
	const r = cli(['gateway', 'run', '--any-port']);
	equal(r.code, 1);
	match(r.err, /pid|process|in use|running/);
	ok(!fs.readFileSync(path.join(state, 'logs/gateway.log'), 'utf8').includes('cannot start'), 'and leaves the log of the first alone');
});

test('what the configuration wants hidden is in no log; less goes to stderr than to the file', async () => {
	const file = () => fs.readFileSync(path.join(state, 'logs/gateway.log'), 'utf8');
	writeConfig({ logging: { redactPatterns: ['/acct-[A-Z]{2}\\d+/i', 'ab(c'], consoleLevel: 'error' }, 'acct-xy7788': 1 });
	await until('the warning in the file', () => /is not used: the pattern has a \( without/.test(file()) && /\*{11}: is not known/.test(file()));
	ok(!/acct-xy7788/.test(file()) && !/acct-xy7788/.test(gw.log), 'the name is hidden');
	await until('the error on stderr', () => /ab\(c/.test(gw.log));
	ok(!/: is not known/.test(gw.log), 'warnings do not');
	writeConfig({});
	await until('all of it again', () => gw.log.match(/reloaded/g)?.length >= 1);
});

test('a port in use is named, with the remedy', () => {
	const r = cli(['gateway', 'run', '--port', String(gw.port)], { env: { OPENCLAW_STATE_DIR: state + '-2' } });
	equal(r.code, 1);
	match(r.err, new RegExp(`port ${gw.port}`));
	match(r.err, /--port|stop/);
	fs.rmSync(state + '-2', { recursive: true, force: true });
});

test('configuration changes are taken up; a broken file is reported and changes nothing', async () => {
	writeConfig({ logging: { level: 'debug' } });
	await until('the reload', () => /reloaded/.test(gw.log));
	writeConfig('{ broken');
	await until('the complaint', () => /old configuration stays/.test(gw.log));
	equal((await gw.rpc('system.health', {})).ok, true);
	match((await gw.rpc('system.status', {})).config.reloadError, /line 1|1:/);
	fs.rmSync(path.join(state, 'openclaw.json'));
});

test('an address that guesses tokens is locked out for a while', async () => {
	const limit = (rateLimit) => writeConfig({ logging: { level: 'debug' }, gateway: { auth: { rateLimit } } });
	const guess = (token) => gw.fetch('/v1/models', { headers: { authorization: `Bearer ${token}` } });
	for (let i = 0; i < 12; i++)
		equal((await guess('wrong')).status, 401); // loopback is exempt
	limit({ maxAttempts: 3, lockoutMs: 1000, exemptLoopback: false });
	await until('the lock', async () => (await guess('wrong')).status === 429);
	const locked = await guess(gw.token);
	equal(locked.status, 429); // else the answer would tell a right guess
	ok(Number(locked.headers.get('retry-after')) >= 1);
	equal((await gw.fetch('/health')).status, 200);
	equal((await unixRequest('/v1/models')).status, 200);
	await until('the end of the lock', async () => (await guess(gw.token)).status === 200);
	fs.rmSync(path.join(state, 'openclaw.json'));
});

test('the log holds no token', () => {
	ok(!gw.log.includes(gw.token));
	ok(!fs.readFileSync(path.join(state, 'logs/gateway.log'), 'utf8').includes(gw.token));
	const r = cli(['logs', '-n', '5']);
	equal(r.code, 0);
	ok(r.out.length > 0);
});

test('gateway stop finishes a running turn first', async () => {
	const turn = gw.rpc('session.message', { text: '/slow 20 50ms', session: 'slow' });
	await until('the turn to run', async () => (await gw.rpc('agent.status', {})).runs.some((r) => r.state === 'running'));
	const r = cli(['gateway', 'stop']);
	equal(r.code, 0, r.err);
	equal((await turn).status, 'ok');
	equal(await gw.exited, { code: 0, signal: null });
	equal(cli(['gateway', 'status']).code, 3);
});

test('openclaw agent works without a gateway, on the same sessions', async () => {
	const r = cli(['agent', '-m', '/echo alone', '-s', 'cli1', '--json']);
	equal(r.code, 0, r.err);
	const result = JSON.parse(r.out);
	equal(result.session, 'agent:main:cli1');
	match(result.text, /alone/);
	const again = await new Gateway().start();
	const h = await again.rpc('session.history', { session: 'cli1' });
	equal(h.messages.length, 4);
	await again.stop();
});

test('kill -9 loses nothing that was acknowledged', async () => {
	const victim = await new Gateway().start();
	await victim.rpc('session.message', { text: '/echo kept', session: 'crash' });
	const open = await victim.rpc('session.message', { text: '/slow 200 50ms', session: 'crash2', wait: false });
	await until('it runs', async () => (await victim.rpc('agent.status', {})).runs.some((r) => r.state === 'running'));
	await victim.kill();
	const heir = await new Gateway().start();
	const h = await heir.rpc('session.history', { session: 'crash' });
	equal(h.messages.map((m) => m.role), ['user', 'assistant']);
	const h2 = await heir.rpc('session.history', { session: 'crash2' });
	equal(h2.messages[0].role, 'user');
	const events = await heir.rpc('session.events', { session: 'crash2', limit: 1000 });
	equal(events.events.map((e) => e.seq), events.events.map((_, i) => i + 1));
	ok(open.runId);
	await heir.stop();
});

await done();
