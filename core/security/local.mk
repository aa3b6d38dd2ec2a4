# core/security: append with   libocore_la_SOURCES += %D%/x.c %D%/x.h
