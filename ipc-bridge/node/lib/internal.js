'use strict';
// The events of internal hooks (registerHook) in the original's shape, out of the gateway's payloads.

const CONTEXTS = {
	'message:received': ({ ctx, metadata = {}, ...p }) => {
		const { messageId, originatingChannel, originatingTo, ...rest } = metadata;
		return { from: p.from ?? '', content: p.content ?? '', timestamp: p.timestamp, channelId: ctx.channelId, accountId: ctx.accountId,
			conversationId: ctx.conversationId, messageId, metadata: rest };
	},
	'message:preprocessed': ({ ctx, metadata: m = {}, ...p }, host) => ({ from: p.from ?? '', to: m.to, body: p.content ?? '', bodyForAgent: p.content ?? '',
		timestamp: p.timestamp, channelId: ctx.channelId, conversationId: ctx.conversationId, messageId: m.messageId, senderId: m.senderId,
		senderName: m.senderName, senderUsername: m.senderUsername, provider: m.provider, surface: m.surface, mediaPath: p.media?.[0]?.path,
		mediaType: p.media?.[0]?.mime, transcript: undefined, isGroup: /:(?:group|channel):/.test(p.session ?? ''), groupId: undefined, cfg: host.config }),
	'message:sent': ({ ctx, ...p }) => ({ to: p.to, content: p.content ?? '', success: p.success === true, error: p.error, channelId: ctx.channelId,
		accountId: ctx.accountId, conversationId: ctx.conversationId, messageId: p.messageId }),
	'session:compact:before': ({ ctx, ...p }) => ({ sessionId: ctx.sessionId, missingSessionKey: !ctx.sessionKey, messageCount: p.messageCount,
		tokenCount: p.tokenCount, messageCountOriginal: p.messageCount, tokenCountOriginal: p.tokenCount }),
	'session:compact:after': ({ ctx, ...p }) => ({ sessionId: ctx.sessionId, missingSessionKey: !ctx.sessionKey, messageCount: p.messageCount,
		tokenCount: p.tokenCount, compactedCount: p.compactedCount, summaryLength: p.summaryLength, tokensBefore: p.tokensBefore,
		tokensAfter: p.tokensAfter ?? p.tokenCount, firstKeptEntryId: p.firstKeptEntryId }),
	'agent:bootstrap': ({ ctx, ...p }, host) => ({ workspaceDir: ctx.workspaceDir, bootstrapFiles: p.bootstrapFiles ?? [], cfg: host.config,
		sessionKey: ctx.sessionKey, sessionId: ctx.sessionId, agentId: ctx.agentId }),
	'gateway:startup': (_p, host) => ({ cfg: host.config, deps: {}, workspaceDir: host.workspaceDir }),
};

function commandContext({ ctx, ...p }, host) {
	const entry = (sessionId) => (sessionId ? { sessionId, updatedAt: Date.now() } : undefined);
	return { sessionEntry: entry(ctx.sessionId), previousSessionEntry: entry(p.previousSessionId), commandSource: p.commandSource, senderId: p.senderId,
		workspaceDir: ctx.workspaceDir ?? host.workspaceDir, cfg: host.config };
}

function internalEvent(type, action, payload, host) {
	const make = type === 'command' ? commandContext : CONTEXTS[`${type}:${action}`];
	const all = { ...payload, ctx: payload.ctx ?? {} };
	return { type, action, sessionKey: payload.session ?? all.ctx.sessionKey ?? '', context: make ? make(all, host) : {}, timestamp: new Date(), messages: [] };
}

module.exports = { internalEvent };
