/* core/module/manifest: what a manifest must say, and how it says what is wrong. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "core/base/mem.h"
#include "core/base/str.h"
#include "core/module/manifest.h"

#define HEAD "{\"name\":\"demo\",\"version\":\"1.0\",\"license\":\"MIT\",\"description\":\"d\","
#define ABI "\"abi\":{\"major\":1,\"minor\":0},"
#define KINDS "\"kinds\":[\"tool\"]"

static void accepts(const char *text)
{
	oc_manifest *m = NULL;
	oc_err err = {0};

	if (oc_manifest_parse(oc_str_of(text), &m, &err) != OC_OK)
		fail_msg("%s: %s", text, err.text);
	oc_manifest_free(m);
}

static void refuses(const char *text, const char *says)
{
	oc_manifest *m = NULL;
	oc_err err = {0};
	unsigned long live = oc_mem_live();

	assert_int_not_equal(oc_manifest_parse(oc_str_of(text), &m, &err), OC_OK);
	assert_null(m);
	if (strstr(err.text, says) == NULL)
		fail_msg("\"%s\" does not say \"%s\"", err.text, says);
	assert_int_equal(oc_mem_live(), live);
}

static void reads_all_members(void **state)
{
	const char *text =
		"{\"name\":\"tele.gram-2\",\"version\":\"1.2.3\",\"license\":\"MIT\",\"description\":\"Bots\","
		"\"homepage\":\"https://example.org\",\"abi\":{\"major\":1,\"minor\":0},\"kinds\":[\"channel\",\"http\"],"
		"\"configPath\":\"tools.exec\",\"configSchema\":{\"type\":\"object\"},\"capabilities\":[\"net\"],"
		"\"secrets\":[\"channels.telegram.botToken\",\"channels.telegram.accounts.*.botToken\"],"
		"\"services\":[\"http.client\",\"kv\"],\"isolation\":\"inprocess\",\"channels\":[{\"id\":\"telegram\"}],"
		"\"providers\":[{\"id\":\"openai\"}],\"tools\":[\"read\"],\"somethingNewer\":{\"x\":1}}";
	oc_manifest *m = NULL;

	(void)state;
	assert_int_equal(oc_manifest_parse(oc_str_of(text), &m, NULL), OC_OK);
	assert_string_equal(m->name, "tele.gram-2");
	assert_string_equal(m->version, "1.2.3");
	assert_string_equal(m->license, "MIT");
	assert_string_equal(m->homepage, "https://example.org");
	assert_string_equal(m->config_path, "tools.exec");
	assert_string_equal(m->isolation, "inprocess");
	assert_int_equal(m->abi_major, 1);
	assert_int_equal(m->abi_minor, 0);
	assert_int_equal(m->kinds, 1u << OC_KIND_CHANNEL | 1u << OC_KIND_HTTP);
	assert_true(oc_manifest_lists(m->services, OC_STR("kv")));
	assert_false(oc_manifest_lists(m->services, OC_STR("k")));
	assert_false(oc_manifest_lists(NULL, OC_STR("kv")));
	assert_non_null(m->config_schema);
	assert_int_equal(cJSON_GetArraySize(m->channels), 1);
	assert_int_equal(oc_json_i64(oc_json_get(m->root, "somethingNewer"), "x", 0), 1);
	oc_manifest_free(m);
}

static void secrets_match_member_by_member(void **state)
{
	oc_manifest *m = NULL;

	(void)state;
	assert_int_equal(oc_manifest_parse(OC_STR(HEAD ABI KINDS ",\"secrets\":[\"models.providers.*.apiKey\",\"x.y\"]}"), &m, NULL),
			 OC_OK);
	assert_true(oc_manifest_wants_secret(m, OC_STR("models.providers.openai.apiKey")));
	assert_true(oc_manifest_wants_secret(m, OC_STR("x.y")));
	assert_false(oc_manifest_wants_secret(m, OC_STR("models.providers.apiKey")));
	assert_false(oc_manifest_wants_secret(m, OC_STR("models.providers..apiKey")));
	assert_false(oc_manifest_wants_secret(m, OC_STR("models.providers.a.b.apiKey")));
	assert_false(oc_manifest_wants_secret(m, OC_STR("models.providers.openai.apiKey.x")));
	assert_false(oc_manifest_wants_secret(m, OC_STR("models.providers.openai")));
	assert_false(oc_manifest_wants_secret(m, OC_STR("x.yy")));
	assert_false(oc_manifest_wants_secret(m, OC_STR("")));
	oc_manifest_free(m);
}

static void required_members(void **state)
{
	(void)state;
	accepts(HEAD ABI KINDS "}");
	refuses("", "not valid JSON");
	refuses("[]", "must be a JSON object");
	refuses("{\"name\":\"a\",\"name\":\"b\"}", "not valid JSON");
	refuses("{}", "lacks \"name\"");
	refuses("{\"name\":7}", "\"name\" in the manifest must be a text");
	refuses("{\"name\":\"demo\"}", "lacks \"version\"");
	refuses("{\"name\":\"demo\",\"version\":\"1\"}", "lacks \"license\"");
	refuses("{\"name\":\"demo\",\"version\":\"1\",\"license\":\"MIT\"}", "lacks \"description\"");
	refuses("{\"name\":\"demo\",\"version\":\"\"}", "\"version\" in the manifest must have 1 to 64 bytes");
	refuses(HEAD KINDS "}", "\"abi\": {\"major\": 1, \"minor\": 0}");
	refuses(HEAD "\"abi\":{\"major\":0,\"minor\":0}," KINDS "}", "\"abi\"");
	refuses(HEAD "\"abi\":{\"major\":1.5,\"minor\":0}," KINDS "}", "\"abi\"");
	refuses(HEAD "\"abi\":{\"major\":1,\"minor\":70000}," KINDS "}", "\"abi\"");
	refuses(HEAD ABI "\"kinds\":[]}", "lacks \"kinds\"");
	refuses(HEAD ABI "\"kinds\":\"tool\"}", "\"kinds\" in the manifest must be a list");
	refuses(HEAD ABI "\"kinds\":[\"tools\"]}", "kind \"tools\"");
}

static void optional_members(void **state)
{
	(void)state;
	refuses(HEAD ABI KINDS ",\"isolation\":\"vm\"}", "\"inprocess\" or \"process\"");
	refuses(HEAD ABI KINDS ",\"configSchema\":[]}", "\"configSchema\"");
	refuses(HEAD ABI KINDS ",\"capabilities\":{}}", "\"capabilities\" in the manifest must be a list");
	refuses(HEAD ABI KINDS ",\"capabilities\":[1]}", "must hold words");
	refuses(HEAD ABI KINDS ",\"secrets\":[\"\"]}", "must hold words");
	refuses(HEAD ABI KINDS ",\"providers\":[{}]}", "needs an \"id\"");
	refuses(HEAD ABI KINDS ",\"channels\":[{\"id\":\"A B\"}]}", "needs an \"id\"");
	refuses(HEAD ABI KINDS ",\"providers\":{}}", "\"providers\" in the manifest must be a list");
	refuses(HEAD ABI KINDS ",\"homepage\":\"a\\u001b[31m\"}", "control character");
}

static void names(void **state)
{
	(void)state;
	assert_true(oc_manifest_name_ok(OC_STR("a")));
	assert_true(oc_manifest_name_ok(OC_STR("a1._-")));
	assert_false(oc_manifest_name_ok(OC_STR("")));
	assert_false(oc_manifest_name_ok(OC_STR("1a")));
	assert_false(oc_manifest_name_ok(OC_STR("../x")));
	assert_false(oc_manifest_name_ok(OC_STR("A")));
	assert_false(oc_manifest_name_ok(OC_STR("a/b")));
	assert_false(oc_manifest_name_ok(OC_STR("aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa")));
	refuses("{\"name\":\"Demo\",\"version\":\"1\"}", "must begin with a-z");
	for (uint32_t k = 1; k <= OC_KIND_SERVICE; k++)
		assert_int_equal(oc_kind_by_name(oc_str_of(oc_kind_name(k))), k);
	assert_null(oc_kind_name(0));
	assert_null(oc_kind_name(99));
}

static void limits(void **state)
{
	oc_sbuf b;

	(void)state;
	oc_sbuf_init(&b, 1 << 20);
	oc_sbuf_z(&b, HEAD ABI KINDS ",\"capabilities\":[");
	for (int i = 0; i < 65; i++)
		oc_sbuf_printf(&b, "%s\"c%d\"", i == 0 ? "" : ",", i);
	oc_sbuf_z(&b, "]}");
	refuses(oc_sbuf_view(&b).p, "more than 64");
	oc_sbuf_clear(&b);
	oc_sbuf_z(&b, HEAD ABI KINDS ",\"configSchema\":");
	for (int i = 0; i < 60; i++)
		oc_sbuf_z(&b, "{\"a\":");
	oc_sbuf_z(&b, "1");
	for (int i = 0; i < 60; i++)
		oc_sbuf_z(&b, "}");
	oc_sbuf_z(&b, "}");
	refuses(oc_sbuf_view(&b).p, "not valid JSON");
	oc_sbuf_free(&b);
}

static void out_of_memory_is_an_error(void **state)
{
	unsigned long live = oc_mem_live();
	int succeeded = 0;

	(void)state;
	for (unsigned long n = 1; n < 200 && !succeeded; n++) {
		oc_manifest *m = NULL;

		oc_mem_fail_at(n);
		succeeded = oc_manifest_parse(OC_STR(HEAD ABI KINDS "}"), &m, NULL) == OC_OK;
		oc_mem_fail_at(0);
		oc_manifest_free(m);
		assert_int_equal(oc_mem_live(), live);
	}
	assert_true(succeeded);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(reads_all_members), cmocka_unit_test(secrets_match_member_by_member),
		cmocka_unit_test(required_members),  cmocka_unit_test(optional_members),
		cmocka_unit_test(names),             cmocka_unit_test(limits),
		cmocka_unit_test(out_of_memory_is_an_error),
	};

	return cmocka_run_group_tests_name("manifest", tests, NULL, NULL);
}
