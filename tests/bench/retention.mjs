// What people notice while a gateway tidies up a store that has grown for long: every session is too old and goes.
//   usage: node retention.mjs OPENCLAW BENCH_STORE [SESSIONS [EVENTS]]      (100000 sessions, 1000000 events)
//
// First the same load beside an idle store, then beside the round: /health all the time, and ten turns a second.
import { spawn, spawnSync } from 'node:child_process';
import fs from 'node:fs';
import http from 'node:http';
import os from 'node:os';
import path from 'node:path';

const [bin, bench, sessions = '100000', events = '1000000'] = process.argv.slice(2);
const dir = fs.mkdtempSync(path.join(process.env.TMPDIR ?? os.tmpdir(), 'ocret.'));
const env = { ...process.env, OPENCLAW_STATE_DIR: dir };
const db = path.join(dir, 'openclaw.db');
fs.writeFileSync(path.join(dir, 'openclaw.json'), JSON.stringify({
	agents: { defaults: { model: { primary: 'offline/echo' }, skipBootstrap: true } },
	session: { maintenance: { mode: 'enforce', pruneAfter: '30d' } },
}), { mode: 0o600 });
const sleep = (ms) => new Promise((resolve) => setTimeout(resolve, ms));
let gateway;
function end(code) {
	gateway?.kill('SIGKILL');
	fs.rmSync(dir, { recursive: true, force: true });
	process.exit(code);
}

if (spawnSync(bench, ['old', db, events, sessions], { stdio: 'inherit' }).status !== 0)
	end(1);
const size = () => fs.statSync(db).size + (fs.existsSync(`${db}-wal`) ? fs.statSync(`${db}-wal`).size : 0);
const mb = (n) => `${(n / 1048576).toFixed(0)} MiB`;
const before = size();

gateway = spawn(bin, ['gateway', 'run', '--any-port'], { env, stdio: ['ignore', 'pipe', 'pipe'] });
let log = '';
gateway.stdout.on('data', (d) => (log += d));
gateway.stderr.on('data', (d) => (log += d));
while (!/ready in/.test(log))
	await sleep(5);
const port = Number(/ready in .*:(\d+)/.exec(log)[1]);
const token = fs.readFileSync(path.join(dir, 'credentials/gateway-token'), 'utf8').trim();
const agent = new http.Agent({ keepAlive: true });
function ask(method, target, body) {
	return new Promise((resolve, reject) => {
		const req = http.request({ port, host: '127.0.0.1', method, path: target, agent,
			headers: { authorization: `Bearer ${token}`, 'content-type': 'application/json' } }, (res) => {
			let text = '';
			res.on('data', (d) => (text += d));
			res.on('end', () => resolve(text));
		});
		req.on('error', reject);
		req.end(body);
	});
}
const rpc = async (method, params) => JSON.parse(await ask('POST', '/rpc', JSON.stringify({ jsonrpc: '2.0', id: 1, method, params }))).result;
const metric = async (name) => Number(new RegExp(`^openclaw_${name} (.*)$`, 'm').exec(await ask('GET', '/metrics'))[1]);

let n = 0;
async function measured(over) {
	const health = [], turns = [];
	let go = true;
	const timed = async (list, call) => {
		const began = performance.now();
		await call();
		list.push(performance.now() - began);
	};
	const asking = (async () => {
		for (; go; await sleep(5))
			await timed(health, () => ask('GET', '/health'));
	})();
	const talking = (async () => {
		for (; go; await sleep(100))
			await timed(turns, () => rpc('session.message', { session: `fresh${n++ % 20}`, text: 'hello', wait: true }));
	})();
	await over();
	go = false;
	await Promise.all([asking, talking]);
	return { health, turns };
}
function words(list) {
	list.sort((a, b) => a - b);
	const at = (q) => list[Math.min(list.length - 1, Math.floor(list.length * q))].toFixed(1);
	return `p50 ${at(0.5)} ms, p99 ${at(0.99)} ms, max ${list.at(-1).toFixed(1)} ms (${list.length})`;
}
function print(what, m) {
	console.log(`${what}\n  /health  ${words(m.health)}\n  turns    ${words(m.turns)}`);
}

print('tidying nothing', await measured(() => sleep(5000)));
const began = performance.now();
let most = 0, indexed = 0;
print('indexing the messages for search', await measured(async () => {
	while (await metric('store_search_behind') > 0)
		await sleep(200);
}));
console.log(`  ${((performance.now() - began) / 1000).toFixed(1)} s, now ${mb(size())}`);
indexed = size();
const round = performance.now();
await rpc('store.compact');
print('removing the old sessions', await measured(async () => {
	for (; !/store: compacted/.test(log); await sleep(100))
		most = Math.max(most, size());
}));
const seconds = (performance.now() - round) / 1000;
console.log(`  ${seconds.toFixed(1)} s, ${await metric('store_pruned_sessions_total')} sessions and ${await metric('store_pruned_rows_total')} rows gone, ${await metric('sessions')} left`);
while (await metric('store_wal_bytes') > 4 << 20) // the last pieces are put into the file when it is quiet
	await sleep(200);
const again = spawnSync(bin, ['store', 'check'], { env, encoding: 'utf8' });
console.log(`  file ${mb(before)} at first, ${mb(indexed)} with its index, ${mb(most)} at most meanwhile, ${mb(size())} afterwards; ${again.stdout.trim().split('\n')[0]}`);
end(again.status === 0 ? 0 : 1);
