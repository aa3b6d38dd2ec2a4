'use strict';
// A channel's section of the configuration, with one account at its top or several under "accounts": reading it, and copies of
// the whole configuration with something of it changed.  Nothing here changes what it is given.

const DEFAULT = 'default';
const isObject = (value) => value !== null && typeof value === 'object' && !Array.isArray(value);
const sectionOf = (cfg, key) => (isObject(cfg?.channels?.[key]) ? cfg.channels[key] : undefined);
const withSection = (cfg, key, section) => ({ ...cfg, channels: { ...cfg.channels, [key]: section } });

module.exports = (_plugin, sdk) => {
	const idOf = (value) => sdk.normalizeAccountId(value);

	function applyAccountNameToChannelSection({ cfg, channelKey, accountId, name, alwaysUseAccounts }) {
		const text = name?.trim();
		if (!text)
			return cfg;
		const id = idOf(accountId), section = sectionOf(cfg, channelKey);
		const several = alwaysUseAccounts || id !== DEFAULT || (section?.accounts && Object.keys(section.accounts).length > 0);
		if (!several)
			return withSection(cfg, channelKey, { ...section, name: text });
		const { name: top, ...rest } = section ?? {};
		const kept = id === DEFAULT || top === undefined ? rest : { ...rest, name: top };
		return withSection(cfg, channelKey, { ...kept, accounts: { ...section?.accounts, [id]: { ...section?.accounts?.[id], name: text } } });
	}

	// A name at the top becomes the default account's.
	function migrateBaseNameToDefaultAccount({ cfg, channelKey, alwaysUseAccounts }) {
		const section = cfg.channels?.[channelKey], name = section?.name?.trim();
		if (alwaysUseAccounts || !name)
			return cfg;
		const { name: _moved, ...rest } = section;
		const own = section.accounts?.[DEFAULT] ?? {};
		return withSection(cfg, channelKey, { ...rest, accounts: { ...section.accounts, [DEFAULT]: own.name ? own : { ...own, name } } });
	}

	function setAccountEnabledInConfigSection({ cfg, sectionKey, accountId, enabled, allowTopLevel }) {
		const id = accountId || DEFAULT, section = cfg.channels?.[sectionKey];
		if (allowTopLevel && id === DEFAULT && !section?.accounts)
			return withSection(cfg, sectionKey, { ...section, enabled });
		return withSection(cfg, sectionKey, { ...section, accounts: { ...section?.accounts, [id]: { ...section?.accounts?.[id], enabled } } });
	}

	function deleteAccountFromConfigSection({ cfg, sectionKey, accountId, clearBaseFields }) {
		const id = accountId || DEFAULT, section = cfg.channels?.[sectionKey];
		if (!section)
			return cfg;
		const accounts = isObject(section.accounts) ? { ...section.accounts } : {};
		const had = Object.keys(accounts).length > 0;
		delete accounts[id];
		const left = Object.keys(accounts).length > 0 ? accounts : undefined;
		if (id !== DEFAULT)
			return withSection(cfg, sectionKey, { ...section, accounts: left });
		if (had) {
			const rest = { ...section };
			for (const field of clearBaseFields ?? [])
				if (field in rest)
					rest[field] = undefined;
			return withSection(cfg, sectionKey, { ...rest, accounts: left });
		}
		const { [sectionKey]: _gone, ...channels } = cfg.channels;
		const { channels: _all, ...others } = cfg;
		return Object.keys(channels).length > 0 ? { ...others, channels } : others;
	}

	// {nextAccounts, changed, cleared}: an account's entry without some fields, and without the entry when nothing is left.
	function clearAccountEntryFields({ accounts, accountId, fields, isValueSet, markClearedOnFieldPresence }) {
		const id = accountId || DEFAULT;
		const all = accounts && typeof accounts === 'object' ? { ...accounts } : undefined;
		const entry = all?.[id];
		if (!isObject(entry) || !fields.some((field) => field in entry))
			return { nextAccounts: all, changed: false, cleared: false };
		const isSet = isValueSet ?? ((value) => (typeof value === 'string' ? value.trim() !== '' : Boolean(value)));
		const present = fields.filter((field) => field in entry);
		const cleared = Boolean(markClearedOnFieldPresence) || present.some((field) => isSet(entry[field]));
		all[id] = Object.fromEntries(Object.entries(entry).filter(([field]) => !present.includes(field)));
		if (Object.keys(all[id]).length === 0)
			delete all[id];
		return { nextAccounts: Object.keys(all).length > 0 ? all : undefined, changed: true, cleared };
	}

	function createAccountListHelpers(channelKey, options = {}) {
		const listConfiguredAccountIds = (cfg) => {
			const accounts = cfg.channels?.[channelKey]?.accounts;
			const ids = isObject(accounts) ? Object.keys(accounts).filter(Boolean) : [];
			return options.normalizeAccountId ? [...new Set(ids.map((id) => options.normalizeAccountId(id)).filter(Boolean))] : ids;
		};
		const listAccountIds = (cfg) => {
			const ids = listConfiguredAccountIds(cfg);
			return ids.length > 0 ? ids.sort((a, b) => a.localeCompare(b)) : [DEFAULT];
		};
		const resolveDefaultAccountId = (cfg) => {
			const ids = listAccountIds(cfg), named = cfg.channels?.[channelKey]?.defaultAccount;
			const wanted = sdk.normalizeOptionalAccountId(typeof named === 'string' ? named : undefined);
			if (wanted && ids.some((id) => idOf(id) === wanted))
				return wanted;
			return ids.includes(DEFAULT) ? DEFAULT : ids[0];
		};
		return { listConfiguredAccountIds, listAccountIds, resolveDefaultAccountId };
	}

	// The account that was asked for; when none was and the first has no credentials, the default one if it has.
	function resolveAccountWithDefaultFallback({ accountId, normalizeAccountId, resolvePrimary, hasCredential, resolveDefaultAccountId }) {
		const id = normalizeAccountId(accountId), first = resolvePrimary(id);
		if (accountId?.trim() || hasCredential(first))
			return first;
		const other = resolveDefaultAccountId();
		const second = other === id ? first : resolvePrimary(other);
		return hasCredential(second) ? second : first;
	}

	const listCombinedAccountIds = ({ configuredAccountIds = [], additionalAccountIds = [], implicitAccountId, fallbackAccountId = DEFAULT }) => {
		const ids = [...new Set([...configuredAccountIds, ...additionalAccountIds, ...(implicitAccountId ? [implicitAccountId] : [])].filter(Boolean))];
		return ids.length > 0 ? ids.sort((a, b) => a.localeCompare(b)) : [fallbackAccountId];
	};

	// An account's own values over those of the section that all accounts share.
	const resolveMergedAccountConfig = ({ channelConfig, accounts, accountId, omitKeys = [], normalizeAccountId = idOf, nestedObjectKeys = [] }) => {
		const { accounts: _own, defaultAccount: _default, ...shared } = channelConfig ?? {};
		const list = accounts ?? channelConfig?.accounts ?? {};
		const key = Object.keys(list).find((one) => normalizeAccountId(one) === normalizeAccountId(accountId));
		const own = key ? list[key] : {};
		for (const omitted of omitKeys)
			delete shared[omitted];
		const merged = { ...shared, ...own };
		for (const nested of nestedObjectKeys)
			if (isObject(shared[nested]) && isObject(own?.[nested]))
				merged[nested] = { ...shared[nested], ...own[nested] };
		return merged;
	};

	function patchTopLevelChannelConfigSection({ cfg, channel, enabled, patch, clearFields = [] }) {
		const section = { ...cfg.channels?.[channel] };
		for (const field of clearFields)
			delete section[field];
		return withSection(cfg, channel, { ...section, ...(enabled ? { enabled: true } : {}), ...patch });
	}

	function patchScopedAccountConfig({ cfg, channelKey, accountId, patch, accountPatch = patch, ensureChannelEnabled = true,
		ensureAccountEnabled = ensureChannelEnabled }) {
		const id = idOf(accountId), section = sectionOf(cfg, channelKey);
		const top = { ...section, ...(ensureChannelEnabled ? { enabled: true } : {}) };
		if (id === DEFAULT)
			return withSection(cfg, channelKey, { ...top, ...patch });
		const own = section?.accounts?.[id] ?? {};
		const enabled = ensureAccountEnabled ? { enabled: typeof own.enabled === 'boolean' ? own.enabled : true } : {};
		return withSection(cfg, channelKey, { ...top, accounts: { ...section?.accounts, [id]: { ...own, ...enabled, ...accountPatch } } });
	}

	const applySetupAccountConfigPatch = ({ cfg, channelKey, accountId, patch }) => patchScopedAccountConfig({ cfg, channelKey, accountId, patch });
	const setTopLevelChannelAllowFrom = ({ cfg, channel, enabled, allowFrom }) =>
		patchTopLevelChannelConfigSection({ cfg, channel, enabled, patch: { allowFrom } });
	const setTopLevelChannelGroupPolicy = ({ cfg, channel, enabled, groupPolicy }) =>
		patchTopLevelChannelConfigSection({ cfg, channel, enabled, patch: { groupPolicy } });
	const setSetupChannelEnabled = (cfg, channel, enabled) => withSection(cfg, channel, { ...cfg.channels?.[channel], enabled });

	function setTopLevelChannelDmPolicyWithAllowFrom({ cfg, channel, dmPolicy, getAllowFrom }) {
		const list = getAllowFrom?.(cfg) ?? cfg.channels?.[channel]?.allowFrom;
		return patchTopLevelChannelConfigSection({ cfg, channel,
			patch: { dmPolicy, ...(dmPolicy === 'open' ? { allowFrom: sdk.addWildcardAllowFrom(list) } : {}) } });
	}

	// ---- The parts of a channel plugin's `config` and `security` that most write alike ----

	function createScopedChannelConfigBase(p) {
		const { sectionKey, clearBaseFields, allowTopLevel = true } = p, out = {};
		for (const name of ['listAccountIds', 'defaultAccountId', 'resolveAccount', 'inspectAccount'])
			out[name] = p[name] && ((...args) => p[name](...args));
		out.deleteAccount = (which) => deleteAccountFromConfigSection({ ...which, sectionKey, clearBaseFields });
		out.setAccountEnabled = (which) => setAccountEnabledInConfigSection({ ...which, sectionKey, allowTopLevel });
		return out;
	}

	function createScopedAccountConfigAccessors(p) {
		const account = ({ cfg, accountId }) => p.resolveAccount({ accountId, cfg });
		const accessors = { formatAllowFrom: (given) => p.formatAllowFrom(given.allowFrom),
			resolveAllowFrom: (which) => sdk.mapAllowFromEntries(p.resolveAllowFrom(account(which))) };
		const defaultTo = (which) => String(p.resolveDefaultTo(account(which)) ?? '').trim() || undefined;
		return p.resolveDefaultTo ? { ...accessors, resolveDefaultTo: defaultTo } : accessors;
	}

	const createHybridChannelConfigBase = createScopedChannelConfigBase;
	const createHybridChannelConfigAdapter = (p) => ({ ...createScopedChannelConfigBase(p), ...createScopedAccountConfigAccessors({ ...p,
		resolveAccount: ({ cfg, accountId }) => p.resolveAccount(cfg, accountId) }) });

	const formatPairingApproveHint = (channel) => `openclaw pairing list ${channel} shows who asks; openclaw pairing approve ${channel} <code> lets one in`;

	function buildAccountScopedDmSecurityPolicy(p) {
		const id = p.accountId ?? p.fallbackAccountId ?? DEFAULT;
		const own = p.cfg.channels?.[p.channelKey]?.accounts?.[id];
		const base = `channels.${p.channelKey}.${own ? `accounts.${id}.` : ''}`;
		return {
			policy: p.policy ?? p.defaultPolicy ?? 'pairing',
			allowFrom: p.allowFrom ?? [],
			policyPath: p.policyPathSuffix === undefined || p.policyPathSuffix === null ? undefined : base + p.policyPathSuffix,
			allowFromPath: base + (p.allowFromPathSuffix ?? ''),
			approveHint: p.approveHint ?? formatPairingApproveHint(p.approveChannelId ?? p.channelKey),
			normalizeEntry: p.normalizeEntry,
		};
	}

	const createScopedDmSecurityResolver = (p) => ({ account, ...which }) => {
		const said = { allowFrom: p.resolveAllowFrom(account) ?? [], policy: p.resolvePolicy(account) };
		return buildAccountScopedDmSecurityPolicy({ ...p, ...which, ...said, fallbackAccountId: p.resolveFallbackAccountId?.(account) ?? account.accountId });
	};

	function resolveChannelMediaMaxBytes({ cfg, accountId, resolveChannelLimitMb }) {
		const mb = resolveChannelLimitMb({ cfg, accountId: idOf(accountId) }) || cfg.agents?.defaults?.mediaMaxMb;
		return mb ? mb * 1024 * 1024 : undefined;
	}

	return { applyAccountNameToChannelSection, applySetupAccountConfigPatch, buildAccountScopedDmSecurityPolicy, clearAccountEntryFields,
		createAccountListHelpers, createHybridChannelConfigAdapter, createHybridChannelConfigBase, createScopedAccountConfigAccessors,
		createScopedChannelConfigBase, createScopedDmSecurityResolver, deleteAccountFromConfigSection, formatPairingApproveHint,
		listCombinedAccountIds, migrateBaseNameToDefaultAccount, patchScopedAccountConfig, patchTopLevelChannelConfigSection,
		resolveAccountWithDefaultFallback, resolveChannelMediaMaxBytes, resolveMergedAccountConfig, setAccountEnabledInConfigSection,
		setSetupChannelEnabled, setTopLevelChannelAllowFrom, setTopLevelChannelDmPolicyWithAllowFrom, setTopLevelChannelGroupPolicy };
};
