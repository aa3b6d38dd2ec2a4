#include "module.c"
#include <openclaw/test.h>

int main(void)
{
	oct_host *h = oct_open(oc_module_v1(), "module.json", "{\"mask\":\"***\"}");

	OCT_EQUAL(oct_hook(h, "agentResponse", "{\"text\":\"pay with 4111 1111 1111 1111, \\\"now\\\"\"}")->text,
		  "{\"text\":\"pay with ***, \\\"now\\\"\"}");
	OCT_EQUAL(oct_hook(h, "agentResponse", "{\"text\":\"order 4111 1111 1111 1112\"}")->text, "{}");
	OCT_EQUAL(oct_hook(h, "agentResponse", "{}")->text, "{}");
	for (unsigned long n = 1; n < 4; n++) { /* without memory nothing gets out */
		oct_fail_alloc(h, n);
		OCT_CONTAINS(oct_hook(h, "agentResponse", "{\"text\":\"4111111111111111\"}")->text, "withhold");
	}
	oct_close(h);
	return oct_end();
}
