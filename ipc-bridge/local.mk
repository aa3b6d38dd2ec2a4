# ipc-bridge: guests in processes of their own.
libocore_la_SOURCES += \
	%D%/frame.c %D%/frame.h \
	%D%/nng.c %D%/nng.h \
	%D%/peer.c %D%/peer.h \
	%D%/transport.h %D%/transport_nng.c

EXTRA_DIST += %D%/PROTOCOL.md
include ipc-bridge/node/local.mk
