// A loaded gateway killed again and again, at random moments and at each named place of core (OC_FAULT_POINT), over one and
// the same store.  Its network (network.mjs) stays alive and knows what was acknowledged and what was sent.
//
//   ROUNDS  kills in all (240)        SEED  of all that is random, printed        make check-crash ROUNDS=5000 SEED=7
import { spawn, spawnSync } from 'node:child_process';
import fs from 'node:fs';
import path from 'node:path';
import { cli, done, equal, ok, sleep, state, test, until, writeConfig } from '../integration/lib.mjs';
import { Network } from './network.mjs';

const build = path.join(process.env.OC_TOP_BUILDDIR, 'tests/fault');
const faulty = path.join(process.env.OC_TOP_BUILDDIR, 'openclaw-fault');
const sqlTool = path.join(build, 'sql');
const rounds = Number(process.env.ROUNDS || 240);
const seed = Number(process.env.SEED || (Date.now() ^ process.pid) >>> 0);
const db = path.join(state, 'openclaw.db');
console.log(`# SEED=${seed} ROUNDS=${rounds}`);

// mulberry32
let a = seed;
function random() {
	a = (a + 0x6d2b79f5) | 0;
	let t = Math.imul(a ^ (a >>> 15), 1 | a);
	t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
	return ((t ^ (t >>> 14)) >>> 0) / 4294967296;
}
const upTo = (n) => Math.floor(random() * n);

// The places are read from the sources: a new one is tested without being listed here.
function places() {
	const found = new Map();
	const walk = (dir) => {
		for (const entry of fs.readdirSync(dir, { withFileTypes: true })) {
			const file = path.join(dir, entry.name);
			if (entry.isDirectory())
				walk(file);
			else if (/\.c$/.test(entry.name))
				for (const [, kind, name] of fs.readFileSync(file, 'utf8').matchAll(/OC_FAULT_(POINT|STATUS)\("([^"]+)"\)/g))
					found.set(name, kind);
		}
	};
	walk(path.join(process.env.OC_TOP_SRCDIR, 'core'));
	return found;
}

function sql(...statements) {
	const r = spawnSync(sqlTool, [db, ...statements], { encoding: 'utf8' });
	if (r.status !== 0)
		throw new Error(`sql: ${r.stderr}`);
	return r.stdout.split('\n').filter(Boolean).map((line) => line.split('\t'));
}

const workspace = path.join(state, 'workspace');
fs.mkdirSync(workspace, { recursive: true, mode: 0o700 });
fs.writeFileSync(path.join(workspace, 'note.txt'), 'a note\n');
fs.mkdirSync(path.join(state, 'modules'), { mode: 0o700 });
fs.copyFileSync(path.join(build, '.libs/wire.so'), path.join(state, 'modules/wire.so'));
fs.chmodSync(path.join(state, 'modules/wire.so'), 0o644);
const socket = path.join(state, 'wire.sock');
writeConfig({
	agents: { defaults: { model: { primary: 'offline/echo' }, workspace } },
	session: { dmScope: 'per-channel-peer', typingMode: 'never' },
	messages: { queue: { mode: 'followup', debounceMs: 0, cap: 1000 } },
	modules: { entries: { wire: { isolation: 'inprocess' } } }, // its socket is the test's
	commands: { useAccessGroups: false },
	channels: { wire: { dmPolicy: 'open', replyToMode: 'all', socket } },
});
const network = new Network(socket, random);
await network.listen();

// ---- One gateway ----

class Victim {
	constructor(fault) {
		this.log = '';
		const env = { ...process.env };
		if (fault)
			env.OPENCLAW_FAULT = fault;
		this.child = spawn(faulty, ['gateway', 'run', '--any-port'], { env, stdio: ['ignore', 'pipe', 'pipe'] });
		this.child.stdout.on('data', (d) => (this.log += d));
		this.child.stderr.on('data', (d) => (this.log += d));
		this.over = new Promise((resolve) => this.child.on('exit', (code, signal) => resolve((this.exit = { code, signal }))));
	}

	kill(signal = 'SIGKILL') {
		if (!this.exit)
			this.child.kill(signal);
	}

	// Whether it ended by itself within ms.
	async ends(ms) {
		let timer;
		const late = new Promise((resolve) => (timer = setTimeout(() => resolve(false), ms)));
		const ended = await Promise.race([this.over.then(() => true), late]);
		clearTimeout(timer);
		return ended;
	}
}

// ---- The load ----

const chats = Array.from({ length: 12 }, (_, i) => `c${i}`);
const wishes = [
	(id) => `/echo ${id} is answered`,
	(id) => `/echo ${id} first\n/slow 3 4ms`,
	(id) => `/tool read {"path":"note.txt"}\n/then\n/echo ${id} after a tool`,
	(id) => `/tool read {"path":"note.txt"}\n/tool ls {}\n/then\n/tool write {"path":"${id}.txt","content":"x"}\n/then\n/echo ${id} after tools`,
	(id) => `hello, this is ${id}`,
];
// What does not end with one reply to each message: sub-agents, compaction, several messages answered as one, steering.
const child = (id) => `/tool sessions_spawn {"task":"/echo ${id} by a child"}\n/then\n/echo ${id} is given to a child`;
const looseWishes = {
	s: [child, child, wishes[0]],
	k: [wishes[0], wishes[4], () => '/compact'],
	q: [wishes[0], wishes[4], (id) => `/slow 4 5ms\n/echo ${id}`],
	t: [wishes[2], wishes[3], wishes[4]],
};
const looseChats = Object.keys(looseWishes).flatMap((kind) => [0, 1].map((i) => `${kind}${i}`));
for (const chat of looseChats)
	network.looseChats.add(chat);
const NOT_LOOSE = `NOT GLOB '*[:][kqst][0-9]*'`;
let queuesSet = false;

let stopLoad = false;
let looseShare = 0.3;
let diskFails = false;
async function load(pace) {
	while (!stopLoad) {
		await sleep(random() * pace);
		if (!queuesSet && network.socket) {
			queuesSet = true;
			for (const i of [0, 1]) {
				network.say(`q${i}`, () => '/queue collect', true);
				network.say(`t${i}`, () => '/queue steer', true);
			}
		}
		if (network.open.length < 60 && random() < looseShare) {
			const chat = looseChats[upTo(looseChats.length)], all = looseWishes[chat[0]];
			network.say(chat, all[upTo(all.length)], true);
		} else if (network.open.length < 60) {
			network.say(chats[upTo(chats.length)], wishes[upTo(wishes.length)]);
		}
		if (random() < 0.1 && network.messages.size > 0)
			network.sayAgain([...network.messages.values()][upTo(network.messages.size)]);
	}
}

async function round(kill) {
	stopLoad = false;
	const loading = load(6);
	const victim = await kill();
	await victim.over;
	stopLoad = true;
	await loading;
	for (const m of victim.log.matchAll(/^.*(?:AddressSanitizer|runtime error|LeakSanitizer|Assertion).*$/gm))
		network.problems.push(m[0]);
	const before = victim.exit.signal === 'SIGTERM' && !/ready in/.test(victim.log); // told to end before it could listen
	if (victim.exit.signal !== 'SIGKILL' && victim.exit.code !== 0 && !before)
		network.problems.push(`it ended by itself with ${JSON.stringify(victim.exit)}:\n${victim.log.slice(-2000)}`);
}

// ---- What must hold, in the store and on the network ----

function storeIsSound() {
	const check = cli(['store', 'check', '--json'], { timeout: 60000 });
	equal(check.code, 0, check.out + check.err);
	equal(JSON.parse(check.out).problems, []);
	equal(sql('PRAGMA integrity_check'), [['ok']]);
	equal(sql(`SELECT s.key, s.last_seq, count(e.seq), min(e.seq), max(e.seq) FROM sessions s LEFT JOIN events e ON e.session = s.id
		GROUP BY s.id HAVING count(e.seq) != s.last_seq OR min(e.seq) != 1 OR max(e.seq) != s.last_seq`), [], 'sequence numbers without holes');
	equal(sql(`SELECT m.session, m.seq FROM messages m LEFT JOIN events e ON e.session = m.session AND e.seq = m.seq
		WHERE e.seq IS NULL`), [], 'every message has its event');
	equal(sql('SELECT i.message_id FROM inbox i LEFT JOIN runs r ON r.run = i.run WHERE r.run IS NULL'), [], 'every inbox row has its run');
	equal(sql(`SELECT m.run, count(*) FROM messages m JOIN sessions s ON s.id = m.session WHERE role = 'user' AND m.run IS NOT NULL
		AND s.key ${NOT_LOOSE} GROUP BY m.run HAVING count(*) > 1`), [],
		'no message is in the history twice');
	equal(sql(`SELECT r.run FROM runs r WHERE state = 'done' AND r.session ${NOT_LOOSE} AND NOT EXISTS (SELECT 1 FROM messages m WHERE m.run = r.run AND role = 'assistant')`),
		[], 'what is done has its answer');
	equal(sql(`SELECT run FROM outbox WHERE run IS NOT NULL GROUP BY run HAVING count(*) > 1`), [], 'a run has one reply');
	equal(sql(`SELECT r.run, r.state FROM runs r JOIN inbox i ON i.run = r.run WHERE r.session ${NOT_LOOSE} AND r.state NOT IN ('accepted', 'running', 'suspended')
		AND NOT EXISTS (SELECT 1 FROM outbox o WHERE o.key IN ('run:' || r.run, 'int:' || r.run))`), [], 'what is over has its reply in the outbox');
	equal(sql(`SELECT r.run FROM runs r JOIN outbox o ON o.key IN ('run:' || r.run, 'int:' || r.run) GROUP BY r.run HAVING count(*) > 1`), [],
		'a run is answered or reported, not both');
}

const dump = (m) => `${m.id} in ${m.chat}: ${JSON.stringify(m)} ${m.keys.map((k) => network.textOf(k)).join(' | ')}`;

async function allAnswered() {
	const victim = new Victim();
	try {
		await until('it to be ready', () => /ready in/.test(victim.log));
		await until('every message to be acknowledged and answered', () => network.open.length === 0, 30000);
		await until('every run to be over', () => sql(`SELECT count(*) FROM runs WHERE state IN ('accepted', 'running', 'suspended')`)[0][0] === '0', 30000);
		await until('the outbox to be empty', () => sql(`SELECT count(*) FROM outbox WHERE state = 'pending'`)[0][0] === '0');
	} catch (error) {
		throw new Error(`${error.message}\n${network.open.slice(0, 5).map(dump).join('\n')}\n${victim.log.slice(-3000)}`);
	} finally {
		victim.kill('SIGTERM');
		if (!(await victim.ends(10000)))
			victim.kill();
	}
	equal(victim.exit, { code: 0, signal: null }, `it stops in order: ${victim.log.slice(-2000)}`);
	let interrupted = 0, failed = 0;
	for (const m of network.messages.values()) {
		if (m.loose)
			continue;
		const texts = m.keys.map((k) => network.textOf(k));
		equal(m.keys.length, 1, `one answer to each message: ${dump(m)}`);
		if (/interrupted|gave this message up/.test(texts[0]))
			interrupted++;
		else if (diskFails && /the store failed: as the test wants it/.test(texts[0]))
			failed++;
		else
			ok(texts[0].includes(m.id), `the answer to ${m.id} is its own: ${dump(m)}`);
	}
	equal(network.problems, []);
	storeIsSound();
	equal(sql(`SELECT state, count(*) FROM runs WHERE state IN ('accepted', 'running', 'suspended') GROUP BY state`), []);
	const facts = [`${network.messages.size} messages`, `${interrupted} interruptions reported`, `${failed} failures told`, `${network.redelivered} handed in again`,
		`${network.nacks} not taken at first`, `${network.resent} replies sent again with the same key`];
	console.log(`# ${facts.join(', ')}`);
}

// ---- The rounds ----

cli(['gateway', 'status'], { timeout: 5000 });
equal(cli(['module', 'enable', 'wire']).code, 0, 'the module of the test can be enabled');

const all = places();
const migration = [...all.keys()].filter((name) => name.startsWith('migrate'));
const drain = [...all.keys()].filter((name) => name.startsWith('drain'));
const jobs = [...all.keys()].filter((name) => name.startsWith('cron'));
const onTheWay = [...all.keys()].filter((name) => ![...migration, ...drain, ...jobs].includes(name));
const share = Math.max(1, Math.floor(rounds / 2 / (onTheWay.length + drain.length)));
let kills = 0;

test('killed while it makes its store', async () => {
	for (const place of migration) {
		for (const file of [db, `${db}-wal`, `${db}-shm`])
			fs.rmSync(file, { force: true });
		const victim = new Victim(`${place}:1:kill`);
		ok(await victim.ends(10000), `${place} is passed`);
		equal(victim.exit.signal, 'SIGKILL', victim.log);
		kills++;
		const again = new Victim();
		await until('the next one to be ready', () => /ready in/.test(again.log) || again.exit);
		ok(!again.exit, again.log);
		again.kill('SIGTERM');
		ok(await again.ends(10000));
		equal(again.exit.code, 0, again.log);
		equal(sql('PRAGMA integrity_check'), [['ok']]);
	}
});

test('killed at each named place of a message', async () => {
	const never = new Set(onTheWay);
	for (let i = 0; i < share; i++) {
		for (const place of onTheWay) {
			await round(async () => {
				const victim = new Victim(`${place}:${i === 0 ? 1 : 1 + upTo(12)}:kill`);
				if (await victim.ends(400))
					never.delete(place);
				victim.kill();
				kills++;
				return victim;
			});
		}
	}
	never.delete('failure-commit'); // turns that fail come below
	// The rest needs an answer that is waited for, or more messages meanwhile: it gets time, and more of the loads that do this.
	looseShare = 0.7;
	for (const place of never) {
		for (let tries = 0; tries < 10 && never.has(place); tries++) {
			await round(async () => {
				const victim = new Victim(`${place}:1:kill`);
				if (await victim.ends(1500))
					never.delete(place);
				victim.kill();
				return victim;
			});
		}
	}
	looseShare = 0.3;
	await allAnswered();
	equal([...never], [], 'every place was passed');
});

test('killed while it stops', async () => {
	for (let i = 0; i < share; i++) {
		for (const place of [...drain, '']) {
			await round(async () => {
				const victim = new Victim(place ? `${place}:1:kill` : '');
				await sleep(20 + random() * 60);
				victim.kill('SIGTERM');
				if (place === '')
					await sleep(random() * 20);
				if (place === '' || !(await victim.ends(3000)))
					victim.kill();
				kills++;
				return victim;
			});
		}
	}
	await allAnswered();
});

test('killed at random moments', async () => {
	network.refuse = 0.03;
	network.held = 0.3;
	do {
		await round(async () => {
			const victim = new Victim();
			await sleep(random() * (random() < 0.2 ? 20 : 220));
			victim.kill();
			kills++;
			return victim;
		});
		if (kills % 50 === 0)
			storeIsSound();
	} while (kills < rounds);
	network.refuse = network.held = 0;
	await allAnswered();
	console.log(`# ${kills} kills`);
});

test('commits that fail now and then', async () => {
	diskFails = true;
	for (let i = 0; i < 4; i++) {
		stopLoad = false;
		const loading = load(6);
		const victim = new Victim(Array.from({ length: 6 }, () => `store-commit:${3 + upTo(120)}:eio`).join(','));
		await sleep(500);
		stopLoad = true;
		await loading;
		try {
			await until('every message to be answered without a new start', () => network.open.length === 0 || victim.exit, 20000);
		} catch (error) {
			throw new Error(`${error.message}\n${network.open.slice(0, 5).map(dump).join('\n')}\n${victim.log.slice(-4000)}`);
		} finally {
			victim.kill('SIGTERM');
		}
		ok(await victim.ends(10000), 'it stops');
		equal(victim.exit, { code: 0, signal: null }, victim.log.slice(-2000));
	}
	await allAnswered();
});

test('killed at each named place of a job by the clock: each run is made and delivered once', async () => {
	network.looseChats.add('jobs');
	const ready = async (victim) => {
		await until('it to be ready', () => /ready in/.test(victim.log));
		return victim;
	};
	const stop = async (victim) => {
		victim.kill('SIGTERM');
		ok(await victim.ends(10000), 'it stops');
	};
	const maker = await ready(new Victim());
	const added = cli(['cron', 'add', '--name', 'tick', '--every', '1s', '--session', 'isolated', '--message', '/echo tick', '--announce',
		'--channel', 'wire', '--to', 'jobs', '--json']);
	equal(added.code, 0, added.err);
	await stop(maker);
	for (const place of jobs) {
		const victim = new Victim(`${place}:${1 + upTo(2)}:kill`);
		ok(await victim.ends(20000), `${place} is passed`);
		equal(victim.exit.signal, 'SIGKILL', victim.log);
		kills++;
	}
	const heir = await ready(new Victim());
	const runs = (what) => Number(sql(`SELECT count(*) FROM cron_runs WHERE ${what}`)[0][0]);
	await until('some runs more', () => runs('ended_ms IS NOT NULL') > jobs.length + 2);
	equal(cli(['cron', 'disable', JSON.parse(added.out).id]).code, 0);
	await until('every run to be over', () => runs('ended_ms IS NULL') === 0);
	await until('the outbox to be empty', () => sql(`SELECT count(*) FROM outbox WHERE state = 'pending'`)[0][0] === '0');
	await stop(heir);
	const sent = [...network.sent.values()].filter((s) => s.message.to === 'jobs').map((s) => s.message.text);
	equal(sent, Array(runs(`status = 'ok'`)).fill('tick'), 'what was run is said once');
	equal(network.problems, []);
});

test('the usual program has none of this', () => {
	const makefile = fs.readFileSync(path.join(process.env.OC_TOP_BUILDDIR, 'config.h'), 'utf8');
	const usual = fs.readFileSync(fs.existsSync(`${path.dirname(process.env.OC_BIN)}/.libs/openclaw`) ? `${path.dirname(process.env.OC_BIN)}/.libs/openclaw` : process.env.OC_BIN);
	const names = [...all.keys(), 'OPENCLAW_FAULT'].filter((name) => usual.includes(`${name}\0`));
	if (/#define OC_FAULT_POINTS 1/.test(makefile))
		ok(names.length > 0, 'configured with --enable-fault-points');
	else
		equal(names, []);
	const with_them = fs.readFileSync(faulty);
	equal([...all.keys(), 'OPENCLAW_FAULT'].filter((name) => !with_them.includes(`${name}\0`)), [], 'the test program has all of them');
});

await done();
