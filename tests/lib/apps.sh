# apps.sh - what the scenarios of real programs (tests/e2e/apps) share: the same exchanges with whichever program serves.

# Debian's Python finds its modules also where they are only unpacked.
export PYTHONPATH=$SERVERS/usr/lib/python3/dist-packages
export PYTHONDONTWRITEBYTECODE=1

answers() { "${KERNEL[@]}" "$PYTHON" -c "import socket; socket.create_connection(('$1', $2), 5)"; }

# serving ADDRESS PORT PID: returns when somebody listens there; fails as soon as process PID has ended instead.
serving() {
	serving_or_dead() { gone "$3" || answers "$1" "$2"; }
	wait_for 30 "$1:$2 to be served" serving_or_dead "$@"
	alive "$3" || fail "process $3 ended before it served $1:$2"
}

# http_both_ways ADDRESS PORT HOW PREFIX...: with 1 and with 64 connections, several requests on each: the file /100000 of $T/www down,
# a body of the client's own up and back, every byte compared. HOW: put (stored under /put/, fetched again), post (/echo answers with
# the body). PREFIX is the client's.
http_both_ways() {
	local connections address=$1 port=$2 how=$3
	shift 3
	for connections in 1 64; do
		within 60 "$@" "$PYTHON" "$TAS_SRC/tests/tools/http_check.py" "$address" "$port" $connections "$how" "$T/www/100000" \
			${HTTP_CA:+"$HTTP_CA"} || fail "$address:$port, $connections connections: status $?"
	done
}

# certificate: $T/key.pem and $T/cert.pem for both addresses.
certificate() {
	openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2 -subj /CN=tas.test \
		-addext "subjectAltName=IP:$TAS_IP,IP:$PEER_IP" -keyout "$T/key.pem" -out "$T/cert.pem" 2>/dev/null ||
		fail "openssl cannot make a certificate"
}

# stopped PID: by SIGTERM, as an init would.
stopped() {
	local status=0
	kill -TERM "$1"
	finish "$1" 30 || status=$?
	case $status in
	0 | 143) ;;
	*) fail "process $1 ended with $status" ;;
	esac
}

# apps_down: the last line of such a scenario: the connections went over tas, and nothing was refused that the program asked for.
apps_down() {
	[ -n "$BASELINE" ] || used_tas
	tas_down
}
