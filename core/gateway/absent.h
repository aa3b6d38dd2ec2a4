/*
 * Methods of the original that this gateway does not have, so that their callers are told why.  A plugin may bring one.
 */
#ifndef OC_GATEWAY_ABSENT_H
#define OC_GATEWAY_ABSENT_H

#include "core/gateway/method.h"

typedef struct oc_absent {
	char name[32];
	unsigned char scope, why;
} oc_absent;

const oc_absent *oc_absent_find(oc_str name); /* NULL: the original does not have it either, or we do */
/* [{"name","scope","reason"}]; the caller's, NULL: no memory. */
cJSON *oc_absent_list(void);
/* The error for a client: the scope that it lacks, or why there is no such method. Returns its code. */
oc_status oc_absent_refuse(const oc_absent *absent, const oc_client *client, oc_err *err);

#endif
