/* A module that does everything as it should: one tool for each part of the host table. */
#include <openclaw/module.h>
#include <string.h>

typedef struct waiter {
	struct waiter *next;
	struct good_tool *module;
	oc_call *call;
	oc_watch *timer;
} waiter;

typedef struct good_tool {
	const oc_host_api *host;
	oc_self *self;
	oc_buf *config;
	waiter *waiters;
} good_tool;

OC_MODULE_MANIFEST("good_tool.json");

static oc_status init(const oc_host_api *host, oc_self *self, oc_str config, void **ret)
{
	good_tool *m;

	if (strstr(config.p, "\"refuse\":true") != NULL) {
		host->log(self, OC_LOG_ERROR, OC_STR("told to refuse by its settings"));
		return OC_E_INVALID;
	}
	m = host->alloc(self, sizeof(*m));
	if (m == NULL)
		return OC_E_NOMEM;
	m->host = host;
	m->self = self;
	m->config = host->buf_new(self, config);
	if (m->config == NULL) {
		host->free(self, m);
		return OC_E_NOMEM;
	}
	*ret = m;
	return OC_OK;
}

static void fini(void *inst)
{
	good_tool *m = inst;

	m->host->buf_unref(m->config);
	m->host->free(m->self, m);
}

static oc_status reload(void *inst, oc_str config)
{
	good_tool *m = inst;
	oc_buf *copy;

	if (strstr(config.p, "\"refuse\":true") != NULL)
		return OC_E_INVALID;
	if (strstr(config.p, "restart") != NULL)
		return OC_E_RESTART;
	copy = m->host->buf_new(m->self, config);
	if (copy == NULL)
		return OC_E_NOMEM;
	m->host->buf_unref(m->config);
	m->config = copy;
	return OC_OK;
}

static oc_str tools(void *inst)
{
	(void)inst;
	return OC_STR("[{\"name\":\"echo\",\"description\":\"Says the arguments back\",\"parameters\":{\"type\":\"object\"}},"
		      "{\"name\":\"wait\",\"description\":\"Answers after a while\",\"parameters\":{\"type\":\"object\"}},"
		      "{\"name\":\"work\",\"description\":\"Answers from a pool thread\",\"parameters\":{\"type\":\"object\"}},"
		      "{\"name\":\"secret\",\"description\":\"Reads a secret\",\"parameters\":{\"type\":\"object\"}},"
		      "{\"name\":\"sum\",\"description\":\"Asks another module\",\"parameters\":{\"type\":\"object\"}},"
		      "{\"name\":\"config\",\"description\":\"Its settings\",\"parameters\":{\"type\":\"object\"}}]");
}

static void drop(waiter *w)
{
	waiter **at = &w->module->waiters;

	while (*at != w)
		at = &(*at)->next;
	*at = w->next;
	w->module->host->unwatch(w->timer);
	w->module->host->free(w->module->self, w);
}

static void waited(void *arg)
{
	waiter *w = arg;
	oc_call *call = w->call;
	const oc_host_api *host = w->module->host;

	drop(w);
	(void)host->call_event(call, OC_EV_PROGRESS, OC_STR("waited"));
	host->call_done(call, OC_OK, OC_STR("{\"content\":[{\"type\":\"text\",\"text\":\"waited\"}]}"));
}

static void begin_wait(good_tool *m, oc_call *call)
{
	waiter *w = m->host->alloc(m->self, sizeof(*w));

	if (w == NULL) {
		m->host->call_done(call, OC_E_NOMEM, OC_STR("no memory"));
		return;
	}
	w->module = m;
	w->call = call;
	w->next = m->waiters;
	m->waiters = w;
	w->timer = m->host->timer(m->self, 30, 0, waited, w);
}

static void cancel(void *inst, oc_call *call)
{
	good_tool *m = inst;

	for (waiter *w = m->waiters; w != NULL; w = w->next) {
		if (w->call != call)
			continue;
		drop(w);
		m->host->call_done(call, OC_E_CANCELED, OC_STR("canceled"));
		return;
	}
}

typedef struct job {
	good_tool *module;
	oc_call *call;
	int sum;
} job;

static void compute(void *arg)
{
	job *j = arg;

	for (int i = 0; i <= 100; i++)
		j->sum += i;
}

static void computed(void *arg, oc_status status)
{
	job *j = arg;
	good_tool *m = j->module;

	if (status == OC_OK && j->sum == 5050)
		m->host->call_done(j->call, OC_OK, OC_STR("{\"content\":[{\"type\":\"text\",\"text\":\"5050\"}]}"));
	else
		m->host->call_done(j->call, status != OC_OK ? status : OC_E_INTERNAL, OC_STR("the work was not done"));
	m->host->free(m->self, j);
}

static void summed(void *arg, oc_status status, oc_str result)
{
	job *j = arg;
	good_tool *m = j->module;

	m->host->call_done(j->call, status, result);
	m->host->free(m->self, j);
}

static void begin_job(good_tool *m, oc_call *call, int remote, oc_str args)
{
	job *j = m->host->alloc(m->self, sizeof(*j));
	oc_status st;

	if (j == NULL) {
		m->host->call_done(call, OC_E_NOMEM, OC_STR("no memory"));
		return;
	}
	j->module = m;
	j->call = call;
	if (remote)
		st = m->host->service_call(m->self, OC_STR("good.sum"), 1, OC_STR("sum"), args, 1000, summed, j);
	else
		st = m->host->work(m->self, compute, computed, j);
	if (st != OC_OK) {
		m->host->free(m->self, j);
		m->host->call_done(call, st, OC_STR("it could not be begun"));
	}
}

static void tell_secret(good_tool *m, oc_call *call, oc_str name)
{
	oc_buf *secret = NULL;
	oc_status st = m->host->secret(m->self, name, &secret);

	m->host->call_done(call, st, st == OC_OK ? m->host->buf_str(secret) : OC_STR("no secret"));
	m->host->buf_unref(secret);
}

static int named(oc_str s, const char *name)
{
	return s.n == strlen(name) && memcmp(s.p, name, s.n) == 0;
}

static void invoke(void *inst, oc_call *call, oc_str tool, oc_str args, oc_str context)
{
	good_tool *m = inst;

	(void)context;
	if (named(tool, "echo"))
		m->host->call_done(call, OC_OK, args);
	else if (named(tool, "wait"))
		begin_wait(m, call);
	else if (named(tool, "work"))
		begin_job(m, call, 0, args);
	else if (named(tool, "sum"))
		begin_job(m, call, 1, args);
	else if (named(tool, "secret"))
		tell_secret(m, call, args);
	else if (named(tool, "config"))
		m->host->call_done(call, OC_OK, m->host->buf_str(m->config));
	else
		m->host->call_done(call, OC_E_NOT_FOUND, OC_STR("no such tool"));
}

static const oc_tool_vtbl vtbl = {
	.struct_size = sizeof(vtbl),
	.tools = tools,
	.invoke = invoke,
	.cancel = cancel,
};
static const oc_iface ifaces[] = {{OC_KIND_TOOL, 1, 0, "good", &vtbl}};
static const oc_module_desc desc = {
	.magic = OC_MODULE_MAGIC,
	.struct_size = sizeof(desc),
	.abi_major = OC_ABI_MAJOR,
	.abi_minor = OC_ABI_MINOR,
	.name = "good-tool",
	.version = "1.0.0",
	.ifaces = ifaces,
	.n_ifaces = 1,
	.init = init,
	.fini = fini,
	.reload = reload,
};
OC_MODULE(&desc);
