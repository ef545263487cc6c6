#!/bin/bash
# nginx, redis and iperf3 over one service, under mixed load, again and again: nginx is reloaded all the time, and in each cycle another
# one of them is killed (SIGKILL) in the middle. Who is not killed sees no error; what the service holds does not grow.
# TAS_SOAK: seconds (15, long form 900).
. "$(dirname "$0")/../lib/e2e.sh"
tas_only
SOAK_S=${TAS_SOAK:-15}
[ -z "$TAS_LONG" ] || SOAK_S=${TAS_SOAK:-900}
CYCLE_S=4
watchdog $((SOAK_S * 2 + 400))
HTTP_LOAD=$(tool http_load)
www 4000 1000000
VICTIMS=(nobody iperf3 redis nginx http-client redis-client)

start_servers() {
	nginx_conf main $TAS_IP:80
	nginx_run main "${TAS[@]}"
	program redis-server
	mkdir -p "$T/redis"
	spawn redis "${TAS[@]}" "${PROGRAM[@]}" --bind $TAS_IP --port 6379 --save '' --appendonly no --protected-mode no --dir "$T/redis"
	REDIS_PID=$PID
	program iperf3
	spawn iperf3 "${TAS[@]}" "${PROGRAM[@]}" -s -B $TAS_IP --forceflush
	IPERF_PID=$PID
	wait_for 20 redis grep -q 'Ready to accept connections' "$T/redis.log"
	wait_for 20 iperf3 grep -q 'Server listening' "$T/iperf3.log"
}

# What a client of each kind does for CYCLE_S seconds; exit status 0 only if nothing went wrong.
redis_rounds() {
	local end=$((SECONDS + CYCLE_S))
	program redis-benchmark
	while [ $SECONDS -lt $end ]; do
		"${KERNEL[@]}" "${PROGRAM[@]}" -h $TAS_IP -c 20 -n 5000 -d 2000 --csv -t set,get,lpush || return 1
	done
}

start_clients() {
	spawn http "${KERNEL[@]}" "$HTTP_LOAD" $TAS_IP 80 /4000 "$T/www/4000" 4 $CYCLE_S
	HTTP_PID=$PID
	spawn redis-load redis_rounds
	REDIS_LOAD_PID=$PID
	program iperf3
	spawn iperf3-load "${KERNEL[@]}" "${PROGRAM[@]}" -c $TAS_IP -t $CYCLE_S -P 2 $1
	IPERF_LOAD_PID=$PID
}

end_tree() { # end_tree PID: it and its children, at once
	kill -KILL $(pgrep -P "$1") "$1" 2>/dev/null || :
}

strike() {
	case $1 in
	iperf3) end_tree "$IPERF_PID" ;;
	redis) end_tree "$REDIS_PID" ;;
	nginx) end_tree "$NGINX_PID" ;;
	http-client) end_tree "$HTTP_PID" ;;
	redis-client) end_tree "$REDIS_LOAD_PID" ;;
	esac
}

hits() { case $1 in "$2" | "$2-client") true ;; *) false ;; esac }

# The clients' ends: all is well with everybody whom nobody killed.
judge() { # judge VICTIM
	local status
	status=0
	finish "$HTTP_PID" 40 || status=$?
	if ! hits "$1" nginx && ! hits "$1" http; then
		[ $status = 0 ] && grep -q '^{' "$T/http.log" || fail "http_load ended with $status"
		! grep -E '"(refused|connect_other|reset|empty|short|wrong|stuck)": [1-9]' "$T/http.log" || fail "requests failed"
	fi
	status=0
	! hits "$1" redis || end_tree "$REDIS_LOAD_PID" # redis-benchmark tries a refused port for ever
	finish "$REDIS_LOAD_PID" 60 || status=$?
	hits "$1" redis || [ $status = 0 ] || fail "redis-benchmark ended with $status"
	status=0
	finish "$IPERF_LOAD_PID" 60 || status=$?
	[ "$1" = iperf3 ] || [ $status = 0 ] || fail "iperf3 ended with $status"
}

stop_servers() {
	if alive "$NGINX_PID"; then
		nginx_stop main
	else
		wait_for 20 "nginx's workers to end" no_nginx
	fi
	kill -TERM "$REDIS_PID" "$IPERF_PID" 2>/dev/null || :
	finish "$REDIS_PID" 20 || :
	finish "$IPERF_PID" 20 || :
	rm -f "$T/nginx-main/nginx.pid"
}
# nginx's workers live on when their master is killed: they are in our namespace, and of this folder.
no_nginx() {
	local pid left=
	for pid in $(ip netns pids "$NS_T"); do
		[ "$(cat "/proc/$pid/comm" 2>/dev/null)" = nginx ] || continue
		left=yes
		kill -KILL "$pid" 2>/dev/null || :
	done
	[ -z "$left" ]
}

cycle() { # cycle VICTIM [IPERF3 OPTION]
	local half=$((SECONDS + CYCLE_S / 2)) end=$((SECONDS + CYCLE_S)) struck=
	start_servers
	start_clients "${2:-}"
	while [ $SECONDS -lt $end ]; do
		if [ -z "$struck" ] && [ $SECONDS -ge $half ]; then
			strike "$1"
			struck=yes
		fi
		[ -n "$struck" ] && [ "$1" = nginx ] || nginx_signal main reload
		sleep 0.5
	done
	judge "$1"
	stop_servers
	alive "$TAS_PID" || fail "the service has ended"
}

tas_up
for victim in "${VICTIMS[@]}"; do # once each: what is made on first use is there
	[ -z "$TAS_LONG" ] && [ "$victim" != nobody ] && continue
	cycle "$victim"
done
usage_remember
begin=$SECONDS n=0
while [ $((SECONDS - begin)) -lt "$SOAK_S" ]; do
	n=$((n + 1))
	victim=${VICTIMS[$((n % ${#VICTIMS[@]}))]}
	cycle "$victim" "$([ $((n % 2)) = 1 ] || echo -R)"
	say "$((SECONDS - begin)) s, cycle $n, killed: $victim: $(usage_now) resident=$(resident_kib) KiB"
	[ $((n % 10)) != 0 ] || usage_same 32768
done
usage_same 32768
# Ports: every one is free again. Time-wait is not growth.
for port in 80 6379 5201; do
	! "${KERNEL[@]}" "$PYTHON" -c "import socket; socket.create_connection(('$TAS_IP', $port), 5)" 2>/dev/null || fail "port $port is still served"
done
used_tas
say "$n cycles in $((SECONDS - begin)) s"
tas_down
