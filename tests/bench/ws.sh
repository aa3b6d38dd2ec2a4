#!/bin/bash
# usage: tests/bench/ws.sh BUILDDIR [CLIENTS]
#
# WebSockets: `health` over OpenClaw's own protocol at 1, 8 and 64 connections, 16 deep on each, beside a bare libuv server that
# echoes the same requests, in turns; then 1,000 handshakes at once and an event for all of them; then CLIENTS (10,000) idle ones.
# Aims: both ratios 1.3 and below, no refusal, 50 ms, 10 KB.
set -u
build=$(cd "${1:?usage: ws.sh BUILDDIR [CLIENTS]}" && pwd)
clients=${2:-10000}
bench=$build/tests/bench/bench_ws
dir=$(mktemp -d "${TMPDIR:-/tmp}/ocb.XXXXXX") || exit 1
export HOME=$dir OPENCLAW_STATE_DIR=$dir/state NO_COLOR=1
trap 'kill $pids 2>/dev/null; rm -rf "$dir"' EXIT
# The gateway takes a connection for every two descriptors, and keeps 8192 for others where there are more than twice as many.
# The clients are another process, with as many of its own.
ulimit -n 65536 2>/dev/null || ulimit -n "$(ulimit -H -n)"
most=$(($(ulimit -n) > 16384 ? $(ulimit -n) - 8192 : $(ulimit -n) / 2))
[ "$clients" -lt $((most - 64)) ] || clients=$((most - 64))

. "$(dirname "$0")/start.sh"
gateway() {
	start gateway 'ready in .*:\([0-9]*\)' "$build/openclaw" gateway run --any-port || exit 1
	token=$(cat "$OPENCLAW_STATE_DIR/credentials/gateway-token")
}

start echo 'ready on port \([0-9]*\)' "$bench" echo || exit 1
echo=$port
gateway
printf '%-6s %10s %10s %6s %9s %9s %6s %9s\n' conns calls/s echo/s ratio p50-us echo-us ratio p99-us
for conns in 1 8 64; do
	for _ in $(seq "${OC_BENCH_ROUNDS:-5}"); do
		echo "$("$bench" call "$echo" '' $conns 500) $("$bench" call "$port" "$token" $conns 500)"
	done | awk -v conns=$conns '
		NF < 6 { bad = 1 }
		{ if ($1 > e) { e = $1; ep = $2 } if ($4 > g) { g = $4; gp = $5; g99 = $6 } }
		END {
			if (bad) print conns, "failed"
			else printf "%-6s %10.0f %10.0f %6.2f %9.1f %9.1f %6.2f %9.1f\n", conns, g, e, e / g, gp, ep, gp / ep, g99
		}'
done
"$bench" crowd "$port" "$token" 1000 "$pid"
wait "$pid"
gateway
"$bench" crowd "$port" "$token" "$clients" "$pid"
