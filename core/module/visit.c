/* Which module's code runs now, on which thread, and for how long. */
#include "core/base/clock.h"
#include "core/module/internal.h"

static _Thread_local const oc_module *current;
_Thread_local const char *oc_visit_name;
static unsigned depth; /* module functions on the loop thread's stack */

enum { KEPT = 64 };
static const oc_module *before[KEPT]; /* whose code ran before each of the first of them */

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

/* Everything that runs a module's code on the loop thread goes through its owner: also the services of other rooms (HTTP,
 * processes, channels), which know nothing of modules. */
static void enter(void *arg)
{
	if (depth < KEPT)
		before[depth] = current;
	depth++;
	current = arg;
}

static void leave(void *arg)
{
	(void)arg;
	depth--;
	if (depth < KEPT)
		current = before[depth];
}

void oc_visit_guard(oc_module *module)
{
	oc_owner_set_guard(module->owner, enter, leave, module);
}

oc_visit oc_visit_aside(void)
{
	oc_visit visit = {.before = current, .depth = depth};

	current = NULL;
	depth = 0;
	return visit;
}

void oc_visit_return(oc_visit visit)
{
	current = visit.before;
	depth = visit.depth;
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
	return oc_visit_begin_at(module, oc_loop_now_ns(module->registry->loop));
}

oc_visit oc_visit_begin_at(oc_module *module, uint64_t now_ns)
{
	oc_visit visit = oc_visit_begin_untimed(module);

	visit.timed = true;
	visit.entered = oc_owner_clock_in(module->owner, now_ns);
	return visit;
}

void oc_visit_end(oc_module *module, oc_visit visit)
{
	if (visit.timed)
		oc_owner_clock_out(module->owner, visit.entered);
	depth--;
	oc_visit_unmark(visit);
}

bool oc_visit_inside(void)
{
	return depth > 0;
}
