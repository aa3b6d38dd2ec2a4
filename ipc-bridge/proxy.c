/*
 * A plugin as a module: its snapshot fills a descriptor and vtables whose functions ask the plugin's process.  Above this
 * file nobody knows that there is one.
 */
#include <string.h>

#include "core/base/clock.h"
#include "core/base/log.h"
#include "core/base/mem.h"
#include "ipc-bridge/plugin.h"

enum { TOOL_MS = 30 * 60 * 1000, GREET_MS = 30 * 1000, PROBE_MS = 3000, LATE_MAX = 3, REST_MS = 60 * 1000, TEXT_MAX = 16 << 20, HOOK_NAME_MAX = 32 };

/* ---- One tool call handed through ---- */

struct oc_passing {
	oc_passing *next;
	oc_plugin *plugin;
	oc_call *call;
	oc_plugin_call *asked;
};

static void on_event(void *arg, uint32_t type, oc_str payload)
{
	const oc_passing *p = arg;
	oc_auto_json cJSON *partial = NULL;
	const cJSON *block;
	(void)type;
	if (oc_json_parse(payload, NULL, &partial, NULL) != OC_OK)
		return;
	cJSON_ArrayForEach(block, oc_json_get(partial, "content"))
	{
		oc_str text = oc_json_ostr(block, "text");
		if (text.n > 0)
			(void)oc_call_event(p->call, OC_EV_PROGRESS, text);
	}
}

static void on_done(void *arg, oc_status status, oc_str result)
{
	oc_passing *p = arg, **at = &p->plugin->passing;
	while (*at != p)
		at = &(*at)->next;
	*at = p->next;
	oc_call_done(p->call, status, result);
	oc_free(p);
}

static void cancel(void *inst, oc_call *call)
{
	const oc_plugin *plugin = inst;
	for (oc_passing *p = plugin->passing; p != NULL; p = p->next)
		if (p->call == call)
			oc_plugin_call_cancel(p->asked);
}

/* ---- Tools ---- */

static oc_str tools(void *inst)
{
	const oc_plugin *plugin = inst;
	return oc_str_of(plugin->tools_json);
}

/* The factory that makes a tool of this name. -1: none. */
static int factory_of(const oc_plugin *plugin, oc_str name)
{
	const cJSON *row, *made;
	cJSON_ArrayForEach(row, oc_json_get(plugin->snapshot, "tools"))
	{
		cJSON_ArrayForEach(made, oc_json_get(row, "resolved"))
		{
			if (oc_str_eqz(name, oc_json_str(made, "name", "")))
				return (int)oc_json_i64(row, "factory", -1);
		}
	}
	return -1;
}

static void invoke(void *inst, oc_call *call, oc_str tool, oc_str args, oc_str context)
{
	oc_plugin *plugin = inst;
	oc_passing *p = oc_alloc(sizeof(*p));
	oc_sbuf b;
	oc_sbuf_init(&b, TEXT_MAX);
	oc_sbuf_printf(&b, "{\"factory\":%d,\"name\":", factory_of(plugin, tool));
	oc_sbuf_json(&b, tool);
	oc_sbuf_z(&b, ",\"params\":");
	oc_sbuf_str(&b, args.n > 0 ? args : OC_STR("{}"));
	oc_sbuf_z(&b, ",\"context\":");
	oc_sbuf_str(&b, context.n > 0 ? context : OC_STR("{}"));
	oc_sbuf_char(&b, '}');
	oc_status status = p == NULL ? OC_E_NOMEM : b.error;
	if (status == OC_OK) {
		*p = (oc_passing){.next = plugin->passing, .plugin = plugin, .call = call};
		plugin->passing = p;
		status = oc_plugin_ask(plugin, &(oc_plugin_request){.method = "tool.run", .payload = oc_sbuf_view(&b),
								    .deadline_ms = (uint32_t)oc_call_remaining(call),
								    .on_event = on_event, .on_done = on_done, .arg = p}, &p->asked);
		if (status != OC_OK)
			plugin->passing = p->next;
	}
	oc_sbuf_free(&b);
	if (status != OC_OK) {
		oc_free(p);
		oc_call_done(call, status, OC_STR("the plugin's process cannot be asked"));
	}
}

static const oc_tool_vtbl tool_vtbl = {.struct_size = sizeof(tool_vtbl), .tools = tools, .invoke = invoke, .cancel = cancel};

/* The specs of all tools that the snapshot has resolved. */
static char *tool_specs(const oc_plugin *plugin)
{
	oc_auto_json cJSON *list = cJSON_CreateArray();
	const cJSON *row, *made;
	cJSON_ArrayForEach(row, oc_json_get(plugin->snapshot, "tools"))
	{
		cJSON_ArrayForEach(made, oc_json_get(row, "resolved"))
		{
			cJSON *spec = cJSON_CreateObject();
			(void)oc_json_set_str(spec, "name", oc_json_str(made, "name", ""));
			const char *words = oc_json_str(made, "description", ""), *label = oc_json_str(made, "label", oc_json_str(made, "name", ""));
			(void)oc_json_set_str(spec, "description", words[0] != 0 ? words : label);
			if (cJSON_IsFalse(oc_json_get(made, "sandboxed")))
				(void)oc_json_set_bool(spec, "sandboxed", false);
			(void)oc_json_set(spec, "parameters", cJSON_Duplicate(oc_json_get(made, "parameters"), true));
			(void)oc_json_set_str(spec, "group", "plugins");
			(void)oc_json_set_i64(spec, "timeoutMs", TOOL_MS);
			if (oc_json_bool(row, "optional", false))
				(void)oc_json_set_bool(spec, "optional", true);
			(void)cJSON_AddItemToArray(list, spec);
		}
	}
	return list != NULL ? oc_json_print(list) : NULL;
}

/* ---- Hooks: each handler is a subscriber of its own, because order goes across plugins ---- */

struct oc_plugin_hook {
	oc_plugin_hook *next;
	oc_plugin *plugin;
	int handler;
	const char *type, *action; /* of an internal hook; NULL: a typed one. Static */
	const char *wants;	   /* it is for this action only; the snapshot's */
	char name[HOOK_NAME_MAX];  /* of a typed one */
	int32_t priority;
	uint32_t timeout_ms;
	oc_hook_sub *sub;
	unsigned late;	   /* times in a row that it gave no answer in time */
	uint64_t rests_ms; /* until then it is not asked (monotonic) */
};

typedef struct firing {
	oc_hook_turn *turn; /* NULL: nobody waits any more */
	oc_plugin_call *asked;
	oc_plugin_hook *hook;
} firing;

static void probed(void *arg, oc_status status, oc_str result)
{
	oc_plugin *plugin = arg;
	(void)result;
	plugin->probing = false;
	if (status != OC_E_TIMEOUT || plugin->phase != OC_PLUGIN_UP)
		return; /* whatever it says, it lives */
	oc_plugin_trouble(plugin, "hung", "it blocked its event loop for more than %d seconds: its process was ended", PROBE_MS / 1000);
	oc_error("plugins", "%s: it blocks its event loop: its process is ended", plugin->id);
	oc_plugin_kill(plugin);
}

/*
 * A handler gave no answer in time.  A process whose event loop stands is ended at once: it would let everything else wait
 * for its time, too.  A handler that is late again and again rests for a while.
 */
static void was_late(oc_plugin_hook *h, const oc_hook_turn *turn)
{
	oc_plugin *plugin = h->plugin;
	oc_plugin_trouble(plugin, "slow", "its %s handler gave no answer within %u ms", oc_hook_turn_name(turn), oc_hook_turn_timeout(turn));
	if (++h->late >= LATE_MAX) {
		h->rests_ms = oc_now_ms() + REST_MS;
		oc_warn("plugins", "%s: its %s handler rests for %d s: it gave no answer in time %u times in a row", plugin->id,
			oc_hook_turn_name(turn), REST_MS / 1000, h->late);
	}
	if (plugin->phase == OC_PLUGIN_UP && !plugin->probing)
		plugin->probing = oc_peer_call_start(plugin->peer, &(oc_peer_call){.method = "alive", .payload = OC_STR("{}"), .deadline_ms = PROBE_MS,
										   .on_done = probed, .arg = plugin}, NULL) == OC_OK;
}

static void hook_done(void *arg, oc_status status, oc_str result)
{
	firing *f = arg;
	oc_auto_json cJSON *changes = NULL;
	oc_err err = {0};
	if (f->turn != NULL) {
		*oc_hook_turn_data(f->turn) = NULL;
		if (status == OC_OK)
			status = oc_json_parse(result, NULL, &changes, &err);
		else
			(void)oc_fail(&err, status, NULL, "%.*s", OC_STR_ARG(result));
		if (status == OC_E_TIMEOUT)
			was_late(f->hook, f->turn);
		else if (status != OC_OK)
			oc_plugin_trouble(f->hook->plugin, "hook", "its %s handler failed: %s", oc_hook_turn_name(f->turn), err.text);
		else
			f->hook->late = 0;
		oc_hook_answer(f->turn, status, cJSON_IsObject(changes) ? changes : NULL, err.text);
	}
	oc_free(f);
}

static void hook_fired(void *arg, oc_hook_turn *turn, oc_hook_id hook, const cJSON *payload)
{
	oc_plugin_hook *h = arg;
	firing *f = oc_alloc(sizeof(*f));
	oc_sbuf b;
	const char *action = h->action != NULL ? h->action : oc_json_str(payload, "action", "");
	if (h->wants != NULL && strcmp(h->wants, action) != 0) {
		oc_free(f);
		oc_hook_answer(turn, OC_OK, NULL, NULL);
		return;
	}
	if (hook == OC_HOOK_GATEWAY_STOP && h->plugin->phase != OC_PLUGIN_UP) {
		oc_free(f);
		oc_hook_answer(turn, OC_OK, NULL, NULL); /* not started to be told that it ends */
		return;
	}
	if (h->rests_ms != 0 && oc_now_ms() < h->rests_ms) {
		oc_free(f);
		oc_hook_answer(turn, OC_E_UNAVAILABLE, NULL, "it rests: it gave no answer in time several times in a row");
		return;
	}
	oc_sbuf_init(&b, TEXT_MAX);
	oc_sbuf_printf(&b, "{\"handler\":%d,", h->handler);
	if (h->type != NULL)
		oc_sbuf_printf(&b, "\"type\":\"%s\",\"action\":\"%s\",", h->type, action);
	oc_sbuf_z(&b, "\"payload\":");
	oc_sbuf_str(&b, oc_hook_turn_text(turn));
	oc_sbuf_char(&b, '}');
	oc_status status = f == NULL ? OC_E_NOMEM : b.error;
	if (status == OC_OK) {
		f->turn = turn;
		f->hook = h;
		*oc_hook_turn_data(turn) = f;
		const char *method = h->type == NULL ? "hook" : h->handler >= 0 ? "internalHook" : "tools.offered";
		status = oc_plugin_ask(h->plugin, &(oc_plugin_request){.method = method,
								       .payload = oc_sbuf_view(&b), .deadline_ms = oc_hook_turn_timeout(turn), .on_done = hook_done,
								       .arg = f}, &f->asked);
	}
	oc_sbuf_free(&b);
	if (status != OC_OK) {
		oc_free(f);
		oc_hook_answer(turn, status, NULL, "the plugin's process cannot be asked");
	}
}

static void hook_cancelled(void *arg, oc_hook_turn *turn)
{
	oc_plugin_hook *h = arg;
	firing *f = *oc_hook_turn_data(turn);
	if (f == NULL)
		return;
	if (!h->plugin->withdrawing)
		was_late(h, turn);
	f->turn = NULL;
	oc_plugin_call_cancel(f->asked);
}

static void greeted(void *arg, oc_status status, oc_str result)
{
	const oc_plugin *plugin = arg;
	if (status != OC_OK)
		oc_warn("hook", "the gateway_start handler of plugin %s failed: %.*s", plugin->id, OC_STR_ARG(result));
}

/* The next of the gateway_start handlers after one (NULL: the first): by priority, then as registered. */
static const cJSON *next_greeting(const oc_plugin *plugin, const cJSON *after)
{
	const cJSON *row, *best = NULL;
	int64_t limit = after != NULL ? oc_json_i64(after, "priority", 0) : INT64_MAX;
	bool passed = after == NULL;
	cJSON_ArrayForEach(row, oc_json_get(plugin->snapshot, "hooks"))
	{
		int64_t priority = oc_json_i64(row, "priority", 0);
		bool comes = priority < limit || (priority == limit && passed);
		passed = passed || row == after;
		if (comes && strcmp(oc_json_str(row, "name", ""), "gateway_start") == 0 &&
		    (best == NULL || priority > oc_json_i64(best, "priority", 0)))
			best = row;
	}
	return best;
}

static void greet_internal(oc_plugin *plugin);

/* Internal hooks are for those who asked for them in the configuration. */
static const cJSON *internal_rows(const oc_plugin *plugin)
{
	return oc_config_bool(plugin->bridge->config, "hooks.internal.enabled", false) ? oc_json_get(plugin->snapshot, "internalHooks") : NULL;
}

void oc_plugin_greet(oc_plugin *plugin)
{
	int port = plugin->bridge->port;
	if (!plugin->bridge->started)
		return;
	for (const cJSON *row = next_greeting(plugin, NULL); row != NULL; row = next_greeting(plugin, row)) {
		oc_auto_free char *payload = oc_asprintf("{\"handler\":%d,\"payload\":{\"port\":%d,\"ctx\":{\"port\":%d}}}",
							 (int)oc_json_i64(row, "handler", -1), port, port);
		if (payload != NULL)
			(void)oc_plugin_ask(plugin, &(oc_plugin_request){.method = "hook", .payload = oc_str_of(payload), .deadline_ms = GREET_MS,
									 .on_done = greeted, .arg = plugin}, NULL);
	}
	greet_internal(plugin);
}

/* gateway:startup, for those who registered for it or for everything of the gateway. */
static void greet_internal(oc_plugin *plugin)
{
	const cJSON *row, *event;
	cJSON_ArrayForEach(row, internal_rows(plugin))
	{
		cJSON_ArrayForEach(event, oc_json_get(row, "events"))
		{
			const char *key = cJSON_IsString(event) ? event->valuestring : "";
			oc_auto_free char *payload = NULL;
			if (strcmp(key, "gateway") == 0 || strcmp(key, "gateway:startup") == 0)
				payload = oc_asprintf("{\"handler\":%d,\"type\":\"gateway\",\"action\":\"startup\",\"payload\":{\"session\":\"gateway:startup\"}}",
						      (int)oc_json_i64(row, "handler", -1));
			if (payload != NULL)
				(void)oc_plugin_ask(plugin, &(oc_plugin_request){.method = "internalHook", .payload = oc_str_of(payload),
										 .deadline_ms = GREET_MS, .on_done = greeted, .arg = plugin}, NULL);
		}
	}
}

static void unsubscribe(oc_plugin *plugin, oc_plugin_hook **list)
{
	plugin->withdrawing = true;
	while (*list != NULL) {
		oc_plugin_hook *h = *list;
		*list = h->next;
		oc_hooks_unsubscribe(h->sub);
		oc_free(h);
	}
	plugin->withdrawing = false;
}

/* The operator's word (hooks.timeouts.<hook>, hooks.timeoutMs), else the plugin's; 0: the hook's own. */
static int64_t timeout_of(const oc_plugin *plugin, const cJSON *row)
{
	const cJSON *entry = oc_json_get(oc_config_get(plugin->bridge->config, "plugins.entries"), plugin->id), *hooks = oc_json_get(entry, "hooks");
	int64_t all = oc_json_i64(hooks, "timeoutMs", oc_json_i64(row, "timeoutMs", 0));
	return oc_json_i64(oc_json_get(hooks, "timeouts"), oc_json_str(row, "name", ""), all);
}

/* The same as it was before goes on: somebody may be waiting for it, while its process began for that. */
static bool goes_on(oc_plugin *plugin, const oc_plugin_hook *wanted)
{
	for (oc_plugin_hook **at = &plugin->hooks_before, *h; (h = *at) != NULL && wanted->type == NULL; at = &h->next) {
		if (h->type != NULL || h->handler != wanted->handler || h->priority != wanted->priority || h->timeout_ms != wanted->timeout_ms ||
		    strcmp(h->name, wanted->name) != 0)
			continue;
		*at = h->next;
		h->next = plugin->hooks;
		plugin->hooks = h;
		return true;
	}
	return false;
}

static oc_status subscribe_as(oc_plugin *plugin, const cJSON *row, const oc_plugin_hook *as, const char *name, oc_err *err)
{
	oc_plugin_hook *h = oc_alloc(sizeof(*h));
	oc_auto_free char *by = oc_asprintf("plugin %s", plugin->id);
	int64_t priority = oc_json_i64(row, "priority", 0), timeout = timeout_of(plugin, row);
	if (as->type != NULL && strcmp(as->type, "session") == 0)
		priority = 1000000; /* these are told before the typed ones */
	if (h == NULL || by == NULL) {
		oc_free(h);
		return oc_fail(err, OC_E_NOMEM, NULL, "no memory for a plugin's hooks");
	}
	*h = (oc_plugin_hook){.next = plugin->hooks, .plugin = plugin, .handler = (int)oc_json_i64(row, "handler", -1),
			      .type = as->type, .action = as->action, .wants = as->wants,
			      .priority = (int32_t)(priority > 1000000 ? 1000000 : priority < -1000000 ? -1000000 : priority),
			      .timeout_ms = (uint32_t)(timeout < 0 ? 0 : timeout > 600000 ? 600000 : timeout)};
	(void)snprintf(h->name, sizeof(h->name), "%s", name);
	if (strlen(name) < sizeof(h->name) && goes_on(plugin, h)) {
		oc_free(h);
		return OC_OK;
	}
	oc_hook_subscription subscription = {
		.hook = name,
		.priority = h->priority,
		.timeout_ms = h->timeout_ms,
		.by = by,
		.fn = hook_fired,
		.cancel = hook_cancelled,
		.arg = h,
	};
	oc_status status = oc_hooks_subscribe(plugin->bridge->hooks, &subscription, &h->sub, err);
	if (status != OC_OK)
		oc_free(h);
	else
		plugin->hooks = h;
	return status;
}

static oc_status subscribe(oc_plugin *plugin, const cJSON *row, oc_err *err)
{
	const char *name = oc_json_str(row, "name", "");
	if (strcmp(name, "gateway_start") == 0)
		return OC_OK; /* oc_plugin_greet */
	return subscribe_as(plugin, row, &(oc_plugin_hook){0}, name, err);
}

/* The original's internal hooks by the typed rows that are fired at the same points. gateway:startup: greet_internal. */
static const struct {
	const char *type, *action, *hook; /* action NULL: the payload's */
} internals[] = {
	{"message", "received", "message_received"},
	{"message", "preprocessed", "message_received"},
	{"message", "sent", "message_sent"},
	{"session", "compact:before", "before_compaction"},
	{"session", "compact:after", "after_compaction"},
	{"command", NULL, "internal_command"},
	{"agent", "bootstrap", "internal_bootstrap"},
};

/* One handler may be registered for a type and for one of its actions, and is called for each. */
static oc_status subscribe_internal(oc_plugin *plugin, const cJSON *row, oc_err *err)
{
	const cJSON *event;
	oc_status status = OC_OK;
	if (!oc_json_bool(row, "active", true))
		return OC_OK;
	cJSON_ArrayForEach(event, oc_json_get(row, "events"))
	{
		const char *key = cJSON_IsString(event) ? event->valuestring : "", *colon = strchr(key, ':');
		size_t n = colon != NULL ? (size_t)(colon - key) : strlen(key);
		for (size_t i = 0; status == OC_OK && i < sizeof(internals) / sizeof(internals[0]); i++) {
			const char *action = internals[i].action;
			if (strlen(internals[i].type) != n || strncmp(internals[i].type, key, n) != 0 ||
			    (colon != NULL && action != NULL && strcmp(colon + 1, action) != 0))
				continue;
			oc_plugin_hook as = {.type = internals[i].type, .action = action, .wants = colon != NULL && action == NULL ? colon + 1 : NULL};
			status = subscribe_as(plugin, row, &as, internals[i].hook, err);
		}
	}
	return status;
}

/* A plugin whose factories do not make the same tools everywhere is asked for each run which there are. */
static oc_status subscribe_tools(oc_plugin *plugin, oc_err *err)
{
	const cJSON *row;
	bool varies = false;
	cJSON_ArrayForEach(row, oc_json_get(plugin->snapshot, "tools")) varies |= oc_json_bool(row, "varies", false);
	if (!varies)
		return OC_OK;
	oc_plugin_hook as = {.type = "tools", .action = "offered"};
	return subscribe_as(plugin, NULL, &as, "internal_tools", err);
}

/* ---- The module ---- */

static oc_status init(const oc_host_api *host, oc_self *self, oc_str config, void **ret_inst)
{
	(void)config;
	oc_bridge *bridge = oc_modules_context(oc_module_registry(self), "bridge");
	for (oc_plugin *p = bridge != NULL ? bridge->plugins : NULL; p != NULL; p = p->next)
		if (strcmp(p->module_name, oc_module_name(self)) == 0) {
			const void *table = NULL;
			*ret_inst = p;
			if (host->query(self, OC_STR(OC_SERVICE_CHANNEL), 1, 0, &table) == OC_OK)
				p->channel_host = table;
			return OC_OK;
		}
	return OC_E_NOT_FOUND;
}

/* The plugin is the bridge's and stays; its accounts are connected anew by whoever starts the module again. */
static void fini(void *inst)
{
	oc_plugin_channels_forget(inst);
}

/* Takes effect at once: who asked first for the plugins goes on with what they bring. */
static oc_status show_module(oc_plugin *plugin, oc_err *err)
{
	oc_auto_json cJSON *manifest = cJSON_CreateObject();
	cJSON *abi = cJSON_AddObjectToObject(manifest, "abi");
	static const char *const kinds[] = {"tool", "channel", "provider", "service"}, *const services[] = {OC_SERVICE_CHANNEL};
	(void)oc_json_set_i64(abi, "major", OC_ABI_MAJOR);
	(void)oc_json_set_i64(abi, "minor", OC_ABI_MINOR);
	(void)oc_json_set_str(manifest, "name", plugin->module_name);
	(void)oc_json_set_str(manifest, "version", plugin->version[0] != 0 ? plugin->version : "0.0.0");
	(void)oc_json_set_str(manifest, "license", "see the plugin");
	(void)oc_json_set_str(manifest, "description", oc_json_str(plugin->manifest, "description", plugin->name));
	(void)oc_json_set(manifest, "kinds", cJSON_CreateStringArray(kinds, 4));
	(void)oc_json_set(manifest, "services", cJSON_CreateStringArray(services, 1));
	oc_plugin_describe_guests(plugin, manifest);
	oc_auto_free char *text = oc_json_print(manifest);
	if (text == NULL)
		return oc_fail(err, OC_E_NOMEM, NULL, "no memory for a plugin");
	plugin->ifaces[0] = (oc_iface){OC_KIND_TOOL, 1, 0, plugin->id, &tool_vtbl};
	plugin->desc = (oc_module_desc){
		.magic = OC_MODULE_MAGIC,
		.struct_size = sizeof(plugin->desc),
		.abi_major = OC_ABI_MAJOR,
		.abi_minor = OC_ABI_MINOR,
		.name = plugin->module_name,
		.version = plugin->version[0] != 0 ? plugin->version : "0.0.0",
		.ifaces = plugin->ifaces,
		.n_ifaces = 1,
		.init = init,
		.fini = fini,
	};
	oc_status status = OC_OK;
	if (plugin->module == NULL)
		status = oc_modules_add(plugin->bridge->modules, oc_str_of(text), &plugin->desc, "plugin", &plugin->module, err);
	if (status == OC_OK)
		status = oc_module_renew(plugin->module, oc_str_of(text), err);
	if (status == OC_OK && oc_module_running(plugin->module)) {
		status = oc_plugin_channels_register(plugin, err);
		oc_plugin_engines_register(plugin);
	}
	return status;
}

oc_status oc_plugin_present(oc_plugin *plugin, oc_err *err)
{
	const cJSON *row;
	oc_status status = OC_OK;
	oc_free(plugin->tools_json);
	plugin->tools_json = tool_specs(plugin);
	if (plugin->tools_json == NULL) {
		oc_plugin_withdraw(plugin);
		return oc_fail(err, OC_E_NOMEM, NULL, "no memory for a plugin's tools");
	}
	plugin->hooks_before = plugin->hooks;
	plugin->hooks = NULL;
	cJSON_ArrayForEach(row, oc_json_get(plugin->snapshot, "hooks"))
	{
		if (status == OC_OK)
			status = subscribe(plugin, row, err);
	}
	if (status == OC_OK)
		status = subscribe_tools(plugin, err);
	cJSON_ArrayForEach(row, internal_rows(plugin))
	{
		if (status == OC_OK)
			status = subscribe_internal(plugin, row, err);
	}
	unsubscribe(plugin, &plugin->hooks_before);
	if (status == OC_OK && (plugin->module != NULL || strcmp(plugin->tools_json, "[]") != 0 || oc_plugin_has_guests(plugin)))
		status = show_module(plugin, err);
	plugin->presented = status == OC_OK;
	return status;
}

void oc_plugin_withdraw(oc_plugin *plugin)
{
	unsubscribe(plugin, &plugin->hooks);
	plugin->presented = false;
	if (plugin->module != NULL && oc_module_running(plugin->module))
		oc_module_stop(plugin->module, 1000, NULL, NULL);
}
