/* Unit tests of the file tools, in a workspace of their own: what they do, and that nothing leads out. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <linux/openat2.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "fs_glob.h"
#include "fs_root.h"
#include "fs_tools.h"

static char top[64], workspace[80];

static char *run(void (*tool)(fs_job *), const char *args, bool expect_error)
{
	static char text[300000];
	fs_job job = {.workspace = workspace, .root = fs_root_open(workspace)};
	cJSON *tree = cJSON_Parse(args);
	assert_non_null(tree);
	assert_true(job.root >= 0);
	job.args = tree;
	tk_text_init(&job.out, 256 << 10);
	tool(&job);
	snprintf(text, sizeof text, "%s%s", job.out.p != NULL ? job.out.p : "", job.image != NULL ? " +image" : "");
	if (job.is_error != expect_error)
		print_message("%s: %s\n", args, text);
	assert_int_equal(job.is_error, expect_error);
	free(job.image);
	tk_text_free(&job.out);
	cJSON_Delete(tree);
	close(job.root);
	return text;
}

static void put(const char *name, const char *text, size_t n)
{
	char path[200];
	snprintf(path, sizeof path, "%s/%s", workspace, name);
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0644);
	assert_int_equal(write(fd, text, n), n);
	close(fd);
}

static int make_workspace(void **state)
{
	char path[200];
	(void)state;
	snprintf(top, sizeof top, "/tmp/t_fs.XXXXXX");
	if (mkdtemp(top) == NULL)
		return -1;
	snprintf(workspace, sizeof workspace, "%s/ws", top);
	mkdir(workspace, 0700);
	snprintf(path, sizeof path, "%s/secret", top);
	int fd = open(path, O_WRONLY | O_CREAT, 0600);
	(void)!write(fd, "top secret", 10);
	close(fd);
	return 0;
}

static int remove_workspace(void **state)
{
	char command[100];
	(void)state;
	snprintf(command, sizeof command, "%s", top);
	const char *const argv[] = {"rm", "-rf", command, NULL};
	pid_t pid = fork();
	if (pid == 0) {
		execvp("rm", (char *const *)(uintptr_t)argv);
		_exit(1);
	}
	return 0;
}

static void write_read_edit(void **state)
{
	(void)state;
	assert_non_null(strstr(run(fs_write, "{\"path\":\"a/b/c.txt\",\"content\":\"one\\ntwo\\nthree\\n\"}", false), "Wrote"));
	assert_string_equal(run(fs_read, "{\"path\":\"a/b/c.txt\"}", false), "one\ntwo\nthree\n");
	assert_non_null(strstr(run(fs_read, "{\"path\":\"./a/b/c.txt\",\"offset\":2,\"limit\":1}", false), "two\n\n[Lines 2 to 2 of 3. Go on with offset=3.]"));
	assert_non_null(strstr(run(fs_edit, "{\"path\":\"a/b/c.txt\",\"oldText\":\"two\\n\",\"newText\":\"2\\n\"}", false), "line 2"));
	assert_string_equal(run(fs_read, "{\"file_path\":\"a/b/c.txt\"}", false), "one\n2\nthree\n");
	assert_non_null(strstr(run(fs_write, "{\"path\":\"a/b/c.txt\",\"content\":\"new\"}", false), "Replaced"));
	run(fs_read, "{\"path\":\"a/b/c.txt\",\"offset\":9}", true);
	assert_non_null(strstr(run(fs_read, "{\"path\":\"a\"}", true), "ls"));
	run(fs_read, "{\"path\":\"none\"}", true);
}

static void an_edit_must_be_unique_and_exact(void **state)
{
	(void)state;
	put("e.c", "int a;\n\tint b;\nint a;\n", 22);
	assert_non_null(strstr(run(fs_edit, "{\"path\":\"e.c\",\"oldText\":\"int a;\",\"newText\":\"x\"}", true), "2 times"));
	assert_non_null(strstr(run(fs_edit, "{\"path\":\"e.c\",\"oldText\":\"    int b;\\n\",\"newText\":\"x\"}", true), "line 2"));
	run(fs_edit, "{\"path\":\"e.c\",\"oldText\":\"zzzz\",\"newText\":\"x\"}", true);
	run(fs_edit, "{\"path\":\"e.c\",\"oldText\":\"\",\"newText\":\"x\"}", true);
	run(fs_edit, "{\"path\":\"e.c\",\"oldText\":\"x\",\"newText\":\"x\"}", true);
	put("dos.txt", "one\r\ntwo\r\n", 10);
	run(fs_edit, "{\"path\":\"dos.txt\",\"oldText\":\"one\\ntwo\",\"newText\":\"1\\n2\"}", false);
	assert_string_equal(run(fs_read, "{\"path\":\"dos.txt\"}", false), "1\r\n2\r\n");
}

static void modes_survive(void **state)
{
	(void)state;
	char path[200];
	struct stat st;
	put("script.sh", "#!/bin/sh\n", 10);
	snprintf(path, sizeof path, "%s/script.sh", workspace);
	chmod(path, 0755);
	run(fs_write, "{\"path\":\"script.sh\",\"content\":\"#!/bin/sh\\nls\\n\"}", false);
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(st.st_mode & 0777, 0755);
}

static void nothing_leads_out(void **state)
{
	(void)state;
	char path[200], target[200], args[400];
	snprintf(target, sizeof target, "%s/secret", top);
	snprintf(path, sizeof path, "%s/link", workspace);
	assert_int_equal(symlink(target, path), 0);
	snprintf(path, sizeof path, "%s/up", workspace);
	assert_int_equal(symlink("..", path), 0);
	snprintf(path, sizeof path, "%s/new", workspace);
	snprintf(target, sizeof target, "%s/made", top);
	assert_int_equal(symlink(target, path), 0);
	static const char *const paths[] = {"../secret", "a/../../secret", "link", "up/secret", "/etc/passwd", "/proc/self/root/etc/passwd"};
	for (size_t i = 0; i < sizeof paths / sizeof *paths; i++) {
		snprintf(args, sizeof args, "{\"path\":\"%s\"}", paths[i]);
		assert_null(strstr(run(fs_read, args, true), "top secret"));
		snprintf(args, sizeof args, "{\"path\":\"%s\",\"content\":\"x\"}", paths[i]);
		run(fs_write, args, true);
		snprintf(args, sizeof args, "{\"path\":\"%s\",\"oldText\":\"top\",\"newText\":\"x\"}", paths[i]);
		run(fs_edit, args, true);
	}
	run(fs_write, "{\"path\":\"new\",\"content\":\"x\"}", true);
	assert_int_equal(access(target, F_OK), -1);
	run(fs_ls, "{\"path\":\"..\"}", true);
	run(fs_ls, "{\"path\":\"up\"}", true);
	run(fs_find, "{\"path\":\"up\",\"pattern\":\"*\"}", true);
	assert_null(strstr(run(fs_grep, "{\"pattern\":\"secret\"}", false), "top secret"));
	run(fs_grep, "{\"pattern\":\"secret\",\"path\":\"link\"}", true);
	snprintf(args, sizeof args, "{\"path\":\"%s/ok.txt\",\"content\":\"fine\"}", workspace);
	run(fs_write, args, false); /* absolute, but inside */
	snprintf(args, sizeof args, "{\"path\":\"%s-other/x\"}", workspace);
	run(fs_read, args, true);
	int fd = open(top, O_RDONLY | O_DIRECTORY);
	char kept[16] = "";
	int secret = openat(fd, "secret", O_RDONLY);
	assert_int_equal(read(secret, kept, 15), 10);
	close(secret);
	close(fd);
}

static void links_inside_are_followed(void **state)
{
	(void)state;
	char path[200];
	/* Without openat2 (old kernels, valgrind) no link is followed at all. */
	struct open_how how = {.flags = O_RDONLY};
	long fd = syscall(SYS_openat2, AT_FDCWD, "/", &how, sizeof how);
	if (fd < 0)
		skip();
	close((int)fd);
	put("real.txt", "real", 4);
	snprintf(path, sizeof path, "%s/alias.txt", workspace);
	assert_int_equal(symlink("real.txt", path), 0);
	assert_string_equal(run(fs_read, "{\"path\":\"alias.txt\"}", false), "real\n");
	run(fs_write, "{\"path\":\"alias.txt\",\"content\":\"through\"}", false);
	assert_string_equal(run(fs_read, "{\"path\":\"real.txt\"}", false), "through\n");
}

static void binaries_images_and_big_files(void **state)
{
	(void)state;
	put("x.bin", "a\0b", 3);
	assert_non_null(strstr(run(fs_read, "{\"path\":\"x.bin\"}", true), "not a text file"));
	put("x.png", "\x89PNG\r\n\x1a\n1234", 12);
	assert_non_null(strstr(run(fs_read, "{\"path\":\"x.png\"}", false), "image/png, 12 bytes +image"));
	char *many = malloc(300000);
	for (int i = 0; i < 100000; i++)
		memcpy(many + (size_t)i * 3, "ab\n", 3);
	put("many.txt", many, 300000);
	free(many);
	assert_non_null(strstr(run(fs_read, "{\"path\":\"many.txt\"}", false), "[Lines 1 to 2000 of 100000. Go on with offset=2001.]"));
	put("empty", "", 0);
	assert_non_null(strstr(run(fs_read, "{\"path\":\"empty\"}", false), "empty"));
}

static void listing_finding_searching(void **state)
{
	(void)state;
	run(fs_write, "{\"path\":\"src/main.c\",\"content\":\"int main(void)\\n{\\n\\treturn 0;\\n}\\n\"}", false);
	run(fs_write, "{\"path\":\"src/deep/util.c\",\"content\":\"// TODO: main\\n\"}", false);
	run(fs_write, "{\"path\":\"node_modules/x/main.c\",\"content\":\"main\"}", false);
	assert_string_equal(run(fs_ls, "{\"path\":\"src\"}", false), "deep/\nmain.c\n");
	assert_string_equal(run(fs_find, "{\"pattern\":\"*.c\",\"path\":\"src\"}", false), "src/deep/util.c\nsrc/main.c\n");
	assert_string_equal(run(fs_find, "{\"pattern\":\"src/**/*.c\"}", false), "src/deep/util.c\nsrc/main.c\n");
	assert_non_null(strstr(run(fs_find, "{\"pattern\":\"*.c\",\"path\":\"src\",\"limit\":1}", false), "The first 1"));
	assert_string_equal(run(fs_grep, "{\"pattern\":\"main\\\\(|TODO\",\"path\":\"src\"}", false),
			    "src/deep/util.c:1: // TODO: main\nsrc/main.c:1: int main(void)\n");
	assert_string_equal(run(fs_grep, "{\"pattern\":\"RETURN\",\"ignoreCase\":true,\"context\":1,\"glob\":\"*.c\",\"path\":\"src/\"}", false),
			    "src/main.c-2- {\nsrc/main.c:3: \treturn 0;\nsrc/main.c-4- }\n");
	assert_non_null(strstr(run(fs_grep, "{\"pattern\":\"(void)\",\"literal\":true,\"path\":\"src/main.c\"}", false), "src/main.c:1:"));
	assert_non_null(strstr(run(fs_grep, "{\"pattern\":\"(\"}", true), "literal=true"));
	run(fs_grep, "{\"pattern\":\"(a{1000}){1000}\"}", true);
	run(fs_grep, "{\"pattern\":\"(a)\\\\1\"}", true);
	assert_non_null(strstr(run(fs_grep, "{\"pattern\":\"nowhere to be found\"}", false), "No match"));
}

static void patterns_match_as_in_shells(void **state)
{
	(void)state;
	assert_true(fs_glob_match("*.c", "a/b/x.c"));
	assert_false(fs_glob_match("a/*.c", "a/b/x.c"));
	assert_true(fs_glob_match("a/**/*.c", "a/x.c"));
	assert_true(fs_glob_match("**/x.c", "x.c"));
	assert_true(fs_glob_match("a/**", "a/b/c"));
	assert_true(fs_glob_match("[a-c]?.{c,h}", "bx.h"));
	assert_false(fs_glob_match("[!a-c]x", "bx"));
	assert_true(fs_glob_match("\\*", "*"));
	assert_false(fs_glob_match("?", "/"));
	assert_false(fs_glob_match("*a*a*a*a*a*a*a*a*b", "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(write_read_edit),
		cmocka_unit_test(an_edit_must_be_unique_and_exact),
		cmocka_unit_test(modes_survive),
		cmocka_unit_test(nothing_leads_out),
		cmocka_unit_test(links_inside_are_followed),
		cmocka_unit_test(binaries_images_and_big_files),
		cmocka_unit_test(listing_finding_searching),
		cmocka_unit_test(patterns_match_as_in_shells),
	};
	return cmocka_run_group_tests(tests, make_workspace, remove_workspace);
}
