/*
 * One side of HTTP/1.1 as a pure machine: bytes in, requests (or responses) out.  Inner header of core/net, used by the
 * server, the local client and the fuzz target.  [any]
 *
 * On top of llhttp: limits, what RFC 9112 lets a server refuse and what smuggling is made of (both lengths, repeated or
 * odd lengths and codings, folded lines, empty names, several hosts), and views that live as long as the message.
 */
#ifndef OC_NET_HTTP1_H
#define OC_NET_HTTP1_H

#include <llhttp.h>
#include <stdbool.h>
#include <stdint.h>

#include "core/base/err.h"
#include "core/base/str.h"

typedef enum oc_h1_event {
	OC_H1_MORE = 1, /* everything was read; give more */
	OC_H1_HEAD,	/* the head is complete */
	OC_H1_DONE,	/* the message is complete; the next call begins another one */
	OC_H1_ERROR	/* error_status, error_code, error_text tell; nothing more can be read */
} oc_h1_event;

typedef struct oc_h1_header {
	uint32_t name, name_n, value, value_n; /* offsets into the text */
} oc_h1_header;

#define OC_H1_INLINE_TEXT 1024
#define OC_H1_INLINE_HEADERS 24
#define OC_H1_MAX_HEADERS 256
#define OC_H1_MAX_TARGET 8192

typedef struct oc_h1 {
	llhttp_t parser;
	/* Set before the first byte. on_body: a piece; false stops with OC_H1_ERROR and error_status 0. */
	uint32_t max_head;
	bool (*on_body)(void *arg, oc_str piece);
	void *arg;
	/* May be changed at OC_H1_HEAD. */
	uint64_t max_body;

	/* From OC_H1_HEAD on. */
	uint64_t content_length; /* 0 unless has_length */
	uint64_t body_n;	 /* seen so far */
	uint8_t method;		 /* llhttp's number */
	uint16_t status;	 /* of a response */
	bool has_length, chunked, keep_alive, http10, wants_continue;
	bool upgrade; /* Upgrade and Connection: upgrade */
	uint32_t target, target_n, path, path_n, query, query_n;

	/* The text of the head: every piece NUL-terminated. */
	char *text;
	uint32_t text_n, text_cap;
	oc_h1_header *headers;
	uint32_t n_headers, cap_headers;

	int error_status; /* what to answer; 0: nothing */
	const char *error_code, *error_text;

	/* inner state */
	const char *piece_start, *piece_end; /* of the current call */
	uint32_t head_raw, extra_raw;	     /* bytes of the head; of chunk extensions and trailers */
	bool begun;			     /* something of this message was seen */
	bool head_done, done, paused, in_value, last_lf, broken;
	char inline_text[OC_H1_INLINE_TEXT];
	oc_h1_header inline_headers[OC_H1_INLINE_HEADERS];
} oc_h1;

/* type: HTTP_REQUEST or HTTP_RESPONSE. Does not touch what the caller set in max_head, on_body, arg, max_body. */
void oc_h1_init(oc_h1 *h, llhttp_type_t type);
void oc_h1_free(oc_h1 *h);
/* Reads from *p up to end and moves *p on. */
oc_h1_event oc_h1_next(oc_h1 *h, const char **p, const char *end);
/* Forgets the message that is done, for the next one. */
void oc_h1_reset(oc_h1 *h);
/* Response only: the peer closed. OC_H1_DONE when that is how the body ends. */
oc_h1_event oc_h1_eof(oc_h1 *h);

static inline oc_str oc_h1_view(const oc_h1 *h, uint32_t at, uint32_t n)
{
	return (oc_str){h->text + at, n};
}
/* By lower-case name; a view with p NULL when absent. */
oc_str oc_h1_header_get(const oc_h1 *h, const char *lower_name);
/* Whether a comma-separated header (all its lines) has a token, ASCII case folded. */
bool oc_h1_header_has_token(const oc_h1 *h, const char *lower_name, const char *token);

#endif
