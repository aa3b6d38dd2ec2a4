/*
 * system.deep: what is slow.  Asks channels and providers whether they answer, reads the figures of every stage, and says in
 * words which one holds the others up.
 */
#include <stdio.h>
#include <string.h>

#include "core/base/clock.h"
#include "core/base/mem.h"
#include "core/gateway/gateway.h"

#define PROBE_MS 10000
#define MODULES_SHOWN 5
/* From here on something is slow. */
#define LAG_MS 20
#define COMMIT_MS 50
#define CALLBACK_MS 100
#define FULL_PERCENT 80
#define WAIT_MS 1000
#define HOOK_MS 500
#define NAMES_SHOWN 8

struct deep {
	oc_gateway *gw;
	oc_method_call *call; /* NULL: answered */
	cJSON *channels, *providers;
	oc_watch *timer;
	int pending;
};

/* ---- Figures ---- */

static void number(cJSON *o, const char *name, double value)
{
	/* Microseconds are exact enough. */
	(void)oc_json_set(o, name, cJSON_CreateNumber((double)(int64_t)(value * 1000 + 0.5) / 1000));
}

static double ms(double seconds)
{
	return seconds * 1000;
}

static cJSON *stage(cJSON *list, const char *name, const char *what, const oc_hist *h)
{
	cJSON *o = cJSON_CreateObject();
	(void)oc_json_set_str(o, "name", name);
	(void)oc_json_set_str(o, "what", what);
	(void)oc_json_set_i64(o, "count", (int64_t)h->n);
	number(o, "p50Ms", ms(oc_hist_quantile(h, 0.5)));
	number(o, "p95Ms", ms(oc_hist_quantile(h, 0.95)));
	number(o, "maxMs", (double)h->max_ns / 1e6);
	number(o, "totalMs", (double)h->sum_ns / 1e6);
	if (o == NULL || !cJSON_AddItemToArray(list, o)) {
		cJSON_Delete(o);
		return NULL;
	}
	return o;
}

typedef struct commit_times {
	double p50, p95, max; /* ms */
} commit_times;

static commit_times commits(const oc_store_stats *s)
{
	uint64_t bounds[OC_STORE_LATENCY_BUCKETS - 1];
	for (size_t i = 0; i < OC_STORE_LATENCY_BUCKETS - 1; i++)
		bounds[i] = UINT64_C(64000) << i;
	return (commit_times){
		.p50 = ms(oc_hist_quantile_of(s->commit_latency, bounds, OC_STORE_LATENCY_BUCKETS - 1, s->commit_ns_max, 0.5)),
		.p95 = ms(oc_hist_quantile_of(s->commit_latency, bounds, OC_STORE_LATENCY_BUCKETS - 1, s->commit_ns_max, 0.95)),
		.max = (double)s->commit_ns_max / 1e6,
	};
}

static cJSON *stages(const oc_gateway *gw, const oc_store_stats *store)
{
	cJSON *list = cJSON_CreateArray();
	const oc_agent_timing *t = oc_agent_timings(gw->agent);
	commit_times c = commits(store);
	stage(list, "wait", "a message waits for its session or a free place", &t->wait);
	stage(list, "turn", "a turn that was answered", &t->turn_ok);
	stage(list, "model", "a model call", &t->model);
	stage(list, "firstToken", "a model call, until its first piece", &t->first_token);
	stage(list, "tool", "a tool call", &t->tool);
	stage(list, "hook", "a firing of hooks", oc_hooks_timing(gw->rt->hooks));
	stage(list, "delivery", "handing a message to a channel", &t->delivery);
	stage(list, "http", "a request over HTTP", oc_http_server_timing(gw->server));
	cJSON *o = cJSON_CreateObject();
	(void)oc_json_set_str(o, "name", "commit");
	(void)oc_json_set_str(o, "what", "a transaction of the store, with its fsync");
	(void)oc_json_set_i64(o, "count", (int64_t)store->commits);
	number(o, "p50Ms", c.p50);
	number(o, "p95Ms", c.p95);
	number(o, "maxMs", c.max);
	number(o, "totalMs", (double)store->commit_ns_total / 1e6);
	if (o == NULL || !cJSON_AddItemToArray(list, o))
		cJSON_Delete(o);
	return list;
}

typedef struct slowest {
	oc_module *module[MODULES_SHOWN];
	oc_module_stats stats[MODULES_SHOWN];
	size_t n;
} slowest;

static bool rank(void *arg, oc_module *module)
{
	slowest *s = arg;
	oc_module_stats stats = {0};
	oc_module_get_stats(module, &stats);
	if (stats.callbacks == 0)
		return true;
	size_t at = s->n;
	while (at > 0 && s->stats[at - 1].callback_max_ns < stats.callback_max_ns)
		at--;
	if (at == MODULES_SHOWN)
		return true;
	size_t last = s->n < MODULES_SHOWN ? s->n : MODULES_SHOWN - 1;
	for (size_t i = last; i > at; i--) {
		s->module[i] = s->module[i - 1];
		s->stats[i] = s->stats[i - 1];
	}
	s->module[at] = module;
	s->stats[at] = stats;
	s->n = last + 1;
	return true;
}

static cJSON *modules(const slowest *s)
{
	cJSON *list = cJSON_CreateArray();
	for (size_t i = 0; i < s->n; i++) {
		cJSON *o = cJSON_CreateObject();
		(void)oc_json_set_str(o, "name", oc_module_name(s->module[i]));
		(void)oc_json_set_i64(o, "callbacks", (int64_t)s->stats[i].callbacks);
		number(o, "maxMs", (double)s->stats[i].callback_max_ns / 1e6);
		number(o, "totalMs", (double)s->stats[i].callback_ns / 1e6);
		(void)oc_json_set_i64(o, "over10ms", (int64_t)s->stats[i].over_10ms);
		(void)oc_json_set_i64(o, "callsOpen", (int64_t)s->stats[i].calls_open);
		(void)oc_json_set_i64(o, "callsFailed", (int64_t)(s->stats[i].calls_failed + s->stats[i].calls_timed_out));
		if (o == NULL || !cJSON_AddItemToArray(list, o))
			cJSON_Delete(o);
	}
	return list;
}

/* Tools, models and hook handlers by name, those that took the most time in all first. The caller's. */
static cJSON *by_name(const oc_gateway *gw)
{
	cJSON *all = oc_agent_culprits(gw->agent), *out = cJSON_CreateArray();
	oc_auto_json cJSON *hooks = oc_hooks_describe(gw->rt->hooks);
	const cJSON *h, *s;
	cJSON_ArrayForEach(h, oc_json_get(hooks, "hooks"))
	{
		cJSON_ArrayForEach(s, oc_json_get(h, "handlers"))
		{
			char name[200];
			cJSON *o = oc_json_i64(s, "runs", 0) > 0 ? cJSON_CreateObject() : NULL;
			snprintf(name, sizeof name, "%s of %s", oc_json_str(s, "hook", "?"), oc_json_str(s, "by", "?"));
			(void)oc_json_set_str(o, "kind", "hook");
			(void)oc_json_set_str(o, "name", name);
			(void)oc_json_set_i64(o, "count", oc_json_i64(s, "runs", 0));
			(void)oc_json_set_i64(o, "totalMs", oc_json_i64(s, "totalMs", 0));
			(void)oc_json_set_i64(o, "maxMs", oc_json_i64(s, "maxMs", 0));
			(void)oc_json_set_i64(o, "timedOut", oc_json_i64(s, "timedOut", 0));
			if (o == NULL || !cJSON_AddItemToArray(all, o))
				cJSON_Delete(o);
		}
	}
	for (int i = 0; i < NAMES_SHOWN; i++) {
		cJSON *o, *most = NULL;
		cJSON_ArrayForEach(o, all) if (most == NULL || oc_json_i64(o, "totalMs", 0) > oc_json_i64(most, "totalMs", 0)) most = o;
		if (most == NULL)
			break;
		most = cJSON_DetachItemViaPointer(all, most);
		if (!cJSON_AddItemToArray(out, most))
			cJSON_Delete(most);
	}
	cJSON_Delete(all);
	return out;
}

/* ---- What it means ---- */

static void finding(cJSON *list, const char *part, const char *remedy, const char *format, ...)
	__attribute__((format(printf, 4, 5)));
static void finding(cJSON *list, const char *part, const char *remedy, const char *format, ...)
{
	char text[400];
	va_list args;
	va_start(args, format);
	vsnprintf(text, sizeof text, format, args);
	va_end(args);
	cJSON *o = cJSON_CreateObject();
	(void)oc_json_set_str(o, "part", part);
	(void)oc_json_set_str(o, "message", text);
	if (remedy != NULL)
		(void)oc_json_set_str(o, "remedy", remedy);
	if (o == NULL || !cJSON_AddItemToArray(list, o))
		cJSON_Delete(o);
}

static void find_dead(cJSON *list, const cJSON *probes, const char *part, const char *key)
{
	const cJSON *p;
	cJSON_ArrayForEach(p, probes)
	{
		if (!oc_json_bool(p, "ok", false))
			finding(list, part, strcmp(part, "provider") == 0 ? "check its key and address: openclaw models status" : NULL,
				"%s %s does not answer: %s", part, oc_json_str(p, key, "?"), oc_json_str(p, "detail", ""));
		else if (oc_json_num(p, "ms", 0) > 2000)
			finding(list, part, NULL, "%s %s took %.1f s to answer a simple question", part, oc_json_str(p, key, "?"),
				oc_json_num(p, "ms", 0) / 1000);
	}
}

static void find_keys(cJSON *list, const cJSON *keys)
{
	const cJSON *k;
	cJSON_ArrayForEach(k, keys)
	{
		if (oc_json_i64(k, "restMs", 0) > 0)
			finding(list, "key", "see openclaw models status", "the key %s rests for %lld s: %s", oc_json_str(k, "profile", "?"),
				(long long)(oc_json_i64(k, "restMs", 0) + 999) / 1000, oc_json_str(k, "reason", ""));
	}
}

/* A handler that everybody waits for. */
static void find_hooks(cJSON *list, const cJSON *names)
{
	const cJSON *h;
	cJSON_ArrayForEach(h, names)
	{
		long long n = (long long)oc_json_i64(h, "count", 1), ms_all = (long long)oc_json_i64(h, "totalMs", 0);
		if (strcmp(oc_json_str(h, "kind", ""), "hook") == 0 && (ms_all / n > HOOK_MS || oc_json_i64(h, "timedOut", 0) > 0))
			finding(list, "hook", "see `openclaw plugins info`, or disable it", "the hook handler %s takes %lld ms (%lld at most)",
				oc_json_str(h, "name", "?"), ms_all / n, (long long)oc_json_i64(h, "maxMs", 0));
	}
}

static void find_full(cJSON *list, const char *owner, const char *name, uint64_t depth, uint64_t capacity)
{
	if (capacity > 0 && depth * 100 >= capacity * FULL_PERCENT)
		finding(list, "queue", NULL, "the queue %s%s is %d %% full (%llu of %llu)", owner, name, (int)(depth * 100 / capacity),
			(unsigned long long)depth, (unsigned long long)capacity);
}

static bool find_module_queues(void *arg, oc_module *module)
{
	const oc_module_gauge *g;
	char owner[80];
	(void)snprintf(owner, sizeof owner, "of module %s: ", oc_module_name(module));
	for (size_t i = 0; (g = oc_module_gauge_at(module, i)) != NULL; i++)
		find_full(arg, owner, g->name, g->depth, g->capacity);
	return true;
}

static void find_queues(cJSON *list, const oc_gateway *gw, const oc_fill *queues)
{
	for (oc_queue q = 0; q < OC_QUEUE_N; q++) {
		const char *name = oc_queue_name(q);
		/* Places that are all taken are no trouble while nobody waits for one. */
		if (queues[OC_QUEUE_turns_waiting].depth > 0 || !oc_str_ends(oc_str_of(name), "_running"))
			find_full(list, "", name, queues[q].depth, queues[q].capacity);
	}
	oc_modules_each(gw->rt->modules, find_module_queues, list);
}

/* The worst first. */
static cJSON *findings(const struct deep *d, const oc_store_stats *store, const slowest *s, const oc_fill *queues,
		       const cJSON *names)
{
	const oc_gateway *gw = d->gw;
	cJSON *list = cJSON_CreateArray();
	commit_times c = commits(store);
	oc_loop_stats loop = {0};
	const oc_agent_timing *t = oc_agent_timings(gw->agent);
	oc_loop_get_stats(gw->rt->loop, &loop);
	double lag = ms(oc_hist_quantile(&gw->lag, 0.95)), busy = ms(oc_hist_quantile(&loop.busy, 0.99));
	oc_err why = {0};
	if (oc_store_health(gw->rt->store, &why) != OC_OK)
		finding(list, "store", "make room on the disk; it goes on by itself", "the disk refuses to take changes; %llu wait",
			(unsigned long long)store->held);
	if (oc_store_damage(gw->rt->store, &why) != OC_OK)
		finding(list, "store", why.remedy, "a part of it is damaged: %s", why.text);
	if (store->wal_bytes > OC_STORE_WAL_LARGE)
		finding(list, "store", OC_STORE_WAL_REMEDY,
			"another program has been reading the store for long: the log beside it has %lld MiB and grows until that ends;"
			" from %lld MiB on nothing new is taken",
			(long long)(store->wal_bytes >> 20), (long long)(OC_STORE_WAL_FULL >> 20));
	find_dead(list, d->providers, "provider", "provider");
	find_dead(list, d->channels, "channel", "channel");
	oc_auto_json cJSON *keys = oc_agent_keys(gw->agent);
	find_keys(list, keys);
	find_hooks(list, names);
	find_queues(list, d->gw, queues);
	if (lag > LAG_MS || busy > LAG_MS * 5)
		finding(list, "loop", s->n > 0 && s->stats[0].over_10ms > 0 ? "the slowest module below is the likely reason" : NULL,
			"the event loop is held up: timers are %.0f ms late (p95), its longest turns take %.0f ms (p99)", lag, busy);
	for (size_t i = 0; i < s->n; i++)
		if (s->stats[i].callback_max_ns > CALLBACK_MS * 1000000ull)
			finding(list, "module", "report it to the module's author, or disable the module",
				"module %s held everything up for %.0f ms (%llu times over 10 ms)", oc_module_name(s->module[i]),
				(double)s->stats[i].callback_max_ns / 1e6, (unsigned long long)s->stats[i].over_10ms);
	if (c.p95 > COMMIT_MS)
		finding(list, "store", "a faster disk, or fewer other writers on this one",
			"writing is slow: a commit takes %.0f ms (p95); every message waits for one", c.p95);
	if (ms(oc_hist_quantile(&t->wait, 0.95)) > WAIT_MS)
		finding(list, "wait", "raise agents.defaults.maxConcurrent, or use sessions of their own",
			"messages wait %.1f s (p95) before their turn begins", oc_hist_quantile(&t->wait, 0.95));
	return list;
}

/* Where the time of turns goes. */
static char *share_words(const oc_gateway *gw, const oc_store_stats *store, const cJSON *names)
{
	const oc_agent_timing *t = oc_agent_timings(gw->agent);
	double turns = (double)(t->turn_ok.sum_ns + t->turn_other.sum_ns);
	if (t->turn_ok.n + t->turn_other.n == 0 || turns <= 0)
		return oc_strdup("Nothing is slow, and nothing has been measured yet: no turn has run.");
	const struct {
		const char *name, *kind;
		const oc_hist *h;
	} parts[] = {{"waiting for the model", "model", &t->model},
		     {"tools", "tool", &t->tool},
		     {"hooks", "hook", oc_hooks_timing(gw->rt->hooks)}};
	size_t best = 0;
	double covered = 0;
	for (size_t i = 0; i < 3; i++) {
		covered += (double)parts[i].h->sum_ns;
		if (parts[i].h->sum_ns > parts[best].h->sum_ns)
			best = i;
	}
	double share = (double)parts[best].h->sum_ns / turns * 100, own = 100 - covered / turns * 100;
	const char *who = "";
	const cJSON *one;
	cJSON_ArrayForEach(one, names) if (who[0] == 0 && strcmp(oc_json_str(one, "kind", ""), parts[best].kind) == 0) who =
		oc_json_str(one, "name", "");
	if (share >= own)
		return oc_asprintf("Nothing of the gateway is slow: %.0f %% of the time of turns is %s%s%s (p50 %.0f ms, p95 %.0f ms).",
				   share > 100 ? 100 : share, parts[best].name, who[0] != 0 ? ", most of it " : "", who,
				   ms(oc_hist_quantile(parts[best].h, 0.5)), ms(oc_hist_quantile(parts[best].h, 0.95)));
	return oc_asprintf("Nothing is slow: %.0f %% of the time of turns is the gateway's own work and its commits (a turn p50 "
			   "%.1f ms, a commit %.1f ms).",
			   own, ms(oc_hist_quantile(&t->turn_ok, 0.5)), commits(store).p50);
}

/* ---- The answer ---- */

static cJSON *describe(struct deep *d)
{
	const oc_gateway *gw = d->gw;
	oc_store_stats store = {0};
	oc_loop_stats loop = {0};
	slowest slow = {0};
	oc_fill queues[OC_QUEUE_N];
	oc_store_get_stats(gw->rt->store, &store);
	oc_loop_get_stats(gw->rt->loop, &loop);
	oc_modules_each(gw->rt->modules, rank, &slow);
	oc_gateway_queues(gw, queues);
	cJSON *o = cJSON_CreateObject(), *probes = cJSON_AddObjectToObject(o, "probes");
	cJSON *names = by_name(gw);
	cJSON *found = findings(d, &store, &slow, queues, names);
	(void)oc_json_set(probes, "providers", d->providers);
	(void)oc_json_set(probes, "channels", d->channels);
	d->providers = d->channels = NULL;
	(void)oc_json_set(o, "stages", stages(gw, &store));
	(void)oc_json_set(o, "modules", modules(&slow));
	cJSON *list = cJSON_AddArrayToObject(o, "queues");
	for (oc_queue i = 0; i < OC_QUEUE_N; i++) {
		cJSON *q = cJSON_CreateObject();
		(void)oc_json_set_str(q, "name", oc_queue_name(i));
		(void)oc_json_set_i64(q, "depth", (int64_t)queues[i].depth);
		(void)oc_json_set_i64(q, "capacity", (int64_t)queues[i].capacity);
		(void)oc_json_set_i64(q, "refused", (int64_t)oc_queue_refusals(i));
		if (q == NULL || !cJSON_AddItemToArray(list, q))
			cJSON_Delete(q);
	}
	cJSON *l = cJSON_AddObjectToObject(o, "loop");
	number(l, "busyP50Ms", ms(oc_hist_quantile(&loop.busy, 0.5)));
	number(l, "busyP99Ms", ms(oc_hist_quantile(&loop.busy, 0.99)));
	number(l, "busyMaxMs", (double)loop.busy.max_ns / 1e6);
	number(l, "lagP95Ms", ms(oc_hist_quantile(&gw->lag, 0.95)));
	number(l, "lagMaxMs", (double)gw->lag.max_ns / 1e6);
	(void)oc_json_set_i64(o, "walBytes", store.wal_bytes);
	(void)oc_json_set_i64(o, "residentBytes", (int64_t)oc_gateway_resident_bytes());
	(void)oc_json_set_bool(o, "slow", cJSON_GetArraySize(found) > 0);
	oc_auto_free char *words = cJSON_GetArraySize(found) > 0
					   ? oc_strdup(oc_json_str(cJSON_GetArrayItem(found, 0), "message", ""))
					   : share_words(gw, &store, names);
	(void)oc_json_set(o, "slowest", names);
	(void)oc_json_set(o, "findings", found);
	(void)oc_json_set_str(o, "bottleneck", words != NULL ? words : "");
	return o;
}

static void finish(struct deep *d)
{
	if (d->call != NULL) {
		oc_method_call *call = d->call;
		d->call = NULL;
		oc_watch_end(d->timer);
		d->timer = NULL;
		oc_method_reply(call, describe(d));
	}
	if (d->pending > 0)
		return;
	cJSON_Delete(d->channels);
	cJSON_Delete(d->providers);
	oc_free(d);
}

static void late(void *arg)
{
	finish(arg);
}

static void provider_probed(void *arg, const char *provider, bool ok, const char *detail, uint64_t took)
{
	struct deep *d = arg;
	cJSON *o = cJSON_CreateObject();
	(void)oc_json_set_str(o, "provider", provider);
	(void)oc_json_set_bool(o, "ok", ok);
	(void)oc_json_set_str(o, "detail", detail);
	(void)oc_json_set_i64(o, "ms", (int64_t)took);
	if (d->providers == NULL || o == NULL || !cJSON_AddItemToArray(d->providers, o))
		cJSON_Delete(o);
	if (--d->pending == 0)
		finish(d);
}

static void channel_probed(void *arg, oc_status status, const cJSON *result)
{
	struct deep *d = arg;
	const cJSON *account;
	cJSON_ArrayForEach(account, oc_json_get(result, "accounts"))
	{
		cJSON *o = cJSON_CreateObject();
		char name[140];
		snprintf(name, sizeof name, "%.64s/%.64s", oc_json_str(result, "channel", "?"), oc_json_str(account, "account", "?"));
		(void)oc_json_set_str(o, "channel", name);
		(void)oc_json_set_bool(o, "ok", status == OC_OK && oc_json_bool(account, "ok", false));
		(void)oc_json_set_str(o, "detail", oc_json_str(account, "detail", ""));
		if (d->channels == NULL || o == NULL || !cJSON_AddItemToArray(d->channels, o))
			cJSON_Delete(o);
	}
	if (--d->pending == 0)
		finish(d);
}

static void system_deep(oc_method_call *call, const cJSON *params)
{
	(void)params;
	oc_gateway *gw = oc_method_gateway(call);
	struct deep *d = oc_alloc(sizeof *d);
	cJSON *channels = NULL;
	const cJSON *c;
	if (d == NULL) {
		oc_method_failf(call, OC_E_NOMEM, NULL, "system.deep: out of memory");
		return;
	}
	*d = (struct deep){.gw = gw, .call = call, .channels = cJSON_CreateArray(), .providers = cJSON_CreateArray(), .pending = 1};
	d->timer = oc_timer_start(gw->rt->owner, PROBE_MS, 0, late, d);
	/* Some ends come inside the call: the count must not reach zero before it is known. */
	d->pending += 1000;
	d->pending += oc_agent_probe_providers(gw->agent, provider_probed, d) - 1000;
	(void)oc_agent_channels(gw->agent, &channels, NULL);
	cJSON_ArrayForEach(c, channels)
	{
		if (cJSON_GetArraySize(oc_json_get(c, "accounts")) == 0)
			continue;
		d->pending++;
		if (oc_agent_channel_probe(gw->agent, oc_json_ostr(c, "id"), OC_STR_NONE, channel_probed, d, NULL) != OC_OK)
			d->pending--;
	}
	cJSON_Delete(channels);
	if (--d->pending == 0)
		finish(d);
}

const oc_method oc_method_system_deep = {"system.deep", OC_SCOPE_WRITE,
					 "what is slow: asks channels and providers, and reads the time every stage takes",
					 "{\"type\":\"object\",\"additionalProperties\":false,\"properties\":{}}", system_deep};
