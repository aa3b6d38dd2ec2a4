# Measurements, run by "make bench", never by "make check": figures beside a reference measured in the same run.
bench_programs = %D%/bench_start
EXTRA_PROGRAMS += %D%/bench_start
tests_bench_bench_start_SOURCES = %D%/bench_start.c
tests_bench_bench_start_LDADD =
# The reference for throughput, and our HTTP server without the gateway.
bench_programs += %D%/bench_http_bare %D%/bench_http_core
EXTRA_PROGRAMS += %D%/bench_http_bare %D%/bench_http_core
tests_bench_bench_http_bare_SOURCES = %D%/bench_http_bare.c
tests_bench_bench_http_bare_LDADD = $(llhttp_libs) $(UV_LIBS)
tests_bench_bench_http_core_SOURCES = %D%/bench_http_core.c
tests_bench_bench_http_core_LDADD = $(OC_LIBS)
# WebSockets: an echo server, and the client of it and of the gateway.
bench_programs += %D%/bench_ws
EXTRA_PROGRAMS += %D%/bench_ws
tests_bench_bench_ws_SOURCES = %D%/bench_ws.c
tests_bench_bench_ws_LDADD = $(UV_LIBS)
EXTRA_DIST += %D%/ws.sh %D%/start.sh
# The store beside plain SQLite.
bench_programs += %D%/bench_store
EXTRA_PROGRAMS += %D%/bench_store
tests_bench_bench_store_SOURCES = %D%/bench_store.c
tests_bench_bench_store_LDADD = $(OC_LIBS)
# Many streaming turns at once.
bench_programs += %D%/bench_streams
EXTRA_PROGRAMS += %D%/bench_streams
tests_bench_bench_streams_SOURCES = %D%/bench_streams.c
tests_bench_bench_streams_LDADD = $(llhttp_libs) $(UV_LIBS)
# Turns: a model server, and a client of it and of the gateway.
bench_programs += %D%/bench_model %D%/bench_turns
EXTRA_PROGRAMS += %D%/bench_model %D%/bench_turns
tests_bench_bench_model_SOURCES = %D%/bench_model.c
tests_bench_bench_model_LDADD = $(llhttp_libs) $(UV_LIBS)
tests_bench_bench_turns_SOURCES = %D%/bench_turns.c
tests_bench_bench_turns_LDADD = $(llhttp_libs) $(UV_LIBS)
# The bridge beside bare libnng.
if PLUGINS
bench_programs += %D%/bench_bridge
endif
EXTRA_PROGRAMS += %D%/bench_bridge
tests_bench_bench_bridge_SOURCES = %D%/bench_bridge.c
tests_bench_bench_bridge_LDADD = $(OC_LIBS)
EXTRA_DIST += %D%/bridge.mjs %D%/bridge_echo.js
# Modules, inside the gateway and in processes of their own.
bench_programs += %D%/bench_module
EXTRA_PROGRAMS += %D%/bench_module
tests_bench_bench_module_SOURCES = %D%/bench_module.c
tests_bench_bench_module_LDADD = $(OC_LIBS)
EXTRA_DIST += %D%/modules.sh %D%/module.json %D%/module_echo.c
EXTRA_DIST += %D%/README.md %D%/run.sh %D%/http.sh %D%/streams.sh %D%/turns.sh %D%/telegram.mjs %D%/idle.mjs %D%/soak.mjs %D%/retention.mjs

bench: all $(bench_programs)
	$(srcdir)/tests/bench/run.sh .
	$(srcdir)/tests/bench/http.sh .
	$(srcdir)/tests/bench/ws.sh .
	$(srcdir)/tests/bench/streams.sh .
	$(srcdir)/tests/bench/turns.sh .
	$(NODE) $(srcdir)/tests/bench/telegram.mjs ./openclaw
	$(NODE) $(srcdir)/tests/bench/idle.mjs ./openclaw
	CC='$(CC)' $(srcdir)/tests/bench/modules.sh .
	if test -x %D%/bench_bridge; then $(NODE) $(srcdir)/tests/bench/bridge.mjs .; fi
	%D%/bench_store append
	%D%/bench_store open
	%D%/bench_store killed
	%D%/bench_store search
	$(NODE) $(srcdir)/tests/bench/retention.mjs ./openclaw %D%/bench_store 10000 100000

# 100,000 turns over 2,000 sessions: minutes, not seconds. SOAK="TURNS SESSIONS CONCURRENCY" for others.
soak: all
	$(NODE) $(srcdir)/tests/bench/soak.mjs ./openclaw $(SOAK)
.PHONY: bench soak
