/* How each kind's functions are called: the one place that knows the vtables' signatures. Only for core/module. */
#ifndef OC_MODULE_CALLFN_H
#define OC_MODULE_CALLFN_H

#include "core/module/internal.h"

bool oc_callfn_has(oc_fn fn, const oc_module *module, const oc_guest *guest);
uint64_t oc_callfn_deadline(oc_fn fn); /* when the caller names none */
void oc_callfn_run(oc_fn fn, oc_module *module, oc_guest *guest, oc_call *call, const oc_call_args *args);
void oc_callfn_cancel(oc_guest *guest, oc_call *call);

/* call.c: the thread calls live on. */
void oc_calls_loop(oc_loop *loop);

/* "tool invoke"; static. */

#endif
