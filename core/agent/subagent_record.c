/* Sub-agents: their records, in memory and in the store, from the first to the archive; and what a restart makes of them. */
#include "core/agent/subagent.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/clock.h"
#include "core/base/log.h"

#define STORE_NAME "core.subagents"
#define DEPTH_DEFAULT 1
#define DEPTH_MAX 5
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
	return x->created_ms != y->created_ms ? (x->created_ms < y->created_ms ? -1 : 1) : strcmp(x->id, y->id);
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

/* ---- On disk ---- */

static const char *const state_names[] = {
	[OC_SUBAGENT_STARTING] = "running", [OC_SUBAGENT_RUNNING] = "running", [OC_SUBAGENT_ENDED] = "ended",
	[OC_SUBAGENT_TELLING] = "telling",  [OC_SUBAGENT_OVER] = "over",
};

static cJSON *record_of(const oc_subagent *sub)
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
	(void)oc_json_set_bool(o, "fork", sub->fork);
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
	oc_auto_json cJSON *o = record_of(sub);
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
	sub->fork = oc_json_bool(o, "fork", false);
	sub->forked = sub->fork; /* written with the record */
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

void oc_subagent_free(oc_subagent *sub)
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
	oc_subagent_free(sub);
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

void oc_subagent_add(oc_agent *agent, oc_subagent *sub)
{
	oc_map_add(&agent->subagents, &sub->by_key, sub->key);
	if (sub->state != OC_SUBAGENT_OVER) {
		sub->counted = true;
		agent->subagents_active++;
	}
	if (agent->subagent_sweep == NULL)
		agent->subagent_sweep = oc_timer_start(agent->owner, SWEEP_MS, SWEEP_MS, sweep, agent);
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
		oc_subagent_free(sub);
		return true;
	}
	oc_subagent_add(agent, sub);
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
		oc_subagent_commit(sub);
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
	oc_subagent_free(sub);
}

void oc_subagents_free(oc_agent *agent)
{
	oc_map_each(&agent->subagents, drop, agent);
	oc_map_free(&agent->subagents);
	oc_map_free(&agent->subagent_runs);
}
