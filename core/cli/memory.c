/*
 * openclaw memory: what an agent's memory holds, and searching it.  Through the gateway when one runs, else with a runtime of
 * its own; the index is the same either way.
 */
#include <signal.h>
#include <stdlib.h>
#include <string.h>

#include "core/agent/memory.h"
#include "core/base/log.h"
#include "core/base/mem.h"
#include "core/cli/commands.h"
#include "core/cli/remote.h"
#include "core/gateway/runtime.h"

#define WAIT_MS 600000

typedef oc_status memory_fn(oc_agent *agent, const oc_memory_input *input, oc_err *err);

typedef struct task {
	const char *method;
	memory_fn *fn;
	const char *agent, *query;
	int64_t max_results;
	double min_score;
	bool force;
	oc_runtime *rt;
	cJSON *result;
	oc_status status;
	oc_err err;
} task;

/* ---- Without a gateway ---- */

static void stopped(void *arg)
{
	task *t = arg;
	oc_loop_stop(t->rt->loop);
}

static void leave(task *t)
{
	oc_runtime_stop(t->rt, 2000, stopped, t);
}

static void answered(void *arg, oc_status status, const cJSON *result, const oc_err *err)
{
	task *t = arg;
	t->status = status;
	t->err = *err;
	t->result = result != NULL ? cJSON_Duplicate(result, true) : NULL;
	leave(t);
}

static void started(void *arg)
{
	task *t = arg;
	oc_memory_input in = {.agent = oc_str_of(t->agent), .query = oc_str_of(t->query), .max_results = t->max_results,
			      .min_score = t->min_score, .force = t->force, .done = answered, .arg = t};
	t->status = t->fn(t->rt->agent, &in, &t->err);
	if (t->status != OC_OK)
		leave(t);
}

static void run_alone(task *t)
{
	oc_config *config = NULL;
	oc_log_set_level(OC_LOG_ERROR);
	signal(SIGPIPE, SIG_IGN);
	t->status = oc_config_load_gateway(NULL, &config, &t->err);
	if (t->status == OC_OK && (t->status = oc_runtime_new(config, OC_RUNTIME_ONE_SHOT, &t->rt, &t->err)) != OC_OK)
		oc_config_unref(config);
	if (t->status != OC_OK)
		return;
	oc_runtime_start(t->rt, started, t);
	oc_loop_run(t->rt->loop);
	oc_runtime_free(t->rt);
}

/* ---- Through the gateway ---- */

static void run_remote(task *t)
{
	cJSON *params = cJSON_CreateObject();
	if (t->agent[0] != 0)
		(void)oc_json_set_str(params, "agent", t->agent);
	if (t->query[0] != 0)
		(void)oc_json_set_str(params, "query", t->query);
	if (t->max_results > 0)
		(void)oc_json_set_i64(params, "maxResults", t->max_results);
	if (t->min_score >= 0)
		(void)oc_json_set(params, "minScore", cJSON_CreateNumber(t->min_score));
	if (t->force)
		(void)oc_json_set_bool(params, "force", true);
	t->status = oc_remote_call(t->method, params, WAIT_MS, &t->result, &t->err);
}

static bool run_task(task *t)
{
	if (oc_remote_alive())
		run_remote(t);
	else
		run_alone(t);
	return t->status == OC_OK && t->result != NULL;
}

static const char *text_of(const oc_args *args, const char *name)
{
	const char *value = oc_arg(args, name);
	return value != NULL ? value : "";
}

static int end(const oc_args *args, task *t, void (*print)(const cJSON *result))
{
	if (!run_task(t)) {
		cJSON_Delete(t->result);
		return oc_cli_fail(&t->err);
	}
	if (oc_arg_flag(args, "json"))
		return oc_cli_print_json(t->result);
	print(t->result);
	cJSON_Delete(t->result);
	return OC_EXIT_OK;
}

/* ---- status and index ---- */

static void print_fallback(const cJSON *r)
{
	const cJSON *f = oc_json_get(r, "fallback");
	if (f != NULL)
		printf("%s%s is not used: %s%s\n", oc_yellow(), oc_json_str(f, "from", "Meaning"), oc_json_str(f, "reason", ""), oc_plain());
}

static void print_status(const cJSON *r)
{
	long long files = (long long)oc_json_i64(r, "files", 0), chunks = (long long)oc_json_i64(r, "chunks", 0), vectors = (long long)oc_json_i64(r, "vectors", 0);
	printf("Memory of %s%s%s in %s\n", oc_bold(), oc_json_str(r, "agent", ""), oc_plain(), oc_json_str(r, "workspace", ""));
	if (strcmp(oc_json_str(r, "mode", ""), "module") == 0) {
		printf("  kept by the module %s: %lld file%s, %lld piece%s\n", oc_json_str(r, "provider", ""), files, OC_S(files), chunks, OC_S(chunks));
		return;
	}
	printf("  %lld file%s, %lld piece%s", files, OC_S(files), chunks, OC_S(chunks));
	if (strcmp(oc_json_str(r, "mode", ""), "hybrid") == 0)
		printf(", %lld with vectors of %s/%s", vectors, oc_json_str(r, "provider", ""), oc_json_str(r, "model", ""));
	else
		printf(", searched by words");
	printf("\n  index: %s\n", oc_json_str(r, "index", ""));
	if (oc_json_i64(r, "tooBig", 0) > 0)
		printf("%s  %lld files are larger than 4 MiB and left out%s\n", oc_yellow(), (long long)oc_json_i64(r, "tooBig", 0),
		       oc_plain());
	print_fallback(r);
}

static int run_status(const oc_args *args)
{
	task t = {.method = "memory.status", .fn = oc_memory_status, .agent = text_of(args, "agent"), .query = "", .min_score = -1};
	return end(args, &t, print_status);
}

static int run_index(const oc_args *args)
{
	task t = {.method = "memory.index", .fn = oc_memory_update, .agent = text_of(args, "agent"), .query = "", .min_score = -1,
		  .force = oc_arg_flag(args, "force")};
	return end(args, &t, print_status);
}

/* ---- search ---- */

/* Text of files on a terminal: no control characters. */
static void print_plain(const char *text)
{
	fputs("  ", stdout);
	for (const char *p = text; *p != 0; p++) {
		unsigned char c = (unsigned char)*p;
		if (c == '\n')
			fputs("\n  ", stdout);
		else
			putchar(c < 0x20 || c == 0x7f ? ' ' : c);
	}
	putchar('\n');
}

static void print_hits(const cJSON *r)
{
	const cJSON *hit, *list = oc_json_get(r, "results");
	cJSON_ArrayForEach(hit, list)
	{
		printf("%s%s#L%lld-L%lld%s  %.2f\n", oc_bold(), oc_json_str(hit, "path", ""),
		       (long long)oc_json_i64(hit, "startLine", 0), (long long)oc_json_i64(hit, "endLine", 0), oc_plain(),
		       oc_json_num(hit, "score", 0));
		print_plain(oc_json_str(hit, "snippet", ""));
	}
	if (cJSON_GetArraySize(list) == 0)
		puts("Nothing was found.");
	print_fallback(r);
}

static int run_search(const oc_args *args)
{
	oc_sbuf query;
	int64_t max = 0;
	char *rest = NULL;
	double min = oc_arg(args, "min-score") != NULL ? strtod(oc_arg(args, "min-score"), &rest) : -1;
	if (!oc_arg_i64(args, "max-results", 1, 50, &max))
		return OC_EXIT_USAGE;
	if (rest != NULL && (*rest != 0 || min < 0 || min > 1))
		return oc_cli_usage(args, "--min-score is a number from 0 to 1");
	oc_sbuf_init(&query, 8192);
	for (int i = 0; i < args->n_pos; i++)
		oc_sbuf_printf(&query, "%s%s", i > 0 ? " " : "", args->pos[i]);
	task t = {.method = "memory.search", .fn = oc_memory_search, .agent = text_of(args, "agent"), .query = query.p,
		  .max_results = max, .min_score = min};
	int code = query.error != OC_OK || query.p == NULL ? oc_cli_usage(args, "the query is too long") : end(args, &t, print_hits);
	oc_sbuf_free(&query);
	return code;
}

/* ---- The command ---- */

#define AGENT_OPT {"agent", 'a', "ID", "whose memory (the default agent's)"}
#define JSON_OPT {"json", 0, NULL, "print JSON"}

static const oc_command cmd_status = {
	.name = "status",
	.summary = "what the memory holds, and how it is searched",
	.opts = (const oc_opt[]){AGENT_OPT, JSON_OPT, {0}},
	.run = run_status,
};

static const oc_command cmd_index = {
	.name = "index",
	.summary = "bring the index up to date, with vectors when a provider makes them",
	.help = "A search brings it up to date by itself; after many changes this does it beforehand.\n",
	.opts = (const oc_opt[]){AGENT_OPT, {"force", 0, NULL, "read files again that look unchanged"}, JSON_OPT, {0}},
	.run = run_index,
};

static const oc_command cmd_search = {
	.name = "search",
	.args = "QUERY…",
	.summary = "search the memory as the agent does",
	.opts = (const oc_opt[]){AGENT_OPT, {"max-results", 0, "NUMBER", "at most so many (6)"},
				 {"min-score", 0, "SCORE", "leave out what fits less, 0 to 1 (0.35)"}, JSON_OPT, {0}},
	.min_args = 1,
	.max_args = -1,
	.run = run_search,
};

const oc_command oc_cmd_memory = {
	.name = "memory",
	.summary = "an agent's memory: MEMORY.md and memory/*.md of its workspace",
	.subs = (const oc_command *const[]){&cmd_status, &cmd_index, &cmd_search, NULL},
	.help = "  openclaw memory search \"what did we decide about the garden\"\n",
};
