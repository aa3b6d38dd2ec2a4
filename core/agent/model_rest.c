/* Models that failed: what is worth another try, and how long a model is left alone. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/agent/keyring.h"
#include "core/agent/model.h"
#include "core/base/clock.h"
#include "core/base/hash.h"
#include "core/base/id.h"

#define BACKOFF_MS 500u
#define TRANSIENT_MS 15000u
#define REFUSED_MS 60000u
#define REFUSED_MAX_MS 3600000u
#define HOUR_MS 3600000.0
#define REST_MAX_MS (7 * 24 * 3600000LL)
#define FACT "rests"

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
	bool looked_at; /* whether what it is about is still the same */
	uint64_t about; /* a sum of the provider's configuration and key */
	char key[]; /* "provider/model", or of a key: "provider/secret" and perhaps " provider/model" */
} cooldown;

/* ---- What it is about ---- */

/* Of the address and the key that refused. Not of what has nothing to do with it: a changed prompt is no reason to ask again. */
static uint64_t sum_of(oc_agent *agent, const char *key)
{
	char provider[80], secret[240];
	snprintf(provider, sizeof provider, "%.*s", (int)strcspn(key, "/"), key);
	const char *rest = key + strcspn(key, "/");
	rest += *rest == '/';
	snprintf(secret, sizeof secret, "%.*s", (int)strcspn(rest, " "), rest);
	const cJSON *p = oc_json_get(oc_model_catalog(agent, agent->config), provider), *env = oc_json_get(p, "env");
	const cJSON *first = cJSON_IsArray(env) ? cJSON_GetArrayItem(env, 0) : env;
	uint64_t sum = oc_hash_z(OC_HASH_START, oc_json_str(p, "baseUrl", ""));
	if (strncmp(secret, "models.providers.", 17) == 0 && strchr(secret, ':') != NULL)
		return oc_keyring_sum(agent, provider, secret, sum);
	char name[200];
	snprintf(name, sizeof name, "models.providers.%s.apiKey", provider);
	sum = oc_hash_z(sum, oc_config_str(agent->config, name, ""));
	return cJSON_IsString(first) ? oc_hash_z(sum, oc_config_env(agent->config, first->valuestring)) : sum;
}

/* Who was out of reach may be there again; who said no says it again. */
static bool is_refusal(oc_status status)
{
	return status == OC_E_QUOTA || status == OC_E_RATE_LIMIT || status == OC_E_AUTH || status == OC_E_NOT_FOUND;
}

static void forget(oc_agent *agent, cooldown *c)
{
	oc_map_remove(&agent->cooldowns, &c->node);
	oc_free(c);
}

/* ---- From one process to the next ---- */

typedef struct saving {
	cJSON *list;
	int64_t offset; /* wall clock minus monotonic */
} saving;

static void save_one(void *arg, oc_map_node *node)
{
	const saving *s = arg;
	const cooldown *c = OC_MAP_OWNER(node, cooldown, node);
	char about[24];
	cJSON *o = is_refusal(c->status) ? cJSON_CreateObject() : NULL;
	snprintf(about, sizeof about, "%llx", (unsigned long long)c->about);
	(void)oc_json_set_str(o, "key", c->key);
	(void)oc_json_set_str(o, "about", about);
	(void)oc_json_set_i64(o, "until", (int64_t)c->until_ms + s->offset);
	(void)oc_json_set_i64(o, "failed", (int64_t)c->failed_ms + s->offset);
	(void)oc_json_set_i64(o, "failures", c->failures);
	(void)oc_json_set_i64(o, "status", c->status);
	if (o == NULL || !cJSON_AddItemToArray(s->list, o))
		cJSON_Delete(o);
}

static void save(oc_agent *agent)
{
	if (agent->one_shot || !agent->started)
		return;
	saving s = {.list = cJSON_CreateArray(), .offset = oc_wall_ms() - (int64_t)oc_now_ms()};
	oc_map_each(&agent->cooldowns, save_one, &s);
	oc_auto_free char *text = oc_json_print(s.list);
	if (text != NULL)
		oc_store_fact_put(agent->store, FACT, text);
	cJSON_Delete(s.list);
}

static cooldown *new_cooldown(oc_agent *agent, const char *key)
{
	size_t n = strlen(key) + 1;
	cooldown *c = oc_calloc(1, sizeof *c + n);
	if (c == NULL)
		return NULL;
	memcpy(c->key, key, n);
	oc_map_add(&agent->cooldowns, &c->node, c->key);
	return c;
}

void oc_model_rests_load(oc_agent *agent)
{
	oc_auto_free char *text = oc_store_fact(agent->store, FACT);
	oc_auto_json cJSON *list = text != NULL ? cJSON_Parse(text) : NULL;
	int64_t now = (int64_t)oc_now_ms(), wall = oc_wall_ms();
	const cJSON *o;
	cJSON_ArrayForEach(o, list)
	{
		const char *key = oc_json_str(o, "key", "");
		int64_t left = oc_json_i64(o, "until", 0) - wall, ago = wall - oc_json_i64(o, "failed", 0);
		/* A clock that was wrong then or is now must not keep anybody out for ever. */
		if (key[0] == 0 || left <= 0 || left > REST_MAX_MS || ago < 0 || oc_map_find(&agent->cooldowns, key) != NULL)
			continue;
		cooldown *c = new_cooldown(agent, key);
		if (c == NULL)
			return;
		c->until_ms = (uint64_t)(now + left);
		c->failed_ms = now > ago ? (uint64_t)(now - ago) : 0;
		c->failures = (unsigned)oc_json_i64(o, "failures", 1);
		c->status = (oc_status)oc_json_i64(o, "status", OC_E_RATE_LIMIT);
		c->about = strtoull(oc_json_str(o, "about", "0"), NULL, 16);
	}
}

static void reload_one(void *arg, oc_map_node *node)
{
	oc_agent *agent = arg;
	cooldown *c = OC_MAP_OWNER(node, cooldown, node);
	if (is_refusal(c->status))
		c->looked_at = false;
	else
		forget(agent, c);
}

void oc_model_rests_reload(oc_agent *agent)
{
	oc_map_each(&agent->cooldowns, reload_one, agent);
}

static void end_one(void *arg, oc_map_node *node)
{
	forget(arg, OC_MAP_OWNER(node, cooldown, node));
}

size_t oc_agent_rests_end(oc_agent *agent)
{
	size_t n = agent->cooldowns.n;
	oc_map_each(&agent->cooldowns, end_one, agent);
	if (n > 0)
		save(agent);
	return n;
}

/* NULL: it is not about what is there now. */
static cooldown *still_true(oc_agent *agent, cooldown *c)
{
	if (!c->looked_at && sum_of(agent, c->key) != c->about) {
		forget(agent, c);
		return NULL;
	}
	c->looked_at = true;
	return c;
}

static cooldown *find(oc_agent *agent, const char *key)
{
	oc_map_node *node = oc_map_find(&agent->cooldowns, key);
	return node != NULL ? still_true(agent, OC_MAP_OWNER(node, cooldown, node)) : NULL;
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
		c = new_cooldown(agent, ref);
		if (c == NULL)
			return;
		c->about = sum_of(agent, ref);
		c->looked_at = true;
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
	if (is_refusal(status))
		save(agent);
}

void oc_model_worked(oc_agent *agent, const char *ref)
{
	cooldown *c = find(agent, ref);
	if (c == NULL)
		return;
	bool saved = is_refusal(c->status);
	forget(agent, c);
	if (saved)
		save(agent);
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
	oc_agent *agent;
	const char *prefix;
	size_t n;
	uint64_t until_ms;
	oc_status status;
} search;

static void look(void *arg, oc_map_node *node)
{
	search *s = arg;
	cooldown *c = OC_MAP_OWNER(node, cooldown, node);
	if (strncmp(c->key, s->prefix, s->n) != 0 || (c->key[s->n] != 0 && c->key[s->n] != ' ') || c->until_ms <= s->until_ms ||
	    still_true(s->agent, c) == NULL)
		return;
	s->until_ms = c->until_ms;
	s->status = c->status;
}

uint64_t oc_model_key_rests(oc_agent *agent, const char *provider, const char *secret, oc_status *ret_status)
{
	char prefix[400];
	snprintf(prefix, sizeof prefix, "%s/%s", provider, secret);
	search s = {.agent = agent, .prefix = prefix, .n = strlen(prefix), .until_ms = oc_now_ms()};
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
