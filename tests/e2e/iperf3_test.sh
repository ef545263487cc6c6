#!/bin/bash
# iperf3: its server under tas and its client on the kernel, then the other way round; one and four streams, both directions; small segments.
. "$(dirname "$0")/../lib/e2e.sh"
watchdog 140

tas_up
program iperf3

server() { # server NAME ADDRESS PREFIX...: one test, then it ends (-1)
	local name=$1 address=$2
	shift 2
	spawn "$name" "$@" "${PROGRAM[@]}" -s -1 --forceflush -B "$address"
	SERVER=$PID
	wait_for 15 "iperf3's server" grep -q 'Server listening' "$T/$name.log"
}

# Every stream moved data, and what the receiver counted is what the sender says, but for what was under way at the end.
judge() {
	"$PYTHON" - "$1" "$2" <<-'PY' || fail "iperf3 $3: $(head -c 600 "$1")"
		import json, sys
		d = json.load(open(sys.argv[1]))
		assert "error" not in d, d["error"]
		streams = d["end"]["streams"]
		assert len(streams) == int(sys.argv[2]), len(streams)
		for s in streams:
		    sent, got = s["sender"]["bytes"], s["receiver"]["bytes"]
		    assert got > 1000000, got
		    assert got <= sent, (sent, got)
		print("  %.2f Gb/s" % (d["end"]["sum_received"]["bits_per_second"] / 1e9))
	PY
}

runs=0
exchange() { # exchange WHERE STREAMS OPTIONS...
	local where=$1 streams=$2 client address status=0
	shift 2
	runs=$((runs + 1))
	if [ "$where" = server-on-tas ]; then
		address=$TAS_IP client=("${KERNEL[@]}")
		server "server-$runs" $address "${TAS[@]}"
	else
		address=$PEER_IP client=("${TAS[@]}")
		server "server-$runs" $address "${KERNEL[@]}"
	fi
	say "$where, $streams streams $*"
	within 60 "${client[@]}" "${PROGRAM[@]}" -c $address -t 2 -J -P "$streams" "$@" >"$T/$runs.json" 2>"$T/client-$runs.log" ||
		status=$?
	[ $status = 0 ] || fail "the client ended with $status: $(head -c 600 "$T/$runs.json")"
	judge "$T/$runs.json" "$streams" "$where $*"
	finish "$SERVER" 15 || fail "the server ended with $?"
}

for where in server-on-tas client-on-tas; do
	exchange $where 1
	exchange $where 1 -R
	exchange $where 4
	exchange $where 4 -R
done
# Small segments: the kernel's frames of 64 KB are then of many hundred.
exchange client-on-tas 1 -R -M 150
exchange server-on-tas 1 -M 150
if [ -z "$BASELINE" ]; then
	used_tas
	[ "$(tas_json status 'counter("drop_gso")')" = 0 ] || fail "large frames of small segments were refused"
fi
tas_down
