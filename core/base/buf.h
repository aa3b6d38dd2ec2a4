/*
 * Immutable bytes with an atomic reference count (the ABI's oc_buf).  [any]
 */
#ifndef OC_BASE_BUF_H
#define OC_BASE_BUF_H

#include <openclaw/module.h>

oc_buf *oc_buf_new(oc_str bytes); /* a copy, NUL-terminated; NULL when out of memory */
oc_buf *oc_buf_new_secret(oc_str bytes); /* wiped when the last reference goes */
oc_buf *oc_buf_ref(oc_buf *buf);
void oc_buf_unref(oc_buf *buf); /* NULL is allowed */
oc_str oc_buf_str(const oc_buf *buf); /* NULL: an empty string */

#endif
