/* core/agent/session: keys are built and read in one way only, and cannot be mistaken for one another. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "core/agent/session.h"

static void check(const oc_session_key *k, const char *want)
{
	char out[OC_SESSION_KEY_MAX];
	oc_err err = {0};
	if (oc_session_key_build(k, out, &err) != OC_OK)
		fail_msg("%s", err.text);
	assert_string_equal(out, want);
	oc_session_key back;
	if (oc_session_key_parse(oc_str_of(want), &back, &err) != OC_OK)
		fail_msg("%s", err.text);
	assert_string_equal(back.agent, k->agent);
	assert_string_equal(back.channel, k->channel);
	assert_string_equal(back.account, k->account);
	assert_string_equal(back.peer, k->peer);
	assert_string_equal(back.thread, k->thread);
}

static void builds_and_reads(void **state)
{
	(void)state;
	check(&(oc_session_key){.agent = "main", .kind = "main", .name = "main"}, "agent:main:main");
	check(&(oc_session_key){.agent = "main", .kind = "dm", .peer = "7"}, "agent:main:dm:7");
	check(&(oc_session_key){.agent = "main", .kind = "dm", .channel = "telegram", .peer = "7"},
	      "agent:main:channel:telegram:dm:7");
	check(&(oc_session_key){.agent = "a", .kind = "dm", .channel = "telegram", .account = "default", .peer = "7"},
	      "agent:a:channel:telegram:account:default:dm:7");
	check(&(oc_session_key){.agent = "a", .kind = "group", .channel = "t", .account = "x", .peer = "-100:7/8"},
	      "agent:a:channel:t:account:x:group:-100%3A7%2F8");
	check(&(oc_session_key){.agent = "a", .kind = "thread", .channel = "t", .account = "x", .peer = "-100", .thread = "5"},
	      "agent:a:channel:t:account:x:thread:-100/5");
	check(&(oc_session_key){.agent = "a", .kind = "named", .name = "cron:daily/1"}, "agent:a:cron:daily/1");
	check(&(oc_session_key){.agent = "a", .kind = "dm", .peer = "Jos\xc3\xa9 %\n"}, "agent:a:dm:Jos\xc3\xa9%20%25%0A");
}

static void refuses(void **state)
{
	(void)state;
	static const char *const bad[] = {
		"",
		"main",
		"agent:",
		"agent::main",
		"agent:main",
		"agent:main:",
		"agent:main:dm:",
		"agent:main:dm:a:b",
		"agent:main:dm:%3a", /* lower case: another spelling */
		"agent:main:dm:%41", /* needs no escape */
		"agent:main:dm:%4",
		"agent:main:dm:%00",
		"agent:main:channel:t:group:1", /* groups have an account */
		"agent:main:channel:t:account:x:nothing:1",
		"agent:main:channel:t:account:x:thread:1",
		"agent:main:channel:t:account:x:dm:1/2",
		"agent:main:channel:",
		"agent:main:a b",
	};
	for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
		oc_session_key k;
		oc_err err = {0};
		if (oc_session_key_parse(oc_str_of(bad[i]), &k, &err) == OC_OK)
			fail_msg("accepted: %s", bad[i]);
		assert_int_equal(err.code, OC_E_INVALID);
	}
	char out[OC_SESSION_KEY_MAX];
	assert_int_not_equal(oc_session_key_build(&(oc_session_key){.agent = "a", .kind = "named", .name = "dm:1"}, out, NULL),
			     OC_OK);
	oc_session_key big = {.agent = "a", .kind = "dm"};
	memset(big.peer, ':', 256);
	assert_int_equal(oc_session_key_build(&big, out, NULL), OC_E_LIMIT);
}

/* A peer cannot write itself into another one's session. */
static void no_collisions(void **state)
{
	(void)state;
	oc_session_key a = {.agent = "main", .kind = "dm", .channel = "t", .peer = "x:account:y:dm:z"};
	oc_session_key b = {.agent = "main", .kind = "dm", .channel = "t", .account = "y", .peer = "z"};
	char one[OC_SESSION_KEY_MAX], two[OC_SESSION_KEY_MAX];
	assert_int_equal(oc_session_key_build(&a, one, NULL), OC_OK);
	assert_int_equal(oc_session_key_build(&b, two, NULL), OC_OK);
	assert_string_not_equal(one, two);
	assert_null(strchr(strstr(one, "dm:") + 3, ':'));
}

static void names_resolve(void **state)
{
	(void)state;
	char out[OC_SESSION_KEY_MAX];
	oc_err err = {0};
	assert_int_equal(oc_session_key_resolve(OC_STR(""), "main", "main", out, &err), OC_OK);
	assert_string_equal(out, "agent:main:main");
	assert_int_equal(oc_session_key_resolve(OC_STR("main"), "Work Bot", "home", out, &err), OC_OK);
	assert_string_equal(out, "agent:work-bot:home");
	assert_int_equal(oc_session_key_resolve(OC_STR("my notes"), "main", NULL, out, &err), OC_OK);
	assert_string_equal(out, "agent:main:my%20notes");
	assert_int_equal(oc_session_key_resolve(oc_str_of(out), "other", NULL, out, &err), OC_OK);
	assert_string_equal(out, "agent:main:my%20notes");
	assert_int_equal(oc_session_key_resolve(OC_STR("agent:x"), "main", NULL, out, &err), OC_E_INVALID);
	assert_int_equal(oc_session_key_resolve(OC_STR("dm:5"), "main", NULL, out, &err), OC_E_INVALID);
	char id[65];
	oc_agent_id_normalize(OC_STR(" ..Ärger!! "), id);
	assert_string_equal(id, "rger");
	oc_agent_id_normalize(OC_STR("***"), id);
	assert_string_equal(id, "main");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(builds_and_reads),
		cmocka_unit_test(refuses),
		cmocka_unit_test(no_collisions),
		cmocka_unit_test(names_resolve),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
