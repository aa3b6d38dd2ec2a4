libocore_la_SOURCES += \
	%D%/cgroup.c %D%/cgroup.h \
	%D%/contain.c %D%/contain.h \
	%D%/process.c %D%/process.h %D%/process_int.h %D%/process_io.c %D%/process_policy.c %D%/process_service.c %D%/process_spawn.c \
	%D%/sandbox.c %D%/sandbox.h \
	%D%/sandbox_args.c %D%/sandbox_child.c %D%/sandbox_helper.c %D%/sandbox_int.h %D%/sandbox_judge.c \
	%D%/sandbox_mount.c %D%/sandbox_plan.c %D%/sandbox_rules.c %D%/sandbox_seccomp.c \
	%D%/validate.c %D%/validate.h

# The helper that makes the sandbox (see sandbox.h). The parts of the core it does not use are not linked in.
pkglibexec_PROGRAMS += openclaw-sandbox
openclaw_sandbox_SOURCES = %D%/helper.c
openclaw_sandbox_LDADD = libocore.la

# Its system call filters: made here by a program that runs while building, so that nobody waits for it later. A rule of
# its own, because that program is for the machine that builds.
EXTRA_DIST += %D%/mkfilter.c
nodist_libocore_la_SOURCES = %D%/filters.c
CLEANFILES += mkfilter %D%/filters.c
mkfilter: %D%/mkfilter.c
	$(AM_V_CCLD)$(CC_FOR_BUILD) -D_GNU_SOURCE $(SECCOMP_CFLAGS) -O1 -o $@ $(srcdir)/%D%/mkfilter.c $(SECCOMP_LIBS)
%D%/filters.c: mkfilter
	$(AM_V_GEN)$(MKDIR_P) %D% && ./mkfilter $(SECCOMP_ARCH) >$@.tmp && mv -f $@.tmp $@
