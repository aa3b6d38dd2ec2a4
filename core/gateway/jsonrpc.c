#include "core/gateway/jsonrpc.h"

#include <string.h>

#include "core/base/mem.h"

#define MAX_ANSWER (64u << 20)

/* One message, a batch or not. */
struct message {
	void (*done)(void *arg, oc_str text);
	void *arg;
	cJSON *tree;
	bool is_batch;
	unsigned open; /* calls without an answer, and one for the starter */
	oc_sbuf out;
};

struct call {
	struct message *message;
	const cJSON *id; /* in the tree; NULL: a notification */
};

int oc_jsonrpc_code(oc_status status)
{
	switch (status) {
	case OC_E_INVALID:
		return -32602;
	case OC_E_INTERNAL:
	case OC_E_NOMEM:
		return -32603;
	case OC_E_AUTH:
		return -32001;
	case OC_E_DENIED:
	case OC_E_BLOCKED:
		return -32002;
	case OC_E_NOT_FOUND:
		return -32003;
	case OC_E_TIMEOUT:
		return -32004;
	case OC_E_LIMIT:
	case OC_E_RATE_LIMIT:
	case OC_E_QUOTA:
	case OC_E_CONTEXT:
		return -32005;
	case OC_E_BUSY:
	case OC_E_UNAVAILABLE:
	case OC_E_RETRY:
		return -32006;
	case OC_E_EXISTS:
	case OC_E_STATE:
		return -32007;
	case OC_E_CANCELED:
		return -32008;
	default:
		return -32000;
	}
}

static void add_id(oc_sbuf *b, const cJSON *id)
{
	oc_sbuf_z(b, ",\"id\":");
	if (id == NULL)
		oc_sbuf_z(b, "null");
	else
		oc_json_add_to(b, id);
	oc_sbuf_char(b, '}');
}

static void begin(struct message *m)
{
	if (m->is_batch)
		oc_sbuf_char(&m->out, m->out.n == 0 ? '[' : ',');
	oc_sbuf_z(&m->out, "{\"jsonrpc\":\"2.0\",");
}

static void add_error(struct message *m, const cJSON *id, int code, const char *text, const char *name, const char *remedy)
{
	begin(m);
	oc_sbuf_printf(&m->out, "\"error\":{\"code\":%d,\"message\":", code);
	oc_sbuf_json(&m->out, oc_str_of(text));
	oc_sbuf_printf(&m->out, ",\"data\":{\"code\":\"%s\"", name);
	if (remedy != NULL && remedy[0] != 0) {
		oc_sbuf_z(&m->out, ",\"remedy\":");
		oc_sbuf_json(&m->out, oc_str_of(remedy));
	}
	oc_sbuf_z(&m->out, "}}");
	add_id(&m->out, id);
}

static void release(struct message *m)
{
	if (--m->open > 0)
		return;
	if (m->is_batch && m->out.n > 0)
		oc_sbuf_char(&m->out, ']');
	if (m->out.error != OC_OK) {
		oc_sbuf_clear(&m->out);
		oc_sbuf_z(&m->out, "{\"jsonrpc\":\"2.0\",\"error\":{\"code\":-32005,\"message\":\"the answer is too large\"},"
				   "\"id\":null}");
	}
	m->done(m->arg, oc_sbuf_view(&m->out));
	oc_sbuf_free(&m->out);
	cJSON_Delete(m->tree);
	oc_free(m);
}

static void on_answer(void *arg, oc_status status, oc_str result, const oc_err *err)
{
	struct call *call = arg;
	struct message *m = call->message;
	if (call->id != NULL && status == OC_OK) {
		begin(m);
		oc_sbuf_z(&m->out, "\"result\":");
		oc_sbuf_str(&m->out, result);
		add_id(&m->out, call->id);
	} else if (call->id != NULL) {
		/* "no such method" is the only use of UNSUPPORTED by the dispatcher itself. */
		int code = status == OC_E_UNSUPPORTED ? -32601 : oc_jsonrpc_code(status);
		add_error(m, call->id, code, err->text[0] != 0 ? err->text : oc_status_text(status), oc_status_name(status),
			  err->remedy);
	}
	oc_free(call);
	release(m);
}

/* One request object. */
static void start(struct message *m, oc_client *client, const cJSON *request)
{
	const cJSON *id = cJSON_IsObject(request) ? oc_json_get(request, "id") : NULL;
	const cJSON *method = oc_json_get(request, "method"), *params = oc_json_get(request, "params");
	const char *version = oc_json_str(request, "jsonrpc", NULL);
	bool id_ok = id == NULL || cJSON_IsString(id) || cJSON_IsNumber(id) || cJSON_IsNull(id);
	const char *wrong = !cJSON_IsObject(request)                    ? "a request is an object"
			    : version == NULL || strcmp(version, "2.0") ? "\"jsonrpc\" must be \"2.0\""
			    : !cJSON_IsString(method)                   ? "\"method\" must be a string"
			    : !id_ok                                    ? "\"id\" must be a string, a number or null"
			    : NULL;
	if (wrong != NULL) {
		add_error(m, id_ok ? id : NULL, -32600, wrong, "invalid", "see jsonrpc.org/specification");
		return;
	}
	if (params != NULL && !cJSON_IsObject(params) && !(cJSON_IsArray(params) && params->child == NULL)) {
		add_error(m, id, -32602, "\"params\" must be an object: parameters have names here", "invalid", NULL);
		return;
	}
	struct call *call = oc_alloc(sizeof *call);
	if (call == NULL) {
		m->out.error = OC_E_NOMEM;
		return;
	}
	*call = (struct call){m, id};
	m->open++;
	oc_method_start(client, oc_str_of(method->valuestring), cJSON_IsObject(params) ? params : NULL, on_answer, call);
}

void oc_jsonrpc_handle(oc_client *client, oc_str text, void (*done)(void *arg, oc_str text), void *arg)
{
	struct message *m = oc_alloc(sizeof *m);
	if (m == NULL) {
		done(arg, OC_STR("{\"jsonrpc\":\"2.0\",\"error\":{\"code\":-32603,\"message\":\"out of memory\"},\"id\":null}"));
		return;
	}
	*m = (struct message){.done = done, .arg = arg, .open = 1};
	oc_sbuf_init(&m->out, MAX_ANSWER);
	oc_err err = {0};
	oc_json_limits limits = {.max_bytes = OC_JSONRPC_MAX_BYTES, .max_depth = 64};
	if (oc_json_parse(text, &limits, &m->tree, &err) != OC_OK) {
		add_error(m, NULL, -32700, err.text, oc_status_name(err.code), err.remedy);
	} else if (!cJSON_IsArray(m->tree)) {
		start(m, client, m->tree);
	} else if (m->tree->child == NULL || cJSON_GetArraySize(m->tree) > OC_JSONRPC_MAX_BATCH) {
		add_error(m, NULL, -32600, "a batch has 1 to 64 requests", "invalid", NULL);
	} else {
		m->is_batch = true;
		const cJSON *request;
		cJSON_ArrayForEach(request, m->tree) start(m, client, request);
	}
	release(m);
}
