#include "core/agent/heartbeat.h"

#include <string.h>

#include "core/agent/budget.h"
#include "core/agent/internal.h"
#include "core/agent/shown.h"
#include "core/agent/tell.h"
#include "core/base/buf.h"
#include "core/base/log.h"
#include "core/base/mem.h"
#include "core/base/path.h"
#include "core/data/utf8.h"
#include "core/data/zone.h"

#define TOKEN "HEARTBEAT_OK"
#define EVERY_MS (30 * 60000)
#define SOON_MS 250
#define AGAIN_MS 1000 /* after a busy session */
#define SAME_MS (24 * 3600000)
#define WAIT_MS ((uint64_t)86400000)
#define PREVIEW_MAX 200
#define FILE_MAX (1 << 20)
#define KV "core.heartbeat"

/* One agent that has heartbeats, or was woken. */
typedef struct beat {
	struct beat *next;
	oc_agent *agent;
	char agent_id[65];
	uint64_t every_ms, due_ms; /* monotonic; 0: none */
	bool wanted;
	char reason[100];
} beat;

/* One that is under way. */
typedef struct beating {
	struct beating *next;
	oc_agent *agent;
	char agent_id[65], session[OC_SESSION_KEY_MAX], reason[100], run[37];
	uint64_t began_ms;
	oc_heartbeat_done done;
	void *arg;
	const char *early, *why; /* it was decided before anything was asked */
} beating;

struct oc_heartbeat {
	bool off;
	beat *beats;
	beating *under_way;
	oc_watch *interval, *soon;
	cJSON *last;
};

static struct oc_heartbeat *heart_of(oc_agent *agent)
{
	if (agent->heartbeat == NULL)
		agent->heartbeat = oc_alloc(sizeof *agent->heartbeat);
	return agent->heartbeat;
}

static const char *setting(const oc_config *config, const char *agent_id, const char *name, const char *fallback)
{
	char path[80];
	(void)snprintf(path, sizeof path, "heartbeat.%s", name);
	const cJSON *v = oc_agent_setting(config, agent_id, path);
	return cJSON_IsString(v) ? v->valuestring : fallback;
}

/* Those that have a section of their own; when none has, the default agent. */
static bool has_heartbeat(const oc_config *config, const char *agent_id)
{
	const cJSON *entry;
	bool any = false;
	char id[65];
	cJSON_ArrayForEach(entry, oc_config_get(config, "agents.list"))
	{
		any = any || oc_json_get(entry, "heartbeat") != NULL;
	}
	return any ? oc_json_get(oc_agent_entry(config, agent_id), "heartbeat") != NULL
		   : strcmp(agent_id, oc_agent_default_id(config, id)) == 0;
}

int64_t oc_heartbeat_every_ms(const oc_config *config, const char *agent_id)
{
	return has_heartbeat(config, agent_id) ? oc_duration_ms(setting(config, agent_id, "every", "30m"), 60000, EVERY_MS) : 0;
}

static int64_t ack_chars(const oc_config *config, const char *agent_id)
{
	const cJSON *most = oc_agent_setting(config, agent_id, "heartbeat.ackMaxChars");
	return cJSON_IsNumber(most) && most->valuedouble >= 0 ? (int64_t)most->valuedouble : OC_HEARTBEAT_ACK_CHARS;
}

cJSON *oc_heartbeat_describe(const oc_config *config, const char *agent_id)
{
	int64_t every = oc_heartbeat_every_ms(config, agent_id);
	cJSON *o = cJSON_CreateObject();
	(void)oc_json_set_bool(o, "enabled", every > 0);
	(void)oc_json_set_str(o, "every", every > 0 ? setting(config, agent_id, "every", "30m") : "disabled");
	(void)oc_json_set(o, "everyMs", every > 0 ? cJSON_CreateNumber((double)every) : cJSON_CreateNull());
	(void)oc_json_set_str(o, "prompt", setting(config, agent_id, "prompt", OC_HEARTBEAT_PROMPT));
	(void)oc_json_set_str(o, "target", setting(config, agent_id, "target", "none"));
	(void)oc_json_set_i64(o, "ackMaxChars", ack_chars(config, agent_id));
	return o;
}

/* ---- Texts ---- */

/* Around the token models put signs of emphasis, and a full stop behind it. */
static oc_str bare(oc_str s)
{
	static const char signs[] = " \t\r\n*_`~.!";
	while (s.n > 0 && strchr(signs, s.p[0]) != NULL && s.p[0] != 0)
		s = (oc_str){s.p + 1, s.n - 1};
	while (s.n > 0 && strchr(signs, s.p[s.n - 1]) != NULL && s.p[s.n - 1] != 0)
		s.n--;
	return s;
}

bool oc_heartbeat_strip(oc_str text, int64_t most, char **ret)
{
	oc_str s = oc_str_trim(text), inner = bare(s);
	const size_t n = sizeof TOKEN - 1;
	bool found = false;
	while (inner.n >= n && (oc_str_starts(inner, TOKEN) || oc_str_ends(inner, TOKEN))) {
		found = true;
		inner = oc_str_starts(inner, TOKEN) ? (oc_str){inner.p + n, inner.n - n} : (oc_str){inner.p, inner.n - n};
		s = oc_str_trim(inner);
		inner = bare(inner);
		if (inner.n == 0)
			s = inner;
	}
	*ret = oc_memdup(s.p, s.n);
	return s.n == 0 || (found && (int64_t)oc_utf8_count(s) <= most);
}

/* Titles, empty list items and comments ask for nothing. */
static bool says_nothing(oc_str text)
{
	while (text.p != NULL) {
		oc_str line = oc_str_trim(oc_str_cut(&text, '\n'));
		if (line.n == 0 || line.p[0] == '#' || (oc_str_starts(line, "<!--") && oc_str_ends(line, "-->")))
			continue;
		if (strchr("-*+", line.p[0]) == NULL)
			return false;
		line = oc_str_trim((oc_str){line.p + 1, line.n - 1});
		if (line.n > 0 && !oc_str_eqz(line, "[ ]") && !oc_str_eqz(line, "[]") && !oc_str_eqz(line, "[x]") && !oc_str_eqz(line, "[X]"))
			return false;
	}
	return true;
}

/* Nobody pays for a model that has nothing to look at. */
static const char *nothing_to_look_at(oc_agent *agent, const char *agent_id)
{
	oc_auto_free char *workspace = oc_agent_workspace(agent, agent->config, agent_id);
	oc_auto_free char *path = workspace != NULL ? oc_path_join(workspace, "HEARTBEAT.md") : NULL;
	oc_auto_free char *text = NULL;
	size_t n = 0;
	if (path == NULL || oc_path_read(path, FILE_MAX, &text, &n, NULL) != OC_OK) {
		bool asked = setting(agent->config, agent_id, "every", NULL) != NULL || setting(agent->config, agent_id, "prompt", NULL) != NULL;
		return asked ? NULL : "no-heartbeat-file";
	}
	return says_nothing((oc_str){text, n}) ? "empty-heartbeat-file" : NULL;
}

/* ---- When ---- */

/* "08:30", "24:00": minutes of the day; -1: it is none. */
static int minutes_of(const char *text)
{
	int64_t h, m;
	const char *colon = strchr(text, ':');
	if (colon == NULL || oc_str_i64((oc_str){text, (size_t)(colon - text)}, 0, 24, &h) != OC_OK ||
	    oc_str_i64(oc_str_of(colon + 1), 0, 59, &m) != OC_OK || (h == 24 && m > 0))
		return -1;
	return (int)(h * 60 + m);
}

static bool is_quiet(const oc_config *config, const char *agent_id)
{
	const cJSON *hours = oc_agent_setting(config, agent_id, "heartbeat.activeHours");
	int from = minutes_of(oc_json_str(hours, "start", "")), to = minutes_of(oc_json_str(hours, "end", ""));
	const char *tz = oc_json_str(hours, "timezone", "user");
	oc_zone *zone = NULL;
	if (!cJSON_IsObject(hours) || from < 0 || to < 0)
		return false;
	if (from == to)
		return true;
	if (strcmp(tz, "user") == 0)
		tz = oc_config_str(config, "agents.defaults.userTimezone", "");
	if (strcmp(tz, "local") == 0)
		tz = "";
	if (oc_zone_load(tz, &zone, NULL) != OC_OK && oc_zone_load("", &zone, NULL) != OC_OK)
		return false;
	int64_t now = oc_wall_ms() / 1000;
	oc_date d;
	oc_date_of(now + oc_zone_offset(zone, now), &d);
	oc_zone_free(zone);
	int at = d.hour * 60 + d.minute;
	return from < to ? at < from || at >= to : at < from && at >= to;
}

/* ---- Telling ---- */

static void note(beating *b, const char *status, const char *reason, const char *text, const cJSON *where)
{
	struct oc_heartbeat *heart = b->agent->heartbeat;
	cJSON *o = cJSON_CreateObject();
	size_t n = text != NULL ? oc_utf8_cut(oc_str_of(text), PREVIEW_MAX) : 0;
	oc_auto_free char *preview = n > 0 ? oc_memdup(text, n) : NULL;
	(void)oc_json_set_i64(o, "ts", oc_wall_ms());
	(void)oc_json_set_str(o, "status", status);
	oc_json_opt(o, "to", oc_json_str(where, "to", NULL));
	oc_json_opt(o, "reason", reason);
	oc_json_opt(o, "preview", preview);
	(void)oc_json_set_i64(o, "durationMs", (int64_t)(oc_now_ms() - b->began_ms));
	(void)oc_json_set_bool(o, "hasMedia", false);
	oc_json_opt(o, "channel", oc_json_str(where, "channel", NULL));
	oc_json_opt(o, "accountId", oc_json_str(where, "account", NULL));
	cJSON_Delete(heart->last);
	heart->last = cJSON_Duplicate(o, true);
	oc_agent_emit_plain(b->agent, OC_AGENT_EV_HEARTBEAT, b->session, o);
}

static void over(beating *b, const char *status, const char *reason)
{
	struct oc_heartbeat *heart = b->agent->heartbeat;
	for (beating **at = &heart->under_way; *at != NULL; at = &(*at)->next)
		if (*at == b) {
			*at = b->next;
			break;
		}
	if (b->done != NULL)
		b->done(b->arg, status, reason);
	oc_free(b);
}

/* ---- Where to ---- */

oc_status oc_route_find(oc_agent *agent, const char *session, const char *channel, const char *to, const char *account, cJSON **ret,
			oc_err *err)
{
	oc_auto_json cJSON *row = NULL;
	if (strcmp(channel, "last") == 0)
		channel = "";
	(void)oc_store_session(agent->store, session, &row, NULL);
	const cJSON *last = oc_json_get(row, "delivery");
	const char *last_channel = oc_json_str(last, "channel", "");
	if (channel[0] == 0)
		channel = last_channel;
	bool same = strcmp(channel, last_channel) == 0;
	if (channel[0] == 0)
		return oc_fail(err, OC_E_NOT_FOUND, "name a channel and whom to write to", "nobody has written to %s over a channel yet", session);
	if (oc_modules_channel(agent->modules, oc_str_of(channel)) == NULL)
		return oc_fail(err, OC_E_NOT_FOUND, "see `openclaw module list`", "there is no channel %.64s", channel);
	cJSON *o = cJSON_CreateObject();
	oc_json_opt(o, "channel", channel);
	oc_json_opt(o, "account", account[0] != 0 ? account : same ? oc_json_str(last, "account", "default") : "default");
	oc_json_opt(o, "to", to[0] != 0 ? to : same ? oc_json_str(last, "to", NULL) : NULL);
	if (to[0] == 0 && same)
		oc_json_opt(o, "thread", oc_json_str(last, "thread", NULL));
	oc_json_opt(o, "session", session);
	if (oc_json_str(o, "to", "")[0] == 0) {
		cJSON_Delete(o);
		return oc_fail(err, OC_E_NOT_FOUND, "give `to`", "nobody is named to write to on %.64s", channel);
	}
	*ret = o;
	return OC_OK;
}

/* Whether the same was said within a day; what is said now is kept. */
static bool said_before(oc_agent *agent, const char *session, const char *text)
{
	oc_buf *buf = NULL;
	oc_auto_json cJSON *old = NULL, *new = cJSON_CreateObject();
	int64_t now = oc_wall_ms();
	if (oc_store_kv_get(agent->store, KV, oc_str_of(session), &buf, NULL) == OC_OK) {
		(void)oc_json_parse(oc_buf_str(buf), NULL, &old, NULL);
		oc_buf_unref(buf);
	}
	int64_t ts = oc_json_i64(old, "ts", 0);
	if (strcmp(oc_json_str(old, "text", ""), text) == 0 && ts <= now && now - ts < SAME_MS)
		return true;
	(void)oc_json_set_str(new, "text", text);
	(void)oc_json_set_i64(new, "ts", now);
	oc_auto_free char *json = oc_json_print(new);
	oc_batch *b = json != NULL ? oc_batch_new(agent->store) : NULL;
	if (b == NULL)
		return false;
	oc_batch_kv(b, KV, oc_str_of(session), oc_str_of(json));
	oc_batch_lazy(b);
	(void)oc_batch_commit(b, NULL, NULL, NULL);
	return false;
}

/* Through the outbox, to where. */
static oc_status send_text(const beating *b, cJSON *where, const char *text, const char *what, oc_err *err)
{
	char key[80], unique[60];
	(void)snprintf(unique, sizeof unique, "heartbeat:%s%s", b->run, what);
	return oc_json_set_str(where, "text", text) ? oc_agent_send(b->agent, where, oc_str_of(unique), key, NULL, NULL, err) : OC_E_NOMEM;
}

/* thoughts (heartbeat.includeReasoning) go before the text; either may be "". */
static void say(beating *b, const char *text, const char *thoughts)
{
	oc_agent *agent = b->agent;
	oc_err err = {0};
	oc_auto_json cJSON *where = NULL;
	/* What was scheduled is to be heard, wherever that was asked for last. */
	bool due = strncmp(b->reason, "cron", 4) == 0;
	const char *target = setting(agent->config, b->agent_id, "target", due ? "last" : "none");
	if (strcmp(target, "none") == 0 && !due) {
		note(b, "skipped", "target-none", text, NULL);
		return;
	}
	oc_status status = oc_route_find(agent, b->session, strcmp(target, "none") == 0 ? "last" : target,
					 setting(agent->config, b->agent_id, "to", ""), setting(agent->config, b->agent_id, "accountId", ""),
					 &where, &err);
	if (status != OC_OK) {
		note(b, "skipped", strcmp(target, "last") == 0 || due ? "no-target" : "unknown-channel", text, NULL);
		return;
	}
	if (!due && text[0] != 0 && said_before(agent, b->session, text)) {
		note(b, "skipped", "duplicate", text, where);
		return;
	}
	oc_auto_free char *first = thoughts[0] != 0 ? oc_asprintf(OC_SHOWN_THOUGHTS "%s", thoughts) : NULL;
	if (first != NULL)
		status = send_text(b, where, first, ":thoughts", &err);
	if (status == OC_OK && text[0] != 0)
		status = send_text(b, where, text, "", &err);
	if (status != OC_OK)
		oc_log_err(OC_LOG_WARN, "heartbeat", "it could not be sent", &err);
	note(b, status == OC_OK ? "sent" : "failed", status == OC_OK ? NULL : err.text, text[0] != 0 ? text : thoughts, where);
}

/* ---- Asking ---- */

static void answered(void *arg, oc_status status, const cJSON *result)
{
	beating *b = arg;
	const char *text = oc_json_str(result, "text", "");
	char *said = NULL;
	if (status != OC_OK || strcmp(oc_json_str(result, "status", ""), "ok") != 0) {
		const char *why = oc_json_str(oc_json_get(result, "error"), "message", oc_status_text(status));
		note(b, "failed", why, NULL, NULL);
		over(b, "failed", why);
		return;
	}
	const char *thoughts = oc_json_str(result, "thoughts", "");
	bool nothing = oc_heartbeat_strip(oc_str_of(text), ack_chars(b->agent->config, b->agent_id), &said);
	if (nothing && thoughts[0] == 0)
		note(b, text[0] == 0 ? "ok-empty" : "ok-token", NULL, said, NULL);
	else if (said != NULL)
		say(b, nothing ? "" : said, thoughts);
	oc_free(said);
	over(b, "ran", "");
}

static char *prompt_of(const beating *b)
{
	char now[32];
	const char *prompt = setting(b->agent->config, b->agent_id, "prompt", OC_HEARTBEAT_PROMPT);
	if (strncmp(b->reason, "cron", 4) == 0)
		prompt = "What the system says above is due now. Tell the user of it in your own words, or do what it asks for. If there "
			 "is nothing to tell, reply HEARTBEAT_OK.";
	return oc_asprintf("%s\nCurrent time: %s", prompt, oc_wall_format(oc_wall_ms(), now, sizeof now));
}

static void decided(void *arg)
{
	beating *b = arg;
	/* One that is busy is asked again; nobody hears of it. */
	if (strcmp(b->why, "requests-in-flight") != 0 && strcmp(b->why, "disabled") != 0)
		note(b, b->early, b->why, NULL, NULL);
	over(b, b->early, b->why);
}

/* Why it is not asked now; NULL: it is. */
static const char *held_back(const beating *b)
{
	oc_agent *agent = b->agent;
	bool rhythm = strcmp(b->reason, "interval") == 0;
	if (agent->heartbeat->off || oc_heartbeat_every_ms(agent->config, b->agent_id) <= 0)
		return "disabled";
	if (is_quiet(agent->config, b->agent_id))
		return "quiet-hours";
	if (oc_lane_running(agent, b->session) != NULL || oc_lane_waiting(agent, b->session) > 0)
		return "requests-in-flight";
	return rhythm && !oc_tell_waits(agent, b->session) ? nothing_to_look_at(agent, b->agent_id) : NULL;
}

oc_status oc_heartbeat_run(oc_agent *agent, const char *agent_id, const char *session, const char *reason, const char *key,
			   oc_heartbeat_done done, void *arg, oc_err *err)
{
	beating *b = heart_of(agent) != NULL ? oc_alloc(sizeof *b) : NULL;
	if (b == NULL)
		return oc_fail(err, OC_E_NOMEM, NULL, "no memory for a heartbeat");
	*b = (beating){.agent = agent, .began_ms = oc_now_ms(), .done = done, .arg = arg};
	if (agent_id[0] != 0)
		oc_agent_id_normalize(oc_str_of(agent_id), b->agent_id);
	else
		(void)oc_agent_default_id(agent->config, b->agent_id);
	(void)snprintf(b->reason, sizeof b->reason, "%s", reason);
	if (session[0] == 0)
		session = setting(agent->config, b->agent_id, "session", "");
	oc_status status = oc_session_key_resolve(oc_str_of(session), b->agent_id, oc_agent_main_key(agent->config), b->session, err);
	oc_auto_free char *prompt = status == OC_OK ? prompt_of(b) : NULL;
	if (status == OC_OK && prompt == NULL)
		status = oc_fail(err, OC_E_NOMEM, NULL, "no memory for a heartbeat");
	b->why = status == OC_OK ? held_back(b) : NULL;
	b->early = "skipped";
	oc_turn_input in = {
		.session = oc_str_of(b->session),
		.text = oc_str_of(prompt != NULL ? prompt : ""),
		.origin = "heartbeat",
		.model = oc_str_of(setting(agent->config, b->agent_id, "model", "")),
		.idempotency = oc_str_of(key),
		.light_context = cJSON_IsTrue(oc_agent_setting(agent->config, b->agent_id, "heartbeat.lightContext")),
	};
	oc_run_ref ref;
	if (status == OC_OK && b->why == NULL)
		status = oc_agent_submit(agent, &in, &ref, err);
	if (status == OC_OK && b->why == NULL) {
		memcpy(b->run, ref.run, sizeof b->run);
		status = oc_agent_wait(agent, b->run, WAIT_MS, answered, b, err);
	}
	if (status == OC_OK && b->why != NULL)
		status = oc_loop_defer(agent->loop, agent->owner, decided, b);
	if (status != OC_OK) {
		oc_free(b);
		return status;
	}
	b->next = agent->heartbeat->under_way;
	agent->heartbeat->under_way = b;
	return OC_OK;
}

/* ---- By themselves ---- */

static beat *beat_of(oc_agent *agent, const char *agent_id)
{
	struct oc_heartbeat *heart = heart_of(agent);
	char id[65];
	if (heart == NULL)
		return NULL;
	if (agent_id[0] != 0)
		oc_agent_id_normalize(oc_str_of(agent_id), id);
	else
		(void)oc_agent_default_id(agent->config, id);
	for (beat *at = heart->beats; at != NULL; at = at->next)
		if (strcmp(at->agent_id, id) == 0)
			return at;
	beat *new = oc_alloc(sizeof *new);
	if (new != NULL) {
		new->agent = agent;
		memcpy(new->agent_id, id, sizeof new->agent_id);
		new->next = heart->beats;
		heart->beats = new;
	}
	return new;
}

static void soon(oc_agent *agent, uint64_t ms);

static void woken(void *arg, const char *status, const char *reason)
{
	beat *b = arg;
	(void)status;
	if (strcmp(reason, "requests-in-flight") == 0 && !b->agent->draining) {
		b->wanted = true;
		soon(b->agent, AGAIN_MS);
	}
}

static void on_soon(void *arg)
{
	oc_agent *agent = arg;
	oc_err err = {0};
	oc_watch_end(agent->heartbeat->soon);
	agent->heartbeat->soon = NULL;
	for (beat *b = agent->heartbeat->beats; b != NULL && !agent->draining; b = b->next) {
		bool wanted = b->wanted;
		b->wanted = false;
		if (wanted && oc_heartbeat_run(agent, b->agent_id, "", b->reason, "", woken, b, &err) != OC_OK)
			oc_log_err(OC_LOG_WARN, "heartbeat", "it could not be asked", &err);
	}
}

static void soon(oc_agent *agent, uint64_t ms)
{
	struct oc_heartbeat *heart = agent->heartbeat;
	if (heart->soon == NULL)
		heart->soon = oc_timer_start(agent->owner, ms, 0, on_soon, agent);
}

void oc_heartbeat_request(oc_agent *agent, const char *agent_id, const char *reason)
{
	beat *b = agent->draining ? NULL : beat_of(agent, agent_id);
	if (b == NULL)
		return;
	b->wanted = true;
	(void)snprintf(b->reason, sizeof b->reason, "%s", reason);
	soon(agent, SOON_MS);
}

oc_status oc_heartbeat_wake(oc_agent *agent, const char *text, bool now, oc_err *err)
{
	oc_status status = oc_agent_tell(agent, OC_STR_NONE, text, "", err);
	if (status == OC_OK && now)
		oc_heartbeat_request(agent, "", "wake");
	return status;
}

static void arm(oc_agent *agent);

static void on_interval(void *arg)
{
	oc_agent *agent = arg;
	uint64_t now = oc_now_ms();
	for (beat *b = agent->heartbeat->beats; b != NULL; b = b->next)
		if (b->due_ms > 0 && b->due_ms <= now) {
			b->due_ms = now + b->every_ms;
			oc_heartbeat_request(agent, b->agent_id, "interval");
		}
	arm(agent);
}

static void arm(oc_agent *agent)
{
	struct oc_heartbeat *heart = agent->heartbeat;
	uint64_t next = 0, now = oc_now_ms();
	for (const beat *b = heart->beats; b != NULL; b = b->next)
		if (b->due_ms > 0 && (next == 0 || b->due_ms < next))
			next = b->due_ms;
	if (next == 0 || heart->off) {
		oc_watch_end(heart->interval);
		heart->interval = NULL;
		return;
	}
	uint64_t wait = next > now ? next - now : 1;
	if (heart->interval != NULL)
		oc_timer_again(heart->interval, wait);
	else
		heart->interval = oc_timer_start(agent->owner, wait, 0, on_interval, agent);
}

static void settle(oc_agent *agent, const char *agent_id)
{
	int64_t every = oc_heartbeat_every_ms(agent->config, agent_id);
	beat *b = every > 0 || agent->heartbeat != NULL ? beat_of(agent, agent_id) : NULL;
	if (b == NULL || b->every_ms == (uint64_t)every)
		return;
	b->every_ms = (uint64_t)every;
	b->due_ms = every > 0 ? oc_now_ms() + (uint64_t)every : 0;
}

void oc_heartbeat_reload(oc_agent *agent)
{
	const cJSON *entry;
	char id[65];
	if (agent->one_shot)
		return;
	settle(agent, oc_agent_default_id(agent->config, id));
	cJSON_ArrayForEach(entry, oc_config_get(agent->config, "agents.list"))
	{
		oc_agent_id_normalize(oc_json_ostr(entry, "id"), id);
		settle(agent, id);
	}
	if (agent->heartbeat != NULL)
		arm(agent);
}

void oc_heartbeat_start(oc_agent *agent)
{
	if (!agent->draining)
		oc_heartbeat_reload(agent);
}

void oc_heartbeat_set(oc_agent *agent, bool enabled)
{
	struct oc_heartbeat *heart = heart_of(agent);
	if (heart == NULL)
		return;
	heart->off = !enabled;
	arm(agent);
}

bool oc_heartbeat_enabled(const oc_agent *agent)
{
	return agent->heartbeat == NULL || !agent->heartbeat->off;
}

const cJSON *oc_heartbeat_last(const oc_agent *agent)
{
	return agent->heartbeat != NULL ? agent->heartbeat->last : NULL;
}

void oc_heartbeat_free(oc_agent *agent)
{
	struct oc_heartbeat *heart = agent->heartbeat;
	if (heart == NULL)
		return;
	for (beating *b = heart->under_way, *next; b != NULL; b = next) {
		next = b->next;
		oc_agent_wait_end(agent, b);
		oc_free(b);
	}
	for (beat *b = heart->beats, *next; b != NULL; b = next) {
		next = b->next;
		oc_free(b);
	}
	oc_watch_end(heart->interval);
	oc_watch_end(heart->soon);
	cJSON_Delete(heart->last);
	oc_free(heart);
	agent->heartbeat = NULL;
}
