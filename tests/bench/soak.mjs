// Many turns in one gateway, and whether it holds more afterwards than before.
//   usage: node soak.mjs OPENCLAW [TURNS [SESSIONS [CONCURRENCY [MAX_SECONDS]]]]      (100000 turns, 2000 sessions, 32, no limit)
//
// The model is a server of its own process.  Of a hundred turns about 20 call a tool, 2 start a sub-agent, 10 get a long answer
// (so that sessions are compacted, with the memory written down before), 1 is a command of the gateway; the rest are small talk.
// Every session is visited in turn, so in the second half there is nothing new to the gateway.  Then, each time that all turns
// are over, it is asked for its metrics.  Exit code 1: something that must be flat grew in the second half, or a turn failed.
import { spawn } from 'node:child_process';
import fs from 'node:fs';
import http from 'node:http';
import os from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';

// ---- The model ----

const textOf = (m) => (typeof m?.content === 'string' ? m.content : (m?.content ?? []).map((p) => p.text ?? '').join(''));
const long = 'the quick brown fox jumps over the lazy dog and runs through the garden '.repeat(85); // 6 KB

function answerTo(body) {
	const system = textOf(body.messages.find((m) => m.role === 'system'));
	const last = body.messages.at(-1);
	const user = textOf(body.messages.filter((m) => m.role === 'user').at(-1));
	if (/^You sum up conversations/.test(system))
		return { text: '## Goal\nto talk about foxes' };
	if (last.role === 'tool')
		return { text: /will soon be shortened/.test(user) ? 'NO_REPLY' : 'that is done' };
	if (/will soon be shortened/.test(user))
		return { call: ['write', { path: 'memory/today.md', content: '- likes green tea\n' }] };
	const what = /do:(\w+)/.exec(user)?.[1];
	if (what === 'read')
		return { call: ['read', { path: 'AGENTS.md' }] };
	if (what === 'write')
		return { call: ['write', { path: `notes/${body.messages.length % 10}.md`, content: 'some words\n' }] };
	if (what === 'spawn')
		return { call: ['sessions_spawn', { task: 'count to three', cleanup: 'delete' }] };
	return { text: what === 'long' ? long : 'yes, all is well over here' };
}

function serveModel() {
	const server = http.createServer(async (req, res) => {
		const pieces = [];
		for await (const piece of req)
			pieces.push(piece);
		const body = JSON.parse(Buffer.concat(pieces).toString());
		const { text, call } = answerTo(body);
		const delta = call ? { tool_calls: [{ index: 0, id: 'c1', type: 'function', function: { name: call[0], arguments: JSON.stringify(call[1]) } }] } : { content: text };
		const chunk = (d, finish) => `data: ${JSON.stringify({ model: 'm', choices: [{ index: 0, delta: d, finish_reason: finish }] })}\n\n`;
		res.writeHead(200, { 'content-type': 'text/event-stream' });
		res.end(chunk(delta, null) + chunk({}, call ? 'tool_calls' : 'stop')
			+ 'data: {"model":"m","choices":[],"usage":{"prompt_tokens":900,"completion_tokens":30,"total_tokens":930}}\n\ndata: [DONE]\n\n');
	});
	server.keepAliveTimeout = 600000;
	server.listen(0, '127.0.0.1', () => console.log(`model on ${server.address().port}`));
	process.on('disconnect', () => process.exit(0));
}

// ---- The gateway ----

const self = fileURLToPath(import.meta.url);
const sleep = (ms) => new Promise((r) => setTimeout(r, ms));

async function portOf(child, pattern, what) {
	let log = '';
	child.stdout.on('data', (d) => (log = (log + d).slice(-20000)));
	child.stderr?.on('data', (d) => (log = (log + d).slice(-20000)));
	child.log = () => log;
	for (let i = 0; i < 1500 && !pattern.test(log); i++) {
		if (child.exitCode !== null)
			throw new Error(`${what} ended:\n${log}`);
		await sleep(20);
	}
	if (!pattern.test(log))
		throw new Error(`${what} is not ready:\n${log}`);
	return Number(pattern.exec(log)[1]);
}

function kindOf(i) {
	const k = (i * 37) % 100; // 37 and 100 have no common divisor: all kinds, well mixed
	return k < 12 ? 'read' : k < 20 ? 'write' : k < 22 ? 'spawn' : k < 32 ? 'long' : k < 33 ? 'command' : 'talk';
}

export async function soak({ bin, turns, sessions, concurrency, seconds, say = console.log }) {
	const state = fs.mkdtempSync(path.join(os.tmpdir(), 'oc-soak-'));
	const model = spawn(process.execPath, [self, 'model'], { stdio: ['ignore', 'pipe', 'inherit', 'ipc'] });
	let child;
	try {
		const modelPort = await portOf(model, /model on (\d+)/, 'the model');
		fs.mkdirSync(path.join(state, 'workspace'), { recursive: true, mode: 0o700 });
		fs.writeFileSync(path.join(state, 'openclaw.json'), JSON.stringify({
			agents: { defaults: { model: { primary: 'fake/m' }, maxConcurrent: concurrency, subagents: { maxConcurrent: 8 } } },
			models: { providers: { fake: { api: 'openai-completions', baseUrl: `http://127.0.0.1:${modelPort}/v1`, apiKey: 'k', models: [{ id: 'm', contextWindow: 24000, maxTokens: 1000 }] } } },
			tools: { allow: ['read', 'write', 'sessions_spawn', 'subagents', 'session_status'] },
		}), { mode: 0o600 });
		child = spawn(bin, ['gateway', 'run', '--any-port'], { env: { ...process.env, HOME: state, OPENCLAW_STATE_DIR: state, OPENCLAW_GATEWAY_TOKEN: 'soak' }, stdio: ['ignore', 'pipe', 'pipe'] });
		const port = await portOf(child, /ready in .*:(\d+)/, 'the gateway');
		return await measure({ child, port, turns, sessions, concurrency, seconds, say });
	} finally {
		child?.kill('SIGKILL');
		model.kill('SIGKILL');
		fs.rmSync(state, { recursive: true, force: true, maxRetries: 5 });
	}
}

async function measure({ child, port, turns, sessions, concurrency, seconds, say }) {
	const agent = new http.Agent({ keepAlive: true, maxSockets: concurrency + 2 });
	const ask = (method, target, body) => new Promise((resolve, reject) => {
		const req = http.request({ port, host: '127.0.0.1', path: target, method, agent, headers: { authorization: 'Bearer soak', 'content-type': 'application/json' } }, (res) => {
			const pieces = [];
			res.on('data', (d) => pieces.push(d));
			res.on('end', () => resolve(Buffer.concat(pieces).toString()));
		});
		req.on('error', reject);
		req.end(body);
	});
	const metrics = async () => {
		const out = {};
		for (const line of (await ask('GET', '/metrics')).split('\n')) {
			const at = line.lastIndexOf(' ');
			if (at > 0 && line[0] !== '#')
				out[line.slice(0, at).replace(/^openclaw_/, '')] = Number(line.slice(at + 1));
		}
		return out;
	};
	const failures = [];
	const turn = async (i) => {
		const kind = kindOf(i);
		const text = kind === 'command' ? '/status' : `message ${i}, do:${kind}`;
		const answer = JSON.parse(await ask('POST', '/rpc', JSON.stringify({ jsonrpc: '2.0', id: 1, method: 'session.message', params: { session: `s${i % sessions}`, text } })));
		if (answer.error || answer.result.status !== 'ok')
			failures.push(`turn ${i} (${kind}): ${JSON.stringify(answer.error ?? answer.result).slice(0, 300)}`);
	};
	const rss = () => Number(/^RssAnon:\s+(\d+)/m.exec(fs.readFileSync(`/proc/${child.pid}/status`, 'utf8'))[1]) * 1024;
	// All turns over, those of sub-agents and their reports too, nothing in the store's queue, and a little time for what is put off.
	const quiet = async () => {
		for (let calm = 0; calm < 3;) {
			const m = await metrics();
			const busy = m.turns_running + m.turns_waiting + m.subagents_active + m['queue_depth{queue="store_writes"}'];
			calm = busy === 0 ? calm + 1 : 0;
			await sleep(100);
		}
		// Then the gateway gives free memory back, a second later at most; what is resident after that is what it needs.
		let m = await metrics();
		for (let i = 0; i < 50 && done > 0 && m.heap_trims_total === trims; i++) {
			await sleep(100);
			m = await metrics();
		}
		trims = m.heap_trims_total;
		return { at: done, rss: rss(), heap: m.heap_used_bytes, store: m['memory_bytes{owner="store"}'], modules: m['memory_bytes{owner="modules"}'],
			turns: m['memory_bytes{owner="turns"}'], blocks: m.memory_blocks, timers: m['loop_handles{kind="timer"}'], handles: m['loop_handles{kind="other"}'],
			owners: m.loop_owners, fds: m.process_open_fds, m };
	};
	let trims = 0;
	let done = 0;
	let next = 0;
	const began = Date.now();
	const late = () => seconds > 0 && Date.now() - began > seconds * 1000;
	const upTo = (end) => Promise.all(Array.from({ length: concurrency }, async () => {
		while (next < end && failures.length < 5 && !late()) {
			await turn(next++);
			done++;
		}
	}));
	const row = (p) => say(`${String(p.at).padStart(8)} ${((Date.now() - began) / 1000).toFixed(0).padStart(6)} ${(p.rss / 1048576).toFixed(2).padStart(9)} ${((p.heap - p.store) / 1048576).toFixed(3).padStart(9)} ${(p.store / 1048576).toFixed(2).padStart(8)} ${String(p.blocks).padStart(8)} ${String(p.fds).padStart(5)} ${String(p.timers).padStart(7)} ${String(p.handles).padStart(8)} ${String(p.owners).padStart(7)}`);
	say('   turns      s  RSS MiB  heap MiB    store   blocks   fds  timers  handles  owners');
	row(await quiet());
	const points = [];
	const steps = turns < 20000 ? 8 : 20;
	for (let step = 1; step <= steps && failures.length === 0 && !late(); step++) {
		await upTo(Math.round((turns * step) / steps));
		const p = await quiet();
		row(p);
		points.push(p);
	}
	const took = (Date.now() - began) / 1000;
	return { failures, verdict: judge(points, failures), turns: done, took, points, late: late() };
}

// Least squares: what is added a turn, over the second half.
function slope(points, of) {
	const half = points.slice(Math.floor(points.length / 2) - 1);
	const mx = half.reduce((a, p) => a + p.at, 0) / half.length;
	const my = half.reduce((a, p) => a + of(p), 0) / half.length;
	return half.reduce((a, p) => a + (p.at - mx) * (of(p) - my), 0) / half.reduce((a, p) => a + (p.at - mx) ** 2, 0);
}

// What a turn may leave behind, within noise: less than any leak worth the name (the smallest block is 32 bytes).  RSS is the
// anonymous part only: pages of the program's and the store's files are the kernel's cache, and come and go with what else the
// machine does.  It is looked at when the gateway has given free memory back, so what is left to it is whole pages: 256 KiB, or
// half a percent of itself, over the whole second half.
export function judge(points, failures) {
	if (failures.length > 0 || points.length < 6)
		return [];
	const first = points[Math.floor(points.length / 2) - 1];
	const last = points.at(-1);
	const span = last.at - first.at;
	const rest = (what) => Math.min(...points.slice(-4).map((p) => p[what])); // what is in use at a moment comes and goes
	const rows = [
		['RSS, bytes a turn', slope(points, (p) => p.rss), Math.max(262144, last.rss * 0.005) / span],
		['heap without the store, bytes a turn', slope(points, (p) => p.heap - p.store), Math.max(16, 65536 / span)],
		['blocks of memory a turn', slope(points, (p) => p.blocks), Math.max(0.02, 100 / span)],
		['memory of modules, bytes a turn', slope(points, (p) => p.modules), Math.max(1, 16384 / span)],
		['memory of turns at rest, bytes', last.turns, 0],
		['descriptors more', rest('fds') - first.fds, 4],
		['timers more', rest('timers') - first.timers, 4],
		['handles more', rest('handles') - first.handles, 6],
		['owners more', rest('owners') - first.owners, 4],
	];
	return rows.map(([what, value, most]) => ({ what, value, most, ok: value <= most }));
}

export function report(result, say = console.log) {
	const m = result.points.at(-1)?.m ?? {};
	say(`${result.turns} turns in ${result.took.toFixed(0)} s: ${(result.turns / result.took).toFixed(0)} a second; `
		+ `${m.tool_calls_total} tool calls, ${m.subagents_started_total} sub-agents, ${m.model_calls_total} model calls, ${m.sessions} sessions`);
	for (const f of result.failures)
		say(`FAILED: ${f}`);
	for (const v of result.verdict)
		say(`${v.ok ? 'ok  ' : 'GREW'} ${v.what.padEnd(40)} ${v.value.toFixed(3).padStart(12)} (at most ${v.most.toFixed(3)})`);
	return result.failures.length === 0 && result.verdict.length > 0 && result.verdict.every((v) => v.ok);
}

if (process.argv[2] === 'model') {
	serveModel();
} else if (process.argv[1] === self) {
	const [bin, turns = '100000', sessions = '2000', concurrency = '32', seconds = '0'] = process.argv.slice(2);
	const result = await soak({ bin, turns: Number(turns), sessions: Number(sessions), concurrency: Number(concurrency), seconds: Number(seconds) });
	process.exit(report(result) ? 0 : 1);
}
