// Jobs by the clock and heartbeats, through the front door: methods, runs, delivery, what survives kill -9.
import fs from 'node:fs';
import http from 'node:http';
import path from 'node:path';
import { Gateway, cleanup, done, equal, match, ok, spawnCli, state, test, until, writeConfig } from './lib.mjs';
import { FakeTelegram } from './fake-telegram.mjs';

const tg = await new FakeTelegram().start();
cleanup(() => tg.stop());
const config = {
	agents: { defaults: { model: { primary: 'offline/echo' }, skipBootstrap: true, heartbeat: { every: '1h', target: 'last' } } },
	channels: { telegram: { botToken: tg.token, apiRoot: tg.url, dmPolicy: 'open', allowFrom: ['*'], streaming: 'off', streamMode: 'off' } },
	cron: { maxConcurrentRuns: 2, webhookToken: 'web-token' },
	hooks: {
		enabled: true, token: 'hook-secret-1', presets: ['gmail'], allowedAgentIds: ['main', 'other'],
		mappings: [
			{ match: { path: 'door' }, action: 'wake', wakeMode: 'next-heartbeat', textTemplate: 'Door {{door.name}} {{list[1]}} {{headers.x-kind}} {{path}}{{nothing}}' },
			{ match: { path: 'ci', source: 'builds' }, messageTemplate: '/echo build {{payload.id}} {{headers.authorization}}', name: 'CI', deliver: true,
				channel: 'telegram', to: '11', allowUnsafeExternalContent: true },
			{ match: { path: 'js' }, transform: { module: './x.js' } },
		],
	},
};
writeConfig(config);
let gw = await new Gateway().start();

const find = async (id) => (await gw.rpc('cron.list', { includeDisabled: true })).jobs.find((j) => j.id === id);
const runs = async (id) => (await gw.rpc('cron.runs', { id })).entries;
const finished = (id, n = 1) => until(`${n} runs of ${id}`, async () => {
	const list = await runs(id);
	return list.length >= n && list;
});
const sent = (re) => [...tg.messages.values()].filter((m) => re.test(m.text));
const turn = (message, more = {}) => ({ name: 'job', schedule: { kind: 'every', everyMs: 3600000 }, sessionTarget: 'isolated',
	payload: { kind: 'agentTurn', message }, delivery: { mode: 'none' }, ...more });

test('jobs are added, listed, changed and removed', async () => {
	equal(await gw.rpc('cron.status'), { enabled: true, storePath: path.join(state, 'openclaw.db'), jobs: 0, nextWakeAtMs: null });
	const job = await gw.rpc('cron.add', { name: 'tick', schedule: { kind: 'every', everyMs: 3600000 }, sessionTarget: 'main',
		wakeMode: 'next-heartbeat', payload: { kind: 'systemEvent', text: 'golden tick' } });
	equal(Object.keys(job), ['id', 'name', 'enabled', 'createdAtMs', 'updatedAtMs', 'schedule', 'sessionTarget', 'wakeMode', 'payload', 'state']);
	equal(job.schedule, { kind: 'every', everyMs: 3600000, anchorMs: job.createdAtMs });
	equal(job.state, { nextRunAtMs: job.createdAtMs + 3600000 });
	const week = await gw.rpc('cron.add', { name: 'week', schedule: { kind: 'cron', expr: '0 9 * * 1', tz: 'Europe/Berlin' },
		...{ sessionTarget: 'isolated', payload: { kind: 'agentTurn', message: 'x' } } });
	equal(week.delivery, { mode: 'announce' });
	const list = await gw.rpc('cron.list', { limit: 1, sortBy: 'name', sortDir: 'desc' });
	equal([list.jobs.map((j) => j.name), list.total, list.hasMore, list.nextOffset], [['week'], 2, true, 1]);
	const off = await gw.rpc('cron.update', { id: job.id, patch: { enabled: false, name: 'tock' } });
	equal([off.enabled, off.name, off.state], [false, 'tock', {}]);
	equal((await gw.rpc('cron.list')).jobs.map((j) => j.name), ['week']);
	equal((await gw.rpc('cron.list', { enabled: 'disabled', query: 'TOCK' })).total, 1);
	for (const id of [job.id, week.id])
		equal(await gw.rpc('cron.remove', { id }), { ok: true, removed: true });
	equal(await gw.rpc('cron.remove', { id: job.id }), { ok: true, removed: false });
	const bad = [['cron.add', { name: 'x' }], ['cron.update', { id: 'nope', patch: { enabled: true } }],
		['cron.run', { id: 'nope' }], ['cron.run', {}], ['cron.add', turn('x', { schedule: { kind: 'cron', expr: 'not a cron' } })],
		['cron.add', turn('x', { schedule: { kind: 'at', at: '2020-01-01T00:00:00Z' } })], ['cron.add', turn('x', { sessionTarget: 'main' })]];
	for (const [method, params] of bad)
		ok((await gw.rpcRaw(method, params)).error, `${method} ${JSON.stringify(params)}`);
});

test('a job runs by itself in a session of its own, with a history', async () => {
	const job = await gw.rpc('cron.add', turn('/echo one two', { schedule: { kind: 'every', everyMs: 400 } }));
	const list = await finished(job.id, 3);
	await gw.rpc('cron.update', { id: job.id, patch: { enabled: false } });
	for (const entry of list) {
		equal([entry.action, entry.status, entry.deliveryStatus, entry.delivered], ['finished', 'ok', 'not-delivered', false]);
		match(entry.summary, /one two/);
		equal(entry.sessionKey, `agent:main:cron:${job.id}`);
		equal([entry.provider, entry.model], ['offline', 'echo']);
	}
	equal(new Set(list.map((e) => e.sessionId)).size, list.length, 'each run begins anew');
	const starts = list.map((e) => e.runAtMs).sort();
	ok(starts[1] - starts[0] >= 300, `${starts}`);
	equal((await find(job.id)).state.lastStatus, 'ok');
	equal((await gw.rpc('cron.runs', { scope: 'all', limit: 1 })).entries[0].jobName, 'job');
	const total = async (filter) => (await gw.rpc('cron.runs', { id: job.id, ...filter })).total, all = await total({});
	for (const same of [{ query: 'ONE tw' }, { query: 'JOB' }, { statuses: ['error', 'ok'] }, { status: 'ok' }, { deliveryStatuses: ['not-delivered', 'unknown'] }, { statuses: ['all'] }])
		equal(await total(same), all, JSON.stringify(same));
	for (const none of [{ query: 'three%' }, { statuses: ['error'] }, { deliveryStatus: 'delivered' }])
		equal(await total(none), 0, JSON.stringify(none));
	match((await gw.rpcRaw('cron.runs', { statuses: ['odd'] })).error.message, /statuses/);
});

test('what is due is delivered, to whom was written last or who was named', async () => {
	tg.say(7, '/echo hello');
	await tg.until('an answer', () => sent(/hello/).length === 1);
	const job = await gw.rpc('cron.add', turn('/echo for the chat', { delivery: { mode: 'announce', channel: 'telegram', to: '9' } }));
	equal((await gw.rpc('cron.run', { id: job.id, mode: 'due' })).reason, 'not-due');
	match((await gw.rpc('cron.run', { id: job.id })).runId, /^manual:/);
	const [entry] = await finished(job.id);
	equal([entry.status, entry.delivered, entry.deliveryStatus], ['ok', true, 'delivered']);
	equal(sent(/for the chat/).length, 1);
	const main = await gw.rpc('cron.add', turn('/echo HEARTBEAT_OK', { delivery: { mode: 'announce', channel: 'telegram', to: '9' } }));
	await gw.rpc('cron.run', { id: main.id });
	equal((await finished(main.id))[0].deliveryStatus, 'not-delivered', 'nothing to say is not said');
	const nowhere = await gw.rpc('cron.add', turn('/echo x', { delivery: { mode: 'announce', channel: 'nosuch', to: '9' } }));
	await gw.rpc('cron.run', { id: nowhere.id });
	match((await finished(nowhere.id))[0].error, /no channel nosuch/);
});

test('a time that comes once: runs once and is gone; failures are tried again later', async () => {
	const once = await gw.rpc('cron.add', turn('/echo once', { schedule: { kind: 'at', at: new Date(Date.now() + 300).toISOString() } }));
	await finished(once.id);
	equal(await find(once.id), undefined);
	const bad = await gw.rpc('cron.add', turn('/error invalid'));
	await gw.rpc('cron.run', { id: bad.id });
	const [entry] = await finished(bad.id);
	equal(entry.status, 'error');
	const { state: after } = await find(bad.id);
	equal([after.lastStatus, after.consecutiveErrors], ['error', 1]);
});

test('a system event is in the main session\'s next message; now: the heartbeat tells of it', async () => {
	const job = await gw.rpc('cron.add', { name: 'rem', schedule: { kind: 'every', everyMs: 3600000 }, payload: { kind: 'systemEvent', text: 'water the plants' },
		wakeMode: 'next-heartbeat' });
	await gw.rpc('cron.run', { id: job.id });
	const [entry] = await finished(job.id);
	equal([entry.status, entry.summary, entry.deliveryStatus], ['ok', 'water the plants', 'not-requested']);
	await gw.rpc('cron.update', { id: job.id, patch: { wakeMode: 'now' } });
	await gw.rpc('cron.run', { id: job.id });
	await finished(job.id, 2);
	const last = await gw.rpc('last-heartbeat');
	equal([last.status, last.channel, last.to], ['sent', 'telegram', '7']);
	await tg.until('the reminder', () => sent(/water the plants/).length === 1);
	const { messages } = await gw.rpc('session.history', { session: 'main' });
	match(JSON.stringify(messages), /System: \[[^\]]*\] water the plants/);
});

test('wake asks at once; heartbeats can be turned off', async () => {
	const before = (await gw.rpc('last-heartbeat')).ts;
	equal(await gw.rpc('wake', { mode: 'now', text: 'the door bell rang' }), { ok: true });
	const last = await until('a heartbeat', async () => {
		const h = await gw.rpc('last-heartbeat');
		return h.ts !== before && h;
	});
	match(last.preview, /door bell/);
	equal(await gw.rpc('set-heartbeats', { enabled: false }), { ok: true, enabled: false });
	await gw.rpc('wake', { mode: 'now', text: 'again' });
	const { messages } = await gw.rpc('session.history', { session: 'main' });
	ok(!/again/.test(JSON.stringify(messages)));
	await gw.rpc('set-heartbeats', { enabled: true });
	// What the model thought, when that is wanted; also when there is nothing else to say.
	const set = async (name, value) => equal((await spawnCli(['config', 'set', `agents.defaults.heartbeat.${name}`, value])).code, 0);
	await set('includeReasoning', 'true');
	await set('prompt', 'Look:\n/think Nobody is at the door.\n/echo HEARTBEAT_OK');
	await gw.rpc('wake', { mode: 'now', text: 'look' });
	await tg.until('the thoughts', () => sent(/Reasoning/).length === 1);
	match(sent(/Reasoning/)[0].text, /^💭 Reasoning:\s+Nobody is at the door\.\s*$/);
	await set('includeReasoning', 'false');
	await set('prompt', '/echo HEARTBEAT_OK');
	ok((await gw.rpcRaw('wake', { mode: 'later', text: 'x' })).error);
	ok((await gw.rpcRaw('set-heartbeats', {})).error);
});

test('the commands', async () => {
	const run = async (...args) => {
		const r = await spawnCli(args);
		equal(r.code, 0, `${args.join(' ')}: ${r.err}`);
		return args.includes('--json') ? JSON.parse(r.out) : r.out;
	};
	const job = await run('cron', 'add', '--name', 'news', '--cron', '0 8 * * 1-5', '--tz', 'Europe/Berlin', '--message', '/echo news', '--no-deliver', '--json');
	equal([job.schedule, job.payload, job.delivery], [{ kind: 'cron', expr: '0 8 * * 1-5', tz: 'Europe/Berlin' }, { kind: 'agentTurn', message: '/echo news' }, { mode: 'none' }]);
	const tea = await run('cron', 'add', '--name', 'tea', '--at', '20m', '--system-event', 'tea', '--disabled', '--json');
	ok(Math.abs(Date.parse(tea.schedule.at) - Date.now() - 1200000) < 60000);
	match(await run('cron', 'list', '--all'), /news[^\n]*Europe\/Berlin[\s\S]*tea[^\n]*disabled|tea[^\n]*disabled[\s\S]*news/);
	equal((await run('cron', 'edit', tea.id, '--every', '2h', '--wake', 'next-heartbeat', '--json')).schedule.everyMs, 7200000);
	const told = await run('cron', 'edit', job.id, '--failure-alert-after', '3', '--failure-alert-cooldown', '2h', '--failure-alert-to', '9', '--light-context', '--session-key', 'x', '--best-effort-deliver', '--json');
	equal([told.failureAlert, told.payload.lightContext, told.sessionKey, told.delivery.bestEffort], [{ to: '9', after: 3, cooldownMs: 7200000 }, true, 'x', true]);
	const untold = await run('cron', 'edit', job.id, '--no-failure-alert', '--no-light-context', '--clear-session-key', '--no-best-effort-deliver', '--json');
	equal([untold.failureAlert, untold.payload.lightContext, untold.sessionKey, untold.delivery.bestEffort], [false, false, undefined, undefined]);
	equal((await run('cron', 'enable', tea.id, '--json')).enabled, true);
	equal((await run('cron', 'disable', tea.id, '--json')).enabled, false);
	match(await run('cron', 'run', job.id), /It runs/);
	await finished(job.id);
	match(await run('cron', 'runs', '--id', job.id), /ok +\d/);
	match(await run('cron', 'status'), /are on/);
	match(await run('cron', 'rm', tea.id), /removed/);
	equal((await spawnCli(['cron', 'rm', tea.id])).code, 1);
	equal((await spawnCli(['cron', 'add', '--name', 'x', '--message', 'x'])).code, 2);
	match((await spawnCli(['cron', 'add', '--name', 'x', '--message', 'x', '--cron', 'x'])).err, /five fields/);
	await run('system', 'event', '--text', 'told by a command');
	match(await run('system', 'heartbeat', 'last'), /sent|skipped/);
	equal((await run('system', 'heartbeat', 'disable', '--json')).enabled, false);
	equal((await run('system', 'heartbeat', 'enable', '--json')).enabled, true);
});

const post = async (name, body, headers = {}) => {
	const r = await fetch(`${gw.url}/hooks/${name}`, { method: 'POST', headers: { authorization: 'Bearer hook-secret-1', 'content-type': 'application/json', ...headers },
		body: typeof body === 'string' ? body : JSON.stringify(body) });
	const text = await r.text();
	return [r.status, text.startsWith('{') ? JSON.parse(text) : text];
};
const mainText = async () => JSON.stringify((await gw.rpc('session.history', { session: 'main' })).messages);

test('the agent\'s tool: the answer comes to where it was asked for; who may only talk sets up nothing', async () => {
	const tool = async (args) => (await gw.rpc('tools.execute', { name: 'cron', arguments: args })).details;
	const job = await tool({ action: 'add', job: { name: 'by tool', schedule: { kind: 'every', everyMs: 3600000 }, payload: { kind: 'systemEvent', text: 'x' } } });
	equal([job.agentId, job.sessionTarget], ['main', 'main']);
	equal((await tool({ action: 'list' })).jobs.some((j) => j.id === job.id), true);
	equal((await tool({ action: 'update', jobId: job.id, patch: { enabled: false } })).enabled, false);
	await tool({ action: 'remove', jobId: job.id });
	equal(await find(job.id), undefined);
	tg.say(7, `/tool cron ${JSON.stringify({ action: 'add', job: { name: 'asked', schedule: { kind: 'every', everyMs: 3600000 }, payload: { kind: 'agentTurn', message: '/echo x' } } })}`);
	const asked = await until('the job', async () => (await gw.rpc('cron.list', { query: 'asked' })).jobs[0]);
	equal(asked.delivery, { mode: 'announce', channel: 'telegram', to: '7', accountId: 'default' });
	equal((await post('agent', { message: `/tool cron {"action":"remove","jobId":"${asked.id}"}`, deliver: false }))[0], 200);
	await until('its refusal', async () => {
		for (const { key } of (await gw.rpc('session.list', {})).sessions.filter((x) => /:hook:/.test(x.key)))
			if (/may not set up/.test(JSON.stringify((await gw.rpc('session.history', { session: key })).messages)))
				return true;
		return false;
	});
	ok(await find(asked.id));
});

test('POST /tools/invoke', async () => {
	const invoke = async (body, init = {}) => {
		const r = await gw.fetch('/tools/invoke', { method: 'POST', body: typeof body === 'string' ? body : JSON.stringify(body), ...init });
		const text = await r.text();
		return [r.status, text.startsWith('{') ? JSON.parse(text) : text];
	};
	const [status, good] = await invoke({ tool: 'session_status', args: {} });
	equal([status, good.ok, good.result.content[0].type], [200, true, 'text']);
	equal((await invoke({ tool: 'sessions_list', action: 'json', args: { limit: 1 } }))[0], 200);
	const [bad, why] = await invoke({ tool: 'sessions_history', args: {} });
	equal([bad, why.ok, why.error.type], [400, false, 'tool_error']);
	for (const tool of ['no_such_tool', 'sessions_spawn', 'cron', 'exec'])
		equal(await invoke({ tool, args: { command: 'echo hi' } }), [404, { ok: false, error: { type: 'not_found', message: `Tool not available: ${tool}` } }]);
	equal(await invoke({ args: {} }), [400, { error: { type: 'invalid_request_error', message: 'tools.invoke requires body.tool' } }]);
	equal((await invoke('{bad'))[1].error.type, 'invalid_request_error');
	equal((await invoke({ tool: 'session_status' }, { headers: { authorization: 'Bearer wrong' } }))[0], 401);
	equal(await invoke({ tool: 'session_status', dryRun: true }), [200, { ok: true, dryRun: true }]);
	equal((await gw.fetch('/tools/invoke')).status, 405);
});

test('webhooks: who may, what is refused', async () => {
	equal(await post('wake', { text: 'hook wake', mode: 'next-heartbeat' }), [200, { ok: true, mode: 'next-heartbeat' }]);
	equal(await post('wake', { text: 'x', mode: 'later' }, { authorization: '', 'x-openclaw-token': 'hook-secret-1' }), [200, { ok: true, mode: 'now' }]);
	equal(await post('wake', { text: 'x' }, { authorization: 'Bearer wrong' }), [401, 'Unauthorized']);
	equal(await post('wake', { text: 'x' }, { authorization: `Bearer ${gw.token}` }), [401, 'Unauthorized']);
	equal((await fetch(`${gw.url}/rpc`, { method: 'POST', headers: { authorization: 'Bearer hook-secret-1' }, body: '{}' })).status, 401);
	match((await post('wake?token=hook-secret-1', { text: 'x' }))[1], /query parameters are not allowed/);
	equal(await post('wake', {}), [400, { ok: false, error: 'text required' }]);
	const [status, body] = await post('wake', '{bad');
	equal([status, body.ok], [400, false]);
	equal(await post('nope', {}), [404, 'Not Found']);
	equal(await post('', {}), [404, 'Not Found']);
	equal((await post('wake', { text: 'x'.repeat(300000) }))[0], 413);
	const get = await fetch(`${gw.url}/hooks/wake`, { headers: { authorization: 'Bearer hook-secret-1' } });
	equal([get.status, get.headers.get('allow')], [405, 'POST']);
	equal(await post('agent', {}), [400, { ok: false, error: 'message required' }]);
	match((await post('agent', { message: 'x', sessionKey: 'hook:custom' }))[1].error, /allowRequestSessionKey/);
	match((await post('agent', { message: 'x', channel: 'nope' }))[1].error, /channel must be/);
	match((await post('agent', { message: 'x', agentId: 'third' }))[1].error, /allowedAgentIds/);
	equal((await post('js', {}))[0], 503);
});

test('webhooks: a run of its own tells the chat, or the main session; a mapping fills its template', async () => {
	const [status, { runId }] = await post('agent', { message: '/echo from outside', deliver: false, wakeMode: 'next-heartbeat', name: 'Golden' }, { 'idempotency-key': 'k1' });
	equal(status, 200);
	equal((await post('agent', { message: '/echo from outside', deliver: false }, { 'idempotency-key': 'k1' }))[1].runId, runId, 'the same run again');
	const session = await until('its session', async () => (await gw.rpc('session.list', {})).sessions.find((s) => /:hook:/.test(s.key)));
	const history = JSON.stringify((await until('its answer', async () => {
		const h = await gw.rpc('session.history', { session: session.key });
		return h.messages.length > 1 && h;
	})).messages);
	match(history, /EXTERNAL [a-z2-7]{16}>>>/);
	equal((await post('ci', { source: 'builds', id: 41 }))[0], 200);
	await tg.until('the build', () => sent(/build 41 *$/).length === 1);
	equal(sent(/build 41/)[0].chat.id, 11);
	equal((await post('ci', { source: 'others' }))[0], 404);
	equal(await post('door', { door: { name: 'front' }, list: [1, { a: 2 }] }, { 'x-kind': 'bell' }), [200, { ok: true, mode: 'next-heartbeat' }]);
	await gw.rpc('session.message', { session: 'main', text: 'hi' });
	await until('the events in the main session', async () => {
		const text = await mainText();
		return /Door front \{.{0,4}a.{0,4}:2\} bell door/.test(text) && /Hook Golden: .*from outside/.test(text);
	});
	equal((await post('gmail', { messages: [{ id: 'm1', from: 'a@b', subject: 'S', snippet: 's', body: 'B' }] }))[0], 200);
	await until('the mail', async () => (await gw.rpc('session.list', {})).sessions.some((s) => /hook:gmail:m1/.test(s.key)));
});

test('killed at any moment, a run is neither lost nor made twice', async () => {
	const marks = [];
	for (let i = 0; i < 6; i++) {
		const at = new Date(Date.now() + 250).toISOString();
		marks.push({ mark: `mark${i}x`, id: (await gw.rpc('cron.add', turn(`/echo mark${i}x`,
			{ name: `mark${i}`, schedule: { kind: 'at', at }, delivery: { mode: 'announce', channel: 'telegram', to: '9' } }))).id });
		const wait = 200 + i * 25, end = Date.now() + wait;
		await until('the moment', () => Date.now() >= end);
		await gw.kill();
		gw = await new Gateway().start();
	}
	for (const { id, mark } of marks) {
		const list = await finished(id);
		equal(list.length, 1, mark);
		equal(list[0].status, 'ok', JSON.stringify(list));
		await tg.until(mark, () => sent(new RegExp(mark)).length === 1);
	}
	equal((await gw.rpc('cron.list')).jobs.filter((j) => /^mark/.test(j.name)), []);
});

test('what was missed while the gateway was down runs once', async () => {
	const job = await gw.rpc('cron.add', turn('/echo missed', { schedule: { kind: 'every', everyMs: 1000 }, enabled: false }));
	await gw.rpc('cron.update', { id: job.id, patch: { enabled: true, schedule: { kind: 'every', everyMs: 3600000, anchorMs: Date.now() + 500 } } });
	const due = (await find(job.id)).state.nextRunAtMs;
	await gw.stop();
	await until('the time to be over', () => Date.now() > due + 200);
	gw = await new Gateway().start();
	const list = await finished(job.id);
	equal(list.length, 1);
	equal((await find(job.id)).state.nextRunAtMs, due + 3600000);
});

// Somebody else's server: what is posted to hooks.example.com comes here by way of a proxy.
const posts = [], web = http.createServer(async (req, res) => {
	let body = '';
	for await (const piece of req)
		body += piece;
	posts.push({ url: req.url, authorization: req.headers.authorization, body: JSON.parse(body) });
	res.writeHead(/down/.test(req.url) ? 500 : 204);
	res.end();
});
await new Promise((resolve) => web.listen(0, '127.0.0.1', resolve));
cleanup(() => web.close());
const posted = (path_) => posts.filter((p) => p.url === `http://hooks.example.com/${path_}`);
const toWeb = (name) => ({ mode: 'webhook', to: `http://hooks.example.com/${name}` });
const clock = path.join(process.env.OC_TOP_BUILDDIR, 'tests/fault/.libs/clock.so'), clockFile = path.join(state, 'clock');

test('what came of a run is posted where it was asked for, and to nobody\'s inner network', async () => {
	await gw.stop();
	fs.writeFileSync(clockFile, Buffer.alloc(8));
	gw = await new Gateway({ env: { http_proxy: `http://127.0.0.1:${web.address().port}`, no_proxy: '127.0.0.1', OC_TEST_CLOCK: clockFile, LD_PRELOAD: clock,
		ASAN_OPTIONS: `${process.env.ASAN_OPTIONS ?? ''}:verify_asan_link_order=0` } }).start();
	const run = async (job) => {
		const { id } = await gw.rpc('cron.add', turn('/echo to the web', job));
		await gw.rpc('cron.run', { id });
		return { id, entry: (await finished(id))[0] };
	};
	const { id, entry } = await run({ delivery: toWeb('a') });
	equal([entry.status, entry.delivered, entry.deliveryStatus], ['ok', true, 'delivered']);
	const [{ authorization, body }] = posted('a');
	equal([authorization, body.jobId, body.action, body.status], ['Bearer web-token', id, 'finished', 'ok']);
	match(body.summary, /to the web/);
	match((await run({ delivery: toWeb('down') })).entry.deliveryError, /answered 500/);
	const inner = await run({ delivery: { mode: 'webhook', to: `http://127.0.0.1:${web.address().port}/inner` } });
	equal([inner.entry.status, inner.entry.deliveryStatus], ['ok', 'not-delivered']);
	ok(!posts.some((p) => /inner/.test(p.url)));
	ok((await gw.rpcRaw('cron.add', turn('x', { delivery: { mode: 'webhook', to: 'ftp://x' } }))).error);
});

test('failures: each goes to its destination, several in a row alarm once in a while', async () => {
	const fails = async (job, n = 1) => {
		const { id } = await gw.rpc('cron.add', turn('/error invalid', job));
		for (let i = 1; i <= n; i++) {
			await gw.rpc('cron.run', { id });
			await finished(id, i);
		}
		return id;
	};
	const id = await fails({ name: 'bad', delivery: { ...toWeb('b'), failureDestination: toWeb('fail') } });
	await until('word of it', () => posted('fail').length === 1);
	const { body } = posted('fail')[0];
	equal([body.jobId, body.jobName, body.status, body.message], [id, 'bad', 'error', `Cron job "bad" failed: ${body.error}`]);
	ok(body.runAtMs > 0 && body.durationMs >= 0);
	await fails({ name: 'told', delivery: { mode: 'none', failureDestination: { channel: 'telegram', to: '12' } } });
	await tg.until('word of it', () => sent(/^\[Cron Failure\] Cron job "told" failed/).length === 1);
	equal(sent(/Cron Failure/)[0].chat.id, 12);
	await fails({ name: 'effort', delivery: { mode: 'none', bestEffort: true, failureDestination: toWeb('effort') } });
	await fails({ name: 'alarm', failureAlert: { after: 2, mode: 'webhook', to: 'http://hooks.example.com/alarm' } }, 4);
	await until('the alarm', () => posted('alarm').length > 0);
	await fails({ name: 'last', delivery: { mode: 'none', failureDestination: toWeb('last') } }); // posted after whatever there was before
	await until('the last word', () => posted('last').length === 1);
	equal([posted('alarm').length, posted('effort').length], [1, 0]);
	match(posted('alarm')[0].body.message, /"alarm" failed 2 times/);
	for (const [delivery, why] of [[{ mode: 'none', failureDestination: { mode: 'webhook' } }, /valid http/], [{ mode: 'none', failureDestination: { mode: 'webhook', to: 'x' } }, /valid http/]])
		match((await gw.rpcRaw('cron.add', turn('x', { delivery }))).error.message, why);
	match((await gw.rpcRaw('cron.add', { name: 'm', schedule: { kind: 'every', everyMs: 3600000 }, payload: { kind: 'systemEvent', text: 'x' },
		delivery: { mode: 'none', failureDestination: { channel: 'telegram', to: '1' } } })).error.message, /only supported for sessionTarget/);
});

test('no more runs at one time than cron.maxConcurrentRuns; a light one is without the workspace\'s files', async () => {
	const open = [], asked = [];
	const held = http.createServer(async (req, res) => {
		let body = '';
		for await (const piece of req)
			body += piece;
		asked.push(body);
		open.push(res);
	});
	await new Promise((resolve) => held.listen(0, '127.0.0.1', resolve));
	cleanup(() => held.closeAllConnections() ?? held.close());
	fs.writeFileSync(path.join(state, 'workspace/AGENTS.md'), 'The agents\' own rules.\n');
	fs.writeFileSync(path.join(state, 'workspace/HEARTBEAT.md'), 'Look at the oven.\n');
	config.models = { providers: { held: { baseUrl: `http://127.0.0.1:${held.address().port}/v1`, apiKey: 'k', api: 'openai-completions', models: [{ id: 'm' }] } } };
	writeConfig(config);
	await gw.rpc('system.reload');
	const at = new Date(Date.now() + 300).toISOString(), ids = [];
	for (const lightContext of [true, false, false])
		ids.push((await gw.rpc('cron.add', turn('x', { schedule: { kind: 'at', at }, deleteAfterRun: false, payload: { kind: 'agentTurn', message: 'x', model: 'held/m', lightContext } }))).id);
	await until('two to be asked', () => open.length === 2);
	await until('the third to be due', () => Date.now() > Date.parse(at) + 100);
	const running = (await gw.rpc('cron.list', {})).jobs.filter((j) => ids.includes(j.id) && j.state.runningAtMs);
	equal([running.length, open.length], [2, 2]);
	const answer = (res) => {
		res.writeHead(200, { 'content-type': 'text/event-stream' });
		res.end(`data: ${JSON.stringify({ choices: [{ index: 0, delta: { content: 'The same as ever.' }, finish_reason: 'stop' }] })}\n\ndata: [DONE]\n\n`);
	};
	open.splice(0).forEach(answer);
	await until('the third to be asked', () => open.length === 1);
	open.splice(0).forEach(answer);
	for (const id of ids)
		await finished(id);
	equal(asked.filter((body) => /The agents' own rules/.test(body)).length, 2);
	equal(asked.length, 3);
	asked.length = 0;
	Object.assign(config.agents.defaults.heartbeat, { model: 'held/m', lightContext: true });
	writeConfig(config);
	await gw.rpc('system.reload');
	heartbeat.answer = async () => {
		await until('it to be asked', () => open.length > 0);
		open.splice(0).forEach(answer);
	};
	heartbeat.asked = asked;
});

const heartbeat = {};
const beat = async (answers = true) => {
	const before = (await gw.rpc('last-heartbeat'))?.ts;
	await gw.rpc('wake', { mode: 'now', text: `something ${before}` });
	if (answers)
		await heartbeat.answer();
	return until('a heartbeat', async () => {
		const last = await gw.rpc('last-heartbeat');
		return last && last.ts !== before && last;
	});
};

test('a heartbeat says the same once a day, keeps quiet outside of its hours, and sees HEARTBEAT.md alone when it is light', async () => {
	tg.say(7, '/echo I am here');
	await tg.until('an answer', () => sent(/I am here/).length === 1);
	equal((await beat()).status, 'sent');
	await tg.until('it to be said', () => sent(/The same as ever/).length === 1);
	const again = await beat();
	equal([again.status, again.reason], ['skipped', 'duplicate']);
	ok(heartbeat.asked.every((body) => /Look at the oven/.test(body) && !/The agents' own rules/.test(body)));
	const bytes = Buffer.alloc(8);
	bytes.writeBigInt64LE(25n * 3600000n);
	fs.writeFileSync(clockFile, bytes);
	equal((await beat()).status, 'sent');
	await tg.until('it to be said anew', () => sent(/The same as ever/).length === 2);
	const hour = (h) => `${String((new Date(Date.now() + 25 * 3600000).getUTCHours() + h + 24) % 24).padStart(2, '0')}:00`;
	for (const [activeHours, quiet] of [[{ start: hour(3), end: hour(5), timezone: 'UTC' }, true], [{ start: hour(-2), end: hour(3), timezone: 'UTC' }, false],
		[{ start: '07:00', end: '07:00' }, true]]) {
		config.agents.defaults.heartbeat.activeHours = activeHours;
		writeConfig(config);
		await gw.rpc('system.reload');
		const last = await beat(!quiet);
		equal(last.reason, quiet ? 'quiet-hours' : 'duplicate', JSON.stringify([activeHours, last]));
	}
});

test('webhooks: whoever guesses at the token is locked out, and nobody else', async () => {
	config.gateway = { auth: { rateLimit: { maxAttempts: 3, exemptLoopback: false } } };
	writeConfig(config);
	await gw.rpc('system.reload');
	for (let i = 0; i < 3; i++)
		equal((await post('wake', { text: 'x', mode: 'next-heartbeat' }, { authorization: `Bearer wrong${i}` }))[0], 401);
	equal((await post('wake', { text: 'x' }))[0], 429); // though it is right
	equal((await gw.rpc('system.health')).ok, true);
});

await done();
