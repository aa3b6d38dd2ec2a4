/*
 * JSON5 (json5.org 1.0) for files that people write: comments, trailing commas, unquoted names, single quotes, hexadecimal
 * numbers.  Reads to plain cJSON trees; edits the text itself, so that comments and layout stay.
 *
 * Refused beyond the specification, as by the JSON wall: duplicate names, U+0000, unpaired surrogates, invalid UTF-8,
 * numbers outside the range of a double, and Infinity and NaN, which JSON cannot carry.  [any]
 */
#ifndef OC_DATA_JSON5_H
#define OC_DATA_JSON5_H

#include "core/data/json.h"

/* limits NULL: those of JSON. err tells line and column. */
oc_status oc_json5_parse(oc_str text, const oc_json_limits *limits, cJSON **ret, oc_err *err);

/* Sets, inserts or removes one value in the text and leaves everything else as it is written.  path as in oc_json_path
 * ("a.b[0].c", "a[\"b.c\"]"); missing objects on the way are made; the index that equals an array's length appends.
 * value NULL removes (OC_E_NOT_FOUND when there is nothing).  An empty or comment-only text counts as {}.
 * OC_E_INVALID: the text does not parse, or the path leads through a value that is no object or array.
 * *ret is the new text, oc_free it. */
oc_status oc_json5_edit(oc_str text, const char *path, const cJSON *value, char **ret, oc_err *err);

/* Where the value at path begins, counted from 1 (for an object's member: where its name begins).
 * OC_E_NOT_FOUND when the text has no such value, OC_E_INVALID when it does not parse. */
oc_status oc_json5_locate(oc_str text, const char *path, unsigned *ret_line, unsigned *ret_column);

#endif
