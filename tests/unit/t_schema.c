/* Unit tests of JSON Schema: what passes, what does not and where, defaults, and schemas that are none. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/mem.h"
#include "core/data/schema.h"

static cJSON *tree(const char *text)
{
	cJSON *node = NULL;
	oc_err err = {0};
	if (oc_json_parse(oc_str_of(text), NULL, &node, &err) != OC_OK)
		fail_msg("%s: %s", text, err.text);
	return node;
}

/* schema, value, NULL when it passes or the message */
static const struct {
	const char *schema, *value, *message;
} rows[] = {
	{"{}", "[1]", NULL},
	{"true", "1", NULL},
	{"false", "1", "is not allowed"},
	{"{\"type\":\"string\"}", "\"x\"", NULL},
	{"{\"type\":\"string\"}", "1", "must be a string, is a number"},
	{"{\"type\":\"integer\"}", "1.0", NULL},
	{"{\"type\":\"integer\"}", "1.5", "must be a whole number, is a fraction"},
	{"{\"type\":\"number\"}", "1.5", NULL},
	{"{\"type\":\"null\"}", "null", NULL},
	{"{\"type\":\"null\"}", "0", "must be null, is a number"},
	{"{\"type\":\"boolean\"}", "false", NULL},
	{"{\"type\":\"boolean\"}", "\"true\"", "must be true or false, is a string"},
	{"{\"type\":\"array\"}", "{}", "must be a list, is an object"},
	{"{\"type\":\"object\"}", "[]", "must be an object, is a list"},
	{"{\"type\":[\"string\",\"number\"]}", "1", NULL},
	{"{\"type\":[\"string\",\"number\"]}", "null", "must be a string or a number, is null"},
	{"{\"enum\":[\"off\",\"on\"]}", "\"on\"", NULL},
	{"{\"enum\":[\"loopback\",\"lan\"]}", "\"loopbak\"", "must be \"loopback\" or \"lan\", is \"loopbak\"; did you mean \"loopback\"?"},
	{"{\"enum\":[1,\"a\",null]}", "[]", "must be 1, \"a\" or null, is a list"},
	{"{\"const\":{\"a\":1}}", "{\"a\":1}", NULL},
	{"{\"const\":3}", "4", "must be 3"},
	{"{\"minimum\":1,\"maximum\":65535}", "65535", NULL},
	{"{\"minimum\":1}", "0", "must be at least 1, is 0"},
	{"{\"maximum\":65535}", "70000", "must be at most 65535, is 70000"},
	{"{\"exclusiveMinimum\":0}", "0", "must be more than 0, is 0"},
	{"{\"exclusiveMaximum\":1}", "1", "must be less than 1, is 1"},
	{"{\"multipleOf\":0.1}", "0.3", NULL},
	{"{\"multipleOf\":5}", "7", "must be a multiple of 5, is 7"},
	{"{\"minimum\":5}", "\"not a number\"", NULL},
	{"{\"minLength\":1}", "\"\"", "must not be empty"},
	{"{\"maxLength\":2}", "\"\xc3\xa9\xc3\xa9\"", NULL},
	{"{\"maxLength\":1}", "\"ab\"", "must have at most 1 characters, has 2"},
	{"{\"pattern\":\"^[a-z]+$\"}", "\"abc\"", NULL},
	{"{\"pattern\":\"^[a-z]+$\"}", "\"aBc\"", "does not match the pattern ^[a-z]+$"},
	{"{\"pattern\":\"(?=x)\"}", "\"a\"", NULL}, /* not supported: not checked */
	{"{\"items\":{\"type\":\"string\"}}", "[\"a\",\"b\"]", NULL},
	{"{\"items\":{\"type\":\"string\"}}", "[\"a\",2]", "[1] must be a string, is a number"},
	{"{\"items\":[{\"type\":\"string\"},{\"type\":\"number\"}],\"additionalItems\":false}", "[\"a\",1]", NULL},
	{"{\"items\":[{\"type\":\"string\"}],\"additionalItems\":false}", "[\"a\",1]", "[1] is not allowed"},
	{"{\"prefixItems\":[{\"type\":\"string\"}],\"items\":{\"type\":\"number\"}}", "[\"a\",1,true]", "[2] must be a number, is true"},
	{"{\"minItems\":2}", "[1]", "must have at least 2 entries, has 1"},
	{"{\"maxItems\":1}", "[1,2]", "must have at most 1 entries, has 2"},
	{"{\"uniqueItems\":true}", "[1,{\"a\":1},{\"a\":1}]", "has the same entry twice"},
	{"{\"contains\":{\"const\":2}}", "[1,2]", NULL},
	{"{\"contains\":{\"const\":3}}", "[1,2]", "has no entry of the kind that is needed"},
	{"{\"required\":[\"id\"]}", "{\"id\":null}", NULL},
	{"{\"required\":[\"id\"]}", "{}", "needs \"id\""},
	{"{\"properties\":{\"a\":{\"type\":\"string\"}}}", "{\"b\":1}", NULL},
	{"{\"properties\":{\"a\":{\"properties\":{\"b.c\":{\"type\":\"string\"}}}}}", "{\"a\":{\"b.c\":1}}",
	 "a[\"b.c\"] must be a string, is a number"},
	{"{\"properties\":{\"port\":{}},\"additionalProperties\":false}", "{\"prot\":1}", "prot is not known; did you mean \"port\"?"},
	{"{\"additionalProperties\":{\"type\":\"number\"}}", "{\"x\":\"y\"}", "x must be a number, is a string"},
	{"{\"patternProperties\":{\"^x-\":{\"type\":\"number\"}},\"additionalProperties\":false}", "{\"x-a\":1}", NULL},
	{"{\"patternProperties\":{\"^x-\":{\"type\":\"number\"}},\"additionalProperties\":false}", "{\"x-a\":\"\"}",
	 "x-a must be a number, is a string"},
	{"{\"patternProperties\":{\"^x-\":{}},\"additionalProperties\":false}", "{\"y\":1}", "y is not known"},
	{"{\"propertyNames\":{\"pattern\":\"^[a-z]+$\"}}", "{\"A\":1}", "A does not match the pattern ^[a-z]+$"},
	{"{\"minProperties\":1}", "{}", "must have at least 1 members, has 0"},
	{"{\"maxProperties\":1}", "{\"a\":1,\"b\":2}", "must have at most 1 members, has 2"},
	{"{\"dependencies\":{\"cert\":[\"key\"]}}", "{\"cert\":1}", "needs \"key\" because \"cert\" is set"},
	{"{\"dependencies\":{\"a\":{\"required\":[\"b\"]}}}", "{\"a\":1}", "needs \"b\""},
	{"{\"allOf\":[{\"minimum\":1},{\"maximum\":3}]}", "2", NULL},
	{"{\"allOf\":[{\"minimum\":1},{\"maximum\":3}]}", "5", "must be at most 3, is 5"},
	{"{\"anyOf\":[{\"type\":\"string\"},{\"type\":\"object\"}]}", "{}", NULL},
	{"{\"anyOf\":[{\"type\":\"string\"},{\"type\":\"object\"}]}", "1", "must be a string or an object, is a number"},
	{"{\"anyOf\":[{\"type\":\"string\"},{\"type\":\"object\",\"required\":[\"primary\"]}]}", "{}", "needs \"primary\""},
	{"{\"anyOf\":[{\"const\":\"auto\"},{\"type\":\"boolean\"}]}", "\"x\"", "must be \"auto\" or true or false, is a string"},
	{"{\"anyOf\":[{\"minLength\":3},{\"maxLength\":1}]}", "\"xx\"", "fits none of the allowed forms"},
	{"{\"oneOf\":[{\"minimum\":2},{\"maximum\":3}]}", "1", NULL},
	{"{\"oneOf\":[{\"minimum\":2},{\"maximum\":3}]}", "2", "fits 2 of the allowed forms, must fit one"},
	{"{\"not\":{\"type\":\"null\"}}", "1", NULL},
	{"{\"not\":{\"type\":\"null\"}}", "null", "is of a form that is not allowed"},
	{"{\"if\":{\"required\":[\"a\"]},\"then\":{\"required\":[\"b\"]},\"else\":{\"required\":[\"c\"]}}", "{\"a\":1,\"b\":1}", NULL},
	{"{\"if\":{\"required\":[\"a\"]},\"then\":{\"required\":[\"b\"]},\"else\":{\"required\":[\"c\"]}}", "{}", "needs \"c\""},
	{"{\"definitions\":{\"p\":{\"type\":\"integer\"}},\"properties\":{\"x\":{\"$ref\":\"#/definitions/p\"}}}", "{\"x\":1}", NULL},
	{"{\"definitions\":{\"p\":{\"type\":\"integer\"}},\"properties\":{\"x\":{\"$ref\":\"#/definitions/p\"}}}", "{\"x\":\"\"}",
	 "x must be a whole number, is a string"},
	{"{\"$defs\":{\"a/b~c\":{\"const\":1}},\"$ref\":\"#/$defs/a~1b~0c\"}", "2", "must be 1"},
	{"{\"properties\":{\"next\":{\"$ref\":\"#\"},\"v\":{\"type\":\"number\"}}}", "{\"next\":{\"next\":{\"v\":true}}}",
	 "next.next.v must be a number, is true"},
	{"{\"$ref\":\"#/nowhere\"}", "1", "cannot be checked: the schema has no #/nowhere"},
};

static void checks_values(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		oc_auto_json cJSON *schema = tree(rows[i].schema), *value = tree(rows[i].value);
		oc_err err = {0};
		oc_status status = oc_schema_check(schema, value, &err);
		if (rows[i].message == NULL && status != OC_OK)
			fail_msg("%s refuses %s: %s", rows[i].schema, rows[i].value, err.text);
		if (rows[i].message != NULL && (status != OC_E_INVALID || strcmp(err.text, rows[i].message) != 0))
			fail_msg("%s and %s: \"%s\" instead of \"%s\"", rows[i].schema, rows[i].value, err.text, rows[i].message);
		assert_int_equal(oc_schema_valid(schema, NULL), strstr(rows[i].schema, "nowhere") == NULL ? OC_OK : OC_E_INVALID);
	}
}

struct heard {
	char text[500];
	unsigned n, most;
};

static bool hear(void *arg, const oc_schema_issue *issue)
{
	struct heard *h = arg;
	size_t used = strlen(h->text);
	snprintf(h->text + used, sizeof h->text - used, "%s:%s;", issue->path, issue->keyword);
	return ++h->n < h->most;
}

static void reports_every_failure_in_order(void **state)
{
	(void)state;
	oc_auto_json cJSON *schema = tree("{\"properties\":{\"a\":{\"type\":\"string\"},\"b\":{\"items\":{\"minimum\":5}}},"
					  "\"additionalProperties\":false,\"required\":[\"z\"]}");
	oc_auto_json cJSON *value = tree("{\"a\":1,\"b\":[1,9,2],\"c\":3}");
	struct heard all = {.most = 99}, two = {.most = 2};
	assert_int_equal(oc_schema_report_all(schema, value, "x.y", hear, &all), OC_E_INVALID);
	assert_string_equal(all.text, "x.y:required;x.y.a:type;x.y.b[0]:minimum;x.y.b[2]:minimum;x.y.c:additionalProperties;");
	assert_int_equal(oc_schema_report_all(schema, value, NULL, hear, &two), OC_E_INVALID);
	assert_string_equal(two.text, ":required;a:type;");
}

static void fills_in_defaults(void **state)
{
	(void)state;
	static const struct {
		const char *schema, *before, *after;
	} fills[] = {
		{"{\"properties\":{\"a\":{\"default\":1},\"b\":{\"default\":[2]}}}", "{\"a\":5}", "{\"a\":5,\"b\":[2]}"},
		{"{\"properties\":{\"a\":{\"default\":1}}}", "{\"a\":null}", "{\"a\":null}"},
		{"{\"properties\":{\"o\":{\"properties\":{\"x\":{\"default\":1}}}}}", "{}", "{}"},
		{"{\"properties\":{\"o\":{\"default\":{},\"properties\":{\"x\":{\"default\":1}}}}}", "{}", "{\"o\":{\"x\":1}}"},
		{"{\"additionalProperties\":{\"properties\":{\"x\":{\"default\":1}}}}", "{\"any\":{}}", "{\"any\":{\"x\":1}}"},
		{"{\"items\":{\"properties\":{\"x\":{\"default\":1}}}}", "[{},{\"x\":2},3]", "[{\"x\":1},{\"x\":2},3]"},
		{"{\"definitions\":{\"d\":{\"properties\":{\"x\":{\"default\":1}}}},\"properties\":{\"o\":{\"$ref\":\"#/definitions/d\"}}}",
		 "{\"o\":{}}", "{\"o\":{\"x\":1}}"},
		{"{\"allOf\":[{\"properties\":{\"x\":{\"default\":1}}}]}", "{}", "{\"x\":1}"},
	};
	for (size_t i = 0; i < sizeof fills / sizeof *fills; i++) {
		oc_auto_json cJSON *schema = tree(fills[i].schema), *value = tree(fills[i].before), *after = tree(fills[i].after);
		assert_int_equal(oc_schema_check_fill(schema, value, NULL), OC_OK);
		oc_auto_free char *print = oc_json_print(value);
		if (!oc_json_equal(value, after))
			fail_msg("%s: %s", fills[i].schema, print);
	}
	/* A default that the schema refuses is found too. */
	oc_auto_json cJSON *schema = tree("{\"properties\":{\"a\":{\"type\":\"string\",\"default\":1}}}"), *value = tree("{}");
	oc_err err = {0};
	assert_int_equal(oc_schema_check_fill(schema, value, &err), OC_E_INVALID);
	assert_string_equal(err.text, "a must be a string, is a number");
}

static void recursion_has_an_end(void **state)
{
	(void)state;
	oc_err err = {0};
	oc_auto_json cJSON *one = tree("1"), *loop = tree("{\"$ref\":\"#\"}"), *all = tree("{\"allOf\":[{\"$ref\":\"#\"}]}");
	assert_int_equal(oc_schema_check(loop, one, &err), OC_E_LIMIT);
	assert_int_equal(oc_schema_check(all, one, &err), OC_E_LIMIT);
	assert_int_equal(oc_schema_fill(all, one), OC_OK); /* nothing to fill in */
	oc_auto_json cJSON *object = tree("{}");
	assert_int_equal(oc_schema_fill(all, object), OC_E_LIMIT);
	/* 2^200 ways through it, if they were all tried. */
	oc_auto_json cJSON *wide = tree("{\"anyOf\":[{\"$ref\":\"#\"},{\"$ref\":\"#\"}]}");
	assert_int_equal(oc_schema_check(wide, one, &err), OC_E_LIMIT);
	oc_auto_json cJSON *filled = tree("{\"allOf\":[{\"$ref\":\"#\"},{\"$ref\":\"#\"}]}");
	assert_int_equal(oc_schema_check_fill(filled, object, &err), OC_E_LIMIT);
	oc_auto_json cJSON *unique = tree("{\"uniqueItems\":true}"), *many = cJSON_CreateArray();
	for (int i = 0; i < 5000; i++)
		cJSON_AddItemToArray(many, cJSON_CreateNumber(i));
	assert_int_equal(oc_schema_check(unique, many, &err), OC_E_LIMIT);
}

static void refuses_what_is_no_schema(void **state)
{
	(void)state;
	static const struct {
		const char *schema, *message;
	} bad[] = {
		{"1", "a schema must be an object, true or false"},
		{"{\"type\":\"text\"}", "type must be the name of a type"},
		{"{\"type\":[]}", "type must be the name of a type"},
		{"{\"type\":[\"string\",1]}", "type must be the name of a type"},
		{"{\"properties\":{\"a\":{\"minimum\":\"1\"}}}", "properties: a: minimum must be a number"},
		{"{\"properties\":[]}", "properties must be an object of schemas"},
		{"{\"required\":\"a\"}", "required must be a list of names"},
		{"{\"minLength\":-1}", "minLength must be a whole number"},
		{"{\"enum\":\"a\"}", "enum must be a list"},
		{"{\"anyOf\":[]}", "anyOf must be a list of schemas"},
		{"{\"items\":[true,3]}", "items: a schema must be an object, true or false"},
		{"{\"pattern\":\"(\"}", "pattern: the pattern has a ( without ) at character 2"},
		{"{\"patternProperties\":{\"[\":{}}}", "patternProperties: the pattern has a [ without ] at character 2"},
		{"{\"$ref\":\"#/definitions/x\"}", "$ref: #/definitions/x leads nowhere in this schema"},
		{"{\"$ref\":\"http://example.com/schema\"}", "$ref: http://example.com/schema leads nowhere in this schema"},
		{"{\"dependencies\":{\"a\":1}}", "dependencies: a schema must be an object, true or false"},
		{"{\"uniqueItems\":1}", "uniqueItems must be true or false"},
		{"{\"properties\":[1],\"patternProperties\":[2],\"dependencies\":[3],\"additionalProperties\":false}",
		 "properties must be an object of schemas"},
	};
	for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
		oc_auto_json cJSON *schema = tree(bad[i].schema);
		oc_err err = {0};
		if (oc_schema_valid(schema, &err) != OC_E_INVALID || strcmp(err.text, bad[i].message) != 0)
			fail_msg("%s: %s", bad[i].schema, err.text);
		/* And checking against it does no harm. */
		oc_auto_json cJSON *value = tree("{\"a\":[1,\"x\",null]}");
		oc_schema_check(schema, value, NULL);
	}
}

static void survives_every_failed_allocation(void **state)
{
	(void)state;
	oc_auto_json cJSON *schema = tree("{\"properties\":{\"a\":{\"pattern\":\"^x+$\"},\"b\":{\"default\":{\"c\":[1]}}},"
					  "\"patternProperties\":{\"^q\":{\"type\":[\"string\",\"null\"]}},\"additionalProperties\":false}");
	unsigned long live = oc_mem_live();
	for (unsigned long n = 1;; n++) {
		cJSON *value = tree("{\"a\":\"y\",\"q\":1,\"zz\":2}");
		oc_mem_fail_at(n);
		oc_err err = {0};
		oc_status status = oc_schema_check_fill(schema, value, &err);
		oc_mem_fail_at(0);
		cJSON_Delete(value);
		assert_int_equal(oc_mem_live(), live);
		assert_true(status == OC_E_NOMEM || status == OC_E_INVALID);
		if (status == OC_E_INVALID && n > 60)
			break;
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(checks_values),	   cmocka_unit_test(reports_every_failure_in_order),
		cmocka_unit_test(fills_in_defaults),	   cmocka_unit_test(recursion_has_an_end),
		cmocka_unit_test(refuses_what_is_no_schema), cmocka_unit_test(survives_every_failed_allocation),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
