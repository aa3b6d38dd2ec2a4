/* One live check of each provider that agents use: its list of models, which costs nothing. */
#include <string.h>

#include "core/agent/turn.h"
#include "core/base/clock.h"

#define PROBE_MS 8000

typedef struct probe {
	oc_agent *agent;
	oc_ticket *ticket;
	oc_call *call;
	char provider[65];
	uint64_t began_ms;
	oc_agent_probe_done done;
	void *arg;
} probe;

static void gone(void *arg)
{
	probe *p = arg;
	oc_call_abandon(p->call);
	oc_free(p);
}

static void on_done(void *arg, oc_status status, oc_str result)
{
	probe *p = arg;
	oc_err err = {0};
	if (status != OC_OK)
		oc_call_error(status, result, &err, NULL);
	oc_owner_forget(p->ticket);
	/* A provider that has no list of models answered: it is there. */
	bool there = status == OC_OK || status == OC_E_NOT_FOUND || status == OC_E_UNSUPPORTED;
	p->done(p->arg, p->provider, there, status == OC_OK ? "answers" : err.text, oc_now_ms() - p->began_ms);
	oc_free(p);
}

static oc_status start(probe *p, const oc_model *m, oc_err *err)
{
	oc_guest *guest = oc_model_guest(p->agent, m);
	oc_sbuf request;
	oc_sbuf_init(&request, 1 << 16);
	oc_sbuf_char(&request, '{');
	oc_model_endpoint(m, &request);
	oc_sbuf_char(&request, '}');
	oc_call_options options = {.deadline_ms = PROBE_MS, .on_done = on_done, .arg = p};
	oc_status status = request.error != OC_OK ? request.error
						  : oc_provider_models(guest, oc_sbuf_view(&request), &options, &p->call);
	oc_sbuf_free(&request);
	return status == OC_OK || status == OC_E_UNSUPPORTED ? status
							     : oc_fail(err, status, NULL, "%s", oc_status_text(status));
}

static void probe_one(oc_agent *agent, const oc_model *m, oc_agent_probe_done done, void *arg)
{
	oc_err err = {0};
	probe *p = oc_alloc(sizeof *p);
	oc_status status = p != NULL ? oc_model_usable(agent, agent->config, m, &err) : OC_E_NOMEM;
	if (status == OC_OK) {
		*p = (probe){.agent = agent, .began_ms = oc_now_ms(), .done = done, .arg = arg};
		snprintf(p->provider, sizeof p->provider, "%s", m->provider);
		p->ticket = oc_owner_track(agent->owner, gone, p);
		status = p->ticket != NULL ? start(p, m, &err) : OC_E_NOMEM;
		if (status == OC_OK)
			return;
		oc_owner_forget(p->ticket);
	}
	oc_free(p);
	done(arg, m->provider, status == OC_E_UNSUPPORTED, status == OC_E_UNSUPPORTED ? "it cannot be asked without a message"
								: err.text[0] != 0    ? err.text
										      : oc_status_text(status), 0);
}

int oc_agent_probe_providers(oc_agent *agent, oc_agent_probe_done done, void *arg)
{
	char id[65], seen[8][65];
	const char **refs = NULL;
	size_t n = 0, n_seen = 0;
	oc_arena *arena = oc_arena_new(1 << 20);
	if (arena == NULL ||
	    oc_model_candidates(agent, agent->config, arena, oc_agent_default_id(agent->config, id), "", false, &refs, &n,
				NULL) != OC_OK)
		n = 0;
	for (size_t i = 0; i < n && n_seen < 8; i++) {
		oc_model m;
		bool again = false;
		if (oc_model_find(agent, agent->config, arena, refs[i], &m, NULL) != OC_OK)
			continue;
		for (size_t k = 0; k < n_seen; k++)
			again = again || strcmp(seen[k], m.provider) == 0;
		if (again)
			continue;
		snprintf(seen[n_seen++], sizeof seen[0], "%s", m.provider);
		probe_one(agent, &m, done, arg);
	}
	oc_arena_free(arena);
	return (int)n_seen;
}
