#include "core/agent/memory_files.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/base/path.h"
#include "core/data/utf8.h"
#include "core/security/contain.h"

static bool is_markdown(const char *name)
{
	size_t n = strlen(name);
	return n > 3 && strcmp(name + n - 3, ".md") == 0;
}

/* ---- Reading ---- */

oc_status oc_memory_file_read(int root_fd, const char *name, char **ret, size_t *ret_n, oc_err *err)
{
	int fd = -1;
	struct stat st;
	oc_status status = oc_contain_open(root_fd, name, O_RDONLY | O_NONBLOCK | O_NOFOLLOW, 0, &fd, err);
	if (status != OC_OK)
		return status;
	if (fstat(fd, &st) != 0 || !S_ISREG(st.st_mode) || st.st_size > OC_MEMORY_FILE_MAX) {
		close(fd);
		return st.st_size > OC_MEMORY_FILE_MAX ? oc_fail(err, OC_E_LIMIT, "split it", "%s is larger than 4 MiB", name)
						       : oc_fail(err, OC_E_INVALID, NULL, "%s is no plain file", name);
	}
	size_t size = (size_t)st.st_size, n = 0;
	char *text = oc_alloc(size + 1);
	while (text != NULL && n < size) {
		ssize_t got = read(fd, text + n, size - n);
		if (got <= 0)
			break;
		n += (size_t)got;
	}
	close(fd);
	if (text == NULL)
		return oc_fail(err, OC_E_NOMEM, NULL, "cannot read %s", name);
	/* Bytes that are no text, and what follows them, are left out. */
	n = oc_utf8_check((oc_str){text, n});
	n = strnlen(text, n);
	text[n] = 0;
	*ret = text;
	*ret_n = n;
	return OC_OK;
}

/* ---- Finding ---- */

typedef struct walk {
	bool (*each)(void *arg, const oc_memory_file *file);
	void *arg;
	int root_fd;
	const char *prefix; /* of paths: "" or the extra folder and a slash */
	size_t n;
	bool go;
} walk;

static void visit(walk *w, const char *name, const struct stat *st)
{
	oc_auto_free char *path = oc_asprintf("%s%s", w->prefix, name);
	if (path == NULL || ++w->n > OC_MEMORY_FILES_MAX)
		return;
	oc_memory_file file = {.path = path, .root_fd = w->root_fd, .name = name,
			       .mtime_ns = (int64_t)st->st_mtim.tv_sec * 1000000000 + st->st_mtim.tv_nsec,
			       .size = (int64_t)st->st_size};
	w->go = w->each(w->arg, &file);
}

/* Symbolic links are not followed: what they show is no memory of this agent. */
static void look_at(walk *w, const char *name)
{
	struct stat st;
	if (fstatat(w->root_fd, name, &st, AT_SYMLINK_NOFOLLOW) == 0 && S_ISREG(st.st_mode))
		visit(w, name, &st);
}

static void look_into(walk *w, const char *folder, int depth)
{
	int fd = -1;
	if (oc_contain_open(w->root_fd, folder, O_RDONLY | O_DIRECTORY | O_NOFOLLOW, 0, &fd, NULL) != OC_OK)
		return;
	DIR *dir = fdopendir(fd);
	if (dir == NULL) {
		close(fd);
		return;
	}
	for (const struct dirent *e; w->go && (e = readdir(dir)) != NULL;) {
		struct stat st;
		if (e->d_name[0] == '.' || fstatat(dirfd(dir), e->d_name, &st, AT_SYMLINK_NOFOLLOW) != 0)
			continue;
		oc_auto_free char *name = strcmp(folder, ".") == 0 ? oc_strdup(e->d_name) : oc_asprintf("%s/%s", folder, e->d_name);
		if (name == NULL)
			break;
		if (S_ISDIR(st.st_mode) && depth < OC_MEMORY_DEPTH_MAX)
			look_into(w, name, depth + 1);
		else if (S_ISREG(st.st_mode) && is_markdown(name))
			visit(w, name, &st);
	}
	closedir(dir);
}

static void look_at_extra(walk *w, const char *path)
{
	struct stat st;
	if (lstat(path, &st) != 0)
		return;
	oc_auto_free char *folder = S_ISDIR(st.st_mode) ? oc_strdup(path)
				    : S_ISREG(st.st_mode) && is_markdown(path)
					    ? oc_memdup(path, (size_t)(oc_path_base(path) - path))
					    : NULL;
	oc_auto_free char *prefix = folder == NULL || folder[0] == 0 ? NULL
				    : folder[strlen(folder) - 1] == '/' ? oc_strdup(folder)
									: oc_asprintf("%s/", folder);
	int fd = prefix != NULL ? open(prefix, O_RDONLY | O_DIRECTORY | O_CLOEXEC) : -1;
	if (fd < 0)
		return;
	w->root_fd = fd;
	w->prefix = prefix;
	if (S_ISDIR(st.st_mode))
		look_into(w, ".", 0);
	else
		look_at(w, oc_path_base(path));
	close(fd);
}

bool oc_memory_files(const oc_memory_scope *scope, bool (*each)(void *arg, const oc_memory_file *file), void *arg)
{
	walk w = {.each = each, .arg = arg, .prefix = "", .go = true};
	w.root_fd = open(scope->workspace, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (w.root_fd >= 0) {
		int workspace = w.root_fd;
		look_at(&w, "MEMORY.md");
		if (w.go)
			look_at(&w, "memory.md");
		if (w.go)
			look_into(&w, "memory", 0);
		close(workspace);
	}
	for (size_t i = 0; i < scope->n_extra && w.go; i++)
		look_at_extra(&w, scope->extra[i]);
	return w.go;
}

/* ---- memory_get ---- */

static bool plain(const char *path)
{
	oc_str rest = oc_str_of(path);
	while (rest.p != NULL) {
		oc_str part = oc_str_cut(&rest, '/');
		if (part.n == 0 || part.p[0] == '.')
			return false;
	}
	return true;
}

/* The extra path that `path` is, or is below of; NULL: none. */
static const char *extra_of(const char *path, const oc_memory_scope *scope)
{
	for (size_t i = 0; i < scope->n_extra; i++) {
		size_t n = strlen(scope->extra[i]);
		while (n > 1 && scope->extra[i][n - 1] == '/')
			n--;
		if (strncmp(path, scope->extra[i], n) == 0 && (path[n] == 0 || (path[n] == '/' && plain(path + n + 1))))
			return scope->extra[i];
	}
	return NULL;
}

/* Whether memory_get may read it, by its name: MEMORY.md, memory.md, memory/….md, or within an extra path. */
static bool path_ok(const char *path, const oc_memory_scope *scope)
{
	if (!is_markdown(path))
		return false;
	if (path[0] == '/')
		return extra_of(path, scope) != NULL;
	if (!plain(path))
		return false;
	return strcmp(path, "MEMORY.md") == 0 || strcmp(path, "memory.md") == 0 || strncmp(path, "memory/", 7) == 0;
}

char *oc_memory_lines(oc_str text, int64_t from, int64_t lines)
{
	size_t begin = 0, end = text.n;
	if (from > 0 || lines > 0) {
		for (int64_t at = 1; at < from && begin < text.n; at++) {
			const char *nl = memchr(text.p + begin, '\n', text.n - begin);
			begin = nl != NULL ? (size_t)(nl - text.p) + 1 : text.n;
		}
		end = begin;
		for (int64_t i = 0; (lines <= 0 || i < lines) && end < text.n; i++) {
			const char *nl = memchr(text.p + end, '\n', text.n - end);
			end = nl != NULL ? (size_t)(nl - text.p) + 1 : text.n;
		}
		if (end > begin && text.p[end - 1] == '\n')
			end--;
	}
	return oc_memdup(text.p + begin, end - begin);
}

oc_status oc_memory_read(const oc_memory_scope *scope, const char *path, int64_t from, int64_t lines, char **ret, oc_err *err)
{
	if (!path_ok(path, scope))
		return oc_fail(err, OC_E_DENIED, NULL, "%s is no memory file", path);
	/* Below an extra folder nothing leads out of it; an extra file is named by itself. */
	const char *extra = path[0] == '/' ? extra_of(path, scope) : NULL, *name = path;
	if (extra != NULL) {
		size_t n = strlen(extra);
		while (n > 1 && extra[n - 1] == '/')
			n--;
		name = path[n] == '/' ? path + n + 1 : oc_path_base(path);
	}
	oc_auto_free char *root = extra == NULL	       ? oc_strdup(scope->workspace)
				  : strcmp(name, path) ? oc_memdup(path, (size_t)(name - path))
						       : NULL;
	int fd = root != NULL ? open(root, O_RDONLY | O_DIRECTORY | O_CLOEXEC) : -1;
	oc_auto_free char *text = NULL;
	size_t n = 0;
	if (fd < 0)
		return oc_fail(err, errno == ENOENT ? OC_E_NOT_FOUND : OC_E_IO, NULL, "%s cannot be read", path);
	oc_status status = oc_memory_file_read(fd, name, &text, &n, err);
	close(fd);
	if (status != OC_OK)
		return status;
	*ret = oc_memory_lines((oc_str){text, n}, from, lines);
	return *ret != NULL ? OC_OK : oc_fail(err, OC_E_NOMEM, NULL, "cannot read %s", path);
}
