#include "ipc-bridge/use.h"

#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { DEPTH_MAX = 6, TEXT_MAX = 4096 };

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

static void add(long pid, unsigned depth, oc_use *sum)
{
	char text[TEXT_MAX], file[48], *end = NULL;
	sum->processes++;
	if (read_small(pid, "stat", text) && (end = strrchr(text, ')')) != NULL) {
		sum->cpu_ms += (field(end, 14) + field(end, 15)) * 1000 / (uint64_t)sysconf(_SC_CLK_TCK);
		sum->memory += field(end, 24) * (uint64_t)sysconf(_SC_PAGESIZE);
	}
	if (read_small(pid, "schedstat", text) && (end = strchr(text, ' ')) != NULL)
		sum->queued_ms += strtoull(end, NULL, 10) / 1000000;
	(void)snprintf(file, sizeof(file), "task/%ld/children", pid);
	if (depth >= DEPTH_MAX || !read_small(pid, file, text))
		return;
	for (char *p = text; *p != 0; p = end) {
		long child = strtol(p, &end, 10);
		if (end == p)
			break;
		add(child, depth + 1, sum);
	}
}

void oc_use_add(long pid, oc_use *sum)
{
	add(pid, 0, sum);
}

/* Others' load must not hide it, so the time that it stood in line counts; not alone, or a machine with far too much to do
 * would make everybody busy. */
unsigned oc_busy_look(oc_busy *busy, const oc_use *use, uint64_t span_ms)
{
	uint64_t cpu = use->cpu_ms > busy->cpu_ms ? use->cpu_ms - busy->cpu_ms : 0;
	uint64_t queued = use->queued_ms > busy->queued_ms ? use->queued_ms - busy->queued_ms : 0;
	bool all = busy->cpu_ms != 0 && cpu + queued >= span_ms * 9 / 10 && cpu >= span_ms / 4;
	busy->cpu_ms = use->cpu_ms;
	busy->queued_ms = use->queued_ms;
	busy->looks = all ? busy->looks + 1 : 0;
	return busy->looks;
}
