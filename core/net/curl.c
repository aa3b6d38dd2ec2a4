#include "core/net/curl.h"

#include <dlfcn.h>
#include <string.h>

static oc_curl functions;
static int is_loaded;

const oc_curl *oc_curl_loaded(void)
{
	return is_loaded ? &functions : NULL;
}

static int find_all(void *library)
{
	/* dlsym gives object pointers; POSIX promises that copying the bytes makes function pointers of them. */
	static const struct {
		const char *name;
		size_t offset;
	} table[] = {
#define ROW(member) {"curl_" #member, offsetof(oc_curl, member)}
		ROW(global_init),	 ROW(version),		  ROW(easy_init),
		ROW(easy_cleanup),	 ROW(easy_reset),	  ROW(easy_setopt),
		ROW(easy_getinfo),	 ROW(easy_pause),	  ROW(easy_strerror),
		ROW(slist_append),	 ROW(slist_free_all),	  ROW(multi_init),
		ROW(multi_cleanup),	 ROW(multi_setopt),	  ROW(multi_add_handle),
		ROW(multi_remove_handle), ROW(multi_socket_action), ROW(multi_info_read),
		ROW(multi_assign),
#undef ROW
	};
	for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
		void *symbol = dlsym(library, table[i].name);
		if (symbol == NULL)
			return 0;
		memcpy((char *)&functions + table[i].offset, &symbol, sizeof symbol);
	}
	return 1;
}

oc_status oc_curl_load(const oc_curl **ret, oc_err *err)
{
	static const char *const names[] = {"libcurl.so.4", "libcurl-gnutls.so.4", "libcurl.so"};
	for (size_t i = 0; !is_loaded && i < sizeof names / sizeof *names; i++) {
		void *library = dlopen(names[i], RTLD_NOW | RTLD_LOCAL | RTLD_NODELETE);
		if (library != NULL && find_all(library) && functions.global_init(CURL_GLOBAL_DEFAULT) == CURLE_OK)
			is_loaded = 1;
		else if (library != NULL)
			dlclose(library);
	}
	if (!is_loaded)
		return oc_fail(err, OC_E_UNAVAILABLE, "install it (Debian: apt install libcurl4)",
			       "libcurl is needed for requests to other machines and cannot be loaded");
	*ret = &functions;
	return OC_OK;
}
