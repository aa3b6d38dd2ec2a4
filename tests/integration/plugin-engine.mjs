import fs from 'node:fs';
import path from 'node:path';
import { test, done, Gateway, equal, match, ok, until, state, skipAll, writeConfig } from './lib.mjs';

if (!fs.existsSync(path.join(path.dirname(process.env.OC_BIN), 'bridge/vendor')))
	skipAll('built without plugins');

const ENGINE = `
import fs from "node:fs";
import path from "node:path";
export default {
	id: "attic", kind: "context-engine",
	register(api: any) {
		const log = (line: unknown) => fs.appendFileSync(path.join(api.runtime.state.resolveStateDir(), "log"), JSON.stringify(line) + "\\n");
		api.registerContextEngine("attic", () => ({
			info: { id: "attic", name: "Attic" },
			async bootstrap({ sessionKey }: any) { log({ bootstrap: sessionKey }); return { bootstrapped: true }; },
			async ingest() { return { ingested: true }; },
			async assemble({ messages, tokenBudget, sessionId, prompt }: any) {
				log({ assemble: messages.map((m: any) => m.role), tokenBudget: tokenBudget > 0 });
				if (prompt.includes("fail"))
					throw new Error("the attic is locked");
				return { messages: [{ role: "user", content: "[from the attic] the cat is called Mia", timestamp: 1 },
					{ role: "assistant", content: [{ type: "text", text: "Noted." }], timestamp: 2 }, ...messages.slice(-2)],
					estimatedTokens: 10, systemPromptAddition: "Mind the attic." };
			},
			async compact({ sessionKey, force, customInstructions }: any) {
				log({ compact: sessionKey, force, customInstructions });
				return customInstructions ? { ok: true, compacted: true, result: { summary: "Mia.", tokensBefore: 400, tokensAfter: 20 } }
					: { ok: true, compacted: false, reason: "the attic is tidy" };
			},
			async prepareSubagentSpawn({ parentSessionKey, childSessionKey }: any) {
				await new Promise((resolve) => setTimeout(resolve, 200));
				log({ spawn: childSessionKey, by: parentSessionKey });
				return { rollback: async () => log({ undone: childSessionKey }) };
			},
			async onSubagentEnded({ childSessionKey, reason }: any) { log({ ended: childSessionKey, reason }); },
			async afterTurn({ messages }: any) { log({ afterTurn: messages.map((m: any) => [m.role, m.content[0]?.text]) }); },
			async dispose() { log({ dispose: true }); },
		}));
	},
};
`;
const MEMORY = `
module.exports = { id: "elephant", kind: "memory", register(api) {
	api.registerTool({ name: "memory_search", description: "An elephant's.", parameters: { type: "object", properties: { query: { type: "string" } } },
		execute: async (_id, { query }) => ({ content: [{ type: "text", text: "the elephant remembers " + query }] }) });
} };
`;

function write(id, files) {
	for (const [name, content] of Object.entries(files)) {
		const file = path.join(state, 'extensions', id, name);
		fs.mkdirSync(path.dirname(file), { recursive: true });
		fs.writeFileSync(file, typeof content === 'string' ? content : JSON.stringify(content));
	}
}
write('attic', { 'index.ts': ENGINE, 'openclaw.plugin.json': { id: 'attic', kind: 'context-engine', configSchema: { type: 'object' } },
	'package.json': { name: 'attic', type: 'module', openclaw: { extensions: ['./index.ts'] } } });
write('elephant', { 'index.js': MEMORY, 'openclaw.plugin.json': { id: 'elephant', kind: 'memory', configSchema: { type: 'object' } } });

const config = (slots) => ({ agents: { defaults: { model: { primary: 'offline/echo' } } }, plugins: { slots } });
writeConfig(config({ contextEngine: 'attic' }));
const log = () => fs.readFileSync(path.join(state, 'plugins/attic/log'), 'utf8').trim().split('\n').map((line) => JSON.parse(line));
let gw;
const say = async (text) => (await gw.rpc('session.message', { session: 'main', text, wait: true })).text;
const plugin = async (id) => (await gw.rpc('plugins.list', {})).plugins.find((one) => one.id === id);

test('the engine begins a session, chooses the messages and adds to the prompt', async () => {
	gw = await new Gateway().start();
	await until('the plugin', async () => (await plugin('attic')).status === 'loaded');
	match(await say('/system'), /Mind the attic\./);
	// Two of the attic, two that were said before, and this one.
	match(await say('look:\n/context'), /^5 messages \(3 user, 2 assistant/);
	const lines = log();
	equal(lines[0], { bootstrap: 'agent:main:main' });
	equal(lines.filter((line) => line.bootstrap).length, 1);
	ok(lines.filter((line) => line.assemble).every((line) => line.tokenBudget));
});

test('it hears the turn when it is over', async () => {
	await say('/echo heard');
	await until('the turn', () => log().some((line) => line.afterTurn?.some(([role, text]) => role === 'assistant' && text === 'heard')));
	const last = log().filter((line) => line.afterTurn).at(-1).afterTurn;
	equal(last.map(([role]) => role), ['user', 'assistant']);
});

test('/compact is its to do, and it hears of sub-agents', async () => {
	match(await say('/compact keep the cat'), /400|shorter|summed|compacted/i);
	match(await say('/compact'), /attic is tidy|nothing/i);
	equal(log().filter((line) => line.compact), [{ compact: 'agent:main:main', force: true, customInstructions: 'keep the cat' },
		{ compact: 'agent:main:main', force: true }]);
	await gw.rpc('tools.execute', { name: 'sessions_spawn', arguments: { task: '/echo done' }, session: 'main' });
	await until('its end', () => log().some((line) => line.ended));
	const [spawned] = log().filter((line) => line.spawn), [ended] = log().filter((line) => line.ended);
	equal([spawned.by, ended.ended, ended.reason], ['agent:main:main', spawned.spawn, 'completed']);
	// It began when it was prepared, and one that does not begin is undone.
	const lines = log(), at = lines.findIndex((line) => line.spawn);
	ok(lines.slice(at).some((line) => line.assemble), JSON.stringify(lines));
	equal(lines.filter((line) => line.undone), []);
	const refused = await gw.rpc('tools.execute', { name: 'sessions_spawn', arguments: { task: '/echo never', thread: true, mode: 'session' }, session: 'main' });
	match(JSON.stringify(refused), /needs a thread/);
	await until('it to be undone', () => log().some((line) => line.undone));
	equal(log().find((line) => line.undone).undone, log().filter((line) => line.spawn).at(-1).spawn);
});

test('one that fails costs nothing: the history is taken as it is', async () => {
	equal(await say('/echo without it, fail'), 'without it, fail');
});

test('out of the slot it is not asked', async () => {
	const n = log().filter((line) => line.assemble).length;
	writeConfig(config({}));
	await until('the other slot', async () => !/Mind the attic/.test(await say('/system')));
	const m = log().filter((line) => line.assemble).length;
	equal(await say('/echo alone'), 'alone');
	equal(log().filter((line) => line.assemble).length, m);
	ok(m >= n);
});

test('the memory slot: the gateway\'s own, another plugin\'s, none', async () => {
	const tool = async () => (await gw.rpc('tools.list', {})).tools.find((one) => one.name === 'memory_search');
	equal((await tool()).module, 'core');
	writeConfig(config({ memory: 'elephant' }));
	await until('the elephant', async () => (await tool())?.module === 'plugin.elephant');
	const found = await gw.rpc('tools.execute', { name: 'memory_search', arguments: { query: 'peanuts' }, session: 'main' });
	equal(found.content[0].text, 'the elephant remembers peanuts');
	writeConfig(config({ memory: 'none' }));
	await until('no memory', async () => (await tool()) === undefined);
	writeConfig(config({}));
	await until('its own again', async () => (await tool())?.module === 'core');
	equal((await gw.stop()).code, 0);
});

await done();
