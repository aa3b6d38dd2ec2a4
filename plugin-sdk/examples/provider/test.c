#include "module.c"
#include <openclaw/test.h>

#define REQUEST                                                                                                             \
	"{\"endpoint\":{\"baseUrl\":\"http://127.0.0.1:11434\"},\"model\":\"llama3.2\",\"system\":\"Be brief.\",\"messages\":[" \
	"{\"role\":\"user\",\"content\":[{\"type\":\"text\",\"text\":\"Say \\\"hi\\\"\"}]}]}"
#define URL "http://127.0.0.1:11434/api/chat"

int main(void)
{
	oct_host *h = oct_open(oc_module_v1(), "module.json", "{}");
	const oct_result *r;

	oct_http_answer(h, URL, 200, "{}", "{\"message\":{\"role\":\"assistant\",\"content\":\"H\\u00ef\"},\"done\":false}\n"
		"{\"message\":{\"content\":\"!\"},\"done\":true,\"done_reason\":\"stop\"}\n");
	oct_http_answer(h, URL, 404, "{}", "{\"error\":\"model not found\"}");
	oct_http_answer(h, URL, 200, "{}", "{\"message\":{\"content\":\"Half an\"}}\n");
	oct_http_fail(h, URL, OC_E_UNAVAILABLE, "connection refused");

	r = oct_chat(h, REQUEST);
	OCT_CHECK(r->status == OC_OK);
	OCT_EQUAL(oct_events(r, OC_EV_TEXT), "H\303\257!");
	OCT_EQUAL(oct_sent(h, OCT_HTTP, 0).body, "{\"model\":\"llama3.2\",\"messages\":["
		"{\"role\":\"system\",\"content\":\"Be brief.\"},{\"role\":\"user\",\"content\":\"Say \\\"hi\\\"\"}]}");
	r = oct_chat(h, REQUEST);
	OCT_CHECK(r->status == OC_E_INVALID);
	OCT_CONTAINS(r->text, "model not found");
	OCT_CHECK(oct_chat(h, REQUEST)->status == OC_E_PROTOCOL);
	OCT_CHECK(oct_chat(h, REQUEST)->status == OC_E_UNAVAILABLE);
	r = oct_chat_begin(h, REQUEST);
	oct_cancel(h, OC_KIND_PROVIDER, r);
	OCT_CHECK(r->done && r->status == OC_E_CANCELED);
	OCT_CHECK(oct_chat(h, "{}")->status != OC_OK);
	for (unsigned long n = 1; n < 3; n++) {
		oct_fail_alloc(h, n);
		OCT_CHECK(oct_chat(h, REQUEST)->status == OC_E_NOMEM);
	}
	oct_close(h);
	return oct_end();
}
