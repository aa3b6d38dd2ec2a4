/* One command: starting it, gathering its output, its end. */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <unistd.h>

#include "exec.h"

#define YIELD_MAX_MS 120000
#define START_MS 150 /* a background command that fails at once is reported as failed, not as running */
#define CLEANUP_EVERY_MS 30000
#define TAIL_SHOWN 2000

/* ---- The list ---- */

static void unlink_job(ex_job *job)
{
	ex_inst *inst = job->inst;

	for (ex_job **at = &inst->jobs; *at != NULL; at = &(*at)->next)
		if (*at == job) {
			*at = job->next;
			inst->n_jobs--;
			return;
		}
}

static void free_job(ex_job *job)
{
	unlink_job(job);
	job->inst->host->unwatch(job->yield);
	job->inst->host->unwatch(job->poll_timer);
	ex_tail_free(&job->log);
	free(job->session);
	free(job->command);
	free(job->cwd);
	free(job->message);
	free(job);
}

ex_job *ex_job_find(ex_inst *inst, const char *session, const char *id)
{
	for (ex_job *j = inst->jobs; j != NULL; j = j->next)
		if (j->background && !j->dropped && strcmp(j->id, id) == 0 && strcmp(j->session, session) == 0)
			return j;
	return NULL;
}

static void forget_old(void *arg)
{
	ex_inst *inst = arg;
	uint64_t now = inst->host->now_ms(inst->self);
	size_t kept = 0;
	ex_job *next;

	for (ex_job *j = inst->jobs; j != NULL; j = next) {
		next = j->next;
		if (j->ended_ms == 0)
			continue;
		/* (The newest are first in the list.) */
		if (now - j->ended_ms > inst->config.cleanup_ms || kept >= EX_FINISHED_MAX)
			free_job(j);
		else
			kept++;
	}
	if (kept == 0) {
		inst->host->unwatch(inst->cleanup);
		inst->cleanup = NULL;
	}
}

/* ---- Words ---- */

static const char *signal_hint(int32_t sig)
{
	switch (sig) {
	case SIGSEGV:
	case SIGBUS:
		return "it touched memory that is not its own";
	case SIGABRT:
		return "it gave up by itself";
	case SIGFPE:
		return "a calculation went wrong";
	case SIGILL:
		return "an instruction that this processor does not have";
	case SIGSYS:
		return "a system call that the sandbox does not allow";
	case SIGXCPU:
		return "its processor time was used up";
	case SIGXFSZ:
		return "a file grew over the limit";
	case SIGPIPE:
		return "it wrote to a pipe that nobody reads";
	default:
		return NULL;
	}
}

bool ex_job_failed(const ex_job *job)
{
	return job->status != OC_OK || job->signal != 0;
}

const char *ex_job_words(const ex_job *job, char *out, size_t size)
{
	const char *name = job->signal > 0 ? sigabbrev_np(job->signal) : NULL, *hint = signal_hint(job->signal);

	out[0] = 0;
	if (job->ended_ms == 0)
		(void)snprintf(out, size, "It is still running.");
	else if (job->status == OC_E_TIMEOUT)
		(void)snprintf(out, size, "The command was ended after %llu seconds, its time limit.",
			       (unsigned long long)(job->timeout_ms / 1000));
	else if (job->status == OC_E_CANCELED)
		(void)snprintf(out, size, "The command was ended on request.");
	else if (job->status == OC_E_LIMIT && job->pid != 0)
		(void)snprintf(out, size, "The command was %s.", job->message);
	else if (job->status != OC_OK)
		(void)snprintf(out, size, "The command could not be run: %s.", job->message);
	else if (job->signal != 0)
		(void)snprintf(out, size, "The command was ended by signal %d%s%s%s%s%s.", (int)job->signal,
			       name != NULL ? " (SIG" : "", name != NULL ? name : "", name != NULL && hint != NULL ? ": " : "",
			       name != NULL && hint != NULL ? hint : "", name != NULL ? ")" : "");
	else if (job->exit_code != 0)
		(void)snprintf(out, size, "The command ended with exit code %d.", (int)job->exit_code);
	return out;
}

cJSON *ex_job_details(const ex_job *job, const char *status)
{
	cJSON *d = cJSON_CreateObject();
	uint64_t end = job->ended_ms != 0 ? job->ended_ms : job->inst->host->now_ms(job->inst->self);
	const char *name = job->signal > 0 ? sigabbrev_np(job->signal) : NULL;
	char text[24];

	if (d == NULL)
		return NULL;
	(void)cJSON_AddStringToObject(d, "status", status);
	if (job->background) {
		(void)cJSON_AddStringToObject(d, "sessionId", job->id);
		(void)cJSON_AddNumberToObject(d, "pid", (double)job->pid);
	}
	(void)cJSON_AddStringToObject(d, "cwd", job->cwd);
	(void)cJSON_AddNumberToObject(d, "durationMs", (double)(end - job->started_ms));
	if (job->ended_ms != 0 && job->status == OC_OK && job->signal == 0)
		(void)cJSON_AddNumberToObject(d, "exitCode", job->exit_code);
	if (job->signal != 0) {
		(void)snprintf(text, sizeof(text), "SIG%s", name != NULL ? name : "?");
		(void)cJSON_AddStringToObject(d, "exitSignal", text);
	}
	if (job->ended_ms != 0 && job->status == OC_E_TIMEOUT)
		(void)cJSON_AddBoolToObject(d, "timedOut", true);
	return d;
}

/* ---- The waiting exec call ---- */

static oc_call *take_call(ex_job *job)
{
	oc_call *call = job->call;

	job->call = NULL;
	job->inst->host->unwatch(job->yield);
	job->yield = NULL;
	return call;
}

/* The command is over, within the call. */
static void answer_end(ex_job *job)
{
	char words[700];
	tk_text out;

	tk_text_init(&out, EX_OUTPUT_MAX + 4096);
	ex_tail_read(&job->log, 0, &out);
	while (out.n > 0 && out.p[out.n - 1] == '\n')
		tk_text_cut(&out, out.n - 1);
	(void)ex_job_words(job, words, sizeof(words));
	if (out.n == 0 && words[0] == 0)
		tk_text_z(&out, "(no output)");
	if (words[0] != 0)
		tk_text_printf(&out, "%s%s", out.n > 0 ? "\n\n" : "", words);
	tk_done(job->inst->host, take_call(job), tk_text_view(&out), ex_job_failed(job),
		ex_job_details(job, ex_job_failed(job) ? "failed" : "completed"));
	tk_text_free(&out);
}

/* It goes on in the background. */
static void on_yield(void *arg)
{
	ex_job *job = arg;
	uint64_t shown = job->log.total > TAIL_SHOWN ? job->log.total - TAIL_SHOWN : 0;
	tk_text out;

	job->background = true;
	tk_text_init(&out, TAIL_SHOWN * 2 + 1024);
	tk_text_printf(&out,
		       "The command is still running, in the background as session %s (pid %lld). Use the process tool to follow it: "
		       "poll, log, write, kill.",
		       job->id, (long long)job->pid);
	if (job->log.total > 0) {
		tk_text_z(&out, "\n\nOutput so far:\n");
		if (shown > 0)
			tk_text_printf(&out, "[… %llu bytes before …]\n", (unsigned long long)shown);
		ex_tail_read(&job->log, shown, &out);
	}
	job->polled = job->log.total;
	tk_done(job->inst->host, take_call(job), tk_text_view(&out), false, ex_job_details(job, "running"));
	tk_text_free(&out);
}

/* ---- What the host reports ---- */

static void on_output(void *arg, uint32_t stream, oc_str data)
{
	ex_job *job = arg;
	tk_text clean;

	(void)stream;
	tk_text_init(&clean, data.n * 3 + 16);
	ex_clean_add(&job->clean, data.p, data.n, false, &clean);
	if (clean.n > 0 && !job->dropped) {
		ex_tail_add(&job->log, clean.p, clean.n);
		if (job->call != NULL && job->progress < EX_OUTPUT_MAX) {
			job->progress += clean.n;
			(void)job->inst->host->call_event(job->call, OC_EV_PROGRESS, tk_text_view(&clean));
		}
	}
	tk_text_free(&clean);
}

static void on_exit_(void *arg, oc_status status, int32_t exit_code, int32_t sig, oc_str message)
{
	ex_job *job = arg;
	ex_inst *inst = job->inst;
	tk_text rest;

	tk_text_init(&rest, 64);
	ex_clean_add(&job->clean, "", 0, true, &rest);
	ex_tail_add(&job->log, tk_text_view(&rest).p, rest.n);
	tk_text_free(&rest);
	job->process = NULL;
	job->ended_ms = inst->host->now_ms(inst->self);
	job->status = status;
	job->exit_code = exit_code;
	job->signal = sig;
	job->message = strndup(message.p, message.n);
	if (job->message == NULL)
		job->message = strdup("");
	if (job->call != NULL)
		answer_end(job);
	if (job->poll != NULL)
		ex_answer_poll(job);
	if (!job->background || job->dropped) {
		free_job(job);
		return;
	}
	if (inst->cleanup == NULL)
		inst->cleanup = inst->host->timer(inst->self, CLEANUP_EVERY_MS, CLEANUP_EVERY_MS, forget_old, inst);
}

void ex_job_kill(ex_job *job, int32_t sig)
{
	if (job->process != NULL)
		(void)job->inst->processes->kill(job->process, sig);
}

void ex_job_drop(ex_job *job)
{
	const oc_host_api *host = job->inst->host;

	if (job->call != NULL)
		host->call_done(take_call(job), OC_E_CANCELED, OC_STR("the command was ended"));
	if (job->poll != NULL) {
		host->unwatch(job->poll_timer);
		job->poll_timer = NULL;
		host->call_done(job->poll, OC_E_CANCELED, OC_STR("the command was ended"));
		job->poll = NULL;
	}
	if (job->process == NULL) {
		free_job(job);
		return;
	}
	job->dropped = true;
	ex_job_kill(job, SIGKILL);
}

/* ---- Starting ---- */

static void new_id(ex_inst *inst, char id[16])
{
	static const char letters[] = "abcdefghijkmnpqrstuvwxyz23456789";
	unsigned char bytes[6] = {0};

	if (getrandom(bytes, sizeof(bytes), GRND_NONBLOCK) < 0) /* only has to be new */
		for (size_t i = 0; i < sizeof(bytes); i++)
			bytes[i] = (unsigned char)(inst->next >> (5 * i));
	inst->next++;
	for (size_t i = 0; i < sizeof(bytes); i++)
		id[i] = letters[bytes[i] % 32];
	id[sizeof(bytes)] = 0;
}

static bool add_string(cJSON *array, const char *text)
{
	return cJSON_AddItemToArray(array, cJSON_CreateString(text));
}

static bool add_env(cJSON *spec, const ex_inst *inst, const cJSON *args, const cJSON *context)
{
	const cJSON *given = cJSON_GetObjectItemCaseSensitive(args, "env"), *item;
	cJSON *env = cJSON_AddObjectToObject(spec, "env");
	bool ok = env != NULL;

	cJSON_ArrayForEach(item, given)
	{
		if (cJSON_IsString(item))
			ok = ok && cJSON_AddStringToObject(env, item->string, item->valuestring) != NULL;
	}
	/* What the operator gave to skills; the call's own come before them. */
	cJSON_ArrayForEach(item, cJSON_GetObjectItemCaseSensitive(context, "env"))
	{
		if (cJSON_IsString(item) && cJSON_GetObjectItemCaseSensitive(env, item->string) == NULL)
			ok = ok && cJSON_AddStringToObject(env, item->string, item->valuestring) != NULL;
	}
	if (ok && inst->config.path != NULL && cJSON_GetObjectItemCaseSensitive(env, "PATH") == NULL)
		ok = cJSON_AddStringToObject(env, "PATH", inst->config.path) != NULL;
	if (ok && tk_bool(args, "pty", false) && cJSON_GetObjectItemCaseSensitive(env, "TERM") == NULL)
		ok = cJSON_AddStringToObject(env, "TERM", "xterm") != NULL;
	return ok;
}

static bool add_argv(cJSON *spec, const ex_inst *inst, const char *command, bool pty)
{
	cJSON *argv = cJSON_AddArrayToObject(spec, "argv");

	if (argv == NULL)
		return false;
	/* script(1) makes a terminal and runs the shell on it. */
	if (pty)
		return add_string(argv, "/usr/bin/script") && add_string(argv, "-qefc") && add_string(argv, command)
		       && add_string(argv, "/dev/null");
	return add_string(argv, inst->shell) && add_string(argv, "-c") && add_string(argv, command);
}

static bool add_paths(cJSON *spec, const ex_inst *inst, const char *workspace)
{
	cJSON *write = cJSON_AddArrayToObject(spec, "write");

	return write != NULL && add_string(write, workspace)
	       && (inst->config.read == NULL
		   || cJSON_AddItemToObject(spec, "read", cJSON_Duplicate(inst->config.read, true)));
}

static char *make_spec(const ex_inst *inst, const ex_job *job, const cJSON *args, const cJSON *context)
{
	cJSON *spec = cJSON_CreateObject();
	const char *level = tk_str(context, "sandbox", NULL);
	bool ok = spec != NULL && cJSON_AddStringToObject(spec, "cwd", job->cwd) != NULL && add_env(spec, inst, args, context)
		  && add_argv(spec, inst, job->command, job->pty) && add_paths(spec, inst, tk_str(context, "workspace", "/"))
		  && cJSON_AddNumberToObject(spec, "timeoutMs", (double)job->timeout_ms) != NULL
		  && cJSON_AddBoolToObject(spec, "network", inst->config.network) != NULL
		  && (level == NULL || cJSON_AddStringToObject(spec, "sandbox", level) != NULL);
	char *text = ok ? cJSON_PrintUnformatted(spec) : NULL;

	cJSON_Delete(spec);
	return text;
}

static char *working_folder(const char *workspace, const char *given)
{
	char *path = NULL;

	if (given == NULL || given[0] == 0 || strcmp(given, ".") == 0)
		return strdup(workspace);
	if (given[0] == '/')
		return strdup(given);
	return asprintf(&path, "%s/%s", workspace, given) >= 0 ? path : NULL;
}

/* What cannot be done, in words; NULL when all is well. */
static const char *refuse(ex_inst *inst, const cJSON *args, const cJSON *context)
{
	const char *command = tk_str(args, "command", ""), *where = tk_str(args, "host", "sandbox");
	const char *workspace = tk_str(context, "workspace", "");
	const cJSON *item;
	size_t running = 0;

	if (command[strspn(command, " \t\n")] == 0)
		return "The command is empty.";
	if (workspace[0] != '/')
		return "There is no workspace to run commands in.";
	if (strcmp(where, "sandbox") != 0)
		return "Commands run in the sandbox only: leave \"host\" out.";
	if (tk_bool(args, "elevated", false))
		return "Commands cannot run outside of the sandbox: leave \"elevated\" out.";
	if (tk_bool(args, "pty", false) && access("/usr/bin/script", X_OK) != 0)
		return "There is no terminal to be had: the program script (Debian package bsdutils) is not installed. Leave \"pty\" "
		       "out.";
	cJSON_ArrayForEach(item, cJSON_GetObjectItemCaseSensitive(args, "env"))
	{
		if (!cJSON_IsString(item) || item->string[0] == 0 || strchr(item->string, '=') != NULL)
			return "The environment in \"env\" has to be an object of strings.";
	}
	for (const ex_job *j = inst->jobs; j != NULL; j = j->next)
		running += j->ended_ms == 0 && strcmp(j->session, tk_str(context, "session", "")) == 0;
	if (running >= EX_RUNNING_MAX)
		return "Too many commands of this conversation are running already; end some with the process tool.";
	if (inst->processes == NULL
	    && inst->host->query(inst->self, OC_STR(OC_SERVICE_PROCESS), 1, 0, (const void **)&inst->processes) != OC_OK)
		return "This gateway offers no processes.";
	return NULL;
}

static ex_job *make_job(ex_inst *inst, const cJSON *args, const cJSON *context)
{
	ex_job *job = calloc(1, sizeof(*job));
	double seconds = tk_num(args, "timeout", 0);
	bool background = tk_bool(args, "background", false);

	if (job == NULL)
		return NULL;
	job->inst = inst;
	new_id(inst, job->id);
	job->session = strdup(tk_str(context, "session", ""));
	job->command = strdup(tk_str(args, "command", ""));
	job->cwd = working_folder(tk_str(context, "workspace", "/"), tk_str(args, "workdir", NULL));
	job->pty = tk_bool(args, "pty", false);
	/* Programs look at what their input is: one that nobody will ever write to must not be a pipe. */
	job->has_stdin = background || job->pty;
	job->timeout_ms = seconds > 0 && seconds < 1e9 ? (uint64_t)(seconds * 1000) : inst->config.timeout_ms;
	job->started_ms = inst->host->now_ms(inst->self);
	ex_tail_init(&job->log, EX_OUTPUT_MAX);
	job->next = inst->jobs;
	inst->jobs = job;
	inst->n_jobs++;
	if (job->session == NULL || job->command == NULL || job->cwd == NULL) {
		free_job(job);
		return NULL;
	}
	return job;
}

void ex_exec(ex_inst *inst, oc_call *call, const cJSON *args, const cJSON *context)
{
	const char *problem = refuse(inst, args, context);
	ex_job *job = problem == NULL ? make_job(inst, args, context) : NULL;
	char *spec = job != NULL ? make_spec(inst, job, args, context) : NULL;
	uint64_t yield = tk_bool(args, "background", false)
				 ? START_MS
				 : (uint64_t)tk_int(args, "yieldMs", (int64_t)inst->config.background_ms, 10, YIELD_MAX_MS);
	oc_process_options options = {.struct_size = sizeof(options), .on_output = on_output, .on_exit = on_exit_, .arg = job};
	oc_status st;

	if (problem != NULL) {
		tk_done(inst->host, call, oc_str_of(problem), true, NULL);
		return;
	}
	options.flags = OC_PROCESS_MERGE | (job != NULL && job->has_stdin ? OC_PROCESS_STDIN : 0u);
	options.spec = oc_str_of(spec);
	st = spec != NULL ? inst->processes->spawn(inst->self, &options, &job->process) : OC_E_NOMEM;
	cJSON_free(spec); /* (printed by cJSON, whose allocator is the host's) */
	if (st != OC_OK) {
		if (job != NULL)
			free_job(job);
		inst->host->call_done(call, st, OC_STR("exec: the command could not be started"));
		return;
	}
	job->pid = inst->processes->pid(job->process);
	job->call = call;
	job->yield = inst->host->timer(inst->self, yield, 0, on_yield, job);
}
