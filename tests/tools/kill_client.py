"""kill_client.py ADDRESS PORT CONNECTIONS PID: what the peers of a killed program see.

Opens the connections, has one byte echoed on each (so that each is accepted and owned), leaves some with unread and unsent data,
kills PID with SIGKILL, and then: every connection ends, by EOF or by reset, and the port refuses, all within LIMIT_S.
"""
import os
import select
import signal
import socket
import sys
import time

LIMIT_S = 20


def main():
    address, count, pid = (sys.argv[1], int(sys.argv[2])), int(sys.argv[3]), int(sys.argv[4])
    socks = [socket.create_connection(address, timeout=LIMIT_S) for _ in range(count)]
    for i, s in enumerate(socks):
        s.sendall(b"x")
        if s.recv(1) != b"x":
            sys.exit("no echo on connection %d" % i)
    os.kill(pid, signal.SIGKILL)
    for s in socks[::3]:
        try:
            s.send(b"y" * 3000)
        except OSError:
            pass

    poll, left = select.poll(), {}
    for s in socks:
        s.setblocking(False)
        poll.register(s, select.POLLIN)
        left[s.fileno()] = s
    resets, eofs, end = 0, 0, time.monotonic() + LIMIT_S
    while left:
        events = poll.poll(1000)
        if not events and time.monotonic() > end:
            sys.exit("%d of %d connections still open %d s after the kill" % (len(left), count, LIMIT_S))
        for fd, _ in events:
            try:
                if left[fd].recv(65536):
                    continue
                eofs += 1
            except BlockingIOError:
                continue
            except OSError:
                resets += 1
            poll.unregister(fd)
            del left[fd]

    while True:
        try:
            socket.create_connection(address, timeout=2).close()
        except ConnectionRefusedError:
            break
        except OSError:
            pass
        if time.monotonic() > end:
            sys.exit("the port does not refuse %d s after the kill" % LIMIT_S)
    print("%d resets, %d ends of file" % (resets, eofs))


main()
