/* See tk.h. */
#include "tk.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define RESULT_MAX ((size_t)48 * 1024 * 1024)

/* ---- Text ---- */

void tk_text_init(tk_text *t, size_t max)
{
	*t = (tk_text){.max = max};
}

void tk_text_free(tk_text *t)
{
	free(t->p);
	tk_text_init(t, t->max);
}

void tk_text_clear(tk_text *t)
{
	t->n = 0;
	t->failed = false;
	if (t->p != NULL)
		t->p[0] = 0;
}

static bool reserve(tk_text *t, size_t n)
{
	size_t cap = t->cap < 128 ? 128 : t->cap;
	char *p;

	if (t->failed || n > t->max || t->n > t->max - n) {
		t->failed = true;
		return false;
	}
	if (t->p != NULL && t->n + n < t->cap)
		return true;
	while (cap <= t->n + n)
		cap *= 2;
	p = realloc(t->p, cap);
	if (p == NULL) {
		t->failed = true;
		return false;
	}
	t->p = p;
	t->cap = cap;
	return true;
}

void tk_text_add(tk_text *t, const char *p, size_t n)
{
	if (n == 0 || !reserve(t, n))
		return;
	memcpy(t->p + t->n, p, n);
	t->n += n;
	t->p[t->n] = 0;
}

void tk_text_z(tk_text *t, const char *s)
{
	tk_text_add(t, s, strlen(s));
}

void tk_text_char(tk_text *t, char c)
{
	tk_text_add(t, &c, 1);
}

void tk_text_printf(tk_text *t, const char *format, ...)
{
	va_list list;
	int n;

	va_start(list, format);
	n = vsnprintf(NULL, 0, format, list);
	va_end(list);
	if (n <= 0 || !reserve(t, (size_t)n))
		return;
	va_start(list, format);
	(void)vsnprintf(t->p + t->n, (size_t)n + 1, format, list);
	va_end(list);
	t->n += (size_t)n;
}

void tk_text_rune(tk_text *t, uint32_t r)
{
	char out[4];
	size_t n;

	if (r > 0x10ffff || (r >= 0xd800 && r <= 0xdfff) || r == 0)
		r = 0xfffd;
	if (r < 0x80) {
		out[0] = (char)r;
		n = 1;
	} else if (r < 0x800) {
		out[0] = (char)(0xc0 | r >> 6);
		out[1] = (char)(0x80 | (r & 0x3f));
		n = 2;
	} else if (r < 0x10000) {
		out[0] = (char)(0xe0 | r >> 12);
		out[1] = (char)(0x80 | (r >> 6 & 0x3f));
		out[2] = (char)(0x80 | (r & 0x3f));
		n = 3;
	} else {
		out[0] = (char)(0xf0 | r >> 18);
		out[1] = (char)(0x80 | (r >> 12 & 0x3f));
		out[2] = (char)(0x80 | (r >> 6 & 0x3f));
		out[3] = (char)(0x80 | (r & 0x3f));
		n = 4;
	}
	tk_text_add(t, out, n);
}

void tk_text_cut(tk_text *t, size_t n)
{
	if (n >= t->n)
		return;
	t->n = n;
	t->p[n] = 0;
}

oc_str tk_text_view(const tk_text *t)
{
	return (oc_str){t->p != NULL ? t->p : "", t->n};
}

/* ---- UTF-8 ---- */

size_t tk_utf8(const char *text, size_t n, uint32_t *ret_rune)
{
	const unsigned char *p = (const unsigned char *)text;
	uint32_t r;
	size_t len;

	if (n == 0)
		return 0;
	len = p[0] < 0x80 ? 1 : p[0] >= 0xc2 && p[0] < 0xe0 ? 2 : p[0] >= 0xe0 && p[0] < 0xf0 ? 3 : p[0] >= 0xf0 && p[0] < 0xf5 ? 4 : 0;
	if (len == 0 || len > n)
		return 0;
	r = len == 1 ? p[0] : p[0] & (0xffu >> (len + 1));
	for (size_t i = 1; i < len; i++) {
		if ((p[i] & 0xc0) != 0x80)
			return 0;
		r = r << 6 | (p[i] & 0x3fu);
	}
	if ((len == 3 && r < 0x800) || (len == 4 && (r < 0x10000 || r > 0x10ffff)) || (r >= 0xd800 && r <= 0xdfff))
		return 0;
	if (ret_rune != NULL)
		*ret_rune = r;
	return len;
}

static bool inside(char c)
{
	return ((unsigned char)c & 0xc0) == 0x80;
}

size_t tk_utf8_cut(const char *p, size_t n, size_t max)
{
	size_t at = max < n ? max : n;

	for (int i = 0; i < 3 && at > 0 && at < n && inside(p[at]); i++)
		at--;
	return at;
}

size_t tk_utf8_from(const char *p, size_t n, size_t at)
{
	for (int i = 0; i < 3 && at < n && inside(p[at]); i++)
		at++;
	return at;
}

void tk_text_valid(tk_text *t, const char *p, size_t n)
{
	size_t from = 0, at = 0;

	while (at < n) {
		size_t len = p[at] == 0 ? 0 : tk_utf8(p + at, n - at, NULL);

		if (len > 0) {
			at += len;
			continue;
		}
		tk_text_add(t, p + from, at - from);
		tk_text_z(t, "\xef\xbf\xbd");
		from = ++at;
	}
	tk_text_add(t, p + from, at - from);
}

/* ---- Arguments ---- */

const char *tk_str(const cJSON *args, const char *name, const char *fallback)
{
	const cJSON *v = cJSON_GetObjectItemCaseSensitive(args, name);

	return cJSON_IsString(v) ? v->valuestring : fallback;
}

double tk_num(const cJSON *args, const char *name, double fallback)
{
	const cJSON *v = cJSON_GetObjectItemCaseSensitive(args, name);

	return cJSON_IsNumber(v) ? v->valuedouble : fallback;
}

bool tk_bool(const cJSON *args, const char *name, bool fallback)
{
	const cJSON *v = cJSON_GetObjectItemCaseSensitive(args, name);

	return cJSON_IsBool(v) ? cJSON_IsTrue(v) != 0 : fallback;
}

int64_t tk_int(const cJSON *args, const char *name, int64_t fallback, int64_t min, int64_t max)
{
	const cJSON *v = cJSON_GetObjectItemCaseSensitive(args, name);

	if (!cJSON_IsNumber(v) || v->valuedouble != v->valuedouble)
		return fallback;
	if (v->valuedouble <= (double)min)
		return min;
	if (v->valuedouble >= (double)max)
		return max;
	return (int64_t)v->valuedouble;
}

cJSON *tk_parse(oc_str json)
{
	cJSON *v = cJSON_ParseWithLength(json.n > 0 ? json.p : "{}", json.n > 0 ? json.n : 2);

	if (v != NULL && !cJSON_IsObject(v)) {
		cJSON_Delete(v);
		v = NULL;
	}
	return v;
}

/* ---- Results ---- */

static void append(tk_text *out, const char *name, cJSON *value)
{
	char *text = value != NULL ? cJSON_PrintUnformatted(value) : NULL;

	if (text == NULL && value != NULL)
		out->failed = true;
	if (text != NULL) {
		tk_text_printf(out, ",\"%s\":", name);
		tk_text_z(out, text);
		cJSON_free(text);
	}
	cJSON_Delete(value);
}

void tk_done_content(const oc_host_api *host, oc_call *call, cJSON *content, bool is_error, cJSON *details)
{
	tk_text out;

	tk_text_init(&out, RESULT_MAX);
	tk_text_printf(&out, "{\"isError\":%s", is_error ? "true" : "false");
	if (content == NULL)
		out.failed = true;
	append(&out, "content", content);
	append(&out, "details", details);
	tk_text_char(&out, '}');
	if (out.failed)
		host->call_done(call, OC_E_NOMEM, OC_STR("the tool's result is too big or there is no memory for it"));
	else
		host->call_done(call, OC_OK, tk_text_view(&out));
	tk_text_free(&out);
}

void tk_done(const oc_host_api *host, oc_call *call, oc_str text, bool is_error, cJSON *details)
{
	cJSON *content = cJSON_CreateArray(), *item = cJSON_CreateObject();
	tk_text valid;
	bool ok;

	tk_text_init(&valid, RESULT_MAX);
	tk_text_valid(&valid, text.p, text.n);
	ok = content != NULL && item != NULL && !valid.failed && cJSON_AddStringToObject(item, "type", "text") != NULL
	     && cJSON_AddStringToObject(item, "text", tk_text_view(&valid).p) != NULL && cJSON_AddItemToArray(content, item);
	tk_text_free(&valid);
	if (!ok) {
		cJSON_Delete(item);
		cJSON_Delete(content);
		content = NULL;
	}
	tk_done_content(host, call, content, is_error, details);
}

void tk_done_printf(const oc_host_api *host, oc_call *call, bool is_error, const char *format, ...)
{
	char text[2048];
	va_list list;
	int n;

	va_start(list, format);
	n = vsnprintf(text, sizeof(text), format, list);
	va_end(list);
	tk_done(host, call, (oc_str){text, n < 0 ? 0 : (size_t)n < sizeof(text) ? (size_t)n : sizeof(text) - 1}, is_error, NULL);
}
