#!/bin/bash
# A port that tas owns, and the kernel on it by the exception tap: ping, UDP both ways, the kernel's TCP servers and clients on the
# shared address, while tas serves there; conflicts of ports each way; tas killed and started again.
. "$(dirname "$0")/../lib/e2e.sh"
tas_only
watchdog 280
ulimit -l unlimited 2>/dev/null || : # AF_XDP's rings

SECOND_IP=10.99.0.3
CLIENT="$TAS_SRC/tests/tools/echo_client.py"
UDP="$TAS_SRC/tests/tools/udp_echo.py"
SERVER="$TAS_SRC/tests/tools/echo_server.py"
counter() { tas_json counters "counter('$1')"; }

serve() { # serve NAME PROGRAM ADDRESS PORT PREFIX...; its pid in PID
	local name=$1 program=$2 address=$3 port=$4
	shift 4
	spawn "$name" "$@" "$PYTHON" "$program" "$address" "$port"
	wait_for 20 "$name" grep -q listening "$T/$name.log"
}

end() { # end PID...
	local pid
	for pid in "$@"; do
		kill -TERM "$pid"
		finish "$pid" 10 || :
	done
}

asks() { # asks EXPECTED CONNECTIONS BYTES ADDRESS PORT PREFIX...
	local expected=$1 n=$2 bytes=$3 address=$4 port=$5 status=0
	shift 5
	within 60 "$@" "$PYTHON" "$CLIENT" "$address" "$port" "$n" "$bytes" >"$T/client.log" 2>&1 || status=$?
	[ $status = "$expected" ] || fail "$* to $address port $port: status $status instead of $expected: $(tail -n 2 "$T/client.log")"
}

pings() { within 30 "$@" >"$T/ping" 2>&1 || fail "no answer to $*: $(cat "$T/ping")"; }
udp() { # udp SIZES ADDRESS PORT PREFIX...
	local sizes=$1 address=$2 port=$3
	shift 3
	within 30 "$@" "$PYTHON" "$UDP" "$address" "$port" "$sizes" >"$T/udp.log" 2>&1 || fail "UDP from $* to $address: $(tail -n 2 "$T/udp.log")"
}

# What must work of the kernel's on the shared address, whatever tas does; the peer is ${KERNEL[@]} in a namespace of its own.
kernel_works() {
	pings "${KERNEL[@]}" ping -c 2 -W 5 -s 1400 $TAS_IP
	pings "${KERNEL[@]}" ping -c 1 -W 5 $SECOND_IP
	pings "${LOCAL[@]}" ping -c 2 -W 5 $PEER_IP
	udp $SIZES $TAS_IP 5300 "${KERNEL[@]}"
	udp $SIZES $PEER_IP 5301 "${LOCAL[@]}"
	asks 0 8 300000 $TAS_IP 22 "${KERNEL[@]}"
	asks 0 8 300000 $PEER_IP 2222 "${LOCAL[@]}"
	asks 3 1 1 $TAS_IP 9 "${KERNEL[@]}" # nobody: the kernel's RST
}

one_driver() { # one_driver DRIVER
	netns_add t
	NS_T=$NS
	netns_add k
	NS_K=$NS
	KERNEL=(ip netns exec "$NS_K")
	LOCAL=(ip netns exec "$NS_T")
	TAS=(ip netns exec "$NS_T" "$TAS_BUILD/bin/tas-run" -s "$SOCKET" --require --)
	netns_veth "$NS_T" veth0 "" "$NS_K" veth1 "$PEER_IP/24"
	"${LOCAL[@]}" "$PYTHON" "$TAS_SRC/tests/tools/offloads_off.py" veth0 || fail "veth0 keeps its offloads"
	"${KERNEL[@]}" "$PYTHON" "$TAS_SRC/tests/tools/offloads_off.py" veth1 || fail "veth1 keeps its offloads"
	TAS_DEVICE=
	local conf="port = \"dpdk:$1,iface=veth0\"
exception_tap = \"exc0\"
addresses = [ \"$TAS_IP/24\", \"$SECOND_IP/24\" ]
tap_address = \"\""
	SIZES=1,500,1400,6000
	if [[ $1 = net_af_packet* ]]; then
		SIZES=1,500,1400 # the driver has the kernel put fragments together, for buffers of 2 KB
		refused_while_seen "$conf"
		"${LOCAL[@]}" sysctl -qw net.ipv4.conf.veth0.rp_filter=1 net.ipv4.conf.veth0.arp_ignore=8 || fail "sysctl"
	fi
	tas_start "$conf"

	serve kernel-tcp "$SERVER" $TAS_IP 22 "${LOCAL[@]}"
	local kernel_tcp=$PID address
	serve kernel-udp "$UDP" $TAS_IP 5300 "${LOCAL[@]}"
	local kernel_udp=$PID
	serve peer-tcp "$SERVER" $PEER_IP 2222 "${KERNEL[@]}"
	local peer_tcp=$PID
	serve peer-udp "$UDP" $PEER_IP 5301 "${KERNEL[@]}"
	local peer_udp=$PID
	kernel_works
	[ "$(counter conn_established)" = 0 ] || fail "$1: a connection of the kernel's was tas's"
	[ "$(counter rst_sent)" = 0 ] || fail "$1: tas has reset a connection of the kernel's"
	[ "$(counter icmp_out)" = 0 ] || fail "$1: two answered a ping"
	for address in $TAS_IP $SECOND_IP; do
		within 20 "${KERNEL[@]}" "$PYTHON" "$TAS_SRC/tests/tools/arp_answers.py" veth1 $PEER_IP $address 1 2>"$T/arp" || fail "$1: ARP for $address: $(tail -n 1 "$T/arp")"
	done

	# tas on the same address at the same time.
	serve tas-tcp "$SERVER" $TAS_IP 80 "${TAS[@]}"
	local tas_tcp=$PID
	spawn load "${KERNEL[@]}" "$PYTHON" "$CLIENT" $TAS_IP 80 8 20000000
	local load=$PID
	kernel_works
	finish "$load" 60 || fail "$1: the client of tas ended with $?: $(tail -n 2 "$T/load.log")"
	asks 0 8 300000 $PEER_IP 2222 "${TAS[@]}"
	[ "$(counter conn_established)" -ge 16 ] || fail "$1: tas served nothing"
	# On this machine: the kernel's programs reach tas's by its kernel half, tas's reach the kernel's.
	asks 0 8 300000 $TAS_IP 80 "${LOCAL[@]}"
	asks 0 8 300000 $TAS_IP 22 "${TAS[@]}"
	asks 0 8 300000 $TAS_IP 80 "${TAS[@]}"
	asks 3 1 1 $TAS_IP 9 "${TAS[@]}"

	# One address, one space of ports.
	in_use "${LOCAL[@]}" "$TAS_IP" 80
	in_use "${TAS[@]}" "$TAS_IP" 22
	in_use "${TAS[@]}" 0.0.0.0 22
	in_use "${LOCAL[@]}" 0.0.0.0 80
	[ "$(counter drop_to_kernel)" = 0 ] && [ "$(counter drop_tap_in)" = 0 ] || fail "$1: frames for the kernel were lost: $("${CTL[@]}" drops)"
	[ "$(counter conn_reset_in)" = 0 ] || fail "$1: somebody reset a connection of tas"

	# A flood of UDP that nobody reads: tas goes on.
	spawn flood "${KERNEL[@]}" "$PYTHON" "$UDP" $TAS_IP 5399 flood
	local flood=$PID
	asks 0 8 2000000 $TAS_IP 80 "${KERNEL[@]}"
	end "$flood"

	# Killed and started again: the kernel's programs are still there, a client of before has its connection.
	spawn stays "${KERNEL[@]}" "$PYTHON" "$TAS_SRC/tests/tools/stay_client.py" $TAS_IP 22 "$T/go"
	local stays=$PID
	wait_for 20 "the client that stays" grep -q open "$T/stays.log"
	kill -KILL "$TAS_PID"
	wait "$TAS_PID" 2>/dev/null || :
	! within 10 "${KERNEL[@]}" ping -c 1 -W 1 $TAS_IP >/dev/null || fail "$1: an answer to ping without tas"
	[ "$1" != net_af_xdp0 ] || ip -n "$NS_T" link set veth0 xdp off
	end "$tas_tcp"
	tas_start "$conf"
	touch "$T/go"
	finish "$stays" 60 || fail "$1: the kernel's connection did not outlive tas: $(tail -n 2 "$T/stays.log")"
	kernel_works
	serve tas-again "$SERVER" $TAS_IP 80 "${TAS[@]}"
	asks 0 8 300000 $TAS_IP 80 "${KERNEL[@]}"
	end "$PID" "$kernel_tcp" "$kernel_udp" "$peer_tcp" "$peer_udp"
	say "$1: $(counter tap_in) frames to the kernel, $(counter tap_out) from it"
	tas_stop
	! ip -n "$NS_T" link show exc0 >/dev/null 2>&1 || fail "$1: the exception tap is still there"
	netns_del "$NS_T"
	netns_del "$NS_K"
	DONE="$DONE $1"
	rm -f "$T/go"
}

in_use() { # in_use PREFIX... ADDRESS PORT: bind() or listen() says EADDRINUSE
	local prefix=("${@:1:$#-2}") address=${*: -2:1} port=${*: -1}
	within 20 "${prefix[@]}" "$PYTHON" - "$address" "$port" <<-'PY' || fail "$address port $port: no EADDRINUSE for ${prefix[*]}"
		import errno, socket, sys
		for reuse in (0, 1):
		    s = socket.socket()
		    s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, reuse)
		    try:
		        s.bind((sys.argv[1], int(sys.argv[2])))
		        s.listen()
		        sys.exit(1)
		    except OSError as e:
		        assert e.errno == errno.EADDRINUSE, e
	PY
}

# The kernel would hear every frame twice, and reset what is tas's.
refused_while_seen() {
	tas_conf "$1" >"$T/seen.conf"
	! within 20 ip netns exec "$NS_T" "$TAS_BUILD/bin/tas" --config "$T/seen.conf" 2>"$T/seen.err" || fail "a port whose frames the kernel takes, too, was not refused"
	grep -q rp_filter "$T/seen.err" || fail "refused for another reason: $(cat "$T/seen.err")"
}

DONE=
for driver in ${DRIVERS:-net_af_xdp0:44 net_af_packet0:17}; do
	if has_sockets "${driver#*:}"; then
		one_driver "${driver%:*}"
	else
		say "${driver%:*}: left out, this kernel has no such sockets"
	fi
done
[ -n "$DONE" ] || skip "this kernel offers neither AF_PACKET nor AF_XDP sockets"
say "ok:$DONE"
