/* Which module's code runs now, on which thread, and for how long. */
#include "core/module/internal.h"

static _Thread_local const oc_module *current;
static unsigned depth; /* module functions on the loop thread's stack */

const oc_module *oc_module_current(void)
{
	return current;
}

oc_visit oc_visit_mark(const oc_module *module)
{
	oc_visit visit = {.before = current};

	current = module;
	return visit;
}

void oc_visit_unmark(oc_visit visit)
{
	current = visit.before;
}

oc_visit oc_visit_host(void)
{
	return oc_visit_mark(NULL);
}

oc_visit oc_visit_begin_untimed(oc_module *module)
{
	oc_visit visit = oc_visit_mark(module);

	depth++;
	return visit;
}

oc_visit oc_visit_begin(oc_module *module)
{
	oc_visit visit = oc_visit_begin_untimed(module);

	visit.timed = true;
	visit.entered = oc_owner_enter(module->owner);
	return visit;
}

void oc_visit_end(oc_module *module, oc_visit visit)
{
	if (visit.timed)
		oc_owner_leave(module->owner, visit.entered);
	depth--;
	oc_visit_unmark(visit);
}

bool oc_visit_inside(void)
{
	return depth > 0;
}
