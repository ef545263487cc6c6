#!/bin/bash
# HAProxy under tas: http and tcp mode (with and without splice), backends on the kernel and on tas, master-worker mode and seamless
# reload (expose-fd listeners) under load. Bodies both ways, every byte compared.
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
			stats socket $T/haproxy.sock mode 600 level admin expose-fd listeners
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

# The new workers fetch the old ones' listeners over the UNIX socket: no connection is refused, none is lost.
reload_under_load() {
	local load reloads=0
	spawn load "${KERNEL[@]}" "$(tool http_load)" $TAS_IP 82 /4000 "$T/www/4000" 4 5
	load=$PID
	while alive "$load"; do
		kill -USR2 "$HAPROXY"
		reloads=$((reloads + 1))
		sleep 1
	done
	finish "$load" 30 || fail "the client ended with $?"
	say "$reloads reloads: $(grep '^{' "$T/load.log")"
	! grep -E '"(refused|connect_other|reset|empty|short|wrong|stuck)": [1-9]' "$T/load.log" || fail "requests failed"
	grep -qE '"ok": [1-9]' "$T/load.log" || fail "no request succeeded"
}

haproxy_conf $TAS_IP
haproxy_run "${TAS[@]}"
check $TAS_IP
say "http, tcp, splice: ok"
reload_under_load
stopped "$HAPROXY"
haproxy_conf $PEER_IP
haproxy_run "${KERNEL[@]}"
check $PEER_IP
say "on the kernel, backends on tas: ok"
stopped "$HAPROXY"
NS_T=$NS_K nginx_stop peer
nginx_stop backend
apps_down
