#include "core/gateway/jsonrpc.h"

#include <string.h>

#include "core/base/mem.h"
#include "core/gateway/absent.h"

#define MAX_ANSWER (64u << 20)
#define MAX_NODES 100000
#define USUAL_ANSWER 256
#define TOO_LARGE "{\"jsonrpc\":\"2.0\",\"error\":{\"code\":-32005,\"message\":\"the answer is too large\"},\"id\":null}"
#define NO_MEMORY "{\"jsonrpc\":\"2.0\",\"error\":{\"code\":-32603,\"message\":\"out of memory\"},\"id\":null}"

/* One message, a batch or not. It, its calls and its tree lie in the arena. */
struct message {
	oc_arena *arena;
	void (*done)(void *arg, oc_str text);
	void *arg;
	bool is_batch;
	unsigned open; /* calls without an answer, and one for the starter */
	oc_sbuf out;
};

struct call {
	struct message *message;
	const cJSON *id; /* NULL: a notification */
};

/* The number for a status. */
static int code_of(oc_status status)
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
	oc_sbuf_str(b, OC_STR(",\"id\":"));
	if (id == NULL)
		oc_sbuf_str(b, OC_STR("null"));
	else
		oc_json_add_to(b, id);
	oc_sbuf_char(b, '}');
}

static void begin(struct message *m)
{
	if (m->is_batch)
		oc_sbuf_char(&m->out, m->out.n == 0 ? '[' : ',');
	oc_sbuf_str(&m->out, OC_STR("{\"jsonrpc\":\"2.0\","));
}

static void add_error_with(struct message *m, const cJSON *id, int code, const char *text, const char *name, const char *remedy,
			   oc_str details)
{
	begin(m);
	oc_sbuf_printf(&m->out, "\"error\":{\"code\":%d,\"message\":", code);
	oc_sbuf_json(&m->out, oc_str_of(text));
	oc_sbuf_printf(&m->out, ",\"data\":{\"code\":\"%s\"", name);
	if (remedy != NULL && remedy[0] != 0) {
		oc_sbuf_z(&m->out, ",\"remedy\":");
		oc_sbuf_json(&m->out, oc_str_of(remedy));
	}
	if (details.n > 0) {
		oc_sbuf_z(&m->out, ",\"details\":");
		oc_sbuf_str(&m->out, details);
	}
	oc_sbuf_z(&m->out, "}}");
	add_id(&m->out, id);
}

static void add_error(struct message *m, const cJSON *id, int code, const char *text, const char *name, const char *remedy)
{
	add_error_with(m, id, code, text, name, remedy, OC_STR_NONE);
}

static void release(struct message *m)
{
	if (--m->open > 0)
		return;
	if (m->is_batch && m->out.n > 0)
		oc_sbuf_char(&m->out, ']');
	m->done(m->arg, m->out.error == OC_OK        ? oc_sbuf_view(&m->out)
			: m->out.error == OC_E_LIMIT ? OC_STR(TOO_LARGE)
						     : OC_STR(NO_MEMORY));
	oc_sbuf_free(&m->out);
	oc_arena_free(m->arena);
}

static void on_answer(void *arg, oc_status status, oc_str result, const oc_err *err)
{
	struct call *call = arg;
	struct message *m = call->message;
	if (call->id != NULL && status == OC_OK) {
		begin(m);
		oc_sbuf_str(&m->out, OC_STR("\"result\":"));
		oc_sbuf_str(&m->out, result);
		add_id(&m->out, call->id);
	} else if (call->id != NULL) {
		add_error_with(m, call->id, code_of(status), err->text[0] != 0 ? err->text : oc_status_text(status),
			       oc_status_name(status), err->remedy, result);
	}
	release(m);
}

/* One request object. */
static void start(struct message *m, oc_client *client, const cJSON *request)
{
	const cJSON *id = NULL, *method = NULL, *params = NULL, *version = NULL;
	for (const cJSON *c = cJSON_IsObject(request) ? request->child : NULL; c != NULL; c = c->next) {
		if (strcmp(c->string, "id") == 0)
			id = c;
		else if (strcmp(c->string, "method") == 0)
			method = c;
		else if (strcmp(c->string, "params") == 0)
			params = c;
		else if (strcmp(c->string, "jsonrpc") == 0)
			version = c;
	}
	bool id_ok = id == NULL || cJSON_IsString(id) || cJSON_IsNumber(id) || cJSON_IsNull(id);
	const char *wrong = !cJSON_IsObject(request) ? "a request is an object"
			    : !cJSON_IsString(version) || strcmp(version->valuestring, "2.0") != 0
				    ? "\"jsonrpc\" must be \"2.0\""
			    : !cJSON_IsString(method) ? "\"method\" must be a string"
			    : !id_ok                  ? "\"id\" must be a string, a number or null"
						      : NULL;
	if (wrong != NULL) {
		add_error(m, id_ok ? id : NULL, -32600, wrong, "invalid", "see jsonrpc.org/specification");
		return;
	}
	if (params != NULL && !cJSON_IsObject(params) && !(cJSON_IsArray(params) && params->child == NULL)) {
		if (id != NULL) /* a notification is never answered */
			add_error(m, id, -32602, "\"params\" must be an object: parameters have names here", "invalid", NULL);
		return;
	}
	oc_err err;
	int row = oc_method_find(oc_str_of(method->valuestring), &err);
	struct call *call = oc_arena_alloc(m->arena, sizeof *call);
	if (call == NULL) {
		m->out.error = OC_E_NOMEM;
		return;
	}
	*call = (struct call){m, id};
	m->open++;
	if (row < 0) {
		if (oc_method_guest(client, oc_str_of(method->valuestring), cJSON_IsObject(params) ? params : NULL, on_answer, call))
			return;
		const oc_absent *absent = oc_absent_find(oc_str_of(method->valuestring));
		if (absent != NULL) {
			on_answer(call, oc_absent_refuse(absent, client, &err), OC_STR_NONE, &err);
			return;
		}
		m->open--;
		if (id != NULL)
			add_error(m, id, -32601, err.text, oc_status_name(err.code), err.remedy);
		return;
	}
	oc_method_start(client, row, cJSON_IsObject(params) ? params : NULL, on_answer, call);
}

void oc_jsonrpc_handle(oc_client *client, oc_str text, void (*done)(void *arg, oc_str text), void *arg)
{
	oc_arena *arena = oc_arena_new(0);
	struct message *m = arena != NULL ? oc_arena_alloc(arena, sizeof *m) : NULL;
	if (m == NULL) {
		oc_arena_free(arena);
		done(arg, OC_STR(NO_MEMORY));
		return;
	}
	*m = (struct message){.arena = arena, .done = done, .arg = arg, .open = 1};
	oc_sbuf_init(&m->out, MAX_ANSWER);
	oc_sbuf_room(&m->out, USUAL_ANSWER);
	oc_err err = {0};
	const cJSON *tree = NULL, *request;
	oc_json_limits limits = {.max_bytes = OC_JSONRPC_MAX_BYTES, .max_depth = 64, .max_nodes = MAX_NODES};
	if (oc_json_parse_in(arena, text, &limits, &tree, &err) != OC_OK) {
		add_error(m, NULL, -32700, err.text, oc_status_name(err.code), err.remedy);
	} else if (!cJSON_IsArray(tree)) {
		start(m, client, tree);
	} else if (tree->child == NULL || cJSON_GetArraySize(tree) > OC_JSONRPC_MAX_BATCH) {
		add_error(m, NULL, -32600, "a batch has 1 to 64 requests", "invalid", NULL);
	} else {
		m->is_batch = true;
		cJSON_ArrayForEach(request, tree) start(m, client, request);
	}
	release(m);
}
