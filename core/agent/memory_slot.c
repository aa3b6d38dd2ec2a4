/*
 * A memory that a module keeps.  Its answers go to a model and to people, so they are taken apart and put together anew:
 * what is not as the ABI says is the module's failure, and the built-in memory answers instead (memory.c).
 */
#include "core/agent/memory_slot.h"

#include <math.h>
#include <string.h>

#include "core/agent/internal.h"
#include "core/base/log.h"

/* A search is in the middle of a turn, and the built-in memory waits behind it. */
enum { SEARCH_MS = 20 * 1000, INDEX_MS = 10 * 60 * 1000, TEXT_MAX = 4 << 20, PATH_MAX_BYTES = 1024 };

typedef struct asking {
	oc_memory_task task;
	oc_memory_slot_done done;
	void *arg;
	const char *id;
	bool nothing; /* it keeps no index: an empty answer */
	oc_err why;
} asking;

static void finish(const asking *a, const cJSON *answer)
{
	if (answer == NULL && a->why.code != OC_E_DENIED)
		oc_log_err(OC_LOG_WARN, "memory", a->id, &a->why);
	a->done(a->arg, a->id, answer, &a->why);
}

/* ---- Answers ---- */

static bool good_hit(const cJSON *hit)
{
	const char *path = oc_json_str(hit, "path", "");
	double score = oc_json_num(hit, "score", -1);
	int64_t first = oc_json_i64(hit, "startLine", 1), last = oc_json_i64(hit, "endLine", first);
	return path[0] != 0 && strlen(path) <= PATH_MAX_BYTES && isfinite(score) && score >= 0 && score <= 1 && first >= 1 &&
	       last >= first && cJSON_IsString(oc_json_get(hit, "snippet"));
}

static bool good(const asking *a, const cJSON *answer)
{
	const cJSON *hit, *results = oc_json_get(answer, "results"), *text = oc_json_get(answer, "text");
	if (a->task == OC_MEMORY_GET)
		return cJSON_IsString(text) && strlen(text->valuestring) <= TEXT_MAX;
	if (a->task != OC_MEMORY_SEARCH)
		return cJSON_IsObject(answer);
	if (!cJSON_IsArray(results))
		return false;
	cJSON_ArrayForEach(hit, results)
	{
		if (!good_hit(hit))
			return false;
	}
	return true;
}

static void answered(void *arg, oc_status status, oc_str result)
{
	asking *a = arg;
	oc_auto_json cJSON *answer = NULL;
	if (status == OC_OK)
		status = oc_json_parse(result, NULL, &answer, &a->why);
	else
		oc_call_error(status, result, &a->why, NULL);
	if (status == OC_OK && !good(a, answer))
		status = oc_fail(&a->why, OC_E_PROTOCOL, NULL, "its answer is not what a memory answers");
	finish(a, status == OC_OK ? answer : NULL);
}

/* ---- Asking ---- */

static cJSON *request_of(oc_memory_task task, const oc_memory_slot_ask *ask)
{
	cJSON *o = cJSON_CreateObject();
	(void)oc_json_set_str(o, "agent", ask->agent_id);
	(void)oc_json_set_str(o, "workspace", ask->workspace);
	if (task == OC_MEMORY_SEARCH) {
		(void)oc_json_set_str(o, "query", ask->query);
		(void)oc_json_set_i64(o, "maxResults", ask->max_results);
		(void)oc_json_set(o, "minScore", cJSON_CreateNumber(ask->min_score));
	} else if (task == OC_MEMORY_GET) {
		(void)oc_json_set_str(o, "path", ask->path);
	} else {
		(void)oc_json_set_bool(o, "force", ask->force);
	}
	return o;
}

static oc_status ask_guest(oc_agent *agent, oc_guest *guest, asking *a, const oc_memory_slot_ask *ask)
{
	oc_auto_json cJSON *o = request_of(a->task, ask);
	oc_auto_free char *json = oc_json_print(o);
	oc_call_options options = {.deadline_ms = a->task == OC_MEMORY_UPDATE ? INDEX_MS : SEARCH_MS, .owner = agent->owner,
				   .on_done = answered, .arg = a};
	if (json == NULL)
		return OC_E_NOMEM;
	oc_str text = oc_str_of(json);
	if (a->task == OC_MEMORY_SEARCH)
		return oc_memory_guest_search(guest, text, &options, NULL);
	if (a->task == OC_MEMORY_GET)
		return oc_memory_guest_get(guest, text, &options, NULL);
	oc_status status = a->task == OC_MEMORY_STATUS ? oc_memory_guest_status(guest, text, &options, NULL) : OC_E_UNSUPPORTED;
	return status == OC_E_UNSUPPORTED ? oc_memory_guest_index(guest, text, &options, NULL) : status;
}

static void tell_early(void *arg)
{
	const asking *a = arg;
	oc_auto_json cJSON *empty = a->nothing ? cJSON_CreateObject() : NULL;
	finish(a, empty);
}

bool oc_memory_slot_begin(oc_agent *agent, oc_memory_task task, const oc_memory_slot_ask *ask, oc_arena *arena,
			  oc_memory_slot_done done, void *arg)
{
	const char *id = NULL;
	oc_guest *guest = oc_modules_slot(agent->modules, OC_KIND_MEMORY, &id);
	asking *a = id != NULL ? oc_arena_alloc(arena, sizeof *a) : NULL;
	if (a == NULL || (id = oc_arena_strdup(arena, id)) == NULL)
		return false;
	*a = (asking){.task = task, .done = done, .arg = arg, .id = id};
	oc_status status = guest != NULL ? ask_guest(agent, guest, a, ask) : OC_E_UNAVAILABLE;
	if (status == OC_OK)
		return true;
	if (status == OC_E_UNSUPPORTED)
		a->nothing = true;
	else if (guest == NULL)
		(void)oc_fail(&a->why, status, "openclaw module doctor", "the memory \"%s\" (modules.slots.memory) does not run", id);
	else
		(void)oc_fail(&a->why, status, NULL, "the memory \"%s\" takes no question now: %s", id, oc_status_text(status));
	return oc_loop_defer(agent->loop, agent->owner, tell_early, a) == OC_OK;
}
