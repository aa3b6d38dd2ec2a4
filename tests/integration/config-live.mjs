// The configuration and a running gateway: mistakes cost their part only, changes are taken up, by whatever way they come.
import fs from 'node:fs';
import path from 'node:path';
import { Gateway, cli, done, equal, match, ok, sleep, state, test, until, writeConfig } from './lib.mjs';

let gw;
const problems = async () => (await gw.rpc('system.status', {})).config.problems;
const paths = async () => (await problems()).map((p) => p.path).sort();

test('a gateway starts whatever is wrong in its configuration, and says what', async () => {
	fs.mkdirSync(path.join(state, 'parts'), { recursive: true, mode: 0o700 });
	fs.writeFileSync(path.join(state, 'parts/log.json5'), '{ level: "info" }');
	writeConfig(`// with mistakes
{
  gateway: { prot: 1, reload: { debounceMs: 50 } },
  logging: { $include: 'parts/log.json5' },
  channels: { telegram: { botToken: '\${OC_LIVE_TOKEN}' }, nowhere: { enabled: 'yes' } },
  models: { providers: { broken: { apiKey: '\${OC_LIVE_KEY}' } } },
  tools: { web: { fetch: { maxChars: 'many' } } },
}`);
	gw = await new Gateway().start();
	equal(await paths(), ['channels.nowhere.enabled', 'channels.telegram.botToken', 'gateway.prot',
		'models.providers.broken.apiKey', 'tools.web.fetch.maxChars']);
	for (const p of await problems())
		ok(p.remedy.length > 0, p.path);
	match((await problems()).find((p) => p.path === 'gateway.prot').message, /did you mean "port"/);
});

test('the rest of it works', () => {
	const r = cli(['agent', '-m', 'hello there']);
	equal(r.code, 0, r.err);
	match(r.out, /hello there/);
});

test('config set reaches the running gateway', async () => {
	const r = cli(['config', 'set', 'logging.level', 'debug']);
	equal(r.code, 0, r.err);
	await until('the reload', () => /reloaded: 1 change/.test(gw.log));
});

test('what config set refuses never reaches it', async () => {
	const before = gw.log.length;
	equal(cli(['config', 'set', 'gateway.reload.debounceMs', 'soon']).code, 1);
	await sleep(400);
	ok(!/reloaded|old configuration stays/.test(gw.log.slice(before)));
});

test('a missing variable that is put into .env is found', async () => {
	fs.writeFileSync(path.join(state, '.env'), 'OC_LIVE_KEY=live-key-value-1234\n', { mode: 0o600 });
	await until('the key', async () => !(await paths()).includes('models.providers.broken.apiKey'));
	ok((await paths()).includes('channels.telegram.botToken'));
});

test('a change of an included file counts', async () => {
	const reloads = () => (gw.log.match(/reloaded/g) ?? []).length;
	const before = reloads();
	equal(cli(['config', 'unset', 'logging.level']).code, 0);
	await until('the first reload', () => reloads() === before + 1);
	fs.writeFileSync(path.join(state, 'parts/log.json5'), '{ level: "debug" }');
	await until('the second reload', () => reloads() === before + 2);
});

test('a mistake made while it runs is told, and its correction too', async () => {
	equal(cli(['config', 'unset', 'channels']).code, 0);
	const file = path.join(state, 'openclaw.json');
	const good = fs.readFileSync(file, 'utf8');
	fs.writeFileSync(file, good.replace('// with mistakes', '').replace('{', '{ session: { dmScope: "mian" },'));
	await until('the problem', async () => (await paths()).includes('session.dmScope'));
	match(gw.log, /session\.dmScope: must be .*did you mean "main"/);
	fs.writeFileSync(file, '{ broken');
	await until('the complaint', () => /old configuration stays/.test(gw.log));
	match((await gw.rpc('system.status', {})).config.reloadError, /line 1, column/);
	match(cli(['status']).out, /error .*openclaw\.json: line 1, column .*; what was loaded before is used/);
	fs.writeFileSync(file, good);
	await until('the correction', async () => !(await paths()).includes('session.dmScope'));
	equal((await gw.rpc('system.status', {})).config.reloadError, undefined);
});

test('config set returns when the gateway goes by it; a reload over RPC says what went wrong', async () => {
	for (const name of ['one', 'two', 'three']) {
		equal(cli(['config', 'set', 'agents.list[0]', `{ id: "main", name: "${name}" }`]).code, 0);
		equal((await gw.rpc('agent.list')).agents[0].name, name);
	}
	const file = path.join(state, 'openclaw.json'), good = fs.readFileSync(file, 'utf8');
	fs.writeFileSync(file, '{ broken');
	match((await gw.rpcRaw('system.reload', {})).error.message, /line 1, column/);
	fs.writeFileSync(file, good);
	equal(await gw.rpc('system.reload', {}), { ok: true });
});

test('it never says a secret', async () => {
	ok(!gw.log.includes('live-key-value-1234'));
	equal((await gw.stop()).code, 0);
	ok(!fs.readFileSync(path.join(state, 'logs/gateway.log'), 'utf8').includes('live-key-value-1234'));
	ok(!cli(['config', 'show']).out.includes('live-key-value-1234'));
});

await done();
