// The network behind the channel module "wire": lives as long as the test, hands in messages until they are acknowledged,
// as networks do, and remembers every reply under its idempotency key.
import fs from 'node:fs';
import net from 'node:net';

export class Network {
	constructor(path, random) {
		this.path = path;
		this.random = random; // () => [0, 1)
		this.messages = new Map(); // by id: {id, chat, text, acked, notices, keys}
		this.sent = new Map(); // by idempotency key: {texts: [], message}
		this.problems = [];
		this.resent = 0; // the same key once more: the network drops it
		this.redelivered = 0;
		this.nacks = 0;
		this.refuse = 0; // probability that a send is refused for now
		this.held = 0; // probability that a send's answer comes late
		this.n = 0;
		this.looseChats = new Set();
	}

	listen() {
		this.server = net.createServer((socket) => this.#connected(socket));
		return new Promise((resolve) => this.server.listen(this.path, resolve));
	}

	close() {
		this.socket?.destroy();
		this.server.close();
		fs.rmSync(this.path, { force: true });
	}

	#connected(socket) {
		let rest = '';
		this.socket = socket;
		this.connections = (this.connections ?? 0) + 1;
		socket.on('error', () => {});
		socket.on('data', (d) => {
			const lines = (rest + d).split('\n');
			rest = lines.pop();
			for (const line of lines)
				this.#line(socket, JSON.parse(line));
		});
		socket.on('close', () => {
			if (this.socket === socket)
				this.socket = undefined;
		});
		for (const m of this.messages.values())
			if (!m.acked)
				this.#deliver(m);
	}

	#put(socket, line) {
		if (!socket.destroyed)
			socket.write(`${JSON.stringify(line)}\n`);
	}

	#deliver(m) {
		if (!this.socket)
			return;
		m.tries++;
		this.#put(this.socket, {
			channel: 'wire', account: 'default', id: m.id, chat: { type: 'dm', id: m.chat }, sender: { id: m.chat, name: m.chat },
			text: m.text, timestampMs: Date.now(),
		});
	}

	#line(socket, line) {
		if (line.ack !== undefined) {
			const m = this.messages.get(line.ack);
			m.acked = true;
			m.acks++;
		} else if (line.nack !== undefined) {
			const m = this.messages.get(line.nack);
			this.nacks++;
			setTimeout(() => m.acked || socket.destroyed || this.#deliver(m), 20);
		} else {
			this.#send(socket, line);
		}
	}

	#send(socket, { send, message }) {
		const key = message.idempotencyKey;
		if (!key) {
			this.problems.push(`a message without a key: ${JSON.stringify(message)}`);
			return;
		}
		if (this.random() < this.refuse) {
			this.refused = (this.refused ?? 0) + 1;
			this.#put(socket, { done: send, status: -18, messageId: '' }); // rate limit
			return;
		}
		const known = this.sent.get(key);
		if (known) {
			this.resent++;
			if (known.message.text !== message.text)
				this.problems.push(`the key ${key} came with two texts: "${known.message.text}" and "${message.text}"`);
		} else {
			this.sent.set(key, { message });
			const m = this.messages.get(message.replyTo);
			if (m)
				m.keys.push(key);
			else if (!this.looseChats.has(message.to))
				this.problems.push(`a reply to nothing: ${JSON.stringify(message)}`);
			if (m && message.to !== m.chat)
				this.problems.push(`the reply to ${m.id} went to ${message.to}`);
		}
		const answer = () => this.#put(socket, { done: send, status: 0, messageId: `n${this.sent.size}` });
		if (this.random() < this.held)
			setTimeout(answer, 1 + this.random() * 15);
		else
			answer();
	}

	// A new message of a person; text is what the offline model is told.
	// loose: how many replies come of it, and to what they refer, is not foreseen (sub-agents, several messages as one).
	say(chat, text, loose = false) {
		const id = `m${++this.n}`;
		const m = { id, chat, text: text(id), acked: false, acks: 0, tries: 0, keys: [], loose };
		this.messages.set(id, m);
		this.#deliver(m);
		return m;
	}

	// Networks deliver twice when they did not hear the acknowledgement.
	sayAgain(m) {
		this.redelivered++;
		this.#deliver(m);
	}

	get open() {
		return [...this.messages.values()].filter((m) => !m.acked || (!m.loose && m.keys.length === 0));
	}

	textOf(key) {
		return this.sent.get(key).message.text;
	}
}
