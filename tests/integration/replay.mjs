// Recorded conversations with the original gateways (tests/captures/protocol), held again with ours: the same frames are
// sent, and what comes back must have the same shape: members, types, error codes, close codes, order.
import fs from 'node:fs';
import http from 'node:http';
import path from 'node:path';
import { Claw, Device } from './claw.mjs';
import { raw, state, until } from './lib.mjs';

const folder = path.join(process.env.OC_TOP_SRCDIR, 'tests/captures/protocol');
const kind = (v) => (v === null ? 'null' : Array.isArray(v) ? 'array' : typeof v);

// What ours lacks or has as something else; more members than theirs are welcome.
export function differences(theirs, ours, at = '') {
	if (theirs === null || theirs === undefined)
		return [];
	if (kind(theirs) !== kind(ours))
		return [`${at || 'payload'} is ${ours === undefined ? 'absent' : kind(ours)}, was ${kind(theirs)}`];
	if (Array.isArray(theirs))
		return theirs.length > 0 && ours.length > 0 ? differences(theirs[0], ours[0], `${at}[]`) : [];
	if (kind(theirs) === 'object')
		return Object.keys(theirs).flatMap((key) => differences(theirs[key], ours[key], at ? `${at}.${key}` : key));
	return [];
}

// Numbers and hashes that the gateway makes: what theirs was in the recording, ours is now.
const made = new Set(['id', 'requestId', 'hash', 'sessionId', 'jobId', 'token', 'nodeId', 'deviceToken']);
function pairUp(theirs, ours, names) {
	if (kind(theirs) !== kind(ours))
		return;
	if (kind(theirs) === 'object')
		for (const key of Object.keys(theirs)) {
			if (made.has(key) && kind(theirs[key]) === 'string' && kind(ours[key]) === 'string' && theirs[key] !== ours[key])
				names.set(theirs[key], ours[key]);
			pairUp(theirs[key], ours[key], names);
		}
	else if (kind(theirs) === 'array' && theirs.length === ours.length)
		theirs.forEach((one, i) => pairUp(one, ours[i], names));
}

const renamed = (value, names) => (kind(value) === 'string' ? names.get(value) ?? value
	: kind(value) === 'array' ? value.map((one) => renamed(one, names))
		: kind(value) === 'object' ? Object.fromEntries(Object.entries(value).map(([key, one]) => [key, renamed(one, names)])) : value);

export class Replay {
	constructor(gw, { version, devices = new Map() }) {
		this.gw = gw;
		this.version = version;
		this.devices = devices;
		this.found = [];
		this.names = new Map();
	}

	say(file, where, text) {
		this.found.push(`${this.version} ${file} ${where}: ${text}`);
	}

	device(id) {
		if (!this.devices.has(id)) {
			this.devices.set(id, new Device());
			this.names.set(id, this.devices.get(id).id);
		}
		return this.devices.get(id);
	}

	// A recorded connect request with our token, nonce and signature; what is wrong with it on purpose stays wrong.
	connectFrame(frame, challenge, recorded, sent, ofDevice) {
		const p = structuredClone(frame.params), d = p.device;
		if (p.auth?.token === '<token>')
			p.auth.token = ofDevice ? this.names.get('<token>') : this.gw.token;
		if (p.auth?.deviceToken === '<token>')
			p.auth.deviceToken = this.names.get('<token>');
		if (d) {
			const device = this.device(recorded.wrongId ? 'wrong id' : d.id), age = Date.now() - (sent - d.signedAt);
			const right = device.sign(p, { version: 'v3', nonce: d.nonce === recorded.nonce ? challenge.nonce : d.nonce, signedAt: age });
			p.device = { ...right, ...(d.nonce === undefined ? { nonce: undefined } : {}) };
			if (/^0+$/.test(d.id))
				p.device.id = d.id;
			if (d.publicKey.length < 10)
				p.device.publicKey = d.publicKey;
			if (recorded.badSignature)
				p.device.signature = right.signature.replace(/^.{4}/, (s) => (s === 'AAAA' ? 'BBBB' : 'AAAA'));
		}
		return { ...frame, params: p };
	}

	async run(file) {
		// Each version's runs and sessions are its own.
		const text = fs.readFileSync(path.join(folder, this.version, `${file}.jsonl`), 'utf8').trim().replaceAll('<workspace>', path.join(state, 'recorded'));
		const lines = (this.version === '2026.3.13' ? text : text.replaceAll('"run-', '"later-').replaceAll('agent:main:', 'agent:main:later-')).split('\n').map((line) => JSON.parse(line));
		const open = new Map();
		let note = '';
		for (const [i, line] of lines.entries()) {
			const c = open.get(line.c);
			if (line.dir === 'note') {
				note = line.note;
				if (/SIGTERM sent/.test(note))
					this.stopped = this.gw.stop();
			} else if (line.dir === 'open') {
				const origin = /Origin (http:\/\/[a-z0-9.:]+)/.exec(note)?.[1] ?? (/foreign Origin/.test(note) ? 'http://evil.example' : /Origin ok/.test(note) ? 'http://127.0.0.1' : undefined);
				const afar = /non-loopback address/.test(note) && note.startsWith(line.c) ? { 'x-forwarded-for': '192.0.2.7' } : {};
				open.set(line.c, await Claw.open(this.gw.port, { headers: { ...afar, ...(origin ? { origin: origin.replace(/:$/, '') } : {}) } }));
			} else if (line.dir === 'send') {
				if (line.frame?.method === 'connect') {
					const theirs = lines.find((l) => l.c === line.c && l.frame?.event === 'connect.challenge').frame.payload;
					const challenge = (await c.event('connect.challenge')).payload;
					c.asked = true;
					c.send(this.connectFrame(line.frame, challenge, { nonce: theirs.nonce, badSignature: /signature over another/.test(note) }, theirs.ts, /token = device token|revoked device token/.test(note)));
				} else {
					const padded = /\((\d+) bytes\)$/.exec(line.raw ?? '');
					c.asked = true;
					c.said = (c.said ?? '') + (line.raw ?? JSON.stringify(line.frame));
					c.sendText(padded ? await this.padded(c, line.raw, Number(padded[1])) : line.frame !== undefined ? JSON.stringify(this.again(line.frame)) : line.raw, line.binary);
				}
			} else if (line.dir === 'recv' && /\.(requested|request)$/.test(line.frame?.event ?? '') || (line.dir === 'recv' && line.frame?.event === 'heartbeat')) {
				await this.event(file, line, c, lines.slice(0, i).filter((l) => l.c === line.c && l.frame?.event === line.frame.event).length);
			} else if (line.dir === 'recv' && line.frame?.type === 'res') {
				await this.answer(file, lines, i, c);
			} else if (line.dir === 'recv' && ['final', 'aborted', 'error'].includes(line.frame?.payload?.state)) {
				await this.chat(file, line, c);
			} else if (line.dir === 'recv' && line.frame?.payload?.state === 'delta') {
				await this.delta(file, line, c);
			} else if (line.dir === 'http-request') {
				await this.http(file, line, lines.slice(i).find((l) => /^http-(response|error)$/.test(l.dir)));
			} else if (line.dir === 'close') {
				await this.end(file, line, c);
			}
		}
		for (const c of open.values())
			c.close();
	}

	// A request with what this gateway calls things by.
	again(frame) {
		return kind(frame) === 'object' && frame.params ? { ...frame, params: renamed(frame.params, this.names) } : frame;
	}

	// What was too long to be kept: the same request, as long.
	async padded(c, text, length) {
		const id = /"id":"([^"]+)"/.exec(text)[1], method = /"method":"([^"]+)"/.exec(text)[1];
		const params = method === 'connect' ? { minProtocol: 3, maxProtocol: 3, client: { id: 'gateway-client', version: '1', platform: 'linux', mode: 'backend' },
			scopes: ['operator.read'], auth: { token: this.gw.token }, userAgent: '' } : { pad: '' };
		await c.event('connect.challenge');
		const short = JSON.stringify({ type: 'req', id, method, params });
		return short.replace(/(userAgent|pad)":"/, (all) => all + 'x'.repeat(length - short.length));
	}

	// Something that everybody is told, whose number is asked for later.
	async event(file, line, c, nth) {
		const { event, payload } = line.frame, where = `${line.c} ${event}`;
		const ours = await until(`${file} ${where}`, () => c.events(event).slice(c.heard?.[event] ?? 0)[0], 5000).catch(() => undefined);
		if (!ours) {
			this.say(file, where, `event ${event} is absent (number ${nth})`);
			return;
		}
		c.heard = { ...c.heard, [event]: (c.heard?.[event] ?? 0) + 1 };
		pairUp(payload, ours.payload, this.names);
		for (const text of differences(payload, ours.payload))
			this.say(file, where, `event ${event} ${text}`);
	}

	// One answer, and whether it is what it was.
	async answer(file, lines, i, c) {
		const line = lines[i], theirs = line.frame, where = `${line.c} ${theirs.id}`;
		const nth = lines.slice(0, i + 1).filter((l) => l.c === line.c && l.dir === 'recv' && l.frame?.type === 'res' && l.frame.id === theirs.id).length;
		const asked = lines.slice(0, i).findLast((l) => l.c === line.c && l.dir === 'send' && l.frame?.id === theirs.id)?.frame?.method ?? '';
		const ours = await until(`${file} ${where}`, () => c.answers(theirs.id)[nth - 1] ?? (c.closed ? { closed: c.closed } : undefined), 20000).catch(() => undefined);
		c.connected ||= ours?.payload?.type === 'hello-ok';
		if (ours?.payload?.auth?.deviceToken)
			this.names.set('<token>', ours.payload.auth.deviceToken);
		else if (theirs.payload && ours?.payload)
			pairUp(theirs.payload, ours.payload, this.names);
		if (ours === undefined || ours.closed)
			this.say(file, where, `${asked} is not answered${ours ? ` but closed with ${ours.closed.code}` : ''}`);
		else if (ours.ok !== theirs.ok && (c.refused ??= new Set()).add(lines.find((l) => l.c === line.c && l.dir === 'send' && l.frame?.id === theirs.id)?.frame?.params?.idempotencyKey))
			this.say(file, where, `${asked} is ${ours.ok ? 'answered' : `refused (${ours.error.code} ${ours.error.message})`}, was ${theirs.ok ? 'answered' : `refused (${theirs.error.message})`}`);
		else if (!theirs.ok && (ours.error.code !== theirs.error.code || (theirs.error.details?.code ?? ours.error.details?.code) !== ours.error.details?.code))
			this.say(file, where, `${asked} fails with ${ours.error.code} ${ours.error.details?.code ?? ''}, was ${theirs.error.code} ${theirs.error.details?.code ?? ''}`);
		else if (!theirs.ok && ours.error.message.replace(/\d+/g, 0) !== theirs.error.message.replace(/\d+/g, 0))
			this.say(file, where, `${asked} says "${ours.error.message}", was "${theirs.error.message}"`);
		else if (theirs.payload !== undefined)
			for (const text of differences(theirs.payload, ours.payload))
				this.say(file, where, `${asked} ${text}`);
	}

	// How a run ended, as `chat` tells it; and that it began, went on and ended in order.
	async chat(file, line, c) {
		const theirs = line.frame.payload, where = `${line.c} ${theirs.runId}`;
		if (c.refused?.has(theirs.runId))
			return;
		const of = (name) => c.events(name).map((e) => e.payload).filter((p) => p.runId === theirs.runId);
		const named = (c.said ?? '').includes(theirs.runId); // else the gateway gave it a number
		const session = [...this.names].reduce((key, [a, b]) => key.replaceAll(a, b), theirs.sessionKey);
		const same = (key) => key === session || (/:hook:/.test(key) && /:hook:/.test(session)); // a hook's session has a number
		const ended = () => (named ? of('chat') : c.events('chat').map((e) => e.payload).filter((p) => same(p.sessionKey))).find((p) => p.state === theirs.state);
		const otherwise = () => named && of('chat').some((p) => p.state !== 'delta' && p.state !== theirs.state);
		const ours = (await until(`${file} ${where}`, () => ended() ?? otherwise(), 10000).catch(() => undefined)) && ended();
		if (!ours) {
			this.say(file, where, `chat ${theirs.state} is absent; there are ${of('chat').map((p) => p.state)}`);
			return;
		}
		for (const text of differences(theirs, ours))
			this.say(file, where, `chat ${theirs.state} ${text}`);
		if (!named)
			return;
		const numbers = of('agent').map((p) => p.seq), states = of('chat').map((p) => p.state);
		if (numbers.some((n, i) => i > 0 && n <= numbers[i - 1]) || states.indexOf(theirs.state) !== states.length - 1 || of('agent')[0]?.data.phase !== 'start')
			this.say(file, where, `order: ${numbers} ${states}`);
	}

	// What came next came when something had been said.
	async delta(file, line, c) {
		const { runId } = line.frame.payload;
		if (!c.refused?.has(runId) && (c.said ?? '').includes(runId) && !await until(`${file} ${line.c}`, () => c.events('chat').some((e) => e.payload.runId === runId), 10000).catch(() => false))
			this.say(file, `${line.c} ${runId}`, 'chat delta is absent');
	}

	// One request over HTTP, and its answer: its status, type and shape.
	async http(file, line, theirs) {
		const secrets = { '<token>': this.gw.token, '<hooks-token>': 'hooks-secret' };
		const secret = (text) => text.replace(/<(hooks-)?token>/g, (name) => secrets[name]).replaceAll('"run-', '"http-run-');
		const label = line.label ?? line.request, padded = /^([^]*?x{3})[^"]*$/.test(line.body ?? '') && Number(line.headers['content-length']) > line.body.length;
		if (line.raw !== undefined) {
			const x = 'x'.repeat(line.bodyBytesSent), body = /chunked/.test(line.raw) ? `${x.length.toString(16)}\r\n${x}\r\n0\r\n\r\n` : x;
			const got = await raw(this.gw.port, secret(line.raw) + body);
			if (got.split(' ')[1] !== theirs.raw.split(' ')[1])
				this.say(file, label, `answers ${got.split(' ')[1]}, was ${theirs.raw.split(' ')[1] ?? theirs.closed}`);
			return;
		}
		const [method, target] = line.request.split(' ');
		const headers = Object.fromEntries(Object.entries(line.headers).filter(([name]) => !/^(host|content-length)$/.test(name)).map(([name, value]) => [name, secret(String(value))]));
		if (padded)
			return; // http-oversize has it
		const ours = await new Promise((resolve, reject) => {
			const req = http.request({ port: this.gw.port, host: '127.0.0.1', method, path: secret(target), headers: { ...headers, connection: headers.connection ?? 'close' } }, (res) => {
				let body = '';
				res.on('data', (piece) => (body += piece));
				res.on('end', () => resolve({ status: res.statusCode, type: res.headers['content-type'] ?? '', headers: res.headers, body }));
			});
			req.on('error', reject);
			req.end(line.body !== undefined ? secret(line.body) : undefined);
		});
		const type = (text) => String(text ?? '').split(';')[0];
		if (theirs.dir === 'http-error' || ours.status !== theirs.status)
			this.say(file, label, `answers ${ours.status} ${ours.body.slice(0, 120)}, was ${theirs.status ?? theirs.error} ${(theirs.body ?? '').slice(0, 120)}`);
		else if (type(ours.type) !== type(theirs.headers['content-type']))
			this.say(file, label, `is ${type(ours.type)}, was ${type(theirs.headers['content-type'])}`);
		else if (/json/.test(ours.type) && /^[{[]/.test(theirs.body ?? '') && !/…$/.test(theirs.body))
			for (const text of differences(JSON.parse(theirs.body), JSON.parse(ours.body)))
				this.say(file, label, text);
		else if (/event-stream/.test(ours.type))
			this.stream(file, label, theirs.body, ours.body);
	}

	// Each kind of event once, with its shape.
	stream(file, label, theirs, ours) {
		const kinds = (text) => {
			const found = new Map();
			for (const one of text.split('\n').filter((line) => /^data: ./.test(line) && !/…/.test(line)).map((line) => line.slice(6))) {
				const data = /^\{/.test(one) ? JSON.parse(one) : one, kind = data.type ?? data.object ?? data;
				if (data.choices?.[0]?.delta) // all pieces together
					Object.assign(data.choices[0].delta, { ...found.get(kind)?.choices[0]?.delta, ...data.choices[0].delta });
				if (data.choices === undefined || data.choices.length > 0)
					found.set(kind, data);
			}
			return found;
		};
		const got = kinds(ours);
		for (const [kind, data] of kinds(theirs))
			for (const text of got.has(kind) ? differences(data, got.get(kind)) : ['is absent'])
				this.say(file, label, `${kind} ${text}`);
	}

	async end(file, line, c) {
		if (line.code === 1000 && c.asked) { // the client's end
			c.close();
			return;
		}
		const closed = await c.end(c.connected && !this.stopped ? 200 : 15000).catch(() => ({}));
		if (closed.code !== line.code || closed.reason !== line.reason)
			this.say(file, line.c, `closed with ${closed.code} "${closed.reason}", was ${line.code} "${line.reason}"`);
	}
}
