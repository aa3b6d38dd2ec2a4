/* Reads the table of keys (table.h): into JSON Schema, and directly for defaults. */
#include "core/config/table.h"

#include <stdlib.h>
#include <string.h>

#include "core/base/mem.h"
#include "core/config/config.h"
#include "core/data/jpath.h"

#define MAX_LEVEL 12u

struct line {
	unsigned level;
	oc_str name, type, low, high, value, about;
	bool has_range, unit, minor, required, none;
	oc_str bad; /* empty: none */
	oc_str none_but; /* empty: none */
};

static oc_str next_word(oc_str *rest)
{
	while (rest->n > 0 && rest->p[0] == ' ') {
		rest->p++;
		rest->n--;
	}
	size_t n = 0;
	bool quoted = false; /* blanks may stand in quotes */
	while (n < rest->n && (quoted || rest->p[n] != ' '))
		quoted ^= rest->p[n++] == '"';
	oc_str word = {rest->p, n};
	rest->p += n;
	rest->n -= n;
	return word;
}

/* Level and name only. */
static void read_head(oc_str text, struct line *l)
{
	*l = (struct line){0};
	while (l->level < text.n && text.p[l->level] == '\t')
		l->level++;
	size_t end = l->level;
	while (end < text.n && text.p[end] != ' ')
		end++;
	l->name = (oc_str){text.p + l->level, end - l->level};
}

/* The number of words is open, their order is not checked: the table is ours and tested as a whole. */
static struct line read_line(oc_str text)
{
	struct line l = {0};
	while (l.level < text.n && text.p[l.level] == '\t')
		l.level++;
	oc_str rest = {text.p + l.level, text.n - l.level};
	l.name = next_word(&rest);
	l.type = next_word(&rest);
	for (oc_str word = next_word(&rest); word.n > 0; word = next_word(&rest)) {
		if (word.p[0] == '#') {
			l.about = oc_str_trim(rest);
			break;
		}
		const char *dots = memmem(word.p, word.n, "..", 2);
		if (word.p[0] == '=') {
			l.value = (oc_str){word.p + 1, word.n - 1};
		} else if (oc_str_starts(word, "!bad=")) {
			l.bad = (oc_str){word.p + 5, word.n - 5};
		} else if (oc_str_starts(word, "!none")) {
			l.none = true;
			l.none_but = word.n > 6 ? (oc_str){word.p + 6, word.n - 6} : OC_STR_NONE;
		} else if (oc_str_eqz(word, "!unit")) {
			l.unit = true;
		} else if (oc_str_eqz(word, "!minor")) {
			l.minor = true;
		} else if (oc_str_eqz(word, "!required")) {
			l.required = true;
		} else if (dots != NULL) {
			l.has_range = true;
			l.low = (oc_str){word.p, (size_t)(dots - word.p)};
			l.high = (oc_str){dots + 2, word.n - l.low.n - 2};
		}
	}
	return l;
}

/* ---- Into JSON Schema ---- */

struct builder {
	bool no_memory;
};

/* Given the value that is to be checked, only the keys that it has are built, which is most of the time of starting. */

static cJSON *keep(struct builder *b, cJSON *node)
{
	b->no_memory |= node == NULL;
	return node;
}

static void put(struct builder *b, cJSON *object, const char *name, cJSON *value)
{
	if (value == NULL || object == NULL || !cJSON_AddItemToObject(object, name, value)) {
		cJSON_Delete(value);
		b->no_memory = true;
	}
}

static void put_str(struct builder *b, cJSON *object, const char *name, oc_str value)
{
	oc_auto_free char *copy = oc_memdup(value.p, value.n);
	put(b, object, name, copy == NULL ? NULL : cJSON_CreateString(copy));
}

static void put_json(struct builder *b, cJSON *object, const char *name, oc_str text)
{
	cJSON *value = NULL;
	if (oc_json_parse(text, NULL, &value, NULL) != OC_OK)
		b->no_memory = true; /* the table is tested: it is right */
	put(b, object, name, value);
}

static void push_str(struct builder *b, cJSON *array, oc_str value)
{
	oc_auto_free char *copy = oc_memdup(value.p, value.n);
	cJSON *node = copy == NULL ? NULL : cJSON_CreateString(copy);
	if (node == NULL || array == NULL || !cJSON_AddItemToArray(array, node)) {
		cJSON_Delete(node);
		b->no_memory = true;
	}
}

static cJSON *push_object(struct builder *b, cJSON *array)
{
	cJSON *node = cJSON_CreateObject();
	if (node == NULL || array == NULL || !cJSON_AddItemToArray(array, node)) {
		cJSON_Delete(node);
		b->no_memory = true;
		return NULL;
	}
	return node;
}

static bool is_type(oc_str word)
{
	static const char *const types[] = {"string", "integer", "number", "boolean", "object", "null"};
	for (size_t i = 0; i < sizeof types / sizeof *types; i++)
		if (oc_str_eqz(word, types[i]))
			return true;
	return false;
}

/* {"enum":[…]} and {"type":…} for a type expression, under the node. */
static void put_type(struct builder *b, cJSON *node, oc_str type)
{
	if (oc_str_ends(type, "[]")) {
		type.n -= 2;
		if (type.n >= 2 && type.p[0] == '(')
			type = (oc_str){type.p + 1, type.n - 2};
		cJSON *items = keep(b, cJSON_CreateObject());
		if (items != NULL)
			put_type(b, items, type);
		put(b, node, "type", cJSON_CreateString("array"));
		put(b, node, "items", items);
		return;
	}
	if (oc_str_eqz(type, "any"))
		return;
	bool secret = oc_str_eqz(type, "secret");
	if (secret) {
		type = oc_str_of("string|object");
		put(b, node, "sensitive", cJSON_CreateTrue());
	}
	cJSON *types = keep(b, cJSON_CreateArray()), *words = keep(b, cJSON_CreateArray());
	for (oc_str rest = type; rest.p != NULL;) {
		oc_str word = oc_str_cut(&rest, '|');
		if (word.n > 0 && word.p[0] == '"')
			push_str(b, words, (oc_str){word.p + 1, word.n - 2});
		else
			push_str(b, is_type(word) ? types : words, word);
	}
	bool has_types = types != NULL && types->child != NULL, has_words = words != NULL && words->child != NULL;
	cJSON *types_node = node, *words_node = node;
	if (has_types && has_words) {
		cJSON *any = keep(b, cJSON_CreateArray());
		types_node = push_object(b, any);
		words_node = push_object(b, any);
		put(b, node, "anyOf", any);
	}
	if (b->no_memory) {
		cJSON_Delete(types);
		cJSON_Delete(words);
		return;
	}
	if (has_types && types->child->next == NULL) {
		put(b, types_node, "type", cJSON_DetachItemFromArray(types, 0));
		cJSON_Delete(types);
	} else if (has_types) {
		put(b, types_node, "type", types);
	} else {
		cJSON_Delete(types);
	}
	if (has_words)
		put(b, words_node, "enum", words);
	else
		cJSON_Delete(words);
}

static void put_bound(struct builder *b, cJSON *node, const char *name, oc_str number)
{
	char text[32];
	if (number.n == 0 || number.n >= sizeof text)
		return;
	memcpy(text, number.p, number.n);
	text[number.n] = 0;
	put(b, node, name, cJSON_CreateNumber(strtod(text, NULL)));
}

static void put_children(struct builder *b, cJSON *node, const char *body, const cJSON *value);

static const oc_config_section *fragment(oc_str name)
{
	const oc_config_section *f = oc_config_fragments;
	while (f->head != NULL && !(oc_str_starts(oc_str_of(f->head), "") && strncmp(f->head, name.p, name.n) == 0
				    && f->head[name.n] == ' '))
		f++;
	return f->head == NULL ? NULL : f;
}

/* The schema of one key without its children. */
static cJSON *node_of(struct builder *b, const struct line *l, const cJSON *value)
{
	cJSON *node = keep(b, cJSON_CreateObject());
	if (node == NULL)
		return NULL;
	if (l->about.n > 0)
		put_str(b, node, "description", l->about);
	oc_str bad = l->bad;
	if (l->type.n > 0 && l->type.p[0] == '@') {
		const oc_config_section *f = fragment((oc_str){l->type.p + 1, l->type.n - 1});
		struct line head = read_line(oc_str_of(f == NULL ? "" : f->head));
		put_type(b, node, head.type);
		put_children(b, node, f == NULL ? "" : f->body, value);
		bad = bad.n > 0 ? bad : head.bad;
	} else {
		put_type(b, node, l->type);
	}
	if (l->has_range) {
		put_bound(b, node, "minimum", l->low);
		put_bound(b, node, "maximum", l->high);
	}
	if (l->value.n > 0)
		put_json(b, node, "default", l->value);
	if (l->unit)
		put(b, node, "x-unit", cJSON_CreateTrue());
	if (l->minor)
		put(b, node, "x-minor", cJSON_CreateTrue());
	if (l->none_but.n > 0)
		put_json(b, node, "x-no-effect-but", l->none_but);
	if (l->none)
		put(b, node, "x-no-effect", cJSON_CreateTrue());
	if (bad.n > 0)
		put_json(b, node, "x-bad", bad);
	return node;
}

static const cJSON *member(const cJSON *object, oc_str name)
{
	const cJSON *child = cJSON_IsObject(object) ? object->child : NULL;
	while (child != NULL && !oc_str_eqz(name, child->string))
		child = child->next;
	return child;
}

/* An object whose keys are listed has no others, until * says otherwise. */
static void close_object(struct builder *b, cJSON *object)
{
	if (oc_json_get(object, "additionalProperties") == NULL)
		put(b, object, "additionalProperties", cJSON_CreateFalse());
}

static void attach(struct builder *b, cJSON *parent, const struct line *l, cJSON *node)
{
	if (oc_str_eqz(l->name, "[]")) {
		cJSON_DeleteItemFromObjectCaseSensitive(parent, "items");
		put(b, parent, "items", node);
		return;
	}
	close_object(b, parent);
	if (oc_str_eqz(l->name, "*")) {
		if (node != NULL && oc_str_eqz(l->type, "any") && l->about.n == 0 && !l->none) {
			cJSON_Delete(node);
			node = keep(b, cJSON_CreateTrue());
		}
		cJSON_DeleteItemFromObjectCaseSensitive(parent, "additionalProperties");
		put(b, parent, "additionalProperties", node);
		return;
	}
	cJSON *properties = cJSON_GetObjectItemCaseSensitive(parent, "properties");
	if (properties == NULL) {
		properties = keep(b, cJSON_CreateObject());
		put(b, parent, "properties", properties);
	}
	if (b->no_memory) {
		cJSON_Delete(node);
		return;
	}
	oc_auto_free char *name = oc_memdup(l->name.p, l->name.n);
	put(b, properties, name == NULL ? "" : name, node);
	if (!l->required)
		return;
	cJSON *required = cJSON_GetObjectItemCaseSensitive(parent, "required");
	if (required == NULL) {
		required = keep(b, cJSON_CreateArray());
		put(b, parent, "required", required);
	}
	if (!b->no_memory)
		push_str(b, required, l->name);
}

static void put_children(struct builder *b, cJSON *node, const char *body, const cJSON *value)
{
	cJSON *parents[MAX_LEVEL + 1] = {node};
	const cJSON *values[MAX_LEVEL + 1] = {value}; /* NULL: build all */
	unsigned hidden = MAX_LEVEL;
	oc_str rest = oc_str_of(body);
	while (rest.p != NULL && rest.n > 0 && !b->no_memory) {
		struct line l;
		oc_str text = oc_str_cut(&rest, '\n');
		read_head(text, &l);
		if (l.level > hidden || l.level >= MAX_LEVEL)
			continue;
		hidden = MAX_LEVEL;
		bool plain = l.name.p[0] != '*' && l.name.p[0] != '[';
		const cJSON *outer = plain ? values[l.level] : NULL, *inner = outer == NULL ? NULL : member(outer, l.name);
		if (outer != NULL && inner == NULL && memmem(text.p, text.n, "!required", 9) == NULL) {
			hidden = l.level;
			close_object(b, parents[l.level]);
			continue;
		}
		l = read_line(text);
		cJSON *child = node_of(b, &l, inner);
		attach(b, parents[l.level], &l, child);
		parents[l.level + 1] = child;
		values[l.level + 1] = inner;
	}
}

static const oc_config_section *find_section(const char *name)
{
	size_t n = strlen(name);
	for (size_t i = 0; i < oc_config_section_count; i++)
		if (strncmp(oc_config_sections[i].head, name, n) == 0 && oc_config_sections[i].head[n] == ' ')
			return &oc_config_sections[i];
	return NULL;
}

bool oc_config_section_known(const char *name)
{
	return find_section(name) != NULL;
}

static cJSON *section_schema(const oc_config_section *section, const cJSON *value)
{
	struct builder b = {0};
	struct line l = read_line(oc_str_of(section->head));
	cJSON *node = node_of(&b, &l, value);
	if (node != NULL)
		put_children(&b, node, section->body, value);
	if (b.no_memory) {
		cJSON_Delete(node);
		return NULL;
	}
	return node;
}

cJSON *oc_config_section_schema(const char *name, const cJSON *value)
{
	const oc_config_section *section = find_section(name);
	return section == NULL ? NULL : section_schema(section, value);
}

const char *oc_config_section_nearest(const char *wrong, char *out, size_t size)
{
	char names[128][32];
	const char *list[128];
	size_t n = 0;
	for (size_t i = 0; i < oc_config_section_count && n < 128; i++) {
		struct line l = read_line(oc_str_of(oc_config_sections[i].head));
		if (l.name.n >= sizeof names[0])
			continue;
		memcpy(names[n], l.name.p, l.name.n);
		names[n][l.name.n] = 0;
		list[n] = names[n];
		n++;
	}
	const char *near = oc_str_nearest(wrong, list, n);
	if (near == NULL || strlen(near) >= size)
		return NULL;
	memcpy(out, near, strlen(near) + 1);
	return out;
}

cJSON *oc_config_schema(void)
{
	struct builder b = {0};
	cJSON *root = keep(&b, cJSON_CreateObject()), *properties = keep(&b, cJSON_CreateObject());
	put(&b, root, "$schema", cJSON_CreateString("http://json-schema.org/draft-07/schema#"));
	put(&b, root, "title", cJSON_CreateString("OpenClaw configuration"));
	put(&b, root, "type", cJSON_CreateString("object"));
	put(&b, root, "properties", properties);
	for (size_t i = 0; i < oc_config_section_count && !b.no_memory; i++) {
		struct line l = read_line(oc_str_of(oc_config_sections[i].head));
		oc_auto_free char *name = oc_memdup(l.name.p, l.name.n);
		put(&b, properties, name == NULL ? "" : name, section_schema(&oc_config_sections[i], NULL));
	}
	put(&b, root, "additionalProperties", cJSON_CreateFalse());
	if (b.no_memory) {
		cJSON_Delete(root);
		return NULL;
	}
	return root;
}

/* ---- Defaults ---- */

/* Sets names[0..n) below root to a default, making objects on the way; what is there, of whatever type, stays. */
static oc_status set_default(cJSON *root, const oc_str *names, size_t n, oc_str text)
{
	cJSON *at = root;
	for (size_t i = 0; i < n; i++) {
		oc_auto_free char *name = oc_memdup(names[i].p, names[i].n);
		if (name == NULL)
			return OC_E_NOMEM;
		if (!cJSON_IsObject(at))
			return OC_OK;
		cJSON *next = cJSON_GetObjectItemCaseSensitive(at, name);
		if (next == NULL) {
			if (i + 1 < n)
				next = cJSON_CreateObject();
			else if (oc_json_parse(text, NULL, &next, NULL) != OC_OK)
				next = NULL;
			if (next == NULL || !cJSON_AddItemToObject(at, name, next)) {
				cJSON_Delete(next);
				return OC_E_NOMEM;
			}
		}
		at = next;
	}
	return OC_OK;
}

static oc_status fill_section(cJSON *root, const oc_config_section *section)
{
	oc_str names[MAX_LEVEL + 2];
	names[0] = read_line(oc_str_of(section->head)).name;
	unsigned hidden = MAX_LEVEL; /* lines deeper than this are below * or [] */
	oc_str rest = oc_str_of(section->body);
	oc_status status = OC_OK;
	while (rest.p != NULL && rest.n > 0 && status == OC_OK) {
		oc_str text = oc_str_cut(&rest, '\n');
		struct line l;
		read_head(text, &l);
		if (l.level > hidden || l.level >= MAX_LEVEL)
			continue;
		hidden = oc_str_eqz(l.name, "*") || oc_str_eqz(l.name, "[]") ? l.level : MAX_LEVEL;
		names[l.level + 1] = l.name;
		if (hidden != MAX_LEVEL || memmem(text.p, text.n, " =", 2) == NULL)
			continue;
		l = read_line(text);
		if (l.value.n > 0)
			status = set_default(root, names, l.level + 2, l.value);
	}
	return status;
}

oc_status oc_config_fill_defaults(cJSON *root)
{
	oc_status status = OC_OK;
	for (size_t i = 0; i < oc_config_section_count && status == OC_OK; i++)
		if (strstr(oc_config_sections[i].body, " =") != NULL)
			status = fill_section(root, &oc_config_sections[i]);
	return status;
}

/* ---- What an error costs ---- */

static const cJSON *step_into(const cJSON *schema, const oc_jpath *step)
{
	if (step->is_index)
		return oc_json_get(schema, "items");
	const cJSON *known = oc_json_get(oc_json_get(schema, "properties"), step->name);
	return known != NULL ? known : oc_json_get(schema, "additionalProperties");
}

oc_config_cost oc_config_cost_of(const cJSON *schema, const char *path)
{
	oc_config_cost cost = {0};
	oc_jpath it;
	oc_jpath_begin(&it, path);
	size_t steps = 0;
	bool whole = true; /* the value alone, as long as nothing else is decided */
	while (oc_jpath_next(&it) == OC_OK) {
		steps++;
		if (steps > 1 && schema != NULL)
			schema = step_into(schema, &it);
		const cJSON *bad = oc_json_get(schema, "x-bad");
		if (bad != NULL || oc_json_bool(schema, "x-unit", false)) {
			cost = (oc_config_cost){steps, bad};
			whole = false;
		} else if (oc_json_bool(schema, "x-minor", false)) {
			whole = true;
		}
	}
	return whole ? (oc_config_cost){steps, NULL} : cost;
}

cJSON *oc_config_default_of(const cJSON *schema, const char *path)
{
	oc_jpath it;
	oc_jpath_begin(&it, path);
	if (oc_jpath_next(&it) != OC_OK)
		return NULL;
	while (schema != NULL && oc_jpath_next(&it) == OC_OK)
		schema = step_into(schema, &it);
	const cJSON *own = oc_json_get(schema, "default");
	return own == NULL ? NULL : cJSON_Duplicate(own, true);
}
