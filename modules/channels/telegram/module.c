/* The module's vtables: everything goes to the account it is for. */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "telegram.h"

/* ---- Helpers that need the host ---- */

void tg_wipe(void *p, size_t n)
{
	if (p != NULL && n > 0)
		explicit_bzero(p, n);
}

void tg_log(tg_module *m, const tg_account *a, int32_t level, const char *format, ...)
{
	char text[1024];
	int at = a != NULL ? snprintf(text, sizeof text, "%s: ", a->id) : 0;
	va_list args;
	va_start(args, format);
	vsnprintf(text + at, sizeof text - (size_t)at, format, args);
	va_end(args);
	tg_scrub(a, text);
	m->host->log(m->self, level, oc_str_of(text));
}

void tg_fail_call(tg_module *m, oc_call *call, oc_status status, const char *format, ...)
{
	char text[1024];
	va_list args;
	if (call == NULL)
		return;
	va_start(args, format);
	vsnprintf(text, sizeof text, format, args);
	va_end(args);
	m->host->call_done(call, status, oc_str_of(text));
}

void tg_timer_end(tg_module *m, oc_watch **timer)
{
	if (*timer != NULL)
		m->host->unwatch(*timer);
	*timer = NULL;
}

bool tg_timer(tg_module *m, oc_watch **timer, uint64_t ms, void (*cb)(void *arg), void *arg)
{
	tg_timer_end(m, timer);
	*timer = m->host->timer(m->self, ms, 0, cb, arg);
	return *timer != NULL;
}

uint64_t tg_jitter(uint64_t ms)
{
	uint32_t r = 0;
	if (ms < 4 || getrandom(&r, sizeof r, GRND_NONBLOCK) != (ssize_t)sizeof r)
		return ms;
	return ms - ms / 4 + r % (ms / 2 + 1);
}

bool tg_random_hex(char *out, size_t n)
{
	static const char digits[] = "0123456789abcdef";
	unsigned char bytes[64];
	out[0] = 0;
	if (n > sizeof bytes || getrandom(bytes, n, 0) != (ssize_t)n)
		return false;
	for (size_t i = 0; i < n; i++) {
		out[2 * i] = digits[bytes[i] >> 4];
		out[2 * i + 1] = digits[bytes[i] & 15];
	}
	out[2 * n] = 0;
	return true;
}

oc_str tg_media_dir(tg_module *m)
{
	if (m->media_dir[0] == 0) {
		oc_str dir = m->channel->media_dir(m->self);
		if (dir.n < sizeof m->media_dir)
			memcpy(m->media_dir, dir.p, dir.n + 1);
	}
	return oc_str_of(m->media_dir);
}

/* ---- Life ---- */

static oc_status module_init(const oc_host_api *host, oc_self *self, oc_str config, void **ret_inst)
{
	(void)config; /* everything is set per account, at connect */
	tg_module *m = calloc(1, sizeof *m);
	if (m == NULL)
		return OC_E_NOMEM;
	m->host = host;
	m->self = self;
	const void *table = NULL;
	oc_status status = host->query(self, OC_STR(OC_SERVICE_HTTP_CLIENT), 1, 0, &table);
	m->http = table;
	if (status == OC_OK) {
		status = host->query(self, OC_STR(OC_SERVICE_CHANNEL), 1, 0, &table);
		m->channel = table;
	}
	if (status != OC_OK) {
		host->log(self, OC_LOG_ERROR, OC_STR("the host offers no http.client or channel service"));
		free(m);
		return status;
	}
	tg_intake_tell(m);
	tg_media_tell(m);
	*ret_inst = m;
	return OC_OK;
}

void tg_module_idle(tg_module *m)
{
	if (m->stopping == NULL || m->accounts != NULL)
		return;
	oc_call *call = m->stopping;
	m->stopping = NULL;
	m->host->call_done(call, OC_OK, OC_STR("{}"));
}

static void module_stop(void *inst, oc_call *call, uint64_t deadline_ms)
{
	tg_module *m = inst;
	(void)deadline_ms;
	m->stopping = call;
	for (tg_account *a = m->accounts, *next; a != NULL; a = next) {
		next = a->next;
		tg_account_end(a);
	}
	tg_module_idle(m);
}

static void module_fini(void *inst)
{
	tg_module *m = inst;
	/* Accounts that still wait for a callback of the host's get none any more. */
	for (tg_account *a = m->accounts, *next; a != NULL; a = next) {
		next = a->next;
		tg_wipe(a->token, sizeof a->token);
		tg_wipe(a->webhook_secret, sizeof a->webhook_secret);
	}
	tg_orphans_end(m);
	free(m);
}

/* ---- Channel ---- */

static cJSON *parse(tg_module *m, oc_call *call, oc_str json)
{
	cJSON *tree = cJSON_ParseWithLength(json.p, json.n);
	if (!cJSON_IsObject(tree)) {
		cJSON_Delete(tree);
		tg_fail_call(m, call, OC_E_INVALID, "the host's request is not a JSON object");
		return NULL;
	}
	return tree;
}

static void on_account(tg_module *m, oc_call *call, oc_str json, void (*fn)(tg_account *a, oc_call *call, const cJSON *spec))
{
	cJSON *tree = parse(m, call, json);
	if (tree == NULL)
		return;
	const char *id = tg_json_str(tree, "account", "default");
	tg_account *a = tg_account_find(m, id);
	if (a == NULL || a->phase != TG_RUNNING)
		tg_fail_call(m, call, OC_E_UNAVAILABLE, "the Telegram account \"%s\" is not connected", id);
	else
		fn(a, call, tree);
	cJSON_Delete(tree);
}

static void channel_connect(void *inst, oc_call *call, oc_str account)
{
	cJSON *tree = parse(inst, call, account);
	if (tree != NULL)
		tg_account_connect(inst, call, tree);
	cJSON_Delete(tree);
}

static void channel_send(void *inst, oc_call *call, oc_str message)
{
	on_account(inst, call, message, tg_send);
}

static void channel_edit(void *inst, oc_call *call, oc_str message)
{
	on_account(inst, call, message, tg_edit);
}

static void channel_action(void *inst, oc_call *call, oc_str action)
{
	on_account(inst, call, action, tg_action);
}

static void channel_disconnect(void *inst, oc_call *call, oc_str account)
{
	tg_module *m = inst;
	cJSON *tree = parse(m, call, account);
	if (tree == NULL)
		return;
	tg_account *a = tg_account_find(m, tg_json_str(tree, "account", "default"));
	if (a == NULL)
		m->host->call_done(call, OC_OK, OC_STR("{}"));
	else
		tg_account_disconnect(a, call);
	cJSON_Delete(tree);
}

static void channel_probe(void *inst, oc_call *call, oc_str account)
{
	tg_module *m = inst;
	cJSON *tree = parse(m, call, account);
	if (tree == NULL)
		return;
	const char *id = tg_json_str(tree, "account", "default");
	tg_account *a = tg_account_find(m, id);
	if (a == NULL)
		tg_fail_call(m, call, OC_E_UNAVAILABLE, "the Telegram account \"%s\" is not connected", id);
	else
		tg_account_probe(a, call);
	cJSON_Delete(tree);
}

static void channel_cancel(void *inst, oc_call *call)
{
	tg_module *m = inst;
	for (tg_account *a = m->accounts; a != NULL; a = a->next) {
		if (a->connecting == call) {
			a->connecting = NULL;
			a->quiet = true; /* the host knows, and tells why */
			tg_account_end(a);
			tg_fail_call(m, call, OC_E_CANCELED, "canceled");
			return;
		}
		if (tg_op_cancel(a, call))
			return;
	}
	/* Others (probe, action, disconnect) end by themselves soon. */
}

static void http_request(void *inst, oc_call *call, const oc_http_request *request)
{
	tg_webhook_request(inst, call, request);
}

static void http_cancel(void *inst, oc_call *call)
{
	tg_webhook_cancel(inst, call);
}

static const oc_channel_vtbl channel = {
	.struct_size = sizeof(oc_channel_vtbl),
	.flags = OC_CHANNEL_EDITS | OC_CHANNEL_MEDIA | OC_CHANNEL_THREADS,
	.connect = channel_connect,
	.send = channel_send,
	.edit = channel_edit,
	.action = channel_action,
	.cancel = channel_cancel,
	.disconnect = channel_disconnect,
	.probe = channel_probe,
};

static const oc_http_vtbl http = {
	.struct_size = sizeof(oc_http_vtbl),
	.flags = OC_HTTP_PUBLIC,
	.request = http_request,
	.cancel = http_cancel,
};

static const oc_iface ifaces[] = {
	{OC_KIND_CHANNEL, 1, 0, "telegram", &channel},
	{OC_KIND_HTTP, 1, 0, TG_WEBHOOK_PREFIX, &http},
};

static const oc_module_desc desc = {
	.magic = OC_MODULE_MAGIC,
	.struct_size = sizeof(oc_module_desc),
	.abi_major = OC_ABI_MAJOR,
	.abi_minor = OC_ABI_MINOR,
	.abi_min_minor = 0,
	.name = "telegram",
	.version = "0.1.0",
	.ifaces = ifaces,
	.n_ifaces = sizeof ifaces / sizeof ifaces[0],
	.init = module_init,
	.stop = module_stop,
	.fini = module_fini,
};

OC_MODULE_MANIFEST("module.json");
OC_MODULE(&desc);
