"""same_host.py ADDRESS CASE...: connections of a program with itself over ADDRESS; prints what happened, in words that do not
depend on the stack. Run over tas and over the kernel's loopback the output must be the same."""
import errno
import hashlib
import os
import socket
import struct
import sys
import threading
import time

ADDRESS = sys.argv[1]


def name(e):
    return errno.errorcode.get(e.errno, str(e))


def bound(port=0):
    s = socket.socket()
    s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    s.bind((ADDRESS, port))
    return s


def pump(src, dst, size):
    """size bytes from src to dst while both are read and written by threads; True when they arrived right."""
    data, got = os.urandom(size), hashlib.sha256()

    def send():
        src.sendall(data)

    t = threading.Thread(target=send)
    t.start()
    left = size
    while left:
        part = dst.recv(min(left, 65536))
        if not part:
            break
        got.update(part)
        left -= len(part)
    t.join()
    return left == 0 and got.digest() == hashlib.sha256(data).digest()


def self_connect():
    s = bound()
    me = s.getsockname()
    s.connect(me)
    print("self: peer is me", s.getpeername() == me, "bytes", pump(s, s, 3_000_000))
    s.shutdown(socket.SHUT_WR)
    print("self: end", s.recv(10))
    s.close()


def simultaneous():
    for _ in range(20):
        a, b = bound(), bound()
        a.setblocking(False)
        b.setblocking(False)
        na, nb = a.getsockname(), b.getsockname()
        started = []
        for s, to in ((a, nb), (b, na)):
            try:
                s.connect(to)
            except BlockingIOError:
                pass
            except ConnectionRefusedError:
                pass
            started.append(s)
        a.close()
        b.close()
    print("simultaneous: survived")


def attempt(what, port):
    c = socket.socket()
    try:
        c.connect((ADDRESS, port))
        print(what + ": connected")
    except OSError as e:
        print(what + ":", name(e))


def refused():
    s = bound()
    attempt("refused", s.getsockname()[1])
    attempt("port 0", 0)


def names():
    listener = socket.create_server((ADDRESS, 0))
    c = socket.create_connection(listener.getsockname())
    s, peer = listener.accept()
    print("names:", peer == c.getsockname(), s.getsockname() == c.getpeername() == listener.getsockname(),
          c.getsockname()[0] == ADDRESS, s.getpeername() == c.getsockname())
    print("names: bytes", pump(c, s, 2_000_000), pump(s, c, 2_000_000))
    c.close()
    print("names: end", s.recv(1))


def reset():
    listener = socket.create_server((ADDRESS, 0))
    c = socket.create_connection(listener.getsockname())
    s, _ = listener.accept()
    c.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    c.close()
    try:
        print("reset: read", s.recv(1))
    except OSError as e:
        print("reset:", name(e))


def same_port():
    """The end that closes first waits; the same pair of ports is used again, from the other end's side at once."""
    listener = socket.create_server((ADDRESS, 0))
    port = 0
    done = 0
    for i in range(10):
        c = bound(port)
        port = c.getsockname()[1]
        while c.connect_ex(listener.getsockname()) == errno.EADDRNOTAVAIL:
            time.sleep(0.01)  # the last ACK of the connection before is on its way
        s, _ = listener.accept()
        s.close()
        assert c.recv(1) == b""
        c.close()
        done += 1
    print("same port:", done)


def backlog():
    """Connections wait in the queue, with what they have sent, until somebody accepts."""
    listener = socket.create_server((ADDRESS, 0), backlog=64)
    cs = [socket.create_connection(listener.getsockname()) for _ in range(32)]
    for i, c in enumerate(cs):
        c.sendall(b"%d" % i)
    got = set()
    for _ in cs:
        s, _ = listener.accept()
        got.add(s.recv(10))
    print("backlog:", len(got))


for case in sys.argv[2:]:
    globals()[case]()
