/* Its descriptor is another module's: the manifest says "bad". */
#include <openclaw/module.h>

OC_MODULE_MANIFEST("bad.json");

static oc_status init(const oc_host_api *host, oc_self *self, oc_str config, void **ret)
{
	(void)host;
	(void)self;
	(void)config;
	*ret = NULL;
	return OC_OK;
}
static void fini(void *inst)
{
	(void)inst;
}
static void call(void *inst, oc_call *c, oc_str method, oc_str args)
{
	(void)inst;
	(void)c;
	(void)method;
	(void)args;
}
static const oc_service_vtbl vtbl = {.struct_size = sizeof(vtbl), .call = call};
static const oc_iface ifaces[] = {{OC_KIND_SERVICE, 1, 0, "bad", &vtbl}};
static const oc_module_desc desc = {
	.magic = OC_MODULE_MAGIC,
	.struct_size = sizeof(desc),
	.abi_major = OC_ABI_MAJOR,
	.abi_minor = OC_ABI_MINOR,
	.name = "telegram",
	.version = "1",
	.ifaces = ifaces,
	.n_ifaces = 1,
	.init = init,
	.fini = fini,
};
OC_MODULE(&desc);
