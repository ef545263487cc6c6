#!/bin/bash
# A server is killed (SIGKILL) with 50 connections open: peers see them end, the port refuses, and nothing of it stays in the service.
. "$(dirname "$0")/../lib/e2e.sh"
CYCLES=20
[ -z "$TAS_LONG" ] || CYCLES=1000
watchdog $((200 + CYCLES * 3))

cycle() {
	spawn server "${TAS[@]}" "$PYTHON" "$TAS_SRC/tests/tools/echo_server.py" $TAS_IP 7000
	local server=$PID
	wait_for 20 "the server" grep -q listening "$T/server.log"
	within 60 "${KERNEL[@]}" "$PYTHON" "$TAS_SRC/tests/tools/kill_client.py" $TAS_IP 7000 50 "$server" >"$T/client.log" 2>&1 ||
		fail "cycle $1: $(tail -n 1 "$T/client.log")"
	wait "$server" 2>/dev/null || :
}

tas_up
cycle 1
cycle 2
[ -n "$BASELINE" ] || usage_remember
for ((i = 3; i <= CYCLES; i++)); do
	cycle $i
	[ $((i % 100)) != 0 ] || say "$i kills"
done
say "$CYCLES kills, the last: $(cat "$T/client.log")"
[ -n "$BASELINE" ] || usage_same
tas_down
