# Fuzz targets: tests/fuzz/fuzz_<x>.c defines LLVMFuzzerTestOneInput; its corpus is in tests/fuzz/corpus/<x>/.
# Two lines add one:
#   fuzz_targets += %D%/fuzz_x
#   tests_fuzz_fuzz_x_LDADD = $(fuzz_libs)
# "make check" replays the corpus with a small driver of ours; with --enable-fuzzing they are linked with a fuzzer.
fuzz_targets =
fuzz_targets += %D%/fuzz_sse %D%/fuzz_url
tests_fuzz_fuzz_sse_LDADD = $(fuzz_libs)
tests_fuzz_fuzz_url_LDADD = $(fuzz_libs)
fuzz_targets += %D%/fuzz_http %D%/fuzz_ws
tests_fuzz_fuzz_http_LDADD = $(fuzz_libs)
tests_fuzz_fuzz_ws_LDADD = $(fuzz_libs)
fuzz_targets += %D%/fuzz_elf %D%/fuzz_manifest %D%/fuzz_sdk_json
fuzz_targets += %D%/fuzz_minisig
tests_fuzz_fuzz_minisig_LDADD = $(fuzz_libs)
tests_fuzz_fuzz_sdk_json_LDADD = $(fuzz_libs)
tests_fuzz_fuzz_elf_LDADD = $(fuzz_libs)
tests_fuzz_fuzz_manifest_LDADD = $(fuzz_libs)
fuzz_targets += %D%/fuzz_isolate_pack
tests_fuzz_fuzz_isolate_pack_LDADD = $(fuzz_libs)
fuzz_targets += %D%/fuzz_isolate_host
tests_fuzz_fuzz_isolate_host_LDADD = $(fuzz_libs)
fuzz_targets += %D%/fuzz_bridge_frame
tests_fuzz_fuzz_bridge_frame_LDADD = $(fuzz_libs)
fuzz_targets += %D%/fuzz_bridge_sp
tests_fuzz_fuzz_bridge_sp_LDADD = $(fuzz_libs)
fuzz_targets += %D%/fuzz_config
tests_fuzz_fuzz_config_LDADD = $(fuzz_libs)
fuzz_targets += %D%/fuzz_cron
tests_fuzz_fuzz_cron_LDADD = $(fuzz_libs)
fuzz_targets += %D%/fuzz_dotenv
tests_fuzz_fuzz_dotenv_LDADD = $(fuzz_libs)
fuzz_targets += %D%/fuzz_frame
tests_fuzz_fuzz_frame_LDADD = $(fuzz_libs)
fuzz_targets += %D%/fuzz_front
tests_fuzz_fuzz_front_LDADD = $(fuzz_libs)
fuzz_targets += %D%/fuzz_import
tests_fuzz_fuzz_import_LDADD = $(fuzz_libs)
fuzz_targets += %D%/fuzz_json
tests_fuzz_fuzz_json_LDADD = $(fuzz_libs)
fuzz_targets += %D%/fuzz_json5
tests_fuzz_fuzz_json5_LDADD = $(fuzz_libs)
fuzz_targets += %D%/fuzz_regex
tests_fuzz_fuzz_regex_LDADD = $(fuzz_libs)
fuzz_targets += %D%/fuzz_schema
tests_fuzz_fuzz_schema_LDADD = $(fuzz_libs)
if FUZZING
fuzz_libs = $(OC_LIBS) $(LIB_FUZZING_ENGINE)
noinst_PROGRAMS += $(fuzz_targets)
else
fuzz_libs = tests/fuzz/libreplay.la $(OC_LIBS)
check_LTLIBRARIES += tests/fuzz/libreplay.la
check_PROGRAMS += $(fuzz_targets)
TESTS += $(fuzz_targets)
endif
tests_fuzz_libreplay_la_SOURCES = tests/fuzz/replay.c
EXTRA_DIST += tests/fuzz/corpus tests/fuzz/fuzz.sh

fuzz_targets += %D%/fuzz_tg_format %D%/fuzz_tg_update
tests_fuzz_fuzz_tg_format_CPPFLAGS = $(tg_cppflags)
tests_fuzz_fuzz_tg_format_LDADD = modules/channels/telegram/libtgpure.la $(fuzz_libs)
tests_fuzz_fuzz_tg_update_CPPFLAGS = $(tg_cppflags)
tests_fuzz_fuzz_tg_update_LDADD = modules/channels/telegram/libtgpure.la $(fuzz_libs)

EXTRA_DIST += tests/fuzz/corpus

# The provider modules: their pure parts, with the core for its JSON wall.
fuzz_targets += %D%/fuzz_anthropic_stream %D%/fuzz_openai_events %D%/fuzz_openai_stream %D%/fuzz_provider_request
tests_fuzz_fuzz_anthropic_stream_SOURCES = %D%/fuzz_anthropic_stream.c %D%/prv_stream_fuzz.h modules/providers/anthropic/stream.c
tests_fuzz_fuzz_anthropic_stream_CPPFLAGS = $(prv_cppflags) -I$(srcdir)/modules/providers/anthropic
tests_fuzz_fuzz_anthropic_stream_LDADD = modules/libprovider.la $(fuzz_libs)
tests_fuzz_fuzz_openai_events_SOURCES = %D%/fuzz_openai_events.c %D%/prv_stream_fuzz.h modules/providers/openai/events.c
tests_fuzz_fuzz_openai_events_CPPFLAGS = $(prv_cppflags) -I$(srcdir)/modules/providers/openai
tests_fuzz_fuzz_openai_events_LDADD = modules/libprovider.la $(fuzz_libs)
tests_fuzz_fuzz_openai_stream_SOURCES = %D%/fuzz_openai_stream.c %D%/prv_stream_fuzz.h modules/providers/openai/echo.c modules/providers/openai/stream.c
tests_fuzz_fuzz_openai_stream_CPPFLAGS = $(prv_cppflags) -I$(srcdir)/modules/providers/openai
tests_fuzz_fuzz_openai_stream_LDADD = modules/libprovider.la $(fuzz_libs)
tests_fuzz_fuzz_provider_request_SOURCES = %D%/fuzz_provider_request.c modules/providers/anthropic/request.c \
	modules/providers/offline/script.c modules/providers/openai/dialect.c modules/providers/openai/echo.c modules/providers/openai/request.c \
	modules/providers/openai/responses.c
tests_fuzz_fuzz_provider_request_CPPFLAGS = $(prv_cppflags) -I$(srcdir)/modules/providers
tests_fuzz_fuzz_provider_request_LDADD = modules/libprovider.la $(fuzz_libs)

fuzz_targets += %D%/fuzz_html
tests_fuzz_fuzz_html_SOURCES = %D%/fuzz_html.c modules/tools/web/web_charset.c modules/tools/web/web_html.c modules/tools/web/web_json.c \
	modules/tools/shared/tk.c
tests_fuzz_fuzz_html_CPPFLAGS = $(AM_CPPFLAGS) -I$(srcdir)/modules/tools/web -I$(srcdir)/modules/tools/shared
tests_fuzz_fuzz_html_LDADD = $(fuzz_libs)
