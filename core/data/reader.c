#include "core/data/reader_int.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/mem.h"
#include "core/data/utf8.h"

#define MAX_BYTES (16u << 20)
#define MAX_DEPTH 64u
#define DEPTH_CEILING 512u
#define MAX_NODES 1000000u

/* ---- Errors ---- */

void oc_read_position(oc_str text, size_t at, unsigned *ret_line, unsigned *ret_column)
{
	unsigned line = 1;
	size_t begin = 0;
	for (size_t i = 0; i < at && i < text.n; i++)
		if (text.p[i] == '\n' || (text.p[i] == '\r' && (i + 1 >= text.n || text.p[i + 1] != '\n'))) {
			line++;
			begin = i + 1;
		}
	*ret_line = line;
	*ret_column = (unsigned)oc_utf8_count((oc_str){text.p + begin, at > begin ? at - begin : 0}) + 1;
}

oc_status oc_read_bad(struct reader *r, oc_status code, size_t at, const char *remedy, const char *format, ...)
{
	if (r->err == NULL)
		return code;
	char what[300];
	va_list args;
	va_start(args, format);
	vsnprintf(what, sizeof what, format, args);
	va_end(args);
	unsigned line, column;
	oc_read_position((oc_str){r->p, r->n}, at, &line, &column);
	return oc_fail(r->err, code, remedy, "line %u, column %u: %s", line, column, what);
}

oc_status oc_read_no_memory(struct reader *r)
{
	return oc_fail(r->err, OC_E_NOMEM, NULL, "no memory for the JSON document");
}

void *oc_read_take(const struct reader *r, size_t bytes)
{
	return r->arena != NULL ? oc_arena_alloc(r->arena, bytes) : cJSON_malloc(bytes);
}

/* Names what stands at `at` for an error message. */
static const char *found(const struct reader *r, size_t at, char out[24])
{
	uint32_t code;
	if (at >= r->n)
		snprintf(out, 24, "the end");
	else if (oc_utf8_decode((oc_str){r->p + at, r->n - at}, &code) == 0 || code < 0x20 || code == 0x7F)
		snprintf(out, 24, "byte 0x%02X", (unsigned char)r->p[at]);
	else {
		size_t len = oc_utf8_encode(code, out + 1);
		out[0] = '\'';
		out[len + 1] = '\'';
		out[len + 2] = 0;
	}
	return out;
}

oc_status oc_read_unexpected(struct reader *r, const char *wanted)
{
	char what[24];
	if (r->at >= r->n)
		return oc_read_bad(r, OC_E_INVALID, r->at, "Is the text complete?", "expected %s, found the end", wanted);
	return oc_read_bad(r, OC_E_INVALID, r->at, "", "expected %s, found %s", wanted, found(r, r->at, what));
}

/* ---- White space and comments ---- */

static bool is_space5(uint32_t c)
{
	return c == ' ' || (c >= '\t' && c <= '\r') || c == 0xA0 || c == 0xFEFF || c == 0x1680 || (c >= 0x2000 && c <= 0x200A)
	       || c == 0x2028 || c == 0x2029 || c == 0x202F || c == 0x205F || c == 0x3000;
}

static bool is_line_end5(uint32_t c)
{
	return c == '\n' || c == '\r' || c == 0x2028 || c == 0x2029;
}

/* SIZE_MAX: a block comment that does not end begins at *at. */
static size_t skip5(oc_str s, size_t *at)
{
	size_t i = *at;
	while (i < s.n) {
		uint32_t c;
		size_t len = oc_utf8_decode((oc_str){s.p + i, s.n - i}, &c);
		if (len > 0 && is_space5(c)) {
			i += len;
		} else if (c == '/' && i + 1 < s.n && s.p[i + 1] == '/') {
			while (i < s.n && (len = oc_utf8_decode((oc_str){s.p + i, s.n - i}, &c)) > 0 && !is_line_end5(c))
				i += len;
		} else if (c == '/' && i + 1 < s.n && s.p[i + 1] == '*') {
			const char *end = memmem(s.p + i + 2, s.n - i - 2, "*/", 2);
			if (end == NULL) {
				*at = i;
				return SIZE_MAX;
			}
			i = (size_t)(end - s.p) + 2;
		} else {
			break;
		}
	}
	return i;
}

size_t oc_read_skip5(oc_str text, size_t at)
{
	size_t end = skip5(text, &at);
	return end == SIZE_MAX ? text.n : end;
}

static oc_status skip_white(struct reader *r)
{
	if (!r->json5) {
		while (r->at < r->n && (r->p[r->at] == ' ' || r->p[r->at] == '\n' || r->p[r->at] == '\r' || r->p[r->at] == '\t'))
			r->at++;
		return OC_OK;
	}
	size_t end = skip5((oc_str){r->p, r->n}, &r->at);
	if (end == SIZE_MAX)
		return oc_read_bad(r, OC_E_INVALID, r->at, "End it with */.", "the comment that begins here does not end");
	r->at = end;
	return OC_OK;
}

/* Nearly always nothing is there. */
static inline oc_status skip(struct reader *r)
{
	return r->at < r->n && (signed char)r->p[r->at] > ' ' && r->p[r->at] != '/' ? OC_OK : skip_white(r);
}

/* ---- Strings and names ---- */

static int32_t hex(const struct reader *r, size_t at, size_t digits)
{
	int32_t value = 0;
	if (at > r->n || r->n - at < digits)
		return -1;
	for (size_t i = 0; i < digits; i++) {
		int d = oc_read_hex_digit(r->p[at + i]);
		if (d < 0)
			return -1;
		value = value * 16 + d;
	}
	return value;
}

/* \uXXXX, also two of them for one character. at: of the backslash. */
static oc_status unicode_escape(struct reader *r, size_t at, uint32_t *ret, size_t *ret_used)
{
	int32_t code = hex(r, at + 2, 4);
	*ret_used = 6;
	if (code < 0)
		return oc_read_bad(r, OC_E_INVALID, at, "", "\\u needs four hexadecimal digits");
	if (code >= 0xDC00 && code <= 0xDFFF)
		return oc_read_bad(r, OC_E_INVALID, at, "", "\\u%04x is half a character: its other half is missing", (unsigned)code);
	if (code >= 0xD800 && code <= 0xDBFF) {
		int32_t low = at + 7 < r->n && r->p[at + 6] == '\\' && r->p[at + 7] == 'u' ? hex(r, at + 8, 4) : -1;
		if (low < 0xDC00 || low > 0xDFFF)
			return oc_read_bad(r, OC_E_INVALID, at, "", "\\u%04x is half a character: its other half is missing",
				   (unsigned)code);
		code = 0x10000 + ((code - 0xD800) << 10) + (low - 0xDC00);
		*ret_used = 12;
	}
	if (code == 0)
		return oc_read_bad(r, OC_E_INVALID, at, "", "U+0000 is not allowed in text");
	*ret = (uint32_t)code;
	return OC_OK;
}

static oc_status escape5(struct reader *r, size_t at, uint32_t *ret, size_t *ret_used)
{
	uint32_t c = 0;
	size_t len = oc_utf8_decode((oc_str){r->p + at + 1, r->n - at - 1}, &c);
	*ret_used = 1 + len;
	*ret = c;
	if (c == 'v') {
		*ret = '\v';
	} else if (c == 'x') {
		int32_t code = hex(r, at + 2, 2);
		*ret_used = 4;
		if (code < 0)
			return oc_read_bad(r, OC_E_INVALID, at, "", "\\x needs two hexadecimal digits");
		if (code == 0)
			return oc_read_bad(r, OC_E_INVALID, at, "", "U+0000 is not allowed in text");
		*ret = (uint32_t)code;
	} else if (is_line_end5(c)) {
		*ret = 0; /* the line goes on: nothing is added */
		if (c == '\r' && at + 2 < r->n && r->p[at + 2] == '\n')
			*ret_used = 3;
	} else if (c >= '0' && c <= '9') {
		bool zero = c == '0' && (at + 2 >= r->n || r->p[at + 2] < '0' || r->p[at + 2] > '9');
		return oc_read_bad(r, OC_E_INVALID, at, "", zero ? "U+0000 is not allowed in text" : "octal escapes are not allowed");
	}
	return OC_OK;
}

/* The escape whose backslash is at `at`. *ret is the character, 0 for none. */
static oc_status escape(struct reader *r, size_t at, uint32_t *ret, size_t *ret_used)
{
	static const char names[] = "\"\\/bfnrt", values[] = "\"\\/\b\f\n\r\t";
	if (at + 1 >= r->n)
		return oc_read_bad(r, OC_E_INVALID, r->at, "Is the text complete?", "the string that begins here does not end");
	char c = r->p[at + 1];
	if (c == 'u')
		return unicode_escape(r, at, ret, ret_used);
	const char *name = c == 0 ? NULL : strchr(names, c);
	if (name != NULL) {
		*ret = (uint32_t)values[name - names];
		*ret_used = 2;
		return OC_OK;
	}
	if (r->json5 && c != 0)
		return escape5(r, at, ret, ret_used);
	char what[24];
	return oc_read_bad(r, OC_E_INVALID, at, "", "a backslash cannot be followed by %s", found(r, at + 1, what));
}

static oc_status bad_string_byte(struct reader *r, size_t at)
{
	unsigned char c = (unsigned char)r->p[at];
	if (c >= 0x80)
		return oc_read_bad(r, OC_E_INVALID, at, "", "the text is not valid UTF-8");
	if (c == 0)
		return oc_read_bad(r, OC_E_INVALID, at, "", "U+0000 is not allowed in text");
	if (c == '\n' || c == '\r')
		return oc_read_bad(r, OC_E_INVALID, r->at, "Write a line break as \\n.",
			   "the string that begins here does not end on its line");
	return oc_read_bad(r, OC_E_INVALID, at, "", "control character 0x%02X must be written as \\u%04x", c, c);
}

/* Checks the string at r->at up to its closing quote, whose place is returned; *ret_n is its length when decoded. */
static oc_status scan_string(struct reader *r, size_t *ret_end, size_t *ret_n, bool *ret_escapes)
{
	char quote = r->p[r->at];
	size_t i = r->at + 1, n = 0;
	bool escapes = false;
	for (;;) {
		/* Most strings are plain text from quote to quote. */
		size_t plain = quote == '"' ? oc_json_plain(r->p + i, r->n - i) : 0;
		i += plain;
		n += plain;
		if (i >= r->n || r->p[i] == quote)
			break;
		unsigned char c = (unsigned char)r->p[i];
		uint32_t code;
		size_t len = 1;
		char bytes[4];
		if (c == '\\') {
			oc_status status = escape(r, i, &code, &len);
			if (status != OC_OK)
				return status;
			escapes = true;
			n += code == 0 ? 0 : oc_utf8_encode(code, bytes);
		} else if (c >= 0x20 && c < 0x80) {
			n++;
		} else if (c >= 0x80 ? (len = oc_utf8_decode((oc_str){r->p + i, r->n - i}, &code)) == 0
				     : !r->json5 || c == '\n' || c == '\r' || c == 0) {
			return bad_string_byte(r, i);
		} else {
			n += len;
		}
		i += len;
	}
	if (i >= r->n)
		return oc_read_bad(r, OC_E_INVALID, r->at, "Is the text complete?", "the string that begins here does not end");
	*ret_end = i;
	*ret_n = n;
	*ret_escapes = escapes;
	return OC_OK;
}

/* Decodes what scan_string has checked. */
static void decode_string(struct reader *r, size_t from, size_t to, char *out)
{
	for (size_t i = from; i < to;) {
		if (r->p[i] != '\\') {
			*out++ = r->p[i++];
			continue;
		}
		uint32_t code = 0;
		size_t used = 1;
		escape(r, i, &code, &used);
		if (code != 0)
			out += oc_utf8_encode(code, out);
		i += used;
	}
}

/* Reads the string at r->at. ret_new: gets a copy in cJSON's memory (NULL: none wanted). ret_view: its bytes, in the text
 * or in *ret_new, or in *ret_owned when they had to be decoded for the view alone (both may be NULL). */
static oc_status read_string(struct reader *r, char **ret_new, oc_str *ret_view, char **ret_owned)
{
	size_t end = 0, n = 0;
	bool escapes = false;
	oc_status status = scan_string(r, &end, &n, &escapes);
	if (status != OC_OK)
		return status;
	size_t from = r->at + 1;
	char *copy = NULL;
	if (ret_new != NULL || (escapes && ret_view != NULL)) {
		copy = oc_read_take(r, n + 1);
		if (copy == NULL)
			return oc_read_no_memory(r);
		if (escapes)
			decode_string(r, from, end, copy);
		else
			memcpy(copy, r->p + from, n);
		copy[n] = 0;
	}
	if (ret_view != NULL)
		*ret_view = (oc_str){copy != NULL ? copy : r->p + from, n};
	if (ret_new != NULL)
		*ret_new = copy;
	else if (ret_owned != NULL)
		*ret_owned = copy;
	r->at = end + 1;
	return OC_OK;
}

static bool name_char(uint32_t c, bool first)
{
	if ((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '$' || c == '_')
		return true;
	if (c >= '0' && c <= '9')
		return !first;
	/* Letters of every script; which of them ES5 knew depends on a Unicode version nobody has any more. */
	return c >= 0x80 && !is_space5(c);
}

bool oc_read_is_name5(oc_str s)
{
	size_t i = 0;
	uint32_t c;
	while (i < s.n) {
		size_t len = oc_utf8_decode((oc_str){s.p + i, s.n - i}, &c);
		if (len == 0 || !name_char(c, i == 0))
			return false;
		i += len;
	}
	return s.n > 0;
}

/* An unquoted member name (JSON5), with \uXXXX escapes. */
static oc_status read_name5(struct reader *r, char **ret_new, oc_str *ret_view)
{
	size_t start = r->at, n = 0;
	char *copy = NULL;
	for (int pass = 0; pass < 2; pass++) {
		n = 0;
		for (r->at = start; r->at < r->n;) {
			uint32_t c;
			size_t len = oc_utf8_decode((oc_str){r->p + r->at, r->n - r->at}, &c);
			if (c == '\\') {
				if (r->at + 1 >= r->n || r->p[r->at + 1] != 'u')
					return oc_read_unexpected(r, "a member name");
				oc_status status = unicode_escape(r, r->at, &c, &len);
				if (status != OC_OK)
					return status;
				if (!name_char(c, r->at == start))
					return oc_read_unexpected(r, "a letter of a member name");
			} else if (!name_char(c, r->at == start)) {
				break;
			}
			char bytes[4];
			size_t add = oc_utf8_encode(c, bytes);
			if (copy != NULL)
				memcpy(copy + n, bytes, add);
			n += add;
			r->at += len;
		}
		if (n == 0)
			return oc_read_unexpected(r, "a member name");
		if (pass == 0 && (copy = oc_read_take(r, n + 1)) == NULL)
			return oc_read_no_memory(r);
	}
	copy[n] = 0;
	*ret_new = copy;
	*ret_view = (oc_str){copy, n};
	return OC_OK;
}

/* ---- Duplicate names ---- */

static int compare_keys(const void *a, const void *b)
{
	const struct key *x = a, *y = b;
	if (x->n != y->n)
		return x->n < y->n ? -1 : 1;
	int order = memcmp(x->p, y->p, x->n);
	return order != 0 ? order : x->at < y->at ? -1 : 1;
}

static bool same_key(const struct key *x, const struct key *y)
{
	return x->n == y->n && memcmp(x->p, y->p, x->n) == 0;
}

/* Checks the names from `first` on and forgets them. Few are compared pairwise, many are sorted. */
static oc_status close_keys(struct reader *r, size_t first)
{
	size_t n = r->keys_n - first;
	if (n == 0)
		return OC_OK;
	struct key *keys = r->keys + first;
	const struct key *twice = NULL;
	if (n <= 8) {
		for (size_t i = 1; i < n && twice == NULL; i++)
			for (size_t j = 0; j < i && twice == NULL; j++)
				if (same_key(&keys[i], &keys[j]))
					twice = &keys[i];
	} else {
		qsort(keys, n, sizeof *keys, compare_keys);
		for (size_t i = 1; i < n && twice == NULL; i++)
			if (same_key(&keys[i], &keys[i - 1]))
				twice = &keys[i];
	}
	oc_status status = OC_OK;
	if (twice != NULL)
		status = oc_read_bad(r, OC_E_INVALID, twice->at, "Remove one of the two.", "\"%.*s\" appears twice in the same object",
			     (int)(twice->n > 100 ? oc_utf8_cut((oc_str){twice->p, twice->n}, 100) : twice->n), twice->p);
	for (size_t i = 0; i < n; i++)
		if (keys[i].owned != NULL)
			cJSON_free(keys[i].owned);
	r->keys_n = first;
	return status;
}

static oc_status push_key(struct reader *r, struct key key)
{
	if (r->keys_n == r->keys_cap) {
		size_t cap = r->keys_cap * 4;
		struct key *keys = oc_realloc(r->keys == r->first_keys ? NULL : r->keys, cap * sizeof *keys);
		if (keys == NULL) {
			cJSON_free(key.owned);
			return oc_read_no_memory(r);
		}
		if (r->keys == r->first_keys)
			memcpy(keys, r->first_keys, sizeof r->first_keys);
		r->keys = keys;
		r->keys_cap = cap;
	}
	r->keys[r->keys_n++] = key;
	return OC_OK;
}

/* Reads a member's name; item NULL: only checked. */
static oc_status read_key(struct reader *r, cJSON *item)
{
	struct key key = {.at = r->at};
	oc_str view = OC_STR_NONE;
	oc_status status;
	char c = r->at < r->n ? r->p[r->at] : 0;
	if (c == '"' || (c == '\'' && r->json5))
		status = read_string(r, item == NULL ? NULL : &item->string, &view, &key.owned);
	else if (!r->json5)
		status = oc_read_unexpected(r, "a member name in double quotes");
	else {
		char *copy = NULL;
		status = read_name5(r, &copy, &view);
		if (item != NULL)
			item->string = copy;
		else
			key.owned = copy;
	}
	if (status != OC_OK)
		return status;
	key.p = view.p;
	key.n = view.n;
	return push_key(r, key);
}

/* ---- Values ---- */

static oc_status read_value(struct reader *r, cJSON *item, size_t key_at);

static cJSON *new_node(const struct reader *r)
{
	cJSON *node = oc_read_take(r, sizeof *node); /* zeroed in either case */
	if (node != NULL)
		node->type = cJSON_NULL;
	return node;
}

/* A new child at the end of parent; NULL in *ret when there is no tree. Freed with the tree whatever happens. */
static oc_status add_child(struct reader *r, cJSON *parent, cJSON **ret)
{
	*ret = NULL;
	if (parent == NULL)
		return OC_OK;
	*ret = new_node(r);
	if (*ret == NULL)
		return oc_read_no_memory(r);
	cJSON_AddItemToArray(parent, *ret);
	return OC_OK;
}

static oc_status read_member(struct reader *r, cJSON *parent)
{
	cJSON *child;
	size_t key_at = r->at;
	oc_status status = add_child(r, parent, &child);
	if (status == OC_OK)
		status = read_key(r, child);
	if (status == OC_OK)
		status = skip(r);
	if (status != OC_OK)
		return status;
	if (r->at >= r->n || r->p[r->at] != ':')
		return oc_read_unexpected(r, "':' after the member name");
	r->at++;
	status = skip(r);
	return status != OC_OK ? status : read_value(r, child, key_at);
}

static oc_status read_element(struct reader *r, cJSON *parent)
{
	cJSON *child;
	oc_status status = add_child(r, parent, &child);
	return status != OC_OK ? status : read_value(r, child, r->at);
}

/* An object or array; r->at is behind its bracket before and behind the closing one after. */
static oc_status read_members(struct reader *r, cJSON *item, char close)
{
	for (;;) {
		oc_status status = skip(r);
		if (status != OC_OK)
			return status;
		if (r->at < r->n && r->p[r->at] == close)
			break; /* empty, or (JSON5) behind a trailing comma */
		status = close == '}' ? read_member(r, item) : read_element(r, item);
		if (status == OC_OK)
			status = skip(r);
		if (status != OC_OK)
			return status;
		if (r->at < r->n && r->p[r->at] == close)
			break;
		if (r->at >= r->n || r->p[r->at] != ',')
			return oc_read_unexpected(r, close == '}' ? "',' or '}'" : "',' or ']'");
		size_t comma = r->at++;
		if (r->json5)
			continue;
		skip(r);
		if (r->at < r->n && r->p[r->at] == close)
			return oc_read_bad(r, OC_E_INVALID, comma, "Remove it.", "a comma stands before '%c'", close);
	}
	r->at++;
	return OC_OK;
}

static oc_status read_container(struct reader *r, cJSON *item)
{
	char close = r->p[r->at] == '{' ? '}' : ']';
	if (r->depth >= r->max_depth)
		return oc_read_bad(r, OC_E_LIMIT, r->at, "", "more than %u levels of nesting", r->max_depth);
	if (item != NULL)
		item->type = close == '}' ? cJSON_Object : cJSON_Array;
	size_t first = r->keys_n;
	r->depth++;
	r->at++;
	oc_status status = read_members(r, item, close);
	r->depth--;
	return status == OC_OK && close == '}' ? close_keys(r, first) : status;
}

static oc_status read_word(struct reader *r, cJSON *item)
{
	static const struct {
		const char *word;
		int type;
	} words[] = {{"true", cJSON_True}, {"false", cJSON_False}, {"null", cJSON_NULL}};
	oc_str rest = {r->p + r->at, r->n - r->at};
	for (size_t i = 0; i < 3; i++) {
		size_t n = strlen(words[i].word);
		if (rest.n < n || memcmp(rest.p, words[i].word, n) != 0)
			continue;
		uint32_t after;
		if (rest.n > n && oc_utf8_decode((oc_str){rest.p + n, rest.n - n}, &after) > 0 && name_char(after, false))
			break;
		if (item != NULL) {
			item->type = words[i].type;
			item->valueint = words[i].type == cJSON_True;
		}
		r->at += n;
		return OC_OK;
	}
	return oc_read_unexpected(r, "a value");
}

static size_t push_span(struct reader *r, const cJSON *node, size_t key_at)
{
	oc_spans *spans = r->spans;
	if (spans->n == spans->cap) {
		size_t cap = spans->cap == 0 ? 64 : spans->cap * 2;
		oc_span *at = oc_realloc(spans->at, cap * sizeof *at);
		if (at == NULL)
			return SIZE_MAX;
		spans->at = at;
		spans->cap = cap;
	}
	spans->at[spans->n] = (oc_span){node, key_at, r->at, r->at};
	return spans->n++;
}

static oc_status read_value(struct reader *r, cJSON *item, size_t key_at)
{
	if (++r->nodes > r->max_nodes)
		return oc_read_bad(r, OC_E_LIMIT, r->at, "", "more than %zu values", r->max_nodes);
	size_t span = SIZE_MAX;
	if (r->spans != NULL && (span = push_span(r, item, key_at)) == SIZE_MAX)
		return oc_read_no_memory(r);
	char c = r->at < r->n ? r->p[r->at] : 0;
	oc_status status;
	if (c == '{' || c == '[') {
		status = read_container(r, item);
	} else if (c == '"' || (c == '\'' && r->json5)) {
		status = read_string(r, item == NULL ? NULL : &item->valuestring, NULL, NULL);
		if (status == OC_OK && item != NULL)
			item->type = cJSON_String;
	} else if (c == '-' || (c >= '0' && c <= '9') || (r->json5 && c != 0 && strchr("+.IN", c) != NULL)) {
		status = oc_read_number(r, item);
	} else {
		status = read_word(r, item);
	}
	if (status == OC_OK && span != SIZE_MAX)
		r->spans->at[span].end = r->at;
	return status;
}

static oc_status read_document(struct reader *r, cJSON *root, unsigned flags)
{
	oc_str text = {r->p, r->n};
	if (!r->json5 && r->n >= 3 && memcmp(r->p, "\xEF\xBB\xBF", 3) == 0)
		return oc_read_bad(r, OC_E_INVALID, 0, "Save the text as UTF-8 without BOM.", "the text begins with a byte order mark");
	size_t valid = r->json5 ? oc_utf8_check(text) : r->n;
	if (valid != r->n)
		return oc_read_bad(r, OC_E_INVALID, valid, "Save the text as UTF-8.", "the text is not valid UTF-8");
	oc_status status = skip(r);
	if (status != OC_OK)
		return status;
	if (r->at == r->n) {
		if (!(flags & OC_READ_EMPTY_IS_OBJECT))
			return oc_fail(r->err, OC_E_INVALID, "", "the text is empty");
		if (root != NULL)
			root->type = cJSON_Object;
		return OC_OK;
	}
	status = read_value(r, root, r->at);
	if (status == OC_OK)
		status = skip(r);
	if (status == OC_OK && r->at < r->n)
		status = oc_read_unexpected(r, "the end of the text");
	return status;
}

oc_status oc_read_json(oc_str text, const oc_json_limits *limits, unsigned flags, oc_arena *arena, cJSON **ret,
		       oc_spans *spans, oc_err *err)
{
	static const oc_json_limits none = {0};
	if (limits == NULL)
		limits = &none;
	size_t max_bytes = limits->max_bytes == 0 ? MAX_BYTES : limits->max_bytes;
	if (text.n > max_bytes)
		return oc_fail(err, OC_E_LIMIT, NULL, "the JSON text has %zu bytes, more than %zu", text.n, max_bytes);
	OC_UNSET struct reader r;
	memset(&r, 0, offsetof(struct reader, first_keys)); /* those need none */
	r.p = text.p;
	r.n = text.n;
	r.json5 = (flags & OC_READ_JSON5) != 0;
	r.keys = r.first_keys;
	r.keys_cap = sizeof r.first_keys / sizeof *r.first_keys;
	r.arena = arena;
	r.spans = spans;
	r.err = err;
	r.max_nodes = limits->max_nodes == 0 ? MAX_NODES : limits->max_nodes;
	r.max_depth = limits->max_depth == 0 ? MAX_DEPTH : limits->max_depth;
	if (r.max_depth > DEPTH_CEILING)
		r.max_depth = DEPTH_CEILING;
	if (spans != NULL)
		*spans = (oc_spans){0};
	cJSON *root = NULL;
	if (ret != NULL && (root = new_node(&r)) == NULL)
		return oc_read_no_memory(&r);
	oc_status status = read_document(&r, root, flags);
	for (size_t i = 0; i < r.keys_n; i++)
		cJSON_free(r.keys[i].owned);
	if (r.keys != r.first_keys)
		oc_free(r.keys);
	if (status != OC_OK) {
		if (arena == NULL)
			cJSON_Delete(root);
		if (spans != NULL)
			oc_spans_free(spans);
		return status;
	}
	if (ret != NULL)
		*ret = root;
	return OC_OK;
}

const oc_span *oc_spans_find(const oc_spans *spans, const cJSON *node)
{
	for (size_t i = 0; i < spans->n; i++)
		if (spans->at[i].node == node)
			return &spans->at[i];
	return NULL;
}

void oc_spans_free(oc_spans *spans)
{
	oc_free(spans->at);
	*spans = (oc_spans){0};
}
