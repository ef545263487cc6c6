#!/bin/bash
# Java NIO under tas: a server and a client, each with one selector, 1 and 64 connections, every byte compared at the client. IPv4 sockets, as
# tas serves them: by default Java makes IPv6 ones that take IPv4, too.
. "$(dirname "$0")/../../lib/e2e.sh"
. "$LIB/apps.sh"
watchdog 140

JAVA=$(command -v java) || JAVA=$(ls "$SERVERS"/usr/lib/jvm/java-17-openjdk-*/bin/java) || fail "java is not there: run tests/lib/setup.sh servers"
JAVA=("$JAVA" -Xmx128m -XX:+UseSerialGC -XX:TieredStopAtLevel=1 -Djava.net.preferIPv4Stack=true)
APPS=$TAS_SRC/tests/e2e/apps/servers
tas_up

server() { # server NAME ADDRESS PREFIX...
	local name=$1 address=$2
	shift 2
	spawn "$name" "$@" "${JAVA[@]}" "$APPS/NioServer.java" "$address" 7000
	SERVER=$PID
	wait_for 60 "the server" grep -q listening "$T/$name.log"
}

client() { # client ADDRESS PREFIX...
	local address=$1
	shift
	within 60 "$@" "${JAVA[@]}" "$APPS/NioClient.java" "$address" 7000 1 20000000 || fail "1 connection: status $?"
	within 60 "$@" "${JAVA[@]}" "$APPS/NioClient.java" "$address" 7000 64 500000 || fail "64 connections: status $?"
}

server on-tas $TAS_IP "${TAS[@]}"
client $TAS_IP "${KERNEL[@]}"
stopped "$SERVER"
server on-kernel $PEER_IP "${KERNEL[@]}"
client $PEER_IP "${TAS[@]}"
stopped "$SERVER"
apps_down
