# Small modules that exist only for tests.  Shared objects that are never installed need an -rpath, else libtool makes
# archives only:
#   check_LTLIBRARIES += %D%/crash.la
#   tests_modules_crash_la_SOURCES = %D%/crash.c
#   tests_modules_crash_la_CPPFLAGS = $(module_cppflags) -I$(srcdir)/%D%/crash
#   tests_modules_crash_la_CFLAGS = $(module_cflags)
#   tests_modules_crash_la_LDFLAGS = -module -rpath /nowhere $(module_ldflags)
