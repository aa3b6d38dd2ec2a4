# Bundled modules.
#
# A module NAME of the kind folder KIND lives in modules/KIND/NAME/: its sources, and module.json, the manifest, which one
# of the sources puts into the object file with OC_MODULE_MANIFEST("module.json") (see <openclaw/module.h>).  Sources
# include <openclaw/...> and their own files ("NAME.h", not a path), never anything of core/.
#
# modules/KIND/NAME/local.mk says it all, from one list of sources:
#
#   NAME_module_sources = %D%/NAME.c %D%/other.c %D%/other.h
#   EXTRA_DIST += %D%/module.json $(NAME_module_sources)
#   if MODULE_NAME_SHARED                           the usual build: modules/.libs/NAME.so
#   module_LTLIBRARIES += modules/NAME.la
#   modules_NAME_la_SOURCES = $(NAME_module_sources)
#   modules_NAME_la_CPPFLAGS = $(module_cppflags) -I$(srcdir)/%D%
#   modules_NAME_la_CFLAGS = $(module_cflags)
#   modules_NAME_la_LDFLAGS = -module $(module_ldflags)       automake wants to see -module here
#   modules_NAME_la_LIBADD = -lz                              only when the module uses a library of its own
#   $(modules_NAME_la_OBJECTS): %D%/module.json
#   endif
#   if MODULE_NAME_STATIC                           --enable-static-modules: inside the binary
#   noinst_LTLIBRARIES += modules/libNAME.la
#   static_module_names += NAME
#   static_module_libs += modules/libNAME.la
#   modules_libNAME_la_SOURCES = $(NAME_module_sources)
#   modules_libNAME_la_CPPFLAGS = $(module_cppflags) -I$(srcdir)/%D% -DOC_MODULE_STATIC=NAME
#   modules_libNAME_la_CFLAGS = $(module_cflags)
#   modules_libNAME_la_LIBADD = -lz
#   $(modules_libNAME_la_OBJECTS): %D%/module.json
#   endif
#
# and configure.ac has OC_MODULE([KIND], [NAME], [what it is for]).  NAME is unique over all kinds.  In the static build
# all modules share one name space: give functions that are not static a prefix with the module's name.
#
# In a build tree the shared objects are in modules/.libs/ beside the binary; they are installed as $(moduledir)/NAME.so.

module_cppflags = -D_GNU_SOURCE -I$(top_srcdir)/plugin-sdk/include
module_cflags = -std=gnu11 $(OC_WARNINGS) $(OC_HARDENING) $(OC_INSTRUMENT)
module_ldflags = -avoid-version -shared -export-symbols-regex '^oc_module_v1$$' $(module_no_undefined) $(OC_LINK) $(OC_INSTRUMENT)
static_module_names =
static_module_libs =

if !SANITIZED
# (With a sanitizer the runtime's symbols come from the program.)
module_no_undefined = -no-undefined -Wl,-z,defs
endif

include modules/channels/telegram/local.mk
include modules/providers/shared/local.mk
include modules/providers/anthropic/local.mk
include modules/providers/offline/local.mk
include modules/providers/openai/local.mk
include modules/tools/shared/local.mk
include modules/tools/exec/local.mk
include modules/tools/fs/local.mk
include modules/tools/web/local.mk

# Only the .so files matter once installed.  The folder is shared with other people's modules: on uninstall, ours go.
install-data-hook:
	for m in $(module_LTLIBRARIES); do rm -f "$(DESTDIR)$(moduledir)/`basename $$m`"; done
uninstall-hook:
	for m in $(module_LTLIBRARIES); do rm -f "$(DESTDIR)$(moduledir)/`basename $$m .la`.so"; done
