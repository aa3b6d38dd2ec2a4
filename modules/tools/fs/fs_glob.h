/* File name patterns: * and ? within a component, ** over components, [a-z] and {a,b}.  Pure. */
#ifndef FS_GLOB_H
#define FS_GLOB_H

#include <stdbool.h>

/* Whether path (relative, '/' between components) matches. A pattern without '/' is tried on the last component. */
bool fs_glob_match(const char *pattern, const char *path);

#endif
