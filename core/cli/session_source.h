/*
 * Where session commands get what they show: from the running gateway through its methods, so that OPENCLAW_GATEWAY_URL
 * works too, or without one from the store.  All return what the methods return.
 */
#ifndef OC_CLI_SESSION_SOURCE_H
#define OC_CLI_SESSION_SOURCE_H

#include "core/base/err.h"
#include "core/data/json.h"
#include "core/store/store.h"

typedef struct oc_session_source oc_session_source;

/* change: sessions are to be written (without a gateway: alone with the store). OC_E_NOT_FOUND: there is no store yet. */
oc_status oc_session_source_open(bool change, oc_session_source **ret, oc_err *err);
void oc_session_source_close(oc_session_source *source); /* NULL is allowed */

/* name: a key, a name of one of the default agent's sessions, or "" for the main one. */
oc_status oc_session_source_list(oc_session_source *s, const oc_session_filter *filter, cJSON **ret_array, oc_err *err);
oc_status oc_session_source_get(oc_session_source *s, const char *name, cJSON **ret_object, oc_err *err);
oc_status oc_session_source_history(oc_session_source *s, const char *name, const oc_history_filter *filter, cJSON **ret_array,
				    oc_err *err);
oc_status oc_session_source_events(oc_session_source *s, const char *name, int64_t after, int64_t limit, cJSON **ret_array,
				   oc_err *err);
/* The filter's session is a name. */
oc_status oc_session_source_search(oc_session_source *s, const char *query, const oc_search_filter *filter, cJSON **ret_array,
				   oc_err *err);
oc_status oc_session_source_reset(oc_session_source *s, const char *name, oc_err *err);
oc_status oc_session_source_delete(oc_session_source *s, const char *name, oc_err *err);

#endif
