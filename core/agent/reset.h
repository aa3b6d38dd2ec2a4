/* When a session begins anew by itself: session.reset, session.resetByType, session.resetByChannel, session.idleMinutes. */
#ifndef OC_AGENT_RESET_H
#define OC_AGENT_RESET_H

#include <stdint.h>

#include "core/agent/session.h"
#include "core/config/config.h"

/* Why a session that was last used at updated_ms is over at now_ms ("daily", "idle"), or NULL when it goes on. Wall clock;
 * hours are local time.  channel: the one the message came by, "" none.  [any] */
const char *oc_reset_due(const oc_config *config, const oc_session_key *key, const char *channel, int64_t updated_ms,
			 int64_t now_ms);

#endif
