#!/bin/bash
# nginx, master and two workers, in the ways it is usually configured; wrk with 64 connections sees no error and both workers serve.
. "$(dirname "$0")/../lib/e2e.sh"
watchdog 140

www 1 10000 200000
tas_up

workers_that_served() { cut -d' ' -f1 "$T/nginx-$1/access" | sort -u | wc -l; }

run() { # run NAME LISTEN HTTP_LINES PATH
	local log=$T/wrk-$1.log tries
	nginx_conf "$1" "$2" "" "$3"
	nginx_run "$1" "${TAS[@]}"
	# On a busy machine one worker may take all connections of a burst before the other gets a CPU; not of five bursts.
	for tries in 1 2 3 4 5; do
		wrk_run "$log" -t 2 -c 64 -d 3s --timeout 15 "http://$TAS_IP$4"
		[ "$(workers_that_served "$1")" != 2 ] || break
	done
	[ "$(workers_that_served "$1")" = 2 ] || fail "$1: $(workers_that_served "$1") workers served instead of 2"
	! grep -qv ' 200$' "$T/nginx-$1/access" || fail "$1: $(grep -v ' 200$' "$T/nginx-$1/access" | sort | uniq -c)"
	fetch "http://$TAS_IP$4" "$T/got" "$(sha_of "$T/www$4")"
	nginx_stop "$1"
	say "$1: $(awk '/requests in/ { print $1 }' "$log") requests, bursts: $tries"
}

[ -n "$BASELINE" ] || usage_remember
run plain $TAS_IP:80 "sendfile off;" /1
run sendfile $TAS_IP:80 "sendfile on;" /10000
run nopush $TAS_IP:80 "sendfile on; tcp_nopush on; tcp_nodelay on;" /200000
run close $TAS_IP:80 "sendfile on; keepalive_timeout 0;" /10000
run reuseport "$TAS_IP:80 reuseport" "sendfile on; tcp_nopush on;" /10000
run wildcard 80 "sendfile on; tcp_nopush on;" /10000
# Time-wait is not growth; programs, listeners, descriptors and memory would be.
[ -n "$BASELINE" ] || usage_same 65536
tas_down
