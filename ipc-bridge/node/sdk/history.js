'use strict';
// The last messages of a group that were not for the agent: kept a group, put before the next one that is.

const DEFAULT_GROUP_HISTORY_LIMIT = 50;
const HISTORY_CONTEXT_MARKER = '[Said here since your last answer; to know, not to answer]';
const CURRENT_MESSAGE_MARKER = '[The message to answer]';
const KEYS_MAX = 1000;

// The oldest keys go first; a Map keeps the order in which they were set.
function evictOldHistoryKeys(historyMap, maxKeys = KEYS_MAX) {
	for (const key of historyMap.keys()) {
		if (historyMap.size <= maxKeys)
			break;
		historyMap.delete(key);
	}
}

function recordPendingHistoryEntry({ historyMap, historyKey, entry, limit }) {
	if (limit <= 0)
		return [];
	const list = historyMap.get(historyKey) ?? [];
	list.push(entry);
	list.splice(0, Math.max(0, list.length - limit));
	historyMap.delete(historyKey);
	historyMap.set(historyKey, list);
	evictOldHistoryKeys(historyMap);
	return list;
}

const recordPendingHistoryEntryIfEnabled = (params) => (params.entry ? recordPendingHistoryEntry(params) : []);
const clearHistoryEntries = ({ historyMap, historyKey }) => void historyMap.set(historyKey, []);
const clearHistoryEntriesIfEnabled = (params) => (params.limit > 0 ? clearHistoryEntries(params) : undefined);

function buildHistoryContext({ historyText, currentMessage, lineBreak = '\n' }) {
	return historyText.trim() === '' ? currentMessage
		: [HISTORY_CONTEXT_MARKER, historyText, '', CURRENT_MESSAGE_MARKER, currentMessage].join(lineBreak);
}

function buildHistoryContextFromEntries({ entries, currentMessage, formatEntry, lineBreak = '\n', excludeLast = true }) {
	const list = excludeLast ? entries.slice(0, -1) : entries;
	return list.length === 0 ? currentMessage
		: buildHistoryContext({ historyText: list.map((entry) => formatEntry(entry)).join(lineBreak), currentMessage, lineBreak });
}

const buildPendingHistoryContextFromMap = ({ historyMap, historyKey, limit, ...rest }) => (limit <= 0 ? rest.currentMessage
	: buildHistoryContextFromEntries({ ...rest, entries: historyMap.get(historyKey) ?? [], excludeLast: false }));

const buildHistoryContextFromMap = (params) => {
	const entries = params.entry ? recordPendingHistoryEntry(params) : params.historyMap.get(params.historyKey) ?? [];
	return params.limit <= 0 ? params.currentMessage : buildHistoryContextFromEntries({ ...params, entries });
};

module.exports = () => ({ DEFAULT_GROUP_HISTORY_LIMIT, HISTORY_CONTEXT_MARKER, CURRENT_MESSAGE_MARKER, buildHistoryContext,
	buildHistoryContextFromEntries, buildHistoryContextFromMap, buildPendingHistoryContextFromMap, clearHistoryEntries,
	clearHistoryEntriesIfEnabled, evictOldHistoryKeys, recordPendingHistoryEntry, recordPendingHistoryEntryIfEnabled });
