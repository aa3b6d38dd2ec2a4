/*
 * Approvals: what runs only when a person lets it.
 *
 * A command asks when tools.exec.ask or exec-approvals.json say so, a tool call when a plugin's hook does, and clients ask on
 * behalf of others.  Whoever may approve is told by events (and in the chat that the run belongs to), and decides; nobody's
 * answer is the file's askFallback, which is "deny" unless it says otherwise.  Kept in memory only: what waits when the gateway
 * stops was never allowed.  [loop]
 */
#ifndef OC_AGENT_APPROVAL_H
#define OC_AGENT_APPROVAL_H

#include "core/agent/agent.h"

enum { OC_APPROVAL_ID_MAX = 128, OC_APPROVAL_MS = 120000, OC_APPROVAL_MS_MAX = 3600000 };

typedef struct oc_approval {
	char id[OC_APPROVAL_ID_MAX + 1];
	const char *kind;	/* "exec" or "plugin" */
	const cJSON *request;	/* as the events have it */
	int64_t created_ms, expires_ms;
	const char *decision;	/* "allow-once", "allow-always", "deny"; NULL: nobody decided */
	const char *by;		/* who, "" nobody */
} oc_approval;

/* Called once (by oc_approval_wait maybe at once); the approval is valid during the call. */
typedef void (*oc_approval_done)(void *arg, const oc_approval *approval);

/* Asks. id NULL or "": a new one; request is taken; timeout_ms 0: two minutes. owner: its sweep withdraws the question (NULL:
 * nobody's). done may be NULL. ret is valid until done has been called. OC_E_EXISTS: that id is waiting; OC_E_BUSY: too many. */
oc_status oc_approval_ask(oc_agent *agent, const char *kind, const char *id, cJSON *request, uint64_t timeout_ms, oc_owner *owner,
			  oc_approval_done done, void *arg, const oc_approval **ret, oc_err *err);
/* Waits for one that somebody else asked for; one that was decided a moment ago counts. OC_E_NOT_FOUND. */
oc_status oc_approval_wait(oc_agent *agent, const char *kind, const char *id, oc_approval_done done, void *arg, oc_err *err);
/* Decides. id may be the beginning of one, when it is of one only; kind NULL: any. OC_E_NOT_FOUND, OC_E_INVALID (the decision). */
oc_status oc_approval_decide(oc_agent *agent, const char *kind, const char *id, const char *decision, const char *by, oc_err *err);
/* "allowedDecisions" into a request. */
void oc_approval_add_decisions(cJSON *request);
/* What waits, oldest first: [{"id","request","createdAtMs","expiresAtMs"}]; the caller's. */
cJSON *oc_approval_list(oc_agent *agent, const char *kind);
/* The gateway stops: clients that wait are told that nobody decided. */
void oc_approvals_drain(oc_agent *agent);
void oc_approvals_free(oc_agent *agent);

/* ---- Commands ---- */

typedef enum oc_exec_answer { OC_EXEC_RUN = 1, OC_EXEC_REFUSE, OC_EXEC_ASK } oc_exec_answer;

typedef struct oc_exec_judgement {
	oc_exec_answer answer;
	char why[300];		  /* of a refusal, for the model */
	const char *security, *ask; /* what holds */
	char resolved[512];	  /* the file of the first program, "" unknown */
	bool listed;		  /* all of it is in the list */
	const char *fallback;	  /* when nobody answers: deny, allowlist, full */
} oc_exec_judgement;

/* What holds for a command of an agent's, in a session (its settings may be other than the configuration's; NULL: none). */
void oc_exec_judge(const oc_config *config, const char *agent_id, const cJSON *session, const char *command,
		   const char *folder, oc_exec_judgement *ret);
/* "allow-always": the programs of the command into the agent's list. What is a shell, or runs others, is not. */
void oc_exec_remember(const oc_config *config, const char *agent_id, const char *command, const char *folder);

#endif
