/*
 * Errors: a status (plugin-sdk's list) plus one sentence for people and a remedy.
 *
 * Functions that can fail return oc_status and take an optional oc_err, which they fill once, where the failure is known
 * best.  Library code does not log errors: whoever handles one logs it.
 */
#ifndef OC_BASE_ERR_H
#define OC_BASE_ERR_H

#include <openclaw/module.h>

typedef struct oc_err {
	oc_status code;   /* OC_OK while nothing failed */
	char text[512];   /* what failed and where; no final period */
	char remedy[256]; /* what to do; "" when there is nothing to add */
} oc_err;

/* An error that did not happen yet. Not by an initialiser: to clear all its bytes takes longer than a small call. [any] */
static inline void oc_err_clear(oc_err *err)
{
	err->code = OC_OK;
	err->text[0] = err->remedy[0] = 0;
}

/* The code's symbolic name without OC_E_, in lower case ("not_found"); "ok"; "unknown". Static. [any] */
const char *oc_status_name(oc_status status);
/* The code of such a name; OC_E_INTERNAL for a name that is none. [any] */
oc_status oc_status_by_name(const char *name);
/* The code's short text. Static. [any] */
const char *oc_status_text(oc_status status);
/* What a person can try when nothing better is known. Static, may be "". [any] */
const char *oc_status_remedy(oc_status status);

/* Fills err (NULL is allowed) and returns code. remedy NULL: the code's own. The text is cut at UTF-8 borders. [any] */
oc_status oc_fail(oc_err *err, oc_status code, const char *remedy, const char *format, ...)
	__attribute__((format(printf, 4, 5)));
/* As oc_fail for a failed system call: appends the text of errnum and chooses the code from it. [any] */
oc_status oc_fail_errno(oc_err *err, int errnum, const char *format, ...) __attribute__((format(printf, 3, 4)));
/* Puts "context: " before err->text; returns err->code. [any] */
oc_status oc_err_prefix(oc_err *err, const char *format, ...) __attribute__((format(printf, 2, 3)));

#endif
