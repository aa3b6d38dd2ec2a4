'use strict';
// Texts: in pieces that fit, without their Markdown; and targets written in chats' own ways.

const breakAt = (window) => (window.lastIndexOf('\n') > 0 ? window.lastIndexOf('\n') : window.lastIndexOf(' '));

// Pieces of at most `limit`, cut where resolveBreakIndex says; the white space at a cut is lost.
function chunkTextByBreakResolver(text, limit, resolveBreakIndex) {
	const all = text ?? '', out = [];
	let from = 0;
	while (limit > 0 && all.length - from > limit) {
		const window = all.slice(from, from + limit), cut = Math.trunc(resolveBreakIndex(window));
		const size = cut > 0 && cut <= limit ? cut : limit;
		out.push(window.slice(0, size).trimEnd());
		from += size;
		from += all.slice(from).search(/\S|$/);
	}
	return [...out, all.slice(from)].filter((piece) => piece !== '');
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
		return { wrong: kind === 'chat_id' ? `chat_id "${text}" is not a number` : `nothing follows the ${kind}`, kind };
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

// What a text says behind the prefix of a service: {service, prefix, rest}; null when it has none.
function behindPrefix({ trimmed, lower, servicePrefixes }) {
	for (const { prefix, service } of servicePrefixes)
		if (lower.startsWith(prefix))
			return { service, prefix, rest: trimmed.slice(prefix.length).trim() };
	return null;
}

function resolveServicePrefixedTarget({ isChatTarget, parseTarget, ...p }) {
	const found = behindPrefix(p);
	if (found?.rest === '')
		throw new Error(`nothing follows "${found.prefix}"`);
	if (found && isChatTarget(found.rest.toLowerCase()))
		return parseTarget(found.rest);
	return found && { kind: 'handle', service: found.service, to: found.rest };
}

function resolveServicePrefixedAllowTarget({ parseAllowTarget, ...p }) {
	const found = behindPrefix(p);
	return found?.rest ? parseAllowTarget(found.rest) : found && { kind: 'handle', handle: '' };
}

function isAllowedParsedChatSender({ allowFrom, sender, chatId, chatGuid, chatIdentifier, normalizeSender, parseAllowTarget }) {
	const list = Array.from(allowFrom, (entry) => `${entry}`.trim());
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
	const line = (what, entries) => (entries.length > 0 ? `${label}, ${what}: ${summarizeStringEntries({ entries })}` : []);
	const said = [line('found', mapping), line('not found', unresolved)].flat().join('\n');
	if (said !== '')
		runtime.log?.(said);
}

// What a WebSocket hands over, in whichever of its forms.
function rawDataToString(data, encoding = 'utf8') {
	if (typeof data === 'string')
		return data;
	return (Array.isArray(data) ? Buffer.concat(data) : data instanceof ArrayBuffer ? Buffer.from(data) : Buffer.from(data.buffer, data.byteOffset, data.byteLength)).toString(encoding);
}

const resolveRequestUrl = (input) => (typeof input === 'string' ? input : String(input instanceof URL ? input : input?.url ?? ''));

function formatLocationText({ latitude, longitude, accuracy, name, address, isLive, source, caption }) {
	const where = `${Number(latitude).toFixed(6)}, ${Number(longitude).toFixed(6)}${Number.isFinite(accuracy) ? ` ±${Math.round(accuracy)}m` : ''}`;
	const live = isLive || source === 'live', label = live ? '' : [name, address].filter(Boolean).join(', ');
	const line = live ? `🛰 Live location: ${where}` : label ? `📍 ${label} (${where})` : `📍 ${where}`;
	return caption?.trim() ? `${line}\n${caption.trim()}` : line;
}

function toLocationContext({ latitude, longitude, accuracy, name, address, isLive, source }) {
	const is = source ?? (isLive ? 'live' : name || address ? 'place' : 'pin');
	return { LocationLat: latitude, LocationLon: longitude, LocationAccuracy: accuracy, LocationName: name, LocationAddress: address,
		LocationSource: is, LocationIsLive: isLive ?? is === 'live' };
}

module.exports = () => ({ chunkText, chunkTextByBreakResolver, chunkTextForOutbound, formatLocationText, isAllowedParsedChatSender, parseChatAllowTargetPrefixes,
	parseChatTargetPrefixesOrThrow, rawDataToString, resolveRequestUrl, resolveServicePrefixedAllowTarget, resolveServicePrefixedTarget, stripMarkdown,
	stripReasoningTagsFromText, summarizeMapping, summarizeStringEntries, toLocationContext });
