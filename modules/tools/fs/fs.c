/* The file tools: what the host sees.  All file work happens on the host's pool. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <openclaw/module.h>

#include "fs_root.h"
#include "fs_tools.h"

OC_MODULE_MANIFEST("module.json");

#define PATH_TEXT "\"path\":{\"type\":\"string\",\"minLength\":1,\"maxLength\":4000,\"description\":\"Path, relative to the workspace\"}"
#define PATH_ALIAS ",\"file_path\":{\"type\":\"string\",\"description\":\"The same as path\"}"
#define LIMIT(most, text) ",\"limit\":{\"type\":\"integer\",\"minimum\":1,\"maximum\":" #most ",\"description\":\"" text "\"}"

static const char tool_list[] =
	"[{\"name\":\"read\",\"group\":\"fs\",\"capabilities\":[\"fs.read\"],\"description\":\"Reads a text file or an image of the "
	"workspace. Text: at most 2000 lines or 50 KB at a time; go on with offset.\",\"parameters\":{\"type\":\"object\","
	"\"properties\":{" PATH_TEXT PATH_ALIAS ",\"offset\":{\"type\":\"integer\",\"minimum\":1,\"description\":\"First line, from "
	"1\"}" LIMIT(2000, "How many lines") "}}},"

	"{\"name\":\"write\",\"group\":\"fs\",\"capabilities\":[\"fs.write\"],\"serial\":true,\"description\":\"Writes a file of the "
	"workspace: makes it and its folders, or replaces it whole.\",\"parameters\":{\"type\":\"object\",\"required\":[\"content\"],"
	"\"properties\":{" PATH_TEXT PATH_ALIAS ",\"content\":{\"type\":\"string\",\"description\":\"The whole content\"}}}},"

	"{\"name\":\"edit\",\"group\":\"fs\",\"capabilities\":[\"fs.read\",\"fs.write\"],\"serial\":true,\"description\":\"Replaces one "
	"piece of a text file. oldText must be in the file exactly once, white space included.\",\"parameters\":{\"type\":\"object\","
	"\"properties\":{" PATH_TEXT PATH_ALIAS ",\"oldText\":{\"type\":\"string\",\"description\":\"The text to replace\"},"
	"\"newText\":{\"type\":\"string\",\"description\":\"What stands there then\"},\"old_string\":{\"type\":\"string\","
	"\"description\":\"The same as oldText\"},\"new_string\":{\"type\":\"string\",\"description\":\"The same as newText\"}}}},"

	"{\"name\":\"ls\",\"group\":\"fs\",\"capabilities\":[\"fs.read\"],\"description\":\"Lists a folder of the workspace; folders end "
	"in a slash.\",\"parameters\":{\"type\":\"object\",\"properties\":{" PATH_TEXT LIMIT(5000, "Most entries (500)") "}}},"

	"{\"name\":\"find\",\"group\":\"fs\",\"capabilities\":[\"fs.read\"],\"description\":\"Finds files and folders by name: * ? [a-z] "
	"{a,b}, and ** over folders. Leaves out .git and node_modules.\",\"parameters\":{\"type\":\"object\",\"required\":[\"pattern\"],"
	"\"properties\":{\"pattern\":{\"type\":\"string\",\"minLength\":1,\"maxLength\":500,\"description\":\"For example *.c or "
	"src/**/test_*.py\"}," PATH_TEXT LIMIT(10000, "Most results (1000)") "}}},"

	"{\"name\":\"grep\",\"group\":\"fs\",\"capabilities\":[\"fs.read\"],\"description\":\"Searches text files for a POSIX extended "
	"regular expression (or plain text with literal) and shows file, line and text.\",\"parameters\":{\"type\":\"object\","
	"\"required\":[\"pattern\"],\"properties\":{\"pattern\":{\"type\":\"string\",\"minLength\":1,\"maxLength\":500},"
	PATH_TEXT ",\"glob\":{\"type\":\"string\",\"maxLength\":500,\"description\":\"Only files that match, for example *.md\"},"
	"\"ignoreCase\":{\"type\":\"boolean\"},\"literal\":{\"type\":\"boolean\",\"description\":\"The pattern is plain text\"},"
	"\"context\":{\"type\":\"integer\",\"minimum\":0,\"maximum\":50,\"description\":\"Lines around each match\"}"
	LIMIT(2000, "Most matches (100)") "}}}]";

typedef struct instance {
	const oc_host_api *host;
	oc_self *self;
	struct running *running;
} instance;

/* A call that runs on the pool. */
struct running {
	struct running *next, **link;
	instance *inst;
	oc_call *call;
	void (*tool)(fs_job *job);
	cJSON *args, *context;
	bool reads_only;
	fs_job job;
};

static const struct {
	const char *name;
	void (*run)(fs_job *job);
} tools[] = {
	{"read", fs_read}, {"write", fs_write}, {"edit", fs_edit}, {"ls", fs_ls}, {"find", fs_find}, {"grep", fs_grep},
};

static void release(struct running *r)
{
	*r->link = r->next;
	if (r->next != NULL)
		r->next->link = r->link;
	if (r->job.root >= 0)
		close(r->job.root);
	cJSON_Delete(r->args);
	cJSON_Delete(r->context);
	tk_text_free(&r->job.out);
	free(r->job.image);
	free(r);
}

static cJSON *content_of(fs_job *job)
{
	cJSON *content = cJSON_CreateArray(), *text = cJSON_CreateObject();
	cJSON_AddStringToObject(text, "type", "text");
	cJSON_AddStringToObject(text, "text", job->out.p != NULL ? job->out.p : "");
	cJSON_AddItemToArray(content, text);
	if (job->image != NULL) {
		cJSON *image = cJSON_CreateObject();
		cJSON_AddStringToObject(image, "type", "image");
		cJSON_AddStringToObject(image, "mime", job->image_mime);
		cJSON_AddStringToObject(image, "data", job->image);
		cJSON_AddItemToArray(content, image);
	}
	return content;
}

static void work(void *arg)
{
	struct running *r = arg;
	if (!atomic_load(&r->job.canceled))
		r->tool(&r->job);
}

static void work_done(void *arg, oc_status status)
{
	struct running *r = arg;
	const oc_host_api *host = r->inst->host;
	if (status != OC_OK || atomic_load(&r->job.canceled)) {
		host->call_done(r->call, OC_E_CANCELED, OC_STR("canceled"));
	} else if (r->job.out.failed) {
		host->call_done(r->call, OC_E_NOMEM, OC_STR("out of memory"));
	} else {
		tk_done_content(host, r->call, content_of(&r->job), r->job.is_error, NULL);
	}
	release(r);
}

static oc_str list_tools(void *inst)
{
	(void)inst;
	return (oc_str){tool_list, sizeof tool_list - 1};
}

/* The folder that the call is about: the workspace, or for reading one that the host allows besides. */
static const char *world_of(const struct running *r, const char *workspace)
{
	const cJSON *folder, *path = cJSON_GetObjectItemCaseSensitive(r->args, "path");
	if (r->tool == NULL || !r->reads_only || !cJSON_IsString(path) || path->valuestring[0] != '/')
		return workspace;
	cJSON_ArrayForEach(folder, cJSON_GetObjectItemCaseSensitive(r->context, "readable"))
	{
		size_t n = cJSON_IsString(folder) ? strlen(folder->valuestring) : 0;
		if (n > 1 && strncmp(path->valuestring, folder->valuestring, n) == 0 &&
		    (path->valuestring[n] == '/' || path->valuestring[n] == 0))
			return folder->valuestring;
	}
	return workspace;
}

static void invoke(void *inst_arg, oc_call *call, oc_str tool, oc_str args, oc_str context)
{
	instance *inst = inst_arg;
	struct running *r = calloc(1, sizeof *r);
	if (r == NULL) {
		inst->host->call_done(call, OC_E_NOMEM, OC_STR("out of memory"));
		return;
	}
	r->inst = inst;
	r->call = call;
	r->next = inst->running;
	r->link = &inst->running;
	if (r->next != NULL)
		r->next->link = &r->next;
	inst->running = r;
	r->job.root = -1;
	tk_text_init(&r->job.out, FS_MAX_OUT);
	for (size_t i = 0; i < sizeof tools / sizeof *tools; i++)
		if (strcmp(tools[i].name, tool.p) == 0)
			r->tool = tools[i].run;
	r->reads_only = strcmp(tool.p, "write") != 0 && strcmp(tool.p, "edit") != 0;
	r->args = tk_parse(args);
	r->context = tk_parse(context);
	r->job.args = r->args;
	const cJSON *workspace = cJSON_GetObjectItemCaseSensitive(r->context, "workspace");
	oc_status status = OC_OK;
	const char *why = "the call is not complete";
	if (r->tool == NULL || r->args == NULL || !cJSON_IsString(workspace)) {
		status = OC_E_INVALID;
	} else {
		r->job.workspace = world_of(r, workspace->valuestring);
		r->job.root = fs_root_open(r->job.workspace);
		if (r->job.root < 0) {
			status = OC_E_IO;
			why = "the workspace folder cannot be opened; see agents.defaults.workspace in the configuration";
		} else {
			status = inst->host->work(inst->self, work, work_done, r);
			why = "no pool thread could be had";
		}
	}
	if (status != OC_OK) {
		inst->host->call_done(call, status, oc_str_of(why));
		release(r);
	}
}

static void cancel(void *inst_arg, oc_call *call)
{
	instance *inst = inst_arg;
	for (struct running *r = inst->running; r != NULL; r = r->next)
		if (r->call == call)
			atomic_store(&r->job.canceled, true); /* the pool thread sees it; work_done completes the call */
}

static oc_status init(const oc_host_api *host, oc_self *self, oc_str config, void **ret_inst)
{
	(void)config;
	instance *inst = calloc(1, sizeof *inst);
	if (inst == NULL)
		return OC_E_NOMEM;
	inst->host = host;
	inst->self = self;
	*ret_inst = inst;
	return OC_OK;
}

static void fini(void *inst)
{
	free(inst);
}

static oc_status reload(void *inst, oc_str config)
{
	(void)inst;
	(void)config;
	return OC_OK; /* there is nothing to configure */
}

static const oc_tool_vtbl vtbl = {
	.struct_size = sizeof vtbl,
	.tools = list_tools,
	.invoke = invoke,
	.cancel = cancel,
};

static const oc_iface ifaces[] = {{OC_KIND_TOOL, 1, 0, "fs", &vtbl}};

static const oc_module_desc descriptor = {
	.magic = OC_MODULE_MAGIC,
	.struct_size = sizeof descriptor,
	.abi_major = OC_ABI_MAJOR,
	.abi_minor = OC_ABI_MINOR,
	.name = "fs",
	.version = "0.1.0",
	.ifaces = ifaces,
	.n_ifaces = 1,
	.init = init,
	.fini = fini,
	.reload = reload,
};

OC_MODULE(&descriptor);
