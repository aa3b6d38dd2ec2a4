/* Looking for modules: folders, files and their manifests. No module's code runs here. */
#include <dirent.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "core/base/log.h"
#include "core/base/path.h"
#include "core/module/internal.h"
#include "core/module/static.h"

enum { FILES_MAX = 512 /* a folder */ };

typedef struct place {
	const char *origin;
	bool bundled, own_tree;
	bool shared; /* packages of other people install here too: only the names of our own are bundled */
} place;

static bool is_bundled(const oc_module *m, place where)
{
	if (!where.bundled || !where.shared)
		return where.bundled;
	for (const char *p = OC_BUNDLED; *p != '\0'; p += strspn(p, " ")) {
		size_t n = strcspn(p, " ");

		if (strlen(m->name) == n && memcmp(p, m->name, n) == 0)
			return true;
		p += n;
	}
	return false;
}

void oc_module_inspect(oc_module *module)
{
	oc_manifest *manifest = NULL;
	oc_err err = {0};
	oc_status st;

	oc_loader_close(&module->file);
	module->pin.sha[0] = '\0';
	st = oc_loader_open(module->path, module->own_tree, &module->file, &err);
	if (st == OC_OK)
		st = oc_loader_manifest(&module->file, &manifest, &err);
	module->bad = st != OC_OK;
	if (st != OC_OK) {
		oc_loader_close(&module->file);
		oc_module_set_state(module, OC_MODULE_REFUSED, err.text, err.remedy);
		return;
	}
	oc_manifest_free(module->manifest);
	module->manifest = manifest;
	module->dev = module->file.dev;
	module->ino = module->file.ino;
	oc_module_set_state(module, OC_MODULE_FOUND, NULL, NULL);
}

static oc_module *by_path(const oc_modules *modules, const char *path)
{
	for (size_t i = 0; i < modules->n; i++)
		if (strcmp(modules->list[i]->path, path) == 0)
			return modules->list[i];
	return NULL;
}

/* Another entry that is the same file, reached by another path. */
static oc_module *same_file(const oc_modules *modules, const oc_module *module)
{
	for (size_t i = 0; i < modules->n; i++) {
		oc_module *other = modules->list[i];

		if (other != module && other->seen && other->ino == module->ino && other->dev == module->dev
		    && other->ino != 0)
			return other;
	}
	return NULL;
}

/* Until its manifest tells the name, a file is called after itself. */
static char *name_of_file(const char *path)
{
	const char *base = oc_path_base(path);
	size_t n = strlen(base);

	if (n > 3 && strcmp(base + n - 3, ".so") == 0)
		n -= 3;
	return oc_memdup(base, n);
}

/* The list is in order of name, so an entry that learns its name moves. */
static oc_status rename_entry(oc_modules *modules, oc_module *module, const char *name)
{
	char *copy;

	if (strcmp(module->name, name) == 0)
		return OC_OK;
	copy = oc_strdup(name);
	if (copy == NULL)
		return OC_E_NOMEM;
	for (size_t i = 0; i < modules->n; i++) {
		if (modules->list[i] == module) {
			memmove(&modules->list[i], &modules->list[i + 1],
				(modules->n - i - 1) * sizeof(modules->list[0]));
			modules->n--;
			break;
		}
	}
	oc_free(module->name);
	module->name = copy;
	return oc_modules_insert(modules, module); /* there is room: one was just taken out */
}

/* A bundled module stays one when a search path leads to its folder as well. */
static void make_bundled(oc_module *m, place where)
{
	if (m->bundled || !is_bundled(m, where))
		return;
	m->bundled = true;
	m->origin = "bundled";
	if (where.own_tree && !m->own_tree) {
		m->own_tree = true;
		if (m->bad)
			oc_module_inspect(m);
	}
}

/* A module whose code was loaded here stays what it is; of one in a process of its own the next process takes the file as it
 * is then. */
static bool may_differ(oc_module *m)
{
	struct stat here;

	/* The marks are those of the file that was judged last. */
	if (!m->isolated || lstat(m->path, &here) != 0
	    || (here.st_ino == m->ino && here.st_size == m->pin.size
		&& (int64_t)here.st_mtim.tv_sec * 1000000000 + here.st_mtim.tv_nsec == m->pin.mtime_ns))
		return false;
	oc_free(m->verdict);
	m->verdict = NULL;
	m->start_failed = false;
	return true;
}

static oc_status look_at_file(oc_modules *modules, const char *path, place where, const oc_err *folder_err)
{
	oc_module *m = by_path(modules, path), *same;
	oc_status st = OC_OK;

	if (m != NULL && (m->seen || m->inited || (m->desc.name != NULL && !may_differ(m)))) {
		m->seen = true;
		make_bundled(m, where);
		return OC_OK;
	}
	if (m == NULL) {
		oc_auto_free char *name = name_of_file(path);

		m = name == NULL ? NULL : oc_module_new(modules, name, path, where.origin);
		st = m == NULL ? OC_E_NOMEM : oc_modules_insert(modules, m);
		if (st != OC_OK) {
			oc_module_free(m);
			return st;
		}
	}
	m->bundled = false; /* until its name is known */
	m->own_tree = where.own_tree;
	if (folder_err->code != OC_OK) {
		m->bad = true;
		oc_module_set_state(m, OC_MODULE_REFUSED, folder_err->text, folder_err->remedy);
	} else {
		oc_module_inspect(m);
	}
	same = same_file(modules, m);
	if (same != NULL) {
		make_bundled(same, where);
		oc_modules_remove(modules, m);
		return OC_OK;
	}
	m->seen = true;
	if (m->manifest != NULL)
		st = rename_entry(modules, m, m->manifest->name);
	if (st == OC_OK)
		make_bundled(m, where);
	return st;
}

static int by_name(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

/* The names that end in .so, sorted, so that every run sees the same order. */
static oc_status list_folder(const char *path, char ***ret, size_t *ret_n)
{
	DIR *dir = opendir(path);
	char **names;
	size_t n = 0;
	struct dirent *e;
	oc_status st = OC_OK;

	if (dir == NULL) {
		if (errno != ENOENT)
			oc_warn("module", "cannot look into the module folder %s: %s", path, strerror(errno));
		*ret = NULL;
		*ret_n = 0;
		return OC_OK;
	}
	names = oc_calloc(FILES_MAX, sizeof(*names));
	while (names != NULL && (e = readdir(dir)) != NULL) {
		size_t len = strlen(e->d_name);

		if (len <= 3 || e->d_name[0] == '.' || strcmp(e->d_name + len - 3, ".so") != 0)
			continue;
		if (n == FILES_MAX) {
			oc_warn("module", "%s holds more than %d modules; the rest is not looked at", path, FILES_MAX);
			break;
		}
		names[n] = oc_strdup(e->d_name);
		if (names[n++] == NULL)
			st = OC_E_NOMEM;
	}
	(void)closedir(dir);
	if (names == NULL)
		return OC_E_NOMEM;
	if (st == OC_OK)
		qsort(names, n, sizeof(*names), by_name);
	*ret = names;
	*ret_n = n;
	return st;
}

static oc_status look_into(oc_modules *modules, const char *path, place where)
{
	char **names = NULL;
	size_t n = 0;
	oc_err err = {0};
	oc_status st;

	if (path[0] == '\0')
		return OC_OK;
	st = list_folder(path, &names, &n);
	if (st == OC_OK && n > 0 && oc_loader_check_folder(path, where.own_tree, &err) != OC_OK)
		oc_log_err(OC_LOG_WARN, "module", "modules are not loaded from a folder that others can change", &err);
	for (size_t i = 0; i < n; i++) {
		oc_auto_free char *file = st == OC_OK ? oc_path_join(path, names[i]) : NULL;

		if (st == OC_OK)
			st = file == NULL ? OC_E_NOMEM : look_at_file(modules, file, where, &err);
		oc_free(names[i]);
	}
	oc_free(names);
	return st;
}

static oc_status look_along(oc_modules *modules, oc_str path, const char *origin)
{
	oc_status st = OC_OK;

	while (st == OC_OK && path.p != NULL) {
		oc_str part = oc_str_trim(oc_str_cut(&path, ':'));
		oc_auto_free char *raw = oc_memdup(part.p, part.n);
		oc_auto_free char *folder = raw == NULL ? NULL : part.n == 0 ? oc_strdup("") : oc_path_expand(raw, NULL);

		st = folder == NULL ? OC_E_NOMEM : look_into(modules, folder, (place){.origin = origin});
	}
	return st;
}

/* modules.paths: folders or single files. */
static oc_status look_at_configured(oc_modules *modules)
{
	const cJSON *paths = oc_modules_setting(modules, "modules.paths"), *item;

	cJSON_ArrayForEach(item, paths) {
		oc_auto_free char *path = NULL;
		static const oc_err fine;
		struct stat sb;
		oc_status st;

		if (!cJSON_IsString(item) || item->valuestring[0] == '\0')
			continue;
		path = oc_path_expand(item->valuestring, NULL);
		if (path == NULL)
			return OC_E_NOMEM;
		if (lstat(path, &sb) == 0 && !S_ISDIR(sb.st_mode))
			st = look_at_file(modules, path, (place){.origin = "config"}, &fine);
		else
			st = look_into(modules, path, (place){.origin = "config"});
		if (st != OC_OK)
			return st;
	}
	return OC_OK;
}

static oc_status add_static(oc_modules *modules)
{
	if (modules->static_added || modules->no_static)
		return OC_OK;
	modules->static_added = true;
	for (const struct oc_static_module *s = oc_static_modules; s->name != NULL; s++) {
		oc_err err = {0};
		oc_status st = oc_modules_add(modules, oc_str_of(s->manifest), s->entry(), "static", NULL, &err);

		if (st == OC_E_NOMEM)
			return st;
		if (st != OC_OK)
			oc_log_err(OC_LOG_ERROR, "module", s->name, &err);
	}
	return OC_OK;
}

static void forget_gone(oc_modules *modules)
{
	for (size_t i = modules->n; i > 0; i--) {
		oc_module *m = modules->list[i - 1];

		if (!m->seen && m->linked == NULL && !m->inited && m->desc.name == NULL && m->batch == NULL)
			oc_modules_remove(modules, m);
	}
}

oc_status oc_modules_scan(oc_modules *modules, oc_err *err)
{
	oc_status st = add_static(modules);

	for (size_t i = 0; i < modules->n; i++)
		modules->list[i]->seen = false;
	if (st == OC_OK)
		st = look_along(modules, oc_str_of(modules->search_path), "path");
	if (st == OC_OK)
		st = look_at_configured(modules);
	if (st == OC_OK)
		st = look_into(modules, modules->user_dir, (place){.origin = "user"});
	if (st == OC_OK)
		st = look_into(modules, modules->module_dir,
			       (place){.origin = "system", .bundled = true, .own_tree = modules->build_tree, .shared = modules->shared_dir});
	if (st != OC_OK)
		return oc_fail(err, st, NULL, "cannot list the modules");
	forget_gone(modules);
	oc_policy_apply(modules, NULL);
	return OC_OK;
}
