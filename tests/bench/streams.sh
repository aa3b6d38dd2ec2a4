#!/bin/bash
# usage: tests/bench/streams.sh BUILDDIR [STREAMS [CHUNKS [INTERVAL_MS]]]
#
# Many streaming turns at once (1,000) from a model that streams slowly (40 pieces, one every 200 ms): how long until the
# first piece, the longest silence within an answer, and how fast GET /health is answered meanwhile.  Aim: nothing fails,
# every answer is whole, p99 of /health under 20 ms.
set -u
build=$(cd "${1:?usage: streams.sh BUILDDIR [STREAMS [CHUNKS [INTERVAL_MS]]]}" && pwd)
streams=${2:-1000} chunks=${3:-40} interval=${4:-200}
bench=$build/tests/bench/bench_streams
dir=$(mktemp -d "${TMPDIR:-/tmp}/ocb.XXXXXX") || exit 1
export HOME=$dir OPENCLAW_STATE_DIR=$dir/state NO_COLOR=1
pids=
trap 'kill $pids 2>/dev/null; rm -rf "$dir"' EXIT

wait_for() { # FILE PATTERN: leaves the port in $port
	for _ in $(seq 200); do
		port=$(sed -n "s/.*$2.*/\1/p" "$1" | head -n 1)
		[ -n "$port" ] && return 0
		sleep 0.05
	done
	echo "streams.sh: not started:" && cat "$1"
	exit 1
}

"$bench" model "$chunks" "$interval" >"$dir/model.log" 2>&1 &
pids=$!
wait_for "$dir/model.log" 'ready on port \([0-9]*\)'
mkdir -p "$OPENCLAW_STATE_DIR"
cat >"$OPENCLAW_STATE_DIR/openclaw.json" <<JSON
{agents: {defaults: {maxConcurrent: $streams}},
 models: {providers: {slow: {baseUrl: "http://127.0.0.1:$port/v1", api: "openai-completions", apiKey: "sk-none", models: [{id: "m"}]}}}}
JSON
chmod 600 "$OPENCLAW_STATE_DIR/openclaw.json"
"$build/openclaw" gateway run --any-port >"$dir/gateway.log" 2>&1 &
gateway=$!
pids="$pids $gateway"
wait_for "$dir/gateway.log" 'ready in .*:\([0-9]*\)'
token=$(cat "$OPENCLAW_STATE_DIR/credentials/gateway-token")
pss() { awk '/^Pss:/ { print $2 }' "/proc/$gateway/smaps_rollup"; }
ticks() { awk '{ print $14 + $15 }' "/proc/$gateway/stat"; }

"$bench" load "$port" "$token" 1 "$chunks" >/dev/null || echo "the first turn failed" # libcurl is loaded
before=$(pss) from=$(ticks)
("$bench" load "$port" "$token" "$streams" "$chunks"; echo $? >"$dir/code") &
load=$!
peak=0
while kill -0 "$load" 2>/dev/null; do
	now=$(pss)
	[ "$now" -gt "$peak" ] && peak=$now
	sleep 0.2
done
wait "$load"
awk -v before="$before" -v peak="$peak" -v n="$streams" -v ticks="$(($(ticks) - from))" -v hz="$(getconf CLK_TCK)" -v chunks="$chunks" 'BEGIN {
	printf "memory                   %d KiB before, %d KiB at most: %.1f KiB a turn\n", before, peak, (peak - before) / n
	printf "CPU time                 %.2f s: %.1f us a piece\n", ticks / hz, ticks / hz * 1e6 / n / chunks }'
grep -vE ' info ' "$dir/gateway.log" | head -5
exit "$(cat "$dir/code")"
