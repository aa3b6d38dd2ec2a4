import fs from 'node:fs';
import path from 'node:path';
import * as lib from './lib.mjs';
import { done, equal, ok, match, cleanup, skipAll, sleep } from './lib.mjs';
import { Driver, driverPath } from './channel-driver.mjs';
import { FakeTelegram } from './fake-telegram.mjs';

const module = path.join(process.env.OC_MODULES, 'telegram.so');
if (!fs.existsSync(module))
	skipAll('modules are linked in: the module cannot be loaded by itself');
if (!fs.existsSync(driverPath))
	skipAll('the driver is not built');

const E = { INVALID: -1, NOT_FOUND: -4, AUTH: -7, LIMIT: -8, CANCELED: -10, BUSY: -11, UNAVAILABLE: -12, RATE_LIMIT: -18 };
let count = 0;

// Each test has its own server and module, and most of them wait: several run at once, reported in order.
const jobs = [];

function test(name, fn) {
	let settle;
	const job = { over: new Promise((resolve) => (settle = resolve)) };
	job.run = () => fn().then(() => settle(), (error) => settle(error));
	jobs.push(job);
	lib.test(name, async () => {
		const error = await job.over;
		if (error)
			throw error;
	});
}

async function worker() {
	for (let job; (job = jobs.shift());)
		await job.run();
}

// A server and a module that is connected to it, for one test.
async function pair(config = {}, { connect = true, secrets } = {}) {
	const tg = await new FakeTelegram().start();
	const d = await new Driver(module, path.join(process.env.TMPDIR, `media${++count}`)).start();
	cleanup(() => tg.stop());
	cleanup(() => d.exit || d.kill());
	d.put({ op: 'secrets', values: secrets ?? { 'channels.telegram.botToken': tg.token } });
	d.account = { account: 'default', config: { apiRoot: tg.url, ...config } };
	if (connect)
		equal((await d.call('connect', d.account)).status, 0);
	return { tg, d };
}

async function finish({ tg, d }) {
	await d.end();
	ok(!tg.broken, String(tg.broken?.stack));
	const secret = tg.token.split(':')[1];
	for (const e of d.events)
		ok(!JSON.stringify(e).includes(secret), `the token is in ${JSON.stringify(e)}`);
	ok(!d.stderr.includes(secret), 'the token is in the log');
	await tg.stop().catch(() => {});
}

function scenario(name, config, fn, options) {
	test(name, async () => {
		const p = await pair(config, options);
		await fn(p);
		await finish(p);
	});
}

const ids = (answer) => answer.result.messageIds.map(Number);

// ---- login and polling ----

scenario('connects: getMe, no webhook any more, nothing dropped', {}, async ({ tg, d }) => {
	equal(d.states.map((s) => s.state), ['connecting', 'connected']);
	match(d.states.at(-1).detail, /@claw_test_bot, polling/);
	equal(tg.calls[0].method, 'getMe');
	equal(tg.called('deleteWebhook')[0].params, { drop_pending_updates: false });
	await tg.until('a poll', () => tg.called('getUpdates').length > 0);
	const poll = tg.called('getUpdates')[0].params;
	ok(poll.timeout >= 10);
	equal(poll.offset, undefined);
	equal(poll.allowed_updates, ['message', 'edited_message', 'channel_post', 'edited_channel_post']);
	const probe = await d.call('probe', { account: 'default' });
	equal(probe.status, 0);
	equal(probe.result.ok, true);
	match(probe.result.detail, /@claw_test_bot \(123456\)/);
});

scenario('confirms an update only when the host has committed it', {}, async ({ tg, d }) => {
	d.put({ op: 'receive', mode: 'hold' });
	const { update } = tg.say(7, 'one');
	tg.say(7, 'two');
	await d.until('the first message', () => d.received.length === 1);
	await sleep(300);
	equal(d.received.length, 1, 'the second waits for the first');
	equal(tg.confirmed, 0);
	d.put({ op: 'commit', status: 0 });
	await d.until('the second message', () => d.received.length === 2);
	d.put({ op: 'receive', mode: 'ok' });
	d.put({ op: 'commit', status: 0 });
	await tg.until('both confirmed', () => tg.confirmed === update + 2);
	equal(d.received.map((m) => m.text), ['one', 'two']);
	equal(d.received[0].sender.id, '7');
	equal(d.received[0].chat, { type: 'dm', id: '7' });
});

scenario('hands a message in again while the host is busy', {}, async ({ tg, d }) => {
	d.put({ op: 'receive', mode: 'refuse', status: E.BUSY });
	const { update } = tg.say(7, 'again');
	await d.until('three tries', () => d.received.length >= 3);
	equal(tg.confirmed, 0);
	d.put({ op: 'receive', mode: 'ok' });
	await tg.until('confirmed', () => tg.confirmed === update + 1);
	ok(d.received.every((m) => m.text === 'again'));
});

scenario('leaves out what the host will never take, and goes on', {}, async ({ tg, d }) => {
	d.put({ op: 'receive', mode: 'refuse', status: E.INVALID });
	tg.say(7, 'poison');
	await d.until('the refusal', () => d.logs.some((l) => /left out/.test(l)));
	d.put({ op: 'receive', mode: 'ok' });
	const { update } = tg.say(7, 'fine');
	await tg.until('confirmed', () => tg.confirmed === update + 1);
	equal(d.received.at(-1).text, 'fine');
});

test('a process killed before the confirmation gets the update again', async () => {
	const { tg, d } = await pair();
	d.put({ op: 'receive', mode: 'hold' });
	tg.say(7, 'once more');
	await d.until('the message', () => d.received.length === 1);
	await d.kill();
	const second = await new Driver(module, d.mediaDir).start();
	cleanup(() => second.exit || second.kill());
	second.put({ op: 'secrets', values: { 'channels.telegram.botToken': tg.token } });
	await second.call('connect', d.account);
	await second.until('the message', () => second.received.length === 1);
	equal(second.received[0].id, d.received[0].id);
	await finish({ tg, d: second });
});

scenario('disconnect tells Telegram what was taken', {}, async ({ tg, d }) => {
	const { update } = tg.say(7, 'last words');
	await d.until('the message', () => d.received.length === 1);
	equal((await d.call('disconnect', { account: 'default' })).status, 0);
	equal(tg.confirmed, update + 1);
	equal(d.states.at(-1).state, 'stopped');
	equal((await d.call('send', { account: 'default', to: '7', text: 'x' })).status, E.UNAVAILABLE);
	equal((await d.call('connect', d.account)).status, 0);
	equal(d.received.length, 1);
});

scenario('groups, mentions, topics, replies, edits', {}, async ({ tg, d }) => {
	const chat = { id: -1007, type: 'supergroup', title: 'Team', is_forum: true };
	tg.say(7, 'hello all', { chat });
	tg.say(7, '😀 @claw_test_bot hi', { chat, entities: [{ type: 'mention', offset: 3, length: 14 }] });
	tg.say(7, 'in a topic', { chat, is_topic_message: true, message_thread_id: 44,
		reply_to_message: { message_id: 44, from: tg.bot, forum_topic_created: { name: 'T' } } });
	tg.say(7, 'and you?', { chat, quote: { text: 'well' }, reply_to_message: { message_id: 3, text: 'all well', from: tg.bot } });
	tg.push({ edited_message: { message_id: 3, date: 10, edit_date: 20, chat, from: { id: 7, first_name: 'U' }, text: 'better' } });
	await d.until('five messages', () => d.received.length === 5);
	const [plain, mention, topic, reply, edited] = d.received;
	equal([plain.mentioned, mention.mentioned, topic.mentioned, reply.mentioned], [false, true, false, true]);
	equal(plain.chat, { type: 'group', id: '-1007', title: 'Team' });
	equal([plain.thread, topic.thread], [undefined, '44']);
	equal(topic.replyTo, undefined);
	equal(reply.replyTo, { id: '3', text: 'well', fromSelf: true });
	equal([edited.edited, edited.id, edited.timestampMs], [true, '3:20', 20000]);
});

// ---- failures ----

test('a wrong token fails with what to do about it', async () => {
	for (const token of ['999999:wrong', 'nonsense', 'a b:c/d?e']) {
		const p = await pair({}, { connect: false, secrets: { 'channels.telegram.botToken': token } });
		const answer = await p.d.call('connect', p.d.account);
		equal(answer.status, E.AUTH);
		match(answer.result, /BotFather/);
		match(answer.result, /openclaw config set channels\.telegram\.botToken/);
		equal(p.d.states.at(-1).state, 'failed');
		await finish(p);
	}
	const p = await pair({}, { connect: false, secrets: {} });
	const answer = await p.d.call('connect', p.d.account);
	equal(answer.status, E.AUTH);
	match(answer.result, /no bot token is set/);
	await finish(p);
});

scenario('a token that is revoked while running fails the account', {}, async ({ tg, d }) => {
	await tg.until('a poll', () => tg.called('getUpdates').length > 0);
	tg.answer('getUpdates', [401, 'Unauthorized'], 9);
	tg.say(7, 'x');
	await d.until('the failure', () => d.states.at(-1).state === 'failed');
	match(d.states.at(-1).detail, /does not know this bot token/);
	const polls = tg.called('getUpdates').length;
	await sleep(1500);
	equal(tg.called('getUpdates').length, polls, 'it polls no more');
	const probe = await d.call('probe', { account: 'default' });
	equal(probe.status, 0, 'a probe asks anew');
});

scenario('another poller is named, and not fought', {}, async ({ tg, d }) => {
	tg.answer('getUpdates', [409, 'Conflict: terminated by other getUpdates request; make sure that only one bot instance is running'], 1);
	tg.say(7, 'x');
	await d.until('the state', () => d.states.at(-1).state === 'reconnecting');
	match(d.states.at(-1).detail, /another program polls with the same bot token/);
	const polls = tg.called('getUpdates').length;
	await sleep(3000);
	equal(tg.called('getUpdates').length, polls);
	await d.until('connected again', () => d.states.at(-1).state === 'connected', 20000);
	await d.until('the message', () => d.received.length === 1);
});

scenario('a network that goes away comes back', {}, async ({ tg, d }) => {
	await tg.until('a poll', () => tg.called('getUpdates').length > 0);
	const port = tg.port;
	await tg.stop();
	await d.until('reconnecting', () => d.states.at(-1).state === 'reconnecting');
	await sleep(1200);
	await tg.start(port);
	tg.say(7, 'back');
	await d.until('connected', () => d.states.at(-1).state === 'connected', 20000);
	await d.until('the message', () => d.received.length === 1);
	ok(d.logs.filter((l) => /trying again/.test(l)).length <= 2, 'it does not fill the log');
});

test('connect waits for a network, and ends when it is cancelled', async () => {
	const { tg, d } = await pair({ apiRoot: 'http://127.0.0.1:9' }, { connect: false });
	const n = d.begin('connect', d.account);
	await d.until('a failed try', () => d.states.some((s) => s.state === 'connecting' && s.detail));
	d.put({ op: 'cancel', n });
	equal((await d.done(n)).status, E.CANCELED);
	await finish({ tg, d });
});

test('what is no Bot API is said to be none', async () => {
	const { tg, d } = await pair({}, { connect: false });
	tg.answer('getMe', '<html>Bad gateway</html>', 1);
	const answer = await d.call('connect', d.account);
	equal(answer.status, 0, 'it tries again');
	ok(d.states.some((s) => /apiRoot/.test(s.detail ?? '')));
	await finish({ tg, d });
});

test('configuration mistakes are named', async () => {
	for (const [config, words] of [[{ apiRoot: 'ftp://x' }, /apiRoot/], [{ webhookUrl: 'https://x.y/z', webhookPath: '/other' }, /webhookPath/]]) {
		const { tg, d } = await pair(config, { connect: false });
		const answer = await d.call('connect', d.account);
		equal(answer.status, E.INVALID);
		match(answer.result, words);
		await finish({ tg, d });
	}
});

// ---- sending ----

scenario('sends HTML, and tells the ids', { linkPreview: false }, async ({ tg, d }) => {
	const answer = await d.call('send', { account: 'default', to: '7', text: '**bold** `a<b`', format: 'markdown', replyTo: '5' });
	equal(answer.status, 0);
	const sent = tg.called('sendMessage')[0].params;
	equal(sent, { chat_id: '7', text: '<b>bold</b> <code>a&lt;b</code>', parse_mode: 'HTML', link_preview_options: { is_disabled: true },
		reply_parameters: { message_id: 5, allow_sending_without_reply: true } });
	equal(ids(answer), [...tg.messages.values()].map((m) => m.message_id));
	equal(answer.result.messageId, answer.result.messageIds[0]);
	const plain = await d.call('send', { account: 'default', to: 'telegram:-1007:topic:44', text: '**x**', format: 'plain' });
	equal(plain.status, 0);
	equal(tg.called('sendMessage')[1].params.text, '**x**');
	equal(tg.called('sendMessage')[1].params.message_thread_id, 44);
	const general = await d.call('send', { account: 'default', to: '-1008', thread: '1', text: 'x' });
	equal(general.status, 0, 'the General topic has no number');
	for (const to of ['', 'a b', '12x', '--3', 'x/y'])
		equal((await d.call('send', { account: 'default', to, text: 'x' })).status, E.INVALID);
	equal((await d.call('send', { account: 'default', to: '7', text: ' ' })).status, E.INVALID);
});

scenario('splits long text, reopens code, keeps the order and the pace', {}, async ({ tg, d }) => {
	const code = Array.from({ length: 150 }, (_, i) => `    call_number(${i}, "some text");`).join('\n');
	const text = `# Title\n\n${'Some words here. '.repeat(200)}\n\n\`\`\`python\n${code}\n\`\`\`\n\nThe end.`;
	const started = Date.now();
	const answer = await d.call('send', { account: 'default', to: '7', text, replyTo: '5' }, 30000);
	equal(answer.status, 0);
	const sent = tg.called('sendMessage');
	ok(sent.length >= 3);
	equal(ids(answer).length, sent.length);
	ok(Date.now() - started >= (sent.length - 1) * 900, 'one message a second in a chat');
	const shown = tg.shown(7);
	ok(shown.every((t) => t.length <= 4000));
	equal(shown.join('\n').match(/call_number\(\d+/g).length, 150);
	ok(sent.filter((c) => c.params.text.includes('<pre><code class="language-python">')).length >= 2);
	equal(sent.map((c) => Boolean(c.params.reply_parameters)), sent.map((_, i) => i === 0));
	match(shown.at(-1), /The end\.$/);
});

scenario('chats do not wait for each other', {}, async ({ tg, d }) => {
	const started = Date.now();
	const calls = Array.from({ length: 10 }, (_, i) => d.begin('send', { account: 'default', to: String(100 + i), text: 'x' }));
	for (const n of calls)
		equal((await d.done(n)).status, 0);
	ok(Date.now() - started < 9000, "ten at one a second would take nine");
	const again = await d.call('send', { account: 'default', to: '100', text: 'y' });
	equal(again.status, 0);
	const times = tg.calls.filter((c) => c.params.chat_id === '100').map((c) => c.at);
	ok(times[1] - times[0] >= 700); // one a second, seen by a receiver that may itself be late
});

scenario('formatting that Telegram refuses goes out as plain text', {}, async ({ tg, d }) => {
	tg.answer('sendMessage', [400, "Bad Request: can't parse entities: Unsupported start tag"], 1);
	equal((await d.call('send', { account: 'default', to: '7', text: '**a** <b' })).status, 0);
	equal(tg.called('sendMessage')[1].params, { chat_id: '7', text: 'a <b' });
});

scenario('a pause that Telegram asks for is kept', {}, async ({ tg, d }) => {
	tg.answer('sendMessage', [429, 'Too Many Requests: retry after 2', { retry_after: 2 }], 1);
	equal((await d.call('send', { account: 'default', to: '7', text: 'x' })).status, 0);
	const [a, b] = tg.called('sendMessage').map((c) => c.at);
	ok(b - a >= 2000, `${b - a} ms`);
	tg.answer('sendMessage', [429, 'Too Many Requests: retry after 300', { retry_after: 300 }], 1);
	const long = await d.call('send', { account: 'default', to: '8', text: 'x' });
	equal(long.status, E.RATE_LIMIT);
	equal(long.result.retryAfterMs, 300500);
});

scenario('passing failures are tried again, others explained', {}, async ({ tg, d }) => {
	tg.answer('sendMessage', [502, 'Bad Gateway'], 1);
	equal((await d.call('send', { account: 'default', to: '7', text: 'x' })).status, 0);
	equal(tg.called('sendMessage').length, 2);
	tg.answer('sendMessage', [400, 'Bad Request: chat not found'], 1);
	const unknown = await d.call('send', { account: 'default', to: '8', text: 'x' });
	equal(unknown.status, E.INVALID);
	match(unknown.result, /must write to the bot first/);
	tg.answer('sendMessage', [403, 'Forbidden: bot was blocked by the user'], 1);
	match((await d.call('send', { account: 'default', to: '9', text: 'x' })).result, /blocked the bot/);
	tg.answer('sendMessage', [400, 'Bad Request: group chat was upgraded to a supergroup chat', { migrate_to_chat_id: -100555 }], 1);
	equal((await d.call('send', { account: 'default', to: '-555', text: 'x' })).status, 0);
	equal(tg.called('sendMessage').at(-1).params.chat_id, '-100555');
	tg.answer('sendMessage', [400, 'Bad Request: message thread not found'], 1);
	equal((await d.call('send', { account: 'default', to: '10', thread: '3', text: 'x' })).status, 0);
	equal(tg.called('sendMessage').at(-1).params.message_thread_id, undefined);
});

scenario('a send tried again goes on where it stopped', {}, async ({ tg, d }) => {
	const text = `${'a'.repeat(3990)}\n\n${'b'.repeat(3990)}\n\n${'c'.repeat(3990)}`;
	const message = { account: 'default', to: '7', text, idempotencyKey: 'K1' };
	let n = 0;
	tg.answer('sendMessage', (params) => (++n === 2 ? [400, 'Bad Request: something odd'] : undefined), 2);
	equal((await d.call('send', message)).status, E.INVALID);
	const second = await d.call('send', message);
	equal(second.status, 0);
	equal(tg.shown(7).map((t) => t[0]), ['a', 'b', 'c']);
	equal(ids(second), [...tg.messages.values()].map((m) => m.message_id));
	const third = await d.call('send', message);
	equal(ids(third), ids(second), 'a key that is done is not sent again');
	equal(tg.shown(7).length, 3);
});

scenario('a cancelled send is known when it is tried again', {}, async ({ tg, d }) => {
	tg.answer('sendMessage', async () => {
		await sleep(600);
	}, 1);
	const message = { account: 'default', to: '7', text: 'slow', idempotencyKey: 'K2' };
	const n = d.begin('send', message);
	await tg.until('the request', () => tg.called('sendMessage').length === 1);
	d.put({ op: 'cancel', n });
	equal((await d.done(n)).status, E.CANCELED);
	equal((await d.call('send', message)).status, 0);
	equal(tg.shown(7), ['slow']);
});

// ---- editing ----

scenario('previews are thinned out, the final text is shown', {}, async ({ tg, d }) => {
	const first = await d.call('send', { account: 'default', to: '7', text: 'one' });
	const edit = (text, final) => d.begin('edit', { account: 'default', to: '7', messageId: first.result.messageId, text, final });
	const calls = [];
	for (let i = 2; i <= 60; i++) {
		calls.push(edit(Array.from({ length: i }, (_, k) => `w${k}`).join(' '), false));
		await sleep(50);
	}
	calls.push(edit('**all** of it', true));
	for (const n of calls)
		equal((await d.done(n)).status, 0);
	equal(tg.shown(7), ['all of it']);
	const edits = tg.called('editMessageText');
	ok(edits.length >= 3 && edits.length <= 5, `${edits.length} edits`);
	for (let i = 1; i < edits.length; i++)
		ok(edits[i].at - edits[i - 1].at >= 700);
	// the same text again is no request at all
	equal((await d.done(edit('**all** of it', true))).status, 0);
	equal(tg.called('editMessageText').length, edits.length);
});

scenario('an edit that grows beyond a message goes on in the next, and shrinks again', {}, async ({ tg, d }) => {
	const first = await d.call('send', { account: 'default', to: '7', text: 'start' });
	const edit = (text, final) => d.call('edit', { account: 'default', to: '7', messageId: first.result.messageId, text, final }, 30000);
	const long = `${'x'.repeat(3900)}\n\n${'y'.repeat(3900)}`;
	const grown = await edit(long, false);
	equal(ids(grown).length, 2);
	equal(tg.shown(7).map((t) => t[0]), ['x', 'y']);
	const more = await edit(`${long}\n\n${'z'.repeat(3900)}`, true);
	equal(ids(more).length, 3);
	equal(tg.shown(7).map((t) => t[0]), ['x', 'y', 'z']);
	equal(ids(more)[1], ids(grown)[1]);
	const short = await edit('short', true);
	equal(ids(short).length, 1);
	equal(tg.shown(7), ['short']);
});

scenario('"not modified" is success; a final text whose message is gone is sent anew', {}, async ({ tg, d }) => {
	tg.messages.set('7:900', { message_id: 900, chat: { id: 7 }, text: 'same', entities: [] });
	equal((await d.call('edit', { account: 'default', to: '7', messageId: '900', text: 'same', final: true })).status, 0);
	tg.messages.delete('7:900');
	const gone = await d.call('edit', { account: 'default', to: '7', messageId: '900', text: 'still here', final: true });
	equal(gone.status, 0);
	equal(tg.shown(7), ['still here']);
});

scenario('previews in a group leave room for messages', {}, async ({ tg, d }) => {
	const first = await d.call('send', { account: 'default', to: '-1007', text: 'one' });
	for (let i = 0; i < 40; i++) {
		d.begin('edit', { account: 'default', to: '-1007', messageId: first.result.messageId, text: `text ${i}`, final: false });
		await sleep(100);
	}
	const n = d.begin('send', { account: 'default', to: '-1007', text: 'important' });
	equal((await d.done(n)).status, 0);
	ok(tg.called('editMessageText').length <= 2);
	const last = await d.call('edit', { account: 'default', to: '-1007', messageId: first.result.messageId, text: 'the end', final: true });
	equal(last.status, 0);
	equal(tg.shown(-1007), ['the end', 'important']);
});

scenario('a preview that is refused for its pace is left out', {}, async ({ tg, d }) => {
	const first = await d.call('send', { account: 'default', to: '7', text: 'one' });
	tg.answer('editMessageText', [429, 'Too Many Requests: retry after 2', { retry_after: 2 }], 1);
	const edit = { account: 'default', to: '7', messageId: first.result.messageId };
	equal((await d.call('edit', { ...edit, text: 'two', final: false })).status, 0);
	equal((await d.call('edit', { ...edit, text: 'three', final: true })).status, 0);
	const [a, b] = tg.called('editMessageText').map((c) => c.at);
	ok(b - a >= 2000);
	equal(tg.shown(7), ['three']);
});

scenario('chat actions', {}, async ({ tg, d }) => {
	equal((await d.call('action', { account: 'default', to: '7', action: 'typing' })).status, 0);
	equal(tg.called('sendChatAction')[0].params, { chat_id: '7', action: 'typing' });
	equal((await d.call('action', { account: 'default', to: '-1007', thread: '1', action: 'typing' })).status, 0);
	equal(tg.called('sendChatAction')[1].params.message_thread_id, 1);
});

// ---- files ----

scenario('sends photos and documents piece by piece', {}, async ({ tg, d }) => {
	const dir = path.join(process.env.TMPDIR, 'out');
	fs.mkdirSync(dir, { recursive: true });
	const photo = path.join(dir, 'p.jpg');
	const big = path.join(dir, 'big.bin');
	fs.writeFileSync(photo, Buffer.from('jpeg bytes'));
	const bytes = Buffer.alloc(5 * 1024 * 1024 + 17);
	for (let i = 0; i < bytes.length; i++)
		bytes[i] = (i * 7 + (i >> 9)) & 255;
	fs.writeFileSync(big, bytes);
	const one = await d.call('send', { account: 'default', to: '7', text: 'see **this**', replyTo: '5',
		media: [{ type: 'image', path: photo, mime: 'image/jpeg', name: 'p.jpg' }] });
	equal(one.status, 0);
	const sent = tg.called('sendPhoto')[0];
	equal([sent.params.caption, sent.params.parse_mode, sent.params.chat_id], ['see <b>this</b>', 'HTML', '7']);
	equal(JSON.parse(sent.params.reply_parameters).message_id, 5);
	equal(String(sent.files.photo.bytes), 'jpeg bytes');
	equal([sent.files.photo.name, sent.files.photo.type], ['p.jpg', 'image/jpeg']);
	const two = await d.call('send', { account: 'default', to: '8', text: '', media: [
		{ type: 'file', path: big, mime: 'application/octet-stream', name: 'a "quoted"\n.bin' }] }, 30000);
	equal(two.status, 0);
	const doc = tg.called('sendDocument')[0].files.document;
	ok(doc.bytes.equals(bytes), 'the bytes are the same');
	equal(doc.name, 'a _quoted__.bin');
	// a caption that is too long becomes a message
	const long = await d.call('send', { account: 'default', to: '9', text: 'w '.repeat(800), media: [
		{ type: 'image', path: photo, mime: 'image/jpeg', name: 'p.jpg' }] });
	equal(ids(long).length, 2);
	equal(tg.called('sendPhoto').at(-1).params.caption, undefined);
	// what is no photo to Telegram goes as a document
	tg.answer('sendPhoto', [400, 'Bad Request: PHOTO_INVALID_DIMENSIONS'], 1);
	const odd = await d.call('send', { account: 'default', to: '10', text: 'odd', media: [
		{ type: 'image', path: photo, mime: 'image/jpeg', name: 'p.jpg' }] });
	equal(odd.status, 0);
	equal(tg.called('sendDocument').at(-1).params.caption, 'odd');
	const kinds = await d.call('send', { account: 'default', to: '11', text: '', media: [
		{ type: 'audio', path: photo, mime: 'audio/ogg', name: 'v.ogg' }, { type: 'audio', path: photo, mime: 'audio/mpeg', name: 's.mp3' },
		{ type: 'video', path: photo, mime: 'video/mp4', name: 'f.mp4' }, { type: 'image', path: photo, mime: 'image/gif', name: 'g.gif' }] });
	equal(ids(kinds).length, 4);
	equal(tg.calls.slice(-4).filter((c) => c.method.startsWith('send')).map((c) => c.method).sort(),
		['sendAnimation', 'sendAudio', 'sendVideo', 'sendVoice'].filter((m) => tg.called(m).length));
	const gone = await d.call('send', { account: 'default', to: '7', text: '', media: [{ type: 'file', path: `${dir}/none`, mime: 'x/y', name: 'n' }] });
	equal(gone.status, E.NOT_FOUND);
});

scenario('files beyond the limit are not sent', { mediaMaxMb: 0.001 }, async ({ d }) => {
	const file = path.join(process.env.TMPDIR, 'large.bin');
	fs.writeFileSync(file, Buffer.alloc(2000));
	const answer = await d.call('send', { account: 'default', to: '7', text: '', media: [{ type: 'file', path: file, mime: 'x/y', name: 'n' }] });
	equal(answer.status, E.LIMIT);
	match(answer.result, /mediaMaxMb/);
});

scenario('loads photos and documents', { mediaMaxMb: 3 }, async ({ tg, d }) => {
	const big = Buffer.alloc(2 * 1024 * 1024 + 5, 'abc');
	tg.say(7, undefined, { caption: 'look', photo: [
		{ file_id: 'small', width: 90, height: 90 }, { file_id: tg.file('photo bytes', 'photos/file 1.jpg'.replace(' ', '_')), width: 900, height: 900, file_size: 11 }] });
	tg.say(7, undefined, { document: { file_id: tg.file(big, 'documents/file_2.pdf'), file_name: '../../evil/name.pdf',
		mime_type: 'application/pdf', file_size: big.length } });
	tg.say(7, undefined, { caption: 'huge', document: { file_id: 'X', file_name: 'huge.iso', file_size: 9e9 } });
	tg.say(7, undefined, { caption: 'gone', document: { file_id: 'nowhere', file_name: 'gone.txt' } });
	tg.say(7, undefined, { caption: 'lies', document: { file_id: tg.file(Buffer.alloc(4 * 1024 * 1024), 'documents/l.bin'), file_name: 'l.bin' } });
	await d.until('five messages', () => d.received.length === 5, 20000);
	const [photo, doc, huge, gone, lies] = d.received;
	equal(photo.text, 'look');
	equal([photo.media[0].type, photo.media[0].mime], ['image', 'image/jpeg']);
	equal(fs.readFileSync(photo.media[0].path, 'utf8'), 'photo bytes');
	ok(photo.media[0].path.startsWith(`${d.mediaDir}/`));
	equal(fs.statSync(photo.media[0].path).mode & 0o777, 0o600);
	ok(fs.readFileSync(doc.media[0].path).equals(big));
	equal(path.dirname(doc.media[0].path), d.mediaDir);
	equal(doc.media[0].name, 'name.pdf');
	equal(huge.media, undefined);
	match(huge.text, /^huge\n\[the document "huge\.iso" was not loaded: .*mediaMaxMb\)\]$/);
	match(gone.text, /gone\.txt" was not loaded: Bad Request: wrong file_id/);
	match(lies.text, /larger than channels\.telegram\.mediaMaxMb allows/);
	equal(fs.readdirSync(d.mediaDir).filter((n) => n.endsWith('.part')), [], 'nothing half loaded stays');
});

scenario('files of strangers are not loaded, and a question about a picture brings it along', {}, async ({ tg, d }) => {
	d.put({ op: 'strangers', ids: ['8'] });
	const photo = [{ file_id: tg.file('pixels', 'photos/p.jpg'), width: 9, height: 9 }];
	tg.say(8, undefined, { photo, caption: 'spam' });
	await d.until('the message', () => d.received.length === 1);
	equal(d.received[0].text, 'spam\n[photo image-1.jpg]');
	equal(d.received[0].media, undefined);
	equal(tg.called('getFile').length, 0);
	tg.say(7, 'what is this?', { reply_to_message: { message_id: 1, photo, from: { id: 8, first_name: 'S' } } });
	await d.until('the question', () => d.received.length === 2);
	equal(fs.readFileSync(d.received[1].media[0].path, 'utf8'), 'pixels');
	equal(d.received[1].replyTo.id, '1');
});

scenario('files of a Bot API server on this machine', {}, async ({ tg, d }) => {
	const root = path.join(process.env.TMPDIR, 'botapi');
	fs.mkdirSync(`${root}/documents`, { recursive: true });
	fs.writeFileSync(`${root}/documents/a.txt`, 'local');
	fs.writeFileSync(path.join(process.env.TMPDIR, 'secret.txt'), 'secret');
	d.account.config.trustedLocalFileRoots = [root];
	await d.call('disconnect', { account: 'default' });
	await d.call('connect', d.account);
	for (const file of [`${root}/documents/a.txt`, `${root}/../secret.txt`, '/etc/hostname']) {
		tg.say(7, undefined, { document: { file_id: tg.file('', file), file_name: 'a.txt' } });
	}
	await d.until('three messages', () => d.received.length === 3);
	equal(fs.readFileSync(d.received[0].media[0].path, 'utf8'), 'local');
	for (const m of d.received.slice(1)) {
		equal(m.media, undefined);
		match(m.text, /trustedLocalFileRoots/);
	}
});

scenario('an album is one message', {}, async ({ tg, d }) => {
	const photo = (name) => [{ file_id: tg.file(name, `photos/${name}.jpg`), width: 9, height: 9 }];
	await tg.until('a poll', () => tg.called('getUpdates').length > 0);
	tg.say(7, undefined, { media_group_id: 'G', photo: photo('a'), caption: 'three' });
	await sleep(150);
	tg.say(7, undefined, { media_group_id: 'G', photo: photo('b') });
	const { update } = tg.say(7, undefined, { media_group_id: 'G', photo: photo('c') });
	tg.say(7, 'after');
	await d.until('both messages', () => d.received.length === 2);
	equal(d.received[0].media.map((m) => fs.readFileSync(m.path, 'utf8')), ['a', 'b', 'c']);
	equal([d.received[0].text, d.received[1].text], ['three', 'after']);
	await tg.until('confirmed', () => tg.confirmed === update + 2);
});

// ---- webhook ----

scenario('webhook: secret, answer after the commit, albums', { webhookUrl: 'https://bot.example.org/telegram-webhook' }, async ({ tg, d }) => {
	const set = tg.called('setWebhook')[0].params;
	equal([set.url, set.drop_pending_updates], ['https://bot.example.org/telegram-webhook', false]);
	match(set.secret_token, /^[0-9a-f]{64}$/);
	tg.webhook = null;
	const headers = { 'content-type': 'application/json', 'x-telegram-bot-api-secret-token': set.secret_token };
	const update = (id, members = { text: `m${id}` }) => JSON.stringify({ update_id: id, message: { message_id: id, date: 1, from: { id: 7, first_name: 'U' },
		chat: { id: 7, type: 'private' }, ...members } });
	const post = (body, more = {}) => d.begin('http', { method: 'POST', path: '/telegram-webhook', headers, body, ...more });
	const status = async (n) => {
		await d.done(n);
		return d.events.find((e) => e.ev === 'event' && e.n === n && e.type === 6).payload.status;
	};
	equal(await status(post(update(1), { headers: {} })), 401);
	equal(await status(post(update(1), { headers: { 'x-telegram-bot-api-secret-token': `${set.secret_token.slice(0, -1)}!` } })), 401);
	equal(await status(post(update(1), { path: '/telegram-webhook/other' })), 404);
	equal(await status(post(update(1), { method: 'GET' })), 405);
	equal(await status(post('not json')), 400);
	equal(await status(post('{"update_id":"x"}')), 400);
	equal(await status(post('{"update_id":4}')), 200);
	equal(d.received.length, 0);
	d.put({ op: 'receive', mode: 'hold' });
	const first = post(update(5));
	await d.until('the message', () => d.received.length === 1);
	await sleep(200);
	ok(!d.events.some((e) => e.ev === 'done' && e.n === first), 'no answer before the commit');
	d.put({ op: 'receive', mode: 'ok' });
	d.put({ op: 'commit', status: 0 });
	equal(await status(first), 200);
	const parts = ['a', 'b'].map((name, i) => post(update(6 + i, { media_group_id: 'G', photo: [{ file_id: tg.file(name, `p/${name}.jpg`), width: 1, height: 1 }] })));
	for (const n of parts)
		equal(await status(n), 200);
	equal(d.received.length, 2);
	equal(d.received[1].media.length, 2);
	d.put({ op: 'receive', mode: 'hold' });
	const cut = post(update(9));
	await d.until('the message', () => d.received.length === 3);
	await d.call('disconnect', { account: 'default' });
	equal(await status(cut), 503, 'what was not committed is to be sent again');
});

scenario('a webhook that Telegram refuses', { webhookUrl: 'https://x.example/telegram-webhook' }, async ({ tg, d }) => {
	tg.answer('setWebhook', [400, 'Bad Request: bad webhook: HTTPS url must be provided for webhook'], 1);
	const answer = await d.call('connect', d.account);
	equal(answer.status, E.INVALID);
	match(answer.result, /Telegram refuses webhookUrl: Bad Request: bad webhook/);
}, { connect: false });

scenario('the webhook secret of the configuration, two accounts', { webhookUrl: 'https://x.example/telegram-webhook' }, async ({ tg, d }) => {
	equal(tg.called('setWebhook')[0].params.secret_token, 'my-secret_1');
	equal((await d.call('connect', { account: 'work', config: { apiRoot: tg.url } })).status, 0);
	equal((await d.call('probe', { account: 'work' })).status, 0);
	const bot = await d.call('connect', { account: 'third', config: { apiRoot: tg.url } });
	equal(bot.status, E.AUTH);
	match(bot.result, /channels\.telegram\.accounts\.third\.botToken/);
	match((await d.call('probe', { account: 'default' })).result.detail, /webhook, \d+ updates waiting/);
}, { secrets: { 'channels.telegram.botToken': '123456:TEST-token_abc', 'channels.telegram.webhookSecret': 'my-secret_1',
	'channels.telegram.accounts.work.botToken': '123456:TEST-token_abc' } });

for (let i = 0; i < 4; i++)
	worker();
await done();
