/* The exec module: settings, the list of tools, the life of the module. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "exec.h"

OC_MODULE_MANIFEST("module.json");

#define DEFAULT_PATH "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

/* ---- Settings ---- */

static bool seconds_ok(double n, double max)
{
	return n >= 0 && n <= max;
}

/* pathPrepend: in front of PATH, and to be read. */
static bool read_paths(const cJSON *list, ex_config *c)
{
	tk_text path;
	const cJSON *item;

	if (cJSON_GetArraySize(list) == 0)
		return true;
	tk_text_init(&path, 16 * 1024);
	if (c->read == NULL)
		c->read = cJSON_CreateArray();
	cJSON_ArrayForEach(item, list)
	{
		if (!cJSON_IsString(item) || item->valuestring[0] != '/' || strchr(item->valuestring, ':') != NULL)
			continue;
		tk_text_printf(&path, "%s:", item->valuestring);
		if (access(item->valuestring, F_OK) == 0)
			(void)cJSON_AddItemToArray(c->read, cJSON_CreateString(item->valuestring));
	}
	tk_text_z(&path, DEFAULT_PATH);
	c->path = path.failed ? NULL : strdup(path.p);
	tk_text_free(&path);
	return c->path != NULL && c->read != NULL;
}

bool ex_config_read(oc_str json, ex_config *ret, char why[200])
{
	cJSON *doc = tk_parse(json);
	const cJSON *sandbox = cJSON_GetObjectItemCaseSensitive(doc, "sandbox");
	const cJSON *read = cJSON_GetObjectItemCaseSensitive(sandbox, "readPaths");
	double background = tk_num(doc, "backgroundMs", 10000), timeout = tk_num(doc, "timeoutSec", 1800),
	       cleanup = tk_num(doc, "cleanupMs", 1800000);
	ex_config c = {0};
	bool ok = false;

	why[0] = 0;
	if (doc == NULL)
		(void)snprintf(why, 200, "the settings are no object");
	else if (!seconds_ok(background, 120000))
		(void)snprintf(why, 200, "tools.exec.backgroundMs must be 0 to 120000");
	else if (!seconds_ok(timeout, 30 * 86400))
		(void)snprintf(why, 200, "tools.exec.timeoutSec must be 0 to 2592000");
	else if (!seconds_ok(cleanup, 7 * 86400000.0))
		(void)snprintf(why, 200, "tools.exec.cleanupMs must be 0 to 604800000");
	else
		ok = true;
	if (ok) {
		c.background_ms = (uint64_t)background;
		c.timeout_ms = (uint64_t)(timeout * 1000);
		c.cleanup_ms = (uint64_t)cleanup;
		c.network = tk_bool(sandbox, "network", false);
		c.read = cJSON_IsArray(read) ? cJSON_Duplicate(read, true) : NULL;
		ok = read_paths(cJSON_GetObjectItemCaseSensitive(doc, "pathPrepend"), &c);
	}
	cJSON_Delete(doc);
	if (ok)
		*ret = c;
	else
		ex_config_free(&c);
	return ok;
}

void ex_config_free(ex_config *c)
{
	free(c->path);
	cJSON_Delete(c->read);
	*c = (ex_config){0};
}

/* ---- Tools ---- */

/* %s: what the network is like. */
static const char tools_format[] =
	"[{\"name\":\"exec\",\"group\":\"runtime\",\"capabilities\":[\"exec\"],\"timeoutMs\":180000,\"description\":"
	"\"Runs a shell command in the sandbox and returns its output. Only the workspace can be written, besides a private /tmp "
	"and home that are empty again for each command; %s. A command that takes longer than yieldMs goes on in the background: "
	"follow it with the process tool. Use background for servers and watchers, and for commands that need input later.\","
	"\"parameters\":{\"type\":\"object\",\"required\":[\"command\"],\"properties\":{"
	"\"command\":{\"type\":\"string\",\"description\":\"Shell command\"},"
	"\"workdir\":{\"type\":\"string\",\"description\":\"Working folder, absolute or relative to the workspace (the default)\"},"
	"\"env\":{\"type\":\"object\",\"additionalProperties\":{\"type\":\"string\"},\"description\":\"Further environment variables\"},"
	"\"yieldMs\":{\"type\":\"number\",\"description\":\"Milliseconds to wait before it goes on in the background (10000)\"},"
	"\"background\":{\"type\":\"boolean\",\"description\":\"Do not wait for it; its input stays open\"},"
	"\"timeout\":{\"type\":\"number\",\"description\":\"Seconds after which it is ended (1800)\"},"
	"\"pty\":{\"type\":\"boolean\",\"description\":\"Give it a terminal; for programs that refuse to work without one\"},"
	"\"elevated\":{\"type\":\"boolean\",\"description\":\"Not available\"},"
	"\"host\":{\"type\":\"string\",\"description\":\"sandbox\"}}}},"
	"{\"name\":\"process\",\"group\":\"runtime\",\"capabilities\":[\"exec\"],\"timeoutMs\":180000,\"description\":"
	"\"Manages commands that exec runs in the background: list; poll (new output, optionally waiting for the end); log (output "
	"by lines); write, send-keys, submit, paste (input); kill; clear (forget an ended one); remove (end and forget).\","
	"\"parameters\":{\"type\":\"object\",\"required\":[\"action\"],\"properties\":{"
	"\"action\":{\"type\":\"string\",\"enum\":[\"list\",\"poll\",\"log\",\"write\",\"send-keys\",\"submit\",\"paste\",\"kill\","
	"\"clear\",\"remove\"]},"
	"\"sessionId\":{\"type\":\"string\",\"description\":\"Of all actions but list\"},"
	"\"data\":{\"type\":\"string\",\"description\":\"write: what to write\"},"
	"\"eof\":{\"type\":\"boolean\",\"description\":\"write: close the input afterwards\"},"
	"\"keys\":{\"type\":\"array\",\"items\":{\"type\":\"string\"},\"description\":\"send-keys: Enter, Tab, Up, C-c, M-x, …\"},"
	"\"hex\":{\"type\":\"array\",\"items\":{\"type\":\"string\"},\"description\":\"send-keys: bytes in hexadecimal\"},"
	"\"literal\":{\"type\":\"string\",\"description\":\"send-keys: text as it is\"},"
	"\"text\":{\"type\":\"string\",\"description\":\"paste: the text\"},"
	"\"bracketed\":{\"type\":\"boolean\",\"description\":\"paste: in bracketed mode (the default on a terminal)\"},"
	"\"offset\":{\"type\":\"number\",\"description\":\"log: first line, from 0; negative from the end\"},"
	"\"limit\":{\"type\":\"number\",\"description\":\"log: number of lines (200)\"},"
	"\"timeout\":{\"type\":\"number\",\"description\":\"poll: milliseconds to wait for the end (0, at most 120000)\"}}}}]";

static bool make_tools(ex_inst *inst)
{
	char *text = NULL;

	if (asprintf(&text, tools_format, inst->config.network ? "it has network access" : "there is no network") < 0)
		return false;
	free(inst->tools);
	inst->tools = text;
	return true;
}

static oc_str tools(void *arg)
{
	return oc_str_of(((ex_inst *)arg)->tools);
}

static void invoke(void *arg, oc_call *call, oc_str tool, oc_str args_json, oc_str context_json)
{
	ex_inst *inst = arg;
	cJSON *args = tk_parse(args_json), *context = tk_parse(context_json);

	if (args == NULL || context == NULL)
		inst->host->call_done(call, OC_E_INVALID, OC_STR("exec: the arguments are no object"));
	else if (strcmp(tool.p, "exec") == 0)
		ex_exec(inst, call, args, context);
	else if (strcmp(tool.p, "process") == 0)
		ex_process(inst, call, args, context);
	else
		inst->host->call_done(call, OC_E_NOT_FOUND, OC_STR("exec: there is no such tool"));
	cJSON_Delete(args);
	cJSON_Delete(context);
}

/* A command whose call is canceled is ended; a poll is only a look. */
static void cancel(void *arg, oc_call *call)
{
	ex_inst *inst = arg;

	for (ex_job *j = inst->jobs; j != NULL; j = j->next) {
		if (j->call == call) {
			ex_job_drop(j);
			return;
		}
		if (j->poll == call) {
			ex_answer_poll(j);
			return;
		}
	}
}

static void drop_jobs(ex_inst *inst, const char *session)
{
	ex_job *next;

	for (ex_job *j = inst->jobs; j != NULL; j = next) {
		next = j->next;
		if (!j->dropped && (session == NULL || strcmp(j->session, session) == 0))
			ex_job_drop(j);
	}
}

static void session_end(void *arg, oc_str info)
{
	cJSON *doc = tk_parse(info);
	const char *session = tk_str(doc, "session", NULL);

	if (session != NULL)
		drop_jobs(arg, session);
	cJSON_Delete(doc);
}

/* ---- Life ---- */

static oc_status init(const oc_host_api *host, oc_self *self, oc_str config, void **ret_inst)
{
	ex_inst *inst = calloc(1, sizeof(*inst));
	char why[200];

	if (inst == NULL)
		return OC_E_NOMEM;
	inst->host = host;
	inst->self = self;
	inst->shell = access("/bin/bash", X_OK) == 0 ? "/bin/bash" : "/bin/sh";
	if (!ex_config_read(config, &inst->config, why)) {
		host->log(self, OC_LOG_ERROR, oc_str_of(why[0] != 0 ? why : "out of memory"));
		free(inst);
		return why[0] != 0 ? OC_E_INVALID : OC_E_NOMEM;
	}
	if (!make_tools(inst)) {
		ex_config_free(&inst->config);
		free(inst);
		return OC_E_NOMEM;
	}
	*ret_inst = inst;
	return OC_OK;
}

static void stop(void *arg, oc_call *call, uint64_t deadline_ms)
{
	ex_inst *inst = arg;

	(void)deadline_ms;
	drop_jobs(inst, NULL);
	inst->host->unwatch(inst->cleanup);
	inst->cleanup = NULL;
	inst->host->call_done(call, OC_OK, OC_STR("{}"));
}

static void fini(void *arg)
{
	ex_inst *inst = arg;

	/* (The host has ended the processes; their exits are not reported any more.) */
	while (inst->jobs != NULL) {
		inst->jobs->process = NULL;
		ex_job_drop(inst->jobs);
	}
	inst->host->unwatch(inst->cleanup);
	ex_config_free(&inst->config);
	free(inst->tools);
	free(inst);
}

static oc_status reload(void *arg, oc_str text)
{
	ex_inst *inst = arg;
	ex_config config;
	char why[200];

	if (!ex_config_read(text, &config, why)) {
		inst->host->log(inst->self, OC_LOG_ERROR, oc_str_of(why));
		return OC_E_INVALID;
	}
	/* What the model is told of the network is part of the list of tools, which is fixed until fini. */
	if (config.network != inst->config.network) {
		ex_config_free(&config);
		return OC_E_RESTART;
	}
	ex_config_free(&inst->config);
	inst->config = config;
	return OC_OK;
}

static const oc_tool_vtbl vtable = {
	.struct_size = sizeof(vtable),
	.tools = tools,
	.invoke = invoke,
	.cancel = cancel,
	.session_end = session_end,
};

static const oc_iface ifaces[] = {{OC_KIND_TOOL, 1, 0, "exec", &vtable}};

static const oc_module_desc descriptor = {
	.magic = OC_MODULE_MAGIC,
	.struct_size = sizeof(descriptor),
	.abi_major = OC_ABI_MAJOR,
	.abi_minor = OC_ABI_MINOR,
	.name = "exec",
	.version = "0.1.0",
	.ifaces = ifaces,
	.n_ifaces = sizeof(ifaces) / sizeof(ifaces[0]),
	.init = init,
	.stop = stop,
	.fini = fini,
	.reload = reload,
};

OC_MODULE(&descriptor);
