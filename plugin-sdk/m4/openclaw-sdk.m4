# OC_MODULE_INIT([ABI-MAJOR], [ABI-MINOR])
# For modules of OpenClaw that are built with autotools: finds the header (OPENCLAW_CFLAGS), checks that its ABI is at
# least the given one, and sets moduledir, where "module_LTLIBRARIES = name.la" installs.  --with-moduledir=DIR overrides
# it.  The Makefile.am spells out:  name_la_LDFLAGS = -module -avoid-version -shared -export-symbols-regex '^oc_module_v1$$'
AC_DEFUN([OC_MODULE_INIT],
[PKG_CHECK_MODULES([OPENCLAW], [openclaw-sdk])
PKG_CHECK_VAR([OPENCLAW_ABI_MAJOR], [openclaw-sdk], [abi_major])
PKG_CHECK_VAR([OPENCLAW_ABI_MINOR], [openclaw-sdk], [abi_minor])
AS_IF([test "x$OPENCLAW_ABI_MAJOR" != "x$1" || test "$OPENCLAW_ABI_MINOR" -lt "$2"],
  [AC_MSG_ERROR([this module needs the OpenClaw module ABI $1.$2 or a later $1.x; installed is $OPENCLAW_ABI_MAJOR.$OPENCLAW_ABI_MINOR])])
AC_ARG_WITH([moduledir], [AS_HELP_STRING([--with-moduledir=DIR], [where OpenClaw looks for modules])],
  [moduledir=$withval], [PKG_CHECK_VAR([moduledir], [openclaw-sdk], [moduledir])])
AC_SUBST([moduledir])])
