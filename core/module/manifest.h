/*
 * A module's manifest (module.json): what it is, and what it asks for, known before any of its code runs.  [any]
 *
 * {"name","version","abi":{"major","minor"},"kinds":["channel","provider","tool","http","hook","service"],"license",
 *  "description","homepage"?,"author"?,"configPath"?:"tools.exec","configSchema"?:{…},"capabilities"?:["net","exec",
 *  "fs.read","fs.write"],"secrets"?:["models.providers.*.apiKey"],"services"?:["http.client"],
 *  "isolation"?:"inprocess|process","providers"?:[…],"channels"?:[…],"tools"?:["read",…]}
 * Unknown members are kept for readers of `root` and otherwise ignored, so that a newer manifest still loads.
 */
#ifndef OC_MODULE_MANIFEST_H
#define OC_MODULE_MANIFEST_H

#include "core/data/json.h"

typedef struct oc_manifest {
	cJSON *root; /* everything below points into it */
	const char *name, *version, *license, *description, *homepage; /* homepage may be "" */
	const char *isolation;   /* "inprocess", "process" or "" */
	const char *config_path; /* "" : modules.entries.<name>.config only */
	uint16_t abi_major, abi_minor;
	uint32_t kinds; /* 1u << OC_KIND_* */
	const cJSON *config_schema, *capabilities, *secrets, *services, *providers, *channels, *tools; /* NULL when absent */
} oc_manifest;

/* Parses and checks; the error names the member. Free with oc_manifest_free. */
oc_status oc_manifest_parse(oc_str text, oc_manifest **ret, oc_err *err);
void oc_manifest_free(oc_manifest *manifest); /* NULL is allowed */
/* Exactly this word is in a list of the manifest ("capabilities", "services"). */
bool oc_manifest_lists(const cJSON *list, oc_str word);
/* Whether the manifest asks for the secret: names match member by member, * stands for one member. */
bool oc_manifest_wants_secret(const oc_manifest *manifest, oc_str name);
/* A module's or service's name: a-z first, then a-z 0-9 . _ -, at most 64 bytes. */
bool oc_manifest_name_ok(oc_str name);

/* "channel" … "service"; NULL when there is no such kind. */
const char *oc_kind_name(uint32_t kind);
uint32_t oc_kind_by_name(oc_str name); /* 0 when there is none */

#endif
