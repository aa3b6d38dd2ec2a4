#!/bin/bash
# usage: tests/bench/http.sh BUILDDIR [SECONDS]
#
# Requests a second with keep-alive at 1, 16 and 64 connections: the gateway (GET /health, POST /rpc), core/net alone, and
# a bare libuv and llhttp server as the reference, measured in short turns in the same run.  The rate is the best round of
# each; "us" is the server's CPU time for a request over all rounds, which a busy machine or a slow client disturbs less.
# Aim: ratios of 0.8 and above.
set -u
build=$(cd "${1:?usage: http.sh BUILDDIR [SECONDS]}" && pwd)
seconds=${2:-${OC_BENCH_SECONDS:-1}}
rounds=${OC_BENCH_ROUNDS:-6}
command -v wrk >/dev/null || {
	echo "http.sh: wrk is not installed: left out"
	exit 0
}
dir=$(mktemp -d "${TMPDIR:-/tmp}/ocb.XXXXXX") || exit 1
export HOME=$dir OPENCLAW_STATE_DIR=$dir/state NO_COLOR=1
trap 'kill $pids 2>/dev/null; rm -rf "$dir"' EXIT

. "$(dirname "$0")/start.sh"

start bare 'ready on port \([0-9]*\)' "$build/tests/bench/bench_http_bare" || exit 1
bare="$pid http://127.0.0.1:$port/health"
start core 'ready on port \([0-9]*\)' "$build/tests/bench/bench_http_core" || exit 1
core="$pid http://127.0.0.1:$port/health"
gateway='' rpc=''
if start gateway 'ready in .*:\([0-9]*\)' "$build/openclaw" gateway run --any-port; then
	gateway="$pid http://127.0.0.1:$port/health"
	token=$(cat "$OPENCLAW_STATE_DIR/credentials/gateway-token")
	cat >"$dir/rpc.lua" <<-LUA
		wrk.method = "POST"
		wrk.headers["Content-Type"] = "application/json"
		wrk.headers["Authorization"] = "Bearer $token"
		wrk.body = '{"jsonrpc":"2.0","id":1,"method":"system.health"}'
	LUA
	rpc="$pid http://127.0.0.1:$port/rpc"
else
	echo "http.sh: the gateway did not start: core/net alone"
fi

ticks() { awk '{ print $14 + $15 }' "/proc/$1/stat"; }

round() { # CONNECTIONS PID URL [SCRIPT]: "requests/s requests ticks"
	local from
	from=$(ticks "$2")
	wrk -t1 -c"$1" -d"${seconds}s" ${4:+-s "$4"} "$3" >"$dir/wrk" || return
	grep -q Non-2xx "$dir/wrk" && return
	awk -v ticks="$(($(ticks "$2") - from))" '
		/requests in/ { n = $1 } /Requests\/sec/ { rate = $2 } END { print rate, n, ticks }' "$dir/wrk"
}

printf '%-6s %-16s %10s %10s %6s %8s %8s %6s\n' conns what req/s "bare" ratio us "bare us" ratio
line() { # CONNECTIONS NAME SERVER [SCRIPT]: the reference gets the same requests
	for _ in $(seq "$rounds"); do
		# shellcheck disable=SC2086
		echo "$(round "$1" $bare "${4:-}") $(round "$1" $3 "${4:-}")"
	done | awk -v conns="$1" -v name="$2" -v hz="$(getconf CLK_TCK)" '
		NF < 6 { bad = 1 }
		{
			if ($1 > bare) bare = $1
			if ($4 > best) best = $4
			bare_n += $2; bare_t += $3; n += $5; t += $6
		}
		END {
			if (bad) { printf "%-6s %-16s failed\n", conns, name; exit }
			bare_us = bare_t / hz * 1e6 / bare_n
			us = t / hz * 1e6 / n
			printf "%-6s %-16s %10.0f %10.0f %6.2f %8.2f %8.2f %6.2f\n", conns, name, best, bare, best / bare, us,
				bare_us, bare_us / us
		}'
}
for conns in 1 16 64; do
	line $conns "core/net" "$core"
	[ -n "$gateway" ] && line $conns "gateway /health" "$gateway"
	[ -n "$rpc" ] && line $conns "gateway /rpc" "$rpc" "$dir/rpc.lua"
done
