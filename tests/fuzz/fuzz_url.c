/* URLs: what was taken is normal (parsing it again changes nothing), and no path climbs. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/mem.h"
#include "core/net/ssrf.h"
#include "core/net/url.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void one_url(oc_str text)
{
	static oc_url *base;
	oc_url *url = NULL, *twice = NULL, *resolved = NULL;
	oc_err err = {0};

	if (base == NULL && oc_url_parse(OC_STR("https://h.example/a/b/c?q"), &base, NULL) != OC_OK)
		abort();
	if (oc_url_resolve(base, text, &resolved, &err) == OC_OK)
		(void)oc_ssrf_check_url(resolved, &err);
	oc_url_free(resolved);
	if (oc_url_parse(text, &url, &err) != OC_OK) {
		if (err.text[0] == 0)
			abort();
		return;
	}
	if (strlen(url->text) <= OC_URL_MAX) {
		if (oc_url_parse(oc_str_of(url->text), &twice, &err) != OC_OK || strcmp(url->text, twice->text) != 0)
			abort();
		if (!oc_url_same_origin(url, twice) || url->is_ip != twice->is_ip)
			abort();
	}
	if (url->path[0] != '/' || strstr(url->path, "/../") != NULL || strpbrk(url->text, " \r\n\\") != NULL)
		abort();
	oc_url_free(twice);
	oc_url_free(url);
}

static void one_path(oc_str raw)
{
	char *out = malloc(raw.n + 2);
	size_t n = 0;

	if (out != NULL && oc_url_path_decode(raw, out, &n) == OC_OK) {
		if (n != strlen(out) || out[0] != '/' || strstr(out, "//") != NULL || strstr(out, "/../") != NULL
		    || strstr(out, "/./") != NULL || (n >= 3 && strcmp(out + n - 3, "/..") == 0))
			abort();
	}
	free(out);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char *text = oc_memdup(data, size);

	if (text == NULL)
		return 0;
	one_url(oc_str_make(text, size));
	one_path(oc_str_make(text, size));
	oc_free(text);
	return 0;
}
