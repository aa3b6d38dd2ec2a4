# Faults on purpose: kill -9, disks that fail, memory that runs out.
#
# openclaw-fault is the gateway with the places of core/base/fault.h: the files that have some are compiled again and come
# before the library, so its own copies of them are left out.  crash.test checks that no file is missing here.
check_PROGRAMS += openclaw-fault %D%/sql
openclaw_fault_SOURCES = core/main.c core/base/fault.c core/agent/agent.c core/agent/recover.c \
	core/agent/compact.c core/agent/cron_deliver.c core/agent/cron_run.c core/agent/outbound.c core/agent/subagent.c core/agent/subagent_end.c core/agent/take.c \
	core/agent/toolrun.c core/agent/turn.c core/agent/turn_accept.c core/agent/turn_end.c \
	core/agent/turn_model.c core/store/group.c core/store/schema.c core/store/store.c core/store/writer.c
openclaw_fault_CPPFLAGS = $(openclaw_CPPFLAGS) -DOC_FAULT_POINTS
openclaw_fault_LDADD = $(OC_LIBS)
tests_fault_sql_SOURCES = %D%/sql.c
tests_fault_sql_LDADD = $(SQLITE_LIBS) -lm -lpthread -ldl

check_LTLIBRARIES += %D%/wire.la
tests_fault_wire_la_SOURCES = %D%/wire.c
tests_fault_wire_la_CPPFLAGS = $(module_cppflags) -I$(srcdir)/%D%
tests_fault_wire_la_CFLAGS = $(module_cflags)
tests_fault_wire_la_LDFLAGS = -module -rpath /nowhere $(module_ldflags)
$(tests_fault_wire_la_OBJECTS): %D%/wire.json

# A clock that can be set, for gateways of tests: nothing of ours is in it, no sanitizer either.
check_LTLIBRARIES += %D%/clock.la
tests_fault_clock_la_SOURCES = %D%/clock.c
tests_fault_clock_la_CFLAGS = -std=gnu11 $(OC_WARNINGS)
tests_fault_clock_la_LDFLAGS = -module -avoid-version -shared -rpath /nowhere

# Memory that runs out: every allocation of these programs and of the libraries linked in goes through tests/fault/oom.h.
oom_tests = %D%/t_oom_turn %D%/t_oom_new
if HAVE_CMOCKA
check_PROGRAMS += $(oom_tests)
TESTS += $(oom_tests)
endif
EXTRA_DIST += $(oom_tests:=.c) %D%/oom.h
oom_ldflags = $(AM_LDFLAGS) -Wl,--wrap=malloc,--wrap=calloc,--wrap=realloc
tests_fault_t_oom_turn_LDFLAGS = $(oom_ldflags),--wrap=oc_writer_put,--wrap=oc_chores_due,--wrap=oc_chores_overdue
tests_fault_t_oom_new_LDFLAGS = $(oom_ldflags)

# Every single allocation, which takes some minutes.
check-oom:
	OC_OOM_STEP=1 $(MAKE) check TESTS='$(oom_tests)' OC_TEST_TIMEOUT=$${OC_TEST_TIMEOUT:-14400}
.PHONY: check-oom

fault_tests = %D%/crash.test %D%/pressure.test %D%/clock.test
TESTS += $(fault_tests)
EXTRA_DIST += $(fault_tests) %D%/crash.mjs %D%/pressure.mjs %D%/clock.mjs %D%/network.mjs %D%/wire.json

# The store over a file system that fails; see vfs.h.
check_PROGRAMS += %D%/t_store_fault
tests_fault_t_store_fault_SOURCES = %D%/t_store_fault.c %D%/vfs.c %D%/vfs.h
tests_fault_t_store_fault_LDADD = $(LDADD)
TESTS += %D%/t_store_fault

# make check-power ROUNDS=10000 SEED=7
check-power: %D%/t_store_fault
	ROUNDS='$(or $(ROUNDS),10000)' $(if $(SEED),SEED='$(SEED)') %D%/t_store_fault power_is_cut_at_any_moment
.PHONY: check-power

# make check-crash ROUNDS=5000 SEED=7
check-crash:
	$(MAKE) check TESTS='%D%/crash.test' ROUNDS='$(ROUNDS)' SEED='$(SEED)' OC_TEST_TIMEOUT=$${OC_TEST_TIMEOUT:-86400}
.PHONY: check-crash
