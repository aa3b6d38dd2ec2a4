/* Fuzz target: a fetched page, from bytes to Markdown. The first byte chooses mode, size and encoding. */
#include <stdint.h>
#include <stdlib.h>

#include "web_charset.h"
#include "web_html.h"
#include "web_json.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const char *const types[] = {"", "text/html; charset=iso-8859-1", "text/html; charset=shift_jis", "charset=iso-2022-jp"};
	tk_text utf8, pretty;
	web_page page;
	bool cut;
	if (size < 1 || size > 100000)
		return 0;
	tk_text_init(&utf8, 1u << 20);
	web_to_utf8(&utf8, (const char *)data + 1, size - 1, types[data[0] >> 3 & 3]);
	size_t max = (data[0] & 4) != 0 ? 20 : 50000;
	if (!utf8.failed
	    && web_html_read(utf8.p != NULL ? utf8.p : "", utf8.n, "https://a.example/b/c", (data[0] & 1) != 0, max, &page, &cut)) {
		for (size_t i = 0, n; i < page.body.n; i += n)
			if ((n = tk_utf8(page.body.p + i, page.body.n - i, NULL)) == 0)
				abort(); /* what goes into JSON must be UTF-8 */
		web_page_free(&page);
	}
	tk_text_init(&pretty, 8u << 20);
	web_json_pretty(&pretty, utf8.p != NULL ? utf8.p : "", utf8.n);
	tk_text_free(&pretty);
	tk_text_free(&utf8);
	return 0;
}
