#include "module.c"
#include <openclaw/test.h>

int main(void)
{
	FILE *f = fopen("ledger.test", "w");
	char config[1100], folder[1000];

	(void)fputs("The plumber is called Rossi.\nMinka likes \"fish\".\nThe plumber comes on Mondays.\n", f);
	(void)fclose(f);
	(void)snprintf(config, sizeof(config), "{\"file\":\"%s/ledger.test\"}", getcwd(folder, sizeof(folder)));
	oct_host *h = oct_open(oc_module_v1(), "module.json", config);

	const oct_result *r = oct_memory_search(h, "{\"query\":\"which plumber?\",\"maxResults\":5,\"minScore\":0.3}");
	OCT_CONTAINS(r->text, "{\"path\":\"ledger\",\"startLine\":3,\"endLine\":3,\"score\":0.50,\"snippet\":\"The plumber comes on Mondays.\"},");
	OCT_CONTAINS(r->text, "Rossi");
	r = oct_memory_search(h, "{\"query\":\"plumber fish\",\"maxResults\":1}");
	OCT_CONTAINS(r->text, "Mondays");
	OCT_EQUAL(oct_memory_search(h, "{\"query\":\"zebra\",\"maxResults\":5}")->text, "{\"results\":[]}");
	OCT_EQUAL(oct_memory_get(h, "{\"path\":\"ledger\"}")->text, "{\"path\":\"ledger\",\"text\":\"The plumber is called Rossi.\\u000aMinka likes \\\"fish\\\".\\u000aThe plumber comes on Mondays.\\u000a\"}");
	OCT_CHECK(oct_memory_get(h, "{\"path\":\"/etc/passwd\"}")->status == OC_E_DENIED);
	(void)remove("ledger.test");
	OCT_CHECK(oct_memory_get(h, "{\"path\":\"ledger\"}")->status == OC_E_IO);
	oct_fail_alloc(h, 1);
	OCT_CHECK(oct_memory_search(h, "{\"query\":\"x\"}")->status == OC_E_NOMEM);
	oct_close(h);
	return oct_end();
}
