/*
 * Compiled as C11 and as C++17 by header.test, never run: the header stands alone and has the frozen face.
 *
 * frozen_v1_0.h is written by freeze.sh: what modules in the field were compiled with.  Once 1.0 is released it never
 * changes, and a later minor adds a file of its own.  Members never move and never change their type; structs only grow.
 */
#include <openclaw/module.h>

#ifdef __cplusplus
#define OC_ASSERT(what, text) static_assert(what, text)
#define OC_SAME_TYPE(type, member, declared)
#else
#define OC_ASSERT(what, text) _Static_assert(what, text)
#define OC_SAME_TYPE(type, member, declared)                                                                  \
	OC_ASSERT(__builtin_types_compatible_p(__typeof__(((type *)0)->member), __typeof__(declared)), \
		  #type "." #member " has another type");
#endif
#define OC_FROZEN(type, member, offset, declared)                            \
	OC_ASSERT(offsetof(type, member) == (offset), #type "." #member " has moved"); \
	OC_SAME_TYPE(type, member, declared)
#define OC_FROZEN_SIZE(type, size) OC_ASSERT(sizeof(type) >= (size), #type " has become smaller");
#define OC_FROZEN_VALUE(name, value) OC_ASSERT((long long)(name) == (value), #name " has another value");
#define OC_FROZEN_TEXT(name, text) OC_ASSERT(__builtin_strcmp(name, text) == 0, #name " has another text");

#include "frozen_v1_0.h"

/* Passed by value, and an element of an array: these two never grow. */
OC_ASSERT(sizeof(oc_str) == 16, "oc_str has changed its size");
OC_ASSERT(sizeof(oc_iface) == 24, "oc_iface has changed its size");

/* What a module writes with the header must compile without a warning too. */
static oc_status demo_init(const oc_host_api *host, oc_self *self, oc_str config, void **ret_inst)
{
	(void)config;
	if (OC_HAS(host, now_ms))
		(void)host->now_ms(self);
	*ret_inst = NULL;
	return OC_OK;
}

static void demo_fini(void *inst)
{
	(void)inst;
}

static void demo_call(void *inst, oc_call *call, oc_str method, oc_str args)
{
	(void)inst;
	(void)call;
	(void)method;
	(void)args;
}

static const oc_service_vtbl demo_vtbl = {sizeof(oc_service_vtbl), 0, demo_call, NULL};
static const oc_iface demo_ifaces[] = {{OC_KIND_SERVICE, 1, 0, "demo", &demo_vtbl}};
static const oc_module_desc demo = {
	OC_MODULE_MAGIC, sizeof(oc_module_desc), OC_ABI_MAJOR, OC_ABI_MINOR, 0,    0,    0,         "demo", "1.0",
	demo_ifaces,     1,                      demo_init,    NULL,         NULL, demo_fini, NULL,
};

OC_MODULE_MANIFEST("demo.json");
OC_MODULE(&demo);

oc_str demo_strings(int which);
oc_str demo_strings(int which)
{
	return which ? OC_STR("text") : oc_str_of("text");
}
