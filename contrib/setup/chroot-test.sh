#!/bin/bash
# usage: contrib/setup/chroot-test.sh [--suite bookworm] [--dir DIR] [--keep] [COMMAND...]
#
# Proves that the one-line commands work on a bare Debian: makes a minimal system with debootstrap from this machine's own
# package sources, adds git and nothing else, clones the committed state of this tree inside and runs COMMAND there
# (default: contrib/setup/test.sh, then contrib/setup/run.sh --background and one question to the agent).
# Needs root and debootstrap.  All mounts are in a mount namespace of their own and vanish with it.
#
#   --dir DIR   where the system is made (a temporary folder); kept with --keep, and used again when it is there
set -eu

suite=bookworm dir= keep=
while [ $# -gt 0 ]; do
	case $1 in
	--suite) suite=$2; shift 2 ;;
	--dir) dir=$2; shift 2 ;;
	--keep) keep=yes; shift ;;
	-h | --help) sed -n '2,10s/^# \{0,1\}//p' "$0"; exit 0 ;;
	-*) echo "chroot-test.sh: unknown option '$1'" >&2; exit 2 ;;
	*) break ;;
	esac
done
src=$(cd "$(dirname "$0")/../.." && pwd)
if [ "$(id -u)" -ne 0 ] || ! command -v debootstrap >/dev/null; then
	echo "chroot-test.sh: needs root and debootstrap" >&2
	exit 1
fi

# Into a mount namespace first, so that an interrupted run leaves no mounts behind.
if [ -z "${OC_CHROOT_INSIDE-}" ]; then
	[ -n "$dir" ] || dir=$(mktemp -d /var/tmp/oc-chroot.XXXXXX)
	rc=0
	OC_CHROOT_INSIDE=1 unshare --mount --propagation private "$0" --suite "$suite" --dir "$dir" "$@" || rc=$?
	[ -n "$keep" ] || rm -rf --one-file-system "$dir"
	exit $rc
fi

mirror=$(apt-get indextargets --format '$(SITE) $(RELEASE) $(COMPONENT)' | awk -v suite="$suite" '
	$3 == "main" && $2 == suite { exact = $1 }
	$3 == "main" && $2 !~ /-/ && any == "" { any = $1 }
	END { print exact != "" ? exact : any }')
if [ ! -e "$dir/etc/debian_version" ]; then
	echo "== minimal $suite"
	debootstrap --variant=minbase "$suite" "$dir" ${mirror:+"$mirror"} >"$dir.log" 2>&1 || {
		tail -n 20 "$dir.log" >&2
		exit 1
	}
fi
rm -f "$dir.log"

mount --bind "$dir" "$dir"
# The machine's own way to its packages: sources, keys, proxies, names.
mkdir -p "$dir/src" "$dir/dev/pts"
for path in /etc/apt /etc/resolv.conf /etc/hosts; do
	[ -e "$path" ] || continue
	if [ -d "$path" ]; then mkdir -p "$dir$path"; else : >>"$dir$path"; fi
done
for path in /etc/apt /etc/resolv.conf /etc/hosts; do
	[ ! -e "$path" ] || mount --bind -o ro "$path" "$dir$path"
done
# Another suite than the machine's: its own list, from the same mirror.
if ! apt-get indextargets --format '$(RELEASE)' | grep -qx "$suite"; then
	mount -t tmpfs tmpfs "$dir/etc/apt/sources.list.d"
	[ ! -e "$dir/etc/apt/sources.list" ] || mount --bind /dev/null "$dir/etc/apt/sources.list"
	printf 'deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] %s %s main\n' "$mirror" "$suite" \
		>"$dir/etc/apt/sources.list.d/suite.list"
fi
mount -t proc proc "$dir/proc"
mount --rbind /dev "$dir/dev"
mount --rbind /sys "$dir/sys"
mount -t tmpfs tmpfs "$dir/run"
mount --bind -o ro "$src" "$dir/src"

# As a root of its own, not by chroot(2): the kernel refuses user namespaces, and so our sandbox, to a process in a chroot.
inside() {
	unshare --mount --propagation private sh -c 'cd "$0" && pivot_root . mnt && umount -l /mnt && exec "$@"' "$dir" \
		/usr/bin/env -i HOME=/root PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin \
		TERM="${TERM-dumb}" DEBIAN_FRONTEND=noninteractive "${passed_on[@]}" "$@"
}
# Proxies and the npm registry of the machine, when it has its own.
passed_on=()
for name in http_proxy https_proxy no_proxy HTTP_PROXY HTTPS_PROXY NO_PROXY npm_config_registry NODE_EXTRA_CA_CERTS; do
	[ -z "${!name-}" ] || passed_on+=("$name=${!name}")
done

echo "== git"
inside sh -c 'apt-get -q update && apt-get -q -y --no-install-recommends install git ca-certificates' >"$dir/var/log/oc-git.log" 2>&1 || {
	tail -n 20 "$dir/var/log/oc-git.log" >&2
	exit 1
}
# Certificates that only this machine trusts.
if ls /usr/local/share/ca-certificates/*.crt >/dev/null 2>&1; then
	mkdir -p "$dir/usr/local/share/ca-certificates"
	cp /usr/local/share/ca-certificates/*.crt "$dir/usr/local/share/ca-certificates/"
	inside update-ca-certificates >/dev/null 2>&1
fi

echo "== clone"
inside sh -c 'rm -rf /root/openclaw && git config --global --add safe.directory "*" && git clone -q /src /root/openclaw'
if [ $# -gt 0 ]; then
	inside sh -c 'cd /root/openclaw && exec "$@"' sh "$@"
	exit
fi
echo "== contrib/setup/run.sh, as root"
inside sh -c 'cd /root/openclaw && contrib/setup/run.sh --background && openclaw agent -m "hello" && openclaw gateway stop'
echo "== contrib/setup/run.sh, as somebody without rights"
inside sh -c 'id tester >/dev/null 2>&1 || useradd -m tester
	rm -rf /home/tester/openclaw /home/tester/.openclaw && git clone -q /src /home/tester/openclaw &&
	chown -R tester: /home/tester/openclaw && exec setpriv --reuid tester --regid tester --init-groups env HOME=/home/tester \
	sh -c "cd ~/openclaw && PREFIX=~/.local contrib/setup/run.sh --background && ~/.local/bin/openclaw agent -m hello &&
		~/.local/bin/openclaw gateway stop"'
echo "== contrib/setup/test.sh"
inside sh -c 'cd /root/openclaw && exec contrib/setup/test.sh'
