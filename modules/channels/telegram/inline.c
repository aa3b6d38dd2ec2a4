/*
 * Inline Markdown: emphasis, strike-through, spoilers, code, links, escapes.
 *
 * One pass cuts the text into tokens, a second pairs the delimiter runs by CommonMark's rules (with ~~ and || beside * and
 * _), a third writes text and spans.  Every search is bounded or remembered, so that hostile input costs linear time.
 */
#include "format.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define LINK_DEST_MAX 2048
#define CODE_RUN_MAX 32
#define BRACKET_DEPTH 32

enum { TOK_TEXT, TOK_CODE, TOK_CHAR, TOK_LINK, TOK_DELIM };

typedef struct token {
	const char *p; /* TEXT, CODE: content; LINK: label; DELIM: the run */
	size_t n;
	const char *dest; /* LINK */
	size_t dest_n;
	size_t out_from, out_to; /* where it went in the document */
	size_t prev, next;       /* DELIM: the list of runs still open to pairing */
	uint32_t cp;             /* CHAR */
	uint32_t left;           /* DELIM: characters not used yet */
	uint8_t type;
	char mark;
	bool can_open, can_close;
} token;

typedef struct match {
	size_t opener, closer;
	uint32_t kind;
} match;

typedef struct inl {
	const char *s;
	size_t n;
	tg_doc *doc;
	token *tokens;
	size_t n_tokens, cap_tokens;
	match *matches;
	size_t n_matches, cap_matches;
	size_t *bracket; /* for '[': the position of its ']', else 0 */
	size_t no_code_after[CODE_RUN_MAX + 1]; /* no closing run of this length from here on */
	unsigned link_failures;
	bool in_link;
	oc_status error;
} inl;

static oc_status inline_at(tg_doc *doc, const char *p, size_t n, bool in_link);

static bool is_space(uint32_t c)
{
	return c == 0 || c == ' ' || c == '\n' || c == '\t' || c == 0xa0 || c == 0x3000 || (c >= 0x2000 && c <= 0x200a);
}

static bool is_ascii_punct(uint32_t c)
{
	return (c >= '!' && c <= '/') || (c >= ':' && c <= '@') || (c >= '[' && c <= '`') || (c >= '{' && c <= '~');
}

static bool is_punct(uint32_t c)
{
	return is_ascii_punct(c) || (c >= 0xa1 && c <= 0xbf && c != 0xaa && c != 0xb5 && c != 0xba)
	       || (c >= 0x2010 && c <= 0x2027) || (c >= 0x2030 && c <= 0x205e) || (c >= 0x3001 && c <= 0x3011)
	       || (c >= 0xff01 && c <= 0xff0f) || (c >= 0xff1a && c <= 0xff20);
}

static bool is_alnum(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
}

static token *add_token(inl *in, uint8_t type, const char *p, size_t n)
{
	if (in->n_tokens == in->cap_tokens) {
		size_t cap = in->cap_tokens == 0 ? 32 : in->cap_tokens * 2;
		token *t = realloc(in->tokens, cap * sizeof *t);
		if (t == NULL) {
			in->error = OC_E_NOMEM;
			return NULL;
		}
		in->tokens = t;
		in->cap_tokens = cap;
	}
	token *t = &in->tokens[in->n_tokens++];
	memset(t, 0, sizeof *t);
	t->type = type;
	t->p = p;
	t->n = n;
	return t;
}

static uint32_t char_before(const inl *in, size_t i)
{
	uint32_t cp = 0;
	size_t at = i;
	while (at > 0 && i - at < 4) {
		at--;
		if (((unsigned char)in->s[at] & 0xc0) != 0x80)
			break;
	}
	if (at < i)
		tg_utf8_next(in->s + at, i - at, &cp);
	return cp;
}

static uint32_t char_at(const inl *in, size_t i)
{
	uint32_t cp = 0;
	if (i < in->n)
		tg_utf8_next(in->s + i, in->n - i, &cp);
	return cp;
}

/* A run of * _ ~ or |; returns how many bytes it took, 0 when it is plain text. */
static size_t take_delimiter(inl *in, size_t i)
{
	char mark = in->s[i];
	size_t run = 1;
	while (i + run < in->n && in->s[i + run] == mark)
		run++;
	if ((mark == '~' || mark == '|') && run != 2)
		return 0;
	uint32_t before = char_before(in, i), after = char_at(in, i + run);
	bool left = !is_space(after) && (!is_punct(after) || is_space(before) || is_punct(before));
	bool right = !is_space(before) && (!is_punct(before) || is_space(after) || is_punct(after));
	token *t = add_token(in, TOK_DELIM, in->s + i, run);
	if (t == NULL)
		return run;
	t->mark = mark;
	t->left = (uint32_t)run;
	if (mark == '_' || mark == '|') {
		/* Inside a word these are part of it: snake_case, a||b. */
		t->can_open = left && (!right || is_punct(before));
		t->can_close = right && (!left || is_punct(after));
	} else if (!(run == 1 && before >= '0' && before <= '9' && after >= '0' && after <= '9')) {
		t->can_open = left; /* but 2*3*4 is arithmetic */
		t->can_close = right;
	}
	return run;
}

/* The start of the next run of exactly `run` backticks from `from` on, or n. */
static size_t find_backticks(const inl *in, size_t from, size_t run)
{
	size_t i = from;
	while (i < in->n) {
		if (in->s[i] != '`') {
			i++;
			continue;
		}
		size_t len = 1;
		while (i + len < in->n && in->s[i + len] == '`')
			len++;
		if (len == run)
			return i;
		i += len;
	}
	return in->n;
}

static size_t run_of_backticks(const inl *in, size_t i)
{
	size_t run = 1;
	while (i + run < in->n && in->s[i + run] == '`')
		run++;
	return run;
}

/* The end of the code span that opens at i (behind its closing run), or 0. */
static size_t code_span_end(inl *in, size_t i, size_t run)
{
	if (run > CODE_RUN_MAX || i + run >= in->no_code_after[run])
		return 0;
	size_t close = find_backticks(in, i + run, run);
	if (close == in->n) {
		in->no_code_after[run] = i + run;
		return 0;
	}
	return close + run;
}

static size_t take_code(inl *in, size_t i)
{
	size_t run = run_of_backticks(in, i);
	size_t end = code_span_end(in, i, run);
	if (end == 0) {
		add_token(in, TOK_TEXT, in->s + i, run);
		return run;
	}
	const char *p = in->s + i + run;
	size_t n = end - run - (i + run);
	bool all_space = true;
	for (size_t k = 0; k < n; k++)
		all_space = all_space && (p[k] == ' ' || p[k] == '\n');
	if (n >= 2 && !all_space && (p[0] == ' ' || p[0] == '\n') && (p[n - 1] == ' ' || p[n - 1] == '\n')) {
		p++;
		n -= 2;
	}
	add_token(in, TOK_CODE, p, n);
	return end - i;
}

/* Finds the partner of every '[', with code spans and escapes left out. */
static void match_brackets(inl *in)
{
	size_t stack[BRACKET_DEPTH], depth = 0;
	bool any = memchr(in->s, '[', in->n) != NULL;
	if (!any || in->in_link)
		return;
	in->bracket = calloc(in->n, sizeof *in->bracket);
	if (in->bracket == NULL) {
		in->error = OC_E_NOMEM;
		return;
	}
	for (size_t i = 0; i < in->n;) {
		char c = in->s[i];
		if (c == '\\' && i + 1 < in->n) {
			i += 2;
			continue;
		}
		if (c == '`') {
			size_t run = run_of_backticks(in, i), end = code_span_end(in, i, run);
			i = end != 0 ? end : i + run;
			continue;
		}
		if (c == '[') {
			if (depth == BRACKET_DEPTH) { /* forget the outermost */
				memmove(stack, stack + 1, sizeof stack - sizeof stack[0]);
				depth--;
			}
			stack[depth++] = i;
		} else if (c == ']' && depth > 0) {
			in->bracket[stack[--depth]] = i;
		}
		i++;
	}
}

/* Skips an optional title and the closing parenthesis; 0 when they are not there. */
static size_t link_tail(const inl *in, size_t i)
{
	while (i < in->n && (in->s[i] == ' ' || in->s[i] == '\n'))
		i++;
	if (i < in->n && (in->s[i] == '"' || in->s[i] == '\'')) {
		char quote = in->s[i++];
		size_t from = i;
		while (i < in->n && in->s[i] != quote && i - from < LINK_DEST_MAX)
			i += in->s[i] == '\\' && i + 1 < in->n ? 2 : 1;
		if (i >= in->n || in->s[i] != quote)
			return 0;
		i++;
		while (i < in->n && (in->s[i] == ' ' || in->s[i] == '\n'))
			i++;
	}
	return i < in->n && in->s[i] == ')' ? i + 1 : 0;
}

/* Reads "(destination "title")" at i; returns the position behind it, or 0. */
static size_t link_destination(const inl *in, size_t i, const char **ret, size_t *ret_n)
{
	if (i >= in->n || in->s[i] != '(')
		return 0;
	i++;
	while (i < in->n && (in->s[i] == ' ' || in->s[i] == '\n'))
		i++;
	size_t from = i, to;
	if (i < in->n && in->s[i] == '<') {
		from = ++i;
		while (i < in->n && in->s[i] != '>' && in->s[i] != '\n' && i - from < LINK_DEST_MAX)
			i++;
		if (i >= in->n || in->s[i] != '>')
			return 0;
		to = i++;
	} else {
		unsigned depth = 0;
		while (i < in->n && i - from < LINK_DEST_MAX && (unsigned char)in->s[i] > ' ') {
			if (in->s[i] == '\\' && i + 1 < in->n && is_ascii_punct((unsigned char)in->s[i + 1])) {
				i += 2;
				continue;
			}
			if (in->s[i] == '(')
				depth++;
			else if (in->s[i] == ')' && depth-- == 0)
				break;
			i++;
		}
		to = i;
	}
	*ret = in->s + from;
	*ret_n = to - from;
	return link_tail(in, i);
}

/* [label](destination) or ![alt](destination) with the '[' at i + image; 0 when it is none. */
static size_t take_link(inl *in, size_t i, bool image)
{
	size_t open = i + (image ? 1 : 0);
	if (in->bracket == NULL || in->bracket[open] == 0 || in->link_failures > 64)
		return 0;
	size_t close = in->bracket[open];
	const char *dest = NULL;
	size_t dest_n = 0;
	size_t end = link_destination(in, close + 1, &dest, &dest_n);
	if (end == 0 || dest_n == 0) {
		if (close + 1 < in->n && in->s[close + 1] == '(')
			in->link_failures++;
		return 0;
	}
	token *t = add_token(in, TOK_LINK, in->s + open + 1, close - open - 1);
	if (t != NULL) {
		t->dest = dest;
		t->dest_n = dest_n;
	}
	return end - i;
}

static bool starts(const inl *in, size_t i, const char *prefix)
{
	size_t n = strlen(prefix);
	return in->n - i >= n && strncmp(in->s + i, prefix, n) == 0;
}

/* A bare address stays as it is, so that the underscores in it are no emphasis. Telegram links it by itself. */
static size_t take_bare_url(inl *in, size_t i)
{
	if (!starts(in, i, "https://") && !starts(in, i, "http://"))
		return 0;
	if (i > 0 && is_alnum(in->s[i - 1]))
		return 0;
	size_t end = i;
	while (end < in->n && (unsigned char)in->s[end] > ' ' && in->s[end] != '<' && in->s[end] != '>'
	       && in->s[end] != '"' && in->s[end] != '`' && in->s[end] != '\\')
		end++;
	/* Marks and punctuation at its end belong to the text around; a parenthesis only when it was not opened inside. */
	size_t opened = 0, closed = 0;
	for (size_t k = i; k < end; k++) {
		opened += in->s[k] == '(';
		closed += in->s[k] == ')';
	}
	while (end > i + 8 && strchr("*_~|.,;:!?')]", in->s[end - 1]) != NULL) {
		if (in->s[end - 1] == ')' && closed-- <= opened)
			break;
		end--;
	}
	add_token(in, TOK_TEXT, in->s + i, end - i);
	return end - i;
}

/* <https://…> and <mail@example.org> lose their brackets; anything else is text. */
static size_t take_autolink(inl *in, size_t i)
{
	size_t end = i + 1;
	while (end < in->n && end - i < LINK_DEST_MAX && (unsigned char)in->s[end] > ' ' && in->s[end] != '>'
	       && in->s[end] != '<')
		end++;
	if (end >= in->n || in->s[end] != '>')
		return 0;
	const char *p = in->s + i + 1;
	size_t n = end - i - 1;
	bool url = starts(in, i + 1, "https://") || starts(in, i + 1, "http://") || starts(in, i + 1, "tg://");
	bool mail = !url && n > 3 && memchr(p, '@', n) != NULL && memchr(p, '/', n) == NULL && is_alnum(p[0]);
	if (!url && !mail)
		return 0;
	add_token(in, TOK_TEXT, p, n);
	return end + 1 - i;
}

static size_t take_entity(inl *in, size_t i)
{
	static const struct {
		const char *text;
		uint32_t cp;
	} named[] = {{"&amp;", '&'},      {"&lt;", '<'},        {"&gt;", '>'},         {"&quot;", '"'},
		     {"&apos;", '\''},    {"&nbsp;", 0xa0},     {"&ndash;", 0x2013},   {"&mdash;", 0x2014},
		     {"&hellip;", 0x2026}, {"&copy;", 0xa9},    {"&rarr;", 0x2192},    {"&larr;", 0x2190}};
	for (size_t k = 0; k < sizeof named / sizeof named[0]; k++) {
		if (starts(in, i, named[k].text)) {
			token *t = add_token(in, TOK_CHAR, NULL, 0);
			if (t != NULL)
				t->cp = named[k].cp;
			return strlen(named[k].text);
		}
	}
	if (!starts(in, i, "&#"))
		return 0;
	size_t at = i + 2;
	bool hex = at < in->n && (in->s[at] == 'x' || in->s[at] == 'X');
	at += hex ? 1 : 0;
	uint32_t cp = 0;
	size_t digits = 0;
	for (; at < in->n && digits < 7; at++, digits++) {
		char c = in->s[at];
		uint32_t d;
		if (c >= '0' && c <= '9')
			d = (uint32_t)(c - '0');
		else if (hex && c >= 'a' && c <= 'f')
			d = (uint32_t)(c - 'a') + 10;
		else if (hex && c >= 'A' && c <= 'F')
			d = (uint32_t)(c - 'A') + 10;
		else
			break;
		cp = cp * (hex ? 16 : 10) + d;
	}
	if (digits == 0 || at >= in->n || in->s[at] != ';' || cp < ' ')
		return 0;
	token *t = add_token(in, TOK_CHAR, NULL, 0);
	if (t != NULL)
		t->cp = cp;
	return at + 1 - i;
}

/* The token that a special character at i begins, as its length; 0: plain text. */
static size_t take_special(inl *in, size_t i)
{
	switch (in->s[i]) {
	case '\\':
		if (i + 1 < in->n && is_ascii_punct((unsigned char)in->s[i + 1])) {
			add_token(in, TOK_TEXT, in->s + i + 1, 1);
			return 2;
		}
		return 0;
	case '`':
		return take_code(in, i);
	case '*':
	case '_':
	case '~':
	case '|':
		return take_delimiter(in, i);
	case '!':
		return i + 1 < in->n && in->s[i + 1] == '[' ? take_link(in, i, true) : 0;
	case '[':
		return take_link(in, i, false);
	case '<':
		return take_autolink(in, i);
	case '&':
		return take_entity(in, i);
	case 'h':
		return take_bare_url(in, i);
	default:
		return 0;
	}
}

static void tokenize(inl *in)
{
	size_t text_from = 0, i = 0;
	while (i < in->n && in->error == OC_OK) {
		size_t before = in->n_tokens, took;
		if (strchr("\\`*_~|![<&h", in->s[i]) == NULL || in->s[i] == 0 || (took = take_special(in, i)) == 0) {
			/* A lone or longer run of ~ or | is text as a whole. */
			char c = in->s[i++];
			if (c == '~' || c == '|')
				while (i < in->n && in->s[i] == c)
					i++;
			continue;
		}
		if (i > text_from && in->n_tokens > before) {
			/* The text before goes in front of what was just added. */
			token last = in->tokens[in->n_tokens - 1];
			in->n_tokens--;
			add_token(in, TOK_TEXT, in->s + text_from, i - text_from);
			token *t = add_token(in, last.type, last.p, last.n);
			if (t != NULL)
				*t = last;
		}
		i += took;
		text_from = i;
	}
	if (i > text_from)
		add_token(in, TOK_TEXT, in->s + text_from, i - text_from);
}

static void add_match(inl *in, size_t opener, size_t closer, char mark, uint32_t use)
{
	if (in->n_matches == in->cap_matches) {
		size_t cap = in->cap_matches == 0 ? 16 : in->cap_matches * 2;
		match *m = realloc(in->matches, cap * sizeof *m);
		if (m == NULL) {
			in->error = OC_E_NOMEM;
			return;
		}
		in->matches = m;
		in->cap_matches = cap;
	}
	uint32_t kind = mark == '~' ? TG_STRIKE : mark == '|' ? TG_SPOILER : use == 2 ? TG_BOLD : TG_ITALIC;
	in->matches[in->n_matches++] = (match){opener, closer, kind};
}

static unsigned mark_index(char mark)
{
	return mark == '*' ? 0 : mark == '_' ? 1 : mark == '~' ? 2 : 3;
}

static bool can_pair(const token *opener, const token *closer)
{
	if (opener->mark != closer->mark || !opener->can_open || opener->left == 0)
		return false;
	if (opener->mark == '~' || opener->mark == '|')
		return true;
	if ((opener->can_close || closer->can_open) && (opener->n + closer->n) % 3 == 0
	    && !(opener->n % 3 == 0 && closer->n % 3 == 0))
		return false;
	return true;
}

#define NONE ((size_t)-1)

/* CommonMark's "process emphasis". */
static void pair_delimiters(inl *in)
{
	size_t bottom[4][2][3], last = NONE, first = NONE;
	for (size_t i = 0; i < in->n_tokens; i++) {
		token *t = &in->tokens[i];
		if (t->type != TOK_DELIM)
			continue;
		t->prev = last;
		t->next = NONE;
		if (last != NONE)
			in->tokens[last].next = i;
		else
			first = i;
		last = i;
	}
	for (size_t i = 0; i < sizeof bottom / sizeof(size_t); i++)
		((size_t *)bottom)[i] = NONE;
	size_t c = first;
	while (c != NONE && in->error == OC_OK) {
		token *closer = &in->tokens[c];
		if (!closer->can_close || closer->left == 0) {
			c = closer->next;
			continue;
		}
		size_t *floor = &bottom[mark_index(closer->mark)][closer->can_open ? 1 : 0][closer->n % 3];
		size_t o = closer->prev;
		while (o != NONE && (*floor == NONE || o > *floor) && !can_pair(&in->tokens[o], closer))
			o = in->tokens[o].prev;
		if (o == NONE || (*floor != NONE && o <= *floor)) {
			*floor = closer->prev;
			size_t next = closer->next;
			if (!closer->can_open) { /* it can pair with nothing any more */
				if (closer->prev != NONE)
					in->tokens[closer->prev].next = next;
				if (next != NONE)
					in->tokens[next].prev = closer->prev;
			}
			c = next;
			continue;
		}
		token *opener = &in->tokens[o];
		uint32_t use = opener->left >= 2 && closer->left >= 2 ? 2 : 1;
		add_match(in, o, c, closer->mark, use);
		opener->left -= use;
		closer->left -= use;
		/* Whatever lies between cannot reach over this pair. */
		opener->next = c;
		closer->prev = opener->left > 0 ? o : opener->prev;
		if (opener->left == 0 && opener->prev != NONE)
			in->tokens[opener->prev].next = c;
		if (closer->left == 0) {
			size_t next = closer->next;
			if (closer->prev != NONE)
				in->tokens[closer->prev].next = next;
			if (next != NONE)
				in->tokens[next].prev = closer->prev;
			c = next;
		}
	}
}

static bool has_scheme(const char *p, size_t n)
{
	static const char *const good[] = {"http://", "https://", "tg://", "mailto:", "tel:", "ton://"};
	for (size_t i = 0; i < sizeof good / sizeof good[0]; i++) {
		size_t len = strlen(good[i]);
		if (n > len && strncasecmp(p, good[i], len) == 0)
			return true;
	}
	return false;
}

/* Telegram links only to addresses; where it would drop the target of a link (a file, "#part"), it is shown instead. */
static void emit_link(inl *in, const token *t)
{
	tg_doc *doc = in->doc;
	tg_sb dest;
	tg_sb_init(&dest, LINK_DEST_MAX + 16);
	for (size_t i = 0; i < t->dest_n; i++) {
		if (t->dest[i] == '\\' && i + 1 < t->dest_n && is_ascii_punct((unsigned char)t->dest[i + 1]))
			i++;
		tg_sb_char(&dest, t->dest[i]);
	}
	size_t from = doc->text.n;
	oc_status status = inline_at(doc, t->p, t->n, true);
	if (status == OC_OK && dest.failed)
		status = OC_E_NOMEM;
	if (status == OC_OK && doc->text.n == from)
		tg_sb_add(&doc->text, dest.p, dest.n);
	else if (status == OC_OK && has_scheme(dest.p, dest.n))
		status = tg_doc_span(doc, TG_LINK, from, doc->text.n, dest.p, dest.n);
	else if (status == OC_OK && dest.p != NULL && dest.p[0] != '#'
		 && !(dest.n == doc->text.n - from && strncmp(doc->text.p + from, dest.p, dest.n) == 0)) {
		tg_sb_z(&doc->text, " (");
		tg_sb_add(&doc->text, dest.p, dest.n);
		tg_sb_char(&doc->text, ')');
	}
	tg_sb_free(&dest);
	if (status != OC_OK)
		in->error = status;
}

static void emit(inl *in)
{
	tg_sb *text = &in->doc->text;
	for (size_t i = 0; i < in->n_tokens && in->error == OC_OK; i++) {
		token *t = &in->tokens[i];
		t->out_from = text->n;
		switch (t->type) {
		case TOK_TEXT:
			tg_sb_add(text, t->p, t->n);
			break;
		case TOK_CHAR:
			tg_sb_code_point(text, t->cp);
			break;
		case TOK_LINK:
			emit_link(in, t);
			break;
		case TOK_DELIM:
			tg_sb_repeat(text, t->mark, t->left);
			break;
		default:
			for (size_t k = 0; k < t->n; k++)
				tg_sb_char(text, t->p[k] == '\n' ? ' ' : t->p[k]);
			if (tg_doc_span(in->doc, TG_CODE, t->out_from, text->n, NULL, 0) != OC_OK)
				in->error = OC_E_NOMEM;
			break;
		}
		t->out_to = text->n;
	}
	for (size_t i = 0; i < in->n_matches && in->error == OC_OK; i++) {
		const match *m = &in->matches[i];
		in->error = tg_doc_span(in->doc, m->kind, in->tokens[m->opener].out_to, in->tokens[m->closer].out_from,
					NULL, 0);
	}
	if (in->error == OC_OK && text->failed)
		in->error = OC_E_LIMIT;
}

static oc_status inline_at(tg_doc *doc, const char *p, size_t n, bool in_link)
{
	inl in = {.s = p, .n = n, .doc = doc, .in_link = in_link};
	if (n == 0)
		return OC_OK;
	for (size_t i = 0; i <= CODE_RUN_MAX; i++)
		in.no_code_after[i] = n;
	match_brackets(&in);
	if (in.error == OC_OK)
		tokenize(&in);
	if (in.error == OC_OK)
		pair_delimiters(&in);
	if (in.error == OC_OK)
		emit(&in);
	free(in.tokens);
	free(in.matches);
	free(in.bracket);
	return in.error;
}

oc_status tg_inline(tg_doc *doc, const char *p, size_t n)
{
	return inline_at(doc, p, n, false);
}
