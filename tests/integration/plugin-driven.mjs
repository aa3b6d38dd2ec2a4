// Plugins of the original's package of March 2026, unmodified, doing their job through the front door: what they answer is what
// they answered in the original (recorded there), as far as this gateway has what they work on.
import fs from 'node:fs';
import net from 'node:net';
import path from 'node:path';
import { test, done, Gateway, cli, equal, match, ok, skipAll, state, until, writeConfig } from './lib.mjs';

if (!fs.existsSync(path.join(path.dirname(process.env.OC_BIN), 'bridge/vendor')))
	skipAll('built without plugins');
const extensions = path.join(process.env.OC_NPM ?? '', '../plugins/2026.3.13/extensions');
if (!fs.existsSync(path.join(extensions, 'voice-call')))
	skipAll('needs npm packages (make npm-deps)');

const freePort = () => new Promise((resolve) => {
	const server = net.createServer().listen(0, '127.0.0.1', () => {
		const { port } = server.address();
		server.close(() => resolve(port));
	});
});
const port = await freePort();
const ids = ['voice-call', 'device-pair', 'phone-control', 'talk-voice'];

// What they use of the original's own dependencies without saying so.
const OF_THE_ORIGINAL = { 'device-pair': ['qrcode-terminal'] };

// Where people put them; what they depend on as npm would have put it.
for (const id of ids) {
	const to = path.join(state, 'extensions', id);
	fs.cpSync(path.join(extensions, id), to, { recursive: true });
	const described = path.join(to, 'package.json');
	const named = Object.keys((fs.existsSync(described) && JSON.parse(fs.readFileSync(described, 'utf8')).dependencies) || {});
	for (const name of [...named, ...OF_THE_ORIGINAL[id] ?? []]) {
		const from = [process.env.OC_NPM, path.join(extensions, '../..')].map((one) => path.join(one, 'node_modules', name)).find((one) => fs.existsSync(one));
		if (from)
			fs.cpSync(from, path.join(to, 'node_modules', name), { recursive: true, dereference: true });
	}
}
writeConfig({
	agents: { defaults: { model: { primary: 'offline/echo' } } },
	gateway: { mode: 'local', bind: 'loopback' },
	plugins: { allow: ids, entries: {
		...Object.fromEntries(ids.map((id) => [id, { enabled: true }])),
		'voice-call': { enabled: true, config: { enabled: true, provider: 'mock', fromNumber: '+15550000001', toNumber: '+15550000002',
			serve: { port, bind: '127.0.0.1', path: '/voice/webhook' } } } } },
});

let gw;
const plugin = async (id) => (await gw.rpc('plugins.list', {})).plugins.find((one) => one.id === id);
const say = async (text) => (await gw.rpc('session.message', { session: 'main', text, wait: true })).text;
const refused = async (method, params) => (await gw.rpcRaw(method, params)).error?.data?.details;
const tool = async (params) => JSON.parse((await gw.rpc('tools.execute', { name: 'voice_call', arguments: params, session: 'main' })).content[0].text);
const listens = () => new Promise((resolve) => {
	const socket = net.connect(port, '127.0.0.1', () => resolve(true) || socket.destroy());
	socket.on('error', () => resolve(false));
});

test('they are loaded', async () => {
	gw = await new Gateway().start();
	for (const id of ids)
		await until(id, async () => (await plugin(id)).status !== 'loading', 60000);
	for (const id of ids)
		equal((await plugin(id)).status, 'loaded', `${id}: ${(await plugin(id)).error}`);
});

test('voice-call: its service listens, its methods start, speak and end calls', async () => {
	await until('its webhook', listens, 20000);
	equal(await refused('voicecall.start', {}), { error: 'to required' });
	equal(await refused('voicecall.initiate', {}), { error: 'message required' });
	const { callId, initiated } = await gw.rpc('voicecall.initiate', { message: 'hello there', mode: 'notify' });
	equal(initiated, true);
	const { found, call } = await gw.rpc('voicecall.status', { callId });
	equal([found, call.provider, call.direction, call.from, call.to, call.metadata], [true, 'mock', 'outbound', '+15550000001', '+15550000002',
		{ initialMessage: 'hello there', mode: 'notify' }]);
	equal(await gw.rpc('voicecall.status', { callId: 'nope' }), { found: false });
	equal(await gw.rpc('voicecall.speak', { callId, message: 'more' }), { success: true });
	equal(await gw.rpc('voicecall.end', { callId }), { success: true });
	equal(await refused('voicecall.end', { callId: 'nope' }), { error: 'Call not found' });
});

test('voice-call: its tool', async () => {
	const { callId, initiated } = await tool({ action: 'initiate_call', to: '+15550000003', message: 'hi', mode: 'conversation' });
	equal(initiated, true);
	const { call } = await tool({ action: 'get_status', callId });
	equal([call.to, call.metadata], ['+15550000003', { initialMessage: 'hi', mode: 'conversation' }]);
	equal(await tool({ action: 'speak_to_user', callId, message: 'x' }), { success: true });
	equal(await tool({ action: 'end_call', callId }), { success: true });
	equal(await tool({ action: 'initiate_call' }), { error: 'message required' });
	equal(await tool({ mode: 'status', sid: 'zzz' }), { found: false });
});

test('voice-call: its commands are on the command line', () => {
	match(cli(['--help']).out, /voicecall\s+\(plugin voice-call\)/);
	const help = cli(['voicecall', '--help']);
	equal(help.code, 0, help.err);
	for (const name of ['call', 'status', 'end', 'tail'])
		match(help.out, new RegExp(`\\n  ${name}\\b`));
	const wrong = cli(['voicecall', 'nonsense']);
	ok(wrong.code !== 0);
});

test('device-pair, phone-control and talk-voice answer their commands', async () => {
	const help = await say('/help');
	for (const name of ['pair', 'phone', 'voice'])
		match(help, new RegExp(`/${name} - `));
	match(await say('/voice'), /^Talk voice is not configured\.\n\nMissing: talk\.apiKey/);
	match(await say('/voice help'), /^Voice commands:\n\n\/voice status\n\/voice list \[limit\]\n\/voice set <voiceId\|name>|^Talk voice is not configured/);
	match(await say('/phone status'), /^Phone control: /);
	match(await say('/pair notify'), /^Pairing notifications are currently supported only on Telegram\./);
});

test('the service ends with the gateway', async () => {
	equal((await gw.stop()).code, 0);
	equal(await listens(), false);
	ok(fs.existsSync(path.join(state, 'plugins/voice-call')));
});

await done();
