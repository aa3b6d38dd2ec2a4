/* Identifiers and random bytes. [any] */
#ifndef OC_BASE_ID_H
#define OC_BASE_ID_H

#include <stddef.h>

/* Random bytes from the kernel; never fails (aborts when the kernel has none). */
void oc_random(void *out, size_t n);
/* A version 7 UUID (RFC 9562: ordered by time), 36 characters and NUL. Returns out. */
char *oc_id_uuid(char out[37]);
/* n characters of a-z2-7 (5 bits each) and NUL; for tokens and codes. Returns out. */
char *oc_id_token(char *out, size_t n);

#endif
