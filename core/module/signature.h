/*
 * Signatures of module files: FILE.minisig beside FILE, as the program minisign makes them (Ed25519 over BLAKE2b-512 of the
 * file, and over that signature with its trusted comment).  [any]
 */
#ifndef OC_MODULE_SIGNATURE_H
#define OC_MODULE_SIGNATURE_H

#include "core/data/json.h"
#include "core/module/loader.h"

enum { OC_SIGNATURE_MAX = 16 * 1024 }; /* bytes of a .minisig */

typedef enum oc_signature_state {
	OC_SIGNATURE_NONE,    /* there is no .minisig */
	OC_SIGNATURE_UNKNOWN, /* made by a key that is not trusted: nothing is known */
	OC_SIGNATURE_GOOD
} oc_signature_state;

typedef struct oc_signature {
	oc_signature_state state;
	char key[17];      /* the key's id, as minisign prints it; "" when there is none */
	char comment[256]; /* the trusted comment, perhaps shortened; only of a good one */
} oc_signature;

const char *oc_signature_state_name(oc_signature_state state);

/* What is in a .minisig, not verified. */
typedef struct oc_minisig {
	unsigned char key_id[8], signature[64], global[64];
	oc_str comment; /* the trusted one, in the text */
} oc_minisig;

/* OC_E_CORRUPT: the text is no signature; OC_E_UNSUPPORTED: one of a kind that is not taken. */
oc_status oc_minisig_parse(oc_str text, oc_minisig *ret, oc_err *err);

/* Whether a trusted key signed the open file. path: its name, for the .minisig beside it; trusted: public keys as minisign
 * prints them (56 characters), NULL: none. OC_E_DENIED: a trusted key's signature does not belong to this file. */
oc_status oc_signature_check(const oc_module_file *file, const char *path, const cJSON *trusted, oc_signature *ret, oc_err *err);

#endif
