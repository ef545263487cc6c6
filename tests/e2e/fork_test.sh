#!/bin/bash
# fork_test.sh - connections that several processes hold: forking servers, a process for each direction, a parent that is killed,
# a program started with the connection as its standard input. Every byte is checked, every connection ends when its last holder does.
. "$(dirname "$0")/../lib/e2e.sh"
watchdog 240
tas_up
SERVER=$(dirname "$0")/fork_server.py
read -ra SCHEMES <<<"${FORK_SCHEMES:-$(python3 "$SERVER" schemes)}"
port=8100
for scheme in "${SCHEMES[@]}"; do
	port=$((port + 1))
	spawn "$scheme" "${TAS[@]}" python3 "$SERVER" serve $TAS_IP "$scheme" $port
	server=$PID
	wait_for 20 "$scheme to listen" grep -q listening "$T/$scheme.log"
	for n in 1 1000 70000 3000000; do
		[ "$scheme" != both_poll ] || [ $n -le 1000 ] || continue
		within 90 "${KERNEL[@]}" python3 "$SERVER" client $TAS_IP $port $n || fail "$scheme, $n bytes"
	done
	! grep -E 'Error|child:' "$T/$scheme.log" || fail "$scheme: the server complains"
	kill -TERM "$server"
	finish "$server" 10 || true
	say "$scheme: every byte right"
done
[ -n "$BASELINE" ] || [ "$(tas_json status 'counter("conn_moved")')" -gt 0 ] || fail "no connection changed hands"
tas_down
