/* Options of the sandbox helper: on its command line, or NUL-separated on a descriptor (--args-fd). */
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/base/mem.h"
#include "core/base/str.h"
#include "core/security/sandbox_int.h"

typedef struct parser {
	sandbox_args *a;
	size_t max; /* entries of each array */
	oc_err *err;
} parser;

static bool bad(parser *p, const char *what, const char *value)
{
	(void)oc_fail(p->err, OC_E_INVALID, "see openclaw-sandbox --help; after an upgrade, restart the gateway", "%s%s%s", what, value != NULL ? ": " : "",
		      value != NULL ? value : "");
	return false;
}

static bool number(parser *p, const char *value, uint64_t max, uint64_t *ret)
{
	int64_t n = 0;

	if (oc_str_i64(oc_str_of(value), 0, max > INT64_MAX ? INT64_MAX : (int64_t)max, &n) != OC_OK)
		return bad(p, "not a number in range", value);
	*ret = (uint64_t)n;
	return true;
}

static bool descriptor(parser *p, const char *value, int *ret)
{
	uint64_t n = 0;

	if (!number(p, value, 1023, &n))
		return false;
	*ret = (int)n;
	return true;
}

static bool add(parser *p, const char ***list, size_t *n, const char *value)
{
	if (*list == NULL && (*list = oc_calloc(p->max + 1, sizeof(**list))) == NULL)
		return bad(p, "out of memory", NULL);
	(*list)[(*n)++] = value;
	return true;
}

static bool add_path(parser *p, const char ***list, size_t *n, const char *value)
{
	if (value[0] != '/')
		return bad(p, "not an absolute path", value);
	return add(p, list, n, value);
}

static bool flag(parser *p, const char *name, bool *ret_known)
{
	*ret_known = true;
	if (strcmp(name, "--network") == 0)
		p->a->network = true;
	else if (strcmp(name, "--downgrade") == 0)
		p->a->downgrade = true;
	else if (strcmp(name, "--probe") == 0)
		p->a->probe = true;
	else
		*ret_known = false;
	return true;
}

static bool option(parser *p, const char *name, const char *value)
{
	sandbox_args *a = p->a;
	uint64_t n = 0;

	if (strcmp(name, "--level") == 0) {
		a->level = oc_sandbox_level_parse(value);
		return a->level != 0 || bad(p, "no such level", value);
	}
	if (strcmp(name, "--without") == 0) {
		if (!number(p, value, UINT32_MAX, &n))
			return false;
		a->without = (uint32_t)n;
		return true;
	}
	if (strcmp(name, "--memory") == 0)
		return number(p, value, INT64_MAX, &a->limits.memory_bytes);
	if (strcmp(name, "--cpu") == 0)
		return number(p, value, INT64_MAX, &a->limits.cpu_seconds);
	if (strcmp(name, "--processes") == 0)
		return number(p, value, INT64_MAX, &a->limits.processes);
	if (strcmp(name, "--file-size") == 0)
		return number(p, value, INT64_MAX, &a->limits.file_bytes);
	if (strcmp(name, "--open-files") == 0)
		return number(p, value, INT64_MAX, &a->limits.open_files);
	if (strcmp(name, "--tmp-size") == 0)
		return number(p, value, INT64_MAX, &a->limits.tmp_bytes);
	if (strcmp(name, "--cwd") == 0) {
		a->cwd = value;
		return value[0] == '/' || bad(p, "not an absolute path", value);
	}
	if (strcmp(name, "--read") == 0)
		return add_path(p, &a->read, &a->n_read, value);
	if (strcmp(name, "--write") == 0)
		return add_path(p, &a->write, &a->n_write, value);
	if (strcmp(name, "--hide") == 0)
		return add_path(p, &a->hide, &a->n_hide, value);
	if (strcmp(name, "--cgroup") == 0)
		return add_path(p, &a->cgroups, &a->n_cgroups, value);
	if (strcmp(name, "--env") == 0)
		return add(p, &a->env, &a->n_env, value);
	if (strcmp(name, "--status-fd") == 0)
		return descriptor(p, value, &a->status_fd);
	if (strcmp(name, "--nice") == 0) {
		if (!number(p, value, 19, &n))
			return false;
		a->nice = (int)n;
		return true;
	}
	if (strcmp(name, "--keep-fd") == 0)
		return descriptor(p, value, &a->keep_fd);
	return bad(p, "no such option", name);
}

/* The text behind --args-fd as an array of strings; both stay allocated. */
static char **read_args(int fd, oc_err *err)
{
	struct stat st;
	char *text = NULL, **list;
	size_t n = 0, size, got = 0;

	if (fstat(fd, &st) != 0 || st.st_size <= 0 || (uint64_t)st.st_size > SANDBOX_ARGS_MAX) {
		(void)oc_fail(err, OC_E_INVALID, NULL, "the options descriptor is no file of at most 1 MiB");
		return NULL;
	}
	size = (size_t)st.st_size;
	text = oc_alloc(size + 1);
	while (text != NULL && got < size) {
		ssize_t r = pread(fd, text + got, size - got, (off_t)got);

		if (r <= 0)
			break;
		got += (size_t)r;
	}
	for (size_t i = 0; text != NULL && i < size; i++)
		n += text[i] == 0;
	list = text != NULL ? oc_calloc(n + 2, sizeof(*list)) : NULL;
	if (list == NULL || got < size || text[size - 1] != 0) {
		(void)oc_fail(err, OC_E_INVALID, NULL, "the options cannot be read");
		oc_free(text);
		oc_free(list);
		return NULL;
	}
	(void)close(fd);
	n = 0;
	for (size_t i = 0; i < size; i += strlen(text + i) + 1)
		list[n++] = text + i;
	return list;
}

static void defaults(oc_sandbox_limits *l)
{
	l->memory_bytes = l->memory_bytes != 0 ? l->memory_bytes : UINT64_C(2) << 30;
	l->cpu_seconds = l->cpu_seconds != 0 ? l->cpu_seconds : 3600;
	l->processes = l->processes != 0 ? l->processes : 512;
	l->file_bytes = l->file_bytes != 0 ? l->file_bytes : UINT64_C(1) << 30;
	l->open_files = l->open_files != 0 ? l->open_files : 1024;
	l->tmp_bytes = l->tmp_bytes != 0 ? l->tmp_bytes : UINT64_C(256) << 20;
}

bool sandbox_args_parse(char **argv, sandbox_args *ret, oc_err *err)
{
	sandbox_args a = {.level = OC_SANDBOX_STRICT, .cwd = "/", .status_fd = -1, .keep_fd = -1};
	parser p = {.a = &a, .err = err};

	if (argv[0] != NULL && strcmp(argv[0], "--args-fd") == 0) {
		int fd = -1;

		if (argv[1] == NULL || !descriptor(&p, argv[1], &fd))
			return bad(&p, "--args-fd needs a descriptor", argv[1]);
		argv = read_args(fd, err);
		if (argv == NULL)
			return false;
	}
	while (argv[p.max] != NULL)
		p.max++;
	for (; *argv != NULL && strcmp(*argv, "--") != 0; argv++) {
		bool known = false;

		(void)flag(&p, *argv, &known);
		if (known)
			continue;
		if (argv[1] == NULL)
			return bad(&p, "no such option, or it lacks its value", *argv);
		if (!option(&p, argv[0], argv[1])) {
			ret->status_fd = a.status_fd; /* where it is told */
			return false;
		}
		argv++;
	}
	if (*argv != NULL)
		argv++;
	a.argv = (const char **)argv;
	if (*argv == NULL && !a.probe)
		return bad(&p, "no command; give it after --", NULL);
	defaults(&a.limits);
	*ret = a;
	return true;
}
