#!/bin/bash
# exec_test.sh - what the next program of a process inherits: listeners and connections whose descriptors stay open, not those with
# close-on-exec; nginx replaces its binary under load (USR2, QUIT) without a failed request.
. "$(dirname "$0")/../lib/e2e.sh"
watchdog 180
tas_up
SERVER=$(dirname "$0")/exec_server.py
ask() { "${KERNEL[@]}" timeout 10 python3 -c 'import socket, sys
c = socket.create_connection((sys.argv[1], int(sys.argv[2])), timeout=8)
sys.stdout.write(c.makefile().read())' $TAS_IP "$1"; }
# By a reset: a listener that nobody accepts from any more would not answer either.
refused() { "${KERNEL[@]}" timeout 10 python3 -c 'import socket, sys
try:
    socket.create_connection((sys.argv[1], int(sys.argv[2])), timeout=8)
except ConnectionRefusedError:
    sys.exit(0)
sys.exit(1)' $TAS_IP "$1"; }

spawn heir "${TAS[@]}" python3 "$SERVER" listen $TAS_IP 8201
heir=$PID
wait_for 20 "the heir to serve" grep -q "serving heir" "$T/heir.log"
for ((i = 0; i < 20; i++)); do
	[[ $(ask 8201) = "heir "* ]] || fail "the listener did not survive exec"
done
refused 8202 || fail "a listener with close-on-exec is still there"
kill -TERM "$heir"; finish "$heir" 10 || true
wait_for 10 "the port to be free" refused 8201
say "a listener over exec, and one that is closed"

spawn family "${TAS[@]}" python3 "$SERVER" parent $TAS_IP 8211
parent=$PID
wait_for 20 "the child to serve" grep -q 'serving child' "$T/family.log"
wait_for 20 "the parent to serve" grep -q 'serving parent' "$T/family.log"
for ((i = 0; i < 20; i++)); do
	[[ $(ask 8211) =~ ^(parent|child)\  ]] || fail "parent and child do not share the listener"
done
child=$(pgrep -P "$parent")
kill -TERM "$parent"; finish "$parent" 10 || true
for ((i = 0; i < 10; i++)); do
	[[ $(ask 8211) = "child "* ]] || fail "the child lost the listener with its parent"
done
kill -TERM "$child"
wait_for 10 "the child to end" gone "$child"
say "a listener shared by a program and its parent"

spawn drop "${TAS[@]}" python3 "$SERVER" drop $TAS_IP 8221
wait_for 20 "it to listen" grep -q listening "$T/drop.log"
within 30 "${KERNEL[@]}" python3 -c 'import socket, sys
a = socket.create_connection((sys.argv[1], 8221), timeout=20)
b = socket.create_connection((sys.argv[1], 8221), timeout=20)
assert b.makefile().readline() == "held\n", "the connection did not survive exec"
assert a.recv(1) == b"", "a connection with close-on-exec is still open"
b.sendall(b"x")
b.settimeout(20)
assert b.recv(10) == b"end\n" and b.recv(1) == b"", "the connection did not go on"
' $TAS_IP || fail "connections over exec"
say "connections over exec"

www 1000
nginx_conf main $TAS_IP:80
NGINX_PIDFILE=$T/nginx-main/nginx.pid
sed -i '1i env LD_LIBRARY_PATH;' "$T/nginx-main/nginx.conf" # nginx hands nothing else to the new one; this one lies in a folder of its own
nginx_run main "${TAS[@]}"
old=$NGINX_PID
spawn load "${KERNEL[@]}" bash -c "n=0; while [ ! -e $T/stop ]; do curl -sf -m 20 -o /dev/null http://$TAS_IP/1000 || { echo failed; exit 1; }; n=\$((n + 1)); echo \$n >$T/count; done; echo \$n requests"
load=$PID
asked() { [ "$(cat "$T/count" 2>/dev/null || echo 0)" -ge "$1" ]; }
wait_for 20 "the load to run" asked 10
kill -USR2 "$old"
new_master() { # the file is the old one's, then missing, then the new one's
	new=$(cat "$NGINX_PIDFILE" 2>/dev/null) && [ -n "$new" ] && [ "$new" != "$old" ]
}
wait_for 20 "the new master" new_master
wait_for 20 "its workers" pgrep -P "$new"
kill -QUIT "$old"
wait_for 30 "the old nginx to end" gone "$old"
wait_for 20 "the new nginx to serve" asked $(($(cat "$T/count") + 10))
touch "$T/stop"
finish "$load" 30 || fail "a request failed while nginx replaced itself: $(cat "$T/load.log")"
fetch http://$TAS_IP/1000 "$T/got" "$(sha_of "$T/www/1000")"
say "nginx replaced itself: $(cat "$T/load.log")"
kill -QUIT "$new"
wait_for 30 "the new nginx to end" gone "$new"
tas_down
