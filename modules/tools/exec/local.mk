# See modules/local.mk.  The parts without side effects are in a list of their own, since tests link them by themselves.
exec_pure_sources = %D%/clean.c %D%/clean.h %D%/keys.c %D%/keys.h %D%/tail.c %D%/tail.h
exec_module_sources = $(exec_pure_sources) %D%/exec.h %D%/job.c %D%/module.c %D%/process.c
EXTRA_DIST += %D%/module.json $(exec_module_sources)
if MODULE_EXEC_SHARED
module_LTLIBRARIES += modules/exec.la
modules_exec_la_SOURCES = $(exec_module_sources)
modules_exec_la_CPPFLAGS = $(module_cppflags) -I$(srcdir)/%D% -I$(srcdir)/modules/tools/shared
modules_exec_la_CFLAGS = $(module_cflags)
modules_exec_la_LDFLAGS = -module $(module_ldflags)
modules_exec_la_LIBADD = modules/libtoolkit.la $(CJSON_LIBS)
$(modules_exec_la_OBJECTS): %D%/module.json
endif
if MODULE_EXEC_STATIC
noinst_LTLIBRARIES += modules/libexec.la
static_module_names += exec
static_module_libs += modules/libexec.la modules/libtoolkit.la
modules_libexec_la_SOURCES = $(exec_module_sources)
modules_libexec_la_CPPFLAGS = $(module_cppflags) -I$(srcdir)/%D% -I$(srcdir)/modules/tools/shared -DOC_MODULE_STATIC=exec
modules_libexec_la_CFLAGS = $(module_cflags)
$(modules_libexec_la_OBJECTS): %D%/module.json
endif
