/*
 * openclaw agent: one message, the answer streamed to the terminal.  Through the gateway when one runs, else with a runtime
 * of its own; the sessions are the same either way.
 */
#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/base/log.h"
#include "core/base/mem.h"
#include "core/cli/commands.h"
#include "core/cli/remote.h"
#include "core/gateway/runtime.h"
#include "core/net/local_client.h"

#define MAX_STDIN (1u << 20)
#define EXIT_CANCELED 130 /* what shells say of a command that Ctrl-C ended */

struct talk {
	const oc_args *args;
	const char *text;
	bool json, verbose, mid_line, canceled;
	int exit_code;
	oc_loop *loop;
	/* through a gateway */
	oc_owner *owner;
	oc_ws *ws;
	bool answered;
	/* alone */
	oc_runtime *rt;
	oc_run_ref ref;
	const char *session;
};

/* ---- Showing ---- */

static void end_line(struct talk *t)
{
	if (t->mid_line)
		putchar('\n');
	t->mid_line = false;
	fflush(stdout);
}

static const char *err_dim(void)
{
	return isatty(2) && oc_dim()[0] != 0 ? "\033[2m" : "";
}

static void show_event(struct talk *t, const char *type, oc_str text, const cJSON *data)
{
	const char *end = err_dim()[0] != 0 ? "\033[0m" : "";
	if (t->json)
		return;
	if (strcmp(type, "text") == 0 && text.n > 0) {
		/* What a model writes gives no orders to a terminal; a pipe gets it as it is. */
		if (isatty(1))
			oc_cli_text(stdout, text, SIZE_MAX, false);
		else
			fwrite(text.p, 1, text.n, stdout);
		t->mid_line = text.p[text.n - 1] != '\n';
		fflush(stdout);
	} else if (strcmp(type, "thinking") == 0 && t->verbose) {
		fputs(err_dim(), stderr);
		oc_cli_text(stderr, text, SIZE_MAX, false);
		fputs(end, stderr);
	} else if (strcmp(type, "tool_start") == 0) {
		oc_auto_free char *arguments = oc_json_print(oc_json_get(data, "arguments"));
		end_line(t);
		fprintf(stderr, "%s[%s] ", err_dim(), oc_json_str(data, "name", "?"));
		oc_cli_text(stderr, oc_str_of(arguments != NULL ? arguments : ""), 200, true);
		fprintf(stderr, "%s\n", end);
	} else if (strcmp(type, "tool_end") == 0 && (t->verbose || oc_json_bool(data, "isError", false))) {
		const cJSON *part = cJSON_GetArrayItem(oc_json_get(data, "content"), 0);
		fprintf(stderr, "%s[%s] %s", err_dim(), oc_json_str(data, "name", "?"),
			oc_json_bool(data, "isError", false) ? "failed: " : "");
		oc_cli_text(stderr, oc_json_ostr(part, "text"), 400, false);
		fprintf(stderr, "%s\n", end);
	} else if (strcmp(type, "notice") == 0) {
		end_line(t);
		fprintf(stderr, "%s%s%s\n", err_dim(), oc_json_str(data, "message", ""), end);
	}
}

static void show_result(struct talk *t, const cJSON *result)
{
	const char *status = oc_json_str(result, "status", "ok");
	if (strcmp(status, "ok") != 0)
		t->exit_code = strcmp(status, "canceled") == 0 ? EXIT_CANCELED : OC_EXIT_FAILED;
	if (t->json) {
		oc_cli_print_json(cJSON_Duplicate(result, true));
		return;
	}
	if (!t->mid_line && oc_json_bool(result, "silent", false))
		fprintf(stderr, "%s(no reply)%s\n", err_dim(), err_dim()[0] != 0 ? "\033[0m" : "");
	end_line(t);
}

static void show_error(struct talk *t, const oc_err *err)
{
	end_line(t);
	if (t->json) {
		cJSON *root = cJSON_CreateObject(), *error = cJSON_AddObjectToObject(root, "error");
		oc_json_set_str(error, "code", oc_status_name(err->code));
		oc_json_set_str(error, "message", err->text);
		oc_json_set_str(error, "remedy", err->remedy);
		oc_cli_print_json(root);
	} else {
		oc_cli_fail(err);
	}
	t->exit_code = OC_EXIT_FAILED;
}

/* ---- Through the gateway ---- */

static void on_message(void *arg, oc_ws *ws, oc_str text, bool binary)
{
	struct talk *t = arg;
	oc_auto_json cJSON *message = NULL;
	oc_json_limits limits = {.max_bytes = 64u << 20};
	if (binary || oc_json_parse(text, &limits, &message, NULL) != OC_OK)
		return;
	const cJSON *params = oc_json_get(message, "params"), *error = oc_json_get(message, "error");
	if (strcmp(oc_json_str(message, "method", ""), "event") == 0) {
		show_event(t, oc_json_str(params, "type", ""), oc_json_ostr(params, "text"), oc_json_get(params, "data"));
		return;
	}
	if (oc_json_i64(message, "id", 0) != 1)
		return;
	t->answered = true;
	if (error != NULL) {
		const cJSON *data = oc_json_get(error, "data");
		oc_err err;
		oc_fail(&err, oc_status_by_name(oc_json_str(data, "code", "internal")), oc_json_str(data, "remedy", ""), "%s",
			oc_json_str(error, "message", "the turn failed"));
		show_error(t, &err);
	} else {
		show_result(t, oc_json_get(message, "result"));
	}
	oc_ws_close(ws, OC_WS_NORMAL, OC_STR_NONE);
}

static void on_closed(void *arg, oc_ws *ws, uint16_t code, oc_str reason)
{
	struct talk *t = arg;
	(void)ws;
	t->ws = NULL;
	if (!t->answered) {
		oc_err err;
		oc_fail(&err, OC_E_UNAVAILABLE, "the turn goes on if the gateway does: see `openclaw sessions show`",
			"the gateway closed the connection (%u%s%.*s)", code, reason.n > 0 ? " " : "", OC_STR_ARG(reason));
		show_error(t, &err);
	}
	oc_loop_stop(t->loop);
}

static void set_opt(const struct talk *t, cJSON *params, const char *option, const char *name)
{
	const char *value = oc_arg(t->args, option);
	if (value != NULL)
		oc_json_set_str(params, name, value);
}

static void on_opened(void *arg, oc_ws *ws)
{
	struct talk *t = arg;
	t->ws = ws;
	cJSON *root = cJSON_CreateObject(), *params = cJSON_AddObjectToObject(root, "params");
	oc_json_set_str(root, "jsonrpc", "2.0");
	oc_json_set_i64(root, "id", 1);
	oc_json_set_str(root, "method", "session.message");
	oc_json_set_str(params, "text", t->text);
	oc_json_set_bool(params, "stream", true);
	set_opt(t, params, "session", "session");
	set_opt(t, params, "agent", "agent");
	set_opt(t, params, "model", "model");
	set_opt(t, params, "thinking", "thinking");
	int64_t seconds = 0;
	oc_arg_i64(t->args, "timeout", 1, 86400, &seconds);
	if (seconds > 0)
		oc_json_set_i64(params, "timeoutMs", seconds * 1000);
	char *text = oc_json_print(root);
	if (text != NULL)
		oc_ws_send(ws, oc_str_of(text), false);
	oc_free(text);
	cJSON_Delete(root);
}

static void on_failed(void *arg, oc_status status, oc_str message)
{
	struct talk *t = arg;
	oc_err err;
	oc_fail(&err, status, status == OC_E_UNAVAILABLE ? "start it, or unset OPENCLAW_GATEWAY_URL" : NULL, "connecting to the gateway: %.*s",
		OC_STR_ARG(message));
	t->answered = true;
	show_error(t, &err);
	if (status == OC_E_UNAVAILABLE)
		t->exit_code = OC_EXIT_NOT_RUNNING;
	oc_loop_stop(t->loop);
}

static void cancel_remote(void *arg)
{
	struct talk *t = arg;
	if (t->ws == NULL || t->canceled) { /* the second time: without waiting for the gateway */
		t->exit_code = EXIT_CANCELED;
		t->answered = true;
		oc_loop_stop(t->loop);
		return;
	}
	t->canceled = true;
	oc_sbuf b;
	oc_sbuf_init(&b, 4096);
	oc_sbuf_z(&b, "{\"jsonrpc\":\"2.0\",\"id\":2,\"method\":\"session.cancel\",\"params\":{\"session\":");
	const char *session = oc_arg(t->args, "session");
	oc_sbuf_json(&b, oc_str_of(session != NULL ? session : ""));
	oc_sbuf_z(&b, "}}");
	oc_ws_send(t->ws, oc_sbuf_view(&b), false);
	oc_sbuf_free(&b);
}

static int talk_remote(struct talk *t)
{
	oc_err err = {0};
	oc_remote remote;
	oc_status status = oc_remote_find(&remote, &err);
	if (status == OC_OK)
		status = oc_loop_new(&t->loop, &err);
	if (status == OC_OK && (t->owner = oc_owner_new(t->loop, "agent")) == NULL)
		status = oc_fail(&err, OC_E_NOMEM, NULL, "out of memory");
	oc_local_ws open = {
		.unix_path = remote.unix_path,
		.address = remote.unix_path == NULL ? remote.address : NULL,
		.port = (uint16_t)remote.port,
		.target = "/ws",
		.token = remote.token,
		.ws = {.on_message = on_message, .on_close = on_closed, .arg = t, .max_message = 64u << 20},
		.opened = on_opened,
		.failed = on_failed,
		.arg = t,
	};
	if (status == OC_OK)
		status = oc_local_ws_open(t->owner, &open, &err);
	if (status == OC_OK) {
		oc_signal_watch(t->owner, SIGINT, cancel_remote, t);
		oc_loop_run(t->loop);
	} else {
		show_error(t, &err);
	}
	oc_owner_free(t->owner);
	oc_loop_free(t->loop);
	oc_remote_free(&remote);
	return t->exit_code;
}

/* ---- Without a gateway ---- */

static void stop_loop(void *arg)
{
	struct talk *t = arg;
	oc_loop_stop(t->rt->loop);
}

static void leave(struct talk *t)
{
	oc_runtime_stop(t->rt, 5000, stop_loop, t);
}

static void on_event(void *arg, const oc_agent_event *event)
{
	struct talk *t = arg;
	show_event(t, oc_agent_event_name(event->type), event->text, event->data);
	if (event->type != OC_AGENT_EV_DONE)
		return;
	const cJSON *error = oc_json_get(event->data, "error");
	if (cJSON_IsObject(error)) {
		oc_err err;
		oc_fail(&err, oc_status_by_name(oc_json_str(error, "code", "internal")), oc_json_str(error, "remedy", ""),
			"%s", oc_json_str(error, "message", "the turn failed"));
		show_error(t, &err);
	} else {
		cJSON *result = cJSON_Duplicate(event->data, true);
		oc_json_set_str(result, "runId", t->ref.run);
		oc_json_set_str(result, "session", t->ref.session);
		show_result(t, result);
		cJSON_Delete(result);
	}
	leave(t);
}

static oc_str opt(const struct talk *t, const char *name)
{
	const char *value = oc_arg(t->args, name);
	return oc_str_of(value != NULL ? value : "");
}

static void on_started(void *arg)
{
	struct talk *t = arg;
	int64_t seconds = 0;
	oc_arg_i64(t->args, "timeout", 1, 86400, &seconds);
	oc_turn_input input = {
		.session = opt(t, "session"),
		.agent = opt(t, "agent"),
		.model = opt(t, "model"),
		.thinking = opt(t, "thinking"),
		.text = oc_str_of(t->text),
		.origin = "cli",
		.timeout_ms = (uint64_t)seconds * 1000,
		.on_event = on_event,
		.arg = t,
	};
	oc_err err = {0};
	if (oc_agent_submit(t->rt->agent, &input, &t->ref, &err) != OC_OK) {
		show_error(t, &err);
		leave(t);
	}
}

static void cancel_local(void *arg)
{
	struct talk *t = arg;
	t->exit_code = EXIT_CANCELED;
	if (t->ref.run[0] == 0 || t->canceled || oc_agent_cancel(t->rt->agent, t->ref.run, NULL) != OC_OK)
		leave(t);
	t->canceled = true;
}

static int talk_alone(struct talk *t)
{
	oc_config *config = NULL;
	oc_err err = {0};
	int level = oc_log_level_parse(getenv("OPENCLAW_LOG_LEVEL") != NULL ? getenv("OPENCLAW_LOG_LEVEL") : "");
	oc_log_set_level(t->verbose ? OC_LOG_INFO : level != 0 ? level : OC_LOG_ERROR);
	signal(SIGPIPE, SIG_IGN);
	oc_status status = oc_config_load_gateway(NULL, &config, &err);
	if (status == OC_OK && oc_config_is_last_good(config))
		fputs("openclaw: the configuration cannot be read; the last good copy is used (openclaw config validate says why)\n", stderr);
	if (status == OC_OK && (status = oc_runtime_new(config, OC_RUNTIME_ONE_SHOT, &t->rt, &err)) != OC_OK)
		oc_config_unref(config);
	if (status != OC_OK) {
		show_error(t, &err);
		return t->exit_code;
	}
	oc_signal_watch(t->rt->owner, SIGINT, cancel_local, t);
	oc_runtime_start(t->rt, on_started, t);
	oc_loop_run(t->rt->loop);
	oc_runtime_free(t->rt);
	return t->exit_code;
}

/* ---- The command ---- */

static bool is_thinking(const char *level)
{
	static const char *const levels[] = {"off", "minimal", "low", "medium", "high", "xhigh", "adaptive"};
	for (size_t i = 0; i < sizeof levels / sizeof *levels; i++)
		if (strcmp(level, levels[i]) == 0)
			return true;
	return false;
}

/* *ret_n tells of bytes that a string would end at. */
static char *read_stdin(size_t *ret_n)
{
	oc_sbuf b;
	oc_sbuf_init(&b, MAX_STDIN);
	char chunk[8192];
	size_t n;
	while ((n = fread(chunk, 1, sizeof chunk, stdin)) > 0)
		oc_sbuf_add(&b, chunk, n);
	*ret_n = b.n;
	return oc_sbuf_take(&b);
}

static int run_agent(const oc_args *args)
{
	const char *message = oc_arg(args, "message");
	int64_t seconds = 0;
	if (!oc_arg_i64(args, "timeout", 1, 86400, &seconds))
		return OC_EXIT_USAGE;
	if (message == NULL && args->n_pos == 1)
		message = args->pos[0];
	oc_auto_free char *piped = NULL;
	if (message == NULL && isatty(0))
		return oc_cli_usage(args, "there is no message: give one with -m \"…\"");
	if (message == NULL || strcmp(message, "-") == 0) {
		size_t n = 0;
		message = piped = read_stdin(&n);
		if (piped == NULL)
			return oc_cli_usage(args, "the message on standard input is larger than 1 MiB");
		if (strlen(piped) != n)
			return oc_cli_usage(args, "the message on standard input has a NUL byte: it is no text");
	}
	const char *thinking = oc_arg(args, "thinking");
	if (thinking != NULL && !is_thinking(thinking))
		return oc_cli_usage(args, "--thinking is off, minimal, low, medium, high, xhigh or adaptive, not \"%s\"", thinking);
	if (oc_str_trim(oc_str_of(message)).n == 0)
		return oc_cli_usage(args, "the message is empty");
	struct talk t = {
		.args = args,
		.text = message,
		.json = oc_arg_flag(args, "json"),
		.verbose = oc_arg_flag(args, "verbose"),
	};
	return !oc_arg_flag(args, "local") && oc_remote_alive() ? talk_remote(&t) : talk_alone(&t);
}

const oc_command oc_cmd_agent = {
	.name = "agent",
	.args = "[MESSAGE]",
	.summary = "send one message to the agent and stream its answer",
	.opts = (const oc_opt[]){{"message", 'm', "TEXT", "the message (\"-\": standard input)"},
				 {"session", 's', "NAME", "session to continue (main)"},
				 {"agent", 'a', "ID", "which agent (the default one)"},
				 {"model", 0, "MODEL", "provider/model for this turn"},
				 {"thinking", 0, "LEVEL", "off, minimal, low, medium, high, xhigh or adaptive"},
				 {"timeout", 0, "SECONDS", "end the turn after this time"},
				 {"local", 0, NULL, "do not use a running gateway"},
				 {"verbose", 'v', NULL, "show reasoning and tool results too"},
				 {"json", 0, NULL, "print the result as JSON"},
				 {0}},
	.max_args = 1,
	.help = "Works with and without a gateway; the sessions are the same. Ctrl-C cancels the turn (exit code 130).\n\n"
		"  openclaw agent -m \"what is in this folder?\"\n"
		"  git diff | openclaw agent -s review -m -\n",
	.run = run_agent,
};
