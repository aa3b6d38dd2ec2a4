# Sourced by the measurements that run servers; $dir is a folder of theirs, $pids what they end at last.
pids=

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
