/* Models: what "provider/model" means, which one an agent uses, and which ones rest after failures. */
#ifndef OC_AGENT_MODEL_H
#define OC_AGENT_MODEL_H

#include "core/agent/internal.h"
#include "core/base/mem.h"

typedef struct oc_model {
	const char *ref;      /* "provider/id" */
	const char *provider, *id, *name;
	const char *api;      /* the protocol: names the guest */
	const char *base_url;
	const char *headers_json; /* an object */
	bool tell_trace;	  /* diagnostics.traceProviders: requests carry the trace */
	uint64_t idle_ms;	  /* models.providers.<id>.timeoutSeconds: silence that ends a call; 0: as its module has it */
	const char *secret;   /* the name of its key for the module, "" when it needs none */
	const char *profile;  /* the name of its key for people, NULL when there is only one (keyring.h) */
	int64_t context_window, max_tokens; /* max_tokens 0: not known */
	double cost_input, cost_output, cost_cache_read, cost_cache_write; /* USD per million tokens */
	bool images, reasoning;
	const char *params_json; /* agents.defaults.models.<ref>.params, or "" */
} oc_model;

/* Fills ret with strings of the arena. OC_E_NOT_FOUND: no such provider. */
oc_status oc_model_find(oc_agent *agent, const oc_config *config, oc_arena *arena, const char *ref, oc_model *ret,
			oc_err *err);
/* "provider/model" for what people write (an alias, a bare model name); NULL when nothing fits. In the arena. */
const char *oc_model_ref(oc_agent *agent, const oc_config *config, oc_arena *arena, const char *text);
/* What an agent would use, best first: override (may be ""), the agent's or default primary, the fallbacks; without any
 * configuration the first provider that can be used. strict: a person chose override, so nothing else is tried, unless the
 * choice is the configured primary itself. */
oc_status oc_model_candidates(oc_agent *agent, const oc_config *config, oc_arena *arena, const char *agent_id,
			      const char *override, bool strict, const char ***ret, size_t *ret_n, oc_err *err);
/* Whether a call can work: its module runs and its key is there. err says what is missing. */
oc_status oc_model_usable(oc_agent *agent, const oc_config *config, const oc_model *model, oc_err *err);
/* Of an entry of the catalog: whether there is a key besides profiles. */
bool oc_model_has_key(const oc_config *config, const cJSON *provider);
oc_guest *oc_model_guest(oc_agent *agent, const oc_model *model);

/* What is known of providers: an object by id, each with "models" and "embeddings" lists. Valid until the next call of any
 * function here. */
const cJSON *oc_model_catalog(oc_agent *agent, const oc_config *config);
/* Appends "endpoint":{…} as the ABI's requests of providers have it. */
void oc_model_endpoint(const oc_model *model, oc_sbuf *out);

/* ---- model_rest.c: failures ---- */

enum { OC_MODEL_WAIT_MAX_MS = 30000 }; /* a turn waits no longer for a model that asks for it */

/* Whether the same call may work a little later. */
bool oc_model_worth_retrying(oc_status status);
/* How long to wait before try `attempt` (from 0) is repeated; what the provider asked for counts. Never the same for two. */
uint64_t oc_model_backoff_ms(unsigned attempt, uint64_t retry_after_ms);
/* A turn gave it up: the model rests, longer each time.
 * retry_after_ms 0: by the kind of error and auth.cooldowns. */
void oc_model_failed(oc_agent *agent, const char *ref, oc_status status, uint64_t retry_after_ms);
void oc_model_worked(oc_agent *agent, const char *ref);
/* Milliseconds it still rests, 0 when it does not. ret_status (may be NULL): why. */
uint64_t oc_model_resting(oc_agent *agent, const char *ref, oc_status *ret_status);
/* Milliseconds until a key of a provider rests for none of its models any more. */
uint64_t oc_model_key_rests(oc_agent *agent, const char *provider, const char *secret, oc_status *ret_status);
/* The configuration changed: what it changes gets another chance, and so does who was only out of reach. */
void oc_model_rests_reload(oc_agent *agent);
/* At the start: those of the last process. */
void oc_model_rests_load(oc_agent *agent);
void oc_model_rests_free(oc_agent *agent);
void oc_models_free(oc_agent *agent);

/* usage.c */
cJSON *oc_usage_json(const oc_usage *u);
/* What an OC_EV_USAGE says, over what u has. */
void oc_usage_read(oc_str payload, oc_usage *u);
/* {"stopReason","usage":{…}} of the model call that just ended, for its message in the history; oc_free it. */
char *oc_usage_meta(const oc_turn *turn);
/* Counts the tokens of a model call that ended: event, figures, and turn->owed, which goes into the store with the turn's next
 * commit (put), or by itself when there is none soon (settle). */
void oc_usage_add(oc_turn *turn, const oc_usage *u);
void oc_usage_put(const oc_turn *turn, oc_batch *batch);
void oc_usage_settle(oc_turn *turn);

#endif
