#!/bin/bash
# The same program with and without libtas says the same, but for the differences on record (tests/preload/differences). Each
# program of this folder runs on the kernel's loopback, where tests/recorder notes what its cases use, then under tas-run; its peer
# is a copy of itself on the kernel's TCP. In the end docs/conformance.md is what the notes make of it.
#
#	diff_test.sh [PROGRAM...]	all, or these, and then without a look at the page
. "$(dirname "$0")/../lib/e2e.sh"
tas_only
watchdog 560
CASES=1350 # there are at least so many
wrong=()

conformance() { within 60 "$PYTHON" "$TAS_SRC/tests/preload/conformance.py" "$@"; }

recorder=$TAS_BUILD/lib/libtas_record.so
[ -e "$recorder" ] || fail "$recorder is not built"
mkdir "$T/records"
tas_up
programs=("$@")
[ $# -gt 0 ] || mapfile -t programs < <(cd "$TAS_SRC/tests/preload" && printf '%s\n' *.c)

# The kernel's side of all programs, one after the other beside the service's: NAME.status is there when NAME is done.
kernel_side() {
	local name status
	for name in "$@"; do
		status=0
		timeout -k 5 130 "${KERNEL[@]}" env RECORD_DIR="$T/records" LD_PRELOAD="$recorder" "$TAS_BUILD/bin/preload_$name" \
			>"$T/$name.kernel" 2>"$T/$name-kernel.log" || status=$?
		echo $status >"$T/$name.partial"
		mv "$T/$name.partial" "$T/$name.status"
	done
}

for name in "${programs[@]%.c}"; do
	[ -x "$TAS_BUILD/bin/preload_$name" ] || fail "$TAS_BUILD/bin/preload_$name is not built"
done
spawn kernel_side kernel_side "${programs[@]%.c}"
for name in "${programs[@]%.c}"; do
	before=$(tas_json status 'counter("conn_established")')
	within 130 env TEST_ADDR=$TAS_IP PEER_ADDR=$PEER_IP "${TAS[@]}" "$TAS_BUILD/bin/preload_$name" >"$T/$name.tas" 2>"$T/$name-tas.log" ||
		fail "$name under tas: status $?"
	wait_for 200 "$name on the kernel" test -e "$T/$name.status"
	[ "$(cat "$T/$name.status")" = 0 ] || fail "$name on the kernel: status $(cat "$T/$name.status")"
	conformance compare "$name" "$T/$name.kernel" "$T/$name.tas" || wrong+=("$name")
	n=$(($(tas_json status 'counter("conn_established")') - before))
	[ "$n" -ge 5 ] || fail "$name: only $n connections went over tas"
	[ "$(grep -c ': done$' "$T/$name.tas")" -ge 1 ] || fail "$name: not one case ran"
	say "$name: $(grep -c ': done$' "$T/$name.tas") cases, $(wc -l <"$T/$name.tas") lines, $n connections"
done
[ ${#wrong[@]} = 0 ] || fail "other differences than those on record: ${wrong[*]}"
[ "$(tas_json drops 'counter("refuse_tx_head") + counter("refuse_tx_shut") + counter("refuse_rx_tail") + counter("refuse_chunk") + counter("refuse_slot") + counter("refuse_evq")')" = 0 ] ||
	fail "the service refused what libtas did: $(within 30 "${CTL[@]}" drops | grep refuse_)"
tas_down
[ $# -gt 0 ] || conformance check "$T/records" $CASES || fail "docs/conformance.md or its cases"
