'use strict';
// Texts: in pieces that fit, without their Markdown; and targets written in chats' own ways.

const breakAt = (window) => (window.lastIndexOf('\n') > 0 ? window.lastIndexOf('\n') : window.lastIndexOf(' '));

// Pieces of at most `limit`, cut where resolveBreakIndex says; the white space at a cut is lost.
function chunkTextByBreakResolver(text, limit, resolveBreakIndex) {
	const out = [];
	let rest = text ?? '';
	while (limit > 0 && rest.length > limit) {
		const wanted = resolveBreakIndex(rest.slice(0, limit));
		const at = Number.isFinite(wanted) && wanted > 0 && wanted <= limit ? wanted : limit;
		const piece = rest.slice(0, at).trimEnd();
		if (piece !== '')
			out.push(piece);
		rest = rest.slice(at).trimStart();
	}
	return rest === '' ? out : [...out, rest];
}

const chunkTextForOutbound = (text, limit) => chunkTextByBreakResolver(text, limit, breakAt);
const chunkText = (text, limit) => chunkTextByBreakResolver(text, limit, (window) => {
	const space = window.search(/\s\S*$/);
	return window.includes('\n') ? window.lastIndexOf('\n') : space;
});

const MARKUP = [[/\*\*(.+?)\*\*/g, '$1'], [/__(.+?)__/g, '$1'], [/(?<!\*)\*(?!\*)(.+?)(?<!\*)\*(?!\*)/g, '$1'],
	[/(?<!_)_(?!_)(.+?)(?<!_)_(?!_)/g, '$1'], [/~~(.+?)~~/g, '$1'], [/^#{1,6}\s+/gm, ''], [/^>\s?/gm, ''], [/^[-*_]{3,}$/gm, ''],
	[/`([^`]+)`/g, '$1'], [/\n{3,}/g, '\n\n']];
const stripMarkdown = (text) => MARKUP.reduce((out, [pattern, instead]) => out.replace(pattern, instead), text).trim();

const stripReasoningTagsFromText = (text) => String(text ?? '').replace(/<\s*(think(?:ing)?|thought|antthinking)\b[^>]*>[\s\S]*?(?:<\s*\/\s*\1\s*>|$)/gi, '')
	.replace(/<\s*\/?\s*final\b[^>]*>/gi, '').trim();

// ---- "service:target" and "chat_id:5" ----

const KINDS = [['chatIdPrefixes', 'chat_id', 'chatId'], ['chatGuidPrefixes', 'chat_guid', 'chatGuid'],
	['chatIdentifierPrefixes', 'chat_identifier', 'chatIdentifier']];

// {kind, …} for a text that starts like a chat; null for another; undefined for a broken one, with why.
function chatTarget(params) {
	for (const [list, kind, field] of KINDS) {
		const prefix = params[list].find((one) => params.lower.startsWith(one));
		if (prefix === undefined)
			continue;
		const text = params.trimmed.slice(prefix.length).trim(), value = kind === 'chat_id' ? Number.parseInt(text, 10) : text;
		if (kind === 'chat_id' ? Number.isFinite(value) : value !== '')
			return { target: { kind, [field]: value } };
		return { wrong: kind === 'chat_id' ? `Invalid chat_id: ${text}` : `${kind} is required`, kind };
	}
	return null;
}

function parseChatTargetPrefixesOrThrow(params) {
	const found = chatTarget(params);
	if (found?.wrong)
		throw new Error(found.wrong);
	return found?.target ?? null;
}

const parseChatAllowTargetPrefixes = (params) => chatTarget(params)?.target ?? null;

function resolveServicePrefixedTarget({ trimmed, lower, servicePrefixes, isChatTarget, parseTarget }) {
	const found = servicePrefixes.find(({ prefix }) => lower.startsWith(prefix));
	if (!found)
		return null;
	const rest = trimmed.slice(found.prefix.length).trim();
	if (rest === '')
		throw new Error(`${found.prefix} target is required`);
	return isChatTarget(rest.toLowerCase()) ? parseTarget(rest) : { kind: 'handle', to: rest, service: found.service };
}

function resolveServicePrefixedAllowTarget({ trimmed, lower, servicePrefixes, parseAllowTarget }) {
	const found = servicePrefixes.find(({ prefix }) => lower.startsWith(prefix));
	if (!found)
		return null;
	const rest = trimmed.slice(found.prefix.length).trim();
	return rest === '' ? { kind: 'handle', handle: '' } : parseAllowTarget(rest);
}

function isAllowedParsedChatSender({ allowFrom, sender, chatId, chatGuid, chatIdentifier, normalizeSender, parseAllowTarget }) {
	const list = allowFrom.map((entry) => String(entry).trim());
	if (list.includes('*'))
		return true;
	const who = { handle: normalizeSender(sender), chat_id: chatId ?? undefined, chat_guid: chatGuid?.trim(), chat_identifier: chatIdentifier?.trim() };
	const field = { handle: 'handle', chat_id: 'chatId', chat_guid: 'chatGuid', chat_identifier: 'chatIdentifier' };
	return list.filter(Boolean).map((entry) => parseAllowTarget(entry))
		.some((target) => who[target.kind] !== undefined && who[target.kind] !== '' && who[target.kind] === target[field[target.kind]]);
}

function summarizeStringEntries({ entries = [], limit = 6, emptyText = '' }) {
	const shown = entries.slice(0, Math.max(1, Math.floor(limit)));
	return entries.length === 0 ? emptyText : shown.join(', ') + (entries.length > shown.length ? ` (+${entries.length - shown.length})` : '');
}

function summarizeMapping(label, mapping, unresolved, runtime) {
	const lines = [['resolved', mapping], ['unresolved', unresolved]].filter(([, list]) => list.length > 0)
		.map(([what, entries]) => `${label} ${what}: ${summarizeStringEntries({ entries })}`);
	if (lines.length > 0)
		runtime.log?.(lines.join('\n'));
}

module.exports = () => ({ chunkText, chunkTextByBreakResolver, chunkTextForOutbound, isAllowedParsedChatSender, parseChatAllowTargetPrefixes,
	parseChatTargetPrefixesOrThrow, resolveServicePrefixedAllowTarget, resolveServicePrefixedTarget, stripMarkdown,
	stripReasoningTagsFromText, summarizeMapping, summarizeStringEntries });
