/*
 * openclaw/test.h - a gateway made of cardboard, for the unit tests of a module.
 *
 * Header-only: include it in one test file, beside the module's own source, and no gateway is needed.  It calls the module
 * as the real host does (one thread, never from inside a host function, strings that are gone after the call), plays the
 * host's side with answers that the test sets, and counts every breach of the contract: a call completed twice or never,
 * memory or timers that do not come back, a secret or a service that the manifest does not ask for.  Output is TAP.
 *
 *     #include "weather.c"
 *     #include <openclaw/test.h>
 *
 *     int main(void)
 *     {
 *             oct_host *h = oct_open(oc_module_v1(), "module.json", "{\"city\":\"Rome\"}");
 *             oct_http_answer(h, "https://api.example.org/", 200, "{}", "{\"celsius\":21}");
 *             const oct_result *r = oct_tool(h, "weather", "{}");
 *             OCT_CHECK(r->status == OC_OK);
 *             OCT_CONTAINS(r->text, "21");
 *             oct_close(h);
 *             return oct_end();
 *     }
 *
 * Time is the test's: timers fire as soon as nothing else is left to do, and oct_advance() moves the clock.  It runs on by
 * itself only while the module watches descriptors.  Compile with -fsanitize=address,undefined to find the rest
 * (`openclaw module test` does).  Not for use inside a module.
 */
#ifndef OPENCLAW_TEST_H
#define OPENCLAW_TEST_H

#include <openclaw/test_host.h>
#include <openclaw/test_services.h>

/* ---- What the test sets ------------------------------------------------------------------ */

/* A secret that the operator set and granted, by the name that the manifest asks for. */
OCT_API void oct_secret(oct_host *h, const char *name, const char *value)
{
	(void)oct_add_(&h->secrets, name, oc_str_of(value), "", 0);
}

/* The answer for addresses that begin so. Of several the first is used first, the last one stays. headers: JSON object. */
OCT_API void oct_http_answer(oct_host *h, const char *url, int http_status, const char *headers, const char *body)
{
	(void)oct_add_(&h->http_answers, url, oc_str_of(body), headers, http_status);
}

/* No answer at all: the request ends with this status. */
OCT_API void oct_http_fail(oct_host *h, const char *url, oc_status status, const char *message)
{
	oct_add_(&h->http_answers, url, oc_str_of(message), "{}", 0)->status = status;
}

/* For programs whose spec contains this text. */
OCT_API void oct_process_answer(oct_host *h, const char *part_of_spec, int exit_code, const char *output)
{
	(void)oct_add_(&h->process_answers, part_of_spec, oc_str_of(output), "", exit_code);
}

/* What a service of another module answers: "counter.add". */
OCT_API void oct_service_answer(oct_host *h, const char *service_dot_method, oc_status status, const char *result)
{
	oct_add_(&h->service_answers, service_dot_method, oc_str_of(result), "", 0)->status = status;
}

/* A value of the module's durable state, as if an earlier run had put it there. */
OCT_API void oct_kv_set(oct_host *h, const char *key, const char *value)
{
	(void)oct_add_(&h->kv, key, oc_str_of(value), "", 0);
}

/* A value of the module's durable state; "" when there is none. */
OCT_API oc_str oct_kv(const oct_host *h, const char *key)
{
	const oct_item_ *i = oct_kv_find_(h, key);
	return i != NULL ? oct_value_(i) : OC_STR("");
}

/* What receive() of the channel service answers from now on. */
OCT_API void oct_receive_status(oct_host *h, oc_status status)
{
	h->receive_status = status;
}

/* The n-th allocation from now (1 is the next) fails. 0: none. */
OCT_API void oct_fail_alloc(oct_host *h, unsigned long n)
{
	h->fail_alloc = n;
}

/* The n-th request of a sort (OCT_HTTP, _PROCESS, _CHANNEL, _SERVICE), from 0; all empty when there is none. */
OCT_API oct_request oct_sent(const oct_host *h, int sort, size_t n)
{
	oct_request r;
	const oct_item_ *i = h->requests[sort];
	r.method = r.url = r.headers = r.body = r.text = OC_STR("");
	while (i != NULL && n-- > 0)
		i = i->next;
	if (i == NULL)
		return r;
	r.text = r.body = oct_value_(i);
	r.url = oc_str_of(i->key);
	r.method = oc_str_of(i->more);
	if (sort == OCT_HTTP) {
		r.method.n = strcspn(i->more, "\n");
		r.headers = oc_str_of(i->more + r.method.n + 1);
	}
	return r;
}

/* The last line of the log at this level; "" when there is none. */
OCT_API oc_str oct_logged(const oct_host *h, int level)
{
	oc_str last = OC_STR("");
	for (const oct_item_ *i = h->logs; i != NULL; i = i->next)
		if (i->number == level)
			last = oct_value_(i);
	return last;
}

/* ---- Calls --------------------------------------------------------------------------------- */

OCT_API oc_call *oct_call_new_(oct_host *h)
{
	oc_call *c = (oc_call *)oct_get_(sizeof(*c));
	c->host = h;
	c->result.text = OC_STR("");
	c->next = h->calls;
	h->calls = c;
	return c;
}

/* A copy that is gone, for sanitizers to see, after the module returned. */
OCT_API oc_str oct_lend_(oc_call *c, int slot, const char *text)
{
	oc_str s = oc_str_of(text);
	free(c->inputs[slot]);
	c->inputs[slot] = oct_copy_(s);
	s.p = c->inputs[slot];
	return s;
}

OCT_API void oct_take_back_(oc_call *c)
{
	for (int i = 0; i < 4; i++) {
		free(c->inputs[i]);
		c->inputs[i] = NULL;
	}
}

/* The module's vtable of a kind; NULL, with a breach, when it has none. */
OCT_API const void *oct_vtbl(oct_host *h, uint32_t kind)
{
	for (size_t i = 0; i < h->desc->n_ifaces; i++)
		if (h->desc->ifaces[i].kind == kind)
			return h->desc->ifaces[i].vtbl;
	oct_breach_(h, "the module has no interface of kind %u", (unsigned)kind);
	return NULL;
}

#define OCT_BEGIN_(kind, type, invocation)                            \
	const type *v = (const type *)oct_vtbl(h, kind);              \
	oc_call *c = oct_call_new_(h);                                \
	if (v != NULL) {                                              \
		h->in_module++;                                       \
		v->invocation;                                        \
		h->in_module--;                                       \
	}                                                             \
	oct_take_back_(c);                                            \
	return &c->result

/* Each of these only starts the call; see oct_run. */
OCT_API const oct_result *oct_tool_begin(oct_host *h, const char *tool, const char *args)
{
	OCT_BEGIN_(OC_KIND_TOOL, oc_tool_vtbl,
		   invoke(h->inst, c, oct_lend_(c, 0, tool), oct_lend_(c, 1, args),
			  oct_lend_(c, 2, "{\"session\":\"agent:main:main\",\"agent\":\"main\",\"run\":\"r1\",\"workspace\":\"/tmp\","
					  "\"callId\":\"c1\",\"sandbox\":\"strict\"}")));
}
OCT_API const oct_result *oct_chat_begin(oct_host *h, const char *request)
{
	OCT_BEGIN_(OC_KIND_PROVIDER, oc_provider_vtbl, chat(h->inst, c, oct_lend_(c, 0, request)));
}
OCT_API const oct_result *oct_connect_begin(oct_host *h, const char *account)
{
	OCT_BEGIN_(OC_KIND_CHANNEL, oc_channel_vtbl, connect(h->inst, c, oct_lend_(c, 0, account)));
}
OCT_API const oct_result *oct_send_begin(oct_host *h, const char *message)
{
	OCT_BEGIN_(OC_KIND_CHANNEL, oc_channel_vtbl, send(h->inst, c, oct_lend_(c, 0, message)));
}
OCT_API const oct_result *oct_disconnect_begin(oct_host *h, const char *account)
{
	OCT_BEGIN_(OC_KIND_CHANNEL, oc_channel_vtbl, disconnect(h->inst, c, oct_lend_(c, 0, account)));
}
OCT_API const oct_result *oct_hook_begin(oct_host *h, const char *hook, const char *payload)
{
	OCT_BEGIN_(OC_KIND_HOOK, oc_hook_vtbl, handle(h->inst, c, oct_lend_(c, 0, hook), oct_lend_(c, 1, payload)));
}
OCT_API const oct_result *oct_service_begin(oct_host *h, const char *method, const char *args)
{
	OCT_BEGIN_(OC_KIND_SERVICE, oc_service_vtbl, call(h->inst, c, oct_lend_(c, 0, method), oct_lend_(c, 1, args)));
}
OCT_API const oct_result *oct_memory_search_begin(oct_host *h, const char *request)
{
	OCT_BEGIN_(OC_KIND_MEMORY, oc_memory_vtbl, search(h->inst, c, oct_lend_(c, 0, request)));
}
OCT_API const oct_result *oct_memory_get_begin(oct_host *h, const char *request)
{
	OCT_BEGIN_(OC_KIND_MEMORY, oc_memory_vtbl, get(h->inst, c, oct_lend_(c, 0, request)));
}
/* index is optional: a module without it breaches nothing as long as nobody calls this. */
OCT_API const oct_result *oct_memory_index_begin(oct_host *h, const char *request)
{
	OCT_BEGIN_(OC_KIND_MEMORY, oc_memory_vtbl, index(h->inst, c, oct_lend_(c, 0, request)));
}
OCT_API const oct_result *oct_storage_put_begin(oct_host *h, const char *name, const char *bytes)
{
	OCT_BEGIN_(OC_KIND_STORAGE, oc_storage_vtbl, put(h->inst, c, oct_lend_(c, 0, name), oct_lend_(c, 1, bytes)));
}
OCT_API const oct_result *oct_storage_get_begin(oct_host *h, const char *name)
{
	OCT_BEGIN_(OC_KIND_STORAGE, oc_storage_vtbl, get(h->inst, c, oct_lend_(c, 0, name)));
}
OCT_API const oct_result *oct_storage_list_begin(oct_host *h, const char *request)
{
	OCT_BEGIN_(OC_KIND_STORAGE, oc_storage_vtbl, list(h->inst, c, oct_lend_(c, 0, request)));
}
OCT_API const oct_result *oct_storage_remove_begin(oct_host *h, const char *name)
{
	OCT_BEGIN_(OC_KIND_STORAGE, oc_storage_vtbl, remove(h->inst, c, oct_lend_(c, 0, name)));
}
OCT_API const oct_result *oct_http_begin(oct_host *h, const char *method, const char *path, const char *query, const char *headers,
					 const char *body)
{
	oc_http_request r;
	const oc_http_vtbl *v = (const oc_http_vtbl *)oct_vtbl(h, OC_KIND_HTTP);
	oc_call *c = oct_call_new_(h);
	memset(&r, 0, sizeof(r));
	r.struct_size = sizeof(r);
	r.method = oct_lend_(c, 0, method);
	r.path = oct_lend_(c, 1, path);
	r.query = oc_str_of(query);
	r.headers = oct_lend_(c, 2, headers);
	r.body = oct_lend_(c, 3, body);
	r.remote = OC_STR("127.0.0.1:50000");
	if (v != NULL) {
		h->in_module++;
		v->request(h->inst, c, &r);
		h->in_module--;
	}
	oct_take_back_(c);
	return &c->result;
}

/* Runs a call to its end: at most a minute of the test's time. */
OCT_API const oct_result *oct_finish(oct_host *h, const oct_result *result)
{
	if (!oct_run(h, result, OCT_CALL_MS))
		oct_breach_(h, "a call is not completed, and nothing is left that could complete it");
	return result;
}

/* The same, run to their end. */
#define oct_tool(h, tool, args) oct_finish((h), oct_tool_begin((h), (tool), (args)))
#define oct_chat(h, request) oct_finish((h), oct_chat_begin((h), (request)))
#define oct_connect(h, account) oct_finish((h), oct_connect_begin((h), (account)))
#define oct_send(h, message) oct_finish((h), oct_send_begin((h), (message)))
#define oct_disconnect(h, account) oct_finish((h), oct_disconnect_begin((h), (account)))
#define oct_hook(h, hook, payload) oct_finish((h), oct_hook_begin((h), (hook), (payload)))
#define oct_service(h, method, args) oct_finish((h), oct_service_begin((h), (method), (args)))
#define oct_memory_search(h, request) oct_finish((h), oct_memory_search_begin((h), (request)))
#define oct_memory_get(h, request) oct_finish((h), oct_memory_get_begin((h), (request)))
#define oct_memory_index(h, request) oct_finish((h), oct_memory_index_begin((h), (request)))
#define oct_storage_put(h, name, bytes) oct_finish((h), oct_storage_put_begin((h), (name), (bytes)))
#define oct_storage_get(h, name) oct_finish((h), oct_storage_get_begin((h), (name)))
#define oct_storage_list(h, request) oct_finish((h), oct_storage_list_begin((h), (request)))
#define oct_storage_remove(h, name) oct_finish((h), oct_storage_remove_begin((h), (name)))
#define oct_http(h, method, path, headers, body) oct_finish((h), oct_http_begin((h), (method), (path), "", (headers), (body)))

/* Asks the module to end a call that is under way. */
OCT_API void oct_cancel(oct_host *h, uint32_t kind, const oct_result *result)
{
	oc_call *c = (oc_call *)(uintptr_t)result;
	void (*cancel)(void *, oc_call *) = NULL;
	const void *v = oct_vtbl(h, kind);
	if (v != NULL && !result->done) {
		cancel = kind == OC_KIND_TOOL	    ? ((const oc_tool_vtbl *)v)->cancel
			 : kind == OC_KIND_PROVIDER ? ((const oc_provider_vtbl *)v)->cancel
			 : kind == OC_KIND_CHANNEL  ? ((const oc_channel_vtbl *)v)->cancel
			 : kind == OC_KIND_HTTP	    ? ((const oc_http_vtbl *)v)->cancel
			 : kind == OC_KIND_HOOK	    ? ((const oc_hook_vtbl *)v)->cancel
			 : kind == OC_KIND_SERVICE  ? ((const oc_service_vtbl *)v)->cancel
			 : kind == OC_KIND_MEMORY   ? ((const oc_memory_vtbl *)v)->cancel
			 : kind == OC_KIND_STORAGE  ? ((const oc_storage_vtbl *)v)->cancel
						    : NULL;
		c->cancelled = 1;
		if (cancel != NULL)
			cancel(h->inst, c);
	}
}

/* The texts of all events of a type, one after the other. Valid until the next use. */
OCT_API oc_str oct_events(const oct_result *result, uint32_t type)
{
	static char *text;
	oc_str s;
	size_t n = 0;
	free(text);
	for (size_t i = 0; i < result->n_events; i++)
		n += result->events[i].type == type ? result->events[i].payload.n : 0;
	s.n = n;
	s.p = text = (char *)oct_get_(n + 1);
	n = 0;
	for (size_t i = 0; i < result->n_events; i++) {
		if (result->events[i].type == type) {
			memcpy(text + n, result->events[i].payload.p, result->events[i].payload.n);
			n += result->events[i].payload.n;
		}
	}
	return s;
}

/* ---- Life ------------------------------------------------------------------------------------ */

OCT_API char *oct_file_(const char *path)
{
	FILE *f = fopen(path, "rb");
	char *text = (char *)oct_get_(1u << 16);
	size_t n = 0;
	if (f != NULL) {
		n = fread(text, 1, (1u << 16) - 1, f);
		(void)fclose(f);
	}
	if (n == 0) {
		printf("Bail out! %s cannot be read\n", path);
		exit(1);
	}
	return text;
}

/* The configuration with the defaults of the schema's own properties: the gateway does this at every depth. */
OCT_API char *oct_defaults_(const char *manifest, const char *config)
{
	oc_str schema, properties, name, rule, value, given;
	size_t at = 0, n = strlen(config), room = n + 3;
	char key[200], *out;
	int any = 0;
	if (manifest == NULL || !ocj_get(oc_str_of(manifest), "configSchema", &schema) || !ocj_get(schema, "properties", &properties))
		return oct_copy_(oc_str_of(config));
	out = (char *)oct_get_(room + strlen(manifest) + 1);
	while (n > 0 && config[n - 1] != '}')
		n--;
	memcpy(out, config, n);
	n = n > 0 ? n - 1 : 0;
	while (n > 0 && (out[n - 1] == ' ' || out[n - 1] == '\n'))
		n--;
	any = n > 0 && out[n - 1] != '{';
	while (ocj_next(properties, &at, &name, &rule)) {
		if (ocj_text(name, key, sizeof(key)) >= sizeof(key) || ocj_get(oc_str_of(config), key, &given) || !ocj_get(rule, "default", &value))
			continue;
		n += (size_t)snprintf(out + n, room + strlen(manifest) - n, "%s%.*s:%.*s", any ? "," : "", (int)name.n, name.p, (int)value.n, value.p);
		any = 1;
	}
	(void)snprintf(out + n, room + strlen(manifest) - n, "}");
	return out;
}

OCT_API void oct_check_desc_(oct_host *h)
{
	const oc_module_desc *d = h->desc;
	oc_str value;
	char text[200];
	if (d->magic != OC_MODULE_MAGIC || d->struct_size != sizeof(*d))
		oct_breach_(h, "the descriptor's magic number or size is wrong");
	if (d->init == NULL || d->fini == NULL || d->n_ifaces == 0)
		oct_breach_(h, "the descriptor has no init, no fini or no interface");
	if (h->manifest == NULL)
		return;
	if (!ocj_get(oc_str_of(h->manifest), "name", &value) || ocj_text(value, text, sizeof(text)) == 0 || strcmp(text, d->name) != 0)
		oct_breach_(h, "the manifest's name is not the descriptor's, \"%s\"", d->name);
	if (!ocj_get(oc_str_of(h->manifest), "version", &value) || ocj_text(value, text, sizeof(text)) == 0 || strcmp(text, d->version) != 0)
		oct_breach_(h, "the manifest's version is not the descriptor's, \"%s\"", d->version);
}

OCT_API oct_host *oct_new_(const oc_module_desc *module, const char *manifest)
{
	oct_host *h = (oct_host *)oct_get_(sizeof(*h));
	h->desc = module;
	h->self.host = h;
	h->manifest = manifest != NULL ? oct_file_(manifest) : NULL;
	h->tasks_tail = &h->tasks;
	h->thread = pthread_self();
	h->now = 1000000;
	h->admits = 1;
	(void)pthread_mutex_init(&h->lock, NULL);
	if (pipe(h->wake) != 0) {
		puts("Bail out! no pipe for the test");
		exit(1);
	}
	h->api.struct_size = sizeof(h->api);
	h->api.abi_major = OC_ABI_MAJOR;
	h->api.abi_minor = OC_ABI_MINOR;
	h->api.log = oct_log_;
	h->api.alloc = oct_alloc_;
	h->api.free = oct_free_;
	h->api.buf_new = oct_buf_new_;
	h->api.buf_ref = oct_buf_ref_;
	h->api.buf_unref = oct_buf_unref_;
	h->api.buf_str = oct_buf_str_;
	h->api.post = oct_user_post_;
	h->api.work = oct_work_;
	h->api.timer = oct_timer_;
	h->api.fd = oct_fd_;
	h->api.unwatch = oct_unwatch_;
	h->api.call_event = oct_call_event_;
	h->api.call_done = oct_call_done_;
	h->api.now_ms = oct_now_;
	h->api.secret = oct_secret_;
	h->api.query = oct_query_;
	h->api.service_call = oct_service_call_;
	h->api.gauge = oct_gauge_;
	oct_check_desc_(h);
	return h;
}

/* Only makes the host: set secrets and answers that init and start need, then oct_start. manifest: a file, or NULL. */
OCT_API oct_host *oct_prepare(const oc_module_desc *module, const char *manifest)
{
	return oct_new_(module, manifest);
}

/* init and start. What init or start said. */
OCT_API oc_status oct_start(oct_host *h, const char *config)
{
	char *whole = oct_defaults_(h->manifest, config);
	oc_status status;
	h->in_module++;
	status = h->desc->init(&h->api, &h->self, oc_str_of(whole), &h->inst);
	h->in_module--;
	free(whole);
	if (status != OC_OK) {
		if (h->allocations > 0 || h->bufs > 0 || h->watches != NULL)
			oct_breach_(h, "init failed and kept memory, buffers, timers or watches");
		return status;
	}
	h->started = 1;
	if (h->desc->start != NULL) {
		oc_call *c = oct_call_new_(h);
		h->in_module++;
		h->desc->start(h->inst, c);
		h->in_module--;
		status = oct_finish(h, &c->result)->status;
	}
	return status;
}

/* Both; the module must start. manifest is the path of module.json, config its settings as JSON. */
OCT_API oct_host *oct_open(const oc_module_desc *module, const char *manifest, const char *config)
{
	oct_host *h = oct_prepare(module, manifest);
	(void)oct_check_(oct_start(h, config) == OC_OK, "the module starts", __FILE__, __LINE__);
	return h;
}

OCT_API void oct_free_lists_(oct_host *h)
{
	oct_item_ **lists[] = {&h->secrets, &h->kv, &h->http_answers, &h->process_answers, &h->service_answers, &h->requests[0],
			       &h->requests[1], &h->requests[2], &h->requests[3], &h->logs};
	for (size_t i = 0; i < sizeof(lists) / sizeof(lists[0]); i++)
		while (*lists[i] != NULL)
			oct_drop_(lists[i], *lists[i]);
	for (oc_http_call *c = h->https, *next; c != NULL; c = next) {
		next = c->next;
		if (c->answer != NULL) {
			free(c->answer->value);
			free(c->answer->more);
			free(c->answer);
		}
		free(c);
	}
	for (oc_process *p = h->processes, *next; p != NULL; p = next) {
		next = p->next;
		free(p->fed);
		free(p);
	}
	for (oc_call *c = h->calls, *next; c != NULL; c = next) {
		next = c->next;
		for (size_t i = 0; i < c->result.n_events; i++)
			free((void *)(uintptr_t)c->result.events[i].payload.p);
		free(c->result.events);
		if (c->result.done)
			free((void *)(uintptr_t)c->result.text.p);
		oct_take_back_(c);
		free(c);
	}
}

/* Stops the module and looks at what it leaves. The number of breaches, each of which was a failed check. */
OCT_API unsigned oct_close(oct_host *h)
{
	unsigned breaches;
	if (h->started && h->desc->stop != NULL) {
		oc_call *c = oct_call_new_(h);
		h->in_module++;
		h->desc->stop(h->inst, c, 5000);
		h->in_module--;
		(void)oct_finish(h, &c->result);
	}
	for (oc_call *c = h->calls; c != NULL; c = c->next)
		if (h->started && !c->result.done && !oct_run(h, &c->result, OCT_CALL_MS))
			oct_breach_(h, "a call was never completed");
	for (oc_http_call *c = h->https; c != NULL; c = c->next)
		c->over = 1; /* the host ends what is still open */
	while (oct_turn_(h, h->now))
		;
	for (oc_watch *w = h->watches; w != NULL; w = w->next)
		w->ended = 1;
	oct_sweep_(h);
	if (h->started) {
		h->in_module++;
		h->desc->fini(h->inst);
		h->in_module--;
	}
	if (h->allocations > 0)
		oct_breach_(h, "%zu allocations were not freed", h->allocations);
	if (h->bufs > 0)
		oct_breach_(h, "%zu buffers were not given back", h->bufs);
	while (h->tasks != NULL) {
		oct_task_ *t = oct_task_take_(h);
		free(t->text);
		free(t);
	}
	breaches = h->breaches;
	(void)oct_check_(breaches == 0, "the module keeps the contract", __FILE__, __LINE__);
	oct_free_lists_(h);
	(void)close(h->wake[0]);
	(void)close(h->wake[1]);
	(void)pthread_mutex_destroy(&h->lock);
	free(h->manifest);
	free(h);
	return breaches;
}

#endif
