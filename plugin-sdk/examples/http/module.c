/* notes: a module that answers HTTP requests: PUT, GET and DELETE short texts under /notes/NAME. */
#include <openclaw/json.h>
#include <openclaw/module.h>
#include <string.h>

OC_MODULE_MANIFEST("module.json");

#define PREFIX "/notes/"

typedef struct notes {
	const oc_host_api *host;
	oc_self *self;
	const oc_kv_host *kv;
	int64_t max_bytes;
} notes;

/* One request on its way to the disk. */
typedef struct pending {
	notes *notes;
	oc_call *call;
} pending;

static oc_status notes_init(const oc_host_api *host, oc_self *self, oc_str config, void **ret_inst)
{
	const void *kv;
	oc_status status = host->query(self, OC_STR(OC_SERVICE_KV), 1, 0, &kv);
	oc_str value;
	notes *n;

	if (status != OC_OK)
		return status;
	n = host->alloc(self, sizeof(*n));
	if (n == NULL)
		return OC_E_NOMEM;
	*n = (notes){host, self, kv, 65536};
	if (ocj_get(config, "maxBytes", &value))
		(void)ocj_int(value, &n->max_bytes);
	*ret_inst = n;
	return OC_OK;
}

static void notes_fini(void *inst)
{
	notes *n = inst;

	n->host->free(n->self, n);
}

/* A whole answer: the head, the body, the end. */
static void respond(notes *n, oc_call *call, const char *head, oc_str body)
{
	(void)n->host->call_event(call, OC_EV_HTTP_HEAD, oc_str_of(head));
	if (body.n > 0)
		(void)n->host->call_event(call, OC_EV_HTTP_BODY, body);
	n->host->call_done(call, OC_OK, OC_STR(""));
}

#define PLAIN "\"headers\":{\"content-type\":\"text/plain; charset=utf-8\",\"x-content-type-options\":\"nosniff\"}}"

static void on_written(void *arg, oc_status status)
{
	pending *p = arg;

	if (status == OC_OK)
		respond(p->notes, p->call, "{\"status\":204}", OC_STR(""));
	else
		respond(p->notes, p->call, "{\"status\":503," PLAIN, OC_STR("the note could not be written\n"));
	p->notes->host->free(p->notes->self, p);
}

static void write_note(notes *n, oc_call *call, oc_str key, oc_str text)
{
	pending *p = n->host->alloc(n->self, sizeof(*p));
	oc_status status = OC_E_NOMEM;

	if (p != NULL) {
		*p = (pending){n, call};
		status = n->kv->put(n->self, key, text, on_written, p);
	}
	if (status != OC_OK) {
		n->host->free(n->self, p);
		respond(n, call, "{\"status\":503," PLAIN, OC_STR("the note cannot be written now\n"));
	}
}

static void read_note(notes *n, oc_call *call, oc_str key)
{
	oc_buf *text = NULL;

	if (n->kv->get(n->self, key, &text) == OC_OK)
		respond(n, call, "{\"status\":200," PLAIN, n->host->buf_str(text));
	else
		respond(n, call, "{\"status\":404," PLAIN, OC_STR("there is no such note\n"));
	n->host->buf_unref(text);
}

static void notes_request(void *inst, oc_call *call, const oc_http_request *request)
{
	notes *n = inst;
	/* The path is decoded and normalised, and the gateway has checked its token: nothing unknown gets here. */
	oc_str key = {request->path.p + sizeof(PREFIX) - 1, request->path.n - (sizeof(PREFIX) - 1)};

	if (strncmp(request->path.p, PREFIX, sizeof(PREFIX) - 1) != 0 || key.n == 0 || key.n > 200)
		respond(n, call, "{\"status\":404," PLAIN, OC_STR("notes live at /notes/NAME\n"));
	else if (strcmp(request->method.p, "GET") == 0)
		read_note(n, call, key);
	else if (strcmp(request->method.p, "DELETE") == 0)
		write_note(n, call, key, OC_STR(""));
	else if (strcmp(request->method.p, "PUT") != 0)
		respond(n, call, "{\"status\":405,\"headers\":{\"allow\":\"GET, PUT, DELETE\"}}", OC_STR(""));
	else if (request->body.n > (size_t)n->max_bytes)
		respond(n, call, "{\"status\":413," PLAIN, OC_STR("the note is longer than maxBytes\n"));
	else
		write_note(n, call, key, request->body);
}

static const oc_http_vtbl notes_vtbl = {.struct_size = sizeof(notes_vtbl), .request = notes_request};

/* The id is the prefix of the paths. */
static const oc_iface notes_ifaces[] = {{OC_KIND_HTTP, 1, 0, "/notes", &notes_vtbl}};

static const oc_module_desc notes_desc = {
	.magic = OC_MODULE_MAGIC,
	.struct_size = sizeof(notes_desc),
	.abi_major = OC_ABI_MAJOR,
	.abi_minor = OC_ABI_MINOR,
	.name = "notes",
	.version = "0.1.0",
	.ifaces = notes_ifaces,
	.n_ifaces = 1,
	.init = notes_init,
	.fini = notes_fini,
};

OC_MODULE(&notes_desc);
