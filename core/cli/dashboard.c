/* openclaw dashboard: the address of the Control UI, with the token that lets its owner in. */
#include <spawn.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "core/base/mem.h"
#include "core/cli/commands.h"
#include "core/cli/remote.h"
#include "core/config/config.h"
#include "core/gateway/auth.h"
#include "core/gateway/gateway.h"

extern char **environ;

/* Where the gateway listens: it says so itself, else the configuration does. */
static char *address_of(const oc_config *config)
{
	oc_auto_json cJSON *status = NULL;
	const char *base = oc_config_str(config, "gateway.controlUi.basePath", "");
	if (base[0] != '/' || strcmp(base, "/") == 0)
		base = "";
	if (oc_remote_alive() && oc_remote_call("system.status", NULL, 0, &status, NULL) == OC_OK) {
		const char *url = oc_json_str(oc_json_get(status, "listen"), "url", ""), *any = strstr(url, "://0.0.0.0:");
		if (any != NULL) /* not where one can go */
			return oc_asprintf("%.*s://127.0.0.1:%s%s/", (int)(any - url), url, any + strlen("://0.0.0.0:"), base);
		if (url[0] != 0)
			return oc_asprintf("%s%s/", url, base);
	}
	const char *named = oc_config_env(config, "OPENCLAW_GATEWAY_PORT");
	int64_t port = oc_config_i64(config, "gateway.port", OC_GATEWAY_DEFAULT_PORT);
	if (named != NULL)
		(void)oc_str_i64(oc_str_of(named), 1, 65535, &port);
	return oc_asprintf("http%s://127.0.0.1:%lld%s/", oc_config_bool(config, "gateway.tls.enabled", false) ? "s" : "", (long long)port, base);
}

/* What a URL's fragment takes as it is; the rest as %XX. */
static char *with_token(const char *url, const char *token)
{
	static const char plain[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_.~";
	oc_sbuf b;
	oc_sbuf_init(&b, 16384);
	oc_sbuf_z(&b, url);
	oc_sbuf_z(&b, "#token=");
	for (const char *p = token; *p != 0; p++) {
		if (strchr(plain, *p) != NULL)
			oc_sbuf_char(&b, *p);
		else
			oc_sbuf_printf(&b, "%%%02X", (unsigned char)*p);
	}
	return oc_sbuf_take(&b);
}

static bool open_browser(const char *url)
{
	char program[] = "xdg-open";
	oc_auto_free char *copy = oc_strdup(url);
	char *argv[] = {program, copy, NULL};
	pid_t pid;
	int status = 0;
	bool screen = getenv("DISPLAY") != NULL || getenv("WAYLAND_DISPLAY") != NULL;
	if (!screen || copy == NULL || posix_spawnp(&pid, argv[0], NULL, NULL, argv, environ) != 0)
		return false;
	return waitpid(pid, &status, 0) == pid && WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

static int run(const oc_args *args)
{
	oc_err err = {0};
	oc_config *config = NULL;
	if (oc_config_load_secrets(NULL, &config, &err) != OC_OK)
		return oc_cli_fail(&err);
	oc_auto_free char *url = address_of(config);
	const char *mode = oc_config_str(config, "gateway.auth.mode", "token");
	char *token = strcmp(mode, "token") == 0 ? oc_auth_client_token(config) : NULL;
	char *whole = url == NULL ? NULL : token != NULL ? with_token(url, token) : oc_strdup(url);
	bool served = oc_config_str(config, "gateway.controlUi.root", "")[0] != 0 && oc_config_bool(config, "gateway.controlUi.enabled", true);
	oc_config_unref(config);
	if (token != NULL)
		oc_wipe(token, strlen(token));
	oc_free(token);
	if (whole == NULL)
		return oc_cli_fail((oc_fail(&err, OC_E_NOMEM, NULL, "out of memory"), &err));
	bool json = oc_arg_flag(args, "json"), opened = false;
	if (json) {
		cJSON *o = cJSON_CreateObject();
		(void)oc_json_set_str(o, "url", whole);
		(void)oc_json_set_bool(o, "served", served);
		(void)oc_cli_print_json(o);
	} else {
		printf("Dashboard URL: %s\n", whole);
		fflush(stdout);
		opened = served && !oc_arg_flag(args, "no-open") && open_browser(whole);
		if (opened)
			puts("It is open in your browser.");
		else if (!served)
			puts("No Control UI is served: set gateway.controlUi.root to its folder (dist/control-ui of the npm package openclaw).");
		else
			puts("The address has the gateway's token: whoever has it is the owner. Others log in at /auth/login.");
	}
	oc_wipe(whole, strlen(whole));
	oc_free(whole);
	return OC_EXIT_OK;
}

const oc_command oc_cmd_dashboard = {
	.name = "dashboard",
	.summary = "the address of the Control UI, with your token",
	.opts = (const oc_opt[]){{"no-open", 0, NULL, "do not open a browser"}, {"json", 0, NULL, "one JSON document; opens nothing"}, {0}},
	.help = "Opens a browser where there is a screen.  From another machine, lead its port here first: ssh -L 18789:127.0.0.1:18789 HOST\n",
	.run = run,
};
