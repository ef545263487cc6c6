#!/bin/bash
# All flow groups move back and forth between two cores every 50 ms under load: every byte right, no connection fails, and the
# moves make nothing arrive out of order or be sent again.
TAS_CORES=2
. "$(dirname "$0")/../lib/e2e.sh"
watchdog 140
tas_only

BYTES=20000000
www 1000 $BYTES
sum=$(sha_of "$T/www/$BYTES")
tas_up
nginx_conf main $TAS_IP:80
nginx_run main "${TAS[@]}"

groups() { tas_json cores "[r['groups'] for r in rows]"; }
all_on() { [ "$(tas_json cores "rows[$1]['groups']")" = 128 ]; }
counter() { tas_json counters "counter('$1')"; }

[ "$(groups)" = "[64, 64]" ] || fail "at first the cores have $(groups)"
for wrong in "128 0" "0 2" "0" "x 1"; do
	! within 10 "${CTL[@]}" move-group $wrong 2>"$T/err" || fail "tasctl move-group $wrong did not fail"
	[ -s "$T/err" ] || fail "tasctl move-group $wrong says nothing"
done
within 10 "${CTL[@]}" move-group 0 1 || fail "tasctl move-group 0 1: status $?"
one_moved() { [ "$(groups)" = "[63, 65]" ]; }
wait_for 10 "one group to move" one_moved
fetch http://$TAS_IP/1000 "$T/got" "$(sha_of "$T/www/1000")"

mover() {
	while :; do
		"${CTL[@]}" move-group all 0 && sleep 0.05 && "${CTL[@]}" move-group all 1 && sleep 0.05 || return 1
	done
}
spawn mover bash -c "$(declare -f mover); CTL=(${CTL[*]}); mover"
MOVER=$PID

# Bulk both ways: iperf3 checks what arrived, curl every byte.
program iperf3
for direction in "" -R; do
	spawn server "${TAS[@]}" "${PROGRAM[@]}" -s -1 --forceflush -B $TAS_IP
	SERVER=$PID
	wait_for 15 "iperf3's server" grep -q 'Server listening' "$T/server.log"
	within 60 "${KERNEL[@]}" "${PROGRAM[@]}" -c $TAS_IP -t 5 -P 4 -J $direction >"$T/iperf.json" || fail "iperf3 $direction: $(head -c 400 "$T/iperf.json")"
	finish "$SERVER" 15 || fail "iperf3's server ended with $?"
	say "iperf3 $direction: $("$PYTHON" -c "import json; d = json.load(open('$T/iperf.json'))['end']; print('%.1f Gb/s, retransmitted by the kernel %s' % (d['sum_received']['bits_per_second'] / 1e9, d['sum_sent'].get('retransmits', '-')))")"
done
for i in 1 2 3 4 5 6 7 8; do
	fetch http://$TAS_IP/$BYTES "$T/got" "$sum"
done

# Short connections: every request is answered; accept() and close() meet moves too.
HTTP_LOAD=$(tool http_load)
for mode in "" keep; do
	within 60 "${KERNEL[@]}" "$HTTP_LOAD" $TAS_IP 80 /1000 "$T/www/1000" 4 4 $mode >"$T/load.log" 2>&1 || fail "http_load: $(cat "$T/load.log")"
	report=$(grep '^{' "$T/load.log")
	say "${mode:-short} connections: $report"
	"$PYTHON" -c 'import json, sys
d = json.loads(sys.argv[1])
sys.exit(d["ok"] < 100 or any(d[k] for k in d if k not in ("ok", "closed", "slowest_us")))' "$report" || fail "requests failed: $report"
done
wrk_run "$T/wrk.log" -t 2 -c 32 -d 4 http://$TAS_IP/1000
say "moved $(counter groups_moved) groups, $(counter flows_moved) flows; out of order $(counter rx_ooo), sent again $(counter tx_retrans), timeouts $(counter rto), no memory $(counter drop_no_chunk), dropped between cores $(counter drop_forward)"
[ "$(counter drop_forward)" = 0 ] || fail "frames were dropped between cores"
[ "$(counter groups_moved)" -gt 1000 ] || fail "hardly any group moved"
[ "$(tas_json apps "sum(r['faults'] for r in rows)")" = 0 ] || fail "programs were blamed: $("${CTL[@]}" apps)"
alive "$MOVER" || fail "the mover ended: $(cat "$T/mover.log")"
kill -TERM "$MOVER"
finish "$MOVER" 10 || true
nginx_stop main
tas_down
