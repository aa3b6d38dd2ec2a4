libocore_la_SOURCES += %D%/hook.h
