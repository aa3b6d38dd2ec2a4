#include "core/cli/envfile.h"

#include <string.h>

#include "core/base/mem.h"
#include "core/base/path.h"
#include "core/base/str.h"

#define MAX_FILE (256u << 10)

/* Double quotes where systemd's and our reader would otherwise not take the value as it is. */
static void add_line(oc_sbuf *b, const char *name, const char *value)
{
	bool plain = value[strcspn(value, " \t\"'\\$#`")] == 0;
	oc_sbuf_printf(b, "%s=", name);
	if (!plain)
		oc_sbuf_char(b, '"');
	for (const char *p = value; *p != 0; p++) {
		if (!plain && (*p == '"' || *p == '\\' || *p == '$' || *p == '`'))
			oc_sbuf_char(b, '\\');
		oc_sbuf_char(b, *p);
	}
	oc_sbuf_z(b, plain ? "\n" : "\"\n");
}

/* Does the line set this variable, with or without "export"? */
static bool sets(oc_str line, const char *name)
{
	const char *equals = memchr(line.p, '=', line.n);
	oc_str left = equals == NULL ? OC_STR_NONE : oc_str_trim((oc_str){line.p, (size_t)(equals - line.p)});
	if (oc_str_starts(left, "export "))
		left = oc_str_trim((oc_str){left.p + 7, left.n - 7});
	return oc_str_eqz(left, name);
}

oc_status oc_envfile_set(const char *path, const char *name, const char *value, oc_err *err)
{
	if (strpbrk(value, "\r\n") != NULL)
		return oc_fail(err, OC_E_INVALID, "", "the value of %s has a line break", name);
	char *old = NULL;
	size_t n = 0;
	oc_auto_free char *folder = oc_strdup(path);
	if (folder == NULL)
		return oc_fail(err, OC_E_NOMEM, NULL, "out of memory");
	char *slash = strrchr(folder, '/');
	if (slash != NULL)
		*slash = 0;
	oc_status status = oc_path_mkdirs(folder, 0700, err);
	if (status == OC_OK && oc_path_exists(path))
		status = oc_path_read(path, MAX_FILE, &old, &n, err);
	if (status != OC_OK)
		return status;
	oc_sbuf b;
	oc_sbuf_init(&b, 2 * MAX_FILE);
	oc_str rest = {old != NULL ? old : "", n};
	bool done = false;
	while (rest.n > 0) {
		oc_str line = oc_str_cut(&rest, '\n');
		bool ours = sets(line, name);
		if (ours && !done)
			add_line(&b, name, value);
		else if (!ours) {
			oc_sbuf_str(&b, line);
			oc_sbuf_char(&b, '\n');
		}
		done = done || ours;
	}
	if (!done)
		add_line(&b, name, value);
	status = b.error != OC_OK ? oc_fail(err, b.error, NULL, "%s is too large", path)
				  : oc_path_write(path, b.p, b.n, 0600, err);
	oc_wipe(old, n);
	oc_free(old);
	oc_wipe(b.p, b.n);
	oc_sbuf_free(&b);
	return status;
}
