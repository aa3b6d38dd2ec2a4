/* What the operator's rules make of a request for a process: level, network, limits, paths, environment. */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/base/log.h"
#include "core/base/mem.h"
#include "core/base/path.h"
#include "core/security/process_int.h"

#define DEFAULT_PATH "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

/* Folders and files with other programs' keys: relaxed shows the home folder, but not these. */
static const char *const secret_names[] = {".ssh", ".gnupg", ".aws", ".kube", ".docker", ".config/gcloud", ".netrc",
					   ".git-credentials", ".password-store"};

static bool below(const char *path, const char *folder)
{
	size_t n = strlen(folder);

	while (n > 1 && folder[n - 1] == '/')
		n--;
	return strncmp(path, folder, n) == 0 && (path[n] == 0 || path[n] == '/' || n == 1);
}

/* Keeps a string for as long as the policy. NULL stays NULL. */
static const char *keep(proc_policy *policy, char *owned)
{
	if (owned == NULL)
		return NULL;
	if (policy->n_owned == sizeof(policy->owned) / sizeof(policy->owned[0])) {
		oc_free(owned);
		return NULL;
	}
	policy->owned[policy->n_owned++] = owned;
	return owned;
}

/* The path without symbolic links, or as it is when it does not exist. */
static char *resolved(const char *path)
{
	char *real = realpath(path, NULL), *copy = oc_strdup(real != NULL ? real : path);

	free(real);
	return copy;
}

/* A path of a request: not our state, but for the folders that were opened up. */
static oc_status check_path(const oc_procs *procs, const char *path, oc_err *err)
{
	oc_auto_free char *real = NULL;
	oc_auto_free char *state = NULL;
	bool inside, allowed = false;

	if (path[0] != '/')
		return oc_fail(err, OC_E_INVALID, "give an absolute path", "the path \"%s\" is not absolute", path);
	real = resolved(path);
	state = resolved(procs->state_dir);
	if (real == NULL || state == NULL)
		return oc_fail(err, OC_E_NOMEM, NULL, "no memory for a path");
	inside = below(real, state);
	for (size_t i = 0; inside && !allowed && procs->open[i] != NULL; i++) {
		oc_auto_free char *open = resolved(procs->open[i]);

		allowed = open != NULL && below(real, open);
	}
	if (inside && !allowed)
		return oc_fail(err, OC_E_DENIED, "use a folder of the workspace",
			       "%s is part of OpenClaw's own state, which no process gets to see", path);
	return OC_OK;
}

static oc_status check_paths(const oc_procs *procs, const char *const *paths, oc_err *err)
{
	oc_status st = OC_OK;
	size_t n = 0;

	for (; st == OC_OK && paths != NULL && *paths != NULL; paths++) {
		if (++n > PATHS_MAX)
			return oc_fail(err, OC_E_LIMIT, "name fewer paths", "a process asks for more than %d paths", PATHS_MAX);
		st = check_path(procs, *paths, err);
	}
	return st;
}

static uint64_t smaller(uint64_t asked, uint64_t bound)
{
	return asked == 0 || (bound != 0 && bound < asked) ? bound : asked;
}

static void merge_limits(const oc_procs *procs, oc_sandbox_limits *l)
{
	l->memory_bytes = smaller(l->memory_bytes, procs->limits.memory_bytes);
	l->cpu_seconds = smaller(l->cpu_seconds, procs->limits.cpu_seconds);
	l->processes = smaller(l->processes, procs->limits.processes);
	l->file_bytes = smaller(l->file_bytes, procs->limits.file_bytes);
	l->open_files = smaller(l->open_files, procs->limits.open_files);
	l->tmp_bytes = smaller(l->tmp_bytes, procs->limits.tmp_bytes);
}

static void add_hidden(proc_policy *policy, size_t *n, char *owned)
{
	const char *path = keep(policy, owned);

	if (path != NULL && *n + 1 < sizeof(policy->hide) / sizeof(policy->hide[0]))
		policy->hide[(*n)++] = path;
}

static void set_hidden(const oc_procs *procs, const oc_proc_options *options, proc_policy *policy)
{
	const char *home = getenv("HOME");
	size_t n = 0;

	for (const char *const *h = options->profile.hide; h != NULL && *h != NULL && n < 4; h++)
		policy->hide[n++] = *h;
	add_hidden(policy, &n, oc_strdup(procs->state_dir));
	if (!below(procs->config, procs->state_dir))
		add_hidden(policy, &n, oc_strdup(procs->config));
	for (size_t i = 0; policy->profile.level == OC_SANDBOX_RELAXED && home != NULL
			   && i < sizeof(secret_names) / sizeof(secret_names[0]);
	     i++) {
		char *path = oc_path_join(home, secret_names[i]);

		if (path != NULL && access(path, F_OK) == 0)
			add_hidden(policy, &n, path);
		else
			oc_free(path);
	}
	policy->profile.hide = policy->hide;
}

static bool has_name(const char *const *env, const char *name)
{
	size_t n = strlen(name);

	for (; env != NULL && *env != NULL; env++)
		if (strncmp(*env, name, n) == 0 && (*env)[n] == '=')
			return true;
	return false;
}

/* Adds NAME=value unless the request has NAME. */
static void default_env(proc_policy *policy, size_t *n, const char *const *given, const char *name, const char *value)
{
	const char *entry;

	if (value == NULL || has_name(given, name))
		return;
	entry = keep(policy, oc_asprintf("%s=%s", name, value));
	if (entry != NULL)
		policy->env[(*n)++] = entry;
}

static oc_status set_env(const oc_procs *procs, const oc_proc_options *options, proc_policy *policy, oc_err *err)
{
	const char *const *given = options->profile.env;
	const char *lang = getenv("LANG"), *home = getenv("HOME");
	size_t n = 0;

	if (!options->env_exact) {
		default_env(policy, &n, given, "PATH",
			    procs->path != NULL                            ? procs->path
			    : policy->profile.level == OC_SANDBOX_OFF ? getenv("PATH")
								      : DEFAULT_PATH);
		default_env(policy, &n, given, "HOME", home != NULL && home[0] == '/' ? home : "/tmp");
		default_env(policy, &n, given, "LANG", lang != NULL && lang[0] != 0 ? lang : "C.UTF-8");
		default_env(policy, &n, given, "TERM", "dumb");
		if (policy->profile.level != OC_SANDBOX_OFF)
			default_env(policy, &n, given, "TMPDIR", "/tmp");
	}
	for (; given != NULL && *given != NULL; given++) {
		if (n + 1 >= ENV_MAX)
			return oc_fail(err, OC_E_LIMIT, "set fewer variables", "a process gets more than %d variables", ENV_MAX - 8);
		policy->env[n++] = *given;
	}
	policy->profile.env = policy->env;
	return OC_OK;
}

static oc_status set_read(const oc_procs *procs, const oc_proc_options *options, proc_policy *policy, oc_err *err)
{
	size_t n = 0;
	oc_status st = check_paths(procs, options->profile.read, err);

	if (st == OC_OK)
		st = check_paths(procs, options->profile.write, err);
	if (st != OC_OK)
		return st;
	for (const char *const *p = options->profile.read; p != NULL && *p != NULL; p++)
		policy->read[n++] = *p;
	for (size_t i = 0; procs->read[i] != NULL; i++)
		if (access(procs->read[i], F_OK) == 0)
			policy->read[n++] = procs->read[i];
	policy->profile.read = policy->read;
	return OC_OK;
}

oc_status oc_proc_policy(oc_procs *procs, const oc_proc_options *options, proc_policy *ret, oc_err *err)
{
	proc_policy *p = ret;
	oc_status st;

	*p = (proc_policy){.profile = options->profile};
	if (p->profile.level < procs->level)
		p->profile.level = procs->level;
	p->profile.allow_downgrade = procs->allow_downgrade;
	p->profile.without |= procs->without;
	if (p->profile.network && !procs->network && p->profile.level != OC_SANDBOX_OFF)
		return oc_fail(err, OC_E_DENIED, "set tools.exec.sandbox.network to true",
			       "the configuration gives commands no network");
	merge_limits(procs, &p->profile.limits);
	st = set_read(procs, options, p, err);
	if (st == OC_OK)
		st = set_env(procs, options, p, err);
	set_hidden(procs, options, p);
	if (st != OC_OK)
		oc_proc_policy_free(p);
	return st;
}

void oc_proc_policy_free(proc_policy *policy)
{
	for (size_t i = 0; i < policy->n_owned; i++)
		oc_free(policy->owned[i]);
	policy->n_owned = 0;
}
