/*
 * A file system for SQLite that fails on purpose, over the real one.
 *
 * It is made the default by fv_install, so the store under test is the one that ships.  It knows what of each file is on
 * the disk for certain (synced) and what is not yet: fv_power_cut leaves, in another folder, what a disk could hold after
 * the power went away: every synced byte, and of the rest any 512-byte pieces in any order.  A sync that fails loses what
 * it should have written, as Linux does.  Thread-safe.
 */
#ifndef OC_TESTS_FAULT_VFS_H
#define OC_TESTS_FAULT_VFS_H

#include <stdbool.h>
#include <stdint.h>

typedef enum fv_op { FV_READ = 1, FV_WRITE, FV_SYNC, FV_LOCK, FV_ANY } fv_op;

void fv_install(void);
/* Forgets every file, fault and count; no file may be open. */
void fv_reset(void);
/* From the after-th operation of this kind from now (1: the next) so many times (-1: until fv_heal) it ends with SQLite's
 * code rc.  rc FV_SHORT: half is written, then SQLITE_FULL. */
#define FV_SHORT (-1)
void fv_fail(fv_op op, int rc, int64_t after, int64_t times);
void fv_heal(void);
int64_t fv_hits(void);	/* operations that were made to fail since fv_fail */
int64_t fv_count(void); /* operations (FV_ANY: reads do not count) since fv_reset or fv_cut_at */
/* At the n-th write, sync, truncation or deletion from now the power goes away: it and everything after it fails. */
void fv_cut_at(int64_t n);
bool fv_is_cut(void);
/* Writes to folder `to` (made, mode 0700) what the disk may hold; seed chooses. The files' names stay. Call after the cut. */
void fv_power_cut(const char *to, uint32_t seed);

#endif
