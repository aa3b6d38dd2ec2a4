/* Misbehaves as only a process of its own contains, as its settings ({"at":"init"}) and its arguments ({"what":"crash"}) say. */
#include <openclaw/json.h>
#include <openclaw/module.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

OC_MODULE_MANIFEST("wild.json");

#define DONE OC_STR("{\"content\":[{\"type\":\"text\",\"text\":\"done\"}]}")

typedef struct wild {
	const oc_host_api *host;
	oc_self *self;
	oc_call *held; /* answered late */
	oc_watch *timer;
} wild;

static volatile int *nowhere;

static void crash(void *arg)
{
	(void)arg;
	*nowhere = 1;
}

static void hang(void *arg)
{
	(void)arg;
	for (volatile unsigned i = 0;; i++)
		;
}

static oc_status init(const oc_host_api *host, oc_self *self, oc_str config, void **ret)
{
	wild *w = host->alloc(self, sizeof(*w));

	if (w == NULL)
		return OC_E_NOMEM;
	w->host = host;
	w->self = self;
	if (strstr(config.p, "\"init\"") != NULL)
		crash(NULL);
	if (strstr(config.p, "\"hang\"") != NULL)
		hang(NULL);
	host->gauge(self, OC_STR("Not a name"), 1, 2);
	for (uint64_t i = 0; i < 100; i++)
		host->gauge(self, (oc_str){i < 20 ? "herd_abcdefghijklmnopqrst" : "herd", i < 20 ? 5 + i : 4}, i, 1000);
	*ret = w;
	return OC_OK;
}

static void fini(void *inst)
{
	wild *w = inst;

	w->host->free(w->self, w);
}

static oc_str tools(void *inst)
{
	(void)inst;
	return OC_STR("[{\"name\":\"wild\",\"description\":\"Misbehaves\",\"parameters\":{\"type\":\"object\",\"properties\":"
		      "{\"what\":{\"type\":\"string\"}},\"required\":[\"what\"]},\"timeoutMs\":20000}]");
}

static void *stay(void *arg)
{
	for (;;)
		(void)sleep(1);
	return arg;
}

static void answer_late(void *arg)
{
	wild *w = arg;

	w->host->unwatch(w->timer);
	w->host->call_done(w->held, OC_OK, DONE);
}

/* What it can reach: the gateway must not see it succeed. */
static void reach(const wild *w, oc_call *call)
{
	char text[200];
	oc_buf *buf = NULL;
	int file = open("/etc/shadow", O_RDONLY), home = open(getenv("HOME") != NULL ? getenv("HOME") : "/root", O_RDONLY | O_CREAT, 0600);
	int inet = socket(AF_INET, SOCK_STREAM, 0);
	oc_status other = w->host->secret(w->self, OC_STR("gateway.auth.token"), &buf);

	(void)snprintf(text, sizeof(text), "{\"content\":[{\"type\":\"text\",\"text\":\"shadow %s, root %s, secret %d, pid %s, socket %s\"}]}",
		       file >= 0 ? "open" : "shut", home >= 0 ? "open" : "shut", (int)other, getpid() < 100 ? "own" : "host",
		       inet >= 0 ? "made" : "none");
	w->host->call_done(call, OC_OK, oc_str_of(text));
}

static void invoke(void *inst, oc_call *call, oc_str tool, oc_str args, oc_str context)
{
	wild *w = inst;
	oc_str value = OC_STR("");
	char what[32];
	pthread_t thread;

	(void)tool;
	(void)context;
	(void)ocj_get(args, "what", &value);
	(void)ocj_text(value, what, sizeof(what));
	if (strcmp(what, "crash") == 0)
		crash(NULL);
	if (strcmp(what, "hang") == 0)
		hang(NULL);
	if (strcmp(what, "exit") == 0)
		_exit(3);
	if (strcmp(what, "timer") == 0)
		(void)w->host->timer(w->self, 20, 0, crash, NULL);
	if (strcmp(what, "leak") == 0)
		for (char *p; (p = malloc(1 << 20)) != NULL;)
			memset(p, 1, 1 << 20);
	if (strcmp(what, "print") == 0)
		for (int i = 0; i < 3000; i++)
			(void)fprintf(stderr, "line %d of very many\n", i);
	if (strcmp(what, "events") == 0)
		for (int i = 0; i < 20000; i++)
			(void)w->host->call_event(call, OC_EV_PROGRESS, OC_STR("x"));
	if (strcmp(what, "big") == 0) {
		char *p = malloc((size_t)65 << 20);

		if (p != NULL)
			memset(p, 'x', (size_t)65 << 20);
		w->host->call_done(call, OC_OK, (oc_str){p, p != NULL ? (size_t)65 << 20 : 0});
		free(p);
		return;
	}
	if (strcmp(what, "owner") == 0) {
		w->host->unwatch((oc_watch *)(void *)call);
		w->host->call_done((oc_call *)(void *)w->self, OC_OK, DONE);
	}
	if (strcmp(what, "thread") == 0)
		(void)pthread_create(&thread, NULL, stay, NULL);
	if (strcmp(what, "garbage") == 0 /* past the host table, on the line itself */
	    && write(3, "this is no frame, nor is it meant to be one", 43) < 0)
		_exit(4);
	if (strcmp(what, "read") == 0) {
		char path[500] = "";

		if (ocj_get(args, "path", &value))
			(void)ocj_text(value, path, sizeof(path));
		if (access(path, R_OK) != 0) {
			w->host->call_done(call, OC_E_NOT_FOUND, OC_STR("not to be seen"));
			return;
		}
	}
	if (strcmp(what, "reach") == 0) {
		reach(w, call);
		return;
	}
	if (strcmp(what, "late") == 0) {
		w->held = call;
		w->timer = w->host->timer(w->self, 300, 0, answer_late, w);
		return;
	}
	w->host->call_done(call, OC_OK, DONE);
}

/* 24 MiB, however slowly they are read. */
static void request(void *inst, oc_call *call, const oc_http_request *request)
{
	const wild *w = inst;
	static char piece[64 * 1024];

	(void)request;
	memset(piece, 'x', sizeof(piece));
	(void)w->host->call_event(call, OC_EV_HTTP_HEAD, OC_STR("{\"status\":200,\"headers\":{\"content-type\":\"text/plain\"}}"));
	for (int i = 0; i < 24 * 16; i++)
		(void)w->host->call_event(call, OC_EV_HTTP_BODY, (oc_str){piece, sizeof(piece)});
	w->host->call_done(call, OC_OK, OC_STR(""));
}

static const oc_http_vtbl http = {.struct_size = sizeof(http), .request = request};
static const oc_tool_vtbl vtbl = {.struct_size = sizeof(vtbl), .tools = tools, .invoke = invoke};
static const oc_iface ifaces[] = {{OC_KIND_TOOL, 1, 0, "wild", &vtbl}, {OC_KIND_HTTP, 1, 0, "/wild", &http}};
static const oc_module_desc desc = {
	.magic = OC_MODULE_MAGIC,
	.struct_size = sizeof(desc),
	.abi_major = OC_ABI_MAJOR,
	.abi_minor = OC_ABI_MINOR,
	.flags = OC_MODULE_THREADS,
	.name = "wild",
	.version = "1",
	.ifaces = ifaces,
	.n_ifaces = 2,
	.init = init,
	.fini = fini,
};
OC_MODULE(&desc);
