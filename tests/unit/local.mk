# Unit tests: cmocka, tests/unit/t_<thing>.c for each thing.  One line below adds one; the source is t_<thing>.c, linked
# with the whole core.
unit_tests =
unit_tests += %D%/t_base
unit_tests += %D%/t_json
unit_tests += %D%/t_json5
unit_tests += %D%/t_llhttp
unit_tests += %D%/t_loop
unit_tests += %D%/t_store
unit_tests += %D%/t_utf8
unit_tests += %D%/t_sse
unit_tests += %D%/t_ssrf
unit_tests += %D%/t_url

if HAVE_CMOCKA
check_PROGRAMS += $(unit_tests)
TESTS += $(unit_tests)
endif
EXTRA_DIST += $(unit_tests:=.c)
