"""bad_frames.py DEVICE PEER_MAC ADDRESS OWN_ADDRESS PORT [TASCTL SOCKET]: sends what no stack should send, and looks at what becomes of it.

ADDRESS:PORT is an echo server. Each case is sent COPIES times. With TASCTL, each case must show in one of the counters named for
it; without, only in the service going on: after every case an established connection and a new one still echo.
"""
import json
import socket
import struct
import subprocess
import sys
import time

from frames import ACK, FIN, PSH, RST, SYN, ethernet, ip, parse_tcp, tcp

COPIES = 5
LIMIT_S = 20

device, peer_mac, address, own, port = sys.argv[1], bytes.fromhex(sys.argv[2].replace(":", "")), *sys.argv[3:5], int(sys.argv[5])
tasctl = sys.argv[6:8]
raw = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(3))  # ETH_P_ALL
raw.bind((device, 0))
raw.setblocking(False)
own_mac = raw.getsockname()[4]
closed_port = port + 1


def counters():
    """Every number that tasctl drops and status print, by name."""
    found = {}

    def walk(v):
        if isinstance(v, dict):
            number = next((v[k] for k in ("value", "count", "total") if isinstance(v.get(k), int)), None)
            if isinstance(v.get("name"), str) and number is not None:
                found[v["name"]] = max(found.get(v["name"], 0), number)
            for k, x in v.items():
                if isinstance(x, int):
                    found[k] = max(found.get(k, 0), x)
                else:
                    walk(x)
        elif isinstance(v, list):
            for x in v:
                walk(x)

    for command in ("drops", "status"):
        out = subprocess.run([tasctl[0], "-s", tasctl[1], command, "--json"], check=True, capture_output=True, timeout=30)
        walk(json.loads(out.stdout))
    return found


def echo(sock, data):
    sock.sendall(data)
    got = b""
    while len(got) < len(data):
        piece = sock.recv(65536)
        if not piece:
            sys.exit("%s: closed instead of an echo" % data.decode())
        got += piece
    if got != data:
        sys.exit("%s: the echo is %s" % (data.decode(), got))


def connect():
    return socket.create_connection((address, port), timeout=LIMIT_S)


def drain():
    frames = []
    while True:
        try:
            frames.append(raw.recv(65536))
        except BlockingIOError:
            return frames


def learn(sock):
    """(local port, next sequence number of ours, next of theirs, our timestamp) of a live connection, by looking at an exchange."""
    lport = sock.getsockname()[1]
    drain()
    echo(sock, b"look")
    end = time.monotonic() + LIMIT_S
    mine = theirs = stamp = None
    while mine is None or theirs is None:
        for f in drain():
            t = parse_tcp(f)
            if t and t[2] == lport and t[7]:
                mine, stamp = t[4] + t[7] & 0xFFFFFFFF, struct.unpack("!I", f[58:62])[0]
            if t and t[3] == lport and t[7]:
                theirs = t[4] + t[7] & 0xFFFFFFFF
        if time.monotonic() > end:
            sys.exit("did not see the exchange on %s" % device)
        time.sleep(0.01)
    return lport, mine, theirs, stamp


def to_tas(payload, **fields):
    return ethernet(peer_mac, own_mac, ip(own, fields.pop("dst", address), payload, **fields))


def segment(sport=40000, dport=port, ip_fields=None, **fields):
    return to_tas(tcp(own, (ip_fields or {}).get("dst", address), sport, dport, **fields), **(ip_fields or {}))


def stateless_cases():
    """(name, frame, counters of which one must grow)."""
    header, checked = {"drop_tcp_header"}, {"drop_ip_header", "drop_short"}
    syn_options = (
        ("length 0", b"\x02\x00\x05\xb4"), ("length 1", b"\x08\x01\x01\x01"), ("past the header", b"\x01\x01\x08\x0a"),
        ("past the header by much", b"\x05\xff\x00\x00"), ("unknown, length 0", b"\xfe\x00\x00\x00"))
    for where, dport in (("open", port), ("closed", closed_port)):
        for name, options in syn_options:
            yield "SYN to the %s port, option %s" % (where, name), segment(dport=dport, options=options), header
    yield "SYN, data offset 4", segment(offset=4), header
    yield "SYN, data offset past the end", segment(offset=15), header
    yield "wrong TCP checksum", segment(bad_sum=True), {"drop_tcp_checksum"}
    for name, flags in (("none", 0), ("SYN+FIN", SYN | FIN), ("SYN+RST", SYN | RST), ("all", 0x3F)):
        yield "flags: " + name, segment(flags=flags), {"drop_tcp_flags", "drop_stray", "drop_syn_bad", "drop_no_ack"}
    yield "wrong IP checksum", segment(ip_fields={"bad_sum": True}), {"drop_ip_checksum"}
    yield "IP version 5", segment(ip_fields={"version": 5}), {"drop_ip_header"}
    yield "IP header of 16 bytes", segment(ip_fields={"ihl": 4}), {"drop_ip_header"}
    yield "IP longer than the frame", segment(ip_fields={"total": 1400}), checked
    yield "IP shorter than its header", segment(ip_fields={"total": 10}), checked
    yield "first fragment", segment(ip_fields={"frag": 0x2000}), {"drop_ip_fragment"}
    yield "later fragment", segment(ip_fields={"frag": 0x0010}), {"drop_ip_fragment"}
    route = b"\x83\x07\x04" + socket.inet_aton("192.0.2.1") + b"\0"
    yield "source route", segment(ip_fields={"options": route}), {"drop_ip_options"}
    yield "IP option of length 0", segment(ip_fields={"options": b"\x07\x00\x04\x00"}), {"drop_ip_options"}
    yield "protocol SCTP", to_tas(b"\0" * 20, proto=132), {"drop_ip_proto"}
    yield "another address", segment(ip_fields={"dst": "10.99.0.77"}), {"drop_not_for_us"}
    yield "another ethertype", ethernet(peer_mac, own_mac, b"\0" * 46, 0x88B5), {"drop_ethertype"}
    yield "from itself", to_tas(tcp(address, address, 40000, port)).replace(
        socket.inet_aton(own) + socket.inet_aton(address), socket.inet_aton(address) * 2), {
        "drop_ip_header", "drop_ip_checksum", "drop_syn_bad", "drop_stray", "drop_not_for_us", "drop_tcp_checksum"}
    arp = struct.pack("!HHBBH", 1, 0x0800, 9, 4, 1) + own_mac + socket.inet_aton(own) + b"\0" * 6 + socket.inet_aton(address)
    yield "ARP with addresses of 9 bytes", ethernet(b"\xff" * 6, own_mac, arp, 0x0806), {"drop_arp_bad", "drop_short"}
    yield "ARP cut short", ethernet(b"\xff" * 6, own_mac, b"\0\1\x08\0\6\4\0", 0x0806), {"drop_arp_bad", "drop_short"}
    yield "ICMP echo with a wrong checksum", to_tas(b"\x08\0\x12\x34" + b"\0" * 20, proto=1), {"drop_icmp_bad"}
    yield "ICMP of two bytes", to_tas(b"\x08\0", proto=1), {"drop_icmp_bad", "drop_short"}
    yield "ACK of no connection", segment(flags=ACK, ack=77, dport=port), {"drop_stray", "drop_bad_cookie", "rst_sent"}


def established_cases(sock):
    """Blind attacks on a live connection; the frames are made when asked for, since it moves."""
    lport, mine, theirs, stamp = learn(sock)
    far = 0x30000000

    def stamps(value):
        return b"\1\1\x08\x0a" + struct.pack("!II", value & 0xFFFFFFFF, 1)

    def seg(**fields):
        return segment(sport=lport, **{"seq": mine, "ack": theirs, "flags": ACK, "options": stamps(stamp + 500), **fields})

    yield "RST far outside the window", seg(flags=RST, seq=mine + far), {"drop_bad_rst"}
    yield "RST in the window, not exact (RFC 5961)", seg(flags=RST, seq=mine + 1000), {"challenge_acks", "drop_bad_rst"}
    yield "SYN in the window (RFC 5961)", seg(flags=SYN, seq=mine + 10, ack=0), {"challenge_acks"}
    yield "data far outside the window", seg(seq=mine + far, payload=b"evil"), {"drop_out_of_window"}
    yield "ACK of what was never sent", seg(ack=theirs + far, payload=b"evil"), {"drop_bad_ack", "challenge_acks"}
    yield "data without ACK", seg(flags=PSH, payload=b"evil"), {"drop_no_ack", "drop_tcp_flags"}
    yield "data with an old timestamp", seg(options=stamps(stamp - 0x10000000), payload=b"evil"), {"drop_paws"}
    if tasctl:  # Linux takes these two
        yield "data without a timestamp, as only a forger sends (RFC 7323)", seg(options=b"", payload=b"evil"), {"drop_paws"}
        yield "option of length 0", seg(options=b"\x08\0\0\0", payload=b"evil"), {"drop_tcp_header"}


def check(name, frame, names, sock):
    before = counters() if tasctl else {}
    for _ in range(COPIES):
        raw.send(frame)
    end = time.monotonic() + LIMIT_S
    while tasctl:
        now = counters()
        if any(now.get(n, 0) > before.get(n, 0) for n in names):
            break
        if time.monotonic() > end:
            grown = sorted(n for n in now if now[n] > before.get(n, 0) and n.startswith(("drop", "refuse", "challenge")))
            sys.exit("%s: not counted under %s; grown: %s" % (name, " or ".join(sorted(names)), ", ".join(grown) or "nothing"))
    try:
        echo(sock, name.encode())
        with connect() as fresh:
            echo(fresh, name.encode())
    except OSError as e:
        sys.exit("%s: %s" % (name, e))


def main():
    done = 0
    with connect() as sock:
        for case in stateless_cases():
            check(*case, sock)
            done += 1
        for i in range(len(list(established_cases(sock)))):
            check(*list(established_cases(sock))[i], sock)
            done += 1
    print("%d kinds of bad frames" % done)


main()
