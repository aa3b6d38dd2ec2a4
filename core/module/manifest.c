/* module.json: parsing and checking. */
#include "core/module/manifest.h"

#include <stdint.h>
#include <string.h>

#include "core/base/mem.h"
#include "core/base/str.h"

#define REMEDY "correct module.json and build the module again"

enum { LIST_MAX = 64, WORD_MAX = 128, TEXT_MAX = 500 };

static const char *const kind_names[] = {
	[OC_KIND_CHANNEL] = "channel", [OC_KIND_PROVIDER] = "provider", [OC_KIND_TOOL] = "tool",
	[OC_KIND_STORAGE] = "storage", [OC_KIND_MEMORY] = "memory",     [OC_KIND_HTTP] = "http",
	[OC_KIND_HOOK] = "hook",       [OC_KIND_SERVICE] = "service",
};

const char *oc_kind_name(uint32_t kind)
{
	return kind < sizeof(kind_names) / sizeof(kind_names[0]) ? kind_names[kind] : NULL;
}

uint32_t oc_kind_by_name(oc_str name)
{
	for (uint32_t i = 1; i < sizeof(kind_names) / sizeof(kind_names[0]); i++)
		if (oc_str_eqz(name, kind_names[i]))
			return i;
	return 0;
}

bool oc_manifest_name_ok(oc_str name)
{
	if (name.n == 0 || name.n > 64 || name.p[0] < 'a' || name.p[0] > 'z')
		return false;
	for (size_t i = 0; i < name.n; i++) {
		char c = name.p[i];

		if (!((c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '.' || c == '_' || c == '-'))
			return false;
	}
	return true;
}

/* A text member; needed or "" when absent. Control characters would disturb terminals and logs. */
static oc_status text_member(const cJSON *root, const char *member, bool needed, size_t max, const char **ret, oc_err *err)
{
	const cJSON *v = oc_json_get(root, member);

	if (v == NULL && !needed) {
		*ret = "";
		return OC_OK;
	}
	if (v == NULL)
		return oc_fail(err, OC_E_INVALID, REMEDY, "the manifest lacks \"%s\"", member);
	if (!cJSON_IsString(v))
		return oc_fail(err, OC_E_INVALID, REMEDY, "\"%s\" in the manifest must be a text", member);
	if (strlen(v->valuestring) > max || (needed && v->valuestring[0] == '\0'))
		return oc_fail(err, OC_E_INVALID, REMEDY, "\"%s\" in the manifest must have 1 to %zu bytes", member, max);
	for (const char *p = v->valuestring; *p != '\0'; p++)
		if ((unsigned char)*p < 0x20 || *p == 0x7f)
			return oc_fail(err, OC_E_INVALID, REMEDY, "\"%s\" in the manifest holds a control character",
				       member);
	*ret = v->valuestring;
	return OC_OK;
}

static oc_status list_member(const cJSON *root, const char *member, const cJSON **ret, oc_err *err)
{
	const cJSON *list = oc_json_get(root, member), *item;
	unsigned n = 0;

	*ret = NULL;
	if (list == NULL)
		return OC_OK;
	if (!cJSON_IsArray(list))
		return oc_fail(err, OC_E_INVALID, REMEDY, "\"%s\" in the manifest must be a list", member);
	cJSON_ArrayForEach(item, list) {
		if (++n > LIST_MAX)
			return oc_fail(err, OC_E_INVALID, REMEDY, "\"%s\" in the manifest has more than %d entries", member,
				       LIST_MAX);
		if (!cJSON_IsString(item) || item->valuestring[0] == '\0' || strlen(item->valuestring) > WORD_MAX)
			return oc_fail(err, OC_E_INVALID, REMEDY,
				       "\"%s\" in the manifest must hold words of 1 to %d bytes", member, WORD_MAX);
	}
	*ret = list;
	return OC_OK;
}

/* A list of objects with an id each. */
static oc_status objects_member(const cJSON *root, const char *member, const cJSON **ret, oc_err *err)
{
	const cJSON *list = oc_json_get(root, member), *item;

	*ret = NULL;
	if (list == NULL)
		return OC_OK;
	if (!cJSON_IsArray(list) || cJSON_GetArraySize(list) > LIST_MAX)
		return oc_fail(err, OC_E_INVALID, REMEDY, "\"%s\" in the manifest must be a list of at most %d entries", member,
			       LIST_MAX);
	cJSON_ArrayForEach(item, list) {
		if (!oc_manifest_name_ok(oc_json_ostr(item, "id")))
			return oc_fail(err, OC_E_INVALID, REMEDY,
				       "each of \"%s\" in the manifest needs an \"id\" of a-z, 0-9, '.', '_' and '-'", member);
	}
	*ret = list;
	return OC_OK;
}

static oc_status read_abi(oc_manifest *m, oc_err *err)
{
	const cJSON *abi = oc_json_get(m->root, "abi");
	int64_t major = oc_json_i64(abi, "major", -1), minor = oc_json_i64(abi, "minor", -1);

	if (major < 1 || major > UINT16_MAX || minor < 0 || minor > UINT16_MAX)
		return oc_fail(err, OC_E_INVALID, REMEDY,
			       "the manifest must say \"abi\": {\"major\": %d, \"minor\": %d}", OC_ABI_MAJOR, OC_ABI_MINOR);
	m->abi_major = (uint16_t)major;
	m->abi_minor = (uint16_t)minor;
	return OC_OK;
}

static oc_status read_kinds(oc_manifest *m, oc_err *err)
{
	const cJSON *kinds, *item;
	oc_status st = list_member(m->root, "kinds", &kinds, err);

	if (st != OC_OK)
		return st;
	if (kinds == NULL || cJSON_GetArraySize(kinds) == 0)
		return oc_fail(err, OC_E_INVALID, REMEDY, "the manifest lacks \"kinds\", for example [\"tool\"]");
	cJSON_ArrayForEach(item, kinds) {
		uint32_t kind = oc_kind_by_name(oc_str_of(item->valuestring));

		if (kind == 0)
			return oc_fail(err, OC_E_INVALID, REMEDY,
				       "the manifest names a kind \"%.40s\", which does not exist", item->valuestring);
		m->kinds |= UINT32_C(1) << kind;
	}
	return OC_OK;
}

static oc_status read_members(oc_manifest *m, oc_err *err)
{
	const cJSON *root = m->root;
	oc_status st = text_member(root, "name", true, 64, &m->name, err);

	if (st == OC_OK && !oc_manifest_name_ok(oc_str_of(m->name)))
		st = oc_fail(err, OC_E_INVALID, REMEDY,
			     "the manifest's name \"%s\" must begin with a-z and hold only a-z, 0-9, '.', '_' and '-'", m->name);
	if (st == OC_OK)
		st = text_member(root, "version", true, 64, &m->version, err);
	if (st == OC_OK)
		st = text_member(root, "license", true, 100, &m->license, err);
	if (st == OC_OK)
		st = text_member(root, "description", true, TEXT_MAX, &m->description, err);
	if (st == OC_OK)
		st = text_member(root, "homepage", false, TEXT_MAX, &m->homepage, err);
	if (st == OC_OK)
		st = text_member(root, "configPath", false, WORD_MAX, &m->config_path, err);
	if (st == OC_OK)
		st = text_member(root, "isolation", false, 16, &m->isolation, err);
	if (st == OC_OK && m->isolation[0] != '\0' && strcmp(m->isolation, "inprocess") != 0
	    && strcmp(m->isolation, "process") != 0)
		st = oc_fail(err, OC_E_INVALID, REMEDY,
			     "\"isolation\" in the manifest must be \"inprocess\" or \"process\", not \"%s\"", m->isolation);
	if (st == OC_OK)
		st = read_abi(m, err);
	if (st == OC_OK)
		st = read_kinds(m, err);
	if (st == OC_OK)
		st = list_member(root, "capabilities", &m->capabilities, err);
	if (st == OC_OK)
		st = list_member(root, "secrets", &m->secrets, err);
	if (st == OC_OK)
		st = list_member(root, "services", &m->services, err);
	if (st == OC_OK)
		st = list_member(root, "tools", &m->tools, err);
	if (st == OC_OK)
		st = objects_member(root, "providers", &m->providers, err);
	if (st == OC_OK)
		st = objects_member(root, "channels", &m->channels, err);
	m->config_schema = oc_json_get(root, "configSchema");
	if (st == OC_OK && m->config_schema != NULL && !cJSON_IsObject(m->config_schema))
		st = oc_fail(err, OC_E_INVALID, REMEDY, "\"configSchema\" in the manifest must be an object");
	return st;
}

oc_status oc_manifest_parse(oc_str text, oc_manifest **ret, oc_err *err)
{
	static const oc_json_limits limits = {.max_bytes = 256 * 1024, .max_depth = 48, .max_nodes = 20000};
	oc_manifest *m = oc_alloc(sizeof(*m));
	oc_status st;

	if (m == NULL)
		return oc_fail(err, OC_E_NOMEM, NULL, "no memory for the manifest");
	st = oc_json_parse(text, &limits, &m->root, err);
	if (st != OC_OK) {
		(void)oc_err_prefix(err, "the manifest is not valid JSON");
		if (err != NULL && st != OC_E_NOMEM)
			memcpy(err->remedy, REMEDY, sizeof(REMEDY));
	} else if (!cJSON_IsObject(m->root)) {
		st = oc_fail(err, OC_E_INVALID, REMEDY, "the manifest must be a JSON object");
	} else {
		st = read_members(m, err);
	}
	if (st != OC_OK) {
		oc_manifest_free(m);
		return st;
	}
	*ret = m;
	return OC_OK;
}

void oc_manifest_free(oc_manifest *manifest)
{
	if (manifest == NULL)
		return;
	cJSON_Delete(manifest->root);
	oc_free(manifest);
}

bool oc_manifest_lists(const cJSON *list, oc_str word)
{
	const cJSON *item;

	cJSON_ArrayForEach(item, list) {
		if (oc_str_eqz(word, item->valuestring))
			return true;
	}
	return false;
}

/* "openai:work" is a further key of openai: whoever may have the one may have the others. */
static oc_str profiled(oc_str member)
{
	return oc_str_cut(&member, ':');
}

/* Dots separate members; "*" stands for one whole member. */
static bool secret_matches(oc_str pattern, oc_str name)
{
	while (pattern.p != NULL && name.p != NULL) {
		oc_str a = oc_str_cut(&pattern, '.'), b = oc_str_cut(&name, '.');

		if (b.n == 0 || (!oc_str_eqz(a, "*") && !oc_str_eq(a, b) && !oc_str_eq(a, profiled(b))))
			return false;
	}
	return pattern.p == NULL && name.p == NULL;
}

bool oc_manifest_wants_secret(const oc_manifest *manifest, oc_str name)
{
	const cJSON *item;

	cJSON_ArrayForEach(item, manifest->secrets) {
		if (secret_matches(oc_str_of(item->valuestring), name))
			return true;
	}
	return false;
}
