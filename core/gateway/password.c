#include "core/gateway/password.h"

#include <errno.h>
#include <sodium.h>
#include <stdio.h>
#include <string.h>

#include "core/base/mem.h"

/* Three passes over 64 MiB: more than libsodium's "interactive", a few tenths of a second. */
#define PASSES 3u
#define MEMORY ((size_t)64 << 20)
#define AT_ONCE 2u
#define WAITING_MAX 16u
#define WAITING_MAX_ONE 4u /* of one address */
/* Of the same parameters; no password has it. */
#define NOBODYS "$argon2id$v=19$m=65536,t=3,p=1$AAAAAAAAAAAAAAAAAAAAAA$AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"

_Static_assert(crypto_pwhash_STRBYTES <= OC_PASSWORD_HASH_MAX, "there is room for a hash");

typedef struct job {
	struct job *next;
	struct oc_passwords *all;
	oc_password_done done;
	void *arg;
	oc_status status;
	bool compares;
	char key[64], hash[OC_PASSWORD_HASH_MAX];
	size_t n;
	char password[];
} job;

struct oc_passwords {
	oc_gateway *gw;
	job *first, **tail; /* that wait */
	job *running[AT_ONCE];
	size_t n_running, n_waiting;
};

oc_status oc_password_ok(oc_str password, oc_err *err)
{
	if (password.n < OC_PASSWORD_MIN)
		return oc_fail(err, OC_E_INVALID, "a sentence of some words is easier to remember than signs", "a password has at least %d characters",
			       OC_PASSWORD_MIN);
	if (password.n > OC_PASSWORD_MAX || memchr(password.p, 0, password.n) != NULL)
		return oc_fail(err, OC_E_INVALID, NULL, "a password has at most %d bytes, and no NUL", OC_PASSWORD_MAX);
	return OC_OK;
}

oc_status oc_password_hash(oc_str password, char out[OC_PASSWORD_HASH_MAX], oc_err *err)
{
	if (sodium_init() < 0)
		return oc_fail(err, OC_E_INTERNAL, NULL, "libsodium does not start");
	if (crypto_pwhash_str_alg(out, password.p, password.n, PASSES, MEMORY, crypto_pwhash_ALG_ARGON2ID13) != 0)
		return oc_fail(err, OC_E_NOMEM, NULL, "there is no memory for the password's hash (64 MiB)");
	return OC_OK;
}

/* ---- One after the other ---- */

static void job_free(job *j)
{
	oc_wipe(j->password, j->n);
	oc_free(j);
}

/* On a pool thread. */
static void work(void *arg)
{
	job *j = arg;
	errno = 0;
	if (!j->compares)
		j->status = oc_password_hash((oc_str){j->password, j->n}, j->hash, NULL);
	else if (crypto_pwhash_str_verify(j->hash, j->password, j->n) == 0)
		j->status = OC_OK;
	else
		j->status = errno == ENOMEM ? OC_E_NOMEM : OC_E_AUTH;
}

static void start(struct oc_passwords *all);

static void worked(void *arg, oc_status status)
{
	job *j = arg;
	struct oc_passwords *all = j->all;
	for (size_t i = 0; i < all->n_running; i++)
		if (all->running[i] == j)
			all->running[i] = all->running[--all->n_running];
	j->done(j->arg, status != OC_OK ? status : j->status, j->compares ? "" : j->hash);
	job_free(j);
	start(all);
}

static void start(struct oc_passwords *all)
{
	while (all->n_running < AT_ONCE && all->first != NULL) {
		job *j = all->first;
		all->first = j->next;
		if (all->first == NULL)
			all->tail = &all->first;
		all->n_waiting--;
		all->running[all->n_running++] = j;
		oc_status status = oc_work(all->gw->rt->owner, work, worked, j);
		if (status != OC_OK) {
			worked(j, status); /* and what waits after it */
			return;
		}
	}
}

static size_t count_of(const struct oc_passwords *all, const char *key)
{
	size_t n = 0;
	for (size_t i = 0; i < all->n_running; i++)
		n += strcmp(all->running[i]->key, key) == 0;
	for (const job *j = all->first; j != NULL; j = j->next)
		n += strcmp(j->key, key) == 0;
	return n;
}

oc_status oc_password_start(oc_gateway *gw, const char *compare_with, oc_str password, const char *key, oc_password_done done, void *arg,
			    oc_err *err)
{
	if (gw->passwords == NULL) {
		if (sodium_init() < 0)
			return oc_fail(err, OC_E_INTERNAL, NULL, "libsodium does not start");
		gw->passwords = oc_alloc(sizeof *gw->passwords);
		if (gw->passwords == NULL)
			return oc_fail(err, OC_E_NOMEM, NULL, "out of memory");
		*gw->passwords = (struct oc_passwords){.gw = gw, .tail = &gw->passwords->first};
	}
	struct oc_passwords *all = gw->passwords;
	if (all->n_waiting >= WAITING_MAX || count_of(all, key) >= WAITING_MAX_ONE)
		return oc_fail(err, OC_E_BUSY, "try again", "too many passwords are being checked");
	job *j = oc_alloc(sizeof *j + password.n + 1);
	if (j == NULL)
		return oc_fail(err, OC_E_NOMEM, NULL, "out of memory");
	*j = (job){.all = all, .done = done, .arg = arg, .compares = compare_with != NULL, .n = password.n};
	(void)snprintf(j->key, sizeof j->key, "%s", key);
	(void)snprintf(j->hash, sizeof j->hash, "%s", compare_with == NULL ? "" : compare_with[0] != 0 ? compare_with : NOBODYS);
	if (password.n > 0)
		memcpy(j->password, password.p, password.n);
	*all->tail = j;
	all->tail = &j->next;
	all->n_waiting++;
	start(all);
	return OC_OK;
}

void oc_passwords_free(oc_gateway *gw)
{
	struct oc_passwords *all = gw->passwords;
	gw->passwords = NULL;
	while (all != NULL && all->first != NULL) {
		job *j = all->first;
		all->first = j->next;
		j->done(j->arg, OC_E_CANCELED, "");
		job_free(j);
	}
	oc_free(all);
}
