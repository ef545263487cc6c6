#!/bin/bash
# Debuggers, tracers, sanitizers and other preloaded libraries beside libtas: a threaded program serves and asks under each,
# 1 MB both ways, every byte right.
. "$(dirname "$0")/../lib/e2e.sh"
watchdog 280
bash "$TAS_SRC/tests/lib/setup.sh" diagnosis
PROGRAM_C=$TAS_SRC/tests/tools/diagnosis.c
PORT=7100
tas_up

build() { # build NAME COMPILER FLAGS...
	"$2" -g -O1 -D_GNU_SOURCE "${@:3}" -o "$T/$1" "$PROGRAM_C" -pthread || fail "$1 is not to be built"
}
build plain gcc

listening() { grep -q listening "$T/$1.log"; }

# server NAME COMMAND... / asked NAME: serves on $PORT; one connection of the kernel's side, and the program must end well.
server() {
	PORT=$((PORT + 1))
	spawn "$1" "${TAS[@]}" "${@:2}" serve "$TAS_IP" $PORT "${COUNT:-1}"
	SERVER=$PID
	wait_for 60 "$1 to listen" listening "$1"
}
asked() {
	within 60 "${KERNEL[@]}" "$T/plain" ask "$TAS_IP" $PORT >"$T/$1-peer.log" 2>&1 || fail "$1: its client ended with $?: $(cat "$T/$1-peer.log")"
}
ended() {
	finish "$SERVER" 60 || fail "$1 as a server ended with $?"
	grep -q served "$T/$1.log" || fail "$1 has not served"
}
client() { # client NAME COMMAND...
	PORT=$((PORT + 1))
	spawn upstream "${KERNEL[@]}" "$T/plain" serve "$PEER_IP" $PORT
	wait_for 20 "upstream" listening upstream
	within 90 "${TAS[@]}" "${@:2}" ask "$PEER_IP" $PORT >"$T/$1-client.log" 2>&1 || fail "$1 as a client ended with $?"
	grep -q 'bytes right' "$T/$1-client.log" || fail "$1 as a client has not said that the bytes are right"
}
both() { # both NAME COMMAND...
	server "$@"
	asked "$1"
	ended "$1"
	client "$@"
}
clean() { # clean NAME PATTERN: neither side has reported
	! grep -hE "$2" "$T/$1.log" "$T/$1-client.log" >&2 || fail "$1 reports a fault"
}

both plain "$T/plain"

# ---- sanitizers: of gcc, in shared libraries that want to be first; of clang, in the program ----

REPORT='Sanitizer|runtime error:'
for kind in address thread undefined; do
	build "gcc-$kind" gcc "-fsanitize=$kind"
	build "clang-$kind" clang "-fsanitize=$kind"
	for compiler in gcc clang; do
		both "$compiler-$kind" "$T/$compiler-$kind"
		clean "$compiler-$kind" "$REPORT"
	done
done
for compiler in gcc clang; do
	PORT=$((PORT + 1))
	spawn upstream "${KERNEL[@]}" "$T/plain" serve "$PEER_IP" $PORT
	wait_for 20 "upstream" listening upstream
	! within 60 "${TAS[@]}" "$T/$compiler-address" overrun "$PEER_IP" $PORT >"$T/overrun.log" 2>&1 || fail "$compiler: a receive beyond the buffer is not seen"
	grep -q 'heap-buffer-overflow' "$T/overrun.log" || fail "$compiler: a receive beyond the buffer: $(cat "$T/overrun.log")"
done
if [ -z "$BASELINE" ]; then
	# What comes first for one program does not come along to its children.
	within 30 "${TAS[@]}" "$T/gcc-address" child >"$T/child.log" 2>&1 || fail "a child: $(cat "$T/child.log")"
	grep -q "^LD_PRELOAD=$(realpath "$TAS_BUILD/lib/libtas.so")" "$T/child.log" || fail "a child inherits $(cat "$T/child.log")"
fi

# ---- strace and valgrind ----

both strace strace -f -o "$T/strace.out" "$T/plain"
grep -q 'exited with 0' "$T/strace.out" || fail "strace has seen nothing"
both valgrind valgrind --tool=memcheck --leak-check=full --error-exitcode=9 "$T/plain"
grep -q 'ERROR SUMMARY: 0 errors' "$T/valgrind.log" || fail "valgrind: no summary"

# ---- gdb: started under it, attached to while its threads sleep ----

PORT=$((PORT + 1))
spawn upstream "${KERNEL[@]}" "$T/plain" serve "$PEER_IP" $PORT
wait_for 20 "upstream" listening upstream
within 90 "${TAS[@]}" gdb -q -nx -batch -ex 'set debuginfod enabled off' -ex 'break one_round' -ex run -ex bt -ex delete -ex continue --args "$T/plain" ask "$PEER_IP" $PORT \
	>"$T/gdb.log" 2>&1 </dev/null || fail "gdb: status $?"
grep -q 'in receiver' "$T/gdb.log" || fail "gdb shows no backtrace"
grep -q 'bytes right' "$T/gdb.log" || fail "the program does not go on after the breakpoint"
COUNT=2 server attached "$T/plain"
mkfifo "$T/hold"
exec 8<>"$T/hold"
spawn idle "${KERNEL[@]}" bash -c "exec 3<>/dev/tcp/$TAS_IP/$PORT; head -c 5 <'$T/hold' >&3; head -c 5 <&3"
threads() { [ "$(ls "/proc/$SERVER/task" | wc -l)" = 2 ]; }
wait_for 20 "its thread" threads
for i in 1 2 3; do
	within 60 gdb -q -nx -batch -ex 'set debuginfod enabled off' -p "$SERVER" -ex 'thread apply all bt' -ex detach >"$T/attach.log" 2>&1 </dev/null || fail "gdb -p: status $?"
	grep -q 'in echo' "$T/attach.log" && grep -q 'in serve' "$T/attach.log" || fail "gdb -p shows no backtraces"
done
asked attached
printf hello >&8
ended attached
grep -q hello "$T/idle.log" || fail "the connection that slept under gdb: $(cat "$T/idle.log")"

# ---- other preloaded libraries ----

cat >"$T/clock.c" <<'C'
#include <dlfcn.h>
#include <time.h>
int clock_gettime(clockid_t c, struct timespec *t)
{
	static int (*real)(clockid_t, struct timespec *);
	int r;
	if (!real)
		real = (int (*)(clockid_t, struct timespec *))dlsym(RTLD_NEXT, "clock_gettime");
	r = real(c, t);
	t->tv_sec += 86400;
	return r;
}
C
gcc -shared -fPIC -D_GNU_SOURCE -o "$T/clock.so" "$T/clock.c" || fail "clock.so is not to be built"
LD_PRELOAD=$T/clock.so both clock "$T/plain"
LD_PRELOAD=$(gcc -print-file-name=libjemalloc.so.2) both jemalloc "$T/plain"
both stdbuf stdbuf -oL "$T/plain"
clean jemalloc 'cannot be preloaded'
[ -n "$BASELINE" ] || used_tas
tas_down
