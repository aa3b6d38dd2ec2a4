// Messages that come during a turn, commands, stops and crashes, as people in a chat see them.
import fs from 'node:fs';
import path from 'node:path';
import { Gateway, cleanup, done, equal, match, ok, skipAll, spawnCli, state, test, until, writeConfig } from './lib.mjs';
import { FakeTelegram } from './fake-telegram.mjs';

if (!fs.existsSync(path.join(process.env.OC_MODULES, 'telegram.so')) && !process.env.OC_STATIC_MODULES?.split(' ').includes('telegram'))
	skipAll('the module telegram was left out');

const tg = await new FakeTelegram().start();
cleanup(() => tg.stop());

function config(queue, more = {}) {
	return {
		agents: { defaults: { model: { primary: 'offline/echo' } } },
		session: { dmScope: 'per-channel-peer', typingMode: 'never' },
		messages: { queue: { debounceMs: 50, ...queue } },
		channels: { telegram: { botToken: tg.token, apiRoot: tg.url, allowFrom: ['*'], dmPolicy: 'open' } },
		...more,
	};
}

let gw;
async function start(cfg) {
	if (cfg)
		writeConfig(cfg);
	gw = await new Gateway().start();
	await until('the account to be connected', async () =>
		(await gw.rpc('channels.status', { channel: 'telegram' })).accounts.some((a) => a.state === 'connected'));
}

const shown = (chat, n) => tg.until(`${n} messages in ${chat}`, () => tg.shown(chat).length >= n && tg.shown(chat), 20000);
const running = (n = 1) => until(`${n} running turns`, async () => new RegExp(`^openclaw_turns_running ${n}$`, 'm').test(await metrics()));
const metrics = async () => (await gw.fetch('/metrics')).text();
const metric = async (name) => Number(new RegExp(`^openclaw_${name.replace(/[{}"]/g, '\\$&')} (\\S+)$`, 'm').exec(await metrics())?.[1]);
const history = async (peer) => (await gw.rpc('session.history', { session: `agent:main:channel:telegram:dm:${peer}`, limit: 1000 })).messages
	.map((m) => `${m.role}:${m.content.map((p) => p.text ?? '').join('')}`);

test('collect: what came meanwhile is one message for the model', async () => {
	await start(config({}));
	tg.say(7, '/slow 12 50ms');
	await running();
	tg.say(7, '/echo b');
	tg.say(7, '/echo c');
	const texts = await shown(7, 2);
	match(texts[1], /b\s+c/);
	equal((await history(7)).filter((m) => m.startsWith('user:')).length, 2);
	equal(await metric('turns_queued_total{as="merged"}'), 1);
});

test('the bot shows the commands as its menu', () => {
	const names = tg.menu.map((c) => c.command);
	for (const name of ['new', 'stop', 'status', 'help', 'model', 'queue', 'compact'])
		ok(names.includes(name), name);
});

test('commands answer while the model talks; /stop ends it', async () => {
	tg.messages.clear();
	tg.say(7, '/slow 400 50ms');
	await running();
	tg.say(7, '/status');
	await tg.until('the status', () => tg.shown(7).some((t) => /Queue: collect/.test(t) && /Running for/.test(t)));
	tg.say(7, '/stop');
	await tg.until('the end', () => tg.shown(7).includes('⚙️ Agent was aborted.'));
	await running(0);
	match((await history(7)).at(-1), /^assistant:one two|^assistant:/);
	tg.say(7, '/help');
	await tg.until('the list', () => tg.shown(7).some((t) => /\/commands lists them all/.test(t)));
});

test('/queue interrupt: a newer message stops the answer', async () => {
	tg.messages.clear();
	tg.say(7, '/queue interrupt');
	await shown(7, 1);
	tg.say(7, '/slow 400 50ms');
	await running();
	tg.say(7, '/echo the newer one');
	await tg.until('its answer', () => tg.shown(7).includes('the newer one'), 20000);
	tg.say(7, '/queue steer');
	await tg.until('the change', () => tg.shown(7).filter((t) => /The queue is changed/.test(t)).length === 2);
});

test('steer: it becomes part of the answer that is under way', async () => {
	tg.messages.clear();
	tg.say(7, '/slow 12 50ms');
	await running();
	tg.say(7, '/echo steered');
	await tg.until('both in one', () => /\n\s*steered$/.test(tg.shown(7)[0] ?? ''), 20000);
	await running(0);
	equal(tg.shown(7).length, 1);
	equal((await history(7)).slice(-4).map((m) => m.split(':')[0]), ['user', 'assistant', 'user', 'assistant']);
	equal(await metric('turns_queued_total{as="steered"}'), 1);
});

test('followup with a cap: each message is a turn of its own, and the oldest of too many are dropped', async () => {
	tg.messages.clear();
	tg.say(7, '/queue followup debounce:1ms cap:3 drop:old');
	await shown(7, 1);
	tg.say(7, '/slow 1200 50ms');
	await running();
	const { run } = (await gw.rpc('agent.status', {})).runs.find((r) => r.state === 'running');
	for (let i = 1; i <= 5; i++)
		tg.say(7, `/echo number ${i}`);
	await until('two to be dropped', async () => (await metric('turns_queued_total{as="dropped"}')) === 2, 55000);
	equal((await gw.rpc('session.cancel', { runId: run })).canceled, 1);
	await tg.until('the last', () => tg.shown(7).includes('number 5'), 20000);
	await running(0);
	equal(tg.shown(7).filter((t) => /^number/.test(t)), ['number 3', 'number 4', 'number 5']);
});

test('debounce: what is said in one breath is one message, though nothing runs', async () => {
	await spawnCli(['config', 'set', 'messages.inbound.debounceMs', '400']);
	tg.messages.clear();
	tg.say(7, '/echo one');
	tg.say(7, '/echo breath');
	await tg.until('both in one', () => /^one\s+breath$/.test(tg.shown(7)[0] ?? ''));
	await running(0);
	equal(tg.shown(7).length, 1);
	await spawnCli(['config', 'unset', 'messages.inbound.debounceMs']);
});

test('the commands that change or show what no other test here does', async () => {
	const answers = { '/verbose on': /Tool calls are shown/, '/reasoning on': /Reasoning is shown/, '/compact': /compact/i, '/commands': /Slash commands.*\/subagents/s,
		'/subagents': /sub-agents/i, '/whoami': /Channel: telegram/, '/verbose off': /not shown/, '/no-such-command': /no-such-command/ };
	await Promise.all(Object.entries(answers).map(([text, answer], i) => {
		tg.say(31 + i, text); // a chat gets a message a second
		return tg.until(text, () => tg.shown(31 + i).some((t) => answer.test(t)));
	}));
});

test('over RPC: each request is a turn unless it says otherwise', async () => {
	const slow = gw.rpc('session.message', { session: 'rpc', text: '/slow 12 50ms' });
	await running();
	const plain = gw.rpc('session.message', { session: 'rpc', text: '/echo mine' });
	const steered = gw.rpc('session.message', { session: 'rpc', text: '/echo too late to steer', queue: 'collect' });
	const [a, b, c] = await Promise.all([slow, plain, steered]);
	equal([b.text, c.text], ['mine', 'too late to steer']);
	ok(a.text.length > 0);
	const long = gw.rpc('session.message', { session: 'rpc', text: '/slow 12 50ms' });
	await running();
	const into = await gw.rpc('session.message', { session: 'rpc', text: '/echo inside', queue: 'steer' });
	const whole = await long;
	equal([into.stopReason, into.mergedInto, into.text], ['merged', whole.runId, '']);
	match(whole.text, /\n\ninside$/);
	const bad = await gw.rpcRaw('session.message', { text: 'x', queue: 'sideways' });
	ok(bad.error);
});

test('a flood in one chat is summed up, and others are answered meanwhile', async () => {
	tg.messages.clear();
	await gw.stop();
	await start(config({ cap: 5 }, { agents: { defaults: { model: { primary: 'offline/echo' }, maxConcurrent: 1 } } }));
	tg.say(21, '/slow 1200 50ms'); // until all of the flood is there, however long that takes
	await running();
	const { run } = (await gw.rpc('agent.status', {})).runs.find((r) => r.state === 'running');
	for (let i = 0; i < 60; i++)
		tg.say(21, `/echo flood ${i}`);
	tg.say(22, '/echo not lost in the crowd');
	await until('the flood to be taken', async () => (await metric('turns_queued_total{as="summarized"}')) === 55, 55000);
	equal((await gw.rpc('session.cancel', { runId: run })).canceled, 1);
	await tg.until('the other one', () => tg.shown(22).includes('not lost in the crowd'), 20000);
	await tg.until('the flood', () => tg.shown(21).some((t) => /flood 59/.test(t)), 20000);
	await running(0);
	const said = (await history(21)).filter((m) => m.startsWith('user:'));
	equal(said.length, 2, 'the first, and one with all that came meanwhile');
	match(said[1], /55 earlier messages came/);
	match(said[1], /- \/echo flood 0\n/);
	equal(await metric('turns_queued_total{as="summarized"}'), 55);
	equal(tg.updates.length, 0);
});

test('a session that asks much does not hold up the others: with one place for turns, each has its own turn', async () => {
	const over = [];
	const ask = (session, n) => gw.rpc('session.message', { session, text: `/slow 2 15ms` }).then(() => over.push(`${session} ${n}`));
	const all = Array.from({ length: 24 }, (_, i) => ask('greedy', i));
	await running();
	for (let s = 0; s < 6; s++)
		all.push(ask(`modest-${s}`, 0), ask(`modest-${s}`, 1));
	await Promise.all(all);
	const modest = over.map((name, i) => (/^modest/.test(name) ? i : -1)).filter((i) => i >= 0);
	const between = over.slice(modest[0], modest.at(-1)).filter((name) => /^greedy/.test(name)).length;
	ok(between <= 4, `two messages each, while the greedy one had ${between}: ${over.join(', ')}`);
	// (On connections of their own: which of them the gateway saw first nobody knows.)
	equal(over.length, 36);
});

test('commands in a group: who may change the session; over RPC and on the command line its owner may', async () => {
	tg.messages.clear();
	await gw.stop();
	await start(config({}, { channels: { telegram: { botToken: tg.token, apiRoot: tg.url, allowFrom: [7], groupPolicy: 'open', groups: { '*': { requireMention: false } } } } }));
	const chat = { id: -1009, type: 'supergroup', title: 'all of us' };
	tg.say(99, 'take your time\n/slow 400 50ms', { chat });
	await running();
	for (const [i, text] of ['/stop', '/model offline/echo', '/queue steer', '/think high'].entries()) {
		tg.say(99, text, { chat });
		await tg.until(text, () => tg.shown(-1009).filter((t) => t === 'You may not use this command here.').length === i + 1);
	}
	equal(await metric('turns_running'), 1, 'nobody stopped it');
	tg.say(99, '/whoami', { chat });
	await tg.until('an answer to what changes nothing', () => tg.shown(-1009).some((t) => /May change the session: no/.test(t)));
	tg.say(7, '/stop', { chat });
	await tg.until('the end', () => tg.shown(-1009).includes('⚙️ Agent was aborted.'));
	await running(0);
	const group = (await gw.rpc('session.list', {})).sessions.map((s) => s.key).find((key) => /1009/.test(key));
	tg.say(99, '/reset', { chat });
	await tg.until('/reset', () => tg.shown(-1009).filter((t) => t === 'You may not use this command here.').length === 5);
	ok((await gw.rpc('session.history', { session: group, limit: 100 })).messages.some((m) => m.role === 'user'), 'nothing was reset');
	const rpc = async (text) => (await gw.rpc('session.message', { session: group, text })).text;
	match(await rpc('/whoami'), /May change the session: yes/);
	match(await rpc('/think high'), /high/);
	const run = await spawnCli(['agent', '--session', group, '--message', '/reset']);
	equal(run.code, 0, run.err);
	equal((await gw.rpc('session.history', { session: group, limit: 100 })).messages.filter((m) => m.role === 'user').length, 0);
	await gw.stop();
	await start(config({ cap: 5 }));
});

test('SIGTERM: the running answer is finished, the waiting message is answered after the start', async () => {
	tg.messages.clear();
	tg.say(23, '/slow 12 50ms');
	await running();
	tg.say(23, '/echo after the break');
	await until('it to wait', async () => (await metric('turns_waiting')) === 1);
	equal((await gw.stop()).code, 0);
	equal(tg.shown(23).length, 1);
	equal(tg.shown(23)[0].trim().split(/\s+/).length, 12);
	await start();
	equal((await shown(23, 2))[1], 'after the break');
	await running(0);
	equal(tg.shown(23).length, 2);
});

test('kill -9 in the middle of an answer: it is asked again and shown in the same message', async () => {
	tg.messages.clear();
	tg.say(24, '/slow 60 60ms');
	await tg.until('a preview', () => (tg.shown(24)[0] ?? '').length > 30, 20000);
	await until('it to be in the store', async () => {
		const list = await spawnCli(['sessions', 'list', '--json']);
		return list.code === 0;
	});
	await gw.kill();
	const before = tg.shown(24)[0].trim().split(/\s+/).length;
	ok(before < 60);
	await start();
	await tg.until('the whole', () => tg.shown(24).some((t) => t.trim().split(/\s+/).length >= 60), 20000);
	await running(0);
	equal(tg.shown(24).length, 1);
	equal(await history(24), ['user:/slow 60 60ms', `assistant:${(await history(24))[1].slice(10)}`]);
	equal(await metric('turns_resumed_total'), 1);
});

test('a session left alone begins anew, and /new takes a model', async () => {
	tg.messages.clear();
	tg.say(25, '/new offline/steady /echo first');
	await shown(25, 1);
	equal(tg.shown(25)[0], 'first');
	const row = await gw.rpc('session.get', { session: 'agent:main:channel:telegram:dm:25' });
	equal(row.model, 'offline/steady');
	tg.say(25, '/model default');
	tg.say(25, '/models');
	await tg.until('the list', () => tg.shown(25).some((t) => /Providers:.*offline/s.test(t)));
	tg.say(25, '/think high');
	tg.say(25, '/context');
	tg.say(25, '/usage cost');
	await tg.until('all answers', () => tg.shown(25).length >= 6);
	ok(tg.shown(25).some((t) => t === 'Thinking level set to high.'));
	ok(tg.shown(25).some((t) => /Tools: \d+/.test(t)));
	tg.say(25, '/reset');
	await tg.until('the reset', () => tg.shown(25).some((t) => /New session started/.test(t)));
	equal(await history(25), []);
	await gw.stop();
});

await done();
