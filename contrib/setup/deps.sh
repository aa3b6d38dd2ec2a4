#!/bin/sh
# usage: contrib/setup/deps.sh [--run | --test] [--print]
#
# Installs the Debian packages that are missing: --run (the default) for building and running OpenClaw, --test for its
# tests as well.  --print only names them.  Uses sudo when not root.
set -eu

# "a|b": either will do; when neither is there, the first that the system offers is installed.  "package:program" and
# "package:/file": the program or the file counts.
run_set='gcc make autoconf automake libtool pkg-config|pkgconf xz-utils ca-certificates libc6-dev libuv1-dev
	libsqlite3-dev libcjson-dev libsodium-dev libseccomp-dev libmbedtls-dev libllhttp-dev|node-llhttp:/usr/share/llhttp/llhttp.c
	libcurl4-openssl-dev|libcurl4-gnutls-dev libnng-dev nodejs:node npm:npm'
test_set='g++ clang libclang-rt-dev|libclang-rt-14-dev libcmocka-dev git:git curl:curl procps:ps ngircd minisign:minisign abigail-tools:abidiff debhelper:dh'

set_name=run print=
for arg do
	case $arg in
	--run) set_name=run ;;
	--test) set_name=test ;;
	--print) print=yes ;;
	-h | --help)
		sed -n '2,5s/^# \{0,1\}//p' "$0"
		exit 0
		;;
	*)
		echo "deps.sh: unknown option '$arg' (see --help)" >&2
		exit 2
		;;
	esac
done
wanted=$run_set
[ $set_name = run ] || wanted="$run_set $test_set"

if ! command -v apt-get >/dev/null 2>&1 || ! command -v dpkg-query >/dev/null 2>&1; then
	echo "deps.sh: this is no Debian; configure will name what is missing.  On Debian it would be:" >&2
	echo $wanted >&2
	exit 0
fi

have() {
	case $1 in
	*:/*) [ -e "${1#*:}" ] ;;
	*:*) command -v "${1#*:}" >/dev/null 2>&1 ;;
	*) [ "$(dpkg-query -W -f='${db:Status-Status}' "$1" 2>/dev/null)" = installed ] ;;
	esac
}

missing=
for entry in $wanted; do
	found=
	for name in $(echo "$entry" | tr '|' ' '); do
		if have "$name"; then
			found=yes
			break
		fi
	done
	[ -n "$found" ] || missing="$missing $entry"
done

# The packages to install: the first of each entry that is on offer.
packages() {
	for entry in $missing; do
		chosen=
		for name in $(echo "$entry" | tr '|' ' '); do
			name=${name%%:*}
			if [ -z "$chosen" ] || ! apt-cache show "$chosen" >/dev/null 2>&1; then chosen=$name; fi
		done
		printf '%s ' "$chosen"
	done
}

if [ -n "$print" ]; then
	[ -z "$missing" ] || packages
	exit 0
fi
[ -n "$missing" ] || exit 0

if [ "$(id -u)" -eq 0 ]; then
	as_root=
elif command -v sudo >/dev/null 2>&1; then
	as_root=sudo
else
	echo "deps.sh: packages are missing and neither root nor sudo is at hand.  As root:" >&2
	echo "    apt-get install $(packages)" >&2
	exit 1
fi
export DEBIAN_FRONTEND=noninteractive
$as_root apt-get -q update
packages=$(packages)
echo "deps.sh: installing $packages"
# shellcheck disable=SC2086 # a list of packages
$as_root env DEBIAN_FRONTEND=noninteractive apt-get -q -y --no-install-recommends install $packages
