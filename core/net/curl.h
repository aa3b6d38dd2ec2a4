/*
 * libcurl, loaded with the first request: it brings some forty shared libraries and ten milliseconds, which an idle gateway
 * and the command line shall not pay for.  Only the types come from its header at build time.
 */
#ifndef OC_NET_CURL_H
#define OC_NET_CURL_H

#include <curl/curl.h>

#include "core/base/err.h"

typedef struct oc_curl {
	CURLcode (*global_init)(long flags);
	char *(*version)(void);
	CURL *(*easy_init)(void);
	void (*easy_cleanup)(CURL *easy);
	void (*easy_reset)(CURL *easy);
	CURLcode (*easy_setopt)(CURL *easy, CURLoption option, ...);
	CURLcode (*easy_getinfo)(CURL *easy, CURLINFO info, ...);
	CURLcode (*easy_pause)(CURL *easy, int bitmask);
	const char *(*easy_strerror)(CURLcode code);
	struct curl_slist *(*slist_append)(struct curl_slist *list, const char *text);
	void (*slist_free_all)(struct curl_slist *list);
	CURLM *(*multi_init)(void);
	CURLMcode (*multi_cleanup)(CURLM *multi);
	CURLMcode (*multi_setopt)(CURLM *multi, CURLMoption option, ...);
	CURLMcode (*multi_add_handle)(CURLM *multi, CURL *easy);
	CURLMcode (*multi_remove_handle)(CURLM *multi, CURL *easy);
	CURLMcode (*multi_socket_action)(CURLM *multi, curl_socket_t fd, int events, int *running);
	CURLMsg *(*multi_info_read)(CURLM *multi, int *left);
	CURLMcode (*multi_assign)(CURLM *multi, curl_socket_t fd, void *arg);
} oc_curl;

/* The functions, loading the library at the first call. It stays loaded. OC_E_UNAVAILABLE: not installed. [loop] */
oc_status oc_curl_load(const oc_curl **ret, oc_err *err);
/* NULL as long as nothing was loaded. */
const oc_curl *oc_curl_loaded(void);

#endif
