#include "core/base/path.h"

#include <errno.h>
#include <fcntl.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/base/id.h"
#include "core/base/mem.h"

/* HOME first, as every tool does; the password file for daemons that have none. */
static const char *home(void)
{
	const char *h = getenv("HOME");
	if (h != NULL && h[0] == '/')
		return h;
	const struct passwd *pw = getpwuid(getuid());
	return pw != NULL && pw->pw_dir != NULL ? pw->pw_dir : "/";
}

static const char *env(const char *name)
{
	const char *v = getenv(name);
	return v != NULL && v[0] != 0 ? v : NULL;
}

char *oc_path_state_dir(void)
{
	const char *dir = env("OPENCLAW_STATE_DIR");
	if (dir != NULL)
		return oc_path_expand(dir, NULL);
	const char *h = env("OPENCLAW_HOME");
	oc_auto_free char *base = oc_path_expand(h != NULL ? h : home(), NULL);
	return base == NULL ? NULL : oc_path_join(base, ".openclaw");
}

char *oc_path_config(void)
{
	const char *file = env("OPENCLAW_CONFIG_PATH");
	return file != NULL ? oc_path_expand(file, NULL) : oc_path_state("openclaw.json");
}

char *oc_path_state(const char *name)
{
	oc_auto_free char *dir = oc_path_state_dir();
	return dir == NULL ? NULL : oc_path_join(dir, name);
}

char *oc_path_join(const char *a, const char *b)
{
	if (b[0] == '/' || a[0] == 0)
		return oc_strdup(b);
	size_t n = strlen(a);
	while (n > 1 && a[n - 1] == '/')
		n--;
	return oc_asprintf("%.*s%s%s", (int)n, a, a[n - 1] == '/' ? "" : "/", b);
}

char *oc_path_expand(const char *path, const char *base)
{
	if (path[0] == '~' && (path[1] == 0 || path[1] == '/'))
		return path[1] == 0 ? oc_strdup(home()) : oc_path_join(home(), path + 2);
	if (path[0] == '/')
		return oc_strdup(path);
	if (base != NULL)
		return oc_path_join(base, path);
	char cwd[4096];
	if (getcwd(cwd, sizeof cwd) == NULL)
		return NULL;
	return oc_path_join(cwd, path);
}

const char *oc_path_base(const char *path)
{
	const char *slash = strrchr(path, '/');
	return slash != NULL ? slash + 1 : path;
}

oc_status oc_path_mkdirs(const char *path, mode_t mode, oc_err *err)
{
	oc_auto_free char *copy = oc_strdup(path);
	if (copy == NULL)
		return oc_fail(err, OC_E_NOMEM, NULL, "making folder %s: out of memory", path);
	for (char *p = copy + 1;; p++) {
		if (*p != '/' && *p != 0)
			continue;
		char keep = *p;
		*p = 0;
		struct stat st;
		if (mkdir(copy, mode) != 0 && errno != EEXIST)
			return oc_fail_errno(err, errno, "making folder %s", copy);
		if (keep == 0) {
			if (stat(copy, &st) == 0 && !S_ISDIR(st.st_mode))
				return oc_fail(err, OC_E_EXISTS, "move the file away", "%s is a file, a folder is needed", copy);
			return OC_OK;
		}
		*p = keep;
	}
}

bool oc_path_exists(const char *path)
{
	struct stat st;
	return stat(path, &st) == 0;
}

static oc_status read_all(int fd, const char *path, size_t max, char **ret, size_t *ret_n, oc_err *err)
{
	struct stat st;
	if (fstat(fd, &st) != 0)
		return oc_fail_errno(err, errno, "reading %s", path);
	if (!S_ISREG(st.st_mode))
		return oc_fail(err, OC_E_INVALID, "name a file", "%s is not a regular file", path);
	if ((uint64_t)st.st_size > max)
		return oc_fail(err, OC_E_LIMIT, NULL, "%s has %lld bytes, at most %zu are read", path, (long long)st.st_size,
			       max);
	/* Files can grow while read, and those of /proc say size 0: read to the end, within the limit. */
	size_t cap = (size_t)st.st_size + 512, n = 0;
	char *p = oc_alloc(cap);
	for (;;) {
		if (p == NULL)
			return oc_fail(err, OC_E_NOMEM, NULL, "reading %s: out of memory", path);
		ssize_t got = read(fd, p + n, cap - 1 - n);
		if (got < 0 && errno == EINTR)
			continue;
		if (got < 0 || n + (size_t)got > max) {
			int e = errno;
			oc_free(p);
			return got < 0 ? oc_fail_errno(err, e, "reading %s", path)
				       : oc_fail(err, OC_E_LIMIT, NULL, "%s is larger than %zu bytes", path, max);
		}
		if (got == 0)
			break;
		n += (size_t)got;
		if (n == cap - 1) {
			cap *= 2;
			char *more = oc_realloc(p, cap);
			if (more == NULL)
				oc_free(p);
			p = more;
		}
	}
	p[n] = 0;
	*ret = p;
	if (ret_n != NULL)
		*ret_n = n;
	return OC_OK;
}

oc_status oc_path_read(const char *path, size_t max, char **ret, size_t *ret_n, oc_err *err)
{
	/* O_NONBLOCK: opening a FIFO by mistake must not hang; regular files ignore it. */
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
	if (fd < 0)
		return oc_fail_errno(err, errno, "opening %s", path);
	oc_status status = read_all(fd, path, max, ret, ret_n, err);
	close(fd);
	return status;
}

static int write_all(int fd, const char *p, size_t n)
{
	while (n > 0) {
		ssize_t put = write(fd, p, n);
		if (put < 0 && errno == EINTR)
			continue;
		if (put < 0)
			return -1;
		p += put;
		n -= (size_t)put;
	}
	return 0;
}

/* Writes a new file under a name of its own. unnamed: it has none until it is whole, so that a program that is killed leaves
 * nothing behind; not every file system has that. */
static int write_new(const char *path, const char *folder, const void *bytes, size_t n, mode_t mode, bool unnamed)
{
	char self[40];
	int fd = unnamed ? open(folder, O_TMPFILE | O_WRONLY | O_CLOEXEC, mode)
			 : open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, mode);
	if (fd < 0)
		return -1;
	(void)snprintf(self, sizeof self, "/proc/self/fd/%d", fd);
	bool ok = write_all(fd, bytes, n) == 0 && fsync(fd) == 0 && (!unnamed || linkat(AT_FDCWD, self, AT_FDCWD, path, AT_SYMLINK_FOLLOW) == 0);
	int e = errno;
	if (close(fd) != 0 && ok) {
		ok = false;
		e = errno;
	}
	if (!ok && !unnamed)
		unlink(path);
	errno = e;
	return ok ? 0 : -1;
}

oc_status oc_path_write(const char *path, const void *bytes, size_t n, mode_t mode, oc_err *err)
{
	char suffix[9];
	oc_id_token(suffix, 8);
	/* A symbolic link is written through, so that a linked configuration stays linked. */
	char real[4096];
	const char *target = realpath(path, real) != NULL ? real : path;
	oc_auto_free char *temporary = oc_asprintf("%s.%s.tmp", target, suffix);
	oc_auto_free char *folder = oc_strdup(target);
	if (temporary == NULL || folder == NULL)
		return oc_fail(err, OC_E_NOMEM, NULL, "writing %s: out of memory", path);
	char *slash = strrchr(folder, '/');
	if (slash != NULL)
		slash[slash == folder ? 1 : 0] = 0;
	const char *in = slash != NULL ? folder : ".";
	if (write_new(temporary, in, bytes, n, mode, true) != 0 && write_new(temporary, in, bytes, n, mode, false) != 0)
		return oc_fail_errno(err, errno, "writing %s", path);
	if (rename(temporary, target) != 0) {
		int e = errno;
		unlink(temporary);
		return oc_fail_errno(err, e, "writing %s", path);
	}
	int dir = open(in, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (dir >= 0) {
		fsync(dir); /* best effort: some file systems refuse it, and the rename is done */
		close(dir);
	}
	return OC_OK;
}

/* The folder of the running binary; false when it cannot be told. */
static bool binary_folder(char *out, size_t size)
{
	ssize_t n = readlink("/proc/self/exe", out, size - 1);
	char *slash;

	if (n <= 0)
		return false;
	out[n] = '\0';
	slash = strrchr(out, '/');
	if (slash == NULL)
		return false;
	*slash = '\0';
	return true;
}

char *oc_path_build_tree(void)
{
	char folder[4096];
	oc_auto_free char *status = NULL;

	if (!binary_folder(folder, sizeof(folder)))
		return NULL;
	status = oc_path_join(folder, "config.status");
	return status != NULL && oc_path_exists(status) ? oc_strdup(folder) : NULL;
}

char *oc_path_installed(const char *configured)
{
	static const char prefix[] = OC_PREFIX "/";
	char folder[4096];
	size_t n;

	if (!binary_folder(folder, sizeof(folder)))
		return oc_strdup(configured);
	n = strlen(folder);
	if (n <= 4 || strcmp(folder + n - 4, "/bin") != 0 || strncmp(configured, prefix, sizeof(prefix) - 1) != 0)
		return oc_strdup(configured);
	folder[n - 3] = '\0'; /* the slash stays */
	return strcmp(folder, prefix) == 0 ? oc_strdup(configured) : oc_path_join(folder, configured + sizeof(prefix) - 1);
}
