libocore_la_SOURCES += \
	%D%/pairing.h \
	%D%/store.h
