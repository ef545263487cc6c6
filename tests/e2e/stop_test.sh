#!/bin/bash
# A receiving program is stopped (SIGSTOP) with 24 connections of small segments: others are served, SIGCONT continues, nothing lost.
. "$(dirname "$0")/../lib/e2e.sh"
watchdog 140

tas_up
spawn stopped "${TAS[@]}" "$PYTHON" "$TAS_SRC/tests/tools/echo_server.py" $TAS_IP 7001 digest
STOPPED=$PID
spawn other "${TAS[@]}" "$PYTHON" "$TAS_SRC/tests/tools/echo_server.py" $TAS_IP 7002
wait_for 20 "the programs" grep -q listening "$T/stopped.log"
wait_for 20 "the programs" grep -q listening "$T/other.log"
within 120 "${KERNEL[@]}" "$PYTHON" "$TAS_SRC/tests/tools/stop_client.py" $TAS_IP 7001 "$STOPPED" 7002 || fail "status $?"
tas_down
