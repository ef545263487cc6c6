#!/bin/bash
# nginx -s reload every 300 ms under load of short connections: not one may fail. Then -s quit lets slow downloads finish.
. "$(dirname "$0")/../lib/e2e.sh"
LOAD_S=10
[ -z "$TAS_LONG" ] || LOAD_S=60
watchdog $((LOAD_S * 2 + 150))

HTTP_LOAD=$(tool http_load)
www 4000 3000000
nginx_lines="location /3000000 { limit_rate 1m; }"

# load_during_reloads LABEL ADDRESS PREFIX...: sets FAILED and OKAY
load_during_reloads() {
	local reloads=0 load label=$1 address=$2
	shift 2
	spawn "load-$label" "$@" "$HTTP_LOAD" "$address" 80 /4000 "$T/www/4000" 4 "$LOAD_S"
	load=$PID
	while alive "$load"; do
		nginx_signal "$label" reload || fail "reload was refused"
		reloads=$((reloads + 1))
		sleep 0.3
	done
	finish "$load" 30 || fail "the client ended with $?"
	report=$(grep '^{' "$T/load-$label.log")
	OKAY=$("$PYTHON" -c 'import json, sys; print(json.loads(sys.argv[1])["ok"])' "$report")
	FAILED=$("$PYTHON" -c 'import json, sys
d = json.loads(sys.argv[1])
print(sum(d[k] for k in ("refused", "connect_other", "reset", "empty", "short", "wrong", "stuck")))' "$report")
	say "$label: $reloads reloads: $report"
}

tas_up
nginx_conf main $TAS_IP:80 "$nginx_lines"
nginx_run main "${TAS[@]}"
load_during_reloads main $TAS_IP "${KERNEL[@]}"
[ "$OKAY" -gt 100 ] || fail "only $OKAY requests"
[ "$FAILED" = 0 ] || fail "$FAILED of $((OKAY + FAILED)) requests failed"

if [ -z "$BASELINE" ]; then
	# For comparison, the same on the kernel's loopback in the same namespace.
	nginx_conf kernel 127.0.0.1:80 "$nginx_lines"
	nginx_run kernel "${KERNEL[@]}"
	load_during_reloads kernel 127.0.0.1 "${KERNEL[@]}"
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
