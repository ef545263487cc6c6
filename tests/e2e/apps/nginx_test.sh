#!/bin/bash
# nginx as a proxy under tas: to an upstream on the kernel and to one on tas, kept and single connections to it, plain, TLS and HTTP/2;
# and as the upstream of a proxy on the kernel. Bodies both ways, every byte compared.
. "$(dirname "$0")/../../lib/e2e.sh"
. "$LIB/apps.sh"
watchdog 120

www 100000 5000000
mkdir -m 777 "$T/www/put"
certificate
tas_up

put_lines="location /put/ { dav_methods PUT; }"
nginx_conf peer $PEER_IP:8080 "$put_lines"
nginx_run peer "${KERNEL[@]}"
nginx_conf upstream $TAS_IP:8081 "$put_lines"
nginx_run upstream "${TAS[@]}"

# front NAME ADDRESS UPSTREAM PREFIX...: port 80 keeps connections to the upstream, 443 speaks TLS and HTTP/2 and makes one for each request
front() {
	local name=$1 address=$2 upstream=$3
	shift 3
	nginx_conf "$name" $address:80 "location / { proxy_pass http://kept; proxy_http_version 1.1; proxy_set_header Connection ''; }" \
		"upstream kept { server $upstream; keepalive 16; }
		server {
			listen $address:443 ssl http2;
			ssl_certificate $T/cert.pem;
			ssl_certificate_key $T/key.pem;
			location / { proxy_pass http://$upstream; }
		}"
	nginx_run "$name" "$@"
}

check() { # check WHAT ADDRESS
	local i urls=()
	http_both_ways $2 80 put "${KERNEL[@]}"
	HTTP_CA=$T/cert.pem http_both_ways $2 443 put "${KERNEL[@]}"
	for ((i = 0; i < 16; i++)); do # streams of one connection
		urls+=(-o "$T/got-$i" "https://$2/5000000")
	done
	within 60 "${KERNEL[@]}" curl --no-progress-meter --fail --http2 --parallel --parallel-max 16 --cacert "$T/cert.pem" \
		-w '%{http_version} %{num_connects}\n' "${urls[@]}" >"$T/versions" || fail "$1: HTTP/2: status $?"
	[ "$(grep -c '^2 ' "$T/versions")" = 16 ] || fail "$1: not all by HTTP/2: $(sort "$T/versions" | uniq -c)"
	for ((i = 0; i < 16; i++)); do
		same_file "$T/got-$i" "$T/www/5000000"
	done
	program h2load
	within 60 "${KERNEL[@]}" "${PROGRAM[@]}" -n 2000 -c 64 -m 4 "https://$2/100000" >"$T/h2load.log" || fail "$1: h2load ended with $?"
	grep -q '2000 succeeded, 0 failed' "$T/h2load.log" || fail "$1: h2load: $(cat "$T/h2load.log")"
	say "$1: HTTP/1.1, TLS, HTTP/2"
}

front to-kernel $TAS_IP $PEER_IP:8080 "${TAS[@]}"
check "tas to an upstream on the kernel" $TAS_IP
nginx_stop to-kernel
front to-tas $TAS_IP $TAS_IP:8081 "${TAS[@]}"
check "tas to an upstream on tas" $TAS_IP
nginx_stop to-tas
front from-kernel $PEER_IP $TAS_IP:8081 "${KERNEL[@]}"
check "the kernel to an upstream on tas" $PEER_IP
NS_T=$NS_K nginx_stop from-kernel
NS_T=$NS_K nginx_stop peer
nginx_stop upstream
apps_down
