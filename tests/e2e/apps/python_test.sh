#!/bin/bash
# Python under tas: a server with a thread for each connection, one with asyncio, gunicorn's pre-forked workers (and its reload), and an asyncio client.
. "$(dirname "$0")/../../lib/e2e.sh"
. "$LIB/apps.sh"
watchdog 120

www 100000
APPS=$TAS_SRC/tests/e2e/apps/servers
tas_up

server() { # server KIND ADDRESS PORT PREFIX...
	local kind=$1 address=$2 port=$3
	shift 3
	spawn "$kind-$port" "$@" "$PYTHON" "$APPS/http_app.py" "$kind" "$address" "$port" "$T/www"
	SERVER=$PID
	wait_for 20 "the server" grep -q listening "$T/$kind-$port.log"
}

for kind in threads asyncio; do
	server $kind $TAS_IP 80 "${TAS[@]}"
	http_both_ways $TAS_IP 80 post "${KERNEL[@]}"
	stopped "$SERVER"
	say "$kind: ok"
done

program gunicorn
GUNICORN=${PROGRAM[-1]}
export SITE=$T/www
spawn gunicorn "${TAS[@]}" "$PYTHON" "$GUNICORN" --chdir "$APPS" -w 3 --threads 8 -b $TAS_IP:81 --keep-alive 10 http_app:application
SERVER=$PID
serving $TAS_IP 81 "$SERVER"
http_both_ways $TAS_IP 81 post "${KERNEL[@]}"
pids_of() { pgrep -P "$SERVER" | sort | tr '\n' ' '; }
before=$(pids_of)
kill -HUP "$SERVER"
others() { [ "$(pids_of | wc -w)" = 3 ] && [ -z "$(comm -12 <(tr ' ' '\n' <<<"$before" | grep .) <(pids_of | tr ' ' '\n' | grep .))" ]; }
wait_for 30 "new workers" others
http_both_ways $TAS_IP 81 post "${KERNEL[@]}"
stopped "$SERVER"
say "gunicorn: ok"

server asyncio $PEER_IP 80 "${KERNEL[@]}"
for connections in 1 64; do
	within 60 "${TAS[@]}" "$PYTHON" "$APPS/asyncio_client.py" $PEER_IP 80 "$T/www/100000" $connections || fail "the client: status $?"
done
http_both_ways $PEER_IP 80 post "${TAS[@]}"
stopped "$SERVER"
say "clients: ok"
apps_down
