/* openclaw sessions export: a conversation as JSON lines or Markdown, a page at a time. */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "core/base/clock.h"
#include "core/base/mem.h"
#include "core/cli/commands.h"
#include "core/cli/session_source.h"
#include "core/cli/sessions.h"

#define PAGE 500

/* ---- JSON lines ---- */

static bool print_line(FILE *out, cJSON *node)
{
	oc_auto_free char *text = oc_json_print(node);
	return text != NULL && fprintf(out, "%s\n", text) > 0;
}

/* ---- Markdown ---- */

/* A fence longer than any run of backticks in the text. */
static void print_fenced(FILE *out, const char *text)
{
	size_t longest = 2, run = 0;
	for (const char *p = text; *p != 0; p++) {
		run = *p == '`' ? run + 1 : 0;
		longest = run > longest ? run : longest;
	}
	for (size_t i = 0; i <= longest; i++)
		fputc('`', out);
	fprintf(out, "\n%s%s", text, text[0] != 0 && text[strlen(text) - 1] == '\n' ? "" : "\n");
	for (size_t i = 0; i <= longest; i++)
		fputc('`', out);
	fputs("\n\n", out);
}

static void print_part(FILE *out, const cJSON *part, bool tool)
{
	const char *type = oc_json_str(part, "type", "");
	if (strcmp(type, "text") == 0) {
		if (tool)
			print_fenced(out, oc_json_str(part, "text", ""));
		else
			fprintf(out, "%s\n\n", oc_json_str(part, "text", ""));
	} else if (strcmp(type, "tool_call") == 0) {
		oc_auto_free char *args = oc_json_print_pretty(oc_json_get(part, "arguments"));
		fprintf(out, "Calls `%s`:\n\n", oc_json_str(part, "name", ""));
		print_fenced(out, args != NULL ? args : "");
	} else {
		fprintf(out, "*%s%s%s*\n\n", type, oc_json_get(part, "path") != NULL ? ": " : "", oc_json_str(part, "path", ""));
	}
}

static void print_markdown(FILE *out, const cJSON *m)
{
	char when[40];
	const char *role = oc_json_str(m, "role", "");
	bool tool = strcmp(role, "tool") == 0;
	const char *who = oc_json_str(oc_json_get(oc_json_get(m, "meta"), "sender"), "name", NULL);
	oc_wall_format(oc_json_i64(m, "ts", 0), when, sizeof when);
	fprintf(out, "## %s%s%s%s\n\n*%.19sZ, #%lld*\n\n", tool ? oc_json_str(m, "toolName", "tool") : role,
		tool && oc_json_bool(m, "isError", false) ? " (failed)" : "", who != NULL ? ", " : "", who != NULL ? who : "", when,
		(long long)oc_json_i64(m, "seq", 0));
	const cJSON *part;
	cJSON_ArrayForEach(part, oc_json_get(m, "content")) print_part(out, part, tool);
}

/* ---- The walk ---- */

/* Pages are read from the newest back: the numbers where they begin are gathered first, then they are written forwards. */
static oc_status write_all(oc_session_source *source, const char *name, bool all, bool no_tools, bool markdown, FILE *out,
			   int64_t *ret_count, oc_err *err)
{
	oc_status status = OC_OK;
	int64_t after = 0, count = 0;
	oc_auto_json cJSON *session = NULL;
	status = oc_session_source_get(source, name, &session, err);
	if (status != OC_OK)
		return status;
	if (!all)
		after = oc_json_i64(session, "epochSeq", 1) - 1;
	int64_t last = oc_json_i64(session, "lastSeq", 0);
	const char *key = oc_json_str(session, "key", name);
	if (markdown)
		fprintf(out, "# %s\n\n", oc_json_str(session, "title", key));
	else if (!print_line(out, session))
		return oc_fail(err, OC_E_IO, NULL, "cannot write");
	/* Numbers are dense: a window of PAGE numbers has at most PAGE messages. */
	for (int64_t from = after; status == OC_OK && from < last; from += PAGE) {
		cJSON *rows = NULL, *row;
		oc_history_filter filter = {.after_seq = from, .before_seq = from + PAGE + 1, .limit = PAGE, .all_epochs = all,
					    .no_tools = no_tools};
		status = oc_session_source_history(source, name, &filter, &rows, err);
		cJSON_ArrayForEach(row, rows)
		{
			count++;
			if (markdown)
				print_markdown(out, row);
			else if (!print_line(out, row))
				status = oc_fail(err, OC_E_IO, NULL, "cannot write");
		}
		cJSON_Delete(rows);
	}
	if (status == OC_OK && (fflush(out) != 0 || ferror(out)))
		status = oc_fail_errno(err, errno != 0 ? errno : EIO, "cannot write");
	*ret_count = count;
	return status;
}

int oc_sessions_run_export(const oc_args *args)
{
	oc_err err = {0};
	const char *format = oc_arg(args, "format"), *to = oc_arg(args, "output");
	bool markdown = format != NULL && (strcmp(format, "markdown") == 0 || strcmp(format, "md") == 0);
	if (format != NULL && !markdown && strcmp(format, "jsonl") != 0)
		return oc_cli_usage(args, "--format is jsonl or markdown, not %s", format);
	FILE *out = stdout;
	if (to != NULL) {
		int fd = open(to, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
		out = fd >= 0 ? fdopen(fd, "w") : NULL;
		if (out == NULL) {
			oc_fail_errno(&err, errno, "cannot make %s", to);
			return oc_cli_fail(&err);
		}
	}
	oc_session_source *source = NULL;
	int64_t count = 0;
	oc_status status = oc_session_source_open(false, &source, &err);
	if (status == OC_OK)
		status = write_all(source, args->n_pos > 0 ? args->pos[0] : "", oc_arg_flag(args, "all"), oc_arg_flag(args, "no-tools"),
				   markdown, out, &count, &err);
	oc_session_source_close(source);
	if (to != NULL) {
		if (fclose(out) != 0 && status == OC_OK)
			status = oc_fail_errno(&err, errno, "cannot write %s", to);
		if (status != OC_OK)
			(void)unlink(to); /* half an export looks like a whole one */
		else
			printf("%lld message%s in %s\n", (long long)count, count == 1 ? " is" : "s are", to);
	}
	return status == OC_OK ? OC_EXIT_OK : oc_cli_fail(&err);
}
