/*
 * Paths into JSON trees: names and [n] joined by dots, ["…"] for names that are not plain ("agents.list[0].tools",
 * "agents.defaults.models[\"openai/gpt-4.1\"].alias").  [any]
 */
#ifndef OC_DATA_JPATH_H
#define OC_DATA_JPATH_H

#include "core/base/err.h"
#include "core/base/str.h"

/* One step: a name, or an index when name.p is NULL. The name is unescaped into the iterator's own buffer. */
typedef struct oc_jpath {
	const char *rest; /* what is still to be read */
	char name[256];   /* the step's name, NUL-terminated; "" for an index */
	size_t index;
	bool is_index;
	bool first; /* no step has been read yet */
} oc_jpath;

void oc_jpath_begin(oc_jpath *it, const char *path);
/* Reads the next step. OC_OK, OC_E_NOT_FOUND at the end, OC_E_INVALID when the path is malformed. */
oc_status oc_jpath_next(oc_jpath *it);
/* OC_OK when well-formed and not empty; err names the place. */
oc_status oc_jpath_check(const char *path, oc_err *err);
/* Appends one step to a path under construction, quoting the name when it is needed. */
void oc_jpath_add_name(oc_sbuf *path, const char *name);
void oc_jpath_add_index(oc_sbuf *path, size_t index);
/* Whether `path` is `prefix` or lies under it. */
bool oc_jpath_under(const char *path, const char *prefix);

#endif
