#!/bin/bash
# tas-run without a service: one line, and the program runs on the kernel; --require refuses. Exit codes are env(1)'s.
. "$(dirname "$0")/../lib/e2e.sh"
tas_only
built
watchdog 100

www 5000
netns_add t
NS_T=$NS
LOCAL=(ip netns exec "$NS_T")
RUN=("${LOCAL[@]}" "$TAS_BUILD/bin/tas-run" -s "$T/nobody.sock")
nginx_conf main 127.0.0.1:80
nginx_run main "${LOCAL[@]}"

within 20 "${RUN[@]}" -- curl -sS --fail -o "$T/got" http://127.0.0.1/5000 2>"$T/err" || fail "status $?"
same_file "$T/got" "$T/www/5000"
[ "$(wc -l <"$T/err")" = 1 ] && grep -q "$T/nobody.sock" "$T/err" || fail "not one line that names the socket: $(cat "$T/err")"

# A server too: it listens on the kernel.
nginx_stop main
nginx_conf second 80
nginx_run second "${RUN[@]}" -- 2>/dev/null
within 20 "${LOCAL[@]}" curl -sS --fail -o "$T/got" http://127.0.0.1/5000 || fail "nginx under tas-run without a service: $?"
same_file "$T/got" "$T/www/5000"
nginx_stop second

status=0
within 20 "${RUN[@]}" --require -- touch "$T/ran" 2>"$T/err" || status=$?
[ $status -ne 0 ] && [ ! -e "$T/ran" ] || fail "--require ran the program, or said $status"
[ "$(wc -l <"$T/err")" = 1 ] || fail "--require: $(cat "$T/err")"

expect() { # expect STATUS COMMAND...
	local want=$1 got=0
	shift
	within 20 "$@" >"$T/out" 2>&1 || got=$?
	[ $got = "$want" ] || fail "status $got instead of $want: ${*: -3}"
}
expect 7 "${RUN[@]}" -- sh -c 'exit 7'
expect 127 "${RUN[@]}" -- "$T/absent"
touch "$T/plain"
expect 126 "${RUN[@]}" -- "$T/plain"
expect 0 "$TAS_BUILD/bin/tas-run" --version
expect 0 "$TAS_BUILD/bin/tas-run" --help
say ok
