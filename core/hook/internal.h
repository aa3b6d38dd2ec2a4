/* What the files of core/hook share; nobody else includes it. */
#ifndef OC_HOOK_INTERNAL_H
#define OC_HOOK_INTERNAL_H

#include "core/hook/hook.h"

enum { OC_HOOK_FROZEN_MAX = 4 };

/* What the handlers of one firing said, put together. */
typedef struct oc_hook_merge {
	const char *spec; /* the merge column of the row that is fired */
	cJSON *changes;   /* an object */
	cJSON *chained;   /* the payload as later handlers see it; NULL: as it was fired */
	const cJSON *payload;
	char frozen[OC_HOOK_FROZEN_MAX][32];
	unsigned n_frozen;
	bool blocked, claimed;
} oc_hook_merge;

/* Takes one handler's result by a row's merge column. *ret_stop: the firing ends here. *ret_chained: `chained` changed. OC_E_NOMEM: then changes is
 * as it was or partly changed. */
oc_status oc_hook_merge_take(oc_hook_merge *merge, const char *spec, const cJSON *result, bool *ret_stop, bool *ret_chained);
/* The text that says why, or "". */
const char *oc_hook_merge_reason(const oc_hook_merge *merge);

#endif
