/*
 * units: a module with one tool, which converts lengths, weights and temperatures.
 *
 * What happens: the gateway reads module.json out of the .so, loads it, calls init with the settings, asks for the list of
 * tools, and calls invoke when the model uses one.
 */
#include <openclaw/json.h>
#include <openclaw/module.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

OC_MODULE_MANIFEST("module.json");

/* Everything one instance needs. There is no global state: the gateway may start a module more than once. */
typedef struct units {
	const oc_host_api *host;
	oc_self *self;
	int64_t digits;
} units;

static const struct unit {
	const char *name;
	char dimension;
	double factor, offset; /* to the dimension's first unit: value * factor + offset */
} all_units[] = {
	{"m", 'l', 1, 0},	    {"km", 'l', 1000, 0}, {"cm", 'l', 0.01, 0},	    {"mm", 'l', 0.001, 0}, {"mi", 'l', 1609.344, 0},
	{"ft", 'l', 0.3048, 0},	    {"in", 'l', 0.0254, 0}, {"kg", 'w', 1, 0},	    {"g", 'w', 0.001, 0},  {"lb", 'w', 0.45359237, 0},
	{"oz", 'w', 0.028349523125, 0}, {"C", 't', 1, 0}, {"K", 't', 1, -273.15},  {"F", 't', 5.0 / 9, -160.0 / 9},
};

static const struct unit *unit_named(oc_str args, const char *member)
{
	oc_str value;
	char name[16];

	if (!ocj_get(args, member, &value) || ocj_text(value, name, sizeof(name)) >= sizeof(name))
		return NULL;
	for (size_t i = 0; i < sizeof(all_units) / sizeof(all_units[0]); i++)
		if (strcmp(all_units[i].name, name) == 0)
			return &all_units[i];
	return NULL;
}

static oc_status units_init(const oc_host_api *host, oc_self *self, oc_str config, void **ret_inst)
{
	units *u = host->alloc(self, sizeof(*u));
	oc_str digits;

	if (u == NULL)
		return OC_E_NOMEM;
	u->host = host;
	u->self = self;
	/* The gateway has checked the settings against configSchema and filled in the defaults. */
	if (!ocj_get(config, "digits", &digits) || !ocj_int(digits, &u->digits))
		u->digits = 2;
	*ret_inst = u;
	return OC_OK;
}

static void units_fini(void *inst)
{
	units *u = inst;

	u->host->free(u->self, u);
}

static oc_str units_tools(void *inst)
{
	(void)inst;
	return OC_STR("[{\"name\":\"convert_units\","
		      "\"description\":\"Converts a length (m km cm mm mi ft in), weight (kg g lb oz) or temperature (C K F)\","
		      "\"parameters\":{\"type\":\"object\","
		      "\"properties\":{\"value\":{\"type\":\"number\"},\"from\":{\"type\":\"string\"},\"to\":{\"type\":\"string\"}},"
		      "\"required\":[\"value\",\"from\",\"to\"]}}]");
}

static void units_invoke(void *inst, oc_call *call, oc_str tool, oc_str args, oc_str context)
{
	units *u = inst;
	const struct unit *from = unit_named(args, "from"), *to = unit_named(args, "to");
	oc_str value = OC_STR("0");
	double number;
	char result[400];

	(void)tool; /* there is only one */
	(void)context;
	if (from == NULL || to == NULL || from->dimension != to->dimension) {
		/* What the model should see and mend is a result with isError; a status would say that the tool is broken. */
		u->host->call_done(call, OC_OK,
				   OC_STR("{\"isError\":true,\"content\":[{\"type\":\"text\",\"text\":"
					  "\"unknown unit, or units of different kinds; known: m km cm mm mi ft in, kg g lb oz, C K F\"}]}"));
		return;
	}
	(void)ocj_get(args, "value", &value); /* the gateway has checked the arguments against the parameters above */
	number = (strtod(value.p, NULL) * from->factor + from->offset - to->offset) / to->factor;
	(void)snprintf(result, sizeof(result), "{\"content\":[{\"type\":\"text\",\"text\":\"%.*f %s\"}]}", (int)u->digits, number, to->name);
	/* Exactly once a call: now, or later from a timer, a descriptor, work() or post(). */
	u->host->call_done(call, OC_OK, oc_str_of(result));
}

static const oc_tool_vtbl units_vtbl = {
	.struct_size = sizeof(units_vtbl),
	.tools = units_tools,
	.invoke = units_invoke,
};

static const oc_iface units_ifaces[] = {
	{OC_KIND_TOOL, 1, 0, "units", &units_vtbl},
};

static const oc_module_desc units_desc = {
	.magic = OC_MODULE_MAGIC,
	.struct_size = sizeof(units_desc),
	.abi_major = OC_ABI_MAJOR,
	.abi_minor = OC_ABI_MINOR,
	.abi_min_minor = 0,
	.name = "units", /* as in module.json */
	.version = "0.1.0",
	.ifaces = units_ifaces,
	.n_ifaces = sizeof(units_ifaces) / sizeof(units_ifaces[0]),
	.init = units_init,
	.fini = units_fini,
};

OC_MODULE(&units_desc);
