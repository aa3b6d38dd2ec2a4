'use strict';
// What channel plugins tell about their accounts and how they log what they leave out.

const PAIRING_APPROVED_MESSAGE = '✅ You are approved. Send a message and we can talk.';
const CREDENTIALS = ['tokenStatus', 'botTokenStatus', 'appTokenStatus', 'signingSecretStatus', 'userTokenStatus'];
const STATES = new Set(['available', 'configured_unavailable', 'missing']);

const text = (value) => (typeof value === 'string' && value.trim() !== '' ? value.trim() : undefined);
const stateOf = (account, key) => (STATES.has(account?.[key]) ? account[key] : undefined);

// Those fields of an object that `blank` names, with its values where there are none.
const take = (from, blank) => Object.fromEntries(Object.entries(blank).map(([name, none]) => [name, from?.[name] ?? none]));
const runtimePart = (from) => take(from, { running: false, lastError: null, lastStartAt: null, lastStopAt: null });
const activityPart = (from) => take(from, { lastInboundAt: null, lastOutboundAt: null });

const buildRuntimeAccountStatusSnapshot = ({ runtime, probe }) => Object.assign(runtimePart(runtime), { probe });
const buildBaseAccountStatusSnapshot = ({ account: { accountId, configured, enabled, name }, ...more }) => ({ accountId, configured, enabled, name,
	...activityPart(more.runtime), ...buildRuntimeAccountStatusSnapshot(more) });
const buildComputedAccountStatusSnapshot = ({ runtime, probe, ...account }) => buildBaseAccountStatusSnapshot({ account, probe, runtime });
const createDefaultChannelRuntimeState = (accountId, extra) => ({ accountId, ...runtimePart(undefined), ...extra });

const buildBaseChannelStatusSummary = (snapshot) => ({ ...take(snapshot, { configured: false }), ...runtimePart(snapshot) });
const buildProbeChannelStatusSummary = (snapshot, extra) => ({ ...buildBaseChannelStatusSummary(snapshot), ...extra,
	...take(snapshot, { lastProbeAt: null }), probe: snapshot.probe });
const buildTokenChannelStatusSummary = (snapshot, options) => buildProbeChannelStatusSummary(snapshot,
	take(snapshot, { tokenSource: 'none', ...(options?.includeMode === false ? {} : { mode: null }) }));

const createComputedAccountStatusAdapter = ({ resolveAccountSnapshot, defaultRuntime, ...rest }) => ({ ...rest, defaultRuntime,
	buildAccountSnapshot: (params) => {
		const { extra, ...own } = resolveAccountSnapshot(params);
		return { ...buildComputedAccountStatusSnapshot({ ...own, runtime: params.runtime, probe: params.probe }), ...extra };
	} });

const collectStatusIssuesFromLastError = (channel, accounts) => accounts.filter((account) => text(account.lastError))
	.map((account) => ({ channel, accountId: account.accountId, kind: 'runtime', message: `It failed: ${account.lastError.trim()}` }));

const createAccountStatusSink = ({ accountId, setStatus }) => (patch) => setStatus({ accountId, ...patch });

// ---- Credentials, seen from outside ----

function projectCredentialSnapshotFields(account) {
	const out = {};
	for (const key of ['tokenSource', 'botTokenSource', 'appTokenSource', 'signingSecretSource'])
		if (text(account?.[key]))
			out[key] = text(account[key]);
	for (const key of CREDENTIALS)
		if (stateOf(account, key))
			out[key] = account[key];
	return out;
}

// true when any is configured, false when all that are known are missing, undefined when none is known.
function resolveConfiguredFromCredentialStatuses(account) {
	const states = CREDENTIALS.map((key) => stateOf(account, key)).filter(Boolean);
	return states.length === 0 ? undefined : states.some((state) => state !== 'missing');
}

function resolveConfiguredFromRequiredCredentialStatuses(account, required) {
	const states = required.map((key) => stateOf(account, key)).filter(Boolean);
	return states.length === 0 ? undefined : !states.includes('missing');
}

// ---- Lines of the log ----

const at = (target) => (target ? ` (${target})` : '');
const logInboundDrop = ({ log, channel, reason, target }) => log(`${channel}: a message is left out${at(target)}: ${reason}`);
const logTypingFailure = ({ log, channel, target, action, error }) =>
	log(`${channel}: the typing sign did not work${action ? ` on ${action}` : ''}${at(target)}: ${String(error)}`);
const logAckFailure = ({ log, channel, target, error }) => log(`${channel}: a reaction could not be taken back${at(target)}: ${String(error)}`);

// ---- Lists of people and groups out of the configuration ----

const idsOf = (entries, normalizeId) => Array.from(entries ?? [], (entry) => String(entry).trim()).filter((id) => !/^\*?$/.test(id))
	.map((id) => (normalizeId ? normalizeId(id) : id)?.trim?.()).filter(Boolean);

function directory(kind, ids, { query, limit }) {
	const wanted = query?.trim().toLowerCase();
	const found = [...new Set(ids)].filter((id) => !wanted || id.toLowerCase().includes(wanted));
	return (typeof limit === 'number' && limit > 0 ? found.slice(0, limit) : found).map((id) => ({ kind, id }));
}

const listDirectoryUserEntriesFromAllowFrom = (p) => directory('user', idsOf(p.allowFrom, p.normalizeId), p);
const listDirectoryUserEntriesFromAllowFromAndMapKeys = (p) => directory('user', [...idsOf(p.allowFrom, p.normalizeAllowFromId),
	...idsOf(Object.keys(p.map ?? {}), p.normalizeMapKeyId)], p);
const listDirectoryGroupEntriesFromMapKeys = (p) => directory('group', idsOf(Object.keys(p.groups ?? {}), p.normalizeId), p);
const listDirectoryGroupEntriesFromMapKeysAndAllowFrom = (p) => directory('group', [...idsOf(Object.keys(p.groups ?? {}), p.normalizeMapKeyId),
	...idsOf(p.allowFrom, p.normalizeAllowFromId)], p);

module.exports = () => ({ PAIRING_APPROVED_MESSAGE, buildBaseAccountStatusSnapshot, buildBaseChannelStatusSummary,
	buildComputedAccountStatusSnapshot, buildProbeChannelStatusSummary, buildRuntimeAccountStatusSnapshot, buildTokenChannelStatusSummary,
	collectStatusIssuesFromLastError, createAccountStatusSink, createComputedAccountStatusAdapter, createDefaultChannelRuntimeState,
	listDirectoryGroupEntriesFromMapKeys, listDirectoryGroupEntriesFromMapKeysAndAllowFrom, listDirectoryUserEntriesFromAllowFrom,
	listDirectoryUserEntriesFromAllowFromAndMapKeys, logAckFailure, logInboundDrop, logTypingFailure, projectCredentialSnapshotFields,
	resolveConfiguredFromCredentialStatuses, resolveConfiguredFromRequiredCredentialStatuses });
