#!/bin/bash
# `make install` into a folder: everything an operator needs is there, and what is installed starts.
. "$(dirname "$0")/../lib/e2e.sh"
tas_only
built
watchdog 100

within 60 env DESTDIR="$T/root" cmake --install "$TAS_BUILD" >"$T/install.log" 2>&1 || fail "cmake --install: status $?"
found() { # found NAME: sets FOUND to the one file of that name
	FOUND=$(find "$T/root" -name "$1" -type f)
	[ -n "$FOUND" ] && [ "$(wc -l <<<"$FOUND")" = 1 ] || fail "not one $1 is installed: $FOUND"
}
for name in tas tas-run tas-trap tasctl libtas.so tas.conf tas.service nginx-tas.conf tas.8 tasctl.8 tas-run.1 tas.conf.5; do
	[ $name != tas.conf ] || continue
	found $name
done
! find "$T/root" -name '*test*' -o -name 'e2e_*' -o -name '*.a' | grep . || fail "what is the build's own is installed"
[ -n "$(find "$T/root" -path '*/etc/tas.conf')" ] || fail "etc/tas.conf is not installed"

# One place for the configuration, whatever names it: the unit, the manual, what is installed.
if [ -d "$T/root/usr/local" ]; then
	[ -e "$T/root/etc/tas.conf" ] || fail "tas.conf is not in /etc: $(find "$T/root" -name tas.conf)"
	found tas.service
	grep -q ' -c /etc/tas.conf$' "$FOUND" || fail "the unit reads another file: $(grep ExecStart "$FOUND")"
	found tas.8
	grep -q '/etc/tas.conf' "$FOUND" || fail "tas.8 names another file"
fi

# A program does not get its listeners back from a restarted service: nginx is restarted with it.
found nginx-tas.conf
grep -q '^PartOf=tas.service$' "$FOUND" || fail "nginx would stay without listeners when tas is restarted"

# The unit starts the file that was installed.
found tas.service
start=$(sed -n 's/^ExecStart=\([^ ]*\).*/\1/p' "$FOUND")
[ -x "$T/root$start" ] || fail "tas.service starts $start, which is not installed"
found tas
DAEMON=$FOUND
within 20 "$DAEMON" --version >"$T/out" || fail "tas --version: status $?"
within 20 "$DAEMON" -n --config "$(find "$T/root" -path '*/etc/tas.conf')" >"$T/out" 2>&1 || fail "the installed tas.conf is refused: $(cat "$T/out")"

# A configuration of the operator's is never overwritten.
conf=$(find "$T/root" -path '*/etc/tas.conf')
echo '# mine' >"$conf"
within 60 env DESTDIR="$T/root" cmake --install "$TAS_BUILD" >"$T/install.log" 2>&1 || fail "a second install: status $?"
[ "$(cat "$conf")" = '# mine' ] || fail "the operator's tas.conf was overwritten"

# No library of the programs' needs more than libc.
found libtas.so
needed=$(objdump -p "$FOUND" | awk '/NEEDED/ { print $2 }' | grep -vE '^(libc\.so\.6|ld-linux.*)$' || :)
[ -z "$needed" ] || fail "libtas.so needs $needed"

# What make does with it: builds no tests for an install, takes everything away again but the configuration.
MAKE=(env -u MAKEFLAGS make --no-print-directory -f "$TAS_SRC/Makefile" -C "$TAS_SRC" BUILD="$TAS_BUILD" DESTDIR="$T/root")
within 20 "${MAKE[@]}" -n install >"$T/out" 2>&1 || fail "make -n install: $(cat "$T/out")"
[ "$(grep -c -- '--build' "$T/out")" = "$(grep -c -- '--target product' "$T/out")" ] || fail "make install builds more than it installs: $(cat "$T/out")"
within 20 "${MAKE[@]}" uninstall >"$T/out" 2>&1 || fail "make uninstall: $(cat "$T/out")"
left=$(find "$T/root" ! -type d)
[ "$left" = "$conf" ] || fail "make uninstall left: $left"
[ "$(cat "$conf")" = '# mine' ] || fail "make uninstall touched the operator's tas.conf"
within 20 "${MAKE[@]}" uninstall >"$T/out" 2>&1 || fail "a second make uninstall: $(cat "$T/out")"

# Without root: said at once. GNU make leaves its copy of what it read from its standard input in TMPDIR.
chmod 711 "$T"
mkdir -m 1777 "$T/nobody"
for goal in demo test; do
	! (cd / && within 20 setpriv --reuid=65534 --regid=65534 --clear-groups env -u MAKEFLAGS TMPDIR="$T/nobody" make -n -f - $goal) <"$TAS_SRC/Makefile" >"$T/out" 2>&1 || fail "make $goal does not want root"
	grep -q "make $goal needs root" "$T/out" || fail "make $goal does not say that it needs root: $(cat "$T/out")"
done
say ok
