/*
 * Read into a tree, written out as a program for a machine that follows all alternatives at once (Thompson 1968): its
 * state is a set of program places, so a text of n characters costs at most n times the program's length.
 */
#include "core/data/regex.h"

#include <string.h>

#include "core/base/mem.h"
#include "core/data/utf8.h"

#define MAX_PROGRAM 20000u
#define MAX_REPEAT 1000u
#define MAX_NESTING 100u
#define MAX_STEPS 10000000ull /* some 50 ms */
#define MAX_CODE 0x10FFFFu
#define BAD_BYTE 0x110000u /* what an invalid byte counts as */

struct range {
	uint32_t low, high;
};

struct set {
	struct range *ranges;
	size_t n, cap;
	bool negated;
};

enum node_kind { N_SET = 1, N_CAT, N_ALT, N_REPEAT, N_ASSERT };
enum assertion { A_START = 1, A_END, A_WORD, A_NOT_WORD };

struct node {
	enum node_kind kind;
	unsigned value; /* N_SET: number of the set; N_ASSERT: which; N_REPEAT: least */
	unsigned most;	/* N_REPEAT: UINT_MAX: no limit */
	struct node *first, *next; /* children are a list, so that only groups nest */
};

enum op { OP_SET = 1, OP_SPLIT, OP_JUMP, OP_ASSERT, OP_MATCH };

struct instruction {
	enum op op;
	unsigned x, y; /* set, or targets, or assertion */
};

struct oc_regex {
	struct set *sets;
	size_t n_sets, cap_sets;
	struct instruction *program;
	unsigned n, cap;
};

struct parser {
	oc_str s;
	size_t at;
	unsigned depth, flags;
	oc_arena *arena;
	oc_regex *regex;
	oc_err *err;
	oc_status status;
};

/* ---- Sets of characters ---- */

static bool set_add(struct set *set, uint32_t low, uint32_t high)
{
	if (set->n == set->cap) {
		size_t cap = set->cap == 0 ? 4 : set->cap * 2;
		struct range *ranges = oc_realloc(set->ranges, cap * sizeof *ranges);
		if (ranges == NULL)
			return false;
		set->ranges = ranges;
		set->cap = cap;
	}
	set->ranges[set->n++] = (struct range){low, high};
	return true;
}

static bool set_has(const struct set *set, uint32_t code)
{
	bool found = false;
	for (size_t i = 0; i < set->n && !found; i++)
		found = code >= set->ranges[i].low && code <= set->ranges[i].high;
	return found != set->negated;
}

/* \d \w \s and their opposites, into a set. */
static bool set_add_class(struct set *set, char name)
{
	static const struct range digits[] = {{'0', '9'}}, words[] = {{'0', '9'}, {'A', 'Z'}, {'_', '_'}, {'a', 'z'}};
	static const struct range spaces[] = {{'\t', '\r'},	{' ', ' '},	  {0xA0, 0xA0},	    {0x1680, 0x1680}, {0x2000, 0x200A},
					      {0x2028, 0x2029}, {0x202F, 0x202F}, {0x205F, 0x205F}, {0x3000, 0x3000}, {0xFEFF, 0xFEFF}};
	char lower = (char)(name | 0x20);
	const struct range *ranges = lower == 'd' ? digits : lower == 'w' ? words : spaces;
	size_t n = lower == 'd' ? 1 : lower == 'w' ? 4 : sizeof spaces / sizeof *spaces;
	bool done = true;
	if (name == lower) {
		for (size_t i = 0; i < n; i++)
			done = done && set_add(set, ranges[i].low, ranges[i].high);
		return done;
	}
	uint32_t from = 0;
	for (size_t i = 0; i < n; i++) {
		done = done && set_add(set, from, ranges[i].low - 1);
		from = ranges[i].high + 1;
	}
	return done && set_add(set, from, BAD_BYTE);
}

/* ---- Parsing ---- */

static void *stop(struct parser *p, oc_status status, const char *what)
{
	if (p->status == OC_OK)
		p->status = oc_fail(p->err, status, NULL, "the pattern %s at character %zu", what,
				    oc_utf8_count((oc_str){p->s.p, p->at}) + 1);
	return NULL;
}

static void *no_memory(struct parser *p)
{
	return stop(p, OC_E_NOMEM, "has no memory left");
}

static struct node *new_node(struct parser *p, enum node_kind kind, unsigned value, struct node *first)
{
	struct node *node = oc_arena_alloc(p->arena, sizeof *node);
	if (node == NULL)
		return stop(p, OC_E_LIMIT, "is too large");
	*node = (struct node){.kind = kind, .value = value, .first = first};
	return node;
}

static struct set *new_set(struct parser *p, unsigned *ret_number)
{
	oc_regex *r = p->regex;
	if (r->n_sets == r->cap_sets) {
		size_t cap = r->cap_sets == 0 ? 16 : r->cap_sets * 2;
		struct set *sets = oc_realloc(r->sets, cap * sizeof *sets);
		if (sets == NULL)
			return no_memory(p);
		r->sets = sets;
		r->cap_sets = cap;
	}
	*ret_number = (unsigned)r->n_sets;
	r->sets[r->n_sets] = (struct set){0};
	return &r->sets[r->n_sets++];
}

static bool more(const struct parser *p)
{
	return p->at < p->s.n;
}

static bool take(struct parser *p, const char *text)
{
	size_t n = strlen(text);
	if (p->s.n - p->at < n || memcmp(p->s.p + p->at, text, n) != 0)
		return false;
	p->at += n;
	return true;
}

/* The next character of the pattern, which is valid UTF-8 and not at its end. */
static uint32_t next_code(struct parser *p)
{
	uint32_t code = 0;
	p->at += oc_utf8_decode((oc_str){p->s.p + p->at, p->s.n - p->at}, &code);
	return code;
}

static bool take_hex(struct parser *p, size_t least, size_t most, uint32_t *ret)
{
	uint32_t value = 0;
	size_t n = 0;
	for (; n < most && more(p); n++, p->at++) {
		char c = p->s.p[p->at];
		int d = c >= '0' && c <= '9' ? c - '0' : (c | 0x20) >= 'a' && (c | 0x20) <= 'f' ? (c | 0x20) - 'a' + 10 : -1;
		if (d < 0)
			break;
		value = value * 16 + (uint32_t)d;
	}
	*ret = value;
	return n >= least;
}

/* \u0041, \u{1F600}, \ud83d\ude00; behind the u. */
static bool take_unicode(struct parser *p, uint32_t *ret)
{
	if (take(p, "{"))
		return take_hex(p, 1, 6, ret) && take(p, "}") && *ret <= MAX_CODE;
	uint32_t low;
	if (!take_hex(p, 4, 4, ret))
		return false;
	size_t before = p->at;
	if (*ret >= 0xD800 && *ret <= 0xDBFF && take(p, "\\u") && take_hex(p, 4, 4, &low) && low >= 0xDC00 && low <= 0xDFFF)
		*ret = 0x10000 + ((*ret - 0xD800) << 10) + (low - 0xDC00);
	else
		p->at = before;
	return true;
}

/* An escape that stands for one character; behind the backslash. */
static bool take_escape(struct parser *p, uint32_t *ret)
{
	static const char names[] = "tnrvf0", values[] = "\t\n\r\v\f";
	if (!more(p)) {
		stop(p, OC_E_INVALID, "ends in a backslash");
		return false;
	}
	uint32_t c = next_code(p);
	const char *name = c > 0 && c < 0x80 ? strchr(names, (int)c) : NULL;
	bool good = true;
	*ret = c;
	if (name != NULL)
		*ret = (unsigned char)values[name - names];
	else if (c == 'x')
		good = take_hex(p, 2, 2, ret);
	else if (c == 'u')
		good = take_unicode(p, ret);
	else if (c == 'c' && more(p))
		*ret = next_code(p) & 0x1F;
	else if ((c >= '1' && c <= '9') || c == 'k') {
		stop(p, OC_E_UNSUPPORTED, "has a back-reference, which is not supported,");
		return false;
	} else if (c == 'p' || c == 'P') {
		stop(p, OC_E_UNSUPPORTED, "has \\p{}, which is not supported,");
		return false;
	}
	if (!good)
		stop(p, OC_E_INVALID, "has a malformed escape");
	return good;
}

static bool is_class_name(char c)
{
	return c != 0 && strchr("dDwWsS", c) != NULL;
}

static bool ascii_letter(uint32_t c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

/* A range with, when case does not matter, the other case of the ASCII letters in it. */
static bool add_range(struct parser *p, struct set *set, uint32_t low, uint32_t high)
{
	bool done = set_add(set, low, high);
	if ((p->flags & OC_REGEX_IGNORE_CASE) == 0)
		return done;
	for (uint32_t c = low; done && c <= high && c <= 'z'; c++)
		if (ascii_letter(c))
			done = set_add(set, c ^ 0x20, c ^ 0x20);
	return done;
}

/* One member of [...]: a character, or a class, which is added at once (*ret_class). */
static bool take_member(struct parser *p, struct set *set, uint32_t *ret, bool *ret_class)
{
	*ret_class = false;
	if (!take(p, "\\")) {
		*ret = next_code(p);
		return true;
	}
	if (more(p) && is_class_name(p->s.p[p->at])) {
		*ret_class = true;
		if (!set_add_class(set, p->s.p[p->at++]))
			no_memory(p);
		return p->status == OC_OK;
	}
	if (take(p, "b")) {
		*ret = '\b';
		return true;
	}
	return take_escape(p, ret);
}

static struct node *parse_brackets(struct parser *p)
{
	unsigned number = 0;
	struct set *set = new_set(p, &number);
	if (set == NULL)
		return NULL;
	set->negated = take(p, "^");
	for (;;) {
		if (!more(p))
			return stop(p, OC_E_INVALID, "has a [ without ]");
		if (take(p, "]"))
			return new_node(p, N_SET, number, NULL);
		uint32_t low = 0, high = 0;
		bool class_low, class_high = false;
		if (!take_member(p, set, &low, &class_low))
			return NULL;
		high = low;
		bool dash = p->s.n - p->at >= 2 && p->s.p[p->at] == '-' && p->s.p[p->at + 1] != ']';
		if (dash && !class_low) {
			p->at++;
			if (!take_member(p, set, &high, &class_high))
				return NULL;
			if (class_high) { /* [a-\d]: three things, no range */
				high = low;
				if (!set_add(set, '-', '-'))
					return no_memory(p);
			} else if (high < low) {
				return stop(p, OC_E_INVALID, "has a range in the wrong order");
			}
		}
		if (!class_low && !add_range(p, set, low, high))
			return no_memory(p);
	}
}

static struct node *parse_alternatives(struct parser *p);
static bool take_quantifier(struct parser *p, unsigned *least, unsigned *most);

/* Behind the opening parenthesis. */
static struct node *parse_group(struct parser *p)
{
	if (take(p, "?=") || take(p, "?!") || take(p, "?<=") || take(p, "?<!"))
		return stop(p, OC_E_UNSUPPORTED, "looks ahead or behind, which is not supported,");
	if (take(p, "?<")) { /* a name, which nothing can refer to */
		while (more(p) && p->s.p[p->at] != '>' && p->s.p[p->at] != ')')
			p->at++;
		if (!take(p, ">"))
			return stop(p, OC_E_INVALID, "has a malformed group name");
	} else if (!take(p, "?:") && more(p) && p->s.p[p->at] == '?') {
		return stop(p, OC_E_INVALID, "has an unknown kind of group");
	}
	if (++p->depth > MAX_NESTING)
		return stop(p, OC_E_LIMIT, "has too many groups in groups");
	struct node *inside = parse_alternatives(p);
	p->depth--;
	if (inside != NULL && !take(p, ")"))
		return stop(p, OC_E_INVALID, "has a ( without )");
	return inside;
}

static struct node *set_of(struct parser *p, uint32_t low, uint32_t high)
{
	unsigned number = 0;
	struct set *set = new_set(p, &number);
	if (set == NULL)
		return NULL;
	return add_range(p, set, low, high) ? new_node(p, N_SET, number, NULL) : no_memory(p);
}

static struct node *parse_dot(struct parser *p)
{
	struct node *node = set_of(p, '\n', '\n');
	if (node == NULL)
		return NULL;
	struct set *set = &p->regex->sets[node->value];
	set->negated = true;
	return set_add(set, '\r', '\r') && set_add(set, 0x2028, 0x2029) ? node : no_memory(p);
}

static struct node *parse_atom(struct parser *p)
{
	if (take(p, "("))
		return parse_group(p);
	if (take(p, "["))
		return parse_brackets(p);
	if (take(p, "."))
		return parse_dot(p);
	if (take(p, "^"))
		return new_node(p, N_ASSERT, A_START, NULL);
	if (take(p, "$"))
		return new_node(p, N_ASSERT, A_END, NULL);
	if (take(p, "\\b"))
		return new_node(p, N_ASSERT, A_WORD, NULL);
	if (take(p, "\\B"))
		return new_node(p, N_ASSERT, A_NOT_WORD, NULL);
	unsigned least, most;
	if (take_quantifier(p, &least, &most))
		return stop(p, OC_E_INVALID, "has nothing to repeat");
	uint32_t code;
	if (!take(p, "\\")) {
		code = next_code(p);
		return set_of(p, code, code);
	}
	if (more(p) && is_class_name(p->s.p[p->at])) {
		unsigned number = 0;
		struct set *set = new_set(p, &number);
		if (set == NULL)
			return NULL;
		return set_add_class(set, p->s.p[p->at++]) ? new_node(p, N_SET, number, NULL) : no_memory(p);
	}
	return take_escape(p, &code) ? set_of(p, code, code) : NULL;
}

static bool take_number(struct parser *p, unsigned *ret)
{
	unsigned value = 0;
	size_t start = p->at;
	for (; more(p) && p->s.p[p->at] >= '0' && p->s.p[p->at] <= '9'; p->at++)
		if (value <= MAX_REPEAT)
			value = value * 10 + (unsigned)(p->s.p[p->at] - '0');
	*ret = value;
	return p->at > start;
}

/* *, +, ?, {2}, {2,}, {2,3}; a brace that is none of these stands for itself. */
static bool take_quantifier(struct parser *p, unsigned *least, unsigned *most)
{
	*least = 0;
	*most = ~0u;
	size_t start = p->at;
	if (take(p, "*"))
		return true;
	if (take(p, "+"))
		return *least = 1, true;
	if (take(p, "?"))
		return *most = 1, true;
	if (!take(p, "{") || !take_number(p, least)) {
		p->at = start;
		return false;
	}
	if (!take(p, ","))
		*most = *least;
	else if (more(p) && p->s.p[p->at] != '}' && !take_number(p, most))
		*most = 0;
	if (take(p, "}"))
		return true;
	p->at = start;
	return false;
}

static struct node *parse_piece(struct parser *p)
{
	struct node *atom = parse_atom(p);
	unsigned least, most;
	if (atom == NULL || !more(p) || !take_quantifier(p, &least, &most))
		return atom;
	if (atom->kind == N_ASSERT)
		return stop(p, OC_E_INVALID, "has nothing to repeat");
	if (least > MAX_REPEAT || (most > MAX_REPEAT && most != ~0u))
		return stop(p, OC_E_LIMIT, "repeats too often");
	if (most < least)
		return stop(p, OC_E_INVALID, "has a range in the wrong order");
	take(p, "?"); /* lazy: the same language */
	struct node *node = new_node(p, N_REPEAT, least, atom);
	if (node != NULL)
		node->most = most;
	return node;
}

static struct node *parse_sequence(struct parser *p)
{
	struct node *sequence = new_node(p, N_CAT, 0, NULL), *piece;
	for (struct node **last = sequence == NULL ? NULL : &sequence->first;
	     last != NULL && more(p) && p->s.p[p->at] != '|' && p->s.p[p->at] != ')'; last = &piece->next) {
		piece = parse_piece(p);
		if (piece == NULL)
			return NULL;
		*last = piece;
	}
	return sequence;
}

static struct node *parse_alternatives(struct parser *p)
{
	struct node *first = parse_sequence(p), *last = first;
	while (last != NULL && take(p, "|"))
		last = last->next = parse_sequence(p);
	if (last == NULL || last == first)
		return last;
	return new_node(p, N_ALT, 0, first);
}

/* ---- Writing the program ---- */

static unsigned emit(struct parser *p, enum op op, unsigned x, unsigned y)
{
	oc_regex *r = p->regex;
	if (p->status != OC_OK)
		return 0;
	if (r->n >= MAX_PROGRAM) {
		stop(p, OC_E_LIMIT, "is too large");
		return 0;
	}
	if (r->n == r->cap) {
		unsigned cap = r->cap == 0 ? 32 : r->cap * 2;
		struct instruction *program = oc_realloc(r->program, cap * sizeof *program);
		if (program == NULL) {
			no_memory(p);
			return 0;
		}
		r->program = program;
		r->cap = cap;
	}
	r->program[r->n] = (struct instruction){op, x, y};
	return r->n++;
}

static void write_node(struct parser *p, const struct node *node);

static void write_repeat(struct parser *p, const struct node *node)
{
	oc_regex *r = p->regex;
	for (unsigned i = 0; i < node->value && p->status == OC_OK; i++)
		write_node(p, node->first);
	if (node->most == ~0u) {
		unsigned split = emit(p, OP_SPLIT, 0, 0);
		write_node(p, node->first);
		emit(p, OP_JUMP, split, 0);
		if (p->status == OC_OK) {
			r->program[split].x = split + 1;
			r->program[split].y = r->n;
		}
		return;
	}
	for (unsigned i = node->value; i < node->most && p->status == OC_OK; i++) {
		unsigned split = emit(p, OP_SPLIT, 0, 0);
		write_node(p, node->first);
		if (p->status == OC_OK) {
			r->program[split].x = split + 1;
			r->program[split].y = r->n;
		}
	}
}

static void write_alternatives(struct parser *p, const struct node *node)
{
	oc_regex *r = p->regex;
	unsigned jumps = ~0u; /* the last jump to the end; each has the one before in x until the end is known */
	for (const struct node *branch = node->first; branch != NULL && p->status == OC_OK; branch = branch->next) {
		unsigned split = branch->next == NULL ? 0 : emit(p, OP_SPLIT, 0, 0);
		write_node(p, branch);
		if (branch->next == NULL)
			break;
		unsigned jump = emit(p, OP_JUMP, jumps, 0);
		if (p->status == OC_OK) {
			r->program[split].x = split + 1;
			r->program[split].y = r->n;
			jumps = jump;
		}
	}
	while (p->status == OC_OK && jumps != ~0u) {
		unsigned before = r->program[jumps].x;
		r->program[jumps].x = r->n;
		jumps = before;
	}
}

static void write_node(struct parser *p, const struct node *node)
{
	switch (node->kind) {
	case N_SET:
		emit(p, OP_SET, node->value, 0);
		break;
	case N_ASSERT:
		emit(p, OP_ASSERT, node->value, 0);
		break;
	case N_CAT:
		for (const struct node *piece = node->first; piece != NULL && p->status == OC_OK; piece = piece->next)
			write_node(p, piece);
		break;
	case N_ALT:
		write_alternatives(p, node);
		break;
	case N_REPEAT:
		write_repeat(p, node);
		break;
	}
}

oc_status oc_regex_new(oc_str pattern, unsigned flags, oc_regex **ret, oc_err *err)
{
	if (pattern.n > 4096)
		return oc_fail(err, OC_E_LIMIT, NULL, "the pattern has %zu bytes, more than 4096", pattern.n);
	if (!oc_utf8_valid(pattern))
		return oc_fail(err, OC_E_INVALID, NULL, "the pattern is not valid UTF-8");
	struct parser p = {.s = pattern, .flags = flags, .err = err, .arena = oc_arena_new(1 << 20)};
	p.regex = oc_alloc(sizeof *p.regex);
	if (p.arena == NULL || p.regex == NULL) {
		no_memory(&p);
	} else {
		const struct node *root = parse_alternatives(&p);
		if (root != NULL && more(&p))
			stop(&p, OC_E_INVALID, "has a ) without (");
		else if (root != NULL)
			write_node(&p, root);
		emit(&p, OP_MATCH, 0, 0);
	}
	oc_arena_free(p.arena);
	if (p.status != OC_OK) {
		oc_regex_free(p.regex);
		return p.status;
	}
	*ret = p.regex;
	return OC_OK;
}

void oc_regex_free(oc_regex *regex)
{
	if (regex == NULL)
		return;
	for (size_t i = 0; i < regex->n_sets; i++)
		oc_free(regex->sets[i].ranges);
	oc_free(regex->sets);
	oc_free(regex->program);
	oc_free(regex);
}

/* ---- Running ---- */

/* A set of program places with constant time for everything; `where` need not be initialised. */
struct places {
	unsigned *at, *where, n;
};

static bool places_add(struct places *set, unsigned place)
{
	unsigned i = set->where[place];
	if (i < set->n && set->at[i] == place)
		return false;
	set->where[place] = set->n;
	set->at[set->n++] = place;
	return true;
}

static bool is_word(uint32_t code)
{
	return (code >= '0' && code <= '9') || ascii_letter(code) || code == '_';
}

/* before, after: the characters around the place in the text; UINT32_MAX: its begin or end. */
static bool holds(unsigned assertion, uint32_t before, uint32_t after)
{
	if (assertion == A_START)
		return before == UINT32_MAX;
	if (assertion == A_END)
		return after == UINT32_MAX;
	return (is_word(before) != is_word(after)) == (assertion == A_WORD);
}

/* Adds a place and all that is reached from it without reading a character. stack has room for the whole program. */
static bool follow(const oc_regex *r, struct places *set, unsigned *stack, unsigned place, uint32_t before, uint32_t after)
{
	unsigned n = 0;
	bool matched = false;
	if (places_add(set, place))
		stack[n++] = place;
	while (n > 0) {
		const struct instruction *i = &r->program[stack[--n]];
		unsigned here = (unsigned)(i - r->program);
		if (i->op == OP_MATCH)
			matched = true;
		if ((i->op == OP_JUMP || i->op == OP_SPLIT) && places_add(set, i->x))
			stack[n++] = i->x;
		if (i->op == OP_SPLIT && places_add(set, i->y))
			stack[n++] = i->y;
		if (i->op == OP_ASSERT && holds(i->x, before, after) && places_add(set, here + 1))
			stack[n++] = here + 1;
	}
	return matched;
}

static oc_status run(const oc_regex *r, oc_str text, struct places *now, struct places *next, unsigned *stack)
{
	uint32_t before = UINT32_MAX;
	unsigned long long steps = 0;
	size_t at = 0;
	for (;;) {
		uint32_t code = UINT32_MAX;
		size_t len = 0;
		if (at < text.n && (len = oc_utf8_decode((oc_str){text.p + at, text.n - at}, &code)) == 0) {
			code = BAD_BYTE;
			len = 1;
		}
		/* A match may begin anywhere; and what came from the last character is followed with the new surroundings. */
		next->n = 0;
		bool matched = follow(r, next, stack, 0, before, code);
		for (unsigned i = 0; i < now->n; i++)
			matched |= follow(r, next, stack, now->at[i], before, code);
		if (matched)
			return OC_OK;
		if (at >= text.n)
			return OC_E_NOT_FOUND;
		now->n = 0;
		for (unsigned i = 0; i < next->n; i++) {
			const struct instruction *ins = &r->program[next->at[i]];
			if (ins->op != OP_SET)
				continue;
			if (set_has(&r->sets[ins->x], code))
				places_add(now, next->at[i] + 1);
			steps += r->sets[ins->x].n;
		}
		steps += next->n + 1;
		if (steps > MAX_STEPS)
			return OC_E_LIMIT;
		before = code;
		at += len;
	}
}

oc_status oc_regex_match(const oc_regex *regex, oc_str text)
{
	unsigned *memory = oc_calloc((size_t)regex->n * 5, sizeof *memory);
	if (memory == NULL)
		return OC_E_NOMEM;
	size_t n = regex->n;
	struct places now = {memory, memory + n, 0}, next = {memory + 2 * n, memory + 3 * n, 0};
	oc_status status = run(regex, text, &now, &next, memory + 4 * n);
	oc_free(memory);
	return status;
}

/* As run, but every place knows where the match it belongs to began; places are kept in that order, so the first to reach
 * a place is the leftmost. */
struct begun {
	struct places places;
	size_t *began;
};

static bool follow_from(const oc_regex *r, struct begun *set, unsigned *stack, unsigned place, size_t began, uint32_t before,
			uint32_t after)
{
	unsigned i = set->places.n;
	bool matched = follow(r, &set->places, stack, place, before, after);
	for (; i < set->places.n; i++)
		set->began[i] = began;
	return matched;
}

static oc_status run_find(const oc_regex *r, oc_str text, size_t from, struct begun *now, struct begun *next, unsigned *stack,
			  size_t *ret_at, size_t *ret_end)
{
	uint32_t before = UINT32_MAX;
	unsigned long long steps = 0;
	bool found = false;
	if (from > 0) {
		size_t last = from - 1;
		while (last > 0 && from - last < 4 && ((unsigned char)text.p[last] & 0xC0) == 0x80)
			last--;
		if (oc_utf8_decode((oc_str){text.p + last, from - last}, &before) == 0)
			before = BAD_BYTE;
	}
	for (size_t at = from;;) {
		uint32_t code = UINT32_MAX;
		size_t len = 0;
		if (at < text.n && (len = oc_utf8_decode((oc_str){text.p + at, text.n - at}, &code)) == 0) {
			code = BAD_BYTE;
			len = 1;
		}
		next->places.n = 0;
		for (unsigned i = 0; i < now->places.n; i++) {
			if (follow_from(r, next, stack, now->places.at[i], now->began[i], before, code) && (!found || now->began[i] <= *ret_at)) {
				found = true;
				*ret_at = now->began[i];
				*ret_end = at;
			}
		}
		if (!found && follow_from(r, next, stack, 0, at, before, code)) {
			found = true;
			*ret_at = *ret_end = at;
		}
		now->places.n = 0;
		for (unsigned i = 0; i < next->places.n && at < text.n; i++) {
			const struct instruction *ins = &r->program[next->places.at[i]];
			if (ins->op != OP_SET || (found && next->began[i] > *ret_at))
				continue;
			if (set_has(&r->sets[ins->x], code) && places_add(&now->places, next->places.at[i] + 1))
				now->began[now->places.n - 1] = next->began[i];
			steps += r->sets[ins->x].n;
		}
		if (at >= text.n || (found && now->places.n == 0))
			return found ? OC_OK : OC_E_NOT_FOUND;
		steps += next->places.n + 1;
		if (steps > MAX_STEPS)
			return OC_E_LIMIT;
		before = code;
		at += len;
	}
}

oc_status oc_regex_find(const oc_regex *regex, oc_str text, size_t from, size_t *ret_at, size_t *ret_n)
{
	size_t n = regex->n, at = 0, end = 0;
	unsigned *memory = oc_calloc(n * 5, sizeof *memory);
	size_t *began = oc_calloc(n * 2, sizeof *began);
	oc_status status = OC_E_NOMEM;
	if (memory != NULL && began != NULL) {
		struct begun now = {{memory, memory + n, 0}, began}, next = {{memory + 2 * n, memory + 3 * n, 0}, began + n};
		status = run_find(regex, text, from, &now, &next, memory + 4 * n, &at, &end);
	}
	oc_free(began);
	oc_free(memory);
	if (status == OC_OK) {
		*ret_at = at;
		*ret_n = end - at;
	}
	return status;
}
