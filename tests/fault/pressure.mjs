// The slowest part holds up the channel, nothing else, and nothing is lost: a disk that takes 60 ms for a commit, a disk that
// refuses, a stop and a restart in the middle of all this.  The front door is Telegram, whose server keeps what nobody fetched.
import { spawnSync } from 'node:child_process';
import fs from 'node:fs';
import path from 'node:path';
import { Gateway, cleanup, cli, done, equal, match, ok, skipAll, state, test, until, writeConfig } from '../integration/lib.mjs';
import { FakeTelegram } from '../integration/fake-telegram.mjs';

if (!fs.existsSync(path.join(process.env.OC_MODULES, 'telegram.so')) && !process.env.OC_STATIC_MODULES?.split(' ').includes('telegram'))
	skipAll('the module telegram was left out');

const program = path.join(process.env.OC_TOP_BUILDDIR, 'openclaw-fault');
const CHATS = 60;

const tg = await new FakeTelegram().start();
cleanup(() => tg.stop());
writeConfig({
	agents: { defaults: { model: { primary: 'offline/echo' }, skipBootstrap: true } },
	session: { dmScope: 'per-channel-peer', typingMode: 'never' },
	gateway: { drainTimeoutMs: 300 },
	messages: { queue: { mode: 'followup', debounceMs: 0, cap: 1000 } },
	channels: { telegram: { botToken: tg.token, apiRoot: tg.url, dmPolicy: 'open', allowFrom: ['*'], streaming: 'off', streamMode: 'off' } },
});

let said = 0;
function say(n) {
	for (let i = 0; i < n; i++, said++)
		tg.say(1000 + (said % CHATS), `/echo answer-${said}.`);
}
const progress = setInterval(() => console.log(`# ${said} said, ${answers().length} answered, ${tg.updates.length} at Telegram`), 5000);
cleanup(() => clearInterval(progress));
const answers = () => [...tg.messages.values()].map((m) => /answer-(\d+)\./.exec(m.text ?? '')?.[1]).filter(Boolean).map(Number);
const fetched = () => said - tg.updates.length; // confirmed by the gateway: Telegram has forgotten them
const start = (fault) => new Gateway({ program, env: fault ? { OPENCLAW_FAULT: fault } : {} }).start();

function inStore() {
	const r = spawnSync(path.join(process.env.OC_TOP_BUILDDIR, 'tests/fault/sql'), [path.join(state, 'openclaw.db'), 'SELECT count(*) FROM inbox'], { encoding: 'utf8' });
	equal(r.status, 0, r.stderr);
	return Number(r.stdout);
}

async function figures(gw) {
	const out = {};
	for (const line of (await (await gw.fetch('/metrics')).text()).split('\n'))
		if (line.startsWith('openclaw_'))
			out[line.slice(9, line.lastIndexOf(' '))] = Number(line.slice(line.lastIndexOf(' ') + 1));
	return out;
}

test('a slow disk: Telegram keeps what the store has no room for, the gateway stays quick, all is answered once', async () => {
	const gw = await start('store-commit:1+:slow');
	say(150);
	let deepest = 0, slowest = 0, kept = 0, commits = 0;
	await until('the first answers', async () => {
		const began = Date.now();
		const m = await figures(gw);
		slowest = Math.max(slowest, Date.now() - began);
		deepest = Math.max(deepest, m['queue_depth{queue="store_writes"}']);
		commits ||= m.inbound_total >= 150 ? m.store_commits_total : 0;
		if (m.inbound_total < 150)
			kept = Math.max(kept, tg.updates.length);
		return answers().length >= 20;
	}, 60000);
	ok(kept >= 50, `${kept} messages waited at Telegram, not here`);
	await until('all answers', async () => {
		const m = await figures(gw);
		deepest = Math.max(deepest, m['queue_depth{queue="store_writes"}']);
		commits ||= m.inbound_total >= 150 ? m.store_commits_total : 0;
		return answers().length >= 150;
	}, 100000);
	// Each turn has at most a few batches at the store at a time: the turns bound its queue, whatever is said.
	ok(deepest < 4 * 150, `at most ${deepest} changes waited for the disk`);
	// Messages of one answer of Telegram's are committed together, whatever the number of their senders.
	ok(commits > 0 && commits < 30, `${commits} commits until 150 messages of one account were in the store`);
	console.log(`# ${commits} commits until all were in the store`);
	console.log(`# at most ${deepest} changes waited for the disk, ${kept} messages at Telegram; /metrics took ${slowest} ms at most`);
	equal(answers().sort((a, b) => a - b), Array.from({ length: 150 }, (_, i) => i), 'each once');
	equal(tg.updates.length, 0);
	await gw.stop();
});

test('a disk that refuses: nothing is confirmed to Telegram that is not stored, and it is not asked without end', async () => {
	const before = said;
	const gw = await start('store-commit:6+:eio');
	say(120);
	await until('the store to refuse', async () => (await figures(gw)).store_stalled === 1, 30000);
	const polls = () => tg.called('getUpdates').length;
	const then = { polls: polls(), at: Date.now() };
	await until('some seconds of it', () => Date.now() - then.at > 3000);
	const confirmed = fetched(), stored = inStore();
	console.log(`# ${stored - before} of 120 were stored when the disk refused, ${confirmed - before} confirmed`);
	ok(confirmed <= stored && stored < said, 'nothing is confirmed that is not stored');
	ok(polls() - then.polls < 30, `${polls() - then.polls} calls of getUpdates in 3 s`);
	ok((await gw.fetch('/health')).status > 0, 'it answers meanwhile');
	await gw.kill();
	const heir = await start();
	await until('all answers', () => new Set(answers()).size === said, 60000);
	// Telegram has no idempotency keys: what was sent and could not be noted goes out again after the kill, one a chat at most.
	const twice = answers().filter((n, i, all) => all.indexOf(n) !== i);
	equal(twice.filter((n) => n < before), []);
	equal(new Set(twice.map((n) => n % CHATS)).size, twice.length, `${twice.length} answers came twice`);
	await heir.stop();
});

test('a full queue of the store: Telegram keeps its messages, a client is told to come back, and what was accepted is done', async () => {
	const before = said, more = answers().length - said;
	const gw = await new Gateway({ program, env: { OPENCLAW_FAULT: 'store-commit:1+:slow', OPENCLAW_FAULT_QUEUE: '12' } }).start();
	const ask = (i) => gw.rpcRaw('session.message', { session: `rpc-${i}`, text: `/echo number ${i}.` });
	const sessions = async () => (await gw.rpc('session.list', { limit: 200 })).sessions.filter((s) => /rpc-/.test(s.key)).length;
	const asked = Array.from({ length: 60 }, (_, i) => ask(i));
	say(60);
	// How many are refused is the machine's affair: with Telegram's messages first it can be all.
	const refused = [];
	const see = (a, i) => {
		if (!a.error)
			return equal([a.result.status, a.result.text], ['ok', `number ${i}.`]);
		equal(a.error.code, -32006, JSON.stringify(a.error));
		match(a.error.message, /changes wait to be written/);
		match(a.error.data.remedy, /try again/);
		refused.push(i);
	};
	(await Promise.all(asked)).forEach(see);
	console.log(`# ${refused.length} of 60 were refused`);
	ok(refused.length >= 10, `${refused.length} of 60 were refused`);
	await until('all answers', () => answers().length === said + more, 60000);
	equal(answers().filter((n) => n >= before).sort((a, b) => a - b), Array.from({ length: 60 }, (_, i) => before + i), 'each once');
	equal(await sessions(), 60 - refused.length, 'what was refused left nothing');
	await until('those told to come back to have come back', async () => {
		for (const i of refused.splice(0))
			see(await ask(i), i);
		return refused.length === 0;
	}, 60000);
	equal(await sessions(), 60);
	await gw.stop();
	const check = JSON.parse(cli(['store', 'check', '--json'], { timeout: 30000 }).out);
	equal(check.problems, []);
});

test('stopped and started again and again under load: no message without its answer, none with two', async () => {
	const before = said, more = answers().length - said;
	const all = () => said + more;
	let gw = await start('store-commit:1+:slow');
	for (let round = 0; round < 4; round++) {
		say(25);
		const goal = Math.min(answers().length + 5, all());
		await until('a few answers', () => answers().length >= goal, 30000);
		equal((await gw.stop()).code, 0, gw.log);
		gw = await start(round < 3 ? 'store-commit:1+:slow' : undefined);
	}
	const ours = () => answers().filter((n) => n >= before);
	await until('all answers', () => ours().length >= 100, 60000);
	equal(ours().sort((a, b) => a - b), Array.from({ length: 100 }, (_, i) => before + i), 'each once');
	equal(tg.broken, undefined);
	await gw.stop();
});

await done();
