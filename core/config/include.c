/*
 * $include: one file or several, merged in order, then overridden by what stands beside it.  Objects are merged deeply,
 * lists are joined, else the later value counts.  Included files lie in the folder of the main file (or one of
 * OPENCLAW_INCLUDE_ROOTS), whatever links say.
 */
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/mem.h"
#include "core/base/path.h"
#include "core/config/internal.h"
#include "core/data/jpath.h"
#include "core/data/json5.h"

#define MAX_NESTING 10u
#define MAX_FILES 100u

struct chain {
	const struct chain *outer;
	const char *file;   /* real path */
	const char *folder; /* of it */
	unsigned depth;
};

struct includer {
	oc_config *c;
	char root[PATH_MAX]; /* folder of the main file, real */
	oc_sbuf path;	     /* of the node at hand */
	oc_err *err;	     /* of the failure that goes up */
};

/* Expands in place; false on a failure that goes up (in->err). */
static bool expand(struct includer *in, cJSON *node, const struct chain *chain);

/* ---- Merging ---- */

/* Takes both; NULL when out of memory. */
static cJSON *merge(cJSON *base, cJSON *over)
{
	bool arrays = cJSON_IsArray(base) && cJSON_IsArray(over);
	if (base == NULL || over == NULL || (!arrays && (!cJSON_IsObject(base) || !cJSON_IsObject(over)))) {
		cJSON_Delete(base);
		return over;
	}
	while (over->child != NULL) {
		cJSON *child = cJSON_DetachItemViaPointer(over, over->child);
		cJSON *same = arrays ? NULL : cJSON_GetObjectItemCaseSensitive(base, child->string);
		if (same != NULL)
			child = merge(cJSON_DetachItemViaPointer(base, same), child); /* either has the name */
		if (child == NULL || !cJSON_AddItemToArray(base, child)) { /* keeps its name */
			cJSON_Delete(child);
			cJSON_Delete(base);
			cJSON_Delete(over);
			return NULL;
		}
	}
	cJSON_Delete(over);
	return base;
}

/* ---- Files ---- */

static bool below(const char *file, const char *folder)
{
	size_t n = strlen(folder);
	return n > 0 && strncmp(file, folder, n) == 0 && (file[n] == '/' || folder[n - 1] == '/');
}

static bool allowed(const struct includer *in, const char *real)
{
	if (below(real, in->root))
		return true;
	const char *list = getenv("OPENCLAW_INCLUDE_ROOTS");
	oc_str rest = oc_str_of(list == NULL ? "" : list);
	while (rest.p != NULL && rest.n > 0) {
		oc_str part = oc_str_cut(&rest, ':');
		char root[PATH_MAX];
		oc_auto_free char *copy = oc_memdup(part.p, part.n);
		if (copy != NULL && copy[0] == '/' && realpath(copy, root) != NULL && below(real, root))
			return true;
	}
	return false;
}

/* The real path of a file to include, checked. */
static oc_status locate(struct includer *in, const char *name, const struct chain *chain, char real[PATH_MAX], oc_err *err)
{
	oc_auto_free char *path = oc_path_join(chain->folder, name);
	if (path == NULL)
		return oc_fail(err, OC_E_NOMEM, NULL, "no memory for the configuration");
	if (chain->depth >= MAX_NESTING)
		return oc_fail(err, OC_E_LIMIT, "", "includes are more than %u deep", MAX_NESTING);
	if (in->c->n_files >= MAX_FILES)
		return oc_fail(err, OC_E_LIMIT, "", "more than %u files are included", MAX_FILES);
	if (realpath(path, real) == NULL) {
		oc_config_add_file(in->c, path, oc_sbuf_view(&in->path).p, NULL, 0); /* so that its appearing is noticed */
		return oc_fail(err, OC_E_NOT_FOUND, "Make the file or correct its name.", "includes %s, which does not exist", path);
	}
	if (!allowed(in, real))
		return oc_fail(err, OC_E_DENIED, "Move it there, or name its folder in OPENCLAW_INCLUDE_ROOTS.",
			       "includes %s, which is outside the folder of the configuration", real);
	for (const struct chain *outer = chain; outer != NULL; outer = outer->outer)
		if (strcmp(outer->file, real) == 0)
			return oc_fail(err, OC_E_INVALID, "Remove one of the includes.", "includes %s, which includes this in turn",
				       real);
	return OC_OK;
}

static cJSON *read_file(struct includer *in, const char *name, const struct chain *chain, oc_err *err)
{
	char real[PATH_MAX], folder[PATH_MAX];
	if (locate(in, name, chain, real, err) != OC_OK)
		return NULL;
	char *text = NULL;
	size_t n = 0;
	cJSON *tree = NULL;
	oc_status status = oc_path_read(real, OC_CONFIG_MAX_BYTES, &text, &n, err);
	if (oc_config_add_file(in->c, real, oc_sbuf_view(&in->path).p, text, n) != OC_OK) {
		oc_fail(err, OC_E_NOMEM, NULL, "no memory for the configuration");
		return NULL;
	}
	if (status == OC_OK && oc_json5_parse((oc_str){text, n}, NULL, &tree, err) != OC_OK)
		oc_err_prefix(err, "%s", real);
	if (tree == NULL)
		return NULL;
	snprintf(folder, sizeof folder, "%s", real);
	char *slash = strrchr(folder, '/');
	slash[slash == folder] = 0;
	struct chain link = {chain, real, folder, chain->depth + 1};
	oc_err *outer = in->err;
	in->err = err;
	bool good = expand(in, tree, &link);
	in->err = outer;
	if (good)
		return tree;
	cJSON_Delete(tree);
	return NULL;
}

/* ---- Expanding ---- */

/* All that an $include names, merged; NULL with err set. */
static cJSON *read_all(struct includer *in, const cJSON *names, const struct chain *chain, oc_err *err)
{
	if (cJSON_IsString(names))
		return read_file(in, names->valuestring, chain, err);
	cJSON *all = NULL;
	const cJSON *one;
	if (!cJSON_IsArray(names) || names->child == NULL) {
		oc_fail(err, OC_E_INVALID, "", "$include must be the name of a file or a list of names");
		return NULL;
	}
	cJSON_ArrayForEach(one, names)
	{
		cJSON *tree = NULL;
		if (cJSON_IsString(one))
			tree = read_file(in, one->valuestring, chain, err);
		else
			oc_fail(err, OC_E_INVALID, "", "$include must be the name of a file or a list of names");
		if (tree == NULL) {
			cJSON_Delete(all);
			return NULL;
		}
		all = merge(all, tree);
		if (all == NULL) {
			oc_fail(err, OC_E_NOMEM, NULL, "no memory for the configuration");
			return NULL;
		}
	}
	return all;
}

static bool no_memory(struct includer *in)
{
	oc_fail(in->err, OC_E_NOMEM, NULL, "no memory for the configuration");
	return false;
}

/* The node takes over the value of another one, which is freed; its name and place stay. */
static void become(cJSON *node, cJSON *other)
{
	cJSON_Delete(node->child);
	cJSON_free(node->valuestring);
	node->type = other->type & 0xFF;
	node->child = other->child;
	node->valuestring = other->valuestring;
	node->valueint = other->valueint;
	node->valuedouble = other->valuedouble;
	other->child = NULL;
	other->valuestring = NULL;
	cJSON_Delete(other);
}

static bool expand_children(struct includer *in, cJSON *node, const struct chain *chain)
{
	size_t before = in->path.n, i = 0;
	bool good = true;
	for (cJSON *child = node->child; child != NULL && good; child = child->next, i++) {
		if (!cJSON_IsObject(child) && !cJSON_IsArray(child))
			continue;
		if (cJSON_IsArray(node))
			oc_jpath_add_index(&in->path, i);
		else
			oc_jpath_add_name(&in->path, child->string);
		good = in->path.error == OC_OK ? expand(in, child, chain) : no_memory(in);
		in->path.n = before;
		if (in->path.p != NULL)
			in->path.p[before] = 0;
	}
	return good;
}

/* What could not be included costs its section, unless it is the whole. */
static bool failed(struct includer *in, cJSON *node, const oc_err *err)
{
	if (in->path.n == 0 || err->code == OC_E_NOMEM) {
		if (in->err != NULL)
			*in->err = *err;
		return false;
	}
	cJSON *none = cJSON_CreateNull();
	if (none == NULL)
		return no_memory(in);
	become(node, none);
	if (oc_config_add_problem(in->c, OC_CONFIG_ERROR, in->path.p, err->remedy, "%s", err->text) != OC_OK
	    || oc_config_mark_last(in->c) != OC_OK)
		return no_memory(in);
	return true;
}

static bool expand(struct includer *in, cJSON *node, const struct chain *chain)
{
	oc_auto_json cJSON *names = cJSON_IsObject(node) ? cJSON_DetachItemFromObjectCaseSensitive(node, "$include") : NULL;
	if (!expand_children(in, node, chain))
		return false;
	if (names == NULL)
		return true;
	oc_err err = {0};
	cJSON *all = read_all(in, names, chain, &err);
	if (all != NULL && node->child != NULL && !cJSON_IsObject(all)) {
		cJSON_Delete(all);
		all = NULL;
		oc_fail(&err, OC_E_INVALID, "Include a file that holds an object.",
			"includes something that is no object and has other keys beside it");
	}
	if (all == NULL)
		return failed(in, node, &err);
	if (node->child != NULL) {
		cJSON *rest = cJSON_CreateObject();
		if (rest == NULL) {
			cJSON_Delete(all);
			return no_memory(in);
		}
		rest->child = node->child;
		node->child = NULL;
		all = merge(all, rest);
		if (all == NULL)
			return no_memory(in);
	}
	become(node, all);
	return true;
}

oc_status oc_config_include(oc_config *c, cJSON *tree, oc_err *err)
{
	oc_err local = {0};
	struct includer in = {.c = c, .err = &local};
	oc_sbuf_init(&in.path, 64 << 10);
	char real[PATH_MAX];
	if (realpath(c->path, real) == NULL) /* text without a file: includes are looked for beside where it would be */
		snprintf(real, sizeof real, "%s", c->path);
	snprintf(in.root, sizeof in.root, "%s", real);
	char *slash = strrchr(in.root, '/');
	if (slash != NULL)
		slash[slash == in.root] = 0;
	struct chain link = {NULL, real, in.root, 0};
	bool good = expand(&in, tree, &link);
	oc_sbuf_free(&in.path);
	if (good)
		return OC_OK;
	if (err != NULL)
		*err = local;
	return local.code;
}
