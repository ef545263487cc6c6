"""fork_server.py - servers that share connections between processes, one scheme per port; run over tas or over the kernel.

Every connection carries a number of bytes in each direction that the client chooses and checks by SHA-256: 8 bytes "n", then the server
sends n bytes of a pattern and the SHA-256 of the n bytes that it received.
"""
import hashlib, os, select, signal, socket, struct, sys, time

CHUNK = 65536


def pattern(pos, n):
    block = bytes((i * 131 + (i >> 8) * 7) & 0xFF for i in range(65536))
    out = bytearray()
    while n > 0:
        off = pos % 65536
        take = min(n, 65536 - off)
        out += block[off:off + take]
        pos += take
        n -= take
    return bytes(out)


def recv_exact(c, n):
    data = bytearray()
    while len(data) < n:
        part = c.recv(min(CHUNK, n - len(data)))
        if not part:
            raise EOFError("%d of %d bytes" % (len(data), n))
        data += part
    return bytes(data)


def wait(pid):
    _, status = os.waitpid(pid, 0)
    return os.waitstatus_to_exitcode(status)


def in_child(work):
    pid = os.fork()
    if pid == 0:
        status = 1
        try:
            work()
            status = 0
        except BaseException as e:
            print("child:", repr(e), file=sys.stderr, flush=True)
        finally:
            os._exit(status)
    return pid


def answer(c, n, digest):
    c.sendall(pattern(0, n))
    c.sendall(digest)


def serve_whole(c, n):
    answer(c, n, hashlib.sha256(recv_exact(c, n)).digest())


# The classic forking server: the child serves, the parent closes at once.
def child_serves(c, n):
    pid = in_child(lambda: serve_whole(c, n))
    c.close()
    assert wait(pid) == 0


# As redis when it saves: the child exits without having touched the connection.
def child_idles(c, n):
    half = recv_exact(c, n // 2)
    pid = in_child(lambda: None)
    rest = recv_exact(c, n - n // 2)
    answer(c, n, hashlib.sha256(half + rest).digest())
    assert wait(pid) == 0


# Each writes a part in turn; the parent reads.
def in_turn(c, n):
    data = recv_exact(c, n)
    body = pattern(0, n)
    step = max(1, n // 7)
    for i, at in enumerate(range(0, n, step)):
        part = body[at:at + step]
        if i % 2:
            assert wait(in_child(lambda: c.sendall(part))) == 0
        else:
            c.sendall(part)
    c.sendall(hashlib.sha256(data).digest())


# One process for each direction, at the same time; the digest goes through a pipe.
def two_directions(c, n):
    r, w = os.pipe()
    reader = in_child(lambda: os.write(w, hashlib.sha256(recv_exact(c, n)).digest()))
    c.sendall(pattern(0, n))
    digest = os.read(r, 32)
    assert wait(reader) == 0
    c.sendall(digest)
    os.close(r)
    os.close(w)


# The parent that accepted is killed right after fork; what it had written must arrive.
def parent_dies(c, n):
    def middle():
        c.sendall(pattern(0, n))
        r, w = os.pipe()
        if os.fork() == 0:
            os.close(w)
            os.read(r, 1)  # the end of the middle process
            status = 1
            try:
                c.sendall(hashlib.sha256(recv_exact(c, n)).digest())
                status = 0
            finally:
                os._exit(status)
        c.close() if n % 2 else None
        os.kill(os.getpid(), signal.SIGKILL)
    pid = in_child(middle)
    c.close()
    wait(pid)


# Two processes wait in poll() for the same connection.
def both_poll(c, n):
    def part(who):
        total = hashlib.sha256()
        left = n
        while left:
            p = select.poll()
            p.register(c, select.POLLIN)
            p.poll(5000)
            data = recv_exact(c, min(left, 8))
            total.update(data)
            left -= len(data)
        return total.digest()
    pid = in_child(lambda: select.select([c], [], [], 0.2))
    digest = part(0)
    assert wait(pid) == 0
    answer(c, n, digest)


# The child gets the connection as its standard input and output by exec.
def exec_child(c, n):
    def work():
        os.dup2(c.fileno(), 0)
        os.dup2(c.fileno(), 1)
        os.execv(sys.executable, [sys.executable, __file__, "stdio", str(n)])
    pid = in_child(work)
    c.close()
    assert wait(pid) == 0


def stdio(n):
    data = bytearray()
    while len(data) < n:
        part = os.read(0, min(CHUNK, n - len(data)))
        if not part:
            raise EOFError
        data += part
    out = pattern(0, n) + hashlib.sha256(bytes(data)).digest()
    while out:
        out = out[os.write(1, out):]


SCHEMES = [child_serves, child_idles, in_turn, two_directions, parent_dies, both_poll, exec_child]


def serve(address, scheme, port):
    s = socket.create_server((address, port), backlog=64)
    print("listening", scheme.__name__, port, flush=True)
    while True:
        c, _ = s.accept()
        n = struct.unpack("!Q", recv_exact(c, 8))[0]
        try:
            scheme(c, n)
        except BaseException as e:
            print(scheme.__name__, repr(e), file=sys.stderr, flush=True)
        c.close()


def client(address, port, n):
    c = socket.create_connection((address, port), timeout=60)
    c.sendall(struct.pack("!Q", n))
    body = pattern(77, n)
    got = bytearray()
    sent = 0
    c.setblocking(False)
    end = time.monotonic() + 60
    while len(got) < n + 32:
        r, w, _ = select.select([c], [c] if sent < n else [], [], max(0, end - time.monotonic()))
        if not r and not w:
            raise TimeoutError("%d of %d bytes after 60 s, %d sent" % (len(got), n + 32, sent))
        if r:
            part = c.recv(CHUNK)
            if not part:
                raise EOFError("%d of %d bytes" % (len(got), n + 32))
            got += part
        if w:
            sent += c.send(body[sent:sent + CHUNK])
    if bytes(got[:n]) != pattern(0, n):
        raise ValueError("wrong bytes from the server")
    if bytes(got[n:]) != hashlib.sha256(body).digest():
        raise ValueError("the server received wrong bytes")
    c.setblocking(True)
    if c.recv(1) != b"":
        raise ValueError("the connection was not closed")
    c.close()


if __name__ == "__main__":
    if sys.argv[1] == "serve":
        serve(sys.argv[2], globals()[sys.argv[3]], int(sys.argv[4]))
    elif sys.argv[1] == "client":
        client(sys.argv[2], int(sys.argv[3]), int(sys.argv[4]))
    elif sys.argv[1] == "schemes":
        print(*[s.__name__ for s in SCHEMES])
    else:
        stdio(int(sys.argv[2]))
