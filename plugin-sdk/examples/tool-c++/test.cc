#include "module.cc"
#include <openclaw/test.h>

int main()
{
	oct_host *h = oct_open(oc_module_v1(), "module.json", "{}");
	const oct_result *r = oct_tool(h, "wordcount", "{\"text\":\"To be or\\nnot to be\"}");

	OCT_CHECK(r->status == OC_OK);
	OCT_CONTAINS(r->text, "6 words, 2 lines, 18 bytes; most frequent: be (2), to (2), not (1)");
	OCT_CONTAINS(oct_tool(h, "wordcount", "{\"text\":\"\"}")->text, "0 words");
	oct_close(h);
	return oct_end();
}
