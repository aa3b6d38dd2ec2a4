#include "core/agent/memory_chunk.h"

#include "core/data/utf8.h"

#define BYTES_PER_TOKEN 4
#define PIECE_MIN 64 /* bytes; less is no piece */

/* The end of the line that begins at `at`: behind its newline, or at most max bytes away, between characters. */
static size_t line_end(oc_str text, size_t at, size_t max)
{
	size_t end = at;
	while (end < text.n && text.p[end] != '\n' && end - at < max)
		end++;
	if (end < text.n && text.p[end] == '\n')
		return end + 1;
	if (end < text.n) {
		size_t cut = oc_utf8_cut((oc_str){text.p + at, text.n - at}, end - at);
		return cut > 0 ? at + cut : end;
	}
	return end;
}

/* Where the next piece begins: at a line's beginning not more than `overlap` bytes before `end`, and behind `begin`. */
static size_t step_back(oc_str text, size_t begin, size_t end, size_t overlap)
{
	size_t from = end > overlap ? end - overlap : 0;
	if (from <= begin)
		from = begin + 1;
	while (from < end && text.p[from - 1] != '\n')
		from++;
	return from;
}

static size_t lines_in(oc_str text, size_t from, size_t to)
{
	size_t n = 0;
	for (size_t i = from; i < to; i++)
		n += text.p[i] == '\n';
	return n;
}

bool oc_memory_chunks(oc_str text, size_t tokens, size_t overlap, bool (*each)(void *arg, const oc_memory_chunk *chunk),
		      void *arg)
{
	size_t max = tokens * BYTES_PER_TOKEN > PIECE_MIN ? tokens * BYTES_PER_TOKEN : PIECE_MIN;
	size_t back = overlap * BYTES_PER_TOKEN < max / 2 ? overlap * BYTES_PER_TOKEN : max / 2;
	size_t begin = 0, line = 1;
	while (begin < text.n) {
		size_t end = begin;
		while (end < text.n) {
			size_t next = line_end(text, end, max);
			if (end > begin && next - begin > max)
				break;
			end = next;
		}
		oc_str piece = {text.p + begin, end - begin};
		size_t lines = lines_in(text, begin, end);
		if (oc_str_trim(piece).n > 0) {
			oc_memory_chunk chunk = {line, line + lines - (text.p[end - 1] == '\n' && lines > 0 ? 1 : 0), piece};
			if (!each(arg, &chunk))
				return false;
		}
		if (end >= text.n)
			break;
		size_t next = step_back(text, begin, end, back);
		/* Without room for the line that follows, a piece would only repeat what the one before had. */
		if (line_end(text, end, max) - next > max)
			next = end;
		line += lines_in(text, begin, next);
		begin = next;
	}
	return true;
}
