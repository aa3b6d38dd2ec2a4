/*
 * A plugin's channels as channels of a module: accounts are started and stopped in its process, messages go out through it.
 * When the process dies the accounts are started again in the next one, before anything else is asked of it.
 */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/base/id.h"
#include "core/base/log.h"
#include "core/base/mem.h"
#include "core/base/path.h"
#include "core/data/schema.h"
#include "ipc-bridge/plugin.h"

enum { CONNECT_MS = 55 * 1000, STOP_MS = 8000, SEND_MS = 110 * 1000, ACTION_MS = 58 * 1000, PROBE_MS = 14 * 1000, TEXT_MAX = 16 << 20, SCHEMA_MAX = 64 << 10, SCHEMA_DEPTH_MAX = 32 };

/* An account that should run. */
typedef struct account {
	struct account *next;
	char name[65];
	bool lost; /* its process went: it is started again with the next */
} account;

struct oc_plugin_channel {
	oc_plugin_channel *next;
	oc_plugin *plugin;
	char *id;
	account *accounts;
};

/* ---- States ---- */

static void tell_state(const oc_plugin_channel *c, const char *name, const char *state, const char *detail)
{
	oc_auto_json cJSON *o = cJSON_CreateObject();
	(void)oc_json_set_str(o, "channel", c->id);
	(void)oc_json_set_str(o, "account", name);
	(void)oc_json_set_str(o, "state", state);
	if (detail != NULL)
		(void)oc_json_set_str(o, "detail", detail);
	oc_auto_free char *text = o != NULL ? oc_json_print(o) : NULL;
	const oc_channel_host *host = c->plugin->channel_host;
	if (text != NULL && host != NULL && c->plugin->module != NULL && oc_module_running(c->plugin->module))
		host->state(c->plugin->module, oc_str_of(text));
}

static oc_plugin_channel *find(const oc_plugin *plugin, const char *id)
{
	oc_plugin_channel *c = plugin->channels;
	while (c != NULL && strcmp(c->id, id) != 0)
		c = c->next;
	return c;
}

static account *find_account(const oc_plugin_channel *c, const char *name)
{
	account *a = c->accounts;
	while (a != NULL && strcmp(a->name, name) != 0)
		a = a->next;
	return a;
}

static void drop_account(oc_plugin_channel *c, const char *name)
{
	for (account **at = &c->accounts; *at != NULL; at = &(*at)->next)
		if (strcmp((*at)->name, name) == 0) {
			account *a = *at;
			*at = a->next;
			oc_free(a);
			return;
		}
}

void oc_plugin_channel_status(oc_plugin *plugin, const cJSON *params)
{
	const char *name = oc_json_str(params, "accountId", "default");
	const oc_plugin_channel *c = find(plugin, oc_json_str(params, "channel", ""));
	if (c != NULL && find_account(c, name) != NULL)
		tell_state(c, name, oc_json_str(params, "state", "connected"), oc_json_str(params, "detail", NULL));
}

/* params: {"irc":["default",…]} */
void oc_plugin_channel_accounts(oc_plugin *plugin, const cJSON *params)
{
	cJSON *rows = cJSON_GetObjectItemCaseSensitive(plugin->snapshot, "channels"), *row;
	cJSON_ArrayForEach(row, rows)
	{
		const cJSON *now = oc_json_get(params, oc_json_str(row, "id", ""));
		if (cJSON_IsArray(now))
			(void)oc_json_set(row, "accounts", cJSON_Duplicate(now, true));
	}
	if (plugin->bridge->host != NULL)
		plugin->bridge->host->channels(plugin->bridge->host_arg, plugin, false);
}

/* ---- Asking its process ---- */

typedef struct asking {
	oc_plugin_channel *channel;
	oc_call *call; /* NULL: nobody waits */
	char account[65];
	bool connecting;
} asking;

static void answered(void *arg, oc_status status, oc_str result)
{
	asking *a = arg;
	if (a->connecting && status != OC_OK && status != OC_E_RETRY)
		drop_account(a->channel, a->account);
	if (a->call != NULL) {
		oc_call_done(a->call, status, result);
	} else if (a->connecting && status == OC_OK) {
		tell_state(a->channel, a->account, "connected", NULL);
	} else if (a->connecting && status != OC_E_RETRY) {
		oc_auto_free char *why = oc_asprintf("%.*s", OC_STR_ARG(result));
		tell_state(a->channel, a->account, "failed", why);
	}
	oc_free(a);
}

static oc_status ask(oc_plugin_channel *c, oc_call *call, const char *method, oc_str payload, uint32_t ms, const char *connecting)
{
	asking *a = oc_alloc(sizeof *a);
	if (a == NULL)
		return OC_E_NOMEM;
	*a = (asking){.channel = c, .call = call, .connecting = connecting != NULL};
	(void)snprintf(a->account, sizeof a->account, "%s", connecting != NULL ? connecting : "");
	oc_status status = oc_plugin_ask(c->plugin, &(oc_plugin_request){.method = method, .payload = payload, .deadline_ms = ms,
									 .on_done = answered, .arg = a}, NULL);
	if (status != OC_OK)
		oc_free(a);
	return status;
}

static char *account_params(const oc_plugin_channel *c, const char *name)
{
	oc_auto_json cJSON *o = cJSON_CreateObject();
	(void)oc_json_set_str(o, "channel", c->id);
	(void)oc_json_set_str(o, "accountId", name);
	return o != NULL ? oc_json_print(o) : NULL;
}

static void refuse(oc_call *call, oc_status status)
{
	oc_call_done(call, status, OC_STR("the plugin's process cannot be asked"));
}

/* A method about the account that `text` names. */
static void ask_account(oc_plugin_channel *c, oc_call *call, const char *method, oc_str text, uint32_t ms, bool connecting)
{
	oc_auto_json cJSON *given = NULL;
	oc_status status = oc_json_parse(text, NULL, &given, NULL);
	const char *name = oc_json_str(given, "account", "default");
	oc_auto_free char *params = account_params(c, name);
	if (status == OC_OK && connecting && find_account(c, name) == NULL) {
		account *a = oc_alloc(sizeof *a);
		if (a == NULL)
			status = OC_E_NOMEM;
		else
			*a = (account){.next = c->accounts};
		if (a != NULL) {
			(void)snprintf(a->name, sizeof a->name, "%s", name);
			c->accounts = a;
		}
	}
	if (status == OC_OK && params == NULL)
		status = OC_E_NOMEM;
	if (status == OC_OK)
		status = ask(c, call, method, oc_str_of(params), ms, connecting ? name : NULL);
	if (status != OC_OK)
		refuse(call, status);
}

/* ---- The vtable ---- */

static void connect_account(void *inst, oc_call *call, oc_str text)
{
	ask_account(inst, call, "channel.start", text, CONNECT_MS, true);
}

static void disconnect_account(void *inst, oc_call *call, oc_str text)
{
	oc_plugin_channel *c = inst;
	oc_auto_json cJSON *given = NULL;
	if (oc_json_parse(text, NULL, &given, NULL) == OC_OK)
		drop_account(c, oc_json_str(given, "account", "default"));
	if (c->plugin->phase != OC_PLUGIN_UP) {
		oc_call_done(call, OC_OK, OC_STR("{}")); /* it is not worth a start */
		return;
	}
	ask_account(c, call, "channel.stop", text, STOP_MS, false);
}

static void probe(void *inst, oc_call *call, oc_str text)
{
	ask_account(inst, call, "channel.probe", text, PROBE_MS, false);
}

/* A file of the gateway under a name that the plugin may read; oc_free it. NULL: it cannot be had. */
static char *lend(const oc_plugin *plugin, const char *path)
{
	char id[37];
	oc_err err = {0};
	struct stat st;
	oc_auto_free char *folder = oc_asprintf("%s/plugins/%s/media/outbound", plugin->bridge->state, plugin->id);
	char *to = folder != NULL ? oc_asprintf("%s/%s-%s", folder, oc_id_uuid(id), oc_path_base(path)) : NULL;
	if (to == NULL || oc_path_mkdirs(folder, 0700, &err) != OC_OK || stat(path, &st) != 0 || !S_ISREG(st.st_mode)) {
		oc_free(to);
		return NULL;
	}
	if (link(path, to) == 0)
		return to;
	oc_auto_free char *bytes = NULL;
	size_t n;
	if (oc_path_read(path, 64u << 20, &bytes, &n, &err) == OC_OK && oc_path_write(to, bytes, n, 0600, &err) == OC_OK)
		return to;
	oc_log_err(OC_LOG_WARN, "plugins", "a file cannot be handed to a plugin", &err);
	oc_free(to);
	return NULL;
}

/* Asks with what was said about the channel (status: whether it could be read). */
static void ask_with(oc_plugin_channel *c, oc_call *call, const char *method, oc_status status, cJSON *said, uint32_t ms)
{
	if (status == OC_OK && !oc_json_set_str(said, "channel", c->id))
		status = OC_E_NOMEM;
	oc_auto_free char *payload = status == OC_OK ? oc_json_print(said) : NULL;
	if (status == OC_OK)
		status = payload != NULL ? ask(c, call, method, oc_str_of(payload), ms, NULL) : OC_E_NOMEM;
	if (status != OC_OK)
		refuse(call, status);
}

static void send_message(void *inst, oc_call *call, oc_str text)
{
	oc_plugin_channel *c = inst;
	oc_auto_json cJSON *message = NULL;
	oc_status status = oc_json_parse(text, NULL, &message, NULL);
	cJSON *item, *media = cJSON_GetObjectItemCaseSensitive(message, "media");
	cJSON_ArrayForEach(item, media)
	{
		const char *path = oc_json_str(item, "path", "");
		oc_auto_free char *lent = path[0] == '/' ? lend(c->plugin, path) : NULL;
		if (lent != NULL)
			(void)oc_json_set_str(item, "path", lent);
	}
	ask_with(c, call, "channel.send", status, message, SEND_MS);
}

/* A plugin tells its network itself that somebody writes. */
static void act(void *inst, oc_call *call, oc_str text)
{
	oc_plugin_channel *c = inst;
	oc_auto_json cJSON *action = NULL;
	oc_status status = oc_json_parse(text, NULL, &action, NULL);
	if (status == OC_OK && oc_json_get(action, "params") == NULL) {
		oc_call_done(call, OC_OK, OC_STR("{}"));
		return;
	}
	ask_with(c, call, "channel.action", status, action, ACTION_MS);
}

/* Each has a deadline of its own in the process. */
static void cancel(void *inst, oc_call *call)
{
	(void)inst;
	(void)call;
}

static const oc_channel_vtbl vtbl = {
	.struct_size = sizeof(vtbl),
	.flags = OC_CHANNEL_MEDIA | OC_CHANNEL_THREADS,
	.connect = connect_account,
	.send = send_message,
	.action = act,
	.cancel = cancel,
	.disconnect = disconnect_account,
	.probe = probe,
};

/* ---- Coming and going ---- */

void oc_plugin_channels_free(oc_plugin *plugin)
{
	while (plugin->channels != NULL) {
		oc_plugin_channel *c = plugin->channels;
		plugin->channels = c->next;
		while (c->accounts != NULL)
			drop_account(c, c->accounts->name);
		oc_free(c->id);
		oc_free(c);
	}
}

void oc_plugin_channels_forget(oc_plugin *plugin)
{
	for (oc_plugin_channel *c = plugin->channels; c != NULL; c = c->next)
		while (c->accounts != NULL)
			drop_account(c, c->accounts->name);
}

static oc_plugin_channel *add(oc_plugin *plugin, const char *id)
{
	oc_plugin_channel *c = oc_alloc(sizeof *c);
	char *copy = oc_strdup(id);
	if (c == NULL || copy == NULL) {
		oc_free(c);
		oc_free(copy);
		return NULL;
	}
	*c = (oc_plugin_channel){.next = plugin->channels, .plugin = plugin, .id = copy};
	plugin->channels = c;
	return c;
}

oc_status oc_plugin_channels_register(oc_plugin *plugin, oc_err *err)
{
	const cJSON *row;
	cJSON_ArrayForEach(row, oc_json_get(plugin->snapshot, "channels"))
	{
		const char *id = oc_json_str(row, "id", "");
		oc_plugin_channel *c = find(plugin, id);
		if (c == NULL && (c = add(plugin, id)) == NULL)
			return oc_fail(err, OC_E_NOMEM, NULL, "no memory for a plugin's channel");
		oc_iface iface = {OC_KIND_CHANNEL, 1, 0, c->id, &vtbl};
		oc_status status = oc_guest_register(plugin->module, &iface, c, NULL, err);
		if (status != OC_OK && status != OC_E_EXISTS)
			return status;
	}
	return OC_OK;
}

/* Its defaults are the plugin's to fill in, which may look elsewhere first (channels.defaults): they are taken out, and what has
 * one need not be there. */
static void without_defaults(cJSON *schema, unsigned depth)
{
	static const char *const below[] = {"items", "additionalProperties", "anyOf", "oneOf", "allOf"};
	cJSON *required = cJSON_GetObjectItemCaseSensitive(schema, "required"), *one;
	if (depth > SCHEMA_DEPTH_MAX)
		return;
	cJSON_ArrayForEach(one, cJSON_GetObjectItemCaseSensitive(schema, "properties"))
	{
		for (int i = cJSON_GetArraySize(required) - 1; i >= 0 && oc_json_get(one, "default") != NULL; i--)
			if (cJSON_IsString(cJSON_GetArrayItem(required, i)) && strcmp(cJSON_GetArrayItem(required, i)->valuestring, one->string) == 0)
				cJSON_DeleteItemFromArray(required, i);
		without_defaults(one, depth + 1);
	}
	for (size_t i = 0; i < sizeof(below) / sizeof(below[0]); i++) {
		cJSON *sub = cJSON_GetObjectItemCaseSensitive(schema, below[i]);
		if (cJSON_IsObject(sub))
			without_defaults(sub, depth + 1);
		for (one = cJSON_IsArray(sub) ? sub->child : NULL; one != NULL; one = one->next)
			without_defaults(one, depth + 1);
	}
	cJSON_DeleteItemFromObjectCaseSensitive(schema, "default");
}

static void describe_channel(cJSON *list, const cJSON *row)
{
	const cJSON *form = oc_json_get(row, "configSchema"), *inner = oc_json_get(form, "schema"); /* beside it is what it looks like */
	oc_auto_json cJSON *schema = cJSON_Duplicate(cJSON_IsObject(inner) ? inner : form, true);
	oc_auto_free char *size = schema != NULL ? oc_json_print(schema) : NULL;
	cJSON *o = cJSON_CreateObject();
	(void)oc_json_set_str(o, "id", oc_json_str(row, "id", ""));
	(void)oc_json_set_str(o, "label", oc_json_str(oc_json_get(row, "meta"), "label", oc_json_str(row, "id", "")));
	if (size != NULL && strlen(size) < SCHEMA_MAX && oc_schema_valid(schema, NULL) == OC_OK) {
		without_defaults(schema, 0);
		(void)oc_json_set(o, "configSchema", cJSON_Duplicate(schema, true));
	}
	if (o == NULL || !cJSON_AddItemToArray(list, o))
		cJSON_Delete(o);
}

static void describe_provider(cJSON *list, const cJSON *row)
{
	const cJSON *models = oc_json_get(row, "models");
	const cJSON *plain = cJSON_IsArray(models) ? models : oc_json_get(models, "models"), *envs = oc_json_get(row, "envVars");
	cJSON *o = cJSON_CreateObject();
	(void)oc_json_set_str(o, "id", oc_json_str(row, "id", ""));
	(void)oc_json_set_str(o, "label", oc_json_str(row, "label", oc_json_str(row, "id", "")));
	if (oc_json_str(models, "baseUrl", "")[0] != 0)
		(void)oc_json_set_str(o, "baseUrl", oc_json_str(models, "baseUrl", ""));
	(void)oc_json_set_str(o, "api", oc_json_str(models, "api", "openai-completions"));
	if (cJSON_IsString(cJSON_GetArrayItem(envs, 0)))
		(void)oc_json_set_str(o, "env", cJSON_GetArrayItem(envs, 0)->valuestring);
	if (cJSON_IsObject(oc_json_get(models, "headers")))
		(void)oc_json_set(o, "headers", cJSON_Duplicate(oc_json_get(models, "headers"), true));
	if (cJSON_IsArray(plain))
		(void)oc_json_set(o, "models", cJSON_Duplicate(plain, true));
	if (o == NULL || !cJSON_AddItemToArray(list, o))
		cJSON_Delete(o);
}

bool oc_plugin_has_guests(const oc_plugin *plugin)
{
	return cJSON_GetArraySize(oc_json_get(plugin->snapshot, "channels")) > 0 ||
	       cJSON_GetArraySize(oc_json_get(plugin->snapshot, "contextEngines")) > 0 ||
	       cJSON_GetArraySize(oc_json_get(plugin->snapshot, "providers")) > 0;
}

void oc_plugin_describe_guests(const oc_plugin *plugin, cJSON *manifest)
{
	const cJSON *row;
	cJSON *channels = cJSON_AddArrayToObject(manifest, "channels"), *providers = cJSON_AddArrayToObject(manifest, "providers");
	cJSON_ArrayForEach(row, oc_json_get(plugin->snapshot, "channels")) describe_channel(channels, row);
	cJSON_ArrayForEach(row, oc_json_get(plugin->snapshot, "providers")) describe_provider(providers, row);
}

/* ---- Its process ---- */

void oc_plugin_channels_up(oc_plugin *plugin)
{
	for (oc_plugin_channel *c = plugin->channels; c != NULL; c = c->next)
		for (account *a = c->accounts; a != NULL; a = a->next) {
			oc_auto_free char *params = a->lost ? account_params(c, a->name) : NULL;
			if (params != NULL && ask(c, NULL, "channel.start", oc_str_of(params), CONNECT_MS, a->name) == OC_OK)
				a->lost = false;
		}
}

void oc_plugin_channels_down(oc_plugin *plugin)
{
	for (oc_plugin_channel *c = plugin->channels; c != NULL; c = c->next)
		for (account *a = c->accounts; a != NULL; a = a->next) {
			a->lost = true;
			tell_state(c, a->name, "reconnecting", "its plugin's process ended");
		}
}
