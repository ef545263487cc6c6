#!/bin/bash
# nginx under tas, curl on the kernel: files around the segment and chunk sizes, up to 64 MiB, compared by SHA-256; ranges too.
. "$(dirname "$0")/../lib/e2e.sh"
watchdog 240

SIZES=(0 1 1447 1448 1449 65537 1048576 67108864)
www "${SIZES[@]}"
tas_up
nginx_conf main $TAS_IP:80
nginx_run main "${TAS[@]}"

for size in "${SIZES[@]}"; do
	fetch http://$TAS_IP/$size "$T/got" "$(sha_of "$T/www/$size")"
	say "$size bytes"
done

# All on one connection, which keep-alive makes the common case.
urls=()
for size in "${SIZES[@]}"; do
	urls+=(-o "$T/keep-$size" "http://$TAS_IP/$size")
done
within 60 "${KERNEL[@]}" curl -sS --fail -w '%{num_connects}\n' "${urls[@]}" >"$T/connects"
[ "$(paste -sd+ "$T/connects" | tr -d '\n')" = 1+0+0+0+0+0+0+0 ] || fail "connections made: $(tr '\n' ' ' <"$T/connects")"
for size in "${SIZES[@]}"; do
	same_file "$T/www/$size" "$T/keep-$size"
done

within 30 "${KERNEL[@]}" curl -sS --fail -r 1000000-1048575 -o "$T/range" http://$TAS_IP/1048576
cmp <(tail -c +1000001 "$T/www/1048576") "$T/range" || fail "the range differs"

status=$(within 30 "${KERNEL[@]}" curl -sS -o /dev/null -w '%{http_code}' http://$TAS_IP/absent)
[ "$status" = 404 ] || fail "an absent file gave $status"
nginx_stop main
tas_down
