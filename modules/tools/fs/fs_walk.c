/* ls, find, grep */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <regex.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "fs_glob.h"
#include "fs_root.h"
#include "fs_tools.h"

#define MAX_DEPTH 64
#define MAX_VISITS 200000    /* entries looked at by one call */
#define MAX_GREP (10u << 20) /* bytes of a file that is searched */
#define MAX_SHOWN 500        /* bytes of a line that is shown */

static int compare(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

/* The names in an open folder, sorted, folders with a '/' at the end; each and the list are malloc's. Takes fd. */
static char **names_of(int fd, size_t *ret_n)
{
	DIR *dir = fdopendir(fd);
	char **names = NULL;
	size_t n = 0, cap = 0;
	const struct dirent *e;
	if (dir == NULL) {
		close(fd);
		return NULL;
	}
	while ((e = readdir(dir)) != NULL && n < MAX_VISITS) {
		if (strcmp(e->d_name, ".") == 0 || strcmp(e->d_name, "..") == 0)
			continue;
		struct stat st;
		bool is_dir = e->d_type == DT_DIR
			      || (e->d_type == DT_UNKNOWN && fstatat(dirfd(dir), e->d_name, &st, AT_SYMLINK_NOFOLLOW) == 0
				  && S_ISDIR(st.st_mode));
		if (n == cap) {
			char **more = realloc(names, (cap = cap == 0 ? 64 : cap * 2) * sizeof *names);
			if (more == NULL)
				break;
			names = more;
		}
		size_t len = strlen(e->d_name);
		char *name = malloc(len + 2);
		if (name == NULL)
			break;
		memcpy(name, e->d_name, len + 1);
		if (is_dir)
			memcpy(name + len, "/", 2);
		names[n++] = name;
	}
	closedir(dir);
	if (n > 0)
		qsort(names, n, sizeof *names, compare);
	*ret_n = n;
	return names != NULL ? names : calloc(1, sizeof *names);
}

static void free_names(char **names, size_t n)
{
	for (size_t i = 0; i < n; i++)
		free(names[i]);
	free(names);
}

/* For one more entry and the remark at the end. */
static bool has_room(const fs_job *job)
{
	return job->out.n < FS_MAX_OUT - 8192;
}

void fs_ls(fs_job *job)
{
	const char *path = fs_arg_path(job, ".");
	long limit = fs_arg_long(job, "limit", 500, 1, 5000);
	if (path == NULL)
		return;
	int fd = fs_root_at(job->root, path, O_RDONLY | O_DIRECTORY, 0);
	size_t n = 0;
	char **names = fd >= 0 ? names_of(fd, &n) : NULL;
	if (names == NULL) {
		fs_fail(job, "%s: %s", path, fs_root_why(errno));
		return;
	}
	size_t shown = 0;
	for (; shown < n && shown < (size_t)limit && has_room(job); shown++)
		tk_text_printf(&job->out, "%s\n", names[shown]);
	if (n == 0)
		tk_text_z(&job->out, "[The folder is empty.]");
	else if (shown < n)
		tk_text_printf(&job->out, "\n[%zu of %zu entries. Raise limit for more.]", shown, n);
	free_names(names, n);
}

/* ---- A walk over a tree, without following links ---- */

struct walk {
	fs_job *job;
	unsigned visits;
	bool stop, too_many;
	bool all; /* also what is usually left out */
	void (*file)(struct walk *w, int dir, const char *name, const char *path);
	/* find and grep */
	const char *pattern, *base;
	long limit, found, context;
	bool literal, ignore_case, more;
	regex_t regex;
	unsigned searched;
};

/* Version control and package folders hold more files than anyone looks for. */
static bool left_out(const struct walk *w, const char *name)
{
	return !w->all && (strcmp(name, ".git") == 0 || strcmp(name, "node_modules") == 0 || strcmp(name, ".hg") == 0
			   || strcmp(name, ".svn") == 0);
}

static void walk(struct walk *w, int dir, const char *prefix, int depth)
{
	size_t n = 0;
	int copy = openat(dir, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	char **names = copy >= 0 ? names_of(copy, &n) : NULL;
	for (size_t i = 0; names != NULL && i < n && !w->stop; i++) {
		size_t len = strlen(names[i]);
		bool is_dir = names[i][len - 1] == '/';
		if (is_dir)
			names[i][len - 1] = 0;
		if (atomic_load(&w->job->canceled) || ++w->visits > MAX_VISITS) {
			w->too_many = w->visits > MAX_VISITS;
			w->stop = true;
			break;
		}
		if (is_dir && left_out(w, names[i]))
			continue;
		char path[4096];
		int size = snprintf(path, sizeof path, "%s%s%s", prefix, prefix[0] != 0 ? "/" : "", names[i]);
		if (size < 0 || (size_t)size >= sizeof path)
			continue;
		w->file(w, dir, is_dir ? NULL : names[i], path);
		int next = is_dir && depth < MAX_DEPTH && !w->stop
				   ? openat(dir, names[i], O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC)
				   : -1;
		if (next >= 0) {
			walk(w, next, path, depth + 1);
			close(next);
		}
	}
	if (names != NULL)
		free_names(names, n);
}

static bool start_walk(struct walk *w, const char *path)
{
	int dir = fs_root_at(w->job->root, path, O_RDONLY | O_DIRECTORY, 0);
	if (dir < 0) {
		fs_fail(w->job, "%s: %s", path, fs_root_why(errno));
		return false;
	}
	w->all = (w->pattern != NULL && strstr(w->pattern, ".git") != NULL) || strstr(path, ".git") != NULL
		 || strstr(path, "node_modules") != NULL;
	walk(w, dir, "", 0);
	close(dir);
	if (w->too_many)
		tk_text_printf(&w->job->out, "\n[Stopped after %d entries: name a smaller folder.]", MAX_VISITS);
	return true;
}

static void add_path(struct walk *w, const char *base, const char *path)
{
	bool at_root = strcmp(base, ".") == 0;
	size_t n = strlen(base);
	while (n > 0 && base[n - 1] == '/')
		n--;
	tk_text_printf(&w->job->out, "%.*s%s%s", at_root ? 0 : (int)n, base, at_root ? "" : "/", path);
}

/* ---- find ---- */

static void find_one(struct walk *w, int dir, const char *name, const char *path)
{
	(void)dir;
	if (!fs_glob_match(w->pattern, path))
		return;
	if (w->found == w->limit || !has_room(w->job)) {
		w->more = w->stop = true;
		return;
	}
	w->found++;
	add_path(w, w->base, path);
	tk_text_z(&w->job->out, name == NULL ? "/\n" : "\n");
}

void fs_find(fs_job *job)
{
	const char *path = fs_arg_path(job, "."), *pattern = fs_arg(job, "pattern", NULL);
	if (path == NULL)
		return;
	struct walk w = {.job = job, .file = find_one, .pattern = pattern != NULL ? pattern : "*", .base = path,
			 .limit = fs_arg_long(job, "limit", 1000, 1, 10000)};
	if (!start_walk(&w, path))
		return;
	if (w.found == 0)
		tk_text_printf(&job->out, "[Nothing matches %s.]", w.pattern);
	else if (w.more)
		tk_text_printf(&job->out, "\n[The first %ld. Raise limit or narrow the pattern for more.]", w.found);
}

/* ---- grep ---- */

static bool line_matches(struct walk *w, const char *line)
{
	if (w->literal)
		return w->ignore_case ? strcasestr(line, w->pattern) != NULL : strstr(line, w->pattern) != NULL;
	return regexec(&w->regex, line, 0, NULL, 0) == 0;
}

static void show_line(struct walk *w, const char *path, long number, char mark, const char *line)
{
	size_t n = strlen(line), show = tk_utf8_cut(line, n, MAX_SHOWN);
	add_path(w, w->base != NULL ? w->base : ".", path);
	tk_text_printf(&w->job->out, "%c%ld%c ", mark, number, mark);
	tk_text_add(&w->job->out, line, show);
	tk_text_z(&w->job->out, show < n ? " […]\n" : "\n");
}

/* Shows a match with the lines around it; *ret_last is the last line shown, so that none is shown twice. */
static void show_match(struct walk *w, const char *path, char **lines, long n, long i, long *last)
{
	long from = i - w->context > *last ? i - w->context : *last + 1;
	if (w->context > 0 && *last >= 0 && from > *last + 1)
		tk_text_z(&w->job->out, "--\n");
	for (long k = from; k <= i + w->context && k < n; k++) {
		show_line(w, path, k + 1, k == i || line_matches(w, lines[k]) ? ':' : '-', lines[k]);
		*last = k;
	}
}

static char **split_lines(char *text, size_t n, long *ret_n)
{
	long count = 1, i = 0;
	for (size_t k = 0; k < n; k++)
		count += text[k] == '\n';
	char **lines = calloc((size_t)count, sizeof *lines);
	for (char *p = text, *end = text + n; lines != NULL && p < end;) {
		char *nl = memchr(p, '\n', (size_t)(end - p));
		lines[i++] = p;
		if (nl != NULL) {
			*nl = 0;
			if (nl > p && nl[-1] == '\r')
				nl[-1] = 0;
		}
		p = nl != NULL ? nl + 1 : end;
	}
	*ret_n = i;
	return lines;
}

static void grep_text(struct walk *w, const char *path, char *text, size_t n)
{
	long n_lines = 0, last = -1;
	char **lines = split_lines(text, n, &n_lines);
	for (long i = 0; lines != NULL && i < n_lines && !w->stop; i++) {
		if ((i & 1023) == 0 && atomic_load(&w->job->canceled))
			w->stop = true;
		if (!line_matches(w, lines[i]))
			continue;
		if (w->found == w->limit || !has_room(w->job)) {
			w->more = w->stop = true;
			break;
		}
		w->found++;
		if (i > last)
			show_match(w, path, lines, n_lines, i, &last);
	}
	free(lines);
}

static void grep_fd(struct walk *w, int fd, const char *path)
{
	size_t n = 0;
	char *text = fd >= 0 ? fs_read_file(fd, MAX_GREP, &n) : NULL;
	if (fd >= 0)
		close(fd);
	if (text != NULL && memchr(text, 0, n < 8192 ? n : 8192) == NULL) {
		w->searched++;
		/* A NUL further on would end every search early and show half a line. */
		for (char *p = text; (p = memchr(p, 0, n - (size_t)(p - text))) != NULL; p++)
			*p = ' ';
		grep_text(w, path, text, n);
	}
	free(text);
}

static void grep_one(struct walk *w, int dir, const char *name, const char *path)
{
	const char *only = fs_arg(w->job, "glob", NULL);
	if (name == NULL || (only != NULL && !fs_glob_match(only, path)))
		return;
	grep_fd(w, openat(dir, name, O_RDONLY | O_NONBLOCK | O_NOFOLLOW | O_CLOEXEC), path);
}

/* The C library's expressions are safe on these terms only: no back references, which take exponential time, and no large
 * repetitions, which take gigabytes. */
static const char *refusal(const char *pattern)
{
	long product = 1;
	if (strlen(pattern) > 500)
		return "the pattern is longer than 500 bytes";
	for (const char *p = pattern; *p != 0; p++) {
		if (*p == '\\' && p[1] != 0) {
			if (p[1] >= '1' && p[1] <= '9')
				return "back references are not supported";
			p++;
		} else if (*p == '{') {
			long a = strtol(p + 1, NULL, 10);
			const char *comma = strchr(p, ',');
			long b = comma != NULL && comma < p + 12 ? strtol(comma + 1, NULL, 10) : 0;
			product *= a > b ? (a > 0 ? a : 1) : (b > 0 ? b : 1);
			if (product > 1000 || product < 0)
				return "the repetitions are too large";
		}
	}
	return NULL;
}

static bool compile(struct walk *w)
{
	const char *why = refusal(w->pattern);
	if (why != NULL) {
		fs_fail(w->job, "%s: %s; use literal=true to search for plain text", w->pattern, why);
		return false;
	}
	int code = regcomp(&w->regex, w->pattern, REG_EXTENDED | REG_NOSUB | (w->ignore_case ? REG_ICASE : 0));
	if (code == 0)
		return true;
	char text[200];
	regerror(code, &w->regex, text, sizeof text);
	fs_fail(w->job, "%s: not a regular expression: %s; use literal=true to search for plain text", w->pattern, text);
	return false;
}

void fs_grep(fs_job *job)
{
	const char *path = fs_arg_path(job, "."), *pattern = fs_arg(job, "pattern", NULL);
	struct walk w = {.job = job, .file = grep_one, .pattern = pattern, .base = path};
	struct stat st;
	if (path == NULL)
		return;
	if (pattern == NULL || pattern[0] == 0) {
		fs_fail(job, "pattern is missing");
		return;
	}
	w.literal = fs_arg_bool(job, "literal");
	w.ignore_case = fs_arg_bool(job, "ignoreCase");
	w.context = fs_arg_long(job, "context", 0, 0, 50);
	w.limit = fs_arg_long(job, "limit", 100, 1, 2000);
	if (!w.literal && !compile(&w))
		return;
	int fd = fs_root_at(job->root, path, O_RDONLY | O_NONBLOCK, 0);
	if (fd >= 0 && fstat(fd, &st) == 0 && S_ISREG(st.st_mode)) {
		w.base = NULL;
		grep_fd(&w, fd, path);
	} else {
		if (fd >= 0)
			close(fd);
		start_walk(&w, path);
	}
	if (!w.literal)
		regfree(&w.regex);
	if (job->is_error)
		return;
	if (w.found == 0)
		tk_text_printf(&job->out, "[No match in %u file%s.]", w.searched, w.searched == 1 ? "" : "s");
	else if (w.more)
		tk_text_printf(&job->out, "\n[The first %ld matches. Raise limit or narrow the pattern for more.]", w.found);
}
