#!/bin/bash
# Who may use the service is said by its socket's group and mode: a program of the group works without root, another does not.
. "$(dirname "$0")/../lib/e2e.sh"
tas_only
watchdog 100

www 100000
chmod 755 "$T"
tas_up 'socket_mode = "0660";
socket_group = "daemon";'
[ "$(stat -c '%a %G' "$SOCKET")" = "660 daemon" ] || fail "the socket is $(stat -c '%a %G' "$SOCKET")"
nginx_conf peer $PEER_IP:80
nginx_run peer "${KERNEL[@]}"

nobody() { # nobody GROUP_OPTION RUN_OPTION COMMAND...: as user nobody
	local group=$1 option=$2
	shift 2
	within 30 ip netns exec "$NS_T" setpriv --reuid=65534 --regid=65534 "$group" --no-new-privs \
		"$TAS_BUILD/bin/tas-run" -s "$SOCKET" $option -- "$@"
}

mkdir -m 777 "$T/out"
nobody --groups=daemon --require curl -sS --fail -o "$T/out/got" http://$PEER_IP/100000 || fail "a member of the group: status $?"
same_file "$T/out/got" "$T/www/100000"
used_tas

before=$(tas_json status 'counter("apps_joined")')
! nobody --clear-groups --require touch "$T/out/ran" 2>"$T/err" || fail "somebody outside the group was let in"
[ ! -e "$T/out/ran" ] || fail "--require ran the program all the same"
[ "$(wc -l <"$T/err")" = 1 ] && grep -q "not allowed to open $SOCKET (be root, or a member of its group)" "$T/err" ||
	fail "--require: $(cat "$T/err")"
! within 30 "$TAS_BUILD/bin/tas-run" -s "$CTL_SOCKET" --require -- true 2>"$T/err" || fail "the socket of tasctl was taken for the other"
grep -q "is not the registration socket" "$T/err" || fail "another socket: $(cat "$T/err")"
nobody --clear-groups "" curl -sS --fail -o "$T/out/got2" http://$PEER_IP/100000 2>"$T/err" || fail "outside the group, on the kernel: $?"
same_file "$T/out/got2" "$T/www/100000"
[ "$(tas_json status 'counter("apps_joined")')" = "$before" ] || fail "a program outside the group joined"
NS_T=$NS_K nginx_stop peer
tas_stop

# By user id, whatever the mode says.
tas_start 'socket_mode = "0666";
allow_uids = [ "0" ];'
! nobody --clear-groups --require touch "$T/out/ran" 2>"$T/err" || fail "a user not in allow_uids was let in"
grep -q "takes no program of this user now" "$T/err" || fail "allow_uids: $(cat "$T/err")"
wait_for 10 "the refusal to be counted" tas_json drops 'counter("refuse_peer") > 0'
tas_down
