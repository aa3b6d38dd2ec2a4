#include "core/gateway/logging.h"

#include <string.h>

#include "core/base/log.h"
#include "core/base/mem.h"
#include "core/base/path.h"
#include "core/data/regex.h"

#define PATTERNS_MAX 64
#define FILES_KEPT 5

static struct {
	oc_regex *at[PATTERNS_MAX];
	size_t n;
} hidden;

/* ---- logging.redactPatterns ---- */

/* What matches becomes stars. A line that cannot be searched is hidden whole: better no line than a secret. */
static void hide(void *arg, char *message)
{
	oc_str text = oc_str_of(message);
	(void)arg;
	for (size_t i = 0; i < hidden.n; i++) {
		size_t from = 0, at, n;
		oc_status status;
		while (from <= text.n && (status = oc_regex_find(hidden.at[i], text, from, &at, &n)) == OC_OK) {
			memset(message + at, '*', n);
			from = n > 0 ? at + n : text.n + 1; /* what matches nothing hides nothing */
		}
		if (from <= text.n && status != OC_E_NOT_FOUND)
			memset(message, '*', text.n);
	}
}

/* A pattern, or /pattern/ with the flags i and g, as the original takes them. */
static oc_status compile(const char *text, oc_regex **ret, oc_err *err)
{
	const char *end = text[0] == '/' ? strrchr(text + 1, '/') : NULL;
	if (end == NULL || end == text + 1 || strspn(end + 1, "gi") != strlen(end + 1))
		return oc_regex_new(oc_str_of(text), 0, ret, err);
	return oc_regex_new((oc_str){text + 1, (size_t)(end - text - 1)}, strchr(end + 1, 'i') != NULL ? OC_REGEX_IGNORE_CASE : 0, ret,
			    err);
}

static void forget_patterns(void)
{
	oc_log_set_mask(NULL, NULL);
	for (size_t i = 0; i < hidden.n; i++)
		oc_regex_free(hidden.at[i]);
	hidden.n = 0;
}

static void set_patterns(const oc_config *config)
{
	const cJSON *one, *list = oc_config_get(config, "logging.redactPatterns");
	forget_patterns();
	cJSON_ArrayForEach(one, list)
	{
		oc_err err = {0};
		if (!cJSON_IsString(one))
			continue;
		if (hidden.n == PATTERNS_MAX) {
			oc_warn("config", "logging.redactPatterns has more than %d patterns; the rest is not used", PATTERNS_MAX);
			break;
		}
		if (compile(one->valuestring, &hidden.at[hidden.n], &err) == OC_OK)
			hidden.n++;
		else
			oc_error("config", "logging.redactPatterns: \"%s\" is not used: %s", one->valuestring, err.text);
	}
	if (hidden.n > 0)
		oc_log_set_mask(hide, NULL);
}

/* ---- Levels ---- */

static int level_of(const char *name, int otherwise)
{
	if (name == NULL || name[0] == 0)
		return otherwise;
	if (strcmp(name, "silent") == 0)
		return 0;
	if (strcmp(name, "fatal") == 0) /* what ends the gateway is an error here */
		return OC_LOG_ERROR;
	int level = oc_log_level_parse(name);
	return level != 0 ? level : otherwise;
}

static void set_levels(const oc_config *config)
{
	int level = level_of(oc_config_str(config, "logging.level", "info"), OC_LOG_INFO);
	oc_log_set_level(level_of(oc_config_env(config, "OPENCLAW_LOG_LEVEL"), level));
	oc_log_set_console(level_of(oc_config_str(config, "logging.consoleLevel", ""), OC_LOG_TRACE));
}

void oc_gateway_log_setup(const oc_config *config, bool verbose)
{
	set_levels(config);
	if (verbose) {
		oc_log_set_level(OC_LOG_DEBUG);
		oc_log_set_console(OC_LOG_DEBUG);
	}
	oc_log_set_json(oc_config_bool(config, "logging.json", false)
			|| strcmp(oc_config_str(config, "logging.consoleStyle", ""), "json") == 0);
	oc_log_hold();
	set_patterns(config);
}

oc_status oc_gateway_log_open(const oc_config *config, oc_err *err)
{
	oc_auto_free char *dir = oc_path_state("logs");
	const char *file = oc_config_str(config, "logging.file", "gateway.log");
	oc_auto_free char *path = dir != NULL ? oc_path_expand(file, dir) : NULL;
	if (path == NULL)
		return oc_fail(err, OC_E_NOMEM, NULL, "the log: out of memory");
	oc_status status = oc_path_mkdirs(dir, 0700, err);
	if (status != OC_OK)
		return status;
	return oc_log_open_file(path, (uint64_t)oc_config_i64(config, "logging.maxFileBytes", 10 << 20), FILES_KEPT, err);
}

void oc_gateway_log_reload(const oc_config *after, const oc_config_diff *diff)
{
	if (oc_config_diff_touches(diff, "logging.level") || oc_config_diff_touches(diff, "logging.consoleLevel"))
		set_levels(after);
	if (oc_config_diff_touches(diff, "logging.redactPatterns"))
		set_patterns(after);
}

void oc_gateway_log_close(void)
{
	forget_patterns();
	oc_log_close();
}
