#!/bin/bash
# handover_test.sh - descriptors that go to other programs: socket activation (the listener, or a connection for each program started),
# connections passed over UNIX sockets to a program that is no relative and to workers of Python's multiprocessing. Every byte is checked.
# What cannot go is refused to its sender, and counted; and so is a program started with descriptors of tas that cannot use them.
. "$(dirname "$0")/../lib/e2e.sh"
watchdog 180
tas_up
SERVER=$TAS_SRC/tests/e2e/handover_server.py
# clients PORT WORD COUNT: so many at once, each with bytes of its own, are served rightly by who says WORD.
clients() {
	within 60 "${KERNEL[@]}" "$PYTHON" - $TAS_IP "$@" <<'END'
import concurrent.futures, hashlib, random, socket, sys
host, port, word, count = sys.argv[1], int(sys.argv[2]), sys.argv[3], int(sys.argv[4])

def one(i):
    data = random.Random(i).randbytes(1 + 977 * i)
    with socket.create_connection((host, port), timeout=30) as c:
        f = c.makefile("rb")
        assert f.readline().split()[0].decode() == word
        c.sendall(data)
        c.shutdown(socket.SHUT_WR)
        n, digest = f.readline().split()
        assert int(n) == len(data) and digest.decode() == hashlib.sha256(data).hexdigest(), "other bytes"
        assert f.read() == b"", "it goes on"

with concurrent.futures.ThreadPoolExecutor(16) as pool:
    list(pool.map(one, range(count)))
END
}

if command -v systemd-socket-activate >/dev/null; then
	spawn activate "${TAS[@]}" systemd-socket-activate -l $TAS_IP:8401 "$PYTHON" "$SERVER" activated
	activate=$PID
	wait_for 20 "it to listen" grep -q -i listening "$T/activate.log"
	clients 8401 activated 40 || fail "the service that was started with the listener"
	kill -TERM "$activate"; finish "$activate" 10 || true
	spawn each "${TAS[@]}" systemd-socket-activate -a -l $TAS_IP:8402 "$PYTHON" "$SERVER" activated
	each=$PID
	wait_for 20 "it to listen" grep -q -i listening "$T/each.log"
	clients 8402 instance 12 || fail "the programs that were started with a connection"
	kill -TERM "$each"; finish "$each" 10 || true
	say "socket activation: one service, and one for each connection"
fi

spawn acceptor "${TAS[@]}" "$PYTHON" "$SERVER" acceptor "$T/meet" $TAS_IP 8403
acceptor=$PID
wait_for 20 "it to listen" grep -q listening "$T/acceptor.log"
spawn worker "${TAS[@]}" "$PYTHON" "$SERVER" worker "$T/meet"
worker=$PID
wait_for 20 "the worker" grep -q worker "$T/acceptor.log"
clients 8403 worker 40 || fail "connections passed to a stranger: $(cat "$T/acceptor.log" "$T/worker.log")"
say "connections passed to a program that is no relative"
for p in "$acceptor" "$worker"; do kill -TERM "$p" 2>/dev/null || true; finish "$p" 10 || true; done

spawn pool "${TAS[@]}" "$PYTHON" "$SERVER" pool $TAS_IP 8404
pool=$PID
wait_for 20 "it to listen" grep -q listening "$T/pool.log"
clients 8404 pool 40 || fail "connections handed to workers: $(cat "$T/pool.log")"
kill -TERM "$pool"; finish "$pool" 10 || true
say "connections handed to workers of multiprocessing"

if [ -z "$BASELINE" ]; then
	[ "$(tas_json status 'counter("passed_taken")')" -ge 80 ] || fail "nothing was passed"
	rm -f "$T/meet"
	spawn refused "${TAS[@]:0:$((${#TAS[@]} - 1))}" --explain -- "$PYTHON" "$SERVER" acceptor "$T/meet" $TAS_IP 8405
	refused=$PID
	wait_for 20 "it to listen" grep -q listening "$T/refused.log"
	spawn plain "${KERNEL[@]}" "$PYTHON" "$SERVER" worker "$T/meet"
	plain=$PID
	wait_for 20 "the receiver without libtas" grep -q worker "$T/refused.log"
	! clients 8405 worker 1 2>/dev/null || fail "a program without libtas serves a connection of tas"
	wait_for 10 "the sender to be told" grep -q 'send_fds: 22' "$T/refused.log"
	finish "$refused" 10 || fail "the sender ended with $?"
	grep -q ': 1 descriptors: refuse_pass: ' "$T/refused.log" || fail "not counted: $(cat "$T/refused.log")"
	kill -TERM "$plain" 2>/dev/null || true; finish "$plain" 10 || true
	say "a receiver without libtas: refused to the sender"

	static=/sbin/ldconfig # of Debian's libc-bin
	within 30 "${TAS[@]:0:$((${#TAS[@]} - 1))}" --explain -- "$PYTHON" "$SERVER" leave $TAS_IP 8406 $static -V >"$T/leave.log" 2>&1 || fail "leave: $(cat "$T/leave.log")"
	grep -q 'status 0' "$T/leave.log" && grep -q ': 1 programs: left_behind: ' "$T/leave.log" || fail "not counted: $(cat "$T/leave.log")"
	say "a static program with a listener of tas: counted"
fi
tas_down
