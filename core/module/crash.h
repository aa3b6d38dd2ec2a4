/*
 * A crash inside the gateway: a report that names the module whose code ran, and a list of such crashes, by which a module
 * that brings the gateway down again and again is kept from running.
 */
#ifndef OC_MODULE_CRASH_H
#define OC_MODULE_CRASH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/base/err.h"

enum {
	OC_CRASHES_MAX = 3,		 /* so many within the time below: quarantine */
	OC_CRASHES_SECONDS = 60 * 60
};

/* Reports go to <state>/logs/crash-TIME-PID.txt; each crash in a module's code is a line of <state>/run/crashes. For SIGSEGV,
 * SIGBUS, SIGFPE, SIGILL and SIGABRT; the process then ends by the signal as it would have. Not in sanitizer builds, which
 * report by themselves. Once, before threads. */
oc_status oc_crash_install(oc_err *err);
/* How often the module crashed the gateway lately; ret_last (may be NULL) is the last signal's number. */
unsigned oc_crash_count(const char *module, int *ret_last);
/* Forgets a module's crashes: the operator enabled it again. */
oc_status oc_crash_forgive(const char *module, oc_err *err);

#endif
