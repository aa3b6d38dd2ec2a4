# ipc-bridge: guests in processes of their own.
libocore_la_SOURCES += \
	%D%/bridge.c %D%/bridge.h \
	%D%/cli.c \
	%D%/command.c \
	%D%/channel.c \
	%D%/discover.c \
	%D%/engine.c \
	%D%/frame.c %D%/frame.h \
	%D%/group.c \
	%D%/hostcall.c \
	%D%/method.c \
	%D%/nng.c %D%/nng.h \
	%D%/output.c \
	%D%/peer.c %D%/peer.h \
	%D%/permit.c %D%/permit.h \
	%D%/plugin.h \
	%D%/process.c \
	%D%/proxy.c \
	%D%/reads.c \
	%D%/route.c \
	%D%/service.c \
	%D%/skills.c \
	%D%/snapshot.c \
	%D%/sp.c %D%/sp.h \
	%D%/transport.c %D%/transport.h \
	%D%/transport_loop.c %D%/transport_nng.c \
	%D%/view.c \
	%D%/watchdog.c

EXTRA_DIST += %D%/PROTOCOL.md
include ipc-bridge/node/local.mk
