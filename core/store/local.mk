libocore_la_SOURCES += \
	%D%/batch.c %D%/batch_queue.c %D%/batch.h \
	%D%/bring_back.c \
	%D%/care.c \
	%D%/check.c \
	%D%/chores.c \
	%D%/cron.c \
	%D%/fact.c \
	%D%/group.c \
	%D%/internal.h \
	%D%/log.c \
	%D%/pairing.c %D%/pairing.h \
	%D%/project.c \
	%D%/read.c %D%/read_queue.c %D%/reader.h \
	%D%/schema.c \
	%D%/search.c \
	%D%/sql.c \
	%D%/store.c %D%/store.h \
	%D%/used.c \
	%D%/users.c %D%/users.h \
	%D%/wal.c \
	%D%/writer.c
