/* Compiled as C11 and as C++17 by header.test: the header stands alone and has the frozen layout. */
#include "frozen_v1_0.h"

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
