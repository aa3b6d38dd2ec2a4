'use strict';
// Questions that a channel's set-up asks, through the prompter it is given.

const NEW = '__new__';
const POLICIES = { allowlist: 'those on a list', open: 'everybody, everywhere', disabled: 'nobody' };
const required = (value) => (value?.trim() ? undefined : 'Required');
const parts = (raw) => (String(raw ?? '').match(/[^\n,;]+/g) ?? []).flatMap((part) => part.trim() || []);

const splitOnboardingEntries = parts;
function parseOptionalDelimitedEntries(value) {
	const list = parts(value);
	return list.length > 0 ? list : undefined;
}

function formatResolvedUnresolvedNote({ resolved, unresolved }) {
	const lines = [resolved.length > 0 && `Found: ${resolved.join(', ')}`, unresolved.length > 0 && `Not found, and left as they are: ${unresolved.join(', ')}`];
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
	return prompter.select({ message: `Who may use ${label}?`, options: values.map((value) => ({ value, label: POLICIES[value] })),
		initialValue: currentPolicy ?? 'allowlist' });
}

async function promptChannelAllowlist({ prompter, label, currentEntries = [], placeholder }) {
	return parts(await prompter.text({ message: `The list for ${label}, with commas between`, placeholder,
		initialValue: currentEntries.length > 0 ? currentEntries.join(', ') : undefined }));
}

// null: nothing is to be changed.
async function promptChannelAccessConfig(p) {
	const ask = p.defaultPrompt ?? !(p.currentEntries?.length > 0);
	if (!(await p.prompter.confirm({ message: `${p.updatePrompt ? 'Change' : 'Say'} who may use ${p.label}?`, initialValue: ask })))
		return null;
	const policy = await promptChannelAccessPolicy(p);
	return { policy, entries: policy === 'allowlist' ? await promptChannelAllowlist(p) : [] };
}

const buildSingleChannelSecretPromptState = ({ accountConfigured, hasConfigToken, allowEnv, envValue }) => ({ accountConfigured, hasConfigToken,
	canUseEnv: allowEnv && Boolean(envValue?.trim()) && !hasConfigToken });

module.exports = (_plugin, sdk) => {
	async function promptAccountId({ cfg, prompter, label, currentId, listAccountIds, defaultAccountId }) {
		const options = [...listAccountIds(cfg).map((value) => ({ value, label: value === 'default' ? 'default: the first one' : value })),
			{ value: NEW, label: 'one more account' }];
		const choice = await prompter.select({ message: `${label} account`, options, initialValue: currentId?.trim() || defaultAccountId || 'default' });
		if (choice !== NEW)
			return sdk.normalizeAccountId(choice);
		const typed = String(await prompter.text({ message: `Id of the new ${label} account`, validate: required })).trim();
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
		const known = Object.entries({ ...cfg?.secrets?.providers }).filter(([, one]) => ['file', 'exec'].includes(one?.source));
		const source = known.length === 0 ? 'env' : await prompter.select({ message: `Where is the ${credentialLabel}?`, initialValue: 'env',
			options: [{ value: 'env', label: 'in a variable of the environment' }, ...known.map(([name, provider]) => ({ value: name, label: `${name} (${provider.source})` }))] });
		if (source !== 'env') {
			const id = String(await prompter.text({ message: `Id of the secret in ${source}`, validate: required })).trim();
			return { action: 'set', value: { source: cfg.secrets.providers[source].source, provider: source, id }, resolvedValue: '' };
		}
		const id = String(await prompter.text({ message: 'Name of the variable', placeholder: preferredEnvVar ?? 'OPENCLAW_SECRET', initialValue: preferredEnvVar,
			validate: (value) => (/^[A-Z][A-Z0-9_]{0,127}$/.test(value?.trim() ?? '') ? undefined : 'capitals, digits and _') })).trim();
		return { action: 'set', value: { source: 'env', provider: cfg?.secrets?.defaults?.env ?? 'default', id }, resolvedValue: process.env[id]?.trim() ?? '' };
	}

	async function promptSingleChannelSecretInput(p) {
		const mode = p.secretInputMode ?? (typeof p.prompter.select !== 'function' ? 'plaintext' : await p.prompter.select({
			message: `Type in the ${p.credentialLabel}, or say where it is?`, initialValue: 'plaintext', options: [
				{ value: 'plaintext', label: `Type in the ${p.credentialLabel}`, hint: 'kept in the configuration' },
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
		const { action, value, resolvedValue = p.envValue?.trim() || undefined } = result;
		if (action === 'keep')
			return { action, cfg: p.cfg };
		const changed = action === 'set' ? p.applySet?.(p.cfg, value, resolvedValue) : p.applyUseEnv?.(p.cfg);
		return { action, resolvedValue, cfg: (await changed) ?? p.cfg };
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
