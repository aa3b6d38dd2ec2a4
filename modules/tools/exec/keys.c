/* See keys.h. */
#include "keys.h"

#include <string.h>
#include <strings.h>

static const struct {
	const char *name, *bytes;
} named[] = {
	{"Enter", "\r"},        {"Return", "\r"},      {"Tab", "\t"},          {"Escape", "\x1b"},    {"Esc", "\x1b"},
	{"Space", " "},         {"BSpace", "\x7f"},    {"Backspace", "\x7f"},  {"Up", "\x1b[A"},      {"Down", "\x1b[B"},
	{"Right", "\x1b[C"},    {"Left", "\x1b[D"},    {"Home", "\x1b[1~"},    {"End", "\x1b[4~"},    {"PageUp", "\x1b[5~"},
	{"PgUp", "\x1b[5~"},    {"PageDown", "\x1b[6~"}, {"PgDn", "\x1b[6~"},  {"Insert", "\x1b[2~"}, {"IC", "\x1b[2~"},
	{"Delete", "\x1b[3~"},  {"DC", "\x1b[3~"},     {"BTab", "\x1b[Z"},     {"F1", "\x1bOP"},      {"F2", "\x1bOQ"},
	{"F3", "\x1bOR"},       {"F4", "\x1bOS"},      {"F5", "\x1b[15~"},     {"F6", "\x1b[17~"},    {"F7", "\x1b[18~"},
	{"F8", "\x1b[19~"},     {"F9", "\x1b[20~"},    {"F10", "\x1b[21~"},    {"F11", "\x1b[23~"},   {"F12", "\x1b[24~"},
};

static const char *find(const char *name)
{
	for (size_t i = 0; i < sizeof(named) / sizeof(named[0]); i++)
		if (strcasecmp(named[i].name, name) == 0)
			return named[i].bytes;
	return NULL;
}

/* The control character of a letter or one of @[\]^_? and space; -1 for others. */
static int control_of(char c)
{
	if (c >= 'a' && c <= 'z')
		return c - 'a' + 1;
	if (c >= '@' && c <= '_')
		return c - '@';
	return c == ' ' ? 0 : c == '?' ? 0x7f : -1;
}

bool ex_keys_add(const char *key, tk_text *out)
{
	const char *bytes = find(key);
	bool control = false, alt = false;
	int code;

	while (bytes == NULL && key[0] != 0 && key[1] == '-' && key[2] != 0 && strchr("CcMm", key[0]) != NULL) {
		control = control || key[0] == 'C' || key[0] == 'c';
		alt = alt || key[0] == 'M' || key[0] == 'm';
		key += 2;
		bytes = find(key);
	}
	if (bytes == NULL && key[0] == '^' && key[1] != 0 && key[2] == 0) {
		control = true;
		key++;
	}
	if (alt)
		tk_text_char(out, '\x1b');
	if (!control) {
		tk_text_z(out, bytes != NULL ? bytes : key);
		return true;
	}
	code = key[0] != 0 && key[1] == 0 ? control_of(key[0]) : -1;
	if (code < 0)
		return false;
	tk_text_char(out, (char)code);
	return true;
}

static int digit(char c)
{
	return c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

bool ex_keys_hex(const char *hex, tk_text *out)
{
	size_t before = out->n;

	while (*hex != 0) {
		if (*hex == ' ' || *hex == ',') {
			hex++;
			continue;
		}
		if (hex[0] == '0' && (hex[1] == 'x' || hex[1] == 'X'))
			hex += 2;
		if (digit(hex[0]) < 0 || digit(hex[1]) < 0)
			return false;
		tk_text_char(out, (char)(digit(hex[0]) * 16 + digit(hex[1])));
		hex += 2;
	}
	return out->n > before;
}
