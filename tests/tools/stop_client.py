"""stop_client.py ADDRESS PORT PID OTHER_PORT: a program is stopped while 24 connections send it small segments.

PORT is an echo_server.py in digest mode with process id PID; OTHER_PORT an echo server of another program. Sends 1 to 40 bytes
at a time without Nagle, stops PID, sends on until nothing more is taken (or ENOUGH segments each), has the other program answer
in the meantime, continues PID, finishes, and compares each connection's digest.
"""
import hashlib
import os
import random
import signal
import socket
import sys

CONNECTIONS = 24
ENOUGH = 6000
STUCK_S = 30


class Sender:
    def __init__(self, address):
        self.sock = socket.create_connection(address, timeout=STUCK_S)
        self.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.sock.setblocking(False)
        self.hash, self.count = hashlib.sha256(), 0

    def send_some(self, rng):
        """One small segment; False when the path is full."""
        data = rng.randbytes(rng.randint(1, 40))
        try:
            n = self.sock.send(data)
        except BlockingIOError:
            return False
        self.hash.update(data[:n])
        self.count += n
        return n == len(data)


def fill(senders, rng, segments):
    """Up to that many segments on each; returns how many connections filled up."""
    full = set()
    for _ in range(segments):
        for s in senders:
            if s not in full and not s.send_some(rng):
                full.add(s)
    return len(full)


def ask_other(address, rounds):
    sock = socket.create_connection(address, timeout=STUCK_S)
    for i in range(rounds):
        data = b"%d" % i * 50
        sock.sendall(data)
        got = b""
        while len(got) < len(data):
            piece = sock.recv(65536)
            if not piece:
                sys.exit("the other program closed")
            got += piece
        if got != data:
            sys.exit("the other program answered something else")
    sock.close()


def finish(s):
    s.sock.setblocking(True)
    s.sock.settimeout(STUCK_S)
    s.sock.sendall(b"the end")
    s.hash.update(b"the end")
    s.count += 7
    s.sock.shutdown(socket.SHUT_WR)
    answer = b""
    while True:
        piece = s.sock.recv(4096)
        if not piece:
            break
        answer += piece
    if answer != b"%s %d\n" % (s.hash.hexdigest().encode(), s.count):
        sys.exit("of %d bytes sent, the program saw: %s" % (s.count, answer.decode() or "nothing"))


def main():
    host, pid = sys.argv[1], int(sys.argv[3])
    rng = random.Random(24)
    senders = [Sender((host, int(sys.argv[2]))) for _ in range(CONNECTIONS)]
    fill(senders, rng, 20)
    os.kill(pid, signal.SIGSTOP)
    try:
        full = fill(senders, rng, ENOUGH)
        ask_other((host, int(sys.argv[4])), 300)
    finally:
        os.kill(pid, signal.SIGCONT)
    for s in senders:
        finish(s)
    ask_other((host, int(sys.argv[4])), 20)
    print("%d bytes on %d connections, %d of them filled up while stopped" % (sum(s.count for s in senders), CONNECTIONS, full))


main()
