#!/bin/sh
# Makes a file system over all instance-store disks at boot and mounts it; powers the instance off
# where that fails. Installed by mngen.
#
# usage: mngen-scratch MOUNT [ROOT]
#
# What is on these disks is gone when an instance stops, and kept when it reboots. Every boot formats
# them, so that no job finds files of an earlier boot. Several disks become a RAID 0, which is as fast
# and as large as all of them.
#
# Docker and the ECS agent start after this script alone: an instance without its scratch space takes
# no job. Running on, it would cost money and never join. Powered off, it is replaced by AWS Batch.
#
# ROOT is the folder that holds /dev and /sys, empty by default. Ends with 0 once MOUNT is a mount
# point; with 1 where it cannot be; with 2 where it was called wrongly.
#
# Source: https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/nvme-ebs-volumes.html (the model of an
# EBS volume is "Amazon Elastic Block Store", that of a disk "Amazon EC2 NVMe Instance Storage"), and
# udev's 60-persistent-storage.rules, which name the links after model and serial number.
set -u

say() {
  echo "mngen-scratch: $*"
}

fail() {
  udevadm control --start-exec-queue
  say "ERROR: no scratch space: $*"
  say "ERROR: powering off, so that AWS Batch replaces this instance"
  systemctl --no-block poweroff
  exit 1
}

# Runs a command; where it fails, its messages are the reason.
must() {
  said=$("$@" 2>&1) || fail "$1: $(echo "$said" | tr '\n' ' ')"
}

case ${1-} in
  /?*) ;;
  *)
    say "usage: mngen-scratch MOUNT [ROOT]; MOUNT is an absolute path" >&2
    exit 2
    ;;
esac
mount=$1
root=${2-}
wait=60

# Prints the disks, each once: a disk has a link for its serial number, and more for the same.
# Partitions, which nothing makes here, have separate links.
disks() {
  for link in "$root"/dev/disk/by-id/nvme-Amazon_EC2_NVMe_Instance_Storage_*; do
    case $link in
      *-part[0-9]*) continue ;;
    esac
    if [ -e "$link" ]; then
      readlink -f "$link"
    fi
  done | sort -u
}

# Prints how many of them the kernel has found, some of which may have no link yet.
found() {
  grep -l '^Amazon EC2 NVMe Instance Storage' "$root"/sys/class/nvme/nvme*/model 2>/dev/null | wc -l
}

if mountpoint -q "$mount"; then
  say "OK: $mount is mounted"
  exit 0
fi

udevadm settle --timeout="$wait"
while :; do
  set --
  for disk in $(disks); do
    set -- "$@" "$disk"
  done
  [ $# -eq 0 ] || [ $# -lt "$(found)" ] || break
  if [ "$wait" -le 0 ]; then
    [ $# -gt 0 ] || fail "this instance has no NVMe instance-store disk"
    fail "$# instance-store disk(s) are ready, and the kernel has found $(found)"
  fi
  sleep 1
  wait=$((wait - 1))
done

# After a reboot, udev has put the array of the last boot together again. Until the disks are empty it
# waits, or it would do so once more.
udevadm control --stop-exec-queue
for disk in "$@"; do
  for holder in "$root/sys/class/block/${disk##*/}"/holders/md*; do
    if [ -e "$holder" ]; then
      must mdadm --quiet --stop "/dev/${holder##*/}"
    fi
  done
done
# Refused for a disk that is in use.
for disk in "$@"; do
  must wipefs --quiet --all "$disk"
done
udevadm control --start-exec-queue
udevadm settle --timeout=60

device=$1
if [ $# -gt 1 ]; then
  device=/dev/md/mngen-scratch
  must mdadm --quiet --create "$device" --run --level=0 --raid-devices=$# \
    --name=mngen-scratch --homehost=any "$@"
fi
# Without discarding the blocks first, which takes long and a new disk does not need.
must mkfs.xfs -q -f -K "$device"
must mkdir -p "$mount"
must mount -t xfs -o noatime "$device" "$mount"
must mountpoint -q "$mount"
# The ranks of a job are not root.
must chmod 1777 "$mount"
blocks=$(df -P -k "$mount" | sed -n '$s/^[^ ]* *\([0-9]*\) .*/\1/p')
say "OK: $mount is mounted: $# disk(s), $((${blocks:-0} * 1024 / 1000000000)) GB"
