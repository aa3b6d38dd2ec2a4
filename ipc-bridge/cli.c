/* Commands that plugins add to the command line: which there are, and running one in a process of its own, which has the
 * caller's terminal. */
#include <string.h>
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
		if (p->enabled && !oc_plugin_known(p))
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
		if (p->enabled && !oc_plugin_known(p) && bridge->node != NULL && oc_plugin_wake(p, looked_at, in) == OC_OK)
			in->open++;
	return oc_loop_defer(bridge->loop, bridge->owner, asked_all, in);
}

/* ---- Running one ---- */

typedef struct cli_run {
	oc_plugin *plugin;
	oc_proc *proc;
	void (*done)(void *arg, int code);
	void (*logged_in)(void *arg, int code, const cJSON *result); /* instead of done */
	void *arg;
	char *folder; /* of its socket */
	char *order;  /* what it is to do, once it is loaded */
	cJSON *result; /* what a login ended with */
	oc_watch *signals[3];
} cli_run;

enum { LOAD_MS = 60 * 1000, RENEW_MS = 60 * 1000 };

static void end(cli_run *r)
{
	for (size_t i = 0; i < sizeof(r->signals) / sizeof(r->signals[0]); i++)
		oc_watch_end(r->signals[i]);
	oc_peer_close(r->plugin->peer);
	r->plugin->peer = NULL;
	if (r->folder != NULL)
		(void)rmdir(r->folder);
	oc_free(r->folder);
	oc_free(r->order);
	cJSON_Delete(r->result);
	oc_free(r);
}

static void on_exit_of(void *arg, oc_status status, int exit_code, int signal, oc_str message)
{
	cli_run *r = arg;
	if (status != OC_OK && status != OC_E_CANCELED)
		oc_error("plugins", "%.*s", OC_STR_ARG(message));
	int code = signal != 0 ? 128 + signal : status != OC_OK && exit_code == 0 ? 1 : exit_code;
	if (r->logged_in != NULL)
		r->logged_in(r->arg, code, r->result);
	else
		r->done(r->arg, code);
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

/* The process sees the connection end, and ends. */
static void on_login(void *arg, oc_status status, oc_str result)
{
	cli_run *r = arg;
	if (status == OC_OK)
		(void)oc_json_parse(result, NULL, &r->result, NULL);
	else
		oc_error("plugins", "%.*s", OC_STR_ARG(result));
	oc_peer_end(r->plugin->peer, "the login is over");
}

/* A command gets its order as a notification: while a call is open, a process that says nothing for long is taken for hung,
 * and a command may well compute, or wait for a program. */
static void on_loaded(void *arg, oc_status status, oc_str result)
{
	cli_run *r = arg;
	oc_peer_call call = {.method = "login", .payload = oc_str_of(r->order), .on_done = on_login, .arg = r};
	if (status == OC_OK && r->logged_in != NULL)
		status = oc_peer_call_start(r->plugin->peer, &call, NULL);
	else if (status == OC_OK)
		status = oc_peer_notify(r->plugin->peer, "run", oc_str_of(r->order));
	else
		oc_error("plugins", "%s: it could not be loaded: %.*s", r->plugin->id, OC_STR_ARG(result));
	if (status != OC_OK)
		(void)oc_proc_kill(r->proc, 15);
}

static void on_ready(void *arg, oc_str hello)
{
	(void)hello;
	cli_run *r = arg;
	oc_auto_free char *params = oc_plugin_init_params(r->plugin, r->folder);
	oc_peer_call call = {.method = "init", .payload = oc_str_of(params), .deadline_ms = LOAD_MS, .on_done = on_loaded, .arg = r};
	oc_status status = params != NULL ? oc_peer_call_start(r->plugin->peer, &call, NULL) : OC_E_NOMEM;
	if (status != OC_OK)
		on_loaded(r, status, oc_str_of(oc_status_text(status)));
}

static void on_call(void *arg, uint32_t id, oc_str name, oc_str payload, uint32_t deadline_ms)
{
	oc_plugin_called(((cli_run *)arg)->plugin, id, name, payload, deadline_ms);
}

/* What it logs it says on the terminal itself. */
static void on_notify(void *arg, oc_str name, oc_str payload)
{
	if (oc_str_eqz(name, "missing"))
		oc_plugin_noted(((cli_run *)arg)->plugin, name, payload);
}

static void on_closed(void *arg, const char *why)
{
	(void)arg;
	(void)why;
}

static const oc_peer_events peer_events = {on_ready, on_call, NULL, on_notify, on_closed};

/* order and run are copied. */
static oc_status start(oc_plugin *plugin, const cJSON *order, const cli_run *run, oc_err *err)
{
	char cwd[4096];
	oc_sbuf lines;
	if (plugin->bridge->node == NULL)
		return oc_fail(err, OC_E_UNAVAILABLE, "install Node.js 20 or newer, or set plugins.node to its path",
			       "TypeScript plugins run in Node.js, which is not here");
	cli_run *r = oc_alloc(sizeof(*r));
	if (r == NULL)
		return oc_fail(err, OC_E_NOMEM, NULL, "no memory for a command");
	*r = *run;
	r->plugin = plugin;
	r->order = oc_json_print(order);
	r->folder = oc_asprintf("%s/run/bridge/cli-%d", plugin->bridge->state, (int)getpid());
	const char *term = oc_config_env(plugin->bridge->config, "TERM");
	oc_auto_free char *env_term = oc_asprintf("TERM=%s", term != NULL ? term : "dumb");
	oc_sbuf_init(&lines, OC_PLUGIN_LINES_MAX);
	oc_sbuf_z(&lines, "OPENCLAW_BRIDGE=");
	oc_status status = r->order != NULL && r->folder != NULL ? oc_plugin_line_open(plugin, r->folder, &peer_events, r, &lines, err)
								 : oc_fail(err, OC_E_NOMEM, NULL, "no memory for a command");
	oc_plugin_launch launch = {.script = "cli.js", .folder = r->folder, .read = getcwd(cwd, sizeof(cwd)), .env = {env_term, oc_sbuf_view(&lines).p},
				   .flags = OC_PROC_TERMINAL, .on_exit = on_exit_of, .arg = r};
	if (status == OC_OK)
		status = oc_plugin_spawn(plugin, &launch, &r->proc, err);
	if (lines.error == OC_OK)
		oc_wipe((char *)oc_sbuf_view(&lines).p, oc_sbuf_view(&lines).n);
	oc_sbuf_free(&lines);
	if (status != OC_OK) {
		end(r);
		return status;
	}
	r->signals[0] = oc_signal_watch(plugin->bridge->owner, 2, on_int, r);
	r->signals[1] = oc_signal_watch(plugin->bridge->owner, 15, on_term, r);
	r->signals[2] = oc_signal_watch(plugin->bridge->owner, 1, on_term, r);
	return OC_OK;
}

oc_status oc_plugin_cli_run(oc_plugin *plugin, int argc, char **argv, void (*done)(void *arg, int code), void *arg, oc_err *err)
{
	oc_auto_json cJSON *order = cJSON_CreateObject();
	cJSON *list = cJSON_AddArrayToObject(order, "argv");
	for (int i = 0; i < argc; i++)
		(void)cJSON_AddItemToArray(list, cJSON_CreateString(argv[i]));
	return start(plugin, order, &(cli_run){.done = done, .arg = arg}, err);
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
	oc_bridge_need(bridge);
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
	return start(plugin, login, &(cli_run){.logged_in = done, .arg = arg}, err);
}

oc_status oc_plugin_renew(oc_plugin *plugin, const cJSON *credential, void (*on_done)(void *arg, oc_status status, oc_str result), void *arg)
{
	oc_auto_json cJSON *params = cJSON_CreateObject();
	char *text = oc_json_set(params, "credential", cJSON_Duplicate(credential, true)) ? oc_json_print(params) : NULL;
	oc_status status = OC_E_NOMEM;
	if (text != NULL) {
		status = oc_plugin_ask(plugin, &(oc_plugin_request){.method = "provider.renew", .payload = oc_str_of(text), .deadline_ms = RENEW_MS,
								    .on_done = on_done, .arg = arg}, NULL);
		oc_wipe(text, strlen(text));
	}
	oc_free(text);
	return status;
}

void oc_plugin_login_failed(oc_plugin *plugin, const char *profile, const char *provider, const char *why)
{
	oc_plugin_trouble(plugin, "login", "the login %s cannot be renewed: %s", profile, why);
	oc_warn("auth", "the login %s cannot be renewed: %s; log in again: openclaw models auth login --provider %s", profile, why, provider);
}
