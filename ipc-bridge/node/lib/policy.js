'use strict';
// What a channel's plugin decides from the configuration alone: which agent and session a message belongs to, whether it was
// meant, who may use commands.  Pure but for the debouncer's timers.
const { channelSetting } = require('./text.js');

const ACCOUNT = 'default';

// ---- Agents and sessions ----

function agentId(value) {
	const text = String(value ?? '').trim().toLowerCase().replace(/[^a-z0-9_-]+/g, '-').replace(/^-+|-+$/g, '').slice(0, 64);
	return text || 'main';
}

function defaultAgent(cfg) {
	const list = cfg?.agents?.list ?? [];
	return agentId((list.find((agent) => agent?.default) ?? list[0])?.id);
}

const agentEntry = (cfg, id) => (cfg?.agents?.list ?? []).find((agent) => agentId(agent?.id) === agentId(id));

// As core/agent/session.c writes keys: what has a meaning there is escaped.
const escaped = (part) => [...Buffer.from(String(part))].map((byte) => (byte >= 0x80 || /[A-Za-z0-9\-_.@+=]/.test(String.fromCharCode(byte))
	? byte : `%${byte.toString(16).toUpperCase().padStart(2, '0')}`)).reduce((all, one) => Buffer.concat([all,
	typeof one === 'number' ? Buffer.from([one]) : Buffer.from(one)]), Buffer.alloc(0)).toString('utf8');

function kindOf(kind) {
	const text = String(kind ?? '').toLowerCase();
	return text === 'group' || text === 'channel' || text === 'thread' ? text : 'dm';
}

// session.identityLinks: one person under one name.
function linkedPeer(links, channel, peer) {
	const wanted = new Set([String(peer).toLowerCase(), `${channel}:${peer}`.toLowerCase()]);
	for (const [name, ids] of Object.entries(links ?? {}))
		if ((Array.isArray(ids) ? ids : []).some((id) => wanted.has(String(id).trim().toLowerCase())))
			return name;
	return peer;
}

function buildAgentSessionKey({ agentId: agent, channel, accountId, peer, dmScope = 'main', identityLinks, mainKey }) {
	const id = agentId(agent), kind = kindOf(peer?.kind), who = String(peer?.id ?? '').trim();
	if (kind === 'dm') {
		if (dmScope === 'main' || who === '')
			return `agent:${id}:${mainKey ?? 'main'}`;
		const linked = escaped(linkedPeer(identityLinks, channel, who));
		if (dmScope === 'per-peer')
			return `agent:${id}:dm:${linked}`;
		const network = `agent:${id}:channel:${escaped(channel)}:`;
		return dmScope === 'per-account-channel-peer' ? `${network}account:${escaped(accountId || ACCOUNT)}:dm:${linked}` : `${network}dm:${linked}`;
	}
	return `agent:${id}:channel:${escaped(channel)}:account:${escaped(accountId || ACCOUNT)}:${kind}:${escaped(who || 'unknown')}`;
}

const samePeer = (match, peer) => peer && kindOf(match?.kind) === kindOf(peer.kind) && String(match?.id ?? '').trim() === String(peer.id ?? '').trim();

// The first binding that fits, from the closest to the widest.
function matchBinding(cfg, { channel, accountId, peer, parentPeer, guildId, teamId, memberRoleIds }) {
	const fits = (cfg?.bindings ?? []).filter(({ match } = {}) => {
		const account = String(match?.accountId ?? '*').trim() || '*';
		return String(match?.channel ?? '').trim().toLowerCase() === channel && (account === '*' || account.toLowerCase() === accountId.toLowerCase());
	});
	const roles = (match) => !match.roles?.length || match.roles.some((role) => (memberRoleIds ?? []).includes(role));
	const tiers = [
		['binding.peer', ({ match }) => match.peer && samePeer(match.peer, peer)],
		['binding.peer.parent', ({ match }) => match.peer && samePeer(match.peer, parentPeer)],
		['binding.guild+roles', ({ match }) => !match.peer && match.guildId && match.guildId === guildId && match.roles?.length && roles(match)],
		['binding.guild', ({ match }) => !match.peer && match.guildId && match.guildId === guildId && !match.roles?.length],
		['binding.team', ({ match }) => !match.peer && !match.guildId && match.teamId && match.teamId === teamId],
		['binding.account', ({ match }) => !match.peer && !match.guildId && !match.teamId && match.accountId && match.accountId !== '*'],
		['binding.channel', ({ match }) => !match.peer && !match.guildId && !match.teamId && (!match.accountId || match.accountId === '*')],
	];
	for (const [matchedBy, test] of tiers) {
		const found = fits.find(test);
		if (found)
			return { agentId: agentId(found.agentId), matchedBy };
	}
	return { agentId: defaultAgent(cfg), matchedBy: 'default' };
}

function resolveAgentRoute({ cfg, channel, accountId, peer, parentPeer, guildId, teamId, memberRoleIds }) {
	const name = String(channel ?? '').trim().toLowerCase(), account = String(accountId ?? '').trim() || ACCOUNT;
	const { agentId: agent, matchedBy } = matchBinding(cfg, { channel: name, accountId: account, peer, parentPeer, guildId, teamId, memberRoleIds });
	const mainKey = String(cfg?.session?.mainKey ?? '').trim() || 'main';
	const dmScope = cfg?.session?.scope === 'global' ? 'main' : cfg?.session?.dmScope ?? 'main';
	const sessionKey = buildAgentSessionKey({ agentId: agent, channel: name, accountId: account, peer, dmScope, mainKey,
		identityLinks: cfg?.session?.identityLinks });
	const mainSessionKey = `agent:${agent}:${mainKey}`;
	return { agentId: agent, channel: name, accountId: account, sessionKey, mainSessionKey, matchedBy,
		lastRoutePolicy: sessionKey === mainSessionKey ? 'main' : 'session' };
}

// ---- Mentions ----

const literal = (text) => text.replace(/[.*+?^${}()|[\]\\]/g, '\\$&');

// [] for what is no pattern.
function compiled(pattern) {
	try {
		return [new RegExp(pattern, 'i')];
	} catch {
		return [];
	}
}

function buildMentionRegexes(cfg, agent) {
	const entry = agent ? agentEntry(cfg, agent) : undefined;
	let patterns = entry?.groupChat?.mentionPatterns ?? cfg?.messages?.groupChat?.mentionPatterns;
	if (!patterns) {
		const { name, emoji } = entry?.identity ?? {};
		patterns = [name?.trim() && `\\b@?${name.trim().split(/\s+/).map(literal).join('\\s+')}\\b`, emoji?.trim() && literal(emoji.trim())].filter(Boolean);
	}
	return patterns.flatMap(compiled);
}

// Without the signs nobody sees, which would hide a name.
const cleaned = (text) => String(text ?? '').toLowerCase().replace(/[\u200b-\u200d\u2060-\u206f]|\p{Bidi_Control}/gu, '');

function matchesMentionPatterns(text, regexes) {
	const said = cleaned(text);
	return said !== '' && regexes.some((regex) => regex.test(said));
}

function matchesMentionWithExplicit({ text, mentionRegexes, explicit, transcript }) {
	const said = cleaned(text) || cleaned(transcript);
	const known = explicit?.canResolveExplicit === true;
	if (known && explicit.hasAnyMention === true)
		return explicit.isExplicitlyMentioned === true || (said !== '' && mentionRegexes.some((regex) => regex.test(said)));
	return (known && explicit.isExplicitlyMentioned === true) || (said !== '' && mentionRegexes.some((regex) => regex.test(said)));
}

// ---- Groups ----

function groupsOf(cfg, channel, accountId) {
	return channelSetting(cfg, channel, accountId, 'groups');
}

function resolveGroupPolicy({ cfg, channel, groupId, accountId, groupIdCaseInsensitive, hasGroupAllowFrom }) {
	const groups = groupsOf(cfg, channel, accountId) ?? {};
	const policy = channelSetting(cfg, channel, accountId, 'groupPolicy') ?? cfg?.channels?.defaults?.groupPolicy;
	const id = String(groupId ?? '').trim();
	let groupConfig = id ? groups[id] : undefined;
	if (!groupConfig && id && groupIdCaseInsensitive)
		groupConfig = Object.entries(groups).find(([key]) => key.toLowerCase() === id.toLowerCase())?.[1];
	const defaultConfig = groups['*'];
	const any = Object.keys(groups).length > 0, allowlistEnabled = any || policy === 'allowlist';
	const bySender = policy === 'allowlist' && !any && hasGroupAllowFrom === true;
	const allowed = policy === 'disabled' ? false : bySender || !allowlistEnabled || Object.hasOwn(groups, '*') || groupConfig !== undefined;
	return { allowlistEnabled, allowed, groupConfig, defaultConfig };
}

function resolveRequireMention(params) {
	const found = resolveGroupPolicy(params), override = params.requireMentionOverride;
	const said = [found.groupConfig?.requireMention ?? found.defaultConfig?.requireMention];
	said[params.overrideOrder === 'before-config' ? 'unshift' : 'push'](override);
	return said.find((value) => typeof value === 'boolean') ?? true;
}

// ---- Commands ----

const COMMANDS = new Set(('help commands skill status allowlist approve context export-session export tts whoami id session ' +
	'subagents acp focus unfocus agents kill steer tell config mcp plugins debug usage stop restart activation send reset new ' +
	'compact think thinking t verbose v fast reasoning reason elevated elev exec model models queue bash').split(' '));
const NATIVE = new Set(['discord', 'slack', 'telegram']);
const STOP = new Set(['stop', 'esc', 'abort', 'wait', 'exit', 'interrupt', 'please stop', 'stop please', 'stop now', 'stop it']);

function commandOf(text) {
	const found = /^\/([a-z][a-z0-9_-]*)(?:@\S+)?(?:\s*:\s*|\s+|$)/i.exec(String(text ?? '').trim());
	return found ? found[1].toLowerCase() : null;
}

// more: names that plugins registered.
function hasControlCommand(text, _cfg, options) {
	const name = commandOf(text);
	return name !== null && (COMMANDS.has(name) || options?.more?.has?.(name) === true);
}

function isAbortRequestText(text) {
	const said = String(text ?? '').trim().toLowerCase().replace(/[.!?…,;:'")\]]+$/, '').trim();
	return said === '/stop' || STOP.has(said);
}

const isControlCommandMessage = (text, cfg, options) => String(text ?? '').trim() !== '' && (hasControlCommand(text, cfg, options) || isAbortRequestText(text));

const shouldComputeCommandAuthorized = (text, cfg, options) => isControlCommandMessage(text, cfg, options) || /(?:^|\s)[/!][a-z]/i.test(String(text ?? ''));

const shouldHandleTextCommands = ({ cfg, surface, commandSource }) => commandSource === 'native' || cfg?.commands?.text !== false ||
	!NATIVE.has(String(surface ?? '').toLowerCase());

function resolveCommandAuthorizedFromAuthorizers({ useAccessGroups, authorizers, modeWhenAccessGroupsOff = 'allow' }) {
	const lists = authorizers.filter((one) => one.configured), listed = lists.some((one) => one.allowed);
	if (useAccessGroups)
		return listed;
	return modeWhenAccessGroupsOff === 'configured' ? listed || lists.length === 0 : modeWhenAccessGroupsOff === 'allow';
}

// ---- Acknowledging reactions ----

function shouldAckReaction({ scope = 'group-mentions', isDirect, isGroup, isMentionableGroup, requireMention, canDetectMention,
	effectiveWasMentioned, shouldBypassMention }) {
	if (scope === 'all')
		return true;
	if (scope === 'direct')
		return isDirect;
	if (scope === 'group-all')
		return isGroup;
	return scope === 'group-mentions' && isMentionableGroup && requireMention && canDetectMention &&
		(effectiveWasMentioned || shouldBypassMention === true);
}

function removeAckReactionAfterReply({ removeAfterReply, ackReactionPromise, ackReactionValue, remove, onError }) {
	if (!removeAfterReply || !ackReactionPromise || !ackReactionValue)
		return;
	void ackReactionPromise.then((did) => (did ? remove().catch((error) => onError?.(error)) : undefined));
}

// ---- Several messages of one breath ----

function resolveInboundDebounceMs({ cfg, channel, overrideMs }) {
	const inbound = cfg?.messages?.inbound;
	const said = [overrideMs, inbound?.byChannel?.[channel], inbound?.debounceMs].find(Number.isFinite) ?? 0;
	return Math.trunc(Math.max(said, 0));
}

function createInboundDebouncer({ debounceMs, buildKey, shouldDebounce, resolveDebounceMs, onFlush, onError }) {
	const waiting = new Map();
	const flush = async (items) => {
		try {
			await onFlush(items);
		} catch (error) {
			onError?.(error, items);
		}
	};
	const flushKey = async (key) => {
		const held = waiting.get(key);
		if (!held)
			return;
		waiting.delete(key);
		clearTimeout(held.timer);
		await flush(held.items);
	};
	return {
		async enqueue(item) {
			const key = buildKey(item), ms = resolveDebounceMs?.(item) ?? debounceMs;
			if (!key || !(ms > 0) || shouldDebounce?.(item) === false) {
				if (key)
					await flushKey(key);
				await flush([item]);
				return;
			}
			const held = waiting.get(key) ?? { items: [], timer: undefined };
			held.items.push(item);
			clearTimeout(held.timer);
			held.timer = setTimeout(() => void flushKey(key), ms);
			waiting.set(key, held);
		},
		flushKey,
	};
}

// ---- Settings of agents ----

function resolveEffectiveMessagesConfig(cfg, agent, options = {}) {
	const name = agentEntry(cfg, agent)?.identity?.name?.trim();
	const given = options.channel ? channelSetting(cfg, options.channel, options.accountId, 'responsePrefix') : undefined;
	const response = given ?? cfg?.messages?.responsePrefix;
	return {
		messagePrefix: cfg?.messages?.messagePrefix ?? (options.hasAllowFrom === true ? '' : name ? `[${name}]` : options.fallbackMessagePrefix ?? '[openclaw]'),
		responsePrefix: response === 'auto' ? (name ? `[${name}]` : undefined) : response,
	};
}

function resolveHumanDelayConfig(cfg, agent) {
	const own = agentEntry(cfg, agent)?.humanDelay, all = cfg?.agents?.defaults?.humanDelay;
	return own || all ? { mode: own?.mode ?? all?.mode, minMs: own?.minMs ?? all?.minMs, maxMs: own?.maxMs ?? all?.maxMs } : undefined;
}

module.exports = { agentEntry, agentId, buildAgentSessionKey, buildMentionRegexes, commandOf, createInboundDebouncer, defaultAgent,
	hasControlCommand, isAbortRequestText, isControlCommandMessage, matchesMentionPatterns, matchesMentionWithExplicit,
	removeAckReactionAfterReply, resolveAgentRoute, resolveCommandAuthorizedFromAuthorizers, resolveEffectiveMessagesConfig,
	resolveGroupPolicy, resolveHumanDelayConfig, resolveInboundDebounceMs, resolveRequireMention, shouldAckReaction,
	shouldComputeCommandAuthorized, shouldHandleTextCommands };
