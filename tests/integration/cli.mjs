import { spawn, spawnSync } from 'node:child_process';
import fs from 'node:fs';
import http from 'node:http';
import https from 'node:https';
import path from 'node:path';
import { Gateway, bin, cleanup, cli, done, equal, match, ok, spawnCli, state, test, until, writeConfig } from './lib.mjs';

const config = path.join(state, 'openclaw.json');
const envFile = path.join(state, '.env');
const fresh = () => fs.rmSync(state, { recursive: true, force: true });
const mode = (file) => fs.statSync(file).mode & 0o777;

test('every command has --help that ends with the exit codes; wrong ones end with 2', () => {
	const top = cli(['--help']);
	equal(top.code, 0);
	const names = [...top.out.matchAll(/^ {2}([a-z]+) +\S/gm)].map((m) => m[1]).filter((n) => n !== 'openclaw');
	ok(names.length >= 9, names.join());
	for (const name of names) {
		const r = cli([name, '--help']);
		equal(r.code, 0, name);
		match(r.out, new RegExp(`^openclaw ${name} - `), name);
		match(r.out, /Exit codes: /, name);
		equal(cli([name, '--no-such-option']).code, 2, name);
	}
	ok(!/\x1b/.test(top.out), 'no colour away from a terminal');
});

test('help is a command too, and --no-color may come first', () => {
	equal(cli(['help']).out, cli(['--help']).out);
	equal(cli(['help', 'config', 'set']).out, cli(['config', 'set', '--help']).out);
	equal(cli(['help', 'config', 'sett']).code, 2);
	equal(cli(['help', 'status', 'x']).code, 2);
	equal(cli(['--no-color', 'config', 'path']).out, cli(['config', 'path']).out);
	equal(cli(['--no-color', 'config', '--no-color', 'path']).code, 0);
	equal(cli(['--no-color']).code, 2);
});

test('onboard without anything: the offline provider, said clearly, and how to add a real one', () => {
	fresh();
	const r = cli(['onboard', '--non-interactive']);
	equal(r.code, 0, r.err);
	match(r.out, /offline/);
	match(r.out, /--auth-choice anthropic --api-key/);
	equal(mode(config), 0o600);
	equal(mode(state), 0o700);
	match(fs.readFileSync(config, 'utf8'), /offline\/echo/);
});

test('onboard finds a key in the environment and leaves it there', () => {
	fresh();
	const r = cli(['onboard', '--non-interactive', '--json'], { env: { OPENAI_API_KEY: 'sk-from-the-environment-1' } });
	equal(r.code, 0, r.err);
	match(JSON.parse(r.out).model, /^openai\//);
	const both = cli(['onboard', '--non-interactive', '--json', '--auth-choice', 'anthropic'],
		{ env: { OPENAI_API_KEY: 'sk-x-0123456789', ANTHROPIC_API_KEY: 'sk-ant-0123456789' } });
	match(JSON.parse(both.out).model, /^anthropic\//);
	for (const file of fs.readdirSync(state))
		if (fs.statSync(path.join(state, file)).isFile())
			ok(!fs.readFileSync(path.join(state, file), 'utf8').includes('sk-'), file);
});

test('onboard stores a key that is given, for the owner alone, and repeats without loss', () => {
	fresh();
	const r = cli(['onboard', '--non-interactive', '--auth-choice', 'openai-api-key', '--api-key', 'sk-kept-0123456789',
		'--gateway-port', '18999', '--workspace', '~/elsewhere']);
	equal(r.code, 0, r.err);
	equal(mode(envFile), 0o600);
	match(fs.readFileSync(envFile, 'utf8'), /^OPENAI_API_KEY=sk-kept-0123456789$/m);
	ok(!r.out.includes('sk-kept'));
	fs.writeFileSync(config, fs.readFileSync(config, 'utf8').replace('{', '{\n  // mine'), { mode: 0o600 });
	const again = cli(['onboard', '--non-interactive']);
	equal(again.code, 0);
	const text = fs.readFileSync(config, 'utf8');
	match(text, /\/\/ mine/);
	match(text, /18999/);
	match(text, /elsewhere/);
	match(text, /openai\//);
});

test('onboard asks, and takes the answers', () => {
	fresh();
	const r = cli(['onboard'], { input: 'anthropic\nsk-ant-typed-0123456789\n\n\n\n' });
	equal(r.code, 0, r.err);
	match(fs.readFileSync(config, 'utf8'), /anthropic\//);
	match(fs.readFileSync(envFile, 'utf8'), /ANTHROPIC_API_KEY=sk-ant-typed/);
	ok(!fs.readFileSync(config, 'utf8').includes('telegram'));
	const bot = cli(['onboard'], { input: '\n\n123456:typed\n' });
	match(bot.out, /Telegram token \(empty: not now\):/);
	equal(JSON.parse(fs.readFileSync(config, 'utf8')).channels.telegram.botToken, '123456:typed');
	ok(!cli(['onboard'], { input: '\n\n' }).out.includes('Telegram token'), 'not asked again');
});

test('onboard asks again after a wrong answer, and writes nothing when the answers end', () => {
	fresh();
	let r = cli(['onboard'], { input: 'nonsense\nanthropic\nsk-ant-typed-0123456789\n' });
	equal(r.code, 1);
	match(r.out, /There is no "nonsense" in the list/);
	match(r.err, /the answers ended before the questions: nothing was written/);
	ok(!fs.existsSync(config) && !fs.existsSync(envFile));
	r = cli(['onboard'], { input: 'nonsense\n1\n\nsome-model\n\n' });
	equal(r.code, 0, r.err);
	match(fs.readFileSync(config, 'utf8'), /anthropic\/some-model/);
	match(r.out, /key +none yet: put ANTHROPIC_API_KEY=/);
});

test('onboard with a wrong option writes nothing, not even the key', () => {
	fresh();
	for (const [args, code, text] of [
		[['--gateway-port', '99999'], 2, /--gateway-port wants a whole number from 1 to 65535/],
		[['--gateway-bind', 'nonsense'], 2, /--gateway-bind is loopback, lan, tailnet, auto or an address/],
		[['--auth-choice', 'nosuch'], 1, /there is no provider "nosuch"/],
		[['--auth-choice', 'offline'], 1, /offline needs no key/],
		[['--auth-choice', 'lmstudio'], 1, /does not answer at http.*name the model with --model/s],
	]) {
		const r = cli(['onboard', '--non-interactive', '--auth-choice', 'anthropic', '--api-key', 'sk-x-0123456789', ...args]);
		equal(r.code, code, args.join(' '));
		match(r.err, text);
		ok(!fs.existsSync(config) && !fs.existsSync(envFile), args.join(' '));
	}
});

test('onboard replaces a key wherever it stands, and keeps the rest', () => {
	fresh();
	fs.mkdirSync(state, { mode: 0o700 });
	fs.writeFileSync(envFile, '# mine\nexport OPENAI_API_KEY=old-key\nOTHER=1\n', { mode: 0o600 });
	equal(cli(['onboard', '--non-interactive', '--auth-choice', 'openai', '--api-key', 'sk-new-0123456789']).code, 0);
	equal(fs.readFileSync(envFile, 'utf8'), '# mine\nOPENAI_API_KEY=sk-new-0123456789\nOTHER=1\n');
	const r = cli(['onboard', '--non-interactive', '--gateway-bind', '::1', '--workspace', 'work']);
	equal(r.code, 0, r.err);
	match(r.out, /as configured/);
	const text = JSON.parse(cli(['config', 'show', '--source', '--json']).out);
	equal(text.gateway, { ...text.gateway, bind: 'custom', customBindHost: '::1' });
	equal(text.agents.defaults.workspace, path.join(process.cwd(), 'work'));
});

test('agent refuses what it cannot mean', () => {
	fresh();
	for (const [args, input, text] of [
		[['--thinking', 'banana', '-m', 'hi'], '', /--thinking is off, minimal, .*not "banana"/],
		[['-m', '-'], 'a\0b', /has a NUL byte/],
		[['-m', '-'], ' \n', /the message is empty/],
		[[], '', /the message is empty/],
	]) {
		const r = cli(['agent', ...args], { input });
		equal(r.code, 2, r.err);
		match(r.err, text);
	}
	const r = cli(['agent', '-m', 'hi'], { env: { OPENCLAW_GATEWAY_URL: 'http://127.0.0.1:9' } });
	equal(r.code, 3);
	match(r.err, /no gateway listens on 127\.0\.0\.1 port 9[^]*unset OPENCLAW_GATEWAY_URL/);
});

test('what a model writes gives no orders to a terminal', async () => {
	fresh();
	const server = http.createServer((req, res) => {
		const piece = (delta, finish = null) => `data: ${JSON.stringify({ choices: [{ index: 0, delta, finish_reason: finish }] })}\n\n`;
		res.setHeader('content-type', 'text/event-stream');
		res.end(`${piece({ content: 'one\x1b[2J\u009b31mtwo\n\tthree é' })}${piece({}, 'stop')}data: [DONE]\n\n`);
	});
	await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve));
	cleanup(() => server.closeAllConnections() ?? server.close());
	writeConfig({ models: { providers: { esc: { baseUrl: `http://127.0.0.1:${server.address().port}/v1`, api: 'openai-completions',
		apiKey: 'sk-none', models: [{ id: 'm' }] } } }, agents: { defaults: { model: { primary: 'esc/m' } } } });
	const piped = await spawnCli(['agent', '-m', 'hi']);
	equal(piped.out, 'one\x1b[2J\u009b31mtwo\n\tthree é\n', piped.err);
	if (spawnSync('script', ['--version']).error)
		return; // no terminal to be had
	const child = spawn('script', ['-qec', `"${bin}" agent -m hi`, '/dev/null'], { stdio: ['ignore', 'pipe', 'inherit'] });
	let text = '';
	child.stdout.setEncoding('utf8').on('data', (d) => (text += d));
	await new Promise((resolve) => child.on('exit', resolve));
	await until('the answer', () => /three é/.test(text));
	match(text, /one \[2J 31mtwo\r\n\tthree é/);
	const shown = cli(['sessions', 'show']).out;
	ok(!/[\x1b\u009b]/.test(shown));
	server.closeAllConnections();
	server.close();
});

test('the keys that are read, those that are known and those that are written about are the same', () => {
	const top = process.env.OC_TOP_SRCDIR;
	const schema = JSON.parse(cli(['config', 'schema']).out);
	const known = (key) => {
		let at = schema;
		for (const name of key.split('.')) {
			if (at.properties?.[name])
				at = at.properties[name];
			else if (at.additionalProperties !== false)
				return at !== schema;
			else
				return false;
		}
		return true;
	};
	const texts = ['README.md', 'SECURITY.md', 'contrib/man/openclaw.1', 'plugin-sdk/doc/guide.md', 'plugin-sdk/doc/plugins.md', 'plugin-sdk/doc/protocol.md']
		.map((f) => fs.readFileSync(path.join(top, f), 'utf8'));
	const words = texts.flatMap((text) => text.match(/\b[a-z][A-Za-z]*(\.[a-z][A-Za-z]*)+\b(?![/(])/g))
		.filter((w) => schema.properties[w.split('.')[0]]);
	const methods = fs.readFileSync(path.join(top, 'core/gateway/method.h'), 'utf8').match(/(?<=X\()\w+_\w+/g).map((m) => m.replace('_', '.'));
	const others = ['gateway.log', 'gateway.sock', 'hooks.timeoutMs', 'hooks.timeouts', 'session.state', 'plugins.md', 'hooks.test', 'gateway.mjs', ...methods];
	const wrong = new Set(words.filter((w) => !known(w) && !others.includes(w)));
	equal([...wrong], []);
	const read = new Set();
	for (const folder of ['core', 'ipc-bridge'])
		for (const f of fs.readdirSync(path.join(top, folder), { recursive: true }).filter((n) => n.endsWith('.c')))
			for (const [, key] of fs.readFileSync(path.join(top, folder, f), 'utf8').matchAll(/oc_config_(?:str|i64|bool|num)\([^;"]*?"([a-zA-Z0-9_.]+)"/g))
				read.add(key);
	ok(read.size > 60);
	equal([...read].filter((key) => !known(key) || !texts.some((text) => text.includes(key))), []);
	// Whoever sets a key that nobody reads is told so: the others must stand somewhere.
	const sources = ['core', 'ipc-bridge', 'modules'].flatMap((folder) => fs.readdirSync(path.join(top, folder), { recursive: true })
		.filter((n) => /\.(c|js|json)$/.test(n) && n !== 'config/keys.c').map((n) => fs.readFileSync(path.join(top, folder, n), 'utf8'))).join('\n');
	const labels = ['auth.profiles.*.email', 'auth.profiles.*.displayName']; // for people
	const silent = [];
	const walk = (node, at) => {
		if (!node || typeof node !== 'object' || node['x-no-effect'])
			return;
		const name = at.at(-1);
		if (/^[a-z]+[A-Z]/.test(name ?? '') && !new RegExp(`["'.]${name}\\b`).test(sources) && !labels.includes(at.join('.')))
			silent.push(at.join('.'));
		for (const [key, value] of Object.entries(node.properties ?? {}))
			walk(value, [...at, key]);
		walk(node.additionalProperties, [...at, '*']);
		walk(node.items, [...at, '[]']);
	};
	walk(schema, []);
	equal(silent, []);
});

test('a gateway that OPENCLAW_GATEWAY_URL names is stopped, but not restarted here', async () => {
	fresh();
	const gw = await new Gateway().start();
	const env = { OPENCLAW_GATEWAY_URL: gw.url.replace('127.0.0.1', 'localhost'), OPENCLAW_GATEWAY_TOKEN: gw.token };
	equal((await spawnCli(['gateway', 'status'], { env })).code, 0);
	// A method of it, as plugins call one: by its address only with its own token.
	const ask = (...args) => cli(['gateway', 'call', ...args]), there = env.OPENCLAW_GATEWAY_URL;
	equal(JSON.parse(ask('system.version', '--json').out).version, process.env.OC_VERSION);
	match(ask('session.create', '--params', '{"session":"called"}', '--url', there.replace('http', 'ws'), '--token', gw.token).out, /agent:main:called/);
	for (const [code, words, ...args] of [[1, /no method "system.versoin"; did you mean/, 'system.versoin'], [2, /--params/, 'system.version', '--params', '{'],
		[2, /--url wants --token/, 'system.version', '--url', there], [1, /refused the token/, 'system.status', '--url', there, '--token', 'x'],
		[2, /METHOD/], [3, /no gateway|not run|answers/i, 'system.version', '--url', 'http://127.0.0.1:1', '--token', 'x']]) {
		const r = ask(...args);
		equal(r.code, code, r.err);
		match(r.err, words);
		equal(r.out, '');
	}
	const restart = cli(['gateway', 'restart'], { env });
	equal(restart.code, 2);
	match(restart.err, /restart it where it runs/);
	const r = await spawnCli(['gateway', 'stop', '--timeout', '20'], { env });
	equal(r.code, 0, r.err);
	equal((await gw.exited).code, 0);
	const status = cli(['gateway', 'status', '--json'], { env });
	equal(status.code, 3);
	equal(JSON.parse(status.out), { ok: false, running: false });
	for (const [url, text] of [['http://[::1]:9', /no gateway is running/], ['http://somewhere.example:9', /is no address/],
		['https://127.0.0.1', /is not understood/], ['http://127.0.0.1:x', /wrong port/]])
		match(cli(['gateway', 'status'], { env: { ...env, OPENCLAW_GATEWAY_URL: url } }).err, text);
});

test('onboard finds a local server', async () => {
	fresh();
	const server = http.createServer((req, res) => {
		res.setHeader('content-type', 'application/json');
		res.end(JSON.stringify({ object: 'list', data: [{ id: 'llama-local:3b', object: 'model' }] }));
	});
	const free = await new Promise((resolve) => {
		server.once('error', () => resolve(false));
		server.listen(11434, '127.0.0.1', () => resolve(true));
	});
	if (!free)
		return; // a real one is here
	cleanup(async () => server.closeAllConnections() ?? server.close());
	const r = await spawnCli(['onboard', '--non-interactive', '--json']);
	equal(r.code, 0, r.err);
	equal(JSON.parse(r.out).model, 'ollama/llama-local:3b');
	server.closeAllConnections();
	server.close();
});

test('an unknown provider is refused and nothing written', () => {
	fresh();
	const r = cli(['onboard', '--non-interactive', '--auth-choice', 'nosuch']);
	equal(r.code, 1);
	match(r.err, /nosuch/);
	ok(!fs.existsSync(config));
});

test('doctor finds what is wrong, --fix repairs modes', () => {
	fresh();
	writeConfig({ gatway: {} });
	fs.chmodSync(config, 0o644);
	const r = cli(['doctor']);
	equal(r.code, 1);
	match(r.out, /problem +state +.*openclaw\.json is open to other users/);
	match(r.out, /note +config +gatway/);
	match(r.out, /sandbox/);
	cli(['doctor', '--fix']);
	equal(mode(config), 0o600);
	const j = cli(['doctor', '--json']);
	ok(JSON.parse(j.out).findings.length > 5);
});

test('the systemd unit names this binary and state; it can be written and removed', () => {
	fresh();
	const home = path.join(path.dirname(state), 'unit-home');
	const env = { XDG_CONFIG_HOME: path.join(home, 'config') };
	const printed = cli(['daemon', 'install', '--print'], { env });
	equal(printed.code, 0);
	match(printed.out, /Type=notify/);
	match(printed.out, new RegExp(`ExecStart=".*${path.basename(bin)}" gateway run`));
	match(printed.out, /NoNewPrivileges=yes/);
	if (fs.existsSync('/run/systemd/system'))
		return; // not to touch a real manager
	const unit = path.join(home, 'config/systemd/user/openclaw.service');
	equal(cli(['daemon', 'install'], { env }).code, 0);
	equal(fs.readFileSync(unit, 'utf8'), printed.out);
	equal(cli(['daemon', 'uninstall'], { env }).code, 0);
	ok(!fs.existsSync(unit));
	equal(cli(['daemon', 'uninstall'], { env }).code, 1);
});

test('the unit says what systemd reads back, for the account it is for', () => {
	const odd = { OPENCLAW_STATE_DIR: '/srv/a "b" 100%/$x' };
	const text = cli(['daemon', 'install', '--print'], { env: odd }).out;
	match(text, /^Environment="OPENCLAW_STATE_DIR=\/srv\/a \\"b\\" 100%%\/\$x"$/m);
	match(text, /^EnvironmentFile=-\/srv\/a "b" 100%%\/\$x\/\.env$/m);
	const root = cli(['daemon', 'install', '--print', '--system', '--user', 'root'], { env: { OPENCLAW_STATE_DIR: '' } }).out;
	match(root, /^User=root$/m);
	match(root, /^Environment="OPENCLAW_STATE_DIR=\/root\/\.openclaw"$/m);
	match(root, /^WantedBy=multi-user\.target$/m);
	match(root, /^CapabilityBoundingSet=$/m);
	match(root, /^ProtectSystem=full$/m);
	/* A user's manager can neither drop capabilities nor make namespaces: the unit would not start. */
	ok(!/Capabilit|^Protect|^Private/m.test(text), text);
	/* Root cannot be itself in the sandbox's user namespace without this one. */
	match(cli(['daemon', 'install', '--print', '--system']).out, /^CapabilityBoundingSet=CAP_SETFCAP$/m);
	equal(cli(['daemon', 'install', '--print', '--user', 'root']).code, 2);
	match(cli(['daemon', 'install', '--print', '--system', '--user', 'no\nsuch']).err, /there is no account/);
	if (!fs.existsSync('/run/systemd/system'))
		match(cli(['daemon', 'start']).err, /systemd does not run here/);
});

test('logs: the last lines of a level, without what terminals obey', () => {
	fresh();
	fs.mkdirSync(path.join(state, 'logs'), { recursive: true, mode: 0o700 });
	const line = (level, message) => JSON.stringify({ time: '2026-01-01T00:00:00.000Z', level, where: 'test', message }) + '\n';
	fs.writeFileSync(path.join(state, 'logs/gateway.log'),
		line('error', 'first') + line('warn', 'second\x1b[2J\u009b') + line('info', 'x').repeat(500) + '{"cut');
	equal(cli(['logs', '-n', '2', '-l', 'warn']).out, '2026-01-01T00:00:00.000Z error test: first\n'
		+ '2026-01-01T00:00:00.000Z warn  test: second [2J \n');
	equal(cli(['logs', '-n', '1', '-l', 'error']).out, '2026-01-01T00:00:00.000Z error test: first\n');
	equal(cli(['logs', '-n', '3']).out.split('\n').length, 3); // the cut one is left out
	equal(cli(['logs', '-n', '0']).out, '');
});

test('completion scripts are scripts and know the commands', () => {
	const r = cli(['completion', '--shell', 'bash']);
	equal(r.code, 0);
	const check = spawnSync('bash', ['-c', `${r.out}\nCOMP_WORDS=(openclaw gateway ""); COMP_CWORD=2; _openclaw; echo "\${COMPREPLY[*]}"`],
		{ encoding: 'utf8' });
	match(check.stdout, /run status stop restart/);
	match(cli(['completion', '--shell', 'fish']).out, /complete -c openclaw/);
	const dir = path.join(path.dirname(state), 'shells');
	fs.mkdirSync(dir, { recursive: true });
	fs.writeFileSync(path.join(dir, 'oc.fish'), cli(['completion', '--shell', 'fish']).out);
	const fish = spawnSync('fish', ['-c', `source ${dir}/oc.fish; complete -C 'openclaw gateway '`], { encoding: 'utf8' });
	if (!fish.error)
		match(fish.stdout, /^restart\t[^]*^run\t[^]*^status\t[^]*^stop\t/m);
	fs.writeFileSync(path.join(dir, 'oc.zsh'), cli(['completion', '--shell', 'zsh']).out);
	const zsh = spawnSync('zsh', ['-fc', `compdef() { :; }; source ${dir}/oc.zsh; compadd() { echo "$@"; }; _files() { echo files; }
		words=(openclaw gateway ''); CURRENT=3; _openclaw; words=(openclaw agent -s x --mod); CURRENT=5; _openclaw
		words=(openclaw logs ''); CURRENT=3; _openclaw`], { encoding: 'utf8' });
	if (!zsh.error)
		equal(zsh.stdout.replace(/--help.*--model.*/, '--help --model'), '-- run status stop restart call methods\n-- --help --model\nfiles\n', zsh.stderr);
	equal(cli(['completion', '--shell', 'tcsh']).code, 2);
	equal(cli(['completion', 'bash']).out, r.out);
	equal(JSON.parse(cli(['daemon', 'status', '--json']).out).unit, 'openclaw.service');
});

test('TLS: a certificate of its own, the command line still goes by the Unix socket', async () => {
	fresh();
	writeConfig({ gateway: { tls: { enabled: true } } });
	const gw = await new Gateway().start();
	match(gw.log, /https:\/\/127\.0\.0\.1/);
	const body = await new Promise((resolve, reject) => {
		https.get({ host: '127.0.0.1', port: gw.port, path: '/health', rejectUnauthorized: false }, (res) => {
			let text = '';
			const protocol = res.socket.getProtocol();
			const fingerprint = res.socket.getPeerCertificate().fingerprint256;
			res.on('data', (d) => (text += d));
			res.on('end', () => resolve({ text, protocol, fingerprint }));
		}).on('error', reject);
	});
	equal(JSON.parse(body.text).ok, true);
	match(body.protocol, /^TLSv1\.[23]$/);
	equal(mode(path.join(state, 'tls/key.pem')), 0o600);
	equal(JSON.parse(cli(['status', '--json']).out).listen.fingerprint.toUpperCase(), `SHA256:${body.fingerprint}`);
	equal(cli(['status']).code, 0);
	await gw.stop();
});

test('logs -f follows across a rotation', async () => {
	fresh();
	writeConfig({ logging: { maxFileBytes: 65536, level: 'debug' } });
	const line = JSON.stringify({ time: '2026-01-01T00:00:00.000Z', level: 'info', where: 'test', message: 'x'.repeat(150) }) + '\n';
	fs.mkdirSync(path.join(state, 'logs'), { mode: 0o700 });
	fs.writeFileSync(path.join(state, 'logs/gateway.log'), line.repeat(Math.floor(64000 / line.length)), { mode: 0o600 });
	const gw = await new Gateway().start();
	const child = spawn(bin, ['logs', '-f', '-n', '1'], { env: process.env, stdio: ['ignore', 'pipe', 'inherit'] });
	let text = '';
	child.stdout.on('data', (d) => (text += d));
	await until('the first line', () => text.length > 0);
	for (let i = 0; i < 15; i++)
		equal((await spawnCli(['agent', '-m', 'hi'])).code, 0); // each leaves a line
	await until('a rotation', () => fs.existsSync(path.join(state, 'logs/gateway.log.1')), 15000);
	await gw.stop();
	await until('the last line', () => /gateway: stopped/.test(text));
	child.kill('SIGINT');
	const code = await new Promise((resolve) => child.on('exit', resolve));
	equal(code, 0);
});

test('port and address from the environment; what is wrong there is said', async () => {
	fresh();
	const gw = new Gateway({ env: { OPENCLAW_GATEWAY_PORT: '1' } }); // the harness asks for any free port: the flag counts first
	await gw.start();
	await gw.stop();
	const port = 20000 + (process.pid % 20000);
	const env = { OPENCLAW_GATEWAY_PORT: String(port), OPENCLAW_GATEWAY_BIND: 'loopback' };
	equal((await spawnCli(['gateway', 'restart'], { env })).code, 0);
	match(cli(['gateway', 'status']).out, new RegExp(`running at http://127\\.0\\.0\\.1:${port},`));
	match(cli(['health']).out, /^Gateway: ok \(\d+ ms\)\n[^]*Agents: main \(default\)\n[^]*Sessions: \d+ \(.*openclaw\.db\)\n$/);
	equal(JSON.parse(cli(['health', '--json']).out).ok, true);
	equal(cli(['gateway', 'stop']).code, 0);
	equal(cli(['health']).code, 3); // none runs
	match(cli(['gateway', 'run'], { env: { OPENCLAW_GATEWAY_PORT: 'abc' } }).err, /OPENCLAW_GATEWAY_PORT is "abc", which is no port/);
	match(cli(['gateway', 'run', '--any-port'], { env: { OPENCLAW_GATEWAY_BIND: 'nowhere' } }).err, /called "nowhere"/);
	writeConfig({ gateway: { tls: { enabled: true, certPath: 'only.pem' } } });
	match(cli(['gateway', 'run', '--any-port']).err, /gateway\.tls is enabled, but keyPath is not set/);
});

test('a word that is counted is one or many', () => {
	fresh();
	equal(cli(['agent', '-m', 'hi', '--local']).code, 0);
	const lines = cli(['store', 'check']).out + cli(['doctor']).out;
	match(lines, /\b1 session, [^]*\b1 session\n/);
	ok(!/\b1 [a-z]+s\b/.test(lines), lines);
});

test('output that cannot be written, and too few descriptors: said in words', () => {
	fresh();
	for (const args of ['--version', 'help', 'agent -m hi']) {
		const full = spawnSync('sh', ['-c', `${bin} ${args} > /dev/full`], { encoding: 'utf8' });
		equal(full.status, 1, args);
		match(full.stderr, /not all of the output could be written\n {2}-> is the disk full/);
	}
	const few = spawnSync('sh', ['-c', `ulimit -n 12; ${bin} agent -m hi 2>&1`], { encoding: 'utf8' });
	equal(few.status, 1);
	match(few.stdout, /openclaw\.db: .*: Too many open files\n {2}-> let the process open more files \(ulimit -n/);
});

test('restart without a service: in the background, and it answers', async () => {
	fresh();
	const env = { OPENCLAW_GATEWAY_PORT: '' };
	writeConfig({ gateway: { port: 20000 + (process.pid % 20000) } });
	const r = await spawnCli(['gateway', 'restart'], { env });
	equal(r.code, 0, r.err + r.out);
	equal(cli(['status']).code, 0);
	for (let i = 0; i < 8; i++) {
		// The old process must be gone, not only its socket, before the new one asks for the store; this gives it something to close.
		equal(cli(['agent', '-m', '/tool exec {"command":"true"}']).code, 0);
		const again = await spawnCli(['gateway', 'restart'], { env });
		equal(again.code, 0, again.err + again.out);
	}
	equal(cli(['gateway', 'stop']).code, 0);
	const taken = http.createServer(() => {}).listen(0, '127.0.0.1');
	await new Promise((resolve) => taken.once('listening', resolve));
	equal(cli(['config', 'set', 'gateway.port', String(taken.address().port)]).code, 0);
	const dead = await spawnCli(['gateway', 'restart'], { env });
	taken.close();
	equal(dead.code, 1);
	match(dead.err, /^openclaw: the gateway ended at once: port \d+ on 127\.0\.0\.1 is in use \(stop the program.*\n {2}-> `openclaw gateway run` shows/);
});

await done();
