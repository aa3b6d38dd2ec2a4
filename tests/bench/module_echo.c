/* The module of bench_module: answers at once, and crashes when told to.  Its name is as long as that of its copies. */
#include <openclaw/module.h>
#include <stdlib.h>
#include <string.h>

OC_MODULE_MANIFEST("module.json");

static const oc_host_api *host;

static oc_status init(const oc_host_api *h, oc_self *self, oc_str config, void **ret)
{
	(void)self;
	(void)config;
	host = h;
	*ret = &host;
	return OC_OK;
}

static void fini(void *inst)
{
	(void)inst;
}

static oc_str tools(void *inst)
{
	(void)inst;
	return OC_STR("[{\"name\":\"bench_000\",\"description\":\"Says it again\",\"parameters\":{\"type\":\"object\"}}]");
}

static void invoke(void *inst, oc_call *call, oc_str tool, oc_str args, oc_str context)
{
	(void)inst;
	(void)tool;
	(void)context;
	if (args.n == 5 && memcmp(args.p, "crash", 5) == 0)
		abort();
	if (args.n == 6 && memcmp(args.p, "events", 6) == 0)
		for (int i = 0; i < 1000; i++)
			(void)host->call_event(call, OC_EV_PROGRESS, OC_STR("x"));
	host->call_done(call, OC_OK, args);
}

static const oc_tool_vtbl vtbl = {.struct_size = sizeof(vtbl), .tools = tools, .invoke = invoke};
static const oc_iface ifaces[] = {{OC_KIND_TOOL, 1, 0, "bench_000", &vtbl}};
static const oc_module_desc desc = {.magic = OC_MODULE_MAGIC, .struct_size = sizeof(desc), .abi_major = OC_ABI_MAJOR, .abi_minor = OC_ABI_MINOR,
				    .name = "bench_000", .version = "1.0.0", .ifaces = ifaces, .n_ifaces = 1, .init = init, .fini = fini};
OC_MODULE(&desc);
