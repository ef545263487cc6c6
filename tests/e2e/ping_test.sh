#!/bin/bash
# ICMP echo through the tap: a few sizes, up to a full frame; all answered, none twice.
. "$(dirname "$0")/../lib/e2e.sh"
watchdog 120

tas_up
for size in 0 8 56 1000 1472; do
	out=$(within 30 "${KERNEL[@]}" ping -n -c 4 -i 0.05 -W 5 -s $size $TAS_IP) || fail "ping -s $size: $out"
	grep -q ' 4 received, 0% packet loss' <<<"$out" || fail "ping -s $size: $out"
	! grep -q DUP <<<"$out" || fail "answered twice: $out"
done
tas_down
