#include "core/agent/commands.h"

#include <string.h>

#include "core/agent/compact.h"
#include "core/agent/subagent.h"
#include "core/base/log.h"

/* ---- Answering ---- */

void oc_slash_answer(oc_turn *turn, const char *format, ...)
{
	va_list args;
	va_start(args, format);
	oc_sbuf_vprintf(&turn->reply, format, args);
	va_end(args);
}

void oc_slash_done(oc_turn *turn)
{
	turn->stop_reason = "command";
	oc_turn_emit(turn, OC_AGENT_EV_TEXT, oc_sbuf_view(&turn->reply), NULL);
	oc_turn_succeed(turn);
}

cJSON *oc_slash_session(const oc_turn *turn)
{
	cJSON *session = NULL;
	if (oc_store_session(turn->agent->store, turn->session, &session, NULL) != OC_OK)
		session = cJSON_CreateObject();
	return session;
}

static void settled(void *arg, const oc_batch *b, oc_status status, const oc_err *err)
{
	oc_turn *turn = arg;
	(void)b;
	if (turn->state == OC_TURN_RUNNING && status == OC_OK) {
		cJSON *data = cJSON_CreateObject();
		oc_json_opt(data, "change", "changed");
		oc_json_opt(data, "key", turn->session);
		oc_agent_emit_plain(turn->agent, OC_AGENT_EV_SESSION, turn->session, data);
		oc_slash_done(turn);
	} else if (turn->state == OC_TURN_RUNNING) {
		oc_turn_fail(turn, status, err);
	}
	oc_turn_unref(turn);
}

void oc_slash_settle(oc_turn *turn, const oc_session_facts *facts, const char *answer)
{
	oc_err err = {0};
	oc_batch *b = oc_batch_new(turn->agent->store);
	if (b != NULL)
		oc_batch_session(b, turn->session, facts);
	oc_slash_answer(turn, "%s", answer);
	oc_turn_ref(turn);
	if (oc_batch_commit(b, settled, turn, &err) == OC_OK)
		return;
	oc_turn_fail(turn, err.code, &err);
	oc_turn_unref(turn);
}

/* ---- /new and /reset ---- */

static void say_new(oc_turn *turn)
{
	oc_auto_json cJSON *session = oc_slash_session(turn), *status = NULL;
	(void)oc_agent_model_status(turn->agent, oc_str_of(turn->agent_id), &status, NULL);
	oc_slash_answer(turn, "✅ New session started · model: %s",
			oc_json_str(session, "model", oc_json_str(status, "model", "none")));
	oc_slash_done(turn);
}

static void begin_new(oc_turn *turn)
{
	if (turn->text[0] == 0) {
		say_new(turn);
		return;
	}
	/* "/new write a poem": the rest is the first message of the new conversation. */
	oc_sbuf_clear(&turn->reply);
	turn->slash = NULL;
	oc_turn_before(turn);
}

static void was_reset(void *arg, oc_status status, const cJSON *result, const oc_err *err)
{
	oc_turn *turn = arg;
	(void)result;
	if (turn->state == OC_TURN_RUNNING && status != OC_OK) {
		oc_turn_fail(turn, status, err);
	} else if (turn->state == OC_TURN_RUNNING) {
		oc_turn_command_hooks(turn, turn->slash->name, begin_new);
	}
	oc_turn_unref(turn);
}

static void reset_now(oc_turn *turn)
{
	oc_err err = {0};
	oc_auto_json cJSON *session = oc_slash_session(turn);
	turn->previous_id = oc_turn_text(turn, oc_json_str(session, "sessionId", ""));
	oc_turn_ref(turn);
	oc_status status = oc_session_reset_inside(turn, turn->slash->name, was_reset, turn, &err);
	if (status != OC_OK) {
		oc_turn_unref(turn);
		oc_turn_fail(turn, status, &err);
	}
}

static void model_was_set(void *arg, const oc_batch *b, oc_status status, const oc_err *err)
{
	oc_turn *turn = arg;
	(void)b;
	if (turn->state == OC_TURN_RUNNING && status == OC_OK)
		reset_now(turn);
	else if (turn->state == OC_TURN_RUNNING)
		oc_turn_fail(turn, status, err);
	oc_turn_unref(turn);
}

/* The model that the first word names ("/new opus write a poem"): only one that is known, since it may be a message. */
static const char *named_model(oc_turn *turn, oc_str *rest)
{
	size_t n = 0;
	while (n < rest->n && rest->p[n] != ' ' && rest->p[n] != '\n')
		n++;
	oc_auto_free char *word = oc_memdup(rest->p, n);
	oc_model model;
	const char *ref = word != NULL && n > 0 ? oc_model_ref(turn->agent, turn->config, turn->arena, word) : NULL;
	oc_auto_json cJSON *models = NULL;
	const cJSON *m;
	if (ref == NULL || oc_model_find(turn->agent, turn->config, turn->arena, ref, &model, NULL) != OC_OK ||
	    oc_agent_models(turn->agent, &models, NULL) != OC_OK)
		return NULL;
	cJSON_ArrayForEach(m, models)
	{
		if (strcmp(oc_json_str(m, "id", ""), ref) == 0) {
			*rest = oc_str_trim((oc_str){rest->p + n, rest->n - n});
			return ref;
		}
	}
	return NULL;
}

static void run_new(oc_turn *turn, oc_str rest)
{
	const char *model = named_model(turn, &rest);
	oc_auto_free char *text = oc_memdup(rest.p, rest.n);
	turn->text = oc_turn_text(turn, text != NULL ? text : "");
	if (model == NULL) {
		reset_now(turn);
		return;
	}
	oc_err err = {0};
	oc_batch *b = oc_batch_new(turn->agent->store);
	if (b != NULL)
		oc_batch_session(b, turn->session, &(oc_session_facts){.model = model});
	oc_turn_ref(turn);
	if (oc_batch_commit(b, model_was_set, turn, &err) == OC_OK)
		return;
	oc_turn_fail(turn, err.code, &err);
	oc_turn_unref(turn);
}

/* ---- /stop ---- */

static void cancel_other(void *arg, oc_turn *turn)
{
	if (turn != arg)
		oc_turn_cancel(turn, OC_E_CANCELED, "stopped");
}

static void stopped(oc_turn *turn)
{
	oc_slash_answer(turn, "%s", turn->n_stopped > 0 ? "⚙️ Agent was aborted." : "Nothing was running.");
	oc_slash_done(turn);
}

static void run_stop(oc_turn *turn, oc_str rest)
{
	(void)rest;
	turn->n_stopped = oc_lane_each(turn->agent, turn->session, cancel_other, turn);
	oc_turn_command_hooks(turn, "stop", stopped);
}

static void run_subagents(oc_turn *turn, oc_str rest)
{
	oc_auto_free char *text = oc_subagents_command(turn, rest);
	oc_slash_answer(turn, "%s", text != NULL ? text : "There is not enough memory.");
	oc_slash_done(turn);
}

/* ---- /compact ---- */

static void was_compacted(oc_turn *turn, const oc_compact_outcome *o)
{
	if (turn->state != OC_TURN_RUNNING)
		return;
	if (o->status == OC_OK)
		oc_slash_answer(turn, "⚙️ Compacted %lld messages (about %lld → %lld tokens).", (long long)o->compacted,
				(long long)o->tokens_before, (long long)o->tokens_after);
	else if (o->status == OC_E_NOT_FOUND)
		oc_slash_answer(turn, "⚙️ Nothing to compact.");
	else
		oc_slash_answer(turn, "⚙️ Compaction failed: %s", o->err.text);
	oc_slash_done(turn);
}

static void run_compact(oc_turn *turn, oc_str rest)
{
	oc_auto_free char *instructions = oc_memdup(rest.p, rest.n);
	oc_compact_command(turn, oc_turn_text(turn, instructions != NULL ? instructions : ""), was_compacted);
}

/* ---- The table ---- */

static const oc_slash slashes[] = {
	{"help", NULL, NULL, "Status", "the most used commands", OC_SLASH_INSTANT | OC_SLASH_MENU, oc_slash_help},
	{"commands", NULL, NULL, "Status", "all commands", OC_SLASH_INSTANT | OC_SLASH_MENU, oc_slash_commands},
	{"status", NULL, NULL, "Status", "model, context, session, queue", OC_SLASH_INSTANT | OC_SLASH_MENU, oc_slash_status},
	{"whoami", "id", NULL, "Status", "how the gateway sees you", OC_SLASH_INSTANT | OC_SLASH_MENU, oc_slash_whoami},
	{"context", NULL, "[list]", "Status", "what the model is sent besides your messages", OC_SLASH_INSTANT, oc_slash_context},
	{"usage", NULL, "[off|tokens|full|cost]", "Options", "tokens and cost below each answer, or so far",
	 OC_SLASH_INSTANT | OC_SLASH_MENU, oc_slash_usage},
	{"stop", "abort", NULL, "Session", "stop what is running", OC_SLASH_INSTANT | OC_SLASH_CHANGES | OC_SLASH_MENU, run_stop},
	{"new", NULL, "[model] [message]", "Session", "start a new session",
	 OC_SLASH_CHANGES | OC_SLASH_MENU | OC_SLASH_CLEARS, run_new},
	{"reset", NULL, "[model] [message]", "Session", "the same",
	 OC_SLASH_CHANGES | OC_SLASH_MENU | OC_SLASH_CLEARS, run_new},
	{"compact", NULL, "[instructions]", "Session", "sum up the older messages", OC_SLASH_CHANGES | OC_SLASH_MENU, run_compact},
	{"model", NULL, "[name|list|status|default]", "Options", "show or change the model of this session",
	 OC_SLASH_INSTANT | OC_SLASH_CHANGES | OC_SLASH_MENU, oc_slash_model},
	{"models", NULL, "[provider]", "Options", "providers and their models", OC_SLASH_INSTANT | OC_SLASH_MENU, oc_slash_models},
	{"think", "thinking t", "[off|minimal|low|medium|high|default]", "Options", "how much the model thinks first",
	 OC_SLASH_INSTANT | OC_SLASH_CHANGES | OC_SLASH_MENU, oc_slash_think},
	{"verbose", "v", "[on|full|off]", "Options", "tell about tools at work",
	 OC_SLASH_INSTANT | OC_SLASH_CHANGES | OC_SLASH_MENU, oc_slash_verbose},
	{"reasoning", "reason", "[on|off]", "Options", "show what the model thought",
	 OC_SLASH_INSTANT | OC_SLASH_CHANGES | OC_SLASH_MENU, oc_slash_reasoning},
	{"activation", NULL, "[mention|always]", "Options", "when I answer in this group", OC_SLASH_INSTANT | OC_SLASH_CHANGES, oc_slash_activation},
	{"queue", NULL, "[mode] [debounce:2s] [cap:20] [drop:old|new|summarize]", "Options",
	 "what happens to messages while I am busy", OC_SLASH_INSTANT | OC_SLASH_CHANGES | OC_SLASH_MENU, oc_slash_queue},
	{"approve", NULL, "<id> allow-once|allow-always|deny", "Session", "let a command run that waits for your word",
	 OC_SLASH_INSTANT | OC_SLASH_CHANGES, oc_slash_approve},
	{"subagents", NULL, "[list|info N|log N|stop N|stop all]", "Session", "sub-agents of this conversation",
	 OC_SLASH_INSTANT | OC_SLASH_CHANGES, run_subagents},
};
#define N_SLASHES (sizeof slashes / sizeof *slashes)

const oc_slash *oc_slash_row(size_t i)
{
	return i < N_SLASHES ? &slashes[i] : NULL;
}

/* ---- Recognising ---- */

static bool is_named(const oc_slash *s, oc_str name)
{
	if (oc_str_ieq(name, oc_str_of(s->name)))
		return true;
	oc_str rest = oc_str_of(s->aliases != NULL ? s->aliases : "");
	while (rest.n > 0) {
		oc_str alias = oc_str_cut(&rest, ' ');
		if (oc_str_ieq(name, alias))
			return true;
		if (rest.p == NULL)
			break;
	}
	return false;
}

/* "/name rest", "/name: rest", "/name@bot rest": the last is how groups address one bot of several. */
static const oc_slash *by_name(oc_str text, oc_str *rest)
{
	if (!oc_str_starts(text, "/"))
		return NULL;
	size_t n = 1;
	while (n < text.n && strchr(" \n\t@:", text.p[n]) == NULL)
		n++;
	size_t end = n;
	if (end < text.n && text.p[end] == '@')
		while (end < text.n && strchr(" \n\t:", text.p[end]) == NULL)
			end++;
	if (end < text.n && text.p[end] == ':')
		end++;
	oc_str name = {text.p + 1, n - 1};
	*rest = oc_str_trim((oc_str){text.p + end, text.n - end});
	for (size_t i = 0; i < N_SLASHES; i++)
		if (is_named(&slashes[i], name))
			/* One without arguments that is followed by something is a sentence. */
			return slashes[i].args != NULL || rest->n == 0 ? &slashes[i] : NULL;
	return NULL;
}

static const oc_slash *named(const char *name)
{
	oc_str rest;
	char text[32];
	snprintf(text, sizeof text, "/%s", name);
	return by_name(oc_str_of(text), &rest);
}

/* session.resetTriggers: further words for /new; what follows them is the first message. */
static bool is_trigger(const oc_config *config, oc_str text, oc_str *rest)
{
	const cJSON *word;
	cJSON_ArrayForEach(word, oc_config_get(config, "session.resetTriggers"))
	{
		oc_str w = cJSON_IsString(word) ? oc_str_of(word->valuestring) : OC_STR_NONE;
		if (w.n == 0 || text.n < w.n || !oc_str_ieq((oc_str){text.p, w.n}, w) ||
		    (text.n > w.n && text.p[w.n] != ' ' && text.p[w.n] != '\n'))
			continue;
		*rest = oc_str_trim((oc_str){text.p + w.n, text.n - w.n});
		return true;
	}
	return false;
}

/* Words that stop what runs; where nothing runs they are words. */
static bool is_stop_word(oc_str text)
{
	static const char *const words[] = {"stop", "abort", "esc", "interrupt", "exit", "wait"};
	for (size_t i = 0; i < sizeof words / sizeof *words; i++)
		if (oc_str_ieq(text, oc_str_of(words[i])))
			return true;
	return false;
}

const oc_slash *oc_slash_find(oc_agent *agent, const char *session, oc_str text, oc_str *rest)
{
	text = oc_str_trim(text);
	*rest = OC_STR_NONE;
	if (!oc_config_bool(agent->config, "commands.text", true))
		return NULL;
	const oc_slash *found = oc_slash_guest(agent, text, rest);
	if (found == NULL)
		found = by_name(text, rest);
	if (found == NULL && is_trigger(agent->config, text, rest))
		found = named("new");
	if (found == NULL && session != NULL && is_stop_word(text) && oc_lane_running(agent, session) != NULL)
		found = named("stop");
	if (found == NULL)
		*rest = OC_STR_NONE;
	return found;
}

void oc_slash_run(oc_turn *turn)
{
	if (turn->restricted && (turn->slash->flags & OC_SLASH_CHANGES) != 0) {
		oc_slash_answer(turn, "You may not use this command here.");
		oc_slash_done(turn);
		return;
	}
	turn->slash->run(turn, turn->slash_rest);
}
