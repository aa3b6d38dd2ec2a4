#include "module.c"
#include <openclaw/test.h>

int main(void)
{
	oct_host *h = oct_open(oc_module_v1(), "module.json", "{\"digits\":1}");
	const oct_result *r = oct_tool(h, "convert_units", "{\"value\":100,\"from\":\"km\",\"to\":\"mi\"}");

	OCT_CHECK(r->status == OC_OK);
	OCT_CONTAINS(r->text, "62.1 mi");
	OCT_CONTAINS(oct_tool(h, "convert_units", "{\"value\":212,\"from\":\"F\",\"to\":\"C\"}")->text, "100.0 C");
	OCT_CONTAINS(oct_tool(h, "convert_units", "{\"value\":1,\"from\":\"kg\",\"to\":\"mi\"}")->text, "\"isError\":true");
	oct_close(h);
	return oct_end();
}
