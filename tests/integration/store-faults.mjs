// What can go wrong with the store's file, through the front door: a disk that is really full, a file system that is read-only, a
// page that is damaged, a file of a newer program, a second gateway.  A clear error each time, nothing acknowledged is lost, and
// the service goes on when the cause is gone.
import { spawnSync } from 'node:child_process';
import fs from 'node:fs';
import path from 'node:path';
import { cleanup, cli, done, equal, Gateway, match, ok, state, test, until } from './lib.mjs';

const disk = path.join(state, 'disk'); // a file system of its own, of a few megabytes
const token = 'a-token-for-this-test-0123456789';
const env = { OPENCLAW_STATE_DIR: disk, OPENCLAW_GATEWAY_TOKEN: token };
const db = path.join(disk, 'openclaw.db');
const filler = path.join(disk, 'filler');
const sh = (...args) => spawnSync(args[0], args.slice(1), { encoding: 'utf8' });
const json = (args) => {
	const r = cli(args, { env });
	equal(r.code, 0, `${args.join(' ')}: ${r.err}`);
	return JSON.parse(r.out);
};

fs.mkdirSync(disk, { recursive: true, mode: 0o700 });
const mounted = process.env.OC_OWN_MOUNTS === '1' && sh('mount', '-t', 'tmpfs', '-o', 'size=6m,mode=700', 'tmpfs', disk).status === 0;
if (!mounted)
	console.log('# no file system can be mounted here: a disk that is full or read-only is not tested (see store.test for a limit on files)');

function fill() {
	const fd = fs.openSync(filler, 'a');
	for (const size of [1 << 16, 4096, 512, 1]) {
		try {
			for (;;)
				fs.writeSync(fd, Buffer.alloc(size));
		} catch (error) {
			equal(error.code, 'ENOSPC');
		}
	}
	fs.closeSync(fd);
}

const acknowledged = [];
let n = 0;
async function say(gateway) {
	const text = `message number ${++n}`;
	const answer = await gateway.rpcRaw('session.message', { session: 'main', text });
	if (answer.result?.status === 'ok')
		acknowledged.push(text);
	return answer;
}

function nothingIsLost() {
	const report = json(['store', 'check', '--json']);
	equal(report.problems, []);
	const lines = cli(['sessions', 'export', 'main'], { env }).out.trim().split('\n').map((line) => JSON.parse(line));
	const said = lines.filter((m) => m.role === 'user').map((m) => JSON.stringify(m.content));
	for (const text of acknowledged)
		equal(said.filter((s) => s.includes(`${text}"`)).length, 1, text);
}

let gateway = new Gateway({ env });
await gateway.start();

test('it works before anything goes wrong', async () => {
	for (let i = 0; i < 5; i++)
		equal((await say(gateway)).result?.status, 'ok');
	nothingIsLost();
});

if (mounted) {
	test('a full disk: refused in words, and nothing that was acknowledged is lost', async () => {
		fill();
		let refused;
		await until('a message to be refused', async () => {
			refused = (await say(gateway)).error; // what is left of the log's last page may take a few
			return refused;
		});
		match(refused.message, /full|space|disk/i);
		match(refused.data.remedy, /free|disk/);
		ok((await say(gateway)).error);
		match(cli(['status'], { env }).out, /cannot be written/);
		const ready = await fetch(`http://127.0.0.1:${gateway.port}/ready`);
		const { uptimeMs, ...state } = await ready.json();
		equal([ready.status, state, uptimeMs > 0], [503, { ready: false, failing: ['store'] }, true]);
		ok(gateway.exit === undefined);
	});

	test('it goes on by itself when there is space again', async () => {
		fs.rmSync(filler);
		await until('writing to go on', async () => (await gateway.rpc('system.status', {})).store.ok);
		equal((await fetch(`http://127.0.0.1:${gateway.port}/ready`)).status, 200);
		equal((await say(gateway)).result?.status, 'ok');
		nothingIsLost();
	});

	test('killed with a full disk, and started on it', async () => {
		fill();
		await say(gateway);
		await gateway.kill();
		const again = new Gateway({ env });
		let failed = '';
		await again.start().catch((error) => (failed = error.message));
		if (failed !== '')
			match(failed, /full|space|disk/i); // it may refuse to start, but has to say why
		else
			ok((await say(again)).error);
		await again.kill();
		fs.rmSync(filler);
		gateway = await new Gateway({ env }).start();
		equal((await say(gateway)).result?.status, 'ok');
		nothingIsLost();
	});

	test('a read-only file system: told at the start, and nothing is changed', async () => {
		equal((await gateway.stop()).code, 0);
		equal(sh('mount', '-o', 'remount,ro', disk).status, 0);
		const again = new Gateway({ env });
		let failed = '';
		await again.start().catch((error) => (failed = error.message));
		await again.kill();
		match(failed, /read-only|Read-only|cannot (open|create|make|write)/);
		nothingIsLost(); // which reads it where it is
		equal(sh('mount', '-o', 'remount,rw', disk).status, 0);
		gateway = await new Gateway({ env }).start();
		equal((await say(gateway)).result?.status, 'ok');
		nothingIsLost();
	});

	test('a store that cannot be written: told at the start', async () => {
		equal((await gateway.stop()).code, 0);
		equal(sh('mount', '--bind', db, db).status, 0);
		equal(sh('mount', '-o', 'remount,bind,ro', db).status, 0);
		const again = new Gateway({ env });
		let failed = '';
		await again.start().catch((error) => (failed = error.message));
		await again.kill();
		equal(sh('umount', db).status, 0);
		match(failed, /cannot write to the store .*openclaw\.db: Read-only file system/);
		gateway = await new Gateway({ env }).start();
		nothingIsLost();
	});
}

test('a second gateway on the same store is refused by name, and the first works on', async () => {
	const r = cli(['gateway', 'run', '--any-port'], { env });
	ok(r.code !== 0, r.out);
	match(r.err + r.out, new RegExp(`in use by another process, pid ${gateway.pid}|pid ${gateway.pid}`));
	equal((await say(gateway)).result?.status, 'ok');
});

test('a backup is not restored under a running gateway', async () => {
	equal(cli(['store', 'backup', path.join(disk, 'copy')], { env }).code, 0);
	const r = cli(['store', 'restore', path.join(disk, 'copy')], { env });
	equal(r.code, 1);
	match(r.err, new RegExp(`in use|pid ${gateway.pid}`));
	equal((await say(gateway)).result?.status, 'ok');
	equal((await gateway.stop()).code, 0);
	nothingIsLost();
});

test('a file of a newer program is refused in words and left alone', async () => {
	const head = fs.readFileSync(db);
	const newer = Buffer.from(head);
	newer.writeUInt32BE(999, 60); // user_version in the header
	fs.writeFileSync(db, newer);
	const again = new Gateway({ env });
	let failed = '';
	await again.start().catch((error) => (failed = error.message));
	await again.kill();
	match(failed, /newer openclaw/);
	match(failed, /schema 999/);
	match(cli(['sessions', 'list'], { env }).err, /newer openclaw/);
	ok(fs.readFileSync(db).equals(newer), 'it is not written to');
	fs.writeFileSync(db, head);
	nothingIsLost();
});

test('what lies behind a damaged place of the log is told of, and the log is kept', async () => {
	gateway = await new Gateway({ env }).start();
	equal((await say(gateway)).result?.status, 'ok');
	const before = fs.statSync(`${db}-wal`).size;
	for (let i = 0; i < 5; i++)
		equal((await say(gateway)).result?.status, 'ok');
	await gateway.kill();
	gateway = await new Gateway({ env }).start();
	ok(!/is not whole/.test(gateway.log), 'a process that was killed damages nothing');
	nothingIsLost();
	for (let i = 0; i < 5; i++)
		equal((await say(gateway)).result?.status, 'ok');
	await gateway.kill();
	const log = fs.readFileSync(`${db}-wal`), page = log.readUInt32BE(8);
	ok(before > 0 && (log.length - 32) % (24 + page) === 0);
	log.fill(0xa5, 32 + 24 + page + 200, 32 + 24 + page + 300); // the second frame
	fs.writeFileSync(`${db}-wal`, log);
	gateway = await new Gateway({ env }).start();
	match(gateway.log, new RegExp(`openclaw.db-wal is damaged at byte ${32 + 24 + page}: what was written behind it \\(\\d+ changes\\) cannot be read back; it was kept as`));
	const kept = fs.readdirSync(path.dirname(db)).filter((name) => name.includes('-wal.damaged-'));
	equal(kept.length, 1);
	ok(fs.readFileSync(path.join(path.dirname(db), kept[0])).equals(log));
	acknowledged.splice(0, acknowledged.length); // what is lost is lost
	equal((await say(gateway)).result?.status, 'ok');
	equal((await gateway.stop()).code, 0);
});

test('a damaged page is named by the check, and a backup helps', async () => {
	equal(cli(['store', 'backup', path.join(disk, 'good')], { env }).code, 0);
	const whole = fs.readFileSync(db);
	const damaged = Buffer.from(whole);
	for (let page = 2; page < damaged.length / 4096; page++)
		damaged.fill(0xa5, page * 4096 + 100, page * 4096 + 3000);
	fs.writeFileSync(db, damaged);
	const check = cli(['store', 'check'], { env });
	equal(check.code, 1, check.out);
	ok((check.out + check.err).length > 20);
	const again = new Gateway({ env });
	let failed = '';
	await again.start().catch((error) => (failed = error.message));
	if (failed === '') {
		const answer = await say(again); // it may only see it when it reads there
		ok(answer.error, JSON.stringify(answer));
		match(JSON.stringify(answer.error), /damaged|malformed|store check/);
		match(cli(['status', '--deep'], { env }).out, /a part of it is damaged: .*store check/);
	} else {
		match(failed, /damaged|malformed|store check|not a database/);
	}
	await again.kill();
	equal(cli(['store', 'restore', path.join(disk, 'good')], { env }).code, 0);
	gateway = await new Gateway({ env }).start();
	equal((await say(gateway)).result?.status, 'ok');
	nothingIsLost();
	equal((await gateway.stop()).code, 0);
});

cleanup(() => gateway.kill());
await done();
