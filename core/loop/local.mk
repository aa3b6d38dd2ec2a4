libocore_la_SOURCES += \
	%D%/internal.h %D%/loop.c %D%/loop.h \
	%D%/now.c \
	%D%/owner.c \
	%D%/watch.c \
	%D%/work.c
