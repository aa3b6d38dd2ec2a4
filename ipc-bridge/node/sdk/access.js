'use strict';
// Who may talk: allow lists, policies for direct messages and groups, mentions, commands.  Pure decisions over what is given.

const strings = (list) => Array.from(list ?? [], (entry) => String(entry).trim()).filter((entry) => entry !== '');

const DM_GROUP_ACCESS_REASON = Object.fromEntries(['group_policy_allowed', 'group_policy_disabled', 'group_policy_empty_allowlist',
	'group_policy_not_allowlisted', 'dm_policy_open', 'dm_policy_disabled', 'dm_policy_allowlisted', 'dm_policy_pairing_required',
	'dm_policy_not_allowlisted'].map((reason) => [reason.toUpperCase(), reason]));
const GROUP_POLICY_BLOCKED_LABEL = Object.fromEntries(['group', 'guild', 'room', 'channel', 'space'].map((kind) => [kind, `${kind} messages`]));

// ---- Lists ----

const mapAllowFromEntries = (allowFrom) => (allowFrom ?? []).map(String);
const normalizeStringEntries = strings;
const formatAllowFromLowercase = ({ allowFrom, stripPrefixRe }) => strings(allowFrom)
	.map((entry) => (stripPrefixRe ? entry.replace(stripPrefixRe, '') : entry).toLowerCase());
const formatNormalizedAllowFromEntries = ({ allowFrom, normalizeEntry }) => strings(allowFrom).map((entry) => normalizeEntry(entry)).filter(Boolean);
const formatTrimmedAllowFromEntries = (allowFrom) => strings(allowFrom);
const mergeAllowFromEntries = (current, additions) => [...new Set(strings([...(current ?? []), ...additions]))];
function addWildcardAllowFrom(allowFrom) {
	const list = strings(allowFrom);
	return list.includes('*') ? list : [...list, '*'];
}

// Case is kept; what differs only in it is there once.
function mergeAllowlist({ existing, additions }) {
	const seen = new Map();
	for (const entry of strings([...(existing ?? []), ...additions]))
		if (!seen.has(entry.toLowerCase()))
			seen.set(entry.toLowerCase(), entry);
	return [...seen.values()];
}

function isNormalizedSenderAllowed({ senderId, allowFrom, stripPrefixRe }) {
	const list = formatAllowFromLowercase({ allowFrom, stripPrefixRe });
	return list.includes('*') || list.includes(String(senderId).trim().toLowerCase());
}

function compileAllowlist(entries) {
	const named = entries.filter((entry) => entry);
	return { wildcard: named.includes('*'), set: new Set(named) };
}

const matchCandidates = ({ compiledAllowlist, candidates }) => {
	const hit = candidates.find(({ value }) => value && compiledAllowlist.set.has(value));
	return hit ? { allowed: true, matchKey: hit.value, matchSource: hit.source } : { allowed: false };
};

function resolveCompiledAllowlistMatch(params) {
	const { set, wildcard } = params.compiledAllowlist;
	if (set.size === 0)
		return { allowed: false };
	return wildcard ? { allowed: true, matchKey: '*', matchSource: 'wildcard' } : matchCandidates(params);
}

const resolveAllowlistMatchByCandidates = ({ allowList, candidates }) =>
	resolveCompiledAllowlistMatch({ compiledAllowlist: compileAllowlist(allowList), candidates });

const resolveAllowlistMatchSimple = ({ allowFrom, senderId, senderName, allowNameMatching }) => resolveCompiledAllowlistMatch({
	compiledAllowlist: compileAllowlist(strings(allowFrom).map((entry) => entry.toLowerCase())),
	candidates: [{ value: senderId.toLowerCase(), source: 'id' },
		...(allowNameMatching === true && senderName ? [{ value: senderName.toLowerCase(), source: 'name' }] : [])],
});

const formatAllowlistMatchMeta = (match) => `matchKey=${match?.matchKey ?? 'none'} matchSource=${match?.matchSource ?? 'none'}`;

async function mapAllowlistResolutionInputs({ inputs, mapInput }) {
	const out = [];
	for (const input of inputs)
		out.push(await mapInput(input));
	return out;
}

const isDangerousNameMatchingEnabled = (config) => config?.dangerouslyAllowNameMatching === true;

// ---- Entries of groups and channels by key ----

function buildChannelKeyCandidates(...keys) {
	return [...new Set(keys.filter((key) => typeof key === 'string').map((key) => key.trim()).filter(Boolean))];
}

const normalizeChannelSlug = (value) => (value.toLowerCase().match(/[a-z0-9]+/g) ?? []).join('-');

function resolveChannelEntryMatch({ entries, keys, wildcardKey }) {
	const out = {};
	const own = (key) => entries !== undefined && entries !== null && Object.hasOwn(entries, key);
	const key = keys.find(own);
	if (key !== undefined)
		Object.assign(out, { entry: entries[key], key });
	if (wildcardKey && own(wildcardKey))
		Object.assign(out, { wildcardEntry: entries[wildcardKey], wildcardKey });
	return out;
}

// A key as it is, then in its normal form; then the parents' the same way; then the wildcard.
function resolveChannelEntryMatchWithFallback({ entries, keys, parentKeys = [], wildcardKey, normalizeKey }) {
	const base = resolveChannelEntryMatch({ entries, keys, wildcardKey });
	const find = (wanted) => {
		const exact = resolveChannelEntryMatch({ entries, keys: wanted });
		if (exact.key)
			return exact;
		const normal = normalizeKey ? wanted.map((key) => normalizeKey(key)).filter(Boolean) : [];
		const found = normal.length > 0 ? Object.keys(entries ?? {}).find((key) => normal.includes(normalizeKey(key))) : undefined;
		return found === undefined ? {} : { entry: entries[found], key: found };
	};
	const match = (matchSource, { entry, key }, more) => (entry && key ? { ...base, ...more, entry, key, matchKey: key, matchSource } : undefined);
	const direct = match('direct', find(keys));
	if (direct)
		return direct;
	const above = find(parentKeys);
	return match('parent', above, { parentEntry: above.entry, parentKey: above.key }) ??
		match('wildcard', { entry: base.wildcardEntry, key: base.wildcardKey }) ?? base;
}

const resolveNestedAllowlistDecision = ({ outerConfigured, outerMatched, innerConfigured, innerMatched }) =>
	!outerConfigured || (outerMatched && (!innerConfigured || innerMatched));

// ---- Group policies ----

const resolveDefaultGroupPolicy = (cfg) => cfg.channels?.defaults?.groupPolicy;

function resolveRuntimeGroupPolicy({ providerConfigPresent, groupPolicy, defaultGroupPolicy, configuredFallbackPolicy = 'open',
	missingProviderFallbackPolicy = 'allowlist' }) {
	return {
		groupPolicy: groupPolicy ?? (providerConfigPresent ? defaultGroupPolicy ?? configuredFallbackPolicy : missingProviderFallbackPolicy),
		providerMissingFallbackApplied: !providerConfigPresent && groupPolicy === undefined,
	};
}

const policyParams = ({ providerConfigPresent, groupPolicy, defaultGroupPolicy }) => ({ providerConfigPresent, groupPolicy, defaultGroupPolicy });
const resolveOpenProviderRuntimeGroupPolicy = (params) => resolveRuntimeGroupPolicy({ ...policyParams(params), configuredFallbackPolicy: 'open' });
const resolveAllowlistProviderRuntimeGroupPolicy = (params) => resolveRuntimeGroupPolicy({ ...policyParams(params), configuredFallbackPolicy: 'allowlist' });

const warned = new Set();
function warnMissingProviderGroupPolicyFallbackOnce({ providerMissingFallbackApplied, providerKey, accountId, blockedLabel, log }) {
	const key = `${providerKey}:${accountId ?? '*'}`;
	if (!providerMissingFallbackApplied || warned.has(key))
		return false;
	warned.add(key);
	log(`${providerKey}: there is no channels.${providerKey}; groupPolicy is "allowlist" (${blockedLabel?.trim() || 'group messages'} blocked until it is configured).`);
	return true;
}

const resolveSenderScopedGroupPolicy = ({ groupPolicy, groupAllowFrom }) =>
	(groupPolicy === 'disabled' ? 'disabled' : groupAllowFrom.length > 0 ? 'allowlist' : 'open');

const verdict = (groupPolicy, reason, more) => ({ allowed: reason === 'allowed', groupPolicy, ...more, reason });

function evaluateSenderGroupAccessForPolicy({ groupPolicy, providerMissingFallbackApplied, groupAllowFrom, senderId, isSenderAllowed }) {
	const more = { providerMissingFallbackApplied: Boolean(providerMissingFallbackApplied) };
	if (groupPolicy === 'disabled')
		return verdict(groupPolicy, 'disabled', more);
	if (groupPolicy === 'allowlist' && groupAllowFrom.length === 0)
		return verdict(groupPolicy, 'empty_allowlist', more);
	if (groupPolicy === 'allowlist' && !isSenderAllowed(senderId, groupAllowFrom))
		return verdict(groupPolicy, 'sender_not_allowlisted', more);
	return verdict(groupPolicy, 'allowed', more);
}

const evaluateSenderGroupAccess = ({ providerConfigPresent, configuredGroupPolicy, defaultGroupPolicy, ...rest }) =>
	evaluateSenderGroupAccessForPolicy({ ...rest,
		...resolveOpenProviderRuntimeGroupPolicy({ providerConfigPresent, groupPolicy: configuredGroupPolicy, defaultGroupPolicy }) });

function evaluateGroupRouteAccessForPolicy({ groupPolicy, routeAllowlistConfigured, routeMatched, routeEnabled }) {
	if (groupPolicy === 'disabled')
		return verdict(groupPolicy, 'disabled');
	if (routeMatched && routeEnabled === false)
		return verdict(groupPolicy, 'route_disabled');
	if (groupPolicy === 'allowlist' && !routeAllowlistConfigured)
		return verdict(groupPolicy, 'empty_allowlist');
	if (groupPolicy === 'allowlist' && !routeMatched)
		return verdict(groupPolicy, 'route_not_allowlisted');
	return verdict(groupPolicy, 'allowed');
}

function evaluateMatchedGroupAccessForPolicy({ groupPolicy, allowlistConfigured, allowlistMatched, requireMatchInput, hasMatchInput }) {
	if (groupPolicy === 'disabled')
		return verdict(groupPolicy, 'disabled');
	if (groupPolicy === 'allowlist') {
		if (requireMatchInput && !hasMatchInput)
			return verdict(groupPolicy, 'missing_match_input');
		if (!allowlistConfigured)
			return verdict(groupPolicy, 'empty_allowlist');
		if (!allowlistMatched)
			return verdict(groupPolicy, 'not_allowlisted');
	}
	return verdict(groupPolicy, 'allowed');
}

// The settings of a group: its own entry, else "*"; and whether the list of groups lets it in.
function groupSection({ cfg, channel, groupId, accountId, groupIdCaseInsensitive }) {
	const section = cfg.channels?.[channel] ?? {};
	const accounts = section.accounts ?? {};
	const account = Object.entries(accounts).find(([id]) => id.toLowerCase() === String(accountId ?? '').toLowerCase())?.[1];
	const groups = account?.groups ?? section.groups;
	const fold = (id) => (groupIdCaseInsensitive ? id.toLowerCase() : id);
	const key = groupId ? Object.keys(groups ?? {}).find((id) => fold(id) === fold(groupId.trim())) : undefined;
	return { section, account, groups, groupConfig: key === undefined ? undefined : groups[key], defaultConfig: groups?.['*'] };
}

function resolveChannelGroupPolicy(params) {
	const { section, account, groups, groupConfig, defaultConfig } = groupSection(params);
	const policy = account?.groupPolicy ?? section.groupPolicy ?? params.cfg.channels?.defaults?.groupPolicy;
	const listed = Object.keys(groups ?? {}).length > 0;
	const allowlistEnabled = policy === 'allowlist' || listed;
	const allowed = policy !== 'disabled' && (!allowlistEnabled || Boolean(defaultConfig) || Boolean(groupConfig) ||
		(policy === 'allowlist' && !listed && params.hasGroupAllowFrom === true));
	return { allowlistEnabled, allowed, groupConfig, defaultConfig };
}

function resolveChannelGroupRequireMention(params) {
	const { groupConfig, defaultConfig } = groupSection(params);
	const override = params.requireMentionOverride;
	const candidates = [groupConfig?.requireMention, defaultConfig?.requireMention];
	if (params.overrideOrder === 'before-config')
		candidates.unshift(override);
	else
		candidates.push(override);
	return candidates.find((value) => typeof value === 'boolean') ?? true;
}

// toolsBySender: "id:…", "e164:…", "username:…", "name:…", a bare key meaning an id, or "*".
function resolveToolsBySender({ toolsBySender, senderId, senderName, senderUsername, senderE164 }) {
	if (!toolsBySender)
		return undefined;
	const plain = (value) => String(value ?? '').trim().toLowerCase();
	const handle = (value) => plain(value).replace(/^@/, '');
	const wanted = [...[plain(senderId), handle(senderId)].filter(Boolean).map((id) => `id:${id}`),
		...(plain(senderE164) ? [`e164:${plain(senderE164)}`] : []), ...(handle(senderUsername) ? [`username:${handle(senderUsername)}`] : []),
		...(plain(senderName) ? [`name:${plain(senderName)}`] : [])];
	const byKey = new Map();
	for (const [key, policy] of Object.entries(toolsBySender)) {
		const [, kind, rest] = /^(id|e164|username|name):(.*)$/i.exec(key.trim()) ?? [];
		const normal = kind ? `${kind.toLowerCase()}:${kind.toLowerCase() === 'username' ? handle(rest) : plain(rest)}` : `id:${plain(key)}`;
		if (!byKey.has(normal))
			byKey.set(normal, policy);
	}
	for (const key of wanted)
		if (byKey.has(key))
			return byKey.get(key);
	return toolsBySender['*'];
}

function resolveChannelGroupToolsPolicy(params) {
	const { groupConfig, defaultConfig } = groupSection(params);
	for (const config of [groupConfig, defaultConfig]) {
		const found = resolveToolsBySender({ ...params, toolsBySender: config?.toolsBySender }) ?? config?.tools;
		if (found)
			return found;
	}
	return undefined;
}

// ---- Direct messages and groups together ----

function resolveEffectiveAllowFromLists({ allowFrom, groupAllowFrom, storeAllowFrom, dmPolicy, groupAllowFromFallbackToAllowFrom }) {
	const own = Array.isArray(allowFrom) ? allowFrom : [], group = Array.isArray(groupAllowFrom) ? groupAllowFrom : undefined;
	const store = Array.isArray(storeAllowFrom) && dmPolicy !== 'allowlist' ? storeAllowFrom : [];
	const groups = group?.length > 0 ? group : groupAllowFromFallbackToAllowFrom === false ? group ?? [] : own;
	return { effectiveAllowFrom: strings([...own, ...store]), effectiveGroupAllowFrom: strings(groups) };
}

function resolveDmGroupAccessDecision({ isGroup, dmPolicy, groupPolicy, effectiveAllowFrom, effectiveGroupAllowFrom, isSenderAllowed }) {
	const answer = (decision, reasonCode, reason) => ({ decision, reasonCode, reason });
	if (isGroup) {
		const policy = groupPolicy === 'open' || groupPolicy === 'disabled' ? groupPolicy : 'allowlist';
		const list = strings(effectiveGroupAllowFrom);
		const access = evaluateMatchedGroupAccessForPolicy({ groupPolicy: policy, allowlistConfigured: list.length > 0,
			allowlistMatched: isSenderAllowed(list) });
		if (access.allowed)
			return answer('allow', 'group_policy_allowed', `groupPolicy=${policy}`);
		return answer('block', `group_policy_${access.reason}`, access.reason === 'disabled' ? 'groupPolicy=disabled'
			: `groupPolicy=allowlist, ${access.reason === 'empty_allowlist' ? 'nobody is on the list' : 'not on the list'}`);
	}
	const policy = dmPolicy ?? 'pairing';
	if (policy === 'disabled')
		return answer('block', 'dm_policy_disabled', 'dmPolicy=disabled');
	if (policy === 'open')
		return answer('allow', 'dm_policy_open', 'dmPolicy=open');
	if (isSenderAllowed(strings(effectiveAllowFrom)))
		return answer('allow', 'dm_policy_allowlisted', `dmPolicy=${policy}, on the list`);
	if (policy === 'pairing')
		return answer('pairing', 'dm_policy_pairing_required', 'dmPolicy=pairing, not paired yet');
	return answer('block', 'dm_policy_not_allowlisted', `dmPolicy=${policy}, not on the list`);
}

function resolveDmGroupAccessWithLists(params) {
	const lists = resolveEffectiveAllowFromLists(params);
	return { ...resolveDmGroupAccessDecision({ ...params, ...lists }), ...lists };
}

function resolveDmGroupAccessWithCommandGate(params) {
	const access = resolveDmGroupAccessWithLists(params);
	// In a group, who was only paired is no owner: the stored list does not count for commands there.
	const configured = resolveEffectiveAllowFromLists({ ...params, storeAllowFrom: [] });
	const lists = params.isGroup ? configured : access;
	const authorizers = [lists.effectiveAllowFrom, lists.effectiveGroupAllowFrom]
		.map((list) => ({ allowed: params.isSenderAllowed(list), configured: list.length > 0 }));
	const gate = params.command && resolveControlCommandGate({ ...params.command, modeWhenAccessGroupsOff: undefined, authorizers });
	return Object.assign(access, { shouldBlockControlCommand: params.isGroup && gate?.shouldBlock === true, commandAuthorized: gate?.commandAuthorized === true });
}

function resolveDirectDmAuthorizationOutcome({ isGroup, dmPolicy, senderAllowedForCommands }) {
	if (isGroup || dmPolicy === 'open')
		return 'allowed';
	if (dmPolicy === 'disabled')
		return 'disabled';
	return senderAllowedForCommands ? 'allowed' : 'unauthorized';
}

// ---- Commands and mentions ----

function resolveCommandAuthorizedFromAuthorizers({ useAccessGroups, authorizers, modeWhenAccessGroupsOff = 'allow' }) {
	const some = authorizers.some((one) => one.configured && one.allowed);
	if (useAccessGroups)
		return some;
	if (modeWhenAccessGroupsOff === 'configured')
		return some || !authorizers.some((one) => one.configured);
	return modeWhenAccessGroupsOff === 'allow';
}

function resolveControlCommandGate({ allowTextCommands, hasControlCommand, ...who }) {
	const may = resolveCommandAuthorizedFromAuthorizers(who);
	return { shouldBlock: !may && allowTextCommands && hasControlCommand, commandAuthorized: may };
}

const resolveDualTextControlCommandGate = (p) => resolveControlCommandGate({ useAccessGroups: p.useAccessGroups, allowTextCommands: true,
	hasControlCommand: p.hasControlCommand, modeWhenAccessGroupsOff: p.modeWhenAccessGroupsOff,
	authorizers: [{ configured: p.primaryConfigured, allowed: p.primaryAllowed }, { configured: p.secondaryConfigured, allowed: p.secondaryAllowed }] });

function resolveMentionGating(p) {
	const meant = [Boolean(p.wasMentioned), p.implicitMention, p.shouldBypassMention].includes(true);
	return { shouldSkip: !meant && p.canDetectMention && p.requireMention, effectiveWasMentioned: meant };
}

// A command of somebody who may give it needs no mention, unless somebody else is mentioned.
function resolveMentionGatingWithBypass(p) {
	const mayCommand = [p.hasControlCommand, p.allowTextCommands, p.commandAuthorized].every(Boolean);
	const isMissing = p.isGroup && p.requireMention && ![p.wasMentioned, p.hasAnyMention].some(Boolean);
	const gating = resolveMentionGating({ ...p, shouldBypassMention: mayCommand && isMissing });
	return Object.assign(gating, { shouldBypassMention: mayCommand && isMissing });
}

module.exports = (_plugin, sdk) => {
	async function readStoreAllowFromForDmPolicy({ provider, accountId, dmPolicy, shouldRead, readStore }) {
		if (shouldRead === false || dmPolicy === 'allowlist')
			return [];
		const read = readStore ?? ((channel, account) => sdk.hostRuntime.channel.pairing.readAllowFromStore({ channel, accountId: account }));
		try {
			return await read(provider, accountId);
		} catch {
			return [];
		}
	}

	async function resolveSenderCommandAuthorization(p) {
		const shouldComputeAuth = p.shouldComputeCommandAuthorized(p.rawBody, p.cfg);
		let storeAllowFrom = [];
		if (!p.isGroup && p.dmPolicy !== 'allowlist' && (p.dmPolicy !== 'open' || shouldComputeAuth))
			storeAllowFrom = await p.readAllowFromStore().catch(() => []);
		const { effectiveAllowFrom, effectiveGroupAllowFrom } = resolveEffectiveAllowFromLists({ allowFrom: p.configuredAllowFrom,
			groupAllowFrom: p.configuredGroupAllowFrom ?? [], storeAllowFrom, dmPolicy: p.dmPolicy });
		const may = (list) => p.isSenderAllowed(p.senderId, list);
		return {
			shouldComputeAuth, effectiveAllowFrom, effectiveGroupAllowFrom,
			senderAllowedForCommands: may(p.isGroup ? effectiveGroupAllowFrom : effectiveAllowFrom),
			commandAuthorized: shouldComputeAuth ? p.resolveCommandAuthorizedFromAuthorizers({
				useAccessGroups: p.cfg.commands?.useAccessGroups !== false,
				authorizers: [effectiveAllowFrom, effectiveGroupAllowFrom].map((list) => ({ configured: list.length > 0, allowed: may(list) })),
			}) : undefined,
		};
	}

	const resolveSenderCommandAuthorizationWithRuntime = ({ runtime, ...rest }) => resolveSenderCommandAuthorization({ ...rest,
		shouldComputeCommandAuthorized: runtime.shouldComputeCommandAuthorized,
		resolveCommandAuthorizedFromAuthorizers: runtime.resolveCommandAuthorizedFromAuthorizers });

	// ---- What `openclaw security` says about open groups ----

	const buildOpenGroupPolicyWarning = ({ surface, openBehavior, remediation }) => `- ${surface}: groupPolicy is "open" and ${openBehavior}. ${remediation}.`;
	const byMention = (p) => (p.mentionGated === false ? '' : ' by mentioning it');
	const anybody = (p) => `${p.openScope} may start the agent${byMention(p)}`;
	const buildOpenGroupPolicyRestrictSendersWarning = (p) => buildOpenGroupPolicyWarning({ surface: p.surface, openBehavior: anybody(p),
		remediation: `${p.groupPolicyPath}="allowlist" leaves those of ${p.groupAllowFromPath}` });
	const buildOpenGroupPolicyNoRouteAllowlistWarning = (p) => buildOpenGroupPolicyWarning({ surface: p.surface,
		openBehavior: `${p.routeAllowlistPath} names none: every ${p.routeScope} may take it in and start it${byMention(p)}`,
		remediation: `${p.groupPolicyPath}="allowlist" leaves those of ${p.groupAllowFromPath}, ${p.routeAllowlistPath} says where` });
	const buildOpenGroupPolicyConfigureRouteAllowlistWarning = (p) => buildOpenGroupPolicyWarning({ surface: p.surface, openBehavior: anybody(p),
		remediation: `${p.groupPolicyPath}="allowlist" leaves what ${p.routeAllowlistPath} names` });
	const whenOpen = (p, make) => (p.groupPolicy === 'open' ? [make()] : []);
	const collectOpenGroupPolicyRestrictSendersWarnings = (p) => whenOpen(p, () => buildOpenGroupPolicyRestrictSendersWarning(p));
	const collectOpenGroupPolicyRouteAllowlistWarnings = (p) => whenOpen(p, () => (p.routeAllowlistConfigured
		? buildOpenGroupPolicyRestrictSendersWarning(p.restrictSenders) : buildOpenGroupPolicyNoRouteAllowlistWarning(p.noRouteAllowlist)));
	const collectOpenGroupPolicyConfiguredRouteWarnings = (p) => whenOpen(p, () => (p.routeAllowlistConfigured
		? buildOpenGroupPolicyConfigureRouteAllowlistWarning(p.configureRouteAllowlist) : buildOpenGroupPolicyWarning(p.missingRouteAllowlist)));
	const collector = (resolve) => ({ cfg, providerConfigPresent, configuredGroupPolicy, collect }) => collect(resolve({ providerConfigPresent,
		groupPolicy: configuredGroupPolicy ?? undefined, defaultGroupPolicy: resolveDefaultGroupPolicy(cfg) }).groupPolicy);
	const collectAllowlistProviderGroupPolicyWarnings = collector(resolveAllowlistProviderRuntimeGroupPolicy);
	const collectOpenProviderGroupPolicyWarnings = collector(resolveOpenProviderRuntimeGroupPolicy);
	const collectAllowlistProviderRestrictSendersWarnings = (p) => collectAllowlistProviderGroupPolicyWarnings({ ...p,
		collect: (groupPolicy) => collectOpenGroupPolicyRestrictSendersWarnings({ ...p, groupPolicy }) });

	return { DM_GROUP_ACCESS_REASON, GROUP_POLICY_BLOCKED_LABEL, addWildcardAllowFrom, buildChannelKeyCandidates,
		buildOpenGroupPolicyConfigureRouteAllowlistWarning, buildOpenGroupPolicyNoRouteAllowlistWarning,
		buildOpenGroupPolicyRestrictSendersWarning, buildOpenGroupPolicyWarning, collectAllowlistProviderGroupPolicyWarnings,
		collectAllowlistProviderRestrictSendersWarnings, collectOpenGroupPolicyConfiguredRouteWarnings,
		collectOpenGroupPolicyRestrictSendersWarnings, collectOpenGroupPolicyRouteAllowlistWarnings, collectOpenProviderGroupPolicyWarnings,
		compileAllowlist, evaluateGroupRouteAccessForPolicy, evaluateMatchedGroupAccessForPolicy, evaluateSenderGroupAccess,
		evaluateSenderGroupAccessForPolicy, formatAllowFromLowercase, formatAllowlistMatchMeta, formatNormalizedAllowFromEntries,
		formatTrimmedAllowFromEntries, isDangerousNameMatchingEnabled, isNormalizedSenderAllowed, mapAllowFromEntries,
		mapAllowlistResolutionInputs, mergeAllowFromEntries, mergeAllowlist, normalizeChannelSlug, normalizeStringEntries,
		readStoreAllowFromForDmPolicy, resolveAllowlistMatchByCandidates, resolveAllowlistMatchSimple,
		resolveAllowlistProviderRuntimeGroupPolicy, resolveChannelEntryMatch, resolveChannelEntryMatchWithFallback,
		resolveChannelGroupPolicy, resolveChannelGroupRequireMention, resolveChannelGroupToolsPolicy,
		resolveCommandAuthorizedFromAuthorizers, resolveCompiledAllowlistMatch, resolveControlCommandGate, resolveDefaultGroupPolicy,
		resolveDirectDmAuthorizationOutcome, resolveDmGroupAccessDecision, resolveDmGroupAccessWithCommandGate,
		resolveDmGroupAccessWithLists, resolveDualTextControlCommandGate, resolveEffectiveAllowFromLists, resolveMentionGating,
		resolveMentionGatingWithBypass, resolveNestedAllowlistDecision, resolveOpenProviderRuntimeGroupPolicy, resolveRuntimeGroupPolicy,
		resolveSenderCommandAuthorization, resolveSenderCommandAuthorizationWithRuntime, resolveSenderScopedGroupPolicy,
		resolveToolsBySender, warnMissingProviderGroupPolicyFallbackOnce };
};
