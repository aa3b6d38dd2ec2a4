# Compiler and linker flags.  Nothing here touches CFLAGS, CPPFLAGS or LDFLAGS: those are the user's and come last.
# Every flag is tried with a real link before it is used.  (No loop variable may be called f: m4 would rewrite "rm -f".)

# OC_TRY_FLAG(FLAG, VARIABLE, [ALSO]): appends FLAG to VARIABLE when a program can be built with it, without a warning.
AC_DEFUN([OC_TRY_FLAG],
[AS_VAR_PUSHDEF([oc_cache], [oc_cv_flag_$1])dnl
AC_CACHE_CHECK([whether $CC takes $1], [oc_cache],
 [oc_save_CFLAGS=$CFLAGS
  oc_save_LDFLAGS=$LDFLAGS
  CFLAGS="$CFLAGS $3 -Werror $1"
  AC_LINK_IFELSE([AC_LANG_PROGRAM([[#include <stdio.h>
#include <string.h>]], [[char b[32]; memset(b, 0, sizeof b); return puts(b) < 0;]])],
   [AS_VAR_SET([oc_cache], [yes])], [AS_VAR_SET([oc_cache], [no])])
  CFLAGS=$oc_save_CFLAGS
  LDFLAGS=$oc_save_LDFLAGS])
AS_VAR_IF([oc_cache], [yes], [AS_VAR_APPEND([$2], [" $1"])])
AS_VAR_POPDEF([oc_cache])])

AC_DEFUN([OC_SWITCHES],
[AC_ARG_ENABLE([werror], [AS_HELP_STRING([--enable-werror], [make every warning an error])], [], [enable_werror=no])
AC_ARG_ENABLE([hardening], [AS_HELP_STRING([--disable-hardening], [leave out stack protection, FORTIFY_SOURCE, RELRO and the like])],
  [], [enable_hardening=yes])
AC_ARG_ENABLE([sanitizers], [AS_HELP_STRING([--enable-sanitizers=LIST],
  [build binary and modules with these, for example address,undefined or thread])], [], [enable_sanitizers=no])
AS_IF([test "x$enable_sanitizers" = xyes], [enable_sanitizers=address,undefined])
AC_ARG_ENABLE([coverage], [AS_HELP_STRING([--enable-coverage], [build for gcov])], [], [enable_coverage=no])
AC_ARG_ENABLE([fuzzing], [AS_HELP_STRING([--enable-fuzzing],
  [build the fuzz targets with the engine LIB_FUZZING_ENGINE (-fsanitize=fuzzer when unset; needs clang)])], [], [enable_fuzzing=no])
AC_ARG_ENABLE([fault-points], [AS_HELP_STRING([--enable-fault-points],
  [build everything with the places where tests make it crash (never for use)])], [], [enable_fault_points=no])
AS_IF([test "x$enable_fault_points" = xyes], [AC_DEFINE([OC_FAULT_POINTS], [1], [Places where tests make the program fail.])])
AM_CONDITIONAL([FAULT_POINTS], [test "x$enable_fault_points" = xyes])
AC_ARG_VAR([LIB_FUZZING_ENGINE], [what fuzz targets are linked with, see --enable-fuzzing])
])

AC_DEFUN([OC_WARNING_FLAGS],
[AC_REQUIRE([AC_PROG_CC])
OC_WARNINGS=
m4_foreach_w([OC_flag], [-Wall -Wextra -Wconversion -Wsign-conversion -Wshadow -Wstrict-prototypes -Wmissing-prototypes
  -Wold-style-definition -Wpointer-arith -Wwrite-strings -Wvla -Wundef -Wformat=2 -Wimplicit-fallthrough],
  [OC_TRY_FLAG(OC_flag, [OC_WARNINGS])])
AS_IF([test "x$enable_werror" = xyes], [OC_WARNINGS="$OC_WARNINGS -Werror"])
AC_SUBST([OC_WARNINGS])])

# OC_HARDENING: for everything; OC_LINK: link flags for everything; OC_PIE_C, OC_PIE_LD: programs only.
AC_DEFUN([OC_HARDENING_FLAGS],
[OC_HARDENING= OC_LINK= OC_PIE_C= OC_PIE_LD=
OC_TRY_FLAG([-fvisibility=hidden], [OC_HARDENING])
OC_TRY_FLAG([-fno-strict-aliasing], [OC_HARDENING])
OC_TRY_FLAG([-ffunction-sections], [OC_HARDENING])
OC_TRY_FLAG([-fdata-sections], [OC_HARDENING])
# Nothing here unwinds its own stack (crash reports read what is on it), and a debugger finds the same tables in the debug
# information; in the programs they are a twentieth of the size.
AS_IF([test "x$enable_sanitizers" = xno && test "x$enable_fuzzing" = xno],
 [OC_TRY_FLAG([-fno-asynchronous-unwind-tables], [OC_HARDENING])])
OC_TRY_FLAG([-Wl,--gc-sections], [OC_LINK])
OC_TRY_FLAG([-Wl,--as-needed], [OC_LINK])
# A thirtieth of the space of relative relocations (glibc 2.36 can read them; the linker makes a program say that it needs that).
OC_TRY_FLAG([-Wl,-z,pack-relative-relocs], [OC_LINK])
AS_IF([test "x$enable_hardening" = xyes],
 [m4_foreach_w([OC_flag], [-fstack-protector-strong -fstack-clash-protection -ftrivial-auto-var-init=zero],
    [OC_TRY_FLAG(OC_flag, [OC_HARDENING])])
  # Checked jumps are on for a program when every part of it has the mark; where the C library's start files lack it
  # (Debian's do), the code for it would only be weight.
  OC_TRY_FLAG([-fcf-protection], [OC_HARDENING], [-Wl,-z,cet-report=error])
  # FORTIFY_SOURCE and the sanitizers check the same calls and get in each other's way.
  AS_IF([test "x$enable_sanitizers" = xno && test "x$enable_fuzzing" = xno],
   [OC_TRY_FLAG([-U_FORTIFY_SOURCE -D_FORTIFY_SOURCE=3], [OC_HARDENING])
    AS_IF([test "x$oc_cv_flag__U_FORTIFY_SOURCE__D_FORTIFY_SOURCE_3" != xyes],
      [OC_TRY_FLAG([-U_FORTIFY_SOURCE -D_FORTIFY_SOURCE=2], [OC_HARDENING])])])
  OC_TRY_FLAG([-Wl,-z,relro], [OC_LINK])
  OC_TRY_FLAG([-Wl,-z,now], [OC_LINK])
  OC_TRY_FLAG([-Wl,-z,noexecstack], [OC_LINK])
  OC_TRY_FLAG([-Wl,-z,separate-code], [OC_LINK])
  OC_TRY_FLAG([-fPIE], [OC_PIE_C])
  OC_TRY_FLAG([-pie], [OC_PIE_LD], [$OC_PIE_C])])
AS_IF([test "x$oc_cv_flag__Wl__z_now" = xyes && test "x$oc_cv_flag__Wl__z_relro" = xyes && test "x$enable_hardening" = xyes],
  [AC_DEFINE([OC_HARDENED], [1], [linked with -z relro and -z now])])
AC_SUBST([OC_HARDENING])
AC_SUBST([OC_LINK])
AC_SUBST([OC_PIE_C])
AC_SUBST([OC_PIE_LD])])

# Sanitizers, coverage and fuzzing: OC_INSTRUMENT goes into every compilation and every link, binary and modules alike.
AC_DEFUN([OC_INSTRUMENT_FLAGS],
[OC_INSTRUMENT=
AS_IF([test "x$enable_sanitizers" != xno],
 [OC_TRY_FLAG([-fsanitize=$enable_sanitizers], [OC_INSTRUMENT])
  AS_IF([test "x$OC_INSTRUMENT" = x],
    [AC_MSG_ERROR([$CC cannot build a program with -fsanitize=$enable_sanitizers (Debian: gcc has its runtimes, clang needs libclang-rt-dev)])])
  OC_INSTRUMENT="$OC_INSTRUMENT -fno-omit-frame-pointer"
  OC_TRY_FLAG([-fno-sanitize-recover=undefined], [OC_INSTRUMENT])])
AS_IF([test "x$enable_coverage" = xyes], [OC_INSTRUMENT="$OC_INSTRUMENT --coverage"])
AS_IF([test "x$enable_fuzzing" = xyes],
 [AS_IF([test "x$LIB_FUZZING_ENGINE" = x],
   [LIB_FUZZING_ENGINE=-fsanitize=fuzzer
    OC_TRY_FLAG([-fsanitize=fuzzer-no-link], [OC_INSTRUMENT])
    AS_IF([test "x$oc_cv_flag__fsanitize_fuzzer_no_link" != xyes],
      [AC_MSG_ERROR([--enable-fuzzing needs clang with its runtimes (CC=clang; Debian: libclang-rt-dev), or another engine in LIB_FUZZING_ENGINE])])])])
AM_CONDITIONAL([FUZZING], [test "x$enable_fuzzing" = xyes])
AS_IF([test "x$enable_sanitizers" != xno], [AC_DEFINE([OC_SANITIZED], [1], [built with sanitizers])])
AM_CONDITIONAL([SANITIZED], [test "x$enable_sanitizers" != xno])
AC_SUBST([OC_INSTRUMENT])])
