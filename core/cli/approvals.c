/*
 * openclaw approvals: the rules about commands, and commands that wait for a person's word.
 *
 * The rules are a file, which the gateway reads at each command: they are read and written here, with or without a gateway.
 */
#include <string.h>
#include <unistd.h>

#include "core/agent/approval_file.h"
#include "core/base/clock.h"
#include "core/base/mem.h"
#include "core/base/path.h"
#include "core/cli/commands.h"
#include "core/cli/remote.h"

static const char *word(const cJSON *rules, const char *name)
{
	return oc_json_str(rules, name, "-");
}

static void print_rules(const cJSON *file)
{
	static const char *const heads[] = {"AGENT", "SECURITY", "ASK", "FALLBACK", "MAY RUN"};
	const cJSON *agent, *row, *defaults = oc_json_get(file, "defaults");
	oc_table *table = oc_table_new(heads, sizeof heads / sizeof heads[0]);
	const char *first[] = {"(default)", word(defaults, "security"), word(defaults, "ask"), word(defaults, "askFallback"), ""};
	oc_table_row(table, first);
	cJSON_ArrayForEach(agent, oc_json_get(file, "agents"))
	{
		const char *cells[] = {agent->string, word(agent, "security"), word(agent, "ask"), word(agent, "askFallback"), ""};
		const cJSON *list = oc_json_get(agent, "allowlist");
		if (cJSON_GetArraySize(list) == 0)
			oc_table_row(table, cells);
		cJSON_ArrayForEach(row, list)
		{
			cells[4] = cJSON_IsString(row) ? row->valuestring : oc_json_str(row, "pattern", "");
			oc_table_row(table, cells);
			cells[0] = cells[1] = cells[2] = cells[3] = "";
		}
	}
	oc_table_print(table, stdout);
}

static int run_get(const oc_args *args)
{
	oc_err err = {0};
	cJSON *snapshot = oc_approvals_snapshot(&err);
	if (snapshot == NULL)
		return oc_cli_fail(&err);
	if (oc_arg_flag(args, "json"))
		return oc_cli_print_json(snapshot);
	const cJSON *clean = oc_cli_clean(snapshot);
	printf("%s%s\n\n", oc_json_str(clean, "path", ""), oc_json_bool(clean, "exists", false) ? "" : " (not there)");
	print_rules(oc_json_get(clean, "file"));
	puts("\nThe stricter of this and tools.exec.security and tools.exec.ask counts.");
	cJSON_Delete(snapshot);
	return OC_EXIT_OK;
}

static int run_set(const oc_args *args)
{
	oc_err err = {0};
	oc_auto_json cJSON *file = NULL, *before = oc_approvals_snapshot(&err);
	oc_auto_free char *text = NULL, *path = oc_path_expand(args->pos[0], NULL);
	size_t n = 0;
	oc_status status = before == NULL ? err.code : oc_path_read(path, 1u << 20, &text, &n, &err);
	if (status == OC_OK)
		status = oc_json_parse((oc_str){text, n}, NULL, &file, &err);
	if (status == OC_OK && (!cJSON_IsObject(file) || oc_json_i64(file, "version", 0) != 1))
		status = oc_fail(&err, OC_E_INVALID, "see `openclaw approvals get --json`", "%s is not a file of version 1", args->pos[0]);
	if (status == OC_OK)
		status = oc_approvals_put(file, oc_json_str(before, "hash", ""), &err);
	if (status != OC_OK)
		return oc_cli_fail(&err);
	puts("These rules hold from the next command on.");
	return OC_EXIT_OK;
}

static int change(const oc_args *args, bool add)
{
	oc_err err = {0};
	const char *agent = oc_arg(args, "agent");
	agent = agent != NULL ? agent : "*";
	oc_status status = add ? oc_approvals_allow(agent, args->pos[0], oc_wall_ms(), &err) : oc_approvals_disallow(agent, args->pos[0], &err);
	if (status != OC_OK)
		return oc_cli_fail(&err);
	printf("%s %s for %s%s.\n", args->pos[0], add ? "may run" : "is taken out", strcmp(agent, "*") == 0 ? "every agent" : "the agent ",
	       strcmp(agent, "*") == 0 ? "" : agent);
	return OC_EXIT_OK;
}

static int run_add(const oc_args *args)
{
	return change(args, true);
}

static int run_remove(const oc_args *args)
{
	return change(args, false);
}

static int run_pending(const oc_args *args)
{
	static const char *const heads[] = {"ID", "AGENT", "SECONDS", "COMMAND"};
	oc_err err = {0};
	cJSON *list = NULL;
	const cJSON *one;
	if (oc_remote_call("exec.approval.list", NULL, 0, &list, &err) != OC_OK)
		return oc_remote_fail(&err);
	if (oc_arg_flag(args, "json"))
		return oc_cli_print_json(list);
	oc_table *table = oc_table_new(heads, sizeof heads / sizeof heads[0]);
	cJSON_ArrayForEach(one, oc_cli_clean(list))
	{
		const cJSON *request = oc_json_get(one, "request");
		char left[24];
		(void)snprintf(left, sizeof left, "%lld", (long long)((oc_json_i64(one, "expiresAtMs", 0) - oc_wall_ms()) / 1000));
		const char *cells[] = {oc_json_str(one, "id", ""), oc_json_str(request, "agentId", ""), left, oc_json_str(request, "command", "")};
		oc_table_row(table, cells);
	}
	if (cJSON_GetArraySize(list) == 0)
		puts("No command waits.");
	oc_table_print(table, stdout);
	cJSON_Delete(list);
	return OC_EXIT_OK;
}

static int run_resolve(const oc_args *args)
{
	oc_err err = {0};
	oc_auto_json cJSON *result = NULL;
	cJSON *params = cJSON_CreateObject();
	(void)oc_json_set_str(params, "id", args->pos[0]);
	(void)oc_json_set_str(params, "decision", args->pos[1]);
	if (oc_remote_call("exec.approval.resolve", params, 0, &result, &err) != OC_OK)
		return oc_remote_fail(&err);
	printf("%s: %s\n", args->pos[0], args->pos[1]);
	return OC_EXIT_OK;
}

static const oc_opt json_opt[] = {
	{"json", 0, NULL, "one JSON document"},
	{0},
};
static const oc_opt agent_opt[] = {
	{"agent", 0, "ID", "of one agent only"},
	{0},
};

static const oc_command get_command = {.name = "get", .summary = "show the rules", .opts = json_opt, .run = run_get};
static const oc_command set_command = {.name = "set", .args = "FILE", .summary = "put other rules in their place", .min_args = 1, .max_args = 1, .run = run_set};
static const oc_command add_command = {.name = "add", .args = "PATTERN", .summary = "let a program run", .opts = agent_opt, .min_args = 1, .max_args = 1,
				       .run = run_add};
static const oc_command remove_command = {.name = "remove", .args = "PATTERN", .summary = "ask for it again", .opts = agent_opt, .min_args = 1,
					  .max_args = 1, .run = run_remove};
static const oc_command *const list_subs[] = {&add_command, &remove_command, NULL};
static const oc_command allowlist_command = {
	.name = "allowlist", .summary = "programs that may run without a question",
	.help = "A pattern is a path: * within a folder, ** across folders, ~ your home folder (/usr/bin/rg, ~/bin/**).\n", .subs = list_subs};
static const oc_command pending_command = {.name = "pending", .summary = "commands that wait for a word", .opts = json_opt, .run = run_pending};
static const oc_command resolve_command = {.name = "resolve", .args = "ID DECISION", .summary = "say it: allow-once, allow-always or deny",
					   .min_args = 2, .max_args = 2, .run = run_resolve};
static const oc_command *const subs[] = {&get_command, &set_command, &allowlist_command, &pending_command, &resolve_command, NULL};

const oc_command oc_cmd_approvals = {
	.name = "approvals",
	.summary = "which commands agents may run, and which ask first",
	.help = "tools.exec.security (deny, allowlist, full) and tools.exec.ask (off, on-miss, always) say it for all agents,\n"
		"exec-approvals.json in the state folder says more; the stricter counts.  What asks is answered in the Control UI, in the\n"
		"chat with /approve, or with `openclaw approvals resolve`.  Nobody's answer within two minutes is a no.\n",
	.subs = subs,
};
