"""udp_echo.py ADDRESS PORT: answers datagrams; prints "listening". udp_echo.py ADDRESS PORT SIZE,SIZE...: sends such datagrams
and must have each back within some tries. udp_echo.py ADDRESS PORT flood: sends until it is ended."""
import os
import socket
import sys

address = (sys.argv[1], int(sys.argv[2]))
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)


def ask(data):
    for _ in range(10):
        s.sendto(data, address)
        try:
            while True:
                got, peer = s.recvfrom(65536)
                if got == data and peer == address:
                    return True
        except TimeoutError:
            continue
    return False


if len(sys.argv) == 3:
    s.bind(address)
    print("listening", flush=True)
    while True:
        s.sendto(*s.recvfrom(65536))
elif sys.argv[3] == "flood":
    while True:
        try:
            s.sendto(b"x" * 1000, address)
        except OSError:
            pass
else:
    s.settimeout(1)
    for size in sys.argv[3].split(","):
        assert ask(os.urandom(int(size))), "no answer to %s bytes" % size
