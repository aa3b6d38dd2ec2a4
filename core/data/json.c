#include "core/data/json.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/mem.h"
#include "core/data/jpath.h"
#include "core/data/reader.h"

#define PRINT_MAX ((size_t)1 << 30)
#define PRINT_DEPTH 1000u

/* cJSON's memory is ours too, so that tests can count it and make it fail. Before main: no tree is older. */
__attribute__((constructor)) static void use_our_memory(void)
{
	cJSON_Hooks hooks = {.malloc_fn = oc_alloc, .free_fn = oc_free};
	cJSON_InitHooks(&hooks);
}

oc_status oc_json_parse(oc_str text, const oc_json_limits *limits, cJSON **ret, oc_err *err)
{
	return oc_read_json(text, limits, 0, NULL, ret, NULL, err);
}

oc_status oc_json_parse_in(oc_arena *arena, oc_str text, const oc_json_limits *limits, const cJSON **ret, oc_err *err)
{
	cJSON *tree = NULL;
	oc_status status = oc_read_json(text, limits, 0, arena, &tree, NULL, err);
	if (status == OC_OK)
		*ret = tree;
	return status;
}

oc_status oc_json_check(oc_str text, const oc_json_limits *limits, oc_err *err)
{
	return oc_read_json(text, limits, 0, NULL, NULL, NULL, err);
}

/* ---- Printing ---- */

static void print_whole(oc_sbuf *b, int64_t value)
{
	char text[OC_U64_CHARS + 1], *end = text;
	if (value < 0)
		*end++ = '-';
	end = oc_put_u64(end, value < 0 ? 0 - (uint64_t)value : (uint64_t)value);
	oc_sbuf_add(b, text, (size_t)(end - text));
}

/* The shortest text that reads back as the same number. */
static void print_number(oc_sbuf *b, double d)
{
	char text[32];
	if (!isfinite(d)) {
		oc_sbuf_z(b, "null");
		return;
	}
	if (d == floor(d) && fabs(d) < 1e15) {
		print_whole(b, (int64_t)d);
		return;
	}
	for (int digits = 15; digits <= 17; digits++) {
		snprintf(text, sizeof text, "%.*g", digits, d);
		if (strtod(text, NULL) == d)
			break;
	}
	for (char *p = text; *p != 0; p++)
		if (strchr("+-0123456789e", *p) == NULL)
			*p = '.'; /* the locale's decimal point */
	oc_sbuf_z(b, text);
}

/* indent 0: compact. */
static void print(oc_sbuf *b, const cJSON *node, unsigned indent, unsigned depth);

static void new_line(oc_sbuf *b, unsigned indent, unsigned depth)
{
	if (indent > 0)
		oc_sbuf_printf(b, "\n%*s", (int)(indent * depth), "");
}

static void print_children(oc_sbuf *b, const cJSON *node, unsigned indent, unsigned depth)
{
	bool object = cJSON_IsObject(node);
	oc_sbuf_char(b, object ? '{' : '[');
	for (const cJSON *child = node->child; child != NULL; child = child->next) {
		if (child != node->child)
			oc_sbuf_char(b, ',');
		new_line(b, indent, depth + 1);
		if (object) {
			oc_sbuf_json(b, oc_str_of(child->string == NULL ? "" : child->string));
			oc_sbuf_add(b, ": ", indent > 0 ? 2 : 1);
		}
		print(b, child, indent, depth + 1);
	}
	if (node->child != NULL)
		new_line(b, indent, depth);
	oc_sbuf_char(b, object ? '}' : ']');
}

static void print(oc_sbuf *b, const cJSON *node, unsigned indent, unsigned depth)
{
	if (b->error != OC_OK)
		return;
	if (depth > PRINT_DEPTH) {
		b->error = OC_E_LIMIT;
		return;
	}
	switch (node == NULL ? cJSON_NULL : node->type & 0xFF) {
	case cJSON_True:
		oc_sbuf_z(b, "true");
		break;
	case cJSON_False:
		oc_sbuf_z(b, "false");
		break;
	case cJSON_Number:
		if (node->valuestring != NULL) /* the reader's, where a double is not exact */
			oc_sbuf_z(b, node->valuestring);
		else
			print_number(b, node->valuedouble);
		break;
	case cJSON_String:
		oc_sbuf_json(b, oc_str_of(node->valuestring == NULL ? "" : node->valuestring));
		break;
	case cJSON_Raw:
		oc_sbuf_z(b, node->valuestring == NULL ? "null" : node->valuestring);
		break;
	case cJSON_Array:
	case cJSON_Object:
		print_children(b, node, indent, depth);
		break;
	default:
		oc_sbuf_z(b, "null");
	}
}

char *oc_json_print(const cJSON *node)
{
	oc_sbuf b;
	oc_sbuf_init(&b, PRINT_MAX);
	print(&b, node, 0, 0);
	return oc_sbuf_take(&b);
}

char *oc_json_print_pretty(const cJSON *node)
{
	oc_sbuf b;
	oc_sbuf_init(&b, PRINT_MAX);
	print(&b, node, 2, 0);
	return oc_sbuf_take(&b);
}

void oc_json_add_to(oc_sbuf *b, const cJSON *node)
{
	print(b, node, 0, 0);
}

/* ---- Reading ---- */

/* Configurations are asked some hundred times a turn: no calls for names that differ in the first letter. */
static const cJSON *member(const cJSON *obj, const char *name, size_t n)
{
	if (obj == NULL || (obj->type & 0xFF) != cJSON_Object)
		return NULL;
	for (const cJSON *c = obj->child; c != NULL; c = c->next)
		if (c->string != NULL && c->string[0] == name[0] && strncmp(c->string, name, n) == 0 && c->string[n] == 0)
			return c;
	return NULL;
}

const cJSON *oc_json_get(const cJSON *obj, const char *name)
{
	return member(obj, name, strlen(name));
}

const cJSON *oc_json_path(const cJSON *root, const char *path)
{
	oc_jpath it;
	const cJSON *at = root;
	const char *name = path;
	/* Nearly all are plain names. */
	for (size_t n = strcspn(name, ".[]\""); n > 0 && (name[n] == 0 || name[n] == '.'); n = strcspn(name, ".[]\"")) {
		at = member(at, name, n);
		if (name[n] == 0 || at == NULL)
			return at;
		name += n + 1;
	}
	oc_jpath_begin(&it, path);
	oc_status status;
	while ((status = oc_jpath_next(&it)) == OC_OK && root != NULL) {
		if (!it.is_index)
			root = oc_json_get(root, it.name);
		else
			root = cJSON_IsArray(root) && it.index <= 0x7fffffff ? cJSON_GetArrayItem(root, (int)it.index) : NULL;
	}
	return status == OC_E_NOT_FOUND ? root : NULL;
}

const char *oc_json_str(const cJSON *obj, const char *name, const char *fallback)
{
	const cJSON *item = oc_json_get(obj, name);
	return cJSON_IsString(item) && item->valuestring != NULL ? item->valuestring : fallback;
}

oc_str oc_json_ostr(const cJSON *obj, const char *name)
{
	return oc_str_of(oc_json_str(obj, name, ""));
}

int64_t oc_json_i64(const cJSON *obj, const char *name, int64_t fallback)
{
	const cJSON *item = oc_json_get(obj, name);
	/* The comparison is false for NaN. 2^63 is exact, INT64_MAX is not. */
	if (!cJSON_IsNumber(item) || !(item->valuedouble >= -9223372036854775808.0 && item->valuedouble < 9223372036854775808.0)
	    || item->valuedouble != trunc(item->valuedouble))
		return fallback;
	return (int64_t)item->valuedouble;
}

double oc_json_num(const cJSON *obj, const char *name, double fallback)
{
	const cJSON *item = oc_json_get(obj, name);
	return cJSON_IsNumber(item) ? item->valuedouble : fallback;
}

bool oc_json_bool(const cJSON *obj, const char *name, bool fallback)
{
	const cJSON *item = oc_json_get(obj, name);
	return cJSON_IsBool(item) ? cJSON_IsTrue(item) : fallback;
}

/* ---- Writing ---- */

bool oc_json_set(cJSON *obj, const char *name, cJSON *value)
{
	if (value == NULL)
		return false;
	bool done = oc_json_get(obj, name) != NULL ? cJSON_ReplaceItemInObjectCaseSensitive(obj, name, value)
						   : cJSON_IsObject(obj) && cJSON_AddItemToObject(obj, name, value);
	if (!done)
		cJSON_Delete(value);
	return done;
}

bool oc_json_set_str(cJSON *obj, const char *name, const char *value)
{
	return oc_json_set(obj, name, cJSON_CreateString(value));
}

bool oc_json_set_i64(cJSON *obj, const char *name, int64_t value)
{
	return oc_json_set(obj, name, cJSON_CreateNumber((double)value));
}

bool oc_json_set_bool(cJSON *obj, const char *name, bool value)
{
	return oc_json_set(obj, name, cJSON_CreateBool(value));
}

/* ---- Comparing ---- */

static bool equal(const cJSON *a, const cJSON *b, unsigned depth);

static size_t count(const cJSON *node)
{
	size_t n = 0;
	for (const cJSON *child = node->child; child != NULL; child = child->next)
		n++;
	return n;
}

/* Members are looked for from where the last one was found: the same order costs nothing. */
static bool equal_objects(const cJSON *a, const cJSON *b, unsigned depth)
{
	if (count(a) != count(b))
		return false;
	const cJSON *next = b->child;
	for (const cJSON *x = a->child; x != NULL; x = x->next) {
		const cJSON *y = next != NULL ? next : b->child, *from = y;
		while (strcmp(x->string, y->string) != 0) {
			y = y->next != NULL ? y->next : b->child;
			if (y == from)
				return false;
		}
		if (!equal(x, y, depth + 1))
			return false;
		next = y->next;
	}
	return true;
}

static bool equal(const cJSON *a, const cJSON *b, unsigned depth)
{
	if (a == NULL || b == NULL || depth > PRINT_DEPTH)
		return a == b;
	if ((a->type & 0xFF) != (b->type & 0xFF))
		return false;
	switch (a->type & 0xFF) {
	case cJSON_Number:
		return !(a->valuedouble < b->valuedouble) && !(a->valuedouble > b->valuedouble);
	case cJSON_String:
	case cJSON_Raw:
		return strcmp(a->valuestring, b->valuestring) == 0;
	case cJSON_Object:
		return equal_objects(a, b, depth);
	case cJSON_Array: {
		const cJSON *x = a->child, *y = b->child;
		for (; x != NULL && y != NULL; x = x->next, y = y->next)
			if (!equal(x, y, depth + 1))
				return false;
		return x == y;
	}
	default:
		return true;
	}
}

bool oc_json_insert(cJSON *array, int at, cJSON *item)
{
	cJSON *after = cJSON_GetArrayItem(array, at);
	if (array == NULL || item == NULL) {
		cJSON_Delete(item);
		return false;
	}
	if (after == NULL)
		return cJSON_AddItemToArray(array, item);
	item->next = after;
	item->prev = after->prev;
	after->prev = item;
	if (after == array->child)
		array->child = item;
	else
		item->prev->next = item;
	return true;
}

bool oc_json_has_str(const cJSON *array, const char *text)
{
	const cJSON *one;
	cJSON_ArrayForEach(one, array) if (cJSON_IsString(one) && strcmp(one->valuestring, text) == 0) return true;
	return false;
}

bool oc_json_names(const cJSON *array, const char *name)
{
	return oc_json_has_str(array, "*") || oc_json_has_str(array, name);
}

bool oc_json_equal(const cJSON *a, const cJSON *b)
{
	return equal(a, b, 0);
}

void oc_cleanup_json(cJSON **node)
{
	cJSON_Delete(*node);
	*node = NULL;
}
