#!/bin/bash
# curl under tas against nginx on the kernel: downloads and uploads compared by SHA-256, parallel transfers, and what must fail.
. "$(dirname "$0")/../lib/e2e.sh"
watchdog 140

SIZES=(0 1 1448 65537 1048576 67108864)
www "${SIZES[@]}"
mkdir -m 777 "$T/www/put"
tas_up
nginx_conf peer $PEER_IP:80 "location /put/ { dav_methods PUT; }"
nginx_run peer "${KERNEL[@]}"

for size in "${SIZES[@]}"; do
	within 60 "${TAS[@]}" curl -sS --fail -o "$T/got" http://$PEER_IP/$size || fail "curl $size: status $?"
	[ "$size" = 0 ] || sha_is "$T/got" "$(sha_of "$T/www/$size")"
	within 60 "${TAS[@]}" curl -sS --fail -T "$T/www/$size" http://$PEER_IP/put/$size || fail "curl -T $size: status $?"
	sha_is "$T/www/put/$size" "$(sha_of "$T/www/$size")"
	say "$size bytes both ways"
done

urls=()
for i in $(seq 20); do
	urls+=(-o "$T/parallel-$i" http://$PEER_IP/1048576)
done
within 60 "${TAS[@]}" curl --no-progress-meter --fail --parallel --parallel-max 20 "${urls[@]}" || fail "parallel: status $?"
for i in $(seq 20); do
	same_file "$T/parallel-$i" "$T/www/1048576"
done

# A closed port: refused at once (curl's status 7), not a hang.
status=0
within 30 "${TAS[@]}" curl -sS --connect-timeout 20 http://$PEER_IP:81/ 2>"$T/refused" || status=$?
[ $status = 7 ] || fail "a closed port: status $status, $(cat "$T/refused")"
[ -n "$BASELINE" ] || used_tas
NS_T=$NS_K nginx_stop peer
tas_down
