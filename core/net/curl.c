/* Loading libcurl: see curl.h. */
#include "core/net/curl.h"

#include <dlfcn.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <string.h>

static oc_curl table;
static atomic_bool loaded;
static void (*thread_stop)(void); /* OpenSSL's, when libcurl is built with it */

static bool resolve(void *lib, const char **ret_missing)
{
	void *symbol;

/* memcpy: ISO C has no conversion from an object pointer to a function pointer. */
#define OC_CURL_RESOLVE(name)                               \
	symbol = dlsym(lib, "curl_" #name);                 \
	if (symbol == NULL) {                               \
		*ret_missing = "curl_" #name;               \
		return false;                               \
	}                                                   \
	memcpy(&table.name, &symbol, sizeof(symbol));
	OC_CURL_MAP(OC_CURL_RESOLVE)
#undef OC_CURL_RESOLVE
	return true;
}

static oc_status load(oc_err *err)
{
	static const char *const names[] = {"libcurl.so.4", "libcurl-gnutls.so.4", "libcurl.so"};
	const char *missing = NULL, *why = NULL;
	void *lib = NULL, *symbol;

	if (loaded)
		return OC_OK;
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]) && lib == NULL; i++) {
		lib = dlopen(names[i], RTLD_LAZY | RTLD_LOCAL);
		if (lib == NULL && why == NULL)
			why = dlerror();
	}
	if (lib == NULL)
		return oc_fail(err, OC_E_UNAVAILABLE, "install libcurl (Debian: apt-get install libcurl4)",
			       "requests to other machines need libcurl, which cannot be loaded: %s",
			       why != NULL ? why : "not found");
	/* Never closed: its TLS library leaves handlers behind. */
	if (!resolve(lib, &missing))
		return oc_fail(err, OC_E_VERSION, "install libcurl 7.85 or newer", "the installed libcurl has no %s", missing);
	symbol = dlsym(lib, "OPENSSL_thread_stop");
	memcpy(&thread_stop, &symbol, sizeof(symbol));
	if (table.global_init(CURL_GLOBAL_DEFAULT) != CURLE_OK)
		return oc_fail(err, OC_E_UNAVAILABLE, NULL, "libcurl could not be set up");
	loaded = true;
	return OC_OK;
}

oc_status oc_curl_load(const oc_curl **ret, oc_err *err)
{
	static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER; /* two pools of connections may be made at once */
	oc_status status;

	(void)pthread_mutex_lock(&lock);
	status = load(err);
	(void)pthread_mutex_unlock(&lock);
	if (status == OC_OK)
		*ret = &table;
	return status;
}

void oc_curl_thread_done(void)
{
	if (loaded && thread_stop != NULL)
		thread_stop();
}
