"""A source of icecast2, and its listeners, who must get the same bytes in the same order.

    icecast.py source ADDRESS PUT|SOURCE GO      sends when the file GO is there, ends when GO.done is
    icecast.py listen ADDRESS COUNT              all in one thread; says so when all are there"""
import base64
import os
import selectors
import socket
import sys
import time

BYTES = 4_000_000
BLOCK = 4096


def block(n):
    return b"%015d\n" % n * (BLOCK // 16)


def request(text):
    s = socket.create_connection((sys.argv[2], 8000), 30)
    s.sendall(text)
    return s


def answered(s):
    head = b""
    while b"\r\n\r\n" not in head:
        got = s.recv(1)
        assert got, f"closed after {head!r}"
        head += got
    assert b" 200 " in head.split(b"\r\n")[0] or b" 100 " in head.split(b"\r\n")[0], head
    return s


def source(method, go):
    auth = base64.b64encode(b"source:secret").decode()
    version = "HTTP/1.1\r\nHost: tas.test" if method == "PUT" else "HTTP/1.0"
    expect = "Expect: 100-continue\r\n" if method == "PUT" else ""
    s = answered(request(f"{method} /stream {version}\r\nAuthorization: Basic {auth}\r\n{expect}Content-Type: audio/mpeg\r\n\r\n".encode()))
    s.settimeout(30)
    print("accepted", flush=True)
    while not os.path.exists(go):
        time.sleep(0.05)
    for n in range(BYTES // BLOCK + 4): # the server hands on whole pieces of its own size
        s.sendall(block(n))
        if n % 16 == 0:
            time.sleep(0.005)
    while not os.path.exists(go + ".done"): # what its listeners have not yet had would be dropped with the source
        time.sleep(0.05)
    s.close()


def listen(count):
    socks = [request(b"GET /stream HTTP/1.0\r\nUser-Agent: test\r\n\r\n") for _ in range(count)]
    for s in socks: # all are taken up at once, when the source thread looks
        answered(s)
    print("listening", flush=True)
    wanted = b"".join(block(n) for n in range(BYTES // BLOCK))
    selector = selectors.DefaultSelector()
    got = {}
    for s in socks:
        s.setblocking(False)
        got[s] = bytearray()
        selector.register(s, selectors.EVENT_READ)
    while selector.get_map():
        for key, _ in selector.select(30):
            data = key.fileobj.recv(65536)
            got[key.fileobj] += data
            assert data, f"closed after {len(got[key.fileobj])} bytes of {len(wanted)}"
            if len(got[key.fileobj]) >= len(wanted):
                selector.unregister(key.fileobj)
    for data in got.values():
        assert data[:len(wanted)] == wanted, "not the bytes that were sent"
    print(f"{count} listeners, {len(wanted)} bytes each, all right")


if sys.argv[1] == "source":
    source(sys.argv[3], sys.argv[4])
else:
    listen(int(sys.argv[3]))
