// OpenClaw's own protocol, versions 3 and 4: handshake, devices, frames, limits; and the recorded conversations again.
import crypto from 'node:crypto';
import fs from 'node:fs';
import path from 'node:path';
import { Gateway, cleanup, cli as run, done, equal, match, ok, state, test, until, writeConfig } from './lib.mjs';
import { Claw, Device, connected, everything } from './claw.mjs';
import { mockProvider } from './mock-provider.mjs';
import { Replay } from './replay.mjs';

const mock = await mockProvider();
cleanup(() => mock.close());
const config = mock.config({ gateway: { drainTimeoutMs: 500, auth: { rateLimit: { maxAttempts: 3, exemptLoopback: true } }, http: { endpoints: { chatCompletions: { enabled: true }, responses: { enabled: true } } } },
	hooks: { enabled: true, token: 'hooks-secret', path: '/hooks' } });
config.agents.defaults.heartbeat = { every: '30m', target: 'none' };
config.models.providers.mock.models[0].cost = { input: 2, output: 10, cacheRead: 0, cacheWrite: 0 };
config.models.providers.mock.models.push({ id: 'mock-2', name: 'No price', contextWindow: 128000, maxTokens: 4096 });
writeConfig(config);
const gw = await new Gateway({ env: { OPENCLAW_HANDSHAKE_TIMEOUT_MS: '700' } }).start();
const cli = { id: 'cli', version: '1.0.0', platform: 'linux', mode: 'cli', displayName: 'a shell' };
const vectors = JSON.parse(fs.readFileSync(path.join(process.env.OC_TOP_SRCDIR, 'tests/captures/protocol/device-signature-vectors.json')));

test('the client signs what the original signs', () => {
	const device = new Device(Buffer.from(vectors.seedHex, 'hex'));
	equal(device.id, vectors.deviceId);
	for (const v of vectors.vectors) {
		const p = { client: vectors.client, role: vectors.role, scopes: vectors.scopes, auth: { token: vectors.token } };
		equal(device.payload(v.version, p, { signedAt: v.device.signedAt, nonce: v.device.nonce }), v.payload);
		equal(device.sign(p, { version: v.version, signedAt: v.device.signedAt, nonce: v.device.nonce }).signature, v.device.signature);
	}
});

test('hello-ok says what there is and what was granted, in either version', async () => {
	for (const [protocol, range] of [[3, [1, 3]], [3, [3, 3]], [4, [3, 4]], [4, [4, 99]]]) {
		const c = await connected(gw, { minProtocol: range[0], maxProtocol: range[1], path: range[0] === 1 ? '/__openclaw__/ws' : '/any/path' });
		equal(c.hello.protocol, protocol);
		equal(c.hello.auth, { role: 'operator', scopes: everything });
		const listed = (await c.rpc('system.methods')).methods.map((m) => m.name).filter((name) => name !== 'connect');
		equal(c.hello.features.methods, listed);
		c.close();
	}
});

test('a payload of each version lets a device in, version 1 without a nonce from this machine', async () => {
	for (const version of ['v1', 'v2', 'v3']) {
		const c = await connected(gw, { device: new Device(), version, client: { ...cli, platform: ' Linux ', deviceFamily: 'Server' } });
		ok(c.hello.auth.deviceToken.length >= 43);
		c.close();
	}
});

test('a device keeps its token, which lets it in alone; rotated and revoked it counts no more', async () => {
	const admin = await connected(gw), device = new Device();
	const first = await connected(gw, { device, client: cli });
	const token = first.hello.auth.deviceToken;
	match((await admin.event('device.pair.resolved', (p) => p.deviceId === device.id)).payload.decision, /approved/);
	for (const auth of [{ token }, { deviceToken: token }]) {
		const c = await connected(gw, { device, client: cli, auth });
		equal(c.hello.auth.deviceToken, token);
		c.close();
	}
	const stranger = await Claw.open(gw.port);
	equal((await stranger.connect({ device: new Device(), client: cli, auth: { token } })).error.details.code, 'AUTH_TOKEN_MISMATCH');
	const rotated = await admin.rpc('device.token.rotate', { deviceId: device.id, role: 'operator', scopes: ['operator.read'] });
	equal(rotated.scopes, ['operator.read']);
	ok(rotated.token !== token);
	equal(await first.end(), { code: 4001, reason: 'device removed' }); // what the old one let in
	const old = await Claw.open(gw.port);
	equal((await old.connect({ device, client: cli, auth: { deviceToken: token } })).ok, false);
	const small = await connected(gw, { device, client: cli, auth: { deviceToken: rotated.token }, scopes: ['operator.read'] });
	match((await small.call('session.message', { text: 'x' })).error.message, /missing scope: operator.write/);
	const greedy = await Claw.open(gw.port);
	const asked = await greedy.connect({ device, client: cli, auth: { deviceToken: rotated.token }, scopes: ['operator.admin'] });
	equal([asked.error.code, asked.error.details.code, asked.error.details.reason], ['NOT_PAIRED', 'PAIRING_REQUIRED', 'scope-upgrade']);
	const { payload } = await admin.event('device.pair.requested');
	equal(payload.requestId, asked.error.details.requestId);
	equal(payload.isRepair, true);
	equal((await admin.rpc('device.pair.list', {})).pending.map((p) => p.deviceId), [device.id]);
	await admin.rpc('device.pair.reject', { requestId: payload.requestId });
	equal((await admin.rpc('device.pair.list', {})).pending, []);
	await admin.rpc('device.token.revoke', { deviceId: device.id, role: 'operator' });
	equal(await small.end(), { code: 4001, reason: 'device removed' });
	const shown = (await admin.rpc('device.pair.list', {})).paired.find((d) => d.deviceId === device.id);
	ok(shown.tokens[0].revokedAtMs > 0 && shown.tokens[0].token === undefined);
	await admin.rpc('device.pair.remove', { deviceId: device.id });
	equal((await admin.call('device.pair.remove', { deviceId: device.id })).error.message, 'unknown deviceId');
	const file = path.join(state, 'devices/paired.json');
	equal(fs.statSync(file).mode & 0o777, 0o600);
	equal(JSON.parse(fs.readFileSync(file))[device.id], undefined);
	admin.close();
});

test('nobody lets in a device with more than he may himself', async () => {
	const device = new Device(), small = await connected(gw, { device, client: cli, scopes: ['operator.pairing'] });
	const other = new Device(), paired = await connected(gw, { device: other, client: cli, scopes: ['operator.read'] });
	const greedy = await Claw.open(gw.port);
	const asked = await greedy.connect({ device: other, client: cli, auth: { deviceToken: paired.hello.auth.deviceToken }, scopes: ['operator.admin'] });
	match((await small.call('device.pair.approve', { requestId: asked.error.details.requestId })).error.message, /missing scope: operator.admin/);
	match((await small.call('device.token.rotate', { deviceId: other.id, role: 'operator', scopes: ['operator.admin'] })).error.message, /missing scope: operator.admin/);
	const admin = await connected(gw);
	equal((await admin.rpc('device.pair.approve', { requestId: asked.error.details.requestId })).device.deviceId, other.id);
	// Without scopes the new token has the old one's, and the answer has the token.
	match((await small.call('device.token.rotate', { deviceId: other.id, role: 'operator' })).error.message, /missing scope: operator.admin/);
	for (const c of [small, paired, admin])
		c.close();
});

test('who comes through a proxy on this machine is not on this machine', async () => {
	const proxied = { headers: { 'x-forwarded-for': '203.0.113.7' } }, admin = await connected(gw), device = new Device();
	const bare = await Claw.open(gw.port, proxied);
	equal((await bare.connect({ token: gw.token })).error.details.code, 'DEVICE_IDENTITY_REQUIRED');
	const old = await Claw.open(gw.port, proxied);
	equal((await old.connect({ token: gw.token, device, version: 'v1' })).error.details.code, 'DEVICE_AUTH_NONCE_REQUIRED');
	const asks = await Claw.open(gw.port, proxied);
	const { requestId } = (await asks.connect({ token: gw.token, device, client: cli })).error.details;
	match(run(['devices', 'approve', requestId]).out, /a shell may connect/);
	equal((await admin.event('device.pair.resolved', (p) => p.requestId === requestId)).payload.decision, 'approved');
	const again = await connected(gw, { ...proxied, device, client: cli });
	ok(again.hello.auth.deviceToken);
	again.close();
	admin.close();
});

test('the configuration is changed as a whole or in part, comments and secrets stay', async () => {
	const c = await connected(gw), file = path.join(state, 'openclaw.json');
	fs.writeFileSync(file, `// kept\n${fs.readFileSync(file, 'utf8')}`);
	const got = await c.rpc('config.get', {});
	equal(got.parsed.models.providers.mock.apiKey, '__OPENCLAW_REDACTED__');
	match((await c.call('config.set', { raw: got.raw })).error.message, /base hash required/);
	match((await c.call('config.set', { raw: got.raw, baseHash: 'bad' })).error.message, /config changed/);
	match((await c.call('config.set', { raw: '{not json', baseHash: got.hash })).error.message, /configuration/);
	match((await c.call('config.set', { raw: '{gateway:{port:"abc"}}', baseHash: got.hash })).error.message, /gateway.port/);
	const changed = JSON.parse(got.raw);
	changed.messages = { ackReaction: 'x' };
	const set = await c.rpc('config.set', { raw: JSON.stringify(changed), baseHash: got.hash });
	match(fs.readFileSync(file, 'utf8'), /^\/\/ kept[^]*sk-mock[^]*ackReaction/);
	const patched = await c.rpc('config.patch', { raw: '{messages:{ackReaction:null}}', baseHash: set.hash });
	equal(patched.config.messages?.ackReaction, undefined);
	equal(patched.config.models.providers.mock.apiKey, '__OPENCLAW_REDACTED__');
	for (let i = 0; i < 2; i++)
		await c.call('config.patch', { raw: '{}', baseHash: 'bad' });
	const { error } = await c.call('config.patch', { raw: '{}', baseHash: 'bad' });
	equal([error.code, error.retryable, error.details.limit], ['UNAVAILABLE', true, '3 per 60s']);
	equal((await c.rpc('config.schema', {})).schema.type, 'object');
	equal((await c.rpc('skills.status', {})).skills, []);
	c.close();
});

test('openclaw devices shows and changes them, with a gateway', async () => {
	const device = new Device(), c = await connected(gw, { device, client: cli });
	const listed = JSON.parse(run(['devices', 'list', '--json']).out).paired.find((d) => d.deviceId === device.id);
	equal(listed.displayName, 'a shell');
	match(run(['devices', 'list']).out, new RegExp(`${device.id} +a shell +linux +operator`));
	match(run(['devices', 'rotate', device.id]).out, /Its new token/);
	equal(run(['devices', 'revoke', device.id]).code, 0);
	equal(await c.end(), { code: 4001, reason: 'device removed' });
	equal(run(['devices', 'remove', device.id]).code, 0);
	equal(run(['devices', 'remove', device.id]).code, 1);
	match(run(['devices', 'approve', 'no-such']).err, /unknown requestId/);
});

test('scopes: admin may everything, write may read, read may not write, a node only what nodes may', async () => {
	const write = await connected(gw, { scopes: ['operator.write'] });
	equal((await write.call('health')).ok, true);
	match((await write.call('system.reload')).error.message, /missing scope: operator.admin/);
	match((await write.call('no.such.method')).error.message, /missing scope: operator.admin/);
	const admin = await connected(gw, { scopes: ['operator.admin'] });
	equal((await admin.call('device.pair.list', {})).ok, true);
	const node = await connected(gw, { device: new Device(), role: 'node', scopes: [], client: { id: 'node-host', version: '1', platform: 'linux', mode: 'node', displayName: 'a node' } });
	equal([node.hello.snapshot.health.ok, (await node.rpc('health')).ok], [true, true]);
	match((await node.call('session.list')).error.message, /unauthorized role: node/);
	for (const c of [write, admin, node])
		c.close();
});

test('events are numbered without a gap, presence tells who comes and goes', async () => {
	const c = await connected(gw);
	const other = await connected(gw, { client: { ...cli, displayName: 'somebody else' } });
	await c.event('presence', (p) => p.presence.some((one) => one.host === 'somebody else'));
	other.close();
	await c.event('presence', (p) => !p.presence.some((one) => one.host === 'somebody else'));
	const numbers = c.events().map((e) => e.seq).filter((n) => n !== undefined);
	equal(numbers, numbers.map((_n, i) => i + 1));
	c.close();
});

test('limits: 64 KiB before connect, 25 MiB after, a silent client is told why', async () => {
	const pad = (n) => ({ userAgent: 'x'.repeat(n) });
	const c = await connected(gw, pad(60 * 1024));
	const big = await Claw.open(gw.port), silent = await Claw.open(gw.port);
	big.connect({ token: gw.token, ...pad(70 * 1024) }).catch(() => {});
	equal((await big.end()).code, 1009);
	equal((await c.call('health', { probe: 'x'.repeat(1 << 20) })).error.code, 'INVALID_REQUEST');
	c.sendText(JSON.stringify({ type: 'req', id: 'big', method: 'health', params: { pad: 'x'.repeat(26 << 20) } }));
	equal((await c.end()).code, 1009);
	equal(await silent.end(), { code: 1008, reason: 'handshake timeout' });
	const other = await Claw.open(gw.port);
	other.sendText('hello, not json');
	equal(await other.end(), { code: 1008, reason: 'invalid request frame' });
});

test('who reads slowly misses what may be missed, and nothing else; who does not read is closed, and told why', async () => {
	const MiB = 1 << 20;
	const waiting = async () => {
		const metrics = await (await gw.fetch('/metrics')).text();
		return { bytes: Number(/queue_depth\{queue="websocket_send_bytes"\} (\d+)/.exec(metrics)[1]),
			refused: Number(/queue_refused_total\{queue="websocket_send_bytes"\} (\d+)/.exec(metrics)[1]) };
	};
	// An answer has its request's id in it: as much is owed as was sent.
	const owe = (c, n) => {
		c.socket.pause();
		for (let i = 0; i < n; i++)
			c.send({ type: 'req', id: `${i}`.padEnd(MiB, 'x'), method: 'health' });
	};
	const c = await connected(gw), watcher = await connected(gw);
	const came = (one, host) => one.event('presence', (p) => p.presence.some((other) => other.host === host));
	owe(c, 40); // of 50 that may wait; the kernel has some of them
	await until('more than a quarter to wait', async () => (await waiting()).bytes > 13 * MiB);
	const missed = await connected(gw, { client: { ...cli, displayName: 'comes unseen' } });
	await came(watcher, 'comes unseen');
	missed.close();
	await until('it to be gone again', () => watcher.events('presence').at(-1).payload.presence.every((p) => p.host !== 'comes unseen'));
	c.socket.resume();
	await until('all answers', () => c.frames.filter((f) => f.type === 'res' && f.id.length === MiB).length === 40);
	const seen = await connected(gw, { client: { ...cli, displayName: 'comes again' } });
	await came(c, 'comes again');
	equal(c.events('presence').filter((e) => e.payload.presence.some((p) => p.host === 'comes unseen')), []);
	const numbers = c.events().map((e) => e.seq).filter((seq) => seq !== undefined);
	equal(numbers, numbers.map((_n, i) => i + 1));
	const { refused } = await waiting();
	c.frames.length = 0;
	owe(c, 75);
	await until('one to be refused', async () => (await waiting()).refused > refused);
	c.socket.resume();
	equal(await c.end(), { code: 1008, reason: 'slow consumer' });
	ok(c.frames.filter((f) => f.type === 'res').length >= 40, 'what was taken is sent before the close');
	for (const one of [watcher, seen])
		one.close();
});

test('both protocols know all methods', async () => {
	equal((await gw.rpc('device.pair.list', {})).pending, []);
	const c = await connected(gw);
	equal((await c.rpc('session.list')).sessions, []);
	equal((await gw.rpcRaw('connect', { minProtocol: 3, maxProtocol: 3, client: { id: 'cli', version: '1', platform: 'linux', mode: 'cli' } })).error.code, -32602);
	c.close();
});

test('a message is answered in deltas of the text so far; version 4 is told what is new', async () => {
	const c = await connected(gw, { caps: ['tool-events'] }), d = await connected(gw, { protocol: 4 });
	equal(await c.rpc('chat.send', { sessionKey: 'main', message: 'Say something.', idempotencyKey: 'say-1' }), { runId: 'say-1', status: 'started' });
	equal(await c.rpc('chat.send', { sessionKey: 'main', message: 'Say something.', idempotencyKey: 'say-1' }), { runId: 'say-1', status: 'in_flight' });
	const final = (await c.event('chat', (p) => p.state === 'final')).payload;
	await d.event('chat', (p) => p.state === 'final');
	equal(await c.rpc('chat.send', { sessionKey: 'main', message: 'Say something.', idempotencyKey: 'say-1' }), { runId: 'say-1', status: 'ok' });
	const texts = (claw) => claw.events('chat').map((e) => e.payload.message.content[0].text);
	ok(texts(c).length >= 3 && texts(c).every((text) => texts(c).at(-1).startsWith(text)));
	equal(d.events('chat').map((e) => e.payload.deltaText ?? '').join(''), texts(c).at(-1));
	ok(c.events('chat').every((e) => e.payload.deltaText === undefined));
	const history = await c.rpc('chat.history', { sessionKey: 'agent:main:main' });
	equal(history.messages.map((m) => [m.role, m.content[0].text.trim()]), [['user', 'Say something.'], ['assistant', final.message.content[0].text]]);
	c.close();
	d.close();
});

test('tools are told to those who want to hear of them; an abort comes before its answer and is kept once', async () => {
	const c = await connected(gw, { caps: ['tool-events'] }), d = await connected(gw);
	await c.rpc('chat.send', { sessionKey: 'tools', message: 'Use one. [[TOOL:read {"path":"AGENTS.md","limit":3}]]', idempotencyKey: 'tool-1' });
	await c.event('chat', (p) => p.state === 'final');
	equal(c.events('agent').map((e) => e.payload).filter((p) => p.stream === 'tool').map((p) => [p.data.phase, p.data.name]), [['start', 'read'], ['result', 'read']]);
	equal(d.events('agent').filter((e) => e.payload.stream === 'tool').length, 0);
	equal(c.events('agent').filter((e) => e.payload.stream === 'assistant').at(-1).payload.data.text, 'Tool returned: ok. Done.');
	equal((await c.rpc('chat.history', { sessionKey: 'tools' })).messages.map((m) => m.role), ['user', 'assistant', 'toolResult', 'assistant']);
	for (const [i, stop] of [(key) => c.call('chat.abort', { sessionKey: key }), (key) => c.call('chat.send', { sessionKey: key, message: '/stop', idempotencyKey: 'x' })].entries()) {
		const key = `slow${i}`, run = `slow-${i}`;
		await c.rpc('chat.send', { sessionKey: key, message: '[[SLOW]]', idempotencyKey: run });
		await c.event('chat', (p) => p.runId === run && p.state === 'delta');
		match((await c.call('chat.abort', { sessionKey: 'other', runId: run })).error.message, /does not match/);
		equal((await stop(key)).payload, { ok: true, aborted: true, runIds: [run] });
		const at = (pick) => c.frames.findIndex(pick);
		ok(at((f) => f.payload?.runId === run && f.payload.state === 'aborted') < at((f) => f.payload?.runIds?.[0] === run));
		equal((await c.rpc('agent.wait', { runId: run, timeoutMs: 5000 })).runId, run);
		equal((await c.rpc('chat.history', { sessionKey: key })).messages.map((m) => m.role), ['user', 'assistant']);
		equal(c.events('chat').filter((e) => e.payload.runId === run && e.payload.state !== 'delta').length, 1);
	}
	c.close();
	d.close();
});

test('what comes while a run is under way does what the queue of the session says', async () => {
	const c = await connected(gw), say = (message, run) => c.rpc('chat.send', { sessionKey: 'impatient', message, idempotencyKey: run });
	const ended = (run) => c.event('chat', (p) => p.runId === run && p.state !== 'delta');
	await say('/queue interrupt', 'queue-1');
	await ended('queue-1');
	await say('[[SLOW]]', 'old');
	await c.event('chat', (p) => p.runId === 'old' && p.state === 'delta');
	await say('No, this. [[SHORT]]', 'new');
	equal([(await ended('old')).payload.state, (await ended('new')).payload.state], ['aborted', 'final']);
	await say('/queue steer', 'queue-2');
	await ended('queue-2');
	await say('Use one. [[TOOL:exec {"command":"until [ -e go ]; do sleep 0.1; done"}]]', 'steered');
	await c.event('chat', (p) => p.runId === 'steered' && p.state === 'delta');
	await say('And mind this.', 'more');
	fs.writeFileSync(path.join(state, 'workspace/go'), '');
	equal([(await ended('more')).payload.message, (await ended('steered')).payload.state], [undefined, 'final']);
	const said = (await c.rpc('chat.history', { sessionKey: 'impatient' })).messages;
	equal(said.slice(-5).map((m) => m.role), ['user', 'assistant', 'toolResult', 'user', 'assistant']);
	c.close();
});

test('agent answers twice, a failure is one, and agent.wait tells how it stands', async () => {
	const c = await connected(gw);
	c.send({ type: 'req', id: 'two', method: 'agent', params: { message: 'hi', sessionKey: 'agent:main:two', idempotencyKey: 'two-1' } });
	equal((await c.answer('two', 1)).payload.status, 'accepted');
	equal(await c.rpc('agent.wait', { runId: 'two-1', timeoutMs: 1 }), { runId: 'two-1', status: 'timeout' });
	const over = await c.answer('two', 2);
	equal([over.payload.runId, over.payload.status, over.payload.summary], ['two-1', 'ok', 'completed']);
	match(over.payload.result.payloads[0].text, /^The quick/);
	equal((await c.rpc('agent.wait', { runId: 'two-1' })).status, 'ok');
	equal((await c.rpc('agent', { message: 'hi', sessionKey: 'agent:main:two', idempotencyKey: 'two-1' })).summary, 'completed');
	c.send({ type: 'req', id: 'bad', method: 'agent', params: { message: '[[ERR401]]', idempotencyKey: 'bad-1' } });
	equal([(await c.answer('bad', 1)).ok, (await c.answer('bad', 2)).ok], [true, false]);
	equal((await c.answer('bad', 2)).error.code, 'UNAVAILABLE');
	// Over JSON-RPC there is one answer.
	equal((await gw.rpc('agent', { message: 'hi [[SHORT]]', sessionKey: 'two', idempotencyKey: 'two-2' })).result.payloads[0].text, 'Short reply.');
	c.close();
});

test('a run may be waited for before it begins; what cannot be delivered or is for somebody else does not begin', async () => {
	const c = await connected(gw), key = 'agent:main:early', refused = async (more) => (await c.call('agent', { message: 'x', idempotencyKey: 'early-x', ...more })).error.message;
	c.send({ type: 'req', id: 'early', method: 'agent.wait', params: { runId: 'early-1', timeoutMs: 20000 } });
	equal(await c.rpc('agent.wait', { runId: 'nobody', timeoutMs: 1 }), { runId: 'nobody', status: 'timeout' });
	await c.rpc('agent', { message: 'hi [[SHORT]]', sessionKey: key, label: 'Early', idempotencyKey: 'early-1' });
	equal((await c.answer('early')).payload.status, 'ok');
	equal((await c.rpc('sessions.list', { label: 'Early' })).sessions.map((s) => s.key), [key]);
	match(await refused({ agentId: 'main', sessionKey: 'agent:other:x' }), /agent "main" does not match session key agent "other"/);
	match(await refused({ channel: 'nope' }), /unknown channel: nope/);
	match(await refused({ sessionKey: key, deliver: true }), /nobody wrote to agent:main:early over a channel/);
	match((await c.call('send', { to: 'x', message: 'hi', idempotencyKey: 's-2' })).error.message, /no configured channels/);
	equal((await c.call('send', { to: 'x', message: 'hi', channel: 'telegram', idempotencyKey: 's-3' })).error.message, 'unsupported channel: telegram');
	match((await c.call('cron.add', { name: 'x', agentId: 'nobody', schedule: { kind: 'every', everyMs: 60000 }, payload: { kind: 'systemEvent', text: 'x' } })).error.message, /no agent nobody/);
	equal([(await c.rpc('health')).agents[0].heartbeat.everyMs, (await c.rpc('status')).heartbeat.agents[0].every], [1800000, '30m']);
	match((await c.call('sessions.resolve', { key, label: 'Early' })).error.message, /not multiple/);
	match((await c.call('sessions.patch', { key, label: 'x'.repeat(65) })).error.message, /at \/label/);
	equal(await c.rpc('sessions.usage.logs', { key: 'agent:main:nobody' }), { logs: [] });
	match((await c.call('exec.approval.request', { command: 'ls', host: 'node', nodeId: 'n' })).error.message, /systemRunPlan is required/);
	equal((await c.call('config.set', { raw: '{gateway:{port:"abc"}}', baseHash: (await c.rpc('config.get')).hash })).error.details.issues[0].path, 'gateway.port');
	// Somebody who does not look at what he is told.
	for (let i = 0; i < 11; i++)
		c.send({ type: 'req', id: `stray${i}`, method: 'node.event', params: { event: 'x' } });
	equal(await c.end(), { code: 1008, reason: 'repeated unauthorized calls' });
});

test('a parameter that nobody knows does nothing and is warned of once; a wrong one is refused with its place', async () => {
	const c = await connected(gw);
	for (let i = 0; i < 2; i++)
		ok((await c.rpc('sessions.list', { limit: 5, fromTheFuture: true })).sessions);
	ok((await gw.rpc('session.list', { limit: 5, fromTheFuture: { a: 1 } })).sessions);
	const told = () => fs.readFileSync(path.join(state, 'logs/gateway.log'), 'utf8').match(/sessions?.list: the parameter \w+/g);
	equal(await until('the warnings', () => told()?.length === 2 && told()), ['sessions.list: the parameter fromTheFuture', 'session.list: the parameter fromTheFuture']);
	match((await c.call('sessions.list', { limit: 'x' })).error.message, /^invalid sessions.list params: at \/limit: /);
	match((await c.call('sessions.patch', { key: 'main', label: 7, more: 1 })).error.message, /at \/label: .*; at root: unexpected property 'more'/);
	match((await gw.rpcRaw('session.list', { limit: 'x', more: 1 })).error.message, /^session.list: params: limit /);
	c.close();
});

test('what the original has and we have not says why, to who may ask', async () => {
	const c = await connected(gw), small = await connected(gw, { scopes: ['operator.read'] }), { methods, unavailable } = await c.rpc('system.methods');
	for (const { name, scope, reason } of unavailable) {
		const { error } = await c.call(name, {});
		if (scope === 'node')
			equal(error.message, 'unauthorized role: operator');
		else
			equal([error.code, error.message], ['UNAVAILABLE', `${name} is not available: ${reason}`]);
		ok(!c.hello.features.methods.includes(name) && !methods.some((m) => m.name === name), name);
	}
	equal((await small.call('update.run')).error.message, 'missing scope: operator.admin');
	match((await small.call('tts.status')).error.message, /not available/);
	equal((await gw.rpcRaw('wizard.start', {})).error.code, -32006);
	// With ours, every method that the original says it has.
	const theirs = fs.readFileSync(path.join(process.env.OC_TOP_SRCDIR, 'tests/captures/protocol/2026.3.13/handshake-01-good-token-no-device.jsonl'), 'utf8').split('\n').filter(Boolean)
		.map((line) => JSON.parse(line).frame?.payload?.features?.methods).find(Boolean);
	equal(theirs.filter((name) => ![...methods, ...unavailable].some((m) => m.name === name)), []);
	equal(JSON.parse(run(['gateway', 'methods', '--json']).out), { methods: methods.filter((m) => !m.plugin), unavailable });
	match(run(['gateway', 'methods']).out, /chat.abort \(write\)\n +ends a run of a session, or all of them\n +parameters: sessionKey\* runId/);
	for (const one of [c, small])
		one.close();
});

test('usage: tokens and money by answer, session, model, tool and day', async () => {
	const c = await connected(gw), today = new Date().toISOString().slice(0, 10), key = 'agent:main:spent';
	const turn = async (message, more) => gw.rpc('session.message', { session: key, text: message, ...more });
	await turn('[[TOOL:read {"path":"AGENTS.md","limit":3}]]');
	await turn('[[SHORT]]', { model: 'mock/mock-2' });
	const each = (100 * 2 + 16 * 10) / 1e6, near = (a, b) => ok(Math.abs(a - b) < 1e-12, `${a} is not ${b}`);
	const { messages } = await c.rpc('sessions.get', { key });
	equal(messages.map((m) => [m.role, m.stopReason, m.usage?.totalTokens]), [['user', undefined, undefined], ['assistant', 'toolUse', 116], ['toolResult', undefined, undefined],
		['assistant', 'stop', 116], ['user', undefined, undefined], ['assistant', 'stop', 116]]);
	const { cost } = messages[1].usage;
	near(cost.total, each);
	near(cost.input, 200 / 1e6);
	near(cost.output, 160 / 1e6);
	const report = await c.rpc('sessions.usage', { key }), [{ usage }] = report.sessions;
	equal([usage.input, usage.output, usage.totalTokens, usage.missingCostEntries], [300, 48, 348, 1]);
	near(usage.totalCost, 2 * each);
	near(usage.inputCost + usage.outputCost, 2 * each);
	equal(usage.messageCounts, { total: 5, user: 2, assistant: 3, toolCalls: 1, toolResults: 1, errors: 0 });
	equal(usage.toolUsage, { totalCalls: 1, uniqueTools: 1, tools: [{ name: 'read', count: 1 }] });
	equal(usage.modelUsage.map((m) => [m.provider, m.model, m.count]), [['mock', 'mock-1', 2], ['mock', 'mock-2', 1]]);
	equal([usage.latency.count, usage.dailyLatency.length, usage.activityDates], [3, 1, [today]]);
	ok(usage.latency.minMs <= usage.latency.avgMs && usage.latency.avgMs <= usage.latency.p95Ms && usage.latency.p95Ms <= usage.latency.maxMs);
	equal([report.totals.totalTokens, report.aggregates.byAgent[0].agentId, report.aggregates.daily[0].messages], [348, 'main', 5]);
	// All sessions: as much as the sessions together; another day: nothing.
	const all = await c.rpc('sessions.usage', { startDate: today, endDate: today, mode: 'utc', limit: 1000 });
	equal(all.totals.totalTokens, all.sessions.reduce((sum, s) => sum + s.usage.totalTokens, 0));
	ok(all.sessions.length > 1 && all.aggregates.messages.total > 5);
	equal((await c.rpc('sessions.usage', { startDate: '2020-01-01', endDate: '2020-01-02' })).sessions, []);
	// The same moment is another day far enough east.
	const shifted = await c.rpc('sessions.usage', { key, mode: 'specific', utcOffset: 'UTC+14' });
	equal(shifted.sessions[0].usage.activityDates, [new Date(Date.now() + 14 * 3600e3).toISOString().slice(0, 10)]);
	equal((await c.rpc('sessions.usage', { key: 'agent:main:nobody' })).sessions, []);
	const { points } = await c.rpc('sessions.usage.timeseries', { key });
	equal(points.map((p) => p.cumulativeTokens), [116, 232, 348]);
	near(points.at(-1).cumulativeCost, 2 * each);
	const { logs } = await c.rpc('sessions.usage.logs', { key, limit: 2 });
	equal(logs.map((l) => [l.role, l.tokens]), [['user', undefined], ['assistant', 116]]);
	const spent = await c.rpc('usage.cost', { days: 3 });
	equal([spent.days, spent.daily.map((d) => d.date)], [3, [today]]);
	for (const hours of [14, -12]) { // days of the clock of whoever asks; it may just have become midnight there
		const dates = (await c.rpc('usage.cost', { days: 3, mode: 'specific', utcOffset: `UTC${hours > 0 ? '+' : ''}${hours}` })).daily.map((d) => d.date);
		const there = (ago) => new Date(Date.now() - ago + hours * 3600e3).toISOString().slice(0, 10);
		ok(dates.length > 0 && dates.every((date) => [there(0), there(1200e3)].includes(date)), dates.join());
	}
	ok(spent.totals.totalTokens >= 348 && spent.totals.missingCostEntries >= 1 && spent.totals.totalCost >= 2 * each);
	equal((await c.rpc('usage.status')).providers, []);
	c.close();
});

test('messages are put into a history, and a history is summed up, but not while a turn runs', async () => {
	const c = await connected(gw), key = 'agent:main:noted';
	for (let i = 0; i < 6; i++)
		await gw.rpc('session.message', { session: key, text: `Say something, ${i}. ${'word '.repeat(400)}` });
	const { messageId } = await c.rpc('chat.inject', { sessionKey: key, message: 'by hand', label: 'note' });
	const told = (await c.event('chat', (p) => p.runId === `inject-${messageId}`)).payload;
	equal([told.state, told.sessionKey, told.message.content[0].text], ['final', key, '[note]\n\nby hand']);
	equal((await c.rpc('chat.history', { sessionKey: key })).messages.at(-1).model, 'gateway-injected');
	equal((await c.call('chat.inject', { sessionKey: 'agent:main:none', message: 'x' })).error.message, 'session not found');
	await c.rpc('chat.send', { sessionKey: key, message: '[[SLOW]]', idempotencyKey: 'busy-1' });
	await c.event('chat', (p) => p.runId === 'busy-1');
	equal((await c.call('chat.inject', { sessionKey: key, message: 'x' })).error.retryable, true);
	await c.rpc('chat.abort', { sessionKey: key });
	await c.rpc('agent.wait', { runId: 'busy-1' });
	const before = (await c.rpc('sessions.get', { key })).messages.length, compacted = await c.rpc('sessions.compact', { key });
	equal([compacted.ok, compacted.key, compacted.compacted], [true, key, true]);
	ok(compacted.kept > 0 && compacted.kept < before, JSON.stringify(compacted));
	equal(await c.rpc('sessions.compact', { key: 'agent:main:none', maxLines: 2 }), { ok: true, key: 'agent:main:none', compacted: false, reason: 'no sessionId' });
	c.close();
});

test('agents are added, changed and removed in the configuration; skills are switched; the gateway has a key', async () => {
	const c = await connected(gw), file = path.join(state, 'openclaw.json'), workspace = path.join(state, 'recorded-config');
	const ids = async () => (await c.rpc('agents.list', {})).agents.map((a) => [a.id, a.name]);
	equal(await c.rpc('agents.create', { name: 'Second Agent', workspace, emoji: '🤖' }), { ok: true, agentId: 'second-agent', name: 'Second Agent', workspace });
	equal([await ids(), (await c.rpc('agents.list', {})).defaultId], [[['main', undefined], ['second-agent', 'Second Agent']], 'main']);
	equal((await c.rpc('agent.identity.get', { agentId: 'second-agent' })).emoji, '🤖');
	ok(fs.statSync(workspace).isDirectory());
	await c.rpc('agents.update', { agentId: 'second-agent', name: 'Renamed' });
	equal((await ids())[1], ['second-agent', 'Renamed']);
	match((await c.call('agents.create', { name: 'third', workspace: 'not/absolute' })).error.message, /workspace/);
	equal(await c.rpc('agents.delete', { agentId: 'second-agent' }), { ok: true, agentId: 'second-agent', removedBindings: 0 });
	equal(await ids(), [['main', undefined]]);
	ok(fs.existsSync(workspace));
	await c.rpc('skills.update', { skillKey: 'odd.name', enabled: false, apiKey: 'sk-secret', env: { A: 'b' } });
	const entry = () => JSON.parse(fs.readFileSync(file, 'utf8').replace(/^\/\/.*$/m, '')).skills.entries['odd.name'];
	equal(entry(), { enabled: false, apiKey: 'sk-secret', env: { A: 'b' } });
	await c.rpc('skills.update', { skillKey: 'odd.name', apiKey: '', env: { A: '' } });
	equal([entry().apiKey, entry().env?.A], [undefined, undefined]);
	const identity = await c.rpc('gateway.identity.get', {}), kept = path.join(state, 'identity/device.json');
	equal(identity.deviceId, crypto.createHash('sha256').update(Buffer.from(identity.publicKey, 'base64url')).digest('hex'));
	equal([await c.rpc('gateway.identity.get', {}), fs.statSync(kept).mode & 0o777], [identity, 0o600]);
	const { publicKeyPem, privateKeyPem } = JSON.parse(fs.readFileSync(kept));
	ok(crypto.verify(null, Buffer.from('x'), publicKeyPem, crypto.sign(null, Buffer.from('x'), privateKeyPem)));
	equal((await c.call('send', { to: 'x', message: 'hi', channel: 'nope', idempotencyKey: 's-1' })).error.message, 'unsupported channel: nope');
	const found = await c.rpc('config.schema.lookup', { path: 'agents.list.*' });
	ok(found.children.some((child) => child.key === 'id' && child.path === 'agents.list.*.id' && child.type === 'string'));
	equal((await c.rpc('secrets.reload', {})).ok, true);
	c.close();
});

// What is different, and why. Each must be found, or the list is wrong.
const differs = [
	[/(health|connect snapshot\.health\.) ?(eventLoop|plugins|modelPricing) is absent/, 'metrics and plugins.list tell these'],
	[/(canvasHostUrl|pluginSurfaceUrls) is absent/, 'there is no canvas'],
	[/snapshot\.presence\[\]\.instanceId is absent/, 'the gateway has no id besides its address'],
	[/handshake-02\S* .*snapshot\.health\.|handshake-02\S* A a1: health is refused/, 'without a scope nothing is told'],
	[/handshake-12-protocol-mismatch F/, 'protocol 4 is spoken too'],
	[/config\.get (parsed|resolved|config)\./, 'it is another configuration'],
	[/messages\[\]\.(senderLabel|idempotencyKey|__openclaw) is absent/, 'the store keeps no label of the client\'s'],
	[/2026\.6\.11 .*(messages\[\]\.content is array|chat\.history (defaults|sessionInfo) is absent)/, 'version 4 has the shape of version 3 here'],
	[/chat error message is absent/, 'an error is no message of the assistant\'s'],
	[/2026\.6\.11 handshake-20\S* B b\d: node\.(list|describe|invoke) /, 'a node is let in as a whole, the configuration says what it may be asked for'],
	[/2026\.6\.11 .*sessions\.list /, 'version 4 has the shape of version 3 here too'],
	[/says "(invalid [\w. -]+: )?at \/[\w/]+: |at \/(client\/id|id|type): must /, 'the same complaint in words of our own'],
	[/(set-heartbeats|system-event|sessions\.resolve|agents\.files\.list) says "/, 'the same'],
	[/(is answered|closed with undefined).*unexpected property '(__)?bogus'/, 'a parameter that nobody knows is warned of, not refused'],
	[/status (heartbeat|sessions\.byAgent|sessions\.recent\[\]\.\w+) is absent/, 'agents.list, last-heartbeat and sessions.list tell these'],
	[/agent\.identity\.get is refused/, 'an agent that is not there has no face'],
	[/sessions\.patch is refused .*no provider 'nope'/, 'a model that cannot be is refused when it is named'],
	[/thinkingLevel \(use off/, 'there is no adaptive thinking'],
	[/sessions\.(patch|reset) (path|entry\.(sessionFile|compactionCount|skillsSnapshot|systemPromptReport)) is absent/, 'sessions are rows of the store, which keeps no such reports'],
	[/messages\[\]\.api is absent/, 'the store keeps the provider and the model'],
	[/sessions\.compact (archived|kept) is absent/, 'the model sums up, and what it summed up stays in the store'],
	[/sessions\.reset is refused .*there is no session/, 'there is nothing to begin anew'],
	[/handshake-18\S* A: closed with 1008 "handshake timeout"/, 'a close says why'],
	[/handshake-21\S* H h1: config\.get is answered/, 'no scope is dropped in silence'],
	[/device\.token\.rotate is refused .*unknown deviceId\/role/, 'only of a role that was approved'],
	[/handshake-23\S* (R1|R7|W\d+)[ :].*(device identity required|closed with 1008|DEVICE_IDENTITY_REQUIRED)/, 'from elsewhere nobody without a key is let in, with less than nothing to do'],
	[/chat final message\.(usage|api|stopReason|provider|model) is absent/, 'the history has it; commands have no model'],
	[/run-slash-\d+: order/, 'a command runs like a turn, without its beginning'],
	[/chat-05\S* A a5: chat\.history messages\[\]\./, 'what was said before an abort is kept once, as what it is'],
	[/agent result\.meta\.(agentMeta\.(sessionId|lastCallUsage|promptTokens)|systemPromptReport) is absent/, 'sessions.usage tells what was used'],
	[/chat-07\S* A a13: agent is refused/, 'a failed run is an error'],
	[/chat-07\S* A a10: agent says|chat-12\S* A a6: chat\.send is refused/, 'an agent that is not there answers nothing'],
	[/chat-12\S* A (a4|a8): chat\.send says/, 'the same complaint in words of our own'],
	[/chat-12\S* A e8: chat final is absent; .*error/, 'a run that is out of time failed'],
	[/http-\S+ .* is application\/json, was text\/(plain|html)/, 'errors are JSON, and /v1/models is there'],
	[/http-health .*answers 404 [^]*, was (200|401)/, 'what is not there is not found; without its files there is no Control UI'],
	[/http-oversize .*answers 413/, 'a body that is too large is answered'],
	[/http-responses-tools (flat|tool_choice|function_call_output)[^]*answers 200/, 'tools are taken in both forms'],
	[/http-responses-tools previous_response_id: answers 404/, 'what is not there cannot be gone on from'],
	[/http-responses .*response\.usage is null/, 'nothing is used before it is over'],
	[/http-responses .*\[DONE\] is absent/, 'response.completed is the end'],
	[/http-responses .*output_item\.\w+ item\.(role|content) is absent/, 'a call is no message'],
	[/http-\S+ provider error 401.*answers 502/, 'a failed run is an error'],
	[/http-responses (models without auth: answers 401|POST \/v1\/embeddings.*answers 200)/, 'both are there'],
	[/http-tools-invoke (dry run: result|action merged into args: result\.details\.sessions)/, 'the tools\' results are our own'],
	[/http-ws-upgrade .*answers 426/, 'as RFC 6455 has it'],
	[/http-chat-completions (no user message: answers 400|unknown agent: answers 404|foreign model name: answers 404)/, 'what cannot be answered is refused'],
	[/config\.schema\.lookup (hint\.|children\[\]\.hint|schema\.exclusiveMinimum)/, 'there are no hints for forms'],
	[/ (channels\.logout|talk\.\w+|voicewake\.\w+|tts\.\w+|poll|browser\.request|secrets\.resolve|web\.login\.\w+|update\.run|skills\.install|push\.test|wizard\.\w+) (is refused \(UNAVAILABLE|fails with UNAVAILABLE|says ".* is not available)/,
		'what there is not is not available, whatever the parameters are'],
	[/cron\.\w+ fails with INVALID_REQUEST , was UNAVAILABLE/, 'who asks can mend it'],
	[/(cron\.\w+|exec\.\S+) says "invalid /, 'the same complaint, in the order of our schema'],
	[/exec\.approval\.requested request\.commandAnalysis/, 'what a command may do is not guessed at'],
	[/config\.(set|patch|apply) config\./, 'defaults are in the schema, not in the answer'],
	[/config\.(set|patch|apply) says "/, 'the same complaint in words of our own, with what to do'],
	[/config\.(patch|apply) (restart|sentinel) is absent|methods-config-2 A: closed with undefined/, 'changes are taken up without a restart'],
	[/handshake-14-device-bad-signature E/, 'a payload of version 1 has no nonce; from this machine it is looked at'],
];

test('the recorded conversations', async () => {
	fs.writeFileSync(path.join(state, 'exec-approvals.json'), JSON.stringify({ version: 1, socket: { path: '/nobody/listens' }, defaults: {}, agents: {} }));
	const found = [], chats = ['01-stream-to-final', '02-tool-call-cap-off', '03-tool-call-cap-on', '04-tool-call-verbose-sessions', '05-abort-mid-stream', '06-duplicate-idempotency-key',
		'07-agent-two-phase-and-wait', '08-provider-error-500', '09-provider-error-401', '10-two-clients', '11-slash-commands', '12-invalid-and-edge', '13-two-messages-in-a-row'].map((name) => `chat-${name}`);
	const https = ['health', 'hooks', 'oversize', 'responses', 'responses-tools', 'tools-invoke', 'chat-completions', 'ws-upgrade'].map((name) => `http-${name}`);
	for (const [version, files] of Object.entries({
		'2026.3.13': ['01-good-token-no-device', '02-good-token-no-device-no-scopes', '03-device-v2-first-pairing', '04-device-v3-first-pairing', '05-device-v3-again-paired', '06-bad-token', '07-missing-token', '08-first-frame-not-json',
			'09-first-frame-wrong-type', '10-request-before-connect', '11-connect-invalid-params', '12-protocol-mismatch', '13-invalid-role', '14-device-bad-signature',
			'15-oversize-frame-before-auth', '16-oversize-frame-after-auth', '17-unknown-method-and-bad-frames', '18-no-connect-timeout', '19-scopes-read-only', '20-role-node',
			'21-cli-device-pairing', '22-control-ui-origins', '23-remote-pairing', ...chats, ...https, 'methods-00-seed', 'methods-system', 'methods-sessions', 'methods-agents', 'methods-catalog',
			'methods-channels-misc', 'methods-cron', 'methods-exec-approvals', 'methods-nodes-devices', 'methods-wizard', 'heartbeat-wake'],
		'2026.6.11': ['01-good-token-no-device', 'methods-exec-approvals', '06-bad-token', '07-missing-token', '10-request-before-connect', '11-connect-invalid-params', '13-invalid-role', '14-device-bad-signature', '20-role-node', 'chat-01-stream-to-final', 'chat-09-provider-error-401',
			'v4-01-subscriptions'],
	})) {
		const replay = new Replay(gw, { version });
		for (const file of files)
			await replay.run(/^\d/.test(file) ? `handshake-${file}` : file);
		found.push(...replay.found);
	}
	// The configuration, in a gateway that has the recorded one.
	const first = fs.readFileSync(path.join(process.env.OC_TOP_SRCDIR, 'tests/captures/protocol/2026.3.13/methods-config.jsonl'), 'utf8').split('\n').filter(Boolean)
		.map((line) => JSON.parse(line).frame?.payload?.raw).find(Boolean);
	const second = path.join(state, 'recorded-config');
	fs.mkdirSync(second, { recursive: true, mode: 0o700 });
	fs.writeFileSync(path.join(second, 'openclaw.json'), first.replaceAll('__OPENCLAW_REDACTED__', 'secret').replaceAll('<workspace>', path.join(state, 'recorded')), { mode: 0o600 });
	const other = await new Gateway({ env: { OPENCLAW_STATE_DIR: second, OPENCLAW_GATEWAY_TOKEN: 'secret' } }).start();
	for (const file of ['methods-config', 'methods-config-2']) {
		const replay = new Replay(other, { version: '2026.3.13' });
		await replay.run(file);
		found.push(...replay.found);
	}
	equal((await other.stop()).code, 0);
	if (process.env.OC_FOUND)
		fs.writeFileSync(process.env.OC_FOUND, found.join('\n')); // for whoever looks at all of them
	equal(found.filter((text) => !differs.some(([pattern]) => pattern.test(text))), []);
	equal(differs.filter(([pattern]) => !found.some((text) => pattern.test(text))).map(([pattern]) => String(pattern)), []);
});

test('the commands for devices, and the address of the dashboard', async () => {
	const proxied = { headers: { 'x-forwarded-for': '203.0.113.8' } }, device = new Device(), other = new Device();
	const ask = async (one) => {
		const c = await Claw.open(gw.port, proxied);
		return (await c.connect({ token: gw.token, device: one, client: cli, scopes: ['operator.read', 'operator.write'] })).error.details.requestId;
	};
	await ask(device);
	match(run(['devices', 'approve', '--latest']).out, /a shell may connect/);
	match(run(['devices', 'approve']).err, /name the request/);
	const rotated = JSON.parse(run(['devices', 'rotate', '--device', device.id, '--role', 'operator', '--scope', 'read', '--json']).out);
	equal([rotated.deviceId, rotated.scopes], [device.id, ['operator.read']]);
	equal(run(['devices', 'revoke', '--device', device.id]).code, 0);
	await ask(other);
	match(run(['devices', 'clear']).err, /--yes/);
	const cleared = JSON.parse(run(['devices', 'clear', '--yes', '--pending', '--json']).out);
	ok(cleared.cleared >= 2);
	equal(JSON.parse(run(['devices', 'list', '--json']).out), { pending: [], paired: [] });
	match(run(['devices', 'approve', '--latest']).err, /no device asks/);
	match(run(['dashboard', '--no-open']).out, new RegExp(`^Dashboard URL: http://127\\.0\\.0\\.1:${gw.port}/#token=${gw.token}\n`));
	equal(JSON.parse(run(['dashboard', '--json']).out).served, false);
});

test('who asks is told what happens to sessions, and to the messages of one', async () => {
	const a = await connected(gw, { protocol: 4 }), b = await connected(gw, { protocol: 4 }), key = 'agent:main:heard';
	equal(await a.rpc('sessions.subscribe', {}), { subscribed: true });
	equal(await b.rpc('sessions.messages.subscribe', { key }), { subscribed: true, key });
	match((await b.call('sessions.messages.subscribe', {})).error.message, /required property 'key'/);
	const say = async (sessionKey) => {
		const runId = `heard-${sessionKey}-${Date.now()}`;
		await b.rpc('chat.send', { sessionKey, message: 'hello [[SHORT]]', idempotencyKey: runId });
		await a.event('chat', (p) => p.runId === runId && p.state === 'final');
		return runId;
	};
	const runId = await say(key), end = await a.event('sessions.changed', (p) => p.runId === runId && p.phase === 'end');
	equal([end.payload.sessionKey, end.payload.session.key, end.payload.key], [key, key, key]);
	for (const c of [a, b]) {
		await c.event('session.message', (p) => p.message.role === 'assistant');
		equal(c.events('session.message').map((e) => [e.payload.sessionKey, e.payload.message.role, e.payload.message.content[0].text]),
			[[key, 'user', 'hello [[SHORT]]'], [key, 'assistant', 'Short reply.']]);
	}
	await b.rpc('chat.send', { sessionKey: key, message: 'do [[TOOL:session_status {}]]', idempotencyKey: 'heard-tool' });
	const used = await a.event('session.tool', (p) => p.runId === 'heard-tool' && p.data.phase === 'result');
	equal([used.payload.data.name, used.payload.session.key, used.payload.stream], ['session_status', key, 'tool']);
	match(used.payload.data.result.content[0].text, /\w/);
	equal(a.events('session.tool').map((e) => e.payload.data.phase).filter((phase) => phase !== 'update'), ['start', 'result']);
	await a.event('sessions.changed', (p) => p.runId === 'heard-tool' && p.phase === 'end');
	equal(b.events('session.tool'), []); // it asked for messages
	await say('agent:main:elsewhere');
	await a.event('session.message', (p) => p.sessionKey === 'agent:main:elsewhere' && p.message.role === 'assistant');
	ok(await until('the messages', () => b.events('session.message').length >= 4));
	equal([a.events('session.message').length, b.events('session.message').length, b.events('sessions.changed').length], [6, 4, 0]);
	equal(await a.rpc('sessions.unsubscribe', {}), { subscribed: false });
	equal(await b.rpc('sessions.messages.unsubscribe', { key }), { subscribed: false, key });
	await say(key);
	equal([a.events('session.message').length, b.events('session.message').length], [6, 4]);
	// What a session keeps for its commands.
	const { entry } = await a.rpc('sessions.patch', { key, verboseLevel: 'full', reasoningLevel: 'on', responseUsage: 'on', sendPolicy: 'deny', execAsk: 'always' });
	equal([entry.verboseLevel, entry.reasoningLevel, entry.responseUsage, entry.sendPolicy, entry.execAsk], ['full', 'on', 'tokens', 'deny', 'always']);
	match((await b.call('chat.send', { sessionKey: key, message: 'x', idempotencyKey: 'heard-x' })).error.message, /send blocked by session policy/);
	match((await a.call('sessions.patch', { key, execAsk: 'maybe' })).error.message, /invalid execAsk/);
	for (const [patch, why] of [[{ execHost: 'node' }, /tool nodes/], [{ execNode: 'x' }, /tool nodes/], [{ elevatedLevel: 'full' }, /outside of the sandbox/],
		[{ fastMode: true }, /usual tier/]]) {
		const { code, message } = (await a.call('sessions.patch', { key, ...patch })).error;
		equal(code, 'UNAVAILABLE');
		match(message, why);
	}
	match((await a.call('sessions.patch', { key, execHost: 'moon' })).error.message, /invalid execHost/);
	const plain = (await a.rpc('sessions.patch', { key, execHost: 'sandbox', elevatedLevel: 'off', fastMode: false, execNode: null })).entry;
	equal([plain.execHost, plain.elevatedLevel], ['sandbox', 'off']);
	equal((await a.rpc('sessions.patch', { key, verboseLevel: null, sendPolicy: null })).entry.sendPolicy, undefined);
	equal((await b.call('chat.send', { sessionKey: key, message: 'x [[SHORT]]', idempotencyKey: 'heard-y' })).ok, true);
	a.close();
	b.close();
});

test('a gateway that stops says so, and closes with 1012', async () => {
	const c = await connected(gw), replay = new Replay(gw, { version: '2026.3.13' });
	await replay.run('shutdown-sigterm');
	equal((await c.event('shutdown')).payload, { reason: 'gateway stopping', restartExpectedMs: null });
	equal(await c.end(), { code: 1012, reason: 'service restart' });
	equal((await replay.stopped).code, 0);
	if (process.env.OC_FOUND)
		fs.writeFileSync(`${process.env.OC_FOUND}.stop`, replay.found.join('\n'));
	equal(replay.found.filter((text) => !/canvasHostUrl| C: closed/.test(text)), []); // C had not said hello
});

await done();
