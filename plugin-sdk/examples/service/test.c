#include "module.c"
#include <openclaw/test.h>

int main(void)
{
	oct_host *h = oct_open(oc_module_v1(), "module.json", "{}");

	OCT_EQUAL(oct_service(h, "get", "{\"name\":\"coffee\"}")->text, "{\"value\":0}");
	OCT_EQUAL(oct_service(h, "add", "{\"name\":\"coffee\"}")->text, "{\"value\":1}");
	OCT_EQUAL(oct_service(h, "add", "{\"name\":\"coffee\",\"by\":-3}")->text, "{\"value\":-2}");
	OCT_EQUAL(oct_kv(h, "coffee"), "-2");
	OCT_CHECK(oct_service(h, "add", "{\"name\":\"coffee\",\"by\":\"x\"}")->status == OC_E_INVALID);
	OCT_CHECK(oct_service(h, "add", "{}")->status == OC_E_INVALID);
	OCT_CHECK(oct_service(h, "drop", "{\"name\":\"coffee\"}")->status == OC_E_NOT_FOUND);
	oct_fail_alloc(h, 2);
	OCT_CHECK(oct_service(h, "add", "{\"name\":\"coffee\"}")->status == OC_E_NOMEM);
	oct_close(h);
	return oct_end();
}
