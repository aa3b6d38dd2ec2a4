/*
 * Files to Telegram: a multipart/form-data body that is never in memory as a whole.  The file is read on a pool thread,
 * one piece ahead of what the HTTP client asks for.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "telegram.h"

#define PIECE ((size_t)256 * 1024)
#define UPLOAD_MS ((uint64_t)10 * 60 * 1000)
#define PARTS_MAX ((size_t)256 * 1024)

typedef struct upload {
	tg_module *m;
	tg_request *request; /* NULL: over */
	int fd;
	uint64_t file_bytes;
	tg_sb head, tail;
	char content_type[96];
	char *piece;
	uint64_t piece_at; /* of the file */
	size_t piece_n;
	uint64_t wanted; /* by the work under way */
	int64_t got;     /* its result: bytes, or a status */
	bool working;
} upload;

static void upload_free(upload *u)
{
	if (u->fd >= 0)
		close(u->fd);
	tg_sb_free(&u->head);
	tg_sb_free(&u->tail);
	free(u->piece);
	free(u);
}

static void read_piece(void *arg)
{
	upload *u = arg;
	size_t n = 0;
	while (n < PIECE && u->wanted + n < u->file_bytes) {
		ssize_t r = pread(u->fd, u->piece + n, PIECE - n, (off_t)(u->wanted + n));
		if (r < 0 && errno == EINTR)
			continue;
		if (r <= 0) { /* an error, or the file shrank: what was announced cannot be sent any more */
			u->got = OC_E_IO;
			return;
		}
		n += (size_t)r;
	}
	u->got = (int64_t)n;
}

static void on_read(void *arg, oc_status status)
{
	upload *u = arg;
	u->working = false;
	if (u->request == NULL) {
		upload_free(u);
		return;
	}
	if (status != OC_OK)
		u->got = status;
	u->piece_at = u->wanted;
	u->piece_n = u->got > 0 ? (size_t)u->got : 0;
	tg_request_resume(u->request);
}

static int64_t copy_out(const char *from, uint64_t n, void *out, uint64_t max)
{
	uint64_t take = n < max ? n : max;
	memcpy(out, from, take);
	return (int64_t)take;
}

static int64_t body_read(void *arg, uint64_t offset, void *out, uint64_t max)
{
	upload *u = arg;
	uint64_t at = offset;
	if (at < u->head.n)
		return copy_out(u->head.p + at, u->head.n - at, out, max);
	at -= u->head.n;
	if (at >= u->file_bytes) {
		at -= u->file_bytes;
		return at < u->tail.n ? copy_out(u->tail.p + at, u->tail.n - at, out, max) : 0;
	}
	if (at >= u->piece_at && at - u->piece_at < u->piece_n)
		return copy_out(u->piece + (at - u->piece_at), u->piece_n - (at - u->piece_at), out, max);
	if (u->working)
		return OC_E_BUSY;
	if (u->got < 0)
		return u->got;
	u->wanted = at;
	u->working = true;
	oc_status status = u->m->host->work(u->m->self, read_piece, on_read, u);
	if (status != OC_OK) {
		u->working = false;
		return status;
	}
	return OC_E_BUSY;
}

static void body_bind(void *arg, tg_request *r)
{
	upload *u = arg;
	u->request = r;
}

static void body_end(void *arg)
{
	upload *u = arg;
	u->request = NULL;
	if (!u->working)
		upload_free(u);
}

/* A value between quotes in a part's header, as browsers write it. */
static void add_quoted(tg_sb *b, const char *text)
{
	for (; *text != 0; text++) {
		if (*text == '"')
			tg_sb_z(b, "%22");
		else if (*text == '\r' || *text == '\n')
			tg_sb_z(b, "_");
		else
			tg_sb_char(b, *text);
	}
}

static void add_field(tg_sb *b, const char *boundary, const char *name, const char *value)
{
	tg_sb_printf(b, "--%s\r\nContent-Disposition: form-data; name=\"%s\"\r\n\r\n", boundary, name);
	tg_sb_z(b, value);
	tg_sb_z(b, "\r\n");
}

/* Strings as they are, everything else as JSON, as the Bot API wants it. */
static void add_fields(tg_sb *b, const char *boundary, const cJSON *params)
{
	const cJSON *p;
	cJSON_ArrayForEach(p, params)
	{
		char *json = cJSON_IsString(p) ? NULL : cJSON_PrintUnformatted(p);
		const char *value = cJSON_IsString(p) ? p->valuestring : json;
		if (value == NULL)
			b->failed = true;
		else
			add_field(b, boundary, p->string, value);
		cJSON_free(json);
	}
}

static bool build(upload *u, const cJSON *params, const tg_upload *file)
{
	char boundary[64] = "----openclaw";
	struct stat st;
	if (!tg_random_hex(boundary + strlen(boundary), 16))
		return false;
	u->fd = open(file->path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	if (u->fd < 0 || fstat(u->fd, &st) != 0 || !S_ISREG(st.st_mode))
		return false;
	u->file_bytes = (uint64_t)st.st_size;
	add_fields(&u->head, boundary, params);
	tg_sb_printf(&u->head, "--%s\r\nContent-Disposition: form-data; name=\"%s\"; filename=\"", boundary, file->field);
	add_quoted(&u->head, file->name);
	tg_sb_printf(&u->head, "\"\r\nContent-Type: %s\r\n\r\n", file->mime);
	tg_sb_printf(&u->tail, "\r\n--%s--\r\n", boundary);
	snprintf(u->content_type, sizeof u->content_type, "multipart/form-data; boundary=%s", boundary);
	u->piece = malloc(PIECE);
	return u->piece != NULL && !u->head.failed && !u->tail.failed;
}

tg_request *tg_call_upload(tg_account *a, const char *method, cJSON *params, const tg_upload *file, tg_answered answered,
			   void *arg)
{
	tg_request *r = NULL;
	upload *u = calloc(1, sizeof *u);
	if (u != NULL) {
		u->m = a->m;
		u->fd = -1;
		tg_sb_init(&u->head, PARTS_MAX);
		tg_sb_init(&u->tail, 256);
		if (build(u, params, file)) {
			tg_body body = {body_read, u->head.n + u->file_bytes + u->tail.n, u->content_type, body_bind, body_end, u};
			r = tg_call_body(a, method, OC_STR(""), &body, UPLOAD_MS, answered, arg);
		}
		if (r == NULL)
			upload_free(u);
	}
	cJSON_Delete(params);
	return r;
}
