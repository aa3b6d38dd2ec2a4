'use strict';
// Channels of plugins: what the gateway needs to know of one, its accounts' lives, and messages on their way out.
const { setTimeout: delay } = require('node:timers/promises');
const { outline, plainData } = require('./registry.js');
const { toolResult } = require('./tools.js');
const { chunkMarkdownTextWithMode, chunkTextWithMode, resolveChunkMode, resolveTextChunkLimit } = require('./text.js');

const SETTLE_MS = 700; // a start that fails does so soon
const RESTART_FIRST_MS = 5000;
const RESTART_MAX_MS = 5 * 60 * 1000;
const STOP_MS = 6000;
const SENT_MAX = 1000;

function quietly(fn, otherwise) {
	try {
		return fn() ?? otherwise;
	} catch {
		return otherwise;
	}
}

async function quietlyAwaited(fn) {
	try {
		return await fn();
	} catch {
		return undefined;
	}
}

function accountsOf(channel, config) {
	const ids = quietly(() => channel.config?.listAccountIds?.(config));
	return Array.isArray(ids) ? ids.map(String) : undefined;
}

function describeChannel(channel, config) {
	const { configSchema, ...rest } = channel;
	const { data, functions } = outline({ ...rest });
	return {
		...data,
		configSchema: plainData(configSchema),
		functions,
		accounts: accountsOf(channel, config),
		can: {
			start: typeof channel.gateway?.startAccount === 'function',
			stop: typeof channel.gateway?.stopAccount === 'function',
			sendText: typeof channel.outbound?.sendText === 'function',
			sendMedia: typeof channel.outbound?.sendMedia === 'function',
			probe: typeof channel.status?.probeAccount === 'function',
			notifyApproval: typeof channel.pairing?.notifyApproval === 'function',
		},
	};
}

const coded = (code, message) => Object.assign(new Error(message), { code });
const after = (ms) => delay(Number(ms));
const reasonOf = (error) => String(error?.message ?? error);

// One account that should run.
class Account {
	constructor(channels, channel, id) {
		this.channels = channels;
		this.plugin = channels.plugin;
		this.channel = channel;
		this.id = id;
		this.abort = new AbortController();
		this.status = { accountId: id, ...channel.status?.defaultRuntime, running: false };
		this.failures = 0;
	}

	#tell(state, detail) {
		this.plugin.link.notify('status', { channel: this.channel.id, accountId: this.id, state, detail });
	}

	#context() {
		const { plugin, channel, id } = this;
		const log = plugin.logger(`${channel.id}`);
		const cfg = plugin.config, account = channel.config.resolveAccount(cfg, id);
		return { cfg, accountId: id, account, abortSignal: this.abort.signal, log,
			runtime: { log: log.info, error: log.error, exit: (code) => {
				throw new Error(`the plugin wants to end its process (${code})`);
			} },
			getStatus: () => ({ ...this.status }),
			setStatus: (next) => this.setStatus(next),
			channelRuntime: plugin.runtime.channel };
	}

	setStatus(next) {
		const was = this.status;
		this.status = { ...was, ...next, accountId: this.id };
		if (next?.connected === true && was.connected !== true)
			this.#tell('connected');
		else if (next?.connected === false && was.connected === true && !this.abort.signal.aborted)
			this.#tell('reconnecting', next.lastError ? String(next.lastError) : undefined);
	}

	// Resolves once it runs; rejects with why it cannot.
	async start() {
		const { channel } = this, ctx = this.#context();
		if (channel.config.isEnabled ? channel.config.isEnabled(ctx.account, ctx.cfg) === false : ctx.account?.enabled === false)
			throw coded('INVALID', channel.config.disabledReason?.(ctx.account, ctx.cfg) ?? `the account ${this.id} is disabled`);
		if (channel.config.isConfigured && !(await channel.config.isConfigured(ctx.account, ctx.cfg)))
			throw coded('INVALID', channel.config.unconfiguredReason?.(ctx.account, ctx.cfg) ?? `channels.${channel.id} is not complete for the account ${this.id}`);
		if (typeof channel.gateway?.startAccount !== 'function')
			return { state: 'connected' };
		this.#run(ctx);
		const early = await Promise.race([this.task.then(() => null, (error) => error), after(SETTLE_MS).then(() => undefined)]);
		if (early instanceof Error || (early !== null && early !== undefined))
			throw coded(early.code && typeof early.code === 'string' && /^[A-Z]+$/.test(early.code) && early.code === 'AUTH' ? 'AUTH' : 'UNAVAILABLE', reasonOf(early));
		this.supervised = true;
		void this.#watch();
		return { state: 'connected' };
	}

	#run(ctx) {
		this.status = { ...this.status, running: true, lastStartAt: Date.now(), lastError: null };
		this.began = Date.now();
		this.task = (async () => this.channel.gateway.startAccount(ctx))();
		this.task.catch(() => {});
	}

	// A start that answers with a handle, or at once with nothing, goes on in the background (the first releases); one that
	// ends later is over and begins anew after a pause.
	async #watch() {
		while (!this.abort.signal.aborted) {
			let error;
			try {
				const handle = await this.task;
				if (this.abort.signal.aborted)
					return;
				if (typeof handle?.stop === 'function' || typeof handle === 'function')
					this.handle = handle;
				if (this.handle || Date.now() - this.began < SETTLE_MS)
					return;
				error = new Error('the channel ended by itself');
			} catch (thrown) {
				error = thrown;
			}
			if (this.abort.signal.aborted)
				return;
			if (Date.now() - this.began > RESTART_MAX_MS)
				this.failures = 0;
			const wait = Math.min(RESTART_FIRST_MS * 2 ** this.failures++, RESTART_MAX_MS);
			this.status = { ...this.status, running: false, lastStopAt: Date.now(), lastError: reasonOf(error) };
			this.plugin.logger(this.channel.id).warn(`[${this.id}] ${reasonOf(error)}; again in ${wait / 1000} s`);
			this.#tell('reconnecting', reasonOf(error));
			await Promise.race([after(wait), new Promise((resolve) => this.abort.signal.addEventListener('abort', resolve, { once: true }))]);
			if (this.abort.signal.aborted)
				return;
			try {
				this.#run(this.#context());
				const failed = await Promise.race([this.task.then(() => false, () => true), after(SETTLE_MS).then(() => false)]);
				if (!failed)
					this.#tell('connected');
			} catch (thrown) {
				this.task = Promise.reject(thrown);
				this.task.catch(() => {});
			}
		}
	}

	async stop() {
		this.abort.abort();
		const { gateway } = this.channel;
		const ends = [this.task, this.handle && Promise.resolve((this.handle.stop ?? this.handle)()),
			gateway?.stopAccount && Promise.resolve(gateway.stopAccount(quietly(() => this.#context(), { accountId: this.id })))];
		await Promise.race([Promise.allSettled(ends), after(STOP_MS)]);
		this.status = { ...this.status, running: false, lastStopAt: Date.now() };
	}
}

class Channels {
	constructor(plugin) {
		this.plugin = plugin;
		this.running = new Map(); // "channel account" -> Account
		this.sent = new Map(); // key of a message -> {done, ids}
		this.said = new Map(); // channel -> the accounts that were told
	}

	#channel(id) {
		const channel = this.plugin.registry.channels.get(id);
		if (!channel)
			throw coded('NOT_FOUND', `this plugin has no channel ${id}`);
		return channel;
	}

	async start({ channel: id, accountId }) {
		const channel = this.#channel(id), key = `${id} ${accountId}`;
		await this.stop({ channel: id, accountId });
		const account = new Account(this, channel, accountId);
		this.running.set(key, account);
		try {
			return await account.start();
		} catch (error) {
			if (this.running.get(key) === account)
				this.running.delete(key);
			account.abort.abort();
			throw error;
		}
	}

	async stop({ channel, accountId }) {
		const key = `${channel} ${accountId}`, account = this.running.get(key);
		if (!account)
			return null;
		this.running.delete(key);
		this.plugin.dispatches.forget(channel, accountId);
		await account.stop();
		return null;
	}

	async stopAll() {
		await Promise.allSettled([...this.running.keys()].map((key) => {
			const [channel, accountId] = key.split(' ');
			return this.stop({ channel, accountId });
		}));
	}

	async probe({ channel: id, accountId, timeoutMs = 10000 }) {
		const channel = this.#channel(id), cfg = this.plugin.config;
		const account = channel.config.resolveAccount(cfg, accountId);
		if (typeof channel.status?.probeAccount !== 'function') {
			const running = this.running.get(`${id} ${accountId}`)?.status.running === true;
			return { ok: running, detail: running ? 'it runs; the plugin has no check of its own' : 'it does not run' };
		}
		const probe = await channel.status.probeAccount({ account, timeoutMs, cfg });
		const ok = probe?.ok !== false, error = probe?.error;
		return { ok, detail: ok ? JSON.stringify(plainData(probe) ?? {}).slice(0, 400) : String(error?.message ?? error ?? 'the probe failed') };
	}

	// The account as the plugin describes it.
	status({ channel: id, accountId }) {
		const channel = this.#channel(id), cfg = this.plugin.config, account = channel.config.resolveAccount(cfg, accountId);
		const runtime = this.running.get(`${id} ${accountId}`)?.status ?? { accountId, running: false };
		const snapshot = quietly(() => channel.status?.buildAccountSnapshot?.({ account, cfg, runtime }));
		return plainData(typeof snapshot?.then === 'function' ? runtime : snapshot ?? { ...quietly(() => channel.config.describeAccount?.(account, cfg), {}), ...runtime });
	}

	// {messageId, messageIds}.  What was sent of a message before is not sent again when it is tried again.
	async send(message) {
		const { channel: id, account: accountId } = message, channel = this.#channel(id);
		if (message.approval && typeof channel.pairing?.notifyApproval === 'function') {
			await channel.pairing.notifyApproval({ cfg: this.plugin.config, id: message.to, runtime: { log: this.plugin.logger(id).info, error: this.plugin.logger(id).error } });
			return { messageIds: [] };
		}
		const key = message.idempotencyKey ?? '', sent = this.sent.get(key) ?? { done: 0, ids: [] };
		if (key) {
			if (this.sent.size >= SENT_MAX)
				this.sent.delete(this.sent.keys().next().value);
			this.sent.set(key, sent);
		}
		const dispatch = message.dispatch ? this.plugin.dispatches.take(message.dispatch) : undefined;
		if (sent.whole)
			return { messageId: sent.ids[0], messageIds: sent.ids };
		if (dispatch)
			await dispatch.bring(payloadOf(message), message.kind ?? 'final');
		else
			await this.#outbound(channel, accountId, message, sent);
		sent.whole = true;
		return { messageId: sent.ids[0], messageIds: sent.ids };
	}

	async #outbound(channel, accountId, message, sent) {
		const { outbound } = channel, cfg = this.plugin.config;
		if (typeof outbound?.sendText !== 'function')
			throw coded('UNSUPPORTED', `the channel ${channel.id} cannot send by itself`);
		const common = { cfg, to: await this.#target(channel, accountId, message.to), accountId, threadId: message.thread, replyToId: message.replyTo, deps: {} };
		for (const step of steps(channel, cfg, accountId, message).slice(sent.done)) {
			const result = step.mediaUrl && outbound.sendMedia ? await outbound.sendMedia({ ...common, ...step })
				: await outbound.sendText({ ...common, text: step.mediaUrl ? `${step.text}\n\nAttachment: ${step.mediaUrl}`.trim() : step.text });
			sent.done++;
			if (result?.ok === false)
				throw coded('UNAVAILABLE', String(result.error?.message ?? result.error ?? 'it was not sent'));
			if (result?.messageId)
				sent.ids.push(String(result.messageId));
		}
	}

	// Whatever else the network can do, by the plugin's own name for it: what it answered, as a tool does.
	async action({ channel: id, account: accountId, action, to, thread, params, session, agent, senderId }) {
		const channel = this.#channel(id), cfg = this.plugin.config, { actions } = channel;
		const known = quietly(() => actions?.listActions?.({ cfg })), can = actions?.supportsAction ? quietly(() => actions.supportsAction({ action }), true) : !Array.isArray(known) || known.includes(action);
		if (typeof actions?.handleAction !== 'function' || can === false)
			throw coded('UNSUPPORTED', `${id} has no action ${action}${Array.isArray(known) && known.length > 0 ? ` (it has: ${known.join(', ')})` : ''}`);
		const result = await actions.handleAction({ channel: id, action, cfg, accountId, sessionKey: session, agentId: agent, requesterSenderId: senderId, dryRun: false,
			params: { ...params, to, target: params.target ?? to, ...(thread ? { threadId: params.threadId ?? thread } : {}) }, toolContext: { currentChannelId: to, currentChannelProvider: id, currentThreadTs: thread } });
		return toolResult(result);
	}

	// What "#general" or "@ann" means where it is no id of the network: the channel's own resolver and directory know.  A name
	// without such a mark may be somebody's id, whom an answer must reach.
	async #lookUp(channel, accountId, name, normal) {
		const cfg = this.plugin.config, { directory, resolver, messaging } = channel, log = this.plugin.logger(channel.id);
		if (!/^[@#]./.test(name) || quietly(() => messaging?.targetResolver?.looksLikeId?.(name, normal), true) !== false)
			return normal;
		const kind = name.startsWith('#') ? 'group' : 'user', runtime = { log: log.info, error: log.error }, bare = (value) => String(value ?? '').replace(/^[@#]/, '').toLowerCase();
		const [answer] = (await quietlyAwaited(() => resolver?.resolveTargets?.({ cfg, accountId, inputs: [name], kind, runtime }))) ?? [];
		if (answer?.resolved && answer.id)
			return String(answer.id);
		const found = new Set();
		for (const list of kind === 'user' ? ['listPeers', 'listPeersLive'] : ['listGroups', 'listGroupsLive'])
			for (const entry of (await quietlyAwaited(() => directory?.[list]?.({ cfg, accountId, query: bare(name), limit: 200, runtime }))) ?? [])
				if ([entry.id, entry.name, entry.handle].some((one) => bare(one) === bare(name)))
					found.add(String(entry.id));
		if (found.size > 1)
			throw coded('INVALID', `${channel.id} knows several by the name ${name}: ${[...found].join(', ')}`);
		return [...found][0] ?? normal;
	}

	async #target(channel, accountId, to) {
		const cfg = this.plugin.config;
		const named = await this.#lookUp(channel, accountId, to, quietly(() => channel.messaging?.normalizeTarget?.(to), to) ?? to);
		const found = quietly(() => channel.outbound?.resolveTarget?.({ cfg, to: named, accountId, mode: 'explicit',
			allowFrom: channel.config.resolveAllowFrom?.({ cfg, accountId })?.map(String) }));
		if (found?.ok === false)
			throw coded('INVALID', reasonOf(found.error ?? `${channel.id} does not know ${to}`));
		return found?.to ?? named;
	}

	// The configuration changed: accounts may have come and gone.
	configChanged() {
		const changed = {};
		for (const [id, channel] of this.plugin.registry.channels) {
			const accounts = accountsOf(channel, this.plugin.config), text = JSON.stringify(accounts);
			if (accounts && this.said.get(id) !== text)
				changed[id] = accounts;
			this.said.set(id, text);
		}
		if (Object.keys(changed).length > 0)
			this.plugin.link.notify('accounts', changed);
	}

	// A function of the plugin that only computes: "config.resolveAllowFrom" with its argument.
	async pure({ channel: id, fn, args = [] }) {
		const channel = this.#channel(id), names = String(fn).split('.');
		const owner = names.slice(0, -1).reduce((value, name) => value?.[name], channel), call = owner?.[names.at(-1)];
		if (typeof call !== 'function')
			throw coded('UNSUPPORTED', `the channel ${id} has no ${fn}`);
		return plainData(await call.call(owner, ...args.map((arg) => (arg !== null && typeof arg === 'object' && 'cfg' in arg ? { ...arg, cfg: this.plugin.config } : arg)))) ?? null;
	}

	methods() {
		return {
			'channel.start': (params) => this.start(params),
			'channel.stop': (params) => this.stop(params),
			'channel.send': (params) => this.send(params),
			'channel.action': (params) => this.action(params),
			'channel.probe': (params) => this.probe(params),
			'channel.status': (params) => this.status(params),
			'channel.pure': (params) => this.pure(params),
		};
	}
}

function payloadOf(message) {
	const urls = (message.media ?? []).map((item) => item.path ?? item.url).filter(Boolean);
	return { text: message.text || undefined, mediaUrl: urls[0], mediaUrls: urls.length > 0 ? urls : undefined, replyToId: message.replyTo };
}

// What is sent one after the other.
function steps(channel, cfg, accountId, message) {
	const urls = payloadOf(message).mediaUrls ?? [];
	if (urls.length > 0)
		return urls.map((mediaUrl, i) => ({ text: i === 0 ? message.text ?? '' : '', mediaUrl }));
	const { chunker, chunkerMode, textChunkLimit } = channel.outbound;
	const limit = resolveTextChunkLimit(cfg, channel.id, accountId, { fallbackLimit: textChunkLimit });
	if (typeof chunker !== 'function')
		return [{ text: message.text }];
	const mode = resolveChunkMode(cfg, channel.id, accountId);
	const parts = mode === 'newline' ? (chunkerMode === 'markdown' ? chunkMarkdownTextWithMode : chunkTextWithMode)(message.text, limit, mode) : chunker(message.text, limit);
	return parts.map((text) => ({ text }));
}

module.exports = { Channels, describeChannel };
