/* Frames of the bridge: whatever decodes is inside the message, and encodes to the same bytes. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "ipc-bridge/frame.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	oc_str message = {(const char *)data, size};
	unsigned char head[OC_FRAME_HEAD_MAX];
	oc_frame frame;
	oc_err err = {0};
	if (oc_frame_decode(message, &frame, &err) != OC_OK) {
		if (err.code != OC_E_PROTOCOL || err.text[0] == 0)
			abort();
		return 0;
	}
	if (frame.name.p < message.p || frame.payload.p + frame.payload.n != message.p + message.n)
		abort();
	size_t n = oc_frame_head(&frame, head);
	if (n + frame.payload.n != size || memcmp(head, data, n) != 0)
		abort();
	return 0;
}
