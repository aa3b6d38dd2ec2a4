/*
 * GET /metrics: the Prometheus text format, version 0.0.4.  Names follow its rules: base units (seconds, bytes), counters end
 * in _total.  Labels have few values: outcomes, kinds, queues, modules (which are bounded); never sessions, users or models.
 */
#include <dirent.h>
#include <inttypes.h>
#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "core/base/clock.h"
#include "core/base/mem.h"
#include "core/gateway/events.h"
#include "core/gateway/gateway.h"

/* ---- Writing ---- */

static void head(oc_sbuf *b, const char *name, const char *type, const char *help)
{
	oc_sbuf_printf(b, "# HELP openclaw_%s %s\n# TYPE openclaw_%s %s\n", name, help, name, type);
}

static void counter(oc_sbuf *b, const char *name, const char *help, uint64_t value)
{
	head(b, name, "counter", help);
	oc_sbuf_printf(b, "openclaw_%s %" PRIu64 "\n", name, value);
}

static void gauge(oc_sbuf *b, const char *name, const char *help, double value)
{
	head(b, name, "gauge", help);
	oc_sbuf_printf(b, "openclaw_%s %.15g\n", name, value);
}

typedef struct labelled {
	const char *label;
	uint64_t value;
} labelled;

static void family(oc_sbuf *b, const char *name, const char *type, const char *help, const char *label, const labelled *rows,
		   size_t n)
{
	head(b, name, type, help);
	for (size_t i = 0; i < n; i++)
		oc_sbuf_printf(b, "openclaw_%s{%s=\"%s\"} %" PRIu64 "\n", name, label, rows[i].label, rows[i].value);
}
#define FAMILY(b, name, type, help, label, ...)                                 \
	do {                                                                    \
		const labelled rows_[] = {__VA_ARGS__};                         \
		family(b, name, type, help, label, rows_, sizeof rows_ / sizeof *rows_); \
	} while (0)

/* One series of a histogram. label: "outcome=\"ok\"" or "". */
static void buckets(oc_sbuf *b, const char *name, const char *label, const uint64_t *counts, const uint64_t *bounds, size_t n,
		    uint64_t sum_ns)
{
	const char *comma = label[0] != 0 ? "," : "", *open = label[0] != 0 ? "{" : "", *shut = label[0] != 0 ? "}" : "";
	uint64_t seen = 0;
	for (size_t i = 0; i < n; i++) {
		seen += counts[i];
		oc_sbuf_printf(b, "openclaw_%s_bucket{%s%sle=\"%.9g\"} %" PRIu64 "\n", name, label, comma,
			       (double)bounds[i] / 1e9, seen);
	}
	seen += counts[n];
	oc_sbuf_printf(b, "openclaw_%s_bucket{%s%sle=\"+Inf\"} %" PRIu64 "\n", name, label, comma, seen);
	oc_sbuf_printf(b, "openclaw_%s_sum%s%s%s %.9f\nopenclaw_%s_count%s%s%s %" PRIu64 "\n", name, open, label, shut,
		       (double)sum_ns / 1e9, name, open, label, shut, seen);
}

static void histogram(oc_sbuf *b, const char *name, const char *help, const oc_hist *h)
{
	head(b, name, "histogram", help);
	buckets(b, name, "", h->count, oc_hist_bounds_ns, OC_HIST_BOUNDS, h->sum_ns);
}

/* ---- HTTP ---- */

static void http_metrics(const oc_gateway *gw, oc_sbuf *b)
{
	oc_http_server_stats s = {0};
	oc_http_server_get_stats(gw->server, &s);
	FAMILY(b, "http_responses_total", "counter", "HTTP answers by class of status.", "class", {"1xx", gw->status_class[1]},
	       {"2xx", gw->status_class[2]}, {"3xx", gw->status_class[3]}, {"4xx", gw->status_class[4]},
	       {"5xx", gw->status_class[5]});
	counter(b, "http_requests_total", "HTTP requests received.", s.requests);
	gauge(b, "http_requests_active", "Requests without an answer yet.", (double)s.active);
	histogram(b, "http_request_duration_seconds", "From a request's head to the end of its answer; streams take as long as they run.",
		  oc_http_server_timing(gw->server));
	gauge(b, "http_connections", "Open connections.", (double)s.connections);
	counter(b, "http_connections_total", "Connections accepted.", s.connections_total);
	counter(b, "http_connections_refused_total", "Connections over the limit.", s.refused);
	counter(b, "http_bad_requests_total", "Requests that broke HTTP or a limit.", s.bad_requests);
	counter(b, "http_timeouts_total", "Connections closed for being too slow.", s.timeouts);
	counter(b, "http_received_bytes_total", "Bytes received.", s.bytes_in);
	counter(b, "http_sent_bytes_total", "Bytes sent.", s.bytes_out);
	gauge(b, "websockets", "Open WebSocket connections.", (double)gw->ws_open);
	counter(b, "rpc_messages_total", "JSON-RPC messages received.", gw->rpc_calls);
}

/* ---- The agent ---- */

static void turn_metrics(const oc_agent_stats *s, const oc_agent_timing *t, oc_sbuf *b)
{
	FAMILY(b, "turns_total", "counter", "Turns by how they ended.", "result", {"ok", s->turns_ok}, {"failed", s->turns_failed},
	       {"canceled", s->turns_canceled}, {"interrupted", s->turns_interrupted});
	head(b, "turn_duration_seconds", "histogram", "Turns from their beginning to their end.");
	buckets(b, "turn_duration_seconds", "result=\"ok\"", t->turn_ok.count, oc_hist_bounds_ns, OC_HIST_BOUNDS, t->turn_ok.sum_ns);
	buckets(b, "turn_duration_seconds", "result=\"other\"", t->turn_other.count, oc_hist_bounds_ns, OC_HIST_BOUNDS,
		t->turn_other.sum_ns);
	histogram(b, "turn_wait_seconds", "From the commit of a message until its session lets the turn begin.", &t->wait);
	gauge(b, "turns_running", "Turns that run now.", (double)s->turns_running);
	gauge(b, "turns_running_max", "The most that ever ran at once.", (double)s->turns_running_max);
	gauge(b, "turns_waiting", "Turns that wait for their session or a free place.", (double)s->turns_waiting);
	FAMILY(b, "turns_queued_total", "counter", "What became of messages that came during a turn, besides turns of their own.", "as",
	       {"merged", s->turns_merged}, {"steered", s->turns_steered}, {"summarized", s->turns_summarized},
	       {"dropped", s->turns_dropped}, {"refused", s->turns_refused});
	counter(b, "turns_resumed_total", "Turns taken up after a stop or a crash.", s->turns_resumed);
}

static void model_metrics(const oc_agent_stats *s, const oc_agent_timing *t, oc_sbuf *b)
{
	counter(b, "tool_calls_total", "Tool calls.", s->tool_calls);
	counter(b, "tool_errors_total", "Tool calls that failed.", s->tool_errors);
	counter(b, "tool_blocked_total", "Tool calls that policy or a hook blocked.", s->tool_blocked);
	histogram(b, "tool_duration_seconds", "Tool calls that ran.", &t->tool);
	counter(b, "model_calls_total", "Model calls.", s->model_calls);
	counter(b, "model_errors_total", "Model calls that failed.", s->model_errors);
	counter(b, "model_retries_total", "Model calls tried again.", s->model_retries);
	counter(b, "model_fallbacks_total", "Changes to a fallback model.", s->model_fallbacks);
	counter(b, "model_key_changes_total", "Changes to another key of the same provider.", s->model_key_changes);
	histogram(b, "model_duration_seconds", "Model calls.", &t->model);
	histogram(b, "model_first_token_seconds", "From a model call to its first piece.", &t->first_token);
	FAMILY(b, "tokens_total", "counter", "Tokens by kind.", "kind", {"input", s->input_tokens}, {"output", s->output_tokens},
	       {"cache_read", s->cache_read_tokens}, {"cache_write", s->cache_write_tokens});
	head(b, "cost_usd_total", "counter", "Cost of this process's model calls, as far as prices are known.");
	oc_sbuf_printf(b, "openclaw_cost_usd_total %.9g\n", s->cost);
}

/* Providers and profiles are named by the operator: JSON's escapes are those of labels. */
static void key_metrics(const oc_gateway *gw, oc_sbuf *b)
{
	oc_auto_json cJSON *keys = oc_agent_keys(gw->agent);
	const cJSON *k;
	if (cJSON_GetArraySize(keys) > 0)
		head(b, "provider_key_up", "gauge", "0 for a key that rests after it was refused; only where a provider has several.");
	cJSON_ArrayForEach(k, keys)
	{
		oc_sbuf_printf(b, "openclaw_provider_key_up{provider=");
		oc_sbuf_json(b, oc_json_ostr(k, "provider"));
		oc_sbuf_z(b, ",key=");
		oc_sbuf_json(b, oc_json_ostr(k, "profile"));
		oc_sbuf_z(b, ",agent=");
		oc_sbuf_json(b, oc_json_ostr(k, "agent"));
		oc_sbuf_printf(b, "} %d\n", oc_json_i64(k, "restMs", 0) > 0 ? 0 : 1);
	}
}

static void agent_metrics(const oc_gateway *gw, const oc_agent_gauges *g, oc_sbuf *b)
{
	oc_agent_stats s = {0};
	const oc_agent_timing *t = oc_agent_timings(gw->agent);
	oc_agent_get_stats(gw->agent, &s);
	turn_metrics(&s, t, b);
	model_metrics(&s, t, b);
	counter(b, "inbound_total", "Messages received from channels.", s.inbound);
	counter(b, "inbound_duplicates_total", "Messages that were known already.", s.inbound_duplicate);
	counter(b, "inbound_refused_total", "Messages that the access rules refused.", s.inbound_refused);
	counter(b, "deliveries_total", "Messages delivered to channels.", s.delivered);
	counter(b, "delivery_retries_total", "Deliveries tried again.", s.delivery_retries);
	counter(b, "delivery_dead_total", "Deliveries given up.", s.delivery_dead);
	histogram(b, "delivery_duration_seconds", "From handing a message to a channel to the channel's answer.", &t->delivery);
	gauge(b, "outbox_pending", "Messages waiting to be delivered.", (double)s.outbox_pending);
	gauge(b, "outbox_dead", "Messages that were given up (`openclaw store dead list`).",
	      (double)oc_store_dead_count(gw->rt->store));
	counter(b, "subagents_started_total", "Sub-agents started.", g->subagents_spawned);
	FAMILY(b, "subagents_ended_total", "counter", "Sub-agents by how they ended.", "result", {"ok", g->subagents_ok},
	       {"other", g->subagents_failed});
	gauge(b, "subagents_active", "Sub-agents at work, or not reported yet.", (double)g->subagents_active);
	gauge(b, "sessions_active", "Sessions with a turn that waits or runs.", (double)g->sessions_active);
	gauge(b, "sessions", "Sessions in the store.", (double)oc_store_session_count(gw->rt->store));
	key_metrics(gw, b);
	histogram(b, "hook_duration_seconds", "Firings of hooks that somebody listens to.", oc_hooks_timing(gw->rt->hooks));
	counter(b, "hook_failures_total", "Handlers of hooks that failed or took too long.", oc_hooks_failures(gw->rt->hooks));
}

/* ---- The store ---- */

static void store_metrics(const oc_store_stats *s, oc_sbuf *b)
{
	uint64_t bounds[OC_STORE_LATENCY_BUCKETS - 1];
	for (size_t i = 0; i < OC_STORE_LATENCY_BUCKETS - 1; i++)
		bounds[i] = (UINT64_C(64000) << i);
	counter(b, "store_commits_total", "Transactions committed; each is one fsync.", s->commits);
	counter(b, "store_batches_total", "Batches of changes in those transactions.", s->batches);
	counter(b, "store_failures_total", "Transactions that failed.", s->failures);
	head(b, "store_commit_seconds", "histogram", "Transactions with their fsync.");
	buckets(b, "store_commit_seconds", "", s->commit_latency, bounds, OC_STORE_LATENCY_BUCKETS - 1, s->commit_ns_total);
	gauge(b, "store_batch_size", "Batches a transaction, on average.",
	      s->commits > 0 ? (double)s->batches / (double)s->commits : 0);
	counter(b, "store_stalls_total", "Times that the disk refused to write.", s->stalls);
	gauge(b, "store_stalled", "1 while the disk refuses to take changes.", s->stalled_since_ms > 0 ? 1 : 0);
	counter(b, "store_pruned_sessions_total", "Sessions removed by retention.", s->pruned_sessions);
	counter(b, "store_pruned_rows_total", "Other rows removed by retention.",
		s->pruned_messages + s->pruned_events + s->pruned_rows);
	gauge(b, "store_held", "Changes that wait for a disk that refuses.", (double)s->held);
	gauge(b, "store_search_behind", "Messages that are not in the search index yet.", (double)s->search_behind);
	counter(b, "store_checkpoints_total", "Times that the write-ahead log was put into the file.", s->checkpoints);
	gauge(b, "store_bytes", "Size of the database file.", (double)s->file_bytes);
	gauge(b, "store_wal_bytes", "Size of the write-ahead log.", (double)s->wal_bytes);
}

/* ---- Modules ---- */

typedef struct column {
	oc_sbuf *b;
	oc_modules *registry;
	const char *name;
	void (*write)(oc_sbuf *b, const char *name, oc_module *module, const oc_module_stats *s);
} column;

static bool write_column(void *arg, oc_module *module)
{
	const column *c = arg;
	oc_module_stats s = {0};
	/* Of several files with one name one may run: a series has one value. */
	if (oc_modules_find(c->registry, oc_module_name(module)) != module)
		return true;
	oc_module_get_stats(module, &s);
	c->write(c->b, c->name, module, &s);
	return true;
}

static void modules(const oc_gateway *gw, oc_sbuf *b, const char *name, const char *type, const char *help,
		    void (*write)(oc_sbuf *b, const char *name, oc_module *module, const oc_module_stats *s))
{
	column c = {b, gw->rt->modules, name, write};
	head(b, name, type, help);
	oc_modules_each(gw->rt->modules, write_column, &c);
}

/* Names are a-z, 0-9, '.', '_' and '-', so nothing needs escaping. */
static void name_labels(oc_sbuf *b, const char *name, oc_module *module)
{
	oc_sbuf_printf(b, "openclaw_%s{module=\"%s\",from=\"%s\"", name, oc_module_name(module), oc_module_origin(module));
}

static void up(oc_sbuf *b, const char *name, oc_module *module, const oc_module_stats *s)
{
	(void)s;
	name_labels(b, name, module);
	oc_sbuf_printf(b, ",state=\"%s\"} %d\n", oc_module_state_name(oc_module_get_state(module)), oc_module_running(module) ? 1 : 0);
}

static void calls(oc_sbuf *b, const char *name, oc_module *module, const oc_module_stats *s)
{
	const labelled rows[] = {{"ok", s->calls_ok}, {"failed", s->calls_failed}, {"timeout", s->calls_timed_out},
				 {"canceled", s->calls_canceled}};
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		name_labels(b, name, module);
		oc_sbuf_printf(b, ",result=\"%s\"} %" PRIu64 "\n", rows[i].label, rows[i].value);
	}
}

#define MODULE_VALUE(function, format, value)                                                                    \
	static void function(oc_sbuf *b, const char *name, oc_module *module, const oc_module_stats *s)          \
	{                                                                                                        \
		name_labels(b, name, module);                                                                    \
		oc_sbuf_printf(b, "} " format "\n", value);                                                      \
	}
MODULE_VALUE(calls_open, "%" PRIu64, s->calls_open)
MODULE_VALUE(violations, "%" PRIu64, s->violations)
MODULE_VALUE(callbacks, "%" PRIu64, s->callbacks)
MODULE_VALUE(callback_time, "%.9f", (double)s->callback_ns / 1e9)
MODULE_VALUE(callback_max, "%.9f", (double)s->callback_max_ns / 1e9)
MODULE_VALUE(callback_slow, "%" PRIu64, s->over_10ms)
MODULE_VALUE(memory, "%" PRIu64, s->bytes)
MODULE_VALUE(memory_limit, "%" PRIu64, s->bytes_limit)

static void gauges(oc_sbuf *b, const char *name, oc_module *module, bool capacity)
{
	const oc_module_gauge *g;
	for (size_t i = 0; (g = oc_module_gauge_at(module, i)) != NULL; i++) {
		name_labels(b, name, module);
		oc_sbuf_printf(b, ",queue=\"%s\"} %" PRIu64 "\n", g->name, capacity ? g->capacity : g->depth);
	}
}

static void gauge_depths(oc_sbuf *b, const char *name, oc_module *module, const oc_module_stats *s)
{
	(void)s;
	gauges(b, name, module, false);
}

static void gauge_capacities(oc_sbuf *b, const char *name, oc_module *module, const oc_module_stats *s)
{
	(void)s;
	gauges(b, name, module, true);
}

static void module_metrics(const oc_gateway *gw, oc_sbuf *b)
{
	modules(gw, b, "module_queue_depth", "gauge", "What waits in a module's own bounded queues.", gauge_depths);
	modules(gw, b, "module_queue_capacity", "gauge", "What fits into them.", gauge_capacities);
	modules(gw, b, "module_up", "gauge", "1 for a module that runs.", up);
	modules(gw, b, "module_calls_total", "counter", "Calls to a module by how they ended.", calls);
	modules(gw, b, "module_calls_open", "gauge", "Calls that a module works on.", calls_open);
	modules(gw, b, "module_violations_total", "counter", "Times a module broke the contract.", violations);
	modules(gw, b, "module_callbacks_total", "counter", "Times a module's code was run.", callbacks);
	modules(gw, b, "module_callback_seconds_total", "counter", "Time spent in a module's callbacks.", callback_time);
	modules(gw, b, "module_callback_max_seconds", "gauge", "The longest of them.", callback_max);
	modules(gw, b, "module_callbacks_slow_total", "counter", "Those that took more than 10 ms.", callback_slow);
	modules(gw, b, "module_memory_bytes", "gauge", "Memory that a module has from the host.", memory);
	modules(gw, b, "module_memory_limit_bytes", "gauge", "The most it may have.", memory_limit);
}

/* ---- Queues ---- */

void oc_gateway_queues(const oc_gateway *gw, oc_fill q[OC_QUEUE_N])
{
	oc_store_stats store = {0};
	memset(q, 0, OC_QUEUE_N * sizeof *q);
	oc_store_get_stats(gw->rt->store, &store);
	oc_fill_add(&q[OC_QUEUE_store_writes], store.queued, store.queue_max);
	oc_fill_add(&q[OC_QUEUE_config_reloads], gw->n_reloads, sizeof gw->reloads / sizeof gw->reloads[0]);
	oc_agent_queues(gw->agent, q);
	oc_http_server_queues(gw->server, q);
	oc_events_fill(gw, &q[OC_QUEUE_event_subscriptions]);
	oc_procs_stdin_fill(gw->rt->procs, &q[OC_QUEUE_process_stdin_bytes]);
	oc_modules_queues(gw->rt->modules, q);
	oc_isolates_queues(gw->rt->isolates, q);
	oc_bridge_queues(gw->rt->bridge, q);
}

static void queue_row(oc_sbuf *b, const char *name, oc_queue queue, uint64_t value)
{
	oc_sbuf_printf(b, "openclaw_%s{queue=\"%s\"} %" PRIu64 "\n", name, oc_queue_name(queue), value);
}

static void queue_metrics(const oc_gateway *gw, oc_sbuf *b)
{
	oc_fill queues[OC_QUEUE_N];
	oc_gateway_queues(gw, queues);
	head(b, "queue_depth", "gauge", "What waits, or is under way, in each bounded queue; of several of a kind, in the fullest.");
	for (oc_queue q = 0; q < OC_QUEUE_N; q++)
		queue_row(b, "queue_depth", q, queues[q].depth);
	head(b, "queue_depth_all", "gauge", "The same in all queues of the kind together.");
	for (oc_queue q = 0; q < OC_QUEUE_N; q++)
		queue_row(b, "queue_depth_all", q, queues[q].all);
	head(b, "queue_capacity", "gauge", "What fits into one; beyond that, work is refused or the source is slowed down.");
	for (oc_queue q = 0; q < OC_QUEUE_N; q++)
		queue_row(b, "queue_capacity", q, queues[q].capacity);
	head(b, "queue_refused_total", "counter", "Times that something was not taken because the queue was full.");
	for (oc_queue q = 0; q < OC_QUEUE_N; q++)
		queue_row(b, "queue_refused_total", q, oc_queue_refusals(q));
}

/* ---- The process ---- */

static uint64_t statm(int field)
{
	FILE *f = fopen("/proc/self/statm", "re");
	unsigned long pages = 0;
	char line[128];
	if (f != NULL && fgets(line, sizeof line, f) != NULL) {
		const char *at = line;
		for (int i = 0; i < field && at != NULL; i++)
			at = strchr(at + 1, ' ');
		pages = at != NULL ? strtoul(at, NULL, 10) : 0;
	}
	if (f != NULL)
		fclose(f);
	return (uint64_t)pages * (uint64_t)sysconf(_SC_PAGESIZE);
}

uint64_t oc_gateway_resident_bytes(void)
{
	return statm(1);
}

static uint64_t open_fds(void)
{
	DIR *dir = opendir("/proc/self/fd");
	uint64_t n = 0;
	if (dir == NULL)
		return 0;
	while (readdir(dir) != NULL)
		n++;
	closedir(dir);
	return n > 3 ? n - 3 : 0; /* ".", ".." and the folder itself */
}

static void raw(oc_sbuf *b, const char *name, const char *type, const char *help, double value)
{
	oc_sbuf_printf(b, "# HELP %s %s\n# TYPE %s %s\n%s %.15g\n", name, help, name, type, name, value);
}

/* The names that every Prometheus client uses for these. */
static void process_metrics(const oc_gateway *gw, oc_sbuf *b)
{
	struct rusage usage = {0};
	struct rlimit files = {0};
	getrusage(RUSAGE_SELF, &usage);
	getrlimit(RLIMIT_NOFILE, &files);
	double cpu = (double)(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) +
		     (double)(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) / 1e6;
	raw(b, "process_cpu_seconds_total", "counter", "Total user and system CPU time spent in seconds.", cpu);
	raw(b, "process_open_fds", "gauge", "Number of open file descriptors.", (double)open_fds());
	raw(b, "process_max_fds", "gauge", "Maximum number of open file descriptors.", (double)files.rlim_cur);
	raw(b, "process_resident_memory_bytes", "gauge", "Resident memory size in bytes.", (double)statm(1));
	raw(b, "process_virtual_memory_bytes", "gauge", "Virtual memory size in bytes.", (double)statm(0));
	raw(b, "process_start_time_seconds", "gauge", "Start time of the process since unix epoch in seconds.",
	    (double)gw->started_wall_ms / 1000);
}

static bool add_module_bytes(void *arg, oc_module *module)
{
	oc_module_stats s = {0};
	oc_module_get_stats(module, &s);
	*(uint64_t *)arg += s.bytes;
	return true;
}

static void memory_metrics(const oc_gateway *gw, const oc_agent_gauges *g, oc_sbuf *b)
{
	uint64_t module_bytes = 0;
	oc_modules_each(gw->rt->modules, add_module_bytes, &module_bytes);
	int64_t sqlite = sqlite3_memory_used();
#if defined(__GLIBC__) && (__GLIBC__ > 2 || __GLIBC_MINOR__ >= 33)
	struct mallinfo2 heap = mallinfo2();
	gauge(b, "heap_used_bytes", "Memory that was asked for from the allocator.", (double)(heap.uordblks + heap.hblkhd));
	gauge(b, "heap_free_bytes", "Memory that the allocator keeps although nobody has it.", (double)heap.fordblks);
	counter(b, "heap_trims_total", "Times that such memory went back to the system, after work.", gw->heap_trims);
#endif
	FAMILY(b, "memory_bytes", "gauge", "Memory by who has it, as far as it is counted; all of it is in heap_used_bytes.", "owner",
	       {"modules", module_bytes}, {"turns", g->turn_bytes}, {"store", sqlite > 0 ? (uint64_t)sqlite : 0});
	gauge(b, "memory_blocks", "Blocks of memory in use.", (double)oc_mem_live());
}

static void loop_metrics(const oc_gateway *gw, oc_sbuf *b)
{
	oc_loop_stats loop = {0};
	oc_loop_get_stats(gw->rt->loop, &loop);
	histogram(b, "loop_busy_seconds", "Turns of the event loop from waking up to going to sleep: what everything else waited.",
		  &loop.busy);
	histogram(b, "loop_lag_seconds", "How late a timer of the event loop fired, tried once a second.", &gw->lag);
	gauge(b, "loop_lag_max_seconds", "The latest it ever was.", (double)gw->lag.max_ns / 1e9);
	FAMILY(b, "loop_handles", "gauge", "What the event loop watches.", "kind", {"timer", loop.timers}, {"other", loop.handles});
	gauge(b, "loop_owners", "Turns, modules, connections and the like that may own some of it.", (double)loop.owners);
	gauge(b, "pool_jobs", "Blocking work in the thread pool, or waiting for it.", (double)loop.jobs);
	gauge(b, "processes", "Child processes that tools have running.", (double)oc_procs_count(gw->rt->procs));
}

void oc_gateway_metrics(oc_gateway *gw, oc_sbuf *b)
{
	oc_agent_gauges g = {0};
	oc_store_stats store = {0};
	oc_agent_get_gauges(gw->agent, &g);
	oc_store_get_stats(gw->rt->store, &store);
	head(b, "build_info", "gauge", "Version of the program.");
	oc_sbuf_printf(b, "openclaw_build_info{version=\"%s\"} 1\n", PACKAGE_VERSION);
	gauge(b, "uptime_seconds", "Time since the start.", (double)(oc_now_ns() - gw->started_ns) / 1e9);
	gauge(b, "ready", "1 when the gateway takes work.", gw->ready && !gw->stopping ? 1 : 0);
	gauge(b, "resident_bytes", "Resident memory.", (double)statm(1));
	gauge(b, "config_problems", "Problems in the configuration.", (double)oc_config_problem_count(gw->rt->config));
	http_metrics(gw, b);
	agent_metrics(gw, &g, b);
	store_metrics(&store, b);
	queue_metrics(gw, b);
	module_metrics(gw, b);
	memory_metrics(gw, &g, b);
	loop_metrics(gw, b);
	process_metrics(gw, b);
}
