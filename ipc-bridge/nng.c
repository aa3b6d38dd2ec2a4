/* Loading libnng: see nng.h. */
#include "ipc-bridge/nng.h"

#include <dlfcn.h>
#include <stdbool.h>
#include <string.h>

static oc_nng table;
static bool loaded;

static const char *resolve(void *lib)
{
	void *symbol;

/* memcpy: ISO C has no conversion from an object pointer to a function pointer. */
#define OC_NNG_RESOLVE(name)                \
	symbol = dlsym(lib, "nng_" #name);  \
	if (symbol == NULL)                 \
		return "nng_" #name;        \
	memcpy(&table.name, &symbol, sizeof(symbol));
	OC_NNG_MAP(OC_NNG_RESOLVE)
#undef OC_NNG_RESOLVE
	return NULL;
}

oc_status oc_nng_load(const oc_nng **ret, oc_err *err)
{
	if (!loaded) {
		void *lib = dlopen("libnng.so.1", RTLD_LAZY | RTLD_LOCAL);
		if (lib == NULL)
			return oc_fail(err, OC_E_UNAVAILABLE, "install libnng (Debian: apt-get install libnng1)",
				       "plugins and isolated modules need libnng, which cannot be loaded: %s", dlerror());
		/* Never closed: its threads live as long as the process. */
		const char *missing = resolve(lib);
		if (missing != NULL)
			return oc_fail(err, OC_E_VERSION, "install libnng 1.5 or newer", "the installed libnng has no %s", missing);
		loaded = true;
	}
	*ret = &table;
	return OC_OK;
}
