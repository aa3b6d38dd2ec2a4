/*
 * Webhooks: POST /hooks/wake, /hooks/agent and /hooks/NAME by hooks.mappings.
 *
 * They have a token of their own, which opens nothing else; the gateway's does not open them.  What comes in is the word of a
 * stranger: the model is told so unless a mapping says otherwise.
 */
#include <string.h>

#include "core/agent/heartbeat.h"
#include "core/agent/hookrun.h"
#include "core/base/clock.h"
#include "core/base/id.h"
#include "core/base/log.h"
#include "core/base/mem.h"
#include "core/gateway/access.h"

#define BODY_MAX (256 << 10)
#define TEXT_MAX (512 << 10)

static const char marker; /* a request's user pointer: it is for this file */

static oc_str base_of(const oc_config *config)
{
	oc_str path = oc_str_of(oc_config_str(config, "hooks.path", "/hooks"));
	while (path.n > 1 && path.p[path.n - 1] == '/')
		path.n--;
	return path.n > 1 && path.p[0] == '/' ? path : OC_STR("/hooks");
}

/* What follows the base in a request's path: "/wake" is "wake". false: it is for somebody else. */
static bool name_of(oc_gateway *gw, const oc_http_req *req, oc_str *ret)
{
	oc_str path = oc_http_path(req), base = base_of(gw->rt->config);
	if (path.n < base.n || memcmp(path.p, base.p, base.n) != 0 || (path.n > base.n && path.p[base.n] != '/'))
		return false;
	path = (oc_str){path.p + base.n, path.n - base.n};
	while (path.n > 0 && path.p[0] == '/')
		path = (oc_str){path.p + 1, path.n - 1};
	while (path.n > 0 && path.p[path.n - 1] == '/')
		path.n--;
	*ret = path;
	return true;
}

/* ---- Answers ---- */

static void plain(oc_gateway *gw, oc_http_req *req, int status, const char *text)
{
	gw->status_class[status / 100]++;
	oc_http_respond(req, status, "text/plain; charset=utf-8", oc_str_of(text));
}

static void answer(oc_gateway *gw, oc_http_req *req, int status, cJSON *o)
{
	oc_auto_free char *json = oc_json_print(o);
	cJSON_Delete(o);
	gw->status_class[status / 100]++;
	oc_http_respond(req, json != NULL ? status : 500, "application/json; charset=utf-8", json != NULL ? oc_str_of(json) : OC_STR("{\"ok\":false}"));
}

static void refuse(oc_gateway *gw, oc_http_req *req, int status, const char *why)
{
	cJSON *o = cJSON_CreateObject();
	(void)oc_json_set_bool(o, "ok", false);
	(void)oc_json_set_str(o, "error", why);
	answer(gw, req, status, o);
}

static void refuse_err(oc_gateway *gw, oc_http_req *req, const oc_err *err)
{
	int status = err->code == OC_E_UNAVAILABLE || err->code == OC_E_BUSY ? 503 : err->code == OC_E_NOMEM || err->code == OC_E_IO ? 500 : 400;
	refuse(gw, req, status, err->text);
}

/* ---- Who may ---- */

static bool has_query_token(oc_str query)
{
	while (query.p != NULL && query.n > 0) {
		oc_str part = oc_str_cut(&query, '&');
		if (oc_str_starts(part, "token=") || oc_str_eqz(part, "token"))
			return true;
	}
	return false;
}

static bool token_ok(oc_gateway *gw, const oc_http_req *req)
{
	oc_str want = oc_str_of(oc_config_str(gw->rt->config, "hooks.token", ""));
	oc_str given = oc_http_header(req, "x-openclaw-token"), header = oc_http_header(req, "authorization");
	if (header.n > 7 && oc_str_ieq((oc_str){header.p, 7}, OC_STR("Bearer ")))
		given = (oc_str){header.p + 7, header.n - 7};
	given = oc_str_trim(given);
	return want.n > 0 && given.n > 0 && oc_str_eq_secret(given, want);
}

/* Guesses at this token are counted apart from those at the gateway's. */
static const char *tries_key(const oc_from *from, char out[64])
{
	(void)snprintf(out, 64, "hook %.50s", from->address);
	return out;
}

bool oc_gateway_hook_head(oc_gateway *gw, oc_http_req *req)
{
	oc_str name;
	char key[64];
	const oc_config *config = gw->rt->config;
	if (!oc_config_bool(config, "hooks.enabled", false) || !name_of(gw, req, &name))
		return false;
	oc_from from;
	oc_from_guesser(gw, req, &from);
	uint64_t wait = oc_auth_locked_ms(&gw->tries, tries_key(&from, key), oc_now_ms());
	if (has_query_token(oc_http_query(req))) {
		plain(gw, req, 400,
		      "Hook token must be provided via Authorization: Bearer <token> or X-OpenClaw-Token header (query parameters are not "
		      "allowed).");
	} else if (wait > 0) {
		char seconds[OC_U64_CHARS];
		char *end = oc_put_u64(seconds, wait / 1000 + 1);
		oc_http_add_header(req, "retry-after", oc_str_make(seconds, (size_t)(end - seconds)));
		plain(gw, req, 429, "Too Many Requests");
	} else if (!token_ok(gw, req)) {
		oc_auth_failed(&gw->tries, config, key, from.is_local, oc_now_ms());
		plain(gw, req, 401, "Unauthorized");
	} else if (!oc_http_is(req, "POST")) {
		oc_http_add_header(req, "allow", OC_STR("POST"));
		plain(gw, req, 405, "Method Not Allowed");
	} else if (name.n == 0) {
		plain(gw, req, 404, "Not Found");
	} else {
		oc_http_guard(req, OC_GUARD_SECRET, OC_SCOPE_NONE);
		oc_http_body_limit(req, (uint64_t)oc_config_i64(config, "hooks.maxBodyBytes", BODY_MAX));
		oc_http_set_user(req, (void *)(uintptr_t)&marker);
	}
	return true;
}

/* ---- What may be asked for ---- */

static bool agent_allowed(const oc_config *config, const char *agent)
{
	const cJSON *list = oc_config_get(config, "hooks.allowedAgentIds");
	return agent[0] == 0 || !cJSON_IsArray(list) || oc_json_names(list, agent);
}

static bool prefix_allowed(const oc_config *config, const char *session)
{
	const cJSON *list = oc_config_get(config, "hooks.allowedSessionKeyPrefixes"), *item;
	if (!cJSON_IsArray(list))
		return true;
	cJSON_ArrayForEach(item, list)
	{
		if (cJSON_IsString(item) && strncmp(session, item->valuestring, strlen(item->valuestring)) == 0)
			return true;
	}
	return false;
}

static void start(oc_gateway *gw, oc_http_req *req, oc_hook_run *run, const cJSON *payload)
{
	const oc_config *config = gw->rt->config;
	oc_err err = {0};
	char id[37];
	oc_str key = oc_http_header(req, "idempotency-key");
	run->idempotency = key.n > 0 ? key : oc_json_ostr(payload, "idempotencyKey");
	if (run->idempotency.n > 200) {
		refuse(gw, req, 400, "the idempotency key is longer than 200 bytes");
		return;
	}
	if (!agent_allowed(config, run->agent_id)) {
		refuse(gw, req, 400, "agentId is not allowed by hooks.allowedAgentIds");
		return;
	}
	if (run->session[0] == 0)
		run->session = oc_config_str(config, "hooks.defaultSessionKey", "");
	else if (!prefix_allowed(config, run->session)) {
		refuse(gw, req, 400, "sessionKey does not begin as hooks.allowedSessionKeyPrefixes wants");
		return;
	}
	if (run->channel[0] != 0 && strcmp(run->channel, "last") != 0 && oc_modules_channel(gw->rt->modules, oc_str_of(run->channel)) == NULL) {
		refuse(gw, req, 400, "channel must be last, or one that is there");
		return;
	}
	if (oc_hook_run_start(gw->agent, run, id, &err) != OC_OK) {
		refuse_err(gw, req, &err);
		return;
	}
	cJSON *o = cJSON_CreateObject();
	(void)oc_json_set_bool(o, "ok", true);
	(void)oc_json_set_str(o, "runId", id);
	answer(gw, req, 200, o);
}

static void wake(oc_gateway *gw, oc_http_req *req, oc_str text, const char *mode)
{
	oc_err err = {0};
	bool later = strcmp(mode, "next-heartbeat") == 0;
	oc_str trimmed = oc_str_trim(text);
	oc_auto_free char *words = oc_memdup(trimmed.p, trimmed.n);
	if (trimmed.n == 0 || words == NULL) {
		refuse(gw, req, words == NULL ? 500 : 400, words == NULL ? "out of memory" : "text required");
		return;
	}
	if (oc_heartbeat_wake(gw->agent, words, !later, &err) != OC_OK) {
		refuse_err(gw, req, &err);
		return;
	}
	cJSON *o = cJSON_CreateObject();
	(void)oc_json_set_bool(o, "ok", true);
	(void)oc_json_set_str(o, "mode", later ? "next-heartbeat" : "now");
	answer(gw, req, 200, o);
}

static void agent(oc_gateway *gw, oc_http_req *req, const cJSON *p)
{
	oc_str message = oc_str_trim(oc_json_ostr(p, "message"));
	oc_hook_run run = {
		.name = oc_json_str(p, "name", "Hook"),
		.agent_id = oc_json_str(p, "agentId", ""),
		.session = oc_json_str(p, "sessionKey", ""),
		.model = oc_json_str(p, "model", ""),
		.thinking = oc_json_str(p, "thinking", ""),
		.message = message,
		.wake = strcmp(oc_json_str(p, "wakeMode", "now"), "next-heartbeat") != 0,
		.deliver = oc_json_bool(p, "deliver", true),
		.channel = oc_json_str(p, "channel", ""),
		.to = oc_json_str(p, "to", ""),
		.timeout_s = oc_json_i64(p, "timeoutSeconds", 0) > 0 ? oc_json_i64(p, "timeoutSeconds", 0) : 0,
	};
	if (message.n == 0)
		refuse(gw, req, 400, "message required");
	else if (run.session[0] != 0 && !oc_config_bool(gw->rt->config, "hooks.allowRequestSessionKey", false))
		refuse(gw, req, 400, "sessionKey is disabled for external /hooks/agent payloads; set hooks.allowRequestSessionKey=true to enable");
	else
		start(gw, req, &run, p);
}

/* ---- Mappings ---- */

static const char gmail_preset[] =
	"{\"id\":\"gmail\",\"match\":{\"path\":\"gmail\"},\"action\":\"agent\",\"wakeMode\":\"now\",\"name\":\"Gmail\","
	"\"sessionKey\":\"hook:gmail:{{messages[0].id}}\",\"messageTemplate\":\"New email from {{messages[0].from}}\\n"
	"Subject: {{messages[0].subject}}\\n{{messages[0].snippet}}\\n{{messages[0].body}}\"}";

static bool matches(const cJSON *mapping, oc_str name, const cJSON *payload)
{
	const cJSON *m = oc_json_get(mapping, "match");
	oc_str path = oc_json_ostr(m, "path");
	const char *source = oc_json_str(m, "source", "");
	while (path.n > 0 && path.p[0] == '/')
		path = (oc_str){path.p + 1, path.n - 1};
	while (path.n > 0 && path.p[path.n - 1] == '/')
		path.n--;
	return (path.n == 0 || oc_str_eq(path, name)) && (source[0] == 0 || strcmp(source, oc_json_str(payload, "source", "")) == 0);
}

/* The mapping for a request; NULL: none. Presets come after what the operator wrote; *ret_own: to be deleted. */
static const cJSON *mapping_for(const oc_config *config, oc_str name, const cJSON *payload, cJSON **ret_own)
{
	const cJSON *mapping;
	cJSON_ArrayForEach(mapping, oc_config_get(config, "hooks.mappings"))
	{
		if (matches(mapping, name, payload))
			return mapping;
	}
	if (!oc_json_names(oc_config_get(config, "hooks.presets"), "gmail"))
		return NULL;
	*ret_own = cJSON_Parse(gmail_preset);
	if (oc_config_bool(config, "hooks.gmail.allowUnsafeExternalContent", false))
		(void)oc_json_set_bool(*ret_own, "allowUnsafeExternalContent", true);
	oc_json_opt(*ret_own, "model", oc_config_str(config, "hooks.gmail.model", NULL));
	oc_json_opt(*ret_own, "thinking", oc_config_str(config, "hooks.gmail.thinking", NULL));
	return matches(*ret_own, name, payload) ? *ret_own : NULL;
}

static void add_value(oc_sbuf *b, const cJSON *v)
{
	if (cJSON_IsString(v))
		oc_sbuf_z(b, v->valuestring);
	else if (v != NULL && !cJSON_IsNull(v))
		oc_json_add_to(b, v);
}

static void add_expression(oc_sbuf *b, oc_gateway *gw, const oc_http_req *req, oc_str expr, const cJSON *payload)
{
	char path[200];
	oc_str name = OC_STR_NONE;
	(void)snprintf(path, sizeof path, "%.*s", OC_STR_ARG(expr));
	if (strcmp(path, "now") == 0) {
		char stamp[32];
		oc_sbuf_z(b, oc_wall_format(oc_wall_ms(), stamp, sizeof stamp));
	} else if (strcmp(path, "path") == 0) {
		if (name_of(gw, req, &name))
			oc_sbuf_str(b, name);
	} else if (strncmp(path, "headers.", 8) == 0) {
		/* Not those that carry secrets. */
		if (!oc_config_sensitive(path + 8) && strcmp(path + 8, "authorization") != 0 && strcmp(path + 8, "cookie") != 0)
			oc_sbuf_str(b, oc_http_header(req, path + 8));
	} else {
		add_value(b, oc_json_path(payload, strncmp(path, "payload.", 8) == 0 ? path + 8 : path));
	}
}

/* The template with what stands between {{ and }} replaced; oc_free it. */
static char *rendered(oc_gateway *gw, const oc_http_req *req, const char *template, const cJSON *payload)
{
	oc_sbuf b;
	oc_sbuf_init(&b, TEXT_MAX);
	while (*template != 0) {
		const char *open = strstr(template, "{{"), *close = open != NULL ? strstr(open, "}}") : NULL;
		if (close == NULL) {
			oc_sbuf_z(&b, template);
			break;
		}
		oc_sbuf_add(&b, template, (size_t)(open - template));
		add_expression(&b, gw, req, oc_str_trim((oc_str){open + 2, (size_t)(close - open - 2)}), payload);
		template = close + 2;
	}
	return oc_sbuf_take(&b);
}

static void mapped(oc_gateway *gw, oc_http_req *req, const cJSON *m, const cJSON *payload)
{
	bool is_wake = strcmp(oc_json_str(m, "action", "agent"), "wake") == 0;
	if (oc_json_get(m, "transform") != NULL) {
		refuse(gw, req, 503, "this mapping has a JavaScript transform, which this gateway does not run: use messageTemplate or textTemplate");
		return;
	}
	oc_auto_free char *text = rendered(gw, req, oc_json_str(m, is_wake ? "textTemplate" : "messageTemplate", ""), payload);
	oc_auto_free char *session = rendered(gw, req, oc_json_str(m, "sessionKey", ""), payload);
	oc_auto_free char *name = rendered(gw, req, oc_json_str(m, "name", "Hook"), payload);
	oc_auto_free char *to = rendered(gw, req, oc_json_str(m, "to", ""), payload);
	const char *mode = oc_json_str(m, "wakeMode", "now");
	if (text == NULL || session == NULL || name == NULL || to == NULL) {
		refuse(gw, req, 500, "out of memory, or longer than 512 KB");
	} else if (is_wake) {
		wake(gw, req, oc_str_of(text), mode);
	} else if (oc_str_trim(oc_str_of(text)).n == 0) {
		refuse(gw, req, 400, "hook mapping requires message");
	} else {
		oc_hook_run run = {
			.name = name,
			.agent_id = oc_json_str(m, "agentId", ""),
			.session = session,
			.model = oc_json_str(m, "model", ""),
			.thinking = oc_json_str(m, "thinking", ""),
			.message = oc_str_of(text),
			.trusted = oc_json_bool(m, "allowUnsafeExternalContent", false),
			.wake = strcmp(mode, "next-heartbeat") != 0,
			.deliver = oc_json_bool(m, "deliver", true),
			.channel = oc_json_str(m, "channel", ""),
			.to = to,
			.timeout_s = oc_json_i64(m, "timeoutSeconds", 0),
		};
		start(gw, req, &run, payload);
	}
}

bool oc_gateway_hook_request(oc_gateway *gw, oc_http_req *req)
{
	oc_str name, body = oc_http_body(req);
	oc_auto_json cJSON *payload = NULL, *own = NULL;
	oc_err err = {0};
	if (oc_http_user(req) != &marker)
		return false;
	oc_status status = oc_json_parse(oc_str_trim(body).n > 0 ? body : OC_STR("{}"), NULL, &payload, &err);
	if (status != OC_OK)
		refuse(gw, req, 400, err.text);
	else if (!cJSON_IsObject(payload))
		refuse(gw, req, 400, "the body must be a JSON object");
	else if (!name_of(gw, req, &name))
		plain(gw, req, 404, "Not Found");
	else if (oc_str_eqz(name, "wake"))
		wake(gw, req, oc_json_ostr(payload, "text"), oc_json_str(payload, "mode", "now"));
	else if (oc_str_eqz(name, "agent"))
		agent(gw, req, payload);
	else {
		const cJSON *m = mapping_for(gw->rt->config, name, payload, &own);
		if (m != NULL)
			mapped(gw, req, m, payload);
		else
			plain(gw, req, 404, "Not Found");
	}
	return true;
}
