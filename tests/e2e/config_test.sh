#!/bin/bash
# tas -n: good files pass in silence or with a word, bad ones are refused at their line; what only shows at start is refused there.
. "$(dirname "$0")/../lib/e2e.sh"
tas_only
built
watchdog 140

netns_add t
NS_T=$NS
CHECK=(ip netns exec "$NS_T" "$TAS_BUILD/bin/tas" -n --config)

good() { # good NAME TEXT
	echo "$2" >"$T/$1.conf"
	within 20 "${CHECK[@]}" "$T/$1.conf" >"$T/out" 2>&1 || fail "$1 was refused: $(cat "$T/out")"
}

bad() { # bad NAME LINE TEXT: refused with FILE:LINE in the first line of the answer
	echo "$3" >"$T/$1.conf"
	! within 20 "${CHECK[@]}" "$T/$1.conf" >"$T/out" 2>&1 || fail "$1 was accepted"
	head -n 1 "$T/out" | grep -qF "$T/$1.conf:$2:" || fail "$1: no mention of line $2: $(cat "$T/out")"
}

OK='addresses = [ "10.99.0.2/24" ];'
good smallest "$OK"
good full "$(tas_conf)"
good commented "# a comment
$OK
// another
cores = 1;"
[ ! -e "$TAS_SRC/etc/tas.conf" ] || within 20 "${CHECK[@]}" "$TAS_SRC/etc/tas.conf" >"$T/out" 2>&1 ||
	fail "etc/tas.conf is refused: $(cat "$T/out")"

# What is good elsewhere and not here is said, and is no fault of the file.
good elsewhere "$OK
socket_group = \"no-such-group\";
drop_user = \"no-such-user\";
local_ports = \"1024-65535\";
socket = \"$T/absent/tas.sock\";
cpus = [ \"4000\" ];"
for what in no-such-group no-such-user "$T/absent" 4000 overlaps; do
	grep -q "not here and now.*$what" "$T/out" || fail "$what is not said: $(cat "$T/out")"
done
[ "$(grep -c "$T/absent" "$T/out")" = 1 ] || fail "the folder is said twice: $(cat "$T/out")"
good no-device "$OK
port = \"dpdk:00ff:3f:1e.7\";"
grep -q 'not here and now.*no PCI device 00ff:3f:1e.7' "$T/out" || fail "the PCI device is not said: $(cat "$T/out")"
good unreached "$OK"
grep -q 'no tap_address' "$T/out" || fail "that nobody can reach it is not said: $(cat "$T/out")"
ip -n "$NS_T" addr add "$TAS_IP/32" dev lo
good taken "$(tas_conf)"
grep -q "not here and now.*on lo.*address=$TAS_IP" "$T/out" || fail "the kernel's address is not said: $(cat "$T/out")"
ip -n "$NS_T" addr del "$TAS_IP/32" dev lo
# What the kernel has on the tap itself is in order, under a label too.
ip -n "$NS_T" tuntap add dev tas0 mode tap
ip -n "$NS_T" addr add "$PEER_IP/24" dev tas0 label tas0:mine
good labelled "$(tas_conf)"
! grep -q 'here and now' "$T/out" || fail "an address of the tap's own: $(cat "$T/out")"
good labelled-only "$OK"
! grep -q 'here and now.*tap_address' "$T/out" || fail "an address of the tap's own: $(cat "$T/out")"
ip -n "$NS_T" tuntap del dev tas0 mode tap
bad apart 2 "$OK
tap_address = \"10.98.0.1/24\";"

bad unknown 3 "$OK

adresses = [ \"10.0.0.1/24\" ];"
bad syntax 2 "$OK
cores = = 2;"
bad type 2 "$OK
cores = \"two\";"
bad range 2 "$OK
cores = 4000;"
bad negative 3 "$OK
# a comment
max_flows = -1;"
bad prefix 1 'addresses = [ "10.99.0.2/33" ];'
bad address 2 'cores = 1;
addresses = [ "10.99.0.two/24" ];'
bad loopback 1 'addresses = [ "127.0.0.1/8" ];'
# In a list the line is the option's own; the entry is quoted.
bad entry 1 'addresses = [
	"10.99.0.2/24",
	"10.99.0/24x" ];'
grep -qF '"10.99.0/24x"' "$T/out" || fail "the entry is not named: $(cat "$T/out")"
# Every line that is wrong is named, unless the language itself is.
bad first 2 "$OK
coers = 1;
max_flows = 5;
mtu = 1500;
cc = 7;"
for line in 3 5; do
	grep -qF "tas: $T/first.conf:$line:" "$T/out" || fail "line $line is not named: $(cat "$T/out")"
done
[ "$(wc -l <"$T/out")" = 3 ] || fail "not three lines: $(cat "$T/out")"
bad large 2 "$OK
max_flows = 2147483649;"
grep -q 'too large' "$T/out" || fail "a number that is too large: $(cat "$T/out")"
bad ipv6 1 'addresses = [ "fd00::2/64" ];'
grep -q 'IPv6 is not served' "$T/out" || fail "an IPv6 address: $(cat "$T/out")"
bad twice 2 "$OK
$OK"
grep -q 'set once' "$T/out" || fail "an option set twice: $(cat "$T/out")"
! within 20 "$TAS_BUILD/bin/tas" >"$T/out" 2>&1 && grep -q 'tas -c /etc/tas.conf' "$T/out" || fail "without -c: $(cat "$T/out")"
bad cc 2 "$OK
cc = \"vegetarian\";"
bad ports 2 "$OK
local_ports = \"65000-61000\";"
bad level 2 "$OK
log_level = \"shout\";"
bad mode 2 "$OK
socket_mode = \"999\";"

! within 20 "${CHECK[@]}" "$T" >"$T/out" 2>&1 || fail "a folder was accepted"
! grep -q Success "$T/out" || fail "a folder: $(cat "$T/out")"
echo 'cores = 1;
nonsense = 1;' >"$T/included.conf"
echo "$OK
@include \"$T/included.conf\"" >"$T/including.conf"
! within 20 "${CHECK[@]}" "$T/including.conf" >"$T/out" 2>&1 || fail "nonsense in an included file was accepted"
grep -qF "$T/included.conf:2:" "$T/out" || fail "an included file: $(cat "$T/out")"
! within 20 "${CHECK[@]}" "$T/absent.conf" >"$T/out" 2>&1 || fail "an absent file was accepted"
grep -qF "$T/absent.conf" "$T/out" || fail "an absent file: $(cat "$T/out")"

refused() { # refused WHAT CONFIG: at start, with a sentence and without staying
	tas_conf "$2" >"$T/refused.conf"
	local status=0
	within 30 ip netns exec "$NS_T" "$TAS_BUILD/bin/tas" --config "$T/refused.conf" >"$T/out" 2>&1 || status=$?
	[ $status -ne 0 ] && [ -s "$T/out" ] || fail "$1: status $status, said: $(cat "$T/out")"
	[ $status -lt 126 ] || fail "$1: ended by a signal, $status"
}
refused "ports that the kernel also gives out" 'local_ports = "40000-65000";'
refused "a device that cannot be" 'port = "tap:a-name-longer-than-any-interface";'
# A priority stands before lines for the journal only, not for whoever inherited its variable.
JOURNAL_STREAM=1:1 refused "a CPU that is not there" 'cpus = [ "4000" ];'
! grep -q '^<' "$T/out" || fail "priorities outside the journal: $(cat "$T/out")"
refused "a CPU that is not there" 'cpus = [ "4000" ];'
grep -q 'cpu=4000' "$T/out" || fail "the CPU is not named: $(cat "$T/out")"
grep -qE '^[0-9]{4}-[0-9]{2}-[0-9]{2} [0-9:]{8}\.[0-9]{3} error start: ' "$T/out" || fail "no time and level in a file: $(cat "$T/out")"
piped=$(within 30 ip netns exec "$NS_T" "$TAS_BUILD/bin/tas" --config "$T/refused.conf" 2>&1 | cat) || :
grep -qE '^[0-9]{4}-[0-9]{2}-[0-9]{2} [0-9:]{8}\.[0-9]{3} error start: ' <<<"$piped" || fail "no time and level in a pipe: $piped"
refused "a group that is not there" 'socket_group = "no-such-group";'
grep -q 'no-such-group' "$T/out" || fail "the group is not named: $(cat "$T/out")"
refused "a PCI device that is not there" 'port = "dpdk:00ff:3f:1e.7";
tap_address = "";'
grep -q 'no PCI device 00ff:3f:1e.7' "$T/out" || fail "the device is not named: $(cat "$T/out")"
ip -n "$NS_T" link add tas0 type veth peer name other0
refused "an interface that is there already" ""
[ "$(grep -c . "$T/out")" = 1 ] && grep -q 'exists already (another tas?)' "$T/out" || fail "not one line: $(cat "$T/out")"
ip -n "$NS_T" link del tas0
echo precious >"$T/file"
refused "a file in the place of the control socket" "ctl_socket = \"$T/file\";"
[ "$(cat "$T/file")" = precious ] || fail "the file is gone"
ip -n "$NS_T" addr add "$TAS_IP/32" dev lo
refused "an address that the kernel has" ""
ip -n "$NS_T" addr del "$TAS_IP/32" dev lo
refused "a folder that is not there" "socket = \"$T/absent/tas.sock\";"
grep -q 'folder does not exist' "$T/out" || fail "the folder is not named: $(cat "$T/out")"
# Without the right to make a tap: one line, with the remedy.
tas_conf >"$T/plain.conf"
chmod 755 "$T"
! within 30 ip netns exec "$NS_T" setpriv --reuid=65534 --regid=65534 --clear-groups "$TAS_BUILD/bin/tas" -c"$T/plain.conf" >"$T/out" 2>&1 ||
	fail "it started without rights"
[ "$(wc -l <"$T/out")" = 1 ] && grep -q 'needs root, or CAP_NET_ADMIN' "$T/out" || fail "without rights: $(cat "$T/out")"

# One service per socket; a file left by a dead one is no hindrance.
"$PYTHON" -c "import socket; socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET).bind('$SOCKET')"
tas_start
good running "$(tas_conf)" # a file may be checked while its service runs
! grep -q 'here and now' "$T/out" || fail "the running service's own tap is held against it: $(cat "$T/out")"
refused "a second service on the same socket" 'port = "tap:tas1";'
grep -q 'another service answers there' "$T/out" || fail "the other service is not named: $(cat "$T/out")"
OTHER="socket = \"$T/other.sock\";
ctl_socket = \"$T/other-ctl.sock\";
port = \"tap:tas1\";"
refused "a second service with the first one's tap_address" "$OTHER
addresses = [ \"10.99.0.3/24\" ];"
grep -q "tap_address on another interface, on tas0.*address=$PEER_IP" "$T/out" || fail "the other tap is not named: $(cat "$T/out")"
good overlap "$(tas_conf "$OTHER
addresses = [ \"10.99.0.3/24\" ];
tap_address = \"10.99.0.4/24\";")"
grep -q 'route for the network of tap_address to tas0' "$T/out" || fail "the other route is not said: $(cat "$T/out")"
alive "$TAS_PID" && tas_ready >/dev/null || fail "the second service harmed the first"
tas_stop
[[ $(tail -n 1 "$T/tas-$TAS_STARTS.log") == *" info tas: stopped" ]] || fail "the last line: $(tail -n 1 "$T/tas-$TAS_STARTS.log")"
say ok
