'use strict';
// The scalability protocol of nng's pair1 over a Unix socket (SP over IPC, version 0), in plain JavaScript: one peer.
const { EventEmitter } = require('node:events');
const net = require('node:net');

const PAIR1 = 0x11;
const GREETING = Buffer.from([0x00, 0x53, 0x50, 0x00, 0x00, PAIR1, 0x00, 0x00]);
const MESSAGE_MAX = 64 * 1024 * 1024;
const QUEUE_MAX = 64 * 1024 * 1024;
const PATH_MAX = 107;
const HEAD = 13; // before a message's body: type, length, hops
const LONG = 16 * 1024; // a part of so many bytes is not copied
const TOGETHER = 64 * 1024;

// Emits 'open', 'message' (Buffer), 'drain', and once 'close' (an Error, or null when the peer ended it).
class Pair extends EventEmitter {
	constructor(path) {
		super();
		if (Buffer.byteLength(path) > PATH_MAX)
			throw new RangeError(`the socket's path has more than ${PATH_MAX} bytes: ${path}`);
		this.greeted = false;
		this.closed = false;
		this.chunks = [];
		this.bytes = 0;
		this.out = []; // of this turn
		this.outBytes = 0;
		this.need = GREETING.length;
		this.state = 'greeting';
		this.socket = net.connect(path);
		this.socket.on('connect', () => this.socket.write(GREETING));
		this.socket.on('data', (chunk) => this.#take(chunk));
		this.socket.on('drain', () => this.emit('drain'));
		this.socket.on('error', (error) => this.#end(error));
		this.socket.on('close', () => this.#end(null));
	}

	// Whether more may be sent without piling up.
	get ready() {
		return this.greeted && !this.closed && this.socket.writableLength + this.outBytes < QUEUE_MAX;
	}

	// Sends one message, given as buffers.  false: not now (see 'drain'), or never again.
	send(parts) {
		if (!this.ready)
			return false;
		let length = 4;
		for (const part of parts)
			length += part.length;
		if (length > MESSAGE_MAX)
			throw new RangeError(`a message of ${length} bytes; ${MESSAGE_MAX} is the most`);
		const head = Buffer.allocUnsafe(HEAD);
		head[0] = 1;
		head.writeUInt32BE(0, 1);
		head.writeUInt32BE(length, 5);
		head.writeUInt32BE(1, 9); // pair1: one hop so far
		if (this.out.length === 0)
			process.nextTick(() => this.#flush());
		this.out.push(head);
		for (const part of parts)
			if (part.length > 0)
				this.out.push(part);
		this.outBytes += 9 + length;
		return true;
	}

	// What was sent in one turn goes out together: small parts copied into one, long ones as they are.
	#flush() {
		const out = this.out, bytes = this.outBytes;
		this.out = [];
		this.outBytes = 0;
		if (this.closed || out.length === 0)
			return;
		if (bytes <= TOGETHER)
			return void this.socket.write(Buffer.concat(out, bytes));
		this.socket.cork();
		for (let from = 0, to = 0; from < out.length; from = to) {
			let size = 0;
			for (to = from; to < out.length && out[to].length < LONG && size < TOGETHER; to++)
				size += out[to].length;
			this.socket.write(to > from ? Buffer.concat(out.slice(from, to), size) : out[to++]);
		}
		this.socket.uncork();
	}

	close() {
		this.#flush();
		this.socket.end();
	}

	#end(error) {
		if (this.closed)
			return;
		this.closed = true;
		this.socket.destroy();
		this.emit('close', error);
	}

	#take(chunk) {
		this.chunks.push(chunk);
		this.bytes += chunk.length;
		while (!this.closed && this.bytes >= this.need) {
			const piece = this.#cut(this.need);
			try {
				this.#step(piece);
			} catch (error) {
				this.#end(error);
			}
		}
	}

	#step(piece) {
		if (this.state === 'greeting') {
			if (!piece.equals(GREETING))
				throw new Error(`the peer does not speak pair1: it began with ${piece.toString('hex')}`);
			this.greeted = true;
			this.state = 'length';
			this.need = 9;
			this.emit('open');
		} else if (this.state === 'length') {
			const length = piece.readUInt32BE(1) * 2 ** 32 + piece.readUInt32BE(5);
			if (piece[0] !== 1 || length < 4 || length > MESSAGE_MAX)
				throw new Error(`the peer announced a message of type ${piece[0]} and ${length} bytes`);
			this.state = 'body';
			this.need = length;
		} else {
			this.state = 'length';
			this.need = 9;
			this.emit('message', piece.subarray(4));
		}
	}

	// The first n bytes of what waits, copied only when they lie in several chunks.
	#cut(n) {
		this.bytes -= n;
		const first = this.chunks[0];
		if (first.length === n)
			return this.chunks.shift();
		if (first.length > n) {
			this.chunks[0] = first.subarray(n);
			return first.subarray(0, n);
		}
		const out = Buffer.allocUnsafe(n);
		let at = 0;
		while (at < n) {
			const chunk = this.chunks[0];
			const size = Math.min(chunk.length, n - at);
			chunk.copy(out, at, 0, size);
			at += size;
			if (size === chunk.length)
				this.chunks.shift();
			else
				this.chunks[0] = chunk.subarray(size);
		}
		return out;
	}
}

module.exports = { Pair, MESSAGE_MAX };
