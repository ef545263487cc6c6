#!/bin/bash
# nginx, master and two workers, in the ways it is usually configured; wrk with 64 connections sees no error and both workers serve.
. "$(dirname "$0")/../lib/e2e.sh"
watchdog 140

www 1 10000 200000
tas_up

both_workers() { # both_workers NAME: the access log names two workers, and only status 200
	local pids
	wait_for 10 "the access log" test -s "$T/nginx-$1/access"
	pids=$(cut -d' ' -f1 "$T/nginx-$1/access" | sort -u | wc -l)
	[ "$pids" = 2 ] || fail "$1: $pids workers served instead of 2"
	! grep -qv ' 200$' "$T/nginx-$1/access" || fail "$1: $(grep -v ' 200$' "$T/nginx-$1/access" | sort | uniq -c)"
}

run() { # run NAME LISTEN HTTP_LINES PATH
	nginx_conf "$1" "$2" "" "$3"
	nginx_run "$1" "${TAS[@]}"
	wrk_run "$T/wrk-$1.log" -t 2 -c 64 -d 3s --timeout 15 "http://$TAS_IP$4"
	fetch "http://$TAS_IP$4" "$T/got" "$(sha_of "$T/www$4")"
	both_workers "$1"
	nginx_stop "$1"
	say "$1: $(awk '/requests in/ { print $1 }' "$T/wrk-$1.log") requests"
}

run plain $TAS_IP:80 "sendfile off;" /1
run sendfile $TAS_IP:80 "sendfile on;" /10000
run nopush $TAS_IP:80 "sendfile on; tcp_nopush on; tcp_nodelay on;" /200000
run close $TAS_IP:80 "sendfile on; keepalive_timeout 0;" /10000
run reuseport "$TAS_IP:80 reuseport" "sendfile on; tcp_nopush on;" /10000
run wildcard 80 "sendfile on; tcp_nopush on;" /10000
tas_down
