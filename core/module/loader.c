/* The gate, first half: the file. What is opened here is what is hashed, read and loaded. */
#include "core/module/loader.h"

#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <sodium.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/base/mem.h"
#include "core/base/str.h"
#include "core/module/elf.h"

static oc_status check_owner(const struct stat *sb, const char *what, const char *path, bool own_tree, oc_err *err)
{
	if (sb->st_uid != 0 && sb->st_uid != geteuid())
		return oc_fail(err, OC_E_DENIED, "give it to root or to the user who runs the gateway (chown)",
			       "the %s belongs to another user (uid %u): %s", what, (unsigned)sb->st_uid, path);
	/* With a umask of 002, common where each user has a group, a build makes group-writable files. */
	if ((sb->st_mode & S_IWGRP) != 0 && !(own_tree && sb->st_gid == getegid()))
		return oc_fail(err, OC_E_DENIED, "chmod g-w,o-w", "the %s can be written by its group: %s", what, path);
	if ((sb->st_mode & S_IWOTH) != 0)
		return oc_fail(err, OC_E_DENIED, "chmod g-w,o-w", "the %s can be written by everybody: %s", what, path);
	return OC_OK;
}

oc_status oc_loader_open(const char *path, bool own_tree, oc_module_file *ret, oc_err *err)
{
	/* Not blocking, so that a FIFO of that name does not hold the gateway up. */
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY);
	struct stat sb;
	oc_status st;

	if (fd < 0 && errno == ELOOP)
		return oc_fail(err, OC_E_DENIED, "put the file itself into the folder", "a symbolic link is not loaded: %s",
			       path);
	if (fd < 0 && errno == EACCES)
		return oc_fail(err, OC_E_DENIED, "chmod u+r", "the file cannot be read: %s", path);
	if (fd < 0)
		return oc_fail_errno(err, errno, "cannot open %s", path);
	if (fstat(fd, &sb) != 0)
		st = oc_fail_errno(err, errno, "cannot examine %s", path);
	else if (S_ISDIR(sb.st_mode))
		st = oc_fail(err, OC_E_INVALID, "move the shared object itself into the module folder",
			     "a folder, not a module: %s", path);
	else if (!S_ISREG(sb.st_mode))
		st = oc_fail(err, OC_E_INVALID, "remove it from the module folder", "not a regular file: %s", path);
	else
		st = check_owner(&sb, "file", path, own_tree, err);
	if (st != OC_OK) {
		(void)close(fd);
		return st;
	}
	*ret = (oc_module_file){.fd = fd, .dev = sb.st_dev, .ino = sb.st_ino, .size = sb.st_size};
	return OC_OK;
}

void oc_loader_close(oc_module_file *file)
{
	/* The dynamic linker knows a loaded object by the number of its descriptor, which no other file may get. */
	if (file->fd >= 0 && !file->mapped)
		(void)close(file->fd);
	file->fd = -1;
	file->mapped = false;
}

oc_status oc_loader_check_folder(const char *path, bool own_tree, oc_err *err)
{
	struct stat sb;

	if (stat(path, &sb) != 0)
		return oc_fail_errno(err, errno, "cannot look into %s", path);
	if (!S_ISDIR(sb.st_mode))
		return oc_fail(err, OC_E_INVALID, "name a folder", "not a folder: %s", path);
	return check_owner(&sb, "module folder", path, own_tree, err);
}

oc_status oc_loader_manifest(const oc_module_file *file, oc_manifest **ret, oc_err *err)
{
	oc_auto_free char *text = NULL;
	size_t n = 0;
	oc_status st = oc_elf_manifest_fd(file->fd, &text, &n, err);

	return st != OC_OK ? st : oc_manifest_parse(oc_str_make(text, n), ret, err);
}

oc_status oc_loader_read(const oc_module_file *file, void (*fn)(void *arg, const unsigned char *bytes, size_t n), void *arg,
			 oc_err *err)
{
	enum { CHUNK = 64 * 1024 };
	oc_auto_free unsigned char *chunk = oc_alloc(CHUNK);
	off_t at = 0;

	if (chunk == NULL)
		return oc_fail(err, OC_E_NOMEM, NULL, "no memory to read the module");
	for (;;) {
		ssize_t r = pread(file->fd, chunk, CHUNK, at);

		if (r < 0 && errno == EINTR)
			continue;
		if (r < 0)
			return oc_fail_errno(err, errno, "cannot read the module");
		if (r == 0)
			return OC_OK;
		fn(arg, chunk, (size_t)r);
		at += r;
	}
}

static void add_to_sha256(void *arg, const unsigned char *bytes, size_t n)
{
	(void)crypto_hash_sha256_update(arg, bytes, n);
}

oc_status oc_loader_sha256(const oc_module_file *file, char out[65], oc_err *err)
{
	crypto_hash_sha256_state state;
	unsigned char hash[crypto_hash_sha256_BYTES];
	oc_status st;

	(void)crypto_hash_sha256_init(&state);
	st = oc_loader_read(file, add_to_sha256, &state, err);
	if (st != OC_OK)
		return st;
	(void)crypto_hash_sha256_final(&state, hash);
	(void)sodium_bin2hex(out, 65, hash, sizeof(hash));
	return OC_OK;
}

/* dlerror begins with the name that was opened, which says nothing to people. */
static const char *load_error(const char *opened)
{
	const char *text = dlerror();
	size_t n = strlen(opened);

	if (text == NULL)
		return "unknown error";
	if (strncmp(text, opened, n) == 0 && text[n] == ':')
		text += n + 1 + (text[n + 1] == ' ');
	return text;
}

oc_status oc_loader_load(oc_module_file *file, const char *path, const oc_module_desc **ret, oc_err *err)
{
	const oc_module_desc *(*entry)(void);
	const oc_module_desc *desc;
	char name[64];
	void *dl;

	/* By descriptor: what was checked is what is loaded. With the process's number instead of "self", debuggers can open it too. */
	(void)snprintf(name, sizeof(name), "/proc/%ld/fd/%d", (long)getpid(), file->fd);
	dl = dlopen(name, RTLD_NOW | RTLD_LOCAL | RTLD_NODELETE);
	if (dl == NULL)
		return oc_fail(err, OC_E_UNAVAILABLE,
			       "install the library it needs; a module must not use symbols of the gateway (link with -Wl,-z,defs)",
			       "the dynamic linker refuses %s: %s", path, load_error(name));
	file->mapped = true;
	*(void **)&entry = dlsym(dl, "oc_module_v1");
	if (entry == NULL)
		return oc_fail(err, OC_E_INVALID, "end one source file with OC_MODULE(&descriptor);",
			       "the function oc_module_v1 is missing in %s", path);
	desc = entry();
	if (desc == NULL)
		return oc_fail(err, OC_E_INVALID, "return the address of a static descriptor",
			       "oc_module_v1 returned nothing in %s", path);
	*ret = desc;
	return OC_OK;
}
