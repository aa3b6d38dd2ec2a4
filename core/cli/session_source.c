#include "core/cli/session_source.h"

#include <string.h>

#include "core/agent/session.h"
#include "core/base/path.h"
#include "core/cli/remote.h"
#include "core/config/config.h"

struct oc_session_source {
	oc_store *store; /* NULL: the gateway is asked */
};

oc_status oc_session_source_open(bool change, oc_session_source **ret, oc_err *err)
{
	oc_session_source *s = oc_alloc(sizeof *s);
	oc_auto_free char *path = oc_path_state("openclaw.db");
	oc_status status = s != NULL && path != NULL ? OC_OK : oc_fail(err, OC_E_NOMEM, NULL, "out of memory");
	/* A store that is not there is not made for a question, nor for deleting from it. */
	if (status == OC_OK && !oc_remote_alive()) {
		if (change && !oc_path_exists(path))
			status = oc_fail(err, OC_E_NOT_FOUND, "start the gateway or send a first message",
					 "there is no store yet at %s", path);
		else
			status = oc_store_open(path, NULL, change ? OC_STORE_SHARED : OC_STORE_READER, &s->store, err);
	}
	if (status != OC_OK) {
		oc_free(s);
		return status;
	}
	*ret = s;
	return OC_OK;
}

void oc_session_source_close(oc_session_source *s)
{
	if (s == NULL)
		return;
	oc_store_close(s->store);
	oc_free(s);
}

/* ---- The gateway ---- */

static void put_number(cJSON *params, const char *name, int64_t value)
{
	if (value > 0)
		(void)oc_json_set_i64(params, name, value);
}

/* Calls a method and takes one member of its result, or all of it. */
static oc_status call(const char *method, cJSON *params, const char *member, cJSON **ret, oc_err *err)
{
	cJSON *result = NULL;
	oc_status status = oc_remote_call(method, params, 60000, &result, err);
	if (status != OC_OK)
		return status;
	cJSON *part = member != NULL ? cJSON_DetachItemFromObjectCaseSensitive(result, member) : result;
	if (member != NULL)
		cJSON_Delete(result);
	if (part == NULL)
		return oc_fail(err, OC_E_PROTOCOL, NULL, "the gateway's answer to %s has no %s", method, member);
	*ret = part;
	return OC_OK;
}

/* ---- The store ---- */

/* The session's key for what was written. */
static oc_status find_key(const char *name, char key[OC_SESSION_KEY_MAX], oc_err *err)
{
	oc_config *config = NULL;
	/* A configuration that cannot be read must not hide what was said. */
	(void)oc_config_load(NULL, &config, NULL);
	const cJSON *list = config != NULL ? oc_config_get(config, "agents.list") : NULL, *agent = cJSON_GetArrayItem(list, 0), *a;
	cJSON_ArrayForEach(a, list) if (oc_json_bool(a, "default", false)) agent = a;
	oc_status status = oc_session_key_resolve(oc_str_of(name), oc_json_str(agent, "id", "main"),
						  config != NULL ? oc_config_str(config, "session.mainKey", "main") : "main", key,
						  err);
	oc_config_unref(config);
	return status;
}

/* ---- Both ---- */

oc_status oc_session_source_list(oc_session_source *s, const oc_session_filter *f, cJSON **ret, oc_err *err)
{
	if (s->store != NULL)
		return oc_store_sessions(s->store, f, ret, err);
	cJSON *params = cJSON_CreateObject();
	oc_json_opt(params, "agent", f->agent);
	oc_json_opt(params, "channel", f->channel);
	oc_json_opt(params, "kind", f->kind);
	oc_json_opt(params, "state", f->state);
	oc_json_opt(params, "text", f->text);
	put_number(params, "activeSince", f->active_since_ms);
	put_number(params, "limit", f->limit);
	put_number(params, "offset", f->offset);
	return call("session.list", params, "sessions", ret, err);
}

oc_status oc_session_source_get(oc_session_source *s, const char *name, cJSON **ret, oc_err *err)
{
	if (s->store == NULL) {
		cJSON *params = cJSON_CreateObject();
		oc_json_opt(params, "session", name);
		return call("session.get", params, NULL, ret, err);
	}
	char key[OC_SESSION_KEY_MAX];
	oc_status status = find_key(name, key, err);
	return status == OC_OK ? oc_store_session(s->store, key, ret, err) : status;
}

oc_status oc_session_source_history(oc_session_source *s, const char *name, const oc_history_filter *f, cJSON **ret, oc_err *err)
{
	if (s->store == NULL) {
		cJSON *params = cJSON_CreateObject();
		oc_json_opt(params, "session", name);
		put_number(params, "before", f->before_seq);
		put_number(params, "after", f->after_seq);
		put_number(params, "limit", f->limit);
		(void)oc_json_set_bool(params, "all", f->all_epochs);
		(void)oc_json_set_bool(params, "tools", !f->no_tools);
		return call("session.history", params, "messages", ret, err);
	}
	char key[OC_SESSION_KEY_MAX];
	oc_status status = find_key(name, key, err);
	return status == OC_OK ? oc_store_history(s->store, key, f, ret, err) : status;
}

oc_status oc_session_source_events(oc_session_source *s, const char *name, int64_t after, int64_t limit, cJSON **ret, oc_err *err)
{
	if (s->store == NULL) {
		cJSON *params = cJSON_CreateObject();
		oc_json_opt(params, "session", name);
		put_number(params, "after", after);
		put_number(params, "limit", limit);
		return call("session.events", params, "events", ret, err);
	}
	char key[OC_SESSION_KEY_MAX];
	oc_status status = find_key(name, key, err);
	return status == OC_OK ? oc_store_events(s->store, key, after, limit, ret, err) : status;
}

oc_status oc_session_source_search(oc_session_source *s, const char *query, const oc_search_filter *f, cJSON **ret, oc_err *err)
{
	if (s->store == NULL) {
		cJSON *params = cJSON_CreateObject();
		oc_json_opt(params, "query", query);
		oc_json_opt(params, "agent", f->agent);
		oc_json_opt(params, "session", f->session);
		oc_json_opt(params, "role", f->role);
		put_number(params, "since", f->since_ms);
		put_number(params, "limit", f->limit);
		return call("session.search", params, "matches", ret, err);
	}
	char key[OC_SESSION_KEY_MAX];
	oc_search_filter own = *f;
	oc_status status = OC_OK;
	if (f->session != NULL) {
		status = find_key(f->session, key, err);
		own.session = key;
	}
	return status == OC_OK ? oc_store_search(s->store, query, &own, ret, err) : status;
}

static oc_status change(oc_session_source *s, const char *name, const char *method, oc_err *err)
{
	cJSON *result = NULL;
	if (s->store == NULL) {
		cJSON *params = cJSON_CreateObject();
		oc_json_opt(params, "session", name);
		oc_status status = call(method, params, NULL, &result, err);
		cJSON_Delete(result);
		return status;
	}
	char key[OC_SESSION_KEY_MAX];
	oc_status status = find_key(name, key, err);
	if (status == OC_OK)
		status = oc_store_session(s->store, key, &result, err); /* resetting one that is not there would make it */
	cJSON_Delete(result);
	if (status != OC_OK)
		return status;
	oc_batch *b = oc_batch_new(s->store);
	if (b != NULL && strcmp(method, "session.reset") == 0)
		oc_batch_session_reset(b, key, "operator");
	else if (b != NULL)
		oc_batch_session_delete(b, key);
	return oc_batch_commit_now(b, err);
}

oc_status oc_session_source_reset(oc_session_source *s, const char *name, oc_err *err)
{
	return change(s, name, "session.reset", err);
}

oc_status oc_session_source_delete(oc_session_source *s, const char *name, oc_err *err)
{
	return change(s, name, "session.delete", err);
}
