#!/bin/bash
# What libtas does not reach says so: tas-run, in one line, of programs that are static, Go's, scripts of such an interpreter or
# linked with liburing; libtas itself, once, of a program that makes an io_uring, whose sockets then are the kernel's.
. "$(dirname "$0")/../lib/e2e.sh"
tas_only
watchdog 140
bash "$TAS_SRC/tests/lib/setup.sh" diagnosis
bash "$TAS_SRC/tests/lib/setup.sh" go
go_build "$TAS_SRC/tests/tools/go_http.go" "$T/go_http"
echo 'int main(void) { return 0; }' >"$T/nothing.c"
gcc -static -o "$T/static" "$T/nothing.c"
gcc -o "$T/dynamic" "$T/nothing.c"
printf '#!%s\n' "$T/static" >"$T/script"
printf '#!%s\n' "$T/script" >"$T/script2"
chmod +x "$T/script" "$T/script2"
gcc -O1 -D_GNU_SOURCE -o "$T/uring" "$TAS_SRC/tests/tools/liburing/uring.c" -luring
tas_up

says() { # says PATTERN COMMAND...: one line on standard error, with the pattern; it runs
	local pattern=$1 status=0
	shift
	within 20 ip netns exec "$NS_T" "$TAS_BUILD/bin/tas-run" -s "$SOCKET" -- "$@" >/dev/null 2>"$T/says.err" || status=$?
	[ "$(grep -c '^tas-run: ' "$T/says.err")" = 1 ] && grep -q "$pattern" "$T/says.err" || fail "$*: $(cat "$T/says.err")"
}
says "$T/static is statically linked, where" "$T/static"
says "$T/script is statically linked, where" "$T/script"
says "$T/script2 is statically linked, where" "$T/script2"
says "$T/go_http is a Go program, statically linked, where" "$T/go_http" get nothing
says "$T/uring is linked with liburing" "$T/uring"
within 20 "${TAS[@]}" "$T/dynamic" 2>"$T/says.err" && [ ! -s "$T/says.err" ] || fail "of a dynamic program: $(cat "$T/says.err")"
! within 20 "${TAS[@]}" "$T/go_http" get nothing 2>"$T/says.err" || fail "--require runs a Go program"
grep -q 'not running the command' "$T/says.err" || fail "--require: $(cat "$T/says.err")"

spawn echo "${KERNEL[@]}" "$PYTHON" "$TAS_SRC/tests/tools/echo_server.py" $PEER_IP 7000
wait_for 20 "the echo server" grep -q listening "$T/echo.log"
over_tas() { tas_json status 'counter("conn_established")'; }
ring() { # ring NAME OPTIONS...: output in $T/NAME.log, what libtas and tas-run say in $T/NAME.err
	local name=$1 status=0
	shift
	within 30 ip netns exec "$NS_T" env "${URING[@]}" "$TAS_BUILD/bin/tas-run" -s "$SOCKET" --require --explain -- "$T/uring" "$@" \
		>"$T/$name.log" 2>"$T/$name.err" || fail "$name: status $?: $(cat "$T/$name.err")"
}
line() { [ "$(grep -c '^tas: [0-9]* uses io_uring' "$T/$1.err")" = "$2" ] || fail "$1: said not $2 times: $(cat "$T/$1.err")"; }
URING=()
n=$(over_tas)
ring before before $PEER_IP 7000
printf 'recv: Transport endpoint is not connected\nsend: Broken pipe\n' | diff - "$T/before.log" >&2 || fail "a ring on a connection of tas"
line before 1
[ "$(over_tas)" = $((n + 1)) ] || fail "the connection of before the ring was not over tas"
for how in after raw; do
	ring $how $how $PEER_IP 7000
	grep -qx 'all right' "$T/$how.log" || fail "$how: $(cat "$T/$how.log")"
	line $how 1
	grep -q ': 1 sockets: kernel_uring: ' "$T/$how.err" && grep -q ': 1 rings: uring: ' "$T/$how.err" || fail "$how is not counted: $(cat "$T/$how.err")"
done
[ "$(over_tas)" = $((n + 1)) ] || fail "a connection of after the ring was over tas"
URING=(TAS_URING=files)
ring files raw $PEER_IP 7000
line files 0
[ "$(over_tas)" = $((n + 2)) ] || fail "TAS_URING=files: the connection was not over tas"
spawn taker "${TAS[@]}" "$T/uring" accept 0.0.0.0 7020
taker=$PID
wait_for 20 "the listener" grep -q listening "$T/taker.log"
! within 20 "${KERNEL[@]}" bash -c "exec 3<>/dev/tcp/$TAS_IP/7020" 2>/dev/null || fail "a listener that a ring serves is there over tas"
[ "$(within 20 "${KERNEL[@]}" bash -c "exec 3<>/dev/tcp/$PEER_IP/7020; cat <&3")" = hello ] || fail "the ring did not accept"
finish $taker 20 || fail "the ring's program ended with $?: $(cat "$T/taker.log")"
tas_down
