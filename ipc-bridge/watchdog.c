/* A look every few seconds at the memory of a plugin's processes together: who needs more than it may have is ended.  At their
 * number, which the sandbox bounds: who comes near that is named.  And at what they compute: who does nothing else is named, and
 * asked whether it still hears anybody. */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/base/log.h"
#include "core/base/mem.h"
#include "ipc-bridge/permit.h"

enum { LOOK_MS = 3000, DEPTH_MAX = 6, TEXT_MAX = 4096, MANY_PROCESSES = 200, BUSY_LOOKS = 3 /* one after the other */ };

typedef struct use {
	uint64_t memory; /* resident bytes */
	uint64_t ticks;	 /* of the processor, since they began */
	unsigned n;	 /* processes */
} use;

static bool read_small(long pid, const char *file, char *text)
{
	char path[96];
	(void)snprintf(path, sizeof(path), "/proc/%ld/%s", pid, file);
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t n = fd >= 0 ? read(fd, text, TEXT_MAX - 1) : 0;
	if (fd >= 0)
		(void)close(fd);
	text[n > 0 ? n : 0] = 0;
	return n > 0;
}

/* The number-th field behind a process's name, which may hold anything; the first is 3 in proc(5). */
static uint64_t field(const char *after_name, unsigned number)
{
	const char *p = after_name;
	for (unsigned i = 2; i < number && p != NULL; i++)
		p = strchr(p + 1, ' ');
	return p != NULL ? strtoull(p + 1, NULL, 10) : 0;
}

/* Adds a process and all below it. */
static void add_use(long pid, unsigned depth, use *sum)
{
	char text[TEXT_MAX], file[48], *end = NULL;
	sum->n++;
	if (read_small(pid, "stat", text) && (end = strrchr(text, ')')) != NULL) {
		sum->ticks += field(end, 14) + field(end, 15);
		sum->memory += field(end, 24) * (uint64_t)sysconf(_SC_PAGESIZE);
	}
	(void)snprintf(file, sizeof(file), "task/%ld/children", pid);
	if (depth >= DEPTH_MAX || !read_small(pid, file, text))
		return;
	for (char *p = text; *p != 0; p = end) {
		long child = strtol(p, &end, 10);
		if (end == p)
			break;
		add_use(child, depth + 1, sum);
	}
}

/* It computes without a pause: that may be its work, so the processor is only lent to it, but its loop must turn. */
static void look_at_processor(oc_plugin *plugin, uint64_t ticks)
{
	uint64_t all = (uint64_t)sysconf(_SC_CLK_TCK) * LOOK_MS / 1000, used = ticks > plugin->ticks ? ticks - plugin->ticks : 0;
	bool busy = plugin->ticks != 0 && used >= all * 9 / 10;
	plugin->ticks = ticks;
	plugin->busy_looks = busy ? plugin->busy_looks + 1 : 0;
	if (plugin->busy_looks < BUSY_LOOKS)
		return;
	if (plugin->busy_looks == BUSY_LOOKS)
		oc_plugin_trouble(plugin, "processor", "it kept a processor busy without a pause for %d seconds", BUSY_LOOKS * LOOK_MS / 1000);
	for (oc_plugin *p = oc_group_sharing(plugin, NULL); p != NULL; p = oc_group_sharing(plugin, p))
		if (p->peer != NULL)
			oc_peer_probe(p->peer);
}

static void look(void *arg)
{
	oc_plugin *plugin = arg;
	use sum = {0};
	if (plugin->proc != NULL)
		add_use((long)oc_proc_pid(plugin->proc), 0, &sum);
	uint64_t limit = oc_permit_memory(plugin), used = sum.memory;
	plugin->memory = used;
	if (sum.n > MANY_PROCESSES)
		oc_plugin_trouble(plugin, "processes", "it had %u processes at once; the sandbox ends that at 512 with their threads", sum.n);
	look_at_processor(plugin, sum.ticks);
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
	plugin->memory = plugin->ticks = 0;
	plugin->busy_looks = 0;
}
