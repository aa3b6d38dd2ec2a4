/* See prv_json.h. */
#include "prv_json.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static bool is_space(char c)
{
	return c == ' ' || c == '\t' || c == '\n' || c == '\r';
}

static bool is_digit(char c)
{
	return c >= '0' && c <= '9';
}

static int hex_value(char c)
{
	return is_digit(c) ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

typedef uint8_t bytes16 __attribute__((vector_size(16)));
typedef uint64_t words2 __attribute__((vector_size(16)));

/* Over what in a string stands for itself, sixteen bytes at a time: to a quote, a backslash, a control character or, with
 * `ascii`, a byte that is none. Prompts are long, and nearly all of it is such. */
static const char *skip_plain(const char *p, const char *end, bool ascii)
{
	for (; end - p >= 16; p += 16) {
		bytes16 v;
		memcpy(&v, p, 16);
		bytes16 stop = (bytes16)(v == '"') | (bytes16)(v == '\\') | (bytes16)(v < 0x20);
		if (ascii)
			stop |= (bytes16)(v >= 0x80);
		words2 w = (words2)stop;
		if ((w[0] | w[1]) != 0) {
#if __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
			return w[0] != 0 ? p + __builtin_ctzll(w[0]) / 8 : p + 8 + __builtin_ctzll(w[1]) / 8;
#else
			break;
#endif
		}
	}
	while (p < end && *p != '"' && *p != '\\' && (unsigned char)*p >= 0x20 && (!ascii || (unsigned char)*p < 0x80))
		p++;
	return p;
}

/* ---- The check ---- */

static const char *check_string(const char *p, const char *end)
{
	for (p = skip_plain(p + 1, end, false); p < end && *p != '"'; p = skip_plain(p + 1, end, false)) {
		if (*p != '\\')
			return NULL; /* a control character */
		if (++p == end)
			return NULL;
		if (*p == 'u') {
			for (int i = 0; i < 4; i++)
				if (++p == end || hex_value(*p) < 0)
					return NULL;
		} else if (strchr("\"\\/bfnrt", *p) == NULL || *p == 0) {
			return NULL;
		}
	}
	return p < end ? p + 1 : NULL;
}

static const char *check_digits(const char *p, const char *end)
{
	if (p == end || !is_digit(*p))
		return NULL;
	while (p < end && is_digit(*p))
		p++;
	return p;
}

static const char *check_number(const char *p, const char *end)
{
	if (*p == '-')
		p++;
	if (p < end && *p == '0')
		p++;
	else
		p = check_digits(p, end);
	if (p != NULL && p < end && *p == '.')
		p = check_digits(p + 1, end);
	if (p != NULL && p < end && (*p == 'e' || *p == 'E')) {
		p++;
		if (p < end && (*p == '+' || *p == '-'))
			p++;
		p = check_digits(p, end);
	}
	return p;
}

static const char *check_word(const char *p, const char *end, const char *word)
{
	size_t n = strlen(word);
	return (size_t)(end - p) >= n && memcmp(p, word, n) == 0 ? p + n : NULL;
}

static const char *check_scalar(const char *p, const char *end)
{
	switch (*p) {
	case '"':
		return check_string(p, end);
	case 't':
		return check_word(p, end, "true");
	case 'f':
		return check_word(p, end, "false");
	case 'n':
		return check_word(p, end, "null");
	default:
		return check_number(p, end);
	}
}

static const char *skip_space(const char *p, const char *end)
{
	while (p < end && is_space(*p))
		p++;
	return p;
}

/* After `{` or a comma in an object: the name and the colon. */
static const char *check_name(const char *p, const char *end)
{
	p = skip_space(p, end);
	if (p == end || *p != '"' || (p = check_string(p, end)) == NULL)
		return NULL;
	p = skip_space(p, end);
	return p < end && *p == ':' ? p + 1 : NULL;
}

static bool stands_at(const char *p, const char *end, oc_str known)
{
	return known.n > 0 && (size_t)(end - p) >= known.n && *p == *known.p && memcmp(p, known.p, known.n) == 0;
}

/* One value, without recursion: `open` remembers what each level is. */
static const char *check_value(const char *p, const char *end, oc_str known)
{
	char open[PRV_JSON_DEPTH];
	size_t depth = 0;
	for (;;) {
		p = skip_space(p, end);
		if (p == end)
			return NULL;
		if (depth == 1 && stands_at(p, end, known)) {
			p += known.n;
		} else if (*p == '{' || *p == '[') {
			if (depth == PRV_JSON_DEPTH)
				return NULL;
			char kind = *p;
			open[depth++] = kind;
			p = skip_space(p + 1, end);
			bool empty = p < end && *p == (kind == '{' ? '}' : ']');
			if (!empty) {
				if (kind == '{' && (p = check_name(p, end)) == NULL)
					return NULL;
				continue;
			}
		} else if ((p = check_scalar(p, end)) == NULL) {
			return NULL;
		}
		/* A value is complete (or an empty container stands before its bracket): close what closes. */
		for (;;) {
			if (depth == 0)
				return p;
			p = skip_space(p, end);
			if (p == end)
				return NULL;
			char kind = open[depth - 1];
			if (*p == (kind == '{' ? '}' : ']')) {
				depth--;
				p++;
				continue;
			}
			if (*p != ',')
				return NULL;
			p++;
			if (kind == '{' && (p = check_name(p, end)) == NULL)
				return NULL;
			break;
		}
	}
}

bool prv_json_parse(const char *p, size_t n, prv_json *ret)
{
	return prv_json_parse_known(p, n, (oc_str){"", 0}, ret);
}

bool prv_json_parse_known(const char *p, size_t n, oc_str known, prv_json *ret)
{
	const char *end = p + n;
	const char *from = skip_space(p, end);
	const char *to = check_value(from, end, known);
	if (to == NULL || skip_space(to, end) != end)
		return false;
	*ret = (prv_json){from, (size_t)(to - from)};
	return true;
}

/* ---- Walking checked text ---- */

int prv_json_kind(prv_json v)
{
	if (v.n == 0)
		return PRV_JSON_ABSENT;
	return *v.p == '-' || is_digit(*v.p) ? PRV_JSON_NUMBER : *v.p;
}

static const char *skip_string(const char *p, const char *end)
{
	/* Prompts are long strings that are passed over again and again: by their quotes, not by their letters. */
	const char *from = ++p;
	while (p < end && (p = memchr(p, '"', (size_t)(end - p))) != NULL) {
		const char *slash = p;
		while (slash > from && slash[-1] == '\\')
			slash--;
		p++;
		if ((p - 1 - slash) % 2 == 0)
			return p;
	}
	return end;
}

static const char *skip_value(const char *p, const char *end)
{
	size_t depth = 0;
	while (p < end) {
		switch (*p) {
		case '"':
			p = skip_string(p, end);
			break;
		case '{':
		case '[':
			depth++;
			p++;
			continue;
		case '}':
		case ']':
			depth--;
			p++;
			break;
		case ',':
		case ':':
		case ' ':
		case '\t':
		case '\n':
		case '\r':
			p++;
			continue;
		default:
			while (p < end && !is_space(*p) && strchr(",:]}", *p) == NULL)
				p++;
			break;
		}
		if (depth == 0)
			return p;
	}
	return end;
}

static bool next_of(prv_json container, oc_str known, size_t *at, prv_json *key, prv_json *value)
{
	int kind = prv_json_kind(container);
	if (kind != PRV_JSON_OBJECT && kind != PRV_JSON_ARRAY)
		return false;
	const char *end = container.p + container.n - 1;
	const char *p = container.p + (*at == 0 ? 1 : *at);
	while (p < end && (is_space(*p) || *p == ','))
		p++;
	if (p >= end)
		return false;
	*key = (prv_json){"", 0};
	if (kind == PRV_JSON_OBJECT) {
		const char *to = skip_string(p, end);
		*key = (prv_json){p, (size_t)(to - p)};
		p = to;
		while (p < end && (is_space(*p) || *p == ':'))
			p++;
	}
	const char *to = stands_at(p, end, known) ? p + known.n : skip_value(p, end);
	*value = (prv_json){p, (size_t)(to - p)};
	*at = (size_t)(to - container.p);
	return true;
}

bool prv_json_next(prv_json container, size_t *at, prv_json *key, prv_json *value)
{
	return next_of(container, (oc_str){"", 0}, at, key, value);
}

prv_json prv_json_get(prv_json object, const char *name)
{
	prv_json key, value;
	size_t at = 0;
	if (prv_json_kind(object) != PRV_JSON_OBJECT)
		return (prv_json){"", 0};
	while (prv_json_next(object, &at, &key, &value))
		if (prv_json_is(key, name))
			return value;
	return (prv_json){"", 0};
}

void prv_json_members(prv_json object, const char *const *names, size_t n, prv_json *ret)
{
	prv_json_members_known(object, (oc_str){"", 0}, names, n, ret);
}

void prv_json_members_known(prv_json object, oc_str known, const char *const *names, size_t n, prv_json *ret)
{
	prv_json key, value;
	size_t at = 0;
	for (size_t i = 0; i < n; i++)
		ret[i] = (prv_json){"", 0};
	if (prv_json_kind(object) != PRV_JSON_OBJECT)
		return;
	while (next_of(object, known, &at, &key, &value))
		for (size_t i = 0; i < n; i++)
			if (ret[i].n == 0 && prv_json_is(key, names[i])) {
				ret[i] = value;
				break;
			}
}

prv_json prv_json_at(prv_json array, size_t index)
{
	prv_json key, value;
	size_t at = 0;
	if (prv_json_kind(array) != PRV_JSON_ARRAY)
		return (prv_json){"", 0};
	while (prv_json_next(array, &at, &key, &value))
		if (index-- == 0)
			return value;
	return (prv_json){"", 0};
}

prv_json prv_json_path(prv_json object, const char *path)
{
	char name[64];
	while (object.n > 0) {
		size_t n = strcspn(path, ".");
		if (n >= sizeof(name))
			return (prv_json){"", 0};
		memcpy(name, path, n);
		name[n] = 0;
		object = prv_json_get(object, name);
		if (path[n] == 0)
			return object;
		path += n + 1;
	}
	return object;
}

/* ---- Values ---- */

static uint32_t hex4(const char *p)
{
	uint32_t v = 0;
	for (int i = 0; i < 4; i++)
		v = v * 16 + (uint32_t)hex_value(p[i]);
	return v;
}

/* Decodes the escape at p (after the backslash) into out; returns what follows it. */
static const char *decode_escape(prv_text *out, const char *p, const char *end)
{
	static const char from[] = "\"\\/bfnrt", to[] = "\"\\/\b\f\n\r\t";
	if (*p != 'u') {
		prv_text_char(out, to[strchr(from, *p) - from]);
		return p + 1;
	}
	uint32_t rune = hex4(p + 1);
	p += 5;
	if (rune >= 0xd800 && rune < 0xdc00 && end - p >= 6 && p[0] == '\\' && p[1] == 'u') {
		uint32_t low = hex4(p + 2);
		if (low >= 0xdc00 && low < 0xe000) {
			rune = 0x10000 + ((rune - 0xd800) << 10) + (low - 0xdc00);
			p += 6;
		}
	}
	prv_text_rune(out, rune);
	return p;
}

void prv_json_text(prv_text *out, prv_json v)
{
	if (prv_json_kind(v) != PRV_JSON_STRING)
		return;
	const char *p = v.p + 1, *end = v.p + v.n - 1, *from = p;
	while (p < end) {
		size_t len = *p == '\\' ? 0 : prv_utf8_len(p, (size_t)(end - p));
		if (len > 0) {
			p += len;
			continue;
		}
		prv_text_add(out, from, (size_t)(p - from));
		if (*p == '\\')
			p = decode_escape(out, p + 1, end);
		else {
			prv_text_rune(out, 0xfffd);
			p++;
		}
		from = p;
	}
	prv_text_add(out, from, (size_t)(p - from));
}

char *prv_json_dup(prv_json v)
{
	prv_text t;
	prv_text_init(&t, v.n + 2 * v.n); /* one invalid byte becomes three */
	prv_text_add(&t, "", 0);
	prv_json_text(&t, v);
	if (t.failed)
		prv_text_free(&t);
	return t.p;
}

bool prv_json_is(prv_json v, const char *text)
{
	size_t n = strlen(text);
	if (prv_json_kind(v) != PRV_JSON_STRING || v.n - 2 < n)
		return false;
	/* Escapes make it longer. */
	if (v.n - 2 == n)
		return memcmp(v.p + 1, text, n) == 0;
	if (v.n - 2 > n * 12 || memchr(v.p, '\\', v.n) == NULL)
		return false;
	char *decoded = prv_json_dup(v);
	bool same = decoded != NULL && strcmp(decoded, text) == 0;
	free(decoded);
	return same;
}

bool prv_json_full(prv_json v)
{
	return prv_json_kind(v) == PRV_JSON_STRING && v.n > 2;
}

double prv_json_num(prv_json v, double fallback)
{
	char buf[64];
	if (prv_json_kind(v) != PRV_JSON_NUMBER || v.n >= sizeof(buf))
		return fallback;
	memcpy(buf, v.p, v.n);
	buf[v.n] = 0;
	return strtod(buf, NULL);
}

int64_t prv_json_i64(prv_json v, int64_t fallback)
{
	double d = prv_json_num(v, NAN);
	if (isnan(d))
		return fallback;
	/* Beyond 2^53 a count is nonsense; both ends are exact as doubles. */
	return d > 9007199254740992.0	 ? INT64_C(9007199254740992)
	       : d < -9007199254740992.0 ? -INT64_C(9007199254740992)
					 : (int64_t)d;
}

bool prv_json_bool(prv_json v, bool fallback)
{
	int kind = prv_json_kind(v);
	return kind == PRV_JSON_TRUE ? true : kind == PRV_JSON_FALSE ? false : fallback;
}

/* ---- Copying ---- */

/* Whether a string is what copying makes of it: valid UTF-8, and no escape that is not the only way to
 * write its character. */
static bool is_clean(const char *p, const char *end)
{
	while (p < end) {
		unsigned char c = (unsigned char)*p;
		if (c == '\\') {
			if (p[1] == 'u' || p[1] == '/')
				return false;
			p += 2;
		} else if (c < 0x80) {
			p = skip_plain(p + 1, end, true);
		} else {
			size_t n = prv_utf8_len(p, (size_t)(end - p));
			if (n == 0)
				return false;
			p += n;
		}
	}
	return true;
}

static void copy_string(prv_text *out, prv_json v)
{
	prv_text piece;
	/* The usual string has nothing to decode: straight through. */
	if (is_clean(v.p + 1, v.p + v.n - 1)) {
		prv_text_add(out, v.p, v.n);
		return;
	}
	prv_text_init(&piece, v.n * 3);
	prv_json_text(&piece, v);
	if (piece.failed)
		out->failed = true;
	prv_text_json(out, prv_text_view(&piece));
	prv_text_free(&piece);
}

bool prv_json_same(prv_json a, prv_json b)
{
	if (prv_json_kind(a) != PRV_JSON_STRING || prv_json_kind(b) != PRV_JSON_STRING)
		return false;
	if (a.n == b.n && memcmp(a.p, b.p, a.n) == 0)
		return true;
	if (memchr(a.p, '\\', a.n) == NULL && memchr(b.p, '\\', b.n) == NULL)
		return false;
	char *text = prv_json_dup(a);
	bool same = text != NULL && prv_json_is(b, text);
	free(text);
	return same;
}

/* Whether a member of that name follows after position at. */
static bool named_again(prv_json object, size_t at, prv_json name)
{
	prv_json key, value;
	/* A bound against quadratic work; objects with more members than this are not a model's arguments. */
	for (int left = 512; left > 0 && prv_json_next(object, &at, &key, &value); left--)
		if (prv_json_same(key, name))
			return true;
	return false;
}

static void copy_value(prv_text *out, prv_json v, int depth)
{
	prv_json key, value;
	size_t at = 0;
	bool first = true;
	int kind = prv_json_kind(v);
	if (kind == PRV_JSON_STRING) {
		copy_string(out, v);
	} else if (kind == PRV_JSON_NUMBER) {
		if (v.n < 64 && isfinite(prv_json_num(v, 0)))
			prv_text_add(out, v.p, v.n);
		else
			prv_text_z(out, "null");
	} else if (kind != PRV_JSON_OBJECT && kind != PRV_JSON_ARRAY) {
		prv_text_add(out, v.p, v.n);
	} else if (depth < PRV_JSON_DEPTH) {
		prv_text_char(out, *v.p);
		while (prv_json_next(v, &at, &key, &value)) {
			if (key.n > 0 && named_again(v, at, key))
				continue;
			if (!first)
				prv_text_char(out, ',');
			first = false;
			if (key.n > 0) {
				copy_string(out, key);
				prv_text_char(out, ':');
			}
			copy_value(out, value, depth + 1);
		}
		prv_text_char(out, kind == PRV_JSON_OBJECT ? '}' : ']');
	}
}

void prv_json_raw(prv_text *out, prv_json v)
{
	prv_text_add(out, v.p, v.n);
}

void prv_json_copy(prv_text *out, prv_json v)
{
	if (v.n == 0)
		prv_text_z(out, "null");
	else
		copy_value(out, v, 0);
}
