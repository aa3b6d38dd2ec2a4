/*
 * Input: a text frame of OpenClaw's own protocol; the first byte says whether its sender is known.  It is a request or refused with
 * a reason; the answer to it, good or bad, is JSON with the same id.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/mem.h"
#include "core/gateway/frame.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_answer(const oc_sbuf *b, const cJSON *id, const char *what)
{
	oc_auto_json cJSON *answer = NULL;
	oc_err err = {0};
	if (b->error != OC_OK)
		return; /* no memory, or too large for the builder */
	if (oc_json_parse(oc_sbuf_view(b), NULL, &answer, &err) != OC_OK || strcmp(oc_json_str(answer, "type", ""), "res") != 0)
		abort();
	const cJSON *echo = oc_json_get(answer, "id");
	if (id != NULL ? !oc_json_equal(id, echo) : !cJSON_IsString(echo) || strcmp(echo->valuestring, "invalid") != 0)
		abort();
	if (oc_json_get(answer, what) == NULL)
		abort();
}

static void answer(const oc_frame *frame, oc_status status, const oc_err *err, size_t most)
{
	oc_sbuf b;
	oc_sbuf_init(&b, most);
	if (status == OC_OK)
		oc_frame_result(&b, frame->id, OC_STR("{\"a\":[1,2,3]}"));
	else
		oc_frame_error(&b, frame->id, NULL, err, OC_STR_NONE);
	check_answer(&b, frame->id, status == OC_OK && most > 4096 ? "payload" : "id");
	oc_sbuf_free(&b);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	if (size == 0)
		return 0;
	oc_arena *arena = oc_arena_new(0);
	char *copy = oc_memdup(data + 1, size - 1);
	oc_frame frame = {0};
	oc_err err = {0};
	if (arena == NULL || copy == NULL)
		abort();
	oc_status status = oc_frame_parse(arena, oc_str_make(copy, size - 1), (data[0] & 1) != 0, &frame, &err);
	if (status == OC_OK && (!cJSON_IsString(frame.id) || frame.id->valuestring[0] == 0 || frame.method[0] == 0 || frame.traceparent.p == NULL))
		abort();
	if (status != OC_OK && err.text[0] == 0)
		abort();
	answer(&frame, status, &err, (size_t)64 << 20);
	answer(&frame, status, &err, 400);
	oc_free(copy);
	oc_arena_free(arena);
	return 0;
}
