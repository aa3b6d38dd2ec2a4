libocore_la_SOURCES += \
	%D%/jpath.c %D%/jpath.h \
	%D%/json.c %D%/json.h \
	%D%/json5.c %D%/json5.h \
	%D%/reader.c %D%/reader.h \
	%D%/schema.h \
	%D%/utf8.c %D%/utf8.h
