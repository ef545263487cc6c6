#!/bin/bash
# The oldest kernel that tas promises to run on (6.1, Debian 12's own), booted in a guest: the service on a tap, curl and the programs
# of tests/preload over it. `tests/lib/setup.sh guest` gets QEMU and the kernel; without them this is skipped.
set -euo pipefail
. "$(dirname "$0")/../lib/common.sh"
watchdog 1500

PATH=$PATH:/usr/sbin:/sbin
kernel=${GUEST_KERNEL:-$TAS_SRC/build/guest/kernel}
[ -d "$kernel/boot" ] || skip "no guest kernel in $kernel (tests/lib/setup.sh guest)"
for tool in qemu-system-x86_64 busybox cpio modprobe; do
	command -v $tool >/dev/null || skip "$tool is missing (tests/lib/setup.sh guest)"
done
programs=(conn data wait)
for p in tas tas-run tasctl lib; do
	[ $p = lib ] || [ -x "$TAS_BUILD/bin/$p" ] || fail "$TAS_BUILD/bin/$p is not built"
done
args=(-k "$kernel" -t 1400 -M 2048 -m tun -f "$TAS_BUILD/lib/libtas.so:/usr/lib/libtas.so" -b curl)
for p in tas tas-run tasctl "${programs[@]/#/preload_}"; do
	args+=(-b "$TAS_BUILD/bin/$p")
done
within 1450 "$(dirname "$0")/run-guest.sh" "${args[@]}" "$(dirname "$0")/smoke.sh" "${programs[@]/#/preload_}" || fail "the guest ended with $?"
say "ok"
