/* See signature.h.  The format: https://jedisct1.github.io/minisign/ */
#include "core/module/signature.h"

#include <sodium.h>
#include <stdio.h>
#include <string.h>

#include "core/base/mem.h"
#include "core/base/path.h"
#include "core/base/str.h"

#define REMEDY "sign the file again: minisign -Sm FILE.so"

enum { KEY_BYTES = 2 + 8 + crypto_sign_PUBLICKEYBYTES, SIG_BYTES = 2 + 8 + crypto_sign_BYTES };

const char *oc_signature_state_name(oc_signature_state state)
{
	static const char *const names[] = {"none", "unknown key", "good"};

	return names[state];
}

/* Exactly n bytes of base64. */
static bool decode(oc_str text, unsigned char *out, size_t n)
{
	size_t got = 0;

	return sodium_base642bin(out, n, text.p, text.n, NULL, &got, NULL, sodium_base64_VARIANT_ORIGINAL) == 0 && got == n;
}

static oc_str next_line(oc_str *rest)
{
	const char *end = rest->n > 0 ? memchr(rest->p, '\n', rest->n) : NULL;
	oc_str line = {rest->p, end != NULL ? (size_t)(end - rest->p) : rest->n};
	size_t used = line.n + (end != NULL);

	*rest = (oc_str){rest->p + used, rest->n - used};
	if (line.n > 0 && line.p[line.n - 1] == '\r')
		line.n--;
	return line;
}

oc_status oc_minisig_parse(oc_str text, oc_minisig *ret, oc_err *err)
{
	static const char mark[] = "trusted comment: ";
	const size_t mark_n = sizeof(mark) - 1;
	unsigned char signature[SIG_BYTES];
	oc_str untrusted = next_line(&text), first = next_line(&text), comment = next_line(&text), second = next_line(&text);

	if (untrusted.n < 2 || untrusted.p[0] != 'u' || !decode(first, signature, sizeof(signature)) || comment.n < mark_n
	    || memcmp(comment.p, mark, mark_n) != 0 || !decode(second, ret->global, sizeof(ret->global)))
		return oc_fail(err, OC_E_CORRUPT, REMEDY, "this is no signature of minisign");
	if (memcmp(signature, "ED", 2) != 0)
		return oc_fail(err, OC_E_UNSUPPORTED, REMEDY, "the signature is of minisign's old kind");
	memcpy(ret->key_id, signature + 2, sizeof(ret->key_id));
	memcpy(ret->signature, signature + 10, sizeof(ret->signature));
	ret->comment = (oc_str){comment.p + mark_n, comment.n - mark_n};
	return OC_OK;
}

static void add_to_blake2b(void *arg, const unsigned char *bytes, size_t n)
{
	(void)crypto_generichash_update(arg, bytes, n);
}

/* The trusted key of that id. A key that cannot be read is an error: the operator believes that it counts. */
static oc_status find_key(const cJSON *trusted, const unsigned char id[8], unsigned char ret[crypto_sign_PUBLICKEYBYTES],
			  bool *ret_found, oc_err *err)
{
	const cJSON *item;

	*ret_found = false;
	cJSON_ArrayForEach(item, trusted) {
		unsigned char key[KEY_BYTES];

		if (!cJSON_IsString(item) || !decode(oc_str_of(item->valuestring), key, sizeof(key)) || memcmp(key, "Ed", 2) != 0)
			return oc_fail(err, OC_E_INVALID, "copy the line that starts with RW from the signer's minisign.pub",
				       "modules.trustedKeys: \"%.60s\" is no public key of minisign",
				       cJSON_IsString(item) ? item->valuestring : "");
		if (memcmp(key + 2, id, 8) == 0) {
			memcpy(ret, key + 10, crypto_sign_PUBLICKEYBYTES);
			*ret_found = true;
		}
	}
	return OC_OK;
}

static oc_status verify(const oc_module_file *file, const oc_minisig *sig, const unsigned char *key, const char *name, oc_err *err)
{
	crypto_generichash_state state;
	unsigned char hash[64];
	oc_auto_free unsigned char *signed_comment = oc_alloc(sizeof(sig->signature) + sig->comment.n);
	oc_status st;

	(void)crypto_generichash_init(&state, NULL, 0, sizeof(hash));
	st = oc_loader_read(file, add_to_blake2b, &state, err);
	if (st != OC_OK)
		return st;
	(void)crypto_generichash_final(&state, hash, sizeof(hash));
	if (signed_comment == NULL)
		return oc_fail(err, OC_E_NOMEM, NULL, "no memory for a signature");
	memcpy(signed_comment, sig->signature, sizeof(sig->signature));
	memcpy(signed_comment + sizeof(sig->signature), sig->comment.p, sig->comment.n);
	if (crypto_sign_verify_detached(sig->signature, hash, sizeof(hash), key) != 0
	    || crypto_sign_verify_detached(sig->global, signed_comment, sizeof(sig->signature) + sig->comment.n, key) != 0)
		return oc_fail(err, OC_E_DENIED, "get the module and its signature again from whoever made it",
			       "the signature %s does not belong to the file: one of the two was changed", name);
	return OC_OK;
}

oc_status oc_signature_check(const oc_module_file *file, const char *path, const cJSON *trusted, oc_signature *ret, oc_err *err)
{
	oc_auto_free char *name = oc_asprintf("%s.minisig", path), *text = NULL;
	unsigned char key[crypto_sign_PUBLICKEYBYTES];
	oc_minisig sig;
	oc_signature found = {.state = OC_SIGNATURE_NONE};
	bool known = false;
	size_t n = 0;
	oc_status st;

	if (name == NULL)
		return oc_fail(err, OC_E_NOMEM, NULL, "no memory for a path");
	if (!oc_path_exists(name)) {
		*ret = found;
		return OC_OK;
	}
	st = oc_path_read(name, OC_SIGNATURE_MAX, &text, &n, err);
	if (st == OC_OK && (st = oc_minisig_parse((oc_str){text, n}, &sig, err)) != OC_OK)
		(void)oc_err_prefix(err, "%s", name);
	if (st == OC_OK)
		st = find_key(trusted, sig.key_id, key, &known, err);
	if (st == OC_OK && known)
		st = verify(file, &sig, key, name, err);
	if (st != OC_OK)
		return st;
	found.state = known ? OC_SIGNATURE_GOOD : OC_SIGNATURE_UNKNOWN;
	for (size_t i = 0; i < sizeof(sig.key_id); i++) /* minisign prints it as a little-endian number */
		(void)snprintf(found.key + 2 * i, 3, "%02X", sig.key_id[7 - i]);
	if (known)
		(void)snprintf(found.comment, sizeof(found.comment), "%.*s", (int)sig.comment.n, sig.comment.p);
	*ret = found;
	return OC_OK;
}
