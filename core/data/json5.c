#include "core/data/json5.h"

#include <string.h>

#include "core/base/mem.h"
#include "core/data/jpath.h"
#include "core/data/reader.h"

#define TEXT_MAX ((size_t)32 << 20)

oc_status oc_json5_parse(oc_str text, const oc_json_limits *limits, cJSON **ret, oc_err *err)
{
	return oc_read_json(text, limits, OC_READ_JSON5, NULL, ret, NULL, err);
}

/* ---- A document that is being edited ---- */

/* A piece of the text that is to be replaced. */
struct patch {
	size_t from, to;
	char *text; /* NULL: removed */
};

struct doc {
	oc_str text;
	cJSON *root;
	oc_spans spans;
	const char *nl; /* the line end in use */
	char unit[17];  /* one level of indentation */
	bool quoted;    /* names are written in quotes */
	struct patch patches[4];
	size_t n_patches;
	bool no_memory;
};

static const oc_span *span_of(const struct doc *d, const cJSON *node)
{
	return oc_spans_find(&d->spans, node);
}

static size_t line_start(oc_str text, size_t at)
{
	while (at > 0 && text.p[at - 1] != '\n' && text.p[at - 1] != '\r')
		at--;
	return at;
}

static size_t skip_blanks(oc_str text, size_t at)
{
	while (at < text.n && (text.p[at] == ' ' || text.p[at] == '\t'))
		at++;
	return at;
}

static bool at_line_end(oc_str text, size_t at)
{
	return at >= text.n || text.p[at] == '\n' || text.p[at] == '\r';
}

/* Is there nothing but white space before `at` on its line? */
static bool begins_line(const struct doc *d, size_t at)
{
	return skip_blanks(d->text, line_start(d->text, at)) == at;
}

/* The white space that the line of `at` begins with. */
static oc_str indent_of(const struct doc *d, size_t at)
{
	size_t start = line_start(d->text, at);
	return (oc_str){d->text.p + start, skip_blanks(d->text, start) - start};
}

/* From behind a value or comma to the end of the line when only blanks and comments of that line follow; else SIZE_MAX. */
static size_t rest_of_line(const struct doc *d, size_t at)
{
	oc_str t = d->text;
	for (;;) {
		at = skip_blanks(t, at);
		if (at_line_end(t, at))
			return at;
		if (at + 1 >= t.n || t.p[at] != '/')
			return SIZE_MAX;
		size_t end = at;
		if (t.p[at + 1] == '/') {
			while (!at_line_end(t, end))
				end++;
			/* JSON5 ends lines at U+2028 and U+2029 too; editors do not. */
			bool odd = memmem(t.p + at, end - at, "\xE2\x80\xA8", 3) != NULL
				   || memmem(t.p + at, end - at, "\xE2\x80\xA9", 3) != NULL;
			return odd ? SIZE_MAX : end;
		}
		const char *close = memmem(t.p + at + 2, t.n - at - 2, "*/", 2);
		end = close == NULL ? t.n : (size_t)(close - t.p) + 2;
		if (memchr(t.p + at, '\n', end - at) != NULL || memchr(t.p + at, '\r', end - at) != NULL)
			return SIZE_MAX;
		at = end;
	}
}

static size_t behind_line_end(oc_str text, size_t at)
{
	if (at < text.n && text.p[at] == '\r')
		at++;
	if (at < text.n && text.p[at] == '\n')
		at++;
	return at;
}

/* The comma behind a value that ends at `at`, or SIZE_MAX. */
static size_t comma_behind(const struct doc *d, size_t at)
{
	at = oc_read_skip5(d->text, at);
	return at < d->text.n && d->text.p[at] == ',' ? at : SIZE_MAX;
}

/* Takes over the builder's text. */
static void patch(struct doc *d, size_t from, size_t to, oc_sbuf *text)
{
	struct patch p = {from, to, NULL};
	if (text != NULL && (p.text = oc_sbuf_take(text)) == NULL)
		d->no_memory = true;
	d->patches[d->n_patches++] = p;
}

static void patch_z(struct doc *d, size_t from, size_t to, const char *text)
{
	oc_sbuf b;
	oc_sbuf_init(&b, TEXT_MAX);
	oc_sbuf_z(&b, text);
	patch(d, from, to, &b);
}

/* How the file is written: line ends, indentation and quoting are taken from what is there. */
static void learn_style(struct doc *d)
{
	const char *line = d->text.n == 0 ? NULL : memchr(d->text.p, '\n', d->text.n);
	d->nl = line != NULL && line > d->text.p && line[-1] == '\r' ? "\r\n" : "\n";
	memcpy(d->unit, "  ", 3);
	d->quoted = true;
	const oc_span *first = d->root->child == NULL ? NULL : span_of(d, d->root->child);
	if (first == NULL)
		return;
	d->quoted = d->text.p[first->key] == '"' || d->text.p[first->key] == '\'';
	oc_str indent = indent_of(d, first->key);
	if (begins_line(d, first->key) && indent.n > 0 && indent.n < sizeof d->unit) {
		memcpy(d->unit, indent.p, indent.n);
		d->unit[indent.n] = 0;
	}
}

/* ---- Writing values ---- */

static void write_name(const struct doc *d, oc_sbuf *b, const char *name)
{
	bool plain = !d->quoted && oc_read_is_name5(oc_str_of(name));
	for (const char *p = name; plain && *p != 0; p++)
		plain = (unsigned char)*p < 0x80; /* other readers may know fewer letters */
	if (plain)
		oc_sbuf_z(b, name);
	else
		oc_sbuf_json(b, oc_str_of(name));
	oc_sbuf_z(b, ": ");
}

static void write_inline(const struct doc *d, oc_sbuf *b, const cJSON *node)
{
	bool object = cJSON_IsObject(node);
	if (!object && !cJSON_IsArray(node)) {
		oc_json_add_to(b, node);
		return;
	}
	const char *space = object && node->child != NULL ? " " : "";
	oc_sbuf_printf(b, "%c%s", object ? '{' : '[', space);
	for (const cJSON *child = node->child; child != NULL; child = child->next) {
		if (child != node->child)
			oc_sbuf_z(b, ", ");
		if (object)
			write_name(d, b, child->string);
		write_inline(d, b, child);
	}
	oc_sbuf_printf(b, "%s%c", space, object ? '}' : ']');
}

static bool has_containers(const cJSON *node)
{
	for (const cJSON *child = node->child; child != NULL; child = child->next)
		if (cJSON_IsObject(child) || cJSON_IsArray(child))
			return true;
	return false;
}

/* A short list of plain values reads better on one line. */
static bool fits_line(const struct doc *d, const cJSON *node)
{
	if (node->child == NULL)
		return true;
	if (cJSON_IsObject(node) || has_containers(node))
		return false;
	oc_sbuf b;
	oc_sbuf_init(&b, 60);
	write_inline(d, &b, node);
	bool fits = b.error == OC_OK;
	oc_sbuf_free(&b);
	return fits;
}

static void write_line_start(const struct doc *d, oc_sbuf *b, oc_str indent, unsigned level)
{
	oc_sbuf_z(b, d->nl);
	oc_sbuf_str(b, indent);
	for (unsigned i = 0; i < level; i++)
		oc_sbuf_z(b, d->unit);
}

/* Over several lines; indent is that of the line the value begins on, level what is added to it. */
static void write_lines(const struct doc *d, oc_sbuf *b, const cJSON *node, oc_str indent, unsigned level)
{
	bool object = cJSON_IsObject(node);
	if ((!object && !cJSON_IsArray(node)) || fits_line(d, node)) {
		write_inline(d, b, node);
		return;
	}
	oc_sbuf_char(b, object ? '{' : '[');
	for (const cJSON *child = node->child; child != NULL; child = child->next) {
		if (child != node->child)
			oc_sbuf_char(b, ',');
		write_line_start(d, b, indent, level + 1);
		if (object)
			write_name(d, b, child->string);
		write_lines(d, b, child, indent, level + 1);
	}
	write_line_start(d, b, indent, level);
	oc_sbuf_char(b, object ? '}' : ']');
}

static void write_member(const struct doc *d, oc_sbuf *b, const char *name, const cJSON *value, oc_str indent, bool lines)
{
	if (name != NULL)
		write_name(d, b, name);
	if (lines)
		write_lines(d, b, value, indent, 0);
	else
		write_inline(d, b, value);
}

/* ---- The four edits ---- */

/* Does a container that begins at `at` stand where its content may be spread over lines? */
static bool spreads(const struct doc *d, const cJSON *container)
{
	const oc_span *span = span_of(d, container);
	return container == d->root || begins_line(d, span->key);
}

static void replace_value(struct doc *d, const cJSON *target, const cJSON *value)
{
	const oc_span *span = span_of(d, target);
	oc_sbuf b;
	oc_sbuf_init(&b, TEXT_MAX);
	if (target == d->root || begins_line(d, span->key))
		write_lines(d, &b, value, indent_of(d, span->key), 0);
	else
		write_inline(d, &b, value);
	patch(d, span->start, span->end, &b);
}

/* Into a container without members, which may have comments in it. */
static void insert_first(struct doc *d, const cJSON *container, const char *name, const cJSON *value)
{
	const oc_span *span = span_of(d, container);
	oc_str t = d->text, outer = indent_of(d, span->start);
	size_t inside = span->start + 1, close = span->end - 1, blank = inside;
	while (blank < close && strchr(" \t\r\n", t.p[blank]) != NULL)
		blank++;
	oc_sbuf b, inner;
	oc_sbuf_init(&b, TEXT_MAX);
	oc_sbuf_init(&inner, TEXT_MAX);
	oc_sbuf_str(&inner, outer);
	oc_sbuf_z(&inner, d->unit);
	oc_str indent = oc_sbuf_view(&inner);
	if (blank == close && spreads(d, container)) { /* {} */
		write_line_start(d, &b, indent, 0);
		write_member(d, &b, name, value, indent, true);
		write_line_start(d, &b, outer, 0);
		patch(d, inside, close, &b);
	} else if (blank == close) {
		oc_sbuf_z(&b, name != NULL ? " " : "");
		write_member(d, &b, name, value, indent, false);
		oc_sbuf_z(&b, name != NULL ? " " : "");
		patch(d, inside, close, &b);
	} else if (begins_line(d, close)) { /* comments on lines of their own */
		size_t line = line_start(t, close);
		oc_sbuf_str(&b, indent);
		write_member(d, &b, name, value, indent, true);
		oc_sbuf_z(&b, d->nl);
		patch(d, line, line, &b);
	} else {
		oc_sbuf_z(&b, t.p[close - 1] == ' ' ? "" : " ");
		write_member(d, &b, name, value, indent, false);
		oc_sbuf_char(&b, ' ');
		patch(d, close, close, &b);
	}
	d->no_memory |= inner.error != OC_OK;
	oc_sbuf_free(&inner);
}

/* Behind the last member, whose trailing comma and comment stay with it. */
static void insert_last(struct doc *d, const cJSON *container, const char *name, const cJSON *value)
{
	const cJSON *last = container->child->prev;
	const oc_span *span = span_of(d, last);
	oc_str indent = indent_of(d, span->key);
	size_t comma = comma_behind(d, span->end), at = comma == SIZE_MAX ? span->end : comma + 1;
	bool lines = begins_line(d, span->key), quoted = d->quoted;
	if (name != NULL)
		d->quoted = d->text.p[span->key] == '"' || d->text.p[span->key] == '\'';
	if (comma == SIZE_MAX)
		patch_z(d, at, at, ",");
	size_t line_end = lines ? rest_of_line(d, at) : SIZE_MAX;
	if (line_end != SIZE_MAX)
		at = line_end;
	oc_sbuf b;
	oc_sbuf_init(&b, TEXT_MAX);
	if (lines)
		write_line_start(d, &b, indent, 0);
	else
		oc_sbuf_char(&b, ' ');
	write_member(d, &b, name, value, indent, lines);
	if (comma != SIZE_MAX)
		oc_sbuf_char(&b, ',');
	patch(d, at, at, &b);
	d->quoted = quoted;
}

/* The comma of the member before goes too when the removed one was the last and had none: what was JSON stays JSON. */
static void remove_comma_before(struct doc *d, const cJSON *container, const cJSON *target)
{
	if (target == container->child)
		return;
	size_t comma = comma_behind(d, span_of(d, target->prev)->end);
	if (comma != SIZE_MAX)
		patch(d, comma, comma + 1, NULL);
}

static void remove_value(struct doc *d, const cJSON *container, const cJSON *target)
{
	const oc_span *span = span_of(d, target), *outer = span_of(d, container);
	oc_str t = d->text;
	size_t from = span->key, to = span->end, comma = comma_behind(d, to);
	if (comma != SIZE_MAX)
		to = comma + 1;
	else
		remove_comma_before(d, container, target);
	size_t line_end = begins_line(d, from) ? rest_of_line(d, to) : SIZE_MAX;
	if (line_end != SIZE_MAX) { /* whole lines, with the comment behind the value */
		from = line_start(t, from);
		to = behind_line_end(t, line_end);
	} else if (comma != SIZE_MAX) {
		to = skip_blanks(t, to);
	} else {
		while (from > outer->start + 1 && (t.p[from - 1] == ' ' || t.p[from - 1] == '\t') && !begins_line(d, from))
			from--;
	}
	if (container->child->next == NULL) { /* nothing left: {} */
		size_t a = from, b = to;
		while (a > outer->start + 1 && strchr(" \t\r\n", t.p[a - 1]) != NULL)
			a--;
		while (b < outer->end - 1 && strchr(" \t\r\n", t.p[b]) != NULL)
			b++;
		if (a == outer->start + 1 && b == outer->end - 1) {
			from = a;
			to = b;
		}
	}
	patch(d, from, to, NULL);
}

/* A text without any value: everything in it is comments. */
static void write_document(struct doc *d, const cJSON *tree)
{
	oc_sbuf b;
	oc_sbuf_init(&b, TEXT_MAX);
	if (d->text.n > 0 && d->text.p[d->text.n - 1] != '\n')
		oc_sbuf_z(&b, d->nl);
	write_lines(d, &b, tree, OC_STR_NONE, 0);
	oc_sbuf_z(&b, d->nl);
	patch(d, d->text.n, d->text.n, &b);
}

/* Puts the patches in order of place (they never overlap) and applies them. */
static char *apply(struct doc *d)
{
	if (d->no_memory)
		return NULL;
	for (size_t i = 1; i < d->n_patches; i++)
		for (size_t j = i; j > 0 && d->patches[j].from < d->patches[j - 1].from; j--) {
			struct patch swap = d->patches[j];
			d->patches[j] = d->patches[j - 1];
			d->patches[j - 1] = swap;
		}
	oc_sbuf b;
	oc_sbuf_init(&b, TEXT_MAX);
	size_t at = 0;
	for (size_t i = 0; i < d->n_patches; i++) {
		oc_sbuf_add(&b, d->text.p + at, d->patches[i].from - at);
		if (d->patches[i].text != NULL)
			oc_sbuf_z(&b, d->patches[i].text);
		at = d->patches[i].to;
	}
	oc_sbuf_add(&b, d->text.p + at, d->text.n - at);
	return oc_sbuf_take(&b);
}

/* ---- Finding the place ---- */

static const char *kind_name(const cJSON *node)
{
	if (cJSON_IsObject(node))
		return "an object";
	if (cJSON_IsArray(node))
		return "a list";
	return cJSON_IsString(node) ? "a string" : cJSON_IsNumber(node) ? "a number" : cJSON_IsNull(node) ? "null" : "a boolean";
}

static cJSON *child_at(const cJSON *node, const oc_jpath *step)
{
	if (!step->is_index)
		return cJSON_IsObject(node) ? cJSON_GetObjectItemCaseSensitive(node, step->name) : NULL;
	return cJSON_IsArray(node) && step->index < 0x7fffffff ? cJSON_GetArrayItem(node, (int)step->index) : NULL;
}

/* Where a path leads: `node` is the deepest value that exists. When it is not the target, `step` is the first step that
 * leads nowhere and its rest is still to be read. */
struct place {
	cJSON *node, *parent;
	bool is_target;
	oc_jpath step;
};

static oc_status find(const struct doc *d, const char *path, struct place *ret, oc_err *err)
{
	struct place p = {.node = d->root};
	oc_sbuf so_far;
	oc_sbuf_init(&so_far, 8192);
	oc_jpath_begin(&p.step, path);
	oc_status status;
	while ((status = oc_jpath_next(&p.step)) == OC_OK) {
		bool fits = p.step.is_index ? cJSON_IsArray(p.node) : cJSON_IsObject(p.node);
		if (!fits && (p.node == d->root || !cJSON_IsNull(p.node))) {
			status = oc_fail(err, OC_E_INVALID, "", "%s is %s and has no %s",
					 so_far.n == 0 ? "the document" : so_far.p, kind_name(p.node),
					 p.step.is_index ? "entries" : "members");
			break;
		}
		cJSON *child = child_at(p.node, &p.step);
		if (child == NULL)
			break;
		p.parent = p.node;
		p.node = child;
		if (p.step.is_index)
			oc_jpath_add_index(&so_far, p.step.index);
		else
			oc_jpath_add_name(&so_far, p.step.name);
	}
	oc_sbuf_free(&so_far);
	p.is_target = status == OC_E_NOT_FOUND;
	if (status != OC_OK && status != OC_E_NOT_FOUND)
		return status;
	*ret = p;
	return OC_OK;
}

/* Wraps a value into the objects and lists that the steps after the given one name; takes the value. */
static cJSON *wrap(const oc_jpath *step, cJSON *value, oc_status *status)
{
	oc_jpath rest = *step;
	oc_status next = oc_jpath_next(&rest);
	if (next == OC_E_NOT_FOUND || value == NULL)
		return value;
	value = wrap(&rest, value, status);
	cJSON *outer = rest.is_index ? cJSON_CreateArray() : cJSON_CreateObject();
	if (rest.is_index && rest.index > 0)
		*status = OC_E_NOT_FOUND; /* lists have no holes */
	bool done = value != NULL && outer != NULL
		    && (rest.is_index ? cJSON_AddItemToArray(outer, value) : cJSON_AddItemToObject(outer, rest.name, value));
	if (!done) {
		cJSON_Delete(value);
		cJSON_Delete(outer);
		return NULL;
	}
	return outer;
}

/* ---- The edit ---- */

static oc_status no_memory(oc_err *err)
{
	return oc_fail(err, OC_E_NOMEM, NULL, "no memory to edit the text");
}

static oc_status remove_at(struct doc *d, const char *path, oc_err *err)
{
	struct place place;
	oc_status status = find(d, path, &place, err);
	if (status != OC_OK)
		return status;
	if (!place.is_target)
		return oc_fail(err, OC_E_NOT_FOUND, "", "%s is not set", path);
	remove_value(d, place.parent, place.node);
	cJSON_Delete(cJSON_DetachItemViaPointer(place.parent, place.node));
	return OC_OK;
}

static bool replace_in_tree(struct place *place, cJSON *value)
{
	if (place->parent == NULL || value == NULL) {
		cJSON_Delete(value);
		return false;
	}
	if (cJSON_IsArray(place->parent))
		return cJSON_ReplaceItemViaPointer(place->parent, place->node, value);
	cJSON *name = cJSON_CreateString(place->node->string); /* the replaced node takes its name along */
	bool done = name != NULL
		    && cJSON_ReplaceItemInObjectCaseSensitive(place->parent, name->valuestring, value);
	if (!done)
		cJSON_Delete(value);
	cJSON_Delete(name);
	return done;
}

/* value belongs to this function. */
static oc_status set_at(struct doc *d, const char *path, cJSON *value, oc_err *err)
{
	struct place place;
	oc_status status = find(d, path, &place, err);
	if (status != OC_OK) {
		cJSON_Delete(value);
		return status;
	}
	if (place.is_target) {
		if (!oc_json_equal(place.node, value)) /* else 0x10 stays 0x10 */
			replace_value(d, place.node, value);
		return replace_in_tree(&place, value) ? OC_OK : no_memory(err);
	}
	bool is_null = cJSON_IsNull(place.node);
	value = wrap(&place.step, value, &status);
	if (value != NULL && status == OC_OK && place.step.is_index
	    && place.step.index > (is_null ? 0 : (size_t)cJSON_GetArraySize(place.node)))
		status = OC_E_NOT_FOUND;
	if (value == NULL || status != OC_OK) {
		cJSON_Delete(value);
		return status == OC_OK ? no_memory(err)
				       : oc_fail(err, OC_E_INVALID, "Use the next free index.",
						 "%s: the list has fewer entries", path);
	}
	const char *name = place.step.is_index ? NULL : place.step.name;
	if (is_null) { /* null on the way becomes the object or list that is needed */
		cJSON *outer = name == NULL ? cJSON_CreateArray() : cJSON_CreateObject();
		bool done = outer != NULL
			    && (name == NULL ? cJSON_AddItemToArray(outer, value) : cJSON_AddItemToObject(outer, name, value));
		if (!done) {
			cJSON_Delete(value);
			cJSON_Delete(outer);
			return no_memory(err);
		}
		replace_value(d, place.node, outer);
		return replace_in_tree(&place, outer) ? OC_OK : no_memory(err);
	}
	if (d->spans.n > 0 && place.node->child == NULL)
		insert_first(d, place.node, name, value);
	else if (d->spans.n > 0)
		insert_last(d, place.node, name, value);
	bool done = name == NULL ? cJSON_AddItemToArray(place.node, value) : cJSON_AddItemToObject(place.node, name, value);
	if (!done) {
		cJSON_Delete(value);
		return no_memory(err);
	}
	if (d->spans.n == 0)
		write_document(d, place.node);
	return OC_OK;
}

/* A copy of the value as it is read back; NULL when it cannot be written as JSON. */
static cJSON *read_back(const cJSON *value)
{
	oc_auto_free char *text = oc_json_print(value);
	cJSON *copy = NULL;
	if (text == NULL || oc_json_parse(oc_str_of(text), NULL, &copy, NULL) != OC_OK)
		return NULL;
	if (!oc_json_equal(copy, value)) {
		cJSON_Delete(copy);
		return NULL;
	}
	return copy;
}

static oc_status edit(struct doc *d, const char *path, const cJSON *value, char **ret, oc_err *err)
{
	oc_status status;
	if (value == NULL) {
		status = remove_at(d, path, err);
	} else {
		cJSON *copy = read_back(value);
		if (copy == NULL)
			return oc_fail(err, OC_E_INVALID, "", "the value for %s cannot be written as JSON", path);
		status = set_at(d, path, copy, err);
	}
	if (status != OC_OK)
		return status;
	oc_auto_free char *text = apply(d);
	if (text == NULL)
		return no_memory(err);
	/* The proof: what was written is what was meant. A person's file is never replaced by something else. */
	oc_auto_json cJSON *again = NULL;
	status = oc_read_json(oc_str_of(text), NULL, OC_READ_JSON5 | OC_READ_EMPTY_IS_OBJECT, NULL, &again, NULL, err);
	if (status == OC_E_NOMEM || status == OC_E_LIMIT)
		return status;
	if (status != OC_OK || !oc_json_equal(again, d->root))
		return oc_fail(err, OC_E_INTERNAL, "Edit the file by hand.", "%s could not be changed in the text", path);
	*ret = text;
	text = NULL;
	return OC_OK;
}

oc_status oc_json5_edit(oc_str text, const char *path, const cJSON *value, char **ret, oc_err *err)
{
	oc_status status = oc_jpath_check(path, err);
	if (status != OC_OK)
		return status;
	struct doc d = {.text = text};
	status = oc_read_json(text, NULL, OC_READ_JSON5 | OC_READ_EMPTY_IS_OBJECT, NULL, &d.root, &d.spans, err);
	if (status != OC_OK)
		return status;
	learn_style(&d);
	status = edit(&d, path, value, ret, err);
	for (size_t i = 0; i < d.n_patches; i++)
		oc_free(d.patches[i].text);
	oc_spans_free(&d.spans);
	cJSON_Delete(d.root);
	return status;
}

oc_status oc_json5_locate(oc_str text, const char *path, unsigned *ret_line, unsigned *ret_column)
{
	struct doc d = {.text = text};
	struct place place;
	oc_status status = oc_read_json(text, NULL, OC_READ_JSON5, NULL, &d.root, &d.spans, NULL);
	if (status != OC_OK)
		return OC_E_INVALID;
	status = find(&d, path, &place, NULL);
	if (status == OC_OK && !place.is_target)
		status = OC_E_NOT_FOUND;
	if (status == OC_OK)
		oc_read_position(text, span_of(&d, place.node)->key, ret_line, ret_column);
	oc_spans_free(&d.spans);
	cJSON_Delete(d.root);
	return status == OC_OK ? OC_OK : OC_E_NOT_FOUND;
}
