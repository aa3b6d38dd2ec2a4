/*
 * Watching one module at work, for `openclaw module trace`: a ring of what it was called for and how long that took.  The ring
 * exists while somebody reads it; without one a call costs a look at a pointer.
 */
#include "core/base/clock.h"
#include "core/module/internal.h"

enum { ENTRIES = 1024 /* a power of two */, LEASE_MS = 10 * 1000 };

typedef struct entry {
	int64_t at_ms;
	const char *what, *fn; /* static */
	uint64_t id, ns, bytes;
	oc_status status;
} entry;

struct oc_module_trace {
	uint64_t next, until_ms;
	entry ring[ENTRIES];
};

void oc_trace_add(oc_module *module, const char *what, const char *fn, const oc_call *call, uint64_t began_ns, size_t bytes,
		  oc_status status)
{
	oc_module_trace *t = module->trace;

	if (oc_now_ms() > t->until_ms) { /* nobody reads it any more */
		oc_free(t);
		module->trace = NULL;
		return;
	}
	t->ring[t->next++ % ENTRIES] = (entry){
		.at_ms = oc_wall_ms(),
		.what = what,
		.fn = fn,
		.id = (uint64_t)(uintptr_t)call >> 24, /* the handle's generation */
		.ns = began_ns != 0 ? oc_now_ns() - began_ns : 0,
		.bytes = bytes,
		.status = status,
	};
}

static cJSON *entry_json(const entry *e, uint64_t seq)
{
	cJSON *o = cJSON_CreateObject();

	(void)oc_json_set_i64(o, "seq", (int64_t)seq);
	(void)oc_json_set_i64(o, "ts", e->at_ms);
	(void)oc_json_set_str(o, "what", e->what);
	oc_json_opt(o, "function", e->fn);
	if (e->id != 0)
		(void)oc_json_set_i64(o, "call", (int64_t)e->id);
	(void)oc_json_set(o, "ms", cJSON_CreateNumber((double)(e->ns / 1000) / 1000));
	(void)oc_json_set_i64(o, "bytes", (int64_t)e->bytes);
	(void)oc_json_set_str(o, "status", oc_status_name(e->status));
	return o;
}

cJSON *oc_module_trace_read(oc_module *module, uint64_t after)
{
	oc_module_trace *t = module->trace;
	cJSON *o = cJSON_CreateObject(), *list = cJSON_AddArrayToObject(o, "entries");
	uint64_t first;

	if (t == NULL && (t = module->trace = oc_alloc(sizeof(*t))) == NULL) {
		cJSON_Delete(o);
		return NULL;
	}
	t->until_ms = oc_now_ms() + LEASE_MS;
	first = after < t->next ? after : t->next;
	if (t->next - first > ENTRIES)
		first = t->next - ENTRIES;
	for (uint64_t i = first; i < t->next; i++) {
		cJSON *one = entry_json(&t->ring[i % ENTRIES], i + 1);
		if (one == NULL || !cJSON_AddItemToArray(list, one))
			cJSON_Delete(one);
	}
	(void)oc_json_set_i64(o, "next", (int64_t)t->next);
	(void)oc_json_set_i64(o, "lost", after < first ? (int64_t)(first - after) : 0);
	return o;
}
