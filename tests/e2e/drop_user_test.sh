#!/bin/bash
# drop_user: the service runs as that user with no capability left, and serves. At its end it removes its sockets where it may;
# where the folder is root's it says which ones stay, and they are no hindrance to the next start.
. "$(dirname "$0")/../lib/e2e.sh"
tas_only
watchdog 140
id nobody >/dev/null 2>&1 || skip "there is no user nobody"

stop() { # stop: as tas_stop, but for the sockets
	local pid=$TAS_PID
	kill -TERM "$pid"
	TAS_PID=
	finish "$pid" 30 || fail "tas ended with status $?"
	sanitizer_clean
	STOPPED_LOG=$T/tas-$TAS_STARTS.log
}
nothing_said() { ! grep 'cannot remove' "$STOPPED_LOG" || fail "$1: what is said"; }

www 100000
tas_up 'drop_user = "nobody";'
grep -q "^Uid:$(printf '\t%s' $(id -u nobody) $(id -u nobody) $(id -u nobody))" "/proc/$TAS_PID/status" || fail "it is still root"
grep -q '^CapEff:[[:space:]]*0*$' "/proc/$TAS_PID/status" || fail "it has kept $(grep CapEff "/proc/$TAS_PID/status")"
nginx_conf main $TAS_IP:80
nginx_run main "${TAS[@]}"
fetch http://$TAS_IP/100000 "$T/got" "$(sha_of "$T/www/100000")"
used_tas
nginx_stop main
stop
for path in "$SOCKET" "$CTL_SOCKET"; do
	[ -S "$path" ] || fail "$path is gone from a folder that is root's"
	grep -q "cannot remove.*next start.*path=$path " "$STOPPED_LOG" || fail "nothing said of $path: $(tail -4 "$STOPPED_LOG")"
done

# A folder that systemd made for the service, and takes away after it.
RUNTIME_DIRECTORY=/run/other:$T tas_start 'drop_user = "nobody";'
stop
nothing_said "systemd's folder"
RUNTIME_DIRECTORY=${T%??} tas_start 'drop_user = "nobody";'
stop
grep -q 'cannot remove' "$STOPPED_LOG" || fail "another folder of systemd's, whose name begins like ours"

# A folder of the user's own.
mkdir "$T/own"
chown nobody "$T/own"
chmod 711 "$T"
SOCKET=$T/own/tas.sock
CTL_SOCKET=$T/own/ctl.sock
CTL=("$TAS_BUILD/bin/tasctl" -s "$CTL_SOCKET")
tas_start 'drop_user = "nobody";'
stop
nothing_said "its own folder"
[ ! -e "$SOCKET" ] && [ ! -e "$CTL_SOCKET" ] || fail "sockets were left in the user's own folder"
say ok
