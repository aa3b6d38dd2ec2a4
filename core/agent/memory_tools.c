/* memory_search and memory_get: the memory as tools. */
#include <string.h>

#include "core/agent/builtin.h"
#include "core/agent/memory.h"

static bool offered(const oc_config *config, const char *agent_id, char *why)
{
	const cJSON *on = oc_agent_setting(config, agent_id, "memorySearch.enabled");
	if (cJSON_IsFalse(on))
		snprintf(why, 200, "memorySearch.enabled is false");
	return !cJSON_IsFalse(on);
}

static void answered(void *arg, oc_status status, const cJSON *result, const oc_err *err)
{
	(void)status;
	if (result != NULL)
		oc_builtin_json(arg, cJSON_Duplicate(result, true));
	else
		oc_builtin_fail(arg, err);
}

/* memory.citations: auto leaves them out where several people read along. */
static bool citations(const oc_builtin_call *call)
{
	const char *mode = oc_config_str(call->agent->config, "memory.citations", "auto");
	oc_session_key key = {0};
	if (strcmp(mode, "on") == 0)
		return true;
	if (strcmp(mode, "off") == 0)
		return false;
	return oc_session_key_parse(oc_str_of(call->session), &key, NULL) != OC_OK ||
	       (strcmp(key.kind, "group") != 0 && strcmp(key.kind, "channel") != 0 && strcmp(key.kind, "thread") != 0);
}

static void search(const oc_builtin_call *call)
{
	oc_err err = {0};
	double max = oc_json_num(call->args, "maxResults", 0);
	oc_memory_input in = {.agent = oc_str_of(call->agent_id), .query = oc_json_ostr(call->args, "query"),
			      .max_results = max >= 1 && max < 1000 ? (int64_t)max : 0,
			      .min_score = oc_json_num(call->args, "minScore", -1), .citations = citations(call),
			      .done = answered, .arg = call->call};
	if (oc_memory_search(call->agent, &in, &err) != OC_OK)
		oc_builtin_fail(call->call, &err);
}

typedef struct getting {
	oc_call *call;
	char path[];
} getting;

static void got(void *arg, oc_status status, const cJSON *result, const oc_err *err)
{
	getting *g = arg;
	if (result != NULL) {
		oc_builtin_json(g->call, cJSON_Duplicate(result, true));
	} else {
		/* No failure of the tool: the model asked for what is no memory file. */
		cJSON *o = cJSON_CreateObject();
		(void)oc_json_set_str(o, "path", g->path);
		(void)oc_json_set_str(o, "text", "");
		(void)oc_json_set_bool(o, "disabled", status == OC_E_DENIED);
		(void)oc_json_set_str(o, "error", err->text);
		oc_builtin_json(g->call, o);
	}
	oc_free(g);
}

static int64_t line(const cJSON *args, const char *name)
{
	double v = oc_json_num(args, name, 0);
	return v >= 1 && v < 1e9 ? (int64_t)v : 0;
}

static void get(const oc_builtin_call *call)
{
	oc_str path = oc_json_ostr(call->args, "path");
	oc_err err = {0};
	getting *g = oc_alloc(sizeof *g + path.n + 1);
	if (g == NULL) {
		(void)oc_fail(&err, OC_E_NOMEM, NULL, "there is not enough memory for the call");
		oc_builtin_fail(call->call, &err);
		return;
	}
	memcpy(g->path, path.p, path.n);
	g->call = call->call;
	oc_memory_input in = {.agent = oc_str_of(call->agent_id), .path = path, .from = line(call->args, "from"),
			      .lines = line(call->args, "lines"), .min_score = -1, .done = got, .arg = g};
	if (oc_memory_get(call->agent, &in, &err) == OC_OK)
		return;
	oc_free(g);
	oc_builtin_fail(call->call, &err);
}

const oc_builtin_tool oc_tool_memory_search = {
	.name = "memory_search",
	.spec = "{\"name\":\"memory_search\",\"group\":\"memory\",\"description\":\"Searches your long-term memory (MEMORY.md and "
		"memory/*.md) by words and meaning. Use it before you answer anything about earlier work, decisions, dates, people, "
		"preferences or tasks. Gives the best passages with file and lines.\",\"parameters\":{\"type\":\"object\","
		"\"required\":[\"query\"],\"properties\":{\"query\":{\"type\":\"string\",\"minLength\":1},\"maxResults\":{\"type\":"
		"\"number\"},\"minScore\":{\"type\":\"number\",\"description\":\"0 to 1\"}}}}",
	.offered = offered,
	.invoke = search,
	.repeatable = true,
};

const oc_builtin_tool oc_tool_memory_get = {
	.name = "memory_get",
	.spec = "{\"name\":\"memory_get\",\"group\":\"memory\",\"description\":\"Reads MEMORY.md or a file of memory/, whole or some "
		"lines of it: after memory_search, to see what stands around a passage.\",\"parameters\":{\"type\":\"object\","
		"\"required\":[\"path\"],\"properties\":{\"path\":{\"type\":\"string\",\"minLength\":1},\"from\":{\"type\":\"number\","
		"\"description\":\"First line, from 1\"},\"lines\":{\"type\":\"number\",\"description\":\"How many\"}}}}",
	.offered = offered,
	.invoke = get,
	.repeatable = true,
};
