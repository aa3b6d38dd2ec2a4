import fs from 'node:fs';
import http from 'node:http';
import path from 'node:path';
import { test, done, Gateway, cleanup, cli, equal, match, ok, until, state, skipAll, writeConfig } from './lib.mjs';

if (!fs.existsSync(path.join(path.dirname(process.env.OC_BIN), 'bridge/vendor')))
	skipAll('built without plugins');

// A server that speaks the OpenAI protocol and says who asked for what.
const asked = [];
// And renews logins: each token is good for once.
const renewals = { refuse: false, under: 0, most: 0, seen: [] };
function renew(token, res) {
	renewals.most = Math.max(renewals.most, ++renewals.under);
	renewals.seen.push(token);
	setTimeout(() => {
		renewals.under--;
		res.writeHead(renewals.refuse ? 400 : 200, { 'content-type': 'application/json' });
		res.end(renewals.refuse ? '{"error":"the grant was withdrawn"}' : JSON.stringify({ access: `access-after-${token}`, refresh: `${token}+` }));
	}, 50);
}
const ended = new Set(); // as the provider sees it, whatever a clock says
const server = http.createServer((req, res) => {
	let body = '';
	req.setEncoding('utf8').on('data', (piece) => (body += piece));
	req.on('end', () => {
		if (req.url === '/renew')
			return renew(body, res);
		const { model } = JSON.parse(body);
		asked.push({ url: req.url, model, key: req.headers.authorization });
		if (ended.has(req.headers.authorization)) {
			res.writeHead(401, { 'content-type': 'application/json' });
			return res.end('{"error":{"message":"this token has ended"}}');
		}
		res.writeHead(200, { 'content-type': 'text/event-stream' });
		for (const delta of [{ role: 'assistant', content: 'I am ' }, { content: model }])
			res.write(`data: ${JSON.stringify({ id: 'x', object: 'chat.completion.chunk', model, choices: [{ index: 0, delta }] })}\n\n`);
		res.write(`data: ${JSON.stringify({ id: 'x', object: 'chat.completion.chunk', model, choices: [{ index: 0, delta: {}, finish_reason: 'stop' }] })}\n\n`);
		res.end('data: [DONE]\n\n');
	});
});
await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve));
cleanup(() => server.close());
const baseUrl = `http://127.0.0.1:${server.address().port}/v1`;

const PROVIDER = `
import type { OpenClawPluginApi } from "openclaw/plugin-sdk";
export default {
	id: "mill", register(api: OpenClawPluginApi) {
		api.registerProvider({ id: "mill", label: "Mill", envVars: ["MILL_API_KEY"], aliases: ["ml"],
			models: { baseUrl: (api.pluginConfig as any).baseUrl, api: "openai-completions",
				models: [{ id: "stone-1", name: "Stone 1", reasoning: false, input: ["text"], cost: { input: 0, output: 0, cacheRead: 0, cacheWrite: 0 },
					contextWindow: 64000, maxTokens: 2000 }] },
			async refreshOAuth(credential: any) {
				const response = await fetch((api.pluginConfig as any).baseUrl.replace("/v1", "/renew"), { method: "POST", body: credential.refresh });
				const answer = await response.json();
				if (!response.ok)
					throw new Error(answer.error);
				return { ...credential, ...answer, expires: Date.now() + 3600000 };
			},
			auth: [
				{ id: "device", label: "Device", kind: "device_code", async run() {
					const login = (name: string) => ({ profileId: "mill:" + name, credential: { type: "oauth", provider: "mill", access: "access-of-" + name, refresh: "refresh-of-" + name,
						expires: Date.now() + 1000 } });
					return { profiles: [login("one"), login("two")], configPatch: { models: { providers: { mill: { apiKey: "mill-oauth" } } } } };
				} },
				{ id: "key", label: "API key", kind: "api_key", async run(ctx: any) {
					await ctx.prompter.note("Keys are made at the mill.", "Mill");
					const key = await ctx.prompter.text({ message: "API key", validate: (value: string) => (value.length < 8 ? "that is too short" : undefined) });
					const size = await ctx.prompter.select({ message: "Which stone?", options: [{ value: "1", label: "small" }, { value: "2", label: "large" }] });
					if (!(await ctx.prompter.confirm({ message: "Keep it?" })))
						throw new Error("not kept");
					return { profiles: [{ profileId: "mill:default", credential: { type: "api_key", provider: "mill", key } }],
						configPatch: { models: { providers: { mill: { headers: { "x-stone": size } } } }, gateway: { port: 1 } },
						defaultModel: "mill/stone-1", notes: ["Grind well."] };
				} },
				{ id: "never", label: "Never", kind: "custom", run: async () => { throw new Error("the mill is closed"); } },
			] });
	},
};
`;
const folder = path.join(state, 'extensions/mill');
fs.mkdirSync(folder, { recursive: true });
for (const [name, content] of Object.entries({ 'index.ts': PROVIDER,
	'openclaw.plugin.json': JSON.stringify({ id: 'mill', providers: ['mill'], configSchema: { type: 'object', properties: { baseUrl: { type: 'string' } } } }),
	'package.json': JSON.stringify({ name: 'mill', type: 'module', openclaw: { extensions: ['./index.ts'] } }) }))
	fs.writeFileSync(path.join(folder, name), content);
const config = (more = {}) => ({ agents: { defaults: { model: { primary: 'mill/stone-1' } } }, plugins: { entries: { mill: { config: { baseUrl } } } }, ...more });
writeConfig(config());

let gw;
const say = async (text) => (await gw.rpc('session.message', { session: 'main', text, wait: true })).text;

test('its models are listed and answer, with the key of its variable', async () => {
	gw = await new Gateway({ env: { MILL_API_KEY: 'key-of-the-environment' } }).start();
	const model = await until('the model', async () => (await gw.rpc('models.list', {})).models.find((one) => one.id === 'mill/stone-1'));
	equal([model.name, model.contextWindow], ['Stone 1', 64000]);
	equal(await say('who are you?'), 'I am stone-1');
	equal(asked.at(-1), { url: '/v1/chat/completions', model: 'stone-1', key: 'Bearer key-of-the-environment' });
	equal((await gw.stop()).code, 0);
});

test('the next start knows them without the plugin\'s process, and a configured key is used', async () => {
	writeConfig(config({ models: { providers: { mill: { apiKey: 'key-of-the-file' } } } }));
	gw = await new Gateway().start();
	equal(await say('and now?'), 'I am stone-1');
	equal(asked.at(-1).key, 'Bearer key-of-the-file');
	equal((await gw.rpc('plugins.list', {})).plugins.find((one) => one.id === 'mill').process, 'idle');
	ok(asked.length === 2, JSON.stringify(asked));
	equal((await gw.stop()).code, 0);
});

const file = () => JSON.parse(fs.readFileSync(path.join(state, 'openclaw.json'), 'utf8'));

test('a login asks on the terminal and keeps what came of it, and no more', async () => {
	writeConfig(config());
	const r = cli(['models', 'auth', 'login', '--provider', 'ml', '--method', 'key', '--set-default'], { input: 'short\na-long-enough-key\n2\n\n' });
	equal(r.code, 0, r.err);
	match(r.err, /Keys are made at the mill.*that is too short.*2\) large.*Keep it\? \[Y\/n\]/s);
	match(r.err, /not changed.*gateway\.port/);
	match(r.out, /Grind well\.\s+mill: logged in/);
	equal(file().models.providers.mill, { headers: { 'x-stone': '2' }, apiKey: 'a-long-enough-key' });
	equal(file().agents.defaults.model.primary, 'mill/stone-1');
	ok(!r.out.includes('a-long-enough-key') && file().gateway === undefined);
});

test('a login that fails or is left changes nothing', async () => {
	const before = file();
	const failed = cli(['models', 'auth', 'login', '--provider', 'mill', '--method', 'never']);
	equal(failed.code, 1);
	match(failed.err, /the mill is closed/);
	const left = cli(['models', 'auth', 'login', '--provider', 'mill', '--method', 'key'], { input: '' });
	equal(left.code, 1);
	match(left.err, /no more input/);
	match(cli(['models', 'auth', 'login', '--provider', 'nobody']).err, /no plugin that is enabled knows how to log in to nobody/);
	equal(file(), before);
});

const profiles = path.join(state, 'agents/main/agent/auth-profiles.json');
const kept = () => JSON.parse(fs.readFileSync(profiles, 'utf8')).profiles;

test('a login that ends is kept with what renews it, and renewed before it ends, one at a time', async () => {
	writeConfig(config());
	const r = cli(['models', 'auth', 'login', '--provider', 'mill', '--method', 'device']);
	equal(r.code, 0, r.err);
	equal(fs.statSync(profiles).mode & 0o777, 0o600);
	equal([kept()['mill:one'].refresh, kept()['mill:two'].access], ['refresh-of-one', 'access-of-two']);
	equal(file().models?.providers?.mill?.apiKey, undefined);
	gw = await new Gateway().start();
	await until('both', () => Object.values(kept()).every((one) => one.access.startsWith('access-after-')));
	equal([renewals.most, [...renewals.seen].sort()], [1, ['refresh-of-one', 'refresh-of-two']]);
	ok(kept()['mill:one'].expires > Date.now() + 3000000 && kept()['mill:one'].refresh === 'refresh-of-one+');
	await until('it in use', async () => (await say('hello')) === 'I am stone-1' && /^Bearer access-after-refresh-of-(?:one|two)$/.test(asked.at(-1).key));
	ok(!gw.log.includes('access-after'));
	equal((await gw.stop()).code, 0);
});

test('a login that the provider takes for ended is renewed too: our clock may have been set back', async () => {
	const tokens = () => Object.values(kept()).map((one) => one.access);
	for (const token of tokens())
		ended.add(`Bearer ${token}`);
	gw = await new Gateway().start();
	match(JSON.stringify(await gw.rpcRaw('session.message', { session: 'main', text: 'are you there?', wait: true })), /not accepted/);
	await until('new ones', () => tokens().every((token) => !ended.has(`Bearer ${token}`)));
	await until('them in use', async () => (await say('hello').catch(() => '')) === 'I am stone-1');
	equal((await gw.stop()).code, 0);
});

test('one that cannot be renewed is said in words', async () => {
	renewals.refuse = true;
	const all = kept();
	all['mill:one'].expires = Date.now() - 1;
	fs.writeFileSync(profiles, JSON.stringify({ version: 1, profiles: all }));
	gw = await new Gateway().start();
	await until('the words', () => /the login mill:one cannot be renewed: .*the grant was withdrawn; log in again: openclaw models auth login --provider mill/.test(gw.log));
	match(JSON.parse(cli(['plugins', 'doctor', 'mill', '--json']).out).find((one) => one.kind === 'login').what, /mill:one cannot be renewed/);
	equal(await say('still there?'), 'I am stone-1');
	match(asked.at(-1).key, /^Bearer access-after-refresh-of-two/);
	equal((await gw.stop()).code, 0);
});

await done();
