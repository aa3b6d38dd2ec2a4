/* HTTP/1.1 messages: see http1.h. */
#include "core/net/http1.h"

#include <string.h>

#include "core/base/mem.h"
#include "core/net/url.h"

#define MAX_EXTRA 16384u /* chunk extensions and trailers */

static oc_h1 *of(llhttp_t *parser)
{
	return parser->data;
}

static int refuse(oc_h1 *h, int status, const char *code, const char *text)
{
	if (!h->broken) {
		h->broken = true;
		h->error_status = status;
		h->error_code = code;
		h->error_text = text;
	}
	return -1;
}

/* ---- Storage ---- */

static bool text_grow(oc_h1 *h, size_t n)
{
	size_t cap = h->text_cap;
	char *bigger;

	while (cap - h->text_n < n)
		cap *= 2;
	bigger = oc_realloc(h->text == h->inline_text ? NULL : h->text, cap);
	if (bigger == NULL)
		return false;
	if (h->text == h->inline_text)
		memcpy(bigger, h->inline_text, h->text_n);
	h->text = bigger;
	h->text_cap = (uint32_t)cap;
	return true;
}

static inline bool text_room(oc_h1 *h, size_t n)
{
	return n <= (size_t)(h->text_cap - h->text_n) || text_grow(h, n);
}

static int text_add(oc_h1 *h, const char *p, size_t n)
{
	/* The head's limit bounds this; one byte stays for the NUL. */
	if (!text_room(h, n + 1))
		return refuse(h, 503, "unavailable", "out of memory");
	memcpy(h->text + h->text_n, p, n);
	h->text_n += (uint32_t)n;
	return 0;
}

static int header_begin(oc_h1 *h)
{
	if (h->n_headers >= OC_H1_MAX_HEADERS)
		return refuse(h, 431, "headers_too_large", "too many header lines");
	if (h->n_headers == h->cap_headers) {
		uint32_t cap = h->cap_headers * 2;
		oc_h1_header *bigger;

		bigger = oc_realloc(h->headers == h->inline_headers ? NULL : h->headers, cap * sizeof(*bigger));
		if (bigger == NULL)
			return refuse(h, 503, "unavailable", "out of memory");
		if (h->headers == h->inline_headers)
			memcpy(bigger, h->inline_headers, sizeof(h->inline_headers));
		h->headers = bigger;
		h->cap_headers = cap;
	}
	h->headers[h->n_headers] = (oc_h1_header){.name = h->text_n};
	return 0;
}

void oc_h1_reset(oc_h1 *h)
{
	if (h->text != h->inline_text)
		oc_free(h->text);
	if (h->headers != h->inline_headers)
		oc_free(h->headers);
	h->text = h->inline_text;
	h->text_cap = sizeof(h->inline_text);
	h->headers = h->inline_headers;
	h->cap_headers = OC_H1_INLINE_HEADERS;
	h->text_n = h->n_headers = 0;
	h->content_length = h->body_n = 0;
	h->has_length = h->chunked = h->wants_continue = h->upgrade = false;
	h->target_n = h->path_n = h->query_n = 0;
	h->head_raw = h->extra_raw = 0;
	h->begun = h->head_done = h->done = h->in_value = h->last_lf = false;
}

void oc_h1_free(oc_h1 *h)
{
	oc_h1_reset(h);
}

/* ---- What llhttp reports ---- */

static int on_message_begin(llhttp_t *parser)
{
	of(parser)->begun = true;
	return 0;
}

static int on_url(llhttp_t *parser, const char *at, size_t n)
{
	oc_h1 *h = of(parser);

	if (h->target_n + n > OC_H1_MAX_TARGET)
		return refuse(h, 414, "uri_too_long", "the request target is longer than 8192 bytes");
	h->target_n += (uint32_t)n;
	return text_add(h, at, n);
}

static int on_url_complete(llhttp_t *parser)
{
	oc_h1 *h = of(parser);

	h->text[h->text_n++] = 0; /* text_add left room; an empty target is refused by llhttp */
	return 0;
}

static int trailer(oc_h1 *h, size_t n)
{
	/* Trailers are read and dropped: nothing here may depend on them. */
	h->extra_raw += (uint32_t)(n < MAX_EXTRA ? n : MAX_EXTRA + 1);
	if (h->extra_raw > MAX_EXTRA)
		return refuse(h, 431, "headers_too_large", "the trailers are too large");
	return 0;
}

static int on_field(llhttp_t *parser, const char *at, size_t n)
{
	oc_h1 *h = of(parser);
	oc_h1_header *header;
	char *to;

	if (h->head_done)
		return trailer(h, n);
	if (h->in_value || h->n_headers == 0 || h->headers[h->n_headers - 1].value != 0) {
		if (header_begin(h) != 0)
			return -1;
		h->n_headers++;
		h->in_value = false;
	}
	if (!text_room(h, n + 1))
		return refuse(h, 503, "unavailable", "out of memory");
	header = &h->headers[h->n_headers - 1];
	to = h->text + h->text_n;
	for (size_t i = 0; i < n; i++)
		to[i] = (char)(at[i] | (at[i] >= 'A' && at[i] <= 'Z' ? 0x20 : 0));
	h->text_n += (uint32_t)n;
	header->name_n += (uint32_t)n;
	return 0;
}

static int on_field_complete(llhttp_t *parser)
{
	oc_h1 *h = of(parser);
	oc_h1_header *header;

	if (h->head_done)
		return 0;
	if (h->n_headers == 0 || h->headers[h->n_headers - 1].name_n == 0)
		return refuse(h, 400, "bad_request", "a header line has no name");
	if (!text_room(h, 2))
		return refuse(h, 503, "unavailable", "out of memory");
	header = &h->headers[h->n_headers - 1];
	h->text[h->text_n++] = 0;
	header->value = h->text_n;
	h->in_value = true;
	return 0;
}

static int on_value(llhttp_t *parser, const char *at, size_t n)
{
	oc_h1 *h = of(parser);

	if (h->head_done)
		return trailer(h, n);
	if (text_add(h, at, n) != 0)
		return -1;
	h->headers[h->n_headers - 1].value_n += (uint32_t)n;
	return 0;
}

static int on_value_complete(llhttp_t *parser)
{
	oc_h1 *h = of(parser);
	oc_h1_header *header;

	if (h->head_done)
		return 0;
	if (!text_room(h, 1))
		return refuse(h, 503, "unavailable", "out of memory");
	header = &h->headers[h->n_headers - 1];
	while (header->value_n > 0
	       && (h->text[h->text_n - 1] == ' ' || h->text[h->text_n - 1] == '\t')) {
		header->value_n--;
		h->text_n--;
	}
	h->text[h->text_n++] = 0;
	h->in_value = false;
	return 0;
}

/* ---- The head as a whole ---- */

oc_str oc_h1_header_get(const oc_h1 *h, const char *lower_name)
{
	size_t n = strlen(lower_name);

	for (uint32_t i = 0; i < h->n_headers; i++) {
		const oc_h1_header *header = &h->headers[i];

		if (header->name_n == n && memcmp(h->text + header->name, lower_name, n) == 0)
			return oc_h1_view(h, header->value, header->value_n);
	}
	return (oc_str){NULL, 0};
}

bool oc_h1_header_has_token(const oc_h1 *h, const char *lower_name, const char *token)
{
	size_t n = strlen(lower_name);

	for (uint32_t i = 0; i < h->n_headers; i++) {
		const oc_h1_header *header = &h->headers[i];
		oc_str rest;

		if (header->name_n != n || memcmp(h->text + header->name, lower_name, n) != 0)
			continue;
		rest = oc_h1_view(h, header->value, header->value_n);
		while (rest.p != NULL) {
			if (oc_str_ieq(oc_str_trim(oc_str_cut(&rest, ',')), oc_str_of(token)))
				return true;
		}
	}
	return false;
}

static bool host_is_sane(oc_str host)
{
	for (size_t i = 0; i < host.n; i++) {
		unsigned char c = (unsigned char)host.p[i];

		if ((c >= '0' && c <= '9') || c == '.' || c == ':')
			continue; /* the usual ones first */
		if (c <= ' ' || c >= 0x7f || strchr("/\\@?#,\"<>", c) != NULL)
			return false;
	}
	return true;
}

/* One pass over the lines that decide about framing and routing. */
static int check_lines(oc_h1 *h)
{
	unsigned hosts = 0, codings = 0;

	for (uint32_t i = 0; i < h->n_headers; i++) {
		const oc_h1_header *header = &h->headers[i];
		const char *name = h->text + header->name;
		oc_str value = oc_h1_view(h, header->value, header->value_n);

		switch (header->name_n) {
		case 4:
			if (memcmp(name, "host", 4) != 0)
				break;
			if (++hosts > 1 || !host_is_sane(value))
				return refuse(h, 400, "bad_request", "the Host header is repeated or malformed");
			break;
		case 6:
			if (memcmp(name, "expect", 6) != 0)
				break;
			if (!oc_str_ieq(value, OC_STR("100-continue")))
				return refuse(h, 417, "expectation_failed", "only Expect: 100-continue is understood");
			h->wants_continue = !h->http10;
			break;
		case 17:
			if (memcmp(name, "transfer-encoding", 17) != 0)
				break;
			if (h->http10)
				return refuse(h, 400, "bad_request", "HTTP/1.0 has no Transfer-Encoding");
			if (++codings > 1 || !oc_str_ieq(value, OC_STR("chunked")))
				return refuse(h, 501, "not_implemented", "only the transfer coding chunked is understood");
			break;
		default:
			break;
		}
	}
	if (hosts == 0 && !h->http10)
		return refuse(h, 400, "bad_request", "HTTP/1.1 needs a Host header");
	return 0;
}

/* Finds path and query in the target and decodes the path. */
static int check_target(oc_h1 *h)
{
	oc_str target = oc_h1_view(h, h->target, h->target_n);
	const char *mark;
	size_t skip = 0, n = 0;

	if (h->method == HTTP_CONNECT)
		return refuse(h, 501, "not_implemented", "this is not a proxy");
	if (oc_str_eqz(target, "*"))
		return h->method == HTTP_OPTIONS ? 0 : refuse(h, 400, "bad_request", "the target * is for OPTIONS only");
	if (target.p[0] != '/') {
		/* The absolute form, which every server must take. */
		size_t scheme = oc_str_starts(target, "http://") ? 7 : oc_str_starts(target, "https://") ? 8 : 0;

		if (scheme == 0)
			return refuse(h, 400, "bad_request", "the request target must begin with a slash");
		for (skip = scheme; skip < target.n && target.p[skip] != '/' && target.p[skip] != '?'; skip++) {
		}
	}
	mark = memchr(target.p + skip, '?', target.n - skip);
	h->query = h->target + (uint32_t)(mark != NULL ? (size_t)(mark - target.p) + 1 : target.n);
	h->query_n = h->target + h->target_n - h->query;
	n = (mark != NULL ? (size_t)(mark - target.p) : target.n) - skip;
	if (!text_room(h, n + 2))
		return refuse(h, 503, "unavailable", "out of memory");
	h->path = h->text_n;
	if (n == 0) {
		memcpy(h->text + h->path, "/", 2);
		h->path_n = 1;
	} else {
		size_t out_n;

		if (oc_url_path_decode(oc_h1_view(h, h->target + (uint32_t)skip, (uint32_t)n), h->text + h->path, &out_n)
		    != OC_OK)
			return refuse(h, 400, "bad_request", "the request's path is malformed");
		h->path_n = (uint32_t)out_n;
	}
	h->text_n += h->path_n + 1;
	return 0;
}

static int on_headers_complete(llhttp_t *parser)
{
	oc_h1 *h = of(parser);

	h->method = parser->method;
	h->status = parser->status_code;
	h->http10 = parser->http_major == 1 && parser->http_minor == 0;
	h->has_length = (parser->flags & F_CONTENT_LENGTH) != 0;
	h->content_length = h->has_length ? parser->content_length : 0;
	h->chunked = (parser->flags & F_CHUNKED) != 0;
	h->upgrade = parser->upgrade != 0;
	h->keep_alive = llhttp_should_keep_alive(parser) != 0;
	if (parser->type == HTTP_REQUEST) {
		if (parser->http_major != 1 || parser->http_minor > 1)
			return refuse(h, 505, "version_not_supported", "HTTP/1.0 and HTTP/1.1 are understood here");
		if (check_lines(h) != 0 || check_target(h) != 0)
			return -1;
	}
	h->head_done = true;
	/* A request without a body is complete: one stop less. */
	if (parser->type == HTTP_REQUEST && !h->chunked && h->content_length == 0 && !h->upgrade)
		return 0;
	return HPE_PAUSED;
}

static int on_body(llhttp_t *parser, const char *at, size_t n)
{
	oc_h1 *h = of(parser);

	h->body_n += n;
	if (h->body_n > h->max_body)
		return refuse(h, 413, "payload_too_large", "the body is larger than allowed here");
	if (!h->on_body(h->arg, oc_str_make(at, n)))
		return refuse(h, 0, "", "stopped");
	return 0;
}

static int on_message_complete(llhttp_t *parser)
{
	of(parser)->done = true;
	return HPE_PAUSED;
}

static int on_extension(llhttp_t *parser, const char *at, size_t n)
{
	oc_h1 *h = of(parser);

	(void)at;
	h->extra_raw += (uint32_t)(n < MAX_EXTRA ? n : MAX_EXTRA + 1);
	if (h->extra_raw > MAX_EXTRA)
		return refuse(h, 400, "bad_request", "the chunk extensions are too large");
	return 0;
}

static const llhttp_settings_t settings = {
	.on_message_begin = on_message_begin,
	.on_url = on_url,
	.on_url_complete = on_url_complete,
	.on_header_field = on_field,
	.on_header_field_complete = on_field_complete,
	.on_header_value = on_value,
	.on_header_value_complete = on_value_complete,
	.on_headers_complete = on_headers_complete,
	.on_body = on_body,
	.on_message_complete = on_message_complete,
	.on_chunk_extension_name = on_extension,
	.on_chunk_extension_value = on_extension,
};

void oc_h1_init(oc_h1 *h, llhttp_type_t type)
{
	llhttp_init(&h->parser, type, &settings);
	h->parser.data = h;
	h->text = h->inline_text;
	h->headers = h->inline_headers;
	h->paused = h->broken = false;
	h->error_status = 0;
	oc_h1_reset(h);
}

/* ---- Reading ---- */

/* llhttp joins folded lines, which others read as two: refused by looking at the bytes themselves. */
static bool has_fold(oc_h1 *h, const char *p, size_t n)
{
	const char *end = p + n, *lf = p;

	if (n == 0)
		return false;
	if (h->last_lf && (*p == ' ' || *p == '\t'))
		return true;
	while ((lf = memchr(lf, '\n', (size_t)(end - lf))) != NULL) {
		if (++lf == end)
			break;
		if (*lf == ' ' || *lf == '\t')
			return true;
	}
	h->last_lf = end[-1] == '\n';
	return false;
}

static oc_h1_event failed(oc_h1 *h, llhttp_errno_t e)
{
	switch (e) {
	case HPE_INVALID_VERSION:
	case HPE_PAUSED_H2_UPGRADE:
		(void)refuse(h, 505, "version_not_supported", "HTTP/1.0 and HTTP/1.1 are understood here");
		break;
	case HPE_INVALID_METHOD:
		(void)refuse(h, 400, "bad_request", "not an HTTP request, or an unknown method");
		break;
	case HPE_INVALID_TRANSFER_ENCODING:
		(void)refuse(h, 400, "bad_request", "the Transfer-Encoding header is not valid");
		break;
	case HPE_UNEXPECTED_CONTENT_LENGTH:
	case HPE_INVALID_CONTENT_LENGTH:
		(void)refuse(h, 400, "bad_request", "the length of the body is ambiguous or malformed");
		break;
	case HPE_INVALID_CHUNK_SIZE:
		(void)refuse(h, 400, "bad_request", "a chunk of the body is malformed");
		break;
	case HPE_INVALID_HEADER_TOKEN:
		(void)refuse(h, 400, "bad_request", "a header line is malformed");
		break;
	case HPE_INVALID_URL:
		(void)refuse(h, 400, "bad_request", "the request target has a character that is not allowed");
		break;
	default:
		(void)refuse(h, 400, "bad_request", "the message is not valid HTTP/1.1");
		break;
	}
	return OC_H1_ERROR;
}

oc_h1_event oc_h1_next(oc_h1 *h, const char **p, const char *end)
{
	for (;;) {
		const char *at = *p;
		size_t n = (size_t)(end - at), used;
		bool in_head = !h->head_done, cut = false;
		llhttp_errno_t e;

		if (h->broken)
			return OC_H1_ERROR;
		if (h->head_done && h->done) {
			h->done = false; /* the head was handed out; the end follows */
			return OC_H1_DONE;
		}
		if (in_head && n > (size_t)(h->max_head - h->head_raw)) {
			n = h->max_head - h->head_raw;
			cut = true;
		}
		if (h->paused) {
			llhttp_resume(&h->parser);
			h->paused = false;
		}
		e = llhttp_execute(&h->parser, at, n);
		used = e == HPE_OK ? n : (size_t)(llhttp_get_error_pos(&h->parser) - at);
		if (e == HPE_PAUSED_UPGRADE) {
			/* After the end of the message, which was reported; whether the protocol changes is the caller's decision. */
			llhttp_resume_after_upgrade(&h->parser);
			*p += used;
			if (used == n)
				return OC_H1_MORE;
			continue;
		}
		if (e != HPE_OK && e != HPE_PAUSED)
			return failed(h, e);
		*p += used;
		if (in_head) {
			h->head_raw += (uint32_t)used;
			if (has_fold(h, at, used))
				(void)refuse(h, 400, "bad_request", "a header line is folded");
			if (h->broken)
				return OC_H1_ERROR;
		}
		if (e == HPE_PAUSED) {
			h->paused = true;
			if (in_head && h->head_done)
				return OC_H1_HEAD;
			continue; /* the end of the message: see above */
		}
		if (cut && !h->head_done) {
			(void)refuse(h, 431, "headers_too_large", "the request line and headers are too large");
			return OC_H1_ERROR;
		}
		if (*p == end)
			return OC_H1_MORE;
	}
}

oc_h1_event oc_h1_eof(oc_h1 *h)
{
	if (h->broken || !h->begun)
		return OC_H1_ERROR;
	if (h->paused) {
		llhttp_resume(&h->parser);
		h->paused = false;
	}
	(void)llhttp_finish(&h->parser);
	return h->head_done && h->done ? OC_H1_DONE : OC_H1_ERROR;
}
