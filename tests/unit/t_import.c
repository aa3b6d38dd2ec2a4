/* core/agent/import: the original's session keys and transcripts. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "core/agent/import.h"

static void keys(void **state)
{
	(void)state;
	static const struct {
		const char *theirs, *ours;
	} rows[] = {
		{"agent:main:main", "agent:main:home"}, /* session.mainKey */
		{"agent:main:home", "agent:main:home"},
		{"main", "agent:main:home"},
		{"agent:Work:notes", "agent:work:notes"},
		{"agent:main:dm:42", "agent:main:dm:42"},
		{"agent:main:direct:42", "agent:main:dm:42"},
		{"agent:main:telegram:dm:42", "agent:main:channel:telegram:dm:42"},
		{"agent:main:discord:work:direct:42", "agent:main:channel:discord:account:work:dm:42"},
		{"agent:main:telegram:group:-100", "agent:main:channel:telegram:account:acct:group:-100"},
		{"agent:main:slack:channel:c1", "agent:main:channel:slack:account:acct:channel:c1"},
		{"agent:main:slack:channel:c1:thread:17.5", "agent:main:channel:slack:account:acct:thread:c1/17.5"},
		{"agent:main:telegram:group:-100:topic:7", "agent:main:channel:telegram:account:acct:thread:-100/7"},
		{"agent:main:matrix:group:!r:example.org", "agent:main:channel:matrix:account:acct:group:%21r%3Aexample.org"},
		{"agent:main:subagent:0af", "agent:main:subagent:0af"},
		{"agent:main:cron:daily", "agent:main:cron:daily"},
		{"telegram:group:-5", "agent:main:channel:telegram:account:acct:group:-5"},
		{"agent:main:", NULL},
		{"agent:main", NULL},
		{"", NULL},
		{"agent:main:telegram:group:", "agent:main:telegram:group:"},
		{"agent:main:channel:x", NULL}, /* such words begin other keys here */
	};
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		char out[OC_SESSION_KEY_MAX] = "";
		oc_err err = {0};
		oc_status status = oc_import_key(rows[i].theirs, "main", "acct", "home", out, &err);
		if (rows[i].ours == NULL) {
			if (status == OC_OK)
				fail_msg("%s became %s", rows[i].theirs, out);
			continue;
		}
		assert_int_equal(status, OC_OK);
		assert_string_equal(out, rows[i].ours);
	}
}

static oc_import *read_text(const char *text)
{
	oc_import *im = NULL;
	oc_err err = {0};
	assert_int_equal(oc_import_read(oc_str_of(text), &im, &err), OC_OK);
	return im;
}

#define MESSAGE(id, parent) "{\"type\":\"message\",\"id\":\"" id "\",\"parentId\":" parent ",\"message\":{\"role\":\"user\",\"content\":\"x\"}}\n"

static void branches(void **state)
{
	(void)state;
	oc_import *im = read_text("{\"type\":\"session\",\"id\":\"s\"}\n" MESSAGE("a", "null") MESSAGE("b", "\"a\"") MESSAGE("c", "\"a\"")
				  "{\"type\":\"label\",\"id\":\"l\",\"parentId\":\"c\"}\n" MESSAGE("d", "\"l\""));
	assert_string_equal(oc_import_id(im), "s");
	assert_int_equal(oc_import_rows(im), 3);
	assert_string_equal(oc_import_row_id(im, 0), "a");
	assert_string_equal(oc_import_row_id(im, 1), "c");
	assert_string_equal(oc_import_row_id(im, 2), "d");
	oc_import_free(im);
	/* A parent that is not there ends the way; one that comes later is none. */
	im = read_text(MESSAGE("a", "\"b\"") MESSAGE("b", "\"nobody\"") MESSAGE("c", "\"b\""));
	assert_int_equal(oc_import_rows(im), 2);
	oc_import_free(im);
}

static void halves_of_characters(void **state)
{
	(void)state;
	oc_import *im = read_text("{\"type\":\"message\",\"message\":{\"role\":\"user\",\"content\":\"\\ud83d\\ude00 \\ud83d \\\\ud83d \\u0000\"}}\n"
				  "not json\n{\"type\":\"message\",\"mess");
	assert_int_equal(oc_import_rows(im), 1);
	assert_int_equal(oc_import_broken(im), 2);
	oc_import_free(im);
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(keys), cmocka_unit_test(branches), cmocka_unit_test(halves_of_characters)};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
