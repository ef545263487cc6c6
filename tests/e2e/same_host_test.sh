#!/bin/bash
# Both ends on this machine: every mix of a tas and a kernel program over loopback, the kernel's address and tas's, bytes checked
# both ways with 1 and 64 connections; a program with itself; nginx and its upstream; kills; harmed frames; with two cores groups move.
. "$(dirname "$0")/../lib/e2e.sh"
tas_only
watchdog 280

CLIENT="$TAS_SRC/tests/tools/echo_client.py"
counter() { tas_json counters "counter('$1')"; }

serve() { # serve NAME ADDRESS PORT PREFIX...
	local name=$1 address=$2 port=$3
	shift 3
	spawn "$name" "$@" "$PYTHON" "$TAS_SRC/tests/tools/echo_server.py" "$address" "$port"
	SERVERS_UP+=("$PID")
	wait_for 20 "$name" grep -q listening "$T/$name.log"
}

attempt() { # attempt CONNECTIONS ADDRESS PORT PREFIX...: "ok" or "refused"
	local n=$1 address=$2 port=$3 status=0
	shift 3
	within 60 "$@" "$PYTHON" "$CLIENT" "$address" "$port" "$n" $((n == 1 ? 3000000 : 200000)) >"$T/client.log" 2>&1 || status=$?
	case $status in
	0) GOT=ok ;;
	3) GOT=refused ;;
	*) fail "$* to $address port $port: status $status: $(tail -n 3 "$T/client.log")" ;;
	esac
}

tas_up
# ::1 is there although the harness has no IPv6 elsewhere.
ip netns exec "$NS_T" sysctl -qw net.ipv6.conf.lo.disable_ipv6=0 || fail "no IPv6 on lo"
SERVERS_UP=()
serve tas-named $TAS_IP 7001 "${TAS[@]}"
serve tas-any 0.0.0.0 7002 "${TAS[@]}"
serve tas-any6 :: 7003 "${TAS[@]}"
serve kernel-named $PEER_IP 7004 "${KERNEL[@]}"
serve kernel-any 0.0.0.0 7005 "${KERNEL[@]}"
serve kernel-any6 :: 7006 "${KERNEL[@]}"

# Server's port, then what 127.0.0.1, ::1, the kernel's address and tas's must give, whoever asks.
MATRIX="7001 refused refused refused ok
7002 ok refused ok ok
7003 ok ok ok ok
7004 refused refused ok refused
7005 ok refused ok refused
7006 ok ok ok refused"
while read -r port lo lo6 kernel tas; do
	for n in 1 64; do
		for pair in "127.0.0.1 $lo" "::1 $lo6" "$PEER_IP $kernel" "$TAS_IP $tas"; do
			read -r address expected <<<"$pair"
			attempt $n "$address" "$port" "${TAS[@]}"
			[ $GOT = $expected ] || fail "tas to $address port $port, $n connections: $GOT instead of $expected"
			attempt $n "$address" "$port" "${KERNEL[@]}"
			[ $GOT = $expected ] || fail "kernel to $address port $port, $n connections: $GOT instead of $expected"
		done
	done
done <<<"$MATRIX"
[ "$(counter loop_packets)" -gt 1000 ] || fail "tas to tas did not stay here"
[ "$(counter drop_loop_full)" = 0 ] || fail "$(counter drop_loop_full) frames found no room on their way to ourselves"
explained=$(tas_json "apps" "len(rows)")
say "6 servers, 2 clients, 4 addresses, 1 and 64 connections; $(counter loop_packets) frames stayed here; $explained programs"
for pid in "${SERVERS_UP[@]}"; do
	kill -TERM "$pid"
	finish "$pid" 10 || :
done

# ping is the kernel's, from a tas program too.
within 30 "${TAS[@]}" ping -c 1 -W 5 $TAS_IP >"$T/ping" || fail "no answer to ping: $(cat "$T/ping")"

# A program with itself: the same words over tas and over the kernel's loopback.
CASES="self_connect refused names reset same_port backlog simultaneous"
within 60 "${TAS[@]}" "$PYTHON" "$TAS_SRC/tests/tools/same_host.py" $TAS_IP $CASES >"$T/words.tas" 2>&1 || fail "same_host.py over tas: $(tail -n 3 "$T/words.tas")"
within 60 "${KERNEL[@]}" "$PYTHON" "$TAS_SRC/tests/tools/same_host.py" 127.0.0.1 $CASES >"$T/words.kernel" 2>&1 || fail "same_host.py over the kernel: $(tail -n 3 "$T/words.kernel")"
diff "$T/words.kernel" "$T/words.tas" >&2 || fail "over tas a program with itself sees something else than over the kernel"

# nginx and its upstream, both on tas; groups move meanwhile when there are two cores.
mover() {
	while :; do
		"${CTL[@]}" move-group all 0 && sleep 0.05 && "${CTL[@]}" move-group all 1 && sleep 0.05 || return 1
	done
}
MOVER=
if [ "${TAS_CORES:-1}" = 2 ]; then
	spawn mover bash -c "$(declare -f mover); CTL=(${CTL[*]}); mover"
	MOVER=$PID
fi
www 1000 20000000
nginx_conf main $TAS_IP:80 "location / { proxy_pass http://$TAS_IP:8080; proxy_buffering off; }" "server { listen $TAS_IP:8080; root $T/www; }"
nginx_run main "${TAS[@]}"
for size in 1000 20000000; do
	for i in 1 2 3; do
		fetch http://$TAS_IP/$size "$T/got" "$(sha_of "$T/www/$size")"
		within 60 "${TAS[@]}" curl -sS --fail -o "$T/got" http://$TAS_IP/$size || fail "curl over tas: status $?"
		sha_is "$T/got" "$(sha_of "$T/www/$size")"
	done
done
nginx_stop main
serve echo $TAS_IP 7001 "${TAS[@]}"
for i in 1 2 3; do
	attempt 64 $TAS_IP 7001 "${TAS[@]}"
	[ $GOT = ok ] || fail "64 connections: $GOT"
done
if [ -n "$MOVER" ]; then
	alive "$MOVER" || fail "the mover ended: $(cat "$T/mover.log")"
	kill -TERM "$MOVER"
	finish "$MOVER" 10 || :
	[ "$(counter flows_moved)" -gt 0 ] || fail "no flow moved"
	[ "$(counter drop_forward)" = 0 ] || fail "frames were dropped between cores"
	say "moved $(counter flows_moved) flows"
fi
kill -TERM "${SERVERS_UP[-1]}"
finish "${SERVERS_UP[-1]}" 10 || :

# Killed: the server under 50 connections, then the client; the other end hears of it, nothing stays.
kill_server "the first" "${TAS[@]}"
usage_remember
for i in 1 2 3 4 5; do kill_server "number $i" "${TAS[@]}"; done
serve echo2 $TAS_IP 7001 "${TAS[@]}"
for i in 1 2 3; do
	spawn client "${TAS[@]}" "$PYTHON" "$CLIENT" $TAS_IP 7001 50 20000000
	many_open() { [ "$(tas_json status 'data["connections"]["open"]' 2>/dev/null || tas_json flows 'len([r for r in rows if r["state"] == "established"])')" -ge 100 ]; }
	wait_for 30 "100 ends" many_open
	kill -KILL "$PID"
	wait "$PID" 2>/dev/null || :
done
kill -TERM "${SERVERS_UP[-1]}"
finish "${SERVERS_UP[-1]}" 10 || :
usage_same
tas_stop

# Harmed on their way out and in, and told by their checksums: every byte right all the same.
tas_start "fault_where = 3
fault_drop = 10
fault_duplicate = 10
fault_reorder = 10
fault_corrupt = 10"
serve echo3 $TAS_IP 7001 "${TAS[@]}"
for n in 1 16; do
	attempt $n $TAS_IP 7001 "${TAS[@]}"
	[ $GOT = ok ] || fail "harmed frames, $n connections: $GOT"
done
[ "$(counter faults)" -gt 10 ] || fail "no frame was harmed"
tas_down
