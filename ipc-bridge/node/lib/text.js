'use strict';
// Texts on their way to networks: cut to a length, tables made readable.  Pure.

const DEFAULT_LIMIT = 4000;

function account(section, id) {
	const accounts = section?.accounts;
	if (accounts === null || typeof accounts !== 'object')
		return undefined;
	const wanted = String(id ?? 'default').trim(), entries = Object.entries(accounts);
	const named = (fold) => entries.find(([name]) => fold(name) === fold(wanted));
	return (named((name) => name) ?? named((name) => name.toLowerCase()))?.[1];
}

// channels.<channel>.accounts.<account>.<name>, else channels.<channel>.<name>.
function channelSetting(cfg, channel, accountId, name) {
	const section = cfg?.channels?.[channel] ?? cfg?.[channel];
	return account(section, accountId)?.[name] ?? section?.[name];
}

function resolveTextChunkLimit(cfg, provider, accountId, options = {}) {
	const set = provider ? channelSetting(cfg, provider, accountId, 'textChunkLimit') : undefined;
	if (typeof set === 'number' && set > 0)
		return set;
	return options.fallbackLimit > 0 ? options.fallbackLimit : DEFAULT_LIMIT;
}

function resolveChunkMode(cfg, provider, accountId) {
	return provider && channelSetting(cfg, provider, accountId, 'chunkMode') === 'newline' ? 'newline' : 'length';
}

// Where to cut a window: behind the last line, else the last word, that is not inside parentheses (they hold links).
function breakAt(window) {
	const last = { line: -1, word: -1 };
	let open = 0;
	for (const { 0: sign, index } of window.matchAll(/[()\s]/g))
		if (sign === '(')
			open++;
		else if (sign === ')')
			open = Math.max(0, open - 1);
		else if (open === 0)
			last[sign === '\n' ? 'line' : 'word'] = index;
	return [last.line, last.word].find((index) => index > 0) ?? -1;
}

// Never between the halves of one character.
function whole(text, at) {
	const code = text.charCodeAt(at - 1);
	return at > 1 && code >= 0xd800 && code <= 0xdbff ? at - 1 : at;
}

// [] for nothing, the text itself when it fits, null when it must be cut.
const asOne = (text, limit) => (!text ? [] : limit > 0 && text.length > limit ? null : [text]);

function chunkText(text, limit) {
	const one = asOne(text, limit);
	if (one)
		return one;
	const out = [];
	let from = 0;
	while (text.length - from > limit) {
		const window = text.slice(from, from + limit), found = breakAt(window), to = found > 0 ? found : whole(window, limit);
		out.push(window.slice(0, to).trimEnd());
		from += to;
		if (found > 0) // the white space at a cut is lost
			from += text.slice(from).search(/\S|$/);
	}
	out.push(text.slice(from));
	return out.filter((piece) => piece !== '');
}

// The fenced blocks of a text: {start, end, open, indent, marker}.
function fences(text) {
	const out = [];
	let at = 0, current = null;
	for (const line of text.split('\n')) {
		const mark = /^( {0,3})(`{3,}|~{3,})(.*)$/.exec(line);
		if (mark && !current)
			current = { start: at, open: line, indent: mark[1], marker: mark[2] };
		else if (mark && current && mark[2][0] === current.marker[0] && mark[2].length >= current.marker.length && mark[3].trim() === '') {
			out.push({ ...current, end: at + line.length });
			current = null;
		}
		at += line.length + 1;
	}
	if (current)
		out.push({ ...current, end: text.length });
	return out;
}

// Like chunkText, but a code block that must be cut is closed and opened again.
function chunkMarkdownText(text, limit) {
	const one = asOne(text, limit), out = [];
	if (one)
		return one;
	let rest = text;
	while (rest.length > limit) {
		const blocks = fences(rest);
		let room = limit, at = 0;
		const inside = (place) => blocks.find((block) => place > block.start && place < block.end);
		for (let i = Math.min(room, rest.length) - 1; i > 0 && at === 0; i--)
			if (rest[i] === '\n' && !inside(i))
				at = i;
		let block = at === 0 ? inside(room) : undefined;
		if (block && block.start > 0) {
			at = block.start; // the block goes to the next piece as a whole, or is cut there
			block = undefined;
		} else if (block) {
			const closing = `\n${block.indent}${block.marker}`;
			room = Math.max(limit - closing.length, block.open.length + 2);
			const line = rest.lastIndexOf('\n', room);
			at = line > block.open.length ? line : whole(rest, room);
			out.push(rest.slice(0, at).trimEnd() + closing);
			rest = `${block.open}\n${rest.slice(rest[at] === '\n' ? at + 1 : at)}`;
			continue;
		}
		if (at === 0) {
			const found = breakAt(rest.slice(0, limit));
			at = found > 0 ? found : whole(rest, limit);
		}
		const piece = rest.slice(0, at).trimEnd();
		if (piece)
			out.push(piece);
		rest = rest.slice(at).replace(/^\n+/, '');
		if (rest[0] === ' ' && !/^ {0,3}(`{3,}|~{3,})/.test(rest))
			rest = rest.trimStart();
	}
	if (rest.trim())
		out.push(rest);
	return out;
}

function chunkByNewline(text, maxLineLength, options = {}) {
	const { splitLongLines = true, trimLines = true, isSafeBreak } = options;
	if (!text)
		return [];
	if (!(maxLineLength > 0))
		return text.trim() ? [text] : [];
	const lines = [];
	let from = 0;
	for (let i = 0; i <= text.length; i++)
		if (i === text.length || (text[i] === '\n' && (!isSafeBreak || isSafeBreak(i)))) {
			lines.push(text.slice(from, i));
			from = i + 1;
		}
	const out = [], room = splitLongLines ? maxLineLength : Infinity;
	let gap = ''; // empty lines before the next one
	for (const line of lines)
		if (line.trim() === '') {
			gap = `${gap}\n`.slice(0, Math.max(maxLineLength - 1, 0));
		} else {
			const shown = (out.length > 0 ? gap : '') + (trimLines ? line.trim() : line);
			out.push(...(shown.length > room ? chunkText(shown, room) : [shown]));
			gap = '';
		}
	return out;
}

// Paragraphs as long as they fit.
function chunkByParagraph(text, limit, options = {}) {
	if (!text)
		return [];
	if (!(limit > 0))
		return [text];
	const blocks = fences(text), parts = [];
	let from = 0;
	for (const gap of text.matchAll(/\n[\t ]*\n+/g))
		if (!blocks.some((block) => gap.index > block.start && gap.index < block.end)) {
			parts.push(text.slice(from, gap.index));
			from = gap.index + gap[0].length;
		}
	parts.push(text.slice(from));
	return parts.map((part) => part.replace(/\s+$/g, '')).filter((part) => part.trim())
		.flatMap((part) => (part.length <= limit || options.splitLongParagraphs === false ? [part] : chunkMarkdownText(part, limit)));
}

const chunkTextWithMode = (text, limit, mode) => (mode === 'newline' ? chunkByParagraph(text, limit) : chunkText(text, limit));
const chunkMarkdownTextWithMode = (text, limit, mode) => (mode === 'newline' ? chunkByParagraph(text, limit) : chunkMarkdownText(text, limit));

const TABLE_MODES = new Set(['off', 'bullets', 'code']);
const BULLETS = new Set(['signal', 'whatsapp']);

function resolveMarkdownTableMode({ cfg, channel, accountId } = {}) {
	const name = String(channel ?? '').toLowerCase();
	const mode = channelSetting(cfg, name, accountId, 'markdown')?.tables;
	if (TABLE_MODES.has(mode))
		return mode;
	return BULLETS.has(name) ? 'bullets' : name === 'mattermost' ? 'off' : 'code';
}

const cells = (line) => line.trim().replace(/^\||\|$/g, '').split(/(?<!\\)\|/).map((cell) => cell.trim().replace(/\\\|/g, '|'));
const isRule = (line) => /^\s*\|?\s*:?-{1,}:?\s*(\|\s*:?-{1,}:?\s*)*\|?\s*$/.test(line) && line.includes('-');

function tableAsBullets(head, rows) {
	return rows.map((row) => {
		const title = row[0] ? [`**${row[0]}**`] : [];
		return [...title, ...row.slice(1).map((cell, i) => (cell ? `• ${head[i + 1] ? `${head[i + 1]}: ` : ''}${cell}` : null)).filter(Boolean)].join('\n');
	}).join('\n\n');
}

function tableAsCode(head, rows) {
	const widths = head.map((cell, i) => Math.max(3, cell.length, ...rows.map((row) => (row[i] ?? '').length)));
	const line = (row) => `| ${widths.map((width, i) => (row[i] ?? '').padEnd(width)).join(' | ')} |`;
	return ['```', line(head), `| ${widths.map((width) => '-'.repeat(width)).join(' | ')} |`, ...rows.map(line), '```'].join('\n');
}

function convertMarkdownTables(markdown, mode) {
	if (!markdown || mode === 'off' || !markdown.includes('|'))
		return markdown;
	const blocks = fences(markdown), lines = markdown.split('\n'), out = [];
	let at = 0;
	for (let i = 0; i < lines.length; at += lines[i].length + 1, i++) {
		const fenced = blocks.some((block) => at >= block.start && at <= block.end);
		if (fenced || !lines[i].includes('|') || i + 1 >= lines.length || !isRule(lines[i + 1]) || !lines[i + 1].includes('|')) {
			out.push(lines[i]);
			continue;
		}
		const head = cells(lines[i]), rows = [];
		let next = i + 2;
		for (; next < lines.length && lines[next].includes('|') && lines[next].trim(); next++)
			rows.push(cells(lines[next]));
		out.push(mode === 'bullets' ? tableAsBullets(head, rows) : tableAsCode(head, rows));
		for (; i < next - 1; i++)
			at += lines[i].length + 1;
	}
	return out.join('\n');
}

module.exports = { channelSetting, chunkByNewline, chunkByParagraph, chunkMarkdownText, chunkMarkdownTextWithMode, chunkText,
	chunkTextWithMode, convertMarkdownTables, fences, resolveChunkMode, resolveMarkdownTableMode, resolveTextChunkLimit, whole };
