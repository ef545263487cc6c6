#!/bin/bash
# A path that loses 1 % and reorders 1 % each way: 20 MB both ways over nginx, SHA-256 equal; with duplicates and corruption too.
. "$(dirname "$0")/../lib/e2e.sh"
watchdog 280

BYTES=20000000
[ -z "$TAS_LONG" ] || BYTES=200000000
FETCH_LIMIT=120
[ -z "$TAS_LONG" ] || FETCH_LIMIT=1200

www $BYTES
mkdir -m 777 "$T/www/put"
sum=$(sha_of "$T/www/$BYTES")
harm=loss=1,reorder=1,dup=0.5,corrupt=0.2,delay=500
lossy_up $harm,seed=1 $harm,seed=2
nginx_conf main $TAS_IP:80 "location /put/ { dav_methods PUT; }"
nginx_run main "${TAS[@]}"

fetch http://$TAS_IP/$BYTES "$T/got" "$sum"
say "received $BYTES bytes"
within $FETCH_LIMIT "${KERNEL[@]}" curl -sS --fail -T "$T/www/$BYTES" http://$TAS_IP/put/x || fail "curl -T: status $?"
sha_is "$T/www/put/x" "$sum"
say "sent $BYTES bytes"

nginx_stop main
lossy_check lost
tas_down
