#include "core/gateway/frame.h"

#include <string.h>

#include "core/base/mem.h"
#include "core/gateway/method.h"

#define MAX_NODES 1000000
#define EARLY_NODES 10000
#define USUAL_ANSWER 256
#define USUAL_MOST 65536

/* ---- In ---- */

static const char frame_schema[] =
	"{\"type\":\"object\",\"additionalProperties\":false,\"required\":[\"type\",\"id\",\"method\"],\"properties\":{"
	"\"type\":{\"const\":\"req\"},\"id\":{\"type\":\"string\",\"minLength\":1},"
	"\"method\":{\"type\":\"string\",\"minLength\":1},\"params\":{},\"traceparent\":{\"type\":\"string\"},"
	"\"expectedProfileId\":{\"type\":\"string\"}}}";

/* Nearly every frame has these four members and no other; the schema says what is wrong with the rest. */
static bool is_plain(const cJSON *frame, oc_frame *ret)
{
	const char *type = "", *id = "";
	ret->method = "";
	for (const cJSON *member = frame->child; member != NULL; member = member->next) {
		const char *text = cJSON_IsString(member) ? member->valuestring : "";
		if (strcmp(member->string, "type") == 0) {
			type = text;
		} else if (strcmp(member->string, "id") == 0) {
			ret->id = member;
			id = text;
		} else if (strcmp(member->string, "method") == 0) {
			ret->method = text;
		} else if (strcmp(member->string, "params") == 0) {
			ret->params = member;
		} else {
			return false;
		}
	}
	return strcmp(type, "req") == 0 && id[0] != 0 && ret->method[0] != 0;
}

/* JSON that has a null byte in a text cannot be read; whoever sent it is told by the number of the request. */
static const cJSON *id_beside_null(oc_arena *arena, oc_str text, const oc_json_limits *limits)
{
	static const char null[] = "\\u0000";
	const cJSON *frame = NULL;
	bool found = false;
	char *copy = oc_arena_memdup(arena, text.p, text.n);
	if (copy == NULL)
		return NULL;
	for (char *at = copy; (at = strstr(at, null)) != NULL; found = true)
		at[5] = '1';
	return found && oc_json_parse_in(arena, oc_str_make(copy, text.n), limits, &frame, NULL) == OC_OK ? oc_json_get(frame, "id") : NULL;
}

oc_status oc_frame_parse(oc_arena *arena, oc_str text, bool early, oc_frame *ret, oc_err *err)
{
	const cJSON *frame = NULL;
	oc_json_limits limits = {.max_bytes = OC_FRAME_BYTES, .max_depth = 64, .max_nodes = early ? EARLY_NODES : MAX_NODES};
	if (arena == NULL)
		return oc_fail(err, OC_E_NOMEM, NULL, "out of memory");
	*ret = (oc_frame){.traceparent = OC_STR_NONE};
	if (oc_json_parse_in(arena, text, &limits, &frame, err) != OC_OK) {
		ret->id = early ? NULL : id_beside_null(arena, text, &limits);
		return ret->id != NULL ? oc_fail(err, OC_E_INVALID, "", "message must not contain null bytes") : oc_err_prefix(err, "invalid request frame");
	}
	if (cJSON_IsObject(frame) && is_plain(frame, ret))
		return OC_OK;
	oc_auto_json cJSON *schema = cJSON_Parse(frame_schema);
	ret->id = oc_json_get(frame, "id");
	oc_status status = oc_params_check(schema, "request frame", frame, err);
	if (status != OC_OK)
		return status;
	ret->method = oc_json_str(frame, "method", "");
	ret->params = oc_json_get(frame, "params");
	ret->traceparent = oc_json_ostr(frame, "traceparent");
	return OC_OK;
}

/* ---- Out ---- */

static void begin(oc_sbuf *b, const cJSON *id, bool ok, size_t more)
{
	oc_sbuf_room(b, USUAL_ANSWER + more);
	oc_sbuf_str(b, OC_STR("{\"type\":\"res\",\"id\":"));
	if (id != NULL)
		oc_json_add_to(b, id);
	else
		oc_sbuf_str(b, OC_STR("\"invalid\""));
	oc_sbuf_str(b, ok ? OC_STR(",\"ok\":true") : OC_STR(",\"ok\":false"));
}

void oc_frame_result(oc_sbuf *b, const cJSON *id, oc_str payload)
{
	begin(b, id, true, payload.n < USUAL_MOST ? payload.n : 0);
	oc_sbuf_str(b, OC_STR(",\"payload\":"));
	oc_sbuf_str(b, payload);
	oc_sbuf_char(b, '}');
	if (b->error != OC_E_LIMIT)
		return;
	oc_sbuf_free(b);
	begin(b, id, false, 0);
	oc_sbuf_z(b, ",\"error\":{\"code\":\"UNAVAILABLE\",\"message\":\"the answer is too large\"}}");
}

/* The protocol knows few codes: what the client can mend, and what may work later. */
static const char *code_of(oc_status status)
{
	switch (status) {
	case OC_E_INVALID:
	case OC_E_NOT_FOUND:
	case OC_E_AUTH:
	case OC_E_DENIED:
	case OC_E_BLOCKED:
	case OC_E_EXISTS:
	case OC_E_STATE:
		return "INVALID_REQUEST";
	default:
		return "UNAVAILABLE";
	}
}

void oc_frame_error(oc_sbuf *b, const cJSON *id, const char *code, const oc_err *err, oc_str details)
{
	begin(b, id, false, 0);
	oc_sbuf_printf(b, ",\"error\":{\"code\":\"%s\",\"message\":", code != NULL ? code : code_of(err->code));
	oc_sbuf_json(b, oc_str_of(err->text[0] != 0 ? err->text : oc_status_text(err->code)));
	if (details.n > 0) {
		oc_sbuf_z(b, ",\"details\":");
		oc_sbuf_str(b, details);
	} else if (err->remedy[0] != 0) {
		oc_sbuf_z(b, ",\"details\":{\"remedy\":");
		oc_sbuf_json(b, oc_str_of(err->remedy));
		oc_sbuf_char(b, '}');
	}
	if (err->code == OC_E_BUSY || err->code == OC_E_RETRY || err->code == OC_E_RATE_LIMIT)
		oc_sbuf_z(b, ",\"retryable\":true");
	oc_sbuf_z(b, "}}");
}
