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
