#include "core/agent/cron_job.h"

#include <stdio.h>
#include <string.h>

#include "core/agent/session.h"
#include "core/base/clock.h"
#include "core/base/hash.h"
#include "core/base/id.h"
#include "core/base/mem.h"
#include "core/data/cronexpr.h"

#define STAGGER_MS (5 * 60000)
#define LATE_MS 60000 /* a time so little ago was now when it was written */
#define FUTURE_MS ((int64_t)3660 * 86400000)
#define NAME_MAX 200
#define TEXT_MAX (256 << 10)

static oc_status bad(oc_err *err, const char *what)
{
	return oc_fail(err, OC_E_INVALID, NULL, "%s", what);
}

static const char *text_of(const cJSON *o, const char *name)
{
	return oc_json_str(o, name, "");
}

static bool one_of(const char *s, const char *const *names)
{
	for (; *names != NULL; names++)
		if (strcmp(s, *names) == 0)
			return true;
	return false;
}

/* ---- When ---- */

static oc_status settle_at(cJSON *schedule, const cJSON *asked, int64_t now, oc_err *err)
{
	int64_t at = oc_json_i64(asked, "atMs", -1);
	char stamp[32], current[32];
	const char *text = text_of(asked, "at");
	/* Only digits: milliseconds since 1970. */
	if (at < 0 && text[0] != 0 && !oc_wall_parse(oc_str_of(text), &at) &&
	    oc_str_i64(oc_str_trim(oc_str_of(text)), 1, INT64_C(253402300799999), &at) != OC_OK)
		return oc_fail(err, OC_E_INVALID, "give it as 2030-01-31T12:00:00Z", "schedule.at is not a time: %.60s", text);
	if (at < 0)
		return bad(err, "schedule.at is missing");
	(void)oc_wall_format(at, stamp, sizeof stamp);
	(void)oc_wall_format(now, current, sizeof current);
	if (at < now - LATE_MS)
		return oc_fail(err, OC_E_INVALID, NULL, "schedule.at is in the past: %s (%lld minutes ago). Current time: %s", stamp,
			       (long long)((now - at) / 60000), current);
	if (at > now + FUTURE_MS)
		return oc_fail(err, OC_E_INVALID, NULL, "schedule.at is too far in the future: %s. Current time: %s", stamp, current);
	(void)oc_json_set_str(schedule, "at", stamp);
	return OC_OK;
}

static oc_status settle_expr(cJSON *schedule, const cJSON *asked, oc_err *err)
{
	const char *expr = text_of(asked, "expr"), *tz = text_of(asked, "tz");
	oc_cron_expr parsed;
	oc_zone *zone = NULL;
	oc_status status = oc_cron_expr_parse(oc_str_of(expr), &parsed, err);
	if (status == OC_OK)
		status = oc_zone_load(tz, &zone, err);
	if (status != OC_OK)
		return status;
	bool ever = oc_cron_expr_next(&parsed, zone, oc_wall_ms() / 1000) != INT64_MAX;
	oc_zone_free(zone);
	if (!ever)
		return oc_fail(err, OC_E_INVALID, NULL, "the cron expression %.80s never comes", expr);
	(void)oc_json_set_str(schedule, "expr", expr);
	oc_json_opt(schedule, "tz", tz);
	/* Machines everywhere would ask their models at the same second of each hour. */
	int64_t stagger = oc_json_i64(asked, "staggerMs", oc_cron_expr_on_the_hour(oc_str_of(expr)) ? STAGGER_MS : -1);
	if (stagger >= 0)
		(void)oc_json_set_i64(schedule, "staggerMs", stagger);
	return OC_OK;
}

static oc_status settle_schedule(cJSON *job, const cJSON *asked, int64_t now, oc_err *err)
{
	const char *kind = text_of(asked, "kind");
	if (!cJSON_IsObject(asked))
		return bad(err, "schedule is missing");
	if (kind[0] == 0)
		kind = oc_json_get(asked, "everyMs") != NULL ? "every" : oc_json_get(asked, "expr") != NULL ? "cron" : "at";
	cJSON *schedule = cJSON_CreateObject();
	oc_json_opt(schedule, "kind", kind);
	oc_status status = OC_OK;
	if (strcmp(kind, "at") == 0) {
		status = settle_at(schedule, asked, now, err);
	} else if (strcmp(kind, "every") == 0) {
		int64_t every = oc_json_i64(asked, "everyMs", 0), anchor = oc_json_i64(asked, "anchorMs", now);
		if (every < 1 || every > FUTURE_MS || anchor < 0 || anchor > now + FUTURE_MS)
			status = bad(err, "schedule.everyMs must be a whole number of at least 1");
		(void)oc_json_set_i64(schedule, "everyMs", every);
		(void)oc_json_set_i64(schedule, "anchorMs", anchor);
	} else if (strcmp(kind, "cron") == 0) {
		status = settle_expr(schedule, asked, err);
	} else {
		status = bad(err, "schedule.kind must be at, every or cron");
	}
	if (status != OC_OK)
		cJSON_Delete(schedule);
	else if (!oc_json_set(job, "schedule", schedule))
		status = oc_fail(err, OC_E_NOMEM, NULL, "no memory for a job");
	return status;
}

/* Where the clock of an "every" stands: the grid does not depend on when anything ran, nor on a clock that was set back. */
static int64_t next_of_grid(int64_t anchor, int64_t every, int64_t created, int64_t after)
{
	if (after < anchor && after >= created)
		return anchor; /* it begins later, as was asked */
	int64_t steps = (after - anchor) / every;
	if ((after - anchor) % every < 0)
		steps--;
	return anchor + (steps + 1) * every;
}

static oc_status next_of_expr(const cJSON *job, const cJSON *schedule, int64_t after, int64_t *ret, oc_err *err)
{
	oc_cron_expr expr;
	oc_zone *zone = NULL;
	oc_status status = oc_cron_expr_parse(oc_json_ostr(schedule, "expr"), &expr, err);
	if (status == OC_OK)
		status = oc_zone_load(text_of(schedule, "tz"), &zone, err);
	if (status != OC_OK)
		return status;
	int64_t stagger = oc_json_i64(schedule, "staggerMs", 0);
	int64_t late = stagger > 0 ? (int64_t)(oc_hash_z(OC_HASH_START, text_of(job, "id")) % (uint64_t)stagger) : 0;
	int64_t before = after - late, seconds = before / 1000 - (before % 1000 < 0);
	int64_t next = oc_cron_expr_next(&expr, zone, seconds);
	oc_zone_free(zone);
	*ret = next == INT64_MAX ? 0 : next * 1000 + late;
	return OC_OK;
}

oc_status oc_cron_job_next(const cJSON *job, int64_t after, int64_t *ret, oc_err *err)
{
	const cJSON *schedule = oc_json_get(job, "schedule");
	const char *kind = text_of(schedule, "kind");
	int64_t at = 0;
	if (strcmp(kind, "cron") == 0)
		return next_of_expr(job, schedule, after, ret, err);
	if (strcmp(kind, "every") == 0) {
		int64_t every = oc_json_i64(schedule, "everyMs", 0);
		*ret = every > 0 ? next_of_grid(oc_json_i64(schedule, "anchorMs", 0), every, oc_json_i64(job, "createdAtMs", 0), after) : 0;
		return OC_OK;
	}
	*ret = oc_wall_parse(oc_json_ostr(schedule, "at"), &at) && at > after ? at : 0;
	return OC_OK;
}

/* ---- What ---- */

static oc_status settle_payload(cJSON *job, const cJSON *asked, oc_err *err)
{
	static const char *const texts[] = {"model", "thinking", NULL};
	const char *kind = text_of(asked, "kind");
	if (!cJSON_IsObject(asked))
		return bad(err, "payload is missing");
	if (kind[0] == 0)
		kind = oc_json_get(asked, "message") != NULL ? "agentTurn" : "systemEvent";
	bool turn = strcmp(kind, "agentTurn") == 0;
	if (!turn && strcmp(kind, "systemEvent") != 0)
		return bad(err, "payload.kind must be systemEvent or agentTurn");
	const char *words = text_of(asked, turn ? "message" : "text");
	if (oc_str_trim(oc_str_of(words)).n == 0)
		return bad(err, turn ? "payload.message is missing" : "payload.text is missing");
	if (strlen(words) > TEXT_MAX)
		return bad(err, "the payload is longer than 256 KB");
	cJSON *payload = cJSON_CreateObject();
	oc_json_opt(payload, "kind", kind);
	oc_json_opt(payload, turn ? "message" : "text", words);
	for (const char *const *t = texts; turn && *t != NULL; t++)
		oc_json_opt(payload, *t, oc_json_str(asked, *t, NULL));
	if (turn && oc_json_i64(asked, "timeoutSeconds", -1) >= 0)
		(void)oc_json_set_i64(payload, "timeoutSeconds", oc_json_i64(asked, "timeoutSeconds", 0));
	if (turn && cJSON_IsBool(oc_json_get(asked, "lightContext")))
		(void)oc_json_set_bool(payload, "lightContext", oc_json_bool(asked, "lightContext", false));
	return oc_json_set(job, "payload", payload) ? OC_OK : oc_fail(err, OC_E_NOMEM, NULL, "no memory for a job");
}

static bool is_web(const char *url)
{
	return strncmp(url, "http://", 7) == 0 || strncmp(url, "https://", 8) == 0;
}

/* Where the answer goes. Older clients say so in the payload. */
static oc_status settle_delivery(cJSON *job, const cJSON *asked, const cJSON *payload, oc_err *err)
{
	static const char *const modes[] = {"none", "announce", "webhook", NULL};
	const cJSON *from = cJSON_IsObject(asked) ? asked : payload;
	const cJSON *legacy = oc_json_get(payload, "deliver");
	bool main = strcmp(text_of(job, "sessionTarget"), "main") == 0;
	const char *mode = text_of(asked, "mode");
	if (strcmp(mode, "deliver") == 0)
		mode = "announce";
	if (mode[0] == 0)
		mode = cJSON_IsFalse(legacy) ? "none" : "announce";
	if (!cJSON_IsObject(asked) && main)
		return OC_OK;
	if (!one_of(mode, modes))
		return bad(err, "delivery.mode must be none, announce or webhook");
	if (main && strcmp(mode, "announce") == 0)
		return bad(err, "cron channel delivery config is only supported for sessionTarget=\"isolated\"");
	if (strcmp(mode, "webhook") == 0 && !is_web(text_of(from, "to")))
		return bad(err, "cron webhook delivery requires delivery.to to be a valid http(s) URL");
	cJSON *delivery = cJSON_CreateObject();
	oc_json_opt(delivery, "mode", mode);
	oc_json_opt(delivery, "channel", oc_json_str(from, "channel", NULL));
	oc_json_opt(delivery, "to", oc_json_str(from, "to", NULL));
	oc_json_opt(delivery, "accountId", oc_json_str(from, "accountId", NULL));
	if (oc_json_bool(from, "bestEffort", oc_json_bool(payload, "bestEffortDeliver", false)))
		(void)oc_json_set_bool(delivery, "bestEffort", true);
	const cJSON *failure = oc_json_get(asked, "failureDestination");
	if (cJSON_IsObject(failure) && main && strcmp(mode, "webhook") != 0) {
		cJSON_Delete(delivery);
		return bad(err, "cron delivery.failureDestination is only supported for sessionTarget=\"isolated\" unless delivery.mode=\"webhook\"");
	}
	if (cJSON_IsObject(failure) && strcmp(text_of(failure, "mode"), "webhook") == 0 && !is_web(text_of(failure, "to"))) {
		cJSON_Delete(delivery);
		return bad(err, "cron failure destination webhook requires delivery.failureDestination.to to be a valid http(s) URL");
	}
	if (cJSON_IsObject(failure))
		(void)oc_json_set(delivery, "failureDestination", cJSON_Duplicate(failure, true));
	return oc_json_set(job, "delivery", delivery) ? OC_OK : oc_fail(err, OC_E_NOMEM, NULL, "no memory for a job");
}

static oc_status settle_target(cJSON *job, const char *target, oc_err *err)
{
	bool turn = strcmp(text_of(oc_json_get(job, "payload"), "kind"), "agentTurn") == 0;
	if (target[0] == 0)
		target = turn ? "isolated" : "main";
	bool main = strcmp(target, "main") == 0;
	if (!main && strcmp(target, "isolated") != 0 && (strncmp(target, "session:", 8) != 0 || target[8] == 0 || strlen(target) > 200))
		return bad(err, "sessionTarget must be main, isolated or session:NAME");
	if (main && turn)
		return bad(err, "main cron jobs require payload.kind=\"systemEvent\"");
	if (!main && !turn)
		return bad(err, "isolated cron jobs require payload.kind=\"agentTurn\"");
	return oc_json_set_str(job, "sessionTarget", target) ? OC_OK : oc_fail(err, OC_E_NOMEM, NULL, "no memory for a job");
}

/* ---- Whole jobs ---- */

/* A member that may be cleared by null. */
static void optional(cJSON *job, const cJSON *asked, const char *name)
{
	const cJSON *value = cJSON_GetObjectItemCaseSensitive(asked, name);
	if (cJSON_IsNull(value) || (cJSON_IsString(value) && value->valuestring[0] == 0))
		cJSON_DeleteItemFromObjectCaseSensitive(job, name);
	else if (value != NULL)
		(void)oc_json_set(job, name, cJSON_Duplicate(value, true));
}

/* What a patch leaves out of an object stays, unless the kind is another. */
static cJSON *merged(const cJSON *job, const cJSON *patch, const char *name, const char *kind)
{
	const cJSON *new = oc_json_get(patch, name), *old = oc_json_get(job, name), *m;
	if (!cJSON_IsObject(new))
		return cJSON_Duplicate(old, true);
	if (old == NULL || (oc_json_get(new, kind) != NULL && strcmp(text_of(new, kind), text_of(old, kind)) != 0))
		return cJSON_Duplicate(new, true);
	cJSON *both = cJSON_Duplicate(old, true);
	cJSON_ArrayForEach(m, new)
	{
		if (cJSON_IsNull(m))
			cJSON_DeleteItemFromObjectCaseSensitive(both, m->string);
		else
			(void)oc_json_set(both, m->string, cJSON_Duplicate(m, true));
	}
	return both;
}

static oc_status settle_name(cJSON *job, const cJSON *asked, oc_err *err)
{
	const cJSON *name = oc_json_get(asked, "name");
	oc_str given = cJSON_IsString(name) ? oc_str_trim(oc_str_of(name->valuestring)) : OC_STR_NONE;
	if (name == NULL && oc_json_get(job, "name") != NULL)
		return OC_OK;
	if (given.n == 0 || given.n > NAME_MAX)
		return bad(err, "a job needs a name of at most 200 bytes");
	oc_auto_free char *copy = oc_memdup(given.p, given.n);
	return copy != NULL && oc_json_set_str(job, "name", copy) ? OC_OK : oc_fail(err, OC_E_NOMEM, NULL, "no memory for a job");
}

static oc_status settle_agent(cJSON *job, const cJSON *asked)
{
	char id[65];
	optional(job, asked, "agentId");
	if (oc_json_get(job, "agentId") != NULL) {
		oc_agent_id_normalize(oc_json_ostr(job, "agentId"), id);
		(void)oc_json_set_str(job, "agentId", id);
	}
	return OC_OK;
}

static oc_status settle(cJSON *job, const cJSON *asked, int64_t now, oc_err *err)
{
	static const char *const wakes[] = {"now", "next-heartbeat", NULL};
	bool is_new = oc_json_get(job, "schedule") == NULL;
	oc_auto_json cJSON *payload = merged(job, asked, "payload", "kind"), *delivery = merged(job, asked, "delivery", "mode");
	oc_status status = settle_name(job, asked, err);
	optional(job, asked, "description");
	optional(job, asked, "sessionKey");
	if (status == OC_OK)
		status = settle_agent(job, asked);
	if (oc_json_get(asked, "enabled") != NULL || is_new)
		(void)oc_json_set_bool(job, "enabled", oc_json_bool(asked, "enabled", true));
	if (status == OC_OK && (is_new || oc_json_get(asked, "schedule") != NULL))
		status = settle_schedule(job, oc_json_get(asked, "schedule"), now, err);
	bool once = strcmp(text_of(oc_json_get(job, "schedule"), "kind"), "at") == 0;
	if (cJSON_IsBool(oc_json_get(asked, "deleteAfterRun")) || (is_new && once))
		(void)oc_json_set_bool(job, "deleteAfterRun", oc_json_bool(asked, "deleteAfterRun", once));
	if (status == OC_OK)
		status = settle_payload(job, payload, err);
	if (status == OC_OK)
		status = settle_target(job, oc_json_str(asked, "sessionTarget", text_of(job, "sessionTarget")), err);
	const char *wake = oc_json_str(asked, "wakeMode", oc_json_str(job, "wakeMode", "now"));
	if (status == OC_OK && !one_of(wake, wakes))
		status = bad(err, "wakeMode must be now or next-heartbeat");
	if (status == OC_OK) {
		(void)oc_json_set_str(job, "wakeMode", wake);
		cJSON_DeleteItemFromObjectCaseSensitive(job, "delivery");
		status = settle_delivery(job, delivery, oc_json_get(asked, "payload"), err);
	}
	if (cJSON_IsObject(oc_json_get(asked, "failureAlert")) || cJSON_IsFalse(oc_json_get(asked, "failureAlert")))
		(void)oc_json_set(job, "failureAlert", cJSON_Duplicate(oc_json_get(asked, "failureAlert"), true));
	(void)oc_json_set_i64(job, "updatedAtMs", now);
	return status;
}

/* The members in the order in which they are shown. */
static cJSON *in_order(const cJSON *job)
{
	static const char *const names[] = {"id", "agentId", "sessionKey", "name", "description", "enabled", "deleteAfterRun",
					    "createdAtMs", "updatedAtMs", "schedule", "sessionTarget", "wakeMode", "payload",
					    "delivery", "failureAlert", "state", NULL};
	cJSON *o = cJSON_CreateObject();
	for (const char *const *n = names; *n != NULL; n++)
		if (oc_json_get(job, *n) != NULL)
			(void)oc_json_set(o, *n, cJSON_Duplicate(oc_json_get(job, *n), true));
	return o;
}

static oc_status finish(cJSON *job, int64_t now, bool anew, bool asked_now, cJSON **ret, oc_err *err)
{
	int64_t next = 0;
	oc_status status = OC_OK;
	cJSON *state = cJSON_GetObjectItemCaseSensitive(job, "state");
	if (anew || !oc_json_bool(job, "enabled", true)) {
		if (oc_json_bool(job, "enabled", true))
			status = oc_cron_job_next(job, now, &next, err);
		if (next == 0 && asked_now && strcmp(text_of(oc_json_get(job, "schedule"), "kind"), "at") == 0 && oc_json_bool(job, "enabled", true))
			next = now; /* a moment ago */
		if (next > 0)
			(void)oc_json_set_i64(state, "nextRunAtMs", next);
		else
			cJSON_DeleteItemFromObjectCaseSensitive(state, "nextRunAtMs");
	}
	if (status == OC_OK && (*ret = in_order(job)) == NULL)
		status = oc_fail(err, OC_E_NOMEM, NULL, "no memory for a job");
	return status;
}

oc_status oc_cron_job_make(const cJSON *asked, int64_t now, cJSON **ret, oc_err *err)
{
	char id[37];
	oc_auto_json cJSON *job = cJSON_CreateObject();
	(void)oc_json_set_str(job, "id", oc_id_uuid(id));
	(void)oc_json_set_i64(job, "createdAtMs", now);
	if (!oc_json_set(job, "state", cJSON_CreateObject()))
		return oc_fail(err, OC_E_NOMEM, NULL, "no memory for a job");
	oc_status status = settle(job, asked, now, err);
	return status == OC_OK ? finish(job, now, true, true, ret, err) : status;
}

oc_status oc_cron_job_patch(const cJSON *old, const cJSON *patch, int64_t now, cJSON **ret, oc_err *err)
{
	oc_auto_json cJSON *job = cJSON_Duplicate(old, true);
	if (job == NULL)
		return oc_fail(err, OC_E_NOMEM, NULL, "no memory for a job");
	oc_status status = settle(job, patch, now, err);
	bool enabled = oc_json_bool(job, "enabled", true) && !oc_json_bool(old, "enabled", true);
	if (status == OC_OK && enabled)
		cJSON_DeleteItemFromObjectCaseSensitive(cJSON_GetObjectItemCaseSensitive(job, "state"), "consecutiveErrors");
	bool anew = oc_json_get(patch, "schedule") != NULL;
	return status == OC_OK ? finish(job, now, enabled || anew, anew, ret, err) : status;
}
