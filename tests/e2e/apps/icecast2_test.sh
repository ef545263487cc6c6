#!/bin/bash
# icecast2 under tas: a source that sends (PUT, then the older SOURCE), one and 64 listeners that get the same bytes in the same order, and the listeners
# under tas with icecast2 on the kernel.
. "$(dirname "$0")/../../lib/e2e.sh"
. "$LIB/apps.sh"
watchdog 120

tas_up
SHARE=$SERVERS/usr/share/icecast2
[ -d "$SHARE" ] || SHARE=/usr/share/icecast2

server() { # server NAME ADDRESS PREFIX...
	local name=$1 address=$2
	shift 2
	mkdir -p -m 777 "$T/$name"
	cat >"$T/$name.xml" <<-CONF
		<icecast>
			<limits><clients>200</clients><sources>4</sources><queue-size>8000000</queue-size><burst-size>0</burst-size>
				<client-timeout>60</client-timeout><header-timeout>30</header-timeout><source-timeout>30</source-timeout></limits>
			<authentication><source-password>secret</source-password><admin-user>admin</admin-user><admin-password>secret</admin-password></authentication>
			<hostname>tas.test</hostname>
			<listen-socket><port>8000</port><bind-address>$address</bind-address></listen-socket>
			<paths><basedir>$SHARE</basedir><logdir>$T/$name</logdir><webroot>$SHARE/web</webroot><adminroot>$SHARE/admin</adminroot></paths>
			<logging><accesslog>access</accesslog><errorlog>error</errorlog><loglevel>3</loglevel></logging>
			<security><chroot>0</chroot><changeowner><user>nobody</user><group>nogroup</group></changeowner></security>
		</icecast>
	CONF
	program icecast2
	spawn "$name" "$@" "${PROGRAM[@]}" -c "$T/$name.xml"
	SERVER=$PID
	serving "$address" 8000 "$SERVER"
}

listen_and_send() { # listen_and_send ADDRESS LISTENERS METHOD PREFIX...: the prefix is the listeners'
	local address=$1 n=$2 method=$3
	shift 3
	spawn source "${KERNEL[@]}" "$PYTHON" "$TAS_SRC/tests/e2e/apps/servers/icecast.py" source "$address" "$method" "$T/go"
	local source=$PID
	wait_for 20 "the source to be taken" grep -q accepted "$T/source.log"
	spawn listeners "$@" "$PYTHON" "$TAS_SRC/tests/e2e/apps/servers/icecast.py" listen "$address" "$n"
	local listeners=$PID
	wait_for 20 "$n listeners" grep -q listening "$T/listeners.log"
	touch "$T/go"
	finish "$listeners" 60 || fail "the listeners ended with $?"
	touch "$T/go.done"
	finish "$source" 60 || fail "the source ended with $?"
	rm "$T/go" "$T/go.done"
	say "$address, $method: $(tail -1 "$T/listeners.log")"
}

server on-tas $TAS_IP "${TAS[@]}"
listen_and_send $TAS_IP 1 PUT "${KERNEL[@]}"
listen_and_send $TAS_IP 64 SOURCE "${KERNEL[@]}"
stopped "$SERVER"
server on-kernel $PEER_IP "${KERNEL[@]}"
listen_and_send $PEER_IP 64 PUT "${TAS[@]}"
stopped "$SERVER"
apps_down
