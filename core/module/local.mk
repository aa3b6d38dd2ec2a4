libocore_la_SOURCES += \
	%D%/call.h \
	%D%/elf.h \
	%D%/manifest.h \
	%D%/module.h
