/* read, write, edit */
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

#include "fs_root.h"
#include "fs_tools.h"

#define MAX_READ (64u << 20)   /* bytes of a text file that is looked at */
#define MAX_IMAGE (5u << 20)   /* bytes of an image: what model APIs take */
#define MAX_WRITE (10u << 20)
#define MAX_LINES 2000
#define MAX_BYTES (50u << 10)  /* of one read's text */
#define MAX_LINE (4u << 10)    /* of one line */

void fs_fail(fs_job *job, const char *format, ...)
{
	char text[2048];
	va_list args;
	va_start(args, format);
	vsnprintf(text, sizeof text, format, args);
	va_end(args);
	tk_text_clear(&job->out);
	tk_text_z(&job->out, text);
	job->is_error = true;
}

const char *fs_arg(const fs_job *job, const char *name, const char *other_name)
{
	const cJSON *v = cJSON_GetObjectItemCaseSensitive(job->args, name);
	if (!cJSON_IsString(v) && other_name != NULL)
		v = cJSON_GetObjectItemCaseSensitive(job->args, other_name);
	return cJSON_IsString(v) ? v->valuestring : NULL;
}

long fs_arg_long(const fs_job *job, const char *name, long fallback, long min, long max)
{
	const cJSON *v = cJSON_GetObjectItemCaseSensitive(job->args, name);
	if (!cJSON_IsNumber(v))
		return fallback;
	return v->valuedouble < (double)min ? min : v->valuedouble > (double)max ? max : (long)v->valuedouble;
}

bool fs_arg_bool(const fs_job *job, const char *name)
{
	return cJSON_IsTrue(cJSON_GetObjectItemCaseSensitive(job->args, name));
}

const char *fs_arg_path(fs_job *job, const char *fallback)
{
	const char *path = fs_arg(job, "path", "file_path");
	if (path == NULL)
		path = fallback;
	if (path == NULL) {
		fs_fail(job, "path is missing");
		return NULL;
	}
	const char *relative = fs_root_relative(job->workspace, path);
	if (relative == NULL)
		fs_fail(job, "%s: %s (%s)", path, fs_root_why(EXDEV), job->workspace);
	return relative;
}

char *fs_read_file(int fd, size_t max, size_t *ret_n)
{
	struct stat st;
	if (fstat(fd, &st) != 0)
		return NULL;
	if (!S_ISREG(st.st_mode)) {
		errno = S_ISDIR(st.st_mode) ? EISDIR : EINVAL;
		return NULL;
	}
	if ((size_t)st.st_size > max) {
		errno = EFBIG;
		return NULL;
	}
	size_t cap = (size_t)st.st_size + 1, n = 0;
	char *p = malloc(cap + 1);
	while (p != NULL && n < cap) {
		ssize_t got = read(fd, p + n, cap - n);
		if (got < 0 && errno == EINTR)
			continue;
		if (got < 0) {
			free(p);
			return NULL;
		}
		if (got == 0)
			break;
		n += (size_t)got;
	}
	if (p != NULL)
		p[n] = 0;
	*ret_n = n;
	return p;
}

/* ---- read ---- */

static const char *image_type(const unsigned char *p, size_t n)
{
	if (n > 8 && memcmp(p, "\x89PNG\r\n\x1a\n", 8) == 0)
		return "image/png";
	if (n > 3 && memcmp(p, "\xff\xd8\xff", 3) == 0)
		return "image/jpeg";
	if (n > 6 && (memcmp(p, "GIF87a", 6) == 0 || memcmp(p, "GIF89a", 6) == 0))
		return "image/gif";
	if (n > 12 && memcmp(p, "RIFF", 4) == 0 && memcmp(p + 8, "WEBP", 4) == 0)
		return "image/webp";
	return NULL;
}

static char *base64(const unsigned char *p, size_t n)
{
	static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
	char *out = malloc((n + 2) / 3 * 4 + 1), *q = out;
	if (out == NULL)
		return NULL;
	for (size_t i = 0; i < n; i += 3) {
		unsigned v = (unsigned)p[i] << 16 | (i + 1 < n ? (unsigned)p[i + 1] << 8 : 0) | (i + 2 < n ? p[i + 2] : 0u);
		*q++ = digits[v >> 18];
		*q++ = digits[v >> 12 & 63];
		*q++ = i + 1 < n ? digits[v >> 6 & 63] : '=';
		*q++ = i + 2 < n ? digits[v & 63] : '=';
	}
	*q = 0;
	return out;
}

static void read_lines(fs_job *job, const char *path, const char *text, size_t n)
{
	long offset = fs_arg_long(job, "offset", 1, 1, 1000000000), limit = fs_arg_long(job, "limit", MAX_LINES, 1, MAX_LINES);
	long line = 0, shown = 0, total = 0;
	bool cut = false;
	for (const char *p = text, *end = text + n; p < end;) {
		const char *nl = memchr(p, '\n', (size_t)(end - p));
		size_t len = nl != NULL ? (size_t)(nl - p) : (size_t)(end - p);
		total++;
		if (++line >= offset && shown < limit && !cut) {
			if (job->out.n + (len < MAX_LINE ? len : MAX_LINE) > MAX_BYTES && shown > 0) {
				cut = true;
			} else {
				size_t show = tk_utf8_cut(p, len, MAX_LINE);
				tk_text_add(&job->out, p, show);
				if (show < len)
					tk_text_printf(&job->out, " [… %zu more bytes of this line]", len - show);
				tk_text_add(&job->out, "\n", 1);
				shown++;
			}
		}
		p = nl != NULL ? nl + 1 : end;
	}
	if (n == 0)
		tk_text_z(&job->out, "[The file is empty.]\n");
	else if (shown == 0)
		fs_fail(job, "%s has %ld lines; offset %ld is behind its end", path, total, offset);
	else if (offset + shown - 1 < total)
		tk_text_printf(&job->out, "\n[Lines %ld to %ld of %ld. Go on with offset=%ld.]", offset, offset + shown - 1, total,
			       offset + shown);
}

static bool is_utf8(const char *p, size_t n)
{
	for (size_t i = 0, len; i < n; i += len)
		if ((len = tk_utf8(p + i, n - i, NULL)) == 0)
			return false;
	return true;
}

void fs_read(fs_job *job)
{
	const char *path = fs_arg_path(job, NULL);
	if (path == NULL)
		return;
	int fd = fs_root_at(job->root, path, O_RDONLY | O_NONBLOCK, 0);
	size_t n = 0;
	char *text = fd >= 0 ? fs_read_file(fd, MAX_READ, &n) : NULL;
	int why = errno;
	if (fd >= 0)
		close(fd);
	if (text == NULL) {
		if (why == EFBIG)
			fs_fail(job, "%s: the file is larger than %u MiB; look for what you need with grep", path, MAX_READ >> 20);
		else
			fs_fail(job, "%s: %s%s", path, fs_root_why(why), why == EISDIR ? "; list it with ls" : "");
		return;
	}
	const char *mime = image_type((const unsigned char *)text, n);
	if (mime != NULL && n <= MAX_IMAGE) {
		job->image = base64((const unsigned char *)text, n);
		job->image_mime = mime;
		tk_text_printf(&job->out, "%s: %s, %zu bytes", path, mime, n);
	} else if (mime != NULL) {
		fs_fail(job, "%s: the image has %zu bytes; at most %u MiB can be shown", path, n, MAX_IMAGE >> 20);
	} else if (memchr(text, 0, n) != NULL || !is_utf8(text, n)) {
		fs_fail(job, "%s: not a text file (%zu bytes, not UTF-8)", path, n);
	} else {
		read_lines(job, path, text, n);
	}
	free(text);
}

/* ---- write ---- */

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

/* A link to a file inside the workspace is written through; its target is what gets replaced. */
static int open_existing(int root, const char *relative, struct stat *st)
{
	int fd = fs_root_at(root, relative, O_WRONLY | O_NONBLOCK, 0);
	if (fd >= 0 && fstat(fd, st) == 0 && !S_ISREG(st->st_mode)) {
		close(fd);
		errno = EINVAL;
		return -1;
	}
	return fd;
}

int fs_replace_file(int root, const char *relative, const char *text, size_t n, bool *ret_existed)
{
	struct stat st = {.st_mode = 0666}, link;
	const char *name;
	int old = open_existing(root, relative, &st);
	if (old < 0 && errno != ENOENT)
		return -1;
	*ret_existed = old >= 0;
	int dir = fs_root_parent(root, relative, 1, &name);
	bool is_link = dir >= 0 && fstatat(dir, name, &link, AT_SYMLINK_NOFOLLOW) == 0 && S_ISLNK(link.st_mode);
	int result = -1;
	if (dir >= 0 && is_link && old >= 0) {
		result = ftruncate(old, 0) == 0 ? write_all(old, text, n) : -1;
	} else if (dir >= 0 && is_link) {
		errno = ELOOP; /* a link to nothing: making its target could lead anywhere */
	} else if (dir >= 0) {
		char temporary[64];
		unsigned long long salt = 0;
		(void)!getrandom(&salt, sizeof salt, 0);
		snprintf(temporary, sizeof temporary, ".oc-%llx.tmp", salt);
		int fd = openat(dir, temporary, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0666);
		if (fd >= 0 && old >= 0)
			(void)!fchmod(fd, st.st_mode & 0777); /* new content is not to run as somebody else */
		if (fd >= 0) {
			result = write_all(fd, text, n) == 0 && fsync(fd) == 0 ? 0 : -1;
			int why = errno;
			if (close(fd) != 0 && result == 0)
				result = -1;
			else
				errno = why;
			if (result == 0)
				result = renameat(dir, temporary, dir, name);
			why = errno;
			if (result != 0)
				unlinkat(dir, temporary, 0);
			errno = why;
		}
	}
	int why = errno;
	if (old >= 0)
		close(old);
	if (dir >= 0)
		close(dir);
	errno = why;
	return result;
}

void fs_write(fs_job *job)
{
	const char *path = fs_arg_path(job, NULL), *content = fs_arg(job, "content", NULL);
	bool existed = false;
	if (path == NULL)
		return;
	if (content == NULL) {
		fs_fail(job, "content is missing");
	} else if (strlen(content) > MAX_WRITE) {
		fs_fail(job, "the content has %zu bytes; at most %u MiB are written at once", strlen(content), MAX_WRITE >> 20);
	} else if (fs_replace_file(job->root, path, content, strlen(content), &existed) != 0) {
		fs_fail(job, "%s: %s", path, fs_root_why(errno));
	} else {
		tk_text_printf(&job->out, "%s %s (%zu bytes).", existed ? "Replaced" : "Wrote", path, strlen(content));
	}
}

/* ---- edit ---- */

static long line_of(const char *text, const char *at)
{
	long line = 1;
	for (; text < at; text++)
		line += *text == '\n';
	return line;
}

/* Where the first line of what was looked for stands, apart from white space: most misses are indentation. */
static void explain_miss(fs_job *job, const char *path, const char *text, const char *wanted)
{
	char first[200];
	size_t skip = strspn(wanted, " \t\r\n"), n = strcspn(wanted + skip, "\r\n");
	while (n > 0 && strchr(" \t", wanted[skip + n - 1]) != NULL)
		n--;
	if (n >= sizeof first)
		n = sizeof first - 1;
	memcpy(first, wanted + skip, n);
	first[n] = 0;
	const char *at = n >= 3 ? strstr(text, first) : NULL;
	if (at == NULL) {
		fs_fail(job, "%s: the old text is not in the file; read it again and copy the text exactly", path);
		return;
	}
	const char *begin = at, *end = at + strcspn(at, "\n");
	while (begin > text && begin[-1] != '\n')
		begin--;
	fs_fail(job, "%s: the old text is not in the file as given. Its first line looks like line %ld: \"%.*s\" "
		     "(white space or a later line differs); read the file again and copy the text exactly",
		path, line_of(text, at), (int)(end - begin < 300 ? end - begin : 300), begin);
}

/* CRLF for each LF that has no CR before it. */
static char *with_crlf(const char *s)
{
	size_t extra = 0;
	for (const char *p = s; *p != 0; p++)
		extra += *p == '\n' && (p == s || p[-1] != '\r');
	char *out = malloc(strlen(s) + extra + 1), *q = out;
	for (const char *p = s; out != NULL && *p != 0; p++) {
		if (*p == '\n' && (p == s || p[-1] != '\r'))
			*q++ = '\r';
		*q++ = *p;
	}
	if (out != NULL)
		*q = 0;
	return out;
}

static void replace_once(fs_job *job, const char *path, const char *text, size_t n, const char *from, const char *to)
{
	const char *at = strstr(text, from);
	const char *again = at != NULL ? strstr(at + 1, from) : NULL;
	bool existed;
	if (at == NULL) {
		explain_miss(job, path, text, from);
		return;
	}
	if (again != NULL) {
		long count = 2;
		for (const char *p = again; (p = strstr(p + 1, from)) != NULL;)
			count++;
		fs_fail(job, "%s: the old text is %ld times in the file (lines %ld, %ld%s); add lines around it so that it is unique",
			path, count, line_of(text, at), line_of(text, again), count > 2 ? ", …" : "");
		return;
	}
	size_t len = n - strlen(from) + strlen(to), head = (size_t)(at - text);
	char *out = len <= MAX_WRITE ? malloc(len + 1) : NULL;
	if (out == NULL) {
		fs_fail(job, "%s: the result would be too large", path);
		return;
	}
	memcpy(out, text, head);
	memcpy(out + head, to, strlen(to));
	memcpy(out + head + strlen(to), at + strlen(from), n - head - strlen(from));
	out[len] = 0;
	if (fs_replace_file(job->root, path, out, len, &existed) != 0)
		fs_fail(job, "%s: %s", path, fs_root_why(errno));
	else
		tk_text_printf(&job->out, "Edited %s at line %ld.", path, line_of(text, at));
	free(out);
}

void fs_edit(fs_job *job)
{
	const char *path = fs_arg_path(job, NULL), *from = fs_arg(job, "oldText", "old_string");
	const char *to = fs_arg(job, "newText", "new_string");
	if (path == NULL)
		return;
	if (from == NULL || to == NULL || from[0] == 0) {
		fs_fail(job, "oldText and newText are needed, and oldText must not be empty; to make a file use write");
		return;
	}
	if (strcmp(from, to) == 0) {
		fs_fail(job, "oldText and newText are the same: nothing would change");
		return;
	}
	int fd = fs_root_at(job->root, path, O_RDONLY | O_NONBLOCK, 0);
	size_t n = 0;
	char *text = fd >= 0 ? fs_read_file(fd, MAX_WRITE, &n) : NULL;
	int why = errno;
	if (fd >= 0)
		close(fd);
	if (text == NULL) {
		fs_fail(job, "%s: %s", path, why == EFBIG ? "the file is too large to be edited" : fs_root_why(why));
		return;
	}
	if (memchr(text, 0, n) != NULL) {
		fs_fail(job, "%s: not a text file", path);
	} else if (strstr(text, "\r\n") != NULL && strstr(text, from) == NULL) {
		/* Models write LF; the file keeps the line ends it has. */
		char *crlf_from = with_crlf(from), *crlf_to = with_crlf(to);
		if (crlf_from != NULL && crlf_to != NULL)
			replace_once(job, path, text, n, crlf_from, crlf_to);
		free(crlf_from);
		free(crlf_to);
	} else {
		replace_once(job, path, text, n, from, to);
	}
	free(text);
}
