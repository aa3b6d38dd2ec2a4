/* Sub-agents: records, limits, starting, stopping.  Their ends are in subagent_end.c. */
#include "core/agent/subagent.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/clock.h"
#include "core/base/id.h"
#include "core/base/log.h"

#define STORE_NAME "core.subagents"
#define DEPTH_DEFAULT 1
#define DEPTH_MAX 5
#define CHILDREN_DEFAULT 5
#define RUN_SECONDS_DEFAULT 3600
#define ATTEMPTS_MAX 3
#define SWEEP_MS 30000
#define ARCHIVE_MINUTES_DEFAULT 60

/* ---- Records ---- */

bool oc_subagent_key(const char *session)
{
	const char *rest = strncmp(session, "agent:", 6) == 0 ? strchr(session + 6, ':') : NULL;
	return rest != NULL && strncmp(rest, ":subagent:", 10) == 0;
}

oc_subagent *oc_subagent_find(oc_agent *agent, const char *session)
{
	oc_map_node *node = agent->subagents.n > 0 ? oc_map_find(&agent->subagents, session) : NULL;
	return node != NULL ? OC_MAP_OWNER(node, oc_subagent, by_key) : NULL;
}

bool oc_subagent_active(const oc_subagent *sub)
{
	return sub->state == OC_SUBAGENT_STARTING || sub->state == OC_SUBAGENT_RUNNING || sub->state == OC_SUBAGENT_ENDED;
}

int oc_subagent_depth(oc_agent *agent, const char *session)
{
	const oc_subagent *sub = oc_subagent_find(agent, session);
	if (sub != NULL)
		return sub->depth;
	return oc_subagent_key(session) ? DEPTH_MAX : 0; /* an archived one starts nothing */
}

const cJSON *oc_subagent_setting(const oc_config *config, const char *agent_id, const char *name)
{
	char path[80];
	snprintf(path, sizeof path, "subagents.%s", name);
	return oc_agent_setting(config, agent_id, path);
}

static int64_t setting_i64(const oc_config *config, const char *agent_id, const char *name, int64_t fallback)
{
	const cJSON *value = oc_subagent_setting(config, agent_id, name);
	return cJSON_IsNumber(value) ? (int64_t)value->valuedouble : fallback;
}

int oc_subagent_max_depth(const oc_config *config)
{
	int64_t depth = oc_config_i64(config, "agents.defaults.subagents.maxSpawnDepth", DEPTH_DEFAULT);
	return depth > DEPTH_MAX ? DEPTH_MAX : depth < 0 ? 0 : (int)depth;
}

bool oc_subagent_descends(oc_agent *agent, const char *session, const char *ancestor)
{
	for (int i = 0; i <= DEPTH_MAX; i++) {
		const oc_subagent *sub = oc_subagent_find(agent, session);
		if (sub == NULL)
			return false;
		if (strcmp(sub->requester, ancestor) == 0)
			return true;
		session = sub->requester;
	}
	return false;
}

typedef struct gathering {
	const char *requester;
	oc_subagent **list;
	size_t n, cap;
} gathering;

static void gather(void *arg, oc_map_node *node)
{
	gathering *g = arg;
	oc_subagent *sub = OC_MAP_OWNER(node, oc_subagent, by_key);
	if (strcmp(sub->requester, g->requester) != 0)
		return;
	if (g->n == g->cap) {
		size_t cap = g->cap == 0 ? 8 : g->cap * 2;
		oc_subagent **list = oc_realloc(g->list, cap * sizeof *list);
		if (list == NULL)
			return;
		g->list = list;
		g->cap = cap;
	}
	g->list[g->n++] = sub;
}

static int by_age(const void *a, const void *b)
{
	const oc_subagent *x = *(oc_subagent *const *)a, *y = *(oc_subagent *const *)b;
	return strcmp(x->id, y->id); /* the identifiers are ordered by time */
}

oc_subagent **oc_subagents_of(oc_agent *agent, const char *requester, size_t *ret_n)
{
	gathering g = {.requester = requester};
	if (agent->subagents.n > 0)
		oc_map_each(&agent->subagents, gather, &g);
	if (g.n > 1)
		qsort(g.list, g.n, sizeof *g.list, by_age);
	*ret_n = g.n;
	return g.list;
}

static size_t count_active(oc_agent *agent, const char *requester)
{
	size_t n, active = 0;
	oc_subagent **list = oc_subagents_of(agent, requester, &n);
	for (size_t i = 0; i < n; i++)
		active += oc_subagent_active(list[i]);
	oc_free(list);
	return active;
}

/* ---- On disk ---- */

static const char *const state_names[] = {
	[OC_SUBAGENT_STARTING] = "running", [OC_SUBAGENT_RUNNING] = "running", [OC_SUBAGENT_ENDED] = "ended",
	[OC_SUBAGENT_TELLING] = "telling",  [OC_SUBAGENT_OVER] = "over",
};

cJSON *oc_subagent_json(const oc_subagent *sub)
{
	cJSON *o = cJSON_CreateObject();
	oc_json_opt(o, "sessionKey", sub->key);
	oc_json_opt(o, "requester", sub->requester);
	oc_json_opt(o, "run", sub->run);
	oc_json_opt(o, "trace", sub->trace);
	oc_json_opt(o, "agent", sub->agent_id);
	oc_json_opt(o, "label", sub->label);
	oc_json_opt(o, "model", sub->model);
	oc_json_opt(o, "thinking", sub->thinking);
	oc_json_opt(o, "task", sub->task);
	oc_json_opt(o, "state", state_names[sub->state]);
	oc_json_opt(o, "outcome", sub->outcome);
	oc_json_opt(o, "findings", sub->findings);
	oc_json_opt(o, "cleanup", sub->cleanup_delete ? "delete" : "keep");
	oc_json_opt(o, "mode", sub->session_mode ? "session" : "run");
	(void)oc_json_set_bool(o, "thread", sub->thread);
	(void)oc_json_set_bool(o, "killed", sub->killed);
	if (sub->origin != NULL)
		(void)oc_json_set(o, "origin", cJSON_Duplicate(sub->origin, true));
	(void)oc_json_set_i64(o, "depth", sub->depth);
	(void)oc_json_set_i64(o, "attempts", sub->attempts);
	(void)oc_json_set_i64(o, "createdAt", sub->created_ms);
	(void)oc_json_set_i64(o, "endedAt", sub->ended_ms);
	(void)oc_json_set_i64(o, "timeoutMs", (int64_t)sub->timeout_ms);
	(void)oc_json_set_i64(o, "input", sub->input);
	(void)oc_json_set_i64(o, "output", sub->output);
	(void)oc_json_set(o, "cost", cJSON_CreateNumber(sub->cost));
	(void)oc_json_set_i64(o, "maxTokens", sub->max_tokens);
	(void)oc_json_set(o, "maxCostUsd", cJSON_CreateNumber(sub->max_cost));
	return o;
}

void oc_subagent_save(oc_subagent *sub, oc_batch *batch)
{
	oc_auto_json cJSON *o = oc_subagent_json(sub);
	oc_auto_free char *text = o != NULL ? oc_json_print(o) : NULL;
	oc_batch *own = batch == NULL ? oc_batch_new(sub->agent->store) : batch;
	oc_err err = {0};
	if (text != NULL && own != NULL)
		oc_batch_kv(own, STORE_NAME, oc_str_of(sub->key), oc_str_of(text));
	if (batch == NULL && own != NULL && oc_batch_commit(own, NULL, NULL, &err) != OC_OK)
		oc_log_err(OC_LOG_WARN, "subagent", "its state cannot be written", &err);
}

static void copy(char *to, size_t size, const char *from)
{
	snprintf(to, size, "%s", from != NULL ? from : "");
}

static bool parse_record(oc_subagent *sub, const char *key, const cJSON *o)
{
	const char *id = strstr(key, ":subagent:"), *state = oc_json_str(o, "state", "");
	if (id == NULL || strlen(key) >= sizeof sub->key || !cJSON_IsObject(o))
		return false;
	copy(sub->key, sizeof sub->key, key);
	copy(sub->id, sizeof sub->id, id + 10);
	copy(sub->requester, sizeof sub->requester, oc_json_str(o, "requester", ""));
	copy(sub->run, sizeof sub->run, oc_json_str(o, "run", ""));
	copy(sub->trace, sizeof sub->trace, oc_json_str(o, "trace", ""));
	copy(sub->agent_id, sizeof sub->agent_id, oc_json_str(o, "agent", ""));
	copy(sub->label, sizeof sub->label, oc_json_str(o, "label", ""));
	copy(sub->model, sizeof sub->model, oc_json_str(o, "model", ""));
	copy(sub->thinking, sizeof sub->thinking, oc_json_str(o, "thinking", ""));
	copy(sub->outcome, sizeof sub->outcome, oc_json_str(o, "outcome", ""));
	sub->task = oc_strdup(oc_json_str(o, "task", ""));
	sub->findings = oc_strdup(oc_json_str(o, "findings", ""));
	sub->origin = cJSON_Duplicate(oc_json_get(o, "origin"), true);
	sub->depth = (int)oc_json_i64(o, "depth", 1);
	sub->attempts = (unsigned)oc_json_i64(o, "attempts", 1);
	sub->cleanup_delete = strcmp(oc_json_str(o, "cleanup", ""), "delete") == 0;
	sub->session_mode = strcmp(oc_json_str(o, "mode", ""), "session") == 0;
	sub->thread = oc_json_bool(o, "thread", false);
	sub->killed = oc_json_bool(o, "killed", false);
	sub->created_ms = oc_json_i64(o, "createdAt", 0);
	sub->ended_ms = oc_json_i64(o, "endedAt", 0);
	sub->timeout_ms = (uint64_t)oc_json_i64(o, "timeoutMs", 0);
	sub->input = oc_json_i64(o, "input", 0);
	sub->output = oc_json_i64(o, "output", 0);
	sub->cost = oc_json_num(o, "cost", 0);
	sub->max_tokens = oc_json_i64(o, "maxTokens", 0);
	sub->max_cost = oc_json_num(o, "maxCostUsd", 0);
	sub->state = OC_SUBAGENT_RUNNING;
	for (int i = OC_SUBAGENT_RUNNING; i <= OC_SUBAGENT_OVER; i++)
		if (strcmp(state, state_names[i]) == 0)
			sub->state = (oc_subagent_state)i;
	return sub->task != NULL && sub->findings != NULL;
}

static void free_record(oc_subagent *sub)
{
	oc_watch_end(sub->retry);
	oc_free(sub->task);
	oc_free(sub->findings);
	cJSON_Delete(sub->origin);
	oc_free(sub);
}

void oc_subagent_forget(oc_subagent *sub)
{
	oc_agent *agent = sub->agent;
	oc_batch *b = oc_batch_new(agent->store);
	if (b != NULL) {
		oc_batch_kv(b, STORE_NAME, oc_str_of(sub->key), OC_STR_NONE);
		(void)oc_batch_commit(b, NULL, NULL, NULL);
	}
	for (oc_subagent **at = &agent->subagents_over, *last = NULL; *at != NULL; last = *at, at = &(*at)->over_next)
		if (*at == sub) {
			*at = sub->over_next;
			if (agent->subagents_over_last == sub)
				agent->subagents_over_last = last;
			agent->subagents_n_over--;
			break;
		}
	if (sub->counted)
		agent->subagents_active--;
	oc_map_remove(&agent->subagent_runs, &sub->by_run);
	oc_map_remove(&agent->subagents, &sub->by_key);
	free_record(sub);
}

/* ---- The archive ---- */

static bool outlived(const oc_agent *agent, const oc_subagent *sub, int64_t before)
{
	return sub->cleanup_delete || sub->ended_ms < before || agent->subagents_n_over > OC_SUBAGENTS_OVER_MAX;
}

/* Here and nowhere else records are freed while the agent lives: whoever walks them need not fear for the next one. */
static void sweep(void *arg)
{
	oc_agent *agent = arg;
	int64_t minutes = oc_config_i64(agent->config, "agents.defaults.subagents.archiveAfterMinutes", ARCHIVE_MINUTES_DEFAULT);
	int64_t before = oc_wall_ms() - (minutes > 0 ? minutes : 24 * 60) * 60000;
	for (oc_subagent *sub = agent->subagents_over, *next; sub != NULL; sub = next) {
		next = sub->over_next;
		if (!outlived(agent, sub, before))
			continue;
		/* What was said stays to be read; the conversation is closed. A thread's goes on as long as people write in it. */
		if (sub->cleanup_delete)
			(void)oc_agent_session_delete(agent, oc_str_of(sub->key), NULL, NULL, NULL);
		else if (minutes > 0 && !sub->session_mode)
			(void)oc_agent_session_end(agent, oc_str_of(sub->key), "archived", NULL, NULL, NULL);
		oc_subagent_forget(sub);
	}
	if (agent->subagents.n == 0) {
		oc_watch_end(agent->subagent_sweep);
		agent->subagent_sweep = NULL;
	}
}

void oc_subagents_sweep_soon(oc_agent *agent)
{
	(void)oc_loop_defer(agent->loop, agent->owner, sweep, agent);
}

static void list_record(oc_agent *agent, oc_subagent *sub)
{
	oc_map_add(&agent->subagents, &sub->by_key, sub->key);
	if (sub->state != OC_SUBAGENT_OVER) {
		sub->counted = true;
		agent->subagents_active++;
	}
	if (agent->subagent_sweep == NULL)
		agent->subagent_sweep = oc_timer_start(agent->owner, SWEEP_MS, SWEEP_MS, sweep, agent);
}

/* ---- Hooks ---- */

cJSON *oc_subagent_hook_context(const oc_subagent *sub)
{
	cJSON *ctx = cJSON_CreateObject();
	oc_json_opt(ctx, "runId", sub->run);
	oc_json_opt(ctx, "childSessionKey", sub->key);
	oc_json_opt(ctx, "requesterSessionKey", sub->requester);
	return ctx;
}

cJSON *oc_subagent_hook_origin(const oc_subagent *sub)
{
	cJSON *o = cJSON_CreateObject();
	oc_json_opt(o, "channel", oc_json_str(sub->origin, "channel", "webchat"));
	oc_json_opt(o, "accountId", oc_json_str(sub->origin, "account", NULL));
	oc_json_opt(o, "to", oc_json_str(sub->origin, "to", NULL));
	oc_json_opt(o, "threadId", oc_json_str(sub->origin, "thread", NULL));
	return o;
}

static cJSON *spawn_payload(const oc_subagent *sub)
{
	cJSON *o = cJSON_CreateObject();
	oc_json_opt(o, "runId", sub->run);
	oc_json_opt(o, "childSessionKey", sub->key);
	oc_json_opt(o, "agentId", sub->agent_id);
	oc_json_opt(o, "label", sub->label);
	(void)oc_json_set(o, "requester", oc_subagent_hook_origin(sub));
	(void)oc_json_set_bool(o, "threadRequested", sub->thread);
	oc_json_opt(o, "mode", sub->session_mode ? "session" : "run");
	(void)oc_json_set(o, "ctx", oc_subagent_hook_context(sub));
	return o;
}

static void tell_spawned(const oc_subagent *sub)
{
	oc_agent_observe(sub->agent, OC_HOOK_SUBAGENT_SPAWNED, spawn_payload(sub));
	if (!oc_hooks_wanted(sub->agent->hooks, OC_HOOK_SUBAGENT_PROGRESS))
		return;
	cJSON *o = cJSON_CreateObject();
	oc_json_opt(o, "phase", "started");
	oc_json_opt(o, "runId", sub->run);
	oc_json_opt(o, "childSessionKey", sub->key);
	(void)oc_json_set(o, "requester", oc_subagent_hook_origin(sub));
	(void)oc_json_set(o, "ctx", oc_subagent_hook_context(sub));
	oc_agent_observe(sub->agent, OC_HOOK_SUBAGENT_PROGRESS, o);
}

/* ---- Starting ---- */

/* The caller hears of it once. */
static void report(oc_subagent *sub, oc_status status, const oc_err *err)
{
	void (*spawned)(void *, oc_subagent *, oc_status, const oc_err *) = sub->spawned;
	sub->spawned = NULL;
	if (spawned != NULL)
		spawned(sub->spawned_arg, sub, status, err);
}

static void start_failed(oc_subagent *sub, oc_status status, const oc_err *err)
{
	if (status == OC_E_UNAVAILABLE && sub->spawned == NULL)
		return; /* the gateway stops again: the next start begins it */
	if (sub->spawned != NULL) {
		report(sub, status, err);
		oc_subagent_forget(sub);
	} else {
		/* Begun anew after a restart: who asked is told like of any other end. */
		oc_subagent_end(sub, "error", err->text);
	}
}

static char *first_message(const oc_subagent *sub, int max_depth)
{
	return oc_asprintf("[Subagent Context] You are running as a subagent (depth %d/%d). Your final answer goes back to whoever "
			   "asked, by itself: do not poll, wait or report otherwise.%s\n\n[Subagent Task]: %s",
			   sub->depth, max_depth > sub->depth ? max_depth : sub->depth,
			   sub->session_mode ? "\n\n[Subagent Context] This session stays: follow-up messages may come." : "",
			   sub->task);
}

char *oc_subagent_rules(const oc_subagent *sub)
{
	int max_depth = oc_subagent_max_depth(sub->agent->config);
	return oc_asprintf(
		"# Subagent\nYou were started by another conversation (%s) for one task%s%s%s. Do that task and nothing beside it. "
		"Nobody reads along: do not ask back, decide and say what you assumed. Your last message is your report: what you "
		"found or did, complete and short, with paths and facts that the reader needs.%s",
		sub->requester, sub->label[0] != 0 ? " (\"" : "", sub->label, sub->label[0] != 0 ? "\")" : "",
		sub->depth < max_depth
			? " You may start subagents of your own with sessions_spawn; their reports come to you as messages, and your "
			  "own report is due after the last of them."
			: "");
}

static void launch(oc_subagent *sub)
{
	oc_agent *agent = sub->agent;
	int max_depth = oc_subagent_max_depth(agent->config);
	oc_auto_free char *text = first_message(sub, max_depth), *system = oc_subagent_rules(sub);
	char key[64];
	oc_err err = {0};
	oc_run_ref ref = {0};
	oc_status status = text != NULL && system != NULL ? OC_OK : oc_fail(&err, OC_E_NOMEM, NULL, "cannot start the subagent");
	snprintf(key, sizeof key, "subagent:%s:%u", sub->id, sub->attempts);
	oc_turn_input in = {.session = oc_str_of(sub->key), .text = oc_str_of(text), .origin = "subagent",
			    .model = oc_str_of(sub->model), .thinking = oc_str_of(sub->thinking),
			    .extra_system = oc_str_of(system), .timeout_ms = sub->timeout_ms, .idempotency = oc_str_of(key),
			    .trace = sub->trace, .lane = "subagent"};
	if (status == OC_OK)
		status = oc_agent_submit(agent, &in, &ref, &err);
	if (status != OC_OK) {
		start_failed(sub, status, &err);
		return;
	}
	copy(sub->run, sizeof sub->run, ref.run);
	sub->state = OC_SUBAGENT_RUNNING;
	oc_map_add(&agent->subagent_runs, &sub->by_run, sub->run);
	oc_auto_free char *settings = NULL;
	oc_auto_json cJSON *facts = cJSON_CreateObject();
	oc_json_opt(facts, "spawnedBy", sub->requester);
	(void)oc_json_set_i64(facts, "spawnDepth", sub->depth);
	settings = oc_json_print(facts);
	oc_batch *b = oc_batch_new(agent->store);
	if (b != NULL) {
		oc_batch_session(b, sub->key,
				 &(oc_session_facts){.kind = "subagent", .title = sub->label[0] != 0 ? sub->label : NULL,
						     .model = sub->model[0] != 0 ? sub->model : NULL,
						     .thinking = sub->thinking[0] != 0 ? sub->thinking : NULL,
						     .settings_json = settings});
		oc_subagent_save(sub, b);
		(void)oc_batch_commit(b, NULL, NULL, NULL);
	}
	agent->subagents_spawned++;
	tell_spawned(sub);
	report(sub, OC_OK, NULL);
}

static void committed(void *arg, const oc_batch *b, oc_status status, const oc_err *err)
{
	oc_subagent *sub = arg;
	oc_err why = *err;
	(void)b;
	if (status == OC_OK && sub->killed)
		status = oc_fail(&why, OC_E_CANCELED, NULL, "it was stopped before it began");
	if (status != OC_OK)
		start_failed(sub, status, &why);
	else
		launch(sub);
}

static void commit_record(oc_subagent *sub)
{
	oc_batch *b = oc_batch_new(sub->agent->store);
	oc_err err = {0};
	if (b != NULL)
		oc_subagent_save(sub, b);
	oc_status status = oc_batch_commit(b, committed, sub, &err);
	if (status != OC_OK)
		start_failed(sub, status, &err);
}

/* Whoever binds threads of a channel says whether there is one. */
static void spawning_asked(void *arg, const oc_hook_result *result)
{
	oc_subagent *sub = arg;
	oc_err err = {0};
	const char *status = oc_json_str(result->changes, "status", ""), *why = oc_json_str(result->changes, "error", "");
	if (strcmp(status, "error") == 0)
		(void)oc_fail(&err, OC_E_DENIED, NULL, "%s", why[0] != 0 ? why : "a hook refused it");
	else if (strcmp(status, "ok") != 0 || !oc_json_bool(result->changes, "threadBindingReady", false))
		(void)oc_fail(&err, OC_E_UNSUPPORTED, NULL,
			      "Unable to create or bind a thread for this subagent session. Session mode is unavailable for this "
			      "target.");
	if (err.code != OC_OK)
		start_failed(sub, err.code, &err);
	else
		commit_record(sub);
}

/* ---- What is allowed ---- */

static bool agent_allowed(const oc_config *config, const char *requester, const char *wanted, char *names, size_t size)
{
	const cJSON *one, *list = oc_subagent_setting(config, requester, "allowAgents");
	size_t n = 0;
	names[0] = 0;
	if (strcmp(requester, wanted) == 0)
		return true;
	cJSON_ArrayForEach(one, list)
	{
		char id[65];
		if (!cJSON_IsString(one))
			continue;
		oc_agent_id_normalize(oc_str_of(one->valuestring), id);
		if (strcmp(one->valuestring, "*") == 0 || strcmp(id, wanted) == 0)
			return true;
		if (n + strlen(id) + 3 < size)
			n += (size_t)snprintf(names + n, size - n, "%s%s", n > 0 ? ", " : "", id);
	}
	if (n == 0)
		snprintf(names, size, "none");
	return false;
}

static oc_status check_agent(oc_agent *agent, const oc_subagent_spawn *sp, char id[65], oc_err *err)
{
	char fallback[65], names[200];
	if (sp->agent_id[0] != 0)
		oc_agent_id_normalize(oc_str_of(sp->agent_id), id);
	else
		snprintf(id, 65, "%s", sp->requester_agent);
	if (!agent_allowed(agent->config, sp->requester_agent, id, names, sizeof names))
		return oc_fail(err, OC_E_DENIED, NULL, "agentId is not allowed for sessions_spawn (allowed: %s)", names);
	if (oc_agent_entry(agent->config, id) == NULL && strcmp(id, oc_agent_default_id(agent->config, fallback)) != 0)
		return oc_fail(err, OC_E_NOT_FOUND, NULL, "there is no agent %s", id);
	return OC_OK;
}

static oc_status check_limits(oc_agent *agent, const oc_subagent_spawn *sp, oc_err *err)
{
	int depth = oc_subagent_depth(agent, sp->requester), max = oc_subagent_max_depth(agent->config);
	if (agent->draining)
		return oc_fail(err, OC_E_UNAVAILABLE, "try again in a moment", "the gateway is stopping");
	if (oc_str_trim(sp->task).n == 0 || sp->task.n > OC_SUBAGENT_TASK_MAX)
		return oc_fail(err, OC_E_INVALID, NULL, "a task has 1 to %d bytes", OC_SUBAGENT_TASK_MAX);
	if (sp->session_mode && !sp->thread)
		return oc_fail(err, OC_E_INVALID, NULL, "mode=\"session\" needs thread=true");
	if (depth >= max)
		return oc_fail(err, OC_E_DENIED, NULL, "sessions_spawn is not allowed at this depth (current depth: %d, max: %d)", depth,
			       max);
	int64_t children = setting_i64(agent->config, sp->requester_agent, "maxChildrenPerAgent", CHILDREN_DEFAULT);
	size_t active = count_active(agent, sp->requester);
	if ((int64_t)active >= children)
		return oc_fail(err, OC_E_DENIED, NULL,
			       "sessions_spawn has reached max active children for this session (%zu/%lld)", active,
			       (long long)children);
	if (agent->subagents.n >= OC_SUBAGENTS_MAX)
		return oc_fail(err, OC_E_BUSY, "wait for others to end", "too many subagents are at work");
	/* A budget that is used up is not stretched by asking others. */
	for (const oc_subagent *s = oc_subagent_find(agent, sp->requester); s != NULL; s = oc_subagent_find(agent, s->requester))
		if (s->killed)
			return oc_fail(err, OC_E_CANCELED, NULL, "this subagent was stopped");
	return OC_OK;
}

/* The spawn's own, the sub-agents' of its agent; "": the agent's own. */
static oc_status choose_model(oc_subagent *sub, const oc_subagent_spawn *sp, oc_err *err)
{
	oc_agent *agent = sub->agent;
	const cJSON *set = oc_subagent_setting(agent->config, sub->agent_id, "model");
	const char *wanted = sp->model[0] != 0 ? sp->model : cJSON_IsString(set) ? set->valuestring : oc_json_str(set, "primary", "");
	const cJSON *thinking = oc_subagent_setting(agent->config, sub->agent_id, "thinking");
	copy(sub->thinking, sizeof sub->thinking,
	     sp->thinking[0] != 0 ? sp->thinking : cJSON_IsString(thinking) ? thinking->valuestring : "");
	if (wanted[0] == 0)
		return OC_OK;
	oc_arena *arena = oc_arena_new(1 << 16);
	oc_model found;
	const char *ref = arena != NULL ? oc_model_ref(agent, agent->config, arena, wanted) : NULL;
	oc_status status = ref == NULL ? oc_fail(err, OC_E_NOT_FOUND, NULL, "no model '%s' is known", wanted)
				       : oc_model_find(agent, agent->config, arena, ref, &found, err);
	if (status == OC_OK && strlen(ref) >= sizeof sub->model)
		status = oc_fail(err, OC_E_LIMIT, NULL, "the model's name is too long");
	if (status == OC_OK)
		copy(sub->model, sizeof sub->model, ref);
	oc_arena_free(arena);
	return status;
}

static void set_limits(oc_subagent *sub, const oc_subagent_spawn *sp)
{
	const oc_config *config = sub->agent->config;
	const cJSON *cost = oc_subagent_setting(config, sub->agent_id, "maxCostUsd");
	int64_t seconds = sp->timeout_s >= 0 ? sp->timeout_s : setting_i64(config, sub->agent_id, "runTimeoutSeconds", 0);
	sub->timeout_ms = (uint64_t)(seconds > 0 && seconds < 30 * 24 * 3600 ? seconds : RUN_SECONDS_DEFAULT) * 1000;
	sub->max_tokens = setting_i64(config, sub->agent_id, "maxTokens", 0);
	sub->max_cost = cJSON_IsNumber(cost) ? cost->valuedouble : 0;
}

oc_status oc_subagent_start(oc_agent *agent, const oc_subagent_spawn *sp, oc_err *err)
{
	char id[65];
	oc_status status = check_limits(agent, sp, err);
	if (status == OC_OK)
		status = check_agent(agent, sp, id, err);
	if (status != OC_OK)
		return status;
	oc_subagent *sub = oc_alloc(sizeof *sub);
	if (sub == NULL)
		return oc_fail(err, OC_E_NOMEM, NULL, "cannot start a subagent");
	*sub = (oc_subagent){.agent = agent, .state = OC_SUBAGENT_STARTING, .attempts = 1, .created_ms = oc_wall_ms(),
			     .cleanup_delete = sp->cleanup_delete && !sp->session_mode, .session_mode = sp->session_mode,
			     .thread = sp->thread, .depth = oc_subagent_depth(agent, sp->requester) + 1, .spawned = sp->done,
			     .spawned_arg = sp->arg};
	oc_id_uuid(sub->id);
	copy(sub->trace, sizeof sub->trace, oc_trace_now());
	copy(sub->agent_id, sizeof sub->agent_id, id);
	copy(sub->requester, sizeof sub->requester, sp->requester);
	copy(sub->label, sizeof sub->label, sp->label);
	snprintf(sub->key, sizeof sub->key, "agent:%s:subagent:%s", id, sub->id);
	sub->task = oc_memdup(sp->task.p, sp->task.n);
	sub->origin = sp->origin != NULL ? cJSON_Duplicate(sp->origin, true) : NULL;
	set_limits(sub, sp);
	status = sub->task == NULL || (sp->origin != NULL && sub->origin == NULL)
			 ? oc_fail(err, OC_E_NOMEM, NULL, "cannot start a subagent")
			 : choose_model(sub, sp, err);
	if (status != OC_OK) {
		free_record(sub);
		return status;
	}
	list_record(agent, sub);
	if (sp->thread) {
		cJSON *payload = spawn_payload(sub);
		status = oc_hooks_fire(agent->hooks, OC_HOOK_SUBAGENT_SPAWNING, payload, agent->owner, spawning_asked, sub);
		if (status != OC_OK) {
			sub->spawned = NULL;
			oc_subagent_forget(sub);
			return oc_fail(err, status, NULL, "cannot start a subagent");
		}
	} else {
		commit_record(sub);
	}
	return OC_OK;
}

/* ---- Stopping ---- */

static void cancel_turn(void *arg, oc_turn *turn)
{
	(void)arg;
	oc_turn_cancel(turn, OC_E_CANCELED, "the subagent was stopped");
}

void oc_subagent_kill(oc_subagent *sub)
{
	oc_agent *agent = sub->agent;
	if (!oc_subagent_active(sub) || sub->killed)
		return;
	sub->killed = true;
	/* Written before its turn ends: killed stays killed, whatever happens to this process. */
	if (sub->state != OC_SUBAGENT_STARTING)
		oc_subagent_save(sub, NULL);
	(void)oc_subagents_kill(agent, sub->key);
	int turns = oc_lane_each(agent, sub->key, cancel_turn, NULL);
	if (sub->state == OC_SUBAGENT_ENDED && turns == 0)
		oc_subagent_consider(sub);
}

int oc_subagents_kill(oc_agent *agent, const char *requester)
{
	size_t n;
	int killed = 0;
	oc_subagent **list = oc_subagents_of(agent, requester, &n);
	for (size_t i = 0; i < n; i++) {
		bool running = oc_subagent_active(list[i]) && !list[i]->killed;
		killed += running;
		if (running)
			oc_subagent_kill(list[i]);
	}
	oc_free(list);
	return killed;
}

/* ---- The budget ---- */

static void over_budget(void *arg, oc_turn *turn)
{
	const oc_subagent *sub = arg;
	char why[160];
	if (sub->max_tokens > 0 && sub->input + sub->output > sub->max_tokens)
		snprintf(why, sizeof why, "the subagent's budget of %lld tokens is used up", (long long)sub->max_tokens);
	else
		snprintf(why, sizeof why, "the subagent's budget of %.4g USD is used up", sub->max_cost);
	oc_turn_cancel(turn, OC_E_QUOTA, why);
}

void oc_subagents_usage(oc_turn *turn, const oc_usage *u)
{
	oc_agent *agent = turn->agent;
	if (agent->subagents.n == 0)
		return;
	for (oc_subagent *s = oc_subagent_find(agent, turn->session); s != NULL; s = oc_subagent_find(agent, s->requester)) {
		s->input += u->input + u->cache_read + u->cache_write;
		s->output += u->output;
		s->cost += u->cost;
		bool over = (s->max_tokens > 0 && s->input + s->output > s->max_tokens) || (s->max_cost > 0 && s->cost > s->max_cost);
		if (!over || !oc_subagent_active(s))
			continue;
		(void)oc_subagents_kill(agent, s->key);
		(void)oc_lane_each(agent, s->key, over_budget, s);
	}
}

/* ---- After a restart ---- */

static bool load_record(void *arg, oc_str key, oc_str value)
{
	oc_agent *agent = arg;
	oc_auto_json cJSON *o = NULL;
	oc_subagent *sub = oc_alloc(sizeof *sub);
	if (sub == NULL)
		return false;
	*sub = (oc_subagent){.agent = agent};
	if (oc_json_parse(value, NULL, &o, NULL) != OC_OK || !parse_record(sub, key.p, o)) {
		oc_warn("subagent", "the record of %s cannot be read and is left out", key.p);
		free_record(sub);
		return true;
	}
	list_record(agent, sub);
	return agent->subagents.n < OC_SUBAGENTS_MAX;
}

/* Its run is among those that were taken up, or it has ended, or it must be begun anew. */
static void resume_running(oc_subagent *sub)
{
	oc_agent *agent = sub->agent;
	oc_auto_json cJSON *run = NULL;
	char key[64];
	snprintf(key, sizeof key, "subagent:%s:%u", sub->id, sub->attempts);
	oc_status status = oc_store_run_by_key(agent->store, key, &run, NULL);
	const char *state = oc_json_str(run, "state", ""), *name = oc_json_str(run, "run", "");
	if (status == OC_OK && oc_map_find(&agent->runs, name) != NULL) {
		copy(sub->run, sizeof sub->run, name);
		oc_map_add(&agent->subagent_runs, &sub->by_run, sub->run);
		return;
	}
	const cJSON *result = oc_json_get(run, "result");
	if (sub->killed) {
		oc_subagent_end(sub, "killed", "");
	} else if (strcmp(state, "done") == 0) {
		copy(sub->run, sizeof sub->run, name);
		oc_subagent_end(sub, "ok", oc_json_str(result, "text", ""));
	} else if (strcmp(state, "failed") == 0 || strcmp(state, "canceled") == 0) {
		const cJSON *error = oc_json_get(result, "error");
		bool timeout = strcmp(oc_json_str(error, "code", ""), oc_status_name(OC_E_TIMEOUT)) == 0;
		copy(sub->run, sizeof sub->run, name);
		oc_subagent_end(sub, timeout ? "timeout" : strcmp(state, "canceled") == 0 ? "killed" : "error",
				oc_json_str(error, "message", "it failed"));
	} else if (status == OC_OK && sub->attempts >= ATTEMPTS_MAX) {
		oc_subagent_end(sub, "error", "the gateway stopped several times while it was at work");
	} else {
		/* Interrupted, or the process ended before it was accepted: once more, under a new key. */
		sub->attempts += status == OC_OK;
		commit_record(sub);
	}
}

static void resume(void *arg, oc_map_node *node)
{
	oc_subagent *sub = OC_MAP_OWNER(node, oc_subagent, by_key);
	(void)arg;
	if (sub->state == OC_SUBAGENT_RUNNING)
		resume_running(sub);
}

static void resume_ends(void *arg, oc_map_node *node)
{
	oc_subagent *sub = OC_MAP_OWNER(node, oc_subagent, by_key);
	(void)arg;
	if (sub->state == OC_SUBAGENT_TELLING)
		sub->state = OC_SUBAGENT_ENDED; /* the key of its announcement finds the one that was made */
	oc_subagent_consider(sub);
}

static void list_over(void *arg, oc_map_node *node)
{
	oc_agent *agent = arg;
	oc_subagent *sub = OC_MAP_OWNER(node, oc_subagent, by_key), **at = &agent->subagents_over;
	if (sub->state != OC_SUBAGENT_OVER)
		return;
	while (*at != NULL && (*at)->ended_ms <= sub->ended_ms)
		at = &(*at)->over_next;
	sub->over_next = *at;
	*at = sub;
	if (sub->over_next == NULL)
		agent->subagents_over_last = sub;
	agent->subagents_n_over++;
}

void oc_subagents_recover(oc_agent *agent)
{
	oc_err err = {0};
	if (oc_store_kv_each(agent->store, STORE_NAME, load_record, agent, &err) != OC_OK)
		oc_log_err(OC_LOG_ERROR, "subagent", "what the last process left cannot be read", &err);
	if (agent->subagents.n == 0)
		return;
	oc_map_each(&agent->subagents, list_over, agent);
	oc_map_each(&agent->subagents, resume, NULL);
	oc_map_each(&agent->subagents, resume_ends, NULL);
}

static void drop(void *arg, oc_map_node *node)
{
	oc_agent *agent = arg;
	oc_subagent *sub = OC_MAP_OWNER(node, oc_subagent, by_key);
	oc_map_remove(&agent->subagents, node);
	free_record(sub);
}

void oc_subagents_free(oc_agent *agent)
{
	oc_map_each(&agent->subagents, drop, agent);
	oc_map_free(&agent->subagents);
	oc_map_free(&agent->subagent_runs);
}
