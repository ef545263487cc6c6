#!/bin/bash
# soak.sh - nginx over tas, reloaded every 2 s under load: short connections, of which none may fail, and kept ones, where a request may only meet a
# connection that nginx itself has just closed, as on the kernel's TCP. The memory of the service, of nginx's master and of its workers stays
# flat: what they hold in the second half of the time is no more than in the first.
#
#   bench/soak.sh                  60 s, as in `make test`; TAS_SOAK=SECONDS
#   TAS_LONG=1 bench/soak.sh       600 s, as in `make test-long`, and a tenth of that on the kernel for comparison
#   TAS_BASELINE=kernel bench/soak.sh
. "$(dirname "$0")/../tests/lib/e2e.sh"
SOAK_S=${TAS_SOAK:-60}
[ -z "$TAS_LONG" ] || SOAK_S=${TAS_SOAK:-600}
EVERY_S=2
WARM=4    # reloads until everything has been used once
GROWTH_KIB=1024 # what the median of a half may differ by: a leak of 70 bytes a request is more
THREADS=4
watchdog $((SOAK_S * 2 + 200))
HTTP_LOAD=$(tool http_load)
www 4000

anon_kib() { awk '/^RssAnon/ { print $2 }' "/proc/$1/status" 2>/dev/null || echo 0; }
workers() { pgrep -P "$NGINX_PID"; }

# One line: the service, the master, the largest of its workers, all in KiB; how many descriptors the service and the master have.
sample() {
	local worker largest=0 kib
	for worker in $(workers); do
		kib=$(anon_kib "$worker")
		[ "${kib:-0}" -le $largest ] || largest=$kib
	done
	echo "$([ -z "$TAS_PID" ] || resident_kib) $(anon_kib "$NGINX_PID") $largest $([ -z "$TAS_PID" ] || ls "/proc/$TAS_PID/fd" | wc -l) $(ls "/proc/$NGINX_PID/fd" | wc -l)"
}

# flat FILE NAMES...: no column's median has grown from the first half to the second, by GROWTH_KIB or, of descriptors, at all.
flat() {
	"$PYTHON" - "$GROWTH_KIB" "$@" <<-'PY' || fail "grown"
		import statistics, sys
		growth, names = int(sys.argv[1]), sys.argv[3:]
		rows = [list(map(int, line.split())) for line in open(sys.argv[2])]
		half, bad = len(rows) // 2, 0
		for i, name in enumerate(names):
		    first, second = (statistics.median(r[i] for r in part) for part in (rows[:half], rows[half:]))
		    bad += second > first + (2 if name.endswith("descriptors") else growth)
		    print(f"  {name}: {first:.0f} in the first half, {second:.0f} in the second")
		sys.exit(bad != 0)
	PY
}

# soak NAME ADDRESS SECONDS: sets RELOADS; samples in $T/NAME.samples.
soak() {
	local name=$1 address=$2 end=$((SECONDS + $3)) load
	RELOADS=0
	: >"$T/$name.samples"
	spawn "$name-short" "${KERNEL[@]}" "$HTTP_LOAD" "$address" 80 /4000 "$T/www/4000" $THREADS "$3"
	load=$PID
	spawn "$name-kept" "${KERNEL[@]}" "$HTTP_LOAD" "$address" 80 /4000 "$T/www/4000" $THREADS "$3" keep
	while [ $SECONDS -lt $end ]; do
		sleep $EVERY_S
		[ $RELOADS -lt $WARM ] || sample >>"$T/$name.samples"
		nginx_signal "$name" reload || fail "reload was refused"
		RELOADS=$((RELOADS + 1))
	done
	finish "$load" 60 || fail "the short connections' client ended with $?"
	finish "$PID" 60 || fail "the kept connections' client ended with $?"
}

judge() { # judge NAME
	load_counts "$1-short"
	say "$1, $RELOADS reloads, short connections: $REPORT"
	[ "$OKAY" -gt 100 ] || fail "only $OKAY requests"
	[ "$FAILED" = 0 ] || fail "$FAILED of $((OKAY + FAILED)) requests failed"
	load_counts "$1-kept"
	say "$1, $RELOADS reloads, kept connections: $REPORT"
	[ "$OKAY" -gt 100 ] || fail "only $OKAY requests"
	[ "$FAILED" = 0 ] || fail "$FAILED of $((OKAY + FAILED)) requests on kept connections failed"
	[ "$CLOSED" -le $((RELOADS * THREADS)) ] || fail "$CLOSED kept connections ended, and nginx ended $((RELOADS * THREADS)) at most"
}

tas_up
nginx_conf main $TAS_IP:80
nginx_run main "${TAS[@]}"
[ -n "$BASELINE" ] || usage_remember
soak main $TAS_IP "$SOAK_S"
judge main
if [ -n "$BASELINE" ]; then
	flat "$T/main.samples" "master KiB" "largest worker KiB" "master's descriptors"
else
	flat "$T/main.samples" "service KiB" "master KiB" "largest worker KiB" "service's descriptors" "master's descriptors"
	old_workers_gone() { [ "$(workers | wc -l)" = 2 ]; }
	wait_for 60 "the workers of before to end" old_workers_gone
	usage_same 32768
	used_tas
fi
nginx_stop main
if [ -n "$TAS_LONG" ] && [ -z "$BASELINE" ]; then # beside it, on the kernel's loopback in the same namespace
	nginx_conf kernel 127.0.0.1:80
	nginx_run kernel "${KERNEL[@]}"
	soak kernel 127.0.0.1 $((SOAK_S / 10))
	judge kernel
	nginx_stop kernel
fi
tas_down
