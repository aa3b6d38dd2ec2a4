#include "core/base/buf.h"

#include <stdatomic.h>
#include <stdbool.h>
#include <string.h>

#include "core/base/mem.h"
#include "core/base/str.h"

struct oc_buf {
	atomic_uint refs;
	bool secret;
	size_t n;
	char bytes[];
};

static oc_buf *make(oc_str bytes, bool secret)
{
	if (bytes.n > SIZE_MAX - sizeof(oc_buf) - 1)
		return NULL;
	oc_buf *buf = oc_alloc(sizeof *buf + bytes.n + 1);
	if (buf == NULL)
		return NULL;
	atomic_init(&buf->refs, 1);
	buf->secret = secret;
	buf->n = bytes.n;
	if (bytes.n > 0)
		memcpy(buf->bytes, bytes.p, bytes.n);
	return buf;
}

oc_buf *oc_buf_new(oc_str bytes)
{
	return make(bytes, false);
}

oc_buf *oc_buf_new_secret(oc_str bytes)
{
	return make(bytes, true);
}

oc_buf *oc_buf_ref(oc_buf *buf)
{
	if (buf != NULL)
		atomic_fetch_add_explicit(&buf->refs, 1, memory_order_relaxed);
	return buf;
}

void oc_buf_unref(oc_buf *buf)
{
	if (buf == NULL || atomic_fetch_sub_explicit(&buf->refs, 1, memory_order_acq_rel) != 1)
		return;
	if (buf->secret)
		oc_wipe(buf->bytes, buf->n);
	oc_free(buf);
}

oc_str oc_buf_str(const oc_buf *buf)
{
	return buf == NULL ? OC_STR_NONE : (oc_str){buf->bytes, buf->n};
}
