#!/bin/bash
# The same program with and without libtas says the same, but for the differences on record (tests/preload/differences). Each
# program of this folder runs on the kernel's loopback, where tests/recorder notes what its cases use, then under tas-run; its peer
# is a copy of itself on the kernel's TCP. In the end docs/conformance.md is what the notes make of it.
#
#	diff_test.sh [PROGRAM...]	all, or these, and then without a look at the page
. "$(dirname "$0")/../lib/e2e.sh"
tas_only
watchdog 280
CASES=1350 # there are at least so many
wrong=()

conformance() { within 60 "$PYTHON" "$TAS_SRC/tests/preload/conformance.py" "$@"; }

recorder=$TAS_BUILD/lib/libtas_record.so
[ -e "$recorder" ] || fail "$recorder is not built"
mkdir "$T/records"
tas_up
programs=("$@")
[ $# -gt 0 ] || mapfile -t programs < <(cd "$TAS_SRC/tests/preload" && printf '%s\n' *.c)
for name in "${programs[@]%.c}"; do
	program=$TAS_BUILD/bin/preload_$name
	[ -x "$program" ] || fail "$program is not built"
	within 130 "${KERNEL[@]}" env RECORD_DIR="$T/records" LD_PRELOAD="$recorder" "$program" \
		>"$T/$name.kernel" 2>"$T/$name-kernel.log" || fail "$name on the kernel: status $?"
	before=$(tas_json status 'counter("conn_established")')
	within 130 env TEST_ADDR=$TAS_IP PEER_ADDR=$PEER_IP "${TAS[@]}" "$program" >"$T/$name.tas" 2>"$T/$name-tas.log" ||
		fail "$name under tas: status $?"
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
