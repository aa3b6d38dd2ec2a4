/* core/security/contain: nothing below a folder leads out of it, whether the kernel resolves or we walk. */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "core/security/contain.h"
#include "tests/unit/tree.h"

typedef struct fixture {
	char base[256]; /* …/root is contained, …/secret is outside */
	int root;
} fixture;

static void put(int dir, const char *name, const char *text)
{
	int fd = openat(dir, name, O_CREAT | O_WRONLY | O_TRUNC, 0600);

	assert_true(fd >= 0);
	assert_int_equal(write(fd, text, strlen(text)), strlen(text));
	(void)close(fd);
}

static int setup_mode(void **state, bool walk)
{
	fixture *f = calloc(1, sizeof(*f));
	const char *tmp = getenv("TMPDIR");
	int base;

	(void)snprintf(f->base, sizeof(f->base), "%s/contain-XXXXXX", tmp != NULL ? tmp : "/tmp");
	assert_non_null(mkdtemp(f->base));
	base = open(f->base, O_PATH | O_DIRECTORY);
	assert_int_equal(mkdirat(base, "root", 0700), 0);
	assert_int_equal(mkdirat(base, "outside", 0700), 0);
	put(base, "outside/secret", "secret");
	f->root = openat(base, "root", O_PATH | O_DIRECTORY);
	assert_int_equal(mkdirat(f->root, "a", 0700), 0);
	assert_int_equal(mkdirat(f->root, "a/b", 0700), 0);
	put(f->root, "file", "inside");
	put(f->root, "a/b/deep", "inside");
	assert_int_equal(symlinkat("../outside/secret", f->root, "out"), 0);
	assert_int_equal(symlinkat("../outside", f->root, "outdir"), 0);
	assert_int_equal(symlinkat("/etc/hostname", f->root, "abs"), 0);
	assert_int_equal(symlinkat("a/b", f->root, "in"), 0);
	assert_int_equal(symlinkat("../../file", f->root, "a/b/up"), 0);
	assert_int_equal(symlinkat("../../../outside/secret", f->root, "a/b/upout"), 0);
	assert_int_equal(symlinkat("loop2", f->root, "loop1"), 0);
	assert_int_equal(symlinkat("loop1", f->root, "loop2"), 0);
	assert_int_equal(symlinkat("newfile", f->root, "dangling"), 0);
	(void)close(base);
	oc_contain_force_walk(walk);
	*state = f;
	return 0;
}

static int setup(void **state)
{
	return setup_mode(state, false);
}

static int setup_walk(void **state)
{
	return setup_mode(state, true);
}

static int teardown(void **state)
{
	fixture *f = *state;
	int rc;

	oc_contain_force_walk(false);
	(void)close(f->root);
	rc = tree_remove(f->base);
	free(f);
	return rc;
}

static oc_status read_at(fixture *f, const char *path, char *out, size_t size)
{
	int fd = -1;
	oc_err err = {0};
	oc_status st = oc_contain_open(f->root, path, O_RDONLY, 0, &fd, &err);
	ssize_t n;

	out[0] = 0;
	if (st != OC_OK) {
		assert_int_equal(err.code, st);
		assert_true(err.text[0] != 0);
		assert_int_equal(fd, -1);
		return st;
	}
	n = read(fd, out, size - 1);
	out[n > 0 ? n : 0] = 0;
	assert_true((fcntl(fd, F_GETFD) & FD_CLOEXEC) != 0);
	(void)close(fd);
	return st;
}

static void test_inside(void **state)
{
	static const char *const paths[] = {"file", "./file", "a/../file", "a/b/deep", "in/deep", "a//b///deep",
					    "a/b/up", "in/../../file", "a/b/../../in/deep"};
	char text[64];

	for (size_t i = 0; i < sizeof(paths) / sizeof(paths[0]); i++) {
		assert_int_equal(read_at(*state, paths[i], text, sizeof(text)), OC_OK);
		assert_string_equal(text, "inside");
	}
}

static void test_outside(void **state)
{
	static const char *const paths[] = {"..",         "../outside/secret",  "a/../../outside/secret", "out",
					    "outdir",     "outdir/secret",      "abs",                    "/etc/hostname",
					    "a/b/upout",  "in/../../../outside/secret", "a/b/../../..",   "/",
					    "in/upout",   "./../root/file"};
	char text[64];

	for (size_t i = 0; i < sizeof(paths) / sizeof(paths[0]); i++) {
		oc_status st = read_at(*state, paths[i], text, sizeof(text));

		if (st != OC_E_DENIED)
			print_message("%s: %d\n", paths[i], st);
		assert_int_equal(st, OC_E_DENIED);
		assert_string_equal(text, "");
	}
}

static void test_errors(void **state)
{
	char text[64], longest[5000];

	assert_int_equal(read_at(*state, "nothing", text, sizeof(text)), OC_E_NOT_FOUND);
	assert_int_equal(read_at(*state, "nothing/more", text, sizeof(text)), OC_E_NOT_FOUND);
	assert_int_equal(read_at(*state, "loop1", text, sizeof(text)), OC_E_DENIED);
	assert_int_equal(read_at(*state, "loop1/x", text, sizeof(text)), OC_E_DENIED);
	assert_int_not_equal(read_at(*state, "file/x", text, sizeof(text)), OC_OK);
	assert_int_not_equal(read_at(*state, "file/", text, sizeof(text)), OC_OK);
	memset(longest, 'a', sizeof(longest) - 1);
	longest[sizeof(longest) - 1] = 0;
	assert_int_not_equal(read_at(*state, longest, text, sizeof(text)), OC_OK);
	for (size_t i = 0; i + 2 < 1200; i += 2)
		(void)memcpy(longest + i, "a/", 2);
	longest[1198] = 0;
	assert_int_not_equal(read_at(*state, longest, text, sizeof(text)), OC_OK);
}

static void test_create(void **state)
{
	fixture *f = *state;
	char text[64];
	int fd = -1;
	oc_err err = {0};

	assert_int_equal(oc_contain_open(f->root, "a/new", O_CREAT | O_EXCL | O_WRONLY, 0600, &fd, &err), OC_OK);
	assert_int_equal(write(fd, "x", 1), 1);
	(void)close(fd);
	assert_int_equal(read_at(f, "a/new", text, sizeof(text)), OC_OK);
	assert_int_equal(oc_contain_open(f->root, "a/new", O_CREAT | O_EXCL | O_WRONLY, 0600, &fd, &err), OC_E_EXISTS);
	assert_int_equal(oc_contain_open(f->root, "dangling", O_CREAT | O_WRONLY, 0600, &fd, &err), OC_OK);
	(void)close(fd);
	assert_int_equal(read_at(f, "newfile", text, sizeof(text)), OC_OK);
	assert_int_equal(oc_contain_open(f->root, "outdir/new", O_CREAT | O_WRONLY, 0600, &fd, &err), OC_E_DENIED);
	assert_int_equal(oc_contain_open(f->root, "../new", O_CREAT | O_WRONLY, 0600, &fd, &err), OC_E_DENIED);
	assert_int_equal(oc_contain_open(f->root, "out", O_WRONLY | O_TRUNC, 0, &fd, &err), OC_E_DENIED);
	assert_int_equal(oc_contain_open(f->root, "in", O_RDONLY | O_DIRECTORY, 0, &fd, &err), OC_OK);
	(void)close(fd);
	assert_int_not_equal(oc_contain_open(f->root, "in", O_RDONLY | O_NOFOLLOW, 0, &fd, &err), OC_OK);
	assert_int_equal(oc_contain_open(f->root, "", O_RDONLY | O_DIRECTORY, 0, &fd, &err), OC_OK);
	(void)close(fd);
}

static void test_relative(void **state)
{
	(void)state;
	assert_string_equal(oc_contain_relative("/w/s", "/w/s/a/b"), "a/b");
	assert_string_equal(oc_contain_relative("/w/s", "/w/s"), ".");
	assert_string_equal(oc_contain_relative("/w/s/", "/w/s//a"), "a");
	assert_string_equal(oc_contain_relative("/w/s", "a"), "a");
	assert_string_equal(oc_contain_relative("/", "/a"), "a");
	assert_null(oc_contain_relative("/w/s", "/w/sx"));
	assert_null(oc_contain_relative("/w/s", "/etc/passwd"));
	/* Text only: the opening decides. */
	assert_string_equal(oc_contain_relative("/w/s", "/w/s/../x"), "../x");
}

/* ---- A race: what is a folder at one moment is a link to the outside at the next ---- */

typedef struct flipper {
	int root;
	atomic_bool stop;
	atomic_uint flips;
} flipper;

static void *flip(void *arg)
{
	flipper *fl = arg;

	while (!atomic_load(&fl->stop)) {
		(void)unlinkat(fl->root, "flip", 0);
		(void)!symlinkat("../outside", fl->root, "flip");
		(void)unlinkat(fl->root, "flip", 0);
		(void)mkdirat(fl->root, "flip", 0700);
		put(fl->root, "flip/secret", "inside");
		(void)unlinkat(fl->root, "flip/secret", 0);
		(void)unlinkat(fl->root, "flip", AT_REMOVEDIR);
		fl->flips++;
	}
	return NULL;
}

static void test_race(void **state)
{
	fixture *f = *state;
	flipper fl = {.root = f->root};
	pthread_t thread;

	assert_int_equal(pthread_create(&thread, NULL, flip, &fl), 0);
	/* So often, and until the other side had its turns too: a busy machine may let it wait. */
	for (unsigned i = 0; i < 20000 || atomic_load(&fl.flips) <= 10; i++) {
		int fd = -1;
		char text[16] = "";

		if (oc_contain_open(f->root, "flip/secret", O_RDONLY, 0, &fd, NULL) != OC_OK)
			continue;
		if (read(fd, text, sizeof(text) - 1) > 0)
			assert_string_equal(text, "inside");
		(void)close(fd);
	}
	atomic_store(&fl.stop, true);
	(void)pthread_join(thread, NULL);
	assert_true(atomic_load(&fl.flips) > 10); /* it did race */
}

int main(void)
{
#define BOTH(test)                                                                       \
	cmocka_unit_test_setup_teardown(test, setup, teardown), {                        \
		#test " (walk)", test, setup_walk, teardown, NULL                        \
	}
	const struct CMUnitTest tests[] = {
		BOTH(test_inside), BOTH(test_outside), BOTH(test_errors), BOTH(test_create),
		BOTH(test_race),   cmocka_unit_test(test_relative),
	};

	return cmocka_run_group_tests_name("contain", tests, NULL, NULL);
}
