#!/bin/bash
# socat under tas: a forking server that runs a program for each connection, beside the connection and on it, a relay between tas and the kernel, and
# socat as the client. 1 and 64 connections, both directions, every byte compared.
. "$(dirname "$0")/../../lib/e2e.sh"
. "$LIB/apps.sh"
watchdog 120

www 100 300000 5000000
tas_up
program socat
SOCAT=("${PROGRAM[@]}")

server() { # server NAME ADDRESS PORT WHAT PREFIX...
	local name=$1 address=$2 port=$3 what=$4
	shift 4
	spawn "$name" "$@" "${SOCAT[@]}" -t 30 TCP4-LISTEN:$port,bind=$address,fork,reuseaddr,backlog=128 "$what"
	SERVER=$PID
	serving "$address" "$port" "$SERVER"
}

# There and back by socat as the client, which ends its direction when its input does.
there_and_back() { # there_and_back ADDRESS PORT FILE COUNT PREFIX...
	local address=$1 port=$2 file=$3 n=$4 i pids=()
	shift 4
	for ((i = 0; i < n; i++)); do
		spawn "client-$i" bash -c 'out=$1 in=$2; shift 2; exec "$@" <"$in" >"$out"' - "$T/got-$i" "$file" "$@" "${SOCAT[@]}" -t 30 - TCP4:$address:$port
		pids+=("$PID")
	done
	for i in "${!pids[@]}"; do
		finish "${pids[i]}" 60 || fail "client $i of $n ended with $?"
		same_file "$file" "$T/got-$i"
	done
}

both_sizes() { # both_sizes WHAT ADDRESS PORT PREFIX...
	local what=$1 address=$2 port=$3
	shift 3
	there_and_back "$address" "$port" "$T/www/5000000" 1 "$@"
	there_and_back "$address" "$port" "$T/www/300000" 64 "$@"
	say "$what: 1 and 64 connections"
}

server exec $TAS_IP 7001 EXEC:cat "${TAS[@]}"
both_sizes "a program for each connection" $TAS_IP 7001 "${KERNEL[@]}"
stopped "$SERVER"
server nofork $TAS_IP 7002 EXEC:cat,nofork "${TAS[@]}"
both_sizes "a program that inherits the connection" $TAS_IP 7002 "${KERNEL[@]}"
stopped "$SERVER"
server behind $PEER_IP 7003 EXEC:cat "${KERNEL[@]}"
behind=$SERVER
both_sizes "a client on tas" $PEER_IP 7003 "${TAS[@]}"
server relay $TAS_IP 7004 TCP4:$PEER_IP:7003 "${TAS[@]}"
both_sizes "a relay on tas" $TAS_IP 7004 "${KERNEL[@]}"
stopped "$SERVER"
stopped "$behind"
apps_down
