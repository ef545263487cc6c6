# servers.sh - the real programs: where they are (unpacked under build/servers, else the system's own) and how they are run.

SERVERS=${TAS_SERVERS:-$TAS_SRC/build/servers}/root
SERVER_LIBS=$SERVERS/usr/lib/$(uname -m)-linux-gnu

# program NAME: sets PROGRAM, a command line.
program() {
	local dir
	for dir in usr/sbin usr/bin; do
		if [ -x "$SERVERS/$dir/$1" ]; then
			PROGRAM=(env "LD_LIBRARY_PATH=$SERVER_LIBS" "$SERVERS/$dir/$1")
			return
		fi
	done
	PROGRAM=("$(PATH=$PATH:/usr/sbin command -v "$1")") || fail "$1 is not there: run tests/lib/setup.sh servers"
}

# www SIZE...: files of $T/www named by their size, of random bytes.
www() {
	local size
	mkdir -p "$T/www"
	for size in "$@"; do
		head -c "$size" /dev/urandom >"$T/www/$size"
	done
	chmod -R a+rX "$T/www"
}

# nginx_conf NAME LISTEN [SERVER LINES] [HTTP LINES]: a folder of its own, two workers as an unprivileged user, daemon mode.
nginx_conf() {
	local dir=$T/nginx-$1
	mkdir -p "$dir/tmp" "$T/www"
	cat >"$dir/nginx.conf" <<-CONF
		user nobody nogroup;
		worker_processes ${NGINX_WORKERS:-2};
		pid $dir/nginx.pid;
		error_log $T/nginx-$1-error.log warn;
		worker_shutdown_timeout 60s;
		events { worker_connections 4096; }
		http {
			log_format worker '\$pid \$status';
			access_log $dir/access worker;
			default_type application/octet-stream;
			client_body_temp_path $dir/tmp/body;
			proxy_temp_path $dir/tmp/proxy;
			fastcgi_temp_path $dir/tmp/fastcgi;
			uwsgi_temp_path $dir/tmp/uwsgi;
			scgi_temp_path $dir/tmp/scgi;
			client_max_body_size 0;
			${4:-sendfile on; tcp_nopush on;}
			server { listen $2; root $T/www; ${3:-} }
		}
	CONF
}

# nginx_run NAME PREFIX...: started as a daemon under PREFIX (an array of tas.sh); returns when the master has its pid file.
nginx_run() {
	local dir=$T/nginx-$1
	program nginx
	NGINX=("${PROGRAM[@]}" -p "$dir" -c "$dir/nginx.conf" -e "$T/nginx-$1-error.log")
	shift
	within 30 "$@" "${NGINX[@]}" || fail "nginx did not start"
	wait_for 10 "nginx's pid file" test -s "$dir/nginx.pid"
	NGINX_PID=$(cat "$dir/nginx.pid")
}

# nginx_signal NAME quit|stop|reload: as an operator does, from a shell without tas.
nginx_signal() {
	program nginx
	within 30 ip netns exec "$NS_T" "${PROGRAM[@]}" -p "$T/nginx-$1" -c "$T/nginx-$1/nginx.conf" -e "$T/nginx-$1-error.log" \
		-s "$2"
}

nginx_stop() { # nginx_stop NAME: in good order; a master that stays is a failure
	local pid
	pid=$(cat "$T/nginx-$1/nginx.pid")
	nginx_signal "$1" quit
	wait_for 30 "nginx to quit" gone "$pid"
}

# wrk_run LOG ARGUMENTS...: by the kernel's side; fails on a single error.
wrk_run() {
	local log=$1
	shift
	program wrk
	within 120 "${KERNEL[@]}" "${PROGRAM[@]}" "$@" >"$log" || fail "wrk ended with $?"
	wrk_clean "$log"
}

wrk_clean() {
	grep -q 'requests in' "$1" || fail "wrk says nothing: $(cat "$1")"
	! grep -E 'Socket errors|Non-2xx' "$1" >&2 || fail "wrk saw errors"
	[ "$(awk '/requests in/ { print $1 }' "$1")" -gt 0 ] || fail "wrk made no request"
}

# load_counts NAME: what http_load has said, spawned under that name: sets REPORT, OKAY, CLOSED and FAILED.
load_counts() {
	REPORT=$(grep '^{' "$T/$1.log") || fail "http_load says nothing"
	read -r OKAY CLOSED FAILED < <("$PYTHON" -c 'import json, sys
d = json.loads(sys.argv[1])
print(d["ok"], d["closed"], sum(d[k] for k in ("refused", "connect_other", "reset", "empty", "short", "wrong", "stuck")))' "$REPORT")
}

# fetch URL FILE SHA256: by curl on the kernel's side.
fetch() {
	within "${FETCH_LIMIT:-60}" "${KERNEL[@]}" curl -sS --fail -o "$2" "$1" || fail "curl $1: status $?"
	sha_is "$2" "$3"
}

sha_of() { sha256sum "$1" | cut -d' ' -f1; }
sha_is() { [ "$(sha_of "$1")" = "$2" ] || fail "$1 has another SHA-256: $(stat -c %s "$1") bytes"; }

# go_build SOURCE OUTPUT: by Debian's Go (setup.sh go), with no network and without C: a static program.
go_build() {
	local go=$TAS_SRC/build/go/root/usr/lib/go-1.19
	[ -x "$go/bin/go" ] || fail "Go is not there: run tests/lib/setup.sh go"
	within 240 env GOROOT="$go" GOCACHE="$TAS_SRC/build/go/cache" GOPATH="$T/gopath" GOFLAGS=-mod=mod GOPROXY=off CGO_ENABLED=0 GOTOOLCHAIN=local \
		"$go/bin/go" build -o "$2" "$1" >"$T/go-build.log" 2>&1 || fail "go build: $(cat "$T/go-build.log")"
}
