"""options_wire.py ROLE ...: what e2e/options_wire runs.

capture ADDRESS              one line for each TCP segment that comes from ADDRESS: flags, ttl, tos, payload bytes, mss and wscale of SYNs
sink ADDRESS PORT            a listener that reads everything; prints "listening"
full ADDRESS PORT            a listener whose queue is full: more SYNs find no answer
connect ADDRESS PORT         a connection with its options set before and while it lasts
accept ADDRESS PORT          a listener with options; what it accepts sends a little
unanswered ADDRESS PORT      connect() with TCP_SYNCNT 1: prints how it failed
silent ADDRESS PORT OPTION   a connection; prints "ready", waits for a line, and prints how it ended (keepalive, user_timeout)
"""
import errno
import fcntl
import socket
import struct
import sys
import termios
import time

TCP, IP = socket.IPPROTO_TCP, socket.IPPROTO_IP


def say(*words):
    print(*words, flush=True)


def tcp_options(raw):
    found = {2: 0, 3: -1}  # MSS, window scale
    while raw and raw[0] != 0:
        if raw[0] == 1:
            raw = raw[1:]
            continue
        if len(raw) < 2 or raw[1] < 2:
            break
        value = raw[2 : raw[1]]
        if raw[0] in found:
            found[raw[0]] = int.from_bytes(value, "big")
        raw = raw[raw[1] :]
    return found[2], found[3]


def capture(address):
    s = socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM, socket.htons(0x0800))
    source = socket.inet_aton(address)
    say("capturing")
    while True:
        p, where = s.recvfrom(65600)
        if where[2] == socket.PACKET_OUTGOING or p[9] != 6 or p[12:16] != source:
            continue
        head = (p[0] & 15) * 4
        data = head + (p[head + 12] >> 4) * 4
        flags = p[head + 13]
        names = "".join(n for bit, n in ((2, "S"), (1, "F"), (4, "R"), (16, "A")) if flags & bit)
        mss, wscale = tcp_options(p[head + 20 : data]) if flags & 2 else (0, -1)
        length = struct.unpack("!H", p[2:4])[0] or len(p)
        say(names, "ttl=%d tos=%d len=%d mss=%d wscale=%d" % (p[8], p[1] & 0xFC, length - data, mss, wscale))


def sink(address, port):
    with socket.create_server((address, port)) as l:
        say("listening")
        while True:
            s, _ = l.accept()
            got = 0
            while True:
                more = s.recv(65536)
                if not more:
                    break
                got += len(more)
            say("got", got)
            s.close()


def full(address, port):
    l = socket.create_server((address, port), backlog=0)
    fill = []
    for _ in range(8):
        s = socket.socket()
        s.settimeout(0.3)
        try:
            s.connect((address, port))
            fill.append(s)
        except OSError:
            break
    say("full", l.fileno() >= 0)
    sys.stdin.read()


def connect(address, port):
    s = socket.socket()
    s.setsockopt(IP, socket.IP_TTL, 33)
    s.setsockopt(IP, socket.IP_TOS, 0x48)
    s.setsockopt(TCP, socket.TCP_MAXSEG, 900)
    s.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 20000)
    s.connect((address, port))
    s.sendall(b"x" * 30000)
    while fcntl.ioctl(s, termios.TIOCOUTQ, bytes(4)) != bytes(4):
        time.sleep(0.001)
    s.setsockopt(IP, socket.IP_TTL, 44)
    s.setsockopt(IP, socket.IP_TOS, 0)
    s.sendall(b"y" * 77)
    s.close()


def accept(address, port):
    l = socket.socket()
    l.setsockopt(IP, socket.IP_TTL, 21)
    l.setsockopt(IP, socket.IP_TOS, 0x28)
    l.setsockopt(TCP, socket.TCP_MAXSEG, 800)
    l.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    l.bind((address, port))
    l.listen()
    say("listening")
    s, _ = l.accept()
    s.sendall(b"z" * 5000)
    s.shutdown(socket.SHUT_WR)
    s.recv(1)
    s.close()


def unanswered(address, port):
    s = socket.socket()
    s.setsockopt(TCP, socket.TCP_SYNCNT, 1)
    say(errno.errorcode.get(s.connect_ex((address, port)), "connected"))


def silent(address, port, option):
    s = socket.create_connection((address, port))
    if option == "keepalive":
        s.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        s.setsockopt(TCP, socket.TCP_KEEPIDLE, 1)
        s.setsockopt(TCP, socket.TCP_KEEPINTVL, 1)
        s.setsockopt(TCP, socket.TCP_KEEPCNT, 2)
    else:
        s.setsockopt(TCP, socket.TCP_USER_TIMEOUT, 1500)
    say("ready")
    sys.stdin.readline()
    if option != "keepalive":
        s.send(b"into the dark")
    try:
        say("read", len(s.recv(1)))
    except OSError as e:
        say(errno.errorcode[e.errno])


def main():
    role, args = sys.argv[1], sys.argv[2:]
    if len(args) > 1:
        args[1] = int(args[1])
    globals()[role](*args)


main()
