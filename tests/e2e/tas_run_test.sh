#!/bin/bash
# Where programs look for the service that tas-run was given: wherever they change to, and never at another one.
. "$(dirname "$0")/../lib/e2e.sh"
tas_only
watchdog 100

www 1000
tas_up
nginx_conf peer $PEER_IP:80
nginx_run peer "${KERNEL[@]}"
RUN=(ip netns exec "$NS_T" "$TAS_BUILD/bin/tas-run")
joined() { tas_json status 'counter("apps_joined")'; }
same_count() { [ "$(joined)" = "$1" ] || fail "$2"; }

# The shell changes its directory, the program it starts opens the socket.
cd "$(dirname "$SOCKET")"
in_root=(sh -c "cd / && exec curl -sS --fail -o '$T/got' http://$PEER_IP/1000")
name=$(basename "$SOCKET")
before=$(joined)
within 30 "${RUN[@]}" -s "$name" --require -- "${in_root[@]}" || fail "with -s $name: status $?"
same_file "$T/got" "$T/www/1000"
same_count $((before + 1)) "a relative -s was lost with the directory"
TAS_SOCKET=./$name within 30 "${RUN[@]}" --require -- "${in_root[@]}" || fail "with TAS_SOCKET=./$name: status $?"
same_count $((before + 2)) "a relative TAS_SOCKET was lost with the directory"
cd /

# Where a preloaded library does not reach, the program runs on the kernel's TCP, after one line; --require refuses.
unreached() { # unreached WHAT COMMAND...
	local status=0
	within 20 "${RUN[@]}" -s "$SOCKET" -- "${@:2}" >"$T/out" 2>"$T/err" || fail "$1: status $?"
	[ -s "$T/out" ] && [ "$(wc -l <"$T/err")" = 1 ] && grep -q "$1.*: using the kernel's TCP" "$T/err" ||
		fail "not one line that says \"$1\": $(cat "$T/err")"
	within 20 "${RUN[@]}" -s "$SOCKET" --require -- "${@:2}" >"$T/out" 2>"$T/err" || status=$?
	[ $status = 125 ] && [ ! -s "$T/out" ] && grep -q "$1.*: not running the command" "$T/err" ||
		fail "$1: --require: status $status: $(cat "$T/err")"
}
STATIC=/sbin/ldconfig # of libc-bin
! readelf -lW "$STATIC" | grep -q INTERP || fail "$STATIC is not static: choose another"
unreached "ldconfig is statically linked" "$STATIC" --version
PATH=$PATH:/sbin:/usr/sbin unreached "ldconfig is statically linked" ldconfig --version
printf '#!%s --version\n' "$STATIC" >"$T/inner"
printf '#! %s\n' "$T/inner" >"$T/outer"
chmod 755 "$T/inner" "$T/outer"
unreached "outer is statically linked" "$T/outer"
cp "$(command -v id)" "$T/other-user"
chown nobody "$T/other-user"
chmod 4755 "$T/other-user"
[[ ,$(findmnt -no OPTIONS -T "$T"), == *,nosuid,* ]] || unreached "other-user runs with other rights than yours" "$T/other-user"
for reached in "$(command -v id)" /lib64/ld-linux-x86-64.so.2; do
	[ ! -e "$reached" ] || within 20 "${RUN[@]}" -s "$SOCKET" --require -- "$reached" --version >"$T/out" 2>"$T/err" || fail "$reached: $(cat "$T/err")"
	[ ! -s "$T/err" ] || fail "$reached: $(cat "$T/err")"
done

# A path that cannot be one is not the default: here a service is there.
long=/$(printf 'x%.0s' {1..150})/tas.sock
at_default=(unshare -m sh -c "mount -t tmpfs none /run && mkdir /run/tas && ln -s '$SOCKET' /run/tas/tas.sock && exec \"\$@\"" sh)
within 30 ip netns exec "$NS_T" "${at_default[@]}" "$TAS_BUILD/bin/tas-run" --require -- curl -sS --fail -o "$T/got" http://$PEER_IP/1000 ||
	fail "the default: status $?"
same_count $((before + 3)) "the default does not lead to the service"
within 30 ip netns exec "$NS_T" "${at_default[@]}" "$TAS_BUILD/bin/tas-run" -s "$long" -- curl -sS --fail -o "$T/got" http://$PEER_IP/1000 2>"$T/err" ||
	fail "with a path that is too long: status $?"
grep -q "too long): using the kernel's TCP" "$T/err" || fail "not said: $(cat "$T/err")"
same_count $((before + 3)) "a path that is too long led to another service"
NS_T=$NS_K nginx_stop peer
tas_down
