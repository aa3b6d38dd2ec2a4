#include "core/gateway/tally.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "core/base/mem.h"

#define WAIT_MAX_MS ((int64_t)12 * 3600 * 1000) /* longer ago it was no answer to that */
#define WAITS_MAX 200000

/* ---- Sums ---- */

void oc_sums_add(oc_sums *to, const oc_sums *more)
{
	for (size_t i = 0; i < OC_SUM_N; i++)
		to->v[i] += more->v[i];
}

void oc_sums_put(cJSON *o, const oc_sums *sums)
{
	static const char *const names[OC_SUM_N] = {"input", "output", "cacheRead", "cacheWrite", "totalTokens", "totalCost",
						    "inputCost", "outputCost", "cacheReadCost", "cacheWriteCost", "missingCostEntries"};
	for (size_t i = 0; i < OC_SUM_N; i++)
		(void)oc_json_set(o, names[i], cJSON_CreateNumber(sums->v[i]));
}

oc_sums oc_sums_of(const cJSON *models, const char *model, const oc_usage *u)
{
	static const char *const prices[] = {"input", "output", "cacheRead", "cacheWrite"};
	const double tokens[] = {(double)u->input, (double)u->output, (double)u->cache_read, (double)u->cache_write};
	const cJSON *one, *price = NULL;
	oc_sums s = {0};
	double parts[4], all = 0;
	cJSON_ArrayForEach(one, models)
		if (strcmp(oc_json_str(one, "id", ""), model) == 0)
			price = oc_json_get(one, "cost");
	for (size_t i = 0; i < 4; i++) {
		s.v[OC_SUM_INPUT + i] = tokens[i];
		s.v[OC_SUM_TOKENS] += tokens[i];
		parts[i] = tokens[i] * oc_json_num(price, prices[i], 0) / 1e6;
		all += parts[i];
	}
	s.v[OC_SUM_COST] = u->cost;
	/* Prices may have changed since: the parts are those of what was paid. */
	for (size_t i = 0; i < 4 && all > 0; i++)
		s.v[OC_SUM_COST_INPUT + i] = u->cost * (parts[i] / all);
	s.v[OC_SUM_MISSING] = price == NULL && u->cost <= 0 && s.v[OC_SUM_TOKENS] > 0 ? (double)u->calls : 0;
	return s;
}

/* ---- Buckets ---- */

oc_bucket *oc_buckets_of(oc_buckets *list, const char *date, const char *name)
{
	/* What was met last is the likeliest. */
	for (size_t i = list->n; i-- > 0;)
		if (strcmp(list->row[i].date, date) == 0 && strcmp(list->row[i].name, name) == 0)
			return &list->row[i];
	if (list->n == list->room) {
		size_t room = list->room > 0 ? list->room * 2 : 8;
		oc_bucket *row = oc_realloc(list->row, room * sizeof *row);
		if (row == NULL) {
			list->failed = true;
			return NULL;
		}
		list->row = row;
		list->room = room;
	}
	oc_bucket *b = &list->row[list->n++];
	*b = (oc_bucket){0};
	(void)snprintf(b->date, sizeof b->date, "%s", date);
	(void)snprintf(b->name, sizeof b->name, "%s", name);
	return b;
}

void oc_buckets_free(oc_buckets *list)
{
	oc_free(list->row);
	*list = (oc_buckets){0};
}

/* ---- Tallies ---- */

void oc_tally_day(int64_t ms, int64_t offset_ms, char date[11])
{
	time_t seconds = (time_t)((ms + offset_ms) / 1000);
	struct tm tm;
	gmtime_r(&seconds, &tm);
	strftime(date, 11, "%Y-%m-%d", &tm);
}

static void add_wait(oc_tally *t, const char *date, int64_t ms)
{
	if (t->n_waits == t->waits_room && t->n_waits < WAITS_MAX) {
		size_t room = t->waits_room > 0 ? t->waits_room * 2 : 16;
		oc_wait *waits = oc_realloc(t->waits, room * sizeof *waits);
		if (waits == NULL) {
			t->days.failed = true;
			return;
		}
		t->waits = waits;
		t->waits_room = room;
	}
	if (t->n_waits == t->waits_room) /* enough to know how it is */
		return;
	oc_wait *w = &t->waits[t->n_waits++];
	memcpy(w->date, date, sizeof w->date);
	w->ms = ms;
}

static void count(oc_tally *t, oc_bucket *day, int what)
{
	t->counts[what]++;
	day->counts[what]++;
}

static bool ended_badly(const char *reason)
{
	static const char *const reasons[] = {"error", "aborted", "timeout", "interrupted"};
	for (size_t i = 0; i < sizeof reasons / sizeof *reasons; i++)
		if (strcmp(reason, reasons[i]) == 0)
			return true;
	return false;
}

static void add_usage(oc_tally *t, oc_bucket *day, const cJSON *models, const oc_message_fact *f)
{
	oc_sums sums = oc_sums_of(models, f->model, &f->usage);
	oc_bucket *model = oc_buckets_of(&t->models, "", f->model), *model_day = oc_buckets_of(&t->model_days, day->date, f->model);
	oc_sums_add(&t->sums, &sums);
	oc_sums_add(&day->sums, &sums);
	if (model == NULL || model_day == NULL)
		return;
	model->count++;
	oc_sums_add(&model->sums, &sums);
	model_day->count++;
	oc_sums_add(&model_day->sums, &sums);
}

void oc_tally_add(oc_tally *t, const cJSON *models, const oc_message_fact *f, int64_t offset_ms)
{
	char date[11];
	oc_tally_day(f->ts_ms, offset_ms, date);
	oc_bucket *day = oc_buckets_of(&t->days, date, "");
	if (day == NULL)
		return;
	if (t->first_ms == 0 || f->ts_ms < t->first_ms)
		t->first_ms = f->ts_ms;
	if (f->ts_ms > t->last_ms)
		t->last_ms = f->ts_ms;
	if (strcmp(f->role, "user") == 0) {
		count(t, day, OC_COUNT_USER);
		count(t, day, OC_COUNT_TOTAL);
		t->asked_ms = f->ts_ms;
	} else if (strcmp(f->role, "assistant") == 0) {
		count(t, day, OC_COUNT_ASSISTANT);
		count(t, day, OC_COUNT_TOTAL);
		int64_t ms = f->ts_ms > t->asked_ms ? f->ts_ms - t->asked_ms : 0;
		if (t->asked_ms > 0 && ms <= WAIT_MAX_MS)
			add_wait(t, date, ms);
		if (ended_badly(f->stop_reason))
			count(t, day, OC_COUNT_ERRORS);
	} else if (strcmp(f->role, "tool") == 0) { /* a call is counted with its result, which each has */
		count(t, day, OC_COUNT_CALLS);
		count(t, day, OC_COUNT_RESULTS);
		if (f->is_error)
			count(t, day, OC_COUNT_ERRORS);
		oc_bucket *tool = oc_buckets_of(&t->tools, "", f->tool_name);
		if (tool != NULL)
			tool->count++;
	}
	if (f->used)
		add_usage(t, day, models, f);
}

static void merge_buckets(oc_buckets *to, const oc_buckets *from)
{
	for (size_t i = 0; i < from->n; i++) {
		oc_bucket *b = oc_buckets_of(to, from->row[i].date, from->row[i].name);
		if (b == NULL)
			return;
		b->count += from->row[i].count;
		oc_sums_add(&b->sums, &from->row[i].sums);
		for (size_t k = 0; k < OC_COUNT_N; k++)
			b->counts[k] += from->row[i].counts[k];
	}
}

void oc_tally_merge(oc_tally *t, const oc_tally *more)
{
	merge_buckets(&t->days, &more->days);
	merge_buckets(&t->models, &more->models);
	merge_buckets(&t->model_days, &more->model_days);
	merge_buckets(&t->tools, &more->tools);
	oc_sums_add(&t->sums, &more->sums);
	for (size_t k = 0; k < OC_COUNT_N; k++)
		t->counts[k] += more->counts[k];
	for (size_t i = 0; i < more->n_waits; i++)
		add_wait(t, more->waits[i].date, more->waits[i].ms);
}

bool oc_tally_failed(const oc_tally *t)
{
	return t->days.failed || t->models.failed || t->model_days.failed || t->tools.failed;
}

void oc_tally_free(oc_tally *t)
{
	oc_buckets_free(&t->days);
	oc_buckets_free(&t->models);
	oc_buckets_free(&t->model_days);
	oc_buckets_free(&t->tools);
	oc_free(t->waits);
	*t = (oc_tally){0};
}

/* ---- As JSON ---- */

cJSON *oc_tally_counts(const int64_t counts[OC_COUNT_N])
{
	static const char *const names[OC_COUNT_N] = {"total", "user", "assistant", "toolCalls", "toolResults", "errors"};
	cJSON *o = cJSON_CreateObject();
	for (size_t i = 0; i < OC_COUNT_N; i++)
		(void)oc_json_set_i64(o, names[i], counts[i]);
	return o;
}

/* "provider/model" as two members. */
static void put_model(cJSON *o, const char *model)
{
	const char *slash = strchr(model, '/');
	char provider[200];
	(void)snprintf(provider, sizeof provider, "%.*s", slash != NULL ? (int)(slash - model) : 0, model);
	(void)oc_json_set_str(o, "provider", provider);
	(void)oc_json_set_str(o, "model", slash != NULL ? slash + 1 : model);
}

static int dearer(const void *a, const void *b)
{
	const oc_bucket *x = a, *y = b;
	double diff = y->sums.v[OC_SUM_COST] - x->sums.v[OC_SUM_COST];
	if (diff == 0)
		diff = y->sums.v[OC_SUM_TOKENS] - x->sums.v[OC_SUM_TOKENS];
	if (diff == 0)
		diff = (double)(y->count - x->count);
	return diff > 0 ? 1 : diff < 0 ? -1 : strcmp(x->name, y->name);
}

static int earlier(const void *a, const void *b)
{
	int diff = strcmp(((const oc_bucket *)a)->date, ((const oc_bucket *)b)->date);
	return diff != 0 ? diff : dearer(a, b);
}

/* Rows of a list, sorted, each filled by one. */
static cJSON *list_of(const oc_buckets *list, int (*order)(const void *, const void *), void (*one)(cJSON *o, const oc_bucket *b))
{
	cJSON *rows = cJSON_CreateArray();
	if (list->n > 1)
		qsort(list->row, list->n, sizeof *list->row, order);
	for (size_t i = 0; i < list->n; i++) {
		cJSON *o = cJSON_CreateObject();
		one(o, &list->row[i]);
		(void)cJSON_AddItemToArray(rows, o);
	}
	return rows;
}

void oc_tally_sort_days(oc_tally *t)
{
	if (t->days.n > 1)
		qsort(t->days.row, t->days.n, sizeof *t->days.row, earlier);
}

static void model_row(cJSON *o, const oc_bucket *b)
{
	cJSON *totals = cJSON_CreateObject();
	put_model(o, b->name);
	(void)oc_json_set_i64(o, "count", b->count);
	oc_sums_put(totals, &b->sums);
	(void)oc_json_set(o, "totals", totals);
}

cJSON *oc_tally_models(const oc_buckets *models)
{
	return list_of(models, dearer, model_row);
}

static void model_day_row(cJSON *o, const oc_bucket *b)
{
	(void)oc_json_set_str(o, "date", b->date);
	put_model(o, b->name);
	(void)oc_json_set(o, "tokens", cJSON_CreateNumber(b->sums.v[OC_SUM_TOKENS]));
	(void)oc_json_set(o, "cost", cJSON_CreateNumber(b->sums.v[OC_SUM_COST]));
	(void)oc_json_set_i64(o, "count", b->count);
}

cJSON *oc_tally_model_days(const oc_tally *t)
{
	return list_of(&t->model_days, earlier, model_day_row);
}

static void tool_row(cJSON *o, const oc_bucket *b)
{
	(void)oc_json_set_str(o, "name", b->name);
	(void)oc_json_set_i64(o, "count", b->count);
}

cJSON *oc_tally_tools(const oc_tally *t)
{
	cJSON *o = cJSON_CreateObject();
	(void)oc_json_set_i64(o, "totalCalls", t->counts[OC_COUNT_CALLS]);
	(void)oc_json_set_i64(o, "uniqueTools", (int64_t)t->tools.n);
	(void)oc_json_set(o, "tools", list_of(&t->tools, dearer, tool_row));
	return o;
}

/* ---- Waiting times ---- */

static int by_day(const void *a, const void *b)
{
	const oc_wait *x = a, *y = b;
	int diff = strcmp(x->date, y->date);
	return diff != 0 ? diff : x->ms < y->ms ? -1 : x->ms > y->ms;
}

static int by_time(const void *a, const void *b)
{
	const oc_wait *x = a, *y = b;
	return x->ms < y->ms ? -1 : x->ms > y->ms;
}

/* Of waits in order of time. */
static void put_latency(cJSON *o, const oc_wait *waits, size_t n)
{
	double sum = 0;
	for (size_t i = 0; i < n; i++)
		sum += (double)waits[i].ms;
	(void)oc_json_set_i64(o, "count", (int64_t)n);
	(void)oc_json_set(o, "avgMs", cJSON_CreateNumber(sum / (double)n));
	(void)oc_json_set_i64(o, "p95Ms", waits[(n * 95 + 99) / 100 - 1].ms);
	(void)oc_json_set_i64(o, "minMs", waits[0].ms);
	(void)oc_json_set_i64(o, "maxMs", waits[n - 1].ms);
}

cJSON *oc_tally_latency(const oc_tally *t)
{
	if (t->n_waits == 0)
		return NULL;
	cJSON *o = cJSON_CreateObject();
	qsort(t->waits, t->n_waits, sizeof *t->waits, by_time);
	put_latency(o, t->waits, t->n_waits);
	return o;
}

cJSON *oc_tally_latency_days(const oc_tally *t)
{
	cJSON *rows = cJSON_CreateArray();
	if (t->n_waits > 1)
		qsort(t->waits, t->n_waits, sizeof *t->waits, by_day);
	for (size_t i = 0, n; i < t->n_waits; i += n) {
		for (n = 1; i + n < t->n_waits && strcmp(t->waits[i].date, t->waits[i + n].date) == 0;)
			n++;
		cJSON *o = cJSON_CreateObject();
		(void)oc_json_set_str(o, "date", t->waits[i].date);
		put_latency(o, &t->waits[i], n);
		(void)cJSON_AddItemToArray(rows, o);
	}
	return rows;
}
