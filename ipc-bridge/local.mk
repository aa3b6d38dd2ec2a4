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
	%D%/intake.c %D%/intake.h \
	%D%/method.c \
	%D%/modhost.c %D%/modhost.h %D%/modhost_host.c %D%/modhost_int.h \
	%D%/nng.c %D%/nng.h \
	%D%/isolate.c %D%/isolate.h %D%/isolate_guest.c %D%/isolate_host.c %D%/isolate_int.h %D%/isolate_process.c \
	%D%/output.c %D%/output.h %D%/pack.c %D%/pack.h \
	%D%/peer.c %D%/peer.h \
	%D%/permit.c %D%/permit.h \
	%D%/plugin.h \
	%D%/process.c \
	%D%/proxy.c \
	%D%/quarantine.c \
	%D%/reads.c \
	%D%/route.c \
	%D%/service.c \
	%D%/skills.c \
	%D%/snapshot.c \
	%D%/sp.c %D%/sp.h \
	%D%/transport.c %D%/transport.h \
	%D%/transport_loop.c %D%/transport_nng.c \
	%D%/use.c %D%/use.h \
	%D%/view.c \
	%D%/watchdog.c

EXTRA_DIST += %D%/PROTOCOL.md
include ipc-bridge/node/local.mk
