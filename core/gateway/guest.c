/* Requests for modules of kind http: webhooks, the dashboard. */
#include <stdio.h>
#include <string.h>

#include "core/base/log.h"
#include "core/base/mem.h"
#include "core/gateway/access.h"
#include "core/module/call.h"

struct passage {
	oc_gateway *gw;
	oc_http_req *req;
	oc_call *call;
	bool head_sent;
	bool client_gone;
};

static void send_head(struct passage *p, oc_str head_json)
{
	oc_auto_json cJSON *head = NULL;
	if (oc_json_parse(head_json, NULL, &head, NULL) != OC_OK)
		return;
	const cJSON *headers = oc_json_get(head, "headers"), *h;
	const char *type = NULL;
	int64_t length = -1;
	cJSON_ArrayForEach(h, headers)
	{
		if (!cJSON_IsString(h))
			continue;
		if (strcmp(h->string, "content-type") == 0)
			type = h->valuestring;
		else if (strcmp(h->string, "content-length") == 0)
			oc_str_i64(oc_str_of(h->valuestring), 0, INT64_MAX, &length);
		else
			oc_http_add_header(p->req, h->string, oc_str_of(h->valuestring));
	}
	int64_t status = oc_json_i64(head, "status", 200);
	if (status < 200 || status > 599)
		status = 502;
	p->gw->status_class[status / 100]++;
	oc_str secret = oc_auth_bearer(oc_http_header(p->req, "authorization"));
	if ((status == 401 || status == 403) && secret.n > 0 && secret.p[0] != '-') { /* (hidden: it was right) */
		oc_from from;
		oc_from_guesser(p->gw, p->req, &from);
		oc_access_refused(p->gw, &from);
	}
	p->head_sent = true;
	oc_http_respond_head(p->req, (int)status, type, length);
}

static oc_status on_event(void *arg, uint32_t type, oc_str payload)
{
	struct passage *p = arg;
	if (p->client_gone)
		return OC_E_STATE;
	if (type == OC_EV_HTTP_HEAD && !p->head_sent)
		send_head(p, payload);
	else if (type == OC_EV_HTTP_BODY && p->head_sent)
		return oc_http_write(p->req, payload);
	return OC_OK;
}

static int http_status(oc_status status)
{
	switch (status) {
	case OC_E_INVALID:
		return 400;
	case OC_E_AUTH:
		return 401;
	case OC_E_DENIED:
		return 403;
	case OC_E_NOT_FOUND:
		return 404;
	case OC_E_LIMIT:
		return 413;
	case OC_E_RATE_LIMIT:
		return 429;
	case OC_E_TIMEOUT:
		return 504;
	case OC_E_BUSY:
	case OC_E_UNAVAILABLE:
		return 503;
	default:
		return 502;
	}
}

static void on_done(void *arg, oc_status status, oc_str result)
{
	struct passage *p = arg;
	if (status == OC_OK && p->head_sent) {
		oc_http_end(p->req);
	} else if (p->head_sent) {
		oc_http_abort(p->req); /* the client must see that the body is not whole */
	} else {
		oc_err err = {0};
		oc_call_error(status != OC_OK ? status : OC_E_PROTOCOL, result, &err, NULL);
		int code = http_status(err.code);
		p->gw->status_class[code / 100]++;
		oc_http_error(p->req, code, oc_status_name(err.code), err.text);
	}
	oc_free(p);
}

static void on_close(void *arg, oc_http_req *req)
{
	struct passage *p = arg;
	(void)req;
	p->client_gone = true;
	oc_call_cancel(p->call);
}

void oc_gateway_guest(oc_gateway *gw, oc_http_req *req, oc_guest *guest)
{
	struct passage *p = oc_alloc(sizeof *p);
	oc_sbuf headers;
	oc_sbuf_init(&headers, 1u << 18);
	oc_http_headers_json(req, &headers);
	if (p == NULL || headers.error != OC_OK) {
		oc_free(p);
		oc_sbuf_free(&headers);
		oc_http_error(req, 503, "nomem", "out of memory");
		return;
	}
	*p = (struct passage){.gw = gw, .req = req};
	char remote[80];
	const oc_http_peer *peer = oc_http_get_peer(req);
	int n = snprintf(remote, sizeof remote, "%s:%u", peer->address, peer->port);
	oc_http_request request = {
		.struct_size = sizeof request,
		.method = oc_http_method(req),
		.path = oc_http_path(req),
		.query = oc_http_query(req),
		.headers = oc_sbuf_view(&headers),
		.body = oc_http_body(req),
		.remote = {remote, (size_t)n},
	};
	oc_call_options options = {.on_event = on_event, .on_done = on_done, .arg = p};
	oc_http_on_close(req, on_close, p);
	oc_status status = oc_http_module_request(guest, &request, &options, &p->call);
	oc_sbuf_free(&headers);
	if (status != OC_OK)
		on_done(p, status, oc_str_of("the module that serves this path is not running"));
}
