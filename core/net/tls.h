/*
 * TLS on a byte stream, by mbedTLS (2.28 and 3.x), which no other file knows.  Costs nothing until a context is made.
 *
 * Pure state machines: encrypted bytes in, plain bytes out, and back; the caller moves the bytes.  [loop]
 */
#ifndef OC_NET_TLS_H
#define OC_NET_TLS_H

#include <stdbool.h>

#include "core/base/err.h"
#include "core/base/str.h"

typedef struct oc_tls_server oc_tls_server; /* certificate and key, shared by connections, reference counted */
typedef struct oc_tls oc_tls;               /* one connection */

/* PEM files; the key must fit the certificate and not be open to every user. TLS 1.2 and up. */
oc_status oc_tls_server_new(const char *cert_path, const char *key_path, oc_tls_server **ret, oc_err *err);
oc_tls_server *oc_tls_server_ref(oc_tls_server *server);
void oc_tls_server_unref(oc_tls_server *server); /* NULL is allowed */
/* "sha256:ab:cd…" of the certificate, for people and for pinning; 103 bytes with NUL. */
void oc_tls_server_fingerprint(const oc_tls_server *server, char out[103]);
/* Writes a new self-signed certificate (P-256, valid for ten years, for localhost, the loopback addresses and host, which
 * may be NULL) and its key with mode 0600. Existing files are left alone: OC_E_EXISTS. */
oc_status oc_tls_self_signed(const char *cert_path, const char *key_path, const char *host, oc_err *err);

/* send(arg, bytes) takes encrypted bytes to be sent and must take all of them. */
oc_status oc_tls_accept(oc_tls_server *server, void (*send)(void *arg, oc_str bytes), void *arg, oc_tls **ret);
void oc_tls_free(oc_tls *tls); /* NULL is allowed */
/* Takes received bytes and reports plain ones, zero or more times. OC_E_CANCELED: the peer closed the session properly;
 * OC_E_PROTOCOL: broken (err says how); then nothing more can be done than close. plain must not free the oc_tls. */
oc_status oc_tls_feed(oc_tls *tls, oc_str bytes, void (*plain)(void *arg, oc_str bytes), void *arg, oc_err *err);
/* Encrypts. OC_E_STATE before the handshake is done. */
oc_status oc_tls_write(oc_tls *tls, oc_str bytes);
bool oc_tls_ready(const oc_tls *tls); /* the handshake is done */
void oc_tls_close_notify(oc_tls *tls);

#endif
