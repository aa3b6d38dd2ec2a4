#include "core/agent/queue.h"

#include <stdlib.h>
#include <string.h>

#include "core/base/mem.h"

#define DEBOUNCE_MS_DEFAULT 1000
#define DEBOUNCE_MS_MAX (60 * 60 * 1000)
#define CAP_DEFAULT 20

static const struct {
	const char *name;
	oc_queue_mode mode;
} modes[] = {
	/* The first of each is its name. */
	{"collect", OC_QUEUE_COLLECT},
	{"followup", OC_QUEUE_FOLLOWUP},
	{"steer", OC_QUEUE_STEER},
	{"steer-backlog", OC_QUEUE_STEER_BACKLOG},
	{"interrupt", OC_QUEUE_INTERRUPT},
	{"coalesce", OC_QUEUE_COLLECT},
	{"follow-up", OC_QUEUE_FOLLOWUP},
	{"followups", OC_QUEUE_FOLLOWUP},
	{"queue", OC_QUEUE_STEER},
	{"queued", OC_QUEUE_STEER},
	{"steering", OC_QUEUE_STEER},
	{"steer+backlog", OC_QUEUE_STEER_BACKLOG},
	{"steer_backlog", OC_QUEUE_STEER_BACKLOG},
	{"interrupts", OC_QUEUE_INTERRUPT},
	{"abort", OC_QUEUE_INTERRUPT},
};
static const char *const drops[] = {"", "summarize", "old", "new"};

oc_queue_mode oc_queue_mode_parse(oc_str name)
{
	for (size_t i = 0; i < sizeof modes / sizeof *modes; i++)
		if (oc_str_ieq(name, oc_str_of(modes[i].name)))
			return modes[i].mode;
	return 0;
}

const char *oc_queue_mode_name(oc_queue_mode mode)
{
	for (size_t i = 0; i < sizeof modes / sizeof *modes; i++)
		if (modes[i].mode == mode)
			return modes[i].name;
	return "";
}

static oc_queue_drop drop_parse(oc_str name)
{
	for (int i = 1; i < (int)(sizeof drops / sizeof *drops); i++)
		if (oc_str_ieq(name, oc_str_of(drops[i])))
			return (oc_queue_drop)i;
	return oc_str_ieq(name, OC_STR("summarise")) ? OC_DROP_SUMMARIZE : 0;
}

const char *oc_queue_drop_name(oc_queue_drop drop)
{
	return drops[drop];
}

/* One layer over what is there. */
static void apply(oc_queue_settings *q, const cJSON *from, const char *channel)
{
	oc_queue_mode mode = oc_queue_mode_parse(oc_json_ostr(from, "mode"));
	if (mode != 0)
		q->mode = mode;
	mode = oc_queue_mode_parse(oc_json_ostr(oc_json_get(from, "byChannel"), channel));
	if (mode != 0)
		q->mode = mode;
	int64_t ms = oc_json_i64(oc_json_get(from, "debounceMsByChannel"), channel, oc_json_i64(from, "debounceMs", -1));
	if (ms >= 0)
		q->debounce_ms = (uint64_t)(ms < DEBOUNCE_MS_MAX ? ms : DEBOUNCE_MS_MAX);
	int64_t cap = oc_json_i64(from, "cap", 0);
	if (cap > 0)
		q->cap = cap < OC_QUEUE_CAP_MAX ? cap : OC_QUEUE_CAP_MAX;
	oc_queue_drop drop = drop_parse(oc_json_ostr(from, "drop"));
	if (drop != 0)
		q->drop = drop;
}

void oc_queue_resolve(const oc_config *config, const char *channel, const cJSON *settings, oc_queue_settings *ret)
{
	*ret = (oc_queue_settings){OC_QUEUE_COLLECT, OC_DROP_SUMMARIZE, DEBOUNCE_MS_DEFAULT, CAP_DEFAULT};
	apply(ret, oc_config_get(config, "messages.queue"), channel);
	apply(ret, oc_json_get(settings, "queue"), channel);
}

void oc_queue_of_session(oc_agent *agent, const oc_config *config, const char *session, const char *channel,
			 oc_queue_settings *ret)
{
	oc_auto_json cJSON *row = NULL;
	(void)oc_store_session(agent->store, session, &row, NULL);
	oc_queue_resolve(config, channel, oc_json_get(row, "settings"), ret);
}

uint64_t oc_queue_inbound_debounce(const oc_config *config, const char *channel)
{
	const cJSON *inbound = oc_config_get(config, "messages.inbound");
	int64_t ms = oc_json_i64(oc_json_get(inbound, "byChannel"), channel, oc_json_i64(inbound, "debounceMs", 0));
	return ms <= 0 ? 0 : (uint64_t)(ms < DEBOUNCE_MS_MAX ? ms : DEBOUNCE_MS_MAX);
}

/* ---- /queue ---- */

/* "500", "500ms", "2s", "1m" */
static bool parse_ms(oc_str text, int64_t *ret)
{
	static const struct {
		const char *unit;
		int64_t ms;
	} units[] = {{"ms", 1}, {"s", 1000}, {"m", 60000}, {"h", 3600000}};
	size_t digits = 0;
	while (digits < text.n && text.p[digits] >= '0' && text.p[digits] <= '9')
		digits++;
	oc_str unit = {text.p + digits, text.n - digits};
	int64_t n, factor = unit.n == 0 ? 1 : 0;
	for (size_t i = 0; i < sizeof units / sizeof *units; i++)
		if (oc_str_ieq(unit, oc_str_of(units[i].unit)))
			factor = units[i].ms;
	if (factor == 0 || oc_str_i64((oc_str){text.p, digits}, 0, DEBOUNCE_MS_MAX, &n) != OC_OK || n * factor > DEBOUNCE_MS_MAX)
		return false;
	*ret = n * factor;
	return true;
}

static bool parse_option(cJSON *queue, oc_str name, oc_str value)
{
	int64_t n;
	if (oc_str_ieq(name, OC_STR("debounce")))
		return parse_ms(value, &n) && oc_json_set_i64(queue, "debounceMs", n);
	if (oc_str_ieq(name, OC_STR("cap")))
		return oc_str_i64(value, 1, OC_QUEUE_CAP_MAX, &n) == OC_OK && oc_json_set_i64(queue, "cap", n);
	if (oc_str_ieq(name, OC_STR("drop")))
		return drop_parse(value) != 0 && oc_json_set_str(queue, "drop", drops[drop_parse(value)]);
	return false;
}

static bool parse_word(cJSON *queue, oc_str word)
{
	oc_queue_mode mode = oc_queue_mode_parse(word);
	if (mode != 0)
		return oc_json_set_str(queue, "mode", oc_queue_mode_name(mode));
	for (size_t i = 0; i < word.n; i++)
		if (word.p[i] == ':' || word.p[i] == '=')
			return parse_option(queue, (oc_str){word.p, i}, (oc_str){word.p + i + 1, word.n - i - 1});
	return false;
}

oc_status oc_queue_parse(oc_str args, cJSON **ret_patch, oc_err *err)
{
	unsigned long refused = oc_mem_refused();
	cJSON *patch = cJSON_CreateObject();
	oc_str rest = oc_str_trim(args);
	if (oc_str_ieq(rest, OC_STR("default")) || oc_str_ieq(rest, OC_STR("reset")) || oc_str_ieq(rest, OC_STR("clear"))) {
		if (cJSON_AddNullToObject(patch, "queue") == NULL) {
			cJSON_Delete(patch);
			return oc_fail(err, OC_E_NOMEM, NULL, "cannot change the settings");
		}
		*ret_patch = patch;
		return OC_OK;
	}
	cJSON *queue = cJSON_AddObjectToObject(patch, "queue");
	while (queue != NULL && rest.n > 0) {
		size_t n = 0;
		while (n < rest.n && rest.p[n] != ' ' && rest.p[n] != '\n' && rest.p[n] != '\t')
			n++;
		oc_str word = {rest.p, n};
		if (!parse_word(queue, word) && refused == oc_mem_refused()) {
			oc_status status = oc_fail(err, OC_E_INVALID,
						   "modes: steer, followup, collect, steer-backlog, interrupt; options: "
						   "debounce:2s cap:20 drop:old|new|summarize",
						   "'%.*s' is no queue mode or option", OC_STR_ARG(word));
			cJSON_Delete(patch);
			return status;
		}
		rest = oc_str_trim((oc_str){rest.p + n, rest.n - n});
	}
	if (queue == NULL || refused != oc_mem_refused()) {
		cJSON_Delete(patch);
		return oc_fail(err, OC_E_NOMEM, NULL, "cannot change the settings");
	}
	*ret_patch = patch;
	return OC_OK;
}
