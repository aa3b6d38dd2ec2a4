// The Control UI of the npm package openclaw@2026.3.13, unmodified, in headless Chromium against this gateway. Needs the
// package's folder (OC_CONTROL_UI, or the one among the test packages) and Chromium.
import fs from 'node:fs';
import path from 'node:path';
import { Gateway, cleanup, done, equal, match, ok, skipAll, state, test, until, writeConfig } from './lib.mjs';
import { chromium, Page } from './chromium.mjs';
import { mockProvider } from './mock-provider.mjs';

const root = process.env.OC_CONTROL_UI ?? path.join(process.env.OC_NPM ?? '/nowhere', '../plugins/2026.3.13/dist/control-ui');
if (!fs.existsSync(path.join(root, 'index.html')))
	skipAll('needs npm packages (make npm-deps)');
if (!chromium)
	skipAll('there is no Chromium');

const mock = await mockProvider();
cleanup(() => mock.close());
fs.mkdirSync(path.join(state, 'workspace'), { recursive: true });
fs.writeFileSync(path.join(state, 'workspace/face.png'), Buffer.from('iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg==', 'base64'));
const config = mock.config({ gateway: { controlUi: { root } }, tools: { exec: { security: 'allowlist', ask: 'always', sandbox: { level: 'off' } } } });
config.agents.list = [{ id: 'main', identity: { name: 'Clawd', avatar: 'face.png' } }];
writeConfig(config);
const gw = await new Gateway().start();
const page = await Page.open(`${gw.url}/chat?session=main#token=${gw.token}`, process.env.TMPDIR);
const pictures = process.env.OC_PICTURES; // where to put them
const picture = async (name) => pictures && page.picture(path.join(pictures, `${name}.png`));
const app = "document.querySelector('openclaw-app')"; // its state is in members of this element
const say = async (text) => {
	await page.fill("deep('textarea')[0]", text);
	await until('the text to be taken', () => page.run(`${app}.chatMessage === ${JSON.stringify(text)} && ${app}.connected`));
	await page.run("deep('textarea')[0].dispatchEvent(new KeyboardEvent('keydown', { key: 'Enter', bubbles: true, cancelable: true }))");
};
const go = async (where, what) => {
	await page.send('Page.navigate', { url: `${gw.url}/${where}` });
	await until('the page to be connected', () => page.run(`${app}?.connected && ${app}.hello !== null`));
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

test('a command waits until its "Allow once" is pressed', async () => {
	await say('Run it. [[TOOL:exec {"command":"echo by a click"}]]');
	await page.shows(/Exec approval needed[^]*echo by a click\s+Host\s+gateway[^]*Allow once/);
	await picture('approval');
	const asked = mock.requests.length;
	await page.press('Allow once');
	await until('what came of it to be told the model', () => mock.requests.length > asked);
	match(JSON.stringify(mock.requests.at(-1).at(-1)), /"role":"tool".*by a click/);
	await until('the dialogue to be gone, and the run over', async () => {
		const text = await page.text();
		return !/Exec approval needed/.test(text) && text.match(/Tool returned: ok. Done./g)?.length === 2;
	});
});

test('the configuration is edited and saved; what is secret stays, and is not shown', async () => {
	await go('config', /No changes/);
	await until('the configuration to be there', () => page.run(`!!${app}.configForm?.models`));
	ok(!JSON.stringify(await page.run(`${app}.configForm`)).includes('sk-mock'));
	await page.fill("deep('.cfg-field').find((one) => one.querySelector('.cfg-field__label')?.innerText === 'Level').querySelector('select')", '3'); // debug
	await page.shows(/1 unsaved change/);
	await picture('config-edited');
	await page.press('Save');
	await until('it to be saved', async () => /No changes/.test(await page.text()) && page.run(`${app}.configForm?.logging?.level === 'debug' && !${app}.configSaving`));
	await picture('config-saved');
	const saved = JSON.parse(fs.readFileSync(path.join(state, 'openclaw.json'), 'utf8'));
	equal(saved, { ...config, logging: { level: 'debug' } });
});

test('a job is added and run, and its run is shown', async () => {
	await go('cron', /No matching jobs/);
	await page.fill("deep('#cron-name')[0]", 'Morning brief');
	await page.fill("deep('#cron-payload-text')[0]", 'Brief me. [[SHORT]]');
	await page.fill("deep('#cron-delivery-mode')[0]", 'none');
	await page.press('Add job');
	await page.shows(/Morning brief\s+Every 30m[^]*NEXT\s+in \d+m/);
	await page.press('Run');
	await page.shows(/STATUS\s+ok[^]*Run history[^]*1 shown of 1[^]*OK\s+Short reply\./);
	await picture('cron-run');
	const [job] = (await gw.rpc('cron.list', {})).jobs;
	equal([job.name, job.state.lastRunStatus ?? job.state.lastStatus], ['Morning brief', 'ok']);
});

test('sessions, channels, agents, devices, instances, logs, cron, skills and the configuration are shown', async () => {
	await go('sessions', /agent:main:main/);
	await go('channels', /Channel health/);
	await go('agents', /Clawd|main \(default\)/);
	await go('instances', /openclaw-control-ui/);
	await go('nodes', /roles: operator/);
	await go('logs', /info\s+gateway\s+ready in/);
	await go('debug', /Snapshots/);
	await go('skills', /No skills found/);
	await go('overview', /STATUS\s+OK/);
});

test('usage is shown: tokens, models, tools and agents', async () => {
	await go('usage', /v0\.1\.0[^]*Select a date range/); // the version is known when it is connected
	await page.run(`(() => { deep('button').find((one) => /^Refresh$/.test(one.innerText.trim())).click(); return 1; })()`);
	await page.shows(/Top Models\s+mock-1[^]*Top Tools[^]*read\s+1\s+calls/);
	await picture('usage');
});

test('the page had nothing to complain about', async () => {
	equal(page.complaints().filter((one) => !/ https:/.test(one)), []); // what it wants from elsewhere is not ours to give
});

test('the page is public, but leads nowhere else', async () => {
	const get = (target, init) => fetch(gw.url + target, init);
	equal((await get('/')).headers.get('content-type'), 'text/html; charset=utf-8');
	equal((await get('/any/page')).status, 200);
	equal(Object.keys(await (await get('/__openclaw/control-ui-config.json')).json()), ['basePath', 'assistantName', 'assistantAvatar', 'assistantAgentId', 'serverVersion']);
	equal(await (await get('/avatar/main?meta=1')).json(), { avatarUrl: '/avatar/main' });
	equal((await get('/avatar/main')).headers.get('content-type'), 'image/png');
	equal(await (await get('/avatar/none?meta=1')).json(), { avatarUrl: null });
	equal((await get('/avatar/none')).status, 404);
	equal((await get('/..%2f..%2fpackage.json')).status, 400);
	for (const target of ['/no-such-file.js', '/.hidden.txt', '/v1/none', '/assets/../../../package.json'])
		equal([target, (await get(target)).status], [target, 404]);
	equal((await get('/', { method: 'POST' })).status, 405);
	ok((await get('/metrics')).status === 401);
});

await done();
