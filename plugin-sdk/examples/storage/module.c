/*
 * folder: keeps objects as files of one folder, on another disk or a mounted share.  A '/' in a name is a '%' in the file's.
 * The folder must be there: a share that is not mounted is an error, not an empty storage.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <openclaw/json.h>
#include <openclaw/module.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

OC_MODULE_MANIFEST("module.json");

typedef struct folder { const oc_host_api *host; oc_self *self; char path[1024]; } folder;

/* One request on its way through the pool: files are never touched on the loop thread. */
typedef struct job {
	folder *f;
	oc_call *call;
	int (*fn)(struct job *j); /* 0, or -1 and errno */
	oc_buf *bytes;		  /* put */
	int64_t limit;		  /* list: name is the prefix, after where to go on */
	char name[256], after[256], path[1400], *result;
	size_t n;
	int error;
} job;

static void swap(char *text, char from, char to)
{
	for (; *text != 0; text++)
		*text = *text == from ? to : *text;
}

/* Whole or not at all, and on the disk: a file of its own, then its name. */
static int do_put(job *j)
{
	oc_str s = j->f->host->buf_str(j->bytes);
	char fresh[1400];
	int dir = open(j->f->path, O_RDONLY | O_DIRECTORY | O_CLOEXEC), rc;
	FILE *out = snprintf(fresh, sizeof(fresh), "%s/.%s", j->f->path, j->name) > 0 && dir >= 0 ? fopen(fresh, "we") : NULL;
	rc = out != NULL && fwrite(s.p, 1, s.n, out) == s.n && fflush(out) == 0 && fsync(fileno(out)) == 0 ? 0 : -1;
	if (out != NULL && fclose(out) == 0 && rc == 0)
		rc = rename(fresh, j->path) == 0 ? fsync(dir) : -1;
	if (dir >= 0)
		(void)close(dir);
	return rc;
}

static int do_get(job *j)
{
	struct stat st;
	FILE *in = fopen(j->path, "re");
	int rc = in != NULL && fstat(fileno(in), &st) == 0 && (j->result = malloc((size_t)st.st_size + 1)) != NULL ? 0 : -1;
	if (rc == 0 && (j->n = fread(j->result, 1, (size_t)st.st_size, in)) != (size_t)st.st_size)
		rc = -1;
	if (in != NULL)
		(void)fclose(in);
	return rc;
}

static int do_remove(job *j) { return unlink(j->path) == 0 || errno == ENOENT ? 0 : -1; }

static int do_list(job *j)
{
	struct dirent **all = NULL;
	int n = scandir(j->f->path, &all, NULL, alphasort), found = 0;
	FILE *out = open_memstream(&j->result, &j->n);

	(void)fputs("{\"objects\":[", out);
	for (int i = 0; i < n; i++) {
		char *name = all[i]->d_name;
		if (name[0] != '.' && strncmp(name, j->name, strlen(j->name)) == 0 && strcoll(name, j->after) > 0 && found++ < j->limit) {
			swap(name, '%', '/');
			(void)fprintf(out, "%s{\"name\":\"%s\"}", found > 1 ? "," : "", name);
		}
		free(all[i]);
	}
	free(all);
	(void)fprintf(out, "],\"more\":%s}", found > j->limit ? "true" : "false");
	return fclose(out) == 0 && n >= 0 ? 0 : -1;
}

static void on_pool(void *arg) { ((job *)arg)->error = ((job *)arg)->fn(arg) == 0 ? 0 : errno; }

static void on_done(void *arg, oc_status status)
{
	job *j = arg;
	const folder *f = j->f;
	if (status == OC_OK && j->error != 0)
		status = j->error == ENOENT && j->fn == do_get ? OC_E_NOT_FOUND : OC_E_IO;
	f->host->call_done(j->call, status, status != OC_OK ? oc_str_of(strerror(j->error)) : (oc_str){j->result, j->n});
	f->host->buf_unref(j->bytes);
	free(j->result);
	f->host->free(f->self, j);
}

static void ask(folder *f, oc_call *call, oc_str name, const oc_str *bytes, oc_str request, int (*fn)(job *j))
{
	job *j = f->host->alloc(f->self, sizeof(*j));
	oc_str v;
	if (j == NULL) {
		f->host->call_done(call, OC_E_NOMEM, OC_STR("no memory for the request"));
		return;
	}
	*j = (job){.f = f, .call = call, .fn = fn, .limit = 100, .bytes = bytes != NULL ? f->host->buf_new(f->self, *bytes) : NULL};
	(void)snprintf(j->name, sizeof(j->name), "%s", name.p);
	if (ocj_get(request, "prefix", &v))
		(void)ocj_text(v, j->name, sizeof(j->name));
	if (ocj_get(request, "after", &v))
		(void)ocj_text(v, j->after, sizeof(j->after));
	if (ocj_get(request, "limit", &v))
		(void)ocj_int(v, &j->limit);
	swap(j->name, '/', '%');
	swap(j->after, '/', '%');
	(void)snprintf(j->path, sizeof(j->path), "%s/%s", f->path, j->name);
	if ((bytes != NULL && j->bytes == NULL) || f->host->work(f->self, on_pool, on_done, j) != OC_OK)
		on_done(j, OC_E_NOMEM);
}

static void folder_put(void *inst, oc_call *call, oc_str name, oc_str bytes) { ask(inst, call, name, &bytes, OC_STR(""), do_put); }
static void folder_get(void *inst, oc_call *call, oc_str name) { ask(inst, call, name, NULL, OC_STR(""), do_get); }
static void folder_list(void *inst, oc_call *call, oc_str request) { ask(inst, call, OC_STR(""), NULL, request, do_list); }
static void folder_remove(void *inst, oc_call *call, oc_str name) { ask(inst, call, name, NULL, OC_STR(""), do_remove); }

static oc_status folder_init(const oc_host_api *host, oc_self *self, oc_str config, void **ret_inst)
{
	folder *f = host->alloc(self, sizeof(*f));
	oc_str path;
	if (f == NULL)
		return OC_E_NOMEM;
	*f = (folder){.host = host, .self = self};
	if (ocj_get(config, "path", &path))
		(void)ocj_text(path, f->path, sizeof(f->path));
	*ret_inst = f;
	return OC_OK;
}

static void folder_fini(void *inst) { ((folder *)inst)->host->free(((folder *)inst)->self, inst); }
static const oc_storage_vtbl vtbl = {sizeof(vtbl), 0, folder_put, folder_get, folder_list, folder_remove, NULL};
static const oc_iface ifaces[] = {{OC_KIND_STORAGE, 1, 0, "folder", &vtbl}};
static const oc_module_desc folder_desc = {
	.magic = OC_MODULE_MAGIC, .struct_size = sizeof(folder_desc), .abi_major = OC_ABI_MAJOR, .abi_minor = OC_ABI_MINOR,
	.name = "folder", .version = "0.1.0", .ifaces = ifaces, .n_ifaces = 1, .init = folder_init, .fini = folder_fini,
};
OC_MODULE(&folder_desc);
