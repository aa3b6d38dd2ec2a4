/*
 * Files from Telegram: getFile names a path, the path is loaded piece by piece into the media folder.  Writing happens on
 * a pool thread while reading pauses, so that a slow disk holds up nobody.
 *
 * A Bot API server of one's own may name a file on this machine instead; it is copied when it lies in one of the folders
 * that the operator trusts (trustedLocalFileRoots).
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
#define WAITING_MAX ((size_t)32 * 1024 * 1024) /* of all files, with what the pool writes: a host that cannot pause at once */
#define FETCH_TRIES 3
#define FETCH_MS ((uint64_t)5 * 60 * 1000)

struct tg_fetch {
	tg_account *a;
	tg_module *m;
	tg_fetched done; /* NULL: cancelled, waits for the pool */
	void *arg;
	tg_request *request;
	oc_http_call *http;
	oc_watch *retry;
	unsigned tries;
	char *file_id;
	char path[TG_PATH_MAX];  /* where it goes */
	char part[TG_PATH_MAX];  /* until it is whole; "" when there is none */
	char local[TG_PATH_MAX]; /* to be copied from here; "" when it is loaded */
	int fd;
	tg_sb pending; /* read, not handed to the pool */
	tg_sb writing; /* with the pool */
	size_t counted; /* of both, in the module's media_bytes */
	uint64_t total, most;
	oc_status bad; /* what went wrong, with text */
	char text[256];
	bool working, paused;
	bool whole;  /* everything was read */
	bool stored; /* and is in its place */
};

static void ask(void *arg);

void tg_media_tell(tg_module *m)
{
	if (OC_HAS(m->host, gauge))
		m->host->gauge(m->self, OC_STR("media_bytes"), m->media_bytes, WAITING_MAX);
}

static void count(tg_fetch *f)
{
	tg_module *m = f->m;
	size_t now = f->pending.n + f->writing.n;
	m->media_bytes += now - f->counted;
	f->counted = now;
	tg_media_tell(m);
}

static void free_fetch(tg_fetch *f)
{
	tg_account *a = f->a;
	if (f->fd >= 0)
		close(f->fd);
	if (f->part[0] != 0)
		unlink(f->part);
	tg_timer_end(f->m, &f->retry);
	tg_sb_free(&f->pending);
	tg_sb_free(&f->writing);
	count(f);
	free(f->file_id);
	free(f);
	tg_account_unref(a);
}

static void finish(tg_fetch *f)
{
	char text[TG_PATH_MAX];
	tg_fetched done = f->done;
	void *arg = f->arg;
	oc_status status = f->bad;
	tg_account *a = f->a;
	snprintf(text, sizeof text, "%s", status == OC_OK ? f->path : f->text);
	tg_account_ref(a);
	free_fetch(f);
	done(arg, status, text);
	tg_account_unref(a);
}

static void end_http(tg_fetch *f)
{
	if (f->http != NULL)
		f->m->http->cancel(f->http);
	f->http = NULL;
}

void tg_fetch_cancel(tg_fetch *f)
{
	if (f == NULL)
		return;
	f->done = NULL;
	tg_request_cancel(f->request);
	f->request = NULL;
	end_http(f);
	tg_timer_end(f->m, &f->retry);
	if (!f->working)
		free_fetch(f);
}

static void set_bad(tg_fetch *f, oc_status status, const char *text)
{
	f->bad = status;
	snprintf(f->text, sizeof f->text, "%s", text);
}

/* Starts over after a passing failure, else gives up. Nothing is under way. */
static void failed(tg_fetch *f, uint64_t retry_after_ms)
{
	bool passing = f->bad == OC_E_UNAVAILABLE || f->bad == OC_E_TIMEOUT || f->bad == OC_E_IO || f->bad == OC_E_RATE_LIMIT
		       || f->bad == OC_E_RETRY || f->bad == OC_E_PROTOCOL;
	uint64_t ms = retry_after_ms > 0 ? retry_after_ms : tg_backoff(f->tries, 1000, 8000);
	if (f->fd >= 0)
		close(f->fd);
	f->fd = -1;
	if (f->part[0] != 0)
		unlink(f->part);
	f->part[0] = f->local[0] = 0;
	tg_sb_clear(&f->pending);
	tg_sb_clear(&f->writing);
	count(f);
	f->total = 0;
	f->whole = f->paused = false;
	if (passing && ms <= 30000 && ++f->tries < FETCH_TRIES && tg_timer(f->m, &f->retry, ms, ask, f))
		return;
	finish(f);
}

/* ---- On a pool thread: uses fd, part, path, local, writing, whole, and sets bad, text, stored ---- */

static void disk_failed(tg_fetch *f, const char *what)
{
	f->bad = OC_E_DENIED; /* not worth another try */
	snprintf(f->text, sizeof f->text, "%s: %s", what, strerror(errno));
}

static bool write_all(tg_fetch *f, const char *p, size_t n)
{
	while (n > 0) {
		ssize_t w = write(f->fd, p, n);
		if (w < 0 && errno == EINTR)
			continue;
		if (w <= 0) {
			disk_failed(f, "the media folder cannot be written");
			return false;
		}
		p += w;
		n -= (size_t)w;
	}
	return true;
}

static bool copy_local(tg_fetch *f)
{
	struct stat st;
	char *piece = malloc(PIECE);
	int from = open(f->local, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
	ssize_t n = -1;
	if (piece == NULL || from < 0 || fstat(from, &st) != 0 || !S_ISREG(st.st_mode)) {
		disk_failed(f, "the Bot API server's file cannot be read");
	} else if ((uint64_t)st.st_size > f->most) {
		f->bad = OC_E_LIMIT;
		snprintf(f->text, sizeof f->text, "it is larger than channels.telegram.mediaMaxMb allows");
	} else {
		uint64_t total = 0;
		while (f->bad == OC_OK && (n = read(from, piece, PIECE)) > 0 && (total += (uint64_t)n) <= f->most)
			write_all(f, piece, (size_t)n);
		if (n < 0)
			disk_failed(f, "the Bot API server's file cannot be read");
	}
	if (from >= 0)
		close(from);
	free(piece);
	return f->bad == OC_OK;
}

static void work(void *arg)
{
	tg_fetch *f = arg;
	if (f->fd < 0) {
		f->fd = open(f->part, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
		if (f->fd < 0) {
			f->part[0] = 0;
			disk_failed(f, "the media folder cannot be written");
			return;
		}
	}
	if ((f->local[0] != 0 && !copy_local(f)) || !write_all(f, f->writing.p, f->writing.n) || !f->whole)
		return;
	int rc = close(f->fd);
	f->fd = -1;
	if (rc != 0 || rename(f->part, f->path) != 0) {
		disk_failed(f, "the media folder cannot be written");
		return;
	}
	f->part[0] = 0;
	f->stored = true;
}

/* ---- On the loop ---- */

static void step(tg_fetch *f);

static void on_worked(void *arg, oc_status status)
{
	tg_fetch *f = arg;
	f->working = false;
	tg_sb_clear(&f->writing);
	count(f);
	if (status != OC_OK && f->bad == OC_OK)
		set_bad(f, status, "the file could not be written");
	step(f);
}

/* What is to be done next; nothing while the pool works. */
static void step(tg_fetch *f)
{
	if (f->working)
		return;
	if (f->done == NULL) {
		free_fetch(f);
	} else if (f->bad != OC_OK) {
		end_http(f);
		failed(f, 0);
	} else if (f->stored) {
		finish(f);
	} else if (f->pending.n >= PIECE || f->whole) {
		tg_sb swap = f->writing;
		f->writing = f->pending;
		f->pending = swap;
		f->working = true;
		if (f->m->host->work(f->m->self, work, on_worked, f) != OC_OK) {
			f->working = false;
			set_bad(f, OC_E_NOMEM, "out of memory");
			end_http(f);
			failed(f, 0);
		}
	} else if (f->paused && f->http != NULL) {
		f->paused = false;
		f->m->http->pause(f->http, 0);
	}
}

static void on_data(void *arg, oc_str data)
{
	tg_fetch *f = arg;
	bool fits = f->m->media_bytes + data.n <= WAITING_MAX;
	f->total += data.n;
	if (fits)
		tg_sb_add(&f->pending, data.p, data.n);
	count(f);
	if (!fits)
		set_bad(f, OC_E_RETRY, "too much is being loaded at once");
	else if (f->total > f->most)
		set_bad(f, OC_E_LIMIT, "it is larger than channels.telegram.mediaMaxMb allows");
	else if (f->pending.failed)
		set_bad(f, OC_E_NOMEM, "out of memory");
	if (f->bad != OC_OK) {
		end_http(f);
	} else if (f->pending.n >= PIECE && !f->paused) {
		f->paused = true;
		f->m->http->pause(f->http, 1);
	}
	step(f);
}

static void on_loaded(void *arg, oc_status status, int32_t http_status, oc_str body)
{
	tg_fetch *f = arg;
	char text[96];
	(void)body; /* may hold the address, and so the token */
	f->http = NULL;
	if (status == OC_OK && http_status != 200)
		status = http_status == 404 ? OC_E_NOT_FOUND : http_status >= 500 ? OC_E_UNAVAILABLE : OC_E_PROTOCOL;
	if (status == OC_E_LIMIT)
		set_bad(f, status, "it is larger than channels.telegram.mediaMaxMb allows");
	else if (status != OC_OK) {
		snprintf(text, sizeof text, "the download failed (%s %" PRId32 ")", http_status != 0 ? "HTTP" : "no answer,",
			 http_status != 0 ? http_status : status);
		set_bad(f, status, text);
	} else {
		f->whole = true;
	}
	step(f);
}

/* Whether a path of the Bot API server lies in a folder that the operator trusts. *ret is the real one. */
static bool is_trusted(const tg_account *a, const char *path, char *ret, size_t size)
{
	char *real = realpath(path, NULL);
	const cJSON *root;
	bool ok = false;
	cJSON_ArrayForEach(root, a->config.trusted_roots)
	{
		char *folder = real != NULL && cJSON_IsString(root) ? realpath(root->valuestring, NULL) : NULL;
		size_t n = folder != NULL ? strlen(folder) : 0;
		ok = ok || (n > 1 && strncmp(real, folder, n) == 0 && real[n] == '/' && strlen(real) < size);
		free(folder);
	}
	if (ok)
		snprintf(ret, size, "%s", real);
	free(real);
	return ok;
}

/* The path in the address: what Telegram says, with everything unusual escaped. */
static void add_path(tg_sb *url, const char *path)
{
	for (; *path != 0; path++) {
		unsigned char c = (unsigned char)*path;
		if ((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || strchr("-._~/", c) != NULL)
			tg_sb_char(url, (char)c);
		else
			tg_sb_printf(url, "%%%02X", c);
	}
}

static void load(tg_fetch *f, const char *remote)
{
	tg_account *a = f->a;
	tg_sb url;
	tg_sb_init(&url, TG_PATH_MAX);
	tg_sb_printf(&url, "%s/file/bot%s/", a->config.api_root, a->token);
	add_path(&url, remote);
	oc_http_client_request request = {
		.struct_size = sizeof request,
		.method = OC_STR("GET"),
		.url = tg_sb_view(&url),
		.headers = OC_STR(""),
		.body = OC_STR(""),
		.timeout_ms = FETCH_MS,
		.max_bytes = f->most,
		.on_data = on_data,
		.on_done = on_loaded,
		.arg = f,
		.proxy = oc_str_of(a->config.proxy),
	};
	oc_status status = url.failed ? OC_E_LIMIT : f->m->http->start(f->m->self, &request, &f->http);
	tg_wipe(url.p, url.n);
	tg_sb_free(&url);
	if (status != OC_OK) {
		f->http = NULL;
		set_bad(f, status, "the download could not be started");
		step(f);
	}
}

static void on_file(void *arg, const tg_answer *answer)
{
	tg_fetch *f = arg;
	const char *remote = tg_json_str(answer->result, "file_path", "");
	f->request = NULL;
	if (answer->status != OC_OK) {
		set_bad(f, answer->status, answer->description);
		failed(f, answer->retry_after_s > 0 ? (uint64_t)answer->retry_after_s * 1000 : 0);
		return;
	}
	snprintf(f->part, sizeof f->part, "%.*s.part", (int)(sizeof f->part - 6), f->path);
	if (*remote == '/') {
		f->whole = is_trusted(f->a, remote, f->local, sizeof f->local);
		if (!f->whole)
			set_bad(f, OC_E_DENIED,
				"the Bot API server keeps it in a folder that channels.telegram.trustedLocalFileRoots does not name");
		step(f);
	} else if (*remote == 0 || strstr(remote, "..") != NULL) {
		set_bad(f, OC_E_NOT_FOUND, "Telegram names no place to load it from");
		step(f);
	} else {
		load(f, remote);
	}
}

static void ask(void *arg)
{
	tg_fetch *f = arg;
	cJSON *params = cJSON_CreateObject();
	tg_timer_end(f->m, &f->retry);
	f->bad = OC_OK;
	if (params != NULL && cJSON_AddStringToObject(params, "file_id", f->file_id) != NULL)
		f->request = tg_call(f->a, "getFile", params, f->a->config.call_ms, on_file, f);
	else
		cJSON_Delete(params);
	if (f->request == NULL) {
		set_bad(f, OC_E_NOMEM, "out of memory");
		finish(f);
	}
}

tg_fetch *tg_fetch_start(tg_account *a, const tg_file *file, const char *prefix, tg_fetched done, void *arg)
{
	char random[20];
	tg_fetch *f = calloc(1, sizeof *f);
	oc_str dir = tg_media_dir(a->m);
	if (f == NULL)
		return NULL;
	tg_account_ref(a);
	f->a = a;
	f->m = a->m;
	f->done = done;
	f->arg = arg;
	f->fd = -1;
	f->most = a->config.file_max_in;
	f->file_id = tg_memdup(file->file_id, strlen(file->file_id));
	tg_sb_init(&f->pending, WAITING_MAX);
	tg_sb_init(&f->writing, WAITING_MAX);
	int n = snprintf(f->path, sizeof f->path, "%.*s/%s-%s-%s", (int)dir.n, dir.p, prefix,
			 tg_random_hex(random, 4) ? random : "0", file->name);
	/* The first step runs from the loop, so that no callback comes before this returns. */
	if (f->file_id == NULL || dir.n == 0 || n < 0 || (size_t)n + 8 > sizeof f->path || !tg_timer(f->m, &f->retry, 0, ask, f)) {
		free_fetch(f);
		return NULL;
	}
	return f;
}
