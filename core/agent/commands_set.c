/* Commands that change how a session goes on. */
#include <string.h>

#include "core/agent/commands.h"

static void say(oc_turn *turn, const char *text)
{
	oc_slash_answer(turn, "%s", text);
	oc_slash_done(turn);
}

/* ---- /model ---- */

static const char *default_model(oc_turn *turn)
{
	const char **candidates;
	size_t n;
	return oc_model_candidates(turn->agent, turn->config, turn->arena, turn->agent_id, "", false, &candidates, &n, NULL) == OC_OK
		       ? candidates[0]
		       : "none";
}

static void show_model(oc_turn *turn)
{
	oc_auto_json cJSON *session = oc_slash_session(turn);
	oc_slash_answer(turn,
			"This conversation uses %s.\n/model PROVIDER/MODEL takes another, /models lists them, /model default goes back to %s.",
			oc_json_str(session, "model", default_model(turn)), default_model(turn));
	oc_slash_done(turn);
}

void oc_slash_model(oc_turn *turn, oc_str rest)
{
	oc_err err = {0};
	oc_model model;
	char text[400];
	if (rest.n == 0 || oc_str_ieq(rest, OC_STR("status"))) {
		show_model(turn);
		return;
	}
	if (oc_str_ieq(rest, OC_STR("list"))) {
		oc_slash_models(turn, OC_STR_NONE);
		return;
	}
	if (oc_str_ieq(rest, OC_STR("default"))) {
		snprintf(text, sizeof text, "Back to the default model, %s.", default_model(turn));
		oc_slash_settle(turn, &(oc_session_facts){.model = ""}, text);
		return;
	}
	oc_auto_free char *name = oc_memdup(rest.p, rest.n);
	const char *ref = name != NULL ? oc_model_ref(turn->agent, turn->config, turn->arena, name) : NULL;
	if (ref == NULL || oc_model_find(turn->agent, turn->config, turn->arena, ref, &model, &err) != OC_OK) {
		oc_slash_answer(turn, "There is no model \"%.*s\". /models lists them.",
				OC_STR_ARG(rest));
		oc_slash_done(turn);
		return;
	}
	oc_status usable = oc_model_usable(turn->agent, turn->config, &model, &err);
	snprintf(text, sizeof text, "Model set to %.150s.%s%.200s", ref, usable != OC_OK ? " ⚠️ " : "",
		 usable != OC_OK ? err.text : "");
	oc_slash_settle(turn, &(oc_session_facts){.model = ref}, text);
}

/* ---- /think ---- */

static const char *level_of(oc_str word)
{
	static const struct {
		const char *word, *level;
	} levels[] = {{"off", "off"},	    {"none", "off"},	 {"minimal", "minimal"}, {"min", "minimal"},  {"low", "low"},
		      {"on", "low"},	    {"medium", "medium"}, {"med", "medium"},	 {"mid", "medium"},   {"high", "high"},
		      {"max", "high"},	    {"ultra", "high"},	 {"highest", "high"}};
	for (size_t i = 0; i < sizeof levels / sizeof *levels; i++)
		if (oc_str_ieq(word, oc_str_of(levels[i].word)))
			return levels[i].level;
	return NULL;
}

void oc_slash_think(oc_turn *turn, oc_str rest)
{
	static const char options[] = "off, minimal, low, medium, high";
	oc_auto_json cJSON *session = oc_slash_session(turn);
	const char *level = level_of(rest);
	char text[120];
	if (rest.n == 0) {
		oc_slash_answer(turn, "Current thinking level: %s.\nOptions: %s.", oc_json_str(session, "thinking", "default"),
				options);
		oc_slash_done(turn);
	} else if (oc_str_ieq(rest, OC_STR("default"))) {
		oc_slash_settle(turn, &(oc_session_facts){.thinking = ""}, "Thinking level reset to default.");
	} else if (level == NULL) {
		oc_slash_answer(turn, "thinking cannot be \"%.*s\"; it takes %s.", OC_STR_ARG(rest), options);
		oc_slash_done(turn);
	} else {
		if (strcmp(level, "off") == 0)
			snprintf(text, sizeof text, "Thinking disabled.");
		else
			snprintf(text, sizeof text, "Thinking level set to %s.", level);
		oc_slash_settle(turn, &(oc_session_facts){.thinking = level}, text);
	}
}

/* ---- Switches ---- */

typedef struct choice {
	const char *word, *answer;
} choice;

/* A setting of the session with a few values. */
static void choose(oc_turn *turn, oc_str rest, const char *name, const char *title, const choice *choices, const char *options)
{
	oc_auto_json cJSON *session = oc_slash_session(turn);
	char patch[60];
	if (rest.n == 0) {
		oc_slash_answer(turn, "%s is %s. It takes %s.", title,
				oc_json_str(oc_json_get(session, "settings"), name, "off"), options);
		oc_slash_done(turn);
		return;
	}
	for (; choices->word != NULL; choices++) {
		if (!oc_str_ieq(rest, oc_str_of(choices->word)))
			continue;
		snprintf(patch, sizeof patch, "{\"%s\":\"%s\"}", name, choices->word);
		oc_slash_settle(turn, &(oc_session_facts){.settings_json = patch}, choices->answer);
		return;
	}
	oc_slash_answer(turn, "%s cannot be \"%.*s\"; it takes %s.", title, OC_STR_ARG(rest), options);
	oc_slash_done(turn);
}

void oc_slash_verbose(oc_turn *turn, oc_str rest)
{
	static const choice choices[] = {{"on", "⚙️ Tool calls are shown."},
					 {"full", "⚙️ Tool calls are shown with their output."},
					 {"off", "⚙️ Tool calls are not shown."},
					 {NULL, NULL}};
	choose(turn, rest, "verbose", "verbose", choices, "on, full, off");
}

void oc_slash_reasoning(oc_turn *turn, oc_str rest)
{
	static const choice choices[] = {{"on", "⚙️ Reasoning is shown."},
					 {"off", "⚙️ Reasoning is not shown."},
					 {NULL, NULL}};
	choose(turn, rest, "reasoning", "reasoning", choices, "on, off");
}

void oc_slash_activation(oc_turn *turn, oc_str rest)
{
	static const choice choices[] = {{"mention", "⚙️ I answer here when I am meant."}, {"always", "⚙️ I answer everything here."}, {NULL, NULL}};
	oc_session_key key = {0};
	oc_err err = {0};
	if (oc_session_key_parse(oc_str_of(turn->session), &key, &err) != OC_OK || strcmp(key.kind, "main") == 0 || strcmp(key.kind, "dm") == 0 ||
	    strcmp(key.kind, "named") == 0)
		say(turn, "⚙️ Only in groups there is a choice of when I answer.");
	else
		choose(turn, rest, "activation", "activation", choices, "mention, always");
}

/* ---- /queue ---- */

static void show_queue(oc_turn *turn, const cJSON *settings, const char *before)
{
	oc_queue_settings q;
	oc_queue_resolve(turn->config, oc_turn_channel(turn), settings, &q);
	oc_slash_answer(turn, "%smode=%s, debounce=%llums, cap=%lld, drop=%s.", before, oc_queue_mode_name(q.mode),
			(unsigned long long)q.debounce_ms, (long long)q.cap, oc_queue_drop_name(q.drop));
}

void oc_slash_queue(oc_turn *turn, oc_str rest)
{
	oc_auto_json cJSON *session = oc_slash_session(turn), *patch = NULL;
	oc_err err = {0};
	if (rest.n == 0 || oc_str_ieq(rest, OC_STR("status"))) {
		show_queue(turn, oc_json_get(session, "settings"), "While a turn runs: ");
		oc_slash_answer(turn, "\nOptions: modes steer, followup, collect, steer-backlog, interrupt; debounce:<ms|s|m>, "
				      "cap:<n>, drop:old|new|summarize; default.");
		oc_slash_done(turn);
		return;
	}
	if (oc_queue_parse(rest, &patch, &err) != OC_OK) {
		oc_slash_answer(turn, "%s. %s.", err.text, err.remedy);
		oc_slash_done(turn);
		return;
	}
	oc_auto_free char *json = oc_json_print(patch);
	if (json == NULL) {
		say(turn, "out of memory");
		return;
	}
	oc_slash_settle(turn, &(oc_session_facts){.settings_json = json},
			cJSON_IsNull(oc_json_get(patch, "queue")) ? "⚙️ The queue is as configured again." : "⚙️ The queue is changed.");
}
