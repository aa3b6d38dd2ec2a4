import fs from 'node:fs';
import http from 'node:http';
import path from 'node:path';
import { Gateway, cleanup, done, equal, match, ok, sleep, state, test, until, writeConfig } from './lib.mjs';

// ---- A model that does what the test says ----

// play(last, request): {text}, {tools: [[name, args]…]}, {wait: true} (no answer until the connection ends) or null for "ok".
let play = () => null;
const requests = [];
let embeddings = 0; // asked for
let held = [];
const model = http.createServer((req, res) => {
	let body = '';
	req.on('data', (d) => (body += d));
	req.on('end', async () => {
		const request = JSON.parse(body);
		if (req.url.endsWith('/embeddings')) {
			embeddings++;
			return; // never an answer
		}
		const last = request.messages.at(-1);
		const text = typeof last.content === 'string' ? last.content : last.content.map((p) => p.text ?? '').join('\n');
		requests.push({ text, role: last.role, request });
		const answer = (await play(text, last.role, request)) ?? { text: 'ok' };
		if (answer.wait)
			await new Promise((resolve) => held.push(resolve));
		const send = (o) => res.write(`data: ${JSON.stringify(o)}\n\n`);
		const chunk = (delta, finish = null) => ({ id: 'x', object: 'chat.completion.chunk', model: 'm', choices: [{ index: 0, delta, finish_reason: finish }] });
		res.writeHead(200, { 'content-type': 'text/event-stream' });
		if (answer.tools) {
			if (answer.text)
				send(chunk({ role: 'assistant', content: answer.text }));
			answer.tools.forEach(([name, args], i) => send(chunk({ tool_calls: [{ index: i, id: `call_${requests.length}_${i}`, type: 'function', function: { name, arguments: JSON.stringify(args) } }] })));
			send(chunk({}, 'tool_calls'));
		} else {
			send(chunk({ role: 'assistant', content: answer.text ?? 'ok' }));
			send(chunk({}, 'stop'));
		}
		send({ id: 'x', object: 'chat.completion.chunk', model: 'm', choices: [], usage: { prompt_tokens: answer.input ?? 100, completion_tokens: answer.output ?? 10, total_tokens: 110 } });
		res.end('data: [DONE]\n\n');
	});
});
await new Promise((resolve) => model.listen(0, '127.0.0.1', resolve));
cleanup(() => {
	held.forEach((f) => f());
	model.closeAllConnections();
});
const release = () => {
	held.forEach((f) => f());
	held = [];
};

const config = (subagents = {}, more = {}) => ({
	gateway: { mode: 'local' },
	models: { providers: { mock: { baseUrl: `http://127.0.0.1:${model.address().port}/v1`, apiKey: 'k', api: 'openai-completions',
		models: [{ id: 'm', contextWindow: 200000, cost: { input: 1, output: 10 } }, { id: 'other', contextWindow: 200000 }],
		...(more.memory ? { embeddings: [{ id: 'e' }] } : {}) } } },
	agents: { defaults: { model: { primary: 'mock/m' }, skipBootstrap: true, subagents,
		memorySearch: more.memory ? { provider: 'mock', model: 'e' } : { provider: 'none' } }, ...more.agents },
	...(more.tools ? { tools: more.tools } : {}),
	...(more.session ? { session: more.session } : {}),
});

let gateway;
async function start(...args) {
	release();
	if (gateway)
		equal(await gateway.stop(), { code: 0, signal: null });
	ok(!/Sanitizer|runtime error/.test(gateway?.log ?? ''), gateway?.log);
	writeConfig(config(...args));
	gateway = await new Gateway().start();
}
const ask = (text, session = 'main') => gateway.rpc('session.message', { session, text });
const wait = async (text, session = 'main') => (await gateway.rpc('session.message', { session, text, wait: true })).text;
const tool = async (name, args = {}, session = 'main') => {
	const r = await gateway.rpc('tools.execute', { name, arguments: args, session });
	const text = r.content.map((c) => c.text).join('\n');
	return r.isError ? { isError: true, text } : JSON.parse(text);
};
const history = async (session) => (await gateway.rpc('session.history', { session })).messages
	.map((m) => `${m.role}: ${m.content.map((c) => c.text ?? `<${c.type}>`).join('')}`);
const children = async () => (await gateway.rpc('session.list', {})).sessions.filter((s) => s.kind === 'subagent');
const idle = () => until('everything to be over', async () => (await gateway.rpc('agent.status', {})).runs.length === 0);
const isTask = (text) => /\[Task\] /.test(text);
const isResult = (text) => /\[Internal task completion event\]/.test(text);
const spawn = (args) => ({ tools: [['sessions_spawn', args]] });

// The usual play: "spawn: X" makes the parent start a sub-agent for X; it answers "did X".
const usual = (text, role) => {
	if (role === 'tool')
		return { text: `tool said ${text}` };
	if (isTask(text))
		return { text: `did ${/\[Task\] (.*)/.exec(text)[1]}` };
	if (isResult(text))
		return { text: `reported: ${/did .*/.exec(text)?.[0] ?? /status: .*/.exec(text)[0]}` };
	if (text.includes('spawn: '))
		return spawn({ task: /spawn: (.*)/.exec(text)[1], label: 'helper' });
	return { text: 'nothing' };
};

// ---- Starting and telling ----

test('a sub-agent works in a session of its own and its result comes back as a turn of the requester', async () => {
	await start();
	play = usual;
	const said = await wait('spawn: count the stars');
	match(said, /tool said .*"status":"accepted"/);
	const receipt = JSON.parse(said.slice('tool said '.length));
	match(receipt.childSessionKey, /^agent:main:subagent:[0-9a-f-]{36}$/);
	match(receipt.runId, /^[0-9a-f-]{36}$/);
	equal(receipt.mode, 'run');
	await until('the report', async () => (await history('main')).at(-1) === 'assistant: reported: did count the stars');
	const lines = await history('main');
	equal(lines.filter((l) => l.startsWith('user: ')).length, 2, lines.join('\n'));
	const event = lines.find((l) => isResult(l));
	match(event, /source: subagent/);
	match(event, new RegExp(`session_key: ${receipt.childSessionKey}`));
	match(event, /task: helper/);
	match(event, /status: completed/);
	match(event, /tokens 100 in \/ 10 out/);
	const [child] = await children();
	equal(child.key, receipt.childSessionKey);
	equal(child.title, 'helper');
	equal(child.settings, { spawnedBy: 'agent:main:main', spawnDepth: 1 });
	// What it used is the requester's, too.
	const parent = await until('the booking', async () => {
		const s = await gateway.rpc('session.get', { session: 'main' });
		return s.settings?.subagents ? s : null;
	});
	equal(parent.settings.subagents.runs, 1);
	equal(parent.settings.subagents.input, 100);
	equal(parent.settings.subagents.output, 10);
	ok(Math.abs(parent.settings.subagents.cost - 0.0002) < 1e-9, JSON.stringify(parent.settings));
});

test('the child gets fewer tools, the rules of a sub-agent and the model it was given', async () => {
	await start();
	play = (text, role) => (text.includes('go') && role === 'user' && !isTask(text) && !isResult(text)
		? spawn({ task: 'x', model: 'mock/other', thinking: 'low' }) : usual(text, role));
	requests.length = 0;
	await wait('go');
	await until('the report', async () => (await history('main')).some((l) => /reported: did x/.test(l)));
	const child = requests.find((r) => isTask(r.text)).request, parent = requests[0].request;
	const names = (r) => r.tools.map((t) => t.function.name);
	for (const name of ['sessions_spawn', 'sessions_list', 'sessions_history', 'sessions_send', 'subagents', 'session_status', 'agents_list'])
		ok(names(parent).includes(name) && !names(child).includes(name), name);
	ok(names(child).includes('read'));
	equal(child.model, 'other');
	match(child.messages[0].content, /# Subagent/);
	match(child.messages.at(-1).content, /depth 1 of 1/);
});

test('an unknown model, a foreign agent, a thread nobody makes and a mode without one are refused in words', async () => {
	await start({}, { agents: { list: [{ id: 'main', default: true }, { id: 'two' }, { id: 'three', subagents: { allowAgents: ['two'] } }] } });
	const refused = async (args, status, reason, session) => {
		const r = await tool('sessions_spawn', args, session);
		equal(r.status, status, JSON.stringify(r));
		match(r.error, reason);
	};
	await refused({ task: 'x', model: 'nobody/nothing' }, 'error', /nobody/);
	await refused({ task: 'x', agentId: 'two' }, 'forbidden', /may not start this agent \(allowed: none\)/);
	await refused({ task: 'x', agentId: 'main' }, 'forbidden', /allowed: two/, 'agent:three:main');
	await refused({ task: 'x', thread: true }, 'error', /needs a thread/);
	await refused({ task: 'x', mode: 'session' }, 'error', /thread=true/);
	await refused({ task: '  ' }, 'error', /1 to/);
	equal((await children()).filter((c) => c.state === 'active' && c.updatedAt > Date.now() - 3000 && c.messages === 0).length, 0);
	const agents = await tool('agents_list', {}, 'agent:three:main');
	equal(agents.agents.map((a) => a.id).sort(), ['three', 'two']);
	equal(agents.allowAny, false);
	play = usual;
	const r = await tool('sessions_spawn', { task: 'y', agentId: 'two' }, 'agent:three:main');
	equal(r.status, 'accepted', JSON.stringify(r));
	match(r.childSessionKey, /^agent:two:subagent:/);
	await until('the report', async () => (await history('agent:three:main')).some((l) => /reported: did y/.test(l)));
});

// ---- Limits ----

test('children of one session are limited, and a place that is free again can be used', async () => {
	await start({ maxChildrenPerAgent: 2 });
	play = (text, role) => (isTask(text) ? { wait: true, text: 'did it' } : usual(text, role));
	equal((await tool('sessions_spawn', { task: 'a' })).status, 'accepted');
	equal((await tool('sessions_spawn', { task: 'b' })).status, 'accepted');
	const third = await tool('sessions_spawn', { task: 'c' });
	equal(third.status, 'forbidden');
	match(third.error, /as many sub-agents at work as it may \(2 of 2\)/);
	await until('both to ask the model', () => held.length === 2);
	release();
	await until('both reports', async () => (await history('main')).filter((l) => /reported: did it/.test(l)).length >= 2);
	equal((await tool('sessions_spawn', { task: 'c' })).status, 'accepted');
	await until('the third to ask', () => held.length === 1);
	release();
	await idle();
});

test('depth is limited; with more of it, results climb one step at a time', async () => {
	await start({ maxSpawnDepth: 2 });
	play = (text, role, request) => {
		const system = request.messages[0].content;
		if (isTask(text) && text.includes('outer'))
			return spawn({ task: 'inner' });
		if (isTask(text))
			return spawn({ task: 'too deep' });
		if (role === 'tool' && system.includes('# Subagent'))
			return { text: text.includes('forbidden') || text.includes('no tool') || /may not be used|There is no/.test(text) ? `inner could not: ${text}` : 'outer waits' };
		if (role === 'tool')
			return { text: 'started' };
		if (isResult(text) && system.includes('# Subagent'))
			return { text: `passed on: ${/Result[^\n]*\n([^\n]*)/.exec(text)[1]}` };
		if (isResult(text))
			return { text: `heard: ${/Result[^\n]*\n([^\n]*)/.exec(text)[1]}` };
		return spawn({ task: 'outer' });
	};
	equal(await wait('begin', 'deep'), 'started');
	// inner tells outer, whose last word is told to the main session
	const last = await until('the last report', async () => (await history('deep')).find((l) => /^assistant: heard: /.test(l)));
	match(last, /heard: passed on: inner could not: .*sessions_spawn/);
	equal((await history('deep')).filter(isResult).length, 1);
	await idle();
});

test('a budget of tokens or of money ends a sub-agent, and what it started counts', async () => {
	await start({ maxTokens: 500 });
	play = (text, role) => {
		if (isResult(text))
			return { text: `told: ${/status: .*/.exec(text)[0]}; ${/Result[^\n]*\n([^\n]*)/.exec(text)[1]}` };
		return { tools: [['session_status', {}], ['read', { path: 'nothing' }]], input: 200 };
	};
	equal((await tool('sessions_spawn', { task: 'burn' })).status, 'accepted');
	const told = await until('the report', async () => (await history('main')).find((l) => l.startsWith('assistant: told: ')));
	match(told, /status: failed; .*budget of 500 tokens/);
	await start({ maxCostUsd: 0.001 });
	equal((await tool('sessions_spawn', { task: 'spend' }, 'second')).status, 'accepted');
	const second = await until('the report', async () => (await history('second')).find((l) => l.startsWith('assistant: told: ')));
	match(second, /status: failed; .*budget of 0.001 USD/);
});

test('a sub-agent that takes too long is ended and reported', async () => {
	await start();
	play = (text, role) => (isTask(text) ? { wait: true } : usual(text, role));
	equal((await tool('sessions_spawn', { task: 'long', runTimeoutSeconds: 1 }, 'slow')).status, 'accepted');
	const told = await until('the report', async () => (await history('slow')).find((l) => l.startsWith('assistant: reported: ')));
	match(told, /status: timed out/);
	release();
});

test('sub-agents have a concurrency of their own', async () => {
	await start({ maxConcurrent: 1, maxChildrenPerAgent: 10 });
	play = (text, role) => (isTask(text) ? { wait: true, text: 'did it' } : usual(text, role));
	for (const task of ['a', 'b', 'c'])
		equal((await tool('sessions_spawn', { task }, 'conc')).status, 'accepted');
	await until('one to ask', () => held.length === 1);
	equal(await wait('hello', 'other'), 'nothing'); // people are served meanwhile
	equal(held.length, 1);
	for (let i = 0; i < 3; i++) {
		await until('the next to ask', () => held.length === 1);
		release();
	}
	await until('all reports', async () => (await history('conc')).filter((l) => /reported: did it/.test(l)).length === 3);
});

// ---- Stopping ----

test('stopping a conversation stops what it started, without a report; so does /subagents stop', async () => {
	await start({ maxSpawnDepth: 2 });
	play = (text, role) => {
		if (isTask(text) && text.includes('outer'))
			return spawn({ task: 'inner' });
		if (isTask(text) || role === 'tool')
			return { wait: true };
		return usual(text, role);
	};
	equal((await tool('sessions_spawn', { task: 'outer', label: 'one' }, 'st')).status, 'accepted');
	await until('both to be at work', () => held.length === 2);
	equal((await children()).filter((c) => c.running).length, 2);
	match(await wait('/subagents list', 'st'), /^1\. running: one/);
	match(await wait('/subagents info 1', 'st'), /Task: outer/);
	match(await wait('/subagents log 1', 'st'), /\[Task\] outer/);
	const stopped = await gateway.rpc('session.cancel', { session: 'st' });
	ok(stopped);
	await until('both to be over', async () => (await children()).every((c) => !c.running));
	release();
	match(await wait('/subagents list', 'st'), /^1\. killed: one/);
	equal((await history('st')).filter(isResult).length, 0);

	equal((await tool('sessions_spawn', { task: 'outer', label: 'two' }, 'st')).status, 'accepted');
	await until('both to be at work', () => held.length === 2);
	match(await wait('/subagents stop all', 'st'), /Stopped: 1/);
	await until('both to be over', async () => (await children()).every((c) => !c.running));
	release();
	equal((await history('st')).filter(isResult).length, 0);
	const left = await tool('subagents', { action: 'list' }, 'st');
	equal(left.active, []);
	equal(left.recent.map((r) => r.status), ['killed', 'killed']);
	equal((await tool('subagents', { action: 'kill', target: 'two' }, 'st')).status, 'done');
	equal((await tool('subagents', { action: 'kill', target: 'none' }, 'st')).status, 'error');
});

test('cleanup delete removes the session after the report; deleting a conversation stops its sub-agents', async () => {
	await start();
	play = usual;
	const r = await tool('sessions_spawn', { task: 'brief', cleanup: 'delete' }, 'cl');
	equal(r.status, 'accepted');
	await until('the report', async () => (await history('cl')).some((l) => /reported: did brief/.test(l)));
	await until('the session to go', async () => !(await children()).some((c) => c.key === r.childSessionKey));
	play = (text, role) => (isTask(text) ? { wait: true } : usual(text, role));
	const s = await tool('sessions_spawn', { task: 'x' }, 'cl');
	await until('it to be at work', () => held.length === 1);
	await gateway.rpc('session.delete', { session: 'cl' });
	await until('it to be stopped', async () => !(await children()).find((c) => c.key === s.childSessionKey)?.running);
	release();
	await idle();
});

// ---- Nothing lost ----

test('kill -9 loses no sub-agent and no report, and tells none twice', async () => {
	await start({ maxChildrenPerAgent: 20, maxConcurrent: 20 });
	let round = 0;
	for (const at of ['child', 'announce', 'early']) {
		const session = `crash-${at}`;
		play = (text, role) => {
			if ((at === 'child' && isTask(text)) || (at === 'announce' && isResult(text)))
				return { wait: true, text: 'lost' };
			return usual(text, role);
		};
		const n = 4;
		for (let i = 0; i < n; i++)
			equal((await tool('sessions_spawn', { task: `job ${i}` }, session)).status, 'accepted');
		if (at !== 'early')
			await until('it to be at work', () => held.length >= (at === 'child' ? n : 1));
		await gateway.kill();
		release();
		play = usual;
		gateway = await new Gateway().start();
		await until('every job to be told', async () => {
			const told = (await history(session)).filter(isResult);
			return told.length >= n && (await gateway.rpc('agent.status', {})).runs.length === 0;
		}, 20000);
		const lines = await history(session);
		const told = lines.filter(isResult);
		equal(told.length, n, told.join('\n----\n'));
		equal(new Set(told.map((l) => /session_key: (\S+)/.exec(l)[1])).size, n);
		round++;
	}
	equal(round, 3);
	// And nothing is told again by a start that has nothing to take up.
	await gateway.stop();
	gateway = await new Gateway().start();
	await sleep(200);
	equal((await history('crash-child')).filter(isResult).length, 4);
});

test('a gateway that is stopped while sub-agents work goes on with them', async () => {
	await start();
	play = (text, role) => (isTask(text) ? { wait: true } : usual(text, role));
	equal((await tool('sessions_spawn', { task: 'patient' }, 'drain')).status, 'accepted');
	await until('it to be at work', () => held.length === 1);
	const stopping = gateway.stop();
	await sleep(100);
	await gateway.kill(); // it would wait for the turn; the machine does not
	await stopping;
	release();
	play = usual;
	gateway = await new Gateway().start();
	await until('the report', async () => (await history('drain')).some((l) => /reported: did patient/.test(l)), 20000);
	equal((await history('drain')).filter(isResult).length, 1);
});

test('a turn that is cut short after it started a sub-agent goes on with that one, and starts no second', async () => {
	fs.mkdirSync(path.join(state, 'workspace'), { recursive: true });
	fs.writeFileSync(path.join(state, 'workspace/MEMORY.md'), 'Something to remember.\n');
	await start({}, { memory: true });
	play = (text, role) => {
		if (role === 'tool')
			return { text: 'both are done' };
		if (text === 'two things')
			return { tools: [['sessions_spawn', { task: 'once' }], ['memory_search', { query: 'something' }]] };
		return usual(text, role);
	};
	await gateway.rpc('session.message', { session: 'twice', text: 'two things', wait: false });
	await until('the second tool to be at work', () => embeddings > 0);
	await until('the child', async () => (await children()).length > 0);
	const before = (await children()).map((c) => c.key);
	await gateway.kill();
	writeConfig(config()); // no vectors: the search ends
	gateway = await new Gateway().start();
	await until('the answer', async () => (await history('twice')).includes('assistant: both are done'), 20000);
	await until('the report', async () => (await history('twice')).some((l) => /reported: did once/.test(l)), 20000);
	await idle();
	const spawned = (await history('twice')).find((l) => l.startsWith('tool: ') && /childSessionKey/.test(l));
	equal(JSON.parse(spawned.slice(6)).childSessionKey, before.find((k) => spawned.includes(k)));
	equal((await children()).filter((c) => c.settings?.spawnedBy === 'agent:main:twice').length, 1);
	equal((await history('twice')).filter(isResult).length, 1);
});

// ---- Waiting, and what a sub-agent knows ----

test('sessions_yield ends the turn at once, and the result is the next message', async () => {
	await start();
	requests.length = 0;
	play = (text, role) => (text === 'work and wait' ? { text: 'I will tell you.', tools: [['sessions_spawn', { task: 'slow' }], ['sessions_yield', { message: 'waiting' }]] } : usual(text, role));
	const r = await gateway.rpc('session.message', { session: 'yield', text: 'work and wait', wait: true });
	equal(r.stopReason, 'yield', JSON.stringify(r));
	equal(r.text, 'I will tell you.');
	await until('the report', async () => (await history('yield')).at(-1) === 'assistant: reported: did slow');
	ok(!requests.some((q) => q.role === 'tool'), 'the model was not asked about the results');
	const after = requests.find((q) => isResult(q.text)).request.messages.map((m) => m.role);
	equal(after.slice(-5), ['user', 'assistant', 'tool', 'tool', 'user']);
	equal((await tool('sessions_yield', {}, 'yield')).isError, true);
	// One that only wants its turn to end says nothing to anybody.
	play = (text, role) => (text === 'just stop' ? { tools: [['sessions_yield', {}]] } : usual(text, role));
	equal(await wait('just stop', 'yield'), '');
	equal(await wait('anything', 'yield'), 'nothing');
});

test('context:"fork" hands the conversation on, and nothing else does', async () => {
	await start({ allowAgents: ['*'] }, { agents: { list: [{ id: 'main', default: true }, { id: 'two' }] } });
	let task = 'forked';
	play = (text, role) => (text === 'now fork' ? spawn({ task, context: 'fork' }) : text === 'now alone' ? spawn({ task: 'alone', context: 'isolated' })
		: text === 'the colour is blue' ? { text: 'noted: blue' } : usual(text, role));
	await wait('the colour is blue', 'fork');
	requests.length = 0;
	match(await wait('now fork', 'fork'), /accepted/);
	await until('the report', async () => (await history('fork')).some((l) => /reported: did forked/.test(l)));
	const forked = requests.find((q) => isTask(q.text)).request.messages;
	equal(forked.map((m) => m.role), ['system', 'user', 'assistant', 'user', 'user'].slice(0, forked.length));
	match(JSON.stringify(forked), /the colour is blue.*noted: blue.*now fork.*\[Task\] forked/s);
	match(await wait('now alone', 'fork'), /accepted/);
	await until('the report', async () => (await history('fork')).some((l) => /reported: did alone/.test(l)));
	ok(!/colour/.test(JSON.stringify(requests.find((q) => /\[Task\] alone/.test(q.text)).request.messages)));
	const other = await tool('sessions_spawn', { task: 'x', agentId: 'two', context: 'fork' }, 'fork');
	equal(other.status, 'forbidden', JSON.stringify(other));
	equal((await tool('sessions_spawn', { task: 'x', runtime: 'acp' }, 'fork')).status, 'error');
	equal((await tool('sessions_spawn', { task: 'x', attachments: [{ name: 'a', content: 'b' }] }, 'fork')).status, 'forbidden');
	// A stop between the record and the run hands nothing on twice.
	play = (text, role) => (isTask(text) ? { wait: true } : text === 'now fork' ? spawn({ task, context: 'fork' }) : usual(text, role));
	task = 'patient fork';
	await wait('now fork', 'fork');
	await until('it to be at work', () => held.length === 1);
	await gateway.kill();
	release();
	requests.length = 0;
	play = usual;
	gateway = await new Gateway().start();
	await until('the report', async () => (await history('fork')).some((l) => /reported: did patient fork/.test(l)), 20000);
	const again = requests.find((q) => /Task\] patient fork/.test(q.text)).request.messages;
	equal(JSON.stringify(again).match(/the colour is blue/g).length, 1);
});

// ---- Other sessions ----

test('sessions_list, sessions_history and sessions_send reach what tools.sessions.visibility says', async () => {
	await start({}, { agents: { list: [{ id: 'main', default: true }, { id: 'two' }] }, session: { agentToAgent: { maxPingPongTurns: 0 } } });
	play = usual;
	await wait('hello', 'work');
	await wait('spawn: a thing', 'boss');
	await until('the report', async () => (await history('boss')).some((l) => /reported: did a thing/.test(l)));
	const child = await until('the child in the list', async () => (await children()).find((c) => c.settings?.spawnedBy === 'agent:main:boss'));
	// tree, the default: itself and what it started
	const list = await tool('sessions_list', {}, 'boss');
	equal(list.sessions.map((s) => s.key).sort(), ['agent:main:boss', child.key].sort());
	equal(list.count, 2);
	const forbidden = await tool('sessions_history', { sessionKey: 'work' }, 'boss');
	equal(forbidden.status, 'forbidden');
	match(forbidden.error, /visibility is tree/);
	const seen = await tool('sessions_history', { sessionKey: child.key }, 'boss');
	equal(seen.messages.map((m) => m.role), ['user', 'assistant']);
	equal(seen.messages[1].text, 'did a thing');
	equal((await tool('sessions_send', { sessionKey: 'work', message: 'hi' }, 'boss')).status, 'forbidden');

	const more = (visibility, agentToAgent) => start({}, { agents: { list: [{ id: 'main', default: true }, { id: 'two' }] },
		tools: { sessions: { visibility }, ...(agentToAgent ? { agentToAgent } : {}) }, session: { agentToAgent: { maxPingPongTurns: 0 } } });
	await more('self');
	equal((await tool('sessions_list', {}, 'boss')).sessions.map((s) => s.key), ['agent:main:boss']);
	equal((await tool('sessions_history', { sessionKey: child.key }, 'boss')).status, 'forbidden');
	await more('agent');
	play = (text, role) => (text === 'hi there' ? { text: 'hi back' } : usual(text, role));
	ok((await tool('sessions_list', { messageLimit: 2 }, 'boss')).sessions.some((s) => s.key === 'agent:main:work' && s.messages.length === 2));
	const sent = await tool('sessions_send', { sessionKey: 'work', message: 'hi there' }, 'boss');
	equal(sent.status, 'ok', JSON.stringify(sent));
	equal(sent.reply, 'hi back');
	equal((await tool('sessions_send', { sessionKey: 'agent:two:main', message: 'hi' }, 'boss')).status, 'forbidden');
	equal((await tool('sessions_send', { sessionKey: 'boss', message: 'hi' }, 'boss')).status, 'error');
	equal((await tool('sessions_send', { label: 'helper', message: 'hi there' }, 'boss')).reply, 'hi back');
	const later = await tool('sessions_send', { sessionKey: 'work', message: 'no hurry', timeoutSeconds: 0 }, 'boss');
	equal(later.status, 'accepted');
	await more('all');
	await wait('hello', 'agent:two:main');
	match((await tool('sessions_history', { sessionKey: 'agent:two:main' }, 'boss')).error, /agentToAgent/);
	await more('all', { enabled: true, allow: ['main', 'tw*'] });
	equal((await tool('sessions_history', { sessionKey: 'agent:two:main' }, 'boss')).messages.length, 2);
	equal((await tool('sessions_send', { sessionKey: 'agent:two:main', message: 'hi there' }, 'boss')).reply, 'hi back');
	await idle();
});

test('sessions_send waits no longer than told, and the two go on for as many turns as allowed', async () => {
	await start({}, { tools: { sessions: { visibility: 'all' } }, session: { agentToAgent: { maxPingPongTurns: 3 } } });
	await wait('x', 'alice');
	await wait('x', 'bob');
	play = (text, role) => (text === 'wait for me' ? { wait: true, text: 'late' } : usual(text, role));
	const late = await tool('sessions_send', { sessionKey: 'bob', message: 'wait for me', timeoutSeconds: 1 }, 'alice');
	equal(late.status, 'timeout');
	release();
	await idle();
	let n = 0;
	requests.length = 0;
	play = (text, role, request) => (request.messages[0].content.includes('another conversation') ? { text: `word ${++n}` } : usual(text, role));
	equal((await tool('sessions_send', { sessionKey: 'bob', message: 'talk' }, 'alice')).reply, 'word 1');
	await until('three more turns', () => n === 4);
	await idle();
	equal(n, 4);
	equal((await history('alice')).slice(-4), ['user: word 1', 'assistant: word 2', 'user: word 3', 'assistant: word 4']);
	n = 0;
	play = (text, role, request) => (request.messages[0].content.includes('another conversation')
		? { text: ++n === 1 ? 'word' : 'REPLY_SKIP' } : usual(text, role));
	equal((await tool('sessions_send', { sessionKey: 'bob', message: 'talk' }, 'alice')).reply, 'word');
	await until('the end', () => n === 2);
	await idle();
	equal(n, 2);
});

test('session_status shows the conversation and changes its model', async () => {
	await start();
	play = usual;
	await wait('hello', 'card');
	const card = await tool('session_status', {}, 'card');
	match(card.statusText, /Model: mock\/m\nTokens: 100 in \/ 10 out/);
	equal((await tool('session_status', { model: 'mock/other' }, 'card')).changedModel, true);
	requests.length = 0;
	await wait('hello', 'card');
	equal(requests[0].request.model, 'other');
	const back = await tool('session_status', { model: 'default' }, 'card');
	equal(back.ok, true, JSON.stringify(back));
	equal((await tool('session_status', { model: 'nobody/none' }, 'card')).isError, true);
	await gateway.stop();
	ok(!/Sanitizer|runtime error/.test(gateway.log), gateway.log);
});

await done();
