/* Commands that tell something. */
#include <string.h>

#include "core/agent/commands.h"
#include "core/agent/workspace.h"
#include "core/base/clock.h"

/* ---- /help, /commands ---- */

static void list_guests(oc_turn *turn, const char *heading)
{
	oc_agent_command guest;
	for (size_t i = 0; oc_slash_guest_row(turn->agent, i, &guest); i++)
		oc_slash_answer(turn, "%s\n  /%s - %s", i == 0 ? heading : "", guest.name, guest.help);
}

void oc_slash_help(oc_turn *turn, oc_str rest)
{
	(void)rest;
	oc_slash_answer(turn, "What you can type\n\n"
			      "Conversation: /new, /reset, /compact [what to keep], /stop\n"
			      "How it answers: /model [name], /think [level], /verbose on|off, /queue [mode]\n"
			      "What is going on: /status, /whoami, /context, /usage\n\n"
			      "/commands lists them all.");
	list_guests(turn, "\n\nPlugins");
	oc_slash_done(turn);
}

static void list_group(oc_turn *turn, const char *group)
{
	const oc_slash *s;
	oc_slash_answer(turn, "\n\n%s", group);
	for (size_t i = 0; (s = oc_slash_row(i)) != NULL; i++) {
		if (strcmp(s->group, group) != 0)
			continue;
		oc_slash_answer(turn, "\n  /%s", s->name);
		if (s->aliases != NULL) {
			oc_slash_answer(turn, " (/");
			for (const char *p = s->aliases; *p != 0; p++)
				oc_slash_answer(turn, "%s%.1s", *p == ' ' ? ", /" : "", *p == ' ' ? "" : p);
			oc_slash_answer(turn, ")");
		}
		oc_slash_answer(turn, "%s%s - %s", s->args != NULL ? " " : "", s->args != NULL ? s->args : "", s->help);
	}
}

void oc_slash_commands(oc_turn *turn, oc_str rest)
{
	static const char *const groups[] = {"Session", "Options", "Status"};
	(void)rest;
	oc_slash_answer(turn, "ℹ️ Slash commands");
	for (size_t i = 0; i < sizeof groups / sizeof *groups; i++)
		list_group(turn, groups[i]);
	list_guests(turn, "\n\nPlugins");
	oc_slash_done(turn);
}

/* ---- /status ---- */

static bool add_tokens(void *arg, const oc_message_row *row)
{
	*(int64_t *)arg += row->tokens;
	return true;
}

/* "12k" */
static const char *short_number(int64_t n, char out[24])
{
	if (n < 1000)
		snprintf(out, 24, "%lld", (long long)n);
	else if (n < 100000)
		snprintf(out, 24, "%.1fk", (double)n / 1000);
	else if (n < 1000000)
		snprintf(out, 24, "%lldk", (long long)n / 1000);
	else
		snprintf(out, 24, "%.1fM", (double)n / 1000000);
	return out;
}

static const char *ago(int64_t ms, char out[40])
{
	int64_t seconds = (oc_wall_ms() - ms) / 1000;
	if (ms == 0 || seconds < 60)
		snprintf(out, 40, "just now");
	else if (seconds < 3600)
		snprintf(out, 40, "%lldm ago", (long long)seconds / 60);
	else if (seconds < 86400)
		snprintf(out, 40, "%lldh ago", (long long)seconds / 3600);
	else
		snprintf(out, 40, "%lldd ago", (long long)seconds / 86400);
	return out;
}

/* The model of the session and how full its window is. */
static void model_lines(oc_turn *turn, const cJSON *session)
{
	const char **candidates;
	size_t n;
	oc_model model;
	oc_err err = {0};
	char used[24], window[24];
	int64_t tokens = 0;
	oc_status status = oc_model_candidates(turn->agent, turn->config, turn->arena, turn->agent_id,
					       oc_json_str(session, "model", ""), false, &candidates, &n, &err);
	if (status == OC_OK)
		status = oc_model_find(turn->agent, turn->config, turn->arena, candidates[0], &model, &err);
	if (status != OC_OK) {
		oc_slash_answer(turn, "🧠 Model: none · %s\n", err.text);
		return;
	}
	status = oc_model_usable(turn->agent, turn->config, &model, &err);
	oc_slash_answer(turn, "🧠 Model: %s%s%s\n", candidates[0], status != OC_OK ? " · not usable: " : "",
			status != OC_OK ? err.text : "");
	(void)oc_store_each_message(turn->agent->store, turn->session, add_tokens, &tokens, NULL);
	oc_slash_answer(turn, "📚 Context: %s/%s (%lld%%)\n", short_number(tokens, used),
			short_number(model.context_window, window),
			(long long)(model.context_window > 0 ? tokens * 100 / model.context_window : 0));
}

static const char *setting(const cJSON *session, const char *name, const char *fallback)
{
	return oc_json_str(oc_json_get(session, "settings"), name, fallback);
}

void oc_slash_status(oc_turn *turn, oc_str rest)
{
	oc_agent *agent = turn->agent;
	oc_auto_json cJSON *session = oc_slash_session(turn);
	oc_queue_settings queue;
	char in[24], out[24], when[40];
	(void)rest;
	const cJSON *usage = oc_json_get(session, "usage");
	const oc_turn *running = oc_lane_running(agent, turn->session);
	oc_queue_resolve(turn->config, oc_turn_channel(turn), oc_json_get(session, "settings"), &queue);
	oc_slash_answer(turn, "🦞 OpenClaw %s\n", PACKAGE_VERSION);
	model_lines(turn, session);
	double cost = oc_json_num(usage, "cost", 0);
	oc_slash_answer(turn, "🧮 Tokens: %s in / %s out", short_number(oc_json_i64(usage, "input", 0), in),
			short_number(oc_json_i64(usage, "output", 0), out));
	if (cost > 0)
		oc_slash_answer(turn, " · 💵 $%.4f", cost);
	oc_slash_answer(turn, "\n🧵 Session: %s • %lld messages • updated %s\n", turn->session,
			(long long)oc_json_i64(session, "messages", 0), ago(oc_json_i64(session, "updatedAt", 0), when));
	oc_slash_answer(turn, "⚙️ Think: %s · Verbose: %s · Reasoning: %s\n", oc_json_str(session, "thinking", "default"),
			setting(session, "verbose", "off"), setting(session, "reasoning", "off"));
	if (running != NULL)
		oc_slash_answer(turn, "▶️ Running for %llu s\n", (unsigned long long)(oc_now_ms() - running->began_ms) / 1000);
	oc_slash_answer(turn, "🪢 Queue: %s (depth %d)", oc_queue_mode_name(queue.mode),
			oc_lane_waiting(agent, turn->session));
	if (agent->stats.turns_running > 0 || agent->stats.turns_waiting > 0)
		oc_slash_answer(turn, "\n🏃 All sessions: %llu running, %llu waiting", (unsigned long long)agent->stats.turns_running,
				(unsigned long long)agent->stats.turns_waiting);
	oc_slash_done(turn);
}

/* ---- /whoami ---- */

void oc_slash_whoami(oc_turn *turn, oc_str rest)
{
	(void)rest;
	const char *id = oc_json_str(turn->sender, "id", ""), *name = oc_json_str(turn->sender, "name", "");
	const char *username = oc_json_str(turn->sender, "username", ""), *channel = oc_turn_channel(turn);
	oc_slash_answer(turn, "🧭 Identity\nChannel: %s\n", channel[0] != 0 ? channel : turn->origin);
	if (name[0] != 0)
		oc_slash_answer(turn, "Name: %s\n", name);
	if (username[0] != 0)
		oc_slash_answer(turn, "Username: @%s\n", username);
	oc_slash_answer(turn, "User id: %s\n", id[0] != 0 ? id : "none");
	if (id[0] != 0)
		oc_slash_answer(turn, "AllowFrom: %s\n", id);
	oc_slash_answer(turn, "May change the session: %s", turn->restricted ? "no" : "yes");
	oc_slash_done(turn);
}

/* ---- /context ---- */

void oc_slash_context(oc_turn *turn, oc_str rest)
{
	oc_auto_json cJSON *agent = NULL, *tools = NULL;
	oc_err err = {0};
	int64_t tokens = 0, n_tools = 0;
	const cJSON *f, *t;
	(void)rest;
	if (oc_agent_agent(turn->agent, oc_str_of(turn->agent_id), &agent, &err) != OC_OK ||
	    oc_agent_tools(turn->agent, oc_str_of(turn->agent_id), oc_str_of(turn->session), &tools, &err) != OC_OK) {
		oc_turn_fail(turn, err.code, &err);
		return;
	}
	oc_slash_answer(turn, "🧠 Context breakdown\nWorkspace: %s\nFiles in the prompt (%lld characters):\n",
			oc_json_str(agent, "workspace", ""), (long long)oc_json_i64(agent, "systemPromptChars", 0));
	cJSON_ArrayForEach(f, oc_json_get(agent, "files"))
	{
		if (!oc_json_bool(f, "missing", false))
			oc_slash_answer(turn, "- %s: %lld%s\n", oc_json_str(f, "name", ""), (long long)oc_json_i64(f, "chars", 0),
					oc_json_bool(f, "truncated", false) ? " (cut off)" : "");
	}
	size_t bytes = 0;
	cJSON_ArrayForEach(t, tools)
	{
		if (!oc_json_bool(t, "allowed", false))
			continue;
		n_tools++;
		oc_auto_free char *json = oc_json_print(oc_json_get(t, "parameters"));
		bytes += (json != NULL ? strlen(json) : 0) + strlen(oc_json_str(t, "description", ""));
	}
	oc_slash_answer(turn, "Tools: %lld (%zu characters)\n", (long long)n_tools, bytes);
	(void)oc_store_each_message(turn->agent->store, turn->session, add_tokens, &tokens, NULL);
	oc_slash_answer(turn, "Conversation: about %lld tokens", (long long)tokens);
	oc_slash_done(turn);
}

/* ---- /usage ---- */

static void usage_cost(oc_turn *turn)
{
	oc_auto_json cJSON *session = oc_slash_session(turn), *all = NULL;
	oc_err err = {0};
	if (oc_store_usage(turn->agent->store, NULL, 30, &all, &err) != OC_OK) {
		oc_turn_fail(turn, err.code, &err);
		return;
	}
	const cJSON *usage = oc_json_get(session, "usage"), *total = oc_json_get(all, "total");
	oc_slash_answer(turn, "💸 Usage cost\nSession: $%.4f · %lld tokens\nLast 30 days: $%.4f · %lld tokens",
			oc_json_num(usage, "cost", 0),
			(long long)(oc_json_i64(usage, "input", 0) + oc_json_i64(usage, "output", 0)),
			oc_json_num(total, "cost", 0),
			(long long)(oc_json_i64(total, "input", 0) + oc_json_i64(total, "output", 0)));
	oc_slash_done(turn);
}

void oc_slash_usage(oc_turn *turn, oc_str rest)
{
	static const char *const modes[] = {"off", "tokens", "full"};
	oc_auto_json cJSON *session = oc_slash_session(turn);
	const char *now = setting(session, "usage", "off");
	if (oc_str_ieq(rest, OC_STR("cost"))) {
		usage_cost(turn);
		return;
	}
	for (size_t i = 0; i < 3; i++) {
		char patch[40], text[60];
		if (!oc_str_ieq(rest, oc_str_of(modes[i])))
			continue;
		if (turn->restricted) {
			oc_slash_answer(turn, "You may not use this command here.");
			oc_slash_done(turn);
			return;
		}
		snprintf(patch, sizeof patch, "{\"usage\":\"%s\"}", modes[i]);
		snprintf(text, sizeof text, "⚙️ Below each answer: %s.", modes[i]);
		oc_slash_settle(turn, &(oc_session_facts){.settings_json = patch}, text);
		return;
	}
	oc_slash_answer(turn, rest.n > 0 ? "/usage takes off, tokens, full or cost" : "Below each answer: %s. /usage takes off, tokens, full or cost.",
			now);
	oc_slash_done(turn);
}

/* ---- /models ---- */

static void list_models(oc_turn *turn, const cJSON *models, oc_str provider)
{
	const cJSON *m;
	int n = 0;
	cJSON_ArrayForEach(m, models)
	{
		if (!oc_str_ieq(provider, oc_json_ostr(m, "provider")))
			continue;
		oc_slash_answer(turn, "%s- %s\n", n++ == 0 ? "Models:\n" : "", oc_json_str(m, "id", ""));
	}
	if (n == 0)
		oc_slash_answer(turn, "Unknown provider: %.*s\n", OC_STR_ARG(provider));
	oc_slash_answer(turn, "/model PROVIDER/MODEL takes one.");
}

static void list_providers(oc_turn *turn, const cJSON *models)
{
	const char *last = "";
	int n = 0;
	oc_slash_answer(turn, "Providers:\n");
	for (const cJSON *m = models != NULL ? models->child : NULL;; m = m->next) {
		const char *provider = m != NULL ? oc_json_str(m, "provider", "") : "";
		if (n > 0 && strcmp(provider, last) != 0) {
			oc_slash_answer(turn, "- %s (%d)\n", last, n);
			n = 0;
		}
		if (m == NULL)
			break;
		last = provider;
		n++;
	}
	oc_slash_answer(turn, "\n/models PROVIDER lists its models, /model PROVIDER/MODEL takes one.");
}

void oc_slash_models(oc_turn *turn, oc_str rest)
{
	oc_auto_json cJSON *models = NULL;
	oc_err err = {0};
	if (oc_agent_models(turn->agent, &models, &err) != OC_OK) {
		oc_turn_fail(turn, err.code, &err);
		return;
	}
	if (rest.n > 0)
		list_models(turn, models, rest);
	else
		list_providers(turn, models);
	oc_slash_done(turn);
}
