import { spawn, spawnSync } from 'node:child_process';
import crypto from 'node:crypto';
import fs from 'node:fs';
import http from 'node:http';
import { createRequire } from 'node:module';
import net from 'node:net';
import os from 'node:os';
import path from 'node:path';
import { test, done, Gateway, cleanup, cli, equal, ok, match, until, state, skipAll, writeConfig } from './lib.mjs';

const extensions = path.join(process.env.OC_NPM ?? '', '../plugins/2026.3.13/extensions');
if (!fs.existsSync(path.join(path.dirname(process.env.OC_BIN), 'bridge/vendor')))
	skipAll('built without plugins');
if (!fs.existsSync(path.join(extensions, 'irc')))
	skipAll('needs npm packages (make npm-deps)');

const freePort = () => new Promise((resolve) => {
	const server = net.createServer().listen(0, '127.0.0.1', () => {
		const { port } = server.address();
		server.close(() => resolve(port));
	});
});

let gw;
async function start(plugin, channel, more = {}) {
	writeConfig({ agents: { defaults: { model: { primary: 'offline/echo' } } }, session: { dmScope: 'per-channel-peer' },
		plugins: { load: { paths: [extensions] }, allow: [plugin], entries: { [plugin]: { enabled: true } } }, channels: { [plugin]: channel }, ...more });
	gw = await new Gateway().start();
	await until(`the plugin ${plugin}: ${gw.log}`, async () => (await gw.rpc('plugins.list', {})).plugins.find((one) => one.id === plugin)?.status === 'loaded', 20000);
	await until(`its account: ${gw.log}`, async () => (await account(plugin))?.state === 'connected', 20000);
}
const account = async (channel) => (await gw.rpc('channels.list', {})).channels.find((one) => one.id === channel)?.accounts[0];

// ---- irc ----

const ngircd = ['/usr/sbin/ngircd', '/usr/bin/ngircd'].find((file) => fs.existsSync(file));
const withIrc = ngircd ? test : (name) => test(`${name} # SKIP needs Debian's ngircd`, () => {});

class IrcClient {
	constructor(port, nick) {
		this.text = '';
		this.socket = net.connect(port, '127.0.0.1');
		this.socket.setEncoding('utf8').on('data', (piece) => {
			this.text += piece;
			for (const line of piece.split('\r\n').filter((one) => one.startsWith('PING')))
				this.send(line.replace('PING', 'PONG'));
		});
		this.socket.on('error', () => {});
		cleanup(() => this.socket.destroy());
		this.send(`NICK ${nick}`);
		this.send(`USER ${nick} 0 * :${nick}`);
	}

	send(line) {
		this.socket.write(`${line}\r\n`);
	}

	see(pattern, ms = 15000) {
		return until(`${pattern} in ${this.text.slice(-1000)}\n${gw?.log.slice(-1500)}`, () => pattern.exec(this.text), ms);
	}
}

let irc, ada;

async function startNgircd(port) {
	const dir = fs.mkdtempSync(path.join(os.tmpdir(), 'irc-')), file = path.join(dir, 'ngircd.conf');
	fs.chmodSync(dir, 0o755); // started by root it changes to another user
	fs.writeFileSync(file, ['[Global]', 'Name = irc.test', 'Info = test', 'Listen = 127.0.0.1', `Ports = ${port}`, '[Limits]', 'MaxConnectionsIP = 0',
		'[Options]', 'PAM = no', 'Ident = no', 'DNS = no', ''].join('\n'));
	irc = spawn(ngircd, ['-n', '-f', file], { stdio: 'ignore' });
	cleanup(() => irc.kill('SIGKILL'));
	await until('ngircd', () => spawnSync(process.execPath, ['-e', `require('net').connect(${port},'127.0.0.1').on('connect',()=>process.exit(0)).on('error',()=>process.exit(1))`]).status === 0);
}

let ircPort;

withIrc('irc: connected, a stranger is asked for a code, then heard', async () => {
	ircPort = await freePort();
	await startNgircd(ircPort);
	await start('irc', { host: '127.0.0.1', port: ircPort, tls: false, nick: 'clawbot', channels: ['#den'], groupPolicy: 'open' });
	ada = new IrcClient(ircPort, 'ada');
	await ada.see(/ 001 ada /);
	ada.send('PRIVMSG clawbot :/echo hello');
	const [, code] = await ada.see(/PRIVMSG ada :.*Pairing code: (\w+)/s);
	const listed = JSON.parse(cli(['pairing', 'list', '--json']).out);
	match(JSON.stringify(listed), new RegExp(`"channel":"irc".*ada!.*"${code}"`));
	equal(cli(['pairing', 'approve', 'irc', code]).code, 0);
	await ada.see(/PRIVMSG ada :.*(approved|talk)/i);
	ada.send('PRIVMSG clawbot :/echo hello from irc');
	await ada.see(/:clawbot!\S+ PRIVMSG ada :hello from irc/);
});

withIrc('irc: in a channel it answers when it is named, a long answer in parts', async () => {
	ada.send('JOIN #den');
	await ada.see(/ 366 ada #den /);
	ada.send('PRIVMSG #den :nothing for anybody');
	ada.send('PRIVMSG #den :clawbot: are you there?');
	await ada.see(/PRIVMSG #den :.*are you there/);
	ok(!/PRIVMSG #den :.*nothing for/.test(ada.text));
	ada.text = '';
	ada.send('PRIVMSG clawbot :/repeat 80 tenletters');
	const words = () => [...ada.text.matchAll(/PRIVMSG ada :(.*)\r\n/g)].map((one) => one[1]);
	await until('the whole answer', () => words().join(' ').split('tenletters').length - 1 >= 80, 20000);
	ok(words().length > 1 && words().every((line) => line.length <= 450), String(words().map((line) => line.length)));
});

withIrc('irc: its process is killed in the middle of an answer, which comes all the same', async () => {
	const process = async () => (await gw.rpc('plugins.list', {})).plugins.find((one) => one.id === 'irc');
	const { pid } = await process();
	ada.text = '';
	ada.send('PRIVMSG clawbot :/slow 12 150ms');
	await until('the turn to run', async () => JSON.stringify(await gw.rpc('session.list', {})).includes('"running"'));
	spawnSync('kill', ['-9', String(pid)]);
	await until('the next process', async () => (await process()).process === 'running' && (await process()).pid !== pid, 20000);
	await ada.see(/:clawbot\S* PRIVMSG ada :\w+ \w+ \w+/, 30000);
	await until('the account to be back', async () => (await account('irc')).state === 'connected', 20000);
	// Its name may have been taken meanwhile, by the connection that brought the answer.
	const [, nick] = await ada.see(/:(clawbot\S*)!\S+ JOIN :?#den/, 30000);
	ada.send(`PRIVMSG ${nick} :/echo hello again`);
	await ada.see(/PRIVMSG ada :hello again/, 30000);
	equal((await gw.stop()).code, 0);
	irc.kill('SIGKILL');
});

// ---- nextcloud-talk: a bot's webhook, and the server's OCS API ----

const SECRET = 'a bot secret of forty letters or more, to be safe';
const hmac = (random, body) => crypto.createHmac('sha256', SECRET).update(random + body).digest('hex');

function talkServer() {
	const messages = [];
	const server = http.createServer((req, res) => {
		let body = '';
		req.setEncoding('utf8').on('data', (piece) => (body += piece));
		req.on('end', () => {
			const post = /^\/ocs\/v2\.php\/apps\/spreed\/api\/v1\/bot\/([^/]+)\/message$/.exec(req.url);
			const { message, replyTo } = post ? JSON.parse(body) : {};
			const signed = post && req.headers['x-nextcloud-talk-bot-signature'] === hmac(req.headers['x-nextcloud-talk-bot-random'], message);
			if (server.failing > 0 && server.failing--) {
				res.writeHead(503).end();
			} else if (!signed || req.headers['ocs-apirequest'] !== 'true') {
				res.writeHead(post ? 401 : 404).end();
			} else {
				messages.push({ room: post[1], message, replyTo });
				res.writeHead(201, { 'content-type': 'application/json' }).end(JSON.stringify({ ocs: { data: { id: messages.length } } }));
			}
		});
	});
	cleanup(() => server.close());
	return new Promise((resolve) => server.listen(0, '127.0.0.1', () => resolve(Object.assign(server, { messages, failing: 0 }))));
}

let talk, hook;

async function say(id, text, { room = 'room1', actor = 'users/ada', sign = hmac } = {}) {
	const random = crypto.randomBytes(32).toString('hex');
	const body = JSON.stringify({ type: 'Create', actor: { type: 'Person', id: actor, name: 'Ada' },
		object: { type: 'Note', id, name: 'message', content: text, mediaType: 'text/markdown' }, target: { type: 'Collection', id: room, name: 'Room' } });
	const r = await fetch(hook, { method: 'POST', body, headers: { 'content-type': 'application/json', 'x-nextcloud-talk-random': random,
		'x-nextcloud-talk-signature': sign(random, body), 'x-nextcloud-talk-backend': talk.url } });
	await r.arrayBuffer();
	return r.status;
}

test('nextcloud-talk: a signed message is answered in its room, a forged one refused', async () => {
	talk = await talkServer();
	talk.url = `http://127.0.0.1:${talk.address().port}`;
	const webhookPort = await freePort();
	hook = `http://127.0.0.1:${webhookPort}/nextcloud-talk-webhook`;
	await start('nextcloud-talk', { baseUrl: talk.url, botSecret: SECRET, webhookPort, webhookHost: '127.0.0.1', groupPolicy: 'open',
		allowFrom: ['*'], rooms: { '*': { requireMention: false } } });
	await until('its webhook', () => fetch(`http://127.0.0.1:${webhookPort}/healthz`).then((r) => r.ok, () => false));
	equal(await say('1', '/echo forged', { sign: () => '0'.repeat(64) }), 401);
	equal(await say('2', '/echo hello from talk'), 200);
	await until(`the answer: ${gw.log}`, () => talk.messages.length > 0, 20000);
	equal(talk.messages[0].room, 'room1');
	match(talk.messages[0].message, /hello from talk/);
});

test('nextcloud-talk: a message that came twice is answered once, an answer that failed is tried again', async () => {
	talk.messages.length = 0;
	talk.failing = 1;
	equal(await say('3', '/echo only once'), 200);
	equal(await say('3', '/echo only once'), 200);
	await until(`the answer: ${gw.log}`, () => talk.messages.length > 0, 30000);
	equal(await say('4', '/echo the end'), 200);
	await until('the end', () => talk.messages.some((one) => /the end/.test(one.message)), 20000);
	equal(talk.messages.filter((one) => /only once/.test(one.message)).length, 1);
	equal((await gw.stop()).code, 0);
});

// ---- mattermost: REST and a WebSocket ----

const DM = 'abcdefghijklmnopqrstuvwxy1';
const { WebSocketServer } = createRequire(path.join(process.env.OC_NPM, 'x.js'))('ws');

// One server with a bot, a person and their direct channel.
function mattermostServer() {
	const posts = [], sockets = new Set(), reactions = [];
	const users = { bot1: { id: 'bot1', username: 'clawbot' }, u1: { id: 'u1', username: 'ada', nickname: 'Ada' } };
	const server = http.createServer((req, res) => {
		let body = '';
		req.setEncoding('utf8').on('data', (piece) => (body += piece)).on('end', () => {
			const url = req.url.replace(/^\/api\/v4/, ''), answer = (value, code = 200) => res.writeHead(code, { 'content-type': 'application/json' }).end(JSON.stringify(value));
			if (req.headers.authorization !== 'Bearer bot-token')
				return answer({ message: 'no' }, 401);
			if (url === '/posts' && req.method === 'POST')
				return answer({ ...JSON.parse(body), id: `p${posts.push(JSON.parse(body))}`, user_id: 'bot1' }, 201);
			if (url === '/reactions')
				return answer(reactions[reactions.push(JSON.parse(body)) - 1], 201);
			if (url === '/users/me')
				return answer(users.bot1);
			if (users[url.slice('/users/'.length)])
				return answer(users[url.slice('/users/'.length)]);
			if (url.startsWith('/channels/'))
				return answer({ id: url.split('/')[2] === 'direct' ? DM : url.split('/')[2], type: 'D', name: 'bot1__u1', team_id: '' });
			return answer(url.endsWith('/teams') ? [] : {});
		});
	});
	new WebSocketServer({ server, path: '/api/v4/websocket' }).on('connection', (socket) => {
		socket.on('message', (data) => {
			if (JSON.parse(data).data?.token === 'bot-token')
				sockets.add(socket);
		});
	});
	cleanup(async () => {
		for (const socket of sockets)
			socket.terminate();
		server.closeAllConnections();
		server.close();
	});
	const say = (id, message) => {
		const post = { id, message, user_id: 'u1', channel_id: DM, create_at: Date.now() };
		for (const socket of sockets)
			socket.send(JSON.stringify({ event: 'posted', data: { post: JSON.stringify(post), channel_type: 'D', sender_name: '@ada' }, broadcast: { channel_id: DM } }));
	};
	return new Promise((resolve) => server.listen(0, '127.0.0.1', () => resolve({ posts, reactions, sockets, say, url: `http://127.0.0.1:${server.address().port}` })));
}

test('mattermost: a message over its WebSocket is answered by a post, and the agent posts and reacts of its own accord', async () => {
	const server = await mattermostServer();
	await start('mattermost', { baseUrl: server.url, botToken: 'bot-token', dmPolicy: 'open', allowFrom: ['*'] }, { plugins: { load: { paths: [extensions] }, allow: ['mattermost'],
		entries: { mattermost: { enabled: true } } } });
	await until(`its socket: ${gw.log}`, () => server.sockets.size > 0, 20000);
	server.say('m1', '/echo hello from mattermost');
	await until(`the answer: ${gw.log}`, () => server.posts.length > 0, 20000);
	equal([server.posts[0].channel_id, server.posts[0].message], [DM, 'hello from mattermost']);
	server.say('m1', '/echo hello from mattermost');
	server.say('m2', '/echo again');
	await until('the second', () => server.posts.length > 1, 20000);
	equal(server.posts[1].message, 'again');
	const act = async (args) => (await gw.rpc('tools.execute', { name: 'message', arguments: { channel: 'mattermost', ...args }, session: 'main' }));
	equal((await act({ action: 'send', target: `channel:${DM}`, message: 'by itself' })).details.status, 'sent');
	equal(server.posts.at(-1).message, 'by itself');
	equal((await act({ action: 'react', target: `channel:${DM}`, messageId: 'm2', emoji: 'thumbsup' })).isError, false);
	equal(server.reactions.map((one) => [one.post_id, one.emoji_name, one.user_id]), [['m2', 'thumbsup', 'bot1']]);
	equal((await gw.stop()).code, 0);
});

await done();
