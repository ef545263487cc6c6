"""frames.py: Ethernet, IPv4 and TCP frames, right in every field unless told otherwise. For tests that send wrong ones."""
import socket
import struct

SYN, FIN, RST, PSH, ACK, URG = 0x02, 0x01, 0x04, 0x08, 0x10, 0x20


def checksum(data):
    if len(data) % 2:
        data += b"\0"
    s = sum(struct.unpack("!%dH" % (len(data) // 2), data))
    while s >> 16:
        s = (s & 0xFFFF) + (s >> 16)
    return ~s & 0xFFFF


def tcp(src, dst, sport, dport, seq=1, ack=0, flags=SYN, window=65535, options=b"", payload=b"", offset=None, bad_sum=False):
    """A TCP segment; `offset` (32-bit words) and the checksum can be made to lie."""
    options += b"\0" * (-len(options) % 4) if offset is None else b""
    words = 5 + len(options) // 4 if offset is None else offset
    head = struct.pack("!HHIIBBHHH", sport, dport, seq & 0xFFFFFFFF, ack & 0xFFFFFFFF, words << 4, flags, window, 0, 0)
    data = head + options + payload
    pseudo = socket.inet_aton(src) + socket.inet_aton(dst) + struct.pack("!BBH", 0, 6, len(data))
    s = checksum(pseudo + data) ^ (0x5555 if bad_sum else 0)
    return data[:16] + struct.pack("!H", s) + data[18:]


def ip(src, dst, payload, proto=6, version=4, ihl=None, total=None, frag=0x4000, options=b"", ttl=64, bad_sum=False):
    """An IPv4 packet around payload; `frag` is flags and offset as on the wire (default DF)."""
    words = 5 + len(options) // 4
    head = struct.pack(
        "!BBHHHBBH4s4s",
        version << 4 | (words if ihl is None else ihl), 0,
        words * 4 + len(payload) if total is None else total,
        0x1234, frag, ttl, proto, 0, socket.inet_aton(src), socket.inet_aton(dst))
    s = checksum(head + options) ^ (0x5555 if bad_sum else 0)
    return head[:10] + struct.pack("!H", s) + head[12:] + options + payload


def ethernet(dst_mac, src_mac, payload, ethertype=0x0800):
    frame = dst_mac + src_mac + struct.pack("!H", ethertype) + payload
    return frame + b"\0" * max(0, 60 - len(frame))


def parse_tcp(frame):
    """(src, dst, sport, dport, seq, ack, flags, payload length) of a frame, or None."""
    if len(frame) < 54 or frame[12:14] != b"\x08\x00" or frame[23] != 6:
        return None
    ihl = (frame[14] & 15) * 4
    total = struct.unpack("!H", frame[16:18])[0]
    t = frame[14 + ihl:]
    sport, dport, seq, ack, off, flags = struct.unpack("!HHIIBB", t[:14])
    addresses = socket.inet_ntoa(frame[26:30]), socket.inet_ntoa(frame[30:34])
    return (*addresses, sport, dport, seq, ack, flags, total - ihl - (off >> 4) * 4)
