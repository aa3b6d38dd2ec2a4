/* Who may talk to the assistant, and where. */
#ifndef OC_AGENT_ACCESS_H
#define OC_AGENT_ACCESS_H

#include "core/agent/internal.h"

typedef enum oc_access {
	OC_ACCESS_REFUSED = 1, /* silently: a stranger gets no answer that tells them something */
	OC_ACCESS_ALLOWED,
	OC_ACCESS_PAIRING,	/* a stranger may ask for a code */
	OC_ACCESS_OVERHEARD	/* allowed, but not meant for us: kept as context of the group */
} oc_access;

typedef struct oc_access_question {
	const oc_config *config;
	oc_store *store;
	const char *channel, *account;
	const char *chat_type; /* dm, group, channel */
	const char *chat;
	const char *sender, *username;
	bool mentioned; /* by the network's own mark, or an answer to us */
	oc_str text;	/* for mention patterns */
	const char *agent_id;
	const char *session; /* its key; "" when it is not chosen yet */
} oc_access_question;

/* reason (at least 120 bytes): why not, for the log. */
oc_access oc_access_decide(const oc_access_question *question, char *reason);
/* Whether somebody who may talk may also use commands that change the session: who is named (allowFrom, a pairing, an owner),
 * not whoever an open policy lets in. commands.allowFrom decides alone when it is set; commands.useAccessGroups false: all. */
bool oc_access_commands(const oc_access_question *question);

#endif
