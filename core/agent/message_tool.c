/*
 * The tool `message`: what an agent says of its own accord to a conversation of a channel, and whatever else a network can do
 * there (reactions, polls, …), which its channel knows by name.
 *
 * What is said goes through the outbox like every reply; the tool waits a while for the delivery, so that the model learns
 * its id.
 */
#include <stdio.h>
#include <string.h>

#include "core/agent/builtin.h"
#include "core/agent/media.h"
#include "core/base/clock.h"

#define DELIVERY_WAIT_MS 10000
#define STEP_MS 250
#define ACTION_MS 60000

typedef struct saying {
	oc_agent *agent;
	oc_call *call;
	cJSON *message;
	oc_ticket *ticket;
	oc_agent_sub *sub;
	oc_watch *timer;
	char key[80];
	uint64_t began_ms;
	bool queued, over, ok;
	char *error, *ids;
} saying;

/* ---- Saying ---- */

static void free_saying(saying *s)
{
	oc_agent_unsubscribe(s->sub);
	cJSON_Delete(s->message);
	oc_free(s->error);
	oc_free(s->ids);
	oc_free(s);
}

static void swept(void *arg)
{
	free_saying(arg);
}

static void done(saying *s)
{
	oc_owner_forget(s->ticket);
	oc_watch_end(s->timer);
	free_saying(s);
}

static void failed(saying *s, const oc_err *err)
{
	oc_builtin_fail(s->call, err);
	done(s);
}

static void answer(saying *s)
{
	cJSON *o = cJSON_CreateObject(), *ids = s->ids != NULL ? cJSON_Parse(s->ids) : NULL;
	const cJSON *first = cJSON_GetArrayItem(ids, 0);
	if (s->over && !s->ok) {
		oc_builtin_text(s->call, true, "The message was not delivered: %s", s->error != NULL ? s->error : "the channel gave it up");
		cJSON_Delete(o);
		cJSON_Delete(ids);
		done(s);
		return;
	}
	oc_json_opt(o, "status", s->over ? "sent" : "queued");
	oc_json_opt(o, "channel", oc_json_str(s->message, "channel", NULL));
	oc_json_opt(o, "to", oc_json_str(s->message, "to", NULL));
	if (cJSON_IsString(first))
		oc_json_opt(o, "messageId", first->valuestring);
	if (ids != NULL)
		(void)oc_json_set(o, "messageIds", ids);
	if (!s->over)
		oc_json_opt(o, "note", "It is kept and sent as soon as the network takes it. Do not send it again.");
	oc_builtin_json(s->call, o);
	done(s);
}

static void on_event(void *arg, const oc_agent_event *event)
{
	saying *s = arg;
	if (event->type != OC_AGENT_EV_DELIVERY || strcmp(oc_json_str(event->data, "key", ""), s->key) != 0)
		return;
	const cJSON *ids = oc_json_get(event->data, "messageIds");
	s->over = true;
	s->ok = oc_json_bool(event->data, "ok", false);
	s->error = oc_strdup(oc_json_str(event->data, "error", ""));
	s->ids = ids != NULL ? oc_json_print(ids) : NULL;
	if (s->queued)
		answer(s);
}

static void on_timer(void *arg)
{
	saying *s = arg;
	/* A gateway that stops waits for its tools. */
	if (s->agent->draining || oc_now_ms() - s->began_ms >= DELIVERY_WAIT_MS)
		answer(s);
}

static void queued(void *arg, oc_status status, const oc_err *err)
{
	saying *s = arg;
	s->queued = true;
	if (status != OC_OK)
		failed(s, err);
	else if (s->over || (s->timer = oc_timer_start(s->agent->owner, STEP_MS, STEP_MS, on_timer, s)) == NULL)
		answer(s);
}

static void submit(saying *s)
{
	oc_err err = {0};
	s->sub = oc_agent_subscribe(s->agent, NULL, NULL, on_event, s);
	if (s->sub == NULL)
		failed(s, (oc_fail(&err, OC_E_NOMEM, NULL, "the message cannot be sent"), &err));
	else if (oc_agent_send(s->agent, s->message, OC_STR_NONE, s->key, queued, s, &err) != OC_OK)
		failed(s, &err);
}

/* The hook that sees whatever leaves. */
static void asked(void *arg, const oc_hook_result *result)
{
	saying *s = arg;
	const char *text = oc_json_str(result->changes, "content", NULL);
	oc_err err = {0};
	if (result->blocked) {
		failed(s, (oc_fail(&err, OC_E_BLOCKED, NULL, "the message was withheld%s%s", result->by[0] != 0 ? " by " : "", result->by), &err));
		return;
	}
	if (text != NULL)
		(void)oc_json_set_str(s->message, "text", text);
	submit(s);
}

static cJSON *sending_payload(const saying *s)
{
	cJSON *o = cJSON_CreateObject(), *metadata = cJSON_AddObjectToObject(o, "metadata"), *ctx = cJSON_AddObjectToObject(o, "ctx");
	cJSON *urls = cJSON_AddArrayToObject(metadata, "mediaUrls");
	const cJSON *one;
	oc_json_opt(o, "session", oc_json_str(s->message, "session", NULL));
	oc_json_opt(o, "to", oc_json_str(s->message, "to", NULL));
	(void)oc_json_set_str(o, "content", oc_json_str(s->message, "text", ""));
	oc_json_opt(metadata, "channel", oc_json_str(s->message, "channel", NULL));
	oc_json_opt(metadata, "accountId", oc_json_str(s->message, "account", NULL));
	oc_json_opt(metadata, "threadId", oc_json_str(s->message, "thread", NULL));
	cJSON_ArrayForEach(one, oc_json_get(s->message, "media"))
		(void)cJSON_AddItemToArray(urls, cJSON_CreateString(oc_json_str(one, "path", oc_json_str(one, "url", ""))));
	oc_json_opt(ctx, "channelId", oc_json_str(s->message, "channel", NULL));
	oc_json_opt(ctx, "accountId", oc_json_str(s->message, "account", NULL));
	return o;
}

static void say(const oc_builtin_call *call, cJSON *message)
{
	oc_err err = {0};
	oc_hooks *hooks = call->agent->hooks;
	saying *s = oc_alloc(sizeof *s);
	if (s == NULL) {
		cJSON_Delete(message);
		oc_builtin_fail(call->call, (oc_fail(&err, OC_E_NOMEM, NULL, "the message cannot be sent"), &err));
		return;
	}
	*s = (saying){.agent = call->agent, .call = call->call, .message = message, .began_ms = oc_now_ms()};
	s->ticket = oc_owner_track(call->agent->owner, swept, s);
	if (s->ticket == NULL)
		failed(s, (oc_fail(&err, OC_E_NOMEM, NULL, "the message cannot be sent"), &err));
	else if (!oc_hooks_wanted(hooks, OC_HOOK_MESSAGE_SENDING) ||
		 oc_hooks_fire(hooks, OC_HOOK_MESSAGE_SENDING, sending_payload(s), call->agent->owner, asked, s) != OC_OK)
		submit(s);
}

/* ---- Where to ---- */

static const char *first_of(const cJSON *args, const char *const *names)
{
	for (; *names != NULL; names++) {
		const char *value = oc_json_str(args, *names, "");
		if (value[0] != 0)
			return value;
	}
	return "";
}

/* {"channel","account","to","thread"?,"session"}, or NULL with err. Without a target: where this conversation's answers go. */
static cJSON *place(const oc_builtin_call *call, oc_err *err)
{
	static const char *const targets[] = {"target", "to", "channelId", NULL};
	const oc_map_node *node = oc_map_find(&call->agent->runs, call->run);
	const cJSON *own = node != NULL ? OC_MAP_OWNER(node, oc_turn, by_run)->deliver : NULL;
	const char *own_channel = oc_json_str(own, "channel", ""), *own_to = oc_json_str(own, "to", "");
	const char *channel = oc_json_str(call->args, "channel", own_channel), *to = first_of(call->args, targets);
	const bool elsewhere = strcmp(channel, own_channel) != 0;
	const oc_config *config = call->agent->config;
	if (to[0] == 0 && !elsewhere)
		to = own_to;
	if (channel[0] == 0 || to[0] == 0) {
		(void)oc_fail(err, OC_E_INVALID, NULL, "give \"channel\" and \"target\"");
		return NULL;
	}
	if (own != NULL && elsewhere && !oc_config_bool(config, "tools.message.crossContext.allowAcrossProviders", false)) {
		(void)oc_fail(err, OC_E_DENIED, "tools.message.crossContext.allowAcrossProviders allows it",
			      "a conversation of %s may not write to %s", own_channel, channel);
		return NULL;
	}
	if (own != NULL && !elsewhere && strcmp(to, own_to) != 0 &&
	    !oc_config_bool(config, "tools.message.crossContext.allowWithinProvider", true)) {
		(void)oc_fail(err, OC_E_DENIED, "tools.message.crossContext.allowWithinProvider allows it", "it may write to its own conversation only");
		return NULL;
	}
	const bool here = !elsewhere && strcmp(to, own_to) == 0;
	cJSON *o = cJSON_CreateObject();
	oc_json_opt(o, "channel", channel);
	oc_json_opt(o, "account", oc_json_str(call->args, "accountId", elsewhere ? "default" : oc_json_str(own, "account", "default")));
	oc_json_opt(o, "to", to);
	oc_json_opt(o, "thread", oc_json_str(call->args, "threadId", here ? oc_json_str(own, "thread", NULL) : NULL));
	oc_json_opt(o, "session", call->session);
	return o;
}

static bool add_files(const oc_builtin_call *call, cJSON *message, oc_err *err)
{
	static const char *const names[] = {"media", "mediaUrl", "path", "filePath", NULL};
	const char *path = first_of(call->args, names);
	cJSON *list = path[0] != 0 ? cJSON_AddArrayToObject(message, "media") : NULL, *one;
	if (path[0] == 0)
		return true;
	if (strstr(path, "://") != NULL && strncmp(path, "file://", 7) != 0) {
		(void)oc_fail(err, OC_E_UNSUPPORTED, "fetch it into the workspace first", "only files of the workspace can be sent");
		return false;
	}
	one = oc_media_file(call->agent, call->workspace, strncmp(path, "file://", 7) == 0 ? path + 7 : path, err);
	return one != NULL && cJSON_AddItemToArray(list, one);
}

static void send_message(const oc_builtin_call *call, cJSON *message)
{
	static const char *const texts[] = {"message", "text", "caption", NULL};
	oc_err err = {0};
	(void)oc_json_set_str(message, "text", first_of(call->args, texts));
	oc_json_opt(message, "replyTo", oc_json_str(call->args, "replyTo", NULL));
	if (add_files(call, message, &err)) {
		say(call, message);
		return;
	}
	oc_builtin_fail(call->call, &err);
	cJSON_Delete(message);
}

/* ---- Other actions: the channel's ---- */

static void acted(void *arg, oc_status status, oc_str result)
{
	oc_call *call = arg;
	oc_auto_json cJSON *o = NULL;
	oc_err err = {0};
	if (status != OC_OK) {
		oc_call_error(status, result, &err, NULL);
		oc_builtin_fail(call, &err);
	} else if (oc_json_parse(result, NULL, &o, NULL) == OC_OK && cJSON_IsArray(oc_json_get(o, "content"))) {
		if (oc_call_is_owed(call))
			oc_call_done(call, OC_OK, result);
	} else {
		cJSON *plain = cJSON_CreateObject();
		oc_json_opt(plain, "status", "ok");
		oc_builtin_json(call, plain);
	}
}

static void act(const oc_builtin_call *call, const char *action, cJSON *what)
{
	oc_err err = {0};
	const char *channel = oc_json_str(what, "channel", "");
	oc_guest *guest = oc_modules_channel(call->agent->modules, oc_str_of(channel));
	const cJSON *sender = oc_json_get(call->context, "sender");
	oc_json_opt(what, "action", action);
	(void)oc_json_set(what, "params", cJSON_Duplicate(call->args, true));
	oc_json_opt(what, "agent", call->agent_id);
	oc_json_opt(what, "senderId", cJSON_IsString(sender) ? sender->valuestring : oc_json_str(sender, "id", NULL));
	oc_auto_free char *json = oc_json_print(what);
	oc_call_options options = {.deadline_ms = ACTION_MS, .owner = call->agent->owner, .on_done = acted, .arg = call->call};
	oc_status status = guest == NULL ? OC_E_NOT_FOUND : json == NULL ? OC_E_NOMEM : oc_channel_action(guest, oc_str_of(json), &options, NULL);
	if (status != OC_OK)
		oc_builtin_fail(call->call, (oc_fail(&err, status, NULL, "%s: %s", channel,
						     guest == NULL ? "there is no such channel"
						     : status == OC_E_UNSUPPORTED ? "this channel can only send"
										   : oc_status_text(status)), &err));
	cJSON_Delete(what);
}

static void invoke(const oc_builtin_call *call)
{
	const char *action = oc_json_str(call->args, "action", "send");
	oc_err err = {0};
	cJSON *where = place(call, &err);
	if (where == NULL)
		oc_builtin_fail(call->call, &err);
	else if (strcmp(action, "send") == 0)
		send_message(call, where);
	else
		act(call, action, where);
}

/* Without a channel there is nobody to write to. */
static bool offered(const oc_config *config, const char *agent_id, char *why)
{
	(void)agent_id;
	bool any = cJSON_GetArraySize(oc_config_get(config, "channels")) > 0;
	if (!any)
		snprintf(why, 200, "no channel is configured");
	return any;
}

const oc_builtin_tool oc_tool_message = {
	.name = "message",
	.spec =
		"{\"name\":\"message\",\"group\":\"messaging\",\"description\":\"Write to a conversation of a channel of your own accord, or "
		"act on its messages. Your answer to the user goes out by itself: this is for anything besides. action: send, or what "
		"the channel can do besides (react, edit, delete, read, poll, …).\",\"parameters\":{\"type\":\"object\",\"properties\":{"
		"\"action\":{\"type\":\"string\",\"minLength\":1,\"maxLength\":64},"
		"\"channel\":{\"type\":\"string\",\"maxLength\":64,\"description\":\"Its name; this conversation's when left out\"},"
		"\"target\":{\"type\":\"string\",\"maxLength\":256,\"description\":\"Whom or where to; this conversation when left out\"},"
		"\"accountId\":{\"type\":\"string\",\"maxLength\":64},\"message\":{\"type\":\"string\",\"description\":\"The text\"},"
		"\"media\":{\"type\":\"string\",\"description\":\"A file of the workspace\"},"
		"\"replyTo\":{\"type\":\"string\",\"description\":\"The message it answers\"},\"threadId\":{\"type\":\"string\"},"
		"\"messageId\":{\"type\":\"string\",\"description\":\"The message to act on\"},\"emoji\":{\"type\":\"string\"},"
		"\"remove\":{\"type\":\"boolean\"},\"limit\":{\"type\":\"integer\",\"minimum\":1}}}}",
	.offered = offered,
	.invoke = invoke,
};
