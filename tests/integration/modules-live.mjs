import fs from 'node:fs';
import path from 'node:path';
import { Gateway, bin, cli, done, equal, match, ok, sleep, state, test, until } from './lib.mjs';

const folder = path.join(state, 'modules');
const built = path.join(process.env.OC_TOP_BUILDDIR, 'tests/modules/.libs');
fs.mkdirSync(folder, { recursive: true, mode: 0o700 });
const gw = new Gateway();
await gw.start();

function drop(name) {
	fs.copyFileSync(path.join(built, `${name}.so`), path.join(folder, `${name}.so`));
	fs.chmodSync(path.join(folder, `${name}.so`), 0o644);
}

function settings(config) {
	const file = path.join(state, 'openclaw.json');
	const json = JSON.parse(fs.readFileSync(file, 'utf8'));
	json.modules.entries.rude.config = config;
	fs.writeFileSync(file, JSON.stringify(json));
}

const list = async () => (await gw.rpc('modules.list')).modules;
const module = async (name) => (await list()).find((m) => m.name === name);
const info = (name) => gw.rpc('modules.info', { name });
const state_is = (name, wanted) => until(`${name} to be ${wanted}`, async () => (await module(name))?.state === wanted);
const state_is_one_of = (wanted) => until(`rude to be ${wanted}`, async () => wanted.includes((await module('rude')).state));
const rude = async (what) => gw.rpcRaw('tools.execute', { name: 'rude', arguments: { what } });

test('bundled modules run', async () => {
	const offline = await module('offline');
	equal(offline.state, 'started');
	equal(offline.reason, '');
});

test('a file dropped in shows at once, and not before it is enabled does it run', async () => {
	equal(await module('rude'), undefined);
	drop('rude');
	equal((await module('rude')).state, 'disabled');
	equal((await module('rude')).remedy, 'openclaw module enable rude');
	match(JSON.stringify(await rude('nothing')), /no tool rude/i);
});

test('enabling takes effect while the gateway runs', async () => {
	const r = cli(['module', 'enable', 'rude']);
	equal(r.code, 0, r.err);
	match(r.out, /The running gateway has taken it up/);
	await state_is('rude', 'started');
	const tools = await gw.rpc('tools.list');
	const names = JSON.stringify(tools);
	match(names, /"rude"/);
	ok(!names.includes('bad name'), 'a tool with a bad name is left out');
	match(JSON.stringify((await rude('fine')).result), /done/);
});

test('module trace shows each call and its time while it is watched', async () => {
	const { spawn } = await import('node:child_process');
	equal(cli(['module', 'trace', 'nobody']).code, 1);
	const watch = spawn(bin, ['module', 'trace', 'rude', '--json'], { stdio: ['ignore', 'pipe', 'inherit'] });
	let out = '';
	watch.stdout.on('data', (d) => (out += d));
	const seen = () => out.trim().split('\n').filter(Boolean).map((line) => JSON.parse(line));
	const whole = () => seen().find((e) => e.what === 'call' && seen().some((d) => d.what === 'done' && d.call === e.call));
	await until('a call to be seen', async () => (await rude('slow'), whole() !== undefined));
	watch.kill('SIGINT');
	await new Promise((resolve) => watch.on('close', (code) => resolve(equal(code, 0))));
	const call = whole(), done = seen().find((e) => e.what === 'done' && e.call === call.call);
	equal([call.function, done.function, done.status], ['tool invoke', 'tool invoke', 'ok']);
	// In a process of its own (the default) the time is not spent in the gateway.
	ok(call.ms < done.ms && done.ms >= 120, JSON.stringify([call, done]));
	ok(call.bytes > 10 && done.bytes > 10);
});

test('the command line shows what the gateway sees', async () => {
	const r = cli(['module', 'list']);
	equal(r.code, 0);
	match(r.out, /^rude +1 +(started|degraded)/m);
	match(cli(['module', 'info', 'rude']).out, /^calls +0 open, [1-9]/m);
});

for (const mode of ['process', 'inprocess']) {
if (mode === 'inprocess')
	test('the same inside the gateway', async () => {
		equal(cli(['config', 'set', 'modules.entries.rude.isolation', 'inprocess']).code, 0);
		await until('it to run inside', async () => ((m) => m.isolation === 'inprocess' && m.state === 'started')(await info('rude')), 20000);
	});

test(`${mode}: breaking the contract degrades the module and nothing else`, async () => {
	const before = (await info('rude')).violations;
	for (const what of ['twice', 'after', 'late', 'owner'])
		match(JSON.stringify((await rude(what)).result), /done/, what);
	const m = await info('rude');
	equal(m.state, 'degraded');
	ok(m.violations >= before + 3, `${m.violations} violations`);
	match(cli(['module', 'doctor', 'rude']).out, /problem +rude/);
	equal((await module('offline')).state, 'started');
});

test(`${mode}: slow callbacks are counted`, async () => {
	await rude('slow');
	const m = await info('rude');
	ok(m.callbacks.over100ms >= 1, JSON.stringify(m.callbacks));
	ok(m.callbacks.maxMs >= 110);
});

test(`${mode}: memory is limited`, async () => {
	match(JSON.stringify((await rude('greedy')).result), /got nothing/);
	const m = await info('rude');
	ok(m.memory.bytes < m.memory.limitBytes);
	ok(m.memory.bytes > 0);
});

test(`${mode}: a flood of log lines is cut`, async () => {
	const before = gw.log.split('blah').length;
	match(JSON.stringify((await rude('talk')).result), /done/);
	const lines = () => gw.log.split('blah').length - before;
	await until('the lines', () => lines() >= 50);
	await sleep(100);
	ok(lines() <= 200, `${lines()} lines`);
});

test(`${mode}: an answer that is no JSON is an error of the tool`, async () => {
	const r = await rude('nonsense');
	ok(r.error !== undefined || r.result.isError === true, JSON.stringify(r));
});

test(`${mode}: a call that is never answered ends at its deadline`, async () => {
	const began = Date.now();
	const r = await rude('never');
	ok(r.error !== undefined || r.result.isError === true, JSON.stringify(r));
	ok(Date.now() - began < 10000);
	match(JSON.stringify(r), /rude/);
});

test(`${mode}: a call that is answered when it is given up, and then again, is told as given up, once`, async () => {
	const before = (await info('rude')).violations;
	const r = await rude('hold');
	ok(r.error !== undefined || r.result.isError === true, JSON.stringify(r));
	await until('the second answer to be counted', async () => (await rude('fine'), (await info('rude')).violations > before));
	match(JSON.stringify((await rude('fine')).result), /done/);
});

test(`${mode}: a reply over the limit is an error of that call alone`, async () => {
	const r = await rude('big');
	ok(r.error !== undefined || r.result.isError === true, JSON.stringify(r).slice(0, 300));
	match(JSON.stringify((await rude('fine')).result), /done/);
});

test(`${mode}: settings that it can take do not end it`, async () => {
	await state_is_one_of(['started', 'degraded']);
	const { pid, restarts } = await info('rude');
	const seen = gw.log.split('calm from now on').length, kept = gw.log.split('refuses the new settings').length;
	settings({ mood: 'calm' });
	await until('it to take them', () => gw.log.split('calm from now on').length > seen);
	settings({ mood: 'stubborn' });
	await until('it to refuse', () => gw.log.split('refuses the new settings').length > kept);
	equal([(await info('rude')).pid, (await info('rude')).restarts], [pid, restarts]);
	match(cli(['module', 'doctor', 'rude']).out, /^problem +rude: it refuses its new settings and keeps the old ones/m);
	match(JSON.stringify((await rude('fine')).result), /done/);
});
}

test('new settings restart it; settings it refuses keep it from running', async () => {
	settings({ mood: 'fine' });
	await state_is('rude', 'started'); // it was degraded before
	settings({ mood: 'grumpy' });
	await state_is('rude', 'refused');
	equal((await module('rude')).reason, 'not in the mood');
	settings({});
	await state_is('rude', 'started');
});

test('disabling takes effect too, also when its stop never ends and a thread of it stays', async () => {
	match(JSON.stringify((await rude('thread')).result), /done/);
	equal(cli(['module', 'disable', 'rude']).code, 0);
	await until('it to be disabled', async () => (await module('rude')).state === 'disabled', 15000);
	match(JSON.stringify(await rude('fine')), /no tool rude/i);
});

test('the gateway is as it was', async () => {
	equal((await fetch(gw.url + '/health')).status, 200);
	match(cli(['agent', '-m', '/echo still here']).out, /still here/);
	const end = await gw.stop();
	equal(end.code, 0, gw.log);
});

await done();
