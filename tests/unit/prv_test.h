/* For the tests of provider modules: a sink that writes events down, and checks that the host's JSON wall takes them. */
#ifndef PRV_TEST_H
#define PRV_TEST_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "core/data/json.h"
#include "prv_stream.h"

/* The JSON must be such that the host takes it. */
static inline void wall(oc_str text)
{
	oc_err err = {0};
	if (oc_json_check(text, NULL, &err) != OC_OK)
		fail_msg("the wall refuses: %s: %.*s", err.text, (int)(text.n < 2000 ? text.n : 2000), text.p);
}

/* Records "T:text\n", "R:reasoning\n" (joined while of one kind), "C:", "U:" and "B:" with their JSON. */
typedef struct record {
	prv_text log;
	uint32_t last;
} record;

static inline void record_event(void *arg, uint32_t type, oc_str payload)
{
	static const char letters[] = "?TRCU???B";
	record *r = arg;
	assert_true(type < sizeof(letters) - 1);
	assert_int_equal(payload.p[payload.n], 0);
	bool text = type == OC_EV_TEXT || type == OC_EV_THINKING;
	if (!text)
		wall(payload);
	if (!text || r->last != type)
		prv_text_printf(&r->log, "%s%c:", r->log.n > 0 ? "\n" : "", letters[type]);
	prv_text_str(&r->log, payload);
	r->last = type;
}

static inline void record_init(record *r)
{
	*r = (record){0};
	prv_text_init(&r->log, 64 << 20);
	prv_text_add(&r->log, "", 0);
}

/* Compares JSON whatever the order of members. */
static inline void same_json(const char *got, const char *want)
{
	cJSON *a = NULL, *b = NULL;
	oc_err err = {0};
	if (oc_json_parse(oc_str_of(got), NULL, &a, &err) != OC_OK)
		fail_msg("not JSON: %s: %s", err.text, got);
	if (oc_json_parse(oc_str_of(want), NULL, &b, &err) != OC_OK)
		fail_msg("the expectation is not JSON: %s: %s", err.text, want);
	if (!oc_json_equal(a, b)) {
		char *text = oc_json_print(b);
		print_message("got  %s\nwant %s\n", got, text);
		free(text);
		fail();
	}
	cJSON_Delete(a);
	cJSON_Delete(b);
}

#endif
