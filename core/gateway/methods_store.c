/* store.*: the state of the database, its copies, and what could not be delivered. */
#include <string.h>
#include <time.h>

#include "core/agent/outbound.h"
#include "core/base/clock.h"
#include "core/base/mem.h"
#include "core/base/path.h"
#include "core/gateway/gateway.h"

#define OBJECT(members) "{\"type\":\"object\",\"additionalProperties\":false,\"properties\":{" members "}}"

/* ---- Long reading: on the pool ---- */

typedef struct care {
	oc_method_call *call;
	char *path, *to;
	bool quick;
	oc_status (*run)(struct care *c);
	cJSON *result;
	oc_status status;
	oc_err err;
} care;

static void care_free(care *c)
{
	cJSON_Delete(c->result);
	oc_free(c->path);
	oc_free(c->to);
	oc_free(c);
}

static void care_run(void *arg)
{
	care *c = arg;
	c->status = c->run(c);
}

static void care_done(void *arg, oc_status status)
{
	care *c = arg;
	if (status != OC_OK && c->status == OC_OK)
		(void)oc_fail(&c->err, status, NULL, "the gateway is stopping");
	if (c->err.code != OC_OK) {
		oc_method_fail(c->call, &c->err);
	} else {
		oc_method_reply(c->call, c->result);
		c->result = NULL;
	}
	care_free(c);
}

static void care_start(oc_method_call *call, oc_status (*run)(care *c), bool quick, char *to)
{
	oc_runtime *rt = oc_method_gateway(call)->rt;
	care *c = oc_alloc(sizeof *c);
	char *path = oc_strdup(oc_store_path(rt->store));
	if (c == NULL || path == NULL) {
		oc_free(c);
		oc_free(path);
		oc_free(to);
		oc_method_failf(call, OC_E_NOMEM, NULL, "out of memory");
		return;
	}
	*c = (care){.call = call, .path = path, .to = to, .quick = quick, .run = run};
	oc_status status = oc_work(rt->owner, care_run, care_done, c);
	if (status != OC_OK) {
		care_free(c);
		oc_method_failf(call, status, NULL, "cannot start: %s", oc_status_text(status));
	}
}

/* ---- store.stats ---- */

static oc_status run_figures(care *c)
{
	return oc_store_figures(c->path, &c->result, &c->err);
}

/* The running writer's own figures, beside the file's. */
cJSON *oc_gateway_store_status(oc_gateway *gw)
{
	oc_store_stats s = {0};
	oc_err err = {0};
	oc_store_get_stats(gw->rt->store, &s);
	oc_status health = oc_store_admits(gw->rt->store, &err);
	if (health == OC_OK)
		health = oc_store_damage(gw->rt->store, &err);
	cJSON *o = cJSON_CreateObject();
	oc_json_set_bool(o, "ok", health == OC_OK);
	if (health != OC_OK) {
		oc_json_set_str(o, "error", err.text);
		oc_json_set_str(o, "remedy", err.remedy);
		oc_json_set_i64(o, "since", s.stalled_since_ms);
	}
	oc_json_set_i64(o, "queued", (int64_t)s.queued);
	oc_json_set_i64(o, "queueMax", (int64_t)s.queue_max);
	oc_json_set_i64(o, "held", (int64_t)s.held);
	oc_json_set_i64(o, "commits", (int64_t)s.commits);
	oc_json_set_i64(o, "batches", (int64_t)s.batches);
	oc_json_set_i64(o, "failures", (int64_t)s.failures);
	oc_json_set_i64(o, "stalls", (int64_t)s.stalls);
	oc_json_set_i64(o, "commitMicrosMean", s.commits > 0 ? (int64_t)(s.commit_ns_total / s.commits / 1000) : 0);
	oc_json_set_i64(o, "commitMicrosP50", (int64_t)oc_store_latency_us(&s, 0.5));
	oc_json_set_i64(o, "commitMicrosP99", (int64_t)oc_store_latency_us(&s, 0.99));
	oc_json_set_i64(o, "commitMicrosMax", (int64_t)(s.commit_ns_max / 1000));
	oc_json_set_i64(o, "prunedSessions", (int64_t)s.pruned_sessions);
	oc_json_set_i64(o, "prunedMessages", (int64_t)s.pruned_messages);
	oc_json_set_i64(o, "prunedEvents", (int64_t)s.pruned_events);
	oc_json_set_i64(o, "prunedRows", (int64_t)s.pruned_rows);
	oc_json_set_i64(o, "fileBytes", s.file_bytes);
	oc_json_set_i64(o, "logBytes", s.wal_bytes);
	oc_json_set_i64(o, "deadLetters", oc_store_dead_count(gw->rt->store));
	return o;
}

static oc_status run_stats(care *c)
{
	oc_status status = run_figures(c);
	if (status == OC_OK && !oc_json_set(c->result, "writer", cJSON_Parse(c->to)))
		status = oc_fail(&c->err, OC_E_NOMEM, NULL, "out of memory");
	return status;
}

static void store_stats(oc_method_call *call, const cJSON *params)
{
	(void)params;
	oc_auto_json cJSON *writer = oc_gateway_store_status(oc_method_gateway(call));
	care_start(call, run_stats, false, oc_json_print(writer));
}

const oc_method oc_method_store_stats = {"store.stats", OC_SCOPE_READ, "sizes, rows, queue, latencies of the store", OBJECT(""),
					 store_stats};

/* ---- store.check, store.backup, store.compact ---- */

static oc_status run_check(care *c)
{
	return oc_store_check(c->path, c->quick, &c->result, &c->err);
}

static void store_check(oc_method_call *call, const cJSON *params)
{
	care_start(call, run_check, oc_json_bool(params, "quick", false), NULL);
}

const oc_method oc_method_store_check = {"store.check", OC_SCOPE_ADMIN, "checks the store's pages, numbers and states",
					 OBJECT("\"quick\":{\"type\":\"boolean\"}"), store_check};

static oc_status run_backup(care *c)
{
	int64_t bytes = 0;
	oc_status status = oc_store_backup(c->path, c->to, &bytes, &c->err);
	c->result = status == OC_OK ? cJSON_CreateObject() : NULL;
	if (status == OC_OK && (!oc_json_set_str(c->result, "path", c->to) || !oc_json_set_i64(c->result, "bytes", bytes)))
		status = oc_fail(&c->err, OC_E_NOMEM, NULL, "out of memory");
	return status;
}

char *oc_store_backup_name(void)
{
	char day[32];
	struct tm tm;
	int64_t ms = oc_wall_ms();
	time_t now = (time_t)(ms / 1000);
	gmtime_r(&now, &tm);
	strftime(day, sizeof day, "%Y%m%dT%H%M%S", &tm);
	oc_auto_free char *name = oc_asprintf("backups/openclaw-%s.%03dZ.db", day, (int)(ms % 1000));
	if (name == NULL)
		return NULL;
	oc_auto_free char *dir = oc_path_state("backups");
	return dir != NULL && oc_path_mkdirs(dir, 0700, NULL) == OC_OK ? oc_path_state(name) : NULL;
}

static void store_backup(oc_method_call *call, const cJSON *params)
{
	(void)params;
	char *to = oc_store_backup_name();
	if (to == NULL)
		oc_method_failf(call, OC_E_IO, "check that the state folder may be written", "the folder for backups cannot be made");
	else
		care_start(call, run_backup, false, to);
}

const oc_method oc_method_store_backup = {"store.backup", OC_SCOPE_ADMIN,
					  "makes a checked copy of the store in the state folder's backups", OBJECT(""), store_backup};

static void store_compact(oc_method_call *call, const cJSON *params)
{
	(void)params;
	oc_err err = {0};
	if (oc_store_compact_live(oc_method_gateway(call)->rt->store, &err) != OC_OK)
		oc_method_fail(call, &err);
	else
		oc_method_reply_text(call, OC_STR("{\"started\":true}"));
}

const oc_method oc_method_store_compact = {"store.compact", OC_SCOPE_ADMIN,
					   "removes what is over and gives free space back, in pieces beside the work", OBJECT(""),
					   store_compact};

/* ---- Dead letters ---- */

static void store_dead(oc_method_call *call, const cJSON *params)
{
	oc_err err = {0};
	cJSON *list = NULL, *result = cJSON_CreateObject();
	if (oc_store_dead(oc_method_gateway(call)->rt->store, oc_json_i64(params, "limit", 100), &list, &err) != OC_OK) {
		cJSON_Delete(result);
		oc_method_fail(call, &err);
		return;
	}
	oc_json_set(result, "letters", list);
	oc_method_reply(call, result);
}

const oc_method oc_method_store_dead = {"store.dead", OC_SCOPE_READ, "messages that could not be delivered and were given up",
					OBJECT("\"limit\":{\"type\":\"integer\",\"minimum\":1,\"maximum\":10000}"), store_dead};

static void dead_changed(void *arg, int64_t count, const oc_err *err)
{
	oc_method_call *call = arg;
	if (err->code != OC_OK) {
		oc_method_fail(call, err);
		return;
	}
	cJSON *result = cJSON_CreateObject();
	oc_json_set_i64(result, "changed", count);
	oc_method_reply(call, result);
}

static void change_dead(oc_method_call *call, const cJSON *params, bool drop)
{
	oc_err err = {0};
	const char *key = oc_json_str(params, "key", NULL);
	if (key == NULL && !oc_json_bool(params, "all", false)) {
		oc_method_failf(call, OC_E_INVALID, "store.dead lists the keys", "give a key, or all: true");
		return;
	}
	if (oc_agent_dead_change(oc_method_gateway(call)->agent, key, drop, dead_changed, call, &err) != OC_OK)
		oc_method_fail(call, &err);
}

static void store_retry(oc_method_call *call, const cJSON *params)
{
	change_dead(call, params, false);
}

static void store_drop(oc_method_call *call, const cJSON *params)
{
	change_dead(call, params, true);
}

#define DEAD_PARAMS OBJECT("\"key\":{\"type\":\"string\",\"minLength\":1,\"maxLength\":200},\"all\":{\"type\":\"boolean\"}")
const oc_method oc_method_store_retry = {"store.retry", OC_SCOPE_ADMIN, "tries messages that were given up once more", DEAD_PARAMS,
					 store_retry};
const oc_method oc_method_store_drop = {"store.drop", OC_SCOPE_ADMIN, "removes messages that were given up", DEAD_PARAMS, store_drop};
