import fs from 'node:fs';
import { createRequire } from 'node:module';
import path from 'node:path';
import { test, done, Gateway, cli, equal, ok, match, until, state, skipAll, writeConfig } from './lib.mjs';

if (!fs.existsSync(path.join(path.dirname(process.env.OC_BIN), 'bridge/vendor')))
	skipAll('built without plugins');

// A plugin as people write them: TypeScript with everything that Node alone would not run.
const SOURCE = `
import { readStringParam, jsonResult } from "openclaw/plugin-sdk";
import type { OpenClawPluginApi } from "openclaw/plugin-sdk";
import fs from "node:fs";
import { Counter, Mood } from "./lib/counter.js";

const counter = new Counter(1);

export default {
	id: "demo",
	register(api: OpenClawPluginApi) {
		api.registerTool({
			name: "demo_greet", label: "Greet", description: "Greets somebody.",
			parameters: { type: "object", properties: { name: { type: "string" } }, required: ["name"] },
			async execute(_id: string, params: Record<string, unknown>) {
				return jsonResult({ hello: readStringParam(params, "name", { required: true }), n: counter.next(), mood: Mood.Good,
					shout: (api.pluginConfig as any).shout });
			},
		});
		api.registerTool((ctx: any) => ({
			name: "demo_where", description: "Says where it runs.", parameters: { type: "object", properties: {} },
			execute: async () => "session " + ctx.sessionKey,
		}));
		api.registerTool({
			name: "demo_spy", description: "Reads a file.",
			parameters: { type: "object", properties: { file: { type: "string" } } },
			execute: async (_id: string, { file }: { file: string }) => fs.readFileSync(file, "utf8"),
		});
		api.registerTool({
			name: "demo_env", description: "Tells its environment.", parameters: { type: "object", properties: {} },
			execute: async () => Object.keys(process.env).sort().join(" "),
		});
		api.registerTool({
			name: "demo_die", description: "Ends the process.", parameters: { type: "object", properties: {} },
			execute: async () => process.exit(7),
		});
		api.on("before_tool_call", (event) => {
			if (event.params.name === "Voldemort")
				return { block: true, blockReason: "not that name" };
			if (event.params.name === "Tom")
				return { params: { ...event.params, name: "Thomas" } };
		});
		api.on("no_such_hook" as never, () => {});
		api.on("before_prompt_build", (event) => fs.appendFileSync(api.runtime.state.resolveStateDir() + "/heard", event.prompt + "\\n"));
	},
} as const;
`;
const COUNTER = `
export enum Mood { Good = "good", Bad = "bad" }
export class Counter {
	constructor(private n: number) {}
	next() { return this.n++; }
}
`;
const MANIFEST = { id: 'demo', name: 'Demo', configSchema: { type: 'object', additionalProperties: false,
	properties: { shout: { type: 'boolean' } } } };

function write(id, files) {
	for (const [name, content] of Object.entries(files)) {
		const file = path.join(state, 'extensions', id, name);
		fs.mkdirSync(path.dirname(file), { recursive: true });
		fs.writeFileSync(file, typeof content === 'string' ? content : JSON.stringify(content));
	}
}

const secret = path.join(path.dirname(state), 'secret.txt');
fs.writeFileSync(secret, 'the crown jewels');
write('demo', { 'index.ts': SOURCE, 'lib/counter.ts': COUNTER, 'openclaw.plugin.json': MANIFEST,
	'package.json': { name: '@somebody/demo', version: '1.2.3', type: 'module', openclaw: { extensions: ['./index.ts'] } } });
write('lines', { 'index.js': `module.exports = { register(api) { api.registerChannel({ plugin: { id: 'lines', meta: { label: 'Lines' }, capabilities: { chatTypes: ['direct'] },
	config: { listAccountIds: () => ['default'], resolveAccount: () => ({}) },
	configSchema: { schema: { type: 'object', additionalProperties: false, properties: { enabled: { type: 'boolean' }, port: { type: 'integer' } } } } } }); } };`,
'openclaw.plugin.json': { id: 'lines', channels: ['lines'], configSchema: { type: 'object' } } });
write('guard', { 'index.js': "module.exports = { register(api) { api.on('before_tool_call', () => {}); } };",
	'openclaw.plugin.json': { id: 'guard', configSchema: { type: 'object' } } });
write('fickle', { 'index.js': "module.exports = { register(api) { api.on('before_tool_call', () => {}); api.registerCommand({ name: 'at' + Date.now(), description: 'd', handler: () => 'x' }); } };",
	'openclaw.plugin.json': { id: 'fickle', configSchema: { type: 'object' } } });
write('needy', { 'index.js': "require('needed'); module.exports = { register() {} };",
	'openclaw.plugin.json': { id: 'needy', configSchema: { type: 'object' } } });
write('broken', { 'index.ts': 'export default { register() { throw new Error("no good") } }',
	'openclaw.plugin.json': { id: 'broken', configSchema: { type: 'object' } } });
write('picky', { 'index.js': 'module.exports = () => {}', 'openclaw.plugin.json': { id: 'picky', configSchema: { type: 'object',
	properties: { level: { type: 'integer' } } } } });
write('compiled', { 'dist/index.js': 'exports.register = () => {}', 'openclaw.plugin.json': { id: 'compiled', configSchema: { type: 'object' } },
	'package.json': { name: 'compiled', version: '3.0.0', openclaw: { extensions: ['./index.ts'], runtimeExtensions: ['./dist/index.js'] } } });
write('bare', { 'index.js': 'module.exports = () => {}' });
writeConfig({ plugins: { entries: { lines: { enabled: false }, demo: { config: { shout: true } }, picky: { config: { level: 'high' } } } } });

let gw;
const plugin = async (id) => (await gw.rpc('plugins.list', {})).plugins.find((one) => one.id === id);
const call = (name, args = {}) => gw.rpc('tools.execute', { name, arguments: args, session: 'main' });
const text = (result) => result.content.map((part) => part.text).join('');

test('what is transpiled is kept within a bound: the oldest that is not used goes', () => {
	const { Transpiler } = createRequire(import.meta.url)(path.join(path.dirname(process.env.OC_BIN), 'bridge/lib/transpile.js'));
	const folder = path.join(path.dirname(state), 'cache-test'), source = path.join(path.dirname(state), 'source.ts');
	const kept = () => fs.readdirSync(folder, { recursive: true }).filter((name) => name.endsWith('.js')).length;
	for (let i = 0; i < 5; i++) {
		fs.writeFileSync(source, `export const n: number = ${i};`.padEnd(1000, ' '));
		new Transpiler(folder).read(source);
	}
	equal(kept(), 5);
	fs.writeFileSync(source, 'export const n: number = 9;'.padEnd(1000, ' '));
	const last = new Transpiler(folder), made = last.read(source);
	last.tidy(2500);
	equal(kept(), 2);
	equal(new Transpiler(folder).read(source), made);
	last.tidy(0);
	equal(kept(), 1);
});

test('without a gateway: every plugin is listed, with what is wrong', async () => {
	const r = cli(['plugins', 'list', '--json']);
	equal(r.code, 0, r.err);
	const by = Object.fromEntries(JSON.parse(r.out).map((one) => [one.id, one]));
	equal(by.demo.version, '1.2.3');
	equal(by.picky.status, 'error');
	match(by.picky.error, /invalid config: level/);
	match(by.bare.error, /manifest not found/);
	match(cli(['plugins', 'info', 'nobody']).err, /no plugin "nobody"/);
});

test('a new plugin is loaded after the gateway answers, and a bad one says why', async () => {
	gw = await new Gateway().start();
	await until('the plugin', async () => (await plugin('demo')).status === 'loaded');
	await until('the other', async () => (await plugin('broken')).status === 'error');
	match((await plugin('broken')).error, /no good/);
	const info = await gw.rpc('plugins.info', { id: 'demo' });
	equal(info.registered.hooks.map((hook) => hook.name), ['before_tool_call', 'no_such_hook', 'before_prompt_build']);
	await until('its tools', async () => JSON.stringify(await gw.rpc('tools.list', {})).includes('demo_where'));
});

test('one of which only the compiled form is there is loaded; one that failed stays failed when something else changes', async () => {
	await until('compiled', async () => (await plugin('compiled')).status === 'loaded');
	await until('broken', async () => (await plugin('broken')).status === 'error');
	equal(cli(['plugins', 'disable', 'picky']).code, 0);
	await until('the change', async () => (await plugin('picky')).status === 'disabled');
	const { status, error } = await plugin('broken');
	equal(status, 'error');
	match(error, /no good/);
});

test('one that failed for something outside of it is tried again when it is enabled again', async () => {
	const needed = path.join(state, 'extensions/node_modules/needed');
	const { status, error, remedy } = await plugin('needy');
	equal(status, 'error');
	match(error, /Cannot find module 'needed'/);
	match(remedy, /openclaw plugins enable needy/);
	ok(cli(['plugins', 'enable', 'needy']).code !== 0);
	fs.mkdirSync(needed, { recursive: true });
	fs.writeFileSync(path.join(needed, 'index.js'), 'module.exports = 1;');
	equal(cli(['plugins', 'enable', 'needy']).code, 0);
	equal((await plugin('needy')).status, 'loaded');
});

test('settings of a channel are checked once its plugin is there, and at each change', async () => {
	const problems = async () => (await gw.rpc('system.status')).config.problems.map((one) => one.path).filter((one) => one.startsWith('channels.lines'));
	equal(cli(['config', 'set', 'channels.lines', '{"port":"ten"}']).code, 0);
	equal(await problems(), []);
	equal(cli(['plugins', 'enable', 'lines']).code, 0);
	await until('the check', async () => (await problems()).includes('channels.lines.port'));
	equal(cli(['config', 'set', 'channels.lines.port', '10']).code, 0);
	equal(await problems(), []);
	equal(cli(['config', 'set', 'channels.lines.port', '"nine"']).code, 0);
	equal(await problems(), ['channels.lines.port']);
	equal(cli(['plugins', 'disable', 'lines']).code, 0);
});

test('its tools run, with its configuration and state', async () => {
	const first = JSON.parse(text(await call('demo_greet', { name: 'Ada' })));
	equal(first, { hello: 'Ada', n: 1, mood: 'good', shout: true });
	equal(JSON.parse(text(await call('demo_greet', { name: 'Ada' }))).n, 2);
	match(text(await call('demo_where')), /^session agent:main:main$/);
});

test('its hooks block and change calls', async () => {
	equal(JSON.parse(text(await call('demo_greet', { name: 'Tom' }))).hello, 'Thomas');
	const blocked = await gw.rpcRaw('tools.execute', { name: 'demo_greet', arguments: { name: 'Voldemort' }, session: 'main' });
	match(JSON.stringify(blocked), /not that name/);
});

test('it sees neither foreign files nor the environment', async () => {
	const spied = JSON.stringify(await gw.rpcRaw('tools.execute', { name: 'demo_spy', arguments: { file: secret }, session: 'main' }));
	ok(!spied.includes('crown jewels'), spied);
	const token = JSON.stringify(await gw.rpcRaw('tools.execute', { name: 'demo_spy',
		arguments: { file: path.join(state, 'credentials/gateway-token') }, session: 'main' }));
	ok(!token.includes(gw.token), token);
	const names = text(await call('demo_env')).split(' ');
	ok(!names.some((name) => /OPENCLAW|TOKEN|KEY|OC_/.test(name)), names.join(' '));
});

test('its death ends the call, not the gateway, and it comes back', async () => {
	const before = (await plugin('demo')).pid;
	const r = await gw.rpcRaw('tools.execute', { name: 'demo_die', arguments: {}, session: 'main' });
	match(JSON.stringify(r), /process|interrupted|retried/i);
	equal(JSON.parse(text(await call('demo_greet', { name: 'Eve' }))).n, 1);
	ok((await plugin('demo')).pid !== before);
});

test('the next start knows its tools without starting it', async () => {
	equal((await gw.stop()).code, 0);
	gw = await new Gateway().start();
	ok(JSON.stringify(await gw.rpc('tools.list', {})).includes('demo_greet'));
	equal((await plugin('demo')).process, 'idle');
	equal(JSON.parse(text(await call('demo_greet', { name: 'Zoe' }))).hello, 'Zoe');
	equal((await plugin('demo')).process, 'running');
	// One that has nothing but a guard is not taken for broken while it begins, nor one that registers other things each time.
	equal([(await plugin('guard')).process, (await plugin('fickle')).process], ['running', 'running']);
});

test('a gateway looks at its plugins when first something happens: the first message is heard', async () => {
	equal((await gw.stop()).code, 0);
	gw = await new Gateway().start();
	const r = await fetch(`${gw.url}/v1/chat/completions`, { method: 'POST', headers: { authorization: `Bearer ${gw.token}`, 'content-type': 'application/json' },
		body: JSON.stringify({ messages: [{ role: 'user', content: 'first words' }] }) });
	equal(r.status, 200, await r.text());
	const heard = path.join(state, 'plugins/demo/heard');
	await until('the hook', () => fs.existsSync(heard) && fs.readFileSync(heard, 'utf8').includes('first words'));
});

test('while it starts anew with other settings its tools stay; a call waits for the new process', async () => {
	const before = (await plugin('demo')).pid;
	const set = cli(['config', 'set', 'plugins.entries.demo.config.shout', 'false']);
	equal(set.code, 0, set.err);
	await until('the new process', async () => {
		ok(JSON.stringify(await gw.rpc('tools.list', {})).includes('demo_greet'), 'its tools were gone');
		return (await plugin('demo')).pid !== before;
	});
	equal(JSON.parse(text(await call('demo_greet', { name: 'Lea' }))).shout, false);
	ok(JSON.stringify(await gw.rpc('tools.list', {})).includes('demo_greet'));
	equal(cli(['config', 'set', 'plugins.entries.demo.config.shout', 'true']).code, 0);
});

test('disabled, its tools and its process are gone; enabled, they are back', async () => {
	equal(cli(['plugins', 'disable', 'demo']).code, 0);
	await until('the end', async () => (await plugin('demo')).process === 'idle');
	ok(!JSON.stringify(await gw.rpc('tools.list', {})).includes('demo_greet'));
	equal((await plugin('demo')).status, 'disabled');
	equal(cli(['plugins', 'enable', 'demo']).code, 0);
	await until('its tools', async () => JSON.stringify(await gw.rpc('tools.list', {})).includes('demo_greet'));
	equal(JSON.parse(text(await call('demo_greet', { name: 'Kim' }))).hello, 'Kim');
	equal((await gw.stop()).code, 0);
});

test('a group shares one process: each its own tools and words, all its fate; who may do other things is refused', async () => {
	const member = (id, more = '') => write(id, { 'openclaw.plugin.json': { id, configSchema: { type: 'object' } }, 'index.js': `
		const fs = require('node:fs'), { readStringParam } = require('openclaw/plugin-sdk');
		module.exports = (api) => {
			const tool = (name, run) => api.registerTool({ name: '${id}_' + name, description: 'd', parameters: { type: 'object', properties: {} }, execute: async (_id, args) => run(args) });
			globalThis.shared ??= Math.random(); // of a process
			tool('pid', () => String(globalThis.shared));
			tool('who', (args) => api.id + ' ' + api.runtime.state.resolveStateDir().split('/').at(-1) + ' ' + JSON.stringify(api.pluginConfig) + ' ' + readStringParam(args, 'word'));
			api.on('before_tool_call', (event) => event.params.order && { params: { order: event.params.order + ' ${id}' } }, { priority: ${id === 'two' ? 5 : 1} });
			tool('order', (args) => args.order);
			${more}
		};` });
	member('one', "tool('die', () => process.exit(5));");
	member('two', "api.registerGatewayMethod('tools.list', ({ respond }) => respond(true, 'mine')); api.registerGatewayMethod('two.own', ({ respond }) => respond(true, 'own'));");
	write('two', { 'openclaw.plugin.json': { id: 'two', configSchema: { type: 'object' }, skills: ['./know', '../one'] },
		'know/knots/SKILL.md': '---\nname: knots\ndescription: How to tie knots.\n---\nTie them.' });
	member('three');
	const config = { plugins: { deny: ['demo', 'broken', 'picky', 'bare'], entries: { one: { group: 'desk', config: { n: 1 } }, two: { group: 'desk', config: { n: 2 } },
		three: { group: 'desk', network: false } } } };
	writeConfig(config);
	gw = await new Gateway().start();
	await until('both', async () => (await plugin('one')).status === 'loaded' && (await plugin('two')).status === 'loaded');
	equal((await plugin('three')).status, 'error');
	match((await plugin('three')).error, /cannot share the process of group desk: plugins\.entries\.three\.network is not what it is for one/);
	equal((await plugin('two')).group, 'desk');
	await until('its tools', async () => JSON.stringify(await gw.rpc('tools.list', {})).includes('two_who'));
	const pid = text(await call('one_pid'));
	equal(text(await call('two_pid')), pid);
	equal((await plugin('one')).pid, (await plugin('two')).pid);
	equal(text(await call('one_who', { word: 'a' })), 'one one {"n":1} a');
	equal(text(await call('two_who', { word: 'b' })), 'two two {"n":2} b');
	equal(text(await call('one_order', { order: 'core' })), 'core one'); // the later of the two stands, as ever
	equal(await gw.rpc('two.own'), 'own');
	equal((await plugin('two')).shadowedMethods, ['tools.list']);
	match(cli(['plugins', 'doctor', 'two']).out, /its gateway method tools\.list is never called/);
	match(cli(['skills', 'list', '--json']).out, /"knots"[^}]*"plugin"/s);
	match(cli(['plugins', 'list']).out, /two .*running \(desk\)/);
	match(JSON.stringify(await gw.rpcRaw('tools.execute', { name: 'one_die', arguments: {}, session: 'main' })), /process|interrupted|retried/i);
	const next = text(await call('two_pid'));
	ok(next !== pid);
	equal(text(await call('one_pid')), next);
	ok(JSON.parse(cli(['plugins', 'doctor', 'one', '--json']).out).some((one) => one.kind === 'crash' && /status 5 \(group desk\)/.test(one.what)));
	// The third may join as soon as it may do the same; then the second goes, and the others go on.
	delete config.plugins.entries.three.network;
	writeConfig(config);
	await until('the third', async () => (await plugin('three')).status === 'loaded' && (await plugin('three')).process === 'running');
	await until('its tools', async () => JSON.stringify(await gw.rpc('tools.list', {})).includes('three_pid'));
	equal(text(await call('three_pid')), text(await call('one_pid')));
	equal(cli(['plugins', 'disable', 'two']).code, 0);
	await until('the second to go', async () => (await plugin('two')).process === 'idle');
	equal(text(await call('three_pid')), text(await call('one_pid')));
	ok(!cli(['skills', 'list', '--json']).out.includes('knots'));
	equal((await gw.stop()).code, 0);
});

await done();
