/*
 * HTTP/1.1 messages: any bytes, split anywhere, are read as the same messages; what is handed out stays within its bounds.
 * The first byte chooses request or response and the size of the pieces.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/mem.h"
#include "core/net/http1.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

typedef struct sum {
	uint64_t hash;
	unsigned messages;
	int error;
	uint64_t body;
} sum;

static void mix(sum *s, const char *p, size_t n)
{
	for (size_t i = 0; i < n; i++)
		s->hash = (s->hash ^ (uint8_t)p[i]) * UINT64_C(1099511628211);
}

static bool on_body(void *arg, oc_str piece)
{
	sum *s = arg;

	if (piece.n == 0)
		abort();
	s->body += piece.n;
	mix(s, piece.p, piece.n);
	return true;
}

static void view(sum *s, const oc_h1 *h, uint32_t at, uint32_t n)
{
	if ((uint64_t)at + n >= h->text_cap || h->text[at + n] != 0)
		abort(); /* every piece ends in NUL */
	mix(s, h->text + at, n);
}

static void on_head(sum *s, const oc_h1 *h, bool request)
{
	if (h->head_raw > h->max_head || h->n_headers > OC_H1_MAX_HEADERS)
		abort();
	for (uint32_t i = 0; i < h->n_headers; i++) {
		const oc_h1_header *header = &h->headers[i];

		if (header->name_n == 0)
			abort();
		view(s, h, header->name, header->name_n);
		view(s, h, header->value, header->value_n);
		for (uint32_t j = 0; j < header->value_n; j++) {
			char c = h->text[header->value + j];

			if (c == '\r' || c == '\n' || c == 0)
				abort();
		}
	}
	if (!request)
		return;
	view(s, h, h->target, h->target_n);
	if (h->path_n > 0) {
		const char *path = h->text + h->path;

		view(s, h, h->path, h->path_n);
		if (path[0] != '/' || strstr(path, "/../") != NULL || strstr(path, "//") != NULL)
			abort();
	}
	if (h->query_n > 0)
		view(s, h, h->query, h->query_n);
	/* What requests are smuggled with. */
	if (h->chunked && h->has_length)
		abort();
}

static void run(const char *p, size_t n, size_t step, bool request, sum *s)
{
	oc_h1 *h = calloc(1, sizeof(*h));

	if (h == NULL)
		abort();
	h->max_head = 2048;
	h->max_body = 512;
	h->on_body = on_body;
	h->arg = s;
	oc_h1_init(h, request ? HTTP_REQUEST : HTTP_RESPONSE);
	for (size_t i = 0; i < n && s->error == 0; i += step) {
		/* A copy of its own size: reading beyond it is seen. */
		size_t piece = n - i < step ? n - i : step;
		char *copy = malloc(piece);
		const char *at = copy;

		memcpy(copy, p + i, piece);
		for (;;) {
			oc_h1_event event = oc_h1_next(h, &at, copy + piece);

			if (at < copy || at > copy + piece)
				abort();
			if (event == OC_H1_MORE)
				break;
			if (event == OC_H1_ERROR) {
				s->error = h->error_status != 0 ? h->error_status : -1;
				if (h->error_text == NULL || h->error_code == NULL)
					abort();
				break;
			}
			if (event == OC_H1_HEAD) {
				on_head(s, h, request);
				continue;
			}
			s->messages++;
			if (h->body_n > h->max_body)
				abort();
			if (request && !h->keep_alive) {
				s->error = 1;
				break;
			}
			oc_h1_reset(h);
		}
		free(copy);
	}
	if (!request && s->error == 0 && oc_h1_eof(h) == OC_H1_DONE)
		s->messages++;
	oc_h1_free(h);
	free(h);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	sum whole = {0}, bytes = {0}, pieces = {0};
	unsigned long live = oc_mem_live();
	bool request;
	const char *p;

	if (size < 2)
		return 0;
	request = (data[0] & 1) == 0;
	p = (const char *)data + 1;
	run(p, size - 1, size, request, &whole);
	run(p, size - 1, 1, request, &bytes);
	run(p, size - 1, 2 + (data[0] >> 1) % 61, request, &pieces);
	/* Splitting must not change what was said: neither the messages nor whether there was an error (which of several
	 * faults is noticed first may differ). */
	if (whole.messages != bytes.messages || whole.messages != pieces.messages || (whole.error != 0) != (bytes.error != 0)
	    || (whole.error != 0) != (pieces.error != 0))
		abort();
	if (whole.error == 0 && (whole.hash != bytes.hash || whole.hash != pieces.hash || whole.body != bytes.body))
		abort();
	if (oc_mem_live() != live)
		abort();
	return 0;
}
