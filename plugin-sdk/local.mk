# What is installed for authors of modules: the headers, a .pc file, an m4 macro, a template to copy, the guide.
pkginclude_HEADERS = %D%/include/openclaw/module.h %D%/include/openclaw/json.h
pkgconfig_DATA = %D%/openclaw-sdk.pc
aclocaldir = $(datadir)/aclocal
aclocal_DATA = %D%/m4/openclaw-sdk.m4
templatedir = $(pkgdatadir)/module-template
template_DATA = %D%/template/Makefile %D%/template/hello.c %D%/template/module.json
sdkdocdir = $(docdir)
sdkdoc_DATA = %D%/doc/guide.md
EXTRA_DIST += $(aclocal_DATA) $(template_DATA) $(sdkdoc_DATA)
