// A provider of OpenAI's chat API as it was while the original gateways were recorded: markers in the last user message say
// what it does. [[SHORT]] two pieces; [[SLOW]] sixty slow ones; [[TOOL:name {json}]] text, one call, and after its result four
// pieces; [[ERR500]], [[ERR401]]; otherwise sixteen pieces.
import http from 'node:http';
import { sleep } from './lib.mjs';

const words = 'The quick brown fox jumps over the lazy dog. '.split(/(?<= )/);
const textOf = (content) => (typeof content === 'string' ? content : (content ?? []).map((part) => part.text ?? '').join(''));

export async function mockProvider() {
	const requests = [];
	let calls = 0;
	const server = http.createServer(async (req, res) => {
		let body = '';
		for await (const piece of req)
			body += piece;
		const { messages = [] } = body ? JSON.parse(body) : {};
		requests.push(messages);
		const last = messages.findLast((m) => m.role === 'user'), text = textOf(last?.content), tool = /\[\[TOOL:(\w+) (\{.*?\})\]\]/.exec(text);
		const error = /\[\[ERR(\d+)\]\]/.exec(text);
		if (error) {
			res.writeHead(Number(error[1]), { 'content-type': 'application/json' });
			res.end(JSON.stringify({ error: { message: 'mock internal error', type: 'mock' } }));
			return;
		}
		res.writeHead(200, { 'content-type': 'text/event-stream' });
		const send = (choice) => res.write(`data: ${JSON.stringify({ id: 'c', object: 'chat.completion.chunk', created: 1, model: 'mock-1', ...choice })}\n\n`);
		const say = async (pieces, ms) => {
			for (const content of pieces) {
				if (res.destroyed)
					return;
				send({ choices: [{ index: 0, delta: { content } }] });
				await sleep(ms);
			}
		};
		let reason = 'stop';
		if (tool && messages.at(-1).role !== 'tool') {
			await say(['Calling ', 'a tool. '], 5);
			send({ choices: [{ index: 0, delta: { tool_calls: [{ index: 0, id: `call_mock_${++calls}`, type: 'function', function: { name: tool[1], arguments: tool[2] } }] } }] });
			reason = 'tool_calls';
		} else if (tool) {
			await say(['Tool ', 'returned: ', 'ok. ', 'Done.'], 5);
		} else if (/\[\[SHORT\]\]/.test(text)) {
			await say(['Short ', 'reply.'], 5);
		} else {
			const slow = /\[\[SLOW\]\]/.test(text);
			await say(Array.from({ length: slow ? 60 : 16 }, (_v, i) => words[i % words.length]), slow ? 150 : 20);
		}
		send({ choices: [{ index: 0, delta: {}, finish_reason: reason }], usage: { prompt_tokens: 100, completion_tokens: 16, total_tokens: 116 } });
		res.end('data: [DONE]\n\n');
	});
	await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve));
	const url = `http://127.0.0.1:${server.address().port}/v1`;
	return {
		requests,
		url,
		close: () => (server.closeAllConnections(), server.close()),
		// A gateway's configuration that asks it.
		config: (more = {}) => ({ agents: { defaults: { model: { primary: 'mock/mock-1' } } },
			models: { mode: 'merge', providers: { mock: { baseUrl: url, apiKey: 'sk-mock', api: 'openai-completions',
				models: [{ id: 'mock-1', name: 'Mock', contextWindow: 128000, maxTokens: 4096 }] } } }, ...more }),
	};
}
