# What is installed for authors of modules: the headers, a .pc file, an m4 macro, the guide, and what `openclaw module new`
# copies: an example of each kind, a Makefile, an autotools set.
pkginclude_HEADERS = %D%/include/openclaw/module.h %D%/include/openclaw/json.h
pkginclude_HEADERS += %D%/include/openclaw/test.h %D%/include/openclaw/test_host.h
pkginclude_HEADERS += %D%/include/openclaw/test_services.h
pkgconfig_DATA = %D%/openclaw-sdk.pc
aclocaldir = $(datadir)/aclocal
aclocal_DATA = %D%/m4/openclaw-sdk.m4
sdkdocdir = $(docdir)
dist_sdkdoc_DATA = %D%/doc/guide.md %D%/doc/plugins.md %D%/doc/protocol.md
# The reference is what the headers say of themselves; what they leave unsaid ends the build.
sdk_references = %D%/doc/reference.md %D%/doc/openclaw-module.3
sdkdoc_DATA = %D%/doc/reference.md
man3_MANS = %D%/doc/openclaw-module.3
sdk_headers = %D%/include/openclaw/module.h %D%/include/openclaw/json.h %D%/include/openclaw/test.h \
	%D%/include/openclaw/test_host.h %D%/include/openclaw/test_services.h
$(sdk_references): %D%/doc/reference.awk $(sdk_headers)
	$(AM_V_GEN)$(MKDIR_P) %D%/doc && form=md; case $@ in *.3) form=man ;; esac; \
	  (cd $(srcdir) && LC_ALL=C $(AWK) -v form=$$form -v version=$(VERSION) -f %D%/doc/reference.awk $(sdk_headers)) > $@.tmp && mv $@.tmp $@
CLEANFILES += $(sdk_references)
EXTRA_DIST += %D%/doc/reference.awk
sdkdir = $(pkgdatadir)/sdk
sdkbuilddir = $(sdkdir)/build
sdkbuild_DATA = %D%/build/Makefile
sdkautotoolsdir = $(sdkdir)/build/autotools
sdkautotools_DATA = %D%/build/autotools/configure.ac %D%/build/autotools/Makefile.am
sdkautotoolscxxdir = $(sdkdir)/build/autotools-c++
sdkautotoolscxx_DATA = %D%/build/autotools-c++/configure.ac %D%/build/autotools-c++/Makefile.am
sdkdebiandir = $(sdkdir)/build/debian
sdkdebian_DATA = %D%/build/debian/changelog %D%/build/debian/control %D%/build/debian/copyright
sdkdebian_SCRIPTS = %D%/build/debian/rules
sdkdebiansourcedir = $(sdkdir)/build/debian/source
sdkdebiansource_DATA = %D%/build/debian/source/format
sdkchanneldir = $(sdkdir)/examples/channel
sdkchannel_DATA = %D%/examples/channel/module.c %D%/examples/channel/module.json %D%/examples/channel/test.c
sdkhookdir = $(sdkdir)/examples/hook
sdkhook_DATA = %D%/examples/hook/module.c %D%/examples/hook/module.json %D%/examples/hook/test.c
sdkhttpdir = $(sdkdir)/examples/http
sdkhttp_DATA = %D%/examples/http/module.c %D%/examples/http/module.json %D%/examples/http/test.c
sdkmemorydir = $(sdkdir)/examples/memory
sdkmemory_DATA = %D%/examples/memory/module.c %D%/examples/memory/module.json %D%/examples/memory/test.c
sdkproviderdir = $(sdkdir)/examples/provider
sdkprovider_DATA = %D%/examples/provider/module.c %D%/examples/provider/module.json %D%/examples/provider/test.c
sdkservicedir = $(sdkdir)/examples/service
sdkservice_DATA = %D%/examples/service/module.c %D%/examples/service/module.json %D%/examples/service/test.c
sdkstoragedir = $(sdkdir)/examples/storage
sdkstorage_DATA = %D%/examples/storage/module.c %D%/examples/storage/module.json %D%/examples/storage/test.c
sdktooldir = $(sdkdir)/examples/tool
sdktool_DATA = %D%/examples/tool/module.c %D%/examples/tool/module.json %D%/examples/tool/test.c
sdktoolcxxdir = $(sdkdir)/examples/tool-c++
sdktoolcxx_DATA = %D%/examples/tool-c++/module.cc %D%/examples/tool-c++/module.json %D%/examples/tool-c++/test.cc
EXTRA_DIST += $(aclocal_DATA) $(sdkbuild_DATA) $(sdkautotools_DATA) $(sdkautotoolscxx_DATA) $(sdkdebian_DATA) $(sdkdebian_SCRIPTS) $(sdkdebiansource_DATA) $(sdkchannel_DATA) $(sdkhook_DATA) $(sdkhttp_DATA) $(sdkmemory_DATA) $(sdkprovider_DATA) $(sdkservice_DATA) $(sdkstorage_DATA) $(sdktool_DATA) $(sdktoolcxx_DATA)

# So that `openclaw module new` works in the tree it was built in.
sdk:
	$(AM_V_GEN)ln -sfn $(abs_top_srcdir)/plugin-sdk sdk
all-local: sdk
clean-local: clean-sdk
clean-sdk:
	rm -f sdk
.PHONY: clean-sdk
