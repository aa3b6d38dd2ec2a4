/* core/agent/retention: which files of messages go, and which stay. */
#include "core/agent/retention.h"

#include "tests/unit/agent_fake.h"

static char top[120];

static void put(const char *path, size_t n)
{
	char full[300], *bytes = calloc(1, n + 1);
	snprintf(full, sizeof full, "%s/%s", top, path);
	assert_int_equal(oc_path_write(full, bytes, n, 0600, NULL), OC_OK);
	free(bytes);
}

static bool there(const char *path)
{
	char full[300];
	snprintf(full, sizeof full, "%s/%s", top, path);
	return access(full, F_OK) == 0;
}

static void folder(const char *path)
{
	char full[300];
	snprintf(full, sizeof full, "%s/%s", top, path);
	assert_int_equal(oc_path_mkdirs(full, 0700, NULL), OC_OK);
}

static size_t clean(int64_t age_ms, int64_t bytes, int64_t later_ms)
{
	char in[200], out[200], ws[200];
	snprintf(in, sizeof in, "%s/in", top);
	snprintf(out, sizeof out, "%s/nothing/there", top);
	snprintf(ws, sizeof ws, "%s/ws", top);
	oc_retention_root roots[] = {{in, false}, {out, false}, {ws, true}};
	oc_retention_limits limits = {.age_ms = age_ms, .bytes = bytes, .now_ms = oc_wall_ms() + later_ms};
	size_t removed = 0;
	int64_t gone = 0;
	oc_retention_clean(roots, 3, &limits, &removed, &gone);
	return removed;
}

static int make(void **state)
{
	(void)state;
	snprintf(top, sizeof top, "%s/oc-ret-XXXXXX", getenv("TMPDIR") != NULL ? getenv("TMPDIR") : "/tmp");
	assert_non_null(mkdtemp(top));
	folder("in/telegram/deeper");
	folder("ws/mine");
	put("in/a.jpg", 1000);
	put("in/telegram/b.jpg", 1000);
	put("in/telegram/deeper/c.jpg", 1000);
	put("in/.hidden", 1000);
	put("ws/abcd2345-photo.jpg", 1000);
	put("ws/notes.txt", 1000);
	put("ws/mine/abcd2345-photo.jpg", 1000);
	put("outside", 1000);
	return 0;
}

static void old_files_go(void **state)
{
	char link[300], target[300];
	(void)state;
	snprintf(link, sizeof link, "%s/in/link", top);
	snprintf(target, sizeof target, "%s/outside", top);
	assert_int_equal(symlink(target, link), 0);
	assert_int_equal(clean(0, 0, 1000000), 0);	/* both off */
	assert_int_equal(clean(60000, 0, 30000), 0);	/* not yet */
	assert_int_equal(clean(60000, 0, 90000), 4);
	assert_false(there("in/a.jpg") || there("in/telegram/b.jpg") || there("ws/abcd2345-photo.jpg")
		     || there("ws/mine/abcd2345-photo.jpg"));
	/* Folders deeper down, hidden files, links and what is not named as ours stay. */
	assert_true(there("in/telegram/deeper/c.jpg") && there("in/.hidden") && there("ws/notes.txt") && there("in/link")
		    && there("outside"));
}

static void the_oldest_go_first(void **state)
{
	(void)state;
	usleep(20000);
	put("in/new.jpg", 1000);
	assert_int_equal(clean(0, 10000, 7200000), 0);
	assert_int_equal(clean(0, 1500, 60000), 0); /* too young to be removed for their size: they may be on their way out */
	assert_int_equal(clean(0, 1500, 7200000), 4);
	assert_true(there("in/new.jpg"));
}

/* A second name for the same bytes takes no room. */
static void names_of_one_file_count_once(void **state)
{
	char a[300], b[300];
	(void)state;
	snprintf(a, sizeof a, "%s/in/a.jpg", top);
	snprintf(b, sizeof b, "%s/in/second.jpg", top);
	assert_int_equal(link(a, b), 0);
	assert_int_equal(clean(0, 4000, 7200000), 0);
	assert_int_equal(clean(0, 3999, 7200000), 1);
}

/* By the agent itself, a moment after it started. */
static int setup_short(void **state)
{
	return setup_with(state, "{\"media\":{\"ttlHours\":0.0001}}");
}

static char kept_path[300];

static bool is_gone(fixture *f)
{
	(void)f;
	return access(kept_path, F_OK) != 0;
}

static void the_agent_looks_after_it(void **state)
{
	fixture *f = *state;
	snprintf(kept_path, sizeof kept_path, "%s/media/outbound", f->dir);
	assert_int_equal(oc_path_mkdirs(kept_path, 0700, NULL), OC_OK);
	snprintf(kept_path, sizeof kept_path, "%s/media/outbound/x.jpg", f->dir);
	assert_int_equal(oc_path_write(kept_path, "x", 1, 0600, NULL), OC_OK);
	UNTIL(f, is_gone);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(old_files_go, make),
		cmocka_unit_test_setup(the_oldest_go_first, make),
		cmocka_unit_test_setup(names_of_one_file_count_once, make),
		cmocka_unit_test_setup_teardown(the_agent_looks_after_it, setup_short, teardown),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
