/* openclaw skills: which skills an agent has, and what keeps the others from it. Reads the folders; no gateway is needed. */
#include <string.h>

#include "core/agent/internal.h"
#include "core/agent/skills.h"
#include "core/base/path.h"
#include "core/cli/commands.h"

typedef struct view {
	oc_arena *arena;
	oc_config *config;
	oc_skills skills;
} view;

static void close_view(view *v)
{
	oc_arena_free(v->arena);
	oc_config_unref(v->config);
}

static oc_status open_view(const oc_args *args, view *v, oc_err *err)
{
	char id[65], fallback[65];
	const char *wanted = oc_arg(args, "agent");
	oc_auto_free char *state = oc_path_state_dir();
	*v = (view){.arena = oc_arena_new(0)};
	oc_status status = v->arena != NULL && state != NULL ? oc_config_load_gateway(NULL, &v->config, err)
							     : oc_fail(err, OC_E_NOMEM, NULL, "out of memory");
	if (status == OC_OK) {
		(void)oc_agent_default_id(v->config, fallback);
		oc_agent_id_normalize(oc_str_of(wanted != NULL ? wanted : fallback), id);
		if (oc_agent_entry(v->config, id) == NULL && strcmp(id, fallback) != 0)
			status = oc_fail(err, OC_E_NOT_FOUND, "add it to agents.list", "there is no agent %s", id);
	}
	oc_auto_free char *workspace = status == OC_OK ? oc_agent_workspace_in(state, v->config, id) : NULL;
	if (status == OC_OK && workspace == NULL)
		status = oc_fail(err, OC_E_NOMEM, NULL, "out of memory");
	if (status == OC_OK)
		status = oc_skills_load(v->config, state, workspace, id, v->arena, &v->skills, err);
	if (status != OC_OK)
		close_view(v);
	return status;
}

static const char *state_of(const oc_skill *s)
{
	return s->problem[0] != 0 ? "broken" : !s->enabled ? "disabled" : s->eligible ? "ready" : "missing";
}

/* Text of files on a terminal: no control characters (they were taken out), so many bytes. */
static const char *short_of(const char *text, char *out, size_t size)
{
	snprintf(out, size, "%s", text);
	size_t n = strlen(out);
	if (strlen(text) > n) {
		while (n > 0 && ((unsigned char)text[n] & 0xc0) == 0x80)
			n--;
		out[n] = 0;
	}
	return out;
}

static int print_json(view *v)
{
	cJSON *root = cJSON_CreateObject(), *list = cJSON_AddArrayToObject(root, "skills");
	for (size_t i = 0; i < v->skills.n; i++)
		cJSON_AddItemToArray(list, oc_skill_json(&v->skills.list[i]));
	close_view(v);
	return oc_cli_print_json(root);
}

static int run_list(const oc_args *args)
{
	static const char *const heads[] = {"SKILL", "STATE", "FROM", "ABOUT"};
	view v;
	oc_err err = {0};
	bool only_eligible = oc_arg_flag(args, "eligible");
	if (open_view(args, &v, &err) != OC_OK)
		return oc_cli_fail(&err);
	if (oc_arg_flag(args, "json"))
		return print_json(&v);
	if (v.skills.n == 0)
		puts("There are no skills. A skill is a folder with a SKILL.md in skills/ of the workspace, or in ~/.openclaw/skills/.");
	oc_table *table = v.skills.n > 0 ? oc_table_new(heads, 4) : NULL;
	for (size_t i = 0; i < v.skills.n; i++) {
		const oc_skill *s = &v.skills.list[i];
		char about[61];
		if (only_eligible && !s->eligible)
			continue;
		const char *cells[] = {s->name, state_of(s), s->source, short_of(s->description, about, sizeof about)};
		oc_table_row(table, cells);
	}
	if (table != NULL)
		oc_table_print(table, stdout);
	close_view(&v);
	return OC_EXIT_OK;
}

static int run_info(const oc_args *args)
{
	view v;
	oc_err err = {0};
	if (open_view(args, &v, &err) != OC_OK)
		return oc_cli_fail(&err);
	const oc_skill *s = oc_skills_find(&v.skills, args->pos[0]);
	if (s == NULL) {
		(void)oc_fail(&err, OC_E_NOT_FOUND, "see `openclaw skills list`", "there is no skill %s", args->pos[0]);
		close_view(&v);
		return oc_cli_fail(&err);
	}
	if (oc_arg_flag(args, "json")) {
		cJSON *o = oc_skill_json(s);
		close_view(&v);
		return oc_cli_print_json(o);
	}
	printf("%s%s%s  %s\n%s\n", oc_bold(), s->name, oc_plain(), state_of(s), s->description);
	printf("  file:    %s\n", s->location);
	if (s->user_invocable && s->command[0] != 0)
		printf("  command: /%s\n", s->command);
	if (!s->model_invocable)
		puts("  the model does not call it by itself");
	if (s->homepage[0] != 0)
		printf("  about:   %s\n", s->homepage);
	if (s->missing[0] != 0)
		printf("%s  missing: %s%s\n", oc_yellow(), s->missing, oc_plain());
	if (s->problem[0] != 0)
		printf("%s  problem: %s%s\n", oc_red(), s->problem, oc_plain());
	if (!s->enabled)
		printf("  it is switched off: openclaw config set skills.entries.%s.enabled true\n", s->key);
	close_view(&v);
	return OC_EXIT_OK;
}

static int run_check(const oc_args *args)
{
	view v;
	oc_err err = {0};
	size_t ready = 0, off = 0, wrong = 0;
	if (open_view(args, &v, &err) != OC_OK)
		return oc_cli_fail(&err);
	if (oc_arg_flag(args, "json"))
		return print_json(&v);
	for (size_t i = 0; i < v.skills.n; i++) {
		const oc_skill *s = &v.skills.list[i];
		ready += s->eligible;
		off += !s->enabled;
		if (s->eligible || !s->enabled)
			continue;
		wrong++;
		printf("%s%s%s: %s%s\n", oc_yellow(), s->name, oc_plain(), s->problem[0] != 0 ? "" : "missing ",
		       s->problem[0] != 0 ? s->problem : s->missing);
	}
	printf("%zu ready, %zu switched off, %zu cannot be used\n", ready, off, wrong);
	close_view(&v);
	return OC_EXIT_OK;
}

#define AGENT_OPT {"agent", 'a', "ID", "of which agent (the default one)"}
#define JSON_OPT {"json", 0, NULL, "print JSON"}

static const oc_command cmd_list = {
	.name = "list",
	.summary = "list the skills",
	.opts = (const oc_opt[]){AGENT_OPT, {"eligible", 0, NULL, "only those that can be used"}, JSON_OPT, {0}},
	.run = run_list,
};

static const oc_command cmd_info = {
	.name = "info",
	.args = "NAME",
	.summary = "one skill, and what it lacks",
	.opts = (const oc_opt[]){AGENT_OPT, JSON_OPT, {0}},
	.min_args = 1,
	.max_args = 1,
	.run = run_info,
};

static const oc_command cmd_check = {
	.name = "check",
	.summary = "what keeps skills from being used",
	.opts = (const oc_opt[]){AGENT_OPT, JSON_OPT, {0}},
	.run = run_check,
};

const oc_command oc_cmd_skills = {
	.name = "skills",
	.summary = "what the agent was taught: folders with a SKILL.md",
	.help = "They are looked for in skills/ of the workspace, in ~/.openclaw/skills/ and in skills.load.extraDirs; of two with one\n"
		"name the first counts.\n",
	.subs = (const oc_command *const[]){&cmd_list, &cmd_info, &cmd_check, NULL},
};
