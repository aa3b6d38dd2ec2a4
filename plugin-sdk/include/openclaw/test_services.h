/*
 * openclaw/test_services.h - the host's services ("http.client", "process", "channel", "kv") as a test's fakes.  Include
 * openclaw/test.h.
 */
#ifndef OPENCLAW_TEST_SERVICES_H
#define OPENCLAW_TEST_SERVICES_H

#include <openclaw/test_host.h>

/* ---- "http.client" -------------------------------------------------------------- */

OCT_API void oct_http_over_(oc_http_call *c, oc_status status, int http_status, oc_str body)
{
	c->over = 1;
	c->request.on_done(c->request.arg, status, http_status, body);
}

/* Lines "event:", "data:", "id:" and an empty one, as servers send them. */
OCT_API void oct_http_sse_(oc_http_call *c, const char *p)
{
	char *event = oct_copy_(OC_STR("")), *id = oct_copy_(OC_STR("")), *data = (char *)oct_get_(strlen(p) + 2);
	size_t n = 0;
	while (*p != 0 && !c->over) {
		size_t line = strcspn(p, "\n"), skip;
		const char *colon = (const char *)memchr(p, ':', line);
		oc_str value;
		skip = colon != NULL ? (size_t)(colon - p) + 1u : line;
		skip += colon != NULL && skip < line && p[skip] == ' ';
		value.p = p + skip;
		value.n = line - skip;
		if (line == 0 && n > 0) {
			oc_str d;
			d.p = data;
			d.n = n - 1;
			data[n - 1] = 0;
			c->request.on_sse(c->request.arg, oc_str_of(event), d, oc_str_of(id));
			n = 0;
			*event = 0;
		} else if (strncmp(p, "data:", 5) == 0) {
			memcpy(data + n, value.p, value.n);
			n += value.n;
			data[n++] = '\n';
		} else if (strncmp(p, "event:", 6) == 0 || strncmp(p, "id:", 3) == 0) {
			char **to = *p == 'e' ? &event : &id;
			free(*to);
			*to = oct_copy_(value);
		}
		p += line + (p[line] == '\n');
	}
	free(event);
	free(id);
	free(data);
}

OCT_API void oct_do_http_(oct_host *h, oct_task_ *t)
{
	oc_http_call *c = (oc_http_call *)t->arg;
	oct_item_ *a = c->answer;
	char *body;
	(void)h;
	if (c->over)
		return;
	if (a == NULL) {
		oct_http_over_(c, OC_E_IO, 0, OC_STR("the test has set no answer for this address"));
		return;
	}
	if (a->status != OC_OK) {
		oct_http_over_(c, a->status, 0, oct_value_(a));
		return;
	}
	body = oct_copy_(oct_value_(a));
	if (c->request.on_head != NULL)
		c->request.on_head(c->request.arg, a->number, oc_str_of(a->more));
	if (!c->over && (c->request.flags & OC_HTTP_CLIENT_SSE) && a->number / 100 == 2) {
		oct_http_sse_(c, body);
	} else if (!c->over && c->request.on_data != NULL) {
		/* In two pieces, split anywhere: as networks do. */
		oc_str piece;
		char *part;
		size_t half = a->value_n / 2;
		for (int i = 0; i < 2 && !c->over; i++) {
			piece.p = body + (i == 0 ? 0 : half);
			piece.n = i == 0 ? half : a->value_n - half;
			part = oct_copy_(piece);
			piece.p = part;
			if (piece.n > 0)
				c->request.on_data(c->request.arg, piece);
			free(part);
		}
	}
	if (!c->over) {
		oc_str whole = OC_STR("");
		if (c->request.on_data == NULL && !(c->request.flags & OC_HTTP_CLIENT_SSE)) {
			whole.p = body;
			whole.n = a->value_n;
		}
		oct_http_over_(c, OC_OK, a->number, whole);
	}
	free(body);
}

OCT_API oc_status oct_http_start_(oc_self *self, const oc_http_client_request *request, oc_http_call **ret)
{
	oct_host *h = self->host;
	oc_http_call *c;
	oct_item_ *sent, *found = NULL;
	oct_loop_only_(h, "http.client start");
	if (request->struct_size < 64 || request->on_done == NULL) {
		oct_breach_(h, "an HTTP request without struct_size or on_done");
		return OC_E_INVALID;
	}
	c = (oc_http_call *)oct_get_(sizeof(*c));
	memcpy(&c->request, request, request->struct_size < sizeof(*request) ? request->struct_size : sizeof(*request));
	c->host = h;
	c->next = h->https;
	h->https = c;
	sent = oct_add_(&h->requests[OCT_HTTP], request->url.p, request->body.p != NULL ? request->body : OC_STR(""),
			request->headers.p != NULL ? request->headers.p : "", 0);
	free(sent->more); /* method and headers in one */
	sent->more = (char *)oct_get_(request->method.n + request->headers.n + 2);
	(void)snprintf(sent->more, request->method.n + request->headers.n + 2, "%s\n%s", request->method.n > 0 ? request->method.p : "GET",
		       request->headers.n > 0 ? request->headers.p : "");
	for (oct_item_ *i = h->http_answers; i != NULL && found == NULL; i = i->next)
		if (strncmp(i->key, request->url.p, strlen(i->key)) == 0)
			found = i;
	if (found != NULL) { /* one after the other; the last one stays */
		oct_item_ *later = found->next;
		while (later != NULL && strcmp(later->key, found->key) != 0)
			later = later->next;
		c->answer = (oct_item_ *)oct_get_(sizeof(*c->answer));
		c->answer->value = oct_copy_(oct_value_(found));
		c->answer->value_n = found->value_n;
		c->answer->more = oct_copy_(oc_str_of(found->more));
		c->answer->number = found->number;
		c->answer->status = found->status;
		if (later != NULL)
			oct_drop_(&h->http_answers, found);
	}
	(void)oct_post_(h, oct_do_http_, c);
	if (ret != NULL)
		*ret = c;
	return OC_OK;
}

OCT_API void oct_http_cancel_(oc_http_call *c)
{
	oct_loop_only_(c->host, "http.client cancel");
	c->over = 1;
}

OCT_API void oct_http_pause_(oc_http_call *c, uint32_t paused)
{
	(void)c;
	(void)paused;
}

static const oc_http_client_host oct_http_host_ = {sizeof(oc_http_client_host), 0, oct_http_start_, oct_http_cancel_, oct_http_pause_};

/* ---- "process" -------------------------------------------------------------------- */

OCT_API void oct_do_process_(oct_host *h, oct_task_ *t)
{
	oc_process *p = (oc_process *)t->arg;
	(void)h;
	if (p->over)
		return;
	p->over = 1;
	if (p->answer == NULL) {
		p->options.on_exit(p->options.arg, OC_E_NOT_FOUND, -1, 0, OC_STR("the test has set no answer for this program"));
		return;
	}
	if (p->answer->value_n > 0 && p->options.on_output != NULL)
		p->options.on_output(p->options.arg, 1, oct_value_(p->answer));
	p->options.on_exit(p->options.arg, p->answer->status, p->answer->number, 0, oc_str_of(p->answer->more));
}

OCT_API oc_status oct_spawn_(oc_self *self, const oc_process_options *options, oc_process **ret)
{
	oct_host *h = self->host;
	oc_process *p;
	oct_loop_only_(h, "process spawn");
	if (options->struct_size < 48 || options->on_exit == NULL) {
		oct_breach_(h, "a process without struct_size or on_exit");
		return OC_E_INVALID;
	}
	p = (oc_process *)oct_get_(sizeof(*p));
	memcpy(&p->options, options, options->struct_size < sizeof(*options) ? options->struct_size : sizeof(*options));
	p->host = h;
	p->next = h->processes;
	h->processes = p;
	(void)oct_add_(&h->requests[OCT_PROCESS], "", options->spec, "", 0);
	for (p->answer = h->process_answers; p->answer != NULL; p->answer = p->answer->next)
		if (strstr(options->spec.p, p->answer->key) != NULL)
			break;
	if ((options->flags & OC_PROCESS_STDIN) == 0)
		(void)oct_post_(h, oct_do_process_, p);
	if (ret != NULL)
		*ret = p;
	return OC_OK;
}

OCT_API oc_status oct_process_write_(oc_process *p, oc_str data)
{
	char *grown = (char *)realloc(p->fed, p->fed_n + data.n + 1);
	if (grown == NULL)
		return OC_E_NOMEM;
	p->fed = grown;
	memcpy(grown + p->fed_n, data.p, data.n);
	p->fed_n += data.n;
	grown[p->fed_n] = 0;
	return OC_OK;
}

OCT_API void oct_process_eof_(oc_process *p)
{
	(void)oct_post_(p->host, oct_do_process_, p);
}

OCT_API oc_status oct_process_kill_(oc_process *p, int32_t signal)
{
	if (p->over)
		return OC_E_STATE;
	p->over = 1;
	p->options.on_exit(p->options.arg, OC_E_CANCELED, 0, signal, OC_STR("ended"));
	return OC_OK;
}

OCT_API int64_t oct_process_pid_(const oc_process *p)
{
	(void)p;
	return 4711;
}

static const oc_process_host oct_process_host_ = {sizeof(oc_process_host), 0, oct_spawn_, oct_process_write_, oct_process_eof_,
						   oct_process_kill_, oct_process_pid_};

/* ---- "channel" ---------------------------------------------------------------------- */

OCT_API oc_status oct_receive_(oc_self *self, oc_str message, void (*done)(void *arg, oc_status status), void *arg)
{
	oct_task_ *t;
	oc_str part;
	oct_loop_only_(self->host, "channel receive");
	if (!ocj_get(message, "channel", &part) || !ocj_get(message, "account", &part) || !ocj_get(message, "id", &part) ||
	    !ocj_get(message, "chat", &part) || !ocj_get(message, "sender", &part)) {
		oct_breach_(self->host, "a message without channel, account, id, chat or sender: %.200s", message.p);
		return OC_E_INVALID;
	}
	(void)oct_add_(&self->host->requests[OCT_CHANNEL], "message", message, "", 0);
	t = oct_post_(self->host, oct_do_user_, arg);
	t->user_status = done;
	t->status = self->host->receive_status;
	return OC_OK;
}

OCT_API void oct_state_(oc_self *self, oc_str state)
{
	oct_loop_only_(self->host, "channel state");
	(void)oct_add_(&self->host->requests[OCT_CHANNEL], "state", state, "", 0);
}

OCT_API oc_str oct_media_dir_(oc_self *self)
{
	(void)self;
	return OC_STR("/tmp");
}

OCT_API int32_t oct_admits_(oc_self *self, oc_str message)
{
	(void)message;
	return self->host->admits;
}

static const oc_channel_host oct_channel_host_ = {sizeof(oc_channel_host), 0, oct_receive_, oct_state_, oct_media_dir_, oct_admits_};

/* ---- "kv" ------------------------------------------------------------------------------ */

OCT_API oct_item_ *oct_kv_find_(const oct_host *h, const char *key)
{
	oct_item_ *i = h->kv;
	while (i != NULL && strcmp(i->key, key) != 0)
		i = i->next;
	return i;
}

OCT_API oc_status oct_kv_get_(oc_self *self, oc_str key, oc_buf **ret)
{
	const oct_item_ *i = oct_kv_find_(self->host, key.p);
	oct_loop_only_(self->host, "kv get");
	if (i == NULL)
		return OC_E_NOT_FOUND;
	*ret = oct_buf_new_(self, oct_value_(i));
	return *ret != NULL ? OC_OK : OC_E_NOMEM;
}

OCT_API oc_status oct_kv_put_(oc_self *self, oc_str key, oc_str value, void (*done)(void *arg, oc_status status), void *arg)
{
	oct_item_ *i = oct_kv_find_(self->host, key.p);
	oct_loop_only_(self->host, "kv put");
	if (key.n == 0 || key.n > 200 || value.n > (1u << 20))
		return OC_E_LIMIT;
	if (i != NULL)
		oct_drop_(&self->host->kv, i);
	if (value.n > 0)
		(void)oct_add_(&self->host->kv, key.p, value, "", 0);
	if (done != NULL)
		oct_post_(self->host, oct_do_user_, arg)->user_status = done;
	return OC_OK;
}

static const oc_kv_host oct_kv_host_ = {sizeof(oc_kv_host), 0, oct_kv_get_, oct_kv_put_};

OCT_API oc_status oct_query_(oc_self *self, oc_str service, uint16_t major, uint16_t min_minor, const void **ret)
{
	static const struct {
		const char *name;
		const void *table;
		const char *capability;
	} known[] = {{OC_SERVICE_HTTP_CLIENT, &oct_http_host_, "net"}, {OC_SERVICE_PROCESS, &oct_process_host_, "exec"},
		     {OC_SERVICE_CHANNEL, &oct_channel_host_, NULL}, {OC_SERVICE_KV, &oct_kv_host_, NULL}};
	oct_loop_only_(self->host, "query");
	for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++) {
		if (strcmp(service.p, known[i].name) != 0)
			continue;
		if (!oct_listed_(self->host, "services", known[i].name) ||
		    (known[i].capability != NULL && !oct_listed_(self->host, "capabilities", known[i].capability))) {
			oct_breach_(self->host, "the manifest does not ask for the service \"%s\"%s%s", known[i].name,
				    known[i].capability != NULL ? " and the capability " : "",
				    known[i].capability != NULL ? known[i].capability : "");
			return OC_E_DENIED;
		}
		if (major != 1 || min_minor > 0)
			return OC_E_VERSION;
		*ret = known[i].table;
		return OC_OK;
	}
	return OC_E_NOT_FOUND;
}

#endif
