# core/config: append with   libocore_la_SOURCES += %D%/x.c %D%/x.h
libocore_la_SOURCES += %D%/config.h
