/* Sub-agents: limits, starting, stopping.  Their records are in subagent_record.c, their ends in subagent_end.c. */
#include "core/agent/subagent.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/agent/engine.h"
#include "core/base/clock.h"
#include "core/base/fault.h"
#include "core/base/hash.h"
#include "core/base/id.h"
#include "core/base/log.h"

#define CHILDREN_DEFAULT 5
#define RUN_SECONDS_DEFAULT 3600

static int64_t setting_i64(const oc_config *config, const char *agent_id, const char *name, int64_t fallback)
{
	const cJSON *value = oc_subagent_setting(config, agent_id, name);
	return cJSON_IsNumber(value) ? (int64_t)value->valuedouble : fallback;
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

static void copy(char *to, size_t size, const char *from)
{
	snprintf(to, size, "%s", from != NULL ? from : "");
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
		oc_engine_subagent(sub->agent, "rollbackSubagentSpawn", sub->requester, sub->key);
		report(sub, status, err);
		oc_subagent_forget(sub);
	} else {
		/* Begun anew after a restart: who asked is told like of any other end. */
		oc_subagent_end(sub, "error", err->text);
	}
}

static char *first_message(const oc_subagent *sub, int max_depth)
{
	return oc_asprintf("[Sub-agent, depth %d of %d] Another agent gave you this task. Your last answer reaches it without your doing: "
			   "do not wait for it, ask it or write to it.%s\n\n[Task] %s",
			   sub->depth, max_depth > sub->depth ? max_depth : sub->depth,
			   sub->session_mode ? "\n\nThis conversation stays open: more may follow." : "",
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
	oc_map_node *turn = sub->fork ? oc_map_find(&agent->runs, ref.run) : NULL;
	if (turn != NULL && sub->attempts == 1)
		OC_MAP_OWNER(turn, oc_turn, by_run)->began_session = true; /* its row is older than its first turn */
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
	OC_FAULT_POINT("subagent-committed");
	if (status == OC_OK && sub->killed)
		status = oc_fail(&why, OC_E_CANCELED, NULL, "it was stopped before it began");
	if (status != OC_OK)
		start_failed(sub, status, &why);
	else
		launch(sub);
}

void oc_subagent_commit(oc_subagent *sub)
{
	oc_batch *b = oc_batch_new(sub->agent->store);
	oc_err err = {0};
	oc_status status = b != NULL ? OC_OK : OC_E_NOMEM;
	if (b != NULL)
		oc_subagent_save(sub, b);
	/* Begun anew after a crash, it has its beginning already. */
	if (status == OC_OK && sub->fork && !sub->forked)
		status = oc_subagent_fork(sub, b, &err);
	sub->forked = sub->fork;
	OC_FAULT_POINT("subagent-commit");
	if (status == OC_OK)
		status = oc_batch_commit(b, committed, sub, &err);
	else
		oc_batch_free(b);
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
			      "mode=\"session\" needs a thread, and none could be made here");
	if (err.code != OC_OK)
		start_failed(sub, err.code, &err);
	else
		oc_subagent_commit(sub);
}

static void ask_for_thread(oc_subagent *sub)
{
	oc_err err = {0};
	if (!sub->thread) {
		oc_subagent_commit(sub);
		return;
	}
	oc_status status = oc_hooks_fire(sub->agent->hooks, OC_HOOK_SUBAGENT_SPAWNING, spawn_payload(sub), sub->agent->owner, spawning_asked, sub);
	if (status != OC_OK) {
		(void)oc_fail(&err, status, NULL, "cannot start a subagent");
		start_failed(sub, status, &err);
	}
}

/* An engine that fails costs nothing. */
static void prepared(void *arg, oc_status status, oc_str result)
{
	if (status != OC_OK)
		oc_warn("agent", "the context engine could not prepare a subagent: %.*s", OC_STR_ARG(result));
	ask_for_thread(arg);
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
	char names[200];
	if (sp->agent_id[0] != 0)
		oc_agent_id_normalize(oc_str_of(sp->agent_id), id);
	else
		snprintf(id, 65, "%s", sp->requester_agent);
	if (!agent_allowed(agent->config, sp->requester_agent, id, names, sizeof names))
		return oc_fail(err, OC_E_DENIED, NULL, "sessions_spawn may not start this agent (allowed: %s)", names);
	if (!oc_agent_is_known(agent->config, id))
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
		return oc_fail(err, OC_E_DENIED, NULL, "a sub-agent at depth %d may not start others (the deepest is %d)", depth,
			       max);
	int64_t children = setting_i64(agent->config, sp->requester_agent, "maxChildrenPerAgent", CHILDREN_DEFAULT);
	size_t active = count_active(agent, sp->requester);
	if ((int64_t)active >= children)
		return oc_fail(err, OC_E_DENIED, NULL,
			       "this session has as many sub-agents at work as it may (%zu of %lld)", active,
			       (long long)children);
	if (agent->subagents.n >= OC_SUBAGENTS_MAX) {
		oc_queue_refused(OC_QUEUE_subagents);
		return oc_fail(err, OC_E_BUSY, "wait for others to end", "too many subagents are at work");
	}
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

/* One tool call starts one sub-agent: its identifier is made of the call. A turn that is taken up after a crash in between
 * makes the call again, and gets what it started before. */
static void make_id(char id[37], const oc_subagent_spawn *sp)
{
	uint64_t h[2] = {OC_HASH_START, 0x84222325cbf29ce4ULL};
	const oc_str parts[] = {oc_str_of(sp->run), oc_str_of(sp->call_id), oc_str_of(sp->label), sp->task};
	if (sp->run[0] == 0 || sp->call_id[0] == 0) {
		oc_id_uuid(id);
		return;
	}
	for (int k = 0; k < 2; k++) {
		for (size_t i = 0; i < sizeof parts / sizeof *parts; i++)
			h[k] = oc_hash_step(oc_hash(h[k], parts[i]), 0x1ff);
		h[k] = (h[k] ^ h[k] >> 32) * 0x9e3779b97f4a7c15ULL;
	}
	snprintf(id, 37, "%08x-%04x-8%03x-%04x-%012llx", (unsigned)(h[0] >> 32), (unsigned)(h[0] >> 16 & 0xffff),
		 (unsigned)(h[0] & 0xfff), (unsigned)(h[1] >> 48 & 0x3fff) | 0x8000u, (unsigned long long)(h[1] & 0xffffffffffffULL));
}

static oc_subagent *find_called(oc_agent *agent, const oc_subagent_spawn *sp)
{
	char id[37], agent_id[65], key[OC_SESSION_KEY_MAX];
	if (sp->run[0] == 0 || sp->call_id[0] == 0)
		return NULL;
	make_id(id, sp);
	oc_agent_id_normalize(oc_str_of(sp->agent_id[0] != 0 ? sp->agent_id : sp->requester_agent), agent_id);
	snprintf(key, sizeof key, "agent:%s:subagent:%s", agent_id, id);
	return oc_subagent_find(agent, key);
}

static void answer_again(oc_subagent *sub, const oc_subagent_spawn *sp)
{
	oc_err none = {0};
	if (sub->state == OC_SUBAGENT_STARTING && sub->spawned == NULL) {
		sub->spawned = sp->done;
		sub->spawned_arg = sp->arg;
	} else {
		sp->done(sp->arg, sub, OC_OK, &none);
	}
}

oc_status oc_subagent_start(oc_agent *agent, const oc_subagent_spawn *sp, oc_err *err)
{
	char id[65];
	oc_subagent *known = find_called(agent, sp);
	if (known != NULL) {
		answer_again(known, sp);
		return OC_OK;
	}
	oc_status status = check_limits(agent, sp, err);
	if (status == OC_OK)
		status = check_agent(agent, sp, id, err);
	if (status == OC_OK && sp->fork && strcmp(id, sp->requester_agent) != 0)
		status = oc_fail(err, OC_E_DENIED, NULL, "context=\"fork\" hands a conversation on to the same agent only");
	if (status != OC_OK)
		return status;
	oc_subagent *sub = oc_alloc(sizeof *sub);
	if (sub == NULL)
		return oc_fail(err, OC_E_NOMEM, NULL, "cannot start a subagent");
	*sub = (oc_subagent){.agent = agent, .state = OC_SUBAGENT_STARTING, .attempts = 1, .created_ms = oc_wall_ms(),
			     .cleanup_delete = sp->cleanup_delete && !sp->session_mode, .session_mode = sp->session_mode,
			     .thread = sp->thread, .fork = sp->fork, .depth = oc_subagent_depth(agent, sp->requester) + 1, .spawned = sp->done,
			     .spawned_arg = sp->arg};
	make_id(sub->id, sp);
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
		oc_subagent_free(sub);
		return status;
	}
	oc_subagent_add(agent, sub);
	if (!oc_engine_spawn(agent, sub->requester, sub->key, prepared, sub))
		ask_for_thread(sub);
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

