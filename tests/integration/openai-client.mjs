import { load } from '../npm/load.mjs';
import http from 'node:http';
import { Gateway, cleanup, done, equal, match, ok, skipAll, sleep, test, until, writeConfig } from './lib.mjs';

const npm = await load('openai');
if (!npm)
	skipAll('needs npm packages (make npm-deps)');
const OpenAI = npm.default;
// A provider that makes vectors: of a text's length and its first letter, as long as asked.
const embedded = [];
const provider = http.createServer(async (req, res) => {
	let body = '';
	for await (const piece of req)
		body += piece;
	const { input, dimensions = 3, model } = JSON.parse(body);
	embedded.push({ input, dimensions, model, path: req.url });
	res.writeHead(model === 'refuses' ? 429 : 200, { 'content-type': 'application/json' });
	res.end(JSON.stringify(model === 'refuses' ? { error: { message: 'slow down' } } : { object: 'list', model, usage: { prompt_tokens: 7, total_tokens: 7 },
		data: input.map((text, index) => ({ object: 'embedding', index, embedding: Array.from({ length: dimensions }, (_v, i) => (i === 0 ? text.length : text.charCodeAt(0) / 8)) })) }));
});
await new Promise((resolve) => provider.listen(0, '127.0.0.1', resolve));
cleanup(() => provider.close());
writeConfig({ gateway: { mode: 'local' }, agents: { defaults: { model: { primary: 'offline/echo' }, memorySearch: { provider: 'vectors', model: 'small' } } },
	models: { providers: { vectors: { baseUrl: `http://127.0.0.1:${provider.address().port}/v1`, apiKey: 'sk-x', api: 'openai-completions', models: [{ id: 'chat' }] } } } });
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

const weather = { type: 'function', name: 'get_weather', description: 'weather', parameters: { type: 'object', properties: { city: { type: 'string' } } } };
const nested = { type: 'function', function: { name: 'get_weather', description: 'weather', parameters: weather.parameters } };
const call = '/tool get_weather {"city":"Berlin"}';

test('a function of the client: the call is the answer, its result goes on', async () => {
	const messages = user(call);
	const r = await client.chat.completions.create({ model: 'openclaw', messages, tools: [nested] });
	const choice = r.choices[0];
	equal(choice.finish_reason, 'tool_calls');
	equal(choice.message.tool_calls.length, 1);
	const asked = choice.message.tool_calls[0];
	equal([asked.type, asked.function.name, JSON.parse(asked.function.arguments)], ['function', 'get_weather', { city: 'Berlin' }]);
	messages.push(choice.message, { role: 'tool', tool_call_id: asked.id, content: '/echo {"t":20}' });
	const after = await client.chat.completions.create({ model: 'openclaw', messages, tools: [nested] });
	match(after.choices[0].message.content, /"t":20/);
	const stream = client.chat.completions.stream({ model: 'openclaw', messages: user(call), tools: [nested] });
	const end = await stream.finalChatCompletion();
	equal(end.choices[0].finish_reason, 'tool_calls');
	equal(JSON.parse(end.choices[0].message.tool_calls[0].function.arguments), { city: 'Berlin' });
});

test('responses: a text, its object and its usage', async () => {
	const r = await client.responses.create({ model: 'openclaw', input: '/echo plain words', instructions: 'Be brief.' });
	equal([r.object, r.status, r.error, r.output.length, r.output[0].type, r.output[0].role], ['response', 'completed', null, 1, 'message', 'assistant']);
	match(r.output_text, /plain words/);
	match(r.id, /^resp_/);
	ok(r.usage.total_tokens === r.usage.input_tokens + r.usage.output_tokens && r.usage.total_tokens > 0);
	equal((await client.models.retrieve('openclaw/main')).id, 'openclaw/main');
	equal((await client.models.retrieve('nothing').catch((e) => e)).status, 404);
});

test('responses: the stream\'s events in order, numbered, ending with the whole', async () => {
	const types = [];
	let n = 0;
	let text = '';
	for await (const e of await client.responses.create({ model: 'openclaw', input: '/slow 4 20ms', stream: true })) {
		equal(e.sequence_number, n++);
		if (types.at(-1) !== e.type)
			types.push(e.type);
		text += e.type === 'response.output_text.delta' ? e.delta : '';
		if (e.type === 'response.completed')
			equal(e.response.output[0].content[0].text, text);
	}
	equal(types.map((t) => t.slice('response.'.length)), ['created', 'in_progress', 'output_item.added', 'content_part.added', 'output_text.delta',
		'output_text.done', 'content_part.done', 'output_item.done', 'completed']);
	const helper = client.responses.stream({ model: 'openclaw', input: '/echo with the helper' });
	match((await helper.finalResponse()).output_text, /with the helper/);
});

test('responses: items are the history, previous_response_id goes on', async () => {
	const first = await client.responses.create({ model: 'openclaw', input: [
		{ role: 'developer', content: 'Be brief.' }, { role: 'user', content: 'one' }, { role: 'assistant', content: [{ type: 'output_text', text: 'two', annotations: [] }] },
		{ type: 'reasoning', id: 'rs_1', summary: [] }, { role: 'user', content: [{ type: 'input_text', text: '[test] /context' }] }] });
	match(first.output_text, /3 messages \(2 user, 1 assistant/);
	const second = await client.responses.create({ model: 'openclaw', input: '[test] /context', previous_response_id: first.id });
	match(second.output_text, /5 messages \(3 user, 2 assistant/);
	const third = await client.responses.create({ model: 'openclaw', input: '[test] /context', previous_response_id: second.id });
	match(third.output_text, /7 messages/);
	const other = await client.responses.create({ model: 'openclaw', input: '[test] /context' });
	match(other.output_text, /1 messages/);
	const lost = await client.responses.create({ model: 'openclaw', input: 'x', previous_response_id: 'resp_0' }).catch((e) => e);
	equal([lost.status, lost.code], [404, 'previous_response_not_found']);
});

test('responses: functions of the client, flat and nested, as one answer and as a stream', async () => {
	for (const tool of [weather, nested]) {
		const r = await client.responses.create({ model: 'openclaw', input: call, tools: [tool] });
		equal(r.output.map((o) => o.type), ['function_call']);
		equal([r.output[0].name, JSON.parse(r.output[0].arguments)], ['get_weather', { city: 'Berlin' }]);
		const after = await client.responses.create({ model: 'openclaw', previous_response_id: r.id, tools: [tool],
			input: [{ type: 'function_call_output', call_id: r.output[0].call_id, output: '/echo {"t":20}' }] });
		match(after.output_text, /"t":20/);
	}
	const items = [{ role: 'user', content: call }];
	const end = await client.responses.stream({ model: 'openclaw', input: items, tools: [weather] }).finalResponse();
	equal(end.output.map((o) => o.type), ['function_call']);
	items.push(...end.output, { type: 'function_call_output', call_id: end.output[0].call_id, output: '/echo {"t":21}' });
	const last = await client.responses.create({ model: 'openclaw', input: items, tools: [weather] });
	match(last.output_text, /"t":21/);
	const { messages } = await gw.rpc('session.history', { session: `openai:${last.id.slice(5, 41)}` });
	equal(messages.map((m) => m.role), ['user', 'assistant', 'tool', 'user', 'assistant']);
	match(messages[3].content[0].text, /^\[Result of get_weather, call [^\]]+\]\n.*"t":21/);
});

test('responses: what is wrong is said with its place', async () => {
	const fails = async (body, status, pattern) => {
		const error = await client.responses.create({ model: 'openclaw', input: 'x', ...body }).then(() => null, (e) => e);
		ok(error, 'must fail');
		equal(error.status, status, error.message);
		match(error.message, pattern);
	};
	await fails({ input: undefined }, 400, /input must be/);
	await fails({ input: [] }, 400, /must end with a user message/);
	await fails({ input: [{ type: 'web_search_call' }] }, 400, /input\[0\]: items of type "web_search_call"/);
	await fails({ input: [{ role: 'robot', content: 'x' }] }, 400, /"robot"/);
	await fails({ input: [{ role: 'user', content: [{ type: 'input_image', image_url: 'http://x/y.png' }] }] }, 400, /data: URL/);
	await fails({ input: [{ type: 'function_call_output', output: 'x' }] }, 400, /call_id/);
	await fails({ tools: [{ type: 'web_search' }] }, 400, /only functions/);
	await fails({ tools: [{ type: 'function', name: 'exec' }] }, 400, /a tool "exec" of its own/);
	await fails({ tools: [weather, weather] }, 400, /two of the name/);
	await fails({ tools: [{ ...weather, name: 'a b' }] }, 400, /tools\[0\]\.name/);
	await fails({ tools: [weather], tool_choice: { type: 'function', name: 'other' } }, 400, /none of the tools/);
	await fails({ tool_choice: 'required' }, 400, /there are no tools/);
	await fails({ model: 'gpt-9' }, 404, /no such model/);
	await fails({ input: '/error auth' }, 502, /./);
	const failed = [];
	for await (const e of await client.responses.create({ model: 'openclaw', input: '/slow 400 5ms', stream: true })) {
		failed.push(e.type);
		if (failed.filter((t) => t.endsWith('delta')).length === 2)
			break;
	}
	await until('the run to end', async () => (await gw.rpc('agent.status', {})).runs.length === 0);
	const none = await client.responses.create({ model: 'openclaw', input: call, tools: [weather], tool_choice: 'none' });
	equal(none.output.map((o) => o.type), ['message']);
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
	await until('the run to end', async () => (await gw.rpc('agent.status', {})).runs.length === 0);
});

test('embeddings: a text, several, as numbers and in base64, of another length', async () => {
	const one = await client.embeddings.create({ model: 'vectors/small', input: 'hello', encoding_format: 'float' });
	equal([one.object, one.model, one.usage, one.data], ['list', 'vectors/small', { prompt_tokens: 7, total_tokens: 7 }, [{ object: 'embedding', index: 0, embedding: [5, 13, 13] }]]);
	const list = await client.embeddings.create({ model: 'vectors/small', input: ['a', 'bb'], dimensions: 5 }); // the client asks for base64 by itself
	equal(list.data.map((d) => [d.index, [...d.embedding]]), [[0, [1, 12.125, 12.125, 12.125, 12.125]], [1, [2, 12.25, 12.25, 12.25, 12.25]]]);
	equal(embedded.at(-1), { input: ['a', 'bb'], dimensions: 5, model: 'small', path: '/v1/embeddings' });
	const raw = await (await gw.fetch('/v1/embeddings', { method: 'POST', body: JSON.stringify({ model: 'openclaw/main', input: 'x', encoding_format: 'base64' }) })).json();
	equal([...new Float32Array(Uint8Array.from(Buffer.from(raw.data[0].embedding, 'base64')).buffer)], [1, 15, 15]);
	equal((await client.embeddings.create({ model: 'openclaw', input: 'mine' })).model, 'vectors/small');
	ok((await client.embeddings.create({ model: 'offline/hashing', input: 'without a network' })).data[0].embedding.length > 100);
});

test('embeddings: what is wrong is said with its place', async () => {
	const fails = async (body, status, param, pattern) => {
		const error = await client.embeddings.create({ model: 'vectors/small', input: 'x', encoding_format: 'float', ...body }).then(() => null, (e) => e);
		ok(error, 'must fail');
		equal([error.status, error.param ?? null], [status, param], error.message);
		match(error.message, pattern);
	};
	await fails({ input: undefined }, 400, 'input', /a text or a list/);
	await fails({ input: [] }, 400, 'input', /1 to 2048/);
	await fails({ input: '' }, 400, 'input', /empty/);
	await fails({ input: [[1, 2]] }, 400, 'input', /tokens/);
	await fails({ encoding_format: 'hex' }, 400, 'encoding_format', /base64/);
	await fails({ dimensions: 0 }, 400, 'dimensions', /whole number/);
	await fails({ model: 'nothing' }, 404, 'model', /no embedding model 'nothing'/);
	await fails({ model: 'vectors/refuses' }, 429, null, /./);
	equal((await fetch(`${gw.url}/v1/embeddings`, { method: 'POST', body: '{}' })).status, 401);
});

test('fifty at once', async () => {
	const answers = await Promise.all(Array.from({ length: 50 }, (_, i) =>
		client.chat.completions.create({ model: 'openclaw', messages: user(`/echo number ${i}`) })));
	answers.forEach((a, i) => match(a.choices[0].message.content, new RegExp(`number ${i}\\b`)));
	await sleep(10);
});

// Anthropic's API, with Anthropic's client: the same agent behind it.
const Anthropic = (await load('@anthropic-ai/sdk')).default;
const claude = new Anthropic({ apiKey: gw.token, baseURL: gw.url, maxRetries: 0 });
const ask = (content, more) => ({ model: 'openclaw', max_tokens: 1000, messages: user(content), ...more });
const weatherOf = { name: 'get_weather', description: 'weather', input_schema: weather.parameters };

test('messages: a text, its usage, the history, the models', async () => {
	const r = await claude.messages.create(ask('/echo plain words', { system: [{ type: 'text', text: 'Be brief.' }] }));
	equal([r.type, r.role, r.model, r.content.length, r.content[0].type, r.stop_reason], ['message', 'assistant', 'openclaw', 1, 'text', 'end_turn']);
	match(r.content[0].text, /plain words/);
	match(r.id, /^msg_/);
	ok(r.usage.input_tokens > 0 && r.usage.output_tokens > 0);
	const h = await claude.messages.create({ ...ask('x'), messages: [{ role: 'user', content: 'one' },
		{ role: 'assistant', content: [{ type: 'thinking', thinking: 'hm', signature: 'x' }, { type: 'text', text: 'two' }] },
		{ role: 'user', content: [{ type: 'text', text: '/echo three' }, { type: 'image', source: { type: 'base64', media_type: 'image/png', data: 'iVBORw0KGgo=' } }] }] });
	match(h.content[0].text, /three/);
	const ids = [];
	for await (const m of claude.models.list())
		ids.push([m.type, m.id]);
	ok(ids.some(([type, id]) => type === 'model' && id === 'openclaw/main'), JSON.stringify(ids));
	equal((await claude.models.retrieve('openclaw')).display_name, 'openclaw');
});

test('messages: a stream, and closing it ends the turn', async () => {
	const stream = claude.messages.stream(ask('/slow 5 20ms'));
	const types = [];
	stream.on('streamEvent', (e) => types.push(e.type));
	const end = await stream.finalMessage();
	ok(end.content[0].text.split(/\s+/).length >= 5, end.content[0].text);
	equal([types[0], types[1], types.at(-3), types.at(-2), types.at(-1)],
		['message_start', 'content_block_start', 'content_block_stop', 'message_delta', 'message_stop']);
	ok(types.filter((t) => t === 'content_block_delta').length > 1, 'in pieces');
	ok(end.usage.input_tokens > 0 && end.usage.output_tokens > 0, JSON.stringify(end.usage));
	const long = await claude.messages.create(ask('/slow 400 50ms', { stream: true }));
	for await (const event of long) {
		ok(event);
		if (event.type === 'content_block_delta')
			break;
	}
	long.controller.abort();
	await until('the run to end', async () => (await gw.rpc('agent.status', {})).runs.length === 0);
});

test('messages: a tool of the client, whole and streamed', async () => {
	const tools = [weatherOf], messages = user(call);
	const r = await claude.messages.create({ ...ask(''), messages, tools });
	equal(r.stop_reason, 'tool_use');
	const use = r.content.find((b) => b.type === 'tool_use');
	equal([use.name, use.input], ['get_weather', { city: 'Berlin' }]);
	messages.push({ role: 'assistant', content: r.content }, { role: 'user', content: [
		{ type: 'tool_result', tool_use_id: use.id, content: [{ type: 'text', text: '/echo {"t":20}' }] }, { type: 'text', text: 'thanks' }] });
	const after = await claude.messages.create({ ...ask(''), messages, tools });
	match(after.content[0].text, /"t":20/);
	messages.push({ role: 'assistant', content: after.content }, { role: 'user', content: '/echo and on' });
	match((await claude.messages.create({ ...ask(''), messages, tools })).content[0].text, /and on/);
	const streamed = await claude.messages.stream(ask(call, { tools, tool_choice: { type: 'any' } })).finalMessage();
	equal([streamed.stop_reason, streamed.content.at(-1).input], ['tool_use', { city: 'Berlin' }]);
	const none = await claude.messages.create(ask('/echo only words', { tools, tool_choice: { type: 'none' } }));
	equal(none.content.map((b) => b.type), ['text']);
});

test('messages: errors have the status and the shape that the client knows', async () => {
	const fails = async (body, status, type, pattern) => {
		const error = await claude.messages.create(body).then(() => null, (e) => e);
		ok(error, 'must fail');
		equal([error.status, error.error.type, error.error.error.type], [status, 'error', type], error.message);
		match(error.error.error.message, pattern);
	};
	await fails(ask('x', { model: 'claude-9' }), 404, 'not_found_error', /no such model/);
	await fails({ ...ask('x'), messages: [] }, 400, 'invalid_request_error', /must end with a user message/);
	await fails({ ...ask('x'), messages: [{ role: 'user', content: 'x' }, { role: 'assistant', content: 'y' }] }, 400, 'invalid_request_error', /messages\[1\]: the last message/);
	await fails(ask([{ type: 'video' }]), 400, 'invalid_request_error', /"video"/);
	await fails(ask('x', { tools: [{ type: 'web_search_20250305', name: 'web_search' }] }), 400, 'invalid_request_error', /web_search_20250305/);
	await fails(ask('/error auth'), 502, 'api_error', /./);
	const wrong = new Anthropic({ apiKey: 'wrong', baseURL: gw.url, maxRetries: 0 });
	equal((await wrong.messages.create(ask('x')).catch((e) => e)).status, 401);
});

await done();
