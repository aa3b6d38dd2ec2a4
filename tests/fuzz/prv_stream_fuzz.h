/*
 * The stream machines of the providers under one driver: any lines as events of a stream give events that the host takes, and
 * an end.  Included once, after STREAM_NEW(sink, arg) and STREAM(name), the machine's functions, were defined.
 */
#include <stdint.h>
#include <stdlib.h>

#include "core/data/json.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void must_be_json(oc_str text)
{
	static const oc_json_limits limits = {.max_depth = PRV_JSON_DEPTH + 8};
	if (oc_json_check(text, &limits, NULL) != OC_OK)
		abort();
}

static void on_event(void *arg, uint32_t type, oc_str payload)
{
	const bool *over = arg;
	if (*over || payload.p[payload.n] != 0 || payload.n == 0)
		abort();
	if (type != OC_EV_TEXT && type != OC_EV_THINKING) {
		must_be_json(payload);
		return;
	}
	for (size_t i = 0, n; i < payload.n; i += n)
		if ((n = prv_utf8_len(payload.p + i, payload.n - i)) == 0 || payload.p[i] == 0)
			abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	bool over = false;
	prv_text result;
	STREAM() *s = STREAM_NEW(on_event, &over);
	if (s == NULL)
		return 0;
	for (size_t at = 0; at < size;) {
		size_t n = 0;
		while (at + n < size && data[at + n] != '\n')
			n++;
		/* As from the parser of events: NUL-terminated, and not a byte longer. */
		char *line = malloc(n + 1);
		for (size_t i = 0; i < n; i++)
			line[i] = (char)data[at + i];
		line[n] = 0;
		STREAM(_event)(s, (oc_str){line, n});
		free(line);
		over = STREAM(_base)(s)->over;
		at += n + 1;
	}
	STREAM(_end)(s);
	if (!STREAM(_base)(s)->over)
		abort();
	prv_text_init(&result, 1 << 16);
	if (STREAM(_base)(s)->fault.status == OC_OK) {
		prv_stream_result(STREAM(_base)(s), &result);
	} else {
		prv_place place = {.provider = "p", .host = "h", .model = "m", .key = {"", 0}};
		prv_fault_payload(&STREAM(_base)(s)->fault, &place, &result);
	}
	must_be_json(prv_text_view(&result));
	prv_text_free(&result);
	STREAM(_free)(s);
	return 0;
}
