/*
 * openclaw sessions: what conversations there are, and what was said in them.
 *
 * The store is read directly, beside a gateway or without one: what it has committed is what there is.
 */
#include <string.h>

#include "core/agent/session.h"
#include "core/base/clock.h"
#include "core/base/mem.h"
#include "core/base/path.h"
#include "core/cli/commands.h"
#include "core/config/config.h"
#include "core/store/store.h"

#define SHOW_DEFAULT 20
#define ARGUMENTS_SHOWN 200
#define RESULT_SHOWN 400

static oc_status open_store(oc_store **ret, oc_err *err)
{
	oc_auto_free char *path = oc_path_state("openclaw.db");
	return path == NULL ? oc_fail(err, OC_E_NOMEM, NULL, "out of memory")
			    : oc_store_open(path, NULL, OC_STORE_READER, ret, err);
}

/* "5 min ago" */
static void age(int64_t ms, char *out, size_t size)
{
	int64_t seconds = (oc_wall_ms() - ms) / 1000;
	if (seconds < 0)
		seconds = 0;
	if (seconds < 60)
		snprintf(out, size, "just now");
	else if (seconds < 3600)
		snprintf(out, size, "%lld min ago", (long long)(seconds / 60));
	else if (seconds < 2 * 86400)
		snprintf(out, size, "%lld h ago", (long long)(seconds / 3600));
	else
		snprintf(out, size, "%lld days ago", (long long)(seconds / 86400));
}

static void print_text(const char *text, size_t max, bool one_line)
{
	oc_cli_text(stdout, oc_str_trim(oc_str_of(text)), max, one_line);
}

/* ---- list ---- */

static void print_list(const cJSON *list)
{
	static const char *const heads[] = {"SESSION", "MESSAGES", "LAST", "TOKENS", "STATE", "ABOUT"};
	const cJSON *s;
	if (cJSON_GetArraySize(list) == 0) {
		puts("There are no sessions yet. Begin one: openclaw agent -m \"hello\"");
		return;
	}
	oc_table *table = oc_table_new(heads, sizeof heads / sizeof *heads);
	cJSON_ArrayForEach(s, list)
	{
		char when[32], messages[24], tokens[32], about[48];
		const cJSON *usage = oc_json_get(s, "usage");
		age(oc_json_i64(s, "updatedAt", 0), when, sizeof when);
		snprintf(messages, sizeof messages, "%lld", (long long)oc_json_i64(s, "messages", 0));
		snprintf(tokens, sizeof tokens, "%lld",
			 (long long)(oc_json_i64(usage, "input", 0) + oc_json_i64(usage, "output", 0)));
		const char *text = oc_json_str(s, "title", oc_json_str(s, "preview", ""));
		size_t n = 0;
		for (; text[n] != 0 && n < sizeof about - 4; n++)
			about[n] = text[n];
		while (n > 0 && text[n] != 0 && ((unsigned char)text[n] & 0xc0) == 0x80)
			n--;
		snprintf(about + n, sizeof about - n, "%s", text[n] != 0 ? "…" : "");
		const char *cells[] = {oc_json_str(s, "key", ""), messages, when, tokens, oc_json_str(s, "state", ""), about};
		oc_table_row(table, cells);
	}
	oc_table_print(table, stdout);
}

static int run_list(const oc_args *args)
{
	oc_err err = {0};
	int64_t limit = 50, minutes = 0;
	if (!oc_arg_i64(args, "limit", 1, 1000, &limit) || !oc_arg_i64(args, "active", 1, 10000000, &minutes))
		return OC_EXIT_USAGE;
	oc_session_filter filter = {
		.agent = oc_arg(args, "agent"),
		.channel = oc_arg(args, "channel"),
		.text = args->n_pos > 0 ? args->pos[0] : NULL,
		.active_since_ms = minutes > 0 ? oc_wall_ms() - minutes * 60000 : 0,
		.limit = limit,
	};
	oc_store *store = NULL;
	cJSON *list = NULL;
	oc_status status = open_store(&store, &err);
	if (status == OC_OK)
		status = oc_store_sessions(store, &filter, &list, &err);
	else if (status == OC_E_NOT_FOUND) /* nothing was ever said here */
		status = (list = cJSON_CreateArray()) != NULL ? OC_OK : OC_E_NOMEM;
	oc_store_close(store);
	if (status != OC_OK)
		return oc_cli_fail(&err);
	if (oc_arg_flag(args, "json"))
		return oc_cli_print_json(list);
	print_list(oc_cli_clean(list));
	cJSON_Delete(list);
	return OC_EXIT_OK;
}

/* ---- show ---- */

static void print_part(const cJSON *part, bool tool)
{
	const char *type = oc_json_str(part, "type", "");
	if (strcmp(type, "text") == 0) {
		print_text(oc_json_str(part, "text", ""), tool ? RESULT_SHOWN : 1000000, false);
		putchar('\n');
	} else if (strcmp(type, "tool_call") == 0) {
		oc_auto_free char *args = oc_json_print(oc_json_get(part, "arguments"));
		printf("%s[%s ", oc_dim(), oc_json_str(part, "name", ""));
		print_text(args != NULL ? args : "", ARGUMENTS_SHOWN, true);
		printf("]%s\n", oc_plain());
	} else {
		printf("%s[%s%s%s]%s\n", oc_dim(), type, oc_json_get(part, "path") != NULL ? " " : "",
		       oc_json_str(part, "path", ""), oc_plain());
	}
}

static void print_message(cJSON *m)
{
	char when[40];
	const char *role = oc_json_str(m, "role", "");
	bool tool = strcmp(role, "tool") == 0, user = strcmp(role, "user") == 0;
	cJSON *sender = cJSON_GetObjectItemCaseSensitive(cJSON_GetObjectItemCaseSensitive(m, "meta"), "sender");
	const char *who = oc_json_str(oc_cli_clean(sender), "name", NULL);
	oc_wall_format(oc_json_i64(m, "ts", 0), when, sizeof when);
	printf("%s%s%s%s%s%s %s#%lld %.19sZ%s\n", user ? oc_green() : tool ? oc_dim() : oc_bold(),
	       tool ? oc_json_str(m, "toolName", "tool") : role, tool && oc_json_bool(m, "isError", false) ? " (failed)" : "",
	       who != NULL ? " " : "", who != NULL ? who : "", oc_plain(), oc_dim(), (long long)oc_json_i64(m, "seq", 0), when,
	       oc_plain());
	const cJSON *part;
	cJSON_ArrayForEach(part, oc_json_get(m, "content")) print_part(part, tool);
	putchar('\n');
}

static void print_event(const cJSON *e)
{
	char when[40];
	const cJSON *data = oc_json_get(e, "data");
	oc_auto_free char *json = data != NULL ? oc_json_print(data) : NULL;
	oc_wall_format(oc_json_i64(e, "ts", 0), when, sizeof when);
	printf("%s%5lld %.19sZ%s %-17s ", oc_dim(), (long long)oc_json_i64(e, "seq", 0), when, oc_plain(),
	       oc_json_str(e, "kind", ""));
	print_text(json != NULL ? json : "", 160, true);
	putchar('\n');
}

static void print_head(const cJSON *s)
{
	char began[40], when[32];
	const cJSON *usage = oc_json_get(s, "usage");
	oc_wall_format(oc_json_i64(s, "startedAt", 0), began, sizeof began);
	age(oc_json_i64(s, "updatedAt", 0), when, sizeof when);
	printf("%s%s%s%s%s\n", oc_bold(), oc_json_str(s, "key", ""), oc_plain(), oc_json_get(s, "title") != NULL ? "  " : "",
	       oc_json_str(s, "title", ""));
	printf("%s%s since %.19sZ, last %s, %lld messages, %lld tokens in, %lld out", oc_dim(), oc_json_str(s, "state", ""), began,
	       when, (long long)oc_json_i64(s, "messages", 0), (long long)oc_json_i64(usage, "input", 0),
	       (long long)oc_json_i64(usage, "output", 0));
	if (oc_json_num(usage, "cost", 0) > 0)
		printf(", %.4f USD", oc_json_num(usage, "cost", 0));
	if (oc_json_get(s, "model") != NULL)
		printf(", model %s", oc_json_str(s, "model", ""));
	printf("%s\n\n", oc_plain());
}

/* The session's key for what was written: a key, or the name of one of the default agent's sessions. */
static oc_status find_key(const char *text, char key[OC_SESSION_KEY_MAX], oc_err *err)
{
	oc_config *config = NULL;
	/* A configuration that cannot be read must not hide what was said. */
	(void)oc_config_load(NULL, &config, NULL);
	const cJSON *list = config != NULL ? oc_config_get(config, "agents.list") : NULL, *agent = cJSON_GetArrayItem(list, 0), *a;
	cJSON_ArrayForEach(a, list) if (oc_json_bool(a, "default", false)) agent = a;
	oc_status status = oc_session_key_resolve(oc_str_of(text), oc_json_str(agent, "id", "main"),
						  config != NULL ? oc_config_str(config, "session.mainKey", "main") : "main", key,
						  err);
	oc_config_unref(config);
	return status;
}

static oc_status read_session(const oc_args *args, oc_store *store, cJSON **ret_session, cJSON **ret_rows, oc_err *err)
{
	char key[OC_SESSION_KEY_MAX];
	int64_t limit = SHOW_DEFAULT, before = 0;
	(void)oc_arg_i64(args, "limit", 1, 1000, &limit);
	(void)oc_arg_i64(args, "before", 1, INT64_MAX, &before);
	oc_status status = find_key(args->n_pos > 0 ? args->pos[0] : "", key, err);
	if (status == OC_OK)
		status = oc_store_session(store, key, ret_session, err);
	if (status != OC_OK)
		return status;
	if (oc_arg_flag(args, "events")) {
		int64_t last = oc_json_i64(*ret_session, "lastSeq", 0), end = before > 0 && before <= last ? before - 1 : last;
		return oc_store_events(store, key, end > limit ? end - limit : 0, limit, ret_rows, err);
	}
	oc_history_filter filter = {.limit = limit, .before_seq = before, .all_epochs = oc_arg_flag(args, "all"),
				    .no_tools = oc_arg_flag(args, "no-tools")};
	return oc_store_history(store, key, &filter, ret_rows, err);
}

static int run_show(const oc_args *args)
{
	oc_err err = {0};
	int64_t number = 1;
	if (!oc_arg_i64(args, "limit", 1, 1000, &number) || !oc_arg_i64(args, "before", 1, INT64_MAX, &number))
		return OC_EXIT_USAGE;
	oc_store *store = NULL;
	oc_auto_json cJSON *session = NULL, *rows = NULL;
	oc_status status = open_store(&store, &err);
	if (status == OC_OK)
		status = read_session(args, store, &session, &rows, &err);
	oc_store_close(store);
	if (status != OC_OK)
		return oc_cli_fail(&err);
	bool events = oc_arg_flag(args, "events");
	if (oc_arg_flag(args, "json")) {
		(void)oc_json_set(session, events ? "events" : "history", rows);
		rows = NULL;
		cJSON *out = session;
		session = NULL;
		return oc_cli_print_json(out);
	}
	print_head(oc_cli_clean(session));
	cJSON *row;
	cJSON_ArrayForEach(row, rows)
	{
		if (events)
			print_event(row);
		else
			print_message(row);
	}
	return OC_EXIT_OK;
}

/* ---- The command ---- */

static const oc_command list_command = {
	.name = "list",
	.args = "[TEXT]",
	.summary = "conversations, the most recent first",
	.help = "With TEXT only those whose key or title has it.\n",
	.opts = (const oc_opt[]){{"agent", 'a', "ID", "only this agent's"},
				 {"channel", 'c', "NAME", "only those of this channel"},
				 {"active", 0, "MINUTES", "only those with a message in this time"},
				 {"limit", 'n', "NUMBER", "at most so many (50)"},
				 {"json", 0, NULL, "one JSON document"},
				 {0}},
	.max_args = 1,
	.run = run_list,
};
static const oc_command show_command = {
	.name = "show",
	.args = "[SESSION]",
	.summary = "what was said in a conversation",
	.help = "SESSION is a key from `openclaw sessions list` or a name given to `openclaw agent -s`; without it, the main one.\n",
	.opts = (const oc_opt[]){{"limit", 'n', "NUMBER", "the last so many messages (20)"},
				 {"before", 0, "SEQ", "those before the message with this number"},
				 {"all", 0, NULL, "also what was said before the last /new"},
				 {"no-tools", 0, NULL, "without tool calls and their results"},
				 {"events", 'e', NULL, "the log of events instead of the messages"},
				 {"json", 0, NULL, "one JSON document"},
				 {0}},
	.max_args = 1,
	.run = run_show,
};
static const oc_command *const subs[] = {&list_command, &show_command, NULL};

const oc_command oc_cmd_sessions = {
	.name = "sessions",
	.summary = "the conversations that are stored",
	.subs = subs,
};
