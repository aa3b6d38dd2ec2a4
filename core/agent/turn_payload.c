/* What hooks are told of a turn: one function a kind of payload, in the original's words. */
#include "core/agent/turn_payload.h"

#include <string.h>

#include "core/agent/policy.h"
#include "core/agent/transcript.h"
#include "core/agent/workspace.h"
#include "core/base/clock.h"

/* What a channel is called in the original's contexts: what comes from no channel comes from its own web chat. */
const char *oc_payload_provider(const oc_turn *turn)
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
	oc_json_opt(ctx, "messageProvider", oc_payload_provider(turn));
	oc_json_opt(ctx, "trigger", trigger_of(turn));
	oc_json_opt(ctx, "channelId", oc_payload_provider(turn));
	oc_json_opt(ctx, "accountId", oc_json_str(turn->deliver, "account", NULL));
	oc_json_opt(ctx, "conversationId", oc_json_str(turn->deliver, "to", NULL));
	return o;
}

/* Where a message came from, in the original's names. */
static cJSON *metadata_of(const oc_turn *turn)
{
	cJSON *m = cJSON_CreateObject();
	const char *provider = oc_payload_provider(turn), *to = oc_json_str(turn->deliver, "to", NULL);
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

cJSON *oc_payload_message(const oc_turn *turn)
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
cJSON *oc_payload_history(const oc_turn *turn, bool own)
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

cJSON *oc_payload_prompt_only(const oc_turn *turn)
{
	cJSON *o = base(turn);
	(void)oc_json_set_str(o, "prompt", turn->text);
	return o;
}

cJSON *oc_payload_prompt(const oc_turn *turn)
{
	cJSON *o = oc_payload_prompt_only(turn);
	(void)oc_json_set(o, "messages", oc_payload_history(turn, false));
	return o;
}

cJSON *oc_payload_session(const oc_turn *turn)
{
	cJSON *o = base(turn);
	oc_json_opt(o, "sessionId", oc_json_str(oc_json_get(o, "ctx"), "sessionId", NULL));
	return o;
}

cJSON *oc_payload_start(const oc_turn *turn)
{
	cJSON *o = oc_payload_session(turn);
	oc_json_opt(o, "resumedFrom", turn->previous_id);
	return o;
}

cJSON *oc_payload_reply(const oc_turn *turn)
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

cJSON *oc_payload_answer(const oc_turn *turn, const char *content_json)
{
	cJSON *o = base(turn);
	(void)oc_json_set(o, "message", answer_message(turn, content_json));
	return o;
}

cJSON *oc_payload_output(const oc_turn *turn)
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

static int images_of(const oc_turn *turn)
{
	const cJSON *one;
	int n = 0;
	cJSON_ArrayForEach(one, turn->media) n += strncmp(oc_json_str(one, "mime", oc_json_str(one, "type", "")), "image", 5) == 0;
	return n;
}

/* The prompt is what the model reads: with what hooks put before and after it. */
cJSON *oc_payload_input(const oc_turn *turn)
{
	cJSON *o = oc_payload_prompt_only(turn);
	oc_auto_free char *all = oc_asprintf("%s%s%s%s%s", turn->hook_before, turn->hook_before[0] != 0 ? "\n\n" : "", turn->text,
					     turn->hook_after[0] != 0 ? "\n\n" : "", turn->hook_after);
	oc_json_opt(o, "prompt", all);
	oc_json_opt(o, "runId", turn->run);
	oc_json_opt(o, "provider", turn->model.provider);
	oc_json_opt(o, "model", turn->model.id);
	oc_json_opt(o, "systemPrompt", turn->system);
	(void)oc_json_set(o, "historyMessages", oc_payload_history(turn, false));
	(void)oc_json_set_i64(o, "imagesCount", images_of(turn));
	return o;
}

cJSON *oc_payload_sending(const oc_turn *turn)
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
cJSON *oc_payload_end(const oc_turn *turn)
{
	cJSON *o = base(turn), *messages = oc_payload_history(turn, true);
	(void)oc_json_set_str(o, "status", "ok");
	(void)oc_json_set_str(o, "text", turn->reply.p != NULL ? turn->reply.p : "");
	if (turn->raw_answer != NULL)
		(void)cJSON_AddItemToArray(messages, answer_message(turn, turn->raw_answer));
	(void)oc_json_set(o, "messages", messages);
	(void)oc_json_set_bool(o, "success", true);
	(void)oc_json_set_i64(o, "durationMs", turn->began_ms != 0 ? (int64_t)(oc_now_ms() - turn->began_ms) : 0);
	return o;
}

cJSON *oc_payload_final(const oc_turn *turn)
{
	return oc_payload_answer(turn, turn->final_content);
}

cJSON *oc_payload_user(const oc_turn *turn)
{
	oc_auto_free char *json = oc_context_user_content((oc_turn *)turn, true);
	oc_auto_json cJSON *content = json != NULL ? cJSON_Parse(json) : NULL;
	cJSON *o = base(turn);
	(void)oc_json_set(o, "message", oc_transcript_message("user", content, oc_wall_ms()));
	return o;
}

oc_workspace_which oc_turn_files(const oc_turn *turn)
{
	if (turn->light_context)
		return strcmp(turn->origin, "heartbeat") == 0 ? OC_WORKSPACE_HEARTBEAT : OC_WORKSPACE_NONE;
	return oc_context_is_group(turn) ? OC_WORKSPACE_SHARED : OC_WORKSPACE_ALL;
}

/* The files of the prompt, for the internal hook that may change them. */
cJSON *oc_payload_bootstrap(const oc_turn *turn)
{
	cJSON *o = oc_payload_session(turn), *list = cJSON_AddArrayToObject(o, "bootstrapFiles");
	oc_workspace_files files;
	oc_json_opt(o, "action", "bootstrap");
	oc_workspace_read(turn->agent, turn->config, turn->workspace, oc_turn_files(turn), &files);
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

/* What factories of tools are told. */
cJSON *oc_payload_run(const oc_turn *turn)
{
	cJSON *o = oc_payload_session(turn);
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

cJSON *oc_payload_result(const oc_turn *turn, const cJSON *result)
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
