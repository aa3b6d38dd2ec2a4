'use strict';
// Questions that a channel's set-up asks, through the prompter it is given.

const NEW = '__new__';
const POLICIES = { allowlist: 'Allowlist (recommended)', open: 'Open (allow all channels)', disabled: 'Disabled (block all channels)' };
const required = (value) => (value?.trim() ? undefined : 'Required');
const parts = (raw) => String(raw ?? '').split(/[\n,;]+/).map((entry) => entry.trim()).filter(Boolean);

const splitOnboardingEntries = parts;
function parseOptionalDelimitedEntries(value) {
	const list = parts(value);
	return list.length > 0 ? list : undefined;
}

function formatResolvedUnresolvedNote({ resolved, unresolved }) {
	const lines = [resolved.length > 0 && `Resolved: ${resolved.join(', ')}`, unresolved.length > 0 && `Unresolved (kept as typed): ${unresolved.join(', ')}`];
	return lines.filter(Boolean).join('\n') || undefined;
}

function formatDocsLink(where, label, options = {}) {
	const given = where.trim();
	const url = given.startsWith('http') ? given : `https://docs.openclaw.ai${given.startsWith('/') ? '' : '/'}${given}`;
	const linked = options.force ?? Boolean(process.stdout.isTTY);
	const clean = (text) => text.replaceAll('\u001b', '');
	return linked ? `\u001b]8;;${clean(url)}\u0007${clean(label ?? url)}\u001b]8;;\u0007` : options.fallback ?? url;
}

async function promptChannelAccessPolicy({ prompter, label, currentPolicy, allowOpen, allowDisabled }) {
	const values = ['allowlist', ...(allowOpen === false ? [] : ['open']), ...(allowDisabled === false ? [] : ['disabled'])];
	return prompter.select({ message: `${label} access`, options: values.map((value) => ({ value, label: POLICIES[value] })),
		initialValue: currentPolicy ?? 'allowlist' });
}

async function promptChannelAllowlist({ prompter, label, currentEntries = [], placeholder }) {
	return parts(await prompter.text({ message: `${label} allowlist (comma-separated)`, placeholder,
		initialValue: currentEntries.length > 0 ? currentEntries.join(', ') : undefined }));
}

// null: nothing is to be changed.
async function promptChannelAccessConfig(p) {
	const ask = p.defaultPrompt ?? !(p.currentEntries?.length > 0);
	if (!(await p.prompter.confirm({ message: `${p.updatePrompt ? 'Update' : 'Configure'} ${p.label} access?`, initialValue: ask })))
		return null;
	const policy = await promptChannelAccessPolicy(p);
	return { policy, entries: policy === 'allowlist' ? await promptChannelAllowlist(p) : [] };
}

const buildSingleChannelSecretPromptState = ({ accountConfigured, hasConfigToken, allowEnv, envValue }) => ({ accountConfigured, hasConfigToken,
	canUseEnv: allowEnv && Boolean(envValue?.trim()) && !hasConfigToken });

module.exports = (_plugin, sdk) => {
	async function promptAccountId({ cfg, prompter, label, currentId, listAccountIds, defaultAccountId }) {
		const options = [...listAccountIds(cfg).map((value) => ({ value, label: value === 'default' ? 'default (primary)' : value })),
			{ value: NEW, label: 'Add a new account' }];
		const choice = await prompter.select({ message: `${label} account`, options, initialValue: currentId?.trim() || defaultAccountId || 'default' });
		if (choice !== NEW)
			return sdk.normalizeAccountId(choice);
		const typed = String(await prompter.text({ message: `New ${label} account id`, validate: required })).trim();
		const id = sdk.normalizeAccountId(typed);
		if (id !== typed)
			await prompter.note(`The account is called "${id}".`, `${label} account`);
		return id;
	}

	async function resolveAccountIdForConfigure({ accountOverride, shouldPromptAccountIds, defaultAccountId, ...rest }) {
		if (accountOverride?.trim())
			return sdk.normalizeAccountId(accountOverride.trim());
		return shouldPromptAccountIds ? promptAccountId({ ...rest, currentId: defaultAccountId, defaultAccountId }) : defaultAccountId;
	}

	async function promptToken({ prompter, accountConfigured, canUseEnv, hasConfigToken, envPrompt, keepPrompt, inputPrompt }) {
		if (canUseEnv && (await prompter.confirm({ message: envPrompt, initialValue: true })))
			return { action: 'use-env' };
		if (!canUseEnv && hasConfigToken && accountConfigured && (await prompter.confirm({ message: keepPrompt, initialValue: true })))
			return { action: 'keep' };
		const value = String(await prompter.text({ message: inputPrompt, validate: required })).trim();
		return { action: 'set', value, resolvedValue: value };
	}

	// The reference is asked for by parts; whether it leads to something shows when the gateway reads it.
	async function promptReference({ prompter, preferredEnvVar, credentialLabel, cfg }) {
		const known = Object.entries(cfg?.secrets?.providers ?? {}).filter(([, provider]) => provider?.source === 'file' || provider?.source === 'exec');
		const source = known.length === 0 ? 'env' : await prompter.select({ message: `Where is this ${credentialLabel} stored?`, initialValue: 'env',
			options: [{ value: 'env', label: 'Environment variable' }, ...known.map(([name, provider]) => ({ value: name, label: `${name} (${provider.source})` }))] });
		if (source !== 'env') {
			const id = String(await prompter.text({ message: `Id of the secret in ${source}`, validate: required })).trim();
			return { action: 'set', value: { source: cfg.secrets.providers[source].source, provider: source, id }, resolvedValue: '' };
		}
		const id = String(await prompter.text({ message: 'Environment variable', placeholder: preferredEnvVar ?? 'OPENCLAW_SECRET', initialValue: preferredEnvVar,
			validate: (value) => (/^[A-Z][A-Z0-9_]{0,127}$/.test(value?.trim() ?? '') ? undefined : 'capitals, digits and _') })).trim();
		return { action: 'set', value: { source: 'env', provider: cfg?.secrets?.defaults?.env ?? 'default', id }, resolvedValue: process.env[id]?.trim() ?? '' };
	}

	async function promptSingleChannelSecretInput(p) {
		const mode = p.secretInputMode ?? (typeof p.prompter.select !== 'function' ? 'plaintext' : await p.prompter.select({
			message: `How do you want to provide this ${p.credentialLabel}?`, initialValue: 'plaintext', options: [
				{ value: 'plaintext', label: `Enter ${p.credentialLabel}`, hint: 'kept in the configuration' },
				{ value: 'ref', label: 'Name where it is', hint: 'a variable, or a configured provider of secrets' }] }));
		if (mode !== 'ref')
			return promptToken(p);
		if (p.hasConfigToken && p.accountConfigured && (await p.prompter.confirm({ message: p.keepPrompt, initialValue: true })))
			return { action: 'keep' };
		return promptReference(p);
	}

	async function runSingleChannelSecretStep(p) {
		const state = buildSingleChannelSecretPromptState(p);
		if (!state.accountConfigured)
			await p.onMissingConfigured?.();
		const result = await promptSingleChannelSecretInput({ ...p, ...state });
		if (result.action === 'use-env')
			return { cfg: p.applyUseEnv ? await p.applyUseEnv(p.cfg) : p.cfg, action: 'use-env', resolvedValue: p.envValue?.trim() || undefined };
		if (result.action === 'set')
			return { cfg: p.applySet ? await p.applySet(p.cfg, result.value, result.resolvedValue) : p.cfg, action: 'set', resolvedValue: result.resolvedValue };
		return { cfg: p.cfg, action: result.action };
	}

	function createStandardChannelSetupStatus({ channelLabel, configuredLabel = 'configured', unconfiguredLabel = 'not configured', configuredHint,
		unconfiguredHint, configuredScore, unconfiguredScore, resolveConfigured }) {
		return {
			configuredLabel, unconfiguredLabel, configuredHint, unconfiguredHint, configuredScore, unconfiguredScore, resolveConfigured,
			resolveStatusLines: async ({ cfg, configured }) => [`${channelLabel}: ${(configured ?? (await resolveConfigured({ cfg }))) ? configuredLabel : unconfiguredLabel}`],
		};
	}

	return { buildSingleChannelSecretPromptState, createStandardChannelSetupStatus, formatDocsLink, formatResolvedUnresolvedNote,
		parseOptionalDelimitedEntries, promptAccountId, promptChannelAccessConfig, promptChannelAccessPolicy, promptChannelAllowlist,
		promptSingleChannelSecretInput, resolveAccountIdForConfigure, runSingleChannelSecretStep, splitOnboardingEntries,
		splitSetupEntries: splitOnboardingEntries };
};
