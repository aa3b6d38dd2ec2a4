libocore_la_SOURCES += \
	%D%/agent.h \
	%D%/session.h
