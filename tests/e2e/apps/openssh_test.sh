#!/bin/bash
# OpenSSH: sshd under tas with its re-exec, its unprivileged child and a process for each connection: scp both ways (sftp and its old protocol), one and eight at
# once, a command with its standard streams; then the clients under tas and sshd on the kernel. SHA-256.
. "$(dirname "$0")/../../lib/e2e.sh"
. "$LIB/apps.sh"
watchdog 140

www 100 1000000 4000000
tas_up
program sshd
SSHD=("${PROGRAM[@]: -1}")
[ -x /usr/lib/openssh/sftp-server ] && SFTP=/usr/lib/openssh/sftp-server || SFTP=$SERVERS/usr/lib/openssh/sftp-server
program scp
SCP=("${PROGRAM[@]}" -q)
program ssh
SSH=("${PROGRAM[@]}")
SSH_PROGRAM=${SSH[-1]}
program ssh-keygen
for key in host user; do
	within 30 "${PROGRAM[@]}" -q -t ed25519 -N '' -f "$T/$key" || fail "ssh-keygen ended with $?"
done
# The test's own user and folders, in a mount namespace: sshd wants a user for its unprivileged child, and root needs a password entry.
grep -v '^sshd:' /etc/passwd >"$T/passwd"
echo 'sshd:x:64999:65534::/run/sshd:/usr/sbin/nologin' >>"$T/passwd"
cp "$T/user.pub" "$T/authorized"
cat >"$T/sshd_config" <<-CONF
	HostKey $T/host
	AuthorizedKeysFile $T/authorized
	StrictModes no
	UsePAM no
	PermitRootLogin prohibit-password
	PasswordAuthentication no
	UseDNS no
	PidFile none
	MaxStartups 100
	Subsystem sftp $SFTP
CONF
cat >"$T/ssh_config" <<-CONF
	IdentityFile $T/user
	IdentitiesOnly yes
	UserKnownHostsFile $T/known
	StrictHostKeyChecking accept-new
	BatchMode yes
	ConnectTimeout 20
	User root
	Port 2222
CONF
OPTIONS=(-F "$T/ssh_config")
chmod 600 "$T/user" "$T/host"

server() { # server NAME ADDRESS PREFIX...: a prefix begins with ip netns exec NAMESPACE
	local name=$1 address=$2 mounts
	shift 2
	mounts="mount --bind '$T/passwd' /etc/passwd && mount -t tmpfs none /run && mkdir -m 755 /run/sshd"
	spawn "$name" "${@:1:4}" unshare -m sh -c "$mounts && exec \"\$@\"" sh "${@:5}" \
		env LD_LIBRARY_PATH="$SERVER_LIBS" "${SSHD[@]}" -D -e -f "$T/sshd_config" -o ListenAddress="$address:2222"
	SERVER=$PID
	serving "$address" 2222 "$SERVER"
}

copies() { # copies ADDRESS N PREFIX...: N at once, there and back, there over sftp, back by the old protocol
	local address=$1 n=$2 i pids=()
	shift 2
	for ((i = 0; i < n; i++)); do
		spawn "there-$i" "$@" "${SCP[@]}" "${OPTIONS[@]}" -S "$SSH_PROGRAM" "$T/www/4000000" "$address:$T/there-$i"
		pids+=("$PID")
	done
	for i in "${!pids[@]}"; do
		finish "${pids[i]}" 60 || fail "scp to $address: status $?"
		same_file "$T/www/4000000" "$T/there-$i"
	done
	pids=()
	for ((i = 0; i < n; i++)); do
		spawn "back-$i" "$@" "${SCP[@]}" -O "${OPTIONS[@]}" -S "$SSH_PROGRAM" "$address:$T/there-$i" "$T/back-$i"
		pids+=("$PID")
	done
	for i in "${!pids[@]}"; do
		finish "${pids[i]}" 60 || fail "scp from $address: status $?"
		same_file "$T/www/4000000" "$T/back-$i"
	done
	rm -f "$T"/there-* "$T"/back-*
}

check() { # check ADDRESS PREFIX...
	local address=$1 got
	shift
	got=$(within 30 "$@" "${SSH[@]}" "${OPTIONS[@]}" "$address" 'sha256sum | cut -c1-64; exit 7' <"$T/www/1000000") && fail "the status was lost" ||
		[ $? = 7 ] || fail "ssh: another status than the command's"
	[ "$got" = "$(sha_of "$T/www/1000000")" ] || fail "what the command read has another SHA-256"
	copies "$address" 1 "$@"
	copies "$address" 8 "$@"
	say "$address: a command, scp there and back"
}

server sshd-on-tas $TAS_IP "${TAS[@]}"
check $TAS_IP "${KERNEL[@]}"
stopped "$SERVER"
server sshd-on-kernel $PEER_IP "${KERNEL[@]}"
check $PEER_IP "${TAS[@]}"
stopped "$SERVER"
apps_down
