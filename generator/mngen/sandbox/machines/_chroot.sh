# Boots an emulated machine without an init: a chroot with an sshd, for a host on which systemd-nspawn
# cannot run. It does what cloud-init does on a first boot, starts sshd, and ends with whoever holds
# its standard input. The kernel then ends every process of the machine and takes its mounts away.
#
# Runs as process 1 of new mount, PID and UTS namespaces, in the machine's folder, where `lower0`,
# `lower1`, ... name the layers, topmost first, and `metadata` holds what cloud-init finds of the
# instance. Environment: LOWER (the layers' names), ADDRESS, PORT, HOST (the host's name), DOMAIN,
# FIRST (1 on the first boot), COMPLETE (said once the machine is up).
set -eu

overlay="lowerdir=$LOWER,upperdir=upper,workdir=work,redirect_dir=off,metacopy=off,index=off"
# A machine that crashes loses its disk: nothing has to be flushed when it is unmounted.
mount -t overlay overlay -o "$overlay,volatile" root ||
  mount -t overlay overlay -o "$overlay" root
cd root
mkdir -p proc sys dev run

mount -t proc -o nosuid,nodev,noexec proc proc
echo "$HOST" >/proc/sys/kernel/hostname
# The kernel is the host's: the machine may read its settings.
for each in sys sysrq-trigger; do
  [ -e "proc/$each" ] || continue
  mount --bind "proc/$each" "proc/$each"
  mount -o remount,bind,ro "proc/$each"
done
mount -t sysfs -o ro,nosuid,nodev,noexec sysfs sys

mount -t tmpfs -o mode=755,nosuid tmpfs dev
mknod -m 666 dev/null c 1 3
mknod -m 666 dev/zero c 1 5
mknod -m 666 dev/full c 1 7
mknod -m 666 dev/random c 1 8
mknod -m 666 dev/urandom c 1 9
mknod -m 666 dev/tty c 5 0
mkdir dev/pts dev/shm
mount -t devpts -o newinstance,ptmxmode=666,mode=620,gid=5,nosuid,noexec devpts dev/pts
mount -t tmpfs -o mode=1777,nosuid,nodev tmpfs dev/shm
ln -s pts/ptmx dev/ptmx
ln -s /proc/self/fd dev/fd
ln -s /proc/self/fd/0 dev/stdin
ln -s /proc/self/fd/1 dev/stdout
ln -s /proc/self/fd/2 dev/stderr

mount -t tmpfs -o mode=755,nosuid,nodev tmpfs run
mkdir run/sshd run/lock run/boot run/before run/cloud-init
KEY=$(cat ../metadata/key)
# Its own name has to resolve without a name server, and these files are none of the image's.
printf '127.0.0.1 localhost\n%s %s.%s %s\n' "$ADDRESS" "$HOST" "$DOMAIN" "$HOST" >run/hosts
printf 'nameserver 127.0.0.1\noptions timeout:1 attempts:1\n' >run/resolv.conf
for each in hosts resolv.conf; do
  [ -f "etc/$each" ] || continue
  mount --bind "run/$each" "etc/$each"
done

# What a script in user data can call to have the machine end later.
cat >run/boot/shutdown <<'EOF'
#!/bin/sh
for each; do
  case $each in +[0-9]*) minutes=${each#+} ;; esac
done
(
  sleep "$((${minutes:-0} * 60))"
  kill -TERM 1
) </dev/null >/dev/null 2>&1 &
EOF
chmod 755 run/boot/shutdown
# Without an init, systemctl has nobody to ask. What it writes at runtime would make the folder by
# which programs know that systemd runs the system. Source: sd_booted(3).
ln -s /bin/true run/boot/systemctl
cp ../metadata/user-data run/boot/user-data
chmod 700 run/boot/user-data

pivot_root . run/before
cd /
umount -l /run/before
rmdir /run/before
export HOME=/root PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin

# What systemd does with an image that has none.
[ -s /etc/machine-id ] || tr -d - </proc/sys/kernel/random/uuid >/etc/machine-id

authorize() { # home, owner, line
  [ -n "$3" ] && [ -d "$1" ] || return 0
  mkdir -p "$1/.ssh"
  grep -qxF -e "$3" "$1/.ssh/authorized_keys" 2>/dev/null ||
    printf '%s\n' "$3" >>"$1/.ssh/authorized_keys"
  chmod 700 "$1/.ssh"
  chmod 600 "$1/.ssh/authorized_keys"
  chown -R "$2" "$1/.ssh"
}

if [ "$FIRST" = 1 ]; then
  rm -f /etc/ssh/ssh_host_*
  authorize /home/ec2-user ec2-user:ec2-user "$KEY"
  authorize /root root:root "${KEY:+command=\"echo 'Please login as the user ec2-user'\" $KEY}"
fi
kinds="ecdsa ed25519"
# https://docs.aws.amazon.com/linux/al2023/ug/ssh-host-keys-disabled.html
grep -q ' 2023' /etc/system-release || kinds="rsa $kinds"
for kind in $kinds; do
  bits=
  # The default of OpenSSH 7.4, which Amazon Linux 2 has:
  # https://www.openssh.com/txt/release-8.0 raises it.
  [ "$kind" != rsa ] || bits=2048
  [ -e "/etc/ssh/ssh_host_${kind}_key" ] ||
    ssh-keygen -q -t "$kind" ${bits:+-b "$bits"} -N '' -f "/etc/ssh/ssh_host_${kind}_key"
done

trap 'exit 0' TERM
exec 3<&0
/usr/sbin/sshd -D -e -p "$PORT" -o "ListenAddress=$ADDRESS" -o UsePAM=no -o UseDNS=no \
  -o PidFile=none </dev/null 3<&- &
if [ "$FIRST" = 1 ] && [ "$(head -c 2 /run/boot/user-data)" = '#!' ]; then
  (PATH="/run/boot:$PATH" exec /run/boot/user-data) </dev/null 3<&- &
fi
echo {} >/run/cloud-init/result.json
echo "there is no init on this machine: systemd-nspawn cannot run on its host"
echo "$COMPLETE"
# Waiting for a child, the shell also takes note of orphans that end.
cat <&3 >/dev/null &
wait $!
