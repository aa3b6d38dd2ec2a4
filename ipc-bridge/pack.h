/*
 * Values in the frames between the gateway and a module's process: numbers of 4 or 8 bytes, little-endian, and texts, each
 * its length, its bytes and a NUL, so that a view of one is a text as the ABI has it.  Both ends are this program, so there is
 * no version beyond the hello's; what the process sends is not trusted all the same.  Pure.  [any]
 */
#ifndef OC_BRIDGE_PACK_H
#define OC_BRIDGE_PACK_H

#include "core/base/str.h"
#include "core/module/call.h"

void oc_pack_u32(oc_sbuf *b, uint32_t v);
void oc_pack_u64(oc_sbuf *b, uint64_t v);
void oc_pack_str(oc_sbuf *b, oc_str s);

/* Reads in the same order. Past the end, or on a text that does not end as it must, everything read is 0 or empty, and bad. */
typedef struct oc_unpack {
	oc_str rest;
	bool bad;
} oc_unpack;

uint32_t oc_unpack_u32(oc_unpack *u);
uint64_t oc_unpack_u64(oc_unpack *u);
oc_str oc_unpack_str(oc_unpack *u); /* a view */
bool oc_unpack_done(const oc_unpack *u); /* all of it was read, and none was bad */

/* A call of a guest's function (call.h: OC_FN_MAP). */
void oc_pack_call(oc_sbuf *b, uint32_t guest, oc_fn fn, const oc_call_args *args);
bool oc_unpack_call(oc_str payload, uint32_t *ret_guest, oc_fn *ret_fn, oc_call_args *ret);

/* One interface of the module, as its process tells of it once it runs. */
typedef struct oc_pack_iface {
	uint32_t kind, flags;
	uint32_t has; /* bit i: the i-th function of the vtable */
	uint16_t ver_major, ver_minor;
	oc_str id;
	oc_str list; /* what tools() or subscriptions() said */
} oc_pack_iface;
enum { OC_PACK_IFACES_MAX = 64 };
void oc_pack_ifaces(oc_sbuf *b, const oc_pack_iface *list, uint32_t n);
/* Fills up to OC_PACK_IFACES_MAX; false: it is not in order. */
bool oc_unpack_ifaces(oc_str payload, oc_pack_iface *ret, uint32_t *ret_n);

/* What a service of the gateway says to the module that uses it: see isolate_host.c. */
typedef struct oc_pack_news {
	uint32_t id;   /* the module's request */
	uint32_t what; /* OC_NEWS_* */
	oc_status status;
	uint64_t number, number2;
	oc_str text[3];
} oc_pack_news;
enum {
	OC_NEWS_DONE = 1, /* kv, channel, another module's service: status, text */
	OC_NEWS_HTTP_HEAD, /* HTTP status, headers */
	OC_NEWS_HTTP_DATA,
	OC_NEWS_HTTP_SSE, /* event, data, id */
	OC_NEWS_HTTP_DONE, /* status, HTTP status, body */
	OC_NEWS_HTTP_BODY, /* it may send from offset number at most number2 bytes: answered with http.body */
	OC_NEWS_OUTPUT,	   /* stream, data */
	OC_NEWS_EXIT	   /* status, code, signal, message */
};
void oc_pack_news_put(oc_sbuf *b, const oc_pack_news *news);
bool oc_unpack_news(oc_str payload, oc_pack_news *ret);

#endif
