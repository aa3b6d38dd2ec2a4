// Extensions of 2026.3.13, unmodified, at their work: the answers of tests/captures' recordings where they are not the
// original's sentences.  irc and nextcloud-talk are in plugin-channels.mjs.
import fs from 'node:fs';
import http from 'node:http';
import net from 'node:net';
import path from 'node:path';
import { test, done, Gateway, cleanup, cli, equal, ok, match, until, skipAll, state, writeConfig } from './lib.mjs';
import { Claw, Device } from './claw.mjs';

const packages = path.join(process.env.OC_NPM ?? '', '../plugins');
if (!fs.existsSync(path.join(path.dirname(process.env.OC_BIN), 'bridge/vendor')))
	skipAll('built without plugins');
if (!fs.existsSync(path.join(packages, 'kitchen-sink')))
	skipAll('needs npm packages (make npm-deps)');

// One server for all: a model provider, a collector, an owner of threads.
const seen = [];
const server = http.createServer((req, res) => {
	const chunks = [];
	req.on('data', (chunk) => chunks.push(chunk)).on('end', () => {
		const body = Buffer.concat(chunks);
		seen.push({ method: req.method, url: req.url, type: req.headers['content-type'], body });
		if (req.url.endsWith('/chat/completions'))
			return answerModel(JSON.parse(body), res);
		if (req.url.startsWith('/api/v1/ownership/C_OTHER')) {
			res.writeHead(409, { 'content-type': 'application/json' });
			return res.end('{"owner":"other-agent"}');
		}
		res.writeHead(200, { 'content-type': 'application/json' });
		res.end('{}');
	});
});
await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve));
cleanup(async () => server.close());
const port = server.address().port;

function answerModel({ messages, stream }, res) {
	const last = JSON.stringify(messages.at(-1).content);
	const text = last.includes('fenced') ? '```json\n{"fenced":true}\n```' : last.includes('bad') ? 'no json' : '{"ok":1}';
	const usage = { prompt_tokens: 10, completion_tokens: 5, total_tokens: 15 };
	if (!stream) {
		res.writeHead(200, { 'content-type': 'application/json' });
		return res.end(JSON.stringify({ choices: [{ message: { role: 'assistant', content: text }, finish_reason: 'stop' }], usage }));
	}
	res.writeHead(200, { 'content-type': 'text/event-stream' });
	const say = (value) => res.write(`data: ${JSON.stringify(value)}\n\n`);
	say({ choices: [{ index: 0, delta: { role: 'assistant', content: text } }] });
	say({ choices: [{ index: 0, delta: {}, finish_reason: 'stop' }] });
	say({ choices: [], usage });
	res.end('data: [DONE]\n\n');
}

// A port that nobody had a moment ago.
const free = await new Promise((resolve) => {
	const probe = http.createServer().listen(0, '127.0.0.1', () => {
		const { port: one } = probe.address();
		probe.close(() => resolve(one));
	});
});

const workspace = path.join(state, 'workspace');
fs.mkdirSync(path.join(workspace, 'bin'), { recursive: true });
fs.mkdirSync(path.join(workspace, 'memory'));
fs.writeFileSync(path.join(workspace, 'MEMORY.md'), '# Memory\n\nThe owner likes green tea.\n');
// A stand-in for the lobster command, as in the recording: it echoes how it was called.
fs.writeFileSync(path.join(workspace, 'bin/lobster'), `#!/usr/bin/env node
const argv = process.argv.slice(2);
const approve = argv.at(-1) === 'APPROVE';
console.log(JSON.stringify({ ok: true, status: approve ? 'needs_approval' : 'ok', output: [{ argv }],
	requiresApproval: approve ? { type: 'approval_request', prompt: 'Go on?', items: [], resumeToken: 'tok1' } : null }));
`, { mode: 0o755 });
process.env.PATH = `${path.join(workspace, 'bin')}:${process.env.PATH}`;

// Stands for Slack: says what it was told to send.
const slack = path.join(state, 'extensions/slack-stand-in');
fs.mkdirSync(slack, { recursive: true });
fs.writeFileSync(path.join(slack, 'openclaw.plugin.json'), JSON.stringify({ id: 'slack-stand-in', channels: ['slack'], configSchema: { type: 'object' } }));
fs.writeFileSync(path.join(slack, 'index.ts'), `
	const sent: string[] = [];
	const people = [{ kind: "user", id: "U7", name: "Ann", handle: "@ann" }, { kind: "user", id: "U8", name: "Twin" }, { kind: "user", id: "U9", name: "twin" }];
	const directory = { self: async () => null, listPeers: async ({ query }: any) => people.filter((one) => one.name.toLowerCase().includes(query)), listGroups: async () => [] };
	const resolver = { resolveTargets: async ({ inputs, kind }: any) => inputs.map((input: string) => (kind === "group" && input === "#general" ? { input, resolved: true, id: "C_GENERAL", name: "general" } : { input, resolved: false })) };
	const messaging = { targetResolver: { looksLikeId: (raw: string) => /^[CU][A-Z_0-9]*$/.test(raw), hint: "<id>" } };
	const outbound = { deliveryMode: "direct", sendText: async ({ to, text, threadId }: any) => ({ channel: "slack", messageId: String(sent.push([to, threadId ?? "-", text].join(" "))) }) };
	const actions = { listActions: () => ["send", "react"], handleAction: async ({ action, params, accountId }: any) => ({ content: [{ type: "text", text: [action, accountId, params.to, params.messageId, params.emoji].join(" ") }] }) };
	export default { id: "slack-stand-in", register(api: any) {
		api.registerChannel({ plugin: { id: "slack", meta: { id: "slack", label: "Slack" }, capabilities: { chatTypes: ["channel"] }, outbound, actions, directory, resolver, messaging,
			config: { listAccountIds: () => ["default"], resolveAccount: () => ({ accountId: "default", enabled: true }) } } });
		api.registerGatewayMethod("slack.sent", ({ respond }: any) => respond(true, sent));
	} };
`);

// Where people put them; what they depend on as npm would have put it.
const copied = ['voice-call', 'phone-control', 'talk-voice'], extensions = path.join(packages, '2026.3.13/extensions');
for (const id of copied) {
	const to = path.join(state, 'extensions', id), described = path.join(to, 'package.json');
	fs.cpSync(path.join(extensions, id), to, { recursive: true });
	for (const name of Object.keys((fs.existsSync(described) && JSON.parse(fs.readFileSync(described, 'utf8')).dependencies) || {})) {
		const from = path.join(packages, 'node_modules', name);
		if (fs.existsSync(from))
			fs.cpSync(from, path.join(to, 'node_modules', name), { recursive: true, dereference: true });
	}
}

const ids = ['llm-task', 'lobster', 'memory-core', 'talk-voice', 'phone-control', 'device-pair', 'diagnostics-otel', 'voice-call', 'thread-ownership', 'diffs', 'slack-stand-in'];
writeConfig({
	agents: { defaults: { model: { primary: 'mock/mock-1' }, workspace }, list: [{ id: 'main', default: true, identity: { name: 'Robo' } }] },
	models: { providers: { mock: { baseUrl: `http://127.0.0.1:${port}/v1`, apiKey: 'sk-mock', api: 'openai-completions',
		models: [{ id: 'mock-1', name: 'Mock', contextWindow: 128000, maxTokens: 4096 }] } } },
	tools: { alsoAllow: ['llm-task', 'lobster', 'diffs'] },
	talk: { apiKey: 'el-key-123456' },
	channels: { slack: { enabled: true } },
	diagnostics: { enabled: true, otel: { enabled: true, endpoint: `http://127.0.0.1:${port}`, protocol: 'http/protobuf', serviceName: 'oc-test', traces: true, metrics: true,
		logs: true, flushIntervalMs: 1000, sampleRate: 1 } },
	plugins: {
		load: { paths: ids.filter((id) => !copied.includes(id) && id !== 'slack-stand-in').map((id) => path.join(extensions, id)) }, allow: ids, slots: { memory: 'memory-core' },
		entries: { ...Object.fromEntries(ids.map((id) => [id, { enabled: true, fullConfig: true }])),
			lobster: { enabled: true, env: ['PATH'] },
			'device-pair': { enabled: true, fullConfig: true, gatewayMethods: ['device.pair.list', 'device.pair.approve'] },
			'thread-ownership': { enabled: true, fullConfig: true, config: { forwarderUrl: `http://127.0.0.1:${port}/` } },
			'voice-call': { enabled: true, fullConfig: true, config: { enabled: true, provider: 'mock', fromNumber: '+15550000001', toNumber: '+15550000002',
				serve: { port: free, bind: '127.0.0.1', path: '/voice/webhook' } } } },
	},
});

let gw = await new Gateway().start();
const list = async () => (await gw.rpc('plugins.list', {})).plugins.filter((one) => ids.includes(one.id));
const say = async (text) => (await gw.rpc('session.message', { session: 'main', text, wait: true })).text;
const run = async (name, args) => (await gw.rpc('tools.execute', { name, arguments: args, session: 'main' })).content.map((part) => part.text).join('');
const fails = async (name, args) => JSON.stringify(await gw.rpcRaw('tools.execute', { name, arguments: args, session: 'main' }));

test('all are there', async () => {
	await until('the plugins', async () => (await list()).every((one) => one.status !== 'loading'), 60000);
	equal((await list()).map((one) => [one.id, one.status, one.error]).filter(([, status]) => status !== 'loaded'), []);
});

test('llm-task: a model asked for JSON', async () => {
	equal(JSON.parse(await run('llm-task', { prompt: 'give json', input: { a: [1, 2] } })), { ok: 1 });
	equal(JSON.parse(await run('llm-task', { prompt: 'fenced' })), { fenced: true });
	match(await fails('llm-task', { prompt: 'bad' }), /invalid JSON/);
	match(await fails('llm-task', { prompt: 'schema', schema: { type: 'object', required: ['n'] } }), /must have required property 'n'/);
	match(await fails('llm-task', { prompt: '' }), /prompt/);
});

test('lobster: a program with arguments, approvals and all', async () => {
	equal(JSON.parse(await run('lobster', { action: 'run', pipeline: 'echo hi' })).output, [{ argv: ['run', '--mode', 'tool', 'echo hi'] }]);
	equal(JSON.parse(await run('lobster', { action: 'run', pipeline: 'APPROVE' })).requiresApproval.resumeToken, 'tok1');
	equal(JSON.parse(await run('lobster', { action: 'resume', token: 'tok1', approve: true })).output[0].argv, ['resume', '--token', 'tok1', '--approve', 'yes']);
	match(await fails('lobster', { action: 'resume', token: 'tok1' }), /approve required/);
	match(await fails('lobster', { action: 'run', pipeline: 'x', cwd: '../../..' }), /cwd/);
});

test('memory-core: the memory of the workspace', async () => {
	match(await run('memory_get', { path: 'MEMORY.md' }), /green tea/);
	match(await run('memory_search', { query: 'tea' }), /green tea/);
});

test('talk-voice: its command, with the configuration it reads', async () => {
	const help = await say('/help');
	for (const name of ['pair', 'phone', 'voice'])
		match(help, new RegExp(`/${name} - `));
	match(await say('/voice'), /talk\.voiceId: \(unset\)\n- talk\.apiKey: el-key/);
	match(await say('/voice bogus'), /set <voiceId\|name>/);
});

test('phone-control: arms and disarms commands of phones, in the configuration', async () => {
	match(await say('/phone status'), /^Phone control: disarmed/);
	match(await say('/phone arm camera 5m'), /armed/i);
	const config = () => JSON.parse(fs.readFileSync(path.join(state, 'openclaw.json'), 'utf8')).gateway?.nodes;
	match(JSON.stringify(config()), /camera\./);
	match(await say('/phone status'), /camera/i);
	match(await say('/phone disarm'), /disarmed/i);
	equal(config()?.allowCommands ?? [], []);
});

test('thread-ownership: a thread that another agent has is left to it', async () => {
	const said = (args) => gw.rpc('tools.execute', { name: 'message', arguments: { action: 'send', channel: 'slack', ...args }, session: 'main' });
	const other = await said({ target: 'C_OTHER', threadId: '123.4', message: 'mine?' });
	ok(other.isError);
	match(other.content[0].text, /withheld by plugin thread-ownership/);
	equal((await said({ target: 'C_OURS', threadId: '123.4', message: 'ours' })).details.status, 'sent');
	equal((await said({ target: 'C_OTHER', message: 'no thread' })).details.status, 'sent');
	equal(await gw.rpc('slack.sent', {}), ['C_OURS 123.4 ours', 'C_OTHER - no thread']);
	const asked = seen.filter((one) => one.url.startsWith('/api/v1/ownership/'));
	equal(asked.map((one) => [one.method, one.url, JSON.parse(one.body)]), [['POST', '/api/v1/ownership/C_OTHER/123.4', { agent_id: 'main' }],
		['POST', '/api/v1/ownership/C_OURS/123.4', { agent_id: 'main' }]]);
});

test('message: names are looked up where the channel can, and one that is not known is taken as it is', async () => {
	const send = async (target) => gw.rpc('tools.execute', { name: 'message', arguments: { action: 'send', channel: 'slack', target, message: 'hi' }, session: 'main' });
	for (const target of ['#general', '@Ann', 'nobody'])
		equal((await send(target)).details.status, 'sent', target);
	equal((await gw.rpc('slack.sent', {})).slice(2), ['C_GENERAL - hi', 'U7 - hi', 'nobody - hi']);
	const twins = await send('@twin');
	match(JSON.stringify(twins), /several by the name @twin: U8, U9/);
});

test('message: other actions are the channel\'s', async () => {
	const act = (args) => gw.rpc('tools.execute', { name: 'message', arguments: { channel: 'slack', target: 'C1', messageId: '7', emoji: '👍', ...args }, session: 'main' });
	equal((await act({ action: 'react' })).content, [{ type: 'text', text: 'react default C1 7 👍' }]);
	const unknown = await act({ action: 'dance' });
	ok(unknown.isError);
	match(unknown.content[0].text, /no action dance \(it has: send, react\)/);
});

test('diffs: a page with what changed, on the gateway\'s own port', async () => {
	const { details } = await gw.rpc('tools.execute', { name: 'diffs', arguments: { before: 'one\ntwo\n', after: 'one\nthree\n', path: 'a.txt', mode: 'view' }, session: 'main' });
	const { pathname } = new URL(details.viewerUrl);
	match(pathname, /^\/plugins\/diffs\/view\//);
	const page = await fetch(gw.url + pathname);
	equal(page.status, 200);
	match(await page.text(), /three/);
	equal((await fetch(gw.url + pathname.replace(/.$/, (c) => (c === '0' ? '1' : '0')))).status, 404);
});

test('device-pair: what waits for approval', async () => {
	match(await say('/pair status'), /No pending device pairing requests/);
	match(await say('/pair'), /^Error: Gateway /); // nothing a phone could reach
	const phone = await Claw.open(gw.port, { headers: { 'x-forwarded-for': '203.0.113.7' } });
	const asked = await phone.connect({ token: gw.token, device: new Device(), client: { id: 'cli', version: '1', platform: 'ios', mode: 'cli', displayName: 'a phone' } });
	equal(asked.error.code, 'NOT_PAIRED');
	match(await say('/pair status'), /a phone/);
	match(await say('/pair approve'), /Paired a phone \(ios\)/);
	match(await say('/pair status'), /No pending device pairing requests/);
	match(await say('/pair notify'), /^Pairing notifications are currently supported only on Telegram\./);
	match(await say('/pair notify on'), /only on Telegram/);
});

const listens = () => new Promise((resolve) => {
	const socket = net.connect(free, '127.0.0.1', () => resolve(true) || socket.destroy());
	socket.on('error', () => resolve(false));
});

test('voice-call: its service listens, its methods start, speak and end calls', async () => {
	const refused = async (method, params) => (await gw.rpcRaw(method, params)).error?.data?.details;
	await until('its webhook', listens, 20000);
	equal(await refused('voicecall.start', {}), { error: 'to required' });
	equal(await refused('voicecall.initiate', {}), { error: 'message required' });
	const { callId, initiated } = await gw.rpc('voicecall.initiate', { message: 'hello there', mode: 'notify' });
	equal(initiated, true);
	const { found, call } = await gw.rpc('voicecall.status', { callId });
	equal([found, call.provider, call.direction, call.from, call.to, call.metadata], [true, 'mock', 'outbound', '+15550000001', '+15550000002',
		{ initialMessage: 'hello there', mode: 'notify' }]);
	equal(await gw.rpc('voicecall.status', { callId: 'nope' }), { found: false });
	equal(await gw.rpc('voicecall.speak', { callId, message: 'more' }), { success: true });
	equal(await gw.rpc('voicecall.end', { callId }), { success: true });
	equal(await refused('voicecall.end', { callId: 'nope' }), { error: 'Call not found' });
});

test('voice-call: its tool, and its commands on the command line', async () => {
	const tool = async (params) => JSON.parse(await run('voice_call', params));
	const { callId, initiated } = await tool({ action: 'initiate_call', to: '+15550000003', message: 'hi', mode: 'conversation' });
	equal(initiated, true);
	const { call } = await tool({ action: 'get_status', callId });
	equal([call.to, call.metadata], ['+15550000003', { initialMessage: 'hi', mode: 'conversation' }]);
	equal(await tool({ action: 'speak_to_user', callId, message: 'x' }), { success: true });
	equal(await tool({ action: 'end_call', callId }), { success: true });
	equal(await tool({ action: 'initiate_call' }), { error: 'message required' });
	equal(await tool({ mode: 'status', sid: 'zzz' }), { found: false });
	match(cli(['--help']).out, /voicecall\s+\(plugin voice-call\)/);
	const help = cli(['voicecall', '--help']);
	equal(help.code, 0, help.err);
	for (const name of ['call', 'status', 'end', 'tail'])
		match(help.out, new RegExp(`\\n  ${name}\\b`));
	ok(cli(['voicecall', 'nonsense']).code !== 0);
});

test('diagnostics-otel: what was measured goes to the collector', async () => {
	await say('give json please');
	await until('metrics', () => seen.some((one) => one.url === '/v1/metrics' && one.body.includes('openclaw.tokens')), 20000);
	await until('traces', () => seen.some((one) => one.url === '/v1/traces' && one.body.includes('openclaw.model.usage')), 20000);
	ok(seen.filter((one) => one.url.startsWith('/v1/') && one.type === 'application/x-protobuf').length >= 2);
});

test('of others: the kitchen sink registers all it has, and hapi answers on its route', async () => {
	const others = ['openclaw-kitchen-sink-fixture', 'hapi-openclaw'];
	await gw.stop();
	equal(await listens(), false); // its service ended with the gateway
	ok(fs.existsSync(path.join(state, 'plugins/voice-call')));
	writeConfig({ agents: { defaults: { model: { primary: 'offline/echo' }, workspace } }, plugins: { allow: [...others, 'talk-voice'], load: { paths: ['kitchen-sink', 'hapi'].map((name) => path.join(packages, name)) },
		entries: { 'hapi-openclaw': { config: { hapiBaseUrl: `http://127.0.0.1:${port}`, sharedSecret: 's' } } } } });
	gw = await new Gateway().start();
	const all = async () => (await gw.rpc('plugins.list', {})).plugins.filter((one) => others.includes(one.id));
	await until('both', async () => (await all()).length === 2 && (await all()).every((one) => one.status !== 'loading'), 60000);
	equal((await all()).map((one) => [one.status, one.error]), [['loaded', undefined], ['loaded', undefined]]);
	match(await say('/voice'), /^Talk voice is not configured\.\n\nMissing: talk\.apiKey/); // without its settings
	const { registered: r } = await gw.rpc('plugins.info', { id: others[0] });
	const recorded = JSON.parse(fs.readFileSync(path.join(process.env.OC_TOP_SRCDIR, 'tests/captures/plugins/kitchen-sink.json'), 'utf8'));
	const { tools, typedHooks, channels, providers, cliRegistrars, services, commands, httpRoutes, contextEngines, gatewayHandlers, ...more } = recorded;
	// Beside what the original of September took there is what it refused for a rule of its own, or took once.
	const has = (rows, want, extra = []) => equal(rows.map(String).sort(), [...want, ...extra].sort());
	has(r.tools.flatMap((tool) => tool.names), tools, ['kitchen-sink-tool']);
	has(r.hooks.map((one) => one.name), typedHooks);
	has(r.channels.map((one) => one.id), channels, ['kitchen-sink-channel-probe']);
	has(r.providers.map((one) => one.id), providers);
	has(r.commands.map((one) => one.name), commands);
	has(r.services.map((one) => one.id), services, services);
	has(r.httpRoutes.map((one) => one.path), httpRoutes, ['/kitchen-sink/http-route']);
	has(r.contextEngines.map((one) => one.id), contextEngines);
	has(r.gatewayMethods.map((one) => one.method), gatewayHandlers);
	has(r.cli.flatMap((one) => one.commands), cliRegistrars.filter((name) => name !== 'kitchen-sink-node-cli-feature'));
	// What nothing here uses is listed by member and, where it has one, id.
	const member = (kind) => ({ agentToolResultMiddlewares: 'registerAgentToolResultMiddleware', securityAuditCollectors: 'registerSecurityAuditCollector' })[kind]
		?? `register${kind[0].toUpperCase()}${kind.slice(1).replace(/s$/, '')}`;
	for (const [kind, names] of Object.entries(more)) {
		const mine = r.other.filter((one) => one.member === member(kind));
		ok(mine.length >= names.length, `${kind}: ${JSON.stringify(mine)}`);
		const ids = mine.map((one) => one.id);
		equal(names.filter((name) => name !== 'None' && !ids.includes(name) && !ids.includes(undefined)), [], kind);
	}
	ok(r.other.some((one) => one.member === 'registerNodeCliFeature'));
	const refused = await fetch(`${gw.url}/hapi/sessions`);
	ok([401, 403, 404].includes(refused.status) && !refused.headers.has('x-openclaw-unhandled'), `${refused.status} ${await refused.text()}`);
});

test('all end with the gateway', async () => {
	equal((await gw.stop()).code, 0);
});

await done();
