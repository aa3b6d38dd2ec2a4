/*
 * Heartbeats: an agent's main session is asked every so often whether there is something to say (HEARTBEAT.md tells what to
 * look at), and when something happened that it should know of.  "HEARTBEAT_OK" alone is nothing to say.  Loop thread only.
 */
#ifndef OC_AGENT_HEARTBEAT_H
#define OC_AGENT_HEARTBEAT_H

#include "core/agent/agent.h"

#define OC_HEARTBEAT_PROMPT                                                                                             \
	"Read HEARTBEAT.md if it exists (workspace context). Follow it strictly. Do not infer or repeat old tasks from " \
	"prior chats. If nothing needs attention, reply HEARTBEAT_OK."
enum { OC_HEARTBEAT_ACK_CHARS = 300 };

/* How one went: "ran", "skipped" or "failed", with why. */
typedef void (*oc_heartbeat_done)(void *arg, const char *status, const char *reason);

/* Asks the agent ("" the default) now and waits for nobody: done is called later, once, unless the agent is freed. session ""
 * the configured one. key: the turn's idempotency key, "" none. Skipped: "disabled", "requests-in-flight", "quiet-hours", … */
oc_status oc_heartbeat_run(oc_agent *agent, const char *agent_id, const char *session, const char *reason, const char *key,
			   oc_heartbeat_done done, void *arg, oc_err *err);
/* Soon, once for all who asked meanwhile; again when the session is busy. */
void oc_heartbeat_request(oc_agent *agent, const char *agent_id, const char *reason);
/* What `wake` does: text is told to the main session; mode "now": which is asked at once. */
oc_status oc_heartbeat_wake(oc_agent *agent, const char *text, bool now, oc_err *err);
/* All heartbeats on or off until the gateway ends. */
void oc_heartbeat_set(oc_agent *agent, bool enabled);
bool oc_heartbeat_enabled(const oc_agent *agent);
/* The last event, borrowed; NULL: there was none. */
const cJSON *oc_heartbeat_last(const oc_agent *agent);
/* What is configured for an agent: milliseconds between two, 0: none. */
int64_t oc_heartbeat_every_ms(const oc_config *config, const char *agent_id);

/* The same with what is asked and where the answer goes: {"enabled","every","everyMs","prompt","target","ackMaxChars"}; everyMs null: none. */
cJSON *oc_heartbeat_describe(const oc_config *config, const char *agent_id);

/* Whether the text says no more than that there is nothing to say: the token with at most `most` characters besides. The text
 * without the token is put into *ret (oc_free; NULL: no memory). */
bool oc_heartbeat_strip(oc_str text, int64_t most, char **ret);

/* Where an answer goes that no message was the cause of: {"channel","account","to","thread"?}. channel "" or "last": where the
 * session of the agent was last written to. OC_E_NOT_FOUND: err says what is missing. */
oc_status oc_route_find(oc_agent *agent, const char *session, const char *channel, const char *to, const char *account, cJSON **ret,
			oc_err *err);

void oc_heartbeat_start(oc_agent *agent);
void oc_heartbeat_reload(oc_agent *agent);
void oc_heartbeat_free(oc_agent *agent);

#endif
