#!/bin/bash
# What does not go through tas is counted where it happens: tasctl and tas-run --explain show exactly what a program did, for each
# process its own.
. "$(dirname "$0")/../lib/e2e.sh"
tas_only
watchdog 120

tas_up
spawn echo "${KERNEL[@]}" "$PYTHON" "$TAS_SRC/tests/tools/echo_server.py" $PEER_IP 7000
wait_for 20 "the echo server" grep -q listening "$T/echo.log"

# shown FILE: "name count" of its tas-run lines of process PID.
shown() { sed -n "s/^tas-run: $2: \([0-9]*\) [a-z]*: \([a-z_0-9]*\): .*/\2 \1/p" "$1" | sort; }

mkfifo "$T/hold"
ip netns exec "$NS_T" "$TAS_BUILD/bin/tas-run" -s "$SOCKET" --require --explain -- \
	"$PYTHON" "$TAS_SRC/tests/tools/explain_client.py" $PEER_IP 7000 $TAS_IP <"$T/hold" >"$T/client.out" 2>"$T/client.err" &
exec 9>"$T/hold"
client=$!
wait_for 60 "the client" grep -q done "$T/client.out"
grep -v done "$T/client.out" | sort >"$T/expected"
[ "$(wc -l <"$T/expected")" -gt 15 ] || fail "the client did less than it should"

id=$(tas_json apps "[r for r in rows if r['program'].startswith('python') and r['explained'] > 0][0]['id']")
tas_json "app $id" '"\n".join("%s %d" % (r["name"], r["value"]) for r in d["explain"])' | sort >"$T/app"
diff "$T/expected" "$T/app" >&2 || fail "what the client did (<) and tasctl app (>) differ"
tas_json "apps --explain --app $id" '"\n".join("%s %d" % (r["name"], r["value"]) for r in rows)' | sort >"$T/apps"
diff "$T/expected" "$T/apps" >&2 || fail "what the client did (<) and tasctl apps --explain (>) differ"
sum=$(awk '{ s += $2 } END { print s }' "$T/expected")
tas_json "app $id" "d['app']['explained'] == $sum" || fail "tasctl app does not show the sum"
within 30 "${CTL[@]}" app "$id" >"$T/text"
grep -q 'kernel_loopback *connections to a loopback address' "$T/text" || fail "tasctl app: $(cat "$T/text")"

exec 9>&-
finish $client 30 || fail "the client ended with $?: $(cat "$T/client.err")"
pid=$(sed -n 's/^tas-run: \([0-9]*\): [0-9]* connects: kernel_loopback: .*/\1/p' "$T/client.err")
shown "$T/client.err" "$pid" >"$T/report"
diff "$T/expected" "$T/report" >&2 || fail "what the client did (<) and tas-run --explain (>) differ"
! grep -v "^tas-run: $pid:" "$T/client.err" >&2 || fail "the child counts what its parent did"

# Without a region the process keeps the numbers to itself.
make_socket='import socket; socket.socket(); socket.socket(); socket.socket(type=socket.SOCK_DGRAM)'
"$TAS_BUILD/bin/tas-run" -s "$T/nobody" --explain -- "$PYTHON" -c "$make_socket" 2>"$T/none.err" || fail "without a service: $?"
grep -q ': 2 sockets: kernel_no_service: ' "$T/none.err" && grep -q ': 1 sockets: kernel_not_tcp: ' "$T/none.err" ||
	fail "without a service: $(cat "$T/none.err")"
chmod 755 "$T"
chmod 600 "$SOCKET"
setpriv --reuid 65534 --regid 65534 --clear-groups env TAS_EXPLAIN=1 TAS_SOCKET="$SOCKET" LD_PRELOAD="$TAS_BUILD/lib/libtas.so" \
	"$PYTHON" -c "$make_socket" 2>"$T/refused.err" || fail "refused: $?"
grep -q ': 2 sockets: kernel_refused: ' "$T/refused.err" || fail "refused: $(cat "$T/refused.err")"
"$TAS_BUILD/bin/tas-run" -s "$SOCKET" -- "$PYTHON" -c "$make_socket" 2>"$T/silent.err"
[ ! -s "$T/silent.err" ] || fail "without --explain: $(cat "$T/silent.err")"
used_tas
tas_down
