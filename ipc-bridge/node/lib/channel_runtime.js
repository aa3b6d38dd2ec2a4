'use strict';
// api.runtime.channel: what plugins of channels build on.  Most is computed here; what has to be kept is asked of the gateway.
const path = require('node:path');
const text = require('./text.js');
const policy = require('./policy.js');
const media = require('./media.js');
const { createReply } = require('./inbound.js');

const TIMES_MAX = 5000;

// In the plugin's process only: when something was last heard or said there.
class Times {
	constructor() {
		this.times = new Map();
	}

	get(key) {
		return this.times.get(key);
	}

	set(key, value) {
		this.times.delete(key);
		if (this.times.size >= TIMES_MAX)
			this.times.delete(this.times.keys().next().value);
		this.times.set(key, value);
	}
}

// What a stranger is told.
const buildPairingReply = ({ channel, idLine, code }) => ['OpenClaw does not know you yet.', '', idLine, '', `Pairing code: ${code}`, '',
	'The owner of this bot lets you in with:', `openclaw pairing approve ${channel} ${code}`].join('\n');

function createPairing(plugin) {
	const where = (first, _env, third) => (first !== null && typeof first === 'object' ? [first.channel, first.accountId] : [first, third]);
	return {
		buildPairingReply,
		readAllowFromStore: (...args) => {
			const [channel, accountId] = where(...args);
			return plugin.link.call('pairing.read', [channel, accountId ?? null]);
		},
		upsertPairingRequest: ({ channel, id, accountId, meta }) => plugin.link.call('pairing.ask',
			[{ channel, id: String(id), accountId: accountId ?? 'default', name: meta?.name ?? meta?.username ?? undefined }]),
	};
}

function createSession(plugin, params) {
	const times = new Times();
	const seen = (sessionKey) => void (sessionKey && times.set(String(sessionKey), Date.now()));
	return {
		// A name only: sessions are in the gateway's store.
		resolveStorePath: (store, options) => {
			const agent = policy.agentId(options?.agentId), given = String(store ?? '').trim();
			return given ? path.resolve(given.replaceAll('{agentId}', agent).replace(/^~(?=\/|$)/, require('node:os').homedir()))
				: path.join(params.stateDir, 'agents', agent, 'sessions', 'sessions.json');
		},
		readSessionUpdatedAt: ({ sessionKey }) => times.get(String(sessionKey)),
		recordInboundSession: async ({ sessionKey }) => seen(sessionKey),
		recordSessionMetaFromInbound: async ({ sessionKey }) => (seen(sessionKey), null),
		updateLastRoute: async ({ sessionKey }) => (seen(sessionKey), null),
	};
}

function createActivity() {
	const times = new Times(), key = (channel, accountId) => `${channel} ${String(accountId ?? '').trim() || 'default'}`;
	return {
		record: ({ channel, accountId, direction, at = Date.now() }) => {
			const was = times.get(key(channel, accountId)) ?? { inboundAt: null, outboundAt: null };
			times.set(key(channel, accountId), { ...was, [direction === 'inbound' ? 'inboundAt' : 'outboundAt']: at });
		},
		get: ({ channel, accountId }) => times.get(key(channel, accountId)) ?? { inboundAt: null, outboundAt: null },
	};
}

function createChannelRuntime(plugin, params) {
	// Commands of plugins are commands too.
	const more = { has: (name) => plugin.registry.out.commands.some((command) => command.name === name) };
	const known = (fn) => (said, cfg) => fn(said, cfg, { more });
	return {
		text: {
			chunkByNewline: text.chunkByNewline, chunkMarkdownText: text.chunkMarkdownText, chunkMarkdownTextWithMode: text.chunkMarkdownTextWithMode,
			chunkText: text.chunkText, chunkTextWithMode: text.chunkTextWithMode, resolveChunkMode: text.resolveChunkMode,
			resolveTextChunkLimit: text.resolveTextChunkLimit, hasControlCommand: known(policy.hasControlCommand),
			resolveMarkdownTableMode: text.resolveMarkdownTableMode, convertMarkdownTables: text.convertMarkdownTables,
		},
		reply: { ...createReply(plugin), resolveEffectiveMessagesConfig: policy.resolveEffectiveMessagesConfig,
			resolveHumanDelayConfig: policy.resolveHumanDelayConfig },
		routing: { buildAgentSessionKey: policy.buildAgentSessionKey, resolveAgentRoute: policy.resolveAgentRoute },
		pairing: createPairing(plugin),
		media: { fetchRemoteMedia: media.fetchRemoteMedia, saveMediaBuffer: media.createMediaStore(params.stateDir) },
		activity: createActivity(),
		session: createSession(plugin, params),
		mentions: { buildMentionRegexes: policy.buildMentionRegexes, matchesMentionPatterns: policy.matchesMentionPatterns,
			matchesMentionWithExplicit: policy.matchesMentionWithExplicit },
		reactions: { shouldAckReaction: policy.shouldAckReaction, removeAckReactionAfterReply: policy.removeAckReactionAfterReply },
		groups: { resolveGroupPolicy: policy.resolveGroupPolicy, resolveRequireMention: policy.resolveRequireMention },
		debounce: { createInboundDebouncer: policy.createInboundDebouncer, resolveInboundDebounceMs: policy.resolveInboundDebounceMs },
		commands: { resolveCommandAuthorizedFromAuthorizers: policy.resolveCommandAuthorizedFromAuthorizers,
			isControlCommandMessage: known(policy.isControlCommandMessage), shouldHandleTextCommands: policy.shouldHandleTextCommands,
			shouldComputeCommandAuthorized: known(policy.shouldComputeCommandAuthorized) },
		line: { normalizeAccountId: (id) => String(id ?? '').trim() || 'default' },
	};
}

module.exports = { createChannelRuntime, buildPairingReply };
