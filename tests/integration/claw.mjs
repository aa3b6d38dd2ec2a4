// A client of OpenClaw's own protocol, versions 3 and 4, with a device's key: what phones, pages and scripts speak.
import crypto from 'node:crypto';
import http from 'node:http';
import { until } from './lib.mjs';

const b64url = (bytes) => Buffer.from(bytes).toString('base64url');

// A key of its own; seed: 32 bytes, for a known one.
export class Device {
	constructor(seed = crypto.randomBytes(32)) {
		const pkcs8 = Buffer.concat([Buffer.from('302e020100300506032b657004220420', 'hex'), seed]);
		this.key = crypto.createPrivateKey({ key: pkcs8, format: 'der', type: 'pkcs8' });
		const raw = crypto.createPublicKey(this.key).export({ format: 'der', type: 'spki' }).subarray(-32);
		this.publicKey = b64url(raw);
		this.id = crypto.createHash('sha256').update(raw).digest('hex');
	}

	payload(version, p, { signedAt, nonce }) {
		const auth = p.auth ?? {};
		const parts = [version, this.id, p.client.id, p.client.mode, p.role ?? 'operator', (p.scopes ?? []).join(','), String(signedAt),
			auth.token ?? auth.deviceToken ?? auth.bootstrapToken ?? ''];
		if (version !== 'v1')
			parts.push(nonce);
		if (version === 'v3')
			parts.push(p.client.platform.trim().toLowerCase(), (p.client.deviceFamily ?? '').trim().toLowerCase());
		return parts.join('|');
	}

	// The `device` member of connect's parameters.
	sign(p, { version = 'v3', signedAt = Date.now(), nonce } = {}) {
		const signature = b64url(crypto.sign(null, Buffer.from(this.payload(version, p, { signedAt, nonce })), this.key));
		return { id: this.id, publicKey: this.publicKey, signature, signedAt, ...(version === 'v1' ? {} : { nonce }) };
	}
}

export const everything = ['operator.admin', 'operator.read', 'operator.write', 'operator.approvals', 'operator.pairing'];

export class Claw {
	// headers: of the upgrade.
	static open(port, { path = '/', headers = {}, host = '127.0.0.1' } = {}) {
		const claw = new Claw();
		return new Promise((resolve, reject) => {
			const req = http.get({ port, host, path, headers: { connection: 'Upgrade', upgrade: 'websocket', 'sec-websocket-version': 13,
				'sec-websocket-key': crypto.randomBytes(16).toString('base64'), ...headers } });
			req.on('error', reject);
			req.on('response', (res) => reject(new Error(`no upgrade: ${res.statusCode}`)));
			req.on('upgrade', (_res, socket, head) => {
				claw.socket = socket;
				socket.on('data', (data) => claw.#data(data));
				socket.on('error', () => {});
				socket.on('close', () => (claw.closed ??= { code: 1006, reason: '' }));
				if (head.length > 0)
					claw.#data(head);
				resolve(claw);
			});
		});
	}

	got = Buffer.alloc(0);
	frames = []; // all that came
	pieces = [];
	ids = 0;

	#data(data) {
		this.got = this.got.length > 0 ? Buffer.concat([this.got, data]) : data;
		for (;;) {
			if (this.got.length < 2)
				return;
			const short = this.got[1] & 127, at = short === 126 ? 4 : short === 127 ? 10 : 2;
			if (this.got.length < at)
				return;
			const n = short === 126 ? this.got.readUInt16BE(2) : short === 127 ? Number(this.got.readBigUInt64BE(2)) : short;
			if (this.got.length < at + n)
				return;
			const opcode = this.got[0] & 15, end = (this.got[0] & 128) !== 0, body = this.got.subarray(at, at + n);
			this.got = this.got.subarray(at + n);
			if (opcode === 8) {
				this.closed ??= { code: n >= 2 ? body.readUInt16BE(0) : 1005, reason: body.subarray(2).toString() };
				this.write(8, body);
				this.socket.end();
			} else if (opcode === 9) {
				this.write(10, body);
			} else if (opcode < 3) {
				this.pieces.push(body);
				if (end)
					this.frames.push(JSON.parse(Buffer.concat(this.pieces.splice(0)).toString()));
			}
		}
	}

	write(opcode, body) {
		const n = body.length, head = Buffer.alloc(n < 126 ? 2 : n < 65536 ? 4 : 10);
		head[0] = 0x80 | opcode;
		head[1] = 0x80 | (n < 126 ? n : n < 65536 ? 126 : 127);
		if (n >= 65536)
			head.writeBigUInt64BE(BigInt(n), 2);
		else if (n >= 126)
			head.writeUInt16BE(n, 2);
		this.socket.write(Buffer.concat([head, Buffer.alloc(4), body])); // masked with zeros
	}

	sendText(text, binary = false) {
		this.write(binary ? 2 : 1, Buffer.from(text));
	}

	send(frame) {
		this.sendText(JSON.stringify(frame));
	}

	close() {
		this.socket.destroy();
	}

	async until(what, fn, ms) {
		return until(what, () => fn() ?? undefined, ms);
	}

	// The frames that answer a request, the n-th of them.
	answers(id) {
		return this.frames.filter((f) => f.type === 'res' && f.id === id);
	}

	async answer(id, n = 1, ms) {
		return this.until(`answer ${n} to ${id}`, () => {
			if (this.closed && this.answers(id).length < n)
				throw new Error(`closed: ${JSON.stringify(this.closed)}`);
			return this.answers(id)[n - 1];
		}, ms);
	}

	async call(method, params, ms) {
		const id = `c${++this.ids}`;
		this.send({ type: 'req', id, method, ...(params === undefined ? {} : { params }) });
		return this.answer(id, 1, ms);
	}

	// The payload, or an error.
	async rpc(method, params, ms) {
		const a = await this.call(method, params, ms);
		if (!a.ok)
			throw Object.assign(new Error(`${method}: ${a.error.message}`), a.error);
		return a.payload;
	}

	events(name) {
		return this.frames.filter((f) => f.type === 'event' && (name === undefined || f.event === name));
	}

	async event(name, pick = () => true, ms) {
		return this.until(`event ${name}`, () => this.events(name).find((e) => pick(e.payload)), ms);
	}

	async end(ms) {
		return this.until('the connection to be closed', () => this.closed, ms);
	}

	// Answers the challenge; the answer of connect. params overrides what is sent.
	async connect({ token, device, version, protocol = 3, nonce, signedAt, ...params } = {}) {
		const challenge = await this.event('connect.challenge');
		const p = { minProtocol: protocol, maxProtocol: protocol, client: { id: 'gateway-client', version: '1.0.0', platform: 'linux', mode: 'backend' },
			role: 'operator', scopes: everything, caps: [], ...(token === undefined ? {} : { auth: { token } }), ...params };
		if (device)
			p.device = device.sign(p, { version, signedAt, nonce: nonce ?? challenge.payload.nonce });
		const id = `connect${++this.ids}`;
		this.send({ type: 'req', id, method: 'connect', params: p });
		return this.answer(id);
	}
}

// Connected; throws when it is refused.
export async function connected(gw, { path, headers, ...options } = {}) {
	const claw = await Claw.open(gw.port, { path, headers });
	const hello = await claw.connect({ token: gw.token, ...options });
	if (!hello.ok)
		throw new Error(hello.error.message);
	claw.hello = hello.payload;
	return claw;
}
