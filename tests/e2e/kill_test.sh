#!/bin/bash
# A server is killed (SIGKILL) with 50 connections open: peers see them end, the port refuses, and nothing of it stays in the service.
. "$(dirname "$0")/../lib/e2e.sh"
CYCLES=20
[ -z "$TAS_LONG" ] || CYCLES=1000
watchdog $((200 + CYCLES * 3))

cycle() { kill_server "cycle $1" "${KERNEL[@]}"; }

tas_up
cycle 1
cycle 2
[ -n "$BASELINE" ] || usage_remember
for ((i = 3; i <= CYCLES; i++)); do
	cycle $i
	[ $((i % 100)) != 0 ] || say "$i kills"
done
say "$CYCLES kills, the last: $(cat "$T/client.log")"
[ -n "$BASELINE" ] || usage_same
tas_down
