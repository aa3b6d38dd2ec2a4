#include "module.c"
#include <openclaw/test.h>

int main(void)
{
	oct_host *h = oct_open(oc_module_v1(), "module.json", "{\"maxBytes\":10}");

	OCT_CONTAINS(oct_events(oct_http(h, "GET", "/notes/a", "{}", ""), OC_EV_HTTP_HEAD), "404");
	OCT_CONTAINS(oct_events(oct_http(h, "PUT", "/notes/a", "{}", "milk"), OC_EV_HTTP_HEAD), "204");
	OCT_EQUAL(oct_kv(h, "a"), "milk");
	OCT_EQUAL(oct_events(oct_http(h, "GET", "/notes/a", "{}", ""), OC_EV_HTTP_BODY), "milk");
	OCT_CONTAINS(oct_events(oct_http(h, "PUT", "/notes/a", "{}", "far too long"), OC_EV_HTTP_HEAD), "413");
	OCT_CONTAINS(oct_events(oct_http(h, "POST", "/notes/a", "{}", ""), OC_EV_HTTP_HEAD), "405");
	OCT_CONTAINS(oct_events(oct_http(h, "DELETE", "/notes/a", "{}", ""), OC_EV_HTTP_HEAD), "204");
	OCT_CONTAINS(oct_events(oct_http(h, "GET", "/notes/a", "{}", ""), OC_EV_HTTP_HEAD), "404");
	OCT_CONTAINS(oct_events(oct_http(h, "GET", "/notes", "{}", ""), OC_EV_HTTP_HEAD), "404");
	oct_fail_alloc(h, 1);
	OCT_CONTAINS(oct_events(oct_http(h, "PUT", "/notes/a", "{}", "x"), OC_EV_HTTP_HEAD), "503");
	oct_close(h);
	return oct_end();
}
