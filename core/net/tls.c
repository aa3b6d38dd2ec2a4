/* TLS by mbedTLS, versions 2.28 and 3.x: the only file that includes its headers. */
#include "core/net/tls.h"

#include <string.h>
#include <sys/stat.h>
#include <time.h>

#include <mbedtls/ecp.h>
#include <mbedtls/error.h>
#include <mbedtls/oid.h>
#include <mbedtls/pk.h>
#include <mbedtls/sha256.h>
#include <mbedtls/ssl.h>
#include <mbedtls/version.h>
#include <mbedtls/x509_crt.h>
#if MBEDTLS_VERSION_NUMBER >= 0x03000000
#include <psa/crypto.h>
#endif

#include "core/base/id.h"
#include "core/base/mem.h"
#include "core/base/path.h"

#define PEM_MAX ((size_t)256 * 1024)
#define RECORD_MAX 16384
#define SELF_SIGNED_DAYS 3650
#define HOST_MAX 100

struct oc_tls_server {
	mbedtls_ssl_config conf;
	mbedtls_x509_crt cert;
	mbedtls_pk_context key;
	unsigned refs;
};

struct oc_tls {
	mbedtls_ssl_context ssl;
	oc_tls_server *server;
	void (*send)(void *arg, oc_str bytes);
	void *arg;
	oc_str in; /* what is left of the bytes being fed */
	bool ready, broken, close_sent;
};

/* Only forward secrecy and authenticated encryption. */
static const int ciphersuites[] = {
#ifdef MBEDTLS_TLS1_3_AES_128_GCM_SHA256
	MBEDTLS_TLS1_3_AES_128_GCM_SHA256,
	MBEDTLS_TLS1_3_AES_256_GCM_SHA384,
	MBEDTLS_TLS1_3_CHACHA20_POLY1305_SHA256,
#endif
	MBEDTLS_TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256,
	MBEDTLS_TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256,
	MBEDTLS_TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384,
	MBEDTLS_TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384,
	MBEDTLS_TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256,
	MBEDTLS_TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256,
	0};

#if MBEDTLS_VERSION_NUMBER < 0x03000000
/* x509.o of version 2 has a self-test that nobody calls and that pulls 55 KB of test certificates out of the archive. These
 * names, found first, satisfy the linker. */
extern const char mbedtls_test_ca_crt[], mbedtls_test_cli_crt[];
extern const size_t mbedtls_test_ca_crt_len, mbedtls_test_cli_crt_len;
const char mbedtls_test_ca_crt[] = "", mbedtls_test_cli_crt[] = "";
const size_t mbedtls_test_ca_crt_len = 0, mbedtls_test_cli_crt_len = 0;
#endif

static const char *alpn[] = {"http/1.1", NULL};

/* The kernel's generator: no state of our own to seed, and nothing to pay before the first handshake. */
static int rng(void *arg, unsigned char *out, size_t n)
{
	(void)arg;
	oc_random(out, n);
	return 0;
}

static oc_status library_ready(oc_err *err)
{
#if MBEDTLS_VERSION_NUMBER >= 0x03000000
	if (psa_crypto_init() != PSA_SUCCESS)
		return oc_fail(err, OC_E_INTERNAL, NULL, "mbedTLS could not set up its cryptography");
#else
	(void)err;
#endif
	return OC_OK;
}

/* A code may be two in one: of the part that was called, in the upper bits, and of one that it called. */
static bool is_memory(int rc)
{
	static const int codes[] = {-0x1180, -0x2880, -0x3f80, -0x4d80, -0x5180, -0x6180, -0x7f00, -0x0010, -0x006a};
	int high = -(-rc & 0xff80), low = -(-rc & 0x007f);
	for (size_t i = 0; i < sizeof(codes) / sizeof(*codes); i++)
		if (codes[i] == high || codes[i] == low)
			return true;
	return false;
}

static oc_status failed(oc_err *err, oc_status code, const char *remedy, int rc, const char *what, const char *where)
{
	char text[128];

	mbedtls_strerror(rc, text, sizeof(text));
	if (is_memory(rc)) {
		code = OC_E_NOMEM;
		remedy = NULL;
	}
	return oc_fail(err, code, remedy, "%s%s%s: %s", what, where[0] != 0 ? " " : "", where, text);
}

/* ---- Certificate and key ---- */

static oc_status load_cert(oc_tls_server *server, const char *path, oc_err *err)
{
	char *pem = NULL;
	size_t n = 0;
	int rc;
	oc_status status = oc_path_read(path, PEM_MAX, &pem, &n, err);

	if (status != OC_OK)
		return oc_err_prefix(err, "the TLS certificate");
	rc = mbedtls_x509_crt_parse(&server->cert, (const unsigned char *)pem, n + 1);
	oc_free(pem);
	if (rc != 0)
		return failed(err, OC_E_INVALID, "gateway.tls.certPath must name a PEM file", rc,
			      "cannot read the TLS certificate in", path);
	return OC_OK;
}

static oc_status load_key(oc_tls_server *server, const char *path, oc_err *err)
{
	char *pem = NULL;
	size_t n = 0;
	struct stat st;
	int rc;
	oc_status status;

	if (stat(path, &st) == 0 && (st.st_mode & 07) != 0)
		return oc_fail(err, OC_E_DENIED, "chmod 600 the file",
			       "the TLS key %s is open to every user of this machine", path);
	status = oc_path_read(path, PEM_MAX, &pem, &n, err);
	if (status != OC_OK)
		return oc_err_prefix(err, "the TLS key");
#if MBEDTLS_VERSION_NUMBER >= 0x03000000
	rc = mbedtls_pk_parse_key(&server->key, (const unsigned char *)pem, n + 1, NULL, 0, rng, NULL);
#else
	rc = mbedtls_pk_parse_key(&server->key, (const unsigned char *)pem, n + 1, NULL, 0);
#endif
	oc_wipe(pem, n);
	oc_free(pem);
	if (rc != 0)
		return failed(err, OC_E_INVALID, "gateway.tls.keyPath must name an unencrypted PEM file", rc,
			      "cannot read the TLS key in", path);
#if MBEDTLS_VERSION_NUMBER >= 0x03000000
	rc = mbedtls_pk_check_pair(&server->cert.pk, &server->key, rng, NULL);
#else
	rc = mbedtls_pk_check_pair(&server->cert.pk, &server->key);
#endif
	if (rc != 0 && is_memory(rc))
		return failed(err, OC_E_NOMEM, NULL, rc, "cannot look at the TLS key", path);
	if (rc != 0)
		return oc_fail(err, OC_E_INVALID, "use the key the certificate was made for",
			       "the TLS key %s does not belong to the certificate", path);
	return OC_OK;
}

static oc_status configure(oc_tls_server *server, oc_err *err)
{
	int rc = mbedtls_ssl_config_defaults(&server->conf, MBEDTLS_SSL_IS_SERVER, MBEDTLS_SSL_TRANSPORT_STREAM,
					     MBEDTLS_SSL_PRESET_DEFAULT);

	if (rc == 0)
		rc = mbedtls_ssl_conf_own_cert(&server->conf, &server->cert, &server->key);
	if (rc == 0)
		rc = mbedtls_ssl_conf_alpn_protocols(&server->conf, alpn);
	if (rc != 0)
		return failed(err, OC_E_INTERNAL, NULL, rc, "cannot set TLS up", "");
	mbedtls_ssl_conf_rng(&server->conf, rng, NULL);
	mbedtls_ssl_conf_ca_chain(&server->conf, server->cert.next, NULL);
	mbedtls_ssl_conf_authmode(&server->conf, MBEDTLS_SSL_VERIFY_NONE); /* clients show no certificates */
	mbedtls_ssl_conf_ciphersuites(&server->conf, ciphersuites);
#if MBEDTLS_VERSION_NUMBER >= 0x03020000
	mbedtls_ssl_conf_min_tls_version(&server->conf, MBEDTLS_SSL_VERSION_TLS1_2);
#else
	mbedtls_ssl_conf_min_version(&server->conf, MBEDTLS_SSL_MAJOR_VERSION_3, MBEDTLS_SSL_MINOR_VERSION_3);
#endif
	return OC_OK;
}

oc_status oc_tls_server_new(const char *cert_path, const char *key_path, oc_tls_server **ret, oc_err *err)
{
	oc_tls_server *server = oc_alloc(sizeof(*server));
	oc_status status;

	if (server == NULL)
		return oc_fail(err, OC_E_NOMEM, NULL, "no memory for TLS");
	server->refs = 1;
	mbedtls_ssl_config_init(&server->conf);
	mbedtls_x509_crt_init(&server->cert);
	mbedtls_pk_init(&server->key);
	status = library_ready(err);
	if (status == OC_OK)
		status = load_cert(server, cert_path, err);
	if (status == OC_OK)
		status = load_key(server, key_path, err);
	if (status == OC_OK)
		status = configure(server, err);
	if (status != OC_OK) {
		oc_tls_server_unref(server);
		return status;
	}
	*ret = server;
	return OC_OK;
}

oc_tls_server *oc_tls_server_ref(oc_tls_server *server)
{
	server->refs++;
	return server;
}

void oc_tls_server_unref(oc_tls_server *server)
{
	if (server == NULL || --server->refs > 0)
		return;
	mbedtls_ssl_config_free(&server->conf);
	mbedtls_x509_crt_free(&server->cert);
	mbedtls_pk_free(&server->key);
	oc_free(server);
}

void oc_tls_server_fingerprint(const oc_tls_server *server, char out[103])
{
	static const char digits[] = "0123456789abcdef";
	unsigned char hash[32];
	size_t n = 0;

#if MBEDTLS_VERSION_NUMBER >= 0x03000000
	(void)mbedtls_sha256(server->cert.raw.p, server->cert.raw.len, hash, 0);
#else
	(void)mbedtls_sha256_ret(server->cert.raw.p, server->cert.raw.len, hash, 0);
#endif
	memcpy(out, "sha256:", 7);
	n = 7;
	for (size_t i = 0; i < sizeof(hash); i++) {
		if (i > 0)
			out[n++] = ':';
		out[n++] = digits[hash[i] >> 4];
		out[n++] = digits[hash[i] & 15];
	}
	out[n] = 0;
}

/* ---- One connection ---- */

static int bio_send(void *arg, const unsigned char *p, size_t n)
{
	oc_tls *tls = arg;

	tls->send(tls->arg, oc_str_make((const char *)p, n));
	return (int)n;
}

static int bio_recv(void *arg, unsigned char *p, size_t n)
{
	oc_tls *tls = arg;

	if (tls->in.n == 0)
		return MBEDTLS_ERR_SSL_WANT_READ;
	if (n > tls->in.n)
		n = tls->in.n;
	memcpy(p, tls->in.p, n);
	tls->in.p += n;
	tls->in.n -= n;
	return (int)n;
}

oc_status oc_tls_accept(oc_tls_server *server, void (*send)(void *arg, oc_str bytes), void *arg, oc_tls **ret)
{
	oc_tls *tls = oc_alloc(sizeof(*tls));

	if (tls == NULL)
		return OC_E_NOMEM;
	mbedtls_ssl_init(&tls->ssl);
	tls->server = oc_tls_server_ref(server);
	tls->send = send;
	tls->arg = arg;
	if (mbedtls_ssl_setup(&tls->ssl, &server->conf) != 0) {
		oc_tls_free(tls);
		return OC_E_NOMEM;
	}
	mbedtls_ssl_set_bio(&tls->ssl, tls, bio_send, bio_recv, NULL);
	*ret = tls;
	return OC_OK;
}

void oc_tls_free(oc_tls *tls)
{
	if (tls == NULL)
		return;
	mbedtls_ssl_free(&tls->ssl);
	oc_tls_server_unref(tls->server);
	oc_free(tls);
}

static oc_status broken(oc_tls *tls, int rc, const char *what, oc_err *err)
{
	tls->broken = true;
	return failed(err, OC_E_PROTOCOL, NULL, rc, what, "");
}

/* What mbedTLS says when it has to be called again. */
static bool again(int rc)
{
#ifdef MBEDTLS_ERR_SSL_RECEIVED_NEW_SESSION_TICKET
	if (rc == MBEDTLS_ERR_SSL_RECEIVED_NEW_SESSION_TICKET)
		return true;
#endif
	(void)rc;
	return false;
}

oc_status oc_tls_feed(oc_tls *tls, oc_str bytes, void (*plain)(void *arg, oc_str bytes), void *arg, oc_err *err)
{
	unsigned char buf[RECORD_MAX + 1];
	int rc;

	if (tls->broken)
		return OC_E_PROTOCOL;
	tls->in = bytes;
	while (!tls->ready) {
		rc = mbedtls_ssl_handshake(&tls->ssl);
		if (rc == 0) {
			tls->ready = true;
		} else if (rc == MBEDTLS_ERR_SSL_WANT_READ) {
			return OC_OK;
		} else if (!again(rc)) {
			return broken(tls, rc, "the TLS handshake failed", err);
		}
	}
	for (;;) {
		rc = mbedtls_ssl_read(&tls->ssl, buf, RECORD_MAX);
		if (rc > 0) {
			buf[rc] = 0;
			plain(arg, oc_str_make((const char *)buf, (size_t)rc));
		} else if (rc == MBEDTLS_ERR_SSL_WANT_READ) {
			return OC_OK;
		} else if (rc == 0 || rc == MBEDTLS_ERR_SSL_PEER_CLOSE_NOTIFY) {
			tls->broken = true;
			return OC_E_CANCELED;
		} else if (!again(rc)) {
			return broken(tls, rc, "the TLS connection failed", err);
		}
	}
}

oc_status oc_tls_write(oc_tls *tls, oc_str bytes)
{
	if (!tls->ready)
		return OC_E_STATE;
	while (bytes.n > 0) {
		int rc = mbedtls_ssl_write(&tls->ssl, (const unsigned char *)bytes.p,
					   bytes.n < RECORD_MAX ? bytes.n : RECORD_MAX);

		if (rc <= 0) {
			tls->broken = true;
			return OC_E_PROTOCOL;
		}
		bytes.p += rc;
		bytes.n -= (size_t)rc;
	}
	return OC_OK;
}

bool oc_tls_ready(const oc_tls *tls)
{
	return tls->ready;
}

void oc_tls_close_notify(oc_tls *tls)
{
	if (!tls->ready || tls->close_sent)
		return;
	tls->close_sent = true;
	(void)mbedtls_ssl_close_notify(&tls->ssl);
}

/* ---- A certificate of our own ---- */

/* subjectAltName: localhost, 127.0.0.1, ::1 and the host. Short lengths only, hence HOST_MAX. */
static size_t alt_names(const char *host, unsigned char out[256])
{
	static const unsigned char fixed[] = {0x82, 9,	 'l', 'o', 'c', 'a', 'l', 'h', 'o', 's', 't', 0x87, 4, 127, 0, 0, 1,
					      0x87, 16, 0,   0,	  0,   0,   0,	 0,   0,   0,	0,   0,	   0, 0,   0, 0, 0, 1};
	size_t n = 0, body = sizeof(fixed), host_n = host != NULL ? strlen(host) : 0;

	if (host_n > 0)
		body += 2 + host_n;
	out[n++] = 0x30;
	if (body >= 128)
		out[n++] = 0x81;
	out[n++] = (unsigned char)body;
	memcpy(out + n, fixed, sizeof(fixed));
	n += sizeof(fixed);
	if (host_n > 0) {
		out[n++] = 0x82;
		out[n++] = (unsigned char)host_n;
		memcpy(out + n, host, host_n);
		n += host_n;
	}
	return n;
}

static int make_cert(mbedtls_pk_context *key, mbedtls_x509write_cert *crt, const char *host, unsigned char *pem, size_t size)
{
	unsigned char serial[16], san[256];
	char from[16], to[16];
	time_t now = time(NULL) - 86400, until = now + (time_t)SELF_SIGNED_DAYS * 86400;
	struct tm tm;
	int rc;

	oc_random(serial, sizeof(serial));
	serial[0] = (unsigned char)((serial[0] & 0x7f) | 0x40); /* positive, and never a zero first */
	(void)strftime(from, sizeof(from), "%Y%m%d%H%M%S", gmtime_r(&now, &tm));
	(void)strftime(to, sizeof(to), "%Y%m%d%H%M%S", gmtime_r(&until, &tm));
	mbedtls_x509write_crt_set_version(crt, MBEDTLS_X509_CRT_VERSION_3);
	mbedtls_x509write_crt_set_md_alg(crt, MBEDTLS_MD_SHA256);
	mbedtls_x509write_crt_set_subject_key(crt, key);
	mbedtls_x509write_crt_set_issuer_key(crt, key);
	rc = mbedtls_x509write_crt_set_subject_name(crt, "CN=openclaw-gateway");
	if (rc == 0)
		rc = mbedtls_x509write_crt_set_issuer_name(crt, "CN=openclaw-gateway");
#if MBEDTLS_VERSION_NUMBER >= 0x03040000
	if (rc == 0)
		rc = mbedtls_x509write_crt_set_serial_raw(crt, serial, sizeof(serial));
#else
	mbedtls_mpi number;
	mbedtls_mpi_init(&number);
	if (rc == 0)
		rc = mbedtls_mpi_read_binary(&number, serial, sizeof(serial));
	if (rc == 0)
		rc = mbedtls_x509write_crt_set_serial(crt, &number);
	mbedtls_mpi_free(&number);
#endif
	if (rc == 0)
		rc = mbedtls_x509write_crt_set_validity(crt, from, to);
	if (rc == 0)
		rc = mbedtls_x509write_crt_set_basic_constraints(crt, 1, 0);
	if (rc == 0)
		rc = mbedtls_x509write_crt_set_extension(crt, MBEDTLS_OID_SUBJECT_ALT_NAME,
							 MBEDTLS_OID_SIZE(MBEDTLS_OID_SUBJECT_ALT_NAME), 0, san,
							 alt_names(host, san));
	if (rc == 0)
		rc = mbedtls_x509write_crt_pem(crt, pem, size, rng, NULL);
	return rc;
}

oc_status oc_tls_self_signed(const char *cert_path, const char *key_path, const char *host, oc_err *err)
{
	mbedtls_pk_context key;
	mbedtls_x509write_cert crt;
	unsigned char cert_pem[4096], key_pem[2048];
	oc_status status;
	int rc;

	if (oc_path_exists(cert_path) || oc_path_exists(key_path))
		return oc_fail(err, OC_E_EXISTS, "remove both files to have new ones made",
			       "%s or %s exists already", cert_path, key_path);
	if (host != NULL && strlen(host) > HOST_MAX)
		return oc_fail(err, OC_E_LIMIT, NULL, "the host name for the certificate is longer than %d bytes", HOST_MAX);
	status = library_ready(err);
	if (status != OC_OK)
		return status;
	mbedtls_pk_init(&key);
	mbedtls_x509write_crt_init(&crt);
	rc = mbedtls_pk_setup(&key, mbedtls_pk_info_from_type(MBEDTLS_PK_ECKEY));
	if (rc == 0)
		rc = mbedtls_ecp_gen_key(MBEDTLS_ECP_DP_SECP256R1, mbedtls_pk_ec(key), rng, NULL);
	if (rc == 0)
		rc = make_cert(&key, &crt, host, cert_pem, sizeof(cert_pem));
	if (rc == 0)
		rc = mbedtls_pk_write_key_pem(&key, key_pem, sizeof(key_pem));
	mbedtls_x509write_crt_free(&crt);
	mbedtls_pk_free(&key);
	if (rc != 0)
		status = failed(err, OC_E_INTERNAL, NULL, rc, "cannot make a TLS certificate", "");
	if (status == OC_OK)
		status = oc_path_write(key_path, key_pem, strlen((char *)key_pem), 0600, err);
	if (status == OC_OK)
		status = oc_path_write(cert_path, cert_pem, strlen((char *)cert_pem), 0644, err);
	oc_wipe(key_pem, sizeof(key_pem));
	return status;
}
