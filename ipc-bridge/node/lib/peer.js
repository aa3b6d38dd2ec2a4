'use strict';
// Calls in both directions over one connection: ids, deadlines, cancellation, events.  See ipc-bridge/PROTOCOL.md.
const { KINDS, STATUSES, decode, encode } = require('./frame.js');

class BridgeError extends Error {
	constructor(code, message, data) {
		super(message);
		this.name = 'BridgeError';
		this.code = code;
		if (data !== undefined)
			this.data = data;
	}
}

// What a JavaScript value says as JSON text.  What JSON cannot say (cycles, BigInt) is said as text: a plugin's odd result
// must not cost its answer.
function toJson(value) {
	if (value === undefined)
		return 'null';
	try {
		return JSON.stringify(value) ?? 'null';
	} catch {
		const above = [];
		return JSON.stringify(value, function (_key, item) {
			if (typeof item === 'bigint')
				return item.toString();
			if (item === null || typeof item !== 'object')
				return item;
			while (above.length > 0 && above[above.length - 1] !== this)
				above.pop();
			if (above.includes(item))
				return '[circular]';
			above.push(item);
			return item;
		}) ?? 'null';
	}
}

function fromJson(payload) {
	return payload.length === 0 ? undefined : JSON.parse(payload.utf8Slice());
}

function describe(error) {
	if (error instanceof Error || (error !== null && typeof error === 'object' && typeof error.message === 'string')) {
		const out = { message: String(error.message), name: String(error.name || 'Error') };
		if (typeof error.stack === 'string')
			out.stack = error.stack.slice(0, 4000);
		if (error.data !== undefined)
			out.data = error.data;
		return out;
	}
	return { message: typeof error === 'string' ? error : toJson(error), name: 'Error' };
}

// One of the gateway's calls, as its method sees it.  Most never look at the signal: it is made for those who do.
class Call {
	#controller;
	#reason;

	constructor(deadlineMs, event) {
		this.deadlineMs = deadlineMs;
		this.event = event;
	}

	get signal() {
		this.#controller ??= new AbortController();
		if (this.#reason)
			this.#controller.abort(this.#reason);
		return this.#controller.signal;
	}

	abort(reason) {
		this.#reason ??= reason;
		this.#controller?.abort(reason);
	}
}

class Peer {
	// pair: see sp.js.  methods: {name: async (params, call) => result}; call: {signal, deadlineMs, event(value)}.
	// notes: {name: (params) => void}.
	constructor(pair, methods, notes) {
		this.pair = pair;
		this.methods = methods;
		this.notes = notes;
		this.next = 1;
		this.open = new Map(); // our calls
		this.running = new Map(); // theirs: id -> Call
		this.dropped = 0;
		this.hello = null; // told of the gateway's hello
		pair.on('message', (message) => this.#receive(message));
		pair.on('close', () => this.#lost());
	}

	// Resolves with the result.  options: {signal, timeoutMs, onEvent(value)}.
	call(method, params, options = {}) {
		return new Promise((resolve, reject) => {
			const id = this.next;
			this.next = id >= 0xffffffff ? 1 : id + 1;
			const { signal, timeoutMs = 0, onEvent } = options;
			if (signal?.aborted) {
				reject(new BridgeError('CANCELED', `${method}: cancelled before it began`));
				return;
			}
			if (!this.#send(KINDS.call, id, timeoutMs, method, toJson(params))) {
				reject(new BridgeError(this.pair.closed ? 'UNAVAILABLE' : 'LIMIT',
					`${method}: the gateway ${this.pair.closed ? 'is gone' : 'does not keep up'}`));
				return;
			}
			const entry = { resolve, reject, onEvent, timer: null, undo: null };
			this.open.set(id, entry);
			if (timeoutMs > 0)
				entry.timer = setTimeout(() => {
					this.#cancel(id, new BridgeError('TIMEOUT', `${method}: no answer after ${timeoutMs} ms`));
				}, timeoutMs);
			if (signal) {
				const abort = () => this.#cancel(id, signal.reason instanceof Error ? signal.reason
					: new BridgeError('CANCELED', `${method}: cancelled`));
				signal.addEventListener('abort', abort, { once: true });
				entry.undo = () => signal.removeEventListener('abort', abort);
			}
		});
	}

	// false: dropped, because the gateway does not keep up or is gone.
	notify(method, params) {
		if (this.#send(KINDS.notify, 0, 0, method, toJson(params)))
			return true;
		this.dropped++;
		return false;
	}

	sayHello(value) {
		return this.#send(KINDS.hello, 0, 0, '', toJson(value));
	}

	#send(kind, id, number, name, payload) {
		return this.pair.send(encode(kind, id, number, name, payload));
	}

	#settle(id) {
		const entry = this.open.get(id);
		if (entry) {
			this.open.delete(id);
			clearTimeout(entry.timer);
			entry.undo?.();
		}
		return entry;
	}

	#cancel(id, error) {
		const entry = this.#settle(id);
		if (entry) {
			this.#send(KINDS.cancel, id, 0, '', undefined);
			entry.reject(error);
		}
	}

	#lost() {
		for (const id of [...this.open.keys()])
			this.#settle(id).reject(new BridgeError('UNAVAILABLE', 'the gateway is gone'));
		for (const call of this.running.values())
			call.abort(new BridgeError('CANCELED', 'the gateway is gone'));
	}

	#receive(message) {
		let frame;
		try {
			frame = decode(message);
			if (frame.kind === KINDS.call)
				this.#answer(frame);
			else if (frame.kind === KINDS.result)
				this.#settle(frame.id)?.resolve(fromJson(frame.payload));
			else if (frame.kind === KINDS.error)
				this.#failed(frame);
			else if (frame.kind === KINDS.event)
				this.open.get(frame.id)?.onEvent?.(fromJson(frame.payload));
			else if (frame.kind === KINDS.cancel)
				this.running.get(frame.id)?.abort(new BridgeError('CANCELED', 'cancelled by the gateway'));
			else if (frame.kind === KINDS.notify)
				this.notes[frame.name]?.(fromJson(frame.payload));
			else if (frame.kind === KINDS.ping)
				this.#send(KINDS.pong, frame.id, 0, '', undefined);
			else if (frame.kind === KINDS.hello)
				this.hello?.(fromJson(frame.payload));
		} catch (error) {
			console.error(`bridge: a message from the gateway cannot be used: ${error.message}`);
			this.pair.close();
		}
	}

	#failed(frame) {
		const entry = this.#settle(frame.id);
		if (!entry)
			return;
		const told = fromJson(frame.payload) || {};
		entry.reject(new BridgeError(frame.name || STATUSES[frame.number] || 'INTERNAL', told.message || 'failed', told.data));
	}

	async #answer(frame) {
		const { id, name } = frame;
		const call = new Call(frame.number, (value) => this.running.has(id) && this.#send(KINDS.event, id, 0, '', toJson(value)));
		this.running.set(id, call);
		let kind = KINDS.result, code = '', number = 0, payload;
		try {
			const method = this.methods[name];
			if (typeof method !== 'function')
				throw new BridgeError('UNSUPPORTED', `this plugin process has no method ${name}`);
			payload = toJson(await method(fromJson(frame.payload) ?? {}, call));
		} catch (error) {
			kind = KINDS.error;
			code = STATUSES.includes(error?.code) ? error.code : 'INTERNAL';
			number = Math.max(STATUSES.indexOf(code), 0);
			payload = toJson(describe(error));
		}
		this.running.delete(id);
		this.#reply(kind, id, number, code, payload);
	}

	// Answers are not dropped: they wait until the gateway has read enough.
	#reply(kind, id, number, code, payload) {
		let sent;
		try {
			sent = this.#send(kind, id, number, code, payload);
		} catch (error) {
			sent = this.#send(KINDS.error, id, STATUSES.indexOf('LIMIT'), 'LIMIT', toJson(describe(error)));
		}
		if (!sent && !this.pair.closed)
			this.pair.once('drain', () => this.#reply(kind, id, number, code, payload));
	}
}

module.exports = { Peer, BridgeError, describe, toJson };
