/* Slash commands that others answer: TypeScript plugins, through the table that the gateway handed in. */
#include <string.h>

#include "core/agent/commands.h"

#define ARGS_MAX 4096

void oc_agent_set_commands(oc_agent *agent, const oc_agent_commands *commands, void *arg)
{
	agent->commands = commands;
	agent->commands_arg = arg;
}

bool oc_slash_guest_row(const oc_agent *agent, size_t i, oc_agent_command *ret)
{
	return agent->commands != NULL && agent->commands->row(agent->commands_arg, i, ret);
}

const char *oc_slash_guest_native(const oc_agent_command *command, const char *channel)
{
	const char *own = oc_json_str(command->native, channel, oc_json_str(command->native, "default", ""));
	return own[0] != 0 ? own : command->name;
}

/* ---- Recognising ---- */

/* Networks without hyphens in their menus have underscores there. */
static bool same_name(oc_str a, const char *b)
{
	if (b == NULL || a.n != strlen(b))
		return false;
	for (size_t i = 0; i < a.n; i++) {
		char x = (char)(a.p[i] >= 'A' && a.p[i] <= 'Z' ? a.p[i] | 32 : a.p[i]), y = (char)(b[i] >= 'A' && b[i] <= 'Z' ? b[i] | 32 : b[i]);
		if (x != y && !((x == '_' || x == '-') && (y == '_' || y == '-')))
			return false;
	}
	return true;
}

static bool goes_by(const oc_agent_command *command, oc_str name)
{
	const cJSON *native;
	if (same_name(name, command->name))
		return true;
	cJSON_ArrayForEach(native, command->native)
	{
		if (cJSON_IsString(native) && same_name(name, native->valuestring))
			return true;
	}
	return false;
}

/* The command of a text "/name rest"; "/name@bot" is how groups address one bot of several. */
static bool find(const oc_agent *agent, oc_str text, oc_agent_command *ret, oc_str *ret_rest)
{
	if (agent->commands == NULL || !oc_str_starts(text, "/"))
		return false;
	size_t n = 1, end;
	while (n < text.n && strchr(" \n\t@", text.p[n]) == NULL)
		n++;
	for (end = n; end < text.n && strchr(" \n\t", text.p[end]) == NULL;)
		end++;
	oc_str name = {text.p + 1, n - 1};
	*ret_rest = oc_str_trim((oc_str){text.p + end, text.n - end});
	for (size_t i = 0; oc_slash_guest_row(agent, i, ret); i++)
		if (goes_by(ret, name))
			return ret->takes_args || ret_rest->n == 0;
	return false;
}

/* ---- Running ---- */

typedef struct run {
	oc_turn *turn;
	cJSON *ctx;
	void *handle;
	oc_ticket *ticket;
	char name[80];
} run;

/* Text, and a line for each file, which the way to the channel turns into an attachment; an address is text. */
static void answer(oc_turn *turn, const cJSON *reply)
{
	const char *text = cJSON_IsString(reply) ? reply->valuestring : oc_json_str(reply, "text", "");
	const cJSON *urls = oc_json_get(reply, "mediaUrls"), *one;
	const char *url = oc_json_str(reply, "mediaUrl", "");
	oc_slash_answer(turn, "%s", text);
	if (url[0] != 0 && cJSON_GetArraySize(urls) == 0)
		oc_slash_answer(turn, "%s%s%s", turn->reply.n > 0 ? "\n" : "", strstr(url, "://") != NULL ? "" : "MEDIA:", url);
	cJSON_ArrayForEach(one, urls)
	{
		if (cJSON_IsString(one) && one->valuestring[0] != 0)
			oc_slash_answer(turn, "%s%s%s", turn->reply.n > 0 ? "\n" : "",
					strstr(one->valuestring, "://") != NULL ? "" : "MEDIA:", one->valuestring);
	}
}

static void free_run(run *r)
{
	cJSON_Delete(r->ctx);
	oc_free(r);
}

static void on_done(void *arg, oc_status status, const cJSON *reply, const char *why)
{
	run *r = arg;
	oc_turn *turn = r->turn;
	oc_owner_forget(r->ticket);
	if (status == OC_OK)
		answer(turn, reply);
	else if (status == OC_E_INTERNAL)
		oc_slash_answer(turn, "⚠️ The command did not work. The log says why.");
	else
		oc_slash_answer(turn, "⚠️ /%s was not answered: %s", r->name, why);
	free_run(r);
	oc_slash_done(turn);
}

static void end(void *arg)
{
	run *r = arg;
	oc_agent *agent = r->turn->agent;
	if (agent->commands != NULL && r->handle != NULL)
		agent->commands->cancel(agent->commands_arg, r->handle);
	free_run(r);
}

/* Spaces as one each, as the original hands commands on. */
static char *body_of(oc_str text)
{
	char *out = oc_memdup(text.p, text.n);
	size_t n = 0;
	for (size_t i = 0; out != NULL && i < text.n; i++) {
		bool space = strchr(" \t\r\n", out[i]) != NULL;
		if (!space || (n > 0 && out[n - 1] != ' '))
			out[n++] = space ? ' ' : out[i];
	}
	if (out != NULL)
		out[n > 0 && out[n - 1] == ' ' ? n - 1 : n] = 0;
	return out;
}

/* At most ARGS_MAX bytes of it, whole characters, without control characters. */
static void clean_args(char *args)
{
	size_t n = 0, i = 0;
	for (; args[i] != 0 && n < ARGS_MAX; i++)
		if ((unsigned char)args[i] >= 32 && args[i] != 127)
			args[n++] = args[i];
	if (args[i] != 0)
		while (n > 0 && ((unsigned char)args[n] & 0xc0) == 0x80)
			n--;
	args[n] = 0;
}

static cJSON *context_of(const oc_turn *turn, const char *body)
{
	cJSON *ctx = cJSON_CreateObject();
	const char *channel = oc_turn_channel(turn), *to = oc_json_str(turn->deliver, "to", ""), *sender = oc_json_str(turn->sender, "id", "");
	const char *rest = strchr(body, ' '), *thread = oc_json_str(turn->deliver, "thread", "");
	oc_auto_free char *args = rest != NULL ? oc_strdup(rest + 1) : NULL;
	int64_t number;
	oc_json_opt(ctx, "senderId", sender);
	(void)oc_json_set_str(ctx, "channel", channel[0] != 0 ? channel : "webchat");
	oc_json_opt(ctx, "channelId", channel);
	(void)oc_json_set_bool(ctx, "isAuthorizedSender", !turn->restricted);
	if (args != NULL) {
		clean_args(args);
		oc_json_opt(ctx, "args", args);
	}
	(void)oc_json_set_str(ctx, "commandBody", body);
	if (channel[0] != 0) {
		oc_auto_free char *from = oc_context_is_group(turn) ? oc_asprintf("%s:group:%s%s%s", channel, to,
										  thread[0] != 0 ? ":topic:" : "", thread)
								    : oc_asprintf("%s:%s", channel, sender[0] != 0 ? sender : to);
		oc_auto_free char *target = oc_asprintf("%s:%s", channel, to);
		oc_json_opt(ctx, "from", from);
		oc_json_opt(ctx, "to", target);
		oc_json_opt(ctx, "accountId", oc_json_str(turn->deliver, "account", "default"));
	}
	if (thread[0] != 0 && oc_str_i64(oc_str_of(thread), INT64_MIN, INT64_MAX, &number) == OC_OK)
		(void)oc_json_set_i64(ctx, "messageThreadId", number);
	else
		oc_json_opt(ctx, "messageThreadId", thread);
	oc_json_opt(ctx, "sessionKey", turn->session);
	return ctx;
}

/* From the loop, as hooks are called: whoever observes messages hears of this one before it is answered. */
static void go(void *arg)
{
	run *r = arg;
	oc_turn *turn = r->turn;
	oc_agent *agent = turn->agent;
	oc_err err = {0};
	oc_status status = agent->commands == NULL ? OC_E_UNAVAILABLE
						   : agent->commands->run(agent->commands_arg, r->name, r->ctx, oc_turn_remaining(turn),
									  on_done, r, &r->handle);
	if (status == OC_OK)
		return;
	oc_owner_forget(r->ticket);
	free_run(r);
	oc_turn_fail(turn, status, (oc_fail(&err, status, NULL, "the command cannot be run"), &err));
}

static void run_guest(oc_turn *turn, oc_str rest)
{
	oc_agent *agent = turn->agent;
	oc_agent_command command;
	oc_err err = {0};
	if (!find(agent, oc_str_trim(oc_str_of(turn->text)), &command, &rest)) {
		oc_slash_answer(turn, "⚠️ This command is not there any more.");
		oc_slash_done(turn);
		return;
	}
	if (turn->restricted && !command.open) {
		oc_slash_answer(turn, "⚠️ This command requires authorization.");
		oc_slash_done(turn);
		return;
	}
	oc_auto_free char *body = body_of(oc_str_trim(oc_str_of(turn->text)));
	run *r = oc_alloc(sizeof(*r));
	if (r != NULL) {
		*r = (run){.turn = turn, .ctx = body != NULL ? context_of(turn, body) : NULL};
		snprintf(r->name, sizeof(r->name), "%s", command.name);
		r->ticket = r->ctx != NULL ? oc_owner_track(turn->owner, end, r) : NULL;
		if (r->ticket != NULL && oc_loop_defer(agent->loop, turn->owner, go, r) == OC_OK)
			return;
		oc_owner_forget(r->ticket);
		free_run(r);
	}
	oc_turn_fail(turn, OC_E_NOMEM, (oc_fail(&err, OC_E_NOMEM, NULL, "the command cannot be run"), &err));
}

static const oc_slash guest = {"plugin", NULL, "[arguments]", "Plugins", "a command of a plugin", OC_SLASH_INSTANT, run_guest};

const oc_slash *oc_slash_guest(oc_agent *agent, oc_str text, oc_str *rest)
{
	oc_agent_command command;
	return find(agent, text, &command, rest) ? &guest : NULL;
}
