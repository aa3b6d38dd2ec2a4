/* GET /metrics: the Prometheus text format, version 0.0.4. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/base/clock.h"
#include "core/gateway/gateway.h"

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

static void http_metrics(const oc_gateway *gw, oc_sbuf *b)
{
	oc_http_server_stats s = {0};
	oc_http_server_get_stats(gw->server, &s);
	head(b, "http_responses_total", "counter", "HTTP answers by class of status.");
	for (int i = 1; i < 6; i++)
		oc_sbuf_printf(b, "openclaw_http_responses_total{class=\"%dxx\"} %" PRIu64 "\n", i, gw->status_class[i]);
	counter(b, "http_requests_total", "HTTP requests received.", s.requests);
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

static void agent_metrics(const oc_gateway *gw, oc_sbuf *b)
{
	oc_agent_stats s = {0};
	oc_agent_get_stats(gw->agent, &s);
	head(b, "turns_total", "counter", "Turns by how they ended.");
	oc_sbuf_printf(b,
		       "openclaw_turns_total{result=\"ok\"} %" PRIu64 "\nopenclaw_turns_total{result=\"failed\"} %" PRIu64
		       "\nopenclaw_turns_total{result=\"canceled\"} %" PRIu64
		       "\nopenclaw_turns_total{result=\"interrupted\"} %" PRIu64 "\n",
		       s.turns_ok, s.turns_failed, s.turns_canceled, s.turns_interrupted);
	gauge(b, "turns_running", "Turns that run now.", (double)s.turns_running);
	gauge(b, "turns_waiting", "Turns that wait for their session or a free place.", (double)s.turns_waiting);
	head(b, "turns_queued_total", "counter", "What became of messages that came during a turn, besides turns of their own.");
	oc_sbuf_printf(b,
		       "openclaw_turns_queued_total{as=\"merged\"} %" PRIu64 "\nopenclaw_turns_queued_total{as=\"steered\"} %" PRIu64
		       "\nopenclaw_turns_queued_total{as=\"summarized\"} %" PRIu64
		       "\nopenclaw_turns_queued_total{as=\"dropped\"} %" PRIu64
		       "\nopenclaw_turns_queued_total{as=\"refused\"} %" PRIu64 "\n",
		       s.turns_merged, s.turns_steered, s.turns_summarized, s.turns_dropped, s.turns_refused);
	counter(b, "turns_resumed_total", "Turns taken up after a stop or a crash.", s.turns_resumed);
	counter(b, "turn_milliseconds_total", "Time of finished turns.", s.turn_ms_total);
	counter(b, "tool_calls_total", "Tool calls.", s.tool_calls);
	counter(b, "tool_errors_total", "Tool calls that failed.", s.tool_errors);
	counter(b, "tool_blocked_total", "Tool calls that policy or a hook blocked.", s.tool_blocked);
	counter(b, "model_calls_total", "Model calls.", s.model_calls);
	counter(b, "model_errors_total", "Model calls that failed.", s.model_errors);
	counter(b, "model_retries_total", "Model calls tried again.", s.model_retries);
	counter(b, "model_fallbacks_total", "Changes to a fallback model.", s.model_fallbacks);
	head(b, "tokens_total", "counter", "Tokens by kind.");
	oc_sbuf_printf(b,
		       "openclaw_tokens_total{kind=\"input\"} %" PRIu64 "\nopenclaw_tokens_total{kind=\"output\"} %" PRIu64
		       "\nopenclaw_tokens_total{kind=\"cache_read\"} %" PRIu64
		       "\nopenclaw_tokens_total{kind=\"cache_write\"} %" PRIu64 "\n",
		       s.input_tokens, s.output_tokens, s.cache_read_tokens, s.cache_write_tokens);
	head(b, "cost_usd_total", "counter", "Cost of this process's model calls, as far as prices are known.");
	oc_sbuf_printf(b, "openclaw_cost_usd_total %.9g\n", s.cost);
	counter(b, "inbound_total", "Messages received from channels.", s.inbound);
	counter(b, "inbound_duplicates_total", "Messages that were known already.", s.inbound_duplicate);
	counter(b, "inbound_refused_total", "Messages that the access rules refused.", s.inbound_refused);
	counter(b, "deliveries_total", "Messages delivered to channels.", s.delivered);
	counter(b, "delivery_retries_total", "Deliveries tried again.", s.delivery_retries);
	counter(b, "delivery_dead_total", "Deliveries given up.", s.delivery_dead);
	gauge(b, "outbox_pending", "Messages waiting to be delivered.", (double)s.outbox_pending);
}

static void store_metrics(const oc_gateway *gw, oc_sbuf *b)
{
	oc_store_stats s = {0};
	oc_store_get_stats(gw->rt->store, &s);
	gauge(b, "store_queue", "Writes waiting.", (double)s.queued);
	counter(b, "store_commits_total", "Transactions committed.", s.commits);
	counter(b, "store_batches_total", "Batches in those transactions.", s.batches);
	counter(b, "store_failures_total", "Transactions that failed.", s.failures);
	counter(b, "store_commit_microseconds_total", "Time of commits.", s.commit_ns_total / 1000);
	gauge(b, "store_stalled", "1 while the disk refuses to take changes.", s.stalled_since_ms > 0 ? 1 : 0);
	gauge(b, "store_held", "Changes that wait for the disk to take them.", (double)s.held);
	counter(b, "store_stalls_total", "Times that the disk refused.", s.stalls);
	counter(b, "store_pruned_sessions_total", "Sessions removed by retention.", s.pruned_sessions);
	counter(b, "store_pruned_rows_total", "Other rows removed by retention.",
		s.pruned_messages + s.pruned_events + s.pruned_rows);
	gauge(b, "outbox_dead", "Messages that were given up (`openclaw store dead list`).",
	      (double)oc_store_dead_count(gw->rt->store));
	gauge(b, "store_bytes", "Size of the database file.", (double)s.file_bytes);
	gauge(b, "store_wal_bytes", "Size of the write-ahead log.", (double)s.wal_bytes);
}

static bool module_metric(void *arg, oc_module *module)
{
	oc_sbuf_printf(arg, "openclaw_module_up{module=\"%s\",state=\"%s\"} %d\n", oc_module_name(module),
		       oc_module_state_name(oc_module_get_state(module)), oc_module_running(module) ? 1 : 0);
	return true;
}

static bool module_time(void *arg, oc_module *module)
{
	oc_owner *owner = oc_module_owner(module);
	oc_owner_stats s = {0};
	if (owner != NULL)
		oc_owner_get_stats(owner, &s);
	oc_sbuf_printf(arg, "openclaw_module_callback_seconds_total{module=\"%s\"} %.9f\n", oc_module_name(module),
		       (double)s.total_ns / 1e9);
	return true;
}

static uint64_t resident_bytes(void)
{
	FILE *f = fopen("/proc/self/statm", "re");
	unsigned long pages = 0;
	char line[128];
	if (f != NULL && fgets(line, sizeof line, f) != NULL) {
		char *space = strchr(line, ' ');
		pages = space != NULL ? strtoul(space + 1, NULL, 10) : 0;
	}
	if (f != NULL)
		fclose(f);
	return (uint64_t)pages * (uint64_t)sysconf(_SC_PAGESIZE);
}

void oc_gateway_metrics(oc_gateway *gw, oc_sbuf *b)
{
	head(b, "build_info", "gauge", "Version of the program.");
	oc_sbuf_printf(b, "openclaw_build_info{version=\"%s\"} 1\n", PACKAGE_VERSION);
	gauge(b, "uptime_seconds", "Time since the start.", (double)(oc_now_ns() - gw->started_ns) / 1e9);
	gauge(b, "ready", "1 when the gateway takes work.", gw->ready && !gw->stopping ? 1 : 0);
	gauge(b, "resident_bytes", "Resident memory.", (double)resident_bytes());
	gauge(b, "config_problems", "Problems in the configuration.", (double)oc_config_problem_count(gw->rt->config));
	http_metrics(gw, b);
	agent_metrics(gw, b);
	store_metrics(gw, b);
	head(b, "module_up", "gauge", "1 for a module that runs.");
	oc_modules_each(gw->rt->modules, module_metric, b);
	head(b, "module_callback_seconds_total", "counter", "Time spent in a module's callbacks.");
	oc_modules_each(gw->rt->modules, module_time, b);
}
