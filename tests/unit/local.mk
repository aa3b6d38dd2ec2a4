# Unit tests: cmocka, tests/unit/t_<thing>.c for each thing.  One line below adds one; the source is t_<thing>.c, linked
# with the whole core.
unit_tests =
unit_tests += %D%/t_agent_channel
unit_tests += %D%/t_outbound
unit_tests += %D%/t_agent_queue
unit_tests += %D%/t_agent_tools
unit_tests += %D%/t_agent_turn
unit_tests += %D%/t_subagent
unit_tests += %D%/t_base
unit_tests += %D%/t_bridge_frame
unit_tests += %D%/t_bridge_peer
unit_tests += %D%/t_bridge_transport
unit_tests += %D%/t_call
unit_tests += %D%/t_contain
unit_tests += %D%/t_cron
unit_tests += %D%/t_context
unit_tests += %D%/t_config
unit_tests += %D%/t_config_secrets
unit_tests += %D%/t_config_watch
unit_tests += %D%/t_json
unit_tests += %D%/t_json5
unit_tests += %D%/t_elf
unit_tests += %D%/t_embed
unit_tests += %D%/t_hook
unit_tests += %D%/t_hostapi
unit_tests += %D%/t_exec
unit_tests += %D%/t_exec_parts
unit_tests += %D%/t_fs
unit_tests += %D%/t_web_html
unit_tests += %D%/t_jsonrpc
unit_tests += %D%/t_http_client
unit_tests += %D%/t_notify
unit_tests += %D%/t_llhttp
unit_tests += %D%/t_loader
unit_tests += %D%/t_loop
unit_tests += %D%/t_map
unit_tests += %D%/t_regex
unit_tests += %D%/t_schema
unit_tests += %D%/t_manifest
unit_tests += %D%/t_memory_slot
unit_tests += %D%/t_anthropic_request
unit_tests += %D%/t_anthropic_stream
unit_tests += %D%/t_offline_script
unit_tests += %D%/t_openai_events
unit_tests += %D%/t_openai_request
unit_tests += %D%/t_openai_stream
unit_tests += %D%/t_prv_exchange
unit_tests += %D%/t_prv_fault
unit_tests += %D%/t_prv_json
unit_tests += %D%/t_prv_oom
unit_tests += %D%/t_process
unit_tests += %D%/t_sandbox
unit_tests += %D%/t_queue
unit_tests += %D%/t_registry
unit_tests += %D%/t_import
unit_tests += %D%/t_journal
unit_tests += %D%/t_retention
unit_tests += %D%/t_session
unit_tests += %D%/t_sdk_json
unit_tests += %D%/t_store
unit_tests += %D%/t_store_care
unit_tests += %D%/t_store_prune
unit_tests += %D%/t_tg_chunk
unit_tests += %D%/t_tg_format
unit_tests += %D%/t_tg_inbound
unit_tests += %D%/t_tg_limit
unit_tests += %D%/t_tg_memory
unit_tests += %D%/t_utf8
unit_tests += %D%/t_validate
unit_tests += %D%/t_http_calls
unit_tests += %D%/t_http_server
unit_tests += %D%/t_http_server_life
unit_tests += %D%/t_local_client
unit_tests += %D%/t_tls
unit_tests += %D%/t_ws %D%/t_ws_frames
unit_tests += %D%/t_sse
unit_tests += %D%/t_ssrf
unit_tests += %D%/t_url

if HAVE_CMOCKA
check_PROGRAMS += $(unit_tests)
TESTS += $(unit_tests)
endif
EXTRA_DIST += $(unit_tests:=.c) %D%/probe_module.h %D%/tree.h
EXTRA_DIST += %D%/agent_fake.h %D%/store_care.h %D%/store_wait.h %D%/bridge_peer.js

# Exports its own getaddrinfo, so that libcurl asks the test for addresses.
tests_unit_t_http_calls_LDFLAGS = $(AM_LDFLAGS) -Wl,--export-dynamic
EXTRA_DIST += %D%/http_app.h %D%/loop_test.h %D%/net_test.h %D%/ws_test.h
tests_unit_t_sandbox_SOURCES = %D%/t_sandbox.c %D%/sandbox_attempts.c %D%/sandbox_attempts.h

# Parts of modules, without the core.
tg_cppflags = $(AM_CPPFLAGS) -I$(srcdir)/modules/channels/telegram
tg_libs = modules/channels/telegram/libtgpure.la $(CJSON_LIBS) $(CMOCKA_LIBS)
tests_unit_t_tg_chunk_CPPFLAGS = $(tg_cppflags)
tests_unit_t_tg_chunk_LDADD = $(tg_libs)
tests_unit_t_tg_format_CPPFLAGS = $(tg_cppflags)
tests_unit_t_tg_format_LDADD = $(tg_libs)
tests_unit_t_tg_inbound_CPPFLAGS = $(tg_cppflags)
tests_unit_t_tg_inbound_LDADD = $(tg_libs)
tests_unit_t_tg_limit_CPPFLAGS = $(tg_cppflags)
tests_unit_t_tg_limit_LDADD = $(tg_libs)
tests_unit_t_tg_memory_CPPFLAGS = $(tg_cppflags)
tests_unit_t_tg_memory_LDADD = $(tg_libs)
tests_unit_t_tg_memory_LDFLAGS = $(AM_LDFLAGS) -Wl,--wrap=malloc,--wrap=calloc,--wrap=realloc
EXTRA_DIST += %D%/tg_html.h

# The provider modules: their pure parts, with the core for its JSON wall.
prv_cppflags = $(AM_CPPFLAGS) -I$(srcdir)/modules/providers/shared
prv_libs = modules/libprovider.la $(OC_LIBS) $(CMOCKA_LIBS)
tests_unit_t_anthropic_request_SOURCES = %D%/t_anthropic_request.c modules/providers/anthropic/request.c
tests_unit_t_anthropic_request_CPPFLAGS = $(prv_cppflags) -I$(srcdir)/modules/providers/anthropic
tests_unit_t_anthropic_request_LDADD = $(prv_libs)
tests_unit_t_anthropic_stream_SOURCES = %D%/t_anthropic_stream.c modules/providers/anthropic/stream.c
tests_unit_t_anthropic_stream_CPPFLAGS = $(prv_cppflags) -I$(srcdir)/modules/providers/anthropic
tests_unit_t_anthropic_stream_LDADD = $(prv_libs)
tests_unit_t_offline_script_SOURCES = %D%/t_offline_script.c modules/providers/offline/hashing.c modules/providers/offline/script.c
tests_unit_t_offline_script_CPPFLAGS = $(prv_cppflags) -I$(srcdir)/modules/providers/offline
tests_unit_t_offline_script_LDADD = $(prv_libs)
tests_unit_t_openai_events_SOURCES = %D%/t_openai_events.c modules/providers/openai/events.c
tests_unit_t_openai_events_CPPFLAGS = $(prv_cppflags) -I$(srcdir)/modules/providers/openai
tests_unit_t_openai_events_LDADD = $(prv_libs)
tests_unit_t_openai_request_SOURCES = %D%/t_openai_request.c modules/providers/openai/dialect.c \
	modules/providers/openai/echo.c modules/providers/openai/request.c modules/providers/openai/responses.c
tests_unit_t_openai_request_CPPFLAGS = $(prv_cppflags) -I$(srcdir)/modules/providers/openai
tests_unit_t_openai_request_LDADD = $(prv_libs)
tests_unit_t_openai_stream_SOURCES = %D%/t_openai_stream.c modules/providers/openai/echo.c modules/providers/openai/stream.c
tests_unit_t_openai_stream_CPPFLAGS = $(prv_cppflags) -I$(srcdir)/modules/providers/openai
tests_unit_t_openai_stream_LDADD = $(prv_libs)
tests_unit_t_prv_exchange_CPPFLAGS = $(prv_cppflags)
tests_unit_t_prv_exchange_LDADD = $(prv_libs)
tests_unit_t_prv_fault_CPPFLAGS = $(prv_cppflags)
tests_unit_t_prv_fault_LDADD = $(prv_libs)
tests_unit_t_prv_oom_SOURCES = %D%/t_prv_oom.c modules/providers/anthropic/request.c modules/providers/anthropic/stream.c \
	modules/providers/offline/script.c modules/providers/openai/dialect.c modules/providers/openai/echo.c modules/providers/openai/events.c \
	modules/providers/openai/request.c modules/providers/openai/responses.c modules/providers/openai/stream.c
tests_unit_t_prv_oom_CPPFLAGS = $(prv_cppflags) -I$(srcdir)/modules/providers
tests_unit_t_prv_oom_LDADD = $(prv_libs)
tests_unit_t_prv_oom_LDFLAGS = $(AM_LDFLAGS) -Wl,--wrap=malloc,--wrap=calloc,--wrap=realloc,--wrap=free
tests_unit_t_prv_json_CPPFLAGS = $(prv_cppflags)
tests_unit_t_prv_json_LDADD = $(prv_libs)
EXTRA_DIST += %D%/prv_host.h %D%/prv_test.h
tests_unit_t_fs_SOURCES = %D%/t_fs.c modules/tools/fs/fs_file.c modules/tools/fs/fs_glob.c modules/tools/fs/fs_root.c modules/tools/fs/fs_walk.c modules/tools/shared/tk.c
tests_unit_t_fs_CPPFLAGS = $(AM_CPPFLAGS) -I$(srcdir)/modules/tools/fs -I$(srcdir)/modules/tools/shared
tests_unit_t_exec_parts_SOURCES = %D%/t_exec_parts.c $(exec_pure_sources)
tests_unit_t_exec_parts_CPPFLAGS = $(AM_CPPFLAGS) -I$(srcdir)/modules/tools/exec -I$(srcdir)/modules/tools/shared
tests_unit_t_exec_parts_LDADD = modules/libtoolkit.la $(CJSON_LIBS) $(CMOCKA_LIBS)
tests_unit_t_fs_LDADD = $(CJSON_LIBS) $(CMOCKA_LIBS)
tests_unit_t_web_html_SOURCES = %D%/t_web_html.c modules/tools/web/web_cache.c modules/tools/web/web_charset.c modules/tools/web/web_html.c \
	modules/tools/web/web_json.c modules/tools/shared/tk.c
tests_unit_t_web_html_CPPFLAGS = $(AM_CPPFLAGS) -I$(srcdir)/modules/tools/web -I$(srcdir)/modules/tools/shared
tests_unit_t_web_html_LDADD = $(CJSON_LIBS) $(CMOCKA_LIBS)

EXTRA_DIST += %D%/store_v1.sql %D%/cron_cases.h
