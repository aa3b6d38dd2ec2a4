// Memory of idle sessions: one turn in each of many sessions, then what the gateway holds per session while none runs.
//   usage: node idle.mjs OPENCLAW [SESSIONS]
import { spawn } from 'node:child_process';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';

const [bin, sessions = '8000'] = process.argv.slice(2);
const n = Number(sessions);
const state = fs.mkdtempSync(path.join(os.tmpdir(), 'oc-idle-'));
fs.writeFileSync(path.join(state, 'openclaw.json'), JSON.stringify({ agents: { defaults: { model: { primary: 'offline/echo' } } } }), { mode: 0o600 });
const child = spawn(bin, ['gateway', 'run', '--any-port'], { env: { ...process.env, OPENCLAW_STATE_DIR: state } });
let log = '';
child.stdout.on('data', (d) => (log += d));
child.stderr.on('data', (d) => (log += d));
while (!/ready in/.test(log))
	await new Promise((r) => setTimeout(r, 20));
const port = /ready in .*:(\d+)/.exec(log)[1];
const token = fs.readFileSync(path.join(state, 'credentials/gateway-token'), 'utf8').trim();

async function turn(session) {
	const r = await fetch(`http://127.0.0.1:${port}/rpc`, { method: 'POST',
		headers: { authorization: `Bearer ${token}`, 'content-type': 'application/json' },
		body: JSON.stringify({ jsonrpc: '2.0', id: 1, method: 'session.message', params: { session, text: '/echo a few words' } }) });
	const answer = await r.json();
	if (answer.error)
		throw new Error(answer.error.message);
}

// Anonymous memory only: SQLite's file cache is shared by all sessions and bounded.
const anonymous = () => Number(/^RssAnon:\s+(\d+)/m.exec(fs.readFileSync(`/proc/${child.pid}/status`, 'utf8'))[1]) * 1024;

async function many(from, to) {
	let next = from;
	await Promise.all(Array.from({ length: 32 }, async () => {
		while (next < to)
			await turn(`idle-${next++}`);
	}));
}

const warm = Math.min(2000, Math.floor(n / 4));
await many(0, warm);
await new Promise((r) => setTimeout(r, 1000));
const before = anonymous();
await many(warm, n);
await new Promise((r) => setTimeout(r, 1000));
const after = anonymous();
const bytes = (after - before) / (n - warm);
console.log(`memory per idle session   ${bytes.toFixed(0)} bytes (${n - warm} sessions, ${(before / 1048576).toFixed(1)} -> ${(after / 1048576).toFixed(1)} MiB)`);
child.kill('SIGTERM');
await new Promise((r) => child.on('exit', r));
fs.rmSync(state, { recursive: true });
process.exit(bytes < 2048 ? 0 : 1);
