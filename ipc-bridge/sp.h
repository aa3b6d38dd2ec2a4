/*
 * The scalability protocol that nng speaks over Unix sockets (version 0), for pair1: bytes in, messages out.  Pure.  [any]
 *
 * Each side begins with OC_SP_GREETING; a message is 01, its length as 64 bits, big-endian, and so many bytes, the first four
 * of which are pair1's hop count.
 */
#ifndef OC_BRIDGE_SP_H
#define OC_BRIDGE_SP_H

#include "core/base/err.h"
#include "core/base/str.h"

#define OC_SP_GREETING "\0SP\0\0\x11\0\0"
enum { OC_SP_GREETING_BYTES = 8, OC_SP_HEAD = 13 /* up to a message's body, with the hop count */ };

/* Begins as {0}. */
typedef struct oc_sp_reader {
	bool greeted;
	size_t head_n;
	unsigned char head[OC_SP_HEAD];
	unsigned char *body; /* of a message that came in part */
	size_t body_n, have;
} oc_sp_reader;

/*
 * Takes bytes and calls message for each that is whole, borrowed for the call.  message says false when it wants no more: the
 * rest is forgotten.  OC_E_PROTOCOL: ret_why says what is wrong (static); OC_E_NOMEM.
 */
oc_status oc_sp_take(oc_sp_reader *reader, oc_str bytes, bool (*message)(void *arg, oc_str body), void *arg, const char **ret_why);
/* Where the next bytes may be put directly (the rest of a long message); then oc_sp_took says how many. NULL: nowhere. As
 * message's: false when it wants no more. */
unsigned char *oc_sp_room(const oc_sp_reader *reader, size_t *ret_n);
bool oc_sp_took(oc_sp_reader *reader, size_t n, bool (*message)(void *arg, oc_str body), void *arg);
/* What precedes a body of n bytes. */
void oc_sp_head(size_t n, unsigned char ret[OC_SP_HEAD]);
void oc_sp_free(oc_sp_reader *reader); /* what it holds */

#endif
