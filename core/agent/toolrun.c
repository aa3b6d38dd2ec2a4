#include "core/agent/toolrun.h"

#include <string.h>

#include "core/agent/approval_tell.h"
#include "core/agent/culprits.h"
#include "core/agent/transcript.h"
#include "core/agent/skills.h"
#include "core/agent/workspace.h"
#include "core/base/clock.h"
#include "core/base/fault.h"
#include "core/base/log.h"
#include "core/base/path.h"
#include "core/base/trace.h"
#include "core/data/schema.h"

#define RESULT_BYTES_MAX ((size_t)48 << 20)

/* ---- Life ---- */

void oc_toolrun_free(oc_toolrun *t)
{
	if (t == NULL)
		return;
	oc_call_abandon(t->call);
	oc_free(t->call_id);
	oc_free(t->tool);
	cJSON_Delete(t->arguments);
	cJSON_Delete(t->content);
	cJSON_Delete(t->details);
	cJSON_Delete(t->stored);
	oc_free(t);
}

bool oc_tool_is_serial(oc_agent *agent, const char *tool)
{
	oc_tool_info info;
	return oc_modules_tool(agent->modules, oc_str_of(tool), &info) && oc_json_bool(info.spec, "serial", false);
}

static cJSON *text_content(const char *text)
{
	cJSON *array = cJSON_CreateArray(), *part = cJSON_CreateObject();
	if (array == NULL || part == NULL || !cJSON_AddItemToArray(array, part)) {
		cJSON_Delete(array);
		cJSON_Delete(part);
		return NULL;
	}
	(void)oc_json_set_str(part, "type", "text");
	(void)oc_json_set_str(part, "text", text);
	return array;
}

char *oc_toolrun_text(const cJSON *content)
{
	oc_sbuf b;
	oc_sbuf_init(&b, RESULT_BYTES_MAX);
	const cJSON *part;
	cJSON_ArrayForEach(part, content)
	{
		const char *type = oc_json_str(part, "type", "");
		if (b.n > 0)
			oc_sbuf_char(&b, '\n');
		if (strcmp(type, "text") == 0)
			oc_sbuf_z(&b, oc_json_str(part, "text", ""));
		else
			oc_sbuf_printf(&b, "[%s]", type);
	}
	char *out = oc_sbuf_take(&b);
	oc_sbuf_free(&b);
	return out;
}

cJSON *oc_toolrun_event(const oc_toolrun *t)
{
	cJSON *o = cJSON_CreateObject();
	(void)oc_json_set_str(o, "id", t->call_id);
	(void)oc_json_set_str(o, "name", t->tool);
	(void)oc_json_set_bool(o, "isError", t->is_error);
	(void)oc_json_set_i64(o, "durationMs", (int64_t)t->duration_ms);
	if (t->content != NULL)
		(void)oc_json_set(o, "content", cJSON_Duplicate(t->content, true));
	if (t->blocked)
		(void)oc_json_set_bool(o, "blocked", true);
	return o;
}

/* ---- The end ---- */

static void report(void *arg)
{
	oc_toolrun *t = arg;
	oc_agent *agent = t->in.policy.agent;
	OC_TRACE(t->in.trace);
	agent->stats.tool_calls++;
	if (t->is_error)
		agent->stats.tool_errors++;
	if (t->blocked)
		agent->stats.tool_blocked++;
	t->duration_ms = t->began_ms != 0 ? oc_now_ms() - t->began_ms : 0;
	if (t->began_ns != 0) {
		uint64_t took = oc_now_ns() - t->began_ns;
		oc_hist_add_ns(&agent->timing.tool, took);
		oc_culprit_note(agent, "tool", t->tool, took);
	}
	oc_debug("tool", "%s: %s after %llu ms", t->tool, t->blocked ? "blocked" : t->is_error ? "failed" : "done",
		 (unsigned long long)t->duration_ms);
	t->in.on_done(t->in.arg, t);
}

static void persist(oc_toolrun *t);

static cJSON *result_payload(const oc_toolrun *t);

/* A call that was not made is an error to every observer, too. */
static void conclude(void *arg)
{
	oc_toolrun *t = arg;
	oc_agent_observe(t->in.policy.agent, OC_HOOK_TS_AFTER_TOOL_CALL, result_payload(t));
	persist(t);
}

/* The caller must never be called inside its own call: refusals are reported later, like results. */
static void report_later(oc_toolrun *t)
{
	if (t->content == NULL) {
		t->content = text_content(t->err.text[0] != 0 ? t->err.text : "The tool failed.");
		t->is_error = true;
	}
	if (oc_loop_defer(t->in.policy.agent->loop, t->in.owner, conclude, t) == OC_OK)
		return;
	if (t->starting)
		t->lost = true;
	else
		report(t);
}

/* The model reads what went wrong and what to do about it. */
static void refuse(oc_toolrun *t, oc_status status, bool blocked, const char *remedy, const char *format, ...)
	__attribute__((format(printf, 5, 6)));
static void refuse(oc_toolrun *t, oc_status status, bool blocked, const char *remedy, const char *format, ...)
{
	char text[400];
	va_list args;
	va_start(args, format);
	vsnprintf(text, sizeof text, format, args);
	va_end(args);
	t->status = oc_fail(&t->err, status, remedy, "%s", text);
	t->blocked = blocked;
	t->is_error = true;
	oc_auto_free char *all = remedy != NULL && remedy[0] != 0 ? oc_asprintf("%s (%s)", text, remedy) : oc_strdup(text);
	cJSON_Delete(t->content);
	t->content = text_content(all != NULL ? all : text);
	report_later(t);
}

/* ---- After the tool ---- */

static cJSON *hook_payload(const oc_toolrun *t)
{
	cJSON *o = cJSON_CreateObject();
	oc_json_opt(o, "toolName", t->tool);
	oc_json_opt(o, "toolCallId", t->call_id);
	(void)oc_json_set(o, "params", cJSON_Duplicate(t->arguments, true));
	oc_json_opt(o, "run", t->in.run);
	oc_json_opt(o, "trace", t->in.trace);
	oc_json_opt(o, "session", t->in.session);
	oc_json_opt(o, "agent", t->in.policy.agent_id);
	oc_json_opt(o, "channel", t->in.policy.channel);
	oc_json_opt(o, "runId", t->in.run);
	oc_auto_json cJSON *session = NULL;
	cJSON *ctx = cJSON_AddObjectToObject(o, "ctx");
	oc_json_opt(ctx, "agentId", t->in.policy.agent_id);
	oc_json_opt(ctx, "sessionKey", t->in.session);
	if (t->in.session != NULL && oc_store_session(t->in.policy.agent->store, t->in.session, &session, NULL) == OC_OK)
		oc_json_opt(ctx, "sessionId", oc_json_str(session, "sessionId", NULL));
	oc_json_opt(ctx, "toolName", t->tool);
	oc_json_opt(ctx, "toolCallId", t->call_id);
	oc_json_opt(ctx, "runId", t->in.run);
	oc_json_opt(ctx, "traceId", t->in.trace);
	return o;
}

static cJSON *result_payload(const oc_toolrun *t)
{
	cJSON *o = hook_payload(t), *result = cJSON_AddObjectToObject(o, "result");
	(void)oc_json_set(result, "content", cJSON_Duplicate(t->content, true));
	(void)oc_json_set_bool(result, "isError", t->is_error);
	if (t->details != NULL)
		(void)oc_json_set(result, "details", cJSON_Duplicate(t->details, true));
	if (t->is_error) {
		oc_auto_free char *text = oc_toolrun_text(t->content);
		oc_json_opt(o, "error", text);
	}
	(void)oc_json_set_i64(o, "durationMs", t->began_ms != 0 ? (int64_t)(oc_now_ms() - t->began_ms) : 0);
	return o;
}

/* A result, or a message, as a hook gave it: {"content":[…] or text, "isError"?, "details"?}. */
static void take_result(oc_toolrun *t, const cJSON *result)
{
	const cJSON *content = cJSON_IsObject(result) ? oc_json_get(result, "content") : result;
	cJSON *parts = NULL;
	if (cJSON_IsString(content))
		parts = text_content(content->valuestring);
	else if (cJSON_IsArray(content))
		parts = cJSON_Duplicate(content, true);
	if (parts == NULL)
		return;
	cJSON_Delete(t->content);
	t->content = parts;
	if (cJSON_IsObject(result))
		t->is_error = oc_json_bool(result, "isError", t->is_error);
}

/* Text beyond what a model should read loses its middle. */
static void limit_text(oc_toolrun *t)
{
	size_t left = OC_TOOL_RESULT_MAX;
	cJSON *part;
	cJSON_ArrayForEach(part, t->content)
	{
		if (strcmp(oc_json_str(part, "type", ""), "text") != 0)
			continue;
		oc_str text = oc_json_ostr(part, "text");
		if (text.n > left) {
			oc_auto_free char *cut = oc_workspace_cut(text, left, "the result");
			(void)oc_json_set_str(part, "text", cut != NULL ? cut : "[the result is too long]");
			left = 0;
		} else {
			left -= text.n;
		}
	}
}

/* ---- Into the history: what the model reads in this turn stays as it is, later turns read what was written ---- */

static void take_stored(oc_toolrun *t, const oc_hook_result *result)
{
	cJSON *parts = oc_transcript_content(oc_json_get(result->changes, "message"));
	if (parts == NULL)
		return;
	cJSON_Delete(t->stored);
	t->stored = parts;
}

static cJSON *message_payload(const oc_toolrun *t)
{
	cJSON *o = hook_payload(t);
	(void)oc_json_set_bool(o, "isSynthetic", false);
	cJSON *m = oc_transcript_message("tool", t->stored != NULL ? t->stored : t->content, oc_wall_ms());
	oc_json_opt(m, "toolCallId", t->call_id);
	oc_json_opt(m, "toolName", t->tool);
	(void)oc_json_set_bool(m, "isError", t->is_error);
	if (t->details != NULL)
		(void)oc_json_set(m, "details", cJSON_Duplicate(t->details, true));
	(void)oc_json_set(o, "message", m);
	return o;
}

static void written(void *arg, const oc_hook_result *result)
{
	oc_toolrun *t = arg;
	t->unwritten = result->blocked;
	take_stored(t, result);
	report(t);
}

static void write_hook(oc_toolrun *t)
{
	oc_hooks *hooks = t->in.policy.agent->hooks;
	if (!oc_hooks_wanted(hooks, OC_HOOK_BEFORE_MESSAGE_WRITE) ||
	    oc_hooks_fire(hooks, OC_HOOK_BEFORE_MESSAGE_WRITE, message_payload(t), t->in.owner, written, t) != OC_OK)
		report(t);
}

static void persisted(void *arg, const oc_hook_result *result)
{
	oc_toolrun *t = arg;
	take_stored(t, result);
	write_hook(t);
}

/* tool_result_persist, then before_message_write. */
static void persist(oc_toolrun *t)
{
	oc_hooks *hooks = t->in.policy.agent->hooks;
	limit_text(t);
	if (!t->in.transcript)
		report(t);
	else if (!oc_hooks_wanted(hooks, OC_HOOK_TOOL_RESULT_PERSIST) ||
		 oc_hooks_fire(hooks, OC_HOOK_TOOL_RESULT_PERSIST, message_payload(t), t->in.owner, persisted, t) != OC_OK)
		write_hook(t);
}

static void after_hook(void *arg, const oc_hook_result *result)
{
	oc_toolrun *t = arg;
	OC_TRACE(t->in.trace);
	const cJSON *changed = oc_json_get(result->changes, "result");
	if (changed != NULL)
		take_result(t, changed);
	persist(t);
}

static void after_tool(oc_toolrun *t)
{
	oc_hooks *hooks = t->in.policy.agent->hooks;
	if (t->is_error) {
		oc_err err = {.code = t->status != OC_OK ? t->status : OC_E_INTERNAL};
		oc_auto_free char *text = oc_toolrun_text(t->content);
		snprintf(err.text, sizeof err.text, "%s: %.400s", t->tool, text != NULL ? text : "");
		oc_agent_error(t->in.policy.agent, "tool", t->in.session, t->in.run, &err);
	}
	oc_agent_observe(t->in.policy.agent, OC_HOOK_TS_AFTER_TOOL_CALL, result_payload(t));
	if (!oc_hooks_wanted(hooks, OC_HOOK_AFTER_TOOL_CALL) ||
	    oc_hooks_fire(hooks, OC_HOOK_AFTER_TOOL_CALL, result_payload(t), t->in.owner, after_hook, t) != OC_OK)
		persist(t);
}

/* ---- The tool ---- */

static oc_status on_event(void *arg, uint32_t type, oc_str payload)
{
	oc_toolrun *t = arg;
	if (type == OC_EV_PROGRESS && t->in.on_progress != NULL)
		t->in.on_progress(t->in.arg, payload);
	return OC_OK;
}

static void on_done(void *arg, oc_status status, oc_str result)
{
	oc_toolrun *t = arg;
	OC_TRACE(t->in.trace);
	t->call = NULL;
	t->status = status;
	OC_FAULT_POINT("tool-finished");
	if (status != OC_OK) {
		oc_call_error(status, result, &t->err, NULL);
		t->is_error = true;
		t->content = text_content(t->err.text[0] != 0 ? t->err.text : oc_status_text(status));
		after_tool(t);
		return;
	}
	static const oc_json_limits limits = {.max_bytes = RESULT_BYTES_MAX};
	oc_auto_json cJSON *root = NULL;
	oc_err err = {0};
	status = oc_json_parse(result, &limits, &root, &err);
	if (status != OC_OK || !cJSON_IsArray(oc_json_get(root, "content"))) {
		/* The tool's own fault; the model is told that there is no result, not what was wrong with the JSON. */
		oc_warn("agent", "the tool %s gave no valid result%s%s", t->tool, status != OC_OK ? ": " : "", err.text);
		t->status = oc_fail(&t->err, OC_E_PROTOCOL, NULL, "the tool %s gave no valid result", t->tool);
		t->is_error = true;
		t->content = text_content(t->err.text);
		after_tool(t);
		return;
	}
	t->content = cJSON_DetachItemFromObjectCaseSensitive(root, "content");
	t->details = cJSON_DetachItemFromObjectCaseSensitive(root, "details");
	t->is_error = oc_json_bool(root, "isError", false);
	after_tool(t);
}

static bool needs(const oc_tool_info *tool, const char *capability)
{
	return oc_json_has_str(oc_json_get(tool->spec, "capabilities"), capability);
}

/* Skills outside the workspace may be read, and programs get the variables of skills. */
static void add_skills(cJSON *o, const oc_toolrun *t, const oc_tool_info *tool)
{
	const oc_policy_context *p = &t->in.policy;
	bool reads = needs(tool, "fs.read"), runs = needs(tool, "exec");
	oc_arena *arena = reads || runs ? oc_arena_new(0) : NULL;
	oc_skills skills;
	if (arena != NULL && t->in.workspace != NULL &&
	    oc_skills_load(p->config, p->agent->state_dir, t->in.workspace, p->agent_id, arena, &skills, NULL) == OC_OK) {
		cJSON *folders = reads ? oc_skills_folders(&skills) : NULL, *env = runs ? oc_skills_env(p->config, &skills) : NULL;
		if (folders != NULL)
			(void)oc_json_set(o, "readable", folders);
		if (env != NULL)
			(void)oc_json_set(o, "env", env);
	}
	oc_arena_free(arena);
}

static char *context_json(const oc_toolrun *t, const oc_tool_info *tool)
{
	const oc_policy_context *p = &t->in.policy;
	oc_auto_json cJSON *o = cJSON_CreateObject(), *session = NULL;
	oc_json_opt(o, "session", t->in.session);
	oc_json_opt(o, "agent", p->agent_id);
	oc_json_opt(o, "run", t->in.run);
	oc_json_opt(o, "trace", t->in.trace);
	oc_json_opt(o, "workspace", t->in.workspace);
	oc_json_opt(o, "channel", p->channel);
	if (t->in.sender != NULL)
		(void)oc_json_set(o, "sender", cJSON_Duplicate(t->in.sender, true));
	add_skills(o, t, tool);
	oc_json_opt(o, "callId", t->call_id);
	oc_json_opt(o, "account", p->account);
	if (oc_store_session(p->agent->store, t->in.session, &session, NULL) == OC_OK)
		oc_json_opt(o, "sessionId", oc_json_str(session, "sessionId", NULL));
	if (oc_policy_sandboxed(p))
		(void)oc_json_set_bool(o, "sandboxed", true);
	oc_json_opt(o, "sandbox", oc_config_str(p->config, "tools.exec.sandbox.level", "strict"));
	return oc_json_print(o);
}

static void invoke(oc_toolrun *t)
{
	oc_tool_info tool;
	if (!oc_modules_tool(t->in.policy.agent->modules, oc_str_of(t->tool), &tool)) {
		refuse(t, OC_E_NOT_FOUND, false, NULL, "The tool %s is no longer there.", t->tool);
		return;
	}
	oc_auto_free char *context = context_json(t, &tool), *args = oc_json_print(t->arguments);
	if (context == NULL || args == NULL) {
		refuse(t, OC_E_NOMEM, false, NULL, "There is not enough memory for the call.");
		return;
	}
	int64_t own = oc_json_i64(tool.spec, "timeoutMs", 0);
	uint64_t deadline = own > 0 ? (uint64_t)own : OC_TOOL_TIMEOUT_MS;
	if (t->in.timeout_ms > 0 && deadline > t->in.timeout_ms)
		deadline = t->in.timeout_ms;
	OC_FAULT_POINT("tool-start");
	t->began_ns = oc_now_ns();
	t->began_ms = t->began_ns / 1000000;
	t->started = true;
	if (t->in.on_start != NULL)
		t->in.on_start(t->in.arg);
	oc_call_options options = {.deadline_ms = deadline, .owner = t->in.owner, .on_event = on_event, .on_done = on_done,
				   .arg = t};
	oc_status status = oc_tool_invoke(tool.guest, oc_str_of(t->tool), oc_str_of(args), oc_str_of(context), &options,
					  &t->call);
	if (status != OC_OK)
		refuse(t, status, false, "see `openclaw module list`", "The tool %s cannot be called: %s.", t->tool,
		       oc_status_text(status));
}

/* ---- A person's word ---- */

/* The command, with what else decides what it starts: an environment of its own (PATH, LD_PRELOAD) makes of it what `env` runs. */
static char *whole_command(const cJSON *args)
{
	const cJSON *item, *env = oc_json_get(args, "env");
	oc_sbuf b;
	oc_sbuf_init(&b, 1u << 20);
	if (cJSON_GetArraySize(env) > 0)
		oc_sbuf_z(&b, "env ");
	cJSON_ArrayForEach(item, env)
	{
		oc_sbuf_printf(&b, "%s=", item->string != NULL ? item->string : "");
		oc_sbuf_json(&b, oc_str_of(cJSON_IsString(item) ? item->valuestring : ""));
		oc_sbuf_char(&b, ' ');
	}
	oc_sbuf_z(&b, oc_json_str(args, "command", ""));
	char *text = oc_sbuf_take(&b);
	oc_sbuf_free(&b);
	return text;
}

/* Where it runs, as the tool for commands reads it. */
static char *folder_of(const oc_toolrun *t)
{
	const char *given = oc_json_str(t->arguments, "workdir", "");
	bool own = given[0] != 0 && strcmp(given, ".") != 0;
	return own && given[0] != '/' ? oc_path_join(t->in.workspace, given) : oc_strdup(own ? given : t->in.workspace);
}

static void remember(const oc_toolrun *t)
{
	oc_auto_free char *command = whole_command(t->arguments), *folder = folder_of(t);
	if (command != NULL && folder != NULL)
		oc_exec_remember(t->in.policy.config, t->in.policy.agent_id, command, folder);
}

static void judge(oc_toolrun *t);

static void on_decision(void *arg, const oc_approval *a)
{
	oc_toolrun *t = arg;
	OC_TRACE(t->in.trace);
	bool nobody = a->decision == NULL, runs = nobody ? t->late_runs : strcmp(a->decision, "deny") != 0;
	if (!runs) {
		refuse(t, OC_E_BLOCKED, true, "tell your user that it was not done, and why", "The call was not made: %s.",
		       nobody ? "it needs a person's approval, and nobody answered in time" : "the person who was asked denied it");
		return;
	}
	if (!t->waits_exec) {
		judge(t);
		return;
	}
	if (!nobody && strcmp(a->decision, "allow-always") == 0)
		remember(t);
	invoke(t);
}

static void ask(oc_toolrun *t, const char *kind, cJSON *request, uint64_t timeout_ms)
{
	oc_agent *agent = t->in.policy.agent;
	oc_err err = {0};
	const oc_approval *approval = NULL;
	if (oc_approval_ask(agent, kind, NULL, request, timeout_ms, t->in.owner, on_decision, t, &approval, &err) != OC_OK) {
		refuse(t, OC_E_BLOCKED, true, NULL, "The call needs a person's approval, and nobody can be asked: %s.", err.text);
		return;
	}
	oc_approval_tell(agent, t->in.run, approval);
}

static void ask_for_hook(oc_toolrun *t, const cJSON *wish)
{
	static const char *const copied[] = {"title", "description", "severity", "pluginId"};
	double ms = oc_json_num(wish, "timeoutMs", 0);
	cJSON *request = cJSON_CreateObject();
	for (size_t i = 0; i < sizeof copied / sizeof *copied; i++)
		oc_json_opt(request, copied[i], oc_json_str(wish, copied[i], NULL));
	if (oc_json_get(request, "title") == NULL)
		oc_json_opt(request, "title", t->tool);
	oc_json_opt(request, "toolName", t->tool);
	oc_json_opt(request, "toolCallId", t->call_id);
	oc_json_opt(request, "agentId", t->in.policy.agent_id);
	oc_json_opt(request, "sessionKey", t->in.session);
	t->waits_exec = false;
	t->late_runs = strcmp(oc_json_str(wish, "timeoutBehavior", "deny"), "allow") == 0;
	ask(t, "plugin", request, ms >= 1 && ms <= OC_APPROVAL_MS_MAX ? (uint64_t)ms : 0);
}

/* Whether it is a command, and who has a say in it. */
static void judge(oc_toolrun *t)
{
	const oc_policy_context *p = &t->in.policy;
	oc_auto_json cJSON *session = NULL;
	oc_tool_info tool;
	oc_exec_judgement j;
	if (oc_json_get(t->arguments, "command") == NULL || !oc_modules_tool(p->agent->modules, oc_str_of(t->tool), &tool) || !needs(&tool, "exec")) {
		invoke(t);
		return;
	}
	oc_auto_free char *command = whole_command(t->arguments), *folder = folder_of(t);
	if (command == NULL || folder == NULL) {
		refuse(t, OC_E_NOMEM, true, NULL, "The command was not run: there is no memory.");
		return;
	}
	(void)oc_store_session(p->agent->store, t->in.session, &session, NULL);
	oc_exec_judge(p->config, p->agent_id, session, command, folder, &j);
	if (j.answer == OC_EXEC_RUN) {
		invoke(t);
		return;
	}
	if (j.answer == OC_EXEC_REFUSE) {
		refuse(t, OC_E_BLOCKED, true, "tell your user that it was not done, and why", "The command was not run: %s.", j.why);
		return;
	}
	t->waits_exec = true;
	t->late_runs = strcmp(j.fallback, "full") == 0 || (strcmp(j.fallback, "allowlist") == 0 && j.listed);
	ask(t, "exec", oc_approval_exec_request(p->agent, t->in.run, &j, command, folder, p->agent_id, t->in.session), 0);
}

/* ---- Before the tool ---- */

/* false: refused, with what is wrong, so that the model can correct itself. */
static bool arguments_fit(oc_toolrun *t)
{
	oc_tool_info tool;
	oc_err err = {0};
	if (!oc_modules_tool(t->in.policy.agent->modules, oc_str_of(t->tool), &tool)) {
		refuse(t, OC_E_NOT_FOUND, false, NULL, "The tool %s is no longer there.", t->tool);
		return false;
	}
	const cJSON *schema = oc_json_get(tool.spec, "parameters");
	if (schema == NULL || oc_schema_check_fill(schema, t->arguments, &err) == OC_OK)
		return true;
	refuse(t, OC_E_INVALID, false, "correct the arguments and call it again", "Invalid arguments for %s: %s", t->tool,
	       err.text);
	return false;
}

static void before_hook(void *arg, const oc_hook_result *result)
{
	oc_toolrun *t = arg;
	OC_TRACE(t->in.trace);
	const cJSON *params = oc_json_get(result->changes, "params");
	const char *reason = result->reason[0] != 0 ? result->reason : oc_json_str(result->changes, "blockReason", "");
	const cJSON *approval = oc_json_get(result->changes, "requireApproval");
	if (result->blocked) {
		refuse(t, OC_E_BLOCKED, true, NULL, "The call was blocked%s%s%s%s.", result->by[0] != 0 ? " by " : "", result->by,
		       reason[0] != 0 ? ": " : "", reason);
		return;
	}
	if (cJSON_IsObject(params)) {
		cJSON *copy = cJSON_Duplicate(params, true);
		if (copy == NULL) {
			refuse(t, OC_E_NOMEM, true, NULL, "There is not enough memory for the call.");
			return;
		}
		cJSON_Delete(t->arguments);
		t->arguments = copy;
		if (!arguments_fit(t))
			return;
	}
	if (approval != NULL && !cJSON_IsFalse(approval))
		ask_for_hook(t, approval);
	else
		judge(t);
}

static void check(oc_toolrun *t)
{
	oc_hooks *hooks = t->in.policy.agent->hooks;
	oc_tool_info tool;
	char reason[200];
	if (!oc_modules_tool(t->in.policy.agent->modules, oc_str_of(t->tool), &tool)) {
		const char *owner = oc_modules_tool_comes(t->in.policy.agent->modules, oc_str_of(t->tool));
		if (owner != NULL)
			refuse(t, OC_E_RETRY, false, "try again in a moment", "The tool %s is not there just now: module %s is being started.",
			       t->tool, owner);
		else
			refuse(t, OC_E_NOT_FOUND, false, "use one of the tools you were given", "There is no tool %s.", t->tool);
		return;
	}
	if (!oc_policy_allows(&t->in.policy, &tool, reason)) {
		refuse(t, OC_E_BLOCKED, true, NULL, "The tool %s may not be used here: %s.", t->tool, reason);
		return;
	}
	if (!arguments_fit(t))
		return;
	if (!oc_hooks_wanted(hooks, OC_HOOK_BEFORE_TOOL_CALL)) {
		judge(t);
		return;
	}
	/* A hook that cannot be asked is a hook that did not agree. */
	if (oc_hooks_fire(hooks, OC_HOOK_BEFORE_TOOL_CALL, hook_payload(t), t->in.owner, before_hook, t) != OC_OK)
		refuse(t, OC_E_BLOCKED, true, NULL, "The call was blocked: its hooks could not be asked.");
}

oc_toolrun *oc_toolrun_start(const oc_toolrun_input *input)
{
	OC_TRACE(input->trace);
	oc_toolrun *t = oc_alloc(sizeof *t);
	if (t == NULL)
		return NULL;
	t->in = *input;
	t->call_id = oc_strdup(input->call_id);
	t->tool = oc_strdup(input->tool);
	t->arguments = input->arguments != NULL ? cJSON_Duplicate(input->arguments, true) : cJSON_CreateObject();
	if (t->call_id == NULL || t->tool == NULL || t->arguments == NULL) {
		oc_toolrun_free(t);
		return NULL;
	}
	t->starting = true;
	check(t);
	t->starting = false;
	if (t->lost) {
		oc_toolrun_free(t);
		return NULL;
	}
	return t;
}
