/* Models that failed: what is worth another try, and how long a model is left alone. */
#include <stdio.h>
#include <string.h>

#include "core/agent/model.h"
#include "core/base/clock.h"
#include "core/base/id.h"

#define BACKOFF_MS 500u
#define TRANSIENT_MS 15000u
#define REFUSED_MS 60000u
#define REFUSED_MAX_MS 3600000u
#define HOUR_MS 3600000.0

bool oc_model_worth_retrying(oc_status status)
{
	return status == OC_E_UNAVAILABLE || status == OC_E_TIMEOUT || status == OC_E_RATE_LIMIT || status == OC_E_IO ||
	       status == OC_E_PROTOCOL || status == OC_E_RETRY || status == OC_E_BUSY;
}

/* Between 0 and max. */
static uint64_t random_up_to(uint64_t max)
{
	uint64_t r = 0;
	oc_random(&r, sizeof r);
	return max > 0 ? r % (max + 1) : 0;
}

uint64_t oc_model_backoff_ms(unsigned attempt, uint64_t retry_after_ms)
{
	/* Turns that failed together must not come back together. What the provider asked for is never cut short. */
	if (retry_after_ms > 0)
		return retry_after_ms + random_up_to(retry_after_ms / 10 < 1000 ? retry_after_ms / 10 : 1000);
	uint64_t base = (uint64_t)BACKOFF_MS << (attempt < 6 ? attempt : 6);
	return base * 3 / 4 + random_up_to(base / 2);
}

/* ---- Resting ---- */

typedef struct cooldown {
	oc_map_node node;
	uint64_t until_ms, failed_ms;
	unsigned failures;
	oc_status status;
	char key[]; /* "provider/model" */
} cooldown;

static cooldown *find(const oc_agent *agent, const char *key)
{
	oc_map_node *node = oc_map_find(&agent->cooldowns, key);
	return node != NULL ? OC_MAP_OWNER(node, cooldown, node) : NULL;
}

static uint64_t billing_ms(const oc_agent *agent, const char *ref, unsigned failures)
{
	char provider[80];
	snprintf(provider, sizeof provider, "%.*s", (int)strcspn(ref, "/"), ref);
	double hours = oc_json_num(oc_config_get(agent->config, "auth.cooldowns.billingBackoffHoursByProvider"), provider,
				   oc_config_num(agent->config, "auth.cooldowns.billingBackoffHours", 5));
	double max = oc_config_num(agent->config, "auth.cooldowns.billingMaxHours", 24);
	for (unsigned i = 0; i < failures && hours < max; i++)
		hours *= 2;
	hours = hours > max ? max : hours;
	return hours > 0 && hours < 1e5 ? (uint64_t)(hours * HOUR_MS) : 0;
}

/* By the kind of failure, longer each time; 0: it is the request's fault, not the model's. */
static uint64_t rest_ms(const oc_agent *agent, const char *ref, oc_status status, unsigned failures)
{
	uint64_t ms;
	switch (status) {
	case OC_E_QUOTA:
		return billing_ms(agent, ref, failures);
	case OC_E_RATE_LIMIT:
	case OC_E_AUTH:
	case OC_E_NOT_FOUND:
		ms = REFUSED_MS;
		for (unsigned i = 0; i < failures && ms < REFUSED_MAX_MS; i++)
			ms *= 5;
		return ms < REFUSED_MAX_MS ? ms : REFUSED_MAX_MS;
	case OC_E_UNAVAILABLE:
	case OC_E_TIMEOUT:
	case OC_E_IO:
	case OC_E_PROTOCOL:
	case OC_E_RETRY:
		return (uint64_t)TRANSIENT_MS << (failures < 4 ? failures : 4);
	default:
		return 0;
	}
}

void oc_model_failed(oc_agent *agent, const char *ref, oc_status status, uint64_t retry_after_ms)
{
	uint64_t now = oc_now_ms();
	if (rest_ms(agent, ref, status, 0) == 0)
		return;
	cooldown *c = find(agent, ref);
	if (c == NULL) {
		size_t n = strlen(ref) + 1;
		c = oc_alloc(sizeof *c + n);
		if (c == NULL)
			return;
		memcpy(c->key, ref, n);
		oc_map_add(&agent->cooldowns, &c->node, c->key);
	}
	/* Turns that ran side by side fail side by side: that is one failure, not as many as there were turns. */
	if (c->until_ms > now) {
		c->until_ms = now + retry_after_ms > c->until_ms ? now + retry_after_ms : c->until_ms;
		return;
	}
	double window = oc_config_num(agent->config, "auth.cooldowns.failureWindowHours", 24) * HOUR_MS;
	if (c->failures > 0 && (double)(now - c->failed_ms) > window)
		c->failures = 0;
	uint64_t rest = retry_after_ms > 0 ? retry_after_ms : rest_ms(agent, ref, status, c->failures);
	c->failures++;
	c->failed_ms = now;
	c->status = status;
	c->until_ms = now + rest;
}

void oc_model_worked(oc_agent *agent, const char *ref)
{
	cooldown *c = find(agent, ref);
	if (c == NULL)
		return;
	oc_map_remove(&agent->cooldowns, &c->node);
	oc_free(c);
}

uint64_t oc_model_resting(oc_agent *agent, const char *ref, oc_status *ret_status)
{
	const cooldown *c = find(agent, ref);
	uint64_t now = oc_now_ms();
	if (c == NULL || c->until_ms <= now)
		return 0;
	if (ret_status != NULL)
		*ret_status = c->status;
	return c->until_ms - now;
}

typedef struct search {
	const char *prefix;
	size_t n;
	uint64_t until_ms;
	oc_status status;
} search;

static void look(void *arg, oc_map_node *node)
{
	search *s = arg;
	const cooldown *c = OC_MAP_OWNER(node, cooldown, node);
	if (strncmp(c->key, s->prefix, s->n) != 0 || (c->key[s->n] != 0 && c->key[s->n] != ' ') || c->until_ms <= s->until_ms)
		return;
	s->until_ms = c->until_ms;
	s->status = c->status;
}

uint64_t oc_model_key_rests(oc_agent *agent, const char *provider, const char *secret, oc_status *ret_status)
{
	char prefix[400];
	snprintf(prefix, sizeof prefix, "%s/%s", provider, secret);
	search s = {.prefix = prefix, .n = strlen(prefix), .until_ms = oc_now_ms()};
	uint64_t now = s.until_ms;
	oc_map_each(&agent->cooldowns, look, &s);
	*ret_status = s.status;
	return s.until_ms - now;
}

static void drop(void *arg, oc_map_node *node)
{
	(void)arg;
	oc_free(OC_MAP_OWNER(node, cooldown, node));
}

void oc_model_rests_free(oc_agent *agent)
{
	oc_map_each(&agent->cooldowns, drop, NULL);
	oc_map_free(&agent->cooldowns);
}
