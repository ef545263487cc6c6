#!/bin/bash
# setup.sh - what the machine needs, from Debian's own archive.
#
#   setup.sh build      compilers, libraries and tools: installed with apt-get when missing
#   setup.sh servers    the real programs of tests/e2e (nginx, PostgreSQL, OpenSSH, ...): downloaded and unpacked under
#                       build/servers, never installed, so that no service of theirs can start, be enabled or leave
#                       anything behind on this machine; those that it has already are taken as they are
#   setup.sh go         Debian's Go: downloaded and unpacked under build/go, as above
#   setup.sh diagnosis  gdb, strace, valgrind, clang's sanitizers, liburing and jemalloc: for e2e/diagnosis and e2e/reach
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
SERVERS="nginx redis-server redis-tools memcached iperf3
	lighttpd apache2-bin apache2-utils haproxy nghttp2-client wget socat
	postgresql-15 openssh-server openssh-client openssh-sftp-server icecast2
	nodejs gunicorn openjdk-17-jdk-headless"
SERVER_DIR=${TAS_SERVERS:-build/servers}
GO="golang-1.19-go golang-1.19-src"
DIAGNOSIS_PACKAGES="gdb strace valgrind clang libclang-rt-14-dev liburing-dev libjemalloc2"

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

# Links of a package to absolute paths would leave the folder it is unpacked in.
links_inside() { # links_inside ROOT
	local link target
	find "$1" -type l -lname '/*' | while read -r link; do
		target=$(readlink "$link")
		[ ! -e "$1$target" ] || ln -sfnr "$1$target" "$link"
	done
}

# Its compiler alone: what it builds here needs no C. GOROOT tells it where it lies (tests/lib/servers.sh).
unpack_go() {
	local dir=build/go deb
	[ ! -e "$dir/complete" ] || return 0
	rm -rf "$dir"
	mkdir -p "$dir/archives"
	apt_update $GO
	say "downloading Debian's Go, to be unpacked in $dir"
	(cd "$dir/archives" && quiet apt-get download $GO)
	for deb in "$dir/archives"/*.deb; do
		quiet dpkg -x "$deb" "$dir/root"
	done
	rm -rf "$dir/archives"
	touch "$dir/complete"
}

# What an earlier list has brought stays; `complete` names it.
unpack_servers() {
	local have new want archives deb
	have=" $(tr '\n' ' ' 2>/dev/null <"$SERVER_DIR/complete" || :) "
	new=$(for deb in $SERVERS; do [[ $have = *" $deb "* ]] || echo "$deb"; done)
	[ -n "$new" ] || return 0
	archives=$SERVER_DIR/archives
	rm -rf "$archives"
	mkdir -p "$archives/partial"
	want=$(missing $new)
	if [ -n "$want" ]; then
		apt_update $want
		say "downloading" $want "and the libraries they need, to be unpacked in $SERVER_DIR"
		quiet apt-get install --download-only -o Dir::Cache::archives="$PWD/$archives" "${APT_OPTIONS[@]}" $want
		for deb in "$archives"/*.deb; do
			quiet dpkg -x "$deb" "$SERVER_DIR/root"
		done
		links_inside "$SERVER_DIR/root"
	fi
	rm -rf "$archives"
	printf '%s\n' $SERVERS >"$SERVER_DIR/complete"
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
go)	unpack_go ;;
diagnosis) install_missing $DIAGNOSIS_PACKAGES ;;
clang)	install_missing clang libclang-rt-14-dev ;;
guest)	install_missing $GUEST_PACKAGES; unpack_kernel ;;
format)	install_missing clang-format ;;
tidy)	install_missing clang-tidy ;;
*)	die "usage: setup.sh build|servers|go|diagnosis|clang|guest|format|tidy" ;;
esac
