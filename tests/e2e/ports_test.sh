#!/bin/bash
# Local ports run out: connect() fails as in the kernel, and does not quietly go out by another stack; a port that comes back is used.
. "$(dirname "$0")/../lib/e2e.sh"
tas_only
watchdog 100
tas_up 'local_ports = "61000-61002";'

spawn server "${KERNEL[@]}" "$PYTHON" -c "
import socket
s = socket.create_server(('$PEER_IP', 7000), backlog=64)
held = []
while True:
    held.append(s.accept())"
listening() { ip netns exec "$NS_K" ss -Hltn "sport = :7000" | grep -q .; }
wait_for 20 "the server" listening

cat >"$T/client.py" <<'PY'
import errno, socket, sys

peer = (sys.argv[1], 7000)

def refused(bind=None):
    s = socket.socket()
    s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    if bind:
        s.bind(bind)
    try:
        s.connect(peer)
    except OSError as e:
        assert e.errno == errno.EADDRNOTAVAIL, e
        s.close()
        return True
    return False

held = [socket.create_connection(peer) for i in range(3)]
names = {s.getsockname() for s in held}
assert len(names) == 3 and all(61000 <= p <= 61002 for a, p in names), names
assert refused(), "a fourth connection with three ports"
assert refused(held[0].getsockname()), "a second connection between the same two addresses"
# Reset, so that no TIME-WAIT keeps the port.
held[1].setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
port = held[1].getsockname()
held.pop(1).close()
again = None
for i in range(100):
    try:
        again = socket.create_connection(peer)
        break
    except OSError as e:
        assert e.errno == errno.EADDRNOTAVAIL, e
assert again and again.getsockname() == port, again
PY
within 60 "${TAS[@]}" "$PYTHON" "$T/client.py" $PEER_IP || fail "the client: status $?"
used_tas
[ "$(tas_json status 'counter("conn_established")')" = 4 ] || fail "not four connections went over tas"
tas_down
