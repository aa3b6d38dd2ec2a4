/*
 * counter: a module that offers a service to other modules: named counters that survive restarts.
 * Methods: add {"name":"…","by":1?} and get {"name":"…"}, both with the result {"value":n}.
 */
#include <inttypes.h>
#include <openclaw/json.h>
#include <openclaw/module.h>
#include <stdio.h>
#include <string.h>

OC_MODULE_MANIFEST("module.json");

typedef struct counter {
	const oc_host_api *host;
	oc_self *self;
	const oc_kv_host *kv;
} counter;

/* One add on its way to the disk. */
typedef struct add {
	counter *counter;
	oc_call *call;
	int64_t value;
} add;

static oc_status counter_init(const oc_host_api *host, oc_self *self, oc_str config, void **ret_inst)
{
	const void *kv;
	oc_status status = host->query(self, OC_STR(OC_SERVICE_KV), 1, 0, &kv);
	counter *c;

	(void)config;
	if (status != OC_OK)
		return status;
	c = host->alloc(self, sizeof(*c));
	if (c == NULL)
		return OC_E_NOMEM;
	*c = (counter){host, self, kv};
	*ret_inst = c;
	return OC_OK;
}

static void counter_fini(void *inst)
{
	counter *c = inst;

	c->host->free(c->self, c);
}

static void answer(counter *c, oc_call *call, int64_t value)
{
	char result[64];

	(void)snprintf(result, sizeof(result), "{\"value\":%" PRId64 "}", value);
	c->host->call_done(call, OC_OK, oc_str_of(result));
}

static void on_added(void *arg, oc_status status)
{
	add *a = arg;
	counter *c = a->counter;

	/* Who counts on it may do so only now: it is committed. */
	if (status == OC_OK)
		answer(c, a->call, a->value);
	else
		c->host->call_done(a->call, status, OC_STR("the counter could not be written"));
	c->host->free(c->self, a);
}

static void counter_add(counter *c, oc_call *call, oc_str key, int64_t value)
{
	add *a = c->host->alloc(c->self, sizeof(*a));
	char text[24];
	oc_status status = OC_E_NOMEM;

	if (a != NULL) {
		*a = (add){c, call, value};
		(void)snprintf(text, sizeof(text), "%" PRId64, value);
		status = c->kv->put(c->self, key, oc_str_of(text), on_added, a);
	}
	if (status != OC_OK) {
		c->host->free(c->self, a);
		c->host->call_done(call, status, OC_STR("the counter cannot be written now"));
	}
}

static void counter_call(void *inst, oc_call *call, oc_str method, oc_str args)
{
	counter *c = inst;
	char key[150];
	oc_str member;
	oc_buf *stored = NULL;
	int64_t value = 0, by = 1;

	if (!ocj_get(args, "name", &member) || ocj_text(member, key, sizeof(key)) >= sizeof(key) || key[0] == 0) {
		c->host->call_done(call, OC_E_INVALID, OC_STR("name must be a text of 1 to 149 bytes"));
		return;
	}
	if (c->kv->get(c->self, oc_str_of(key), &stored) == OC_OK)
		(void)ocj_int(c->host->buf_str(stored), &value);
	c->host->buf_unref(stored);
	if (strcmp(method.p, "get") == 0) {
		answer(c, call, value);
	} else if (strcmp(method.p, "add") == 0) {
		if (ocj_get(args, "by", &member) && !ocj_int(member, &by))
			c->host->call_done(call, OC_E_INVALID, OC_STR("by must be a whole number"));
		else
			counter_add(c, call, oc_str_of(key), (int64_t)((uint64_t)value + (uint64_t)by));
	} else {
		c->host->call_done(call, OC_E_NOT_FOUND, OC_STR("methods: add, get"));
	}
}

static const oc_service_vtbl counter_vtbl = {.struct_size = sizeof(counter_vtbl), .call = counter_call};

/* The service's own name and version. */
static const oc_iface counter_ifaces[] = {{OC_KIND_SERVICE, 1, 0, "counter", &counter_vtbl}};

static const oc_module_desc counter_desc = {
	.magic = OC_MODULE_MAGIC,
	.struct_size = sizeof(counter_desc),
	.abi_major = OC_ABI_MAJOR,
	.abi_minor = OC_ABI_MINOR,
	.name = "counter",
	.version = "0.1.0",
	.ifaces = counter_ifaces,
	.n_ifaces = 1,
	.init = counter_init,
	.fini = counter_fini,
};

OC_MODULE(&counter_desc);
