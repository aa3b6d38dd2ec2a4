/* core/agent: the fair queue, what /queue and messages.queue say, when sessions begin anew. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

#include "core/agent/fair.h"
#include "core/agent/queue.h"
#include "core/agent/reset.h"
#include "core/base/mem.h"

/* ---- Fairness ---- */

typedef struct thing {
	oc_fair_item item;
	int n;
} thing;

static int pop(oc_fair *f)
{
	oc_fair_item *item = oc_fair_pop(f);
	return item != NULL ? ((thing *)(void *)item)->n : -1;
}

static void sources_take_turns(void **state)
{
	(void)state;
	oc_fair f = {0};
	thing t[8] = {0};
	static const char *const whose[] = {"a", "a", "a", "a", "b", "c", "b", "c"};
	unsigned long live = oc_mem_live();
	for (int i = 0; i < 8; i++) {
		t[i].n = i;
		oc_fair_push(&f, &t[i].item, whose[i]);
		oc_fair_push(&f, &t[i].item, "z"); /* it is in already */
	}
	assert_int_equal(f.n, 8);
	static const int want[] = {0, 4, 5, 1, 6, 7, 2, 3, -1};
	for (int i = 0; i < 9; i++)
		assert_int_equal(pop(&f), want[i]);
	oc_fair_free(&f);
	assert_int_equal(oc_mem_live(), live);
}

static void a_newcomer_is_not_behind_a_crowd(void **state)
{
	(void)state;
	oc_fair f = {0};
	thing crowd[1000] = {0}, one = {.n = -7};
	for (int i = 0; i < 1000; i++) {
		crowd[i].n = i;
		oc_fair_push(&f, &crowd[i].item, "crowd");
	}
	assert_int_equal(pop(&f), 0);
	oc_fair_push(&f, &one.item, "one");
	int before = 0;
	while (pop(&f) != -7)
		before++;
	assert_true(before <= 1);
	oc_fair_free(&f);
	for (int i = 0; i < 1000; i++)
		assert_null(crowd[i].item.source);
}

/* Against a list that does the same slowly. */
static void any_order_of_changes(void **state)
{
	(void)state;
	srand(7);
	oc_fair f = {0};
	thing t[40] = {0};
	int in = 0;
	unsigned long live = oc_mem_live();
	for (int step = 0; step < 20000; step++) {
		thing *x = &t[rand() % 40];
		char source[2] = {(char)('a' + rand() % 5), 0};
		x->n = (int)(x - t);
		switch (rand() % 3) {
		case 0:
			in += x->item.source == NULL;
			oc_fair_push(&f, &x->item, source);
			break;
		case 1:
			in -= x->item.source != NULL;
			oc_fair_remove(&f, &x->item);
			break;
		default:
			if (pop(&f) >= 0)
				in--;
			break;
		}
		int count = 0;
		for (int i = 0; i < 40; i++)
			count += t[i].item.source != NULL;
		assert_int_equal(count, in);
		assert_int_equal(f.n, in);
		assert_int_equal(f.turn == NULL, in == 0);
	}
	oc_fair_free(&f);
	assert_int_equal(oc_mem_live(), live);
}

static void without_memory_all_share_one_place(void **state)
{
	(void)state;
	oc_fair f = {0};
	thing t[4] = {{.n = 0}, {.n = 1}, {.n = 2}, {.n = 3}};
	oc_mem_fail_at(1);
	for (int i = 0; i < 4; i++)
		oc_fair_push(&f, &t[i].item, i % 2 == 0 ? "a" : "b");
	oc_mem_fail_at(0);
	for (int i = 0; i < 4; i++)
		assert_int_equal(pop(&f), i);
	oc_fair_free(&f);
}

/* ---- Settings ---- */

static oc_config *config_of(const char *json)
{
	oc_config *config = NULL;
	oc_err err = {0};
	if (oc_config_load_text(oc_str_of(json), NULL, &config, &err) != OC_OK)
		fail_msg("%s", err.text);
	return config;
}

static void assert_queue(const char *config_json, const char *channel, const char *settings_json, const char *want)
{
	oc_config *config = config_of(config_json);
	oc_auto_json cJSON *settings = cJSON_Parse(settings_json);
	oc_queue_settings q;
	char got[100];
	oc_queue_resolve(config, channel, settings, &q);
	snprintf(got, sizeof got, "%s %llu %lld %s", oc_queue_mode_name(q.mode), (unsigned long long)q.debounce_ms,
		 (long long)q.cap, oc_queue_drop_name(q.drop));
	assert_string_equal(got, want);
	oc_config_unref(config);
}

static void settings_in_layers(void **state)
{
	(void)state;
	static const char full[] = "{\"messages\":{\"queue\":{\"mode\":\"followup\",\"byChannel\":{\"telegram\":\"steer+backlog\"},"
				   "\"debounceMs\":50,\"debounceMsByChannel\":{\"telegram\":70},\"cap\":3,\"drop\":\"old\"}}}";
	assert_queue("{}", "telegram", "{}", "collect 1000 20 summarize");
	assert_queue(full, "signal", "{}", "followup 50 3 old");
	assert_queue(full, "telegram", "{}", "steer-backlog 70 3 old");
	assert_queue(full, "telegram", "{\"queue\":{\"mode\":\"interrupt\",\"cap\":9}}", "interrupt 70 9 old");
	assert_queue("{\"messages\":{\"queue\":{\"mode\":\"queue\"}}}", "", "{}", "steer 1000 20 summarize");
}

static void assert_args(const char *args, const char *want)
{
	oc_auto_json cJSON *patch = NULL;
	oc_err err = {0};
	oc_status status = oc_queue_parse(oc_str_of(args), &patch, &err);
	oc_auto_free char *json = status == OC_OK ? oc_json_print(patch) : NULL;
	if (want == NULL) {
		assert_int_equal(status, OC_E_INVALID);
		assert_non_null(strstr(err.remedy, "steer"));
		return;
	}
	assert_string_equal(json != NULL ? json : err.text, want);
}

static void the_command_s_arguments(void **state)
{
	(void)state;
	assert_args("collect", "{\"queue\":{\"mode\":\"collect\"}}");
	assert_args("  Steer-Backlog  cap:25 debounce:2s drop:summarise",
		    "{\"queue\":{\"mode\":\"steer-backlog\",\"cap\":25,\"debounceMs\":2000,\"drop\":\"summarize\"}}");
	assert_args("debounce=500", "{\"queue\":{\"debounceMs\":500}}");
	assert_args("debounce:250ms drop:new", "{\"queue\":{\"debounceMs\":250,\"drop\":\"new\"}}");
	assert_args("default", "{\"queue\":null}");
	assert_args("reset", "{\"queue\":null}");
	static const char *const wrong[] = {"sideways", "cap:0", "cap:1001", "cap:x", "debounce:", "debounce:-1", "debounce:2y",
					    "debounce:99999999999999999999", "drop:middle", "collect cap", "cap:", ":", "=5"};
	for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++)
		assert_args(wrong[i], NULL);
}

static void debounce_of_messages(void **state)
{
	(void)state;
	oc_config *config = config_of("{\"messages\":{\"inbound\":{\"debounceMs\":300,\"byChannel\":{\"telegram\":0}}}}");
	assert_int_equal(oc_queue_inbound_debounce(config, "signal"), 300);
	assert_int_equal(oc_queue_inbound_debounce(config, "telegram"), 0);
	oc_config_unref(config);
	config = config_of("{}");
	assert_int_equal(oc_queue_inbound_debounce(config, "signal"), 0);
	oc_config_unref(config);
}

/* ---- Resets ---- */

static int64_t local(int mon, int day, int hour, int min)
{
	struct tm tm = {.tm_year = 126, .tm_mon = mon - 1, .tm_mday = day, .tm_hour = hour, .tm_min = min, .tm_isdst = -1};
	return (int64_t)mktime(&tm) * 1000;
}

static const char *due(const char *config_json, const char *key_text, const char *channel, int64_t updated, int64_t now)
{
	oc_config *config = config_of(config_json);
	oc_session_key key;
	assert_int_equal(oc_session_key_parse(oc_str_of(key_text), &key, NULL), OC_OK);
	const char *why = oc_reset_due(config, &key, channel, updated, now);
	oc_config_unref(config);
	return why != NULL ? why : "no";
}

#define MAIN "agent:main:main"
#define GROUP "agent:main:channel:chat:account:default:group:g"
#define THREAD "agent:main:channel:chat:account:default:thread:g/t"

static void sessions_begin_anew(void **state)
{
	(void)state;
	/* By the day: four in the morning when nothing is said. */
	assert_string_equal(due("{}", MAIN, "", local(5, 4, 3, 59), local(5, 4, 4, 1)), "daily");
	assert_string_equal(due("{}", MAIN, "", local(5, 4, 4, 0), local(5, 4, 23, 59)), "no");
	assert_string_equal(due("{}", MAIN, "", local(5, 4, 23, 0), local(5, 5, 3, 59)), "no");
	assert_string_equal(due("{}", MAIN, "", local(5, 3, 3, 0), local(5, 4, 3, 0)), "daily");
	assert_string_equal(due("{\"session\":{\"reset\":{\"atHour\":0}}}", MAIN, "", local(5, 4, 23, 59), local(5, 5, 0, 0)), "daily");
	/* By idleness. */
	assert_string_equal(due("{\"session\":{\"idleMinutes\":30}}", MAIN, "", local(5, 4, 3, 45), local(5, 4, 4, 10)), "no");
	assert_string_equal(due("{\"session\":{\"idleMinutes\":30}}", MAIN, "", local(5, 4, 3, 45), local(5, 4, 4, 16)), "idle");
	assert_string_equal(due("{\"session\":{\"reset\":{\"mode\":\"idle\"}}}", MAIN, "", local(5, 4, 8, 0), local(5, 4, 9, 1)), "idle");
	assert_string_equal(due("{\"session\":{\"reset\":{\"mode\":\"off\"}}}", MAIN, "", local(1, 4, 8, 0), local(5, 4, 9, 1)), "no");
	/* Whichever comes first. */
	static const char both[] = "{\"session\":{\"reset\":{\"mode\":\"daily\",\"atHour\":4,\"idleMinutes\":60}}}";
	assert_string_equal(due(both, MAIN, "", local(5, 4, 8, 0), local(5, 4, 9, 1)), "idle");
	assert_string_equal(due(both, MAIN, "", local(5, 4, 3, 50), local(5, 4, 4, 5)), "daily");
	/* By type, by channel. */
	static const char typed[] =
		"{\"session\":{\"reset\":{\"mode\":\"off\"},\"resetByType\":{\"group\":{\"mode\":\"idle\",\"idleMinutes\":5},"
		"\"thread\":{\"mode\":\"daily\",\"atHour\":6},\"direct\":{\"mode\":\"idle\",\"idleMinutes\":7}},"
		"\"resetByChannel\":{\"chat\":{\"mode\":\"idle\",\"idleMinutes\":100}}}}";
	int64_t at = local(5, 4, 5, 50);
	assert_string_equal(due(typed, GROUP, "", at, at + 6 * 60000), "idle");
	assert_string_equal(due(typed, GROUP, "", at, at + 4 * 60000), "no");
	assert_string_equal(due(typed, THREAD, "", at, at + 11 * 60000), "daily");
	assert_string_equal(due(typed, MAIN, "", at, at + 6 * 60000), "no");
	assert_string_equal(due(typed, MAIN, "", at, at + 8 * 60000), "idle");
	assert_string_equal(due(typed, GROUP, "chat", at, at + 60 * 60000), "no");
	assert_string_equal(due(typed, GROUP, "chat", at, at + 101 * 60000), "idle");
	/* A clock that was set back is no reason, and a session that does not exist neither. */
	assert_string_equal(due("{\"session\":{\"idleMinutes\":1}}", MAIN, "", at + 1, at), "no");
	assert_string_equal(due("{\"session\":{\"idleMinutes\":1}}", MAIN, "", 0, at), "no");
}

/* The night of the change: the hour exists once, or twice, or not at all. */
static void summer_time(void **state)
{
	(void)state;
	static const char at_two[] = "{\"session\":{\"reset\":{\"mode\":\"daily\",\"atHour\":2}}}";
	assert_string_equal(due(at_two, MAIN, "", local(3, 28, 12, 0), local(3, 29, 12, 0)), "daily");
	assert_string_equal(due(at_two, MAIN, "", local(3, 29, 12, 0), local(3, 29, 23, 0)), "no");
	assert_string_equal(due(at_two, MAIN, "", local(10, 24, 12, 0), local(10, 25, 12, 0)), "daily");
	assert_string_equal(due(at_two, MAIN, "", local(10, 25, 12, 0), local(10, 26, 1, 0)), "no");
}

int main(void)
{
	/* A rule of its own, so that no time zone files are needed. */
	setenv("TZ", "CET-1CEST,M3.5.0,M10.5.0/3", 1);
	tzset();
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(sources_take_turns),
		cmocka_unit_test(a_newcomer_is_not_behind_a_crowd),
		cmocka_unit_test(any_order_of_changes),
		cmocka_unit_test(without_memory_all_share_one_place),
		cmocka_unit_test(settings_in_layers),
		cmocka_unit_test(the_command_s_arguments),
		cmocka_unit_test(debounce_of_messages),
		cmocka_unit_test(sessions_begin_anew),
		cmocka_unit_test(summer_time),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
