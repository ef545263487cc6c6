#!/bin/bash
# redis: its server under tas, with data checked and redis-benchmark on the kernel; then redis-benchmark under tas.
. "$(dirname "$0")/../lib/e2e.sh"
watchdog 140

tas_up
cli() { # cli ADDRESS ARGUMENTS...
	local address=$1
	shift
	program redis-cli
	within 30 "${KERNEL[@]}" "${PROGRAM[@]}" -h "$address" "$@"
}

server() { # server NAME ADDRESS PREFIX...
	local name=$1 address=$2
	shift 2
	program redis-server
	mkdir -p "$T/$name"
	spawn "$name" "$@" "${PROGRAM[@]}" --bind "$address" --port 6379 --save '' --appendonly no --protected-mode no \
		--dir "$T/$name" --daemonize no
	SERVER=$PID
	wait_for 20 "$name" grep -q 'Ready to accept connections' "$T/$name.log"
}

# 20,000 increments by 50 connections make exactly 20,000: none lost, none twice.
benchmark() { # benchmark ADDRESS PREFIX...
	local address=$1
	shift
	program redis-benchmark
	within 60 "$@" "${PROGRAM[@]}" -h "$address" -c 50 -n 20000 --csv -t set,get,incr,mset >"$T/benchmark.log" 2>&1 ||
		fail "redis-benchmark ended with $?: $(cat "$T/benchmark.log")"
	[ "$(grep -cE '^"(SET|GET|INCR|MSET \(10 keys\))","[0-9]' "$T/benchmark.log")" = 4 ] ||
		fail "redis-benchmark: $(cat "$T/benchmark.log")"
	[ "$(cli "$address" get counter:__rand_int__)" = 20000 ] || fail "not 20000 increments: $(cli "$address" get counter:__rand_int__)"
	within 60 "$@" "${PROGRAM[@]}" -h "$address" -c 20 -n 2000 -d 50000 -P 4 --csv -t set,get >"$T/benchmark.log" 2>&1 ||
		fail "redis-benchmark with 50 KB values ended with $?: $(cat "$T/benchmark.log")"
	[ "$(cli "$address" strlen key:__rand_int__)" = 50000 ] || fail "the value has another length"
}

server redis-on-tas $TAS_IP "${TAS[@]}"
head -c 3000000 /dev/urandom >"$T/value"
[ "$(cli $TAS_IP -x set blob <"$T/value")" = OK ] || fail "set was refused"
cli $TAS_IP get blob | head -c 3000000 >"$T/value-back"
same_file "$T/value" "$T/value-back"
benchmark $TAS_IP "${KERNEL[@]}"
say "server on tas: ok"
# It asks for nothing that is refused, and its keepalive options reach connections that were accepted a moment ago.
[ -n "$BASELINE" ] || [ "$(tas_json apps "[r['refused'] for r in rows]")" = "[0]" ] || fail "refused: $(tas_json apps 'rows')"
cli $TAS_IP shutdown nosave || :
finish "$SERVER" 20 || fail "redis-server ended with $?"

server redis-on-kernel $PEER_IP "${KERNEL[@]}"
benchmark $PEER_IP "${TAS[@]}"
say "client on tas: ok"
cli $PEER_IP shutdown nosave || :
finish "$SERVER" 20 || fail "redis-server ended with $?"
[ -n "$BASELINE" ] || used_tas
tas_down
