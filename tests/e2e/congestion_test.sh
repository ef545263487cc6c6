#!/bin/bash
# TCP_CONGESTION: what a program chooses is what tasctl shows and what carries the data, also for an algorithm that the kernel lacks.
. "$(dirname "$0")/../lib/e2e.sh"
tas_only
watchdog 100

tas_up
spawn echo "${KERNEL[@]}" "$PYTHON" "$TAS_SRC/tests/tools/echo_server.py" $PEER_IP 7000
wait_for 20 "the echo server" grep -q listening "$T/echo.log"
mkfifo "$T/go"
spawn chooser "${TAS[@]}" "$PYTHON" -c "
import socket, sys, threading
def name(s):
    return s.getsockopt(socket.IPPROTO_TCP, socket.TCP_CONGESTION, 16).rstrip(b'\0').decode()
def echo(s, n):
    t = threading.Thread(target=s.sendall, args=(b'c' * n,))
    t.start()
    while n > 0:
        n -= len(s.recv(min(n, 65536)))
    t.join()
socks = []
for wish in ('cubic', 'dctcp', 'reno'):
    s = socket.socket()
    s.setsockopt(socket.IPPROTO_TCP, socket.TCP_CONGESTION, wish.encode())
    s.connect(('$PEER_IP', 7000))
    echo(s, 3000000)
    socks.append(s)
print('now', *map(name, socks), flush=True)
sys.stdin = open('$T/go')
sys.stdin.readline()
for s, wish in zip(socks, ('dctcp', 'reno', 'cubic')):
    s.setsockopt(socket.IPPROTO_TCP, socket.TCP_CONGESTION, wish.encode())
    echo(s, 3000000)
print('then', *map(name, socks), flush=True)
sys.stdin.readline()"
chooser=$PID

shown() { [ "$(tas_json flows '" ".join(r["cc"] for r in sorted(rows, key=lambda r: r["id"]) if r["state"] == "established")')" = "$1" ]; }
wait_for 60 "the first connections" grep -qx 'now cubic dctcp reno' "$T/chooser.log"
wait_for 10 "tasctl to show them" shown "cubic dctcp reno"
exec 7>"$T/go"
echo >&7
wait_for 60 "the second choice" grep -qx 'then dctcp reno cubic' "$T/chooser.log"
wait_for 10 "tasctl to show it" shown "dctcp reno cubic"
exec 7>&-
finish "$chooser" 20 || fail "the program ended with $?"
used_tas
tas_down
