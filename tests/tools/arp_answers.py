"""arp_answers.py INTERFACE OWN ADDRESS COUNT: asks who has ADDRESS, once; so many must answer within a second and a half."""
import socket
import struct
import sys
import time

iface, own, asked, count = sys.argv[1], socket.inet_aton(sys.argv[2]), socket.inet_aton(sys.argv[3]), int(sys.argv[4])
s = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(0x0806))
s.bind((iface, 0x0806))
mac = s.getsockname()[4]
s.send(b"\xff" * 6 + mac + struct.pack("!HHHBBH", 0x0806, 1, 0x0800, 6, 4, 1) + mac + own + bytes(6) + asked + bytes(18))
until, answers = time.monotonic() + 1.5, 0
while time.monotonic() < until:
    s.settimeout(max(0.01, until - time.monotonic()))
    try:
        frame = s.recv(2048)
    except TimeoutError:
        break
    op, sender = struct.unpack("!H", frame[20:22])[0], frame[28:32]
    answers += op == 2 and sender == asked and frame[:6] == mac
assert answers == count, "%d answers instead of %d" % (answers, count)
