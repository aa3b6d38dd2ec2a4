/* core/module/loader and gate: one cause of refusal after the other, each with its own message. */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "core/base/mem.h"
#include "core/base/path.h"
#include "core/base/str.h"
#include "core/module/loader.h"

static char dir[200];

static const char *in_dir(const char *name)
{
	static char path[4][300];
	static int at;

	at = (at + 1) % 4;
	(void)snprintf(path[at], sizeof(path[0]), "%s/%s", dir, name);
	return path[at];
}

/* A copy of a test module, mode 0644. */
static const char *copy_of(const char *module, const char *name)
{
	char from[500];
	char *bytes = NULL;
	size_t n = 0;
	const char *to = in_dir(name);

	(void)snprintf(from, sizeof(from), "%s/tests/modules/.libs/%s.so", getenv("OC_TOP_BUILDDIR"), module);
	if (oc_path_read(from, 64u << 20, &bytes, &n, NULL) != OC_OK)
		fail_msg("cannot read %s", from);
	(void)unlink(to);
	assert_int_equal(oc_path_write(to, bytes, n, 0644, NULL), OC_OK);
	oc_free(bytes);
	return to;
}

static int setup(void **state)
{
	(void)state;
	(void)snprintf(dir, sizeof(dir), "%s/loader.XXXXXX", getenv("TMPDIR") != NULL ? getenv("TMPDIR") : "/tmp");
	return mkdtemp(dir) == NULL;
}

static void says(const oc_err *err, const char *what)
{
	if (strstr(err->text, what) == NULL)
		fail_msg("\"%s\" does not say \"%s\"", err->text, what);
	assert_true(err->remedy[0] != '\0');
}

/* ---- The file ---- */

static void refused_file(const char *path, bool own_tree, oc_status code, const char *what)
{
	oc_module_file file = {.fd = -1};
	oc_err err = {0};

	assert_int_equal(oc_loader_open(path, own_tree, &file, &err), code);
	says(&err, what);
	assert_int_equal(file.fd, -1);
}

static void good_file(void **state)
{
	oc_module_file file = {.fd = -1};
	oc_manifest *m = NULL;
	oc_err err = {0};
	char sha[65], again[65];

	(void)state;
	assert_int_equal(oc_loader_open(copy_of("good_tool", "good.so"), false, &file, &err), OC_OK);
	assert_true((fcntl(file.fd, F_GETFD) & FD_CLOEXEC) != 0);
	assert_int_equal(oc_loader_manifest(&file, &m, &err), OC_OK);
	assert_string_equal(m->name, "good-tool");
	assert_int_equal(oc_loader_sha256(&file, sha, &err), OC_OK);
	assert_int_equal(strlen(sha), 64);
	assert_int_equal(oc_loader_sha256(&file, again, &err), OC_OK);
	assert_string_equal(sha, again);
	oc_manifest_free(m);
	oc_loader_close(&file);
	assert_int_equal(file.fd, -1);
}

static void sha256_is_sha256(void **state)
{
	oc_module_file file = {.fd = -1};
	char sha[65];

	(void)state;
	assert_int_equal(oc_path_write(in_dir("abc"), "abc", 3, 0600, NULL), OC_OK);
	assert_int_equal(oc_loader_open(in_dir("abc"), false, &file, NULL), OC_OK);
	assert_int_equal(oc_loader_sha256(&file, sha, NULL), OC_OK);
	assert_string_equal(sha, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
	oc_loader_close(&file);
}

static void folders_links_and_pipes(void **state)
{
	(void)state;
	assert_int_equal(mkdir(in_dir("folder.so"), 0755), 0);
	refused_file(in_dir("folder.so"), false, OC_E_INVALID, "a folder, not a module");
	copy_of("good_tool", "target.so");
	assert_int_equal(symlink("target.so", in_dir("link.so")), 0);
	refused_file(in_dir("link.so"), false, OC_E_DENIED, "a symbolic link is not loaded");
	assert_int_equal(mkfifo(in_dir("pipe.so"), 0600), 0);
	refused_file(in_dir("pipe.so"), false, OC_E_INVALID, "not a regular file");
	refused_file(in_dir("missing.so"), false, OC_E_NOT_FOUND, "cannot open");
}

static void writable_by_others(void **state)
{
	const char *path = copy_of("good_tool", "open.so");
	oc_module_file file = {.fd = -1};

	(void)state;
	assert_int_equal(chmod(path, 0646), 0);
	refused_file(path, false, OC_E_DENIED, "written by everybody");
	refused_file(path, true, OC_E_DENIED, "written by everybody");
	assert_int_equal(chmod(path, 0664), 0);
	refused_file(path, false, OC_E_DENIED, "written by its group");
	assert_int_equal(oc_loader_open(path, true, &file, NULL), OC_OK); /* a build tree with umask 002 */
	oc_loader_close(&file);
}

static void belongs_to_another(void **state)
{
	const char *path = copy_of("good_tool", "foreign.so");

	(void)state;
	if (geteuid() != 0) {
		print_message("# only root can give files away\n");
		skip();
	}
	assert_int_equal(chown(path, 12345, 0), 0);
	refused_file(path, false, OC_E_DENIED, "belongs to another user (uid 12345)");
}

static void folder_of_others(void **state)
{
	oc_err err = {0};

	(void)state;
	assert_int_equal(mkdir(in_dir("shared"), 0755), 0);
	assert_int_equal(oc_loader_check_folder(in_dir("shared"), false, &err), OC_OK);
	assert_int_equal(chmod(in_dir("shared"), 0777), 0);
	assert_int_equal(oc_loader_check_folder(in_dir("shared"), false, &err), OC_E_DENIED);
	says(&err, "module folder can be written by");
	assert_int_equal(oc_loader_check_folder(in_dir("nowhere"), false, &err), OC_E_NOT_FOUND);
	assert_int_equal(oc_path_write(in_dir("plain"), "", 0, 0600, NULL), OC_OK);
	assert_int_equal(oc_loader_check_folder(in_dir("plain"), false, &err), OC_E_INVALID);
}

/* ---- The manifest in the file ---- */

static void refused_manifest(const char *path, oc_status code, const char *what)
{
	oc_module_file file = {.fd = -1};
	oc_manifest *m = NULL;
	oc_err err = {0};

	assert_int_equal(oc_loader_open(path, false, &file, &err), OC_OK);
	assert_int_equal(oc_loader_manifest(&file, &m, &err), code);
	says(&err, what);
	oc_loader_close(&file);
}

static void files_that_are_no_modules(void **state)
{
	struct stat sb;
	const char *path;

	(void)state;
	assert_int_equal(oc_path_write(in_dir("text.so"), "hello\n", 6, 0600, NULL), OC_OK);
	refused_manifest(in_dir("text.so"), OC_E_INVALID, "not a shared object");
	assert_int_equal(oc_path_write(in_dir("empty.so"), "", 0, 0600, NULL), OC_OK);
	refused_manifest(in_dir("empty.so"), OC_E_INVALID, "not a shared object");
	refused_manifest(copy_of("no_manifest", "none.so"), OC_E_NOT_FOUND, "without a manifest");
	path = copy_of("good_tool", "cut.so");
	assert_int_equal(stat(path, &sb), 0);
	assert_int_equal(truncate(path, sb.st_size / 2), 0);
	refused_manifest(path, OC_E_CORRUPT, "cut off");
	assert_int_equal(truncate(path, 40), 0);
	refused_manifest(path, OC_E_CORRUPT, "cut off");
}

static void built_for_another_machine(void **state)
{
	const char *path = copy_of("good_tool", "arm.so");
	int fd = open(path, O_RDWR);

	(void)state;
	/* e_machine is at 18, EI_CLASS at 4. */
	assert_true(fd >= 0);
	assert_int_equal(pwrite(fd, "\x28\x00", 2, 18), 2);
	refused_manifest(path, OC_E_UNSUPPORTED, "built for arm ");
	assert_int_equal(pwrite(fd, "\x01", 1, 4), 1);
	refused_manifest(path, OC_E_UNSUPPORTED, "32-bit");
	close(fd);
}

/* ---- Loading ---- */

static void refused_load(const char *module, oc_status code, const char *what)
{
	char name[100];
	oc_module_file file = {.fd = -1};
	const oc_module_desc *desc = NULL;
	oc_err err = {0};
	const char *path;

	(void)snprintf(name, sizeof(name), "%s.so", module);
	path = copy_of(module, name);
	assert_int_equal(oc_loader_open(path, false, &file, &err), OC_OK);
	assert_int_equal(oc_loader_load(&file, path, &desc, &err), code);
	says(&err, what);
	says(&err, path);
	assert_null(desc);
	oc_loader_close(&file);
}

static void objects_that_cannot_be_loaded(void **state)
{
	(void)state;
	refused_load("bad_symbol", OC_E_INVALID, "the function oc_module_v1 is missing");
	refused_load("bad_undefined", OC_E_UNAVAILABLE, "function_that_nobody_has");
	refused_load("bad_null", OC_E_INVALID, "returned nothing");
}

/* The dynamic linker knows objects by name; two loaded by descriptor must not be taken for one. */
static void loads_what_was_checked(void **state)
{
	const char *names[] = {"good_tool", "good_kinds", "bad_name"};
	const char *descs[] = {"good-tool", "good-kinds", "telegram"};

	(void)state;
	for (int i = 0; i < 3; i++) {
		char name[40];
		const char *path;
		oc_module_file file = {.fd = -1};
		const oc_module_desc *desc = NULL;
		oc_manifest *m = NULL;
		oc_module_desc copy;
		oc_err err = {0};

		(void)snprintf(name, sizeof(name), "load%d.so", i);
		path = copy_of(names[i], name);
		assert_int_equal(oc_loader_open(path, false, &file, &err), OC_OK);
		assert_int_equal(oc_loader_manifest(&file, &m, &err), OC_OK);
		/* Whoever swaps the file now comes too late. */
		copy_of("no_manifest", name);
		if (oc_loader_load(&file, path, &desc, &err) != OC_OK)
			fail_msg("%s", err.text);
		assert_string_equal(desc->name, descs[i]);
		assert_int_equal(oc_loader_check(desc, m, &copy, &err), i == 2 ? OC_E_INVALID : OC_OK);
		if (i == 2)
			says(&err, "\"telegram\" is not the manifest's \"bad\"");
		oc_manifest_free(m);
		oc_loader_close(&file);
	}
}

/* ---- The descriptor ---- */

static oc_status init(const oc_host_api *host, oc_self *self, oc_str config, void **ret)
{
	(void)host;
	(void)self;
	(void)config;
	(void)ret;
	return OC_OK;
}

static void fini(void *inst)
{
	(void)inst;
}

static void service_call(void *inst, oc_call *call, oc_str method, oc_str args)
{
	(void)inst;
	(void)call;
	(void)method;
	(void)args;
}

static const oc_service_vtbl service = {.struct_size = sizeof(service), .call = service_call};
static const oc_iface ifaces[] = {{OC_KIND_SERVICE, 1, 0, "s", &service}};

static oc_module_desc good_desc(void)
{
	return (oc_module_desc){
		.magic = OC_MODULE_MAGIC,
		.struct_size = sizeof(oc_module_desc),
		.abi_major = OC_ABI_MAJOR,
		.abi_minor = OC_ABI_MINOR,
		.name = "demo",
		.version = "1.0",
		.ifaces = ifaces,
		.n_ifaces = 1,
		.init = init,
		.fini = fini,
	};
}

static oc_manifest *good_manifest(void)
{
	oc_manifest *m = NULL;

	assert_int_equal(oc_manifest_parse(OC_STR("{\"name\":\"demo\",\"version\":\"1.0\",\"license\":\"MIT\",\"description\":\"d\","
						  "\"abi\":{\"major\":1,\"minor\":0},\"kinds\":[\"service\",\"tool\",\"http\","
						  "\"channel\",\"provider\",\"hook\"]}"),
					   &m, NULL),
			 OC_OK);
	return m;
}

static void refused_desc(oc_module_desc desc, oc_status code, const char *what)
{
	oc_manifest *m = good_manifest();
	oc_module_desc copy = {0};
	oc_err err = {0};

	assert_int_equal(oc_loader_check(&desc, m, &copy, &err), code);
	says(&err, what);
	assert_null(copy.name); /* written on success only */
	oc_manifest_free(m);
}

static void descriptors(void **state)
{
	oc_module_desc d = good_desc(), copy;
	oc_manifest *m = good_manifest();

	(void)state;
	assert_int_equal(oc_loader_check(&d, m, &copy, NULL), OC_OK);
	assert_memory_equal(&d, &copy, sizeof(d));
	oc_manifest_free(m);

	d.magic = 0x12345678;
	refused_desc(d, OC_E_INVALID, "wrong magic number 0x12345678");
	d = good_desc();
	d.abi_major = 2;
	refused_desc(d, OC_E_VERSION, "built for module ABI 2.0");
	d = good_desc();
	d.struct_size = 90;
	refused_desc(d, OC_E_CORRUPT, "90 bytes");
	d = good_desc();
	d.abi_min_minor = 7;
	refused_desc(d, OC_E_VERSION, "needs module ABI 1.7 or newer");
	d = good_desc();
	d.struct_size = sizeof(d) + 8;
	d.abi_minor = 3;
	refused_desc(d, OC_E_VERSION, "built for a newer ABI (1.3)");
	d = good_desc();
	d.name = "other";
	refused_desc(d, OC_E_INVALID, "name \"other\" is not the manifest's \"demo\"");
	d.name = NULL;
	refused_desc(d, OC_E_INVALID, "is not the manifest's \"demo\"");
	d = good_desc();
	d.version = "1.1";
	refused_desc(d, OC_E_INVALID, "version \"1.1\" is not the manifest's \"1.0\"");
	d = good_desc();
	d.abi_minor = 1;
	refused_desc(d, OC_E_INVALID, "ABI 1.1, the manifest 1.0");
	d = good_desc();
	d.init = NULL;
	refused_desc(d, OC_E_INVALID, "lacks init");
	d = good_desc();
	d.fini = NULL;
	refused_desc(d, OC_E_INVALID, "lacks fini");
	d = good_desc();
	d.n_ifaces = 0;
	refused_desc(d, OC_E_INVALID, "no interfaces");
	d = good_desc();
	d.ifaces = NULL;
	refused_desc(d, OC_E_INVALID, "no interfaces");
	d = good_desc();
	d.n_ifaces = 65;
	refused_desc(d, OC_E_LIMIT, "65 interfaces");
}

/* A module of an older header: what it does not have reads as zero. */
static void shorter_structs_are_filled_with_zeros(void **state)
{
	struct {
		uint32_t struct_size, flags;
		oc_str (*tools)(void *inst);
		void (*invoke)(void *inst, oc_call *call, oc_str tool, oc_str args, oc_str context);
		void *garbage; /* not part of it: the size says so */
	} old = {.struct_size = 24, .garbage = &old};
	oc_iface iface = {OC_KIND_TOOL, 1, 0, "old", &old};
	oc_manifest *m = good_manifest();
	oc_tool_vtbl copy;
	oc_err err = {0};

	(void)state;
	old.tools = (oc_str(*)(void *))(void (*)(void))fini;
	old.invoke = (void (*)(void *, oc_call *, oc_str, oc_str, oc_str))(void (*)(void))fini;
	memset(&copy, 0xff, sizeof(copy));
	assert_int_equal(oc_loader_check_iface(&iface, m, &copy, sizeof(copy), &err), OC_OK);
	assert_true(copy.tools == old.tools);
	assert_null(copy.cancel);
	assert_null(copy.session_end);
	oc_manifest_free(m);
}

static void refused_iface(oc_iface iface, oc_status code, const char *what)
{
	char copy[sizeof(oc_channel_vtbl) + sizeof(oc_tool_vtbl)];
	oc_manifest *m = good_manifest();
	oc_err err = {0};

	assert_int_equal(oc_loader_check_iface(&iface, m, copy, sizeof(copy), &err), code);
	says(&err, what);
	oc_manifest_free(m);
}

static void interfaces(void **state)
{
	oc_service_vtbl v = {.struct_size = sizeof(v)};
	oc_channel_vtbl channel = {.struct_size = sizeof(channel)};
	oc_manifest *m = good_manifest();

	(void)state;
	refused_iface((oc_iface){99, 1, 0, "x", &v}, OC_E_VERSION, "kind 99");
	refused_iface((oc_iface){OC_KIND_SERVICE + 1, 1, 0, "x", &v}, OC_E_VERSION, "kind 9");
	m->kinds = 1u << OC_KIND_TOOL;
	{
		oc_err err = {0};
		oc_service_vtbl copy;

		assert_int_equal(oc_loader_check_iface(&ifaces[0], m, &copy, sizeof(copy), &err), OC_E_INVALID);
		says(&err, "which the manifest does not list");
	}
	oc_manifest_free(m);
	refused_iface((oc_iface){OC_KIND_SERVICE, 1, 0, NULL, &v}, OC_E_INVALID, "has no id");
	refused_iface((oc_iface){OC_KIND_SERVICE, 1, 0, "", &v}, OC_E_INVALID, "has no id");
	refused_iface((oc_iface){OC_KIND_SERVICE, 1, 0, "A b", &v}, OC_E_INVALID, "\"A b\" is no id");
	refused_iface((oc_iface){OC_KIND_HTTP, 1, 0, "/", &v}, OC_E_INVALID, "no path prefix");
	refused_iface((oc_iface){OC_KIND_HTTP, 1, 0, "x", &v}, OC_E_INVALID, "no path prefix");
	refused_iface((oc_iface){OC_KIND_HTTP, 1, 0, "/a/", &v}, OC_E_INVALID, "no path prefix");
	refused_iface((oc_iface){OC_KIND_HTTP, 1, 0, "/a/../b", &v}, OC_E_INVALID, "no path prefix");
	refused_iface((oc_iface){OC_KIND_SERVICE, 1, 0, "x", NULL}, OC_E_INVALID, "has no vtable");
	refused_iface((oc_iface){OC_KIND_SERVICE, 1, 0, "x", &v}, OC_E_INVALID, "required function call");
	refused_iface((oc_iface){OC_KIND_CHANNEL, 2, 0, "x", &channel}, OC_E_VERSION, "version 2.0; this gateway knows 1.0");
	refused_iface((oc_iface){OC_KIND_CHANNEL, 1, 1, "x", &channel}, OC_E_VERSION, "version 1.1; this gateway knows 1.0");
	refused_iface((oc_iface){OC_KIND_CHANNEL, 1, 0, "x", &channel}, OC_E_INVALID, "required function connect");
	v.struct_size = sizeof(v) + 8;
	refused_iface((oc_iface){OC_KIND_SERVICE, 1, 0, "x", &v}, OC_E_VERSION, "has 32 bytes, this gateway knows 24");
	v.struct_size = 4;
	refused_iface((oc_iface){OC_KIND_SERVICE, 1, 0, "x", &v}, OC_E_CORRUPT, "says it has 4 bytes");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(good_file),
		cmocka_unit_test(sha256_is_sha256),
		cmocka_unit_test(folders_links_and_pipes),
		cmocka_unit_test(writable_by_others),
		cmocka_unit_test(belongs_to_another),
		cmocka_unit_test(folder_of_others),
		cmocka_unit_test(files_that_are_no_modules),
		cmocka_unit_test(built_for_another_machine),
		cmocka_unit_test(objects_that_cannot_be_loaded),
		cmocka_unit_test(loads_what_was_checked),
		cmocka_unit_test(descriptors),
		cmocka_unit_test(shorter_structs_are_filled_with_zeros),
		cmocka_unit_test(interfaces),
	};

	return cmocka_run_group_tests_name("loader", tests, setup, NULL);
}
