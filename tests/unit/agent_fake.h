/*
 * What the agent's tests share: a gateway without a network.  A module in this process plays a provider (answers come from
 * a script), tools and a channel; everything else is real: loop, store, hooks, registry, configuration.
 */
#ifndef OC_TESTS_UNIT_AGENT_FAKE_H
#define OC_TESTS_UNIT_AGENT_FAKE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "core/agent/agent.h"
#include "core/base/clock.h"
#include "core/base/log.h"
#include "core/base/mem.h"
#include "core/base/path.h"
#include "core/data/json.h"
#include "tests/unit/tree.h"

enum { MAX_NOTES = 400 };

/* One answer of the model. All members may be left out. */
typedef struct answer {
	const char *text, *text2; /* sent in two pieces */
	bool early; /* the first at once, the other after delay_ms */
	const char *thinking;
	const char *calls[8]; /* OC_EV_TOOL_CALL payloads */
	const char *block;
	const char *usage;
	oc_status status;
	const char *error, *stop;
	uint64_t delay_ms;
	bool hang; /* no end until it is canceled */
	bool echo; /* the text is the request's last user text */
} answer;

typedef struct fake_call fake_call;
struct fake_call {
	fake_call *next;
	oc_call *call;
	oc_watch *timer;
	void (*end)(fake_call *c);
	char what[64];
	const answer *a;
	char *echo;
	bool over;
};

typedef struct fixture {
	char dir[80];
	oc_loop *loop;
	oc_owner *owner;
	oc_config *config;
	oc_store *store;
	oc_hooks *hooks;
	oc_modules *modules;
	oc_agent *agent;
	bool one_shot;
	/* the model */
	const answer *script;
	size_t at;
	char *requests[64]; /* as the provider got them */
	size_t n_requests;
	fake_call *calls;
	int open_calls, canceled;
	const char *embed_answer; /* NULL: none comes */
	oc_status embed_status;
	/* the channel */
	char *sent[64];
	size_t n_sent;
	int fail_sends;
	oc_status send_status;
	uint64_t send_delay_ms;
	void (*on_send)(oc_str message);
	char connected[400];
	/* what happened, one word each */
	char notes[MAX_NOTES][160];
	size_t n_notes;
	/* the last run */
	cJSON *done;
	int dones;
	char text[8192]; /* of the TEXT events */
} fixture;

static const oc_host_api *host;
static oc_self *self;
static fixture *fake;

/* ---- Notes ---- */

static void note(const char *format, ...) __attribute__((format(printf, 1, 2)));
static void note(const char *format, ...)
{
	va_list args;
	if (fake->n_notes >= MAX_NOTES)
		return;
	va_start(args, format);
	vsnprintf(fake->notes[fake->n_notes++], sizeof fake->notes[0], format, args);
	va_end(args);
}

__attribute__((unused)) static int noted_at(const char *what)
{
	for (size_t i = 0; i < fake->n_notes; i++)
		if (strcmp(fake->notes[i], what) == 0)
			return (int)i;
	return -1;
}

__attribute__((unused)) static int noted_times(const char *what)
{
	int n = 0;
	for (size_t i = 0; i < fake->n_notes; i++)
		n += strcmp(fake->notes[i], what) == 0;
	return n;
}

static void fail_with_notes(const char *why)
{
	for (size_t i = 0; i < fake->n_notes; i++)
		print_message("# %s\n", fake->notes[i]);
	fail_msg("%s", why);
}

/* ---- Calls of the fake module ---- */

static fake_call *open_call(oc_call *call, const char *what, void (*end)(fake_call *c), uint64_t delay_ms);

static void end_call(fake_call *c, oc_status status, const char *result)
{
	if (c->over)
		return;
	c->over = true;
	fake->open_calls--;
	host->unwatch(c->timer);
	c->timer = NULL;
	host->call_done(c->call, status, oc_str_of(result));
}

static void call_timer(void *arg)
{
	fake_call *c = arg;
	if (!c->over)
		c->end(c);
}

static fake_call *open_call(oc_call *call, const char *what, void (*end)(fake_call *c), uint64_t delay_ms)
{
	fake_call *c = calloc(1, sizeof *c);
	c->call = call;
	c->end = end;
	snprintf(c->what, sizeof c->what, "%s", what);
	c->next = fake->calls;
	fake->calls = c;
	fake->open_calls++;
	if (delay_ms != UINT64_MAX)
		c->timer = host->timer(self, delay_ms, 0, call_timer, c);
	return c;
}

static void fake_cancel(void *inst, oc_call *call)
{
	(void)inst;
	for (fake_call *c = fake->calls; c != NULL; c = c->next)
		if (c->call == call && !c->over) {
			fake->canceled++;
			note("cancel %s", c->what);
			end_call(c, OC_E_CANCELED, "canceled");
		}
}

/* ---- The provider ---- */

__attribute__((unused)) static const char *last_user_text(const cJSON *request)
{
	const cJSON *messages = oc_json_get(request, "messages");
	for (int i = cJSON_GetArraySize(messages) - 1; i >= 0; i--) {
		const cJSON *m = cJSON_GetArrayItem(messages, i);
		if (strcmp(oc_json_str(m, "role", ""), "user") == 0)
			return oc_json_str(oc_json_get(m, "content")->child, "text", "");
	}
	return "";
}

static void end_chat(fake_call *c)
{
	const answer *a = c->a;
	const char *text = c->echo != NULL ? c->echo : a->text;
	if (a->thinking != NULL)
		host->call_event(c->call, OC_EV_THINKING, oc_str_of(a->thinking));
	if (a->block != NULL)
		host->call_event(c->call, OC_EV_BLOCK, oc_str_of(a->block));
	if (text != NULL && !a->early)
		host->call_event(c->call, OC_EV_TEXT, oc_str_of(text));
	if (a->text2 != NULL)
		host->call_event(c->call, OC_EV_TEXT, oc_str_of(a->text2));
	for (int i = 0; i < 8 && a->calls[i] != NULL; i++)
		host->call_event(c->call, OC_EV_TOOL_CALL, oc_str_of(a->calls[i]));
	if (a->usage != NULL)
		host->call_event(c->call, OC_EV_USAGE, oc_str_of(a->usage));
	free(c->echo);
	c->echo = NULL;
	if (a->hang)
		return;
	if (a->status != OC_OK) {
		end_call(c, a->status, a->error != NULL ? a->error : "as the script says");
		return;
	}
	char result[100];
	snprintf(result, sizeof result, "{\"stopReason\":\"%s\"}",
		 a->stop != NULL ? a->stop : a->calls[0] != NULL ? "tool_use" : "stop");
	end_call(c, OC_OK, result);
}

static void fake_chat(void *inst, oc_call *call, oc_str request)
{
	static const answer fallback = {.echo = true};
	(void)inst;
	const answer *a = fake->script != NULL ? &fake->script[fake->at++] : &fallback;
	cJSON *root = cJSON_Parse(request.p);
	assert_non_null(root);
	note("chat %s", oc_json_str(root, "model", ""));
	if (fake->n_requests < 64)
		fake->requests[fake->n_requests++] = strdup(request.p);
	fake_call *c = open_call(call, "chat", end_chat, a->delay_ms);
	c->a = a;
	if (a->echo)
		c->echo = strdup(last_user_text(root));
	if (a->early)
		host->call_event(call, OC_EV_TEXT, oc_str_of(a->text));
	cJSON_Delete(root);
}

static void end_embed(fake_call *c)
{
	end_call(c, fake->embed_status, fake->embed_answer);
}

static void fake_embed(void *inst, oc_call *call, oc_str request)
{
	(void)inst;
	fake->requests[fake->n_requests++] = strndup(request.p, request.n);
	(void)open_call(call, "embed", end_embed, fake->embed_answer != NULL ? 0 : UINT64_MAX);
}

static const oc_provider_vtbl provider = {.struct_size = sizeof provider, .chat = fake_chat, .cancel = fake_cancel, .embed = fake_embed};

/* ---- Tools ---- */

static const char tools_json[] =
	"[{\"name\":\"say\",\"description\":\"d\",\"group\":\"fs\",\"parameters\":{\"type\":\"object\",\"properties\":{\"text\":"
	"{\"type\":\"string\"},\"n\":{\"type\":\"integer\",\"default\":7}},\"required\":[\"text\"],\"additionalProperties\":false}},"
	"{\"name\":\"slow\",\"description\":\"d\",\"parameters\":{\"type\":\"object\",\"properties\":{\"id\":{\"type\":\"string\"},"
	"\"ms\":{\"type\":\"integer\"}}}},"
	"{\"name\":\"serial\",\"description\":\"d\",\"serial\":true,\"parameters\":{\"type\":\"object\"}},"
	"{\"name\":\"boom\",\"description\":\"d\",\"parameters\":{\"type\":\"object\"}},"
	"{\"name\":\"broken\",\"description\":\"d\",\"parameters\":{\"type\":\"object\"}},"
	"{\"name\":\"huge\",\"description\":\"d\",\"parameters\":{\"type\":\"object\"}},"
	"{\"name\":\"hang\",\"description\":\"d\",\"timeoutMs\":60,\"parameters\":{\"type\":\"object\"}},"
	"{\"name\":\"netty\",\"description\":\"d\",\"capabilities\":[\"net\"],\"parameters\":{\"type\":\"object\"}},"
	"{\"name\":\"rooty\",\"description\":\"d\",\"capabilities\":[\"exec\"],\"parameters\":{\"type\":\"object\"}}]";

static oc_str fake_tools(void *inst)
{
	(void)inst;
	return oc_str_of(tools_json);
}

static void end_tool(fake_call *c)
{
	note("end %s", c->what);
	char result[200];
	snprintf(result, sizeof result, "{\"content\":[{\"type\":\"text\",\"text\":\"result of %s\"}]}", c->what);
	end_call(c, OC_OK, result);
}

static void fake_invoke(void *inst, oc_call *call, oc_str tool, oc_str args, oc_str context)
{
	(void)inst;
	cJSON *a = cJSON_Parse(args.p), *ctx = cJSON_Parse(context.p);
	assert_non_null(a);
	assert_true(oc_json_str(ctx, "workspace", "")[0] == '/');
	assert_string_equal(oc_json_str(ctx, "sandbox", ""), "strict");
	note("invoke %s %s", tool.p, args.p);
	if (oc_str_eqz(tool, "say")) {
		char result[300];
		snprintf(result, sizeof result, "{\"content\":[{\"type\":\"text\",\"text\":\"said %s\"}],\"details\":{\"n\":%d}}",
			 oc_json_str(a, "text", ""), (int)oc_json_i64(a, "n", -1));
		host->call_event(call, OC_EV_PROGRESS, OC_STR("saying"));
		host->call_done(call, OC_OK, oc_str_of(result));
	} else if (oc_str_eqz(tool, "slow")) {
		open_call(call, oc_json_str(a, "id", "?"), end_tool, (uint64_t)oc_json_i64(a, "ms", 1));
	} else if (oc_str_eqz(tool, "serial")) {
		open_call(call, oc_json_str(a, "id", "?"), end_tool, 20);
	} else if (oc_str_eqz(tool, "boom")) {
		host->call_done(call, OC_E_IO, OC_STR("the disk is on fire"));
	} else if (oc_str_eqz(tool, "broken")) {
		host->call_done(call, OC_OK, OC_STR("[1,2"));
	} else if (oc_str_eqz(tool, "huge")) {
		oc_sbuf text;
		oc_sbuf_init(&text, 1 << 20);
		oc_sbuf_z(&text, "{\"content\":[{\"type\":\"text\",\"text\":\"");
		for (int i = 0; i < 40000; i++)
			oc_sbuf_z(&text, "xxxxxxxxxx");
		oc_sbuf_z(&text, "END\"}]}");
		host->call_done(call, OC_OK, oc_sbuf_view(&text));
		oc_sbuf_free(&text);
	} else if (oc_str_eqz(tool, "hang")) {
		open_call(call, "hang", end_tool, UINT64_MAX);
	} else {
		host->call_done(call, OC_OK, OC_STR("{\"content\":[{\"type\":\"text\",\"text\":\"ok\"}]}"));
	}
	cJSON_Delete(a);
	cJSON_Delete(ctx);
}

static void fake_session_end(void *inst, oc_str info)
{
	(void)inst;
	cJSON *o = cJSON_Parse(info.p);
	note("session_end %s", oc_json_str(o, "session", ""));
	cJSON_Delete(o);
}

static const oc_tool_vtbl tool_vtbl = {.struct_size = sizeof tool_vtbl, .tools = fake_tools, .invoke = fake_invoke,
				       .cancel = fake_cancel, .session_end = fake_session_end};

/* ---- The channel ---- */

static void fake_connect(void *inst, oc_call *call, oc_str account)
{
	(void)inst;
	snprintf(fake->connected, sizeof fake->connected, "%s", account.p);
	note("connect");
	host->call_done(call, OC_OK, OC_STR("{}"));
}

static void fake_disconnect(void *inst, oc_call *call, oc_str account)
{
	(void)inst;
	(void)account;
	note("disconnect");
	host->call_done(call, OC_OK, OC_STR("{}"));
}

static void end_send(fake_call *c)
{
	char result[100];
	snprintf(result, sizeof result, "{\"messageId\":\"m%zu\",\"messageIds\":[\"m%zu\"]}", fake->n_sent, fake->n_sent);
	end_call(c, OC_OK, result);
}

static void keep_sent(const char *how, oc_str message)
{
	cJSON *o = cJSON_Parse(message.p);
	assert_non_null(o);
	note("%s %s: %s", how, oc_json_str(o, "to", ""), oc_json_str(o, "text", ""));
	if (fake->n_sent < 64)
		fake->sent[fake->n_sent++] = strdup(message.p);
	cJSON_Delete(o);
}

static void fake_send(void *inst, oc_call *call, oc_str message)
{
	(void)inst;
	if (fake->fail_sends > 0) {
		fake->fail_sends--;
		note("send fails");
		host->call_done(call, fake->send_status, OC_STR("{\"message\":\"no luck\",\"retryAfterMs\":30}"));
		return;
	}
	if (fake->on_send != NULL)
		fake->on_send(message);
	keep_sent("send", message);
	open_call(call, "send", end_send, fake->send_delay_ms);
}

static void fake_edit(void *inst, oc_call *call, oc_str message)
{
	(void)inst;
	keep_sent(strstr(message.p, "\"final\":true") != NULL ? "final" : "edit", message);
	host->call_done(call, OC_OK, OC_STR("{}"));
}

static void fake_action(void *inst, oc_call *call, oc_str action)
{
	(void)inst;
	(void)action;
	note("typing");
	host->call_done(call, OC_OK, OC_STR("{}"));
}

static void fake_probe(void *inst, oc_call *call, oc_str account)
{
	(void)inst;
	(void)account;
	host->call_done(call, OC_OK, OC_STR("{\"ok\":true,\"detail\":\"fine\"}"));
}

static const oc_channel_vtbl channel = {.struct_size = sizeof channel, .flags = OC_CHANNEL_EDITS, .connect = fake_connect,
					.send = fake_send, .edit = fake_edit, .action = fake_action, .cancel = fake_cancel,
					.disconnect = fake_disconnect, .probe = fake_probe};

/* ---- The module ---- */

static const char manifest[] =
	"{\"name\":\"fake\",\"version\":\"1\",\"abi\":{\"major\":1,\"minor\":0},\"kinds\":[\"provider\",\"tool\",\"channel\"],"
	"\"license\":\"MIT\",\"description\":\"d\",\"capabilities\":[\"net\"],\"services\":[\"channel\",\"kv\"],"
	"\"channels\":[{\"id\":\"chat\",\"label\":\"Chat\"}],"
	"\"providers\":[{\"id\":\"p\",\"api\":\"fake\",\"baseUrl\":\"\",\"models\":["
	"{\"id\":\"one\",\"contextWindow\":100000,\"input\":[\"text\",\"image\"],\"cost\":{\"input\":1,\"output\":2}},"
	"{\"id\":\"two\",\"contextWindow\":100000},{\"id\":\"small\",\"contextWindow\":6000}],"
	"\"embeddings\":[{\"id\":\"vec\",\"cost\":{\"input\":2}},{\"id\":\"vec2\"}]},"
	"{\"id\":\"locked\",\"api\":\"fake\",\"baseUrl\":\"http://x\",\"env\":\"OC_TEST_NO_SUCH_KEY\",\"models\":[{\"id\":\"m\"}]}]}";

static oc_status fake_init(const oc_host_api *api, oc_self *me, oc_str config, void **ret)
{
	(void)config;
	host = api;
	self = me;
	*ret = fake;
	return OC_OK;
}

static void fake_fini(void *inst)
{
	(void)inst;
}

static const oc_iface ifaces[] = {{OC_KIND_PROVIDER, 1, 0, "fake", &provider},
				  {OC_KIND_TOOL, 1, 0, "fake", &tool_vtbl},
				  {OC_KIND_CHANNEL, 1, 0, "chat", &channel}};
static const oc_module_desc desc = {.magic = OC_MODULE_MAGIC, .struct_size = sizeof desc, .abi_major = OC_ABI_MAJOR,
				    .abi_minor = OC_ABI_MINOR, .name = "fake", .version = "1", .ifaces = ifaces, .n_ifaces = 3,
				    .init = fake_init, .fini = fake_fini};

/* ---- Running ---- */

static void tick(void *arg)
{
	oc_loop_stop(arg);
}

/* Runs the loop until the condition holds; fails after half a minute. */
static void until(fixture *f, bool (*holds)(fixture *f), const char *what)
{
	uint64_t limit = oc_now_ms() + 30000;
	while (!holds(f)) {
		if (oc_now_ms() > limit)
			fail_with_notes(what);
		oc_watch *t = oc_timer_start(f->owner, 1, 0, tick, f->loop);
		oc_loop_run(f->loop);
		oc_watch_end(t);
	}
}
#define UNTIL(f, condition) until(f, condition, "never: " #condition)

__attribute__((unused)) static void run_ms(fixture *f, uint64_t ms)
{
	oc_watch *t = oc_timer_start(f->owner, ms, 0, tick, f->loop);
	oc_loop_run(f->loop);
	oc_watch_end(t);
}

static bool started;

static void on_started(void *arg, unsigned ok, unsigned failed)
{
	(void)arg;
	assert_int_equal(ok, 2); /* the fake, and the core's own tools */
	assert_int_equal(failed, 0);
	started = true;
}

static bool is_started(fixture *f)
{
	(void)f;
	return started;
}

/* Everything but the folder: can be stopped and started again over the same store. */
static void start_gateway(fixture *f, const char *json)
{
	oc_err err = {0};
	oc_auto_free char *db = oc_path_join(f->dir, "openclaw.db");
	assert_int_equal(oc_loop_new(&f->loop, &err), OC_OK);
	f->owner = oc_owner_new(f->loop, "test");
	if (oc_config_load_text(oc_str_of(json), NULL, &f->config, &err) != OC_OK ||
	    oc_store_open(db, f->loop, OC_STORE_OWNER, &f->store, &err) != OC_OK)
		fail_msg("%s", err.text);
	assert_int_equal(oc_config_error_count(f->config), 0);
	assert_int_equal(oc_hooks_new(f->loop, &f->hooks, &err), OC_OK);
	oc_modules_options o = {.hooks = f->hooks, .module_dir = "", .user_dir = "", .search_path = "", .no_static = true};
	assert_int_equal(oc_modules_new(f->loop, f->config, &o, &f->modules, &err), OC_OK);
	oc_agent_options options = {.state_dir = f->dir, .one_shot = f->one_shot};
	if (oc_agent_new(f->loop, f->config, f->store, f->modules, f->hooks, &options, &f->agent, &err) != OC_OK)
		fail_msg("%s", err.text);
	assert_int_equal(oc_modules_scan(f->modules, &err), OC_OK);
	if (oc_modules_add(f->modules, oc_str_of(manifest), &desc, "static", NULL, &err) != OC_OK)
		fail_msg("%s", err.text);
	started = false;
	oc_modules_start(f->modules, on_started, f);
	UNTIL(f, is_started);
	assert_int_equal(oc_agent_start(f->agent, &err), OC_OK);
}

static void stop_gateway(fixture *f)
{
	oc_agent_free(f->agent);
	oc_modules_free(f->modules);
	oc_hooks_free(f->hooks);
	oc_store_close(f->store);
	oc_owner_free(f->owner);
	oc_loop_free(f->loop);
	oc_config_unref(f->config);
	while (f->calls != NULL) {
		fake_call *next = f->calls->next;
		free(f->calls->echo);
		free(f->calls);
		f->calls = next;
	}
	f->open_calls = 0;
}

#define CONFIG_DEFAULT                                                                                               \
	"{\"agents\":{\"defaults\":{\"model\":{\"primary\":\"p/one\",\"fallbacks\":[\"p/two\"]}}},"                  \
	"\"channels\":{\"chat\":{\"dmPolicy\":\"open\",\"groupPolicy\":\"open\",\"allowFrom\":[\"*\"],\"token\":\"topsecret\"}}}"

static unsigned long live_before;

static int setup_with(void **state, const char *json)
{
	fixture *f = calloc(1, sizeof *f);
	oc_log_set_stderr(getenv("OC_TEST_LOG") != NULL);
	fake = f;
	snprintf(f->dir, sizeof f->dir, "%s/oc-agent-XXXXXX", getenv("TMPDIR") != NULL ? getenv("TMPDIR") : "/tmp");
	assert_non_null(mkdtemp(f->dir));
	live_before = oc_mem_live();
	start_gateway(f, json);
	run_ms(f, 3); /* the channel connects */
	f->n_notes = 0;
	*state = f;
	return 0;
}

__attribute__((unused)) static int setup(void **state)
{
	return setup_with(state, CONFIG_DEFAULT);
}

static int teardown(void **state)
{
	fixture *f = *state;
	stop_gateway(f);
	cJSON_Delete(f->done);
	assert_int_equal(oc_mem_live(), live_before);
	for (size_t i = 0; i < f->n_requests; i++)
		free(f->requests[i]);
	for (size_t i = 0; i < f->n_sent; i++)
		free(f->sent[i]);
	assert_int_equal(tree_remove(f->dir), 0);
	free(f);
	fake = NULL;
	return 0;
}

/* ---- Turns ---- */

static void on_event(void *arg, const oc_agent_event *e)
{
	fixture *f = arg;
	switch (e->type) {
	case OC_AGENT_EV_TEXT:
		snprintf(f->text + strlen(f->text), sizeof f->text - strlen(f->text), "%.*s", OC_STR_ARG(e->text));
		note("text %.*s", OC_STR_ARG(e->text));
		break;
	case OC_AGENT_EV_TOOL_START:
	case OC_AGENT_EV_TOOL_END:
		note("%s %s%s", oc_agent_event_name(e->type), oc_json_str(e->data, "id", ""),
		     oc_json_bool(e->data, "isError", false) ? " error" : "");
		break;
	case OC_AGENT_EV_NOTICE:
	case OC_AGENT_EV_ERROR:
		note("%s %s", oc_agent_event_name(e->type), oc_json_str(e->data, "code", ""));
		break;
	case OC_AGENT_EV_DONE:
		note("done %s", oc_json_str(e->data, "status", ""));
		cJSON_Delete(f->done);
		f->done = cJSON_Duplicate(e->data, true);
		f->dones++;
		break;
	default:
		note("%s", oc_agent_event_name(e->type));
		break;
	}
}

static oc_run_ref submit(fixture *f, const char *session, const char *text)
{
	oc_turn_input in = {.session = oc_str_of(session), .text = oc_str_of(text), .origin = "test", .on_event = on_event, .arg = f};
	oc_run_ref ref;
	oc_err err = {0};
	if (oc_agent_submit(f->agent, &in, &ref, &err) != OC_OK)
		fail_msg("%s", err.text);
	return ref;
}

static int wanted_dones;

static bool all_done(fixture *f)
{
	return f->dones >= wanted_dones;
}

static void wait_done(fixture *f, int n)
{
	wanted_dones = n;
	UNTIL(f, all_done);
}

/* One turn from beginning to end; its status must be the given one. */
__attribute__((unused)) static const char *turn(fixture *f, const char *session, const char *text, const char *status)
{
	f->text[0] = 0;
	submit(f, session, text);
	wait_done(f, f->dones + 1);
	if (strcmp(oc_json_str(f->done, "status", ""), status) != 0) {
		oc_auto_free char *json = oc_json_print(f->done);
		print_message("# %s\n", json);
		fail_with_notes("another status was expected");
	}
	return oc_json_str(f->done, "text", "");
}

static cJSON *history(fixture *f, const char *session)
{
	cJSON *h = NULL;
	oc_err err = {0};
	if (oc_agent_history(f->agent, oc_str_of(session), NULL, &h, &err) != OC_OK)
		fail_msg("%s", err.text);
	return h;
}

/* "user:hello|assistant:hi" */
__attribute__((unused)) static void assert_history(fixture *f, const char *session, const char *want)
{
	oc_auto_json cJSON *h = history(f, session);
	oc_sbuf b;
	oc_sbuf_init(&b, 1 << 20);
	const cJSON *m, *p;
	cJSON_ArrayForEach(m, h)
	{
		oc_sbuf_printf(&b, "%s%s:", b.n > 0 ? "|" : "", oc_json_str(m, "role", ""));
		cJSON_ArrayForEach(p, oc_json_get(m, "content"))
			oc_sbuf_printf(&b, "%s", strcmp(oc_json_str(p, "type", ""), "tool_call") == 0 ? "<call>"
								     : oc_json_str(p, "text", "<other>"));
	}
	oc_str got = oc_sbuf_view(&b);
	if (!oc_str_eqz(got, want))
		fail_msg("history is\n%s\nnot\n%s", got.p, want);
	oc_sbuf_free(&b);
}

__attribute__((unused)) static int error_count(fixture *f, const char *code)
{
	return strcmp(oc_json_str(oc_json_get(f->done, "error"), "code", ""), code) == 0;
}

#endif
