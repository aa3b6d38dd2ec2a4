/* Reading and writing nng's wire format: see sp.h. */
#include "ipc-bridge/sp.h"

#include <string.h>

#include "core/base/mem.h"
#include "ipc-bridge/frame.h"

enum { HOPS = 4, LENGTH_AT = 1, LENGTH = 8, KIND_MESSAGE = 1, HOPS_MAX = 255 };

void oc_sp_head(size_t n, unsigned char ret[OC_SP_HEAD])
{
	uint64_t length = n + HOPS;
	ret[0] = KIND_MESSAGE;
	for (size_t i = 0; i < LENGTH; i++)
		ret[LENGTH_AT + i] = (unsigned char)(length >> (8 * (LENGTH - 1 - i)));
	memcpy(ret + LENGTH_AT + LENGTH, "\0\0\0\1", HOPS); /* one hop so far */
}

void oc_sp_free(oc_sp_reader *reader)
{
	oc_free(reader->body);
	reader->body = NULL;
}

/* Fills the head up to n bytes. false: more is to come. */
static bool fill(oc_sp_reader *reader, oc_str *bytes, size_t n)
{
	size_t want = n - reader->head_n, part = bytes->n < want ? bytes->n : want;
	memcpy(reader->head + reader->head_n, bytes->p, part);
	reader->head_n += part;
	*bytes = (oc_str){bytes->p + part, bytes->n - part};
	return reader->head_n == n;
}

/* The length of the body that the head announces. */
static oc_status announced(const oc_sp_reader *reader, size_t *ret, const char **ret_why)
{
	const unsigned char *hops = reader->head + LENGTH_AT + LENGTH;
	uint64_t length = 0;
	for (size_t i = 0; i < LENGTH; i++)
		length = length << 8 | reader->head[LENGTH_AT + i];
	*ret_why = NULL;
	if (reader->head[0] != KIND_MESSAGE)
		*ret_why = "it sent something that is no message";
	else if (length < HOPS)
		*ret_why = "it sent a message shorter than pair1's header";
	else if (length - HOPS > OC_BRIDGE_MESSAGE_MAX)
		*ret_why = "it announced a message longer than may be";
	else if (hops[0] != 0 || hops[1] != 0 || hops[2] != 0)
		*ret_why = "it sent a message with an impossible hop count";
	if (*ret_why != NULL)
		return OC_E_PROTOCOL;
	*ret = (size_t)length - HOPS;
	return OC_OK;
}

unsigned char *oc_sp_room(const oc_sp_reader *reader, size_t *ret_n)
{
	if (reader->body == NULL)
		return NULL;
	*ret_n = reader->body_n - reader->have;
	return reader->body + reader->have;
}

bool oc_sp_took(oc_sp_reader *reader, size_t n, bool (*message)(void *arg, oc_str body), void *arg)
{
	reader->have += n;
	if (reader->have < reader->body_n)
		return true;
	unsigned char *body = reader->body;
	reader->body = NULL;
	bool more = message(arg, (oc_str){(const char *)body, reader->body_n});
	oc_free(body);
	return more;
}

/* The body behind a whole head: as it lies there, or as a copy that is completed later. */
static oc_status take_body(oc_sp_reader *reader, oc_str *bytes, bool (*message)(void *arg, oc_str body), void *arg, bool *ret_more,
			   const char **ret_why)
{
	size_t n = 0;
	oc_status status = announced(reader, &n, ret_why);
	if (status != OC_OK)
		return status;
	reader->head_n = 0;
	if (bytes->n >= n) {
		oc_str body = {bytes->p, n};
		*bytes = (oc_str){bytes->p + n, bytes->n - n};
		*ret_more = message(arg, body);
		return OC_OK;
	}
	reader->body = oc_alloc(n);
	if (reader->body == NULL) {
		*ret_why = "there is no memory for its message";
		return OC_E_NOMEM;
	}
	memcpy(reader->body, bytes->p, bytes->n);
	reader->body_n = n;
	reader->have = bytes->n;
	bytes->n = 0;
	return OC_OK;
}

oc_status oc_sp_take(oc_sp_reader *reader, oc_str bytes, bool (*message)(void *arg, oc_str body), void *arg, const char **ret_why)
{
	bool more = true;
	*ret_why = NULL;
	while (more && bytes.n > 0) {
		size_t room = 0;
		unsigned char *to = oc_sp_room(reader, &room);
		if (!reader->greeted) {
			if (!fill(reader, &bytes, OC_SP_GREETING_BYTES))
				break;
			if (memcmp(reader->head, OC_SP_GREETING, OC_SP_GREETING_BYTES) != 0) {
				*ret_why = "it does not speak nng's pair1";
				return OC_E_PROTOCOL;
			}
			reader->greeted = true;
			reader->head_n = 0;
		} else if (to != NULL) {
			size_t part = bytes.n < room ? bytes.n : room;
			memcpy(to, bytes.p, part);
			bytes = (oc_str){bytes.p + part, bytes.n - part};
			more = oc_sp_took(reader, part, message, arg);
		} else {
			if (!fill(reader, &bytes, OC_SP_HEAD))
				break;
			oc_status status = take_body(reader, &bytes, message, arg, &more, ret_why);
			if (status != OC_OK)
				return status;
		}
	}
	return OC_OK;
}
