# Bundled modules: shared objects beside the binary, or, with --enable-static-modules, the same sources inside it.

AC_DEFUN([OC_MODULE_SWITCHES],
[AC_ARG_ENABLE([static-modules], [AS_HELP_STRING([--enable-static-modules],
  [link the bundled modules into the binary: one file to copy to a server])], [], [enable_static_modules=no])
AC_ARG_WITH([moduledir], [AS_HELP_STRING([--with-moduledir=DIR], [the folder of modules (LIBDIR/openclaw/modules)])],
  [], [with_moduledir='${libdir}/openclaw/modules'])
AS_CASE([$with_moduledir], [yes|no], [AC_MSG_ERROR([--with-moduledir needs a folder])])
moduledir=$with_moduledir
AC_SUBST([moduledir])
AM_CONDITIONAL([STATIC_MODULES], [test "x$enable_static_modules" = xyes])
oc_modules_on= oc_modules_off=])

# OC_MODULE(KIND-FOLDER, NAME, HELP): --disable-module-NAME, and the conditionals MODULE_NAME_SHARED, MODULE_NAME_STATIC.
AC_DEFUN([OC_MODULE],
[m4_pushdef([OC_mod_upper], m4_toupper(m4_translit([$2], [-], [_])))dnl
AC_ARG_ENABLE([module-$2], [AS_HELP_STRING([--disable-module-$2], [leave out $1/$2: $3])],
  [oc_mod=$enableval], [oc_mod=yes])
AS_IF([test "x$oc_mod" = xyes], [oc_modules_on="$oc_modules_on $1/$2"], [oc_modules_off="$oc_modules_off $1/$2"])
AM_CONDITIONAL([MODULE_]OC_mod_upper[_SHARED], [test "x$oc_mod$enable_static_modules" = xyesno])
AM_CONDITIONAL([MODULE_]OC_mod_upper[_STATIC], [test "x$oc_mod$enable_static_modules" = xyesyes])
m4_popdef([OC_mod_upper])])

AC_DEFUN([OC_SUMMARY],
[AS_IF([test "x$enable_static_modules" = xyes], [oc_where="inside the binary"], [oc_where="in $moduledir"])
AC_MSG_NOTICE([
  OpenClaw $PACKAGE_VERSION
    compiler      $CC
    libraries    $oc_deps_seen
    modules      $oc_modules_on ($oc_where)
    left out     ${oc_modules_off:- nothing}
    plugins       $enable_plugins (TypeScript, in Node.js)
    hardening     $enable_hardening, sanitizers $enable_sanitizers, coverage $enable_coverage, fuzzing $enable_fuzzing
    unit tests    $have_cmocka (cmocka)])])
