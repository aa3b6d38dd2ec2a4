/* See approval.h: whether a command may run, by tools.exec and exec-approvals.json, the stricter of both. */
#include <string.h>

#include "core/agent/approval.h"
#include "core/agent/approval_file.h"
#include "core/agent/approval_rules.h"
#include "core/agent/internal.h"
#include "core/base/log.h"
#include "core/base/mem.h"

/* As the sandbox has it. */
#define SEARCH "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

static const char *const securities[] = {"deny", "allowlist", "full"}; /* the strictest first */
static const char *const asks[] = {"always", "on-miss", "off"};

/* The place of a word; one that nobody knows is the strictest. */
static int rank(const char *const words[3], const char *word)
{
	for (int i = 0; i < 3; i++)
		if (strcmp(words[i], word) == 0)
			return i;
	return 0;
}

/* What the session says, else the agent, else the configuration; and then the stricter of that and the file. */
static const char *settled(const char *const words[3], const char *set, const char *file)
{
	int a = set != NULL && set[0] != 0 ? rank(words, set) : 2, b = file != NULL ? rank(words, file) : 2;
	return words[a < b ? a : b];
}

static const char *set_word(const oc_config *config, const char *agent_id, const cJSON *session, const char *name, const char *of_session)
{
	const char *word = oc_json_str(oc_json_get(session, "settings"), of_session, "");
	if (word[0] != 0)
		return word;
	word = oc_json_str(oc_json_get(oc_json_get(oc_agent_entry(config, agent_id), "tools"), "exec"), name, "");
	if (word[0] != 0)
		return word;
	return oc_json_str(oc_config_get(config, "tools.exec"), name, NULL);
}

static char *search_path(const oc_config *config)
{
	oc_sbuf b;
	const cJSON *one;
	oc_sbuf_init(&b, 65536);
	cJSON_ArrayForEach(one, oc_config_get(config, "tools.exec.pathPrepend"))
		if (cJSON_IsString(one))
			oc_sbuf_printf(&b, "%s:", one->valuestring);
	oc_sbuf_z(&b, SEARCH);
	char *path = oc_sbuf_take(&b);
	oc_sbuf_free(&b);
	return path;
}

/* Calls fn with the file of each program; false: nobody can say what the command starts. */
static bool each_program(const oc_config *config, const char *command, const char *folder, void (*fn)(void *arg, const char *path), void *arg)
{
	char(*programs)[OC_SHELL_PROGRAM_MAX] = oc_alloc(OC_SHELL_PROGRAMS_MAX * sizeof *programs);
	oc_auto_free char *search = search_path(config);
	int n = programs != NULL && search != NULL ? oc_shell_programs(command, programs, OC_SHELL_PROGRAMS_MAX) : -1;
	char path[OC_SHELL_PROGRAM_MAX];
	bool good = n > 0;
	for (int i = 0; i < n && good; i++) {
		good = oc_shell_resolve(programs[i], folder, search, path);
		if (good)
			fn(arg, path);
	}
	oc_free(programs);
	return good;
}

struct look {
	const cJSON *file;
	const char *agent_id;
	oc_exec_judgement *j;
};

static void look_at(void *arg, const char *path)
{
	struct look *l = arg;
	if (l->j->resolved[0] == 0)
		(void)snprintf(l->j->resolved, sizeof l->j->resolved, "%s", path);
	l->j->listed = l->j->listed && oc_approvals_lists(l->file, l->agent_id, path);
}

void oc_exec_judge(const oc_config *config, const char *agent_id, const cJSON *session, const char *command,
		   const char *folder, oc_exec_judgement *j)
{
	oc_auto_json cJSON *file = NULL;
	oc_err err = {0};
	*j = (oc_exec_judgement){.answer = OC_EXEC_REFUSE, .security = "deny", .ask = "off", .fallback = "deny"};
	if (oc_approvals_load(&file, &err) != OC_OK) {
		oc_log_err(OC_LOG_WARN, "approval", "no command runs", &err);
		(void)snprintf(j->why, sizeof j->why, "the rules for commands cannot be read (%.200s)", err.text);
		return;
	}
	j->security = settled(securities, set_word(config, agent_id, session, "security", "execSecurity"), oc_approvals_word(file, agent_id, "security"));
	j->ask = settled(asks, set_word(config, agent_id, session, "ask", "execAsk"), oc_approvals_word(file, agent_id, "ask"));
	const char *fallback = oc_approvals_word(file, agent_id, "askFallback");
	j->fallback = settled(securities, fallback != NULL ? fallback : "deny", j->security);
	if (strcmp(j->security, "deny") == 0) {
		(void)snprintf(j->why, sizeof j->why, "commands may not be run here");
		return;
	}
	bool by_list = strcmp(j->security, "allowlist") == 0, always = strcmp(j->ask, "always") == 0;
	if (!by_list && !always) {
		j->answer = OC_EXEC_RUN;
		return;
	}
	struct look l = {file, agent_id, j};
	j->listed = true;
	j->listed = each_program(config, command, folder, look_at, &l) && j->listed;
	if (always || (!j->listed && strcmp(j->ask, "on-miss") == 0))
		j->answer = OC_EXEC_ASK;
	else if (j->listed)
		j->answer = OC_EXEC_RUN;
	else
		(void)snprintf(j->why, sizeof j->why, "it is not in the list of commands that may run");
}

static void keep_path(void *arg, const char *path)
{
	const char *const *agent_id = arg;
	oc_err err = {0};
	if (!oc_exec_runs_others(path) && oc_approvals_allow(*agent_id, path, oc_wall_ms(), &err) != OC_OK)
		oc_log_err(OC_LOG_WARN, "approval", "what was allowed for ever will be asked for again", &err);
}

void oc_exec_remember(const oc_config *config, const char *agent_id, const char *command, const char *folder)
{
	(void)each_program(config, command, folder, keep_path, &agent_id);
}
