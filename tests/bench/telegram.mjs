// What the gateway adds to a Telegram message, beside the smallest bot there can be: one that answers each update with what it
// said.  First one message after the other, from as many chats, slowly enough for Telegram's own limit (30 messages a second
// over all chats); then many at once: how fast they are taken over, and how near to that limit the answers come.
//   usage: node telegram.mjs OPENCLAW [MESSAGES]
import { spawn } from 'node:child_process';
import fs from 'node:fs';
import http from 'node:http';
import os from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { FakeTelegram } from '../integration/fake-telegram.mjs';

const [bin, count = '60'] = process.argv.slice(2);
const sleep = (ms) => new Promise((r) => setTimeout(r, ms));
const PACE_MS = 100;

// ---- The smallest bot ----

async function bot(url) {
	const agent = new http.Agent({ keepAlive: true });
	const call = (method, params) => new Promise((resolve, reject) => {
		const req = http.request(`${url}/${method}`, { method: 'POST', agent, headers: { 'content-type': 'application/json' } }, (res) => {
			let text = '';
			res.on('data', (d) => (text += d));
			res.on('end', () => resolve(JSON.parse(text).result));
		});
		req.on('error', reject);
		req.end(JSON.stringify(params));
	});
	for (let offset = 0;;)
		for (const update of await call('getUpdates', { offset, timeout: 30 })) {
			offset = update.update_id + 1;
			await call('sendMessage', { chat_id: update.message.chat.id, text: update.message.text });
		}
}

// ---- Measuring ----

const sorted = (list) => [...list].sort((a, b) => a - b);
const at = (list, share) => list[Math.min(list.length - 1, Math.floor(list.length * share))];

// One message after the other; milliseconds from the update to sendMessage.
async function singly(tg, n, first) {
	const took = [];
	for (let i = 0; i < n; i++) {
		const chat = first + i;
		const began = performance.now();
		const answered = new Promise((resolve, reject) => {
			const late = setTimeout(() => reject(new Error(`no answer to chat ${chat}`)), 10000);
			tg.onSend = (to) => {
				if (String(to) === String(chat)) {
					clearTimeout(late);
					resolve(performance.now());
				}
			};
		});
		tg.say(chat, 'How is everything?');
		took.push(await answered - began);
		await sleep(PACE_MS);
	}
	return sorted(took);
}

async function atOnce(tg, n, first) {
	const before = tg.called('sendMessage').length;
	const began = performance.now();
	let last;
	for (let i = 0; i < n; i++)
		last = tg.say(first + i, 'And you?').update;
	const taken = tg.until('all updates confirmed', () => tg.updates.every((u) => u.update_id > last), 60000).then(() => performance.now() - began);
	await tg.until('all answered', () => tg.called('sendMessage').length - before >= n, 60000);
	return { taken: await taken, answered: performance.now() - began };
}

class Telegram extends FakeTelegram {
	constructor() {
		super();
		const calls = this.calls;
		calls.push = (call) => {
			if (call.method === 'sendMessage')
				this.onSend?.(call.params.chat_id);
			return Array.prototype.push.call(calls, call);
		};
	}
}

async function withChild(command, args, env, fn) {
	const child = spawn(command, args, { env: { ...process.env, ...env }, stdio: ['ignore', 'ignore', 'inherit'] });
	const over = new Promise((r) => child.on('exit', r));
	try {
		return await fn(child);
	} finally {
		child.kill('SIGTERM');
		await over;
	}
}

const polled = (tg) => tg.until('the bot to ask for updates', () => tg.called('getUpdates').length > 0, 20000);

async function main() {
	const n = Number(count);
	const bare = await new Telegram().start();
	const reference = await withChild(process.execPath, [fileURLToPath(import.meta.url), 'bot', `${bare.url}/bot${bare.token}`], {}, async () => {
		await polled(bare);
		await singly(bare, 20, 5000); // warm
		return singly(bare, n, 10000);
	});
	await bare.stop();
	const tg = await new Telegram().start();
	const state = fs.mkdtempSync(path.join(os.tmpdir(), 'oc-tg-'));
	fs.writeFileSync(path.join(state, 'openclaw.json'), JSON.stringify({
		agents: { defaults: { model: { primary: 'offline/echo' } } },
		session: { dmScope: 'per-channel-peer' },
		channels: { telegram: { botToken: tg.token, apiRoot: tg.url, dmPolicy: 'open', allowFrom: ['*'] } },
	}), { mode: 0o600 });
	await withChild(bin, ['gateway', 'run', '--any-port'], { HOME: state, OPENCLAW_STATE_DIR: state }, async (child) => {
		await polled(tg);
		await singly(tg, 20, 5000);
		const ticks = () => fs.readFileSync(`/proc/${child.pid}/stat`, 'utf8').split(' ').slice(13, 15).reduce((a, b) => a + Number(b), 0);
		const t0 = ticks();
		const took = await singly(tg, n, 10000);
		const cpu = (ticks() - t0) * 10 / n;
		await sleep(1000);
		const { taken, answered } = await atOnce(tg, 2 * n, 20000);
		const row = (what, list) => console.log(`${what.padEnd(28)} p50 ${at(list, 0.5).toFixed(2)} ms   p99 ${at(list, 0.99).toFixed(2)} ms`);
		row('Telegram: smallest bot', reference);
		row('Telegram: gateway', took);
		console.log(`${'  added'.padEnd(28)} p50 ${(at(took, 0.5) - at(reference, 0.5)).toFixed(2)} ms   p99 ${(at(took, 0.99) - at(reference, 0.99)).toFixed(2)} ms   processor ${cpu.toFixed(2)} ms a message`);
		console.log(`${`  ${2 * n} at once`.padEnd(28)} taken over in ${taken.toFixed(0)} ms, answered in ${(answered / 1000).toFixed(2)} s (Telegram's limit: ${Math.max(0, (2 * n - 30) / 30).toFixed(2)} s)`);
	});
	await tg.stop();
	fs.rmSync(state, { recursive: true, force: true });
}

await (bin === 'bot' ? bot(count) : main());
process.exit(0);
