#!/bin/bash
# Apache under tas with each of its three processing modules (prefork, worker, event): files, sendfile and mmap, bodies to a CGI program and
# back, TLS, a graceful restart under load, ab. Every byte compared.
. "$(dirname "$0")/../../lib/e2e.sh"
. "$LIB/apps.sh"
watchdog 140

www 100000 4000
certificate
mkdir "$T/cgi"
printf '#!/bin/sh\nprintf "Content-Type: application/octet-stream\\r\\n\\r\\n"\nexec cat\n' >"$T/cgi/echo"
chmod 755 "$T/cgi/echo"
tas_up
program apache2
MODULES=$SERVERS/usr/lib/apache2/modules
[ -d "$MODULES" ] || MODULES=/usr/lib/apache2/modules

# 64 threads each: a child without a free one closes kept connections, which is right but no answer.
apache_conf() { # apache_conf MODULE
	local dir=$T/apache-$1 module
	mkdir -p "$dir"
	{
		echo "ServerRoot $dir"
		for module in mpm_$1 authz_core alias env mime ssl socache_shmcb $([ $1 = prefork ] && echo cgi || echo cgid); do
			echo "LoadModule ${module}_module $MODULES/mod_$module.so"
		done
		cat <<-CONF
			ServerName tas.test
			User nobody
			Group nogroup
			PidFile $dir/pid
			ErrorLog $T/apache-$1-error.log
			LogLevel warn
			Mutex pthread
			TypesConfig /dev/null
			DefaultRuntimeDir $dir
			$([ $1 = prefork ] || echo "ScriptSock $dir/cgid.sock")
			StartServers 3
			$([ $1 = prefork ] && echo "MaxSpareServers 80" || echo "ThreadsPerChild 64")
			MaxRequestWorkers 256
			KeepAlive on
			KeepAliveTimeout 20
			EnableSendfile on
			Listen $TAS_IP:80
			Listen $TAS_IP:443
			DocumentRoot $T/www
			<Directory $T/www>
				Require all granted
			</Directory>
			ScriptAlias /echo $T/cgi/echo
			<Directory $T/cgi>
				Require all granted
			</Directory>
			<VirtualHost $TAS_IP:443>
				ServerName tas.test
				SSLEngine on
				SSLCertificateFile $T/cert.pem
				SSLCertificateKeyFile $T/key.pem
			</VirtualHost>
		CONF
	} >"$dir/conf"
}

graceful_under_load() {
	local load i
	spawn load "${KERNEL[@]}" "$(tool http_load)" $TAS_IP 80 /4000 "$T/www/4000" 4 3
	load=$PID
	for i in 1 2; do
		sleep 1
		kill -USR1 "$APACHE"
	done
	finish "$load" 30 || fail "the client ended with $?"
	say "graceful restarts: $(grep '^{' "$T/load.log")"
	! grep -E '"(refused|connect_other|short|wrong|stuck)": [1-9]' "$T/load.log" || fail "requests failed"
	grep -qE '"ok": [1-9]' "$T/load.log" || fail "no request succeeded"
}

for mpm in prefork worker event; do
	apache_conf $mpm
	program apache2 # which ends its process group with itself
	spawn apache-$mpm setsid "${TAS[@]}" "${PROGRAM[@]}" -f "$T/apache-$mpm/conf" -DFOREGROUND
	APACHE=$PID
	serving $TAS_IP 80 "$APACHE"
	http_both_ways $TAS_IP 80 post "${KERNEL[@]}"
	HTTP_CA=$T/cert.pem http_both_ways $TAS_IP 443 post "${KERNEL[@]}"
	program ab
	within 60 "${KERNEL[@]}" "${PROGRAM[@]}" -q -k -c 64 -n 3000 http://$TAS_IP/100000 >"$T/ab.log" || fail "ab ended with $?: $(cat "$T/ab.log")"
	grep -q 'Complete requests: *3000' "$T/ab.log" && grep -q 'Failed requests: *0' "$T/ab.log" || fail "ab: $(cat "$T/ab.log")"
	graceful_under_load
	stopped "$APACHE"
	say "$mpm: ok"
done
apps_down
