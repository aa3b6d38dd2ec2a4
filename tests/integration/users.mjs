// Users, roles and sessions, and gateway.auth.mode: who is let in by what, and who is not.
import fs from 'node:fs';
import http from 'node:http';
import path from 'node:path';
import { Gateway, cli, done, equal, match, ok, openSocket, spawnCli, state, test, unixRequest, until, writeConfig } from './lib.mjs';
import { Claw, Device, connected, everything } from './claw.mjs';

const passwords = { anna: 'a long sentence for anna', otto: 'another one for otto', vera: 'vera only looks on' };
const add = (name, role, password = passwords[name]) => cli(['admin', 'user', 'add', name, '--role', role], { input: `${password}\n` });
const ui = { id: 'openclaw-control-ui', version: '1', platform: 'web', mode: 'webchat' };

writeConfig({});
equal(add('anna', 'admin').code, 0); // while no gateway runs: into the store
const gw = await new Gateway().start();
const own = { origin: `http://127.0.0.1:${gw.port}` };

// One request: {status, headers, json, text}; nothing is sent along that is not said.
function ask(target, { method = 'GET', headers = {}, body } = {}) {
	return new Promise((resolve, reject) => {
		const req = http.request({ port: gw.port, host: '127.0.0.1', path: target, method, headers }, (res) => {
			let text = '';
			res.on('data', (d) => (text += d));
			res.on('end', () => resolve({ status: res.statusCode, headers: res.headers, text, json: /json/.test(res.headers['content-type'] ?? '') ? JSON.parse(text) : null }));
		});
		req.on('error', reject);
		req.end(body);
	});
}

const json = (body, headers = {}) => ({ method: 'POST', headers: { 'content-type': 'application/json', ...headers }, body: JSON.stringify(body) });
const login = (user, password = passwords[user], more = {}, headers = {}) => ask('/auth/login', json({ user, password, ...more }, headers));
const cookieOf = (answer) => answer.headers['set-cookie'][0].split(';')[0];
const call = (method, params, headers) => ask('/rpc', json({ jsonrpc: '2.0', id: 1, method, params }, headers));
const bearer = async (user) => ({ authorization: `Bearer ${(await login(user, passwords[user], { cookie: false })).json.token}` });

// On the Unix socket, which every mode leaves open to the owner.
async function setConfig(config) {
	writeConfig(config);
	const r = await unixRequest('/rpc', json({ jsonrpc: '2.0', id: 1, method: 'system.reload', params: {} }));
	const answer = JSON.parse(r.text);
	if (answer.error)
		throw new Error(answer.error.message);
}

test('users are added with a role; the password comes from stdin and is nowhere to be read', async () => {
	equal(add('otto', 'operator').out, 'otto may log in now.\n'); // through the gateway
	equal(add('vera', 'viewer').code, 0);
	match(add('OTTO', 'viewer').err, /there is a user OTTO already/);
	match(add('eve', 'king').err, /--role: one of admin, operator, viewer/);
	match(add('e v e', 'viewer').err, /a user's name has/);
	match(add('eve', 'viewer', 'short').err, /at least 8 characters/);
	match(cli(['admin', 'user', 'add', 'eve', '--role', 'viewer', 'secret']).err, /argument|usage/i);
	equal(JSON.parse(cli(['admin', 'user', 'list', '--json']).out).map((u) => [u.name, u.role, u.disabled, u.sessions]),
		[['anna', 'admin', false, 0], ['otto', 'operator', false, 0], ['vera', 'viewer', false, 0]]);
	for (const name of ['openclaw.db', 'openclaw.db-wal']) {
		const bytes = fs.readFileSync(path.join(state, name)).toString('latin1');
		for (const word of Object.values(passwords))
			ok(!bytes.includes(word));
		ok(name !== 'openclaw.db-wal' || /\$argon2id\$v=19\$m=65536,t=3,p=1\$/.test(bytes) || fs.readFileSync(path.join(state, 'openclaw.db')).includes('$argon2id$'));
	}
});

test('the cookie of a login opens what the role may, for pages of this origin only', async () => {
	const r = await login('otto');
	equal([r.status, r.json.user, r.json.role, r.json.scopes, r.json.token], [200, 'otto', 'operator', ['read', 'write', 'approvals', 'pairing'], undefined]);
	match(r.headers['set-cookie'][0], new RegExp(`^openclaw_${gw.port}=ocs_[a-z2-7]{52}; Path=/; Max-Age=60[0-9]{4}; HttpOnly; SameSite=Strict$`));
	const cookie = cookieOf(r);
	ok(!fs.readFileSync(path.join(state, 'openclaw.db-wal')).includes(cookie.split('=')[1]));
	equal((await call('auth.me', {}, { cookie, ...own })).json.result.user, 'otto');
	equal((await call('auth.me', {}, { cookie, 'x-openclaw-csrf': '1' })).json.result.role, 'operator');
	equal((await call('auth.me', {}, { cookie })).status, 401); // a form of another site could send as much
	equal((await call('auth.me', {}, { cookie, origin: 'https://evil.example' })).status, 401);
	equal((await call('auth.me', {}, { cookie, origin: 'null' })).status, 401);
	match((await call('users.list', {}, { cookie, ...own })).json.error.message, /needs a scope/);
	equal((await ask('/metrics', { headers: { cookie } })).status, 200);
	match((await ask('/auth/login', { headers: { cookie } })).text, /logged in as otto/);
});

test('a viewer reads and nothing else, whatever the way in', async () => {
	const vera = await bearer('vera');
	equal((await call('session.list', {}, vera)).json.result.sessions, []);
	equal((await ask('/v1/models', { headers: vera })).status, 200);
	for (const target of ['/v1/chat/completions', '/v1/responses', '/tools/invoke']) {
		const r = await ask(target, json({}, vera));
		equal([r.status, r.json.error.code, r.json.error.message], [403, 'forbidden', 'missing scope: operator.write']);
	}
	for (const method of ['session.message', 'config.set', 'users.list', 'system.shutdown', 'device.pair.list'])
		match((await call(method, {}, vera)).json.error.message, /needs a scope/);
	equal((await call('auth.sessions', {}, vera)).json.result.sessions.map((s) => s.user), ['vera']);
	match((await call('auth.sessions', { user: 'anna' }, vera)).json.error.message, /missing scope: operator.admin/);
});

test('the dashboard comes in with a cookie or a session as its token, and hears which scopes it did not get', async () => {
	const cookie = cookieOf(await login('otto')), wanted = ['operator.admin', 'operator.approvals', 'operator.pairing'];
	const c = await Claw.open(gw.port, { headers: { cookie, ...own } });
	const hello = await c.connect({ client: ui, token: undefined, scopes: wanted });
	equal(hello.ok, true);
	equal([hello.payload.auth.user, hello.payload.auth.scopes, hello.payload.auth.deniedScopes],
		['otto', ['operator.read', 'operator.write', 'operator.approvals', 'operator.pairing'], ['operator.admin']]);
	match((await c.call('config.patch', { raw: '{}' })).error.message, /missing scope: operator.admin/);
	c.close();
	const foreign = await Claw.open(gw.port, { headers: { cookie, origin: 'https://evil.example' } });
	equal((await foreign.connect({ client: ui, token: undefined, device: new Device() })).error.details.code, 'CONTROL_UI_ORIGIN_NOT_ALLOWED');
	const token = (await login('anna', passwords.anna, { cookie: false })).json.token, device = new Device();
	const admin = await connected(gw, { token, device, client: { ...ui, mode: 'ui' }, headers: own });
	equal([admin.hello.auth.user, admin.hello.auth.scopes, admin.hello.auth.deviceToken], ['anna', everything, undefined]);
	equal((await admin.rpc('device.pair.list', {})).paired.some((d) => d.deviceId === device.id), false); // it would outlive the login
	admin.close();
	const session = (await login('vera', passwords.vera, { cookie: false })).json.token;
	const vera = await connected(gw, { token: session, scopes: ['operator.write', 'operator.pairing'] }); // to write is to read too
	equal([vera.hello.auth.scopes, vera.hello.auth.deniedScopes], [['operator.read'], ['operator.write', 'operator.pairing']]);
	vera.close();
	const none = await Claw.open(gw.port);
	equal((await none.connect({ token: session, scopes: ['operator.pairing'] })).error.details.code, 'SCOPE_DENIED');
});

test('a connection logs in by auth.login with name and password', async () => {
	const got = [];
	const ws = await openSocket(gw.port, (m) => got.push(m));
	ws.send(JSON.stringify({ jsonrpc: '2.0', id: 1, method: 'auth.login', params: { user: 'vera', password: 'wrong wrong wrong' } }));
	match((await until('the refusal', () => got.find((m) => m.id === 1))).error.message, /wrong name or password/);
	ws.send(JSON.stringify({ jsonrpc: '2.0', id: 2, method: 'auth.login', params: { user: 'vera', password: passwords.vera } }));
	const { result } = await until('the login', () => got.find((m) => m.id === 2));
	equal([result.user, result.role, result.scopes], ['vera', 'viewer', ['read']]);
	equal((await call('auth.me', {}, { authorization: `Bearer ${result.token}` })).json.result.session, result.session);
	const before = (await call('auth.me', {}, { authorization: `Bearer ${result.token}` })).json.result.expiresAt;
	ok((await call('auth.refresh', {}, { authorization: `Bearer ${result.token}` })).json.result.expiresAt >= before);
	ws.close();
});

test('logout, revocation and every change of a user end his sessions, open connections too', async () => {
	const cookie = cookieOf(await login('otto'));
	const out = await ask('/auth/logout', { method: 'POST', headers: { cookie, ...own } });
	equal([out.status, /Max-Age=0/.test(out.headers['set-cookie'][0])], [200, true]);
	await until('the session to be over', async () => (await call('auth.me', {}, { cookie, ...own })).status === 401);
	const logged = async () => {
		const token = (await login('otto', passwords.otto, { cookie: false })).json.token;
		return { token, c: await connected(gw, { token, scopes: ['operator.read'] }) };
	};
	const over = async ({ token, c }, reason) => {
		const end = await c.end();
		equal(end.code, 1008);
		match(end.reason, reason);
		equal((await call('auth.me', {}, { authorization: `Bearer ${token}` })).status, 401);
	};
	const first = await logged(), list = JSON.parse(cli(['admin', 'sessions', 'otto', '--json']).out);
	const mine = list.reduce((a, b) => (a.id > b.id ? a : b));
	equal([mine.user, mine.role, mine.address], ['otto', 'operator', '127.0.0.1']);
	for (const name of [[`00${mine.id}`], ['--user', String(mine.id)]]) // names, which nobody has
		equal(cli(['admin', 'logout', ...name]).code, 1);
	ok(JSON.parse(cli(['admin', 'sessions', '--json']).out).some((one) => one.id === mine.id));
	match(cli(['admin', 'logout', String(mine.id)]).out, /is logged out/);
	await over(first, /ended/);
	const second = await logged();
	match(cli(['admin', 'user', 'role', 'otto', 'viewer']).out, /another role/);
	await over(second, /changed/);
	equal((await login('otto')).json.role, 'viewer');
	equal(cli(['admin', 'user', 'disable', 'otto']).code, 0);
	equal((await login('otto')).status, 401);
	equal(cli(['admin', 'user', 'enable', 'otto']).code, 0);
	const third = await logged();
	passwords.otto = 'a fresh sentence for otto';
	equal(cli(['admin', 'user', 'passwd', 'otto'], { input: `${passwords.otto}\n` }).code, 0);
	await over(third, /changed/);
	equal((await login('otto', 'another one for otto')).status, 401);
	equal((await login('otto')).status, 200);
	match(cli(['admin', 'user', 'remove', 'otto']).err, /--yes/);
	equal(cli(['admin', 'user', 'remove', 'otto', '--yes']).code, 0);
	equal((await login('otto')).status, 401);
	match(cli(['admin', 'user', 'passwd', 'otto'], { input: `${passwords.otto}\n` }).err, /there is no user otto/);
});

test('a login that ends before the first request of its WebSocket, or while it is being made, lets nobody in', async () => {
	const cookie = cookieOf(await login('vera'));
	const early = await Claw.open(gw.port, { headers: { cookie, ...own } });
	equal(cli(['admin', 'logout', 'vera']).code, 0);
	match((await early.end()).reason, /ended/);
	equal((await call('auth.refresh', {}, { cookie, ...own })).status, 401);
	const owner = (method, params) => call(method, params, { authorization: `Bearer ${gw.token}` });
	await owner('users.create', { name: 'tom', role: 'admin', password: 'tom will lose his role' });
	const got = [], ws = await openSocket(gw.port, (m) => got.push(m));
	ws.send(JSON.stringify({ jsonrpc: '2.0', id: 1, method: 'auth.login', params: { user: 'tom', password: 'tom will lose his role' } }));
	ws.send(JSON.stringify({ jsonrpc: '2.0', id: 2, method: 'auth.me', params: {} }));
	await until('the password to be looked at', () => got.find((m) => m.id === 2));
	equal((await owner('users.update', { name: 'tom', role: 'viewer' })).json.result.ok, true);
	const { result } = await until('the login', () => got.find((m) => m.id === 1));
	ok(result === undefined || (await call('auth.me', {}, { authorization: `Bearer ${result.token}` })).status === 401);
	ws.close();
});

test('each login and each refusal is a line of the log, without the password', async () => {
	match(gw.log, /login \d+: vera \(viewer\) from 127\.0\.0\.1/);
	match(gw.log, /login refused: vera from 127\.0\.0\.1: wrong name or password/);
	match(gw.log, /user otto removed by the gateway's owner/);
	for (const word of [...Object.values(passwords), 'wrong wrong wrong', 'ocs_'])
		ok(!gw.log.includes(word));
});

test('the form of a browser logs in and leads to the dashboard; another site cannot send it', async () => {
	const page = await ask('/auth/login');
	match(page.text, /<input name="password" type="password"/);
	match(page.headers['content-security-policy'], /frame-ancestors 'none'/);
	const form = (headers, body) => ask('/auth/login', { method: 'POST', headers: { 'content-type': 'application/x-www-form-urlencoded', ...headers }, body });
	const right = 'user=vera&password=vera+only%20looks%20on';
	const r = await form(own, right);
	equal([r.status, r.headers.location, /HttpOnly/.test(r.headers['set-cookie'][0])], [303, '/', true]);
	equal((await form({ origin: 'https://evil.example' }, right)).status, 400);
	const wrong = await form(own, 'user=vera&password=%3Cscript%3E');
	equal(wrong.status, 401);
	match(wrong.text, /role="alert">wrong name or password/);
	const proxied = await form({ 'x-forwarded-proto': 'https', ...own }, right);
	ok(!/Secure/.test(proxied.headers['set-cookie'][0])); // nobody vouches for that header
});

test('wrong passwords lock an address out, this machine too; the gateway\'s own token goes on', async () => {
	await setConfig({ gateway: { auth: { rateLimit: { maxAttempts: 3, lockoutMs: 600000 } } } });
	const names = ['anna', 'nobody', '<script>', 'anna'];
	let last;
	for (let i = 0; i < 12 && (last = await login(names[i % 4], 'not the password')).status !== 429; i++)
		equal(last.status, 401);
	equal(last.status, 429);
	ok(Number(last.headers['retry-after']) > 500);
	equal((await login('anna')).status, 429); // though it is right
	equal((await call('auth.me', {}, { authorization: `Bearer ${gw.token}` })).status, 200);
});

test('gateway.auth.mode password: the password and nothing else', async () => {
	await setConfig({ gateway: { auth: { mode: 'password', password: 'the one password' } } });
	equal((await call('auth.me', {}, { authorization: 'Bearer the one password' })).status, 200);
	equal((await call('auth.me', {}, { authorization: `Bearer ${gw.token}` })).status, 401);
	const c = await Claw.open(gw.port);
	const refused = await c.connect({ token: gw.token });
	equal([refused.error.details.code, refused.error.details.authReason], ['AUTH_PASSWORD_MISMATCH', 'password_mismatch']);
	const right = await Claw.open(gw.port);
	equal((await right.connect({ token: undefined, auth: { password: 'the one password' } })).ok, true);
	right.close();
	let failure = null;
	await setConfig({ gateway: { auth: { mode: 'password' } } }).catch((error) => (failure = error));
	await until('the log to say so', () => /gateway\.auth\.mode is "password", and there is no password/.test(gw.log));
	equal((await call('auth.me', {}, { authorization: 'Bearer the one password' })).status, 200); // what was stays
});

test('gateway.auth.mode none: everybody on this machine, and no page of another site', async () => {
	const was = await Claw.open(gw.port);
	equal((await was.connect({ token: undefined, auth: { password: 'the one password' } })).ok, true);
	await setConfig({ gateway: { auth: { mode: 'none' } } });
	equal((await was.end()).code, 1008); // who came in by what counts no more has to come again
	equal((await call('auth.me', {})).json.result.scopes.length, 5);
	equal((await call('auth.me', {}, own)).status, 200);
	equal((await call('auth.me', {}, { origin: 'https://evil.example' })).status, 401);
	const rebound = await call('auth.me', {}, { host: `evil.example:${gw.port}`, origin: `http://evil.example:${gw.port}` });
	equal(rebound.status, 401);
	match(rebound.json.error.message, /answers only to localhost/);
	await setConfig({ gateway: { trustedProxies: ['127.0.0.1'], auth: { mode: 'none' } } }); // such a page can write what a proxy would
	equal((await ask('/metrics', { headers: { host: `evil.example:${gw.port}`, 'x-forwarded-host': 'localhost' } })).status, 401);
	equal((await ask('/metrics', { headers: { 'x-forwarded-host': 'localhost' } })).status, 200);
	const c = await Claw.open(gw.port);
	const hello = await c.connect({ token: undefined });
	equal([hello.ok, hello.payload.snapshot.authMode], [true, 'none']);
	c.close();
});

test('gateway.auth.mode trusted-proxy: the proxy says who it is', async () => {
	await setConfig({ gateway: { trustedProxies: ['127.0.0.0/8', '10.1.0.0/16'],
		auth: { mode: 'trusted-proxy', trustedProxy: { userHeader: 'X-Forwarded-User', requiredHeaders: ['x-forwarded-proto'], allowUsers: ['anna', 'vera', 'zoe@example.com'] } } } });
	const by = (user, more = {}) => ({ 'x-forwarded-user': user, 'x-forwarded-proto': 'https', 'x-forwarded-for': '203.0.113.9', ...more });
	equal((await call('auth.me', {}, by('zoe@example.com'))).json.result, { authenticated: true, scopes: ['read', 'write', 'admin', 'approvals', 'pairing'], user: 'zoe@example.com' });
	equal((await call('auth.me', {}, by('vera'))).json.result.scopes, ['read']); // a user of that name is known
	const why = async (headers) => (await call('auth.me', {}, headers)).json.error.message;
	match(await why(by('mallory')), /allowUsers/);
	match(await why(by('')), /names no user/);
	match(await why({ 'x-forwarded-user': 'anna' }), /requiredHeaders/);
	match(await why(by('anna', { origin: 'https://evil.example' })), /another site/);
	match(await why({ authorization: `Bearer ${gw.token}` }), /requiredHeaders/);
	const page = { ...by('zoe@example.com'), 'x-forwarded-host': 'claw.example.com', origin: 'https://claw.example.com' };
	const c = await Claw.open(gw.port, { headers: page });
	const hello = await c.connect({ client: ui, token: undefined });
	equal([hello.ok, hello.payload.auth.user, hello.payload.snapshot.authMode], [true, 'zoe@example.com', 'trusted-proxy']);
	equal(hello.payload.snapshot.presence.find((p) => p.user === 'zoe@example.com').ip, '203.0.113.9');
	c.close();
	const bare = await Claw.open(gw.port);
	const refused = await bare.connect({ token: gw.token });
	match(refused.error.message, /^unauthorized: the proxy left out/);
	match(await why(by(['anna', 'vera'])), /no user, or several/); // one from the client, one from a proxy that only adds
	const vera = await Claw.open(gw.port, { headers: by('vera') });
	equal((await vera.connect({ token: undefined, scopes: ['operator.read'] })).ok, true);
	equal(cli(['admin', 'user', 'disable', 'VERA']).code, 0);
	match((await vera.end()).reason, /changed/);
	const again = await Claw.open(gw.port, { headers: by('vera') });
	equal((await again.connect({ token: undefined, scopes: [] })).ok, false);
	equal(cli(['admin', 'user', 'enable', 'vera']).code, 0);
	// Where all of the proxy's users may come in, one that was removed is none of them.
	await setConfig({ gateway: { trustedProxies: ['127.0.0.0/8'], auth: { mode: 'trusted-proxy', trustedProxy: { userHeader: 'X-Forwarded-User' } } } });
	equal((await call('auth.me', {}, by('mallory'))).json.result.scopes.length, 5);
	equal(cli(['admin', 'user', 'remove', 'Vera', '--yes']).code, 0);
	match(await why(by('vera')), /the user was removed/);
	match(cli(['admin', 'user', 'enable', 'vera']).err, /there is no user vera/);
	ok(!JSON.parse(cli(['admin', 'user', 'list', '--json']).out).some((user) => user.name === 'vera'));
	equal(cli(['admin', 'user', 'add', 'vera', '--role', 'viewer'], { input: `${passwords.vera}\n` }).code, 0);
	equal((await call('auth.me', {}, by('vera'))).json.result.scopes, ['read']);
});

test('behind a trusted proxy the last address that is not a proxy counts, for locking out and for https', async () => {
	await setConfig({ gateway: { trustedProxies: ['127.0.0.1', '10.1.0.0/16'], allowRealIpFallback: true, auth: { rateLimit: { maxAttempts: 2 } } } });
	const via = (chain, more = {}) => ({ 'x-forwarded-for': chain, ...more });
	const guess = (headers) => call('auth.me', {}, { authorization: 'Bearer wrong', ...headers });
	const mine = (headers) => call('auth.me', {}, { authorization: `Bearer ${gw.token}`, ...headers });
	equal((await guess(via('198.51.100.7'))).status, 401);
	equal((await guess(via('1.2.3.4, 198.51.100.7:4711, 10.1.2.3'))).status, 429);
	equal((await mine(via('5.6.7.8, 198.51.100.7'))).status, 429);
	equal((await mine(via('198.51.100.8'))).status, 200);
	equal((await mine({ 'x-real-ip': '198.51.100.7' })).status, 429);
	equal((await mine()).status, 200);
	const r = await login('anna', passwords.anna, {}, via('198.51.100.9', { 'x-forwarded-proto': 'https' }));
	match(r.headers['set-cookie'][0], /; Secure$/);
	equal(JSON.parse(cli(['admin', 'sessions', 'anna', '--json']).out)[0].address, '198.51.100.9');
	// Before what is no address stands the client's own word: then it is the proxy's address, which was locked out above.
	equal((await login('anna', passwords.anna, {}, via('198.51.100.66, unix:'))).status, 429);
	const got = [], ws = await openSocket(gw.port, (m) => got.push(m), via('198.51.100.77'));
	for (let id = 0; id < 3; id++)
		ws.send(JSON.stringify({ jsonrpc: '2.0', id, method: 'auth.login', params: { password: 'guessed' } }));
	match((await until('the third guess', () => got.find((m) => m.id === 2))).error.message, /too many wrong tokens/);
	ws.close();
	const foreign = await Claw.open(gw.port, { path: '/ws', headers: { origin: 'https://evil.example' } }).catch((error) => error);
	equal(foreign.message, 'no upgrade: 401'); // nothing to guess with
	const page = await Claw.open(gw.port, { path: '/ws', headers: own });
	page.close();
});

test('many logins at once are bounded: some wait, the others hear so', async () => {
	const all = await Promise.all(Array.from({ length: 40 }, (_, i) => login('anna', passwords.anna, {}, { 'x-forwarded-for': `192.0.2.${i % 20}` })));
	const count = (status) => all.filter((r) => r.status === status).length;
	ok(count(200) >= 2 && count(503) >= 10 && count(200) + count(503) === 40, JSON.stringify(all.map((r) => r.status)));
	const rss = Number(/VmHWM:\s+(\d+)/.exec(fs.readFileSync(`/proc/${gw.pid}/status`))[1]);
	ok(rss < 800 * 1024, `${rss} KiB`); // sanitizers included; each check alone takes 64 MiB
	equal((await gw.stop()).code, 0);
});

test('what cannot be safe does not start', async () => {
	const cannot = async (config, pattern) => {
		writeConfig(config);
		const r = await spawnCli(['gateway', 'run', '--any-port']);
		equal(r.code, 1);
		match(r.out + r.err, pattern);
	};
	await cannot({ gateway: { bind: 'lan', auth: { mode: 'none' } } }, /refusing to listen on 0\.0\.0\.0 without authentication/);
	await cannot({ gateway: { auth: { mode: 'trusted-proxy' } } }, /which header names the user/);
	await cannot({ gateway: { auth: { mode: 'trusted-proxy', trustedProxy: { userHeader: 'x-user' } } } }, /there are no gateway\.trustedProxies/);
	writeConfig({ gateway: { bind: 'lan' } });
	const open = await new Gateway().start();
	await setConfig({ gateway: { bind: 'lan', auth: { mode: 'none' } } });
	match(open.log, /refusing to listen on 0\.0\.0\.0 without authentication/); // nor does it go on so
	equal((await fetch(`http://127.0.0.1:${open.port}/v1/models`)).status, 401);
	equal((await open.stop()).code, 0);
	await cannot({ gateway: { trustedProxies: ['10.0.0.1'], auth: { mode: 'trusted-proxy', trustedProxy: { userHeader: 'x-user' } } } }, /no proxy of gateway\.trustedProxies can reach 127\.0\.0\.1/);
});

await done();
