#!/bin/sh
# Runs one test (called by make check): a home of its own under a short path (Unix sockets allow 107 bytes), none of the
# caller's keys, proxies and configuration, and a time limit, which instrumented builds raise (tests/local.mk).
# OC_TEST_WRAPPER goes in front of compiled tests (valgrind).
#
# OC_TEST_AGAIN=1 (the long run of contrib/setup/test.sh) gives a test that failed a second chance, alone in a new home; what
# the first try said stays in the log as comments that begin with "# first try", and the end of the run names the test.
set -u
test=$1
shift

for name in $(env | sed -n 's/^\([A-Za-z_][A-Za-z0-9_]*\)=.*/\1/p'); do
	case $name in
	*_API_KEY | *_TOKEN | OPENCLAW_* | *_proxy | *_PROXY | XDG_* | NODE_OPTIONS) unset "$name" ;;
	esac
done
CMOCKA_MESSAGE_OUTPUT=TAP LC_ALL=C TZ=UTC NO_COLOR=1
export CMOCKA_MESSAGE_OUTPUT LC_ALL TZ NO_COLOR

# A fuzz target replays its corpus.
case ${test##*/} in
fuzz_*)
	name=${test##*/fuzz_}
	set -- "$OC_TOP_SRCDIR/tests/fuzz/corpus/$name"
	;;
esac
case $test in
*.test) wrapper= ;;
*) wrapper=${OC_TEST_WRAPPER-} ;;
esac

# once COMMAND...: runs it in a home of its own; its output, its status.
once() {
	began=$(date +%s)
	dir=$(mktemp -d "${top:-/tmp}/oct.XXXXXX") || exit 99
	HOME=$dir/home TMPDIR=$dir/tmp OPENCLAW_STATE_DIR=$dir/home/.openclaw
	mkdir "$HOME" "$TMPDIR" || exit 99
	export HOME TMPDIR OPENCLAW_STATE_DIR
	# cmocka writes a skipped case as "not ok N # SKIP", which counts as a failure.
	{
		timeout -k 10 "${OC_TEST_TIMEOUT:-120}" "$@"
		echo $? >"$dir/status"
	} | sed -u 's/^not ok \([0-9]*\) # SKIP/ok \1 # SKIP/'
	echo "# $(($(date +%s) - began)) s"
	rc=$(cat "$dir/status" 2>/dev/null || echo 99)
	if [ "$rc" -eq 124 ] || [ "$rc" -eq 137 ]; then
		echo "Bail out! no end after ${OC_TEST_TIMEOUT:-120} seconds"
	fi
	rm -rf "$dir"
	return "$rc"
}

top=${TMPDIR:-/tmp}
# shellcheck disable=SC2086 # the wrapper is words
if [ -z "${OC_TEST_AGAIN-}" ]; then
	once $wrapper "$test" "$@"
	exit
fi
said=$(mktemp "$top/oct.XXXXXX") || exit 99
# shellcheck disable=SC2086
once $wrapper "$test" "$@" >"$said"
rc=$?
if [ $rc -eq 0 ]; then
	cat "$said"
else
	sed -e '/^ok /d' -e '/^1\.\./d' -e 's/^/# first try: /' "$said"
	# shellcheck disable=SC2086
	once $wrapper "$test" "$@"
	rc=$?
fi
rm -f "$said"
exit $rc
