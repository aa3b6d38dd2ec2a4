#include "core/agent/skills.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/agent/front.h"
#include "core/agent/internal.h"
#include "core/base/path.h"
#include "core/data/utf8.h"
#include "core/security/contain.h"

typedef struct loader {
	const oc_config *config;
	const cJSON *only; /* agents.list[].skills */
	oc_arena *arena;
	oc_skills *out;
	bool failed;
} loader;

static const char *copy(loader *l, const char *s)
{
	const char *p = s[0] == 0 ? "" : oc_arena_strdup(l->arena, s);
	l->failed |= p == NULL;
	return p != NULL ? p : "";
}

/* ---- What a skill needs ---- */

static bool has_program(const oc_config *config, const char *name)
{
	const char *path = oc_config_env(config, "PATH");
	oc_str rest = oc_str_of(path != NULL ? path : "/usr/bin:/bin");
	if (name[0] == 0 || strchr(name, '/') != NULL)
		return false;
	while (rest.p != NULL) {
		oc_str folder = oc_str_cut(&rest, ':');
		oc_auto_free char *file = folder.n > 0 ? oc_asprintf("%.*s/%s", OC_STR_ARG(folder), name) : NULL;
		struct stat st;
		if (file != NULL && stat(file, &st) == 0 && S_ISREG(st.st_mode) && access(file, X_OK) == 0)
			return true;
	}
	return false;
}

static bool truthy(const cJSON *v)
{
	return v != NULL && !cJSON_IsFalse(v) && !cJSON_IsNull(v) && !(cJSON_IsString(v) && v->valuestring[0] == 0) &&
	       !(cJSON_IsNumber(v) && v->valuedouble == 0);
}

static const cJSON *entry_of(const oc_config *config, const char *key)
{
	return oc_json_get(oc_config_get(config, "skills.entries"), key);
}

/* Set in the environment, or given by the skill's own entry. */
static bool has_variable(const oc_config *config, const oc_skill *s, const char *name)
{
	const cJSON *entry = entry_of(config, s->key);
	return oc_config_env(config, name) != NULL || oc_json_str(oc_json_get(entry, "env"), name, "")[0] != 0 ||
	       (strcmp(name, s->primary_env) == 0 && oc_json_str(entry, "apiKey", "")[0] != 0);
}

static void lack(oc_sbuf *b, const char *kind, const char *what)
{
	oc_sbuf_printf(b, "%s%s %s", b->n > 0 ? ", " : "", kind, what);
}

static void check_needs(loader *l, oc_skill *s, const cJSON *meta)
{
	const cJSON *needs = oc_json_get(meta, "requires"), *one, *any = oc_json_get(needs, "anyBins"), *os = oc_json_get(meta, "os");
	oc_sbuf b;
	oc_sbuf_init(&b, 4096);
	cJSON_ArrayForEach(one, oc_json_get(needs, "bins")) if (cJSON_IsString(one)) oc_sbuf_printf(&b, "%s\n", one->valuestring);
	cJSON_ArrayForEach(one, any) if (cJSON_IsString(one)) oc_sbuf_printf(&b, "%s\n", one->valuestring);
	s->bins = b.error == OC_OK ? copy(l, oc_sbuf_view(&b).p) : "";
	oc_sbuf_clear(&b);
	bool found = cJSON_GetArraySize(os) == 0;
	cJSON_ArrayForEach(one, os) found |= cJSON_IsString(one) && strcmp(one->valuestring, "linux") == 0;
	if (!found)
		lack(&b, "another", "operating system");
	cJSON_ArrayForEach(one, oc_json_get(needs, "bins")) if (cJSON_IsString(one) && !has_program(l->config, one->valuestring))
		lack(&b, "program", one->valuestring);
	found = cJSON_GetArraySize(any) == 0;
	cJSON_ArrayForEach(one, any) found |= cJSON_IsString(one) && has_program(l->config, one->valuestring);
	if (!found)
		lack(&b, "one of the programs", oc_json_str(any, "", any->child != NULL && cJSON_IsString(any->child)
									? any->child->valuestring
									: "named"));
	cJSON_ArrayForEach(one, oc_json_get(needs, "env")) if (cJSON_IsString(one) && !has_variable(l->config, s, one->valuestring))
		lack(&b, "variable", one->valuestring);
	cJSON_ArrayForEach(one, oc_json_get(needs, "config")) if (cJSON_IsString(one) && !truthy(oc_config_get(l->config, one->valuestring)))
		lack(&b, "setting", one->valuestring);
	s->missing = b.error == OC_OK ? copy(l, b.p != NULL ? b.p : "") : "more than can be listed";
	oc_sbuf_free(&b);
}

/* ---- One skill ---- */

/* "My Skill" as "my_skill", at most 32 characters. */
static const char *command_of(loader *l, const char *name)
{
	char out[33];
	size_t n = 0;
	for (const char *p = name; *p != 0 && n < sizeof out - 1; p++) {
		char c = *p >= 'A' && *p <= 'Z' ? (char)(*p + 32) : *p;
		bool plain = (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '_' || c == '-';
		if (plain || (n > 0 && out[n - 1] != '_'))
			out[n++] = plain ? c : '_';
	}
	while (n > 0 && out[n - 1] == '_')
		n--;
	out[n] = 0;
	return copy(l, out);
}

/* One line, no control characters. */
static const char *line_of(loader *l, const char *text, size_t max)
{
	oc_str s = oc_str_trim(oc_str_of(text));
	size_t n = oc_utf8_cut(s, max);
	char *out = oc_arena_memdup(l->arena, s.p, n);
	l->failed |= out == NULL;
	for (size_t i = 0; out != NULL && i < n; i++)
		if ((unsigned char)out[i] < 0x20 || out[i] == 0x7f)
			out[i] = ' ';
	return out != NULL ? out : "";
}

static bool flag(const cJSON *head, const char *name, bool fallback)
{
	const cJSON *v = oc_json_get(head, name);
	if (cJSON_IsBool(v))
		return cJSON_IsTrue(v);
	if (!cJSON_IsString(v))
		return fallback;
	return strcmp(v->valuestring, "yes") == 0 || strcmp(v->valuestring, "on") == 0 || strcmp(v->valuestring, "1") == 0;
}

/* metadata may be a mapping, or JSON in a string. */
static cJSON *metadata_of(const cJSON *head)
{
	const cJSON *m = oc_json_get(head, "metadata");
	oc_auto_json cJSON *parsed = cJSON_IsString(m) ? cJSON_Parse(m->valuestring) : NULL;
	static const char *const names[] = {"openclaw", "clawdbot", "moltbot"};
	for (size_t i = 0; i < 3; i++) {
		const cJSON *own = oc_json_get(parsed != NULL ? parsed : m, names[i]);
		if (cJSON_IsObject(own))
			return cJSON_Duplicate(own, true);
	}
	return NULL;
}

static void read_head(loader *l, oc_skill *s, const cJSON *head)
{
	oc_auto_json cJSON *meta = metadata_of(head);
	const char *name = oc_json_str(head, "name", "");
	if (name[0] != 0)
		s->name = line_of(l, name, OC_SKILL_NAME_MAX);
	s->description = line_of(l, oc_json_str(head, "description", ""), OC_SKILL_DESCRIPTION_MAX);
	s->homepage = line_of(l, oc_json_str(head, "homepage", oc_json_str(meta, "homepage", "")), 512);
	s->user_invocable = flag(head, "user-invocable", true);
	s->model_invocable = !flag(head, "disable-model-invocation", false);
	s->key = line_of(l, oc_json_str(meta, "skillKey", s->name), OC_SKILL_NAME_MAX);
	s->emoji = line_of(l, oc_json_str(meta, "emoji", ""), 16);
	s->primary_env = line_of(l, oc_json_str(meta, "primaryEnv", ""), 128);
	s->always = oc_json_bool(meta, "always", false);
	if (s->name[0] == 0 || s->description[0] == 0)
		s->problem = "SKILL.md needs a name and a description in its head";
	check_needs(l, s, meta);
}

static bool allowed(const loader *l, const oc_skill *s)
{
	const cJSON *one;
	bool found = !cJSON_IsArray(l->only);
	cJSON_ArrayForEach(one, l->only) found |= cJSON_IsString(one) && (strcmp(one->valuestring, s->name) == 0 ||
									    strcmp(one->valuestring, s->key) == 0);
	return found && oc_json_bool(entry_of(l->config, s->key), "enabled", true);
}

static void add(loader *l, const oc_skill *s)
{
	for (size_t i = 0; i < l->out->n; i++)
		if (strcmp(l->out->list[i].name, s->name) == 0)
			return; /* from a more particular place */
	if (l->out->n < OC_SKILLS_MAX)
		l->out->list[l->out->n++] = *s;
}

static void read_skill(loader *l, int folder_fd, const char *folder, const char *name, const char *source, const char *text, size_t n)
{
	oc_auto_json cJSON *head = NULL;
	oc_err err = {0};
	(void)folder_fd;
	oc_skill s = {.name = line_of(l, name, OC_SKILL_NAME_MAX), .description = "", .emoji = "", .homepage = "", .primary_env = "",
		      .missing = "", .problem = "", .source = source, .user_invocable = true, .model_invocable = true};
	s.key = s.name;
	s.dir = oc_arena_printf(l->arena, "%s/%s", folder, name);
	s.location = oc_arena_printf(l->arena, "%s/%s/SKILL.md", folder, name);
	l->failed |= s.dir == NULL || s.location == NULL;
	if (text == NULL)
		s.problem = "SKILL.md cannot be read, or is larger than 1 MiB";
	else if (oc_front_parse((oc_str){text, n}, &head, NULL, &err) != OC_OK)
		s.problem = copy(l, err.text);
	else
		read_head(l, &s, head);
	s.command = command_of(l, s.name);
	s.enabled = allowed(l, &s);
	s.eligible = s.enabled && s.problem[0] == 0 && (s.always || s.missing[0] == 0);
	if (!l->failed)
		add(l, &s);
}

/* ---- Folders ---- */

/* NULL: there is none, or it is no plain file of a bearable size. */
static char *read_file(int fd, size_t *ret_n)
{
	struct stat st;
	char *text = NULL;
	size_t n = 0, size;
	if (fstat(fd, &st) == 0 && S_ISREG(st.st_mode) && st.st_size <= OC_SKILL_FILE_MAX) {
		/* The head is at its front. */
		size = (size_t)st.st_size < (size_t)OC_FRONT_MAX * 2 ? (size_t)st.st_size : (size_t)OC_FRONT_MAX * 2;
		text = oc_alloc(size + 1);
		for (ssize_t got = 1; text != NULL && n < size && got > 0;) {
			got = read(fd, text + n, size - n);
			n += got > 0 ? (size_t)got : 0;
		}
	}
	close(fd);
	*ret_n = n;
	return text;
}

/* contained: nothing leads out of the folder, which the agent itself may write. */
static void look_into(loader *l, int fd, const char *folder, const char *source, bool contained)
{
	int own = dup(fd);
	DIR *dir = own >= 0 ? fdopendir(own) : NULL;
	if (dir == NULL) {
		if (own >= 0)
			close(own);
		return;
	}
	for (const struct dirent *e; !l->failed && (e = readdir(dir)) != NULL;) {
		oc_auto_free char *file = e->d_name[0] != '.' ? oc_asprintf("%s/SKILL.md", e->d_name) : NULL;
		int at = -1;
		if (file == NULL)
			continue;
		if (contained)
			(void)oc_contain_open(fd, file, O_RDONLY | O_NONBLOCK, 0, &at, NULL);
		else
			at = openat(fd, file, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
		if (at < 0)
			continue;
		size_t n = 0;
		oc_auto_free char *text = read_file(at, &n);
		read_skill(l, fd, folder, e->d_name, source, text, n);
	}
	closedir(dir);
}

static void look_at(loader *l, const char *folder, const char *source)
{
	int fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0)
		return;
	look_into(l, fd, folder, source, false);
	close(fd);
}

static void look_into_workspace(loader *l, const char *workspace)
{
	int root = open(workspace, O_RDONLY | O_DIRECTORY | O_CLOEXEC), fd = -1;
	oc_auto_free char *folder = oc_path_join(workspace, "skills");
	if (root < 0 || folder == NULL) {
		if (root >= 0)
			close(root);
		return;
	}
	if (oc_contain_open(root, "skills", O_RDONLY | O_DIRECTORY, 0, &fd, NULL) == OC_OK) {
		look_into(l, fd, folder, "workspace", true);
		close(fd);
	}
	close(root);
}

/* Of plugins: the bridge keeps a list of their folders (ipc-bridge/skills.c). */
static void look_at_plugins(loader *l, const char *state_dir)
{
	oc_auto_free char *file = oc_path_join(state_dir, "cache/plugin-skills"), *text = NULL;
	size_t n = 0;
	if (file == NULL || access(file, R_OK) != 0 || oc_path_read(file, 64 * 1024, &text, &n, NULL) != OC_OK)
		return;
	oc_str rest = {text, n};
	while (rest.p != NULL && !l->failed) {
		oc_str line = oc_str_cut(&rest, '\n');
		oc_auto_free char *folder = line.n > 0 ? oc_memdup(line.p, line.n) : NULL;
		if (folder != NULL)
			look_at(l, folder, "plugin");
	}
}

static int by_name(const void *a, const void *b)
{
	return strcmp(((const oc_skill *)a)->name, ((const oc_skill *)b)->name);
}

oc_status oc_skills_load(const oc_config *config, const char *state_dir, const char *workspace, const char *agent_id,
			 oc_arena *arena, oc_skills *ret, oc_err *err)
{
	oc_skills skills = {.list = oc_arena_alloc(arena, OC_SKILLS_MAX * sizeof(oc_skill))};
	loader l = {.config = config, .only = oc_json_get(oc_agent_entry(config, agent_id), "skills"), .arena = arena, .out = &skills};
	oc_auto_free char *managed = oc_path_join(state_dir, "skills");
	const cJSON *extra;
	l.failed = skills.list == NULL || managed == NULL;
	if (!l.failed) {
		look_into_workspace(&l, workspace);
		look_at(&l, managed, "managed");
	}
	cJSON_ArrayForEach(extra, oc_config_get(config, "skills.load.extraDirs"))
	{
		oc_auto_free char *path = cJSON_IsString(extra) && !l.failed ? oc_path_expand(extra->valuestring, state_dir) : NULL;
		if (path != NULL)
			look_at(&l, path, "extra");
	}
	if (!l.failed)
		look_at_plugins(&l, state_dir);
	if (l.failed)
		return oc_fail(err, OC_E_NOMEM, NULL, "cannot read the skills");
	if (skills.n > 1)
		qsort(skills.list, skills.n, sizeof *skills.list, by_name);
	*ret = skills;
	return OC_OK;
}

const oc_skill *oc_skills_find(const oc_skills *skills, const char *name)
{
	for (size_t i = 0; i < skills->n; i++)
		if (strcmp(skills->list[i].name, name) == 0 || strcmp(skills->list[i].key, name) == 0)
			return &skills->list[i];
	return NULL;
}

/* ---- What others make of them ---- */

static void add_escaped(oc_sbuf *b, const char *text)
{
	for (const char *p = text; *p != 0; p++) {
		if (*p == '<')
			oc_sbuf_z(b, "&lt;");
		else if (*p == '>')
			oc_sbuf_z(b, "&gt;");
		else if (*p == '&')
			oc_sbuf_z(b, "&amp;");
		else
			oc_sbuf_char(b, *p);
	}
}

void oc_skills_prompt(const oc_skills *skills, oc_sbuf *out)
{
	size_t listed = 0;
	for (size_t i = 0; i < skills->n; i++) {
		const oc_skill *s = &skills->list[i];
		if (!s->eligible || !s->model_invocable)
			continue;
		if (listed++ == 0)
			oc_sbuf_z(out, "## Skills\nSkills tell how to do particular things. Before you answer, look through the "
				       "descriptions below. When one fits clearly, read the SKILL.md at its location with read, then do "
				       "as it says; when several fit, the most particular one. When none fits, read none. Paths in a "
				       "skill are relative to its folder.\n\n<available_skills>\n");
		oc_sbuf_z(out, "  <skill>\n    <name>");
		add_escaped(out, s->name);
		oc_sbuf_z(out, "</name>\n    <description>");
		add_escaped(out, s->description);
		oc_sbuf_z(out, "</description>\n    <location>");
		add_escaped(out, s->location);
		oc_sbuf_z(out, "</location>\n  </skill>\n");
	}
	if (listed > 0)
		oc_sbuf_z(out, "</available_skills>\n\n");
}

const oc_skill *oc_skills_called(const oc_skills *skills, oc_str text)
{
	text = oc_str_trim(text);
	if (!oc_str_starts(text, "/"))
		return NULL;
	size_t n = 1;
	while (n < text.n && text.p[n] != ' ' && text.p[n] != '\n' && text.p[n] != '@' && text.p[n] != ':')
		n++;
	for (size_t i = 0; i < skills->n; i++) {
		const oc_skill *s = &skills->list[i];
		if (s->eligible && s->user_invocable && s->command[0] != 0 &&
		    oc_str_ieq((oc_str){text.p + 1, n - 1}, oc_str_of(s->command)))
			return s;
	}
	return NULL;
}

cJSON *oc_skills_folders(const oc_skills *skills)
{
	cJSON *list = NULL;
	for (size_t i = 0; i < skills->n; i++) {
		if (!skills->list[i].eligible || strcmp(skills->list[i].source, "workspace") == 0)
			continue;
		cJSON *one = cJSON_CreateString(skills->list[i].dir);
		list = list == NULL ? cJSON_CreateArray() : list;
		if (one == NULL || list == NULL || !cJSON_AddItemToArray(list, one))
			cJSON_Delete(one);
	}
	return list;
}

static void add_bin(cJSON *list, oc_str name)
{
	oc_auto_free char *text = oc_memdup(name.p, name.n);
	const cJSON *other;
	int at = 0;
	if (name.n == 0 || text == NULL || oc_json_has_str(list, text))
		return;
	cJSON_ArrayForEach(other, list)
	{
		if (strcmp(other->valuestring, text) > 0)
			break;
		at++;
	}
	(void)oc_json_insert(list, at, cJSON_CreateString(text));
}

cJSON *oc_skills_bins(const oc_skills *skills)
{
	cJSON *list = cJSON_CreateArray();
	for (size_t i = 0; i < skills->n; i++)
		for (oc_str rest = oc_str_of(skills->list[i].bins); rest.p != NULL;)
			add_bin(list, oc_str_trim(oc_str_cut(&rest, '\n')));
	return list;
}

cJSON *oc_skills_env(const oc_config *config, const oc_skills *skills)
{
	cJSON *env = NULL;
	for (size_t i = 0; i < skills->n; i++) {
		const oc_skill *s = &skills->list[i];
		const cJSON *entry = entry_of(config, s->key), *one;
		const char *key = oc_json_str(entry, "apiKey", "");
		if (!s->eligible || entry == NULL)
			continue;
		if (env == NULL && (env = cJSON_CreateObject()) == NULL)
			return NULL;
		cJSON_ArrayForEach(one, oc_json_get(entry, "env")) if (cJSON_IsString(one) && one->valuestring[0] != 0 &&
								       oc_config_env(config, one->string) == NULL)(void)
			oc_json_set_str(env, one->string, one->valuestring);
		if (key[0] != 0 && s->primary_env[0] != 0 && oc_config_env(config, s->primary_env) == NULL)
			(void)oc_json_set_str(env, s->primary_env, key);
	}
	return env;
}

cJSON *oc_skill_json(const oc_skill *s)
{
	cJSON *o = cJSON_CreateObject();
	const struct {
		const char *name, *value;
	} texts[] = {{"name", s->name},	       {"description", s->description}, {"key", s->key},	   {"command", s->command},
		     {"location", s->location}, {"source", s->source},	       {"emoji", s->emoji},	   {"homepage", s->homepage},
		     {"primaryEnv", s->primary_env}, {"missing", s->missing},   {"problem", s->problem}};
	bool ok = o != NULL;
	for (size_t i = 0; ok && i < sizeof texts / sizeof *texts; i++)
		ok = texts[i].value[0] == 0 || oc_json_set_str(o, texts[i].name, texts[i].value);
	ok = ok && oc_json_set_bool(o, "eligible", s->eligible) && oc_json_set_bool(o, "enabled", s->enabled) &&
	     oc_json_set_bool(o, "always", s->always) && oc_json_set_bool(o, "userInvocable", s->user_invocable) &&
	     oc_json_set_bool(o, "modelInvocable", s->model_invocable);
	if (!ok) {
		cJSON_Delete(o);
		return NULL;
	}
	return o;
}
