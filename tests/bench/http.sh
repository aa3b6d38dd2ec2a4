#!/bin/bash
# usage: tests/bench/http.sh BUILDDIR [SECONDS]
#
# Requests a second with keep-alive at 1, 16 and 64 connections: the gateway (GET /health, POST /rpc), core/net alone, and
# a bare libuv and llhttp server as the reference, measured in turn in the same run.  Aim: ratios of 0.8 and above.
set -u
build=$(cd "${1:?usage: http.sh BUILDDIR [SECONDS]}" && pwd)
seconds=${2:-${OC_BENCH_SECONDS:-3}}
rounds=${OC_BENCH_ROUNDS:-3}
command -v wrk >/dev/null || {
	echo "http.sh: wrk is not installed: left out"
	exit 0
}
dir=$(mktemp -d "${TMPDIR:-/tmp}/ocb.XXXXXX") || exit 1
export HOME=$dir OPENCLAW_STATE_DIR=$dir/state NO_COLOR=1
pids=
trap 'kill $pids 2>/dev/null; rm -rf "$dir"' EXIT

# start NAME PATTERN COMMAND...: waits for the pattern, leaves the port in $port
start() {
	local name=$1 pattern=$2
	shift 2
	"$@" >"$dir/$name.log" 2>&1 &
	pids="$pids $!"
	for _ in $(seq 100); do
		port=$(sed -n "s/.*$pattern.*/\\1/p" "$dir/$name.log" | head -n 1)
		[ -n "$port" ] && return 0
		sleep 0.05
	done
	return 1
}

start bare 'ready on port \([0-9]*\)' "$build/tests/bench/bench_http_bare" || exit 1
bare=http://127.0.0.1:$port/health
start core 'ready on port \([0-9]*\)' "$build/tests/bench/bench_http_core" || exit 1
core=http://127.0.0.1:$port/health
gateway='' rpc=''
if start gateway 'ready in .*:\([0-9]*\)' "$build/openclaw" gateway run --any-port; then
	gateway=http://127.0.0.1:$port/health
	token=$(cat "$OPENCLAW_STATE_DIR/credentials/gateway-token")
	cat >"$dir/rpc.lua" <<-LUA
		wrk.method = "POST"
		wrk.headers["Content-Type"] = "application/json"
		wrk.headers["Authorization"] = "Bearer $token"
		wrk.body = '{"jsonrpc":"2.0","id":1,"method":"system.health"}'
	LUA
	rpc=http://127.0.0.1:$port/rpc
else
	echo "http.sh: the gateway did not start: core/net alone"
fi

rate() { # CONNECTIONS URL [SCRIPT]
	wrk -t1 -c"$1" -d"${seconds}s" ${3:+-s "$3"} "$2" | awk '
		/Requests\/sec/ { rate = $2 } /Non-2xx/ { bad = 1 } END { print bad ? "failed" : rate }'
}

printf '%-6s %-22s %12s %12s %7s\n' conns what "req/s" "bare req/s" ratio
line() { # CONNECTIONS NAME URL [SCRIPT]: the best of the rounds of each, in turn; the reference gets the same requests
	local best=0 reference=0 now
	for _ in $(seq "$rounds"); do
		now=$(rate "$1" "$bare" "${4:-}")
		reference=$(awk -v a="$reference" -v b="$now" 'BEGIN { print (a > b ? a : b) }')
		now=$(rate "$1" "$3" "${4:-}")
		[ "$now" = failed ] && best=failed && break
		best=$(awk -v a="$best" -v b="$now" 'BEGIN { print (a > b ? a : b) }')
	done
	printf '%-6s %-22s %12s %12s %7s\n' "$1" "$2" "$best" "$reference" \
		"$(awk -v a="$best" -v b="$reference" 'BEGIN { if (a == "failed") print "-"; else printf "%.2f", a / b }')"
}
for conns in 1 16 64; do
	line $conns "core/net" "$core"
	[ -n "$gateway" ] && line $conns "gateway /health" "$gateway"
	[ -n "$rpc" ] && line $conns "gateway /rpc" "$rpc" "$dir/rpc.lua"
done
