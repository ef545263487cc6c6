#!/bin/bash
# Node.js under tas: an http server and a client with kept connections.
. "$(dirname "$0")/../../lib/e2e.sh"
. "$LIB/apps.sh"
watchdog 120

www 100000
APPS=$TAS_SRC/tests/e2e/apps/servers
tas_up

client() { # client ADDRESS PORT PREFIX...
	local connections address=$1 port=$2
	shift 2
	program node
	for connections in 1 64; do
		within 60 "$@" "${PROGRAM[@]}" "$APPS/node_client.js" "$address" "$port" "$T/www/100000" $connections ||
			fail "the client, $connections connections: status $?"
	done
}

program node
spawn http "${TAS[@]}" "${PROGRAM[@]}" "$APPS/node_server.js" $TAS_IP 80 "$T/www"
SERVER=$PID
wait_for 20 "the server" grep -q listening "$T/http.log"
http_both_ways $TAS_IP 80 post "${KERNEL[@]}"
client $TAS_IP 80 "${KERNEL[@]}"
stopped "$SERVER"
say "http: ok"

program node
spawn peer "${KERNEL[@]}" "${PROGRAM[@]}" "$APPS/node_server.js" $PEER_IP 80 "$T/www"
SERVER=$PID
wait_for 20 "the server on the kernel" grep -q listening "$T/peer.log"
client $PEER_IP 80 "${TAS[@]}"
stopped "$SERVER"
say "client: ok"
apps_down
