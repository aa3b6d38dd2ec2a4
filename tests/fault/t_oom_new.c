/*
 * Everything that is made, opened, read or parsed, with the N-th allocation failing, N from 1 until it succeeds: an error that
 * says so, or success; no block and no descriptor is left; what it was made of works afterwards.  One line of the table for
 * each; a turn and the start of an agent are in t_oom_turn.
 */
#include <dirent.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "core/agent/front.h"
#include "core/agent/memory_index.h"
#include "core/agent/queue.h"
#include "core/agent/skills.h"
#include "core/base/buf.h"
#include "core/base/log.h"
#include "core/base/mem.h"
#include "core/config/config.h"
#include "core/data/json5.h"
#include "core/data/regex.h"
#include "core/data/schema.h"
#include "core/hook/hook.h"
#include "core/loop/loop.h"
#include "core/module/manifest.h"
#include "core/module/module.h"
#include "core/net/http_client.h"
#include "core/net/server.h"
#include "core/net/sse.h"
#include "core/net/stream.h"
#include "core/net/tls.h"
#include "core/net/url.h"
#include "core/net/ws_inner.h"
#include "core/gateway/runtime.h"
#include "core/security/process.h"
#include "core/store/store.h"
#include "ipc-bridge/bridge.h"
#include "ipc-bridge/isolate.h"
#include "ipc-bridge/transport.h"
#include "tests/fault/oom.h"
#include "tests/unit/tree.h"

enum { ALL_UP_TO = 60, STRIDE = 41 };

static char dir[80], db[120], copy[120], config_path[120], cert[120], cert_key[120], copy_key[120];
static oc_loop *loop; /* made before anything fails */
static oc_config *config;
static oc_err err;

static const char config_text[] =
	"{ // a comment\n agents: {defaults: {model: {primary: 'offline/echo', fallbacks: ['a/b']}}, list: [{id: 'main'}]},\n"
	" channels: {telegram: {botToken: '${NO_SUCH_VARIABLE:-x}'}}, unknown: {key: [1, 2.5e3, true, null]}}\n";
static const char json_text[] = "{\"a\":[1,2,{\"b\":\"\\u00e9 text that is longer than a small buffer would hold\"}],\"c\":null}";
static const char schema_text[] = "{\"type\":\"object\",\"properties\":{\"a\":{\"type\":\"array\",\"items\":{}},\"n\":{\"type\":"
				  "\"integer\",\"default\":7},\"c\":{}},\"required\":[\"a\"],\"additionalProperties\":false}";
static const char manifest_text[] =
	"{\"name\":\"frugal\",\"version\":\"1\",\"abi\":{\"major\":1,\"minor\":0},\"kinds\":[\"provider\",\"tool\"],\"license\":\"MIT\","
	"\"description\":\"d\",\"providers\":[{\"id\":\"p\",\"api\":\"x\",\"baseUrl\":\"\",\"models\":[{\"id\":\"one\"}]}]}";

static oc_status given(const void *p)
{
	return p != NULL ? OC_OK : OC_E_NOMEM;
}

/* nftw would want memory. */
static void forget_copy(void)
{
	static const char *const tails[] = {"", "-wal", "-shm", ".lock", ".part"};
	for (size_t i = 0; i < sizeof tails / sizeof *tails; i++) {
		char path[140];
		snprintf(path, sizeof path, "%s%s", copy, tails[i]);
		(void)unlink(path);
	}
}

/* ---- The makers: each frees what it made ---- */

static oc_status make_arena(void)
{
	oc_arena *a = oc_arena_new(0);
	bool whole = a != NULL && oc_arena_alloc(a, 100000) != NULL && oc_arena_strdup(a, "text") != NULL &&
		     oc_arena_printf(a, "%d", 7) != NULL;
	oc_arena_free(a);
	return whole ? OC_OK : OC_E_NOMEM;
}

static oc_status make_buf(void)
{
	oc_buf *b = oc_buf_new(OC_STR("bytes"));
	oc_status status = given(b);
	oc_buf_unref(b);
	return status;
}

static oc_status make_text(void)
{
	oc_sbuf b;
	oc_sbuf_init(&b, 1 << 20);
	for (int i = 0; i < 500; i++)
		oc_sbuf_printf(&b, "number %d, ", i);
	oc_sbuf_json(&b, OC_STR("a \"quoted\" text"));
	oc_status status = b.error;
	oc_auto_free char *text = oc_sbuf_take(&b);
	oc_sbuf_free(&b);
	return status == OC_OK ? given(text) : status;
}

static oc_status make_json(void)
{
	cJSON *tree = NULL;
	oc_status status = oc_json_parse(oc_str_of(json_text), NULL, &tree, &err);
	oc_auto_free char *text = status == OC_OK ? oc_json_print(tree) : NULL;
	if (status == OC_OK)
		status = given(text);
	cJSON_Delete(tree);
	return status;
}

static oc_status make_json5(void)
{
	cJSON *tree = NULL;
	oc_status status = oc_json5_parse(oc_str_of(config_text), NULL, &tree, &err);
	cJSON_Delete(tree);
	return status;
}

static oc_status make_schema(void)
{
	cJSON *schema = NULL, *value = NULL;
	oc_status status = oc_json_parse(oc_str_of(schema_text), NULL, &schema, &err);
	if (status == OC_OK)
		status = oc_json_parse(oc_str_of(json_text), NULL, &value, &err);
	if (status == OC_OK)
		status = oc_schema_valid(schema, &err);
	if (status == OC_OK)
		status = oc_schema_check_fill(schema, value, &err);
	if (status == OC_OK)
		assert_int_equal(oc_json_i64(value, "n", 0), 7);
	cJSON_Delete(schema);
	cJSON_Delete(value);
	return status;
}

static oc_status make_regex(void)
{
	oc_regex *r = NULL;
	oc_status status = oc_regex_new(OC_STR("^(a|bc)+[^x-z]{2,5}d?$"), OC_REGEX_IGNORE_CASE, &r, &err);
	if (status == OC_OK)
		status = oc_regex_match(r, OC_STR("abcABC..d"));
	oc_regex_free(r);
	return status;
}

static oc_status make_config(void)
{
	oc_config *c = NULL;
	oc_status status = oc_config_load(config_path, &c, &err);
	if (status == OC_OK)
		assert_string_equal(oc_config_str(c, "agents.defaults.model.primary", ""), "offline/echo");
	oc_config_unref(c);
	return status;
}

static oc_status make_front(void)
{
	cJSON *head = NULL;
	oc_status status = oc_front_parse(OC_STR("---\nname: x\nmetadata:\n  a: [1, two]\n  b: \"text\"\n---\nbody\n"), &head, NULL, &err);
	cJSON_Delete(head);
	return status;
}

static oc_status make_skills(void)
{
	oc_arena *arena = oc_arena_new(0);
	oc_skills skills = {0};
	oc_status status = arena != NULL ? oc_skills_load(config, dir, dir, "main", arena, &skills, &err) : OC_E_NOMEM;
	if (status == OC_OK)
		assert_int_equal(skills.n, 1);
	oc_arena_free(arena);
	return status;
}

static oc_status make_queue(void)
{
	cJSON *patch = NULL;
	oc_status status = oc_queue_parse(OC_STR("collect debounce:2s cap:25 drop:summarize"), &patch, &err);
	cJSON_Delete(patch);
	return status;
}

static oc_status make_loop(void)
{
	oc_loop *l = NULL;
	oc_status status = oc_loop_new(&l, &err);
	oc_owner *owner = status == OC_OK ? oc_owner_new(l, "it") : NULL;
	if (status == OC_OK && (owner == NULL || oc_timer_start(owner, 10, 0, oc_free, NULL) == NULL))
		status = OC_E_NOMEM;
	oc_owner_free(owner);
	oc_loop_free(l);
	return status;
}

static oc_status make_wake(void)
{
	oc_wake *w = oc_wake_new(loop, oc_free, NULL);
	oc_status status = given(w);
	oc_wake_free(w);
	return status;
}

static oc_status make_hooks(void)
{
	oc_hooks *h = NULL;
	oc_status status = oc_hooks_new(loop, &h, &err);
	oc_hooks_free(h);
	return status;
}

static oc_status make_manifest(void)
{
	oc_manifest *m = NULL;
	oc_status status = oc_manifest_parse(oc_str_of(manifest_text), &m, &err);
	oc_manifest_free(m);
	return status;
}

static oc_status make_modules(void)
{
	oc_modules_options o = {.module_dir = "", .user_dir = dir, .search_path = "", .no_static = true};
	oc_modules *m = NULL;
	oc_status status = oc_modules_new(loop, NULL, &o, &m, &err);
	if (status == OC_OK)
		status = oc_modules_scan(m, &err);
	oc_modules_free(m);
	return status;
}

static oc_status make_procs(void)
{
	oc_procs_options o = {.state_dir = dir};
	oc_procs *p = NULL;
	oc_status status = oc_procs_new(loop, &o, &p, &err);
	oc_procs_free(p);
	return status;
}

static oc_status make_http_server(void)
{
	oc_http_server_options o = {.server_name = "it"};
	oc_http_server *s = NULL;
	oc_status status = oc_http_server_new(loop, &o, &s, &err);
	if (status == OC_OK)
		oc_http_server_free(s);
	return status;
}

static oc_status make_http_client(void)
{
	oc_http_client_options o = {.proxy = ""};
	oc_http_client *c = NULL;
	oc_status status = oc_http_client_new(loop, &o, &c, &err);
	if (status == OC_OK)
		oc_http_client_free(c);
	return status;
}

static void drop_bytes(void *arg, oc_str bytes)
{
	(void)arg;
	(void)bytes;
}

static oc_status make_tls(void)
{
	oc_tls_server *server = NULL;
	oc_tls *tls = NULL;
	oc_status status = oc_tls_server_new(cert, cert_key, &server, &err);
	if (status == OC_OK)
		status = oc_tls_accept(server, drop_bytes, NULL, &tls);
	if (status == OC_OK)
		(void)oc_tls_feed(tls, OC_STR("\x16\x03\x01\x00\x05GET /"), drop_bytes, NULL, NULL);
	oc_tls_free(tls);
	oc_tls_server_unref(server);
	/* mbedTLS tries one form of key after the other, and says of the last one that it is none. */
	return status == OC_E_INVALID && strstr(err.text, "Invalid key") != NULL ? OC_E_NOMEM : status;
}

/* A WebSocket over a stream that is never connected: what it says waits there. */
typedef struct socket_test {
	oc_net net;
	oc_stream s;
	oc_ws *ws;
	int messages, closes, gone;
	bool closed;
} socket_test;

static void on_ws_message(void *arg, oc_ws *ws, oc_str data, bool binary)
{
	socket_test *t = arg;
	t->messages += oc_ws_send(ws, data, binary) == OC_OK;
}

static void on_ws_close(void *arg, oc_ws *ws, uint16_t code, oc_str reason)
{
	(void)ws;
	(void)code;
	(void)reason;
	((socket_test *)arg)->closes++;
}

static void on_ws_gone(void *arg, bool open)
{
	socket_test *t = arg;
	if (open)
		oc_stream_close(&t->s, false);
	t->gone++;
}

static void on_stream_closed(void *arg)
{
	((socket_test *)arg)->closed = true;
}

static oc_status make_ws(void)
{
	socket_test t = {0};
	oc_ws_options o = {.on_message = on_ws_message, .on_close = on_ws_close, .arg = &t};
	oc_status status = oc_net_init(&t.net, loop, "ws");
	if (status != OC_OK)
		return status;
	status = oc_stream_init(&t.s, &t.net, true, on_stream_closed, &t);
	t.closed = status != OC_OK;
	if (status == OC_OK)
		status = oc_ws_attach(&t.s, true, &o, on_ws_gone, &t, &t.ws);
	if (status == OC_OK) {
		/* "hello", masked, and a ping; a shortage in between ends the connection, and only that. */
		oc_stream_cork(&t.s);
		oc_ws_feed(t.ws, OC_STR("\x81\x85\x01\x01\x01\x01idmmn\x89\x80\x01\x01\x01\x01"));
		oc_ws_feed_later(t.ws, OC_STR("\x81\x80\x01\x01\x01\x01"));
		status = t.messages == 1 && t.s.error == OC_OK ? OC_OK : OC_E_NOMEM;
		oc_ws_cut(t.ws);
		assert_int_equal(t.closes, 1);
		assert_int_equal(t.gone, 1);
	} else if (!t.closed) {
		oc_stream_close(&t.s, false);
	}
	while (!t.closed)
		(void)uv_run(oc_loop_uv(loop), UV_RUN_NOWAIT);
	oc_net_destroy(&t.net);
	return status;
}

static oc_status make_certificate(void)
{
	oc_status status = oc_tls_self_signed(copy, copy_key, "localhost", &err);
	(void)unlink(copy);
	(void)unlink(copy_key);
	return status;
}

static oc_status make_bridge(void)
{
	oc_bridge *bridge = NULL;
	oc_status status = oc_bridge_new(loop, config, NULL, NULL, NULL, NULL, &bridge, &err);
	if (status == OC_OK)
		status = oc_bridge_scan(bridge, &err);
	oc_bridge_free(bridge);
	return status;
}

static oc_status make_isolates(void)
{
	oc_modules_options o = {.module_dir = "", .user_dir = dir, .search_path = "", .no_static = true};
	oc_modules *m = NULL;
	oc_isolates *all = NULL;
	oc_status status = oc_modules_new(loop, config, &o, &m, &err);
	if (status == OC_OK)
		status = oc_isolates_new(loop, config, m, &all, &err);
	if (status == OC_OK)
		oc_isolates_configure(all, config);
	oc_modules_free(m);
	oc_isolates_free(all);
	return status;
}

/* The whole gateway but its port: store, hooks, modules, agent, bridge. */
static oc_status make_runtime(void)
{
	oc_runtime *rt = NULL;
	oc_status status = oc_runtime_new(oc_config_ref(config), 0, &rt, &err);
	if (status == OC_OK)
		oc_runtime_free(rt);
	else
		oc_config_unref(config);
	return status;
}

static void on_event(void *arg, oc_str event, oc_str data, oc_str id)
{
	(void)arg;
	(void)event;
	(void)data;
	(void)id;
}

static oc_status make_sse(void)
{
	oc_sse *s = oc_sse_new(0, on_event, NULL);
	oc_status status = s != NULL ? oc_sse_feed(s, OC_STR("id: 7\nevent: x\ndata: some text\ndata: more\n\n")) : OC_E_NOMEM;
	oc_sse_free(s);
	return status;
}

static oc_status make_url(void)
{
	oc_url *u = NULL;
	oc_status status = oc_url_parse(OC_STR("https://user@example.org:8443/a/../b%20c?q=1#f"), &u, &err);
	oc_url_free(u);
	return status;
}

static oc_status make_memory_index(void)
{
	char path[120];
	snprintf(path, sizeof path, "%s/memory.db", dir);
	oc_memory_index *i = oc_memory_index_new(path);
	oc_status status = given(i);
	oc_memory_index_unref(i);
	return status;
}

static oc_status open_store(int mode, const char *path)
{
	oc_store *s = NULL;
	cJSON *list = NULL;
	oc_status status = oc_store_open(path, loop, mode, &s, &err);
	if (status == OC_OK)
		status = oc_store_sessions(s, NULL, &list, &err);
	cJSON_Delete(list);
	oc_store_close(s);
	return status;
}

static oc_status make_store(void)
{
	forget_copy();
	return open_store(OC_STORE_OWNER, copy);
}

static oc_status make_store_reader(void)
{
	return open_store(OC_STORE_READER, db);
}

static oc_status make_batch(void)
{
	oc_store *s = NULL;
	oc_status status = oc_store_open(db, loop, OC_STORE_OWNER, &s, &err);
	oc_batch *b = status == OC_OK ? oc_batch_new(s) : NULL;
	if (status == OC_OK && b == NULL)
		status = OC_E_NOMEM;
	if (b != NULL) {
		oc_batch_session(b, "agent:main:main", &(oc_session_facts){.agent = "main", .title = "t"});
		oc_batch_message(b, "agent:main:main", "message_received", &(oc_message){.role = "user", .text = "hello"});
		oc_batch_kv(b, "m", OC_STR("k"), OC_STR("v"));
		status = oc_batch_commit_now(b, &err);
	}
	oc_store_close(s);
	return status;
}

static oc_status make_check(void)
{
	cJSON *report = NULL;
	oc_status status = oc_store_check(db, false, &report, &err);
	/* A query for which there was no memory may be named as a problem, never as a whole store. */
	bool ok = oc_json_bool(report, "ok", false);
	cJSON_Delete(report);
	return status == OC_OK && !ok ? OC_E_NOMEM : status;
}

static oc_status make_figures(void)
{
	cJSON *o = NULL;
	oc_status status = oc_store_figures(db, &o, &err);
	cJSON_Delete(o);
	return status;
}

static oc_status make_backup(void)
{
	int64_t bytes = 0;
	forget_copy();
	oc_status status = oc_store_backup(db, copy, &bytes, &err);
	if (status != OC_OK && access(copy, F_OK) == 0)
		fail_msg("a backup that failed was left behind");
	/* The copy could not be checked: that is told as damage of the copy. */
	return status == OC_E_CORRUPT ? OC_E_NOMEM : status;
}

static oc_status make_compact(void)
{
	int64_t before = 0, after = 0;
	return oc_store_compact(db, &before, &after, &err);
}

static const struct {
	const char *name;
	oc_status (*make)(void);
} makers[] = {
	{"oc_arena_new", make_arena},
	{"oc_buf_new", make_buf},
	{"oc_sbuf", make_text},
	{"oc_json_parse, oc_json_print", make_json},
	{"oc_json5_parse", make_json5},
	{"oc_schema_valid, oc_schema_check_fill", make_schema},
	{"oc_regex_new, oc_regex_match", make_regex},
	{"oc_config_load", make_config},
	{"oc_front_parse", make_front},
	{"oc_skills_load", make_skills},
	{"oc_queue_parse", make_queue},
	{"oc_loop_new, oc_owner_new, oc_timer_start", make_loop},
	{"oc_wake_new", make_wake},
	{"oc_hooks_new", make_hooks},
	{"oc_manifest_parse", make_manifest},
	{"oc_modules_new, oc_modules_scan", make_modules},
	{"oc_procs_new", make_procs},
	{"oc_http_server_new", make_http_server},
	{"oc_http_client_new", make_http_client},
	{"oc_ws_attach, oc_ws_feed, oc_ws_send", make_ws},
	{"oc_tls_server_new, oc_tls_accept", make_tls},
	{"oc_tls_self_signed", make_certificate},
	{"oc_bridge_new, oc_bridge_scan", make_bridge},
	{"oc_isolates_new, oc_isolates_configure", make_isolates},
	{"oc_runtime_new", make_runtime},
	{"oc_sse_new, oc_sse_feed", make_sse},
	{"oc_url_parse", make_url},
	{"oc_memory_index_new", make_memory_index},
	{"oc_store_open, a new file", make_store},
	{"oc_store_open, a reader", make_store_reader},
	{"oc_batch_new, oc_batch_commit_now", make_batch},
	{"oc_store_check", make_check},
	{"oc_store_figures", make_figures},
	{"oc_store_backup", make_backup},
	{"oc_store_compact", make_compact},
};

/* ---- One after the other ---- */

static int descriptors(void)
{
	int n = 0;
	DIR *d = opendir("/proc/self/fd");
	assert_non_null(d);
	while (readdir(d) != NULL)
		n++;
	closedir(d);
	return n;
}

static void turn_loop(void)
{
	/* What was closed is freed at the end of an iteration. */
	assert_int_equal(oc_loop_post(loop, (void (*)(void *))oc_loop_stop, loop), OC_OK);
	oc_loop_run(loop);
}

/* All N of one maker. */
static int drive(const char *name, oc_status (*make)(void))
{
	int broken = 0;
	err = (oc_err){0};
	if (make() != OC_OK)
		fail_msg("%s fails without a fault: %s", name, err.text);
	turn_loop();
	/* SQLite asks for thousands: beyond the first ones some of them, or all with OC_OOM_STEP=1 (make check-oom). */
	long stride = getenv("OC_OOM_STEP") != NULL ? 1 : STRIDE;
	for (long n = 1;; n += n < ALL_UP_TO ? 1 : stride) {
		unsigned long live = oc_mem_live();
		int fds = descriptors();
		err = (oc_err){0};
		oom_arm(name, n, 1);
		oc_status status = make();
		bool failed = oom_disarm();
		turn_loop();
		const char *wrong = status != OC_OK && !failed		       ? "it fails though nothing did"
				    : status != OC_OK && status != OC_E_NOMEM ? "it fails with another error"
				    : oc_mem_live() != live		       ? "memory is left"
				    : descriptors() != fds		       ? "descriptors are left"
									       : NULL;
		if (wrong != NULL) {
			print_message("# %s, allocation %ld: %s (%s: %s)\n", name, n, wrong, oc_status_name(status), err.text);
			oom_where();
			broken++;
		}
		if (!failed || broken > 5) {
			print_message("# %s: %ld allocations\n", name, n - 1);
			break;
		}
	}
	err = (oc_err){0};
	if (make() != OC_OK)
		fail_msg("%s does not work any more: %s", name, err.text);
	turn_loop();
	return broken;
}

static void test_makers(void **state)
{
	(void)state;
	int broken = 0;
	const char *only = getenv("OC_OOM_NAME");
	for (size_t i = 0; i < sizeof makers / sizeof *makers; i++)
		if (only == NULL || strstr(makers[i].name, only) != NULL)
			broken += drive(makers[i].name, makers[i].make);
	if (broken > 0)
		fail_msg("%d allocations are not survived", broken);
}

static void write_file(const char *name, const char *text)
{
	char path[160];
	snprintf(path, sizeof path, "%s/%s", dir, name);
	FILE *f = fopen(path, "w");
	assert_non_null(f);
	assert_int_equal(fwrite(text, 1, strlen(text), f), strlen(text));
	fclose(f);
	assert_int_equal(chmod(path, 0600), 0);
}

static int setup(void **state)
{
	(void)state;
	char path[120];
	oc_log_set_stderr(false);
	const char *tmp = access("/dev/shm", W_OK) == 0 ? "/dev/shm" : getenv("TMPDIR") != NULL ? getenv("TMPDIR") : "/tmp";
	snprintf(dir, sizeof dir, "%s/oc-oomnew-XXXXXX", tmp);
	assert_non_null(mkdtemp(dir));
	snprintf(db, sizeof db, "%s/openclaw.db", dir);
	snprintf(copy, sizeof copy, "%s/copy.db", dir);
	snprintf(config_path, sizeof config_path, "%s/openclaw.json", dir);
	snprintf(path, sizeof path, "%s/skills", dir);
	assert_int_equal(mkdir(path, 0700), 0);
	snprintf(path, sizeof path, "%s/skills/it", dir);
	assert_int_equal(mkdir(path, 0700), 0);
	write_file("skills/it/SKILL.md", "---\nname: it\ndescription: does it\n---\nDo it.\n");
	write_file("openclaw.json", config_text);
	snprintf(cert, sizeof cert, "%s/cert.pem", dir);
	snprintf(cert_key, sizeof cert_key, "%s/key.pem", dir);
	snprintf(copy_key, sizeof copy_key, "%s/copy.key", dir);
	snprintf(path, sizeof path, "%s/state", dir);
	assert_int_equal(setenv("OPENCLAW_STATE_DIR", path, 1), 0);
	assert_int_equal(oc_tls_self_signed(cert, cert_key, "localhost", &err), OC_OK);
	oom_begin();
	assert_int_equal(oc_loop_new(&loop, &err), OC_OK);
	assert_int_equal(oc_config_load(config_path, &config, &err), OC_OK);
	assert_int_equal(make_batch(), OC_OK);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	oc_config_unref(config);
	oc_loop_free(loop);
	return tree_remove(dir);
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(test_makers)};
	return cmocka_run_group_tests(tests, setup, teardown);
}
