#!/bin/bash
# demo.sh - `make demo`: tas on a tap, nginx over it, and the kernel's TCP on the other side.
#
#   1. nginx under tas-run with two workers serves files from 0 bytes to 1 GiB; curl over the kernel's TCP fetches each from the
#      other side of the tap, and SHA-256 is compared.
#   2. wrk with 64 connections asks nginx over tas, and the same nginx over the kernel on a veth of the same MTU, alternating;
#      both are printed, whichever wins. In the middle, `tasctl flows`.
#
# Needs root for network namespaces and a tap; no NIC, no hugepages. Everything lives in namespaces and a folder of its own,
# which go away at the end, whatever the end is.
NETNS_PREFIX=tas-demo
. "$(dirname "$0")/../tests/lib/e2e.sh"
[ -z "$BASELINE" ] || { unset TAS_BASELINE; BASELINE=; }
[ -t 1 ] && tput bold >/dev/null 2>&1 && B=$(tput bold) N=$(tput sgr0) || B='' N=''
LARGEST=${DEMO_LARGEST:-1073741824}
ROUNDS=${DEMO_ROUNDS:-3}
WRK_S=${DEMO_SECONDS:-3}
SIZES=(0 1 1447 1448 1449 65537 1048576 67108864 "$LARGEST")
KERNEL_IP=10.98.0.2

step() { echo; echo "$B$*$N"; }

# The largest file may not fit everywhere: say so instead of failing half way. Two copies, and some air.
free_bytes() { df --output=avail -B1 "$T" | tail -n 1; }
if [ "$(free_bytes)" -lt $((LARGEST * 2 + 500000000)) ]; then
	echo "Little space in $T: the largest file is left out."
	unset "SIZES[-1]"
fi

step "Files of ${#SIZES[@]} sizes, random bytes"
www "${SIZES[@]}"
declare -A SUM
for size in "${SIZES[@]}"; do
	SUM[$size]=$(sha_of "$T/www/$size")
done

step "tas on a tap, in a network namespace of its own"
tas_up
grep -h . "$T/tas-1.log" | head -n 5
nginx_conf tas $TAS_IP:80
nginx_run tas "${TAS[@]}"
has_workers() { [ "$(pgrep -cP "$NGINX_PID")" = 2 ]; }
wait_for 20 "nginx's workers" has_workers
echo "nginx under tas-run: master $NGINX_PID and workers $(pgrep -P "$NGINX_PID" | tr '\n' ' ')"

step "curl over the kernel's TCP fetches each file through the tap"
for size in "${SIZES[@]}"; do
	FETCH_LIMIT=300
	from=$(date +%s%N)
	fetch http://$TAS_IP/"$size" "$T/got" "${SUM[$size]}"
	printf '  %12s bytes  SHA-256 equal  %s  %d ms\n' "$size" "${SUM[$size]:0:16}..." $((($(date +%s%N) - from) / 1000000))
	rm -f "$T/got"
done

# The same nginx on the kernel, in a namespace of its own behind a veth pair.
netns_add server
KERNEL_NS=$NS
netns_veth "$KERNEL_NS" demo0 $KERNEL_IP/24 "$NS_K" demo1 10.98.0.1/24
nginx_conf kernel $KERNEL_IP:80
nginx_run kernel ip netns exec "$KERNEL_NS"

program wrk
measure() { # measure ADDRESS PATH: sets RATE and P99
	local log=$T/wrk.log
	wrk_run "$log" -t 2 -c 64 -d "${WRK_S}s" --latency --timeout 15 "http://$1$2"
	RATE=$(awk '/^Requests\/sec/ { printf "%d", $2 }' "$log")
	P99=$(awk '$1 == "99%" { print $2 }' "$log")
}

flows_mid_run() { # once, while wrk runs
	sleep 1
	step "tasctl flows, in the middle of a run (the first ten)"
	"${CTL[@]}" flows >"$T/flows.txt"
	head -n 11 "$T/flows.txt"
}

step "wrk, 64 connections, ${WRK_S} s each, alternating: requests per second (99th percentile latency)"
shown=
printf '  %-10s %-6s  %22s  %22s\n' file round "nginx over tas" "nginx over the kernel"
for size in 1 10000 1048576; do
	[ -e "$T/www/$size" ] || www "$size"
	tas_rates=() kernel_rates=()
	for ((round = 1; round <= ROUNDS; round++)); do
		measure $TAS_IP "/$size"
		tas_rates+=("$RATE") tas_text="$RATE ($P99)"
		measure $KERNEL_IP "/$size"
		kernel_rates+=("$RATE")
		printf '  %-10s %-6s  %22s  %22s\n' "$size B" "$round" "$tas_text" "$RATE ($P99)"
	done
	median() { printf '%s\n' "$@" | sort -n | sed -n "$((($# + 1) / 2))p"; }
	printf '  %-10s %-6s  %22s  %22s\n' "$size B" median "$(median "${tas_rates[@]}")" "$(median "${kernel_rates[@]}")"
	if [ -z "$shown" ]; then
		shown=yes
		flows_mid_run &
		viewer=$!
		measure $TAS_IP "/$size"
		wait "$viewer"
		echo
	fi
done

step "In good order to the end"
"${CTL[@]}" status
echo
echo "  lost here: what tas threw away and somebody must send again. ignored: what was nobody's, as the last segments of"
echo "  clients that hang up in the middle, which wrk's do at the end of each run."
nginx_stop tas
NS_T=$KERNEL_NS nginx_stop kernel
tas_stop
echo
echo "Done; nothing of it is left. Next: README.md, and '$(realpath --relative-to=. "$TAS_BUILD")/bin/tasctl --help'."
