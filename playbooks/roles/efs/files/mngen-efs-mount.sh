#!/bin/sh
# Tries again to mount a file system where it was not mounted at boot, and powers the instance off
# where it cannot be mounted at all. Installed by mngen, once for each file system: as
# mngen-efs-mount for EFS, as mngen-fsx-mount for FSx for Lustre.
#
# usage: mngen-efs-mount MOUNT UNIT SECONDS
#
# systemd tries a mount once. Docker and the ECS agent start after this script alone, so an instance
# without its file system takes no job; running on, it would cost money and never join. Powered off,
# it is replaced by AWS Batch.
#
# MOUNT is the mount point, UNIT its unit, SECONDS how long to try. Ends with 0 once MOUNT is a mount
# point; with 1 where it never was; with 2 where it was called wrongly.
set -u

name=${0##*/}
name=${name%.sh}

say() {
  echo "$name: $*"
}

# Seconds since the kernel started: the clock may be set meanwhile.
now() {
  up=$(cat /proc/uptime)
  echo "${up%%.*}"
}

case ${3-} in
  '' | *[!0-9]*)
    say "usage: $name MOUNT UNIT SECONDS" >&2
    exit 2
    ;;
esac
mount=$1
unit=$2
deadline=$(($(now) + $3))

# What the last attempt has left in the journal, as one line.
reason() {
  last=$(journalctl --quiet --boot --unit="$unit" --lines=5 --output=cat 2>/dev/null | tr '\n' ' ')
  last=${last% }
  echo "${last:-no message in the journal}"
}

while ! mountpoint -q "$mount"; do
  left=$((deadline - $(now)))
  if [ "$left" -le 0 ]; then
    say "ERROR: $mount was not mounted within $3 s: $(reason)"
    case $name in
      *fsx*) look="state, at its security group (ports 988 and 1018 to 1023)" ;;
      *) look="mount target in this zone, at its security group (port 2049), at its policy" ;;
    esac
    say "ERROR: powering off, so that AWS Batch replaces this instance. Look at the file system's" \
      "$look and at the name resolution of the VPC"
    systemctl --no-block poweroff
    exit 1
  fi
  say "WARNING: $mount is not mounted: $(reason); trying again for $left s"
  sleep 5
  # In the unit's own control group: a tunnel that it starts is not stopped with this script.
  systemctl start "$unit" >/dev/null 2>&1
done
say "OK: $mount is mounted"
