#!/bin/bash
# Malformed, forged and misdirected frames into the tap: each kind is counted under its name, and the service goes on.
. "$(dirname "$0")/../lib/e2e.sh"
watchdog 140

tas_up
spawn echo "${TAS[@]}" "$PYTHON" "$TAS_SRC/tests/tools/echo_server.py" $TAS_IP 7000
wait_for 20 "the program" grep -q listening "$T/echo.log"
within 20 "${KERNEL[@]}" ping -n -c 1 -W 5 $TAS_IP >/dev/null || fail "no answer to ping"
device=tas0
[ -z "$BASELINE" ] || device=veth1
mac=$("${KERNEL[@]}" ip neigh show $TAS_IP | sed -n 's/.*lladdr \([0-9a-f:]*\).*/\1/p')
[ -n "$mac" ] || fail "no neighbour entry for $TAS_IP"
counted=("$TAS_BUILD/bin/tasctl" "$CTL_SOCKET")
[ -z "$BASELINE" ] || counted=()
within 120 "${KERNEL[@]}" "$PYTHON" "$TAS_SRC/tests/tools/bad_frames.py" $device "$mac" $TAS_IP $PEER_IP 7000 "${counted[@]}" ||
	fail "status $?"
tas_down
