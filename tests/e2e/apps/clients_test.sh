#!/bin/bash
# curl, wget, ab, wrk, h2load and nghttp as clients under tas, nginx on the kernel: downloads and uploads, one and 64 at once, plain and TLS. SHA-256
# where the client keeps what it got, counts where it does not. (iperf3 and memcached: scenarios of their own.)
. "$(dirname "$0")/../../lib/e2e.sh"
. "$LIB/apps.sh"
watchdog 120

www 0 1 100000 20000000
mkdir -m 777 "$T/www/put"
certificate
tas_up
nginx_conf peer $PEER_IP:80 "location /put/ { dav_methods PUT; }" "sendfile on; keepalive_requests 100000; server { listen $PEER_IP:443 ssl http2; root $T/www;
	ssl_certificate $T/cert.pem; ssl_certificate_key $T/key.pem; location /put/ { dav_methods PUT; } }"
nginx_run peer "${KERNEL[@]}"
MARKS=("http://$PEER_IP" "https://$PEER_IP")

# many NAME COMMAND...: the same command 64 times at once, each with its own number for @.
many() {
	local name=$1 i pids=()
	shift
	for ((i = 0; i < 64; i++)); do
		spawn "$name-$i" "${@//@/$i}"
		pids+=("$PID")
	done
	for i in "${!pids[@]}"; do
		finish "${pids[i]}" 60 || fail "$name $i of 64: status $?: $(cat "$T/$name-$i.log")"
	done
}

program wget
WGET=("${PROGRAM[@]}" -q --tries=1 --timeout=40 --ca-certificate="$T/cert.pem")
program curl
CURL=("${PROGRAM[@]}" -sS --fail --cacert "$T/cert.pem")
for mark in "${MARKS[@]}"; do
	for size in 0 1 100000 20000000; do
		within 60 "${TAS[@]}" "${WGET[@]}" -O "$T/got" "$mark/$size" || fail "wget $mark/$size: status $?"
		same_file "$T/got" "$T/www/$size"
		within 60 "${TAS[@]}" "${CURL[@]}" -T "$T/www/$size" "$mark/put/$size" || fail "curl -T $mark/put/$size: status $?"
		same_file "$T/www/put/$size" "$T/www/$size"
	done
	many wget "${TAS[@]}" "${WGET[@]}" -O "$T/got-@" "$mark/100000"
	many curl "${TAS[@]}" "${CURL[@]}" -T "$T/www/100000" "$mark/put/@"
	for ((i = 0; i < 64; i++)); do
		same_file "$T/got-$i" "$T/www/100000"
		same_file "$T/www/put/$i" "$T/www/100000"
	done
	say "$mark: wget and curl, one and 64 at once"
done

for connections in 1 64; do
	program ab
	within 60 "${TAS[@]}" "${PROGRAM[@]}" -q -k -c $connections -n 2000 "http://$PEER_IP/100000" >"$T/ab.log" 2>&1 || fail "ab ended with $?"
	grep -q 'Complete requests: *2000' "$T/ab.log" && grep -q 'Failed requests: *0' "$T/ab.log" || fail "ab: $(cat "$T/ab.log")"
	grep -q 'HTML transferred: *200000000 bytes' "$T/ab.log" || fail "ab: $(cat "$T/ab.log")"
	program h2load
	within 60 "${TAS[@]}" "${PROGRAM[@]}" -n 2000 -c $connections -m 4 "https://$PEER_IP/100000" >"$T/h2load.log" || fail "h2load ended with $?"
	grep -q '2000 succeeded, 0 failed' "$T/h2load.log" || fail "h2load: $(cat "$T/h2load.log")"
	program wrk
	within 60 "${TAS[@]}" "${PROGRAM[@]}" -t1 -c$connections -d1s "http://$PEER_IP/100000" >"$T/wrk.log" || fail "wrk ended with $?"
	wrk_clean "$T/wrk.log"
done
program nghttp
within 60 "${TAS[@]}" "${PROGRAM[@]}" "https://$PEER_IP/20000000" >"$T/got" || fail "nghttp: status $?"
same_file "$T/got" "$T/www/20000000"
say "ab, h2load, wrk, nghttp"
NS_T=$NS_K nginx_stop peer
apps_down
