/* The JSON form of a process, and the ABI service "process" (see <openclaw/module.h>). */
#include <string.h>

#include "core/base/mem.h"
#include "core/data/json.h"
#include "core/security/process_int.h"

#define ARGS_MAX 4096

typedef struct spec {
	cJSON *json;
	const char *argv[ARGS_MAX + 1], *env[ENV_MAX + 1], *read[PATHS_MAX + 1], *write[PATHS_MAX + 1];
	char *env_text[ENV_MAX + 1];
} spec;

static void spec_free(spec *s)
{
	for (size_t i = 0; s->env_text[i] != NULL; i++)
		oc_free(s->env_text[i]);
	cJSON_Delete(s->json);
	oc_free(s);
}

static oc_status strings(const cJSON *list, const char *what, const char **out, size_t max, oc_err *err)
{
	const cJSON *item;
	size_t n = 0;

	if (list == NULL || cJSON_IsNull(list))
		return OC_OK;
	if (!cJSON_IsArray(list))
		return oc_fail(err, OC_E_INVALID, "write a list of strings", "\"%s\" of a process is not a list", what);
	cJSON_ArrayForEach(item, list)
	{
		if (!cJSON_IsString(item))
			return oc_fail(err, OC_E_INVALID, "write a list of strings", "\"%s\" of a process has an entry that is no string",
				       what);
		if (n == max)
			return oc_fail(err, OC_E_LIMIT, "name fewer", "\"%s\" of a process has more than %zu entries", what, max);
		out[n++] = item->valuestring;
	}
	return OC_OK;
}

static oc_status environment(const cJSON *env, spec *s, oc_err *err)
{
	const cJSON *item;
	size_t n = 0;

	if (env == NULL || cJSON_IsNull(env))
		return OC_OK;
	if (!cJSON_IsObject(env))
		return oc_fail(err, OC_E_INVALID, "write {\"NAME\":\"value\"}", "\"env\" of a process is not an object");
	cJSON_ArrayForEach(item, env)
	{
		if (!cJSON_IsString(item) || item->string[0] == 0 || strchr(item->string, '=') != NULL)
			return oc_fail(err, OC_E_INVALID, "write {\"NAME\":\"value\"}", "the variable \"%s\" of a process is not valid",
				       item->string);
		if (n == ENV_MAX - 8)
			return oc_fail(err, OC_E_LIMIT, "set fewer variables", "a process gets more than %d variables", ENV_MAX - 8);
		s->env_text[n] = oc_asprintf("%s=%s", item->string, item->valuestring);
		if (s->env_text[n] == NULL)
			return oc_fail(err, OC_E_NOMEM, NULL, "no memory for a process");
		s->env[n] = s->env_text[n];
		n++;
	}
	return OC_OK;
}

static oc_status amount(const cJSON *object, const char *name, uint64_t *ret, oc_err *err)
{
	const cJSON *value = oc_json_get(object, name);

	if (value == NULL || cJSON_IsNull(value))
		return OC_OK;
	if (!cJSON_IsNumber(value) || !(value->valuedouble >= 0 && value->valuedouble <= 9e15))
		return oc_fail(err, OC_E_INVALID, "write a whole number", "\"%s\" of a process is not a number from 0", name);
	*ret = (uint64_t)value->valuedouble;
	return OC_OK;
}

static oc_status known_only(const cJSON *object, const char *const *names, size_t n, oc_err *err)
{
	const cJSON *item;

	cJSON_ArrayForEach(item, object)
	{
		size_t i = 0;

		while (i < n && strcmp(item->string, names[i]) != 0)
			i++;
		if (i == n)
			return oc_fail(err, OC_E_INVALID, NULL, "a process has no setting \"%s\"", item->string);
	}
	return OC_OK;
}

static oc_status limits(const cJSON *object, oc_sandbox_limits *l, oc_err *err)
{
	static const char *const names[] = {"memoryBytes", "cpuSeconds", "processes", "fileBytes"};
	oc_status st;

	if (object == NULL || cJSON_IsNull(object))
		return OC_OK;
	if (!cJSON_IsObject(object))
		return oc_fail(err, OC_E_INVALID, NULL, "\"limits\" of a process is not an object");
	if ((st = known_only(object, names, 4, err)) != OC_OK || (st = amount(object, "memoryBytes", &l->memory_bytes, err)) != OC_OK
	    || (st = amount(object, "cpuSeconds", &l->cpu_seconds, err)) != OC_OK
	    || (st = amount(object, "processes", &l->processes, err)) != OC_OK)
		return st;
	return amount(object, "fileBytes", &l->file_bytes, err);
}

static oc_status flag(const cJSON *object, const char *name, bool *ret, oc_err *err)
{
	const cJSON *value = oc_json_get(object, name);

	if (value == NULL || cJSON_IsNull(value))
		return OC_OK;
	if (!cJSON_IsBool(value))
		return oc_fail(err, OC_E_INVALID, "write true or false", "\"%s\" of a process is not true or false", name);
	*ret = cJSON_IsTrue(value) != 0;
	return OC_OK;
}

static oc_status fill(spec *s, oc_proc_options *o, oc_err *err)
{
	static const char *const names[] = {"argv", "cwd", "env", "sandbox", "network", "read", "write", "limits", "timeoutMs"};
	const char *level = oc_json_str(s->json, "sandbox", NULL);
	oc_sandbox_profile *p = &o->profile;
	oc_status st;

	*p = (oc_sandbox_profile){.cwd = oc_json_str(s->json, "cwd", NULL), .argv = s->argv, .env = s->env,
				  .read = s->read, .write = s->write};
	if (!cJSON_IsObject(s->json))
		return oc_fail(err, OC_E_INVALID, NULL, "the description of a process is not an object");
	if ((st = known_only(s->json, names, sizeof(names) / sizeof(names[0]), err)) != OC_OK
	    || (st = strings(oc_json_get(s->json, "argv"), "argv", s->argv, ARGS_MAX, err)) != OC_OK
	    || (st = strings(oc_json_get(s->json, "read"), "read", s->read, PATHS_MAX, err)) != OC_OK
	    || (st = strings(oc_json_get(s->json, "write"), "write", s->write, PATHS_MAX, err)) != OC_OK
	    || (st = environment(oc_json_get(s->json, "env"), s, err)) != OC_OK
	    || (st = limits(oc_json_get(s->json, "limits"), &p->limits, err)) != OC_OK
	    || (st = flag(s->json, "network", &p->network, err)) != OC_OK
	    || (st = amount(s->json, "timeoutMs", &o->timeout_ms, err)) != OC_OK)
		return st;
	if (s->argv[0] == NULL)
		return oc_fail(err, OC_E_INVALID, NULL, "the command is empty");
	if (level != NULL && (p->level = oc_sandbox_level_parse(level)) == 0)
		return oc_fail(err, OC_E_INVALID, "use off, relaxed or strict", "there is no sandbox level \"%s\"", level);
	return OC_OK;
}

oc_status oc_proc_spawn_spec(oc_procs *procs, oc_owner *owner, oc_str text, oc_proc_options *o, oc_proc **ret, oc_err *err)
{
	const oc_json_limits bounds = {.max_bytes = 2 * 1024 * 1024, .max_depth = 8};
	spec *s = oc_alloc(sizeof(*s));
	oc_status st;

	if (s == NULL)
		return oc_fail(err, OC_E_NOMEM, NULL, "no memory for a process");
	st = oc_json_parse(text, &bounds, &s->json, err);
	if (st == OC_OK)
		st = fill(s, o, err);
	if (st == OC_OK)
		st = oc_proc_spawn(procs, owner, o, ret, err);
	o->profile = (oc_sandbox_profile){0};
	spec_free(s);
	return st;
}

/* ---- The service. oc_process is oc_proc under the name the ABI gives it. ---- */

static oc_procs *service_procs;
static oc_owner *(*service_owner_of)(oc_self *self);

static oc_proc *unwrap(const oc_process *process)
{
	return (oc_proc *)(uintptr_t)process;
}

static oc_status service_spawn(oc_self *self, const oc_process_options *options, oc_process **ret)
{
	oc_proc_options o = {0};
	oc_owner *owner = service_owner_of != NULL ? service_owner_of(self) : NULL;
	oc_proc *proc = NULL;
	oc_err err = {0};
	oc_status st;

	if (options == NULL || options->struct_size < sizeof(*options) || ret == NULL || owner == NULL)
		return OC_E_INVALID;
	if (options->struct_size > sizeof(*options))
		return OC_E_VERSION;
	if (service_procs == NULL)
		return OC_E_UNAVAILABLE;
	o.flags = ((options->flags & OC_PROCESS_STDIN) != 0 ? OC_PROC_STDIN : 0u)
		  | ((options->flags & OC_PROCESS_MERGE) != 0 ? OC_PROC_MERGE : 0u);
	o.on_output = options->on_output;
	o.on_exit = options->on_exit;
	o.arg = options->arg;
	st = oc_proc_spawn_spec(service_procs, owner, options->spec, &o, &proc, &err);
	/* The ABI has words for a failure only in on_exit: so that people learn the reason, it comes that way. */
	if (st != OC_OK && options->on_exit != NULL)
		st = oc_proc_stillborn(service_procs, owner, &o, &err, &proc);
	if (st == OC_OK)
		*ret = (oc_process *)(void *)proc;
	return st;
}

static oc_status service_write(oc_process *process, oc_str data)
{
	return process != NULL ? oc_proc_write(unwrap(process), data) : OC_E_INVALID;
}

static void service_close_stdin(oc_process *process)
{
	if (process != NULL)
		oc_proc_close_stdin(unwrap(process));
}

static oc_status service_kill(oc_process *process, int32_t sig)
{
	return process != NULL ? oc_proc_kill(unwrap(process), sig) : OC_E_INVALID;
}

static int64_t service_pid(const oc_process *process)
{
	return process != NULL ? oc_proc_pid(unwrap(process)) : 0;
}

void oc_process_service_end(const oc_procs *procs)
{
	if (service_procs == procs)
		service_procs = NULL;
}

const oc_process_host *oc_process_service(oc_procs *procs, oc_owner *(*owner_of)(oc_self *self))
{
	static const oc_process_host table = {.struct_size = sizeof(table),
					      .spawn = service_spawn,
					      .write = service_write,
					      .close_stdin = service_close_stdin,
					      .kill = service_kill,
					      .pid = service_pid};

	service_procs = procs;
	service_owner_of = owner_of;
	return &table;
}
