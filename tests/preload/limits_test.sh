#!/bin/bash
# A program with little payload memory, and one without a free descriptor, waits as for full buffers and goes on: nothing else
# than on the kernel's TCP is seen. (With much memory the same cases run in diff_test.)
. "$(dirname "$0")/../lib/e2e.sh"
tas_only
watchdog 200

tas_up "program_memory_max = 8"
program=$TAS_BUILD/bin/preload_limits
[ -x "$program" ] || fail "$program is not built"
for side in kernel tas; do
	run=("${KERNEL[@]}")
	[ $side = kernel ] || run=(env TEST_ADDR=$TAS_IP PEER_ADDR=$PEER_IP "${TAS[@]}")
	within 90 "${run[@]}" "$program" memory memory_poll memory_sendfile memory_fork >"$T/$side" 2>"$T/$side.log" ||
		fail "limits on $side: status $?: $(cat "$T/$side.log")"
	# In a process of its own: what closed connections hold depends on how many there were before.
	within 90 "${run[@]}" "$program" memory_closed >>"$T/$side" 2>"$T/$side.log" ||
		fail "memory_closed on $side: status $?: $(cat "$T/$side.log")"
done
diff "$T/kernel" "$T/tas" >&2 || fail "the kernel (<) and tas (>) differ"
[ "$(grep -c ': done$' "$T/tas")" = 5 ] || fail "not every case ran"
n=$(tas_json status 'counter("conn_established")')
[ "$n" -ge 300 ] || fail "only $n connections went over tas"
tas_down
