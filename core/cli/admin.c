/*
 * openclaw admin: who may log in to the gateway, and who has.
 *
 * A running gateway is asked, which then closes what a change makes invalid; without one the store is read and written here.
 * Passwords come from the terminal or from stdin, never from the command line, which every process can read.
 */
#include <string.h>
#include <unistd.h>

#include "core/base/clock.h"
#include "core/base/mem.h"
#include "core/base/path.h"
#include "core/cli/commands.h"
#include "core/cli/remote.h"
#include "core/gateway/access.h"
#include "core/gateway/password.h"

static oc_status open_store(int mode, oc_store **ret, oc_err *err)
{
	oc_auto_free char *path = oc_path_state("openclaw.db");
	return path == NULL ? oc_fail(err, OC_E_NOMEM, NULL, "out of memory") : oc_store_open(path, NULL, mode, ret, err);
}

/* ---- Without a gateway ---- */

static oc_status list_here(const char *method, const cJSON *params, cJSON **ret, oc_err *err)
{
	oc_store *store = NULL;
	cJSON *list = NULL;
	bool users = strcmp(method, "users.list") == 0;
	oc_status status = open_store(OC_STORE_SHARED, &store, err); /* which brings an older one up to date */
	if (status == OC_OK)
		status = users ? oc_users_list(store, &list, err) : oc_logins_list(store, oc_json_str(params, "user", NULL), &list, err);
	oc_store_close(store);
	if (status != OC_OK)
		return status;
	*ret = cJSON_CreateObject();
	(void)oc_json_set(*ret, users ? "users" : "sessions", list);
	return OC_OK;
}

static oc_status change_here(const char *method, const cJSON *params, oc_err *err)
{
	oc_store *store = NULL;
	oc_str password = oc_json_ostr(params, "password");
	const cJSON *disabled = oc_json_get(params, "disabled");
	oc_user_change change = {.what = OC_USER_SET, .disabled = disabled != NULL ? cJSON_IsTrue(disabled) : -1};
	oc_login_end end = {.id = oc_json_i64(params, "id", 0)};
	bool ends = strcmp(method, "auth.revoke") == 0;
	if (strcmp(method, "users.create") == 0)
		change.what = OC_USER_ADD;
	else if (strcmp(method, "users.delete") == 0)
		change.what = OC_USER_REMOVE;
	(void)snprintf(change.name, sizeof change.name, "%s", oc_json_str(params, "name", ""));
	(void)snprintf(change.role, sizeof change.role, "%s", oc_json_str(params, "role", ""));
	(void)snprintf(end.user, sizeof end.user, "%s", oc_json_str(params, "user", ""));
	oc_status status = password.n > 0 ? oc_password_hash(password, change.password, err) : OC_OK;
	if (status == OC_OK)
		status = open_store(OC_STORE_SHARED, &store, err);
	if (status == OC_OK)
		status = oc_store_write_now(store, ends ? oc_login_tx_end : oc_user_tx_change, ends ? (void *)&end : (void *)&change, err);
	oc_store_close(store);
	oc_wipe(&change, sizeof change);
	return status;
}

/* Takes params. */
static oc_status ask(const char *method, cJSON *params, cJSON **ret, oc_err *err)
{
	if (oc_remote_alive())
		return oc_remote_call(method, params, 60000, ret, err);
	bool lists = strcmp(method, "users.list") == 0 || strcmp(method, "auth.sessions") == 0;
	oc_status status = lists ? list_here(method, params, ret, err) : change_here(method, params, err);
	cJSON *password = cJSON_GetObjectItemCaseSensitive(params, "password");
	if (cJSON_IsString(password))
		oc_wipe(password->valuestring, strlen(password->valuestring));
	cJSON_Delete(params);
	return status;
}

/* ---- Lists ---- */

static int show(const oc_args *args, const char *method, cJSON *params, const char *member, void (*print)(const cJSON *list))
{
	oc_err err = {0};
	oc_auto_json cJSON *result = NULL;
	if (ask(method, params, &result, &err) != OC_OK)
		return oc_cli_fail(&err);
	if (oc_arg_flag(args, "json"))
		return oc_cli_print_json(cJSON_DetachItemFromObjectCaseSensitive(result, member));
	print(oc_json_get(oc_cli_clean(result), member));
	return OC_EXIT_OK;
}

static const char *when(const cJSON *row, const char *name, char out[32])
{
	int64_t ms = oc_json_i64(row, name, 0);
	return ms > 0 ? oc_wall_format(ms, out, 32) : "-";
}

static void print_users(const cJSON *list)
{
	static const char *const heads[] = {"NAME", "ROLE", "STATE", "LAST LOGIN", "SESSIONS"};
	const cJSON *r;
	if (cJSON_GetArraySize(list) == 0) {
		puts("There are no users. The gateway's own token lets its owner in; add somebody: openclaw admin user add NAME --role operator");
		return;
	}
	oc_table *table = oc_table_new(heads, sizeof heads / sizeof heads[0]);
	cJSON_ArrayForEach(r, list)
	{
		char last[32], sessions[24];
		(void)snprintf(sessions, sizeof sessions, "%lld", (long long)oc_json_i64(r, "sessions", 0));
		const char *cells[] = {oc_json_str(r, "name", ""), oc_json_str(r, "role", ""),
				       oc_json_bool(r, "disabled", false) ? "disabled" : "active", when(r, "lastLoginAt", last), sessions};
		oc_table_row(table, cells);
	}
	oc_table_print(table, stdout);
}

static void print_sessions(const cJSON *list)
{
	static const char *const heads[] = {"ID", "USER", "ROLE", "SINCE", "UNTIL", "FROM", "CLIENT"};
	const cJSON *r;
	if (cJSON_GetArraySize(list) == 0) {
		puts("Nobody is logged in.");
		return;
	}
	oc_table *table = oc_table_new(heads, sizeof heads / sizeof heads[0]);
	cJSON_ArrayForEach(r, list)
	{
		char since[32], until[32], id[24];
		(void)snprintf(id, sizeof id, "%lld", (long long)oc_json_i64(r, "id", 0));
		const char *cells[] = {id, oc_json_str(r, "user", ""), oc_json_str(r, "role", ""), when(r, "createdAt", since),
				       when(r, "expiresAt", until), oc_json_str(r, "address", ""), oc_json_str(r, "client", "")};
		oc_table_row(table, cells);
	}
	oc_table_print(table, stdout);
}

static int run_list(const oc_args *args)
{
	return show(args, "users.list", NULL, "users", print_users);
}

static int run_sessions(const oc_args *args)
{
	cJSON *params = cJSON_CreateObject();
	oc_json_opt(params, "user", args->n_pos > 0 ? args->pos[0] : NULL);
	return show(args, "auth.sessions", params, "sessions", print_sessions);
}

/* ---- Changes ---- */

/* Takes params; name of the user. */
static int change(const oc_args *args, const char *method, cJSON *params, const char *said)
{
	oc_err err = {0};
	oc_auto_json cJSON *result = NULL;
	const char *name = args->pos[0], *role = oc_json_str(params, "role", "admin");
	bool names = strncmp(method, "users.", 6) == 0;
	oc_status status = OC_OK;
	if (names)
		(void)oc_json_set_str(params, "name", name);
	if (names && !oc_user_name_ok(name))
		status = oc_fail(&err, OC_E_INVALID, NULL, "a user's name has 1 to %d letters, digits and ._@+-", OC_USER_NAME_MAX);
	else if (oc_role_scopes(role) == 0)
		status = oc_fail(&err, OC_E_INVALID, NULL, "there is no role \"%.40s\"; roles are " OC_ROLES, role);
	if (status != OC_OK)
		cJSON_Delete(params);
	else
		status = ask(method, params, &result, &err);
	if (status != OC_OK)
		return oc_cli_fail(&err);
	if (oc_arg_flag(args, "json")) {
		cJSON *o = cJSON_CreateObject();
		(void)oc_json_set_bool(o, "ok", true);
		return oc_cli_print_json(o);
	}
	printf("%s %s\n", name, said);
	return OC_EXIT_OK;
}

/* From the terminal, twice, or one line of stdin. NULL: what is wrong was said. The caller wipes and frees. */
static char *read_password(const oc_args *args, const char *name)
{
	bool terminal = isatty(0) != 0;
	oc_auto_free char *question = oc_asprintf("Password for %s (at least %d characters):", name, OC_PASSWORD_MIN);
	oc_err err = {0};
	char line[OC_PASSWORD_MAX + 2];
	char *password = NULL;
	if (terminal && question != NULL)
		password = oc_cli_ask(question, "", true);
	else if (fgets(line, sizeof line, stdin) != NULL)
		password = oc_memdup(line, strcspn(line, "\r\n"));
	oc_wipe(line, sizeof line);
	if (password == NULL) {
		(void)oc_cli_usage(args, "give the password on stdin, or use a terminal");
		return NULL;
	}
	char *again = terminal ? oc_cli_ask("Once more:", "", true) : NULL;
	bool same = !terminal || (again != NULL && strcmp(again, password) == 0);
	if (again != NULL)
		oc_wipe(again, strlen(again));
	oc_free(again);
	if (!same || oc_password_ok(oc_str_of(password), &err) != OC_OK) {
		if (!same)
			(void)oc_fail(&err, OC_E_INVALID, NULL, "the two passwords are not the same");
		(void)oc_cli_fail(&err);
		oc_wipe(password, strlen(password));
		oc_free(password);
		return NULL;
	}
	return password;
}

static int change_password(const oc_args *args, const char *method, cJSON *params, const char *said)
{
	char *password = read_password(args, args->pos[0]);
	if (password == NULL) {
		cJSON_Delete(params);
		return OC_EXIT_FAILED;
	}
	(void)oc_json_set_str(params, "password", password);
	oc_wipe(password, strlen(password));
	oc_free(password);
	return change(args, method, params, said);
}

static int run_add(const oc_args *args)
{
	cJSON *params = cJSON_CreateObject();
	const char *role = oc_arg(args, "role");
	if (role == NULL || oc_role_scopes(role) == 0) {
		cJSON_Delete(params);
		return oc_cli_usage(args, "give --role: one of " OC_ROLES);
	}
	(void)oc_json_set_str(params, "role", role);
	return change_password(args, "users.create", params, "may log in now.");
}

static int run_passwd(const oc_args *args)
{
	return change_password(args, "users.update", cJSON_CreateObject(), "has a new password, and must log in again.");
}

static int run_role(const oc_args *args)
{
	cJSON *params = cJSON_CreateObject();
	(void)oc_json_set_str(params, "role", args->pos[1]);
	return change(args, "users.update", params, "has another role, and must log in again.");
}

static int set_disabled(const oc_args *args, bool disabled, const char *said)
{
	cJSON *params = cJSON_CreateObject();
	(void)oc_json_set_bool(params, "disabled", disabled);
	return change(args, "users.update", params, said);
}

static int run_disable(const oc_args *args)
{
	return set_disabled(args, true, "may not log in any more, and is logged out.");
}

static int run_enable(const oc_args *args)
{
	return set_disabled(args, false, "may log in again.");
}

static int run_remove(const oc_args *args)
{
	if (!oc_cli_agreed(args, "a user is not removed without being asked for", "Remove the user %s?", args->pos[0]))
		return OC_EXIT_FAILED;
	return change(args, "users.delete", cJSON_CreateObject(), "is removed, and logged out.");
}

/* By number, or all of a user: 007 is a name, and 7 is one with --user. */
static int run_revoke(const oc_args *args)
{
	cJSON *params = cJSON_CreateObject();
	int64_t id = 0;
	if (!oc_arg_flag(args, "user") && args->pos[0][0] != '0' && oc_str_i64(oc_str_of(args->pos[0]), 1, INT64_MAX, &id) == OC_OK)
		(void)oc_json_set_i64(params, "id", id);
	else
		(void)oc_json_set_str(params, "user", args->pos[0]);
	return change(args, "auth.revoke", params, "is logged out.");
}

#define JSON_OPT {"json", 0, NULL, "one JSON document"}
static const oc_opt json_opt[] = {JSON_OPT, {0}};
static const oc_opt add_opt[] = {{"role", 0, "ROLE", "admin, operator or viewer"}, JSON_OPT, {0}};
static const oc_opt logout_opt[] = {{"user", 0, NULL, "it is a user's name, though it looks like a number"}, JSON_OPT, {0}};
static const oc_opt remove_opt[] = {{"yes", 0, NULL, "do not ask"}, JSON_OPT, {0}};
#define ONE .min_args = 1, .max_args = 1

static const oc_command list_command = {.name = "list", .summary = "who may log in", .opts = json_opt, .run = run_list};
static const oc_command add_command = {
	.name = "add", .args = "NAME", .summary = "let somebody log in", .opts = add_opt, ONE, .run = run_add,
	.help = "  openclaw admin user add anna --role operator\n  pass show anna | openclaw admin user add anna --role operator\n"};
static const oc_command passwd_command = {.name = "passwd", .args = "NAME", .summary = "give a user another password", .opts = json_opt, ONE, .run = run_passwd};
static const oc_command role_command = {
	.name = "role", .args = "NAME ROLE", .summary = "give a user another role", .opts = json_opt, .min_args = 2, .max_args = 2, .run = run_role};
static const oc_command disable_command = {.name = "disable", .args = "NAME", .summary = "let a user log in no longer", .opts = json_opt, ONE, .run = run_disable};
static const oc_command enable_command = {.name = "enable", .args = "NAME", .summary = "let a disabled user log in again", .opts = json_opt, ONE, .run = run_enable};
static const oc_command remove_command = {.name = "remove", .args = "NAME", .summary = "remove a user", .opts = remove_opt, ONE, .run = run_remove};
static const oc_command *const user_subs[] = {&list_command, &add_command, &passwd_command, &role_command, &disable_command, &enable_command,
					      &remove_command, NULL};
static const oc_command user_command = {
	.name = "user", .summary = "who may log in", .subs = user_subs,
	.help = "An admin may do everything, an operator may use the agents and let devices in, a viewer may look on.\n"
		"The password is asked for on the terminal, or read as one line from stdin.\n"};
static const oc_command sessions_command = {
	.name = "sessions", .args = "[NAME]", .summary = "who is logged in", .opts = json_opt, .max_args = 1, .run = run_sessions};
static const oc_command logout_command = {
	.name = "logout", .args = "ID|NAME", .summary = "end a session, or all of a user", .opts = logout_opt, ONE, .run = run_revoke};
static const oc_command *const subs[] = {&user_command, &sessions_command, &logout_command, NULL};

const oc_command oc_cmd_admin = {
	.name = "admin",
	.summary = "users of the gateway, their roles and sessions",
	.help = "The gateway's own token lets its owner in; users are for everybody else.  They log in at /auth/login with a browser, or\n"
		"with the method auth.login, and the session lasts gateway.auth.sessionHours.\n",
	.subs = subs,
};
