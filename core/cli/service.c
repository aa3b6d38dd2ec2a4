#include "core/cli/service.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pwd.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "core/base/clock.h"
#include "core/base/mem.h"
#include "core/base/path.h"
#include "core/base/str.h"
#include "core/cli/commands.h"
#include "core/cli/remote.h"

#define UNIT "openclaw.service"
#define START_MS 20000
#define OUTPUT_MAX (64 << 10) /* of a gateway that did not start */

static void nap(void)
{
	nanosleep(&(struct timespec){.tv_nsec = 20000000}, NULL);
}

/* The socket is closed before the store is: only when the process is gone may another one start. */
static bool has_ended(int process)
{
	return process < 0 ? oc_remote_gone() : poll(&(struct pollfd){.fd = process, .events = POLLIN}, 1, 0) > 0;
}

static int shut_down(int process, unsigned timeout_ms)
{
	oc_err err = {0};
	cJSON *result = NULL;
	if (oc_remote_call("system.shutdown", NULL, 0, &result, &err) != OC_OK)
		return oc_remote_fail(&err);
	cJSON_Delete(result);
	for (uint64_t end = oc_now_ms() + timeout_ms; !has_ended(process); nap()) {
		if (oc_now_ms() < end)
			continue;
		oc_fail(&err, OC_E_TIMEOUT, "`openclaw gateway stop` again stops it at once",
			"the gateway still finishes its work after %u seconds", timeout_ms / 1000);
		return oc_cli_fail(&err);
	}
	return OC_EXIT_OK;
}

int oc_service_stop_gateway(unsigned timeout_ms)
{
	int process = oc_remote_process();
	int code = shut_down(process, timeout_ms);
	if (process >= 0)
		close(process);
	return code;
}

static char *own_path(void)
{
	char path[4096];
	ssize_t n = readlink("/proc/self/exe", path, sizeof path - 1);
	return n > 0 ? oc_memdup(path, (size_t)n) : NULL;
}

/* Runs a program with its output thrown away when quiet; its exit code, 127 when it could not be run. */
static int run_program(const char *const *argv, bool quiet)
{
	posix_spawn_file_actions_t actions;
	pid_t pid;
	posix_spawn_file_actions_init(&actions);
	if (quiet) {
		posix_spawn_file_actions_addopen(&actions, 1, "/dev/null", O_WRONLY, 0);
		posix_spawn_file_actions_addopen(&actions, 2, "/dev/null", O_WRONLY, 0);
	}
	int failed = posix_spawnp(&pid, argv[0], &actions, NULL, (char *const *)(uintptr_t)argv, environ);
	posix_spawn_file_actions_destroy(&actions);
	int state = 0;
	if (failed != 0)
		return 127;
	while (waitpid(pid, &state, 0) < 0)
		if (errno != EINTR)
			return 127;
	return WIFEXITED(state) ? WEXITSTATUS(state) : 128;
}

/* Its last line says why, with the log's words before it. */
static void ended_at_once(const char *out, oc_err *err)
{
	static const char before[] = "cannot start: ";
	char *text = NULL, remedy[256];
	size_t n = 0;
	(void)oc_path_read(out, OUTPUT_MAX, &text, &n, NULL);
	oc_str all = oc_str_trim(oc_str_make(text, n));
	const char *line = all.n > 0 ? memrchr(all.p, '\n', all.n) : NULL;
	oc_str last = line == NULL ? all : oc_str_make(line + 1, (size_t)(all.p + all.n - line - 1));
	const char *why = last.n > 0 ? memmem(last.p, last.n, before, sizeof before - 1) : NULL;
	if (why != NULL)
		last = oc_str_make(why + sizeof before - 1, (size_t)(last.p + last.n - why) - (sizeof before - 1));
	snprintf(remedy, sizeof remedy, "`openclaw gateway run` shows all of it, and so does %s", out);
	oc_fail(err, OC_E_STATE, remedy, "the gateway ended at once%s%.*s", last.n > 0 ? ": " : "", OC_STR_ARG(last));
	oc_free(text);
}

int oc_service_start_background(void)
{
	oc_err err = {0};
	oc_auto_free char *self = own_path(), *logs = oc_path_state("logs");
	oc_auto_free char *out = oc_path_state("logs/gateway.out");
	if (self == NULL || out == NULL || logs == NULL || oc_path_mkdirs(logs, 0700, &err) != OC_OK)
		return oc_cli_fail(&err);
	posix_spawn_file_actions_t actions;
	posix_spawnattr_t attributes;
	posix_spawn_file_actions_init(&actions);
	posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0);
	posix_spawn_file_actions_addopen(&actions, 1, out, O_WRONLY | O_CREAT | O_TRUNC, 0600);
	posix_spawn_file_actions_adddup2(&actions, 1, 2);
	posix_spawnattr_init(&attributes);
	posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSID);
	const char *const argv[] = {self, "gateway", "run", NULL};
	pid_t pid;
	int failed = posix_spawn(&pid, self, &actions, &attributes, (char *const *)(uintptr_t)argv, environ);
	posix_spawn_file_actions_destroy(&actions);
	posix_spawnattr_destroy(&attributes);
	if (failed != 0) {
		oc_fail_errno(&err, failed, "starting %s", self);
		return oc_cli_fail(&err);
	}
	for (uint64_t end = oc_now_ms() + START_MS; oc_now_ms() < end; nap()) {
		int state;
		if (waitpid(pid, &state, WNOHANG) == pid) {
			ended_at_once(out, &err);
			return oc_cli_fail(&err);
		}
		if (oc_remote_alive()) {
			printf("started in the background (pid %d); `openclaw status` tells more\n", (int)pid);
			return OC_EXIT_OK;
		}
	}
	oc_fail(&err, OC_E_TIMEOUT, "see `openclaw logs`", "the gateway does not answer after %d seconds", START_MS / 1000);
	return oc_cli_fail(&err);
}

/* "--user" or "--system", whichever has our unit active; NULL: neither. */
static const char *active_scope(void)
{
	static const char *const scopes[] = {"--user", "--system"};
	if (access("/run/systemd/system", F_OK) != 0)
		return NULL;
	for (size_t i = 0; i < 2; i++) {
		const char *const argv[] = {"systemctl", scopes[i], "is-active", "--quiet", UNIT, NULL};
		if (run_program(argv, true) == 0)
			return scopes[i];
	}
	return NULL;
}

bool oc_service_is_active(void)
{
	return active_scope() != NULL;
}

int oc_service_restart(void)
{
	const char *scope = active_scope();
	const char *const argv[] = {"systemctl", scope != NULL ? scope : "--user", "restart", UNIT, NULL};
	return run_program(argv, false) == 0 ? OC_EXIT_OK : OC_EXIT_FAILED;
}

/* ---- openclaw daemon ---- */

/*
 * What is not in the unit and why: RestrictNamespaces, ProtectProc, ProtectKernelTunables and SystemCallFilter would take
 * away what the sandbox of tools is made of (user namespaces, a /proc of its own), MemoryDenyWriteExecute what Node needs.
 */
static const char unit_text[] =
	"[Unit]\n"
	"Description=OpenClaw gateway\n"
	"After=network-online.target\n"
	"Wants=network-online.target\n"
	"StartLimitIntervalSec=300\n"
	"StartLimitBurst=10\n"
	"\n"
	"[Service]\n"
	"Type=notify\n"
	"ExecStart=%s gateway run\n"
	"ExecReload=/bin/kill -HUP $MAINPID\n"
	"Environment=%s\n"
	"EnvironmentFile=-%s/.env\n"
	"%s"
	"Restart=on-failure\n"
	"RestartSec=2\n"
	"TimeoutStopSec=45\n"
	"KillMode=mixed\n"
	"UMask=0077\n"
	"LimitNOFILE=65536\n"
	"LimitCORE=0\n"
	"NoNewPrivileges=yes\n"
	"LockPersonality=yes\n"
	"RestrictRealtime=yes\n"
	"RestrictSUIDSGID=yes\n"
	"%s"
	"\n"
	"[Install]\n"
	"WantedBy=%s\n";

/* What a manager without privileges cannot do: in a user's unit each of these ends it with 218/CAPABILITIES. */
static const char system_text[] = "ProtectSystem=full\n"
				  "PrivateTmp=yes\n"
				  "ProtectClock=yes\n"
				  "ProtectHostname=yes\n"
				  "ProtectKernelModules=yes\n"
				  "CapabilityBoundingSet=";

/* As systemd reads it back: % begins a specifier everywhere, quotes and backslashes count inside quotes, $ in commands. */
static char *unit_word(const char *text, bool quoted, bool command)
{
	oc_sbuf b;
	oc_sbuf_init(&b, 16384);
	oc_sbuf_z(&b, quoted ? "\"" : "");
	for (; *text != 0; text++) {
		if (*text == '%' || (command && *text == '$'))
			oc_sbuf_char(&b, *text);
		else if (quoted && (*text == '"' || *text == '\\'))
			oc_sbuf_char(&b, '\\');
		oc_sbuf_char(&b, *text);
	}
	oc_sbuf_z(&b, quoted ? "\"" : "");
	return oc_sbuf_take(&b);
}

/* The state folder of the unit: this command's, or that of the account it runs under. NULL: out of memory. */
static char *unit_state(const char *user)
{
	const char *given = getenv("OPENCLAW_STATE_DIR");
	const struct passwd *account = user != NULL && (given == NULL || given[0] == 0) ? getpwnam(user) : NULL;
	return account != NULL ? oc_path_join(account->pw_dir, ".openclaw") : oc_path_state_dir();
}

static char *make_unit(bool system, const char *user)
{
	oc_auto_free char *self = own_path(), *state = unit_state(user);
	oc_auto_free char *variable = state != NULL ? oc_asprintf("OPENCLAW_STATE_DIR=%s", state) : NULL;
	oc_auto_free char *who = user != NULL ? oc_asprintf("User=%s\n", user) : oc_strdup("");
	if (self == NULL || variable == NULL || who == NULL)
		return NULL;
	oc_auto_free char *program = unit_word(self, true, true), *environment = unit_word(variable, true, false);
	oc_auto_free char *folder = unit_word(state, false, false);
	if (program == NULL || environment == NULL || folder == NULL)
		return NULL;
	/* Root needs one capability, to be itself in the user namespace of a sandbox; others need none. */
	oc_auto_free char *fences = oc_asprintf("%s%s", system ? system_text : "", !system ? "" : user == NULL ? "CAP_SETFCAP\n" : "\n");
	if (fences == NULL)
		return NULL;
	return oc_asprintf(unit_text, program, environment, folder, who, fences, system ? "multi-user.target" : "default.target");
}

static char *unit_path(bool system)
{
	if (system)
		return oc_strdup("/etc/systemd/system/" UNIT);
	const char *config = getenv("XDG_CONFIG_HOME");
	oc_auto_free char *base = oc_path_expand(config != NULL && config[0] == '/' ? config : "~/.config", NULL);
	return base != NULL ? oc_path_join(base, "systemd/user/" UNIT) : NULL;
}

static int systemctl(bool system, const char *verb, const char *unit)
{
	const char *const argv[] = {"systemctl", system ? "--system" : "--user", verb, unit, NULL};
	oc_err err;
	if (access("/run/systemd/system", F_OK) != 0) {
		oc_fail(&err, OC_E_UNSUPPORTED, "run `openclaw gateway run` under your own supervisor, or `openclaw gateway restart`",
			"systemd does not run here");
		return oc_cli_fail(&err);
	}
	int code = run_program(argv, false);
	if (code == 127) {
		oc_fail(&err, OC_E_UNSUPPORTED, "run `openclaw gateway run` under your own supervisor",
			"this machine has no systemctl");
		oc_cli_fail(&err);
	}
	return code == 0 ? OC_EXIT_OK : OC_EXIT_FAILED;
}

static int install(bool system, const char *user, bool start)
{
	oc_err err = {0};
	oc_auto_free char *text = make_unit(system, user), *path = unit_path(system);
	oc_auto_free char *folder = path != NULL ? oc_strdup(path) : NULL;
	if (text == NULL || folder == NULL) {
		oc_fail(&err, OC_E_NOMEM, NULL, "writing the unit: out of memory");
		return oc_cli_fail(&err);
	}
	*strrchr(folder, '/') = 0;
	if (oc_path_mkdirs(folder, 0755, &err) != OC_OK || oc_path_write(path, text, strlen(text), 0644, &err) != OC_OK)
		return oc_cli_fail(&err);
	printf("wrote %s\n", path);
	if (access("/run/systemd/system", F_OK) != 0) {
		puts("systemd does not run here: nothing was started");
		return OC_EXIT_OK;
	}
	int code = systemctl(system, "daemon-reload", NULL);
	if (code == OC_EXIT_OK)
		code = systemctl(system, "enable", UNIT);
	if (code == OC_EXIT_OK && start)
		code = systemctl(system, "restart", UNIT);
	if (code == OC_EXIT_OK && !system)
		puts("to keep it running after logout: loginctl enable-linger");
	return code;
}

int oc_service_install(void)
{
	return install(false, NULL, true);
}

static int daemon_install(const oc_args *args)
{
	bool system = oc_arg_flag(args, "system");
	const char *user = oc_arg(args, "user");
	if (user != NULL && !system)
		return oc_cli_usage(args, "--user goes with --system: a user's unit runs under that user anyway");
	if (user != NULL && getpwnam(user) == NULL)
		return oc_cli_usage(args, "--user: there is no account \"%s\"", user);
	if (!oc_arg_flag(args, "print"))
		return install(system, user, !oc_arg_flag(args, "no-start"));
	oc_auto_free char *text = make_unit(system, user);
	fputs(text != NULL ? text : "", stdout);
	return text != NULL ? OC_EXIT_OK : OC_EXIT_FAILED;
}

static int daemon_uninstall(const oc_args *args)
{
	bool system = oc_arg_flag(args, "system");
	oc_auto_free char *path = unit_path(system);
	oc_err err;
	if (path == NULL || !oc_path_exists(path)) {
		oc_fail(&err, OC_E_NOT_FOUND, system ? "without --system it is the user's unit" : "with --system it is the system's unit",
			"there is no unit at %s", path != NULL ? path : "?");
		return oc_cli_fail(&err);
	}
	if (access("/run/systemd/system", F_OK) == 0) {
		systemctl(system, "stop", UNIT);
		systemctl(system, "disable", UNIT);
	}
	if (unlink(path) != 0) {
		oc_fail_errno(&err, errno, "removing %s", path);
		return oc_cli_fail(&err);
	}
	printf("removed %s; the state folder is untouched\n", path);
	return access("/run/systemd/system", F_OK) == 0 ? systemctl(system, "daemon-reload", NULL) : OC_EXIT_OK;
}

/* For programs: what systemctl's own words say to people. */
static int daemon_facts(bool system)
{
	const char *scope = system ? "--system" : "--user";
	const char *const enabled[] = {"systemctl", scope, "is-enabled", UNIT, NULL}, *const active[] = {"systemctl", scope, "is-active", UNIT, NULL};
	bool systemd = access("/run/systemd/system", F_OK) == 0;
	oc_auto_free char *path = unit_path(system);
	cJSON *o = cJSON_CreateObject();
	(void)oc_json_set_str(o, "unit", UNIT);
	(void)oc_json_set_str(o, "path", path != NULL ? path : "");
	(void)oc_json_set_bool(o, "systemd", systemd);
	(void)oc_json_set_bool(o, "installed", path != NULL && oc_path_exists(path));
	(void)oc_json_set_bool(o, "enabled", systemd && run_program(enabled, true) == 0);
	(void)oc_json_set_bool(o, "active", systemd && run_program(active, true) == 0);
	return oc_cli_print_json(o);
}

static int daemon_status(const oc_args *args)
{
	bool system = oc_arg_flag(args, "system");
	return oc_arg_flag(args, "json") ? daemon_facts(system) : systemctl(system, "status", UNIT);
}

static int daemon_verb(const oc_args *args)
{
	return systemctl(oc_arg_flag(args, "system"), args->command->name, UNIT);
}

#define SYSTEM_OPT {"system", 0, NULL, "the system's unit instead of the user's"}
static const oc_command install_command = {
	.name = "install",
	.summary = "write, enable and start a systemd unit (Type=notify, hardened)",
	.opts = (const oc_opt[]){SYSTEM_OPT,
				 {"user", 0, "NAME", "with --system: the account it runs under"},
				 {"no-start", 0, NULL, "enable only"},
				 {"print", 0, NULL, "print the unit and change nothing"},
				 {0}},
	.run = daemon_install,
};
static const oc_command uninstall_command = {
	.name = "uninstall",
	.summary = "stop, disable and remove the unit",
	.opts = (const oc_opt[]){SYSTEM_OPT, {0}},
	.run = daemon_uninstall,
};
static const oc_command start_command = {
	.name = "start", .summary = "start the unit", .opts = (const oc_opt[]){SYSTEM_OPT, {0}}, .run = daemon_verb};
static const oc_command stop_command = {
	.name = "stop", .summary = "stop the unit", .opts = (const oc_opt[]){SYSTEM_OPT, {0}}, .run = daemon_verb};
static const oc_command status_command = {
	.name = "status", .summary = "systemd's view of the unit",
	.opts = (const oc_opt[]){SYSTEM_OPT, {"json", 0, NULL, "one JSON document"}, {0}}, .run = daemon_status};

static const oc_command *const subs[] = {&install_command, &uninstall_command, &start_command,
					 &stop_command,    &status_command,    NULL};

const oc_command oc_cmd_daemon = {
	.name = "daemon",
	.summary = "the gateway as a systemd service",
	.subs = subs,
};
