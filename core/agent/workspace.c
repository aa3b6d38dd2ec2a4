#include "core/agent/workspace.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/agent/seeds.h"
#include "core/base/clock.h"
#include "core/base/log.h"
#include "core/base/mem.h"
#include "core/base/path.h"
#include "core/data/utf8.h"

#define FILE_MAX ((size_t)4 << 20)
#define CHARS_DEFAULT 20000
#define CHARS_TOTAL_DEFAULT 150000
#define KNOWN_MAX 256		    /* files */
#define KNOWN_BYTES_MAX (32 << 10)  /* of one */
#define KNOWN_AFTER_S 2

/* In the order of the prompt. Optional ones leave no mark when they are missing. */
static const struct {
	const char *name;
	bool optional, private_only;
} order[OC_WORKSPACE_FILES] = {
	{"AGENTS.md", false, false},  {"SOUL.md", false, false},     {"TOOLS.md", false, false},
	{"IDENTITY.md", false, false}, {"USER.md", false, false},    {"HEARTBEAT.md", true, false},
	{"BOOTSTRAP.md", true, false}, {"MEMORY.md", true, true},
};

/* ---- Making ---- */

typedef struct seeded {
	oc_map_node node;
	char path[];
} seeded;

static oc_status write_new(const char *folder, const char *name, const char *text, oc_err *err)
{
	oc_auto_free char *path = oc_path_join(folder, name);
	if (path == NULL)
		return oc_fail(err, OC_E_NOMEM, NULL, "cannot make the workspace");
	int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (fd < 0)
		return errno == EEXIST ? OC_OK : oc_fail_errno(err, errno, "cannot make %s", path);
	size_t n = strlen(text);
	bool ok = write(fd, text, n) == (ssize_t)n;
	int errnum = errno;
	close(fd);
	return ok ? OC_OK : oc_fail_errno(err, errnum, "cannot write %s", path);
}

static oc_status seed(const oc_config *config, const char *workspace, oc_err *err)
{
	oc_auto_free char *agents = oc_path_join(workspace, "AGENTS.md");
	if (agents == NULL)
		return oc_fail(err, OC_E_NOMEM, NULL, "cannot make the workspace");
	oc_status status = oc_path_mkdirs(workspace, 0700, err);
	if (status != OC_OK || oc_config_bool(config, "agents.defaults.skipBootstrap", false))
		return status;
	/* A folder that somebody works with already is left alone, whatever is missing in it. */
	bool fresh = true;
	for (size_t i = 0; i < OC_WORKSPACE_FILES && fresh; i++) {
		oc_auto_free char *path = oc_path_join(workspace, order[i].name);
		fresh = path != NULL && !oc_path_exists(path);
	}
	for (size_t i = 0; fresh && status == OC_OK && i < OC_SEED_COUNT; i++)
		status = write_new(workspace, oc_seeds[i].name, oc_seeds[i].text, err);
	return status;
}

oc_status oc_workspace_prepare(oc_agent *agent, const oc_config *config, const char *workspace, oc_err *err)
{
	if (oc_map_find(&agent->seeded, workspace) != NULL && oc_path_exists(workspace))
		return OC_OK;
	oc_status status = seed(config, workspace, err);
	size_t n = strlen(workspace) + 1;
	seeded *s = status == OC_OK && oc_map_find(&agent->seeded, workspace) == NULL ? oc_alloc(sizeof *s + n) : NULL;
	if (s != NULL) {
		memcpy(s->path, workspace, n);
		oc_map_add(&agent->seeded, &s->node, s->path);
	}
	return status;
}

static void free_seeded(void *arg, oc_map_node *node)
{
	(void)arg;
	oc_free(OC_MAP_OWNER(node, seeded, node));
}

/* A file as it was read last: each turn asks whether it is still the same instead of reading it again. */
typedef struct known {
	oc_map_node node;
	struct stat st;
	char *text;
	size_t n;
	char path[];
} known;

static void free_known(void *arg, oc_map_node *node)
{
	known *k = OC_MAP_OWNER(node, known, node);
	(void)arg;
	oc_free(k->text);
	oc_free(k);
}

static void forget_files(oc_agent *agent)
{
	oc_map_each(&agent->files, free_known, NULL);
	oc_map_free(&agent->files);
}

void oc_workspaces_free(oc_agent *agent)
{
	oc_map_each(&agent->seeded, free_seeded, NULL);
	oc_map_free(&agent->seeded);
	forget_files(agent);
}

/* ---- Reading ---- */

static bool same_time(struct timespec a, struct timespec b)
{
	return a.tv_sec == b.tv_sec && a.tv_nsec == b.tv_nsec;
}

static bool is_same(const struct stat *a, const struct stat *b)
{
	return a->st_dev == b->st_dev && a->st_ino == b->st_ino && a->st_size == b->st_size && a->st_mode == b->st_mode &&
	       same_time(a->st_mtim, b->st_mtim) && same_time(a->st_ctim, b->st_ctim);
}

/* What was changed a moment ago may be changed once more without its time telling. */
static void keep(oc_agent *agent, const char *path, const struct stat *st, const char *text, size_t n)
{
	int64_t old = oc_wall_ms() / 1000 - KNOWN_AFTER_S;
	if (n > KNOWN_BYTES_MAX || st->st_mtim.tv_sec > old || st->st_ctim.tv_sec > old)
		return;
	oc_map_node *node = oc_map_find(&agent->files, path);
	known *k = node != NULL ? OC_MAP_OWNER(node, known, node) : NULL;
	if (k == NULL) {
		if (agent->files.n >= KNOWN_MAX)
			forget_files(agent);
		size_t size = strlen(path) + 1;
		k = oc_alloc(sizeof *k + size);
		if (k == NULL)
			return;
		memcpy(k->path, path, size);
		k->text = NULL;
		oc_map_add(&agent->files, &k->node, k->path);
	}
	oc_free(k->text);
	k->text = oc_memdup(text, n);
	k->n = n;
	k->st = *st;
}

char *oc_workspace_cut(oc_str text, size_t max, const char *name)
{
	if (text.n <= max)
		return oc_memdup(text.p, text.n);
	size_t head = oc_utf8_cut(text, max * 7 / 10);
	size_t tail = text.n - max / 5;
	while (tail < text.n && ((unsigned char)text.p[tail] & 0xc0) == 0x80)
		tail++;
	oc_sbuf b;
	oc_sbuf_init(&b, max + 1024);
	oc_sbuf_add(&b, text.p, head);
	oc_sbuf_printf(&b, "\n\n[… %zu of %zu bytes of %s left out here; read the file for the rest …]\n\n", tail - head,
		       text.n, name);
	oc_sbuf_add(&b, text.p + tail, text.n - tail);
	char *out = oc_sbuf_take(&b);
	oc_sbuf_free(&b);
	return out;
}

/* A symbolic link is not followed: the agent may write here, and must not be able to pull any file into its prompt. */
static char *read_file(oc_agent *agent, const char *path, size_t *ret_n, bool *ret_missing)
{
	struct stat st;
	const oc_map_node *node = oc_map_find(&agent->files, path);
	const known *k = node != NULL ? OC_MAP_OWNER(node, const known, node) : NULL;
	*ret_missing = false;
	if (k != NULL && k->text != NULL && lstat(path, &st) == 0 && is_same(&st, &k->st)) {
		*ret_n = k->n;
		return oc_memdup(k->text, k->n);
	}
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
	*ret_missing = fd < 0 && errno == ENOENT;
	if (fd < 0)
		return NULL;
	char *text = NULL;
	if (fstat(fd, &st) == 0 && S_ISREG(st.st_mode)) {
		size_t size = (size_t)st.st_size < FILE_MAX ? (size_t)st.st_size : FILE_MAX, n = 0;
		text = oc_alloc(size + 1);
		while (text != NULL && n < size) {
			ssize_t got = read(fd, text + n, size - n);
			if (got <= 0)
				break;
			n += (size_t)got;
		}
		*ret_n = n;
		if (text != NULL && n == (size_t)st.st_size)
			keep(agent, path, &st, text, n);
	}
	close(fd);
	return text;
}

void oc_workspace_read(oc_agent *agent, const oc_config *config, const char *workspace, oc_workspace_which which,
		       oc_workspace_files *ret)
{
	*ret = (oc_workspace_files){0};
	int64_t max = oc_config_i64(config, "agents.defaults.bootstrapMaxChars", CHARS_DEFAULT);
	int64_t left = oc_config_i64(config, "agents.defaults.bootstrapTotalMaxChars", CHARS_TOTAL_DEFAULT);
	for (size_t i = 0; i < OC_WORKSPACE_FILES; i++) {
		if (which == OC_WORKSPACE_NONE || (order[i].private_only && which != OC_WORKSPACE_ALL)
		    || (which == OC_WORKSPACE_HEARTBEAT && strcmp(order[i].name, "HEARTBEAT.md") != 0))
			continue;
		oc_workspace_file f = {.name = order[i].name, .path = oc_path_join(workspace, order[i].name)};
		if (f.path == NULL)
			continue;
		char *raw = read_file(agent, f.path, &f.chars, &f.missing);
		if (raw != NULL) {
			/* Invalid bytes would make the whole request invalid. */
			oc_str text = {raw, f.chars};
			size_t good = oc_utf8_check(text);
			if (good < text.n) {
				oc_warn("agent", "%s is not valid UTF-8 from byte %zu on: the rest is left out", f.path, good);
				text.n = good;
			}
			text.n = strnlen(raw, text.n);
			int64_t most = left < max ? left : max;
			f.truncated = text.n > (size_t)(most > 100 ? most : 100);
			f.text = oc_workspace_cut(text, (size_t)(most > 100 ? most : 100), f.name);
			left -= f.text != NULL ? (int64_t)strlen(f.text) : 0;
			oc_free(raw);
		} else if (!f.missing) {
			oc_warn("agent", "%s cannot be read as a plain file and is left out", f.path);
		}
		if (f.text == NULL && order[i].optional) {
			oc_free(f.path);
			continue;
		}
		ret->file[ret->n++] = f;
	}
}

void oc_workspace_files_free(oc_workspace_files *files)
{
	for (size_t i = 0; i < files->n; i++) {
		oc_free(files->file[i].path);
		oc_free(files->file[i].text);
	}
	files->n = 0;
}
