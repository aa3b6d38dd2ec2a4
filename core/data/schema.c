#include "core/data/schema.h"

#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "core/base/mem.h"
#include "core/data/jpath.h"
#include "core/data/regex.h"
#include "core/data/schema_internal.h"
#include "core/data/utf8.h"

#define MAX_STEPS 5000000u
#define MAX_REGEXES 64u

struct check {
	const cJSON *root;
	oc_schema_report *report;
	void *arg;
	oc_sbuf path;
	unsigned depth, silent;
	size_t steps;
	bool stop;	  /* the receiver has heard enough, or a limit is reached */
	oc_status status; /* OC_E_LIMIT, OC_E_NOMEM; OC_E_INVALID when something was reported */
	struct {
		const char *pattern;
		oc_regex *regex; /* NULL: cannot be compiled */
	} regexes[MAX_REGEXES];
	size_t n_regexes;
};

static bool check(struct check *c, const cJSON *schema, const cJSON *value);

/* ---- Small parts ---- */

static bool is_integer(const cJSON *value)
{
	return cJSON_IsNumber(value) && value->valuedouble == floor(value->valuedouble);
}

static bool has_type(const cJSON *value, const char *type)
{
	switch (type[0]) {
	case 's':
		return cJSON_IsString(value);
	case 'n':
		return strcmp(type, "null") == 0 ? cJSON_IsNull(value) : cJSON_IsNumber(value);
	case 'i':
		return is_integer(value);
	case 'b':
		return cJSON_IsBool(value);
	case 'a':
		return cJSON_IsArray(value);
	case 'o':
		return cJSON_IsObject(value);
	default:
		return false;
	}
}

const char *oc_schema_type_text(const char *type)
{
	static const struct {
		const char *type, *text;
	} rows[] = {{"string", "a string"}, {"number", "a number"},  {"integer", "a whole number"}, {"boolean", "true or false"},
		    {"array", "a list"},    {"object", "an object"}, {"null", "null"}};
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
		if (strcmp(type, rows[i].type) == 0)
			return rows[i].text;
	return NULL;
}

static const char *type_name(const char *type)
{
	const char *text = oc_schema_type_text(type);
	return text == NULL ? "of an unknown type" : text;
}

static const char *kind_text(const cJSON *value)
{
	if (cJSON_IsString(value))
		return "a string";
	if (cJSON_IsNumber(value))
		return "a number";
	if (cJSON_IsBool(value))
		return cJSON_IsTrue(value) ? "true" : "false";
	return cJSON_IsArray(value) ? "a list" : cJSON_IsObject(value) ? "an object" : "null";
}

static size_t count(const cJSON *container)
{
	size_t n = 0;
	for (const cJSON *child = container->child; child != NULL; child = child->next)
		n++;
	return n;
}

/* Always false, so that checks can end with it. */
static bool broken(struct check *c, const cJSON *schema, const cJSON *value, const char *keyword, const char *format, ...)
	__attribute__((format(printf, 5, 6)));

static bool broken(struct check *c, const cJSON *schema, const cJSON *value, const char *keyword, const char *format, ...)
{
	if (c->silent > 0 || c->stop)
		return false;
	char message[400];
	va_list args;
	va_start(args, format);
	int wanted = vsnprintf(message, sizeof message, format, args);
	va_end(args);
	if (wanted >= (int)sizeof message)
		message[oc_utf8_cut((oc_str){message, sizeof message - 1}, sizeof message - 2)] = 0;
	oc_schema_issue issue = {oc_sbuf_view(&c->path).p, keyword, message, schema, value};
	if (c->status == OC_OK)
		c->status = OC_E_INVALID;
	if (!c->report(c->arg, &issue))
		c->stop = true;
	return false;
}

static bool give_up(struct check *c, oc_status status)
{
	c->stop = true;
	if (c->status == OC_OK || c->status == OC_E_INVALID)
		c->status = status;
	return false;
}

/* ---- $ref and patterns ---- */

static int hex_digit(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	c = (char)(c | 0x20);
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* One step of a JSON pointer, unescaped (~0, ~1 and %XX). */
static bool pointer_step(oc_str part, char *out, size_t size)
{
	size_t n = 0;
	for (size_t i = 0; i < part.n; i++) {
		char c = part.p[i];
		if (c == '~' && i + 1 < part.n && (part.p[i + 1] == '0' || part.p[i + 1] == '1')) {
			c = part.p[++i] == '0' ? '~' : '/';
		} else if (c == '%' && i + 2 < part.n) {
			int high = hex_digit(part.p[i + 1]), low = hex_digit(part.p[i + 2]);
			if (high >= 0 && low >= 0 && high + low > 0) {
				c = (char)(high * 16 + low);
				i += 2;
			}
		}
		if (n + 1 >= size)
			return false;
		out[n++] = c;
	}
	out[n] = 0;
	return true;
}

const cJSON *oc_schema_resolve(const cJSON *root, const char *ref)
{
	if (ref[0] != '#' || (ref[1] != 0 && ref[1] != '/'))
		return NULL;
	const cJSON *node = root;
	oc_str rest = ref[1] == 0 ? (oc_str){NULL, 0} : oc_str_of(ref + 2);
	while (rest.p != NULL && node != NULL) {
		char name[256];
		int64_t index;
		oc_str part = oc_str_cut(&rest, '/');
		if (!pointer_step(part, name, sizeof name))
			return NULL;
		if (cJSON_IsArray(node))
			node = oc_str_i64(part, 0, 100000, &index) == OC_OK ? cJSON_GetArrayItem(node, (int)index) : NULL;
		else
			node = oc_json_get(node, name);
	}
	return cJSON_IsObject(node) || cJSON_IsBool(node) ? node : NULL;
}

/* A pattern that cannot be compiled matches everything: the schema's author is told by oc_schema_valid. */
static bool matches_pattern(struct check *c, const char *pattern, const char *text)
{
	size_t i = 0;
	while (i < c->n_regexes && c->regexes[i].pattern != pattern)
		i++;
	oc_regex *regex = NULL;
	if (i < c->n_regexes) {
		regex = c->regexes[i].regex;
	} else {
		if (c->n_regexes == MAX_REGEXES)
			return give_up(c, OC_E_LIMIT);
		if (oc_regex_new(oc_str_of(pattern), 0, &regex, NULL) == OC_E_NOMEM)
			return give_up(c, OC_E_NOMEM);
		c->regexes[c->n_regexes].pattern = pattern;
		c->regexes[c->n_regexes++].regex = regex;
	}
	if (regex == NULL)
		return true;
	oc_status status = oc_regex_match(regex, oc_str_of(text));
	if (status == OC_E_NOMEM || status == OC_E_LIMIT)
		return give_up(c, status);
	return status == OC_OK;
}

/* ---- Paths ---- */

static bool check_member(struct check *c, const cJSON *schema, const cJSON *member)
{
	size_t before = c->path.n;
	oc_jpath_add_name(&c->path, member->string);
	bool good = check(c, schema, member);
	c->path.n = before;
	if (c->path.p != NULL)
		c->path.p[before] = 0;
	return good;
}

static bool check_element(struct check *c, const cJSON *schema, const cJSON *element, size_t index)
{
	size_t before = c->path.n;
	oc_jpath_add_index(&c->path, index);
	bool good = check(c, schema, element);
	c->path.n = before;
	if (c->path.p != NULL)
		c->path.p[before] = 0;
	return good;
}

static bool matches(struct check *c, const cJSON *schema, const cJSON *value)
{
	c->silent++;
	bool good = check(c, schema, value);
	c->silent--;
	return good && !c->stop;
}

/* ---- Any value ---- */

static bool check_type(struct check *c, const cJSON *schema, const cJSON *type, const cJSON *value)
{
	if (cJSON_IsString(type)) {
		if (has_type(value, type->valuestring))
			return true;
		const char *shown = is_integer(value) || !cJSON_IsNumber(value) || type->valuestring[0] != 'i'
					    ? kind_text(value)
					    : "a fraction";
		return broken(c, schema, value, "type", "must be %s, is %s", type_name(type->valuestring), shown);
	}
	oc_sbuf names;
	oc_sbuf_init(&names, 200);
	const cJSON *one;
	cJSON_ArrayForEach(one, type)
	{
		if (!cJSON_IsString(one) || has_type(value, one->valuestring)) {
			oc_sbuf_free(&names);
			return true;
		}
		oc_sbuf_printf(&names, "%s%s", one == type->child ? "" : " or ", type_name(one->valuestring));
	}
	broken(c, schema, value, "type", "must be %s, is %s", oc_sbuf_view(&names).p, kind_text(value));
	oc_sbuf_free(&names);
	return false;
}

/* Appends `"a", "b" or "c"`, cut when there are many. */
static void add_choices(oc_sbuf *b, const cJSON *list)
{
	size_t n = count(list), i = 0;
	const cJSON *one;
	cJSON_ArrayForEach(one, list)
	{
		if (i > 0)
			oc_sbuf_z(b, i + 1 == n ? " or " : ", ");
		if (i++ == 12) {
			oc_sbuf_printf(b, "%zu others", n - 12);
			break;
		}
		oc_json_add_to(b, one);
	}
}

static bool check_enum(struct check *c, const cJSON *schema, const cJSON *list, const cJSON *value)
{
	const char *names[64];
	size_t n = 0;
	const cJSON *one;
	cJSON_ArrayForEach(one, list)
	{
		c->steps++;
		if (oc_json_equal(one, value))
			return true;
		if (cJSON_IsString(one) && n < 64)
			names[n++] = one->valuestring;
	}
	oc_sbuf text;
	oc_sbuf_init(&text, 300);
	add_choices(&text, list);
	const char *near = cJSON_IsString(value) ? oc_str_nearest(value->valuestring, names, n) : NULL;
	if (!cJSON_IsString(value))
		broken(c, schema, value, "enum", "must be %s, is %s", oc_sbuf_view(&text).p, kind_text(value));
	else
		broken(c, schema, value, "enum", "must be %s, is \"%.*s\"%s%s%s", oc_sbuf_view(&text).p,
		       (int)oc_utf8_cut(oc_str_of(value->valuestring), 40), value->valuestring,
		       near == NULL ? "" : "; did you mean \"", near == NULL ? "" : near, near == NULL ? "" : "\"?");
	oc_sbuf_free(&text);
	return false;
}

static bool check_const(struct check *c, const cJSON *schema, const cJSON *constant, const cJSON *value)
{
	if (oc_json_equal(constant, value))
		return true;
	oc_sbuf text;
	oc_sbuf_init(&text, 300);
	oc_json_add_to(&text, constant);
	broken(c, schema, value, "const", "must be %s", oc_sbuf_view(&text).p);
	oc_sbuf_free(&text);
	return false;
}

/* ---- Numbers and strings ---- */

static bool check_number(struct check *c, const cJSON *schema, const cJSON *value)
{
	double v = value->valuedouble;
	const cJSON *k = oc_json_get(schema, "minimum");
	bool good = true;
	if (cJSON_IsNumber(k) && v < k->valuedouble)
		good = broken(c, schema, value, "minimum", "must be at least %.15g, is %.15g", k->valuedouble, v);
	k = oc_json_get(schema, "maximum");
	if (cJSON_IsNumber(k) && v > k->valuedouble)
		good = broken(c, schema, value, "maximum", "must be at most %.15g, is %.15g", k->valuedouble, v);
	k = oc_json_get(schema, "exclusiveMinimum");
	if (cJSON_IsNumber(k) && v <= k->valuedouble)
		good = broken(c, schema, value, "exclusiveMinimum", "must be more than %.15g, is %.15g", k->valuedouble, v);
	k = oc_json_get(schema, "exclusiveMaximum");
	if (cJSON_IsNumber(k) && v >= k->valuedouble)
		good = broken(c, schema, value, "exclusiveMaximum", "must be less than %.15g, is %.15g", k->valuedouble, v);
	k = oc_json_get(schema, "multipleOf");
	if (cJSON_IsNumber(k) && k->valuedouble > 0) {
		double times = v / k->valuedouble; /* 0.3 is a multiple of 0.1 for people */
		if (!(fabs(times - round(times)) <= 1e-9 * fmax(1, fabs(times))))
			good = broken(c, schema, value, "multipleOf", "must be a multiple of %.15g, is %.15g", k->valuedouble, v);
	}
	return good;
}

static bool check_string(struct check *c, const cJSON *schema, const cJSON *value)
{
	const cJSON *least = oc_json_get(schema, "minLength"), *most = oc_json_get(schema, "maxLength");
	const cJSON *pattern = oc_json_get(schema, "pattern");
	bool good = true;
	double n = least != NULL || most != NULL ? (double)oc_utf8_count(oc_str_of(value->valuestring)) : 0;
	if (cJSON_IsNumber(least) && n < least->valuedouble)
		good = n < 1 ? broken(c, schema, value, "minLength", "must not be empty")
			     : broken(c, schema, value, "minLength", "must have at least %.0f characters, has %.0f",
				      least->valuedouble, n);
	if (cJSON_IsNumber(most) && n > most->valuedouble)
		good = broken(c, schema, value, "maxLength", "must have at most %.0f characters, has %.0f", most->valuedouble, n);
	if (cJSON_IsString(pattern) && !matches_pattern(c, pattern->valuestring, value->valuestring))
		good = broken(c, schema, value, "pattern", "does not match the pattern %s", pattern->valuestring);
	return good;
}

/* ---- Lists ---- */

static bool check_items(struct check *c, const cJSON *schema, const cJSON *value)
{
	const cJSON *items = oc_json_get(schema, "items"), *rest = oc_json_get(schema, "additionalItems");
	const cJSON *prefix = oc_json_get(schema, "prefixItems");
	if (cJSON_IsArray(prefix)) /* what draft 2020-12 calls it */
		rest = items;
	else
		prefix = cJSON_IsArray(items) ? items : NULL;
	const cJSON *place = prefix == NULL ? NULL : prefix->child, *element;
	size_t i = 0;
	bool good = true;
	cJSON_ArrayForEach(element, value)
	{
		const cJSON *one = prefix == NULL ? items : place != NULL ? place : rest;
		place = place == NULL ? NULL : place->next;
		if (one != NULL)
			good = check_element(c, one, element, i) && good;
		if (c->stop)
			return false;
		i++;
	}
	return good;
}

static bool is_unique(struct check *c, const cJSON *value)
{
	for (const cJSON *a = value->child; a != NULL; a = a->next)
		for (const cJSON *b = value->child; b != a; b = b->next) {
			if (++c->steps > MAX_STEPS)
				return give_up(c, OC_E_LIMIT);
			if (oc_json_equal(a, b))
				return false;
		}
	return true;
}

static bool check_array(struct check *c, const cJSON *schema, const cJSON *value)
{
	double n = (double)count(value);
	const cJSON *k = oc_json_get(schema, "minItems");
	bool good = true;
	if (cJSON_IsNumber(k) && n < k->valuedouble)
		good = broken(c, schema, value, "minItems", "must have at least %.0f entries, has %.0f", k->valuedouble, n);
	k = oc_json_get(schema, "maxItems");
	if (cJSON_IsNumber(k) && n > k->valuedouble)
		good = broken(c, schema, value, "maxItems", "must have at most %.0f entries, has %.0f", k->valuedouble, n);
	if (oc_json_bool(schema, "uniqueItems", false) && !is_unique(c, value))
		good = broken(c, schema, value, "uniqueItems", "has the same entry twice");
	k = oc_json_get(schema, "contains");
	if (k != NULL) {
		const cJSON *element = value->child;
		while (element != NULL && !matches(c, k, element))
			element = element->next;
		if (element == NULL)
			good = broken(c, schema, value, "contains", "has no entry of the kind that is needed");
	}
	return check_items(c, schema, value) && good;
}

/* ---- Objects ---- */

/* A keyword whose value must be an object; schemas of strangers may have anything there. */
static const cJSON *map_of(const cJSON *schema, const char *keyword)
{
	const cJSON *map = oc_json_get(schema, keyword);
	return cJSON_IsObject(map) ? map : NULL;
}

static bool unknown_member(struct check *c, const cJSON *schema, const cJSON *properties, const cJSON *member)
{
	const char *names[256];
	size_t n = 0;
	const cJSON *one;
	cJSON_ArrayForEach(one, properties) if (n < 256) names[n++] = one->string;
	const char *near = oc_str_nearest(member->string, names, n);
	size_t before = c->path.n;
	oc_jpath_add_name(&c->path, member->string);
	broken(c, schema, member, "additionalProperties", "is not known%s%s%s", near == NULL ? "" : "; did you mean \"",
	       near == NULL ? "" : near, near == NULL ? "" : "\"?");
	c->path.n = before;
	if (c->path.p != NULL)
		c->path.p[before] = 0;
	return false;
}

static bool check_members(struct check *c, const cJSON *schema, const cJSON *value)
{
	const cJSON *properties = map_of(schema, "properties"), *patterns = map_of(schema, "patternProperties");
	const cJSON *rest = oc_json_get(schema, "additionalProperties"), *names = oc_json_get(schema, "propertyNames");
	const cJSON *member, *one;
	bool good = true;
	cJSON_ArrayForEach(member, value)
	{
		const cJSON *known = oc_json_get(properties, member->string);
		bool covered = known != NULL;
		if (known != NULL)
			good = check_member(c, known, member) && good;
		cJSON_ArrayForEach(one, patterns) if (matches_pattern(c, one->string, member->string))
		{
			covered = true;
			good = check_member(c, one, member) && good;
		}
		if (!covered && cJSON_IsFalse(rest))
			good = unknown_member(c, schema, properties, member);
		else if (!covered && rest != NULL)
			good = check_member(c, rest, member) && good;
		if (names != NULL) {
			cJSON name = {.type = cJSON_String, .valuestring = member->string, .string = member->string};
			good = check_member(c, names, &name) && good;
		}
		if (c->stop)
			return false;
	}
	return good;
}

static bool check_dependencies(struct check *c, const cJSON *schema, const cJSON *value)
{
	const cJSON *one, *needed;
	bool good = true;
	cJSON_ArrayForEach(one, map_of(schema, "dependencies"))
	{
		if (oc_json_get(value, one->string) == NULL)
			continue;
		if (!cJSON_IsArray(one)) {
			good = check(c, one, value) && good;
			continue;
		}
		cJSON_ArrayForEach(needed, one) if (cJSON_IsString(needed) && oc_json_get(value, needed->valuestring) == NULL)
			good = broken(c, schema, value, "dependencies", "needs \"%s\" because \"%s\" is set", needed->valuestring,
				      one->string);
	}
	return good;
}

static bool check_object(struct check *c, const cJSON *schema, const cJSON *value)
{
	const cJSON *one, *k = oc_json_get(schema, "minProperties");
	double n = (double)count(value);
	bool good = true;
	cJSON_ArrayForEach(one, oc_json_get(schema, "required"))
	{
		if (cJSON_IsString(one) && oc_json_get(value, one->valuestring) == NULL)
			good = broken(c, schema, value, "required", "needs \"%s\"", one->valuestring);
	}
	if (cJSON_IsNumber(k) && n < k->valuedouble)
		good = broken(c, schema, value, "minProperties", "must have at least %.0f members, has %.0f", k->valuedouble, n);
	k = oc_json_get(schema, "maxProperties");
	if (cJSON_IsNumber(k) && n > k->valuedouble)
		good = broken(c, schema, value, "maxProperties", "must have at most %.0f members, has %.0f", k->valuedouble, n);
	good = check_members(c, schema, value) && good;
	return check_dependencies(c, schema, value) && good;
}

/* ---- Schemas of schemas ---- */

/* May a value of this type satisfy the schema, as far as its type, enum and const tell? */
static bool type_fits(struct check *c, const cJSON *schema, const cJSON *value)
{
	const char *ref = oc_json_str(schema, "$ref", NULL);
	if (ref != NULL)
		schema = oc_schema_resolve(c->root, ref);
	const cJSON *type = oc_json_get(schema, "type"), *one;
	if (oc_json_get(schema, "const") != NULL)
		return oc_json_equal(oc_json_get(schema, "const"), value);
	if (cJSON_IsString(type))
		return has_type(value, type->valuestring);
	cJSON_ArrayForEach(one, type) if (cJSON_IsString(one) && has_type(value, one->valuestring)) return true;
	return type == NULL && cJSON_IsObject(schema);
}

/* Appends what the alternative asks for, in a few words; false when there are none for it. */
static bool describe(struct check *c, const cJSON *schema, oc_sbuf *b)
{
	const char *ref = oc_json_str(schema, "$ref", NULL);
	if (ref != NULL)
		schema = oc_schema_resolve(c->root, ref);
	const cJSON *constant = oc_json_get(schema, "const"), *list = oc_json_get(schema, "enum");
	const char *type = oc_json_str(schema, "type", NULL);
	if (constant == NULL && list == NULL && type == NULL)
		return false;
	if (b->n > 0)
		oc_sbuf_z(b, " or ");
	if (constant != NULL)
		oc_json_add_to(b, constant);
	else if (list != NULL)
		add_choices(b, list);
	else
		oc_sbuf_z(b, type_name(type));
	return true;
}

/* None of the alternatives fits: when just one has the value's type its failures are the useful ones. */
static bool no_alternative(struct check *c, const cJSON *schema, const cJSON *list, const cJSON *value, const char *keyword)
{
	const cJSON *one, *candidate = NULL;
	unsigned candidates = 0;
	cJSON_ArrayForEach(one, list) if (type_fits(c, one, value))
	{
		candidate = one;
		candidates++;
	}
	if (candidates == 1 && oc_json_get(candidate, "enum") == NULL && oc_json_get(candidate, "const") == NULL)
		return check(c, candidate, value);
	oc_sbuf text;
	oc_sbuf_init(&text, 300);
	bool described = true;
	cJSON_ArrayForEach(one, list) described = described && describe(c, one, &text);
	if (described && text.error == OC_OK)
		broken(c, schema, value, keyword, "must be %s, is %s", oc_sbuf_view(&text).p, kind_text(value));
	else
		broken(c, schema, value, keyword, "fits none of the allowed forms");
	oc_sbuf_free(&text);
	return false;
}

static bool check_combined(struct check *c, const cJSON *schema, const cJSON *value)
{
	const cJSON *one, *list = oc_json_get(schema, "allOf");
	bool good = true;
	cJSON_ArrayForEach(one, list) good = check(c, one, value) && good;
	list = oc_json_get(schema, "anyOf");
	if (cJSON_IsArray(list)) {
		for (one = list->child; one != NULL && !matches(c, one, value);)
			one = one->next;
		if (one == NULL && !c->stop)
			good = no_alternative(c, schema, list, value, "anyOf");
	}
	list = oc_json_get(schema, "oneOf");
	if (cJSON_IsArray(list)) {
		unsigned fits = 0;
		cJSON_ArrayForEach(one, list) fits += matches(c, one, value);
		if (fits == 0 && !c->stop)
			good = no_alternative(c, schema, list, value, "oneOf");
		else if (fits > 1)
			good = broken(c, schema, value, "oneOf", "fits %u of the allowed forms, must fit one", fits);
	}
	one = oc_json_get(schema, "not");
	if (one != NULL && matches(c, one, value))
		good = broken(c, schema, value, "not", "is of a form that is not allowed");
	one = oc_json_get(schema, "if");
	if (one != NULL) {
		one = oc_json_get(schema, matches(c, one, value) ? "then" : "else");
		if (one != NULL && !c->stop)
			good = check(c, one, value) && good;
	}
	return good;
}

static bool check_keywords(struct check *c, const cJSON *schema, const cJSON *value)
{
	bool good = true;
	const cJSON *k = oc_json_get(schema, "type");
	if (cJSON_IsString(k) || cJSON_IsArray(k))
		good = check_type(c, schema, k, value);
	if (good && cJSON_IsArray(k = oc_json_get(schema, "enum")))
		good = check_enum(c, schema, k, value);
	if (good && (k = oc_json_get(schema, "const")) != NULL)
		good = check_const(c, schema, k, value);
	if (!good)
		return false; /* of the wrong type: the rest would only repeat that */
	if (cJSON_IsNumber(value))
		good = check_number(c, schema, value);
	else if (cJSON_IsString(value))
		good = check_string(c, schema, value);
	else if (cJSON_IsArray(value))
		good = check_array(c, schema, value);
	else if (cJSON_IsObject(value))
		good = check_object(c, schema, value);
	return check_combined(c, schema, value) && good;
}

static bool check(struct check *c, const cJSON *schema, const cJSON *value)
{
	if (c->stop)
		return false;
	if (++c->steps > MAX_STEPS || c->depth >= OC_SCHEMA_MAX_DEPTH)
		return give_up(c, OC_E_LIMIT);
	if (cJSON_IsFalse(schema))
		return broken(c, schema, value, "false", "is not allowed");
	if (!cJSON_IsObject(schema))
		return true;
	c->depth++;
	const char *ref = oc_json_str(schema, "$ref", NULL);
	bool good;
	if (ref == NULL) {
		good = check_keywords(c, schema, value);
	} else { /* draft-07: what stands beside $ref does not count */
		const cJSON *target = oc_schema_resolve(c->root, ref);
		good = target != NULL ? check(c, target, value)
				      : broken(c, schema, value, "$ref", "cannot be checked: the schema has no %s", ref);
	}
	c->depth--;
	return good;
}

oc_status oc_schema_report_all(const cJSON *schema, const cJSON *value, const char *base_path, oc_schema_report *report,
			       void *arg)
{
	struct check c = {.root = schema, .report = report, .arg = arg};
	oc_sbuf_init(&c.path, 64 << 10);
	oc_sbuf_z(&c.path, base_path == NULL ? "" : base_path);
	check(&c, schema, value);
	if (c.path.error == OC_E_NOMEM)
		c.status = OC_E_NOMEM;
	for (size_t i = 0; i < c.n_regexes; i++)
		oc_regex_free(c.regexes[i].regex);
	oc_sbuf_free(&c.path);
	return c.status;
}

static bool first_issue(void *arg, const oc_schema_issue *issue)
{
	oc_fail(arg, OC_E_INVALID, "", "%s%s%s", issue->path, issue->path[0] == 0 ? "" : " ", issue->message);
	return false;
}

oc_status oc_schema_check(const cJSON *schema, const cJSON *value, oc_err *err)
{
	oc_status status = oc_schema_report_all(schema, value, NULL, first_issue, err);
	if (status == OC_E_LIMIT)
		return oc_fail(err, status, "", "the value is too deep or too large to be checked against its schema");
	return status == OC_OK || status == OC_E_INVALID ? status : oc_fail(err, status, NULL, "no memory to check the value");
}
