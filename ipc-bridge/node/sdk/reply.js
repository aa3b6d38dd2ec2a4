'use strict';
// Answers on their way out: prefixes, the typing sign, pieces of text and media, and the way from an inbound message to them.

const SILENT_REPLY_TOKEN = 'NO_REPLY';

function isSilentReplyText(text, token = SILENT_REPLY_TOKEN) {
	return typeof text === 'string' && text.trim() === token;
}

// ---- Payloads ----

const resolveOutboundMediaUrls = ({ mediaUrls, mediaUrl }) => (mediaUrls?.length > 0 ? mediaUrls : [mediaUrl].filter(Boolean));

function normalizeOutboundReplyPayload(payload) {
	const text = (value) => (typeof value === 'string' ? value : undefined);
	return {
		text: text(payload?.text),
		mediaUrls: Array.isArray(payload?.mediaUrls) ? payload.mediaUrls.filter((url) => typeof url === 'string' && url !== '') : undefined,
		mediaUrl: text(payload?.mediaUrl),
		replyToId: text(payload?.replyToId),
	};
}

const createNormalizedOutboundDeliverer = (deliver) => (payload) =>
	deliver(payload !== null && typeof payload === 'object' ? normalizeOutboundReplyPayload(payload) : {});

function formatTextWithAttachmentLinks(text, mediaUrls) {
	return [text?.trim() ?? '', mediaUrls.map((url) => `Attachment: ${url}`).join('\n')].filter(Boolean).join('\n\n');
}

const isNumericTargetId = (raw) => /^\d{3,}$/.test(raw.trim());

const buildChannelSendResult = (channel, { ok, error, messageId }) => ({ ok, channel, error: error ? new Error(error) : undefined,
	messageId: messageId ?? '' });

// The first of several media carries the text.
async function sendMediaWithLeadingCaption({ mediaUrls, caption, send, onError }) {
	for (const [i, mediaUrl] of mediaUrls.entries())
		try {
			await send({ mediaUrl, caption: i === 0 ? caption : undefined });
		} catch (error) {
			if (!onError)
				throw error;
			onError(error, mediaUrl);
		}
	return mediaUrls.length > 0;
}

async function sendPayloadWithChunkedTextAndMedia({ ctx, textChunkLimit, chunker, sendText, sendMedia, emptyResult }) {
	const text = ctx.payload.text ?? '', urls = resolveOutboundMediaUrls(ctx.payload);
	let last = emptyResult;
	for (const [i, mediaUrl] of urls.entries())
		last = await sendMedia({ ...ctx, text: i === 0 ? text : '', mediaUrl });
	if (urls.length > 0 || text === '')
		return last;
	for (const chunk of textChunkLimit && chunker ? chunker(text, textChunkLimit) : [text])
		last = await sendText({ ...ctx, text: chunk });
	return last;
}

function mediaFields(list, types) {
	const paths = list.map((media) => media.path);
	return { MediaPath: paths[0], MediaType: list[0]?.contentType ?? undefined, MediaUrl: paths[0],
		MediaPaths: paths.length > 0 ? paths : undefined, MediaUrls: paths.length > 0 ? paths : undefined,
		MediaTypes: types.length > 0 ? types : undefined };
}
const buildAgentMediaPayload = (list) => mediaFields(list, list.map((media) => media.contentType).filter(Boolean));
const buildMediaPayload = (list, options) => mediaFields(list, list.map((media) => media.contentType ?? '')
	.filter((type) => options?.preserveMediaTypeCardinality || type !== ''));

// ---- The typing sign: said again while an answer is made, given up after failures or a minute ----

function createTypingCallbacks({ start, stop, onStartError, onStopError, keepaliveIntervalMs = 3000, maxConsecutiveFailures = 2, maxDurationMs = 60000 }) {
	let failures = 0, closed = false, stopped = false, busy = false, again, end;
	const enough = () => failures >= Math.max(1, maxConsecutiveFailures);
	const halt = () => {
		clearInterval(again);
		clearTimeout(end);
		again = end = undefined;
	};
	const say = async () => {
		if (closed || busy || enough())
			return;
		busy = true;
		try {
			await start();
			failures = 0;
		} catch (error) {
			failures++;
			onStartError?.(error);
			if (enough())
				halt();
		} finally {
			busy = false;
		}
	};
	const finish = () => {
		closed = true;
		halt();
		if (stop && !stopped) {
			stopped = true;
			Promise.resolve().then(stop).catch((error) => (onStopError ?? onStartError)?.(error));
		}
	};
	return {
		async onReplyStart() {
			if (closed)
				return;
			stopped = false;
			failures = 0;
			halt();
			await say();
			if (closed || enough())
				return;
			if (keepaliveIntervalMs > 0)
				again = setInterval(() => void say(), keepaliveIntervalMs);
			if (maxDurationMs > 0)
				end = setTimeout(finish, maxDurationMs);
		},
		onIdle: finish,
		onCleanup: finish,
	};
}

// ---- Reactions that say "seen" ----

function shouldAckReaction({ scope = 'group-mentions', isDirect, isGroup, isMentionableGroup, requireMention, canDetectMention,
	effectiveWasMentioned, shouldBypassMention }) {
	if (scope === 'all')
		return true;
	if (scope === 'direct')
		return isDirect;
	if (scope === 'group-all')
		return isGroup;
	return scope === 'group-mentions' && Boolean(isMentionableGroup && requireMention && canDetectMention &&
		(effectiveWasMentioned || shouldBypassMention === true));
}

function removeAckReactionAfterReply({ removeAfterReply, ackReactionPromise, ackReactionValue, remove, onError }) {
	if (removeAfterReply && ackReactionPromise && ackReactionValue)
		ackReactionPromise.then((did) => (did ? remove().catch((error) => onError?.(error)) : undefined));
}

const identityOf = (cfg, agentId) => cfg?.agents?.list?.find((agent) => agent?.id?.toLowerCase?.() === String(agentId ?? '').toLowerCase())?.identity;
const channelValue = (cfg, { channel, accountId } = {}, key) => {
	const section = channel ? cfg?.channels?.[channel] : undefined;
	return (accountId ? section?.accounts?.[accountId]?.[key] : undefined) ?? section?.[key];
};

function resolveAckReaction(cfg, agentId, where) {
	const said = channelValue(cfg, where, 'ackReaction') ?? cfg.messages?.ackReaction;
	return said !== undefined ? said.trim() : identityOf(cfg, agentId)?.emoji?.trim() || '👀';
}

// ---- Prefixes ----

function resolveResponsePrefix(cfg, agentId, where) {
	const said = channelValue(cfg, where, 'responsePrefix') ?? cfg?.messages?.responsePrefix;
	if (said !== 'auto')
		return said;
	const name = identityOf(cfg, agentId)?.name?.trim();
	return name ? `[${name}]` : undefined;
}

function createReplyPrefixContext({ cfg, agentId, channel, accountId }) {
	const prefixContext = { identityName: identityOf(cfg, agentId)?.name?.trim() || undefined };
	return {
		prefixContext,
		responsePrefix: resolveResponsePrefix(cfg, agentId, { channel, accountId }),
		enableSlackInteractiveReplies: undefined,
		responsePrefixContextProvider: () => prefixContext,
		onModelSelected: ({ provider, model, thinkLevel }) => Object.assign(prefixContext, { provider, modelFull: `${provider}/${model}`,
			model: model.slice(model.lastIndexOf('/') + 1).replace(/-(?:\d{8}|latest)$/, ''), thinkingLevel: thinkLevel ?? 'off' }),
	};
}

const createReplyPrefixOptions = (params) => {
	const { prefixContext: _own, ...options } = createReplyPrefixContext(params);
	return options;
};

const createChannelReplyPipeline = ({ cfg, agentId, channel, accountId, typing, typingCallbacks }) => ({
	...createReplyPrefixOptions({ cfg, agentId, channel, accountId }),
	...(typingCallbacks ? { typingCallbacks } : typing ? { typingCallbacks: createTypingCallbacks(typing) } : {}),
});

// ---- From a message to its answer ----

function formatInboundFromLabel({ isGroup, groupLabel, groupId, directLabel, directId, groupFallback }) {
	if (isGroup) {
		const label = groupLabel?.trim() || groupFallback || 'Group';
		return groupId?.trim() ? `${label} id:${groupId.trim()}` : label;
	}
	const label = directLabel.trim(), id = directId?.trim();
	return !id || id === label ? label : `${label} id:${id}`;
}

function resolveThreadSessionKeys({ baseSessionKey, threadId, parentSessionKey, useSuffix = true, normalizeThreadId = (id) => id.toLowerCase() }) {
	const id = (threadId ?? '').trim();
	if (id === '')
		return { sessionKey: baseSessionKey, parentSessionKey: undefined };
	return { sessionKey: useSuffix ? `${baseSessionKey}:thread:${normalizeThreadId(id)}` : baseSessionKey, parentSessionKey };
}

function resolveInboundRouteEnvelopeBuilder(p) {
	const { accountId, cfg, peer } = p, envelope = p.resolveEnvelopeFormatOptions(cfg);
	const route = p.resolveAgentRoute({ accountId, cfg, peer, channel: p.channel });
	const storePath = p.resolveStorePath(p.sessionStore, { agentId: route.agentId });
	const buildEnvelope = ({ channel, from, body, timestamp }) => ({ storePath, body: p.formatAgentEnvelope({ channel, from, timestamp, envelope,
		body, previousTimestamp: p.readSessionUpdatedAt({ storePath, sessionKey: route.sessionKey }) }) });
	return { route, buildEnvelope };
}

const resolveInboundRouteEnvelopeBuilderWithRuntime = ({ runtime, ...rest }) => resolveInboundRouteEnvelopeBuilder({ ...rest,
	resolveAgentRoute: (params) => runtime.routing.resolveAgentRoute(params),
	resolveStorePath: (...args) => runtime.session.resolveStorePath(...args),
	readSessionUpdatedAt: (params) => runtime.session.readSessionUpdatedAt(params),
	resolveEnvelopeFormatOptions: (cfg) => runtime.reply.resolveEnvelopeFormatOptions(cfg),
	formatAgentEnvelope: (params) => runtime.reply.formatAgentEnvelope(params) });

async function recordInboundSessionAndDispatchReply(p) {
	const { cfg, ctxPayload: ctx, storePath, onRecordError } = p, { onModelSelected, ...prefix } = createReplyPrefixOptions(p);
	await p.recordInboundSession({ ctx, onRecordError, storePath, sessionKey: ctx.SessionKey ?? p.routeSessionKey });
	const dispatcherOptions = Object.assign(prefix, { onError: p.onDispatchError, deliver: createNormalizedOutboundDeliverer(p.deliver) });
	await p.dispatchReplyWithBufferedBlockDispatcher({ cfg, ctx, dispatcherOptions, replyOptions: { ...p.replyOptions, onModelSelected } });
}

const dispatchInboundReplyWithBase = ({ core, route, ...rest }) => recordInboundSessionAndDispatchReply({ ...rest, agentId: route.agentId,
	routeSessionKey: route.sessionKey, recordInboundSession: (params) => core.channel.session.recordInboundSession(params),
	dispatchReplyWithBufferedBlockDispatcher: (params) => core.channel.reply.dispatchReplyWithBufferedBlockDispatcher(params) });

// What a plugin calls without having been handed a runtime goes to the one its api has.
module.exports = (_plugin, sdk) => {
	const host = () => sdk.hostRuntime;

	const dispatchReplyFromConfigWithSettledDispatcher = ({ cfg, ctxPayload: ctx, dispatcher, onSettled, replyOptions }) => {
		const { reply } = host().channel;
		return reply.withReplyDispatcher({ dispatcher, onSettled, run: () => reply.dispatchReplyFromConfig({ cfg, ctx, dispatcher, replyOptions }) });
	};

	const recordInboundSession = (params) => host().channel.session.recordInboundSession(params);

	function resolveInboundSessionEnvelopeContext({ cfg, agentId, sessionKey }) {
		const { session, reply } = host().channel;
		const storePath = session.resolveStorePath(cfg.session?.store, { agentId });
		return { storePath, envelopeOptions: reply.resolveEnvelopeFormatOptions(cfg),
			previousTimestamp: session.readSessionUpdatedAt({ storePath, sessionKey }) };
	}

	return { SILENT_REPLY_TOKEN, buildAgentMediaPayload, buildChannelSendResult, buildMediaPayload, createChannelReplyPipeline,
		createNormalizedOutboundDeliverer, createReplyPrefixContext, createReplyPrefixOptions, createTypingCallbacks,
		dispatchInboundReplyWithBase, dispatchReplyFromConfigWithSettledDispatcher, formatInboundFromLabel, formatTextWithAttachmentLinks,
		isNumericTargetId, isSilentReplyText,
		// Sessions are in the gateway's store, and a file of them has none; the commands of skills are the gateway's.
		listSkillCommandsForAgents: () => [], loadSessionStore: () => ({}), resolveStorePath: (...args) => host().channel.session.resolveStorePath(...args),
		normalizeOutboundReplyPayload, recordInboundSession, recordInboundSessionAndDispatchReply,
		removeAckReactionAfterReply, resolveAckReaction, resolveInboundRouteEnvelopeBuilder, resolveInboundRouteEnvelopeBuilderWithRuntime,
		resolveInboundSessionEnvelopeContext, resolveOutboundMediaUrls, resolveResponsePrefix, resolveThreadSessionKeys,
		sendMediaWithLeadingCaption, sendPayloadWithChunkedTextAndMedia, shouldAckReaction };
};
