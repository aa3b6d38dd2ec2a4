/* See approval.h: the questions, and who waits for their answers. */
#include "core/agent/approval.h"

#include <string.h>

#include "core/agent/internal.h"
#include "core/base/id.h"
#include "core/base/log.h"
#include "core/base/mem.h"

#define WAITING_MAX 200
#define KEPT_MS 15000 /* an answer, for those who ask for it a moment late */

typedef struct waiter {
	struct waiter *next;
	oc_approval_done done;
	void *arg;
	bool own; /* it is whoever asked, and ends with the owner */
} waiter;

typedef struct question {
	oc_approval a; /* first */
	struct question *next;
	oc_agent *agent;
	cJSON *request;
	oc_watch *timer;
	oc_ticket *ticket; /* at the owner's */
	waiter *waiters;
	bool over;
	char decision[16], by[100];
} question;

struct oc_approvals {
	question *first; /* oldest first; those that are over, too */
	size_t n;
};

static const char *const decisions[] = {"allow-once", "allow-always", "deny"};

void oc_approval_add_decisions(cJSON *request)
{
	(void)oc_json_set(request, "allowedDecisions", cJSON_CreateStringArray(decisions, sizeof decisions / sizeof *decisions));
}

static struct oc_approvals *all_of(oc_agent *agent)
{
	if (agent->approvals == NULL)
		agent->approvals = oc_alloc(sizeof *agent->approvals);
	return agent->approvals;
}

static void free_question(question *q)
{
	oc_watch_end(q->timer);
	oc_owner_forget(q->ticket);
	for (waiter *next, *w = q->waiters; w != NULL; w = next) {
		next = w->next;
		oc_free(w);
	}
	cJSON_Delete(q->request);
	oc_free(q);
}

void oc_approvals_free(oc_agent *agent)
{
	struct oc_approvals *all = agent->approvals;
	for (question *next, *q = all != NULL ? all->first : NULL; q != NULL; q = next) {
		next = q->next;
		free_question(q);
	}
	oc_free(all);
	agent->approvals = NULL;
}

static void forget(void *arg)
{
	question *q = arg;
	struct oc_approvals *all = q->agent->approvals;
	for (question **at = &all->first; *at != NULL; at = &(*at)->next) {
		if (*at == q) {
			*at = q->next;
			all->n--;
			break;
		}
	}
	free_question(q);
}

/* ---- Telling ---- */

static void tell(const question *q, const char *what)
{
	cJSON *data = cJSON_CreateObject(), *payload = cJSON_CreateObject();
	(void)oc_json_set_str(payload, "id", q->a.id);
	if (q->over) {
		(void)oc_json_set_str(payload, "decision", q->a.decision != NULL ? q->a.decision : "deny");
		(void)oc_json_set_str(payload, "resolvedBy", q->by);
		(void)oc_json_set_i64(payload, "ts", oc_wall_ms());
	}
	(void)oc_json_set(payload, "request", cJSON_Duplicate(q->request, true));
	if (!q->over) {
		(void)oc_json_set_i64(payload, "createdAtMs", q->a.created_ms);
		(void)oc_json_set_i64(payload, "expiresAtMs", q->a.expires_ms);
	}
	oc_auto_free char *name = oc_asprintf("%s.approval.%s", q->a.kind, what);
	oc_json_opt(data, "event", name);
	(void)oc_json_set(data, "payload", payload);
	oc_agent_emit_plain(q->agent, OC_AGENT_EV_APPROVAL, oc_json_str(q->request, "sessionKey", ""), data);
}

static void answer(question *q, bool but_own)
{
	waiter *own = NULL;
	while (q->waiters != NULL) {
		waiter *w = q->waiters;
		q->waiters = w->next;
		if (but_own && w->own) {
			own = w;
			continue;
		}
		w->done(w->arg, &q->a);
		oc_free(w);
	}
	if (own != NULL) {
		own->next = NULL;
		q->waiters = own;
	}
}

/* It is decided, or nobody did. The question goes away a little later. */
static void settle(question *q)
{
	q->over = true;
	q->a.by = q->by;
	oc_owner_forget(q->ticket);
	q->ticket = NULL;
	oc_info("approval", "%s: %s%s%s", q->a.id, q->a.decision != NULL ? q->a.decision : "nobody answered", q->by[0] != 0 ? " by " : "", q->by);
	answer(q, false);
	oc_watch_end(q->timer);
	q->timer = oc_timer_start(q->agent->owner, KEPT_MS, 0, forget, q);
	if (q->timer == NULL)
		forget(q);
}

static void on_late(void *arg)
{
	settle(arg);
}

/* Whoever asked is gone: nobody is to be asked any more. */
static void withdraw(void *arg)
{
	question *q = arg;
	q->ticket = NULL; /* the sweep's own */
	q->over = true;
	answer(q, true);
	(void)snprintf(q->by, sizeof q->by, "%s", "run ended");
	tell(q, "resolved");
	forget(q);
}

/* ---- Asking ---- */

static question *find(oc_agent *agent, const char *kind, const char *id, bool whole)
{
	question *found = NULL;
	size_t n = strlen(id);
	for (question *q = agent->approvals != NULL ? agent->approvals->first : NULL; q != NULL; q = q->next) {
		if (kind != NULL && strcmp(q->a.kind, kind) != 0)
			continue;
		if (strcmp(q->a.id, id) == 0)
			return q;
		if (whole || q->over || n < 4 || strncmp(q->a.id, id, n) != 0)
			continue;
		if (found != NULL)
			return NULL; /* of several */
		found = q;
	}
	return found;
}

static bool add_waiter(question *q, oc_approval_done done, void *arg, bool own)
{
	waiter *w = oc_alloc(sizeof *w);
	if (w == NULL)
		return false;
	*w = (waiter){q->waiters, done, arg, own};
	q->waiters = w;
	return true;
}

oc_status oc_approval_ask(oc_agent *agent, const char *kind, const char *id, cJSON *request, uint64_t timeout_ms, oc_owner *owner,
			  oc_approval_done done, void *arg, const oc_approval **ret, oc_err *err)
{
	struct oc_approvals *all = all_of(agent);
	question *q = NULL, *same = id != NULL ? find(agent, kind, id, true) : NULL;
	oc_status status = OC_OK;
	if (same != NULL && !same->over)
		status = oc_fail(err, OC_E_EXISTS, "", "approval id already pending");
	else if (all != NULL && all->n >= WAITING_MAX)
		status = oc_fail(err, OC_E_BUSY, "decide some of them", "too many approvals are waiting");
	else if (all == NULL || (q = oc_alloc(sizeof *q)) == NULL)
		status = oc_fail(err, OC_E_NOMEM, NULL, "approvals: out of memory");
	if (status != OC_OK) {
		cJSON_Delete(request);
		return status;
	}
	if (same != NULL)
		forget(same);
	timeout_ms = timeout_ms == 0 ? OC_APPROVAL_MS : timeout_ms > OC_APPROVAL_MS_MAX ? OC_APPROVAL_MS_MAX : timeout_ms;
	q->agent = agent;
	q->request = request;
	q->a = (oc_approval){.kind = kind, .request = request, .created_ms = oc_wall_ms(), .by = ""};
	q->a.expires_ms = q->a.created_ms + (int64_t)timeout_ms;
	if (id != NULL && id[0] != 0)
		(void)snprintf(q->a.id, sizeof q->a.id, "%s", id);
	else
		(void)oc_id_uuid(q->a.id);
	q->timer = oc_timer_start(agent->owner, timeout_ms, 0, on_late, q);
	q->ticket = owner != NULL ? oc_owner_track(owner, withdraw, q) : NULL;
	if (q->timer == NULL || (owner != NULL && q->ticket == NULL) || (done != NULL && !add_waiter(q, done, arg, owner != NULL))) {
		free_question(q);
		return oc_fail(err, OC_E_NOMEM, NULL, "approvals: out of memory");
	}
	question **at = &all->first;
	while (*at != NULL)
		at = &(*at)->next;
	*at = q;
	all->n++;
	*ret = &q->a;
	tell(q, "requested");
	return OC_OK;
}

oc_status oc_approval_wait(oc_agent *agent, const char *kind, const char *id, oc_approval_done done, void *arg, oc_err *err)
{
	question *q = find(agent, kind, id, true);
	if (q == NULL)
		return oc_fail(err, OC_E_NOT_FOUND, "", "approval expired or not found");
	if (q->over)
		done(arg, &q->a);
	else if (!add_waiter(q, done, arg, false))
		return oc_fail(err, OC_E_NOMEM, NULL, "approvals: out of memory");
	return OC_OK;
}

oc_status oc_approval_decide(oc_agent *agent, const char *kind, const char *id, const char *decision, const char *by, oc_err *err)
{
	bool known = false;
	for (size_t i = 0; i < sizeof decisions / sizeof *decisions; i++)
		known |= strcmp(decision, decisions[i]) == 0;
	if (!known)
		return oc_fail(err, OC_E_INVALID, "", "invalid decision");
	question *q = find(agent, kind, id, false);
	if (q == NULL || q->over)
		return oc_fail(err, OC_E_NOT_FOUND, "", "unknown or expired approval id");
	(void)snprintf(q->decision, sizeof q->decision, "%s", decision);
	(void)snprintf(q->by, sizeof q->by, "%s", by);
	q->a.decision = q->decision;
	q->over = true;
	tell(q, "resolved");
	settle(q);
	return OC_OK;
}

void oc_approvals_drain(oc_agent *agent)
{
	for (question *q = agent->approvals != NULL ? agent->approvals->first : NULL; q != NULL; q = q->next)
		answer(q, true);
}

cJSON *oc_approval_list(oc_agent *agent, const char *kind)
{
	cJSON *list = cJSON_CreateArray();
	for (const question *q = agent->approvals != NULL ? agent->approvals->first : NULL; q != NULL; q = q->next) {
		if (q->over || strcmp(q->a.kind, kind) != 0)
			continue;
		cJSON *one = cJSON_CreateObject();
		(void)oc_json_set_str(one, "id", q->a.id);
		(void)oc_json_set(one, "request", cJSON_Duplicate(q->request, true));
		(void)oc_json_set_i64(one, "createdAtMs", q->a.created_ms);
		(void)oc_json_set_i64(one, "expiresAtMs", q->a.expires_ms);
		(void)cJSON_AddItemToArray(list, one);
	}
	return list;
}
