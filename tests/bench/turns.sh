#!/bin/bash
# usage: tests/bench/turns.sh BUILDDIR
#
# Turns through the gateway beside direct calls of the same model server (bench_model), by the same client: at 1, 8, 32 and
# 256 connections, with a model that answers at once and one that takes 200 ms.  "overhead" is what the gateway adds to an
# answer; "commit" is the store's mean commit (fsync) in that time, of which a turn waits for two.
# Aim: with 200 ms at least 0.97 of the direct rate at each; overhead without the commits under 0.5 ms (p50), 1 ms (p99) at 1.
set -u
build=$(cd "${1:?usage: turns.sh BUILDDIR}" && pwd)
dir=$(mktemp -d "${TMPDIR:-/tmp}/ocb.XXXXXX") || exit 1
export HOME=$dir OPENCLAW_STATE_DIR=$dir/state NO_COLOR=1 OPENCLAW_GATEWAY_TOKEN=bench
pids=
trap 'kill $pids 2>/dev/null; rm -rf "$dir"' EXIT
mkdir -m 700 "$OPENCLAW_STATE_DIR"

# start NAME PATTERN COMMAND...: waits for the pattern, leaves the port in $port and the process in $pid
start() {
	local name=$1 pattern=$2
	shift 2
	"$@" >"$dir/$name.log" 2>&1 &
	pid=$!
	pids="$pids $pid"
	for _ in $(seq 100); do
		port=$(sed -n "s/.*$pattern.*/\\1/p" "$dir/$name.log" | head -n 1)
		[ -n "$port" ] && return 0
		sleep 0.05
	done
	cat "$dir/$name.log" >&2
	return 1
}

metric() {
	curl -s -H "authorization: Bearer bench" "http://127.0.0.1:$gateway/metrics" | sed -n "s/^openclaw_$1 //p"
}

measure() {
	local ms=$1 conns=$2 requests=$3 direct through c0 s0 c1 s1
	direct=$("$build/tests/bench/bench_turns" "$model" x "$conns" "$requests") || exit 1
	c0=$(metric store_commit_seconds_count) s0=$(metric store_commit_seconds_sum)
	through=$("$build/tests/bench/bench_turns" "$gateway" bench "$conns" "$requests") || exit 1
	c1=$(metric store_commit_seconds_count) s1=$(metric store_commit_seconds_sum)
	if [ -z "$c0" ] || [ -z "$c1" ]; then
		echo "turns.sh: the gateway has no metric store_commit_seconds" >&2
		exit 1
	fi
	echo "$ms $conns $direct $through $s0 $s1 $c0 $c1" | awk '{
		printf "%5d %5d %10.0f %10.0f %7.3f %12.2f %12.2f %10.2f%s\n", $1, $2, $5, $11, $11 / $5, ($12 - $6) / 1000, ($13 - $7) / 1000,
			($16 - $15) / ($18 > $17 ? $18 - $17 : 1) * 1000, ($10 != 0) ? "  errors: " $10 : "" }'
}

printf '%5s %5s %10s %10s %7s %12s %12s %10s\n' ms conns direct/s gateway/s ratio 'p50 +ms' 'p99 +ms' 'commit ms'
for ms in 0 200; do
	start "model$ms" 'ready on port \([0-9]*\)' "$build/tests/bench/bench_model" "$ms" || exit 1
	model=$port
	cat >"$OPENCLAW_STATE_DIR/openclaw.json" <<-END
		{agents: {defaults: {model: {primary: "mock/m"}}},
		 models: {providers: {mock: {api: "openai-completions", baseUrl: "http://127.0.0.1:$model/v1", apiKey: "x",
		   models: [{id: "m", contextWindow: 100000}]}}}}
	END
	chmod 600 "$OPENCLAW_STATE_DIR/openclaw.json"
	start "gateway$ms" 'ready in .*127.0.0.1:\([0-9]*\)' "$build/openclaw" gateway run --any-port || exit 1
	gateway=$port gateway_pid=$pid
	"$build/tests/bench/bench_turns" "$gateway" bench 8 200 >/dev/null || exit 1
	for conns in 1 8 32 256; do
		if [ "$ms" = 0 ]; then requests=$((conns < 32 ? 1000 : 3000)); else requests=$((conns * 10 < 40 ? 40 : conns * 10)); fi
		measure "$ms" "$conns" "$requests"
	done
	kill "$gateway_pid"
	wait "$gateway_pid" 2>/dev/null
done
