import { load } from '../npm/load.mjs';
import { Gateway, done, equal, match, ok, skipAll, sleep, test, until } from './lib.mjs';

const npm = await load('openai');
if (!npm)
	skipAll('needs npm packages (make npm-deps)');
const OpenAI = npm.default;
const gw = await new Gateway().start();
const client = new OpenAI({ apiKey: gw.token, baseURL: `${gw.url}/v1`, maxRetries: 0 });
const user = (content) => [{ role: 'user', content }];

test('models are listed', async () => {
	const ids = [];
	for await (const m of client.models.list())
		ids.push(m.id);
	ok(ids.includes('openclaw') && ids.includes('openclaw/main'));
});

test('a plain completion', async () => {
	const r = await client.chat.completions.create({ model: 'openclaw', messages: user('/echo plain words') });
	equal(r.object, 'chat.completion');
	equal(r.choices.length, 1);
	equal(r.choices[0].message.role, 'assistant');
	match(r.choices[0].message.content, /plain words/);
	equal(r.choices[0].finish_reason, 'stop');
	ok(r.usage.total_tokens > 0);
	match(r.id, /^chatcmpl-/);
});

test('a streamed completion: role first, pieces, finish, usage', async () => {
	const stream = await client.chat.completions.create({
		model: 'openclaw', messages: user('/slow 5 100ms'), stream: true, stream_options: { include_usage: true } });
	const chunks = [];
	const times = [];
	for await (const c of stream) {
		chunks.push(c);
		times.push(Date.now());
	}
	equal(chunks[0].choices[0].delta.role, 'assistant');
	const text = chunks.map((c) => c.choices[0]?.delta.content ?? '').join('');
	ok(text.split(/\s+/).length >= 5, text);
	const finish = chunks.filter((c) => c.choices[0]?.finish_reason);
	equal(finish.length, 1);
	equal(finish[0].choices[0].finish_reason, 'stop');
	equal(chunks.at(-1).choices.length, 0);
	ok(chunks.at(-1).usage.total_tokens > 0);
	ok(chunks.every((c) => c.id === chunks[0].id && c.object === 'chat.completion.chunk'));
	ok(times.at(-1) - times[0] >= 40, 'pieces arrive as they are made');
});

test('the client\'s helper for streams agrees', async () => {
	const stream = client.chat.completions.stream({ model: 'openclaw/main', messages: user('/echo with the helper') });
	match(await stream.finalContent(), /with the helper/);
});

test('messages are the history; nothing of another request is in it', async () => {
	const r = await client.chat.completions.create({ model: 'openclaw', messages: [
		{ role: 'system', content: 'Be brief.' }, { role: 'user', content: 'one' }, { role: 'assistant', content: 'two' },
		{ role: 'user', content: [{ type: 'text', text: '/echo three' }] }] });
	match(r.choices[0].message.content, /three/);
});

test('a user gets a session of its own that lasts', async () => {
	await client.chat.completions.create({ model: 'openclaw', user: 'ann', messages: user('/echo first') });
	await client.chat.completions.create({ model: 'openclaw', user: 'ann', messages: user('/echo second') });
	const { sessions } = await gw.rpc('session.list', {});
	const key = sessions.find((s) => s.key.includes('ann')).key;
	const h = await gw.rpc('session.history', { session: key });
	equal(h.messages.length, 4);
});

test('errors carry status, code and words', async () => {
	const fails = async (body, status, pattern) => {
		const error = await client.chat.completions.create(body).then(() => null, (e) => e);
		ok(error, 'must fail');
		equal(error.status, status, error.message);
		match(error.message, pattern);
	};
	await fails({ model: 'gpt-9', messages: user('x') }, 404, /no such model/);
	await fails({ model: 'openclaw:nobody', messages: user('x') }, 404, /nobody/);
	await fails({ model: 'openclaw', messages: [] }, 400, /messages/);
	await fails({ model: 'openclaw', messages: [{ role: 'assistant', content: 'x' }] }, 400, /last message/);
	await fails({ model: 'openclaw', messages: user('x'), n: 2 }, 400, /n is not supported/);
	await fails({ model: 'openclaw', messages: user('/error auth') }, 502, /./);
	const bad = new OpenAI({ apiKey: 'wrong', baseURL: `${gw.url}/v1`, maxRetries: 0 });
	const refused = await bad.chat.completions.create({ model: 'openclaw', messages: user('x') }).catch((e) => e);
	equal(refused.status, 401);
});

test('an answer that the provider cut off is continued in the same stream', async () => {
	const stream = client.chat.completions.stream({ model: 'openclaw', messages: user('/error cut') });
	const text = await stream.finalContent();
	match(text, /^This answer breaks off in the middle of\S/);
	equal((await stream.finalChatCompletion()).choices[0].finish_reason, 'stop');
});

test('closing the connection cancels the turn', async () => {
	const stream = await client.chat.completions.create({ model: 'openclaw', messages: user('/slow 400 50ms'), stream: true });
	for await (const chunk of stream) {
		ok(chunk);
		break;
	}
	stream.controller.abort();
	await until('the run to end', async () => (await gw.rpc('agent.status', {})).runs.length === 0, 5000);
});

test('fifty at once', async () => {
	const answers = await Promise.all(Array.from({ length: 50 }, (_, i) =>
		client.chat.completions.create({ model: 'openclaw', messages: user(`/echo number ${i}`) })));
	answers.forEach((a, i) => match(a.choices[0].message.content, new RegExp(`number ${i}\\b`)));
	await sleep(10);
});

await done();
