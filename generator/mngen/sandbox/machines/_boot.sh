# Boots an emulated machine: its disk, a network of its own, and in a container of systemd-nspawn
# the system's own init. All of it ends with whoever holds this script's standard input.
#
# Runs as process 1 of new mount, PID, network, UTS and IPC namespaces, in the machine's folder,
# where `lower0`, `lower1`, ... name the layers, topmost first, and `metadata` holds what cloud-init
# finds of the instance. When this process ends, the kernel ends all of the machine's, which it would
# not do with nspawn alone: killed, that leaves systemd and its services running.
#
# Environment: LOWER (the layers' names), NAME (of the machine on this host), UUID, HOST, DOMAIN and
# ADDRESS (of the machine), LISTENER (the descriptor of the socket at that address), PYTHON, FORWARD
# (the program that serves it), and SSH_PORT (in the machine).
#
# Source: systemd-nspawn(1), unshare(1), pid_namespaces(7).
set -eu

# Two machines must not share a tree of control groups: each systemd takes the one that it is
# started in for its own.
for top in /sys/fs/cgroup /sys/fs/cgroup/systemd /sys/fs/cgroup/unified; do
  [ -e "$top/cgroup.procs" ] || continue
  mkdir -p "$top/$NAME"
  echo 0 >"$top/$NAME/cgroup.procs"
done

mount -t proc -o nosuid,nodev,noexec proc /proc
# Where nspawn keeps its locks.
mkdir -p /run/systemd/nspawn
mount -t tmpfs -o mode=755 tmpfs /run/systemd/nspawn
ip link set lo up

overlay="lowerdir=$LOWER,upperdir=upper,workdir=work,redirect_dir=off,metacopy=off,index=off"
# A machine that crashes loses its disk: nothing has to be flushed when it is unmounted.
mount -t overlay overlay -o "$overlay,volatile" root ||
  mount -t overlay overlay -o "$overlay" root

# Its own name has to resolve without a name server, and these files are none of the image's.
printf '127.0.0.1 localhost\n127.0.0.1 %s.%s %s\n' "$HOST" "$DOMAIN" "$HOST" >hosts
printf 'nameserver 127.0.0.1\noptions timeout:1 attempts:1\n' >resolv.conf
set -- --bind-ro="$PWD/metadata:/run/mngen-machine/metadata"
for each in hosts resolv.conf; do
  [ ! -f "root/etc/$each" ] || set -- "$@" --bind-ro="$PWD/$each:/etc/$each"
done

trap 'exit 0' TERM
exec 3<&0
"$PYTHON" -I "$FORWARD" "$LISTENER" "$SSH_PORT" </dev/null 3<&- &
(
  # nspawn, told to end, has the init halt in order.
  trap 'kill -TERM "$nspawn"' USR1
  code=133
  # What nspawn ends with where the machine wants to be started again.
  while [ "$code" = 133 ]; do
    # /tmp is what the system itself makes of it.
    SYSTEMD_NSPAWN_TMPFS_TMP=0 systemd-nspawn --quiet --boot --directory=root \
      --machine="$NAME" --hostname="$HOST" --uuid="$UUID" --register=no --keep-unit \
      --resolv-conf=off --link-journal=no --console=read-only --kill-signal=SIGRTMIN+3 "$@" \
      </dev/null 3<&- &
    nspawn=$!
    while :; do
      code=0
      wait "$nspawn" || code=$?
      # A signal for this shell limits the waiting alone.
      kill -0 "$nspawn" 2>/dev/null || break
    done
  done
  kill -TERM 1
) &
boot=$!
# A line asks for a power-off; the end of the input is the end at once. Waiting for a child, the
# shell also takes note of orphans that end.
(
  while read -r _; do
    kill -USR1 "$boot"
  done
) <&3 &
wait $!
