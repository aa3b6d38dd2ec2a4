libocore_la_SOURCES += \
	%D%/cronexpr.c %D%/cronexpr.h \
	%D%/jpath.c %D%/jpath.h \
	%D%/json.c %D%/json.h \
	%D%/json5.c %D%/json5.h \
	%D%/reader.c %D%/reader.h %D%/reader_int.h %D%/reader_number.c \
	%D%/regex.c %D%/regex.h \
	%D%/schema.c %D%/schema_internal.h %D%/schema_valid.c %D%/schema.h \
	%D%/utf8.c %D%/utf8.h \
	%D%/zone.c %D%/zone.h
