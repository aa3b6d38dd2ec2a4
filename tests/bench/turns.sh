#!/bin/bash
# usage: tests/bench/turns.sh BUILDDIR
#
# Turns through the gateway beside direct calls of the same model server (bench_model), by the same client: at 1, 8, 32 and
# 256 connections, with a model that answers at once and one that takes 200 ms, whose callers begin one after the other.
# Direct and gateway take turns, OC_BENCH_ROUNDS times; the best of each counts.  "+ms" is what the gateway adds to an
# answer: its p50 less the direct p50, and its p99 less the direct p99.  "commit" is the store's mean commit (fsync) in that
# time and "n" how many of them a turn took, of which it waits for two (three with a tool); "beyond" is p50 and p99 of what
# remains of each turn without the commits that it waited for itself, measured at one connection in turns of their own, after
# each of which /metrics are asked how long the store has been committing.  The last lines have the
# state in memory (/dev/shm), where a sync costs nothing.  "cpu" is the gateway's processor time for a turn.  In the row
# "tool" each turn has one call of the tool read, so two model calls: it stands beside two direct answers.
# Aim: with 200 ms at least 0.97 of the direct rate at each; at 1 without delay under 0.5 ms (p50) and 1 ms (p99) beyond the
# commits.  The client, the model and the gateway share the machine: with one that others use too, the tail is theirs.
set -u
build=$(cd "${1:?usage: turns.sh BUILDDIR}" && pwd)
rounds=${OC_BENCH_ROUNDS:-2}
dir=$(mktemp -d "${TMPDIR:-/tmp}/ocb.XXXXXX") || exit 1
memory=$([ -w /dev/shm ] && mktemp -d /dev/shm/ocb.XXXXXX)
export HOME=$dir NO_COLOR=1 OPENCLAW_GATEWAY_TOKEN=bench
trap 'kill $pids 2>/dev/null; rm -rf "$dir" ${memory:+"$memory"}' EXIT

. "$(dirname "$0")/start.sh"

metric() {
	curl -s -H "authorization: Bearer bench" "http://127.0.0.1:$gateway/metrics" | sed -n "s/^openclaw_$1 //p"
}

ticks() { awk '{ print $14 + $15 }' "/proc/$gateway_pid/stat"; }

# measure WHAT MS CONNECTIONS REQUESTS [FILE]: FILE has the messages for the gateway, in which the model is asked for a call
measure() {
	local c0 s0 c1 s1 t0 t1 own
	c0=$(metric store_commit_seconds_count) s0=$(metric store_commit_seconds_sum) t0=$(ticks)
	for _ in $(seq "$rounds"); do
		echo "$("$build/tests/bench/bench_turns" "$model" x "$3" "$4") $("$build/tests/bench/bench_turns" "$gateway" bench "$3" "$4" ${5:+0 "$5"})"
	done >"$dir/rounds"
	c1=$(metric store_commit_seconds_count) s1=$(metric store_commit_seconds_sum) t1=$(ticks)
	if [ -z "$c0" ] || [ -z "$c1" ]; then
		echo "turns.sh: the gateway has no metric store_commit_seconds" >&2
		exit 1
	fi
	own=
	[ "$3" != 1 ] || own=$(for _ in $(seq "$rounds"); do
		OC_BENCH_COMMITS=1 "$build/tests/bench/bench_turns" "$gateway" bench 1 "$4" ${5:+0 "$5"}
	done | awk 'NR == 1 || $7 < p50 { p50 = $7 } NR == 1 || $8 < p99 { p99 = $8 } END { print p50, p99 }')
	awk -v what="$1" -v own="$own" -v ms="$2" -v conns="$3" -v requests="$4" -v commit="$s0 $s1 $c0 $c1" -v ticks="$((t1 - t0))" \
		-v hz="$(getconf CLK_TCK)" -v calls="${5:+2}" '
		function least(old, new) { return NR == 1 || new < old ? new : old }
		NF < 12 { bad = 1 }
		{
			if ($3 > direct) direct = $3
			if ($9 > through) through = $9
			d50 = least(d50, $4); d99 = least(d99, $5); g50 = least(g50, $10); g99 = least(g99, $11); errors += $2 + $8
		}
		END {
			if (bad) { print what, ms, conns, "failed"; exit }
			split(commit, c, " ")
			n = calls ? calls : 1
			mean = (c[2] - c[1]) / (c[4] > c[3] ? c[4] - c[3] : 1) * 1000
			p50 = (g50 - n * d50) / 1000; p99 = (g99 - n * d99) / 1000
			beyond = sprintf("%7s %7s", "-", "-")
			if (split(own, b, " ") == 2)
				beyond = sprintf("%7.2f %7.2f", (b[1] - n * d50) / 1000, (b[2] - n * d99) / 1000)
			printf "%-7s %4d %5d %9.0f %9.0f %6.3f %7.2f %7.2f %7.2f %5.1f %s %6.2f%s\n", what, ms, conns, direct / n,
				through, through / direct * n, p50, p99, mean, (c[4] - c[3]) / requests / NR, beyond, ticks / hz * 1000 / requests / NR,
				errors != 0 ? "  errors: " errors : ""
		}' "$dir/rounds"
}

# serve NAME MS FOLDER: a model that takes MS, and a gateway with its state in FOLDER
serve() {
	start "model-$1" 'ready on port \([0-9]*\)' "$build/tests/bench/bench_model" "$2" || exit 1
	model=$port
	export OPENCLAW_STATE_DIR=$3/state-$1 OC_BENCH_SPREAD_MS=$2
	mkdir -m 700 "$OPENCLAW_STATE_DIR"
	cat >"$OPENCLAW_STATE_DIR/openclaw.json" <<-END
		{agents: {defaults: {model: {primary: "mock/m"}}},
		 models: {providers: {mock: {api: "openai-completions", baseUrl: "http://127.0.0.1:$model/v1", apiKey: "x",
		   models: [{id: "m", contextWindow: 100000}]}}}}
	END
	chmod 600 "$OPENCLAW_STATE_DIR/openclaw.json"
	start "gateway-$1" 'ready in .*127.0.0.1:\([0-9]*\)' "$build/openclaw" gateway run --any-port || exit 1
	gateway=$port gateway_pid=$pid
	"$build/tests/bench/bench_turns" "$gateway" bench 8 200 >/dev/null || exit 1
	sleep 2 # the workspace is new: files that were just written are read for each turn
}

printf '%s\n' 'Do-call read {\"path\":\"USER.md\"};' >"$dir/call"

over() {
	kill "$gateway_pid"
	wait "$gateway_pid" 2>/dev/null
}

printf '%-7s %4s %5s %9s %9s %6s %7s %7s %7s %5s %7s %7s %6s\n' state ms conns direct/s turns/s ratio p50+ms p99+ms commit n \
	beyond 'p99' cpu
serve quick 0 "$dir"
for conns in 1 8 32 256; do
	measure disk 0 "$conns" $((conns < 32 ? 1000 : 3000))
done
measure tool 0 1 1000 "$dir/call"
over
serve slow 200 "$dir"
for conns in 1 8 32 256; do
	measure disk 200 "$conns" $((conns * 30))
done
over
if [ -n "$memory" ]; then
	serve memory-quick 0 "$memory"
	measure memory 0 1 2000
	measure tool 0 1 1000 "$dir/call"
	over
	serve memory-slow 200 "$memory"
	for conns in 1 8 32 256; do
		measure memory 200 "$conns" $((conns * 30))
	done
	over
fi
