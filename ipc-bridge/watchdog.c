/* A look every few seconds at the memory of a plugin's processes together: who needs more than it may have is ended.  At their
 * number, which the sandbox bounds: who comes near that is named.  And at what they compute: who does nothing else is named, and
 * asked whether it still hears anybody. */
#include "core/base/log.h"
#include "ipc-bridge/permit.h"

enum { LOOK_MS = 3000, MANY_PROCESSES = 200, BUSY_LOOKS = 3 /* one after the other */ };

/* It computes without a pause: that may be its work, so the processor is only lent to it, but its loop must turn. */
static void look_at_processor(oc_plugin *plugin, const oc_use *use)
{
	unsigned looks = oc_busy_look(&plugin->busy, use, LOOK_MS);
	if (looks < BUSY_LOOKS)
		return;
	if (looks == BUSY_LOOKS)
		oc_plugin_trouble(plugin, "processor", "it kept a processor busy without a pause for %d seconds", BUSY_LOOKS * LOOK_MS / 1000);
	for (oc_plugin *p = oc_group_sharing(plugin, NULL); p != NULL; p = oc_group_sharing(plugin, p))
		if (p->peer != NULL)
			oc_peer_probe(p->peer);
}

static void look(void *arg)
{
	oc_plugin *plugin = arg;
	oc_use sum = {0};
	if (plugin->proc != NULL)
		oc_use_add((long)oc_proc_pid(plugin->proc), &sum);
	uint64_t limit = oc_permit_memory(plugin), used = sum.memory;
	plugin->memory = used;
	if (sum.processes > MANY_PROCESSES)
		oc_plugin_trouble(plugin, "processes", "it had %u processes at once; the sandbox ends that at 512 with their threads", sum.processes);
	look_at_processor(plugin, &sum);
	if (used <= limit)
		return;
	oc_plugin_trouble(plugin, "memory", "it used %llu MiB of memory and may use %llu (plugins.entries.%s.memoryMb)",
			  (unsigned long long)(used >> 20), (unsigned long long)(limit >> 20), plugin->id);
	oc_error("plugins", "%s: it uses %llu MiB of memory and may use %llu: it is ended", plugin->id, (unsigned long long)(used >> 20),
		 (unsigned long long)(limit >> 20));
	oc_plugin_kill(plugin);
}

void oc_watchdog_start(oc_plugin *plugin)
{
	oc_watchdog_end(plugin);
	plugin->watchdog = oc_timer_start(plugin->owner, LOOK_MS, LOOK_MS, look, plugin);
}

void oc_watchdog_end(oc_plugin *plugin)
{
	oc_watch_end(plugin->watchdog);
	plugin->watchdog = NULL;
	plugin->memory = 0;
	plugin->busy = (oc_busy){0};
}
