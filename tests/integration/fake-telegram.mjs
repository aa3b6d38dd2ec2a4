// A Bot API server for tests, written from the official description (core.telegram.org/bots/api): what the package
// telegram-test-api does not do.  Real long polling with confirmation by offset, conflicts, webhooks with their secret,
// files both ways, rate limits on demand, and the judgement of HTML, lengths and unchanged edits.
import http from 'node:http';
import crypto from 'node:crypto';

const TAGS = new Set(['a', 'b', 'strong', 'i', 'em', 's', 'strike', 'del', 'u', 'ins', 'tg-spoiler', 'span', 'pre', 'code', 'blockquote']);

class ApiError extends Error {
	constructor(code, description, parameters) {
		super(description);
		this.body = { ok: false, error_code: code, description, ...(parameters ? { parameters } : {}) };
	}
}

const bad = (text) => new ApiError(400, `Bad Request: ${text}`);

// The visible text and the entities of HTML, or the error Telegram gives.
export function parseHtml(html) {
	const stack = [];
	const entities = [];
	let text = '';
	for (let i = 0; i < html.length;) {
		const entity = /^&(lt|gt|amp|quot|#\d+|#x[0-9a-f]+);/i.exec(html.slice(i, i + 12));
		if (entity) {
			const name = entity[1].toLowerCase();
			text += { lt: '<', gt: '>', amp: '&', quot: '"' }[name]
				?? String.fromCodePoint(name[1] === 'x' ? parseInt(name.slice(2), 16) : Number(name.slice(1)));
			i += entity[0].length;
		} else if (html[i] !== '<') {
			text += html[i++];
		} else {
			const tag = /^<(\/?)([^\s>]*)((?:\s+[a-z-]+(?:="[^"]*")?)*)\s*>/.exec(html.slice(i));
			if (!tag)
				throw bad(`can't parse entities: Unclosed start tag at byte offset ${i}`);
			const name = tag[2].toLowerCase();
			if (tag[1]) {
				const open = stack.pop();
				if (!open || open.name !== name)
					throw bad(`can't parse entities: Unmatched end tag at byte offset ${i}`);
				entities.push({ type: name, offset: open.offset, length: text.length - open.offset, attributes: open.attributes });
			} else if (!TAGS.has(name)) {
				throw bad(`can't parse entities: Unsupported start tag "${name}" at byte offset ${i}`);
			} else {
				stack.push({ name, offset: text.length, attributes: tag[3].trim() });
			}
			i += tag[0].length;
		}
	}
	if (stack.length)
		throw bad(`can't parse entities: Can't find end tag corresponding to start tag "${stack.at(-1).name}"`);
	return { text, entities };
}

function parseMultipart(buffer, type) {
	const boundary = Buffer.from(`--${/boundary=([^;]+)/.exec(type)[1]}`);
	const fields = {};
	const files = {};
	// A field may name a part that holds its file.
	const attached = () => {
		for (const [name, value] of Object.entries(fields))
			if (value.startsWith('attach://'))
				files[name] = files[value.slice(9)];
		return { fields, files };
	};
	let at = buffer.indexOf(boundary) + boundary.length + 2;
	for (;;) {
		const headEnd = buffer.indexOf('\r\n\r\n', at);
		const next = buffer.indexOf(Buffer.concat([Buffer.from('\r\n'), boundary]), headEnd);
		if (headEnd < 0 || next < 0)
			throw bad('the multipart body is broken');
		const head = buffer.subarray(at, headEnd).toString();
		const name = /[; ]name="([^"]*)"/.exec(head)[1];
		const filename = /[; ]filename="?([^";\r]*)/.exec(head);
		const value = buffer.subarray(headEnd + 4, next);
		if (filename)
			files[name] = { name: filename[1], type: /content-type:(.*)/i.exec(head)?.[1].trim(), bytes: Buffer.from(value) };
		else
			fields[name] = value.toString();
		at = next + 2 + boundary.length + 2;
		if (buffer.subarray(at - 2, at).toString() === '--')
			return attached();
	}
}

export class FakeTelegram {
	constructor({ token = '123456:TEST-token_abc', bot = { id: 123456, first_name: 'Claw', username: 'claw_test_bot' } } = {}) {
		this.token = token;
		this.bot = { is_bot: true, ...bot };
		this.calls = [];       // {method, params, files, at}
		this.updates = [];     // not confirmed yet
		this.confirmed = 0;
		this.nextUpdate = 1000;
		this.nextMessage = 1;
		this.messages = new Map(); // "chat:id" -> message as sent by the bot
		this.files = new Map();    // file_id -> {path, bytes}
		this.answers = [];         // {method, times, answer}
		this.poller = null;
		this.webhook = null;
		this.waiting = [];
		this.sockets = new Set();
	}

	async start(port = 0) {
		this.server = http.createServer((req, res) => this.#serve(req, res));
		this.server.on('connection', (s) => {
			this.sockets.add(s);
			s.on('close', () => this.sockets.delete(s));
		});
		await new Promise((resolve) => this.server.listen(port, '127.0.0.1', resolve));
		this.port = this.server.address().port;
		this.url = `http://127.0.0.1:${this.port}`;
		return this;
	}

	async stop() {
		for (const s of this.sockets)
			s.destroy();
		await new Promise((resolve) => this.server.close(resolve));
	}

	// ---- for tests ----

	// The next `times` calls of a method are answered with this (an error: [429, 'Too Many Requests: …', {retry_after}],
	// 'hang up', or a function of the parameters).
	answer(method, answer, times = 1) {
		this.answers.push({ method, answer, times });
	}

	called(method) {
		return this.calls.filter((c) => c.method === method);
	}

	// Every text the bot shows in a chat now, in order.
	shown(chat) {
		return [...this.messages.values()].filter((m) => String(m.chat.id) === String(chat)).map((m) => m.text ?? m.caption ?? '');
	}

	// Resolves when fn(this) is true, looked at after every call.
	async until(what, fn, ms = 15000) {
		const end = Date.now() + ms;
		for (;;) {
			const value = fn(this);
			if (value)
				return value;
			const left = end - Date.now();
			if (left <= 0)
				throw new Error(`waited ${ms} ms for: ${what}; calls so far: ${this.calls.map((c) => c.method).join(' ')}`);
			await new Promise((resolve) => {
				const timer = setTimeout(resolve, Math.min(left, 100));
				this.waiting.push(() => {
					clearTimeout(timer);
					resolve();
				});
			});
		}
	}

	// An update for the bot; returns its id.
	push(update) {
		const update_id = this.nextUpdate++;
		this.updates.push({ update_id, ...update });
		if (this.webhook)
			this.#post({ update_id, ...update });
		else
			this.#wakePoller();
		return update_id;
	}

	// A message of a person. extra: members of the message.
	say(from, text, extra = {}) {
		const user = typeof from === 'number' ? { id: from, is_bot: false, first_name: `User${from}` } : from;
		const message = {
			message_id: this.nextMessage++,
			date: Math.floor(Date.now() / 1000),
			from: user,
			chat: { id: user.id, type: 'private', first_name: user.first_name },
			...(text === undefined ? {} : { text }),
			...extra,
		};
		return { update: this.push({ message }), message };
	}

	// Makes a file that getFile finds.
	file(bytes, path = 'documents/file_1.bin') {
		const file_id = `F${crypto.randomBytes(6).toString('hex')}`;
		this.files.set(file_id, { path, bytes: Buffer.from(bytes) });
		return file_id;
	}

	// ---- the server ----

	#wake() {
		for (const fn of this.waiting.splice(0))
			fn();
	}

	#wakePoller() {
		if (this.poller)
			this.poller.look();
	}

	async #serve(req, res) {
		const chunks = [];
		for await (const c of req)
			chunks.push(c);
		const body = Buffer.concat(chunks);
		const [, root, method = ''] = req.url.split('/');
		if (root === 'file')
			return this.#serveFile(req, res);
		let answer;
		try {
			if (root !== `bot${this.token}`)
				throw /^bot\d+:[\w-]+$/.test(root) ? new ApiError(401, 'Unauthorized') : new ApiError(404, 'Not Found');
			const type = req.headers['content-type'] ?? '';
			let params = {};
			let files = {};
			if (type.startsWith('multipart/form-data'))
				({ fields: params, files } = parseMultipart(body, type));
			else if (body.length)
				params = JSON.parse(body);
			this.calls.push({ method, params, files, at: Date.now() });
			const special = this.answers.find((a) => a.method === method && a.times > 0);
			let said;
			if (special) {
				special.times--;
				said = typeof special.answer === 'function' ? await special.answer(params, this) : special.answer;
			}
			if (said === 'hang up') {
				req.socket.destroy();
				return this.#wake();
			}
			if (Array.isArray(said))
				throw new ApiError(...said);
			if (typeof said === 'string') {
				res.writeHead(502, { 'content-type': 'text/html' });
				res.end(said);
				return this.#wake();
			}
			answer = { ok: true, result: said ?? await this.#call(method, params, files, req) };
		} catch (error) {
			answer = error instanceof ApiError ? error.body
				: { ok: false, error_code: 500, description: `Internal Server Error: ${error.message}` };
			if (!(error instanceof ApiError))
				this.broken = error;
		}
		if (!res.writableEnded && !req.socket.destroyed) {
			res.writeHead(answer.ok ? 200 : answer.error_code, { 'content-type': 'application/json' });
			res.end(JSON.stringify(answer));
		}
		this.#wake();
	}

	#serveFile(req, res) {
		const prefix = `/file/bot${this.token}/`;
		const file = [...this.files.values()].find((f) => req.url === prefix + f.path);
		this.calls.push({ method: 'download', params: { url: req.url }, files: {}, at: Date.now() });
		res.writeHead(file ? 200 : 404, { 'content-type': 'application/octet-stream' });
		res.end(file ? file.bytes : 'Not Found');
		this.#wake();
	}

	#text(params, name, most) {
		const parsed = params.parse_mode === 'HTML' ? parseHtml(params[name]) : { text: params[name] ?? '', entities: [] };
		if (name === 'text' && parsed.text.trim() === '')
			throw bad('message text is empty');
		if (parsed.text.length > most)
			throw bad(name === 'text' ? 'message is too long' : 'message caption is too long');
		return parsed;
	}

	#sent(params, members) {
		const chat = { id: Number(params.chat_id), type: Number(params.chat_id) < 0 ? 'supergroup' : 'private' };
		const message = {
			message_id: this.nextMessage++, date: Math.floor(Date.now() / 1000), from: this.bot, chat,
			...(params.message_thread_id ? { message_thread_id: Number(params.message_thread_id) } : {}),
			...members,
		};
		if (params.message_thread_id && Number(params.message_thread_id) === 1)
			throw bad('message thread not found');
		this.messages.set(`${chat.id}:${message.message_id}`, { ...message, raw: params });
		return message;
	}

	async #call(method, params, files, req) {
		switch (method) {
		case 'getMe':
			return this.bot;
		case 'getUpdates':
			return this.#poll(params, req);
		case 'deleteWebhook':
			this.webhook = null;
			if (params.drop_pending_updates)
				this.updates = [];
			return true;
		case 'setWebhook':
			if (!/^https?:\/\//.test(params.url ?? ''))
				throw bad('invalid webhook URL specified');
			if (params.secret_token && !/^[\w-]{1,256}$/.test(params.secret_token))
				throw bad('secret token contains unallowed characters');
			this.webhook = params;
			for (const update of this.updates)
				this.#post(update);
			return true;
		case 'getWebhookInfo':
			return { url: this.webhook?.url ?? '', pending_update_count: this.updates.length };
		case 'getFile': {
			const file = this.files.get(params.file_id);
			if (!file)
				throw bad('wrong file_id or the file is temporarily unavailable');
			return { file_id: params.file_id, file_size: file.bytes.length, file_path: file.path };
		}
		case 'sendMessage': {
			const { text, entities } = this.#text(params, 'text', 4096);
			return this.#sent(params, { text, entities });
		}
		case 'sendPhoto':
		case 'sendDocument':
		case 'sendVoice':
		case 'sendAudio':
		case 'sendVideo':
		case 'sendAnimation': {
			const kind = method.slice(4).toLowerCase();
			if (!files[kind]?.bytes.length)
				throw bad(`there is no ${kind} in the request`);
			const { text, entities } = params.caption ? this.#text(params, 'caption', 1024) : { text: undefined, entities: [] };
			return this.#sent(params, { caption: text, caption_entities: entities, [kind]: { file_name: files[kind].name } });
		}
		case 'editMessageText': {
			const message = this.messages.get(`${params.chat_id}:${params.message_id}`);
			if (!message)
				throw bad('message to edit not found');
			const { text, entities } = this.#text(params, 'text', 4096);
			if (text === message.text && JSON.stringify(entities) === JSON.stringify(message.entities))
				throw bad('message is not modified: specified new message content and reply markup are exactly the same as a current content and reply markup of the message');
			Object.assign(message, { text, entities, edits: (message.edits ?? 0) + 1 });
			return message;
		}
		case 'deleteMessage':
			if (!this.messages.delete(`${params.chat_id}:${params.message_id}`))
				throw bad('message to delete not found');
			return true;
		case 'setMyCommands':
			if (!Array.isArray(params.commands) || params.commands.some((c) => !/^[a-z0-9_]{1,32}$/.test(c.command) || !c.description))
				throw bad('BOT_COMMAND_INVALID');
			this.menu = params.commands;
			return true;
		case 'sendChatAction':
			return true;
		default:
			throw new ApiError(404, 'Not Found: method not found');
		}
	}

	#poll(params, req) {
		if (this.webhook)
			throw new ApiError(409, "Conflict: can't use getUpdates method while webhook is active; use deleteWebhook to delete the webhook first");
		if (this.poller)
			this.poller.refuse(new ApiError(409, 'Conflict: terminated by other getUpdates request; make sure that only one bot instance is running'));
		if (params.offset) {
			this.confirmed = Math.max(this.confirmed, params.offset);
			this.updates = this.updates.filter((u) => u.update_id >= params.offset);
		}
		const ready = () => this.updates.slice(0, params.limit ?? 100);
		if (ready().length || !params.timeout)
			return ready();
		return new Promise((resolve, reject) => {
			const poller = {};
			const end = (fn, value) => {
				clearTimeout(timer);
				if (this.poller === poller)
					this.poller = null;
				fn(value);
			};
			const timer = setTimeout(() => end(resolve, []), params.timeout * 1000);
			poller.look = () => end(resolve, ready());
			poller.refuse = (error) => end(reject, error);
			req.socket.once('close', () => end(resolve, []));
			this.poller = poller;
		});
	}

	// Until it is taken, as Telegram does.
	async #post(update) {
		for (let tries = 0; tries < 20 && this.webhook; tries++) {
			try {
				const r = await fetch(this.webhook.url, {
					method: 'POST',
					headers: {
						'content-type': 'application/json',
						...(this.webhook.secret_token ? { 'x-telegram-bot-api-secret-token': this.webhook.secret_token } : {}),
					},
					body: JSON.stringify(update),
				});
				await r.arrayBuffer();
				if (r.ok) {
					this.updates = this.updates.filter((u) => u.update_id !== update.update_id);
					return this.#wake();
				}
			} catch {
				// tried again
			}
			await new Promise((resolve) => setTimeout(resolve, 200));
		}
	}
}
