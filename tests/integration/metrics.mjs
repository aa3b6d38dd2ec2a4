import { spawnSync } from 'node:child_process';
import fs from 'node:fs';
import http from 'node:http';
import path from 'node:path';
import { Gateway, cleanup, cli, done, equal, match, ok, openSocket, spawnCli, state, test, until, writeConfig } from './lib.mjs';

writeConfig({ gateway: { mode: 'local' }, logging: { level: 'debug' }, agents: { defaults: { model: { primary: 'offline/echo' }, skipBootstrap: true } } });
let gw = await new Gateway().start();
const scrape = async () => (await gw.fetch('/metrics')).text();
const say = (text, session) => gw.rpc('session.message', { session, text, wait: true });

// The exposition format, version 0.0.4, strictly: {name: {type, help, samples: Map('name{labels}' -> value)}}.
function parse(text) {
	ok(text.endsWith('\n'), 'the last line ends with a line feed');
	const families = new Map();
	let now = null;
	const seen = new Set();
	for (const line of text.slice(0, -1).split('\n')) {
		const meta = /^# (HELP|TYPE) ([a-zA-Z_:][a-zA-Z0-9_:]*) (.*)$/.exec(line);
		if (meta) {
			const [, what, name, rest] = meta;
			if (what === 'HELP') {
				ok(!families.has(name), `${name}: a family comes in one piece`);
				now = { name, help: rest, samples: new Map() };
				families.set(name, now);
			} else {
				equal(now?.name, name, `${name}: TYPE follows HELP`);
				equal(now.type, undefined);
				ok(['counter', 'gauge', 'histogram'].includes(rest), line);
				equal(now.samples.size, 0, `${name}: TYPE comes before the samples`);
				now.type = rest;
			}
			continue;
		}
		const m = /^([a-zA-Z_:][a-zA-Z0-9_:]*)(?:\{((?:[a-zA-Z_][a-zA-Z0-9_]*="(?:[^"\\\n]|\\[\\"n])*",?)*)\})? (\S+)$/.exec(line);
		ok(m, `a sample: ${line}`);
		const [, name, labels = '', value] = m;
		const base = now.type === 'histogram' ? name.replace(/_(bucket|sum|count)$/, '') : name;
		equal(base, now.name, `${name} is among its family`);
		ok(!labels.endsWith(','), line);
		const names = [...labels.matchAll(/([a-zA-Z_][a-zA-Z0-9_]*)="/g)].map((l) => l[1]);
		equal(new Set(names).size, names.length, line);
		const id = `${name}{${labels}}`;
		ok(!seen.has(id), `twice: ${id}`);
		seen.add(id);
		ok(value === '+Inf' || value === 'NaN' || Number.isFinite(Number(value)), line);
		if (now.type === 'counter' || now.type === 'histogram')
			ok(Number(value) >= 0, line);
		if (now.type === 'counter')
			match(name, /_total$/);
		else
			ok(!/_total$/.test(name), name);
		now.samples.set(id, Number(value));
	}
	for (const f of families.values()) {
		ok(f.type, `${f.name} has a type`);
		ok(f.samples.size > 0 || /^openclaw_module_/.test(f.name), `${f.name} has samples`);
		ok(!/milli|micro|_ms\b|_us\b/.test(f.name), `${f.name}: base units`);
		if (f.type === 'histogram')
			check(f);
	}
	return families;
}

function check(f) {
	const series = new Map();
	for (const [id, value] of f.samples) {
		const [, name, labels] = /^(\w+)\{(.*)\}$/.exec(id);
		const le = /(?:^|,)le="([^"]*)"/.exec(labels)?.[1];
		const rest = labels.replace(/(?:^|,)le="[^"]*"/, '');
		const s = series.get(rest) ?? series.set(rest, { buckets: [] }).get(rest);
		if (name.endsWith('_bucket'))
			s.buckets.push([le === '+Inf' ? Infinity : Number(le), value]);
		else
			s[name.slice(f.name.length + 1)] = value;
	}
	for (const [labels, s] of series) {
		const what = `${f.name}{${labels}}`;
		for (let i = 1; i < s.buckets.length; i++)
			ok(s.buckets[i][0] > s.buckets[i - 1][0] && s.buckets[i][1] >= s.buckets[i - 1][1], `${what}: ascending and cumulative`);
		equal(s.buckets.at(-1)[0], Infinity, what);
		equal(s.buckets.at(-1)[1], s.count, what);
		ok(s.sum !== undefined && (s.count > 0 || s.sum === 0), what);
	}
}
const value = (families, id) => families.get(/^\w+/.exec(id)[0].replace(/_(bucket|sum|count)$/, (x) => (families.has(/^\w+/.exec(id)[0]) ? x : '')))?.samples.get(id.includes('{') ? id : `${id}{}`);

let before;
test('/metrics follows the text format to the letter', async () => {
	await say('/tool read {"path":"AGENTS.md"}', 'one');
	await say('/error invalid', 'two').catch(() => 0);
	before = parse(await scrape());
	const type = (await gw.fetch('/metrics')).headers.get('content-type');
	equal(type, 'text/plain; version=0.0.4; charset=utf-8');
	equal((await fetch(`${gw.url}/metrics`)).status, 401);
});

test('promtool finds nothing to complain about', async () => {
	const r = spawnSync('promtool', ['check', 'metrics'], { input: await scrape(), encoding: 'utf8' });
	if (r.error?.code === 'ENOENT')
		return console.log('# promtool is not installed; the parser above judged alone');
	equal(r.status, 0, r.stdout + r.stderr);
	equal(r.stderr + r.stdout, '');
});

test('the figures count what happened', async () => {
	const at = (id) => value(before, id);
	equal(at('openclaw_turns_total{result="ok"}'), 1);
	equal(at('openclaw_turns_total{result="failed"}'), 1);
	equal(at('openclaw_turn_duration_seconds_count{result="ok"}'), 1);
	equal(at('openclaw_turn_duration_seconds_count{result="other"}'), 1);
	equal(at('openclaw_turn_wait_seconds_count'), 2);
	equal(at('openclaw_tool_calls_total'), 1);
	equal(at('openclaw_tool_duration_seconds_count'), 1);
	ok(at('openclaw_model_duration_seconds_count') >= 2);
	ok(at('openclaw_model_first_token_seconds_count') >= 2);
	ok(at('openclaw_tokens_total{kind="input"}') > 0);
	ok(at('openclaw_store_commits_total') > 0);
	equal(at('openclaw_store_commit_seconds_count'), at('openclaw_store_commits_total'));
	ok(at('openclaw_http_request_duration_seconds_count') >= 1);
	ok(at('openclaw_loop_busy_seconds_count') > 0);
	equal(at('openclaw_sessions'), 2);
	ok(at('process_resident_memory_bytes') > 1e6);
	ok(at('process_open_fds') > 3);
	ok(at('process_cpu_seconds_total') > 0);
	ok(Math.abs(at('process_start_time_seconds') - Date.now() / 1000) < 600);
	for (const owner of ['modules', 'turns', 'store'])
		ok(at(`openclaw_memory_bytes{owner="${owner}"}`) >= 0, owner);
	equal(at('openclaw_module_up{module="core",from="core",state="started"}'), 1);
});

test('the manual has every bounded queue with its bound, and nothing else', async () => {
	const from = process.env.OC_STATIC_MODULES ? 'static' : 'bundled';
	const table = [...fs.readFileSync(path.join(process.env.OC_TOP_SRCDIR, 'contrib/man/openclaw.1'), 'utf8').matchAll(/^\.It Li (\w+) No (?:of (\w+) )?\( ([\d,]+) \)$/gm)]
		.map(([, queue, module, bound]) => [module ? `module="${module}",from="${from}",queue="${queue}"` : `queue="${queue}"`, Number(bound.replaceAll(',', '')), module]);
	for (const [family, own] of [['openclaw_queue_', false], ['openclaw_module_queue_', true]])
		for (const what of ['depth', 'capacity', ...(own ? [] : ['depth_all', 'refused_total'])]) {
			const rows = table.filter((row) => Boolean(row[2]) === own);
			equal([...before.get(family + what).samples.keys()].sort(), rows.map(([labels]) => `${family}${what}{${labels}}`).sort());
			for (const [labels, bound] of rows) {
				const at = (which) => value(before, `${family}${which}{${labels}}`);
				// The limit of open files may leave less.
				ok(labels === 'queue="http_connections"' ? at('capacity') <= bound : at('capacity') === bound, `${labels}: ${at('capacity')} ${bound}`);
				ok(at('depth') <= at('capacity') && (own || at('depth_all') >= at('depth')), labels);
			}
		}
	ok(value(before, 'openclaw_queue_depth{queue="http_connections"}') >= 1);
});

test('what a full queue refuses is counted, and what is in it is seen', async () => {
	const answers = [];
	const socket = await openSocket(gw.port, (m) => m.id && answers.push(m), { authorization: `Bearer ${gw.token}` });
	for (let id = 1; id <= 65; id++)
		socket.send(JSON.stringify({ jsonrpc: '2.0', id, method: 'events.subscribe', params: {} }));
	await until('the answers', () => answers.length === 65);
	match(answers.find((m) => m.error).error.message, /too many subscriptions/);
	const at = async (what, queue) => value(parse(await scrape()), `openclaw_queue_${what}{queue="${queue}"}`);
	equal([await at('depth', 'event_subscriptions'), await at('depth_all', 'event_subscriptions'), await at('refused_total', 'event_subscriptions')], [64, 64, 1]);
	// Each event goes to it 64 times: more than may wait for one that does not read as fast as it is written.
	await say(`/echo ${'much '.repeat(60000)}`, 'one');
	await until('its end', async () => (await at('depth', 'event_subscriptions')) === 0);
	ok((await at('refused_total', 'websocket_send_bytes')) >= 1);
	socket.close();
});

test('the number of series does not grow with what people do', async () => {
	const series = (families) => [...families.values()].reduce((n, f) => n + f.samples.size, 0);
	for (let i = 0; i < 30; i++)
		await say(`/echo ${i}`, `person-${i}`);
	const after = parse(await scrape());
	equal(series(after), series(before));
	equal(value(after, 'openclaw_turns_total{result="ok"}'), 32);
});

// ---- Traces ----

const ID = '4bf92f3577b34da6a3ce929d0e0e4736';
const rpc = async (headers, params) => (await (await gw.fetch('/rpc', { method: 'POST', headers,
	body: JSON.stringify({ jsonrpc: '2.0', id: 1, method: 'session.message', params: { wait: true, ...params } }) })).json()).result;
const logged = (trace, ...more) => cli(['logs', '--trace', trace, ...more]).out.trim().split('\n').filter(Boolean);

test('a trace comes from the request, or is made; wrong ones are not taken', async () => {
	const given = await rpc({ traceparent: `00-${ID}-00f067aa0ba902b7-01` }, { session: 'tr', text: '/echo a' });
	equal(given.trace, ID);
	const param = await rpc({}, { session: 'tr', text: '/echo a', traceparent: `00-${ID}-00f067aa0ba902b7-00` });
	equal(param.trace, ID);
	for (const wrong of ['', 'x', `00-${ID}`, `00-${ID.toUpperCase()}-00f067aa0ba902b7-01`, `00-${'0'.repeat(32)}-00f067aa0ba902b7-01`,
		`ff-${ID}-00f067aa0ba902b7-01`, `00-${ID}-${'0'.repeat(16)}-01`, `00-${ID}-00f067aa0ba902b7-01-more`]) {
		const made = await rpc(wrong ? { traceparent: wrong } : {}, { session: 'tr', text: '/echo a' });
		match(made.trace, /^[0-9a-f]{32}$/);
		ok(made.trace !== ID && made.trace !== '0'.repeat(32), wrong);
	}
	equal((await rpc({ traceparent: `01-${ID}-00f067aa0ba902b7-01-later` }, { session: 'tr', text: '/echo a' })).trace, ID);
});

test('openclaw logs --trace shows what belongs together, sub-agents too', async () => {
	const id = ID.replace('4bf9', 'aaaa');
	await rpc({ traceparent: `00-${id}-00f067aa0ba902b7-01` }, { session: 'tr2', text: '/tool sessions_spawn {"task":"\\n/echo from below"}' });
	const lines = await until('the report of the sub-agent', () => {
		const found = logged(id);
		return found.filter((l) => /turn: .*answered in/.test(l)).length === 3 ? found : null;
	});
	const text = lines.join('\n');
	match(text, /turn: agent:main:tr2: a message of rpc is taken/);
	match(text, /tool: sessions_spawn: done/);
	match(text, /model: offline\/echo: answered/);
	match(text, /turn: agent:main:subagent:[0-9a-f-]+: answered/);
	ok(logged(id.slice(0, 12)).length >= lines.length);
	equal(logged('123456789abc'), []);
	for (const line of logged(id, '--json'))
		equal(JSON.parse(line).trace, id);
	equal(cli(['logs', '--trace', 'zz']).code, 2);
	// A failure says its reference where people read it, and the log says the same.
	const failed = await gw.rpcRaw('session.message', { session: 'tr3', text: '/error invalid', wait: true, traceparent: `00-${id.replace('aaaa', 'bbbb')}-00f067aa0ba902b7-01` });
	match(failed.error.data.remedy, new RegExp(`\\(reference: ${id.replace('aaaa', 'bbbb').slice(0, 12)}\\)`));
	match(logged(id.replace('aaaa', 'bbbb')).join('\n'), /warn +turn: agent:main:tr3: no answer/);
});

// ---- What is slow ----

const deep = async () => JSON.parse((await spawnCli(['status', '--deep', '--json'])).out).deep;

test('status --deep measures every stage, and blames the model when it is the model', async () => {
	await gw.stop();
	gw = await new Gateway().start();
	const before = await deep();
	if (!before.slow)
		match(before.bottleneck, /no turn has run/);
	for (let i = 0; i < 3; i++)
		await say('/slow 8 30ms', 'slow');
	const d = await deep();
	ok(d.findings.every((f) => ['store', 'loop', 'module'].includes(f.part)), JSON.stringify(d.findings)); // other tests' doing
	if (!d.slow) {
		match(d.bottleneck, /\d\d %/);
		match(d.bottleneck, /waiting for the model, most of it offline\/echo/);
	}
	equal(d.slowest[0].kind, 'model');
	equal(d.slowest[0].count, 3);
	equal(d.probes.providers.map((p) => [p.provider, p.ok]), [['offline', true]]);
	const stage = Object.fromEntries(d.stages.map((s) => [s.name, s]));
	equal(stage.turn.count, 3);
	ok(stage.turn.p50Ms >= 180 && stage.turn.p95Ms >= stage.turn.p50Ms && stage.turn.maxMs >= stage.turn.p50Ms, JSON.stringify(stage.turn));
	equal(stage.model.count, 3);
	ok(stage.commit.count > 0 && stage.commit.p50Ms > 0);
	ok(d.queues.every((q) => q.depth <= q.capacity));
	ok(d.modules.some((m) => m.name === 'offline'));
	const text = (await spawnCli(['status', '--deep'])).out;
	match(text, /^stage +count +p50 +p95/m);
	match(text, d.slow ? /^slow +/m : /^verdict +Nothing of the gateway is slow: .*waiting for the model/m);
});

test('status --deep names the tool that takes the time', async () => {
	for (let i = 0; i < 2; i++)
		await say('/tool exec {"command":"sleep 2"}', `tool-${i}`);
	const d = await deep();
	// What is slow goes first, and a machine full of other tests makes the disk or the loop slow.
	if (d.slow)
		ok(d.findings.every((f) => ['store', 'loop', 'module'].includes(f.part)), JSON.stringify(d.findings));
	else
		match(d.bottleneck, /tools, most of it exec|: [5-9]\d % .* the gateway's own work/, `${d.bottleneck} ${JSON.stringify(d.slowest)}`);
	const exec = d.slowest.find((s) => s.kind === 'tool' && s.name === 'exec');
	ok(exec.count === 2 && exec.totalMs >= 4000 && exec.maxMs >= 2000, JSON.stringify(exec));
	match((await spawnCli(['status', '--deep'])).out, /tool exec: 2 times, \d+\.\d s in all/);
});

test('status --deep names the handler of a hook that everybody waits for', async () => {
	await gw.stop();
	const folder = path.join(state, 'extensions/dawdler');
	fs.mkdirSync(folder, { recursive: true, mode: 0o700 });
	fs.writeFileSync(path.join(folder, 'openclaw.plugin.json'), JSON.stringify({ id: 'dawdler', configSchema: { type: 'object' } }));
	fs.writeFileSync(path.join(folder, 'index.js'), `module.exports = (api) => { api.on('before_prompt_build', () => new Promise((go) => setTimeout(go, 900))); };`);
	gw = await new Gateway().start();
	await until('the plugin', async () => (await gw.rpc('plugins.list', {})).plugins.some((p) => p.id === 'dawdler' && p.status === 'loaded'));
	await say('/echo well', 'dawdled');
	const d = await deep();
	equal(d.slow, true);
	const found = d.findings.find((f) => f.part === 'hook');
	match(found?.message, /the hook handler before_prompt_build of plugin dawdler takes \d+ ms/, JSON.stringify(d.findings));
	match((await spawnCli(['status', '--deep'])).out, /hook handler before_prompt_build of plugin dawdler/);
	fs.rmSync(folder, { recursive: true });
});

test('status --deep names a provider that does not answer', async () => {
	await gw.stop();
	writeConfig({ gateway: { mode: 'local' }, models: { providers: { dead: { baseUrl: 'http://127.0.0.1:9/v1', apiKey: 'k', api: 'openai-completions', models: [{ id: 'm' }] } } },
		agents: { defaults: { model: { primary: 'dead/m', fallbacks: ['offline/echo'] }, skipBootstrap: true } } });
	gw = await new Gateway().start();
	const d = await deep();
	equal(d.slow, true);
	match(d.bottleneck, /provider dead does not answer/);
	equal(d.probes.providers.map((p) => [p.provider, p.ok]).sort(), [['dead', false], ['offline', true]]);
	match((await spawnCli(['status', '--deep'])).out, /^slow +provider dead does not answer/m);
});

test('a provider is told the trace only when the configuration says so', async () => {
	const seen = [];
	const server = http.createServer((req, res) => {
		seen.push(req.headers.traceparent);
		req.resume();
		res.writeHead(200, { 'content-type': 'text/event-stream' });
		res.end('data: {"id":"x","object":"chat.completion.chunk","model":"m","choices":[{"index":0,"delta":{"content":"hi"},"finish_reason":"stop"}]}\n\ndata: [DONE]\n\n');
	});
	await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve));
	cleanup(() => server.closeAllConnections());
	for (const tell of [false, true]) {
		await gw.stop();
		writeConfig({ gateway: { mode: 'local' }, diagnostics: { traceProviders: tell },
			models: { providers: { mock: { baseUrl: `http://127.0.0.1:${server.address().port}/v1`, apiKey: 'k', api: 'openai-completions', headers: { 'x-own': '1' }, models: [{ id: 'm' }] } } },
			agents: { defaults: { model: { primary: 'mock/m' }, skipBootstrap: true } } });
		gw = await new Gateway().start();
		seen.length = 0;
		const r = await rpc({ traceparent: `00-${ID}-00f067aa0ba902b7-01` }, { session: 'told', text: 'hello' });
		equal(r.text, 'hi');
		equal(seen.length, 1);
		if (tell)
			match(seen[0], new RegExp(`^00-${ID}-[0-9a-f]{16}-01$`));
		else
			equal(seen[0], undefined);
	}
});

test('it stops', async () => {
	equal(await gw.stop(), { code: 0, signal: null });
	ok(!/Sanitizer|runtime error/.test(gw.log), gw.log);
});

await done();
