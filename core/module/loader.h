/*
 * The gate: what a file and what is in it must be like before it becomes a module.  Every cause of refusal has its own
 * message and remedy.  [loop] for opening, [any] for the rest
 */
#ifndef OC_MODULE_LOADER_H
#define OC_MODULE_LOADER_H

#include <sys/types.h>

#include "core/base/err.h"
#include "core/module/manifest.h"

typedef struct oc_module_file {
	int fd; /* -1: none */
	dev_t dev;
	ino_t ino;
	off_t size;
	bool mapped; /* loaded: fd is never closed again */
} oc_module_file;

/* Opens a file after checking what it is: a regular file, no symbolic link, owned by root or by this user, written by no
 * other. Runs nothing. own_tree: a build tree, where the user's own group may write as well. */
oc_status oc_loader_open(const char *path, bool own_tree, oc_module_file *ret, oc_err *err);
void oc_loader_close(oc_module_file *file);
/* The same question about a folder whose files will be loaded. OC_E_NOT_FOUND when it is not there. */
oc_status oc_loader_check_folder(const char *path, bool own_tree, oc_err *err);
/* Reads and checks the manifest in an open file; runs nothing. */
oc_status oc_loader_manifest(const oc_module_file *file, oc_manifest **ret, oc_err *err);
/* Hands the open file to fn in pieces. */
oc_status oc_loader_read(const oc_module_file *file, void (*fn)(void *arg, const unsigned char *bytes, size_t n), void *arg,
			 oc_err *err);
/* SHA-256 of the open file, 64 hexadecimal digits and NUL. */
oc_status oc_loader_sha256(const oc_module_file *file, char out[65], oc_err *err);

/* Loads exactly the open file (its constructors and its entry point run) and returns its descriptor, unchecked. Once it is
 * mapped it stays so, and its file descriptor stays open as well. path is for messages. */
oc_status oc_loader_load(oc_module_file *file, const char *path, const oc_module_desc **ret, oc_err *err);

/* Checks a descriptor against the ABI and the manifest and copies it, zero-filled where the module's is shorter. */
oc_status oc_loader_check(const oc_module_desc *desc, const oc_manifest *manifest, oc_module_desc *ret, oc_err *err);
/* The bytes of a kind's vtable, as this header has it. */
size_t oc_loader_vtbl_size(uint32_t kind);
/* Checks one interface and copies its vtable, zero-filled, into ret (size bytes, enough for any). */
oc_status oc_loader_check_iface(const oc_iface *iface, const oc_manifest *manifest, void *ret, size_t size, oc_err *err);

#endif
