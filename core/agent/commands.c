/*
 * Slash commands: answered by the gateway itself, without a model.  A text that only looks like one goes to the model.
 */
#include <string.h>

#include "core/agent/subagent.h"
#include "core/agent/workspace.h"
#include "core/base/log.h"

typedef struct command {
	const char *name, *help;
	void (*run)(oc_turn *turn, oc_str rest);
} command;

static void answer(oc_turn *turn, const char *format, ...) __attribute__((format(printf, 2, 3)));
static void answer(oc_turn *turn, const char *format, ...)
{
	va_list args;
	va_start(args, format);
	oc_sbuf_vprintf(&turn->reply, format, args);
	va_end(args);
}

static void finish(oc_turn *turn)
{
	turn->stop_reason = "command";
	oc_turn_emit(turn, OC_AGENT_EV_TEXT, oc_sbuf_view(&turn->reply), NULL);
	oc_turn_succeed(turn);
}

/* ---- /new and /reset ---- */

static void was_reset(void *arg, oc_status status, const cJSON *result, const oc_err *err)
{
	oc_turn *turn = arg;
	(void)result;
	if (turn->state != OC_TURN_RUNNING) {
		oc_turn_unref(turn);
		return;
	}
	if (status != OC_OK) {
		oc_turn_fail(turn, status, err);
	} else if (turn->text[0] != 0) {
		/* "/new write a poem": the rest is the first message of the new conversation. */
		turn->began_session = true;
		oc_turn_before(turn);
	} else {
		answer(turn, "A new conversation has begun.");
		finish(turn);
	}
	oc_turn_unref(turn);
}

static void run_new(oc_turn *turn, oc_str rest)
{
	oc_err err = {0};
	oc_auto_free char *text = oc_memdup(rest.p, rest.n);
	turn->text = oc_turn_text(turn, text != NULL ? text : "");
	oc_turn_ref(turn);
	oc_status status = oc_session_reset_inside(turn, "command", was_reset, turn, &err);
	if (status != OC_OK) {
		oc_turn_unref(turn);
		oc_turn_fail(turn, status, &err);
	}
}

/* ---- /status ---- */

static void run_status(oc_turn *turn, oc_str rest)
{
	oc_agent *agent = turn->agent;
	oc_auto_json cJSON *session = NULL, *model = NULL;
	(void)rest;
	(void)oc_store_session(agent->store, turn->session, &session, NULL);
	(void)oc_agent_model_status(agent, oc_str_of(turn->agent_id), &model, NULL);
	const cJSON *usage = oc_json_get(session, "usage");
	const char *own = oc_json_str(session, "model", "");
	answer(turn, "OpenClaw: agent %s, session %s\n", turn->agent_id, turn->session);
	answer(turn, "Model: %s%s\n", own[0] != 0 ? own : oc_json_str(model, "model", "none"),
	       oc_json_bool(model, "usable", false) ? "" : " (not usable)");
	if (!oc_json_bool(model, "usable", false))
		answer(turn, "  %s\n", oc_json_str(model, "reason", ""));
	answer(turn, "Messages: %lld\n", (long long)oc_json_i64(session, "messages", 0));
	answer(turn, "Tokens: %lld in, %lld out", (long long)oc_json_i64(usage, "input", 0),
	       (long long)oc_json_i64(usage, "output", 0));
	double cost = oc_json_num(usage, "cost", 0);
	if (cost > 0)
		answer(turn, " (%.4f USD)", cost);
	answer(turn, "\nRunning: %llu of all sessions, waiting: %llu", (unsigned long long)agent->stats.turns_running - 1,
	       (unsigned long long)agent->stats.turns_waiting);
	finish(turn);
}

static void run_stop(oc_turn *turn, oc_str rest)
{
	/* A running turn would have been stopped in front of the lane. */
	(void)rest;
	answer(turn, "Nothing was running.");
	finish(turn);
}

static void run_subagents(oc_turn *turn, oc_str rest)
{
	oc_auto_free char *text = oc_subagents_command(turn, rest);
	answer(turn, "%s", text != NULL ? text : "There is not enough memory.");
	finish(turn);
}

static void run_help(oc_turn *turn, oc_str rest);

static const command commands[] = {
	{"new", "begin a new conversation; text after it is its first message", run_new},
	{"reset", "the same", run_new},
	{"stop", "stop the answer that is under way", run_stop},
	{"status", "model, session, tokens", run_status},
	{"subagents", "sub-agents of this conversation: list, info N, log N, stop N or all", run_subagents},
	{"help", "this list", run_help},
};
#define N_COMMANDS (sizeof commands / sizeof *commands)

static void run_help(oc_turn *turn, oc_str rest)
{
	(void)rest;
	answer(turn, "Commands:\n");
	for (size_t i = 0; i < N_COMMANDS; i++)
		answer(turn, "/%s: %s%s", commands[i].name, commands[i].help, i + 1 < N_COMMANDS ? "\n" : "");
	finish(turn);
}

/* ---- Recognising ---- */

/* The command the text begins with; *rest is what follows it. "/new@bot" is how groups address one bot of several. */
static const command *find(oc_str text, oc_str *rest)
{
	text = oc_str_trim(text);
	if (!oc_str_starts(text, "/"))
		return NULL;
	size_t n = 1;
	while (n < text.n && text.p[n] != ' ' && text.p[n] != '\n' && text.p[n] != '@')
		n++;
	size_t end = n;
	while (end < text.n && text.p[end] != ' ' && text.p[end] != '\n')
		end++;
	oc_str name = {text.p + 1, n - 1};
	*rest = oc_str_trim((oc_str){text.p + end, text.n - end});
	for (size_t i = 0; i < N_COMMANDS; i++)
		if (oc_str_ieq(name, oc_str_of(commands[i].name)))
			return &commands[i];
	return NULL;
}

/* session.resetTriggers: further words for /new. */
static bool is_trigger(const oc_config *config, oc_str text)
{
	const cJSON *word;
	cJSON_ArrayForEach(word, oc_config_get(config, "session.resetTriggers"))
	{
		if (cJSON_IsString(word) && oc_str_ieq(oc_str_trim(text), oc_str_of(word->valuestring)))
			return true;
	}
	return false;
}

bool oc_command_is(oc_agent *agent, oc_str text)
{
	oc_str rest;
	return oc_config_bool(agent->config, "commands.text", true) &&
	       (find(text, &rest) != NULL || is_trigger(agent->config, text));
}

bool oc_command_is_stop(oc_str text)
{
	oc_str rest;
	const command *c = find(text, &rest);
	return c != NULL && c->run == run_stop;
}

void oc_command_run(oc_turn *turn)
{
	oc_str text = oc_str_of(turn->text), rest = OC_STR_NONE;
	const command *c = find(text, &rest);
	if (c != NULL)
		c->run(turn, rest);
	else
		run_new(turn, OC_STR_NONE);
}
