/*
 * Secret references: {source: "env"|"file"|"exec", provider, id} in the place of a secret, as the original has them.
 *
 * Providers are in secrets.providers.  A reference that leads nowhere costs what a missing variable costs: its section.
 * Commands run only where the secrets are needed (the gateway and the agent), all references to one in one go; elsewhere a
 * sentence stands in the secret's place.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/base/mem.h"
#include "core/base/path.h"
#include "core/config/internal.h"
#include "core/data/jpath.h"
#include "core/data/utf8.h"

#define FILE_MAX ((int64_t)20 << 20)
#define REFS_MAX 512

enum source { FROM_ENV = 1, FROM_FILE, FROM_EXEC };
static const char *const source_names[] = {"", "env", "file", "exec"};

struct ref {
	cJSON *node;
	enum source source;
	char *path, *alias, *id; /* alias: of the provider */
	bool done;
};

struct resolver {
	oc_config *c;
	const cJSON *secrets; /* the section, NULL when there is none */
	struct ref *refs;
	size_t n;
	oc_sbuf path;
	oc_status status; /* OC_E_NOMEM */
};

/* 0: no reference. */
static enum source source_of(const cJSON *node)
{
	const cJSON *member;
	cJSON_ArrayForEach(member, node)
	{
		const char *name = member->string;
		if (strcmp(name, "source") != 0 && strcmp(name, "provider") != 0 && strcmp(name, "id") != 0)
			return 0;
	}
	const char *source = oc_json_str(node, "source", "");
	for (int i = FROM_ENV; i <= FROM_EXEC; i++)
		if (strcmp(source, source_names[i]) == 0 && oc_json_str(node, "id", NULL) != NULL)
			return (enum source)i;
	return 0;
}

static void fail(struct resolver *r, const struct ref *ref, const oc_err *err)
{
	if (r->status == OC_OK)
		r->status = oc_config_add_problem(r->c, OC_CONFIG_ERROR, ref->path, err->remedy, "is a secret of the %s provider \"%s\": %s",
						  source_names[ref->source], ref->alias, err->text);
	if (r->status == OC_OK)
		r->status = oc_config_mark_last(r->c);
}

/* ---- Providers ---- */

static bool is_alias(const char *s)
{
	size_t n = strspn(s, "abcdefghijklmnopqrstuvwxyz0123456789_-");
	return s[n] == 0 && n >= 1 && n <= 64 && s[0] >= 'a' && s[0] <= 'z';
}

/* The provider's section; NULL is right for the environment. */
static oc_status find_provider(const struct resolver *r, const struct ref *ref, const cJSON **ret, oc_err *err)
{
	if (!is_alias(ref->alias))
		return oc_fail(err, OC_E_INVALID, "Names of providers have small letters, digits, _ and -.", "that is no name of a provider");
	const cJSON *p = oc_json_get(oc_json_get(r->secrets, "providers"), ref->alias);
	*ret = p;
	if (p == NULL && ref->source == FROM_ENV)
		return OC_OK;
	if (p == NULL)
		return oc_fail(err, OC_E_NOT_FOUND, "Add it under secrets.providers.", "there is no such provider");
	const char *source = oc_json_str(p, "source", "");
	if (strcmp(source, source_names[ref->source]) != 0)
		return oc_fail(err, OC_E_INVALID, "Correct source, here or in secrets.providers.", "it is of source \"%s\"", source);
	return OC_OK;
}

static void set_secret(struct resolver *r, const struct ref *ref, const char *value)
{
	char *copy = oc_strdup(value);
	if (copy == NULL) {
		r->status = OC_E_NOMEM;
		return;
	}
	cJSON_Delete(ref->node->child);
	ref->node->child = NULL;
	ref->node->type = cJSON_String;
	ref->node->valuestring = copy;
}

/* What a file or a command gave for an id must be text. */
static oc_status take_text(const cJSON *value, const char **ret, oc_err *err)
{
	if (!cJSON_IsString(value))
		return oc_fail(err, OC_E_NOT_FOUND, "Correct the id.", "%s", value == NULL ? "it has nothing of this id" : "what it has of this id is no text");
	if (value->valuestring[0] == 0)
		return oc_fail(err, OC_E_NOT_FOUND, "", "what it has of this id is empty");
	*ret = value->valuestring;
	return OC_OK;
}

/* ---- env ---- */

static void resolve_env(struct resolver *r, const struct ref *ref, const cJSON *provider)
{
	const cJSON *list = oc_json_get(provider, "allowlist"), *one;
	bool allowed = list == NULL;
	cJSON_ArrayForEach(one, list) allowed = allowed || (cJSON_IsString(one) && strcmp(one->valuestring, ref->id) == 0);
	if (!allowed) {
		oc_err err;
		oc_fail(&err, OC_E_DENIED, "Add it to the provider's allowlist.", "its allowlist has no %s", ref->id);
		fail(r, ref, &err);
		return;
	}
	const char *value = oc_config_env(r->c, ref->id);
	if (value != NULL)
		set_secret(r, ref, value);
	else
		r->status = oc_config_missing_var(r->c, ref->path, oc_str_of(ref->id));
}

/* ---- file ---- */

/* A secret file is ours or root's and nobody else can read it. What is checked is what is read. */
static oc_status read_secret_file(const char *path, size_t max, bool insecure, char **ret, size_t *ret_n, oc_err *err)
{
	struct stat st;
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY | (insecure ? 0 : O_NOFOLLOW));
	if (fd < 0 && errno == ELOOP)
		return oc_fail(err, OC_E_DENIED, "Name the file it leads to, or set allowInsecurePath.", "its file %s is a symbolic link", path);
	if (fd < 0 || fstat(fd, &st) != 0) {
		oc_fail_errno(err, errno, "its file %s", path);
		if (fd >= 0)
			close(fd);
		return err->code;
	}
	oc_status status = OC_OK;
	char *text = NULL;
	size_t n = 0;
	if (!S_ISREG(st.st_mode))
		status = oc_fail(err, OC_E_INVALID, "Name a file.", "its file %s is no regular file", path);
	else if (!insecure && ((st.st_mode & 077) != 0 || (st.st_uid != geteuid() && st.st_uid != 0)))
		status = oc_fail(err, OC_E_DENIED, "chmod 600 it, or set allowInsecurePath.", "its file %s is open to other users", path);
	else if ((uint64_t)st.st_size > max)
		status = oc_fail(err, OC_E_LIMIT, "Raise maxBytes of the provider.", "its file %s has more than %zu bytes", path, max);
	else if ((text = oc_alloc((size_t)st.st_size + 1)) == NULL)
		status = oc_fail(err, OC_E_NOMEM, NULL, "no memory for %s", path);
	while (status == OC_OK && n < (size_t)st.st_size) {
		ssize_t got = read(fd, text + n, (size_t)st.st_size - n);
		if (got < 0 && errno == EINTR)
			continue;
		if (got < 0)
			status = oc_fail_errno(err, errno, "reading its file %s", path);
		if (got <= 0)
			break;
		n += (size_t)got;
	}
	close(fd);
	if (status != OC_OK) {
		oc_free(text);
		return status;
	}
	*ret = text;
	*ret_n = n;
	return OC_OK;
}

/* RFC 6901. */
static const cJSON *at_pointer(const cJSON *root, const char *pointer)
{
	oc_str rest = oc_str_of(pointer + 1); /* begins with a slash */
	while (rest.p != NULL && root != NULL) {
		char name[256];
		size_t n = 0;
		oc_str part = oc_str_cut(&rest, '/');
		int64_t index = 0;
		if (part.n >= sizeof name)
			return NULL;
		for (size_t i = 0; i < part.n; i++) {
			bool escaped = part.p[i] == '~' && i + 1 < part.n && (part.p[i + 1] == '0' || part.p[i + 1] == '1');
			name[n++] = !escaped ? part.p[i] : part.p[++i] == '0' ? '~' : '/';
		}
		name[n] = 0;
		if (cJSON_IsArray(root))
			root = oc_str_i64(part, 0, 1000000, &index) == OC_OK ? cJSON_GetArrayItem(root, (int)index) : NULL;
		else
			root = oc_json_get(root, name);
	}
	return root;
}

static oc_status read_value(const char *text, size_t n, bool single, const char *id, char **ret, oc_err *err)
{
	oc_auto_json cJSON *tree = NULL;
	const char *value = NULL;
	if (single) {
		oc_str one = {text, n};
		if (oc_str_ends(one, "\n"))
			one.n -= oc_str_ends(one, "\r\n") ? 2 : 1;
		if (strcmp(id, "value") != 0)
			return oc_fail(err, OC_E_INVALID, "Use the id \"value\".", "it holds one value, there is no \"%s\"", id);
		if (one.n == 0 || memchr(one.p, 0, one.n) != NULL || !oc_utf8_valid(one))
			return oc_fail(err, OC_E_INVALID, "", "its file is empty, or no text");
		*ret = oc_memdup(one.p, one.n);
	} else {
		if (id[0] != '/')
			return oc_fail(err, OC_E_INVALID, "Write it like /providers/openai/apiKey.", "the id \"%s\" is no JSON pointer", id);
		oc_json_limits limits = {.max_bytes = (size_t)FILE_MAX};
		if (oc_json_parse((oc_str){text, n}, &limits, &tree, err) != OC_OK)
			return oc_err_prefix(err, "its file");
		if (take_text(at_pointer(tree, id), &value, err) != OC_OK)
			return err->code;
		*ret = oc_strdup(value);
	}
	return *ret != NULL ? OC_OK : oc_fail(err, OC_E_NOMEM, NULL, "no memory for a secret");
}

static void resolve_file(struct resolver *r, const struct ref *ref, const cJSON *provider)
{
	oc_err err = {0};
	const char *given = oc_json_str(provider, "path", ""), *mode = oc_json_str(provider, "mode", "json");
	int64_t max = oc_json_i64(provider, "maxBytes", 1 << 20);
	oc_auto_free char *path = oc_path_expand(given, NULL), *text = NULL, *value = NULL;
	size_t n = 0;
	bool absolute = given[0] == '/' || (given[0] == '~' && (given[1] == '/' || given[1] == 0));
	if (path == NULL || !absolute) {
		oc_fail(&err, OC_E_INVALID, "Write an absolute path.", "its path \"%s\" is not absolute", given);
		fail(r, ref, &err);
		return;
	}
	/* Watched, so that a new secret is taken up by itself. */
	if (oc_config_add_file(r->c, path, ref->path, NULL, 0) != OC_OK)
		r->status = OC_E_NOMEM;
	oc_status status = read_secret_file(path, (size_t)(max < 1 || max > FILE_MAX ? FILE_MAX : max),
					    oc_json_bool(provider, "allowInsecurePath", false), &text, &n, &err);
	if (status == OC_OK)
		status = read_value(text, n, strcmp(mode, "singleValue") == 0, ref->id, &value, &err);
	oc_wipe(text, n);
	if (status != OC_OK)
		fail(r, ref, &err);
	else
		set_secret(r, ref, value);
	if (value != NULL)
		oc_wipe(value, strlen(value));
}

/* ---- exec ---- */

static bool is_exec_id(const char *id)
{
	size_t n = strlen(id);
	if (n == 0 || n > 256 || id[strspn(id, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._:/-")] != 0
	    || strchr("._:/-", id[0]) != NULL)
		return false;
	for (oc_str rest = oc_str_of(id); rest.p != NULL;) {
		oc_str part = oc_str_cut(&rest, '/');
		if (oc_str_eqz(part, ".") || oc_str_eqz(part, ".."))
			return false;
	}
	return true;
}

static oc_status remember(oc_config *c, const char *provider, const char *id, const char *value)
{
	oc_config_secret *secrets = oc_realloc(c->secrets, (c->n_secrets + 1) * sizeof *secrets);
	oc_config_secret one = {oc_strdup(provider), oc_strdup(id), oc_strdup(value)};
	if (secrets != NULL)
		c->secrets = secrets;
	if (secrets == NULL || one.provider == NULL || one.id == NULL || one.value == NULL) {
		oc_free(one.provider);
		oc_free(one.id);
		oc_free(one.value);
		return OC_E_NOMEM;
	}
	c->secrets[c->n_secrets++] = one;
	return OC_OK;
}

static void take_answer(struct resolver *r, const struct ref *ref, const char *value)
{
	r->status = remember(r->c, ref->alias, ref->id, value);
	if (r->status == OC_OK)
		set_secret(r, ref, value);
}

oc_config *oc_config_answers(const oc_config *c)
{
	const cJSON *providers = oc_json_path(c->root, "secrets.providers");
	oc_config *copy = oc_config_new(c->path);
	if (copy == NULL)
		return NULL;
	copy->root = cJSON_CreateObject();
	cJSON *secrets = cJSON_AddObjectToObject(copy->root, "secrets");
	bool good = secrets != NULL && (providers == NULL || oc_json_set(secrets, "providers", cJSON_Duplicate(providers, true)));
	for (size_t i = 0; i < c->n_secrets && good; i++)
		good = remember(copy, c->secrets[i].provider, c->secrets[i].id, c->secrets[i].value) == OC_OK;
	if (good)
		return copy;
	oc_config_unref(copy);
	return NULL;
}

/* The answer of the configuration before, when its provider was the same. */
static const char *known_answer(const struct resolver *r, const struct ref *ref, const cJSON *provider)
{
	const oc_config *p = r->c->previous;
	if (p == NULL || !oc_json_equal(oc_json_get(oc_json_path(p->root, "secrets.providers"), ref->alias), provider))
		return NULL;
	for (size_t i = 0; i < p->n_secrets; i++)
		if (strcmp(p->secrets[i].provider, ref->alias) == 0 && strcmp(p->secrets[i].id, ref->id) == 0)
			return p->secrets[i].value;
	return NULL;
}

/* Is it one of those that `first` is resolved together with? */
static bool together(const struct ref *first, const struct ref *ref)
{
	return !ref->done && ref->source == FROM_EXEC && strcmp(ref->alias, first->alias) == 0;
}

/* {"protocolVersion":1,"provider":…,"ids":[…]}. Returns how many ids. */
static size_t write_request(const struct resolver *r, const struct ref *first, oc_sbuf *out)
{
	size_t n = 0;
	oc_sbuf_z(out, "{\"protocolVersion\":1,\"provider\":");
	oc_sbuf_json(out, oc_str_of(first->alias));
	oc_sbuf_z(out, ",\"ids\":[");
	for (const struct ref *ref = first; ref < r->refs + r->n; ref++) {
		bool again = !together(first, ref);
		for (const struct ref *other = first; other < ref && !again; other++)
			again = together(first, other) && strcmp(other->id, ref->id) == 0;
		if (again)
			continue;
		oc_sbuf_z(out, n++ > 0 ? "," : "");
		oc_sbuf_json(out, oc_str_of(ref->id));
	}
	oc_sbuf_z(out, "]}");
	return n;
}

/* One id of the answer {"protocolVersion":1,"values":{…},"errors":{id:{message}}}. */
static oc_status read_answer(const cJSON *answer, const char *id, const char **ret, oc_err *err)
{
	if (oc_json_i64(answer, "protocolVersion", 0) != 1 || !cJSON_IsObject(oc_json_get(answer, "values")))
		return oc_fail(err, OC_E_PROTOCOL, "It must write {\"protocolVersion\":1,\"values\":{…}}.",
			       "its command does not speak the protocol of secret providers");
	const cJSON *error = oc_json_get(oc_json_get(answer, "errors"), id);
	if (error != NULL)
		return oc_fail(err, OC_E_NOT_FOUND, "", "its command says: %s", oc_json_str(error, "message", "no such secret"));
	return take_text(oc_json_get(oc_json_get(answer, "values"), id), ret, err);
}

/* What the command wrote: a tree, or with jsonOnly false and one id the value itself (*ret_tree is a string then). */
static oc_status ask(const struct resolver *r, const struct ref *first, const cJSON *provider, cJSON **ret_tree, oc_err *err)
{
	oc_sbuf request;
	char *text = NULL;
	size_t n = 0;
	oc_sbuf_init(&request, OC_CONFIG_MAX_VALUE);
	bool plain = write_request(r, first, &request) == 1 && !oc_json_bool(provider, "jsonOnly", true);
	oc_status status = request.error != OC_OK ? oc_fail(err, request.error, NULL, "no memory for the request")
						  : oc_config_run_provider(r->c, provider, oc_sbuf_view(&request), &text, &n, err);
	oc_sbuf_free(&request);
	if (status != OC_OK)
		return status;
	oc_str all = oc_str_trim(oc_str_make(text, n));
	if (all.n == 0 || memchr(all.p, 0, all.n) != NULL || !oc_utf8_valid(all)) {
		status = oc_fail(err, OC_E_PROTOCOL, "Run it by hand to see what it writes.", "its command wrote nothing, or no text");
	} else if (oc_json_parse(all, NULL, ret_tree, err) != OC_OK || (plain && !cJSON_IsObject(*ret_tree) && !cJSON_IsString(*ret_tree))) {
		oc_auto_free char *copy = plain ? oc_memdup(all.p, all.n) : NULL;
		cJSON_Delete(*ret_tree);
		*ret_tree = copy == NULL ? NULL : cJSON_CreateString(copy);
		status = !plain ? oc_err_prefix(err, "the answer of its command") : *ret_tree != NULL ? OC_OK : OC_E_NOMEM;
		if (copy != NULL)
			oc_wipe(copy, all.n);
	} else if (!plain && !cJSON_IsObject(*ret_tree)) {
		status = read_answer(NULL, "", NULL, err);
	}
	oc_wipe(text, n);
	oc_free(text);
	return status;
}

static void resolve_exec(struct resolver *r, struct ref *first, const cJSON *provider)
{
	oc_err err = {0};
	cJSON *answer = NULL;
	oc_status status = ask(r, first, provider, &answer, &err);
	for (size_t i = (size_t)(first - r->refs); i < r->n && r->status == OC_OK; i++) {
		struct ref *ref = &r->refs[i];
		const char *value = NULL;
		oc_err own = err;
		if (!together(first, ref))
			continue;
		oc_status got = status != OC_OK		    ? status
				: cJSON_IsString(answer) ? take_text(answer, &value, &own)
							  : read_answer(answer, ref->id, &value, &own);
		if (got != OC_OK) {
			fail(r, ref, &own);
		} else {
			take_answer(r, ref, value);
		}
		ref->done = ref != first; /* it is looked at to the end */
	}
	first->done = true;
	cJSON_Delete(answer);
}

static void resolve_command(struct resolver *r, struct ref *ref, const cJSON *provider)
{
	oc_err err;
	const char *answer = known_answer(r, ref, provider);
	if (!is_exec_id(ref->id)) {
		oc_fail(&err, OC_E_INVALID, "Ids have letters, digits and . _ : / -.", "\"%s\" is no id of a secret", ref->id);
		fail(r, ref, &err);
	} else if (answer != NULL) {
		take_answer(r, ref, answer);
	} else if (r->c->run_commands) {
		resolve_exec(r, ref, provider);
	} else {
		char text[160];
		snprintf(text, sizeof text, "(a secret of the command of %s, not asked for here)", ref->alias);
		set_secret(r, ref, text);
		r->c->left_out = true;
	}
	ref->done = true;
}

/* ---- All of them ---- */

static void free_ref(const struct ref *ref)
{
	oc_free(ref->path);
	oc_free(ref->alias);
	oc_free(ref->id);
}

static void collect(struct resolver *r, cJSON *node)
{
	enum source source = cJSON_IsObject(node) ? source_of(node) : 0;
	if (source != 0 && r->n < REFS_MAX) {
		struct ref ref = {.node = node, .source = source, .path = oc_strdup(oc_sbuf_view(&r->path).p),
				  .id = oc_strdup(oc_json_str(node, "id", ""))};
		const char *fallback = oc_json_str(oc_json_get(r->secrets, "defaults"), source_names[source], "default");
		ref.alias = oc_strdup(oc_json_str(node, "provider", fallback));
		struct ref *refs = oc_realloc(r->refs, (r->n + 1) * sizeof *refs);
		if (refs == NULL || ref.path == NULL || ref.id == NULL || ref.alias == NULL)
			r->status = OC_E_NOMEM;
		if (refs != NULL) {
			r->refs = refs;
			r->refs[r->n++] = ref; /* freed with the others, whatever it has */
		} else {
			free_ref(&ref);
		}
		return;
	}
	size_t before = r->path.n, i = 0;
	for (cJSON *child = node->child; child != NULL && r->status == OC_OK; child = child->next, i++) {
		if (cJSON_IsArray(node))
			oc_jpath_add_index(&r->path, i);
		else
			oc_jpath_add_name(&r->path, child->string);
		if (r->path.error != OC_OK)
			r->status = r->path.error;
		else
			collect(r, child);
		r->path.n = before;
		if (r->path.p != NULL)
			r->path.p[before] = 0;
	}
}

static void resolve(struct resolver *r, struct ref *ref)
{
	const cJSON *provider = NULL;
	oc_err err = {0};
	if (find_provider(r, ref, &provider, &err) != OC_OK)
		fail(r, ref, &err);
	else if (ref->source == FROM_ENV)
		resolve_env(r, ref, provider);
	else if (ref->source == FROM_FILE)
		resolve_file(r, ref, provider);
	else
		resolve_command(r, ref, provider);
	ref->done = true;
}

oc_status oc_config_resolve_secrets(oc_config *c, cJSON *tree)
{
	struct resolver r = {.c = c, .secrets = oc_json_get(tree, "secrets")};
	oc_sbuf_init(&r.path, 64 << 10);
	collect(&r, tree);
	for (size_t i = 0; i < r.n && r.status == OC_OK; i++)
		if (!r.refs[i].done)
			resolve(&r, &r.refs[i]);
	for (size_t i = 0; i < r.n; i++)
		free_ref(&r.refs[i]);
	oc_free(r.refs);
	oc_sbuf_free(&r.path);
	return r.status;
}
