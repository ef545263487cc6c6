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

# Which sockets, by listener and by destination: over tas with their bytes, by the kernel with the reason. A daemon has given its
# standard error away: it writes to the file, as a child that ends by _exit() does.
cat >"$T/places.py" <<'PY'
import os, socket, sys
tas, peer, port = sys.argv[1], sys.argv[2], int(sys.argv[3])
def talk(s, n):
    s.sendall(b"x" * n)
    while n:
        n -= len(s.recv(65536))
for n in (1000, 5000):
    s = socket.create_connection((peer, port))
    talk(s, n)
    s.close()
kept = socket.create_connection((peer, port))
talk(kept, 10)
for _ in range(3):
    try:
        socket.create_connection(("127.0.0.1", 9))
    except ConnectionRefusedError:
        pass
l = socket.create_server((tas, 7010))
k = socket.create_server(("127.0.0.1", 7011))
print("serving", flush=True)
for _ in range(2):
    s, _ = l.accept()
    s.sendall(s.recv(65536) * 2)
    s.close()
if os.fork() == 0:
    talk(socket.create_connection((peer, port)), 77)
    os._exit(0)
os.wait()
if len(sys.argv) > 4:
    os.closerange(0, 3)
PY
places() { # places NAME LOG TAS-RUN OPTIONS...
	spawn "$1" ip netns exec "$NS_T" "$TAS_BUILD/bin/tas-run" -s "$SOCKET" --require "${@:3}"
	local pid=$PID
	wait_for 20 "$1" grep -q serving "$T/$1.log"
	for i in 1 2; do
		[ "$(within 20 "${KERNEL[@]}" bash -c "exec 3<>/dev/tcp/$TAS_IP/7010; echo -n 12345678 >&3; cat <&3" | wc -c)" = 16 ] || fail "$1: no echo"
	done
	finish "$pid" 30 || fail "$1 ended with $?"
	sed -n "s/^tas-run: $pid: \(tas\|kernel\) *\(on\|to\) */\1 \2 /p" "$2" | tr -s ' ' | sort >"$T/$1.parent"
	sed "/^tas-run: $pid:/d; s/^tas-run: [0-9]*: //" "$2" | grep -E '^(tas|kernel) ' | tr -s ' ' | sort >"$T/$1.child"
	cat >"$T/$1.expected" <<-END
		kernel on 127.0.0.1:7011 1 - - listeners on an address that tas does not serve
		kernel to 127.0.0.1:9 3 - - connections to a loopback address
		tas on $TAS_IP:7010 2 16 32
		tas to $PEER_IP:7000 3 6010 6010
	END
	diff "$T/$1.expected" "$T/$1.parent" >&2 || fail "$1: what it did (<) and what is said of it (>) differ"
	diff <(echo "tas to $PEER_IP:7000 1 77 77") "$T/$1.child" >&2 || fail "$1: what its child did (<) and what is said of it (>) differ"
}
places shown "$T/shown.log" --explain -- "$PYTHON" "$T/places.py" $TAS_IP $PEER_IP 7000
places filed "$T/explained" --explain="$T/explained" -- "$PYTHON" "$T/places.py" $TAS_IP $PEER_IP 7000 close
! grep -q '^tas-run' "$T/filed.log" || fail "standard error was closed, and written to"

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
