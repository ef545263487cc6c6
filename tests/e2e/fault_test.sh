#!/bin/bash
# The service loses, doubles, reorders and corrupts frames itself, both ways (options fault_*): 5 MB each way over one cable, SHA-256
# equal, and it did do its work.
. "$(dirname "$0")/../lib/e2e.sh"
tas_only
watchdog 140

BYTES=5000000
www $BYTES
mkdir -m 777 "$T/www/put"
sum=$(sha_of "$T/www/$BYTES")
tas_up "fault_where = 3
fault_seed = ${FAULT_SEED:-7}
fault_drop = 20
fault_duplicate = 10
fault_reorder = 20
fault_corrupt = 10"
nginx_conf main $TAS_IP:80 "location /put/ { dav_methods PUT; }"
nginx_run main "${TAS[@]}"

for i in 1 2 3; do
	fetch http://$TAS_IP/$BYTES "$T/got" "$sum"
	within 60 "${KERNEL[@]}" curl -sS --fail -T "$T/www/$BYTES" http://$TAS_IP/put/$i || fail "curl -T: status $?"
	sha_is "$T/www/put/$i" "$sum"
done
say "faults=$(tas_json status 'counter("faults")') retransmitted=$(tas_json status 'counter("tx_retrans")')"
tas_json status 'counter("faults") > 10 and counter("tx_retrans") > 0 and counter("rx_ooo") > 0' || fail "the injector did not do its work"
tas_json status 'counter("drop_tcp_checksum") + counter("drop_ip_checksum") > 0' || fail "nothing was corrupted"
grep -q 'harmed on purpose' "$T"/tas-*.log || fail "the log does not say that frames are harmed"
nginx_stop main
tas_down
