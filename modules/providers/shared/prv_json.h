/*
 * Reading JSON in place: a strict check once, then views into the text, without a tree and without an allocation.
 *
 * Two reasons against a tree here.  A stream is thousands of small documents of which two members matter; and what passes
 * through (schemas, arguments, images) must not be changed on the way: a tree of doubles turns the 64-bit identifiers in
 * a model's arguments into other numbers.  [any]
 */
#ifndef PRV_JSON_H
#define PRV_JSON_H

#include "prv_text.h"

/* One value: its text without surrounding white space. n == 0: absent. Borrowed from the text it was found in. */
typedef struct prv_json {
	const char *p;
	size_t n;
} prv_json;

enum {
	PRV_JSON_ABSENT = 0,
	PRV_JSON_OBJECT = '{',
	PRV_JSON_ARRAY = '[',
	PRV_JSON_STRING = '"',
	PRV_JSON_NUMBER = '0',
	PRV_JSON_TRUE = 't',
	PRV_JSON_FALSE = 'f',
	PRV_JSON_NULL = 'n'
};
enum { PRV_JSON_DEPTH = 64 /* deeper documents are refused, as by the host */ };

/* Checks that the text is exactly one JSON value (RFC 8259; UTF-8 is not checked: decoding repairs it). Everything below
 * wants a value from here. */
bool prv_json_parse(const char *p, size_t n, prv_json *ret);
/* The same, passing over `known` where it stands among the outermost members: the text of an object or array that was checked
 * before. Requests bring the same tools again and again, which are most of their marks. */
bool prv_json_parse_known(const char *p, size_t n, oc_str known, prv_json *ret);

int prv_json_kind(prv_json v);
/* A member by name, an element by index; absent when there is none or v is no object or array. */
prv_json prv_json_get(prv_json object, const char *name);
prv_json prv_json_at(prv_json array, size_t index);
/* Several members in one walk, which counts where a request has a long prompt and many tools: ret[i] is that of names[i]. */
void prv_json_members(prv_json object, const char *const *names, size_t n, prv_json *ret);
void prv_json_members_known(prv_json object, oc_str known, const char *const *names, size_t n, prv_json *ret);
/* A path of names joined by dots: "delta.content". */
prv_json prv_json_path(prv_json object, const char *path);
/* Walks an object or array: size_t at = 0; while (prv_json_next(v, &at, &key, &value)) … key is absent in arrays. */
bool prv_json_next(prv_json container, size_t *at, prv_json *key, prv_json *value);

/* Appends the decoded string; nothing when v is none. Lone surrogates, NUL and invalid UTF-8 become U+FFFD. */
void prv_json_text(prv_text *out, prv_json v);
/* A decoded copy to free(), "" when v is no string; NULL when out of memory. */
char *prv_json_dup(prv_json v);
/* Whether v is a string equal to text. */
bool prv_json_is(prv_json v, const char *text);
/* Whether both are strings with the same text. */
bool prv_json_same(prv_json a, prv_json b);
/* A string with at least one character. */
bool prv_json_full(prv_json v);
double prv_json_num(prv_json v, double fallback);
int64_t prv_json_i64(prv_json v, int64_t fallback);
bool prv_json_bool(prv_json v, bool fallback);
/* Appends v, compact, in the form the host's JSON wall takes: of members with the same name the last, no U+0000, no lone
 * surrogates, no numbers beyond a double. Numbers keep their digits. */
void prv_json_copy(prv_text *out, prv_json v);
/* Appends v as it is: for what the host wrote itself and what only has to be passed on. */
void prv_json_raw(prv_text *out, prv_json v);

#endif
