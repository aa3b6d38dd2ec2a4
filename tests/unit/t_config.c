/* Unit tests of the configuration: loading, what mistakes cost, variables, includes, the last good copy, secrets, edits. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "core/base/log.h"
#include "core/base/mem.h"
#include "core/base/path.h"
#include "core/config/config.h"
#include "core/config/table.h"
#include "core/data/json5.h"
#include "core/data/schema.h"

static char dir[64]; /* the state folder of this test */

static int setup(void **state)
{
	(void)state;
	snprintf(dir, sizeof dir, "/tmp/octcfg.XXXXXX");
	if (mkdtemp(dir) == NULL)
		return -1;
	setenv("OPENCLAW_STATE_DIR", dir, 1);
	unsetenv("OPENCLAW_CONFIG_PATH");
	unsetenv("OPENCLAW_INCLUDE_ROOTS");
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	char command[128];
	snprintf(command, sizeof command, "rm -rf %s", dir);
	return system(command) == 0 ? 0 : -1; /* tests may: the folder is ours */
}

static const char *at(const char *name)
{
	static char paths[8][160];
	static unsigned next;
	char *path = paths[next++ % 8];
	snprintf(path, sizeof paths[0], "%s/%s", dir, name);
	return path;
}

static void put(const char *name, const char *text)
{
	oc_err err = {0};
	char *folder = oc_strdup(at(name));
	*strrchr(folder, '/') = 0;
	assert_int_equal(oc_path_mkdirs(folder, 0700, &err), OC_OK);
	oc_free(folder);
	if (oc_path_write(at(name), text, strlen(text), 0600, &err) != OC_OK)
		fail_msg("%s", err.text);
}

static char *get(const char *name)
{
	char *text = NULL;
	oc_err err = {0};
	if (oc_path_read(at(name), 1 << 20, &text, NULL, &err) != OC_OK)
		fail_msg("%s", err.text);
	return text;
}

static oc_config *load(const char *text)
{
	oc_config *c = NULL;
	oc_err err = {0};
	put("openclaw.json", text);
	if (oc_config_load(NULL, &c, &err) != OC_OK)
		fail_msg("%s", err.text);
	return c;
}

/* The only problem, as "severity section: path message". */
static void assert_problem(const oc_config *c, const char *expected)
{
	char shown[1200];
	if (oc_config_problem_count(c) != 1)
		fail_msg("%zu problems instead of: %s", oc_config_problem_count(c), expected);
	const oc_config_problem *p = oc_config_problem_at(c, 0);
	snprintf(shown, sizeof shown, "%s %s: %s %s", p->severity == OC_CONFIG_ERROR ? "error" : "warning", p->section, p->path,
		 p->message);
	assert_string_equal(shown, expected);
	assert_true(p->remedy[0] != 0);
}

static void assert_json(const oc_config *c, const char *path, const char *expected)
{
	oc_auto_free char *text = oc_json_print(oc_config_get(c, path));
	assert_string_equal(text, expected);
}

/* ---- Loading ---- */

static void a_missing_file_is_the_defaults(void **state)
{
	(void)state;
	oc_config *c = NULL;
	assert_int_equal(oc_config_load(NULL, &c, NULL), OC_OK);
	assert_false(oc_config_exists(c));
	assert_string_equal(oc_config_path(c), at("openclaw.json"));
	assert_int_equal(oc_config_problem_count(c), 0);
	assert_int_equal(oc_config_i64(c, "gateway.port", -1), 18789);
	assert_string_equal(oc_config_str(c, "gateway.bind", "?"), "loopback");
	assert_json(c, "session.resetTriggers", "[\"/new\",\"/reset\"]");
	assert_null(oc_config_get(c, "agents.defaults.model"));
	assert_int_equal(oc_config_source(c)->type, cJSON_Object);
	assert_null(oc_config_source(c)->child);
	oc_config_unref(c);
}

static void values_have_types_and_fallbacks(void **state)
{
	(void)state;
	oc_config *c = load("// mine\n{ gateway: { port: 1234, tls: { enabled: true } }, agents: { defaults: { temperature: 0.5,\n"
			    "  models: { 'openai/gpt-4.1': { alias: 'gpt' } } } } }");
	assert_true(oc_config_exists(c));
	assert_int_equal(oc_config_i64(c, "gateway.port", -1), 1234);
	assert_int_equal(oc_config_i64(c, "agents.defaults.temperature", -1), -1);
	assert_true(oc_config_num(c, "agents.defaults.temperature", 0) > 0.49);
	assert_true(oc_config_bool(c, "gateway.tls.enabled", false));
	assert_true(oc_config_bool(c, "gateway.port", true));
	assert_string_equal(oc_config_str(c, "gateway.port", "-"), "-");
	assert_string_equal(oc_config_str(c, "agents.defaults.models[\"openai/gpt-4.1\"].alias", "-"), "gpt");
	assert_string_equal(oc_config_str(c, "no.such.thing", "-"), "-");
	assert_int_equal(oc_config_problem_count(c), 0);
	/* References: the second unref frees. */
	assert_ptr_equal(oc_config_ref(c), c);
	oc_config_unref(c);
	assert_int_equal(oc_config_i64(c, "gateway.port", -1), 1234);
	oc_config_unref(c);
}

static void a_broken_file_says_where(void **state)
{
	(void)state;
	oc_config *c = NULL;
	oc_err err = {0};
	char expected[200];
	put("openclaw.json", "{\n  gateway: {\n    port: 1\n    bind: 'lan'\n  }\n}");
	assert_int_equal(oc_config_load(NULL, &c, &err), OC_E_INVALID);
	snprintf(expected, sizeof expected, "%s: line 4, column 5: expected ',' or '}', found 'b'", at("openclaw.json"));
	assert_string_equal(err.text, expected);
	put("openclaw.json", "[]");
	assert_int_equal(oc_config_load(NULL, &c, &err), OC_E_INVALID);
	assert_non_null(strstr(err.text, "must be an object"));
	put("openclaw.json", "");
	assert_int_equal(oc_config_load(NULL, &c, &err), OC_E_INVALID);
	assert_int_equal(oc_config_load(dir, &c, &err), OC_E_INVALID); /* a folder */
	assert_null(c);
}

static void the_table_is_sound(void **state)
{
	(void)state;
	oc_auto_json cJSON *schema = oc_config_schema();
	oc_err err = {0};
	assert_non_null(schema);
	if (oc_schema_valid(schema, &err) != OC_OK)
		fail_msg("%s", err.text);
	/* The defaults are such as the schema allows. */
	oc_config *c = NULL;
	assert_int_equal(oc_config_load(NULL, &c, NULL), OC_OK);
	if (oc_schema_check(schema, oc_config_root(c), &err) != OC_OK)
		fail_msg("%s", err.text);
	oc_auto_free char *all = oc_json_print(oc_config_root(c));
	oc_config_unref(c);
	/* And every default in the schema is right for its own key. */
	c = load(all);
	assert_int_equal(oc_config_problem_count(c), 0);
	oc_config_unref(c);
	const cJSON *section;
	size_t n = 0;
	cJSON_ArrayForEach(section, oc_json_get(schema, "properties"))
	{
		assert_true(oc_config_section_known(section->string));
		n++;
	}
	assert_int_equal(n, oc_config_section_count);
	assert_int_equal(oc_json_path(schema, "properties.gateway.properties.port.maximum")->valueint, 65535);
	assert_true(oc_json_bool(oc_json_path(schema, "properties.gateway.properties.auth.properties.token"), "sensitive", false));
}

/* Every key that the original's schema of January 2026 lists, and all later top-level keys. */
static void a_migrating_file_has_no_problems(void **state)
{
	(void)state;
	const char *top = getenv("OC_TOP_SRCDIR");
	char path[1024];
	snprintf(path, sizeof path, "%s/tests/fuzz/corpus/config/all-known-keys", top == NULL ? "." : top);
	oc_config *c = NULL;
	oc_err err = {0};
	if (oc_config_load(path, &c, &err) != OC_OK)
		fail_msg("%s", err.text);
	assert_true(oc_config_exists(c));
	size_t idle = 0;
	for (size_t i = 0; i < oc_config_problem_count(c); i++) {
		const oc_config_problem *p = oc_config_problem_at(c, i);
		if (p->severity != OC_CONFIG_WARNING || strcmp(p->message, "has no effect here") != 0)
			fail_msg("%s %s", p->path, p->message);
		idle++;
	}
	assert_in_range(idle, 50, 200); /* said of each, and not of what works */
	assert_string_equal(oc_config_str(c, "plugins.installs.example.source", "?"), "npm");
	oc_config_unref(c);
}

/* ---- What mistakes cost ---- */

static const struct {
	const char *text, *problem, *path, *value; /* value NULL: nothing is there */
} costs[] = {
	{"{gatway: {port: 1}}", "warning gatway: gatway is not known; did you mean \"gateway\"?", "gatway.port", "1"},
	{"{gateway: {prot: 1}}", "warning gateway.prot: gateway.prot is not known; did you mean \"port\"?", "gateway.prot", "1"},
	{"{session: {store: '/x'}}", "warning session.store: session.store has no effect here", "session.store", "\"/x\""},
	{"{agents: {list: [{id: 'a', memorySearch: {query: {other: 1}}}]}}",
	 "warning agents.list[0].memorySearch.query.other: agents.list[0].memorySearch.query.other has no effect here", "agents.list[0].memorySearch.query.other", "1"},
	{"{tools: {exec: {safeBins: ['jq']}}}", "warning tools.exec.safeBins: tools.exec.safeBins has no effect here", "tools.exec.safeBins", "[\"jq\"]"},
	{"{xyzzy: 1}", "warning xyzzy: xyzzy is not known", "xyzzy", "1"},
	{"{gateway: {port: '1', bind: 'lan'}}", "error gateway.port: gateway.port must be a whole number, is a string", "gateway",
	 "{\"port\":18789,\"bind\":\"lan\",\"mode\":\"local\",\"drainTimeoutMs\":30000,\"tls\":{\"enabled\":false},\"reload\":{\"mode\":\"hybrid\",\"debounceMs\":300}}"},
	{"{gateway: {port: 70000}}", "error gateway.port: gateway.port must be at most 65535, is 70000", "gateway.port", "18789"},
	{"{gateway: 5}", "error gateway: gateway must be an object, is a number", "gateway.port", "18789"},
	{"{gateway: {tls: {enabled: 'no'}}}", "error gateway.tls.enabled: gateway.tls.enabled must be true or false, is a string",
	 "gateway.tls.enabled", "true"},
	{"{logging: {level: 'inof'}}",
	 "error logging.level: logging.level must be \"error\", \"warn\", \"info\", \"debug\", \"trace\", \"fatal\" or \"silent\", "
	 "is \"inof\"; did you mean \"info\"?",
	 "logging.level", "\"info\""},
	{"{channels: {a: {enabled: 1}, b: {enabled: true, any: {thing: 1}}}}",
	 "error channels.a: channels.a.enabled must be true or false, is a number", "channels",
	 "{\"b\":{\"enabled\":true,\"any\":{\"thing\":1}}}"},
	{"{channels: {a: 'x', b: {}}}", "error channels.a: channels.a must be an object, is a string", "channels", "{\"b\":{}}"},
	{"{models: {providers: {p: {baseUrl: 1}, q: {api: 'x'}}}}",
	 "error models.providers.p: models.providers.p.baseUrl must be a string, is a number", "models.providers", "{\"q\":{\"api\":\"x\"}}"},
	{"{agents: {list: [{id: 'a'}, {name: 'no id'}, {id: 'c'}]}}", "error agents.list[1]: agents.list[1] needs \"id\"", "agents.list",
	 "[{\"id\":\"a\"},{\"id\":\"c\"}]"},
	{"{agents: {list: [{id: 'a', tools: {deny: 'exec'}}]}}",
	 "error agents.list[0].tools: agents.list[0].tools.deny must be a list, is a string", "agents.list[0].tools", "{\"deny\":[\"*\"]}"},
	{"{agents: {defaults: {sandbox: {mode: 'none'}}}}",
	 "error agents.defaults.sandbox: agents.defaults.sandbox.mode must be \"off\", \"non-main\" or \"all\", is \"none\"",
	 "agents.defaults.sandbox", "{\"mode\":\"all\"}"},
	{"{tools: {allow: 'read', exec: {timeoutSec: 5}}}", "error tools: tools.allow must be a list, is a string", "tools.deny", "[\"*\"]"},
	{"{tools: {deny: ['exec', 5]}}", "error tools: tools.deny[1] must be a string, is a number", "tools.deny", "[\"*\"]"},
	{"{tools: {deny: ['exec'], exec: {timeoutSec: 'x'}}}",
	 "error tools.exec.timeoutSec: tools.exec.timeoutSec must be a whole number, is a string", "tools.deny", "[\"exec\"]"},
	{"{tools: {exec: {sandbox: {level: 'of'}}}}",
	 "error tools.exec.sandbox: tools.exec.sandbox.level must be \"off\", \"relaxed\" or \"strict\", is \"of\"; did you mean \"off\"?",
	 "tools.exec.sandbox", "{\"level\":\"strict\"}"},
	{"{modules: {deny: 1}}", "error modules: modules.deny must be a list, is a number", "modules", "{\"enabled\":false}"},
	{"{modules: {paths: 1, deny: ['x']}}", "error modules.paths: modules.paths must be a list, is a number", "modules",
	 "{\"deny\":[\"x\"],\"enabled\":true}"},
	{"{modules: {entries: {a: {enabled: 'x'}, b: {}}}}",
	 "error modules.entries.a: modules.entries.a.enabled must be true or false, is a string", "modules.entries", "{\"b\":{}}"},
	{"{skills: {load: {extraDirs: ['10.0.0.1', 7]}}}", "error skills.load.extraDirs[1]: skills.load.extraDirs[1] must be a string, is a number",
	 "skills.load.extraDirs", "[\"10.0.0.1\"]"},
	{"{commands: {native: 'sometimes'}}", "error commands.native: commands.native must be true or false or \"auto\", is a string",
	 "commands.native", "\"auto\""},
	{"{agents: {defaults: {model: 7}}}", "error agents.defaults.model: agents.defaults.model must be a string or an object, is a number",
	 "agents.defaults.model", NULL},
};

static void a_mistake_costs_no_more_than_it_must(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof costs / sizeof *costs; i++) {
		oc_config *c = load(costs[i].text);
		assert_problem(c, costs[i].problem);
		const cJSON *node = oc_config_get(c, costs[i].path);
		oc_auto_free char *text = node == NULL ? NULL : oc_json_print(node);
		oc_auto_json cJSON *expected = NULL;
		if (costs[i].value != NULL)
			assert_int_equal(oc_json_parse(oc_str_of(costs[i].value), NULL, &expected, NULL), OC_OK);
		if (!oc_json_equal(node, expected))
			fail_msg("%s: %s is %s", costs[i].text, costs[i].path, text == NULL ? "not there" : text);
		oc_config_unref(c);
	}
}

static void problems_are_listed_with_their_lines(void **state)
{
	(void)state;
	oc_config *c = load("{\n  gateway: { port: 'x' },\n  // c\n  channels: {\n    a: { enabled: 1 },\n    a2: {},\n  },\n  colour: 1,\n"
			    "  tools: { allow: 1, deny: 2 },\n}");
	static const struct {
		unsigned line, column;
		const char *path;
	} expected[] = {{2, 14, "gateway.port"}, {5, 10, "channels.a.enabled"}, {8, 3, "colour"}, {9, 12, "tools.allow"}, {9, 22, "tools.deny"}};
	assert_int_equal(oc_config_problem_count(c), 5);
	assert_int_equal(oc_config_error_count(c), 4);
	for (size_t i = 0; i < 5; i++) {
		const oc_config_problem *p = oc_config_problem_at(c, i);
		assert_string_equal(p->path, expected[i].path);
		assert_string_equal(p->file, at("openclaw.json"));
		assert_int_equal(p->line, expected[i].line);
		assert_int_equal(p->column, expected[i].column);
	}
	assert_false(oc_config_usable(c, "gateway.port"));
	assert_true(oc_config_usable(c, "gateway"));
	assert_false(oc_config_usable(c, "tools"));
	assert_false(oc_config_usable(c, "tools.exec"));
	assert_true(oc_config_usable(c, "channels"));
	assert_true(oc_config_usable(c, "gateway.auth"));
	assert_false(oc_config_usable(c, "channels.a.botToken"));
	assert_true(oc_config_usable(c, "channels.a2"));
	assert_true(oc_config_usable(c, "colour"));
	assert_null(oc_config_problem_at(c, 5));
	oc_config_unref(c);
}

static void very_many_mistakes_have_an_end(void **state)
{
	(void)state;
	oc_sbuf b;
	oc_sbuf_init(&b, 1 << 20);
	oc_sbuf_z(&b, "{tools: {deny: [");
	for (int i = 0; i < 2000; i++)
		oc_sbuf_z(&b, "1,");
	oc_sbuf_z(&b, "]}, gateway: {");
	for (int i = 0; i < 2000; i++)
		oc_sbuf_printf(&b, "unknown%d: 1,", i);
	oc_sbuf_z(&b, "port: 99}}");
	oc_config *c = load(b.p);
	assert_true(oc_config_problem_count(c) < 600);
	assert_json(c, "tools.deny", "[\"*\"]");
	assert_int_equal(oc_config_i64(c, "gateway.port", 0), 99); /* warnings alone cost nothing */
	oc_config_unref(c);
	oc_sbuf_free(&b);
}

static void modules_refine_with_their_schema(void **state)
{
	(void)state;
	oc_auto_json cJSON *schema = NULL;
	assert_int_equal(oc_json_parse(oc_str_of("{\"type\":\"object\",\"properties\":{\"enabled\":{},\"botToken\":{\"type\":\"string\"},"
						 "\"pollSeconds\":{\"type\":\"integer\",\"default\":30}},\"additionalProperties\":false}"),
				       NULL, &schema, NULL),
			 OC_OK);
	oc_config *c = load("{channels: {telegram: {botToken: 'x'}}}");
	assert_int_equal(oc_config_refine(c, "channels.telegram", schema), OC_OK);
	assert_int_equal(oc_config_refine(c, "channels.none", schema), OC_OK);
	assert_int_equal(oc_config_problem_count(c), 0);
	assert_int_equal(oc_config_i64(c, "channels.telegram.pollSeconds", 0), 30);
	oc_config_unref(c);
	c = load("{channels: {telegram: {botTokn: 'x'}}}");
	assert_int_equal(oc_config_refine(c, "channels.telegram", schema), OC_OK);
	assert_problem(c, "warning channels.telegram.botTokn: channels.telegram.botTokn is not known; did you mean \"botToken\"?");
	oc_config_unref(c);
	c = load("{channels:\n {telegram: {\n botToken: 17}, irc: {}}}");
	assert_int_equal(oc_config_refine(c, "channels.telegram", schema), OC_OK);
	assert_problem(c, "error channels.telegram: channels.telegram.botToken must be a string, is a number");
	assert_int_equal(oc_config_problem_at(c, 0)->line, 3);
	assert_json(c, "channels", "{\"irc\":{}}");
	oc_config_unref(c);
}

/* ---- Variables ---- */

static void variables_are_replaced(void **state)
{
	(void)state;
	setenv("OCT_ONE", "first", 1);
	setenv("OCT_EMPTY", "", 1);
	oc_config *c = load("{meta: {note: '${OCT_ONE}-${OCT_ONE}'}, messages: {responsePrefix: '$${OCT_ONE} $ {x} ${lower} $OCT_ONE ${'}}");
	assert_int_equal(oc_config_problem_count(c), 0);
	assert_string_equal(oc_config_str(c, "meta.note", ""), "first-first");
	assert_string_equal(oc_config_str(c, "messages.responsePrefix", ""), "${OCT_ONE} $ {x} ${lower} $OCT_ONE ${");
	assert_string_equal(oc_json_path(oc_config_source(c), "meta.note")->valuestring, "${OCT_ONE}-${OCT_ONE}");
	oc_config_unref(c);
	c = load("{channels: {telegram: {botToken: '${OCT_EMPTY}'}, irc: {}}}");
	assert_problem(c, "error channels.telegram: channels.telegram.botToken needs the variable OCT_EMPTY, which is not set");
	assert_json(c, "channels", "{\"irc\":{}}");
	assert_non_null(strstr(oc_config_problem_at(c, 0)->remedy, at(".env")));
	oc_config_unref(c);
	/* A missing variable is the only complaint about its value, and a policy that needs it closes. */
	c = load("{tools: {profile: '${OCT_NONE}'}}");
	assert_problem(c, "error tools: tools.profile needs the variable OCT_NONE, which is not set");
	assert_json(c, "tools.deny", "[\"*\"]");
	oc_config_unref(c);
}

static void dotenv_and_env_vars_come_after_the_environment(void **state)
{
	(void)state;
	setenv("OCT_ONE", "environment", 1);
	put(".env", "# comment\n\nOCT_ONE=file\nexport OCT_TWO = 'two # 2' \nOCT_THREE=\"a\\n\\\"b\\\"\nc\"\nOCT_FOUR=plain value # note\n"
		    "OCT_FIVE=\nthis is wrong\nOCT_SIX=x=y\r\nOCT_7='open\n");
	oc_config *c = load("{env: {vars: {OCT_TWO: 'config', OCT_EIGHT: '${OCT_SIX}!', OCT_NINE: 9}, OCT_TEN: 'ten'}}");
	assert_string_equal(oc_config_env(c, "OCT_ONE"), "environment");
	assert_string_equal(oc_config_env(c, "OCT_TWO"), "two # 2");
	assert_string_equal(oc_config_env(c, "OCT_THREE"), "a\n\"b\"\nc");
	assert_string_equal(oc_config_env(c, "OCT_FOUR"), "plain value");
	assert_null(oc_config_env(c, "OCT_FIVE"));
	assert_string_equal(oc_config_env(c, "OCT_SIX"), "x=y");
	assert_null(oc_config_env(c, "OCT_7"));
	assert_string_equal(oc_config_env(c, "OCT_EIGHT"), "x=y!");
	assert_string_equal(oc_config_env(c, "OCT_NINE"), "9");
	assert_string_equal(oc_config_env(c, "OCT_TEN"), "ten");
	assert_int_equal(oc_config_problem_count(c), 2);
	char expected[200];
	snprintf(expected, sizeof expected, "%s, line 9 is not understood and was left out", at(".env"));
	assert_string_equal(oc_config_problem_at(c, 0)->message, expected);
	snprintf(expected, sizeof expected, "%s, line 11 is not understood and was left out", at(".env"));
	assert_string_equal(oc_config_problem_at(c, 1)->message, expected);
	oc_config_unref(c);
}

static void secret_references_are_followed(void **state)
{
	(void)state;
	setenv("OCT_KEY", "k-123", 1);
	oc_config *c = load("{models: {providers: {p: {apiKey: {source: 'env', provider: 'default', id: 'OCT_KEY'}}}}}");
	assert_int_equal(oc_config_problem_count(c), 0);
	assert_string_equal(oc_config_str(c, "models.providers.p.apiKey", ""), "k-123");
	oc_config_unref(c);
	c = load("{models: {providers: {p: {apiKey: {source: 'env', id: 'OCT_NONE'}}, q: {}}}}");
	assert_problem(c, "error models.providers.p: models.providers.p.apiKey needs the variable OCT_NONE, which is not set");
	assert_json(c, "models.providers", "{\"q\":{}}");
	oc_config_unref(c);
}

/* ---- Includes ---- */

static void includes_are_merged(void **state)
{
	(void)state;
	put("parts/channels.json5", "{a: {x: 1, list: [1]}, b: {y: 2}}");
	put("parts/more.json5", "{a: {list: [2], z: {deep: 1}}, $include: './nested/n.json5'}");
	put("parts/nested/n.json5", "{c: {w: 3}, a: {x: 9}}");
	put("list.json5", "['t1', 't2']");
	put("base.json5", "{gateway: {port: 1000, bind: 'lan'}, tools: {deny: {$include: 'list.json5'}}}");
	oc_config *c = load("{$include: 'base.json5', gateway: {port: 2000},\n channels: {$include: ['parts/channels.json5', './parts/more.json5'],\n"
			    " a: {z: {deeper: 2}}}}");
	for (size_t i = 0; i < oc_config_problem_count(c); i++)
		fail_msg("%s %s", oc_config_problem_at(c, i)->path, oc_config_problem_at(c, i)->message);
	assert_int_equal(oc_config_i64(c, "gateway.port", 0), 2000);
	assert_string_equal(oc_config_str(c, "gateway.bind", ""), "lan");
	assert_json(c, "tools.deny", "[\"t1\",\"t2\"]");
	assert_json(c, "channels", "{\"b\":{\"y\":2},\"c\":{\"w\":3},\"a\":{\"x\":9,\"list\":[1,2],\"z\":{\"deep\":1,\"deeper\":2}}}");
	assert_null(oc_json_get(oc_config_source(c), "$include"));
	oc_config_unref(c);
	/* A mistake in an included file is found there. */
	put("base.json5", "{\n  gateway: {\n  port: 'x'}}");
	c = load("{$include: 'base.json5'}");
	assert_problem(c, "error gateway.port: gateway.port must be a whole number, is a string");
	assert_string_equal(oc_config_problem_at(c, 0)->file, at("base.json5"));
	assert_int_equal(oc_config_problem_at(c, 0)->line, 3);
	oc_config_unref(c);
}

static void a_failing_include_costs_its_section(void **state)
{
	(void)state;
	oc_config *c = load("{channels: {$include: 'none.json5'}, tools: {$include: 'none.json5', deny: []}, gateway: {port: 1}}");
	assert_int_equal(oc_config_error_count(c), 2);
	assert_non_null(strstr(oc_config_problem_at(c, 0)->message, "none.json5, which does not exist"));
	assert_null(oc_config_get(c, "channels"));
	assert_json(c, "tools.deny", "[\"*\"]");
	assert_int_equal(oc_config_i64(c, "gateway.port", 0), 1);
	oc_config_unref(c);
	put("broken.json5", "{a: }");
	c = load("{channels: {telegram: {$include: 'broken.json5'}, irc: {}}}");
	assert_int_equal(oc_config_error_count(c), 1);
	assert_non_null(strstr(oc_config_problem_at(c, 0)->message, "broken.json5: line 1, column 5"));
	assert_json(c, "channels", "{\"irc\":{}}");
	oc_config_unref(c);
	put("five.json5", "5");
	c = load("{channels: {$include: 'five.json5', irc: {}}, cron: {$include: 5}, hooks: {$include: ['five.json5', 6]}, ui: {$include: []}}");
	assert_int_equal(oc_config_error_count(c), 4);
	oc_config_unref(c);
}

static void includes_stay_in_the_folder(void **state)
{
	(void)state;
	char outside[] = "/tmp/octout.XXXXXX", text[400], path[64];
	assert_non_null(mkdtemp(outside));
	snprintf(path, sizeof path, "%s/secret.json5", outside);
	assert_int_equal(oc_path_write(path, "{\"irc\":{}}", 10, 0600, NULL), OC_OK);
	assert_int_equal(symlink(path, at("link.json5")), 0);
	const char *const ways[] = {path, "link.json5", "../../etc/passwd", "/etc/passwd"};
	for (size_t i = 0; i < sizeof ways / sizeof *ways; i++) {
		snprintf(text, sizeof text, "{channels: {$include: '%s'}}", ways[i]);
		oc_config *c = load(text);
		assert_int_equal(oc_config_error_count(c), 1);
		if (strstr(oc_config_problem_at(c, 0)->message, "outside the folder") == NULL)
			fail_msg("%s: %s", ways[i], oc_config_problem_at(c, 0)->message);
		assert_null(oc_config_get(c, "channels"));
		oc_config_unref(c);
	}
	setenv("OPENCLAW_INCLUDE_ROOTS", outside, 1);
	snprintf(text, sizeof text, "{channels: {$include: '%s'}}", path);
	oc_config *c = load(text);
	assert_json(c, "channels", "{\"irc\":{}}");
	oc_config_unref(c);
	unsetenv("OPENCLAW_INCLUDE_ROOTS");
	unlink(path);
	rmdir(outside);
}

static void circles_and_depth_have_an_end(void **state)
{
	(void)state;
	oc_config *c = NULL;
	oc_err err = {0};
	put("a.json5", "{$include: 'b.json5'}");
	put("b.json5", "{$include: './a.json5'}");
	put("openclaw.json", "{$include: 'a.json5'}");
	assert_int_equal(oc_config_load(NULL, &c, &err), OC_E_INVALID);
	assert_non_null(strstr(err.text, "which includes this in turn"));
	put("openclaw.json", "{$include: 'openclaw.json'}");
	assert_int_equal(oc_config_load(NULL, &c, &err), OC_E_INVALID);
	for (int i = 0; i < 12; i++) {
		char name[32], text[64];
		snprintf(name, sizeof name, "d%d.json5", i);
		snprintf(text, sizeof text, "{$include: 'd%d.json5'}", i + 1);
		put(name, text);
	}
	put("d12.json5", "{}");
	put("openclaw.json", "{$include: 'd0.json5'}");
	assert_int_equal(oc_config_load(NULL, &c, &err), OC_E_LIMIT);
	/* Twice beside each other is no circle. */
	put("x.json5", "{irc: {}}");
	c = load("{channels: {$include: ['x.json5', 'x.json5']}}");
	assert_int_equal(oc_config_problem_count(c), 0);
	oc_config_unref(c);
}

/* ---- The last good copy ---- */

static void the_last_good_copy_serves_when_the_file_breaks(void **state)
{
	(void)state;
	oc_config *c = NULL;
	oc_err err = {0};
	setenv("OCT_KEY", "very-secret-value", 1);
	put("part.json5", "{port: 4321}");
	put("openclaw.json", "{gateway: {$include: 'part.json5', auth: {token: '${OCT_KEY}'}}}");
	assert_int_equal(oc_config_load_gateway(NULL, &c, &err), OC_OK);
	assert_false(oc_config_is_last_good(c));
	oc_config_unref(c);
	struct stat st;
	assert_int_equal(stat(at("cache/openclaw.json.last-good"), &st), 0);
	assert_int_equal(st.st_mode & 0777, 0600);
	oc_auto_free char *copy = get("cache/openclaw.json.last-good");
	assert_null(strstr(copy, "very-secret-value")); /* the variable's value is not written */

	put("openclaw.json", "{gateway: {port: 1,,}}");
	unlink(at("part.json5"));
	c = NULL;
	assert_int_equal(oc_config_load_gateway(NULL, &c, &err), OC_OK);
	assert_true(oc_config_is_last_good(c));
	assert_int_equal(oc_config_i64(c, "gateway.port", 0), 4321);
	assert_string_equal(oc_config_str(c, "gateway.auth.token", ""), "very-secret-value");
	assert_int_equal(oc_config_error_count(c), 1);
	assert_non_null(strstr(oc_config_problem_at(c, 0)->message, "line 1, column 20"));
	assert_non_null(strstr(oc_config_problem_at(c, 0)->message, "the last good copy is used instead"));
	assert_true(oc_config_usable(c, "gateway"));
	oc_config_unref(c);

	/* One with mistakes is used, but not kept. */
	put("openclaw.json", "{gateway: {port: 'x'}}");
	assert_int_equal(oc_config_load_gateway(NULL, &c, &err), OC_OK);
	assert_false(oc_config_is_last_good(c));
	oc_config_unref(c);
	oc_auto_free char *again = get("cache/openclaw.json.last-good");
	assert_string_equal(copy, again);

	/* Another file's copy is no copy of this one. */
	put("other.json", "{");
	c = NULL;
	assert_int_equal(oc_config_load_gateway(at("other.json"), &c, &err), OC_E_INVALID);
	assert_null(c);
}

/* ---- Secrets ---- */

static void secrets_are_known_by_name(void **state)
{
	(void)state;
	static const char *const secret[] = {"token", "botToken", "apiKey", "api_key", "password", "clientSecret", "Authorization",
					     "X-API-Key", "OPENAI_API_KEY", "GH_TOKEN", "privateKey", "webhookSecret", "MY_KEY", "cookie"};
	static const char *const open[] = {"maxTokens", "contextTokens", "tokenFile", "key", "keyPath", "name", "mainKey", "sessionKey",
					   "passwordFile", "tokenizer", "secrets", "spinning", ""};
	for (size_t i = 0; i < sizeof secret / sizeof *secret; i++)
		if (!oc_config_sensitive(secret[i]))
			fail_msg("%s", secret[i]);
	for (size_t i = 0; i < sizeof open / sizeof *open; i++)
		if (oc_config_sensitive(open[i]))
			fail_msg("%s", open[i]);
}

static void secrets_are_not_shown(void **state)
{
	(void)state;
	oc_config *c = load("{gateway: {auth: {token: 'tok-1', password: 12345}}, channels: {x: {botToken: 'tok-2', url: 'https://u:pw@h/p?a@b',\n"
			    " accounts: [{token: 'tok-3'}], secret: {a: ['tok-4']}, plain: 'https://host/@name', empty: {token: ''}}},\n"
			    " env: {vars: {OCT_X_API_KEY: 'tok-5', OCT_MODE: 'fast'}}, models: {providers: {p: {headers: {Authorization: 'tok-6',\n"
			    " Accept: 'json'}}}}}");
	oc_auto_json cJSON *shown = oc_config_to_json(c, "", true);
	oc_auto_free char *text = oc_json_print(shown);
	assert_null(strstr(text, "tok-"));
	assert_null(strstr(text, "12345"));
	assert_null(strstr(text, "pw"));
	assert_string_equal(oc_json_path(shown, "channels.x.url")->valuestring, "https://***@h/p?a@b");
	assert_string_equal(oc_json_path(shown, "channels.x.plain")->valuestring, "https://host/@name");
	assert_string_equal(oc_json_path(shown, "channels.x.empty.token")->valuestring, "");
	assert_string_equal(oc_json_path(shown, "env.vars.OCT_MODE")->valuestring, "fast");
	assert_string_equal(oc_json_path(shown, "models.providers.p.headers.Accept")->valuestring, "json");
	oc_auto_json cJSON *one = oc_config_to_json(c, "gateway.auth.token", true), *raw = oc_config_to_json(c, "gateway.auth.token", false);
	assert_string_equal(one->valuestring, "***");
	assert_string_equal(raw->valuestring, "tok-1");
	assert_null(oc_config_to_json(c, "no.such", true));
	/* What is written as a reference may be seen. */
	oc_auto_json cJSON *source = cJSON_Parse("{\"token\":\"${TOKEN}\",\"apiKey\":{\"source\":\"env\",\"id\":\"KEY\"},\"password\":\"${A}b\"}");
	oc_config_redact(source, "", "(hidden)");
	oc_auto_free char *print = oc_json_print(source);
	assert_string_equal(print, "{\"token\":\"${TOKEN}\",\"apiKey\":{\"source\":\"env\",\"id\":\"KEY\"},\"password\":\"(hidden)\"}");
	oc_config_unref(c);
}

static void note_line(void *arg, int level, oc_str line)
{
	(void)level;
	snprintf(arg, 500, "%.*s", OC_STR_ARG(line));
}

static void secrets_do_not_reach_the_log(void **state)
{
	(void)state;
	oc_config *c = load("{gateway: {auth: {token: 'registered-token-value'}}}");
	char line[500] = "";
	oc_config_register_secrets(c);
	oc_log_set_stderr(false);
	oc_log_set_sink(note_line, line);
	oc_error("test", "the token is registered-token-value.");
	oc_log_set_sink(NULL, NULL);
	oc_log_set_stderr(true);
	if (strstr(line, "the token is ***") == NULL || strstr(line, "registered") != NULL)
		fail_msg("%s", line);
	oc_config_unref(c);
}

/* ---- Comparing ---- */

static void changes_are_told_by_path(void **state)
{
	(void)state;
	oc_config *a = load("{gateway: {port: 1, auth: {token: 'a'}}, tools: {deny: ['x']}, channels: {irc: {a: 1}}}");
	oc_config *b = load("// comment\n{gateway: {port: 2, auth: {token: 'a'}}, tools: {deny: ['x', 'y']}, channels: {tg: {b: 1}}}");
	oc_config_diff *diff = NULL;
	assert_int_equal(oc_config_compare(a, b, &diff), OC_OK);
	assert_int_equal(diff->n, 4);
	assert_string_equal(diff->paths[0], "gateway.port");
	assert_string_equal(diff->paths[1], "tools.deny");
	assert_string_equal(diff->paths[2], "channels.irc");
	assert_string_equal(diff->paths[3], "channels.tg");
	assert_true(oc_config_diff_touches(diff, "gateway"));
	assert_true(oc_config_diff_touches(diff, "channels.tg.b"));
	assert_false(oc_config_diff_touches(diff, "gateway.auth"));
	assert_false(oc_config_diff_touches(diff, "tool"));
	oc_config_diff_free(diff);
	assert_int_equal(oc_config_compare(a, a, &diff), OC_OK);
	assert_int_equal(diff->n, 0);
	oc_config_diff_free(diff);
	oc_config_unref(a);
	oc_config_unref(b);
}

/* ---- Editing ---- */

static oc_status edit(const char *path, const char *value, oc_err *err)
{
	oc_auto_json cJSON *tree = NULL;
	if (value != NULL)
		assert_int_equal(oc_json_parse(oc_str_of(value), NULL, &tree, NULL), OC_OK);
	return oc_config_edit_checked(NULL, &(oc_config_change){path, tree}, 1, true, NULL, NULL, err);
}

static void edits_keep_comments_and_a_backup(void **state)
{
	(void)state;
	static const char before[] = "// my gateway\n{\n  gateway: {\n    port: 18789, // default\n  },\n}\n";
	oc_err err = {0};
	struct stat st;
	put("openclaw.json", before);
	chmod(at("openclaw.json"), 0644);
	assert_int_equal(edit("gateway.port", "4000", &err), OC_OK);
	oc_auto_free char *after = get("openclaw.json"), *backup = get("openclaw.json.bak");
	assert_string_equal(after, "// my gateway\n{\n  gateway: {\n    port: 4000, // default\n  },\n}\n");
	assert_string_equal(backup, before);
	assert_int_equal(stat(at("openclaw.json"), &st), 0);
	assert_int_equal(st.st_mode & 0777, 0600);
	assert_int_equal(stat(at("openclaw.json.bak"), &st), 0);
	assert_int_equal(st.st_mode & 0777, 0600);
	/* Nothing to do: nothing written. */
	unlink(at("openclaw.json.bak"));
	assert_int_equal(edit("gateway.port", "4000", &err), OC_OK);
	assert_false(oc_path_exists(at("openclaw.json.bak")));
	assert_int_equal(edit("gateway.port", NULL, &err), OC_OK);
	oc_auto_free char *removed = get("openclaw.json");
	assert_string_equal(removed, "// my gateway\n{\n  gateway: {},\n}\n");
}

static void edits_are_refused_before_anything_is_written(void **state)
{
	(void)state;
	static const char before[] = "{ gateway: { port: 1 }, tools: { profile: 'nonsense' } }";
	oc_err err = {0};
	put("openclaw.json", before);
	assert_int_equal(edit("gateway.port", "\"x\"", &err), OC_E_INVALID);
	assert_string_equal(err.text, "gateway.port must be a whole number, is a string");
	assert_int_equal(edit("gateway.bind", "\"everywhere\"", &err), OC_E_INVALID);
	assert_int_equal(edit("gateway.port.x", "1", &err), OC_E_INVALID);
	assert_int_equal(edit("gateway..port", "1", &err), OC_E_INVALID);
	assert_int_equal(edit("gateway.nothing", NULL, &err), OC_E_NOT_FOUND);
	assert_int_equal(edit("gateway.bind", NULL, &err), OC_E_NOT_FOUND);
	assert_non_null(strstr(err.text, "its value is the default"));
	oc_auto_free char *same = get("openclaw.json");
	assert_string_equal(same, before);
	assert_false(oc_path_exists(at("openclaw.json.bak")));
	/* A mistake that was there before is no reason to refuse; nor is a variable that only the gateway has. */
	assert_int_equal(edit("gateway.port", "2", &err), OC_OK);
	assert_int_equal(edit("gateway.auth.token", "\"${OCT_NOT_SET_HERE}\"", &err), OC_OK);
	put("openclaw.json", "{ broken");
	assert_int_equal(edit("gateway.port", "2", &err), OC_E_INVALID);
	assert_non_null(strstr(err.text, at("openclaw.json")));
}

static void edits_make_the_file_and_follow_links(void **state)
{
	(void)state;
	oc_err err = {0};
	struct stat st;
	assert_int_equal(edit("gateway.port", "5000", &err), OC_OK);
	oc_auto_free char *made = get("openclaw.json");
	assert_string_equal(made, "{\n  \"gateway\": {\n    \"port\": 5000\n  }\n}\n");
	put("elsewhere/real.json", "{}");
	unlink(at("openclaw.json"));
	assert_int_equal(symlink(at("elsewhere/real.json"), at("openclaw.json")), 0);
	assert_int_equal(edit("gateway.port", "6000", &err), OC_OK);
	assert_int_equal(lstat(at("openclaw.json"), &st), 0);
	assert_true(S_ISLNK(st.st_mode));
	oc_auto_free char *real = get("elsewhere/real.json");
	assert_non_null(strstr(real, "6000"));
}

static void several_edits_are_all_or_nothing(void **state)
{
	(void)state;
	oc_err err = {0};
	oc_auto_json cJSON *one = cJSON_CreateNumber(1000), *word = cJSON_CreateString("lan"), *bad = cJSON_CreateString("x");
	put("openclaw.json", "{ session: { mainKey: 'm' } }");
	oc_config_change good[] = {{"gateway.port", one}, {"gateway.bind", word}, {"session.mainKey", NULL}, {"not.there", NULL}};
	assert_int_equal(oc_config_edit_many(NULL, good, 4, &err), OC_OK);
	oc_config *c = NULL;
	assert_int_equal(oc_config_load(NULL, &c, &err), OC_OK);
	assert_int_equal(oc_config_i64(c, "gateway.port", 0), 1000);
	assert_string_equal(oc_config_str(c, "session.mainKey", ""), "main");
	oc_config_unref(c);
	oc_auto_free char *before = get("openclaw.json");
	oc_config_change wrong[] = {{"gateway.bind", bad}, {"gateway.port", one}};
	assert_int_equal(oc_config_edit_many(NULL, wrong, 2, &err), OC_E_INVALID);
	oc_auto_free char *after = get("openclaw.json");
	assert_string_equal(before, after);
}

static void a_value_from_an_include_is_not_removed_silently(void **state)
{
	(void)state;
	oc_err err = {0};
	put("part.json5", "{gateway: {port: 7}}");
	put("openclaw.json", "{$include: 'part.json5'}");
	assert_int_equal(edit("gateway.port", NULL, &err), OC_E_NOT_FOUND);
	assert_non_null(strstr(err.text, "in a file that it includes"));
	assert_int_equal(edit("gateway.port", "8", &err), OC_OK); /* what stands in the main file counts */
	oc_config *c = NULL;
	assert_int_equal(oc_config_load(NULL, &c, &err), OC_OK);
	assert_int_equal(oc_config_i64(c, "gateway.port", 0), 8);
	oc_config_unref(c);
}

/* Sixteen programs set one key each at the same time: none is lost. */
static void writers_do_not_undo_each_other(void **state)
{
	(void)state;
	enum { WRITERS = 16 };
	pid_t pids[WRITERS];
	put("openclaw.json", "{ channels: {} }");
	for (int i = 0; i < WRITERS; i++) {
		pids[i] = fork();
		assert_true(pids[i] >= 0);
		if (pids[i] == 0) {
			char path[64];
			snprintf(path, sizeof path, "channels.c%d.enabled", i);
			cJSON *value = cJSON_CreateTrue();
			oc_status status = oc_config_edit_checked(NULL, &(oc_config_change){path, value}, 1, true, NULL, NULL, NULL);
			cJSON_Delete(value);
			_exit(status == OC_OK ? 0 : 1);
		}
	}
	for (int i = 0; i < WRITERS; i++) {
		int status = -1;
		assert_int_equal(waitpid(pids[i], &status, 0), pids[i]);
		assert_int_equal(status, 0);
	}
	oc_config *c = NULL;
	assert_int_equal(oc_config_load(NULL, &c, NULL), OC_OK);
	for (int i = 0; i < WRITERS; i++) {
		char path[64];
		snprintf(path, sizeof path, "channels.c%d.enabled", i);
		assert_true(oc_config_bool(c, path, false));
	}
	oc_config_unref(c);
}

/* ---- Memory ---- */

static void survives_every_failed_allocation(void **state)
{
	(void)state;
	put("part.json5", "{irc: {x: 1, list: [1]}, tg: {token: '${OCT_ONE}'}}");
	put(".env", "OCT_ONE=1\nbad line\n");
	put("openclaw.json", "{channels: {$include: ['part.json5', 'part.json5', 'none.json5'], q: 1}, gateway: {port: 'x', prot: 2},\n"
			     " tools: {deny: 1}, env: {vars: {A: 'b'}}, models: {providers: {p: {apiKey: {source: 'env', id: 'OCT_ONE'}}}}}");
	unsigned long live = oc_mem_live();
	for (unsigned long n = 1;; n += n < 400 ? 1 : 13) { /* the schemas are many allocations of the same kind */
		oc_config *c = NULL;
		oc_err err = {0};
		oc_mem_fail_at(n);
		oc_status status = oc_config_load_gateway(at("openclaw.json"), &c, &err);
		oc_mem_fail_at(0);
		if ((status == OC_OK) != (c != NULL))
			fail_msg("%lu: %d", n, status);
		oc_config_unref(c);
		if (oc_mem_live() != live)
			fail_msg("%lu: %lu blocks are left", n, oc_mem_live() - live);
		if (status == OC_OK)
			break;
		assert_int_equal(status, OC_E_NOMEM);
	}
}

#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(a_missing_file_is_the_defaults),
		T(values_have_types_and_fallbacks),
		T(a_broken_file_says_where),
		T(the_table_is_sound),
		T(a_migrating_file_has_no_problems),
		T(a_mistake_costs_no_more_than_it_must),
		T(problems_are_listed_with_their_lines),
		T(very_many_mistakes_have_an_end),
		T(modules_refine_with_their_schema),
		T(variables_are_replaced),
		T(dotenv_and_env_vars_come_after_the_environment),
		T(secret_references_are_followed),
		T(includes_are_merged),
		T(a_failing_include_costs_its_section),
		T(includes_stay_in_the_folder),
		T(circles_and_depth_have_an_end),
		T(the_last_good_copy_serves_when_the_file_breaks),
		T(secrets_are_known_by_name),
		T(secrets_are_not_shown),
		T(secrets_do_not_reach_the_log),
		T(changes_are_told_by_path),
		T(edits_keep_comments_and_a_backup),
		T(edits_are_refused_before_anything_is_written),
		T(edits_make_the_file_and_follow_links),
		T(several_edits_are_all_or_nothing),
		T(a_value_from_an_include_is_not_removed_silently),
		T(writers_do_not_undo_each_other),
		T(survives_every_failed_allocation),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
