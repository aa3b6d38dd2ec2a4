// The Control UI of the npm package openclaw@2026.3.13, unmodified, in headless Chromium against this gateway. Needs the
// package's folder (OC_CONTROL_UI, or the one among the test packages) and Chromium.
import fs from 'node:fs';
import path from 'node:path';
import { Gateway, cleanup, done, equal, ok, skipAll, test, until, writeConfig } from './lib.mjs';
import { chromium, Page } from './chromium.mjs';
import { mockProvider } from './mock-provider.mjs';

const root = process.env.OC_CONTROL_UI ?? path.join(process.env.OC_NPM ?? '/nowhere', '../plugins/2026.3.13/dist/control-ui');
if (!fs.existsSync(path.join(root, 'index.html')))
	skipAll('needs npm packages (make npm-deps)');
if (!chromium)
	skipAll('there is no Chromium');

const mock = await mockProvider();
cleanup(() => mock.close());
writeConfig(mock.config({ gateway: { controlUi: { root } } }));
const gw = await new Gateway().start();
const page = await Page.open(`${gw.url}/chat?session=main#token=${gw.token}`, process.env.TMPDIR);
const pictures = process.env.OC_PICTURES; // where to put them
const picture = async (name) => pictures && page.picture(path.join(pictures, `${name}.png`));
const say = (text) => page.run(`(() => { const box = deep('textarea')[0]; box.focus(); Object.getOwnPropertyDescriptor(HTMLTextAreaElement.prototype, 'value').set.call(box, ${JSON.stringify(text)});
	box.dispatchEvent(new Event('input', { bubbles: true })); setTimeout(() => box.dispatchEvent(new KeyboardEvent('keydown', { key: 'Enter', bubbles: true, cancelable: true })), 50); return 1; })()`);
const go = async (where, what) => {
	await page.send('Page.navigate', { url: `${gw.url}/${where}` });
	await page.shows(what);
	await picture(where);
};

test('it connects, pairs its key, and chats with streaming', async () => {
	await page.shows(/Ready to chat/);
	const [device] = (await gw.rpc('device.pair.list', {})).paired;
	equal([device.clientId, device.role], ['openclaw-control-ui', 'operator']);
	await say('Please say something.');
	await page.shows(/The quick brown fox jumps over the lazy dog. The quick brown fox jumps over the/);
	await picture('chat');
	equal((await gw.rpc('session.history', { session: 'main' })).messages.length, 2);
});

test('a tool call is shown', async () => {
	await say('Use a tool. [[TOOL:read {"path":"AGENTS.md","limit":3}]]');
	await page.shows(/Tool returned: ok. Done./);
	await until('the tool to be shown', async () => /read/i.test(await page.text()));
	await picture('chat-tool');
});

test('sessions, channels, agents, devices, instances, logs, cron, skills and the configuration are shown', async () => {
	await go('sessions', /agent:main:main/);
	await go('channels', /Channel health/);
	await go('agents', /main \(default\)/);
	await go('instances', /openclaw-control-ui/);
	await go('nodes', /roles: operator/);
	await go('logs', /ready in/);
	await go('cron', /No matching jobs/);
	await go('config', /Gateway/);
	await go('skills', /No skills found/);
	await go('overview', /STATUS\s+OK/);
});

test('usage is shown: tokens, models, tools and agents', async () => {
	await go('usage', /v0\.1\.0[^]*Select a date range/); // the version is known when it is connected
	await page.run(`(() => { deep('button').find((one) => /^Refresh$/.test(one.innerText.trim())).click(); return 1; })()`);
	await page.shows(/Top Models\s+mock-1[^]*Top Tools\s+read\s+1\s+calls/);
	await picture('usage');
});

test('the page is public, but leads nowhere else', async () => {
	const get = (target, init) => fetch(gw.url + target, init);
	equal((await get('/')).headers.get('content-type'), 'text/html; charset=utf-8');
	equal((await get('/any/page')).status, 200);
	equal(Object.keys(await (await get('/__openclaw/control-ui-config.json')).json()), ['basePath', 'assistantName', 'assistantAvatar', 'assistantAgentId', 'serverVersion']);
	equal((await get('/..%2f..%2fpackage.json')).status, 400);
	for (const target of ['/no-such-file.js', '/.hidden.txt', '/v1/none', '/assets/../../../package.json'])
		equal([target, (await get(target)).status], [target, 404]);
	equal((await get('/', { method: 'POST' })).status, 405);
	ok((await get('/metrics')).status === 401);
});

await done();
