// The SDK's examples as their authors would use them: made, tested and built by the installed program, enabled, at work.
import { spawnSync } from 'node:child_process';
import fs from 'node:fs';
import http from 'node:http';
import net from 'node:net';
import path from 'node:path';

const tmp = process.env.TMPDIR;
const stage = path.join(tmp, 'stage');
const clean = Object.fromEntries(Object.entries(process.env).filter(([name]) => !/^(MAKE|MFLAGS)/.test(name)));
const installed = spawnSync('make', ['-C', process.env.OC_TOP_BUILDDIR, 'install', `DESTDIR=${stage}`], { env: clean, encoding: 'utf8' });
const bins = spawnSync('find', [stage, '-path', '*/bin/openclaw', '-type', 'f'], { encoding: 'utf8' }).stdout.trim();
process.env.OC_BIN = bins;
for (const name of Object.keys(process.env))
	if (/^(MAKE|MFLAGS)/.test(name))
		delete process.env[name];

const { test, done, Gateway, cli, spawnCli, equal, ok, match, until, state, cleanup, writeConfig } = await import('./lib.mjs');

const examples = { units: 'tool', redact: 'hook', notes: 'http', counter: 'service', ollama_native: 'provider', linechat: 'channel', remembrance: 'memory', folder: 'storage', wordcount: 'tool-c++' };
const cxx = spawnSync(process.env.CXX?.split(' ').at(-1) ?? 'c++', ['--version']).status === 0;
if (!cxx)
	delete examples.wordcount;

// Asks the counter for numbers: the only way to see a service is another module.
const ASKER = {
	'module.json': JSON.stringify({ name: 'asker', version: '0.1.0', abi: { major: 1, minor: 0 }, kinds: ['tool'], license: 'MIT',
		description: 'Counts', services: ['counter'], tools: ['count'] }),
	'module.c': `
#include <openclaw/module.h>
OC_MODULE_MANIFEST("module.json");
static const oc_host_api *host; static oc_self *self;
static oc_status init(const oc_host_api *h, oc_self *s, oc_str c, void **r) { (void)c; host = h; self = s; *r = &host; return OC_OK; }
static void fini(void *i) { (void)i; }
static oc_str tools(void *i) { (void)i; return OC_STR("[{\\"name\\":\\"count\\",\\"description\\":\\"Counts\\",\\"parameters\\":{\\"type\\":\\"object\\"}}]"); }
static void done(void *arg, oc_status st, oc_str r)
{
	char b[200]; size_t n = 0;
	for (const char *p = "{\\"content\\":[{\\"type\\":\\"text\\",\\"text\\":\\"counted\\"}],\\"details\\":"; *p; p++) b[n++] = *p;
	for (size_t i = 0; i < r.n && n < 190; i++) b[n++] = r.p[i];
	b[n++] = '}'; b[n] = 0;
	host->call_done(arg, st, st == OC_OK ? (oc_str){b, n} : r);
}
static void invoke(void *i, oc_call *c, oc_str t, oc_str a, oc_str x)
{
	(void)i; (void)t; (void)a; (void)x;
	oc_status st = host->service_call(self, OC_STR("counter"), 1, OC_STR("add"), OC_STR("{\\"name\\":\\"calls\\"}"), 0, done, c);
	if (st != OC_OK) host->call_done(c, st, OC_STR("no counter"));
}
static const oc_tool_vtbl v = {.struct_size = sizeof(v), .tools = tools, .invoke = invoke};
static const oc_iface f[] = {{OC_KIND_TOOL, 1, 0, "asker", &v}};
static const oc_module_desc d = {.magic = OC_MODULE_MAGIC, .struct_size = sizeof(d), .abi_major = 1, .name = "asker", .version = "0.1.0",
	.ifaces = f, .n_ifaces = 1, .init = init, .fini = fini};
OC_MODULE(&d);
` };

const folder = (name) => path.join(tmp, 'src', name);
const compiler = { env: { CC: process.env.CC || 'cc' } };
const ledger = path.join(tmp, 'ledger.txt'), shelf = path.join(tmp, 'shelf');
let gw, models;

test('the installed program makes, tests and builds a module of every kind', async () => {
	equal(installed.status, 0, installed.stdout + installed.stderr);
	fs.mkdirSync(path.join(tmp, 'src'));
	await Promise.all(Object.entries(examples).map(async ([name, kind]) => {
		const made = cli(['module', 'new', name, '--kind', kind, '--dir', folder(name)]);
		equal(made.code, 0, made.err);
		const source = fs.readFileSync(path.join(folder(name), kind === 'tool-c++' ? 'module.cc' : 'module.c'), 'utf8');
		ok(source.split('\n').length <= 150, `${kind} is ${source.split('\n').length} lines long`);
		const tested = await spawnCli(['module', 'test', folder(name)], { ...compiler, timeout: 100000 });
		equal(tested.code, 0, tested.out + tested.err);
		match(tested.out, /^1\.\.\d+$/m);
		const built = await spawnCli(['module', 'build', folder(name)], { ...compiler, timeout: 60000 });
		equal(built.code, 0, built.out + built.err);
		const verified = await spawnCli(['module', 'verify', path.join(folder(name), `${name}.so`)]);
		match(verified.out, new RegExp(`^${name} 0\\.1\\.0: the gateway would take it`), verified.err);
	}));
});

test('a test that fails is told', async () => {
	const file = path.join(folder('units'), 'test.c');
	const text = fs.readFileSync(file, 'utf8');
	fs.writeFileSync(file, text.replace('62.1 mi', '63.1 mi'));
	const r = cli(['module', 'test', folder('units')], compiler);
	fs.writeFileSync(file, text);
	equal(r.code, 1);
	match(r.out, /^not ok/m);
});

test('dropped in and enabled', async () => {
	const asker = folder('asker');
	fs.cpSync(folder('units'), asker, { recursive: true });
	fs.rmSync(path.join(asker, 'units.so'));
	for (const [name, text] of Object.entries(ASKER))
		fs.writeFileSync(path.join(asker, name), text);
	const makefile = path.join(asker, 'Makefile');
	fs.writeFileSync(makefile, fs.readFileSync(makefile, 'utf8').replace('NAME = units', 'NAME = asker'));
	models = http.createServer((req, res) => {
		let body = '';
		req.on('data', (d) => (body += d));
		req.on('end', () => {
			models.last = { url: req.url, body: JSON.parse(body) };
			res.write('{"message":{"role":"assistant","content":"Grüße von "},"done":false}\n{"mess');
			setTimeout(() => res.end('age":{"content":"Ollama"},"done":true,"done_reason":"stop"}\n'), 20);
		});
	});
	await new Promise((resolve) => models.listen(0, '127.0.0.1', resolve));
	cleanup(() => models.close());
	writeConfig({ agents: { defaults: { model: { primary: 'offline/echo' }, skipBootstrap: true } }, models: { providers: { far: { api: 'ollama-chat', baseUrl: `http://127.0.0.1:${models.address().port}`,
		models: [{ id: 'tiny', name: 'tiny' }] } } },
		modules: { slots: { memory: 'remembrance', storage: 'folder' }, entries: { remembrance: { config: { file: ledger } }, folder: { config: { path: shelf } } } },
		channels: { linechat: { enabled: true, path: path.join(tmp, 'chat.sock'), dmPolicy: 'open', allowFrom: ['*'] } } });
	for (const name of [...Object.keys(examples), 'asker']) {
		if (name === 'asker')
			equal(cli(['module', 'build', asker], { ...compiler, timeout: 60000 }).code, 0);
		fs.mkdirSync(path.join(state, 'modules'), { recursive: true, mode: 0o700 });
		fs.copyFileSync(path.join(folder(name), `${name}.so`), path.join(state, 'modules', `${name}.so`));
		fs.chmodSync(path.join(state, 'modules', `${name}.so`), 0o644);
		equal(cli(['module', 'enable', name, '--yes']).code, 0);
	}
	// What they have outside the workspace only the operator can open to them.
	for (const name of ['linechat', 'remembrance', 'folder'])
		equal(cli(['config', 'set', `modules.entries.${name}.write`, JSON.stringify([tmp])]).code, 0);
});

const text = (result) => result.content.map((part) => part.text).join('');
const run = (name, args) => gw.rpc('tools.execute', { name, arguments: args, session: 'main' });

for (const [mode, before] of [['process', 0], ['inprocess', 3]]) {
test(`${mode}: all of them run so`, async () => {
	for (const name of [...Object.keys(examples), 'asker'])
		if (mode === 'inprocess')
			equal(cli(['config', 'set', `modules.entries.${name}.isolation`, 'inprocess']).code, 0);
	gw ??= await new Gateway().start();
	for (const name of [...Object.keys(examples), 'asker']) {
		const m = await gw.rpc('modules.info', { name });
		equal([m.state, m.isolation, m.reason], ['started', mode, ''], name);
	}
});

test(`${mode}: the tool converts, the C++ tool counts words`, async () => {
	equal(text(await run('convert_units', { value: 100, from: 'km', to: 'mi' })), '62.14 mi');
	if (cxx)
		match(text(await run('wordcount', { text: 'one two two' })), /^3 words, 1 lines, 11 bytes; most frequent: two \(2\)/);
});

test(`${mode}: the hook hides card numbers before they are sent`, async () => {
	const r = await gw.fetch('/v1/chat/completions', { method: 'POST',
		body: JSON.stringify({ model: 'openclaw', messages: [{ role: 'user', content: '/echo card 4111 1111 1111 1111 of Ada' }] }) });
	const said = (await r.json()).choices[0].message.content;
	ok(!said.includes('4111 1111'), said);
	match(said, /\[card number\]/);
});

test(`${mode}: the HTTP module keeps notes, for those with the token`, async () => {
	equal((await fetch(`${gw.url}/notes/list`)).status, 401);
	equal((await gw.fetch('/notes/list', { method: 'PUT', body: 'milk & Brot' })).status, 204);
	equal(await (await gw.fetch('/notes/list')).text(), 'milk & Brot');
	equal((await gw.fetch('/notes/other')).status, 404);
});

test(`${mode}: the service counts for another module`, async () => {
	await run('count', {});
	equal((await run('count', {})).details, { value: before + 2 });
});

test(`${mode}: the provider streams a conversation with its model`, async () => {
	await gw.rpc('session.message', { text: '/model far/tiny', session: 'far' });
	match((await gw.rpc('session.message', { text: 'Hello there', session: 'far' })).text, /Grüße von Ollama/);
	equal(models.last.url, '/api/chat');
	match(JSON.stringify(models.last.body.messages.at(-1)), /Hello there/);
});

test(`${mode}: the channel carries a message in and its answer out`, async () => {
	const socket = net.connect(path.join(tmp, 'chat.sock'));
	cleanup(() => socket.destroy());
	let got = '';
	socket.on('data', (d) => (got += d));
	socket.write('/echo over the line\n');
	await until('the answer', () => /over the line/.test(got));
});

const remember = async (name, args) => (await run(name, args)).details;

test(`${mode}: the memory answers memory_search and memory_get; failing, the built-in one does and says so`, async () => {
	fs.mkdirSync(path.join(state, 'workspace'), { recursive: true });
	fs.writeFileSync(path.join(state, 'workspace', 'MEMORY.md'), 'The plumber of the workspace is called Bruni.\n');
	fs.writeFileSync(ledger, 'The plumber is called Rossi.\nThe cat likes fish.\n');
	const r = await remember('memory_search', { query: 'plumber' });
	equal([r.provider, r.mode, r.fallback], ['remembrance', 'module', undefined]);
	equal(r.results.map((hit) => [hit.path, hit.startLine, hit.score]), [['remembrance', 1, 1]]);
	match(r.results[0].snippet, /^The plumber is called Rossi\.\n\nSource: remembrance#L1$/);
	equal((await remember('memory_search', { query: 'plumber and a zebra', minScore: 0.9 })).results, []);
	equal(await remember('memory_get', { path: 'remembrance', from: 2, lines: 1 }), { text: 'The cat likes fish.', path: 'remembrance' });
	match((await remember('memory_get', { path: 'MEMORY.md' })).text, /Bruni/, 'the workspace can be read as well');
	match((await remember('memory_get', { path: '/etc/passwd' })).error, /no memory file/);
	match(cli(['memory', 'search', 'cat']).out, /The cat likes fish/);
	match(cli(['memory', 'status']).out, /kept by the module remembrance/);
	fs.writeFileSync(ledger, Buffer.from([0x70, 0x6c, 0x75, 0x6d, 0x62, 0x65, 0x72, 0xff, 0xfe, 0x0a]));
	const bad = await remember('memory_search', { query: 'plumber' });
	equal(bad.results.map((hit) => hit.path), ['MEMORY.md'], 'an answer that is no JSON text is none');
	fs.rmSync(ledger);
	const own = await remember('memory_search', { query: 'plumber' });
	equal(own.results.map((hit) => hit.path), ['MEMORY.md']);
	equal(own.fallback.from, 'remembrance');
	match(own.fallback.reason, /file of the remembrance cannot be read/);
	equal((await remember('memory_get', { path: 'MEMORY.md' })).text, 'The plumber of the workspace is called Bruni.\n');
});

const journal = () => (fs.existsSync(shelf) ? fs.readdirSync(shelf).filter((name) => name.startsWith('sessions%agent-3amain-3amain%')).sort() : []);
const parts = (name) => (fs.existsSync(shelf) ? fs.readdirSync(shelf).filter((file) => file.startsWith(`sessions%agent-3amain-3a${name}%`)) : []);
const history = async (session) => (await gw.rpc('session.history', { session, all: true })).messages;
const written = (name) => parts(name).map((file) => fs.readFileSync(path.join(shelf, file), 'utf8')).join('');
const kept = () => journal().map((name) => fs.readFileSync(path.join(shelf, name), 'utf8')).join('');

if (mode === 'process') // (afterwards the journal has begun)
test(`${mode}: the storage gets the journal of each session, also what happened while it was away`, async () => {
	await gw.rpc('session.message', { session: 'main', text: '/echo while the shelf is not there' });
	fs.mkdirSync(shelf);
	await until('the journal', async () => kept().includes('while the shelf is not there'));
	await gw.rpc('session.message', { session: 'main', text: '/echo and now that it is' });
	await until('the next part', async () => kept().includes('and now that it is'));
	ok(journal().every((name) => /^sessions%agent-3amain-3amain%\d+%\d{12}\.jsonl$/.test(name)), journal().join(' '));
	const seqs = kept().trim().split('\n').map((line) => JSON.parse(line)).filter((e) => e.seq).map((e) => e.seq);
	ok(seqs.length > 4);
	equal(seqs, seqs.map((_, i) => i + 1), 'nothing twice, nothing left out');
	const long = 'n'.repeat(180);
	await Promise.all(['a', 'b'].map((end) => gw.rpc('session.message', { session: long + end, text: '/echo long' })));
	await until('sessions with long names', async () => new Set(fs.readdirSync(shelf).flatMap((name) =>
		/^sessions%(agent-3amain-3an+--[0-9a-f]{16})%\d+%\d{12}\.jsonl$/.exec(name)?.[1] ?? [])).size === 2);
});

test(`${mode}: a session that is deleted loses its journal too, by whomever and whenever it is`, async () => {
	const names = ['gone', 'pruned', 'aged'];
	for (const name of names)
		await gw.rpc('session.message', { session: name, text: `/echo to be ${name}` });
	await until('their journals', () => names.every((name) => parts(name).length > 0));
	await gw.rpc('session.delete', { session: 'gone' });
	await until('it to be gone', () => parts('gone').length === 0);
	// The same name again: another session, of which the journal has nothing old.
	await gw.rpc('session.message', { session: 'gone', text: '/echo anew' });
	await until('the new one', () => parts('gone').length > 0);
	equal((await gw.stop()).code, 0);
	equal(cli(['sessions', 'delete', 'pruned', '--yes']).code, 0);
	const sql = spawnSync(path.join(process.env.OC_TOP_BUILDDIR, 'tests/fault/sql'),
		[path.join(state, 'openclaw.db'), "UPDATE sessions SET updated_ms = 1 WHERE key LIKE '%aged'"], { encoding: 'utf8' });
	equal(sql.status, 0, sql.stderr);
	gw = await new Gateway().start();
	await until('it to be gone', () => parts('pruned').length === 0);
	ok(['gone', 'aged'].every((name) => parts(name).length > 0) && journal().length > 0);
	// Retention removes without telling anybody.
	equal(cli(['config', 'set', 'session.maintenance.mode', 'enforce']).code, 0);
	equal(cli(['store', 'compact']).code, 0);
	await until('the old one to be gone', async () => {
		await gw.rpc('session.message', { session: 'main', text: '/echo still here' });
		return parts('aged').length === 0;
	});
	ok(parts('gone').length > 0 && journal().length > 0);
	equal(cli(['config', 'unset', 'session.maintenance.mode']).code, 0);
});

test(`${mode}: after the store was lost a session is brought back as it was`, async () => {
	const lost = `lost${mode}`;
	await gw.rpc('session.message', { session: lost, text: '/tool convert_units {"value": 1, "from": "km", "to": "m"}' });
	await gw.rpc('session.message', { session: lost, text: '/echo before the reset' });
	await gw.rpc('session.reset', { session: lost });
	await gw.rpc('session.create', { session: lost, title: 'Not lost' });
	await gw.rpc('session.message', { session: lost, text: '/echo after it' });
	const was = await history(lost), facts = await gw.rpc('session.get', { session: lost });
	ok(was.length >= 8 && was.some((m) => m.role === 'tool'));
	await until('the journal', () => written(lost).includes(`"seq":${facts.lastSeq},`));
	match(JSON.stringify(await gw.rpcRaw('session.restore', { session: lost })), /there is a session agent:main:lost[a-z]+/);
	equal((await gw.stop()).code, 0);
	const store = path.join(tmp, 'store');
	fs.mkdirSync(store, { recursive: true });
	const move = (from, to) => fs.readdirSync(from).filter((name) => name.startsWith('openclaw.db')).forEach((name) => fs.renameSync(path.join(from, name), path.join(to, name)));
	move(state, store);
	gw = await new Gateway().start();
	const rows = JSON.parse(cli(['sessions', 'stored', '--json']).out);
	const row = rows.find((one) => one.session === `agent:main:${lost}`);
	equal([row.name, row.here, row.createdAt], [`agent-3amain-3a${lost}`, false, facts.createdAt]);
	match(cli(['sessions', 'restore', 'nobody']).err, /no journal of sessions\/agent-3amain-3anobody/);
	match(cli(['sessions', 'restore', lost]).out, /^agent:main:lost[a-z]+ is back, with 2 messages/);
	equal(await history(lost), was);
	const { updatedAt: _, running: __, ...now } = await gw.rpc('session.get', { session: lost });
	const { updatedAt: ___, running: ____, ...then } = facts;
	equal(now, then);
	match(cli(['sessions', 'restore', row.name, '--as', 'again']).out, /agent:main:again is back/);
	equal((await history('again')).map((m) => m.content), was.map((m) => m.content));
	match(cli(['sessions', 'search', 'before the reset']).out, /agent:main:lost/);
	match(cli(['store', 'check']).out, /^whole: /);
	// It goes on where it was: the next part follows what the journal had.
	const before = parts(lost).length;
	await gw.rpc('session.message', { session: lost, text: '/echo and on' });
	await until('the next part', () => parts(lost).length === before + 1);
	const { lastSeq } = await gw.rpc('session.get', { session: 'again' });
	await until('the whole copy', () => written('again').includes(`"seq":${lastSeq},`));
	equal(cli(['sessions', 'delete', lost, '--yes']).code, 0);
	await until('it to be gone', () => parts(lost).length === 0);
	fs.renameSync(shelf, `${shelf}.away`);
	fs.mkdirSync(shelf);
	match(cli(['sessions', 'stored']).out, /holds no conversation/);
	fs.rmdirSync(shelf);
	match(cli(['sessions', 'stored']).err, /No such file/);
	fs.renameSync(`${shelf}.away`, shelf);
	equal((await gw.stop()).code, 0);
	move(store, state);
	gw = await new Gateway().start();
});

test(`${mode}: what was kept is there after a restart, and the gateway ends in order`, async () => {
	equal((await gw.stop()).code, 0);
	gw = await new Gateway().start();
	equal(await (await gw.fetch('/notes/list')).text(), 'milk & Brot');
	equal((await run('count', {})).details, { value: before + 3 });
	equal((await gw.stop()).code, 0);
	gw = undefined;
});
}

await done();
