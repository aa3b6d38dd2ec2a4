/* What a module's process sends: whatever is taken lies inside the message, ends in NULs, and encodes to the same bytes. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "ipc-bridge/pack.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void inside(oc_str message, oc_str s)
{
	if (s.n > 0 && (s.p < message.p || s.p + s.n >= message.p + message.n))
		abort();
	if (s.p[s.n] != 0)
		abort();
}

static void same(oc_sbuf *b, oc_str message)
{
	if (b->error == OC_OK && (b->n != message.n || memcmp(b->p, message.p, b->n) != 0))
		abort();
	oc_sbuf_free(b);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	if (size == 0)
		return 0;
	oc_str message = {(const char *)data + 1, size - 1};
	oc_sbuf b;
	oc_sbuf_init(&b, 1 << 20);
	if (data[0] % 3 == 0) {
		oc_pack_iface list[OC_PACK_IFACES_MAX];
		uint32_t n = 0;
		if (!oc_unpack_ifaces(message, list, &n))
			return 0;
		for (uint32_t i = 0; i < n; i++) {
			inside(message, list[i].id);
			inside(message, list[i].list);
			if (strlen(list[i].id.p) != list[i].id.n)
				abort();
		}
		oc_pack_ifaces(&b, list, n);
	} else if (data[0] % 3 == 1) {
		oc_pack_news news;
		if (!oc_unpack_news(message, &news))
			return 0;
		for (size_t i = 0; i < 3; i++)
			inside(message, news.text[i]);
		oc_pack_news_put(&b, &news);
	} else {
		uint32_t guest;
		oc_fn fn;
		oc_call_args args;
		if (!oc_unpack_call(message, &guest, &fn, &args))
			return 0;
		for (size_t i = 0; i < sizeof(args.s) / sizeof(args.s[0]); i++)
			inside(message, args.s[i]);
		oc_pack_call(&b, guest, fn, &args);
	}
	same(&b, message);
	return 0;
}
