/*
 * Regular expressions in JavaScript's syntax, as JSON Schema's `pattern` and configurations use them, in time linear in
 * the text: no backtracking, so no pattern can hang the gateway.  Text and pattern are UTF-8; independent of the locale.
 *
 * Not supported (OC_E_UNSUPPORTED): look-around, back-references, \p{…}.  Groups do not capture.  [any]
 */
#ifndef OC_DATA_REGEX_H
#define OC_DATA_REGEX_H

#include "core/base/err.h"

typedef struct oc_regex oc_regex;

enum { OC_REGEX_IGNORE_CASE = 1 /* of ASCII letters */ };

/* OC_E_INVALID: a syntax error, err tells what and where; OC_E_LIMIT: too large once repetitions are written out. */
oc_status oc_regex_new(oc_str pattern, unsigned flags, oc_regex **ret, oc_err *err);
void oc_regex_free(oc_regex *regex); /* NULL is allowed */
/* Does it match anywhere in the text? OC_OK, OC_E_NOT_FOUND, OC_E_NOMEM, or OC_E_LIMIT when text and pattern are both so
 * large that the answer would take too long. Bytes that are no UTF-8 match nothing but negated classes and the dot. */
oc_status oc_regex_match(const oc_regex *regex, oc_str text);
/* Where it matches first at or after byte `from` (at most text.n, at the beginning of a character), and the longest such
 * match. Statuses as above. */
oc_status oc_regex_find(const oc_regex *regex, oc_str text, size_t from, size_t *ret_at, size_t *ret_n);

#endif
