/* The tools sessions_spawn and subagents, and the command /subagents. */
#include <stdlib.h>
#include <string.h>

#include "core/agent/builtin.h"
#include "core/agent/subagent.h"
#include "core/base/clock.h"

/* ---- sessions_spawn ---- */

static const char spawn_note[] = "It runs in the background. Its result comes to you as a message when it is done: do not poll "
				 "with sessions_list or sessions_history, and do not sleep. Answer your user after the results you "
				 "wait for have come; say until then only that the work is under way.";
static const char thread_note[] = "The session stays bound to its thread; follow-ups go there.";

static void refused(oc_call *call, const oc_err *err)
{
	cJSON *o = cJSON_CreateObject();
	oc_json_opt(o, "status", err->code == OC_E_DENIED ? "forbidden" : "error");
	oc_json_opt(o, "error", err->text);
	oc_builtin_json(call, o);
}

static void spawned(void *arg, oc_subagent *sub, oc_status status, const oc_err *err)
{
	oc_call *call = arg;
	if (status != OC_OK) {
		refused(call, err);
		return;
	}
	cJSON *o = cJSON_CreateObject();
	oc_json_opt(o, "status", "accepted");
	oc_json_opt(o, "childSessionKey", sub->key);
	oc_json_opt(o, "runId", sub->run);
	oc_json_opt(o, "mode", sub->session_mode ? "session" : "run");
	oc_json_opt(o, "note", sub->session_mode ? thread_note : spawn_note);
	if (sub->model[0] != 0) {
		(void)oc_json_set_bool(o, "modelApplied", true);
		oc_json_opt(o, "resolvedModel", sub->model);
	}
	oc_builtin_json(call, o);
}

/* What a caller's turn knows of where its answers go. */
static const oc_turn *turn_of(const oc_builtin_call *call)
{
	oc_map_node *node = oc_map_find(&call->agent->runs, call->run);
	return node != NULL ? OC_MAP_OWNER(node, oc_turn, by_run) : NULL;
}

/* What the original's tool can be asked for and this one cannot do: told, not left out in silence. */
static bool unsupported(const oc_builtin_call *call, oc_err *err)
{
	const oc_config *config = call->agent->config;
	if (strcmp(oc_json_str(call->args, "runtime", "subagent"), "subagent") != 0)
		(void)oc_fail(err, OC_E_UNSUPPORTED, NULL, "runtime=\"%.20s\" is not available here; leave it out for a subagent",
			      oc_json_str(call->args, "runtime", ""));
	else if (cJSON_GetArraySize(oc_json_get(call->args, "attachments")) > 0)
		(void)oc_fail(err, OC_E_DENIED, NULL, "attachments are not available; write what it needs into the task or into a file");
	else if (strcmp(oc_json_str(call->args, "sandbox", "inherit"), "require") == 0 &&
		 strcmp(oc_config_str(config, "tools.exec.sandbox.level", "strict"), "off") == 0)
		(void)oc_fail(err, OC_E_DENIED, NULL, "sandbox=\"require\" cannot be kept: tools.exec.sandbox.level is off");
	return err->code != OC_OK;
}

static void invoke_spawn(const oc_builtin_call *call)
{
	const oc_turn *turn = turn_of(call);
	oc_err err = {0};
	const char *model = oc_json_str(call->args, "model", "");
	if (unsupported(call, &err)) {
		refused(call->call, &err);
		return;
	}
	oc_subagent_spawn spawn = {
		.requester = call->session,
		.requester_agent = call->agent_id,
		.origin = turn != NULL ? turn->deliver : NULL,
		.task = oc_json_ostr(call->args, "task"),
		.label = oc_json_str(call->args, "label", ""),
		.agent_id = oc_json_str(call->args, "agentId", ""),
		.model = model,
		.thinking = oc_json_str(call->args, "thinking", ""),
		.timeout_s = oc_json_i64(call->args, "runTimeoutSeconds", oc_json_i64(call->args, "timeoutSeconds", -1)),
		.cleanup_delete = strcmp(oc_json_str(call->args, "cleanup", "keep"), "delete") == 0,
		.session_mode = strcmp(oc_json_str(call->args, "mode", "run"), "session") == 0,
		.thread = oc_json_bool(call->args, "thread", false),
		.fork = strcmp(oc_json_str(call->args, "context", ""), "fork") == 0,
		.run = call->run,
		.call_id = call->call_id,
		.done = spawned,
		.arg = call->call,
	};
	if (oc_subagent_start(call->agent, &spawn, &err) != OC_OK)
		refused(call->call, &err);
}

const oc_builtin_tool oc_tool_sessions_spawn = {
	.name = "sessions_spawn",
	.spec =
		"{\"name\":\"sessions_spawn\",\"group\":\"sessions\",\"description\":\"Start a sub-agent for a task that takes long or "
		"can be done beside others. It works in the background in a session of its own, knows only what the task says, and its "
		"result comes back to this conversation as a message.\",\"parameters\":{\"type\":\"object\",\"properties\":{"
		"\"task\":{\"type\":\"string\",\"minLength\":1,\"description\":\"What to do, with everything that must be known for "
		"it\"},\"label\":{\"type\":\"string\",\"maxLength\":128,\"description\":\"A short name for lists\"},"
		"\"agentId\":{\"type\":\"string\",\"maxLength\":64,\"description\":\"Another agent (see agents_list)\"},"
		"\"model\":{\"type\":\"string\",\"maxLength\":128,\"description\":\"provider/model instead of the usual one\"},"
		"\"thinking\":{\"type\":\"string\",\"enum\":[\"off\",\"minimal\",\"low\",\"medium\",\"high\",\"xhigh\"]},"
		"\"context\":{\"type\":\"string\",\"enum\":[\"isolated\",\"fork\"],\"description\":\"fork: it begins with what was "
		"said in this conversation\"},\"runtime\":{\"type\":\"string\"},\"sandbox\":{\"type\":\"string\",\"enum\":["
		"\"inherit\",\"require\"]},\"attachments\":{\"type\":\"array\",\"maxItems\":50},"
		"\"runTimeoutSeconds\":{\"type\":\"integer\",\"minimum\":0,\"description\":\"It is ended after this time; 0: an hour\"},"
		"\"timeoutSeconds\":{\"type\":\"integer\",\"minimum\":0,\"description\":\"The same, by its old name\"},"
		"\"thread\":{\"type\":\"boolean\",\"description\":\"In a thread of its own, where the channel has them\"},"
		"\"mode\":{\"type\":\"string\",\"enum\":[\"run\",\"session\"],\"description\":\"session: it stays for follow-ups (needs "
		"thread)\"},\"cleanup\":{\"type\":\"string\",\"enum\":[\"delete\",\"keep\"],\"description\":\"Whether its session is "
		"deleted when it has reported\"}},\"required\":[\"task\"]}}",
	.invoke = invoke_spawn,
	.repeatable = true,
};

/* ---- sessions_yield ---- */

static void invoke_yield(const oc_builtin_call *call)
{
	oc_map_node *node = oc_map_find(&call->agent->runs, call->run);
	oc_turn *turn = node != NULL ? OC_MAP_OWNER(node, oc_turn, by_run) : NULL;
	if (turn == NULL || turn->aside != NULL) {
		oc_builtin_text(call->call, true, "There is no turn that could end here.");
		return;
	}
	turn->yielded = true;
	cJSON *o = cJSON_CreateObject();
	oc_json_opt(o, "status", "yielded");
	oc_json_opt(o, "message", oc_json_str(call->args, "message", "Turn yielded."));
	oc_builtin_json(call->call, o);
}

const oc_builtin_tool oc_tool_sessions_yield = {
	.name = "sessions_yield",
	.spec = "{\"name\":\"sessions_yield\",\"group\":\"sessions\",\"description\":\"End this turn now. What you wait for (results "
		"of sub-agents) comes as the next message.\",\"parameters\":{\"type\":\"object\",\"properties\":{\"message\":{"
		"\"type\":\"string\",\"maxLength\":4000,\"description\":\"A note to yourself\"}}}}",
	.invoke = invoke_yield,
	.repeatable = true,
};

/* ---- Which one is meant ---- */

static size_t digits(const char *s)
{
	return strspn(s, "0123456789");
}

/* By number in the list (from 1), label, session, or the beginning of the identifier. NULL: none, or several. */
static oc_subagent *pick(oc_subagent **list, size_t n, const char *target)
{
	oc_subagent *found = NULL;
	size_t hits = 0;
	if (target[0] == '#')
		target++;
	if (target[0] != 0 && target[digits(target)] == 0 && digits(target) < 6) {
		size_t number = strtoul(target, NULL, 10);
		return number >= 1 && number <= n ? list[number - 1] : NULL;
	}
	for (size_t i = 0; i < n; i++)
		if (strcmp(list[i]->key, target) == 0 || strcmp(list[i]->run, target) == 0)
			return list[i];
	for (size_t i = 0; i < n; i++)
		if (strcmp(list[i]->label, target) == 0 || (strlen(target) >= 4 && strncmp(list[i]->id, target, strlen(target)) == 0)) {
			found = list[i];
			hits++;
		}
	return hits == 1 ? found : NULL;
}

static const char *state_words(const oc_subagent *sub)
{
	switch (sub->state) {
	case OC_SUBAGENT_STARTING:
	case OC_SUBAGENT_RUNNING:
		return sub->killed ? "stopping" : "running";
	case OC_SUBAGENT_ENDED:
		return "waits for its own sub-agents";
	case OC_SUBAGENT_TELLING:
		return "reporting";
	case OC_SUBAGENT_OVER:
	default:
		return sub->outcome;
	}
}

/* ---- subagents ---- */

static cJSON *row(const oc_subagent *sub, size_t number)
{
	cJSON *o = cJSON_CreateObject();
	int64_t end = sub->ended_ms > 0 ? sub->ended_ms : oc_wall_ms();
	(void)oc_json_set_i64(o, "index", (int64_t)number);
	oc_json_opt(o, "sessionKey", sub->key);
	oc_json_opt(o, "runId", sub->run);
	oc_json_opt(o, "label", sub->label);
	oc_json_opt(o, "task", sub->task);
	oc_json_opt(o, "status", state_words(sub));
	oc_json_opt(o, "model", sub->model);
	(void)oc_json_set_i64(o, "runtimeMs", end - sub->created_ms);
	(void)oc_json_set_i64(o, "totalTokens", sub->input + sub->output);
	(void)oc_json_set(o, "cost", cJSON_CreateNumber(sub->cost));
	return o;
}

static cJSON *listing(const char *requester, oc_subagent **list, size_t n, int64_t minutes)
{
	cJSON *o = cJSON_CreateObject();
	oc_json_opt(o, "status", "ok");
	oc_json_opt(o, "action", "list");
	oc_json_opt(o, "requesterSessionKey", requester);
	cJSON *active = cJSON_AddArrayToObject(o, "active"), *recent = cJSON_AddArrayToObject(o, "recent");
	int64_t since = oc_wall_ms() - minutes * 60000;
	for (size_t i = 0; i < n; i++)
		if (oc_subagent_active(list[i]))
			(void)cJSON_AddItemToArray(active, row(list[i], i + 1));
		else if (list[i]->ended_ms >= since)
			(void)cJSON_AddItemToArray(recent, row(list[i], i + 1));
	(void)oc_json_set_i64(o, "total", (int64_t)n);
	return o;
}

static cJSON *kill_one(const char *requester, oc_subagent **list, size_t n, const char *target, oc_agent *agent)
{
	cJSON *o = cJSON_CreateObject();
	oc_json_opt(o, "action", "kill");
	oc_json_opt(o, "target", target);
	if (strcmp(target, "all") == 0 || strcmp(target, "*") == 0) {
		oc_json_opt(o, "status", "ok");
		(void)oc_json_set_i64(o, "killed", oc_subagents_kill(agent, requester));
		return o;
	}
	oc_subagent *sub = pick(list, n, target);
	if (sub == NULL) {
		oc_json_opt(o, "status", "error");
		oc_json_opt(o, "error", target[0] != 0 ? "no such sub-agent, or several match" : "target is missing");
		return o;
	}
	bool active = oc_subagent_active(sub);
	oc_json_opt(o, "status", active ? "ok" : "done");
	oc_json_opt(o, "sessionKey", sub->key);
	(void)oc_json_set_i64(o, "killed", active);
	if (active)
		oc_subagent_kill(sub);
	return o;
}

/* A word for one at work: it reads it with its next step. */
static cJSON *steer(oc_agent *agent, oc_subagent **list, size_t n, const char *target, oc_str message)
{
	cJSON *o = cJSON_CreateObject();
	oc_subagent *sub = pick(list, n, target);
	oc_err err = {0};
	oc_run_ref ref = {0};
	oc_json_opt(o, "action", "steer");
	oc_json_opt(o, "target", target);
	if (sub == NULL)
		(void)oc_fail(&err, OC_E_NOT_FOUND, NULL, "no such sub-agent, or several match");
	else if (sub->state != OC_SUBAGENT_RUNNING || sub->killed)
		(void)oc_fail(&err, OC_E_STATE, NULL, "it is not at work");
	else if (oc_str_trim(message).n == 0 || message.n > 4000)
		(void)oc_fail(&err, OC_E_INVALID, NULL, "a message has 1 to 4000 bytes");
	else
		(void)oc_agent_submit(agent, &(oc_turn_input){.session = oc_str_of(sub->key), .text = message, .origin = "subagent",
							      .lane = "subagent", .queue = "steer"}, &ref, &err);
	oc_json_opt(o, "status", err.code != OC_OK ? "error" : "accepted");
	oc_json_opt(o, "error", err.text);
	oc_json_opt(o, "runId", ref.run);
	return o;
}

static void invoke_subagents(const oc_builtin_call *call)
{
	const char *action = oc_json_str(call->args, "action", "list"), *target = oc_json_str(call->args, "target", "");
	size_t n;
	oc_subagent **list = oc_subagents_of(call->agent, call->session, &n);
	if (strcmp(action, "kill") == 0)
		oc_builtin_json(call->call, kill_one(call->session, list, n, target, call->agent));
	else if (strcmp(action, "steer") == 0)
		oc_builtin_json(call->call, steer(call->agent, list, n, target, oc_json_ostr(call->args, "message")));
	else
		oc_builtin_json(call->call, listing(call->session, list, n, oc_json_i64(call->args, "recentMinutes", 30)));
	oc_free(list);
}

const oc_builtin_tool oc_tool_subagents = {
	.name = "subagents",
	.spec = "{\"name\":\"subagents\",\"group\":\"sessions\",\"description\":\"Look after the sub-agents of this conversation: list "
		"them, stop one (kill) or all, or send one at work a message (steer). Not for waiting: results come by "
		"themselves.\",\"parameters\":{\"type\":\"object\",\"properties\":{\"action\":{\"type\":\"string\",\"enum\":[\"list\","
		"\"kill\",\"steer\"]},\"target\":{\"type\":\"string\",\"maxLength\":512,\"description\":\"Number in the list, label, "
		"session key, or all\"},\"message\":{\"type\":\"string\",\"maxLength\":4000},\"recentMinutes\":{\"type\":\"integer\","
		"\"minimum\":1,\"maximum\":1440}}}}",
	.invoke = invoke_subagents,
};

/* ---- /subagents ---- */

static void write_list(oc_sbuf *b, oc_subagent **list, size_t n)
{
	if (n == 0)
		oc_sbuf_z(b, "This conversation has no sub-agents.");
	for (size_t i = 0; i < n; i++) {
		int64_t end = list[i]->ended_ms > 0 ? list[i]->ended_ms : oc_wall_ms();
		oc_sbuf_printf(b, "%s%zu. %s: %.80s (%lld s, %lld tokens)", i > 0 ? "\n" : "", i + 1, state_words(list[i]),
			       list[i]->label[0] != 0 ? list[i]->label : list[i]->task, (long long)(end - list[i]->created_ms) / 1000,
			       (long long)(list[i]->input + list[i]->output));
	}
}

static void write_info(oc_sbuf *b, const oc_subagent *sub)
{
	oc_sbuf_printf(b, "Session: %s\nRun: %s\nState: %s\nAgent: %s, depth %d\nTask: %.500s\nModel: %s\n", sub->key, sub->run,
		       state_words(sub), sub->agent_id, sub->depth, sub->task, sub->model[0] != 0 ? sub->model : "the agent's own");
	oc_sbuf_printf(b, "Tokens: %lld in, %lld out", (long long)sub->input, (long long)sub->output);
	if (sub->cost > 0)
		oc_sbuf_printf(b, " (%.4f USD)", sub->cost);
	if (sub->max_tokens > 0)
		oc_sbuf_printf(b, "; budget %lld", (long long)sub->max_tokens);
	oc_sbuf_printf(b, "\nCleanup: %s", sub->cleanup_delete ? "delete" : "keep");
	if (sub->findings != NULL && sub->findings[0] != 0)
		oc_sbuf_printf(b, "\nResult: %.500s", sub->findings);
}

static void write_log(oc_sbuf *b, oc_agent *agent, const oc_subagent *sub, int64_t limit, bool tools)
{
	oc_auto_json cJSON *history = NULL;
	const cJSON *m;
	oc_history_filter filter = {.limit = limit > 0 && limit <= 200 ? limit : 20, .no_tools = !tools};
	oc_err err = {0};
	if (oc_store_history(agent->store, sub->key, &filter, &history, &err) != OC_OK) {
		oc_sbuf_z(b, err.text);
		return;
	}
	cJSON_ArrayForEach(m, history)
	{
		oc_auto_free char *text = oc_turn_text_of_parts(oc_json_get(m, "content"));
		oc_sbuf_printf(b, "%s%s: %.1500s", b->n > 0 ? "\n" : "", oc_json_str(m, "role", ""), text != NULL ? text : "");
	}
	if (b->n == 0)
		oc_sbuf_z(b, "Nothing was said yet.");
}

static oc_str word(oc_str *rest)
{
	oc_str first = oc_str_cut(rest, ' ');
	*rest = rest->p != NULL ? oc_str_trim(*rest) : OC_STR_NONE;
	return first;
}

char *oc_subagents_command(oc_turn *turn, oc_str rest)
{
	oc_sbuf b;
	size_t n;
	oc_str what = word(&rest), target = word(&rest);
	oc_auto_free char *name = oc_memdup(target.p, target.n);
	oc_subagent **list = oc_subagents_of(turn->agent, turn->session, &n);
	oc_subagent *sub = name != NULL && name[0] != 0 ? pick(list, n, name) : NULL;
	bool stop = oc_str_eqz(what, "stop") || oc_str_eqz(what, "kill");
	oc_sbuf_init(&b, 64 << 10);
	if (what.n == 0 || oc_str_eqz(what, "list")) {
		write_list(&b, list, n);
	} else if (stop && (target.n == 0 || oc_str_eqz(target, "all"))) {
		oc_sbuf_printf(&b, "Stopped: %d.", oc_subagents_kill(turn->agent, turn->session));
	} else if (!stop && !oc_str_eqz(what, "info") && !oc_str_eqz(what, "log")) {
		oc_sbuf_z(&b, "/subagents list | info N | log N [how many] [tools] | stop N|all");
	} else if (sub == NULL) {
		oc_sbuf_z(&b, "There is no such sub-agent; /subagents list shows them with their numbers.");
	} else if (stop) {
		bool active = oc_subagent_active(sub);
		oc_subagent_kill(sub);
		oc_sbuf_z(&b, active ? "It is being stopped." : "It is over already.");
	} else if (oc_str_eqz(what, "info")) {
		write_info(&b, sub);
	} else {
		int64_t limit = 0;
		oc_str next = word(&rest);
		if (oc_str_i64(next, 1, 200, &limit) == OC_OK)
			next = word(&rest);
		write_log(&b, turn->agent, sub, limit, oc_str_eqz(next, "tools"));
	}
	oc_free(list);
	char *out = oc_sbuf_take(&b);
	oc_sbuf_free(&b);
	return out;
}
