#include "module.c"
#include <openclaw/test.h>

int main(void)
{
	char folder_path[] = "/tmp/folder-XXXXXX", config[100];

	OCT_CHECK(mkdtemp(folder_path) != NULL);
	(void)snprintf(config, sizeof(config), "{\"path\":\"%s\"}", folder_path);
	oct_host *h = oct_open(oc_module_v1(), "module.json", config);

	OCT_CHECK(oct_storage_put(h, "a/one", "first")->status == OC_OK);
	OCT_CHECK(oct_storage_put(h, "a/two", "")->status == OC_OK);
	OCT_CHECK(oct_storage_put(h, "b/one", "other")->status == OC_OK);
	OCT_CHECK(oct_storage_put(h, "a/one", "second")->status == OC_OK);
	OCT_EQUAL(oct_storage_get(h, "a/one")->text, "second");
	OCT_EQUAL(oct_storage_get(h, "a/two")->text, "");
	OCT_CHECK(oct_storage_get(h, "a/three")->status == OC_E_NOT_FOUND);
	OCT_EQUAL(oct_storage_list(h, "{\"prefix\":\"a/\",\"limit\":1}")->text, "{\"objects\":[{\"name\":\"a/one\"}],\"more\":true}");
	OCT_EQUAL(oct_storage_list(h, "{\"prefix\":\"a/\",\"after\":\"a/one\",\"limit\":9}")->text,
		  "{\"objects\":[{\"name\":\"a/two\"}],\"more\":false}");
	OCT_CHECK(oct_storage_remove(h, "a/one")->status == OC_OK && oct_storage_remove(h, "a/one")->status == OC_OK);
	OCT_CHECK(oct_storage_remove(h, "a/two")->status == OC_OK && oct_storage_remove(h, "b/one")->status == OC_OK);
	oct_fail_alloc(h, 1);
	OCT_CHECK(oct_storage_get(h, "a/one")->status == OC_E_NOMEM);
	(void)rmdir(folder_path);
	OCT_CHECK(oct_storage_put(h, "a/one", "x")->status == OC_E_IO);
	oct_close(h);
	return oct_end();
}
