import crypto from 'node:crypto';
import fs from 'node:fs';
import http from 'node:http';
import path from 'node:path';
import zlib from 'node:zlib';
import { test, done, cleanup, Gateway, cli, spawnCli, equal, ok, match, until, state, skipAll, writeConfig } from './lib.mjs';

if (!fs.existsSync(path.join(path.dirname(process.env.OC_BIN), 'bridge/vendor')))
	skipAll('built without plugins');

// ---- Tarballs, also such as no honest tool writes ----

function entry(name, content = '', { type = '0', link = '', mode = 0o644, size } = {}) {
	const data = Buffer.from(content), head = Buffer.alloc(512);
	head.write(name, 0, 100);
	head.write(mode.toString(8).padStart(7, '0'), 100);
	head.write('0000000', 108);
	head.write('0000000', 116);
	head.write((size ?? data.length).toString(8).padStart(11, '0'), 124);
	head.write('14000000000', 136);
	head.write('        ', 148);
	head.write(type, 156);
	head.write(link, 157, 100);
	head.write('ustar\x0000', 257);
	head.write(head.reduce((sum, byte) => sum + byte, 0).toString(8).padStart(6, '0') + '\0 ', 148);
	return Buffer.concat([head, data, Buffer.alloc((512 - (data.length % 512)) % 512)]);
}
const tgz = (entries) => zlib.gzipSync(Buffer.concat([...entries, Buffer.alloc(1024)]));
const folder = path.join(path.dirname(state), 'packages');
fs.mkdirSync(folder, { recursive: true });
const manifest = (id, more = {}) => JSON.stringify({ id, name: id, configSchema: { type: 'object' }, ...more });
const code = (text) => `export default { register(api: any) { api.registerTool({ name: ${JSON.stringify(text)}, description: "d",
	parameters: { type: "object", properties: {} }, execute: async () => "I am ${text}" }); } };\n`;
const packed = (id, { version = '1.0.0', tool = `${id}_tool`, more = [], pkg = {} } = {}) => tgz([
	entry('package/package.json', JSON.stringify({ name: id, version, type: 'module', openclaw: { extensions: ['./index.ts'] },
		scripts: { postinstall: `touch ${folder}/owned` }, ...pkg })),
	entry('package/openclaw.plugin.json', manifest(id)), entry('package/index.ts', code(tool)), ...more]);
const file = (name, bytes) => {
	fs.writeFileSync(path.join(folder, name), bytes);
	return path.join(folder, name);
};
const extensions = path.join(state, 'extensions');
const there = (id) => fs.existsSync(path.join(extensions, id));
const json = (r) => JSON.parse(r.out);
const config = () => fs.readFileSync(path.join(state, 'openclaw.json'), 'utf8');
const nothingLeft = () => equal(fs.existsSync(extensions) ? fs.readdirSync(extensions).filter((name) => name.startsWith('.')) : [], []);

writeConfig(`{
	// keep this remark
	gateway: { mode: 'local' },
	plugins: { allow: ['other'], /* and this */ entries: {} },
}
`);

// ---- A registry of our own ----

const packages = {}, asked = [];
const registry = http.createServer((req, res) => {
	const name = decodeURIComponent(req.url.slice(1).split('?')[0]);
	asked.push(name);
	const tarball = /^tarballs\/(.*)$/.exec(name);
	if (tarball && packages[tarball[1]])
		return res.end(packages[tarball[1]].bytes);
	const one = packages[name];
	if (!one) {
		res.statusCode = 404;
		return res.end('{"error":"not found"}');
	}
	res.setHeader('content-type', 'application/json');
	res.end(JSON.stringify({ name, 'dist-tags': { latest: one.version }, versions: { [one.version]: { name, version: one.version, ...one.pkg, dist: {
		tarball: `http://127.0.0.1:${registry.address().port}/tarballs/${encodeURIComponent(name)}`,
		shasum: crypto.createHash('sha1').update(one.bytes).digest('hex'),
		integrity: one.integrity ?? `sha512-${crypto.createHash('sha512').update(one.bytes).digest('base64')}` } } } }));
});
await new Promise((resolve) => registry.listen(0, '127.0.0.1', resolve));
cleanup(() => registry.closeAllConnections());
const npm = { npm_config_registry: `http://127.0.0.1:${registry.address().port}/`, npm_config_cache: path.join(folder, 'npm-cache'), npm_config_fetch_retries: '0' };
const publish = (name, version, bytes, more = {}) => {
	packages[name] = { version, bytes, ...more };
};
const install = async (spec, ...more) => {
	const r = await spawnCli(['plugins', 'install', spec, '--json', ...more], { env: npm });
	return { ...r, answer: JSON.parse(r.out) };
};

// ---- Archives and folders ----

test('an archive: unpacked, enabled, noted with its integrity; remarks of the configuration stay', async () => {
	const bytes = packed('alpha');
	const { code: exit, answer, err } = await install(file('alpha.tgz', bytes));
	equal(exit, 0, err);
	equal(answer.id, 'alpha');
	equal(answer.integrity, `sha512-${crypto.createHash('sha512').update(bytes).digest('base64')}`);
	equal(fs.readdirSync(path.join(extensions, 'alpha')).sort(), ['index.ts', 'openclaw.plugin.json', 'package.json']);
	match(config(), /keep this remark/);
	match(config(), /and this/);
	const now = json(cli(['config', 'get', 'plugins', '--json']));
	equal(now.entries.alpha.enabled, true);
	equal(now.allow, ['other', 'alpha']);
	equal(now.installs.alpha.source, 'archive');
	equal(now.installs.alpha.integrity, answer.integrity);
	match(now.installs.alpha.installedAt, /^\d{4}-\d\d-\d\dT/);
	ok(!fs.existsSync(path.join(folder, 'owned')));
	nothingLeft();
});

test('twice is an error unless it is wanted', async () => {
	const { code: exit, answer } = await install(path.join(folder, 'alpha.tgz'));
	equal(exit, 1);
	match(answer.error, /installed already/);
	match(answer.remedy, /update/);
	equal((await install(path.join(folder, 'alpha.tgz'), '--force')).code, 0);
	nothingLeft();
});

test('archives that reach out, hide something or never end are refused, and leave nothing', async () => {
	const before = config();
	const bad = {
		'leads out': [entry('package/../../../evil', 'x')],
		'absolute': [entry('/tmp/evil', 'x')],
		'a symbolic link': [entry('package/link', '', { type: '2', link: '/etc/passwd' })],
		'a hard link': [entry('package/link', '', { type: '1', link: 'package/index.ts' })],
		'a device': [entry('package/null', '', { type: '3' })],
		'a pipe': [entry('package/pipe', '', { type: '6' })],
		'backslash': [entry('package\\..\\evil', 'x')],
		'two files': [entry('package/INDEX.ts', 'x')],
		'outside its folder': [entry('evil', 'x')],
		'middle of a file': [entry('package/short', 'x', { size: 5000000 })],
	};
	for (const [reason, more] of Object.entries(bad)) {
		const { code: exit, answer } = await install(file('bad.tgz', packed('bad', { more })));
		equal(exit, 1, reason);
		match(answer.error, /refused/);
		match(answer.error, new RegExp(reason), answer.error);
	}
	const bomb = zlib.gzipSync(Buffer.concat([entry('package/big', '', { size: 0 }), Buffer.alloc(400 << 20)]), { level: 1 });
	match((await install(file('bomb.tgz', bomb))).answer.error, /unpacks to more than/);
	match((await install(file('no.tgz', 'hello'))).answer.error, /refused/);
	match((await install(file('empty.tgz', tgz([])))).answer.error, /empty/);
	match((await install(file('skill.tgz', tgz([entry('package/package.json', '{"name":"x"}')])))).answer.error, /no plugin/);
	match((await install(file('name.tgz', tgz([entry('package/openclaw.plugin.json', manifest('../../evil')), entry('package/index.ts', code('x'))])))).answer.error, /id that is none/);
	match((await install(file('entry.tgz', tgz([entry('package/openclaw.plugin.json', manifest('e')),
		entry('package/package.json', JSON.stringify({ openclaw: { extensions: ['../../x.ts'] } }))])))).answer.error, /entry .* is not in it/);
	ok(!there('bad') && !there('e') && !fs.existsSync(path.join(state, 'evil')) && !fs.existsSync('/tmp/evil'));
	equal(config(), before);
	nothingLeft();
});

test('a folder is copied, or linked where it is', async () => {
	const source = path.join(folder, 'beta');
	fs.mkdirSync(path.join(source, '.git'), { recursive: true });
	fs.mkdirSync(path.join(source, 'lib'));
	fs.writeFileSync(path.join(source, 'openclaw.plugin.json'), manifest('beta'));
	fs.writeFileSync(path.join(source, 'index.ts'), code('beta_tool'));
	fs.writeFileSync(path.join(source, 'lib/x.txt'), 'x');
	equal((await install(source)).code, 0);
	equal(fs.readdirSync(path.join(extensions, 'beta')).sort(), ['index.ts', 'lib', 'openclaw.plugin.json']);
	fs.symlinkSync('/etc/passwd', path.join(source, 'out'));
	match((await install(source, '--force')).answer.error, /out is a link that leads out/);
	ok(there('beta')); // the old one stays
	fs.unlinkSync(path.join(source, 'out'));
	equal(cli(['plugins', 'uninstall', 'beta', '--json']).code, 0);
	const linked = await install(source, '--link');
	equal(linked.code, 0, linked.err);
	equal(json(cli(['config', 'get', 'plugins.load.paths', '--json'])), [source]);
	ok(!there('beta'));
	equal(json(cli(['plugins', 'info', 'beta', '--json'])).origin, 'config');
	equal(json(cli(['plugins', 'uninstall', 'beta', '--json'])).filesRemoved, false);
	ok(fs.existsSync(path.join(source, 'index.ts')));
	equal(json(cli(['config', 'get', 'plugins.load.paths', '--json'])), []);
});

// ---- npm ----

test('from npm: its dependencies come, openclaw does not, and no script runs', async () => {
	const dependency = tgz([entry('package/package.json', JSON.stringify({ name: 'leftish', version: '2.0.0', main: 'i.js',
		peerDependencies: { openclaw: '*' }, scripts: { install: `touch ${folder}/owned` } })), entry('package/i.js', 'module.exports = "from a dependency";')]);
	publish('leftish', '2.0.0', dependency, { pkg: { peerDependencies: { openclaw: '*' } } });
	publish('openclaw', '2026.1.29', packed('openclaw'));
	publish('@somebody/gamma', '1.0.0', packed('gamma', { pkg: { name: '@somebody/gamma', dependencies: { leftish: '^2.0.0', openclaw: '>=2026.1.0' },
		devDependencies: { openclaw: 'workspace:*', typescript: '9.9.9' } } }));
	asked.length = 0;
	const { code: exit, answer, err } = await install('@somebody/gamma');
	equal(exit, 0, `${err} ${answer.error}`);
	equal(answer.source, 'npm');
	equal(answer.resolved, '@somebody/gamma@1.0.0');
	ok(fs.existsSync(path.join(extensions, 'gamma/node_modules/leftish/i.js')));
	ok(!fs.existsSync(path.join(extensions, 'gamma/node_modules/openclaw')));
	ok(!asked.some((name) => name === 'openclaw' || name === 'tarballs/openclaw'), asked.join(' '));
	ok(!fs.existsSync(path.join(folder, 'owned')));
	equal(JSON.parse(fs.readFileSync(path.join(extensions, 'gamma/package.json'))).devDependencies.openclaw, 'workspace:*'); // as it came
	nothingLeft();
});

test('what npm cannot bring, or brings otherwise than promised, leaves nothing', async () => {
	match((await install('no-such-plugin')).answer.error, /npm pack failed/);
	publish('delta', '1.0.0', packed('delta', { pkg: { dependencies: { 'no-such-thing': '1.0.0' } } }));
	match((await install('delta')).answer.error, /npm install failed/);
	publish('epsilon', '1.0.0', packed('epsilon', { pkg: { dependencies: { x: 'file:../../..' } } }));
	match((await install('epsilon')).answer.error, /is file:/);
	publish('zeta', '1.0.0', packed('zeta'), { integrity: `sha512-${'A'.repeat(86)}==` });
	equal((await install('zeta')).code, 1);
	for (const spec of ['git+https://example.org/x.git', 'https://example.org/x', 'a b', 'x@http://y', '--prefix'])
		equal((await spawnCli(['plugins', 'install', '--json', ...(spec.startsWith('--') ? ['--', spec] : [spec])], { env: npm })).code !== 0, true, spec);
	ok(!there('delta') && !there('epsilon') && !there('zeta'));
	nothingLeft();
});

test('update: the new version in the place of the old; the same version must be the same', async () => {
	publish('@somebody/gamma', '1.1.0', packed('gamma', { version: '1.1.0', tool: 'gamma_new', pkg: { name: '@somebody/gamma' } }));
	const r = await spawnCli(['plugins', 'update', 'gamma', '--json'], { env: npm });
	equal(r.code, 0, r.out + r.err);
	const [row] = JSON.parse(r.out);
	equal([row.from, row.to, row.ok], ['1.0.0', '1.1.0', true]);
	match(fs.readFileSync(path.join(extensions, 'gamma/index.ts'), 'utf8'), /gamma_new/);
	equal((await install('@somebody/gamma@1.1.0', '--force')).code, 0);
	publish('@somebody/gamma', '1.1.0', packed('gamma', { version: '1.1.0', tool: 'gamma_evil', pkg: { name: '@somebody/gamma' } }));
	fs.rmSync(path.join(folder, 'npm-cache'), { recursive: true });
	const again = await spawnCli(['plugins', 'update', 'gamma', '--json'], { env: npm });
	equal(again.code, 1);
	match(JSON.parse(again.out)[0].error, /integrity differs/);
	match(fs.readFileSync(path.join(extensions, 'gamma/index.ts'), 'utf8'), /gamma_new/);
	equal(cli(['plugins', 'update']).code, 2);
	equal(JSON.parse((await spawnCli(['plugins', 'update', 'nobody', '--json'], { env: npm })).out)[0].ok, false);
	nothingLeft();
});

// ---- With a gateway ----

let gw;
const tools = async () => JSON.stringify(await gw.rpc('tools.list', {}));

test('a running gateway takes up what is installed and lets go of what is uninstalled', async () => {
	gw = await new Gateway().start();
	await until('the tool of an archive', async () => (await tools()).includes('alpha_tool'));
	publish('eta', '1.0.0', packed('eta'));
	equal((await install('eta')).code, 0);
	ok((await tools()).includes('eta_tool'), 'install returns when it works');
	const said = await gw.rpc('tools.execute', { name: 'eta_tool', arguments: {}, session: 'main' });
	equal(said.content[0].text, 'I am eta_tool');
	equal(json(cli(['plugins', 'uninstall', 'eta', '--json'])), { ok: true, id: 'eta', filesRemoved: true });
	ok(!(await tools()).includes('eta_tool'));
	ok(!there('eta'));
	equal((await gw.rpc('plugins.list', {})).plugins.some((one) => one.id === 'eta'), false);
});

test('a folder that is copied while the gateway runs: list shows it, enable and settings work at once', async () => {
	const copy = (id, text) => {
		fs.mkdirSync(path.join(extensions, id));
		fs.writeFileSync(path.join(extensions, id, 'openclaw.plugin.json'), manifest(id));
		fs.writeFileSync(path.join(extensions, id, 'index.js'), text);
	};
	copy('iota', `module.exports = { register(api) { api.registerTool({ name: 'iota_tool', description: 'x', parameters: { type: 'object' },
		execute: async () => ({ content: [{ type: 'text', text: 'I am iota' }] }) }); } };`);
	equal(cli(['plugins', 'enable', 'iota']).code, 0);
	ok((await tools()).includes('iota_tool'));
	copy('kappa', 'throw new Error("kappa is broken");');
	match(cli(['plugins', 'list']).out, /^kappa /m);
	const r = cli(['plugins', 'enable', 'kappa']);
	equal(r.code, 1);
	match(r.err, /kappa: it could not be loaded: kappa is broken\n {2}-> openclaw plugins logs kappa says more; once it is mended: openclaw plugins enable kappa$/m);
	equal(cli(['plugins', 'disable', 'iota']).code, 0);
	ok(!(await tools()).includes('iota_tool'));
	for (const id of ['iota', 'kappa'])
		equal(cli(['plugins', 'uninstall', id]).code, 0);
});

test('logs: what a plugin printed, and only that', async () => {
	const source = path.join(folder, 'theta');
	fs.mkdirSync(source);
	fs.writeFileSync(path.join(source, 'openclaw.plugin.json'), manifest('theta'));
	fs.writeFileSync(path.join(source, 'index.js'), 'module.exports = { register(api) { console.log("hello from theta"); api.logger.warn("theta warns"); } };');
	equal((await install(source)).code, 0);
	await until('its words', () => /theta warns/.test(cli(['plugins', 'logs', 'theta']).out));
	const lines = cli(['plugins', 'logs', 'theta', '--json']).out.trim().split('\n').map((line) => JSON.parse(line));
	ok(lines.some((line) => line.message.includes('hello from theta')));
	ok(lines.every((line) => line.where === 'plugin theta' || /theta/.test(line.message)));
	equal(cli(['plugins', 'logs', 'nobody']).out, '');
	equal((await gw.stop()).code, 0);
});

test('doctor: what is installed and gone; everything with --json is JSON', async () => {
	fs.rmSync(path.join(extensions, 'gamma'), { recursive: true });
	const r = cli(['plugins', 'doctor', '--json']);
	equal(r.code, 1);
	ok(json(r).some((one) => one.plugin === 'gamma' && one.kind === 'files'));
	for (const args of [['list'], ['info', 'alpha'], ['doctor', 'alpha'], ['disable', 'alpha'], ['enable', 'alpha']])
		json(cli(['plugins', ...args, '--json']));
	match(cli(['plugins', 'doctor', 'nobody']).err, /no plugin "nobody"/);
});

await done();
