#!/bin/bash
# usage: contrib/setup/test.sh [--fast] [--keep] [--no-deps]
#
# Everything that must pass, from a clean clone:
#   distcheck  the distribution builds with gcc -Werror, passes make check (unit, integration, rules of the tree, ABI,
#              replay of the fuzzing corpora), installs and uninstalls
#   sanitizers AddressSanitizer and UndefinedBehaviorSanitizer over the same tests
#   clang      clang -Werror, with its unit tests
#   static     all bundled modules inside the binary, and that binary at work
# The last line counts single tests over all of them: "N passed, N failed, N skipped".  Exit status 0: none failed.
# A test that fails is run once more (not with --fast); one that passes then is named, with what it said the first time.
#
#   --fast     only gcc and make check, in a folder that --keep keeps
#   --keep     reuse what the last run built
#   --no-deps  do not look for missing Debian packages
# The build folder is build/test in the source tree, or OC_TEST_BUILD.
set -u

src=$(cd "$(dirname "$0")/../.." && pwd) || exit 1
fast= keep= deps=yes
for arg; do
	case $arg in
	--fast) fast=yes ;;
	--keep) keep=yes ;;
	--no-deps) deps= ;;
	-h | --help)
		sed -n '2,18s/^# \{0,1\}//p' "$0"
		exit 0
		;;
	*)
		echo "test.sh: unknown option '$arg' (see --help)" >&2
		exit 2
		;;
	esac
done

build=${OC_TEST_BUILD:-$src/build/test}
jobs=$(nproc 2>/dev/null || echo 2)
passed=0 failed=0 skipped=0
started=$SECONDS
[ -n "$keep" ] || rm -rf "$build"
mkdir -p "$build/log" || exit 1
find "$build" -name '*.trs' -delete
export LC_ALL=C

finish() {
	printf '\n%d min %d s\n' $(((SECONDS - started) / 60)) $(((SECONDS - started) % 60))
	echo "$passed passed, $failed failed, $skipped skipped"
	[ "$failed" -eq 0 ]
	exit
}

# quietly SECONDS-ALLOWED NAME COMMAND...: one line of output, the rest in a file ($log).
quietly() {
	local limit=$1 name=$2 from=$SECONDS rc
	shift 2
	log=$build/log/${name//[^a-z0-9]/-}.log
	printf '%-28s ' "$name"
	timeout -k 30 "$limit" "$@" >"$log" 2>&1 </dev/null
	rc=$?
	[ $rc -ne 124 ] || printf 'no end after %d s: ' "$limit"
	if [ $rc -eq 0 ]; then printf 'ok'; else printf 'FAILED (status %d)' $rc; fi
	printf ' %4d s\n' $((SECONDS - from))
	return $rc
}

# The same, and the end of the file when it fails.
step() {
	quietly "$@" && return
	echo "    the end of $log:"
	tail -n 30 "$log" | sed 's/^/    /'
	return 1
}

# A step that is itself one test.
counted_step() {
	if step "$@"; then
		passed=$((passed + 1))
	else
		failed=$((failed + 1))
		return 1
	fi
}

# count FOLDER STATUS: adds up what automake's summary in $log says of single cases; a run that failed without a failed
# case (a test that did not compile) is one failure.
count() {
	local p f s
	read -r p f s < <(awk '
		/^# (PASS|XFAIL):/ { p += $3 }
		/^# (FAIL|XPASS|ERROR):/ { f += $3 }
		/^# SKIP:/ { s += $3 }
		END { print p + 0, f + 0, s + 0 }' "$log")
	if [ "$2" -ne 0 ] && [ "$f" -eq 0 ]; then f=1; fi
	if [ "$p" -eq 0 ] && [ "$f" -eq 0 ]; then f=1; fi
	passed=$((passed + p)) failed=$((failed + f)) skipped=$((skipped + s))
	printf '    %d passed, %d failed, %d skipped\n' "$p" "$f" "$s"
	if [ "$f" -gt 0 ] && ! grep -q '^# TOTAL:' "$log"; then
		echo "    the end of $log:"
		tail -n 30 "$log" | sed 's/^/    /'
	fi
	# Failed cases with what they said, one test at a time; the whole is in the .log beside the test.
	grep -lE '^:test-result: (FAIL|XPASS|ERROR)' $(find "$1" -name '*.trs') /dev/null 2>/dev/null | while read -r trs; do
		echo "    --- ${trs%.trs}.log"
		grep -vE '^(ok|PASS:|1\.\.)' "${trs%.trs}.log" | head -n 25 | cut -c 1-300 | sed 's/^/    /'
	done
	grep -l '^# first try: ' $(find "$1" -path '*/tests/*.log') /dev/null 2>/dev/null | while read -r unsteady; do
		echo "    failed at the first try: $unsteady"
		grep '^# first try: ' "$unsteady" | head -n 12 | cut -c 1-300 | sed 's/^/    /'
	done
	grep -hE '^SKIP' "$log" 2>/dev/null | sort -u | sed 's/^/    /'
}

# Most tests wait more than they compute.
check_jobs=$((jobs + 1))
ccache=
if command -v ccache >/dev/null 2>&1; then ccache='ccache '; fi

# variant NAME SECONDS CONFIGURE-ARGUMENT...: configures, builds and tests in a folder of its own.
variant() {
	local name=$1 limit=$2 rc
	shift 2
	mkdir -p "$build/$name"
	cd "$build/$name" || exit 1
	counted_step 300 "$name: configure" "$src/configure" -q "$@" || return 1
	counted_step 1200 "$name: build" make -j"$jobs" || return 1
	quietly "$limit" "$name: check" make -k -j"$check_jobs" check
	rc=$?
	count "$build/$name" $rc
}

if [ -n "$deps" ]; then
	step 900 "packages" "$src/contrib/setup/deps.sh" --test || { failed=1; finish; }
fi
if [ ! -x "$src/configure" ] || [ -n "$(cd "$src" && find . -path ./build -prune -o \( -name configure.ac -o -name Makefile.am -o \
	-name '*.m4' -o -name local.mk \) -newer configure -print | head -n 1)" ]; then
	counted_step 300 "autogen" "$src/autogen.sh" || finish
fi
if [ -f "$src/Makefile" ] || [ -f "$src/config.status" ]; then
	echo "test.sh: this source tree is configured in place; 'make distclean' first" >&2
	failed=1
	finish
fi

# Node packages, kept between runs as long as the lock is the same.
export OC_NPM=$build/npm/node_modules
if ! cmp -s "$src/tests/npm/package-lock.json" "$build/npm/.installed"; then
	mkdir -p "$build/npm"
	cp "$src/tests/npm/package.json" "$src/tests/npm/package-lock.json" "$build/npm/"
	cd "$build/npm" || exit 1
	if counted_step 600 "npm packages" npm ci --no-audit --no-fund; then
		cp "$src/tests/npm/package-lock.json" .installed
	fi
fi

# Published plugins, and what they depend on.
if ! cat "$src"/tests/npm/plugins/{package-lock.json,fetch.mjs} | cmp -s - "$build/npm/plugins/.installed"; then
	mkdir -p "$build/npm/plugins"
	cp "$src"/tests/npm/plugins/{package.json,package-lock.json,fetch.mjs} "$build/npm/plugins/"
	cd "$build/npm/plugins" || exit 1
	if counted_step 600 "npm packages of plugins" npm ci --no-audit --no-fund --ignore-scripts &&
		counted_step 300 "published plugins" node fetch.mjs .; then
		cat package-lock.json fetch.mjs >.installed
	fi
fi

gcc=(CC="${ccache}gcc" CXX="${ccache}g++" --enable-werror)
if [ -n "$fast" ]; then
	variant plain 900 "${gcc[@]}"
	finish
fi
export OC_TEST_AGAIN=1

# The distribution: all that is committed is in it, apart from what only git and continuous integration use, and it passes.
everything_is_in_it() {
	comm -23 <(git -C "$src" ls-files | grep -vE '^(\.ci/|\.git)' | sort) \
		<(tar -tf "$build"/dist/openclaw-*.tar.xz | sed 's,^[^/]*/,,' | sort) >"$build/log/left-out"
	cat "$build/log/left-out"
	[ ! -s "$build/log/left-out" ]
}
mkdir -p "$build/dist"
cd "$build/dist" || exit 1
if counted_step 300 "dist: configure" "$src/configure" -q "${gcc[@]}"; then
	quietly 1500 "distcheck" make -j"$check_jobs" distcheck DISTCHECK_CONFIGURE_FLAGS="${gcc[*]@Q}"
	count "$build/dist" $?
	if command -v git >/dev/null 2>&1 && git -C "$src" rev-parse --git-dir >/dev/null 2>&1; then
		export -f everything_is_in_it
		export src build
		counted_step 60 "distribution is whole" bash -c everything_is_in_it
	fi
fi

# (Instrumented code makes gcc guess at truncations: no -Werror here.)
variant sanitizers 1200 CC="${ccache}gcc" CXX="${ccache}g++" --enable-sanitizers=address,undefined \
	CFLAGS='-O1 -g'

# clang: everything compiles without a warning, and the unit tests pass.
mkdir -p "$build/clang"
cd "$build/clang" || exit 1
if counted_step 300 "clang: configure" "$src/configure" -q CC="${ccache}clang" CXX="${ccache}clang++" --enable-werror &&
	counted_step 1200 "clang: build" make -j"$jobs"; then
	quietly 600 "clang: check" make -k -j"$check_jobs" check-unit
	count "$build/clang" $?
fi

# One file with everything inside.
mkdir -p "$build/static"
cd "$build/static" || exit 1
if counted_step 300 "static: configure" "$src/configure" -q "${gcc[@]}" --enable-static-modules &&
	counted_step 1200 "static: build" make -j"$jobs"; then
	quietly 600 "static: check" make -k -j"$check_jobs" check-bundled
	count "$build/static" $?
fi

finish
