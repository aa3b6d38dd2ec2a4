/* system.*, auth.*, logs.*: the gateway itself. */
#include <ctype.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/clock.h"
#include "core/base/log.h"
#include "core/base/mem.h"
#include "core/base/path.h"
#include "core/gateway/absent.h"
#include "core/gateway/gateway.h"

#define OBJECT(members) "{\"type\":\"object\",\"additionalProperties\":false,\"properties\":{" members "}}"

/* Answered from fields, without a tree: probes ask often. */
static void system_health(oc_method_call *call, const cJSON *params)
{
	(void)params;
	const oc_gateway *gw = oc_method_gateway(call);
	char text[128], *end = stpcpy(text, "{\"ok\":true,\"status\":\"");
	end = stpcpy(end, gw->stopping ? "stopping" : gw->ready ? "live" : "starting");
	end = stpcpy(end, "\",\"uptimeMs\":");
	end = oc_put_u64(end, (oc_now_ns() - gw->started_ns) / 1000000u);
	*end++ = '}';
	oc_method_reply_text(call, oc_str_make(text, (size_t)(end - text)));
}

const oc_method oc_method_system_health = {"system.health", OC_SCOPE_READ, "whether the gateway is alive", OBJECT(""),
					   system_health};

static void system_version(oc_method_call *call, const cJSON *params)
{
	(void)params;
	char text[160];
	int n = snprintf(text, sizeof text,
			 "{\"name\":\"openclaw\",\"version\":\"%s\",\"abi\":{\"major\":%d,\"minor\":%d}}", PACKAGE_VERSION,
			 OC_ABI_MAJOR, OC_ABI_MINOR);
	oc_method_reply_text(call, oc_str_make(text, (size_t)n));
}

const oc_method oc_method_system_version = {"system.version", OC_SCOPE_NONE, "the program's and the ABI's version",
					    OBJECT(""), system_version};

static void system_status(oc_method_call *call, const cJSON *params)
{
	(void)params;
	oc_method_reply(call, oc_gateway_status(oc_method_gateway(call)));
}

const oc_method oc_method_system_status = {"system.status", OC_SCOPE_READ,
					   "address, model, modules, channels, sessions, problems", OBJECT(""), system_status};

static void system_methods(oc_method_call *call, const cJSON *params)
{
	(void)params;
	cJSON *result = cJSON_CreateObject(), *list = oc_method_list();
	oc_json_set(result, "methods", list);
	oc_plugin_method guest;
	for (size_t i = 0; oc_bridge_method_row(oc_method_gateway(call)->rt->bridge, i, &guest); i++) {
		cJSON *row = cJSON_CreateObject();
		oc_json_set_str(row, "name", guest.name);
		oc_json_set_str(row, "scope", oc_method_guest_scope(guest.scope));
		oc_json_set_str(row, "plugin", guest.plugin);
		cJSON_AddItemToArray(list, row);
	}
	cJSON *absent = oc_absent_list();
	oc_json_set(result, "unavailable", absent);
	oc_method_reply(call, result);
}

const oc_method oc_method_system_methods = {"system.methods", OC_SCOPE_READ, "every method, its scope and parameters; and those of the original that are unavailable, with the reason",
					    OBJECT(""), system_methods};

/* {"ok":true} */
static cJSON *all_well(void)
{
	cJSON *result = cJSON_CreateObject();
	oc_json_set_bool(result, "ok", true);
	return result;
}

static void system_reload(oc_method_call *call, const cJSON *params)
{
	oc_gateway_reload_then(oc_method_gateway(call), oc_json_bool(params, "secrets", true), call, all_well());
}

const oc_method oc_method_system_reload = {"system.reload", OC_SCOPE_ADMIN,
					   "reads the configuration file again now, and answers when what it says is in effect",
					   OBJECT("\"secrets\":{\"type\":\"boolean\",\"description\":\"ask the commands of secrets again (true)\"}"),
					   system_reload};

static void secrets_reload(oc_method_call *call, const cJSON *params)
{
	cJSON *result = all_well();
	(void)params;
	oc_json_set_i64(result, "warningCount", 0);
	oc_gateway_reload_then(oc_method_gateway(call), true, call, result);
}

const oc_method oc_method_secrets_reload = {"secrets.reload", OC_SCOPE_ADMIN, "asks the commands of secrets again, as system.reload does", NULL,
					    secrets_reload};

static void system_shutdown(oc_method_call *call, const cJSON *params)
{
	oc_gateway *gw = oc_method_gateway(call);
	char why[128];
	snprintf(why, sizeof why, "%s", oc_json_str(params, "reason", "asked by a client"));
	oc_method_reply_text(call, OC_STR("{\"ok\":true}"));
	oc_gateway_stop(gw, why);
}

const oc_method oc_method_system_shutdown = {
	"system.shutdown", OC_SCOPE_ADMIN, "stops the gateway: no new turns, running ones are finished",
	OBJECT("\"reason\":{\"type\":\"string\",\"maxLength\":100}"), system_shutdown};

/* ---- logs ---- */

enum { LOG_WINDOW = 1 << 18 };

/* A line of the log with the members that the original's clients look for beside ours: "0" the part it came from, "1" what it
 * says, and the level. */
static cJSON *as_original(oc_str line)
{
	oc_auto_json cJSON *o = NULL, *from = cJSON_CreateObject();
	oc_auto_free char *text = oc_memdup(line.p, line.n), *part = NULL;
	char level[8] = {0};
	if (oc_json_parse(line, NULL, &o, NULL) != OC_OK || !cJSON_IsObject(o)) /* the first may be cut */
		return text != NULL ? cJSON_CreateString(text) : NULL;
	const char *given = oc_json_str(o, "level", "info");
	for (size_t i = 0; given[i] != 0 && i + 1 < sizeof level; i++)
		level[i] = (char)toupper((unsigned char)given[i]);
	oc_json_opt(from, "subsystem", oc_json_str(o, "where", NULL));
	part = oc_json_print(from);
	cJSON *meta = cJSON_CreateObject();
	oc_json_opt(meta, "name", part);
	oc_json_opt(meta, "date", oc_json_str(o, "time", NULL));
	oc_json_set_str(meta, "logLevelName", level);
	oc_json_opt(o, "0", part);
	oc_json_set_str(o, "1", oc_json_str(o, "message", ""));
	(void)oc_json_set(o, "_meta", meta);
	oc_free(text);
	text = oc_json_print(o);
	return text != NULL ? cJSON_CreateString(text) : NULL;
}

/* For OpenClaw's own clients: the lines from a place in the file on. */
static void tail_from(oc_method_call *call, const cJSON *params, FILE *f, const char *path)
{
	int64_t limit = oc_json_i64(params, "limit", 500), most = oc_json_i64(params, "maxBytes", LOG_WINDOW), cursor = oc_json_i64(params, "cursor", -1);
	(void)fseek(f, 0, SEEK_END);
	int64_t size = ftell(f), from = cursor >= 0 && cursor <= size ? cursor : 0;
	bool reset = cursor > size, cut = size - from > most;
	if (cut)
		from = size - most;
	oc_auto_free char *window = oc_alloc((size_t)most + 1);
	(void)fseek(f, (long)from, SEEK_SET);
	size_t n = window != NULL ? fread(window, 1, (size_t)most, f) : 0, whole = n;
	while (whole > 0 && window[whole - 1] != '\n') /* the last one is being written */
		whole--;
	oc_str rest = {window, whole};
	if (cut && whole > 0)
		(void)oc_str_cut(&rest, '\n');
	size_t lines = 0;
	for (size_t i = 0; i < rest.n; i++)
		lines += rest.p[i] == '\n';
	cJSON *result = cJSON_CreateObject(), *list = cJSON_AddArrayToObject(result, "lines");
	for (; rest.p != NULL && rest.n > 0; lines--) {
		oc_str line = oc_str_cut(&rest, '\n');
		if (lines <= (size_t)limit)
			cJSON_AddItemToArray(list, as_original(line));
	}
	oc_json_set_str(result, "file", path);
	oc_json_set_i64(result, "cursor", from + (int64_t)whole);
	oc_json_set_i64(result, "size", size);
	oc_json_set_bool(result, "truncated", cut);
	oc_json_set_bool(result, "reset", reset);
	oc_method_reply(call, result);
}

static void logs_tail(oc_method_call *call, const cJSON *params)
{
	/* The last `limit` lines of the log file, read backwards from its end. */
	int64_t limit = oc_json_i64(params, "limit", 200);
	oc_auto_free char *path = oc_path_state("logs/gateway.log");
	FILE *f = path != NULL ? fopen(path, "re") : NULL;
	if (f == NULL) {
		oc_method_failf(call, OC_E_NOT_FOUND, NULL, "there is no log file yet");
		return;
	}
	if (oc_method_client(call)->protocol != 0) {
		tail_from(call, params, f, path);
		fclose(f);
		return;
	}
	oc_auto_free char *window = oc_alloc(LOG_WINDOW + 1);
	fseek(f, 0, SEEK_END);
	long size = ftell(f), from = size > LOG_WINDOW ? size - LOG_WINDOW : 0;
	fseek(f, from, SEEK_SET);
	size_t n = window != NULL ? fread(window, 1, LOG_WINDOW, f) : 0;
	fclose(f);
	size_t start = n;
	for (int64_t lines = 0; start > 0; start--)
		if (window[start - 1] == '\n' && start < n && ++lines == limit)
			break;
	cJSON *result = cJSON_CreateObject(), *list = cJSON_AddArrayToObject(result, "lines");
	oc_str rest = {window + start, n - start};
	while (list != NULL && rest.p != NULL && rest.n > 0) {
		oc_str line = oc_str_cut(&rest, '\n');
		cJSON *tree = NULL;
		if (oc_json_parse(line, NULL, &tree, NULL) == OC_OK) /* the first may be cut */
			cJSON_AddItemToArray(list, tree);
	}
	oc_method_reply(call, result);
}

const oc_method oc_method_logs_tail = {
	"logs.tail", OC_SCOPE_READ, "the last lines of the log",
	OBJECT("\"limit\":{\"type\":\"integer\",\"minimum\":1,\"maximum\":5000},\"cursor\":{\"type\":\"integer\",\"minimum\":0},"
	       "\"maxBytes\":{\"type\":\"integer\",\"minimum\":1,\"maximum\":1000000}"),
	logs_tail};
