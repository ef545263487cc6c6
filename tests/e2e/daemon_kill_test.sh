#!/bin/bash
# The service is killed (SIGKILL) under load: programs get errors and not hangs, what the kernel serves goes on, and a service
# started again on the same paths is found by new programs.
. "$(dirname "$0")/../lib/e2e.sh"
tas_only
watchdog 140

www 1000 30000000
tas_up
nginx_conf main 80
nginx_run main "${TAS[@]}"
nginx_conf peer $PEER_IP:81 "limit_rate 1m;"
nginx_run peer "${KERNEL[@]}"
program wrk
spawn wrk "${KERNEL[@]}" "${PROGRAM[@]}" -t 1 -c 32 -d 6s --timeout 5 http://$TAS_IP/1000
WRK=$PID
spawn download "${TAS[@]}" curl -sS --fail -o "$T/download" http://$PEER_IP:81/30000000
DOWNLOAD=$PID
# One program sleeps in recv(), one in epoll_wait(): neither has anything to send that could fail.
spawn in_recv "${TAS[@]}" "$PYTHON" -c "
import socket
s = socket.create_connection(('$PEER_IP', 81))
print('asleep', flush=True)
try:
    print('end of file' if not s.recv(10) else 'data')
except OSError as e:
    print('error', e.errno)"
IN_RECV=$PID
spawn in_epoll "${TAS[@]}" "$PYTHON" -c "
import select, socket
s = socket.create_connection(('$PEER_IP', 81))
p = select.epoll()
p.register(s, select.EPOLLIN)
print('asleep', flush=True)
print('events', p.poll()[0][1])"
IN_EPOLL=$PID
# A child holds a connection that it has not touched yet, and ends it when the service is gone.
spawn in_child "${TAS[@]}" "$PYTHON" -c "
import os, socket, time
s = socket.create_connection(('$PEER_IP', 81))
pid = os.fork()
if pid == 0:
    while not os.path.exists('$T/killed'):
        time.sleep(0.1)
    try:
        s.shutdown(socket.SHUT_RDWR)
    except OSError as e:
        os._exit(e.errno)
    os._exit(0)
print('asleep', flush=True)
print('child', os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))"
IN_CHILD=$PID
wait_for 20 "the download to begin" test -s "$T/download"
wait_for 20 "the programs" grep -q asleep "$T/in_recv.log"
wait_for 20 "the programs" grep -q asleep "$T/in_epoll.log"
wait_for 20 "the programs" grep -q asleep "$T/in_child.log"
used_tas

kill -KILL "$TAS_PID"
wait_for 10 "tas to be dead" gone "$TAS_PID"
status=0
finish "$DOWNLOAD" 20 || status=$?
[ $status -ne 0 ] || fail "a download that lost its service ended well"
touch "$T/killed"
finish "$IN_CHILD" 20 || :
grep -qx 'child 107' "$T/in_child.log" || fail "shutdown() of what a child cannot have any more: $(tail -n 1 "$T/in_child.log")"
finish "$IN_RECV" 20 || :
finish "$IN_EPOLL" 20 || :
grep -qE '^error (104|110|103|32)$' "$T/in_recv.log" || fail "recv() said: $(tail -n 1 "$T/in_recv.log")"
grep -q '^events' "$T/in_epoll.log" || fail "epoll_wait() said: $(tail -n 1 "$T/in_epoll.log")"
finish "$WRK" 40 || :
say "programs got errors: curl's status $status, recv: $(tail -n 1 "$T/in_recv.log")"

# The same nginx still serves what the kernel's half listens on, and a new one runs on the kernel.
LOCAL=(ip netns exec "$NS_T")
within 20 "${LOCAL[@]}" curl -sS --fail -o "$T/got" http://127.0.0.1/1000 || fail "nginx lost the kernel's half: $?"
same_file "$T/got" "$T/www/1000"
nginx_stop main
nginx_conf second 80
nginx_run second ip netns exec "$NS_T" "$TAS_BUILD/bin/tas-run" -s "$SOCKET" --
within 20 "${LOCAL[@]}" curl -sS --fail -o "$T/got" http://127.0.0.1/1000 || fail "nginx does not run on the kernel: $?"
same_file "$T/got" "$T/www/1000"
nginx_stop second
nginx_signal peer stop # not quit: its connections lead nowhere now

# Sockets of the dead service lie about; they are replaced.
[ -S "$SOCKET" ] || fail "the killed service had time to clean up: this test did not test"
no_device() { ! ip -n "$NS_T" link show tas0; }
wait_for 10 "the device to go" no_device
tas_start
nginx_conf third $TAS_IP:80
nginx_run third "${TAS[@]}"
fetch http://$TAS_IP/30000000 "$T/got" "$(sha_of "$T/www/30000000")"

# A program of before that is only reloaded brings a listener that the next service does not know: it is named.
kill -KILL "$TAS_PID"
wait_for 10 "tas to be dead" gone "$TAS_PID"
wait_for 10 "the device to go" no_device
tas_start
nginx_signal third reload
named() { grep -q 'a listener that is not known here.*comm=nginx' "$T/tas-$TAS_STARTS.log"; }
wait_for 20 "the refusal to be logged" named
tas_json drops 'counter("refuse_join") > 0' || fail "the refusal is not counted"
nginx_signal third stop
nginx_conf fourth $TAS_IP:82
nginx_run fourth "${TAS[@]}"
fetch http://$TAS_IP:82/1000 "$T/got" "$(sha_of "$T/www/1000")"
nginx_stop fourth
tas_down
