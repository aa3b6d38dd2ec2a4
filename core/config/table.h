/*
 * The one table of all configuration keys; internal to core/config.
 *
 * Each top-level key is a section: a head line and a body, one line a key, indented with tabs as the keys nest:
 *
 *   NAME TYPE [LOW..HIGH] [=DEFAULT] [!FLAG]… [# DESCRIPTION]
 *
 * NAME: a key, * for any other key, [] for the entries of a list.
 * TYPE: string integer number boolean object any secret, a word or "word" that stands for itself, several with |, with []
 *       behind it a list of them; @name: an object with the keys of a fragment.
 * DEFAULT: JSON without blanks. Only for keys that are not below * or [].
 * What an error costs: by default the failing value alone (its default then counts). Going up from it, the first of these
 * decides: !minor: still the value alone; !unit: this whole object or entry; !bad=JSON: this value becomes JSON, which is
 * how policies fail closed. !required: the object needs this key.
 * !none: a key of the original that nothing here reads; whoever sets it is told so. !none=JSON: but not for this value, which
 * asks for what is so anyway. tests/lint.sh looks for keys without readers that do not say it.
 *
 * Text instead of structures, because then nothing is relocated at start, and only sections that are used are read.
 */
#ifndef OC_CONFIG_TABLE_H
#define OC_CONFIG_TABLE_H

#include "core/base/err.h"
#include "core/base/str.h"
#include "core/data/json.h"

typedef struct oc_config_section {
	const char *head; /* as a line of the table, without tabs */
	const char *body;
} oc_config_section;

extern const oc_config_section oc_config_sections[];
extern const size_t oc_config_section_count;
extern const oc_config_section oc_config_fragments[]; /* ends with a row of NULL */

/* The schema of one top-level key (cJSON_Delete it), NULL when there is no such key or no memory. With a value only the
 * part of it that the value needs: enough to tell whether it is good, not to say why it is not. */
cJSON *oc_config_section_schema(const char *name, const cJSON *value);
/* The name of the top-level key nearest to a wrong one, or NULL. */
const char *oc_config_section_nearest(const char *wrong, char *out, size_t size);
bool oc_config_section_known(const char *name);
/* Adds the defaults of all sections to a tree; objects on the way are made, what is there stays. OC_E_NOMEM. */
oc_status oc_config_fill_defaults(cJSON *root);

/* What an error at a path costs: how many steps of the path name the part, and what becomes of it. */
typedef struct oc_config_cost {
	size_t steps;	    /* the whole path's steps when only the value goes */
	const cJSON *value; /* what the part becomes; NULL: it is removed. Lives in the schema. */
} oc_config_cost;
/* schema: of the section that is the path's first step. */
oc_config_cost oc_config_cost_of(const cJSON *schema, const char *path);
/* The default of the key at a path, as a new tree; NULL when it has none. */
cJSON *oc_config_default_of(const cJSON *schema, const char *path);

#endif
