/*
 * A look at the log (-wal) that the last process left, before SQLite reads it.
 *
 * SQLite takes a frame that is not as it was written for the end of the log, which is right after a power cut: what was being
 * written then had not been acknowledged.  When a disk damaged the middle, the commits behind that place are lost without a
 * word.  They cannot be applied without what lies before them; but they can be told of, and the log can be kept.
 * The format is in SQLite's "Database File Format", chapter 4.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/base/clock.h"
#include "core/base/log.h"
#include "core/base/mem.h"
#include "core/store/internal.h"

enum { HEAD = 32, FRAME_HEAD = 24, PAGE_MAX = 65536 };

typedef struct sum {
	bool big; /* how the words are read */
	uint32_t a, b;
} sum;

static uint32_t word(const uint8_t *p, bool big)
{
	return big ? (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3]
		   : (uint32_t)p[3] << 24 | (uint32_t)p[2] << 16 | (uint32_t)p[1] << 8 | p[0];
}

static void add(sum *s, const uint8_t *p, size_t n)
{
	for (size_t i = 0; i + 8 <= n; i += 8) {
		s->a += word(p + i, s->big) + s->b;
		s->b += word(p + i + 4, s->big) + s->a;
	}
}

/* The place of the first frame that is not whole, and how many commits of the same log lie behind it. */
static unsigned lost_commits(FILE *f, uint8_t *frame, int64_t *ret_at)
{
	uint8_t head[HEAD];
	if (fread(head, 1, sizeof head, f) != sizeof head || (word(head, true) & ~1u) != 0x377f0682u)
		return 0;
	size_t page = word(head + 8, true);
	sum s = {.big = (word(head, true) & 1) != 0};
	add(&s, head, 24);
	if (page < 512 || page > PAGE_MAX || s.a != word(head + 24, true) || s.b != word(head + 28, true))
		return 0;
	unsigned lost = 0;
	bool whole = true;
	*ret_at = HEAD;
	while (fread(frame, 1, FRAME_HEAD + page, f) == FRAME_HEAD + page) {
		bool ours = memcmp(frame + 8, head + 16, 8) == 0 && word(frame, true) != 0;
		if (whole) {
			add(&s, frame, 8);
			add(&s, frame + FRAME_HEAD, page);
			whole = ours && s.a == word(frame + 16, true) && s.b == word(frame + 20, true);
			*ret_at += whole ? (int64_t)(FRAME_HEAD + page) : 0;
		} else if (ours && word(frame + 4, true) != 0) {
			lost++;
		}
	}
	return lost;
}

/* A copy beside it; false: it could not be made, errno says why. */
static bool keep(FILE *f, uint8_t *block, size_t n, const char *to)
{
	int fd = open(to, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	FILE *out = fd >= 0 ? fdopen(fd, "w") : NULL;
	size_t got;
	if (out == NULL) {
		if (fd >= 0)
			close(fd);
		return false;
	}
	rewind(f);
	while ((got = fread(block, 1, n, f)) > 0)
		if (fwrite(block, 1, got, out) != got)
			break;
	bool good = fflush(out) == 0 && ferror(out) == 0 && ferror(f) == 0 && fsync(fd) == 0;
	if (fclose(out) == 0 && good)
		return true;
	(void)unlink(to);
	return false;
}

void oc_wal_look(const char *path)
{
	oc_auto_free char *name = oc_asprintf("%s-wal", path);
	oc_auto_free char *to = oc_asprintf("%s-wal.damaged-%lld", path, (long long)oc_wall_ms());
	struct stat st;
	int64_t at = 0;
	if (name == NULL || to == NULL || stat(name, &st) != 0 || st.st_size <= HEAD)
		return;
	FILE *f = fopen(name, "re");
	uint8_t *block = f != NULL ? oc_alloc(FRAME_HEAD + PAGE_MAX) : NULL;
	unsigned lost = block != NULL ? lost_commits(f, block, &at) : 0;
	if (lost > 0) {
		bool kept = keep(f, block, FRAME_HEAD + PAGE_MAX, to);
		oc_err err = {0};
		(void)oc_fail(&err, OC_E_CORRUPT,
			      "after a power cut in the middle of a change nothing is missing; else look at the disk, and consider `openclaw store restore`",
			      "%s is damaged at byte %lld: what was written behind it (%u change%s) cannot be read back; %s%s", name,
			      (long long)at, lost, lost == 1 ? "" : "s", kept ? "it was kept as " : "it could not be kept: ",
			      kept ? to : strerror(errno));
		oc_log_err(OC_LOG_WARN, "store", "the log of the last process is not whole", &err);
	}
	oc_free(block);
	if (f != NULL)
		(void)fclose(f);
}
