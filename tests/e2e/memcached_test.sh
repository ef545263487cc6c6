#!/bin/bash
# memcached with four threads (libevent) under tas: many connections at once, every value that comes back is checked.
. "$(dirname "$0")/../lib/e2e.sh"
watchdog 140

tas_up
program memcached
spawn memcached "${TAS[@]}" "${PROGRAM[@]}" -u nobody -t 4 -l $TAS_IP -p 11211 -U 0 -c 1024 -m 64
MEMCACHED=$PID
up() { "${KERNEL[@]}" "$PYTHON" -c "import socket; socket.create_connection(('$TAS_IP', 11211), 5)"; }
wait_for 20 "memcached" up

for connections in 1 10 200; do
	within 100 "${KERNEL[@]}" "$PYTHON" "$TAS_SRC/tests/tools/memcached_client.py" $TAS_IP 11211 $connections 10 ||
		fail "$connections connections: status $?"
done
kill -TERM "$MEMCACHED"
finish "$MEMCACHED" 20 || fail "memcached ended with $?"
tas_down
