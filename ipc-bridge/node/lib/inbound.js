'use strict';
// Messages of a plugin's channel on their way to a turn, and the answer on its way back: api.runtime.channel.reply.
//
// The gateway stores a message before anything is made of it; its answer waits in the gateway's outbox and is brought by
// the function that the plugin gave for it, for as long as its account runs, else by the channel's own `outbound`.
const crypto = require('node:crypto');
const { Blocks, blockSettings } = require('./blocks.js');
const { commandOf } = require('./policy.js');

const KEPT_MS = 10 * 60 * 1000; // an answer may be tried again
const LIVE_MAX = 2000;
const DELIVERY_MS = 60 * 1000; // how long the plugin waits for what is certain to be tried
const STORE_MS = 5 * 60 * 1000; // how long a gateway may have no room for a message

const text = (value) => (typeof value === 'string' ? value : '');
const lines = (value) => (typeof value === 'string' ? value.replace(/\r\n?/g, '\n') : undefined);

function chatType(value) {
	const kind = text(value).trim().toLowerCase();
	return kind === 'dm' || kind === 'direct' ? 'direct' : kind === 'group' || kind === 'channel' ? kind : undefined;
}

// ---- The context that channels make of a message ----

const firstOf = (ctx, names) => names.map((name) => ctx[name]?.trim()).find(Boolean);

function conversationLabel(ctx) {
	const place = chatType(ctx.ChatType) === 'direct' ? ['SenderName'] : ['GroupChannel', 'GroupSubject', 'GroupSpace'];
	return firstOf(ctx, ['ConversationLabel', 'ThreadLabel', ...place, 'From']);
}

// In place; the same object comes back.
function finalizeInboundContext(ctx, options = {}) {
	ctx.Body = lines(ctx.Body) ?? '';
	for (const name of ['RawBody', 'CommandBody', 'Transcript', 'ThreadStarterBody', 'ThreadHistoryBody'])
		if (name in ctx)
			ctx[name] = lines(ctx[name]);
	if (Array.isArray(ctx.UntrustedContext))
		ctx.UntrustedContext = ctx.UntrustedContext.map(lines).filter(Boolean);
	if (ctx.ChatType)
		ctx.ChatType = chatType(ctx.ChatType) ?? ctx.ChatType;
	const agent = options.forceBodyForAgent ? ctx.Body : ctx.BodyForAgent ?? ctx.CommandBody ?? ctx.RawBody ?? ctx.Body;
	const commands = options.forceBodyForCommands ? ctx.CommandBody ?? ctx.RawBody ?? ctx.Body
		: ctx.BodyForCommands ?? ctx.CommandBody ?? ctx.RawBody ?? ctx.Body;
	ctx.BodyForAgent = lines(agent);
	ctx.BodyForCommands = lines(commands);
	if (options.forceConversationLabel || !ctx.ConversationLabel?.trim()) {
		const label = conversationLabel(ctx);
		if (label)
			ctx.ConversationLabel = label;
	}
	ctx.CommandAuthorized = ctx.CommandAuthorized === true;
	const paths = ctx.MediaPaths ?? (ctx.MediaPath ? [ctx.MediaPath] : ctx.MediaUrls ?? (ctx.MediaUrl ? [ctx.MediaUrl] : []));
	if (paths.length > 0) {
		const types = ctx.MediaTypes ?? (ctx.MediaType ? [ctx.MediaType] : []);
		ctx.MediaTypes = paths.map((_path, i) => types[i] ?? 'application/octet-stream');
		ctx.MediaType ??= ctx.MediaTypes[0];
	}
	return ctx;
}

// ---- Envelopes: who says it and when, before the text ----

function resolveEnvelopeFormatOptions(cfg) {
	const defaults = cfg?.agents?.defaults ?? {};
	return { timezone: defaults.envelopeTimezone, includeTimestamp: defaults.envelopeTimestamp !== 'off',
		includeElapsed: defaults.envelopeElapsed !== 'off', userTimezone: defaults.userTimezone };
}

const CLOCK = { hourCycle: 'h23', timeZoneName: 'short', weekday: 'short', year: 'numeric' };
for (const field of ['month', 'day', 'hour', 'minute'])
	CLOCK[field] = '2-digit';

function stamp(at, options) {
	const ms = (at ?? null) === null || options?.includeTimestamp === false ? NaN : new Date(at).getTime();
	if (Number.isNaN(ms))
		return undefined;
	const wanted = String(options?.timezone ?? 'local').trim();
	const zone = wanted === 'utc' || wanted === 'gmt' ? 'UTC' : wanted === 'user' ? options.userTimezone?.trim() : wanted === 'local' || wanted === '' ? undefined : wanted;
	try {
		const part = {};
		for (const { type, value } of new Intl.DateTimeFormat('en-US', { ...CLOCK, timeZone: zone }).formatToParts(ms))
			part[type] = value;
		return zone === 'UTC' ? `${part.weekday} ${part.year}-${part.month}-${part.day}T${part.hour}:${part.minute}Z`
			: `${part.weekday} ${part.year}-${part.month}-${part.day} ${part.hour}:${part.minute} ${part.timeZoneName}`;
	} catch {
		return stamp(ms, { ...options, timezone: 'utc' });
	}
}

function elapsed(now, before) {
	const seconds = Math.floor((Number(now) - Number(before)) / 1000);
	if (!Number.isFinite(seconds) || seconds < 0)
		return undefined;
	return seconds < 60 ? `${seconds}s` : seconds < 3600 ? `${Math.floor(seconds / 60)}m` : seconds < 86400 ? `${Math.floor(seconds / 3600)}h` : `${Math.floor(seconds / 86400)}d`;
}

// On one line, and without the brackets that the header itself stands in.
const header = (part) => String(part).split(/\s+/).filter(Boolean).join(' ').replace(/[[\]]/g, (sign) => (sign === '[' ? '(' : ')'));

function formatAgentEnvelope({ channel, from, timestamp, host, ip, body, previousTimestamp, envelope }) {
	const since = envelope?.includeElapsed !== false && timestamp && previousTimestamp ? elapsed(timestamp, previousTimestamp) : undefined;
	const parts = [header(channel?.trim() || 'Channel')];
	if (from?.trim())
		parts.push(header(from) + (since ? ` +${since}` : ''));
	else if (since)
		parts.push(`+${since}`);
	for (const part of [host, ip])
		if (part?.trim())
			parts.push(header(part));
	const when = stamp(timestamp, envelope);
	if (when)
		parts.push(when);
	return `[${parts.join(' ')}] ${body}`;
}

function formatInboundEnvelope({ channel, from, body, timestamp, chatType: kind, senderLabel, sender, previousTimestamp, envelope, fromMe }) {
	const direct = !kind || chatType(kind) === 'direct';
	const who = header(senderLabel?.trim() || sender?.name?.trim() || sender?.username?.trim() || sender?.id || '');
	const said = direct ? (fromMe ? `(self): ${body}` : body) : who ? `${who}: ${body}` : body;
	return formatAgentEnvelope({ channel, from, timestamp, previousTimestamp, envelope, body: said });
}

// ---- To the gateway ----

function readableText(ctx) {
	const command = text(ctx.BodyForCommands ?? ctx.CommandBody ?? ctx.RawBody ?? ctx.Body).trim();
	if (commandOf(command))
		return command;
	const body = text(ctx.BodyForAgent ?? ctx.CommandBody ?? ctx.RawBody ?? ctx.Body).trim();
	const parts = [];
	const history = (Array.isArray(ctx.InboundHistory) ? ctx.InboundHistory : []).filter((one) => text(one?.body).trim());
	if (history.length > 0)
		parts.push('[Said here since your last answer]', ...history.map((one) => `${one.sender ?? 'somebody'}: ${one.body}`), '', '[The message for you]');
	if (text(ctx.ThreadStarterBody).trim() && ctx.IsFirstThreadTurn)
		parts.push(`[The thread began with: ${ctx.ThreadStarterBody.trim().slice(0, 1000)}]`);
	if (text(ctx.ReplyToBody).trim())
		parts.push(`[In answer to: ${ctx.ReplyToBody.trim().slice(0, 1000)}]`);
	const group = ctx.ChatType && chatType(ctx.ChatType) !== 'direct', who = text(ctx.SenderName).trim() || text(ctx.SenderUsername).trim() || text(ctx.SenderId).trim();
	parts.push(group && who && body ? `${who}: ${body}` : body);
	for (const note of Array.isArray(ctx.UntrustedContext) ? ctx.UntrustedContext : [])
		parts.push('', note);
	return parts.join('\n').trim();
}

function mediaOf(ctx) {
	const paths = ctx.MediaPaths ?? (ctx.MediaPath ? [ctx.MediaPath] : []), types = ctx.MediaTypes ?? (ctx.MediaType ? [ctx.MediaType] : []);
	return paths.map((path, i) => {
		const mime = text(types[i]) || 'application/octet-stream', kind = mime.split('/')[0];
		return { type: ['image', 'audio', 'video'].includes(kind) ? kind : 'file', path: String(path).replace(/^file:\/\//, ''), mime,
			name: require('node:path').basename(String(path)).replace(/---[0-9a-f-]{36}/, '') };
	});
}

function messageOf(ctx, dispatch) {
	const id = ctx.MessageSidFull ?? ctx.MessageSid ?? ctx.MessageSidFirst;
	const optional = (value) => (value === undefined || value === null || value === '' ? undefined : String(value));
	return {
		channel: text(ctx.OriginatingChannel || ctx.Provider || ctx.Surface).trim().toLowerCase(),
		account: optional(ctx.AccountId) ?? 'default',
		id: optional(id) ?? '',
		session: text(ctx.CommandTargetSessionKey || ctx.SessionKey),
		to: text(ctx.OriginatingTo || ctx.To || ctx.From),
		thread: optional(ctx.MessageThreadId),
		dispatch,
		sender: { id: optional(ctx.SenderId) ?? optional(ctx.From), name: optional(ctx.SenderName), username: optional(ctx.SenderUsername ?? ctx.SenderTag) },
		text: readableText(ctx),
		extraSystem: optional(ctx.GroupSystemPrompt),
		restricted: ctx.CommandAuthorized !== true,
		media: mediaOf(ctx),
	};
}

// ---- Back to the plugin ----

function withPrefix(payload, options) {
	let prefix = options.responsePrefix;
	if (!prefix || !payload.text)
		return payload;
	const known = options.responsePrefixContextProvider?.() ?? options.responsePrefixContext ?? {};
	prefix = prefix.replace(/\{([a-zA-Z.]+)\}/g, (all, name) => known[name] ?? known[name === 'identity.name' ? 'identityName' : name] ?? all);
	return payload.text.startsWith(prefix) ? payload : { ...payload, text: `${prefix} ${payload.text}` };
}

// The original's dispatcher: answers go out one after the other.
class ReplyDispatcher {
	constructor(options = {}) {
		this.options = options;
		this.counts = { tool: 0, block: 0, final: 0 };
		this.failed = { tool: 0, block: 0, final: 0 };
		this.chain = Promise.resolve();
		for (const [name, kind] of [['sendToolResult', 'tool'], ['sendBlockReply', 'block'], ['sendFinalReply', 'final']])
			this[name] = (payload) => {
				if (!hasContent(payload))
					return false;
				this.deliver(payload, kind).catch(() => {});
				return true;
			};
		this.waitForIdle = () => this.chain;
		this.getQueuedCounts = () => ({ ...this.counts });
		this.getFailedCounts = () => ({ ...this.failed });
		this.markComplete = () => {
			if (!this.complete) {
				this.complete = true;
				this.chain.then(() => this.options.onIdle?.());
			}
		};
	}

	// Rejects when the plugin could not bring it.
	deliver(given, kind) {
		const { options } = this;
		this.counts[kind]++;
		const one = this.chain.then(async () => {
			let payload = withPrefix(given, options);
			payload = (await options.transformReplyPayload?.(payload)) ?? payload;
			await (await options.beforeDeliver?.(payload, { kind }), options.deliver(payload, { kind }));
		});
		const told = one.catch((error) => {
			this.failed[kind]++;
			try {
				options.onError?.(error, { kind });
			} catch { /* its own matter */ }
			throw error;
		});
		this.chain = told.catch(() => {});
		return told;
	}
}

const hasContent = (payload) => Boolean(payload && (text(payload.text).trim() || payload.mediaUrl || payload.mediaUrls?.length || payload.channelData));
const quietly = async (fn, ...args) => {
	try {
		return await fn?.(...args);
	} catch {
		return undefined;
	}
};

class Dispatches {
	constructor(plugin) {
		this.plugin = plugin;
		this.live = new Map();
	}

	// Whether somebody here brings this answer: its result, or undefined.
	take(id) {
		return this.live.get(id);
	}

	// The account stopped: what its messages left behind leads nowhere any more.
	forget(channel, account) {
		for (const [id, entry] of this.live)
			if (entry.channel === channel && entry.account === account)
				this.live.delete(id);
	}

	// A message that came in by another way than its conversation has: the answer goes out by the conversation's.
	#routed(ctx) {
		const name = (value) => text(value).trim().toLowerCase(), origin = name(ctx.OriginatingChannel);
		return origin !== '' && Boolean(text(ctx.OriginatingTo)) && origin !== name(ctx.Surface || ctx.Provider)
			&& typeof this.plugin.registry.channels.get(origin)?.outbound?.sendText === 'function';
	}

	#keep(entry) {
		if (this.live.size >= LIVE_MAX)
			this.live.delete(this.live.keys().next().value);
		this.live.set(entry.id, entry);
	}

	// bring(payload, kind): rejects when it could not.  Resolves when the answer was brought, or will not come.
	async run(ctx, bring, { onReplyStart, replyOptions = {} } = {}) {
		const id = crypto.randomUUID(), routed = this.#routed(ctx), message = messageOf(ctx, routed ? undefined : id);
		const channel = this.plugin.registry.channels.get(message.channel), entry = { id, channel: message.channel, account: message.account, brought: false };
		const settings = channel && !routed ? blockSettings(this.plugin.config, channel, message.account, replyOptions) : undefined;
		const blocks = settings ? new Blocks(settings, (block) => bring({ text: block }, 'block')) : undefined;
		const first = new Promise((resolve) => {
			entry.bring = async (payload, kind) => {
				try {
					if (kind === 'final' && blocks && payload.text)
						await blocks.end(payload.text, (rest) => bring({ ...payload, text: rest, mediaUrl: undefined, mediaUrls: undefined }, 'final'));
					if (kind !== 'final' || !blocks || !payload.text)
						await bring(payload, kind);
					else if (payload.mediaUrl)
						await bring({ ...payload, text: undefined }, 'final');
					entry.brought ||= kind === 'final';
				} finally {
					if (kind === 'final')
						resolve();
				}
			};
		});
		if (message.text === '' && message.media.length === 0)
			return { status: 'ok', text: '' };
		if (!routed)
			this.#keep(entry);
		let said = '';
		const onEvent = (event) => {
			if (event?.type === 'start') {
				void quietly(onReplyStart);
				void quietly(replyOptions.onReplyStart);
				void quietly(replyOptions.onAgentRunStart, event.runId);
			} else if (event?.type === 'text') {
				said += event.text ?? '';
				blocks?.add(event.text ?? '');
				void quietly(replyOptions.onPartialReply, { text: said });
			} else if (event?.type === 'tool_start') {
				blocks?.pause();
				void quietly(replyOptions.onToolStart, { name: event.data?.name, phase: 'start' });
			}
		};
		try {
			const done = await this.#store(message, onEvent, replyOptions.abortSignal);
			if (text(done.text).trim() && done.status === 'ok' && !routed && !entry.brought)
				await Promise.race([first, new Promise((resolve) => setTimeout(resolve, DELIVERY_MS).unref())]);
			return { ...done, routed };
		} finally {
			setTimeout(() => this.live.delete(id), KEPT_MS).unref();
		}
	}

	// A gateway that is busy is asked again: the network may not offer the message a second time.
	async #store(message, onEvent) {
		const end = Date.now() + STORE_MS;
		for (let wait = 200; ; wait = Math.min(wait * 2, 10000))
			try {
				return await this.plugin.link.call('channel.dispatch', [message], { onEvent });
			} catch (error) {
				if (!['BUSY', 'LIMIT', 'NOMEM'].includes(error?.code) || Date.now() > end)
					throw error;
				await new Promise((resolve) => setTimeout(resolve, wait));
			}
	}
}

// api.runtime.channel.reply
function createReply(plugin) {
	const dispatches = plugin.dispatches;
	const outcome = (dispatcher) => ({ queuedFinal: dispatcher.getQueuedCounts().final > 0, counts: dispatcher.getQueuedCounts() });

	async function dispatchReplyFromConfig({ ctx, dispatcher, replyOptions }) {
		const own = dispatcher instanceof ReplyDispatcher;
		const bring = async (payload, kind) => {
			if (own) {
				await dispatcher.deliver(payload, kind);
			} else {
				dispatcher[{ final: 'sendFinalReply', tool: 'sendToolResult' }[kind] ?? 'sendBlockReply'](payload);
				await dispatcher.waitForIdle?.();
			}
		};
		const done = await dispatches.run(finalizeInboundContext(ctx), bring, { onReplyStart: own ? dispatcher.options.onReplyStart : undefined, replyOptions });
		const result = outcome(dispatcher);
		if (done.routed && text(done.text).trim()) {
			result.queuedFinal = true;
			result.counts.final++;
		}
		return result;
	}

	// However the run ends, the dispatcher is closed and emptied before its result is given, and onSettled is told last.
	function withReplyDispatcher({ dispatcher, run, onSettled }) {
		const emptied = () => {
			dispatcher.markComplete();
			return dispatcher.waitForIdle();
		};
		return (async () => run())().finally(emptied).finally(() => onSettled?.());
	}

	function createReplyDispatcherWithTyping(options) {
		const { onReplyStart, onIdle, onCleanup, typingCallbacks, ...rest } = options;
		const start = onReplyStart ?? typingCallbacks?.onReplyStart, idle = onIdle ?? typingCallbacks?.onIdle;
		const cleanup = onCleanup ?? typingCallbacks?.onCleanup;
		let started = false, over = false;
		const end = () => {
			if (over)
				return;
			over = true;
			void quietly(idle);
			void quietly(cleanup);
		};
		const begin = async () => {
			if (!started && !over) {
				started = true;
				await quietly(start);
			}
		};
		const dispatcher = new ReplyDispatcher({ ...rest, onReplyStart: begin, onIdle: end });
		return { dispatcher, replyOptions: { onTypingCleanup: end }, markDispatchIdle: end, markRunComplete: () => {} };
	}

	async function dispatchReplyWithBufferedBlockDispatcher({ ctx, cfg, dispatcherOptions, replyOptions, replyResolver }) {
		const { dispatcher, replyOptions: own, markDispatchIdle } = createReplyDispatcherWithTyping(dispatcherOptions);
		try {
			return await withReplyDispatcher({ dispatcher, run: () => dispatchReplyFromConfig({ ctx, cfg, dispatcher, replyResolver, replyOptions: { ...replyOptions, ...own } }) });
		} finally {
			markDispatchIdle();
		}
	}

	return { createReplyDispatcherWithTyping, dispatchReplyFromConfig, dispatchReplyWithBufferedBlockDispatcher, finalizeInboundContext,
		formatAgentEnvelope, formatInboundEnvelope, resolveEnvelopeFormatOptions, withReplyDispatcher };
}

module.exports = { Dispatches, ReplyDispatcher, createReply, finalizeInboundContext, formatAgentEnvelope, formatInboundEnvelope,
	messageOf, resolveEnvelopeFormatOptions };
