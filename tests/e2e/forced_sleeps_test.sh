#!/bin/bash
# Everybody sleeps at every turn, all on one CPU, and between any two steps of sleeping and waking another thread may run: the test
# build of service and libtas (tests/yield.cmake) gives up the CPU there by seed and never wakes by time. A lost wake-up is a hang.
TAS_PLAIN=${TAS_BUILD:-$(cd "$(dirname "$0")/../.." && pwd)/build}
TAS_BUILD=$TAS_PLAIN/yield
. "$(dirname "$0")/../lib/e2e.sh"
tas_only
ROUNDS=2000
[ -z "$TAS_LONG" ] || ROUNDS=100000
watchdog $((130 + ROUNDS / 30))
PINGPONG=$TAS_PLAIN/bin/e2e_pingpong
export TAS_SEED=${TAS_SEED:-1}
[ "$TAS_SEED" != random ] || TAS_SEED=$RANDOM
say "TAS_SEED=$TAS_SEED"

taskset -pc "$(taskset -pc $$ | sed 's/.*[ ,-]//')" $$ >/dev/null # and all that comes from here

# Sleeps of the service's threads, as the kernel counts them: giving up the CPU is none.
slept() { awk '/^voluntary_ctxt_switches/ { print $2 }' "/proc/$TAS_PID/task/$1/status"; }
core() { ls "/proc/$TAS_PID/task" | grep -vx "$TAS_PID" | head -1; }

# one_run HOW PORT NAME: with a client under ${PEER[@]}, until the program has slept ROUNDS times
one_run() {
	local how=$1 server
	spawn "server-$3" env TAS_SEED=$((TAS_SEED + run)) "${TAS[@]}" "$PINGPONG" server "$how" $TAS_IP "$2" $ROUNDS
	server=$PID
	wait_for 20 "the server" grep -q listening "$T/server-$3.log"
	within $((60 + ROUNDS / 100)) env TAS_SEED=$((TAS_SEED + run + 1)) "${PEER[@]}" "$PINGPONG" client "$how" $TAS_IP "$2" >"$T/client-$3.log" 2>&1 ||
		fail "$3: the client: $(cat "$T/client-$3.log")"
	finish "$server" 30 || fail "$3: the server ended with $?"
	[ "$(awk '/^slept/ { print $2 }' "$T/server-$3.log")" -ge $ROUNDS ] || fail "$3: $(cat "$T/server-$3.log")"
}

# exchange HOW PORT WHO...: as often as it takes for the core (and the slow path) to sleep ROUNDS times as well
exchange() {
	local how=$1 port=$2 run core slow before
	before=($(slept "$(core)") $(slept "$TAS_PID"))
	for ((run = 1; run <= 100; run++)); do
		one_run "$how" "$port" "$how-$run"
		core=$(($(slept "$(core)") - before[0])) slow=$(($(slept "$TAS_PID") - before[1]))
		[ $core -lt $ROUNDS ] || [ "$how" = accept -a $slow -lt $ROUNDS ] || break
	done
	say "$how: sleeps: program $((run * ROUNDS)), core $core, slow path $slow"
	[ $run -le 100 ] || fail "$how: not $ROUNDS sleeps"
}

tas_up "spin_us = 0"
port=7000
PEER=("${KERNEL[@]}")
for how in ${TAS_HOW:-epoll recv send accept}; do
	port=$((port + 1))
	exchange $how $port
done
# Both ends here: the slow path's frames to ourselves wake the core, and the core the slow path.
PEER=("${TAS[@]}")
for how in ${TAS_HOW:-recv accept}; do
	port=$((port + 1))
	exchange "$how" $port
done
used_tas
tas_down
