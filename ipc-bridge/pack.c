/* Values in frames: see pack.h. */
#include "ipc-bridge/pack.h"

#include <string.h>

void oc_pack_u32(oc_sbuf *b, uint32_t v)
{
	unsigned char p[4] = {(unsigned char)v, (unsigned char)(v >> 8), (unsigned char)(v >> 16), (unsigned char)(v >> 24)};
	oc_sbuf_add(b, p, sizeof(p));
}

void oc_pack_u64(oc_sbuf *b, uint64_t v)
{
	oc_pack_u32(b, (uint32_t)v);
	oc_pack_u32(b, (uint32_t)(v >> 32));
}

void oc_pack_str(oc_sbuf *b, oc_str s)
{
	if (s.n > UINT32_MAX)
		s.n = 0;
	oc_pack_u32(b, (uint32_t)s.n);
	oc_sbuf_add(b, s.p != NULL ? s.p : "", s.n);
	oc_sbuf_add(b, "", 1);
}

uint32_t oc_unpack_u32(oc_unpack *u)
{
	const unsigned char *p = (const unsigned char *)u->rest.p;
	if (u->bad || u->rest.n < 4) {
		u->bad = true;
		return 0;
	}
	u->rest = (oc_str){u->rest.p + 4, u->rest.n - 4};
	return (uint32_t)p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 | (uint32_t)p[3] << 24;
}

uint64_t oc_unpack_u64(oc_unpack *u)
{
	uint64_t low = oc_unpack_u32(u);
	return low | (uint64_t)oc_unpack_u32(u) << 32;
}

oc_str oc_unpack_str(oc_unpack *u)
{
	size_t n = oc_unpack_u32(u);
	oc_str s = {u->rest.p, n};
	if (u->bad || u->rest.n < n + 1 || u->rest.p[n] != 0) {
		u->bad = true;
		return OC_STR_NONE;
	}
	u->rest = (oc_str){u->rest.p + n + 1, u->rest.n - n - 1};
	return s;
}

bool oc_unpack_done(const oc_unpack *u)
{
	return !u->bad && u->rest.n == 0;
}

enum { TEXTS = sizeof(((oc_call_args *)NULL)->s) / sizeof(oc_str) };

void oc_pack_call(oc_sbuf *b, uint32_t guest, oc_fn fn, const oc_call_args *args)
{
	oc_pack_u32(b, guest);
	oc_pack_u32(b, (uint32_t)fn);
	oc_pack_u32(b, args->flags);
	for (size_t i = 0; i < TEXTS; i++)
		oc_pack_str(b, args->s[i]);
}

bool oc_unpack_call(oc_str payload, uint32_t *ret_guest, oc_fn *ret_fn, oc_call_args *ret)
{
	oc_unpack u = {payload, false};
	uint32_t guest = oc_unpack_u32(&u), fn = oc_unpack_u32(&u);
	oc_call_args args = {.flags = oc_unpack_u32(&u)};
	for (size_t i = 0; i < TEXTS; i++)
		args.s[i] = oc_unpack_str(&u);
	if (!oc_unpack_done(&u) || fn >= OC_FN_END)
		return false;
	*ret_guest = guest;
	*ret_fn = (oc_fn)fn;
	*ret = args;
	return true;
}

void oc_pack_ifaces(oc_sbuf *b, const oc_pack_iface *list, uint32_t n)
{
	oc_pack_u32(b, n);
	for (uint32_t i = 0; i < n; i++) {
		oc_pack_u32(b, list[i].kind);
		oc_pack_u32(b, list[i].flags);
		oc_pack_u32(b, list[i].has);
		oc_pack_u32(b, (uint32_t)list[i].ver_major << 16 | list[i].ver_minor);
		oc_pack_str(b, list[i].id);
		oc_pack_str(b, list[i].list);
	}
}

bool oc_unpack_ifaces(oc_str payload, oc_pack_iface *ret, uint32_t *ret_n)
{
	oc_unpack u = {payload, false};
	uint32_t n = oc_unpack_u32(&u);
	if (n > OC_PACK_IFACES_MAX)
		return false;
	for (uint32_t i = 0; i < n; i++) {
		oc_pack_iface *one = &ret[i];
		one->kind = oc_unpack_u32(&u);
		one->flags = oc_unpack_u32(&u);
		one->has = oc_unpack_u32(&u);
		uint32_t version = oc_unpack_u32(&u);
		one->ver_major = (uint16_t)(version >> 16);
		one->ver_minor = (uint16_t)version;
		one->id = oc_unpack_str(&u);
		one->list = oc_unpack_str(&u);
		/* The registry reads ids as texts that end at their NUL. */
		if (memchr(one->id.p, 0, one->id.n) != NULL)
			return false;
	}
	*ret_n = n;
	return oc_unpack_done(&u);
}

void oc_pack_news_put(oc_sbuf *b, const oc_pack_news *news)
{
	oc_pack_u32(b, news->id);
	oc_pack_u32(b, news->what);
	oc_pack_u32(b, (uint32_t)news->status);
	oc_pack_u64(b, news->number);
	oc_pack_u64(b, news->number2);
	for (size_t i = 0; i < 3; i++)
		oc_pack_str(b, news->text[i]);
}

bool oc_unpack_news(oc_str payload, oc_pack_news *ret)
{
	oc_unpack u = {payload, false};
	oc_pack_news news = {.id = oc_unpack_u32(&u)};
	news.what = oc_unpack_u32(&u);
	news.status = (oc_status)oc_unpack_u32(&u);
	news.number = oc_unpack_u64(&u);
	news.number2 = oc_unpack_u64(&u);
	for (size_t i = 0; i < 3; i++)
		news.text[i] = oc_unpack_str(&u);
	*ret = news;
	return oc_unpack_done(&u);
}
