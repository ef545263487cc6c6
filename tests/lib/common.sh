# common.sh - the ground every end-to-end script stands on: failing, skipping, waiting, and leaving nothing behind.
#
# Sourced first. Makes $T (a directory readable by all, removed at the end; kept with TAS_KEEP=1). Whatever ends the script -
# success, failure, Ctrl-C, TERM, the watchdog - `cleanup` runs once: it ends the processes that were spawned, by pid, runs the
# hooks of at_exit in reverse order, and removes $T.
set -Eeuo pipefail

SELF=$(basename "$0" .sh)
TAS_SRC=${TAS_SRC:-$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)}
TAS_BUILD=${TAS_BUILD:-$TAS_SRC/build}
TAS_LONG=${TAS_LONG:-}
PYTHON=/usr/bin/python3
BASELINE=${TAS_BASELINE:-} # "kernel": the same scenario over the kernel's TCP, to prove the scenario itself
[ -z "$BASELINE" ] || [ "$BASELINE" = kernel ] || { echo "TAS_BASELINE=$BASELINE: only 'kernel' is known" >&2; exit 2; }

T=$(mktemp -d "${TMPDIR:-/tmp}/tas-e2e.XXXXXX")
chmod 755 "$T"
SPAWNED=()
HOOKS=()
FOREGROUND=
CLEANED=

say() { echo "$SELF: $*"; }
fail() { echo "$SELF: FAILED: $*" >&2; exit 1; }
skip() { echo "$SELF: skipped: $*"; exit 77; }

at_exit() { HOOKS+=("$1"); }

# The last lines of every log, so that a failure in CI explains itself.
show_logs() {
	local log
	for log in "$T"/*.log; do
		[ -s "$log" ] || continue
		echo "--- $(basename "$log") (last 25 lines)" >&2
		tail -n 25 "$log" | cut -c1-400 >&2
	done
}

cleanup() {
	local status=$? i
	[ -z "$CLEANED" ] || return
	CLEANED=yes
	trap '' INT TERM HUP
	trap - ERR
	set +e
	case $status in
	0 | 77) ;;
	130) echo "$SELF: interrupted; cleaning up" >&2 ;;
	*) show_logs ;;
	esac
	[ -z "$FOREGROUND" ] || kill -TERM "$FOREGROUND" 2>/dev/null
	for ((i = ${#SPAWNED[@]} - 1; i >= 0; i--)); do
		kill -TERM "${SPAWNED[i]}" 2>/dev/null
		kill -CONT "${SPAWNED[i]}" 2>/dev/null
	done
	for ((i = ${#HOOKS[@]} - 1; i >= 0; i--)); do
		${HOOKS[i]}
	done
	for i in "${SPAWNED[@]}"; do
		kill -KILL "$i" 2>/dev/null
	done
	wait 2>/dev/null
	if [ -n "${TAS_KEEP:-}" ]; then
		echo "$SELF: kept $T" >&2
	else
		rm -rf "$T"
	fi
	exit $status
}
trap cleanup EXIT
trap 'exit 130' INT
trap 'exit 143' TERM HUP
trap 'echo "$SELF: ${BASH_SOURCE[0]##*/}:$LINENO: status $?: $BASH_COMMAND" >&2' ERR

# spawn NAME COMMAND...: in the background, output to $T/NAME.log; PID is the program itself as long as COMMAND execs it.
spawn() {
	local name=$1
	shift
	: >"$T/$name.log" # before the fork: nobody may read what an earlier program of this name said
	"$@" >>"$T/$name.log" 2>&1 </dev/null &
	PID=$!
	SPAWNED+=("$PID")
}

alive() { kill -0 "$1" 2>/dev/null && [ "$(cut -d' ' -f3 "/proc/$1/stat" 2>/dev/null)" != Z ]; }
gone() { ! alive "$1"; }

# finish PID SECONDS: wait for a spawned process, return its status; one that does not end is a hang and fails the test.
finish() {
	wait_for "$2" "process $1 to end" gone "$1"
	local status=0
	wait "$1" || status=$?
	return $status
}

# wait_for SECONDS WHAT COMMAND...: until COMMAND succeeds. The limit only detects a hang.
wait_for() {
	local limit=$1 what=$2 end
	shift 2
	end=$((SECONDS + limit))
	until "$@" >/dev/null 2>&1; do
		[ $SECONDS -lt $end ] || fail "waited $limit s for $what"
		sleep 0.05
	done
}

# within SECONDS COMMAND...: a command that must end by itself; its status, or a failure of the test. Waited for in the background,
# so that a signal to this script is heeded at once.
within() {
	local status=0
	timeout -k 5 "$@" <&0 &
	FOREGROUND=$!
	wait "$FOREGROUND" || status=$?
	[ $status -ne 124 ] && [ $status -ne 137 ] || fail "still running after $1 s: ${*:2}"
	return $status
}

# watchdog SECONDS: ends this script in good order before the test driver would kill it without cleaning up. It sleeps in a
# builtin, so that nothing of it stays behind when it is ended.
watchdog() {
	local script=$$
	mkfifo "$T/watchdog"
	(
		read -r -t "$1" _ <>"$T/watchdog" || :
		echo "$SELF: FAILED: the whole scenario took longer than $1 s" >&2
		kill -TERM "$script"
		watchdog_hook
	) &
	SPAWNED+=("$!")
}
watchdog_hook() { :; }

same_file() { cmp -s "$1" "$2" || fail "$1 and $2 differ: $(stat -c %s "$1") and $(stat -c %s "$2") bytes"; }

need_root() { [ "$(id -u)" = 0 ] || fail "needs root (network namespaces and a tap)"; }
