/*
 * Every bounded queue, by name: what /metrics, `status --deep` and the table in the manual have one line of each for.  A queue
 * without a line here is one without a metric.
 */
#ifndef OC_BASE_QUEUES_H
#define OC_BASE_QUEUES_H

#include <stdint.h>

#define OC_QUEUES(X)              \
	X(store_writes)           \
	X(turns_running)          \
	X(subagent_turns_running) \
	X(cron_turns_running)     \
	X(turns_waiting)          \
	X(session_turns)          \
	X(subagents)              \
	X(direct_tools)           \
	X(memory_searches)        \
	X(session_exchanges)      \
	X(overheard_bytes)        \
	X(deliveries)             \
	X(http_connections)       \
	X(http_send_bytes)        \
	X(http_pipelined_bytes)   \
	X(websocket_send_bytes)   \
	X(event_subscriptions)    \
	X(config_reloads)         \
	X(process_stdin_bytes)    \
	X(module_calls)           \
	X(module_posts)           \
	X(module_watches)         \
	X(module_works)           \
	X(isolated_requests)      \
	X(isolated_calls)         \
	X(isolated_unsent)        \
	X(isolated_unsent_bytes)  \
	X(plugin_waits)           \
	X(plugin_asked)           \
	X(plugin_backlog)         \
	X(plugin_calls)           \
	X(plugin_unsent)          \
	X(plugin_unsent_bytes)

typedef enum oc_queue {
#define OC_QUEUE_ROW(name) OC_QUEUE_##name,
	OC_QUEUES(OC_QUEUE_ROW)
#undef OC_QUEUE_ROW
	OC_QUEUE_N
} oc_queue;

const char *oc_queue_name(oc_queue queue); /* static */

/* How full the queues of one kind are: of those there are several of (one a session, a connection, a module) the fullest, and
 * all together. */
typedef struct oc_fill {
	uint64_t depth, capacity, all;
} oc_fill;
/* Takes one more queue of the kind into account. */
void oc_fill_add(oc_fill *fill, uint64_t depth, uint64_t capacity);

/* Something was not taken, or its sender was cut off, because the queue was full. [any] */
void oc_queue_refused(oc_queue queue);
uint64_t oc_queue_refusals(oc_queue queue); /* since the start */

#endif
