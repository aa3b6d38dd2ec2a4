/* Changing the file: checked first, comments kept, written so that a crash leaves the old file or the new one. */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <time.h>
#include <unistd.h>

#include "core/base/clock.h"
#include "core/base/mem.h"
#include "core/base/path.h"
#include "core/config/internal.h"
#include "core/data/jpath.h"
#include "core/data/json5.h"

#define LOCK_WAIT_MS 5000u

oc_status oc_config_lock(const char *file, int *ret_fd, oc_err *err)
{
	char folder[PATH_MAX];
	snprintf(folder, sizeof folder, "%s", file);
	char *slash = strrchr(folder, '/');
	if (slash != NULL)
		slash[slash == folder] = 0;
	oc_status status = oc_path_mkdirs(folder, 0700, err);
	if (status != OC_OK)
		return status;
	int fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0)
		return oc_fail_errno(err, errno, "opening folder %s", folder);
	uint64_t until = oc_now_ms() + LOCK_WAIT_MS;
	while (flock(fd, LOCK_EX | LOCK_NB) != 0) {
		int error = errno;
		if ((error != EWOULDBLOCK && error != EINTR) || oc_now_ms() > until) {
			close(fd);
			return error == EWOULDBLOCK ? oc_fail(err, OC_E_BUSY, "Try again.", "%s is being changed by another program", file)
						    : oc_fail_errno(err, error, "locking folder %s", folder);
		}
		nanosleep(&(struct timespec){.tv_nsec = 20000000}, NULL);
	}
	*ret_fd = fd;
	return OC_OK;
}

/* Was this problem there before? Lines move, so they do not count. */
static bool is_old(const oc_config *before, const oc_config_problem *p)
{
	for (size_t i = 0; before != NULL && i < before->n_problems; i++) {
		const oc_config_problem *old = &before->problems[i].shown;
		if (old->severity == p->severity && strcmp(old->path, p->path) == 0 && strcmp(old->message, p->message) == 0)
			return true;
	}
	return false;
}

struct request {
	const char *file; /* real path */
	const oc_config_change *changes;
	size_t n;
	bool strict;
	oc_config_refiner *refine;
	void *arg;
};

/* Refuses a text that has an error which the old one has not. A variable that is not set here may be set for the gateway. */
static oc_status validate(const struct request *r, oc_str old, oc_str text, oc_err *err)
{
	oc_config *before = NULL, *after = NULL;
	oc_status status = oc_config_load_text(text, r->file, &after, err);
	if (status != OC_OK)
		return status;
	if (old.n > 0 && oc_config_load_text(old, r->file, &before, NULL) != OC_OK)
		before = NULL;
	if (r->refine != NULL)
		status = r->refine(r->arg, after);
	if (r->refine != NULL && before != NULL && status == OC_OK)
		status = r->refine(r->arg, before);
	if (status != OC_OK)
		oc_fail(err, status, NULL, "checking the new configuration: %s", oc_status_text(status));
	for (size_t i = 0; i < after->n_problems && status == OC_OK; i++) {
		const oc_config_problem *p = &after->problems[i].shown;
		if (p->severity == OC_CONFIG_ERROR && !after->problems[i].is_environment && !is_old(before, p))
			status = oc_fail(err, OC_E_INVALID, "Nothing was changed; `openclaw config schema` shows what is allowed.",
					 "%s %s", p->path, p->message);
	}
	oc_config_unref(before);
	oc_config_unref(after);
	return status;
}

/* A removal that finds nothing in the main file: it may be in an included one. */
static oc_status explain_missing(oc_str old, const char *file, const char *path, oc_err *err)
{
	oc_config *c = NULL;
	if (oc_config_load_text(old, file, &c, NULL) != OC_OK)
		return OC_E_NOT_FOUND;
	if (oc_json_path(c->source, path) != NULL)
		oc_fail(err, OC_E_NOT_FOUND, "Remove it there.", "%s is not in %s but in a file that it includes", path, file);
	else if (oc_json_path(c->root, path) != NULL)
		oc_fail(err, OC_E_NOT_FOUND, "Set it to something else.", "%s is not set; its value is the default", path);
	oc_config_unref(c);
	return OC_E_NOT_FOUND;
}

/* The old text with all changes; a new string, or NULL in *ret when nothing changes. */
static oc_status apply(const struct request *r, oc_str old, char **ret, oc_err *err)
{
	char *text = NULL;
	oc_status status = OC_OK;
	for (size_t i = 0; i < r->n && status == OC_OK; i++) {
		char *next = NULL;
		oc_str now = text == NULL ? old : oc_str_of(text);
		const oc_config_change *change = &r->changes[i];
		status = oc_json5_edit(now, change->path, change->value, &next, err);
		if (status == OC_E_NOT_FOUND && change->value == NULL) {
			status = r->strict ? explain_missing(old, r->file, change->path, err) : OC_OK;
		} else if (status == OC_OK) {
			oc_free(text);
			text = next;
		} else {
			oc_err_prefix(err, "%s", r->file);
		}
	}
	if (status != OC_OK || (text != NULL && oc_str_eq(oc_str_of(text), old))) {
		oc_free(text);
		text = NULL;
	}
	*ret = text;
	return status;
}

static oc_status write_both(const char *file, oc_str old, bool existed, const char *text, oc_err *err)
{
	oc_auto_free char *backup = oc_asprintf("%s.bak", file);
	if (backup == NULL)
		return oc_fail(err, OC_E_NOMEM, NULL, "no memory to change %s", file);
	oc_status status = existed ? oc_path_write(backup, old.p, old.n, 0600, err) : OC_OK;
	return status == OC_OK ? oc_path_write(file, text, strlen(text), 0600, err) : status;
}

static oc_status edit(const struct request *r, oc_err *err)
{
	int fd = -1;
	oc_status status = oc_config_lock(r->file, &fd, err);
	if (status != OC_OK)
		return status;
	oc_auto_free char *content = NULL, *text = NULL;
	size_t n = 0;
	status = oc_path_read(r->file, OC_CONFIG_MAX_BYTES, &content, &n, err);
	bool existed = status == OC_OK;
	oc_str old = existed ? (oc_str){content, n} : OC_STR_NONE;
	if (existed || status == OC_E_NOT_FOUND)
		status = apply(r, old, &text, err);
	if (status == OC_OK && text != NULL)
		status = validate(r, old, oc_str_of(text), err);
	if (status == OC_OK && text != NULL)
		status = write_both(r->file, old, existed, text, err);
	close(fd);
	return status;
}

oc_status oc_config_edit_checked(const char *path_file, const oc_config_change *changes, size_t n, bool strict,
				 oc_config_refiner *refine, void *arg, oc_err *err)
{
	oc_auto_free char *given = path_file == NULL ? oc_path_config() : oc_path_expand(path_file, NULL);
	char file[PATH_MAX];
	if (given == NULL)
		return oc_fail(err, OC_E_NOMEM, NULL, "no memory to change the configuration");
	for (size_t i = 0; i < n; i++) {
		oc_status status = oc_jpath_check(changes[i].path, err);
		if (status != OC_OK)
			return status;
	}
	if (realpath(given, file) == NULL) /* a link stays a link: what it leads to is changed */
		snprintf(file, sizeof file, "%s", given);
	return edit(&(struct request){file, changes, n, strict, refine, arg}, err);
}

oc_status oc_config_edit_many(const char *path_file, const oc_config_change *changes, size_t n, oc_err *err)
{
	return oc_config_edit_checked(path_file, changes, n, false, NULL, NULL, err);
}
