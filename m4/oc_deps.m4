# The libraries.  Static archives are preferred where they are installed: fewer shared objects to map, and the start-up
# time shows it.  Everything missing is reported at once, with the Debian packages that have it.

# OC_DEP_MISSING(WHAT, PACKAGE)
AC_DEFUN([OC_DEP_MISSING], [
oc_missing="$oc_missing $1" oc_missing_packages="$oc_missing_packages $2"])

# OC_DEP(VAR, PC-NAME or empty, PACKAGE, HEADER, FUNCTION, STATIC-LIBS, SHARED-LIBS)
# Sets VAR_CFLAGS and VAR_LIBS and adds the latter to OC_DEP_LIBS.
AC_DEFUN([OC_DEP],
[AC_REQUIRE([OC_DEP_SWITCH])
AC_ARG_VAR([$1_CFLAGS], [compiler flags for $3])
AC_ARG_VAR([$1_LIBS], [link flags for $3])
m4_ifval([$2], [AS_IF([test "x$$1_CFLAGS" = x], [$1_CFLAGS=`$PKG_CONFIG --cflags $2 2>/dev/null`])
AS_IF([test "x$$1_LIBS" = x], [oc_pc_libs=`$PKG_CONFIG --libs $2 2>/dev/null`])], [oc_pc_libs=])
AC_MSG_CHECKING([for $5 ($3)])
oc_save_CPPFLAGS=$CPPFLAGS oc_save_LIBS=$LIBS oc_dep_how=no
CPPFLAGS="$CPPFLAGS $$1_CFLAGS"
oc_dep_try () {
  LIBS="$[1] $oc_save_LIBS"
  AC_LINK_IFELSE([AC_LANG_PROGRAM([[#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>
#include <$4>]], [[void *volatile p = (void *)(uintptr_t)&$5; return p == NULL;]])], [oc_dep_ok=yes], [oc_dep_ok=no])
  LIBS=$oc_save_LIBS
  test $oc_dep_ok = yes
}
AS_IF([test "x$$1_LIBS" != x], [AS_IF([oc_dep_try "$$1_LIBS"], [oc_dep_how=given])],
  [test "x$enable_static_deps" = xyes && oc_dep_try "$6"], [oc_dep_how=static $1_LIBS="$6"],
  [test "x$oc_pc_libs" != x && oc_dep_try "$oc_pc_libs"], [oc_dep_how=shared $1_LIBS="$oc_pc_libs"],
  [oc_dep_try "$7"], [oc_dep_how=shared $1_LIBS="$7"])
CPPFLAGS=$oc_save_CPPFLAGS
AC_MSG_RESULT([$oc_dep_how])
AS_IF([test $oc_dep_how = no], [OC_DEP_MISSING([$4], [$3])],
  [OC_DEP_LIBS="$OC_DEP_LIBS $$1_LIBS" OC_DEP_CFLAGS="$OC_DEP_CFLAGS $$1_CFLAGS"
   oc_deps_seen="$oc_deps_seen m4_tolower([$1])=$oc_dep_how"])
])

AC_DEFUN([OC_DEP_SWITCH],
[AC_ARG_ENABLE([static-deps], [AS_HELP_STRING([--disable-static-deps],
  [link shared libraries even where a static archive is installed])], [], [enable_static_deps=yes])
oc_missing= oc_missing_packages= oc_deps_seen= OC_DEP_LIBS= OC_DEP_CFLAGS=])

# A library that only a program run while building needs: not linked into ours.
AC_DEFUN([OC_DEP_BUILD],
[oc_save_OC_DEP_LIBS=$OC_DEP_LIBS oc_save_OC_DEP_CFLAGS=$OC_DEP_CFLAGS
OC_DEP($@)
OC_DEP_LIBS=$oc_save_OC_DEP_LIBS OC_DEP_CFLAGS=$oc_save_OC_DEP_CFLAGS])

# SECCOMP_ARCH: the processor in libseccomp's words, when it is another than that of the machine that builds.
AC_DEFUN([OC_FOR_BUILD],
[AC_ARG_VAR([CC_FOR_BUILD], [C compiler for programs that run while building (CC; cc when cross compiling)])
SECCOMP_ARCH=
AS_IF([test "x$cross_compiling" = xyes],
 [: ${CC_FOR_BUILD=cc}
  AS_CASE([$host_cpu], [i?86], [SECCOMP_ARCH=x86], [arm*], [SECCOMP_ARCH=arm], [powerpc64le], [SECCOMP_ARCH=ppc64le],
    [SECCOMP_ARCH=$host_cpu])],
 [: ${CC_FOR_BUILD=$CC}])
AC_SUBST([SECCOMP_ARCH])])

# Whether parts of SQLite that are not used can be kept out of the program: see core/store/sql.c.  Not when the archive is
# one object, or calls them by other names.
AC_DEFUN([OC_SQLITE_UNUSED],
[AC_MSG_CHECKING([whether FTS3 and R-trees can be left out of SQLite])
oc_save_LIBS=$LIBS oc_save_CPPFLAGS=$CPPFLAGS oc_sqlite_parts=no
LIBS="$SQLITE_LIBS $LIBS" CPPFLAGS="$CPPFLAGS $SQLITE_CFLAGS"
AS_CASE([$SQLITE_LIBS], [*.a*],
 [AC_LINK_IFELSE([AC_LANG_PROGRAM([[#include <sqlite3.h>
int sqlite3Fts3Init(sqlite3 *db) { return db == 0; }
int sqlite3RtreeInit(sqlite3 *db) { return db == 0; }]], [[sqlite3 *db; return sqlite3_open(":memory:", &db);]])],
   [oc_sqlite_parts=yes])])
LIBS=$oc_save_LIBS CPPFLAGS=$oc_save_CPPFLAGS
AC_MSG_RESULT([$oc_sqlite_parts])
AS_IF([test $oc_sqlite_parts = yes],
  [AC_DEFINE([OC_SQLITE_PARTS], [1], [SQLite's archive takes our word for its extensions that are not used.])])])

# llhttp: Debian 12 has its C source only (node-llhttp), which is compiled here, and no copy of it is kept; Debian 13 has
# the library (libllhttp-dev).
AC_DEFUN([OC_LLHTTP],
[AC_ARG_WITH([llhttp-source], [AS_HELP_STRING([--with-llhttp-source=DIR],
  [compile llhttp from this folder: api.c, http.c, llhttp.c (/usr/share/llhttp)])],
  [LLHTTP_SOURCE=$withval], [LLHTTP_SOURCE=/usr/share/llhttp])
AC_ARG_WITH([llhttp-include], [AS_HELP_STRING([--with-llhttp-include=DIR], [and its llhttp.h from this one (/usr/share/include/llhttp)])],
  [LLHTTP_INCLUDE=$withval], [LLHTTP_INCLUDE=/usr/share/include/llhttp])
AC_MSG_CHECKING([for the source of llhttp])
AS_IF([test -f "$LLHTTP_SOURCE/llhttp.c" && test -f "$LLHTTP_SOURCE/api.c" && test -f "$LLHTTP_SOURCE/http.c" &&
       test -f "$LLHTTP_INCLUDE/llhttp.h"], [llhttp_from_source=yes], [llhttp_from_source=no])
AC_MSG_RESULT([$llhttp_from_source])
AS_IF([test $llhttp_from_source = yes], [OC_DEP_CFLAGS="$OC_DEP_CFLAGS -isystem $LLHTTP_INCLUDE"],
  [OC_DEP([LLHTTP], [libllhttp], [libllhttp-dev or node-llhttp], [llhttp.h], [llhttp_execute], [-l:libllhttp.a], [-lllhttp])])
AM_CONDITIONAL([LLHTTP_FROM_SOURCE], [test $llhttp_from_source = yes])
AC_SUBST([LLHTTP_SOURCE])
AC_SUBST([LLHTTP_INCLUDE])])

# What only the tests need.  Without cmocka the unit tests are left out, and configure says so.
AC_DEFUN([OC_TEST_TOOLS],
[PKG_CHECK_MODULES([CMOCKA], [cmocka >= 1.1.5], [have_cmocka=yes], [have_cmocka=no])
AM_CONDITIONAL([HAVE_CMOCKA], [test "x$have_cmocka" = xyes])
AC_CHECK_PROGS([NODE], [node nodejs])
AC_CHECK_PROGS([NM], [nm])
AC_CHECK_PROGS([READELF], [readelf])])

AC_DEFUN([OC_DEPS_DONE],
[AS_IF([test "x$oc_missing" != x],
 [AC_MSG_ERROR([missing:$oc_missing
    On Debian:  apt-get install$oc_missing_packages
    or all of it:  contrib/setup/deps.sh])])
AC_SUBST([OC_DEP_LIBS])
AC_SUBST([OC_DEP_CFLAGS])])
