/*
 * Named places where a test can make the process die or an operation fail.
 *
 * They exist only in builds for tests: tests/fault/openclaw-fault, and everything with ./configure --enable-fault-points.
 * Elsewhere both macros are nothing at all.  What is to happen is told by the environment:
 *
 *     OPENCLAW_FAULT=name:count:action[,name:count:action…]
 *
 * At the count-th time (from 1) that the place `name` is passed: kill (SIGKILL, as a crash or the kernel would), abort,
 * stop (SIGSTOP: a process that hangs), slow (a pause of 60 ms), or one of eio, enomem, ebusy: the operation there fails with that, once.  With a "+" behind
 * the count it fails every time from then on.  A place is passed by any thread.
 */
#ifndef OC_BASE_FAULT_H
#define OC_BASE_FAULT_H

#include <openclaw/module.h>

#ifdef OC_FAULT_POINTS

/* OC_OK, or what the operation at this place shall end with. [any] */
oc_status oc_fault_hit(const char *name);

#define OC_FAULT_POINT(name) ((void)oc_fault_hit(name))
#define OC_FAULT_STATUS(name) oc_fault_hit(name)

#else

#define OC_FAULT_POINT(name) ((void)0)
#define OC_FAULT_STATUS(name) OC_OK

#endif
#endif
