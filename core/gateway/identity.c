/* gateway.identity.get: the gateway's own key, in <state>/identity/device.json as the TypeScript gateway keeps it. */
#include <sodium.h>
#include <stdio.h>
#include <string.h>

#include "core/base/clock.h"
#include "core/base/mem.h"
#include "core/base/path.h"
#include "core/gateway/gateway.h"

#define MAX_FILE 16384
#define PREFIX_MAX 16
enum { PEM_MAX = 256 };

/* What stands before an Ed25519 key in its DER forms (RFC 8410). */
static const unsigned char public_prefix[] = {0x30, 0x2a, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x03, 0x21, 0x00};
static const unsigned char private_prefix[] = {0x30, 0x2e, 0x02, 0x01, 0x00, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x04, 0x22, 0x04, 0x20};

static void to_pem(const char *what, const unsigned char *prefix, size_t n, const unsigned char key[32], char out[PEM_MAX])
{
	unsigned char der[PREFIX_MAX + 32];
	char text[128];
	memcpy(der, prefix, n);
	memcpy(der + n, key, 32);
	(void)sodium_bin2base64(text, sizeof text, der, n + 32, sodium_base64_VARIANT_ORIGINAL);
	(void)snprintf(out, PEM_MAX, "-----BEGIN %s KEY-----\n%s\n-----END %s KEY-----\n", what, text, what);
	oc_wipe(der, sizeof der);
	oc_wipe(text, sizeof text);
}

static bool from_pem(const char *pem, unsigned char key[32])
{
	unsigned char der[sizeof public_prefix + 32];
	const char *begin = strchr(pem, '\n');
	size_t got = 0;
	if (begin == NULL || sodium_base642bin(der, sizeof der, begin + 1, strcspn(begin + 1, "-"), "\r\n ", &got, NULL, sodium_base64_VARIANT_ORIGINAL) != 0
	    || got != sizeof der || memcmp(der, public_prefix, sizeof public_prefix) != 0)
		return false;
	memcpy(key, der + sizeof public_prefix, 32);
	return true;
}

static void id_of(const unsigned char key[32], char hex[65])
{
	unsigned char hash[crypto_hash_sha256_BYTES];
	(void)crypto_hash_sha256(hash, key, 32);
	(void)sodium_bin2hex(hex, 65, hash, sizeof hash);
}

static oc_status make(const char *path, unsigned char key[32], oc_err *err)
{
	unsigned char secret[crypto_sign_SECRETKEYBYTES];
	char pem[PEM_MAX], hex[65];
	cJSON *o = cJSON_CreateObject();
	(void)crypto_sign_keypair(key, secret);
	id_of(key, hex);
	(void)oc_json_set_i64(o, "version", 1);
	(void)oc_json_set_str(o, "deviceId", hex);
	to_pem("PUBLIC", public_prefix, sizeof public_prefix, key, pem);
	(void)oc_json_set_str(o, "publicKeyPem", pem);
	to_pem("PRIVATE", private_prefix, sizeof private_prefix, secret, pem); /* its first half is the seed */
	(void)oc_json_set_str(o, "privateKeyPem", pem);
	(void)oc_json_set_i64(o, "createdAtMs", oc_wall_ms());
	oc_auto_free char *text = oc_json_print_pretty(o), *folder = oc_path_state("identity");
	cJSON_Delete(o);
	oc_wipe(secret, sizeof secret);
	oc_wipe(pem, sizeof pem);
	oc_status status = text != NULL && folder != NULL ? oc_path_mkdirs(folder, 0700, err) : oc_fail(err, OC_E_NOMEM, NULL, "out of memory");
	if (status == OC_OK)
		status = oc_path_write(path, text, strlen(text), 0600, err);
	if (text != NULL)
		oc_wipe(text, strlen(text));
	return status;
}

static oc_status load(unsigned char key[32], oc_err *err)
{
	oc_auto_free char *path = oc_path_state("identity/device.json"), *text = NULL;
	oc_auto_json cJSON *o = NULL;
	size_t n = 0;
	if (path == NULL)
		return oc_fail(err, OC_E_NOMEM, NULL, "out of memory");
	if (!oc_path_exists(path))
		return make(path, key, err);
	oc_status status = oc_path_read(path, MAX_FILE, &text, &n, err);
	if (status == OC_OK)
		status = oc_json_parse(oc_str_make(text, n), NULL, &o, err);
	if (status == OC_OK && !from_pem(oc_json_str(o, "publicKeyPem", ""), key))
		status = oc_fail(err, OC_E_UNAVAILABLE, "move the file away, and a new one is made", "%s has no Ed25519 key", path);
	return status;
}

static void gateway_identity_get(oc_method_call *call, const cJSON *params)
{
	unsigned char key[32];
	char hex[65], text[64];
	oc_err err = {0};
	(void)params;
	if (sodium_init() < 0)
		(void)oc_fail(&err, OC_E_INTERNAL, NULL, "libsodium does not start");
	else
		(void)load(key, &err);
	if (err.code != OC_OK) {
		oc_method_fail(call, &err);
		return;
	}
	cJSON *result = cJSON_CreateObject();
	id_of(key, hex);
	(void)sodium_bin2base64(text, sizeof text, key, sizeof key, sodium_base64_VARIANT_URLSAFE_NO_PADDING);
	(void)oc_json_set_str(result, "deviceId", hex);
	(void)oc_json_set_str(result, "publicKey", text);
	oc_method_reply(call, result);
}

const oc_method oc_method_gateway_identity_get = {
	"gateway.identity.get", OC_SCOPE_READ, "the gateway's own public key and its id; made when first asked for", NULL, gateway_identity_get};
