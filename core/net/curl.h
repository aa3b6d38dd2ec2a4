/*
 * libcurl by name at run time: opened with the first outbound request, because it costs some 10 MB and 10 ms that an idle
 * gateway does not pay.  Inner header of core/net; its headers' types are used, its symbols are not linked.  [any]
 */
#ifndef OC_NET_CURL_H
#define OC_NET_CURL_H

#define CURL_DISABLE_TYPECHECK
#include <curl/curl.h>
/* The headers define macros for these names. */
#undef curl_easy_setopt
#undef curl_easy_getinfo
#undef curl_multi_setopt
#undef curl_share_setopt

#include "core/base/err.h"

#define OC_CURL_MAP(X)         \
	X(global_init)         \
	X(getdate)             \
	X(slist_append)        \
	X(slist_free_all)      \
	X(easy_init)           \
	X(easy_setopt)         \
	X(easy_getinfo)        \
	X(easy_pause)          \
	X(easy_cleanup)        \
	X(easy_strerror)       \
	X(multi_init)          \
	X(multi_perform)       \
	X(multi_setopt)        \
	X(multi_add_handle)    \
	X(multi_remove_handle) \
	X(multi_socket_action) \
	X(multi_info_read)     \
	X(multi_assign)        \
	X(multi_cleanup)

typedef struct oc_curl {
#define OC_CURL_MEMBER(name) __typeof__(curl_##name) *name;
	OC_CURL_MAP(OC_CURL_MEMBER)
#undef OC_CURL_MEMBER
} oc_curl;

/* The table; loads the library on first use. OC_E_UNAVAILABLE with what to install. */
oc_status oc_curl_load(const oc_curl **ret, oc_err *err);
/* Gives back what the TLS library keeps for the calling thread, before a thread that is not the loop's goes on to other work. */
void oc_curl_thread_done(void);

#endif
