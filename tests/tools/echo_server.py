"""echo_server.py ADDRESS PORT [digest]: answers what it reads; with `digest`, answers at the end of a connection's data, with
the SHA-256 and the count of all it read. One thread, epoll, non-blocking. Prints "listening"; runs until killed."""
import hashlib
import selectors
import socket
import sys


class Peer:
    def __init__(self, sock):
        self.sock, self.out = sock, bytearray()
        self.hash, self.count, self.ended = hashlib.sha256(), 0, False


def take(peer, data, digest):
    if not data:
        peer.ended = True
        if digest:
            peer.out += b"%s %d\n" % (peer.hash.hexdigest().encode(), peer.count)
    elif digest:
        peer.hash.update(data)
        peer.count += len(data)
    else:
        peer.out += data


def serve(sel, key, events, digest):
    peer = key.data
    try:
        if events & selectors.EVENT_READ:
            take(peer, peer.sock.recv(65536), digest)
        if peer.out:
            del peer.out[: peer.sock.send(peer.out)]
    except BlockingIOError:
        pass
    except OSError:
        peer.ended, peer.out = True, b""
    if peer.ended and not peer.out:
        sel.unregister(peer.sock)
        peer.sock.close()
        return
    want = (0 if peer.ended else selectors.EVENT_READ) | (selectors.EVENT_WRITE if peer.out else 0)
    if want != key.events:
        sel.modify(peer.sock, want, peer)


def main():
    digest = sys.argv[3:] == ["digest"]
    family = socket.AF_INET6 if ":" in sys.argv[1] else socket.AF_INET
    listener = socket.create_server((sys.argv[1], int(sys.argv[2])), family=family, backlog=256, dualstack_ipv6=family == socket.AF_INET6)
    listener.setblocking(False)
    sel = selectors.DefaultSelector()
    sel.register(listener, selectors.EVENT_READ)
    print("listening", flush=True)
    while True:
        for key, events in sel.select():
            if key.fileobj is not listener:
                serve(sel, key, events, digest)
                continue
            try:
                sock, _ = listener.accept()
            except BlockingIOError:
                continue
            sock.setblocking(False)
            sel.register(sock, selectors.EVENT_READ, Peer(sock))


main()
