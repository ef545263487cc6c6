#!/bin/bash
# The service on DPDK ports instead of a tap: AF_PACKET and AF_XDP on a veth. Echo, 20 MB both ways by SHA-256, a clean stop.
. "$(dirname "$0")/../lib/e2e.sh"
tas_only
watchdog 280
BYTES=20000000
www $BYTES
mkdir -m 777 "$T/www/put"
SUM=$(sha_of "$T/www/$BYTES")
ulimit -l unlimited 2>/dev/null || : # AF_XDP's rings

echo_bytes() {
	spawn server "${TAS[@]}" "$PYTHON" "$TAS_SRC/tests/tools/echo_server.py" $TAS_IP 7000
	local server=$PID
	wait_for 20 "the server" grep -q listening "$T/server.log"
	within 30 "${KERNEL[@]}" "$PYTHON" - $TAS_IP 7000 <<-'PY' || fail "echo: status $?"
		import os, socket, sys
		s = socket.create_connection((sys.argv[1], int(sys.argv[2])), timeout=20)
		for size in (1, 100, 1448, 5000, 60000):
		    data, got = os.urandom(size), b""
		    s.sendall(data)
		    while len(got) < size:
		        part = s.recv(65536)
		        assert part, "closed after %d of %d bytes" % (len(got), size)
		        got += part
		    assert got == data, "%d bytes came back changed" % size
	PY
	kill -TERM "$server"
	finish "$server" 10 || :
}

files() {
	nginx_conf main $TAS_IP:80 "location /put/ { dav_methods PUT; }"
	nginx_run main "${TAS[@]}"
	fetch http://$TAS_IP/$BYTES "$T/got" "$SUM"
	within 60 "${KERNEL[@]}" curl -sS --fail -T "$T/www/$BYTES" http://$TAS_IP/put/x || fail "curl -T: status $?"
	sha_is "$T/www/put/x" "$SUM"
	nginx_stop main
}

DONE=
one_driver() { # one_driver DRIVER FAMILY
	if ! has_sockets "$2"; then
		say "$1: left out, this kernel has no such sockets: $(cat "$T/why")"
		return
	fi
	dpdk_up "$1"
	within 30 "${KERNEL[@]}" ping -c 2 -W 5 $TAS_IP >"$T/ping" || fail "$1: no answer to ping: $(cat "$T/ping")"
	echo_bytes
	files
	used_tas
	tas_stop
	netns_del "$NS_T"
	netns_del "$NS_K"
	rm -f "$T/www/put/x" "$T/got"
	DONE="$DONE $1"
	say "$1: echo, $BYTES bytes both ways"
}

one_driver net_af_packet0 17
one_driver net_af_xdp0 44
[ -n "$DONE" ] || skip "this kernel offers neither AF_PACKET nor AF_XDP sockets"
say "ok:$DONE"
