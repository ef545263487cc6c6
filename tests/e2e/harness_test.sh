#!/bin/bash
# The harness itself: a scenario that fails, hangs, is interrupted or killed says so, and leaves no process, namespace or file.
. "$(dirname "$0")/../lib/e2e.sh"
watchdog 120

# A small scenario: a program in a namespace that ignores TERM, and then what the case is about.
scenario() { # scenario NAME LINES
	mkdir -p "$T/tmp"
	cat >"$T/$1.sh" <<-SCENARIO
		. "$LIB/e2e.sh"
		netns_add x
		spawn stubborn ip netns exec "\$NS" "$PYTHON" -c "
		import signal, time
		signal.signal(signal.SIGTERM, signal.SIG_IGN)
		print('ready', flush=True)
		time.sleep(300)"
		wait_for 10 "the program" grep -q ready "\$T/stubborn.log"
		echo "\$PID \$NS \$T" >"$T/$1.made"
		$2
	SCENARIO
}

left() { # left NAME: what the scenario should have removed and did not
	local pid ns dir
	read -r pid ns dir <"$T/$1.made"
	! alive "$pid" || echo "process $pid"
	[ ! -e "/run/netns/$ns" ] || echo "namespace $ns"
	[ ! -e "$dir" ] || echo "$dir"
}

ends() { # ends NAME STATUS PATTERN: run to its end
	local status=0
	timeout -k 5 60 bash "$T/$1.sh" >"$T/$1.out" 2>&1 </dev/null || status=$?
	[ $status = "$2" ] || fail "$1: status $status instead of $2: $(cat "$T/$1.out")"
	grep -q "$3" "$T/$1.out" || fail "$1: no '$3' in: $(cat "$T/$1.out")"
	[ -z "$(left "$1")" ] || fail "$1 left: $(left "$1")"
}

scenario succeeds 'say fine'
ends succeeds 0 fine
scenario skips 'skip because'
ends skips 77 'skipped: because'
scenario fails 'fail on purpose'
ends fails 1 'FAILED: on purpose'
scenario command_fails 'false; say "not reached"'
ends command_fails 1 'status 1: false'
scenario waits 'wait_for 1 "the impossible" false'
ends waits 1 'waited 1 s for the impossible'
scenario hangs 'within 1 sleep 100'
ends hangs 1 'still running after 1 s'
scenario overstays 'watchdog 2; sleep 3; within 100 sleep 99'
ends overstays 143 'longer than 2 s'
scenario differs 'echo a >"$T/a"; echo b >"$T/b"; same_file "$T/a" "$T/b"'
ends differs 1 'differ'

signalled() { # signalled NAME SIGNAL STATUS
	local script status=0
	scenario "$1" 'within 100 sleep 99'
	# A background command of a script ignores SIGINT, which cannot be undone in bash: so through Python.
	"$PYTHON" -c "import os, signal, sys
signal.signal(signal.SIGINT, signal.SIG_DFL)
os.execvp('bash', ['bash', sys.argv[1]])" "$T/$1.sh" >"$T/$1.out" 2>&1 &
	script=$!
	wait_for 20 "$1 to begin" test -s "$T/$1.made"
	kill "-$2" "$script"
	wait "$script" || status=$?
	[ $status = "$3" ] || fail "$1: status $status instead of $3: $(cat "$T/$1.out")"
}
signalled interrupted INT 130
[ -z "$(left interrupted)" ] || fail "interrupted left: $(left interrupted)"
signalled terminated TERM 143
[ -z "$(left terminated)" ] || fail "terminated left: $(left terminated)"

# Killed, it cannot clean up: the next one sweeps its namespace and what ran there.
signalled killed KILL 137
[ -n "$(left killed)" ] || fail "nothing was left by a killed scenario: this case tests nothing"
ends succeeds 0 fine
left killed | grep -qE 'process|namespace' && fail "the sweep left: $(left killed)"
rm -rf "$(cut -d' ' -f3 "$T/killed.made")"
say ok
