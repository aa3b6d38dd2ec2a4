/* Removing a test's folder without a shell. */
#ifndef OC_TESTS_UNIT_TREE_H
#define OC_TESTS_UNIT_TREE_H

#include <ftw.h>
#include <stdio.h>

static int tree_remove_one(const char *path, const struct stat *info, int kind, struct FTW *where)
{
	(void)info, (void)kind, (void)where;
	return remove(path);
}

/* 0, or -1 with errno. Symbolic links are removed, not followed. */
static inline int tree_remove(const char *path)
{
	return nftw(path, tree_remove_one, 8, FTW_DEPTH | FTW_PHYS);
}

#endif
