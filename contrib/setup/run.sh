#!/bin/sh
# usage: [PREFIX=DIR] contrib/setup/run.sh [--background] [--no-start]
#
# From a clean clone to a gateway that answers: installs the Debian packages that are missing, builds, installs, writes a
# configuration when there is none, starts the gateway and says how to talk to it.
#
#   PREFIX        where to install; /usr/local for root, else ~/.local.  No root is needed for a folder of yours.
#   --background  leave the gateway running and return; its log goes to the state folder
#   --no-start    stop after the installation and the configuration
# Model keys are taken from ANTHROPIC_API_KEY or OPENAI_API_KEY, or a local Ollama is used; with none of them the bundled
# offline model answers, and says that it is one.
set -eu

background= start=yes
for arg do
	case $arg in
	--background) background=yes ;;
	--no-start) start= ;;
	-h | --help)
		sed -n '2,11s/^# \{0,1\}//p' "$0"
		exit 0
		;;
	*)
		echo "run.sh: unknown option '$arg' (see --help)" >&2
		exit 2
		;;
	esac
done

src=$(cd "$(dirname "$0")/../.." && pwd)
if [ "$(id -u)" -eq 0 ]; then default_prefix=/usr/local; else default_prefix=$HOME/.local; fi
PREFIX=${PREFIX:-$default_prefix}
case $PREFIX in
/*) ;;
"~"/*) PREFIX=$HOME/${PREFIX#"~/"} ;;
*) PREFIX=$PWD/$PREFIX ;;
esac
build=$src/build/run
say() { printf '\n== %s\n' "$*"; }

say "packages"
"$src/contrib/setup/deps.sh" --run

say "build"
if [ ! -x "$src/configure" ] || [ -n "$(find "$src/configure.ac" "$src/Makefile.am" -newer "$src/configure")" ]; then
	"$src/autogen.sh" >/dev/null 2>&1 || "$src/autogen.sh"
fi
mkdir -p "$build"
cd "$build"
"$src/configure" -q --prefix="$PREFIX" --disable-dependency-tracking
if command -v node >/dev/null && command -v npm >/dev/null && ! make -s bridge/.made; then
	echo "run.sh: what TypeScript plugins need cannot be fetched by npm: they are left out; run this again when it can be" >&2
	"$src/configure" -q --prefix="$PREFIX" --disable-dependency-tracking --disable-plugins
fi
make -s -j"$(nproc 2>/dev/null || echo 2)"

say "install in $PREFIX"
as_root=
if ! mkdir -p "$PREFIX" 2>/dev/null || [ ! -w "$PREFIX" ]; then
	if command -v sudo >/dev/null 2>&1; then
		as_root=sudo
	else
		echo "run.sh: $PREFIX is not yours to write and there is no sudo; choose another: PREFIX=~/.local $0" >&2
		exit 1
	fi
fi
$as_root make -s install-strip >/dev/null
openclaw=$PREFIX/bin/openclaw
"$openclaw" --version

config=$("$openclaw" config path)
if [ ! -e "$config" ]; then
	say "configuration"
	"$openclaw" onboard --non-interactive --accept-risk
fi
[ -n "$start" ] || exit 0

say "gateway"
how_to_talk() {
	case :$PATH: in
	*:"$PREFIX/bin":*) command=openclaw ;;
	*) command=$openclaw ;;
	esac
	cat <<EOF

The gateway runs.  Talk to it, from another terminal when this one is taken:
    $command agent -m "Hello, who are you?"
    $command status
    $command --help
Configuration: $config
EOF
}
if "$openclaw" gateway status >/dev/null 2>&1; then
	echo "a gateway already runs; to start the one just installed: $openclaw gateway restart"
	how_to_talk
	exit 0
fi
state=$(dirname "$config")
if [ -n "$background" ]; then
	mkdir -p -m 700 "$state/logs"
	(umask 077; : >>"$state/logs/run.log")
	nohup "$openclaw" gateway run >>"$state/logs/run.log" 2>&1 </dev/null &
else
	"$openclaw" gateway run &
fi
pid=$!
trap 'kill "$pid" 2>/dev/null; wait "$pid"; exit' INT TERM
tries=0
until "$openclaw" gateway status >/dev/null 2>&1; do
	tries=$((tries + 1))
	if ! kill -0 "$pid" 2>/dev/null || [ $tries -gt 100 ]; then
		echo "run.sh: the gateway did not start; what it said is above${background:+, in $state/logs/run.log}" >&2
		exit 1
	fi
	sleep 0.1
done
how_to_talk
[ -n "$background" ] || wait "$pid"
