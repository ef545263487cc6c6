#!/bin/bash
# Programs that a preloaded library does not reach, under tas-run --trap: a static Go HTTP server and client, and a static C program
# whose control calls must answer as on the kernel's sockets.
. "$(dirname "$0")/../lib/e2e.sh"
watchdog 250

bash "$TAS_SRC/tests/lib/setup.sh" go
go_build "$TAS_SRC/tests/tools/go_http.go" "$T/go_http"
gcc -static -O1 -D_GNU_SOURCE -o "$T/calls" "$TAS_SRC/tests/tools/trap_calls.c"
www 0 1 1000 100000 8388608 67108864
tas_up
TRAP=("${TAS[@]}")
[ -n "$BASELINE" ] || TRAP=(ip netns exec "$NS_T" "$TAS_BUILD/bin/tas-run" -s "$SOCKET" --require --trap --)

go_serve() { # go_serve NAME ADDRESS PREFIX...
	spawn "$1" "${@:3}" "$T/go_http" serve "$2" "$T/www"
	wait_for 20 "$1 to listen" grep -q 'listening on' "$T/$1.log"
}

# slow_transfer NAME: a server, its process in $NAME, in the middle of sending to curl, its process in $slow.
slow_transfer() {
	go_serve "$1" "$TAS_IP:8082" "${TRAP[@]}"
	printf -v "$1" %s "$PID"
	spawn slow "${KERNEL[@]}" curl -sS --limit-rate 1M -o /dev/null "http://$TAS_IP:8082/67108864"
	slow=$PID
	wait_for 10 "the transfer" tas_json flows 'any(r["local_port"] == 8082 and r["bytes_out"] > 100000 for r in rows)'
}

# The supervisor of a program, which is no child of it; by tasctl.
supervisor() { tas_json apps "[r for r in rows if r['program'].startswith('trap:$1')][0]['pid']"; }

# ---- a server: [::]:8080, as Go listens without being told otherwise ----

go_serve server :8080 "${TRAP[@]}"
server=$PID
for size in 0 1 1000 100000 8388608 67108864; do
	sum=$(sha_of "$T/www/$size")
	fetch "http://$TAS_IP:8080/$size" "$T/got" "$sum"
	got=$(within 60 "${KERNEL[@]}" curl -sS --fail --data-binary "@$T/www/$size" "http://$TAS_IP:8080/") || fail "POST $size: $?"
	[ "$got" = "$sum" ] || fail "POST of $size bytes arrived as $got"
done
within 20 "${KERNEL[@]}" curl -sS --fail "http://$TAS_IP:8080/peer" "http://$TAS_IP:8080/peer" >"$T/peers"
[ "$(sort -u "$T/peers" | wc -l)" = 1 ] || fail "two requests of one connection have two peers: $(cat "$T/peers")"
grep -qE "^$PEER_IP:[0-9]+ $TAS_IP:8080$" "$T/peers" || fail "the server's view of the connection: $(cat "$T/peers")"
wrk_run "$T/wrk.log" -t 2 -c 64 -d 3 "http://$TAS_IP:8080/1000"
if [ -z "$BASELINE" ]; then
	spawn idle "${KERNEL[@]}" bash -c "exec 3<>/dev/tcp/$TAS_IP/8080; read -r -u 3"
	wait_for 10 "tasctl to show the flow" tas_json flows \
		"any(r['state'] == 'established' and r['program'] == 'trap:go_http' for r in rows)"
	within 20 ip netns exec "$NS_T" curl -sS --fail "http://$PEER_IP:8080/1000" -o "$T/got" || fail "by the kernel's half: $?"
	same_file "$T/got" "$T/www/1000"
fi

# ---- a client ----

go_serve upstream "$PEER_IP:8081" "${KERNEL[@]}"
for size in 0 1000 67108864; do
	within 60 "${TRAP[@]}" "$T/go_http" get "http://$PEER_IP:8081/$size" >"$T/got" || fail "GET $size: $?"
	same_file "$T/got" "$T/www/$size"
	within 60 "${TRAP[@]}" "$T/go_http" post "http://$PEER_IP:8081/" "$T/www/$size" >"$T/got" || fail "POST $size: $?"
	[ "$(cat "$T/got")" = "$(sha_of "$T/www/$size")" ] || fail "POST of $size bytes arrived as $(cat "$T/got")"
done
within 20 "${TRAP[@]}" "$T/go_http" refused "$PEER_IP:9" || fail "a port where nobody listens: $?"

# ---- exit status, signals, and the death of either ----

status=0
within 20 "${TRAP[@]}" bash -c 'exit 42' || status=$?
[ $status = 42 ] || fail "exit status $status, not 42"
status=0
within 20 "${TRAP[@]}" bash -c 'kill -USR1 $$' || status=$?
[ $status = 138 ] || fail "status $status of a killed program"
status=0
within 20 "${TRAP[@]}" "$T/there-is-no-such-program" 2>"$T/none" || status=$?
[ $status != 0 ] || fail "a program that is not there has started"
[ -n "$BASELINE" ] || [ $status = 127 ] || fail "status $status of a program that is not there"

kill -TERM "$server"
status=0
finish "$server" 10 || status=$?
[ $status = 3 ] || fail "the server's handler of SIGTERM did not run: $status"
if [ -z "$BASELINE" ]; then
	wait_for 10 "the supervisor to end with it" tas_json apps 'len([r for r in rows if r["program"] == "trap:go_http"]) == 0'
	slow_transfer doomed
	kill -KILL "$(supervisor go_http)"
	! finish "$slow" 20 || fail "the transfer went on without the supervisor"
	within 20 "${KERNEL[@]}" "$T/go_http" refused "$TAS_IP:8082" || fail "the port of a dead supervisor: $?"
	wait_for 20 "the server to see the end of its supervisor" gone "$doomed"
	slow_transfer killed
	kill -KILL "$killed"
	! finish "$slow" 60 || fail "the transfer went on without the program"
	wait_for 20 "the supervisor to end" tas_json apps 'len([r for r in rows if r["program"] == "trap:go_http"]) == 0'
fi

# ---- the control calls, one by one ----

calls() { # calls NAME ADDRESS PORT SERVER CLIENT: the last two are names of arrays
	local -n SERVER=$4 CLIENT=$5
	spawn "$1-server" "${SERVER[@]}" "$T/calls" serve "$2" "$3"
	local pid=$PID
	wait_for 20 "$1 to listen" grep -q ready "$T/$1-server.log"
	within 60 "${CLIENT[@]}" "$T/calls" connect "$2" "$3" >"$T/$1-client.log" 2>&1 || fail "$1: the client ended with $?"
	finish "$pid" 20 || fail "$1: the server ended with $?"
}
calls kernel "$PEER_IP" 7000 KERNEL KERNEL
calls server "$TAS_IP" 7001 TRAP KERNEL
calls client "$PEER_IP" 7002 KERNEL TRAP
[ "$(cat "$T"/kernel-*.log | wc -l)" -gt 70 ] || fail "the programs did less than they should"
for side in server client; do
	diff "$T/kernel-$side.log" "$T/server-$side.log" >&2 || fail "$side, on the kernel (<) and with the server under --trap (>)"
	diff "$T/kernel-$side.log" "$T/client-$side.log" >&2 || fail "$side, on the kernel (<) and with the client under --trap (>)"
done
[ -n "$BASELINE" ] || used_tas
tas_down
