#!/bin/sh
# Runs in the guest: the service on a tap, a program that fetches a file over it, and the programs of tests/preload with and without
# libtas. Everything here is /test, /tmp and what run-guest.sh put in; busybox is the shell.
fail() {
	echo "smoke: FAILED: $*" >&2
	[ ! -e /tmp/tas.log ] || cat /tmp/tas.log >&2
	exit 1
}

uname -r
case $(uname -r) in 6.1.*) ;; *) fail "this kernel is not the floor" ;; esac
cat >/tmp/tas.conf <<CONF
socket = "/tmp/tas.sock";
ctl_socket = "/tmp/ctl.sock";
port = "tap:tas0";
tap_address = "10.99.0.1/24";
addresses = [ "10.99.0.2/24" ];
max_flows = 1024;
program_memory_max = 64;
CONF
tas --config /tmp/tas.conf >/tmp/tas.log 2>&1 &
daemon=$!
i=0
until tas-run -s /tmp/tas.sock --require -- /usr/bin/curl --version >/dev/null 2>&1; do
	i=$((i + 1))
	[ $i -lt 100 ] || fail "the service does not answer"
	kill -0 $daemon || fail "the service has ended"
	sleep 0.3
done

mkdir /tmp/www
dd if=/dev/urandom of=/tmp/www/file bs=1M count=4 2>/dev/null
busybox httpd -p 10.99.0.1:80 -h /tmp/www
tas-run -s /tmp/tas.sock --require -- curl -sS --fail -o /tmp/got http://10.99.0.1/file || fail "curl: $?"
cmp /tmp/www/file /tmp/got || fail "the file came differently"
tasctl -s /tmp/ctl.sock counters | grep -q '^ *1 *connections *conn_established' || fail "$(tasctl -s /tmp/ctl.sock counters)"

for p in "$@"; do
	$p >/tmp/kernel.out 2>/tmp/kernel.err || fail "$p on the kernel: $? $(cat /tmp/kernel.err)"
	TEST_ADDR=10.99.0.2 PEER_ADDR=10.99.0.1 tas-run -s /tmp/tas.sock --require -- $p >/tmp/tas.out 2>/tmp/tas.err ||
		fail "$p over tas: $? $(cat /tmp/tas.err)"
	diff /tmp/kernel.out /tmp/tas.out || fail "$p: the kernel (-) and tas (+) differ"
	grep -q ': done$' /tmp/tas.out || fail "$p: not one case ran"
done
tasctl -s /tmp/ctl.sock status
tasctl -s /tmp/ctl.sock cores

kill -TERM $daemon
wait $daemon || fail "the service ended with $?"
[ ! -e /sys/class/net/tas0 ] || fail "the device is left"
echo "smoke: ok"
