/* openclaw sessions: what conversations there are, what was said in them, and ending them. */
#include <string.h>


#include "core/base/clock.h"
#include "core/base/mem.h"
#include "core/cli/commands.h"
#include "core/cli/session_source.h"
#include "core/cli/sessions.h"

#define SHOW_DEFAULT 20
#define ARGUMENTS_SHOWN 200
#define RESULT_SHOWN 400

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
	const char *state = oc_arg(args, "state");
	if (state != NULL && strcmp(state, "active") != 0 && strcmp(state, "ended") != 0)
		return oc_cli_usage(args, "--state is active or ended, not %s", state);
	oc_session_filter filter = {
		.agent = oc_arg(args, "agent"),
		.channel = oc_arg(args, "channel"),
		.kind = oc_arg(args, "kind"),
		.state = state,
		.text = args->n_pos > 0 ? args->pos[0] : NULL,
		.active_since_ms = minutes > 0 ? oc_wall_ms() - minutes * 60000 : 0,
		.limit = limit,
	};
	oc_session_source *source = NULL;
	cJSON *list = NULL;
	oc_status status = oc_session_source_open(false, &source, &err);
	if (status == OC_OK)
		status = oc_session_source_list(source, &filter, &list, &err);
	else if (status == OC_E_NOT_FOUND) /* nothing was ever said here */
		status = (list = cJSON_CreateArray()) != NULL ? OC_OK : OC_E_NOMEM;
	oc_session_source_close(source);
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
	printf("%s%s since %.19sZ, last %s, %lld message%s, %lld tokens in, %lld out", oc_dim(), oc_json_str(s, "state", ""), began,
	       when, (long long)oc_json_i64(s, "messages", 0), OC_S(oc_json_i64(s, "messages", 0)), (long long)oc_json_i64(usage, "input", 0),
	       (long long)oc_json_i64(usage, "output", 0));
	if (oc_json_num(usage, "cost", 0) > 0)
		printf(", %.4f USD", oc_json_num(usage, "cost", 0));
	if (oc_json_get(s, "model") != NULL)
		printf(", model %s", oc_json_str(s, "model", ""));
	printf("%s\n\n", oc_plain());
}

static oc_status read_session(const oc_args *args, oc_session_source *source, cJSON **ret_session, cJSON **ret_rows, oc_err *err)
{
	int64_t limit = SHOW_DEFAULT, before = 0;
	const char *name = args->n_pos > 0 ? args->pos[0] : "";
	(void)oc_arg_i64(args, "limit", 1, 1000, &limit);
	(void)oc_arg_i64(args, "before", 1, INT64_MAX, &before);
	oc_status status = oc_session_source_get(source, name, ret_session, err);
	if (status != OC_OK)
		return status;
	if (oc_arg_flag(args, "events")) {
		int64_t last = oc_json_i64(*ret_session, "lastSeq", 0), end = before > 0 && before <= last ? before - 1 : last;
		return oc_session_source_events(source, name, end > limit ? end - limit : 0, limit, ret_rows, err);
	}
	oc_history_filter filter = {.limit = limit, .before_seq = before, .all_epochs = oc_arg_flag(args, "all"),
				    .no_tools = oc_arg_flag(args, "no-tools")};
	return oc_session_source_history(source, name, &filter, ret_rows, err);
}

static int run_show(const oc_args *args)
{
	oc_err err = {0};
	int64_t number = 1;
	if (!oc_arg_i64(args, "limit", 1, 1000, &number) || !oc_arg_i64(args, "before", 1, INT64_MAX, &number))
		return OC_EXIT_USAGE;
	oc_session_source *source = NULL;
	oc_auto_json cJSON *session = NULL, *rows = NULL;
	oc_status status = oc_session_source_open(false, &source, &err);
	if (status == OC_OK)
		status = read_session(args, source, &session, &rows, &err);
	oc_session_source_close(source);
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

/* ---- search ---- */

/* The words that were found stand between [ and ] in the snippet. */
static void print_match(const cJSON *m)
{
	char when[32];
	age(oc_json_i64(m, "ts", 0), when, sizeof when);
	printf("%s%s%s %s#%lld %s, %s%s\n  ", oc_bold(), oc_json_str(m, "session", ""), oc_plain(), oc_dim(),
	       (long long)oc_json_i64(m, "seq", 0), oc_json_str(m, "role", ""), when, oc_plain());
	print_text(oc_json_str(m, "snippet", ""), 400, true);
	putchar('\n');
}

static char *joined(const oc_args *args)
{
	oc_sbuf b;
	oc_sbuf_init(&b, 64 << 10);
	for (int i = 0; i < args->n_pos; i++) {
		oc_sbuf_z(&b, i > 0 ? " " : "");
		oc_sbuf_z(&b, args->pos[i]);
	}
	char *text = oc_sbuf_take(&b);
	oc_sbuf_free(&b);
	return text;
}

static int run_search(const oc_args *args)
{
	oc_err err = {0};
	int64_t limit = 20, minutes = 0;
	if (!oc_arg_i64(args, "limit", 1, 200, &limit) || !oc_arg_i64(args, "active", 1, 100000000, &minutes))
		return OC_EXIT_USAGE;
	oc_search_filter filter = {.agent = oc_arg(args, "agent"),
				   .session = oc_arg(args, "session"),
				   .role = oc_arg(args, "role"),
				   .since_ms = minutes > 0 ? oc_wall_ms() - minutes * 60000 : 0,
				   .limit = limit};
	oc_session_source *source = NULL;
	cJSON *matches = NULL;
	oc_auto_free char *query = joined(args);
	oc_status status = query != NULL ? oc_session_source_open(false, &source, &err)
					 : oc_fail(&err, OC_E_LIMIT, NULL, "the query is too long");
	if (status == OC_OK)
		status = oc_session_source_search(source, query, &filter, &matches, &err);
	oc_session_source_close(source);
	if (status != OC_OK)
		return oc_cli_fail(&err);
	if (oc_arg_flag(args, "json"))
		return oc_cli_print_json(matches);
	const cJSON *m;
	cJSON_ArrayForEach(m, matches) print_match(m);
	if (cJSON_GetArraySize(matches) == 0)
		puts("Nothing was found.");
	cJSON_Delete(matches);
	return OC_EXIT_OK;
}

/* ---- reset and delete ---- */

static int run_change(const oc_args *args, bool delete)
{
	oc_err err = {0};
	oc_session_source *source = NULL;
	if (delete && !oc_cli_agreed(args, "deleting cannot be taken back", "Delete %s and everything that was said in it?", args->pos[0]))
		return OC_EXIT_FAILED;
	oc_status status = oc_session_source_open(true, &source, &err);
	if (status == OC_OK)
		status = delete ? oc_session_source_delete(source, args->pos[0], &err)
				: oc_session_source_reset(source, args->pos[0], &err);
	oc_session_source_close(source);
	if (status != OC_OK)
		return oc_cli_fail(&err);
	printf(delete ? "%s is deleted.\n" : "%s begins anew; what was said before is kept (`openclaw sessions show --all`).\n",
	       args->pos[0]);
	return OC_EXIT_OK;
}

static int run_reset(const oc_args *args)
{
	return run_change(args, false);
}

static int run_delete(const oc_args *args)
{
	return run_change(args, true);
}

/* ---- The command ---- */

static const oc_command list_command = {
	.name = "list",
	.args = "[TEXT]",
	.summary = "conversations, the most recent first",
	.help = "With TEXT only those whose key or title has it.\n",
	.opts = (const oc_opt[]){{"agent", 'a', "ID", "only this agent's"},
				 {"channel", 'c', "NAME", "only those of this channel"},
				 {"kind", 'k', "KIND", "only these: main, named, dm, group, thread, …"},
				 {"state", 0, "STATE", "only active or ended ones"},
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
static const oc_command search_command = {
	.name = "search",
	.args = "QUERY…",
	.summary = "messages by their words, the newest first",
	.help = "All words must be there, in any order; case and accents do not count.\n"
		"  \"two words\"  one after the other\n"
		"  begin*       words that begin so\n"
		"  -- -word     not those with this word (after other words no -- is needed in quotes: 'word -other')\n"
		"Any other character is text. Chinese, Japanese and other scripts without spaces, and signs, are found anywhere.\n",
	.opts = (const oc_opt[]){{"agent", 'a', "ID", "only this agent's"},
				 {"session", 's', "SESSION", "only this conversation"},
				 {"role", 'r', "ROLE", "only messages of user, assistant or tool"},
				 {"active", 0, "MINUTES", "only messages of this time"},
				 {"limit", 'n', "NUMBER", "at most so many (20)"},
				 {"json", 0, NULL, "one JSON document"},
				 {0}},
	.min_args = 1,
	.max_args = -1,
	.run = run_search,
};
static const oc_command export_command = {
	.name = "export",
	.args = "[SESSION]",
	.summary = "a whole conversation, as JSON lines or Markdown",
	.help = "JSON lines: the session first, then one message a line, oldest first.\n",
	.opts = (const oc_opt[]){{"format", 'f', "FORMAT", "jsonl (the default) or markdown"},
				 {"output", 'o', "FILE", "write to a new file (mode 0600) instead of standard output"},
				 {"all", 0, NULL, "also what was said before the last /new"},
				 {"no-tools", 0, NULL, "without tool calls and their results"},
				 {0}},
	.max_args = 1,
	.run = oc_sessions_run_export,
};
static const oc_command reset_command = {
	.name = "reset",
	.args = "SESSION",
	.summary = "begin a conversation anew, as /new does; the old messages are kept",
	.min_args = 1,
	.max_args = 1,
	.run = run_reset,
};
static const oc_command delete_command = {
	.name = "delete",
	.args = "SESSION",
	.summary = "remove a conversation and everything that was said in it",
	.opts = (const oc_opt[]){{"yes", 'y', NULL, "do not ask"}, {0}},
	.min_args = 1,
	.max_args = 1,
	.run = run_delete,
};
static const oc_command stored_command = {
	.name = "stored",
	.summary = "what the storage module holds of conversations (modules.slots.storage)",
	.help = "Also after the state folder was lost: choose the storage again, then bring back what is wanted.\n",
	.opts = (const oc_opt[]){{"json", 0, NULL, "one JSON document"}, {0}},
	.run = oc_sessions_run_stored,
};
static const oc_command restore_command = {
	.name = "restore",
	.args = "SESSION",
	.summary = "bring a conversation back from the storage module, as it was",
	.help = "SESSION is a key, a name, or a name from `openclaw sessions stored`. What was deleted here is not there any more either.\n",
	.opts = (const oc_opt[]){{"as", 0, "NAME", "under another name"}, {0}},
	.min_args = 1,
	.max_args = 1,
	.run = oc_sessions_run_restore,
};
static const oc_command *const subs[] = {&list_command,	  &show_command,   &search_command, &export_command,   &reset_command,
					 &delete_command, &stored_command, &restore_command, NULL};

const oc_command oc_cmd_sessions = {
	.name = "sessions",
	.summary = "the conversations that are stored: list, show, search, export, reset, delete, restore",
	.subs = subs,
};
