libocore_la_SOURCES += \
	%D%/call.c %D%/call.h \
	%D%/callfn.c %D%/callfn.h \
	%D%/crash.c %D%/crash.h \
	%D%/describe.c \
	%D%/elf.c %D%/elf.h \
	%D%/gate.c \
	%D%/guest.c \
	%D%/handle.c \
	%D%/hostapi.c \
	%D%/internal.h \
	%D%/isolated.c \
	%D%/lifecycle.c \
	%D%/loader.c %D%/loader.h \
	%D%/manifest.c %D%/manifest.h \
	%D%/module.h \
	%D%/policy.c \
	%D%/refine.c \
	%D%/registry.c \
	%D%/scan.c \
	%D%/signature.c %D%/signature.h \
	%D%/tools.c \
	%D%/trace.c \
	%D%/visit.c

# The table of linked-in modules (static.h), from the names that modules/local.mk gathers; empty in the usual build.
noinst_LTLIBRARIES += libstaticmodules.la
libstaticmodules_la_SOURCES = %D%/static.h
nodist_libstaticmodules_la_SOURCES = static_modules.c
CLEANFILES += static_modules.c
static_modules.c: Makefile
	$(AM_V_GEN){ \
	  echo '/* Made by make from the list of modules that are linked in. */'; \
	  echo '#include "core/module/static.h"'; \
	  for m in $(static_module_names); do \
	    echo "const oc_module_desc *oc_module_v1_$$m(void);"; \
	    echo "extern const char oc_manifest_$$m[];"; \
	  done; \
	  echo 'const struct oc_static_module oc_static_modules[] = {'; \
	  for m in $(static_module_names); do \
	    echo "	{\"$$m\", oc_module_v1_$$m, oc_manifest_$$m},"; \
	  done; \
	  echo '	{NULL, NULL, NULL},'; \
	  echo '};'; \
	} > $@
