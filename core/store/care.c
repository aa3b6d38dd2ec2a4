/* Backup, restore, compacting. */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "core/base/clock.h"
#include "core/base/mem.h"
#include "core/base/path.h"
#include "core/data/json.h"
#include "core/store/internal.h"

/* ---- Files ---- */

static oc_status sync_folder_of(const char *path, oc_err *err)
{
	oc_auto_free char *folder = oc_strdup(path);
	if (folder == NULL)
		return oc_fail(err, OC_E_NOMEM, NULL, "out of memory");
	char *slash = strrchr(folder, '/');
	if (slash != NULL)
		slash[slash == folder] = 0;
	int fd = open(slash != NULL ? folder : ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0)
		return oc_fail_errno(err, errno, "cannot open the folder of %s", path);
	int rc = fsync(fd), why = errno;
	close(fd);
	/* Not every file system can sync a folder. */
	return rc != 0 && why != EINVAL && why != ENOTSUP ? oc_fail_errno(err, why, "cannot sync the folder of %s", path) : OC_OK;
}

static oc_status sync_file(const char *path, int64_t *ret_bytes, oc_err *err)
{
	struct stat st;
	int fd = open(path, O_RDWR | O_CLOEXEC);
	if (fd < 0)
		return oc_fail_errno(err, errno, "cannot open %s", path);
	oc_status status = OC_OK;
	if (fsync(fd) != 0 || fstat(fd, &st) != 0)
		status = oc_fail_errno(err, errno, "cannot sync %s", path);
	else if (ret_bytes != NULL)
		*ret_bytes = (int64_t)st.st_size;
	close(fd);
	return status;
}

static oc_status create_private(const char *path, int *ret_fd, oc_err *err)
{
	int fd = open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (fd < 0)
		return errno == EEXIST ? oc_fail(err, OC_E_EXISTS, "choose another name", "%s is there already", path)
				       : oc_fail_errno(err, errno, "cannot make %s", path);
	if (ret_fd != NULL)
		*ret_fd = fd;
	else
		close(fd);
	return OC_OK;
}

static void remove_with_log(const char *path)
{
	static const char *const tails[] = {"", "-wal", "-shm", "-journal"};
	for (size_t i = 0; i < sizeof tails / sizeof *tails; i++) {
		oc_auto_free char *name = oc_asprintf("%s%s", path, tails[i]);
		if (name != NULL)
			(void)unlink(name);
	}
	oc_auto_free char *lock = oc_asprintf("%s.lock", path);
	if (lock != NULL)
		(void)unlink(lock);
}

/* ---- Backup ---- */

/* A copy that nobody has seen yet must be whole. */
static oc_status check_copy(const char *path, const char *what, oc_err *err)
{
	oc_auto_json cJSON *report = NULL;
	oc_status status = oc_store_check(path, false, &report, err);
	if (status != OC_OK)
		return oc_err_prefix(err, "%s", what);
	if (oc_json_bool(report, "ok", false))
		return OC_OK;
	const cJSON *first = cJSON_GetArrayItem(oc_json_get(report, "problems"), 0);
	return oc_fail(err, OC_E_CORRUPT, "see `openclaw store check`; an older backup may be whole", "%s is damaged: %s", what,
		       cJSON_IsString(first) ? first->valuestring : "unknown");
}

static oc_status copy_into(const char *path, const char *part, oc_err *err)
{
	sqlite3 *db = NULL;
	sqlite3_stmt *s = NULL;
	oc_status status = oc_sql_open(path, SQLITE_OPEN_READONLY, &db, err);
	if (status != OC_OK)
		return status;
	int rc = sqlite3_prepare_v2(db, "VACUUM INTO ?1", -1, &s, NULL);
	if (rc == SQLITE_OK) {
		oc_sql_bind(s, 1, part);
		rc = sqlite3_step(s);
	}
	if (rc != SQLITE_DONE)
		status = oc_sql_fail(err, db, rc, "cannot copy the store");
	sqlite3_finalize(s);
	sqlite3_close(db);
	return status;
}

oc_status oc_store_backup(const char *path, const char *to, int64_t *ret_bytes, oc_err *err)
{
	struct stat st;
	int64_t bytes = 0;
	if (stat(path, &st) != 0)
		return oc_fail(err, OC_E_NOT_FOUND, "start the gateway or send a first message", "there is no store yet at %s", path);
	oc_auto_free char *part = oc_asprintf("%s.part", to);
	if (part == NULL)
		return oc_fail(err, OC_E_NOMEM, NULL, "cannot make the backup");
	/* The name is taken first, so that two backups cannot meet; the part of one that was cut short is removed. */
	oc_status status = create_private(to, NULL, err);
	if (status != OC_OK)
		return status;
	remove_with_log(part);
	status = create_private(part, NULL, err);
	if (status == OC_OK)
		status = copy_into(path, part, err);
	if (status == OC_OK)
		status = check_copy(part, "the copy", err);
	if (status == OC_OK)
		status = sync_file(part, &bytes, err);
	if (status == OC_OK && rename(part, to) != 0)
		status = oc_fail_errno(err, errno, "cannot put the backup at %s", to);
	if (status == OC_OK)
		status = sync_folder_of(to, err);
	remove_with_log(part);
	if (status != OC_OK)
		(void)unlink(to);
	else if (ret_bytes != NULL)
		*ret_bytes = bytes;
	return status;
}

/* ---- Restore ---- */

static oc_status copy_file(const char *from, const char *to, oc_err *err)
{
	int in = open(from, O_RDONLY | O_CLOEXEC), out = -1;
	if (in < 0)
		return oc_fail_errno(err, errno, "cannot open %s", from);
	oc_status status = create_private(to, &out, err);
	char *block = status == OC_OK ? oc_alloc((size_t)256 << 10) : NULL;
	if (status == OC_OK && block == NULL)
		status = oc_fail(err, OC_E_NOMEM, NULL, "cannot copy %s", from);
	while (status == OC_OK) {
		ssize_t n = read(in, block, (size_t)256 << 10);
		if (n < 0)
			status = oc_fail_errno(err, errno, "cannot read %s", from);
		for (ssize_t done = 0, w; status == OC_OK && done < n; done += w)
			if ((w = write(out, block + done, (size_t)(n - done))) < 0)
				status = oc_fail_errno(err, errno, "cannot write %s", to);
		if (n <= 0)
			break;
	}
	oc_free(block);
	close(in);
	if (out >= 0)
		close(out);
	return status;
}

/* The log must not meet another file: it goes into the old one, or, when that is damaged, along with it. */
static oc_status put_log_away(const char *path, const char *kept, oc_err *err)
{
	struct stat st;
	sqlite3 *db = NULL;
	oc_auto_free char *wal = oc_asprintf("%s-wal", path), *shm = oc_asprintf("%s-shm", path);
	oc_auto_free char *kept_wal = oc_asprintf("%s-wal", kept);
	if (wal == NULL || shm == NULL || kept_wal == NULL)
		return oc_fail(err, OC_E_NOMEM, NULL, "cannot restore");
	if (oc_sql_open(path, SQLITE_OPEN_READWRITE, &db, NULL) == OC_OK)
		(void)oc_sql_exec(db, "PRAGMA wal_checkpoint(TRUNCATE)", NULL);
	sqlite3_close(db);
	if (stat(wal, &st) == 0 && st.st_size > 0 && rename(wal, kept_wal) != 0)
		return oc_fail_errno(err, errno, "cannot put the log of %s away", path);
	(void)unlink(wal);
	(void)unlink(shm);
	return OC_OK;
}

static oc_status put_in_place(const char *path, const char *fresh, const char *kept, bool *ret_kept, oc_err *err)
{
	struct stat st;
	bool old = lstat(path, &st) == 0 && st.st_size > 0;
	oc_status status = old ? put_log_away(path, kept, err) : OC_OK;
	if (status == OC_OK && old && link(path, kept) != 0)
		status = oc_fail_errno(err, errno, "cannot keep the old store as %s", kept);
	if (status == OC_OK && old)
		status = sync_folder_of(path, err);
	if (status == OC_OK && rename(fresh, path) != 0)
		status = oc_fail_errno(err, errno, "cannot put the backup in place");
	if (status == OC_OK)
		status = sync_folder_of(path, err);
	*ret_kept = old;
	return status;
}

oc_status oc_store_restore(const char *path, const char *from, char **ret_kept, oc_err *err)
{
	int lock = -1;
	bool has_old = false;
	char when[32];
	struct tm tm;
	time_t now = (time_t)(oc_wall_ms() / 1000);
	gmtime_r(&now, &tm);
	strftime(when, sizeof when, "%Y%m%dT%H%M%SZ", &tm);
	oc_auto_free char *fresh = oc_asprintf("%s.restore", path), *kept = oc_asprintf("%s.replaced-%s", path, when);
	oc_auto_free char *folder = oc_strdup(path);
	if (fresh == NULL || kept == NULL || folder == NULL)
		return oc_fail(err, OC_E_NOMEM, NULL, "cannot restore");
	char *slash = strrchr(folder, '/');
	oc_status status = OC_OK;
	if (slash != NULL && slash != folder) {
		*slash = 0;
		status = oc_path_mkdirs(folder, 0700, err);
	}
	if (status == OC_OK)
		status = oc_store_lock(path, true, &lock, err);
	if (status != OC_OK)
		return status;
	remove_with_log(fresh);
	status = copy_file(from, fresh, err);
	if (status == OC_OK)
		status = check_copy(fresh, from, err);
	if (status == OC_OK)
		status = sync_file(fresh, NULL, err);
	if (status == OC_OK)
		status = put_in_place(path, fresh, kept, &has_old, err);
	remove_with_log(fresh);
	close(lock);
	if (status == OC_OK) {
		*ret_kept = has_old ? kept : NULL;
		if (has_old)
			kept = NULL;
	}
	return status;
}

/* ---- Compacting ---- */

oc_status oc_store_compact(const char *path, int64_t *ret_before, int64_t *ret_after, oc_err *err)
{
	struct stat st;
	int lock = -1;
	sqlite3 *db = NULL;
	if (stat(path, &st) != 0)
		return oc_fail(err, OC_E_NOT_FOUND, "start the gateway or send a first message", "there is no store yet at %s", path);
	int64_t before = (int64_t)st.st_size;
	oc_status status = oc_store_lock(path, true, &lock, err);
	if (status == OC_OK)
		status = oc_sql_open(path, SQLITE_OPEN_READWRITE, &db, err);
	if (status == OC_OK)
		status = oc_schema_migrate(db, path, err);
	/* A file of the first version becomes one that can give back space while it is used. */
	if (status == OC_OK)
		status = oc_sql_exec(db,
				     "INSERT INTO messages_search(messages_search) VALUES('optimize');"
				     "PRAGMA auto_vacuum=INCREMENTAL; VACUUM; PRAGMA wal_checkpoint(TRUNCATE)",
				     err);
	sqlite3_close(db);
	if (lock >= 0)
		close(lock);
	if (status == OC_OK && stat(path, &st) == 0) {
		*ret_before = before;
		*ret_after = (int64_t)st.st_size;
	}
	return status;
}
