// The agent's memory: search by words and by meaning, reading, what changes in the files, what is no memory, the commands.
import fs from 'node:fs';
import http from 'node:http';
import path from 'node:path';
import { Gateway, cleanup, cli, done, equal, match, ok, spawnCli, state, test, until, writeConfig } from './lib.mjs';

// ---- A server that makes vectors: one dimension for each notion it knows ----

const notions = [/tea|drink|beverage/i, /falcon|project|work/i, /plumber|repair|pipe/i, /dog|pet|animal/i];
const asked = [];
let broken = false;
const server = http.createServer(async (req, res) => {
	let raw = '';
	for await (const piece of req)
		raw += piece;
	const body = JSON.parse(raw);
	if (broken || !req.url.endsWith('/embeddings')) {
		res.writeHead(500, { 'content-type': 'application/json' });
		res.end(JSON.stringify({ error: { message: 'no vectors today' } }));
		return;
	}
	const input = [body.input].flat();
	asked.push(input);
	res.writeHead(200, { 'content-type': 'application/json' });
	res.end(JSON.stringify({ data: input.map((text, index) => ({ index, embedding: [...notions.map((n) => (n.test(text) ? 1 : 0)), 0.05] })), usage: { prompt_tokens: 5 } }));
});
await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve));
cleanup(() => server.closeAllConnections());

const workspace = path.join(state, 'workspace');
const write = (name, text) => {
	fs.mkdirSync(path.dirname(path.join(workspace, name)), { recursive: true });
	fs.writeFileSync(path.join(workspace, name), text);
};
let gw;
async function restart(memorySearch, extra = {}) {
	await gw?.stop();
	writeConfig({ agents: { defaults: { skipBootstrap: true, ...(memorySearch ? { memorySearch } : {}) } },
		models: { providers: { vec: { api: 'openai-completions', baseUrl: `http://127.0.0.1:${server.address().port}/v1`, apiKey: 'k-123456',
			models: [{ id: 'chat' }], embeddings: [{ id: 'notions' }] } } }, ...extra });
	gw = await new Gateway().start();
	asked.length = 0;
}
const execute = async (name, args) => gw.rpc('tools.execute', { name, arguments: args });
async function tool(name, args) {
	const r = await execute(name, args);
	ok(!r.isError, JSON.stringify(r));
	equal(JSON.parse(r.content[0].text), r.details, 'text and details say the same');
	return r.details;
}
const search = (query, extra = {}) => tool('memory_search', { query, ...extra });

test('words: passages with file, lines, score and citation', async () => {
	write('MEMORY.md', '# Memory\n\nThe owner likes green tea.\n\n## Projects\n\nProject Falcon ships in May.\n');
	write('memory/2026-01-02.md', '# Notes\n\nBought apples and pears.\nCalled the plumber.\n');
	write('memory/deep/er/old.md', 'The cat is called Minka.\n');
	write('memory/ignored.txt', 'plumber plumber plumber\n');
	write('notes.md', 'plumber, but this is no memory\n');
	await restart({ provider: 'none' });
	const r = await search('plumber');
	equal(r.mode, 'words');
	equal(r.provider, 'none');
	equal(r.results.map((x) => x.path), ['memory/2026-01-02.md']);
	const [hit] = r.results;
	equal([hit.startLine, hit.endLine, hit.source], [1, 4, 'memory']);
	ok(hit.score > 0.9 && hit.score <= 1, `${hit.score}`);
	match(hit.snippet, /^# Notes[^]*Called the plumber\.\n\nSource: memory\/2026-01-02\.md#L1-L4$/);
	equal(hit.citation, 'memory/2026-01-02.md#L1-L4');
	equal((await search('what is the name of the cat?')).results[0].path, 'memory/deep/er/old.md');
	equal((await search('green teas')).results[0].path, 'MEMORY.md', 'other forms of a word count');
	equal((await search('zebra')).results, []);
});

test('a query is text, whatever is in it', async () => {
	for (const query of ['"plumber', 'plumber AND', '*', 'NEAR(a b', 'a OR', "'; DROP TABLE chunks; --", 'path:x', '🍵', ' - ', 'ä'.repeat(300)])
		ok(Array.isArray((await search(query)).results), query);
	equal((await search('plumber* OR "')).results.length, 1);
	match(JSON.stringify(await execute('memory_search', {}).catch((e) => e.message)), /query/);
	match(JSON.stringify(await execute('memory_search', { query: 'x'.repeat(9000) })), /longer than/);
});

test('maxResults and minScore', async () => {
	for (let i = 0; i < 9; i++)
		write(`memory/n${i}.md`, `Note ${i} about the garden${i === 4 ? ', roses and tulips' : ''}.\n`);
	equal((await search('garden')).results.length, 6);
	equal((await search('garden', { maxResults: 2 })).results.length, 2);
	equal((await search('garden roses tulips', { minScore: 0.9 })).results.map((r) => r.path), ['memory/n4.md']);
	for (let i = 0; i < 9; i++)
		fs.rmSync(path.join(workspace, `memory/n${i}.md`));
});

test('what changes in the files is found at once, what is gone is not', async () => {
	equal((await search('garden')).results, []);
	write('memory/today.md', 'A heron stood in the pond.\n');
	equal((await search('heron')).results[0].path, 'memory/today.md');
	write('memory/today.md', 'A stork stood in the pond.\n');
	equal((await search('heron')).results, []);
	equal((await search('stork')).results.length, 1);
	fs.renameSync(path.join(workspace, 'memory/today.md'), path.join(workspace, 'memory/yesterday.md'));
	equal((await search('stork')).results.map((r) => r.path), ['memory/yesterday.md']);
	fs.rmSync(path.join(workspace, 'memory/yesterday.md'));
	equal((await search('stork')).results, []);
});

test('a long file is cut into pieces with their lines', async () => {
	const lines = Array.from({ length: 400 }, (_, i) => `line ${i + 1}: nothing of interest was noted down here today`);
	lines[299] = 'line 300: the treasure lies under the old oak';
	write('memory/long.md', lines.join('\n') + '\n');
	const [hit] = (await search('treasure oak')).results;
	ok(hit.startLine > 200 && hit.startLine <= 300 && hit.endLine >= 300 && hit.endLine < 350, JSON.stringify(hit));
	const got = await tool('memory_get', { path: 'memory/long.md', from: 300, lines: 1 });
	equal(got.text, 'line 300: the treasure lies under the old oak');
	fs.rmSync(path.join(workspace, 'memory/long.md'));
});

test('memory_get: whole, in part, missing; and nothing that is no memory', async () => {
	equal(await tool('memory_get', { path: 'MEMORY.md' }), { text: fs.readFileSync(path.join(workspace, 'MEMORY.md'), 'utf8'), path: 'MEMORY.md' });
	equal(await tool('memory_get', { path: 'memory/2026-01-02.md', from: 3, lines: 1 }), { text: 'Bought apples and pears.', path: 'memory/2026-01-02.md' });
	equal(await tool('memory_get', { path: 'memory/none.md' }), { text: '', path: 'memory/none.md' });
	equal((await tool('memory_get', { path: 'MEMORY.md', from: 99 })).text, '');
	fs.writeFileSync(path.join(state, 'secret.md'), 'secret');
	fs.symlinkSync(path.join(state, 'secret.md'), path.join(workspace, 'memory/link.md'));
	fs.symlinkSync(state, path.join(workspace, 'memory/dir'));
	for (const bad of ['notes.md', '../secret.md', 'memory/../../secret.md', 'memory/../notes.md', '/etc/passwd', '/etc/x.md', 'memory/link.md',
		'memory/dir/secret.md', 'memory/ignored.txt', 'memory//x.md', 'memory/.hidden.md', 'openclaw.json', `${workspace}/MEMORY.md`]) {
		const r = await tool('memory_get', { path: bad });
		equal(r.text, '', bad);
		ok(r.error, bad);
	}
	equal((await search('secret')).results, [], 'links are not followed');
	fs.rmSync(path.join(workspace, 'memory/link.md'));
	fs.rmSync(path.join(workspace, 'memory/dir'));
});

test('meaning: what shares no word with the question is found by its vector', async () => {
	await restart({ provider: 'vec', model: 'notions', query: { minScore: 0.3 } });
	const r = await search('favourite beverage');
	equal(r.mode, 'hybrid');
	equal([r.provider, r.model], ['vec', 'notions']);
	equal(r.results[0].path, 'MEMORY.md');
	ok(asked.flat().includes('favourite beverage'));
	const before = asked.flat().length;
	await search('something to repair a pipe');
	equal(asked.flat().length, before + 1, 'only the question: the pieces are known');
	equal((await search('repair a pipe')).results[0].path, 'memory/2026-01-02.md');
	write('memory/pets.md', 'Rex is a good dog.\n');
	equal((await search('which animal')).results[0].path, 'memory/pets.md');
	const both = await search('green tea');
	ok(both.results[0].score > 0.75, 'words and meaning together');
});

test('without the provider the words remain, and it is said', async () => {
	broken = true;
	const r = await search('plumber');
	equal(r.mode, 'words');
	equal(r.fallback.from, 'vec/notions');
	match(r.fallback.reason, /no vectors today|not available/);
	equal(r.results[0].path, 'memory/2026-01-02.md');
	broken = false;
	equal((await search('plumber')).mode, 'hybrid');
	await restart({ provider: 'nobody' });
	match((await search('plumber')).fallback.reason, /no such provider/);
});

test('the index can go, or be damaged, at any time', async () => {
	const index = path.join(state, 'cache/memory-main.db');
	equal(fs.statSync(index).mode & 0o777, 0o600);
	await gw.stop();
	fs.rmSync(index);
	gw = await new Gateway().start();
	equal((await search('plumber')).results.length, 1);
	await gw.stop();
	fs.rmSync(`${index}-wal`, { force: true });
	fs.writeFileSync(index, 'this is no database, but it is long enough to be taken for one. '.repeat(200));
	gw = await new Gateway().start();
	equal((await search('plumber')).results.length, 1);
	await gw.stop();
	const bytes = fs.readFileSync(index);
	fs.rmSync(`${index}-wal`, { force: true });
	fs.writeFileSync(index, Buffer.concat([bytes.subarray(0, 4096), Buffer.alloc(Math.max(0, bytes.length - 4096), 0x5a)]));
	gw = await new Gateway().start();
	await until('the damaged index to be made anew', async () => {
		const r = await execute('memory_search', { query: 'plumber' });
		return !r.isError && r.details.results.length === 1;
	});
});

test('extra paths, and an agent of its own has its own memory', async () => {
	const other = path.join(state, 'other');
	fs.mkdirSync(path.join(other, 'sub'), { recursive: true });
	fs.writeFileSync(path.join(other, 'sub/wiki.md'), 'The wiki says: umbrellas are in the cellar.\n');
	fs.writeFileSync(path.join(other, 'single.md'), 'A single giraffe.\n');
	await restart({ provider: 'none', extraPaths: [path.join(other, 'sub'), path.join(other, 'single.md')] },
		{ agents: undefined });
	await gw.stop();
	writeConfig({ agents: { defaults: { skipBootstrap: true, memorySearch: { provider: 'none', extraPaths: [path.join(other, 'sub'), path.join(other, 'single.md')] } },
		list: [{ id: 'main', default: true }, { id: 'second' }, { id: 'third', memorySearch: { enabled: false } }] } });
	gw = await new Gateway().start();
	const [hit] = (await search('umbrellas')).results;
	equal(hit.path, path.join(other, 'sub/wiki.md'));
	match((await tool('memory_get', { path: hit.path })).text, /cellar/);
	equal((await search('giraffe')).results[0].path, path.join(other, 'single.md'));
	match((await tool('memory_get', { path: path.join(other, 'single.md') })).text, /giraffe/);
	ok((await tool('memory_get', { path: path.join(other, 'x.md') })).error);
	const second = await gw.rpc('tools.execute', { name: 'memory_search', agent: 'second', arguments: { query: 'plumber' } });
	equal(second.details.results, [], 'not the main agent\'s');
	const off = await gw.rpc('tools.execute', { name: 'memory_search', agent: 'third', arguments: { query: 'x' } }).catch((e) => e);
	match(JSON.stringify(off.message ?? off), /memorySearch\.enabled/);
});

test('many searches at once while files change', async () => {
	const stop = Date.now() + 1500;
	let n = 0;
	const writer = (async () => {
		while (Date.now() < stop) {
			write(`memory/c${n % 5}.md`, `counter ${n++}\n`);
			await new Promise((resolve) => setTimeout(resolve, 3));
		}
	})();
	const searchers = Array.from({ length: 6 }, async () => {
		while (Date.now() < stop)
			equal((await search('plumber')).results[0].path, 'memory/2026-01-02.md');
	});
	await Promise.all([writer, ...searchers]);
	ok((await gw.fetch('/health')).ok);
});

test('the model is told to look, and finds', async () => {
	const r = await gw.rpc('session.message', { session: 'ask', text: '/tool memory_search {"query":"falcon"}' });
	match(r.text, /Falcon ships in May/);
	const system = await gw.rpc('session.message', { session: 'ask', text: '/system' });
	match(system.text, /memory_search/);
});

test('openclaw memory: status, index, search; with and without a gateway', async () => {
	for (const alive of [true, false]) {
		if (!alive)
			await gw.stop();
		const status = await spawnCli(['memory', 'status', '--json']);
		equal(status.code, 0, status.err);
		const s = JSON.parse(status.out);
		ok(s.files >= 4 && s.chunks >= s.files, status.out);
		equal(s.workspace, workspace);
		match((await spawnCli(['memory', 'status'])).out, /files/i);
		const found = await spawnCli(['memory', 'search', 'falcon', 'may', '--max-results', '1', '--json']);
		equal(found.code, 0, found.err);
		equal(JSON.parse(found.out).results.map((x) => x.path), ['MEMORY.md']);
		const words = await spawnCli(['memory', 'search', 'falcon']);
		match(words.out, /MEMORY\.md/);
		match(words.out, /Falcon ships in May/);
		const index = await spawnCli(['memory', 'index', '--force']);
		equal(index.code, 0, index.err);
		match(index.out, /files/);
		match((await spawnCli(['memory', 'search', 'zebra'])).out, /[Nn]othing/);
	}
	equal(cli(['memory', 'search']).code, 2);
	equal((await spawnCli(['memory', 'status', '--agent', 'nobody'])).code, 1);
});

await done();
