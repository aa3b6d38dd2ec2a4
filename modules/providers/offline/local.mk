# See modules/local.mk.
offline_module_sources = %D%/module.c %D%/hashing.c %D%/hashing.h %D%/script.c %D%/script.h
EXTRA_DIST += %D%/module.json %D%/README.md $(offline_module_sources)
if MODULE_OFFLINE_SHARED
module_LTLIBRARIES += modules/offline.la
modules_offline_la_SOURCES = $(offline_module_sources)
modules_offline_la_CPPFLAGS = $(module_cppflags) -I$(srcdir)/%D% -I$(srcdir)/modules/providers/shared
modules_offline_la_CFLAGS = $(module_cflags)
modules_offline_la_LDFLAGS = -module $(module_ldflags)
modules_offline_la_LIBADD = modules/libprovider.la
$(modules_offline_la_OBJECTS): %D%/module.json
endif
if MODULE_OFFLINE_STATIC
noinst_LTLIBRARIES += modules/liboffline.la
static_module_names += offline
static_module_libs += modules/liboffline.la modules/libprovider.la
modules_liboffline_la_SOURCES = $(offline_module_sources)
modules_liboffline_la_CPPFLAGS = $(module_cppflags) -I$(srcdir)/%D% -I$(srcdir)/modules/providers/shared -DOC_MODULE_STATIC=offline
modules_liboffline_la_CFLAGS = $(module_cflags)
$(modules_liboffline_la_OBJECTS): %D%/module.json
endif
