/*
 * The JSON wall: nothing that is not exactly RFC 8259, or too big, or too deep, gets to cJSON.
 *
 * Refused beyond the RFC: duplicate member names, U+0000 (C strings end there), unpaired surrogates, invalid UTF-8, a byte
 * order mark, numbers outside the range of a double.  Trees are plain cJSON trees, freed with cJSON_Delete.  [any]
 */
#ifndef OC_DATA_JSON_H
#define OC_DATA_JSON_H

#include <cjson/cJSON.h>
#include <stdbool.h>
#include <stdint.h>

#include "core/base/err.h"
#include "core/base/mem.h"
#include "core/base/str.h"

typedef struct oc_json_limits {
	size_t max_bytes;   /* 0: 16 MiB */
	unsigned max_depth; /* 0: 64; at most 512 */
	size_t max_nodes;   /* 0: 1,000,000 */
} oc_json_limits;

/* Parses. limits NULL: the defaults. err tells line and column. */
oc_status oc_json_parse(oc_str text, const oc_json_limits *limits, cJSON **ret, oc_err *err);
/* The same with the tree in an arena, with which it ends: not to be changed, not to be deleted. */
oc_status oc_json_parse_in(oc_arena *arena, oc_str text, const oc_json_limits *limits, const cJSON **ret, oc_err *err);
/* The same checks without building a tree (for tests and fuzzers). */
oc_status oc_json_check(oc_str text, const oc_json_limits *limits, oc_err *err);
/* Compact text, oc_free it; NULL when out of memory. */
char *oc_json_print(const cJSON *node);
char *oc_json_print_pretty(const cJSON *node);
/* Appends compact text to a builder (fails the builder when out of memory). */
void oc_json_add_to(oc_sbuf *b, const cJSON *node);

/* Getters by member name (case-sensitive); the default when absent, null or of another type. obj may be NULL. */
const cJSON *oc_json_get(const cJSON *obj, const char *name);
/* A path of names and [n] joined by dots: "agents.defaults.model.primary", "list[0].id". */
const cJSON *oc_json_path(const cJSON *root, const char *path);
const char *oc_json_str(const cJSON *obj, const char *name, const char *fallback);
oc_str oc_json_ostr(const cJSON *obj, const char *name); /* "" when absent */
int64_t oc_json_i64(const cJSON *obj, const char *name, int64_t fallback); /* also when not a whole number */
double oc_json_num(const cJSON *obj, const char *name, double fallback);
bool oc_json_bool(const cJSON *obj, const char *name, bool fallback);
/* Sets (replaces) a member; false when out of memory, then value is deleted. */
bool oc_json_set(cJSON *obj, const char *name, cJSON *value);
bool oc_json_set_str(cJSON *obj, const char *name, const char *value);
bool oc_json_set_i64(cJSON *obj, const char *name, int64_t value);
bool oc_json_set_bool(cJSON *obj, const char *name, bool value);
/* Puts an item before the at-th of an array (at its end when there are fewer), and takes it. cJSON_InsertItemInArray of some
 * distributions refuses the middle. false: there is no array, or no item. */
bool oc_json_insert(cJSON *array, int at, cJSON *item);
/* Whether an array has that text; false when it is none. */
bool oc_json_has_str(const cJSON *array, const char *text);
/* The same of a list in which "*" stands for every name. */
bool oc_json_names(const cJSON *array, const char *name);
/* Deep equality; order of members does not matter. */
bool oc_json_equal(const cJSON *a, const cJSON *b);

#define oc_auto_json __attribute__((cleanup(oc_cleanup_json)))
void oc_cleanup_json(cJSON **node);

/* Adds a text member when there is a text. */
static inline void oc_json_opt(cJSON *obj, const char *name, const char *value)
{
	if (value != NULL && value[0] != 0)
		(void)oc_json_set_str(obj, name, value);
}

#endif
