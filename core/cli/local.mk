libocore_la_SOURCES += %D%/cli.c %D%/cli.h %D%/commands.h %D%/out.c
