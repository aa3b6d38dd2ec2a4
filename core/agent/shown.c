#include "core/agent/shown.h"

#include <string.h>

#include "core/agent/inbound.h"

#define THOUGHTS_MAX ((size_t)16 << 10)
#define ARGUMENTS_SHOWN 200
#define RESULT_SHOWN 1500

/* Bytes of a text up to a limit, cut between characters. */
static int cut(const char *text, size_t max)
{
	size_t n = strlen(text);
	if (n <= max)
		return (int)n;
	for (n = max; n > 0 && ((unsigned char)text[n] & 0xc0) == 0x80;)
		n--;
	return (int)n;
}

static const char *asked(const oc_turn *turn, const char *name)
{
	return turn->deliver != NULL ? oc_json_str(turn->settings, name, "off") : "off";
}

void oc_shown_begin(oc_turn *turn, cJSON *session)
{
	cJSON_Delete(turn->settings);
	turn->settings = cJSON_DetachItemFromObjectCaseSensitive(session, "settings");
}

/* ---- /verbose ---- */

/* A message of its own; a failure costs nothing but it. */
static void say(oc_turn *turn, const char *text)
{
	char key[60];
	snprintf(key, sizeof key, "v:%s:%u", turn->run, ++turn->n_shown);
	oc_auto_json cJSON *deliver = cJSON_Duplicate(turn->deliver, true);
	cJSON_DeleteItemFromObjectCaseSensitive(deliver, "replyTo");
	if (deliver != NULL && oc_json_set_str(deliver, "kind", "tool"))
		oc_inbound_say(turn->agent, deliver, turn->session, key, text);
}

void oc_shown_tool(oc_turn *turn, const char *name, const cJSON *arguments)
{
	if (strcmp(asked(turn, "verbose"), "off") == 0)
		return;
	oc_auto_free char *json = oc_json_print(arguments);
	const char *args = json != NULL && strcmp(json, "{}") != 0 ? json : "";
	int n = cut(args, ARGUMENTS_SHOWN);
	oc_auto_free char *text = oc_asprintf("🛠️ %s%s%.*s%s", name, args[0] != 0 ? ": `" : "", n, args,
					      args[n] != 0 ? "…`" : args[0] != 0 ? "`" : "");
	if (text != NULL)
		say(turn, text);
}

void oc_shown_result(oc_turn *turn, const char *name, const char *result, bool is_error)
{
	if (strcmp(asked(turn, "verbose"), "full") != 0)
		return;
	int n = cut(result, RESULT_SHOWN);
	oc_auto_free char *text = oc_asprintf("%s %s:\n```\n%.*s%s\n```", is_error ? "❌" : "📄", name, n, result,
					      result[n] != 0 ? "…" : "");
	if (text != NULL)
		say(turn, text);
}

/* ---- /reasoning ---- */

static bool heartbeat_asked(const oc_turn *turn)
{
	return turn->origin != NULL && strcmp(turn->origin, "heartbeat") == 0 &&
	       cJSON_IsTrue(oc_agent_setting(turn->config, turn->agent_id, "heartbeat.includeReasoning"));
}

void oc_shown_thinking(oc_turn *turn, oc_str piece)
{
	bool wanted = strcmp(asked(turn, "reasoning"), "off") != 0 || heartbeat_asked(turn);
	if (!wanted || turn->thoughts.n + piece.n > THOUGHTS_MAX)
		return;
	oc_sbuf_str(&turn->thoughts, piece);
}

void oc_shown_put_thoughts(oc_turn *turn, oc_batch *b)
{
	oc_auto_json cJSON *message = turn->thoughts.n > 0 && turn->deliver != NULL ? cJSON_Duplicate(turn->deliver, true) : NULL;
	if (message == NULL)
		return;
	oc_auto_free char *text = oc_asprintf(OC_SHOWN_THOUGHTS "%s", oc_sbuf_view(&turn->thoughts).p);
	snprintf(turn->thoughts_key, sizeof turn->thoughts_key, "run:%s:thoughts", turn->run);
	oc_json_opt(message, "text", text);
	oc_auto_free char *json = oc_json_print(message);
	if (text != NULL && json != NULL)
		oc_batch_outbox_put(b, turn->thoughts_key, turn->session, NULL, oc_json_str(message, "channel", ""),
				    oc_json_str(message, "account", "default"), json);
	else
		oc_batch_spoil(b);
}

/* ---- /usage ---- */

char *oc_shown_reply(const oc_turn *turn, const char *text)
{
	const char *mode = asked(turn, "usage");
	const oc_usage *u = &turn->usage;
	if (strcmp(mode, "off") == 0 || text[0] == 0 || u->calls == 0)
		return NULL;
	bool full = strcmp(mode, "full") == 0;
	char cost[48] = "";
	if (full && u->cost > 0)
		snprintf(cost, sizeof cost, " · est $%.4f", u->cost);
	return oc_asprintf("%s\n\nUsage: %lld in / %lld out%s%s%s", text, (long long)(u->input + u->cache_read + u->cache_write),
			   (long long)u->output, cost, full ? " · " : "", full ? turn->model.ref : "");
}
