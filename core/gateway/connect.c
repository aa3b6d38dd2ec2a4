/*
 * `connect`, the first request of OpenClaw's own protocol: who it is, what it may do, and the answer `hello-ok`.
 *
 * A client proves itself by the gateway's token or password, or by a token that its device was given before.  A device's key
 * is checked whenever there is one.  A device that is not paired is paired at once when it comes from this machine with the
 * gateway's own secret, and asked about otherwise.  Nobody loses scopes in silence: who may not have what it asks for is
 * refused, and hello-ok says what was granted.
 */
#include <stdio.h>
#include <string.h>

#include "core/base/clock.h"
#include "core/base/log.h"
#include "core/base/mem.h"
#include "core/gateway/node.h"
#include "core/gateway/proto.h"

#define SKEW_MS 120000
#define UI_ID "openclaw-control-ui"

struct handshake {
	oc_method_call *call;
	oc_proto *proto;
	oc_gateway *gw;
	const cJSON *params, *client, *auth, *device;
	const char *role, *client_id, *mode;
	cJSON *scopes; /* what it asks for */
	bool shared;   /* by the gateway's own secret */
	oc_access who; /* else by whom: a login, a proxy's word */
	const cJSON *token; /* that its device has; in the book */
};

/* ---- Refusing ---- */

static void refuse(struct handshake *h, const char *code, cJSON *details, const char *format, ...)
	__attribute__((format(printf, 4, 5)));
static void refuse(struct handshake *h, const char *code, cJSON *details, const char *format, ...)
{
	oc_err err = {0};
	char text[300];
	va_list args;
	va_start(args, format);
	(void)vsnprintf(text, sizeof text, format, args);
	va_end(args);
	(void)oc_fail(&err, OC_E_INVALID, "", "%s", text);
	h->proto->error_code = code;
	oc_info("gateway", "%s (%s) is not let in: %s", h->client_id, h->proto->from.address, text);
	oc_method_fail_with(h->call, &err, details);
}

static cJSON *details(const char *code, const char *name, const char *value)
{
	cJSON *o = cJSON_CreateObject();
	(void)oc_json_set_str(o, "code", code);
	if (name != NULL)
		(void)oc_json_set_str(o, name, value);
	return o;
}

static void refuse_auth(struct handshake *h, const char *reason)
{
	bool password = h->gw->auth.mode == OC_AUTH_PASSWORD;
	bool missing = strcmp(reason, "missing") == 0, limited = strcmp(reason, "rate_limited") == 0;
	bool retry = h->device != NULL && !missing && !limited;
	const char *what = password ? "password" : "token";
	const char *hint = strcmp(h->client_id, UI_ID) == 0
				   ? (password ? "enter the password in Control UI settings" : "open the dashboard URL and paste the token in Control UI settings")
			   : strcmp(h->client_id, "cli") == 0
				   ? (password ? "set gateway.remote.password to match gateway.auth.password" : "set gateway.remote.token to match gateway.auth.token")
				   : (password ? "provide gateway auth password" : "provide gateway auth token");
	char code[64], why[40];
	(void)snprintf(code, sizeof code, "AUTH_%s_%s", password ? "PASSWORD" : "TOKEN", missing ? "MISSING" : "MISMATCH");
	(void)snprintf(why, sizeof why, "%s_%s", what, reason);
	cJSON *d = details(limited ? "AUTH_RATE_LIMITED" : code, "authReason", limited ? reason : why);
	(void)oc_json_set_bool(d, "canRetryWithDeviceToken", retry);
	(void)oc_json_set_str(d, "recommendedNextStep", limited ? "wait_then_retry"
							: missing ? "update_auth_configuration"
							: retry ? "retry_with_device_token"
								: "update_auth_credentials");
	if (limited)
		refuse(h, NULL, d, "unauthorized: too many failed authentication attempts (retry later)");
	else
		refuse(h, NULL, d, "unauthorized: gateway %s %s (%s)", what, reason, hint);
}

/* ---- Checks ---- */

/* A page of a stranger must not use the browser of somebody who may connect. */
static bool origin_ok(struct handshake *h, const char **ret_why)
{
	const oc_proto *p = h->proto;
	const cJSON *one, *allowed = oc_config_get(h->gw->rt->config, "gateway.controlUi.allowedOrigins");
	oc_str origin = oc_str_of(p->origin != NULL ? p->origin : "");
	bool page = strcmp(h->client_id, UI_ID) == 0 || strcmp(h->mode, "webchat") == 0;
	if (p->origin == NULL && !page)
		return true;
	oc_str host = oc_origin_host(origin);
	*ret_why = host.n == 0 ? "origin missing or invalid" : "origin not allowed";
	if (host.n == 0)
		return false;
	cJSON_ArrayForEach(one, allowed)
		if (cJSON_IsString(one) && (strcmp(one->valuestring, "*") == 0 || oc_str_ieq(origin, oc_str_of(one->valuestring))))
			return true;
	return (h->proto->from.is_local && oc_host_is_loopback(host)) || (p->host != NULL && oc_str_ieq(host, oc_str_of(p->host)));
}

/* The secret that is part of what a device signs. */
static oc_str signed_token(const struct handshake *h)
{
	static const char *const names[] = {"token", "deviceToken", "bootstrapToken"};
	for (size_t i = 0; i < sizeof names / sizeof *names; i++)
		if (cJSON_IsString(oc_json_get(h->auth, names[i])))
			return oc_json_ostr(h->auth, names[i]);
	return OC_STR_NONE;
}

static bool device_ok(struct handshake *h)
{
	const cJSON *d = h->device;
	oc_device_claim claim = {
		.id = oc_json_ostr(d, "id"), .public_key = oc_json_ostr(d, "publicKey"), .signature = oc_json_ostr(d, "signature"),
		.nonce = oc_json_ostr(d, "nonce"), .signed_ms = oc_json_i64(d, "signedAt", 0),
		.client_id = oc_str_of(h->client_id), .client_mode = oc_str_of(h->mode), .role = oc_str_of(h->role),
		.platform = oc_json_ostr(h->client, "platform"), .family = oc_json_ostr(h->client, "deviceFamily"),
		.token = signed_token(h), .scopes = oc_json_get(h->params, "scopes"),
	};
	int64_t age = oc_wall_ms() - claim.signed_ms;
	if (!oc_device_id_ok(&claim))
		refuse(h, NULL, details("DEVICE_AUTH_DEVICE_ID_MISMATCH", "reason", "device-id-mismatch"), "device identity mismatch");
	else if (age > SKEW_MS || age < -SKEW_MS)
		refuse(h, NULL, details("DEVICE_AUTH_SIGNATURE_EXPIRED", "reason", "device-signature-stale"), "device signature expired");
	else if (claim.nonce.n == 0 && !h->proto->from.is_local) /* somebody who overheard it could use it once more */
		refuse(h, NULL, details("DEVICE_AUTH_NONCE_REQUIRED", "reason", "device-nonce-missing"), "device nonce required");
	else if (claim.nonce.n > 0 && !oc_str_eqz(claim.nonce, h->proto->nonce))
		refuse(h, NULL, details("DEVICE_AUTH_NONCE_MISMATCH", "reason", "device-nonce-mismatch"), "device nonce mismatch");
	else if (!oc_device_signature_ok(&claim))
		refuse(h, NULL, details("DEVICE_AUTH_SIGNATURE_INVALID", "reason", "device-signature"), "device signature invalid");
	else
		return true;
	return false;
}

/* By who it is, not by what this machine's secret is: a login or the proxy's word. For operators only. */
static bool by_name(struct handshake *h, const oc_access *who)
{
	if (who->user[0] == 0 || who->scopes == 0 || strcmp(h->role, "operator") != 0)
		return false;
	h->who = *who;
	return true;
}

/* Whether it proved itself; sets shared or who. book: of devices, when it has one. */
static bool auth_ok(struct handshake *h, oc_devices *book, const cJSON *paired)
{
	const oc_proto *p = h->proto;
	oc_gateway *gw = h->gw;
	oc_auth_tries *tries = &gw->tries;
	oc_str token = oc_json_ostr(h->auth, "token"), password = oc_json_ostr(h->auth, "password");
	oc_str device_token = oc_json_ostr(h->auth, "deviceToken");
	oc_access who = {0};
	bool counts = !p->client.peer->is_unix;
	if (counts && oc_auth_locked_ms(tries, p->from.address, oc_now_ms()) > 0) {
		refuse_auth(h, "rate_limited");
		return false;
	}
	if (gw->auth.mode == OC_AUTH_PROXY && counts) { /* nothing else counts then */
		if (by_name(h, &p->who))
			return true;
		cJSON *d = details("AUTH_UNAUTHORIZED", "authReason", "trusted_proxy");
		(void)oc_json_set_bool(d, "canRetryWithDeviceToken", false);
		(void)oc_json_set_str(d, "recommendedNextStep", "review_auth_configuration");
		refuse(h, NULL, d, "unauthorized: %s", p->who.why != NULL ? p->who.why : "the proxy names nobody");
		return false;
	}
	bool known = p->who.scopes != 0 && p->who.user[0] == 0; /* the socket, or no authentication at all */
	bool right = !known && (oc_access_secret(gw, token, &who) || oc_access_secret(gw, password, &who));
	h->shared = known || (right && who.user[0] == 0);
	if (h->shared || (right && by_name(h, &who)))
		return true;
	if (paired != NULL
	    && (oc_devices_token_ok(book, paired, h->role, device_token) || oc_devices_token_ok(book, paired, h->role, token)))
		return true;
	if (by_name(h, &p->who))
		return true;
	if (token.n + password.n + device_token.n == 0) {
		refuse_auth(h, "missing");
		return false;
	}
	/* A page in a browser on this machine is not this machine. */
	oc_auth_failed(tries, gw->rt->config, p->from.address, p->from.is_local && p->origin == NULL, oc_now_ms());
	refuse_auth(h, "mismatch");
	return false;
}

/* ---- Pairing ---- */

static cJSON *ask_of(const struct handshake *h)
{
	cJSON *ask = cJSON_CreateObject(), *roles = cJSON_CreateArray();
	(void)oc_json_set_str(ask, "deviceId", oc_json_str(h->device, "id", ""));
	(void)oc_json_set_str(ask, "publicKey", oc_json_str(h->device, "publicKey", ""));
	oc_json_opt(ask, "displayName", oc_json_str(h->client, "displayName", NULL));
	oc_json_opt(ask, "platform", oc_json_str(h->client, "platform", NULL));
	oc_json_opt(ask, "deviceFamily", oc_json_str(h->client, "deviceFamily", NULL));
	(void)oc_json_set_str(ask, "clientId", h->client_id);
	(void)oc_json_set_str(ask, "clientMode", h->mode);
	(void)oc_json_set_str(ask, "role", h->role);
	(void)cJSON_AddItemToArray(roles, cJSON_CreateString(h->role));
	(void)oc_json_set(ask, "roles", roles);
	(void)oc_json_set(ask, "scopes", cJSON_Duplicate(h->scopes, true));
	if (!h->proto->from.is_local)
		(void)oc_json_set_str(ask, "remoteIp", h->proto->from.address);
	return ask;
}

void oc_proto_tell_resolved(oc_gateway *gw, const char *request, const char *device, const char *decision)
{
	cJSON *payload = cJSON_CreateObject();
	(void)oc_json_set_str(payload, "requestId", request);
	(void)oc_json_set_str(payload, "deviceId", device);
	(void)oc_json_set_str(payload, "decision", decision);
	(void)oc_json_set_i64(payload, "ts", oc_wall_ms());
	oc_proto_send_json(gw, "device.pair.resolved", OC_SCOPE_PAIRING, payload);
}

/* true: the device may come in (and h->token is what it has). */
static bool pair(struct handshake *h, oc_devices *book, const cJSON *paired)
{
	const char *id = oc_json_str(h->device, "id", "");
	oc_err err = {0};
	const cJSON *request = NULL;
	bool is_new = false, silent = h->proto->from.is_local && h->shared;
	if (paired != NULL && oc_devices_covers(paired, h->role, h->scopes)) {
		h->token = oc_devices_token(paired, h->role);
		return true;
	}
	if (oc_devices_ask(book, ask_of(h), silent, &request, &is_new, &err) != OC_OK) {
		refuse(h, "UNAVAILABLE", NULL, "%s", err.text);
		return false;
	}
	char request_id[37];
	(void)snprintf(request_id, sizeof request_id, "%s", oc_json_str(request, "requestId", ""));
	if (silent) {
		if (oc_devices_approve(book, request_id, NULL, &err) != OC_OK) {
			refuse(h, "UNAVAILABLE", NULL, "%s", err.text);
			return false;
		}
		oc_proto_tell_resolved(h->gw, request_id, id, "approved");
		h->token = oc_devices_token(oc_devices_find(book, oc_json_ostr(h->device, "id"), oc_json_ostr(h->device, "publicKey")), h->role);
		return true;
	}
	if (is_new)
		oc_proto_send_json(h->gw, "device.pair.requested", OC_SCOPE_PAIRING, cJSON_Duplicate(request, true));
	cJSON *d = details("PAIRING_REQUIRED", "requestId", request_id);
	(void)oc_json_set_str(d, "reason", paired == NULL ? "not-paired"
					   : oc_devices_token(paired, h->role) == NULL ? "role-upgrade"
										       : "scope-upgrade");
	refuse(h, "NOT_PAIRED", d, "pairing required");
	return false;
}

/* The original's helper processes connect from the same machine with its secret; they are not devices to keep. */
static bool is_helper(const struct handshake *h)
{
	return h->proto->from.is_local && h->shared && strcmp(h->client_id, "gateway-client") == 0 && strcmp(h->mode, "backend") == 0;
}

/* ---- The whole ---- */

static bool protocol_ok(struct handshake *h)
{
	int64_t lo = oc_json_i64(h->params, "minProtocol", 0), hi = oc_json_i64(h->params, "maxProtocol", 0);
	if (lo <= OC_PROTO_MAX && hi >= OC_PROTO_MIN && lo <= hi) {
		h->proto->client.protocol = hi < OC_PROTO_MAX ? OC_PROTO_MIN : OC_PROTO_MAX;
		return true;
	}
	cJSON *d = details("PROTOCOL_MISMATCH", NULL, NULL);
	(void)oc_json_set_i64(d, "clientMinProtocol", lo);
	(void)oc_json_set_i64(d, "clientMaxProtocol", hi);
	(void)oc_json_set_i64(d, "expectedProtocol", OC_PROTO_MAX);
	(void)oc_json_set_i64(d, "minimumProtocol", OC_PROTO_MIN);
	h->proto->close_code = OC_WS_PROTOCOL;
	refuse(h, NULL, d, "protocol mismatch");
	return false;
}

/* What is asked for and may be had; false: nothing is, and it was refused. What is left out is said in hello-ok: a user's role
 * sets the bounds, and pages ask for everything. */
static bool bound_scopes(struct handshake *h, unsigned *ret_bits, cJSON **ret_denied)
{
	const cJSON *one;
	unsigned bits = 0;
	cJSON_ArrayForEach(one, h->scopes) if (cJSON_IsString(one)) bits |= oc_scope_bits(oc_str_of(one->valuestring));
	unsigned lacks = h->who.user[0] != 0 ? bits & ~h->who.scopes : 0;
	if (lacks != 0 && lacks == bits) {
		refuse(h, NULL, details("SCOPE_DENIED", NULL, NULL), "missing scope: operator.%s (%s may not)", oc_scope_name(lacks), h->who.user);
		return false;
	}
	if (lacks != 0) {
		cJSON_Delete(h->scopes);
		h->scopes = oc_scope_list(bits & ~lacks, "operator.");
		*ret_denied = oc_scope_list(lacks, "operator.");
	}
	*ret_bits = bits & ~lacks;
	return true;
}

static void welcome(struct handshake *h)
{
	oc_proto *p = h->proto;
	const cJSON *one;
	cJSON *denied = NULL;
	unsigned bits = 0;
	if (!bound_scopes(h, &bits, &denied))
		return;
	if (h->who.user[0] != 0)
		oc_access_grant(&p->client, &h->who, bits);
	else
		oc_http_guard_ws(p->client.ws, OC_GUARD_SECRET);
	p->client.scopes = strcmp(h->role, "node") == 0 ? OC_SCOPE_NODE : bits;
	cJSON_ArrayForEach(one, oc_json_get(h->params, "caps"))
		if (cJSON_IsString(one) && strcmp(one->valuestring, "tool-events") == 0) p->tool_events = true;
	p->device = h->device != NULL ? oc_strdup(oc_json_str(h->device, "id", "")) : NULL;
	p->presence = oc_proto_presence_text(p, h->params, h->scopes);
	if (p->client.scopes == OC_SCOPE_NODE)
		p->node = oc_node_of(p, h->params);
	oc_proto_join(p);
	cJSON *auth = cJSON_CreateObject();
	(void)oc_json_set_str(auth, "role", h->role);
	(void)oc_json_set(auth, "scopes", cJSON_Duplicate(h->scopes, true));
	oc_json_opt(auth, "user", p->client.user);
	if (denied != NULL)
		(void)oc_json_set(auth, "deniedScopes", denied);
	if (h->token != NULL) {
		(void)oc_json_set_str(auth, "deviceToken", oc_json_str(h->token, "token", ""));
		(void)oc_json_set_i64(auth, "issuedAtMs", oc_json_i64(h->token, "rotatedAtMs", oc_json_i64(h->token, "createdAtMs", 0)));
	}
	oc_sbuf b;
	oc_sbuf_init(&b, 8u << 20);
	oc_proto_add_hello(p, auth, &b);
	cJSON_Delete(auth);
	if (p->client.user != NULL)
		oc_info("auth", "%s (%s) connected from %s", h->client_id, p->client.user, p->from.address);
	else
		oc_debug("gateway", "%s connected, protocol %u", h->client_id, p->client.protocol);
	oc_method_reply_text(h->call, oc_sbuf_view(&b));
	oc_sbuf_free(&b);
}

static bool is_named(const struct handshake *h)
{
	oc_access who = h->proto->who;
	bool named = (who.user[0] != 0 && who.scopes != 0) || (oc_access_secret(h->gw, oc_json_ostr(h->auth, "token"), &who) && who.user[0] != 0);
	return named && strcmp(h->role, "operator") == 0;
}

static void handshake(struct handshake *h)
{
	const char *why = NULL;
	oc_err err = {0};
	if (!protocol_ok(h))
		return;
	if (strcmp(h->role, "operator") != 0 && strcmp(h->role, "node") != 0) {
		refuse(h, NULL, NULL, "invalid role");
		return;
	}
	if (!origin_ok(h, &why)) {
		refuse(h, NULL, details("CONTROL_UI_ORIGIN_NOT_ALLOWED", "reason", why),
		       "origin not allowed (open the Control UI from the gateway host or allow it in gateway.controlUi.allowedOrigins)");
		return;
	}
	bool ui = strcmp(h->client_id, UI_ID) == 0;
	const oc_config *config = h->gw->rt->config;
	bool no_keys = ui && oc_config_bool(config, "gateway.controlUi.dangerouslyDisableDeviceAuth", false);
	if (no_keys && strcmp(h->role, "operator") == 0) /* then what it has of one does not count */
		h->device = NULL;
	if (h->device != NULL && !device_ok(h))
		return;
	oc_devices *book = h->device != NULL ? oc_proto_devices(h->gw, &err) : NULL;
	if (h->device != NULL && book == NULL) {
		refuse(h, "UNAVAILABLE", NULL, "%s", err.text);
		return;
	}
	const cJSON *paired = book != NULL ? oc_devices_find(book, oc_json_ostr(h->device, "id"), oc_json_ostr(h->device, "publicKey")) : NULL;
	bool bare_ui = no_keys || (ui && h->proto->from.is_local && oc_config_bool(config, "gateway.controlUi.allowInsecureAuth", false));
	/* Somebody with a name needs no key of the browser's: that is there to tell one browser from another. */
	bool named = is_named(h);
	if (h->device == NULL && ui && !bare_ui && !named) {
		refuse(h, NULL, details("CONTROL_UI_DEVICE_IDENTITY_REQUIRED", NULL, NULL),
		       "control ui requires device identity (use HTTPS or localhost secure context)");
		return;
	}
	bool empty = oc_json_ostr(h->auth, "token").n + oc_json_ostr(h->auth, "password").n == 0 && h->proto->who.scopes == 0;
	bool bare = h->device == NULL && !bare_ui && !named && (!h->proto->from.is_local || strcmp(h->role, "node") == 0 || empty);
	if (bare && !h->proto->client.peer->is_unix) {
		refuse(h, "NOT_PAIRED", details("DEVICE_IDENTITY_REQUIRED", NULL, NULL), "device identity required");
		return;
	}
	/* A login ends when it ends: its device is not paired, which would outlive it. */
	if (auth_ok(h, book, paired) && (h->device == NULL || h->who.user[0] != 0 || is_helper(h) || pair(h, book, paired)))
		welcome(h);
}

static void run_connect(oc_method_call *call, const cJSON *params)
{
	oc_proto *p = oc_proto_of(oc_method_client(call));
	if (p == NULL) {
		oc_method_failf(call, OC_E_INVALID, "open a WebSocket at /", "connect belongs to OpenClaw's own protocol");
		return;
	}
	const cJSON *scopes = oc_json_get(params, "scopes");
	struct handshake h = {
		.call = call, .proto = p, .gw = oc_method_gateway(call), .params = params,
		.client = oc_json_get(params, "client"), .auth = oc_json_get(params, "auth"), .device = oc_json_get(params, "device"),
		.role = oc_json_str(params, "role", "operator"),
		.scopes = scopes != NULL ? cJSON_Duplicate(scopes, true) : cJSON_CreateArray(),
	};
	h.client_id = oc_json_str(h.client, "id", "");
	h.mode = oc_json_str(h.client, "mode", "");
	handshake(&h);
	cJSON_Delete(h.scopes);
}

#define NAMES(name) "\"" name "\":{\"type\":\"array\",\"maxItems\":200,\"items\":{\"type\":\"string\",\"minLength\":1,\"maxLength\":200}}"
const oc_method oc_method_connect = {
	"connect", OC_SCOPE_NONE, "the first request of OpenClaw's own protocol: who the client is and what it asks for",
	OC_PARAMS_REQ(
		"\"minProtocol\",\"maxProtocol\",\"client\"",
		"\"minProtocol\":{\"type\":\"integer\",\"minimum\":1},\"maxProtocol\":{\"type\":\"integer\",\"minimum\":1},"
		"\"client\":" OC_PARAMS_REQ(
			"\"id\",\"version\",\"platform\",\"mode\"",
			"\"id\":{\"enum\":[\"webchat-ui\",\"openclaw-control-ui\",\"webchat\",\"cli\",\"gateway-client\",\"openclaw-macos\","
			"\"openclaw-ios\",\"openclaw-android\",\"openclaw-tui\",\"node-host\",\"test\",\"fingerprint\",\"openclaw-probe\"]},"
			OC_STRING("displayName") "," OC_NAME("version") "," OC_NAME("platform") "," OC_STRING("deviceFamily") ","
			OC_STRING("modelIdentifier") ",\"mode\":{\"enum\":[\"webchat\",\"cli\",\"ui\",\"backend\",\"node\",\"probe\",\"test\"]},"
			OC_STRING("instanceId")) ","
		OC_NAME("role") "," NAMES("scopes") "," NAMES("caps") "," NAMES("commands") ",\"permissions\":{\"type\":\"object\"},"
		"\"pathEnv\":{\"type\":\"string\"},"
		"\"auth\":" OC_PARAMS(OC_STRING("token") "," OC_STRING("password") "," OC_STRING("deviceToken") "," OC_STRING("bootstrapToken")) ","
		"\"device\":" OC_PARAMS_REQ("\"id\",\"publicKey\",\"signature\",\"signedAt\"",
					    OC_NAME("id") "," OC_NAME("publicKey") "," OC_NAME("signature")
					    ",\"signedAt\":{\"type\":\"integer\",\"minimum\":0}," OC_NAME("nonce")) ","
		OC_STRING("locale") ",\"userAgent\":{\"type\":\"string\"}"),
	run_connect};
