/* core/agent/journal: what of sessions is copied to a storage, taken away from it, and brought back. */
#include "tests/unit/agent_fake.h"

#include "core/agent/journal.h"

/* A storage in this process. Names in no order that anybody may rely on. */
typedef struct object {
	struct object *next;
	char *name, *bytes;
	size_t n;
} object;

static struct {
	object *first;
	int puts, fail_puts, fail_removes;
	const char *lie; /* what list says instead */
	const oc_host_api *host;
} shelf;

static object **find_object(const char *name)
{
	object **at = &shelf.first;
	while (*at != NULL && strcmp((*at)->name, name) != 0)
		at = &(*at)->next;
	return at;
}

static void drop_object(object **at)
{
	object *o = *at;
	*at = o->next;
	free(o->name);
	free(o->bytes);
	free(o);
}

static void shelf_put(void *inst, oc_call *call, oc_str name, oc_str bytes)
{
	(void)inst;
	shelf.puts++;
	if (shelf.fail_puts > 0) {
		shelf.fail_puts--;
		shelf.host->call_done(call, OC_E_IO, OC_STR("the shelf is not there"));
		return;
	}
	object **at = find_object(name.p);
	if (*at != NULL)
		drop_object(at);
	object *o = calloc(1, sizeof *o);
	*o = (object){shelf.first, strdup(name.p), strndup(bytes.p, bytes.n), bytes.n};
	shelf.first = o;
	shelf.host->call_done(call, OC_OK, OC_STR(""));
}

static void shelf_get(void *inst, oc_call *call, oc_str name)
{
	(void)inst;
	const object *o = *find_object(name.p);
	shelf.host->call_done(call, o != NULL ? OC_OK : OC_E_NOT_FOUND, o != NULL ? (oc_str){o->bytes, o->n} : OC_STR("nothing of that name"));
}

/* Two a page: the caller has to go on. */
static void shelf_list(void *inst, oc_call *call, oc_str request)
{
	(void)inst;
	oc_auto_json cJSON *r = cJSON_Parse(request.p), *out = cJSON_CreateObject();
	const char *prefix = oc_json_str(r, "prefix", ""), *after = oc_json_str(r, "after", NULL);
	cJSON *objects = cJSON_AddArrayToObject(out, "objects");
	const object *o = shelf.first;
	int n = 0;
	if (after != NULL) {
		while (o != NULL && strcmp(o->name, after) != 0)
			o = o->next;
		o = o != NULL ? o->next : NULL;
	}
	for (; o != NULL && n < 2; o = o->next)
		if (strncmp(o->name, prefix, strlen(prefix)) == 0) {
			cJSON *one = cJSON_CreateObject();
			oc_json_set_str(one, "name", o->name);
			cJSON_AddItemToArray(objects, one);
			n++;
		}
	oc_json_set_bool(out, "more", n == 2);
	oc_auto_free char *text = oc_json_print(out);
	shelf.host->call_done(call, OC_OK, oc_str_of(shelf.lie != NULL ? shelf.lie : text));
}

static void shelf_remove(void *inst, oc_call *call, oc_str name)
{
	(void)inst;
	object **at = find_object(name.p);
	if (shelf.fail_removes > 0) {
		shelf.fail_removes--;
		shelf.host->call_done(call, OC_E_IO, OC_STR("not now"));
		return;
	}
	if (*at != NULL)
		drop_object(at);
	shelf.host->call_done(call, OC_OK, OC_STR(""));
}

static const oc_storage_vtbl shelf_vtbl = {sizeof shelf_vtbl, 0, shelf_put, shelf_get, shelf_list, shelf_remove, NULL};
static const oc_iface shelf_ifaces[] = {{OC_KIND_STORAGE, 1, 0, "shelf", &shelf_vtbl}};

static oc_status shelf_init(const oc_host_api *api, oc_self *me, oc_str config, void **ret)
{
	(void)me;
	(void)config;
	shelf.host = api;
	*ret = &shelf;
	return OC_OK;
}

static const oc_module_desc shelf_desc = {.magic = OC_MODULE_MAGIC, .struct_size = sizeof shelf_desc, .abi_major = OC_ABI_MAJOR,
					  .abi_minor = OC_ABI_MINOR, .name = "shelf", .version = "1", .ifaces = shelf_ifaces, .n_ifaces = 1,
					  .init = shelf_init, .fini = fake_fini};

#define CONFIG                                                                                                              \
	"{\"agents\":{\"defaults\":{\"model\":{\"primary\":\"p/one\"}}},\"modules\":{\"slots\":{\"storage\":\"shelf\"}}," \
	"\"channels\":{\"chat\":{\"dmPolicy\":\"open\",\"allowFrom\":[\"*\"],\"token\":\"topsecret\"}}}"

static bool running(fixture *f)
{
	return oc_modules_slot(f->modules, OC_KIND_STORAGE, NULL) != NULL;
}

static void put_up_shelf(fixture *f)
{
	oc_err err = {0};
	oc_module *m = NULL;
	if (oc_modules_add(f->modules, OC_STR("{\"name\":\"shelf\",\"version\":\"1\",\"abi\":{\"major\":1,\"minor\":0},\"kinds\":[\"storage\"],"
					      "\"license\":\"MIT\",\"description\":\"d\"}"), &shelf_desc, "static", &m, &err) != OC_OK)
		fail_msg("%s", err.text);
	oc_module_start(m, NULL, NULL);
	UNTIL(f, running);
}

static int setup_shelf(void **state)
{
	memset(&shelf, 0, sizeof shelf);
	if (setup_with(state, CONFIG) != 0)
		return -1;
	put_up_shelf(*state);
	return 0;
}

static int teardown_shelf(void **state)
{
	int rc = teardown(state);
	while (shelf.first != NULL)
		drop_object(&shelf.first);
	return rc;
}

/* How many objects there are of a session. */
static int n_of(const char *session)
{
	char folder[OC_JOURNAL_NAME_MAX + 1];
	int n = 0;
	assert_true(oc_journal_folder(session, folder));
	for (const object *o = shelf.first; o != NULL; o = o->next)
		n += strncmp(o->name, folder, strlen(folder)) == 0;
	return n;
}

static bool has_a(fixture *f) { (void)f; return n_of("agent:main:a") > 0; }
static bool no_a(fixture *f) { (void)f; return n_of("agent:main:a") == 0; }
static bool has_b(fixture *f) { (void)f; return n_of("agent:main:b") > 0; }
static bool all_failed(fixture *f) { (void)f; return shelf.fail_puts == 0 && shelf.fail_removes == 0; }

static bool deleted;
static void on_deleted(void *arg, oc_status status, const cJSON *result, const oc_err *err)
{
	(void)arg;
	(void)result;
	(void)err;
	assert_int_equal(status, OC_OK);
	deleted = true;
}
static bool is_deleted(fixture *f) { (void)f; return deleted; }

static void delete_session(fixture *f, const char *name)
{
	oc_err err = {0};
	deleted = false;
	assert_int_equal(oc_agent_session_delete(f->agent, oc_str_of(name), on_deleted, f, &err), OC_OK);
	UNTIL(f, is_deleted);
}

static cJSON *answer_json;
static oc_status answer_status;
static oc_err answer_err;
static bool answered_now;
static void on_answer(void *arg, oc_status status, cJSON *result, const oc_err *err)
{
	(void)arg;
	cJSON_Delete(answer_json);
	answer_json = result;
	answer_status = status;
	answer_err = *err;
	answered_now = true;
}
static bool is_answered(fixture *f) { (void)f; return answered_now; }

static oc_status restore(fixture *f, const char *session, const char *as)
{
	oc_err err = {0};
	answered_now = false;
	oc_status status = oc_journal_restore(f->agent, oc_str_of(session), oc_str_of(as), on_answer, f, &err);
	if (status != OC_OK)
		return status;
	UNTIL(f, is_answered);
	return answer_status;
}

static void names(void **state)
{
	char out[OC_JOURNAL_NAME_MAX + 1], other[OC_JOURNAL_NAME_MAX + 1], name[500];
	oc_str folder;
	int64_t made = 0, first = 0;
	(void)state;
	assert_true(oc_journal_folder("agent:main:main", out));
	assert_string_equal(out, "sessions/agent-3amain-3amain/");
	memset(name, 'n', sizeof name - 1);
	name[sizeof name - 1] = 0;
	assert_true(oc_journal_folder(name, out));
	name[sizeof name - 2] = 'm';
	assert_true(oc_journal_folder(name, other));
	assert_true(strlen(out) < 160 && strlen(out) == strlen(other) && strcmp(out, other) != 0);
	assert_true(oc_journal_object(OC_STR("sessions/a/17/000000000003.jsonl"), &folder, &made, &first));
	assert_true(oc_str_eqz(folder, "sessions/a/") && made == 17 && first == 3);
	static const char *const none[] = {"", "sessions/", "sessions/a", "sessions/a/", "sessions/a/17/", "sessions/a/17/3", "sessions/a/x/3.jsonl",
					   "sessions/a/17/3.jsonl.bak", "other/a/17/3.jsonl", "sessions/a/-1/3.jsonl", "sessions/a/17/b/3.jsonl"};
	for (size_t i = 0; i < sizeof none / sizeof *none; i++)
		assert_false(oc_journal_object(oc_str_of(none[i]), &folder, &made, &first));
}

static void copies_until_it_succeeds(void **state)
{
	fixture *f = *state;
	shelf.fail_puts = 1;
	(void)turn(f, "a", "first", "ok");
	UNTIL(f, all_failed);
	UNTIL(f, has_a);
	(void)turn(f, "b", "other", "ok");
	UNTIL(f, has_b);
}

static void what_is_deleted_goes(void **state)
{
	fixture *f = *state;
	(void)turn(f, "a", "first", "ok");
	UNTIL(f, has_a);
	(void)turn(f, "a", "second", "ok");
	(void)turn(f, "b", "other", "ok");
	UNTIL(f, has_b);
	shelf.fail_removes = 1; /* it is asked again */
	delete_session(f, "a");
	UNTIL(f, no_a);
	assert_true(n_of("agent:main:b") > 0);
	/* While nobody looked: by another process, here by the store itself. */
	oc_batch *b = oc_batch_new(f->store);
	oc_batch_session_delete(b, "agent:main:b");
	assert_int_equal(oc_batch_commit_now(b, NULL), OC_OK);
	stop_gateway(f);
	start_gateway(f, CONFIG);
	put_up_shelf(f);
	uint64_t limit = oc_now_ms() + 20000;
	while (n_of("agent:main:b") > 0 && oc_now_ms() < limit)
		run_ms(f, 10);
	assert_int_equal(n_of("agent:main:b"), 0);
}

/* A list that is not what was asked for must not make it remove anything else, nor go on for ever. */
static void lies_are_not_believed(void **state)
{
	fixture *f = *state;
	(void)turn(f, "a", "first", "ok");
	(void)turn(f, "b", "other", "ok");
	UNTIL(f, has_a);
	UNTIL(f, has_b);
	int before = n_of("agent:main:b");
	char lie[500];
	snprintf(lie, sizeof lie, "{\"objects\":[{\"name\":\"%s\"}]}", shelf.first->name);
	static const char *const lies[] = {"{\"objects\":[],\"more\":true}", "[]", "nonsense", "{\"objects\":[{\"name\":\"\"}]}", "{\"objects\":[{}]}"};
	answered_now = false;
	for (size_t i = 0; i <= sizeof lies / sizeof *lies; i++) {
		shelf.lie = i == 0 ? lie : lies[i - 1];
		if (restore(f, "nobody", "") == OC_OK)
			fail_msg("%s", shelf.lie);
	}
	shelf.lie = lie;
	delete_session(f, "a");
	run_ms(f, 50);
	shelf.lie = NULL;
	assert_int_equal(n_of("agent:main:b"), before);
	uint64_t limit = oc_now_ms() + 20000; /* it is tried again after a while */
	while (n_of("agent:main:a") > 0 && oc_now_ms() < limit)
		run_ms(f, 20);
	assert_int_equal(n_of("agent:main:a"), 0);
}

static void comes_back_as_it_was(void **state)
{
	fixture *f = *state;
	oc_auto_json cJSON *was = NULL, *now = NULL, *report = NULL;
	oc_err err = {0};
	(void)turn(f, "a", "first", "ok");
	UNTIL(f, has_a);
	(void)turn(f, "a", "second", "ok");
	run_ms(f, 50);
	oc_history_filter all = {.all_epochs = true, .limit = 100};
	assert_int_equal(oc_agent_history(f->agent, OC_STR("a"), &all, &was, &err), OC_OK);
	assert_int_equal(restore(f, "a", ""), OC_E_EXISTS);
	assert_int_equal(restore(f, "a", "copy"), OC_OK);
	assert_string_equal(oc_json_str(answer_json, "session", ""), "agent:main:copy");
	assert_int_equal(oc_agent_history(f->agent, OC_STR("copy"), &all, &now, &err), OC_OK);
	assert_true(cJSON_GetArraySize(was) >= 4 && oc_json_equal(was, now));
	assert_int_equal(restore(f, "nobody", ""), OC_E_NOT_FOUND);
	/* A hole, a damaged line, an object that is none: nothing half is left behind. */
	object **first = &shelf.first;
	while (*first != NULL && (strncmp((*first)->name, "sessions/agent-3amain-3aa/", 26) != 0 || strstr((*first)->name, "/000000000001.") == NULL))
		first = &(*first)->next;
	assert_non_null(*first);
	static const char *const damages[] = {"{\"session\":{}}\n{\"seq\":7,\"kind\":\"x\"}\n{\"seq\":9,\"kind\":\"x\"}\n", "{\"session\":{}}\n{\"seq\":\n", "x", "", "{\"seq\":1,\"kind\":\"x\"}\n",
					      "{\"session\":{}}\n{\"seq\":1}\n", "{\"session\":{}}\n{\"seq\":1,\"kind\":\"x\",\"message\":{}}\n"};
	for (size_t i = 0; i < sizeof damages / sizeof *damages; i++) {
		free((*first)->bytes);
		(*first)->bytes = strdup(damages[i]);
		(*first)->n = strlen(damages[i]);
		if (restore(f, "a", "broken") == OC_OK)
			fail_msg("%s", damages[i]);
	}
	run_ms(f, 20);
	oc_auto_json cJSON *list = NULL;
	assert_int_equal(oc_store_sessions(f->store, &(oc_session_filter){.limit = 100}, &list, NULL), OC_OK);
	assert_int_equal(cJSON_GetArraySize(list), 2);
	oc_auto_free char *db = oc_path_join(f->dir, "openclaw.db");
	assert_int_equal(oc_store_check(db, true, &report, &err), OC_OK);
	assert_true(oc_json_bool(report, "ok", false));
	cJSON_Delete(answer_json);
	answer_json = NULL;
}

static void nothing_without_a_storage(void **state)
{
	fixture *f = *state;
	oc_err err = {0};
	shelf.puts = 0;
	(void)turn(f, "a", "first", "ok");
	run_ms(f, 20);
	assert_int_equal(shelf.puts, 0);
	assert_int_equal(oc_journal_list(f->agent, on_answer, f, &err), OC_E_STATE);
	assert_true(strstr(err.remedy, "modules.slots.storage") != NULL);
}

#define T(name) cmocka_unit_test_setup_teardown(name, setup_shelf, teardown_shelf)

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(names), T(copies_until_it_succeeds), T(what_is_deleted_goes), T(lies_are_not_believed), T(comes_back_as_it_was),
		cmocka_unit_test_setup_teardown(nothing_without_a_storage, setup, teardown),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
