/*
 * Logins that plugins made and that end (OAuth): renewed by the provider's plugin before they do, one at a time, and kept where
 * the keyring reads them.  A login that cannot be renewed is tried again later, and said in words.
 */
#include <string.h>

#include "core/agent/auth_file.h"
#include "core/agent/keyring.h"
#include "core/base/clock.h"
#include "core/base/log.h"
#include "core/base/mem.h"
#include "core/gateway/plugin_host.h"

enum {
	LOOK_MS = 60 * 1000,
	BEFORE_MS = 5 * 60 * 1000, /* the end */
	AGAIN_MS = 5 * 60 * 1000,  /* after a failure, and before a login that was renewed is looked at again */
	PROFILE_MAX = 128,
};

typedef struct tried {
	struct tried *next;
	uint64_t again_ms;
	char agent[65], profile[PROFILE_MAX];
} tried;

struct oc_plugin_renewals {
	oc_runtime *rt;
	tried *tried;
	const tried *now; /* asked for */
	oc_plugin *plugin;
	cJSON *credential; /* as it was */
};

static void look(void *arg);

static tried *find_or_add(struct oc_plugin_renewals *r, const char *agent, const char *profile)
{
	tried *t = r->tried;
	while (t != NULL && (strcmp(t->agent, agent) != 0 || strcmp(t->profile, profile) != 0))
		t = t->next;
	if (t != NULL || strlen(profile) >= PROFILE_MAX || (t = oc_calloc(1, sizeof *t)) == NULL)
		return t;
	(void)snprintf(t->agent, sizeof t->agent, "%s", agent);
	(void)snprintf(t->profile, sizeof t->profile, "%s", profile);
	t->next = r->tried;
	r->tried = t;
	return t;
}

static oc_status keep(const struct oc_plugin_renewals *r, oc_str result, oc_err *err)
{
	cJSON *fresh = NULL;
	const cJSON *member;
	oc_auto_free char *path = oc_auth_file_path(NULL, r->now->agent);
	oc_status status = path != NULL ? oc_json_parse(result, NULL, &fresh, err) : OC_E_NOMEM;
	if (status == OC_OK && oc_json_str(fresh, "access", "")[0] == 0)
		status = oc_fail(err, OC_E_PROTOCOL, NULL, "the plugin gave no new token");
	cJSON_ArrayForEach(member, fresh)
	{
		if (status == OC_OK && !oc_json_set(r->credential, member->string, cJSON_Duplicate(member, true)))
			status = OC_E_NOMEM;
	}
	if (status == OC_OK)
		status = oc_auth_file_save(path, r->now->profile, r->credential, err);
	oc_auth_file_wipe(fresh);
	cJSON_Delete(fresh);
	return status;
}

static void renewed(void *arg, oc_status status, oc_str result)
{
	struct oc_plugin_renewals *r = arg;
	const tried *t = r->now;
	oc_err err = {0};
	if (status != OC_OK)
		(void)oc_fail(&err, status, NULL, "%.*s", OC_STR_ARG(result));
	else
		status = keep(r, result, &err);
	if (status == OC_OK) {
		oc_keyring_renewed(r->rt->agent, t->agent, oc_json_str(r->credential, "provider", ""), t->profile);
		oc_info("auth", "the login %s was renewed", t->profile);
	} else {
		oc_plugin_login_failed(r->plugin, t->profile, oc_json_str(r->credential, "provider", ""), err.text);
	}
	oc_auth_file_wipe(r->credential);
	cJSON_Delete(r->credential);
	r->credential = NULL;
	r->now = NULL;
	if (status == OC_OK)
		look(r);
}

/* true: it is being renewed. */
static bool begin(struct oc_plugin_renewals *r, const char *agent, const cJSON *profile)
{
	oc_plugin *plugin = oc_bridge_provider(r->rt->bridge, oc_json_str(profile, "provider", ""));
	tried *t = plugin != NULL ? find_or_add(r, agent, profile->string) : NULL;
	uint64_t now = oc_now_ms();
	if (t == NULL || t->again_ms > now)
		return false;
	t->again_ms = now + AGAIN_MS;
	r->credential = cJSON_Duplicate(profile, true);
	r->now = t;
	r->plugin = plugin;
	if (r->credential != NULL && oc_plugin_renew(plugin, r->credential, renewed, r) == OC_OK)
		return true;
	oc_auth_file_wipe(r->credential);
	cJSON_Delete(r->credential);
	r->credential = NULL;
	r->now = NULL;
	return false;
}

static bool look_at(struct oc_plugin_renewals *r, const char *agent)
{
	cJSON *root = NULL;
	const cJSON *profile;
	int64_t soon = oc_wall_ms() + BEFORE_MS;
	bool busy = false;
	oc_auto_free char *path = oc_auth_file_path(NULL, agent);
	if (path == NULL || oc_auth_file_read(path, &root, NULL) != OC_OK)
		return false;
	cJSON_ArrayForEach(profile, oc_json_get(root, "profiles"))
	{
		int64_t expires = oc_json_i64(profile, "expires", 0);
		if (strcmp(oc_json_str(profile, "type", ""), "oauth") != 0 || oc_json_str(profile, "refresh", "")[0] == 0 || expires <= 0)
			continue;
		/* With a clock that was set back it has ended before its time: the provider says so. */
		bool over = expires < soon || oc_keyring_refused(r->rt->agent, agent, oc_json_str(profile, "provider", ""), profile->string);
		if (over && (busy = begin(r, agent, profile)))
			break;
	}
	oc_auth_file_wipe(root);
	cJSON_Delete(root);
	return busy;
}

static void look(void *arg)
{
	struct oc_plugin_renewals *r = arg;
	const cJSON *one;
	char main_id[65];
	if (r->now != NULL || look_at(r, oc_agent_default_id(r->rt->config, main_id)))
		return;
	cJSON_ArrayForEach(one, oc_config_get(r->rt->config, "agents.list"))
	{
		const char *id = oc_json_str(one, "id", "");
		if (id[0] != 0 && strlen(id) < sizeof main_id && strcmp(id, main_id) != 0 && look_at(r, id))
			return;
	}
}

void oc_plugin_renewals_start(oc_runtime *rt)
{
	struct oc_plugin_renewals *r = oc_calloc(1, sizeof *r);
	if (r == NULL)
		return;
	r->rt = rt;
	rt->plugin_renewals = r;
	(void)oc_timer_start(rt->owner, LOOK_MS, LOOK_MS, look, r);
	oc_keyring_watch(rt->agent, look, r);
	look(r);
}

void oc_plugin_renewals_free(oc_runtime *rt)
{
	struct oc_plugin_renewals *r = rt->plugin_renewals;
	rt->plugin_renewals = NULL;
	while (r != NULL && r->tried != NULL) {
		tried *t = r->tried;
		r->tried = t->next;
		oc_free(t);
	}
	if (r != NULL) {
		oc_auth_file_wipe(r->credential);
		cJSON_Delete(r->credential);
	}
	oc_free(r);
}
