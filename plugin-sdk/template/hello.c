/*
 * hello: an OpenClaw module with one tool.  Copy the folder, rename it, replace the tool.
 *
 * What happens: the gateway reads module.json out of the .so, loads it, calls init with the settings, asks for the list of
 * tools, and calls invoke when the model uses one.
 */
#include <openclaw/json.h>
#include <openclaw/module.h>
#include <stdio.h>

OC_MODULE_MANIFEST("module.json");

/* Everything one instance needs. There is no global state: the gateway may start a module more than once. */
typedef struct hello {
	const oc_host_api *host;
	oc_self *self;
	char greeting[64];
} hello;

static oc_status hello_init(const oc_host_api *host, oc_self *self, oc_str config, void **ret_inst)
{
	hello *h = host->alloc(self, sizeof(*h));
	oc_str greeting;

	if (h == NULL)
		return OC_E_NOMEM;
	h->host = host;
	h->self = self;
	/* The gateway has checked the settings against configSchema and filled in the defaults. */
	if (!ocj_get(config, "greeting", &greeting) || ocj_text(greeting, h->greeting, sizeof(h->greeting)) >= sizeof(h->greeting)) {
		host->log(self, OC_LOG_ERROR, OC_STR("greeting must have at most 63 bytes"));
		host->free(self, h);
		return OC_E_INVALID;
	}
	*ret_inst = h;
	return OC_OK;
}

static void hello_fini(void *inst)
{
	hello *h = inst;

	h->host->free(h->self, h);
}

static oc_str hello_tools(void *inst)
{
	(void)inst;
	return OC_STR("[{\"name\":\"greet\","
		      "\"description\":\"Greets a person by name\","
		      "\"parameters\":{\"type\":\"object\","
		      "\"properties\":{\"name\":{\"type\":\"string\",\"description\":\"Whom to greet\"}},"
		      "\"required\":[\"name\"]}}]");
}

static void hello_invoke(void *inst, oc_call *call, oc_str tool, oc_str args, oc_str context)
{
	hello *h = inst;
	oc_str value;
	char name[200], text[300], quoted[1800], result[2000];

	(void)tool; /* there is only one */
	(void)context;
	/* The gateway has checked the arguments against the parameters above. */
	if (!ocj_get(args, "name", &value) || ocj_text(value, name, sizeof(name)) >= sizeof(name)) {
		h->host->call_done(call, OC_E_INVALID, OC_STR("the name is too long"));
		return;
	}
	(void)snprintf(text, sizeof(text), "%s, %s!", h->greeting, name);
	(void)ocj_quote(oc_str_of(text), quoted, sizeof(quoted));
	(void)snprintf(result, sizeof(result), "{\"content\":[{\"type\":\"text\",\"text\":%s}]}", quoted);
	/* Exactly once a call: now, or later from a timer, a descriptor, work() or post(). */
	h->host->call_done(call, OC_OK, oc_str_of(result));
}

static const oc_tool_vtbl hello_vtbl = {
	.struct_size = sizeof(hello_vtbl),
	.tools = hello_tools,
	.invoke = hello_invoke,
};

static const oc_iface hello_ifaces[] = {
	{OC_KIND_TOOL, 1, 0, "hello", &hello_vtbl},
};

static const oc_module_desc hello_desc = {
	.magic = OC_MODULE_MAGIC,
	.struct_size = sizeof(hello_desc),
	.abi_major = OC_ABI_MAJOR,
	.abi_minor = OC_ABI_MINOR,
	.abi_min_minor = 0,
	.name = "hello", /* as in module.json */
	.version = "0.1.0",
	.ifaces = hello_ifaces,
	.n_ifaces = sizeof(hello_ifaces) / sizeof(hello_ifaces[0]),
	.init = hello_init,
	.fini = hello_fini,
};

OC_MODULE(&hello_desc);
