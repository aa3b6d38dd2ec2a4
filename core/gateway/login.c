/*
 * /auth/login and /auth/logout: a user's name and password for a session cookie, from a form or as JSON.
 *
 * The cookie is HttpOnly and SameSite=Strict; what it may be used for access.c says.  A client that wants the token itself (to
 * send it as a bearer) asks for it with "cookie": false.
 */
#include <stdio.h>
#include <string.h>

#include "core/base/clock.h"
#include "core/base/mem.h"
#include "core/gateway/access.h"

/* Not no-referrer: browsers then say "null" for the origin of a form. */
#define PAGE_CSP "default-src 'none'; style-src 'unsafe-inline'; form-action 'self'; frame-ancestors 'none'; base-uri 'none'"
#define PAGE_TOP                                                                                                          \
	"<!doctype html><html lang=\"en\"><meta charset=\"utf-8\"><meta name=\"viewport\" content=\"width=device-width\">"     \
	"<title>OpenClaw</title><style>body{font:16px/1.5 system-ui,sans-serif;max-width:20rem;margin:12vh auto;padding:0 1rem;" \
	"color-scheme:light dark}input,button{font:inherit;width:100%;box-sizing:border-box;padding:.5rem;margin:.25rem 0 1rem}" \
	"[role=alert]{color:#c22}</style><h1>OpenClaw</h1>"
#define PAGE_FORM                                                                                                          \
	"<form method=\"post\"><label>Name<input name=\"user\" autocomplete=\"username\" required autofocus></label>"           \
	"<label>Password<input name=\"password\" type=\"password\" autocomplete=\"current-password\" required></label>"         \
	"<button>Log in</button></form>"

struct visit {
	oc_gateway *gw;
	oc_http_req *req;
	bool form, cookie, secure;
};

static void count(oc_gateway *gw, int status)
{
	gw->status_class[status / 100]++;
}

static void safe_headers(oc_http_req *req)
{
	(void)oc_http_add_header(req, "cache-control", OC_STR("no-store"));
	(void)oc_http_add_header(req, "content-security-policy", OC_STR(PAGE_CSP));
	(void)oc_http_add_header(req, "x-content-type-options", OC_STR("nosniff"));
	(void)oc_http_add_header(req, "x-frame-options", OC_STR("DENY"));
	(void)oc_http_add_header(req, "referrer-policy", OC_STR("same-origin"));
}

static void page(oc_gateway *gw, oc_http_req *req, int status, const char *alert, const char *user)
{
	oc_sbuf b;
	oc_sbuf_init(&b, 16384);
	oc_sbuf_z(&b, PAGE_TOP);
	if (alert != NULL)
		oc_sbuf_printf(&b, "<p role=\"alert\">%s</p>", alert);
	if (user != NULL) /* of letters and digits only */
		oc_sbuf_printf(&b, "<p>You are logged in as %s.</p><p><a href=\"%s/\">To the dashboard</a></p>"
				   "<form method=\"post\" action=\"/auth/logout\"><button>Log out</button></form>",
			       user, oc_config_str(gw->rt->config, "gateway.controlUi.basePath", ""));
	else
		oc_sbuf_z(&b, PAGE_FORM);
	safe_headers(req);
	count(gw, status);
	oc_http_respond(req, status, "text/html; charset=utf-8", oc_sbuf_view(&b));
	oc_sbuf_free(&b);
}

static void go(oc_gateway *gw, oc_http_req *req, const char *where)
{
	safe_headers(req);
	(void)oc_http_add_header(req, "location", oc_str_of(where));
	count(gw, 303);
	oc_http_respond(req, 303, NULL, OC_STR_NONE);
}

static void answer(oc_gateway *gw, oc_http_req *req, int status, cJSON *o)
{
	oc_auto_free char *json = oc_json_print(o);
	cJSON_Delete(o);
	safe_headers(req);
	count(gw, status);
	oc_http_respond(req, status, "application/json", oc_str_of(json != NULL ? json : "{}"));
}

/* ---- What is sent ---- */

static int hex(char c)
{
	return c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

/* A field of a form, decoded; oc_free. NULL: it is not there. */
static char *field(oc_str form, const char *name)
{
	while (form.p != NULL && form.n > 0) {
		oc_str pair = oc_str_cut(&form, '&'), key = oc_str_cut(&pair, '=');
		char *out = oc_str_eqz(key, name) ? oc_alloc(pair.n + 1) : NULL;
		size_t n = 0;
		if (out == NULL)
			continue;
		for (size_t i = 0; i < pair.n; i++) {
			bool code = pair.p[i] == '%' && i + 2 < pair.n && hex(pair.p[i + 1]) >= 0 && hex(pair.p[i + 2]) >= 0;
			out[n++] = code ? (char)(hex(pair.p[i + 1]) * 16 + hex(pair.p[i + 2])) : pair.p[i] == '+' ? ' ' : pair.p[i];
			i += code ? 2 : 0;
		}
		out[n] = 0;
		return out;
	}
	return NULL;
}

static cJSON *form_of(oc_str body)
{
	static const char *const names[] = {"user", "password"};
	cJSON *o = cJSON_CreateObject();
	for (size_t i = 0; i < 2; i++) {
		char *value = field(body, names[i]);
		oc_json_opt(o, names[i], value);
		if (value != NULL)
			oc_wipe(value, strlen(value));
		oc_free(value);
	}
	return o;
}

/* ---- Cookies ---- */

static void set_cookie(const struct visit *v, const char *token, int64_t seconds)
{
	char name[32], text[300];
	(void)snprintf(text, sizeof text, "%s=%s; Path=/; Max-Age=%lld; HttpOnly; SameSite=Strict%s", oc_login_cookie(v->gw, name), token,
		       (long long)seconds, v->secure ? "; Secure" : "");
	(void)oc_http_add_header(v->req, "set-cookie", oc_str_of(text));
	oc_wipe(text, sizeof text);
}

static bool is_form(const oc_http_req *req)
{
	return oc_str_starts(oc_http_header(req, "content-type"), "application/x-www-form-urlencoded");
}

/* ---- Logging in ---- */

static void refuse(const struct visit *v, oc_status status, const char *text)
{
	int code = status == OC_E_AUTH ? 401 : status == OC_E_RATE_LIMIT ? 429 : status == OC_E_INVALID ? 400 : 503;
	oc_from from;
	oc_from_request(v->gw, v->req, &from);
	uint64_t wait = oc_login_locked_ms(v->gw, from.address);
	if (wait > 0) {
		char seconds[OC_U64_CHARS], *end = oc_put_u64(seconds, wait / 1000 + 1);
		(void)oc_http_add_header(v->req, "retry-after", oc_str_make(seconds, (size_t)(end - seconds)));
	}
	if (v->form) {
		page(v->gw, v->req, code, text, NULL);
		return;
	}
	safe_headers(v->req);
	count(v->gw, code);
	oc_http_error(v->req, code, code == 401 ? "unauthorized" : code == 429 ? "rate_limited" : code == 400 ? "invalid" : "unavailable", text);
}

static void done(void *arg, oc_status status, const char *token, const oc_login *login, const oc_err *err)
{
	struct visit *v = arg;
	if (status != OC_OK) {
		refuse(v, status, err->text);
		oc_free(v);
		return;
	}
	if (v->cookie)
		set_cookie(v, token, (login->expires_ms - oc_wall_ms()) / 1000);
	if (v->form) {
		char where[300];
		(void)snprintf(where, sizeof where, "%.250s/", oc_config_str(v->gw->rt->config, "gateway.controlUi.basePath", ""));
		go(v->gw, v->req, where[1] == '/' ? "/" : where);
	} else {
		cJSON *o = cJSON_CreateObject();
		(void)oc_json_set_bool(o, "ok", true);
		(void)oc_json_set_str(o, "user", login->user);
		(void)oc_json_set_str(o, "role", login->role);
		(void)oc_json_set(o, "scopes", oc_scope_list(oc_role_scopes(login->role), ""));
		(void)oc_json_set_i64(o, "session", login->id);
		(void)oc_json_set_i64(o, "expiresAt", login->expires_ms);
		if (!v->cookie)
			(void)oc_json_set_str(o, "token", token);
		answer(v->gw, v->req, 200, o);
	}
	oc_free(v);
}

/* Another site must not log its visitors in here as somebody of its own choice either. */
static void log_in(oc_gateway *gw, oc_http_req *req)
{
	oc_auto_json cJSON *body = NULL;
	oc_err err = {0};
	oc_from from;
	struct visit visit = {.gw = gw, .req = req, .form = is_form(req), .cookie = true}, *v = NULL;
	oc_from_request(gw, req, &from);
	visit.secure = from.is_tls;
	oc_status status = OC_OK;
	if (oc_access_is_foreign(gw, req))
		status = oc_fail(&err, OC_E_INVALID, NULL, "a page of another site may not log in here");
	else if (visit.form)
		body = form_of(oc_http_body(req));
	else
		status = oc_json_parse(oc_http_body(req), NULL, &body, &err);
	if (status == OC_OK && (oc_json_ostr(body, "user").n == 0 || oc_json_ostr(body, "password").n == 0))
		status = oc_fail(&err, OC_E_INVALID, NULL, "give user and password");
	visit.cookie = oc_json_bool(body, "cookie", true);
	v = status == OC_OK ? oc_alloc(sizeof *v) : NULL;
	if (status == OC_OK && v == NULL)
		status = oc_fail(&err, OC_E_NOMEM, NULL, "out of memory");
	if (status == OC_OK) {
		*v = visit;
		oc_login_ask ask = {oc_json_ostr(body, "user"), oc_json_ostr(body, "password"), oc_http_header(req, "user-agent"), from.address};
		status = oc_login_start(gw, &ask, done, v, &err);
	}
	cJSON *password = cJSON_GetObjectItemCaseSensitive(body, "password");
	if (cJSON_IsString(password))
		oc_wipe(password->valuestring, strlen(password->valuestring));
	if (status == OC_OK)
		return;
	refuse(&visit, status, err.text);
	oc_free(v);
}

void oc_gateway_login(oc_gateway *gw, oc_http_req *req)
{
	oc_access who;
	if (!oc_http_is(req, "GET"))
		log_in(gw, req);
	else if (oc_access_ambient(gw, req, &who) && who.login != 0)
		page(gw, req, 200, NULL, who.user);
	else
		page(gw, req, 200, NULL, NULL);
}

void oc_gateway_logout(oc_gateway *gw, oc_http_req *req)
{
	struct visit v = {.gw = gw, .req = req};
	oc_access who;
	bool known = oc_access_request(gw, req, &who);
	if (!known || who.login == 0) {
		count(gw, 401);
		oc_http_error(req, 401, "unauthorized", "there is no login to end");
		return;
	}
	int64_t login = who.login;
	oc_http_guard(req, 0, OC_SCOPE_NONE); /* it is answered */
	set_cookie(&v, "", 0);
	if (is_form(req)) {
		go(gw, req, "/auth/login");
	} else {
		cJSON *o = cJSON_CreateObject();
		(void)oc_json_set_bool(o, "ok", true);
		answer(gw, req, 200, o);
	}
	oc_login_end_now(gw, login);
}
