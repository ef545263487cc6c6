"""echo_client.py [--local=ADDRESS] [--source=ADDRESS] ADDRESS PORT CONNECTIONS BYTES: so many connections at a time to an echo
server; each sends its own bytes, ends, and must have them back and see the end. getpeername() must say ADDRESS and PORT;
--local= says what getsockname() must give, --source= what to bind() to. Status 0 when all is right, 3 when refused."""
import argparse
import hashlib
import os
import selectors
import socket
import sys


class Peer:
    def __init__(self, size):
        self.data = memoryview(os.urandom(size))
        self.sent = self.count = 0
        self.hash = hashlib.sha256()
        self.sock = None
        self.open = False


def check_names(args, sock):
    peer = sock.getpeername()[:2]
    assert peer == (args.address, args.port), "getpeername() says %s" % (peer,)
    local = sock.getsockname()[:2]
    assert args.local in (None, local[0]), "getsockname() says %s" % (local,)
    assert local[1] != 0


def start(args, sel):
    peer = Peer(args.bytes)
    peer.sock = socket.socket(socket.AF_INET6 if ":" in args.address else socket.AF_INET)
    if args.source:
        peer.sock.bind((args.source, 0))
    peer.sock.setblocking(False)
    try:
        peer.sock.connect((args.address, args.port))
    except BlockingIOError:
        pass
    sel.register(peer.sock, selectors.EVENT_WRITE, peer)


def opened(args, sock):
    err = sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
    if err:
        raise OSError(err, os.strerror(err))
    check_names(args, sock)


def write(peer):
    if peer.sent < len(peer.data):
        peer.sent += peer.sock.send(peer.data[peer.sent : peer.sent + 262144])
        if peer.sent == len(peer.data):
            peer.sock.shutdown(socket.SHUT_WR)


def read(peer):
    part = peer.sock.recv(262144)
    peer.hash.update(part)
    peer.count += len(part)
    return len(part) != 0


def finished(peer):
    assert peer.count == len(peer.data), "%d bytes of %d came back" % (peer.count, len(peer.data))
    assert peer.hash.digest() == hashlib.sha256(peer.data).digest(), "other bytes came back"
    peer.sock.close()


def step(args, sel, key, events):
    peer = key.data
    if events & selectors.EVENT_WRITE:
        if not peer.open:
            opened(args, peer.sock)
            peer.open = True
        write(peer)
    if events & selectors.EVENT_READ and not read(peer):
        sel.unregister(peer.sock)
        finished(peer)
        return 1
    sel.modify(peer.sock, selectors.EVENT_READ | (selectors.EVENT_WRITE if peer.sent < len(peer.data) else 0), peer)
    return 0


def main():
    p = argparse.ArgumentParser()
    p.add_argument("--local")
    p.add_argument("--source")
    p.add_argument("address")
    p.add_argument("port", type=int)
    p.add_argument("connections", type=int)
    p.add_argument("bytes", type=int)
    args = p.parse_args()
    sel = selectors.DefaultSelector()
    done = 0
    try:
        for _ in range(args.connections):
            start(args, sel)
        while done < args.connections:
            for key, events in sel.select():
                try:
                    done += step(args, sel, key, events)
                except BlockingIOError:
                    pass
    except ConnectionRefusedError:
        sys.exit(3)
    print("ok", args.connections, args.bytes)


main()
