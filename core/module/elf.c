/* A bounded reader of ELF64 shared objects: the headers, the section .oc_manifest, and whether the file is whole. */
#include "core/module/elf.h"

#include <elf.h>
#include <endian.h>
#include <errno.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/base/mem.h"
#include "core/base/str.h"

enum { SECTIONS_MAX = 4096, SEGMENTS_MAX = 256, NAMES_MAX = 1024 * 1024 };

#define REMEDY_REBUILD "build or copy the module again"
#define REMEDY_MANIFEST "embed module.json with OC_MODULE_MANIFEST(\"module.json\") in one source file of the module"

#if defined(__x86_64__)
#define HOST_MACHINE EM_X86_64
#elif defined(__aarch64__)
#define HOST_MACHINE EM_AARCH64
#elif defined(__riscv)
#define HOST_MACHINE EM_RISCV
#elif defined(__powerpc64__)
#define HOST_MACHINE EM_PPC64
#elif defined(__s390x__)
#define HOST_MACHINE EM_S390
#elif defined(__loongarch64)
#define HOST_MACHINE 258
#else
#error "tell elf.c the ELF machine number of this architecture"
#endif
#if __BYTE_ORDER == __LITTLE_ENDIAN
#define HOST_DATA ELFDATA2LSB
#else
#define HOST_DATA ELFDATA2MSB
#endif

/* Where the bytes come from: memory or an open file, whose beginning is read at once: it holds most of what is needed. */
typedef struct source {
	oc_str bytes;
	int fd; /* -1: bytes */
	uint64_t size;
	size_t head_n;
	char head[1024];
} source;

static const char *machine_name(unsigned machine)
{
	static const struct {
		unsigned machine;
		const char *name;
	} names[] = {{EM_X86_64, "x86-64"}, {EM_AARCH64, "arm64"}, {EM_386, "x86"},      {EM_ARM, "arm"},
		     {EM_RISCV, "riscv"},   {EM_PPC64, "ppc64"},   {EM_S390, "s390x"},   {258, "loongarch"},
		     {EM_MIPS, "mips"}};

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		if (names[i].machine == machine)
			return names[i].name;
	return "unknown";
}

static oc_status read_fd(const source *src, uint64_t off, void *out, size_t n, const char *what, oc_err *err)
{
	size_t got = 0;

	while (got < n) {
		ssize_t r = pread(src->fd, (char *)out + got, n - got, (off_t)(off + got));

		if (r < 0 && errno == EINTR)
			continue;
		if (r < 0)
			return oc_fail_errno(err, errno, "cannot read %s", what);
		if (r == 0)
			return oc_fail(err, OC_E_CORRUPT, REMEDY_REBUILD, "the file became shorter while %s were read",
				       what);
		got += (size_t)r;
	}
	return OC_OK;
}

/* Reads n bytes at off; the range must lie in the file. */
static oc_status read_at(const source *src, uint64_t off, void *out, size_t n, const char *what, oc_err *err)
{
	if (off > src->size || n > src->size - off)
		return oc_fail(err, OC_E_CORRUPT, REMEDY_REBUILD, "the file is cut off: %s end beyond its %llu bytes", what,
			       (unsigned long long)src->size);
	if (src->fd >= 0 && (off > src->head_n || n > src->head_n - off))
		return read_fd(src, off, out, n, what, err);
	memcpy(out, (src->fd < 0 ? src->bytes.p : src->head) + off, n);
	return OC_OK;
}

static oc_status check_header(const source *src, Elf64_Ehdr *eh, oc_err *err)
{
	unsigned char ident[EI_NIDENT];
	size_t n = src->size < EI_NIDENT ? (size_t)src->size : EI_NIDENT;
	oc_status st = OC_OK;

	memset(ident, 0, sizeof(ident));
	if (n > 0)
		st = read_at(src, 0, ident, n, "the first bytes", err);
	if (st != OC_OK)
		return st;
	if (memcmp(ident, ELFMAG, SELFMAG) != 0)
		return oc_fail(err, OC_E_INVALID, "put shared objects (.so) only into a module folder",
			       "not a shared object: the file does not begin as an ELF file");
	if (n == EI_NIDENT && ident[EI_CLASS] != ELFCLASS64)
		return oc_fail(err, OC_E_UNSUPPORTED, "build the module for this machine",
			       "built for a 32-bit machine; this gateway is 64-bit");
	if (n == EI_NIDENT && ident[EI_DATA] != HOST_DATA)
		return oc_fail(err, OC_E_UNSUPPORTED, "build the module for this machine",
			       "built for a machine of the other byte order");
	st = read_at(src, 0, eh, sizeof(*eh), "the ELF headers", err);
	if (st != OC_OK)
		return st;
	if (eh->e_machine != HOST_MACHINE)
		return oc_fail(err, OC_E_UNSUPPORTED, "build the module for this machine",
			       "built for %s (ELF machine %u); this gateway runs on %s", machine_name(eh->e_machine),
			       eh->e_machine, machine_name(HOST_MACHINE));
	if (eh->e_type != ET_DYN)
		return oc_fail(err, OC_E_UNSUPPORTED, "link it with -shared",
			       "an ELF file of type %u, not a shared object", eh->e_type);
	return OC_OK;
}

/* The loader maps segments without looking at the file's size and the process dies on the missing pages, so a file that is
 * cut off must be seen here. */
static oc_status check_segments(const source *src, const Elf64_Ehdr *eh, oc_err *err)
{
	for (unsigned i = 0; i < eh->e_phnum; i++) {
		Elf64_Phdr ph;
		oc_status st;

		if (eh->e_phentsize != sizeof(ph) || eh->e_phnum > SEGMENTS_MAX || eh->e_phoff > src->size)
			return oc_fail(err, OC_E_CORRUPT, REMEDY_REBUILD, "the ELF program headers are damaged");
		st = read_at(src, eh->e_phoff + i * sizeof(ph), &ph, sizeof(ph), "the program headers", err);
		if (st != OC_OK)
			return st;
		if (ph.p_filesz > src->size || ph.p_offset > src->size - ph.p_filesz)
			return oc_fail(err, OC_E_CORRUPT, REMEDY_REBUILD,
				       "the file is cut off: segment %u ends beyond its %llu bytes", i,
				       (unsigned long long)src->size);
	}
	if (eh->e_phnum == 0)
		return oc_fail(err, OC_E_CORRUPT, REMEDY_REBUILD, "the ELF file has no program headers");
	return OC_OK;
}

/* The section headers and the table of their names; both to be freed. */
static oc_status read_sections(const source *src, const Elf64_Ehdr *eh, Elf64_Shdr **ret, char **ret_names,
			       size_t *ret_names_n, oc_err *err)
{
	oc_auto_free Elf64_Shdr *sh = NULL;
	oc_auto_free char *names = NULL;
	const Elf64_Shdr *s;
	oc_status st;

	if (eh->e_shoff == 0 || eh->e_shnum == 0)
		return oc_fail(err, OC_E_NOT_FOUND, "do not remove section headers; strip(1) keeps what is needed",
			       "the ELF file has no section headers, so the manifest cannot be found");
	if (eh->e_shoff > src->size)
		return oc_fail(err, OC_E_CORRUPT, REMEDY_REBUILD,
			       "the file is cut off: the section headers begin beyond its %llu bytes",
			       (unsigned long long)src->size);
	if (eh->e_shentsize != sizeof(*sh) || eh->e_shnum > SECTIONS_MAX || eh->e_shstrndx >= eh->e_shnum)
		return oc_fail(err, OC_E_CORRUPT, REMEDY_REBUILD, "the ELF section headers are damaged");
	sh = oc_calloc(eh->e_shnum, sizeof(*sh));
	if (sh == NULL)
		return oc_fail(err, OC_E_NOMEM, NULL, "no memory for the section headers");
	st = read_at(src, eh->e_shoff, sh, eh->e_shnum * sizeof(*sh), "the section headers", err);
	if (st != OC_OK)
		return st;
	s = &sh[eh->e_shstrndx];
	if (s->sh_type != SHT_STRTAB || s->sh_size == 0 || s->sh_size > NAMES_MAX)
		return oc_fail(err, OC_E_CORRUPT, REMEDY_REBUILD, "the ELF table of section names is damaged");
	names = oc_alloc((size_t)s->sh_size + 1);
	if (names == NULL)
		return oc_fail(err, OC_E_NOMEM, NULL, "no memory for the section names");
	st = read_at(src, s->sh_offset, names, (size_t)s->sh_size, "the section names", err);
	if (st != OC_OK)
		return st;
	*ret = sh;
	*ret_names = names;
	*ret_names_n = (size_t)s->sh_size;
	sh = NULL;
	names = NULL;
	return OC_OK;
}

static oc_status find_manifest(const Elf64_Ehdr *eh, const Elf64_Shdr *sh, const char *names, size_t names_n,
			       const Elf64_Shdr **ret, oc_err *err)
{
	const Elf64_Shdr *found = NULL;

	for (unsigned i = 0; i < eh->e_shnum; i++) {
		/* names has a NUL after its end, so a name at a valid offset always ends. */
		if (sh[i].sh_name >= names_n || strcmp(names + sh[i].sh_name, ".oc_manifest") != 0)
			continue;
		if (found != NULL)
			return oc_fail(err, OC_E_CORRUPT, REMEDY_MANIFEST, "there is more than one section .oc_manifest");
		found = &sh[i];
	}
	if (found == NULL)
		return oc_fail(err, OC_E_NOT_FOUND, REMEDY_MANIFEST,
			       "a shared object without a manifest: the section .oc_manifest is missing");
	if (found->sh_type != SHT_PROGBITS || found->sh_size == 0)
		return oc_fail(err, OC_E_CORRUPT, REMEDY_MANIFEST, "the section .oc_manifest is empty");
	if (found->sh_size > OC_ELF_MANIFEST_MAX)
		return oc_fail(err, OC_E_LIMIT, "make module.json smaller", "the manifest has %llu bytes, %d are allowed",
			       (unsigned long long)found->sh_size, OC_ELF_MANIFEST_MAX);
	*ret = found;
	return OC_OK;
}

static oc_status manifest(const source *src, char **ret, size_t *ret_n, oc_err *err)
{
	Elf64_Ehdr eh;
	oc_auto_free Elf64_Shdr *sh = NULL;
	oc_auto_free char *names = NULL;
	oc_auto_free char *text = NULL;
	const Elf64_Shdr *s = NULL;
	size_t names_n = 0, n;
	oc_status st = check_header(src, &eh, err);

	if (st == OC_OK)
		st = check_segments(src, &eh, err);
	if (st == OC_OK)
		st = read_sections(src, &eh, &sh, &names, &names_n, err);
	if (st == OC_OK)
		st = find_manifest(&eh, sh, names, names_n, &s, err);
	if (st != OC_OK)
		return st;
	n = (size_t)s->sh_size;
	text = oc_alloc(n + 1);
	if (text == NULL)
		return oc_fail(err, OC_E_NOMEM, NULL, "no memory for the manifest");
	st = read_at(src, s->sh_offset, text, n, "the manifest", err);
	if (st != OC_OK)
		return st;
	if (text[n - 1] == '\0') /* OC_MODULE_MANIFEST puts one there */
		n--;
	*ret = text;
	*ret_n = n;
	text = NULL;
	return OC_OK;
}

oc_status oc_elf_manifest(oc_str file, char **ret, size_t *ret_n, oc_err *err)
{
	source src;

	src.bytes = file;
	src.fd = -1;
	src.size = file.n;
	return manifest(&src, ret, ret_n, err);
}

oc_status oc_elf_manifest_fd(int fd, char **ret, size_t *ret_n, oc_err *err)
{
	source src;
	struct stat sb;
	oc_status st;

	if (fstat(fd, &sb) != 0)
		return oc_fail_errno(err, errno, "cannot examine the file");
	if (sb.st_size < 0)
		return oc_fail(err, OC_E_INVALID, NULL, "the file has no size");
	src.bytes = OC_STR_NONE;
	src.fd = fd;
	src.size = (uint64_t)sb.st_size;
	src.head_n = 0;
	st = read_fd(&src, 0, src.head, src.size < sizeof(src.head) ? (size_t)src.size : sizeof(src.head), "the first bytes", err);
	if (st != OC_OK)
		return st;
	src.head_n = src.size < sizeof(src.head) ? (size_t)src.size : sizeof(src.head);
	return manifest(&src, ret, ret_n, err);
}
