/*
 * openclaw module new|build|test|verify|pack: what authors of modules need besides a compiler.  Nothing here is magic: new
 * copies an example of the SDK under another name, build and test run its Makefile, verify asks the gate that the gateway
 * asks, pack makes an archive.
 */
#include <dirent.h>
#include <spawn.h>
#include <stdlib.h>
#include <string.h>
#include <sys/utsname.h>
#include <sys/wait.h>
#include <unistd.h>

#include "core/base/mem.h"
#include "core/base/path.h"
#include "core/base/str.h"
#include "core/cli/commands.h"
#include "core/data/json.h"
#include "core/module/signature.h"

enum { FILE_MAX = 1 << 20, VTBL_MAX = 4096, NAME_MAX_BYTES = 40 };

extern char **environ;

/* Examples and Makefiles (sub "") or headers of the SDK; the caller's. */
static char *sdk(bool headers)
{
	oc_auto_free char *tree = oc_path_build_tree();

	if (tree != NULL)
		return oc_path_join(tree, headers ? "sdk/include" : "sdk");
	return oc_path_installed(headers ? OC_INCLUDEDIR : OC_SDKDIR);
}

/* ---- new ---- */

/* What is written: every file of the example, its name replaced by the new one. */
static oc_status copy_file(const char *from, const char *to, const char *old_name, const char *new_name, oc_err *err)
{
	oc_auto_free char *text = NULL, *out = NULL;
	oc_status status = oc_path_read(from, FILE_MAX, &text, NULL, err);
	size_t n = strlen(old_name);
	oc_sbuf b;

	if (status != OC_OK)
		return status;
	oc_sbuf_init(&b, FILE_MAX);
	for (const char *p = text, *found; *p != 0; p = found + n) {
		found = strstr(p, old_name);
		if (found == NULL) {
			oc_sbuf_z(&b, p);
			break;
		}
		oc_sbuf_str(&b, (oc_str){p, (size_t)(found - p)});
		oc_sbuf_z(&b, new_name);
	}
	status = b.error;
	out = oc_sbuf_take(&b);
	if (status != OC_OK || out == NULL)
		return oc_fail(err, OC_E_NOMEM, NULL, "no memory for %s", to);
	return oc_path_write(to, out, strlen(out), access(from, X_OK) == 0 ? 0755 : 0644, err);
}

static oc_status copy_folder(const char *from, const char *to, const char *old_name, const char *new_name, oc_err *err)
{
	DIR *dir = opendir(from);
	oc_status status = OC_OK;

	if (dir == NULL)
		return oc_fail(err, OC_E_NOT_FOUND, "reinstall OpenClaw with its SDK", "the SDK's folder %s is not there", from);
	for (const struct dirent *e; status == OC_OK && (e = readdir(dir)) != NULL;) {
		oc_auto_free char *source = oc_path_join(from, e->d_name), *target = oc_path_join(to, e->d_name);
		if (e->d_name[0] == '.' || e->d_type == DT_DIR)
			continue;
		if (source == NULL || target == NULL)
			status = oc_fail(err, OC_E_NOMEM, NULL, "no memory");
		else
			status = copy_file(source, target, old_name, new_name, err);
	}
	(void)closedir(dir);
	return status;
}

static bool name_good(const char *name)
{
	size_t n = strspn(name, "abcdefghijklmnopqrstuvwxyz0123456789_");

	return n > 1 && n <= NAME_MAX_BYTES && name[n] == 0 && name[0] >= 'a';
}

/* "service, tool, …" of the examples that are there. */
static char *kinds_there(const char *examples)
{
	struct dirent **entries = NULL;
	int n = scandir(examples, &entries, NULL, alphasort);
	oc_sbuf b;

	oc_sbuf_init(&b, 1024);
	for (int i = 0; i < n; i++) {
		if (entries[i]->d_name[0] != '.') {
			oc_sbuf_z(&b, b.n > 0 ? ", " : "");
			oc_sbuf_z(&b, entries[i]->d_name);
		}
		free(entries[i]); /* scandir's */
	}
	free(entries);
	return oc_sbuf_take(&b);
}

static oc_status example_name(const char *example, char **ret, oc_err *err)
{
	oc_auto_free char *path = oc_path_join(example, "module.json"), *text = NULL;
	oc_auto_json cJSON *manifest = NULL;
	size_t n = 0;
	oc_status status = path == NULL ? OC_E_NOMEM : oc_path_read(path, FILE_MAX, &text, &n, err);

	if (status == OC_OK)
		status = oc_json_parse((oc_str){text, n}, NULL, &manifest, err);
	if (status == OC_OK && (*ret = oc_strdup(oc_json_str(manifest, "name", ""))) == NULL)
		status = oc_fail(err, OC_E_NOMEM, NULL, "no memory");
	return status;
}

/* Build files of the SDK, written for the tool's example: what lies in from goes to the sub folder of folder. */
static oc_status copy_build(const char *root, const char *from, const char *folder, const char *to, const char *name, oc_err *err)
{
	oc_auto_free char *build = oc_path_join(root, "build"), *source = build != NULL ? oc_path_join(build, from) : NULL;
	oc_auto_free char *target = oc_path_join(folder, to);
	oc_status status;

	if (source == NULL || target == NULL)
		return oc_fail(err, OC_E_NOMEM, NULL, "no memory");
	status = oc_path_mkdirs(target, 0755, err);
	return status == OC_OK ? copy_folder(source, target, "units", name, err) : status;
}

/* Names of Debian packages have no underscore. */
static oc_status copy_debian(const char *root, const char *folder, const char *name, oc_err *err)
{
	oc_auto_free char *package = oc_strdup(name);
	oc_status status = package != NULL ? OC_OK : oc_fail(err, OC_E_NOMEM, NULL, "no memory");

	for (char *p = package; status == OC_OK && *p != 0; p++)
		*p = *p == '_' ? '-' : *p;
	if (status == OC_OK)
		status = copy_build(root, "debian", folder, "debian", package, err);
	return status == OC_OK ? copy_build(root, "debian/source", folder, "debian/source", package, err) : status;
}

static bool is_cxx(const char *kind)
{
	return strstr(kind, "c++") != NULL;
}

static oc_status write_new(const char *name, const char *kind, const char *folder, const oc_args *args, oc_err *err)
{
	oc_auto_free char *root = sdk(false), *examples = NULL, *example = NULL, *old = NULL;
	const char *build = !oc_arg_flag(args, "autotools") ? "" : is_cxx(kind) ? "autotools-c++" : "autotools";
	oc_status status;

	if (root == NULL || (examples = oc_path_join(root, "examples")) == NULL || (example = oc_path_join(examples, kind)) == NULL)
		return oc_fail(err, OC_E_NOMEM, NULL, "no memory");
	if (strchr(kind, '/') != NULL || kind[0] == '.' || !oc_path_exists(example)) {
		oc_auto_free char *there = kinds_there(examples);
		return oc_fail(err, OC_E_NOT_FOUND, there != NULL && there[0] != 0 ? NULL : "reinstall OpenClaw with its SDK",
			       "there is no example \"%s\"; there are: %s", kind, there != NULL ? there : "");
	}
	if (oc_path_exists(folder))
		return oc_fail(err, OC_E_EXISTS, "choose another with --dir", "%s is there already", folder);
	status = example_name(example, &old, err);
	if (status == OC_OK)
		status = oc_path_mkdirs(folder, 0755, err);
	if (status == OC_OK)
		status = copy_folder(example, folder, old, name, err);
	if (status == OC_OK)
		status = copy_build(root, build, folder, "", name, err);
	return status == OC_OK && oc_arg_flag(args, "debian") ? copy_debian(root, folder, name, err) : status;
}

static int module_new(const oc_args *args)
{
	const char *name = args->pos[0], *kind = oc_arg(args, "kind"), *dir = oc_arg(args, "dir");
	oc_err err = {0};

	if (!name_good(name))
		return oc_cli_usage(args, "a module's name here is 2 to %d of a-z, 0-9 and _, a letter first: it becomes part of C names", NAME_MAX_BYTES);
	kind = kind != NULL ? kind : "tool";
	dir = dir != NULL ? dir : name;
	if (write_new(name, kind, dir, args, &err) != OC_OK)
		return oc_cli_fail(&err);
	printf("%s has a module that works; edit module.%s.\n", dir, is_cxx(kind) ? "cc" : "c");
	if (oc_arg_flag(args, "autotools"))
		printf("  cd %s && autoreconf -i && ./configure && make check && sudo make install\n", dir);
	else
		printf("  openclaw module test %s      # its unit tests, without a gateway\n"
		       "  openclaw module build %s     # %s.so\n"
		       "  make -C %s install\n",
		       dir, dir, name, dir);
	if (oc_arg_flag(args, "debian"))
		printf("  cd %s && dpkg-buildpackage -us -uc -b   # a package, in the folder above\n", dir);
	printf("  openclaw module enable %s\n", name);
	return OC_EXIT_OK;
}

/* ---- build, test ---- */

/* Runs a program on this terminal; its exit status, -1: it could not be run or was killed. */
static int run(char *const argv[])
{
	pid_t pid;
	int status = 0;

	(void)fflush(stdout);
	if (posix_spawnp(&pid, argv[0], NULL, NULL, argv, environ) != 0 || waitpid(pid, &status, 0) != pid)
		return -1;
	return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

static int make(const oc_args *args, const char *target)
{
	const char *dir = args->n_pos > 0 ? args->pos[0] : ".";
	oc_auto_free char *makefile = oc_path_join(dir, "Makefile"), *headers = sdk(true), *configure = oc_path_join(dir, "configure.ac");
	oc_auto_free char *flags = headers != NULL ? oc_asprintf("SDK_CFLAGS=-I%s", headers) : NULL;
	char *argv[] = {(char[]){"make"}, (char[]){"-C"}, (char *)(uintptr_t)dir, flags, (char *)(uintptr_t)target, NULL};
	oc_err err = {0};

	if (makefile == NULL || flags == NULL || configure == NULL)
		(void)oc_fail(&err, OC_E_NOMEM, NULL, "no memory");
	else if (!oc_path_exists(makefile))
		(void)oc_fail(&err, OC_E_NOT_FOUND, oc_path_exists(configure) ? "there: autoreconf -i && ./configure"
							: "name the module's folder, or make one with openclaw module new",
			      "%s: there is no Makefile", dir);
	else if (run(argv) == 0)
		return OC_EXIT_OK;
	else
		(void)oc_fail(&err, OC_E_INVALID, "make and a C compiler are needed: on Debian, apt install build-essential",
			      "%s: make %s failed; what went wrong stands above", dir, target != NULL ? target : "");
	return oc_cli_fail(&err);
}

static int module_build(const oc_args *args)
{
	return make(args, NULL);
}

static int module_test(const oc_args *args)
{
	return make(args, "check");
}

/* ---- verify ---- */

typedef struct verdict {
	oc_manifest *manifest;
	char sha[65];
	oc_signature signature;
} verdict;

/* All that the gateway asks of a file before its init runs. Its constructors run here. */
static oc_status verify(const char *path, const char *key, verdict *v, oc_err *err)
{
	oc_auto_free char *absolute = oc_path_expand(path, NULL);
	oc_auto_json cJSON *keys = key != NULL ? cJSON_CreateStringArray(&key, 1) : NULL;
	_Alignas(16) char vtbl[VTBL_MAX];
	oc_module_file file = {.fd = -1};
	const oc_module_desc *desc = NULL;
	oc_module_desc copy;
	oc_status status = absolute == NULL ? oc_fail(err, OC_E_NOMEM, NULL, "no memory") : oc_loader_open(absolute, true, &file, err);

	if (status != OC_OK)
		return status;
	status = oc_loader_manifest(&file, &v->manifest, err);
	if (status == OC_OK)
		status = oc_loader_sha256(&file, v->sha, err);
	if (status == OC_OK)
		status = oc_signature_check(&file, absolute, keys, &v->signature, err);
	if (status == OC_OK && key != NULL && v->signature.state != OC_SIGNATURE_GOOD)
		status = oc_fail(err, OC_E_DENIED, "minisign -Sm FILE.so", "%s is not signed by the key %.60s", path, key);
	if (status == OC_OK)
		status = oc_loader_load(&file, absolute, &desc, err);
	if (status == OC_OK)
		status = oc_loader_check(desc, v->manifest, &copy, err);
	for (size_t i = 0; status == OC_OK && i < copy.n_ifaces; i++)
		status = oc_loader_check_iface(&copy.ifaces[i], v->manifest, vtbl, sizeof(vtbl), err);
	oc_loader_close(&file);
	return status;
}

static int module_verify(const oc_args *args)
{
	verdict v = {0};
	oc_err err = {0};
	oc_status status = verify(args->pos[0], oc_arg(args, "key"), &v, &err);

	if (status != OC_OK) {
		oc_manifest_free(v.manifest);
		return oc_cli_fail(&err);
	}
	if (oc_arg_flag(args, "json")) {
		cJSON *o = cJSON_CreateObject();
		(void)oc_json_set_str(o, "sha256", v.sha);
		(void)oc_json_set_str(o, "signature", oc_signature_state_name(v.signature.state));
		(void)oc_json_opt(o, "key", v.signature.key);
		(void)oc_json_set(o, "manifest", cJSON_Duplicate(v.manifest->root, true));
		oc_manifest_free(v.manifest);
		return oc_cli_print_json(o);
	}
	printf("%s %s: the gateway would take it\nSHA-256 %s\n%s%s%s", oc_json_str(v.manifest->root, "name", ""),
	       oc_json_str(v.manifest->root, "version", ""), v.sha, v.signature.key[0] != 0 ? "signed by the key " : "", v.signature.key, v.signature.key[0] != 0 ? "\n" : "");
	oc_manifest_free(v.manifest);
	return OC_EXIT_OK;
}

/* ---- pack ---- */

/* The files that belong into a package, those of them that are there. */
static const char *const packed[] = {"module.json", "README.md", "README", "LICENSE", "COPYING", "NEWS.md", "CHANGELOG.md"};

/* tar with nothing of the machine in it: the same files make the same bytes. */
static oc_status archive(const char *dir, const char *so, const char *to, oc_err *err)
{
	oc_auto_free char *minisig = oc_asprintf("%s.minisig", so), *signature = minisig != NULL ? oc_path_join(dir, minisig) : NULL;
	char *argv[24] = {(char[]){"tar"},	     (char[]){"--sort=name"},	   (char[]){"--mtime=@0"}, (char[]){"--owner=0"},
			  (char[]){"--group=0"},   (char[]){"--numeric-owner"}, (char[]){"--mode=u=rwX,go=rX"}, (char[]){"-czf"},
			  (char *)(uintptr_t)to, (char[]){"-C"},		   (char *)(uintptr_t)dir, (char *)(uintptr_t)so};
	size_t n = 12;

	for (size_t i = 0; i < sizeof(packed) / sizeof(packed[0]); i++) {
		oc_auto_free char *path = oc_path_join(dir, packed[i]);
		if (path != NULL && oc_path_exists(path))
			argv[n++] = (char *)(uintptr_t)packed[i];
	}
	if (signature != NULL && oc_path_exists(signature))
		argv[n++] = minisig;
	return run(argv) == 0 ? OC_OK : oc_fail(err, OC_E_IO, NULL, "%s: tar failed", to);
}

static int module_pack(const oc_args *args)
{
	const char *dir = args->n_pos > 0 ? args->pos[0] : ".";
	oc_auto_free char *manifest = oc_path_join(dir, "module.json"), *name = NULL, *so = NULL, *path = NULL, *out = NULL;
	struct utsname machine;
	verdict v = {0};
	oc_err err = {0};
	oc_status status = manifest == NULL ? OC_E_NOMEM : example_name(dir, &name, &err);

	if (status == OC_OK) {
		so = oc_asprintf("%s.so", name);
		path = so != NULL ? oc_path_join(dir, so) : NULL;
		status = path == NULL ? oc_fail(&err, OC_E_NOMEM, NULL, "no memory") : verify(path, NULL, &v, &err);
		if (status == OC_E_NOT_FOUND)
			(void)oc_fail(&err, status, "openclaw module build", "%s is not there", path);
	}
	if (status == OC_OK) {
		(void)uname(&machine);
		out = oc_asprintf("%s-%s-linux-%s.tar.gz", name, oc_json_str(v.manifest->root, "version", "0"), machine.machine);
		status = out == NULL ? oc_fail(&err, OC_E_NOMEM, NULL, "no memory") : archive(dir, so, out, &err);
	}
	if (status == OC_OK)
		printf("%s\nSHA-256 of %s: %s\n", out, so, v.sha);
	oc_manifest_free(v.manifest);
	return status == OC_OK ? OC_EXIT_OK : oc_cli_fail(&err);
}

/* ---- The commands ---- */

static const oc_opt new_opts[] = {
	{"kind", 'k', "KIND", "channel, hook, http, memory, provider, service, storage, tool (the default) or tool-c++"},
	{"dir", 0, "DIR", "the folder to make; else the name"},
	{"autotools", 0, NULL, "configure.ac and Makefile.am instead of a Makefile"},
	{"debian", 0, NULL, "also debian/, for dpkg-buildpackage"},
	{0},
};
static const oc_opt verify_opts[] = {
	{"key", 0, "KEY", "only if FILE.so.minisig is by this public key of minisign"},
	{"json", 0, NULL, "one JSON document"},
	{0},
};

const oc_command oc_cmd_module_new = {
	.name = "new",
	.args = "NAME",
	.summary = "a folder with a module that works, to be edited",
	.help = "Copies an example of the SDK under the new name: source, manifest, unit tests and a Makefile.\n",
	.opts = new_opts,
	.min_args = 1,
	.max_args = 1,
	.run = module_new,
};
const oc_command oc_cmd_module_build = {
	.name = "build",
	.args = "[DIR]",
	.summary = "compile the module of a folder",
	.help = "Runs make there, with the headers of this installation.\n",
	.max_args = 1,
	.run = module_build,
};
const oc_command oc_cmd_module_test = {
	.name = "test",
	.args = "[DIR]",
	.summary = "run a module's unit tests",
	.help = "Runs make check there: the tests are built with sanitizers and need no gateway (see openclaw/test.h).\n",
	.max_args = 1,
	.run = module_test,
};
const oc_command oc_cmd_module_verify = {
	.name = "verify",
	.args = "FILE.so",
	.summary = "whether the gateway would take a file",
	.help = "Checks the file, its manifest, descriptor and interfaces as the gateway does, without its init.  Loading it runs its\n"
		"constructors: verify only what you would enable.\n",
	.opts = verify_opts,
	.min_args = 1,
	.max_args = 1,
	.run = module_verify,
};
const oc_command oc_cmd_module_pack = {
	.name = "pack",
	.args = "[DIR]",
	.summary = "an archive of a module to give to others",
	.help = "Verifies the module of a folder and writes NAME-VERSION-linux-MACHINE.tar.gz with its .so, its signature,\n"
		"manifest, README and licence.  The same files make the same archive.\n",
	.max_args = 1,
	.run = module_pack,
};
