/* openclaw module trace: what a module is called for by the running gateway, live. */
#include <signal.h>
#include <string.h>
#include <time.h>

#include "core/base/mem.h"
#include "core/base/str.h"
#include "core/cli/commands.h"
#include "core/cli/remote.h"

enum { PAUSE_MS = 100 };

static volatile sig_atomic_t ended;

static void on_signal(int signum)
{
	(void)signum;
	ended = 1;
}

static void print_entry(const cJSON *e)
{
	int64_t ts = oc_json_i64(e, "ts", 0);
	time_t seconds = (time_t)(ts / 1000);
	struct tm tm;
	char when[16] = "";
	const char *what = oc_json_str(e, "what", ""), *status = oc_json_str(e, "status", "");
	bool bad = strcmp(status, "ok") != 0;

	if (localtime_r(&seconds, &tm) != NULL)
		(void)strftime(when, sizeof(when), "%H:%M:%S", &tm);
	printf("%s.%03d %-5s %-19s", when, (int)(ts % 1000), what, oc_json_str(e, "function", ""));
	if (oc_json_i64(e, "call", 0) != 0)
		printf(" #%-6lld", (long long)oc_json_i64(e, "call", 0));
	else
		printf(" %-7s", "");
	printf(" %10.3f ms %9lld bytes%s%s%s%s\n", oc_json_num(e, "ms", 0), (long long)oc_json_i64(e, "bytes", 0), bad ? "  " : "",
	       bad ? oc_red() : "", bad ? status : "", bad ? oc_plain() : "");
}

static void print_all(const cJSON *r, bool json)
{
	const cJSON *e;

	if (oc_json_i64(r, "lost", 0) > 0)
		fprintf(stderr, "%lld were too many at once and are left out\n", (long long)oc_json_i64(r, "lost", 0));
	cJSON_ArrayForEach(e, oc_json_get(r, "entries"))
	{
		oc_auto_free char *line = json ? oc_json_print(e) : NULL;
		if (line != NULL)
			puts(line);
		else if (!json)
			print_entry(e);
	}
	(void)fflush(stdout);
}

static int module_trace(const oc_args *args)
{
	struct sigaction action = {.sa_handler = on_signal};
	struct timespec pause = {.tv_nsec = PAUSE_MS * 1000000L};
	int64_t after = 0;
	oc_err err = {0};

	(void)sigaction(SIGINT, &action, NULL);
	(void)sigaction(SIGTERM, &action, NULL);
	while (!ended && !ferror(stdout)) {
		cJSON *params = cJSON_CreateObject();
		oc_auto_json cJSON *result = NULL;

		(void)oc_json_set_str(params, "name", args->pos[0]);
		(void)oc_json_set_i64(params, "after", after);
		if (oc_remote_call("modules.trace", params, 0, &result, &err) != OC_OK)
			return ended ? OC_EXIT_OK : oc_remote_fail(&err);
		print_all(result, oc_arg_flag(args, "json"));
		after = oc_json_i64(result, "next", after);
		(void)nanosleep(&pause, NULL);
	}
	return OC_EXIT_OK;
}

const oc_command oc_cmd_module_trace = {
	.name = "trace",
	.args = "NAME",
	.summary = "watch what a module is called for, and how long it takes",
	.help = "Until Ctrl-C. A line when a function of it returned (call: the time inside it), when a call was completed (done:\n"
		"the time since it began), and for each timer, descriptor, post and work. It costs nothing when nobody watches.\n",
	.opts = (const oc_opt[]){{"json", 0, NULL, "print one JSON object a line"}, {0}},
	.min_args = 1,
	.max_args = 1,
	.run = module_trace,
};
