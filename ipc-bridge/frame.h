/*
 * Frames of the bridge, version 1: see PROTOCOL.md, which both sides are written from.  Pure: bytes in, values out.  [any]
 */
#ifndef OC_BRIDGE_FRAME_H
#define OC_BRIDGE_FRAME_H

#include <stdint.h>

#include "core/base/err.h"
#include "core/base/str.h"

enum {
	OC_FRAME_VERSION = 1,
	OC_FRAME_HEAD = 12,
	OC_FRAME_NAME_MAX = 256,
	OC_FRAME_HEAD_MAX = OC_FRAME_HEAD + OC_FRAME_NAME_MAX,
	OC_BRIDGE_MESSAGE_MAX = 64 << 20, /* bytes of a message */
};

typedef enum oc_frame_kind {
	OC_FRAME_HELLO = 1,
	OC_FRAME_CALL,
	OC_FRAME_RESULT,
	OC_FRAME_ERROR,
	OC_FRAME_EVENT,
	OC_FRAME_CANCEL,
	OC_FRAME_NOTIFY,
	OC_FRAME_PING,
	OC_FRAME_PONG
} oc_frame_kind;

typedef struct oc_frame {
	oc_frame_kind kind;
	uint32_t id;
	uint32_t number; /* a call's deadline in ms (0: none), an error's -status, an event's type */
	oc_str name;     /* not NUL-terminated in what oc_frame_decode gives */
	oc_str payload;  /* the same */
} oc_frame;

/* Borrowed views into the message. OC_E_PROTOCOL says what is wrong with it. */
oc_status oc_frame_decode(oc_str message, oc_frame *ret, oc_err *err);
/* Writes what stands before the payload; returns its length. The name must fit (OC_FRAME_NAME_MAX), else 0. */
size_t oc_frame_head(const oc_frame *frame, unsigned char out[OC_FRAME_HEAD_MAX]);

#endif
