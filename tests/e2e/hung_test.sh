#!/bin/bash
# hung_test.sh - the service is stopped (SIGSTOP): new programs go on with the kernel, a program that asks it something can be
# ended, and when it goes on it serves again.
. "$(dirname "$0")/../lib/e2e.sh"
watchdog 120
[ -z "$BASELINE" ] || skip "speaks of the service alone"
tas_up
www 5000
nginx_conf local 127.0.0.1:80
nginx_run local ip netns exec "$NS_T"
LOCAL=(ip netns exec "$NS_T" "$TAS_BUILD/bin/tas-run" -s "$SOCKET" -- curl -sS --fail -o "$T/got" http://127.0.0.1/5000)
within 30 "${LOCAL[@]}" || fail "before: $?"
kill -STOP "$TAS_PID"
within 60 "${LOCAL[@]}" 2>"$T/err" || fail "with the service stopped: $?"
same_file "$T/got" "$T/www/5000"
grep -q 'did not answer' "$T/err" || fail "nobody said that the service does not answer: $(cat "$T/err")"
kill -CONT "$TAS_PID"
wait_for 20 "the service to answer again" "${CTL[@]}" status
rm "$T/got"
within 60 "${LOCAL[@]}" || fail "after: $?"
same_file "$T/got" "$T/www/5000"
nginx_stop local
tas_down
