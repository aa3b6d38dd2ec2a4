# See modules/local.mk.  To be switched on, by removing the first "# " of each line, when exec.c and module.json are here.
# exec_module_sources = %D%/exec.c
# EXTRA_DIST += %D%/module.json $(exec_module_sources)
# if MODULE_EXEC_SHARED
# module_LTLIBRARIES += modules/exec.la
# modules_exec_la_SOURCES = $(exec_module_sources)
# modules_exec_la_CPPFLAGS = $(module_cppflags) -I$(srcdir)/%D%
# modules_exec_la_CFLAGS = $(module_cflags)
# modules_exec_la_LDFLAGS = -module $(module_ldflags)
# $(modules_exec_la_OBJECTS): %D%/module.json
# endif
# if MODULE_EXEC_STATIC
# noinst_LTLIBRARIES += modules/libexec.la
# static_module_names += exec
# static_module_libs += modules/libexec.la
# modules_libexec_la_SOURCES = $(exec_module_sources)
# modules_libexec_la_CPPFLAGS = $(module_cppflags) -I$(srcdir)/%D% -DOC_MODULE_STATIC=exec
# modules_libexec_la_CFLAGS = $(module_cflags)
# $(modules_libexec_la_OBJECTS): %D%/module.json
# endif
