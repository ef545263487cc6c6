#!/bin/bash
# The same program with and without libtas says the same. Each program of this folder runs on the kernel's loopback, then under
# tas-run; its peer is a copy of itself on the kernel's TCP. What the tested side prints is compared line by line.
. "$(dirname "$0")/../lib/e2e.sh"
tas_only
watchdog 280

tas_up
for source in "$TAS_SRC"/tests/preload/*.c; do
	name=$(basename "$source" .c)
	program=$TAS_BUILD/bin/preload_$name
	[ -x "$program" ] || fail "$program is not built"
	within 130 "${KERNEL[@]}" "$program" >"$T/$name.kernel" 2>"$T/$name-kernel.log" || fail "$name on the kernel: status $?"
	before=$(tas_json status 'counter("conn_established")')
	within 130 env TEST_ADDR=$TAS_IP PEER_ADDR=$PEER_IP "${TAS[@]}" "$program" >"$T/$name.tas" 2>"$T/$name-tas.log" ||
		fail "$name under tas: status $?"
	diff "$T/$name.kernel" "$T/$name.tas" >&2 || fail "$name: the kernel (<) and tas (>) differ"
	n=$(($(tas_json status 'counter("conn_established")') - before))
	[ "$n" -ge 5 ] || fail "$name: only $n connections went over tas"
	[ "$(grep -c ': done$' "$T/$name.tas")" -ge 1 ] || fail "$name: not one case ran"
	say "$name: $(grep -c ': done$' "$T/$name.tas") cases, $(wc -l <"$T/$name.tas") lines, $n connections"
done
[ "$(tas_json drops 'counter("refuse_tx_head") + counter("refuse_tx_shut") + counter("refuse_rx_tail") + counter("refuse_chunk") + counter("refuse_slot") + counter("refuse_evq")')" = 0 ] ||
	fail "the service refused what libtas did: $(within 30 "${CTL[@]}" drops | grep refuse_)"
tas_down
