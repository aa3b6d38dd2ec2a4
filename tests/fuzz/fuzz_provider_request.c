/* The request builders of the provider modules, and the offline provider's scripts: any request that the host can make
 * (one that passes its JSON wall) becomes a body that is JSON, or is refused with a reason. */
#include <stdint.h>
#include <stdlib.h>

#include "anthropic/request.h"
#include "core/data/json.h"
#include "offline/script.h"
#include "openai/responses.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void must_be_json(oc_str text)
{
	static const oc_json_limits limits = {.max_depth = PRV_JSON_DEPTH + 8};
	if (oc_json_check(text, &limits, NULL) != OC_OK)
		abort();
}

/* All protocols; quirks from the input's size, so that each way is taken. */
static void build(prv_json request, const prv_endpoint *e, unsigned bits)
{
	prv_quirks quirks = {bits, bits % 3 == 0 ? 1000 : 0};
	ant_options options = {.cache_ttl = bits % 2 == 0 ? "5m" : NULL};
	prv_text body;
	prv_fault why;
	const char *beta;
	prv_text_init(&body, 8 << 20);
	prv_fault_clear(&why);
	if (oai_request_build(request, e, &quirks, &body, &why))
		must_be_json(prv_text_view(&body));
	else if (why.status == OC_OK)
		abort();
	prv_text_clear(&body);
	prv_fault_clear(&why);
	if (oai_responses_build(request, e, &quirks, &body, &why))
		must_be_json(prv_text_view(&body));
	else if (why.status == OC_OK)
		abort();
	prv_text_clear(&body);
	prv_fault_clear(&why);
	if (ant_request_build(request, e, &quirks, &options, &body, &beta, &why))
		must_be_json(prv_text_view(&body));
	else if (why.status == OC_OK)
		abort();
	prv_text_free(&body);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char *text = malloc(size + 1);
	prv_json request;
	prv_endpoint e;
	prv_fault why;
	off_script script;
	prv_text headers;
	if (text == NULL)
		return 0;
	for (size_t i = 0; i < size; i++)
		text[i] = (char)data[i];
	text[size] = 0;
	if (oc_json_check((oc_str){text, size}, NULL, NULL) == OC_OK) {
		if (!prv_json_parse(text, size, &request))
			abort();
		if (prv_endpoint_read(request, "https://api.example.com/v1", &e, &why)) {
			build(request, &e, 0);
			build(request, &e, (unsigned)size * 2654435761u);
			prv_text_init(&headers, 1 << 20);
			prv_endpoint_headers(&e, &headers);
			prv_endpoint_header(&e, "x", "", OC_STR("y"), &headers);
			prv_text_char(&headers, '}');
			if (!headers.failed)
				must_be_json(prv_text_view(&headers));
			prv_text_free(&headers);
		}
		if (off_script_make(request, &script)) {
			for (size_t i = 0; i < script.n; i++)
				if (script.steps[i].kind == OFF_CALL && !script.steps[i].text.failed)
					must_be_json(prv_text_view(&script.steps[i].text));
			off_script_free(&script);
		}
	}
	free(text);
	return 0;
}
