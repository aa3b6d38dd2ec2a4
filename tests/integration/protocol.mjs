// OpenClaw's own protocol, versions 3 and 4: handshake, devices, frames, limits; and the recorded conversations again.
import fs from 'node:fs';
import path from 'node:path';
import { Gateway, done, equal, match, ok, state, test, writeConfig } from './lib.mjs';
import { Claw, Device, connected, everything } from './claw.mjs';
import { Replay } from './replay.mjs';

writeConfig({ agents: { defaults: { model: { primary: 'offline/echo' } } }, gateway: { auth: { rateLimit: { maxAttempts: 3, exemptLoopback: true } } } });
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

// What is different, and why. Each must be found, or the list is wrong.
const differs = [
	[/agents\[\]\.heartbeat is absent/, 'there is no heartbeat yet'],
	[/(health|connect snapshot\.health\.) ?(eventLoop|plugins|modelPricing) is absent/, 'metrics and plugins.list tell these'],
	[/(canvasHostUrl|pluginSurfaceUrls) is absent/, 'there is no canvas'],
	[/snapshot\.presence\[\]\.instanceId is absent/, 'the gateway has no id besides its address'],
	[/handshake-02\S* .*snapshot\.health\.|handshake-02\S* A a1: health is refused/, 'without a scope nothing is told'],
	[/handshake-12-protocol-mismatch F/, 'protocol 4 is spoken too'],
	[/(agents\.list|chat\.send|last-heartbeat|config\.get|exec\.approval\.resolve|node\.event) (is refused|says "(unknown method|missing scope: operator.admin))/, 'these are not there yet'],
	[/at \/(client\/id|id|type): must /, 'the same complaint in words of our own'],
	[/handshake-14-device-bad-signature E/, 'a payload of version 1 has no nonce; from this machine it is looked at'],
];

test('the recorded handshakes', async () => {
	const found = [];
	for (const [version, files] of Object.entries({
		'2026.3.13': ['01-good-token-no-device', '02-good-token-no-device-no-scopes', '03-device-v2-first-pairing', '06-bad-token', '07-missing-token', '08-first-frame-not-json',
			'09-first-frame-wrong-type', '10-request-before-connect', '11-connect-invalid-params', '12-protocol-mismatch', '13-invalid-role', '14-device-bad-signature',
			'17-unknown-method-and-bad-frames', '19-scopes-read-only', '22-control-ui-origins'],
		'2026.6.11': ['01-good-token-no-device', '06-bad-token', '07-missing-token', '10-request-before-connect', '11-connect-invalid-params', '13-invalid-role', '14-device-bad-signature'],
	})) {
		const replay = new Replay(gw, { version });
		for (const file of files)
			await replay.run(`handshake-${file}`);
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
