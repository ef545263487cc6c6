#!/bin/bash
# HTTPS both ways: nginx with OpenSSL under tas and curl on the kernel, then curl under tas and nginx on the kernel. SHA-256.
. "$(dirname "$0")/../lib/e2e.sh"
watchdog 140

SIZES=(1 16384 16385 1048576 33554432)
www "${SIZES[@]}"
openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2 -subj /CN=tas.test \
	-addext "subjectAltName=IP:$TAS_IP,IP:$PEER_IP" -keyout "$T/key.pem" -out "$T/cert.pem" 2>/dev/null ||
	fail "openssl cannot make a certificate"
ssl_lines="ssl_certificate $T/cert.pem; ssl_certificate_key $T/key.pem; ssl_protocols TLSv1.2 TLSv1.3;"

tas_up
nginx_conf main "$TAS_IP:443 ssl" "$ssl_lines"
nginx_run main "${TAS[@]}"
nginx_conf peer "$PEER_IP:443 ssl" "$ssl_lines"
nginx_run peer "${KERNEL[@]}"

for version in 1.2 1.3; do
	for size in "${SIZES[@]}"; do
		sum=$(sha_of "$T/www/$size")
		within 60 "${KERNEL[@]}" curl -sS --fail --cacert "$T/cert.pem" --tlsv$version --tls-max $version -o "$T/got" \
			https://$TAS_IP/$size || fail "TLS $version, $size bytes from tas: status $?"
		sha_is "$T/got" "$sum"
		within 60 "${TAS[@]}" curl -sS --fail --cacert "$T/cert.pem" --tlsv$version --tls-max $version -o "$T/got" \
			https://$PEER_IP/$size || fail "TLS $version, $size bytes to tas: status $?"
		sha_is "$T/got" "$sum"
	done
	say "TLS $version: ${#SIZES[@]} sizes both ways"
done
[ -n "$BASELINE" ] || used_tas
nginx_stop main
NS_T=$NS_K nginx_stop peer
tas_down
