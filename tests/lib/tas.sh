# tas.sh - the service in a namespace of its own: start, ready, stop, and what it says of itself.
#
# tas_up makes
#
#     NS_T: tas on the tap tas0, serving 10.99.0.2          programs under ${TAS[@]}    (tas-run)
#     NS_K: the same namespace; the kernel has 10.99.0.1    programs under ${KERNEL[@]} (the kernel's TCP)
#
# With TAS_BASELINE=kernel there is no service: NS_T and NS_K are two namespaces on a veth, with the same addresses.

TAS_IP=10.99.0.2
PEER_IP=10.99.0.1
SOCKET=$T/tas.sock
CTL_SOCKET=$T/ctl.sock
TAS_DEVICE=tas0 # what the service makes and takes away again; empty where the port was there before
TAS_PID=
TAS_STARTS=0
CTL=("$TAS_BUILD/bin/tasctl" -s "$CTL_SOCKET")
READY_LIMIT=60 # seconds; sanitizer builds on a busy machine are slow to start

built() {
	local p
	for p in tas tas-run tasctl; do
		[ -x "$TAS_BUILD/bin/$p" ] || fail "$TAS_BUILD/bin/$p is not built"
	done
}

tas_only() { [ -z "$BASELINE" ] || skip "says nothing about the kernel alone"; }

# tas_conf [LINES]: the configuration; a later line of the same name replaces ours, as libconfig has no duplicates.
tas_conf() {
	local defaults line extra=${1:-}
	defaults="socket = \"$SOCKET\"
ctl_socket = \"$CTL_SOCKET\"
port = \"tap:tas0\"
tap_address = \"$PEER_IP/24\"
addresses = [ \"$TAS_IP/24\" ]
cores = ${TAS_CORES:-1}
log_level = \"info\""
	while read -r line; do
		grep -q "^${line%% *} *=" <<<"$extra" || echo "$line;"
	done <<<"$defaults"
	[ -z "$extra" ] || echo "$extra"
}

device_is_there() { [ -z "$TAS_DEVICE" ] || ip -n "$NS_T" link show "$TAS_DEVICE"; }

# Sockets of a killed service may lie about: ready is when a program can register and tasctl gets an answer.
tas_ready() {
	[ -S "$SOCKET" ] && [ -S "$CTL_SOCKET" ] && device_is_there &&
		timeout 10 "$TAS_BUILD/bin/tas-run" -s "$SOCKET" --require -- true && timeout 10 "${CTL[@]}" status
}

tas_ready_or_dead() { gone "$TAS_PID" || tas_ready; }

# tas_start [CONFIG LINES]: in $NS_T; returns when programs may register.
tas_start() {
	built
	TAS_STARTS=$((TAS_STARTS + 1))
	tas_conf "${1:-}" >"$T/tas.conf"
	spawn "tas-$TAS_STARTS" ip netns exec "$NS_T" "$TAS_BUILD/bin/tas" --config "$T/tas.conf"
	TAS_PID=$PID
	wait_for $READY_LIMIT "tas to be ready" tas_ready_or_dead
	alive "$TAS_PID" || fail "tas ended before it was ready"
}

# tas_stop: SIGTERM, exit status 0 (a sanitizer's report is another), sockets and device gone.
tas_stop() {
	local pid=$TAS_PID
	alive "$pid" || fail "tas had ended by itself"
	kill -TERM "$pid"
	TAS_PID=
	finish "$pid" 30 || fail "tas ended with status $?"
	[ ! -e "$SOCKET" ] && [ ! -e "$CTL_SOCKET" ] || fail "tas left its sockets behind"
	[ -z "$TAS_DEVICE" ] || ! device_is_there >/dev/null 2>&1 || fail "tas left its device behind"
	sanitizer_clean
}

sanitizer_clean() {
	! grep -hE 'runtime error:|ERROR: (Address|Leak|Thread)Sanitizer|WARNING: ThreadSanitizer' "$T"/tas-*.log >&2 ||
		fail "a sanitizer found a fault in tas"
}

tas_up() {
	netns_add t
	NS_T=$NS
	if [ -n "$BASELINE" ]; then
		netns_add k
		NS_K=$NS
		netns_veth "$NS_T" veth0 "$TAS_IP/24" "$NS_K" veth1 "$PEER_IP/24"
		TAS=(ip netns exec "$NS_T")
	else
		NS_K=$NS_T
		TAS=(ip netns exec "$NS_T" "$TAS_BUILD/bin/tas-run" -s "$SOCKET" --require --)
		tas_start "${1:-}"
	fi
	KERNEL=(ip netns exec "$NS_K")
}

# lossy_up T_TO_K K_TO_T: as tas_up, but NS_K is a namespace of its own behind a relay that harms frames (tests/tools/relay.c).
lossy_up() {
	local relay
	relay=$(tool relay)
	netns_add t
	NS_T=$NS
	netns_add k
	NS_K=$NS
	KERNEL=(ip netns exec "$NS_K")
	local middle=$NS_T near=tas0
	if [ -n "$BASELINE" ]; then
		netns_add m
		middle=$NS near=m0
		netns_veth "$NS_T" veth0 "$TAS_IP/24" "$middle" m0 ""
		TAS=(ip netns exec "$NS_T")
	else
		TAS=(ip netns exec "$NS_T" "$TAS_BUILD/bin/tas-run" -s "$SOCKET" --require --)
		tas_start "tap_address = \"\""
	fi
	netns_veth "$middle" m1 "" "$NS_K" veth1 "$PEER_IP/24"
	spawn relay ip netns exec "$middle" "$relay" $near m1 "$1" "$2"
	RELAY_PID=$PID
}

# dpdk_up DRIVER: as tas_up, but the service has one end of a veth through DPDK's DRIVER, and NS_K is a namespace of its own.
dpdk_up() {
	netns_add t
	NS_T=$NS
	netns_add k
	NS_K=$NS
	KERNEL=(ip netns exec "$NS_K")
	TAS=(ip netns exec "$NS_T" "$TAS_BUILD/bin/tas-run" -s "$SOCKET" --require --)
	netns_veth "$NS_T" veth0 "" "$NS_K" veth1 "$PEER_IP/24"
	ip netns exec "$NS_T" "$PYTHON" "$TAS_SRC/tests/tools/offloads_off.py" veth0 || fail "veth0 keeps its offloads"
	"${KERNEL[@]}" "$PYTHON" "$TAS_SRC/tests/tools/offloads_off.py" veth1 || fail "veth1 keeps its offloads"
	TAS_DEVICE=
	tas_start "port = \"dpdk:$1,iface=veth0\"
tap_address = \"\""
}

# has_sockets FAMILY: the kernel may lack either kind, 44 (AF_XDP) or 17 (AF_PACKET); why is in $T/why.
has_sockets() {
	"$PYTHON" -c 'import ctypes, os, sys
libc = ctypes.CDLL(None, use_errno=True)
fd = libc.socket(int(sys.argv[1]), 3, 0)
sys.exit(os.strerror(ctypes.get_errno()) if fd < 0 else 0)' "$1" 2>"$T/why"
}

# lossy_check WHAT: the relay did harm frames; ends it.
lossy_check() {
	kill -TERM "$RELAY_PID"
	finish "$RELAY_PID" 10 || fail "the relay ended with $?"
	say "relay: $(tr '\n' ' ' <"$T/relay.log")"
	[ "$(grep -cE "$1=[1-9]" "$T/relay.log")" = 2 ] || fail "the relay did not do its work in both directions"
	! grep -qE 'overflow=[1-9]' "$T/relay.log" || fail "the relay itself overflowed"
}

# The last line of a scenario.
tas_down() {
	[ -n "$BASELINE" ] || tas_stop
	say "ok${BASELINE:+ (kernel baseline)}"
}

# tool NAME: the path of a program of tests/tools.
tool() {
	[ -x "$TAS_BUILD/bin/e2e_$1" ] || fail "$TAS_BUILD/bin/e2e_$1 is not built"
	echo "$TAS_BUILD/bin/e2e_$1"
}

# tas_json COMMAND EXPRESSION: a Python expression over the answer of tasctl COMMAND --json; names in tests/lib/tasjson.py.
tas_json() {
	within 30 "${CTL[@]}" $1 --json | "$PYTHON" "$TAS_SRC/tests/lib/tasjson.py" "$2"
}

# used_tas: connections were made over tas, so that a scenario cannot pass by falling back to the kernel.
used_tas() {
	local n
	n=$(tas_json status 'counter("conn_established")') || fail "tasctl status failed"
	[ "$n" -gt 0 ] || fail "not one connection went over tas"
}

# kill_server WHAT CLIENT...: SIGKILL of a server on tas under 50 connections of a client; its peers see the end, the port refuses.
kill_server() {
	local what=$1 server
	shift
	spawn server "${TAS[@]}" "$PYTHON" "$TAS_SRC/tests/tools/echo_server.py" $TAS_IP 7000
	server=$PID
	wait_for 20 "the server" grep -q listening "$T/server.log"
	within 60 "$@" "$PYTHON" "$TAS_SRC/tests/tools/kill_client.py" $TAS_IP 7000 50 "$server" >"$T/client.log" 2>&1 ||
		fail "$what: $(tail -n 1 "$T/client.log")"
	wait "$server" 2>/dev/null || :
}

# What must come back to where it was when programs come and go. Descriptors and mappings of files and memfds are counted from outside.
usage_now() {
	local now
	now="flows=$(tas_json flows 'len([r for r in rows if r["state"] != "time-wait"])') listeners=$(tas_json listeners 'len(rows)') apps=$(tas_json apps 'len(rows)') descriptors=$(ls "/proc/$TAS_PID/fd" | wc -l) mappings=$(awk '$5 != 0' "/proc/$TAS_PID/maps" | wc -l)"
	# A figure that cannot be had is no zero.
	[[ $now =~ ^(([a-z]+=[0-9]+)( |$)){5}$ && ! $now =~ (descriptors|mappings)=0 ]] || { echo "usage_now: $now" >&2; return 1; }
	echo "$now"
}
resident_kib() { awk '/^VmRSS/ { print $2 }' "/proc/$TAS_PID/status"; }

usage_remember() {
	local last=
	# Settled: two looks alike.
	settled() {
		local now
		now=$(usage_now) || return 1
		[ "$now" = "$last" ] || { last=$now; sleep 0.3; return 1; }
	}
	wait_for 60 "tas to settle" settled
	USAGE=$last
	USAGE_KIB=$(resident_kib)
	say "before: $USAGE resident=$USAGE_KIB KiB"
}

# no_more BEFORE NOW: no figure of NOW ("name=count ...") is larger than in BEFORE.
no_more() {
	awk -v before="$1" -v now="$2" 'BEGIN {
		n = split(before, b, /[ =]/); split(now, a, /[ =]/)
		for (i = 2; i <= n; i += 2) if (a[i] + 0 > b[i] + 0) exit 1
	}'
}

# usage_same [KIB]: nothing has grown since usage_remember, resident memory by no more than KIB (default 16 MiB).
usage_same() {
	local kib now i same=
	for ((i = 0; i < 300; i++)); do
		# Once a round: the connection of the tasctl before may still be closing.
		if now=$(usage_now) && no_more "$USAGE" "$now"; then
			same=yes
			break
		fi
		sleep 0.2
	done
	[ -n "$same" ] || fail "grown: $USAGE before, now ${now:-unknown}"
	kib=$(resident_kib)
	# AddressSanitizer keeps freed memory for a while.
	grep -q libasan "/proc/$TAS_PID/maps" || [ $((kib - USAGE_KIB)) -le "${1:-16384}" ] || fail "resident memory grew from $USAGE_KIB to $kib KiB"
	say "after: no more than before, resident=$kib KiB"
}
