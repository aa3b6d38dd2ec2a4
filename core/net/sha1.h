/* SHA-1, for the WebSocket handshake and nothing else: it protects nothing there.  [any] */
#ifndef OC_NET_SHA1_H
#define OC_NET_SHA1_H

#include <stddef.h>
#include <stdint.h>

void oc_sha1(const void *p, size_t n, uint8_t out[20]);

#endif
