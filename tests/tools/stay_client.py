"""stay_client.py ADDRESS PORT FILE: connects to an echo server, prints "open", and goes on when FILE is there: the connection
must still give back what is sent."""
import os
import socket
import sys
import time

s = socket.create_connection((sys.argv[1], int(sys.argv[2])), timeout=50)
s.sendall(b"before")
assert s.recv(100) == b"before"
print("open", flush=True)
while not os.path.exists(sys.argv[3]):
    time.sleep(0.05)
data, got = os.urandom(20000), b""
s.sendall(data)
while len(got) < len(data):
    part = s.recv(65536)
    assert part, "closed"
    got += part
assert got == data
