/* Control groups, see cgroup.h. */
#include "core/security/cgroup.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/base/mem.h"
#include "core/base/str.h"

#define NAME "openclaw-"
#define LEAF "openclaw-gateway"

static bool write_text(const char *dir, const char *file, const char *text)
{
	oc_auto_free char *path = oc_asprintf("%s/%s", dir, file);
	int fd = path != NULL ? open(path, O_WRONLY | O_CLOEXEC) : -1;
	bool ok = fd >= 0 && write(fd, text, strlen(text)) == (ssize_t)strlen(text);

	if (fd >= 0)
		(void)close(fd);
	return ok;
}

static bool write_number(const char *dir, const char *file, uint64_t n)
{
	char text[32];

	(void)snprintf(text, sizeof(text), "%llu", (unsigned long long)n);
	return write_text(dir, file, text);
}

/* The beginning of a file as a string; "" when it cannot be read. */
static char *read_text(const char *path, char *out, size_t size)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t n = fd >= 0 ? read(fd, out, size - 1) : -1;

	if (fd >= 0)
		(void)close(fd);
	out[n > 0 ? n : 0] = 0;
	return out;
}

static char *read_in(const char *dir, const char *file, char *out, size_t size)
{
	oc_auto_free char *path = oc_asprintf("%s/%s", dir, file);

	out[0] = 0;
	return path != NULL ? read_text(path, out, size) : out;
}

/* Whether a word is in a list separated by spaces, commas or newlines. */
static bool has_word(const char *list, const char *word)
{
	size_t n = strlen(word);

	for (const char *p = strstr(list, word); p != NULL; p = strstr(p + 1, word))
		if ((p == list || strchr(" ,\n", p[-1]) != NULL) && (p[n] == 0 || strchr(" ,\n", p[n]) != NULL))
			return true;
	return false;
}

/* ---- Where we are ---- */

/* Our path in a hierarchy: line "N:CONTROLLERS:PATH" of /proc/self/cgroup; controller "" is version 2. */
static char *own_path(const char *root, const char *controller)
{
	char text[4096];
	oc_auto_free char *file = oc_asprintf("%s/proc/self/cgroup", root);
	oc_str rest = oc_str_of(file != NULL ? read_text(file, text, sizeof(text)) : "");

	while (rest.p != NULL) {
		oc_str path = oc_str_cut(&rest, '\n');
		oc_str number = oc_str_cut(&path, ':');
		oc_str names = path.p != NULL ? oc_str_cut(&path, ':') : OC_STR_NONE;
		char list[256];

		if (path.p == NULL || names.n >= sizeof(list))
			continue;
		memcpy(list, names.p, names.n);
		list[names.n] = 0;
		if (controller[0] == 0 ? oc_str_eqz(number, "0") && names.n == 0 : has_word(list, controller))
			return oc_memdup(path.p, path.n);
	}
	return NULL;
}

/* Where a hierarchy is mounted: line "DEVICE DIR TYPE OPTIONS …" of /proc/self/mounts. */
static char *mount_point(const char *root, const char *controller)
{
	oc_auto_free char *file = oc_asprintf("%s/proc/self/mounts", root);
	char *text = oc_alloc(64 * 1024), *found = NULL;
	oc_str rest = oc_str_of(file != NULL && text != NULL ? read_text(file, text, 64 * 1024) : "");

	while (rest.p != NULL && found == NULL) {
		oc_str line = oc_str_cut(&rest, '\n'), dir, type, options;
		char list[512];

		(void)oc_str_cut(&line, ' ');
		dir = line.p != NULL ? oc_str_cut(&line, ' ') : OC_STR_NONE;
		type = line.p != NULL ? oc_str_cut(&line, ' ') : OC_STR_NONE;
		options = line.p != NULL ? oc_str_cut(&line, ' ') : OC_STR_NONE;
		if (options.n >= sizeof(list))
			continue;
		memcpy(list, options.p, options.n);
		list[options.n] = 0;
		if (controller[0] == 0 ? oc_str_eqz(type, "cgroup2") : oc_str_eqz(type, "cgroup") && has_word(list, controller))
			found = oc_memdup(dir.p, dir.n);
	}
	oc_free(text);
	return found;
}

/* Our own group's folder in a hierarchy when we may make groups in it; NULL otherwise. */
static char *own_dir(const char *root, const char *controller)
{
	oc_auto_free char *path = own_path(root, controller);
	oc_auto_free char *mount = path != NULL ? mount_point(root, controller) : NULL;
	char *dir = mount != NULL ? oc_asprintf("%s%s%s", root, mount, strcmp(path, "/") == 0 ? "" : path) : NULL;

	if (dir != NULL && access(dir, W_OK) == 0)
		return dir;
	oc_free(dir);
	return NULL;
}

/* Removes groups of a process that is gone. */
static void remove_stale(const char *dir)
{
	DIR *d = opendir(dir);
	struct dirent *entry;

	while (d != NULL && (entry = readdir(d)) != NULL) {
		char *end;
		long pid;

		if (strncmp(entry->d_name, NAME, sizeof(NAME) - 1) != 0)
			continue;
		pid = strtol(entry->d_name + sizeof(NAME) - 1, &end, 10);
		if (*end == '-' && pid > 0 && kill((pid_t)pid, 0) != 0 && errno == ESRCH)
			(void)unlinkat(dirfd(d), entry->d_name, AT_REMOVEDIR);
	}
	if (d != NULL)
		(void)closedir(d);
}

/* Version 2 gives a group's controllers to its children only when no process is in the group itself. If we are alone in a
 * group that is ours, we move to a leaf of it. */
static bool enable_controllers(const char *dir)
{
	char text[4096], pid[32];
	oc_auto_free char *leaf = NULL;

	if (!has_word(read_in(dir, "cgroup.controllers", text, sizeof(text)), "memory") || !has_word(text, "pids"))
		return false;
	(void)read_in(dir, "cgroup.subtree_control", text, sizeof(text));
	if (has_word(text, "memory") && has_word(text, "pids"))
		return true;
	if (write_text(dir, "cgroup.subtree_control", "+memory +pids"))
		return true;
	(void)snprintf(pid, sizeof(pid), "%d\n", (int)getpid());
	if (errno != EBUSY || strcmp(read_in(dir, "cgroup.procs", text, sizeof(text)), pid) != 0)
		return false;
	leaf = oc_asprintf("%s/" LEAF, dir);
	if (leaf == NULL || (mkdir(leaf, 0755) != 0 && errno != EEXIST))
		return false;
	if (write_text(leaf, "cgroup.procs", pid) && write_text(dir, "cgroup.subtree_control", "+memory +pids"))
		return true;
	(void)write_text(dir, "cgroup.procs", pid);
	(void)rmdir(leaf);
	return false;
}

/* After a restart in place we may be in our leaf already: groups are made beside it. */
static void leave_leaf(char *dir)
{
	size_t n = strlen(dir), m = sizeof("/" LEAF) - 1;

	if (n > m && strcmp(dir + n - m, "/" LEAF) == 0)
		dir[n - m] = 0;
}

void oc_cgroup_find(oc_cgroup_base *base, const char *root)
{
	static const char *const controllers[] = {"memory", "pids"};
	char *dir = own_dir(root, "");

	*base = (oc_cgroup_base){0};
	if (dir != NULL) {
		leave_leaf(dir);
		if (access(dir, W_OK) == 0 && enable_controllers(dir)) {
			base->v2 = true;
			base->dirs[base->n++] = dir;
			remove_stale(dir);
			return;
		}
		oc_free(dir);
	}
	for (size_t i = 0; i < OC_CGROUP_DIRS; i++) {
		dir = own_dir(root, controllers[i]);
		if (dir != NULL) {
			base->dirs[base->n++] = dir;
			remove_stale(dir);
		}
	}
}

void oc_cgroup_base_free(oc_cgroup_base *base)
{
	for (size_t i = 0; i < base->n; i++)
		oc_free(base->dirs[i]);
	*base = (oc_cgroup_base){0};
}

/* ---- One group ---- */

bool oc_cgroup_make(const oc_cgroup_base *base, uint64_t number, uint64_t memory_bytes, uint64_t processes, oc_cgroup *ret)
{
	oc_cgroup group = {.v2 = base->v2};

	for (size_t i = 0; i < base->n; i++) {
		char *path = oc_asprintf("%s/" NAME "%d-%llu", base->dirs[i], (int)getpid(), (unsigned long long)number);
		bool ok = path != NULL && mkdir(path, 0755) == 0;

		group.paths[i] = path;
		/* Of version 1 each folder has only its own controller's files. */
		if (ok && processes != 0)
			ok = write_number(path, "pids.max", processes) || !base->v2;
		if (ok && memory_bytes != 0) {
			bool set = write_number(path, base->v2 ? "memory.max" : "memory.limit_in_bytes", memory_bytes);

			if (set) /* the limit is the limit, not a hint to swap; without swap accounting there is no such file */
				(void)write_number(path, base->v2 ? "memory.swap.max" : "memory.memsw.limit_in_bytes",
						   base->v2 ? 0 : memory_bytes);
			ok = set || !base->v2;
		}
		if (!ok) {
			(void)oc_cgroup_remove(&group);
			oc_cgroup_free(&group);
			return false;
		}
	}
	*ret = group;
	return base->n > 0;
}

void oc_cgroup_kill(const oc_cgroup *group)
{
	if (group->v2 && group->paths[0] != NULL)
		(void)write_text(group->paths[0], "cgroup.kill", "1");
}

bool oc_cgroup_was_oom(const oc_cgroup *group)
{
	for (size_t i = 0; i < OC_CGROUP_DIRS && group->paths[i] != NULL; i++) {
		char text[1024];
		const char *p = strstr(read_in(group->paths[i], group->v2 ? "memory.events" : "memory.oom_control", text, sizeof(text)),
				       "oom_kill ");

		if (p != NULL && strtol(p + 9, NULL, 10) > 0)
			return true;
	}
	return false;
}

bool oc_cgroup_remove(oc_cgroup *group)
{
	bool gone = true;

	for (size_t i = 0; i < OC_CGROUP_DIRS && group->paths[i] != NULL; i++)
		if (rmdir(group->paths[i]) != 0 && errno != ENOENT)
			gone = false;
	return gone;
}

void oc_cgroup_free(oc_cgroup *group)
{
	for (size_t i = 0; i < OC_CGROUP_DIRS; i++)
		oc_free(group->paths[i]);
	*group = (oc_cgroup){0};
}
