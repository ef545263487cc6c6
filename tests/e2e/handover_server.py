"""handover_server.py - descriptors that go to other programs:
  activated          what socket activation starts: serves the descriptors from 3 on (LISTEN_FDS), or the one connection that is descriptor 3
  acceptor PATH HOST PORT   accepts, passes each connection to who connects to the UNIX socket PATH, and closes its own
  worker PATH        receives connections and serves them
  pool HOST PORT     accepts and hands connections to workers of multiprocessing (spawn), by send_handle
  leave HOST PORT COMMAND...   listens, starts COMMAND by posix_spawn with the listener open, and waits for it
Each connection is answered with a line that names who serves it, then with what it sends until its end."""
import hashlib, multiprocessing, multiprocessing.reduction, os, socket, sys, threading


def serve(c, who):
    digest, n = hashlib.sha256(), 0
    c.sendall(("%s %d\n" % (who, os.getpid())).encode())
    while True:
        data = c.recv(65536)
        if not data:
            break
        digest.update(data)
        n += len(data)
    c.sendall(("%d %s\n" % (n, digest.hexdigest())).encode())
    c.close()


def threads(listener, who):
    while True:
        c, _ = listener.accept()
        threading.Thread(target=serve, args=(c, who), daemon=True).start()


def activated():
    assert os.environ["LISTEN_PID"] == str(os.getpid()), "not for us"
    s = socket.socket(fileno=3)
    if s.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN):
        threads(s, "activated")
    serve(s, "instance")


def listen(host, port):
    s = socket.create_server((host, int(port)), backlog=64)
    print("listening", flush=True)
    return s


def acceptor(path, host, port):
    meeting = socket.socket(socket.AF_UNIX)
    meeting.bind(path)
    meeting.listen(1)
    s = listen(host, port)
    worker, _ = meeting.accept()
    print("worker", flush=True)
    while True:
        c, _ = s.accept()
        try:
            socket.send_fds(worker, [b"x"], [c.fileno()])
        except OSError as e:
            print("send_fds:", e.errno, flush=True)
            return
        c.close()


def worker(path):
    s = socket.socket(socket.AF_UNIX)
    s.connect(path)
    print("ready", flush=True)
    while True:
        data, fds, _, _ = socket.recv_fds(s, 1, 1)
        if not data:
            break
        threading.Thread(target=serve, args=(socket.socket(fileno=fds[0]), "worker"), daemon=True).start()


def pool_worker(pipe):
    while True:
        serve(socket.socket(fileno=multiprocessing.reduction.recv_handle(pipe)), "pool")


def pool(host, port):
    multiprocessing.set_start_method("spawn")
    workers = []
    for _ in range(2):
        ours, theirs = multiprocessing.Pipe()
        p = multiprocessing.Process(target=pool_worker, args=(theirs,), daemon=True)
        p.start()
        workers.append((ours, p))
    s, n = listen(host, port), 0
    while True:
        c, _ = s.accept()
        pipe, p = workers[n % 2]
        n += 1
        multiprocessing.reduction.send_handle(pipe, c.fileno(), p.pid)
        c.close()


def leave(host, port, *command):
    s = listen(host, port)
    os.set_inheritable(s.fileno(), True)
    pid = os.posix_spawn(command[0], command, os.environ)
    print("status", os.waitpid(pid, 0)[1], flush=True)


if __name__ == "__main__":
    globals()[sys.argv[1]](*sys.argv[2:])
