#!/bin/bash
# A receiving program is stopped (SIGSTOP) with 24 connections of small segments: others are served, SIGCONT continues, nothing lost.
# Then the service itself is stopped and continued, idle and under the same load: nothing is lost, and it is still there.
. "$(dirname "$0")/../lib/e2e.sh"
watchdog 140

tas_up
spawn stopped "${TAS[@]}" "$PYTHON" "$TAS_SRC/tests/tools/echo_server.py" $TAS_IP 7001 digest
STOPPED=$PID
spawn other "${TAS[@]}" "$PYTHON" "$TAS_SRC/tests/tools/echo_server.py" $TAS_IP 7002
wait_for 20 "the programs" grep -q listening "$T/stopped.log"
wait_for 20 "the programs" grep -q listening "$T/other.log"
within 120 "${KERNEL[@]}" "$PYTHON" "$TAS_SRC/tests/tools/stop_client.py" $TAS_IP 7001 "$STOPPED" 7002 || fail "status $?"

daemon_stopped() { grep -q '^State:[[:space:]]*T' "/proc/$TAS_PID/status"; }
stop_and_continue() {
	kill -STOP "$TAS_PID"
	wait_for 20 "the service to stop" daemon_stopped
	kill -CONT "$TAS_PID"
	within 20 "${CTL[@]}" status >"$T/status" || fail "the service is gone after SIGCONT: $(tail -3 "$T/tas-$TAS_STARTS.log")"
}
if [ -z "$BASELINE" ]; then
	for ((i = 0; i < 5; i++)); do
		stop_and_continue
	done
	spawn load "${KERNEL[@]}" "$PYTHON" "$TAS_SRC/tests/tools/stop_client.py" $TAS_IP 7001 "$STOPPED" 7002
	LOAD=$PID
	for ((i = 0; i < 30; i++)); do
		stop_and_continue
	done
	finish "$LOAD" 60 || fail "the load ended with $?: $(cat "$T/load.log")"
fi
tas_down
