/* Frames of the bridge: see frame.h. */
#include "ipc-bridge/frame.h"

#include <string.h>

static uint32_t get32(const unsigned char *p)
{
	return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
}

static void put32(unsigned char *p, uint32_t v)
{
	p[0] = (unsigned char)(v >> 24);
	p[1] = (unsigned char)(v >> 16);
	p[2] = (unsigned char)(v >> 8);
	p[3] = (unsigned char)v;
}

oc_status oc_frame_decode(oc_str message, oc_frame *ret, oc_err *err)
{
	const unsigned char *p = (const unsigned char *)message.p;
	if (message.n < OC_FRAME_HEAD)
		return oc_fail(err, OC_E_PROTOCOL, NULL, "a frame of %zu bytes is shorter than a header", message.n);
	if (p[0] != OC_FRAME_VERSION)
		return oc_fail(err, OC_E_PROTOCOL, NULL, "a frame of version %u; %d is known", p[0], OC_FRAME_VERSION);
	if (p[1] < OC_FRAME_HELLO || p[1] > OC_FRAME_PONG)
		return oc_fail(err, OC_E_PROTOCOL, NULL, "a frame of the unknown kind %u", p[1]);
	size_t name = (size_t)p[2] << 8 | p[3];
	if (name > OC_FRAME_NAME_MAX || OC_FRAME_HEAD + name > message.n)
		return oc_fail(err, OC_E_PROTOCOL, NULL, "a frame of %zu bytes with a name of %zu", message.n, name);
	*ret = (oc_frame){
		.kind = (oc_frame_kind)p[1],
		.id = get32(p + 4),
		.number = get32(p + 8),
		.name = {message.p + OC_FRAME_HEAD, name},
		.payload = {message.p + OC_FRAME_HEAD + name, message.n - OC_FRAME_HEAD - name},
	};
	return OC_OK;
}

size_t oc_frame_head(const oc_frame *frame, unsigned char out[OC_FRAME_HEAD_MAX])
{
	if (frame->name.n > OC_FRAME_NAME_MAX)
		return 0;
	out[0] = OC_FRAME_VERSION;
	out[1] = (unsigned char)frame->kind;
	out[2] = (unsigned char)(frame->name.n >> 8);
	out[3] = (unsigned char)frame->name.n;
	put32(out + 4, frame->id);
	put32(out + 8, frame->number);
	if (frame->name.n > 0)
		memcpy(out + OC_FRAME_HEAD, frame->name.p, frame->name.n);
	return OC_FRAME_HEAD + frame->name.n;
}
