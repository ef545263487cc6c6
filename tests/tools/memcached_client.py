"""memcached_client.py ADDRESS PORT CONNECTIONS ROUNDS: sets and gets over many connections at once, every value checked.

Each connection owns its keys. Values are of sizes around segments and memcached's buffers, different in every round, so an
answer that belongs to another connection, key or round is seen. Pipelined by eight. Exit status 1 with the first difference.
"""
import hashlib
import selectors
import socket
import sys
import time

SIZES = (0, 1, 100, 1447, 1448, 1449, 8192, 50000)
STUCK_S = 20


def value(conn, rnd, i):
    size = SIZES[(conn + rnd + i) % len(SIZES)]
    seed = hashlib.sha256(b"%d %d %d" % (conn, rnd, i)).digest()
    return (seed * (size // 32 + 1))[:size]


class Connection:
    def __init__(self, address, number, rounds):
        self.number, self.rounds = number, rounds
        self.sock = socket.create_connection(address, timeout=STUCK_S)
        self.sock.setblocking(False)
        self.round = 0
        self.begin()

    def begin(self):
        """Queues the requests of one round, and the exact bytes that must come back."""
        self.out, self.want, self.got = bytearray(), bytearray(), bytearray()
        for i in range(8):
            key, data = b"k%d.%d" % (self.number, i), value(self.number, self.round, i)
            self.out += b"set %s 0 0 %d\r\n%s\r\n" % (key, len(data), data)
            self.want += b"STORED\r\n"
        for i in range(8):
            key, data = b"k%d.%d" % (self.number, i), value(self.number, self.round, i)
            self.out += b"get %s\r\n" % key
            self.want += b"VALUE %s 0 %d\r\n%s\r\nEND\r\n" % (key, len(data), data)

    def events(self):
        return selectors.EVENT_READ | (selectors.EVENT_WRITE if self.out else 0)

    def step(self, events):
        """One readiness event; True when all rounds are done."""
        if events & selectors.EVENT_WRITE and self.out:
            del self.out[: self.sock.send(self.out)]
        if events & selectors.EVENT_READ:
            data = self.sock.recv(65536)
            if not data:
                sys.exit("connection %d: closed in round %d" % (self.number, self.round))
            self.got += data
            if self.got != self.want[: len(self.got)]:
                sys.exit("connection %d: wrong answer in round %d" % (self.number, self.round))
        if len(self.got) == len(self.want):
            self.round += 1
            if self.round == self.rounds:
                self.sock.close()
                return True
            self.begin()
        return False


def main():
    address = (sys.argv[1], int(sys.argv[2]))
    count, rounds = int(sys.argv[3]), int(sys.argv[4])
    sel = selectors.DefaultSelector()
    for n in range(count):
        c = Connection(address, n, rounds)
        sel.register(c.sock, c.events(), c)
    last = time.monotonic()
    while sel.get_map():
        ready = sel.select(1)
        if ready:
            last = time.monotonic()
        elif time.monotonic() - last > STUCK_S:
            sys.exit("nothing for %d s, %d connections left" % (STUCK_S, len(sel.get_map())))
        for key, events in ready:
            c = key.data
            sock = c.sock
            sel.unregister(sock)
            if not c.step(events):
                sel.register(sock, c.events(), c)
    print("%d connections, %d sets and gets" % (count, count * rounds * 16))


main()
