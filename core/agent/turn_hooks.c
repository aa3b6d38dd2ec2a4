/*
 * The points where hooks take part in a turn.  Each point is a row: what to fire, with which payload, what its result
 * changes.  A hook that nobody subscribed costs a look into a table.
 */
#include <string.h>

#include "core/agent/policy.h"
#include "core/agent/transcript.h"
#include "core/agent/turn.h"
#include "core/agent/workspace.h"
#include "core/base/clock.h"

#define COUNT(array) (sizeof(array) / sizeof *(array))

/* ---- Payloads ---- */

/* What a channel is called in the original's contexts: what comes from no channel comes from its own web chat. */
static const char *provider_of(const oc_turn *turn)
{
	const char *channel = oc_turn_channel(turn);
	return channel != NULL && channel[0] != 0 ? channel : "webchat";
}

/* Why there is a turn, in the original's words; NULL: it has none for it. */
static const char *trigger_of(const oc_turn *turn)
{
	const char *origin = turn->origin != NULL ? turn->origin : "";
	if (strcmp(origin, "cron") == 0 || strcmp(origin, "heartbeat") == 0 || strcmp(origin, "memory") == 0)
		return origin;
	return strcmp(origin, "subagent") == 0 ? NULL : "user";
}

static cJSON *base(const oc_turn *turn)
{
	cJSON *o = cJSON_CreateObject(), *ctx = cJSON_AddObjectToObject(o, "ctx");
	oc_auto_json cJSON *session = NULL;
	oc_json_opt(o, "run", turn->run);
	oc_json_opt(o, "session", turn->session);
	oc_json_opt(o, "agent", turn->agent_id);
	oc_json_opt(o, "origin", turn->origin);
	oc_json_opt(o, "channel", oc_turn_channel(turn));
	oc_json_opt(o, "trace", turn->trace);
	oc_json_opt(ctx, "runId", turn->run);
	oc_json_opt(ctx, "traceId", turn->trace);
	oc_json_opt(ctx, "agentId", turn->agent_id);
	oc_json_opt(ctx, "sessionKey", turn->session);
	if (oc_store_session(turn->agent->store, turn->session, &session, NULL) == OC_OK)
		oc_json_opt(ctx, "sessionId", oc_json_str(session, "sessionId", NULL));
	oc_json_opt(ctx, "workspaceDir", turn->workspace);
	oc_json_opt(ctx, "messageProvider", provider_of(turn));
	oc_json_opt(ctx, "trigger", trigger_of(turn));
	oc_json_opt(ctx, "channelId", provider_of(turn));
	oc_json_opt(ctx, "accountId", oc_json_str(turn->deliver, "account", NULL));
	oc_json_opt(ctx, "conversationId", oc_json_str(turn->deliver, "to", NULL));
	return o;
}

/* Where a message came from, in the original's names. */
static cJSON *metadata_of(const oc_turn *turn)
{
	cJSON *m = cJSON_CreateObject();
	const char *provider = provider_of(turn), *to = oc_json_str(turn->deliver, "to", NULL);
	oc_json_opt(m, "to", to);
	oc_json_opt(m, "provider", provider);
	oc_json_opt(m, "surface", provider);
	oc_json_opt(m, "threadId", oc_json_str(turn->deliver, "thread", NULL));
	oc_json_opt(m, "originatingChannel", provider);
	oc_json_opt(m, "originatingTo", to);
	oc_json_opt(m, "messageId", turn->inbox.message_id != NULL && turn->inbox.message_id[0] != 0 ? turn->inbox.message_id : turn->run);
	oc_json_opt(m, "senderId", oc_json_str(turn->sender, "id", "gateway-client"));
	oc_json_opt(m, "senderName", oc_json_str(turn->sender, "name", NULL));
	oc_json_opt(m, "senderUsername", oc_json_str(turn->sender, "username", NULL));
	return m;
}

static cJSON *with_message(const oc_turn *turn)
{
	cJSON *o = base(turn);
	(void)oc_json_set_str(o, "text", turn->text);
	(void)oc_json_set_str(o, "content", turn->text);
	if (turn->sender != NULL)
		(void)oc_json_set(o, "sender", cJSON_Duplicate(turn->sender, true));
	(void)oc_json_set_str(o, "from", oc_json_str(turn->sender, "id", ""));
	(void)oc_json_set_i64(o, "timestamp", oc_wall_ms());
	(void)oc_json_set(o, "metadata", metadata_of(turn));
	if (turn->media != NULL)
		(void)oc_json_set(o, "media", cJSON_Duplicate(turn->media, true));
	return o;
}

static cJSON *own_message(const oc_turn *turn, const oc_turn_message *said)
{
	oc_auto_json cJSON *content = cJSON_Parse(said->content_json);
	cJSON *o = oc_transcript_message(said->role, content, oc_wall_ms());
	if (strcmp(said->role, "assistant") == 0) {
		oc_json_opt(o, "api", turn->model.api);
		oc_json_opt(o, "provider", turn->model.provider);
		oc_json_opt(o, "model", turn->model.id);
	} else if (strcmp(said->role, "tool") == 0) {
		oc_json_opt(o, "toolCallId", said->tool_call_id);
		oc_json_opt(o, "toolName", said->tool_name);
		(void)oc_json_set_bool(o, "isError", said->is_error);
	}
	return o;
}

/* The conversation as the original's handlers know it, without or with what this turn has added. */
static cJSON *history(const oc_turn *turn, bool own)
{
	cJSON *list = NULL, *m, *next;
	if (turn->history != NULL)
		list = cJSON_Duplicate(turn->history, true);
	else
		(void)oc_store_history(turn->agent->store, turn->session, NULL, &list, NULL);
	for (m = list != NULL ? list->child : NULL; m != NULL; m = next) {
		next = m->next;
		if (strcmp(oc_json_str(m, "run", ""), turn->run) == 0)
			cJSON_Delete(cJSON_DetachItemViaPointer(list, m));
	}
	list = list != NULL ? oc_transcript_list(list) : cJSON_CreateArray();
	/* What this turn said may still be on its way into the store. */
	for (const oc_turn_message *said = own ? turn->own : NULL; said != NULL; said = said->next)
		if (!said->transient)
			(void)cJSON_AddItemToArray(list, own_message(turn, said));
	return list;
}

static cJSON *with_prompt_only(const oc_turn *turn)
{
	cJSON *o = base(turn);
	(void)oc_json_set_str(o, "prompt", turn->text);
	return o;
}

static cJSON *with_prompt(const oc_turn *turn)
{
	cJSON *o = with_prompt_only(turn);
	(void)oc_json_set(o, "messages", history(turn, false));
	return o;
}

static cJSON *with_session(const oc_turn *turn)
{
	cJSON *o = base(turn), *s = NULL;
	if (oc_store_session(turn->agent->store, turn->session, &s, NULL) == OC_OK) {
		oc_json_opt(o, "sessionId", oc_json_str(s, "sessionId", NULL));
		oc_json_opt(cJSON_GetObjectItemCaseSensitive(o, "ctx"), "sessionId", oc_json_str(s, "sessionId", NULL));
		cJSON_Delete(s);
	}
	return o;
}

cJSON *oc_turn_session_payload(const oc_turn *turn)
{
	return with_session(turn);
}

static cJSON *with_reply(const oc_turn *turn)
{
	cJSON *o = base(turn);
	const char *text = turn->reply.p != NULL ? turn->reply.p : "";
	(void)oc_json_set_str(o, "text", text);
	oc_json_opt(o, "provider", turn->model.provider);
	oc_json_opt(o, "model", turn->model.id);
	oc_json_opt(o, "stopReason", turn->stop_reason);
	return o;
}

/* What a turn or (whole: every member, as in messages) one answer used. */
static cJSON *usage_of(const oc_usage *usage, bool whole)
{
	cJSON *o = cJSON_CreateObject();
	(void)oc_json_set_i64(o, "input", usage->input);
	(void)oc_json_set_i64(o, "output", usage->output);
	if (whole || usage->cache_read > 0)
		(void)oc_json_set_i64(o, "cacheRead", usage->cache_read);
	if (whole || usage->cache_write > 0)
		(void)oc_json_set_i64(o, "cacheWrite", usage->cache_write);
	(void)oc_json_set_i64(o, whole ? "totalTokens" : "total", usage->input + usage->output + usage->cache_read + usage->cache_write);
	if (whole)
		(void)oc_json_set(o, "cost", cJSON_CreateObject());
	if (whole)
		(void)cJSON_AddNumberToObject(cJSON_GetObjectItemCaseSensitive(o, "cost"), "total", usage->cost);
	return o;
}

/* An answer of the model, as it would be written. */
static cJSON *answer_message(const oc_turn *turn, const char *content_json)
{
	oc_auto_json cJSON *content = cJSON_Parse(content_json);
	cJSON *message = oc_transcript_message("assistant", content, oc_wall_ms());
	oc_json_opt(message, "api", turn->model.api);
	oc_json_opt(message, "provider", turn->model.provider);
	oc_json_opt(message, "model", turn->model.id);
	(void)oc_json_set(message, "usage", usage_of(&turn->step.usage, true));
	oc_json_opt(message, "stopReason", turn->stop_reason != NULL && strcmp(turn->stop_reason, "tool_use") == 0 ? "toolUse" : turn->stop_reason);
	return message;
}

static cJSON *with_answer(const oc_turn *turn, const char *content_json)
{
	cJSON *o = base(turn);
	(void)oc_json_set(o, "message", answer_message(turn, content_json));
	return o;
}

static cJSON *with_output(const oc_turn *turn)
{
	cJSON *o = base(turn);
	oc_json_opt(o, "provider", turn->model.provider);
	oc_json_opt(o, "model", turn->model.id);
	oc_json_opt(o, "runId", turn->run);
	(void)oc_json_set(o, "assistantTexts", turn->said != NULL ? cJSON_Duplicate(turn->said, true) : cJSON_CreateArray());
	cJSON *last = answer_message(turn, turn->raw_answer != NULL ? turn->raw_answer : "[]");
	if (turn->raw_answer == NULL) {
		oc_json_opt(last, "stopReason", turn->model_err.code == OC_E_CANCELED ? "aborted" : "error");
		oc_json_opt(last, "errorMessage", turn->model_err.text);
	}
	(void)oc_json_set(o, "lastAssistant", last);
	(void)oc_json_set(o, "usage", usage_of(&turn->usage, false));
	return o;
}

void oc_turn_model_said(oc_turn *turn, const char *json, const char *text)
{
	if (!oc_hooks_wanted(turn->agent->hooks, OC_HOOK_LLM_OUTPUT) && !oc_hooks_wanted(turn->agent->hooks, OC_HOOK_AGENT_END))
		return;
	turn->raw_answer = oc_turn_text(turn, json);
	if (turn->said == NULL)
		turn->said = cJSON_CreateArray();
	if (text[0] != 0)
		(void)cJSON_AddItemToArray(turn->said, cJSON_CreateString(text));
}

static int images_of(const oc_turn *turn)
{
	const cJSON *one;
	int n = 0;
	cJSON_ArrayForEach(one, turn->media) n += strncmp(oc_json_str(one, "mime", oc_json_str(one, "type", "")), "image", 5) == 0;
	return n;
}

/* The prompt is what the model reads: with what hooks put before and after it. */
static cJSON *with_input(const oc_turn *turn)
{
	cJSON *o = with_prompt_only(turn);
	oc_auto_free char *all = oc_asprintf("%s%s%s%s%s", turn->hook_before, turn->hook_before[0] != 0 ? "\n\n" : "", turn->text,
					     turn->hook_after[0] != 0 ? "\n\n" : "", turn->hook_after);
	oc_json_opt(o, "prompt", all);
	oc_json_opt(o, "runId", turn->run);
	oc_json_opt(o, "provider", turn->model.provider);
	oc_json_opt(o, "model", turn->model.id);
	oc_json_opt(o, "systemPrompt", turn->system);
	(void)oc_json_set(o, "historyMessages", history(turn, false));
	(void)oc_json_set_i64(o, "imagesCount", images_of(turn));
	return o;
}

static cJSON *with_sending(const oc_turn *turn)
{
	cJSON *o = base(turn), *metadata = cJSON_AddObjectToObject(o, "metadata");
	oc_json_opt(o, "to", oc_json_str(turn->deliver, "to", NULL));
	(void)oc_json_set_str(o, "content", turn->reply.p != NULL ? turn->reply.p : "");
	oc_json_opt(metadata, "channel", oc_json_str(turn->deliver, "channel", NULL));
	oc_json_opt(metadata, "accountId", oc_json_str(turn->deliver, "account", NULL));
	oc_json_opt(metadata, "threadId", oc_json_str(turn->deliver, "thread", NULL));
	(void)cJSON_AddArrayToObject(metadata, "mediaUrls");
	return o;
}

/* The turn is done but for its reply: everything that was said in the session, with the answer that is about to be written. */
static cJSON *with_end(const oc_turn *turn)
{
	cJSON *o = base(turn), *messages = history(turn, true);
	(void)oc_json_set_str(o, "status", "ok");
	(void)oc_json_set_str(o, "text", turn->reply.p != NULL ? turn->reply.p : "");
	if (turn->raw_answer != NULL)
		(void)cJSON_AddItemToArray(messages, answer_message(turn, turn->raw_answer));
	(void)oc_json_set(o, "messages", messages);
	(void)oc_json_set_bool(o, "success", true);
	(void)oc_json_set_i64(o, "durationMs", turn->began_ms != 0 ? (int64_t)(oc_now_ms() - turn->began_ms) : 0);
	return o;
}

static cJSON *with_final(const oc_turn *turn)
{
	return with_answer(turn, turn->final_content);
}

static cJSON *with_user(const oc_turn *turn)
{
	oc_auto_free char *json = oc_context_user_content((oc_turn *)turn, true);
	oc_auto_json cJSON *content = json != NULL ? cJSON_Parse(json) : NULL;
	cJSON *o = base(turn);
	(void)oc_json_set(o, "message", oc_transcript_message("user", content, oc_wall_ms()));
	return o;
}

/* ---- Effects ---- */

/* Takes a text of the result into *field, in the turn's memory. */
static void take(oc_turn *turn, const cJSON *changes, const char *name, const char **field)
{
	const char *text = oc_json_str(changes, name, NULL);
	if (text != NULL)
		*field = oc_turn_text(turn, text);
}

static void join(oc_turn *turn, const cJSON *changes, const char *name, const char **field)
{
	const char *text = oc_json_str(changes, name, "");
	if (text[0] == 0)
		return;
	oc_auto_free char *both = (*field)[0] != 0 ? oc_asprintf("%s\n\n%s", *field, text) : NULL;
	*field = oc_turn_text(turn, both != NULL ? both : text);
}

/* Somebody else answers: the turn ends with that answer, or with none. */
static bool claim(oc_turn *turn, const oc_hook_result *result, const char *member)
{
	if (!result->claimed)
		return false;
	oc_sbuf_clear(&turn->reply);
	/* A text, or an object with one: {"text"}. */
	const cJSON *reply = oc_json_get(result->changes, member);
	oc_sbuf_z(&turn->reply, cJSON_IsString(reply) ? reply->valuestring : oc_json_str(reply, "text", ""));
	turn->stop_reason = "claimed";
	return true;
}

static bool on_session(oc_turn *turn, const oc_hook_result *result)
{
	join(turn, result->changes, "context", &turn->hook_before);
	return true;
}

static bool on_claim(oc_turn *turn, const oc_hook_result *result)
{
	return !claim(turn, result, "reply");
}

/* before_dispatch has its reply in "text", and nothing else to say. */
static bool on_dispatch(oc_turn *turn, const oc_hook_result *result)
{
	return !claim(turn, result, "text");
}

static bool on_message(oc_turn *turn, const oc_hook_result *result)
{
	if (claim(turn, result, "reply"))
		return false;
	take(turn, result->changes, "text", &turn->text);
	if (oc_json_get(result->changes, "model") != NULL)
		turn->model_strict = false;
	take(turn, result->changes, "model", &turn->model_override);
	join(turn, result->changes, "context", &turn->hook_before);
	return true;
}

static bool on_model(oc_turn *turn, const oc_hook_result *result)
{
	const char *model = oc_json_str(result->changes, "modelOverride", "");
	const char *provider = oc_json_str(result->changes, "providerOverride", "");
	if (model[0] == 0)
		return true;
	oc_auto_free char *ref = provider[0] != 0 ? oc_asprintf("%s/%s", provider, model) : NULL;
	turn->model_override = oc_turn_text(turn, ref != NULL ? ref : model);
	turn->model_strict = false;
	return true;
}

static void take_prompt(oc_turn *turn, const cJSON *c)
{
	const cJSON *allow = oc_json_get(c, "toolsAllow");
	take(turn, c, "systemPrompt", &turn->hook_system);
	join(turn, c, "prependContext", &turn->hook_before);
	join(turn, c, "appendContext", &turn->hook_after);
	join(turn, c, "prependSystemContext", &turn->hook_system_before);
	join(turn, c, "appendSystemContext", &turn->hook_system_after);
	if (cJSON_IsArray(allow)) {
		cJSON_Delete(turn->hook_tools_allow);
		turn->hook_tools_allow = cJSON_Duplicate(allow, true);
	}
}

static bool on_prompt(oc_turn *turn, const oc_hook_result *result)
{
	take_prompt(turn, result->changes);
	return on_model(turn, result);
}

/* before_agent_start is asked twice, as in the original: before there is a prompt, for the model, and with it. Who answers
 * the first time is not asked again: that answer counts for both. */
static bool on_early_start(oc_turn *turn, const oc_hook_result *result)
{
	cJSON_Delete(turn->early_start);
	turn->early_start = cJSON_GetArraySize(result->changes) > 0 ? cJSON_Duplicate(result->changes, true) : NULL;
	return on_model(turn, result);
}

static bool replace_reply(oc_turn *turn, const char *text)
{
	if (text == NULL || strcmp(text, turn->reply.p != NULL ? turn->reply.p : "") == 0)
		return true;
	oc_sbuf_clear(&turn->reply);
	oc_sbuf_z(&turn->reply, text);
	/* The history has what was said, not what was meant to be said. */
	if (turn->final_content == NULL)
		return true;
	oc_sbuf b;
	oc_sbuf_init(&b, OC_TURN_TEXT_MAX * 7);
	oc_sbuf_z(&b, "[{\"type\":\"text\",\"text\":");
	oc_sbuf_json(&b, oc_str_of(text));
	oc_sbuf_z(&b, "}]");
	if (b.error == OC_OK) {
		turn->final_content = oc_turn_text(turn, b.p);
		turn->final_text = oc_turn_text(turn, text);
	}
	oc_sbuf_free(&b);
	return true;
}

static bool on_reply(oc_turn *turn, const oc_hook_result *result)
{
	turn->withheld |= result->blocked;
	return replace_reply(turn, oc_json_str(result->changes, "text", NULL));
}

static bool on_sending(oc_turn *turn, const oc_hook_result *result)
{
	turn->withheld |= result->blocked;
	const char *text = oc_json_str(result->changes, "content", NULL);
	if (text != NULL) {
		/* Only what is sent changes, as in the original. */
		oc_sbuf_clear(&turn->reply);
		oc_sbuf_z(&turn->reply, text);
	}
	return true;
}

/* The message as the history gets it, and its text, in the turn's memory; false: unchanged. */
static bool rewritten(oc_turn *turn, const oc_hook_result *result, const char **ret_json, const char **ret_text)
{
	oc_auto_json cJSON *content = oc_transcript_content(oc_json_get(result->changes, "message"));
	oc_auto_free char *json = content != NULL ? oc_json_print(content) : NULL;
	oc_auto_free char *text = json != NULL ? oc_turn_text_of_parts(content) : NULL;
	if (text == NULL)
		return false;
	*ret_json = oc_turn_text(turn, json);
	*ret_text = oc_turn_text(turn, text);
	return true;
}

static bool on_final(oc_turn *turn, const oc_hook_result *result)
{
	if (result->blocked)
		turn->final_content = NULL;
	else
		(void)rewritten(turn, result, &turn->final_content, &turn->final_text);
	return true;
}

static void put_user(oc_turn *turn)
{
	if (turn->user_stored)
		return;
	oc_batch *b = oc_batch_new(turn->agent->store);
	if (b != NULL)
		oc_turn_put_user(turn, b);
	oc_turn_store(turn, b);
}

static void user_written(void *arg, const oc_hook_result *result)
{
	oc_turn *turn = arg;
	turn->user_unwritten = result->blocked;
	(void)rewritten(turn, result, &turn->user_content, &turn->user_text);
	put_user(turn);
	oc_turn_call_model(turn);
}

bool oc_turn_input_hooks(oc_turn *turn)
{
	oc_hooks *hooks = turn->agent->hooks;
	if (turn->input_told || turn->aside != NULL)
		return false;
	turn->input_told = true;
	if (oc_hooks_wanted(hooks, OC_HOOK_LLM_INPUT))
		oc_agent_observe(turn->agent, OC_HOOK_LLM_INPUT, with_input(turn));
	if (turn->user_stored)
		return false;
	if (oc_hooks_wanted(hooks, OC_HOOK_BEFORE_MESSAGE_WRITE) &&
	    oc_hooks_fire(hooks, OC_HOOK_BEFORE_MESSAGE_WRITE, with_user(turn), turn->owner, user_written, turn) == OC_OK)
		return true;
	put_user(turn);
	return false;
}

static void answer_written(void *arg, const oc_hook_result *result)
{
	oc_turn *turn = arg;
	const char *json = turn->calls_json, *text;
	(void)rewritten(turn, result, &json, &text);
	turn->write_next(turn, result->blocked ? NULL : json);
}

bool oc_turn_before_write(oc_turn *turn, void (*next)(oc_turn *turn, const char *content_json_or_null))
{
	oc_hooks *hooks = turn->agent->hooks;
	turn->write_next = next;
	return oc_hooks_wanted(hooks, OC_HOOK_BEFORE_MESSAGE_WRITE) &&
	       oc_hooks_fire(hooks, OC_HOOK_BEFORE_MESSAGE_WRITE, with_answer(turn, turn->calls_json), turn->owner, answer_written,
			     turn) == OC_OK;
}

/* ---- The points ---- */

typedef struct point {
	oc_hook_id hook;
	cJSON *(*payload)(const oc_turn *turn);
	bool (*apply)(oc_turn *turn, const oc_hook_result *result); /* NULL: an observer; false: the turn is claimed */
	bool (*when)(const oc_turn *turn); /* NULL: always */
} point;

static bool if_began(const oc_turn *turn)
{
	return turn->began_session;
}

/* Somebody's message: not what a program asked over HTTP, nor what the gateway tells its agents itself. */
static bool if_message(const oc_turn *turn)
{
	static const char *const others[] = {"http", "subagent", "sessions_send", "cron", "heartbeat"};
	for (size_t i = 0; i < COUNT(others); i++)
		if (turn->origin != NULL && strcmp(turn->origin, others[i]) == 0)
			return false;
	return true;
}

static bool if_no_early_start(const oc_turn *turn)
{
	return turn->early_start == NULL;
}

static bool if_deliver(const oc_turn *turn)
{
	return turn->deliver != NULL && turn->reply.n > 0;
}

static bool if_model(const oc_turn *turn)
{
	return turn->usage.calls > 0; /* not for commands and claimed messages */
}

static bool if_final(const oc_turn *turn)
{
	return turn->final_content != NULL;
}

/* The files of the prompt, for the internal hook that may change them. */
static cJSON *with_bootstrap(const oc_turn *turn)
{
	cJSON *o = with_session(turn), *list = cJSON_AddArrayToObject(o, "bootstrapFiles");
	oc_workspace_files files;
	oc_json_opt(o, "action", "bootstrap");
	oc_workspace_read(turn->config, turn->workspace, !oc_context_is_group(turn), &files);
	for (size_t i = 0; i < files.n; i++) {
		cJSON *one = cJSON_CreateObject();
		oc_json_opt(one, "name", files.file[i].name);
		oc_json_opt(one, "path", files.file[i].path);
		oc_json_opt(one, "content", files.file[i].text);
		(void)oc_json_set_bool(one, "missing", files.file[i].text == NULL);
		if (one != NULL && !cJSON_AddItemToArray(list, one))
			cJSON_Delete(one);
	}
	oc_workspace_files_free(&files);
	return o;
}

static bool on_bootstrap(oc_turn *turn, const oc_hook_result *result)
{
	const cJSON *files = oc_json_get(result->changes, "bootstrapFiles");
	cJSON_Delete(turn->bootstrap);
	turn->bootstrap = cJSON_IsArray(files) ? cJSON_Duplicate(files, true) : NULL;
	return true;
}

/* What factories of tools are told. */
static cJSON *with_run(const oc_turn *turn)
{
	cJSON *o = with_session(turn);
	oc_policy_context policy;
	oc_policy_context_of(turn, &policy);
	oc_json_opt(o, "workspace", turn->workspace);
	oc_json_opt(o, "account", policy.account);
	oc_json_opt(o, "sessionId", oc_json_str(oc_json_get(o, "ctx"), "sessionId", NULL));
	if (turn->sender != NULL)
		(void)oc_json_set(o, "sender", cJSON_Duplicate(turn->sender, true));
	if (oc_policy_sandboxed(&policy))
		(void)oc_json_set_bool(o, "sandboxed", true);
	return o;
}

static bool on_run(oc_turn *turn, const oc_hook_result *result)
{
	const cJSON *tools = oc_json_get(result->changes, "tools");
	cJSON_Delete(turn->offered);
	turn->offered = tools != NULL ? cJSON_Duplicate(tools, true) : NULL;
	return true;
}

static const point before[] = {
	{OC_HOOK_MESSAGE_RECEIVED, with_message, NULL, if_message},
	{OC_HOOK_SESSION_START, with_session, on_session, if_began},
	{OC_HOOK_TS_SESSION_START, with_session, NULL, if_began},
	{OC_HOOK_INBOUND_CLAIM, with_message, on_claim, NULL},
	{OC_HOOK_BEFORE_MESSAGE, with_message, on_message, NULL},
	{OC_HOOK_BEFORE_DISPATCH, with_message, on_dispatch, NULL},
	{OC_HOOK_BEFORE_MODEL_RESOLVE, with_prompt_only, on_model, NULL},
	{OC_HOOK_BEFORE_AGENT_START, with_prompt_only, on_early_start, NULL},
	{OC_HOOK_INTERNAL_TOOLS, with_run, on_run, NULL},
	{OC_HOOK_INTERNAL_BOOTSTRAP, with_bootstrap, on_bootstrap, NULL},
	{OC_HOOK_BEFORE_PROMPT_BUILD, with_prompt, on_prompt, NULL},
	{OC_HOOK_BEFORE_AGENT_START, with_prompt, on_prompt, if_no_early_start},
};
static const point after[] = {
	{OC_HOOK_AGENT_RESPONSE, with_reply, on_reply, if_model},
	{OC_HOOK_BEFORE_MESSAGE_WRITE, with_final, on_final, if_final},
	{OC_HOOK_AGENT_END, with_end, NULL, if_model},
	{OC_HOOK_LLM_OUTPUT, with_output, NULL, if_model},
	{OC_HOOK_MESSAGE_SENDING, with_sending, on_sending, if_deliver},
};

bool oc_turn_wants_hooks_before(const oc_agent *agent)
{
	for (size_t i = 0; i < COUNT(before); i++)
		if (before[i].apply != NULL && before[i].hook != OC_HOOK_SESSION_START &&
		    oc_hooks_wanted(agent->hooks, before[i].hook))
			return true;
	return oc_hooks_wanted(agent->hooks, OC_HOOK_BEFORE_MESSAGE_WRITE);
}

/* About the message itself, not about the turn that it becomes. */
static bool of_message(oc_hook_id hook)
{
	return hook == OC_HOOK_MESSAGE_RECEIVED || hook == OC_HOOK_INBOUND_CLAIM || hook == OC_HOOK_BEFORE_MESSAGE ||
	       hook == OC_HOOK_BEFORE_DISPATCH;
}

/* Fires what is wanted from hook_step on. Returns true when all rows are done, false when one is awaited. */
static bool advance(oc_turn *turn, const point *points, size_t n, void (*done)(void *arg, const oc_hook_result *result))
{
	oc_hooks *hooks = turn->agent->hooks;
	while (turn->hook_step < n) {
		const point *p = &points[turn->hook_step];
		turn->hook_step++;
		if (!oc_hooks_wanted(hooks, p->hook) || (p->when != NULL && !p->when(turn)))
			continue;
		if (turn->heard == OC_HEARD && of_message(p->hook))
			continue;
		if (p->apply == NULL)
			(void)oc_hooks_fire(hooks, p->hook, p->payload(turn), NULL, NULL, NULL);
		else if (oc_hooks_fire(hooks, p->hook, p->payload(turn), turn->owner, done, turn) == OC_OK)
			return false;
	}
	return true;
}

static void before_done(void *arg, const oc_hook_result *result);

static void go_before(oc_turn *turn)
{
	if (!advance(turn, before, COUNT(before), before_done))
		return;
	/* With such a subscriber the message is written when the model's input is known. */
	if (!oc_hooks_wanted(turn->agent->hooks, OC_HOOK_BEFORE_MESSAGE_WRITE))
		put_user(turn);
	if (turn->early_start != NULL)
		take_prompt(turn, turn->early_start);
	oc_turn_prepare(turn);
}

/* It was said all the same, so the history has it. */
static void claimed(oc_turn *turn)
{
	put_user(turn);
	if (turn->reply.n > 0 && !turn->hold_text)
		oc_turn_emit(turn, OC_AGENT_EV_TEXT, oc_sbuf_view(&turn->reply), NULL);
	oc_turn_succeed(turn);
}

static void before_done(void *arg, const oc_hook_result *result)
{
	oc_turn *turn = arg;
	OC_TRACE(turn->trace);
	if (before[turn->hook_step - 1].apply(turn, result)) {
		go_before(turn);
		return;
	}
	claimed(turn);
}

void oc_turn_before(oc_turn *turn)
{
	if (turn->heard == OC_HEARING) {
		turn->begin_when_heard = true;
		return;
	}
	turn->hook_step = 0;
	/* What is shown cannot be taken back: with such a subscriber nothing is shown before it had its say. */
	turn->hold_text = oc_hooks_wanted(turn->agent->hooks, OC_HOOK_AGENT_RESPONSE) ||
			  (turn->deliver != NULL && oc_hooks_wanted(turn->agent->hooks, OC_HOOK_MESSAGE_SENDING));
	if (turn->resumed)
		oc_turn_prepare(turn); /* they had their say before it was interrupted */
	else if (turn->heard == OC_HEARD_CLAIMED)
		claimed(turn);
	else
		go_before(turn);
}

/* ---- A message that is put into a running turn ---- */

static void heard(oc_turn *turn, enum oc_heard how)
{
	turn->heard = how;
	if (turn->begin_when_heard && turn->state == OC_TURN_RUNNING)
		oc_turn_before(turn);
}

static void heard_one(void *arg, const oc_hook_result *result);

static void heard_write(void *arg, const oc_hook_result *result)
{
	oc_turn *turn = arg;
	turn->user_unwritten = result->blocked;
	(void)rewritten(turn, result, &turn->user_content, &turn->user_text);
	heard(turn, OC_HEARD);
}

static void go_hear(oc_turn *turn)
{
	oc_hooks *hooks = turn->agent->hooks;
	while (turn->hook_step < COUNT(before)) {
		const point *p = &before[turn->hook_step++];
		if (!of_message(p->hook) || !oc_hooks_wanted(hooks, p->hook) || (p->when != NULL && !p->when(turn)))
			continue;
		if (p->apply == NULL)
			(void)oc_hooks_fire(hooks, p->hook, p->payload(turn), NULL, NULL, NULL);
		else if (oc_hooks_fire(hooks, p->hook, p->payload(turn), turn->owner, heard_one, turn) == OC_OK)
			return;
	}
	if (!oc_hooks_wanted(hooks, OC_HOOK_BEFORE_MESSAGE_WRITE) ||
	    oc_hooks_fire(hooks, OC_HOOK_BEFORE_MESSAGE_WRITE, with_user(turn), turn->owner, heard_write, turn) != OC_OK)
		heard(turn, OC_HEARD);
}

static void heard_one(void *arg, const oc_hook_result *result)
{
	oc_turn *turn = arg;
	OC_TRACE(turn->trace);
	if (before[turn->hook_step - 1].apply(turn, result))
		go_hear(turn);
	else
		heard(turn, OC_HEARD_CLAIMED);
}

void oc_turn_hear(oc_turn *turn)
{
	if (turn->heard != OC_HEARD_NOT)
		return;
	turn->heard = OC_HEARING;
	turn->hook_step = 0;
	go_hear(turn);
}

bool oc_turn_heard(const oc_turn *turn)
{
	return turn->heard == OC_HEARD;
}

static void after_done(void *arg, const oc_hook_result *result)
{
	oc_turn *turn = arg;
	OC_TRACE(turn->trace);
	(void)after[turn->hook_step - 1].apply(turn, result);
	if (advance(turn, after, COUNT(after), after_done))
		turn->hook_next(turn, turn->withheld);
}

void oc_turn_after_model(oc_turn *turn, void (*next)(oc_turn *turn, bool withheld))
{
	turn->hook_step = 0;
	turn->hook_next = next;
	if (advance(turn, after, COUNT(after), after_done))
		next(turn, turn->withheld);
}

static cJSON *with_result(const oc_turn *turn, const cJSON *result)
{
	cJSON *o = base(turn);
	bool ok = strcmp(oc_json_str(result, "status", ""), "ok") == 0;
	(void)oc_json_set_bool(o, "success", ok);
	(void)oc_json_set_str(o, "text", oc_json_str(result, "text", ""));
	oc_json_opt(o, "status", oc_json_str(result, "status", NULL));
	oc_json_opt(o, "error", oc_json_str(oc_json_get(result, "error"), "message", NULL));
	(void)oc_json_set_i64(o, "durationMs", oc_json_i64(result, "durationMs", 0));
	return o;
}

void oc_turn_over_hooks(oc_turn *turn, const cJSON *result)
{
	oc_agent *agent = turn->agent;
	/* One that succeeded told it before its reply went out. */
	if (turn->input_told && strcmp(oc_json_str(result, "status", ""), "ok") != 0) {
		if (oc_hooks_wanted(agent->hooks, OC_HOOK_AGENT_END)) {
			cJSON *o = with_result(turn, result);
			(void)oc_json_set(o, "messages", history(turn, true));
			(void)oc_hooks_fire(agent->hooks, OC_HOOK_AGENT_END, o, NULL, NULL, NULL);
		}
		if (oc_hooks_wanted(agent->hooks, OC_HOOK_LLM_OUTPUT))
			(void)oc_hooks_fire(agent->hooks, OC_HOOK_LLM_OUTPUT, with_output(turn), NULL, NULL, NULL);
	}
	/* With a delivery under way, afterMessage comes when that is over. */
	if (turn->outbox_key[0] == 0)
		oc_agent_observe(agent, OC_HOOK_AFTER_MESSAGE, with_result(turn, result));
}

/* ---- Commands ---- */

void oc_turn_tell_message(oc_turn *turn)
{
	if (if_message(turn))
		oc_agent_observe(turn->agent, OC_HOOK_MESSAGE_RECEIVED, with_message(turn));
}

static void command_told(void *arg, const oc_hook_result *result)
{
	oc_turn *turn = arg;
	const cJSON *words;
	cJSON_ArrayForEach(words, oc_json_get(result->changes, "messages"))
	{
		if (cJSON_IsString(words) && words->valuestring[0] != 0)
			oc_sbuf_printf(&turn->reply, "%s\n\n", words->valuestring);
	}
	turn->write_after(turn);
}

void oc_turn_command_hooks(oc_turn *turn, const char *action, void (*next)(oc_turn *turn))
{
	oc_hooks *hooks = turn->agent->hooks;
	if (oc_hooks_wanted(hooks, OC_HOOK_INTERNAL_COMMAND)) {
		cJSON *o = with_session(turn);
		oc_json_opt(o, "action", action);
		oc_json_opt(o, "commandSource", provider_of(turn));
		oc_json_opt(o, "senderId", oc_json_str(turn->sender, "id", "gateway-client"));
		oc_json_opt(o, "previousSessionId", turn->previous_id);
		turn->write_after = next;
		if (oc_hooks_fire(hooks, OC_HOOK_INTERNAL_COMMAND, o, turn->owner, command_told, turn) == OC_OK)
			return;
	}
	next(turn);
}
