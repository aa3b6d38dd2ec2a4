/*
 * Finds a module's manifest in its ELF file without running any of it.  Reads a bounded part of the file; every offset and
 * size is taken for hostile.  [any]
 */
#ifndef OC_MODULE_ELF_H
#define OC_MODULE_ELF_H

#include <stdint.h>

#include "core/base/err.h"

enum { OC_ELF_MANIFEST_MAX = 256 * 1024 };

/* The content of the section .oc_manifest, NUL-terminated and without its final NUL byte; oc_free it. Of a file in memory
 * for tests and fuzzers.
 * OC_E_INVALID: no ELF file; OC_E_UNSUPPORTED: for another machine, or no shared object; OC_E_CORRUPT: cut off or
 * inconsistent; OC_E_NOT_FOUND: a shared object without a manifest; OC_E_LIMIT: the manifest is too big; OC_E_IO. */
oc_status oc_elf_manifest(oc_str file, char **ret, size_t *ret_n, oc_err *err);
/* The same from an open file, whose position stays. */
oc_status oc_elf_manifest_fd(int fd, char **ret, size_t *ret_n, oc_err *err);

#endif
