#!/bin/sh
# usage: tests/variant.sh NAME MAKE-TARGET CONFIGURE-ARGUMENT...
# Configures this tree a second time in variant/NAME of the build folder and makes a target there (called by the targets
# check-tsan, check-asan and fuzz of the Makefile).
set -eu
src=$(cd "$(dirname "$0")/.." && pwd)
name=$1
target=$2
shift 2
if [ -f "$src/config.status" ]; then
	echo "this needs a build outside the source tree: make distclean; mkdir build; cd build; ../configure" >&2
	exit 1
fi
mkdir -p "variant/$name"
cd "variant/$name"
[ -f config.status ] || "$src/configure" -q "$@"
# ThreadSanitizer of older compilers cannot live with much address randomisation.
randomised=
if [ "$name" = tsan ] && command -v setarch >/dev/null 2>&1 && setarch "$(uname -m)" -R true 2>/dev/null; then
	randomised="setarch $(uname -m) -R"
fi
# shellcheck disable=SC2086 # words
exec $randomised "${MAKE:-make}" "$target"
