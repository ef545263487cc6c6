# netns.sh - network namespaces with names of this script's own, and what to sweep when one before us was killed.
#
# A name is tas-e2e-PID-LABEL. Processes inside a namespace are this script's by construction, so they are ended by
# asking the namespace for its pids. Namespaces whose script is gone (SIGKILL) are swept by the next run.

NETNS_PREFIX=${NETNS_PREFIX:-tas-e2e}
NAMESPACES=()

netns_kill() { # netns_kill NAMESPACE: every process inside, by pid
	local pids tries
	for tries in 1 2 3 4 5 6 7 8 9 10; do
		pids=$(ip netns pids "$1" 2>/dev/null) || return 0
		[ -n "$pids" ] || return 0
		if [ "$tries" -lt 3 ]; then
			kill -TERM $pids 2>/dev/null
			kill -CONT $pids 2>/dev/null
		else
			kill -KILL $pids 2>/dev/null
		fi
		sleep 0.1
	done
}

netns_del() {
	netns_kill "$1"
	ip netns del "$1" 2>/dev/null
}

netns_sweep() {
	local ns pid
	for ns in $(ip netns list 2>/dev/null | cut -d' ' -f1); do
		[[ $ns =~ ^$NETNS_PREFIX-([0-9]+)- ]] || continue
		pid=${BASH_REMATCH[1]}
		[ -d "/proc/$pid" ] || netns_del "$ns"
	done
	return 0
}

netns_cleanup() {
	local ns
	for ns in "${NAMESPACES[@]}"; do
		netns_del "$ns"
	done
}

# netns_add LABEL: sets NS to the new namespace's name.
netns_add() {
	NS=$NETNS_PREFIX-$$-$1
	ip netns add "$NS" || fail "cannot make a network namespace"
	NAMESPACES+=("$NS")
	ip -n "$NS" link set lo up
	# No IPv6 chatter, and the same congestion control whatever the host's default is.
	ip netns exec "$NS" sysctl -qw net.ipv6.conf.all.disable_ipv6=1 net.ipv6.conf.default.disable_ipv6=1 || :
	ip netns exec "$NS" sysctl -qw net.ipv4.tcp_congestion_control=reno || :
}

# netns_veth NS1 DEV1 ADDR1 NS2 DEV2 ADDR2: a veth pair between two namespaces; an empty address leaves that end bare.
netns_veth() {
	ip link add "$2" netns "$1" type veth peer name "$5" netns "$4"
	[ -z "$3" ] || ip -n "$1" addr add "$3" dev "$2"
	[ -z "$6" ] || ip -n "$4" addr add "$6" dev "$5"
	ip -n "$1" link set "$2" up
	ip -n "$4" link set "$5" up
}

# A script that overstays is ended from outside; so is what it is waiting for.
watchdog_hook() {
	local ns
	for ns in "${NAMESPACES[@]}"; do
		netns_kill "$ns"
	done
}

need_root
netns_sweep
at_exit netns_cleanup
