#!/bin/bash
# HAProxy under tas: http and tcp mode (with and without splice), backends on the kernel and on tas, master-worker mode. Bodies both ways, every byte compared.
. "$(dirname "$0")/../../lib/e2e.sh"
. "$LIB/apps.sh"
watchdog 120

www 100000 4000
mkdir -m 777 "$T/www/put"
tas_up
put_lines="location /put/ { dav_methods PUT; }"
nginx_conf peer $PEER_IP:8080 "$put_lines"
nginx_run peer "${KERNEL[@]}"
nginx_conf backend $TAS_IP:8081 "$put_lines"
nginx_run backend "${TAS[@]}"

haproxy_conf() { # haproxy_conf ADDRESS
	cat >"$T/haproxy.cfg" <<-CONF
		global
			maxconn 2000
			nbthread 2
			stats socket $T/haproxy.sock mode 600 level admin
		defaults
			timeout connect 20s
			timeout client 40s
			timeout server 40s
		listen http-to-kernel
			mode http
			bind $1:80
			server one $PEER_IP:8080 check inter 500
		listen http-to-tas
			mode http
			bind $1:81
			server one $TAS_IP:8081 check inter 500
		listen tcp-to-kernel
			mode tcp
			bind $1:82
			server one $PEER_IP:8080
		listen tcp-to-tas
			mode tcp
			bind $1:83
			server one $TAS_IP:8081
		listen splice
			mode tcp
			bind $1:84
			option splice-request
			option splice-response
			server one $PEER_IP:8080
	CONF
}

haproxy_run() { # haproxy_run PREFIX...
	program haproxy
	spawn haproxy "$@" "${PROGRAM[@]}" -W -f "$T/haproxy.cfg" -p "$T/haproxy.pid"
	HAPROXY=$PID
}

check() { # check ADDRESS
	local port
	for port in 80 81 82 83 84; do
		serving $1 $port "$HAPROXY"
	done
	wait_for 20 "the checks to find the servers" "${KERNEL[@]}" curl -sf -o /dev/null http://$1:80/4000
	wait_for 20 "the checks to find the servers" "${KERNEL[@]}" curl -sf -o /dev/null http://$1:81/4000
	for port in 80 81 82 83 84; do
		http_both_ways $1 $port put "${KERNEL[@]}"
	done
}

haproxy_conf $TAS_IP
haproxy_run "${TAS[@]}"
check $TAS_IP
say "http, tcp, splice: ok"
stopped "$HAPROXY"
haproxy_conf $PEER_IP
haproxy_run "${KERNEL[@]}"
check $PEER_IP
say "on the kernel, backends on tas: ok"
stopped "$HAPROXY"
NS_T=$NS_K nginx_stop peer
nginx_stop backend
apps_down
