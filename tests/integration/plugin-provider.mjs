import fs from 'node:fs';
import http from 'node:http';
import path from 'node:path';
import { test, done, Gateway, cleanup, equal, match, ok, until, state, skipAll, writeConfig } from './lib.mjs';

if (!fs.existsSync(path.join(path.dirname(process.env.OC_BIN), 'bridge/vendor')))
	skipAll('built without plugins');

// A server that speaks the OpenAI protocol and says who asked for what.
const asked = [];
const server = http.createServer((req, res) => {
	let body = '';
	req.setEncoding('utf8').on('data', (piece) => (body += piece));
	req.on('end', () => {
		const { model } = JSON.parse(body);
		asked.push({ url: req.url, model, key: req.headers.authorization });
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
			auth: [{ id: "key", label: "API key", kind: "api_key", run: async () => ({ profiles: [] }) }] });
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

await done();
