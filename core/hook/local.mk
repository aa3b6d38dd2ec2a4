libocore_la_SOURCES += \
	%D%/hook.c %D%/hook.h \
	%D%/internal.h \
	%D%/merge.c \
	%D%/table.c
