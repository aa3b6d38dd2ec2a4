import { spawnSync } from 'node:child_process';
import fs from 'node:fs';
import http from 'node:http';
import path from 'node:path';
import { Gateway, bin, cleanup, done, equal, match, ok, skipAll, sleep, spawnCli, state, test, until, writeConfig } from './lib.mjs';

const workspace = path.join(state, 'workspace');
const SECRET = 'sk-the-secret-0123456789';
const inside = (name) => path.join(workspace, name);
const put = (file, text) => {
	fs.mkdirSync(path.dirname(file), { recursive: true });
	fs.writeFileSync(file, text);
};

const helper = path.join(process.env.OC_TOP_BUILDDIR, 'openclaw-sandbox');
const probe = spawnSync(helper, ['--probe'], { encoding: 'utf8' });
if (!/^strict=1$/m.test(probe.stdout ?? ''))
	skipAll(`no strict sandbox on this machine: ${probe.stdout}`);

// A server of ours, which no tool may reach by its address, and which serves as the proxy for names outside.
const pages = new Map();
const asked = [];
const server = http.createServer((req, res) => {
	asked.push(req.url);
	const page = pages.get(req.url) ?? pages.get(new URL(req.url, 'http://local/').pathname);
	if (!page) {
		res.writeHead(404, { 'content-type': 'text/plain' });
		res.end('nothing here');
		return;
	}
	res.writeHead(page.status ?? 200, { 'content-type': page.type ?? 'text/html', ...page.headers });
	res.end(page.body ?? '');
});
await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve));
const port = server.address().port;
cleanup(() => server.closeAllConnections());
pages.set('/', { body: 'the inner server' });

const base = {
	gateway: { mode: 'local' },
	models: { providers: { some: { baseUrl: 'http://127.0.0.1:9/v1', apiKey: SECRET, models: [{ id: 'm' }] } } },
	agents: { defaults: { model: { primary: 'offline/echo' } } },
};
writeConfig(base);

let gateway = await new Gateway({ env: { MY_API_KEY: SECRET } }).start();
async function stop() {
	equal(await gateway.stop(), { code: 0, signal: null });
	ok(!/Sanitizer|runtime error/.test(gateway.log), gateway.log);
}
async function restart(config = base, env = {}) {
	await stop();
	writeConfig(config);
	gateway = await new Gateway({ env: { MY_API_KEY: SECRET, ...env } }).start();
}

// One tool, as tools.execute runs it: under policy, validation and hooks. The text; `last` has the rest.
let last;
async function tool(name, args, session = 'main') {
	last = await gateway.rpc('tools.execute', { name, arguments: args, session });
	return last.content.filter((c) => c.type === 'text').map((c) => c.text).join('\n');
}
const fails = async (name, args, reason) => {
	const text = await tool(name, args);
	equal(last.isError, true, `${name} ${JSON.stringify(args)}: ${text}`);
	match(text, reason);
	ok(!text.includes(SECRET), text);
};
const sh = (command, more = {}) => tool('exec', { command, ...more });

// ---- Files ----

test('the model calls the file tools in a turn, without a gateway and with one', async () => {
	await stop();
	const alone = await spawnCli(['agent', '-m', '/tool write {"path":"notes/a.txt","content":"one\\ntwo\\n"}\n/then\n/tool read {"path":"notes/a.txt"}']);
	equal(alone.code, 0, alone.err);
	match(alone.out, /one\ntwo/);
	equal(fs.readFileSync(inside('notes/a.txt'), 'utf8'), 'one\ntwo\n');
	gateway = await new Gateway({ env: { MY_API_KEY: SECRET } }).start();
	const through = await spawnCli(['agent', '-m', '/tool edit {"path":"notes/a.txt","oldText":"two","newText":"three"}']);
	equal(through.code, 0, through.err);
	equal(fs.readFileSync(inside('notes/a.txt'), 'utf8'), 'one\nthree\n');
});

test('read, write, edit, ls, find and grep do what they say', async () => {
	put(inside('src/main.c'), 'int main(void)\n{\n\treturn 0;\n}\n');
	put(inside('src/deep/er/x.h'), '#define X 1\n');
	put(inside('.git/config'), 'int hidden\n');
	put(inside('long.txt'), Array.from({ length: 3000 }, (_, i) => `line ${i + 1}`).join('\n') + '\n');
	match(await tool('read', { path: 'src/main.c' }), /return 0;/);
	match(await tool('read', { file_path: inside('src/main.c') }), /return 0;/);
	const first = await tool('read', { path: 'long.txt' });
	match(first, /line 2000\n/);
	ok(!first.includes('line 2001'));
	match(first, /offset=2001/);
	match(await tool('read', { path: 'long.txt', offset: 2001, limit: 2 }), /^line 2001\nline 2002\n/);
	await fails('edit', { path: 'src/main.c', oldText: '  return 0;', newText: 'x' }, /line 3/);
	await fails('edit', { path: 'long.txt', oldText: 'line 1', newText: 'x' }, /times/);
	await tool('edit', { path: 'src/main.c', old_string: 'return 0;', new_string: 'return 1;' });
	match(fs.readFileSync(inside('src/main.c'), 'utf8'), /return 1;/);
	match(await tool('ls', { path: 'src' }), /deep\/\nmain\.c/);
	match(await tool('find', { pattern: '**/*.h' }), /src\/deep\/er\/x\.h/);
	const hits = await tool('grep', { pattern: 'int (main|hidden)' });
	match(hits, /src\/main\.c:1: int main/);
	ok(!hits.includes('.git'), hits);
	const png = Buffer.from('iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg==', 'base64');
	fs.writeFileSync(inside('dot.png'), png);
	await tool('read', { path: 'dot.png' });
	equal(last.content.find((c) => c.type === 'image').data, png.toString('base64'));
	fs.writeFileSync(inside('blob'), Buffer.from([0, 1, 2, 255]));
	await fails('read', { path: 'blob' }, /not a text file/);
	await fails('read', { path: 'nothing' }, /no such file/);
});

test('no path leads the file tools out of the workspace', async () => {
	const config = path.join(state, 'openclaw.json');
	fs.symlinkSync('../openclaw.json', inside('link'));
	fs.symlinkSync(config, inside('absolute'));
	fs.symlinkSync('..', inside('up'));
	fs.symlinkSync('/etc', inside('etc'));
	fs.symlinkSync('/proc/self/root', inside('magic'));
	fs.symlinkSync('loop', inside('loop'));
	for (const p of ['../openclaw.json', 'notes/../../openclaw.json', config, '/etc/passwd', '//etc/passwd', 'link', 'absolute',
		'up/openclaw.json', 'etc/passwd', `magic${config}`, 'loop', './../openclaw.json', `${workspace}/../openclaw.json`,
		`${workspace}x`, '~/.openclaw/openclaw.json', 'notes/a.txt/../../../openclaw.json']) {
		await fails('read', { path: p }, /./);
		await fails('edit', { path: p, oldText: SECRET, newText: 'x' }, /./);
		await fails('grep', { path: p, pattern: 'sk-the' }, /./);
		await fails('write', { path: `${p}/x`, content: 'x' }, /./);
	}
	for (const p of ['..', 'up', 'etc', '/', 'magic'])
		for (const name of ['ls', 'find', 'grep'])
			await fails(name, { path: p, pattern: '.*' }, /./);
	for (const p of ['../new', 'up/new', '/tmp/oc-tools-new', `${state}/new`, 'etc/oc-new'])
		await fails('write', { path: p, content: 'x' }, /./);
	await fails('write', { path: 'link', content: 'x' }, /./);
	ok(fs.readFileSync(config, 'utf8').includes(SECRET));
	ok(!fs.existsSync(path.join(state, 'new')) && !fs.existsSync('/tmp/oc-tools-new'));
	const found = await tool('grep', { pattern: 'sk-the' }); // links are not followed on the way either
	ok(!found.includes(SECRET), found);
	for (const name of ['link', 'absolute', 'up', 'etc', 'magic', 'loop'])
		fs.unlinkSync(inside(name));
});

test('nor does a link that appears between two looks', async () => {
	// A sandboxed command swaps a folder for a link to the state folder as fast as it can.
	const started = await sh('mkdir -p swap.d; echo inside > swap.d/openclaw.json; for i in $(seq 100000); do ln -sfn swap.d swap; ln -sfn .. swap; done',
		{ background: true });
	match(started, /background/);
	const seen = { inside: 0, refused: 0 };
	for (let i = 0; i < 400; i++) {
		const text = await tool('read', { path: 'swap/openclaw.json' });
		ok(!text.includes(SECRET), text);
		seen[last.isError ? 'refused' : 'inside']++;
		if (i % 10 === 0)
			await tool('write', { path: 'swap/planted', content: 'x' });
	}
	ok(!fs.existsSync(path.join(state, 'planted')));
	ok(seen.refused > 0, JSON.stringify(seen));
	await tool('process', { action: 'remove', sessionId: last0(started) });
});
const last0 = (text) => /session (\w+)/.exec(text)[1];

// ---- Commands ----

test('a command runs in the workspace; its end is told in words', async () => {
	equal(await sh('pwd; echo err >&2'), `${workspace}\nerr`);
	match(await sh('exit 3'), /exit code 3/);
	match(await sh('kill -9 $$'), /signal 9 \(SIGKILL\)/);
	equal(last.isError, true);
	match(await sh('sleep 20', { timeout: 0.5 }), /time limit/);
	const turn = await spawnCli(['agent', '-m', '/tool exec {"command":"echo from a turn > made.txt; cat made.txt"}']);
	match(turn.out, /from a turn/);
	equal(fs.readFileSync(inside('made.txt'), 'utf8'), 'from a turn\n');
});

test('a command sees no secret: no file of ours, no environment, no process', async () => {
	const config = path.join(state, 'openclaw.json');
	const all = await sh(`cat ${config} ../openclaw.json ${state}/credentials/* ../openclaw.db; ls -la .. ${state}; env; set;
		cat /proc/*/environ /proc/*/cmdline | tr '\\0' '\\n'; grep -rs sk-the / --include=*.json --include=.env -l; ls /proc/self/fd;
		cat /etc/shadow; ln -s ${config} l; cat l; cp ${config} copy; cat copy; rm -f l copy`);
	ok(!all.includes(SECRET), all);
	ok(!all.includes(fs.readFileSync(path.join(state, 'credentials/gateway-token'), 'utf8').trim()));
	ok(!/gateway run/.test(all));
	ok(!/OPENCLAW|OC_TOP|MY_API/.test(all), all);
});

test('a command writes nowhere but in the workspace and its own /tmp', async () => {
	await sh(`echo x > ../planted; echo x >> ../openclaw.json; mkdir ../modules; echo x > ${state}/openclaw.db; echo x > /etc/oc-planted;
		echo x > /usr/oc-planted; echo x > /tmp/oc-planted; rm -rf ${state}/credentials; mv ${state} /tmp/moved; ln ../openclaw.json hard`);
	ok(!fs.existsSync(path.join(state, 'planted')) && !fs.existsSync('/etc/oc-planted') && !fs.existsSync('/usr/oc-planted'));
	ok(!fs.existsSync('/tmp/oc-planted') && !fs.existsSync('/tmp/moved') && !fs.existsSync(inside('hard')));
	ok(fs.existsSync(path.join(state, 'credentials/gateway-token')));
	equal(JSON.parse(fs.readFileSync(path.join(state, 'openclaw.json'), 'utf8')), base);
	match(await sh('ls /tmp ~ | cat; echo x > ~/f && cat ~/f'), /x/);
});

test('a command has no network and cannot talk to the gateway', async () => {
	const socket = path.join(state, 'run/gateway.sock');
	ok(fs.existsSync(socket));
	match(await sh(`exec 3<>/dev/tcp/127.0.0.1/${gateway.port} && echo connected`), /exit code 1/);
	match(await sh(`exec 3<>/dev/tcp/127.0.0.1/${port} && echo connected`), /exit code 1/);
	ok(!/connected\n/.test(await sh(`perl -MIO::Socket::UNIX -e 'print "connected\\n" if IO::Socket::UNIX->new("${socket}")'`)));
	match(await sh('ls /sys/class/net /proc/net/dev; cat /proc/net/dev'), /lo:/);
	ok(!/eth|ens|wlan/.test(await sh('cat /proc/net/dev')));
	ok(!asked.includes('/connected'));
});

test('a command cannot take the machine: processes, memory, files, output', async () => {
	match(await sh('ulimit -a'), /./);
	const before = Date.now();
	const bomb = await sh(':(){ :|:& };:; for i in $(seq 3000); do sleep 31.417 & done 2>&1 | tail -1; echo over', { timeout: 8, yieldMs: 60000 });
	ok(Date.now() - before < 40000, bomb.slice(0, 300));
	const left = spawnSync('ps', ['-eo', 'args'], { encoding: 'utf8' }).stdout.split('\n').filter((l) => l === 'sleep 31.417');
	ok(left.length === 0, `${left.length} left`);
	match(await sh('perl -e \'$x = "x" x (3 << 30); print length $x\''), /[Oo]ut of memory|exit code|signal|memory/);
	match(await sh('head -c 2G /dev/zero > big; ls -l big | cut -d" " -f5; rm -f big'), /^(?!2147483648)/);
	const long = await sh('yes 0123456789 | head -c 1000000; echo END');
	ok(long.length < 201000 && long.endsWith('END') && long.includes('left out'), String(long.length));
	equal(await sh('echo fine'), 'fine');
});

test('commands in the background: poll, input, kill; they belong to their session and end with it', async () => {
	const one = last0(await sh('echo started; read x; echo got $x; sleep 60', { background: true }));
	match(await tool('process', { action: 'list' }), new RegExp(`${one}  running`));
	await tool('process', { action: 'write', sessionId: one, data: 'hello\n' });
	await until('its answer', async () => /got hello/.test(await tool('process', { action: 'log', sessionId: one })));
	match(await tool('process', { action: 'poll', sessionId: one }, 'another'), /no background session/);
	await tool('process', { action: 'kill', sessionId: one });
	match(await tool('process', { action: 'poll', sessionId: one, timeout: 8000 }), /ended on request/);
	const two = await sh('while :; do date > beat; sleep 0.05; done', { yieldMs: 300 });
	match(two, /still running/);
	await until('a sign of life', () => fs.existsSync(inside('beat')));
	await gateway.rpc('session.reset', { session: 'main' });
	await sleep(500);
	const stopped = fs.statSync(inside('beat')).mtimeMs;
	await sleep(400);
	equal(fs.statSync(inside('beat')).mtimeMs, stopped, 'it still runs');
	match(await tool('process', { action: 'list' }), /No commands run/);
});

test('a run that is canceled takes its command with it', async () => {
	await gateway.rpc('session.message', { session: 'main', wait: false,
		text: '/tool exec {"command":"while :; do date > beat2; sleep 0.05; done"}' });
	await until('a sign of life', () => fs.existsSync(inside('beat2')));
	equal((await gateway.rpc('session.cancel', { session: 'main' })).canceled, 1);
	await sleep(800);
	const stopped = fs.statSync(inside('beat2')).mtimeMs;
	await sleep(400);
	equal(fs.statSync(inside('beat2')).mtimeMs, stopped);
});

// ---- The web ----

test('web_fetch refuses every address that is not public, however it is written', async () => {
	const before = asked.length;
	for (const host of [`127.0.0.1:${port}`, `localhost:${port}`, `[::1]:${port}`, `0.0.0.0:${port}`, `[::ffff:127.0.0.1]:${port}`,
		`2130706433:${port}`, `0x7f000001:${port}`, `0177.0.0.1:${port}`, `127.1:${port}`, '169.254.169.254', '10.0.0.1', '192.168.1.1',
		'172.16.0.1', '[fd00::1]', '[fe80::1]', `127.0.0.1.:${port}`])
		await fails('web_fetch', { url: `http://${host}/` }, /./);
	for (const url of ['file:///etc/passwd', 'ftp://example.com/', 'gopher://x/', 'javascript:alert(1)', 'http:///x', 'not a url'])
		await fails('web_fetch', { url }, /./);
	equal(asked.length, before, 'our server was reached');
});

test('web_fetch: pages, JSON, encodings, errors, redirects, through a proxy', async () => {
	await restart({ ...base, proxy: { url: `http://127.0.0.1:${port}` }, tools: { web: { fetch: { maxChars: 2000, cacheTtlMinutes: 1 } } } });
	const at = (name) => `http://pages.example/${name}`;
	pages.set('/page', { body: '<html><head><title>A page</title><script>evil()</script></head><body><nav>menu</nav><main><h1>Head</h1><p>Some '
		+ `<b>bold</b> text with a <a href="/x">link</a>.</p>${'<p>More of it, so that it counts as content.</p>'.repeat(8)}</main></body></html>` });
	const page = await tool('web_fetch', { url: at('page') });
	equal(last.isError ?? false, false, page);
	match(page, /written by somebody else/);
	match(page, /# A page/);
	match(page, /Some \*\*bold\*\* text with a \[link\]\(http:\/\/pages\.example\/x\)/);
	ok(!/evil|menu/.test(page), page);
	const [, id] = /<<<EXTERNAL_UNTRUSTED_CONTENT id="([0-9a-f]{16})">>>/.exec(page);
	ok(page.trimEnd().endsWith(`<<<END_EXTERNAL_UNTRUSTED_CONTENT id="${id}">>>`), page);
	const count = asked.length;
	equal(await tool('web_fetch', { url: at('page') }), page);
	equal(asked.length, count, 'it comes from the cache');
	match(await tool('web_fetch', { url: at('page'), extractMode: 'text' }), /Some bold text with a link\./);
	pages.set('/json', { type: 'application/json', body: '{"id":12345678901234567890,"a":[1]}' });
	match(await tool('web_fetch', { url: at('json') }), /"id": 12345678901234567890,\n  "a": \[\n    1\n  \]/);
	pages.set('/latin', { type: 'text/plain; charset=windows-1252', body: Buffer.from([0x63, 0xe9, 0x80]) });
	match(await tool('web_fetch', { url: at('latin') }), /cé€/);
	pages.set('/long', { type: 'text/plain', body: 'x'.repeat(5000) });
	const cut = await tool('web_fetch', { url: at('long') });
	ok(cut.length < 2500 && /Cut here/.test(cut), cut.slice(-200));
	pages.set('/image', { type: 'image/png', body: Buffer.alloc(100) });
	await fails('web_fetch', { url: at('image') }, /not text but image\/png/);
	await fails('web_fetch', { url: at('gone') }, /HTTP 404/);
	pages.set('/moved', { status: 302, headers: { location: '/page' } });
	match(await tool('web_fetch', { url: at('moved'), maxChars: 1999 }), /# A page/);
	pages.set('/inward', { status: 302, headers: { location: `http://127.0.0.1:${port}/` } });
	await fails('web_fetch', { url: at('inward') }, /./);
	pages.set('/giant', { type: 'text/plain', body: 'x'.repeat(9 << 20) });
	await fails('web_fetch', { url: at('giant') }, /./);
	const turn = await spawnCli(['agent', '-m', `/tool web_fetch {"url":"${at('json')}"}`]);
	match(turn.out, /12345678901234567890/);
});

// ---- The operator's word ----

test('the level of the configuration holds; a machine without the means is refused, not served', async () => {
	await restart({ ...base, tools: { exec: { sandbox: { level: 'relaxed' } } } });
	match(await sh('ls /var/lib | head -3; cat ../openclaw.json; echo x > /etc/oc-planted; echo done'), /done/);
	ok(!fs.existsSync('/etc/oc-planted'));
	ok(!(await sh('cat ../openclaw.json')).includes(SECRET));
	// Without the helper nothing runs.
	await restart(base, { OPENCLAW_SANDBOX_HELPER: '/nonexistent/openclaw-sandbox' });
	await fails('exec', { command: 'echo ran' }, /could not be run: the sandbox helper .* cannot be run; correct or unset OPENCLAW_SANDBOX_HELPER/);
});

test('allow-list: without exec there is none', async () => {
	await restart({ ...base, tools: { deny: ['exec', 'group:web'] } });
	for (const name of ['exec', 'web_fetch'])
		await gateway.rpc('tools.execute', { name, arguments: { command: 'id', url: 'http://example.com/' }, session: 'main' }).then(
			(r) => equal(r.isError, true), (error) => match(error.message, /may not be used here: tools denies it/));
	await stop();
});

await done();
