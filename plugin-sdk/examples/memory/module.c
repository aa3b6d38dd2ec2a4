/*
 * ledger: a memory in one file that all agents share, whatever their workspace: a fact a line.  A line's score is the share of
 * the question's words in it; of two that fit equally the later one, which is the newer, comes first.
 */
#define _GNU_SOURCE
#include <openclaw/json.h>
#include <openclaw/module.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

OC_MODULE_MANIFEST("module.json");

typedef struct ledger { const oc_host_api *host; oc_self *self; char file[1024]; } ledger;

/* One request on its way through the pool: files are never read on the loop thread. */
typedef struct job {
	ledger *n;
	oc_call *call;
	int64_t max;
	char query[1024]; /* "": the first 16 KiB are read */
	char *result;	  /* malloc's, by open_memstream */
	oc_status status;
} job;

/* How many percent of the question's words a line has. */
static int share(const char *query, const char *line)
{
	char words[1024], *rest = NULL;
	int n = 0, found = 0;

	(void)snprintf(words, sizeof(words), "%s", query);
	for (char *w = strtok_r(words, " \t,.;:?!", &rest); w != NULL; w = strtok_r(NULL, " \t,.;:?!", &rest), n++)
		found += strcasestr(line, w) != NULL;
	return n > 0 ? found * 100 / n : 0;
}

/* The best lines so far are kept in order while the file is read. */
static void search(const job *j, FILE *in, FILE *out)
{
	struct { int score; long at; char text[600]; } best[51];
	char line[600], quoted[4000];
	size_t n = 0, k;
	for (long at = 1; fgets(line, sizeof(line), in) != NULL; at++) {
		int score = share(j->query, line);
		if (score == 0)
			continue;
		for (k = n; k > 0 && best[k - 1].score <= score; k--)
			best[k] = best[k - 1];
		best[k].score = score;
		best[k].at = at;
		line[strcspn(line, "\n")] = 0;
		memcpy(best[k].text, line, sizeof(line));
		n += n < (size_t)j->max;
	}
	for (k = 0; k < n; k++) {
		(void)ocj_quote(oc_str_of(best[k].text), quoted, sizeof(quoted));
		(void)fprintf(out, "%s{\"path\":\"ledger\",\"startLine\":%ld,\"endLine\":%ld,\"score\":%d.%02d,\"snippet\":%s}",
			      k > 0 ? "," : "", best[k].at, best[k].at, best[k].score / 100, best[k].score % 100, quoted);
	}
}

static void on_pool(void *arg)
{
	job *j = arg;
	char text[16384], quoted[6 * sizeof(text) + 3];
	size_t size;
	FILE *in = fopen(j->n->file, "r"), *out = open_memstream(&j->result, &size);

	j->status = in == NULL || out == NULL ? OC_E_IO : OC_OK;
	if (j->status == OC_OK && j->query[0] != 0) {
		(void)fputs("{\"results\":[", out);
		search(j, in, out);
		(void)fputs("]}", out);
	} else if (j->status == OC_OK) {
		text[fread(text, 1, sizeof(text) - 1, in)] = 0;
		(void)ocj_quote(oc_str_of(text), quoted, sizeof(quoted));
		(void)fprintf(out, "{\"path\":\"ledger\",\"text\":%s}", quoted);
	}
	(void)(in != NULL && fclose(in));
	(void)(out != NULL && fclose(out));
}

static void on_done(void *arg, oc_status status)
{
	job *j = arg;
	status = status == OC_OK ? j->status : status;
	j->n->host->call_done(j->call, status, status == OC_OK ? oc_str_of(j->result) : OC_STR("the file of the ledger cannot be read"));
	free(j->result);
	j->n->host->free(j->n->self, j);
}

static void ledger_search(void *inst, oc_call *call, oc_str request)
{
	ledger *n = inst;
	job *j = n->host->alloc(n->self, sizeof(*j));
	oc_str v;

	if (j == NULL) {
		n->host->call_done(call, OC_E_NOMEM, OC_STR("no memory for the question"));
		return;
	}
	*j = (job){.n = n, .call = call, .max = 6};
	if (ocj_get(request, "query", &v))
		(void)ocj_text(v, j->query, sizeof(j->query));
	if (ocj_get(request, "maxResults", &v))
		(void)ocj_int(v, &j->max);
	if (n->host->work(n->self, on_pool, on_done, j) != OC_OK)
		on_done(j, OC_E_BUSY);
}

static void ledger_get(void *inst, oc_call *call, oc_str request)
{
	const ledger *n = inst;
	oc_str path;

	if (ocj_get(request, "path", &path) && path.n == strlen("\"ledger\"") && memcmp(path.p, "\"ledger\"", path.n) == 0)
		ledger_search(inst, call, request); /* without a query */
	else
		n->host->call_done(call, OC_E_DENIED, OC_STR("the only path is \"ledger\""));
}

static oc_status ledger_init(const oc_host_api *host, oc_self *self, oc_str config, void **ret_inst)
{
	ledger *n = host->alloc(self, sizeof(*n));
	oc_str file;

	if (n == NULL)
		return OC_E_NOMEM;
	*n = (ledger){.host = host, .self = self};
	if (ocj_get(config, "file", &file))
		(void)ocj_text(file, n->file, sizeof(n->file));
	*ret_inst = n;
	return OC_OK;
}

static void ledger_fini(void *inst)
{
	((ledger *)inst)->host->free(((ledger *)inst)->self, inst);
}

static const oc_memory_vtbl vtbl = {.struct_size = sizeof(vtbl), .search = ledger_search, .get = ledger_get};
static const oc_iface ifaces[] = {{OC_KIND_MEMORY, 1, 0, "ledger", &vtbl}};
static const oc_module_desc ledger_desc = {
	.magic = OC_MODULE_MAGIC, .struct_size = sizeof(ledger_desc), .abi_major = OC_ABI_MAJOR, .abi_minor = OC_ABI_MINOR,
	.name = "ledger", .version = "0.1.0", .ifaces = ifaces, .n_ifaces = 1, .init = ledger_init, .fini = ledger_fini,
};
OC_MODULE(&ledger_desc);
