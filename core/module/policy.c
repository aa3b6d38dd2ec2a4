/* Which modules may run: what the configuration says, pins, two of one name; and the settings each one gets. */
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "core/data/schema.h"
#include "core/module/crash.h"
#include "core/module/internal.h"

const cJSON *oc_modules_setting(const oc_modules *modules, const char *path)
{
	return modules->config != NULL ? oc_config_get(modules->config, path) : NULL;
}

static const cJSON *modules_section(const oc_module *module)
{
	return oc_modules_setting(module->registry, "modules");
}

/* Names may hold dots, so the entry is looked up member by member, not by path. */
const cJSON *oc_module_entry(const oc_module *module)
{
	return oc_json_get(oc_json_get(modules_section(module), "entries"), module->name);
}

static bool listed(const cJSON *list, const char *name)
{
	const cJSON *item;

	cJSON_ArrayForEach(item, list) {
		if (cJSON_IsString(item) && strcmp(item->valuestring, name) == 0)
			return true;
	}
	return false;
}

typedef struct verdict {
	oc_module_state state;
	char reason[400], remedy[256];
} verdict;

/* In the remedy, NAME stands for the module's name. */
static void say(verdict *v, oc_module_state state, const char *name, const char *remedy, const char *reason)
{
	const char *mark = strstr(remedy, "NAME");

	v->state = state;
	(void)snprintf(v->reason, sizeof(v->reason), "%s", reason);
	if (mark == NULL)
		(void)snprintf(v->remedy, sizeof(v->remedy), "%s", remedy);
	else
		(void)snprintf(v->remedy, sizeof(v->remedy), "%.*s%s%s", (int)(mark - remedy), remedy, name, mark + 4);
}

static int64_t ns_of(struct timespec t)
{
	return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

/* The policy is looked at each time a module changes its state, on the loop thread: an open file that has not changed since
 * is not read again. (The change time cannot be set back by who writes.) */
static oc_status hash_of(oc_module *m, char out[65], oc_err *err)
{
	struct stat sb;
	struct oc_pin now = {0};
	oc_status st;

	if (m->file.fd < 0 || fstat(m->file.fd, &sb) != 0)
		return oc_module_sha256(m, out, err);
	now.size = sb.st_size;
	now.mtime_ns = ns_of(sb.st_mtim);
	now.ctime_ns = ns_of(sb.st_ctim);
	if (m->pin.sha[0] != '\0' && m->pin.size == now.size && m->pin.mtime_ns == now.mtime_ns && m->pin.ctime_ns == now.ctime_ns) {
		memcpy(out, m->pin.sha, sizeof(m->pin.sha));
		return OC_OK;
	}
	st = oc_module_sha256(m, now.sha, err);
	if (st != OC_OK)
		return st;
	memcpy(out, now.sha, sizeof(now.sha));
	m->pin = now;
	return OC_OK;
}

/* Third-party code runs only when the operator enabled exactly this file. */
static void judge_pin(oc_module *m, const cJSON *entry, verdict *v)
{
	const char *pin = oc_json_str(entry, "sha256", "");
	char sha[65];
	oc_err err = {0};

	if (!oc_json_bool(entry, "enabled", false)) {
		say(v, OC_MODULE_DISABLED, m->name, "openclaw module enable NAME", "not enabled");
	} else if (pin[0] == '\0') {
		say(v, OC_MODULE_DISABLED, m->name, "openclaw module enable NAME",
		    "enabled in the configuration, but its file was not confirmed (no sha256)");
	} else if (hash_of(m, sha, &err) != OC_OK) {
		say(v, OC_MODULE_REFUSED, m->name, "", err.text);
	} else if (!oc_str_ieq(oc_str_of(pin), oc_str_of(sha))) {
		say(v, OC_MODULE_REFUSED, m->name,
		    "if the new file comes from where you expect, confirm it: openclaw module enable NAME",
		    "the file changed since it was enabled (its SHA-256 differs)");
	}
}

/* Where the operator names keys, a file that pretends to be signed by one of them is not run, and none without where
 * signatures are required. */
static void judge_signature(const oc_module *m, verdict *v)
{
	bool required = oc_json_bool(modules_section(m), "requireSignature", false);
	oc_signature sig;
	oc_err err = {0};

	if (!required && cJSON_GetArraySize(oc_json_get(modules_section(m), "trustedKeys")) == 0)
		return;
	if (oc_module_signature(m, &sig, &err) != OC_OK)
		say(v, OC_MODULE_REFUSED, m->name, err.remedy, err.text);
	else if (required && sig.state == OC_SIGNATURE_NONE)
		say(v, OC_MODULE_REFUSED, m->name, "put the .minisig of its author beside the file",
		    "it is not signed, and modules.requireSignature is on");
	else if (required && sig.state != OC_SIGNATURE_GOOD)
		say(v, OC_MODULE_REFUSED, m->name, "add its author's public key to modules.trustedKeys if you trust it",
		    "it is signed by a key that is not in modules.trustedKeys");
}

/* What brings the gateway down again and again does not run, whatever it is, until somebody says so. */
static void judge_crashes(const oc_module *m, verdict *v)
{
	int number = 0;
	unsigned n = oc_crash_count(m->name, &number);
	char reason[200];

	if (n < OC_CRASHES_MAX)
		return;
	(void)snprintf(reason, sizeof(reason), "its code crashed the gateway %u times within an hour, last with signal %d; the reports are logs/crash-*.txt",
		       n, number);
	say(v, OC_MODULE_QUARANTINED, m->name, "replace it by a version that is mended, then: openclaw module enable NAME", reason);
}

/* What an earlier gateway found out about its process, unless the file is another since; or that it was enabled again. */
static void recall_verdict(oc_module *m)
{
	oc_auto_free char *mark = NULL, *reason = NULL;
	char sha[65];
	oc_err err = {0};

	if (m->verdict != NULL && !m->verdict_kept)
		return;
	oc_free(m->verdict);
	m->verdict = NULL;
	if (oc_crash_quarantined(m->name, &mark, &reason) && (hash_of(m, sha, &err) != OC_OK || strcmp(sha, mark) == 0)) {
		m->verdict = reason;
		m->verdict_kept = true;
		reason = NULL;
	}
}

oc_status oc_policy_mark(oc_module *m, char out[65], oc_err *err)
{
	return hash_of(m, out, err);
}

/* What is not ours gets a process of its own, unless the operator wants it inside. */
static bool wants_process(const oc_module *m, const cJSON *entry)
{
	bool stranger = !m->bundled && (m->registry->isolator != NULL || m->registry->loop == NULL);
	const char *wish = stranger ? "process" : m->manifest->isolation;

	return m->linked == NULL && m->handed == NULL && strcmp(oc_json_str(entry, "isolation", wish), "process") == 0;
}

static void judge(oc_module *m, verdict *v)
{
	const cJSON *section = modules_section(m), *entry = oc_module_entry(m);
	const cJSON *allow = oc_json_get(section, "allow"), *enabled = oc_json_get(entry, "enabled");

	v->state = OC_MODULE_VERIFIED;
	m->isolate = wants_process(m, entry);
	if (m->handed != NULL)
		return;
	/* The core's own tools are no module that somebody chose: they go only when they are named. */
	bool core = strcmp(m->origin, "core") == 0;
	if (core && !listed(oc_json_get(section, "deny"), m->name) && !cJSON_IsFalse(enabled))
		return;
	if (!oc_json_bool(section, "enabled", true))
		say(v, OC_MODULE_DISABLED, m->name, "openclaw config set modules.enabled true",
		    "all modules are switched off (modules.enabled)");
	else if (listed(oc_json_get(section, "deny"), m->name))
		say(v, OC_MODULE_DISABLED, m->name, "take NAME out of modules.deny", "denied by the configuration (modules.deny)");
	else if (cJSON_GetArraySize(allow) > 0 && !listed(allow, m->name))
		say(v, OC_MODULE_DISABLED, m->name, "add NAME to modules.allow", "not in the list modules.allow");
	else if (cJSON_IsFalse(enabled))
		say(v, OC_MODULE_DISABLED, m->name, "openclaw module enable NAME", "disabled by the configuration");
	else if (!m->bundled && m->registry->safe_mode)
		say(v, OC_MODULE_DISABLED, m->name, "start the gateway without --safe-mode", "safe mode: bundled modules only");
	else if (!m->bundled)
		judge_pin(m, entry, v);
	if (v->state == OC_MODULE_VERIFIED && !m->bundled)
		judge_signature(m, v);
	if (v->state == OC_MODULE_VERIFIED && m->linked == NULL)
		judge_crashes(m, v);
	if (v->state == OC_MODULE_VERIFIED && m->isolate)
		recall_verdict(m);
	if (v->state == OC_MODULE_VERIFIED && m->verdict != NULL)
		say(v, OC_MODULE_QUARANTINED, m->name, "replace it by a version that is mended, then: openclaw module enable NAME", m->verdict);
	if (v->state == OC_MODULE_VERIFIED && m->isolate && m->registry->isolator == NULL && m->registry->loop != NULL)
		say(v, OC_MODULE_REFUSED, m->name,
		    "to run it inside this one, set \"isolation\": \"inprocess\" under modules.entries.NAME",
		    "it is to run in a process of its own, and nothing here can start one");
}

/* A process runs a copy of its file: when the operator confirmed what lies there now, that is taken for the next process. */
static void follow_file(oc_module *m)
{
	const char *pin = oc_json_str(oc_module_entry(m), "sha256", "");
	oc_module_file file = {.fd = -1};
	oc_manifest *manifest = NULL;
	char sha[65] = "";
	oc_err err = {0};

	if (!m->isolated || m->bundled || m->file.fd < 0 || pin[0] == '\0' || hash_of(m, sha, &err) != OC_OK
	    || oc_str_ieq(oc_str_of(pin), oc_str_of(sha)))
		return;
	if (oc_loader_open(m->path, m->own_tree, &file, &err) != OC_OK)
		return;
	if (oc_loader_sha256(&file, sha, &err) != OC_OK || !oc_str_ieq(oc_str_of(pin), oc_str_of(sha))
	    || oc_loader_manifest(&file, &manifest, &err) != OC_OK || strcmp(manifest->name, m->name) != 0) {
		oc_manifest_free(manifest);
		oc_loader_close(&file);
		return;
	}
	oc_loader_close(&m->file);
	oc_manifest_free(m->manifest);
	oc_free(m->verdict);
	m->verdict = NULL;
	m->file = file;
	m->manifest = manifest;
	m->dev = file.dev;
	m->ino = file.ino;
	m->pin.sha[0] = '\0';
	m->replaced = m->inited;
}

/* Of modules with one name one may run: the one that runs already, the one whose file the operator confirmed, the bundled
 * one, the first on the search path. */
static int rank_of(const oc_module *m, const verdict *v)
{
	if (m->inited)
		return 4;
	if (m->bad)
		return 0;
	if (!m->bundled && v->state == OC_MODULE_VERIFIED)
		return 3;
	return m->bundled ? 2 : 1;
}

static void settle(oc_module *m, const verdict *v)
{
	m->enabled = v->state == OC_MODULE_VERIFIED;
	if (m->inited || m->batch != NULL)
		return; /* core/module/lifecycle.c acts on `enabled` */
	/* Why it does not run although it may, stays to be read. */
	if (m->enabled && (m->start_failed || m->state == OC_MODULE_STOPPED))
		return;
	oc_module_set_state(m, v->state, v->reason, v->remedy);
	if (!m->enabled && !m->file.mapped)
		oc_loader_close(&m->file);
}

static void settle_group(oc_modules *modules, size_t from, size_t to)
{
	size_t best = from;
	int best_rank = -1;

	for (size_t i = from; i < to; i++) {
		oc_module *m = modules->list[i];
		verdict v = {.state = OC_MODULE_REFUSED};
		int rank;

		/* What was closed because it was disabled is looked at afresh before it may run. */
		if (!m->bad && m->linked == NULL && m->file.fd < 0 && !m->inited)
			oc_module_inspect(m);
		if (!m->bad) {
			follow_file(m);
			judge(m, &v);
		}
		rank = rank_of(m, &v);
		if (rank > best_rank) {
			best = i;
			best_rank = rank;
		}
		if (m->bad)
			m->enabled = false;
		else
			settle(m, &v);
	}
	for (size_t i = from; i < to; i++) {
		oc_module *m = modules->list[i];
		verdict v = {0};
		oc_auto_free char *reason = NULL;

		if (i == best || m->bad || m->inited)
			continue;
		reason = oc_asprintf("another module named %s comes first: %s", m->name,
				     modules->list[best]->path[0] != '\0' ? modules->list[best]->path : "part of the binary");
		say(&v, OC_MODULE_REFUSED, m->name, "remove one of the two files, or confirm this one: openclaw module enable PATH",
		    reason != NULL ? reason : "another module of that name comes first");
		settle(m, &v);
	}
}

void oc_policy_apply(oc_modules *modules, const char *name)
{
	for (size_t i = 0; i < modules->n;) {
		size_t end = i + 1;

		while (end < modules->n && strcmp(modules->list[end]->name, modules->list[i]->name) == 0)
			end++;
		if (name == NULL || strcmp(name, modules->list[i]->name) == 0)
			settle_group(modules, i, end);
		i = end;
	}
}

/* ---- Settings ---- */

static void overlay(cJSON *base, const cJSON *over)
{
	const cJSON *item;

	cJSON_ArrayForEach(item, over)
		(void)oc_json_set(base, item->string, cJSON_Duplicate(item, true));
}

/* Secrets are asked for one by one (host->secret); they do not travel with the settings. */
static const cJSON *schema_of(const cJSON *schema, const cJSON *item)
{
	const cJSON *sub;

	if (item->string == NULL) {
		sub = oc_json_get(schema, "items");
	} else {
		sub = oc_json_get(oc_json_get(schema, "properties"), item->string);
		if (sub == NULL)
			sub = oc_json_get(schema, "additionalProperties");
	}
	return cJSON_IsObject(sub) ? sub : NULL;
}

static void strip_secrets(cJSON *value, const cJSON *schema)
{
	cJSON *item = value->child;

	while (item != NULL) {
		cJSON *next = item->next;
		const cJSON *sub = schema_of(schema, item);

		if (oc_json_bool(sub, "sensitive", false)
		    || (item->string != NULL && cJSON_IsString(item) && oc_config_sensitive(item->string)))
			cJSON_Delete(cJSON_DetachItemViaPointer(value, item));
		else if (cJSON_IsObject(item) || cJSON_IsArray(item))
			strip_secrets(item, sub);
		item = next;
	}
}

oc_status oc_policy_config(const oc_module *module, char **ret, oc_err *err)
{
	const oc_manifest *manifest = module->manifest;
	const cJSON *base = manifest->config_path[0] != '\0' ? oc_modules_setting(module->registry, manifest->config_path)
							     : NULL;
	oc_auto_json cJSON *value = cJSON_IsObject(base) ? cJSON_Duplicate(base, true) : cJSON_CreateObject();
	char *text;

	if (value != NULL && module->handed != NULL) {
		*ret = oc_strdup(module->handed);
		return *ret != NULL ? OC_OK : oc_fail(err, OC_E_NOMEM, NULL, "no memory for the settings of %s", module->name);
	}
	if (value == NULL)
		return oc_fail(err, OC_E_NOMEM, NULL, "no memory for the settings of %s", module->name);
	overlay(value, oc_json_get(oc_module_entry(module), "config"));
	if (manifest->config_schema != NULL) {
		oc_status st = oc_schema_check_fill(manifest->config_schema, value, err);

		if (st != OC_OK)
			return oc_err_prefix(err, "the settings of module %s (modules.entries.%s.config%s%s) are wrong",
					     module->name, module->name, manifest->config_path[0] != '\0' ? ", " : "",
					     manifest->config_path);
	}
	strip_secrets(value, manifest->config_schema);
	text = oc_json_print(value);
	if (text == NULL)
		return oc_fail(err, OC_E_NOMEM, NULL, "no memory for the settings of %s", module->name);
	*ret = text;
	return OC_OK;
}
