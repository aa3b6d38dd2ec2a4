#include "core/agent/retention.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/base/clock.h"
#include "core/base/log.h"
#include "core/base/mem.h"
#include "core/base/path.h"

enum {
	FIRST_MS = 1000,
	EVERY_MS = 3600 * 1000,
	FILES_MAX = 200000, /* looked at in one go */
	ROOTS_MAX = 64,
	DAY_MS = 24 * 3600 * 1000,
	YOUNG_MS = 3600 * 1000 /* may still be on its way out: not removed for its size */
};

/* ---- Finding ---- */

typedef struct file {
	char *path;
	int64_t since_ms, bytes;
} file;

typedef struct finding {
	file *files;
	size_t n, cap;
	int64_t bytes;
	bool full;
} finding;

/* "abcd2345-name", as the agent names copies (oc_id_token). */
static bool is_ours(const char *name)
{
	return strspn(name, "abcdefghijklmnopqrstuvwxyz234567") == 8 && name[8] == '-';
}

static void add_file(finding *f, const char *folder, const char *name, const struct stat *st)
{
	if (f->n == f->cap) {
		size_t cap = f->cap == 0 ? 256 : f->cap * 2;
		file *more = cap <= FILES_MAX ? oc_realloc(f->files, cap * sizeof *more) : NULL;
		if (more == NULL) {
			f->full = true;
			return;
		}
		f->files = more;
		f->cap = cap;
	}
	char *path = oc_path_join(folder, name);
	if (path == NULL)
		return;
	/* The time of the last change of the name: a file of the workspace that is sent may be years old. A file with two names
	 * takes its room once. */
	int64_t bytes = (int64_t)st->st_size / (st->st_nlink > 0 ? (int64_t)st->st_nlink : 1);
	f->files[f->n++] = (file){path, (int64_t)st->st_ctim.tv_sec * 1000 + st->st_ctim.tv_nsec / 1000000, bytes};
	f->bytes += bytes;
}

static void look(finding *f, const char *folder, bool shared, int depth)
{
	int fd = open(folder, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	DIR *dir = fd >= 0 ? fdopendir(fd) : NULL;
	const struct dirent *e;
	if (dir == NULL && fd >= 0)
		close(fd);
	while (dir != NULL && !f->full && (e = readdir(dir)) != NULL) {
		struct stat st;
		if (e->d_name[0] == '.' || fstatat(dirfd(dir), e->d_name, &st, AT_SYMLINK_NOFOLLOW) != 0)
			continue;
		if (S_ISREG(st.st_mode) && (!shared || is_ours(e->d_name))) {
			add_file(f, folder, e->d_name, &st);
		} else if (S_ISDIR(st.st_mode) && depth > 0) {
			oc_auto_free char *below = oc_path_join(folder, e->d_name);
			if (below != NULL)
				look(f, below, shared, depth - 1);
		}
	}
	if (dir != NULL)
		closedir(dir);
}

static int by_age(const void *a, const void *b)
{
	int64_t x = ((const file *)a)->since_ms, y = ((const file *)b)->since_ms;
	return x < y ? -1 : x > y;
}

void oc_retention_clean(const oc_retention_root *roots, size_t n, const oc_retention_limits *limits, size_t *ret_removed,
			int64_t *ret_bytes)
{
	finding f = {0};
	size_t removed = 0;
	int64_t bytes = 0;
	for (size_t i = 0; i < n; i++)
		look(&f, roots[i].path, roots[i].shared, 1);
	if (f.n > 0)
		qsort(f.files, f.n, sizeof *f.files, by_age);
	for (size_t i = 0; i < f.n; i++) {
		int64_t age = limits->now_ms - f.files[i].since_ms;
		bool old = limits->age_ms > 0 && age > limits->age_ms;
		bool over = limits->bytes > 0 && f.bytes - bytes > limits->bytes && age > YOUNG_MS;
		if ((old || over) && unlink(f.files[i].path) == 0) {
			removed++;
			bytes += f.files[i].bytes;
		}
		oc_free(f.files[i].path);
	}
	oc_free(f.files);
	*ret_removed = removed;
	*ret_bytes = bytes;
}

/* ---- Hourly ---- */

typedef struct sweep {
	oc_retention_root roots[ROOTS_MAX];
	size_t n, removed;
	int64_t bytes;
	oc_retention_limits limits;
} sweep;

static void add_root(sweep *s, char *path, bool shared)
{
	for (size_t i = 0; path != NULL && i < s->n; i++)
		if (strcmp(s->roots[i].path, path) == 0) {
			oc_free(path);
			return;
		}
	if (path != NULL && s->n < ROOTS_MAX)
		s->roots[s->n++] = (oc_retention_root){path, shared};
	else
		oc_free(path);
}

static void add_workspace(sweep *s, oc_agent *agent, const char *agent_id)
{
	oc_auto_free char *workspace = oc_agent_workspace(agent, agent->config, agent_id);
	if (workspace != NULL)
		add_root(s, oc_path_join(workspace, "media/inbound"), true);
}

static void run(void *arg)
{
	sweep *s = arg;
	oc_retention_clean(s->roots, s->n, &s->limits, &s->removed, &s->bytes);
}

static void over(void *arg, oc_status status)
{
	sweep *s = arg;
	if (status == OC_OK && s->removed > 0)
		oc_info("agent", "removed %zu files of messages that were old, %lld bytes (media.ttlHours, media.maxTotalMb)", s->removed,
			(long long)s->bytes);
	for (size_t i = 0; i < s->n; i++)
		oc_free(s->roots[i].path);
	oc_free(s);
}

static void due(void *arg)
{
	oc_agent *agent = arg;
	int64_t jump = oc_clock_jump_ms(&agent->media_clock);
	if (jump != 0) {
		oc_warn("agent", "the clock was set: no files of messages are removed for a day");
		agent->media_not_before_ms = oc_now_ms() + DAY_MS;
	}
	if (oc_now_ms() < agent->media_not_before_ms)
		return;
	double hours = oc_json_num(oc_config_get(agent->config, "media"), "ttlHours", 168);
	int64_t mb = oc_json_i64(oc_config_get(agent->config, "media"), "maxTotalMb", 2048);
	sweep *s = hours > 0 || mb > 0 ? oc_alloc(sizeof *s) : NULL;
	char id[65];
	const cJSON *one;
	if (s == NULL)
		return;
	s->limits = (oc_retention_limits){.age_ms = hours > 0 && hours < 1e6 ? (int64_t)(hours * 3600000) + 1 : 0,
					  .bytes = mb > 0 && mb < 1 << 30 ? mb << 20 : 0,
					  .now_ms = oc_wall_ms()};
	add_root(s, oc_path_join(agent->state_dir, "media/inbound"), false);
	add_root(s, oc_path_join(agent->state_dir, "media/outbound"), false);
	add_workspace(s, agent, oc_agent_default_id(agent->config, id));
	cJSON_ArrayForEach(one, oc_config_get(agent->config, "agents.list"))
	{
		oc_agent_id_normalize(oc_json_ostr(one, "id"), id);
		add_workspace(s, agent, id);
	}
	if (oc_work(agent->owner, run, over, s) != OC_OK)
		over(s, OC_E_CANCELED);
}

oc_status oc_retention_start(oc_agent *agent)
{
	return oc_timer_start(agent->owner, FIRST_MS, EVERY_MS, due, agent) != NULL ? OC_OK : OC_E_NOMEM;
}
