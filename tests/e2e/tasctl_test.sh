#!/bin/bash
# tasctl: every command in both forms, filters, kill, exit codes, and one clear sentence when no service is there.
. "$(dirname "$0")/../lib/e2e.sh"
tas_only
watchdog 140

expect_fail() { # expect_fail PATTERN COMMAND...: not 0, one line that matches
	local pattern=$1 status=0
	shift
	within 20 "$@" >"$T/out" 2>&1 || status=$?
	[ $status -ne 0 ] && [ $status -lt 126 ] || fail "status $status: ${*: -2}"
	[ "$(wc -l <"$T/out")" -ge 1 ] && grep -qiE "$pattern" "$T/out" || fail "${*: -2}: $(cat "$T/out")"
}

built
expect_fail 'no tas service' "${CTL[@]}" status
[ "$(wc -l <"$T/out")" = 1 ] || fail "more than one sentence: $(cat "$T/out")"

tas_up
spawn echo "${TAS[@]}" "$PYTHON" "$TAS_SRC/tests/tools/echo_server.py" $TAS_IP 7000
ECHO=$PID
wait_for 20 "the program" grep -q listening "$T/echo.log"
spawn peer "${KERNEL[@]}" "$PYTHON" -c "
import socket
socks = [socket.create_connection(('$TAS_IP', 7000), 20) for _ in range(3)]
for s in socks:
    s.sendall(b'x' * 5000)
    n = 0
    while n < 5000:
        n += len(s.recv(65536))
print('open', flush=True)
ended = 0
for s in socks:
    s.settimeout(60)
    try:
        ended += s.recv(1) == b''
    except ConnectionResetError:
        ended += 1
print('ended', ended)"
PEER=$PID
wait_for 20 "the connections" grep -q open "$T/peer.log"

for command in status flows listeners apps cores drops; do
	within 20 "${CTL[@]}" $command >"$T/out" || fail "tasctl $command: status $?"
	[ "$(wc -l <"$T/out")" -ge 1 ] || fail "tasctl $command says nothing"
	! LC_ALL=C grep -qP '[^\x09\x0a\x20-\x7e]' "$T/out" || fail "tasctl $command prints odd bytes"
	tas_json $command '"schema" in d or "schema_version" in d' || fail "tasctl $command --json has no schema version"
done
[ "$(tas_json flows 'len(rows)')" = 3 ] || fail "flows: $(tas_json flows 'rows')"
[ "$(tas_json listeners 'len(rows)')" = 1 ] || fail "listeners: $(tas_json listeners 'rows')"
[ "$(tas_json apps "[r['pid'] for r in rows]")" = "[$ECHO]" ] || fail "apps: $(tas_json apps 'rows')"
[ "$(tas_json cores 'len(rows)')" = "${TAS_CORES:-1}" ] || fail "cores: $(tas_json cores 'rows')"
[ "$(tas_json "flows --pid $ECHO" 'len(rows)')" = 3 ] || fail "--pid does not find"
[ "$(tas_json "flows --pid 1" 'len(rows)')" = 0 ] || fail "--pid does not filter"
[ "$(tas_json "flows --port 7000" 'len(rows)')" = 3 ] || fail "--port does not find"
[ "$(tas_json "flows --port 7001" 'len(rows)')" = 0 ] || fail "--port does not filter"
[ "$(tas_json "flows --addr $PEER_IP" 'len(rows)')" = 3 ] || fail "--addr does not find"
[ "$(tas_json "flows --addr 10.99.0.77" 'len(rows)')" = 0 ] || fail "--addr does not filter"
tas_json flows 'all("pid" in r and "state" in r for r in rows)' || fail "rows without pid or state: $(tas_json flows 'rows')"

# One flow in full, then killed: its peer sees the end, the others stay.
id=$(tas_json flows "rows[0]['id']")
within 20 "${CTL[@]}" flow "$id" >"$T/out" || fail "tasctl flow $id: status $?"
grep -q "$PEER_IP" "$T/out" || fail "tasctl flow $id: $(cat "$T/out")"
within 20 "${CTL[@]}" kill "$id" >"$T/out" || fail "tasctl kill $id: status $?"
[ "$(cat "$T/out")" = "flow $id was reset" ] || fail "tasctl kill says: $(cat "$T/out")"
two_left() { [ "$(tas_json flows 'len(rows)')" = 2 ]; }
wait_for 20 "the flow to go" two_left
expect_fail "there is no flow $id" "${CTL[@]}" kill "$id"
# The place in the table is used again: the old name stays without a connection.
spawn again "${KERNEL[@]}" "$PYTHON" -c "
import socket
s = socket.create_connection(('$TAS_IP', 7000), 20)
print('open', flush=True)
s.settimeout(60)
try:
    s.recv(1)
except ConnectionResetError:
    pass"
AGAIN=$PID
wait_for 20 "another connection" grep -q open "$T/again.log"
tas_json flows "any(r['id'].split('.')[0] == '${id%.*}' for r in rows)" || fail "place ${id%.*} is not used again: $(tas_json flows 'rows')"
expect_fail "there is no flow $id" "${CTL[@]}" kill "$id"
[ "$(tas_json flows 'len(rows)')" = 3 ] || fail "a stale id killed another connection"
expect_fail 'not a flow id' "${CTL[@]}" kill "${id%.*}"
expect_fail 'no flow' "${CTL[@]}" flow 4294967295.1

expect_fail 'programs register at .*control socket' "$TAS_BUILD/bin/tasctl" -s "$SOCKET"
expect_fail . "${CTL[@]}" frobnicate
expect_fail . "${CTL[@]}" flows --no-such-option
expect_fail . "${CTL[@]}" flows --port 99999
within 20 "${CTL[@]}" --version >"$T/out" || fail "--version: status $?"
grep -qE '[0-9]+\.[0-9]+' "$T/out" || fail "--version: $(cat "$T/out")"

kill -KILL "$ECHO"
finish "$AGAIN" 60 || fail "the second peer ended with $?"
finish "$PEER" 60 || fail "the peer ended with $?"
grep -q 'ended 3' "$T/peer.log" || fail "the peer saw: $(cat "$T/peer.log")"

# Draining: no new programs or connections, and it is said.
within 20 "${CTL[@]}" drain >"$T/out" || fail "tasctl drain: status $?"
grep -q '^draining: ' "$T/out" && [ "$(wc -l <"$T/out")" = 1 ] || fail "tasctl drain says: $(cat "$T/out")"
! within 20 "${TAS[@]}" true 2>"$T/err" || fail "a program joined a draining service"
grep -q "draining" "$T/err" || fail "tas-run while draining: $(cat "$T/err")"
tas_down
