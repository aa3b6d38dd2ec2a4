/* A look every few seconds at the memory of a plugin's processes together: who needs more than it may have is ended.  And at
 * their number, which the sandbox bounds: who comes near that is named. */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/base/log.h"
#include "core/base/mem.h"
#include "ipc-bridge/permit.h"

enum { LOOK_MS = 3000, DEPTH_MAX = 6, TEXT_MAX = 4096, MANY_PROCESSES = 200 };

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

/* Resident bytes of a process and all below it, which are counted. */
static uint64_t resident(long pid, unsigned depth, unsigned *n)
{
	char text[TEXT_MAX], file[48], *end = NULL;
	uint64_t sum = 0;
	++*n;
	if (read_small(pid, "statm", text)) { /* all pages, then resident ones */
		(void)strtoull(text, &end, 10);
		sum = strtoull(end, NULL, 10) * (uint64_t)sysconf(_SC_PAGESIZE);
	}
	(void)snprintf(file, sizeof(file), "task/%ld/children", pid);
	if (depth >= DEPTH_MAX || !read_small(pid, file, text))
		return sum;
	for (char *p = text; *p != 0; p = end) {
		long child = strtol(p, &end, 10);
		if (end == p)
			break;
		sum += resident(child, depth + 1, n);
	}
	return sum;
}

static void look(void *arg)
{
	oc_plugin *plugin = arg;
	unsigned n = 0;
	uint64_t limit = oc_permit_memory(plugin), used = plugin->proc != NULL ? resident((long)oc_proc_pid(plugin->proc), 0, &n) : 0;
	plugin->memory = used;
	if (n > MANY_PROCESSES)
		oc_plugin_trouble(plugin, "processes", "it had %u processes at once; the sandbox ends that at 512 with their threads", n);
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
}
