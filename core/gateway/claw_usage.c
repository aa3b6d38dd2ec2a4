/* usage.* and sessions.usage*: what answers took, in OpenClaw's own protocol's shapes. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "core/base/clock.h"
#include "core/base/mem.h"
#include "core/base/path.h"
#include "core/gateway/chat.h"
#include "core/gateway/tally.h"

#define DAY_MS ((int64_t)86400000)
#define USUAL_DAYS 30
#define USUAL_SESSIONS 50
#define MOST_SESSIONS 1000
#define MOST_POINTS 200
#define MOST_LOGS 1000
#define USUAL_LOGS 200
#define LOG_CHARS 2000
#define WORK_MS 8 /* of a report, at a time: others wait for the loop meanwhile */

/* ---- The days that are asked for ---- */

struct range {
	int64_t from_ms, to_ms, offset_ms; /* both ends included */
	char from[11], to[11];
};

/* "UTC+2", "UTC-03:30"; 0 when it is none. */
static int64_t offset_of(const char *mode, const char *utc)
{
	if (strcmp(mode, "gateway") == 0) {
		time_t now = (time_t)(oc_wall_ms() / 1000);
		struct tm tm;
		localtime_r(&now, &tm);
		return (int64_t)tm.tm_gmtoff * 1000;
	}
	if (strcmp(mode, "specific") != 0 || strncmp(utc, "UTC", 3) != 0 || (utc[3] != '+' && utc[3] != '-'))
		return 0;
	char *end;
	long hours = strtol(utc + 4, &end, 10), minutes = *end == ':' ? strtol(end + 1, NULL, 10) : 0;
	int64_t ms = hours >= 0 && hours <= 14 ? ((int64_t)hours * 60 + minutes % 60) * 60000 : 0;
	return utc[3] == '-' ? -ms : ms;
}

/* The beginning of a day "2026-01-31" in UTC; false: it is none. */
static bool day_of(const char *text, int64_t *ret_ms)
{
	char whole[32];
	if (strlen(text) != 10)
		return false;
	(void)snprintf(whole, sizeof whole, "%sT00:00:00Z", text);
	return oc_wall_parse(oc_str_of(whole), ret_ms);
}

static void range_of(const cJSON *params, struct range *r)
{
	int64_t from = 0, to = 0, days = oc_json_i64(params, "days", USUAL_DAYS);
	r->offset_ms = offset_of(oc_json_str(params, "mode", "utc"), oc_json_str(params, "utcOffset", ""));
	if (!day_of(oc_json_str(params, "startDate", ""), &from) || !day_of(oc_json_str(params, "endDate", ""), &to)) {
		int64_t here = oc_wall_ms() + r->offset_ms;
		to = here - here % DAY_MS;
		from = to - ((days < 1 ? 1 : days) - 1) * DAY_MS;
	}
	oc_tally_day(from, 0, r->from);
	oc_tally_day(to, 0, r->to);
	r->from_ms = from - r->offset_ms;
	r->to_ms = to - r->offset_ms + DAY_MS - 1;
}

/* ---- usage.status, usage.cost ---- */

static void usage_status(oc_method_call *call, const cJSON *params)
{
	cJSON *result = cJSON_CreateObject();
	(void)params;
	(void)oc_json_set_i64(result, "updatedAt", oc_wall_ms());
	(void)oc_json_set(result, "providers", cJSON_CreateArray());
	oc_method_reply(call, result);
}

const oc_method oc_method_usage_status = {
	"usage.status", OC_SCOPE_READ,
	"how much is left of providers' subscriptions: always an empty list, since keys are paid by use; models.list and session.stats tell more", NULL,
	usage_status};

static void usage_cost(oc_method_call *call, const cJSON *params)
{
	oc_gateway *gw = oc_method_gateway(call);
	oc_auto_json cJSON *rows = NULL, *models = NULL;
	oc_buckets days = {0};
	oc_sums all = {0};
	struct range r;
	oc_err err = {0};
	const cJSON *row;
	range_of(params, &r);
	if (oc_store_used(gw->rt->store, r.from, r.to, r.offset_ms / 60000, &rows, &err) != OC_OK || oc_agent_models(gw->agent, &models, &err) != OC_OK) {
		oc_method_fail(call, &err);
		return;
	}
	cJSON_ArrayForEach(row, rows)
	{
		char model[200];
		(void)snprintf(model, sizeof model, "%s/%s", oc_json_str(row, "provider", ""), oc_json_str(row, "model", ""));
		oc_usage u = {oc_json_i64(row, "calls", 0), oc_json_i64(row, "input", 0), oc_json_i64(row, "output", 0),
			      oc_json_i64(row, "cacheRead", 0), oc_json_i64(row, "cacheWrite", 0), oc_json_num(row, "cost", 0)};
		oc_sums sums = oc_sums_of(models, model, &u);
		oc_bucket *day = oc_buckets_of(&days, oc_json_str(row, "day", ""), "");
		oc_sums_add(&all, &sums);
		if (day != NULL)
			oc_sums_add(&day->sums, &sums);
	}
	cJSON *result = cJSON_CreateObject(), *daily = cJSON_CreateArray(), *totals = cJSON_CreateObject();
	for (size_t i = 0; i < days.n; i++) { /* in order, as the rows */
		cJSON *one = cJSON_CreateObject();
		(void)oc_json_set_str(one, "date", days.row[i].date);
		oc_sums_put(one, &days.row[i].sums);
		(void)cJSON_AddItemToArray(daily, one);
	}
	oc_buckets_free(&days);
	oc_sums_put(totals, &all);
	(void)oc_json_set_i64(result, "updatedAt", oc_wall_ms());
	(void)oc_json_set_i64(result, "days", (r.to_ms + 1 - r.from_ms) / DAY_MS);
	(void)oc_json_set(result, "daily", daily);
	(void)oc_json_set(result, "totals", totals);
	oc_method_reply(call, result);
}

#define DATE(name) "\"" name "\":{\"type\":\"string\",\"pattern\":\"^\\\\d{4}-\\\\d{2}-\\\\d{2}$\"}"
#define DAYS "\"mode\":{\"enum\":[\"utc\",\"gateway\",\"specific\"]},\"utcOffset\":{\"type\":\"string\",\"pattern\":\"^UTC[+-]\\\\d{1,2}(?::[0-5]\\\\d)?$\"}"
const oc_method oc_method_usage_cost = {
	"usage.cost", OC_SCOPE_READ,
	"tokens and cost by day, of all model calls, also of sessions that are gone", OC_PARAMS(OC_STRING("startDate") "," OC_STRING("endDate") ",\"days\":{\"type\":\"number\"}," OC_STRING("mode") "," OC_STRING("utcOffset")),
	usage_cost};

/* ---- sessions.usage ---- */

/* One report, made a few milliseconds at a time. */
struct report {
	oc_method_call *call;
	oc_ticket *ticket;
	struct range range;
	cJSON *models, *list, *rows;
	const cJSON *next; /* of list */
	bool named;	   /* one session, whose row is told in any case */
	oc_tally all;
	oc_buckets agents, channels;
};

static void free_report(struct report *r)
{
	oc_owner_forget(r->ticket);
	cJSON_Delete(r->models);
	cJSON_Delete(r->list);
	cJSON_Delete(r->rows);
	oc_tally_free(&r->all);
	oc_buckets_free(&r->agents);
	oc_buckets_free(&r->channels);
	oc_free(r);
}

static void fail_report(struct report *r, const oc_err *err)
{
	oc_method_fail(r->call, err);
	free_report(r);
}

/* The gateway stops. */
static void end_report(void *arg)
{
	struct report *r = arg;
	oc_err err = {0};
	r->ticket = NULL;
	(void)oc_fail(&err, OC_E_UNAVAILABLE, "try again in a moment", "the gateway is stopping");
	fail_report(r, &err);
}

struct counting {
	struct report *report;
	oc_tally *tally;
};

static bool count_message(void *arg, const oc_message_fact *fact)
{
	struct counting *c = arg;
	oc_tally_add(c->tally, c->report->models, fact, c->report->range.offset_ms);
	return true;
}

static cJSON *day_lists(cJSON *o, const oc_tally *t)
{
	cJSON *dates = cJSON_CreateArray(), *tokens = cJSON_CreateArray(), *messages = cJSON_CreateArray();
	for (size_t i = 0; i < t->days.n; i++) {
		const oc_bucket *b = &t->days.row[i];
		(void)cJSON_AddItemToArray(dates, cJSON_CreateString(b->date));
		cJSON *counts = oc_tally_counts(b->counts);
		(void)oc_json_set_str(counts, "date", b->date);
		(void)cJSON_AddItemToArray(messages, counts);
		if (b->sums.v[OC_SUM_TOKENS] <= 0)
			continue;
		cJSON *one = cJSON_CreateObject();
		(void)oc_json_set_str(one, "date", b->date);
		(void)oc_json_set(one, "tokens", cJSON_CreateNumber(b->sums.v[OC_SUM_TOKENS]));
		(void)oc_json_set(one, "cost", cJSON_CreateNumber(b->sums.v[OC_SUM_COST]));
		(void)cJSON_AddItemToArray(tokens, one);
	}
	(void)oc_json_set(o, "activityDates", dates);
	(void)oc_json_set(o, "dailyBreakdown", tokens);
	(void)oc_json_set(o, "dailyMessageCounts", messages);
	return o;
}

static cJSON *usage_of(const cJSON *session, const oc_tally *t)
{
	oc_auto_free char *path = oc_path_state("openclaw.db");
	cJSON *o = cJSON_CreateObject(), *latency = oc_tally_latency(t);
	(void)oc_json_set_str(o, "sessionId", oc_json_str(session, "sessionId", ""));
	(void)oc_json_set_str(o, "sessionFile", path != NULL ? path : "");
	if (t->first_ms > 0) {
		(void)oc_json_set_i64(o, "firstActivity", t->first_ms);
		(void)oc_json_set_i64(o, "lastActivity", t->last_ms);
		(void)oc_json_set_i64(o, "durationMs", t->last_ms - t->first_ms);
	}
	(void)day_lists(o, t);
	(void)oc_json_set(o, "messageCounts", oc_tally_counts(t->counts));
	if (latency != NULL) {
		(void)oc_json_set(o, "latency", latency);
		(void)oc_json_set(o, "dailyLatency", oc_tally_latency_days(t));
	}
	if (t->models.n > 0) {
		(void)oc_json_set(o, "modelUsage", oc_tally_models(&t->models));
		(void)oc_json_set(o, "dailyModelUsage", oc_tally_model_days(t));
	}
	if (t->tools.n > 0)
		(void)oc_json_set(o, "toolUsage", oc_tally_tools(t));
	oc_sums_put(o, &t->sums);
	return o;
}

static void add_session(struct report *r, const cJSON *session, const oc_tally *t)
{
	const char *agent = oc_json_str(session, "agent", ""), *kind = oc_json_str(session, "kind", "");
	const char *channel = oc_json_str(session, "channel", oc_json_str(oc_json_get(session, "delivery"), "channel", "webchat"));
	bool group = strcmp(kind, "group") == 0 || strcmp(kind, "channel") == 0 || strcmp(kind, "thread") == 0;
	const char *type = group ? kind : "direct", *model = t->models.n > 0 ? t->models.row[t->models.n - 1].name : "";
	const char *slash = strchr(model, '/');
	cJSON *o = cJSON_CreateObject(), *origin = cJSON_CreateObject();
	(void)oc_json_set_str(o, "key", oc_json_str(session, "key", ""));
	oc_json_opt(o, "label", oc_json_str(session, "title", NULL));
	(void)oc_json_set_str(o, "sessionId", oc_json_str(session, "sessionId", ""));
	(void)oc_json_set_i64(o, "updatedAt", oc_json_i64(session, "updatedAt", 0));
	(void)oc_json_set_str(o, "agentId", agent);
	(void)oc_json_set_str(o, "channel", channel);
	(void)oc_json_set_str(o, "chatType", type);
	(void)oc_json_set_str(origin, "provider", channel);
	(void)oc_json_set_str(origin, "surface", channel);
	(void)oc_json_set_str(origin, "chatType", type);
	(void)oc_json_set(o, "origin", origin);
	if (slash != NULL) {
		char provider[200];
		(void)snprintf(provider, sizeof provider, "%.*s", (int)(slash - model), model);
		(void)oc_json_set_str(o, "modelProvider", provider);
		(void)oc_json_set_str(o, "model", slash + 1);
	}
	(void)oc_json_set(o, "usage", usage_of(session, t));
	(void)cJSON_AddItemToArray(r->rows, o);
	oc_bucket *by_agent = oc_buckets_of(&r->agents, "", agent), *by_channel = oc_buckets_of(&r->channels, "", channel);
	if (by_agent != NULL)
		oc_sums_add(&by_agent->sums, &t->sums);
	if (by_channel != NULL)
		oc_sums_add(&by_channel->sums, &t->sums);
	oc_tally_merge(&r->all, t);
}

/* [{name:…,"count"?,"totals"}] */
static cJSON *totals_by(const oc_buckets *list, const char *name, bool counted)
{
	cJSON *rows = cJSON_CreateArray();
	for (size_t i = 0; i < list->n; i++) {
		cJSON *o = cJSON_CreateObject(), *totals = cJSON_CreateObject();
		(void)oc_json_set_str(o, name, list->row[i].name);
		if (counted)
			(void)oc_json_set_i64(o, "count", list->row[i].count);
		oc_sums_put(totals, &list->row[i].sums);
		(void)oc_json_set(o, "totals", totals);
		(void)cJSON_AddItemToArray(rows, o);
	}
	return rows;
}

static cJSON *by_provider(const oc_tally *t)
{
	oc_buckets providers = {0};
	for (size_t i = 0; i < t->models.n; i++) {
		const oc_bucket *m = &t->models.row[i];
		char name[200];
		(void)snprintf(name, sizeof name, "%.*s", (int)strcspn(m->name, "/"), m->name);
		oc_bucket *b = oc_buckets_of(&providers, "", name);
		if (b == NULL)
			continue;
		b->count += m->count;
		oc_sums_add(&b->sums, &m->sums);
	}
	cJSON *rows = totals_by(&providers, "provider", true);
	oc_buckets_free(&providers);
	return rows;
}

static cJSON *daily_of(const oc_tally *t)
{
	cJSON *rows = cJSON_CreateArray();
	for (size_t i = 0; i < t->days.n; i++) {
		const oc_bucket *b = &t->days.row[i];
		cJSON *o = cJSON_CreateObject();
		(void)oc_json_set_str(o, "date", b->date);
		(void)oc_json_set(o, "tokens", cJSON_CreateNumber(b->sums.v[OC_SUM_TOKENS]));
		(void)oc_json_set(o, "cost", cJSON_CreateNumber(b->sums.v[OC_SUM_COST]));
		(void)oc_json_set_i64(o, "messages", b->counts[OC_COUNT_TOTAL]);
		(void)oc_json_set_i64(o, "toolCalls", b->counts[OC_COUNT_CALLS]);
		(void)oc_json_set_i64(o, "errors", b->counts[OC_COUNT_ERRORS]);
		(void)cJSON_AddItemToArray(rows, o);
	}
	return rows;
}

static void finish_report(struct report *r)
{
	cJSON *result = cJSON_CreateObject(), *totals = cJSON_CreateObject(), *parts = cJSON_CreateObject();
	cJSON *latency = oc_tally_latency(&r->all);
	oc_tally_sort_days(&r->all);
	(void)oc_json_set(parts, "messages", oc_tally_counts(r->all.counts));
	(void)oc_json_set(parts, "tools", oc_tally_tools(&r->all));
	(void)oc_json_set(parts, "byModel", oc_tally_models(&r->all.models));
	(void)oc_json_set(parts, "byProvider", by_provider(&r->all));
	(void)oc_json_set(parts, "byAgent", totals_by(&r->agents, "agentId", false));
	(void)oc_json_set(parts, "byChannel", totals_by(&r->channels, "channel", false));
	if (latency != NULL)
		(void)oc_json_set(parts, "latency", latency);
	(void)oc_json_set(parts, "dailyLatency", oc_tally_latency_days(&r->all));
	(void)oc_json_set(parts, "modelDaily", oc_tally_model_days(&r->all));
	(void)oc_json_set(parts, "daily", daily_of(&r->all));
	oc_sums_put(totals, &r->all.sums);
	(void)oc_json_set_i64(result, "updatedAt", oc_wall_ms());
	(void)oc_json_set_str(result, "startDate", r->range.from);
	(void)oc_json_set_str(result, "endDate", r->range.to);
	(void)oc_json_set(result, "sessions", r->rows);
	(void)oc_json_set(result, "totals", totals);
	(void)oc_json_set(result, "aggregates", parts);
	r->rows = NULL;
	oc_method_reply(r->call, result);
	free_report(r);
}

static void go_on(void *arg)
{
	struct report *r = arg;
	oc_gateway *gw = oc_method_gateway(r->call);
	oc_fact_filter filter = {.from_ms = r->range.from_ms, .to_ms = r->range.to_ms};
	uint64_t began = oc_now_ms();
	oc_err err = {0};
	for (; r->next != NULL && oc_now_ms() - began < WORK_MS; r->next = r->next->next) {
		oc_tally t = {0};
		struct counting c = {r, &t};
		if (oc_store_each_fact(gw->rt->store, oc_json_str(r->next, "key", ""), &filter, count_message, &c, &err) == OC_OK
		    && !oc_tally_failed(&t) && (r->named || t.days.n > 0))
			add_session(r, r->next, &t);
		else if (oc_tally_failed(&t))
			(void)oc_fail(&err, OC_E_NOMEM, NULL, "cannot add up the usage");
		oc_tally_free(&t);
		if (err.code != OC_OK) {
			fail_report(r, &err);
			return;
		}
	}
	if (r->next == NULL)
		finish_report(r);
	else if (oc_loop_defer(gw->rt->loop, gw->rt->owner, go_on, r) != OC_OK) {
		(void)oc_fail(&err, OC_E_NOMEM, NULL, "cannot add up the usage");
		fail_report(r, &err);
	}
}

/* The sessions of a report. */
static oc_status find_sessions(struct report *r, const cJSON *params, oc_err *err)
{
	oc_gateway *gw = oc_method_gateway(r->call);
	oc_str key = oc_str_trim(oc_json_ostr(params, "key"));
	int64_t limit = oc_json_i64(params, "limit", USUAL_SESSIONS);
	oc_session_filter filter = {.active_since_ms = r->range.from_ms, .limit = limit < MOST_SESSIONS ? limit : MOST_SESSIONS};
	if (key.n == 0)
		return oc_agent_sessions(gw->agent, &filter, &r->list, err);
	cJSON *one = NULL;
	r->list = cJSON_CreateArray();
	r->named = true;
	oc_status status = oc_agent_session(gw->agent, key, &one, err);
	if (status == OC_OK)
		(void)cJSON_AddItemToArray(r->list, one);
	if (status != OC_E_NOT_FOUND)
		return status;
	*err = (oc_err){0}; /* nothing was said there */
	return OC_OK;
}

static void sessions_usage(oc_method_call *call, const cJSON *params)
{
	oc_gateway *gw = oc_method_gateway(call);
	struct report *r = oc_alloc(sizeof *r);
	oc_err err = {0};
	if (r == NULL) {
		oc_method_failf(call, OC_E_NOMEM, NULL, "cannot add up the usage");
		return;
	}
	r->call = call;
	range_of(params, &r->range);
	r->rows = cJSON_CreateArray();
	r->ticket = oc_owner_track(gw->rt->owner, end_report, r);
	if (r->ticket == NULL || r->rows == NULL)
		(void)oc_fail(&err, OC_E_NOMEM, NULL, "cannot add up the usage");
	else if (oc_agent_models(gw->agent, &r->models, &err) == OC_OK)
		(void)find_sessions(r, params, &err);
	if (err.code != OC_OK) {
		fail_report(r, &err);
		return;
	}
	r->next = r->list->child;
	go_on(r);
}

const oc_method oc_method_sessions_usage = {
	"sessions.usage", OC_SCOPE_READ,
	"tokens, cost, messages, tools and waiting times by session, day, model, agent and channel, of the histories as they are now",
	OC_PARAMS(OC_STRING("key") "," DATE("startDate") "," DATE("endDate") "," DAYS ",\"limit\":{\"type\":\"integer\",\"minimum\":1},"
		  OC_BOOLEAN("includeContextWeight")),
	sessions_usage};

/* ---- sessions.usage.timeseries, sessions.usage.logs ---- */

/* The session and its models' prices; NULL: answered. */
static cJSON *session_of(oc_method_call *call, const cJSON *params, const char *what, cJSON **ret_models)
{
	oc_gateway *gw = oc_method_gateway(call);
	oc_str key = oc_str_trim(oc_json_ostr(params, "key"));
	cJSON *session = NULL;
	oc_err err = {0};
	if (key.n == 0)
		oc_method_failf(call, OC_E_INVALID, "", "key is required for %s", what);
	else if (oc_agent_session(gw->agent, key, &session, &err) != OC_OK && ret_models == NULL)
		oc_method_reply_text(call, OC_STR("{\"logs\":[]}")); /* nobody said anything there */
	else if (session == NULL)
		oc_method_failf(call, OC_E_INVALID, "", "No transcript found for session: %.*s", OC_STR_ARG(key));
	else if (ret_models != NULL && oc_agent_models(gw->agent, ret_models, &err) != OC_OK)
		oc_method_fail(call, &err);
	else
		return session;
	cJSON_Delete(session);
	return NULL;
}

struct series {
	const cJSON *models;
	cJSON *points, *last;
	size_t n, a_point; /* answers; how many go into one point */
	double tokens, cost;
	oc_sums sums;
};

static bool count_answer(void *arg, const oc_message_fact *fact)
{
	struct series *s = arg;
	s->n += fact->used;
	return true;
}

static bool add_point(void *arg, const oc_message_fact *fact)
{
	struct series *s = arg;
	if (!fact->used)
		return true;
	oc_sums sums = oc_sums_of(s->models, fact->model, &fact->usage);
	if (s->n++ % s->a_point == 0) {
		s->sums = (oc_sums){0};
		s->last = cJSON_CreateObject();
		(void)cJSON_AddItemToArray(s->points, s->last);
	}
	oc_sums_add(&s->sums, &sums);
	s->tokens += sums.v[OC_SUM_TOKENS];
	s->cost += sums.v[OC_SUM_COST];
	static const char *const names[] = {"input", "output", "cacheRead", "cacheWrite", "totalTokens", "cost"};
	(void)oc_json_set_i64(s->last, "timestamp", fact->ts_ms);
	for (size_t i = 0; i < sizeof names / sizeof *names; i++)
		(void)oc_json_set(s->last, names[i], cJSON_CreateNumber(s->sums.v[OC_SUM_INPUT + i]));
	(void)oc_json_set(s->last, "cumulativeTokens", cJSON_CreateNumber(s->tokens));
	(void)oc_json_set(s->last, "cumulativeCost", cJSON_CreateNumber(s->cost));
	return true;
}

static void timeseries(oc_method_call *call, const cJSON *params)
{
	oc_store *store = oc_method_gateway(call)->rt->store;
	oc_auto_json cJSON *models = NULL;
	oc_auto_json cJSON *session = session_of(call, params, "timeseries", &models);
	oc_fact_filter filter = {0};
	oc_err err = {0};
	if (session == NULL)
		return;
	const char *key = oc_json_str(session, "key", "");
	struct series s = {.models = models, .points = cJSON_CreateArray()};
	oc_status status = oc_store_each_fact(store, key, &filter, count_answer, &s, &err);
	s.a_point = (s.n + MOST_POINTS - 1) / MOST_POINTS;
	s.n = 0;
	if (status == OC_OK && s.a_point > 0)
		status = oc_store_each_fact(store, key, &filter, add_point, &s, &err);
	cJSON *result = cJSON_CreateObject();
	(void)oc_json_set_str(result, "sessionId", oc_json_str(session, "sessionId", ""));
	(void)oc_json_set(result, "points", s.points);
	if (status == OC_OK) {
		oc_method_reply(call, result);
		return;
	}
	cJSON_Delete(result);
	oc_method_fail(call, &err);
}

const oc_method oc_method_sessions_usage_timeseries = {
	"sessions.usage.timeseries", OC_SCOPE_READ, "the answers of a session one after the other, with sums so far; at most 200 points",
	OC_PARAMS(OC_STRING("key")), timeseries};

static bool add_log(void *arg, const oc_message_fact *fact)
{
	cJSON *logs = arg, *o = cJSON_CreateObject();
	size_t n = strlen(fact->text);
	if (n > LOG_CHARS) /* not in the middle of a character */
		for (n = LOG_CHARS; n > 0 && ((unsigned char)fact->text[n] & 0xc0) == 0x80;)
			n--;
	oc_auto_free char *text = oc_memdup(fact->text, n);
	(void)oc_json_set_i64(o, "timestamp", fact->ts_ms);
	(void)oc_json_set_str(o, "role", strcmp(fact->role, "tool") == 0 ? "toolResult" : fact->role);
	(void)oc_json_set_str(o, "content", text != NULL ? text : "");
	if (fact->used) {
		const oc_usage *u = &fact->usage;
		(void)oc_json_set_i64(o, "tokens", u->input + u->output + u->cache_read + u->cache_write);
		(void)oc_json_set(o, "cost", cJSON_CreateNumber(u->cost));
	}
	(void)cJSON_AddItemToArray(logs, o);
	return true;
}

static void logs(oc_method_call *call, const cJSON *params)
{
	int64_t limit = oc_json_i64(params, "limit", USUAL_LOGS);
	oc_auto_json cJSON *session = session_of(call, params, "logs", NULL); /* when it answers, the parameters are gone */
	oc_fact_filter filter = {.texts = true, .limit = limit < MOST_LOGS ? limit : MOST_LOGS};
	oc_err err = {0};
	if (session == NULL)
		return;
	cJSON *result = cJSON_CreateObject(), *list = cJSON_CreateArray();
	(void)oc_json_set(result, "logs", list);
	if (oc_store_each_fact(oc_method_gateway(call)->rt->store, oc_json_str(session, "key", ""), &filter, add_log, list, &err) == OC_OK) {
		oc_method_reply(call, result);
		return;
	}
	cJSON_Delete(result);
	oc_method_fail(call, &err);
}

const oc_method oc_method_sessions_usage_logs = {
	"sessions.usage.logs", OC_SCOPE_READ, "the newest messages of a session with their tokens and cost, oldest first, shortened",
	OC_PARAMS(OC_STRING("key") ",\"limit\":{\"type\":\"integer\",\"minimum\":1}"), logs};
