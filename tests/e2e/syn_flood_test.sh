#!/bin/bash
# 100,000 SYNs of made-up clients and more, as fast as they are answered, from a namespace behind a router: the service keeps
# a bounded number of them, new clients get in all the while, and what is established does not notice.
. "$(dirname "$0")/../lib/e2e.sh"
watchdog 140
FLOOD=100000

www 1000 1048576 67108864
tas_up "synack_retries = 1; # those that nobody answers are forgotten within the test
gateway = \"$PEER_IP\";"
nginx_conf main $TAS_IP:80
nginx_run main "${TAS[@]}"
[ -n "$BASELINE" ] || usage_remember

# The flood comes through $NS_K, which forwards; answers to it end in the namespace it came from.
netns_add f
flooder=$NS
netns_veth "$NS_K" flood0 10.98.0.1/24 "$flooder" flood1 10.98.0.2/24
ip -n "$NS_K" route add 10.98.0.0/16 via 10.98.0.2
"${KERNEL[@]}" sysctl -qw net.ipv4.ip_forward=1 net.ipv4.conf.all.rp_filter=0
[ -z "$BASELINE" ] || ip -n "$NS_T" route add 10.98.0.0/16 via $PEER_IP
mac=$(ip -n "$NS_K" -br link show flood0 | awk '{ print $3 }')

spawn established "${KERNEL[@]}" curl -sS --fail --limit-rate 8M -o "$T/established" http://$TAS_IP/67108864
download=$PID
fetch http://$TAS_IP/1000 "$T/got" "$(sha_of "$T/www/1000")"
spawn flood ip netns exec "$flooder" "$PYTHON" "$TAS_SRC/tests/tools/syn_flood.py" flood1 "$mac" $TAS_IP 80 $FLOOD
flood=$PID
wait_for 60 "the flood to begin" grep -q ready "$T/flood.log"
cookies() { [ -n "$BASELINE" ] || [ "$(tas_json status 'counter("syn_cookies")')" -gt 0 ]; }
wait_for 30 "the first cookie" cookies

for ((i = 0; i < 20; i++)); do
	fetch http://$TAS_IP/1000 "$T/got" "$(sha_of "$T/www/1000")"
done
fetch http://$TAS_IP/1048576 "$T/got" "$(sha_of "$T/www/1048576")"
wait_for 60 "the whole flood" grep -q 'SYNs sent' "$T/flood.log"
alive "$flood" || fail "the flood ended by itself"
if [ -z "$BASELINE" ]; then
	# Half open: at most nginx's backlog of 511; beside them the download.
	flows=$(tas_json flows 'len([r for r in rows if r["state"] != "time-wait"])')
	[ "$flows" -le 520 ] || fail "$flows connections are kept"
	[ "$(tas_json drops 'counter("drop_bad_cookie")')" -gt 0 ] || fail "no guessed ACK was counted"
fi
kill -TERM "$flood"
finish "$flood" 10 || :
finish "$download" 60 || fail "the download that was under way ended with $?"
same_file "$T/www/67108864" "$T/established"
[ -n "$BASELINE" ] || say "cookies sent: $(tas_json status 'counter("syn_cookies")'), refused: $(tas_json drops 'counter("drop_bad_cookie")')"
[ -n "$BASELINE" ] || usage_same 32768 # with the queues between core and slow path, used to their end for the first time
nginx_stop main
tas_down
