'use strict';
// Block streaming: an answer goes out in pieces while the model is still writing.  Off unless agents.defaults.blockStreamingDefault
// or the channel (replyOptions.disableBlockStreaming: false) turns it on.
const { channelSetting, fences, resolveChunkMode, resolveTextChunkLimit, whole } = require('./text.js');

const MIN = 800, MAX = 1200, IDLE_MS = 1000, IDLE_MAX_MS = 5000;
const JOINERS = { paragraph: '\n\n', newline: '\n', sentence: ' ' };
const number = (value, fallback) => (Number.isFinite(value) ? Math.max(1, Math.floor(value)) : fallback);

// What the configuration says for an account, or undefined: off.  channel: what the plugin registered.
function blockSettings(cfg, channel, accountId, { disableBlockStreaming } = {}) {
	const defaults = cfg?.agents?.defaults ?? {};
	if (disableBlockStreaming ?? defaults.blockStreamingDefault !== 'on')
		return undefined;
	const limit = resolveTextChunkLimit(cfg, channel.id, accountId, { fallbackLimit: channel.outbound?.textChunkLimit });
	const own = channel.streaming?.blockStreamingCoalesceDefaults ?? {}, chunk = defaults.blockStreamingChunk ?? {};
	const coalesce = channelSetting(cfg, channel.id, accountId, 'blockStreamingCoalesce') ?? defaults.blockStreamingCoalesce ?? {};
	const max = Math.min(number(chunk.maxChars, MAX), limit), min = Math.min(number(chunk.minChars, MIN), max);
	const prefer = JOINERS[chunk.breakPreference] ? chunk.breakPreference : 'paragraph';
	const gatherMax = Math.min(number(coalesce.maxChars, max), max), idle = coalesce.idleMs ?? own.idleMs;
	return { min, max, prefer, joiner: JOINERS[prefer], paragraphs: resolveChunkMode(cfg, channel.id, accountId) === 'newline',
		gatherMin: Math.min(number(coalesce.minChars ?? own.minChars, min), gatherMax), gatherMax,
		idleMs: Number.isFinite(idle) ? Math.min(Math.max(0, Math.floor(idle)), IDLE_MAX_MS) : IDLE_MS,
		whole: defaults.blockStreamingBreak === 'message_end' };
}

const BREAKS = { paragraph: [/\n[\t ]*\n\s*/g, /\n/g, /[.!?](?=\s)/g], newline: [/\n/g], sentence: [/[.!?](?=\s)/g] };

// Where to cut: the last good place between min and max, then any white space, then max.  0: not yet.
function cutAt(text, { min, max, prefer }, inside) {
	const window = text.slice(0, max);
	for (const pattern of [...BREAKS[prefer], ...(prefer !== 'newline' || text.length > max ? [/\s/g] : [])]) {
		const ends = [...window.matchAll(pattern)].map(({ 0: found, index }) => index + (/^\s/.test(found) ? 0 : 1));
		const end = ends.findLast((at) => at >= min && !inside(at));
		if (end)
			return end;
	}
	return text.length > max ? whole(text, max) : 0;
}

// Lines that say something to the gateway, not to people.
const readable = (text) => text.replace(/^[ \t]*MEDIA:.*(\n|$)/gm, '').trim();

// Where `whole` goes on behind `part`, whatever white space they have; -1: it does not begin with it.
function behind(whole, part) {
	let at = 0;
	for (const letter of part.replace(/\s+/g, '')) {
		while (/\s/.test(whole[at] ?? ''))
			at++;
		if (!whole.startsWith(letter, at))
			return -1;
		at += letter.length;
	}
	return at;
}

class Blocks {
	// send(text): a promise, one after the other.
	constructor(settings, send) {
		// buffer: not cut yet, behind `reopen` when a code block was cut; gathered: cut, with `cut` of the answer in it;
		// sent: of the answer; fence, broke: the code block that gathered and sent ended in.
		Object.assign(this, { settings, send, buffer: '', reopen: '', gathered: '', cut: '', fence: '', sent: '', broke: '', chain: Promise.resolve() });
	}

	add(text) {
		this.buffer += text;
		if (!this.settings.whole)
			this.#drain(false);
	}

	// The model stopped writing for now: a tool is about to run.
	pause() {
		this.#drain(true);
		this.#flush();
	}

	// The answer is whole: brings what has not gone out yet, of a part that failed as one piece. Again, when it was rejected.
	async end(answer, bringWhole) {
		clearTimeout(this.timer);
		await this.chain;
		const { failed, broke } = this, at = behind(answer, readable(this.sent));
		const rest = answer.slice(Math.max(at, 0)).replace(/^\s*\n|^[ \t]+/, '');
		this.reopen = at > 0 ? broke : '';
		this.buffer = this.reopen && rest ? `${this.reopen}\n${rest}` : rest;
		this.gathered = this.cut = '';
		if (!rest)
			return;
		if (failed || at < 0) {
			await bringWhole(this.buffer);
			this.sent += rest;
			return;
		}
		this.pause();
		await this.chain;
		if (this.failed)
			throw this.failed;
	}

	#drain(all) {
		const { min, max, paragraphs } = this.settings;
		while (this.buffer.trim()) {
			const blocks = fences(this.buffer), inside = (at) => blocks.find((one) => at > one.start && at < one.end);
			const gap = paragraphs ? [...this.buffer.matchAll(/\n[\t ]*\n/g)].find((found) => found.index > 0 && !inside(found.index)) : undefined;
			let end = gap && gap.index <= max ? gap.index : 0;
			if (!end && all && this.buffer.length <= max)
				end = this.buffer.length;
			if (!end && (all || this.buffer.length >= min))
				end = cutAt(this.buffer, all ? { ...this.settings, min: 1 } : this.settings, inside);
			if (!end)
				return;
			const piece = this.buffer.slice(0, end), fence = end < this.buffer.length ? inside(end) : undefined;
			const said = piece.slice(this.reopen ? this.reopen.length + 1 : 0);
			this.reopen = fence?.open ?? '';
			this.buffer = fence ? `${fence.open}\n${this.buffer.slice(end).replace(/^\n/, '')}` : this.buffer.slice(end).replace(/^\s*\n|^[ \t]+/, '');
			this.#gather(fence ? `${piece.trimEnd()}\n${fence.indent}${fence.marker}` : piece, said);
		}
	}

	// Small pieces that come soon one after the other go out as one.
	#gather(piece, said) {
		const { joiner, gatherMin, gatherMax, idleMs, paragraphs } = this.settings, text = readable(piece);
		if (this.gathered && this.gathered.length + joiner.length + text.length > gatherMax)
			this.#flush();
		this.cut += said;
		this.fence = this.reopen;
		if (text)
			this.gathered += this.gathered ? joiner + text : text;
		clearTimeout(this.timer);
		if (paragraphs || this.gathered.length >= gatherMax || (idleMs === 0 && this.gathered.length >= gatherMin))
			this.#flush();
		else if (this.gathered.length >= gatherMin)
			this.timer = setTimeout(() => this.#flush(), idleMs);
	}

	#flush() {
		const { gathered, cut, fence } = this, text = gathered.replace(/\s*\bNO_REPLY$/, '');
		clearTimeout(this.timer);
		this.gathered = this.cut = '';
		if (text)
			this.chain = this.chain.then(() => this.failed || this.send(text).then(() => {
				this.sent += cut;
				this.broke = fence;
			})).catch((error) => {
				this.failed = error; // the rest is for the end of the answer
			});
	}
}

module.exports = { Blocks, blockSettings };
