# core/security: append with   libocore_la_SOURCES += %D%/x.c %D%/x.h
libocore_la_SOURCES += \
	%D%/contain.h \
	%D%/process.h \
	%D%/sandbox.h \
	%D%/validate.h
