// OpenClaw's own protocol, versions 3 and 4: handshake, devices, frames, limits; and the recorded conversations again.
import fs from 'node:fs';
import path from 'node:path';
import { Gateway, cleanup, cli as run, done, equal, match, ok, state, test, writeConfig } from './lib.mjs';
import { Claw, Device, connected, everything } from './claw.mjs';
import { mockProvider } from './mock-provider.mjs';
import { Replay } from './replay.mjs';

const mock = await mockProvider();
cleanup(() => mock.close());
writeConfig(mock.config({ gateway: { auth: { rateLimit: { maxAttempts: 3, exemptLoopback: true } } } }));
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
	const node = await connected(gw, { device: new Device(), role: 'node', scopes: [], client: { id: 'node-host', version: '1', platform: 'linux', mode: 'node' } });
	equal(node.hello.snapshot.health, {});
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
	equal((await c.call('health', { pad: 'x'.repeat(1 << 20) })).error.code, 'INVALID_REQUEST');
	c.sendText(JSON.stringify({ type: 'req', id: 'big', method: 'health', params: { pad: 'x'.repeat(26 << 20) } }));
	equal((await c.end()).code, 1009);
	equal(await silent.end(), { code: 1008, reason: 'handshake timeout' });
	const other = await Claw.open(gw.port);
	other.sendText('hello, not json');
	equal(await other.end(), { code: 1008, reason: 'invalid request frame' });
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

// What is different, and why. Each must be found, or the list is wrong.
const differs = [
	[/agents\[\]\.heartbeat is absent/, 'there is no heartbeat yet'],
	[/(health|connect snapshot\.health\.) ?(eventLoop|plugins|modelPricing) is absent/, 'metrics and plugins.list tell these'],
	[/(canvasHostUrl|pluginSurfaceUrls) is absent/, 'there is no canvas'],
	[/snapshot\.presence\[\]\.instanceId is absent/, 'the gateway has no id besides its address'],
	[/handshake-02\S* .*snapshot\.health\.|handshake-02\S* A a1: health is refused/, 'without a scope nothing is told'],
	[/handshake-12-protocol-mismatch F/, 'protocol 4 is spoken too'],
	[/config\.get (parsed|resolved|config)\./, 'it is another configuration'],
	[/(exec\.approval\.resolve|node\.event) (is refused|says "(unknown method|missing scope: operator.admin))/, 'these are not there yet'],
	[/messages\[\]\.(senderLabel|idempotencyKey|__openclaw) is absent/, 'the store keeps no label of the client\'s'],
	[/2026\.6\.11 .*(messages\[\]\.content is array|chat\.history (defaults|sessionInfo) is absent)/, 'version 4 has the shape of version 3 here'],
	[/chat error message is absent/, 'an error is no message of the assistant\'s'],
	[/2026\.6\.11 .*sessions\.list /, 'version 4 has the shape of version 3 here too'],
	[/at \/(client\/id|id|type): must /, 'the same complaint in words of our own'],
	[/handshake-14-device-bad-signature E/, 'a payload of version 1 has no nonce; from this machine it is looked at'],
];

test('the recorded conversations', async () => {
	const found = [], chats = ['01-stream-to-final', '02-tool-call-cap-off', '06-duplicate-idempotency-key', '09-provider-error-401'].map((name) => `chat-${name}`);
	for (const [version, files] of Object.entries({
		'2026.3.13': ['01-good-token-no-device', '02-good-token-no-device-no-scopes', '03-device-v2-first-pairing', '06-bad-token', '07-missing-token', '08-first-frame-not-json',
			'09-first-frame-wrong-type', '10-request-before-connect', '11-connect-invalid-params', '12-protocol-mismatch', '13-invalid-role', '14-device-bad-signature',
			'17-unknown-method-and-bad-frames', '19-scopes-read-only', '22-control-ui-origins', ...chats],
		'2026.6.11': ['01-good-token-no-device', '06-bad-token', '07-missing-token', '10-request-before-connect', '11-connect-invalid-params', '13-invalid-role', '14-device-bad-signature', 'chat-01-stream-to-final', 'chat-09-provider-error-401'],
	})) {
		const replay = new Replay(gw, { version });
		for (const file of files)
			await replay.run(file.startsWith('chat') ? file : `handshake-${file}`);
		found.push(...replay.found);
	}
	equal(found.filter((text) => !differs.some(([pattern]) => pattern.test(text))), []);
	equal(differs.filter(([pattern]) => !found.some((text) => pattern.test(text))).map(([pattern]) => String(pattern)), []);
});

test('a gateway that stops says so, and closes with 1012', async () => {
	const c = await connected(gw);
	const stopping = gw.stop();
	equal((await c.event('shutdown')).payload, { reason: 'gateway stopping', restartExpectedMs: null });
	equal(await c.end(), { code: 1012, reason: 'service restart' });
	equal((await stopping).code, 0);
});

await done();
