/*
 * Files that an answer brings along: a line "MEDIA:path" outside code blocks names one of the workspace.
 *
 * The file is opened contained in the workspace and given a second name in the state folder, which is what the channel
 * reads: a path could become another file between the check here and the reading there, and the channel may read anything.
 */
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/agent/media.h"
#include "core/base/id.h"
#include "core/base/path.h"
#include "core/security/contain.h"

#define COPY_MAX ((off_t)64 << 20) /* over file systems, where there are no second names */

static const struct {
	const char *end, *type, *mime;
} kinds[] = {
	{".jpg", "image", "image/jpeg"},   {".jpeg", "image", "image/jpeg"}, {".png", "image", "image/png"},
	{".gif", "image", "image/gif"},	   {".webp", "image", "image/webp"}, {".ogg", "audio", "audio/ogg"},
	{".opus", "audio", "audio/ogg"},   {".mp3", "audio", "audio/mpeg"},  {".m4a", "audio", "audio/mp4"},
	{".wav", "audio", "audio/wav"},	   {".mp4", "video", "video/mp4"},   {".mov", "video", "video/quicktime"},
	{".pdf", "file", "application/pdf"}, {".txt", "file", "text/plain"}, {".md", "file", "text/markdown"},
	{".csv", "file", "text/csv"},	   {".json", "file", "application/json"}, {".zip", "file", "application/zip"},
	{".html", "file", "text/html"},
};

static bool copy_bytes(int in, const char *to)
{
	struct stat st;
	int out = open(to, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
	bool ok = out >= 0 && fstat(in, &st) == 0 && st.st_size <= COPY_MAX;
	for (off_t left = ok ? st.st_size : 0; ok && left > 0;) {
		ssize_t n = copy_file_range(in, NULL, out, NULL, (size_t)left, 0);
		ok = n > 0;
		left -= n;
	}
	if (out >= 0)
		close(out);
	return ok;
}

/* A name in the state folder for the open file. */
static char *keep(const oc_agent *agent, int fd, const char *name, oc_err *err)
{
	char link_from[48], unique[13];
	oc_auto_free char *folder = oc_path_join(agent->state_dir, "media/outbound");
	oc_auto_free char *file = oc_asprintf("%s-%s", oc_id_token(unique, 12), name);
	char *to = folder != NULL && file != NULL ? oc_path_join(folder, file) : NULL;
	snprintf(link_from, sizeof link_from, "/proc/self/fd/%d", fd);
	if (to == NULL) {
		oc_fail(err, OC_E_NOMEM, NULL, "out of memory");
	} else if (oc_path_mkdirs(folder, 0700, err) == OC_OK) {
		if (linkat(AT_FDCWD, link_from, AT_FDCWD, to, AT_SYMLINK_FOLLOW) == 0 || copy_bytes(fd, to))
			return to;
		oc_fail(err, OC_E_IO, NULL, "it cannot be copied");
	}
	oc_free(to);
	return NULL;
}

cJSON *oc_media_file(const oc_agent *agent, const char *workspace, const char *path, oc_err *err)
{
	struct stat st;
	int fd = -1;
	const char *below = oc_contain_relative(workspace, path), *name = oc_path_base(path);
	int root = open(workspace, O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (root < 0 || below == NULL)
		oc_fail(err, OC_E_DENIED, NULL, "it is not in the workspace");
	else if (oc_contain_open(root, below, O_RDONLY | O_NONBLOCK, 0, &fd, err) == OC_OK
		 && (fstat(fd, &st) != 0 || !S_ISREG(st.st_mode) || st.st_size == 0))
		oc_fail(err, OC_E_INVALID, NULL, "it is no file with content");
	char *kept = fd >= 0 && err->code == OC_OK ? keep(agent, fd, name, err) : NULL;
	cJSON *one = kept != NULL ? cJSON_CreateObject() : NULL;
	const char *type = "file", *mime = "application/octet-stream";
	for (size_t i = 0; i < sizeof kinds / sizeof kinds[0]; i++)
		if (strlen(name) > strlen(kinds[i].end) && strcasecmp(name + strlen(name) - strlen(kinds[i].end), kinds[i].end) == 0) {
			type = kinds[i].type;
			mime = kinds[i].mime;
		}
	(void)oc_json_set_str(one, "type", type);
	(void)oc_json_set_str(one, "path", kept);
	(void)oc_json_set_str(one, "mime", mime);
	(void)oc_json_set_str(one, "name", name);
	oc_free(kept);
	if (fd >= 0)
		close(fd);
	if (root >= 0)
		close(root);
	return one;
}

/* The path a line names, or nothing. */
static oc_str path_of(oc_str line)
{
	line = oc_str_trim(line);
	if (!oc_str_starts(line, "MEDIA:"))
		return OC_STR_NONE;
	line = oc_str_trim((oc_str){line.p + 6, line.n - 6});
	if (line.n >= 2 && (line.p[0] == '`' || line.p[0] == '"' || line.p[0] == '\'') && line.p[line.n - 1] == line.p[0])
		line = (oc_str){line.p + 1, line.n - 2};
	return line;
}

cJSON *oc_media_attach(oc_turn *turn, const char *text, char **ret_rest)
{
	cJSON *list = NULL;
	oc_sbuf rest;
	bool code = false;
	oc_sbuf_init(&rest, OC_TURN_TEXT_MAX * 2);
	for (const char *at = text; *at != 0;) {
		size_t n = strcspn(at, "\n");
		oc_str line = {at, n}, path = code ? OC_STR_NONE : path_of(line);
		if (oc_str_starts(oc_str_trim(line), "```") || oc_str_starts(oc_str_trim(line), "~~~"))
			code = !code;
		at += n + (at[n] == '\n');
		/* Addresses stay in the text, where they can be followed. */
		if (path.n == 0 || oc_str_has(path, "://") || cJSON_GetArraySize(list) >= OC_MEDIA_COUNT_MAX) {
			oc_sbuf_str(&rest, line);
			oc_sbuf_z(&rest, *at != 0 || at[-1] == '\n' ? "\n" : "");
			continue;
		}
		oc_err err = {0};
		oc_auto_free char *name = oc_memdup(path.p, path.n);
		cJSON *one = name != NULL ? oc_media_file(turn->agent, turn->workspace, name, &err) : NULL;
		if (list == NULL && one != NULL)
			list = cJSON_CreateArray();
		if (one == NULL)
			oc_sbuf_printf(&rest, "(%.*s could not be attached: %s)\n", OC_STR_ARG(path), err.text);
		else if (!cJSON_AddItemToArray(list, one))
			cJSON_Delete(one);
	}
	oc_str trimmed = oc_str_trim(oc_sbuf_view(&rest));
	*ret_rest = oc_memdup(trimmed.p, trimmed.n);
	oc_sbuf_free(&rest);
	if (*ret_rest == NULL) {
		cJSON_Delete(list);
		return NULL;
	}
	return list;
}
