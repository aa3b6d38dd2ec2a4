#include "web_json.h"

#include <string.h>

static void new_line(tk_text *out, size_t depth)
{
	tk_text_char(out, '\n');
	for (size_t i = 0; i < depth && i < 40; i++)
		tk_text_z(out, "  ");
}

static size_t string_length(const char *p, size_t n)
{
	for (size_t i = 1; i < n; i++) {
		if (p[i] == '\\')
			i++;
		else if (p[i] == '"')
			return i + 1;
	}
	return n;
}

void web_json_pretty(tk_text *out, const char *p, size_t n)
{
	size_t depth = 0;

	for (size_t i = 0; i < n;) {
		size_t len = p[i] == '"' ? string_length(p + i, n - i) : 1, next = i + 1;

		while (next < n && strchr(" \t\r\n", p[next]) != NULL && p[next] != 0)
			next++;
		if (p[i] == '"') {
			tk_text_add(out, p + i, len);
		} else if ((p[i] == '{' || p[i] == '[') && next < n && p[next] == p[i] + 2) {
			tk_text_add(out, p[i] == '{' ? "{}" : "[]", 2); /* ('}' and ']' come two after '{' and '[') */
			len = next + 1 - i;
		} else if (p[i] == '{' || p[i] == '[') {
			tk_text_char(out, p[i]);
			new_line(out, ++depth);
		} else if (p[i] == '}' || p[i] == ']') {
			depth -= depth > 0;
			new_line(out, depth);
			tk_text_char(out, p[i]);
		} else if (p[i] == ',') {
			tk_text_char(out, ',');
			new_line(out, depth);
		} else if (p[i] == ':') {
			tk_text_z(out, ": ");
		} else if (strchr(" \t\r\n", p[i]) == NULL) {
			tk_text_char(out, p[i]);
		}
		i += len;
	}
}
