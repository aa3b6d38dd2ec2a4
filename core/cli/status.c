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
	label("config");
	printf("%s%s\n", oc_json_str(config, "path", "?"),
	       oc_json_bool(config, "lastGood", false) ? " (broken: the last good copy is used)" : "");
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

static int run_status(const oc_args *args)
{
	oc_err err = {0};
	cJSON *status = NULL;
	bool json = oc_arg_flag(args, "json");
	if (oc_remote_call("system.status", NULL, 0, &status, &err) != OC_OK)
		return err.code == OC_E_UNAVAILABLE ? print_offline(json, &err) : oc_remote_fail(&err);
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
	.opts = (const oc_opt[]){{"json", 0, NULL, "print JSON"}, {0}},
	.run = run_status,
};
