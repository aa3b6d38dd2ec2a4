# Small modules that exist only for tests: good_* do everything right, bad_* are refused by the gate, each for another
# reason, rude is let in and then breaks the contract.  Shared objects that are never installed need an -rpath, else libtool makes archives only.
test_modules_cppflags = $(module_cppflags) -I$(srcdir)/%D%
test_modules_ldflags = -rpath /nowhere $(module_ldflags)
EXTRA_DIST += %D%/good_tool.json %D%/good_kinds.json %D%/bad.json %D%/rude.json %D%/wild.json

check_LTLIBRARIES += %D%/good_tool.la %D%/good_kinds.la %D%/rude.la %D%/wild.la
check_LTLIBRARIES += %D%/bad_symbol.la %D%/bad_undefined.la %D%/bad_null.la %D%/bad_name.la %D%/no_manifest.la

tests_modules_good_tool_la_SOURCES = %D%/good_tool.c
tests_modules_good_tool_la_CPPFLAGS = $(test_modules_cppflags)
tests_modules_good_tool_la_CFLAGS = $(module_cflags)
tests_modules_good_tool_la_LDFLAGS = -module $(test_modules_ldflags)
$(tests_modules_good_tool_la_OBJECTS): %D%/good_tool.json

tests_modules_good_kinds_la_SOURCES = %D%/good_kinds.c
tests_modules_good_kinds_la_CPPFLAGS = $(test_modules_cppflags)
tests_modules_good_kinds_la_CFLAGS = $(module_cflags)
tests_modules_good_kinds_la_LDFLAGS = -module $(test_modules_ldflags)
$(tests_modules_good_kinds_la_OBJECTS): %D%/good_kinds.json

tests_modules_bad_symbol_la_SOURCES = %D%/bad_symbol.c
tests_modules_bad_symbol_la_CPPFLAGS = $(test_modules_cppflags)
tests_modules_bad_symbol_la_CFLAGS = $(module_cflags)
tests_modules_bad_symbol_la_LDFLAGS = -module -rpath /nowhere -avoid-version -shared $(OC_LINK) $(OC_INSTRUMENT)
$(tests_modules_bad_symbol_la_OBJECTS): %D%/bad.json

tests_modules_bad_undefined_la_SOURCES = %D%/bad_undefined.c
tests_modules_bad_undefined_la_CPPFLAGS = $(test_modules_cppflags)
tests_modules_bad_undefined_la_CFLAGS = $(module_cflags)
tests_modules_bad_undefined_la_LDFLAGS = -module -rpath /nowhere -avoid-version -shared $(OC_LINK) $(OC_INSTRUMENT)
$(tests_modules_bad_undefined_la_OBJECTS): %D%/bad.json

tests_modules_bad_null_la_SOURCES = %D%/bad_null.c
tests_modules_bad_null_la_CPPFLAGS = $(test_modules_cppflags)
tests_modules_bad_null_la_CFLAGS = $(module_cflags)
tests_modules_bad_null_la_LDFLAGS = -module $(test_modules_ldflags)
$(tests_modules_bad_null_la_OBJECTS): %D%/bad.json

tests_modules_bad_name_la_SOURCES = %D%/bad_name.c
tests_modules_bad_name_la_CPPFLAGS = $(test_modules_cppflags)
tests_modules_bad_name_la_CFLAGS = $(module_cflags)
tests_modules_bad_name_la_LDFLAGS = -module $(test_modules_ldflags)
$(tests_modules_bad_name_la_OBJECTS): %D%/bad.json

tests_modules_no_manifest_la_SOURCES = %D%/no_manifest.c
tests_modules_no_manifest_la_CFLAGS = $(module_cflags)
tests_modules_no_manifest_la_LDFLAGS = -module -rpath /nowhere -avoid-version -shared $(OC_LINK) $(OC_INSTRUMENT)

tests_modules_rude_la_SOURCES = %D%/rude.c
tests_modules_rude_la_CPPFLAGS = $(test_modules_cppflags)
tests_modules_rude_la_CFLAGS = $(module_cflags)
tests_modules_rude_la_LDFLAGS = -module $(test_modules_ldflags)
$(tests_modules_rude_la_OBJECTS): %D%/rude.json

# For a process of its own (isolation.mjs).
tests_modules_wild_la_SOURCES = %D%/wild.c
tests_modules_wild_la_CPPFLAGS = $(test_modules_cppflags)
tests_modules_wild_la_CFLAGS = $(module_cflags)
tests_modules_wild_la_LDFLAGS = -module $(test_modules_ldflags)
$(tests_modules_wild_la_OBJECTS): %D%/wild.json
