/*
 * The original's Control UI, served from a folder (gateway.controlUi.root): its files, index.html for every path of the page's
 * own, and what it asks for before it connects.  The files need no authentication, like those of any dashboard: the page does.
 */
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/base/mem.h"
#include "core/base/path.h"
#include "core/gateway/gateway.h"

#define MAX_FILE (16u << 20)
#define CSP                                                                                                              \
	"default-src 'self'; base-uri 'none'; object-src 'none'; frame-ancestors 'none'; script-src 'self'; style-src 'self' "  \
	"'unsafe-inline' https://fonts.googleapis.com; img-src 'self' data: https:; font-src 'self' https://fonts.gstatic.com; " \
	"connect-src 'self' ws: wss:"

static const char *type_of(oc_str path)
{
	static const char *const types[][2] = {
		{".html", "text/html; charset=utf-8"}, {".js", "application/javascript; charset=utf-8"}, {".css", "text/css; charset=utf-8"},
		{".svg", "image/svg+xml"}, {".png", "image/png"}, {".ico", "image/x-icon"}, {".json", "application/json; charset=utf-8"},
		{".map", "application/json; charset=utf-8"}, {".webp", "image/webp"}, {".jpg", "image/jpeg"}, {".jpeg", "image/jpeg"}, {".gif", "image/gif"}, {".woff2", "font/woff2"},
		{".txt", "text/plain; charset=utf-8"}, {".webmanifest", "application/manifest+json"},
	};
	for (size_t i = 0; i < sizeof types / sizeof *types; i++)
		if (oc_str_ends(path, types[i][0]))
			return types[i][1];
	return "application/octet-stream";
}

static const char *base_of(const oc_gateway *gw)
{
	const char *base = oc_config_str(gw->rt->config, "gateway.controlUi.basePath", "");
	return strcmp(base, "/") == 0 ? "" : base;
}

/* What is behind the page's own base path; NULL-pointed: it is not below it. */
static oc_str below(const oc_gateway *gw, oc_str path)
{
	const char *base = base_of(gw);
	size_t n = strlen(base);
	if (n > 0 && (!oc_str_starts(path, base) || (path.n > n && path.p[n] != '/')))
		return (oc_str){NULL, 0};
	return (oc_str){path.p + n, path.n - n};
}

/* Each part is a plain name: no way out of the folder, no hidden file; links are not followed. -1: there is no such file. */
static int open_below(const char *root, oc_str path)
{
	int dir = open(root, O_PATH | O_DIRECTORY | O_CLOEXEC);
	while (dir >= 0 && path.n > 0 && path.p[0] == '/')
		path = (oc_str){path.p + 1, path.n - 1};
	while (dir >= 0 && path.p != NULL) {
		oc_str part = oc_str_cut(&path, '/');
		char name[256];
		bool last = path.p == NULL;
		int next = -1;
		if (part.n > 0 && part.n < sizeof name && part.p[0] != '.' && memchr(part.p, 0, part.n) == NULL) {
			memcpy(name, part.p, part.n);
			name[part.n] = 0;
			next = openat(dir, name, (last ? O_RDONLY : O_PATH | O_DIRECTORY) | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK);
		}
		close(dir);
		dir = next;
	}
	return dir;
}

static bool send_file(oc_gateway *gw, oc_http_req *req, const char *root, oc_str path)
{
	int fd = open_below(root, path);
	struct stat st;
	if (fd < 0)
		return false;
	char *bytes = fstat(fd, &st) == 0 && S_ISREG(st.st_mode) && st.st_size <= MAX_FILE ? oc_alloc((size_t)st.st_size + 1) : NULL;
	ssize_t n = 0, got = 0;
	while (bytes != NULL && n < st.st_size && (got = read(fd, bytes + n, (size_t)(st.st_size - n))) > 0)
		n += got;
	close(fd);
	if (bytes == NULL)
		return false;
	bool asset = oc_str_has(path, "/assets/"); /* their names change with what is in them */
	(void)oc_http_add_header(req, "cache-control", asset ? OC_STR("public, max-age=31536000, immutable") : OC_STR("no-cache"));
	(void)oc_http_add_header(req, "content-security-policy", OC_STR(CSP));
	(void)oc_http_add_header(req, "x-content-type-options", OC_STR("nosniff"));
	(void)oc_http_add_header(req, "x-frame-options", OC_STR("DENY"));
	(void)oc_http_add_header(req, "referrer-policy", OC_STR("no-referrer"));
	gw->status_class[2]++;
	oc_http_respond(req, 200, type_of(path), (oc_str){bytes, (size_t)n});
	oc_free(bytes);
	return true;
}

static void send_json(oc_gateway *gw, oc_http_req *req, const oc_sbuf *b)
{
	(void)oc_http_add_header(req, "cache-control", OC_STR("no-cache"));
	gw->status_class[2]++;
	oc_http_respond(req, 200, "application/json; charset=utf-8", oc_sbuf_view(b));
}

/* An agent's picture (agents.list[].identity.avatar): an address elsewhere, or an image of its workspace, which is served
 * here.  ?meta=1 asks which; no picture is an answer too.  false: there is none to serve. */
static bool send_avatar(oc_gateway *gw, oc_http_req *req, oc_str id)
{
	const cJSON *one;
	oc_str avatar = OC_STR("");
	cJSON_ArrayForEach(one, oc_config_get(gw->rt->config, "agents.list"))
		if (oc_str_eqz(id, oc_json_str(one, "id", "")))
			avatar = oc_json_ostr(oc_json_get(one, "identity"), "avatar");
	bool elsewhere = oc_str_starts(avatar, "https://") || oc_str_starts(avatar, "http://") || oc_str_starts(avatar, "data:image/");
	oc_auto_json cJSON *agent = NULL;
	const char *workspace = NULL;
	if (!elsewhere && strncmp(type_of(avatar), "image/", 6) == 0 && oc_agent_agent(gw->agent, id, &agent, NULL) == OC_OK)
		workspace = oc_json_str(agent, "workspace", NULL);
	if (!oc_str_eqz(oc_http_query(req), "meta=1"))
		return workspace != NULL && send_file(gw, req, workspace, avatar);
	int fd = workspace != NULL ? open_below(workspace, avatar) : -1;
	oc_sbuf b;
	oc_sbuf_init(&b, MAX_FILE);
	oc_sbuf_z(&b, "{\"avatarUrl\":");
	if (elsewhere)
		oc_sbuf_json(&b, avatar);
	else
		oc_sbuf_printf(&b, fd >= 0 ? "\"%s/avatar/%.*s\"" : "null", base_of(gw), OC_STR_ARG(id));
	oc_sbuf_z(&b, "}");
	send_json(gw, req, &b);
	oc_sbuf_free(&b);
	if (fd >= 0)
		close(fd);
	return true;
}

/* Public, so only what the page shows before anybody logged in. */
static void send_config(oc_gateway *gw, oc_http_req *req)
{
	const oc_config *config = gw->rt->config;
	char id[65];
	oc_sbuf b;
	oc_sbuf_init(&b, 8192);
	oc_sbuf_z(&b, "{\"basePath\":");
	oc_sbuf_json(&b, oc_str_of(base_of(gw)));
	oc_sbuf_z(&b, ",\"assistantName\":");
	oc_sbuf_json(&b, oc_str_of(oc_config_str(config, "ui.assistant.name", "Assistant")));
	oc_sbuf_z(&b, ",\"assistantAvatar\":");
	oc_sbuf_json(&b, oc_str_of(oc_config_str(config, "ui.assistant.avatar", "A")));
	oc_sbuf_z(&b, ",\"assistantAgentId\":");
	oc_sbuf_json(&b, oc_str_of(oc_agent_default_id(config, id)));
	oc_sbuf_printf(&b, ",\"serverVersion\":\"%s\"}", PACKAGE_VERSION);
	send_json(gw, req, &b);
	oc_sbuf_free(&b);
}

static const char *root_of(const oc_gateway *gw)
{
	const oc_config *config = gw->rt->config;
	return oc_config_bool(config, "gateway.controlUi.enabled", true) ? oc_config_str(config, "gateway.controlUi.root", "") : "";
}

bool oc_gateway_ui_wants(const oc_gateway *gw, const oc_http_req *req)
{
	oc_str rest = below(gw, oc_http_path(req));
	bool get = oc_http_is(req, "GET");
	/* What programs ask for by mistake is told that there is nothing, and not given a page. */
	bool api = oc_str_starts(rest, "/v1/") || oc_str_starts(rest, "/api/") || oc_str_starts(rest, "/hooks") || oc_str_starts(rest, "/tools/");
	return get && rest.p != NULL && !api && root_of(gw)[0] != 0;
}

void oc_gateway_ui(oc_gateway *gw, oc_http_req *req)
{
	oc_auto_free char *root = oc_path_expand(root_of(gw), NULL);
	oc_str rest = below(gw, oc_http_path(req));
	if (oc_str_eqz(rest, "/__openclaw/control-ui-config.json")) {
		send_config(gw, req);
		return;
	}
	if (oc_str_starts(rest, "/avatar/") && send_avatar(gw, req, (oc_str){rest.p + 8, rest.n - 8}))
		return;
	bool is_file = memrchr(rest.p, '.', rest.n) != NULL;
	if (root != NULL && is_file && send_file(gw, req, root, rest))
		return;
	if (root != NULL && !is_file && !oc_str_starts(rest, "/avatar/") && send_file(gw, req, root, OC_STR("/index.html")))
		return;
	gw->status_class[4]++;
	oc_http_error(req, 404, "not_found", "there is no such file of the Control UI");
}
