libocore_la_SOURCES += \
	%D%/buf.c %D%/buf.h \
	%D%/clock.c %D%/clock.h \
	%D%/err.c %D%/err.h \
	%D%/fault.h \
	%D%/hash.h \
	%D%/hist.c \
	%D%/hist.h \
	%D%/trace.c \
	%D%/trace.h \
	%D%/id.c %D%/id.h \
	%D%/log.c %D%/log.h \
	%D%/mem.c %D%/arena.c %D%/mem.h \
	%D%/path.c %D%/path.h \
	%D%/queues.c %D%/queues.h \
	%D%/sbuf.c %D%/str.c %D%/str.h
# Otherwise only tests/fault/openclaw-fault has it.
if FAULT_POINTS
libocore_la_SOURCES += %D%/fault.c
endif
