// Somebody sets the clock while a gateway runs: by an hour and by a day, forwards and backwards, under load.  Nothing is lost
// or done twice, the order is that of the numbers, nothing is removed, and no timer runs wild.
import fs from 'node:fs';
import http from 'node:http';
import path from 'node:path';
import { Gateway, cleanup, cli, done, equal, match, ok, sleep, state, test, until, writeConfig } from '../integration/lib.mjs';
import { FakeTelegram } from '../integration/fake-telegram.mjs';
import { Network } from './network.mjs';

const build = path.join(process.env.OC_TOP_BUILDDIR, 'tests/fault/.libs');
const HOUR = 3600_000, DAY = 24 * HOUR;
const CHATS = 10;
const hasTelegram = fs.existsSync(path.join(process.env.OC_MODULES, 'telegram.so')) || process.env.OC_STATIC_MODULES?.split(' ').includes('telegram');

// ---- The clock ----

fs.mkdirSync(state, { recursive: true, mode: 0o700 });
const clockFile = path.join(state, 'clock');
fs.writeFileSync(clockFile, Buffer.alloc(8));
const clockFd = fs.openSync(clockFile, 'r+');
const noon = 12 * HOUR - (Date.now() % DAY); // the day's reset at four is far away
let now = 0;
function setClock(offset) {
	const bytes = Buffer.alloc(8);
	bytes.writeBigInt64LE(BigInt(now = noon + offset));
	fs.writeSync(clockFd, bytes, 0, 8, 0);
}
setClock(0);
const env = { OC_TEST_CLOCK: clockFile, LD_PRELOAD: path.join(build, 'clock.so'),
	ASAN_OPTIONS: `${process.env.ASAN_OPTIONS ?? ''}:verify_asan_link_order=0` }; // which is told that it comes second

// ---- The gateway and its surroundings ----

const network = new Network(path.join(state, 'wire.sock'), () => 0.5);
await network.listen();
const tg = await new FakeTelegram().start();
cleanup(() => tg.stop());
let asked = 0; // of a provider that does not want us
const shuns = http.createServer((req, res) => {
	asked++;
	res.writeHead(401, { 'content-type': 'application/json' });
	res.end('{"error":{"message":"no such key","type":"authentication_error"}}');
});
await new Promise((resolve) => shuns.listen(0, '127.0.0.1', resolve));
cleanup(() => shuns.close());
fs.mkdirSync(path.join(state, 'modules'), { mode: 0o700 });
fs.copyFileSync(path.join(build, 'wire.so'), path.join(state, 'modules/wire.so'));
fs.chmodSync(path.join(state, 'modules/wire.so'), 0o644);
writeConfig({
	agents: {
		defaults: { model: { primary: 'offline/echo' }, skipBootstrap: true },
		list: [{ id: 'main', default: true }, { id: 'shunned', model: { primary: 'shuns/one', fallbacks: ['offline/echo'] } }],
	},
	models: { providers: { shuns: { baseUrl: `http://127.0.0.1:${shuns.address().port}`, apiKey: 'k', api: 'openai-completions', models: [{ id: 'one' }] } } },
	session: {
		dmScope: 'per-channel-peer', typingMode: 'never',
		reset: { mode: 'daily', atHour: 4, idleMinutes: 60 },
		resetByChannel: { wire: { mode: 'off' } },
		maintenance: { mode: 'enforce', pruneAfter: '7d', eventRetention: '7d', deliveryRetention: '7d' },
	},
	messages: { queue: { mode: 'followup', debounceMs: 0, cap: 1000 } },
	modules: { entries: { wire: { isolation: 'inprocess' } } }, // its socket is the test's
	commands: { useAccessGroups: false },
	channels: {
		wire: { dmPolicy: 'open', replyToMode: 'all', socket: network.path },
		...(hasTelegram ? { telegram: { botToken: tg.token, apiRoot: tg.url, dmPolicy: 'pairing', allowFrom: Array.from({ length: 20 }, (_, i) => 100 + i), streaming: 'off', streamMode: 'off' } } : {}),
	},
});
equal(cli(['module', 'enable', 'wire']).code, 0);
let gw = await new Gateway({ env }).start();

const key = (channel, chat) => `agent:main:channel:${channel}:dm:${chat}`;
const history = async (session) => (await gw.rpc('session.history', { session, limit: 1000 })).messages;
const texts = async (session) => (await history(session)).filter((m) => m.role === 'user').map((m) => m.text ?? m.content[0].text);
async function metric(name) {
	const line = (await (await gw.fetch('/metrics')).text()).split('\n').find((l) => l.startsWith(`openclaw_${name} `));
	return Number(line?.split(' ')[1]);
}

// Processor time in seconds, and how often its threads went to sleep.
function effort() {
	const stat = fs.readFileSync(`/proc/${gw.pid}/stat`, 'utf8').replace(/^.*\) /, '').split(' ');
	let switches = 0;
	for (const thread of fs.readdirSync(`/proc/${gw.pid}/task`))
		switches += Number(/^voluntary_ctxt_switches:\s*(\d+)/m.exec(fs.readFileSync(`/proc/${gw.pid}/task/${thread}/status`, 'utf8'))?.[1] ?? 0);
	return { seconds: (Number(stat[11]) + Number(stat[12])) / 100, switches };
}

// ---- Under load ----

const steps = [HOUR, 0, -HOUR, 0, DAY, 0, -DAY, 0, DAY, -DAY, HOUR, -HOUR, 3 * DAY, 0];

test('under load: each message is answered once, in order, with numbers without holes', async () => {
	await until('the network', () => network.socket);
	const said = Array.from({ length: CHATS }, () => []);
	for (const [k, step] of steps.entries()) {
		setClock(step);
		if (hasTelegram)
			tg.say(100 + k, `/echo at ${step}`);
		for (let i = 0; i < 20; i++) {
			const chat = i % CHATS, m = network.say(`c${chat}`, (id) => `/echo ${id} is answered`);
			said[chat].push(m.text);
			if (i % 4 === 0)
				network.sayAgain([...network.messages.values()][Math.floor(network.messages.size * i / 20)]);
		}
		await until('half of it', () => network.open.length < 10);
	}
	await until('all answers', () => network.open.length === 0);
	if (hasTelegram)
		await tg.until('those over Telegram', () => tg.messages.size >= steps.length);
	equal(tg.messages.size, hasTelegram ? steps.length : 0);
	equal(tg.updates, []);
	// What was handled on another day is still known.
	for (const step of [2 * DAY, -2 * DAY, 0]) {
		setClock(step);
		const acks = () => [...network.messages.values()].reduce((n, m) => n + m.acks, 0), before = acks();
		for (const m of network.messages.values())
			network.sayAgain(m);
		await until('all to be acknowledged again', () => acks() >= before + network.messages.size);
	}
	equal(network.problems, []);
	for (const m of network.messages.values()) {
		equal(m.keys.length, 1, `${m.id}: ${m.keys}`);
		match(network.textOf(m.keys[0]), new RegExp(`^${m.id} is answered`));
	}
	for (let chat = 0; chat < CHATS; chat++) {
		equal(await texts(key('wire', `c${chat}`)), said[chat]);
		const events = (await gw.rpc('session.events', { session: key('wire', `c${chat}`), limit: 1000 })).events;
		equal(events.map((e) => e.seq), events.map((_, i) => i + 1));
	}
	equal(await metric('outbox_pending'), 0);
});

test('no timer runs wild afterwards', async () => {
	for (const step of [DAY, -DAY, HOUR, -HOUR, 0])
		setClock(step);
	await sleep(300);
	const before = effort();
	await sleep(1000);
	const after = effort();
	ok(after.seconds - before.seconds < 0.3, `${after.seconds - before.seconds} s of processor time in an idle second`);
	ok(after.switches - before.switches < 300, `${after.switches - before.switches} times awake in an idle second`);
});

// ---- What goes by the time of day ----

test('a session begins anew when the clock says so, not because it was set back; what was said stays in the store', async () => {
	const session = 'rules';
	const say = async (text) => {
		equal((await gw.rpc('session.message', { session, text, wait: true })).status, 'ok');
		return texts(session);
	};
	setClock(0);
	equal(await say('one'), ['one']);
	equal(await say('two'), ['one', 'two']);
	setClock(-DAY);
	equal(await say('three'), ['one', 'two', 'three'], 'a day back: nothing is forgotten');
	setClock(-DAY + 50 * 60_000);
	equal((await say('four')).length, 4);
	setClock(-DAY + 2 * HOUR);
	equal(await say('five'), ['five'], 'more than an hour without a word');
	setClock(-HOUR);
	equal(await say('six'), ['six'], 'another day');
	setClock(-HOUR / 2);
	equal(await say('seven'), ['six', 'seven']);
	const events = (await gw.rpc('session.events', { session, limit: 1000 })).events;
	equal(events.map((e) => e.seq), events.map((_, i) => i + 1));
	equal(events.filter((e) => e.kind === 'message_received').length, 7, 'all of it is still there');
});

test('jobs by the clock: a day ahead they run once, a day back they go on in their rhythm', async () => {
	const add = (name, schedule) => gw.rpc('cron.add', { name, schedule, payload: { kind: 'agentTurn', message: `/echo ${name}` }, delivery: { mode: 'none' } });
	const poke = async () => gw.rpc('cron.remove', { id: (await add('poke', { kind: 'every', everyMs: 9 * DAY })).id }); // else it is noticed within a minute
	const next = async (id) => (await gw.rpc('cron.list')).jobs.find((j) => j.id === id).state.nextRunAtMs;
	setClock(0);
	const [hourly, noonly] = [await add('hourly', { kind: 'every', everyMs: HOUR }), await add('noonly', { kind: 'cron', expr: '0 13 * * *', tz: 'UTC' })];
	const runs = async (job) => (await gw.rpc('cron.runs', { id: job.id })).entries.length;
	setClock(3 * DAY + HOUR / 2);
	await poke();
	await until('both to run', async () => (await runs(hourly)) === 1 && (await runs(noonly)) === 1);
	const ahead = Date.now() + now;
	await until('the next', async () => Math.abs((await next(hourly.id)) - ahead) <= HOUR);
	setClock(0);
	await poke();
	const there = Date.now() + now;
	for (const [job, rhythm] of [[hourly, HOUR], [noonly, DAY]]) {
		const due = await next(job.id);
		ok(due > there - 60_000 && due <= there + rhythm + 60_000, `${job.name}: ${(due - there) / HOUR} hours from now`);
		equal(await runs(job), 1, job.name);
		await gw.rpc('cron.remove', { id: job.id });
	}
});

test('the code of a stranger lives for an hour, and not for days when the clock is set back', async () => {
	if (!hasTelegram)
		return;
	const asks = async () => (await gw.rpc('pairing.list', { channel: 'telegram' })).requests;
	const says = async (text, offset) => {
		setClock(offset);
		const before = tg.shown(555).length;
		tg.say(555, text);
		await tg.until('an answer', () => tg.shown(555).length > before);
	};
	await says('let me in', 0);
	const [{ code }] = await asks();
	for (const step of [HOUR / 2, -HOUR / 2, 0]) {
		setClock(step);
		equal((await asks()).map((a) => a.code), [code], `at ${step / HOUR} hours`);
	}
	for (const step of [HOUR + 60_000, DAY, -2 * HOUR, -DAY]) {
		setClock(step);
		equal(await asks(), [], `at ${step / HOUR} hours`);
		ok((await gw.rpcRaw('pairing.approve', { channel: 'telegram', code })).error);
	}
	await says('let me in again', -DAY);
	const [again] = await asks();
	ok(again.code !== code, 'a code of its own');
	setClock(0);
	equal(await asks(), []);
	await says('and again', 0);
	await gw.rpc('pairing.approve', { channel: 'telegram', code: (await asks())[0].code });
	for (const step of [DAY, -DAY, 0]) {
		setClock(step);
		tg.say(555, `/echo let in at ${step}`);
		await tg.until('it to be answered', () => tg.shown(555).includes(`let in at ${step}`));
	}
});

test('a delivery that is tried again neither waits for the old time nor is made twice', async () => {
	const refused = async () => network.refused >= 1;
	network.refuse = 1;
	network.refused = 0;
	const first = network.say('c0', (id) => `/echo ${id} late`);
	await until('a first try', refused);
	setClock(-DAY);
	network.refuse = 0;
	await until('the reply', () => first.keys.length > 0);
	// The same across a restart: the row says when, by a clock that is a day ahead.
	setClock(DAY);
	network.refuse = 1;
	network.refused = 0;
	const second = network.say('c1', (id) => `/echo ${id} later`);
	await until('a first try', refused);
	await until('it to be noted', async () => (await metric('delivery_retries_total')) >= 2);
	await gw.kill();
	network.refuse = 0;
	setClock(0);
	gw = await new Gateway({ env }).start();
	await until('the reply', () => second.keys.length > 0);
	equal([first.keys.length, second.keys.length], [1, 1]);
	equal(network.problems, []);
});

test('a provider that rests goes on resting, and not for longer after a restart', async () => {
	const turn = () => gw.rpc('session.message', { session: 'agent:shunned:main', text: '/echo hello', wait: true });
	setClock(0);
	equal((await turn()).status, 'ok');
	const before = asked;
	ok(before > 0);
	for (const step of [HOUR, -HOUR, DAY, -DAY]) {
		setClock(step);
		equal((await turn()).status, 'ok');
	}
	equal(asked, before, 'it was left alone');
	await gw.stop();
	setClock(-2 * DAY);
	gw = await new Gateway({ env }).start();
	equal((await turn()).status, 'ok');
	ok(asked > before, 'a rest that ends in two days is none');
});

test('nothing old is removed by a clock that was just set; space is given back all the same', async () => {
	setClock(0);
	cli(['store', 'compact'], { env });
	await until('the first round', () => /compacted/.test(gw.log));
	const sessions = await metric('sessions');
	ok(sessions >= CHATS);
	for (const step of [100 * DAY, -100 * DAY, 100 * DAY]) {
		setClock(step);
		const rounds = gw.log.match(/compacted/g).length;
		const r = cli(['store', 'compact'], { env });
		equal(r.code, 0, r.err);
		await until('the round', () => gw.log.match(/compacted/g).length > rounds);
	}
	match(gw.log, /the clock was set forward by \d+ s: nothing old is removed for a day/);
	equal(await metric('sessions'), sessions);
	equal(await metric('store_pruned_sessions_total'), 0);
	equal(await metric('store_pruned_rows_total'), 0);
});

test('the store is sound, and the gateway stops in order', async () => {
	equal((await gw.stop()).code, 0);
	const check = cli(['store', 'check', '--json']);
	equal(check.code, 0, check.out + check.err);
	network.close();
});

await done();
