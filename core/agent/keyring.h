/*
 * Several keys of one provider: which there are, which one a session uses, and which ones rest after they were refused.
 *
 * Keys come from auth.profiles, from agents/<id>/agent/auth-profiles.json (the file that TypeScript releases keep), from
 * models.providers.<id>.apiKey, and from the provider's variables (KEY, KEYS with commas, KEY_1 to KEY_9).  A provider with
 * one key and no profile has no profiles as far as this file goes.
 */
#ifndef OC_AGENT_KEYRING_H
#define OC_AGENT_KEYRING_H

#include "core/agent/model.h"
#include "core/base/buf.h"

enum { OC_KEYRING_MAX = 64 }; /* of one provider */

/* Gives model the key that the session uses: in auth.order the first that does not rest, without an order always the same
 * one of a session, until it rests. chosen (may be NULL): that one and no other. false: all of them rest (the one that is
 * free soonest is taken). Nothing happens when the provider has no profiles. */
bool oc_keyring_choose(oc_agent *agent, oc_arena *arena, const char *agent_id, const char *session, const char *chosen,
		    oc_model *model);
/* Whether there is any profile with a key for the provider. */
bool oc_keyring_has(oc_agent *agent, const char *provider);
/* "openai/gpt-5@openai:work": where the profile's name begins (after the @), NULL when the end names no profile of it. */
const char *oc_keyring_named(oc_agent *agent, const char *agent_id, const char *ref);
/* How long until one of the provider's keys may be used for the model, 0: now, or there are no profiles. */
uint64_t oc_keyring_resting(oc_agent *agent, const char *agent_id, const char *ref);
/* The kind of failure that another key may not have. */
bool oc_keyring_blames_key(oc_status status);
/* The model's key was refused, or is used up: it rests. */
void oc_keyring_failed(oc_agent *agent, const oc_model *model, oc_status status, uint64_t retry_after_ms);
/* Calls refused when one of the keys was not accepted. */
void oc_keyring_watch(oc_agent *agent, void (*refused)(void *arg), void *arg);
/* The profile's key rests because it was not accepted; it was renewed, and rests no more. */
bool oc_keyring_refused(oc_agent *agent, const char *agent_id, const char *provider, const char *profile);
void oc_keyring_renewed(oc_agent *agent, const char *agent_id, const char *provider, const char *profile);
void oc_keyring_worked(oc_agent *agent, const oc_model *model);
/* A key by the name that modules ask for. OC_E_NOT_FOUND: no profile's. */
oc_status oc_keyring_secret(oc_agent *agent, oc_str name, oc_buf **ret);
/* The configuration changed: keys are looked up anew and none rests. */
void oc_keyring_reset(oc_agent *agent);
/* Mixes the key of that name, as it is now, into a sum by which a change of it is noticed. */
uint64_t oc_keyring_sum(oc_agent *agent, const char *provider, const char *secret, uint64_t sum);
void oc_keyring_free(oc_agent *agent);

#endif
