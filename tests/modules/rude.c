/* Breaks the contract, one rule at a time, as its arguments say: {"what":"twice"}. The gateway must live through it. */
#include <openclaw/json.h>
#include <openclaw/module.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

OC_MODULE_MANIFEST("rude.json");

#define DONE OC_STR("{\"content\":[{\"type\":\"text\",\"text\":\"done\"}]}")

typedef struct rude {
	const oc_host_api *host;
	oc_self *self;
	oc_call *old; /* a call that is over */
	oc_call *held; /* one that is answered when it is given up, and once more after that */
	oc_watch *timer;
	int stuck;
} rude;

/* What instances left behind, where a leak detector still sees it. */
static void *kept[16];
static unsigned n_kept;

static oc_status init(const oc_host_api *host, oc_self *self, oc_str config, void **ret)
{
	rude *r;

	if (strstr(config.p, "grumpy") != NULL) {
		host->log(self, OC_LOG_ERROR, OC_STR("not in the mood"));
		return OC_E_UNAVAILABLE;
	}
	r = host->alloc(self, sizeof(*r));
	if (r == NULL)
		return OC_E_NOMEM;
	r->host = host;
	r->self = self;
	*ret = r;
	return OC_OK;
}

static void hold_up(unsigned ms)
{
	struct timespec t = {.tv_sec = ms / 1000, .tv_nsec = (long)(ms % 1000) * 1000000};

	(void)nanosleep(&t, NULL);
}

static void answer_again(void *arg)
{
	rude *r = arg;

	r->host->unwatch(r->timer);
	r->timer = NULL;
	r->host->call_done(r->old, OC_OK, DONE);
}

static void cancel(void *inst, oc_call *call)
{
	rude *r = inst;

	if (call != r->held)
		return;
	r->held = NULL;
	r->old = call;
	r->host->call_done(call, OC_OK, DONE);
	r->timer = r->host->timer(r->self, 10, 0, answer_again, r);
}

static void *stay(void *arg)
{
	for (;;)
		hold_up(1000);
	return arg;
}

static oc_status reload(void *inst, oc_str config)
{
	const rude *r = inst;

	if (strstr(config.p, "calm") == NULL)
		return strstr(config.p, "stubborn") != NULL ? OC_E_INVALID : OC_E_RESTART;
	r->host->log(r->self, OC_LOG_INFO, OC_STR("calm from now on"));
	return OC_OK;
}

static void fini(void *inst)
{
	kept[n_kept++ % 16] = inst; /* does not free its memory */
}

/* With a thread that stays it never completes its stop. */
static void stop(void *inst, oc_call *call, uint64_t deadline_ms)
{
	const rude *r = inst;

	(void)deadline_ms;
	if (!r->stuck)
		r->host->call_done(call, OC_OK, OC_STR(""));
}

static oc_str tools(void *inst)
{
	(void)inst;
	return OC_STR("[{\"name\":\"rude\",\"description\":\"Misbehaves\",\"parameters\":{\"type\":\"object\",\"properties\":"
		      "{\"what\":{\"type\":\"string\"}},\"required\":[\"what\"]},\"timeoutMs\":1000},"
		      "{\"name\":\"bad name\",\"description\":\"Is left out\",\"parameters\":{\"type\":\"object\"}}]");
}

static void invoke(void *inst, oc_call *call, oc_str tool, oc_str args, oc_str context)
{
	rude *r = inst;
	oc_str value = OC_STR("");
	char what[32];
	pthread_t thread;

	(void)tool;
	(void)context;
	(void)ocj_get(args, "what", &value);
	(void)ocj_text(value, what, sizeof(what));
	if (strcmp(what, "never") == 0)
		return;
	if (strcmp(what, "hold") == 0) {
		r->held = call;
		return;
	}
	if (strcmp(what, "owner") == 0) {
		r->host->unwatch((oc_watch *)(void *)call);
		r->host->call_done((oc_call *)(void *)r->self, OC_OK, DONE);
	}
	if (strcmp(what, "thread") == 0 && pthread_create(&thread, NULL, stay, NULL) == 0)
		r->stuck = pthread_detach(thread) == 0;
	if (strcmp(what, "big") == 0) {
		char *p = malloc((size_t)65 << 20);

		if (p != NULL)
			memset(p, 'x', (size_t)65 << 20);
		r->host->call_done(call, OC_OK, (oc_str){p, p != NULL ? (size_t)65 << 20 : 0});
		free(p);
		return;
	}
	if (strcmp(what, "slow") == 0)
		hold_up(120);
	if (strcmp(what, "talk") == 0)
		for (int i = 0; i < 1000; i++)
			r->host->log(r->self, OC_LOG_WARN, OC_STR("blah"));
	if (strcmp(what, "late") == 0)
		r->host->call_done(r->old, OC_OK, DONE);
	if (strcmp(what, "greedy") == 0 && r->host->alloc(r->self, (size_t)1 << 30) == NULL) {
		r->host->call_done(call, OC_OK, OC_STR("{\"content\":[{\"type\":\"text\",\"text\":\"got nothing\"}]}"));
		return;
	}
	if (strcmp(what, "nonsense") == 0) {
		r->host->call_done(call, OC_OK, OC_STR("this is not JSON"));
		return;
	}
	r->host->call_done(call, OC_OK, DONE);
	if (strcmp(what, "twice") == 0)
		r->host->call_done(call, OC_OK, DONE);
	if (strcmp(what, "after") == 0)
		(void)r->host->call_event(call, OC_EV_PROGRESS, OC_STR("too late"));
	r->old = call;
}

static const oc_tool_vtbl vtbl = {.struct_size = sizeof(vtbl), .tools = tools, .invoke = invoke, .cancel = cancel};
static const oc_iface ifaces[] = {{OC_KIND_TOOL, 1, 0, "rude", &vtbl}};
static const oc_module_desc desc = {
	.magic = OC_MODULE_MAGIC,
	.struct_size = sizeof(desc),
	.abi_major = OC_ABI_MAJOR,
	.abi_minor = OC_ABI_MINOR,
	.name = "rude",
	.version = "1",
	.ifaces = ifaces,
	.n_ifaces = 1,
	.init = init,
	.stop = stop,
	.fini = fini,
	.reload = reload,
};
OC_MODULE(&desc);
