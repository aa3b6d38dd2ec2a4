/* ollama_native: a module that speaks a model's protocol: /api/chat of Ollama, one JSON object a line. Text only. */
#include <openclaw/json.h>
#include <openclaw/module.h>
#include <stdio.h>
#include <string.h>

OC_MODULE_MANIFEST("module.json");

typedef struct ollama_native {
	const oc_host_api *host;
	oc_self *self;
	const oc_http_client_host *http;
	struct chat *chats; /* under way */
} ollama_native;

typedef struct chat {
	struct chat *next;
	ollama_native *ollama;
	oc_call *call;
	oc_http_call *request;
	size_t n; /* bytes of the line so far */
	char stop[24], line[65536], text[65536];
} chat;

static oc_status ollama_native_init(const oc_host_api *host, oc_self *self, oc_str config, void **ret_inst)
{
	const void *http;
	oc_status status = host->query(self, OC_STR(OC_SERVICE_HTTP_CLIENT), 1, 0, &http);
	ollama_native *o = status == OC_OK && config.p != NULL ? host->alloc(self, sizeof(*o)) : NULL;
	if (o == NULL) /* config: it has no settings of its own */
		return status != OC_OK ? status : OC_E_NOMEM;
	*o = (ollama_native){host, self, http, NULL};
	*ret_inst = o;
	return OC_OK;
}

static void ollama_native_fini(void *inst)
{
	ollama_native *o = inst;
	o->host->free(o->self, o);
}

static void finish(chat *c, oc_status status, oc_str result)
{
	ollama_native *o = c->ollama;
	chat **at = &o->chats;
	while (*at != c)
		at = &(*at)->next;
	*at = c->next;
	o->host->call_done(c->call, status, result);
	o->host->free(o->self, c);
}

static void on_line(chat *c)
{
	oc_str line = {c->line, c->n}, message, value;
	c->line[c->n] = 0;
	c->n = 0;
	if (ocj_get(line, "message", &message) && ocj_get(message, "content", &value) && ocj_text(value, c->text, sizeof(c->text)) > 0)
		(void)c->ollama->host->call_event(c->call, OC_EV_TEXT, oc_str_of(c->text));
	if (ocj_get(line, "done_reason", &value))
		(void)ocj_text(value, c->stop, sizeof(c->stop));
}

/* Lines may end anywhere in the pieces. */
static void on_data(void *arg, oc_str data)
{
	chat *c = arg;
	for (size_t i = 0; i < data.n; i++)
		if (data.p[i] == '\n')
			on_line(c);
		else if (c->n < sizeof(c->line) - 1)
			c->line[c->n++] = data.p[i];
}

static void on_done(void *arg, oc_status status, int32_t http_status, oc_str body)
{
	chat *c = arg;
	if (status != OC_OK)
		finish(c, status, body);
	else if (http_status != 200) /* the status tells the gateway whether to try again; what was said stands in the line */
		finish(c, http_status >= 500 ? OC_E_UNAVAILABLE : OC_E_INVALID, (oc_str){c->line, c->n});
	else if (strcmp(c->stop, "stop") != 0 && strcmp(c->stop, "length") != 0)
		finish(c, OC_E_PROTOCOL, OC_STR("the answer ended in the middle"));
	else
		finish(c, OC_OK, c->stop[0] == 'l' ? OC_STR("{\"stopReason\":\"length\"}") : OC_STR("{\"stopReason\":\"stop\"}"));
}

/* Each text of the conversation as a message of its own; the texts stay quoted as they are. */
static size_t body_of(oc_str request, char *out, size_t size)
{
	oc_str model, system = OC_STR("\"\""), list, message, role, content, block, text;
	size_t at = 0, n;
	if (!ocj_get(request, "model", &model) || !ocj_get(request, "messages", &list))
		return size;
	(void)ocj_get(request, "system", &system);
	n = (size_t)snprintf(out, size, "{\"model\":%.*s,\"messages\":[{\"role\":\"system\",\"content\":%.*s}", (int)model.n, model.p,
			     (int)system.n, system.p);
	while (ocj_next(list, &at, NULL, &message) && ocj_get(message, "role", &role) && ocj_get(message, "content", &content))
		for (size_t inner = 0; ocj_next(content, &inner, NULL, &block);)
			if (ocj_get(block, "text", &text))
				n += (size_t)snprintf(out + n, size - n, ",{\"role\":%.*s,\"content\":%.*s}", (int)role.n, role.p, (int)text.n, text.p);
	return n + (size_t)snprintf(out + n, size - n, "]}");
}

static void ollama_native_chat(void *inst, oc_call *call, oc_str request)
{
	ollama_native *o = inst;
	size_t size = 2 * request.n + 4096; /* the request holds more than the body does */
	char *body = o->host->alloc(o->self, size), url[1024] = "";
	chat *c = o->host->alloc(o->self, sizeof(*c));
	oc_str endpoint, base = OC_STR("");
	oc_status status = OC_E_NOMEM;
	if (ocj_get(request, "endpoint", &endpoint) && ocj_get(endpoint, "baseUrl", &base))
		memcpy(url + ocj_text(base, url, sizeof(url) - 10), "/api/chat", 10);
	if (body != NULL && c != NULL && base.n < sizeof(url) - 10 && body_of(request, body, size) < size) {
		oc_http_client_request r = {.struct_size = sizeof(r), .method = OC_STR("POST"), .url = oc_str_of(url), .body = oc_str_of(body),
					    .headers = OC_STR("{\"content-type\":\"application/json\"}"), .idle_ms = 300000, .retries = 1,
					    .on_data = on_data, .on_done = on_done, .arg = c};
		*c = (chat){.next = o->chats, .ollama = o, .call = call};
		status = o->http->start(o->self, &r, &c->request);
	}
	if (status == OC_OK)
		o->chats = c;
	else
		o->host->call_done(call, status, OC_STR("the model cannot be asked now"));
	o->host->free(o->self, status == OC_OK ? NULL : c);
	o->host->free(o->self, body);
}

static void ollama_native_cancel(void *inst, oc_call *call)
{
	ollama_native *o = inst;
	chat *c = o->chats; /* only calls that are not completed are cancelled: it is there */
	while (c->call != call)
		c = c->next;
	o->http->cancel(c->request);
	finish(c, OC_E_CANCELED, OC_STR("canceled"));
}

static const oc_provider_vtbl vtbl = {.struct_size = sizeof(vtbl), .chat = ollama_native_chat, .cancel = ollama_native_cancel};
/* The protocol's name: what "api" says in the configuration of a provider. */
static const oc_iface ifaces[] = {{OC_KIND_PROVIDER, 1, 0, "ollama-chat", &vtbl}};
static const oc_module_desc desc = {
	.magic = OC_MODULE_MAGIC, .struct_size = sizeof(desc), .abi_major = OC_ABI_MAJOR, .abi_minor = OC_ABI_MINOR,
	.name = "ollama_native", .version = "0.1.0", .ifaces = ifaces, .n_ifaces = 1,
	.init = ollama_native_init, .fini = ollama_native_fini,
};
OC_MODULE(&desc);
