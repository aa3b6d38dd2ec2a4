# What the tool modules share, as an archive that each of them links.
noinst_LTLIBRARIES += modules/libtoolkit.la
modules_libtoolkit_la_SOURCES = %D%/tk.c %D%/tk.h
modules_libtoolkit_la_CPPFLAGS = $(module_cppflags)
modules_libtoolkit_la_CFLAGS = $(module_cflags)
modules_libtoolkit_la_LIBADD = $(CJSON_LIBS)
