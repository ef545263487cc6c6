#!/bin/bash
# PostgreSQL under tas, a process for each connection: COPY in and out compared byte by byte, pgbench with 1 and with 64 connections, whose
# sums must agree; then the clients under tas and the server on the kernel.
. "$(dirname "$0")/../../lib/e2e.sh"
. "$LIB/apps.sh"
watchdog 140

BIN=$SERVERS/usr/lib/postgresql/15/bin
[ -d "$BIN" ] || BIN=/usr/lib/postgresql/15/bin
[ -x "$BIN/postgres" ] || fail "$BIN/postgres is not there: run tests/lib/setup.sh servers"
export LD_LIBRARY_PATH=$SERVER_LIBS
AS_NOBODY=(setpriv --reuid=nobody --regid=nogroup --clear-groups) # it refuses to run as root
tas_up 'socket_mode = "0666"'

mkdir -m 700 "$T/data"
mkdir -m 755 "$T/sockets"
chown nobody:nogroup "$T/data" "$T/sockets"
within 60 "${AS_NOBODY[@]}" "$BIN/initdb" -D "$T/data" -U test -A trust --no-sync -E UTF8 --locale=C >"$T/initdb.log" 2>&1 ||
	fail "initdb ended with $?"
echo "host all all 10.99.0.0/24 trust" >>"$T/data/pg_hba.conf"
seq 1 300000 | sed 's/$/ some text that goes there and back/' >"$T/rows"

server() { # server NAME ADDRESS PREFIX...
	local name=$1 address=$2
	shift 2
	spawn "$name" "$@" "${AS_NOBODY[@]}" "$BIN/postgres" -D "$T/data" -c listen_addresses="$address" -c fsync=off \
		-c unix_socket_directories="$T/sockets" -c max_connections=100 -c logging_collector=off
	SERVER=$PID
	serving "$address" 5432 "$SERVER"
	wait_for 30 "the database" "${KERNEL[@]}" "$BIN/pg_isready" -q -h "$address"
}

query() { # query ADDRESS SQL
	within 30 "${KERNEL[@]}" "$BIN/psql" -X -q -A -t -v ON_ERROR_STOP=1 -h "$1" -U test -d postgres -c "$2" || fail "psql: $2: status $?"
}

# Every transaction adds one delta to an account, a teller and a branch, and notes it: the four sums are one.
bench() { # bench ADDRESS PREFIX...
	local address=$1 clients sums
	shift
	within 60 "$@" "$BIN/pgbench" -q -i -s 1 -h "$address" -U test postgres >"$T/pgbench.log" 2>&1 || fail "pgbench -i ended with $?"
	for clients in 1 64; do
		within 60 "$@" "$BIN/pgbench" -n -c $clients -j 2 -t $((640 / clients)) -h "$address" -U test postgres >"$T/pgbench.log" 2>&1 ||
			fail "pgbench -c $clients ended with $?"
		grep -q "actually processed: 640/640" "$T/pgbench.log" || fail "pgbench -c $clients: $(cat "$T/pgbench.log")"
	done
	sums=$(query "$address" "select (select count(*) from pgbench_history), (select sum(delta) from pgbench_history) =
		all (array[(select sum(abalance) from pgbench_accounts), (select sum(tbalance) from pgbench_tellers),
		(select sum(bbalance) from pgbench_branches)])")
	[ "$sums" = "1280|t" ] || fail "transactions and whether their sums agree: $sums"
}

copy() { # copy ADDRESS PREFIX...
	local address=$1
	shift
	query "$address" "drop table if exists t; create table t (line text)"
	within 60 "$@" "$BIN/psql" -X -q -h "$address" -U test -d postgres -c "\\copy t from '$T/rows'" || fail "copy in: status $?"
	within 60 "$@" "$BIN/psql" -X -q -h "$address" -U test -d postgres -c "\\copy t to '$T/back'" || fail "copy out: status $?"
	same_file "$T/rows" "$T/back"
}

end() { # "fast": connections are ended
	kill -INT "$SERVER"
	finish "$SERVER" 30 || fail "the server ended with $?"
}

server on-tas $TAS_IP "${TAS[@]}"
bench $TAS_IP "${KERNEL[@]}"
copy $TAS_IP "${KERNEL[@]}"
say "server on tas: ok"
end
server on-kernel $PEER_IP "${KERNEL[@]}"
bench $PEER_IP "${TAS[@]}"
copy $PEER_IP "${TAS[@]}"
say "clients on tas: ok"
end
apps_down
