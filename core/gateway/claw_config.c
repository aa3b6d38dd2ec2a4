/*
 * config.* of OpenClaw's own protocol: the file as a whole, with a hash against changes by others.
 *
 * What a client sends back is compared with the file value by value, and only what differs is written, so that comments and
 * layout stay; a secret that it was shown as redacted is left as it is.
 */
#include <sodium.h>
#include <stdio.h>
#include <string.h>

#include "core/base/clock.h"
#include "core/base/mem.h"
#include "core/base/path.h"
#include "core/data/json5.h"
#include "core/gateway/proto.h"

#define REDACTED "__OPENCLAW_REDACTED__"
#define MAX_RAW (4u << 20)
#define WRITES 3 /* config.patch and config.apply, in a minute, of one device */
#define WRITERS 32
#define WRITES_MS 60000

/* ---- Reading ---- */

static void hash_of(const char *path, char hex[65])
{
	unsigned char hash[crypto_hash_sha256_BYTES];
	char *text = NULL;
	size_t n = 0;
	if (oc_path_read(path, MAX_RAW, &text, &n, NULL) != OC_OK)
		n = 0;
	(void)crypto_hash_sha256(hash, (const unsigned char *)(text != NULL ? text : ""), n);
	(void)sodium_bin2hex(hex, 65, hash, sizeof hash);
	oc_free(text);
}

static cJSON *redacted(const cJSON *tree)
{
	cJSON *copy = tree != NULL ? cJSON_Duplicate(tree, true) : cJSON_CreateObject();
	oc_config_redact(copy, "", REDACTED);
	return copy;
}

static void add_problems(const oc_config *config, cJSON *result)
{
	cJSON *lists[2] = {cJSON_CreateArray(), cJSON_CreateArray()};
	for (size_t i = 0; i < oc_config_problem_count(config); i++) {
		const oc_config_problem *p = oc_config_problem_at(config, i);
		cJSON *one = cJSON_CreateObject();
		(void)oc_json_set_str(one, "path", p->path);
		(void)oc_json_set_str(one, "message", p->message);
		(void)cJSON_AddItemToArray(lists[p->severity == OC_CONFIG_ERROR ? 0 : 1], one);
	}
	(void)oc_json_set_bool(result, "valid", lists[0]->child == NULL);
	(void)oc_json_set(result, "issues", lists[0]);
	(void)oc_json_set(result, "warnings", lists[1]);
	(void)oc_json_set(result, "legacyIssues", cJSON_CreateArray());
}

static void config_get(oc_method_call *call, const cJSON *params)
{
	oc_config *config = oc_method_config(call);
	char hash[65];
	(void)params;
	if (config == NULL)
		return;
	cJSON *result = cJSON_CreateObject(), *source = redacted(oc_config_source(config));
	oc_auto_free char *raw = oc_json_print_pretty(source);
	hash_of(oc_config_path(config), hash);
	(void)oc_json_set_str(result, "path", oc_config_path(config));
	(void)oc_json_set_bool(result, "exists", oc_config_exists(config));
	(void)oc_json_set_str(result, "raw", raw != NULL ? raw : "{}");
	(void)oc_json_set(result, "parsed", cJSON_Duplicate(source, true));
	(void)oc_json_set(result, "resolved", cJSON_Duplicate(source, true));
	(void)oc_json_set(result, "config", source);
	(void)oc_json_set_str(result, "hash", hash);
	add_problems(config, result);
	oc_config_unref(config);
	oc_method_reply(call, result);
}

const oc_method oc_method_config_get = {"config.get", OC_SCOPE_READ, "the configuration as it is written, without secrets, and its hash", OC_PARAMS(""),
					config_get};

static void config_schema(oc_method_call *call, const cJSON *params)
{
	char now[32];
	(void)params;
	cJSON *result = cJSON_CreateObject();
	(void)oc_json_set(result, "schema", oc_config_schema());
	(void)oc_json_set(result, "uiHints", cJSON_CreateObject());
	(void)oc_json_set_str(result, "version", PACKAGE_VERSION);
	(void)oc_json_set_str(result, "generatedAt", oc_wall_format(oc_wall_ms(), now, sizeof now));
	oc_method_reply(call, result);
}

const oc_method oc_method_config_schema = {"config.schema", OC_SCOPE_READ, "the schema of the configuration", OC_PARAMS(""), config_schema};

/* ---- Writing ---- */

char *oc_config_member_path(const char *path, const char *name)
{
	bool plain = name[0] != 0 && strspn(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-$") == strlen(name);
	oc_sbuf b;
	oc_sbuf_init(&b, 4096);
	oc_sbuf_z(&b, path);
	if (plain) {
		oc_sbuf_z(&b, path[0] != 0 ? "." : "");
		oc_sbuf_z(&b, name);
	} else {
		oc_sbuf_char(&b, '[');
		oc_sbuf_json(&b, oc_str_of(name));
		oc_sbuf_char(&b, ']');
	}
	return oc_sbuf_take(&b);
}

/* What was shown as redacted is what it was. false: there was nothing at that place. */
static bool restore(cJSON *now, const cJSON *before)
{
	bool good = true;
	int i = 0;
	cJSON *one = now->child;
	while (one != NULL) {
		cJSON *next = one->next;
		const cJSON *old = cJSON_IsArray(now) ? (cJSON_IsArray(before) ? cJSON_GetArrayItem(before, i) : NULL)
						      : (one->string != NULL ? oc_json_get(before, one->string) : NULL);
		if (cJSON_IsString(one) && strcmp(one->valuestring, REDACTED) == 0) {
			cJSON *copy = old != NULL ? cJSON_Duplicate(old, true) : NULL;
			good = good && copy != NULL;
			if (copy != NULL && cJSON_IsArray(now))
				(void)cJSON_ReplaceItemInArray(now, i, copy);
			else if (copy != NULL)
				(void)cJSON_ReplaceItemInObjectCaseSensitive(now, old->string, copy);
		} else {
			good = restore(one, old) && good;
		}
		one = next;
		i++;
	}
	return good;
}

/* Gathers what differs. patch: what is not named stays, and null removes. */
static void compare(oc_config_edits *edits, const char *path, const cJSON *before, const cJSON *now, bool patch)
{
	const cJSON *one;
	cJSON_ArrayForEach(one, now)
	{
		const cJSON *old = oc_json_get(before, one->string);
		oc_auto_free char *at = oc_config_member_path(path, one->string);
		if (at == NULL)
			edits->failed = true;
		else if (patch && cJSON_IsNull(one))
			oc_config_edits_remove(edits, oc_strdup(at));
		else if (cJSON_IsObject(one) && (cJSON_IsObject(old)))
			compare(edits, at, old, one, patch);
		else if (old == NULL || !oc_json_equal(old, one))
			oc_config_edits_set(edits, oc_strdup(at), cJSON_Duplicate(one, true));
	}
	for (one = !patch && before != NULL ? before->child : NULL; one != NULL; one = one->next)
		if (oc_json_get(now, one->string) == NULL)
			oc_config_edits_remove(edits, oc_config_member_path(path, one->string));
}

/* A section that nobody knows and that was not there: most likely the whole is not meant as a configuration, and what was there
 * would be gone. Deeper down an unknown name is a warning, as in the file. NULL: there is none. */
static const char *strange_section(const cJSON *now, const cJSON *before)
{
	oc_auto_json cJSON *schema = oc_config_schema();
	const cJSON *one, *known = oc_json_get(schema, "properties");
	cJSON_ArrayForEach(one, now)
		if (oc_json_get(known, one->string) == NULL && oc_json_get(before, one->string) == NULL) return one->string;
	return NULL;
}

static cJSON *issue_of(const char *path, const char *message)
{
	cJSON *details = cJSON_CreateObject(), *issues = cJSON_CreateArray(), *one = cJSON_CreateObject();
	(void)oc_json_set_str(one, "path", path);
	(void)oc_json_set_str(one, "message", message);
	(void)cJSON_AddItemToArray(issues, one);
	(void)oc_json_set(details, "issues", issues);
	return details;
}

/* A refused edit is told as "PATH what is wrong". */
static cJSON *issue_at(const char *text)
{
	size_t n = strcspn(text, " ");
	oc_auto_free char *path = oc_memdup(text, n);
	return issue_of(path != NULL && text[n] != 0 ? path : "", text[n] != 0 ? text + n + 1 : text);
}

/* Checks the hash, compares, writes, takes it up, answers. */
static void write_config(oc_method_call *call, const cJSON *params, bool patch)
{
	oc_config *config = oc_method_config(call);
	oc_auto_json cJSON *now = NULL;
	oc_config_edits edits = {0};
	oc_err err = {0};
	const char *given = oc_json_str(params, "baseHash", "");
	const char *strange = NULL;
	char hash[65], message[200];
	cJSON *details = NULL;
	if (config == NULL)
		return;
	hash_of(oc_config_path(config), hash);
	if (oc_config_exists(config) && given[0] == 0)
		(void)oc_fail(&err, OC_E_INVALID, "", "config base hash required; re-run config.get and retry");
	else if (oc_config_exists(config) && strcmp(given, hash) != 0)
		(void)oc_fail(&err, OC_E_INVALID, "", "config changed since last load; re-run config.get and retry");
	else if (oc_json5_parse(oc_json_ostr(params, "raw"), NULL, &now, &err) != OC_OK)
		(void)oc_err_prefix(&err, "the configuration");
	else if (!cJSON_IsObject(now))
		(void)oc_fail(&err, OC_E_INVALID, "", "%sraw must be an object", patch ? "config.patch " : "");
	else if ((strange = strange_section(now, oc_config_source(config))) != NULL) {
		(void)snprintf(message, sizeof message, "Unrecognized key: \"%.100s\"", strange);
		details = issue_of("", message);
		(void)oc_fail(&err, OC_E_INVALID, "", "invalid config: <root>: %s", message);
	} else if (!restore(now, oc_config_source(config)))
		(void)oc_fail(&err, OC_E_INVALID, "send the secret itself", "there is no secret that " REDACTED " could stand for");
	if (err.code == OC_OK) {
		compare(&edits, "", oc_config_source(config), now, patch);
		if (oc_config_edits_commit(&edits, NULL, &err) == OC_E_INVALID)
			details = issue_at(err.text);
	}
	oc_config_unref(config);
	if (err.code != OC_OK) {
		oc_method_fail_with(call, &err, details);
		return;
	}
	oc_gateway_reload(oc_method_gateway(call), false);
	config = oc_method_config(call);
	if (config == NULL)
		return;
	cJSON *result = cJSON_CreateObject();
	hash_of(oc_config_path(config), hash);
	(void)oc_json_set_bool(result, "ok", true);
	(void)oc_json_set_str(result, "path", oc_config_path(config));
	(void)oc_json_set(result, "config", redacted(oc_config_source(config)));
	(void)oc_json_set_str(result, "hash", hash);
	oc_config_unref(config);
	oc_method_reply(call, result);
}

static void config_set(oc_method_call *call, const cJSON *params)
{
	write_config(call, params, false);
}

#define RAW "\"raw\":{\"type\":\"string\",\"minLength\":1,\"maxLength\":4194304}," OC_STRING("baseHash")
const oc_method oc_method_config_set = {"config.set", OC_SCOPE_ADMIN, "makes the configuration what raw (JSON5) says; comments stay",
					OC_PARAMS_REQ("\"raw\"", RAW), config_set};

/* true: this device did too many of these in a minute; answered. */
static bool too_often(oc_method_call *call, const char *method)
{
	/* When each of the last clients did; of the one gateway of this process. */
	static struct writer {
		char who[80];
		uint64_t at[WRITES], last;
		size_t next;
	} writers[WRITERS];
	struct writer *w = &writers[0];
	oc_client *client = oc_method_client(call);
	const oc_proto *proto = oc_proto_of(client);
	char peer[OC_GATEWAY_PEER_MAX];
	const char *who = proto != NULL && proto->device != NULL ? proto->device : oc_gateway_peer(client->peer, peer);
	for (size_t i = 0; i < WRITERS; i++) {
		if (strcmp(writers[i].who, who) == 0) {
			w = &writers[i];
			break;
		}
		if (writers[i].last < w->last)
			w = &writers[i];
	}
	if (strcmp(w->who, who) != 0) {
		*w = (struct writer){0};
		(void)snprintf(w->who, sizeof w->who, "%s", who);
	}
	uint64_t now = oc_now_ms(), oldest = w->at[w->next];
	oc_err err = {0};
	if (oldest == 0 || now - oldest >= WRITES_MS) {
		w->at[w->next] = w->last = now;
		w->next = (w->next + 1) % WRITES;
		return false;
	}
	uint64_t wait = WRITES_MS - (now - oldest);
	cJSON *details = cJSON_CreateObject();
	(void)oc_json_set_str(details, "method", method);
	(void)oc_json_set_str(details, "limit", "3 per 60s");
	(void)oc_json_set_i64(details, "retryAfterMs", (int64_t)wait);
	(void)oc_fail(&err, OC_E_RATE_LIMIT, "", "rate limit exceeded for %s; retry after %llus", method, (unsigned long long)(wait / 1000 + 1));
	oc_method_fail_with(call, &err, details);
	return true;
}

static void config_apply(oc_method_call *call, const cJSON *params)
{
	if (!too_often(call, "config.apply"))
		write_config(call, params, false);
}

#define NOTES OC_STRING("sessionKey") ",\"note\":{\"type\":\"string\",\"maxLength\":2000}," OC_COUNT("restartDelayMs", 3600000)
const oc_method oc_method_config_apply = {"config.apply", OC_SCOPE_ADMIN,
					  "as config.set: changes are taken up without a restart; three in a minute",
					  OC_PARAMS_REQ("\"raw\"", RAW "," NOTES), config_apply};

static void config_patch(oc_method_call *call, const cJSON *params)
{
	if (!too_often(call, "config.patch"))
		write_config(call, params, true);
}

const oc_method oc_method_config_patch = {"config.patch", OC_SCOPE_ADMIN,
					  "changes what raw (JSON5) names, null removes; three in a minute",
					  OC_PARAMS_REQ("\"raw\"", RAW "," NOTES), config_patch};
