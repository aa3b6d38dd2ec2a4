/* Unit tests of the JSON-RPC codec and the method table, without a gateway: methods that need none. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <string.h>

#include "core/base/mem.h"
#include "core/data/schema.h"
#include "core/gateway/gateway.h"
#include "core/gateway/jsonrpc.h"

static oc_gateway gw;
static char *answer;
static int answers;

static void keep(void *arg, oc_str text)
{
	(void)arg;
	oc_free(answer);
	answer = oc_memdup(text.p, text.n);
	answers++;
}

static const cJSON *ask(unsigned scopes, const char *message)
{
	static cJSON *tree;
	cJSON_Delete(tree);
	tree = NULL;
	oc_client *client = oc_alloc(sizeof *client);
	client->gateway = &gw;
	client->refs = 1;
	client->scopes = scopes;
	answers = 0;
	oc_jsonrpc_handle(client, oc_str_of(message), keep, NULL);
	oc_client_gone(client);
	assert_int_equal(answers, 1);
	if (answer[0] != 0)
		assert_int_equal(oc_json_parse(oc_str_of(answer), NULL, &tree, NULL), OC_OK);
	return tree;
}

static int64_t code(const cJSON *a)
{
	return oc_json_i64(oc_json_get(a, "error"), "code", 0);
}

static void the_table_is_sorted_and_its_schemas_are_schemas(void **state)
{
	(void)state;
	const oc_method *m, *before = NULL;
	for (size_t i = 0; (m = oc_method_row(i)) != NULL; before = m, i++) {
		if (before != NULL)
			assert_true(strcmp(before->name, m->name) < 0);
		oc_auto_json cJSON *schema = NULL;
		oc_err err = {0};
		assert_true(strlen(m->summary) > 5);
		if (m->params == NULL) /* whatever comes is ignored */
			continue;
		assert_int_equal(oc_json_parse(oc_str_of(m->params), NULL, &schema, &err), OC_OK);
		assert_int_equal(oc_schema_valid(schema, &err), OC_OK);
	}
	assert_non_null(before);
}

static void ids_come_back_as_they_were(void **state)
{
	(void)state;
	const cJSON *a = ask(0, "{\"jsonrpc\":\"2.0\",\"id\":\"x\",\"method\":\"system.version\"}");
	assert_string_equal(oc_json_str(a, "id", ""), "x");
	assert_string_equal(oc_json_str(oc_json_get(a, "result"), "name", ""), "openclaw");
	a = ask(0, "{\"jsonrpc\":\"2.0\",\"id\":-7,\"method\":\"system.version\",\"params\":[]}");
	assert_int_equal(oc_json_i64(a, "id", 0), -7);
	a = ask(0, "{\"jsonrpc\":\"2.0\",\"id\":null,\"method\":\"system.version\"}");
	assert_true(cJSON_HasObjectItem(a, "id"));
	assert_null(ask(0, "{\"jsonrpc\":\"2.0\",\"method\":\"system.version\"}"));
	/* 64 bits do not fit a double: the digits are what comes back. */
	assert_non_null(ask(0, "{\"jsonrpc\":\"2.0\",\"id\":9223372036854775807,\"method\":\"system.version\"}"));
	assert_non_null(strstr(answer, "\"id\":9223372036854775807}"));
	assert_null(ask(0, "{\"jsonrpc\":\"2.0\",\"method\":\"no.such\"}"));
	assert_null(ask(0, "{\"jsonrpc\":\"2.0\",\"method\":\"system.version\",\"params\":[1]}"));
	assert_null(ask(0, "{\"jsonrpc\":\"2.0\",\"method\":\"system.version\",\"params\":{\"x\":1}}"));
}

static void what_is_not_a_request_is_told(void **state)
{
	(void)state;
	assert_int_equal(code(ask(7, "")), -32700);
	assert_int_equal(code(ask(7, "{\"a\":1} x")), -32700);
	assert_int_equal(code(ask(7, "\"text\"")), -32600);
	assert_int_equal(code(ask(7, "[]")), -32600);
	assert_int_equal(code(ask(7, "{\"jsonrpc\":\"1.0\",\"id\":1,\"method\":\"system.version\"}")), -32600);
	assert_int_equal(code(ask(7, "{\"jsonrpc\":\"2.0\",\"id\":{},\"method\":\"system.version\"}")), -32600);
	assert_int_equal(code(ask(7, "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":5}")), -32600);
	assert_int_equal(code(ask(7, "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"system.version\",\"params\":[1]}")), -32602);
	assert_int_equal(code(ask(7, "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"system.versio\"}")), -32601);
	assert_int_equal(code(ask(7, "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"logs.tail\",\"params\":{\"limit\":\"x\"}}")), -32602);
	/* Newer clients say more than we know. */
	assert_int_equal(code(ask(7, "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"system.version\",\"params\":{\"x\":1}}")), 0);
}

static void scopes_are_checked_before_parameters(void **state)
{
	(void)state;
	assert_int_equal(code(ask(0, "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"system.health\"}")), -32001);
	assert_int_equal(code(ask(OC_SCOPE_READ, "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"session.message\"}")), -32002);
	assert_int_equal(code(ask(OC_SCOPE_READ, "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"system.health\"}")), 0);
	assert_int_equal(code(ask(OC_SCOPE_WRITE, "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"system.health\"}")), -32002);
}

static void batches_answer_each_but_notifications(void **state)
{
	(void)state;
	const cJSON *a = ask(7, "[{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"system.version\"},"
				"{\"jsonrpc\":\"2.0\",\"method\":\"system.version\"},3,"
				"{\"jsonrpc\":\"2.0\",\"id\":2,\"method\":\"x\"}]");
	assert_int_equal(cJSON_GetArraySize(a), 3);
	assert_null(ask(7, "[{\"jsonrpc\":\"2.0\",\"method\":\"system.version\"}]"));
	oc_sbuf many;
	oc_sbuf_init(&many, 1 << 16);
	for (int i = 0; i < OC_JSONRPC_MAX_BATCH + 1; i++)
		oc_sbuf_z(&many, i == 0 ? "[1" : ",1");
	oc_sbuf_char(&many, ']');
	assert_int_equal(code(ask(7, many.p)), -32600);
	oc_sbuf_free(&many);
}

static int tidy(void **state)
{
	(void)state;
	ask(0, "[1]");
	oc_free(answer);
	answer = NULL;
	oc_method_cleanup();
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_table_is_sorted_and_its_schemas_are_schemas),
		cmocka_unit_test(ids_come_back_as_they_were),
		cmocka_unit_test(what_is_not_a_request_is_told),
		cmocka_unit_test(scopes_are_checked_before_parameters),
		cmocka_unit_test(batches_answer_each_but_notifications),
	};
	return cmocka_run_group_tests(tests, NULL, tidy);
}
