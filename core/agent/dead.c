/* Dead letters: outbound messages that were given up, and what the operator decides on them. */
#include "core/agent/outbound.h"

typedef struct decision {
	oc_agent *agent;
	int index;
	bool drop;
	void (*done)(void *arg, int64_t count, const oc_err *err);
	void *arg;
} decision;

static void decided(void *arg, const oc_batch *b, oc_status status, const oc_err *err)
{
	decision *d = arg;
	int64_t count = status == OC_OK ? oc_batch_changed(b, d->index) : 0;
	if (count > 0 && !d->drop)
		oc_outbound_resume(d->agent);
	if (count > 0) {
		cJSON *data = cJSON_CreateObject();
		oc_json_opt(data, "change", d->drop ? "dropped" : "retried");
		(void)oc_json_set_i64(data, "count", count);
		oc_agent_emit_plain(d->agent, OC_AGENT_EV_DELIVERY, NULL, data);
	}
	d->done(d->arg, count, err);
	oc_free(d);
}

oc_status oc_agent_dead_change(oc_agent *agent, const char *key, bool drop,
			       void (*done)(void *arg, int64_t count, const oc_err *err), void *arg, oc_err *err)
{
	decision *d = oc_alloc(sizeof *d);
	oc_batch *b = oc_batch_new(agent->store);
	if (d == NULL || b == NULL) {
		oc_free(d);
		oc_batch_free(b);
		return oc_fail(err, OC_E_NOMEM, NULL, "cannot change the dead letters");
	}
	*d = (decision){.agent = agent, .drop = drop, .done = done, .arg = arg};
	d->index = drop ? oc_batch_dead_drop(b, key) : oc_batch_dead_retry(b, key);
	oc_status status = oc_batch_commit(b, decided, d, err);
	if (status != OC_OK)
		oc_free(d);
	return status;
}
