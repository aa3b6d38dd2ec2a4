/* See prv_quirks.h. */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE 1 /* strcasestr */
#endif
#include "prv_quirks.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

bool prv_quirk_names(const prv_fault *fault, const char *word)
{
	return strcasestr(fault->param, word) != NULL || strcasestr(fault->message, word) != NULL;
}

bool prv_quirk_refusal(const prv_fault *fault)
{
	static const char *const words[] = {"unsupported",
					    "not support",
					    "n't support",
					    "not allowed",
					    "not permitted",
					    "unrecognized",
					    "unknown",
					    "extra inputs",
					    "extra_forbidden",
					    "not available",
					    "unexpected",
					    "deprecated",
					    "invalid reasoning",
					    "not a valid",
					    "only the default",
					    "must be one of",
					    "no endpoints found",
					    "cannot both",
					    NULL};
	for (size_t i = 0; words[i] != NULL; i++)
		if (strcasestr(fault->message, words[i]) != NULL || strcasestr(fault->code, words[i]) != NULL
		    || strcasestr(fault->type, words[i]) != NULL)
			return true;
	return false;
}

int64_t prv_quirk_limit(const prv_fault *fault)
{
	static const char *const before[] = {" > ",
					     "at most ",
					     "less than or equal to ",
					     "maximum value of ",
					     "maximum allowed is ",
					     "must be <= ",
					     "max_tokens is ",
					     NULL};
	if (!prv_quirk_names(fault, "max_tokens") && !prv_quirk_names(fault, "max_completion_tokens")
	    && !prv_quirk_names(fault, "completion tokens") && !prv_quirk_names(fault, "output tokens"))
		return 0;
	for (size_t i = 0; before[i] != NULL; i++) {
		const char *at = strcasestr(fault->message, before[i]);
		if (at == NULL)
			continue;
		at += strlen(before[i]);
		at += strspn(at, "`'\"");
		long long n = *at >= '0' && *at <= '9' ? strtoll(at, NULL, 10) : 0;
		if (n >= 16 && n < 100000000)
			return n;
	}
	return 0;
}
