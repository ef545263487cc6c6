#!/bin/bash
# lighttpd under tas, with each of its event handlers and with worker processes: files, bodies to a CGI program and back, a proxied upstream on the
# kernel. Every byte compared.
. "$(dirname "$0")/../../lib/e2e.sh"
. "$LIB/apps.sh"
watchdog 120

www 100000
mkdir "$T/cgi"
printf '#!/bin/sh\nprintf "Content-Type: application/octet-stream\\r\\n\\r\\n"\nexec cat\n' >"$T/cgi/echo"
chmod 755 "$T/cgi/echo"
mkdir -m 777 "$T/www/put"
tas_up
nginx_conf peer $PEER_IP:8080 "location /put/ { dav_methods PUT; }"
nginx_run peer "${KERNEL[@]}"
program lighttpd
MODULES=$SERVERS/usr/lib/lighttpd
[ -d "$MODULES" ] || MODULES=/usr/lib/lighttpd

lighttpd_conf() { # lighttpd_conf EVENT-HANDLER WORKERS NETWORK-BACKEND
	mkdir -p -m 777 "$T/uploads" "$T/lighttpd-$1"
	cat >"$T/lighttpd-$1.conf" <<-CONF
		server.modules = ("mod_alias", "mod_cgi", "mod_proxy")
		server.bind = "$TAS_IP"
		server.port = 80
		server.document-root = "$T/www"
		server.username = "nobody"
		server.groupname = "nogroup"
		server.event-handler = "$1"
		server.network-backend = "$3"
		server.max-worker = $2
		server.max-fds = 1024
		server.errorlog = "$T/lighttpd-$1/error.log"
		server.upload-dirs = ("$T/uploads")
		alias.url = ("/echo" => "$T/cgi/echo")
		\$HTTP["url"] =~ "^/echo" { cgi.assign = ("" => "") }
		\$SERVER["socket"] == "$TAS_IP:81" { proxy.server = ("" => (("host" => "$PEER_IP", "port" => 8080))) }
	CONF
}

check() { # check EVENT-HANDLER WORKERS NETWORK-BACKEND
	lighttpd_conf "$@"
	program lighttpd
	spawn lighttpd-$1 "${TAS[@]}" "${PROGRAM[@]}" -D -f "$T/lighttpd-$1.conf" -m "$MODULES"
	serving $TAS_IP 80 "$PID"
	http_both_ways $TAS_IP 80 post "${KERNEL[@]}"
	http_both_ways $TAS_IP 81 put "${KERNEL[@]}"
	stopped "$PID"
	say "$*: ok"
}

check linux-sysepoll 0 sendfile
check poll 0 writev
check select 2 write
NS_T=$NS_K nginx_stop peer
apps_down
