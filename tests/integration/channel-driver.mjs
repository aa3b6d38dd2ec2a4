// The other end of channel_driver.c: a host that a test scripts.
import { spawn } from 'node:child_process';
import fs from 'node:fs';
import path from 'node:path';

export const driverPath = path.join(process.env.OC_TOP_BUILDDIR, 'tests/integration/channel_driver');

export class Driver {
	constructor(module, mediaDir) {
		this.module = module;
		this.mediaDir = mediaDir;
		this.events = [];
		this.stderr = '';
		this.n = 0;
		this.waiting = [];
	}

	async start() {
		fs.mkdirSync(this.mediaDir, { recursive: true, mode: 0o700 });
		this.child = spawn(driverPath, [this.module, this.mediaDir], { stdio: ['pipe', 'pipe', 'pipe'] });
		this.exited = new Promise((resolve) => this.child.on('exit', (code, signal) => {
			this.exit = { code, signal };
			this.#wake();
			resolve(this.exit);
		}));
		this.child.stderr.on('data', (d) => (this.stderr += d));
		this.child.stdin.on('error', () => {});
		let rest = '';
		this.child.stdout.on('data', (d) => {
			const lines = (rest + d).split('\n');
			rest = lines.pop();
			for (const line of lines)
				this.events.push(JSON.parse(line));
			this.#wake();
		});
		await this.until('the driver to be ready', () => this.events.some((e) => e.ev === 'ready'));
		return this;
	}

	#wake() {
		for (const fn of this.waiting.splice(0))
			fn();
	}

	async until(what, fn, ms = 15000) {
		const end = Date.now() + ms;
		for (;;) {
			const value = fn(this);
			if (value)
				return value;
			if (this.exit)
				throw new Error(`the driver ended (${JSON.stringify(this.exit)}) before: ${what}\n${this.stderr.slice(-4000)}`);
			const left = end - Date.now();
			if (left <= 0)
				throw new Error(`waited ${ms} ms for: ${what}; last events:\n${this.events.slice(-12).map((e) => JSON.stringify(e)).join('\n')}`);
			await new Promise((resolve) => {
				const timer = setTimeout(resolve, Math.min(left, 100));
				this.waiting.push(() => {
					clearTimeout(timer);
					resolve();
				});
			});
		}
	}

	put(line) {
		this.child.stdin.write(`${JSON.stringify(line)}\n`);
	}

	// Starts a call; returns its number.
	begin(op, args) {
		const n = ++this.n;
		this.put(op === 'http' ? { op, n, ...args } : { op, n, args });
		return n;
	}

	done(n, ms) {
		return this.until(`call ${n} to be completed`, () => this.events.find((e) => e.ev === 'done' && e.n === n), ms);
	}

	// A call to its end: {status, result}.
	async call(op, args, ms) {
		return this.done(this.begin(op, args), ms);
	}

	get received() {
		return this.events.filter((e) => e.ev === 'receive').map((e) => e.message);
	}

	get states() {
		return this.events.filter((e) => e.ev === 'state').map((e) => e.state);
	}

	get logs() {
		return this.events.filter((e) => e.ev === 'log').map((e) => e.text);
	}

	get breaches() {
		return this.events.filter((e) => e.ev === 'breach').map((e) => e.what);
	}

	// Ends it in good order and tells what it did wrong.
	async end() {
		if (this.exit)
			return;
		const n = ++this.n;
		this.put({ op: 'stop', n });
		await this.done(n);
		this.child.stdin.end();
		await this.exited;
		const wrong = this.breaches;
		if (this.exit.code !== 0 || wrong.length)
			throw new Error(`the module broke the contract: ${wrong.join('; ')} (exit ${JSON.stringify(this.exit)})\n${this.stderr.slice(-4000)}`);
	}

	async kill() {
		this.child.kill('SIGKILL');
		return this.exited;
	}
}
