#!/bin/sh
# usage: tests/fuzz/fuzz.sh SOURCE-TREE SECONDS TARGET...
# Runs every fuzz target for a while.  What is found stays in fuzz-<x>/ of the build folder; inputs that crash are named
# at the end.  A finding is fixed, then its input goes into tests/fuzz/corpus/<x>/.
set -u
src=$1
seconds=$2
shift 2
rc=0
for target do
	name=${target##*/fuzz_}
	mkdir -p "fuzz-$name/corpus"
	echo "fuzzing $name for $seconds s"
	dictionary=
	[ ! -f "$src/tests/fuzz/$name.dict" ] || dictionary="-dict=$src/tests/fuzz/$name.dict"
	"./$target" -max_total_time="$seconds" -timeout=10 -rss_limit_mb=1024 -artifact_prefix="fuzz-$name/" -verbosity=1 \
		-print_final_stats=1 $dictionary "fuzz-$name/corpus" "$src/tests/fuzz/corpus/$name" >"fuzz-$name/log" 2>&1 || {
		rc=1
		echo "FOUND something in $name:"
		grep -E 'ERROR|runtime error|SUMMARY|Test unit written' "fuzz-$name/log" || tail -n 5 "fuzz-$name/log"
	}
	sed -n 's/^stat::number_of_executed_units: /    runs: /p' "fuzz-$name/log"
done
exit $rc
