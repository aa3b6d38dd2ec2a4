// A headless Chromium, driven over its DevTools protocol with nothing but a WebSocket.
import { spawn } from 'node:child_process';
import fs from 'node:fs';
import path from 'node:path';
import { Claw } from './claw.mjs';
import { cleanup, until } from './lib.mjs';

export const chromium = ['/usr/bin/chromium', '/usr/bin/chromium-browser', '/usr/bin/google-chrome'].find((file) => fs.existsSync(file));

export class Page {
	static async open(url, folder) {
		const page = new Page();
		page.child = spawn(chromium, ['--headless=new', '--no-sandbox', '--disable-gpu', '--disable-dev-shm-usage', '--remote-debugging-port=0', '--window-size=1280,900',
			`--user-data-dir=${path.join(folder, 'chromium')}`, 'about:blank'], { stdio: ['ignore', 'ignore', 'pipe'] });
		cleanup(() => page.child.kill('SIGKILL'));
		let said = '';
		page.child.stderr.on('data', (d) => (said += d));
		const port = await until('chromium', () => /DevTools listening on ws:\/\/127\.0\.0\.1:(\d+)/.exec(said)?.[1], 20000);
		const target = await until('a page', async () => (await (await fetch(`http://127.0.0.1:${port}/json/list`)).json()).find((t) => t.type === 'page'));
		page.socket = await Claw.open(Number(port), { path: new URL(target.webSocketDebuggerUrl).pathname });
		page.id = 0;
		for (const domain of ['Page', 'Runtime', 'Log', 'Network'])
			await page.send(`${domain}.enable`);
		await page.send('Page.navigate', { url });
		return page;
	}

	async send(method, params = {}) {
		const id = ++this.id;
		this.socket.send({ id, method, params });
		const answer = await until(method, () => this.socket.frames.find((f) => f.id === id), 20000);
		if (answer.error)
			throw new Error(`${method}: ${answer.error.message}`);
		return answer.result;
	}

	// The value of an expression in the page. deep(selector) finds elements in shadow roots too.
	async run(expression) {
		const { result, exceptionDetails } = await this.send('Runtime.evaluate', { awaitPromise: true, returnByValue: true, expression: `(() => {
			const deep = (selector, root = document) => [...root.querySelectorAll(selector), ...[...root.querySelectorAll('*')].filter((e) => e.shadowRoot).flatMap((e) => deep(selector, e.shadowRoot))];
			return (${expression});
		})()` });
		if (exceptionDetails)
			throw new Error(exceptionDetails.exception?.description ?? exceptionDetails.text);
		return result.value;
	}

	text() {
		return this.run("document.body?.innerText ?? ''");
	}

	async shows(what, ms = 20000) {
		return until(`the page to show ${what}`, async () => what.test(await this.text()), ms);
	}

	// Presses the button of that name as soon as it can be pressed.
	async press(name) {
		return until(`the button ${name}`, () => this.run(`(() => { const button = deep('button').find((one) => one.innerText.trim() === ${JSON.stringify(name)} && !one.disabled); button?.click(); return !!button; })()`));
	}

	// Gives a field its value as a person would; element: an expression.
	async fill(element, value) {
		return this.run(`(() => { const field = ${element}; field.focus(); field.value = ${JSON.stringify(value)};
			for (const kind of ['input', 'change']) field.dispatchEvent(new Event(kind, { bubbles: true })); return 1; })()`);
	}

	// What the page complained about, and what the gateway refused it.
	complaints() {
		return this.socket.frames.map(({ method, params }) => {
			if (method === 'Runtime.exceptionThrown')
				return params.exceptionDetails.exception?.description ?? params.exceptionDetails.text;
			if (method === 'Log.entryAdded' && params.entry.level === 'error')
				return `${params.entry.text} ${params.entry.url}`;
			if (method === 'Network.webSocketFrameReceived' && /"ok":false/.test(params.response.payloadData))
				return params.response.payloadData;
			return null;
		}).filter(Boolean);
	}

	async picture(file) {
		fs.writeFileSync(file, Buffer.from((await this.send('Page.captureScreenshot', { format: 'png' })).data, 'base64'));
	}
}
