// Each way to misbehave, in a process of its own: contained, named, recovered. (What is contained inside the gateway too is
// asserted there by modules-live.mjs and module-crash.mjs.)
import fs from 'node:fs';
import net from 'node:net';
import path from 'node:path';
import { Gateway, bin, cli, done, equal, match, ok, state, test, until } from './lib.mjs';

const instrumented = /__asan_init|__tsan_init/.test(fs.readFileSync(bin, 'latin1'));
const folder = path.join(state, 'modules');
const built = path.join(process.env.OC_TOP_BUILDDIR, 'tests/modules/.libs');
const file = path.join(folder, 'wild.so');
fs.mkdirSync(folder, { recursive: true, mode: 0o700 });
fs.copyFileSync(path.join(built, 'wild.so'), file);
fs.chmodSync(file, 0o644);
equal(cli(['module', 'enable', 'wild', '--yes']).code, 0);
equal(cli(['config', 'set', 'modules.entries.wild.hangMs', '1000']).code, 0);
equal(cli(['config', 'set', 'modules.entries.wild.memoryMb', instrumented ? '4096' : '200']).code, 0);
let gw = await new Gateway().start();

const info = () => gw.rpc('modules.info', { name: 'wild' });
const wild = (what) => gw.rpcRaw('tools.execute', { name: 'wild', arguments: { what }, session: 'main' });
const text = async (what) => JSON.stringify(await wild(what));
const works = () => until('wild to work', async () => /done/.test(await text('nothing')));
const reload = () => cli(['module', 'reload', 'wild']);

test('a third-party module gets a process of its own', async () => {
	const m = await info();
	equal([m.state, m.isolation, m.restarts], ['started', 'process', 0]);
	ok(m.pid > 0);
	match(await text('nothing'), /done/);
	match(cli(['module', 'doctor', 'wild']).out, /^ok +wild: runs, in a process of its own\n1 module, 0 problems/m);
	match(cli(['module', 'info', 'wild']).out, /^isolation +process$[^]*^process +\d+, started again 0 times/m);
});

test('its queues are among the metrics, by whatever name, and not more than sixteen', async () => {
	const seen = async () => [...(await (await gw.fetch('/metrics')).text()).matchAll(/^openclaw_module_queue_(depth|capacity)\{module="wild",from="user",queue="([^"]*)"\} (\d+)$/gm)];
	await until('them', async () => (await seen()).length === 32);
	const rows = await seen();
	equal(rows.find((r) => r[1] === 'depth' && r[2] === 'herd_abc')[3], '3');
	ok(rows.every((r) => /^[a-z_]+$/.test(r[2]) && (r[1] === 'depth' || r[3] === '1000')), JSON.stringify(rows.map((r) => r[0])));
});

test('it sees no file, no secret and no process that it was not granted', async () => {
	match(await text('reach'), /shadow shut, root shut, secret -6, pid own/);
});

test('it sees the workspaces of all agents; of one that is new it gets to see with a new process', async () => {
	const sees = async (folder) => /done/.test(JSON.stringify(await gw.rpcRaw('tools.execute', { name: 'wild', arguments: { what: 'read', path: path.join(state, folder) }, session: 'main' })));
	equal([await sees('workspace'), await sees('workspace-second'), await sees('logs')], [true, false, false]);
	const { pid } = await info();
	equal(cli(['config', 'set', 'agents.list', '[{"id":"main","default":true},{"id":"second"}]']).code, 0);
	await until('its next process', async () => ((m) => m.pid !== pid && m.state === 'started')(await info()));
	equal([await sees('workspace'), await sees('workspace-second'), await sees('logs')], [true, true, false]);
});

test('who reads slowly makes it wait, and gets all of it', async () => {
	const rss = () => Number(/VmRSS:\s+(\d+)/.exec(fs.readFileSync(`/proc/${gw.pid}/status`, 'utf8'))[1]);
	const before = rss();
	const [bytes, most] = await new Promise((resolve, reject) => {
		const socket = net.connect(gw.port, '127.0.0.1', () => socket.write(`GET /wild HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer ${gw.token}\r\nConnection: close\r\n\r\n`));
		let n = 0, most = 0;
		socket.on('data', (d) => {
			n += d.length;
			if (n < 1 << 20) { // for a while hardly anything
				socket.pause();
				setTimeout(() => { most = Math.max(most, rss()); socket.resume(); }, 30);
			}
		});
		socket.on('error', reject);
		socket.on('close', () => resolve([n, most]));
	});
	ok(bytes > 24 << 20, `${bytes} bytes`);
	ok(instrumented || most - before < 16 * 1024, `${most - before} KiB more`);
});

test('what it does wrong by the contract is counted against it', async () => {
	match(await text('owner'), /done/);
	await until('it to be degraded', async () => (await info()).state === 'degraded');
	ok((await info()).violations >= 2);
	equal(reload().code, 0);
	equal((await info()).state, 'started');
});

test('a reply over the limit is an error of that call', async () => {
	match(await text('big'), /could not be used|error/);
	await works();
});

test('many events at once do not break it, many lines are dropped', async () => {
	match(await text('events'), /done/);
	ok((await info()).violations >= 1);
	match(gw.log, /wild broke the contract: it sent more than 5000 messages in 100 ms/);
	match(await text('print'), /done/);
	await until('the flood to be named', async () => /printed more than 200 lines/.test(gw.log));
	ok(gw.log.split('of very many').length < 1500);
});

for (const [what, why] of [['crash', /(signal 11|status (1|66)).* while it did tool invoke/], ['exit', /status 3/], ['hang', /hung/], ['garbage', /message|connection|pair1|frame/]])
	test(`${what}: the call ends, may be tried again, and the module comes back`, async () => {
		equal(reload().code, 0);
		const before = await info();
		const answer = await text(what);
		ok(!/"done"/.test(answer) || what === 'garbage', answer);
		await until('its next process', async () => (await info()).pid !== before.pid && /started|degraded/.test((await info()).state));
		match((await info()).lastFailure, why);
		match(await text('nothing'), /done/);
	});

test('a crash in a timer is its own too', async () => {
	const before = (await info()).restarts;
	match(await text('timer'), /done/);
	await until('its next process', async () => (await info()).restarts > before && (await info()).state === 'started');
	match(await text('nothing'), /done/);
});

test('memory it does not give back ends at its limit', async () => {
	if (instrumented)
		return;
	equal(reload().code, 0);
	await wild('leak');
	await works();
	const rss = Number(/VmRSS:\s+(\d+)/.exec(fs.readFileSync(`/proc/${(await info()).pid}/status`, 'utf8'))[1]);
	ok(rss < 300000);
});

test('a thread that it leaves is gone with its process', async () => {
	match(await text('thread'), /done/);
	const { pid } = await info();
	equal(reload().code, 0);
	await until('it to end', () => !fs.existsSync(`/proc/${pid}`));
});

test('an answer after the call was given up changes nothing', async () => {
	match(await text('late'), /done/);
	equal((await info()).state, 'started');
});

test('again and again: quarantine, with the reason, until it is reloaded', async () => {
	await until('quarantine', async () => {
		await wild('crash');
		return (await info()).state === 'quarantined';
	}, 30000);
	match((await info()).reason, /5 times in a row, at last: /);
	match(cli(['module', 'doctor', 'wild']).out, /^problem +wild: .*5 times in a row.*\n +-> .*\n1 module, 1 problem$/m);
	match(cli(['module', 'list']).out, /^wild +1 +quarantined/m);
	// The next gateway knows, and so does a command without one.
	equal((await gw.stop()).code, 0);
	match(cli(['module', 'list']).out, /^wild +1 +quarantined/m);
	gw = await new Gateway().start();
	equal((await info()).state, 'quarantined');
	match((await info()).reason, /5 times in a row, at last: /);
	equal(cli(['module', 'enable', 'wild', '--yes']).code, 0);
	await until('it to start', async () => (await info()).state === 'started');
	match(await text('nothing'), /done/);
});

function settings(config) {
	const name = path.join(state, 'openclaw.json'), json = JSON.parse(fs.readFileSync(name, 'utf8'));
	json.modules.entries.wild.config = config;
	fs.writeFileSync(name, JSON.stringify(json));
}

test('one that crashes or hangs in init is given up, and taken up again with settings that suit it', async () => {
	for (const at of ['init', 'hang']) {
		settings({ at });
		await until('quarantine', async () => (await info()).state === 'quarantined', 30000);
		settings({});
		await until('the settings to be read', async () => reload().code === 0 && (await info()).state === 'started', 20000);
	}
});

test('a new file runs once it is enabled, the gateway stays', async () => {
	const { pid } = await info();
	const bytes = fs.readFileSync(file);
	fs.rmSync(file);
	fs.writeFileSync(file, Buffer.concat([bytes, Buffer.from('new')]), { mode: 0o644 });
	const refused = reload();
	equal(refused.code, 1);
	match(refused.err, /another than the one that was enabled; the enabled one goes on running/);
	equal((await info()).pid, pid);
	match(await text('nothing'), /done/);
	equal(cli(['module', 'enable', 'wild', '--yes']).code, 0);
	await until('its next process', async () => (await info()).pid !== pid && (await info()).state === 'started');
	match(await text('nothing'), /done/);
});

test('after the gateway\'s program was replaced, a process can begin all the same', async () => {
	equal((await gw.stop()).code, 0);
	const program = path.join(process.env.TMPDIR, 'openclaw'), helper = `${program}-sandbox`, ours = path.join(process.env.OC_TOP_BUILDDIR, 'openclaw-sandbox');
	fs.copyFileSync(bin, program);
	fs.copyFileSync(ours, helper);
	gw = await new Gateway({ program, env: { OPENCLAW_SANDBOX_HELPER: helper } }).start();
	equal((await info()).state, 'started');
	fs.rmSync(program);
	fs.writeFileSync(program, 'another one', { mode: 0o755 });
	const again = async () => {
		const { pid } = await info();
		equal(reload().code, 0);
		await until('its next process', async () => ((m) => m.pid !== pid && m.state === 'started')(await info()));
		match(await text('nothing'), /done/);
	};
	await again();
	// The helper that makes sandboxes too: replaced, as packages do it; one that does not know what it is told; gone, and there again.
	fs.copyFileSync(ours, `${helper}.new`);
	fs.renameSync(`${helper}.new`, helper);
	await again();
	fs.writeFileSync(`${helper}.new`, `#!/bin/sh\nexec ${ours} --status-fd 4 --no-such -- true\n`, { mode: 0o755 });
	fs.renameSync(`${helper}.new`, helper);
	match(reload().err, /no such option: --no-such.*after an upgrade, restart the gateway/);
	fs.rmSync(helper);
	match(reload().err, /cannot start the sandbox helper .*after an upgrade, restart the gateway/);
	fs.copyFileSync(ours, helper);
	await until('it to be taken up again', async () => reload().code === 0);
	await again();
	match(gw.log, /program was replaced: modules' processes run a copy/);
	equal((await gw.stop()).code, 0);
	equal(fs.existsSync(path.join(state, 'run/openclaw')), false);
	gw = await new Gateway().start();
});

test('the gateway was the same all the time, and leaves no process behind', async () => {
	equal((await gw.rpc('modules.info', { name: 'offline' })).state, 'started');
	const { pid } = await info();
	equal((await gw.stop()).code, 0);
	await until('it to end', () => !fs.existsSync(`/proc/${pid}`));
});

await done();
