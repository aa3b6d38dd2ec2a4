/* The gate, second half: the descriptor and the vtables, before anything in them is called. */
#include <string.h>

#include "core/base/str.h"
#include "core/module/loader.h"

#define REMEDY_HEADER "build it again with the <openclaw/module.h> of this installation"
#define REMEDY_NEWER "update OpenClaw, or get a build of the module for this version"

/* Sizes of ABI 1.0: nothing shorter was ever valid. */
enum { DESC_MIN = 96, IFACES_MAX = 64 };

_Static_assert(sizeof(oc_module_desc) >= DESC_MIN, "descriptors only grow");

static oc_status check_version(const oc_module_desc *d, oc_err *err)
{
	if (d->magic != OC_MODULE_MAGIC)
		return oc_fail(err, OC_E_INVALID, REMEDY_HEADER,
			       "wrong magic number 0x%08x in the descriptor: this is no OpenClaw module", (unsigned)d->magic);
	if (d->abi_major != OC_ABI_MAJOR)
		return oc_fail(err, OC_E_VERSION, "get a build of the module for this version of OpenClaw",
			       "built for module ABI %u.%u; this gateway has %d.%d", d->abi_major, d->abi_minor, OC_ABI_MAJOR,
			       OC_ABI_MINOR);
	if (d->struct_size < DESC_MIN)
		return oc_fail(err, OC_E_CORRUPT, "set struct_size to sizeof(oc_module_desc)",
			       "the descriptor says it has %u bytes; ABI 1.0 has %d", (unsigned)d->struct_size, DESC_MIN);
	if (d->abi_min_minor > OC_ABI_MINOR)
		return oc_fail(err, OC_E_VERSION, REMEDY_NEWER,
			       "needs module ABI %u.%u or newer; this gateway has %d.%d", d->abi_major, d->abi_min_minor,
			       OC_ABI_MAJOR, OC_ABI_MINOR);
	if (d->struct_size > sizeof(oc_module_desc))
		return oc_fail(err, OC_E_VERSION, REMEDY_NEWER,
			       "the descriptor has %u bytes, this gateway knows %zu: built for a newer ABI (%u.%u)",
			       (unsigned)d->struct_size, sizeof(oc_module_desc), d->abi_major, d->abi_minor);
	return OC_OK;
}

static oc_status check_identity(const oc_module_desc *d, const oc_manifest *m, oc_err *err)
{
	if (d->name == NULL || strcmp(d->name, m->name) != 0)
		return oc_fail(err, OC_E_INVALID, "give the descriptor and module.json the same name",
			       "the descriptor's name \"%.64s\" is not the manifest's \"%s\"", d->name == NULL ? "" : d->name,
			       m->name);
	if (d->version == NULL || strcmp(d->version, m->version) != 0)
		return oc_fail(err, OC_E_INVALID, "give the descriptor and module.json the same version",
			       "the descriptor's version \"%.64s\" is not the manifest's \"%s\"",
			       d->version == NULL ? "" : d->version, m->version);
	if (d->abi_major != m->abi_major || d->abi_minor != m->abi_minor)
		return oc_fail(err, OC_E_INVALID, "give module.json the ABI of the header it is built with",
			       "the descriptor says ABI %u.%u, the manifest %u.%u", d->abi_major, d->abi_minor, m->abi_major,
			       m->abi_minor);
	return OC_OK;
}

oc_status oc_loader_check(const oc_module_desc *desc, const oc_manifest *manifest, oc_module_desc *ret, oc_err *err)
{
	oc_module_desc d;
	oc_status st = check_version(desc, err);

	if (st != OC_OK)
		return st;
	memset(&d, 0, sizeof(d));
	memcpy(&d, desc, desc->struct_size);
	st = check_identity(&d, manifest, err);
	if (st != OC_OK)
		return st;
	if (d.init == NULL || d.fini == NULL)
		return oc_fail(err, OC_E_INVALID, "set both members of the descriptor", "the descriptor lacks %s",
			       d.init == NULL ? "init" : "fini");
	if (d.ifaces == NULL || d.n_ifaces == 0)
		return oc_fail(err, OC_E_INVALID, "list at least one interface", "the descriptor has no interfaces");
	if (d.n_ifaces > IFACES_MAX)
		return oc_fail(err, OC_E_LIMIT, "split the module", "the descriptor has %zu interfaces, %d are allowed", d.n_ifaces,
			       IFACES_MAX);
	*ret = d;
	return OC_OK;
}

/* ---- Interfaces ---- */

typedef struct member {
	size_t offset;
	const char *name;
} member;

typedef struct kind_rule {
	size_t size;
	uint16_t major, minor; /* 0.0: versions are the module's own */
	member required[5];
} kind_rule;

#define NEED(type, name) {offsetof(type, name), #name}
static const kind_rule rules[] = {
	[OC_KIND_CHANNEL] = {sizeof(oc_channel_vtbl), 1, 0,
			     {NEED(oc_channel_vtbl, connect), NEED(oc_channel_vtbl, send), NEED(oc_channel_vtbl, disconnect)}},
	[OC_KIND_PROVIDER] = {sizeof(oc_provider_vtbl), 1, 0,
			      {NEED(oc_provider_vtbl, chat), NEED(oc_provider_vtbl, cancel)}},
	[OC_KIND_TOOL] = {sizeof(oc_tool_vtbl), 1, 0, {NEED(oc_tool_vtbl, tools), NEED(oc_tool_vtbl, invoke)}},
	[OC_KIND_STORAGE] = {sizeof(oc_storage_vtbl), 1, 0,
			     {NEED(oc_storage_vtbl, put), NEED(oc_storage_vtbl, get), NEED(oc_storage_vtbl, list),
			      NEED(oc_storage_vtbl, remove)}},
	[OC_KIND_MEMORY] = {sizeof(oc_memory_vtbl), 1, 0, {NEED(oc_memory_vtbl, search), NEED(oc_memory_vtbl, get)}},
	[OC_KIND_HTTP] = {sizeof(oc_http_vtbl), 1, 0, {NEED(oc_http_vtbl, request)}},
	[OC_KIND_HOOK] = {sizeof(oc_hook_vtbl), 1, 0, {NEED(oc_hook_vtbl, subscriptions), NEED(oc_hook_vtbl, handle)}},
	[OC_KIND_SERVICE] = {sizeof(oc_service_vtbl), 0, 0, {NEED(oc_service_vtbl, call)}},
};

static oc_status check_id(const oc_iface *iface, const char *kind, oc_err *err)
{
	oc_str id = oc_str_of(iface->id);

	if (iface->id == NULL || id.n == 0)
		return oc_fail(err, OC_E_INVALID, "set the interface's id", "a %s interface has no id", kind);
	if (iface->kind == OC_KIND_HTTP) {
		if (id.p[0] != '/' || id.n < 2 || id.n > 200 || id.p[id.n - 1] == '/' || oc_str_has(id, "//")
		    || oc_str_has(id, ".."))
			return oc_fail(err, OC_E_INVALID, "use a path such as /webhooks/name, without a final slash",
				       "\"%.80s\" is no path prefix for an http interface", iface->id);
		return OC_OK;
	}
	if (!oc_manifest_name_ok(id))
		return oc_fail(err, OC_E_INVALID, "use a-z, 0-9, '.', '_' and '-', a letter first",
			       "\"%.80s\" is no id for a %s interface", iface->id, kind);
	return OC_OK;
}

static oc_status check_table(const oc_iface *iface, const char *kind, const kind_rule *rule, void *ret, size_t size,
			     oc_err *err)
{
	uint32_t said;

	if (iface->vtbl == NULL)
		return oc_fail(err, OC_E_INVALID, "set the interface's vtbl", "the %s interface \"%s\" has no vtable", kind,
			       iface->id);
	memcpy(&said, iface->vtbl, sizeof(said));
	if (said < 2 * sizeof(uint32_t))
		return oc_fail(err, OC_E_CORRUPT, "set struct_size to the sizeof of the vtable",
			       "the vtable of the %s interface \"%s\" says it has %u bytes", kind, iface->id, (unsigned)said);
	if (said > rule->size || rule->size > size)
		return oc_fail(err, OC_E_VERSION, REMEDY_NEWER,
			       "the vtable of the %s interface \"%s\" has %u bytes, this gateway knows %zu", kind, iface->id,
			       (unsigned)said, rule->size);
	memset(ret, 0, size);
	memcpy(ret, iface->vtbl, said);
	for (const member *need = rule->required; need->name != NULL; need++) {
		void *fn;

		memcpy(&fn, (const char *)ret + need->offset, sizeof(fn));
		if (fn == NULL)
			return oc_fail(err, OC_E_INVALID, "set that member of the vtable",
				       "the %s interface \"%s\" lacks the required function %s", kind, iface->id, need->name);
	}
	return OC_OK;
}

oc_status oc_loader_check_iface(const oc_iface *iface, const oc_manifest *manifest, void *ret, size_t size, oc_err *err)
{
	const char *kind = oc_kind_name(iface->kind);
	const kind_rule *rule;
	oc_status st;

	if (kind == NULL || iface->kind >= sizeof(rules) / sizeof(rules[0]) || rules[iface->kind].size == 0)
		return oc_fail(err, OC_E_VERSION, REMEDY_NEWER, "an interface of kind %u, which this gateway does not know",
			       (unsigned)iface->kind);
	if ((manifest->kinds >> iface->kind & 1) == 0)
		return oc_fail(err, OC_E_INVALID, "list the kind in module.json",
			       "an interface of kind %s, which the manifest does not list", kind);
	st = check_id(iface, kind, err);
	if (st != OC_OK)
		return st;
	rule = &rules[iface->kind];
	if (rule->major != 0 && (iface->ver_major != rule->major || iface->ver_minor > rule->minor))
		return oc_fail(err, OC_E_VERSION, REMEDY_NEWER,
			       "the %s interface \"%s\" has version %u.%u; this gateway knows %u.%u", kind, iface->id,
			       iface->ver_major, iface->ver_minor, rule->major, rule->minor);
	return check_table(iface, kind, rule, ret, size, err);
}

size_t oc_loader_vtbl_size(uint32_t kind)
{
	return kind < sizeof(rules) / sizeof(rules[0]) && rules[kind].size != 0 ? rules[kind].size : 2 * sizeof(uint32_t);
}
