// The store through the front door: search, export, reset, delete, check, backup, restore, compact, stats, dead letters,
// and a disk that is full while the gateway runs.
import { spawnSync } from 'node:child_process';
import fs from 'node:fs';
import path from 'node:path';
import { cli, cleanup, done, equal, Gateway, match, ok, state, test, until } from './lib.mjs';

const db = path.join(state, 'openclaw.db');
const json = (args) => {
	const r = cli(args);
	equal(r.code, 0, `${args.join(' ')}: ${r.err}`);
	return JSON.parse(r.out);
};
const say = (session, text) => equal(cli(['agent', '-s', session, '-m', text]).code, 0);
const mode = (file) => (fs.statSync(file).mode & 0o777).toString(8);
const gateway = new Gateway();

// The same questions with and without a gateway get the same answers.
function questions(name) {
	test(`${name}: search finds words, phrases and beginnings, and shows where`, () => {
		const hits = json(['sessions', 'search', 'zeppelin', '--role', 'user', '--json']);
		equal(hits.length, 2);
		ok(hits.every((h) => /\[zeppelin\]/i.test(h.snippet)), JSON.stringify(hits));
		ok(hits[0].ts >= hits[1].ts);
		equal(json(['sessions', 'search', '"red zeppelin"', '--role', 'user', '--json']).length, 1);
		equal(json(['sessions', 'search', 'zepp*', '--role', 'user', '--json']).length, 2);
		equal(json(['sessions', 'search', 'zeppelin -red', '--role', 'user', '--json']).length, 1);
		equal(json(['sessions', 'search', 'ZÉPPELIN', '--session', 'two', '--role', 'user', '--json'])[0].session, 'agent:main:two');
		equal(json(['sessions', 'search', '飛行', '--json', '--role', 'user']).length, 1);
		equal(json(['sessions', 'search', 'zeppelin', '--agent', 'nobody', '--json']).length, 0);
	});

	test(`${name}: no text is syntax`, () => {
		for (const query of ['"', '"unclosed', 'a AND', 'NEAR(', 'OR', '*', '^x', 'text:x', '(', ')', '{a b}', "'", '-', '--', 'x"y"z', '%',
			'a*b*', '\\', '+', 'col : x', '"" ""', 'AND OR NOT', '\u{1F600}', 'x'.repeat(900)]) {
			const r = cli(['sessions', 'search', '--json', '--', query]);
			ok(r.code === 0 || /nothing to look for/.test(r.err), `${query}: ${r.err}`);
			if (r.code === 0)
				JSON.parse(r.out);
		}
		match(cli(['sessions', 'search', '-n', '1', 'nothing-like-this']).out, /Nothing was found/);
		match(cli(['sessions', 'search', '--', '-only']).err, /nothing to look for/);
	});

	test(`${name}: list has filters`, () => {
		equal(json(['sessions', 'list', '--json', 'two']).map((s) => s.key), ['agent:main:two']);
		equal(json(['sessions', 'list', '--json', '--state', 'ended']).length, 0);
		equal(json(['sessions', 'list', '--json', '--agent', 'nobody']).length, 0);
		ok(json(['sessions', 'list', '--json', '--active', '5']).length >= 2);
		equal(cli(['sessions', 'list', '--state', 'odd']).code, 2);
	});

	test(`${name}: export gives everything, in order`, () => {
		const lines = cli(['sessions', 'export', 'one']).out.trim().split('\n').map((l) => JSON.parse(l));
		equal(lines[0].key, 'agent:main:one');
		equal(lines.slice(1).length, lines[0].messages);
		ok(lines.slice(1).every((m, i, a) => i === 0 || m.seq > a[i - 1].seq));
		const file = path.join(state, `export-${name}.md`);
		const r = cli(['sessions', 'export', 'one', '--format', 'markdown', '-o', file]);
		equal(r.code, 0, r.err);
		equal(mode(file), '600');
		match(fs.readFileSync(file, 'utf8'), /^# agent:main:one\n[^]*## user\n[^]*a red Zeppelin/);
		equal(cli(['sessions', 'export', 'one', '-o', file]).code, 1); // it is there already
		equal(cli(['sessions', 'export', 'nowhere']).code, 1);
		equal(cli(['sessions', 'export', '--format', 'pdf']).code, 2);
	});

	test(`${name}: check and stats`, () => {
		const report = json(['store', 'check', '--json']);
		ok(report.ok, JSON.stringify(report));
		ok(report.events > report.messages && report.messages >= 6);
		match(cli(['store', 'check', '--quick']).out, /^whole/);
		const stats = json(['store', 'stats', '--json']);
		equal(stats.rows.sessions, report.sessions);
		equal(stats.vacuum, 'incremental');
		ok(stats.bytes.file > 0);
		equal('writer' in stats, name === 'gateway');
		match(cli(['store', 'stats']).out, /outbox +0 waiting/);
	});

	test(`${name}: backup is private, checked and alone`, () => {
		const file = path.join(state, `${name}.backup`);
		const r = json(['store', 'backup', file, '--json']);
		equal(r.bytes, fs.statSync(file).size);
		equal(mode(file), '600');
		ok(json(['store', 'check', file, '--json']).ok);
		equal(cli(['store', 'backup', file]).code, 1);
		const own = json(['store', 'backup', '--json']).path;
		match(own, /backups\/openclaw-\d{8}T\d{6}\.\d{3}Z\.db$/);
		equal(fs.readdirSync(path.dirname(own)).filter((f) => !/^openclaw-[0-9TZ.]+\.db$/.test(f)), []);
	});

	test(`${name}: dead letters are empty`, () => {
		equal(json(['store', 'dead', 'list', '--json']), []);
		match(cli(['store', 'dead', 'retry', 'nokey']).err, /no message with the key nokey/);
		equal(cli(['store', 'dead', 'drop']).code, 2);
		equal(cli(['store', 'dead', 'drop', 'key', '--all']).code, 2);
		match(cli(['store', 'dead', 'drop', '--all']).out, /^0 dropped/);
	});
}

test('without a store', () => {
	equal(json(['sessions', 'list', '--json']), []);
	for (const args of [['store', 'check'], ['store', 'stats'], ['store', 'backup', '/tmp/x'], ['sessions', 'search', 'x'],
		['sessions', 'reset', 'x'], ['store', 'compact']])
		match(cli(args).err, /there is no store/, args.join(' '));
});

test('some talk', () => {
	say('one', 'Have you seen a red Zeppelin today?');
	say('one', 'Or anything else in the sky');
	say('two', 'The zeppelin landed, 飛行船は着陸しました');
	say('gone', 'This will be deleted: quagmire');
});

questions('alone');

test('reset keeps, delete does not', () => {
	const before = json(['sessions', 'show', 'gone', '--json']);
	equal(cli(['sessions', 'reset', 'gone']).code, 0);
	const after = json(['sessions', 'show', 'gone', '--json']);
	ok(before.sessionId !== after.sessionId);
	equal(after.history, []);
	equal(json(['sessions', 'search', 'quagmire', '--role', 'user', '--json']).length, 1);
	match(cli(['sessions', 'delete', 'gone']).err, /--yes/);
	equal(cli(['sessions', 'delete', 'gone', '--yes']).code, 0);
	equal(cli(['sessions', 'show', 'gone']).code, 1);
	equal(json(['sessions', 'search', 'quagmire', '--json']), []);
	match(cli(['sessions', 'reset', 'gone']).err, /there is no session/);
	ok(json(['store', 'check', '--json']).ok);
});

test('compact gives space back', () => {
	match(cli(['store', 'compact']).out, /before, .* now/);
	ok(json(['store', 'check', '--json']).ok);
	equal(json(['sessions', 'search', 'zeppelin', '--role', 'user', '--json']).length, 2);
});

test('the gateway starts', () => gateway.start());
questions('gateway');

test('gateway: session.search takes parameters and refuses wrong ones', async () => {
	equal((await gateway.rpc('session.search', { query: 'zeppelin', role: 'user', limit: 1 })).matches.length, 1);
	ok((await gateway.rpcRaw('session.search', { query: 'x', limit: 'many' })).error);
	ok((await gateway.rpcRaw('session.search', {})).error);
	equal((await gateway.rpc('session.search', { query: 'zeppelin', until: 1 })).matches.length, 0);
});

test('gateway: reset and delete go through it', async () => {
	say('gone', 'quagmire again');
	equal(cli(['sessions', 'reset', 'gone']).code, 0);
	equal(json(['sessions', 'show', 'gone', '--json']).history, []);
	equal(cli(['sessions', 'delete', 'gone', '--yes']).code, 0);
	equal(cli(['sessions', 'show', 'gone']).code, 1);
});

test('gateway: backup and check as methods', async () => {
	const backup = await gateway.rpc('store.backup', {});
	equal(fs.statSync(backup.path).size, backup.bytes);
	ok((await gateway.rpc('store.check', { quick: true })).ok);
	match(cli(['store', 'compact']).out, /beside its work/);
});

test('gateway: not restored under it', () => {
	const r = cli(['store', 'restore', path.join(state, 'alone.backup')]);
	equal(r.code, 1);
	match(r.err, /in use by another process, pid \d+/);
	match(r.err, /gateway stop/);
});

test('gateway: figures are in the metrics and in status', async () => {
	const text = await (await gateway.fetch('/metrics')).text();
	for (const name of ['store_stalled 0', 'outbox_dead 0', 'store_held 0'])
		ok(text.includes(`openclaw_${name}\n`), name);
	const status = await gateway.rpc('system.status', {});
	equal(status.store.ok, true);
	equal(status.store.deadLetters, 0);
});

// The kernel refuses to let the files grow: a full disk, as far as the gateway can tell.
test('gateway: a full disk is told, and over when there is space again', async () => {
	const limit = (bytes) => spawnSync('prlimit', ['--pid', String(gateway.pid), `--fsize=${bytes}:unlimited`], { encoding: 'utf8' });
	if (limit('unlimited').status !== 0)
		return;
	const rows = json(['sessions', 'show', 'one', '--json']).messages;
	limit(4096);
	const refused = await gateway.rpcRaw('session.message', { session: 'one', text: 'while the disk is full' });
	ok(refused.error, JSON.stringify(refused));
	match(refused.error.message, /File too large/); // the system's own word, where SQLite only knows of an I/O error
	match(refused.error.data.remedy, /ulimit -f/);
	await until('status to say so', async () => !(await gateway.rpc('system.status', {})).store.ok);
	match(cli(['status']).out, /cannot be written/);
	match(await (await gateway.fetch('/metrics')).text(), /openclaw_store_stalled 1\n/);
	equal(json(['sessions', 'show', 'one', '--json']).messages, rows); // what is there can be read
	limit('unlimited');
	await until('writing to go on', async () => (await gateway.rpc('system.status', {})).store.ok);
	const answer = await gateway.rpc('session.message', { session: 'one', text: 'the disk has space again' });
	equal(answer.status, 'ok');
	ok(json(['store', 'check', '--json']).ok);
});

test('gateway: a log that is kept long is named, with its limit and the remedy', async () => {
	await gateway.rpc('session.message', { session: 'log', text: 'hello', wait: true });
	fs.truncateSync(path.join(state, 'openclaw.db-wal'), 70 << 20); // as long as a reader would have made it
	const found = JSON.parse(cli(['status', '--deep', '--json']).out).deep.findings.find((f) => f.part === 'store');
	match(found?.message, /the log beside it has 70 MiB .* from 1024 MiB on nothing new is taken/);
	const said = /from 1024 MiB on no new work is taken/;
	match(cli(['store', 'stats']).out, said);
	match(cli(['doctor']).out, said);
	await until('it to be cut', () => fs.statSync(path.join(state, 'openclaw.db-wal')).size < 1 << 20);
	ok(!said.test(cli(['doctor']).out));
});

test('the gateway stops', async () => equal((await gateway.stop()).code, 0));

test('restore puts the backup in place and keeps what was there', () => {
	const before = json(['store', 'check', '--json']);
	const r = cli(['store', 'restore', path.join(state, 'alone.backup')]);
	equal(r.code, 0, r.err);
	const kept = /kept as (.*)/.exec(r.out)[1];
	equal(json(['store', 'check', kept, '--json']).events, before.events);
	const now = json(['store', 'check', '--json']);
	ok(now.ok, JSON.stringify(now));
	equal(json(['sessions', 'show', 'gone', '--json']).messages, 2); // deleted after the backup was made
	equal(mode(db), '600');
	equal(json(['sessions', 'search', 'zeppelin', '--role', 'user', '--json']).length, 2);
	say('one', 'life goes on');
	equal(json(['sessions', 'search', '"life goes on"', '--role', 'user', '--json']).length, 1);
	ok(json(['store', 'check', '--json']).ok);
});

test('what is no backup is not restored', () => {
	const junk = path.join(state, 'junk');
	fs.writeFileSync(junk, 'junk '.repeat(5000));
	const before = json(['store', 'check', '--json']);
	equal(cli(['store', 'restore', junk]).code, 1);
	equal(cli(['store', 'restore', path.join(state, 'nothing')]).code, 1);
	equal(json(['store', 'check', '--json']), before);
});

cleanup(() => gateway.kill());
await done();
