/* What the configuration says about one account, and its secrets. */
#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "settings.h"

#define CLOUD_ROOT "https://api.telegram.org"
#define MIB ((size_t)1024 * 1024)
/* What api.telegram.org lets bots load and send; a server of one's own has no such limits. */
#define CLOUD_IN (20 * MIB)
#define CLOUD_OUT (50 * MIB)
#define LOCAL_MAX (2000 * MIB)

static char *dup_str(const cJSON *config, const char *name, const char *fallback)
{
	const char *value = tg_json_str(config, name, fallback);
	return tg_memdup(value, strlen(value));
}

static tg_tables tables_of(const cJSON *config)
{
	const char *name = tg_json_str(tg_json_obj(config, "markdown"), "tables", "code");
	return strcmp(name, "off") == 0 ? TG_TABLES_OFF : strcmp(name, "bullets") == 0 ? TG_TABLES_BULLETS : TG_TABLES_CODE;
}

static tg_reply_mode reply_mode_of(const cJSON *config)
{
	const char *name = tg_json_str(config, "replyToMode", "first");
	return strcmp(name, "off") == 0 ? TG_REPLY_OFF : strcmp(name, "all") == 0 ? TG_REPLY_ALL : TG_REPLY_FIRST;
}

static void read_sizes(const cJSON *config, tg_config *c)
{
	const cJSON *limit = cJSON_GetObjectItemCaseSensitive(config, "mediaMaxMb");
	c->file_max_in = CLOUD_IN;
	c->file_max_out = CLOUD_OUT;
	if (cJSON_IsNumber(limit) && limit->valuedouble > 0) {
		double bytes = limit->valuedouble * (double)MIB;
		size_t most = bytes < (double)LOCAL_MAX ? (size_t)bytes : LOCAL_MAX;
		c->file_max_in = c->local_server || most < CLOUD_IN ? most : CLOUD_IN;
		c->file_max_out = c->local_server || most < CLOUD_OUT ? most : CLOUD_OUT;
	}
}

/* Whether a path is the prefix the gateway hands to us, or below it, without anything that could mean another one. */
static bool webhook_path_ok(const char *path)
{
	size_t n = strlen(TG_WEBHOOK_PREFIX);
	return strncmp(path, TG_WEBHOOK_PREFIX, n) == 0 && (path[n] == 0 || (path[n] == '/' && path[n + 1] != 0))
	       && strstr(path, "..") == NULL && strlen(path) < 512;
}

static const char *check(const tg_config *c)
{
	if (strncmp(c->api_root, "https://", 8) != 0 && strncmp(c->api_root, "http://", 7) != 0)
		return "apiRoot must begin with https:// or http://";
	if (*c->webhook_url != 0 && strncmp(c->webhook_url, "https://", 8) != 0 && !c->local_server)
		return "webhookUrl must begin with https://: Telegram sends updates to nothing else";
	if (!webhook_path_ok(c->webhook_path))
		return "webhookPath must be " TG_WEBHOOK_PREFIX " or below it: that is where the gateway takes Telegram's "
		       "requests; let a reverse proxy in front translate any other path";
	return NULL;
}

oc_status tg_config_read(const char *account, const cJSON *config, tg_config *c, const char **ret_wrong)
{
	char path[160];
	bool is_default = strcmp(account, "default") == 0;
	const cJSON *streaming = tg_json_obj(config, "streaming");
	const char *chunk_mode = tg_json_str(streaming, "chunkMode", tg_json_str(config, "chunkMode", "length"));
	int64_t units = tg_json_i64(config, "textChunkLimit", 4000);
	int64_t seconds = tg_json_i64(config, "timeoutSeconds", 30);
	snprintf(path, sizeof path, "%s%s%s", TG_WEBHOOK_PREFIX, is_default ? "" : "/", is_default ? "" : account);
	c->api_root = dup_str(config, "apiRoot", CLOUD_ROOT);
	c->proxy = dup_str(config, "proxy", "");
	c->webhook_url = dup_str(config, "webhookUrl", "");
	c->webhook_path = dup_str(config, "webhookPath", path);
	c->webhook_cert = dup_str(config, "webhookCertPath", "");
	const cJSON *roots = cJSON_GetObjectItemCaseSensitive(config, "trustedLocalFileRoots");
	c->trusted_roots = cJSON_IsArray(roots) ? cJSON_Duplicate(roots, true) : NULL;
	if (c->api_root == NULL || c->proxy == NULL || c->webhook_url == NULL || c->webhook_path == NULL
	    || c->webhook_cert == NULL || (cJSON_IsArray(roots) && c->trusted_roots == NULL))
		return OC_E_NOMEM;
	for (size_t n = strlen(c->api_root); n > 0 && c->api_root[n - 1] == '/'; n--)
		c->api_root[n - 1] = 0;
	c->local_server = strcmp(c->api_root, CLOUD_ROOT) != 0;
	c->text_units = units < 16 ? 16 : units > TG_TEXT_UNITS ? TG_TEXT_UNITS : (size_t)units;
	c->call_ms = (uint64_t)(seconds < 5 ? 5 : seconds > 600 ? 600 : seconds) * 1000;
	c->by_paragraph = strcmp(chunk_mode, "newline") == 0;
	c->link_preview = tg_json_bool(config, "linkPreview", true);
	c->tables = tables_of(config);
	c->reply_mode = reply_mode_of(config);
	read_sizes(config, c);
	*ret_wrong = check(c);
	return *ret_wrong == NULL ? OC_OK : OC_E_INVALID;
}

void tg_config_free(tg_config *c)
{
	free(c->api_root);
	if (c->proxy != NULL)
		tg_wipe(c->proxy, strlen(c->proxy)); /* may hold a password */
	free(c->proxy);
	free(c->webhook_url);
	free(c->webhook_path);
	free(c->webhook_cert);
	cJSON_Delete(c->trusted_roots);
	memset(c, 0, sizeof *c);
}

/* ---- Secrets ---- */

static oc_status copy_trimmed(const char *p, size_t n, char *out, size_t size)
{
	while (n > 0 && isspace((unsigned char)p[n - 1]))
		n--;
	while (n > 0 && isspace((unsigned char)*p)) {
		p++;
		n--;
	}
	if (n == 0)
		return OC_E_NOT_FOUND;
	if (n >= size)
		return OC_E_LIMIT;
	memcpy(out, p, n);
	out[n] = 0;
	return OC_OK;
}

static oc_status from_host(tg_module *m, const char *name, char *out, size_t size)
{
	oc_buf *buf = NULL;
	oc_status status = m->host->secret(m->self, oc_str_of(name), &buf);
	if (status == OC_OK) {
		oc_str s = m->host->buf_str(buf);
		status = copy_trimmed(s.p, s.n, out, size);
		m->host->buf_unref(buf);
	}
	return status;
}

/* accounts.<id>.<name>, and for the default account <name> of the channel itself. */
static oc_status account_secret(tg_module *m, const char *account, const char *name, char *path, size_t path_size, char *out,
				size_t size)
{
	snprintf(path, path_size, "channels.telegram.accounts.%s.%s", account, name);
	oc_status status = from_host(m, path, out, size);
	if (status == OC_E_NOT_FOUND && strcmp(account, "default") == 0) {
		snprintf(path, path_size, "channels.telegram.%s", name);
		status = from_host(m, path, out, size);
	}
	return status;
}

static oc_status from_file(const char *file, char *out, size_t size)
{
	char path[TG_PATH_MAX], text[1024];
	const char *home = getenv("HOME");
	struct stat st;
	snprintf(path, sizeof path, "%s%s", *file == '~' && home != NULL ? home : "", *file == '~' ? file + 1 : file);
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
	if (fd < 0)
		return errno == ENOENT ? OC_E_NOT_FOUND : OC_E_IO;
	ssize_t n = fstat(fd, &st) == 0 && S_ISREG(st.st_mode) ? read(fd, text, sizeof text) : -1;
	close(fd);
	oc_status status = n < 0 ? OC_E_IO : copy_trimmed(text, (size_t)n, out, size);
	tg_wipe(text, sizeof text);
	return status;
}

/* Only what may stand in an address, so that a pasted mistake cannot become another one. */
static bool token_ok(const char *token)
{
	const char *colon = strchr(token, ':');
	for (const char *p = token; *p != 0; p++)
		if (!isalnum((unsigned char)*p) && strchr("_-:", *p) == NULL)
			return false;
	return colon != NULL && colon != token && colon[1] != 0;
}

oc_status tg_token_read(tg_module *m, const char *account, const cJSON *config, char *path, size_t path_size, char *out,
			size_t size, const char **ret_wrong)
{
	const char *file = tg_json_str(config, "tokenFile", ""), *env = NULL;
	oc_status status = account_secret(m, account, "botToken", path, path_size, out, size);
	if (status == OC_E_NOT_FOUND && *file != 0) {
		status = from_file(file, out, size);
		if (status != OC_OK)
			*ret_wrong = "the file named by tokenFile cannot be read, is empty, or is no regular file";
	}
	if (status == OC_E_NOT_FOUND && *file == 0 && strcmp(account, "default") == 0
	    && (env = getenv("TELEGRAM_BOT_TOKEN")) != NULL)
		status = copy_trimmed(env, strlen(env), out, size);
	if (status == OC_OK && !token_ok(out)) {
		*ret_wrong = "the bot token is not of the form 123456:ABC-DEF";
		tg_wipe(out, size);
		return OC_E_AUTH;
	}
	if (status == OC_E_NOT_FOUND && *ret_wrong == NULL)
		*ret_wrong = "no bot token is set";
	else if (status == OC_E_DENIED)
		*ret_wrong = "the host does not hand out the bot token";
	else if (status != OC_OK && *ret_wrong == NULL)
		*ret_wrong = "the bot token cannot be read";
	return status;
}

/* Telegram takes 1-256 characters A-Z a-z 0-9 _ -. */
oc_status tg_webhook_secret_read(tg_module *m, const char *account, char *out, size_t size, const char **ret_wrong)
{
	char path[160];
	oc_status status = account_secret(m, account, "webhookSecret", path, sizeof path, out, size);
	if (status == OC_E_NOT_FOUND) /* nobody else has to know it */
		return tg_random_hex(out, 32) ? OC_OK : OC_E_IO;
	size_t n = strspn(out, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_-");
	if (status == OC_E_LIMIT || (status == OC_OK && (n == 0 || n > 256 || out[n] != 0))) {
		*ret_wrong = "webhookSecret must be 1 to 256 characters of A-Z a-z 0-9 _ -";
		return OC_E_INVALID;
	}
	if (status != OC_OK)
		*ret_wrong = "webhookSecret cannot be read";
	return status;
}
