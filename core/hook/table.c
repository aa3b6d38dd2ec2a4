/* The table of hooks as data. */
#include <string.h>

#include "core/base/str.h"
#include "core/hook/hook.h"

static const oc_hook_info table[] = {
	[OC_HOOK_NONE] = {0},
#define ROW(id, name, native, point, kind, timeout, failure, merge) \
	[OC_HOOK_##id] = {name, native, point, OC_HOOK_KIND_##kind, timeout, OC_HOOK_FAIL_##failure, merge},
	OC_HOOK_MAP(ROW)
#undef ROW
};

const oc_hook_info *oc_hook_info_of(oc_hook_id hook)
{
	return hook > OC_HOOK_NONE && hook < OC_HOOK_COUNT ? &table[hook] : NULL;
}

oc_hook_id oc_hook_by_name(oc_str name)
{
	for (unsigned i = OC_HOOK_NONE + 1; i < OC_HOOK_COUNT; i++)
		if (oc_str_eqz(name, table[i].name))
			return (oc_hook_id)i;
	return OC_HOOK_NONE;
}

oc_hook_id oc_hook_canonical(oc_hook_id hook)
{
	return hook == OC_HOOK_TS_BEFORE_TOOL_CALL ? OC_HOOK_BEFORE_TOOL_CALL : hook;
}

const char *oc_hook_kind_name(oc_hook_kind kind)
{
	switch (kind) {
	case OC_HOOK_KIND_OBSERVE:
		return "observe";
	case OC_HOOK_KIND_MODIFY:
		return "modify";
	case OC_HOOK_KIND_CLAIM:
		return "claim";
	case OC_HOOK_KIND_TRANSCRIPT:
		return "transcript";
	}
	return "unknown";
}
