/* See device.h. */
#include "core/gateway/device.h"

#include <inttypes.h>
#include <sodium.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/clock.h"
#include "core/base/id.h"
#include "core/base/mem.h"
#include "core/base/path.h"

#define MAX_FILE (8u << 20)
#define MAX_PENDING 64
#define MAX_PAIRED 1000

struct oc_devices {
	cJSON *paired, *pending; /* by device id; by request id */
};

/* ---- The signature ---- */

static bool decode(oc_str text, unsigned char *out, size_t n)
{
	size_t got = 0;
	const char *end = NULL;
	int bad = sodium_base642bin(out, n, text.p, text.n, NULL, &got, &end, sodium_base64_VARIANT_URLSAFE_NO_PADDING);
	return bad == 0 && got == n && end == text.p + text.n;
}

bool oc_device_id_ok(const oc_device_claim *claim)
{
	unsigned char key[crypto_sign_PUBLICKEYBYTES], hash[crypto_hash_sha256_BYTES];
	char hex[OC_DEVICE_ID_CHARS + 1];
	if (!decode(claim->public_key, key, sizeof key))
		return false;
	(void)crypto_hash_sha256(hash, key, sizeof key);
	(void)sodium_bin2hex(hex, sizeof hex, hash, sizeof hash);
	return oc_str_eqz(claim->id, hex);
}

static void add_part(oc_sbuf *b, oc_str part)
{
	oc_sbuf_char(b, '|');
	oc_sbuf_str(b, part);
}

static void add_lower(oc_sbuf *b, oc_str part)
{
	part = oc_str_trim(part);
	oc_sbuf_char(b, '|');
	for (size_t i = 0; i < part.n; i++)
		oc_sbuf_char(b, part.p[i] >= 'A' && part.p[i] <= 'Z' ? (char)(part.p[i] + 32) : part.p[i]);
}

static void write_payload(oc_sbuf *b, const oc_device_claim *c, int version)
{
	const cJSON *scope;
	oc_sbuf_printf(b, "v%d", version);
	add_part(b, c->id);
	add_part(b, c->client_id);
	add_part(b, c->client_mode);
	add_part(b, c->role);
	oc_sbuf_char(b, '|');
	cJSON_ArrayForEach(scope, c->scopes)
	{
		oc_sbuf_z(b, scope != c->scopes->child ? "," : "");
		oc_sbuf_z(b, cJSON_IsString(scope) ? scope->valuestring : "");
	}
	oc_sbuf_printf(b, "|%" PRId64, c->signed_ms);
	add_part(b, c->token);
	if (version >= 2)
		add_part(b, c->nonce);
	if (version >= 3) {
		add_lower(b, c->platform);
		add_lower(b, c->family);
	}
}

bool oc_device_signature_ok(const oc_device_claim *c)
{
	unsigned char key[crypto_sign_PUBLICKEYBYTES], signature[crypto_sign_BYTES];
	if (!decode(c->public_key, key, sizeof key) || !decode(c->signature, signature, sizeof signature))
		return false;
	bool good = false;
	for (int version = c->nonce.n > 0 ? 3 : 1; version >= 1 && !good && !(version == 1 && c->nonce.n > 0); version--) {
		oc_sbuf b;
		oc_sbuf_init(&b, 64 * 1024);
		write_payload(&b, c, version);
		good = b.error == OC_OK
		       && crypto_sign_verify_detached(signature, (const unsigned char *)b.p, b.n, key) == 0;
		oc_sbuf_free(&b);
	}
	return good;
}

/* ---- Files ---- */

static oc_status read_file(const char *name, cJSON **ret, oc_err *err)
{
	oc_auto_free char *path = oc_path_state(name);
	oc_auto_free char *text = NULL;
	size_t n = 0;
	if (path == NULL)
		return oc_fail(err, OC_E_NOMEM, NULL, "devices: out of memory");
	oc_json_limits limits = {.max_bytes = MAX_FILE};
	oc_status status = OC_OK;
	if (oc_path_exists(path))
		status = oc_path_read(path, MAX_FILE, &text, &n, err);
	if (status == OC_OK && text != NULL)
		status = oc_json_parse((oc_str){text, n}, &limits, ret, err);
	if (status == OC_OK && *ret == NULL)
		*ret = cJSON_CreateObject();
	if (status == OC_OK && !cJSON_IsObject(*ret))
		status = oc_fail(err, OC_E_CORRUPT, NULL, "it is not an object");
	return status == OC_OK ? OC_OK : oc_err_prefix(err, "%s", path);
}

static oc_status write_file(const char *name, const cJSON *tree, oc_err *err)
{
	oc_auto_free char *dir = oc_path_state("devices"), *path = oc_path_state(name), *text = oc_json_print_pretty(tree);
	if (dir == NULL || path == NULL || text == NULL)
		return oc_fail(err, OC_E_NOMEM, NULL, "devices: out of memory");
	oc_status status = oc_path_mkdirs(dir, 0700, err);
	if (status == OC_OK)
		status = oc_path_write(path, text, strlen(text), 0600, err);
	oc_wipe(text, strlen(text));
	return status;
}

static oc_status save_paired(const oc_devices *d, oc_err *err)
{
	return write_file("devices/paired.json", d->paired, err);
}

static oc_status save_pending(const oc_devices *d, oc_err *err)
{
	return write_file("devices/pending.json", d->pending, err);
}

oc_status oc_devices_open(oc_devices **ret, oc_err *err)
{
	oc_devices *d = oc_alloc(sizeof *d);
	if (d == NULL)
		return oc_fail(err, OC_E_NOMEM, NULL, "devices: out of memory");
	oc_status status = read_file("devices/paired.json", &d->paired, err);
	if (status == OC_OK)
		status = read_file("devices/pending.json", &d->pending, err);
	if (status == OC_OK)
		*ret = d;
	else
		oc_devices_free(d);
	return status;
}

void oc_devices_free(oc_devices *d)
{
	if (d == NULL)
		return;
	cJSON_Delete(d->paired);
	cJSON_Delete(d->pending);
	oc_free(d);
}

/* ---- Lists of names ---- */

static void add_all(cJSON *list, const cJSON *more)
{
	const cJSON *one;
	cJSON_ArrayForEach(one, more) if (cJSON_IsString(one) && !oc_json_has_str(list, one->valuestring))
		(void)cJSON_AddItemToArray(list, cJSON_CreateString(one->valuestring));
}

/* The list of that name, made when it is not there. */
static cJSON *list_of(cJSON *object, const char *name)
{
	cJSON *list = cJSON_GetObjectItemCaseSensitive(object, name);
	return cJSON_IsArray(list) ? list : cJSON_AddArrayToObject(object, name);
}

static int by_name(const void *a, const void *b)
{
	return strcmp(*(const char *const *)a, *(const char *const *)b);
}

static cJSON *sorted(const cJSON *list)
{
	size_t n = 0, most = (size_t)cJSON_GetArraySize(list);
	const char **names = oc_alloc((most + 1) * sizeof *names);
	const cJSON *one;
	cJSON_ArrayForEach(one, list) if (names != NULL && cJSON_IsString(one)) names[n++] = one->valuestring;
	if (n > 0)
		qsort(names, n, sizeof *names, by_name);
	cJSON *result = names != NULL ? cJSON_CreateStringArray(names, (int)n) : NULL;
	oc_free(names);
	return result;
}

/* Admin contains every other scope, write contains read. */
static bool within(const cJSON *granted, const cJSON *asked)
{
	const cJSON *one;
	cJSON_ArrayForEach(one, asked)
	{
		const char *name = cJSON_IsString(one) ? one->valuestring : "";
		bool read = strcmp(name, "operator.read") == 0;
		if (!oc_json_has_str(granted, name) && !oc_json_has_str(granted, "operator.admin") && !(read && oc_json_has_str(granted, "operator.write")))
			return false;
	}
	return true;
}

/* ---- Reading ---- */

/* As it is shown: tokens without their values. */
static cJSON *shown(const cJSON *device)
{
	cJSON *copy = cJSON_Duplicate(device, true), *tokens = cJSON_CreateArray(), *token;
	cJSON_ArrayForEach(token, oc_json_get(device, "tokens"))
	{
		cJSON *one = cJSON_Duplicate(token, true);
		cJSON_DeleteItemFromObjectCaseSensitive(one, "token");
		(void)cJSON_AddItemToArray(tokens, one);
	}
	if (oc_json_get(device, "tokens") != NULL)
		(void)oc_json_set(copy, "tokens", tokens);
	else
		cJSON_Delete(tokens);
	return copy;
}

static void forget_old(oc_devices *d)
{
	int64_t now = oc_wall_ms();
	cJSON *one = d->pending->child;
	while (one != NULL) {
		cJSON *next = one->next;
		int64_t age = now - oc_json_i64(one, "ts", 0);
		if (age > OC_DEVICE_PENDING_MS || age < -OC_DEVICE_PENDING_MS)
			cJSON_Delete(cJSON_DetachItemViaPointer(d->pending, one));
		one = next;
	}
}

/* The members of an object as a list, those with the largest number of that name first. */
static cJSON *as_list(const cJSON *object, const char *name)
{
	cJSON *list = cJSON_CreateArray();
	const cJSON *one;
	cJSON_ArrayForEach(one, object)
	{
		int at = 0;
		const cJSON *other;
		cJSON_ArrayForEach(other, list)
		{
			if (oc_json_i64(other, name, 0) < oc_json_i64(one, name, 0))
				break;
			at++;
		}
		(void)oc_json_insert(list, at, shown(one));
	}
	return list;
}

cJSON *oc_devices_list(oc_devices *d)
{
	forget_old(d);
	cJSON *result = cJSON_CreateObject();
	(void)oc_json_set(result, "pending", as_list(d->pending, "ts"));
	(void)oc_json_set(result, "paired", as_list(d->paired, "approvedAtMs"));
	return result;
}

static cJSON *device_of(const oc_devices *d, const char *id)
{
	return cJSON_GetObjectItemCaseSensitive(d->paired, id);
}

const cJSON *oc_devices_find(const oc_devices *d, oc_str id, oc_str public_key)
{
	char name[OC_DEVICE_ID_CHARS + 1];
	if (id.n != OC_DEVICE_ID_CHARS)
		return NULL;
	memcpy(name, id.p, id.n);
	name[id.n] = 0;
	const cJSON *device = device_of(d, name);
	return device != NULL && oc_str_eq(oc_json_ostr(device, "publicKey"), public_key) ? device : NULL;
}

const cJSON *oc_devices_get(const oc_devices *d, const char *id)
{
	return device_of(d, id);
}

bool oc_devices_covers(const cJSON *device, const char *role, const cJSON *scopes)
{
	const cJSON *token = oc_devices_token(device, role);
	return token != NULL && within(oc_json_get(token, "scopes"), scopes);
}

static cJSON *token_of(const cJSON *device, const char *role)
{
	return cJSON_GetObjectItemCaseSensitive(oc_json_get(device, "tokens"), role);
}

const cJSON *oc_devices_token(const cJSON *device, const char *role)
{
	const cJSON *token = token_of(device, role);
	return token != NULL && oc_json_get(token, "revokedAtMs") == NULL ? token : NULL;
}

/* When it was used last is written with the next change: a connection is no reason to write. */
bool oc_devices_token_ok(oc_devices *d, const cJSON *device, const char *role, oc_str text)
{
	const cJSON *token = oc_devices_token(device, role);
	bool good = token != NULL && text.n > 0 && oc_str_eq_secret(text, oc_json_ostr(token, "token"));
	if (good)
		(void)oc_json_set_i64(token_of(device_of(d, device->string), role), "lastUsedAtMs", oc_wall_ms());
	return good;
}

/* ---- Changes ---- */

static oc_status unknown(oc_err *err, const char *what)
{
	return oc_fail(err, OC_E_NOT_FOUND, "`openclaw devices list` shows them", "unknown %s", what);
}

static cJSON *request_of(oc_devices *d, oc_str device)
{
	cJSON *one;
	cJSON_ArrayForEach(one, d->pending) if (oc_str_eq(oc_json_ostr(one, "deviceId"), device)) return one;
	return NULL;
}

oc_status oc_devices_ask(oc_devices *d, cJSON *ask, bool silent, const cJSON **ret, bool *ret_new, oc_err *err)
{
	forget_old(d);
	cJSON *known = request_of(d, oc_json_ostr(ask, "deviceId"));
	char id[37];
	oc_id_uuid(id);
	if (known != NULL) /* the same request, as it is asked now */
		memcpy(id, known->string, strlen(known->string) < sizeof id ? strlen(known->string) + 1 : 0);
	else if (cJSON_GetArraySize(d->pending) >= MAX_PENDING || cJSON_GetArraySize(d->paired) >= MAX_PAIRED) {
		cJSON_Delete(ask);
		return oc_fail(err, OC_E_LIMIT, "`openclaw devices list` shows them; reject or remove some",
			       "too many devices wait or are paired");
	}
	(void)oc_json_set_str(ask, "requestId", id);
	(void)oc_json_set_bool(ask, "silent", silent);
	(void)oc_json_set_bool(ask, "isRepair", device_of(d, oc_json_str(ask, "deviceId", "")) != NULL);
	(void)oc_json_set_i64(ask, "ts", oc_wall_ms());
	if (!oc_json_set(d->pending, id, ask))
		return oc_fail(err, OC_E_NOMEM, NULL, "devices: out of memory");
	*ret_new = known == NULL;
	*ret = ask;
	return silent ? OC_OK : save_pending(d, err); /* a silent one is approved at once */
}

const cJSON *oc_devices_request(oc_devices *d, const char *request_id)
{
	forget_old(d);
	return cJSON_GetObjectItemCaseSensitive(d->pending, request_id);
}

/* A token of the role with the scopes; what it was before counts no more. */
static cJSON *make_token(cJSON *device, const char *role, const cJSON *scopes, int64_t now)
{
	unsigned char bytes[32];
	char text[OC_DEVICE_TOKEN_CHARS + 1];
	cJSON *tokens = cJSON_GetObjectItemCaseSensitive(device, "tokens");
	if (!cJSON_IsObject(tokens))
		tokens = cJSON_AddObjectToObject(device, "tokens");
	const cJSON *old = oc_json_get(tokens, role);
	oc_random(bytes, sizeof bytes);
	(void)sodium_bin2base64(text, sizeof text, bytes, sizeof bytes, sodium_base64_VARIANT_URLSAFE_NO_PADDING);
	cJSON *token = cJSON_CreateObject();
	(void)oc_json_set_str(token, "token", text);
	(void)oc_json_set_str(token, "role", role);
	(void)oc_json_set(token, "scopes", sorted(scopes));
	(void)oc_json_set_i64(token, "createdAtMs", oc_json_i64(old, "createdAtMs", now));
	if (old != NULL)
		(void)oc_json_set_i64(token, "rotatedAtMs", now);
	oc_wipe(text, sizeof text);
	oc_wipe(bytes, sizeof bytes);
	return oc_json_set(tokens, role, token) ? token : NULL;
}

oc_status oc_devices_approve(oc_devices *d, const char *request_id, cJSON **ret, oc_err *err)
{
	static const char *const taken[] = {"displayName", "platform", "deviceFamily", "clientId", "clientMode", "role", "remoteIp"};
	const cJSON *request = oc_devices_request(d, request_id);
	if (request == NULL)
		return unknown(err, "requestId");
	const char *id = oc_json_str(request, "deviceId", ""), *role = oc_json_str(request, "role", "operator");
	cJSON *device = device_of(d, id);
	int64_t now = oc_wall_ms();
	if (device != NULL && strcmp(oc_json_str(device, "publicKey", ""), oc_json_str(request, "publicKey", "")) != 0)
		device = NULL; /* cannot be, the id is the key's hash; a file that says otherwise is not believed */
	if (device == NULL) {
		device = cJSON_CreateObject();
		(void)oc_json_set_str(device, "deviceId", id);
		(void)oc_json_set_str(device, "publicKey", oc_json_str(request, "publicKey", ""));
		(void)oc_json_set_i64(device, "createdAtMs", now);
		if (!oc_json_set(d->paired, id, device))
			return oc_fail(err, OC_E_NOMEM, NULL, "devices: out of memory");
	}
	for (size_t i = 0; i < sizeof taken / sizeof *taken; i++)
		oc_json_opt(device, taken[i], oc_json_str(request, taken[i], NULL));
	add_all(list_of(device, "roles"), oc_json_get(request, "roles"));
	add_all(list_of(device, "scopes"), oc_json_get(request, "scopes"));
	(void)oc_json_set_i64(device, "approvedAtMs", now);
	/* What the role's token could before it still can. */
	cJSON *scopes = cJSON_CreateArray();
	const cJSON *before = oc_devices_token(device, role);
	add_all(scopes, oc_json_get(before, "scopes"));
	add_all(scopes, oc_json_get(request, "scopes"));
	bool made = make_token(device, role, scopes, now) != NULL;
	cJSON_Delete(scopes);
	bool was_silent = oc_json_bool(request, "silent", false);
	cJSON_DeleteItemFromObjectCaseSensitive(d->pending, request_id);
	oc_status status = made ? save_paired(d, err) : oc_fail(err, OC_E_NOMEM, NULL, "devices: out of memory");
	if (status == OC_OK && !was_silent)
		status = save_pending(d, err);
	if (status == OC_OK && ret != NULL)
		*ret = shown(device);
	return status;
}

oc_status oc_devices_reject(oc_devices *d, const char *request_id, cJSON **ret, oc_err *err)
{
	const cJSON *request = oc_devices_request(d, request_id);
	if (request == NULL)
		return unknown(err, "requestId");
	cJSON *result = cJSON_CreateObject();
	(void)oc_json_set_str(result, "requestId", request_id);
	(void)oc_json_set_str(result, "deviceId", oc_json_str(request, "deviceId", ""));
	cJSON_DeleteItemFromObjectCaseSensitive(d->pending, request_id);
	*ret = result;
	return save_pending(d, err);
}

oc_status oc_devices_remove(oc_devices *d, const char *id, oc_err *err)
{
	if (device_of(d, id) == NULL)
		return unknown(err, "deviceId");
	cJSON_DeleteItemFromObjectCaseSensitive(d->paired, id);
	return save_paired(d, err);
}

oc_status oc_devices_rename(oc_devices *d, const char *id, const char *name, oc_err *err)
{
	cJSON *device = device_of(d, id);
	if (device == NULL)
		return unknown(err, "deviceId");
	if (!oc_json_set_str(device, "displayName", name))
		return oc_fail(err, OC_E_NOMEM, NULL, "devices: out of memory");
	return save_paired(d, err);
}

oc_status oc_devices_rotate(oc_devices *d, const char *id, const char *role, const cJSON *scopes, const cJSON **ret,
			    oc_err *err)
{
	cJSON *device = device_of(d, id);
	const cJSON *old = token_of(device, role);
	if (old == NULL) /* the original makes one of any name; only approval gives a role here */
		return unknown(err, "deviceId/role");
	if (scopes != NULL && !within(oc_json_get(device, "scopes"), scopes))
		return oc_fail(err, OC_E_DENIED, "pair it anew with them", "the device was not approved for these scopes");
	const cJSON *token = make_token(device, role, scopes != NULL ? scopes : oc_json_get(old, "scopes"), oc_wall_ms());
	if (token == NULL)
		return oc_fail(err, OC_E_NOMEM, NULL, "devices: out of memory");
	*ret = token;
	return save_paired(d, err);
}

oc_status oc_devices_revoke(oc_devices *d, const char *id, const char *role, int64_t *ret_ms, oc_err *err)
{
	cJSON *token = token_of(device_of(d, id), role);
	if (token == NULL)
		return unknown(err, "deviceId/role");
	*ret_ms = oc_wall_ms();
	(void)oc_json_set_i64(token, "revokedAtMs", *ret_ms);
	return save_paired(d, err);
}
