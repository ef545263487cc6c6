#!/usr/bin/python3
"""http_check.py ADDRESS PORT CONNECTIONS put|post|get FILE [CERTIFICATE]

Requests on CONNECTIONS connections at once, each kept for several of them: GET /100000, whose body must be FILE, and a body of random
bytes, which must come back: PUT to /put/NAME and GET of it, or POST to /echo. "get" sends none. With a certificate over TLS. A
connection that the server closes after an answer is made anew, as a browser would. Exits 1 at the first wrong byte."""
import hashlib
import http.client
import os
import ssl
import sys
import threading

ROUNDS = 4
SIZES = (1, 3000, 70000)


class Client:
    def __init__(self, number):
        self.number = number
        self.connection = None

    def open(self):
        if CONTEXT:
            return http.client.HTTPSConnection(ADDRESS, PORT, timeout=40, context=CONTEXT)
        return http.client.HTTPConnection(ADDRESS, PORT, timeout=40)

    def ask(self, method, path, body=None):
        if self.connection is None:
            self.connection = self.open()
        self.connection.request(method, path, body)
        answer = self.connection.getresponse()
        data = answer.read()
        if answer.will_close:
            self.connection.close()
            self.connection = None
        if answer.status not in (200, 201, 204):
            raise AssertionError(f"{method} {path}: {answer.status} {answer.reason} {data[:200]!r}")
        return data

    def expect(self, what, got, wanted):
        if got != wanted:
            raise AssertionError(f"{what}: {len(got)} bytes, {hashlib.sha256(got).hexdigest()}, not "
                                 f"{len(wanted)}, {hashlib.sha256(wanted).hexdigest()}")

    def round(self, n):
        self.expect("GET /100000", self.ask("GET", "/100000"), FILE)
        body = os.urandom(SIZES[(self.number + n) % len(SIZES)])
        if HOW == "put":
            path = f"/put/{os.getpid()}-{self.number}-{n}"
            self.ask("PUT", path, body)
            self.expect("what was put", self.ask("GET", path), body)
        elif HOW == "post":
            self.expect("the echo", self.ask("POST", "/echo", body), body)

    def run(self):
        try:
            for n in range(ROUNDS):
                self.round(n)
            if self.connection:
                self.connection.close()
        except Exception as error:
            FAILED.append(f"connection {self.number}: {type(error).__name__}: {error}")


ADDRESS, PORT, CONNECTIONS, HOW = sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), sys.argv[4]
FILE = open(sys.argv[5], "rb").read()
CONTEXT = ssl.create_default_context(cafile=sys.argv[6]) if len(sys.argv) > 6 else None
FAILED = []
threads = [threading.Thread(target=Client(n).run) for n in range(CONNECTIONS)]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
for line in FAILED[:5]:
    print(line, file=sys.stderr)
if FAILED:
    sys.exit(f"{len(FAILED)} of {CONNECTIONS} connections failed")
print(f"{CONNECTIONS} connections, {ROUNDS} rounds each: every byte right")
