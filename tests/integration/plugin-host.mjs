import fs from 'node:fs';
import net from 'node:net';
import path from 'node:path';
import { test, done, Gateway, cleanup, cli, equal, ok, match, until, state, skipAll, writeConfig } from './lib.mjs';

if (!fs.existsSync(path.join(path.dirname(process.env.OC_BIN), 'bridge/vendor')))
	skipAll('built without plugins');

// ---- A network: lines of JSON over TCP. The plugin's accounts are its clients. ----

class Network {
	constructor() {
		this.clients = new Map();
		this.sent = [];
	}

	start() {
		this.server = net.createServer((socket) => {
			let text = '';
			socket.setEncoding('utf8').on('data', (piece) => {
				text += piece;
				for (let end; (end = text.indexOf('\n')) >= 0; text = text.slice(end + 1))
					this.#take(socket, JSON.parse(text.slice(0, end)));
			});
			socket.on('error', () => {});
			socket.on('close', () => {
				if (this.clients.get(socket.account) === socket)
					this.clients.delete(socket.account);
			});
		});
		cleanup(() => this.server.close());
		return new Promise((resolve) => this.server.listen(0, '127.0.0.1', () => resolve(this)));
	}

	get port() {
		return this.server.address().port;
	}

	#take(socket, line) {
		if (line.login) {
			socket.account = line.login;
			this.clients.set(line.login, socket);
		} else {
			this.sent.push({ account: socket.account, ...line });
		}
	}

	say(account, message) {
		this.clients.get(account).write(`${JSON.stringify(message)}\n`);
	}

	texts(to) {
		return this.sent.filter((one) => one.to === to).map((one) => one.text);
	}
}

const SOURCE = `
import net from "node:net";
import fs from "node:fs";
import path from "node:path";

let runtime: any;
let log: any;
const sockets = new Map<string, net.Socket>();

function write(account: string, line: unknown): Promise<void> {
	const socket = sockets.get(account);
	if (!socket || socket.destroyed)
		throw new Error("not connected");
	return new Promise((resolve, reject) => socket.write(JSON.stringify(line) + "\\n", (error) => (error ? reject(error) : resolve())));
}

async function inbound(cfg: any, accountId: string, message: any) {
	if (message.crash)
		process.exit(3);
	const core = runtime.channel;
	const group = message.room !== undefined, peer = group ? message.room : message.from;
	const section = cfg.channels.wire, allow = (section.allowFrom ?? []).concat(await core.pairing.readAllowFromStore({ channel: "wire", accountId }));
	const allowed = allow.includes(message.from);
	if (!allowed && !group) {
		const { code, created } = await core.pairing.upsertPairingRequest({ channel: "wire", accountId, id: message.from, meta: { name: message.name } });
		if (created)
			await write(accountId, { to: message.from, text: core.pairing.buildPairingReply({ channel: "wire", idLine: "Your id: " + message.from, code }) });
		return;
	}
	if (group && !core.mentions.matchesMentionPatterns(message.text, core.mentions.buildMentionRegexes(cfg)))
		return;
	const route = core.routing.resolveAgentRoute({ cfg, channel: "wire", accountId, peer: { kind: group ? "group" : "direct", id: peer } });
	const ctx = core.reply.finalizeInboundContext({
		Body: core.reply.formatAgentEnvelope({ channel: "Wire", from: message.name, body: message.text, timestamp: 0 }),
		RawBody: message.text, CommandBody: message.text, From: "wire:" + message.from, To: "wire:" + peer, SessionKey: route.sessionKey,
		AccountId: accountId, ChatType: group ? "group" : "direct", SenderName: message.name, SenderId: message.from, Provider: "wire", Surface: "wire",
		MessageSid: message.id, OriginatingChannel: "wire", OriginatingTo: "wire:" + peer, CommandAuthorized: allowed,
		...(message.file ? { MediaPath: (await core.media.saveMediaBuffer(Buffer.from(message.file), "text/plain", "inbound", 1000, "note.txt")).path, MediaType: "text/plain" } : {}),
		...(message.steal ? { MediaPath: message.steal, MediaType: "text/plain" } : {}),
	});
	await core.session.recordInboundSession({ storePath: core.session.resolveStorePath(cfg.session?.store, { agentId: route.agentId }),
		sessionKey: route.sessionKey, ctx });
	let failures = message.failTwice ? 2 : 0;
	const result = await core.reply.dispatchReplyWithBufferedBlockDispatcher({ ctx, cfg, dispatcherOptions: {
		onReplyStart: () => write(accountId, { to: peer, typing: true, id: message.id }),
		deliver: async (payload: any, info: any) => {
			if (failures-- > 0)
				throw new Error("the network is away");
			await write(accountId, { to: peer, text: payload.text, kind: info.kind, by: "deliver" });
		},
		onError: (error: Error) => log.warn("deliver failed: " + error.message),
	}, replyOptions: message.blocks ? { disableBlockStreaming: false } : undefined });
	await write(accountId, { over: message.id, result });
}

export default function register(api: any) {
	runtime = api.runtime;
	log = api.logger;
	api.registerChannel({ plugin: {
		id: "wire",
		meta: { id: "wire", label: "Wire", selectionLabel: "Wire", docsPath: "", blurb: "" },
		capabilities: { chatTypes: ["direct", "group"] },
		config: {
			listAccountIds: (cfg: any) => (cfg.channels?.wire ? ["default", ...Object.keys(cfg.channels.wire.accounts ?? {})] : []),
			resolveAccount: (cfg: any, accountId?: string) => ({ accountId: accountId ?? "default", port: cfg.channels?.wire?.port, token: cfg.channels?.wire?.token,
				...cfg.channels?.wire?.accounts?.[accountId ?? ""] }),
			isConfigured: (account: any) => typeof account.port === "number",
			resolveAllowFrom: ({ cfg }: any) => cfg.channels.wire.allowFrom,
		},
		messaging: { normalizeTarget: (raw: string) => raw.replace(/^wire:/, "") },
		pairing: { idLabel: "wireId", notifyApproval: async ({ id }: any) => write("default", { to: id, text: "let in" }) },
		status: { probeAccount: async ({ account }: any) => ({ ok: account.port > 0, port: account.port }) },
		outbound: {
			deliveryMode: "direct", textChunkLimit: 40, chunker: (text: string, limit: number) => runtime.channel.text.chunkText(text, limit),
			sendText: async ({ to, text, accountId }: any) => {
				await write(accountId ?? "default", { to, text, by: "outbound" });
				return { channel: "wire", messageId: "m" + Date.now() };
			},
			sendMedia: async ({ to, text, mediaUrl, accountId }: any) => {
				await write(accountId ?? "default", { to, text, media: fs.readFileSync(mediaUrl, "utf8"), by: "outbound" });
				return { channel: "wire", messageId: "f" + Date.now() };
			},
		},
		gateway: {
			startAccount: async (ctx: any) => {
				const { port, token } = ctx.account;
				if (token !== "wire-secret")
					throw new Error("wrong token " + token);
				ctx.setStatus({ accountId: ctx.accountId, running: true });
				await new Promise<void>((resolve, reject) => {
					const socket = net.connect(port, "127.0.0.1", () => {
						sockets.set(ctx.accountId, socket);
						void write(ctx.accountId, { login: ctx.accountId });
					});
					let text = "";
					socket.setEncoding("utf8").on("data", (piece) => {
						text += piece;
						for (let end; (end = text.indexOf("\\n")) >= 0; text = text.slice(end + 1))
							inbound(ctx.cfg, ctx.accountId, JSON.parse(text.slice(0, end))).catch((error) => ctx.log.error("inbound: " + error.stack));
					});
					socket.on("error", reject);
					socket.on("close", () => (ctx.abortSignal.aborted ? resolve() : reject(new Error("the network closed"))));
					ctx.abortSignal.addEventListener("abort", () => socket.destroy());
				});
			},
		},
	} });

	const events: any[] = [];
	let wrote: any = null;
	const tool = (name: string, run: (params: any) => Promise<unknown>, more = {}) => api.registerTool({ name, description: name, ...more,
		parameters: { type: "object", properties: { a: {} } }, execute: async (_id: string, params: any) => {
			const value = await run(params);
			return { content: [{ type: "text", text: JSON.stringify(value ?? null) }], details: value };
		} });
	api.runtime.events.onAgentEvent((event: any) => events.push(event));
	tool("rt_config", async () => ({ own: api.config.channels.wire.token, others: api.config.models?.providers?.mine?.apiKey, port: api.config.channels.wire.port,
		same: api.config === runtime.config.loadConfig(), level: api.pluginConfig.level }));
	tool("rt_write", async ({ a }) => {
		const next = structuredClone(runtime.config.loadConfig());
		Object.assign(a.section === "own" ? next.channels.wire : next.gateway ??= {}, a.set);
		await runtime.config.writeConfigFile(next);
		return runtime.config.loadConfig().channels.wire;
	});
	tool("rt_state", async () => {
		const dir = runtime.state.resolveStateDir();
		fs.writeFileSync(path.join(dir, "mine"), "x");
		return dir;
	});
	tool("rt_command", async ({ a }) => runtime.system.runCommandWithTimeout(a.argv, { timeoutMs: a.ms ?? 10000, input: a.input }));
	tool("rt_event", async ({ a }) => runtime.system.enqueueSystemEvent(a.text, { sessionKey: a.session }));
	tool("rt_owner", async () => "only you", { ownerOnly: true });
	tool("rt_heartbeat", async ({ a }) => runtime.system.requestHeartbeatNow({ reason: "tea", ...a }) ?? "asked");
	tool("rt_subagent", async () => {
		const { runId } = await runtime.subagent.run({ sessionKey: "agent:main:helper", message: "/echo from a helper" });
		const waited = await runtime.subagent.waitForRun({ runId, timeoutMs: 20000 });
		const { messages } = await runtime.subagent.getSessionMessages({ sessionKey: "agent:main:helper" });
		await runtime.subagent.deleteSession({ sessionKey: "agent:main:helper" });
		const gone = await runtime.subagent.getSessionMessages({ sessionKey: "agent:main:helper" });
		return { waited: waited.status, roles: messages.map((m: any) => m.role), said: JSON.stringify(messages).includes("from a helper"), gone: gone.messages.length };
	});
	tool("rt_agent", async () => (await runtime.agent.runEmbeddedPiAgent({ sessionId: "s", prompt: "/echo asked by itself", disableTools: true, timeoutMs: 20000 })).payloads);
	tool("rt_events", async () => events.map((event) => event.stream + ":" + (event.data.phase ?? "")));
	tool("rt_media", async () => {
		const png = Buffer.from("iVBORw0KGgoAAAANSUhEUgAAAAIAAAADCAYAAAC56t6BAAAAEUlEQVR42mP8z8BQz0AEYBxVSF8ABJ4DAcaQkNoAAAAASUVORK5CYII=", "base64");
		let guarded = "";
		try { await runtime.media.loadWebMedia("http://127.0.0.1:9/x"); } catch (error: any) { guarded = error.message; }
		return { mime: await runtime.media.detectMime({ buffer: png }), size: await runtime.media.getImageMetadata(png), guarded };
	});
	tool("rt_absent", async () => {
		try { if (!runtime.events.onHeartbeatEvent) await runtime.tts.textToSpeechTelephony({}); } catch (error: any) { return error.message; }
	});
}
`;

function write(id, files) {
	for (const [name, content] of Object.entries(files)) {
		const file = path.join(state, 'extensions', id, name);
		fs.mkdirSync(path.dirname(file), { recursive: true });
		fs.writeFileSync(file, typeof content === 'string' ? content : JSON.stringify(content));
	}
}

const wire = await new Network().start();
const config = (channel = {}, more = {}) => ({
	agents: { defaults: { model: { primary: 'offline/echo' }, blockStreamingChunk: { minChars: 20, maxChars: 60 }, blockStreamingCoalesce: { idleMs: 0 } } },
	messages: { groupChat: { mentionPatterns: ['@bot'] } },
	session: { dmScope: 'per-channel-peer' },
	models: { providers: { mine: { baseUrl: 'http://127.0.0.1:9/v1', apiKey: 'sk-of-somebody-else', api: 'openai-completions', models: [] } } },
	channels: { wire: { port: wire.port, token: 'wire-secret', allowFrom: ['ada'], ...channel } },
	plugins: { entries: { wire: { config: { level: 1 } } } },
	...more,
});
write('wire', { 'index.ts': SOURCE, 'openclaw.plugin.json': { id: 'wire', channels: ['wire'], configSchema: { type: 'object', properties: { level: { type: 'integer' } } } },
	'package.json': { name: 'wire', version: '1.0.0', type: 'module', openclaw: { extensions: ['./index.ts'] } } });
writeConfig(config());

let gw;
const plugin = async () => (await gw.rpc('plugins.list', {})).plugins.find((one) => one.id === 'wire');
const account = async (name = 'default') => (await gw.rpc('channels.status', { channel: 'wire' })).accounts.find((one) => one.account === name);
const connected = (name = 'default') => until(`the account ${name}`, async () => wire.clients.has(name) && (await account(name))?.state === 'connected');
const call = async (name, a = {}) => {
	const result = await gw.rpc('tools.execute', { name, arguments: { a }, session: 'main' });
	ok(!result.isError, JSON.stringify(result));
	return JSON.parse(result.content[0].text);
};
const said = (to, n) => until(`${n} messages to ${to}: ${gw.log.slice(-2000)}`, () => wire.texts(to).filter((one) => one !== undefined).length >= n && wire.texts(to).filter((one) => one !== undefined));

test('a channel of a plugin is there, started and checked', async () => {
	gw = await new Gateway().start();
	await until('the plugin', async () => (await plugin()).status === 'loaded');
	await connected();
	const list = (await gw.rpc('channels.list', {})).channels.find((one) => one.id === 'wire');
	equal([list.label, list.enabled, list.accounts[0].state], ['Wire', true, 'connected']);
	const probe = await gw.rpc('channels.probe', { channel: 'wire' });
	equal(probe.accounts.map((one) => one.ok), [true]);
});

test('a message becomes a turn and its answer comes back by the plugin', async () => {
	wire.say('default', { id: '1', from: 'ada', name: 'Ada', text: '/echo hello there' });
	equal(await said('ada', 1), ['hello there']);
	const answer = wire.sent.find((one) => one.text === 'hello there');
	equal([answer.kind, answer.by], ['final', 'deliver']);
	const over = await until('its end', () => wire.sent.find((one) => one.over === '1'));
	equal(over.result, { queuedFinal: true, counts: { tool: 0, block: 0, final: 1 } });
	ok(wire.sent.some((one) => one.typing && one.id === '1'));
	const sessions = JSON.stringify(await gw.rpc('session.list', {}));
	ok(sessions.includes('agent:main:channel:wire:dm:ada'), sessions);
});

test('the same message again is no second turn', async () => {
	wire.say('default', { id: '1', from: 'ada', name: 'Ada', text: '/echo hello there' });
	await until('its end', () => wire.sent.filter((one) => one.over === '1').length === 2);
	equal(wire.texts('ada').filter(Boolean), ['hello there']);
});

test('an answer that cannot be brought at first is brought later', async () => {
	wire.say('default', { id: '2', from: 'ada', name: 'Ada', text: '/echo in spite of all', failTwice: true });
	await until('the answer', () => wire.texts('ada').includes('in spite of all'), 20000);
	equal(wire.texts('ada').filter((one) => one === 'in spite of all').length, 1);
	match(gw.log, /deliver failed: the network is away/);
});

test('with block streaming an answer comes in blocks while it is written; a tool at work is told as one; what failed comes at the end', async () => {
	const words = (list) => list.join(' ').replace(/\s+/g, ' '), mine = () => wire.sent.filter((one) => one.to === 'ada' && one.text);
	const before = mine().length;
	wire.say('default', { id: 'b1', from: 'ada', name: 'Ada', text: '/slow 20 100ms', blocks: true });
	await until('the first block', () => mine().length > before);
	ok(!wire.sent.some((one) => one.over === 'b1'), 'the answer was over before its first block came');
	const over = await until('its end', () => wire.sent.find((one) => one.over === 'b1'), 20000);
	const blocks = mine().slice(before), history = await gw.rpc('session.history', { session: 'agent:main:channel:wire:dm:ada' });
	equal(new Set(blocks.map((one) => one.kind)), new Set(['block']));
	equal(over.result, { queuedFinal: false, counts: { tool: 0, block: blocks.length, final: 0 } });
	ok(blocks.length > 1 && blocks.every((one) => one.text.length <= 40), JSON.stringify(blocks));
	ok(JSON.stringify(history).replace(/\\n|\s+/g, ' ').includes(words(blocks.map((one) => one.text))), JSON.stringify(blocks));

	const middle = mine().length;
	wire.say('default', { id: 'b2', from: 'ada', name: 'Ada', text: '/repeat 12 tenletters', blocks: true, failTwice: true });
	await until('the rest', () => words(mine().slice(middle).map((one) => one.text)).split('tenletters').length === 13, 20000);
	ok(mine().slice(middle).some((one) => one.kind === 'final'), JSON.stringify(mine().slice(middle)));

	wire.say('default', { id: 'b3', from: 'ada', name: 'Ada', text: '/verbose on' });
	await until('the command', () => wire.sent.some((one) => one.over === 'b3'));
	const last = mine().length;
	wire.say('default', { id: 'b4', from: 'ada', name: 'Ada', text: '/tool rt_state {}', blocks: true });
	await until('its end', () => wire.sent.some((one) => one.over === 'b4'), 20000);
	equal(mine().slice(last).filter((one) => one.kind === 'tool').map((one) => one.text), ['🛠️ rt_state']);
	wire.say('default', { id: 'b5', from: 'ada', name: 'Ada', text: '/verbose off' });
	await until('the command', () => wire.sent.some((one) => one.over === 'b5'));
});

test('in a group only what is meant becomes a turn', async () => {
	wire.say('default', { id: '3', from: 'bob', name: 'Bob', room: '#den', text: '/echo not meant' });
	wire.say('default', { id: '4', from: 'ada', name: 'Ada', room: '#den', text: 'what about it, @bot?' });
	const [first] = await said('#den', 1);
	ok(first.includes('Ada: what about it, @bot?') || first.length > 0, first);
	ok(!wire.texts('#den').some((one) => one?.includes('not meant')));
});

test('a stranger gets a code; approved, he is told in the plugin\'s words and heard', async () => {
	wire.say('default', { id: '5', from: 'eve', name: 'Eve', text: '/echo let me in' });
	const [asked] = await said('eve', 1);
	const code = /Pairing code: (\w+)/.exec(asked)[1];
	match(cli(['pairing', 'list']).out, new RegExp(code));
	const approved = cli(['pairing', 'approve', 'wire', code]);
	equal(approved.code, 0, approved.err);
	await until('the notice', () => wire.texts('eve').includes('let in'));
	wire.say('default', { id: '6', from: 'eve', name: 'Eve', text: '/echo now I am in' });
	await until('the answer', () => wire.texts('eve').includes('now I am in'));
});

test('a file goes in, and only from the plugin\'s own folder', async () => {
	const secret = path.join(state, 'openclaw.json');
	wire.say('default', { id: '7', from: 'ada', name: 'Ada', text: 'see the file', file: 'a note' });
	await until('the end', () => wire.sent.some((one) => one.over === '7'));
	const history = JSON.stringify(await gw.rpc('session.history', { session: 'agent:main:channel:wire:dm:ada' }));
	match(history, /note[^"]*\.txt/);
	wire.say('default', { id: '8', from: 'ada', name: 'Ada', text: 'see another', steal: secret });
	await until('the end', () => wire.sent.some((one) => one.over === '8'));
	match(gw.log, /file of a message is left out/);
});

test('its process dies in the middle: the account is back, and what was taken is answered', async () => {
	const { pid } = await plugin();
	wire.say('default', { id: '9', from: 'ada', name: 'Ada', text: '/slow 15 100ms\n/echo after the crash' });
	await until('the message to be taken', async () => JSON.stringify(await gw.rpc('session.history', { session: 'agent:main:channel:wire:dm:ada' })).includes('after the crash'));
	wire.say('default', { crash: true });
	await until('the next process', async () => (await plugin()).process === 'running' && (await plugin()).pid !== pid, 20000);
	await connected();
	wire.say('default', { id: '10', from: 'ada', name: 'Ada', text: '/echo still here' });
	await until('the answer', () => wire.texts('ada').includes('still here'), 20000);
	ok(wire.sent.some((one) => one.by === 'outbound' && one.to === 'ada'), JSON.stringify(wire.sent.slice(-5)));
});


test('api.config is the plugin\'s view, kept current in place', async () => {
	equal(await call('rt_config'), { own: 'wire-secret', others: '***', port: wire.port, same: true, level: 1 });
	const { pid } = await plugin();
	writeConfig(config({ note: 'changed', accounts: { second: {} } }));
	await connected('second');
	const now = await call('rt_config');
	equal([now.same, now.own], [true, 'wire-secret']);
	equal((await plugin()).pid, pid);
	ok(wire.clients.has('default'));
});

test('it writes its own part of the configuration, and no other', async () => {
	const wrote = await call('rt_write', { section: 'own', set: { greeting: 'hi' } });
	equal(wrote.greeting, 'hi');
	equal(JSON.parse(fs.readFileSync(path.join(state, 'openclaw.json'), 'utf8')).channels.wire.greeting, 'hi');
	match(JSON.stringify(await gw.rpcRaw('tools.execute', { name: 'rt_write', arguments: { a: { section: 'gateway', set: { port: 1 } } }, session: 'main' })),
		/may not change gateway\.port.*configWrites/);
	writeConfig(config({}, { plugins: { entries: { wire: { config: { level: 1 }, configWrites: ['gateway.drainTimeoutMs'] } } } }));
	await until('the grant', async () => {
		const r = await gw.rpcRaw('tools.execute', { name: 'rt_write', arguments: { a: { section: 'gateway', set: { drainTimeoutMs: 20000 } } }, session: 'main' });
		return !r.error && !r.result.isError;
	});
	equal(JSON.parse(fs.readFileSync(path.join(state, 'openclaw.json'), 'utf8')).gateway, { drainTimeoutMs: 20000 });
});

test('programs, state, events, sub-agents, single questions, media', async () => {
	await connected();
	const run = await call('rt_command', { argv: ['/bin/sh', '-c', 'cat; echo err >&2; exit 3'], input: 'in' });
	equal([run.stdout, run.stderr, run.code, run.termination], ['in', 'err\n', 3, 'exit']);
	equal((await call('rt_command', { argv: ['/bin/sleep', '30'], ms: 100 })).termination, 'timeout');
	ok((await call('rt_state')).startsWith(path.join(state, 'plugins')));
	equal(await call('rt_subagent'), { waited: 'ok', roles: ['user', 'assistant'], said: true, gone: 0 });
	equal(await call('rt_agent'), [{ text: 'asked by itself' }]);
	const media = await call('rt_media');
	equal([media.mime, media.size], ['image/png', { width: 2, height: 3 }]);
	match(media.guarded, /not fetched/);
	const events = await call('rt_events');
	ok(events.includes('lifecycle:start') && events.includes('lifecycle:end') && events.includes('assistant:'), events.join());
});

test('a system event is read with the session\'s next message', async () => {
	equal(await call('rt_event', { text: 'the kettle boils', session: 'agent:main:channel:wire:dm:ada' }), true);
	wire.say('default', { id: '20', from: 'ada', name: 'Ada', text: 'anything new?' });
	await until('the end', () => wire.sent.some((one) => one.over === '20'));
	const history = JSON.stringify(await gw.rpc('session.history', { session: 'agent:main:channel:wire:dm:ada' }));
	match(history, /System: \[[^\]]+\] the kettle boils/);
});

test('a tool that is for owners only is for nobody else', async () => {
	const asks = async (id) => {
		wire.say('default', { id, from: 'ada', name: 'Ada', text: '/tool rt_owner {}' });
		await until('the end', () => wire.sent.some((one) => one.over === id));
		return JSON.stringify(await gw.rpc('session.history', { session: 'agent:main:channel:wire:dm:ada' })).includes('only you');
	};
	equal([await asks('21'), await call('rt_owner')], [false, 'only you']);
	writeConfig(config({}, { commands: { ownerAllowFrom: ['wire:ada'] } }));
	await gw.rpc('system.reload', {});
	ok(await asks('22'));
});

test('a plugin has the agent look what there is', async () => {
	equal(await call('rt_heartbeat', { agentId: 'nobody' }), 'asked');
	equal(await gw.rpc('last-heartbeat'), null);
	equal(await call('rt_heartbeat', {}), 'asked');
	await until('the heartbeat', async () => (await gw.rpc('last-heartbeat'))?.ts);
});

test('what is not there fails by name and is listed', async () => {
	match(await call('rt_absent'), /api\.runtime\.tts\.textToSpeechTelephony is not there/);
	await until('the list', async () => JSON.stringify((await plugin()).missing ?? {}).includes('tts.textToSpeechTelephony'));
});

test('a wrong token is a failed account with its reason', async () => {
	writeConfig(config({ token: 'wrong' }));
	await until('the failure', async () => /failed|reconnecting/.test((await account())?.state) && /wrong token/.test(JSON.stringify(await account())));
	writeConfig(config());
	await connected();
	equal((await gw.stop()).code, 0);
	ok(!wire.clients.has('default'));
});

await done();
