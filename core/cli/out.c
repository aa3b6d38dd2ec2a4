/* What commands print: errors with remedies, JSON, colour, tables. */
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/base/mem.h"
#include "core/cli/cli.h"

static bool colour(void)
{
	static int known; /* 1 yes, 2 no */
	const char *no = getenv("NO_COLOR"), *term = getenv("TERM");
	if (known == 0)
		known = isatty(1) && (term == NULL || strcmp(term, "dumb") != 0) ? 1 : 2;
	return known == 1 && (no == NULL || no[0] == 0);
}

const char *oc_bold(void)
{
	return colour() ? "\033[1m" : "";
}

const char *oc_dim(void)
{
	return colour() ? "\033[2m" : "";
}

const char *oc_red(void)
{
	return colour() ? "\033[31m" : "";
}

const char *oc_green(void)
{
	return colour() ? "\033[32m" : "";
}

const char *oc_yellow(void)
{
	return colour() ? "\033[33m" : "";
}

const char *oc_plain(void)
{
	return colour() ? "\033[0m" : "";
}

int oc_cli_fail(const oc_err *err)
{
	fflush(stdout);
	fprintf(stderr, "openclaw: %s\n", err->text[0] != 0 ? err->text : oc_status_text(err->code));
	if (err->remedy[0] != 0)
		fprintf(stderr, "  -> %s\n", err->remedy);
	return OC_EXIT_FAILED;
}

bool oc_cli_agreed(const oc_args *args, const char *refused, const char *format, ...)
{
	char answer[16] = "";
	va_list list;
	if (oc_arg_flag(args, "yes"))
		return true;
	if (!isatty(0)) {
		fprintf(stderr, "openclaw: %s\n  -> say --yes\n", refused);
		return false;
	}
	va_start(list, format);
	vprintf(format, list);
	va_end(list);
	fputs(" [y/N] ", stdout);
	fflush(stdout);
	return fgets(answer, sizeof answer, stdin) != NULL && (answer[0] == 'y' || answer[0] == 'Y');
}

int oc_cli_print_json(cJSON *tree)
{
	char *text = oc_json_print_pretty(tree);
	cJSON_Delete(tree);
	if (text == NULL) {
		fputs("openclaw: out of memory\n", stderr);
		return OC_EXIT_FAILED;
	}
	puts(text);
	oc_free(text);
	return OC_EXIT_OK;
}

/* How many bytes at p are a control character; 0: none. */
static size_t control_at(const char *p, const char *end)
{
	unsigned char c = (unsigned char)p[0], next = p + 1 < end ? (unsigned char)p[1] : 0;
	if (c < 0x20 || c == 0x7f)
		return 1;
	return c == 0xc2 && next >= 0x80 && next <= 0x9f ? 2 : 0;
}

void oc_cli_text(FILE *out, oc_str text, size_t max, bool one_line)
{
	size_t n = 0;
	for (const char *p = text.p, *end = p + text.n; p < end;) {
		bool begins = ((unsigned char)*p & 0xc0) != 0x80;
		if (begins && n++ >= max) {
			fputs("…", out);
			return;
		}
		size_t control = control_at(p, end);
		fputc(control == 0 || (!one_line && (*p == '\n' || *p == '\t')) ? *p : ' ', out);
		p += control > 1 ? control : 1;
	}
}

cJSON *oc_cli_clean(cJSON *tree)
{
	char *p = cJSON_IsString(tree) ? tree->valuestring : NULL;
	for (const char *end = p != NULL ? p + strlen(p) : NULL; p != NULL && p < end;) {
		size_t n = control_at(p, end);
		memset(p, ' ', n);
		p += n > 0 ? n : 1;
	}
	for (cJSON *child = tree != NULL ? tree->child : NULL; child != NULL; child = child->next)
		oc_cli_clean(child);
	return tree;
}

struct oc_table {
	size_t n_columns, n_rows, cap;
	char **cells; /* row by row, the heads first */
};

/* Terminal columns, taking every code point for one (wide characters make a row a little longer, no more). */
static int width(const char *s)
{
	int w = 0;
	for (; *s != 0; s++)
		if (((unsigned char)*s & 0xC0) != 0x80 && *s != '\033')
			w++;
		else if (*s == '\033')
			while (s[1] != 0 && *s != 'm')
				s++;
	return w;
}

oc_table *oc_table_new(const char *const *heads, size_t n_columns)
{
	oc_table *table = oc_alloc(sizeof *table);
	if (table == NULL)
		return NULL;
	table->n_columns = n_columns;
	oc_table_row(table, heads);
	return table;
}

void oc_table_row(oc_table *table, const char *const *cells)
{
	if (table == NULL)
		return;
	if (table->n_rows == table->cap) {
		size_t cap = table->cap == 0 ? 16 : table->cap * 2;
		char **more = oc_realloc(table->cells, cap * table->n_columns * sizeof *more);
		if (more == NULL)
			return;
		table->cells = more;
		table->cap = cap;
	}
	for (size_t i = 0; i < table->n_columns; i++)
		table->cells[table->n_rows * table->n_columns + i] = oc_strdup(cells[i] != NULL ? cells[i] : "");
	table->n_rows++;
}

void oc_table_print(oc_table *table, FILE *out)
{
	if (table == NULL)
		return;
	for (size_t r = 0; r < table->n_rows; r++) {
		char **row = table->cells + r * table->n_columns;
		if (r == 0)
			fputs(oc_bold(), out);
		for (size_t c = 0; c < table->n_columns; c++) {
			const char *cell = row[c] != NULL ? row[c] : "";
			int w = 0;
			for (size_t k = 0; k < table->n_rows; k++) {
				const char *other = table->cells[k * table->n_columns + c];
				if (other != NULL && width(other) > w)
					w = width(other);
			}
			bool last = c + 1 == table->n_columns;
			fprintf(out, "%s%*s", cell, last ? 0 : w - width(cell) + 2, "");
		}
		fputs(r == 0 ? oc_plain() : "", out);
		fputc('\n', out);
	}
	for (size_t i = 0; i < table->n_rows * table->n_columns; i++)
		oc_free(table->cells[i]);
	oc_free(table->cells);
	oc_free(table);
}
