#include "core/agent/agent.h"

#include <string.h>

#include "core/agent/approval.h"
#include "core/agent/budget.h"
#include "core/agent/builtin.h"
#include "core/agent/channels.h"
#include "core/agent/cron.h"
#include "core/agent/culprits.h"
#include "core/agent/heartbeat.h"
#include "core/agent/inbound.h"
#include "core/agent/keyring.h"
#include "core/agent/journal.h"
#include "core/agent/memory.h"
#include "core/agent/prune.h"
#include "core/agent/recover.h"
#include "core/agent/retention.h"
#include "core/agent/services.h"
#include "core/agent/tell.h"
#include "core/agent/session_tools.h"
#include "core/agent/subagent.h"
#include "core/agent/turn.h"
#include "core/agent/workspace.h"
#include "core/base/clock.h"
#include "core/base/fault.h"
#include "core/base/log.h"
#include "core/base/path.h"
#include "core/store/pairing.h"

/* ---- What the configuration says about agents ---- */

const cJSON *oc_agent_entry(const oc_config *config, const char *agent_id)
{
	const cJSON *entry;
	char id[65];
	cJSON_ArrayForEach(entry, oc_config_get(config, "agents.list"))
	{
		oc_agent_id_normalize(oc_json_ostr(entry, "id"), id);
		if (cJSON_IsObject(entry) && strcmp(id, agent_id) == 0)
			return entry;
	}
	return NULL;
}

const char *oc_agent_default_id(const oc_config *config, char out[65])
{
	const cJSON *list = oc_config_get(config, "agents.list"), *entry, *chosen = cJSON_GetArrayItem(list, 0);
	cJSON_ArrayForEach(entry, list) if (oc_json_bool(entry, "default", false))
	{
		chosen = entry;
		break;
	}
	oc_agent_id_normalize(chosen != NULL ? oc_json_ostr(chosen, "id") : OC_STR("main"), out);
	return out;
}

const char *oc_agent_main_key(const oc_config *config)
{
	return oc_config_str(config, "session.mainKey", "main");
}

const cJSON *oc_agent_setting(const oc_config *config, const char *agent_id, const char *path)
{
	const cJSON *own = oc_json_path(oc_agent_entry(config, agent_id), path);
	return own != NULL ? own : oc_json_path(oc_config_get(config, "agents.defaults"), path);
}

char *oc_agent_workspace_in(const char *state_dir, const oc_config *config, const char *agent_id)
{
	char fallback[65];
	const char *own = oc_json_str(oc_agent_entry(config, agent_id), "workspace", "");
	if (own[0] != 0)
		return oc_path_expand(own, state_dir);
	if (strcmp(agent_id, oc_agent_default_id(config, fallback)) != 0) {
		oc_auto_free char *name = oc_asprintf("workspace-%s", agent_id);
		return name != NULL ? oc_path_join(state_dir, name) : NULL;
	}
	const char *shared = oc_config_str(config, "agents.defaults.workspace", "");
	return shared[0] != 0 ? oc_path_expand(shared, state_dir) : oc_path_join(state_dir, "workspace");
}

char *oc_agent_workspace(oc_agent *agent, const oc_config *config, const char *agent_id)
{
	return oc_agent_workspace_in(agent->state_dir, config, agent_id);
}

/* ---- Life ---- */

oc_status oc_agent_new(oc_loop *loop, oc_config *config, oc_store *store, oc_modules *modules, oc_hooks *hooks,
		       const oc_agent_options *options, oc_agent **ret, oc_err *err)
{
	oc_agent *agent = oc_alloc(sizeof *agent);
	if (agent == NULL)
		return oc_fail(err, OC_E_NOMEM, NULL, "cannot start the agent");
	agent->loop = loop;
	agent->config = oc_config_ref(config);
	agent->store = store;
	agent->modules = modules;
	agent->hooks = hooks;
	agent->one_shot = options != NULL && options->one_shot;
	agent->state_dir = options != NULL && options->state_dir != NULL ? oc_strdup(options->state_dir) : oc_path_state_dir();
	agent->owner = oc_owner_new(loop, "agent");
	oc_status status = agent->state_dir != NULL && agent->owner != NULL ? OC_OK : OC_E_NOMEM;
	if (status == OC_OK)
		status = oc_channels_new(agent, &agent->channels);
	if (status == OC_OK)
		status = oc_outbound_new(agent, &agent->outbound);
	if (status == OC_OK)
		status = oc_turn_endings_new(agent);
	if (status != OC_OK)
		(void)oc_fail(err, status, NULL, "cannot start the agent");
	else
		status = oc_services_provide(agent, err);
	if (status == OC_OK)
		status = oc_builtin_add(agent, err);
	if (status != OC_OK) {
		oc_agent_free(agent);
		return status;
	}
	*ret = agent;
	return OC_OK;
}

/* Channel accounts of a module that came back are connected again. */
static void on_module_state(void *arg, oc_module *module)
{
	oc_agent *agent = arg;
	(void)module;
	if (agent->started && !agent->draining)
		oc_channels_sync(agent);
}

oc_status oc_agent_start(oc_agent *agent, oc_err *err)
{
	if (agent->started)
		return oc_fail(err, OC_E_STATE, NULL, "the agent runs already");
	agent->started = true;
	if (agent->one_shot)
		return OC_OK;
	if (oc_modules_on_state(agent->modules, on_module_state, agent) != OC_OK)
		return oc_fail(err, OC_E_NOMEM, NULL, "cannot watch the modules");
	oc_model_rests_load(agent);
	oc_channels_sync(agent);
	oc_recover(agent);
	oc_subagents_recover(agent);
	oc_outbound_resume(agent);
	oc_journal_start(agent);
	return oc_retention_start(agent) == OC_OK ? OC_OK : oc_fail(err, OC_E_NOMEM, NULL, "cannot start the agent");
}

void oc_agent_reload(oc_agent *agent, oc_config *config)
{
	oc_config *old = agent->config;
	agent->config = oc_config_ref(config);
	agent->catalog_config = NULL;
	oc_keyring_reset(agent);
	oc_model_rests_reload(agent);
	oc_module *own = oc_modules_find(agent->modules, "core");
	if (own != NULL && oc_builtin_memory(old) != oc_builtin_memory(config))
		oc_module_restart(own, NULL, NULL);
	oc_config_unref(old);
	if (agent->started) {
		oc_channels_sync(agent);
		oc_journal_start(agent);
	}
	oc_lane_pump(agent); /* the limit may have grown */
	oc_cron_reload(agent);
	oc_heartbeat_reload(agent);
}

void oc_agent_set_http(oc_agent *agent, struct oc_http_client *http)
{
	agent->http = http;
}

void oc_agent_ready(oc_agent *agent)
{
	oc_cron_start(agent);
	oc_heartbeat_start(agent);
}

void oc_agent_free(oc_agent *agent)
{
	if (agent == NULL)
		return;
	agent->draining = true;
	oc_modules_off_state(agent->modules, agent);
	oc_services_withdraw(agent);
	oc_turn_endings_forget(agent);
	oc_turns_free(agent);
	oc_direct_free(agent);
	/* What was written for the agent reports back to it: before it goes, not after. */
	oc_store_settle(agent->store);
	oc_waiters_free(agent);
	oc_approvals_free(agent);
	oc_cron_free(agent);
	oc_heartbeat_free(agent);
	oc_hook_runs_free(agent);
	oc_exchanges_free(agent);
	oc_subagents_free(agent);
	oc_outbound_free(agent->outbound);
	oc_channels_free(agent->channels);
	oc_memory_free(agent);
	oc_journal_free(agent);
	oc_owner_free(agent->owner);
	oc_agent_subs_free(agent);
	oc_inbound_free(agent);
	oc_tell_free(agent);
	oc_sessions_free(agent);
	oc_models_free(agent);
	oc_keyring_free(agent);
	oc_culprits_free(agent);
	oc_budgets_free(agent);
	oc_prune_forget(agent, NULL);
	oc_workspaces_free(agent);
	oc_config_unref(agent->config);
	oc_free(agent->state_dir);
	oc_free(agent);
}

/* ---- Draining ---- */

static void drain_over(void *arg)
{
	oc_agent *agent = arg;
	void (*drained)(void *arg) = agent->drained;
	agent->drained = NULL;
	oc_watch_end(agent->drain_timer);
	agent->drain_timer = NULL;
	OC_FAULT_POINT("drain-over");
	if (drained != NULL)
		drained(agent->drained_arg);
}

/* Turns and deliveries are over: the channels can go. */
static void leave_channels(oc_agent *agent)
{
	if (agent->drain_stage == 2)
		return;
	agent->drain_stage = 2;
	OC_FAULT_POINT("drain-channels");
	oc_channels_stop(agent, 3000, drain_over, agent);
}

void oc_agent_check_drained(oc_agent *agent)
{
	if (agent->drain_stage == 1 && agent->runs.n == 0 && agent->direct_runs.n == 0 && oc_outbound_busy(agent->outbound) == 0)
		leave_channels(agent);
}

static void drain_check_later(void *arg)
{
	oc_agent_check_drained(arg);
}

static void force(void *arg)
{
	oc_agent *agent = arg;
	oc_warn("agent", "not everything ended in time: %zu turns are left behind", agent->runs.n);
	leave_channels(agent);
}

static void interrupt(void *arg, oc_map_node *node)
{
	(void)arg;
	oc_turn_suspend(OC_MAP_OWNER(node, oc_turn, by_run));
}

static void drain_deadline(void *arg)
{
	oc_agent *agent = arg;
	oc_watch_end(agent->drain_timer);
	agent->drain_timer = oc_timer_start(agent->owner, 3000, 0, force, agent);
	if (agent->runs.n > 0)
		oc_warn("agent", "%zu turns are interrupted: they took longer than the time to stop", agent->runs.n);
	oc_map_each(&agent->runs, interrupt, NULL);
	oc_agent_check_drained(agent);
}

static void shelve(void *arg, oc_map_node *node)
{
	(void)arg;
	oc_turn *turn = OC_MAP_OWNER(node, oc_turn, by_run);
	if (turn->state == OC_TURN_WAITING)
		oc_turn_shelve(turn);
}

void oc_agent_drain(oc_agent *agent, uint64_t deadline_ms, void (*done)(void *arg), void *arg)
{
	agent->draining = true;
	agent->drained = done;
	agent->drained_arg = arg;
	agent->drain_stage = 1;
	OC_FAULT_POINT("drain-begin");
	oc_approvals_drain(agent);
	oc_map_each(&agent->runs, shelve, NULL);
	agent->drain_timer = oc_timer_start(agent->owner, deadline_ms, 0, drain_deadline, agent);
	if (oc_loop_defer(agent->loop, agent->owner, drain_check_later, agent) != OC_OK)
		oc_agent_check_drained(agent);
}

/* ---- Turns from outside ---- */

oc_status oc_agent_submit(oc_agent *agent, const oc_turn_input *input, oc_run_ref *ret, oc_err *err)
{
	return oc_turn_submit(agent, input, NULL, NULL, NULL, NULL, ret, err);
}

static oc_turn *find_turn(oc_agent *agent, const char *run)
{
	oc_map_node *node = oc_map_find(&agent->runs, run);
	return node != NULL ? OC_MAP_OWNER(node, oc_turn, by_run) : NULL;
}

void oc_agent_detach(oc_agent *agent, const char *run, void *arg)
{
	oc_turn *turn = find_turn(agent, run);
	if (turn != NULL && turn->arg == arg)
		turn->on_event = NULL;
}

oc_status oc_agent_cancel(oc_agent *agent, const char *run, oc_err *err)
{
	oc_turn *turn = find_turn(agent, run);
	if (turn == NULL)
		return oc_fail(err, OC_E_NOT_FOUND, NULL, "no turn runs under %s", run);
	oc_turn_cancel(turn, OC_E_CANCELED, "stopped");
	return OC_OK;
}

static void cancel_one(void *arg, oc_turn *turn)
{
	(void)arg;
	oc_turn_cancel(turn, OC_E_CANCELED, "stopped");
}

oc_status oc_agent_cancel_session(oc_agent *agent, oc_str session, int *ret_count, oc_err *err)
{
	char key[OC_SESSION_KEY_MAX], id[65];
	oc_status status = oc_session_key_resolve(session, oc_agent_default_id(agent->config, id),
						  oc_agent_main_key(agent->config), key, err);
	if (status != OC_OK)
		return status;
	int n = oc_lane_each(agent, key, cancel_one, NULL) + oc_subagents_kill(agent, key);
	if (n == 0)
		return oc_fail(err, OC_E_NOT_FOUND, NULL, "nothing runs in %s", key);
	if (ret_count != NULL)
		*ret_count = n;
	return OC_OK;
}

static void describe_run(void *arg, oc_map_node *node)
{
	const oc_turn *turn = OC_MAP_OWNER(node, oc_turn, by_run);
	cJSON *o = cJSON_CreateObject();
	bool running = turn->state == OC_TURN_RUNNING || turn->state == OC_TURN_ENDING;
	oc_json_opt(o, "run", turn->run);
	oc_json_opt(o, "session", turn->session);
	oc_json_opt(o, "agent", turn->agent_id);
	oc_json_opt(o, "state", running ? "running" : "waiting");
	oc_json_opt(o, "model", turn->model.ref);
	oc_json_opt(o, "origin", turn->origin);
	if (turn->began_ms != 0)
		(void)oc_json_set_i64(o, "startedAt", oc_wall_ms() - (int64_t)(oc_now_ms() - turn->began_ms));
	if (o == NULL || !cJSON_AddItemToArray(arg, o))
		cJSON_Delete(o);
}

oc_status oc_agent_runs(oc_agent *agent, cJSON **ret_array, oc_err *err)
{
	cJSON *out = cJSON_CreateArray();
	if (out == NULL)
		return oc_fail(err, OC_E_NOMEM, NULL, "cannot list the turns");
	oc_map_each(&agent->runs, describe_run, out);
	*ret_array = out;
	return OC_OK;
}

/* ---- Waiting ---- */

struct oc_waiter {
	oc_waiter *next;
	oc_agent *agent;
	char run[37];
	cJSON *result; /* known already */
	oc_watch *timer;
	void (*done)(void *arg, oc_status status, const cJSON *result);
	void *arg;
	bool ended;
};

static void free_waiter(oc_waiter *w)
{
	for (oc_waiter **at = &w->agent->waiters; *at != NULL; at = &(*at)->next)
		if (*at == w) {
			*at = w->next;
			break;
		}
	oc_watch_end(w->timer);
	cJSON_Delete(w->result);
	oc_free(w);
}

static void wait_over(void *arg)
{
	oc_waiter *w = arg;
	oc_watch_end(w->timer);
	w->timer = NULL;
	if (!w->ended)
		w->done(w->arg, w->result != NULL ? OC_OK : OC_E_TIMEOUT, w->result);
	free_waiter(w);
}

oc_status oc_agent_wait(oc_agent *agent, const char *run, uint64_t timeout_ms,
			void (*done)(void *arg, oc_status status, const cJSON *result), void *arg, oc_err *err)
{
	cJSON *result = NULL;
	if (find_turn(agent, run) == NULL) {
		oc_auto_json cJSON *row = NULL;
		oc_status status = oc_store_run(agent->store, run, &row, err);
		if (status != OC_OK)
			return status;
		result = cJSON_DetachItemFromObjectCaseSensitive(row, "result");
		if (result == NULL)
			return oc_fail(err, OC_E_NOT_FOUND, NULL, "the run %s has no result", run);
	}
	oc_waiter *w = oc_alloc(sizeof *w);
	if (w == NULL) {
		cJSON_Delete(result);
		return oc_fail(err, OC_E_NOMEM, NULL, "cannot wait for the run");
	}
	*w = (oc_waiter){.agent = agent, .result = result, .done = done, .arg = arg, .next = agent->waiters};
	snprintf(w->run, sizeof w->run, "%s", run);
	agent->waiters = w;
	w->timer = oc_timer_start(agent->owner, result != NULL ? 0 : timeout_ms, 0, wait_over, w);
	if (w->timer == NULL) {
		free_waiter(w);
		return oc_fail(err, OC_E_NOMEM, NULL, "cannot wait for the run");
	}
	return OC_OK;
}

void oc_agent_wait_end(oc_agent *agent, void *arg)
{
	for (oc_waiter *w = agent->waiters; w != NULL; w = w->next)
		if (w->arg == arg)
			w->ended = true;
}

void oc_waiters_tell(oc_agent *agent, const char *run, const cJSON *result)
{
	for (oc_waiter *w = agent->waiters; w != NULL; w = w->next)
		if (strcmp(w->run, run) == 0 && w->result == NULL) {
			w->result = cJSON_Duplicate(result, true);
			oc_timer_again(w->timer, 0);
		}
}

void oc_waiters_free(oc_agent *agent)
{
	while (agent->waiters != NULL)
		free_waiter(agent->waiters);
}

/* ---- Agents for people ---- */

static bool count_tool(void *arg, const oc_tool_info *tool)
{
	(void)tool;
	(*(int64_t *)arg)++;
	return true;
}

static cJSON *describe_agent(oc_agent *agent, const char *id)
{
	cJSON *o = cJSON_CreateObject();
	oc_auto_json cJSON *model = NULL;
	char fallback[65];
	int64_t tools = 0;
	oc_auto_free char *workspace = oc_agent_workspace(agent, agent->config, id);
	const cJSON *entry = oc_agent_entry(agent->config, id);
	(void)oc_agent_model_status(agent, oc_str_of(id), &model, NULL);
	oc_modules_each_tool(agent->modules, count_tool, &tools);
	oc_json_opt(o, "id", id);
	oc_json_opt(o, "name", oc_json_str(oc_json_get(entry, "identity"), "name", oc_json_str(entry, "name", NULL)));
	(void)oc_json_set_bool(o, "default", strcmp(id, oc_agent_default_id(agent->config, fallback)) == 0);
	oc_json_opt(o, "workspace", workspace);
	oc_json_opt(o, "model", oc_json_str(model, "model", NULL));
	cJSON *fallbacks = cJSON_DetachItemFromObjectCaseSensitive(model, "fallbacks");
	if (fallbacks != NULL)
		(void)oc_json_set(o, "fallbacks", fallbacks);
	(void)oc_json_set_i64(o, "tools", tools);
	return o;
}

oc_status oc_agent_agents(oc_agent *agent, cJSON **ret_object, oc_err *err)
{
	char id[65];
	cJSON *out = cJSON_CreateObject(), *list = cJSON_AddArrayToObject(out, "agents");
	if (list == NULL) {
		cJSON_Delete(out);
		return oc_fail(err, OC_E_NOMEM, NULL, "cannot list the agents");
	}
	oc_json_opt(out, "defaultId", oc_agent_default_id(agent->config, id));
	oc_json_opt(out, "mainKey", oc_agent_main_key(agent->config));
	const cJSON *configured = oc_config_get(agent->config, "agents.list"), *entry;
	if (cJSON_GetArraySize(configured) == 0)
		cJSON_AddItemToArray(list, describe_agent(agent, id));
	cJSON_ArrayForEach(entry, configured)
	{
		oc_agent_id_normalize(oc_json_ostr(entry, "id"), id);
		cJSON_AddItemToArray(list, describe_agent(agent, id));
	}
	*ret_object = out;
	return OC_OK;
}

bool oc_agent_is_known(const oc_config *config, const char *agent_id)
{
	char fallback[65];
	return oc_agent_entry(config, agent_id) != NULL || strcmp(agent_id, oc_agent_default_id(config, fallback)) == 0;
}

oc_status oc_agent_agent(oc_agent *agent, oc_str agent_id, cJSON **ret_object, oc_err *err)
{
	char id[65];
	if (agent_id.n > 0)
		oc_agent_id_normalize(agent_id, id);
	else
		(void)oc_agent_default_id(agent->config, id);
	if (!oc_agent_is_known(agent->config, id))
		return oc_fail(err, OC_E_NOT_FOUND, "add it to agents.list", "there is no agent %s", id);
	cJSON *out = describe_agent(agent, id), *files = cJSON_AddArrayToObject(out, "files");
	if (files == NULL) {
		cJSON_Delete(out);
		return oc_fail(err, OC_E_NOMEM, NULL, "cannot describe the agent");
	}
	oc_workspace_files read;
	size_t chars = 0;
	oc_workspace_read(agent, agent->config, oc_json_str(out, "workspace", "/nonexistent"), OC_WORKSPACE_ALL, &read);
	for (size_t i = 0; i < read.n; i++) {
		const oc_workspace_file *f = &read.file[i];
		cJSON *o = cJSON_CreateObject();
		oc_json_opt(o, "name", f->name);
		oc_json_opt(o, "path", f->path);
		(void)oc_json_set_bool(o, "missing", f->text == NULL);
		(void)oc_json_set_i64(o, "chars", (int64_t)f->chars);
		(void)oc_json_set_bool(o, "truncated", f->truncated);
		chars += f->text != NULL ? strlen(f->text) : 0;
		if (o == NULL || !cJSON_AddItemToArray(files, o))
			cJSON_Delete(o);
	}
	oc_workspace_files_free(&read);
	(void)oc_json_set_i64(out, "systemPromptChars", (int64_t)chars);
	*ret_object = out;
	return OC_OK;
}

/* ---- The rest ---- */

void oc_agent_get_stats(const oc_agent *agent, oc_agent_stats *ret)
{
	*ret = agent->stats;
}

const oc_agent_timing *oc_agent_timings(const oc_agent *agent)
{
	return &agent->timing;
}

static void add_bytes(void *arg, oc_map_node *node)
{
	const oc_turn *turn = OC_MAP_OWNER(node, oc_turn, by_run);
	*(uint64_t *)arg += oc_arena_bytes(turn->arena) + turn->messages.cap + turn->reply.cap + turn->step.text.cap;
}

void oc_agent_get_gauges(oc_agent *agent, oc_agent_gauges *ret)
{
	*ret = (oc_agent_gauges){.sessions_active = agent->lanes.n, .subagents_active = agent->subagents_active,
				 .subagents_spawned = agent->subagents_spawned, .subagents_ok = agent->subagents_ok,
				 .subagents_failed = agent->subagents_failed};
	oc_map_each(&agent->runs, add_bytes, &ret->turn_bytes);
}

void oc_agent_queues(oc_agent *agent, oc_fill q[OC_QUEUE_N])
{
	oc_lanes_fill(agent, q);
	oc_outbound_fill(agent->outbound, &q[OC_QUEUE_deliveries]);
	oc_fill_add(&q[OC_QUEUE_subagents], agent->subagents_active, OC_SUBAGENTS_MAX);
	oc_fill_add(&q[OC_QUEUE_direct_tools], agent->direct_runs.n, OC_AGENT_DIRECT_MAX);
	oc_fill_add(&q[OC_QUEUE_memory_searches], agent->n_memory_requests, OC_AGENT_MEMORY_REQUESTS_MAX);
	oc_fill_add(&q[OC_QUEUE_session_exchanges], agent->n_exchanges, OC_AGENT_EXCHANGES_MAX);
	oc_fill_add(&q[OC_QUEUE_overheard_bytes], agent->groups_bytes, OC_AGENT_OVERHEARD_BYTES_MAX);
}

oc_status oc_agent_pairing_approve(oc_agent *agent, const char *channel, const char *code, cJSON **ret_request, oc_err *err)
{
	cJSON *request = NULL;
	oc_status status = oc_pairing_approve(agent->store, channel != NULL && channel[0] != 0 ? channel : NULL, code, &request,
					      err);
	if (status != OC_OK)
		return status;
	oc_auto_json cJSON *deliver = cJSON_CreateObject();
	oc_json_opt(deliver, "channel", oc_json_str(request, "channel", NULL));
	oc_json_opt(deliver, "account", oc_json_str(request, "account", NULL));
	/* In direct messages, which is where pairing happens, the sender is the chat. */
	oc_json_opt(deliver, "to", oc_json_str(request, "sender", NULL));
	char key[60];
	snprintf(key, sizeof key, "paired:%.20s:%.20s", oc_json_str(request, "channel", ""), code);
	(void)oc_json_set_bool(deliver, "approval", true); /* a plugin may have its own words for it */
	oc_inbound_say(agent, deliver, NULL, key, "You are in. Write me anything.");
	if (ret_request != NULL)
		*ret_request = request;
	else
		cJSON_Delete(request);
	return OC_OK;
}
