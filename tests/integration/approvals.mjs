// Commands that wait for a person's word, from the model's wish to the decision and what came of it; and nodes, which are asked
// for commands over the same protocol.
import fs from 'node:fs';
import path from 'node:path';
import { Gateway, cleanup, cli, done, equal, match, ok, state, test, until, writeConfig } from './lib.mjs';
import { Device, connected } from './claw.mjs';
import { mockProvider } from './mock-provider.mjs';

const mock = await mockProvider();
cleanup(() => mock.close());
const config = (exec, more = {}) => mock.config({ gateway: { mode: 'local', nodes: { allowCommands: ['camera.snap'], denyCommands: ['system.run'] } },
	tools: { exec: { sandbox: { level: 'off' }, ...exec } }, ...more });
const file = path.join(state, 'exec-approvals.json');
const rules = () => JSON.parse(fs.readFileSync(file, 'utf8'));
writeConfig(config({ security: 'allowlist', ask: 'on-miss' }));
let gw = await new Gateway().start();
const workspace = path.join(state, 'workspace');
let n = 0;

// The model wants a command; resolves with the run's name.
async function want(c, command, session = 'agent:main:a', more = {}) {
	const runId = `want-${++n}`;
	await c.rpc('chat.send', { sessionKey: session, message: `Do it [[TOOL:exec ${JSON.stringify({ command, ...more })}]]`, idempotencyKey: runId });
	return runId;
}
const requested = (c, command) => c.event('exec.approval.requested', (p) => p.request.command === command);
const final = (c, runId) => c.event('chat', (p) => p.runId === runId && p.state === 'final');
// What the model was told came of the command.
async function outcome(c, runId) {
	await final(c, runId);
	const result = mock.requests.at(-1).findLast((m) => m.role === 'tool' || !JSON.stringify(m.content).includes('image')); // pictures come after it
	equal(result.role, 'tool');
	return typeof result.content === 'string' ? result.content : result.content.map((part) => part.text).join('');
}

test('a command waits for a word: allowed once, denied, allowed for ever', async () => {
	const a = await connected(gw), b = await connected(gw, { client: { id: 'cli', version: '1', platform: 'linux', mode: 'cli', displayName: 'the boss' }, device: new Device() });
	let run = await want(a, 'echo once > one.txt; cat one.txt');
	const { payload } = await requested(b, 'echo once > one.txt; cat one.txt');
	equal([payload.request.agentId, payload.request.sessionKey, payload.request.security, payload.request.ask, payload.request.cwd],
		['main', 'agent:main:a', 'allowlist', 'on-miss', workspace]);
	ok(payload.expiresAtMs - payload.createdAtMs === 120000);
	equal((await b.rpc('exec.approval.list', {})).map((one) => one.id), [payload.id]);
	equal((await b.rpc('exec.approval.get', { id: payload.id })).request.command, payload.request.command);
	ok(!fs.existsSync(path.join(workspace, 'one.txt')));
	await b.rpc('exec.approval.resolve', { id: payload.id, decision: 'allow-once' });
	match(await outcome(a, run), /^once/);
	const told = await a.event('exec.approval.resolved', (p) => p.id === payload.id);
	equal([told.payload.decision, told.payload.resolvedBy, told.payload.request.command], ['allow-once', 'the boss', payload.request.command]);
	match((await b.call('exec.approval.resolve', { id: payload.id, decision: 'deny' })).error.message, /unknown or expired/);

	run = await want(a, 'echo never > two.txt');
	await b.rpc('exec.approval.resolve', { id: (await requested(b, 'echo never > two.txt')).payload.id, decision: 'deny' });
	match(await outcome(a, run), /denied it/);
	ok(!fs.existsSync(path.join(workspace, 'two.txt')));

	run = await want(a, 'echo always | cat');
	const third = (await requested(b, 'echo always | cat')).payload;
	match(third.request.resolvedPath, /\/echo$/);
	await b.rpc('exec.approval.resolve', { id: third.id, decision: 'allow-always' });
	match(await outcome(a, run), /^always/);
	equal(rules().agents.main.allowlist.map((row) => path.basename(row.pattern)), ['echo', 'cat']);
	equal(fs.statSync(file).mode & 0o777, 0o600);
	// An interpreter's arguments are a program: it is allowed this once.
	run = await want(a, "echo interpreted | awk '{ print }'");
	await b.rpc('exec.approval.resolve', { id: (await requested(b, "echo interpreted | awk '{ print }'")).payload.id, decision: 'allow-always' });
	match(await outcome(a, run), /^interpreted/);
	equal(rules().agents.main.allowlist.map((row) => path.basename(row.pattern)), ['echo', 'cat']);

	const before = a.events('exec.approval.requested').length;
	match(await outcome(a, await want(a, "cat /dev/null && echo 'not asked'", 'agent:main:b')), /^not asked/);
	equal(a.events('exec.approval.requested').length, before);
	// What is in the list does not let through what the shell makes of it.
	for (const command of ['echo $(touch three.txt)', 'echo a `touch three.txt`', 'FOO=1 echo a', 'echo a & touch three.txt', 'echo a\ntouch three.txt', 'eval echo a']) {
		run = await want(a, command, `agent:main:c${n}`);
		await b.rpc('exec.approval.resolve', { id: (await requested(b, command)).payload.id, decision: 'deny' });
		await final(a, run);
	}
	ok(!fs.existsSync(path.join(workspace, 'three.txt')));
	// Nor does another environment, another folder, or a way out of a folder whose programs are listed.
	const script = (name, text) => {
		fs.mkdirSync(path.dirname(path.join(workspace, name)), { recursive: true });
		fs.writeFileSync(path.join(workspace, name), `#!/bin/sh\n${text}\n`, { mode: 0o755 });
	};
	script('tools/say', 'echo listed');
	script('evil/cat', 'touch four.txt');
	script('evil/tools/say', 'touch four.txt');
	equal(cli(['approvals', 'allowlist', 'add', `${workspace}/tools/**`, '--agent', 'main']).code, 0);
	match(await outcome(a, await want(a, 'tools/say', 'agent:main:d')), /^listed/);
	const evil = path.join(workspace, 'evil');
	for (const [command, more, shown = command] of [['cat four', { env: { PATH: evil } }, `env PATH="${evil}" cat four`],
		['cat', { env: { 'cat x': '1' } }, 'env cat x="1" cat'], ['tools/say', { workdir: 'evil' }], ['tools/../evil/cat', {}], ['A="tools/say" evil/cat', {}]]) {
		run = await want(a, command, `agent:main:e${n}`, more);
		await b.rpc('exec.approval.resolve', { id: (await requested(b, shown)).payload.id, decision: 'deny' });
		await final(a, run);
	}
	ok(!fs.existsSync(path.join(workspace, 'four.txt')) && !fs.existsSync(path.join(evil, 'four.txt')));
	a.close();
	b.close();
});

test('/approve in the chat, from whoever may; an agent does not approve its own wishes', async () => {
	const a = await connected(gw), small = await connected(gw, { scopes: ['operator.write'] });
	const say = async (c, message, session = 'agent:main:s') => {
		const runId = `say-${++n}`;
		await c.rpc('chat.send', { sessionKey: session, message, idempotencyKey: runId });
		return (await final(a, runId)).payload.message.content[0].text;
	};
	const run = await want(a, 'id -u', 'agent:main:s');
	const { id } = (await requested(a, 'id -u')).payload, short = id.slice(0, 8);
	match(await say(small, `/approve ${short} allow-once`), /may not/);
	match((await small.call('exec.approval.resolve', { id, decision: 'allow-once' })).error.message, /missing scope: operator.approvals/);
	equal(small.events('exec.approval.requested').length, 0);
	match(await say(a, `/approve ${short}`), /Usage/);
	match(await say(a, '/approve 00000000 allow'), /unknown or expired/);
	const other = `agent:main:o${n}`; // another session of the agent's says it
	await a.rpc('chat.send', { sessionKey: other, idempotencyKey: `o-${++n}`,
		message: `[[TOOL:sessions_send ${JSON.stringify({ sessionKey: 'agent:main:s2', message: `/approve ${id} allow-once`, timeoutSeconds: 5 })}]]` });
	await a.event('chat', (p) => p.runId === `o-${n}` && p.state === 'final');
	equal((await a.rpc('exec.approval.list', {})).length, 1);
	match(await say(a, `/approve ${short} allow`), /✅/);
	match(await outcome(a, run), /^\d+/);
	a.close();
	small.close();
});

test('from the command line: rules, what waits, and the word', async () => {
	const a = await connected(gw), run = await want(a, 'uname -s', 'agent:main:l');
	const { id } = (await requested(a, 'uname -s')).payload;
	const pending = JSON.parse(cli(['approvals', 'pending', '--json']).out);
	equal(pending.map((one) => one.request.command), ['uname -s']);
	equal(cli(['approvals', 'resolve', id, 'allow-once']).code, 0);
	match(await outcome(a, run), /Linux/);
	equal(cli(['approvals', 'resolve', id, 'deny']).code, 1);
	match(cli(['approvals', 'allowlist', 'add', 'uname']).err, /is no path/);
	equal(cli(['approvals', 'allowlist', 'add', '/**/uname', '--agent', 'main']).code, 0);
	match(cli(['approvals', 'get']).out, /\/\*\*\/uname/);
	match(await outcome(a, await want(a, 'uname -m', 'agent:main:l')), /\w/);
	equal(cli(['approvals', 'allowlist', 'remove', '/**/uname', '--agent', 'main']).code, 0);
	equal(cli(['approvals', 'allowlist', 'remove', '/**/uname', '--agent', 'main']).code, 1);
	const snapshot = JSON.parse(cli(['approvals', 'get', '--json']).out);
	fs.writeFileSync(path.join(state, 'new.json'), JSON.stringify({ ...snapshot.file, agents: {}, defaults: { security: 'deny' } }));
	equal(cli(['approvals', 'set', path.join(state, 'new.json')]).code, 0);
	match(await outcome(a, await want(a, 'echo none', 'agent:main:l')), /may not be run/);
	// A file that cannot be read lets nothing through.
	fs.writeFileSync(file, '{"version":1,');
	match(await outcome(a, await want(a, 'echo broken', 'agent:main:l')), /cannot be read/);
	match((await a.call('exec.approvals.get', {})).error.message, /exec-approvals\.json/);
	fs.rmSync(file);
	a.close();
});

test('nobody answers: what the rules say, and the question is gone; a stopped run asks nobody', async () => {
	const a = await connected(gw);
	let run = await want(a, 'true; false', 'agent:main:t');
	const asked = (await requested(a, 'true; false')).payload;
	await a.rpc('chat.abort', { sessionKey: 'agent:main:t', runId: run });
	equal((await a.event('exec.approval.resolved', (p) => p.id === asked.id)).payload.resolvedBy, 'run ended');
	equal(await a.rpc('exec.approval.list', {}), []);
	equal((await a.rpc('exec.approval.request', { command: 'ls', timeoutMs: 50 })).decision, null);
	// Two phases, two who wait, and the same number again.
	const first = a.call('exec.approval.request', { id: 'mine', command: 'ls', twoPhase: true, timeoutMs: 20000 });
	equal((await first).payload.status, 'accepted');
	const waiting = a.call('exec.approval.waitDecision', { id: 'mine' });
	match((await a.call('exec.approval.request', { id: 'mine', command: 'ls' })).error.message, /already pending/);
	await a.rpc('exec.approval.resolve', { id: 'mine', decision: 'deny' });
	equal((await waiting).payload.decision, 'deny');
	equal((await a.rpc('exec.approval.waitDecision', { id: 'mine' })).decision, 'deny'); // a moment late
	a.close();
});

test('what waited when the gateway stopped was never allowed', async () => {
	let a = await connected(gw);
	await want(a, 'touch late.txt', 'agent:main:r');
	await requested(a, 'touch late.txt');
	const lost = a.call('exec.approval.request', { command: 'ls', timeoutMs: 60000 }).catch(() => {});
	await a.event('exec.approval.requested', (p) => p.request.command === 'ls');
	await gw.kill();
	await lost;
	gw = await new Gateway().start();
	a = await connected(gw);
	const again = await until('the run to be taken up or given up', async () => {
		const list = await a.rpc('exec.approval.list', {});
		const runs = await a.rpc('chat.history', { sessionKey: 'agent:main:r' });
		return list.find((one) => one.request.command === 'touch late.txt') ?? (runs.messages.at(-1)?.role === 'assistant' ? {} : undefined);
	});
	if (again.id)
		await a.rpc('exec.approval.resolve', { id: again.id, decision: 'deny' });
	ok(!fs.existsSync(path.join(workspace, 'late.txt')));
	a.close();
});

// ---- Nodes ----

const phone = new Device();
const node = (more = {}) => connected(gw, { device: phone, role: 'node', scopes: [], caps: ['camera', 'canvas'], commands: ['system.which', 'camera.snap', 'system.run', 'sms.send'],
	permissions: { camera: true }, pathEnv: '/bin', client: { id: 'node-host', version: '2.0', platform: 'linux', mode: 'node', displayName: 'a machine' }, ...more });

test('a node is listed with what it can do, asked, and answers', async () => {
	const a = await connected(gw);
	equal((await a.rpc('node.list', {})).nodes, []);
	const d = await node();
	const { nodes } = await a.rpc('node.list', {});
	equal(nodes.map((one) => [one.nodeId, one.displayName, one.connected, one.paired, one.caps, one.commands, one.permissions]),
		[[phone.id, 'a machine', true, true, ['camera', 'canvas'], ['camera.snap', 'system.which'], { camera: true }]]);
	equal((await a.rpc('node.describe', { nodeId: phone.id })).version, '2.0');
	ok((await a.rpc('system-presence', {})).some((p) => p.roles?.includes('node')));
	const ask = (command, params, more = {}) => a.call('node.invoke', { nodeId: phone.id, command, params, idempotencyKey: `k${++n}`, ...more });
	const request = (command, i = 0) => until(`a request of ${command}`, () => d.events('node.invoke.request').filter((e) => e.payload.command === command)[i]);

	const answer = ask('system.which', { bins: ['sh'] }, { idempotencyKey: 'same' }), again = ask('system.which', { bins: ['sh'] }, { idempotencyKey: 'same' });
	const asked = (await request('system.which')).payload;
	equal([asked.nodeId, asked.paramsJSON, asked.idempotencyKey, asked.timeoutMs], [phone.id, '{"bins":["sh"]}', 'same', 30000]);
	equal(await d.rpc('node.invoke.result', { id: asked.id, nodeId: phone.id, ok: true, payload: { bins: { sh: '/bin/sh' } } }), { ok: true });
	for (const one of [await answer, await again, await ask('system.which', {}, { idempotencyKey: 'same' })])
		equal(one.payload, { ok: true, nodeId: phone.id, command: 'system.which', payload: { bins: { sh: '/bin/sh' } }, payloadJSON: '{"bins":{"sh":"/bin/sh"}}' });
	equal(d.events('node.invoke.request').length, 1); // one key, one command
	equal(await d.rpc('node.invoke.result', { id: asked.id, nodeId: phone.id, ok: true }), { ok: true, ignored: true });
	match((await d.call('node.invoke.result', { id: asked.id, nodeId: 'other', ok: true })).error.message, /mismatch/);

	// What the configuration adds and takes away; what was not declared; what the node itself refuses.
	equal((await ask('system.run', { command: ['ls'] })).error.details.reason, 'command not allowlisted');
	equal((await ask('sms.send', {})).error.details.reason, 'command not allowlisted');
	equal((await ask('system.notify', {})).error.details.reason, 'command not declared by node');
	match((await ask('system.execApprovals.get', {})).error.message, /use exec\.approvals\.node/);
	const refused = ask('camera.snap', { facing: 'back' });
	await d.rpc('node.invoke.result', { id: (await request('camera.snap')).payload.id, nodeId: phone.id, ok: false, error: { code: 'NO_CAMERA', message: 'there is none' } });
	equal([(await refused).error.code, (await refused).error.message, (await refused).error.details.nodeError.code], ['UNAVAILABLE', 'NO_CAMERA: there is none', 'NO_CAMERA']);
	equal((await ask('system.which', {}, { timeoutMs: 40 })).error.details.nodeError.code, 'TIMEOUT');

	const file = { version: 1, agents: {} }, snapshot = { path: '/x', exists: true, hash: 'h', file };
	const get = a.call('exec.approvals.node.get', { nodeId: phone.id });
	await d.rpc('node.invoke.result', { id: (await request('system.execApprovals.get')).payload.id, nodeId: phone.id, ok: true, payloadJSON: JSON.stringify(snapshot) });
	equal((await get).payload, snapshot);
	equal(await a.rpc('node.rename', { nodeId: phone.id, displayName: ' My machine ' }), { nodeId: phone.id, displayName: 'My machine' });
	equal((await a.rpc('node.list', {})).nodes[0].displayName, 'My machine');

	const gone = ask('system.which', {});
	await request('system.which', 2);
	d.close();
	match((await gone).error.message, /NOT_CONNECTED: node disconnected/);
	equal((await ask('system.which', {})).error.details.code, 'NOT_CONNECTED');
	equal((await a.rpc('node.list', {})).nodes[0].connected, false);
	a.close();
});

test('the agent asks nodes with its tool: which there are, commands, pictures; and whoever may only talk does not', async () => {
	const a = await connected(gw), d = await node({ commands: ['system.which', 'camera.snap', 'photos.latest', 'device.status'] });
	const use = async (args) => {
		const runId = `use-${++n}`;
		await a.rpc('chat.send', { sessionKey: 'agent:main:nodes', message: `[[TOOL:nodes ${JSON.stringify(args)}]]`, idempotencyKey: runId });
		return { runId, text: () => outcome(a, runId) };
	};
	const answered = async (args, command, result) => {
		const seen = d.events('node.invoke.request').length, run = await use(args);
		const { payload } = (await until(`a request of ${command}`, () => d.events('node.invoke.request')[seen]));
		equal(payload.command, command);
		await d.rpc('node.invoke.result', { id: payload.id, nodeId: phone.id, ...result });
		return { params: JSON.parse(payload.paramsJSON), text: await run.text() };
	};
	match(await (await use({ action: 'status' })).text(), /"displayName":"My machine".*"connected":true/);
	match(await (await use({ action: 'describe', node: 'my machine' })).text(), new RegExp(phone.id));
	match(await (await use({ action: 'describe', node: 'another' })).text(), /unknown node: another \(known: My machine\)/);
	match(await (await use({ action: 'notify', node: 'My machine' })).text(), /title or body is required/);
	match(await (await use({ action: 'run', node: 'My machine', command: ['ls'] })).text(), /does not run commands/);
	match(await (await use({ action: 'invoke', node: 'My machine', invokeCommand: 'sms.send' })).text(), /not allowed/);
	match(await (await use({ action: 'invoke', node: 'My machine', invokeCommand: 'camera.snap' })).text(), /use the action camera_snap/);
	const which = await answered({ action: 'invoke', node: phone.id.slice(0, 8), invokeCommand: 'system.which', invokeParamsJson: '{"bins":["sh"],"approved":true}' },
		'system.which', { ok: true, payload: { bins: { sh: '/bin/sh' } } });
	equal([which.params, JSON.parse(which.text).payload], [{ bins: ['sh'] }, { bins: { sh: '/bin/sh' } }]);
	match((await answered({ action: 'invoke', node: 'My machine', invokeCommand: 'system.which' }, 'system.which',
		{ ok: false, error: { code: 'BROKEN', message: 'no such thing' } })).text, /BROKEN: no such thing/);
	const png = 'iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg==';
	const snap = await answered({ action: 'camera_snap', node: 'My machine', facing: 'back' }, 'camera.snap', { ok: true, payload: { format: 'png', base64: png, width: 1, height: 1 } });
	equal([snap.params.facing, snap.params.maxWidth], ['back', 1600]);
	const kept = /MEDIA:(media\/inbound\/\S+\.png)/.exec(snap.text)[1];
	equal(fs.readFileSync(path.join(workspace, kept)).toString('base64'), png);
	match((await answered({ action: 'camera_snap', node: 'My machine' }, 'camera.snap', { ok: true, payload: { format: '../x', base64: png } })).text, /no known format/);
	d.close();
	a.close();
});

test('what a node tells: a message for the agent, what somebody said, what happened; and it hears a chat', async () => {
	const a = await connected(gw), d = await node();
	equal(await d.rpc('skills.bins', {}), { bins: [] });
	await d.rpc('node.event', { event: 'chat.subscribe', payloadJSON: JSON.stringify({ sessionKey: 'agent:main:n' }) });
	await d.rpc('node.event', { event: 'notifications.changed', payload: { change: 'posted', key: 'k', title: 'Rain', text: 'at noon', sessionKey: 'agent:main:n' } });
	await d.rpc('node.event', { event: 'exec.finished', payload: { exitCode: 3, output: 'broken', runId: 'r', sessionKey: 'agent:main:n' } });
	await d.rpc('node.event', { event: 'agent.request', payloadJSON: JSON.stringify({ message: 'from a node [[SHORT]]', sessionKey: 'agent:main:n' }) });
	const heard = await d.event('chat', (p) => p.state === 'final');
	equal([heard.payload.sessionKey, heard.payload.message.content[0].text], ['agent:main:n', 'Short reply.']);
	const said = JSON.stringify(mock.requests.at(-1).at(-1));
	match(said, /Notification posted .*Rain - at noon/);
	match(said, /Exec finished .*code 3/);
	match(said, /from a node/);
	await d.rpc('node.event', { event: 'chat.unsubscribe', payload: { sessionKey: 'agent:main:n' } });
	const before = d.events('chat').length;
	await d.rpc('node.event', { event: 'voice.transcript', payload: { text: 'spoken [[SHORT]]', sessionKey: 'agent:main:n' } });
	await a.event('chat', (p) => p.state === 'final' && p.runId !== heard.payload.runId);
	match(JSON.stringify(mock.requests.at(-1).at(-1)), /spoken/);
	equal(d.events('chat').length, before);
	match((await d.call('node.list', {})).error.message, /unauthorized role: node/);
	match((await a.call('node.event', { event: 'x' })).error.message, /unauthorized role: operator/);
	a.close();
	d.close();
});

test('what waits for a node; a phone that is not looked at takes a command up later', async () => {
	const a = await connected(gw), d = await node({ client: { id: 'openclaw-ios', version: '1', platform: 'iOS 19', mode: 'node' }, commands: ['canvas.present'] });
	equal((await a.rpc('node.pending.enqueue', { nodeId: phone.id, type: 'location.request', priority: 'high' })).revision, 1);
	const drained = await d.rpc('node.pending.drain', {});
	equal([drained.revision, drained.items.map((one) => one.type), drained.hasMore], [1, ['location.request', 'status.request'], false]);
	const shown = a.call('node.invoke', { nodeId: phone.id, command: 'canvas.present', params: { url: 'x' }, idempotencyKey: 'show' });
	const { id } = (await d.event('node.invoke.request')).payload;
	await d.rpc('node.invoke.result', { id, nodeId: phone.id, ok: false, error: { code: 'NODE_BACKGROUND_UNAVAILABLE', message: 'in the background' } });
	equal((await shown).error.details.code, 'QUEUED_UNTIL_FOREGROUND');
	const { actions } = await d.rpc('node.pending.pull', {});
	equal(actions.map((one) => [one.command, one.paramsJSON]), [['canvas.present', '{"url":"x"}']]);
	equal((await d.rpc('node.pending.ack', { ids: [actions[0].id] })).remainingCount, 0);
	equal((await d.rpc('node.pending.pull', {})).actions, []);
	a.close();
	d.close();
});

test('the gateway stops cleanly with questions open', async () => {
	const a = await connected(gw), d = await node();
	const open = [a.call('exec.approval.request', { command: 'ls', timeoutMs: 60000 }), a.call('node.invoke', { nodeId: phone.id, command: 'system.which', idempotencyKey: 'x1' })]
		.map((call) => call.catch(() => {}));
	await d.event('node.invoke.request');
	equal((await gw.stop()).code, 0);
	await Promise.all(open);
});

await done();
