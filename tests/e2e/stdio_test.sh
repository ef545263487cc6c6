#!/bin/bash
# stdio_test.sh - programs that know of no socket answer over one: CGI scripts under Python's http.server, and bash's /dev/tcp.
. "$(dirname "$0")/../lib/e2e.sh"
tas_only
watchdog 120
tas_up
mkdir -p "$T/site/cgi-bin"
cat >"$T/site/cgi-bin/date" <<'CGI'
#!/bin/sh
echo "Content-Type: text/plain"
echo
date -u -d @0 +%F
echo "method $REQUEST_METHOD"
CGI
chmod -R a+rX "$T" "$T/site"
chmod 755 "$T"/site/cgi-bin/*
spawn cgi "${TAS[@]}" python3 -u -m http.server --cgi --bind $TAS_IP --directory "$T/site" 8301
server=$PID
cd "$T/site"
ask() { within 30 "${KERNEL[@]}" curl -sS -m 20 "$@"; }
wait_for 20 "the server" grep -q Serving "$T/cgi.log"
for ((i = 0; i < 5; i++)); do
	got=$(ask http://$TAS_IP:8301/cgi-bin/date)
	[ "$got" = $'1970-01-01\nmethod GET' ] || fail "CGI answered \"$got\""
done
say "CGI"
kill -TERM "$server"
finish "$server" 10 || true

spawn peer "${KERNEL[@]}" python3 -u -c 'import socket, sys
l = socket.create_server((sys.argv[1], 8302))
print("listening")
c = l.accept()[0].makefile("rw")
print(c.readline(), end="")
c.write("answer\n")' $PEER_IP
peer=$PID
wait_for 20 "the peer" grep -q listening "$T/peer.log"
got=$(within 30 "${TAS[@]}" bash -c 'exec 3<>/dev/tcp/$0/8302; printf "hello %d\n" 5 >&3; read -r line <&3; echo "got $line"' $PEER_IP)
[ "$got" = "got answer" ] || fail "bash said \"$got\""
finish "$peer" 10 || fail "the peer: status $?"
grep -qx 'hello 5' "$T/peer.log" || fail "bash's printf did not arrive"
say "bash's /dev/tcp"
tas_down
