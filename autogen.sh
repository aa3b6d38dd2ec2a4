#!/bin/sh
# Makes ./configure from configure.ac.
set -eu
cd "$(dirname "$0")"
mkdir -p build-aux
exec autoreconf -fi "$@"
