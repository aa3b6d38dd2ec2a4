#!/bin/bash
# usage: tests/bench/run.sh BUILDDIR
#
# Start-up, memory and size, each beside a reference measured in the same run.  Throughput is in http.sh.
# Figures of one machine in one minute: compare rows, not days.
set -u
build=$(cd "${1:?usage: run.sh BUILDDIR}" && pwd)
src=$(cd "$(dirname "$0")/../.." && pwd)
bin=$build/openclaw
bench=$build/tests/bench/bench_start
bare=$build/tests/bench/bench_http_bare
runs=${OC_BENCH_RUNS:-20}
dir=$(mktemp -d "${TMPDIR:-/tmp}/ocb.XXXXXX") || exit 1
trap 'rm -rf "$dir"' EXIT
export HOME=$dir OPENCLAW_STATE_DIR=$dir/state NO_COLOR=1
for name in $(env | sed -n 's/^\([A-Z_]*_API_KEY\)=.*/\1/p'); do unset "$name"; done

row() { printf '%-44s %s\n' "$1" "$2"; }
first() { echo "${1%% *}"; }
ratio() { awk -v a="$1" -v b="$2" 'BEGIN { printf "%.2f", (b > 0) ? a / b : 0 }'; }

echo "== start (median min-max, PSS after 0.3 s; $runs runs)"
"$bench" 2 "ready in" "$bin" gateway run --any-port >/dev/null || exit 1 # makes store and token
gateway=$("$bench" "$runs" "ready in" "$bin" gateway run --any-port)
row "gateway: exec to ready, all modules" "$gateway"
if [ -x "$bare" ]; then
	reference=$("$bench" "$runs" "ready" "$bare" 0)
	row "bare libuv + llhttp server: exec to ready" "$reference"
	row "ratio" "$(ratio "$(first "$gateway")" "$(first "$reference")")"
fi
true_time=$("$bench" "$runs" "" /bin/true)
version=$("$bench" "$runs" "" "$bin" --version)
row "/bin/true" "$true_time"
row "openclaw --version" "$version"
row "ratio" "$(ratio "$(first "$version")" "$(first "$true_time")")"

sandbox="$build/openclaw-sandbox --cwd / --env PATH=/bin -- /bin/true"
# shellcheck disable=SC2086 # words
strict=$("$bench" "$runs" "" $sandbox)
row "strict sandbox around /bin/true" "$strict"
row "ratio" "$(ratio "$(first "$strict")" "$(first "$true_time")")"

"$bin" gateway run --any-port >"$dir/log" 2>&1 &
pid=$!
for _ in $(seq 200); do
	grep -q 'ready in' "$dir/log" && break
	sleep 0.05
done
status=$("$bench" "$runs" "" "$bin" status)
row "openclaw status, gateway running" "$status"
row "ratio to /bin/true" "$(ratio "$(first "$status")" "$(first "$true_time")")"
row "its own word" "$(grep -o 'ready in [0-9.]* ms' "$dir/log")"
row "PSS idle" "$(awk '/^Pss:/ { print $2 " KiB" }' "/proc/$pid/smaps_rollup")"
row "threads idle" "$(ls "/proc/$pid/task" | wc -l)"
# A model call to a server that knows no models: what counts is that the HTTP client is loaded.
"$bare" 0 >"$dir/bare.log" 2>&1 &
bare_pid=$!
sleep 0.2
port=$(sed -n 's/ready on port \([0-9]*\).*/\1/p' "$dir/bare.log")
printf '{models:{providers:{bare:{baseUrl:"http://127.0.0.1:%s/v1",api:"openai-completions",apiKey:"sk-none",models:[{id:"m"}]}}}}' \
	"$port" >"$OPENCLAW_STATE_DIR/openclaw.json"
sleep 1
"$bin" agent --model bare/m -m hello >/dev/null 2>&1
kill "$bare_pid"
row "PSS after the first outbound call" "$(awk '/^Pss:/ { print $2 " KiB" }' "/proc/$pid/smaps_rollup")"
kill "$pid"
wait "$pid" 2>/dev/null

echo "== size of a stripped installation"
make -s -C "$build" install-strip DESTDIR="$dir/dest" >/dev/null 2>&1
row "binary, helpers, modules (limit 4000000)" "$(find "$dir/dest" -type f \( -name openclaw -o -name 'openclaw-*' -o -name '*.so' \) \
	-size +0 -exec stat -c %s {} + | awk '{ s += $1 } END { print s " bytes" }')"
row "JavaScript that runs TypeScript plugins" "$(find "$dir/dest" -type f -name '*.js' -exec stat -c %s {} + |
	awk '{ s += $1 } END { print s + 0 " bytes" }')"
row "everything, with headers and manuals" "$(find "$dir/dest" -type f -exec stat -c %s {} + | awk '{ s += $1 } END { print s " bytes" }')"
