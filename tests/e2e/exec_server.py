"""exec_server.py - descriptors over exec: `listen HOST PORT` makes a listener, and a second one with close-on-exec, and becomes `serve 20`; `parent` does so in a
child and goes on serving too; `drop HOST PORT` accepts a connection whose descriptor is closed on exec and becomes `sleep`."""
import os, socket, sys


kept = []


def become(*args):
    os.execv(sys.executable, [sys.executable, __file__, *args])


def listener(host, port):
    s = socket.create_server((host, int(port)), backlog=64)
    os.dup2(s.fileno(), 20, inheritable=True)
    extra = socket.create_server((host, int(port) + 1), backlog=4)
    os.set_inheritable(extra.fileno(), False)
    kept.append(extra)  # or Python closes it at once, and nothing is left for exec to close
    return s


def serve(fd, word):
    s = socket.socket(fileno=fd)
    print("serving", word, s.getsockname(), flush=True)
    while True:
        c, peer = s.accept()
        c.sendall(("%s %d\n" % (word, os.getpid())).encode())
        c.close()


if __name__ == "__main__":
    what = sys.argv[1]
    if what == "listen":
        listener(sys.argv[2], sys.argv[3])
        become("serve", "20", "heir")
    elif what == "parent":
        s = listener(sys.argv[2], sys.argv[3])
        if os.fork() == 0:
            become("serve", "20", "child")
        serve(20, "parent")
    elif what == "drop":
        s = socket.create_server((sys.argv[2], int(sys.argv[3])))
        print("listening", flush=True)
        c, _ = s.accept()
        os.set_inheritable(c.fileno(), False)
        d, _ = s.accept()
        os.dup2(d.fileno(), 21, inheritable=True)
        become("hold", "21")
    elif what == "hold":
        d = socket.socket(fileno=21)
        d.sendall(b"held\n")
        d.recv(1)
        d.sendall(b"end\n")
    else:
        serve(int(sys.argv[2]), sys.argv[3])
