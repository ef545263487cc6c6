#!/bin/bash
# nginx -s reload every 300 ms under load. Of short connections not one may fail, reuseport on and off; of kept ones a request may only
# meet a connection that nginx itself has just closed, as on the kernel's TCP, whose figure is beside it. Then -s quit lets slow
# downloads finish.
. "$(dirname "$0")/../lib/e2e.sh"
LOAD_S=4 # bench/soak.sh is the longer form
[ -z "$TAS_LONG" ] || LOAD_S=60
watchdog $((LOAD_S * 5 + 200))

HTTP_LOAD=$(tool http_load)
THREADS=4
www 4000 3000000
nginx_lines="location /3000000 { limit_rate 1m; }"

# load_during_reloads NAME ADDRESS MODE PREFIX...: MODE is "" or keep; sets FAILED, OKAY, CLOSED and RELOADS
load_during_reloads() {
	local name=$1 address=$2 mode=$3 load label=$1${3:+-$3}
	shift 3
	RELOADS=0
	spawn "load-$label" "$@" "$HTTP_LOAD" "$address" 80 /4000 "$T/www/4000" $THREADS "$LOAD_S" $mode
	load=$PID
	while alive "$load"; do
		nginx_signal "$name" reload || fail "reload was refused"
		RELOADS=$((RELOADS + 1))
		sleep 0.3
	done
	finish "$load" 30 || fail "the client ended with $?"
	load_counts "load-$label"
	say "$label: $RELOADS reloads: $REPORT"
}

none_failed() { # none_failed WHAT
	[ "$OKAY" -gt 100 ] || fail "$1: only $OKAY requests"
	[ "$FAILED" = 0 ] || fail "$1: $FAILED of $((OKAY + FAILED)) requests failed"
	[ "$CLOSED" -le $((RELOADS * THREADS)) ] || fail "$1: $CLOSED kept connections ended, and nginx ended $((RELOADS * THREADS)) at most"
}

tas_up
nginx_conf reuseport "$TAS_IP:80 reuseport" "$nginx_lines"
nginx_run reuseport "${TAS[@]}"
load_during_reloads reuseport $TAS_IP "" "${KERNEL[@]}"
none_failed reuseport
nginx_stop reuseport

nginx_conf main $TAS_IP:80 "$nginx_lines"
nginx_run main "${TAS[@]}"
load_during_reloads main $TAS_IP "" "${KERNEL[@]}"
none_failed main
load_during_reloads main $TAS_IP keep "${KERNEL[@]}"
none_failed keep-alive

if [ -z "$BASELINE" ]; then
	# For comparison, the same on the kernel's loopback in the same namespace.
	nginx_conf kernel 127.0.0.1:80 "$nginx_lines"
	nginx_run kernel "${KERNEL[@]}"
	load_during_reloads kernel 127.0.0.1 "" "${KERNEL[@]}"
	load_during_reloads kernel 127.0.0.1 keep "${KERNEL[@]}"
	nginx_stop kernel
fi

# Four downloads of three seconds each are under way when the master is told to quit.
pids=()
for i in 1 2 3 4; do
	spawn "slow-$i" "${KERNEL[@]}" curl -sS --fail -o "$T/slow-$i" http://$TAS_IP/3000000
	pids+=("$PID")
done
for i in 1 2 3 4; do
	wait_for 10 "download $i to begin" test -s "$T/slow-$i"
done
nginx_signal main quit
refused() { ! "${KERNEL[@]}" curl -s -o /dev/null --connect-timeout 5 http://$TAS_IP/4000; }
wait_for 10 "new connections to be refused" refused
for i in 1 2 3 4; do
	finish "${pids[i - 1]}" 60 || fail "download $i was cut off by -s quit: $(cat "$T/slow-$i.log")"
	same_file "$T/slow-$i" "$T/www/3000000"
done
wait_for 30 "nginx to quit" gone "$NGINX_PID"
tas_down
