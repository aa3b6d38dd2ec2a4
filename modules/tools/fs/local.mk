# See modules/local.mk.
fs_module_sources = %D%/fs.c %D%/fs_file.c %D%/fs_glob.c %D%/fs_glob.h %D%/fs_root.c %D%/fs_root.h \
	%D%/fs_tools.h %D%/fs_walk.c
EXTRA_DIST += %D%/module.json $(fs_module_sources)
if MODULE_FS_SHARED
module_LTLIBRARIES += modules/fs.la
modules_fs_la_SOURCES = $(fs_module_sources)
modules_fs_la_CPPFLAGS = $(module_cppflags) -I$(srcdir)/%D% -I$(srcdir)/modules/tools/shared
modules_fs_la_CFLAGS = $(module_cflags)
modules_fs_la_LDFLAGS = -module $(module_ldflags)
modules_fs_la_LIBADD = modules/libtoolkit.la $(CJSON_LIBS)
$(modules_fs_la_OBJECTS): %D%/module.json
endif
if MODULE_FS_STATIC
noinst_LTLIBRARIES += modules/libfs.la
static_module_names += fs
static_module_libs += modules/libfs.la modules/libtoolkit.la
modules_libfs_la_SOURCES = $(fs_module_sources)
modules_libfs_la_CPPFLAGS = $(module_cppflags) -I$(srcdir)/%D% -I$(srcdir)/modules/tools/shared -DOC_MODULE_STATIC=fs
modules_libfs_la_CFLAGS = $(module_cflags)
modules_libfs_la_LIBADD = $(CJSON_LIBS)
$(modules_libfs_la_OBJECTS): %D%/module.json
endif
