/* Commands that plugins add to the command line: which there are, and running one in a process of its own, which has the
 * caller's terminal. */
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "core/base/log.h"
#include "core/base/mem.h"
#include "ipc-bridge/plugin.h"

bool oc_bridge_cli_row(oc_bridge *bridge, size_t i, oc_plugin_cli *ret)
{
	const cJSON *row, *name, *descriptor;
	for (oc_plugin *p = bridge->plugins; p != NULL; p = p->next) {
		if (!oc_plugin_offers(p))
			continue;
		cJSON_ArrayForEach(row, oc_json_get(p->snapshot, "cli"))
		{
			cJSON_ArrayForEach(name, oc_json_get(row, "commands"))
			{
				if (!cJSON_IsString(name) || i-- > 0)
					continue;
				*ret = (oc_plugin_cli){.name = name->valuestring, .plugin = p, .id = p->id, .help = ""};
				cJSON_ArrayForEach(descriptor, oc_json_get(row, "descriptors"))
				{
					if (strcmp(oc_json_str(descriptor, "name", ""), name->valuestring) == 0)
						ret->help = oc_json_str(descriptor, "description", "");
				}
				return true;
			}
		}
	}
	return false;
}

/* ---- Learning what plugins register, without a gateway ---- */

typedef struct inspection {
	unsigned open;
	void (*done)(void *arg);
	void *arg;
} inspection;

static void looked_at(void *arg, oc_status status, const char *why)
{
	inspection *in = arg;
	if (status != OC_OK)
		oc_debug("plugins", "a plugin cannot be looked at: %s", why);
	if (--in->open > 0)
		return;
	in->done(in->arg);
	oc_free(in);
}

static void asked_all(void *arg)
{
	looked_at(arg, OC_OK, "");
}

bool oc_bridge_unknown(const oc_bridge *bridge)
{
	for (const oc_plugin *p = bridge->plugins; p != NULL; p = p->next)
		if (p->enabled && p->snapshot == NULL)
			return true;
	return false;
}

oc_status oc_bridge_inspect(oc_bridge *bridge, void (*done)(void *arg), void *arg)
{
	inspection *in = oc_alloc(sizeof(*in));
	if (in == NULL)
		return OC_E_NOMEM;
	*in = (inspection){.open = 1, .done = done, .arg = arg};
	for (oc_plugin *p = bridge->plugins; p != NULL; p = p->next)
		if (p->enabled && p->snapshot == NULL && bridge->node != NULL && oc_plugin_wake(p, looked_at, in) == OC_OK)
			in->open++;
	return oc_loop_defer(bridge->loop, bridge->owner, asked_all, in);
}

/* ---- Running one ---- */

typedef struct cli_run {
	oc_proc *proc;
	void (*done)(void *arg, int code);
	void (*logged_in)(void *arg, int code, const cJSON *result); /* instead of done */
	void *arg;
	int fd; /* what a login ended with comes by it; -1: none does */
	oc_watch *signals[3];
} cli_run;

enum { RESULT_MAX = 1 << 20 };

static void end(cli_run *r)
{
	for (size_t i = 0; i < sizeof(r->signals) / sizeof(r->signals[0]); i++)
		oc_watch_end(r->signals[i]);
	if (r->fd >= 0)
		(void)close(r->fd);
	oc_free(r);
}

/* NULL: nothing that can be used. */
static cJSON *read_result(int fd)
{
	cJSON *result = NULL;
	char *text = oc_alloc(RESULT_MAX + 1);
	ssize_t n = text != NULL ? pread(fd, text, RESULT_MAX, 0) : -1;
	if (n > 0 && oc_json_parse((oc_str){text, (size_t)n}, NULL, &result, NULL) != OC_OK)
		result = NULL;
	oc_wipe(text, n > 0 ? (size_t)n : 0); /* keys are in it */
	oc_free(text);
	return result;
}

static void on_exit_of(void *arg, oc_status status, int exit_code, int signal, oc_str message)
{
	cli_run *r = arg;
	if (status != OC_OK && status != OC_E_CANCELED)
		oc_error("plugins", "%.*s", OC_STR_ARG(message));
	int code = signal != 0 ? 128 + signal : status != OC_OK && exit_code == 0 ? 1 : exit_code;
	if (r->logged_in != NULL) {
		oc_auto_json cJSON *result = code == 0 ? read_result(r->fd) : NULL;
		r->logged_in(r->arg, code, result);
	} else {
		r->done(r->arg, code);
	}
	end(r);
}

/* The child has a session of its own: what the terminal sends us is passed on. */
static void on_int(void *arg)
{
	(void)oc_proc_kill(((cli_run *)arg)->proc, 2);
}

static void on_term(void *arg)
{
	(void)oc_proc_kill(((cli_run *)arg)->proc, 15);
}

static int params_fd(const oc_plugin *plugin, int argc, char **argv, const cJSON *login)
{
	oc_auto_free char *init = oc_plugin_init_params(plugin, plugin->bridge->state);
	oc_auto_json cJSON *o = cJSON_CreateObject(), *list = cJSON_CreateArray();
	for (int i = 0; i < argc; i++)
		(void)cJSON_AddItemToArray(list, cJSON_CreateString(argv[i]));
	(void)oc_json_set(o, "argv", cJSON_Duplicate(list, true));
	if (login != NULL)
		(void)oc_json_set(o, "login", cJSON_Duplicate(login, true));
	if (init == NULL || !oc_json_set(o, "init", cJSON_CreateRaw(init)))
		return -1;
	oc_auto_free char *text = oc_json_print(o);
	int fd = text != NULL ? memfd_create("openclaw-cli", MFD_CLOEXEC) : -1;
	size_t n = text != NULL ? strlen(text) : 0;
	for (size_t at = 0; fd >= 0 && at < n;) {
		ssize_t wrote = write(fd, text + at, n - at);
		if (wrote <= 0) {
			(void)close(fd);
			return -1;
		}
		at += (size_t)wrote;
	}
	if (fd >= 0)
		(void)lseek(fd, 0, SEEK_SET);
	return fd;
}

/* run is copied. */
static oc_status start(oc_plugin *plugin, int argc, char **argv, const cJSON *login, const cli_run *run, oc_err *err)
{
	char cwd[4096];
	if (plugin->bridge->node == NULL)
		return oc_fail(err, OC_E_UNAVAILABLE, "install Node.js 20 or newer, or set plugins.node to its path",
			       "TypeScript plugins run in Node.js, which is not here");
	cli_run *r = oc_alloc(sizeof(*r));
	int fd = r != NULL ? params_fd(plugin, argc, argv, login) : -1;
	if (fd < 0) {
		oc_free(r);
		return oc_fail(err, OC_E_NOMEM, NULL, "the command cannot be handed to the plugin");
	}
	*r = *run;
	r->fd = -1;
	const char *term = oc_config_env(plugin->bridge->config, "TERM");
	oc_auto_free char *env_term = oc_asprintf("TERM=%s", term != NULL ? term : "dumb");
	oc_plugin_launch launch = {.script = "cli.js", .read = getcwd(cwd, sizeof(cwd)), .env = {env_term}, .flags = OC_PROC_TERMINAL,
				   .pass_fd = fd, .on_exit = on_exit_of, .arg = r};
	oc_status status = oc_plugin_spawn(plugin, &launch, &r->proc, err);
	if (status == OC_OK && login != NULL)
		r->fd = fd;
	else
		(void)close(fd);
	if (status != OC_OK) {
		oc_free(r);
		return status;
	}
	r->signals[0] = oc_signal_watch(plugin->bridge->owner, 2, on_int, r);
	r->signals[1] = oc_signal_watch(plugin->bridge->owner, 15, on_term, r);
	r->signals[2] = oc_signal_watch(plugin->bridge->owner, 1, on_term, r);
	return OC_OK;
}

oc_status oc_plugin_cli_run(oc_plugin *plugin, int argc, char **argv, void (*done)(void *arg, int code), void *arg, oc_err *err)
{
	return start(plugin, argc, argv, NULL, &(cli_run){.done = done, .arg = arg}, err);
}

/* ---- Logging in to a provider ---- */

static bool is_named(const cJSON *row, const char *id)
{
	const cJSON *alias;
	if (strcmp(oc_json_str(row, "id", ""), id) == 0)
		return true;
	cJSON_ArrayForEach(alias, oc_json_get(row, "aliases"))
	{
		if (cJSON_IsString(alias) && strcmp(alias->valuestring, id) == 0)
			return true;
	}
	return false;
}

oc_plugin *oc_bridge_provider(oc_bridge *bridge, const char *id)
{
	for (oc_plugin *p = bridge->plugins; p != NULL; p = p->next) {
		const cJSON *rows = oc_plugin_offers(p) ? oc_json_get(p->snapshot, "providers") : NULL, *row;
		cJSON_ArrayForEach(row, rows)
		{
			if (is_named(row, id) && cJSON_GetArraySize(oc_json_get(row, "auth")) > 0)
				return p;
		}
	}
	return NULL;
}

oc_status oc_plugin_login(oc_plugin *plugin, const char *provider, const char *method,
			  void (*done)(void *arg, int code, const cJSON *result), void *arg, oc_err *err)
{
	oc_auto_json cJSON *login = cJSON_CreateObject();
	(void)oc_json_set_str(login, "provider", provider);
	if (method != NULL)
		(void)oc_json_set_str(login, "method", method);
	if (login == NULL)
		return oc_fail(err, OC_E_NOMEM, NULL, "no memory for a login");
	return start(plugin, 0, NULL, login, &(cli_run){.logged_in = done, .arg = arg}, err);
}
