#!/bin/bash
# Options as they show on the wire, at the peer: TTL, TOS, MSS and window scale of SYN, SYN-ACK and data, retries of a SYN that
# nobody answers; and connections to a peer that has fallen silent, which keepalive and TCP_USER_TIMEOUT end.
. "$(dirname "$0")/../lib/e2e.sh"
watchdog 150
TOOL=$TAS_SRC/tests/tools/options_wire.py
on_peer() { spawn "$1" "${KERNEL[@]}" "$PYTHON" "$TOOL" "${@:2}"; }
over_tas() { within 60 "${TAS[@]}" "$PYTHON" "$TOOL" "$@"; }
from=1
anew() { from=$(($(wc -l <"$T/capture.log") + 1)); }
captured() { tail -n +$from "$T/capture.log"; }
# seen REGEX: how many segments of ours look like that.
seen() { captured | grep -cE "$1"; }
only() { [ "$(seen "$1")" -gt 0 ] && [ "$(seen "$2")" = 0 ] || fail "$3: $(captured | sort | uniq -c)"; }
ends() { captured | grep -q '^F'; }

tas_up
on_peer capture capture $TAS_IP
wait_for 20 "the capture" grep -q capturing "$T/capture.log"
on_peer sink sink $PEER_IP 7001
wait_for 20 "the sink" grep -q listening "$T/sink.log"

over_tas connect $PEER_IP 7001 || fail "connect: $?"
wait_for 20 "all that was sent" grep -qx 'got 30077' "$T/sink.log"
wait_for 20 "the FIN" ends
[ "$(seen '^S ttl=33 tos=72 len=0 mss=900 wscale=[01]$')" = 1 ] || fail "the SYN: $(captured)"
only '^A ttl=33 tos=72 len=[1-9]' '^F?A ttl=33 tos=([0-9]|0|[0-689].|7[013-9]) ' "TTL and TOS of data"
only '^F?A ttl=44 tos=0 len=77' '^F?A ttl=(64|44 tos=72) ' "TTL and TOS that were changed"
anew

spawn server "${TAS[@]}" "$PYTHON" "$TOOL" accept $TAS_IP 7002
wait_for 20 "the server" grep -q listening "$T/server.log"
within 30 "${KERNEL[@]}" "$PYTHON" -c "
import socket
s = socket.create_connection(('$TAS_IP', 7002))
n = 0
while True:
    b = s.recv(65536)
    if not b: break
    n += len(b)
assert n == 5000, n" || fail "the client of the server"
[ "$(seen '^SA ttl=21 tos=40 len=0 mss=800 ')" = 1 ] || fail "the SYN-ACK: $(captured)"
only '^F?A ttl=21 tos=40 len=[1-9]' 'ttl=64' "TTL and TOS of an accepted connection"
anew

mkfifo "$T/hold"
"${KERNEL[@]}" "$PYTHON" "$TOOL" full $PEER_IP 7003 <"$T/hold" >"$T/full.log" 2>&1 &
exec 8>"$T/hold"
wait_for 20 "a full queue" grep -q full "$T/full.log"
[ "$(over_tas unanswered $PEER_IP 7003)" = ETIMEDOUT ] || fail "a SYN that nobody answers"
# Linux since 6.5 has retries of its own before those that count.
[ -n "$BASELINE" ] || [ "$(seen '^S ')" = 2 ] || fail "TCP_SYNCNT 1: $(seen '^S ') SYNs"
exec 8>&-

# The peer's address goes: what comes for it is not answered any more.
for option in keepalive user_timeout; do
	mkfifo "$T/$option.in"
	within 60 "${TAS[@]}" "$PYTHON" "$TOOL" silent $PEER_IP 7001 $option <"$T/$option.in" >"$T/$option.out" 2>&1 &
	eval "$option=\$!"
	[ $option = keepalive ] && exec 6>"$T/$option.in" || exec 7>"$T/$option.in"
	wait_for 20 "$option to be ready" grep -q ready "$T/$option.out"
done
device=$(ip -n "$NS_K" -o addr show to $PEER_IP | awk '{ print $2; exit }')
ip -n "$NS_K" addr del $PEER_IP/24 dev "$device"
echo go >&6
echo go >&7
finish $keepalive 60 || fail "keepalive: $?"
finish $user_timeout 60 || fail "user_timeout: $?"
for option in keepalive user_timeout; do
	[ "$(tail -1 "$T/$option.out")" = ETIMEDOUT ] || fail "$option: $(cat "$T/$option.out")"
done
exec 6>&- 7>&-
ip -n "$NS_K" addr add $PEER_IP/24 dev "$device"
[ -n "$BASELINE" ] || used_tas
tas_down
