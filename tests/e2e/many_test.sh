#!/bin/bash
# 100 busy connections in one epoll set, alone and beside 10,000 idle ones (100,000 in the long form): what an event costs and how
# long it takes must be alike, which is printed; that every byte is right and every connection is there, also the idle ones, is checked.
. "$(dirname "$0")/../lib/e2e.sh"
watchdog $([ -n "${TAS_LONG:-}" ] && echo 900 || echo 140)
BUSY=100
IDLE=$([ -n "${TAS_LONG:-}" ] && echo 100000 || echo 10000)
SPARE=1000 # descriptors for everything else
ROUNDS=$([ -n "${TAS_LONG:-}" ] && echo 400000 || echo 100000)
SOURCES=4 # 28,000 ports each

# A process may have so many descriptors; without CAP_SYS_RESOURCE nobody can have more.
ulimit -n $((IDLE + SPARE)) 2>/dev/null || ulimit -n "$(ulimit -Hn)"
if [ "$(ulimit -n)" -lt $((IDLE + SPARE)) ]; then
	IDLE=$(($(ulimit -n) - SPARE))
	[ $IDLE -ge 1000 ] || skip "a process may have only $(ulimit -n) descriptors"
	say "a process may have only $(ulimit -n) descriptors: $IDLE idle connections"
fi
tas_up "max_flows = 131072;
program_slots = 131072;"
device=$(ip -n "$NS_K" -o -4 addr show to $PEER_IP | awk '{ print $2 }')
for ((i = 1; i < SOURCES; i++)); do
	ip -n "$NS_K" addr add 10.99.0.$((10 + i))/24 dev "$device"
done
ip -n "$NS_K" addr add 10.99.0.10/24 dev "$device"

spawn server "${TAS[@]}" "$TAS_BUILD/bin/e2e_many" serve $TAS_IP 7000
SERVER=$PID
wait_for 20 "the server" grep -q listening "$T/server.log"
within 800 "${KERNEL[@]}" "$TAS_BUILD/bin/e2e_many" load $TAS_IP 7000 $BUSY $IDLE $ROUNDS $SOURCES 10.99.0.10 >"$T/load" 2>&1 ||
	fail "status $?: $(cat "$T/load")"
cat "$T/load"
alive "$SERVER" || fail "the server ended: $(cat "$T/server.log")"
if [ -z "$BASELINE" ]; then
	[ "$(tas_json status 'counter("conn_established")')" -ge $((BUSY + IDLE)) ] || fail "not all connections went over tas"
fi
kill -TERM "$SERVER"
finish "$SERVER" 60 || :
tas_down
