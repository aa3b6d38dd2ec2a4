/* core/module/elf: finds the manifest, and tells apart everything that is no module. */
#include <elf.h>
#include <endian.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "core/base/mem.h"
#include "core/base/str.h"
#include "core/module/elf.h"

#if defined(__x86_64__)
#define MACHINE EM_X86_64
#define OTHER EM_AARCH64
#else
#define MACHINE EM_AARCH64
#define OTHER EM_X86_64
#endif

/* The smallest shared object with a manifest: headers, one segment, two sections besides the empty one. */
typedef struct image {
	Elf64_Ehdr eh;
	Elf64_Phdr ph;
	Elf64_Shdr sh[3];
	char names[24];
	char manifest[16];
} image;

static const char names[24] = "\0.oc_manifest\0.shstrtab";

static image good(void)
{
	image i;

	memset(&i, 0, sizeof(i));
	memcpy(i.eh.e_ident, ELFMAG, SELFMAG);
	i.eh.e_ident[EI_CLASS] = ELFCLASS64;
	i.eh.e_ident[EI_DATA] = __BYTE_ORDER == __LITTLE_ENDIAN ? ELFDATA2LSB : ELFDATA2MSB;
	i.eh.e_type = ET_DYN;
	i.eh.e_machine = MACHINE;
	i.eh.e_phoff = offsetof(image, ph);
	i.eh.e_phentsize = sizeof(Elf64_Phdr);
	i.eh.e_phnum = 1;
	i.eh.e_shoff = offsetof(image, sh);
	i.eh.e_shentsize = sizeof(Elf64_Shdr);
	i.eh.e_shnum = 3;
	i.eh.e_shstrndx = 2;
	i.ph.p_type = PT_LOAD;
	i.ph.p_filesz = sizeof(image);
	i.sh[1] = (Elf64_Shdr){.sh_name = 1, .sh_type = SHT_PROGBITS, .sh_offset = offsetof(image, manifest), .sh_size = 14};
	i.sh[2] = (Elf64_Shdr){.sh_name = 14, .sh_type = SHT_STRTAB, .sh_offset = offsetof(image, names), .sh_size = sizeof(names)};
	memcpy(i.names, names, sizeof(names));
	memcpy(i.manifest, "{\"name\":\"m\"} ", 14); /* with its NUL */
	return i;
}

static oc_status read_n(const image *i, size_t n, oc_err *err)
{
	char *text = NULL;
	size_t text_n = 0;
	char *exact = malloc(n == 0 ? 1 : n); /* a heap block of its own, so that a read beyond is seen */
	oc_status st;

	memcpy(exact, i, n);
	st = oc_elf_manifest((oc_str){exact, n}, &text, &text_n, err);
	free(exact);
	if (st == OC_OK) {
		assert_int_equal(text_n, 13);
		assert_string_equal(text, "{\"name\":\"m\"} ");
		oc_free(text);
	} else {
		assert_null(text);
	}
	return st;
}

static void fails(image i, oc_status code, const char *says)
{
	oc_err err = {0};

	assert_int_equal(read_n(&i, sizeof(i), &err), code);
	if (strstr(err.text, says) == NULL)
		fail_msg("\"%s\" does not say \"%s\"", err.text, says);
	assert_true(err.remedy[0] != '\0');
}

static void finds_the_manifest(void **state)
{
	image i = good();
	oc_err err = {0};

	(void)state;
	assert_int_equal(read_n(&i, sizeof(i), &err), OC_OK);
}

static void reads_an_open_file(void **state)
{
	image i = good();
	FILE *file = tmpfile();
	char *text = NULL;
	size_t n = 0;

	(void)state;
	assert_non_null(file);
	assert_int_equal(fwrite(&i, 1, sizeof(i), file), sizeof(i));
	assert_int_equal(fflush(file), 0);
	assert_int_equal(oc_elf_manifest_fd(fileno(file), &text, &n, NULL), OC_OK);
	assert_int_equal(n, 13);
	oc_free(text);
	assert_int_equal(ftruncate(fileno(file), 100), 0);
	assert_int_equal(oc_elf_manifest_fd(fileno(file), &text, &n, NULL), OC_E_CORRUPT);
	fclose(file);
	assert_int_equal(oc_elf_manifest_fd(-1, &text, &n, NULL), OC_E_IO);
}

static void tells_what_is_no_elf_file(void **state)
{
	image i = good();
	oc_err err = {0};
	char *text = NULL;
	size_t n = 0;

	(void)state;
	i.eh.e_ident[0] = 'M';
	fails(i, OC_E_INVALID, "not a shared object");
	assert_int_equal(oc_elf_manifest(OC_STR("#!/bin/sh\n"), &text, &n, &err), OC_E_INVALID);
	assert_int_equal(oc_elf_manifest(OC_STR(""), &text, &n, &err), OC_E_INVALID);
	assert_int_equal(oc_elf_manifest(OC_STR("\177ELF"), &text, &n, &err), OC_E_CORRUPT);
}

static void tells_other_machines(void **state)
{
	image i = good();

	(void)state;
	i.eh.e_ident[EI_CLASS] = ELFCLASS32;
	fails(i, OC_E_UNSUPPORTED, "32-bit");
	i = good();
	i.eh.e_ident[EI_DATA] = i.eh.e_ident[EI_DATA] == ELFDATA2LSB ? ELFDATA2MSB : ELFDATA2LSB;
	fails(i, OC_E_UNSUPPORTED, "byte order");
	i = good();
	i.eh.e_machine = OTHER;
	fails(i, OC_E_UNSUPPORTED, "arm64");
	i.eh.e_machine = 4711;
	fails(i, OC_E_UNSUPPORTED, "4711");
	i = good();
	i.eh.e_type = ET_REL;
	fails(i, OC_E_UNSUPPORTED, "not a shared object");
	i.eh.e_type = ET_EXEC;
	fails(i, OC_E_UNSUPPORTED, "not a shared object");
}

static void tells_what_is_missing(void **state)
{
	image i = good();

	(void)state;
	i.names[1] = 'x';
	fails(i, OC_E_NOT_FOUND, ".oc_manifest is missing");
	i = good();
	i.eh.e_shoff = 0;
	fails(i, OC_E_NOT_FOUND, "no section headers");
	i = good();
	i.eh.e_shnum = 0;
	fails(i, OC_E_NOT_FOUND, "no section headers");
	i = good();
	i.eh.e_phnum = 0;
	fails(i, OC_E_CORRUPT, "no program headers");
	i = good();
	i.sh[1].sh_type = SHT_NOBITS;
	fails(i, OC_E_CORRUPT, "is empty");
	i = good();
	i.sh[1].sh_size = 0;
	fails(i, OC_E_CORRUPT, "is empty");
	i = good();
	i.sh[0] = i.sh[1];
	fails(i, OC_E_CORRUPT, "more than one");
	i = good();
	i.sh[1].sh_size = OC_ELF_MANIFEST_MAX + 1;
	fails(i, OC_E_LIMIT, "262144");
}

static void every_cut_is_seen(void **state)
{
	image i = good();

	(void)state;
	for (size_t n = 0; n < sizeof(i); n++) {
		oc_err err = {0};

		assert_int_not_equal(read_n(&i, n, &err), OC_OK);
		assert_true(err.text[0] != '\0');
	}
}

static void hostile_offsets_stay_outside(void **state)
{
	static const uint64_t values[] = {1, sizeof(image) - 1, sizeof(image), sizeof(image) + 1, INT64_MAX, UINT64_MAX - 7, UINT64_MAX};

	(void)state;
	for (size_t v = 0; v < sizeof(values) / sizeof(values[0]); v++) {
		image i = good();

		i.eh.e_shoff = values[v];
		assert_int_not_equal(read_n(&i, sizeof(i), NULL), OC_OK);
		i = good();
		i.eh.e_phoff = values[v];
		(void)read_n(&i, sizeof(i), NULL);
		i = good();
		i.ph.p_offset = values[v];
		assert_int_not_equal(read_n(&i, sizeof(i), NULL), OC_OK);
		i = good();
		i.ph.p_offset = sizeof(image);
		i.ph.p_filesz = values[v];
		assert_int_not_equal(read_n(&i, sizeof(i), NULL), OC_OK);
		i = good();
		i.sh[1].sh_offset = values[v];
		i.sh[1].sh_size = sizeof(image);
		assert_int_not_equal(read_n(&i, sizeof(i), NULL), OC_OK);
		i = good();
		i.sh[2].sh_offset = values[v];
		assert_int_not_equal(read_n(&i, sizeof(i), NULL), OC_OK);
		i = good();
		i.sh[2].sh_size = values[v];
		assert_int_not_equal(read_n(&i, sizeof(i), NULL), OC_OK);
		i = good();
		i.sh[1].sh_name = (Elf64_Word)values[v];
		(void)read_n(&i, sizeof(i), NULL);
	}
	for (unsigned n = 0; n <= 0xffff; n += 0xff) {
		image i = good();

		i.eh.e_shnum = (Elf64_Half)n;
		(void)read_n(&i, sizeof(i), NULL);
		i.eh.e_shstrndx = (Elf64_Half)n;
		(void)read_n(&i, sizeof(i), NULL);
		i = good();
		i.eh.e_phnum = (Elf64_Half)n;
		(void)read_n(&i, sizeof(i), NULL);
		i = good();
		i.eh.e_shentsize = (Elf64_Half)n;
		(void)read_n(&i, sizeof(i), NULL);
	}
}

static void out_of_memory_is_an_error(void **state)
{
	image i = good();
	unsigned long live = oc_mem_live();
	int succeeded = 0;

	(void)state;
	for (unsigned long n = 1; n < 20 && !succeeded; n++) {
		oc_mem_fail_at(n);
		succeeded = read_n(&i, sizeof(i), NULL) == OC_OK;
		oc_mem_fail_at(0);
		assert_int_equal(oc_mem_live(), live);
	}
	assert_true(succeeded);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(finds_the_manifest),
		cmocka_unit_test(reads_an_open_file),
		cmocka_unit_test(tells_what_is_no_elf_file),
		cmocka_unit_test(tells_other_machines),
		cmocka_unit_test(tells_what_is_missing),
		cmocka_unit_test(every_cut_is_seen),
		cmocka_unit_test(hostile_offsets_stay_outside),
		cmocka_unit_test(out_of_memory_is_an_error),
	};

	return cmocka_run_group_tests_name("elf", tests, NULL, NULL);
}
