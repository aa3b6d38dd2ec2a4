/* What the registry has for modules in processes of their own: on this side, and in the process itself. */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/base/log.h"
#include "core/module/crash.h"
#include "core/module/internal.h"

void oc_modules_set_isolator(oc_modules *modules, const oc_isolator *isolator, void *arg)
{
	modules->isolator = isolator;
	modules->isolator_arg = arg;
}

void *oc_modules_isolator_arg(const oc_modules *modules)
{
	return modules->isolator_arg;
}

bool oc_module_isolated(const oc_module *module)
{
	return module->isolate;
}

/* ---- The file ---- */

typedef struct copying {
	int fd;
	bool failed;
} copying;

static void add_to_copy(void *arg, const unsigned char *bytes, size_t n)
{
	copying *c = arg;

	while (n > 0 && !c->failed) {
		ssize_t w = write(c->fd, bytes, n);

		if (w < 0 && errno == EINTR)
			continue;
		c->failed = w <= 0;
		bytes += w > 0 ? w : 0;
		n -= w > 0 ? (size_t)w : 0;
	}
}

oc_status oc_module_copy(oc_module *m, int *ret_fd, oc_err *err)
{
	const char *pin = oc_json_str(oc_module_entry(m), "sha256", "");
	copying c = {.fd = memfd_create(m->name, MFD_CLOEXEC | MFD_ALLOW_SEALING)};
	oc_module_file copy = {.fd = c.fd};
	char sha[65];
	oc_status st;

	if (c.fd < 0)
		return oc_fail_errno(err, errno, "cannot copy module %s", m->name);
	st = oc_loader_read(&m->file, add_to_copy, &c, err);
	if (st == OC_OK && (c.failed || fcntl(c.fd, F_ADD_SEALS, F_SEAL_SEAL | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE) != 0))
		st = oc_fail_errno(err, errno, "cannot copy module %s", m->name);
	/* What runs is what was enabled, whatever became of the file since it was judged. */
	if (st == OC_OK && !m->bundled) {
		st = oc_loader_sha256(&copy, sha, err);
		if (st == OC_OK && !oc_str_ieq(oc_str_of(pin), oc_str_of(sha)))
			st = oc_fail(err, OC_E_DENIED, "if the new file comes from where you expect, confirm it: openclaw module enable NAME",
				     "the file changed since it was enabled (its SHA-256 differs)");
	}
	if (st == OC_OK)
		*ret_fd = c.fd;
	else
		(void)close(c.fd);
	return st;
}

/* ---- Its process ---- */

void oc_module_lost(oc_module *m, const char *reason, const char *remedy)
{
	if (!m->inited)
		return;
	oc_calls_end(m, OC_E_RETRY, reason);
	oc_module_settings_answered(m, OC_E_RETRY);
	oc_module_kill(m);
	oc_module_set_state(m, OC_MODULE_STOPPED, reason, remedy);
}

void oc_module_quarantine(oc_module *m, const char *reason)
{
	char mark[65] = "";

	oc_free(m->verdict);
	m->verdict = oc_strdup(reason);
	(void)oc_policy_mark(m, mark, NULL);
	m->verdict_kept = oc_crash_quarantine(m->name, mark, reason);
	oc_policy_apply(m->registry, m->name);
	oc_module_set_state(m, OC_MODULE_QUARANTINED, reason, "replace it by a version that is mended, then: openclaw module enable NAME");
}

/* Another file lies there than the one its operator enabled. */
static bool replaced_unasked(const oc_module *m)
{
	const char *pin = oc_json_str(oc_module_entry(m), "sha256", "");
	oc_module_file file = {.fd = -1};
	char sha[65] = "";
	oc_err err = {0};

	if (m->bundled || m->path[0] == '\0' || oc_loader_open(m->path, m->own_tree, &file, &err) != OC_OK)
		return false;
	bool other = oc_loader_sha256(&file, sha, &err) == OC_OK && !oc_str_ieq(oc_str_of(pin), oc_str_of(sha));
	oc_loader_close(&file);
	return other;
}

static bool has_new_settings(const oc_module *m)
{
	oc_auto_free char *text = NULL;

	return m->config != NULL && oc_policy_config(m, &text, NULL) == OC_OK && strcmp(text, m->config) != 0;
}

oc_status oc_module_reload(oc_module *m, oc_modules_done *done, void *arg, oc_err *err)
{
	oc_module_state state = m->state;

	if (oc_json_bool(oc_module_entry(m), "enabled", m->bundled) && replaced_unasked(m))
		return oc_fail(err, OC_E_DENIED, "openclaw module enable NAME, when it comes from where you expect",
			       "the file of module %s is another than the one that was enabled%s", m->name,
			       m->inited ? "; the enabled one goes on running" : "");
	oc_free(m->verdict);
	m->verdict = NULL;
	if (oc_crash_forgive(m->name, err) != OC_OK)
		return err->code;
	oc_policy_apply(m->registry, m->name);
	if (!m->enabled || m->bad) {
		if (state == OC_MODULE_DISABLED || m->state == OC_MODULE_DISABLED || m->state == OC_MODULE_REFUSED)
			return oc_fail(err, OC_E_STATE, oc_module_remedy(m), "module %s does not run: %s", m->name, oc_module_reason(m));
		return oc_fail(err, OC_E_STATE, "openclaw module doctor NAME", "module %s may not run", m->name);
	}
	if (m->inited && (!m->isolated || has_new_settings(m)))
		oc_module_take_settings(m, done, arg);
	else
		oc_module_restart(m, done, arg);
	return OC_OK;
}

/* ---- In the process ---- */

oc_status oc_modules_add_file(oc_modules *modules, int fd, const char *settings, oc_module **ret, oc_err *err)
{
	oc_module_file file = {.fd = fd};
	oc_manifest *manifest = NULL;
	oc_module *m = NULL;
	oc_status st = oc_loader_manifest(&file, &manifest, err);

	if (st != OC_OK) {
		(void)close(fd);
		return st;
	}
	m = oc_module_new(modules, manifest->name, "", "process");
	if (m != NULL) {
		m->manifest = manifest;
		m->file = file;
		m->handed = oc_strdup(settings);
	}
	st = m == NULL || m->handed == NULL ? OC_E_NOMEM : oc_modules_insert(modules, m);
	if (st != OC_OK) {
		if (m == NULL) {
			oc_manifest_free(manifest);
			(void)close(fd);
		}
		oc_module_free(m);
		return oc_fail(err, st, NULL, "no memory for the module");
	}
	oc_policy_apply(modules, m->name);
	*ret = m;
	return OC_OK;
}

oc_status oc_module_new_settings(oc_module *m, const char *settings)
{
	char *handed = oc_strdup(settings), *text = oc_strdup(settings);
	oc_status st = handed == NULL || text == NULL ? OC_E_NOMEM : OC_OK;

	if (st == OC_OK) {
		st = oc_module_hand_settings(m, text);
		text = NULL;
	}
	oc_free(text);
	if (st != OC_OK) {
		oc_free(handed);
		return st;
	}
	oc_free(m->handed);
	m->handed = handed;
	return OC_OK;
}

const void *oc_guest_vtbl(const oc_guest *guest, uint32_t *ret_kind, uint16_t *ret_major, uint16_t *ret_minor)
{
	*ret_kind = guest->kind;
	*ret_major = guest->ver_major;
	*ret_minor = guest->ver_minor;
	return &guest->vtbl;
}

oc_str oc_guest_list(const oc_guest *g)
{
	oc_str text = OC_STR_NONE;
	oc_visit visit = oc_visit_begin(g->module);

	if (g->kind == OC_KIND_TOOL)
		text = g->vtbl.tool.tools(g->inst);
	else if (g->kind == OC_KIND_HOOK)
		text = g->vtbl.hook.subscriptions(g->inst);
	oc_visit_end(g->module, visit);
	return text.p != NULL ? text : OC_STR_NONE;
}

void oc_modules_set_remote_services(oc_modules *modules, const oc_remote_services *remote, void *arg)
{
	modules->remote = remote;
	modules->remote_arg = arg;
}

uint32_t oc_guest_functions(uint32_t kind)
{
	return (uint32_t)((oc_loader_vtbl_size(kind) - 2 * sizeof(uint32_t)) / sizeof(void *));
}
