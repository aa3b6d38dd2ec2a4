/*
 * What a TypeScript installation keeps in files that are used here under the same names: configuration, .env, logins, paired devices,
 * workspaces, skills, plugins.  In place there is nothing to do but to look; from another folder they are copied, and what is here already
 * is never written over.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/agent/auth_file.h"
#include "core/base/mem.h"
#include "core/base/path.h"
#include "core/cli/migrate.h"
#include "core/store/pairing.h"

#define DEPTH_MAX 64
#define PROBLEMS_SHOWN 10

/* ---- Copying ---- */

typedef struct tally {
	size_t copied, kept, other; /* files; other: links, sockets and what else is no file */
} tally;

static oc_status copy_bytes(int from, int to, const char *path, oc_err *err)
{
	char chunk[65536];
	for (ssize_t n; (n = read(from, chunk, sizeof chunk)) != 0;) {
		if (n < 0)
			return oc_fail_errno(err, errno, "reading %s", path);
		for (ssize_t done = 0; done < n;) {
			ssize_t w = write(to, chunk + done, (size_t)(n - done));
			if (w < 0)
				return oc_fail_errno(err, errno, "writing the copy of %s", path);
			done += w;
		}
	}
	return OC_OK;
}

/* Under another name until it is whole: a copy that was cut must not be kept as if it were the file. */
static oc_status copy_file(const char *from, const char *to, mode_t mode, oc_err *err)
{
	oc_auto_free char *part = oc_asprintf("%s.migrate", to);
	int in = open(from, O_RDONLY | O_CLOEXEC | O_NOFOLLOW), out = -1;
	oc_status status = in < 0	  ? oc_fail_errno(err, errno, "opening %s", from)
			   : part == NULL ? oc_fail(err, OC_E_NOMEM, NULL, "cannot copy %s", from)
					  : OC_OK;
	if (status == OC_OK && (out = open(part, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, mode & 0700)) < 0)
		status = oc_fail_errno(err, errno, "creating %s", part);
	if (status == OC_OK)
		status = copy_bytes(in, out, from, err);
	if (status == OC_OK && (fsync(out) != 0 || rename(part, to) != 0))
		status = oc_fail_errno(err, errno, "writing %s", to);
	if (status != OC_OK && out >= 0)
		(void)unlink(part);
	if (in >= 0)
		close(in);
	if (out >= 0)
		close(out);
	return status;
}

static oc_status copy_tree(const oc_migration *m, const char *from, const char *to, int depth, tally *t, oc_err *err);

static oc_status copy_folder(const oc_migration *m, const char *from, const char *to, int depth, tally *t, oc_err *err)
{
	oc_status status = m->act ? oc_path_mkdirs(to, 0700, err) : OC_OK;
	DIR *dir = status == OC_OK ? opendir(from) : NULL;
	if (status == OC_OK && dir == NULL)
		return oc_fail_errno(err, errno, "reading %s", from);
	for (struct dirent *d; status == OC_OK && (d = readdir(dir)) != NULL;) {
		if (strcmp(d->d_name, ".") == 0 || strcmp(d->d_name, "..") == 0)
			continue;
		oc_auto_free char *a = oc_path_join(from, d->d_name), *b = oc_path_join(to, d->d_name);
		status = a != NULL && b != NULL ? copy_tree(m, a, b, depth + 1, t, err)
						: oc_fail(err, OC_E_NOMEM, NULL, "cannot copy %s", from);
	}
	if (dir != NULL)
		closedir(dir);
	return status;
}

/* Links are not followed: they may lead anywhere, and what they lead to is there as well. */
static oc_status copy_tree(const oc_migration *m, const char *from, const char *to, int depth, tally *t, oc_err *err)
{
	struct stat st, there;
	if (lstat(from, &st) != 0)
		return errno == ENOENT ? OC_OK : oc_fail_errno(err, errno, "looking at %s", from);
	if (depth > DEPTH_MAX)
		return oc_fail(err, OC_E_LIMIT, NULL, "%s is more than %d folders deep", from, DEPTH_MAX);
	if (S_ISDIR(st.st_mode))
		return copy_folder(m, from, to, depth, t, err);
	if (!S_ISREG(st.st_mode)) {
		t->other++;
		return OC_OK;
	}
	if (lstat(to, &there) == 0) {
		t->kept++;
		return OC_OK;
	}
	t->copied++;
	return m->act ? copy_file(from, to, st.st_mode, err) : OC_OK;
}

/* A file or folder of the state folder, under the same name here. */
static void take(oc_migration *m, const char *part, const char *name, const char *as)
{
	oc_auto_free char *from = oc_path_join(m->from, name), *to = oc_path_join(m->to, as), *base = to != NULL ? oc_strdup(to) : NULL;
	tally t = {0};
	oc_err err = {0};
	if (from == NULL || base == NULL || !oc_path_exists(from))
		return;
	if (m->in_place) {
		oc_migration_note(m, part, name, "use", "%s", "");
		return;
	}
	*strrchr(base, '/') = 0;
	oc_status status = m->act ? oc_path_mkdirs(base, 0700, &err) : OC_OK;
	if (status == OC_OK)
		status = copy_tree(m, from, to, 0, &t, &err);
	if (status != OC_OK) {
		oc_migration_fail(m, part, name, &err);
		return;
	}
	oc_auto_free char *links = t.other > 0 ? oc_asprintf("; %zu links or other things that are no files are left out", t.other) : NULL;
	if (t.copied > 0)
		oc_migration_note(m, part, name, "copy", "%zu file%s%s", t.copied, t.copied == 1 ? "" : "s", links != NULL ? links : "");
	else
		oc_migration_note(m, part, name, "keep", "what is here already stays%s", links != NULL ? links : "");
}

/* ---- The parts ---- */

static void note_problems(oc_migration *m)
{
	size_t n = m->config != NULL ? oc_config_problem_count(m->config) : 0;
	for (size_t i = 0; i < n && i < PROBLEMS_SHOWN; i++) {
		const oc_config_problem *p = oc_config_problem_at(m->config, i);
		oc_migration_note(m, "setting", p->path, "skip", "%s", p->message);
	}
	if (n > PROBLEMS_SHOWN)
		oc_migration_note(m, "setting", "", "skip", "and %zu more: openclaw doctor names them all", n - PROBLEMS_SHOWN);
}

const char *oc_migrate_config_name(const char *from)
{
	static const char *const names[] = {"openclaw.json", "clawdbot.json", "moltbot.json"};
	for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
		oc_auto_free char *path = oc_path_join(from, names[i]);
		if (path != NULL && oc_path_exists(path))
			return names[i];
	}
	return NULL;
}

/* What $include brings in: below the source under the same name here, elsewhere it stays and is used. */
static void take_included(oc_migration *m)
{
	oc_auto_free char *root = realpath(m->from, NULL);
	const char *path;
	for (size_t i = 0; root != NULL && m->config != NULL && (path = oc_config_included(m->config, i)) != NULL; i++) {
		oc_auto_free char *real = realpath(path, NULL);
		size_t n = strlen(root);
		if (real != NULL && strncmp(real, root, n) == 0 && real[n] == '/')
			take(m, "configuration", real + n + 1, real + n + 1);
		else
			oc_migration_note(m, "configuration", path, "use", "%s", "");
	}
}

static void take_config(oc_migration *m)
{
	const char *name = oc_migrate_config_name(m->from);
	if (name == NULL)
		return;
	take(m, "configuration", name, "openclaw.json");
	take_included(m);
	note_problems(m);
}

static int by_name(const struct dirent **a, const struct dirent **b)
{
	return strcmp((*a)->d_name, (*b)->d_name);
}

void oc_migrate_each(oc_migration *m, const char *folder, void (*each)(oc_migration *m, const char *name))
{
	oc_auto_free char *path = oc_path_join(m->from, folder);
	struct dirent **list = NULL;
	int n = path != NULL ? scandir(path, &list, NULL, by_name) : 0;
	for (int i = 0; i < n; i++) {
		if (list[i]->d_name[0] != '.')
			each(m, list[i]->d_name);
		free(list[i]);
	}
	free(list);
}

static cJSON *read_object(const char *path)
{
	oc_auto_free char *text = NULL;
	cJSON *o = NULL;
	size_t n = 0;
	if (path != NULL && oc_path_exists(path) && oc_path_read(path, (size_t)4 << 20, &text, &n, NULL) == OC_OK)
		(void)oc_json_parse((oc_str){text, n}, NULL, &o, NULL);
	if (text != NULL)
		oc_wipe(text, n);
	return o;
}

/* A login of an older release: {"<provider>":{…}}, of type `type` when it does not say, as the profile "<provider>:default". */
static void take_old_logins(oc_migration *m, const char *agent, const char *file, const char *type)
{
	oc_auto_free char *from = oc_path_join(m->from, file), *to = oc_auth_file_path(m->to, agent);
	cJSON *theirs = read_object(from), *ours = NULL, *one;
	size_t taken = 0;
	oc_err err = {0};
	if (theirs == NULL || to == NULL || oc_json_get(theirs, "profiles") != NULL) {
		oc_auth_file_wipe(theirs);
		cJSON_Delete(theirs);
		return;
	}
	if (m->in_place) {
		oc_migration_note(m, "logins", file, "skip", "put them into agents/%s/agent/auth-profiles.json", agent);
		oc_auth_file_wipe(theirs);
		cJSON_Delete(theirs);
		return;
	}
	oc_status status = oc_auth_file_read(to, &ours, &err);
	if (status == OC_E_NOT_FOUND)
		status = OC_OK;
	cJSON_ArrayForEach(one, theirs)
	{
		oc_auto_free char *profile = oc_asprintf("%s:default", one->string);
		if (status != OC_OK || profile == NULL || !cJSON_IsObject(one) || oc_json_get(oc_json_get(ours, "profiles"), profile) != NULL)
			continue;
		cJSON *credential = cJSON_Duplicate(one, true);
		if (oc_json_get(credential, "type") == NULL)
			(void)oc_json_set_str(credential, "type", oc_json_get(credential, "access") != NULL ? "oauth" : type);
		if (oc_json_get(credential, "provider") == NULL)
			(void)oc_json_set_str(credential, "provider", one->string);
		if (m->act)
			status = oc_auth_file_save(to, profile, credential, &err);
		oc_auth_file_wipe(credential);
		cJSON_Delete(credential);
		taken += status == OC_OK;
	}
	if (status != OC_OK)
		oc_migration_fail(m, "logins", file, &err);
	else if (cJSON_GetArraySize(theirs) > 0)
		oc_migration_note(m, "logins", file, taken > 0 ? "import" : "same", "%zu, into auth-profiles.json of %s", taken, agent);
	oc_auth_file_wipe(theirs);
	cJSON_Delete(theirs);
	oc_auth_file_wipe(ours);
	cJSON_Delete(ours);
}

static void take_logins(oc_migration *m, const char *agent)
{
	oc_auto_free char *name = oc_asprintf("agents/%s/agent/auth-profiles.json", agent), *old = oc_asprintf("agents/%s/agent/auth.json", agent);
	if (name == NULL || old == NULL)
		return;
	take(m, "logins", name, name);
	take_old_logins(m, agent, old, "api_key");
}

/* What channels keep there, but for lists of senders, codes that live for an hour, and logins. */
static void take_credential(oc_migration *m, const char *name)
{
	oc_str text = oc_str_of(name);
	oc_auto_free char *path = oc_asprintf("credentials/%s", name);
	if (path == NULL || oc_str_ends(text, "-allowFrom.json") || oc_str_ends(text, "-pairing.json") || oc_str_eqz(text, "oauth.json")
	    || oc_str_eqz(text, "gateway-token"))
		return;
	take(m, "logins", path, path);
}

/* workspace, workspace-<agent>, workspace-<profile>; others are named by the configuration and stay where they are. */
static void take_workspace(oc_migration *m, const char *name)
{
	if (strcmp(name, "workspace") == 0 || strncmp(name, "workspace-", 10) == 0)
		take(m, "workspace", name, name);
}

static void note_database(oc_migration *m)
{
	oc_auto_free char *database = oc_path_join(m->from, "state/openclaw.sqlite");
	if (database != NULL && oc_path_exists(database))
		oc_migration_note(m, "session", "state/openclaw.sqlite", "skip",
				  "sessions that a release from 2026.6 on keeps in a database are not read");
}

void oc_migrate_files(oc_migration *m)
{
	take_config(m);
	take(m, "configuration", ".env", ".env");
	oc_migrate_each(m, "agents", take_logins);
	take_old_logins(m, "main", "credentials/oauth.json", "oauth");
	oc_migrate_each(m, "credentials", take_credential);
	take(m, "devices", "identity/device.json", "identity/device.json");
	take(m, "devices", "devices/paired.json", "devices/paired.json");
	oc_migrate_each(m, "", take_workspace);
	take(m, "skills", "skills", "skills");
	take(m, "plugins", "extensions", "extensions");
	note_database(m);
}

/* ---- Senders ---- */

/* "telegram-allowFrom.json", "telegram-work-allowFrom.json"; a channel's name may have a dash as well ("nextcloud-talk"). */
static void split_name(const oc_migration *m, char *channel, const char **ret_account)
{
	char path[160];
	char *dash = strrchr(channel, '-');
	*ret_account = "default";
	snprintf(path, sizeof path, "channels.%s", channel);
	if (dash == NULL || (m->config != NULL && oc_config_get(m->config, path) != NULL))
		return;
	snprintf(path, sizeof path, "channels.%.*s", (int)(dash - channel), channel);
	if (strcmp(dash, "-default") == 0 || (m->config != NULL && oc_config_get(m->config, path) != NULL)) {
		*dash = 0;
		*ret_account = dash + 1;
	}
}

static void let_in(oc_migration *m, const char *channel, const char *account, const char *sender)
{
	size_t n = strlen(channel);
	oc_err err = {0};
	if (strncmp(sender, channel, n) == 0 && sender[n] == ':')
		sender += n + 1;
	oc_auto_free char *name = oc_asprintf("%s %s", channel, sender);
	if (sender[0] == 0 || name == NULL)
		return;
	if (m->store != NULL && oc_pairing_allowed(m->store, channel, account, sender)) {
		oc_migration_note(m, "sender", name, "same", "%s", "");
		return;
	}
	if (m->act && oc_pairing_allow(m->store, channel, account, sender, "migrate", &err) != OC_OK)
		oc_migration_fail(m, "sender", name, &err);
	else
		oc_migration_note(m, "sender", name, "import", "%s", "");
}

static void take_senders(oc_migration *m, const char *file)
{
	static const char tail[] = "-allowFrom.json";
	char channel[65];
	const char *account;
	size_t n = strlen(file), size = 0;
	oc_auto_free char *path = oc_asprintf("%s/credentials/%s", m->from, file), *text = NULL;
	oc_auto_json cJSON *o = NULL;
	const cJSON *sender;
	oc_err err = {0};
	if (path == NULL || !oc_str_ends(oc_str_of(file), tail) || n - (sizeof tail - 1) >= sizeof channel)
		return;
	snprintf(channel, sizeof channel, "%.*s", (int)(n - (sizeof tail - 1)), file);
	split_name(m, channel, &account);
	oc_status status = oc_path_read(path, (size_t)1 << 20, &text, &size, &err);
	if (status == OC_OK)
		status = oc_json_parse((oc_str){text, size}, NULL, &o, &err);
	if (status != OC_OK) {
		oc_migration_fail(m, "sender", file, &err);
		return;
	}
	cJSON_ArrayForEach(sender, oc_json_get(o, "allowFrom"))
	{
		char number[32];
		snprintf(number, sizeof number, "%.0f", cJSON_IsNumber(sender) ? sender->valuedouble : 0);
		let_in(m, channel, account, cJSON_IsString(sender) ? sender->valuestring : cJSON_IsNumber(sender) ? number : "");
	}
}

void oc_migrate_senders(oc_migration *m)
{
	oc_migrate_each(m, "credentials", take_senders);
}
