/*
 * A crash inside the gateway: a report that names the module whose code ran, and a list of such crashes, by which a module
 * that brings the gateway down again and again is kept from running.  The list also holds who was put into quarantine for
 * other reasons (its process ended again and again), so that the next gateway knows.
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
/* Puts it into quarantine until it is forgiven, or what it is made of has another mark (the hash of its file; no spaces).
 * false, after a warning: it could not be written down. */
bool oc_crash_quarantine(const char *module, const char *mark, const char *reason);
/* Whether it is: the reason and the mark, the caller's to free. */
bool oc_crash_quarantined(const char *module, char **ret_mark, char **ret_reason);
/* Forgets a module's crashes and its quarantine: the operator wants it to be tried again. */
oc_status oc_crash_forgive(const char *module, oc_err *err);

#endif
