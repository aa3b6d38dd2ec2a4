/*
 * The child's view of the file system, as a list of paths in the order in which they have to be put in place.
 *
 * strict: the list below, private /tmp and home, and what the profile names.  relaxed: everything read-only, then the
 * profile's exceptions.  One list serves both ways of enforcing it: a root folder of its own, and Landlock.
 */
#include <dirent.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/base/mem.h"
#include "core/security/sandbox_int.h"

/* Programs and what they need to start. */
static const char *const system_paths[] = {
	"/bin", "/gnu/store", "/lib", "/lib32", "/lib64", "/libx32", "/nix/store", "/opt", "/sbin", "/usr",
	"/sys/devices/system/cpu", /* how many processors there are */
};

/* Of /etc only what programs look up; never shadow, keys, or the configuration of services.  A final * is a wildcard. */
static const char *const etc_names[] = {
	"ImageMagick*", "R", "alternatives", "bash.bashrc", "bashrc", "ca-certificates", "ca-certificates.conf",
	"crypto-policies", "debian_version", "fonts", "gai.conf", "gitconfig", "group", "host.conf", "hosts",
	"inputrc", "java*", "ld.so.cache", "ld.so.conf", "ld.so.conf.d", "locale.alias", "locale.conf", "localtime",
	"lsb-release", "magic", "magic.mime", "mailcap", "manpath.config", "mime.types", "networks", "nsswitch.conf",
	"openssl", "os-release", "papersize", "passwd", "perl", "php*", "pki", "profile", "profile.d", "protocols",
	"python*", "resolv.conf", "rpc", "ruby*", "services", "shells", "ssl", "terminfo", "texmf", "timezone",
	"vim", "xdg",
};
/* Readable by nobody inside, even where the outside is root. */
static const char *const etc_hidden[] = {"/etc/ssl/private", "/etc/pki/tls/private", "/etc/shadow", "/etc/shadow-",
					    "/etc/gshadow",     "/etc/gshadow-"};

static void plan_add(sandbox_plan *plan, int kind, const char *at, const char *link, bool system)
{
	if (plan->n == PLAN_MAX) {
		plan->full = true;
		return;
	}
	plan->paths[plan->n++] = (sandbox_path){.kind = kind, .at = at, .link = link, .system = system, .tree = -1};
}

/* A path of ours: a folder or file as it is, a symbolic link as a link. */
static void add_system(sandbox_plan *plan, const char *path)
{
	char target[512];
	struct stat st;
	ssize_t n;

	if (lstat(path, &st) != 0)
		return;
	if (!S_ISLNK(st.st_mode)) {
		plan_add(plan, PATH_READ, path, NULL, true);
		return;
	}
	n = readlink(path, target, sizeof(target) - 1);
	if (n > 0)
		plan_add(plan, PATH_LINK, path, oc_memdup(target, (size_t)n), true);
}

static bool etc_wanted(const char *name)
{
	for (size_t i = 0; i < sizeof(etc_names) / sizeof(etc_names[0]); i++) {
		size_t n = strlen(etc_names[i]);

		if (etc_names[i][n - 1] == '*' ? strncmp(name, etc_names[i], n - 1) == 0 : strcmp(name, etc_names[i]) == 0)
			return true;
	}
	return false;
}

static void add_hidden(sandbox_plan *plan)
{
	for (size_t i = 0; i < sizeof(etc_hidden) / sizeof(etc_hidden[0]); i++)
		if (access(etc_hidden[i], F_OK) == 0)
			plan_add(plan, PATH_HIDE, etc_hidden[i], NULL, true);
}

static void add_etc(sandbox_plan *plan)
{
	DIR *dir = opendir("/etc");
	struct dirent *entry;

	while (dir != NULL && (entry = readdir(dir)) != NULL) {
		char *path;

		if (!etc_wanted(entry->d_name))
			continue;
		/* Links are resolved when mounted: /etc/resolv.conf and /etc/localtime lead elsewhere. */
		path = oc_asprintf("/etc/%s", entry->d_name);
		if (path != NULL)
			plan_add(plan, PATH_READ, path, NULL, true);
	}
	if (dir != NULL)
		(void)closedir(dir);
	add_hidden(plan);
}

static bool below(const char *path, const char *folder)
{
	size_t n = strlen(folder);

	return strncmp(path, folder, n) == 0 && (path[n] == 0 || path[n] == '/' || folder[n - 1] == '/');
}

/* A private home, unless the home is a system folder or already part of the view. */
static void add_home(const sandbox_args *args, const char *home, sandbox_plan *plan)
{
	char *real = home != NULL && home[0] == '/' ? realpath(home, NULL) : NULL;
	const char *at = real != NULL ? real : home;

	if (at == NULL || at[0] != '/' || strcmp(at, "/") == 0 || strcmp(at, "/tmp") == 0 || below(at, "/usr") || below(at, "/etc")
	    || below(at, "/dev") || below(at, "/proc") || below(at, "/sys") || strstr(at, "/.") != NULL)
		return;
	for (size_t i = 0; i < args->n_write; i++)
		if (below(at, args->write[i]))
			return;
	plan_add(plan, PATH_TMP, at, NULL, true);
	if (real != NULL && strcmp(real, home) != 0)
		plan_add(plan, PATH_LINK, home, real, true);
}

static bool add_given(sandbox_plan *plan, int level, int kind, const char **paths, size_t n, oc_err *err)
{
	for (size_t i = 0; i < n; i++) {
		char *real = realpath(paths[i], NULL);

		if (real == NULL && kind == PATH_HIDE)
			continue; /* nothing there to hide */
		if (real == NULL) {
			(void)oc_fail_errno(err, errno, "the sandbox cannot open %s", paths[i]);
			return false;
		}
		if (strcmp(real, "/") == 0 && kind == PATH_WRITE) {
			(void)oc_fail(err, OC_E_DENIED, "name the folders that may be written",
				      "a sandbox that may write everywhere is none");
			return false;
		}
		if (strcmp(real, "/") == 0 && kind == PATH_READ && level == OC_SANDBOX_STRICT) {
			(void)oc_fail(err, OC_E_DENIED, "name the folders, or use the level relaxed",
				      "the strict sandbox does not show the whole file system");
			return false;
		}
		plan_add(plan, kind, real, NULL, false);
		if (strcmp(real, paths[i]) != 0)
			plan_add(plan, PATH_LINK, paths[i], real, true);
	}
	return true;
}

/* Folders come before what is in them; of the same path the one added last comes last and wins. */
static int by_path(const void *a, const void *b)
{
	const sandbox_path *x = a, *y = b;
	int order = strcmp(x->at, y->at);

	if (order != 0)
		return order;
	return x->tree < y->tree ? -1 : x->tree > y->tree;
}

bool sandbox_plan_make(const sandbox_args *args, const char *home, sandbox_plan *plan, oc_err *err)
{
	plan->n = 0;
	plan->full = false;
	if (args->level == OC_SANDBOX_STRICT) {
		for (size_t i = 0; i < sizeof(system_paths) / sizeof(system_paths[0]); i++)
			add_system(plan, system_paths[i]);
		add_etc(plan);
		add_home(args, home, plan);
	} else {
		plan_add(plan, PATH_READ, "/", NULL, true);
		add_hidden(plan);
	}
	plan_add(plan, PATH_TMP, "/tmp", NULL, true);
	plan_add(plan, PATH_TMP, "/var/tmp", NULL, true);
	if (!add_given(plan, args->level, PATH_HIDE, args->hide, args->n_hide, err)
	    || !add_given(plan, args->level, PATH_READ, args->read, args->n_read, err)
	    || !add_given(plan, args->level, PATH_WRITE, args->write, args->n_write, err))
		return false;
	if (plan->full) {
		(void)oc_fail(err, OC_E_LIMIT, "name fewer paths", "the sandbox has more than %d paths", PLAN_MAX);
		return false;
	}
	for (size_t i = 0; i < plan->n; i++)
		plan->paths[i].tree = (int)i; /* position, for a stable order */
	qsort(plan->paths, plan->n, sizeof(plan->paths[0]), by_path);
	for (size_t i = 0; i < plan->n; i++)
		plan->paths[i].tree = -1;
	return true;
}
