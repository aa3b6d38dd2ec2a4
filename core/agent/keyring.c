#include "core/agent/keyring.h"

#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "core/agent/auth_file.h"
#include "core/base/clock.h"
#include "core/base/hash.h"
#include "core/base/log.h"
#include "core/base/path.h"

#define FILE_LOOK_MS 1000u
#define NUMBERED_MAX 9
#define SECRET_MAX 240

/* Where a key's value is. Values are looked up when they are asked for, so that none is kept here. */
typedef enum origin {
	FROM_CONFIG = 1, /* auth.profiles */
	FROM_FILE,	 /* auth-profiles.json */
	FROM_PROVIDER,	 /* models.providers.<id>.apiKey or its variable: modules know that name */
	FROM_VARIABLE,	 /* a further variable */
	FROM_LIST,	 /* one of several in a variable */
} origin;

typedef struct auth_key {
	oc_map_node node; /* in keys, by secret */
	origin from;
	const char *id, *secret, *provider, *agent_id, *variable; /* all in one piece with it */
	int item;
	uint64_t used, failed;
} auth_key;

typedef struct key_set {
	oc_map_node node; /* in sets, by name */
	char name[140];	  /* "agent provider" */
	bool ordered;	  /* auth.order says which goes first */
	size_t n;
	auth_key *keys[OC_KEYRING_MAX];
} key_set;

typedef struct auth_file {
	oc_map_node node; /* in files, by agent */
	char agent_id[65];
	cJSON *root;
	bool refused; /* told already */
	int64_t stamp; /* 0: it is not there */
	uint64_t looked_ms;
} auth_file;

struct oc_keyring {
	oc_map keys, sets, files;
	uint64_t generation; /* of the modules the sets were made for */
	void (*refused)(void *arg);
	void *arg;
};

/* ---- The file of TypeScript releases ---- */

static int64_t stamp_of(const char *path)
{
	struct stat st;
	if (stat(path, &st) != 0 || !S_ISREG(st.st_mode))
		return 0;
	return (int64_t)st.st_mtim.tv_sec * 1000000000 + st.st_mtim.tv_nsec + st.st_size + (int64_t)st.st_mode;
}

static void read_file(auth_file *f, const char *path)
{
	oc_err err = {0};
	oc_auth_file_wipe(f->root);
	cJSON_Delete(f->root);
	f->root = NULL;
	if (f->stamp != 0 && oc_auth_file_read(path, &f->root, &err) != OC_OK)
		oc_warn("auth", "%s is not used: %s%s%s", path, err.text, err.remedy[0] != 0 ? "; " : "", err.remedy);
}

static void drop_set(void *arg, oc_map_node *node)
{
	oc_map_remove(arg, node);
	oc_free(OC_MAP_OWNER(node, key_set, node));
}

/* What agents/<id>/agent/auth-profiles.json holds, NULL when there is none. Sets made before a change of it are dropped. */
static const cJSON *file_of(oc_agent *agent, const char *agent_id)
{
	struct oc_keyring *auth = agent->keyring;
	oc_map_node *node = oc_map_find(&auth->files, agent_id);
	auth_file *f = node != NULL ? OC_MAP_OWNER(node, auth_file, node) : NULL;
	uint64_t now = oc_now_ms();
	if (f != NULL && now - f->looked_ms < FILE_LOOK_MS)
		return f->root;
	if (f == NULL) {
		f = oc_calloc(1, sizeof *f);
		if (f == NULL)
			return NULL;
		snprintf(f->agent_id, sizeof f->agent_id, "%s", agent_id);
		oc_map_add(&auth->files, &f->node, f->agent_id);
	}
	f->looked_ms = now;
	oc_auto_free char *path = oc_auth_file_path(agent->state_dir, agent_id);
	int64_t stamp = path != NULL ? stamp_of(path) : 0;
	if (stamp != f->stamp) {
		f->stamp = stamp;
		read_file(f, path);
		oc_map_each(&auth->sets, drop_set, &auth->sets);
	}
	return f->root;
}

/* ---- Values ---- */

static const char *first_text(const cJSON *profile, const char *const *names)
{
	for (; *names != NULL; names++) {
		const char *value = oc_json_str(profile, *names, "");
		if (value[0] != 0)
			return value;
	}
	return NULL;
}

static const char *config_value(const oc_agent *agent, const char *id)
{
	static const char *const names[] = {"apiKey", "key", "token", NULL};
	return first_text(oc_json_get(oc_config_get(agent->config, "auth.profiles"), id), names);
}

static const char *file_value(const oc_agent *agent, const cJSON *file, const char *id)
{
	static const char *const names[] = {"key", "token", "access", NULL};
	const cJSON *profile = oc_json_get(oc_json_get(file, "profiles"), id);
	int64_t expires = oc_json_i64(profile, "expires", 0);
	if (expires > 0 && expires <= oc_wall_ms())
		return NULL; /* it could not be renewed */
	const char *value = first_text(profile, names);
	for (int i = 0; value == NULL && i < 2; i++) {
		const cJSON *ref = oc_json_get(profile, i == 0 ? "keyRef" : "tokenRef");
		if (strcmp(oc_json_str(ref, "source", ""), "env") == 0)
			value = oc_config_env(agent->config, oc_json_str(ref, "id", ""));
	}
	return value;
}

/* The n-th of several in a variable; empty when there are fewer. */
static oc_str item_of(const char *list, int n)
{
	for (const char *p = list; *p != 0;) {
		size_t len = strcspn(p, ",; \t\n");
		if (len > 0 && n-- == 0)
			return (oc_str){p, len};
		p += len + strspn(p + len, ",; \t\n");
	}
	return (oc_str){0};
}

static oc_str value_of(oc_agent *agent, const auth_key *k)
{
	const char *value = NULL;
	switch (k->from) {
	case FROM_CONFIG:
		value = config_value(agent, k->id);
		break;
	case FROM_FILE:
		value = file_value(agent, file_of(agent, k->agent_id), k->id);
		break;
	case FROM_VARIABLE:
	case FROM_LIST:
		value = oc_config_env(agent->config, k->variable);
		break;
	case FROM_PROVIDER:
		break;
	}
	return value == NULL ? (oc_str){0} : k->from == FROM_LIST ? item_of(value, k->item) : oc_str_of(value);
}

oc_status oc_keyring_secret(oc_agent *agent, oc_str name, oc_buf **ret)
{
	oc_auto_free char *key = agent != NULL && agent->keyring != NULL ? oc_memdup(name.p, name.n) : NULL;
	oc_map_node *node = key != NULL ? oc_map_find(&agent->keyring->keys, key) : NULL;
	oc_str value = node != NULL ? value_of(agent, OC_MAP_OWNER(node, auth_key, node)) : (oc_str){0};
	if (value.n == 0)
		return OC_E_NOT_FOUND;
	oc_log_redact(value);
	oc_buf *buf = oc_buf_new_secret(value);
	if (buf == NULL)
		return OC_E_NOMEM;
	*ret = buf;
	return OC_OK;
}

/* ---- Which there are ---- */

/* Modules ask for keys by name, and their manifests allow them by members between dots. */
static void secret_name(char *out, size_t size, const char *provider, const char *id, const char *agent_id)
{
	size_t n = strlen(provider);
	const char *own = strncmp(id, provider, n) == 0 && id[n] == ':' ? id + n + 1 : id;
	int len = snprintf(out, size, "models.providers.%s:%s%s%s", provider, own, agent_id[0] != 0 ? "@" : "", agent_id);
	for (char *p = out + strlen("models.providers.") + n; *p != 0; p++)
		if (*p == '.' || (unsigned char)*p < 0x21)
			*p = '_';
	if (len > 0 && (size_t)len < size)
		snprintf(out + len, size - (size_t)len, ".apiKey");
}

static auth_key *make_key(struct oc_keyring *auth, const char *secret, const auth_key *like)
{
	oc_map_node *node = oc_map_find(&auth->keys, secret);
	if (node != NULL) {
		auth_key *k = OC_MAP_OWNER(node, auth_key, node);
		if (strcmp(k->id, like->id) != 0 || strcmp(k->variable, like->variable) != 0)
			return NULL; /* two names that only differ in a dot: the first one has it */
		k->from = like->from;
		k->item = like->item;
		return k;
	}
	const char *texts[] = {secret, like->id, like->provider, like->agent_id, like->variable};
	size_t sizes[5], total = sizeof(auth_key);
	for (int i = 0; i < 5; i++)
		total += sizes[i] = strlen(texts[i]) + 1;
	auth_key *k = oc_calloc(1, total);
	if (k == NULL)
		return NULL;
	char *at = (char *)(k + 1);
	const char **members[] = {&k->secret, &k->id, &k->provider, &k->agent_id, &k->variable};
	for (int i = 0; i < 5; at += sizes[i++]) {
		memcpy(at, texts[i], sizes[i]);
		*members[i] = at;
	}
	k->from = like->from;
	k->item = like->item;
	oc_map_add(&auth->keys, &k->node, k->secret);
	return k;
}

static bool has(const key_set *set, const char *id)
{
	for (size_t i = 0; i < set->n; i++)
		if (strcmp(set->keys[i]->id, id) == 0)
			return true;
	return false;
}

static void add(oc_agent *agent, key_set *set, auth_key like)
{
	char secret[SECRET_MAX];
	if (set->n >= OC_KEYRING_MAX || strlen(like.id) > 120 || has(set, like.id))
		return;
	like.agent_id = like.agent_id != NULL ? like.agent_id : "";
	like.variable = like.variable != NULL ? like.variable : "";
	if (like.from == FROM_PROVIDER)
		snprintf(secret, sizeof secret, "models.providers.%s.apiKey", like.provider);
	else
		secret_name(secret, sizeof secret, like.provider, like.id, like.agent_id);
	auth_key *k = strlen(secret) < 190 ? make_key(agent->keyring, secret, &like) : NULL;
	if (k != NULL)
		set->keys[set->n++] = k;
}

static void add_file(oc_agent *agent, key_set *set, const char *agent_id, const char *provider, const char *id_or_null)
{
	const cJSON *file = file_of(agent, agent_id), *profile;
	cJSON_ArrayForEach(profile, oc_json_get(file, "profiles"))
	{
		if (strcmp(oc_json_str(profile, "provider", ""), provider) != 0 ||
		    (id_or_null != NULL && strcmp(profile->string, id_or_null) != 0) ||
		    file_value(agent, file, profile->string) == NULL)
			continue;
		add(agent, set, (auth_key){.from = FROM_FILE, .id = profile->string, .provider = provider, .agent_id = agent_id});
	}
}

/* The profile of that name, or with NULL all. */
static void add_profiles(oc_agent *agent, key_set *set, const char *agent_id, const char *provider, const char *id_or_null)
{
	char main_id[65];
	const cJSON *profile;
	cJSON_ArrayForEach(profile, oc_config_get(agent->config, "auth.profiles"))
	{
		if (strcmp(oc_json_str(profile, "provider", ""), provider) != 0 ||
		    (id_or_null != NULL && strcmp(profile->string, id_or_null) != 0) || config_value(agent, profile->string) == NULL)
			continue;
		add(agent, set, (auth_key){.from = FROM_CONFIG, .id = profile->string, .provider = provider});
	}
	add_file(agent, set, agent_id, provider, id_or_null);
	add_file(agent, set, oc_agent_default_id(agent->config, main_id), provider, id_or_null);
}

/* Keys that are no profiles: the provider's own, and those of further variables. */
static void add_plain(oc_agent *agent, key_set *set, const char *provider, const char *id_or_null)
{
	const cJSON *p = oc_json_get(oc_model_catalog(agent, agent->config), provider), *env = oc_json_get(p, "env");
	const cJSON *first = cJSON_IsArray(env) ? cJSON_GetArrayItem(env, 0) : env;
	const char *variable = cJSON_IsString(first) ? first->valuestring : "";
	char id[100], name[100];
	snprintf(id, sizeof id, "%s:apiKey", provider);
	bool wanted = id_or_null == NULL || strcmp(id_or_null, id) == 0;
	if (wanted && oc_model_has_key(agent->config, p))
		add(agent, set, (auth_key){.from = FROM_PROVIDER, .id = id, .provider = provider});
	if (variable[0] == 0 || strlen(variable) > 80 || oc_json_bool(p, "ownServer", false))
		return;
	snprintf(name, sizeof name, "%sS", variable);
	const char *list = oc_config_env(agent->config, name);
	for (int i = 0; list != NULL && i < OC_KEYRING_MAX && item_of(list, i).n > 0; i++) {
		snprintf(id, sizeof id, "%s:list-%d", provider, i + 1);
		if (id_or_null == NULL || strcmp(id_or_null, id) == 0)
			add(agent, set, (auth_key){.from = FROM_LIST, .id = id, .provider = provider, .variable = name, .item = i});
	}
	for (int i = 1; i <= NUMBERED_MAX; i++) {
		snprintf(name, sizeof name, "%s_%d", variable, i);
		snprintf(id, sizeof id, "%s:key-%d", provider, i);
		if ((id_or_null == NULL || strcmp(id_or_null, id) == 0) && oc_config_env(agent->config, name) != NULL)
			add(agent, set, (auth_key){.from = FROM_VARIABLE, .id = id, .provider = provider, .variable = name});
	}
}

static const cJSON *order_of(oc_agent *agent, const char *agent_id, const char *provider)
{
	const cJSON *order = oc_json_get(oc_json_get(file_of(agent, agent_id), "order"), provider);
	return cJSON_IsArray(order) ? order : oc_json_get(oc_config_get(agent->config, "auth.order"), provider);
}

static void fill(oc_agent *agent, key_set *set, const char *agent_id, const char *provider)
{
	const cJSON *order = order_of(agent, agent_id, provider), *id;
	cJSON_ArrayForEach(id, order)
	{
		if (!cJSON_IsString(id))
			continue;
		add_profiles(agent, set, agent_id, provider, id->valuestring);
		add_plain(agent, set, provider, id->valuestring);
	}
	set->ordered = set->n > 0;
	if (set->ordered)
		return;
	if (cJSON_GetArraySize(order) > 0)
		oc_warn("auth", "auth.order.%s names no profile that has a key; all keys of %s are used", provider, provider);
	add_profiles(agent, set, agent_id, provider, NULL);
	add_plain(agent, set, provider, NULL);
	/* The one key that everybody knows needs no rotation. */
	if (set->n == 1 && set->keys[0]->from == FROM_PROVIDER)
		set->n = 0;
}

static const key_set *set_of(oc_agent *agent, const char *agent_id, const char *provider)
{
	if (agent->keyring == NULL && (agent->keyring = oc_calloc(1, sizeof *agent->keyring)) == NULL)
		return NULL;
	struct oc_keyring *auth = agent->keyring;
	char name[140], main_id[65];
	snprintf(name, sizeof name, "%s %s", agent_id, provider);
	(void)file_of(agent, agent_id);
	(void)file_of(agent, oc_agent_default_id(agent->config, main_id));
	uint64_t generation = oc_modules_generation(agent->modules);
	if (generation != auth->generation)
		oc_map_each(&auth->sets, drop_set, &auth->sets);
	auth->generation = generation;
	oc_map_node *node = oc_map_find(&auth->sets, name);
	if (node != NULL)
		return OC_MAP_OWNER(node, key_set, node);
	key_set *set = oc_calloc(1, sizeof *set);
	if (set == NULL)
		return NULL;
	snprintf(set->name, sizeof set->name, "%s", name);
	unsigned long refused = oc_mem_refused();
	fill(agent, set, agent_id, provider);
	if (refused != oc_mem_refused()) {
		oc_free(set); /* half a set would be wrong until the next change of settings */
		return NULL;
	}
	oc_map_add(&auth->sets, &set->node, set->name);
	return set;
}

/* ---- Which one is used ---- */

/* Keys rest in the same book as models: for all of the provider's models, and, when too much was asked of one, for that. */
static void rest_names(const char *secret, const char *ref, char all[400], char one[400])
{
	size_t n = strcspn(ref, "/");
	snprintf(all, 400, "%.*s/%s", (int)(n < 64 ? n : 64), ref, secret);
	snprintf(one, 400, "%.*s/%s %.120s", (int)(n < 64 ? n : 64), ref, secret, ref);
}

static uint64_t key_rests(oc_agent *agent, const auth_key *k, const char *ref, oc_status *ret_why)
{
	char all[400], one[400];
	rest_names(k->secret, ref, all, one);
	uint64_t a = oc_model_resting(agent, all, ret_why), b = oc_model_resting(agent, one, a > 0 ? NULL : ret_why);
	return a > b ? a : b;
}

/* Every session has its own favourite among the keys, the same one each time: what the provider remembers of it stays
 * useful, and many sessions spread over all keys. */
static uint64_t liking(const char *session, const char *id)
{
	uint64_t h = oc_hash_z(oc_hash_z(OC_HASH_START, session), id);
	h ^= h >> 32;
	h *= 0x9e3779b97f4a7c15ULL;
	return h ^ h >> 29;
}

uint64_t oc_keyring_sum(oc_agent *agent, const char *provider, const char *secret, uint64_t sum)
{
	char main_id[65];
	const key_set *set = set_of(agent, oc_agent_default_id(agent->config, main_id), provider);
	oc_map_node *node = set != NULL ? oc_map_find(&agent->keyring->keys, secret) : NULL;
	return node != NULL ? oc_hash(sum, value_of(agent, OC_MAP_OWNER(node, auth_key, node))) : sum;
}

static auth_key *best(oc_agent *agent, const key_set *set, const char *session, const char *ref, uint64_t *ret_rest)
{
	auth_key *found = NULL;
	uint64_t found_rest = 0, found_liking = 0;
	for (size_t i = 0; i < set->n; i++) {
		auth_key *k = set->keys[i];
		uint64_t rest = key_rests(agent, k, ref, NULL), like = set->ordered ? 0 : liking(session, k->id);
		if (found == NULL || rest < found_rest || (rest == found_rest && like > found_liking)) {
			found = k;
			found_rest = rest;
			found_liking = like;
		}
	}
	*ret_rest = found_rest;
	return found;
}

bool oc_keyring_choose(oc_agent *agent, oc_arena *arena, const char *agent_id, const char *session, const char *chosen,
		    oc_model *model)
{
	const key_set *set = set_of(agent, agent_id, model->provider);
	if (set == NULL || set->n == 0)
		return true;
	uint64_t rest = 0;
	auth_key *k = NULL;
	for (size_t i = 0; chosen != NULL && chosen[0] != 0 && i < set->n; i++)
		if (strcmp(set->keys[i]->id, chosen) == 0)
			k = set->keys[i];
	if (k == NULL)
		k = best(agent, set, session, model->ref, &rest);
	const char *secret = oc_arena_strdup(arena, k->secret), *id = oc_arena_strdup(arena, k->id);
	if (secret == NULL || id == NULL)
		return true;
	model->secret = secret;
	model->profile = id;
	return rest == 0;
}

bool oc_keyring_has(oc_agent *agent, const char *provider)
{
	char main_id[65];
	const key_set *set = set_of(agent, oc_agent_default_id(agent->config, main_id), provider);
	return set != NULL && set->n > 0;
}

const char *oc_keyring_named(oc_agent *agent, const char *agent_id, const char *ref)
{
	char provider[80];
	snprintf(provider, sizeof provider, "%.*s", (int)strcspn(ref, "/"), ref);
	/* Both names may have an @. */
	for (const char *at = strchr(ref, '@'); at != NULL; at = strchr(at + 1, '@')) {
		const key_set *set = set_of(agent, agent_id, provider);
		if (set != NULL && has(set, at + 1))
			return at + 1;
	}
	return NULL;
}

uint64_t oc_keyring_resting(oc_agent *agent, const char *agent_id, const char *ref)
{
	char provider[80];
	snprintf(provider, sizeof provider, "%.*s", (int)strcspn(ref, "/"), ref);
	const key_set *set = set_of(agent, agent_id, provider);
	uint64_t rest = 0;
	if (set != NULL && set->n > 0)
		(void)best(agent, set, "", ref, &rest);
	return rest;
}

/* ---- What became of it ---- */

bool oc_keyring_blames_key(oc_status status)
{
	return status == OC_E_AUTH || status == OC_E_QUOTA || status == OC_E_RATE_LIMIT;
}

static auth_key *key_of(const oc_agent *agent, const oc_model *model)
{
	oc_map_node *node = agent->keyring != NULL && model->profile != NULL ? oc_map_find(&agent->keyring->keys, model->secret) : NULL;
	return node != NULL ? OC_MAP_OWNER(node, auth_key, node) : NULL;
}

void oc_keyring_failed(oc_agent *agent, const oc_model *model, oc_status status, uint64_t retry_after_ms)
{
	auth_key *k = key_of(agent, model);
	char all[400], one[400];
	if (k == NULL || !oc_keyring_blames_key(status))
		return;
	k->failed++;
	rest_names(k->secret, model->ref, all, one);
	oc_model_failed(agent, status == OC_E_RATE_LIMIT ? one : all, status, retry_after_ms);
	uint64_t rest = key_rests(agent, k, model->ref, NULL);
	oc_warn("auth", "%s rests for %llu s: %s", k->id, (unsigned long long)(rest + 999) / 1000, oc_status_text(status));
	if (status == OC_E_AUTH && agent->keyring->refused != NULL)
		agent->keyring->refused(agent->keyring->arg);
}

void oc_keyring_watch(oc_agent *agent, void (*refused)(void *arg), void *arg)
{
	if (agent->keyring == NULL && (agent->keyring = oc_calloc(1, sizeof *agent->keyring)) == NULL)
		return;
	agent->keyring->refused = refused;
	agent->keyring->arg = arg;
}

bool oc_keyring_refused(oc_agent *agent, const char *agent_id, const char *provider, const char *profile)
{
	char secret[SECRET_MAX];
	oc_status why = OC_OK;
	secret_name(secret, sizeof secret, provider, profile, agent_id);
	return oc_model_key_rests(agent, provider, secret, &why) > 0 && why == OC_E_AUTH;
}

void oc_keyring_renewed(oc_agent *agent, const char *agent_id, const char *provider, const char *profile)
{
	char secret[SECRET_MAX], all[400];
	secret_name(secret, sizeof secret, provider, profile, agent_id);
	snprintf(all, sizeof all, "%s/%s", provider, secret);
	oc_model_worked(agent, all);
}

void oc_keyring_worked(oc_agent *agent, const oc_model *model)
{
	auth_key *k = key_of(agent, model);
	char all[400], one[400];
	if (k == NULL)
		return;
	k->used++;
	rest_names(k->secret, model->ref, all, one);
	oc_model_worked(agent, all);
	oc_model_worked(agent, one);
}

/* ---- Shown to the operator ---- */

typedef struct listing {
	oc_agent *agent;
	cJSON *out;
} listing;

static void list_key(void *arg, oc_map_node *node)
{
	static const char *const sources[] = {"", "auth.profiles", "auth-profiles.json", "models.providers", "environment",
					      "environment"};
	listing *l = arg;
	const auth_key *k = OC_MAP_OWNER(node, auth_key, node);
	oc_status why = OC_OK;
	uint64_t rest = oc_model_key_rests(l->agent, k->provider, k->secret, &why);
	cJSON *row = cJSON_CreateObject();
	(void)oc_json_set_str(row, "provider", k->provider);
	(void)oc_json_set_str(row, "profile", k->id);
	oc_json_opt(row, "agent", k->agent_id);
	(void)oc_json_set_str(row, "source", sources[k->from]);
	(void)oc_json_set_str(row, "state", rest == 0 ? "ok" : why == OC_E_QUOTA ? "disabled" : "resting");
	if (rest > 0) {
		(void)oc_json_set_str(row, "reason", oc_status_text(why));
		(void)oc_json_set_i64(row, "restMs", (int64_t)rest);
	}
	(void)oc_json_set_i64(row, "used", (int64_t)k->used);
	(void)oc_json_set_i64(row, "failed", (int64_t)k->failed);
	if (row == NULL || !cJSON_AddItemToArray(l->out, row))
		cJSON_Delete(row);
}

cJSON *oc_agent_keys(oc_agent *agent)
{
	listing l = {.agent = agent, .out = cJSON_CreateArray()};
	char main_id[65];
	const cJSON *provider;
	cJSON_ArrayForEach(provider, oc_model_catalog(agent, agent->config))(void)
		set_of(agent, oc_agent_default_id(agent->config, main_id), provider->string);
	if (agent->keyring != NULL)
		oc_map_each(&agent->keyring->keys, list_key, &l);
	return l.out;
}

/* ---- The end ---- */

static void drop_key(void *arg, oc_map_node *node)
{
	oc_map_remove(arg, node);
	oc_free(OC_MAP_OWNER(node, auth_key, node));
}

static void drop_file(void *arg, oc_map_node *node)
{
	auth_file *f = OC_MAP_OWNER(node, auth_file, node);
	oc_map_remove(arg, node);
	oc_auth_file_wipe(f->root);
	cJSON_Delete(f->root);
	oc_free(f);
}

void oc_keyring_reset(oc_agent *agent)
{
	if (agent->keyring != NULL)
		oc_map_each(&agent->keyring->sets, drop_set, &agent->keyring->sets);
}

void oc_keyring_free(oc_agent *agent)
{
	struct oc_keyring *auth = agent->keyring;
	if (auth == NULL)
		return;
	oc_map_each(&auth->sets, drop_set, &auth->sets);
	oc_map_each(&auth->keys, drop_key, &auth->keys);
	oc_map_each(&auth->files, drop_file, &auth->files);
	oc_map_free(&auth->sets);
	oc_map_free(&auth->keys);
	oc_map_free(&auth->files);
	oc_free(auth);
	agent->keyring = NULL;
}
