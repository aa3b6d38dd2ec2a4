/* A backlog of undelivered messages that is larger than what anybody should hold in memory. */
#include <signal.h>
#include <sys/resource.h>

#include "core/agent/outbound.h"
#include "tests/unit/agent_fake.h"

#define CHATS 500
#define ROWS_EACH 24
#define ROWS_LONG 4000 /* in one more conversation */
#define ROWS_ALL (CHATS * ROWS_EACH + ROWS_LONG)
#define BATCH_ROWS 1000

static struct {
	int next[CHATS + 1]; /* the number that must come next in each conversation */
	int n, open_max;
	unsigned long blocks_max;
	bool out_of_order;
} seen;

static void on_send(oc_str message)
{
	oc_auto_json cJSON *o = cJSON_Parse(message.p);
	int64_t to = 0, number = 0;
	assert_int_equal(oc_str_i64(oc_json_ostr(o, "to"), 0, CHATS, &to), OC_OK);
	assert_int_equal(oc_str_i64(oc_json_ostr(o, "text"), 0, ROWS_ALL, &number), OC_OK);
	seen.out_of_order |= number != seen.next[to];
	seen.next[to] = (int)number + 1;
	seen.n++;
	if (fake->open_calls > seen.open_max)
		seen.open_max = fake->open_calls;
	if (oc_mem_live() > seen.blocks_max)
		seen.blocks_max = oc_mem_live();
}

static void put(oc_batch *b, int chat, int number)
{
	char key[60], json[120];
	snprintf(key, sizeof key, "b:%d:%d", chat, number);
	snprintf(json, sizeof json, "{\"channel\":\"chat\",\"to\":\"%d\",\"text\":\"%d\"}", chat, number);
	oc_batch_outbox_put(b, key, NULL, NULL, "chat", "default", json);
}

/* Conversations take turns, so that each is spread over the whole table; the long one lies at the end. */
static void fill(fixture *f)
{
	oc_err err = {0};
	oc_batch *b = oc_batch_new(f->store);
	for (int i = 0; i < ROWS_ALL; i++) {
		bool is_long = i >= CHATS * ROWS_EACH;
		put(b, is_long ? CHATS : i % CHATS, is_long ? i - CHATS * ROWS_EACH : i / CHATS);
		if ((i + 1) % BATCH_ROWS == 0 || i + 1 == ROWS_ALL) {
			assert_int_equal(oc_batch_commit_now(b, &err), OC_OK);
			b = i + 1 < ROWS_ALL ? oc_batch_new(f->store) : NULL;
		}
	}
}

static int64_t count(fixture *f, const char *state)
{
	oc_auto_json cJSON *counts = NULL;
	assert_int_equal(oc_store_outbox_counts(f->store, &counts, NULL), OC_OK);
	return oc_json_i64(counts, state, -1);
}

static bool all_delivered(fixture *f)
{
	return seen.n >= ROWS_ALL && count(f, "pending") == 0;
}

static int seen_before;

static bool more_went_out(fixture *f)
{
	return seen.n > seen_before || all_delivered(f);
}

/* However long it takes, as long as it goes on. */
static void until_all_delivered(fixture *f)
{
	do {
		seen_before = seen.n;
		UNTIL(f, more_went_out);
	} while (!all_delivered(f));
}

static void start_with_backlog(fixture *f)
{
	memset(&seen, 0, sizeof seen);
	fill(f);
	stop_gateway(f);
	f->on_send = on_send;
	start_gateway(f, CONFIG_DEFAULT);
}

static void every_message_goes_out_in_order(void **state)
{
	fixture *f = *state;
	unsigned long before = oc_mem_live();
	start_with_backlog(f);
	/* What comes while the backlog is read goes behind it. */
	oc_auto_json cJSON *late = cJSON_Parse("{\"channel\":\"chat\",\"to\":\"0\",\"text\":\"24\"}");
	char key[80];
	assert_int_equal(oc_agent_send(f->agent, late, OC_STR("late"), key, NULL, NULL, NULL), OC_OK);
	until_all_delivered(f);
	assert_false(seen.out_of_order);
	assert_int_equal(seen.n, ROWS_ALL + 1);
	assert_int_equal(seen.next[0], ROWS_EACH + 1);
	for (int i = 1; i < CHATS; i++)
		assert_int_equal(seen.next[i], ROWS_EACH);
	assert_int_equal(seen.next[CHATS], ROWS_LONG);
	assert_int_equal(count(f, "delivered"), ROWS_ALL + 1);
	/* Not all at once, and not all in memory. */
	assert_true(seen.open_max <= 64);
	assert_true(seen.blocks_max - before < 3 * ROWS_ALL);
}

static bool some_failed(fixture *f)
{
	return f->fail_sends < 100000 - CHATS;
}

/* A network that takes nothing: the messages wait in the store, and all go out when it is back. */
static void a_network_that_is_away(void **state)
{
	fixture *f = *state;
	f->fail_sends = 100000;
	f->send_status = OC_E_UNAVAILABLE;
	start_with_backlog(f);
	UNTIL(f, some_failed);
	assert_int_equal(count(f, "pending"), ROWS_ALL);
	f->fail_sends = 0;
	until_all_delivered(f);
	assert_false(seen.out_of_order);
	assert_int_equal(seen.n, ROWS_ALL);
}

static bool store_refuses(fixture *f)
{
	return oc_store_health(f->store, NULL) != OC_OK;
}

static uint64_t look_until_ms;

static bool a_while_is_over(fixture *f)
{
	assert_true(store_refuses(f));
	return oc_now_ms() >= look_until_ms;
}

static void let_files_grow(rlim_t bytes)
{
	struct rlimit limit;
	assert_int_equal(getrlimit(RLIMIT_FSIZE, &limit), 0);
	limit.rlim_cur = bytes < limit.rlim_max ? bytes : limit.rlim_max;
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &limit), 0);
}

/* What goes out while its delivery cannot be noted would go out again after a crash: it waits instead. */
static void a_disk_that_takes_nothing(void **state)
{
	fixture *f = *state;
	f->fail_sends = 100000;
	f->send_status = OC_E_UNAVAILABLE;
	start_with_backlog(f);
	UNTIL(f, some_failed);
	signal(SIGXFSZ, SIG_IGN);
	let_files_grow(0);
	oc_outbound_channel_up(f->agent, "chat", "default"); /* all are tried again, which is to be noted */
	UNTIL(f, store_refuses);
	f->fail_sends = 0;
	seen.n = 0;
	oc_outbound_channel_up(f->agent, "chat", "default");
	look_until_ms = oc_now_ms() + 400;
	UNTIL(f, a_while_is_over);
	assert_int_equal(seen.n, 0);
	let_files_grow(RLIM_INFINITY);
	until_all_delivered(f);
	assert_false(seen.out_of_order);
	assert_int_equal(seen.n, ROWS_ALL);
}

#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(every_message_goes_out_in_order),
		T(a_network_that_is_away),
		T(a_disk_that_takes_nothing),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
