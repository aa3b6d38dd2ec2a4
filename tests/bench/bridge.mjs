// The bridge: its calls beside bare libnng, its processes beside an empty Node, and the gateway with and without plugins.
//   usage: node bridge.mjs BUILDDIR [link|process|lazy|hostile]...      (PLUGINS=20)
import { execFileSync, spawn, spawnSync } from 'node:child_process';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';

const build = path.resolve(process.argv[2] ?? '.'), wanted = process.argv.slice(3);
const src = path.resolve(path.dirname(new URL(import.meta.url).pathname), '../..');
const bin = path.join(build, 'openclaw'), many = Number(process.env.PLUGINS ?? 20);
const top = fs.mkdtempSync(path.join(os.tmpdir(), 'ocb.'));
process.on('exit', () => fs.rmSync(top, { recursive: true, force: true }));
const sleep = (ms) => new Promise((resolve) => setTimeout(resolve, ms));
const row = (name, ...values) => console.log(name.padEnd(52), ...values);
const quantile = (list, q) => list.sort((a, b) => a - b)[Math.min(list.length - 1, Math.floor(list.length * q))];
const pss = (pid) => Number(/^Pss:\s+(\d+)/m.exec(fs.readFileSync(`/proc/${pid}/smaps_rollup`, 'utf8'))[1]);
// With everything below it: around a plugin's Node is the sandbox.
const children = (pid) => fs.readFileSync(`/proc/${pid}/task/${pid}/children`, 'utf8').trim().split(' ').filter(Boolean).map(Number);
const treePss = (pid) => pss(pid) + children(pid).reduce((sum, child) => sum + treePss(child), 0);
const mib = (kib) => `${(kib / 1024).toFixed(1)} MiB`;

// ---- Plugins and gateways ----

const TOOL = (name) => `api.registerTool({ name: '${name}', description: 'Says it again.',
	parameters: { type: 'object', properties: { text: { type: 'string' } } },
	execute: async (_id: string, params: { text: string }) => ({ content: [{ type: 'text', text: params.text }] }) });`;
const BENCH = `api.on('message_sending', (event: { content: string }) => { if (event.content === '') return { cancel: true }; }); ${TOOL('bench_echo')}`;

function makeState(name, plugins, config = {}) {
	const state = path.join(top, name);
	fs.mkdirSync(path.join(state, 'extensions'), { recursive: true, mode: 0o700 });
	for (const [id, body] of Object.entries(plugins)) {
		const folder = path.join(state, 'extensions', id);
		fs.mkdirSync(folder);
		fs.writeFileSync(path.join(folder, 'openclaw.plugin.json'), JSON.stringify({ id, configSchema: { type: 'object' } }));
		fs.writeFileSync(path.join(folder, 'index.ts'), `import { jsonResult } from 'openclaw/plugin-sdk';
			export default function register(api: any) { void jsonResult; ${body} }`);
	}
	fs.writeFileSync(path.join(state, 'openclaw.json'), JSON.stringify({ gateway: { mode: 'local' },
		agents: { defaults: { skipBootstrap: true, model: { primary: 'offline/echo' } } }, ...config }), { mode: 0o600 });
	return state;
}

const env = (state) => {
	const out = { ...process.env, OPENCLAW_STATE_DIR: state, HOME: state, OC_TOP_SRCDIR: src, NO_COLOR: '1' };
	for (const name of Object.keys(out))
		if (/_API_KEY$|^OPENCLAW_(?!STATE_DIR)/.test(name))
			delete out[name];
	return out;
};

class Gateway {
	async start(state) {
		this.child = spawn(bin, ['gateway', 'run', '--any-port'], { env: env(state), stdio: ['ignore', 'pipe', 'pipe'] });
		this.log = '';
		for (const stream of [this.child.stdout, this.child.stderr])
			stream.setEncoding('utf8').on('data', (text) => (this.log += text));
		while (!/ready in/.test(this.log)) {
			if (this.child.exitCode !== null)
				throw new Error(this.log);
			await sleep(2);
		}
		this.port = Number(/ready in .*:(\d+)/.exec(this.log)[1]);
		this.token = fs.readFileSync(path.join(state, 'credentials/gateway-token'), 'utf8').trim();
		return this;
	}

	async rpc(method, params = {}) {
		const answer = await (await fetch(`http://127.0.0.1:${this.port}/rpc`, { method: 'POST',
			headers: { authorization: `Bearer ${this.token}`, 'content-type': 'application/json' },
			body: JSON.stringify({ jsonrpc: '2.0', id: 1, method, params }) })).json();
		if (answer.error)
			throw new Error(`${method}: ${answer.error.message}`);
		return answer.result;
	}

	async plugins() {
		return (await this.rpc('plugins.list')).plugins;
	}

	// Until each plugin is known; returns those that run.
	async known() {
		for (;;) {
			const all = await this.plugins();
			if (all.every((one) => one.status === 'loaded' && one.process !== 'starting'))
				return all.filter((one) => one.process === 'running');
			await sleep(20);
		}
	}

	stop() {
		const over = new Promise((resolve) => this.child.on('exit', resolve));
		this.child.kill('SIGTERM');
		return over;
	}
}

const times = (n, make) => Object.fromEntries(Array.from({ length: n }, (_, i) => [`p${i}`, make(i)]));

// ---- The link ----

async function link() {
	console.log('== a round trip, and messages a second (both ways, 64 under way; 16 of 64 KiB)');
	const state = makeState('link', { bench: BENCH });
	const { status } = spawnSync(path.join(build, 'tests/bench/bench_bridge'), { env: { ...env(state), OPENCLAW_BRIDGE_DIR: path.join(build, 'bridge') }, stdio: 'inherit' });
	row('hook: p50 within 2x, rate at least 1/2 of bare libnng', status === 0 ? 'yes' : 'NO');
}

// ---- A process, and many ----

async function processes() {
	console.log(`== a plugin's process beside an empty Node ${process.versions.node}, both running`);
	const state = makeState('one', { bench: BENCH });
	const empty = spawn(process.execPath, ['-e', 'setInterval(() => {}, 1e9)'], { stdio: 'ignore' });
	for (const what of ['first start, transpiled', 'from the cache']) {
		const gateway = await new Gateway().start(state);
		await gateway.known();
		await gateway.rpc('tools.execute', { name: 'bench_echo', arguments: { text: 'x' }, session: 'main' });
		await sleep(1500);
		const [one] = await gateway.known();
		const tree = treePss(one.pid), rest = pss(empty.pid);
		row(`PSS of one plugin, ${what}`, mib(tree));
		row('PSS of an empty Node', mib(rest));
		row('more than an empty Node (limit 10 MiB)', mib(tree - rest));
		await gateway.stop();
	}
	empty.kill();
	console.log(`== ${many} plugins with a service each, all running`);
	const running = makeState('many', times(many, (i) => `api.registerService({ id: 's', start() {} }); ${TOOL(`echo_${i}`)}`));
	let gateway = await new Gateway().start(running);
	await gateway.known();
	await gateway.stop();
	const from = performance.now();
	gateway = await new Gateway().start(running);
	const ready = performance.now() - from;
	for (;;) {
		const up = (await gateway.plugins()).filter((one) => one.process === 'running');
		if (up.length === many)
			break;
		await sleep(10);
	}
	row('gateway answers after', `${ready.toFixed(0)} ms`);
	row(`all ${many} run after`, `${(performance.now() - from).toFixed(0)} ms`);
	await sleep(1500);
	const all = (await gateway.plugins()).map((one) => treePss(one.pid));
	row('PSS of their processes', `${mib(all.reduce((a, b) => a + b, 0))}, ${mib(quantile(all, 0.5))} each`);
	row('PSS of the gateway beside them', mib(pss(gateway.child.pid)));
	await gateway.stop();
	const grouped = makeState('group', times(many, (i) => `api.registerService({ id: 's', start() {} }); ${TOOL(`echo_${i}`)}`),
		{ plugins: { entries: times(many, () => ({ group: 'one' })) } });
	gateway = await new Gateway().start(grouped);
	while ((await gateway.known()).length < many)
		await sleep(10);
	await sleep(1500);
	const [{ pid }] = await gateway.plugins();
	row(`PSS of one process for all ${many} (group)`, mib(treePss(pid)));
	await gateway.stop();
}

// ---- Installed and not needed ----

async function lazy() {
	const start = (state, runs) => execFileSync(path.join(build, 'tests/bench/bench_start'), [String(runs), 'ready in', bin, 'gateway', 'run', '--any-port'],
		{ env: env(state), encoding: 'utf8' }).trim();
	console.log(`== a gateway with 0 and with ${many} installed plugins that nobody has asked yet`);
	const none = makeState('none', {}), lots = makeState('lots', times(many, (i) => TOOL(`echo_${i}`) + `api.on('message_received', () => {});`));
	let gateway = await new Gateway().start(lots);
	await gateway.known();
	await gateway.stop();
	start(none, 1);
	row('exec to ready with 0', start(none, 20));
	row(`exec to ready with ${many}`, start(lots, 20));
	const idle = { 0: [], [many]: [] };
	for (let i = 0; i < 5; i++)
		for (const [n, state] of [[0, none], [many, lots]]) {
			gateway = await new Gateway().start(state);
			await sleep(500);
			idle[n].push(pss(gateway.child.pid));
			await gateway.stop();
		}
	const [without, beside] = [idle[0], idle[many]].map((list) => list.reduce((a, b) => a + b) / list.length);
	row('PSS of the gateway that nobody asks, with 0', `${(without / 1024).toFixed(2)} MiB`);
	row(`with ${many} (limit: 0.05 MiB more)`, `${(beside / 1024).toFixed(2)} MiB, ${((beside - without) / 1024).toFixed(2)} more`);
	console.log('== the first call to a plugin that does not run (limit 300 ms)');
	const first = [];
	for (let i = 0; i < 10; i++) {
		gateway = await new Gateway().start(lots);
		const from = performance.now();
		await gateway.rpc('tools.execute', { name: 'echo_0', arguments: { text: 'x' }, session: 'main' });
		first.push(performance.now() - from);
		await gateway.stop();
	}
	row('first call', `p50 ${quantile(first, 0.5).toFixed(0)} ms, at most ${Math.max(...first).toFixed(0)} ms`);
	const bare = Array.from({ length: 10 }, () => {
		const from = performance.now();
		spawnSync(process.execPath, ['-e', '0']);
		return performance.now() - from;
	});
	row('node -e 0, beside it', `p50 ${quantile(bare, 0.5).toFixed(0)} ms`);
}

// ---- Beside misbehaving ones ----

const HOSTILE = {
	blocker: `api.registerService({ id: 'b', start() { setTimeout(() => { for (;;); }, 200); } });`,
	chatter: `api.registerService({ id: 'c', start() { setInterval(() => { for (let i = 0; i < 5000; i++) process.stdout.write('noise noise noise noise\\n'); }, 5); } });`,
	caller: `api.registerService({ id: 'm', start() { setInterval(() => { for (let i = 0; i < 50; i++) api.runtime.subagent.getSessionMessages({ sessionKey: 'main' }).catch(() => {}); }, 5); } });`,
	quitter: `api.registerService({ id: 'q', start: () => process.exit(3) });`,
	thrower: `for (const hook of ['message_received', 'llm_input', 'llm_output', 'agent_end']) api.on(hook, () => { throw new Error('no'); });`,
	silent: `api.on('message_received', () => new Promise(() => {}));`,
};

async function latency(gateway) {
	const health = [], turns = [];
	for (let i = 0; i < 1500; i++) {
		const from = performance.now();
		await (await fetch(`http://127.0.0.1:${gateway.port}/health`)).arrayBuffer();
		health.push(performance.now() - from);
	}
	for (let i = 0; i < 150; i++) {
		const from = performance.now();
		await gateway.rpc('session.message', { session: 'main', text: `/echo ${i}` });
		turns.push(performance.now() - from);
	}
	return { health50: quantile(health, 0.5), health99: quantile(health, 0.99), turn50: quantile(turns, 0.5), turn99: quantile(turns, 0.99) };
}

async function hostile() {
	console.log('== the gateway alone, and beside plugins that misbehave (limit 2x)');
	const runs = {};
	for (const [name, plugins] of [['alone', {}], ['beside them', HOSTILE]]) {
		const gateway = await new Gateway().start(makeState(name.replace(' ', '-'), plugins));
		await sleep(3000);
		await latency(gateway);
		runs[name] = await latency(gateway);
		await gateway.stop();
		const { health50, health99, turn50, turn99 } = runs[name];
		row(name, `/health p50 ${health50.toFixed(2)} p99 ${health99.toFixed(2)} ms, turn p50 ${turn50.toFixed(2)} p99 ${turn99.toFixed(2)} ms`);
	}
	const ratio = (what) => (runs['beside them'][what] / runs.alone[what]).toFixed(2);
	const worst = Math.max(ratio('health50'), ratio('turn50'));
	if (worst > 2)
		process.exitCode = 1;
	row('the gateway\'s latency (p50) within 2x', worst > 2 ? 'NO' : 'yes');
	row('ratio', `/health p50 ${ratio('health50')} p99 ${ratio('health99')}, turn p50 ${ratio('turn50')} p99 ${ratio('turn99')}`);
}

const parts = { link, process: processes, lazy, hostile };
for (const [name, part] of Object.entries(parts))
	if (wanted.length === 0 || wanted.includes(name))
		await part();
