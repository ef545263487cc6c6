#!/bin/bash
# redis under tas: a replica of a server with data (full and partial resynchronisation), servers on tas and on the kernel in turn, and a cluster of
# three whose bus goes over tas. Every value checked.
. "$(dirname "$0")/../../lib/e2e.sh"
. "$LIB/apps.sh"
watchdog 140
tas_up

cli() { # cli ADDRESS PORT ARGUMENTS...
	local address=$1 port=$2
	shift 2
	program redis-cli
	within 30 "${KERNEL[@]}" "${PROGRAM[@]}" -h "$address" -p "$port" "$@"
}

server() { # server NAME ADDRESS PORT OPTIONS... -- PREFIX...
	local name=$1 address=$2 port=$3 options=()
	shift 3
	while [ "$1" != -- ]; do
		options+=("$1")
		shift
	done
	program redis-server
	mkdir -p "$T/$name"
	spawn "$name" "${@:2}" "${PROGRAM[@]}" --bind "$address" --port "$port" --save '' --appendonly no --protected-mode no \
		--dir "$T/$name" "${options[@]}"
	SERVERS_RUNNING+=("$PID")
	wait_for 20 "$name" grep -q 'Ready to accept connections' "$T/$name.log"
}

fill() { # fill ADDRESS PORT PREFIX: 20,000 keys, each its own value, on 50 connections' worth of pipeline
	seq 1 20000 | awk -v p="$3" '{ print "SET", p $1, p "-value-" $1 }' | cli "$1" "$2" --pipe >"$T/pipe" || fail "redis-cli --pipe: status $?"
	grep -q 'errors: 0, replies: 20000' "$T/pipe" || fail "redis-cli --pipe: $(cat "$T/pipe")"
}

same_data() { [ "$(cli "$1" "$2" debug digest)" = "$(cli "$3" "$4" debug digest)" ]; }
linked() { cli "$1" "$2" info replication | grep -q 'master_link_status:up'; }

replicate() { # replicate WHAT MASTER-ADDRESS REPLICA-ADDRESS
	cli "$2" 6379 flushall >/dev/null
	fill "$2" 6379 before
	head -c 5000000 /dev/urandom | cli "$2" 6379 -x set blob >/dev/null
	cli "$3" 6380 replicaof "$2" 6379 >/dev/null
	wait_for 30 "$1: the link" linked "$3" 6380
	wait_for 30 "$1: the data" same_data "$2" 6379 "$3" 6380
	fill "$2" 6379 after
	wait_for 30 "$1: what came after" same_data "$2" 6379 "$3" 6380
	[ "$(cli "$3" 6380 get after777)" = after-value-777 ] || fail "$1: a key has another value"
	# The link breaks; what is missing is sent, not everything.
	cli "$2" 6379 client kill type replica >/dev/null
	fill "$2" 6379 third
	wait_for 30 "$1: the link again" linked "$3" 6380
	wait_for 30 "$1: the rest" same_data "$2" 6379 "$3" 6380
	[ "$(cli "$2" 6379 info stats | tr -d '\r' | grep sync_partial_ok)" = sync_partial_ok:1 ] || fail "$1: no partial resynchronisation"
	say "replication, $1: ok"
}

all_down() {
	local pid
	for pid in "${SERVERS_RUNNING[@]}"; do
		kill -TERM "$pid"
	done
	for pid in "${SERVERS_RUNNING[@]}"; do
		finish "$pid" 30 || fail "a server ended with $?"
	done
	SERVERS_RUNNING=()
}

SERVERS_RUNNING=()
OPTIONS=(--enable-debug-command yes --repl-diskless-sync-delay 0 --repl-backlog-size 8mb)
server master-tas $TAS_IP 6379 "${OPTIONS[@]}" -- "${TAS[@]}"
server replica-tas $TAS_IP 6380 "${OPTIONS[@]}" -- "${TAS[@]}"
server master-kernel $PEER_IP 6379 "${OPTIONS[@]}" -- "${KERNEL[@]}"
server replica-kernel $PEER_IP 6380 "${OPTIONS[@]}" -- "${KERNEL[@]}"
replicate "from tas to the kernel" $TAS_IP $PEER_IP
cli $PEER_IP 6380 replicaof no one >/dev/null
replicate "from the kernel to tas" $PEER_IP $TAS_IP
cli $TAS_IP 6380 replicaof no one >/dev/null
cli $TAS_IP 6379 config resetstat >/dev/null
replicate "from tas to tas" $TAS_IP $TAS_IP
all_down

NODES=($TAS_IP $TAS_IP $PEER_IP) # two on tas, one on the kernel
OPTIONS=(--cluster-enabled yes --cluster-node-timeout 5000)
server cluster-0 ${NODES[0]} 7000 "${OPTIONS[@]}" -- "${TAS[@]}"
server cluster-1 ${NODES[1]} 7001 "${OPTIONS[@]}" -- "${TAS[@]}"
server cluster-2 ${NODES[2]} 7002 "${OPTIONS[@]}" -- "${KERNEL[@]}"
program redis-cli
if ! "${KERNEL[@]}" timeout 60 "${PROGRAM[@]}" --cluster create ${NODES[0]}:7000 ${NODES[1]}:7001 ${NODES[2]}:7002 --cluster-yes >"$T/create.log" 2>&1; then
	fail "redis-cli --cluster create does not end well"
fi
well() { cli "${NODES[$1]}" 700$1 cluster info | grep -q cluster_state:ok; }
for i in 0 1 2; do
	wait_for 30 "the cluster, as node $i sees it" well $i
done
for ((i = 0; i < 100; i++)); do
	echo "SET key$i value$i"
done | cli $TAS_IP 7000 -c >"$T/set" || fail "redis-cli -c: status $?"
for ((i = 0; i < 100; i++)); do
	echo "GET key$i"
done | cli ${NODES[2]} 7002 -c >"$T/get" || fail "redis-cli -c: status $?"
[ "$(grep -o 'value[0-9]*' "$T/get" | sort -u | wc -l)" = 100 ] || fail "not every key has its value: $(tail -5 "$T/get")"
program redis-benchmark
"${KERNEL[@]}" timeout 60 "${PROGRAM[@]}" --cluster -h $TAS_IP -p 7000 -c 64 -n 20000 -r 100000 --csv -t set,get,incr >"$T/benchmark.log" 2>&1 ||
	fail "redis-benchmark ended with $?"
[ "$(grep -cE '^"(SET|GET|INCR)","[0-9]' "$T/benchmark.log")" = 3 ] || fail "redis-benchmark: $(cat "$T/benchmark.log")"
# A node that dies is noticed by the others over the bus.
kill -KILL "${SERVERS_RUNNING[2]}"
SERVERS_RUNNING=("${SERVERS_RUNNING[@]:0:2}")
failed() { cli $TAS_IP 7000 cluster nodes | grep ":7002@" | grep -q fail; }
wait_for 60 "the others to notice" failed
all_down
say "cluster: ok"
apps_down
