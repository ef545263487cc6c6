#!/bin/bash
# setup.sh - what the machine needs, from Debian's own archive.
#
#   setup.sh build      compilers, libraries and tools: installed with apt-get when missing
#   setup.sh servers    nginx, redis, memcached, iperf3: downloaded and unpacked under build/servers, never installed,
#                       so that no service of theirs can start, be enabled or leave anything behind on this machine
#   setup.sh clang      clang with its sanitizers and libFuzzer
#   setup.sh guest      QEMU, installed; Debian's cloud kernel, downloaded and unpacked under build/guest: for tests/guest
#   setup.sh format     clang-format                      setup.sh tidy       clang-tidy
#
# Does nothing, silently and in well under a second, when everything is there.
set -euo pipefail
cd "$(dirname "$0")/../.."

BUILD_PACKAGES="cmake ninja-build gcc g++ pkg-config git ca-certificates libc6-dev linux-libc-dev
	libdpdk-dev libconfig-dev libnuma-dev libssl-dev libsystemd-dev libgtest-dev"
GUEST_PACKAGES="qemu-system-x86 busybox-static cpio kmod"
TEST_PACKAGES="iproute2 procps util-linux iputils-ping openssl curl wrk python3"
SERVERS="nginx redis-server redis-tools memcached iperf3"
SERVER_DIR=${TAS_SERVERS:-build/servers}

say() { echo "setup: $*"; }
die() { echo "setup: $*" >&2; exit 1; }

missing() {
	local p
	for p in "$@"; do
		[ "$(dpkg-query -W -f '${db:Status-Status}' "$p" 2>/dev/null)" = installed ] || echo "$p"
	done
}

quiet() { # quiet COMMAND...: the output only when it fails
	local log
	log=$(mktemp)
	if ! "$@" >"$log" 2>&1 </dev/null; then
		tail -40 "$log" >&2
		rm -f "$log"
		die "this failed: $*"
	fi
	rm -f "$log"
}

APT_OPTIONS=(-o Acquire::Retries=3 -o DPkg::Lock::Timeout=300 -y --no-install-recommends)
export DEBIAN_FRONTEND=noninteractive

apt_update() {
	[ "$(id -u)" = 0 ] || die "these packages are missing and only root can get them: $*"
	command -v apt-get >/dev/null || die "this machine has no apt-get; please provide: $*"
	say "reading the package lists"
	quiet apt-get update -o Acquire::Retries=3
}

# A dependency's service must not start either: the documented way to say so is policy-rc.d.
no_services() {
	[ ! -e /usr/sbin/policy-rc.d ] || return 0
	trap 'rm -f /usr/sbin/policy-rc.d' EXIT
	printf '#!/bin/sh\nexit 101\n' >/usr/sbin/policy-rc.d
	chmod 755 /usr/sbin/policy-rc.d
}

install_missing() {
	local want
	want=$(missing "$@")
	[ -n "$want" ] || return 0
	apt_update $want
	say "installing" $want
	no_services
	quiet apt-get install "${APT_OPTIONS[@]}" $want
}

unpack_servers() {
	local want archives deb
	[ ! -e "$SERVER_DIR/complete" ] || return 0
	rm -rf "$SERVER_DIR"
	archives=$SERVER_DIR/archives
	mkdir -p "$archives/partial"
	want=$(missing $SERVERS)
	if [ -n "$want" ]; then
		apt_update $want
		say "downloading" $want "and the libraries they need, to be unpacked in $SERVER_DIR"
		quiet apt-get install --download-only -o Dir::Cache::archives="$PWD/$archives" "${APT_OPTIONS[@]}" $want
		for deb in "$archives"/*.deb; do
			quiet dpkg -x "$deb" "$SERVER_DIR/root"
		done
	fi
	rm -rf "$archives"
	touch "$SERVER_DIR/complete"
}

unpack_kernel() {
	local package dir=$PWD/build/guest
	[ ! -e "$dir/complete" ] || return 0
	rm -rf "$dir"
	mkdir -p "$dir/kernel"
	apt_update a kernel for the guest
	package=$(apt-cache depends linux-image-cloud-amd64 | awk '/Depends: linux-image/ { print $2; exit }')
	[ -n "$package" ] || die "no kernel package found"
	say "downloading $package, to be unpacked in build/guest"
	(cd "$dir" && quiet apt-get download "$package" && quiet dpkg -x "$package"_*.deb kernel && rm -f "$package"_*.deb)
	touch "$dir/complete"
}

mkdir -p build
exec 9>build/.setup.lock
flock 9
case ${1:-} in
build)	install_missing $BUILD_PACKAGES $TEST_PACKAGES ;;
servers) unpack_servers ;;
clang)	install_missing clang libclang-rt-14-dev ;;
guest)	install_missing $GUEST_PACKAGES; unpack_kernel ;;
format)	install_missing clang-format ;;
tidy)	install_missing clang-tidy ;;
*)	die "usage: setup.sh build|servers|clang|guest|format|tidy" ;;
esac
