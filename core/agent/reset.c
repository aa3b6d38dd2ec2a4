#include "core/agent/reset.h"

#include <string.h>
#include <time.h>

#include "core/data/json.h"

#define AT_HOUR_DEFAULT 4
#define IDLE_MINUTES_DEFAULT 60
#define MINUTE_MS 60000

typedef struct rules {
	bool daily;
	int at_hour;
	int64_t idle_minutes; /* 0: not by idleness */
} rules;

static const char *type_of(const oc_session_key *key)
{
	if (strcmp(key->kind, "thread") == 0)
		return "thread";
	return strcmp(key->kind, "group") == 0 || strcmp(key->kind, "channel") == 0 ? "group" : "dm";
}

static const cJSON *by_type(const cJSON *session, const char *type)
{
	const cJSON *types = oc_json_get(session, "resetByType"), *found = oc_json_get(types, type);
	return found == NULL && strcmp(type, "dm") == 0 ? oc_json_get(types, "direct") : found;
}

/* A channel's own rule stands alone; a type's stands over the general one. */
static rules rules_for(const cJSON *session, const char *type, const char *channel)
{
	const cJSON *own = oc_json_get(oc_json_get(session, "resetByChannel"), channel);
	const cJSON *general = own != NULL ? own : oc_json_get(session, "reset");
	const cJSON *typed = own != NULL ? NULL : by_type(session, type);
	int64_t legacy = own != NULL ? 0 : oc_json_i64(session, "idleMinutes", 0);
	bool written = general != NULL || oc_json_get(session, "resetByType") != NULL;
	const char *mode = oc_json_str(typed, "mode", oc_json_str(general, "mode", !written && legacy > 0 ? "idle" : "daily"));
	rules r = {
		.daily = strcmp(mode, "daily") == 0,
		.at_hour = (int)oc_json_i64(typed, "atHour", oc_json_i64(general, "atHour", AT_HOUR_DEFAULT)),
		.idle_minutes = oc_json_i64(typed, "idleMinutes", oc_json_i64(general, "idleMinutes", legacy)),
	};
	if (strcmp(mode, "idle") == 0 && r.idle_minutes <= 0)
		r.idle_minutes = IDLE_MINUTES_DEFAULT;
	if (strcmp(mode, "off") == 0)
		r.idle_minutes = 0;
	return r;
}

/* The last time the clock showed that hour, in ms. */
static int64_t last_hour(int hour, int64_t now_ms)
{
	time_t now = (time_t)(now_ms / 1000), at;
	struct tm tm;
	if (localtime_r(&now, &tm) == NULL)
		return 0;
	bool today = tm.tm_hour >= hour;
	tm.tm_hour = hour;
	tm.tm_min = tm.tm_sec = 0;
	if (!today)
		tm.tm_mday--;
	tm.tm_isdst = -1; /* by the date, not by now */
	at = mktime(&tm);
	return at == (time_t)-1 ? 0 : (int64_t)at * 1000;
}

const char *oc_reset_due(const oc_config *config, const oc_session_key *key, const char *channel, int64_t updated_ms,
			 int64_t now_ms)
{
	rules r = rules_for(oc_config_get(config, "session"), type_of(key), channel);
	if (updated_ms <= 0 || updated_ms > now_ms)
		return NULL; /* the clock was set back: no reason to forget anything */
	if (r.daily && updated_ms < last_hour(r.at_hour, now_ms))
		return "daily";
	if (r.idle_minutes > 0 && now_ms - updated_ms > r.idle_minutes * MINUTE_MS)
		return "idle";
	return NULL;
}
