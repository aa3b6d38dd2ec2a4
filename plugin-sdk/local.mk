# What is installed for authors of modules: the header, a .pc file, an m4 macro.
pkginclude_HEADERS = %D%/include/openclaw/module.h
pkgconfig_DATA = %D%/openclaw-sdk.pc
aclocaldir = $(datadir)/aclocal
aclocal_DATA = %D%/m4/openclaw-sdk.m4
EXTRA_DIST += $(aclocal_DATA)
