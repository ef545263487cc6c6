#!/bin/bash
# Node.js under tas: an http server, the same as a cluster of processes that share its listener, and a client with kept connections.
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
spawn cluster "${TAS[@]}" "${PROGRAM[@]}" "$APPS/node_server.js" $TAS_IP 81 "$T/www" 2
SERVER=$PID
wait_for 20 "the cluster" grep -q 'all listen' "$T/cluster.log"
http_both_ways $TAS_IP 81 post "${KERNEL[@]}"
for ((i = 0; i < 8; i++)); do
	within 20 "${KERNEL[@]}" curl -sS --fail "http://$TAS_IP:81/pid" || fail "the cluster: curl: status $?"
	echo
done >"$T/pids"
[ "$(sort -u "$T/pids" | wc -l)" = 2 ] || fail "not both workers served: $(sort "$T/pids" | uniq -c)"
stopped "$SERVER"
say "cluster: ok"

program node
spawn peer "${KERNEL[@]}" "${PROGRAM[@]}" "$APPS/node_server.js" $PEER_IP 80 "$T/www"
SERVER=$PID
wait_for 20 "the server on the kernel" grep -q listening "$T/peer.log"
client $PEER_IP 80 "${TAS[@]}"
stopped "$SERVER"
say "client: ok"
apps_down
