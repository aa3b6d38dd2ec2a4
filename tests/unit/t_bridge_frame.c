/* ipc-bridge/frame: what is written is read, what is no frame is refused. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "ipc-bridge/frame.h"

static void reads_what_it_wrote(void **state)
{
	(void)state;
	char message[OC_FRAME_HEAD_MAX + 2];
	oc_frame in = {.kind = OC_FRAME_CALL, .id = 7, .number = 1000, .name = OC_STR("hook")}, out;
	size_t n = oc_frame_head(&in, (unsigned char *)message);
	/* The same bytes as the JavaScript side writes. */
	assert_int_equal(n, 16);
	assert_memory_equal(message, "\x01\x02\x00\x04\x00\x00\x00\x07\x00\x00\x03\xe8hook", 16);
	memcpy(message + n, "{}", 2);
	assert_int_equal(oc_frame_decode((oc_str){message, n + 2}, &out, NULL), OC_OK);
	assert_int_equal(out.kind, OC_FRAME_CALL);
	assert_int_equal(out.id, 7);
	assert_int_equal(out.number, 1000);
	assert_true(oc_str_eqz(out.name, "hook"));
	assert_true(oc_str_eqz(out.payload, "{}"));
}

static void refuses_what_is_none(void **state)
{
	(void)state;
	static const struct {
		const char *bytes;
		size_t n;
	} bad[] = {
		{"", 0},
		{"\x01\x02\x00\x00\x00\x00\x00\x07\x00\x00\x00", 11},
		{"\x02\x02\x00\x00\x00\x00\x00\x07\x00\x00\x00\x00", 12},
		{"\x01\x00\x00\x00\x00\x00\x00\x07\x00\x00\x00\x00", 12},
		{"\x01\x0a\x00\x00\x00\x00\x00\x07\x00\x00\x00\x00", 12},
		{"\x01\x02\x00\x01\x00\x00\x00\x07\x00\x00\x00\x00", 12},
		{"\x01\x02\xff\xff\x00\x00\x00\x07\x00\x00\x00\x00", 12},
	};
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		oc_err err = {0};
		oc_frame out;
		assert_int_equal(oc_frame_decode((oc_str){bad[i].bytes, bad[i].n}, &out, &err), OC_E_PROTOCOL);
		assert_true(err.text[0] != 0);
	}
	char name[OC_FRAME_NAME_MAX + 1];
	memset(name, 'x', sizeof(name));
	unsigned char head[OC_FRAME_HEAD_MAX];
	assert_int_equal(oc_frame_head(&(oc_frame){.kind = OC_FRAME_CALL, .name = {name, sizeof(name)}}, head), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(reads_what_it_wrote),
		cmocka_unit_test(refuses_what_is_none),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
