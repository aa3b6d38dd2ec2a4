#include "core/agent/media.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/base/id.h"
#include "core/base/path.h"

static char *encode(const unsigned char *p, size_t n)
{
	static const char alphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
	char *out = oc_alloc((n + 2) / 3 * 4 + 1), *at = out;
	if (out == NULL)
		return NULL;
	for (size_t i = 0; i < n; i += 3) {
		unsigned v = (unsigned)p[i] << 16 | (i + 1 < n ? (unsigned)p[i + 1] << 8 : 0) | (i + 2 < n ? p[i + 2] : 0);
		*at++ = alphabet[v >> 18];
		*at++ = alphabet[v >> 12 & 63];
		*at++ = i + 1 < n ? alphabet[v >> 6 & 63] : '=';
		*at++ = i + 2 < n ? alphabet[v & 63] : '=';
	}
	return out;
}

oc_status oc_media_base64(const char *path, size_t max, char **ret, oc_err *err)
{
	char *bytes = NULL;
	size_t n = 0;
	oc_status status = oc_path_read(path, max, &bytes, &n, err);
	if (status != OC_OK)
		return status;
	char *text = encode((const unsigned char *)bytes, n);
	oc_free(bytes);
	if (text == NULL)
		return oc_fail(err, OC_E_NOMEM, NULL, "cannot encode %s", path);
	*ret = text;
	return OC_OK;
}

/* Names come from strangers: only what is harmless everywhere stays. */
static void safe_name(const char *name, char *out, size_t size)
{
	size_t n = 0;
	for (const char *p = name; *p != 0 && n + 1 < size; p++) {
		unsigned char c = (unsigned char)*p;
		bool good = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' ||
			    c == '_' || (c == '.' && n > 0) || c >= 0x80;
		out[n++] = good ? (char)c : '_';
	}
	out[n] = 0;
}

static bool copy_file(const char *from, const char *to)
{
	int in = open(from, O_RDONLY | O_CLOEXEC | O_NOFOLLOW), out = -1;
	if (in >= 0)
		out = open(to, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
	struct stat st;
	bool ok = in >= 0 && out >= 0 && fstat(in, &st) == 0 && S_ISREG(st.st_mode);
	for (off_t left = ok ? st.st_size : 0; ok && left > 0;) {
		ssize_t n = copy_file_range(in, NULL, out, NULL, (size_t)left, 0);
		ok = n > 0;
		left -= n;
	}
	if (in >= 0)
		close(in);
	if (out >= 0)
		close(out);
	return ok;
}

void oc_media_adopt(oc_turn *turn)
{
	oc_auto_free char *folder = oc_path_join(turn->workspace, "media/inbound");
	cJSON *m;
	if (folder == NULL || cJSON_GetArraySize(turn->media) == 0 || oc_path_mkdirs(folder, 0700, NULL) != OC_OK)
		return;
	cJSON_ArrayForEach(m, turn->media)
	{
		const char *path = oc_json_str(m, "path", "");
		if (path[0] != '/' || oc_json_get(m, "workspacePath") != NULL)
			continue;
		char name[100], unique[13];
		safe_name(oc_json_str(m, "name", oc_path_base(path)), name, sizeof name);
		oc_auto_free char *rel = oc_asprintf("media/inbound/%s-%s", oc_id_token(unique, 8), name);
		oc_auto_free char *to = rel != NULL ? oc_path_join(turn->workspace, rel) : NULL;
		/* A second name for the same bytes costs nothing; another file system wants a copy. */
		if (to != NULL && (link(path, to) == 0 || copy_file(path, to)))
			(void)oc_json_set_str(m, "workspacePath", rel);
	}
}
