#!/bin/bash
# One listener on the wildcard address serves tas's address and the kernel's own (loopback, the tap's): names and data right on each.
. "$(dirname "$0")/../lib/e2e.sh"
watchdog 140

www 100000
tas_up
nginx_conf main 80 'location /who { return 200 "$remote_addr $server_addr:$server_port\n"; }'
nginx_run main "${TAS[@]}"
LOCAL=(ip netns exec "$NS_T")

who() { # who EXPECTED ADDRESS PREFIX...
	local expected=$1 address=$2 got
	shift 2
	got=$(within 30 "$@" curl -sS --fail "http://$address/who") || fail "http://$address/who: status $?"
	[ "$got" = "$expected" ] || fail "http://$address/who: '$got' instead of '$expected'"
}

for i in $(seq 20); do
	who "127.0.0.1 127.0.0.1:80" 127.0.0.1 "${LOCAL[@]}"
	who "$PEER_IP $TAS_IP:80" $TAS_IP "${KERNEL[@]}"
	[ -n "$BASELINE" ] || who "$PEER_IP $PEER_IP:80" $PEER_IP "${LOCAL[@]}"
done

# All at once: neither side starves the other, no data goes astray.
pids=()
for i in $(seq 10); do
	spawn "local-$i" "${LOCAL[@]}" curl -sS --fail -o "$T/local-$i-#1" "http://127.0.0.1/100000?[1-50]"
	pids+=("$PID")
	spawn "tas-side-$i" "${KERNEL[@]}" curl -sS --fail -o "$T/tas-side-$i-#1" "http://$TAS_IP/100000?[1-50]"
	pids+=("$PID")
done
for pid in "${pids[@]}"; do
	finish "$pid" 60 || fail "a download ended with $?"
done
for file in "$T"/local-*-* "$T"/tas-side-*-*; do
	same_file "$file" "$T/www/100000"
done
[ "$(ls "$T" | grep -cE '^(local|tas-side)-[0-9]+-[0-9]+$')" = 1000 ] || fail "some downloads left no file"
[ -n "$BASELINE" ] || used_tas
nginx_stop main
tas_down
