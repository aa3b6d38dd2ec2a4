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
	%D%/lifecycle.c \
	%D%/loader.c %D%/loader.h \
	%D%/manifest.c %D%/manifest.h \
	%D%/module.h \
	%D%/policy.c \
	%D%/refine.c \
	%D%/registry.c \
	%D%/scan.c \
	%D%/tools.c \
	%D%/visit.c
