/* modules/channels/telegram: how often Telegram may be called. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdlib.h>

#include "limit.h"

static void one_a_second(void **state)
{
	tg_window w;
	(void)state;
	tg_window_init(&w, 1, 1000);
	assert_int_equal(tg_window_wait(&w, 5000, 0), 0);
	tg_window_take(&w, 5000);
	assert_int_equal(tg_window_wait(&w, 5000, 0), 1000);
	assert_int_equal(tg_window_wait(&w, 5400, 0), 600);
	assert_int_equal(tg_window_wait(&w, 6000, 0), 0);
}

/* Whoever waits as told never puts more than `most` into any span, whatever the moments. */
static void never_more(void **state)
{
	static const struct {
		uint32_t most;
		uint64_t span;
	} cases[] = {{1, 1000}, {20, 60000}, {30, 1000}, {32, 500}};
	uint64_t sent[3000];
	(void)state;
	srand(7);
	for (size_t c = 0; c < sizeof cases / sizeof cases[0]; c++) {
		tg_window w;
		uint64_t now = 1;
		tg_window_init(&w, cases[c].most, cases[c].span);
		for (size_t i = 0; i < 3000; i++) {
			now += (uint64_t)(rand() % 40);
			now += tg_window_wait(&w, now, 0);
			assert_int_equal(tg_window_wait(&w, now, 0), 0);
			tg_window_take(&w, now);
			sent[i] = now;
			if (i >= cases[c].most)
				assert_true(now - sent[i - cases[c].most] >= cases[c].span);
		}
	}
}

static void spare_places(void **state)
{
	tg_window w;
	(void)state;
	tg_window_init(&w, 20, 60000);
	for (uint64_t i = 0; i < 14; i++)
		tg_window_take(&w, 1000 + i);
	assert_int_equal(tg_window_wait(&w, 2000, 6), 59000);
	assert_int_equal(tg_window_wait(&w, 2000, 0), 0);
	for (uint64_t i = 0; i < 6; i++)
		tg_window_take(&w, 2000);
	assert_int_equal(tg_window_wait(&w, 2000, 0), 59000);
	/* fewer places than are to stay free: one is still given */
	tg_window_init(&w, 3, 1000);
	assert_int_equal(tg_window_wait(&w, 10, 5), 0);
	tg_window_take(&w, 10);
	assert_int_equal(tg_window_wait(&w, 10, 5), 1000);
}

static void backoff(void **state)
{
	(void)state;
	assert_int_equal(tg_backoff(0, 1000, 60000), 1000);
	assert_int_equal(tg_backoff(3, 1000, 60000), 8000);
	assert_int_equal(tg_backoff(6, 1000, 60000), 60000);
	assert_int_equal(tg_backoff(1000000, 1000, 60000), 60000);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(one_a_second),
		cmocka_unit_test(never_more),
		cmocka_unit_test(spare_places),
		cmocka_unit_test(backoff),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
