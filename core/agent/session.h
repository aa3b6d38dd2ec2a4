/*
 * Session keys: which conversation a message belongs to.
 *
 *   agent:main:main                                                    the agent's main session
 *   agent:main:dm:<peer>                                               session.dmScope "per-peer"
 *   agent:main:channel:telegram:dm:<peer>                              "per-channel-peer"
 *   agent:main:channel:telegram:account:default:dm:<peer>              "per-account-channel-peer"
 *   agent:main:channel:telegram:account:default:group:<chat>           groups and channels, always
 *   agent:main:channel:telegram:account:default:thread:<chat>/<thread> topics
 *   agent:main:subagent:<uuid>                                         a sub-agent's
 *   agent:main:<name>                                                  any other name ("work", "api:7f…", "cron:…")
 *
 * Parts taken from networks are escaped (%3A for ':' and so on), so that no key can be mistaken for another and none is a
 * prefix of another one's parts.  [any]
 */
#ifndef OC_AGENT_SESSION_H
#define OC_AGENT_SESSION_H

#include <stdbool.h>

#include "core/base/err.h"
#include "core/base/str.h"

#define OC_SESSION_KEY_MAX 512

typedef struct oc_session_key {
	char agent[65];
	char kind[16];	  /* main, dm, group, channel, thread, subagent, named */
	char channel[65]; /* "" when the key has none */
	char account[65];
	char peer[257];	  /* unescaped; of a thread: the chat */
	char thread[129]; /* unescaped */
	char name[257];	  /* kind main and named: what follows the agent */
} oc_session_key;

/* Builds the text of parts. OC_E_LIMIT when too long, OC_E_INVALID when a part that the kind needs is missing. */
oc_status oc_session_key_build(const oc_session_key *parts, char out[OC_SESSION_KEY_MAX], oc_err *err);
/* Reads a key strictly: building what was parsed gives the same text. */
oc_status oc_session_key_parse(oc_str text, oc_session_key *ret, oc_err *err);
/* What people and clients may write: a full key; "main" or "" is the agent's main session; any other name is one of the
 * agent's named sessions. */
oc_status oc_session_key_resolve(oc_str text, const char *agent, const char *main_key, char out[OC_SESSION_KEY_MAX],
				 oc_err *err);
/* Lower case, a-z 0-9 _ -; at most 64; "main" when nothing is left. */
void oc_agent_id_normalize(oc_str id, char out[65]);

#endif
