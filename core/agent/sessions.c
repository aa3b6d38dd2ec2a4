/* Sessions as people and clients see them: reading, making, resetting, ending, deleting. */
#include <string.h>

#include "core/agent/journal.h"
#include "core/agent/subagent.h"
#include "core/agent/transcript.h"
#include "core/base/clock.h"
#include "core/base/id.h"
#include "core/base/log.h"

#define WAIT_STEP_MS 5
#define WAIT_MAX_MS 10000

/* ---- Reading ---- */

static oc_status resolve(oc_agent *agent, oc_str session, char out[OC_SESSION_KEY_MAX], oc_err *err)
{
	char id[65];
	return oc_session_key_resolve(session, oc_agent_default_id(agent->config, id), oc_agent_main_key(agent->config), out, err);
}

static void add_running(oc_agent *agent, cJSON *session)
{
	const oc_turn *turn = oc_lane_running(agent, oc_json_str(session, "key", ""));
	if (turn != NULL)
		(void)oc_json_set_str(session, "running", turn->run);
}

oc_status oc_agent_sessions(oc_agent *agent, const oc_session_filter *filter, cJSON **ret_array, oc_err *err)
{
	oc_status status = oc_store_sessions(agent->store, filter, ret_array, err);
	cJSON *s;
	if (status == OC_OK)
		cJSON_ArrayForEach(s, *ret_array) add_running(agent, s);
	return status;
}

oc_status oc_agent_session(oc_agent *agent, oc_str session, cJSON **ret_object, oc_err *err)
{
	char key[OC_SESSION_KEY_MAX];
	oc_status status = resolve(agent, session, key, err);
	if (status == OC_OK)
		status = oc_store_session(agent->store, key, ret_object, err);
	if (status == OC_OK)
		add_running(agent, *ret_object);
	return status;
}

oc_status oc_agent_history(oc_agent *agent, oc_str session, const oc_history_filter *filter, cJSON **ret_array, oc_err *err)
{
	char key[OC_SESSION_KEY_MAX];
	oc_status status = resolve(agent, session, key, err);
	return status == OC_OK ? oc_store_history(agent->store, key, filter, ret_array, err) : status;
}

oc_status oc_agent_session_events(oc_agent *agent, oc_str session, int64_t after_seq, int64_t limit, cJSON **ret_array,
				  oc_err *err)
{
	char key[OC_SESSION_KEY_MAX];
	oc_status status = resolve(agent, session, key, err);
	return status == OC_OK ? oc_store_events(agent->store, key, after_seq, limit, ret_array, err) : status;
}

oc_status oc_agent_search(oc_agent *agent, oc_str query, const oc_search_filter *filter, cJSON **ret_array, oc_err *err)
{
	char key[OC_SESSION_KEY_MAX];
	oc_search_filter f = *filter;
	if (f.session != NULL && f.session[0] != 0) {
		oc_status status = resolve(agent, oc_str_of(f.session), key, err);
		if (status != OC_OK)
			return status;
		f.session = key;
	} else {
		f.session = NULL;
	}
	oc_auto_free char *text = oc_memdup(query.p, query.n);
	if (text == NULL)
		return oc_fail(err, OC_E_NOMEM, NULL, "cannot search");
	return oc_store_search(agent->store, text, &f, ret_array, err);
}

oc_status oc_agent_usage(oc_agent *agent, oc_str session, int64_t days, cJSON **ret_object, oc_err *err)
{
	char key[OC_SESSION_KEY_MAX];
	oc_status status = session.n > 0 ? resolve(agent, session, key, err) : OC_OK;
	return status == OC_OK ? oc_store_usage(agent->store, session.n > 0 ? key : NULL, days, ret_object, err) : status;
}

/* ---- Changing ---- */

typedef enum change_kind { CHANGE_PUT = 1, CHANGE_RESET, CHANGE_END, CHANGE_DELETE } change_kind;

typedef struct change {
	oc_agent *agent;
	change_kind kind;
	char key[OC_SESSION_KEY_MAX];
	char reason[80];
	char was[64]; /* its id before */
	oc_session_key parts;
	char *title, *model, *thinking, *settings; /* NULL: left as they are */
	bool inside;			/* asked for by a turn of the session, which must not wait for itself */
	uint64_t began_ms;
	oc_watch *timer;
	oc_agent_session_done done;
	void *arg;
} change;

static void free_change(change *c)
{
	oc_watch_end(c->timer);
	oc_free(c->title);
	oc_free(c->model);
	oc_free(c->thinking);
	oc_free(c->settings);
	oc_free(c);
}

static const char *change_name(change_kind kind)
{
	return kind == CHANGE_RESET ? "reset" : kind == CHANGE_END ? "ended" : kind == CHANGE_DELETE ? "deleted" : "changed";
}

/* Of the internal hook of a reset that was no command of a chat. */
static cJSON *reset_payload(const change *c)
{
	cJSON *o = oc_session_end_info(c->agent, c->key, c->reason);
	cJSON_DeleteItemFromObjectCaseSensitive(o, "messages");
	oc_json_opt(o, "action", "reset");
	oc_json_opt(o, "commandSource", "gateway:sessions.reset");
	return o;
}

/* ---- Sessions that were begun anew, until their first turn ---- */

typedef struct fresh {
	oc_map_node node;
	char key[];
} fresh;

static void note_fresh(oc_agent *agent, const char *key)
{
	if (!oc_hooks_wanted(agent->hooks, OC_HOOK_SESSION_START) || oc_map_find(&agent->fresh, key) != NULL)
		return;
	size_t n = strlen(key) + 1;
	fresh *f = oc_alloc(sizeof *f + n);
	if (f == NULL)
		return;
	memcpy(f->key, key, n);
	oc_map_add(&agent->fresh, &f->node, f->key);
}

bool oc_session_take_fresh(oc_agent *agent, const char *key)
{
	oc_map_node *node = oc_map_find(&agent->fresh, key);
	if (node == NULL)
		return false;
	oc_map_remove(&agent->fresh, node);
	oc_free(OC_MAP_OWNER(node, fresh, node));
	return true;
}

static void free_fresh(void *arg, oc_map_node *node)
{
	(void)arg;
	oc_free(OC_MAP_OWNER(node, fresh, node));
}

void oc_sessions_free(oc_agent *agent)
{
	oc_map_each(&agent->fresh, free_fresh, NULL);
	oc_map_free(&agent->fresh);
}

/* Its hooks with a say come with the first turn; whoever only observes hears of it now, as in the original. */
static void tell_begin(const change *c)
{
	note_fresh(c->agent, c->key);
	if (!oc_hooks_wanted(c->agent->hooks, OC_HOOK_TS_SESSION_START))
		return;
	cJSON *info = oc_session_end_info(c->agent, c->key, NULL);
	cJSON_DeleteItemFromObjectCaseSensitive(info, "messageCount");
	cJSON_DeleteItemFromObjectCaseSensitive(info, "durationMs");
	cJSON_DeleteItemFromObjectCaseSensitive(info, "messages");
	oc_json_opt(info, "resumedFrom", c->was);
	oc_agent_observe(c->agent, OC_HOOK_TS_SESSION_START, info);
}

static void changed(void *arg, const oc_batch *b, oc_status status, const oc_err *err)
{
	change *c = arg;
	oc_agent *agent = c->agent;
	oc_auto_json cJSON *session = NULL;
	oc_err why = *err;
	if (status == OC_OK) {
		cJSON *data = cJSON_CreateObject();
		bool created = c->kind == CHANGE_PUT && oc_batch_began_session(b);
		oc_json_opt(data, "change", created ? "created" : change_name(c->kind));
		oc_json_opt(data, "key", c->key);
		oc_json_opt(data, "reason", c->reason);
		oc_agent_emit_plain(agent, OC_AGENT_EV_SESSION, c->key, data);
		if (c->kind == CHANGE_RESET)
			tell_begin(c);
		else if (c->kind == CHANGE_DELETE)
			(void)oc_session_take_fresh(agent, c->key);
		if (c->kind == CHANGE_RESET && !c->inside && oc_hooks_wanted(agent->hooks, OC_HOOK_INTERNAL_COMMAND))
			oc_agent_observe(agent, OC_HOOK_INTERNAL_COMMAND, reset_payload(c));
		oc_journal_touch(agent, c->key);
		if (c->kind != CHANGE_DELETE)
			status = oc_store_session(agent->store, c->key, &session, &why);
	}
	if (c->done != NULL)
		c->done(c->arg, status, session, &why);
	free_change(c);
}

cJSON *oc_session_end_info(oc_agent *agent, const char *key, const char *reason)
{
	oc_auto_json cJSON *session = NULL;
	oc_session_key parts;
	cJSON *info = cJSON_CreateObject();
	if (oc_store_session(agent->store, key, &session, NULL) != OC_OK ||
	    oc_session_key_parse(oc_str_of(key), &parts, NULL) != OC_OK) {
		cJSON_Delete(info);
		return NULL;
	}
	oc_json_opt(info, "session", key);
	oc_json_opt(info, "agent", parts.agent);
	oc_json_opt(info, "reason", reason);
	oc_json_opt(info, "sessionId", oc_json_str(session, "sessionId", NULL));
	(void)oc_json_set_i64(info, "messageCount", oc_json_i64(session, "messages", 0));
	(void)oc_json_set_i64(info, "durationMs", oc_wall_ms() - oc_json_i64(session, "startedAt", oc_wall_ms()));
	cJSON *ctx = cJSON_AddObjectToObject(info, "ctx");
	oc_json_opt(ctx, "agentId", parts.agent);
	oc_json_opt(ctx, "sessionId", oc_json_str(session, "sessionId", NULL));
	oc_json_opt(ctx, "sessionKey", key);
	if (oc_hooks_wanted(agent->hooks, OC_HOOK_BEFORE_RESET)) {
		/* Of the session as it still is: oc_session_tell_end may come when the next has begun. */
		cJSON *messages = NULL;
		oc_auto_free char *workspace = oc_agent_workspace(agent, agent->config, parts.agent);
		if (oc_store_history(agent->store, key, NULL, &messages, NULL) == OC_OK)
			(void)oc_json_set(info, "messages", oc_transcript_list(messages));
		oc_json_opt(ctx, "workspaceDir", workspace);
	}
	return info;
}

void oc_session_tell_end(oc_agent *agent, cJSON *info, bool reset, const char *subagent_reason)
{
	if (info == NULL)
		return;
	cJSON *messages = cJSON_DetachItemFromObjectCaseSensitive(info, "messages");
	oc_agent_observe(agent, OC_HOOK_SESSION_END, cJSON_Duplicate(info, true));
	oc_agent_observe(agent, OC_HOOK_TS_SESSION_END, cJSON_Duplicate(info, true));
	if (reset && oc_hooks_wanted(agent->hooks, OC_HOOK_BEFORE_RESET)) {
		cJSON *o = cJSON_Duplicate(info, true);
		if (messages != NULL)
			(void)oc_json_set(o, "messages", messages);
		messages = NULL;
		(void)oc_hooks_fire(agent->hooks, OC_HOOK_BEFORE_RESET, o, NULL, NULL, NULL);
	}
	cJSON_Delete(messages);
	oc_subagents_session_over(agent, oc_json_str(info, "session", ""), subagent_reason);
	oc_auto_free char *json = oc_json_print(info);
	if (json != NULL)
		oc_modules_session_end(agent->modules, oc_str_of(json));
	cJSON_Delete(info);
}

static oc_status commit(change *c, oc_err *err)
{
	oc_batch *b = oc_batch_new(c->agent->store);
	const oc_session_key *k = &c->parts;
	if (c->kind != CHANGE_PUT) {
		cJSON *info = oc_session_end_info(c->agent, c->key, c->reason);
		bool reset = c->kind == CHANGE_RESET;
		snprintf(c->was, sizeof c->was, "%s", oc_json_str(info, "sessionId", ""));
		oc_session_tell_end(c->agent, info, reset, c->inside ? NULL : reset ? "session-reset" : "session-delete");
	}
	if (b != NULL && c->kind == CHANGE_PUT)
		oc_batch_session(b, c->key,
				 &(oc_session_facts){.agent = k->agent, .kind = k->kind,
						     .channel = k->channel[0] != 0 ? k->channel : NULL,
						     .account = k->account[0] != 0 ? k->account : NULL,
						     .peer = k->peer[0] != 0 ? k->peer : NULL,
						     .thread = k->thread[0] != 0 ? k->thread : NULL,
						     .title = c->title, .model = c->model, .thinking = c->thinking, .settings_json = c->settings});
	else if (b != NULL && c->kind == CHANGE_RESET)
		oc_batch_session_reset(b, c->key, c->reason);
	else if (b != NULL && c->kind == CHANGE_END)
		oc_batch_session_end(b, c->key, c->reason);
	else if (b != NULL)
		oc_batch_session_delete(b, c->key);
	return oc_batch_commit(b, changed, c, err);
}

static void cancel_turn(void *arg, oc_turn *turn)
{
	(void)arg;
	oc_turn_cancel(turn, OC_E_CANCELED, "the session was ended");
}

/* What still runs writes its end first: else its last words would be the first of the new history. */
static void try_commit(void *arg)
{
	change *c = arg;
	oc_err err = {0};
	oc_watch_end(c->timer);
	c->timer = NULL;
	bool waits = !c->inside && c->kind != CHANGE_PUT && oc_lane_each(c->agent, c->key, cancel_turn, NULL) > 0;
	if (waits && oc_now_ms() - c->began_ms < WAIT_MAX_MS) {
		c->timer = oc_timer_start(c->agent->owner, WAIT_STEP_MS, 0, try_commit, c);
		if (c->timer != NULL)
			return;
	}
	if (commit(c, &err) != OC_OK) {
		if (c->done != NULL)
			c->done(c->arg, err.code, NULL, &err);
		free_change(c);
	}
}

static change *new_change(oc_agent *agent, change_kind kind, const char *key, const char *reason, oc_agent_session_done done,
			  void *arg, oc_err *err)
{
	change *c = oc_alloc(sizeof *c);
	if (c == NULL) {
		(void)oc_fail(err, OC_E_NOMEM, NULL, "cannot change the session");
		return NULL;
	}
	*c = (change){.agent = agent, .kind = kind, .done = done, .arg = arg, .began_ms = oc_now_ms()};
	snprintf(c->key, sizeof c->key, "%s", key);
	snprintf(c->reason, sizeof c->reason, "%s", reason != NULL ? reason : "");
	if (oc_session_key_parse(oc_str_of(key), &c->parts, err) == OC_OK)
		return c;
	free_change(c);
	return NULL;
}

static oc_status start(change *c, oc_err *err)
{
	oc_status status = oc_loop_defer(c->agent->loop, c->agent->owner, try_commit, c);
	if (status == OC_OK)
		return OC_OK;
	free_change(c);
	return oc_fail(err, status, NULL, "cannot change the session");
}

static oc_status end_session(oc_agent *agent, change_kind kind, oc_str session, const char *reason,
			     oc_agent_session_done done, void *arg, oc_err *err)
{
	char key[OC_SESSION_KEY_MAX];
	oc_auto_json cJSON *exists = NULL;
	oc_status status = resolve(agent, session, key, err);
	if (status == OC_OK)
		status = oc_store_session(agent->store, key, &exists, err);
	if (status != OC_OK)
		return status;
	change *c = new_change(agent, kind, key, reason, done, arg, err);
	return c != NULL ? start(c, err) : err != NULL && err->code != OC_OK ? err->code : OC_E_NOMEM;
}

oc_status oc_agent_session_reset(oc_agent *agent, oc_str session, const char *reason, oc_agent_session_done done, void *arg,
				 oc_err *err)
{
	return end_session(agent, CHANGE_RESET, session, reason, done, arg, err);
}

oc_status oc_agent_session_end(oc_agent *agent, oc_str session, const char *reason, oc_agent_session_done done, void *arg,
			       oc_err *err)
{
	return end_session(agent, CHANGE_END, session, reason, done, arg, err);
}

oc_status oc_agent_session_delete(oc_agent *agent, oc_str session, oc_agent_session_done done, void *arg, oc_err *err)
{
	return end_session(agent, CHANGE_DELETE, session, "deleted", done, arg, err);
}

oc_status oc_session_reset_inside(oc_turn *turn, const char *reason, oc_agent_session_done done, void *arg, oc_err *err)
{
	change *c = new_change(turn->agent, CHANGE_RESET, turn->session, reason, done, arg, err);
	if (c == NULL)
		return OC_E_NOMEM;
	c->inside = true;
	return start(c, err);
}

static bool copy_text(char **to, const char *from)
{
	*to = from != NULL ? oc_strdup(from) : NULL;
	return from == NULL || *to != NULL;
}

oc_status oc_agent_session_put(oc_agent *agent, oc_str session, oc_str agent_id, const oc_session_put *put, oc_agent_session_done done,
			       void *arg, oc_err *err)
{
	const char *model = put->model;
	char key[OC_SESSION_KEY_MAX], id[65], unique[13];
	if (agent_id.n > 0)
		oc_agent_id_normalize(agent_id, id);
	else
		(void)oc_agent_default_id(agent->config, id);
	oc_str name = session.n > 0 ? session : oc_str_of(oc_id_token(unique, 12));
	oc_status status = oc_session_key_resolve(name, id, oc_agent_main_key(agent->config), key, err);
	if (status != OC_OK)
		return status;
	if (model != NULL && model[0] != 0) {
		oc_arena *arena = oc_arena_new(1 << 16);
		oc_model found;
		const char *ref = arena != NULL ? oc_model_ref(agent, agent->config, arena, model) : NULL;
		status = ref == NULL ? oc_fail(err, OC_E_NOT_FOUND, "see `openclaw models`", "no model '%s' is known", model)
				     : oc_model_find(agent, agent->config, arena, ref, &found, err);
		oc_arena_free(arena);
		if (status != OC_OK)
			return status;
	}
	change *c = new_change(agent, CHANGE_PUT, key, NULL, done, arg, err);
	if (c == NULL)
		return err != NULL && err->code != OC_OK ? err->code : OC_E_NOMEM;
	if (!copy_text(&c->title, put->title) || !copy_text(&c->model, model) || !copy_text(&c->thinking, put->thinking) ||
	    !copy_text(&c->settings, put->settings)) {
		free_change(c);
		return oc_fail(err, OC_E_NOMEM, NULL, "cannot change the session");
	}
	return start(c, err);
}

bool oc_agent_is_muted(oc_agent *agent, const char *key)
{
	oc_auto_json cJSON *session = NULL;
	return oc_store_session(agent->store, key, &session, NULL) == OC_OK &&
	       strcmp(oc_json_str(oc_json_get(session, "settings"), "sendPolicy", ""), "deny") == 0;
}
