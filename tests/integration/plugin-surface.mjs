// What plugins offer besides tools and hooks: slash commands, services, commands of the command line.
import { spawn } from 'node:child_process';
import fs from 'node:fs';
import path from 'node:path';
import { test, done, Gateway, bin, cli, cleanup, equal, ok, match, openSocket, until, state, skipAll, writeConfig } from './lib.mjs';
import { FakeTelegram } from './fake-telegram.mjs';

if (!fs.existsSync(path.join(path.dirname(process.env.OC_BIN), 'bridge/vendor')))
	skipAll('built without plugins');
const hasTelegram = fs.existsSync(path.join(process.env.OC_MODULES, 'telegram.so')) || process.env.OC_STATIC_MODULES?.split(' ').includes('telegram');

function write(id, files, manifest = {}) {
	files = { 'openclaw.plugin.json': { id, configSchema: { type: 'object' }, ...manifest }, ...files };
	for (const [name, content] of Object.entries(files)) {
		const file = path.join(state, 'extensions', id, name);
		fs.mkdirSync(path.dirname(file), { recursive: true });
		fs.writeFileSync(file, typeof content === 'string' ? content : JSON.stringify(content));
	}
}

write('desk', { 'index.ts': `
import type { OpenClawPluginApi, PluginCommandContext } from "openclaw/plugin-sdk";
import fs from "node:fs";
import path from "node:path";

export default function register(api: OpenClawPluginApi) {
	const show = (ctx: PluginCommandContext) => {
		const { config, requestConversationBinding, detachConversationBinding, getCurrentConversationBinding, ...rest } = ctx as any;
		return { text: JSON.stringify({ ...rest, model: config?.agents?.defaults?.model?.primary }) };
	};
	api.registerCommand({ name: "Desk", description: "Shows what it got.", acceptsArgs: true, handler: show });
	api.registerCommand({ name: "open-desk", description: "For everybody.", requireAuth: false, nativeNames: { telegram: "opendesk" },
		handler: () => ({ text: "open" }) });
	api.registerCommand({ name: "deskfile", description: "Sends a file.", handler: (ctx) => {
		const file = path.join(ctx.config.agents.defaults.workspace, "desk.txt");
		fs.writeFileSync(file, "from the desk");
		return { text: "here", mediaUrl: file };
	} });
	api.registerCommand({ name: "desklate", description: "Takes a while.", handler: async () => {
		await new Promise((resolve) => setTimeout(resolve, 300));
		return { text: "late" };
	} });
	api.registerCommand({ name: "deskquiet", description: "Says nothing.", handler: async () => undefined });
	api.registerCommand({ name: "deskfail", description: "Throws.", handler: () => { throw new Error("secret detail"); } });
	api.registerCommand({ name: "deskdie", description: "Ends its process.", handler: () => process.exit(3) });
	api.registerCommand({ name: "desknonsense", description: "Answers nonsense.", handler: () => ({ text: 7, mediaUrls: "x", cycle: api }) as any });
	for (const name of ["help", "Bad Name", "desk", "model"])
		api.registerCommand({ name, description: "never", handler: () => ({ text: "never" }) });
	api.registerCommand({ name: "deskmute", description: "", handler: () => ({ text: "never" }) });
}
` });
write('desk2', { 'index.js': `module.exports = (api) => {
	api.registerCommand({ name: 'desk', description: 'The other.', acceptsArgs: true, handler: () => ({ text: 'the wrong one' }) });
	api.registerCommand({ name: 'only2', description: 'Its own.', handler: () => 'a plain text' });
};` });

const service = (id, more = '') => `
const fs = require('fs'), path = require('path');
const say = (line) => fs.appendFileSync(path.join(process.env.DESK_LOG_DIR, 'services.log'), line + ' ${id}\\n');
module.exports = { register(api) {
	api.registerService({ id: 'one', start: async (ctx) => {
		await new Promise((r) => setTimeout(r, 50));
		say('start one ' + [typeof ctx.config, fs.existsSync(ctx.stateDir), fs.existsSync(ctx.workspaceDir), typeof ctx.logger.info].join());
	}, stop: async () => { await new Promise((r) => setTimeout(r, 30)); say('stop one'); } });
	api.registerService({ id: 'two', start: () => { say('start two'); throw new Error('two does not want to'); }, stop: () => say('stop two') });
	api.registerService({ id: 'three', start: () => say('start three'), stop: () => say('stop three') });
	${more}
} };`;
const logDir = path.join(state, 'workspace/log');
fs.mkdirSync(logDir, { recursive: true });
process.env.DESK_LOG_DIR = logDir;
write('serve-a', { 'index.js': service('a') });
write('serve-b', { 'index.js': service('b', "api.registerCommand({ name: 'serveb', description: 'dies', handler: () => process.exit(9) });") });
write('serve-stuck', { 'index.js': `module.exports = (api) => api.registerService({ id: 'stuck', start() {}, stop: () => new Promise(() => {}) });` });

const tg = await new FakeTelegram().start();
cleanup(() => tg.stop());
const base = {
	agents: { defaults: { model: { primary: 'offline/echo' }, workspace: path.join(state, 'workspace') } },
	plugins: { entries: { 'serve-a': { env: ['DESK_LOG_DIR'], enabled: false }, 'serve-b': { env: ['DESK_LOG_DIR'], enabled: false },
		'serve-stuck': { enabled: false } } },
	...hasTelegram && { channels: { telegram: { botToken: tg.token, apiRoot: tg.url, allowFrom: [7], groupPolicy: 'open' } } },
};
writeConfig(base);

let gw;
const plugin = async (id) => (await gw.rpc('plugins.list', {})).plugins.find((one) => one.id === id);
const say = async (text, session = 'main') => (await gw.rpc('session.message', { session, text, wait: true })).text;

test('commands are answered before the agent, with the fields of the original', async () => {
	gw = await new Gateway().start();
	await until('the plugins', async () => (await plugin('desk')).status === 'loaded' && (await plugin('desk2')).status === 'loaded');
	equal(JSON.parse(await say('/desk  some   words here ')), { channel: 'webchat', isAuthorizedSender: true, args: 'some words here',
		commandBody: '/desk some words here', sessionKey: 'agent:main:main', model: 'offline/echo' });
	equal(JSON.parse(await say('/DESK')).args, undefined);
	equal(await say('/desklate'), 'late');
	equal(await say('/only2'), 'a plain text');
});

test('one without arguments that is followed by something is a message', async () => {
	equal(await say('/open-desk'), 'open');
	ok((await say('/open-desk now')) !== 'open');
});

test('names of built-in commands, bad names and doubles are refused and told', async () => {
	const said = (await gw.rpc('plugins.info', { id: 'desk' })).registered.diagnostics.map((one) => one.message);
	equal(said, ['command "help": OpenClaw has a command of this name',
		'command "bad name": a name begins with a letter and goes on with letters, digits, - and _',
		'command "desk": this plugin has one of this name already', 'command "model": OpenClaw has a command of this name',
		'command "deskmute": it needs a description']);
	match(await say('/help'), /\/desk - Shows what it got\./);
	const all = await say('/commands');
	match(all, /\/open-desk - For everybody\./);
	match(all, /\/only2 - Its own\./);
	ok(!all.includes('never') && !all.includes('The other.'), all);
});

test('one that fails, says nothing, answers nonsense or dies costs its answer and nothing else', async () => {
	const failed = await say('/deskfail');
	match(failed, /The command did not work/);
	ok(!failed.includes('secret detail'));
	equal(await say('/deskquiet'), '');
	equal(await say('/desknonsense'), '');
	match(await say('/deskdie'), /deskdie.*(process|retried|again)/i);
	equal(await say('/desklate'), 'late');
});

if (hasTelegram)
	test('in a chat: menu, file, and who may', async () => {
		const texts = (chat) => tg.shown(chat);
		await until('the account', async () => (await gw.rpc('channels.status', { channel: 'telegram' })).accounts[0].state === 'connected');
		tg.say(7, '/desk@test_bot hello');
		const got = JSON.parse(await until('the answer', () => texts(7)[0]));
		equal([got.channel, got.senderId, got.args, got.from, got.to, got.accountId, got.isAuthorizedSender],
			['telegram', '7', 'hello', 'telegram:7', 'telegram:7', 'default', true]);
		tg.say(7, '/open_desk');
		await until('the other', () => texts(7).includes('open'));
		tg.say(7, '/deskfile');
		await until('the file', () => tg.called('sendDocument').length === 1);
	});

test('the next start offers them without starting the plugin', async () => {
	equal((await gw.stop()).code, 0);
	gw = await new Gateway().start();
	match(await say('/commands'), /\/desk - Shows/);
	equal((await plugin('desk')).process, 'idle');
	if (hasTelegram)
		await until('the menu', () => tg.menu?.some((one) => one.command === 'opendesk'));
	equal(JSON.parse(await say('/desk x')).args, 'x');
	equal((await plugin('desk')).process, 'running');
	equal((await gw.stop()).code, 0);
});

const log = () => (fs.existsSync(path.join(logDir, 'services.log')) ? fs.readFileSync(path.join(logDir, 'services.log'), 'utf8').trim().split('\n') : []);

test('services start in order when the gateway is ready, and a failing one keeps nobody', async () => {
	for (const id of ['serve-a', 'serve-b', 'serve-stuck'])
		base.plugins.entries[id].enabled = true;
	writeConfig(base);
	gw = await new Gateway().start();
	await until('the services', () => log().length === 6, 20000);
	for (const id of ['a', 'b'])
		equal(log().filter((line) => line.endsWith(` ${id}`)), [`start one object,true,true,function ${id}`, `start two ${id}`, `start three ${id}`]);
	equal((await plugin('serve-a')).process, 'running');
});

test('they are started again when their process died', async () => {
	match(await say('/serveb'), /serveb/);
	await until('them again', () => log().filter((line) => line === 'start three b').length === 2, 20000);
});

test('they stop in reverse order, and one that hangs does not hold the gateway', async () => {
	fs.rmSync(path.join(logDir, 'services.log'));
	const began = Date.now();
	equal((await gw.stop()).code, 0);
	ok(Date.now() - began < 20000);
	equal(log(), ['stop three b', 'stop one b', 'stop three a', 'stop one a']);
	gw = await new Gateway().start();
	await until('the services', () => log().filter((line) => line.startsWith('start')).length === 6, 20000);
	equal((await plugin('serve-a')).process, 'running');
	equal((await gw.stop()).code, 0);
});

write('made', { 'index.ts': `
import type { OpenClawPluginApi } from "openclaw/plugin-sdk";
export default { id: "made", register(api: OpenClawPluginApi) {
	let factories = 0, aborted = "";
	const tool = (name: string, execute: any, more = {}) => ({ name, description: name, parameters: { type: "object", properties: {} }, execute, ...more });
	api.registerTool((ctx) => {
		factories++;
		const { config, ...rest } = ctx as any;
		return ctx.sandboxed ? null : [
			tool("made_ctx", async () => ({ content: [{ type: "text", text: JSON.stringify({ ...rest, model: config.agents.defaults.model.primary }) }] })),
			tool("made_count", async () => String(factories)),
		];
	}, { names: ["made_ctx", "made_count"] });
	api.registerTool((ctx) => (ctx.sessionKey?.includes(":secret") ? null : tool("made_open", async () => "open")));
	api.registerTool(() => { throw new Error("no tools today"); });
	api.registerTool((async () => tool("made_late", async () => "late")) as any);
	api.registerTool(tool("made_optional", async () => "optional"), { optional: true });
	api.registerTool(tool("read", async () => "not the real one"));
	api.registerTool(tool("made_twin", async () => "first"));
	api.registerTool({ name: "made_slow", description: "Slow.", parameters: { type: "object", properties: {} },
		async execute(_id: string, _params: unknown, signal?: AbortSignal, onUpdate?: (partial: any) => void) {
			onUpdate?.({ content: [{ type: "text", text: "a third" }], details: { n: 1 } });
			await new Promise<void>((resolve) => {
				const timer = setTimeout(resolve, 30000);
				signal?.addEventListener("abort", () => { aborted = String((signal.reason as Error)?.message ?? signal.reason); clearTimeout(timer); resolve(); });
			});
			return "never seen";
		} });
	api.registerTool(tool("made_odd", async () => ({ strange: [1, 2], big: 10n })));
	api.registerTool({ name: "made_old", description: "", inputSchema: { type: "object", properties: { a: { type: "number" } } }, run: async ({ a }: any) => a + 1 } as any);
	api.registerGatewayMethod("made.aborted", ({ respond }) => respond(true, aborted));
} };
` });
write('made2', { 'index.js': `module.exports = (api) => api.registerTool({ name: 'made_twin', description: 'twin', parameters: { type: 'object', properties: {} }, execute: async () => 'second' });` });
write('edit', { 'index.js': `module.exports = (api) => api.registerTool({ name: 'edit_more', description: 'x', parameters: { type: 'object', properties: {} }, execute: async () => 'x' });` });

const tools = async (session = 'main') => Object.fromEntries((await gw.rpc('tools.list', { session })).tools.map((one) => [one.name, one]));
const run = async (name, args = {}, session = 'main') => (await gw.rpc('tools.execute', { name, arguments: args, session })).content.map((part) => part.text).join('');

test('tools of factories: asked for each run, with its context', async () => {
	const plugins = { allow: ['made', 'made2', 'edit'] };
	writeConfig({ ...base, channels: undefined, plugins });
	gw = await new Gateway().start();
	for (const id of plugins.allow)
		await until(id, async () => (await plugin(id)).status === 'loaded');
	await until('the tools', async () => (await tools()).made_ctx && (await tools()).edit_more);
	const ctx = JSON.parse(await run('made_ctx', {}, 'agent:main:thing'));
	equal([ctx.agentId, ctx.sessionKey, ctx.workspaceDir, ctx.sandboxed, ctx.model], ['main', 'agent:main:thing', path.join(state, 'workspace'), false, 'offline/echo']);
	const before = Number(await run('made_count'));
	equal(Number(await run('made_count')), before + 1);
	match(await say('/tools', 'agent:main:plain'), /made_open/);
	const secret = await say('/tools', 'agent:main:subagent:secret');
	ok(!secret.includes('made_open') && secret.includes('made_odd'), secret);
	match(await say('/tool made_open {}', 'agent:main:secret'), /does not offer it|not offer/);
	equal(JSON.parse(await run('made_odd')), { strange: [1, 2], big: '10' });
	equal(await run('made_old', { a: 1 }), '2');
	const said = (await gw.rpc('plugins.info', { id: 'made' })).registered.diagnostics.map((one) => one.message).join('\n');
	match(said, /no tools today/);
	match(said, /promise/);
});

test('optional ones are for who names them; names are given once', async () => {
	const all = await tools();
	equal([all.made_optional.allowed, all.made_ctx.allowed, all.edit_more.allowed], [false, true, false]);
	match(all.made_optional.reason, /optional/);
	match(all.edit_more.reason, /name of one of the core's tools/);
	ok(!all.read.module.startsWith('plugin'), all.read.module);
	equal(await run('made_twin'), 'first');
	for (const name of ['made_optional', 'made', 'group:plugins']) {
		writeConfig({ ...base, channels: undefined, plugins: { allow: ['made', 'made2', 'edit'] }, tools: { alsoAllow: [name] } });
		await until(name, async () => (await tools()).made_optional?.allowed);
	}
	writeConfig({ ...base, channels: undefined, plugins: { allow: ['made', 'made2', 'edit'] }, tools: { alsoAllow: ['*'] },
		agents: { ...base.agents, list: [{ id: 'main', default: true, sandbox: { mode: 'all' } }] } });
	await until('the sandbox', async () => (await tools()).made_ctx?.allowed === false);
	match((await tools()).made_ctx.reason, /sandbox/);
	equal([(await tools()).made_optional.allowed, (await tools()).made_odd.allowed], [false, true]);
});

test('progress is told, and who cancels is heard', async () => {
	writeConfig({ ...base, channels: undefined, plugins: { allow: ['made'] } });
	await until('it', async () => (await tools()).made_slow?.allowed);
	const messages = [];
	const socket = await openSocket(gw.port, (message) => messages.push(message));
	const call = (id, method, params) => {
		socket.send(JSON.stringify({ jsonrpc: '2.0', id, method, params }));
		return until(method, () => messages.find((one) => one.id === id));
	};
	await call(1, 'auth.login', { token: gw.token });
	await call(2, 'events.subscribe', { types: ['tool_progress'] });
	await call(3, 'session.message', { session: 'main', text: '/tool made_slow {}', wait: false });
	const progress = await until('the progress', () => messages.find((one) => one.method === 'event'));
	equal([progress.params.text, progress.params.data.name], ['a third', 'made_slow']);
	equal(await gw.rpc('made.aborted', {}), '');
	await gw.rpc('session.cancel', { session: 'main' });
	await until('the signal', async () => (await gw.rpc('made.aborted', {})) !== '');
	socket.close();
	equal((await gw.stop()).code, 0);
});

write('inner', { 'index.ts': `
import type { OpenClawPluginApi } from "openclaw/plugin-sdk";
export default { id: "inner", register(api: OpenClawPluginApi) {
	const seen: any[] = [];
	const log = (kind: string) => (event: any) => {
		const { cfg, bootstrapFiles, ...context } = event.context ?? {};
		seen.push({ kind, type: event.type, action: event.action, sessionKey: event.sessionKey, at: event.timestamp instanceof Date,
			messages: event.messages.length, cfg: typeof cfg, context });
	};
	api.registerHook(["message", "gateway", "command:new", "session"], log("all"), { name: "inner-all" });
	api.registerHook("message:received", log("received"), { name: "inner-received" });
	api.registerHook(["command"], (event: any) => { event.messages.push("inner saw /" + event.action); }, { name: "inner-push" });
	api.registerHook("agent:bootstrap", (event: any) => {
		event.context.bootstrapFiles = event.context.bootstrapFiles.filter((file: any) => file.name !== "TOOLS.md");
		event.context.bootstrapFiles.push({ name: "INNER.md", path: "/inner.md", content: "words from inside", missing: false });
	}, { name: "inner-bootstrap" });
	api.registerHook("command:new", () => { throw new Error("thrown in an internal hook"); }, { name: "inner-throws" });
	api.registerHook("command", log("never"), { name: "inner-off", register: false });
	api.registerHook("message:received", log("nameless"));
	api.registerGatewayMethod("inner.seen", ({ respond }) => respond(true, seen));
} };
` });

test('internal hooks hear what they asked for, push words and change the prompt\'s files', async () => {
	fs.writeFileSync(path.join(state, 'workspace/TOOLS.md'), 'words of TOOLS.md');
	writeConfig({ ...base, channels: undefined, plugins: { allow: ['inner'] }, hooks: { internal: { enabled: true } } });
	gw = await new Gateway().start();
	await until('the start to be told', async () => (await gw.rpcRaw('inner.seen', {})).result?.length === 1);
	equal(await say('/echo hello'), 'hello');
	match(await say('/new'), /^inner saw \/new\n\n✅ New session/);
	match(await say('/stop'), /^inner saw \/stop\n\nNothing/);
	const seen = await gw.rpc('inner.seen', {});
	const names = seen.map((one) => `${one.kind} ${one.type}:${one.action}`);
	equal(names.slice(0, 4), ['all gateway:startup', 'all message:received', 'all message:preprocessed', 'received message:received']);
	ok(names.includes('all command:new') && !names.includes('all command:stop'), names.join());
	ok(!names.some((name) => /never|nameless/.test(name)));
	equal(seen[0].sessionKey, 'gateway:startup');
	const { context, ...received } = seen[1];
	equal(received, { kind: 'all', type: 'message', action: 'received', sessionKey: 'agent:main:main', at: true, messages: 0, cfg: 'undefined' });
	equal([context.content, context.channelId, context.metadata.provider, context.metadata.senderId], ['/echo hello', 'webchat', 'webchat', 'gateway-client']);
	const reset = seen.find((one) => one.action === 'new').context;
	const prompt = await say('/system');
	ok(prompt.includes('## INNER.md\nwords from inside') && !prompt.includes('words of TOOLS.md'), prompt);
	ok(reset.sessionEntry.sessionId && reset.previousSessionEntry.sessionId && reset.sessionEntry.sessionId !== reset.previousSessionEntry.sessionId);
	equal((await gw.stop()).code, 0);
});

test('without hooks.internal.enabled nobody is asked', async () => {
	writeConfig({ ...base, channels: undefined, plugins: { allow: ['inner'] } });
	gw = await new Gateway().start();
	equal(await say('/echo hello'), 'hello');
	match(await say('/new'), /^✅ New session/);
	equal(await gw.rpc('inner.seen', {}), []);
	equal((await gw.stop()).code, 0);
	writeConfig({ ...base, plugins: undefined });
});

write('tool-cli', { 'index.ts': `
import type { OpenClawPluginApi } from "openclaw/plugin-sdk";
import type { Command } from "commander";
import fs from "node:fs";
import { addGatewayClientOptions, callGatewayFromCli } from "openclaw/plugin-sdk/gateway-runtime";
export default { id: "tool-cli", register(api: OpenClawPluginApi) {
	let asked = 0;
	api.registerGatewayMethod("ledger.sum", ({ params, respond }: any) => (params.amounts ? respond(true, { sum: params.amounts.reduce((a: number, b: number) => a + b, 0), asked: ++asked })
		: respond(false, undefined, { code: "INVALID_REQUEST", message: "no amounts" })));
	// The same from where the gateway runs it.
	api.registerGatewayMethod("ledger.ask", async ({ params, respond }: any) => respond(true, await callGatewayFromCli(params.method, {}, {}).catch((error: Error) => error.message)));
	api.registerGatewayMethod("session.list", ({ respond }: any) => respond(true, "the gateway has one of that name")); // which does not make it its own
	api.registerCli(({ program, config, workspaceDir, logger }: { program: Command; config: any; workspaceDir?: string; logger: any }) => {
		const ledger = program.command("ledger").description("Keeps the books");
		ledger.command("add <amount>").option("--note <text>", "why").action(async (amount: string, options: { note?: string }) => {
			logger.info("adding");
			await new Promise((resolve) => setTimeout(resolve, 20));
			console.log(JSON.stringify({ amount: Number(amount), note: options.note, model: config.agents?.defaults?.model?.primary, cwd: process.cwd(),
				workspace: workspaceDir, plugin: api.pluginConfig, env: process.env.LEDGER_SECRET ?? null }));
		});
		ledger.command("read").action(async () => {
			let text = "";
			for await (const part of process.stdin) text += part;
			process.stdout.write(text.toUpperCase());
		});
		ledger.command("peek <file>").action((file: string) => console.log(fs.readFileSync(file, "utf8")));
		addGatewayClientOptions(ledger.command("ask <method> [json]")).action(async (method: string, json: string | undefined, options: any) => {
			const ask = (params: any) => callGatewayFromCli(method, options, params);
			console.log(JSON.stringify(json ? await Promise.all([ask(JSON.parse(json)), ask(JSON.parse(json))]) : await ask(undefined)));
		});
		ledger.command("note <text>").action(async (text: string) => api.runtime.config.writeConfigFile({ ...config,
			plugins: { ...config.plugins, entries: { ...config.plugins?.entries, "tool-cli": { ...config.plugins?.entries?.["tool-cli"], config: { text } } } } }));
		ledger.command("grab").action(async () => api.runtime.config.writeConfigFile({ ...config, gateway: { ...config.gateway, port: 1 } }));
		ledger.command("fail").action(() => { process.exitCode = 9; });
		ledger.command("quit").action(() => process.exit(4));
		ledger.command("throw").action(async () => { throw new Error("no books here"); });
		ledger.command("flood").action(() => { for (let i = 0; i < 20000; i++) console.log("line " + i); });
		ledger.command("wait").action(() => new Promise((resolve) => { console.log("waiting"); setTimeout(resolve, 60000); }));
	}, { commands: ["ledger"] });
} };
` });

test('a command of the command line works before any gateway has seen its plugin', () => {
	const r = cli(['ledger', 'add', '12.5', '--note', 'a b'], { env: { LEDGER_SECRET: 'x' } });
	equal(r.code, 0, r.err);
	equal(JSON.parse(r.out), { amount: 12.5, note: 'a b', model: 'offline/echo', cwd: process.cwd(), workspace: path.join(state, 'workspace'),
		plugin: {}, env: null });
	match(r.err, /adding/);
});

test('it has the terminal, its exit status and its help', () => {
	equal(cli(['ledger', 'read'], { input: 'from stdin' }).out, 'FROM STDIN');
	equal(cli(['ledger', 'fail']).code, 9);
	equal(cli(['ledger', 'quit']).code, 4);
	const thrown = cli(['ledger', 'throw']);
	equal(thrown.code, 1);
	match(thrown.err, /no books here/);
	const wrong = cli(['ledger', 'add']);
	ok(wrong.code !== 0 && /amount/.test(wrong.err), wrong.err);
	equal(cli(['ledger', 'flood']).out.trim().split('\n').length, 20000);
	const help = cli(['ledger', '--help']);
	equal(help.code, 0);
	match(help.out, /openclaw ledger[^]*Keeps the books[^]*add/);
	match(cli(['--help']).out, /Commands of plugins:\n\s+ledger\s+\(plugin tool-cli\)/);
	const other = cli(['legder']);
	equal(other.code, 2);
	match(other.err, /no command "legder"/);
});

test('it asks the gateway: its own methods, those that were granted, and nothing else', async () => {
	const none = cli(['ledger', 'ask', 'ledger.sum', '{"amounts":[1]}']);
	equal(none.code, 1);
	match(none.err, /no gateway is running/);
	gw = await new Gateway().start();
	await until('its method', async () => JSON.stringify(await gw.rpc('system.methods', {})).includes('ledger.sum'));
	const both = cli(['ledger', 'ask', 'ledger.sum', '{"amounts":[1,2]}']);
	equal(both.code, 0, both.err);
	equal(JSON.parse(both.out), [{ sum: 3, asked: 1 }, { sum: 3, asked: 2 }]);
	match(cli(['ledger', 'ask', 'ledger.sum']).err, /no amounts/);
	match(cli(['ledger', 'ask', 'ledger.sum', '--url', 'ws://elsewhere']).err, /another gateway/);
	const kept = cli(['ledger', 'ask', 'session.list']);
	equal(kept.code, 1);
	match(kept.err, /may not call the gateway's method session\.list .*gatewayMethods/);
	match(await gw.rpc('ledger.ask', { method: 'session.list' }), /may not call/);
	const finding = JSON.parse(cli(['plugins', 'doctor', 'tool-cli', '--json']).out).find((one) => one.kind === 'method');
	equal(finding.grant, { path: 'plugins.entries.tool-cli.gatewayMethods', value: ['session.list'] });
	equal(cli(['config', 'set', finding.grant.path, JSON.stringify(finding.grant.value)]).code, 0);
	equal(Object.keys(JSON.parse(cli(['ledger', 'ask', 'session.list']).out)), ['sessions']);
	await until('the grant', async () => Array.isArray((await gw.rpc('ledger.ask', { method: 'session.list' })).sessions));
	match(await gw.rpc('ledger.ask', { method: 'ledger.summ' }), /may not call/);
	equal((await gw.stop()).code, 0);
});

test('it changes what is its own of the configuration', () => {
	const noted = cli(['ledger', 'note', 'kept']);
	equal(noted.code, 0, noted.err);
	match(cli(['config', 'get', 'plugins.entries.tool-cli.config.text']).out, /kept/);
	match(cli(['ledger', 'grab']).err, /may not change gateway\.port/);
});

test('it sees what its plugin may see, and is ended with the caller', async () => {
	const secret = path.join(path.dirname(state), 'elsewhere.txt');
	fs.writeFileSync(secret, 'the crown jewels');
	process.chdir(path.join(state, 'workspace'));
	const r = cli(['ledger', 'peek', secret]);
	ok(r.code !== 0 && !r.out.includes('jewels'), r.out);
	const child = spawn(bin, ['ledger', 'wait'], { env: process.env });
	let out = '';
	child.stdout.on('data', (data) => (out += data));
	await until('it to wait', () => out.includes('waiting'));
	const end = new Promise((resolve) => child.on('close', (code, signal) => resolve({ code, signal })));
	child.kill('SIGINT');
	const { code } = await end;
	ok(code === 130 || code === 1, String(code));
});

await done();
