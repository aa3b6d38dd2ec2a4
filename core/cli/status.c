/* openclaw status */
#include "core/cli/status.h"

#include <inttypes.h>
#include <string.h>

#include "core/base/mem.h"
#include "core/base/path.h"
#include "core/cli/commands.h"
#include "core/cli/remote.h"
#include "core/config/config.h"

static void print_duration(int64_t ms)
{
	int64_t s = ms / 1000;
	if (s < 120)
		printf("%" PRId64 " s", s);
	else if (s < 7200)
		printf("%" PRId64 " min", s / 60);
	else if (s < 172800)
		printf("%" PRId64 " h", s / 3600);
	else
		printf("%" PRId64 " days", s / 86400);
}

static void label(const char *name)
{
	printf("%s%-10s%s", oc_bold(), name, oc_plain());
}

void oc_status_print_gateway(const cJSON *status)
{
	const cJSON *listen = oc_json_get(status, "listen"), *model = oc_json_get(status, "model");
	bool ok = oc_json_bool(status, "ok", false);
	label("gateway");
	printf("%s%s%s at %s, up ", ok ? oc_green() : oc_yellow(), ok ? "running" : "not ready", oc_plain(),
	       oc_json_str(listen, "url", "?"));
	print_duration(oc_json_i64(status, "uptimeMs", 0));
	printf(" %s(pid %" PRId64 ", version %s, ready in %.1f ms)%s\n", oc_dim(), oc_json_i64(status, "pid", 0),
	       oc_json_str(status, "version", "?"), (double)oc_json_i64(status, "readyMicros", 0) / 1000, oc_plain());
	label("token");
	printf("in %s\n", oc_json_str(status, "tokenFrom", "?"));
	label("model");
	bool usable = oc_json_bool(model, "usable", false);
	const char *reason = oc_json_str(model, "reason", "");
	printf("%s%s%s%s%s\n", usable ? "" : oc_red(), oc_json_str(model, "model", "none"), usable ? "" : oc_plain(),
	       reason[0] != 0 ? " - " : "", reason);
}

static void print_channels(const cJSON *channels)
{
	const cJSON *channel, *account;
	int n = 0;
	cJSON_ArrayForEach(channel, channels)
	{
		cJSON_ArrayForEach(account, oc_json_get(channel, "accounts"))
		{
			const char *state = oc_json_str(account, "state", "?"), *detail = oc_json_str(account, "detail", "");
			bool good = strcmp(state, "connected") == 0;
			label(n++ == 0 ? "channels" : "");
			printf("%s/%s: %s%s%s%s%s\n", oc_json_str(channel, "id", "?"), oc_json_str(account, "account", "?"),
			       good ? oc_green() : oc_yellow(), state, oc_plain(), detail[0] != 0 ? " - " : "", detail);
		}
	}
	if (n == 0) {
		label("channels");
		puts("none configured (see channels.* in the configuration)");
	}
}

static void print_modules(const cJSON *modules)
{
	const cJSON *m;
	int running = 0;
	label("modules");
	cJSON_ArrayForEach(m, modules)
	{
		if (oc_json_bool(m, "running", false))
			printf("%s%s", running++ > 0 ? ", " : "", oc_json_str(m, "name", "?"));
	}
	puts(running == 0 ? "none run" : "");
	cJSON_ArrayForEach(m, modules)
	{
		if (oc_json_bool(m, "running", false) || oc_json_str(m, "reason", "")[0] == 0)
			continue;
		label("");
		printf("%s%s: %s%s, %s\n", oc_yellow(), oc_json_str(m, "name", "?"), oc_json_str(m, "state", "?"), oc_plain(),
		       oc_json_str(m, "reason", ""));
	}
}

static void print_problems(const cJSON *config)
{
	const cJSON *p;
	const char *not_used = oc_json_str(config, "reloadError", NULL);
	label("config");
	printf("%s%s\n", oc_json_str(config, "path", "?"),
	       oc_json_bool(config, "lastGood", false) ? " (broken: the last good copy is used)" : "");
	if (not_used != NULL) {
		label("");
		printf("%serror%s %s; what was loaded before is used\n", oc_red(), oc_plain(), not_used);
	}
	cJSON_ArrayForEach(p, oc_json_get(config, "problems"))
	{
		bool error = strcmp(oc_json_str(p, "severity", ""), "error") == 0;
		label("");
		printf("%s%s%s %s%s%s%s%s\n", error ? oc_red() : oc_yellow(), error ? "error" : "warning", oc_plain(),
		       oc_json_str(p, "path", ""), oc_json_str(p, "path", "")[0] != 0 ? ": " : "",
		       oc_json_str(p, "message", ""), oc_json_str(p, "remedy", "")[0] != 0 ? "; " : "",
		       oc_json_str(p, "remedy", ""));
	}
}

/* Without a gateway: what can be said from the files. */
static int print_offline(bool json, const oc_err *err)
{
	oc_config *config = NULL;
	oc_err config_err = {0};
	oc_status loaded = oc_config_load(NULL, &config, &config_err);
	oc_auto_free char *path = oc_path_config();
	if (json) {
		cJSON *root = cJSON_CreateObject(), *c = cJSON_AddObjectToObject(root, "config");
		oc_json_set_bool(root, "ok", false);
		oc_json_set_bool(root, "running", false);
		oc_json_set_str(root, "version", PACKAGE_VERSION);
		oc_json_set_str(c, "path", path != NULL ? path : "");
		oc_json_set_bool(c, "exists", loaded == OC_OK && oc_config_exists(config));
		if (loaded != OC_OK)
			oc_json_set_str(c, "error", config_err.text);
		oc_config_unref(config);
		oc_cli_print_json(root);
		return OC_EXIT_NOT_RUNNING;
	}
	label("gateway");
	printf("%snot running%s (%s)\n", oc_yellow(), oc_plain(), err->remedy);
	label("config");
	if (loaded != OC_OK)
		printf("%s%s%s\n", oc_red(), config_err.text, oc_plain());
	else if (!oc_config_exists(config))
		printf("%s does not exist yet: `openclaw onboard` writes it\n", path != NULL ? path : "?");
	else
		printf("%s, %zu problem%s%s\n", path != NULL ? path : "?", oc_config_problem_count(config),
		       oc_config_problem_count(config) == 1 ? "" : "s",
		       oc_config_problem_count(config) > 0 ? " (`openclaw config validate`)" : "");
	oc_config_unref(config);
	return OC_EXIT_NOT_RUNNING;
}

/* Only what asks for attention: figures are in `openclaw store stats`. */
static void print_store(const cJSON *store)
{
	int64_t dead = oc_json_i64(store, "deadLetters", 0);
	if (!oc_json_bool(store, "ok", true)) {
		label("store");
		printf("%scannot be written%s, %" PRId64 " changes wait: %s; %s\n", oc_red(), oc_plain(), oc_json_i64(store, "held", 0),
		       oc_json_str(store, "error", ""), oc_json_str(store, "remedy", ""));
	}
	if (dead > 0) {
		label("delivery");
		printf("%s%" PRId64 " message%s given up%s: `openclaw store dead list`\n", oc_yellow(), dead, dead == 1 ? " was" : "s were",
		       oc_plain());
	}
}

/* ---- --deep ---- */

static void print_probes(const char *title, const cJSON *list, const char *key)
{
	const cJSON *p;
	int n = 0;
	cJSON_ArrayForEach(p, list)
	{
		bool ok = oc_json_bool(p, "ok", false);
		label(n++ == 0 ? title : "");
		oc_cli_text(stdout, oc_json_ostr(p, key), 140, true);
		printf(": %s%s%s", ok ? oc_green() : oc_red(), ok ? "ok" : "fails", oc_plain());
		if (oc_json_i64(p, "ms", 0) > 0)
			printf(" in %" PRId64 " ms", oc_json_i64(p, "ms", 0));
		fputs(" - ", stdout);
		oc_cli_text(stdout, oc_json_ostr(p, "detail"), 200, true);
		puts("");
	}
}

static void print_time(double ms)
{
	if (ms >= 10000)
		printf("%9.1f s ", ms / 1000);
	else if (ms >= 10)
		printf("%9.0f ms", ms);
	else
		printf("%9.2f ms", ms);
}

static void print_stages(const cJSON *stages)
{
	const cJSON *s;
	printf("\n%s%-12s %8s %12s %12s %12s%s\n", oc_bold(), "stage", "count", "p50", "p95", "longest", oc_plain());
	cJSON_ArrayForEach(s, stages)
	{
		printf("%-12s %8" PRId64 " ", oc_json_str(s, "name", "?"), oc_json_i64(s, "count", 0));
		print_time(oc_json_num(s, "p50Ms", 0));
		putchar(' ');
		print_time(oc_json_num(s, "p95Ms", 0));
		putchar(' ');
		print_time(oc_json_num(s, "maxMs", 0));
		printf("  %s%s%s\n", oc_dim(), oc_json_str(s, "what", ""), oc_plain());
	}
}

static void print_load(const cJSON *deep)
{
	const cJSON *q, *m, *loop = oc_json_get(deep, "loop");
	int n = 0;
	puts("");
	int empty = 0;
	cJSON_ArrayForEach(q, oc_json_get(deep, "queues"))
	{
		int64_t depth = oc_json_i64(q, "depth", 0), refused = oc_json_i64(q, "refused", 0);
		if (depth == 0 && refused == 0) {
			empty++;
			continue;
		}
		label(n++ == 0 ? "queues" : "");
		printf("%s: %" PRId64 " of %" PRId64, oc_json_str(q, "name", "?"), depth, oc_json_i64(q, "capacity", 0));
		if (refused > 0)
			printf(", full %" PRId64 " time%s", refused, refused == 1 ? "" : "s");
		puts("");
	}
	label(n == 0 ? "queues" : "");
	printf("%d %sempty, and never were full\n", empty, n == 0 ? "" : "others ");
	label("loop");
	printf("busy %.2f ms (p50), %.1f ms (p99); timers late by %.1f ms (p95), %.0f ms at most\n", oc_json_num(loop, "busyP50Ms", 0),
	       oc_json_num(loop, "busyP99Ms", 0), oc_json_num(loop, "lagP95Ms", 0), oc_json_num(loop, "lagMaxMs", 0));
	n = 0;
	cJSON_ArrayForEach(m, oc_json_get(deep, "modules"))
	{
		label(n++ == 0 ? "modules" : "");
		printf("%s: %" PRId64 " callbacks, longest %.1f ms, %" PRId64 " over 10 ms\n", oc_json_str(m, "name", "?"),
		       oc_json_i64(m, "callbacks", 0), oc_json_num(m, "maxMs", 0), oc_json_i64(m, "over10ms", 0));
	}
	n = 0;
	cJSON_ArrayForEach(m, oc_json_get(deep, "slowest"))
	{
		label(n++ == 0 ? "time of" : "");
		printf("%s %s: %" PRId64 " times, %.1f s in all, longest %" PRId64 " ms\n", oc_json_str(m, "kind", "?"),
		       oc_json_str(m, "name", "?"), oc_json_i64(m, "count", 0), (double)oc_json_i64(m, "totalMs", 0) / 1000,
		       oc_json_i64(m, "maxMs", 0));
	}
	label("memory");
	printf("%.1f MiB resident, write-ahead log %.1f MiB\n", (double)oc_json_i64(deep, "residentBytes", 0) / 1048576,
	       (double)oc_json_i64(deep, "walBytes", 0) / 1048576);
}

static void print_deep(const cJSON *deep)
{
	const cJSON *f, *probes = oc_json_get(deep, "probes");
	bool slow = oc_json_bool(deep, "slow", false);
	print_probes("providers", oc_json_get(probes, "providers"), "provider");
	print_probes("channels", oc_json_get(probes, "channels"), "channel");
	print_stages(oc_json_get(deep, "stages"));
	print_load(deep);
	puts("");
	if (!slow) {
		label("verdict");
		printf("%s%s%s\n", oc_green(), oc_json_str(deep, "bottleneck", ""), oc_plain());
	}
	int n = 0;
	cJSON_ArrayForEach(f, oc_json_get(deep, "findings"))
	{
		label(n++ == 0 ? "slow" : "");
		fputs(oc_yellow(), stdout);
		oc_cli_text(stdout, oc_json_ostr(f, "message"), 400, true);
		fputs(oc_plain(), stdout);
		if (oc_json_str(f, "remedy", "")[0] != 0)
			printf("; %s", oc_json_str(f, "remedy", ""));
		puts("");
	}
}

static int run_deep(bool json, cJSON *status)
{
	oc_err err = {0};
	cJSON *deep = NULL;
	if (oc_remote_call("system.deep", NULL, 20000, &deep, &err) != OC_OK) {
		cJSON_Delete(status);
		return oc_remote_fail(&err);
	}
	if (json) {
		oc_json_set(status, "deep", deep);
		return oc_cli_print_json(status);
	}
	oc_cli_clean(status);
	oc_cli_clean(deep);
	oc_status_print_gateway(status);
	print_deep(deep);
	cJSON_Delete(deep);
	cJSON_Delete(status);
	return OC_EXIT_OK;
}

static int run_status(const oc_args *args)
{
	oc_err err = {0};
	cJSON *status = NULL;
	bool json = oc_arg_flag(args, "json");
	if (oc_remote_call("system.status", NULL, 0, &status, &err) != OC_OK)
		return err.code == OC_E_UNAVAILABLE ? print_offline(json, &err) : oc_remote_fail(&err);
	if (oc_arg_flag(args, "deep"))
		return run_deep(json, status);
	if (json)
		return oc_cli_print_json(status);
	oc_cli_clean(status);
	oc_status_print_gateway(status);
	print_channels(oc_json_get(status, "channels"));
	print_modules(oc_json_get(status, "modules"));
	const cJSON *turns = oc_json_get(status, "turns");
	label("work");
	printf("%" PRId64 " running, %" PRId64 " waiting, %" PRId64 " done, %" PRId64 " failed; %" PRId64 " session%s\n",
	       oc_json_i64(turns, "running", 0), oc_json_i64(turns, "waiting", 0), oc_json_i64(turns, "ok", 0),
	       oc_json_i64(turns, "failed", 0), oc_json_i64(status, "sessions", 0),
	       oc_json_i64(status, "sessions", 0) == 1 ? "" : "s");
	print_store(oc_json_get(status, "store"));
	print_problems(oc_json_get(status, "config"));
	cJSON_Delete(status);
	return OC_EXIT_OK;
}

const oc_command oc_cmd_status = {
	.name = "status",
	.summary = "what runs, and what is wrong",
	.opts = (const oc_opt[]){{"deep", 0, NULL, "ask channels and providers, and say what is slow"},
				 {"json", 0, NULL, "print JSON"},
				 {0}},
	.run = run_status,
};
