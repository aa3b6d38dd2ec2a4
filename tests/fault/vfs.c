/* See vfs.h. */
#include "tests/fault/vfs.h"

#include <fcntl.h>
#include <pthread.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define PIECE 512
#define FILES_MAX 64

/* What was done to a file since its last sync. */
typedef struct change {
	struct change *next;
	int64_t at, n; /* n < 0: cut to `at` bytes */
	unsigned char bytes[];
} change;

typedef struct disk_file {
	char path[512];
	unsigned char *image; /* what is on the disk for certain */
	int64_t n, room;
	bool exists, maybe_gone; /* the name was synced; it was deleted without a sync of the folder */
	change *first, **tail;
} disk_file;

typedef struct handle {
	sqlite3_file base;
	disk_file *disk; /* NULL: a temporary file, which no cut leaves */
	sqlite3_file *real;
} handle;

static sqlite3_vfs *real_vfs;
static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static disk_file *files[FILES_MAX];
static int n_files;
static struct {
	fv_op op;
	int rc;
	int64_t after, times, hits;
} plan;
static int64_t ops, cut_at;
static bool cut;

static void die(const char *what)
{
	fprintf(stderr, "fault vfs: %s\n", what);
	abort();
}

static void *need(void *p)
{
	if (p == NULL)
		die("out of memory");
	return p;
}

/* ---- What is on the disk ---- */

static void drop_changes(disk_file *d)
{
	for (change *c = d->first, *next; c != NULL; c = next) {
		next = c->next;
		free(c);
	}
	d->first = NULL;
	d->tail = &d->first;
}

static void grow(disk_file *d, int64_t n)
{
	if (n <= d->n)
		return;
	if (n > d->room) {
		d->room = n * 2;
		d->image = need(realloc(d->image, (size_t)d->room));
	}
	memset(d->image + d->n, 0, (size_t)(n - d->n));
	d->n = n;
}

static void apply(disk_file *d, const change *c, int64_t from, int64_t to)
{
	grow(d, c->at + to);
	memcpy(d->image + c->at + from, c->bytes + from, (size_t)(to - from));
}

static void make_durable(disk_file *d)
{
	for (const change *c = d->first; c != NULL; c = c->next) {
		if (c->n >= 0)
			apply(d, c, 0, c->n);
		else if (c->at < d->n)
			d->n = c->at;
	}
	d->exists = true;
	d->maybe_gone = false;
	drop_changes(d);
}

/* SQLite syncs the folder too when a file is synced for the first time: what was deleted from it stays deleted. */
static void make_name_durable(const disk_file *d)
{
	if (d->exists && !d->maybe_gone)
		return;
	for (int i = 0; i < n_files; i++) {
		if (files[i] == d || !files[i]->maybe_gone)
			continue;
		files[i]->maybe_gone = files[i]->exists = false;
		files[i]->n = 0;
	}
}

static disk_file *disk_of(const char *path)
{
	for (int i = 0; i < n_files; i++)
		if (strcmp(files[i]->path, path) == 0)
			return files[i];
	if (n_files == FILES_MAX)
		die("too many files");
	disk_file *d = need(calloc(1, sizeof *d));
	snprintf(d->path, sizeof d->path, "%s", path);
	d->tail = &d->first;
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	struct stat st;
	if (fd >= 0 && fstat(fd, &st) == 0) { /* it was there before us */
		grow(d, st.st_size);
		if (st.st_size > 0 && pread(fd, d->image, (size_t)st.st_size, 0) != st.st_size)
			die("cannot read a file");
		d->exists = true;
	}
	if (fd >= 0)
		close(fd);
	files[n_files++] = d;
	return d;
}

static void note(disk_file *d, int64_t at, int64_t n, const void *bytes)
{
	change *c = need(malloc(sizeof *c + (size_t)(n > 0 ? n : 0)));
	c->next = NULL;
	c->at = at;
	c->n = n;
	if (n > 0)
		memcpy(c->bytes, bytes, (size_t)n);
	*d->tail = c;
	d->tail = &c->next;
}

/* ---- The plan ---- */

/* Called with the mutex held: what the operation shall end with. */
static int verdict(fv_op op)
{
	if (op != FV_READ && op != FV_LOCK) {
		ops++;
		if (cut_at > 0 && ops >= cut_at)
			cut = true;
	}
	if (cut)
		return op == FV_READ ? SQLITE_IOERR_READ : op == FV_SYNC ? SQLITE_IOERR_FSYNC : SQLITE_IOERR_WRITE;
	if (plan.op == 0 || (plan.op != op && !(plan.op == FV_ANY && op != FV_LOCK)) || plan.times == 0)
		return SQLITE_OK;
	if (plan.after > 1) {
		plan.after--;
		return SQLITE_OK;
	}
	if (plan.times > 0)
		plan.times--;
	plan.hits++;
	if (plan.rc != SQLITE_IOERR)
		return plan.rc;
	return op == FV_READ ? SQLITE_IOERR_READ : op == FV_SYNC ? SQLITE_IOERR_FSYNC : SQLITE_IOERR_WRITE;
}

static int ask(fv_op op)
{
	pthread_mutex_lock(&mutex);
	int rc = verdict(op);
	pthread_mutex_unlock(&mutex);
	return rc;
}

/* ---- sqlite3_io_methods ---- */

static sqlite3_file *real_of(sqlite3_file *f)
{
	return ((handle *)f)->real;
}

static int on_close(sqlite3_file *f)
{
	handle *h = (handle *)f;
	int rc = h->real->pMethods->xClose(h->real);
	sqlite3_free(h->real);
	return rc;
}

static int on_read(sqlite3_file *f, void *to, int n, sqlite3_int64 at)
{
	int rc = ask(FV_READ);
	return rc == SQLITE_OK ? real_of(f)->pMethods->xRead(real_of(f), to, n, at) : rc;
}

static int on_write(sqlite3_file *f, const void *from, int n, sqlite3_int64 at)
{
	handle *h = (handle *)f;
	pthread_mutex_lock(&mutex);
	int rc = verdict(FV_WRITE);
	if (rc == FV_SHORT)
		n /= 2;
	if (rc == SQLITE_OK || rc == FV_SHORT) {
		int real = h->real->pMethods->xWrite(h->real, from, n, at);
		if (real == SQLITE_OK && h->disk != NULL)
			note(h->disk, at, n, from);
		rc = rc == FV_SHORT ? SQLITE_FULL : real;
	}
	pthread_mutex_unlock(&mutex);
	return rc;
}

static int on_truncate(sqlite3_file *f, sqlite3_int64 n)
{
	handle *h = (handle *)f;
	pthread_mutex_lock(&mutex);
	int rc = verdict(FV_WRITE);
	if (rc == SQLITE_OK) {
		rc = h->real->pMethods->xTruncate(h->real, n);
		if (rc == SQLITE_OK && h->disk != NULL)
			note(h->disk, n, -1, NULL);
	} else if (rc == FV_SHORT) {
		rc = SQLITE_IOERR_TRUNCATE;
	}
	pthread_mutex_unlock(&mutex);
	return rc;
}

static int on_sync(sqlite3_file *f, int flags)
{
	handle *h = (handle *)f;
	(void)flags; /* nothing here outlives the process anyway: the real sync would only cost time */
	pthread_mutex_lock(&mutex);
	int rc = verdict(FV_SYNC);
	if (rc == SQLITE_OK && h->disk != NULL) {
		make_name_durable(h->disk);
		make_durable(h->disk);
	} else if (rc != SQLITE_OK && !cut && h->disk != NULL) {
		drop_changes(h->disk); /* what could not be written is gone, and the next sync knows nothing of it */
	}
	pthread_mutex_unlock(&mutex);
	return rc == FV_SHORT ? SQLITE_IOERR_FSYNC : rc;
}

static int on_size(sqlite3_file *f, sqlite3_int64 *ret)
{
	return real_of(f)->pMethods->xFileSize(real_of(f), ret);
}

static int on_lock(sqlite3_file *f, int how)
{
	int rc = ask(FV_LOCK);
	return rc == SQLITE_OK ? real_of(f)->pMethods->xLock(real_of(f), how) : rc;
}

static int on_unlock(sqlite3_file *f, int how)
{
	return real_of(f)->pMethods->xUnlock(real_of(f), how);
}

static int on_check_lock(sqlite3_file *f, int *ret)
{
	return real_of(f)->pMethods->xCheckReservedLock(real_of(f), ret);
}

static int on_control(sqlite3_file *f, int op, void *arg)
{
	return real_of(f)->pMethods->xFileControl(real_of(f), op, arg);
}

static int on_sector(sqlite3_file *f)
{
	return real_of(f)->pMethods->xSectorSize(real_of(f));
}

static int on_device(sqlite3_file *f)
{
	return real_of(f)->pMethods->xDeviceCharacteristics(real_of(f));
}

static int on_shm_map(sqlite3_file *f, int page, int size, int extend, void volatile **ret)
{
	return real_of(f)->pMethods->xShmMap(real_of(f), page, size, extend, ret);
}

static int on_shm_lock(sqlite3_file *f, int offset, int n, int flags)
{
	int rc = (flags & SQLITE_SHM_EXCLUSIVE) != 0 && (flags & SQLITE_SHM_LOCK) != 0 && offset == 0 ? ask(FV_LOCK) : SQLITE_OK;
	return rc == SQLITE_OK ? real_of(f)->pMethods->xShmLock(real_of(f), offset, n, flags) : rc;
}

static void on_shm_barrier(sqlite3_file *f)
{
	real_of(f)->pMethods->xShmBarrier(real_of(f));
}

static int on_shm_unmap(sqlite3_file *f, int remove)
{
	return real_of(f)->pMethods->xShmUnmap(real_of(f), remove);
}

static const sqlite3_io_methods methods = {
	.iVersion = 2,
	.xClose = on_close,
	.xRead = on_read,
	.xWrite = on_write,
	.xTruncate = on_truncate,
	.xSync = on_sync,
	.xFileSize = on_size,
	.xLock = on_lock,
	.xUnlock = on_unlock,
	.xCheckReservedLock = on_check_lock,
	.xFileControl = on_control,
	.xSectorSize = on_sector,
	.xDeviceCharacteristics = on_device,
	.xShmMap = on_shm_map,
	.xShmLock = on_shm_lock,
	.xShmBarrier = on_shm_barrier,
	.xShmUnmap = on_shm_unmap,
};

/* ---- sqlite3_vfs ---- */

static int on_open(sqlite3_vfs *vfs, const char *name, sqlite3_file *f, int flags, int *ret_flags)
{
	handle *h = (handle *)f;
	(void)vfs;
	*h = (handle){0};
	bool kept = name != NULL && (flags & (SQLITE_OPEN_MAIN_DB | SQLITE_OPEN_WAL | SQLITE_OPEN_MAIN_JOURNAL)) != 0;
	pthread_mutex_lock(&mutex);
	bool dead = cut && (flags & SQLITE_OPEN_CREATE) != 0;
	if (kept && !dead)
		h->disk = disk_of(name);
	pthread_mutex_unlock(&mutex);
	if (dead)
		return SQLITE_IOERR_WRITE;
	h->real = sqlite3_malloc(real_vfs->szOsFile);
	if (h->real == NULL)
		return SQLITE_NOMEM;
	memset(h->real, 0, (size_t)real_vfs->szOsFile);
	int rc = real_vfs->xOpen(real_vfs, name, h->real, flags, ret_flags);
	if (rc != SQLITE_OK) {
		sqlite3_free(h->real);
		return rc;
	}
	h->base.pMethods = &methods;
	return SQLITE_OK;
}

static int on_delete(sqlite3_vfs *vfs, const char *name, int sync)
{
	(void)vfs;
	pthread_mutex_lock(&mutex);
	int rc = verdict(FV_WRITE);
	if (rc == SQLITE_OK) {
		disk_file *d = disk_of(name);
		rc = real_vfs->xDelete(real_vfs, name, 0);
		if (rc == SQLITE_OK) {
			drop_changes(d);
			d->maybe_gone = d->exists && !sync;
			d->exists = d->maybe_gone;
			if (d->maybe_gone)
				note(d, 0, -1, NULL); /* what is written under this name from now is another file */
			else
				d->n = 0;
		}
	} else {
		rc = SQLITE_IOERR_DELETE;
	}
	pthread_mutex_unlock(&mutex);
	return rc;
}

static int on_access(sqlite3_vfs *vfs, const char *name, int flags, int *ret)
{
	(void)vfs;
	return real_vfs->xAccess(real_vfs, name, flags, ret);
}

static int on_full_path(sqlite3_vfs *vfs, const char *name, int n, char *out)
{
	(void)vfs;
	return real_vfs->xFullPathname(real_vfs, name, n, out);
}

static int on_random(sqlite3_vfs *vfs, int n, char *out)
{
	(void)vfs;
	return real_vfs->xRandomness(real_vfs, n, out);
}

static int on_sleep(sqlite3_vfs *vfs, int us)
{
	(void)vfs;
	return real_vfs->xSleep(real_vfs, us);
}

static int on_time(sqlite3_vfs *vfs, double *ret)
{
	(void)vfs;
	return real_vfs->xCurrentTime(real_vfs, ret);
}

static int on_error(sqlite3_vfs *vfs, int n, char *out)
{
	(void)vfs;
	return real_vfs->xGetLastError(real_vfs, n, out);
}

void fv_install(void)
{
	static sqlite3_vfs vfs = {
		.iVersion = 1,
		.szOsFile = sizeof(handle),
		.zName = "fault",
		.xOpen = on_open,
		.xDelete = on_delete,
		.xAccess = on_access,
		.xFullPathname = on_full_path,
		.xRandomness = on_random,
		.xSleep = on_sleep,
		.xCurrentTime = on_time,
		.xGetLastError = on_error,
	};
	if (real_vfs != NULL)
		return;
	sqlite3_initialize();
	real_vfs = sqlite3_vfs_find(NULL);
	vfs.mxPathname = real_vfs->mxPathname;
	if (sqlite3_vfs_register(&vfs, 1) != SQLITE_OK)
		die("cannot be installed");
}

/* ---- For the tests ---- */

void fv_reset(void)
{
	pthread_mutex_lock(&mutex);
	for (int i = 0; i < n_files; i++) {
		drop_changes(files[i]);
		free(files[i]->image);
		free(files[i]);
	}
	n_files = 0;
	memset(&plan, 0, sizeof plan);
	ops = cut_at = 0;
	cut = false;
	pthread_mutex_unlock(&mutex);
}

void fv_fail(fv_op op, int rc, int64_t after, int64_t times)
{
	pthread_mutex_lock(&mutex);
	plan.op = op;
	plan.rc = rc;
	plan.after = after;
	plan.times = times;
	plan.hits = 0;
	pthread_mutex_unlock(&mutex);
}

void fv_heal(void)
{
	pthread_mutex_lock(&mutex);
	plan.op = 0;
	pthread_mutex_unlock(&mutex);
}

int64_t fv_hits(void)
{
	pthread_mutex_lock(&mutex);
	int64_t n = plan.hits;
	pthread_mutex_unlock(&mutex);
	return n;
}

int64_t fv_count(void)
{
	pthread_mutex_lock(&mutex);
	int64_t n = ops;
	pthread_mutex_unlock(&mutex);
	return n;
}

void fv_cut_at(int64_t n)
{
	pthread_mutex_lock(&mutex);
	ops = 0;
	cut_at = n;
	pthread_mutex_unlock(&mutex);
}

bool fv_is_cut(void)
{
	pthread_mutex_lock(&mutex);
	bool is = cut;
	pthread_mutex_unlock(&mutex);
	return is;
}

static uint32_t next_random(uint32_t *s)
{
	*s = *s * 1664525u + 1013904223u;
	return *s >> 8;
}

/* Which of the pieces that were not synced the disk has all the same. */
static void settle(disk_file *d, uint32_t *seed)
{
	static const uint32_t odds[] = {0, 10, 50, 90, 100};
	uint32_t odd = odds[next_random(seed) % 5];
	bool written = false;
	if (d->maybe_gone) {
		if (next_random(seed) % 2 == 0) { /* it is still there, as it was */
			drop_changes(d);
			return;
		}
		d->exists = false;
		d->n = 0;
	}
	for (const change *c = d->first; c != NULL; c = c->next) {
		if (c->n < 0) {
			if (next_random(seed) % 100 < odd && c->at < d->n)
				d->n = c->at;
			continue;
		}
		written = true;
		for (int64_t from = 0; from < c->n;) {
			int64_t to = from + PIECE - (c->at + from) % PIECE;
			if (to > c->n)
				to = c->n;
			if (next_random(seed) % 100 < odd)
				apply(d, c, from, to);
			from = to;
		}
	}
	/* A file without a synced name may be there or not. */
	if (!d->exists)
		d->exists = next_random(seed) % 2 == 0 && written;
	drop_changes(d);
}

void fv_power_cut(const char *to, uint32_t seed)
{
	pthread_mutex_lock(&mutex);
	if (mkdir(to, 0700) != 0)
		die("cannot make the folder");
	for (int i = 0; i < n_files; i++) {
		disk_file *d = files[i];
		const char *base = strrchr(d->path, '/');
		char path[700];
		settle(d, &seed);
		if (!d->exists)
			continue;
		snprintf(path, sizeof path, "%s/%s", to, base != NULL ? base + 1 : d->path);
		int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
		if (fd < 0 || (d->n > 0 && write(fd, d->image, (size_t)d->n) != d->n))
			die("cannot write what is left");
		close(fd);
	}
	pthread_mutex_unlock(&mutex);
}
