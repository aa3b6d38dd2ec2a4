/*
 * Runs one channel module against a host made of a script: a test writes JSON lines to stdin and reads what the module did
 * from stdout.  Everything a host may do, but rarely does (being busy, refusing a message, dying between receive and
 * commit), is one line here.  Breaches of the ABI (a call completed twice, a timer ended twice) are reported as such.
 *
 *   usage: channel_driver MODULE.so MEDIA-FOLDER
 *   in:  {"op":"connect|send|edit|action|probe|disconnect","n":1,"args":{…}}  {"op":"cancel","n":1}  {"op":"stop","n":9}
 *        {"op":"http","n":2,"method","path","headers":{…},"body"}
 *        {"op":"secrets","values":{"name":"value"}}
 *        {"op":"strangers","ids":["7"]}                           whose messages the host would not let in
 *        {"op":"receive","mode":"ok|hold|refuse","status":-11}   what the host does with messages from now on
 *        {"op":"commit","status":0}                               the oldest held message
 *   out: {"ev":"ready"} {"ev":"done","n","status","result"} {"ev":"event","n","type","payload"} {"ev":"receive","message":{…}}
 *        {"ev":"state","state":{…}} {"ev":"log","level","text"} {"ev":"breach","what"} {"ev":"end"}
 */
#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/base/buf.h"
#include "core/base/clock.h"
#include "core/base/mem.h"
#include "core/base/str.h"
#include "core/data/json.h"
#include "core/loop/loop.h"
#include "core/net/http_client.h"

struct oc_self {
	int unused;
};

struct oc_call {
	struct oc_call *next;
	int64_t n;
	bool done;
};

typedef struct timer {
	struct timer *next;
	oc_watch *inner;
	bool ended;
} timer;

typedef struct held {
	struct held *next;
	void (*done)(void *arg, oc_status status);
	void *arg;
	oc_status status;
} held;

static oc_loop *loop;
static oc_owner *owner;
static oc_http_client *client;
static struct oc_self self;
static const oc_module_desc *desc;
static const oc_channel_vtbl *channel;
static const oc_http_vtbl *http;
static void *inst;
static cJSON *secrets, *strangers;
static const char *media_dir;
static oc_call *calls;
static timer *timers;
static held *first_held;
static char mode[16] = "ok";
static oc_status mode_status = OC_E_BUSY;
static oc_sbuf input;

/* ---- Out ---- */

static void put(cJSON *line)
{
	char *text = oc_json_print(line);
	printf("%s\n", text);
	fflush(stdout);
	oc_free(text);
	cJSON_Delete(line);
}

static cJSON *event(const char *name)
{
	cJSON *line = cJSON_CreateObject();
	cJSON_AddStringToObject(line, "ev", name);
	return line;
}

static void add_json(cJSON *line, const char *name, oc_str text)
{
	cJSON *value = NULL;
	if (oc_json_parse(text, NULL, &value, NULL) == OC_OK)
		cJSON_AddItemToObject(line, name, value);
	else
		cJSON_AddStringToObject(line, name, text.p);
}

static void breach(const char *what)
{
	cJSON *line = event("breach");
	cJSON_AddStringToObject(line, "what", what);
	put(line);
}

/* ---- The host table ---- */

static void host_log(oc_self *s, int32_t level, oc_str message)
{
	cJSON *line = event("log");
	(void)s;
	cJSON_AddNumberToObject(line, "level", level);
	cJSON_AddStringToObject(line, "text", message.p);
	put(line);
}

static void *host_alloc(oc_self *s, size_t bytes)
{
	(void)s;
	return oc_alloc(bytes);
}

static void host_free(oc_self *s, void *ptr)
{
	(void)s;
	oc_free(ptr);
}

static oc_buf *host_buf_new(oc_self *s, oc_str bytes)
{
	(void)s;
	return oc_buf_new(bytes);
}

static oc_status host_post(oc_self *s, void (*fn)(void *arg), void *arg)
{
	(void)s;
	return oc_loop_post(loop, fn, arg);
}

static oc_status host_work(oc_self *s, void (*fn)(void *arg), void (*done)(void *arg, oc_status status), void *arg)
{
	(void)s;
	return oc_work(owner, fn, done, arg);
}

/* Timers are never freed here, so that ending one twice is seen. */
static oc_watch *host_timer(oc_self *s, uint64_t ms, uint64_t repeat_ms, void (*cb)(void *arg), void *arg)
{
	timer *t = oc_alloc(sizeof *t);
	(void)s;
	t->inner = oc_timer_start(owner, ms, repeat_ms, cb, arg);
	t->next = timers;
	timers = t;
	return (oc_watch *)t;
}

static void host_unwatch(oc_watch *watch)
{
	timer *t = (timer *)watch;
	if (t == NULL)
		return;
	if (t->ended) {
		breach("a timer was ended twice");
		return;
	}
	t->ended = true;
	oc_watch_end(t->inner);
}

static oc_status host_call_event(oc_call *call, uint32_t type, oc_str payload)
{
	cJSON *line = event("event");
	if (call->done)
		breach("an event after call_done");
	cJSON_AddNumberToObject(line, "n", (double)call->n);
	cJSON_AddNumberToObject(line, "type", type);
	if (type == OC_EV_HTTP_HEAD)
		add_json(line, "payload", payload);
	else
		cJSON_AddStringToObject(line, "payload", payload.p);
	put(line);
	return OC_OK;
}

static void host_call_done(oc_call *call, oc_status status, oc_str result)
{
	cJSON *line = event("done");
	if (call->done)
		breach("a call was completed twice");
	call->done = true;
	cJSON_AddNumberToObject(line, "n", (double)call->n);
	cJSON_AddNumberToObject(line, "status", status);
	add_json(line, "result", result);
	put(line);
}

static uint64_t host_now(oc_self *s)
{
	(void)s;
	return oc_now_ms();
}

static oc_status host_secret(oc_self *s, oc_str name, oc_buf **ret)
{
	const char *value = oc_json_str(secrets, name.p, NULL);
	(void)s;
	if (value == NULL)
		return OC_E_NOT_FOUND;
	*ret = oc_buf_new_secret(oc_str_of(value));
	return OC_OK;
}

static void later_received(void *arg)
{
	held *h = arg;
	h->done(h->arg, h->status);
	oc_free(h);
}

static oc_status channel_receive(oc_self *s, oc_str message, void (*done)(void *arg, oc_status status), void *arg)
{
	cJSON *line = event("receive");
	(void)s;
	add_json(line, "message", message);
	put(line);
	held *h = oc_alloc(sizeof *h);
	*h = (held){NULL, done, arg, strcmp(mode, "refuse") == 0 ? mode_status : OC_OK};
	if (strcmp(mode, "hold") != 0)
		return oc_loop_defer(loop, owner, later_received, h);
	held **at = &first_held;
	while (*at != NULL)
		at = &(*at)->next;
	*at = h;
	return OC_OK;
}

static void channel_state(oc_self *s, oc_str state)
{
	cJSON *line = event("state");
	(void)s;
	add_json(line, "state", state);
	put(line);
}

static oc_str channel_media_dir(oc_self *s)
{
	(void)s;
	return oc_str_of(media_dir);
}

/* Whoever is named in "strangers" is one. */
static int32_t channel_admits(oc_self *s, oc_str message)
{
	oc_auto_json cJSON *m = NULL;
	const cJSON *one;
	(void)s;
	if (oc_json_parse(message, NULL, &m, NULL) != OC_OK) {
		breach("admits was asked with something that is not JSON");
		return 0;
	}
	cJSON_ArrayForEach(one, strangers)
	{
		if (cJSON_IsString(one) && strcmp(one->valuestring, oc_json_str(oc_json_get(m, "sender"), "id", "")) == 0)
			return 0;
	}
	return 1;
}

static const oc_channel_host channel_host = {
	.struct_size = sizeof channel_host,
	.receive = channel_receive,
	.state = channel_state,
	.media_dir = channel_media_dir,
	.admits = channel_admits,
};

static oc_owner *owner_of(oc_self *s)
{
	(void)s;
	return owner;
}

static oc_status host_query(oc_self *s, oc_str service, uint16_t major, uint16_t minor, const void **ret)
{
	(void)s;
	(void)major;
	(void)minor;
	if (oc_str_eqz(service, OC_SERVICE_HTTP_CLIENT))
		*ret = oc_http_client_service(client, owner_of);
	else if (oc_str_eqz(service, OC_SERVICE_CHANNEL))
		*ret = &channel_host;
	else
		return OC_E_NOT_FOUND;
	return OC_OK;
}

static const oc_host_api api = {
	.struct_size = sizeof api,
	.abi_major = OC_ABI_MAJOR,
	.abi_minor = OC_ABI_MINOR,
	.log = host_log,
	.alloc = host_alloc,
	.free = host_free,
	.buf_new = host_buf_new,
	.buf_ref = oc_buf_ref,
	.buf_unref = oc_buf_unref,
	.buf_str = oc_buf_str,
	.post = host_post,
	.work = host_work,
	.timer = host_timer,
	.unwatch = host_unwatch,
	.call_event = host_call_event,
	.call_done = host_call_done,
	.now_ms = host_now,
	.secret = host_secret,
	.query = host_query,
};

/* ---- In ---- */

static oc_call *new_call(const cJSON *line)
{
	oc_call *call = oc_alloc(sizeof *call);
	call->n = oc_json_i64(line, "n", 0);
	call->next = calls;
	calls = call;
	return call;
}

static void op_http(const cJSON *line)
{
	char *headers = oc_json_print(oc_json_get(line, "headers"));
	oc_http_request request = {
		.struct_size = sizeof request,
		.method = oc_json_ostr(line, "method"),
		.path = oc_json_ostr(line, "path"),
		.query = OC_STR(""),
		.headers = oc_str_of(headers),
		.body = oc_json_ostr(line, "body"),
		.remote = OC_STR("192.0.2.1:4000"),
	};
	http->request(inst, new_call(line), &request);
	oc_free(headers);
}

static void op_cancel(const cJSON *line)
{
	for (oc_call *c = calls; c != NULL; c = c->next)
		if (c->n == oc_json_i64(line, "n", 0) && !c->done) {
			channel->cancel(inst, c);
			if (!c->done)
				http->cancel(inst, c);
		}
}

static void op_commit(const cJSON *line)
{
	held *h = first_held;
	if (h == NULL) {
		breach("nothing is held");
		return;
	}
	first_held = h->next;
	h->done(h->arg, (oc_status)oc_json_i64(line, "status", 0));
	oc_free(h);
}

static void finish(void *arg)
{
	(void)arg;
	oc_loop_stop(loop);
}

static bool op_channel(const char *op, const cJSON *line)
{
	const struct {
		const char *name;
		void (*fn)(void *inst, oc_call *call, oc_str args);
	} ops[] = {{"connect", channel->connect},       {"send", channel->send},
		   {"edit", channel->edit},             {"action", channel->action},
		   {"disconnect", channel->disconnect}, {"probe", channel->probe}};
	for (size_t i = 0; i < sizeof ops / sizeof ops[0]; i++)
		if (strcmp(op, ops[i].name) == 0) {
			char *args = oc_json_print(oc_json_get(line, "args"));
			ops[i].fn(inst, new_call(line), oc_str_of(args));
			oc_free(args);
			return true;
		}
	return false;
}

static void run_line(oc_str text)
{
	cJSON *line = NULL;
	if (oc_json_parse(text, NULL, &line, NULL) != OC_OK) {
		breach("the script's line is not JSON");
		return;
	}
	const char *op = oc_json_str(line, "op", "");
	if (strcmp(op, "http") == 0) {
		op_http(line);
	} else if (strcmp(op, "cancel") == 0) {
		op_cancel(line);
	} else if (strcmp(op, "commit") == 0) {
		op_commit(line);
	} else if (strcmp(op, "stop") == 0) {
		desc->stop(inst, new_call(line), 5000);
	} else if (strcmp(op, "receive") == 0) {
		snprintf(mode, sizeof mode, "%s", oc_json_str(line, "mode", "ok"));
		mode_status = (oc_status)oc_json_i64(line, "status", OC_E_BUSY);
	} else if (strcmp(op, "secrets") == 0) {
		cJSON_Delete(secrets);
		secrets = cJSON_Duplicate(oc_json_get(line, "values"), true);
	} else if (strcmp(op, "strangers") == 0) {
		cJSON_Delete(strangers);
		strangers = cJSON_Duplicate(oc_json_get(line, "ids"), true);
	} else if (!op_channel(op, line)) {
		breach("the script's op is not known");
	}
	cJSON_Delete(line);
}

static void on_input(void *arg, uint32_t events)
{
	(void)arg;
	(void)events;
	char *to = oc_sbuf_room(&input, 65536);
	ssize_t n = to == NULL ? -1 : read(0, to, 65536);
	if (n <= 0) {
		oc_loop_defer(loop, owner, finish, NULL);
		return;
	}
	oc_sbuf_grew(&input, (size_t)n);
	for (char *end; input.n > 0 && (end = memchr(input.p, '\n', input.n)) != NULL;) {
		size_t len = (size_t)(end - input.p);
		char *text = oc_memdup(input.p, len);
		oc_sbuf_consume(&input, len + 1);
		run_line(oc_str_make(text, len));
		oc_free(text);
	}
}

static bool load(const char *path)
{
	void *so = dlopen(path, RTLD_NOW | RTLD_LOCAL);
	const oc_module_desc *(*entry)(void) = NULL;
	if (so != NULL)
		*(void **)&entry = dlsym(so, "oc_module_v1");
	if (entry == NULL) {
		fprintf(stderr, "%s\n", dlerror());
		return false;
	}
	desc = entry();
	for (size_t i = 0; i < desc->n_ifaces; i++) {
		if (desc->ifaces[i].kind == OC_KIND_CHANNEL)
			channel = desc->ifaces[i].vtbl;
		if (desc->ifaces[i].kind == OC_KIND_HTTP)
			http = desc->ifaces[i].vtbl;
	}
	return channel != NULL && http != NULL && desc->init(&api, &self, OC_STR("{}"), &inst) == OC_OK;
}

/* What is left when all has ended, so that a leak checker sees only the module's. */
static void clean_up(void)
{
	while (calls != NULL) {
		oc_call *next = calls->next;
		if (!calls->done)
			breach("a call was never completed");
		oc_free(calls);
		calls = next;
	}
	while (timers != NULL) {
		timer *next = timers->next;
		if (!timers->ended)
			breach("a timer was left");
		oc_free(timers);
		timers = next;
	}
	while (first_held != NULL) {
		held *next = first_held->next;
		oc_free(first_held);
		first_held = next;
	}
}

int main(int argc, char **argv)
{
	oc_err err = {0};
	if (argc != 3) {
		fprintf(stderr, "usage: channel_driver MODULE.so MEDIA-FOLDER\n");
		return 2;
	}
	media_dir = argv[2];
	oc_sbuf_init(&input, 64 << 20);
	if (oc_loop_new(&loop, &err) != OC_OK || (owner = oc_owner_new(loop, "module")) == NULL
	    || oc_http_client_new(loop, NULL, &client, &err) != OC_OK || !load(argv[1])) {
		fprintf(stderr, "cannot start: %s\n", err.text);
		return 1;
	}
	oc_watch *in = oc_fd_watch(owner, 0, OC_FD_READ, on_input, NULL);
	put(event("ready"));
	oc_loop_run(loop);
	oc_watch_end(in);
	desc->fini(inst);
	clean_up();
	oc_owner_free(owner);
	oc_http_client_free(client);
	oc_loop_free(loop);
	oc_sbuf_free(&input);
	cJSON_Delete(secrets);
	cJSON_Delete(strangers);
	put(event("end"));
	return 0;
}
