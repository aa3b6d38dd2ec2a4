/*
 * libnng by name at run time: opened with the first guest process, because it brings threads that an idle gateway does not
 * need.  Inner header of ipc-bridge; the types of its headers are used, its symbols are not linked.  [loop]
 */
#ifndef OC_BRIDGE_NNG_H
#define OC_BRIDGE_NNG_H

#include <nng/nng.h>
#include <nng/protocol/pair1/pair.h>

#include "core/base/err.h"

#define OC_NNG_MAP(X)      \
	X(close)           \
	X(listener_create) \
	X(listener_set_int) \
	X(listener_start)  \
	X(msg_alloc)       \
	X(msg_body)        \
	X(msg_free)        \
	X(msg_len)         \
	X(pair1_open)      \
	X(pipe_notify)     \
	X(recvmsg)         \
	X(sendmsg)         \
	X(socket_get_int)  \
	X(socket_set_int)  \
	X(socket_set_size) \
	X(strerror)

typedef struct oc_nng {
#define OC_NNG_MEMBER(name) __typeof__(nng_##name) *name;
	OC_NNG_MAP(OC_NNG_MEMBER)
#undef OC_NNG_MEMBER
} oc_nng;

/* The table; loads the library on first use. OC_E_UNAVAILABLE with what to install. */
oc_status oc_nng_load(const oc_nng **ret, oc_err *err);

#endif
