// The probe plugin of tests/captures/hooks, unmodified, through the scenarios in which it recorded the original: order of
// the handlers, fields of what they get, and what the returned values do must be the recorded ones.  What differs stands
// here with its reason (and in plugin-sdk/doc/plugins.md).
import fs from 'node:fs';
import http from 'node:http';
import path from 'node:path';
import { test, done, cleanup, Gateway, equal, ok, match, until, state, skipAll, writeConfig } from './lib.mjs';

if (!fs.existsSync(path.join(path.dirname(process.env.OC_BIN), 'bridge/vendor')))
	skipAll('built without plugins');

const captures = path.join(process.env.OC_TOP_SRCDIR, 'tests/captures/hooks');
const recorded = JSON.parse(fs.readFileSync(path.join(captures, 'order.json')));
const payloads = JSON.parse(fs.readFileSync(path.join(captures, 'payloads.json')));
const extension = path.join(state, 'extensions/probe');
fs.mkdirSync(extension, { recursive: true });
for (const name of fs.readdirSync(path.join(captures, 'probe-plugin')))
	fs.copyFileSync(path.join(captures, 'probe-plugin', name), path.join(extension, name));
const own = path.join(state, 'plugins/probe');
fs.mkdirSync(own, { recursive: true, mode: 0o700 });
const log = path.join(own, 'log.jsonl'), script = path.join(own, 'script.json');

// ---- The model that the original was recorded with ----

let answers = 0, held = [];
const requests = [];
const model = http.createServer((req, res) => {
	let body = '';
	req.on('data', (d) => (body += d));
	req.on('end', async () => {
		const request = JSON.parse(body), last = request.messages.at(-1);
		const words = (m) => (typeof m.content === 'string' ? m.content : (m.content ?? []).map((p) => p.text ?? '').join('\n'));
		const text = words(last).includes('<conversation>') ? 'sum up' : words(last);
		requests.push(request);
		if (last.role === 'user' && text.includes('[[hold]]'))
			await new Promise((resolve) => held.push(resolve));
		if (last.role === 'user' && text.includes('[[fail]]')) {
			res.writeHead(400, { 'content-type': 'application/json' });
			res.end(JSON.stringify({ error: { message: 'mock refuses', type: 'invalid_request_error' } }));
			return;
		}
		const calls = last.role === 'user' ? [...text.matchAll(/\[\[tool:(\w+) (\{.*?\})\]\]/g)] : [];
		const n = ++answers;
		const chunk = (delta, finish = null) => res.write(`data: ${JSON.stringify({ id: 'x', object: 'chat.completion.chunk', model: 'm',
			choices: [{ index: 0, delta, finish_reason: finish }] })}\n\n`);
		res.writeHead(200, { 'content-type': 'text/event-stream' });
		if (calls.length > 0)
			chunk({ tool_calls: calls.map(([, name, args], index) => ({ index, id: `call_${n}_${index}`, type: 'function', function: { name, arguments: args } })) }, 'tool_calls');
		else
			chunk({ role: 'assistant', content: `Mock answer ${n}.` }, 'stop');
		res.write(`data: ${JSON.stringify({ id: 'x', object: 'chat.completion.chunk', model: 'm', choices: [], usage: { prompt_tokens: 100, completion_tokens: 8, total_tokens: 108 } })}\n\n`);
		res.end('data: [DONE]\n\n');
	});
});
await new Promise((resolve) => model.listen(0, '127.0.0.1', resolve));
cleanup(() => {
	held.forEach((go) => go());
	model.closeAllConnections();
});
const provider = (id, ...models) => ({ baseUrl: `http://127.0.0.1:${model.address().port}/v1`, apiKey: 'k', api: 'openai-completions',
	models: models.map((name) => ({ id: name, contextWindow: 128000 })) });
writeConfig({
	gateway: { mode: 'local' },
	hooks: { internal: { enabled: true } },
	channels: { probe: { enabled: true } },
	models: { providers: { mock: provider('mock', 'mock-1', 'mock-2'), mockb: provider('mockb', 'mock-b') } },
	agents: { defaults: { model: { primary: 'mock/mock-1' }, skipBootstrap: true } },
	plugins: { entries: { probe: { config: { label: 'x' }, env: ['PROBE_LOG', 'PROBE_SCRIPT'] } } },
});

// ---- Playing a scenario ----

const SYNC = new Set(['tool_result_persist', 'before_message_write']);
const SEQUENTIAL = new Set(['before_model_resolve', 'before_prompt_build', 'before_agent_start', 'message_sending',
	'before_tool_call', 'subagent_spawning', 'subagent_delivery_target']);
let gw;
let delayMs = 25; // so that overlap shows
const calls = () => (fs.existsSync(log) ? fs.readFileSync(log, 'utf8').split('\n').slice(0, -1).map((line) => JSON.parse(line)) : []);
const seen = [];

const token = (l) => {
	if (l.kind === 'hook')
		return SYNC.has(l.hook) ? `=${l.hook}.${l.tag}${l.event.message ? `(${l.event.message.role})` : ''}` : `>${l.hook}.${l.tag}`;
	if (l.kind === 'tool' && l.phase !== 'leave')
		return `>TOOL ${l.tool}`;
	return { service: `SERVICE ${l.phase}`, channel: `CHANNEL ${l.call}`, command: 'COMMAND', deliver: 'DELIVER', http: 'HTTP',
		'gateway-method': 'GATEWAY-METHOD', internal: `*${l.type}:${l.action}` }[l.kind];
};
// What began, in order. Ends depend on how long handlers took. Of internal hooks it counts which were called: one handler
// here may be registered for a type and for its action, and how often depends on how often register() ran.
const order = (lines) => lines.filter((l) => (l.kind === 'hook' ? l.phase === 'enter' : true)).map(token).filter((t) => t && !t.startsWith('*'));
const internals = (tokens) => [...new Set(tokens.filter((t) => t.startsWith('*')))].sort();
const internalsOf = (lines) => internals(lines.filter((l) => l.kind === 'internal').map(token));
const wanted = (name) => recorded[name].filter((t) => /^(?:[>=]|[A-Z]+(?! ?\()(?: |$))/.test(t) && !/^(?:TOOL-FACTORY|register)/.test(t));

// Handlers of modify hooks run one after the other, those of the others side by side: seen at least once of each hook, as a
// machine that is busy elsewhere may be late with the second.
const sideBySide = new Map();
function checkOverlap(lines) {
	const at = (hook, tag, phase, from) => lines.findIndex((l, i) => i >= from && l.hook === hook && l.tag === tag && l.phase === phase);
	lines.forEach((l, i) => {
		if (l.kind !== 'hook' || l.tag !== 'a' || l.phase !== 'enter' || SYNC.has(l.hook))
			return;
		const left = at(l.hook, 'a', 'leave', i), entered = at(l.hook, 'b', 'enter', i);
		if (left < 0 || entered < 0)
			return;
		if (SEQUENTIAL.has(l.hook))
			ok(left < entered || l.hook === 'before_tool_call', `${l.hook}: b began before a was done`);
		else if (delayMs >= 25)
			sideBySide.set(l.hook, [...(sideBySide.get(l.hook) ?? []), entered < left]);
	});
}

async function play(name, drive, { last = '>llm_output.b', when, ...rest } = {}) {
	fs.writeFileSync(script, JSON.stringify({ scenario: name, delayMs, ...rest }));
	const mine = () => calls().filter((l) => l.scenario === name);
	const result = await drive();
	const complete = () => {
		const lines = mine(), hooks = lines.filter((l) => l.kind === 'hook');
		const open = new Map();
		for (const l of hooks)
			open.set(`${l.hook}.${l.tag}`, (open.get(`${l.hook}.${l.tag}`) ?? 0) + (l.phase === 'enter' ? 1 : -1));
		for (const [hook, tag] of Object.entries(rest.throws ?? {}))
			open.delete(`${hook}.${tag}`);
		const got = order(lines);
		return (when ? when({ lines, got }) : got.includes(last)) && [...open.values()].every((n) => n === 0) ? lines : null;
	};
	const lines = await until(`the end of ${name}`, complete).catch((error) => {
		throw new Error(`${error.message}: ${JSON.stringify(order(mine()))}`);
	});
	checkOverlap(lines);
	seen.push(...lines);
	return { lines, order: order(lines), result };
}
const say = (text, session = 'main') => () => gw.rpc('session.message', { session, text, wait: true })
	.catch((error) => ({ text: '', error: error.message }));
const history = async (session = 'main') => (await gw.rpc('session.history', { session })).messages;
const texts = async (session) => (await history(session)).map((m) => `${m.role}: ${m.content.map((c) => c.text ?? `<${c.type}>`).join('')}`);

// A turn of the original began with a new session here and there; ours then tells that too.
async function same(name, text, options = {}) {
	const { session, expect = wanted(name), lacks, ...rest } = options;
	const played = await play(name, say(text, session), rest);
	equal(played.order, expect);
	const missing = new Set(options.lacks);
	await until(`the internal hooks of ${name}`, () => internalsOf(calls().filter((l) => l.scenario === name)).length === internals(recorded[name]).length - missing.size);
	equal(internalsOf(calls().filter((l) => l.scenario === name)), internals(recorded[name]).filter((t) => !missing.has(t)));
	return played;
}

// ---- Order ----

test('start: the service, then gateway_start', async () => {
	fs.writeFileSync(script, JSON.stringify({ scenario: '00-startup' }));
	gw = await new Gateway({ env: { PROBE_LOG: log, PROBE_SCRIPT: script } }).start();
	const lines = await until('gateway_start', () => {
		const all = calls();
		return all.filter((l) => l.hook === 'gateway_start' && l.phase === 'leave').length === 2 ? all : null;
	});
	equal(order(lines), wanted('00-startup'));
	checkOverlap(lines);
	seen.push(...lines);
	equal(lines.filter((l) => l.kind === 'register').length, 1); // the original: three times
	const [register] = lines;
	equal(register.pluginConfig, { label: 'x' });
	equal(register.source, path.join(extension, 'index.ts'));
});

test('a plain turn', () => same('01-plain-turn', 'hello probe'));
test('a turn with a tool', () => same('02-tool-turn', 'please [[tool:probe_echo {"text":"hi"}]]'));

test('two tools of one answer', async () => {
	const { lines } = await play('03-two-tools', say('[[tool:probe_echo {"text":"one"}]] [[tool:probe_echo {"text":"two"}]]'));
	const ids = [...new Set(lines.map((l) => l.event?.toolCallId ?? l.toolCallId).filter(Boolean))];
	equal(ids.length, 2);
	const about = (id) => order(lines.filter((l) => (l.event?.toolCallId ?? l.event?.message?.toolCallId ?? l.toolCallId) === id));
	for (const id of ids)
		equal(about(id), ['>before_tool_call.a', '>before_tool_call.b', '>TOOL probe_echo', '>after_tool_call.a', '>after_tool_call.b',
			'=tool_result_persist.a(toolResult)', '=tool_result_persist.b(toolResult)', '=before_message_write.a(toolResult)', '=before_message_write.b(toolResult)']);
	equal(order(lines).slice().sort(), wanted('03-two-tools').slice().sort());
});

test('a tool that fails', async () => {
	const { lines } = await same('04-tool-error', '[[tool:probe_echo {"text":"x","fail":true}]]');
	match(lines.find((l) => l.hook === 'after_tool_call').event.error, /probe tool failed/);
});
test('a tool that answers with a plain text', () => same('05-tool-plain-string-result', '[[tool:probe_ctx {}]]'));
test('a tool that is not there', () => {
	// Here the answer that asks for it is written before the call is looked at, like every other.
	const all = wanted('06-unknown-tool'), at = all.indexOf('>after_tool_call.a');
	return same('06-unknown-tool', '[[tool:no_such_tool {}]]', {
		expect: [...all.slice(0, at), '=before_message_write.a(assistant)', '=before_message_write.b(assistant)', ...all.slice(at)] });
});
test('a tool of the gateway', () => same('07-core-tool', '[[tool:session_status {}]]'));

test('a model that fails', async () => {
	// No message stands in the history for an answer that did not come; the original writes an empty one.
	const { lines } = await same('14-model-error', 'trigger [[fail]]', { expect: wanted('14-model-error').filter((t) => !t.includes('(assistant)')) });
	const end = lines.find((l) => l.hook === 'agent_end').event;
	equal(end.success, false);
	match(end.error, /mock refuses/);
});

// ---- What returned values do ----

test('a block is final, both are asked, and every observer sees an error', async () => {
	delayMs = 1; // from here on it is about values
	const { lines } = await same('22-block-then-unblock', '[[tool:probe_echo {"text":"x"}]]', {
		returns: { before_tool_call: { a: { block: true, blockReason: 'a blocks' }, b: { block: false } } },
		expect: wanted('21-block-tool') });
	ok(!lines.some((l) => l.kind === 'tool'));
	const after = lines.find((l) => l.hook === 'after_tool_call').event;
	match(after.error, /a blocks/);
	match((await history()).findLast((m) => m.role === 'tool').content[0].text, /a blocks/);
	const silent = await same('23-block-no-reason', '[[tool:probe_echo {"text":"x"}]]', { returns: { before_tool_call: { a: { block: true } } } });
	ok(!silent.lines.some((l) => l.kind === 'tool'));
	match(silent.lines.find((l) => l.hook === 'after_tool_call').event.error, /block/);
});

test('parameters are laid over the original ones; nobody sees the change of another', async () => {
	const { lines } = await same('24-modify-params', '[[tool:probe_echo {"text":"orig"}]]', {
		returns: { before_tool_call: { a: { params: { text: 'from-a' } }, b: { params: { delayMs: 1 } } } } });
	equal(lines.find((l) => l.hook === 'before_tool_call' && l.tag === 'b').event.params, { text: 'orig' });
	equal(lines.find((l) => l.kind === 'tool').params, { text: 'orig', delayMs: 1 });
	const one = await same('25-modify-params-one', '[[tool:probe_echo {"text":"orig"}]]', {
		returns: { before_tool_call: { a: { params: { text: 'from-a' } } } } });
	equal(one.lines.find((l) => l.hook === 'after_tool_call').event.params, { text: 'from-a' });
	const asked = (await history()).findLast((m) => m.role === 'assistant' && m.content.some((p) => p.type === 'tool_call'));
	equal(asked.content.find((p) => p.type === 'tool_call').arguments, { text: 'orig' });
});

test('context before the prompt, system prompts around and in place of ours', async () => {
	await same('31-prepend-context', 'hello ctx', { returns: {
		before_prompt_build: { a: { prependContext: 'PB-A' }, b: { prependContext: 'PB-B' } },
		before_agent_start: { a: { prependContext: 'AS-A' }, b: { prependContext: 'AS-B' } } } });
	const said = requests.at(-1).messages.at(-1).content;
	match(typeof said === 'string' ? said : said.map((p) => p.text).join(''), /^PB-A\n\nPB-B\n\nAS-A\n\nAS-B\n\n[^]*hello ctx$/);
	await same('32-system-prompt', 'hello sys', { returns: { before_prompt_build: { a: { systemPrompt: 'SYS-A' }, b: { systemPrompt: 'SYS-B' } } } });
	equal(requests.at(-1).messages[0].content, 'SYS-B');
	await same('33-system-context', 'hello sys', { returns: { before_prompt_build: {
		a: { prependSystemContext: 'PRE-A', appendSystemContext: 'APP-A' }, b: { prependSystemContext: 'PRE-B', appendSystemContext: 'APP-B' } } } });
	match(requests.at(-1).messages[0].content, /^PRE-A\n\nPRE-B\n\n[^]*\n\nAPP-A\n\nAPP-B$/);
});

test('the model of one turn', async () => {
	await same('34-model-override', 'which', { returns: { before_model_resolve: { a: { modelOverride: 'mock-2' }, b: { modelOverride: 'mock-1' } } } });
	equal(requests.at(-1).model, 'mock-2');
	await same('35-provider-override', 'which', { returns: { before_model_resolve: { a: { providerOverride: 'mockb', modelOverride: 'mock-b' } } } });
	equal(requests.at(-1).model, 'mock-b');
	await same('36-model-override-legacy', 'which', { returns: { before_agent_start: { a: { modelOverride: 'mock-2' } } } });
	equal(requests.at(-1).model, 'mock-2');
	await same('37-model-override-unknown', 'which', { returns: { before_model_resolve: { a: { modelOverride: 'no-such-model' } } } });
	equal(requests.at(-1).model, 'no-such-model');
});

test('what is written of a tool\'s result; the model reads the original in this turn', async () => {
	const of = (text) => ({ setText: text });
	await same('38-tool-result-persist', '[[tool:probe_echo {"text":"hi"}]]', { returns: { tool_result_persist: { a: of('TA'), b: of('TB') } } });
	equal((await history()).findLast((m) => m.role === 'tool').content[0].text, 'TB');
	match(JSON.stringify(requests.at(-1).messages.at(-1)), /echo:hi/);
	await same('39-tool-result-persist-async', '[[tool:probe_echo {"text":"hi"}]]', {
		returns: { tool_result_persist: { a: of('TA'), b: of('TB') } }, async: ['tool_result_persist'] });
	equal((await history()).findLast((m) => m.role === 'tool').content[0].text, 'echo:hi');
	match(gw.log, /tool_result_persist: .* gave a promise, and this hook is answered at once/);
});

test('what is not written, and what is written otherwise', async () => {
	const before = (await texts()).length;
	const { result } = await same('40-before-message-write-block', 'secret', { returns: { before_message_write: { a: { block: true } } } });
	match(result.text, /^Mock answer/);
	equal((await texts()).length, before);
	const again = await same('41-before-message-write-rewrite', 'plain', { returns: { before_message_write: { a: { setText: 'REWRITTEN' } } } });
	match(again.result.text, /^Mock answer/);
	equal((await texts()).slice(-2), ['user: REWRITTEN', 'assistant: REWRITTEN']);
});

test('handlers that throw', async () => {
	// A guard that breaks lets nothing through (the original lets everything through).
	const guard = await play('42-throw-before-tool-call', say('[[tool:probe_echo {"text":"x"}]]'), { throws: { before_tool_call: 'a' } });
	ok(!guard.lines.some((l) => l.kind === 'tool'));
	await same('43-throw-prompt-build', 'hi', { throws: { before_prompt_build: 'a' }, returns: { before_prompt_build: { b: { prependContext: 'B-STILL' } } } });
	match(JSON.stringify(requests.at(-1).messages.at(-1)), /B-STILL/);
	await same('44-throw-tool-result-persist', '[[tool:probe_echo {"text":"hi"}]]', { throws: { tool_result_persist: 'a' } });
	equal((await history()).findLast((m) => m.role === 'tool').content[0].text, 'echo:hi');
	await same('45-throw-message-received', 'hi', { throws: { message_received: 'a' } });
	match(gw.log, /probe: message_received a throws/);
});

// ---- Commands, resets, compaction ----

test('commands of the plugin, which observers of messages hear of first', async () => {
	const { result } = await same('08-command', '/probe some  args', { last: 'COMMAND' });
	equal(result.text, 'probe:some args');
	await same('09-command-noargs-with-args', '/probe-noargs extra');
	equal((await same('10-command-noargs', '/probe-noargs', { last: 'COMMAND' })).result.text, 'noargs');
});

test('a method of the plugin, a route of the plugin and nothing below it', async () => {
	const ping = await play('15-gateway-method', () => gw.rpc('probe.ping', { a: 1 }), { last: 'GATEWAY-METHOD' });
	equal(ping.result, { pong: { a: 1 } });
	const route = await play('53-http-route', async () => (await fetch(`${gw.url}/probe?x=1`)).text(), { last: 'HTTP' });
	equal(route.result, '{"ok":true}');
	equal([route.order, route.lines[0].url], [['HTTP'], '/probe?x=1']);
	equal((await fetch(`${gw.url}/probe/sub`)).status, 404);
});

test('/compact, with both kinds of hooks before and after it', async () => {
	const { lines, result } = await same('47-compact', '/compact', { last: '>after_compaction.b', lacks: ['*agent:bootstrap'] });
	match(result.text, /Compacted/);
	const began = lines.filter((l) => l.phase !== 'leave').map(token);
	ok(began.indexOf('*session:compact:before') < began.indexOf('>before_compaction.a'), began.join(' '));
	ok(began.indexOf('*session:compact:after') < began.indexOf('>after_compaction.a'), began.join(' '));
});

// Without the turns that the original adds to a reset (a name for the old session, a greeting); before_reset is told of every reset.
const RESET = ['>message_received.a', '>message_received.b', '>session_end.a', '>session_end.b', '>before_reset.a', '>before_reset.b',
	'>session_start.a', '>session_start.b'];

test('/new and /reset: the old session ends, the new one begins', async () => {
	for (const [name, text] of [['11-new', '/new'], ['13-reset', '/reset']]) {
		equal(wanted(name).slice(0, 6), RESET.filter((t) => !t.includes('before_reset')));
		const { lines, order: got } = await play(name, say(text), { last: '>session_start.b' });
		equal(got, RESET);
		await until('the internal hook', () => calls().some((l) => l.scenario === name && token(l) === `*command:${text.slice(1)}`));
		const at = (hook) => lines.find((l) => l.hook === hook);
		equal(at('session_start').event.resumedFrom, at('session_end').event.sessionId);
		ok(at('session_start').event.sessionId !== at('session_end').event.sessionId);
		equal(at('before_reset').event.messages.length, at('session_end').event.messageCount);
		equal(at('before_reset').event.reason, text.slice(1));
		if (name === '11-new')
			await same('12-after-new', 'hello again');
	}
});

// ---- Messages of the plugin's channel ----

const inbound = (params) => () => gw.rpc('probe.inbound', params);
const routed = (id, to, text = 'hi routed') => inbound({ text, id, surface: 'telegram', sessionKey: `agent:main:probe:direct:${to}` });
// A channel that brings answers itself is asked and told like every other; the original leaves it out.
const heard = (all) => all.flatMap((t) => (t === 'DELIVER' ? ['>message_sending.a', '>message_sending.b', t, '>message_sent.a', '>message_sent.b'] : [t]));

test('in by its channel and out by its dispatcher, or by the channel that the conversation is of', async () => {
	const own = await play('16-channel-inbound', inbound({ text: 'hi from channel', id: 'in-1' }), { last: '>message_sent.b' });
	equal(own.order, heard(wanted('16-channel-inbound')));
	equal(own.result.result, { queuedFinal: true, counts: { tool: 0, block: 0, final: 1 } });
	for (const [name, id, to] of [['17-channel-inbound-routed', 'in-2', 'u2'], ['58-channel-inbound-routed', 'in-58', 'u4']]) {
		const { order: got, result } = await play(name, routed(id, to), { last: '>message_sent.b' });
		equal(got, wanted(name));
		await until('the internal hooks', () => internalsOf(calls().filter((l) => l.scenario === name)).join() === internals(recorded[name]).join());
		equal(result, { delivered: [], result: { queuedFinal: true, counts: { tool: 0, block: 0, final: 1 } } });
	}
});

// ---- What the agent sends of its own accord ----

const SEND_LAST = '>after_tool_call.b';
const send = (message, target = 'u1') => () => gw.rpcRaw('tools.execute', { name: 'message', arguments: { action: 'send', channel: 'probe', target, message }, session: 'main' });
const sent = (lines) => lines.find((l) => l.kind === 'channel')?.text;
const withoutTool = (tokens) => tokens.filter((t) => !t.includes('_tool_call'));

async function sends(name, returns, text, options = {}) {
	const { lines, order: got, result } = await play(name, send('original'), { last: SEND_LAST, returns: { message_sending: returns }, ...options });
	equal(withoutTool(got), wanted(name));
	equal(sent(lines), text);
	equal(result.result.details, { status: 'sent', channel: 'probe', to: 'u1', messageId: 'm1', messageIds: ['m1'] });
	equal(lines.find((l) => l.hook === 'message_sent').event.content, text);
}

test('message_sending changes what is sent, and nobody sees the change of another', async () => {
	await sends('18-send', {}, 'original');
	await sends('26-message-sending-content', { a: { content: 'A' }, b: { content: 'B' } }, 'B');
	await sends('27-message-sending-content-a-only', { a: { content: 'A' } }, 'A');
	await sends('46-throw-message-sending', {}, 'original', { throws: { message_sending: 'a' } });
});

test('a client asks an agent for a turn, and has its answer sent', async () => {
	const { lines, order: got, result } = await play('19-agent-deliver', () => gw.rpc('agent', { message: 'hello deliver', channel: 'probe', to: 'u1', deliver: true,
		sessionKey: 'agent:main:main', idempotencyKey: 'a19' }), { last: '>message_sent.b' });
	equal(got, wanted('19-agent-deliver'));
	const [{ text }] = result.result.payloads, at = (hook) => lines.find((l) => l.hook === hook);
	match(text, /^Mock answer/);
	equal([sent(lines), at('message_sending').event.to, at('message_sent').event.content, at('before_model_resolve').ctx.trigger], [text, 'u1', text, 'user']);
	const internal = () => internalsOf(calls().filter((l) => l.scenario === '19-agent-deliver')).join();
	await until('the internal hooks', () => internal() === internals(recorded['19-agent-deliver']).join());
});

test('a cancel is final, and nothing is sent of an empty text', async () => {
	for (const [name, returns] of [['28-message-sending-cancel', { a: { cancel: true } }], ['29-message-sending-cancel-then-false', { a: { cancel: true }, b: { cancel: false } }],
		['30-message-sending-empty', { a: { content: '' } }]]) {
		const { order: got, result } = await play(name, send('original'), { last: SEND_LAST, returns: { message_sending: returns } });
		equal(withoutTool(got), ['>message_sending.a', '>message_sending.b']);
		equal(result.result.isError, true);
	}
	// The same for an answer.
	const { order: got, result } = await play('28-message-sending-cancel', routed('in-28', 'u2'), { last: '>message_sending.b', returns: { message_sending: { a: { cancel: true } } } });
	equal(got.slice(-2), ['>message_sending.a', '>message_sending.b']);
	equal(result.delivered, []);
});

// ---- Sub-agents ----

// Two sessions at once: the order within each. A sub-agent's session begins for observers too (the original leaves that out).
const sessionOf = (l) => l.ctx?.sessionKey ?? l.event?.sessionKey ?? '';
const inChild = (l) => /subagent:/.test(sessionOf(l));
const TURN = ['>before_model_resolve.a', '>before_model_resolve.b', '>before_agent_start.a', '>before_agent_start.b', '>before_prompt_build.a', '>before_prompt_build.b',
	'>before_agent_start.a', '>before_agent_start.b', '>llm_input.a', '>llm_input.b', '=before_message_write.a(user)', '=before_message_write.b(user)',
	'=before_message_write.a(assistant)', '=before_message_write.b(assistant)', '>agent_end.a', '>agent_end.b', '>llm_output.a', '>llm_output.b'];
const TURNS_END = (n) => ({ lines }) => lines.filter((l) => l.hook === 'llm_output' && l.phase === 'leave').length >= 2 * n;

test('sub-agents: spawned, at work, announced, ended', async () => {
	const spawn = (args) => say(`please [[tool:sessions_spawn ${JSON.stringify(args)}]]`);
	const run = await play('48-subagent', spawn({ task: 'say hi', label: 'sub' }), { last: '>subagent_ended.b' });
	equal(order(run.lines).sort(), [...wanted('48-subagent'), '>session_start.a', '>session_start.b'].sort());
	equal(order(run.lines.filter(inChild)), ['>session_start.a', '>session_start.b', ...TURN]);
	const parent = order(run.lines.filter((l) => l.kind === 'hook' && !inChild(l)));
	equal(parent.slice(0, 14), ['>message_received.a', '>message_received.b', ...TURN.slice(0, 12)]);
	equal(parent.slice(14, 28), ['=before_message_write.a(assistant)', '=before_message_write.b(assistant)', '>before_tool_call.a', '>before_tool_call.b',
		'>subagent_spawned.a', '>subagent_spawned.b', '>after_tool_call.a', '>after_tool_call.b', '=tool_result_persist.a(toolResult)', '=tool_result_persist.b(toolResult)',
		'=before_message_write.a(toolResult)', '=before_message_write.b(toolResult)', '=before_message_write.a(assistant)', '=before_message_write.b(assistant)']);
	equal(parent.slice(32), ['>subagent_delivery_target.a', '>subagent_delivery_target.b', ...TURN, '>subagent_ended.a', '>subagent_ended.b']);

	const refused = await same('49-subagent-thread', 'please [[tool:sessions_spawn {"task":"say hi","thread":true,"mode":"session"}]]');
	match(JSON.stringify(refused.lines.find((l) => l.hook === 'tool_result_persist').event), /thread/);

	const bound = await play('50-subagent-thread-ok', spawn({ task: 'say hi', thread: true, mode: 'session' }),
		{ returns: { subagent_spawning: { a: { status: 'ok', threadBindingReady: true } } }, when: TURNS_END(3) });
	equal(order(bound.lines).sort(), [...wanted('50-subagent-thread-ok'), '>session_start.a', '>session_start.b'].sort());
});

// ---- Turns and tools without a message, sessions reset and deleted by a client ----

test('a turn over HTTP is nobody\'s message', async () => {
	const { order: got, result } = await play('52-http-chat-completions', async () => (await gw.fetch('/v1/chat/completions', { method: 'POST',
		body: JSON.stringify({ model: 'openclaw', messages: [{ role: 'user', content: 'hello http' }] }) })).json());
	equal(got, ['>session_start.a', '>session_start.b', ...wanted('52-http-chat-completions')]); // every session begins
	match(result.choices[0].message.content, /^Mock answer/);
});

test('a tool that a client executes', async () => {
	const { order: got, result } = await play('54-tools-invoke', () => gw.rpc('tools.execute', { name: 'probe_echo', arguments: { text: 'via http' }, session: 'main' }), { last: SEND_LAST });
	equal(got, [...wanted('54-tools-invoke'), '>after_tool_call.a', '>after_tool_call.b']); // observers hear of every call
	equal([result.content, result.details], [[{ type: 'text', text: 'echo:via http' }], { raw: 'via http', drop: 'xxxxxxxxxxxxxxxxxxxx' }]);
});

test('sessions that a client resets or deletes', async () => {
	const reset = await play('55-sessions-reset', () => gw.rpc('session.reset', { session: 'main' }), { last: '>session_start.b' });
	equal(reset.order, ['>session_end.a', '>session_end.b', '>before_reset.a', '>before_reset.b', '>subagent_ended.a', '>subagent_ended.b', '>session_start.a', '>session_start.b']);
	ok(wanted('55-sessions-reset').includes('>subagent_ended.b'));
	const deleted = await play('56-sessions-delete', () => gw.rpc('session.delete', { session: 'agent:main:probe:direct:u1' }), { last: '>subagent_ended.b' });
	equal(deleted.order, ['>session_end.a', '>session_end.b', ...wanted('56-sessions-delete')]);
	equal(deleted.lines.find((l) => l.hook === 'subagent_ended').event.outcome, 'deleted');
});

test('what an internal hook adds to a command goes before its answer', async () => {
	const { lines, order: got } = await play('57-internal-push-new', inbound({ text: '/new', id: 'in-57', sessionKey: 'agent:main:probe:direct:u2' }),
		{ last: '>message_sent.b', push: 'pushed by internal hook' });
	// Both are one message here, brought by the dispatcher; the original sends them by the channel and then greets.
	equal(got, heard([...RESET, 'DELIVER']));
	match(lines.find((l) => l.kind === 'deliver').payload.text, /^pushed by internal hook\n\n[^]*New session started/);
	equal(lines.find((l) => l.hook === 'message_sending').event.content, lines.find((l) => l.kind === 'deliver').payload.text);
});

test('a turn that is stopped while a tool runs', async () => {
	const { order: got, lines } = await play('51-abort', async () => {
		const run = gw.rpcRaw('session.message', { session: 'main', text: 'please [[tool:probe_echo {"text":"slow","delayMs":4000}]]', wait: true });
		await until('the tool', () => calls().some((l) => l.scenario === '51-abort' && l.kind === 'tool'));
		await gw.rpc('session.cancel', { session: 'main' });
		return run;
	}, { when: ({ got }) => got.includes('>agent_end.b') && got.includes('>llm_output.b') });
	const want = wanted('51-abort');
	equal(got.slice(0, want.indexOf('>TOOL probe_echo') + 1), want.slice(0, want.indexOf('>TOOL probe_echo') + 1));
	equal(lines.find((l) => l.hook === 'agent_end').event.success, false);
	// The original writes what the tool says after the turn is over; here nothing comes after its end.
	equal(got.slice(want.indexOf('>TOOL probe_echo') + 1), want.slice(want.indexOf('>agent_end.a'), want.indexOf('>llm_output.b') + 1));
});

test('a message that cannot be sent stays in the outbox and is tried again', async () => {
	fs.writeFileSync(script, JSON.stringify({ scenario: '20-send-failing' }));
	const gone = new AbortController();
	void gw.fetch('/rpc', { method: 'POST', signal: gone.signal, body: JSON.stringify({ jsonrpc: '2.0', id: 1, method: 'tools.execute',
		params: { name: 'message', arguments: { channel: 'probe', target: 'u9', message: 'FAILSEND' }, session: 'main' } }) }).catch(() => {});
	const lines = await until('two tries', () => {
		const mine = calls().filter((l) => l.scenario === '20-send-failing');
		return mine.filter((l) => l.kind === 'channel').length >= 2 && mine;
	});
	equal(withoutTool(order(lines)).slice(0, 4), [...wanted('20-send-failing').slice(0, 3), 'CHANNEL sendText']);
	ok(!lines.some((l) => l.hook === 'message_sent')); // once it is given up
	gone.abort();
});

// ---- Fields ----

test('every event and context has the recorded properties, no more and no less', () => {
	const enters = seen.filter((l) => l.kind === 'hook' && l.phase === 'enter');
	const reached = new Set(enters.map((l) => l.hook));
	equal([...reached].sort(), Object.keys(payloads).filter((hook) => hook !== 'gateway_stop').sort());
	const wrong = new Set();
	for (const l of enters)
		for (const [part, keys, values] of [['eventFields', l.eventKeys, l.event], ['ctxFields', l.ctxKeys, l.ctx]]) {
			const contract = payloads[l.hook][part];
			for (const [field, how] of Object.entries(contract)) {
				if (how === 'always' && (values?.[field] === undefined || values[field] === null))
					wrong.add(`${l.hook}: ${part} lack ${field}`);
				if (!how.includes('property present') && !keys.includes(field))
					wrong.add(`${l.hook}: ${part} have no property ${field}`);
			}
			for (const field of keys)
				if (!(field in contract))
					wrong.add(`${l.hook}: ${part} have ${field}, which the original has not`);
		}
	equal([...wrong].sort(), []);
});

test('shutdown: gateway_stop, then the service', async () => {
	delayMs = 25;
	fs.writeFileSync(script, JSON.stringify({ scenario: '59-shutdown' }));
	equal((await gw.stop()).code, 0);
	const lines = calls().filter((l) => l.scenario === '59-shutdown');
	equal(withoutTool(order(lines)).filter((t) => t !== 'CHANNEL sendText'), wanted('59-shutdown'));
	checkOverlap(lines);
	const often = [...sideBySide].filter(([, times]) => times.length >= 5);
	ok(often.length >= 5, `${often}`);
	equal(often.filter(([, times]) => !times.includes(true)), [], 'b waited for a');
});

await done();
