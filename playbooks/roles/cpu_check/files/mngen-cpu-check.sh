#!/bin/sh
# Checks at boot that one thread runs on each core, as many as were baked; turns simultaneous
# multithreading off where that is not so. Installed by mngen.
#
# usage: mngen-cpu-check CPUS [SYS]
#
# The kernel argument nr_cpus=N keeps the first N CPUs. Where the kernel numbers the threads of a
# core 0 and 48 these are the N cores; where it numbers them 0 and 1 they are both threads of half
# the cores. Only the machine itself knows, and the image was baked on another type.
#
# SYS is where sysfs is, /sys by default. Ends with 0 where the CPUs are as baked, from the start
# or now; with 1 where they are not, which the log explains; with 2 where it was called wrongly.
#
# Source: https://docs.kernel.org/admin-guide/kernel-parameters.html (nr_cpus),
# https://docs.kernel.org/admin-guide/cputopology.html,
# https://www.kernel.org/doc/Documentation/ABI/testing/sysfs-devices-system-cpu (smt/control).
set -u

say() {
  echo "mngen-cpu-check: $*"
}

case ${1-} in
  '' | 0* | *[!0-9]*)
    say "usage: mngen-cpu-check CPUS [SYS]; CPUS is the number that was baked" >&2
    exit 2
    ;;
esac
baked=$1
cpus=${2:-/sys}/devices/system/cpu
control=$cpus/smt/control

# Sets `expanded` to the numbers of a list such as 0-3,8,10-11, each after a space. It starts no
# program: it is called for each CPU, of which there may be hundreds.
expand() {
  expanded=''
  rest=$1,
  while [ -n "$rest" ]; do
    range=${rest%%,*}
    rest=${rest#*,}
    first=${range%%-*}
    last=${range#*-}
    case $first,$last in
      ,* | *, | *[!0-9,]*) continue ;;
    esac
    while [ "$first" -le "$last" ]; do
      expanded="$expanded $first"
      first=$((first + 1))
    done
  done
}

# Sets `count`, the number of CPUs online, and `shared`, the first core that runs more than one
# thread, as its siblings; empty where none does. Where a file cannot be read, it sets `unreadable`
# and fails: a check that saw nothing must not report OK.
look() {
  unreadable=$cpus/online
  online=$(cat "$unreadable" 2>/dev/null) || return 1
  expand "$online"
  numbers=$expanded
  [ -n "$numbers" ] || return 1
  count=0
  shared=''
  for number in $numbers; do
    count=$((count + 1))
    [ -z "$shared" ] || continue
    # With cat, not read: dash reads byte by byte, which this file answers with nothing.
    unreadable=$cpus/cpu$number/topology/thread_siblings_list
    siblings=$(cat "$unreadable" 2>/dev/null) || return 1
    [ -n "$siblings" ] || return 1
    running=0
    expand "$siblings"
    for sibling in $expanded; do
      case "$numbers " in
        *" $sibling "*) running=$((running + 1)) ;;
      esac
    done
    [ "$running" -le 1 ] || shared=$siblings
  done
}

describe() {
  if [ -n "$shared" ]; then
    echo "$count CPUs online ($online), CPUs $shared are threads of one core"
  else
    echo "$count CPUs online ($online), one thread a core"
  fi
}

as_baked() {
  [ -z "$shared" ] && [ "$count" -eq "$baked" ]
}

unread() {
  say "ERROR: cannot read $unreadable; $baked CPUs were baked"
  exit 1
}

look || unread
if as_baked; then
  say "OK: $(describe), as baked"
  exit 0
fi
say "WARNING: $(describe); $baked CPUs with one thread a core were baked"

state=$(cat "$control" 2>/dev/null) || state=missing
case $state in
  on)
    # The shell's own complaint about a file that cannot be written belongs to the log.
    if (echo off >"$control") 2>&1; then
      say "turned simultaneous multithreading off ($control)"
    else
      say "ERROR: cannot write $control: simultaneous multithreading stays on"
    fi
    ;;
  missing) say "ERROR: there is no $control: this kernel cannot turn threads off" ;;
  *) say "simultaneous multithreading is $state already" ;;
esac

look || unread
if as_baked; then
  say "OK: now $(describe), as baked"
  exit 0
fi
say "ERROR: $(describe), but $baked CPUs were baked"
if [ -n "$shared" ]; then
  say "ERROR: jobs share cores between threads on this machine"
elif [ "$count" -lt "$baked" ]; then
  say "ERROR: jobs that ask for more than $count vCPUs will not start on this machine. Where the" \
    "kernel numbers the threads of a core one after the other, nr_cpus=$baked left out cores:" \
    "bake an image without a limit for this instance type, or see that it is the right type"
else
  say "ERROR: nr_cpus=$baked is not in effect: see /proc/cmdline"
fi
exit 1
