libocore_la_SOURCES += \
	%D%/check.c \
	%D%/config.c %D%/config.h %D%/internal.h \
	%D%/diff.c \
	%D%/dotenv.c \
	%D%/edit.c %D%/edits.c \
	%D%/env.c \
	%D%/include.c \
	%D%/keys.c %D%/table.c %D%/table.h \
	%D%/load.c \
	%D%/secret.c %D%/secret_exec.c %D%/secret_ref.c \
	%D%/watch.c
