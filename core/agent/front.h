/*
 * The head of a Markdown file between two lines of "---": the part of YAML that such heads use, as a tree.  [any]
 *
 * Mappings and lists by indentation, plain and quoted scalars, "|" and ">" blocks, flow values in JSON's form (over several
 * lines too).  Scalars are strings, except true, false and null.  No anchors, tags, directives or several documents.
 */
#ifndef OC_AGENT_FRONT_H
#define OC_AGENT_FRONT_H

#include "core/base/err.h"
#include "core/data/json.h"

enum { OC_FRONT_MAX = 64 * 1024, OC_FRONT_DEPTH_MAX = 8, OC_FRONT_KEYS_MAX = 512 };

/* *ret is an object, to be deleted; *ret_body (may be NULL) where the text after the head begins. OC_E_NOT_FOUND: the text has
 * no head; OC_E_INVALID, OC_E_LIMIT: err tells the line. */
oc_status oc_front_parse(oc_str text, cJSON **ret, size_t *ret_body, oc_err *err);

#endif
