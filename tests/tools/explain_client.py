"""explain_client.py ADDRESS PORT SERVED: does, a known number of times, what does not go through tas, and prints the counters that this
must have moved, one "name count" a line, then "done"; ends when its standard input does. ADDRESS PORT: an echo server reached
through tas; SERVED: tas's own address."""
import collections
import os
import socket
import sys

COUNT = collections.Counter()


def fails(call, *args):
    try:
        call(*args)
    except OSError:
        return
    sys.exit("explain_client: %s%r should have failed" % (call, args))


def tcp(family=socket.AF_INET):
    return socket.socket(family, socket.SOCK_STREAM)


def connect_nowhere(name, family, *address):
    with tcp(family) as s:
        s.settimeout(5)
        fails(s.connect, address)
    COUNT[name] += 1


def destinations(served):
    connect_nowhere("kernel_loopback", socket.AF_INET, "127.0.0.1", 1)
    connect_nowhere("kernel_loopback", socket.AF_INET, "127.0.0.9", 1)
    connect_nowhere("kernel_loopback", socket.AF_INET6, "::1", 1)
    connect_nowhere("kernel_ipv6", socket.AF_INET6, "2001:db8::1", 1)
    connect_nowhere("kernel_no_route", socket.AF_INET, "192.0.2.1", 1)
    with tcp(socket.AF_INET) as s:  # tas's own address: tas refuses, as the kernel would, and there is nothing to explain
        fails(s.connect, (served, 1))
    socket.socket(socket.AF_INET, socket.SOCK_DGRAM).close()
    socket.socket(socket.AF_INET6, socket.SOCK_DGRAM).close()
    COUNT["kernel_not_tcp"] += 2
    socket.socket(socket.AF_UNIX, socket.SOCK_STREAM).close()  # never could be: not counted


def listeners():
    with socket.create_server(("127.0.0.1", 0)):
        COUNT["kernel_listen_address"] += 1
    with tcp(socket.AF_INET6) as s:
        s.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        s.bind(("::", 0))
        s.listen()
        COUNT["kernel_listen_ipv6"] += 1
    with tcp() as s:
        s.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, b"lo")
        s.bind(("0.0.0.0", 0))
        s.listen()
        COUNT["kernel_listen_device"] += 1
    with tcp() as s:
        s.setsockopt(socket.SOL_SOCKET, 29, 1)  # SO_TIMESTAMP: only the kernel has it
        s.bind(("0.0.0.0", 0))
        s.listen()
        COUNT["kernel_option"] += 1
    with tcp() as s:
        s.setsockopt(socket.IPPROTO_TCP, socket.TCP_DEFER_ACCEPT, 1)
        s.bind(("0.0.0.0", 0))
        s.listen()
        COUNT["dual_listen"] += 1
        with tcp() as c:
            c.connect(("127.0.0.1", s.getsockname()[1]))
            COUNT["kernel_loopback"] += 1
            c.send(b"x")  # TCP_DEFER_ACCEPT holds in the kernel's half
            s.accept()[0].close()
            COUNT["dual_accept"] += 1


def options(s):
    s.setsockopt(socket.IPPROTO_TCP, socket.TCP_QUICKACK, 1)  # has effect, as most: not counted
    s.setsockopt(socket.SOL_SOCKET, socket.SO_PRIORITY, 1)
    fails(s.setsockopt, socket.SOL_SOCKET, 29, 1)  # SO_TIMESTAMP
    s.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)  # has effect: not counted
    s.setsockopt(socket.IPPROTO_IP, socket.IP_TTL, 9)
    fails(s.setsockopt, socket.IPPROTO_TCP, 31, b"tls")
    s.getsockopt(socket.IPPROTO_TCP, 24)  # TCP_TIMESTAMP
    s.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 8)  # about the connection: not counted
    COUNT.update(["option_device", "option_timestamp", "option_ulp", "option_read"])


def calls(s):
    s.send(b"x", 0x4000000)  # MSG_ZEROCOPY
    fails(s.sendmsg, [b"-"], [(socket.SOL_SOCKET, 36, bytes(4))])  # SO_MARK
    s.sendmsg([b"y"], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, b"")])  # as nothing: not counted
    COUNT.update(["flag_zerocopy", "flag_control"])
    r, w = os.pipe()
    os.write(w, b"z")
    os.splice(r, s.fileno(), 1)  # has effect: not counted
    fails(os.sendfile, s.fileno(), r, None, 1)
    COUNT.update(["refuse_sendfile"])
    os.close(r)
    os.close(w)
    got = b""
    while len(got) < 3:
        got += s.recv(10)
    if got != b"xyz":
        sys.exit("explain_client: echoed %r" % got)


def connection(address, port):
    with tcp() as s:
        s.setsockopt(socket.IPPROTO_TCP, socket.TCP_CONGESTION, b"reno")  # tas has it too
        try:  # the kernel may have it, and until connect() that may be enough
            s.setsockopt(socket.IPPROTO_TCP, socket.TCP_CONGESTION, b"bbr")
            COUNT["option_cc"] += 1
        except FileNotFoundError:
            pass
        s.setsockopt(socket.SOL_SOCKET, socket.SO_PRIORITY, 3)
        s.connect((address, port))
        COUNT.update(["option_device"])
        options(s)
        calls(s)
        child = os.fork()
        if child == 0:  # at zero: it inherits the connection, not the counts
            os.close(1)
            os._exit(0)
        os.waitpid(child, 0)
    with tcp() as s:  # options of a socket that becomes the kernel's have their effect
        s.setsockopt(socket.SOL_SOCKET, socket.SO_PRIORITY, 3)
        fails(s.connect, ("127.0.0.1", 1))
        COUNT["kernel_loopback"] += 1


def main():
    destinations(sys.argv[3])
    listeners()
    connection(sys.argv[1], int(sys.argv[2]))
    for name, n in sorted(COUNT.items()):
        print(name, n)
    print("done", flush=True)
    sys.stdin.read()


main()
