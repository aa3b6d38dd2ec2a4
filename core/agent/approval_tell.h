/* What is said of a question: to clients as `request`, to chats as a message. */
#ifndef OC_AGENT_APPROVAL_TELL_H
#define OC_AGENT_APPROVAL_TELL_H

#include "core/agent/approval.h"

/* The request of a command, with every member that clients of the original read; the caller's. run: whose it is. */
cJSON *oc_approval_exec_request(oc_agent *agent, const char *run, const oc_exec_judgement *judgement, const char *command,
				const char *folder, const char *agent_id, const char *session);
/* Tells the run's chat, and the chats of approvals.exec.targets. */
void oc_approval_tell(oc_agent *agent, const char *run, const oc_approval *approval);

#endif
