#include "core/store/store.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/base/clock.h"
#include "core/base/mem.h"
#include "core/base/path.h"
#include "core/store/internal.h"

/*
 * Who has the store open is told by a lock on a file beside it: SQLite would let two gateways write in turns, and both
 * would run the same turns.  The lock goes with the process, so a crash leaves nothing to clean up.
 */
oc_status oc_store_lock(const char *store, bool alone, int *ret_fd, oc_err *err)
{
	oc_auto_free char *path = oc_asprintf("%s.lock", store);
	if (path == NULL)
		return oc_fail(err, OC_E_NOMEM, NULL, "cannot open the store");
	int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (fd < 0)
		return oc_fail_errno(err, errno, "cannot open %s", path);
	struct flock l = {.l_type = alone ? F_WRLCK : F_RDLCK, .l_whence = SEEK_SET};
	char pid[32] = "";
	oc_status status = OC_OK;
	if (fcntl(fd, F_OFD_SETLK, &l) != 0) {
		int why = errno;
		ssize_t n = pread(fd, pid, sizeof pid - 1, 0);
		pid[n > 0 ? n : 0] = 0;
		status = why != EACCES && why != EAGAIN
				 ? oc_fail_errno(err, why, "cannot lock %s", path)
				 : oc_fail(err, OC_E_BUSY,
					   "stop the other openclaw, or set OPENCLAW_STATE_DIR to another folder",
					   "the store %s is in use by another process%s%s", store, pid[0] != 0 ? ", pid " : "",
					   pid);
	} else {
		/* For that message only: a disk that is full must not keep anybody from starting. */
		int n = snprintf(pid, sizeof pid, "%ld", (long)getpid());
		if (ftruncate(fd, 0) != 0 || pwrite(fd, pid, (size_t)n, 0) != n)
			errno = 0;
	}
	if (status == OC_OK)
		*ret_fd = fd;
	else
		close(fd);
	return status;
}

static oc_status lock(oc_store *store, oc_err *err)
{
	if (store->mode == OC_STORE_READER || store->mode == OC_STORE_BESIDE)
		return OC_OK;
	return oc_store_lock(store->path, store->mode == OC_STORE_OWNER, &store->lock_fd, err);
}

/* Made here, before SQLite does: its own mode would follow the umask, and -wal and -shm take theirs from this file. */
static oc_status create_file(const char *path, oc_err *err)
{
	oc_auto_free char *folder = oc_strdup(path);
	char *slash = folder != NULL ? strrchr(folder, '/') : NULL;
	if (folder == NULL)
		return oc_fail(err, OC_E_NOMEM, NULL, "cannot open the store");
	if (slash != NULL && slash != folder) {
		*slash = 0;
		oc_status status = oc_path_mkdirs(folder, 0700, err);
		if (status != OC_OK)
			return status;
	}
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	if (fd < 0 && errno == ENOENT) {
		fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
		/* Its name must be on the disk before anything in it is promised. */
		int dir = fd >= 0 && slash != NULL ? open(slash != folder ? folder : "/", O_RDONLY | O_DIRECTORY | O_CLOEXEC) : -1;
		if (dir >= 0 && fsync(dir) != 0)
			errno = 0; /* not every file system can */
		if (dir >= 0)
			close(dir);
	}
	if (fd < 0)
		return oc_fail_errno(err, errno, "cannot create the store %s", path);
	close(fd);
	/* SQLite would open it for reading only and fail at the first message. */
	return access(path, W_OK) == 0 ? OC_OK : oc_fail_errno(err, errno, "cannot write to the store %s", path);
}

oc_status oc_store_open_reader(oc_store *store, oc_err *err)
{
	if (store->reader.db != NULL)
		return OC_OK;
	int flags = store->mode == OC_STORE_READER ? SQLITE_OPEN_READONLY : SQLITE_OPEN_READWRITE;
	return oc_sql_open(store->path, flags, &store->reader.db, err);
}

static oc_status open_store(oc_store *store, oc_err *err)
{
	bool guest = store->mode == OC_STORE_READER || store->mode == OC_STORE_BESIDE;
	if (guest && access(store->path, F_OK) != 0 && errno == ENOENT)
		return oc_fail(err, OC_E_NOT_FOUND, "start the gateway or send a first message",
			       "there is no store yet at %s", store->path);
	oc_status status = guest ? OC_OK : create_file(store->path, err);
	if (status == OC_OK)
		status = lock(store, err);
	if (status == OC_OK && store->mode == OC_STORE_OWNER)
		oc_wal_look(store->path);
	if (status != OC_OK || oc_schema_is_current(store->path))
		return status;
	status = oc_store_open_reader(store, err);
	if (status != OC_OK)
		return status;
	int64_t version = 0;
	if (!guest)
		return oc_schema_migrate(store->reader.db, store->path, err);
	status = oc_schema_version_check(store->reader.db, store->path, &version, err);
	if (status == OC_OK && version < OC_STORE_SCHEMA)
		return oc_fail(err, OC_E_VERSION, "start the gateway once: it brings the store up to date",
			       "the store %s was written by an older openclaw", store->path);
	return status;
}

oc_status oc_store_open(const char *path, oc_loop *loop, int mode, oc_store **ret, oc_err *err)
{
	if (path == NULL || (loop == NULL && mode == OC_STORE_OWNER) || mode < OC_STORE_OWNER || mode > OC_STORE_BESIDE)
		return oc_fail(err, OC_E_INVALID, NULL, "cannot open a store like that");
	oc_store *store = oc_alloc(sizeof *store);
	if (store == NULL)
		return oc_fail(err, OC_E_NOMEM, NULL, "cannot open the store");
	store->lock_fd = -1;
	store->mode = mode;
	store->loop = loop;
	store->path = oc_strdup(path);
	store->tell = loop != NULL ? oc_wake_new(loop, oc_writer_deliver, store) : NULL;
	oc_writer_init(store);
	oc_status status = OC_E_NOMEM;
	if (store->path != NULL && (store->tell != NULL || loop == NULL))
		status = open_store(store, err);
	else
		(void)oc_fail(err, OC_E_NOMEM, NULL, "cannot open the store");
	if (status != OC_OK) {
		oc_store_close(store);
		return status;
	}
	store->chores.behind = true; /* an index may have been left behind */
	store->chores.indexed_ms = store->chores.quiet_since_ms = oc_now_ms();
	*ret = store;
	return OC_OK;
}

void oc_store_close(oc_store *store)
{
	if (store == NULL)
		return;
	oc_writer_stop(store);
	oc_stmts_clear(&store->reader);
	if (store->lock_fd >= 0)
		close(store->lock_fd);
	oc_free(store->path);
	store->closed = true;
	if (!store->delivering)
		oc_free(store);
}

const char *oc_store_path(const oc_store *store)
{
	return store->path;
}

void oc_store_get_stats(oc_store *store, oc_store_stats *ret)
{
	pthread_mutex_lock(&store->mutex);
	*ret = store->stats;
	ret->queued = store->queue.n + store->in_work;
	ret->queue_max = oc_store_queue_max(true);
	if (ret->stalled_since_ms == 0)
		ret->stalled_since_ms = store->log_full_since_ms;
	pthread_mutex_unlock(&store->mutex);
	struct stat st;
	ret->file_bytes = stat(store->path, &st) == 0 ? (int64_t)st.st_size : 0;
	char wal[4096];
	int n = snprintf(wal, sizeof wal, "%s-wal", store->path);
	ret->wal_bytes = n > 0 && (size_t)n < sizeof wal && stat(wal, &st) == 0 ? (int64_t)st.st_size : 0;
}

oc_status oc_store_health(oc_store *store, oc_err *err)
{
	pthread_mutex_lock(&store->mutex);
	oc_status status = store->stalled ? store->stall.code : OC_OK;
	if (store->stalled && err != NULL)
		*err = store->stall;
	pthread_mutex_unlock(&store->mutex);
	return status;
}

oc_status oc_store_damage(oc_store *store, oc_err *err)
{
	pthread_mutex_lock(&store->mutex);
	oc_status status = store->damage.code;
	if (status != OC_OK)
		*err = store->damage;
	pthread_mutex_unlock(&store->mutex);
	return status;
}

oc_status oc_store_admits(oc_store *store, oc_err *err)
{
	oc_status status = oc_store_health(store, err);
	pthread_mutex_lock(&store->mutex);
	if (status == OC_OK)
		status = oc_log_full(store, err);
	pthread_mutex_unlock(&store->mutex);
	return status;
}

uint64_t oc_store_latency_us(const oc_store_stats *stats, double share)
{
	uint64_t seen = 0;
	for (size_t i = 0; i < OC_STORE_LATENCY_BUCKETS; i++) {
		seen += stats->commit_latency[i];
		if (seen > 0 && (double)seen >= share * (double)stats->commits)
			return 64ull << i;
	}
	return 0;
}
