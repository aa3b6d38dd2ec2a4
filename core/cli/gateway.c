/* openclaw gateway run|status|stop|restart|call */
#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "core/base/clock.h"
#include "core/base/path.h"
#include "core/cli/commands.h"
#include "core/cli/remote.h"
#include "core/cli/status.h"
#include "core/cli/service.h"
#include "core/gateway/absent.h"
#include "core/gateway/gateway.h"

static int run_gateway(const oc_args *args)
{
	int64_t port = 0;
	if (!oc_arg_i64(args, "port", 1, 65535, &port))
		return OC_EXIT_USAGE;
	oc_gateway_options options = {
		.port = oc_arg_flag(args, "any-port") ? -1 : (int)port,
		.bind = oc_arg(args, "bind"),
		.token = oc_arg(args, "token"),
		.verbose = oc_arg_flag(args, "verbose"),
		.safe_mode = oc_arg_flag(args, "safe-mode"),
		.process_start_ns = oc_now_ns(),
	};
	if (oc_arg_flag(args, "force") && oc_remote_alive() && oc_service_stop_gateway(20000) != OC_EXIT_OK)
		return OC_EXIT_FAILED;
	return oc_gateway_run(&options);
}

static const oc_command run_command = {
	.name = "run",
	.summary = "run the gateway in the foreground",
	.opts = (const oc_opt[]){{"port", 'p', "NUMBER", "port to listen on (else OPENCLAW_GATEWAY_PORT, gateway.port, 18789)"},
				 {"any-port", 0, NULL, "listen on any free port; `gateway status` tells which"},
				 {"bind", 0, "WHERE", "loopback, lan, tailnet or a numeric address (else OPENCLAW_GATEWAY_BIND, gateway.bind)"},
				 {"token", 0, "TOKEN", "the bearer token clients must send (better: OPENCLAW_GATEWAY_TOKEN)"},
				 {"force", 'f', NULL, "stop a gateway that runs already"},
				 {"safe-mode", 0, NULL, "bundled modules only, no plugins: to find out who is to blame"},
				 {"verbose", 'v', NULL, "log more"},
				 {0}},
	.help = "Signals: SIGTERM and SIGINT stop in order (twice: at once), SIGHUP reads the configuration again.\n",
	.run = run_gateway,
};

static int status_gateway(const oc_args *args)
{
	oc_err err = {0};
	cJSON *status = NULL;
	bool json = oc_arg_flag(args, "json");
	if (oc_remote_call("system.status", NULL, 0, &status, &err) != OC_OK) {
		if (json && err.code == OC_E_UNAVAILABLE) {
			status = cJSON_CreateObject();
			oc_json_set_bool(status, "ok", false);
			oc_json_set_bool(status, "running", false);
			oc_cli_print_json(status);
		}
		return oc_remote_fail(&err);
	}
	if (json)
		return oc_cli_print_json(status);
	oc_status_print_gateway(status);
	cJSON_Delete(status);
	return OC_EXIT_OK;
}

static const oc_command status_command = {
	.name = "status",
	.summary = "tell whether the gateway runs, and where",
	.opts = (const oc_opt[]){{"json", 0, NULL, "print JSON"}, {0}},
	.run = status_gateway,
};

static int stop_gateway(const oc_args *args)
{
	int64_t seconds = 40;
	if (!oc_arg_i64(args, "timeout", 1, 600, &seconds))
		return OC_EXIT_USAGE;
	int code = oc_service_stop_gateway((unsigned)seconds * 1000);
	if (code == OC_EXIT_OK)
		puts("stopped");
	return code;
}

static const oc_command stop_command = {
	.name = "stop",
	.summary = "stop the gateway: running turns are finished first",
	.opts = (const oc_opt[]){{"timeout", 0, "SECONDS", "how long to wait (40)"}, {0}},
	.run = stop_gateway,
};

static int restart_gateway(const oc_args *args)
{
	if (oc_remote_named())
		return oc_cli_usage(args, "OPENCLAW_GATEWAY_URL names a gateway that may be elsewhere: restart it where it runs");
	/* A gateway under systemd is systemd's to restart; one that runs by hand comes back in the background. */
	if (oc_service_is_active())
		return oc_service_restart();
	if (oc_remote_alive()) {
		int code = oc_service_stop_gateway(40000);
		if (code != OC_EXIT_OK)
			return code;
	}
	return oc_service_start_background();
}

static const oc_command restart_command = {
	.name = "restart",
	.summary = "stop the gateway and start it again in the background (or through systemd)",
	.run = restart_gateway,
};

/* The original's command, which plugins start as well. */
static int call_gateway(const oc_args *args)
{
	const char *text = oc_arg(args, "params"), *url = oc_arg(args, "url"), *token = oc_arg(args, "token");
	cJSON *params = NULL, *result = NULL;
	oc_err err = {0};
	int64_t ms = 10000;
	if (!oc_arg_i64(args, "timeout", 1, 24 * 3600 * 1000, &ms))
		return OC_EXIT_USAGE;
	if (text != NULL && oc_json_parse(oc_str_of(text), NULL, &params, &err) != OC_OK)
		return oc_cli_usage(args, "--params: %s", err.text);
	/* The token of this gateway is nobody else's business. */
	if (url != NULL && token == NULL && getenv("OPENCLAW_GATEWAY_TOKEN") == NULL) {
		cJSON_Delete(params);
		return oc_cli_usage(args, "--url wants --token too");
	}
	if ((url != NULL && setenv("OPENCLAW_GATEWAY_URL", url, 1) != 0) || (token != NULL && setenv("OPENCLAW_GATEWAY_TOKEN", token, 1) != 0)) {
		cJSON_Delete(params);
		return OC_EXIT_FAILED;
	}
	if (oc_remote_call(args->pos[0], params, (unsigned)ms, &result, &err) != OC_OK)
		return oc_remote_fail(&err);
	return oc_cli_print_json(result);
}

static const oc_command call_command = {
	.name = "call",
	.args = "METHOD",
	.summary = "call a method of the running gateway and print its answer as JSON",
	.opts = (const oc_opt[]){{"params", 0, "JSON", "its parameters ({})"},
				 {"timeout", 0, "MS", "how long to wait (10000)"},
				 {"url", 0, "URL", "another gateway, http://ADDRESS:PORT; wants --token"},
				 {"token", 0, "TOKEN", "its token (better: OPENCLAW_GATEWAY_TOKEN)"},
				 {"expect-final", 0, NULL, "for scripts made for OpenClaw in TypeScript: the last answer is waited for anyway"},
				 {"json", 0, NULL, "the same"},
				 {0}},
	.help = "Methods: openclaw gateway methods\n",
	.min_args = 1,
	.max_args = 1,
	.run = call_gateway,
};

/* "key* limit": what is needed has a star. */
static void print_params(const cJSON *params)
{
	const cJSON *one, *need;
	const char *before = "    parameters: ";
	cJSON_ArrayForEach(one, oc_json_get(params, "properties"))
	{
		bool needed = false;
		cJSON_ArrayForEach(need, oc_json_get(params, "required")) needed = needed || strcmp(need->valuestring, one->string) == 0;
		printf("%s%s%s", before, one->string, needed ? "*" : "");
		before = " ";
	}
	if (before[1] == 0)
		putchar('\n');
}

static int list_methods(const oc_args *args)
{
	cJSON *methods = oc_method_list(), *absent = oc_absent_list(), *all = cJSON_CreateObject();
	const cJSON *one;
	(void)oc_json_set(all, "methods", methods);
	(void)oc_json_set(all, "unavailable", absent);
	if (oc_arg_flag(args, "json"))
		return oc_cli_print_json(all);
	cJSON_ArrayForEach(one, methods)
	{
		printf("%s%s%s (%s)\n    %s\n", oc_bold(), oc_json_str(one, "name", ""), oc_plain(), oc_json_str(one, "scope", ""),
		       oc_json_str(one, "summary", ""));
		print_params(oc_json_get(one, "params"));
	}
	printf("\nOf the TypeScript gateway, but unavailable here:\n");
	cJSON_ArrayForEach(one, absent) printf("%s%s%s (%s)\n    %s\n", oc_bold(), oc_json_str(one, "name", ""), oc_plain(),
					       oc_json_str(one, "scope", ""), oc_json_str(one, "reason", ""));
	cJSON_Delete(all);
	return OC_EXIT_OK;
}

static const oc_command methods_command = {
	.name = "methods",
	.summary = "list the methods that can be called: scope, what they do, parameters",
	.opts = (const oc_opt[]){{"json", 0, NULL, "print JSON, with the parameters' schemas"}, {0}},
	.help = "Needs no running gateway. A star marks parameters that are needed. Those of plugins: openclaw gateway call system.methods\n",
	.run = list_methods,
};

static const oc_command *const subs[] = {&run_command, &status_command, &stop_command, &restart_command, &call_command, &methods_command, NULL};

const oc_command oc_cmd_gateway = {
	.name = "gateway",
	.summary = "run the gateway, see it, call it, stop it",
	.subs = subs,
};
