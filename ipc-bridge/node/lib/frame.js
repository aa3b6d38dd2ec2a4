'use strict';
// Frames of the bridge: see ipc-bridge/PROTOCOL.md.  Pure: bytes in, values out.

const VERSION = 1;
const HEAD = 12;
const NAME_MAX = 256;
const KINDS = { hello: 1, call: 2, result: 3, error: 4, event: 5, cancel: 6, notify: 7, ping: 8, pong: 9 };

// The statuses of module.h, in their order: OC_E_INVALID is -1.
const STATUSES = ['OK', 'INVALID', 'NOMEM', 'IO', 'NOT_FOUND', 'EXISTS', 'DENIED', 'AUTH', 'LIMIT', 'TIMEOUT', 'CANCELED',
	'BUSY', 'UNAVAILABLE', 'UNSUPPORTED', 'PROTOCOL', 'CORRUPT', 'VERSION', 'STATE', 'RATE_LIMIT', 'QUOTA', 'CONTEXT',
	'BLOCKED', 'RETRY', 'RESTART', 'INTERNAL'];

// The parts of a frame as buffers to be written one after the other.  payload: a string, a Buffer or nothing.
function encode(kind, id, number, name, payload) {
	const text = typeof payload === 'string' ? payload : '', extra = text === '' ? 0 : Buffer.byteLength(text);
	const bytes = name ? name.length : 0; // ASCII
	if (bytes > NAME_MAX)
		throw new RangeError(`frame: a name of ${bytes} bytes`);
	const head = Buffer.allocUnsafe(HEAD + bytes + extra);
	head[0] = VERSION;
	head[1] = kind;
	head.writeUInt16BE(bytes, 2);
	head.writeUInt32BE(id >>> 0, 4);
	head.writeUInt32BE(Math.max(0, Math.min(number || 0, 0xffffffff)) >>> 0, 8);
	if (bytes > 0)
		head.latin1Write(name, HEAD);
	if (extra > 0)
		head.utf8Write(text, HEAD + bytes);
	return Buffer.isBuffer(payload) ? [head, payload] : [head];
}

// {kind, id, number, name, payload (a view)}; throws when it is no frame.
function decode(message) {
	if (message.length < HEAD)
		throw new RangeError(`frame: ${message.length} bytes are fewer than a header`);
	if (message[0] !== VERSION)
		throw new RangeError(`frame: version ${message[0]}`);
	const kind = message[1];
	const length = message.readUInt16BE(2);
	if (kind < KINDS.hello || kind > KINDS.pong)
		throw new RangeError(`frame: kind ${kind}`);
	if (length > NAME_MAX || HEAD + length > message.length)
		throw new RangeError(`frame: a name of ${length} bytes in a message of ${message.length}`);
	return {
		kind,
		id: message.readUInt32BE(4),
		number: message.readUInt32BE(8),
		name: message.latin1Slice(HEAD, HEAD + length),
		payload: message.subarray(HEAD + length),
	};
}

module.exports = { KINDS, STATUSES, VERSION, encode, decode };
