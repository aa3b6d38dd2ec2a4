/*
 * Modules linked into the binary (--enable-static-modules).  The table is made by make (modules/local.mk) and ends with a
 * NULL name; in the usual build it is empty.
 */
#ifndef OC_MODULE_STATIC_H
#define OC_MODULE_STATIC_H

#include <openclaw/module.h>

struct oc_static_module {
	const char *name;
	const oc_module_desc *(*entry)(void);
	const char *manifest; /* module.json, NUL-terminated */
};

extern const struct oc_static_module oc_static_modules[];

#endif
