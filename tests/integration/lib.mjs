// What integration tests in JavaScript share: TAP, a gateway of their own, JSON-RPC.
//   import { test, done, Gateway, cli, equal, ok, match } from './lib.mjs';
//   test('name', async () => { … });   // one after the other, in order
//   await done();
import assert from 'node:assert/strict';
import { spawn, spawnSync } from 'node:child_process';
import crypto from 'node:crypto';
import fs from 'node:fs';
import http from 'node:http';
import net from 'node:net';
import path from 'node:path';

export const bin = process.env.OC_BIN;
export const state = process.env.OPENCLAW_STATE_DIR;
export const equal = assert.deepEqual;
export const ok = assert.ok;
export const match = assert.match;
export const sleep = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

const tests = [];
const cleanups = [];
const gateways = [];

export function test(name, fn) {
	tests.push({ name, fn });
}

export function skipAll(reason) {
	console.log(`1..0 # SKIP ${reason}`);
	process.exit(0);
}

// Runs at the end, whatever happened.
export function cleanup(fn) {
	cleanups.push(fn);
}

export async function done() {
	console.log(`1..${tests.length}`);
	let n = 0;
	for (const { name, fn } of tests) {
		n++;
		try {
			await fn();
			console.log(`ok ${n} - ${name}`);
		} catch (error) {
			console.log(`not ok ${n} - ${name}`);
			console.log(String(error.stack || error).replace(/^/gm, '# '));
		}
	}
	for (const fn of cleanups.reverse())
		await Promise.resolve(fn()).catch((error) => console.log(`# cleanup: ${error}`));
	// Races in a module's process end that process, not the gateway's, with a status that says so; its words are in the log.
	const race = gateways.findIndex(({ log }) => log.includes('WARNING: ThreadSanitizer'));
	if (race >= 0)
		console.log(`Bail out! a race:\n${gateways[race].log.slice(gateways[race].log.indexOf('WARNING: ThreadSanitizer')).slice(0, 6000).replace(/^/gm, '# ')}`);
	process.exit(0);
}

export async function until(what, fn, ms = 30000) {
	const end = Date.now() + ms;
	for (;;) {
		const value = await fn();
		if (value)
			return value;
		if (Date.now() > end)
			throw new Error(`waited ${ms} ms for: ${what}`);
		await sleep(20);
	}
}

export function writeConfig(config) {
	fs.mkdirSync(state, { recursive: true, mode: 0o700 });
	fs.writeFileSync(path.join(state, 'openclaw.json'), typeof config === 'string' ? config : JSON.stringify(config, null, 2),
		{ mode: 0o600 });
}

// Runs one command to its end: {code, signal, out, err}.
export function cli(args, { input, env, timeout = 30000 } = {}) {
	const r = spawnSync(bin, args, { input: input ?? '', env: { ...process.env, ...env }, timeout, encoding: 'utf8' });
	return { code: r.status, signal: r.signal, out: r.stdout, err: r.stderr };
}

// The same without blocking this process, for commands that talk to servers in it.
export function spawnCli(args, { input = '', env, timeout = 60000 } = {}) {
	return new Promise((resolve) => {
		const child = spawn(bin, args, { env: { ...process.env, ...env }, timeout });
		let out = '';
		let err = '';
		child.stdout.on('data', (d) => (out += d));
		child.stderr.on('data', (d) => (err += d));
		child.on('close', (code, signal) => resolve({ code, signal, out, err }));
		child.stdin.on('error', () => {}); // it may end before it reads
		child.stdin.end(input);
	});
}

export class Gateway {
	// program: another build of the gateway.
	constructor({ env = {}, args = [], program = bin } = {}) {
		this.program = program;
		gateways.push(this);
		this.env = env;
		this.args = args;
		this.log = '';
	}

	async start() {
		this.child = spawn(this.program, ['gateway', 'run', '--any-port', ...this.args],
			{ env: { ...process.env, ...this.env }, stdio: ['ignore', 'pipe', 'pipe'] });
		this.exited = new Promise((resolve) => this.child.on('exit', (code, signal) => {
			this.exit = { code, signal };
			resolve(this.exit);
		}));
		this.child.stdout.on('data', (d) => (this.log += d));
		this.child.stderr.on('data', (d) => (this.log += d));
		cleanup(() => this.kill());
		await until('the gateway to be ready', () => {
			if (this.exit)
				throw new Error(`the gateway ended with ${JSON.stringify(this.exit)}:\n${this.log}`);
			return /ready in/.test(this.log);
		}, 30000);
		this.port = Number(/ready in .*:(\d+)/.exec(this.log)[1]);
		this.token = this.env.OPENCLAW_GATEWAY_TOKEN
			?? fs.readFileSync(path.join(state, 'credentials/gateway-token'), 'utf8').trim();
		this.url = `http://127.0.0.1:${this.port}`;
		this.pid = this.child.pid;
		return this;
	}

	async stop() {
		if (!this.exit)
			this.child.kill('SIGTERM');
		const end = await this.exited;
		if (end.code !== 0)
			console.log(this.log.slice(-4000).replace(/^/gm, '# | '));
		return end;
	}

	async kill() {
		if (this.child && !this.exit)
			this.child.kill('SIGKILL');
		return this.exited;
	}

	get headers() {
		return { authorization: `Bearer ${this.token}`, 'content-type': 'application/json' };
	}

	fetch(target, init = {}) {
		return fetch(this.url + target, { ...init, headers: { ...this.headers, ...init.headers } });
	}

	// The whole JSON-RPC answer.
	async rpcRaw(method, params, id = 1) {
		const r = await this.fetch('/rpc', { method: 'POST', body: JSON.stringify({ jsonrpc: '2.0', id, method, params }) });
		return r.json();
	}

	async rpc(method, params) {
		const answer = await this.rpcRaw(method, params);
		if (answer.error)
			throw Object.assign(new Error(`${method}: ${answer.error.message}`), answer.error);
		return answer.result;
	}
}

// Bytes over a raw socket; resolves with all that came back when the server closed, or after ms.
export function raw(port, bytes, ms = 3000) {
	return new Promise((resolve, reject) => {
		const socket = net.connect(port, '127.0.0.1', () => socket.write(bytes));
		let text = '';
		const timer = setTimeout(() => socket.destroy(), ms);
		socket.on('data', (d) => (text += d));
		socket.on('error', (error) => (error.code === 'ECONNRESET' ? undefined : reject(error)));
		socket.on('close', () => {
			clearTimeout(timer);
			resolve(text);
		});
	});
}

// One request over the gateway's Unix socket.
export function unixRequest(target, { method = 'GET', headers = {}, body } = {}) {
	return new Promise((resolve, reject) => {
		const req = http.request({ socketPath: path.join(state, 'run/gateway.sock'), path: target, method, headers }, (res) => {
			let text = '';
			res.on('data', (d) => (text += d));
			res.on('end', () => resolve({ status: res.statusCode, headers: res.headers, text }));
		});
		req.on('error', reject);
		req.end(body);
	});
}

// A WebSocket to the gateway that speaks JSON; calls take(message) for each.
export function openSocket(port, take, headers = {}) {
	return new Promise((resolve, reject) => {
		const req = http.get({ port, host: '127.0.0.1', path: '/ws', headers: { ...headers, connection: 'Upgrade', upgrade: 'websocket', 'sec-websocket-version': 13,
			'sec-websocket-key': crypto.randomBytes(16).toString('base64') } });
		req.on('error', reject);
		req.on('upgrade', (_res, socket) => {
			let got = Buffer.alloc(0);
			socket.on('data', (data) => {
				got = Buffer.concat([got, data]);
				for (;;) {
					const short = got[1], at = short === 127 ? 10 : short === 126 ? 4 : 2;
					const n = short < 126 ? short : got.length >= at && (short === 126 ? got.readUInt16BE(2) : Number(got.readBigUInt64BE(2)));
					if (got.length < 2 || n === false || got.length < at + n)
						return;
					if ((got[0] & 15) === 1)
						take(JSON.parse(got.subarray(at, at + n).toString()));
					got = got.subarray(at + n);
				}
			});
			resolve({ close: () => socket.destroy(), send(text) {
				const body = Buffer.from(text), head = body.length < 126 ? [0x81, 0x80 | body.length] : [0x81, 0xfe, body.length >> 8, body.length & 255];
				socket.write(Buffer.concat([Buffer.from([...head, 0, 0, 0, 0]), body]));
			} });
		});
	});
}
