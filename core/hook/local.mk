# core/hook: append with   libocore_la_SOURCES += %D%/x.c %D%/x.h
