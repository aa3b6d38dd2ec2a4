#!/bin/bash
# usage: tests/bench/modules.sh BUILDDIR
#
# Modules: calls, in the gateway and into a process of their own, loading, crashing, memory; each beside a reference of the same
# run where there is one.
set -u
build=$(cd "${1:?usage: modules.sh BUILDDIR}" && pwd)
src=$(cd "$(dirname "$0")/../.." && pwd)
bench=$build/tests/bench/bench_module
dir=$(mktemp -d "${TMPDIR:-/tmp}/ocb.XXXXXX") || exit 1
pid=
trap '[ -z "$pid" ] || kill "$pid"; rm -rf "$dir"' EXIT
export HOME=$dir NO_COLOR=1 LC_ALL=C
row() { printf '%-52s %s\n' "$1" "$2"; }

# state NAME MODE COUNT: a state folder with so many copies of one module, enabled as an operator would.
${CC:-cc} -std=gnu11 -O2 -fPIC -shared -fvisibility=hidden -Wl,-z,defs -I"$src/plugin-sdk/include" -I"$src/tests/bench" \
	-o "$dir/bench.so" "$src/tests/bench/module_echo.c" || exit 1
strip "$dir/bench.so"
state() {
	local i name entries=
	export OPENCLAW_STATE_DIR=$dir/$1
	mkdir -p -m 700 "$OPENCLAW_STATE_DIR/modules"
	for i in $(seq -f %03.0f 0 $(($3 - 1))); do
		name=bench_$i
		sed "s/bench_000/$name/g" "$dir/bench.so" >"$OPENCLAW_STATE_DIR/modules/$name.so"
		entries+="\"$name\":{\"enabled\":true,\"isolation\":\"$2\",\"sha256\":\"$(sha256sum <"$OPENCLAW_STATE_DIR/modules/$name.so" | cut -d' ' -f1)\"},"
	done
	find "$OPENCLAW_STATE_DIR" -name "*.so" -exec chmod 644 {} +
	echo "{gateway:{mode:'local'},modules:{entries:{$entries}}}" >"$OPENCLAW_STATE_DIR/openclaw.json"
	chmod 600 "$OPENCLAW_STATE_DIR/openclaw.json"
}

echo "== a module inside the gateway"
state in inprocess 1
"$bench" call || exit 1

echo "== a module in a process of its own"
state out process 20
"$bench" isolated || exit 1
"$bench" crash || exit 1

echo "== loading (limit 50 ms for 100 inside the gateway)"
"$bench" load || exit 1
state many inprocess 100
for _ in 1 2 3 4 5; do "$bench" load; done | sort -t' ' -k9n | sed -n 3p

echo "== memory"
sum() { awk -v what="^($1):" '$1 ~ what { s += $2 } END { print s + 0 }' "$2"; }
gateway() {
	"$build/openclaw" gateway run --any-port >"$dir/log" 2>&1 &
	pid=$!
	for _ in $(seq 200); do
		grep -q 'ready in' "$dir/log" && break
		sleep 0.05
	done
	sleep 1
}
leave() {
	kill "$pid"
	wait "$pid" 2>/dev/null
	pid=
}
state none inprocess 0
gateway
without=$(sum Private_Clean\|Private_Dirty "/proc/$pid/smaps_rollup")
leave
export OPENCLAW_STATE_DIR=$dir/many
gateway
with=$(sum Private_Clean\|Private_Dirty "/proc/$pid/smaps_rollup")
row "private memory of a module inside the gateway" "$(((with - without) / 100)) KiB (100 of them)"
leave
export OPENCLAW_STATE_DIR=$dir/out
gateway
total=0 n=0
for child in $(ps -e -o pid=,args= | awk '/--modhost bench_/ && !/awk|openclaw-sandbox/ { print $1 }'); do
	[ -r "/proc/$child/smaps_rollup" ] || continue
	total=$((total + $(sum Private_Clean\|Private_Dirty "/proc/$child/smaps_rollup"))) n=$((n + 1))
done
row "private memory of an idle process (limit 2048 KiB)" "$((total / (n > 0 ? n : 1))) KiB ($n of them)"
leave
