import fs from 'node:fs';
import http from 'node:http';
import net from 'node:net';
import path from 'node:path';
import { Gateway, cli, done, equal, match, ok, skipAll, sleep, spawnCli, state, test, until, writeConfig, cleanup } from './lib.mjs';
import { load } from '../npm/load.mjs';
import { FakeTelegram } from './fake-telegram.mjs';

if (!fs.existsSync(path.join(process.env.OC_MODULES, 'telegram.so')) && !process.env.OC_STATIC_MODULES?.split(' ').includes('telegram'))
	skipAll('the module telegram was left out');

const workspace = path.join(state, 'workspace');

function config(tg, telegram = {}, more = {}) {
	return {
		agents: { defaults: { model: { primary: 'offline/echo' }, workspace } },
		session: { dmScope: 'per-channel-peer' },
		channels: { telegram: { botToken: tg.token, apiRoot: tg.url, allowFrom: [7], groupPolicy: 'open', ...telegram } },
		...more,
	};
}

async function fake() {
	const tg = await new FakeTelegram().start();
	cleanup(() => tg.stop());
	return tg;
}

async function gateway(cfg) {
	writeConfig(cfg);
	return new Gateway().start();
}

const account = async (gw, name = 'default') => (await gw.rpc('channels.status', { channel: 'telegram' })).accounts.find((a) => a.account === name);
const connected = (gw, name) => until('the account to be connected', async () => (await account(gw, name))?.state === 'connected');

// ---- against the npm packages ----

const testApi = await load('telegram-test-api');
const grammy = await load('grammy');

if (!testApi || !grammy)
	console.log('# without the npm packages telegram-test-api and grammy (make npm-deps) their tests are left out');

const withTestApi = testApi ? test : () => {};
// With Node 18 (Debian 12's) this grammy starts its polling over and over by itself, whatever the server.
const withGrammy = grammy && Number(process.versions.node.split('.')[0]) >= 20 ? test : () => {};

withTestApi('telegram-test-api: a message is answered, a long one in parts', async () => {
	const TelegramServer = testApi.default?.TelegramServer ?? testApi.TelegramServer ?? testApi.default;
	const server = new TelegramServer({ port: 20000 + (process.pid % 20000), host: '127.0.0.1' });
	await server.start();
	cleanup(() => server.stop());
	const token = '777:for-the-test-api';
	const gw = await gateway(config({ token, url: server.config.apiURL }, { allowFrom: [11] }));
	await connected(gw);
	const client = server.getClient(token, { userId: 11, chatId: 11, firstName: 'Ada', timeout: 10000 });
	const replies = (n) => until(`${n} messages of the bot`, async () => {
		const list = (await client.getUpdatesHistory()).filter((u) => u.message.chat_id);
		return list.length >= n ? list.map((u) => u.message) : null;
	}, 20000);
	await client.sendMessage(client.makeMessage('/echo **hello** from the test API'));
	const [first] = await replies(1);
	equal([first.text, first.parse_mode, first.chat_id], ['<b>hello</b> from the test API', 'HTML', '11']);
	await client.sendMessage(client.makeMessage('/repeat 900 Word. '));
	const all = await replies(3);
	ok(all.slice(1).every((m) => m.text.length <= 4096));
	equal(all.slice(1).map((m) => m.text).join(' ').match(/Word\./g).length, 900);
	const group = server.getClient(token, { userId: 11, chatId: -100500, chatTitle: 'Team', type: 'supergroup', timeout: 10000 });
	await group.sendMessage(group.makeMessage('/echo not for the bot'));
	await group.sendMessage(group.makeMessage('@TestNameBot\n/echo for the bot', { entities: [{ type: 'mention', offset: 0, length: 12 }] }));
	const last = (await replies(4)).at(-1);
	equal([last.text, last.chat_id], ['for the bot', '-100500']);
	await gw.stop();
	await server.stop();
});

withGrammy('grammy, a real client, works with the Bot API server that the rest is tested against', async () => {
	const tg = await fake();
	const { Bot, InputFile } = grammy;
	const bot = new Bot(tg.token, { client: { apiRoot: tg.url } });
	bot.on('message:text', async (ctx) => {
		const sent = await ctx.reply(`<b>${ctx.message.text}</b>`, { parse_mode: 'HTML' });
		await ctx.api.editMessageText(ctx.chat.id, sent.message_id, 'edited');
		await ctx.replyWithDocument(new InputFile(Buffer.from('bytes'), 'a.txt'), { caption: 'file' });
		await ctx.replyWithChatAction('typing');
	});
	let wrong;
	bot.catch((error) => (wrong = error));
	bot.start();
	tg.say(7, 'hi');
	await tg.until('the answers', () => wrong || tg.called('sendChatAction').length === 1);
	equal(wrong, undefined);
	equal(tg.shown(7), ['edited', 'file']);
	equal(String(tg.called('sendDocument')[0].files.document.bytes), 'bytes');
	await bot.stop();
	equal(tg.updates.length, 0, 'it confirmed');
	ok(!tg.broken, String(tg.broken?.stack));
});

// ---- one gateway for most ----

let tg;
let gw;

test('a message is answered; the bot is seen typing', async () => {
	tg = await fake();
	gw = await gateway(config(tg));
	await connected(gw);
	tg.say(7, '/echo **bold** <tag>');
	await tg.until('the answer', () => tg.shown(7).length === 1);
	equal(tg.called('sendMessage')[0].params.text, '<b>bold</b> &lt;tag&gt;');
	ok(tg.called('sendChatAction').some((c) => c.params.chat_id === '7' && c.params.action === 'typing'));
	await tg.until('the confirmation', () => tg.updates.length === 0);
});

test('the reply grows in one message by edits', async () => {
	tg.messages.clear();
	const before = tg.calls.length;
	tg.say(7, '/slow 60 80ms');
	await tg.until('a preview', () => tg.calls.slice(before).some((c) => c.method === 'editMessageText'), 20000);
	const words = (tg.shown(7)[0] ?? '').split(' ').length;
	ok(words < 60, 'the first texts are only a part');
	const run = await tg.until('the whole', () => tg.shown(7)[0]?.trim().split(/\s+/).length >= 60, 20000);
	ok(run);
	equal(tg.shown(7).length, 1);
	const calls = tg.calls.slice(before).filter((c) => ['sendMessage', 'editMessageText'].includes(c.method));
	ok(calls.length >= 3 && calls.length <= 8, `${calls.length} requests`);
	for (let i = 1; i < calls.length; i++)
		ok(calls[i].at - calls[i - 1].at >= 950, 'one a second');
});

test('a long reply is split, code stays code', async () => {
	tg.messages.clear();
	tg.say(7, '/repeat 160 This is a sentence that is repeated over and over again. ');
	await tg.until('the parts', () => tg.shown(7).join(' ').match(/over again\./g)?.length === 160, 30000);
	ok(tg.shown(7).length >= 3);
	ok(tg.shown(7).every((text) => text.length <= 4096));
});

test('groups: only what is meant for the bot, answers in the topic as replies', async () => {
	const chat = { id: -1007, type: 'supergroup', title: 'Team', is_forum: true };
	tg.say(7, '/echo nobody asked', { chat });
	const { message } = tg.say(7, '@claw_test_bot\n/echo in the topic', { chat, is_topic_message: true, message_thread_id: 44,
		entities: [{ type: 'mention', offset: 0, length: 14 }], reply_to_message: { message_id: 44, forum_topic_created: { name: 'T' } } });
	await tg.until('the answer', () => tg.shown(-1007).length === 1);
	const sent = tg.called('sendMessage').at(-1).params;
	equal([sent.chat_id, sent.message_thread_id, sent.text], ['-1007', 44, 'in the topic']);
	equal(sent.reply_parameters?.message_id, message.message_id);
	await sleep(500);
	equal(tg.shown(-1007), ['in the topic']);
	// What a session was told comes before that.
	const { key } = (await gw.rpc('sessions.list', {})).sessions.find((s) => s.key.includes('1007'));
	equal((await gw.rpc('sessions.patch', { key, groupActivation: 'always' })).entry.groupActivation, 'always');
	const topic = { chat, is_topic_message: true, message_thread_id: 44 };
	tg.say(7, '/echo everything', topic);
	await tg.until('the answer to everything', () => tg.shown(-1007).length === 2);
	tg.say(7, '/activation mention', topic);
	await tg.until('the setting', () => tg.shown(-1007).length === 3);
	match(tg.shown(-1007)[2], /when I am meant/);
	equal((await gw.rpc('sessions.list', {})).sessions.find((s) => s.key === key).groupActivation, 'mention');
});

test('a photo and a document reach the agent; a file of the workspace comes back', async () => {
	tg.messages.clear();
	const picture = Buffer.from('89504e470d0a1a0a', 'hex');
	tg.say(7, undefined, { caption: '/echo got it', photo: [{ file_id: tg.file(picture, 'photos/a.jpg'), width: 9, height: 9, file_size: 8 }] });
	tg.say(7, undefined, { caption: '/echo got the document too', document: { file_id: tg.file('content of the report', 'documents/r.txt'),
		file_name: 'report.txt', mime_type: 'text/plain', file_size: 21 } });
	await tg.until('both answers', () => tg.shown(7).length === 2);
	const inbound = path.join(workspace, 'media/inbound');
	const names = fs.readdirSync(inbound);
	ok(names.some((n) => n.endsWith('report.txt') && fs.readFileSync(path.join(inbound, n), 'utf8') === 'content of the report'));
	ok(names.some((n) => n.endsWith('.jpg') && fs.readFileSync(path.join(inbound, n)).equals(picture)));
	const session = (await gw.rpc('session.list', {})).sessions.find((s) => s.channel === 'telegram' && s.peer === '7');
	const history = JSON.stringify(await gw.rpc('session.history', { session: session.key }));
	match(history, /report\.txt/);
	// out
	fs.writeFileSync(path.join(workspace, 'result.txt'), 'the result');
	fs.writeFileSync(path.join(workspace, 'chart.png'), picture);
	fs.symlinkSync('/etc/hostname', path.join(workspace, 'leak.txt'));
	tg.say(7, '/echo Here it is.\n/echo MEDIA:result.txt\n/echo MEDIA:chart.png\n/echo MEDIA:leak.txt\n/echo MEDIA:/etc/passwd');
	await tg.until('the files', () => tg.called('sendPhoto').length === 1 && tg.called('sendDocument').length === 1, 20000);
	equal(String(tg.called('sendDocument')[0].files.document.bytes), 'the result');
	equal(tg.called('sendDocument')[0].files.document.name, 'result.txt');
	ok(tg.called('sendPhoto')[0].files.photo.bytes.equals(picture));
	const texts = tg.shown(7).join('\n');
	match(texts, /Here it is\./);
	match(texts, /leak\.txt could not be attached/);
	match(texts, /passwd could not be attached: it is not in the workspace/);
});

test('a stranger gets a pairing code, is approved by command, and is answered', async () => {
	tg.say(8, '/echo let me in');
	await tg.until('the code', () => tg.shown(8).length === 1);
	match(tg.shown(8)[0], /openclaw pairing approve telegram [A-Z0-9]{8}/);
	const code = /approve telegram ([A-Z0-9]{8})/.exec(tg.shown(8)[0])[1];
	tg.say(8, '/echo still here?');
	await sleep(700);
	equal(tg.shown(8).length, 1, 'one code is enough');
	const list = await spawnCli(['pairing', 'list', '--json']);
	equal(list.code, 0, list.err);
	equal(JSON.parse(list.out).map((r) => [r.channel, r.sender, r.code]), [['telegram', '8', code]]);
	const wrong = await spawnCli(['pairing', 'approve', 'telegram', 'XXXXXXXX']);
	equal(wrong.code, 1);
	match(wrong.err, /XXXXXXXX/);
	const approved = await spawnCli(['pairing', 'approve', code.toLowerCase()]); // it says itself where it was given
	equal(approved.code, 0, approved.err);
	await tg.until('the news', () => tg.shown(8).length === 2);
	tg.say(8, '/echo hello');
	await tg.until('an answer', () => tg.shown(8).at(-1) === 'hello');
	const allowed = JSON.parse((await spawnCli(['pairing', 'list', '--allowed', '--json'])).out);
	equal(allowed.map((r) => [r.channel, r.account, r.sender]), [['telegram', 'default', '8']]);
	const revoked = await spawnCli(['pairing', 'revoke', 'telegram', '8']); // while the gateway runs
	equal(revoked.code, 0, revoked.err);
	tg.say(8, '/echo am I still in?');
	await tg.until('a new code', () => /pairing approve telegram/.test(tg.shown(8).at(-1)));
	const second = /approve telegram ([A-Z0-9]{8})/.exec(tg.shown(8).at(-1))[1];
	equal((await spawnCli(['pairing', 'reject', 'telegram', second])).code, 0);
	equal((await spawnCli(['pairing', 'approve', 'telegram', second])).code, 1);
	equal((await spawnCli(['pairing', 'revoke', 'telegram', '8'])).code, 1);
});

test('a pause that Telegram asks for is kept, and the answer comes', async () => {
	tg.messages.clear();
	await sleep(1100);
	tg.answer('sendMessage', [429, 'Too Many Requests: retry after 2', { retry_after: 2 }], 1);
	const before = tg.called('sendMessage').length;
	tg.say(7, '/echo patience');
	await tg.until('the answer', () => tg.shown(7).includes('patience'));
	const [a, b] = tg.called('sendMessage').slice(before).map((c) => c.at);
	ok(b - a >= 2000, `${b - a} ms`);
});

test('the network goes away: nothing is lost', async () => {
	const port = tg.port;
	tg.messages.clear();
	tg.say(7, '/slow 12 100ms');
	await sleep(400);
	await tg.stop();
	await until('reconnecting', async () => (await account(gw)).state === 'reconnecting');
	await tg.start(port);
	await tg.until('the answer', () => tg.shown(7).some((text) => text.trim().split(/\s+/).length >= 12), 40000);
	await connected(gw);
	equal(tg.shown(7).length, 1);
});

test('killed between receiving and confirming: the message is processed once', async () => {
	tg.messages.clear();
	let killed = false;
	tg.answer('getUpdates', async (params, server) => {
		if (!params.offset || !server.updates.length || params.offset <= server.updates[0].update_id)
			return undefined; // no confirmation of it yet
		killed = true;
		await gw.kill();
		return 'hang up';
	}, 1000);
	tg.say(7, '/echo exactly once');
	await tg.until('the kill', () => killed);
	tg.answers = [];
	equal(tg.updates.length, 1, 'Telegram still has it');
	gw = await new Gateway().start();
	// A turn that had begun is not run a second time, since its tools may have done something: that is reported instead.
	await tg.until('the answer', () => tg.shown(7).length > 0, 20000);
	await tg.until('the confirmation', () => tg.updates.length === 0);
	await sleep(1500);
	equal(tg.shown(7).length, 1);
	match(tg.shown(7)[0], /^exactly once$|I was interrupted/);
	const session = (await gw.rpc('session.list', {})).sessions.find((s) => s.channel === 'telegram' && s.peer === '7');
	const history = await gw.rpc('session.history', { session: session.key, limit: 1000 });
	equal(JSON.stringify(history).match(/\/echo exactly once/g).length, 1);
});

test('allow-list: others are not answered, and told nothing', async () => {
	await gw.stop();
	gw = await gateway(config(tg, { dmPolicy: 'allowlist', allowFrom: ['@ada'] }));
	await connected(gw);
	tg.messages.clear();
	tg.say(9, '/echo me?');
	tg.say({ id: 10, is_bot: false, first_name: 'Ada', username: 'Ada' }, '/echo by name');
	await tg.until('the answer', () => tg.shown(10).length === 1);
	await sleep(300);
	equal([tg.shown(9), tg.shown(10)], [[], ['by name']]);
	equal(tg.updates.length, 0);
});

test('two accounts, one with a wrong token: the message says what to do, the gateway lives', async () => {
	await gw.stop();
	const second = await fake();
	second.token = '5555:second-bot';
	second.bot = { ...second.bot, id: 5555, username: 'second_bot' };
	gw = await gateway(config(tg, { botToken: undefined, accounts: {
		one: { botToken: tg.token }, two: { botToken: second.token, apiRoot: second.url }, bad: { botToken: '1:wrong' } } }));
	await connected(gw, 'one');
	await connected(gw, 'two');
	tg.messages.clear();
	tg.say(7, '/echo from one');
	second.say(7, '/echo from two');
	await tg.until('one', () => tg.shown(7).includes('from one'));
	await second.until('two', () => second.shown(7).includes('from two'));
	const bad = await until('the failure', async () => {
		const a = await account(gw, 'bad');
		return a.state === 'failed' ? a : null;
	});
	match(bad.detail, /does not know this bot token/);
	match(bad.detail, /openclaw config set channels\.telegram\.accounts\.bad\.botToken/);
	ok(!gw.log.includes('TEST-token_abc') && !gw.log.includes('second-bot'), 'no token in the log');
	equal((await fetch(`${gw.url}/health`)).status, 200);
	const probe = await gw.rpc('channels.probe', { channel: 'telegram' });
	equal(probe.accounts.find((a) => a.account === 'one').ok, true);
	equal(probe.accounts.find((a) => a.account === 'bad').ok, false);
});

test('a model that is away, and one that breaks off: the chat is told what an operator can act on', async () => {
	const model = http.createServer((req, res) => {
		req.resume();
		res.writeHead(200, { 'content-type': 'text/event-stream' });
		res.write('data: {"choices":[{"index":0,"delta":{"role":"assistant","content":"Half an ans"}}]}\n\n');
		setTimeout(() => res.destroy(), 50);
	}).listen(0, '127.0.0.1');
	await new Promise((resolve) => model.once('listening', resolve));
	cleanup(() => model.closeAllConnections() ?? model.close());
	const closed = net.createServer().listen(0, '127.0.0.1');
	await new Promise((resolve) => closed.once('listening', resolve));
	const away = closed.address().port;
	await new Promise((resolve) => closed.close(resolve));
	const provider = (port) => ({ api: 'openai-completions', baseUrl: `http://127.0.0.1:${port}/v1`, apiKey: 'sk-test-0123456789', models: [{ id: 'm' }] });
	await gw.stop();
	gw = await gateway(config(tg, {}, { models: { providers: { away: provider(away), cut: provider(model.address().port) } } }));
	await connected(gw);
	tg.messages.clear();
	const said = async (text, n) => {
		tg.say(7, text);
		await tg.until('the answer', () => tg.shown(7).length === n, 20000);
		return tg.shown(7).at(-1);
	};
	await said('/model away/m', 1);
	match(await said('hello', 2), /^⚠️ away \(127\.0\.0\.1:\d+\), model m: it cannot be reached: .*nobody answers there\n.*models\.providers\.away\.baseUrl/);
	await said('/model cut/m', 3);
	await said('hello', 4);
	await until('the error', () => /Half an ans\n\n⚠️ cut .*the answer was cut off.*\ntry again, or name fallback models/.test(tg.shown(7)[3]));
	await said('/model offline/echo', 5);
});

test('webhook: Telegram is refused without the secret, answered after the commit', async () => {
	await gw.stop();
	tg.messages.clear();
	gw = await gateway(config(tg));
	await connected(gw);
	// the running gateway goes over from polling to the webhook
	writeConfig(config(tg, { webhookUrl: `${gw.url}/telegram-webhook`, webhookSecret: 'hook-secret' }));
	await tg.until('the webhook', () => tg.webhook);
	await connected(gw);
	equal(tg.webhook.secret_token, 'hook-secret');
	tg.say(7, '/echo by webhook');
	await tg.until('the answer', () => tg.shown(7).includes('by webhook'));
	await tg.until('Telegram was told', () => tg.updates.length === 0);
	const forged = { method: 'POST', headers: { 'content-type': 'application/json' }, body: JSON.stringify({ update_id: 1, message: { message_id: 1,
		date: 1, from: { id: 7 }, chat: { id: 7, type: 'private' }, text: '/echo forged' } }) };
	equal((await fetch(`${gw.url}/telegram-webhook`, forged)).status, 401);
	equal((await fetch(`${gw.url}/telegram-webhook/none`, forged)).status, 404);
	await sleep(300);
	equal(tg.shown(7), ['by webhook']);
});

test('no token of any bot is in the logs', async () => {
	await gw.stop();
	const dir = path.join(state, 'logs');
	const logs = fs.existsSync(dir) ? fs.readdirSync(dir).map((n) => fs.readFileSync(path.join(dir, n), 'utf8')).join('') : '';
	ok(!(logs + gw.log).includes('TEST-token_abc'));
	ok(!(logs + gw.log).includes('hook-secret'));
	ok(!tg.broken, String(tg.broken?.stack));
	equal(cli(['pairing', 'list']).code, 0);
});

await done();
