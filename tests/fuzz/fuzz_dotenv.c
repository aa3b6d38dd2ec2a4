/*
 * Any text as a .env file: every variable has a name and a value that environments can carry, names come once, mistakes are
 * few and say their line; what is written back as NAME="value" is read as the same.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/mem.h"
#include "core/config/internal.h"
#include "core/data/utf8.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define SIZE_MOST ((size_t)64 << 10) /* what a .env may have is 1 MiB; nothing new happens above this */

static oc_config *read_text(oc_str text)
{
	oc_config *c = oc_config_new("/nonexistent/openclaw.json");
	if (c == NULL || oc_config_read_dotenv(c, "/nonexistent/.env", text) != OC_OK)
		abort();
	return c;
}

static void check(const oc_config *c)
{
	if (c->n_problems > 30)
		abort();
	for (size_t i = 0; i < c->n_problems; i++)
		if (strstr(c->problems[i].shown.message, "line ") == NULL)
			abort();
	for (size_t i = 0; i < c->n_vars; i++) {
		const char *name = c->vars[i].name;
		if (name[0] == 0 || strpbrk(name, "= \t\n\"'#$") != NULL || !oc_utf8_valid(oc_str_of(c->vars[i].value)))
			abort();
		for (size_t k = 0; k < i; k++)
			if (strcmp(name, c->vars[k].name) == 0)
				abort();
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	if (size > SIZE_MOST)
		return 0;
	oc_config *c = read_text((oc_str){(const char *)data, size});
	check(c);
	oc_sbuf b;
	oc_sbuf_init(&b, 4 * SIZE_MOST);
	for (size_t i = 0; i < c->n_vars; i++) {
		oc_sbuf_printf(&b, "%s=\"", c->vars[i].name);
		for (const char *p = c->vars[i].value; *p != 0; p++) {
			if (*p == '"' || *p == '\\')
				oc_sbuf_char(&b, '\\');
			oc_sbuf_char(&b, *p);
		}
		oc_sbuf_z(&b, "\"\n");
	}
	if (b.error == OC_OK) {
		oc_config *again = read_text(oc_sbuf_view(&b));
		if (again->n_vars != c->n_vars || again->n_problems > 0)
			abort();
		for (size_t i = 0; i < c->n_vars; i++)
			if (strcmp(again->vars[i].name, c->vars[i].name) != 0 || strcmp(again->vars[i].value, c->vars[i].value) != 0)
				abort();
		oc_config_unref(again);
	}
	oc_sbuf_free(&b);
	oc_config_unref(c);
	return 0;
}
